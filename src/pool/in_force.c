/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is in force on a connection, as the server and the socket say themselves, and what that
 * tells about who is between.
 *
 * Poolers. The process that answers a connect gives its number for cancel requests; a pooler makes
 * one up. So if the process that answers a query has another number, a pooler is between. If two
 * living connections are answered by one and the same process, or one connection by two, that
 * pooler shares its processes between transactions: what is SET on one connection then lands
 * somewhere, and may be found by anybody, so from then on nothing is SET.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/atomic.h"
#include "base/text.h"
#include "pool/pool.h"

static int socket_option(int fd, int level, int name)
{
	socklen_t size = sizeof(int);
	int value = -1;

	return getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

static void look_at_socket(weir_in_force *f, int fd)
{
	f->tcp_user_timeout_ms = socket_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
	f->keepalives_idle_s = socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE);
	f->keepalives_interval_s = socket_option(fd, IPPROTO_TCP, TCP_KEEPINTVL);
	f->keepalives_count = socket_option(fd, IPPROTO_TCP, TCP_KEEPCNT);
	f->keepalives = -1;
	if (f->keepalives_idle_s >= 0)
		f->keepalives = socket_option(fd, SOL_SOCKET, SO_KEEPALIVE);
}

/* Whether another living connection of the pool has the same server process. */
static bool is_shared(const struct weir_conn *c)
{
	const struct weir_pool *pool = c->pool;

	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		const struct weir_conn *other = &pool->conns[i];

		if (other != c && other->link && other->server_process == c->server_process)
			return true;
	}
	return false;
}

static void look_for_pooler(struct weir_conn *c, weir_in_force *f, int before)
{
	struct weir_pool *pool = c->pool;

	c->server_process = f->server_process;
	if (!f->through_pooler || pool->not_held ||
	    !(is_shared(c) || (before && before != f->server_process)))
		return;
	pool->not_held = true;
	wi_store_rlx(&pool->guards, false);
	wi_pool_tell(pool, WEIR_EVENT_SETTINGS_REFUSED,
	             "a pooler shares server processes between transactions: nothing that is SET "
	             "holds, so timeouts and search_path are to be set there or by ALTER ROLE");
}

static weir_applied applied(const struct weir_pool *pool, bool match)
{
	if (pool->not_held)
		return WEIR_APPLIED_NOT_HELD;
	if (!match || wi_settings_lack_one(&pool->settings))
		return WEIR_APPLIED_IN_PART;
	return pool->apply_by_set ? WEIR_APPLIED_BY_SET : WEIR_APPLIED_AT_STARTUP;
}

bool wi_in_force_take(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	weir_in_force f = {0};
	struct wi_facts facts = {0};
	bool match = wi_settings_match(&pool->settings, c->answer, &f);
	const char *unknown = wi_settings_unknown(&pool->settings, &f);
	int before = c->errand == WI_DO_VERIFY ? 0 : c->server_process;

	pool->driver->facts(c->link, &facts);
	f.through_pooler =
		f.server_process && facts.backend_pid && f.server_process != facts.backend_pid;
	look_for_pooler(c, &f, before);
	if (f.through_pooler)
		wi_store_rlx(&pool->pooled, true);
	if (unknown)
		wi_pool_tell(pool, WEIR_EVENT_SETTINGS_REFUSED,
		             "the server is too old to know %s: not in force", unknown);
	look_at_socket(&f, pool->driver->fd(c->link));
	wi_copy(f.tls, sizeof(f.tls), facts.tls);
	f.insecure = pool->target.gap != NULL;
	f.applied = applied(pool, match);
	wi_post(&pool->in_force, &f, sizeof(f));
	return match;
}

void wi_pool_warn(struct weir_pool *pool, const struct wi_target *target, void *link)
{
	if (!target->gap || pool->warned || !pool->driver->password(link))
		return;
	pool->warned = true;
	wi_pool_tell(pool, WEIR_EVENT_INSECURE,
	             "a password could go to a server that has not proven who it is: %s",
	             target->gap);
}

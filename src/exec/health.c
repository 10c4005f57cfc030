/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a router or a pool is just now: a checkout for each intent, one question to a server, and
 * what is known of the hosts.
 *
 * A checkout that may not wait comes first. If it fails for want of an idle connection, and all
 * connections are out, that is the answer: who asks for health is the last whom a crowded pool
 * should wait for. It is waited only where nothing is open yet, or the hosts have not been looked
 * at.
 */
#include <stdlib.h>
#include <string.h>

#include <weir/health.h>
#include <weir/stats.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/busy.h"
#include "pool/pool.h"
#include "route/router.h"

#define HOSTS_AT_ONCE WEIR_HOSTS_MAX
#define SLICE_MS 100
#define TRIES 2 /* of a question: a connection may have died since anybody looked */

static const char question[] =
	"SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.current_database(),"
	" current_user, (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())"
	" * 1000000)::pg_catalog.int8, pg_catalog.pg_is_in_recovery(),"
	" pg_catalog.current_setting('transaction_read_only')";

enum column { VERSION, DATABASE, USER, CLOCK, RECOVERING, READ_ONLY, WIDTH };

struct look {
	weir_router *router; /* or */
	weir_pool *pool;
	const struct wi_world *world;
	int64_t deadline_ns; /* 0: nothing is waited for or asked */
	weir_host_stats *hosts;
	size_t n_hosts;
	weir_pool_stats pool_stats; /* of `pool` */
	weir_health *health;        /* `found` */
	weir_health found;
	struct wi_text why;
	weir_status end; /* CLOSED or FORKED: there is nothing to look at any more */
	weir_error said; /* by the last checkout or question that failed */
};

const char *weir_health_name(weir_health_status status)
{
	static const char *const names[] = {"unhealthy", "degraded", "healthy"};

	return (unsigned)status <= WEIR_HEALTHY ? names[status] : "unknown";
}

/* ---- what is known ---- */

static void add_pool(weir_health *h, const weir_pool_stats *p)
{
	h->max += p->max;
	h->total += p->total;
	h->idle += p->idle;
	h->busy += p->busy;
	h->opening += p->opening;
	h->waiting += p->waiting;
	h->suspended = h->suspended || p->suspended;
}

static void add_host(weir_health *h, const weir_host_stats *s)
{
	add_pool(h, &s->pool);
	if (s->leaving)
		return;
	h->hosts++;
	h->reachable += s->reachable;
	h->replicas += s->role == WEIR_ROLE_REPLICA;
	if (s->role == WEIR_ROLE_PRIMARY)
		wi_copy(h->primary, sizeof(h->primary), s->host);
}

/* Reads the statistics, and the numbers of *health from them. */
static void see(struct look *l)
{
	weir_health *h = l->health;

	h->max = h->total = h->idle = h->busy = h->opening = h->waiting = 0;
	h->hosts = h->reachable = h->replicas = 0;
	h->primary[0] = '\0';
	h->suspended = false;
	if (l->pool) {
		weir_pool_stats_get(l->pool, &l->pool_stats);
		add_pool(h, &l->pool_stats);
		h->hosts = 1;
		h->reachable = l->pool_stats.total > l->pool_stats.opening;
		return;
	}
	l->n_hosts = weir_router_stats_get(l->router, l->hosts, HOSTS_AT_ONCE);
	if (l->n_hosts > HOSTS_AT_ONCE)
		l->n_hosts = HOSTS_AT_ONCE;
	for (size_t i = 0; i < l->n_hosts; i++)
		add_host(h, &l->hosts[i]);
}

/* All that it may open is out, or on its way back. */
static bool is_full(const weir_pool_stats *p)
{
	return p->total >= p->max && p->busy && !p->idle && !p->opening;
}

/* Whether the hosts that would serve an intent have nothing to give but what comes back. */
static bool all_out(const struct look *l, weir_intent intent)
{
	weir_role role =
		intent == WEIR_READ && l->health->replicas ? WEIR_ROLE_REPLICA : WEIR_ROLE_PRIMARY;
	bool full = false;

	if (l->pool)
		return is_full(&l->pool_stats);
	for (size_t i = 0; i < l->n_hosts; i++) {
		const weir_host_stats *s = &l->hosts[i];

		if (s->leaving || s->role != role)
			continue;
		if (!is_full(&s->pool))
			return false;
		full = true;
	}
	return full;
}

/* Whether some host has not been looked at for the first time. */
static bool is_new(const struct look *l)
{
	for (size_t i = 0; i < l->n_hosts; i++)
		if (l->hosts[i].probe_age_ms < 0 && !l->hosts[i].last_error[0])
			return true;
	return false;
}

/* ---- one question ---- */

static void copy_value(char *to, size_t room, const struct wi_answer *a, enum column column)
{
	wi_copy(to, room, a->columns > column && !a->is_null[column] ? a->value[column] : "");
}

static void hear(struct look *l, const weir_conn *conn, const struct wi_answer *a)
{
	weir_health *h = l->health;
	weir_conn_info info = {0};

	h->answered = true;
	if (weir_conn_info_get(conn, &info) == WEIR_OK) {
		wi_copy(h->host, sizeof(h->host), info.host);
		h->role = info.role;
	}
	if (!a->has_row || a->columns < WIDTH)
		return;
	h->server_version = (int)strtol(a->value[VERSION], NULL, 10);
	h->server_time_us = strtoll(a->value[CLOCK], NULL, 10);
	copy_value(h->database, sizeof(h->database), a, DATABASE);
	copy_value(h->user, sizeof(h->user), a, USER);
	if (l->pool)
		h->role = a->value[RECOVERING][0] == 't' ? WEIR_ROLE_REPLICA : WEIR_ROLE_PRIMARY;
	if (l->pool && strcmp(a->value[READ_ONLY], "on") == 0)
		h->writes = false;
}

static weir_status lost(struct look *l, struct weir_conn *c, uint32_t note, weir_status status,
                        const char *text)
{
	wi_or_acq_rel(&c->notes, note);
	return wi_fail(&l->said, status, "%s: asked who it is: %s", c->pool->endpoint->name, text);
}

/* Asks the server on the holder's connection. */
static weir_status ask(struct look *l, weir_conn *conn)
{
	struct weir_conn *c = wi_conn_of(conn);
	int64_t began_ns = l->world->now();
	struct wi_answer answer = {0};
	struct wi_failure f = {0};

	if (!c->pool->driver->send(c->link, question, &f))
		return lost(l, c, WI_NOTE_SUSPECT, WEIR_CONNECT, f.text);
	switch (wi_conn_await(c, &answer, l->deadline_ns, &f)) {
	case WI_STEP_DONE:
		l->health->round_trip_ns = l->world->now() - began_ns;
		hear(l, conn, &answer);
		return WEIR_OK;
	case WI_STEP_FAILED:
		return lost(l, c, f.fault == WI_FAULT_SQL ? 0 : WI_NOTE_SUSPECT,
		            f.fault == WI_FAULT_SQL ? WEIR_QUERY : WEIR_CONNECT, f.text);
	case WI_STEP_READ:
	case WI_STEP_WRITE:
		break;
	}
	wi_cancel_and_forget(c);
	return lost(l, c, WI_NOTE_DISCARD, WEIR_TIMEOUT, "no answer in time");
}

/* ---- one checkout ---- */

static int64_t left_ms(const struct look *l)
{
	if (l->deadline_ns == WI_FOREVER)
		return -1;
	return l->deadline_ns ? wi_poll_ms(l->world->now(), l->deadline_ns) : 0;
}

static weir_status check_out(struct look *l, weir_intent intent, int64_t timeout_ms,
                             weir_conn **conn)
{
	weir_request q = WEIR_REQUEST(.intent = intent, .tag = "health");

	*conn = NULL;
	if (l->pool)
		return weir_pool_checkout(l->pool, timeout_ms, conn, &l->said);
	q.timeout_ms = timeout_ms ? timeout_ms : WEIR_NO_WAIT;
	return weir_checkout_with(l->router, &q, conn, &l->said);
}

/* Whether to wait after a checkout that could not: one is about to be there. */
static bool waits(const struct look *l, weir_intent intent, weir_status st, bool was_new)
{
	if (l->health->suspended || !left_ms(l))
		return false;
	return (st == WEIR_EXHAUSTED && !all_out(l, intent)) ||
	       (st == WEIR_UNAVAILABLE && (was_new || is_new(l)));
}

/*
 * Takes one. Waits a little at a time, since a checkout that may wait waits for a next primary,
 * too, and that is what is to be told.
 */
static weir_status take(struct look *l, weir_intent intent, weir_conn **conn)
{
	for (;;) {
		bool was_new = is_new(l); /* it may be over between the two */
		weir_status st = check_out(l, intent, 0, conn);
		int64_t slice_ms;

		if (st == WEIR_OK || st == WEIR_CLOSED || st == WEIR_FORKED)
			return st; /* there may be nothing to see any more */
		see(l);
		if (!waits(l, intent, st, was_new))
			return st;
		slice_ms = left_ms(l);
		if (slice_ms < 0 || slice_ms > SLICE_MS)
			slice_ms = SLICE_MS;
		st = check_out(l, intent, slice_ms, conn);
		if (st == WEIR_OK || st == WEIR_CLOSED || st == WEIR_FORKED)
			return st;
		see(l);
	}
}

/* What a look at one intent came to. */
static void note(struct look *l, weir_intent intent, weir_status st)
{
	bool busy = st == WEIR_EXHAUSTED || st == WEIR_TIMEOUT || st == WEIR_SHED;
	bool served = st == WEIR_OK || (busy && all_out(l, intent));

	if (intent == WEIR_READ) {
		l->health->read_status = st;
		l->health->reads = served;
	} else {
		l->health->write_status = st;
		l->health->writes = served;
	}
	if (st == WEIR_CLOSED || st == WEIR_FORKED)
		l->end = st;
	if (!served)
		wi_text_add(&l->why, "%s%s are not served: %.*s", l->why.len ? "\n" : "",
		            intent == WEIR_READ ? "reads" : "writes",
		            (int)strcspn(l->said.text, "\n"), l->said.text);
}

static void look_at(struct look *l, weir_intent intent)
{
	weir_status st = WEIR_OK;

	for (int i = 0; i < TRIES; i++) {
		weir_conn *conn;

		st = take(l, intent, &conn);
		if (st != WEIR_OK)
			break;
		if (!l->health->answered && l->deadline_ns)
			st = ask(l, conn);
		weir_checkin(&conn);
		if (st != WEIR_CONNECT)
			break;
	}
	note(l, intent, st);
}

/* A pool's connections serve both, as far as its server takes writes. */
static void look_at_pool(struct look *l)
{
	weir_health *h = l->health;

	h->writes = true;
	look_at(l, WEIR_READ);
	h->write_status = h->read_status;
	h->writes = h->reads && h->writes && h->role != WEIR_ROLE_REPLICA;
	if (h->reads && !h->writes)
		wi_text_add(&l->why, "writes are not served: the server takes none");
}

/* ---- why ---- */

static void add_line(struct look *l, const char *name, const char *what, const char *text)
{
	wi_text_add(&l->why, "%s%s: %s%s%.*s", l->why.len ? "\n" : "", name, what,
	            text[0] ? ": " : "", (int)strcspn(text, "\n"), text);
}

static void explain_pool(struct look *l, const char *name, const weir_pool_stats *p)
{
	if (p->breaker_open)
		add_line(l, name, "connects are paused", p->last_connect_error);
	if (is_full(p))
		wi_text_add(&l->why, "%s%s: all %u connections are out, %u callers wait",
		            l->why.len ? "\n" : "", name, p->busy, p->waiting);
}

static void explain_host(struct look *l, const weir_host_stats *s)
{
	if (s->leaving)
		return;
	if (!s->reachable)
		add_line(l, s->host, "does not answer", s->last_error);
	else if (s->role == WEIR_ROLE_UNKNOWN)
		add_line(l, s->host, "answers, and serves nothing", s->last_error);
	else if (s->replay_paused)
		add_line(l, s->host, "its replay is paused", "");
	else if (s->ejected_ms)
		add_line(l, s->host, "is left out of reads, as it loses connections", "");
	else if (s->lagging)
		add_line(l, s->host, "is too far behind", "");
	explain_pool(l, s->host, &s->pool);
}

static void conclude(struct look *l)
{
	weir_health *h = l->health;

	if (h->suspended)
		add_line(l, "suspended", "nothing is served until it is resumed", "");
	if (l->pool)
		explain_pool(l, l->pool_stats.host, &l->pool_stats);
	for (size_t i = 0; i < l->n_hosts; i++)
		explain_host(l, &l->hosts[i]);
	if (!h->reads && !h->writes && !h->suspended)
		h->status = WEIR_UNHEALTHY;
	else
		h->status = h->why[0] ? WEIR_DEGRADED : WEIR_HEALTHY;
}

/* Nobody is asked for a connection that an operator keeps back. */
static void look_around(struct look *l)
{
	see(l);
	if (l->health->suspended) {
		l->health->read_status = l->health->write_status = WEIR_UNAVAILABLE;
	} else if (l->pool) {
		look_at_pool(l);
	} else {
		look_at(l, WEIR_READ);
		if (l->end == WEIR_OK)
			look_at(l, WEIR_WRITE);
	}
	if (l->end == WEIR_OK) {
		see(l);
		conclude(l);
	}
}

/* ---- the calls ---- */

static weir_status look(struct look *l, int64_t timeout_ms, weir_health *to, weir_error *error)
{
	size_t size = to->size && to->size < sizeof(*to) ? to->size : sizeof(*to);

	l->health = &l->found;
	l->deadline_ns = timeout_ms ? wi_deadline_after(l->world->now(), timeout_ms) : 0;
	wi_text_init(&l->why, l->found.why, sizeof(l->found.why));
	look_around(l);
	l->found.size = size;
	memcpy(to, &l->found, size);
	return l->end == WEIR_OK ? WEIR_OK : wi_fail_with(error, &l->said);
}

/* Inside the router from here on: what calls it time and again must find it, whoever closes it. */
static weir_status come_in(struct look *l, weir_health *to, weir_error *error)
{
	size_t size = to->size && to->size < sizeof(*to) ? to->size : sizeof(*to);
	weir_status st = wi_router_come_in(l->router, error);

	if (st == WEIR_OK)
		return st;
	l->found = (weir_health){.size = size, .read_status = st, .write_status = st};
	memcpy(to, &l->found, size);
	return st;
}

weir_status weir_router_health(weir_router *router, int64_t timeout_ms, weir_health *health,
                               weir_error *error)
{
	struct look l = {.router = router};
	weir_status st;
	WI_NO_CANCEL;

	if (!router || !health)
		return wi_fail(error, WEIR_INVALID, "weir_router_health: %s is NULL",
		               router ? "health" : "router");
	st = come_in(&l, health, error);
	if (st != WEIR_OK)
		return st;
	l.world = router->world;
	l.hosts = wi_alloc(HOSTS_AT_ONCE * sizeof(*l.hosts));
	st = l.hosts ? look(&l, timeout_ms, health, error)
	             : wi_fail(error, WEIR_NO_MEMORY, "no memory for a look at the hosts");
	wi_free(l.hosts, HOSTS_AT_ONCE * sizeof(*l.hosts));
	wi_router_leave(router);
	return st;
}

weir_status weir_pool_health(weir_pool *pool, int64_t timeout_ms, weir_health *health,
                             weir_error *error)
{
	struct look l = {.pool = pool};
	WI_NO_CANCEL;

	if (!pool || !health)
		return wi_fail(error, WEIR_INVALID, "weir_pool_health: %s is NULL",
		               pool ? "health" : "pool");
	l.world = pool->core.world;
	return look(&l, timeout_ms, health, error);
}

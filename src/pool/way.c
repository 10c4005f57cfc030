/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way to an open connection: what has to be known before (the host's addresses, credentials
 * from the user's callback), then one address after the other until one answers, all within one
 * deadline.
 *
 *	RESOLVING --(known)--> CONNECTING --(answered)--> wi_open_connected
 *	    |                       ^  |  |
 *	    |                       +--+  | of this address, and another is left: the next one
 *	    +---------- failed -----------+--> wi_open_failed
 *
 * Addresses come in an order of chance. Each has an equal share of the time that is left; what the
 * last ones do not need of it is lost, what the first ones do not need goes to those after them.
 * The host has failed when all of them have, or when one of them gave an answer that would be the
 * others', too: credentials, a wrong database, TLS.
 *
 * Connects of one burst share a lookup's answer, for a second at most; whoever connects alone looks
 * up anew, so that a changed answer is used at once.
 */
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/text.h"
#include "pool/pool.h"

#define KNOWN_FOR_NS WI_SEC

/* All of it the keeper's. */
struct wi_way {
	void *lookup;              /* under way, or NULL */
	void *asking;              /* for credentials: under way, or answered; or NULL */
	weir_login *kept;          /* copy of an earlier answer that is still good, or NULL */
	const weir_login *login;   /* of asking, or kept; NULL: the target says it all */
	struct wi_addresses found; /* none: the target says it all, or the host is an address */
	uint32_t tried;            /* of found */
	/* of the whole connect; the slot's own deadline is the attempt's */
	int64_t until_ns;
};

/* Its way, or NULL: in any life. */
static struct wi_way *way_of(const struct weir_conn *c)
{
	return wi_conn_is_on_its_way(c) ? c->way : NULL;
}

void wi_way_end(struct weir_conn *c)
{
	struct wi_way *w = way_of(c);

	if (!w)
		return;
	c->way = NULL;
	wi_resolve_drop(w->lookup);
	wi_login_drop(w->asking);
	wi_secret_free(w->kept, sizeof(*w->kept));
	wi_free(w, sizeof(*w));
}

static void failed_with(struct weir_conn *c, enum wi_fault fault, const char *text)
{
	struct wi_failure f = {.fault = fault};

	wi_copy(f.text, sizeof(f.text), text);
	wi_open_failed(c, &f);
}

static void attempt(struct weir_conn *c, const char *address, int64_t now_ns);

/* ---- the addresses ---- */

static void try_next(struct weir_conn *c, int64_t now_ns)
{
	struct wi_way *w = c->way;
	uint32_t left = w->found.n - w->tried;

	c->deadline_ns = now_ns + (w->until_ns - now_ns) / left;
	attempt(c, w->found.address[w->tried++], now_ns);
}

/*
 * Ends the attempt without waiting for the server to notice: there was no session yet, or the
 * server says that there will be none.
 */
static void hang_up(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	int fd;

	wi_keeper_watch(pool->keeper, &c->watch, -1, 0);
	fd = pool->driver->close(c->link);
	if (fd >= 0)
		close(fd);
	c->link = NULL;
}

static void attempt_failed(struct weir_conn *c, const struct wi_failure *failure, int64_t now_ns)
{
	struct wi_way *w = c->way;
	struct wi_failure f = *failure;

	if (wi_address_may_differ(failure->fault)) {
		if (w->tried < w->found.n && now_ns < w->until_ns) {
			hang_up(c);
			try_next(c, now_ns);
			return;
		}
		c->pool->known.n = 0;
		wi_addresses_say_none(w->tried, &f);
	}
	wi_open_failed(c, &f);
}

static void timed_out(struct weir_conn *c, int64_t now_ns)
{
	struct wi_failure f = {.fault = WI_FAULT_TIMEOUT};
	struct wi_way *w = c->way;
	struct wi_text t;

	wi_text_init(&t, f.text, sizeof(f.text));
	wi_text_add(&t, "no answer within %lld ms", (long long)c->pool->options.connect_timeout_ms);
	if (w->tried)
		wi_text_add(&t, " (%s)", w->found.address[w->tried - 1]);
	if (c->life == WI_CONNECTING)
		attempt_failed(c, &f, now_ns);
	else
		wi_open_failed(c, &f);
}

/* Who cannot be woken for it would wait until its deadline: better to try again. */
static void await_socket(struct weir_conn *c, uint32_t events)
{
	struct weir_pool *pool = c->pool;

	if (!wi_keeper_watch(pool->keeper, &c->watch, pool->driver->fd(c->link), events))
		failed_with(c, WI_FAULT_MEMORY, WI_CANNOT_WATCH);
}

static void go_on(struct weir_conn *c, int64_t now_ns)
{
	struct weir_pool *pool = c->pool;
	struct wi_failure f = {0};

	switch (pool->driver->connect_step(c->link, &f)) {
	case WI_STEP_DONE:
		c->deadline_ns = c->way->until_ns;
		wi_open_connected(c);
		return;
	case WI_STEP_READ:
		await_socket(c, EPOLLIN);
		return;
	case WI_STEP_WRITE:
		await_socket(c, EPOLLOUT);
		return;
	case WI_STEP_FAILED:
		attempt_failed(c, &f, now_ns);
		return;
	}
}

static void attempt(struct weir_conn *c, const char *address, int64_t now_ns)
{
	struct weir_pool *pool = c->pool;

	c->read_only = pool->target.startup_options && wi_access_opens_read_only(pool);
	if (pool->target.startup_options)
		pool->target.startup_options =
			c->read_only ? pool->settings.startup_reads : pool->settings.startup;
	c->edition = pool->target.startup_options ? pool->settings.edition : 0;
	pool->target.login = c->way->login;
	c->link = pool->driver->connect(&pool->target, address);
	pool->target.login = NULL;
	if (!c->link) {
		failed_with(c, WI_FAULT_MEMORY, "no memory for a connection");
		return;
	}
	c->server_process = 0;
	wi_pool_warn(pool, &pool->target, c->link);
	go_on(c, now_ns);
}

/* ---- what has to be known ---- */

static void connect_now(struct weir_conn *c, int64_t now_ns)
{
	const struct wi_endpoint *e = c->pool->endpoint;
	bool is_address = !e->hostaddr[0] && e->host[0] && e->host[0] != '/' && e->host[0] != '@';

	wi_slot_move(c, WI_RESOLVING, WI_CONNECTING);
	if (c->way->found.n)
		try_next(c, now_ns);
	else
		attempt(c, is_address ? e->host : NULL, now_ns);
}

/* true: nothing is left to wait for. Else it is under way, or failed. */
static bool look_on(struct weir_conn *c, int64_t now_ns)
{
	struct weir_pool *pool = c->pool;
	struct wi_way *w = c->way;
	struct wi_failure f;
	int r;

	if (!w->lookup)
		return true;
	r = wi_resolve_poll(w->lookup, &w->found, &f);
	if (r == 0)
		return false;
	w->lookup = NULL;
	if (r < 0) {
		wi_open_failed(c, &f);
		return false;
	}
	pool->known = w->found;
	pool->known_ns = now_ns;
	return true;
}

static bool ask_on(struct weir_conn *c, int64_t now_ns)
{
	struct wi_way *w = c->way;
	struct wi_failure f;
	int r;

	if (!w->asking || w->login)
		return true;
	r = wi_login_poll(&c->pool->logins, w->asking, now_ns, &w->login, &f);
	if (r < 0)
		wi_open_failed(c, &f);
	return r > 0;
}

static void get_ready(struct weir_conn *c, int64_t now_ns)
{
	if (look_on(c, now_ns) && ask_on(c, now_ns))
		connect_now(c, now_ns);
}

static bool needs_lookup(const struct wi_endpoint *e)
{
	return !e->hostaddr[0] && !wi_host_is_literal(e->host);
}

/* Whether this connect is one of a burst that has an answer already. */
static bool is_known(const struct weir_pool *pool, int64_t now_ns)
{
	const struct wi_census *s = &pool->census;

	return s->n[WI_RESOLVING] + s->n[WI_CONNECTING] + s->fresh > 1 && pool->known.n &&
	       now_ns - pool->known_ns < KNOWN_FOR_NS;
}

static bool begin_lookup(struct weir_pool *pool, struct wi_way *w, int64_t now_ns)
{
	if (!needs_lookup(pool->endpoint))
		return true;
	if (is_known(pool, now_ns)) {
		w->found = pool->known;
		wi_addresses_shuffle(&w->found);
		return true;
	}
	w->lookup = wi_resolve_start(pool->endpoint->host, pool->keeper);
	return w->lookup != NULL;
}

/* Beside the lookup: both have the connect's time. */
static bool begin_asking(struct weir_pool *pool, struct wi_way *w, int64_t now_ns)
{
	const weir_login *kept;

	if (!pool->logins.ask)
		return true;
	kept = wi_login_kept(&pool->logins, now_ns);
	if (!kept) {
		w->asking = wi_login_start(&pool->logins, pool->keeper);
		return w->asking != NULL;
	}
	w->kept = wi_secret_alloc(sizeof(*w->kept));
	if (w->kept)
		memcpy(w->kept, kept, sizeof(*kept));
	w->login = w->kept;
	return w->kept != NULL;
}

void wi_way_begin(struct weir_conn *c, int64_t now_ns)
{
	struct weir_pool *pool = c->pool;
	struct wi_way *w = wi_alloc(sizeof(*w));

	c->way = w;
	if (!w) {
		failed_with(c, WI_FAULT_MEMORY, "no memory for a connection");
		return;
	}
	w->until_ns = c->deadline_ns;
	if (!begin_lookup(pool, w, now_ns))
		failed_with(c, WI_FAULT_MEMORY, "no memory or no thread for a name lookup");
	else if (!begin_asking(pool, w, now_ns))
		failed_with(c, WI_FAULT_MEMORY, "no memory or no thread to ask for credentials");
	else
		get_ready(c, now_ns);
}

void wi_way_step(struct weir_conn *c, int64_t now_ns)
{
	if (now_ns >= c->deadline_ns)
		timed_out(c, now_ns);
	else if (c->life == WI_RESOLVING)
		get_ready(c, now_ns);
	else
		go_on(c, now_ns);
}

const char *wi_way_phase(const struct weir_conn *c)
{
	const struct wi_way *w = way_of(c);

	if (c->life == WI_CONNECTING || !w)
		return "connecting";
	if (needs_lookup(c->pool->endpoint) && !w->found.n)
		return "looking up the host name";
	return "asking for credentials";
}

bool wi_way_was_kept(const struct weir_conn *c)
{
	const struct wi_way *w = way_of(c);

	return w && w->kept;
}

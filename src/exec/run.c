/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A callback in a transaction, run again where that is provably safe.
 *
 * What is safe. Of an attempt whose COMMIT was never sent nothing can have been committed, whatever
 * became of its connection; so only then it is asked whether another may succeed (retry.c). From
 * the moment in which COMMIT was sent, the server's answer to it is all that counts: an error means
 * rolled back, and no answer an unknown outcome, which ends the run. A read-only transaction has
 * nothing to commit, so it can be run again in either case.
 *
 * Pauses. The connection goes back first, so that whoever pauses keeps nobody waiting. Meanwhile
 * the caller is counted inside the pool or router, which therefore is not freed under it; and looks
 * now and then whether that has been closed.
 */
#include <pthread.h>
#include <string.h>

#include <weir/tx.h>

#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/text.h"
#include "exec/retry.h"
#include "exec/tx.h"
#include "pool/pool.h"
#include "route/orders.h"
#include "route/router.h"

#define FIRST_PAUSE_MS 5
#define MOST_PAUSE_MS 1000
#define ELSEWHERE_MS 100

/* A run. Its caller's thread only. */
struct run {
	weir_router *router; /* or NULL: */
	weir_pool *pool;
	weir_run_settings s;
	weir_request request;
	weir_tx_settings tx;
	weir_run_body body;
	void *arg;
	const struct wi_world *world;
	int64_t deadline_ns;
	struct wi_pauses pauses;
	bool inside;    /* it is counted */
	bool has_lost;  /* a connection, in the last attempt that had one */
	uint64_t avoid; /* the host of the last attempt of a read, as a bit; 0: none */
	weir_run_result result;
};

/* ---- coming and going ---- */

static weir_status come_in(struct run *r, weir_error *error)
{
	weir_status st = WEIR_OK;

	if (r->inside)
		return WEIR_OK;
	if (r->router) {
		st = wi_router_come_in(r->router, error);
	} else {
		if (wi_pool_is_parents(r->pool) &&
		    (st = wi_pool_in_child(r->pool, error)) != WEIR_OK)
			return st;
		wi_rcu_enter();
		wi_pool_enter(r->pool);
		wi_rcu_leave();
	}
	r->inside = st == WEIR_OK;
	return st;
}

static void leave(struct run *r)
{
	if (!r->inside)
		return;
	r->inside = false;
	if (r->router)
		wi_router_leave(r->router);
	else
		wi_pool_exit(r->pool);
}

static bool is_closed(void *arg)
{
	struct run *r = arg;

	return wi_load_seq(r->router ? &r->router->closed : &r->pool->closed);
}

static int64_t left_ms(const struct run *r)
{
	int64_t left_ns;

	if (r->deadline_ns == WI_FOREVER)
		return -1;
	left_ns = r->deadline_ns - r->world->now();
	return left_ns > 0 ? (left_ns + WI_MS - 1) / WI_MS : 0;
}

/* ---- one attempt ---- */

/* 0: it was over just now, and the checkout shall say so. */
static int64_t within(int64_t wanted_ms, int64_t left)
{
	int64_t ms = wanted_ms > 0 && (left < 0 || wanted_ms < left) ? wanted_ms : left;

	return ms ? ms : 1;
}

/* How long to wait for another host: the one that is avoided is still better than none. */
static int64_t elsewhere_ms(int64_t wanted_ms, int64_t left)
{
	int64_t ms = within(wanted_ms, left);

	if (wanted_ms == WEIR_NO_WAIT)
		return WEIR_NO_WAIT;
	return ms < 0 || ms / 2 > ELSEWHERE_MS ? ELSEWHERE_MS : ms / 2 + 1;
}

static weir_status take_routed(struct run *r, weir_conn **conn, weir_error *error)
{
	weir_request q = r->request;

	if (r->avoid &&
	    wi_checkout_elsewhere(r->router, &q, r->avoid, elsewhere_ms(q.timeout_ms, left_ms(r)),
	                          conn) == WEIR_OK)
		return WEIR_OK;
	if (q.timeout_ms != WEIR_NO_WAIT)
		q.timeout_ms = within(q.timeout_ms, left_ms(r));
	return weir_checkout_with(r->router, &q, conn, error);
}

static weir_status take(struct run *r, weir_conn **conn, weir_error *error)
{
	if (!left_ms(r))
		return wi_fail(error, WEIR_TIMEOUT, "the time of the run is over");
	r->result.attempts++;
	if (r->router)
		return take_routed(r, conn, error);
	return weir_pool_checkout(r->pool, within(0, left_ms(r)), conn, error);
}

static weir_status say_nothing_more(weir_status st, weir_error *error)
{
	if (error->status == st)
		return st;
	if ((unsigned)st < WEIR_STATUSES)
		return wi_fail(error, st, "the callback returned %s", weir_status_name(st));
	wi_fail(error, st, "the callback returned %d", (int)st);
	return st;
}

/* Of what the callback has returned; and where that is OK, of COMMIT. */
static weir_status end_of(struct run *r, weir_tx *tx, weir_status st, weir_error *error)
{
	struct wi_tx m;

	if (st != WEIR_OK)
		return say_nothing_more(st, error);
	wi_tx_load(tx, &m);
	if (m.rolled_back)
		return WEIR_OK;
	st = wi_tx_finish(tx, error);
	r->result.committed = st == WEIR_OK;
	return st;
}

static int64_t deadline_of(const struct run *r)
{
	int64_t until_ns = WI_FOREVER;

	if (r->tx.timeout_ms > 0)
		until_ns = wi_deadline_after(r->world->now(), r->tx.timeout_ms);
	return until_ns < r->deadline_ns ? until_ns : r->deadline_ns;
}

static bool writes(const struct run *r)
{
	return r->request.intent == WEIR_WRITE && !r->tx.read_only;
}

/* What the next attempt is to keep in mind. */
static void remember(struct run *r, const struct weir_conn *c, weir_again why)
{
	const struct wi_host *h = wi_host_of(c->pool);

	r->has_lost = why == WEIR_AGAIN_LOST || why == WEIR_AGAIN_DEMOTED;
	if (r->request.intent == WEIR_READ && h)
		r->avoid = UINT64_C(1) << h->number;
}

static weir_status open_tx(struct run *r, weir_conn *conn, weir_tx *tx, weir_error *error)
{
	WI_NO_CANCEL;

	return wi_tx_open(conn, &r->tx, deadline_of(r), true, tx, error);
}

/* What a callback has in hands that does not know it. */
struct lent {
	weir_tx *tx;
	weir_conn *conn;
};

/* Its thread was cancelled. */
static void take_back(void *arg)
{
	struct lent *l = arg;

	wi_tx_leave(l->tx);
	if (wi_conn_of(l->conn))
		weir_checkin(&l->conn);
}

static weir_status call(struct run *r, weir_tx *tx, weir_conn *conn, weir_error *error)
{
	struct lent lent = {tx, conn};
	weir_status st;

	pthread_cleanup_push(take_back, &lent);
	st = r->body(tx, r->arg, error);
	pthread_cleanup_pop(0);
	return st;
}

/*
 * The callback's SQL has ended it, in whichever way: then nobody knows that nothing is committed.
 */
static bool was_ended(const weir_tx *tx, const struct weir_conn *c)
{
	enum wi_look look = c->pool->driver->look(c->link);
	struct wi_facts facts;
	struct wi_tx m;

	wi_tx_load(tx, &m);
	c->pool->driver->facts(c->link, &facts);
	return m.state == WI_TX_OPEN &&
	       (look == WI_LOOK_CLEAN || look == WI_LOOK_CHANGED || facts.commits != m.commits);
}

/*
 * In a transaction of its own. *why: it may be tried again, for the connection is back at what it
 * was, or lost.
 */
static weir_status attempt(struct run *r, weir_conn *conn, weir_again *why, weir_error *error)
{
	const struct weir_conn *c = wi_conn_of(conn);
	weir_tx tx = WEIR_TX();
	weir_status st = open_tx(r, conn, &tx, error);

	if (st == WEIR_OK) {
		st = call(r, &tx, conn, error);
		st = end_of(r, &tx, st, error);
	}
	if (st != WEIR_OK && wi_pool_is_parents(c->pool)) {
		st = wi_fail(error, WEIR_FORKED, "the run is that of the parent of this process");
	} else if (st != WEIR_OK && wi_conn_of(conn) == c) {
		*why = wi_retry_why(c, st, error->sqlstate, writes(r));
		remember(r, c, *why);
		if (*why && was_ended(&tx, c)) {
			*why = WEIR_AGAIN_NEVER;
			st = wi_fail(error, WEIR_INVALID,
			             "the transaction was ended by SQL of the callback's");
		}
	}
	/* What has no time left is rolled back by the keeper. */
	if (r->world->now() < r->deadline_ns)
		weir_tx_end(&tx);
	else
		wi_tx_leave(&tx);
	return st;
}

/* ---- again ---- */

/* Whether there is to be another attempt; after a pause, if so. */
static bool goes_on(struct run *r, weir_again why)
{
	int64_t pause_ns;

	if (why == WEIR_AGAIN_NEVER ||
	    (r->s.max_attempts && r->result.attempts >= r->s.max_attempts))
		return false;
	pause_ns = wi_pauses_next(&r->pauses);
	if (r->deadline_ns != WI_FOREVER && pause_ns >= r->deadline_ns - r->world->now())
		return false;
	r->result.why = why;
	wi_pause(r->world, pause_ns, is_closed, r);
	return true;
}

/* One round: *why says whether another may follow, which the caller then is inside for. */
static weir_status once(struct run *r, weir_again *why, weir_error *error)
{
	weir_conn *conn = NULL;
	weir_status st, closed;

	*why = WEIR_AGAIN_NEVER;
	memset(error, 0, sizeof(*error));
	st = take(r, &conn, error);
	if (st != WEIR_OK) {
		if (st == WEIR_CONNECT && r->has_lost)
			*why = WEIR_AGAIN_NO_CONNECTION;
		return st;
	}
	leave(r);
	st = attempt(r, conn, why, error);
	/* While the connection is out, so that nothing is freed between the two. */
	if (*why && (closed = come_in(r, error)) != WEIR_OK) {
		*why = WEIR_AGAIN_NEVER;
		st = closed;
	}
	if (st != WEIR_STALE || wi_conn_of(conn)) /* else the callback has given it back */
		weir_checkin(&conn);
	return st;
}

static weir_status run(struct run *r, weir_error *error)
{
	weir_again why;
	weir_status st = come_in(r, error);

	if (st != WEIR_OK)
		return st;
	do
		st = once(r, &why, error);
	while (st != WEIR_OK && goes_on(r, why));
	leave(r);
	return st;
}

/* ---- the calls ---- */

static weir_status check(const struct run *r, weir_error *error)
{
	if (!r->body)
		return wi_fail(error, WEIR_INVALID, "the callback is NULL");
	if (r->s.pause_ms < 0 || r->s.max_pause_ms < 0 || r->s.pause_ms > INT32_MAX ||
	    r->s.max_pause_ms > INT32_MAX)
		return wi_fail(error, WEIR_INVALID, "a pause is negative, or more than %d ms",
		               INT32_MAX);
	if (r->s.result && r->s.result->size && r->s.result->size < sizeof(r->result))
		return wi_fail(error, WEIR_INVALID, "the result is too small");
	if (r->pool && r->s.request)
		return wi_fail(error, WEIR_INVALID, "a pool's run has no request");
	if (r->request.intent == WEIR_READ && r->tx.token)
		return wi_fail(error, WEIR_INVALID,
		               "a read-only transaction has no position to wait for");
	return WEIR_OK;
}

static weir_status prepare(struct run *r, const weir_run_settings *settings, weir_error *error)
{
	const weir_options *options = r->router ? &r->router->options : &r->pool->options;
	weir_status st;

	if (!wi_settings_load(&r->s, sizeof(r->s), settings))
		return wi_fail(error, WEIR_INVALID,
		               "the settings ask for something that this weir does not know");
	st = wi_tx_settings_load(&r->tx, r->s.tx, error);
	if (st != WEIR_OK)
		return st;
	if (!wi_settings_load(&r->request, sizeof(r->request), r->s.request))
		return wi_fail(error, WEIR_INVALID,
		               "the request asks for something that this weir does not know");
	st = check(r, error);
	if (st != WEIR_OK)
		return st;
	r->request.size = sizeof(r->request);
	r->tx.read_only |= r->request.intent == WEIR_READ;
	r->deadline_ns = wi_deadline_after(
		r->world->now(),
		r->s.timeout_ms ? r->s.timeout_ms : wi_word_load(&options->checkout_timeout_ms));
	wi_pauses_init(&r->pauses, (r->s.pause_ms ? r->s.pause_ms : FIRST_PAUSE_MS) * WI_MS,
	               (r->s.max_pause_ms ? r->s.max_pause_ms : MOST_PAUSE_MS) * WI_MS,
	               (uint64_t)r->world->now() ^ (uint64_t)(uintptr_t)r);
	return WEIR_OK;
}

static void tell(const struct run *r)
{
	size_t size;

	if (!r->s.result)
		return;
	size = r->s.result->size;
	*r->s.result = r->result;
	r->s.result->size = size;
}

static weir_status prepare_and_run(struct run *r, const weir_run_settings *settings,
                                   weir_error *error)
{
	weir_error unwanted;
	weir_status st;

	if (!error)
		error = &unwanted;
	st = prepare(r, settings, error);
	if (st != WEIR_OK)
		return st;
	st = run(r, error);
	tell(r);
	return st;
}

weir_status weir_run(weir_router *router, const weir_run_settings *settings, weir_run_body body,
                     void *arg, weir_error *error)
{
	struct run r = {.router = router, .body = body, .arg = arg};

	if (!router)
		return wi_fail(error, WEIR_INVALID, "router is NULL");
	r.world = router->world;
	return prepare_and_run(&r, settings, error);
}

weir_status weir_pool_run(weir_pool *pool, const weir_run_settings *settings, weir_run_body body,
                          void *arg, weir_error *error)
{
	struct run r = {.pool = pool, .body = body, .arg = arg};

	if (!pool)
		return wi_fail(error, WEIR_INVALID, "pool is NULL");
	r.world = pool->core.world;
	return prepare_and_run(&r, settings, error);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From checkout to checkin in one call, under one deadline.
 *
 * A read is run again where nothing of it can have been committed and another connection may do
 * better: its connection was lost, or a standby gave it up for what it had to replay (40001). The
 * lost connection goes back first, so that the keeper hears of it and judges the others of its
 * host; the next one is another host's, if one can be had. A write is run once, whatever comes of
 * it.
 */
#include <string.h>

#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "exec/judge.h"
#include "exec/query.h"
#include "pool/pool.h"
#include "route/router.h"

#define MOST_RUNS 3
#define ELSEWHERE_MS 50

/* What is left of the time, in the terms of a checkout's timeout: more than 0, or for ever. */
static int64_t left_ms(int64_t deadline_ns, int64_t now_ns)
{
	if (deadline_ns == WI_FOREVER)
		return -1;
	return now_ns >= deadline_ns ? 1 : (deadline_ns - now_ns + WI_MS - 1) / WI_MS;
}

/* The shorter of two timeouts, of which a negative one is for ever. */
static int64_t shorter(int64_t a_ms, int64_t b_ms)
{
	if (a_ms < 0 || b_ms < 0)
		return a_ms < 0 ? b_ms : a_ms;
	return a_ms < b_ms ? a_ms : b_ms;
}

static weir_status run_on(weir_conn *conn, const weir_statement *s, int64_t deadline_ns,
                          struct pg_result **result, weir_error *error)
{
	struct weir_conn *c = wi_conn_of(conn);

	return wi_conn_query(c, c->pool->driver->look(c->link), s, deadline_ns, result, error);
}

/* ---- a pool ---- */

weir_status weir_pool_query_with(weir_pool *pool, const weir_statement *statement,
                                 struct pg_result **result, weir_error *error)
{
	const char *call = "weir_pool_query";
	int64_t deadline_ns, now_ns;
	weir_conn *conn = NULL;
	weir_statement s;
	weir_status st;
	WI_NO_CANCEL;

	if (!pool || !result)
		return wi_fail(error, WEIR_INVALID, "%s: %s is NULL", call,
		               pool ? "result" : "pool");
	*result = NULL;
	st = wi_statement_load(&s, statement, call, error);
	if (st != WEIR_OK)
		return st;
	now_ns = pool->core.world->now();
	deadline_ns = wi_statement_deadline(&pool->options, s.timeout_ms, now_ns);
	st = weir_pool_checkout(pool,
	                        shorter(wi_word_load(&pool->options.checkout_timeout_ms),
	                                left_ms(deadline_ns, now_ns)),
	                        &conn, error);
	if (st != WEIR_OK)
		return st;
	st = run_on(conn, &s, deadline_ns, result, error);
	weir_checkin(&conn);
	return st;
}

weir_status weir_pool_query(weir_pool *pool, const char *sql, int n_params,
                            const char *const *values, struct pg_result **result, weir_error *error)
{
	const weir_statement s = WEIR_STATEMENT(.sql = sql, .n_params = n_params, .values = values);

	return weir_pool_query_with(pool, &s, result, error);
}

/* ---- a router ---- */

/* As much of a request as both know: what this weir does not know, the checkout complains of. */
static weir_status load_request(weir_request *to, const weir_request *from, weir_error *error)
{
	size_t size = from && from->size ? from->size : sizeof(*to);

	*to = WEIR_REQUEST();
	for (size_t i = sizeof(*to); from && i < size; i++)
		if (((const unsigned char *)from)[i])
			return wi_fail(error, WEIR_INVALID,
			               "the request asks for something that this weir does not "
			               "know");
	if (from)
		memcpy(to, from, size < sizeof(*to) ? size : sizeof(*to));
	to->size = sizeof(*to);
	return WEIR_OK;
}

/* How long to look for a host that has not failed yet: any is better than none. */
static int64_t elsewhere_ms(const weir_request *q, int64_t left)
{
	if (q->timeout_ms == WEIR_NO_WAIT)
		return WEIR_NO_WAIT;
	return left < 0 ? ELSEWHERE_MS : shorter(ELSEWHERE_MS, left / 2 + 1);
}

/*
 * A checkout within what is left of the time; elsewhere than at the hosts to avoid, if that can be
 * had soon.
 */
static weir_status check_out(weir_router *r, const weir_request *request, uint64_t avoid,
                             int64_t deadline_ns, weir_conn **conn, weir_error *error)
{
	int64_t left = left_ms(deadline_ns, r->world->now());
	weir_request q = *request;

	if (avoid && wi_checkout_elsewhere(r, &q, avoid, elsewhere_ms(&q, left), conn) == WEIR_OK)
		return WEIR_OK;
	if (q.timeout_ms == 0) {
		q.timeout_ms = wi_word_load(&r->options.checkout_timeout_ms);
		q.timeout_ms = q.timeout_ms ? q.timeout_ms : WEIR_NO_WAIT;
	}
	if (q.timeout_ms != WEIR_NO_WAIT)
		q.timeout_ms = shorter(q.timeout_ms, left);
	return weir_checkout_with(r, &q, conn, error);
}

/* An error is the whole outcome only of what cannot commit on its way, as a procedure can. */
static bool may_run_again(const weir_router *r, const weir_request *q, const weir_statement *s,
                          weir_status st, int runs, int64_t deadline_ns)
{
	bool nothing_done = st == WEIR_CONNECT || (st == WEIR_RETRY && wi_is_plain_sql(s->sql));

	return q->intent == WEIR_READ && nothing_done && runs < MOST_RUNS &&
	       r->world->now() < deadline_ns;
}

/* The bit of its host. */
static uint64_t host_of(const struct weir_conn *c)
{
	const struct wi_host *h = wi_host_of(c->pool);

	return h ? UINT64_C(1) << h->number : 0;
}

/*
 * Between two runs no connection is out: the caller is counted inside then, so that the router is
 * not freed under him.
 */
static weir_status run_all(weir_router *r, const weir_request *q, const weir_statement *s,
                           int64_t deadline_ns, struct pg_result **result, weir_error *error)
{
	uint64_t avoid = 0;

	for (int runs = 1;; runs++) {
		weir_conn *conn = NULL;
		weir_status st = check_out(r, q, avoid, deadline_ns, &conn, error);
		const struct weir_conn *c;

		if (runs > 1)
			wi_router_leave(r);
		if (st != WEIR_OK)
			return st;
		st = run_on(conn, s, deadline_ns, result, error);
		if (!may_run_again(r, q, s, st, runs, deadline_ns) ||
		    wi_router_come_in(r, NULL) != WEIR_OK) {
			weir_checkin(&conn);
			return st;
		}
		c = wi_conn_of(conn);
		avoid |= host_of(c);
		c->pool->driver->result_free(*result);
		*result = NULL;
		weir_checkin(&conn);
	}
}

weir_status weir_query_with(weir_router *router, const weir_request *request,
                            const weir_statement *statement, struct pg_result **result,
                            weir_error *error)
{
	const char *call = "weir_query";
	weir_statement s;
	weir_request q;
	weir_status st;
	WI_NO_CANCEL;

	if (!router || !result)
		return wi_fail(error, WEIR_INVALID, "%s: %s is NULL", call,
		               router ? "result" : "router");
	*result = NULL;
	st = wi_statement_load(&s, statement, call, error);
	if (st == WEIR_OK)
		st = load_request(&q, request, error);
	if (st != WEIR_OK)
		return st;
	if (!q.tag)
		q.tag = s.tag;
	return run_all(router, &q, &s,
	               wi_statement_deadline(&router->options, s.timeout_ms, router->world->now()),
	               result, error);
}

weir_status weir_query(weir_router *router, weir_intent intent, const char *sql, int n_params,
                       const char *const *values, struct pg_result **result, weir_error *error)
{
	const weir_request q = WEIR_REQUEST(.intent = intent);
	const weir_statement s = WEIR_STATEMENT(.sql = sql, .n_params = n_params, .values = values);

	return weir_query_with(router, &q, &s, result, error);
}

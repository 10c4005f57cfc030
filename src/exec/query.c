/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One statement with parameters, on a connection that is checked out.
 *
 * Whether its loss has committed something: inside a transaction a single statement that is no
 * COMMIT cannot have; nor can a SELECT or the like on a session that weir itself made read-only, as
 * long as nothing in that session has changed since (its default_transaction_read_only is reported,
 * and so part of what a look compares), nor a pooler was found that shares it with others.
 */
#include "exec/query.h"

#include <stddef.h>
#include <string.h>

#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "exec/judge.h"
#include "exec/outcome.h"
#include "pool/pool.h"
#include "pool/tally.h"

#define MOST_PARAMETERS 65535 /* the protocol's: chapter 55.7, Bind */

struct weir_conn *wi_exec_enter(weir_conn *conn, const char *call, enum wi_look *look,
                                weir_status *status, weir_error *error)
{
	struct weir_conn *c = wi_conn_of(conn);

	if (!c) {
		*status = wi_fail(error, WEIR_STALE, "%s: the connection was given back already",
		                  call);
		return NULL;
	}
	if (wi_pool_is_parents(c->pool)) {
		*status = wi_fail(error, WEIR_FORKED,
		                  "%s: the connection belongs to the parent of this process", call);
		return NULL;
	}
	*look = c->pool->driver->look(c->link);
	*status = WEIR_OK;
	if (*look != WI_LOOK_BUSY)
		return c;
	*status = wi_fail(error, WEIR_INVALID, "%s: another query is under way on this connection",
	                  call);
	return NULL;
}

static weir_status check(const weir_statement *s, const char *what, weir_error *error)
{
	if (!s->sql)
		return wi_fail(error, WEIR_INVALID, "%s: sql is NULL", what);
	if (s->n_params < 0 || s->n_params > MOST_PARAMETERS)
		return wi_fail(error, WEIR_INVALID, "%s: there may be 0 to %d parameters, not %d",
		               what, MOST_PARAMETERS, s->n_params);
	if (s->n_params && !s->values)
		return wi_fail(error, WEIR_INVALID, "%s: %d parameters, and values is NULL", what,
		               s->n_params);
	if ((unsigned)s->result_format > 1)
		return wi_fail(error, WEIR_INVALID, "%s: result_format is neither 0 nor 1", what);
	if ((unsigned)s->prepare > WEIR_PREPARE_NEVER)
		return wi_fail(error, WEIR_INVALID, "%s: unknown prepare %d", what,
		               (int)s->prepare);
	for (int i = 0; s->formats && i < s->n_params; i++)
		if ((unsigned)s->formats[i] > 1 || (s->formats[i] && !s->lengths))
			return wi_fail(error, WEIR_INVALID,
			               "%s: parameter $%d: its format is neither 0 nor 1, or it "
			               "is binary and lengths is NULL",
			               what, i + 1);
	return WEIR_OK;
}

weir_status wi_statement_load(weir_statement *to, const weir_statement *from, const char *what,
                              weir_error *error)
{
	size_t size;

	memset(to, 0, sizeof(*to));
	if (!from)
		return wi_fail(error, WEIR_INVALID, "%s: statement is NULL", what);
	size = from->size ? from->size : sizeof(*to);
	for (size_t i = sizeof(*to); i < size; i++)
		if (((const unsigned char *)from)[i])
			return wi_fail(error, WEIR_INVALID,
			               "%s: it asks for something that this weir does not know",
			               what);
	memcpy(to, from, size < sizeof(*to) ? size : sizeof(*to));
	return check(to, what, error);
}

static enum wi_keep keep(const struct weir_conn *c, const weir_statement *s)
{
	if (s->prepare == WEIR_PREPARE_NEVER || !c->pool->target.plans ||
	    wi_load_rlx(&c->pool->pooled) || !wi_is_plain_sql(s->sql))
		return WI_KEEP_NOT;
	return s->prepare == WEIR_PREPARE_AT_ONCE ? WI_KEEP_AT_ONCE : WI_KEEP_SECOND;
}

struct wi_call wi_statement_call(const struct weir_conn *c, const weir_statement *s)
{
	return (struct wi_call){
		.sql = s->sql,
		.n_params = s->n_params,
		.types = s->types,
		.values = s->values,
		.lengths = s->lengths,
		.formats = s->formats,
		.result_format = s->result_format,
		.keep = keep(c, s),
	};
}

int64_t wi_statement_deadline(const weir_options *options, int64_t timeout_ms, int64_t now_ns)
{
	if (timeout_ms == 0)
		timeout_ms = wi_word_load(&options->query_timeout_ms);
	if (timeout_ms == 0)
		timeout_ms = -1;
	return wi_deadline_after(now_ns, timeout_ms);
}

bool wi_may_have_committed(const struct weir_conn *c, enum wi_look look, const char *sql)
{
	if (look == WI_LOOK_CLEAN && c->read_only && wi_load_rlx(&c->pool->guards) &&
	    wi_is_plain_sql(sql))
		return false;
	return wi_may_commit(sql, look == WI_LOOK_IN_TX);
}

/* One statement's way to its server, with what weir sends around it. */
struct run {
	struct weir_conn *c;
	enum wi_look look;
	const weir_statement *s;
	int64_t deadline_ns;
	bool unknown; /* whether its loss leaves the outcome open */
	struct wi_limit limit;
	struct wi_call calls[3];
	struct pg_result *of[3];
	size_t n, its; /* calls, and which of them is the user's */
	struct wi_results results;
	struct wi_failure failure;
};

static void line_up(struct run *r)
{
	wi_limit_init(&r->limit, r->c, r->look, wi_is_plain_sql(r->s->sql), r->deadline_ns);
	r->n = wi_limit_before(&r->limit, r->c, &r->calls[0]);
	r->its = r->n;
	r->calls[r->n++] = wi_statement_call(r->c, r->s);
	r->n += wi_limit_after(&r->limit, r->c, &r->calls[r->n]);
	memset(r->of, 0, sizeof(r->of));
	r->results = (struct wi_results){.of = r->of};
	r->failure = (struct wi_failure){0};
}

/* What is the caller's to have; the rest goes. */
static void hand_over(struct run *r, bool whole, struct pg_result **result)
{
	size_t which = whole ? r->its : r->results.failed;

	for (size_t i = 0; i < r->n; i++) {
		if (i == which)
			*result = r->of[i];
		else
			r->c->pool->driver->result_free(r->of[i]);
		r->of[i] = NULL;
	}
}

static void drop_all(struct run *r)
{
	for (size_t i = 0; i < r->n; i++)
		r->c->pool->driver->result_free(r->of[i]);
}

/* The server's own error; *again: it is one that another try outside a transaction mends. */
static weir_status refused(struct run *r, bool *again, struct pg_result **result, weir_error *error)
{
	weir_status st;

	*again = (r->results.stale || r->results.doubtful) && r->look != WI_LOOK_IN_TX;
	if (*again) {
		drop_all(r);
		return WEIR_OK;
	}
	st = wi_outcome(r->c, WI_SAID_ERROR, r->unknown, NULL, &r->failure, error);
	if (r->results.stale)
		st = wi_was_stale(error);
	else if (wi_limit_struck(&r->limit, r->c, &r->failure))
		st = wi_was_struck(error);
	hand_over(r, false, result);
	return st;
}

/* Sends and waits. What commits by itself may have left though the end has not. */
static enum wi_said exchange(struct run *r)
{
	const struct wi_driver *d = r->c->pool->driver;
	int64_t sent_ns = r->c->pool->core.world->now();
	bool leaves = r->unknown && !wi_is_plain_sql(r->s->sql) && r->look != WI_LOOK_DEAD;

	if (!d->send_calls(r->c->link, r->calls, r->n, &r->failure))
		return wi_said_unsent(r->c, leaves && r->failure.fault != WI_FAULT_MEMORY,
		                      &r->failure);
	return wi_said_by(r->c,
	                  wi_conn_await_results(r->c, r->calls, r->n, &r->results, r->deadline_ns,
	                                        &r->failure),
	                  sent_ns, &r->failure);
}

static weir_status once(struct run *r, bool *again, struct pg_result **result, weir_error *error)
{
	enum wi_said said;

	*again = false;
	if (r->c->pool->core.world->now() >= r->deadline_ns)
		return wi_out_of_time(r->c, error);
	line_up(r);
	said = exchange(r);
	if (said == WI_SAID_ERROR)
		return refused(r, again, result, error);
	if (said == WI_SAID_DONE)
		hand_over(r, true, result);
	else
		drop_all(r); /* half an answer is none */
	return wi_outcome(r->c, said, r->unknown, NULL, &r->failure, error);
}

static weir_status run(struct run *r, struct pg_result **result, weir_error *error)
{
	bool again;
	weir_status st = once(r, &again, result, error);

	/* A second time what was prepared is so anew: what is stale then is no longer ours. */
	if (again)
		st = once(r, &again, result, error);
	if (again)
		st = wi_outcome(r->c, WI_SAID_ERROR, r->unknown, NULL, &r->failure, error);
	return st;
}

weir_status wi_conn_query(struct weir_conn *c, enum wi_look look, const weir_statement *s,
                          int64_t deadline_ns, struct pg_result **result, weir_error *error)
{
	int64_t began_ns = c->pool->core.world->now();
	struct run r = {.c = c,
	                .look = look,
	                .s = s,
	                .deadline_ns = deadline_ns,
	                .unknown = wi_may_have_committed(c, look, s->sql)};
	weir_status st = run(&r, result, error);

	wi_tally_query(c, began_ns, c->pool->core.world->now(), st,
	               s->tag ? s->tag : wi_load_rlx(&c->tag));
	return st;
}

weir_status weir_conn_query(weir_conn *conn, const weir_statement *statement,
                            struct pg_result **result, weir_error *error)
{
	const char *call = "weir_conn_query";
	struct weir_conn *c;
	weir_statement s;
	enum wi_look look;
	weir_status st;
	WI_NO_CANCEL;

	if (!conn || !result)
		return wi_fail(error, WEIR_INVALID, "%s: %s is NULL", call,
		               conn ? "result" : "conn");
	*result = NULL;
	st = wi_statement_load(&s, statement, call, error);
	if (st != WEIR_OK)
		return st;
	c = wi_exec_enter(conn, call, &look, &st, error);
	if (!c)
		return st;
	return wi_conn_query(
		c, look, &s,
		wi_statement_deadline(&c->pool->options, s.timeout_ms, c->pool->core.world->now()),
		result, error);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exchanges with the fake driver's server whose results are wanted, and the statements that it has
 * prepared.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/atomic.h"
#include "base/text.h"
#include "driver/fake_conn.h"
#include "driver/fault.h"

void wi_fake_forget_calls(struct fake_conn *c)
{
	if (c->exchange.n)
		c->changed |= wi_exchange_forget(&c->exchange, c->plans);
}

bool wi_fake_send_calls(void *conn, const struct wi_call *calls, size_t n,
                        struct wi_failure *failure)
{
	struct fake_conn *c = conn;

	wi_fake_forget_calls(c);
	if (!wi_fake_begin(c, failure))
		return false;
	if (!c->plans && c->target->plans)
		c->plans = wi_plans_new(c->target->plans);
	if (!wi_exchange_begin(&c->exchange, c->plans, calls, n)) {
		wi_fake_fail(c, failure, WI_FAULT_MEMORY, "", "out of memory");
		return false;
	}
	return true;
}

/* Runs one of the statements whose results are wanted. */
static bool run_call(struct fake_conn *c, const struct wi_call *call, struct pg_result **result,
                     struct wi_failure *failure)
{
	bool changed = c->changed, done;
	struct wi_answer row;

	wi_fake_forget_sql(c);
	c->sql = wi_strdup(call->sql);
	if (!c->sql) {
		wi_failure_set(failure, WI_FAULT_MEMORY, "", "out of memory", NULL);
		return false;
	}
	c->call = call;
	done = wi_fake_run_sql(c, &row, failure);
	c->call = NULL;
	*result = c->reply ? c->reply : wi_fake_result(&row, !done);
	c->reply = NULL;
	if (call->own)
		c->changed = changed;
	return done;
}

/* Where the session has this name, or a free place for 0. */
static uint64_t *place_of(struct fake_conn *c, uint64_t name)
{
	for (int i = 0; i < FAKE_PLANS; i++)
		if (c->names[i] == name)
			return &c->names[i];
	return NULL;
}

static bool refuse(struct wi_failure *failure, const char *sqlstate)
{
	wi_failure_set(failure, WI_FAULT_SQL, sqlstate, "as a server would say", NULL);
	return false;
}

/* One message; what a server has to say to it besides what a script has. */
static bool run_part(struct fake_conn *c, const struct wi_part *part, const struct wi_call *call,
                     struct pg_result **result, struct wi_failure *failure)
{
	uint64_t *place = part->kind == WI_PART_RUN ? NULL : place_of(c, part->name);
	int stale = wi_load_rlx(&c->server->stale_plans);

	switch (part->kind) {
	case WI_PART_PREPARE:
		wi_check(!place && place_of(c, 0));
		*place_of(c, 0) = part->name;
		wi_add_rlx(&c->server->prepares, 1);
		return true;
	case WI_PART_DROP:
		if (!place)
			return refuse(failure, "26000");
		*place = 0;
		wi_add_rlx(&c->server->drops, 1);
		return true;
	case WI_PART_RUN_NAMED:
		if (!place)
			return refuse(failure, "26000");
		if (stale > 0) {
			wi_store_rlx(&c->server->stale_plans, stale - 1);
			return refuse(failure, "0A000");
		}
		wi_add_rlx(&c->server->named, 1);
		break;
	case WI_PART_RUN:
		break;
	}
	return run_call(c, call, result, failure);
}

/* What the end of a part says of what is prepared. */
static enum wi_stale staleness(struct fake_conn *c, const struct wi_part *part,
                               const struct wi_failure *failure)
{
	if (part->kind == WI_PART_RUN_NAMED && strcmp(failure->sqlstate, "0A000") == 0)
		return WI_STALE_PLAN;
	if (part->kind != WI_PART_RUN && strcmp(failure->sqlstate, "26000") == 0 &&
	    !place_of(c, part->name))
		return WI_STALE_NAME;
	return WI_STALE_NOT;
}

static bool run_parts(struct fake_conn *c, const struct wi_call *calls, struct wi_results *results,
                      struct wi_failure *failure)
{
	struct wi_exchange *x = &c->exchange;
	enum wi_stale stale = WI_STALE_NOT;
	bool done = true;

	for (; done && x->at < x->n; x->at += done) {
		const struct wi_part part = wi_exchange_part(c->plans, x->at);

		done = run_part(c, &part, &calls[part.call], &results->of[part.call], failure);
		if (done)
			continue;
		results->failed = part.call;
		stale = staleness(c, &part, failure);
	}
	results->stale = stale != WI_STALE_NOT && wi_exchange_relied_on_old(x, c->plans);
	if (stale != WI_STALE_NOT)
		wi_fake_fail_any_transaction(c);
	c->changed |= wi_exchange_end(x, c->plans, stale);
	return done;
}

enum wi_step wi_fake_results_step(void *conn, const struct wi_call *calls, size_t n,
                                  struct wi_results *results, struct wi_failure *failure)
{
	struct fake_conn *c = conn;

	results->failed = n;
	results->stale = false;
	if (wi_fake_has_ended(c, failure))
		return WI_STEP_FAILED;
	if (!wi_fake_is_due(c) && !wi_load_rlx(&c->session->cancelled))
		return WI_STEP_READ;
	wi_add_rlx(&c->server->queries, 1);
	if (wi_fake_was_cancelled(c, failure)) {
		results->failed = 0;
		wi_fake_forget_calls(c);
		return wi_fake_end_exchange(c, false, failure);
	}
	return wi_fake_end_exchange(c, run_parts(c, calls, results, failure), failure);
}

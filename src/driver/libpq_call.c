/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exchanges whose results are wanted: one statement with its parameters, or several messages in a
 * pipeline with one Sync at its end. Which statements are prepared, and what is to be sent for
 * that, is known in plans.c.
 */
#include <stdio.h>
#include <string.h>

#include "driver/fault.h"
#include "driver/libpq.h"

/* The messages up to Execute of one part; false as libpq's. */
static bool send_part(PGconn *pg, const struct wi_part *part, const struct wi_call *call)
{
	char name[WI_PLAN_NAME], drop[sizeof("DEALLOCATE ") + WI_PLAN_NAME];

	wi_plan_name(part->name, name);
	switch (part->kind) {
	case WI_PART_RUN:
		return PQsendQueryParams(pg, call->sql, call->n_params, call->types, call->values,
		                         call->lengths, call->formats, call->result_format);
	case WI_PART_RUN_NAMED:
		return PQsendQueryPrepared(pg, name, call->n_params, call->values, call->lengths,
		                           call->formats, call->result_format);
	case WI_PART_PREPARE:
		return PQsendPrepare(pg, name, call->sql, call->n_params, call->types);
	case WI_PART_DROP:
		/* There is no message for it before libpq 17. */
		snprintf(drop, sizeof(drop), "DEALLOCATE %s", name);
		return PQsendQueryParams(pg, drop, 0, NULL, NULL, NULL, NULL, 0);
	}
	return false;
}

static bool send_all(struct pq_conn *c, const struct wi_call *calls)
{
	const struct wi_exchange *x = &c->exchange;
	bool is_one = x->n == 1;

	if (!is_one && !PQenterPipelineMode(c->pg))
		return false;
	for (uint32_t i = 0; i < x->n; i++) {
		struct wi_part part = wi_exchange_part(wi_pq_plans(c), i);

		if (!send_part(c->pg, &part, &calls[part.call]))
			return false;
	}
	return is_one || PQpipelineSync(c->pg);
}

/* Whether any of them is to be kept, and there is something to keep it in. */
static struct wi_plans *plans_for(struct pq_conn *c, const struct wi_call *calls, size_t n)
{
	for (size_t i = 0; !c->plans && c->target->plans && i < n; i++)
		if (calls[i].keep != WI_KEEP_NOT)
			c->plans = wi_plans_new(c->target->plans);
	return c->plans;
}

/* What the part is whose answer comes next. false: all were answered. */
static bool part_now(const struct pq_conn *c, struct wi_part *part)
{
	const struct wi_exchange *x = &c->exchange;

	if (x->at >= x->n)
		return false;
	*part = wi_exchange_part(wi_pq_plans(c), x->at);
	return true;
}

bool wi_pq_send_calls(void *conn, const struct wi_call *calls, size_t n, struct wi_failure *failure)
{
	struct pq_conn *c = conn;

	wi_pq_forget_calls(c);
	if (c->failed || PQtransactionStatus(c->pg) == PQTRANS_ACTIVE ||
	    PQsetnonblocking(c->pg, 1) != 0) {
		wi_pq_tell_lost(c, failure);
		return false;
	}
	if (!wi_exchange_begin(&c->exchange, plans_for(c, calls, n), calls, n)) {
		c->failed = true;
		wi_failure_set(failure, WI_FAULT_MEMORY, NULL, "no memory for the statements",
		               NULL);
		return false;
	}
	if (!send_all(c, calls)) {
		wi_pq_tell_lost(c, failure);
		return false;
	}
	wi_pq_begin_exchange(c, c->exchange.n == 1 ? 0 : 1);
	return true;
}

void wi_pq_forget_calls(struct pq_conn *c)
{
	if (c->exchange.n)
		c->changed |= wi_exchange_forget(&c->exchange, wi_pq_plans(c));
}

/* Whether its words, of whatever language, have the name of what was prepared. */
static bool is_about(const PGresult *error, uint64_t name)
{
	const char *words = PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY);
	char text[WI_PLAN_NAME];

	wi_plan_name(name, text);
	return words && strstr(words, text);
}

/*
 * Whether an error says that what was prepared is of no use any more: of the codes alone, a
 * statement's own error would be taken for that.
 */
enum wi_stale wi_pq_staleness(const struct pq_conn *c, const PGresult *error)
{
	const char *sqlstate = PQresultErrorField(error, PG_DIAG_SQLSTATE);
	const char *where = PQresultErrorField(error, PG_DIAG_SOURCE_FUNCTION);
	struct wi_part part;

	if (!part_now(c, &part) || !sqlstate || !where)
		return WI_STALE_NOT;
	if (part.kind == WI_PART_RUN_NAMED && strcmp(sqlstate, "0A000") == 0 &&
	    strcmp(where, "RevalidateCachedQuery") == 0)
		return WI_STALE_PLAN;
	if ((part.kind == WI_PART_RUN_NAMED || part.kind == WI_PART_DROP) &&
	    strcmp(sqlstate, "26000") == 0 && is_about(error, part.name))
		return WI_STALE_NAME;
	if (part.inferred && (strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "42", 2) == 0))
		return WI_STALE_TYPES;
	return WI_STALE_NOT;
}

/* What is told of an exchange from step to step. */
struct hearer {
	struct pq_conn *c;
	const struct wi_call *calls;
	struct wi_results *to;
	size_t n;
	struct wi_failure *failure;
};

/* The first error is the cause; if it ends the session, the server says nothing more. */
static void take_error(const struct hearer *h, const PGresult *result)
{
	struct pq_conn *c = h->c;
	struct wi_part part;

	if (h->to->failed < h->n)
		return;
	h->to->failed = part_now(c, &part) ? part.call : h->n - 1;
	c->stale = wi_pq_staleness(c, result);
	h->to->doubtful = c->stale == WI_STALE_TYPES;
	h->to->stale = c->stale != WI_STALE_NOT && !h->to->doubtful &&
	               wi_exchange_relied_on_old(&c->exchange, wi_pq_plans(c));
	wi_pq_failure_of_result(h->failure,
	                        wi_pq_is_own_error(c, result) ? WI_FAULT_MEMORY : WI_FAULT_SQL,
	                        result, wi_pq_secret_of(c));
	wi_pq_hear_end(c, result);
}

/*
 * A result of a statement goes to who called; of what was done for it, only an error. An error may
 * follow upon a result: that of the implicit commit, at the Sync.
 */
static void keep(const struct hearer *h, PGresult *result, bool failed)
{
	const struct wi_exchange *x = &h->c->exchange;
	struct wi_part part = wi_exchange_part(wi_pq_plans(h->c), x->at < x->n ? x->at : x->n - 1);
	bool is_its = part.kind == WI_PART_RUN || part.kind == WI_PART_RUN_NAMED;

	if (failed && h->to->of[part.call]) {
		PQclear(h->to->of[part.call]);
		h->to->of[part.call] = NULL;
	}
	if ((is_its || failed) && !h->to->of[part.call])
		h->to->of[part.call] = result;
	else
		PQclear(result);
}

/* One more result; false: of a kind that is not expected. */
static bool take_result(const struct hearer *h, PGresult *result)
{
	switch (PQresultStatus(result)) {
	case PGRES_FATAL_ERROR:
	case PGRES_BAD_RESPONSE:
		take_error(h, result);
		keep(h, result, true);
		return true;
	case PGRES_TUPLES_OK:
	case PGRES_EMPTY_QUERY:
	case PGRES_COMMAND_OK:
		keep(h, result, false);
		return true;
	case PGRES_PIPELINE_SYNC:
		wi_pq_take_sync(h->c);
		PQclear(result);
		return !h->c->failed;
	case PGRES_PIPELINE_ABORTED: /* the cause has been told */
		PQclear(result);
		return true;
	case PGRES_COPY_OUT:
	case PGRES_COPY_IN:
	case PGRES_COPY_BOTH:
	case PGRES_SINGLE_TUPLE:
	case PGRES_NONFATAL_ERROR:
		break;
	}
	PQclear(result);
	h->c->failed = true;
	return false;
}

/* All results are in. */
static enum wi_step finished(const struct hearer *h)
{
	struct pq_conn *c = h->c;

	c->hush = false;
	if (c->failed || PQstatus(c->pg) != CONNECTION_OK)
		return wi_pq_lost(c, h->failure);
	c->changed |= wi_exchange_end(&c->exchange, wi_pq_plans(c), (enum wi_stale)c->stale);
	c->failed = h->to->failed < h->n && h->failure->fault == WI_FAULT_MEMORY;
	PQsetnonblocking(c->pg, 0); /* nothing is left to flush, so this cannot wait */
	return h->to->failed == h->n ? WI_STEP_DONE : WI_STEP_FAILED;
}

/* Before a result is taken out of libpq, which is when it is heard: whose it will be. */
static void hush(const struct hearer *h)
{
	struct wi_part part;

	h->c->hush =
		part_now(h->c, &part) && (part.kind == WI_PART_PREPARE ||
	                                  part.kind == WI_PART_DROP || h->calls[part.call].own);
}

enum wi_step wi_pq_results_step(void *conn, const struct wi_call *calls, size_t n,
                                struct wi_results *results, struct wi_failure *failure)
{
	struct pq_conn *c = conn;
	const struct hearer h = {c, calls, results, n, failure};
	PGresult *result;
	bool alive;

	if (c->fresh) {
		results->failed = n;
		results->stale = results->doubtful = false;
		c->stale = WI_STALE_NOT;
	}
	c->fresh = false;
	if (c->flushing)
		c->flushing = PQflush(c->pg) > 0;
	/* When it has just ended, what the server said last may still be unparsed: go on. */
	alive = PQconsumeInput(c->pg);
	while (!alive || !PQisBusy(c->pg)) {
		hush(&h);
		result = PQgetResult(c->pg);
		if (!result && results->failed == n && c->exchange.at < c->exchange.n)
			c->exchange.at++; /* the end of one that has succeeded */
		if (!result && (c->syncs == 0 || !alive))
			return finished(&h);
		if (result && !take_result(&h, result) && PQstatus(c->pg) == CONNECTION_OK)
			return wi_pq_surprised(c, failure);
	}
	return c->flushing ? WI_STEP_WRITE : WI_STEP_READ;
}

void wi_pq_result_free(struct pg_result *result)
{
	PQclear(result);
}

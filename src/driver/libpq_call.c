/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exchanges whose results are wanted: one statement with its parameters, or several in a pipeline
 * with one Sync at its end.
 */
#include "driver/fault.h"
#include "driver/libpq.h"

static bool send_call(PGconn *pg, const struct wi_call *call)
{
	return PQsendQueryParams(pg, call->sql, call->n_params, call->types, call->values,
	                         call->lengths, call->formats, call->result_format);
}

/* In a pipeline, up to its end. */
static bool send_all(PGconn *pg, const struct wi_call *calls, size_t n)
{
	if (!PQenterPipelineMode(pg))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!send_call(pg, &calls[i]))
			return false;
	return PQpipelineSync(pg);
}

bool wi_pq_send_calls(void *conn, const struct wi_call *calls, size_t n, struct wi_failure *failure)
{
	struct pq_conn *c = conn;
	bool alone = n == 1;

	if (c->failed || PQtransactionStatus(c->pg) == PQTRANS_ACTIVE ||
	    PQsetnonblocking(c->pg, 1) != 0 ||
	    !(alone ? send_call(c->pg, calls) : send_all(c->pg, calls, n))) {
		wi_pq_tell_lost(c, failure);
		return false;
	}
	wi_pq_begin_exchange(c, alone ? 0 : 1);
	return true;
}

/* The first error is the cause; if it ends the session, the server says nothing more. */
static void take_error(struct pq_conn *c, const PGresult *result, struct wi_results *to, size_t n,
                       struct wi_failure *failure)
{
	if (to->failed < n)
		return;
	to->failed = c->call < n ? c->call : n - 1;
	wi_pq_failure_of_result(failure, WI_FAULT_SQL, result, wi_pq_secret_of(c));
	if (wi_fault_ends_session(PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED),
	                          failure->sqlstate))
		wi_pq_keep_last_words(c, result);
}

/* One more result; false: of a kind that is not expected. */
static bool take_result(struct pq_conn *c, PGresult *result, struct wi_results *to, size_t n,
                        struct wi_failure *failure)
{
	switch (PQresultStatus(result)) {
	case PGRES_FATAL_ERROR:
	case PGRES_BAD_RESPONSE:
		take_error(c, result, to, n, failure);
		break;
	case PGRES_TUPLES_OK:
	case PGRES_EMPTY_QUERY:
	case PGRES_COMMAND_OK:
		break;
	case PGRES_PIPELINE_SYNC:
		wi_pq_take_sync(c);
		PQclear(result);
		return !c->failed;
	case PGRES_PIPELINE_ABORTED: /* the cause has been told */
		PQclear(result);
		return true;
	case PGRES_COPY_OUT:
	case PGRES_COPY_IN:
	case PGRES_COPY_BOTH:
	case PGRES_SINGLE_TUPLE:
	case PGRES_NONFATAL_ERROR:
		PQclear(result);
		c->failed = true;
		return false;
	}
	if (c->call < n && !to->of[c->call])
		to->of[c->call] = result;
	else
		PQclear(result);
	return true;
}

/* All results are in. */
static enum wi_step finished(struct pq_conn *c, const struct wi_results *to, size_t n,
                             struct wi_failure *failure)
{
	c->hush = false;
	if (c->failed || PQstatus(c->pg) != CONNECTION_OK)
		return wi_pq_lost(c, failure);
	PQsetnonblocking(c->pg, 0); /* nothing is left to flush, so this cannot wait */
	return to->failed == n ? WI_STEP_DONE : WI_STEP_FAILED;
}

enum wi_step wi_pq_results_step(void *conn, const struct wi_call *calls, size_t n,
                                struct wi_results *results, struct wi_failure *failure)
{
	struct pq_conn *c = conn;
	PGresult *result;
	bool alive;

	if (c->fresh)
		results->failed = n;
	c->fresh = false;
	if (c->flushing)
		c->flushing = PQflush(c->pg) > 0;
	/* When it has just ended, what the server said last may still be unparsed: go on. */
	alive = PQconsumeInput(c->pg);
	while (!alive || !PQisBusy(c->pg)) {
		c->hush = c->call < n && calls[c->call].own;
		result = PQgetResult(c->pg);
		if (!result && (c->syncs == 0 || !alive))
			return finished(c, results, n, failure);
		if (!result)
			c->call++; /* the end of one of several */
		else if (!take_result(c, result, results, n, failure) &&
		         PQstatus(c->pg) == CONNECTION_OK)
			return wi_pq_surprised(c, failure);
	}
	return c->flushing ? WI_STEP_WRITE : WI_STEP_READ;
}

void wi_pq_result_free(struct pg_result *result)
{
	PQclear(result);
}

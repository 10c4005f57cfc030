/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exchanges: a statement and its answer, step by step; what a holder left under way; cancels.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/alloc.h"
#include "base/text.h"
#include "driver/fault.h"
#include "driver/libpq.h"

void wi_pq_drop_error(struct pq_conn *c)
{
	PQclear(c->error);
	c->error = NULL;
}

void wi_pq_failure_of_result(struct wi_failure *failure, enum wi_fault fault,
                             const PGresult *result, const char *secret)
{
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	wi_failure_set(failure, fault, PQresultErrorField(result, PG_DIAG_SQLSTATE),
	               text ? text : PQresultErrorMessage(result), secret);
}

/* Whether libpq's complaint is the system's about a peer that acknowledged nothing for too long. */
static bool is_silence(const PGconn *pg)
{
	char words[128];

	return strstr(PQerrorMessage(pg), strerror_r(ETIMEDOUT, words, sizeof(words))) != NULL;
}

/* What libpq says, with what a statement of the holder's was told before, if anything. */
static void tell_by_libpq(const struct pq_conn *c, struct wi_failure *failure)
{
	/* Asked for what is left, libpq complains of the socket that it has closed. */
	static const char beside[] = "\ninvalid socket\n";
	char text[4096]; /* far more than a failure holds: what the bound cuts is never shown */
	size_t n;

	wi_copy(text, sizeof(text), PQerrorMessage(c->pg));
	n = strlen(text);
	if (n >= sizeof(beside) && strcmp(text + n - (sizeof(beside) - 1), beside) == 0)
		text[n - (sizeof(beside) - 1)] = '\0';
	wi_failure_set(failure, WI_FAULT_LOST, c->heard, text, wi_pq_secret_of(c));
	failure->silent = !c->heard[0] && is_silence(c->pg);
}

/*
 * Says why a connection is lost, by what has the most to say: the server, or libpq. Says the same
 * when asked again.
 */
void wi_pq_tell_lost(struct pq_conn *c, struct wi_failure *failure)
{
	if (c->error && PQresultErrorField(c->error, PG_DIAG_SQLSTATE))
		wi_pq_failure_of_result(failure, WI_FAULT_LOST, c->error, wi_pq_secret_of(c));
	else if (c->last_words)
		*failure = *c->last_words;
	else
		tell_by_libpq(c, failure);
	if (!failure->text[0])
		wi_copy(failure->text, sizeof(failure->text), "the connection is lost");
	c->failed = true;
	wi_pq_drop_error(c);
	if (!c->last_words && (c->last_words = wi_alloc(sizeof(*c->last_words))))
		*c->last_words = *failure;
}

enum wi_step wi_pq_lost(struct pq_conn *c, struct wi_failure *failure)
{
	wi_pq_tell_lost(c, failure);
	return WI_STEP_FAILED;
}

/*
 * Whether an error is libpq's own, for want of memory for the answer or of sense in it: the
 * server's have a severity and an SQLSTATE, all of them, those of proxies at least a severity. What
 * the server has done is another matter then.
 */
bool wi_pq_is_own_error(const struct pq_conn *c, const PGresult *error)
{
	return PQstatus(c->pg) == CONNECTION_OK && !PQresultErrorField(error, PG_DIAG_SQLSTATE) &&
	       !PQresultErrorField(error, PG_DIAG_SEVERITY);
}

/* An answer of a kind that weir never asks for: what would come next is not worth guessing. */
enum wi_step wi_pq_surprised(struct pq_conn *c, struct wi_failure *failure)
{
	if (c->last_words)
		return wi_pq_lost(c, failure);
	wi_failure_set(failure, WI_FAULT_LOST, NULL,
	               "closed: the statement was answered by COPY or out of turn", NULL);
	wi_pq_drop_error(c);
	return WI_STEP_FAILED;
}

void wi_pq_begin_exchange(struct pq_conn *c, uint8_t syncs)
{
	c->flushing = true;
	c->fresh = true;
	c->syncs = syncs;
	c->succeeded = 0;
	c->hush = false;
}

bool wi_pq_send(void *conn, const char *sql, struct wi_failure *failure)
{
	struct pq_conn *c = conn;

	c->succeeded = 0;
	if (c->failed || PQtransactionStatus(c->pg) == PQTRANS_ACTIVE ||
	    PQsetnonblocking(c->pg, 1) != 0 || !PQsendQuery(c->pg, sql)) {
		wi_pq_tell_lost(c, failure);
		return false;
	}
	wi_pq_begin_exchange(c, 0);
	return true;
}

/* One statement of a pipeline, with its own end. */
static bool send_in_pipeline(PGconn *pg, const char *sql)
{
	return PQsendQueryParams(pg, sql, 0, NULL, NULL, NULL, NULL, 0) && PQpipelineSync(pg);
}

bool wi_pq_send_two(void *conn, const char *first, const char *second, struct wi_failure *failure)
{
	struct pq_conn *c = conn;

	c->succeeded = 0;
	if (c->failed || PQtransactionStatus(c->pg) == PQTRANS_ACTIVE ||
	    PQsetnonblocking(c->pg, 1) != 0 || !PQenterPipelineMode(c->pg) ||
	    !send_in_pipeline(c->pg, first) || !send_in_pipeline(c->pg, second)) {
		wi_pq_tell_lost(c, failure);
		return false;
	}
	wi_pq_begin_exchange(c, 2);
	return true;
}

/* The end of a statement of a pipeline; after the last one the pipeline is left. */
void wi_pq_take_sync(struct pq_conn *c)
{
	if (c->syncs == 0)
		c->failed = true; /* nobody asked for it */
	else if (--c->syncs == 0 && !PQexitPipelineMode(c->pg))
		c->failed = true;
}

static void fill_answer(struct wi_answer *answer, const PGresult *result)
{
	int columns = PQnfields(result);

	memset(answer, 0, sizeof(*answer));
	answer->columns = columns < WI_ANSWER_COLUMNS ? (size_t)columns : WI_ANSWER_COLUMNS;
	answer->has_row = PQntuples(result) > 0;
	for (int i = 0; answer->has_row && i < (int)answer->columns; i++) {
		answer->is_null[i] = PQgetisnull(result, 0, i);
		wi_copy(answer->value[i], sizeof(answer->value[i]), PQgetvalue(result, 0, i));
	}
}

/* One result of the exchange. */
static void take_result(struct pq_conn *c, PGresult *result, struct wi_answer *answer)
{
	switch (PQresultStatus(result)) {
	case PGRES_TUPLES_OK:
		if (answer)
			fill_answer(answer, result);
		c->succeeded += !c->error;
		break;
	case PGRES_EMPTY_QUERY:
	case PGRES_COMMAND_OK:
		c->succeeded += !c->error;
		break;
	case PGRES_NONFATAL_ERROR:
		break;
	case PGRES_BAD_RESPONSE:
	case PGRES_FATAL_ERROR:
		wi_pq_hear_end(c, result);
		if (c->error)
			break;
		c->error = result; /* the first is the cause; later ones may have no SQLSTATE */
		return;
	case PGRES_COPY_OUT:
	case PGRES_COPY_IN:
	case PGRES_COPY_BOTH:
	case PGRES_SINGLE_TUPLE:
	case PGRES_PIPELINE_ABORTED:
		c->failed = true;
		break;
	case PGRES_PIPELINE_SYNC:
		wi_pq_take_sync(c);
		break;
	}
	PQclear(result);
}

/* All results are in. */
static enum wi_step answered(struct pq_conn *c, struct wi_failure *failure)
{
	if (c->failed || PQstatus(c->pg) != CONNECTION_OK)
		return wi_pq_lost(c, failure);
	PQsetnonblocking(c->pg, 0); /* nothing is left to flush, so this cannot wait */
	if (!c->error)
		return WI_STEP_DONE;
	c->failed = wi_pq_is_own_error(c, c->error);
	wi_pq_failure_of_result(failure, c->failed ? WI_FAULT_MEMORY : WI_FAULT_SQL, c->error,
	                        wi_pq_secret_of(c));
	wi_pq_drop_error(c);
	return WI_STEP_FAILED;
}

enum wi_step wi_pq_answer_step(void *conn, struct wi_answer *answer, struct wi_failure *failure)
{
	struct pq_conn *c = conn;
	PGresult *result;
	bool alive;

	if (c->fresh && answer)
		memset(answer, 0, sizeof(*answer));
	c->fresh = false;
	if (c->flushing)
		c->flushing = PQflush(c->pg) > 0;
	/* When it has just ended, what the server said last may still be unparsed: go on. */
	alive = PQconsumeInput(c->pg);
	while (!alive || !PQisBusy(c->pg)) {
		result = PQgetResult(c->pg);
		if (!result && c->syncs > 0 && alive)
			continue; /* the end of one of several statements */
		if (!result)
			return answered(c, failure);
		take_result(c, result, answer);
		if (c->failed && PQstatus(c->pg) == CONNECTION_OK)
			return wi_pq_surprised(c, failure);
	}
	return c->flushing ? WI_STEP_WRITE : WI_STEP_READ;
}

/* ---- what was left under way ---- */

/* What libpq reads at one go, about. */
#define READ_MOST 65536

/* Takes what a step will read from the room for it; false: there is none left. */
static bool has_room(const PGconn *pg, size_t *room)
{
	int n = 0;

	if (ioctl(PQsocket(pg), FIONREAD, &n) != 0 || n < 1)
		return *room > 0;
	if (n > READ_MOST)
		n = READ_MOST;
	if (*room < (size_t)n)
		return false;
	*room -= (size_t)n;
	return true;
}

/*
 * Nonblocking mode flushes first, and libpq would wait for that. In simple and extended queries
 * nothing is left to flush; in COPY at most a block of 8 KiB is, for which a writable socket has
 * room. (In a pipeline it may be more, and it is not worth it.) true: it is in that mode.
 */
static bool stop_blocking(PGconn *pg)
{
	if (PQisnonblocking(pg))
		return true;
	if (!wi_pq_is_ready(PQsocket(pg), POLLOUT))
		return false;
	PQsetSingleRowMode(pg); /* no heap of rows, where that can still be had */
	return PQsetnonblocking(pg, 1) == 0;
}

/* What there is of COPY's rows; true: all of them. */
static bool drop_copied(struct pq_conn *c)
{
	char *row;
	int n;

	while ((n = PQgetCopyData(c->pg, &row, 1)) > 0)
		PQfreemem(row);
	if (n < -1)
		c->failed = true;
	return n < 0;
}

enum drained { DRAINED_MORE, DRAINED_ALL, DRAINED_NOT };

/* Throws away what is parsed. */
static enum drained drop_results(struct pq_conn *c)
{
	PGresult *result = PQgetResult(c->pg);
	ExecStatusType status = PQresultStatus(result);

	if (!result) /* in a pipeline: the end of one of its statements */
		return c->syncs > 0 && PQstatus(c->pg) == CONNECTION_OK ? DRAINED_MORE
		                                                        : DRAINED_ALL;
	PQclear(result);
	if (status == PGRES_PIPELINE_SYNC)
		wi_pq_take_sync(c);
	else if (status == PGRES_COPY_BOTH)
		c->failed = true;
	else if (status == PGRES_COPY_IN && PQputCopyEnd(c->pg, "given back in COPY") < 0)
		c->failed = true;
	else if (status == PGRES_COPY_OUT && !drop_copied(c))
		return DRAINED_NOT;
	return DRAINED_MORE;
}

static enum wi_step drain_failed(struct wi_failure *failure, const char *why)
{
	wi_failure_set(failure, WI_FAULT_SQL, NULL, why, NULL);
	return WI_STEP_FAILED;
}

enum wi_step wi_pq_drain_step(void *conn, size_t *room, struct wi_failure *failure)
{
	struct pq_conn *c = conn;
	enum drained now = DRAINED_MORE;
	bool alive;

	c->hush = false;
	wi_pq_forget_calls(c);
	if (c->failed || PQstatus(c->pg) != CONNECTION_OK)
		return wi_pq_lost(c, failure);
	if (PQpipelineStatus(c->pg) != PQ_PIPELINE_OFF && c->syncs == 0)
		return drain_failed(failure, "what is under way cannot be ended here");
	if (!has_room(c->pg, room))
		return drain_failed(failure, "too much is left unread");
	if (!stop_blocking(c->pg) && PQconsumeInput(c->pg)) /* which in this mode only reads */
		return WI_STEP_WRITE;
	PQflush(c->pg);
	alive = PQconsumeInput(c->pg);
	while (now == DRAINED_MORE && !c->failed && (!alive || !PQisBusy(c->pg)))
		now = drop_results(c);
	if (c->failed || PQstatus(c->pg) != CONNECTION_OK)
		return wi_pq_lost(c, failure);
	if (now != DRAINED_ALL)
		return PQflush(c->pg) > 0 ? WI_STEP_WRITE : WI_STEP_READ;
	PQsetnonblocking(c->pg, 0);
	return WI_STEP_DONE;
}

void *wi_pq_cancel_make(void *conn)
{
	PGconn *pg = ((struct pq_conn *)conn)->pg;

	return PQstatus(pg) == CONNECTION_OK ? PQgetCancel(pg) : NULL;
}

/*
 * libpq returns when the server has closed the connection that brought the request, which it does
 * after it has signalled the session's process; and a process that finds the signal when it reads
 * its next message takes it for over.
 */
bool wi_pq_cancel_ask(void *cancel)
{
	char error[256];

	return PQcancel(cancel, error, sizeof(error)) == 1;
}

void wi_pq_cancel_free(void *cancel)
{
	PQfreeCancel(cancel);
}

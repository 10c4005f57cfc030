/* SPDX-License-Identifier: BSD-2-Clause */
/* See outcome.h. */
#include "exec/outcome.h"

#include <string.h>

#include "base/text.h"
#include "driver/fault.h"
#include "pool/busy.h"
#include "pool/pool.h"

/* ---- what became of it ---- */

/*
 * SUSPECT: it has ended, and the keeper will count it and judge the others by how. Where this
 * program had no room for the answer, nobody else is to be judged.
 */
static void note_loss(struct weir_conn *c, const struct wi_failure *f)
{
	wi_or_acq_rel(&c->notes, f->fault == WI_FAULT_MEMORY ? WI_NOTE_DISCARD : WI_NOTE_SUSPECT);
}

enum wi_said wi_said_by(struct weir_conn *c, enum wi_step step, int64_t sent_ns,
                        struct wi_failure *f)
{
	switch (step) {
	case WI_STEP_DONE:
		return WI_SAID_DONE;
	case WI_STEP_FAILED:
		if (f->fault == WI_FAULT_SQL)
			return WI_SAID_ERROR;
		note_loss(c, f);
		return WI_SAID_LOST;
	case WI_STEP_READ:
	case WI_STEP_WRITE:
		break;
	}
	wi_busy_out_of_time(c, sent_ns, f);
	return WI_SAID_LATE;
}

enum wi_said wi_said_unsent(struct weir_conn *c, bool has_left, const struct wi_failure *f)
{
	note_loss(c, f);
	return has_left ? WI_SAID_LOST : WI_SAID_UNSENT;
}

enum wi_said wi_say(struct weir_conn *c, const char *sql, int64_t deadline_ns, struct wi_failure *f)
{
	int64_t sent_ns = c->pool->core.world->now();

	memset(f, 0, sizeof(*f));
	if (!c->pool->driver->send(c->link, sql, f))
		return wi_said_unsent(c, false, f);
	return wi_said_by(c, wi_conn_await(c, NULL, deadline_ns, f), sent_ns, f);
}

/* ---- what is told ---- */

bool wi_asks_for_retry(const struct weir_conn *c, const char *sqlstate)
{
	return sqlstate && sqlstate[0] &&
	       wi_pool_classify(c->pool, sqlstate, false) == WEIR_CLASS_RETRY;
}

static weir_status status_of_loss(const struct wi_failure *f)
{
	return f->fault == WI_FAULT_MEMORY ? WEIR_NO_MEMORY : WEIR_CONNECT;
}

weir_status wi_status_of(const struct weir_conn *c, enum wi_said said, bool may_commit,
                         const struct wi_failure *f)
{
	switch (said) {
	case WI_SAID_DONE:
		break;
	case WI_SAID_ERROR:
		if (may_commit && wi_fault_is_unresolved(f->sqlstate))
			return WEIR_OUTCOME_UNKNOWN;
		return wi_asks_for_retry(c, f->sqlstate) ? WEIR_RETRY : WEIR_QUERY;
	case WI_SAID_UNSENT:
		return status_of_loss(f);
	case WI_SAID_LOST:
		return may_commit ? WEIR_OUTCOME_UNKNOWN : status_of_loss(f);
	case WI_SAID_LATE:
		return may_commit ? WEIR_OUTCOME_UNKNOWN : WEIR_TIMEOUT;
	}
	return WEIR_OK;
}

weir_status wi_tell(const struct weir_conn *c, weir_status status, const char *what,
                    const struct wi_failure *f, weir_error *error)
{
	wi_fail(error, status, "%s%s%s", what ? what : "", what ? ": " : "", f->text);
	if (error) {
		wi_copy(error->host, sizeof(error->host), c->pool->endpoint->name);
		wi_copy(error->sqlstate, sizeof(error->sqlstate), f->sqlstate);
	}
	return status;
}

weir_status wi_outcome(const struct weir_conn *c, enum wi_said said, bool may_commit,
                       const char *what, const struct wi_failure *f, weir_error *error)
{
	weir_status status = wi_status_of(c, said, may_commit, f);

	return status == WEIR_OK ? WEIR_OK : wi_tell(c, status, what, f, error);
}

weir_status wi_out_of_time(const struct weir_conn *c, weir_error *error)
{
	static const struct wi_failure f = {
		.fault = WI_FAULT_TIMEOUT,
		.text = "the caller's deadline was over before the query was sent"};

	return wi_tell(c, WEIR_TIMEOUT, NULL, &f, error);
}

/* The words that are there, with others behind them. */
static weir_status say_more(weir_error *error, weir_status status, const char *more)
{
	size_t n;

	if (!error)
		return status;
	error->status = status;
	n = strlen(error->text);
	wi_copy(error->text + n, sizeof(error->text) - n, more);
	return status;
}

weir_status wi_was_struck(weir_error *error)
{
	return say_more(error, WEIR_TIMEOUT, ": by the caller's deadline; nothing was done");
}

weir_status wi_was_stale(weir_error *error)
{
	return say_more(error, WEIR_RETRY,
	                ": a statement that was prepared is out of date, and will be prepared "
	                "anew; run the transaction again");
}

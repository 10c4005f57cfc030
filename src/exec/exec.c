/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One exchange on the holder's thread, and what its end means for the caller.
 *
 * The question that matters is whether something may have been committed. Inside a transaction a
 * single statement that is no COMMIT cannot commit, so its loss is only a lost connection.
 * Everything else might, whatever it looks like.
 */
#include <string.h>
#include <strings.h>

#include <weir/exec.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/busy.h"
#include "pool/pool.h"

static bool begins_with(const char *sql, const char *word)
{
	size_t n = strlen(word);

	return strncasecmp(sql, word, n) == 0 && (sql[n] == '\0' || strchr(" \t\r\n;/-", sql[n]));
}

/* Whether the statement could end the transaction it runs in. Errs on the side of yes. */
static bool may_commit(const char *sql, bool in_transaction)
{
	sql += strspn(sql, " \t\r\n");
	return !in_transaction || strchr(sql, ';') || strncmp(sql, "--", 2) == 0 ||
	       strncmp(sql, "/*", 2) == 0 || begins_with(sql, "commit") ||
	       begins_with(sql, "end") || begins_with(sql, "prepare") || begins_with(sql, "call") ||
	       begins_with(sql, "do");
}

static weir_status status_of(const struct weir_conn *c, const struct wi_failure *f)
{
	bool again = wi_pool_classify(c->pool, f->sqlstate, false) == WEIR_CLASS_RETRY;

	return again ? WEIR_RETRY : WEIR_QUERY;
}

static weir_status fail(struct weir_conn *c, weir_status status, const struct wi_failure *f,
                        weir_error *error)
{
	wi_fail(error, status, "%s", f->text);
	if (error) {
		wi_copy(error->host, sizeof(error->host), c->pool->endpoint->name);
		memcpy(error->sqlstate, f->sqlstate, sizeof(error->sqlstate));
	}
	return status;
}

/*
 * The connection is of no use any more: closed when it is given back. SUSPECT: it has ended, and
 * the keeper will count it and judge the others by how.
 */
static weir_status lost(struct weir_conn *c, uint32_t note, weir_status status, bool unknown,
                        const struct wi_failure *f, weir_error *error)
{
	wi_or_acq_rel(&c->notes, note);
	return fail(c, unknown ? WEIR_OUTCOME_UNKNOWN : status, f, error);
}

static weir_status run(struct weir_conn *c, const char *sql, int64_t timeout_ms, bool unknown,
                       weir_error *error)
{
	int64_t deadline_ns = wi_deadline_after(c->pool->core.world->now(), timeout_ms);
	struct wi_failure f = {0};

	if (!c->pool->driver->send(c->link, sql, &f))
		return lost(c, WI_NOTE_SUSPECT, WEIR_CONNECT, false, &f,
		            error); /* the whole of it never left */
	switch (wi_conn_await(c, NULL, deadline_ns, &f)) {
	case WI_STEP_DONE:
		return WEIR_OK;
	case WI_STEP_FAILED:
		if (f.fault == WI_FAULT_SQL)
			return fail(c, status_of(c, &f), &f, error);
		return lost(c, WI_NOTE_SUSPECT, WEIR_CONNECT, unknown, &f, error);
	case WI_STEP_READ:
	case WI_STEP_WRITE:
		break;
	}
	wi_cancel_and_forget(c); /* so that the server does not go on; the connection is done for */
	wi_copy(f.text, sizeof(f.text), "no answer to the query within the caller's deadline");
	return lost(c, WI_NOTE_DISCARD, WEIR_TIMEOUT, unknown, &f, error);
}

weir_status weir_exec(weir_conn *conn, const char *sql, int64_t timeout_ms, weir_error *error)
{
	struct weir_conn *c;
	enum wi_look look;
	WI_NO_CANCEL;

	if (!conn || !sql)
		return wi_fail(error, WEIR_INVALID, "weir_exec: %s is NULL", conn ? "sql" : "conn");
	c = wi_conn_of(conn);
	if (!c)
		return wi_fail(error, WEIR_STALE, "the connection was given back already");
	if (wi_pool_is_parents(c->pool))
		return wi_fail(error, WEIR_FORKED,
		               "the connection belongs to the parent of this process");
	look = c->pool->driver->look(c->link);
	if (look == WI_LOOK_BUSY)
		return wi_fail(error, WEIR_INVALID,
		               "another query is under way on this connection");
	return run(c, sql, timeout_ms, may_commit(sql, look == WI_LOOK_IN_TX), error);
}

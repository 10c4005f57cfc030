/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the end of an exchange means for the caller.
 *
 * The question that matters is whether something may have been committed. Inside a transaction a
 * single statement that is no COMMIT cannot commit, so its loss is only a lost connection.
 * Everything else might, whatever it looks like.
 */
#include "exec/judge.h"

#include <string.h>
#include <strings.h>

#include "base/line.h"
#include "base/text.h"
#include "pool/busy.h"
#include "pool/pool.h"

/* What is white space to the server (scan.l), the vertical tab since 16. */
#define SPACE " \t\r\n\f\v"

static bool begins_with(const char *sql, const char *word)
{
	size_t n = strlen(word);

	return strncasecmp(sql, word, n) == 0 && (sql[n] == '\0' || strchr(SPACE ";/-(", sql[n]));
}

static bool begins_with_one_of(const char *sql, const char *const words[], size_t n)
{
	sql += strspn(sql, SPACE);
	for (size_t i = 0; i < n; i++)
		if (begins_with(sql, words[i]))
			return true;
	return false;
}

static bool begins_with_comment(const char *sql)
{
	sql += strspn(sql, SPACE);
	return strncmp(sql, "--", 2) == 0 || strncmp(sql, "/*", 2) == 0;
}

bool wi_may_commit(const char *sql, bool in_transaction)
{
	static const char *const words[] = {"commit", "end", "prepare", "call", "do"};

	return !in_transaction || strchr(sql, ';') || begins_with_comment(sql) ||
	       begins_with_one_of(sql, words, WI_ARRAY_LEN(words));
}

bool wi_is_plain_sql(const char *sql)
{
	static const char *const words[] = {"select", "insert", "update", "delete",
	                                    "merge",  "values", "table",  "with"};

	return begins_with_one_of(sql, words, WI_ARRAY_LEN(words));
}

bool wi_is_transaction_sql(const char *sql)
{
	static const char *const words[] = {"begin",    "start", "commit",    "end",
	                                    "rollback", "abort", "savepoint", "release"};

	sql += strspn(sql, SPACE ";"); /* the server drops empty statements before the one */
	if (begins_with_comment(sql) || begins_with_one_of(sql, words, WI_ARRAY_LEN(words)))
		return true;
	if (!begins_with(sql, "prepare"))
		return false;
	sql += strlen("prepare");
	return begins_with_comment(sql) || begins_with(sql + strspn(sql, SPACE), "transaction");
}

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

static weir_status fail(const struct weir_conn *c, weir_status status, const struct wi_failure *f,
                        weir_error *error)
{
	wi_fail(error, status, "%s", f->text);
	if (error) {
		wi_copy(error->host, sizeof(error->host), c->pool->endpoint->name);
		wi_copy(error->sqlstate, sizeof(error->sqlstate), f->sqlstate);
	}
	return status;
}

weir_status wi_exec_refused(struct weir_conn *c, const struct wi_failure *f, weir_error *error)
{
	bool again = wi_pool_classify(c->pool, f->sqlstate, false) == WEIR_CLASS_RETRY;

	return fail(c, again ? WEIR_RETRY : WEIR_QUERY, f, error);
}

/*
 * SUSPECT: it has ended, and the keeper will count it and judge the others by how. Where this
 * program had no room for the answer, nobody else is to be judged.
 */
weir_status wi_exec_lost(struct weir_conn *c, bool unknown, const struct wi_failure *f,
                         weir_error *error)
{
	bool own = f->fault == WI_FAULT_MEMORY;

	wi_or_acq_rel(&c->notes, own ? WI_NOTE_DISCARD : WI_NOTE_SUSPECT);
	if (unknown)
		return fail(c, WEIR_OUTCOME_UNKNOWN, f, error);
	return fail(c, own ? WEIR_NO_MEMORY : WEIR_CONNECT, f, error);
}

weir_status wi_exec_not_sent(struct weir_conn *c, enum wi_look look, bool commits,
                             const struct wi_failure *f, weir_error *error)
{
	bool has_left = look != WI_LOOK_DEAD && f->fault != WI_FAULT_MEMORY;

	return wi_exec_lost(c, commits && has_left, f, error);
}

weir_status wi_exec_late(struct weir_conn *c, bool unknown, weir_error *error)
{
	static const struct wi_failure f = {
		.fault = WI_FAULT_TIMEOUT,
		.text = "no answer to the query within the caller's deadline"};

	if (!wi_busy_ask(c)) {
		wi_cancel_and_forget(c);
		wi_or_acq_rel(&c->notes, WI_NOTE_DISCARD);
	}
	return fail(c, unknown ? WEIR_OUTCOME_UNKNOWN : WEIR_TIMEOUT, &f, error);
}

weir_status wi_exec_unsent(const struct weir_conn *c, weir_error *error)
{
	static const struct wi_failure f = {
		.fault = WI_FAULT_TIMEOUT,
		.text = "the caller's deadline was over before the query was sent"};

	return fail(c, WEIR_TIMEOUT, &f, error);
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

weir_status wi_exec_struck(weir_error *error)
{
	return say_more(error, WEIR_TIMEOUT, ": by the caller's deadline; nothing was done");
}

weir_status wi_exec_stale(weir_error *error)
{
	return say_more(error, WEIR_RETRY,
	                ": a statement that was prepared is out of date, and will be prepared "
	                "anew; run the transaction again");
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running SQL with a deadline and a status: on a checked-out connection, or from checkout to
 * checkin in one call.
 */
#ifndef WEIR_EXEC_H
#define WEIR_EXEC_H

#include <stddef.h>
#include <stdint.h>

#include <weir/conn.h>
#include <weir/export.h>
#include <weir/pool.h>
#include <weir/router.h>
#include <weir/status.h>

WEIR_BEGIN

/*
 * Runs SQL that wants no rows back: one statement, or several separated by semicolons (then in one
 * implicit transaction, as PostgreSQL's simple query protocol has it, chapter 55.2.2.1). Rows that
 * come are thrown away. For everything else there is weir_pg and libpq.
 *
 * The holder's thread only. Blocks until the answer is there, or timeout_ms (negative: for ever)
 * has passed; with 0 nothing is sent (TIMEOUT).
 *
 * OK; QUERY: the server reported an error, error->sqlstate says which; RETRY: 40001 or 40P01, run
 * the whole transaction again. TIMEOUT: no answer in time. CONNECT: the connection was lost and
 * nothing was committed by this call. OUTCOME_UNKNOWN: it was lost, or did not answer in time,
 * while a commit may have been under way, or the server says so itself (08007, 40003): never repeat
 * it blindly. After the last three the
 * connection is of no more use to its holder. Where it was lost, it is closed when it is given
 * back; where the time ran out, the server is asked to stop, on a thread of its own, nobody waits
 * for that, and the connection is put right before anybody else gets it, or closed
 * (options.cancel_timeout_ms). NO_MEMORY: there was none for the answer, nothing was committed, and
 * the connection is lost. INVALID: NULL, or a query is under way; STALE; FORKED.
 */
WEIR_API WEIR_CHECKED weir_status weir_exec(weir_conn *conn, const char *sql, int64_t timeout_ms,
                                            weir_error *error);

struct pg_result; /* libpq's PGresult */

/* Whether a statement is prepared on its connection: see weir_statement. */
typedef enum weir_prepare {
	WEIR_PREPARE_DEFAULT = 0, /* when the connection is given it for the second time */
	WEIR_PREPARE_AT_ONCE = 1,
	WEIR_PREPARE_NEVER = 2,
} weir_prepare;

/*
 * One statement with its parameters, as PQexecParams has them ($1, $2, ... in the text; chapter
 * 34.3). Zero it, set `size` with WEIR_STATEMENT, and fill in what matters. What it points to is
 * the caller's, and has to stay until the call has returned.
 */
typedef struct weir_statement {
	size_t size;     /* sizeof(weir_statement), set by WEIR_STATEMENT; 0 means the same */
	const char *sql; /* one statement: several in one text are the server's error 42601 */
	int n_params;
	const unsigned *types;     /* OIDs; NULL, or 0 for one: as the server infers */
	const char *const *values; /* NULL: SQL's NULL */
	const int *lengths;        /* in bytes, of those in binary; NULL where none is */
	const int *formats;        /* 0: text, 1: binary; NULL: all text */
	int result_format;         /* 0: text, 1: binary, of all columns */
	/*
	 * Of options.prepared_statements: SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES, TABLE and
	 * WITH are kept parsed on their connection, by text and types of parameters. Never behind a
	 * pooler. A type that is left to the server is what it was when the statement was prepared:
	 * after a column has got another type, a value that fitted the old one is taken as that.
	 */
	weir_prepare prepare;
	/* in all; 0: options.query_timeout_ms; negative: for ever */
	int64_t timeout_ms;
	/* static string for statistics and events; NULL: the request's */
	const char *tag;
} weir_statement;

/* A statement with its size: WEIR_STATEMENT(.sql = "SELECT 1"). */
#define WEIR_STATEMENT(...) ((weir_statement){.size = sizeof(weir_statement), __VA_ARGS__})

/*
 * Runs one statement on a checked-out connection and waits for all of its answer. The holder's
 * thread only. Blocks until the answer is there, or statement->timeout_ms has passed.
 *
 * *result is the caller's to PQclear, whatever the status: what the server answered, its error
 * included (PQresultErrorField), or NULL where it did not. A statement that has no rows to tell
 * gives a result too (PGRES_COMMAND_OK). COPY is for libpq: here it ends the connection.
 *
 * The time. Where it is shorter than options.statement_timeout_ms, the server is told of it with
 * the statement, in the same round trip and for this one alone, so that it ends by itself, also if
 * this program does not live to see that: TIMEOUT with SQLSTATE 57014, nothing was done, and the
 * connection is as good as after any error. (For the statements that weir_prepare is for; it costs
 * the server one small statement more, in a transaction two.) Where no answer came at all, the
 * server is asked to stop, on a thread of its own, the caller has his thread back, and the
 * connection is of no more use to him: give it back, and it is put right before anybody else gets
 * it, or closed (options.cancel_timeout_ms).
 *
 * Statuses as weir_exec: OK; QUERY; RETRY, also 0A000 or 26000 where a prepared statement had to be
 * given up inside a transaction; TIMEOUT; CONNECT: lost, and nothing was committed: a single
 * statement inside a transaction, or one on a session that weir has made read-only (a router's
 * reads); OUTCOME_UNKNOWN; INVALID; STALE; FORKED; NO_MEMORY.
 */
WEIR_API WEIR_CHECKED weir_status weir_conn_query(weir_conn *conn, const weir_statement *statement,
                                                  struct pg_result **result, weir_error *error);

/*
 * Checks a connection out, runs one statement on it, and gives it back, whatever happens. One
 * deadline, of options.query_timeout_ms, covers all of it. Parameters as text, the result as text;
 * n_params may be 0, and values NULL then. Any thread, not in a signal handler.
 *
 *	PGresult *rows;
 *	const char *id[] = {"42"};
 *	if (weir_query(r, WEIR_READ, "SELECT name FROM users WHERE id = $1", 1, id, &rows, &e) == ...
 *	PQclear(rows);
 *
 * WEIR_READ: on a replica, on a session that is read-only. Where its connection is lost, or the
 * server asks for the transaction again (RETRY: 40001 on a standby is a conflict with what it
 * replays), the statement is run again on another connection, three times at most and within the
 * deadline: nothing can have been committed. WEIR_WRITE: nothing is ever run twice that may have
 * been committed; a statement that the server refused for its out-of-date plan is prepared anew.
 *
 * Statuses: those of the checkout, and those of weir_conn_query. *result is the caller's to
 * PQclear, whatever the status.
 */
WEIR_API WEIR_CHECKED weir_status weir_query(weir_router *router, weir_intent intent,
                                             const char *sql, int n_params,
                                             const char *const *values, struct pg_result **result,
                                             weir_error *error);

/*
 * The same with wishes. request (NULL: a write) says which connection, and how long a checkout may
 * take; statement->timeout_ms is for all of it.
 */
WEIR_API WEIR_CHECKED weir_status weir_query_with(weir_router *router, const weir_request *request,
                                                  const weir_statement *statement,
                                                  struct pg_result **result, weir_error *error);

/* The same on a pool's connection. As there for a write. */
WEIR_API WEIR_CHECKED weir_status weir_pool_query(weir_pool *pool, const char *sql, int n_params,
                                                  const char *const *values,
                                                  struct pg_result **result, weir_error *error);
WEIR_API WEIR_CHECKED weir_status weir_pool_query_with(weir_pool *pool,
                                                       const weir_statement *statement,
                                                       struct pg_result **result,
                                                       weir_error *error);

/*
 * Runs n statements in one round trip, all or nothing: outside a transaction in one of their own,
 * inside one as part of it. The holder's thread only. Blocks until all is answered, or timeout_ms
 * has passed (0: options.query_timeout_ms; negative: for ever; that of the statements is not looked
 * at). All statements have the size of the first one.
 *
 * OK: results[0] to results[n - 1] are there, each the caller's to PQclear. Else nothing was done:
 * all of them are NULL but that of the statement whose error it was, if it was one's, which
 * error->text names by its index ("statements[2]: ..."). OUTCOME_UNKNOWN as ever; inside a
 * transaction an error leaves that failed.
 *
 * INVALID also for what is about transactions (BEGIN, COMMIT, ROLLBACK, SAVEPOINT, ...) or begins
 * with a comment. What may not run in a transaction (VACUUM, CREATE DATABASE) is the server's error
 * 25001; COPY ends the connection. Memory for all results is needed at once.
 */
WEIR_API WEIR_CHECKED weir_status weir_batch(weir_conn *conn, const weir_statement *statements,
                                             size_t n, struct pg_result **results,
                                             int64_t timeout_ms, weir_error *error);

WEIR_END

#endif

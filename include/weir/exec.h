/* SPDX-License-Identifier: BSD-2-Clause */
/* Running SQL on a checked-out connection, with a deadline and a status. */
#ifndef WEIR_EXEC_H
#define WEIR_EXEC_H

#include <stdint.h>

#include <weir/conn.h>
#include <weir/export.h>
#include <weir/status.h>

WEIR_BEGIN

/*
 * Runs SQL that wants no rows back: one statement, or several separated by semicolons (then in one
 * implicit transaction, as PostgreSQL's simple query protocol has it, chapter 55.2.2.1). Rows that
 * come are thrown away. For everything else there is weir_pg and libpq.
 *
 * The holder's thread only. Blocks until the answer is there, or timeout_ms (negative: for ever)
 * has passed.
 *
 * OK; QUERY: the server reported an error, error->sqlstate says which; RETRY: 40001 or 40P01, run
 * the whole transaction again. TIMEOUT: no answer in time. CONNECT: the connection was lost and
 * nothing was committed by this call. OUTCOME_UNKNOWN: it was lost, or did not answer in time,
 * while a commit may have been under way: never repeat it blindly. After the last three the
 * connection is unusable, and closed when it is given back. Where the time ran out, the server is
 * asked to stop, on a thread of its own, and nobody waits for that. INVALID: NULL, or a query is
 * under way; STALE; FORKED.
 */
WEIR_API WEIR_CHECKED weir_status weir_exec(weir_conn *conn, const char *sql, int64_t timeout_ms,
                                            weir_error *error);

WEIR_END

#endif

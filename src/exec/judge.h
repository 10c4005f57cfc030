/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a statement can do, and what the end of its exchange means for the caller: shared by all
 * that runs SQL.
 */
#ifndef WI_EXEC_JUDGE_H
#define WI_EXEC_JUDGE_H

#include <stdbool.h>

#include <weir/exec.h>

#include "driver/driver.h"

/* Whether the text could end the transaction it runs in. Errs on the side of yes. */
bool wi_may_commit(const char *sql, bool in_transaction);

/*
 * Whether the text begins as one that only reads or changes rows: SELECT, INSERT, UPDATE, DELETE,
 * MERGE, VALUES, TABLE, WITH. Errs on the side of no.
 */
bool wi_is_plain_sql(const char *sql);

/* Whether it is about transactions themselves: BEGIN, COMMIT, SAVEPOINT, ... */
bool wi_is_transaction_sql(const char *sql);

/*
 * The slot behind a handle that is to run something, and how it looks. NULL: *status says why not,
 * and so does *error. `call` is the public function's name.
 */
struct weir_conn *wi_exec_enter(weir_conn *conn, const char *call, enum wi_look *look,
                                weir_status *status, weir_error *error);

/* The server's error, and the connection is as good as before: QUERY or RETRY. */
weir_status wi_exec_refused(struct weir_conn *c, const struct wi_failure *failure,
                            weir_error *error);

/* The connection was lost: CONNECT, or OUTCOME_UNKNOWN if something may have been committed. */
weir_status wi_exec_lost(struct weir_conn *c, bool unknown, const struct wi_failure *failure,
                         weir_error *error);

/*
 * The same where the driver could not send it to its end. commits: something in it commits by
 * itself; look: what the connection looked like before.
 */
weir_status wi_exec_not_sent(struct weir_conn *c, enum wi_look look, bool commits,
                             const struct wi_failure *failure, weir_error *error);

/*
 * No answer by the deadline: TIMEOUT, or OUTCOME_UNKNOWN. The server is asked to stop; the
 * connection is of no more use to its holder.
 */
weir_status wi_exec_late(struct weir_conn *c, bool unknown, weir_error *error);

/* TIMEOUT, where the time is over before anything was sent: the connection is as it was. */
weir_status wi_exec_unsent(const struct weir_conn *c, weir_error *error);

/* After wi_exec_refused: the server has ended it by the caller's deadline: TIMEOUT. */
weir_status wi_exec_struck(weir_error *error);

/*
 * After wi_exec_refused: what was prepared is of no use any more, and the transaction has failed of
 * it: RETRY.
 */
weir_status wi_exec_stale(weir_error *error);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What a statement can do, as far as its text tells. */
#ifndef WI_EXEC_JUDGE_H
#define WI_EXEC_JUDGE_H

#include <stdbool.h>

/* Whether the text could end the transaction it runs in. Errs on the side of yes. */
bool wi_may_commit(const char *sql, bool in_transaction);

/*
 * Whether the text begins as one that only reads or changes rows: SELECT, INSERT, UPDATE, DELETE,
 * MERGE, VALUES, TABLE, WITH. Errs on the side of no.
 */
bool wi_is_plain_sql(const char *sql);

/*
 * Whether it may drop what is prepared, or change what that gives: DEALLOCATE, ALTER TABLE, DO.
 * Errs on the side of yes, but a function that a plain statement calls can do the same.
 */
bool wi_may_unprepare(const char *sql);

/* Whether it is about transactions themselves: BEGIN, COMMIT, SAVEPOINT, ... */
bool wi_is_transaction_sql(const char *sql);

#endif

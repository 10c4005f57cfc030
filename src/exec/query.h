/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the query helpers share: who may run them, statements as a caller fills them, and their
 * deadlines.
 */
#ifndef WI_EXEC_QUERY_H
#define WI_EXEC_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/exec.h>

#include "driver/driver.h"

/*
 * The slot behind a handle that is to run something, and how it looks. NULL: *status says why not,
 * and so does *error. `call` is the public function's name.
 */
struct weir_conn *wi_exec_enter(weir_conn *conn, const char *call, enum wi_look *look,
                                weir_status *status, weir_error *error);

/*
 * Copies what caller and library both know of a statement; zeros for what the caller does not.
 * INVALID where it asks for what this weir does not know, or contradicts itself; `what` names it.
 */
weir_status wi_statement_load(weir_statement *to, const weir_statement *from, const char *what,
                              weir_error *error);

/* As the driver wants it, for this connection. */
struct wi_call wi_statement_call(const struct weir_conn *c, const weir_statement *statement);

/* When it has to be over, as the statement or else the options say. */
int64_t wi_statement_deadline(const weir_options *options, int64_t timeout_ms, int64_t now_ns);

/* Runs it on a connection that looks so, until the deadline, and counts it. */
weir_status wi_conn_query(struct weir_conn *c, enum wi_look look, const weir_statement *statement,
                          int64_t deadline_ns, struct pg_result **result, weir_error *error);

/* Whether what runs until then, on a connection that looks so, may have been committed if lost. */
bool wi_may_have_committed(const struct weir_conn *c, enum wi_look look, const char *sql);

/* ---- limit.c: the server ends a statement by itself ---- */

/* Weir's own calls around those of the user's. */
struct wi_limit {
	int64_t ms;           /* 0: none is set */
	int64_t ends_ns;      /* when it strikes, at the earliest */
	char text[24];        /* "450ms" */
	const char *value[1]; /* of both calls: the text */
	bool is_local;        /* inside the user's transaction: put back by the second */
};

/*
 * Whether the server is to be told of the deadline: it comes before statement_timeout_ms, and the
 * statement is of a kind that may stand behind another one in a transaction.
 */
void wi_limit_init(struct wi_limit *limit, const struct weir_conn *c, enum wi_look look,
                   bool is_plain, int64_t deadline_ns);

/* The calls before and after; false: there is none. */
bool wi_limit_before(struct wi_limit *limit, const struct weir_conn *c, struct wi_call *call);
bool wi_limit_after(const struct wi_limit *limit, const struct weir_conn *c, struct wi_call *call);

/* Whether a failure is the limit's doing, and not that of a shorter one or of somebody's cancel. */
bool wi_limit_struck(const struct wi_limit *limit, const struct weir_conn *c,
                     const struct wi_failure *failure);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What the query helpers share: statements as a caller fills them, and their deadlines. */
#ifndef WI_EXEC_QUERY_H
#define WI_EXEC_QUERY_H

#include <stdint.h>

#include <weir/exec.h>

#include "driver/driver.h"

/*
 * Copies what caller and library both know of a statement; zeros for what the caller does not.
 * INVALID where it asks for what this weir does not know, or contradicts itself; `what` names it.
 */
weir_status wi_statement_load(weir_statement *to, const weir_statement *from, const char *what,
                              weir_error *error);

/* As the driver wants it. */
struct wi_call wi_statement_call(const weir_statement *statement);

/* When it has to be over, as the statement or else the options say. */
int64_t wi_statement_deadline(const weir_options *options, int64_t timeout_ms, int64_t now_ns);

/* Runs it on a connection that looks so, until the deadline, and counts it. */
weir_status wi_conn_query(struct weir_conn *c, enum wi_look look, const weir_statement *statement,
                          int64_t deadline_ns, struct pg_result **result, weir_error *error);

#endif

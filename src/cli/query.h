/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One statement or one connect by libpq, with a deadline: nothing here waits longer than it is
 * told.
 */
#ifndef CLI_QUERY_H
#define CLI_QUERY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>
#include <weir/weir.h>

/*
 * When to give up: at a moment of its own, or when the whole run must end, which may become
 * earlier.
 */
struct cli_limit {
	int64_t deadline;                 /* monotonic ns */
	const _Atomic int64_t *last_call; /* NULL: there is no such run */
};

/*
 * Sends sql and reads the answer. value, if given, gets the first column of the first row. After
 * TIMEOUT and CONNECT the connection is of no further use. Statuses: OK, QUERY, RETRY, CONNECT,
 * TIMEOUT.
 */
weir_status cli_query(PGconn *pg, const char *sql, const struct cli_limit *limit, char *value,
                      size_t room, weir_error *error);

/*
 * Connects; *pg is set, and owed a PQfinish, only if OK. Statuses: OK, CONNECT, TIMEOUT, NO_MEMORY.
 */
weir_status cli_connect(const char *const *keys, const char *const *values,
                        const struct cli_limit *limit, PGconn **pg, weir_error *error);

#endif

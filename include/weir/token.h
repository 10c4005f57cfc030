/* SPDX-License-Identifier: BSD-2-Clause */
/* A position in the write-ahead log that a later read must have reached ("read your writes"). */
#ifndef WEIR_TOKEN_H
#define WEIR_TOKEN_H

#include <stdint.h>

#include <weir/conn.h>
#include <weir/export.h>
#include <weir/status.h>

WEIR_BEGIN

/*
 * Zeroed: no position. Compared only within one system; a token of an older timeline is served by
 * the primary.
 */
typedef struct weir_token {
	uint64_t system; /* pg_control_system().system_identifier */
	uint64_t lsn;    /* normalised at page and segment headers */
	uint32_t timeline;
	uint32_t reserved; /* zero */
} weir_token;

#define WEIR_TOKEN_TEXT 48 /* room for the text of any token, with its end */

/* A token that no replica has ever reached: reads with it go to the primary, of any system. */
#define WEIR_TOKEN_PRIMARY                                                                         \
	{                                                                                          \
		.lsn = UINT64_MAX                                                                  \
	}

/*
 * Asks the server of a write connection for its position now: call it after COMMIT, outside a
 * transaction. Blocks for one round trip, at most timeout_ms. The holder's thread only.
 * Statuses: OK, INVALID (in a transaction, or a standby), QUERY, CONNECT, TIMEOUT (the connection
 * is then of no more use to its holder), STALE.
 *
 * The insert position after COMMIT is what PostgreSQL's WAIT FOR LSN documents as the one to wait
 * for.
 */
WEIR_API WEIR_CHECKED weir_status weir_token_take(weir_conn *conn, int64_t timeout_ms,
                                                  weir_token *token, weir_error *error);

/*
 * Commits the open transaction and takes the position that a read must have reached to see it: as
 * COMMIT and weir_token_take, in one round trip. synchronous_commit may be off. Blocks, at most
 * timeout_ms. The holder's thread only.
 *
 * Statuses say what became of the transaction. OK: committed. If the position could not be had then
 * (the connection was lost in between, the question was refused), *token is WEIR_TOKEN_PRIMARY,
 * which is safe to read by, and *error says why. OUTCOME_UNKNOWN: the connection was lost in
 * COMMIT, or it took too long; it is of no more use to its holder. QUERY, RETRY: rolled back, with
 * the SQLSTATE that COMMIT met with; 25P02: one of its statements had failed before. CONNECT: lost
 * before COMMIT was sent, so rolled back. INVALID, STALE, FORKED: nothing was sent: no transaction
 * is open, or a query is under way, or the server is a standby.
 */
WEIR_API WEIR_CHECKED weir_status weir_token_commit(weir_conn *conn, int64_t timeout_ms,
                                                    weir_token *token, weir_error *error);

/*
 * Makes *token the later of the two: it then stands for all that either stood for. Of different
 * timelines the higher is later; *with wins where the systems differ, unless it is zeroed. Any
 * thread; never blocks.
 */
WEIR_API void weir_token_raise(weir_token *token, const weir_token *with);

/*
 * Writes a token as a short string of [0-9a-z-] that can ride in a cookie. Any thread; never
 * blocks.
 */
WEIR_API void weir_token_print(const weir_token *token, char text[WEIR_TOKEN_TEXT]);

/* Reads what weir_token_print wrote. INVALID for anything else. Any thread; never blocks. */
WEIR_API WEIR_CHECKED weir_status weir_token_parse(const char *text, weir_token *token);

WEIR_END

#endif

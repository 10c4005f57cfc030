/* SPDX-License-Identifier: BSD-2-Clause */
/* What a call can come to: a status, and the caller's own place for the words about it. */
#ifndef WEIR_STATUS_H
#define WEIR_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/export.h>

WEIR_BEGIN

/*
 * Every status: name, number (never reused, never renumbered), whether trying again can help, text.
 *
 *   NEVER  the same call will fail the same way
 *   LATER  the cause may pass: try again after a pause
 *   NOW    the server asks for the whole transaction again, at once
 */
#define WEIR_STATUS_MAP(X)                                                                         \
	X(OK, 0, NEVER, "ok")                                                                      \
	X(INVALID, 1, NEVER, "invalid argument or configuration")                                  \
	X(NO_MEMORY, 2, LATER, "out of memory")                                                    \
	X(TIMEOUT, 3, LATER, "the deadline passed while waiting for a connection")                 \
	X(EXHAUSTED, 4, LATER, "no idle connection, and the call may not wait")                    \
	X(SHED, 5, LATER, "too many callers are waiting already")                                  \
	X(UNAVAILABLE, 6, LATER, "no host can serve this now")                                     \
	X(CONNECT, 7, LATER, "could not connect")                                                  \
	X(AUTH, 8, NEVER, "the server refused the credentials")                                    \
	X(QUERY, 9, NEVER, "the server reported an error")                                         \
	X(RETRY, 10, NOW, "serialization failure or deadlock: run the transaction again")          \
	X(OUTCOME_UNKNOWN, 11, NEVER, "the connection was lost in COMMIT: outcome unknown")        \
	X(CLOSED, 12, NEVER, "the pool or router is closed")                                       \
	X(FORKED, 13, NEVER, "opened by the parent of this process: not usable after fork")        \
	X(STALE, 14, NEVER, "the handle was given back already")                                   \
	X(SYSTEM, 15, LATER, "the operating system refused a resource")

typedef enum weir_status {
#define WEIR_STATUS_ENUM(name, number, retry, text) WEIR_##name = (number),
	WEIR_STATUS_MAP(WEIR_STATUS_ENUM)
#undef WEIR_STATUS_ENUM
} weir_status;

/* Above the number of every status: for counts by status. */
#define WEIR_STATUSES 16

/* Whether the same call may succeed if it is made again: never, later, or at once. */
typedef enum weir_retry {
	WEIR_RETRY_NEVER = 0,
	WEIR_RETRY_LATER = 1,
	WEIR_RETRY_NOW = 2,
} weir_retry;

/* Room for the text of an error, and for "name:port" of a host, with their ends. */
#define WEIR_ERROR_TEXT 1536
#define WEIR_ERROR_HOST 256

/*
 * The words about a failure. Owned by the caller, written only when a call fails, never needed:
 * every call that takes one also takes NULL. Holds no secret: passwords are taken out before text
 * gets here.
 */
typedef struct weir_error {
	weir_status status;
	char sqlstate[6]; /* "" where the server sent none */
	/* "name:port" of the host it is about, "" where none or several */
	char host[WEIR_ERROR_HOST];
	char text[WEIR_ERROR_TEXT]; /* one or more lines, no newline at the end */
} weir_error;

/*
 * The name of a status without its prefix, e.g. "TIMEOUT". Any thread; never NULL; static storage.
 */
WEIR_API const char *weir_status_name(weir_status status);

/* One sentence about a status. Any thread; never NULL; static storage. */
WEIR_API const char *weir_status_text(weir_status status);

/* Whether trying again can help. Any thread. */
WEIR_API weir_retry weir_status_retry(weir_status status);

WEIR_END

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What weir does about an error of the server, by its SQLSTATE: one table, in weir's source and in
 * docs/errors.md, and a hook that may judge otherwise.
 */
#ifndef WEIR_SQLSTATE_H
#define WEIR_SQLSTATE_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/export.h>

WEIR_BEGIN

/* What follows from an error: name, text. New ones are added at the end. */
#define WEIR_CLASS_MAP(X)                                                                          \
	X(PLAIN, "nothing: an error of the statement, the connection is as good as before; "       \
	         "of a connect: its words decide")                                                 \
	X(RETRY, "the transaction is to be run again: weir_exec says RETRY")                       \
	X(EVICT, "the connection is closed, and the idle ones beside it are looked at before "     \
	         "their next use")                                                                 \
	X(CONDEMN, "the server crashed, stops or restarts: all connections opened before are "     \
	           "closed without a question; connects back off and go on")                       \
	X(WRONG_ROLE, "a write met a server that takes none: unless it was lent as a replica's, "  \
	              "the connection is closed when given back and the host probed at once")      \
	X(CAPACITY, "the server has no room: connects back off, what is open stays")               \
	X(RETRY_CONNECT, "connects back off and go on")                                            \
	X(AUTH, "the credentials are refused: connects pause at once, callers are told AUTH, and " \
	        "the host is not taken for down")                                                  \
	X(CONFIG, "what was asked for is not there or not allowed: connects pause at once")        \
	X(OPTIONS, "the startup options are refused: connect again without them, and SET")         \
	X(DROP_STATEMENTS, "prepared statements may be out of date: reset when given back")

typedef enum weir_class {
#define WEIR_CLASS_ENUM(name, text) WEIR_CLASS_##name,
	WEIR_CLASS_MAP(WEIR_CLASS_ENUM)
#undef WEIR_CLASS_ENUM
		WEIR_CLASSES
} weir_class;

/*
 * The hook: the class of an error that the server sent with this SQLSTATE (five characters, never
 * NULL), while connecting or in an open session; `usual` is what the table says, to be returned
 * where the hook has no other opinion. Called on the keeper's thread, and for errors of weir_exec
 * also on its caller's: must not block, must be safe on two threads at once, and must not call into
 * weir. It may be asked about the same error more than once. With a hook, errors of the holder's
 * own statements that the table calls PLAIN are judged at checkin, too; without one, only others.
 */
typedef weir_class (*weir_sqlstate_judge)(void *arg, const char *sqlstate, bool connecting,
                                          weir_class usual);

/* A row of the table: the classes of SQLSTATEs that begin so, if no longer row fits. */
typedef struct weir_sqlstate_row {
	const char *prefix;
	weir_class connecting, open;
	const char *text;
} weir_sqlstate_row;

/* The i-th row, or NULL beyond the last. Any thread; static storage. */
WEIR_API const weir_sqlstate_row *weir_sqlstate_at(size_t i);

/* What the table says; PLAIN for what no row fits, for NULL and "". Any thread. */
WEIR_API weir_class weir_class_of(const char *sqlstate, bool connecting);

/* "CONDEMN", and what follows, in a sentence. Any thread; never NULL; static storage. */
WEIR_API const char *weir_class_name(weir_class kind);
WEIR_API const char *weir_class_text(weir_class kind);

WEIR_END

#endif

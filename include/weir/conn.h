/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection in a user's hands: what it is, and how it is given back. */
#ifndef WEIR_CONN_H
#define WEIR_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/export.h>
#include <weir/status.h>

WEIR_BEGIN

struct pg_conn; /* libpq's PGconn */

/*
 * What a caller holds between checkout and checkin. Belongs to one thread at a time; may be handed
 * to another thread and given back there. A handle is good for one checkout: a copy kept beyond the
 * checkin is recognised as stale (for certain until that connection was checked out 255 more
 * times), does nothing, and is counted (stats.misuse) and told (WEIR_EVENT_MISUSE); of two threads
 * that give the same handle back at once, one wins and the other is told.
 */
typedef struct weir_conn weir_conn;

/* What a host is, as its router observed it. */
typedef enum weir_role {
	WEIR_ROLE_UNKNOWN = 0, /* not probed yet, unreachable, or a pool without a router */
	WEIR_ROLE_PRIMARY = 1,
	WEIR_ROLE_REPLICA = 2,
} weir_role;

/* Why a router chose the host it chose: name, text. New ones are added at the end. */
#define WEIR_REASON_MAP(X)                                                                         \
	X(NONE, "taken from a pool, without a router")                                             \
	X(WRITE, "a write: the primary")                                                           \
	X(BALANCED, "a read: balanced over the eligible replicas")                                 \
	X(SPILLED, "a read: the replica chosen first was busy, this one was not")                  \
	X(NO_REPLICA, "a read on the primary: no replica was eligible")                            \
	X(TOO_STALE, "a read on the primary: no replica was fresh enough")                         \
	X(PRIMARY_WANTED, "a read on the primary, as was asked")                                   \
	X(NO_PRIMARY, "a read that the primary was to serve: there is none")

typedef enum weir_reason {
#define WEIR_REASON_ENUM(name, text) WEIR_REASON_##name,
	WEIR_REASON_MAP(WEIR_REASON_ENUM)
#undef WEIR_REASON_ENUM
		WEIR_REASONS
} weir_reason;

/* What is known of a connection that is out. */
typedef struct weir_conn_info {
	char host[WEIR_ERROR_HOST]; /* "name:port" */
	weir_role role;             /* what the host was at checkout */
	weir_reason reason;
	/* the server process, as pg_stat_activity shows it; 0 if unknown */
	int backend_pid;
	const char *tag; /* the request's; NULL if none */
	/*
	 * it is not of the role that was asked for, as nobody of that was able: the reason says why
	 */
	bool fallback;
} weir_conn_info;

/*
 * Gives a connection back and sets *conn to NULL. NULL and a pointer to NULL are no-ops. Any
 * thread. Never blocks on the network: what was left in a transaction or changed is put right by
 * the keeper before anybody else gets the connection; what is busy is cancelled there and read out,
 * or closed if that takes longer than cancel_timeout_ms; what is broken is closed. After the pool
 * was closed, the connection is closed. Must not be called in a signal handler.
 */
WEIR_API void weir_checkin(weir_conn **conn);

/* As weir_checkin, but the connection is closed and never used again. Any thread; never blocks. */
WEIR_API void weir_discard(weir_conn **conn);

/*
 * The libpq connection. The holder's to use until it gives the connection back, except that it must
 * not be finished or reset (PQfinish, PQreset), nor its socket closed: discard it instead. NULL for
 * NULL, a stale handle, or a connection of the parent process. Never blocks.
 */
WEIR_API struct pg_conn *weir_pg(const weir_conn *conn);

/*
 * Says where a checked-out connection leads and why it was chosen. Any thread that holds it; never
 * blocks. STALE if it was given back already.
 */
WEIR_API WEIR_CHECKED weir_status weir_conn_info_get(const weir_conn *conn, weir_conn_info *info);

/*
 * Whether a reason means that the role asked for was not to be had. Any thread.
 */
WEIR_API bool weir_reason_is_fallback(weir_reason reason);

/* Short words for a role and a reason, for people. Never NULL; static storage. */
WEIR_API const char *weir_role_name(weir_role role);
WEIR_API const char *weir_reason_name(weir_reason reason);
WEIR_API const char *weir_reason_text(weir_reason reason);

#if defined(__GNUC__)
/*
 *	WEIR_SCOPED weir_conn *c = NULL;
 *
 * gives c back at the end of the block, by whichever way the block is left (the cleanup attribute
 * of GCC and Clang). Not run by longjmp, exit or a C++ exception out of a C frame.
 */
#define WEIR_SCOPED __attribute__((cleanup(weir_checkin)))
#endif

WEIR_END

#endif

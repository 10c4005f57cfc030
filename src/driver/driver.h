/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The seam between weir and a database client library. Two implementations: libpq (libpq.c) and one
 * in this process (fake.c); tests/conformance/driver_suite.c is the specification as a program, run
 * for both.
 *
 * Who calls. For a given connection one thread at a time: the keeper while it opens, resets, checks
 * or closes one, or the holder (look, tidy, pg, and send with answer_step for a check at checkout).
 * Handing a connection from thread to thread is the caller's to order. The one exception is cut,
 * which any thread may call beside the holder. Different connections may be worked on by different
 * threads at once.
 *
 * Waiting. No call but cancel_ask waits for the network and none sleeps: a step says what to wait
 * for, and the caller polls with its own deadline. What a connect reads of local files
 * (certificates, a password file) is read where it is called. No call looks up a name.
 *
 * Modes. libpq's "non-blocking" flag is off whenever a step has come to its end, so that a holder
 * finds the connection as PQconnectdb would have left it; the driver sets the flag for its own
 * exchanges only.
 *
 * Order at checkin: tidy, look; then, as look says, nothing, or drain where it is busy and
 * statements (send) and mark_clean, or close. Order of a cancel: make, ask, free; nothing is sent
 * on the connection between make and the end of ask.
 */
#ifndef WI_DRIVER_DRIVER_H
#define WI_DRIVER_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/conn.h>
#include <weir/options.h>

#include "config/dsn.h"

/* What a step came to. READ, WRITE: call again when the descriptor is so, or at due(). */
enum wi_step { WI_STEP_DONE, WI_STEP_READ, WI_STEP_WRITE, WI_STEP_FAILED };

/* What kind of failure, as far as it changes what the pool does next. */
enum wi_fault {
	WI_FAULT_NONE,
	WI_FAULT_REFUSED,  /* nobody listens, or the network said no */
	WI_FAULT_TIMEOUT,  /* no answer in time (set by the caller of the driver) */
	WI_FAULT_RESOLVE,  /* the name has no address (set by the resolver) */
	WI_FAULT_AUTH,     /* class 28, or no password where one is wanted */
	WI_FAULT_CONFIG,   /* 3D000 and what else stays wrong: unknown database, bad parameter */
	WI_FAULT_CAPACITY, /* 53300: the server has no room */
	WI_FAULT_STARTING, /* 57P03: starting up or shutting down */
	WI_FAULT_TLS,      /* certificate, protocol or mode refused */
	WI_FAULT_OPTIONS,  /* the startup options were refused (a pooler): try again without them */
	WI_FAULT_LOST,     /* an open connection ended */
	WI_FAULT_SQL,      /* the server reported an error and the connection lives */
	/* of an open connection also: the answer could not be taken, whatever the server did */
	WI_FAULT_MEMORY,
};

struct wi_failure {
	enum wi_fault fault;
	bool silent; /* LOST: the other side did not acknowledge anything for too long */
	char sqlstate[6];
	char text[512]; /* clean and without secrets */
};

/* What to connect to. Lives at least as long as every connection made from it. */
struct wi_target {
	const struct wi_endpoint *endpoint;
	const char *const *keys;   /* libpq's parameters, NULL-terminated, the last of equal keys */
	const char *const *values; /*   wins; without host, hostaddr, port and options */
	const char *startup_options; /* for libpq's `options`: "-c lock_timeout=5000", or NULL */
	const char *secret; /* the password, to be taken out of every text; NULL if unknown */
	bool strict;        /* its sslmode is weir's default: said where it refuses */
	const char *gap;    /* why a password could go to somebody unverified, or NULL */
	/* user and password to take instead, where not ""; NULL: none. May be gone after connect */
	const weir_login *login;
	bool isolated;  /* look at no environment variable and no file but those named */
	uint32_t plans; /* statements that a connection knows at most: wi_call.keep; 0: none */
	bool hears_all; /* of holders' errors `heard` tells also those that are PLAIN */
	void *script;   /* the fake driver's server; NULL for libpq */
};

/* The first row of an answer, as text. A NULL is an empty string with is_null set. */
#define WI_ANSWER_COLUMNS 24
struct wi_answer {
	size_t columns;
	bool has_row;
	bool is_null[WI_ANSWER_COLUMNS];
	char value[WI_ANSWER_COLUMNS][128];
};

/* What a look without I/O finds. */
enum wi_look {
	WI_LOOK_CLEAN,   /* idle, outside a transaction, nothing known to have changed */
	WI_LOOK_CHANGED, /* idle, but a setting that the driver can see has changed */
	WI_LOOK_IN_TX,   /* idle inside a transaction, failed or not */
	WI_LOOK_BUSY,    /* a query runs, rows are unread, COPY or pipeline mode is on */
	WI_LOOK_DEAD,
};

/* What an error that says that a write cannot be done here (25006) comes from. */
enum wi_refusal {
	WI_REFUSAL_NONE,   /* there was no such error */
	WI_REFUSAL_WISHED, /* the transaction was to be read-only: the server takes writes */
	/* default_transaction_read_only is on: the session's, or the server's */
	WI_REFUSAL_SETTING,
	WI_REFUSAL_STANDBY, /* the server is a standby */
	WI_REFUSAL_UNKNOWN, /* the server does not report what it is */
};

/* Facts about an open connection. */
struct wi_facts {
	int backend_pid;
	int server_version;  /* as server_version_num */
	bool in_hot_standby; /* as last reported */
	bool in_failed_tx;   /* inside a transaction that can only be rolled back */
	/* of send or send_two, the last one: how many statements succeeded before the first that
	 * did not; 0 where it returned false */
	int succeeded;
	uint64_t commits; /* how often its session was heard to commit, or to prepare to */
	/* how often it was heard of what can make a read-only transaction one that writes */
	uint64_t turns;
	char tls[64];      /* "TLSv1.3 TLS_AES_256_GCM_SHA384" or "off" */
	char failed_by[6]; /* in_failed_tx: the SQLSTATE of the error that did it, or "" */
};

/* Whether a statement is kept prepared: wi_target.plans. */
enum wi_keep { WI_KEEP_NOT, WI_KEEP_SECOND, WI_KEEP_AT_ONCE };

/*
 * One statement of an exchange whose results are wanted, as PQsendQueryParams takes it. What it
 * points to has to stay until the exchange has come to its end, or is given up.
 */
struct wi_call {
	const char *sql;
	int n_params;
	const unsigned *types;
	const char *const *values;
	const int *lengths, *formats;
	int result_format;
	enum wi_keep keep; /* from its second use on, or from its first */
	/* weir's own: it leaves nothing behind in the session, whatever its command tag says */
	bool own;
};

/* What came of such an exchange. */
struct wi_results {
	/* room for one a call: NULL where none has come; whoever called frees them, at any end */
	struct pg_result **of;
	size_t failed; /* the first call that did; their number: none has */
	/*
	 * It did because what was prepared is not there any more, or gives other columns by now: it
	 * was not run, and the next time it is prepared anew.
	 */
	bool stale;
	/*
	 * It did, and perhaps because of types that the server inferred when it was prepared: the
	 * next time it is prepared anew.
	 */
	bool doubtful;
};

struct wi_driver {
	const char *name;

	/*
	 * Judges what connect would be given, before anything is opened: keys, values,
	 * startup_options and isolated are looked at, endpoint may be NULL. INVALID names an
	 * unknown keyword and the nearest known one, or says what is wrong with a value. Nothing
	 * goes over the network. Statuses: OK, INVALID, NO_MEMORY.
	 */
	weir_status (*check)(const struct wi_target *target, weir_error *error);

	/*
	 * Begins to connect to endpoint; address is a numeric address for its host, or NULL for a
	 * Unix socket or when hostaddr is given (names are never looked up here). Returns the
	 * connection, also if connecting has failed already (connect_step tells), or NULL for want
	 * of memory.
	 */
	void *(*connect)(const struct wi_target *target, const char *address);

	/*
	 * Goes on connecting; the first call may come at once, and a call too many does no harm.
	 * DONE: ready for queries, and marked clean. FAILED: *failure says why; only close is left
	 * to do.
	 */
	enum wi_step (*connect_step)(void *conn, struct wi_failure *failure);

	/*
	 * The password that is at hand, should the server ask for one, or NULL; from connect on,
	 * and until close.
	 */
	const char *(*password)(void *conn);

	/* The descriptor to wait on now, or -1. May change from step to step while connecting. */
	int (*fd)(void *conn);

	/* When to step again though the descriptor is quiet (monotonic ns), or WI_FOREVER. */
	int64_t (*due)(void *conn);

	/* Sends SQL without waiting. false: *failure says why and the connection is dead. */
	bool (*send)(void *conn, const char *sql, struct wi_failure *failure);

	/*
	 * Sends two statements at once, for one round trip: each is a transaction of its own, and
	 * the second is run whatever comes of the first. The answer is that of both: all of it is
	 * there, and no error was in it, or the first one is told.
	 */
	bool (*send_two)(void *conn, const char *first, const char *second,
	                 struct wi_failure *failure);

	/*
	 * Goes on sending and reading the answer. DONE: all statements succeeded and the connection
	 * is idle; answer (may be NULL; the same one at every step) has the first row of the last
	 * statement that returned rows. FAILED with WI_FAULT_SQL: the connection is idle and usable
	 * (look tells whether inside a transaction); with any other fault it is dead and only close
	 * is left to do.
	 */
	enum wi_step (*answer_step)(void *conn, struct wi_answer *answer,
	                            struct wi_failure *failure);

	/*
	 * Sends statements at once, for one round trip; several are one implicit transaction: all
	 * or nothing, and the rest is not run after an error. false: *failure says why, and the
	 * connection is dead. WI_FAULT_MEMORY: none of it has left. Else its end never left, but
	 * what comes before may have, and a COMMIT among that has been obeyed.
	 */
	bool (*send_calls)(void *conn, const struct wi_call *calls, size_t n,
	                   struct wi_failure *failure);

	/*
	 * As answer_step, for what send_calls has sent: the same calls, results and failure at
	 * every step.
	 */
	enum wi_step (*results_step)(void *conn, const struct wi_call *calls, size_t n,
	                             struct wi_results *results, struct wi_failure *failure);
	void (*result_free)(struct pg_result *result); /* NULL is a no-op. Any thread. */

	/*
	 * Throws away what a holder left under way: a running query, rows unread, COPY, which is
	 * told to fail. One read a call. *room is how many bytes more may be read, about, and is
	 * lowered. DONE: nothing is owed any more, and look tells whether inside a transaction.
	 * FAILED with WI_FAULT_SQL: there is too much to read, or it is of a kind that is not worth
	 * it (a pipeline of the holder's own); with WI_FAULT_LOST: the connection has ended. Only
	 * close is left then.
	 */
	enum wi_step (*drain_step)(void *conn, size_t *room, struct wi_failure *failure);

	/*
	 * What asks the server to end what this connection is doing, or NULL: no memory, or the
	 * driver has no such thing. The holder's. It is independent of the connection, which may be
	 * closed meanwhile.
	 */
	void *(*cancel_make)(void *conn);

	/*
	 * Asks, once, and returns when the server has dealt with it: true: what is sent from now on
	 * is not hit by it. false: whether it has been or will be asked is unknown. Blocks for as
	 * long as the network likes. Any thread, and cancel_free too.
	 */
	bool (*cancel_ask)(void *cancel);
	void (*cancel_free)(void *cancel);

	/* What state is the connection in? No I/O: a death nobody has read yet is not seen. */
	enum wi_look (*look)(void *conn);

	/*
	 * Puts the client side back: notice receiver and processor, error verbosity and context,
	 * trace, blocking mode, pipeline mode if nothing is under way in it. No I/O. Event
	 * procedures that a holder registered cannot be taken back.
	 */
	void (*tidy)(void *conn);

	/* What a checkin asks: tidy, then look, in one call. */
	enum wi_look (*tidy_and_look)(void *conn);

	/*
	 * Takes the SQLSTATE of the first error that a statement of the holder met with since this
	 * was last asked, of those that are not PLAIN by the table (weir_class_of), or of all if
	 * the target says so. true: there was one; until it is taken, look finds nothing CLEAN. No
	 * I/O.
	 */
	bool (*heard)(void *conn, char sqlstate[6]);

	/*
	 * Whether heard would tell of a refused write, and what the server's reports make of it.
	 * Takes nothing. No I/O.
	 */
	enum wi_refusal (*refused)(void *conn);

	/*
	 * Takes the present reported settings as the clean state that look compares with, and drops
	 * notifications that nobody has read. No I/O.
	 */
	void (*mark_clean)(void *conn);

	/*
	 * Looks at the idle socket without waiting: true if the peer has neither ended the
	 * connection nor said anything that ends it; else *failure has what it said last (57P01 and
	 * the like arrive as a notice) and only close is left to do.
	 */
	bool (*peek)(void *conn, struct wi_failure *failure);

	/* Facts about an open connection, as last reported. No I/O. */
	void (*facts)(void *conn, struct wi_facts *facts);

	/* libpq's own connection, or NULL if this driver has none. */
	struct pg_conn *(*pg)(void *conn);

	/*
	 * Ends our side of an open connection: the server's process goes when it notices, which is
	 * at once if it is idle and after the statement if it is in one; whoever holds the
	 * connection gets an error when it sends again. From any thread, beside the holder, but not
	 * beside close, which is still owed. Our descriptor tells of the server's end, not of ours.
	 */
	void (*cut)(void *conn);

	/*
	 * Says goodbye, in any state and without waiting, and frees the connection. Returns a
	 * descriptor that becomes readable with end-of-file when the server process is gone
	 * (PostgreSQL leaves the socket open until its process exits, for just this use:
	 * socket_close in src/backend/libpq/pqcomm.c); what can be read before the end is to be
	 * thrown away, an error counts as the end, and the descriptor is the caller's to close. -1:
	 * nothing to wait for.
	 */
	int (*close)(void *conn);

	/*
	 * In a forked child: frees the memory without a word to the server; its session lives on.
	 */
	void (*abandon)(void *conn);
};

extern const struct wi_driver wi_driver_libpq;

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transactions: a scope that commits or rolls back, and a callback that is run in one, again where
 * that is provably safe.
 */
#ifndef WEIR_TX_H
#define WEIR_TX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/conn.h>
#include <weir/export.h>
#include <weir/pool.h>
#include <weir/router.h>
#include <weir/status.h>
#include <weir/token.h>

WEIR_BEGIN

/*
 * A transaction, or a savepoint in one: a plain struct of the caller's. Zero it, or WEIR_TX();
 * nothing of it is to be freed. The thread that holds the connection; it must not be moved while it
 * is open. What is called with one that has ended, or was never begun, is INVALID and does nothing.
 */
typedef struct weir_tx {
	size_t size;      /* sizeof(weir_tx); 0 means the same */
	uint64_t own[16]; /* weir's; zeroed at first */
} weir_tx;

/* A transaction that has not begun. */
#define WEIR_TX() ((weir_tx){.size = sizeof(weir_tx)})

/* PostgreSQL's, chapter 13.2. Zero: default_transaction_isolation of the session. */
typedef enum weir_isolation {
	WEIR_ISOLATION_DEFAULT = 0,
	WEIR_ISOLATION_READ_COMMITTED = 1,
	WEIR_ISOLATION_REPEATABLE_READ = 2,
	WEIR_ISOLATION_SERIALIZABLE = 3,
} weir_isolation;

/* How a transaction is begun. Zero it, set `size` with WEIR_TX_SETTINGS, fill in what matters. */
typedef struct weir_tx_settings {
	size_t size; /* sizeof(weir_tx_settings); 0 means the same */
	weir_isolation isolation;
	bool read_only;  /* else as the session's default says */
	bool deferrable; /* waits for a snapshot that cannot fail: SERIALIZABLE and read_only */
	/*
	 * For this transaction alone, in the round trip of BEGIN; 0: the session's; negative: no
	 * limit. The first holds in COMMIT, too: see "Acknowledged" in docs/contracts.md.
	 */
	int64_t statement_timeout_ms;
	int64_t lock_timeout_ms;
	/*
	 * From begin to the answer to COMMIT; what is over then is rolled back. 0 or negative: no
	 * end in all, and options.query_timeout_ms for each of weir's own round trips.
	 */
	int64_t timeout_ms;
	/*
	 * Where the position after COMMIT goes, for reads that are to see it: as weir_token_commit,
	 * in the same round trip. Not of a read-only transaction. Must live until the commit.
	 */
	weir_token *token;
} weir_tx_settings;

/* Settings with their size, for designated initializers. */
#define WEIR_TX_SETTINGS(...) ((weir_tx_settings){.size = sizeof(weir_tx_settings), __VA_ARGS__})

/*
 * Begins a transaction on a connection that is in none. settings may be NULL. The holder's thread.
 * Blocks for one round trip.
 *
 * OK: open, until weir_tx_commit, weir_tx_rollback or weir_tx_end. QUERY, RETRY: the server
 * refused. CONNECT: the connection was lost; TIMEOUT: no answer in time; NO_MEMORY: none for the
 * answer; after these three the connection is of no more use to its holder, as after weir_exec.
 * INVALID: bad settings, a transaction is open, a query is under way; STALE; FORKED. Where it
 * fails, nothing is open.
 */
WEIR_API WEIR_CHECKED weir_status weir_tx_begin(weir_conn *conn, const weir_tx_settings *settings,
                                                weir_tx *tx, weir_error *error);

/*
 * Begins a nested one: a savepoint in `outer`, which may be nested itself, with a name of weir's.
 * Commit releases it, rollback takes back what was done since and leaves the outer one as it was,
 * also after an error. Neither undoes a serialization failure or a deadlock of the whole. Blocks
 * for one round trip. Statuses as weir_tx_begin; QUERY with 25P02: the outer one has failed.
 */
WEIR_API WEIR_CHECKED weir_status weir_tx_nest(weir_tx *outer, weir_tx *tx, weir_error *error);

/*
 * Commits. The holder's thread. Blocks for one round trip, within settings.timeout_ms; where that
 * is over, for one more that rolls back. Whatever comes of it but INVALID, the transaction has
 * ended; and but for OK and OUTCOME_UNKNOWN, it has been rolled back.
 *
 * OK: committed. OUTCOME_UNKNOWN: the connection was lost in COMMIT, or it took too long, or the
 * server says that it does not know (08007, 40003): never repeat it blindly. RETRY: run the whole
 * again (40001, 40P01). QUERY: COMMIT met with an error; or with 25P02: a statement had failed
 * before, so that the server would have answered ROLLBACK to it. CONNECT: lost before COMMIT was
 * sent; or of a read-only one, which has no outcome (but where SET, RESET or BEGIN in it may have
 * made it write). TIMEOUT: its time was over before. INVALID: it is not open (any more), a nested
 * one is, a query is under way, it is weir_run's to commit, or it was ended by SQL of the holder's.
 * STALE, FORKED: rolled back, too, where the connection was given back.
 *
 * Of a nested one: as above, where nothing is committed before the outermost is, and no outcome is
 * unknown (CONNECT).
 */
WEIR_API WEIR_CHECKED weir_status weir_tx_commit(weir_tx *tx, weir_error *error);

/*
 * Rolls back. Of the outermost also while nested ones are open, which end with it. The holder's
 * thread. Blocks for one round trip, at most options.check_timeout_ms. OK; CONNECT, TIMEOUT: rolled
 * back all the same, by the end of the connection or before anybody else gets it, and it is of no
 * more use to its holder. INVALID, STALE, FORKED as weir_tx_commit.
 */
WEIR_API weir_status weir_tx_rollback(weir_tx *tx, weir_error *error);

/*
 * The end of a scope: what is still open is rolled back; anything else is a no-op. Where a query is
 * under way it is left to the checkin, which rolls back too. NULL is a no-op.
 */
WEIR_API void weir_tx_end(weir_tx *tx);

/* Its connection; NULL if it is not open. Never blocks. */
WEIR_API weir_conn *weir_tx_conn(const weir_tx *tx);

/*
 * What is left of its time, as weir_exec takes a timeout: negative: no end; 0 if it is over or not
 * open. (To weir_conn_query and weir_batch a timeout of 0 is their default: look first.) Never
 * blocks.
 */
WEIR_API int64_t weir_tx_left_ms(const weir_tx *tx);

#if defined(__GNUC__)
/*
 *	WEIR_SCOPED_TX weir_tx tx = WEIR_TX();
 *
 * rolls back at the end of the block what was not committed: declared after its connection, so that
 * it ends first. As WEIR_SCOPED, not run by longjmp, exit or a C++ exception out of a C frame.
 */
#define WEIR_SCOPED_TX __attribute__((cleanup(weir_tx_end)))
#endif

/* ---- a callback in a transaction ---- */

/* Why a run was tried once more: name, text. New ones are added at the end. */
#define WEIR_AGAIN_MAP(X)                                                                          \
	X(NEVER, "it was not")                                                                     \
	X(SERIALIZATION, "the server could not serialize it with others (40001)")                  \
	X(DEADLOCK, "the server broke a deadlock (40P01)")                                         \
	X(LOST, "the connection was lost before COMMIT was sent")                                  \
	X(DEMOTED, "the host takes no writes any more (25006)")                                    \
	X(NO_CONNECTION, "no connection was to be had after one was lost")                         \
	X(ASKED, "the callback, or the judge of SQLSTATEs, asked for it")

typedef enum weir_again {
#define WEIR_AGAIN_ENUM(name, text) WEIR_AGAIN_##name,
	WEIR_AGAIN_MAP(WEIR_AGAIN_ENUM)
#undef WEIR_AGAIN_ENUM
		WEIR_AGAINS
} weir_again;

/* One sentence about why; never NULL; static storage. Any thread. */
WEIR_API const char *weir_again_text(weir_again why);

/*
 * The work of one transaction, on weir_tx_conn(tx), with libpq or with weir. May be called several
 * times, each time in a new transaction and perhaps on another host: so it must keep nothing of an
 * attempt (not what it read, not what it counted), and do nothing outside of the database that must
 * not happen twice. It must neither commit (weir_tx_commit is INVALID, and SQL that ends the
 * transaction ends the run with INVALID) nor give the connection back. It may nest, and block:
 * weir_tx_left_ms says how long. Called on the thread of weir_run, which must not be left by
 * longjmp or an exception; where the thread is cancelled, it is rolled back.
 *
 * Returns OK: commit. RETRY: roll back, and try again. Anything else: roll back; QUERY and CONNECT
 * are tried again where the server's error or the loss of the connection allow that; all others,
 * numbers of the caller's own among them, end the run and are what it returns. weir_tx_rollback and
 * then OK is an end without a commit and without a failure. `error` is where to put the words; it
 * is never NULL.
 */
typedef weir_status (*weir_run_body)(weir_tx *tx, void *arg, weir_error *error);

/* What a run came to. */
typedef struct weir_run_result {
	size_t size;       /* sizeof(weir_run_result), set by the caller; 0 means the same */
	uint32_t attempts; /* how often a connection was asked for */
	weir_again why;    /* the last time that it was tried again */
	bool committed;    /* false with OK: the callback had rolled back */
} weir_run_result;

/* How a run goes. Zero it, set `size` with WEIR_RUN_SETTINGS, and fill in what matters. */
typedef struct weir_run_settings {
	size_t size; /* sizeof(weir_run_settings); 0 means the same */
	/*
	 * Of a router's run: which host, as weir_checkout_with; NULL: a write. With WEIR_READ the
	 * transaction is read-only, carries token and session, and another attempt goes to another
	 * host, where there is one. request->timeout_ms is for each checkout; 0: what is left.
	 */
	const weir_request *request;
	const weir_tx_settings *tx; /* NULL: every default; its timeout_ms is for each attempt */
	/*
	 * One absolute deadline over all attempts, their checkouts and the pauses between them.
	 * 0: options.checkout_timeout_ms; negative: none. It is looked at by weir's own calls only:
	 * what the callback does by itself has to keep to weir_tx_left_ms.
	 */
	int64_t timeout_ms;
	uint32_t max_attempts; /* 0: as many as the deadline allows */
	/* The first pause is up to so long, each more up to twice as long, by lot. 0: 5, 1000 */
	int64_t pause_ms, max_pause_ms;
	weir_run_result *result; /* where to say how it went, or NULL */
} weir_run_settings;

/* Settings with their size, for designated initializers. */
#define WEIR_RUN_SETTINGS(...) ((weir_run_settings){.size = sizeof(weir_run_settings), __VA_ARGS__})

/*
 * Runs the callback in a transaction and commits. Tried again, after a pause, after a serialization
 * failure or deadlock, and after losses that are provably safe: the connection was lost, or a
 * demoted host refused a write, before COMMIT was sent. Never after an unknown outcome, and never
 * beyond the deadline. A checkout that fails is told as it is, but for CONNECT after a loss.
 *
 * Any thread; blocks. settings may be NULL. No connection is held during a pause.
 *
 * OK: committed (or see weir_run_body). OUTCOME_UNKNOWN: the connection was lost in COMMIT: it may
 * or may not have been committed. Anything else: nothing was; the status is that of the last
 * attempt (RETRY: it could not be done in time or as often as allowed), of its checkout, or what
 * the callback returned.
 */
WEIR_API WEIR_CHECKED weir_status weir_run(weir_router *router, const weir_run_settings *settings,
                                           weir_run_body body, void *arg, weir_error *error);

/* The same on a pool, on which settings.request must be NULL. */
WEIR_API WEIR_CHECKED weir_status weir_pool_run(weir_pool *pool, const weir_run_settings *settings,
                                                weir_run_body body, void *arg, weir_error *error);

WEIR_END

#endif

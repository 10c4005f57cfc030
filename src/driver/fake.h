/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fake driver: a server in this process, for benches, simulation and faults. What it does is
 * scripted by members that a test may change at any time; what it saw is counted. Descriptors are
 * real (a socket pair a connection), so a death looks to the keeper's epoll as a real one does.
 *
 * Time is wi_now_ns, or a clock of the test's. Answers and connects take time by due() alone: the
 * descriptor stays quiet. The end of a session that takes time (goodbye_ns) comes by itself on the
 * real clock; on a test's clock the test calls wi_fake_settle after it has moved the clock.
 *
 * SQL is not understood, but a few words are, so that a session has the states that a pool must put
 * right: BEGIN opens a transaction, COMMIT and ROLLBACK end it, ROLLBACK TO mends one that has
 * failed, SET changes a setting, RESET ALL and DISCARD ALL undo that, and DISCARD ALL inside a
 * transaction, or beside other statements in one string, is refused with 25001. INSERT is refused
 * with 25006 by a standby, in a transaction begun READ ONLY, and where
 * default_transaction_read_only was on when the transaction began; that one is set by the startup
 * options, SET, RESET and set_config. Several statements of one exchange are run until one fails;
 * nothing is undone.
 */
#ifndef WI_DRIVER_FAKE_H
#define WI_DRIVER_FAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "driver/driver.h"

extern const struct wi_driver wi_driver_fake;

#define FAKE_PLANS 64

/*
 * What a fake server answers to a query: true with *answer (zeroed before, never NULL), or false
 * with *failure: WI_FAULT_SQL leaves the connection alive, any other fault ends it. Called by the
 * thread that steps the connection. Without a function every query succeeds and returns no row.
 */
struct wi_fake_server;
typedef bool (*wi_fake_answer)(struct wi_fake_server *server, const char *sql,
                               struct wi_answer *answer, struct wi_failure *failure);

/*
 * The same for a statement whose result is wanted: true with *result, to be made with libpq's
 * PQmakeEmptyPGresult, or left NULL for one without rows.
 */
typedef bool (*wi_fake_reply)(struct wi_fake_server *server, const struct wi_call *call,
                              struct pg_result **result, struct wi_failure *failure);

struct wi_fake_server {
	/* Script: any thread may set these at any time. */
	_Atomic int64_t connect_ns; /* how long a connect takes */
	_Atomic int64_t answer_ns;  /* how long each query takes */
	_Atomic int64_t goodbye_ns; /* how long a closed session stays on the server */
	_Atomic int connect_fault;  /* enum wi_fault: every connect fails so; NONE: succeeds */
	_Atomic int
		fail_connects; /* so many fail with connect_fault (REFUSED if NONE), then none */
	_Atomic(const char *)
		refusal; /* words of connect_fault; NULL: usual ones; static storage */
	/* connects with another are refused with AUTH; NULL: none is asked for; static storage */
	_Atomic(const char *) password;
	_Atomic bool silent;   /* what is asked or due while this is on is never answered */
	_Atomic uint64_t mute; /* the session with this serial alone is silent so; 0: none */
	/* SQLSTATE that sessions are killed with, "": they end without a word; NULL: 57P01 */
	_Atomic(const char *) last_words;
	_Atomic int max_sessions;     /* more are refused with CAPACITY; 0: no bound */
	_Atomic bool obeys_cancel;    /* else a connection has nothing to cancel with */
	_Atomic bool holds_cancel;    /* cancel requests stay under way while this is on */
	_Atomic bool doubt_cancel;    /* who asks does not learn what became of it */
	_Atomic int lose_cancels;     /* so many do nothing, as if they had come too early */
	_Atomic bool reports_nothing; /* in_hot_standby, as servers before 14 */
	_Atomic int stale_plans;  /* so many runs of what is prepared find it out of date (0A000) */
	_Atomic bool in_recovery; /* a standby */
	_Atomic uint64_t lsn;     /* its position */
	_Atomic uint32_t timeline;
	_Atomic uint64_t system;

	/* Set before the first connect. */
	wi_fake_answer answer;
	wi_fake_reply reply; /* NULL: answer is asked for those, too, and its row is the result */
	void *arg;
	int64_t (*now)(void); /* NULL: wi_now_ns */

	/* Seen: read by any thread. A session counts from the begin of its connect. */
	_Atomic int sessions; /* now open, as the server counts */
	_Atomic int sessions_peak;
	_Atomic uint64_t connects;  /* attempts begun */
	_Atomic uint64_t connected; /* that succeeded */
	_Atomic uint64_t queries;
	_Atomic uint64_t closes;                 /* goodbyes */
	_Atomic uint64_t cancels;                /* requests that were dealt with */
	_Atomic uint64_t prepares, drops, named; /* statements prepared, deallocated, run by name */

	/* Private, under lock: the sessions, and the thread that ends them in time. */
	pthread_mutex_t lock;
	pthread_cond_t change;
	struct wi_fake_session *first;
	uint64_t last_serial;
	pthread_t timer;
	bool has_timer, stopping;
};

void wi_fake_server_init(struct wi_fake_server *server);

/* Ends sessions that have said goodbye, and checks that there are no others. */
void wi_fake_server_fini(struct wi_fake_server *server);

/*
 * Ends every open session at the server, as pg_terminate_backend would; returns how many. Any
 * thread.
 */
int wi_fake_kill(struct wi_fake_server *server);

/* The same for the one with this serial; false if there is none. */
bool wi_fake_kill_one(struct wi_fake_server *server, uint64_t serial);

/*
 * Ends the sessions whose time has come and returns when the next one's will, or WI_FOREVER. Needed
 * only with a clock of the test's. Any thread.
 */
int64_t wi_fake_settle(struct wi_fake_server *server);

/*
 * What a user of a fake connection does to it: leaves it as `look` (IN_TX, CHANGED, BUSY, DEAD,
 * CLEAN). The holder's thread only. DEAD: the server ends the session, and the holder has noticed.
 */
void wi_fake_leave(void *conn, enum wi_look look);

/*
 * fork(2) while no other thread is changing the server, which lives in this process and is copied:
 * a child that got it in the middle of a change, with its lock held, could never connect.
 */
pid_t wi_fake_fork(struct wi_fake_server *server);

/* fake_result.c: a result with the row of an answer, or of an error; NULL for want of memory. */
struct pg_result *wi_fake_result(const struct wi_answer *answer, bool failed);
void wi_fake_result_free(struct pg_result *result);

/* Drops every prepared statement of a session, and nobody hears of it: as a function might. */
void wi_fake_forget_plans(void *conn);

/* For libpq-free tests and benches: the connection's number, from 1, unique a server. */
uint64_t wi_fake_serial(void *conn);

#endif

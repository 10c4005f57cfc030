/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the fake driver share: a connection, its session at the server, and each
 * other's functions. Who may call what is said in driver.h.
 *
 * Access. A session's members are under server->lock, but `killed` and `cancelled`, which its
 * client reads without. A connection is its present owner's, but `cut`, which any thread may set.
 */
#ifndef WI_DRIVER_FAKE_CONN_H
#define WI_DRIVER_FAKE_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver/driver.h"
#include "driver/fake.h"
#include "driver/plans.h"

struct wi_fake_session {
	struct wi_fake_session *next, *previous;
	struct wi_fake_server *server;
	uint64_t serial;
	int64_t ends; /* when the server closes its end, or WI_FOREVER */
	int fd;       /* the server's end */
	bool held;    /* a connection points here */
	bool ended;
	_Atomic bool killed;    /* by the server, not by a goodbye */
	_Atomic bool cancelled; /* what is under way is to end */
};

enum fake_stage { FAKE_CONNECTING, FAKE_IDLE, FAKE_ASKED, FAKE_LOST };

struct fake_conn {
	enum wi_look look; /* first: a bench asks for it more often than for the rest together */
	enum fake_stage stage;
	const struct wi_target *target;
	struct wi_fake_server *server;
	struct wi_fake_session *session; /* NULL: the server refused the connect */
	enum wi_fault refusal;           /* NONE: the connect will succeed */
	int64_t due;                     /* of the present step */
	int fd;                          /* the client's end, or -1 */
	_Atomic bool cut;
	bool in_tx, failed_tx, changed;
	uint64_t commits, turns;
	int succeeded;                  /* statements of the last exchange, until one did not */
	bool tx_read_only;              /* the transaction it is in */
	bool read_only, born_read_only; /* default_transaction_read_only, now and at startup */
	uint64_t serial;
	char heard[6], failed_by[6];
	char *sql;                  /* what was asked, or NULL */
	char *then;                 /* and after it, or NULL */
	const struct wi_call *call; /* what is run just now, if its result is wanted */
	struct pg_result *reply;    /* of the script to it, or NULL */
	struct wi_exchange exchange;
	struct wi_plans *plans;
	uint64_t names[FAKE_PLANS]; /* the server's: what is prepared; 0: free */
};

/*
 * fake_server.c: sessions; but for the clock, the caller has the server's lock. Opening puts one
 * into the list and its client's end into c (false: no memory or no descriptor); departing is what
 * the server does when it has noticed that its client's end is closed; settling ends those whose
 * time has come, and says when the next one's will.
 */
int64_t wi_fake_now(const struct wi_fake_server *server);
bool wi_fake_open_locked(struct fake_conn *c);
void wi_fake_depart_locked(struct wi_fake_session *s);
void wi_fake_end_locked(struct wi_fake_session *s);
int64_t wi_fake_settle_locked(struct wi_fake_server *server);
/* Ended, and nobody holds it. */
void wi_fake_session_free(struct wi_fake_session *s);

/* fake_connect.c */
void *wi_fake_connect(const struct wi_target *target, const char *address);
enum wi_step wi_fake_connect_step(void *conn, struct wi_failure *failure);

/* fake_connect.c: only close is left to do. */
void wi_fake_fail(struct fake_conn *c, struct wi_failure *failure, enum wi_fault fault,
                  const char *sqlstate, const char *text);
/* Whether the connection has ended, as a reader of the descriptor would find; *failure says why. */
bool wi_fake_has_ended(struct fake_conn *c, struct wi_failure *failure);
/* When a step is due that takes so long. */
int64_t wi_fake_due_after(struct wi_fake_server *server, int64_t delay);
/* Whether the present step is over. Who has fallen silent by then stays so. */
bool wi_fake_is_due(struct fake_conn *c);

/* fake_sql.c: runs what was asked; false: an error, *failure says which. */
bool wi_fake_run_sql(struct fake_conn *c, struct wi_answer *answer, struct wi_failure *failure);
void wi_fake_fail_any_transaction(struct fake_conn *c);
/* How it looks by what was run. */
void wi_fake_set_look(struct fake_conn *c);

/* fake_ask.c */
bool wi_fake_send(void *conn, const char *sql, struct wi_failure *failure);
bool wi_fake_send_two(void *conn, const char *first, const char *second,
                      struct wi_failure *failure);
enum wi_step wi_fake_answer_step(void *conn, struct wi_answer *answer, struct wi_failure *failure);
enum wi_step wi_fake_drain_step(void *conn, size_t *room, struct wi_failure *failure);
void *wi_fake_cancel_make(void *conn);
bool wi_fake_cancel_ask(void *arg);
void wi_fake_cancel_free(void *arg);

/* fake_ask.c: something is asked (false: that cannot be now); it has come to its end. */
bool wi_fake_begin(struct fake_conn *c, struct wi_failure *failure);
enum wi_step wi_fake_end_exchange(struct fake_conn *c, bool done, const struct wi_failure *failure);
/* Whether the server was asked in time to end what it is at; *failure says so then. */
bool wi_fake_was_cancelled(struct fake_conn *c, struct wi_failure *failure);
void wi_fake_forget_sql(struct fake_conn *c);
/* The server ends the session of a connection whose holder knows. */
void wi_fake_end_session(struct fake_conn *c);

/* fake_call.c */
bool wi_fake_send_calls(void *conn, const struct wi_call *calls, size_t n,
                        struct wi_failure *failure);
enum wi_step wi_fake_results_step(void *conn, const struct wi_call *calls, size_t n,
                                  struct wi_results *results, struct wi_failure *failure);
void wi_fake_forget_calls(struct fake_conn *c);

#endif

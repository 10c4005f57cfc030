/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the libpq driver share: the connection, and each other's functions. Who may
 * call what is said in driver.h.
 */
#ifndef WI_DRIVER_LIBPQ_H
#define WI_DRIVER_LIBPQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <libpq-events.h>
#include <libpq-fe.h>

#include "driver/driver.h"
#include "driver/plans.h"

struct pq_conn {
	PGconn *pg;
	const struct wi_target *target;
	PQnoticeReceiver to_processor; /* libpq's own receiver, which calls the processor */
	PGresult *error;               /* the first error of the exchange under way */
	struct wi_failure *last_words; /* what the server said as it ended the session */
	void *tls;                     /* held from the begin of the TLS handshake to its end */
	uint64_t mark;                 /* hash of the reported settings when clean */
	ino_t inode;                   /* of the socket, so that cut never hits another's */
	_Atomic int fd;                /* the socket once connected, else -1; any thread */
	short waits;                   /* POLLIN or POLLOUT: what connecting waits for */
	bool fresh;                    /* no step of this exchange was made yet */
	bool flushing;                 /* some of the SQL is not sent yet */
	bool touched; /* something was heard since the settings were seen to be as marked */
	/* since it was marked clean, notifications came or a command may have left something */
	bool changed;
	bool hush;                   /* what is heard now is of weir's own doing */
	struct wi_exchange exchange; /* of send_calls */
	enum wi_stale stale;         /* why it has failed */
	struct wi_plans *plans;      /* NULL: no statement was ever to be kept */
	int syncs;                   /* ends of a pipeline's statements that are still to come */
	int succeeded;               /* statements of the last exchange, until one did not */
	uint64_t commits;            /* COMMIT and PREPARE TRANSACTION, as heard */
	uint64_t turns;              /* SET, RESET, BEGIN, as heard */
	bool failed;                 /* only close is left to do, whatever libpq thinks */
	char heard[6];               /* SQLSTATE of the first error of note; "" for none */
	char failed_by[6]; /* of the last error, but those that only say that one was before */
};

/* libpq_param.c */
weir_status wi_pq_check(const struct wi_target *target, weir_error *error);
PGconn *wi_pq_start(const struct wi_target *target, const struct wi_endpoint *endpoint,
                    const char *address);

/* libpq_hear.c */
int wi_pq_hear_event(PGEventId what, void *info, void *unused);
void wi_pq_hear_end(struct pq_conn *c, const PGresult *said);
void wi_pq_hear_notice(void *arg, const PGresult *notice);
bool wi_pq_heard(void *conn, char sqlstate[6]);
enum wi_refusal wi_pq_refused(void *conn);
enum wi_look wi_pq_look(void *conn);
void wi_pq_mark_clean(void *conn);
bool wi_pq_peek(void *conn, struct wi_failure *failure);
void wi_pq_tidy(void *conn);
enum wi_look wi_pq_tidy_and_look(void *conn);
void wi_pq_say_nothing(void *arg, const char *message);
const char *wi_pq_secret_of(const struct pq_conn *c);

/* libpq_connect.c */
void wi_pq_drop_tls(struct pq_conn *c);
bool wi_pq_is_ready(int fd, short events);
void *wi_pq_connect(const struct wi_target *target, const char *address);
enum wi_step wi_pq_connect_step(void *conn, struct wi_failure *failure);
int64_t wi_pq_due(void *conn);
int wi_pq_fd(void *conn);
const char *wi_pq_password(void *conn);

/* libpq_call.c */
bool wi_pq_send_calls(void *conn, const struct wi_call *calls, size_t n,
                      struct wi_failure *failure);
enum wi_step wi_pq_results_step(void *conn, const struct wi_call *calls, size_t n,
                                struct wi_results *results, struct wi_failure *failure);
void wi_pq_forget_calls(struct pq_conn *c);
enum wi_stale wi_pq_staleness(const struct pq_conn *c, const PGresult *error);
void wi_pq_result_free(struct pg_result *result);

/* libpq_ask.c */
void wi_pq_begin_exchange(struct pq_conn *c, int syncs);
void wi_pq_take_sync(struct pq_conn *c);
enum wi_step wi_pq_lost(struct pq_conn *c, struct wi_failure *failure);
enum wi_step wi_pq_surprised(struct pq_conn *c, struct wi_failure *failure);
void wi_pq_failure_of_result(struct wi_failure *failure, enum wi_fault fault,
                             const PGresult *result, const char *secret);
bool wi_pq_is_own_error(const struct pq_conn *c, const PGresult *error);
void wi_pq_drop_error(struct pq_conn *c);
enum wi_step wi_pq_answer_step(void *conn, struct wi_answer *answer, struct wi_failure *failure);
bool wi_pq_cancel_ask(void *cancel);
void wi_pq_cancel_free(void *cancel);
void *wi_pq_cancel_make(void *conn);
enum wi_step wi_pq_drain_step(void *conn, size_t *room, struct wi_failure *failure);
bool wi_pq_send(void *conn, const char *sql, struct wi_failure *failure);
bool wi_pq_send_two(void *conn, const char *first, const char *second, struct wi_failure *failure);
void wi_pq_tell_lost(struct pq_conn *c, struct wi_failure *failure);

#endif

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

#include "base/atomic.h"
#include "driver/driver.h"
#include "driver/plans.h"

/*
 * What is kept of each connection for as long as it is open, so no byte more than it takes: what
 * only connecting needs shares its place with what only an open one has. The holder's, but where
 * it says any thread.
 */
struct pq_conn {
	PGconn *pg;
	const struct wi_target *target;
	PGresult *error;               /* the first error of the exchange under way */
	struct wi_failure *last_words; /* what the server said as it ended the session */
	union {
		void *tls;              /* connecting: held from the begin of the TLS handshake */
		struct wi_plans *plans; /* connected; NULL: no statement was ever to be kept */
	};
	uint64_t mark;               /* hash of the reported settings when clean */
	ino_t inode;                 /* of the socket, so that cut never hits another's */
	_Atomic int fd;              /* the socket once connected, else -1; any thread */
	int succeeded;               /* statements of the last exchange, until one did not */
	uint64_t commits;            /* COMMIT and PREPARE TRANSACTION, as heard */
	uint64_t turns;              /* SET, RESET, BEGIN, as heard */
	struct wi_exchange exchange; /* of send_calls */
	char heard[6];               /* SQLSTATE of the first error of note; "" for none */
	char failed_by[6]; /* of the last error, but those that only say that one was before */
	uint8_t syncs;     /* ends of a pipeline's statements that are still to come: 2 at most */
	uint8_t stale;     /* enum wi_stale: why the exchange has failed */
	bool waits_to_send : 1; /* while it connects; else it waits to read */
	bool fresh : 1;         /* no step of this exchange was made yet */
	bool flushing : 1;      /* some of the SQL is not sent yet */
	bool touched : 1; /* something was heard since the settings were seen to be as marked */
	/* since it was marked clean, notifications came or a command may have left something */
	bool changed : 1;
	bool hush : 1;   /* what is heard now is of weir's own doing */
	bool failed : 1; /* only close is left to do, whatever libpq thinks */
};

static inline bool wi_pq_is_connecting(const struct pq_conn *c)
{
	return wi_load_rlx(&c->fd) < 0;
}

/* NULL: nothing was ever to be kept. */
static inline struct wi_plans *wi_pq_plans(const struct pq_conn *c)
{
	return wi_pq_is_connecting(c) ? NULL : c->plans;
}

/* libpq_param.c */
weir_status wi_pq_check(const struct wi_target *target, weir_error *error);
PGconn *wi_pq_start(const struct wi_target *target, const struct wi_endpoint *endpoint,
                    const char *address);

/* libpq_hear.c */
int wi_pq_hear_event(PGEventId what, void *info, void *unused);
void wi_pq_hear_end(struct pq_conn *c, const PGresult *said);
void wi_pq_hear_from_now_on(struct pq_conn *c);
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
void wi_pq_begin_exchange(struct pq_conn *c, uint8_t syncs);
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

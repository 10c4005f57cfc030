/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What became of something that was sent on a connection: what is noted of the connection, and what
 * the caller is told. Shared by all that runs SQL. The holder's thread.
 */
#ifndef WI_EXEC_OUTCOME_H
#define WI_EXEC_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/status.h>

#include "driver/driver.h"

struct weir_conn;

enum wi_said {
	WI_SAID_DONE,   /* all of it succeeded */
	WI_SAID_ERROR,  /* the server reported an error, and the connection lives */
	WI_SAID_UNSENT, /* the connection is lost, and nothing that counts has left */
	WI_SAID_LOST,   /* the connection was lost, and nobody knows whether it was done */
	WI_SAID_LATE, /* no answer in time, and nobody knows either; the server is asked to stop */
};

/* Sends one string of SQL and waits until deadline_ns. *failure says what went wrong. */
enum wi_said wi_say(struct weir_conn *c, const char *sql, int64_t deadline_ns,
                    struct wi_failure *failure);

/*
 * What an exchange that began at sent_ns has come to by its last step, with the failure that this
 * left: wi_conn_await and its kin. Notes it on a connection that is of no more use to its holder:
 * after LOST and LATE.
 */
enum wi_said wi_said_by(struct weir_conn *c, enum wi_step step, int64_t sent_ns,
                        struct wi_failure *failure);

/*
 * The same where the driver could not send it to its end. has_left: something that commits by
 * itself may have left all the same.
 */
enum wi_said wi_said_unsent(struct weir_conn *c, bool has_left, const struct wi_failure *failure);

/* Whether what failed by this SQLSTATE is to be run again as a whole; "" and NULL: no. */
bool wi_asks_for_retry(const struct weir_conn *c, const char *sqlstate);

/*
 * The status for it: OK; QUERY, RETRY; CONNECT, NO_MEMORY, TIMEOUT, or for these three
 * OUTCOME_UNKNOWN where something may have been committed if it was done; also for an error that
 * says just that.
 */
weir_status wi_status_of(const struct weir_conn *c, enum wi_said said, bool may_commit,
                         const struct wi_failure *failure);

/* Fills error (may be NULL) with a failure at this host, `what` (or NULL) first; returns status. */
weir_status wi_tell(const struct weir_conn *c, weir_status status, const char *what,
                    const struct wi_failure *failure, weir_error *error);

/* The two together; nothing is told of OK. */
weir_status wi_outcome(const struct weir_conn *c, enum wi_said said, bool may_commit,
                       const char *what, const struct wi_failure *failure, weir_error *error);

/* TIMEOUT, where the time is over before anything was sent: the connection is as it was. */
weir_status wi_out_of_time(const struct weir_conn *c, weir_error *error);

/* After ERROR was told: the server has ended it by the caller's deadline: TIMEOUT. */
weir_status wi_was_struck(weir_error *error);

/*
 * After ERROR was told: what was prepared is of no use any more, and the transaction has failed of
 * it: RETRY.
 */
weir_status wi_was_stale(weir_error *error);

#endif

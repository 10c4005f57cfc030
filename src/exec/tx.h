/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this room share of transactions: what weir_tx.own holds, and its ends. */
#ifndef WI_EXEC_TX_H
#define WI_EXEC_TX_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/tx.h>

#include "exec/outcome.h"

enum wi_tx_state { WI_TX_NONE, WI_TX_OPEN, WI_TX_ENDED };

/*
 * Zeroed: never begun. Serials tell which of several is meant: those of the nested ones that are
 * open grow from the outermost to the innermost, and none is used twice in an outermost one.
 */
struct wi_tx {
	uint64_t state;
	uint64_t conn;   /* the handle */
	uint64_t root;   /* of a nested one: the outermost; 0: it is that itself */
	uint64_t serial; /* its own */
	uint64_t around; /* of a nested one: the serial of the one that it is in */
	uint64_t depth;  /* of a nested one: 1 and up */
	/* of the outermost */
	uint64_t innermost; /* the serial of the innermost one that is open */
	uint64_t last;      /* the last serial given out */
	int64_t deadline_ns;
	uint64_t commits, turns; /* of its session, when it was begun */
	uint64_t token;          /* where the position goes; 0: nobody wants it */
	bool read_only;
	bool of_run;      /* weir_run commits it */
	bool rolled_back; /* by its holder's wish */
};

_Static_assert(sizeof(struct wi_tx) <= sizeof(((weir_tx *)0)->own), "it fits");

void wi_tx_load(const weir_tx *tx, struct wi_tx *m);
void wi_tx_store(weir_tx *tx, const struct wi_tx *m);

/* An open transaction as it was found, and its connection. */
struct wi_tx_at {
	weir_tx *tx, *outermost;
	struct wi_tx m, root; /* of both; the same where it is the outermost itself */
	struct weir_conn *c;
};

/* Whether tx is open; *st says why not. */
bool wi_tx_find(weir_tx *tx, struct wi_tx_at *at, weir_status *st, weir_error *error);

/*
 * OK: it is open at the server, as far as anybody has heard. INVALID, or CONNECT: it has ended with
 * its connection.
 */
weir_status wi_tx_check(struct wi_tx_at *at, weir_error *error);

bool wi_tx_is_innermost(const struct wi_tx_at *at);

/* Writes back what is found to be otherwise; the second: and that it has ended. */
void wi_tx_save(struct wi_tx_at *at);
void wi_tx_ended(struct wi_tx_at *at);

/* The slot that is held, or NULL: *st says that it was given back, or is a parent's. */
struct weir_conn *wi_tx_conn_of(uint64_t handle, weir_status *st, weir_error *error);

int64_t wi_tx_now(const struct weir_conn *c);

/* Until when a statement of weir's own may take, in a transaction with this deadline. */
int64_t wi_tx_until(const struct weir_conn *c, int64_t deadline_ns);

/* Taking back is given its own time: the deadline may be what it is taken back for. */
int64_t wi_tx_undo_by(const struct weir_conn *c);

/* What a rollback came to. */
const char *wi_tx_words_undone(enum wi_said said);
weir_status wi_tx_undone(const struct weir_conn *c, enum wi_said said, const struct wi_failure *f,
                         weir_error *error);

/* RETRY or QUERY: a statement had failed before, with that SQLSTATE. */
weir_status wi_tx_failed_before(const struct weir_conn *c, const char *failed_by,
                                weir_error *error);

/* tx_nest.c: the innermost one, nested and open, is taken back, or kept. */
weir_status wi_tx_undo_nested(struct wi_tx_at *at, weir_error *error);
weir_status wi_tx_release(struct wi_tx_at *at, weir_error *error);

/*
 * Copies what caller and library both know of a struct that begins with its size, 0 for `known`;
 * zeros for what the caller does not. false: the caller asks for more than the library knows.
 */
bool wi_settings_load(void *to, size_t known, const void *from);

/* The same of these, NULL for every default; INVALID also for what does not go together. */
weir_status wi_tx_settings_load(weir_tx_settings *to, const weir_tx_settings *from,
                                weir_error *error);

/* Whether a struct is open, on a connection that is still out. */
bool wi_tx_is_in_use(const weir_tx *tx);

/* weir_tx_begin, within a deadline. of_run: only wi_tx_finish commits it. */
weir_status wi_tx_open(weir_conn *conn, const weir_tx_settings *settings, int64_t deadline_ns,
                       bool of_run, weir_tx *tx, weir_error *error);

/* It is left to the checkin of its connection, which comes next, to roll it back, if it is open. */
void wi_tx_leave(weir_tx *tx);

/* weir_tx_commit of one that is weir_run's. */
weir_status wi_tx_finish(weir_tx *tx, weir_error *error);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether connections live, what the death of one means for the others, and what a failure was:
 * health.c.
 */
#ifndef WI_POOL_HEALTH_H
#define WI_POOL_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <weir/options.h>

#include "base/posted.h"
#include "driver/driver.h"
#include "pool/conn.h"

struct weir_pool;

/*
 * What one connection's death means for the others.
 *
 * Access key: (k) keeper's thread only; (a) atomic, any thread.
 */
struct wi_health {
	_Atomic uint32_t doubt; /* (a) 1: an answer is overdue somewhere: ask all that are idle */
	int64_t condemn_ns;     /* (k) who has not been proven alive since is closed; 0: nobody */
	uint32_t others;        /* (k) notes for all: LOOK or CHECK */
	int64_t reset_ns;       /* (k) when one was last lost without a word */
	int64_t refused_ns;     /* (k) when nobody last listened */
	_Atomic uint64_t lost;  /* (a) */
	struct wi_posted last;  /* (k) writes, any thread reads: a struct wi_last_error */
};

/* The last connect failure. */
struct wi_last_error {
	enum wi_fault fault;
	char sqlstate[6];
	char text[512];
};
_Static_assert(sizeof(struct wi_last_error) <= WI_POSTED_WORDS * 8, "it can be posted");

/* Keeper's thread. */
static inline void wi_failure_post(struct wi_posted *posted, const struct wi_failure *f)
{
	struct wi_last_error e = {.fault = f->fault};

	memcpy(e.sqlstate, f->sqlstate, sizeof(e.sqlstate));
	memcpy(e.text, f->text, sizeof(e.text));
	wi_post(posted, &e, sizeof(e));
}

/*
 * Whether a connection lives. A taken slot with LOOK or CHECK noted is looked at or asked by its
 * taker; what comes of it is in its notes: neither any more, or SUSPECT, RETIRE or ASKED: the
 * keeper has to see to it.
 */
bool wi_health_look(struct weir_conn *c);
bool wi_health_tell(struct weir_conn *c, const char *sql, int64_t deadline_ns);
void wi_health_check(struct weir_conn *c, uint32_t notes, int64_t deadline_ns);
uint32_t wi_health_standing(const weir_options *options);
void wi_health_tend(struct weir_conn *c, int64_t now_ns);

/* The keeper sees to it that what stands on every slot stands on this one. */
void wi_health_stand(struct weir_conn *c);

/*
 * The keeper asks: when to look at the clock again; then whether there is time left (and the
 * deadline is set anew); and what follows if there is none.
 */
int64_t wi_health_deadline(const struct weir_conn *c);
bool wi_health_has_time(struct weir_conn *c, int64_t now_ns);
void wi_health_unanswered(struct weir_conn *c);

/* Whether what is sent is a question whether it lives. */
bool wi_health_is_question(enum wi_errand errand);

/* Its holder wants it closed: if it was lost, the others hear of it. */
void wi_health_discarded(struct weir_conn *c);

/* The server or the network has ended a connection, which is closed. */
void wi_conn_lost(struct weir_conn *c, const struct wi_failure *failure);

/* What its holder's statements met with, if anything of note; true: it is closed for that. */
bool wi_health_heard(struct weir_conn *c);

/* A connect failed: what it is to be taken for, and what that means for what is open. */
enum wi_fault wi_health_judged(const struct weir_pool *pool, const struct wi_failure *failure);
void wi_health_connect_failed(struct weir_pool *pool, const struct wi_failure *failure,
                              int64_t now_ns);

/* What deaths mean for the others, once a turn; whether something new is waiting for that. */
void wi_health_turn(struct weir_pool *pool);
void wi_health_forget(struct weir_pool *pool); /* in a child; but what was counted */
bool wi_health_is_pending(const struct weir_pool *pool);

/* The class of an error, by the table and the user's hook. Any thread. */
weir_class wi_pool_classify(const struct weir_pool *pool, const char *sqlstate, bool connecting);

#endif

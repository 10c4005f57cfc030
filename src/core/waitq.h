/* SPDX-License-Identifier: BSD-2-Clause */
/* Who waits, in which order, and how one of them is served. waitq.c tells how. */
#ifndef WI_CORE_WAITQ_H
#define WI_CORE_WAITQ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/line.h"
#include "base/world.h"
#include "core/seat.h"

/*
 * How long a waiter may be overtaken by threads that come later and happen to run: so long at
 * least, and at most; in between as long as makes the time that slots lie idle while somebody who
 * was handed one wakes up a small part (WI_PATIENCE_PART) of all. waitq.c tells how that is known.
 */
#ifndef WI_PATIENCE_NS
#define WI_PATIENCE_NS INT64_C(500000)
#endif
#ifndef WI_PATIENCE_MOST_NS
#define WI_PATIENCE_MOST_NS INT64_C(4000000)
#endif
#define WI_PATIENCE_PART 32

struct wi_waitq {
	struct wi_seats *seats;       /* (c) */
	const struct wi_world *world; /* (c) */
	/* (a) at least the number of waiting bits; 0: none waits */
	WI_ON_NEW_LINE _Atomic uint32_t count;
	_Atomic uint32_t token;   /* (a) 1: somebody is awake, or will be, to look for a slot */
	_Atomic uint32_t overdue; /* (a) at least the number of words that say OVERDUE */
	_Atomic uint32_t wake_ns; /* (a) what it takes to wake somebody, of late; approximate */
	_Atomic uint32_t members; /* (a) how many slots there are, about; 0: not known */
};

/* What a waiter's word comes to. */
enum wi_verdict { WI_PENDING = 1, WI_CANCELLED = 2, WI_GRANTED = 3, WI_REFUSED = 4 };

struct wi_outcome {
	enum wi_verdict verdict;
	uint32_t value; /* GRANTED: the slot; REFUSED: the reason given */
};

/* What became of a wish to wake somebody. */
enum wi_nudge {
	WI_NUDGE_GIVEN,  /* the one who has waited longest will look */
	WI_NUDGE_HELD,   /* somebody has the token already */
	WI_NUDGE_NOBODY, /* nobody was found waiting */
};

void wi_waitq_init(struct wi_waitq *q, struct wi_seats *seats, const struct wi_world *world);

/*
 *	                                 own seat   grant  nudge  refuse     "-": at the same time, from any threads
 *	announce cancel leave say yield      o         -      -      -       "o": each on the caller's own seat
 *	grant nudge refuse                   -         -      -      -
 */

/* How long one who begins to wait now may be overtaken. */
int64_t wi_waitq_patience(const struct wi_waitq *q);

/* Seat's thread, served after it slept: how long ago that was. */
void wi_waitq_note_wake(struct wi_waitq *q, const struct wi_seat *seat, int64_t now_ns);

/* Seat's thread: joins the queue, at this time. After it, sequentially, comes its first look. */
void wi_waitq_announce(struct wi_waitq *q, struct wi_seat *seat, int64_t now_ns);

/*
 * Seat's thread: gives up waiting. true: nobody will grant any more; false: it is granted or
 * refused already.
 */
bool wi_waitq_cancel(struct wi_seat *seat);

/*
 * Seat's thread, after cancel or a final outcome: leaves the queue. true: it gave the token up, so
 * the caller has to look whether a slot lies idle for another.
 */
bool wi_waitq_leave(struct wi_waitq *q, struct wi_seat *seat);

/* Seat's thread: says that its patience has ended. A look comes after, sequentially. */
void wi_waitq_say_overdue(struct wi_waitq *q, struct wi_seat *seat);

/* Seat's thread: gives the token up, if it has it. A look comes after, sequentially. */
bool wi_waitq_yield_token(struct wi_waitq *q, struct wi_seat *seat);

/* Seat's thread: its word as it is now, and whether that says that it is the one to look. */
uint32_t wi_waitq_word(const struct wi_seat *seat);
bool wi_waitq_word_has_token(uint32_t word);

/*
 * Seat's thread: sleeps until its word is no longer what it was at the caller's last look, the time
 * comes, or for no reason.
 */
void wi_waitq_park(struct wi_waitq *q, struct wi_seat *seat, uint32_t word, int64_t until_ns);

/* What a waiter's word says now. */
struct wi_outcome wi_waitq_outcome(const struct wi_seat *seat);

/*
 * Gives the slot to the one who has waited longest; if only_overdue, only if that is longer than
 * anybody should be overtaken. false: nobody took it, the slot stays with the caller.
 */
bool wi_waitq_grant(struct wi_waitq *q, uint32_t slot, bool only_overdue);

/* Wakes the one who has waited longest to look for itself, unless somebody is on his way. */
enum wi_nudge wi_waitq_nudge(struct wi_waitq *q);

/* Whether somebody waits who has said that he is overdue. Sequentially consistent. */
bool wi_waitq_has_overdue(struct wi_waitq *q);

/* Ends the wait of all who wait now. */
void wi_waitq_refuse(struct wi_waitq *q, uint32_t reason);

/* Whether anybody may be waiting. Sequentially consistent: comes after the caller's put or push. */
bool wi_waitq_is_waited(const struct wi_waitq *q);

/* How many are neither granted nor refused yet. */
uint32_t wi_waitq_pending(const struct wi_waitq *q);

/* One who is neither granted nor refused yet, as one look saw him. */
struct wi_waiter {
	int64_t since_ns; /* of the seat's wish: it may have stood in other lines before */
	int32_t thread;
	const char *wish;
};

/* Tells of each of them, in no order. Any thread. */
void wi_waitq_each(const struct wi_waitq *q, void (*tell)(void *arg, const struct wi_waiter *who),
                   void *arg);

/* Whether somebody is neither granted nor refused yet. Sequentially consistent, as above. */
bool wi_waitq_has_waiter(struct wi_waitq *q);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Who waits, in which order, and how one of them is given what it waits for. waitq.c tells how. */
#ifndef WI_CORE_WAITQ_H
#define WI_CORE_WAITQ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/line.h"
#include "base/world.h"
#include "core/seat.h"

struct wi_waitq {
	struct wi_seats *seats;       /* (c) */
	const struct wi_world *world; /* (c) */
	/* (a) at least the number of waiting bits; 0: none waits */
	WI_ON_NEW_LINE _Atomic uint32_t count;
	_Atomic uint32_t tickets; /* (a) the next ticket */
};

/* What a waiter's word comes to. */
enum wi_verdict { WI_PENDING = 1, WI_CANCELLED = 2, WI_GRANTED = 3, WI_REFUSED = 4 };

struct wi_outcome {
	enum wi_verdict verdict;
	uint32_t value; /* GRANTED: the slot; REFUSED: the reason given */
};

void wi_waitq_init(struct wi_waitq *q, struct wi_seats *seats, const struct wi_world *world);

/*
 *	                     announce  cancel  leave  grant  refuse     "-": at the same time, from any threads
 *	announce cancel leave    o        o      o      -      -        "o": each on the caller's own seat
 *	grant refuse             -        -      -      -      -
 */

/* Seat's thread: joins the queue. After it, sequentially, comes the last look before sleeping. */
void wi_waitq_announce(struct wi_waitq *q, struct wi_seat *seat);

/*
 * Seat's thread: gives up waiting. true: nobody will grant any more; false: it is granted or
 * refused already.
 */
bool wi_waitq_cancel(struct wi_waitq *q, struct wi_seat *seat);

/* Seat's thread: sleeps until granted, refused, or the deadline; PENDING means the deadline. */
struct wi_outcome wi_waitq_sleep(struct wi_waitq *q, struct wi_seat *seat, int64_t deadline_ns);

/* Seat's thread, after cancel or a final outcome: leaves the queue. */
void wi_waitq_leave(struct wi_waitq *q, struct wi_seat *seat);

/* What a waiter's word says now. */
struct wi_outcome wi_waitq_outcome(const struct wi_seat *seat);

/*
 * Gives the slot to the one who came first; false: nobody took it, the slot stays with the caller.
 */
bool wi_waitq_grant(struct wi_waitq *q, uint32_t slot);

/* Ends the wait of all who wait now. */
void wi_waitq_refuse(struct wi_waitq *q, uint32_t reason);

/* Whether anybody may be waiting. Sequentially consistent: comes after the caller's put or push. */
bool wi_waitq_is_waited(const struct wi_waitq *q);

/* How many are neither granted nor refused yet. */
uint32_t wi_waitq_pending(const struct wi_waitq *q);

/* Whether somebody is neither granted nor refused yet. Sequentially consistent, as above. */
bool wi_waitq_has_waiter(struct wi_waitq *q);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Seats: what a thread has in a core. A cache for one slot, a pin, a word to sleep on.
 *
 * Seats come in segments of 64, allocated when needed, found by index, and never freed while the
 * core lives: who looks at another thread's seat never looks at freed memory. A seat that its
 * thread has left goes to the next thread that comes; its counts go on, so that sums stay exact.
 */
#ifndef WI_CORE_SEAT_H
#define WI_CORE_SEAT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/line.h"
#include "base/rng.h"
#include "core/slot.h"

/* Both may be set narrower by a build that explores interleavings. */
#ifndef WI_SEATS_A_SEGMENT
#define WI_SEATS_A_SEGMENT 64
#endif
#ifndef WI_SEGMENTS_MAX
#define WI_SEGMENTS_MAX 512
#endif
#define WI_SEATS_MAX (WI_SEATS_A_SEGMENT * WI_SEGMENTS_MAX)

/*
 * What tells the threads that live now apart, in one instruction where there is a thread pointer.
 */
static inline uintptr_t wi_thread_self(void)
{
	return (uintptr_t)__builtin_thread_pointer();
}

/* As many as fill the owner's line. */
#define WI_SEAT_COUNTS 3

/*
 * Access key: (c) constant; (o) its thread only; (w) its thread writes, any reads; (a) atomic, any
 * thread.
 */
struct wi_seat {
	/* (a) the slot kept for this thread, or NONE: see cache.h */
	WI_ON_NEW_LINE _Atomic uint32_t cached;
	_Atomic uint32_t pin;                   /* (w) what the thread does just now: see pin.h */
	uint32_t number;                        /* (c) */
	_Atomic int32_t thread;                 /* (w) the kernel's number of its last thread */
	_Atomic uintptr_t owner;                /* (w) wi_thread_self() of its thread; 0: none */
	struct wi_rng rng;                      /* (o) */
	uint64_t turn;                          /* (o) for round robin and the like */
	_Atomic uint64_t count[WI_SEAT_COUNTS]; /* (w) whatever the core's user counts by thread */
	WI_ON_NEW_LINE _Atomic uint32_t word;   /* (a) where it sleeps: see waitq.c */
	_Atomic int64_t served_ns;              /* (a) when somebody last served it, about */
	uint32_t unlooked;                      /* (o) checkins since it looked who is overdue */
	uint64_t told;                          /* (o) for the core's user: what it was told last */
	/* (w) for the core's user: what it waits for, in a word, and since when it does, in all */
	_Atomic(const char *) wish;
	_Atomic int64_t wish_ns;
};
WI_ASSERT_SAME_LINE(struct wi_seat, cached, count[WI_SEAT_COUNTS - 1]);
WI_ASSERT_NEW_LINE(struct wi_seat, word); /* a granter's write stays off the owner's line */

struct wi_segment {
	WI_ON_NEW_LINE _Atomic uint64_t waiting; /* (a) bit i: seat i waits */
	_Atomic uint64_t taken;                  /* (a) bit i: seat i has a thread */
	/* (w) since when it waits, by the world's clock */
	WI_ON_NEW_LINE _Atomic int64_t since[WI_SEATS_A_SEGMENT];
	struct wi_seat seat[WI_SEATS_A_SEGMENT];
};

struct wi_seats {
	_Atomic(struct wi_segment *) segment[WI_SEGMENTS_MAX]; /* (a) filled from the front */
};

/* Takes a free seat, or NULL: no memory, or WI_SEATS_MAX threads. Any thread. */
struct wi_seat *wi_seats_take(struct wi_seats *seats);

/* Gives a seat up. Its cache must be empty and it must not wait. */
void wi_seats_leave(struct wi_seats *seats, struct wi_seat *seat);

void wi_seats_init(struct wi_seats *seats);
void wi_seats_fini(struct wi_seats *seats);

/* The sum of a count over all seats, also of threads that are gone. Any thread. */
uint64_t wi_seats_sum(const struct wi_seats *seats, uint32_t which);

/* The seat's thread counts one. */
WI_INLINE void wi_seat_count(struct wi_seat *mine, uint32_t which)
{
	wi_store_rlx(&mine->count[which], wi_load_rlx(&mine->count[which]) + 1);
}

/* The i-th segment, or NULL beyond the last. */
static inline struct wi_segment *wi_segment_at(const struct wi_seats *seats, uint32_t i)
{
	/*
	 * [seat:A1] sees the segment as its maker left it; pairs with R1. Sequentially consistent,
	 * like the taking of a seat: a waiter's last look must not miss the seat in which a slot
	 * was cached before the look.
	 */
	return i < WI_SEGMENTS_MAX ? wi_load_seq(&seats->segment[i]) : NULL;
}

#endif

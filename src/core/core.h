/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pool of slots: free list, caches and waiters composed. No connection, no SQL, no policy.
 * core.c tells what a checkout and a checkin are made of.
 */
#ifndef WI_CORE_CORE_H
#define WI_CORE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/line.h"
#include "base/world.h"
#include "core/bias.h"
#include "core/cache.h"
#include "core/freelist.h"
#include "core/seat.h"
#include "core/slot.h"
#include "core/waitq.h"

/*
 * Checkins in shared mode, with nobody waiting, after which the caches are biased again: about as
 * many exchanges as a heavy fence costs.
 */
#ifndef WI_REBIAS_AFTER
#define WI_REBIAS_AFTER 256
#endif

struct wi_core {
	/* one line that every operation reads and few write */
	uint64_t uid;          /* (c) unique in this process, for ever */
	struct wi_bias bias;   /* (a) whether owners may do without locked instructions */
	struct wi_table table; /* (c) */
	/* (c) small, used again after fini: the index of this core in a thread's desk */
	uint32_t id;
	uint32_t hint;         /* (c) which of a thread's hints is for it (desk.h) */
	_Atomic uint32_t shut; /* (a) not 0: the reason new waiters are refused with */
	/* (a) not 0: the same, for a while; who is refused may sleep on it */
	_Atomic uint32_t suspended;
	WI_ON_NEW_LINE const struct wi_world *world; /* (c) */
	/* (c) called by a thread that is about to sleep for want of a slot; or NULL */
	void (*on_short)(void *arg);
	void *on_short_arg; /* (c) */
	/*
	 * (c) called inside a read section by a thread that ends, while its seat is its own; or
	 * NULL
	 */
	void (*on_leave)(void *arg, struct wi_seat *seat);
	void *on_leave_arg; /* (c) */
	/* (a) takers look into both; [1] is used while the keeper sweeps */
	struct wi_freelist list[2];
	struct wi_waitq waitq;      /* (a) */
	_Atomic uint32_t rebias_in; /* (a) checkins until the bias is restored; approximate */
	struct wi_seats seats;      /* (a) */
};

/*
 * The table must be zeroed and aligned; slots start outside the core. on_short and on_leave may be
 * set after it. false: no id left (WI_CORES_MAX).
 */
bool wi_core_init(struct wi_core *core, struct wi_table table, const struct wi_world *world);

/* Nobody may be inside, wait or hold a slot. Waits for threads that are just exiting. */
void wi_core_fini(struct wi_core *core);

/*
 * In a forked child: forgets every slot, seat and waiter of the parent. Other threads may come by:
 * their pins go on failing until wi_core_reopen.
 */
bool wi_core_reinit(struct wi_core *core);

/* After it, when all that belongs to the core is ready: pins succeed again. */
void wi_core_reopen(struct wi_core *core);

/*
 * Takes an idle slot without waiting: own cache, free list, others' caches. WI_SLOT_NONE: each of
 * these places was empty when it was looked at, or its owner was just taking from it. What is moved
 * from one to another meanwhile may be missed, and so may what another thread has put a moment ago,
 * unless something orders that before the call; who waits misses neither. The seat's thread, not
 * pinned. Lock-free.
 */
uint32_t wi_core_take(struct wi_core *core, struct wi_seat *mine);

/*
 * The same for a thread that is pinned, and stays so: what is left of a take when wi_cache_take,
 * the warm path, found nothing.
 */
uint32_t wi_core_take_pinned(struct wi_core *core, struct wi_seat *mine);

/*
 * Waits in line for a slot: GRANTED with it, REFUSED with a reason, or PENDING: the deadline came
 * first.
 */
struct wi_outcome wi_core_wait(struct wi_core *core, struct wi_seat *mine, int64_t deadline_ns);

/*
 * Refuses all who wait and all who will, with `reason` (not 0), for ever. Pins fail from now on;
 * takes of idle slots still succeed.
 */
void wi_core_shut(struct wi_core *core, uint32_t reason);

/* Refuses all who wait now. */
void wi_core_refuse(struct wi_core *core, uint32_t reason);

/*
 * Refuses all who wait and all who will, with `reason`, until resumed (0), and makes pins fail
 * meanwhile. Any thread, also at once: what was said last holds. Takes that were under way may
 * still succeed: wi_core_await_takes waits until those that were pinned have come out, or until
 * deadline_ns.
 */
void wi_core_suspend(struct wi_core *core, uint32_t reason);
bool wi_core_await_takes(struct wi_core *core, int64_t deadline_ns);

/* How many wait; exact when nobody comes or goes. */
uint32_t wi_core_waiting(const struct wi_core *core);

/*
 * Brings a slot back, to be kept in the caller's cache, or for the one who has waited longest. The
 * seat's thread, not pinned. Lock-free; at most one wake.
 */
void wi_core_put(struct wi_core *core, struct wi_seat *mine, uint32_t slot);

/*
 * The same for a thread that is pinned, and stays so; where wi_cache_may_put said no.
 */
void wi_core_put_pinned(struct wi_core *core, struct wi_seat *mine, uint32_t slot);

/* The same where wi_cache_put said no: the slot is in the cache. */
void wi_core_put_again(struct wi_core *core, struct wi_seat *mine);

/*
 * As put, past any cache, and straight to the one who has waited longest: for slots that come from
 * outside, from threads that end, and from threads without a seat. Lock-free; at most one wake.
 */
void wi_core_give(struct wi_core *core, uint32_t slot);

/*
 * Takes out every idle slot that `wanted` says yes to, calling got for each. One thread at a time
 * (the keeper). At most one idle slot at a time is hidden from takers, for as long as it takes to
 * look at it; the free list keeps its order.
 */
void wi_core_sweep(struct wi_core *core, bool (*wanted)(void *arg, uint32_t slot),
                   void (*got)(void *arg, uint32_t slot), void *arg);

/*
 * Returns when every thread that was pinned, or in the middle of a take, has come out once. Not for
 * a thread that is pinned itself.
 */
void wi_core_await_pins(struct wi_core *core);

/* The table has so many slots from now on, all zeroed. One thread at a time (the keeper). */
void wi_core_grow(struct wi_core *core, uint32_t count);

/* Sums over slots: how often they were lent and came back, ever. */
void wi_core_sums(const struct wi_core *core, uint64_t *lent, uint64_t *returned);

#endif

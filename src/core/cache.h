/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. Each seat keeps the slot its thread gave back last, so that the thread gets the same
 * connection again without touching anything shared. What is cached is idle and can be stolen:
 * nobody waits while it lies there. Room for one is enough, as a thread seldom holds two.
 *
 * States of `cached`:     NONE --put (owner)--> slot --take (owner) or steal (any)--> NONE
 *
 * Invariants.
 *   I1  only the owner puts, so NONE, seen by the owner, stays NONE until it puts
 *   I2  whoever's exchange returned the number has the slot; everybody else got NONE
 *
 * Orderings. R1 in put, A1 in take and A2 in steal: who takes the slot sees what was written before
 * it was put. put is sequentially consistent, because its caller looks for waiters next, and a
 * waiter announces itself before it looks into the caches: one of the two must see the other.
 *
 * Progress. Wait-free, one exchange each. This file is the seam for a protocol without locked
 * instructions on the owner's side: three functions with these contracts, nothing else knows how
 * `cached` is changed.
 */
#ifndef WI_CORE_CACHE_H
#define WI_CORE_CACHE_H

#include <stdbool.h>

#include "base/atomic.h"
#include "base/world.h"
#include "core/seat.h"

/* Owner: takes what it keeps, or NONE. */
static inline uint32_t wi_cache_take(struct wi_seat *mine)
{
	if (wi_load_rlx(&mine->cached) == WI_SLOT_NONE)
		return WI_SLOT_NONE;
	WI_YIELD("cache.take.seen");
	/* [cache:A1] sees what the last holder wrote, if another thread's; pairs with R1. */
	return wi_swap_seq(&mine->cached, WI_SLOT_NONE);
}

/* Owner: keeps a slot; false if there is one already. */
static inline bool wi_cache_put(struct wi_seat *mine, uint32_t slot)
{
	if (wi_load_rlx(&mine->cached) != WI_SLOT_NONE)
		return false;
	/*
	 * [cache:R1] publishes what the holder wrote; pairs with A1 A2. By I1 nothing is
	 * overwritten.
	 */
	(void)wi_swap_seq(&mine->cached, slot);
	return true;
}

/*
 * Any thread: takes what another keeps, or NONE. Looks before it writes, to leave the owner's line
 * alone.
 */
static inline uint32_t wi_cache_steal(struct wi_seat *other)
{
	if (wi_load_seq(&other->cached) == WI_SLOT_NONE)
		return WI_SLOT_NONE;
	WI_YIELD("cache.steal.seen");
	/* [cache:A2] as A1, for a thief; pairs with R1. */
	return wi_swap_seq(&other->cached, WI_SLOT_NONE);
}

#endif

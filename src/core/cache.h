/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. Each seat keeps the slot its thread gave back last, so that the thread gets the same
 * connection again without touching anything shared. What is cached is idle and can be stolen:
 * nobody waits while it lies there. Room for one is enough, as a thread seldom holds two.
 *
 * Two protocols on the one word `cached`, chosen by the core's bias (bias.h). Biased: the owner
 * loads and stores. Shared: everybody exchanges. A thief revokes the bias first; then the owner is
 * either not inside, or sees that the bias is gone, or is in the middle of a biased take and says
 * so by its pin, and then the slot is as good as taken: the thief passes it by.
 *
 * States of `cached`:     NONE --put (owner)--> slot --take (owner) or steal (thief)--> NONE
 *
 * Invariants.
 *   I1  only the owner puts, so NONE, seen by the owner, stays NONE until it puts
 *   I2  a slot leaves `cached` once: by an exchange that returns it, or by the owner's store in a
 *       biased take, during which no thief touches it (the pin is TAKING and the thief passes by)
 *   I3  whoever finds TAKING knows that the slot, if there is one, is taken before the owner's
 *       operation ends: by the owner's store, or, if it saw the bias gone, by an exchange, for
 *       which another thief may be faster
 *
 * Orderings.
 *   - owner: pin = TAKING, light fence, look at the bias. Thief: revoke (heavy fence), look at the
 *     pin. One of the two sees the other.
 *   - owner: cached = slot, light fence, look at the bias. Waiter: announce, revoke (heavy fence),
 *     look into the caches. One of the two sees the other. An owner that sees the bias gone takes
 *     the slot back by an exchange before it looks for waiters: that exchange is the full fence
 *     which a waiter that found the bias gone already has not paid for.
 *   - R1 in put, A1 in take and A2 in steal: who takes the slot sees what was written before it was
 *     put.
 *
 * Progress. Wait-free.
 */
#ifndef WI_CORE_CACHE_H
#define WI_CORE_CACHE_H

#include <stdbool.h>

#include "base/atomic.h"
#include "base/world.h"
#include "core/bias.h"
#include "core/pin.h"
#include "core/seat.h"

/*
 * Owner, biased: takes what it keeps and is out again. NONE: nothing there, or the bias is gone;
 * then the pin still says TAKING, and the owner has to go on with wi_pin and wi_cache_take_shared.
 */
WI_INLINE uint32_t wi_cache_take(const struct wi_bias *bias, struct wi_seat *mine)
{
	uint32_t pin = wi_load_rlx(&mine->pin), slot;

	wi_store_rlx(&mine->pin, pin + WI_PIN_TAKING);
	wi_fence_light();
	WI_YIELD("cache.take.taking");
	if (!wi_bias_is_whole(bias))
		return WI_SLOT_NONE;
	slot = wi_load_rlx(&mine->cached);
	WI_YIELD("cache.take.seen");
	if (wi_unlikely(slot == WI_SLOT_NONE))
		return WI_SLOT_NONE;
	wi_store_rlx(&mine->cached, WI_SLOT_NONE);
	/* [pin:R2] the slot is out of the cache; pairs with A1 A2. */
	wi_store_rel(&mine->pin, pin + WI_PIN_STEP);
	return slot;
}

/* Owner, in either mode: takes what it keeps, or NONE. */
WI_INLINE uint32_t wi_cache_take_shared(struct wi_seat *mine)
{
	if (wi_load_rlx(&mine->cached) == WI_SLOT_NONE)
		return WI_SLOT_NONE;
	WI_YIELD("cache.take_shared.seen");
	/* [cache:A1] sees what the last holder wrote, if another thread's; pairs with R1 R2. */
	return wi_swap_seq(&mine->cached, WI_SLOT_NONE);
}

/* Whether the owner may put as it does while biased: room in the cache, and the bias whole. */
WI_INLINE bool wi_cache_may_put(const struct wi_bias *bias, const struct wi_seat *mine)
{
	return wi_bias_is_whole(bias) && wi_likely(wi_load_rlx(&mine->cached) == WI_SLOT_NONE);
}

/*
 * Owner, pinned, after wi_cache_may_put. false: the bias has gone meanwhile, so somebody may wait:
 * take it back by wi_cache_take_shared and see.
 */
WI_INLINE bool wi_cache_put(const struct wi_bias *bias, struct wi_seat *mine, uint32_t slot)
{
	WI_YIELD("cache.put.alone");
	/* [cache:R1] publishes what the holder wrote to the slot; pairs with A1 A2. */
	wi_store_rel(&mine->cached, slot);
	wi_fence_light();
	WI_YIELD("cache.put.cached");
	return wi_bias_is_whole(bias);
}

/*
 * Owner, in either mode: keeps a slot; false if there is one already. Sequentially consistent: a
 * look for waiters comes after.
 */
WI_INLINE bool wi_cache_put_shared(struct wi_seat *mine, uint32_t slot)
{
	if (wi_load_rlx(&mine->cached) != WI_SLOT_NONE)
		return false;
	WI_YIELD("cache.put_shared.alone");
	/* [cache:R2] as R1; pairs with A1 A2. By I1 nothing is overwritten. */
	(void)wi_swap_seq(&mine->cached, slot);
	return true;
}

/*
 * Thief, while it holds the bias revoked: takes what another keeps, or NONE. Looks before it
 * writes, to leave the owner's line alone.
 */
WI_INLINE uint32_t wi_cache_steal(struct wi_seat *other)
{
	/* First the slot: with it comes the pin of who put it there, not an older one. */
	if (wi_load_seq(&other->cached) == WI_SLOT_NONE)
		return WI_SLOT_NONE;
	/* [pin:A2] sees what the owner's last take left; pairs with R1 R2 R3. */
	if (wi_pin_is(wi_load_acq(&other->pin)) == WI_PIN_TAKING)
		return WI_SLOT_NONE;
	WI_YIELD("cache.steal.out");
	WI_YIELD("cache.steal.seen");
	/* [cache:A2] as A1, for a thief; pairs with R1 R2. */
	return wi_swap_seq(&other->cached, WI_SLOT_NONE);
}

/* Any thread: whether something seems to be kept there; surely so while the bias is held. */
WI_INLINE bool wi_cache_is_filled(const struct wi_seat *other)
{
	return wi_load_seq(&other->cached) != WI_SLOT_NONE;
}

#endif

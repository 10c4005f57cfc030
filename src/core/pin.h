/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. While a thread is inside an operation on a core, a word of its own says so: plain stores,
 * nobody else writes it. Others look at it for two reasons. A thief leaves alone a seat whose owner
 * is in the middle of a take (cache.h). And who wants to free or to overwrite what operations read
 * waits until each pin that it found has moved on: a grace period, of the core's own threads only.
 *
 * The word: the lowest two bits say what, the rest counts operations, so that the end of one is
 * seen even if the next has begun.
 *
 *	    OUT --take--> TAKING --took it--> OUT (next)
 *	                  TAKING --nothing, or shared--> PINNED --unpin--> OUT (next)
 *	    OUT --pin--> PINNED --unpin--> OUT (next)
 *
 * Invariants.
 *   I1  who has seen a pin OUT, or another than before, after a heavy fence, knows: whatever that
 *       thread read before is read, and what it reads from now on is as new as what was written
 *       before the fence
 *   I2  while the bias is gone for ever (no heavy fence here), pinning is a full fence itself
 *
 * Orderings. R1 R3 in unpin and R2 in a take's end, A1 in await (and A2 in cache.h's thief): who
 * sees the pin moved on sees all that the operation did.
 *
 * Why not an RCU read section: liburcu's is a call into a shared library and costs twice a malloc
 * here; a seat that is at hand anyway makes it two stores. RCU stays where a thread may have no
 * seat (desk.c, the slow paths).
 */
#ifndef WI_CORE_PIN_H
#define WI_CORE_PIN_H

#include <stdbool.h>

#include "core/bias.h"
#include "core/seat.h"

enum { WI_PIN_OUT = 0, WI_PIN_TAKING = 1, WI_PIN_PINNED = 2, WI_PIN_STEP = 4 };

WI_INLINE uint32_t wi_pin_is(uint32_t pin)
{
	return pin & (WI_PIN_STEP - 1);
}

/*
 * The rest of a pin that found the caches shared: fenced fully where there is no heavy fence.
 * false: the core is closed, suspended, or a parent's.
 */
bool wi_pin_shared(const struct wi_bias *bias, struct wi_seat *mine);

/*
 * The seat's thread, not inside: from here until unpin nothing that was in place is freed or
 * overwritten. false: the core is closed, suspended, or a parent's (unpin all the same).
 */
WI_INLINE bool wi_pin(const struct wi_bias *bias, struct wi_seat *mine)
{
	wi_store_rlx(&mine->pin, (wi_load_rlx(&mine->pin) & ~3u) + WI_PIN_PINNED);
	wi_fence_light();
	return wi_bias_is_whole(bias) || wi_pin_shared(bias, mine);
}

/*
 * The same where the caller has just seen the bias whole: then a plain store is all it takes.
 * Returns what wi_unpin_from wants.
 */
WI_INLINE uint32_t wi_pin_biased(struct wi_seat *mine)
{
	uint32_t out = wi_load_rlx(&mine->pin);

	wi_store_rlx(&mine->pin, out + WI_PIN_PINNED);
	wi_fence_light();
	return out;
}

WI_INLINE void wi_unpin_from(struct wi_seat *mine, uint32_t out)
{
	/* [pin:R3] as R1; pairs with A1 A2. */
	wi_store_rel(&mine->pin, out + WI_PIN_STEP);
}

WI_INLINE void wi_unpin(struct wi_seat *mine)
{
	/* [pin:R1] all that was done while pinned; pairs with A1 A2. */
	wi_store_rel(&mine->pin, (wi_load_rlx(&mine->pin) & ~3u) + WI_PIN_STEP);
}

WI_INLINE bool wi_is_pinned(const struct wi_seat *mine)
{
	return wi_pin_is(wi_load_rlx(&mine->pin)) == WI_PIN_PINNED;
}

/*
 * Returns when every thread that was inside has left, once. What was unpublished before the call is
 * the caller's own then. Waits for threads that are inside, who never sleep there. Not for a thread
 * that is pinned itself.
 */
void wi_pins_await(struct wi_bias *bias, struct wi_seats *seats);

/* The same, but for no longer than that. false: some were still inside. */
bool wi_pins_await_until(struct wi_bias *bias, struct wi_seats *seats, int64_t deadline_ns);

#endif

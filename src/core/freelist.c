/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. A Treiber stack (R. K. Treiber, "Systems programming: coping with parallelism", 1986) whose
 * nodes are slot numbers: `head` names the top slot, its `next` the one below. Numbers, not
 * pointers, leave 48 bits of the word for a tag, so that one plain 64-bit CAS moves both. Last in,
 * first out keeps hot sockets hot and lets the tail age.
 *
 * States of a slot, as seen from here:     on the list --pop--> out --push--> on the list
 *
 * Invariants.
 *   I1  every slot is on the list or out, never both; the chain from head has no circle
 *   I2  each successful move, push or pop, changes the tag
 *
 * Orderings. R1 in push, A1 in pop: who takes a slot sees all that its last owner wrote. Both are
 * sequentially consistent besides, because core.c stands on "push, then look for a waiter" against
 * "announce, then look at the list": one of the two must see the other.
 *
 * Progress and limits. Lock-free: a CAS fails only because another move succeeded. A pop that
 * sleeps through exactly 2^48 moves could be fooled by an equal tag (a month at 100 million moves a
 * second).
 */
#include "core/freelist.h"

#include "base/atomic.h"
#include "base/world.h"

#ifndef WI_TAG_BITS
#define WI_TAG_BITS (64 - WI_SLOT_BITS)
#endif
#define TAG_MASK ((UINT64_C(1) << WI_TAG_BITS) - 1)

static uint32_t head_slot(uint64_t head)
{
	return (uint32_t)(head & WI_SLOTS_MAX);
}

static uint64_t head_after(uint64_t old, uint32_t slot)
{
	return ((((old >> WI_SLOT_BITS) + 1) & TAG_MASK) << WI_SLOT_BITS) | slot;
}

void wi_freelist_init(struct wi_freelist *list)
{
	atomic_init(&list->head, 0);
}

void wi_freelist_push(struct wi_freelist *list, const struct wi_table *table, uint32_t slot)
{
	struct wi_slot *s = wi_slot_at(table, slot);
	uint64_t old = wi_load_rlx(&list->head);

	do {
		wi_store_rlx(&s->next, head_slot(old));
		WI_YIELD("freelist.push.next");
		/* [freelist:R1] publishes `next` and what the last owner wrote; pairs with A1. */
	} while (!wi_cas_seq(&list->head, &old, head_after(old, slot)));
}

uint32_t wi_freelist_pop(struct wi_freelist *list, const struct wi_table *table)
{
	/* [freelist:A1] sees what the pusher of this top wrote; pairs with R1. */
	uint64_t old = wi_load_seq(&list->head);
	uint32_t top, below;

	do {
		top = head_slot(old);
		if (top == WI_SLOT_NONE)
			return WI_SLOT_NONE;
		/*
		 * Stale if top was taken meanwhile: then the tag has moved and the CAS fails (I2).
		 */
		below = wi_load_rlx(&wi_slot_at(table, top)->next);
		WI_YIELD("freelist.pop.next");
	} while (!wi_cas_seq(&list->head, &old, head_after(old, below)));
	return top;
}

bool wi_freelist_is_empty(const struct wi_freelist *list)
{
	return head_slot(wi_load_seq(&list->head)) == WI_SLOT_NONE;
}

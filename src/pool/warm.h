/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The warm path of a checkout, inlined where it counts: in weir_pool_checkout and in the router's
 * weir_checkout. checkout.c tells the rest.
 */
#ifndef WI_POOL_WARM_H
#define WI_POOL_WARM_H

#include "base/assert.h"
#include "base/atomic.h"
#include "core/desk.h"
#include "pool/pool.h"

/*
 * A handle is the slot's address plus the low 8 bits of the count of its lendings, so a copy that
 * outlived its checkin does not match the slot any more. `lend` is odd while lent.
 */
#define WI_HANDLE_MASK ((uintptr_t)WI_CONN_BYTES - 1)

WI_INLINE struct weir_conn *wi_warm_handle_of(struct weir_conn *c, uint64_t lend)
{
	return (struct weir_conn *)(void *)((char *)c + ((lend >> 1) & WI_HANDLE_MASK));
}

/* The slot behind a handle, and the count it is held with; NULL: the handle is stale. */
WI_INLINE struct weir_conn *wi_handle_find(const struct weir_conn *handle, uint64_t *count)
{
	uintptr_t at = (uintptr_t)handle;
	struct weir_conn *c = (struct weir_conn *)(at & ~WI_HANDLE_MASK);

#if defined(WI_TESTING) || !defined(NDEBUG)
	if (!wi_desk_knows(c))
		return NULL; /* a foreign pointer, or of a pool that is gone */
#endif
	*count = wi_load_rlx(&c->slot.lend);
	return (*count & 1) && ((*count >> 1) & WI_HANDLE_MASK) == (at & WI_HANDLE_MASK) ? c : NULL;
}

/* What a checkout was for. A pool is the router's or it is not: without one, nobody ever says. */
WI_INLINE void wi_warm_set_mark(struct weir_conn *c, const struct wi_mark *mark)
{
	wi_store_rlx(&c->role, (uint8_t)mark->role);
	wi_store_rlx(&c->reason, (uint8_t)mark->reason);
	wi_store_rlx(&c->tag, mark->tag);
	if (wi_likely(!mark->load && !mark->stamp))
		return;
	c->load = mark->load;
	wi_or_rlx(&c->notes, (mark->load ? WI_NOTE_LOAD : 0) | (mark->stamp ? WI_NOTE_STAMP : 0));
}

/* A bit of a load: somebody sleeps on the word until it falls. */
#define WI_LOAD_AWAITED (UINT32_C(1) << 31)

static inline void wi_load_lower(_Atomic uint32_t *load, const struct wi_world *world)
{
	if (wi_likely(!(wi_sub_rlx(load, 1) & WI_LOAD_AWAITED)))
		return;
	wi_and_rlx(load, ~WI_LOAD_AWAITED);
	world->wake(load);
}

/* The load that was raised for it is lowered: it is back. */
static inline void wi_conn_unload(struct weir_conn *c)
{
	if (!(wi_load_rlx(&c->notes) & WI_NOTE_LOAD))
		return;
	wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_LOAD);
	wi_load_lower(c->load, c->pool->core.world);
}

/* A taken slot becomes its user's: from here on it is in this thread's hands, as all can see. */
WI_INLINE struct weir_conn *wi_warm_lend(struct weir_conn *c, struct wi_seat *seat)
{
	uint64_t count = wi_load_rlx(&c->slot.lend) + 1;

	wi_assert(count & 1); /* in two hands */
	wi_store_rlx(&c->lender, seat);
	/* [lend:R1] whoever sees it lent sees to whom, or a later one; pairs with A1 A2 A3. */
	wi_store_rel(&c->slot.lend, count);
	return wi_warm_handle_of(c, count);
}

/* Nothing on it that a taker has to see to. */
WI_INLINE bool wi_warm_is_plain(uint32_t notes)
{
	return wi_likely(!(notes & ~(uint32_t)(WI_NOTE_OVERFLOW | WI_NOTE_PING)));
}

WI_INLINE struct weir_conn *wi_warm_conn_at(const struct weir_pool *pool, uint32_t slot)
{
	return (struct weir_conn *)(void *)(pool->core.table.base + (size_t)slot * WI_CONN_BYTES);
}

/*
 * The warm path: what this thread keeps. NULL: nothing, or *slot was taken but wants a check. *seat
 * is the thread's, if it is known; if it is and *slot is NONE, the pin says TAKING, and what
 * follows has to pin.
 */
WI_INLINE struct weir_conn *wi_warm_take_kept(struct weir_pool *pool, struct wi_seat **seat,
                                              uint32_t *slot)
{
	struct weir_conn *c;

	*slot = WI_SLOT_NONE;
	*seat = wi_desk_hinted(&pool->core);
	if (wi_unlikely(!*seat))
		return NULL;
	*slot = wi_cache_take(&pool->core.bias, *seat);
	c = wi_warm_conn_at(pool, *slot);
	return wi_likely(*slot) && wi_warm_is_plain(wi_load_rlx(&c->notes)) ? c : NULL;
}

/*
 * What is left of a try for which wi_warm_take_kept had nothing: it has to follow, on the same
 * pool. NULL: nothing is idle.
 */
struct weir_conn *wi_pool_try_cold(struct weir_pool *pool, struct wi_seat *seat, uint32_t slot,
                                   const struct wi_mark *mark);

#endif

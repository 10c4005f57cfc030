/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. A slot that comes back stays with its thread (cache.h); what does not fit goes to the free
 * list (freelist.c); who finds neither takes from another thread's cache; who finds nothing at all
 * waits in line (waitq.c). Nobody waits while a slot is idle anywhere.
 *
 * States of a slot, and who moves along each arrow:
 *
 *	outside --give, keeper--> idle: free list or a cache --take, any thread--> lent --put, holder--> idle
 *	   ^                        |                                                |
 *	   +-----sweep, keeper------+          granted to a waiter (in its word) <---+--> outside (to the keeper)
 *
 * Invariants.
 *   I1  a slot is in exactly one place: outside, a free list, a cache, a waiter's word, or lent
 *   I2  if a waiter sleeps, there was a moment after it had announced itself at which no slot was
 *       idle, and every
 *       slot that became idle since went, or is going, to someone who waited at least as long
 *
 * Why I2 holds. Sleeping has four phases: try; announce; try again; sleep. Giving has three: put
 * where takers look; look for waiters; if there are any, take one slot out again and hand it over.
 * Put and announce, and the looks that follow them, are sequentially consistent, so of a giver and
 * a waiter that race at least one sees the other. A waiter that finds a slot in the third phase
 * withdraws its own word, and if it was granted another meanwhile gives one of them on.
 *
 * Progress. take, put, give: lock-free. A thread stopped anywhere keeps at most the one slot in its
 * hands; a giver stopped between its put and its look may besides leave one waiter asleep beside an
 * idle slot, until it goes on or another slot is given.
 */
#include "core/core.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "core/cache.h"
#include "core/desk.h"

bool wi_core_init(struct wi_core *core, struct wi_table table, const struct wi_world *world)
{
	wi_check(table.count <= WI_SLOTS_MAX);
	core->table = table;
	core->world = world;
	atomic_init(&core->shut, 0);
	wi_freelist_init(&core->list[0]);
	wi_freelist_init(&core->list[1]);
	wi_seats_init(&core->seats);
	wi_waitq_init(&core->waitq, &core->seats, world);
	return wi_desk_register(core);
}

void wi_core_fini(struct wi_core *core)
{
	wi_desk_unregister(core);
	wi_seats_fini(&core->seats);
}

bool wi_core_reinit(struct wi_core *core)
{
	wi_core_fini(core);
	return wi_core_init(core, core->table, core->world);
}

/* From the shared lists only. */
static uint32_t pop(struct wi_core *core)
{
	uint32_t slot = wi_freelist_pop(&core->list[0], &core->table);

	return slot ? slot : wi_freelist_pop(&core->list[1], &core->table);
}

/* From any thread's cache, starting beside one's own seat so that thieves spread. */
static uint32_t steal(struct wi_core *core, const struct wi_seat *mine)
{
	uint32_t from = mine ? mine->number % WI_SEATS_A_SEGMENT : 0;
	struct wi_segment *g;

	for (uint32_t i = 0; (g = wi_segment_at(&core->seats, i)); i++) {
		uint64_t taken = wi_load_seq(&g->taken);

		for (uint32_t k = 0; k < WI_SEATS_A_SEGMENT; k++) {
			uint32_t b = (from + k) % WI_SEATS_A_SEGMENT;
			uint32_t slot;

			if ((taken >> b & 1) && (slot = wi_cache_steal(&g->seat[b])))
				return slot;
		}
	}
	return WI_SLOT_NONE;
}

static uint32_t take_shared(struct wi_core *core, const struct wi_seat *mine)
{
	uint32_t slot = pop(core);

	return slot ? slot : steal(core, mine);
}

uint32_t wi_core_take(struct wi_core *core, struct wi_seat *mine)
{
	uint32_t slot = wi_cache_take(mine);

	return wi_likely(slot) ? slot : take_shared(core, mine);
}

/* Hands a slot that is in nobody's hands to the first in line, or puts it on the given list. */
static void give_to(struct wi_core *core, struct wi_freelist *list, uint32_t slot)
{
	do {
		if (wi_waitq_is_waited(&core->waitq) && wi_waitq_grant(&core->waitq, slot))
			return;
		wi_freelist_push(list, &core->table, slot);
		WI_YIELD("core.give.pushed");
		/*
		 * A waiter that announced before the push may have looked before it: look for one
		 * now.
		 */
		if (!wi_waitq_is_waited(&core->waitq) || !wi_waitq_has_waiter(&core->waitq))
			return;
		slot = pop(core);
	} while (slot);
}

void wi_core_give(struct wi_core *core, uint32_t slot)
{
	give_to(core, &core->list[0], slot);
}

void wi_core_put(struct wi_core *core, struct wi_seat *mine, uint32_t slot)
{
	if (wi_waitq_is_waited(&core->waitq) || !wi_cache_put(mine, slot)) {
		wi_core_give(core, slot);
		return;
	}
	WI_YIELD("core.put.cached");
	if (wi_likely(!wi_waitq_is_waited(&core->waitq)))
		return;
	slot = wi_cache_take(mine);
	if (slot)
		wi_core_give(core, slot);
}

/*
 * The third phase found a slot. Withdraw; if something was granted meanwhile, one of the two goes
 * on.
 */
static struct wi_outcome settle(struct wi_core *core, struct wi_seat *mine, uint32_t found)
{
	struct wi_outcome o;

	if (wi_waitq_cancel(&core->waitq, mine)) {
		wi_waitq_leave(&core->waitq, mine);
		return (struct wi_outcome){WI_GRANTED, found};
	}
	o = wi_waitq_outcome(mine);
	wi_waitq_leave(&core->waitq, mine);
	if (o.verdict == WI_GRANTED)
		wi_core_give(core, found);
	else
		o = (struct wi_outcome){WI_GRANTED, found};
	return o;
}

/* After announcing: a core that was shut before it could see this waiter refuses it here. */
static bool refused_by_shut(struct wi_core *core, struct wi_seat *mine, struct wi_outcome *o)
{
	uint32_t reason = wi_load_seq(&core->shut);

	if (!reason || !wi_waitq_cancel(&core->waitq, mine))
		return false; /* open, or granted or refused already: sleep will say so at once */
	wi_waitq_leave(&core->waitq, mine);
	*o = (struct wi_outcome){WI_REFUSED, reason};
	return true;
}

struct wi_outcome wi_core_wait(struct wi_core *core, struct wi_seat *mine, int64_t deadline_ns)
{
	struct wi_outcome o;
	uint32_t found;

	wi_waitq_announce(&core->waitq, mine);
	WI_YIELD("core.wait.announced");
	found = wi_cache_take(mine);
	if (!found)
		found = take_shared(core, mine);
	if (found)
		return settle(core, mine, found);
	if (refused_by_shut(core, mine, &o))
		return o;

	if (core->on_short)
		core->on_short(core->on_short_arg);
	o = wi_waitq_sleep(&core->waitq, mine, deadline_ns);
	if (o.verdict == WI_PENDING && !wi_waitq_cancel(&core->waitq, mine))
		o = wi_waitq_outcome(mine); /* granted or refused at the last moment */
	wi_waitq_leave(&core->waitq, mine);
	if (o.verdict == WI_PENDING && (found = wi_core_take(core, mine)))
		return (struct wi_outcome){WI_GRANTED, found}; /* the last look */
	return o;
}

void wi_core_shut(struct wi_core *core, uint32_t reason)
{
	wi_store_seq(&core->shut, reason);
	wi_waitq_refuse(&core->waitq, reason);
}

void wi_core_refuse(struct wi_core *core, uint32_t reason)
{
	wi_waitq_refuse(&core->waitq, reason);
}

uint32_t wi_core_waiting(const struct wi_core *core)
{
	return wi_waitq_pending(&core->waitq);
}

static void sweep_caches(struct wi_core *core, bool (*wanted)(void *, uint32_t),
                         void (*got)(void *, uint32_t), void *arg)
{
	struct wi_segment *g;

	for (uint32_t i = 0; (g = wi_segment_at(&core->seats, i)); i++) {
		for (uint32_t b = 0; b < WI_SEATS_A_SEGMENT; b++) {
			uint32_t slot = wi_load_rlx(&g->seat[b].cached);

			if (!slot || !wanted(arg, slot) || !(slot = wi_cache_steal(&g->seat[b])))
				continue;
			if (wanted(arg, slot)) /* it may be another by now */
				got(arg, slot);
			else
				wi_core_give(core, slot);
		}
	}
}

/*
 * Moves what is not wanted from one list to the other, one at a time, so that takers always see the
 * rest.
 */
static void sweep_list(struct wi_core *core, int from, bool (*wanted)(void *, uint32_t),
                       void (*got)(void *, uint32_t), void *arg)
{
	for (uint32_t n = 0; n < core->table.count; n++) {
		uint32_t slot = wi_freelist_pop(&core->list[from], &core->table);

		if (!slot)
			return;
		if (wanted(arg, slot))
			got(arg, slot);
		else
			give_to(core, &core->list[1 - from], slot);
	}
}

void wi_core_sweep(struct wi_core *core, bool (*wanted)(void *arg, uint32_t slot),
                   void (*got)(void *arg, uint32_t slot), void *arg)
{
	sweep_caches(core, wanted, got, arg);
	sweep_list(core, 0, wanted, got, arg);
	sweep_list(core, 1, wanted, got, arg);
}

void wi_core_count_lent(struct wi_seat *mine)
{
	wi_store_rlx(&mine->lent, wi_load_rlx(&mine->lent) + 1);
}

void wi_core_count_returned(struct wi_seat *mine)
{
	wi_store_rlx(&mine->returned, wi_load_rlx(&mine->returned) + 1);
}

void wi_core_sums(struct wi_core *core, uint64_t *lent, uint64_t *returned)
{
	struct wi_segment *g;

	*lent = *returned = 0;
	for (uint32_t i = 0; (g = wi_segment_at(&core->seats, i)); i++) {
		for (uint32_t b = 0; b < WI_SEATS_A_SEGMENT; b++) {
			*returned += wi_load_rlx(&g->seat[b].returned);
			*lent += wi_load_rlx(&g->seat[b].lent);
		}
	}
}

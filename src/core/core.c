/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. A slot that comes back stays with its thread (cache.h); what does not fit goes to the free
 * list (freelist.c); who finds neither takes from another thread's cache; who finds nothing at all
 * waits in line (waitq.c). Nobody waits while a slot is idle anywhere. Warm threads write to their
 * own lines only, until somebody is short: then the bias is revoked (bias.h) and everybody
 * exchanges.
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
 *       idle; and every slot that became idle since was taken, or was granted, or somebody is on
 *       his way to look at it: at the latest the waiter itself, when its patience ends
 *   I3  while anybody waits the bias is revoked: whoever puts a slot into a cache looks, after
 *       that, whether somebody waits
 *
 * Why I2 holds. Sleeping has four phases: try; announce; try again; sleep. Giving has three: put
 * where takers look; look for waiters; see that one of them looks, or serve him. Announce and the
 * revocation of the bias come before the second try; put comes before the looks; all sequentially
 * consistent where the caches are shared, and by the heavy fence where they were biased. So of a
 * giver and a waiter that race at least one sees the other. A waiter that finds a slot in the third
 * phase withdraws its own word, and if it was granted another meanwhile gives one of them on.
 *
 * Progress. take, put, give: lock-free. A thread stopped anywhere keeps the slot in its hands, and
 * at most one more that it was passing on. It delays those who wait by their patience at most (it
 * may have the token); a giver stopped between its push and its looks, by as long as they have
 * waited so far, when they look again by themselves.
 */
#include "core/core.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "core/desk.h"
#include "core/find.h"

/* Of the checkins that find somebody waiting, one in so many looks at the clock. */
#define SERVE_EVERY 16

static bool init_inside(struct wi_core *core)
{
	atomic_init(&core->shut, 0);
	atomic_init(&core->suspended, 0);
	atomic_init(&core->rebias_in, WI_REBIAS_AFTER);
	wi_freelist_init(&core->list[0]);
	wi_freelist_init(&core->list[1]);
	wi_seats_init(&core->seats);
	wi_waitq_init(&core->waitq, &core->seats, core->world);
	return wi_desk_register(core);
}

bool wi_core_init(struct wi_core *core, struct wi_table table, const struct wi_world *world)
{
	wi_check(table.count <= WI_SLOTS_MAX);
	core->table = table;
	core->world = world;
	wi_bias_init(&core->bias, world);
	return init_inside(core);
}

void wi_core_fini(struct wi_core *core)
{
	wi_desk_unregister(core);
	/*
	 * After the grace period: who was just sitting down, inside a read section, is pinned by
	 * now. Threads of a parent that are pinned are not here, and their pins never move on.
	 */
	if (!(wi_load_rlx(&core->bias.word) & WI_BIAS_FORKED))
		wi_core_await_pins(core);
	wi_seats_fini(&core->seats);
}

bool wi_core_reinit(struct wi_core *core)
{
	/*
	 * The parent's seats are left alone: the thread that forked may just be looking at its own.
	 * Closed it stays, as pins see, until all around it is new as well.
	 */
	wi_desk_unregister(core);
	wi_bias_init_forked(&core->bias, core->world);
	return init_inside(core);
}

void wi_core_reopen(struct wi_core *core)
{
	wi_bias_reopen(&core->bias);
}

/*
 * From the shared lists only. A sweep moves slots from the first list to the second and back: who
 * has looked into the second looks once more into the first, so as not to miss what moved past him.
 */
uint32_t wi_core_pop(struct wi_core *core)
{
	uint32_t slot = wi_freelist_pop(&core->list[0], &core->table);

	if (!slot)
		slot = wi_freelist_pop(&core->list[1], &core->table);
	return slot ? slot : wi_freelist_pop(&core->list[0], &core->table);
}

/* Goes through the seats that have a thread, beginning beside one's own so that thieves spread. */
uint32_t wi_core_search(struct wi_core *core, const struct wi_seat *mine,
                        uint32_t (*find)(struct wi_seat *other))
{
	uint32_t from = mine ? mine->number % WI_SEATS_A_SEGMENT : 0;
	struct wi_segment *g;

	for (uint32_t i = 0; (g = wi_segment_at(&core->seats, i)); i++) {
		uint64_t taken = wi_load_seq(&g->taken);

		for (uint32_t k = 0; k < WI_SEATS_A_SEGMENT; k++) {
			uint32_t b = (from + k) % WI_SEATS_A_SEGMENT;
			uint32_t found;

			if ((taken >> b & 1) && (found = find(&g->seat[b])))
				return found;
		}
	}
	return WI_SLOT_NONE;
}

uint32_t wi_core_is_filled(struct wi_seat *other)
{
	return wi_cache_is_filled(other);
}

void wi_core_revoke(struct wi_core *core)
{
	wi_bias_revoke(&core->bias);
	wi_store_rlx(&core->rebias_in, WI_REBIAS_AFTER);
}

/* From any thread's cache; the bias is revoked only if something seems to be there. */
static uint32_t steal(struct wi_core *core, struct wi_seat *mine)
{
	uint32_t slot;

	if (!wi_core_search(core, mine, wi_core_is_filled))
		return WI_SLOT_NONE;
	wi_core_revoke(core);
	slot = wi_core_search(core, mine, wi_cache_steal);
	wi_bias_release(&core->bias);
	return slot;
}

uint32_t wi_core_take_pinned(struct wi_core *core, struct wi_seat *mine)
{
	uint32_t slot = wi_cache_take_shared(mine);

	if (!slot)
		slot = wi_core_pop(core);
	return slot ? slot : steal(core, mine);
}

uint32_t wi_core_take(struct wi_core *core, struct wi_seat *mine)
{
	uint32_t slot = wi_cache_take(&core->bias, mine);

	if (wi_likely(slot))
		return slot;
	(void)wi_pin(&core->bias, mine);
	slot = wi_core_take_pinned(core, mine);
	wi_unpin(mine);
	return slot;
}

/*
 * After a slot was put where takers look, and somebody waits: whether somebody will look. If not,
 * the slot has to be taken out again and given anew.
 */
static bool is_seen_to(struct wi_core *core)
{
	for (;;) {
		switch (wi_waitq_nudge(&core->waitq)) {
		case WI_NUDGE_GIVEN:
			return true;
		case WI_NUDGE_HELD:
			/* Who has the token may be stopped, and who is overdue is served. */
			return !wi_waitq_has_overdue(&core->waitq);
		case WI_NUDGE_NOBODY:
			/*
			 * Somebody may have come in between, and another, who saw the token taken,
			 * may have left a slot to us, in his own cache: whoever came has to look.
			 */
			if (!wi_waitq_has_waiter(&core->waitq))
				return true;
		}
	}
}

/* NONE: it is seen to; otherwise a slot that was taken out again, to be given anew. */
static uint32_t push(struct wi_core *core, struct wi_freelist *list, uint32_t slot)
{
	wi_freelist_push(list, &core->table, slot);
	WI_YIELD("core.give.pushed");
	if (!wi_waitq_is_waited(&core->waitq) || is_seen_to(core))
		return WI_SLOT_NONE;
	return wi_core_pop(core);
}

/*
 * Hands a slot that is in nobody's hands to the one who has waited longest, or puts it on the given
 * list. only_overdue: he may be overtaken for a while.
 */
static void give_to(struct wi_core *core, struct wi_freelist *list, uint32_t slot,
                    bool only_overdue)
{
	do {
		if (wi_waitq_is_waited(&core->waitq) &&
		    wi_waitq_grant(&core->waitq, slot, only_overdue))
			return;
		slot = push(core, list, slot);
	} while (slot);
}

void wi_core_give(struct wi_core *core, uint32_t slot)
{
	give_to(core, &core->list[0], slot, false);
}

/* As give, by a running thread that may want one again at once. */
static void give_back(struct wi_core *core, uint32_t slot)
{
	give_to(core, &core->list[0], slot, true);
}

/* Nobody waited for what came back just now: so many times in a row, and the bias is restored. */
static void count_calm(struct wi_core *core)
{
	uint32_t left = wi_load_rlx(&core->rebias_in);

	if (left) /* two at once may count as one: it is no exact number */
		wi_store_rlx(&core->rebias_in, left - 1);
	else
		wi_bias_restore(&core->bias);
}

/*
 * Whether to look how long others have waited: if one says that he is overdue, and else now and
 * then, as that one may be kept from saying so by us, on his processor. Looking costs more than the
 * rest of a checkin.
 */
static bool may_serve(struct wi_core *core, struct wi_seat *mine)
{
	return wi_load_seq(&core->waitq.overdue) || mine->unlooked++ % SERVE_EVERY == 0;
}

void wi_core_put_pinned(struct wi_core *core, struct wi_seat *mine, uint32_t slot)
{
	if (wi_waitq_is_waited(&core->waitq) && may_serve(core, mine) &&
	    wi_waitq_grant(&core->waitq, slot, true))
		return;
	if (!wi_cache_put_shared(mine, slot)) {
		give_back(core, slot);
		return;
	}
	WI_YIELD("core.put.cached");
	if (!wi_waitq_is_waited(&core->waitq)) {
		count_calm(core);
		return;
	}
	if (is_seen_to(core))
		return;
	slot = wi_cache_take_shared(mine);
	if (slot)
		give_back(core, slot);
}

void wi_core_put_again(struct wi_core *core, struct wi_seat *mine)
{
	uint32_t slot = wi_cache_take_shared(mine);

	if (slot)
		wi_core_put_pinned(core, mine, slot);
}

void wi_core_put(struct wi_core *core, struct wi_seat *mine, uint32_t slot)
{
	bool biased = wi_cache_may_put(&core->bias, mine);

	(void)wi_pin(&core->bias, mine);
	if (wi_unlikely(!biased))
		wi_core_put_pinned(core, mine, slot);
	else if (wi_unlikely(!wi_cache_put(&core->bias, mine, slot)))
		wi_core_put_again(core, mine);
	wi_unpin(mine);
}

void wi_core_shut(struct wi_core *core, uint32_t reason)
{
	wi_store_seq(&core->shut, reason);
	wi_bias_end(&core->bias, WI_BIAS_CLOSED);
	wi_waitq_refuse(&core->waitq, reason);
}

void wi_core_refuse(struct wi_core *core, uint32_t reason)
{
	wi_waitq_refuse(&core->waitq, reason);
}

void wi_core_suspend(struct wi_core *core, uint32_t reason)
{
	uint32_t said = reason;

	wi_store_seq(&core->suspended, reason);
	/* Two at once: who wrote the bit last has seen what was said last. */
	do {
		reason = said;
		wi_bias_suspend(&core->bias, reason != 0);
		said = wi_load_seq(&core->suspended);
	} while (said != reason);
	if (said)
		wi_waitq_refuse(&core->waitq, said);
	core->world->wake(&core->suspended);
}

bool wi_core_await_takes(struct wi_core *core, int64_t deadline_ns)
{
	return wi_pins_await_until(&core->bias, &core->seats, deadline_ns);
}

uint32_t wi_core_waiting(const struct wi_core *core)
{
	return wi_waitq_pending(&core->waitq);
}

/* Whether any cache seems to keep what is wanted. */
static bool is_any_wanted(struct wi_core *core, bool (*wanted)(void *, uint32_t), void *arg)
{
	struct wi_segment *g;

	for (uint32_t i = 0; (g = wi_segment_at(&core->seats, i)); i++)
		for (uint32_t b = 0; b < WI_SEATS_A_SEGMENT; b++) {
			uint32_t slot = wi_load_rlx(&g->seat[b].cached);

			if (slot && wanted(arg, slot))
				return true;
		}
	return false;
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
	/* What `got` gives back at once is met a second time. */
	for (uint32_t n = 2 * wi_load_rlx(&core->table.count); n > 0; n--) {
		uint32_t slot = wi_freelist_pop(&core->list[from], &core->table);

		if (!slot)
			return;
		if (wanted(arg, slot))
			got(arg, slot);
		else
			give_to(core, &core->list[1 - from], slot, false);
	}
}

void wi_core_sweep(struct wi_core *core, bool (*wanted)(void *arg, uint32_t slot),
                   void (*got)(void *arg, uint32_t slot), void *arg)
{
	if (is_any_wanted(core, wanted, arg)) {
		wi_core_revoke(core);
		sweep_caches(core, wanted, got, arg);
		wi_bias_release(&core->bias);
	}
	sweep_list(core, 0, wanted, got, arg);
	sweep_list(core, 1, wanted, got, arg);
}

void wi_core_await_pins(struct wi_core *core)
{
	wi_pins_await(&core->bias, &core->seats);
}

void wi_core_grow(struct wi_core *core, uint32_t count)
{
	/* [slot:R1] publishes the slots as they were made; pairs with A1 A2 A3. */
	wi_store_rel(&core->table.count, count);
}

void wi_core_sums(const struct wi_core *core, uint64_t *lent, uint64_t *returned)
{
	/* [slot:A1] sees each slot as it was made; pairs with R1. */
	uint32_t count = wi_load_acq(&core->table.count);

	*lent = *returned = 0;
	for (uint32_t i = 1; i <= count; i++) {
		/*
		 * [lend:A3] sees what was counted before it was lent, or given back; pairs with R1.
		 */
		uint64_t lend = wi_load_acq(&wi_slot_at(&core->table, i)->lend);

		*lent += wi_lend_lent(lend);
		*returned += wi_lend_returned(lend);
	}
}

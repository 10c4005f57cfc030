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

/* Between the looks of one who was nudged and found others faster: first, and twice each time. */
#define LOOK_AGAIN_NS INT64_C(32000)
/* Of the checkins that find somebody waiting, one in so many looks at the clock. */
#define SERVE_EVERY 16
/* Between the looks of one who is overdue: first, and twice each time, */
#ifndef WI_LOOK_OVERDUE_NS
#define WI_LOOK_OVERDUE_NS INT64_C(100000000)
#endif
/* but however long it has waited, it looks about so often. */
#define LOOK_AT_LEAST_NS INT64_C(500000000)

bool wi_core_init(struct wi_core *core, struct wi_table table, const struct wi_world *world)
{
	wi_check(table.count <= WI_SLOTS_MAX);
	core->table = table;
	core->world = world;
	atomic_init(&core->shut, 0);
	atomic_init(&core->rebias_in, WI_REBIAS_AFTER);
	wi_bias_init(&core->bias, world);
	wi_freelist_init(&core->list[0]);
	wi_freelist_init(&core->list[1]);
	wi_seats_init(&core->seats);
	wi_waitq_init(&core->waitq, &core->seats, world);
	return wi_desk_register(core);
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
	wi_core_fini(core);
	return wi_core_init(core, core->table, core->world);
}

/*
 * From the shared lists only. A sweep moves slots from the first list to the second and back: who
 * has looked into the second looks once more into the first, so as not to miss what moved past him.
 */
static uint32_t pop(struct wi_core *core)
{
	uint32_t slot = wi_freelist_pop(&core->list[0], &core->table);

	if (!slot)
		slot = wi_freelist_pop(&core->list[1], &core->table);
	return slot ? slot : wi_freelist_pop(&core->list[0], &core->table);
}

/* Goes through the seats that have a thread, beginning beside one's own so that thieves spread. */
static uint32_t search(struct wi_core *core, const struct wi_seat *mine,
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

static uint32_t is_filled(struct wi_seat *other)
{
	return wi_cache_is_filled(other);
}

static void revoke(struct wi_core *core)
{
	wi_bias_revoke(&core->bias);
	wi_store_rlx(&core->rebias_in, WI_REBIAS_AFTER);
}

/* From any thread's cache; the bias is revoked only if something seems to be there. */
static uint32_t steal(struct wi_core *core, struct wi_seat *mine)
{
	uint32_t slot;

	if (!search(core, mine, is_filled))
		return WI_SLOT_NONE;
	revoke(core);
	slot = search(core, mine, wi_cache_steal);
	wi_bias_release(&core->bias);
	return slot;
}

uint32_t wi_core_take_pinned(struct wi_core *core, struct wi_seat *mine)
{
	uint32_t slot = wi_cache_take_shared(mine);

	if (!slot)
		slot = pop(core);
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
	return pop(core);
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

/* ---- waiting ---- */

/* What one who waits looks through, while it holds the bias revoked. */
static uint32_t look(struct wi_core *core, struct wi_seat *mine)
{
	uint32_t slot = wi_cache_take_shared(mine);

	if (!slot)
		slot = pop(core);
	return slot ? slot : search(core, mine, wi_cache_steal);
}

static void join_line(struct wi_core *core, struct wi_seat *mine, int64_t now_ns)
{
	wi_waitq_announce(&core->waitq, mine, now_ns);
	WI_YIELD("core.wait.announced");
	revoke(core);
}

static bool is_something_idle(struct wi_core *core)
{
	return !wi_freelist_is_empty(&core->list[0]) || !wi_freelist_is_empty(&core->list[1]) ||
	       search(core, NULL, is_filled);
}

/*
 * While somebody had the token, others were not nudged for what came back: now it is their turn. It
 * may be called with a slot in hand, and takes another one out only where a nudge cannot help. The
 * bias is held.
 */
static void pass_on(struct wi_core *core, struct wi_seat *mine)
{
	uint32_t slot;

	while (is_something_idle(core) && wi_waitq_has_waiter(&core->waitq)) {
		enum wi_nudge nudge = wi_waitq_nudge(&core->waitq);

		if (nudge == WI_NUDGE_NOBODY)
			continue; /* who waited has left, or another has come */
		if (nudge == WI_NUDGE_HELD && wi_waitq_has_overdue(&core->waitq) &&
		    (slot = look(core, mine)))
			wi_core_give(core, slot);
		return;
	}
}

/* had_token: at any time of this wait. */
static void leave_line(struct wi_core *core, struct wi_seat *mine, bool had_token)
{
	bool yielded = wi_waitq_leave(&core->waitq, mine);

	WI_YIELD("core.leave.left");
	if (yielded || had_token)
		pass_on(core, mine);
	wi_bias_release(&core->bias);
}

/*
 * A look found a slot. Withdraw; if something was granted meanwhile, one of the two goes on.
 */
static struct wi_outcome settle(struct wi_core *core, struct wi_seat *mine, uint32_t found)
{
	struct wi_outcome o = {WI_GRANTED, found};

	if (!wi_waitq_cancel(mine) && wi_waitq_outcome(mine).verdict == WI_GRANTED) {
		o = wi_waitq_outcome(mine);
		wi_core_give(core, found);
	}
	return o;
}

/* What one who waits keeps in mind. */
struct vigil {
	int64_t deadline_ns;
	int64_t patience_ns; /* when it may say that it is overdue */
	int64_t until_ns;    /* to sleep, if nothing comes */
	int64_t nap_ns;      /* between looks of its own; doubles with each */
	bool overdue;        /* it has said so */
	bool had_token;      /* at any time of this wait */
	bool slept;
};

static uint32_t nap_and_look(struct wi_core *core, struct wi_seat *mine, int64_t now_ns,
                             struct vigil *v)
{
	v->until_ns = now_ns + v->nap_ns;
	if (v->nap_ns < LOOK_AT_LEAST_NS)
		v->nap_ns *= 2;
	return look(core, mine);
}

/*
 * Its patience has ended: from here on slots are handed to it. It goes on looking now and then
 * nevertheless, as a giver may have been stopped before it could hand over what it pushed.
 */
static uint32_t turn_overdue(struct wi_core *core, struct wi_seat *mine, int64_t now_ns,
                             struct vigil *v)
{
	if (!v->overdue)
		wi_waitq_say_overdue(&core->waitq, mine);
	v->overdue = true;
	WI_YIELD("core.wait.overdue");
	(void)wi_waitq_yield_token(&core->waitq, mine);
	if (v->nap_ns < WI_LOOK_OVERDUE_NS)
		v->nap_ns = WI_LOOK_OVERDUE_NS;
	return nap_and_look(core, mine, now_ns, v);
}

/*
 * One turn of one who waits: looks if it is its turn to look, and says until when to sleep. A slot:
 * found it.
 */
static uint32_t take_turn(struct wi_core *core, struct wi_seat *mine, bool has_token,
                          int64_t now_ns, struct vigil *v)
{
	uint32_t slot = WI_SLOT_NONE;

	v->had_token = v->had_token || has_token;
	if (now_ns >= v->patience_ns)
		return now_ns >= v->until_ns || has_token ? turn_overdue(core, mine, now_ns, v)
		                                          : WI_SLOT_NONE;
	if (has_token) {
		slot = nap_and_look(core, mine, now_ns, v);
		if (!slot && core->on_short)
			core->on_short(core->on_short_arg); /* others were faster */
	}
	if (v->until_ns > v->patience_ns)
		v->until_ns = v->patience_ns;
	return slot;
}

/* Sleeps and looks until served, refused, or out of time (PENDING). */
static struct wi_outcome keep_vigil(struct wi_core *core, struct wi_seat *mine, struct vigil *v)
{
	for (;;) {
		struct wi_outcome o = wi_waitq_outcome(mine);
		/*
		 * What comes after this look wakes: a token that it does not see is not slept on.
		 */
		uint32_t word = wi_waitq_word(mine), found;
		int64_t now_ns;

		now_ns = core->world->now();
		if (o.verdict == WI_GRANTED && v->slept)
			wi_waitq_note_wake(&core->waitq, mine, now_ns);
		if (o.verdict != WI_PENDING || now_ns >= v->deadline_ns)
			return o;
		found = take_turn(core, mine, wi_waitq_word_has_token(word), now_ns, v);
		if (found)
			return settle(core, mine, found);
		v->slept = true;
		wi_waitq_park(&core->waitq, mine, word,
		              v->until_ns < v->deadline_ns ? v->until_ns : v->deadline_ns);
	}
}

/* After announcing: a core that was shut before it could see this waiter refuses it here. */
static bool refused_by_shut(struct wi_core *core, struct wi_seat *mine, struct wi_outcome *o)
{
	uint32_t reason = wi_load_seq(&core->shut);

	if (!reason || !wi_waitq_cancel(mine))
		return false; /* open, or granted or refused already: the vigil says so at once */
	*o = (struct wi_outcome){WI_REFUSED, reason};
	return true;
}

struct wi_outcome wi_core_wait(struct wi_core *core, struct wi_seat *mine, int64_t deadline_ns)
{
	int64_t since_ns = core->world->now();
	int64_t patience_ns = since_ns + wi_waitq_patience(&core->waitq);
	struct vigil v = {.deadline_ns = deadline_ns,
	                  .patience_ns = patience_ns,
	                  .until_ns = patience_ns,
	                  .nap_ns = LOOK_AGAIN_NS};
	struct wi_outcome o;
	uint32_t found;

	join_line(core, mine, since_ns);
	found = look(core, mine);
	if (found) {
		o = settle(core, mine, found);
	} else if (!refused_by_shut(core, mine, &o)) {
		if (core->on_short)
			core->on_short(core->on_short_arg);
		o = keep_vigil(core, mine, &v);
		if (o.verdict == WI_PENDING && !wi_waitq_cancel(mine))
			o = wi_waitq_outcome(mine); /* granted or refused at the last moment */
	}
	leave_line(core, mine, v.had_token);
	if (o.verdict == WI_PENDING && (found = wi_core_take(core, mine)))
		return (struct wi_outcome){WI_GRANTED, found}; /* the last look */
	return o;
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
	for (uint32_t n = 0; n < core->table.count; n++) {
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
		revoke(core);
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

void wi_core_sums(const struct wi_core *core, uint64_t *lent, uint64_t *returned)
{
	*lent = *returned = 0;
	for (uint32_t i = 1; i <= core->table.count; i++) {
		uint64_t lend = wi_load_rlx(&wi_slot_at(&core->table, i)->lend);

		*lent += wi_lend_lent(lend);
		*returned += wi_lend_returned(lend);
	}
}

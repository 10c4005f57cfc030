/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios of the core: who holds what, and the invariants; scene.h lists it. */
#include "sched/scene.h"

#include "base/alloc.h"
#include "core/cache.h"
#include "core/desk.h"
#include "sched/world.h"

struct place {
	struct wi_slot slot;
	uint64_t data; /* what a connection is: plain memory that its holder alone uses */
};

static struct place place[SCENE_SLOTS_MAX + 1];
static int holder[SCENE_SLOTS_MAX + 1]; /* 0: nobody; i + 1: thread i; -1: outside */
static uint32_t slots;
static struct wi_seat *seat[SCHED_FIBRES_MAX];

/* A few of the shortest naps: one that is cut short by a wake doubles the next. */
#define SHORTEST_NAPS_NS 130000

struct wi_core *scene_core;

static void name_words(int threads)
{
	sched_name(&scene_core->bias.word, "bias");
	sched_name(&scene_core->waitq.count, "count");
	sched_name(&scene_core->waitq.token, "token");
	sched_name(&scene_core->waitq.overdue, "overdue");
	sched_name(&scene_core->list[0].head, "list 0");
	sched_name(&scene_core->list[1].head, "list 1");
	for (int i = 0; i < threads; i++) {
		sched_name(&seat[i]->cached, "cached %d", i);
		sched_name(&seat[i]->pin, "pin %d", i);
		sched_name(&seat[i]->word, "word %d", i);
	}
}

void scene_make(uint32_t n, int threads)
{
	struct wi_table table = {(char *)place, sizeof(struct place), n};

	slots = n;
	scene_core = wi_alloc_aligned(sizeof(*scene_core), 64);
	sched_check(wi_core_init(scene_core, table, &sched_world));
	for (uint32_t s = 1; s <= n; s++)
		holder[s] = -1;
	for (int i = 0; i < threads; i++) {
		sched_act_as(i);
		seat[i] = wi_desk_seat(scene_core);
	}
	sched_act_as(-1);
	name_words(threads);
}

void scene_without_membarrier(void)
{
	sched_lose_membarrier(0);
}

struct wi_seat *scene_seat(void)
{
	return wi_desk_seat(scene_core);
}

struct wi_seat *scene_seat_of(int i)
{
	return seat[i];
}

void scene_cache(int i, uint32_t slot)
{
	holder[slot] = 0;
	wi_core_put(scene_core, seat[i], slot);
	sched_check(wi_load_rlx(&seat[i]->cached) == slot);
}

void scene_list(uint32_t slot)
{
	holder[slot] = 0;
	wi_core_give(scene_core, slot);
}

void scene_hold(uint32_t slot)
{
	sched_check(slot >= 1 && slot <= slots);
	if (holder[slot])
		sched_fail("slot %u is held twice", slot);
	holder[slot] = sched_self() + 1;
	sched_use(&place[slot].data, "a slot");
	sched_note("holds %u", slot);
}

void scene_let(uint32_t slot)
{
	sched_check(holder[slot] == sched_self() + 1);
	sched_use(&place[slot].data, "a slot");
	holder[slot] = 0;
}

uint32_t scene_take(void)
{
	uint32_t slot = wi_core_take(scene_core, scene_seat());

	if (slot)
		scene_hold(slot);
	return slot;
}

uint32_t scene_wait(int64_t deadline_ns)
{
	struct wi_outcome o = wi_core_wait(scene_core, scene_seat(), deadline_ns);

	if (o.verdict != WI_GRANTED)
		return 0;
	scene_hold(o.value);
	return o.value;
}

uint32_t scene_get(int64_t deadline_ns)
{
	uint32_t slot = scene_take();

	return slot ? slot : scene_wait(deadline_ns);
}

void scene_put(uint32_t slot)
{
	scene_let(slot);
	wi_core_put(scene_core, scene_seat(), slot);
}

void scene_give(uint32_t slot)
{
	scene_let(slot);
	wi_core_give(scene_core, slot);
}

static void fetch(uint32_t slot)
{
	sched_check(holder[slot] == -1);
	holder[slot] = sched_self() + 1;
	sched_use(&place[slot].data, "a slot");
}

void scene_bring(uint32_t slot)
{
	fetch(slot);
	scene_give(slot);
}

void scene_bring_to_cache(uint32_t slot)
{
	fetch(slot);
	scene_put(slot);
}

void scene_bring_all(void)
{
	for (uint32_t s = 1; s <= slots; s++)
		if (holder[s] == -1)
			scene_bring(s);
}

void scene_outside(uint32_t slot)
{
	scene_hold(slot);
	holder[slot] = -1;
}

void scene_hand_out(uint32_t slot)
{
	sched_check(!holder[slot]);
	holder[slot] = -1;
}

bool scene_all_outside(void)
{
	for (uint32_t s = 1; s <= slots; s++)
		if (holder[s] != -1)
			return false;
	return true;
}

/* ---- what has to be true ---- */

static void found(int *times, uint32_t slot, const char *where)
{
	if (slot < 1 || slot > slots)
		sched_fail("%s: slot %u does not exist", where, slot);
	times[slot]++;
}

static void look_into_lists(int *times)
{
	for (int l = 0; l < 2; l++) {
		uint32_t slot = (uint32_t)(wi_load_rlx(&scene_core->list[l].head) & WI_SLOTS_MAX);

		for (uint32_t n = 0; slot; n++) {
			if (n > slots)
				sched_fail("a free list has a circle");
			found(times, slot, "free list");
			slot = wi_load_rlx(&place[slot].slot.next);
		}
	}
}

static void look_into_caches(int *times)
{
	struct wi_segment *g;

	for (uint32_t i = 0; (g = wi_segment_at(&scene_core->seats, i)); i++) {
		for (uint32_t b = 0; b < WI_SEATS_A_SEGMENT; b++) {
			uint32_t slot = wi_load_rlx(&g->seat[b].cached);

			if (slot)
				found(times, slot, "cache");
		}
	}
}

int scene_idle(void)
{
	int times[SCENE_SLOTS_MAX + 1] = {0}, n = 0;

	look_into_lists(times);
	look_into_caches(times);
	for (uint32_t s = 1; s <= slots; s++)
		n += times[s];
	return n;
}

void scene_conserved(void)
{
	int times[SCENE_SLOTS_MAX + 1] = {0};
	uint32_t missing = 0;

	look_into_lists(times);
	look_into_caches(times);
	for (uint32_t s = 1; s <= slots; s++) {
		times[s] += holder[s] != 0;
		if (times[s] > 1)
			sched_fail("slot %u is in %d places", s, times[s]);
		missing += !times[s];
	}
	/*
	 * Who is stopped for good keeps what is in its hands: its own, and one that it passes on.
	 */
	if (missing > (sched_anybody_stopped() ? 2 : 0))
		sched_fail("%u slots are lost", missing);
	if (!sched_anybody_stopped())
		sched_check(!wi_waitq_is_waited(&scene_core->waitq));
}

void scene_others_went_on(void)
{
	int idle = scene_idle();

	scene_conserved();
	for (int i = 0; i < SCHED_FIBRES_MAX; i++)
		if (seat[i] && sched_is_stopped(i) && wi_load_rlx(&seat[i]->cached) &&
		    wi_pin_is(wi_load_rlx(&seat[i]->pin)) == WI_PIN_TAKING)
			idle--;
	for (int i = 0; i < SCHED_FIBRES_MAX; i++)
		if (sched_is_asleep(i) && idle > 0)
			sched_fail("somebody sleeps for ever beside an idle slot");
}

/*
 * Whether a waiter is on its way: awake; or it was told to look, found nothing, and naps for a
 * while before it looks again. Its naps begin short, and none is much longer than what it has
 * waited. Who sleeps past his patience beside an idle slot should have been handed it.
 */
static bool looks_again(const struct wi_seat *waiter, int64_t announced_ns)
{
	int64_t since_ns, until_ns;

	if (!sched_sleeps_on(&waiter->word, &since_ns, &until_ns))
		return true;
	if (since_ns - announced_ns >= WI_PATIENCE_NS)
		sched_fail("somebody who is overdue sleeps beside an idle slot");
	return until_ns - since_ns <= since_ns - announced_ns + SHORTEST_NAPS_NS;
}

static bool somebody_else_has_the_token;

static void check_awake_if_served(const struct wi_seat *waiter)
{
	int64_t since_ns, until_ns;

	if (wi_waitq_outcome(waiter).verdict != WI_PENDING &&
	    sched_sleeps_on(&waiter->word, &since_ns, &until_ns))
		sched_fail("somebody sleeps though he was served");
}

void scene_nobody_forgotten(void)
{
	struct wi_segment *g;
	bool somebody_looks = false;

	for (uint32_t i = 0; (g = wi_segment_at(&scene_core->seats, i)); i++)
		for (uint32_t b = 0; b < WI_SEATS_A_SEGMENT; b++)
			if (wi_load_rlx(&g->waiting) >> b & 1)
				check_awake_if_served(&g->seat[b]);
	if (!wi_core_waiting(scene_core) || !scene_idle())
		return;
	for (uint32_t i = 0; (g = wi_segment_at(&scene_core->seats, i)); i++)
		for (uint32_t b = 0; b < WI_SEATS_A_SEGMENT; b++)
			if (wi_load_rlx(&g->waiting) >> b & 1)
				somebody_looks |=
					looks_again(&g->seat[b], wi_load_rlx(&g->since[b]));
	if (!somebody_looks && !somebody_else_has_the_token)
		sched_fail("somebody sleeps beside an idle slot");
}

void scene_nobody_overdue_forgotten(void)
{
	somebody_else_has_the_token = true;
	scene_nobody_forgotten();
}

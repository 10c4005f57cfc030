/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who waits against who brings back: no wakeup is lost, no slot is dropped, nobody is passed over
 * for ever, whoever is stopped wherever.
 */
#include "base/clock.h"
#include "sched/scene.h"

#define LONG_NS (20 * WI_MS)

/* ---- what the threads do ---- */

static void get_put(void)
{
	uint32_t slot = scene_get(WI_FOREVER);

	sched_check(slot);
	scene_put(slot);
}

static void take_put(void)
{
	uint32_t slot = scene_take();

	if (slot)
		scene_put(slot);
}

static void take_put_twice(void)
{
	take_put();
	take_put();
}

static void get_briefly_put(void)
{
	uint32_t slot = scene_get(sched_now() + 100000);

	if (slot)
		scene_put(slot);
}

/* Long enough to be overdue. */
static void get_patiently_put(void)
{
	uint32_t slot = scene_get(sched_now() + 600000);

	if (slot)
		scene_put(slot);
}

static void get_give(void)
{
	uint32_t slot = scene_get(WI_FOREVER);

	sched_check(slot);
	scene_give(slot);
}

/* Holds until somebody who waits is overdue. */
static void get_hold_put(void)
{
	uint32_t slot = scene_get(WI_FOREVER);

	sched_check(slot);
	sched_sleep_until(sched_now() + WI_MS);
	scene_put(slot);
}

static void get_twice(void)
{
	get_put();
	get_put();
}

/* Brings slots from outside, as the keeper does. */
static void bring_one(void)
{
	scene_bring(1);
}

static void bring_two(void)
{
	scene_bring(1);
	scene_bring(2);
}

static void put_two(void)
{
	scene_bring_to_cache(1);
	scene_bring_to_cache(2);
}

static void put_one(void)
{
	scene_bring_to_cache(1);
}

static void wait_hold(void)
{
	sched_check(scene_wait(WI_FOREVER));
}

static void bring_late(void)
{
	sched_sleep_until(sched_now() + WI_MS);
	scene_bring(1);
}

static void refuse(void)
{
	wi_core_refuse(scene_core, 7);
}

static void shut(void)
{
	wi_core_shut(scene_core, 7);
}

/* Waits to be refused, or to get one. */
static void get_or_be_refused(void)
{
	uint32_t slot = scene_take();
	struct wi_outcome o;

	if (!slot) {
		o = wi_core_wait(scene_core, scene_seat(), WI_FOREVER);
		sched_check(o.verdict == WI_GRANTED || (o.verdict == WI_REFUSED && o.value == 7));
		slot = o.verdict == WI_GRANTED ? o.value : 0;
		if (slot)
			scene_hold(slot);
	}
	if (slot)
		scene_put(slot);
}

/* ---- how they begin ---- */

static void one_listed(void)
{
	scene_make(1, 4);
	scene_list(1);
}

static void one_in_cache(void)
{
	scene_make(1, 4);
	scene_cache(0, 1);
}

static void none(void)
{
	scene_make(2, 4);
}

/* A thread that is not here was stopped when it had just taken the token, to give it to another. */
static void token_with_somebody_stopped(void)
{
	none();
	wi_store_rlx(&scene_core->waitq.token, 1);
}

static void two_listed(void)
{
	scene_make(2, 4);
	scene_list(1);
	scene_list(2);
}

#define USUAL .at_rest = scene_nobody_forgotten, .at_end = scene_conserved

static const struct sched_scenario scenarios[] = {
	{
		.name = "put_against_wait",
		.set_up = one_listed,
		.thread = {{"A", get_put}, {"B", get_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 2, .wakes = 1, .total = 3},
		.random = 5000,
	},
	{
		.name = "warm_put_against_wait",
		.set_up = one_in_cache,
		.thread = {{"A", take_put_twice}, {"B", get_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 2, .total = 3},
		.random = 5000,
	},
	{
		.name = "give_against_wait",
		.set_up = none,
		.thread = {{"A", bring_one}, {"B", get_give}},
		USUAL,
		.bounds = {.switches = 3, .looks = 2, .wakes = 1, .total = 4},
		.random = 5000,
	},
	{
		.name = "deadline_against_grant",
		.set_up = one_listed,
		.thread = {{"A", get_put}, {"B", get_briefly_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 2, .ticks = 1, .total = 3},
		.random = 5000,
	},
	{
		.name = "late_deadline_against_grant",
		.set_up = none,
		.thread = {{"A", bring_late}, {"B", get_patiently_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 2, .ticks = 2, .total = 3},
		.random = 5000,
	},
	{
		.name = "overdue_is_granted",
		.set_up = one_listed,
		.thread = {{"A", get_hold_put}, {"B", get_put}, {"C", take_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 1, .ticks = 1, .total = 2},
		.random = 20000,
	},
	{
		.name = "two_wait_two_come",
		.set_up = none,
		.thread = {{"A", bring_two}, {"B", get_put}, {"C", get_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 1, .total = 2},
		.random = 20000,
	},
	{
		.name = "two_wait_one_comes",
		.set_up = none,
		.thread = {{"A", bring_one}, {"B", get_put}, {"C", get_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 1, .total = 2},
		.random = 20000,
	},
	{
		.name = "two_wait_two_are_put",
		.set_up = none,
		.thread = {{"A", put_two}, {"B", get_put}, {"C", get_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 1, .ticks = 1, .total = 2},
		.random = 20000,
	},
	{
		.name = "who_leaves_passes_the_token_on",
		.set_up = none,
		.thread = {{"A", put_two}, {"B", get_hold_put}, {"C", get_hold_put}},
		USUAL,
		.bounds = {.switches = 1, .looks = 1, .total = 1},
		.random = 20000,
	},
	{
		.name = "one_leaves_two_come",
		.set_up = none,
		.thread = {{"A", bring_two}, {"B", get_briefly_put}, {"C", get_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 1, .ticks = 1, .total = 2},
		.random = 20000,
	},
	{
		.name = "overdue_beside_the_token",
		.set_up = one_in_cache,
		.thread = {{"A", take_put_twice}, {"B", get_put}, {"C", get_put}},
		USUAL,
		.bounds = {.switches = 2, .ticks = 2, .total = 3},
		.most = 50000,
		.random = 50000,
	},
	{
		.name = "overdue_while_a_stopped_giver_has_the_token",
		.set_up = token_with_somebody_stopped,
		.thread = {{"A", put_one}, {"B", wait_hold}},
		.at_rest = scene_nobody_overdue_forgotten,
		.bounds = {.switches = 2, .looks = 1, .ticks = 1, .total = 4},
		.random = 5000,
	},
	{
		.name = "refuse_against_wait",
		.set_up = none,
		.thread = {{"A", bring_one}, {"B", get_or_be_refused}, {"C", refuse}},
		USUAL,
		.bounds = {.switches = 2, .looks = 1, .total = 2},
		.random = 10000,
	},
	{
		.name = "shut_against_wait",
		.set_up = none,
		.thread = {{"A", shut}, {"B", get_or_be_refused}},
		USUAL,
		.bounds = {.switches = 3, .looks = 2, .total = 3},
		.random = 5000,
	},
	{
		.name = "many_by_chance",
		.set_up = two_listed,
		.thread = {{"A", get_twice},
                           {"B", get_twice},
                           {"C", get_patiently_put},
                           {"D", take_put_twice},
                           {"E", get_briefly_put}},
		USUAL,
		.bounds = {.switches = 1, .total = 1, .wakes = 1},
		.random = 100000,
	},
	{.name = NULL},
};

int main(int argc, char **argv)
{
	return sched_main(argc, argv, scenarios);
}

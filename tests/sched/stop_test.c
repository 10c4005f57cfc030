/* SPDX-License-Identifier: BSD-2-Clause */
/* A thread that is stopped for good, anywhere, keeps the others from nothing but what it holds. */
#include "base/clock.h"
#include "sched/scene.h"

static int64_t brought_ns;

/*
 * Waits for as long as it takes, but for what a stopped thread keeps. What others have is theirs
 * for no time here, so whoever gets one gets it at once, or by his first look of his own after his
 * patience, or by the second: when he has waited twice as long.
 */
static void get_put(void)
{
	int64_t began_ns = sched_now();
	uint32_t slot = scene_get(began_ns + 20 * WI_MS);

	if (!slot) {
		sched_check(sched_anybody_stopped());
		return;
	}
	sched_check(sched_hurried() || sched_now() - began_ns <= 2 * WI_PATIENCE_NS + 10000);
	scene_put(slot);
}

/* Gets one of what was brought no later than its patience after that. */
static void get_in_time(void)
{
	int64_t began_ns = sched_now(), from_ns;
	uint32_t slot = scene_get(began_ns + 20 * WI_MS);

	if (!slot) {
		sched_check(sched_anybody_stopped());
		return;
	}
	from_ns = brought_ns > began_ns ? brought_ns : began_ns;
	sched_check(sched_hurried() || sched_now() - from_ns <= WI_PATIENCE_NS + 1000);
	scene_put(slot);
}

static void bring_two(void)
{
	scene_bring(1);
	scene_bring(2);
	brought_ns = sched_now();
}

static void take_put_twice(void)
{
	for (int i = 0; i < 2; i++) {
		uint32_t slot = scene_take();

		if (slot)
			scene_put(slot);
	}
}

static void outside(void)
{
	scene_make(2, 3);
}

static void cached_and_listed(void)
{
	scene_make(2, 3);
	scene_cache(0, 1);
	scene_list(2);
}

static void in_cache_of_a(void)
{
	scene_make(1, 3);
	scene_cache(0, 1);
}

static const struct sched_scenario scenarios[] = {
	{
		.name = "waiter_stopped",
		.set_up = outside,
		.thread = {{"A", bring_two}, {"B", get_put}, {"C", get_in_time}},
		.at_end = scene_others_went_on,
		.bounds = {.switches = 1, .stops = 1, .total = 2},
		.stoppable = 1 << 1,
	},
	{
		.name = "giver_stopped",
		.set_up = outside,
		.thread = {{"A", bring_two}, {"B", get_put}, {"C", get_put}},
		.at_end = scene_others_went_on,
		.bounds = {.switches = 1, .stops = 1, .total = 2},
		.stoppable = 1 << 0,
	},
	{
		.name = "owner_stopped",
		.set_up = cached_and_listed,
		.thread = {{"A", take_put_twice}, {"B", get_put}, {"C", get_put}},
		.at_end = scene_others_went_on,
		.bounds = {.switches = 1, .stops = 1, .total = 2},
		.stoppable = 1 << 0,
	},
	{
		.name = "thief_stopped",
		.set_up = in_cache_of_a,
		.thread = {{"A", take_put_twice}, {"B", get_put}, {"C", get_put}},
		.at_end = scene_others_went_on,
		.bounds = {.switches = 1, .stops = 1, .total = 2},
		.stoppable = 1 << 1,
	},
	{.name = NULL},
};

int main(int argc, char **argv)
{
	return sched_main(argc, argv, scenarios);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owners of caches against thieves, sweeps and their own end: a slot is in one place, and who looks
 * everywhere finds what is there. Each with and without membarrier.
 */
#include "base/clock.h"
#include "core/desk.h"
#include "sched/scene.h"

/* ---- what the threads do ---- */

static void take_put(void)
{
	uint32_t slot = scene_take();

	if (slot)
		scene_put(slot);
}

static void take(void)
{
	(void)scene_take();
}

static void wait_put(void)
{
	scene_put(scene_wait(WI_FOREVER));
}

static void take_put_twice(void)
{
	take_put();
	take_put();
}

static void take_put_thrice(void)
{
	take_put();
	take_put();
	take_put();
}

static void get_put(void)
{
	uint32_t slot = scene_get(WI_FOREVER);

	sched_check(slot);
	scene_put(slot);
}

static void take_two_put_reversed(void)
{
	uint32_t first = scene_take(), other = scene_take();

	if (other)
		scene_put(other);
	if (first)
		scene_put(first);
}

static void put_what_was_brought(void)
{
	scene_bring_to_cache(1);
}

static void put_two(void)
{
	scene_bring_to_cache(1);
	scene_bring_to_cache(2);
}

static void take_put_exit(void)
{
	take_put();
	sched_thread_exit();
}

static bool all(void *arg, uint32_t slot)
{
	(void)arg;
	(void)slot;
	return true;
}

static bool second(void *arg, uint32_t slot)
{
	(void)arg;
	return slot == 2;
}

static void got(void *arg, uint32_t slot)
{
	(void)arg;
	scene_outside(slot);
}

static void sweep_all(void)
{
	wi_core_sweep(scene_core, all, got, NULL);
}

static void got_second(void *arg, uint32_t slot)
{
	sched_check(second(arg, slot));
	scene_outside(slot);
}

static void sweep_second(void)
{
	wi_core_sweep(scene_core, second, got_second, NULL);
}

/* Takes what it swept in again, as a resize does that was undone. */
static void sweep_and_bring(void)
{
	wi_core_sweep(scene_core, all, got, NULL);
	scene_bring_all();
}

/* ---- how they begin ---- */

static void in_cache_of_a(void)
{
	scene_make(1, 3);
	scene_cache(0, 1);
}

/* The third thread takes a seat of its own: the first one's, if that has been left. */
static void in_cache_of_first_two(void)
{
	scene_make(1, 2);
	scene_cache(0, 1);
}

static void in_two_caches(void)
{
	scene_make(2, 3);
	scene_cache(0, 1);
	scene_cache(1, 2);
}

static void second_cached_first_listed(void)
{
	scene_make(2, 3);
	scene_cache(0, 2);
	scene_list(1);
}

static void cached_and_listed(void)
{
	scene_make(2, 3);
	scene_cache(0, 1);
	scene_list(2);
}

static void outside(void)
{
	scene_make(2, 3);
}

static void outside_one_seat(void)
{
	scene_make(1, 1);
}

static void without(void (*begin)(void))
{
	scene_without_membarrier();
	begin();
}

static void in_cache_of_a_without(void)
{
	without(in_cache_of_a);
}

static void in_two_caches_without(void)
{
	without(in_two_caches);
}

static void outside_one_seat_without(void)
{
	without(outside_one_seat);
}

static void outside_without(void)
{
	without(outside);
}

/* membarrier was there at the start, and is not when it is wanted. */
static void in_cache_of_a_lost(void)
{
	in_cache_of_a();
	scene_without_membarrier();
}

#define USUAL .at_rest = scene_nobody_forgotten, .at_end = scene_conserved

static const struct sched_scenario scenarios[] = {
	{
		.name = "take_against_steal",
		.set_up = in_cache_of_a,
		.thread = {{"A", take_put_twice}, {"B", take_put}},
		USUAL,
		.bounds = {.switches = 3, .looks = 2, .total = 3},
		.random = 5000,
	},
	{
		.name = "take_against_steal_without_membarrier",
		.set_up = in_cache_of_a_without,
		.thread = {{"A", take_put_twice}, {"B", take_put}},
		USUAL,
		.bounds = {.switches = 3, .looks = 2, .total = 3},
		.random = 5000,
	},
	{
		.name = "take_against_two_thieves",
		.set_up = in_cache_of_a,
		.thread = {{"A", take_put_twice}, {"B", take_put}, {"C", take_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 1, .total = 2},
		.random = 20000,
	},
	{
		.name = "one_thief_trusts_the_fence_of_another",
		.set_up = in_cache_of_a,
		.thread = {{"A", take_put}, {"B", take}, {"C", take}},
		.at_end = scene_conserved,
		.bounds = {.switches = 2, .looks = 1, .total = 3},
		.most = 400000,
	},
	{
		.name = "put_among_two_waiters",
		.set_up = outside,
		.thread = {{"A", put_what_was_brought}, {"B", wait_put}, {"C", wait_put}},
		USUAL,
		.bounds = {.switches = 2, .total = 2},
		.random = 200000,
	},
	{
		.name = "a_thread_that_has_just_come_puts",
		.set_up = outside_one_seat,
		.thread = {{"B", get_put}, {"A", put_what_was_brought}},
		USUAL,
		.bounds = {.switches = 2, .looks = 2, .total = 3},
		.random = 5000,
	},
	{
		.name = "a_thread_that_has_just_come_puts_without_membarrier",
		.set_up = outside_one_seat_without,
		.thread = {{"B", get_put}, {"A", put_what_was_brought}},
		USUAL,
		.bounds = {.switches = 2, .looks = 2, .total = 3},
		.random = 5000,
	},
	{
		.name = "two_owners_two_waiters_rob_each_other",
		.set_up = in_two_caches,
		.thread = {{"A", get_put}, {"B", get_put}, {"C", get_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 1, .total = 2},
		.random = 20000,
	},
	{
		.name = "put_against_steal",
		.set_up = outside,
		.thread = {{"A", put_two}, {"B", get_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 2, .total = 3},
		.random = 5000,
	},
	{
		.name = "put_against_wait_without_membarrier",
		.set_up = outside_without,
		.thread = {{"A", put_what_was_brought}, {"B", get_put}},
		USUAL,
		.bounds = {.switches = 3, .looks = 2, .total = 3},
		.random = 5000,
	},
	{
		.name = "waiters_without_membarrier",
		.set_up = in_two_caches_without,
		.thread = {{"A", get_put}, {"B", get_put}, {"C", get_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 1, .total = 2},
		.random = 20000,
	},
	{
		.name = "membarrier_is_lost",
		.set_up = in_cache_of_a_lost,
		.thread = {{"A", take_put_twice}, {"B", get_put}},
		USUAL,
		.bounds = {.switches = 1, .looks = 2, .total = 3},
	},
	{
		.name = "bias_comes_back",
		.set_up = in_cache_of_a,
		.thread = {{"A", take_put_thrice}, {"B", take_put_twice}},
		USUAL,
		.bounds = {.switches = 3, .looks = 1, .total = 3},
		.random = 20000,
	},
	{
		.name = "bias_comes_back_among_three",
		.set_up = in_two_caches,
		.thread = {{"A", take_put_twice}, {"B", take_put_twice}, {"C", take_put_twice}},
		USUAL,
		.bounds = {.switches = 2, .looks = 1, .total = 2},
		.random = 50000,
	},
	{
		.name = "exit_against_wait",
		.set_up = in_cache_of_a,
		.thread = {{"A", take_put_exit}, {"B", get_put}},
		USUAL,
		.bounds = {.switches = 3, .looks = 2, .total = 3},
		.random = 5000,
	},
	{
		.name = "exit_against_steal_and_next_thread",
		.set_up = in_cache_of_first_two,
		.thread = {{"A", take_put_exit}, {"B", get_put}, {"C", take_put_exit}},
		USUAL,
		.bounds = {.switches = 2, .looks = 1, .total = 2},
		.random = 20000,
	},
	{
		.name = "sweep_against_take",
		.set_up = cached_and_listed,
		.thread = {{"A", take_put_twice}, {"keeper", sweep_all}},
		USUAL,
		.bounds = {.switches = 3, .looks = 2, .total = 3},
		.random = 5000,
	},
	{
		.name = "sweep_hides_nothing",
		.set_up = cached_and_listed,
		.thread = {{"A", get_put}, {"keeper", sweep_second}, {"C", get_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 1, .total = 2},
		.random = 20000,
	},
	{
		.name = "sweep_takes_only_what_it_wants",
		.set_up = second_cached_first_listed,
		.thread = {{"A", take_two_put_reversed}, {"keeper", sweep_second}},
		USUAL,
		.bounds = {.switches = 3, .looks = 1, .total = 3},
		.random = 5000,
	},
	{
		.name = "sweep_and_bring_against_wait",
		.set_up = cached_and_listed,
		.thread = {{"A", get_put}, {"keeper", sweep_and_bring}, {"C", get_put}},
		USUAL,
		.bounds = {.switches = 2, .looks = 1, .total = 2},
		.random = 20000,
	},
	{.name = NULL},
};

int main(int argc, char **argv)
{
	return sched_main(argc, argv, scenarios);
}

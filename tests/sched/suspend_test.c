/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A core that is suspended and resumed under its users: what was said last holds, and who slept
 * meanwhile, or was sent out of the line, is forgotten by nobody.
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "core/desk.h"
#include "sched/scene.h"

#define WAIT 4
#define FAIL 5

static void suspend_and_resume(void)
{
	wi_core_suspend(scene_core, WAIT);
	wi_core_suspend(scene_core, 0);
}

static void suspend_otherwise(void)
{
	wi_core_suspend(scene_core, FAIL);
}

/* As the pool's slow path: sleeps while it is suspended, and looks again when it has a slot. */
static void get_put(void)
{
	for (;;) {
		uint32_t how = wi_load_seq(&scene_core->suspended), slot;
		struct wi_outcome o;

		if (how) {
			scene_core->world->park(&scene_core->suspended, how, WI_FOREVER);
			continue;
		}
		slot = wi_core_take(scene_core, scene_seat());
		if (!slot) {
			o = wi_core_wait(scene_core, scene_seat(), WI_FOREVER);
			if (o.verdict == WI_REFUSED)
				continue;
			sched_check(o.verdict == WI_GRANTED);
			slot = o.value;
		}
		scene_hold(slot);
		if (!wi_load_seq(&scene_core->suspended)) {
			scene_put(slot);
			return;
		}
		scene_give(slot);
	}
}

static void bring_one(void)
{
	scene_bring(1);
}

static void outside(void)
{
	scene_make(1, 3);
}

static void in_cache_of_a(void)
{
	scene_make(1, 2);
	scene_cache(0, 1);
}

/* The bit says what the word says, whoever was last. */
static void they_agree(void)
{
	bool said = wi_load_rlx(&scene_core->suspended) != 0;

	scene_conserved();
	sched_check(said == !!(wi_load_rlx(&scene_core->bias.word) & WI_BIAS_SUSPENDED));
}

static void nobody_is_forgotten(void)
{
	they_agree();
	sched_check(!wi_load_rlx(&scene_core->suspended));
	sched_check(scene_idle() == 1);
}

static const struct sched_scenario scenarios[] = {
	{
		.name = "two_operators",
		.set_up = in_cache_of_a,
		.thread = {{"A", suspend_and_resume}, {"B", suspend_otherwise}},
		.at_end = they_agree,
		.bounds = {.switches = 4, .total = 4},
	},
	{
		.name = "owner_against_operator",
		.set_up = in_cache_of_a,
		.thread = {{"A", get_put}, {"B", suspend_and_resume}},
		.at_end = nobody_is_forgotten,
		.bounds = {.switches = 4, .total = 4},
	},
	{
		.name = "waiter_against_operator_and_giver",
		.set_up = outside,
		.thread = {{"A", get_put}, {"B", suspend_and_resume}, {"C", bring_one}},
		.at_end = nobody_is_forgotten,
		.bounds = {.switches = 3, .total = 3},
	},
	{.name = NULL},
};

int main(int argc, char **argv)
{
	return sched_main(argc, argv, scenarios);
}

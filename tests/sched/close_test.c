/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A core is closed and freed while threads take, put, wait, come and end; and what pinned readers
 * read is written anew once their pins have moved on. Threads behave as the pool's do: who finds
 * the core closed touches nothing but its pin, and hands what it holds to the closer.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/desk.h"
#include "sched/scene.h"

static bool gone; /* nobody begins anything any more */

static uint32_t take(void)
{
	struct wi_core *core = scene_core;
	struct wi_seat *seat = scene_seat();
	uint32_t slot;

	sched_undivided(2); /* the call has begun when its pin is there */
	slot = wi_cache_take(&core->bias, seat);
	if (!slot) {
		if (wi_pin(&core->bias, seat))
			slot = wi_core_take_pinned(core, seat);
		wi_unpin(seat);
	}
	if (slot)
		scene_hold(slot);
	return slot;
}

static void put(uint32_t slot)
{
	struct wi_core *core = scene_core;
	struct wi_seat *seat = scene_seat();
	bool open = wi_pin(&core->bias, seat);

	scene_let(slot);
	if (open)
		wi_core_put_pinned(core, seat, slot);
	else
		scene_hand_out(slot);
	wi_unpin(seat);
}

/* As a checkin that was lent to this thread, while the caches are biased. */
static void put_warm(uint32_t slot)
{
	struct wi_core *core = scene_core;
	struct wi_seat *seat = scene_seat();

	if (!wi_cache_may_put(&core->bias, seat)) {
		put(slot);
		return;
	}
	(void)wi_pin(&core->bias, seat);
	scene_let(slot);
	if (!wi_cache_put(&core->bias, seat, slot))
		wi_core_put_again(core, seat);
	wi_unpin(seat);
}

static void take_put(void)
{
	uint32_t slot = gone ? 0 : take();

	if (slot)
		put_warm(slot);
}

static void take_put_twice(void)
{
	take_put();
	take_put();
}

static void take_put_exit(void)
{
	take_put();
	if (!gone)
		sched_undivided(1);
	sched_thread_exit();
}

/* Counted inside, as the pool's waiters are: the closer waits for the count. */
static int inside;

static bool nobody_inside(void *arg)
{
	(void)arg;
	return inside == 0;
}

static void wait_put(void)
{
	struct wi_outcome o;

	if (gone)
		return;
	inside++;
	o = wi_core_wait(scene_core, scene_seat(), WI_FOREVER);
	sched_check(o.verdict == WI_GRANTED || o.verdict == WI_REFUSED);
	if (o.verdict == WI_GRANTED) {
		scene_hold(o.value);
		put(o.value);
	}
	inside--;
}

static bool all(void *arg, uint32_t slot)
{
	(void)arg;
	(void)slot;
	return true;
}

static void got(void *arg, uint32_t slot)
{
	(void)arg;
	scene_outside(slot);
}

static void close_and_free(void)
{
	struct wi_core *core = scene_core;

	wi_core_shut(core, 7);
	for (;;) {
		wi_core_sweep(core, all, got, NULL);
		if (scene_all_outside())
			break;
		sched_sleep_until(sched_now() + 20 * WI_MS);
	}
	sched_await(nobody_inside, NULL);
	/*
	 * A call that began now would have nothing to stand on. Those that have begun have had the
	 * time for their first store to become visible.
	 */
	gone = true;
	sched_settle();
	wi_core_fini(core);
	wi_free(core, sizeof(*core));
	sched_note("the core is freed");
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

static void in_cache_of_a_without(void)
{
	scene_without_membarrier();
	in_cache_of_a();
}

static void everything_outside(void)
{
	sched_check(gone && scene_all_outside());
}

/* ---- pinned readers ---- */

struct version {
	int readers;
	bool being_written;
};

static struct version version[2];
static _Atomic(struct version *) published;

static void read_pinned(void)
{
	struct wi_seat *seat = scene_seat();
	struct version *v;

	sched_check(wi_pin(&scene_core->bias, seat));
	v = wi_load_seq(&published);
	if (v->being_written)
		sched_fail("a reader reads what is being written");
	v->readers++;
	sched_pause();
	v->readers--;
	wi_unpin(seat);
}

static void read_pinned_twice(void)
{
	read_pinned();
	read_pinned();
}

static void replace(void)
{
	struct version *now = wi_load_acq(&published),
		       *next = now == &version[0] ? &version[1] : &version[0];

	wi_store_rel(&published, next);
	wi_core_await_pins(scene_core);
	if (now->readers)
		sched_fail("what a reader reads is written");
	now->being_written = true;
	sched_pause();
	now->being_written = false;
}

static void replace_twice(void)
{
	replace();
	replace();
}

static void publish_first(void)
{
	scene_make(1, 3);
	atomic_init(&published, &version[0]);
}

static void publish_first_without(void)
{
	scene_without_membarrier();
	publish_first();
}

static const struct sched_scenario scenarios[] = {
	{
		.name = "close_against_take_and_put",
		.set_up = in_cache_of_a,
		.thread = {{"A", take_put_twice}, {"closer", close_and_free}},
		.at_end = everything_outside,
		.bounds = {.switches = 3, .looks = 2, .total = 3},
		.random = 10000,
	},
	{
		.name = "close_against_take_and_put_without_membarrier",
		.set_up = in_cache_of_a_without,
		.thread = {{"A", take_put_twice}, {"closer", close_and_free}},
		.at_end = everything_outside,
		.bounds = {.switches = 3, .looks = 2, .total = 3},
		.random = 10000,
	},
	{
		.name = "close_against_wait",
		.set_up = in_cache_of_a,
		.thread = {{"A", take_put}, {"B", wait_put}, {"closer", close_and_free}},
		.at_end = everything_outside,
		.bounds = {.switches = 2, .looks = 1, .total = 2},
		.random = 20000,
	},
	{
		.name = "close_against_exit",
		.set_up = cached_and_listed,
		.thread = {{"A", take_put_exit}, {"B", take_put}, {"closer", close_and_free}},
		.at_end = everything_outside,
		.bounds = {.switches = 2, .looks = 1, .total = 2},
		.random = 20000,
	},
	{
		.name = "pinned_readers_against_writer",
		.set_up = publish_first,
		.thread = {{"A", read_pinned_twice}, {"B", read_pinned}, {"writer", replace_twice}},
		.bounds = {.switches = 3, .looks = 2, .total = 3},
		.random = 20000,
	},
	{
		.name = "pinned_readers_against_writer_without_membarrier",
		.set_up = publish_first_without,
		.thread = {{"A", read_pinned_twice}, {"B", read_pinned}, {"writer", replace_twice}},
		.bounds = {.switches = 3, .looks = 2, .total = 3},
		.random = 20000,
	},
	{.name = NULL},
};

int main(int argc, char **argv)
{
	return sched_main(argc, argv, scenarios);
}

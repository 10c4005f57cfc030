/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The core under many threads that come and go, with pauses in the marked windows; and with one
 * thread stopped for good in each of them, while the others go on.
 */
#include "core/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "core/desk.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define SLOTS 4
#define THREADS 16
#define PATIENCE (30 * WI_SEC) /* a wait that takes so long was forgotten */

static struct wi_core core;
static struct wi_slot slots[SLOTS + 1];
static _Atomic int owner[SLOTS + 1];

static int set_up(void **state)
{
	struct wi_table table = {(char *)slots, sizeof(struct wi_slot), SLOTS};

	(void)state;
	memset(&core, 0, sizeof(core));
	memset(slots, 0, sizeof(slots));
	memset(owner, 0, sizeof(owner));
	assert_true(wi_core_init(&core, table, &wi_world_linux));
	for (uint32_t s = 1; s <= SLOTS; s++)
		wi_core_give(&core, s);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wi_core_fini(&core);
	return 0;
}

/* How many slots are idle; they are given back again. */
static int idle(void)
{
	uint32_t taken[SLOTS];
	int n = 0;

	while (n < SLOTS && (taken[n] = wi_core_take(&core, wi_desk_seat(&core))))
		n++;
	for (int i = 0; i < n; i++)
		wi_core_give(&core, taken[i]);
	return n;
}

static uint32_t get(struct test_thread *self)
{
	struct wi_seat *seat = wi_desk_seat(&core);
	uint32_t slot = wi_core_take(&core, seat);
	bool patient = wi_rng_below(&self->rng, 3);
	struct wi_outcome o;

	if (slot)
		return slot;
	o = wi_core_wait(&core, seat,
	                 wi_now_ns() + (patient ? PATIENCE : wi_rng_below(&self->rng, 300000)));
	if (o.verdict == WI_GRANTED)
		return o.value;
	if (patient && o.verdict == WI_PENDING)
		test_wrong(self, "a waiter was forgotten");
	return WI_SLOT_NONE;
}

/* As the pool above counts: odd while lent. The holder's alone, so no locked instruction. */
static void count_lending(uint32_t slot)
{
	_Atomic uint64_t *lend = &slots[slot].lend;

	wi_store_rlx(lend, wi_load_rlx(lend) + 1);
}

static void use(struct test_thread *self)
{
	struct wi_seat *seat = wi_desk_seat(&core);
	uint32_t slot = get(self);

	if (!slot)
		return;
	if (wi_swap_acq_rel(&owner[slot], self->number + 1) != 0)
		test_wrong(self, "slot %u is in two hands", slot);
	self->count[0]++;
	count_lending(slot);
	count_lending(slot);
	if (wi_swap_acq_rel(&owner[slot], 0) != self->number + 1)
		test_wrong(self, "slot %u was let go by another", slot);
	if (wi_rng_below(&self->rng, 8))
		wi_core_put(&core, seat, slot);
	else
		wi_core_give(&core, slot);
}

static bool at_random(void *arg, uint32_t slot)
{
	(void)slot;
	return wi_rng_below(arg, 3) == 0;
}

static void give_back(void *arg, uint32_t slot)
{
	(void)arg;
	wi_core_give(&core, slot);
}

static void user_or_sweeper(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		if (self->number == 0)
			wi_core_sweep(&core, at_random, give_back, &self->rng);
		else
			use(self);
	}
}

/* Threads end with slots in their caches, and new ones take their seats. */
static void generations_lose_and_share_nothing(void **state)
{
	struct test_thread reports[THREADS];
	double seconds = test_seconds(3);
	uint64_t counted = 0, lent, returned;

	(void)state;
	test_yields(32);
	for (int i = 0; i < 20; i++) {
		test_threads_run(THREADS, user_or_sweeper, NULL, seconds / 20, reports);
		assert_null(test_first_wrong(reports, THREADS));
		counted += test_sum(reports, THREADS, 0);
		assert_int_equal(idle(), SLOTS);
		assert_int_equal(wi_core_waiting(&core), 0);
	}
	test_yields(0);
	wi_core_sums(&core, &lent, &returned);
	assert_int_equal(lent, counted);
	assert_int_equal(returned, counted);
	assert_true(counted > 0);
	printf("%llu holds\n", (unsigned long long)counted);
}

/* ---- a thread that is stopped for good ---- */

static struct test_stop stop;

static bool is_over(void)
{
	return wi_load_acq(&stop.state) == 2;
}

/* While the first thread stands still, the second uses slots as before, and so do all others. */
static void one_is_stopped(struct test_thread *self)
{
	int64_t patience = wi_now_ns() + 2 * WI_SEC;

	if (self->number == 0) {
		(void)wi_desk_seat(&core);
		test_stop_arm(&stop);
	}
	if (self->number != 1) {
		while (!is_over())
			use(self);
		test_stop_arm(NULL);
		return;
	}
	/* Some points are passed only when chance will have it. */
	while (wi_load_acq(&stop.state) != 1 && wi_now_ns() < patience)
		use(self);
	self->count[1] = wi_load_acq(&stop.state) == 1;
	self->count[0] = 0;
	for (int i = 0; self->count[1] && i < 2000; i++)
		use(self);
	if (self->count[1] && self->count[0] < 500)
		test_wrong(self, "only %d of 2000 tries got a slot", (int)self->count[0]);
	test_stop_release(&stop);
}

static void a_thread_that_is_stopped_anywhere_holds_up_nobody(void **state)
{
	static const char *const points[] = {
		"freelist.push.next",  "freelist.pop.next",      "cache.take.seen",
		"cache.steal.seen",    "core.give.pushed",       "core.put.cached",
		"core.wait.announced", "waitq.announce.counted", "waitq.decide.chosen",
	};
	struct test_thread reports[8];
	int reached = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		stop = (struct test_stop){.point = points[i], .visit = 3};
		test_threads_run(8, one_is_stopped, NULL, -1, reports);
		if (test_first_wrong(reports, 8))
			fail_msg("stopped at %s: %s", points[i], test_first_wrong(reports, 8));
		reached += (int)reports[1].count[1];
		assert_int_equal(idle(), SLOTS);
	}
	assert_true(reached >= 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(generations_lose_and_share_nothing, set_up,
	                                        tear_down),
		cmocka_unit_test_setup_teardown(a_thread_that_is_stopped_anywhere_holds_up_nobody,
	                                        set_up, tear_down),
	};

	test_watchdog(250, "stress.core");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The core under many threads that come and go, with pauses in the marked windows. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(generations_lose_and_share_nothing, set_up,
	                                        tear_down),
	};

	test_watchdog(250, "stress.core");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "route/gate.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define ROUNDS 20000

static struct wi_gate gate;
static _Atomic uint32_t turn;

static void a_change_before_the_sleep_is_not_missed(void **state)
{
	uint32_t seen = wi_gate_seen(&gate);

	(void)state;
	wi_gate_change(&gate, &wi_world_linux);
	wi_gate_sleep(&gate, seen, WI_FOREVER, &wi_world_linux); /* returns at once */
	assert_int_equal(wi_gate_seen(&gate), seen + 1);
}

static void a_sleep_ends_at_its_deadline(void **state)
{
	int64_t until_ns = wi_now_ns() + 20 * WI_MS;

	(void)state;
	while (wi_now_ns() < until_ns)
		wi_gate_sleep(&gate, wi_gate_seen(&gate), until_ns, &wi_world_linux);
	assert_int_equal(wi_load_rlx(&gate.sleepers), 0);
}

/* Each waits for its turn and passes it on: one lost wakeup and all stand still. */
static void pass_on(struct test_thread *self)
{
	int n = *(int *)self->arg;

	for (uint32_t i = (uint32_t)self->number; i < ROUNDS; i += (uint32_t)n) {
		for (;;) {
			uint32_t seen = wi_gate_seen(&gate);

			if (wi_load_rlx(&turn) == i)
				break;
			wi_gate_sleep(&gate, seen, WI_FOREVER, &wi_world_linux);
		}
		wi_store_rlx(&turn, i + 1);
		wi_gate_change(&gate, &wi_world_linux);
	}
}

static void no_wakeup_is_lost(void **state)
{
	struct test_thread reports[4];
	int n = 4;

	(void)state;
	test_threads_run(n, pass_on, &n, -1, reports);
	assert_int_equal(wi_load_rlx(&turn), ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_before_the_sleep_is_not_missed),
		cmocka_unit_test(a_sleep_ends_at_its_deadline),
		cmocka_unit_test(no_wakeup_is_lost),
	};

	test_watchdog(100, "a wakeup at the gate");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

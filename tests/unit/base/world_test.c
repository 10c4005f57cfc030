/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sleeping and waking by futex: no sleep on a changed word, no sleep beyond the deadline, no
 * sleeper forgotten.
 */
#include "base/world.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"

#define PATIENCE                                                                                   \
	(60 * WI_SEC) /* a sleeper that was forgotten is told by this, not by a hanging test */
#define SLEEPERS 4

static const struct wi_world *const world = &wi_world_linux;

static void changed_word_is_not_slept_on(void **state)
{
	_Atomic uint32_t word = 1;
	int64_t begun = world->now();

	(void)state;
	world->park(&word, 0, begun + PATIENCE);
	world->park(&word, 0, WI_FOREVER);
	assert_true(world->now() < begun + PATIENCE);
}

static void sleep_ends_at_the_deadline(void **state)
{
	_Atomic uint32_t word = 0;
	int64_t deadline = world->now() + 5 * WI_MS;
	int rounds = 0;

	(void)state;
	while (world->now() < deadline && rounds++ < 1000)
		world->park(&word, 0, deadline);
	assert_true(world->now() >= deadline);
	assert_true(rounds < 1000); /* it slept, and did not spin */
}

static void passed_deadlines_do_not_sleep(void **state)
{
	_Atomic uint32_t word = 0;
	int64_t begun = world->now();

	(void)state;
	world->park(&word, 0, begun);
	world->park(&word, 0, 0);
	world->park(&word, 0, -WI_SEC);
	assert_true(world->now() < begun + PATIENCE);
}

static void errno_is_left_alone(void **state)
{
	_Atomic uint32_t word = 0;

	(void)state;
	errno = ENOTTY;
	world->park(&word, 1, WI_FOREVER);
	assert_int_equal(errno, ENOTTY);
	world->park(&word, 0, 1);
	assert_int_equal(errno, ENOTTY);
	world->wake(&word);
	assert_int_equal(errno, ENOTTY);
}

static _Atomic uint32_t gate;
static _Atomic int about_to_sleep;

struct sleeper {
	pthread_t thread;
	bool was_late;
};

static void *sleep_at_gate(void *arg)
{
	struct sleeper *me = arg;
	int64_t deadline = world->now() + PATIENCE;

	wi_add_acq_rel(&about_to_sleep, 1);
	while (wi_load_acq(&gate) == 0 && world->now() < deadline)
		world->park(&gate, 0, deadline);
	me->was_late = world->now() >= deadline;
	return NULL;
}

static void one_wake_ends_every_sleep_on_the_word(void **state)
{
	struct sleeper sleepers[SLEEPERS];

	(void)state;
	for (int round = 0; round < 50; round++) {
		wi_store_rel(&gate, 0);
		wi_store_rel(&about_to_sleep, 0);
		for (int i = 0; i < SLEEPERS; i++)
			assert_int_equal(pthread_create(&sleepers[i].thread, NULL, sleep_at_gate,
			                                &sleepers[i]),
			                 0);
		while (wi_load_acq(&about_to_sleep) < SLEEPERS)
			;
		wi_store_rel(&gate, 1);
		world->wake(&gate);
		for (int i = 0; i < SLEEPERS; i++)
			assert_int_equal(pthread_join(sleepers[i].thread, NULL), 0);
		for (int i = 0; i < SLEEPERS; i++)
			assert_false(sleepers[i].was_late);
	}
}

static int windows;

static void count_window(const char *point)
{
	windows += *point == 'x';
}

static void yield_points_call_the_hook(void **state)
{
	(void)state;
	WI_YIELD("x.before");
	assert_int_equal(windows, 0);
	wi_store_rel(&wi_yield_hook, count_window);
	WI_YIELD("x.window");
	assert_int_equal(windows, 1);
	wi_store_rel(&wi_yield_hook, NULL);
	WI_YIELD("x.after");
	assert_int_equal(windows, 1);
}

/* Where two threads seldom have a processor at the same time, fewer have to do. */
#define DUELS 20000
#define DUELS_LEAST 1000
#define DUELS_NS (4 * WI_SEC)

static _Atomic uint32_t mine[2], arrived;
static uint32_t seen[2];
static int both_missed;
static int64_t late_ns;
static bool is_last; /* decided by the first, before both meet */
static bool missing; /* this kernel has no heavy fence: then the light one is none */

/*
 * Both leave within nanoseconds of each other, or the stores would be visible long before the
 * looks.
 */
static void meet(uint32_t meeting)
{
	wi_add_acq_rel(&arrived, 1);
	for (int spins = 0; wi_load_acq(&arrived) < 2 * meeting; spins++)
		if (spins > 1000)
			sched_yield();
}

/* Store mine, fence, look at yours: of two who do so, not both may miss the other. */
static void *duel(void *arg)
{
	bool second = arg != NULL;

	for (uint32_t i = 1; !is_last; i++) {
		meet(2 * i - 1);
		wi_store_rlx(&mine[second], i);
		if (second)
			wi_fence_light();
		else if (!world->fence_heavy())
			missing = true;
		seen[second] = wi_load_rlx(&mine[!second]);
		if (!second)
			is_last = i == DUELS || (i >= DUELS_LEAST && world->now() >= late_ns);
		meet(2 * i);
		if (!second)
			both_missed += seen[0] < i && seen[1] < i;
	}
	return NULL;
}

static void fences_order_store_then_look(void **state)
{
	pthread_t first, second;

	(void)state;
	late_ns = world->now() + DUELS_NS;
	assert_int_equal(pthread_create(&first, NULL, duel, NULL), 0);
	assert_int_equal(pthread_create(&second, NULL, duel, &arrived), 0);
	pthread_join(first, NULL);
	pthread_join(second, NULL);
	if (missing)
		skip();
	assert_int_equal(both_missed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changed_word_is_not_slept_on),
		cmocka_unit_test(sleep_ends_at_the_deadline),
		cmocka_unit_test(passed_deadlines_do_not_sleep),
		cmocka_unit_test(errno_is_left_alone),
		cmocka_unit_test(one_wake_ends_every_sleep_on_the_word),
		cmocka_unit_test(yield_points_call_the_hook),
		cmocka_unit_test(fences_order_store_then_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

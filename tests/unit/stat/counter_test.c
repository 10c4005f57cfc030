/* SPDX-License-Identifier: BSD-2-Clause */
/* One writer a counter, any reader; shared counters lose nothing. */
#include "stat/counter.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/line.h"

#define OWNERS 3
#define COUNTS 1000000

struct owner {
	WI_ON_NEW_LINE struct wi_counter own;
	pthread_t thread;
};

static struct owner owners[OWNERS];
static struct wi_counter shared;
static _Atomic int ready, done;

static void *count(void *arg)
{
	struct owner *me = arg;

	wi_add_acq_rel(&ready, 1);
	while (wi_load_acq(&ready) < OWNERS)
		sched_yield(); /* all at once, or there is nothing to lose */
	for (int i = 0; i < COUNTS; i++) {
		wi_counter_add(&me->own, 1);
		wi_counter_add_shared(&shared, 2);
	}
	wi_add_acq_rel(&done, 1);
	return NULL;
}

static uint64_t sum(void)
{
	uint64_t n = 0;

	for (int i = 0; i < OWNERS; i++)
		n += wi_counter_read(&owners[i].own);
	return n;
}

static void sums_grow_and_end_exact(void **state)
{
	uint64_t last = 0;
	bool fell = false;

	(void)state;
	for (int i = 0; i < OWNERS; i++)
		assert_int_equal(pthread_create(&owners[i].thread, NULL, count, &owners[i]), 0);
	while (wi_load_acq(&done) < OWNERS) {
		uint64_t now = sum();

		fell |= now < last;
		last = now;
	}
	for (int i = 0; i < OWNERS; i++)
		pthread_join(owners[i].thread, NULL);
	assert_false(fell);
	assert_int_equal(sum(), OWNERS * COUNTS);
	assert_int_equal(wi_counter_read(&shared), 2 * OWNERS * COUNTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_grow_and_end_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

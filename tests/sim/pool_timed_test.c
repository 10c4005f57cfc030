/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long connections are held is estimated from lendings that are timed now and then; what that
 * comes to is near to the truth, also where one connection is lent eighty times as often as the
 * other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/sim.h"
#include "support/watchdog.h"

static int open_two(void **state)
{
	weir_options o;

	(void)state;
	sim_options(&o);
	o.pool_max = 2;
	o.leak_after_ms = 0;
	o.dead_thread_action = WEIR_DEAD_THREAD_RECLAIM;
	return sim_open(&o) == WEIR_OK ? 0 : -1;
}

static int close_it(void **state)
{
	(void)state;
	return sim_close() == 0 ? 0 : -1;
}

struct user {
	int64_t hold_ms, pause_ms;
	int times;
};

static void use(void *arg)
{
	const struct user *u = arg;

	for (int i = 0; i < u->times; i++) {
		weir_conn *conn = sim_checkout(1000);

		sim_sleep(u->hold_ms);
		weir_checkin(&conn);
		sim_sleep(u->pause_ms);
	}
}

/* Most of a minute: 8 s are held in 1 ms each, 38.4 s in 400 ms each. */
static void a_sample_stands_for_the_others(void **state)
{
	struct user often = {.hold_ms = 1, .pause_ms = 4, .times = 8000};
	struct user seldom = {.hold_ms = 400, .pause_ms = 100, .times = 96};
	const weir_pool_stats *s;

	(void)state;
	sim_spawn(use, &often);
	sim_spawn(use, &seldom);
	sim_join();
	s = sim_stats();
	assert_int_equal(s->checkouts, 8096);
	assert_in_range(s->hold_samples, 24, 200);
	/* but for those that came after the last sample */
	assert_in_range(s->hold.count, 8096 - 8096 / 8, 8096);
	assert_in_range(s->hold_times.sum_ns, 46 * WI_SEC * 8 / 10, 47 * WI_SEC);
	assert_in_range(s->hold.p90_ns, WI_MS, WI_MS + WI_MS / 16);
	assert_in_range(s->hold.p999_ns, 400 * WI_MS, 425 * WI_MS);
	assert_int_equal(s->hold.max_ns, 400 * WI_MS);
}

static void what_was_noted_while_out_is_not_timed_half(void **state)
{
	weir_conn *conn = sim_checkout(1000);

	(void)state;
	sim_run(10000); /* it is asked for again and again */
	weir_checkin(&conn);
	assert_int_equal(sim_stats()->hold_samples, 0);
	conn = sim_checkout(1000);
	sim_run(5);
	weir_checkin(&conn);
	assert_int_equal(sim_stats()->hold_samples, 1);
	assert_int_equal(sim_stats()->hold.max_ns, 5 * WI_MS);
	assert_int_equal(sim_stats()->hold.count, 2); /* it stands for the first one, too */
	conn = sim_checkout(1000);
	weir_checkin(&conn);
	assert_int_equal(sim_stats()->hold_samples, 1); /* and nothing is noted any more */
}

static void take_and_end(void *arg)
{
	(void)arg;
	assert_non_null(sim_checkout(1000));
}

/* The lending that was being timed never came back: nothing of it is another one's. */
static void what_a_dead_thread_left_is_nobody_elses_time(void **state)
{
	weir_conn *conn = sim_checkout(1000), *other = sim_checkout(1000);

	(void)state;
	weir_checkin(&conn);
	weir_checkin(&other);
	sim_run(10000); /* both are noted */
	sim_spawn(take_and_end, NULL);
	sim_spawn(take_and_end, NULL);
	sim_join();
	sim_run(2000);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_RECLAIMED], 2);
	assert_int_equal(sim_stats()->opened, 2);
	conn = sim_checkout(5000); /* a new one in the place of one of them */
	sim_run(10000);            /* noted while it is out */
	weir_checkin(&conn);
	assert_int_equal(sim_stats()->hold_samples, 0);
	conn = sim_checkout(1000);
	sim_run(5);
	weir_checkin(&conn);
	assert_int_equal(sim_stats()->hold_samples, 1);
	assert_int_equal(sim_stats()->hold.max_ns, 5 * WI_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_sample_stands_for_the_others, open_two, close_it),
		cmocka_unit_test_setup_teardown(what_was_noted_while_out_is_not_timed_half,
	                                        open_two, close_it),
		cmocka_unit_test_setup_teardown(what_a_dead_thread_left_is_nobody_elses_time,
	                                        open_two, close_it),
	};

	test_watchdog(100, "connections that are timed");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

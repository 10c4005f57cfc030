/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a read is promised by a token or a limit of lag: which host serves it then, what is asked
 * before the primary is, and how long that is waited for.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	/* Nothing is known by itself: only what a test asks for, or a read. */
	options.probe_interval_ms = 3600000;
	return 0;
}

static void pause_ms(int ms)
{
	struct timespec t = {.tv_nsec = (long)ms * 1000000};

	nanosleep(&t, NULL);
}

static uint64_t probes_of(int i)
{
	return wi_load_rlx(&cluster.host[i].probes);
}

/* Nobody asks any more: what was begun before is answered. */
static void settle(void)
{
	uint64_t before;

	do {
		before = probes_of(0) + probes_of(1) + probes_of(2);
		pause_ms(20);
	} while (probes_of(0) + probes_of(1) + probes_of(2) != before);
}

/* ---- choose by knowledge, then ask, then wait, then the primary ---- */

static void what_is_known_is_not_asked(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	uint64_t before;

	(void)state;
	open_warm();
	mine.at_least = write_some();
	fake_cluster_catch_up(&cluster, 0, 2);
	know();
	settle();
	before = probes_of(0) + probes_of(1) + probes_of(2);
	for (int i = 0; i < 100; i++)
		assert_int_equal(visit_with(&mine), 2);
	assert_int_equal(probes_of(0) + probes_of(1) + probes_of(2), before);
}

/* With an hour between probes, only by asking it is known that replica 1 is there. */
static void what_is_not_known_is_asked(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	int64_t began_ns, took_ns, longest_ns = 0, sum_ns = 0;
	enum { ROUNDS = 50 };

	(void)state;
	options.token_wait_ms = 10000; /* so that a slow machine has the time to ask */
	open_warm();
	for (int i = 0; i < ROUNDS; i++) {
		mine.at_least = write_some();
		fake_cluster_catch_up(&cluster, 0, 1);
		began_ns = wi_now_ns();
		assert_int_equal(visit_with(&mine), 1);
		took_ns = wi_now_ns() - began_ns;
		sum_ns += took_ns;
		longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
	}
	printf("a read that has to ask: %.1f us on average, %.1f at most\n",
	       (double)sum_ns / ROUNDS / 1000, (double)longest_ns / 1000);
}

static void *catch_up_later(void *arg)
{
	(void)arg;
	pause_ms(30);
	fake_cluster_catch_up(&cluster, 0, 2);
	return NULL;
}

static void who_is_about_to_catch_up_is_waited_for(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	pthread_t later;

	(void)state;
	options.token_wait_ms = 10000;
	open_warm();
	for (int i = 0; i < 3; i++) {
		mine.at_least = write_some();
		assert_int_equal(pthread_create(&later, NULL, catch_up_later, NULL), 0);
		assert_int_equal(visit_with(&mine), 2);
		assert_int_equal(pthread_join(later, NULL), 0);
	}
}

static void after_the_wait_the_primary_reads(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	int64_t began_ns;

	(void)state;
	options.token_wait_ms = 100;
	open_warm();
	mine.at_least = write_some();
	began_ns = wi_now_ns();
	assert_int_equal(visit_with(&mine), 0);
	assert_true(wi_now_ns() - began_ns >= 100 * WI_MS);
	/* As the deadline comes first, that is the end of the wait. */
	mine.at_least = write_some();
	mine.timeout_ms = 20;
	mine.fallback = WEIR_FALLBACK_WAIT;
	began_ns = wi_now_ns();
	assert_true(is_refused(&mine));
	assert_true(wi_now_ns() - began_ns >= 20 * WI_MS);
}

/* The replicas lag behind nobody and may have it at any moment: even so, no longer than it may. */
static void what_nobody_has_is_waited_for_no_longer(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = -1);

	(void)state;
	options.token_wait_ms = 50;
	open_warm();
	mine.at_least = write_some();
	fake_cluster_catch_up(&cluster, 0, 1);
	fake_cluster_catch_up(&cluster, 0, 2);
	know();
	mine.at_least.lsn += 8;
	assert_int_equal(visit_with(&mine), 0);
}

/* It lacks something for longer than would be waited: asked once, and that is all. */
static void who_is_far_behind_is_asked_but_not_waited_for(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	uint64_t before;

	(void)state;
	options.token_wait_ms = 1000;
	open_warm();
	write_some();
	know();
	for (int i = 0; i < 11; i++)
		pause_ms(100);
	mine.at_least = write_some();
	settle();
	before = probes_of(1);
	assert_int_equal(visit_with(&mine), 0);
	settle();
	assert_in_range(probes_of(1) - before, 1, 20); /* else there were sixty */
	/* Where the primary is no choice, it is waited for all the same. */
	mine.fallback = WEIR_FALLBACK_WAIT;
	{
		pthread_t later;

		assert_int_equal(pthread_create(&later, NULL, catch_up_later, NULL), 0);
		assert_int_equal(visit_with(&mine), 2);
		assert_int_equal(pthread_join(later, NULL), 0);
	}
}

static void who_may_not_wait_asks_nobody(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = WEIR_NO_WAIT);
	uint64_t before;

	(void)state;
	open_warm();
	mine.at_least = write_some();
	settle();
	before = probes_of(1);
	assert_int_equal(visit_with(&mine), 0);
	settle();
	assert_int_equal(probes_of(1), before);
}

/* That replica 1 has it says nothing of replica 2: every read looks for itself. */
static void one_that_caught_up_clears_no_token(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);

	(void)state;
	open_warm();
	mine.at_least = write_some();
	fake_cluster_catch_up(&cluster, 0, 1);
	know();
	assert_int_equal(visit_with(&mine), 1);
	fake_host_down(&cluster, 1, true);
	while (stats_of(1).role != WEIR_ROLE_UNKNOWN)
		probe();
	for (int i = 0; i < 20; i++)
		assert_int_equal(visit_with(&mine), 0);
	fake_host_down(&cluster, 1, false);
}

/* Positions are multiples of 8: who lacks no more than the last of them does not have it. */
static void one_step_before_a_token_is_not_there(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = WEIR_NO_WAIT);

	(void)state;
	open_warm();
	mine.at_least = write_some();
	for (int i = 1; i <= 2; i++)
		wi_store_rlx(&cluster.host[i].server.lsn, mine.at_least.lsn - 8);
	know();
	assert_int_equal(visit_with(&mine), 0);
	wi_store_rlx(&cluster.host[1].server.lsn, mine.at_least.lsn);
	know();
	assert_int_equal(visit_with(&mine), 1);
}

static void a_token_of_the_primary_alone_is_for_the_primary(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ, .at_least = WEIR_TOKEN_PRIMARY);

	(void)state;
	open_warm();
	for (int i = 0; i < 20; i++)
		assert_int_equal(visit_with(&mine), 0);
}

/* ---- limits ---- */

static void replica_is_behind(int i, uint64_t bytes)
{
	wi_store_rlx(&cluster.host[i].server.lsn, wi_load_rlx(&cluster.host[0].server.lsn) - bytes);
	know();
}

/* Back only below 50 % of the limit, and when three answers in a row have said so. */
static void a_limit_of_the_options_has_a_way_back(void **state)
{
	weir_request any = WEIR_REQUEST(.intent = WEIR_READ, .fallback = WEIR_FALLBACK_FAIL,
	                                .timeout_ms = WEIR_NO_WAIT);
	int n = 0;

	(void)state;
	options.max_lag_bytes = 1000;
	options.lag_return_pct = 50;
	fake_cluster_write(&cluster, 0, 1 << 20);
	wi_store_rlx(&cluster.host[1].server.lsn, FAKE_LSN + (1 << 20) - 900);
	open_warm(); /* and 2 is out of the way */
	know();
	assert_int_equal(visit_with(&any), 1);
	replica_is_behind(1, 1001);
	assert_true(is_refused(&any));
	for (int i = 0; i < 5; i++) { /* within the limit, at its edge */
		replica_is_behind(1, 600);
		assert_true(is_refused(&any));
		assert_true(stats_of(1).lagging);
	}
	while (is_refused(&any)) {
		wi_store_rlx(&cluster.host[1].server.lsn,
		             wi_load_rlx(&cluster.host[0].server.lsn) - 400);
		probe();
		n++;
	}
	assert_in_range(n, 1, 20);
	assert_false(stats_of(1).lagging);
}

/* A request's own limit is kept by what is true now, either way. */
static void a_limit_of_a_request_has_none(void **state)
{
	weir_request close = WEIR_REQUEST(.intent = WEIR_READ, .fallback = WEIR_FALLBACK_FAIL,
	                                  .timeout_ms = WEIR_NO_WAIT, .max_lag_bytes = 1000);

	(void)state;
	open_warm();
	fake_cluster_write(&cluster, 0, 1 << 20);
	replica_is_behind(2, 1 << 20);
	for (int i = 0; i < 5; i++) {
		replica_is_behind(1, 1000);
		assert_int_equal(visit_with(&close), 1);
		replica_is_behind(1, 1001);
		assert_true(is_refused(&close));
	}
	/* It sets the pace of the probes, too. */
	for (uint64_t before = probes_of(1); probes_of(1) < before + 3;)
		(void)is_refused(&close);
}

/* A paused standby has all that there was, and is silently about not to. */
static void a_paused_replica_serves_by_no_limit_of_the_options(void **state)
{
	(void)state;
	options.max_lag_ms = 60000;
	wi_store_rlx(&cluster.host[1].paused, true);
	open_warm();
	know();
	for (int i = 0; i < 50; i++)
		assert_int_equal(visit(WEIR_READ), 2);
	wi_store_rlx(&cluster.host[1].paused, false);
	while (visit(WEIR_READ) != 1)
		probe();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		TEST(what_is_known_is_not_asked),
		TEST(what_is_not_known_is_asked),
		TEST(who_is_about_to_catch_up_is_waited_for),
		TEST(after_the_wait_the_primary_reads),
		TEST(what_nobody_has_is_waited_for_no_longer),
		TEST(who_is_far_behind_is_asked_but_not_waited_for),
		TEST(who_may_not_wait_asks_nobody),
		TEST(one_that_caught_up_clears_no_token),
		TEST(one_step_before_a_token_is_not_there),
		TEST(a_token_of_the_primary_alone_is_for_the_primary),
		TEST(a_limit_of_the_options_has_a_way_back),
		TEST(a_limit_of_a_request_has_none),
		TEST(a_paused_replica_serves_by_no_limit_of_the_options),
	};

	test_watchdog(100, "the tests of consistency");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is promised of reads where something goes back: a replica that begins again at an older
 * state, a cluster that is built anew from a backup or as another system, a commit that may have
 * been.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	options.probe_interval_ms = 3600000; /* only what a test asks for is known */
	options.token_wait_ms = 1;
	options.pool_min = options.pool_max = 4;
	return 0;
}

static void open_calm(void)
{
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &said), WEIR_OK);
	fake_cluster_calm(router, 4);
}

static void fall_back(int i, uint64_t newer_start)
{
	wi_store_rlx(&cluster.host[i].server.lsn, FAKE_LSN);
	wi_add_rlx(&cluster.host[i].started, newer_start);
}

/* As fast as that a restart is no failed probe: all that is seen is where it is now. */
static void without_a_primary_a_restarted_replica_promises_nothing(void **state)
{
	static const uint64_t newer_start[] = {1000000, 0};

	(void)state;
	for (int i = 0; i < 2; i++) {
		weir_session session = WEIR_SESSION();
		weir_request mine = WEIR_REQUEST(.intent = WEIR_READ, .session = &session,
		                                 .timeout_ms = WEIR_NO_WAIT);
		weir_request young = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 3600000,
		                                  .timeout_ms = WEIR_NO_WAIT);

		if (i > 0) {
			fake_router_end(NULL);
			set_up(NULL);
		}
		open_calm();
		fake_cluster_write(&cluster, 0, 800);
		fake_cluster_catch_up(&cluster, 0, 1);
		fake_cluster_catch_up(&cluster, 0, 2);
		know();
		assert_int_not_equal(visit_with(&mine), 0);
		know();
		fake_host_down(&cluster, 0, true);
		while (stats_of(0).role != WEIR_ROLE_UNKNOWN)
			know();
		/* What was promised stays true. */
		assert_int_not_equal(visit_with(&mine), 0);
		assert_int_not_equal(visit_with(&young), 0);
		fall_back(1, newer_start[i]);
		fall_back(2, newer_start[i]);
		know();
		assert_true(is_refused(&mine));
		assert_true(is_refused(&young));
	}
}

/* A crash of one backend makes a standby recover anew, and its postmaster's start stays. */
static void one_that_recovers_anew_is_not_the_same(void **state)
{
	weir_session session;
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ, .session = &session);

	(void)state;
	open_calm();
	fake_cluster_write(&cluster, 0, 800);
	fake_cluster_catch_up(&cluster, 0, 1);
	know();
	do
		session = WEIR_SESSION();
	while (visit_with(&mine) != 1);
	assert_int_equal(visit_with(&mine), 1);
	fall_back(1, 0);
	know();
	assert_int_equal(visit_with(&mine), 0);
	/* It was away for a while; that it began anew is to be seen all the same. */
	fake_cluster_catch_up(&cluster, 0, 1);
	know();
	do
		session = WEIR_SESSION();
	while (visit_with(&mine) != 1);
	fake_host_down(&cluster, 1, true);
	while (stats_of(1).role != WEIR_ROLE_UNKNOWN)
		know();
	fall_back(1, 0);
	fake_host_down(&cluster, 1, false);
	while (stats_of(1).role != WEIR_ROLE_REPLICA)
		know();
	assert_int_equal(visit_with(&mine), 0);
}

/* What this process wrote is gone, for everybody: reads go on. */
static void in_another_system_nothing_is_left_to_read(void **state)
{
	weir_conn *c = NULL;
	weir_token token;

	(void)state;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_PROCESS;
	open_calm();
	fake_cluster_promote(&cluster, 0);
	know();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &said), WEIR_OK);
	fake_cluster_write(&cluster, 0, 800);
	assert_int_equal(weir_token_take(c, 5000, &token, &said), WEIR_OK);
	assert_int_equal(token.timeline, 2);
	weir_checkin(&c);
	assert_int_equal(visit(WEIR_READ), 0);
	for (int i = 0; i < 3; i++) {
		wi_store_rlx(&cluster.host[i].server.system, 4711);
		wi_store_rlx(&cluster.host[i].server.timeline, 1);
		fall_back(i, 1000000);
	}
	know();
	know();
	(void)visit(WEIR_READ);
	/* And what is written there is seen. */
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &said), WEIR_OK);
	fake_cluster_write(&cluster, 0, 80);
	assert_int_equal(weir_token_take(c, 5000, &token, &said), WEIR_OK);
	weir_checkin(&c);
	assert_int_equal(visit(WEIR_READ), 0);
	fake_cluster_catch_up(&cluster, 0, 2);
	know();
	assert_int_equal(visit(WEIR_READ), 2);
}

/* Who was told that it is unknown looks whether it was: where that can be seen. */
static void a_commit_that_may_have_been_is_looked_for_on_the_primary(void **state)
{
	weir_conn *c = NULL;
	weir_token token;

	(void)state;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_PROCESS;
	open_calm();
	assert_int_not_equal(visit(WEIR_READ), 0);
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &said), WEIR_OK);
	assert_int_equal(weir_exec(c, "BEGIN", 5000, &said), WEIR_OK);
	fake_cluster_write(&cluster, 0, 800);
	wi_store_rlx(&cluster.host[0].commit_fails, "");
	assert_int_equal(weir_token_commit(c, 5000, &token, &said), WEIR_OUTCOME_UNKNOWN);
	wi_store_rlx(&cluster.host[0].commit_fails, NULL);
	weir_checkin(&c);
	for (int i = 0; i < 10; i++)
		assert_int_equal(visit(WEIR_READ), 0);
	know();
	assert_int_equal(visit(WEIR_READ), 0);
	fake_cluster_catch_up(&cluster, 0, 1);
	know();
	assert_int_equal(visit(WEIR_READ), 1);
}

/* Reads that keep away from replicas after a write leave it to writes what is theirs. */
static void reads_after_a_write_are_no_more_than_may_be(void **state)
{
	const weir_request now = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = WEIR_NO_WAIT);
	weir_conn *c[4] = {NULL}, *more = NULL;

	(void)state;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_WINDOW;
	options.read_your_writes_ms = 3600000;
	options.read_fallback_max_pct = 50;
	open_calm();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c[0], &said), WEIR_OK);
	weir_checkin(&c[0]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(weir_checkout_with(router, &now, &c[i], &said), WEIR_OK);
		assert_int_equal(fake_host_of(c[i]), 0);
	}
	assert_int_equal(weir_checkout_with(router, &now, &more, &said), WEIR_EXHAUSTED);
	for (int i = 2; i < 4; i++)
		assert_int_equal(weir_checkout(router, WEIR_WRITE, &c[i], &said), WEIR_OK);
	for (int i = 0; i < 4; i++)
		weir_checkin(&c[i]);
	assert_int_equal(stats_of(0).fallback_held, 0);
	assert_int_equal(visit_with(&now), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_primary_a_restarted_replica_promises_nothing),
		TEST(one_that_recovers_anew_is_not_the_same),
		TEST(in_another_system_nothing_is_left_to_read),
		TEST(a_commit_that_may_have_been_is_looked_for_on_the_primary),
		TEST(reads_after_a_write_are_no_more_than_may_be),
	};

	test_watchdog(100, "the tests of what goes back");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

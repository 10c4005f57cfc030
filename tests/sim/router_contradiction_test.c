/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Servers that contradict each other, belong to somebody else, were left behind, or are one by two
 * names: who is the primary then, and that nobody writes or trusts a position where none can be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	options.probe_interval_ms = 20;
	return 0;
}

static void two_primaries_are_none(void **state)
{
	(void)state;
	open_router();
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	probe();
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	assert_int_equal(role_of(1), WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "split brain"));
	assert_non_null(strstr(stats_of(0).last_error, fake_host_name(1)));
	assert_int_equal(try_for(30, WEIR_WRITE), WEIR_UNAVAILABLE);
	assert_non_null(strstr(said.text, "split brain"));
	assert_int_equal(visit(WEIR_READ), 2);
	for (int i = 0; i < 5; i++)
		probe();
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_SPLIT_BRAIN]), 1); /* told once */

	/* The higher timeline wins, and the other stays out. */
	wi_store_rlx(&cluster.host[1].server.timeline, 2);
	probe();
	assert_int_equal(role_of(1), WEIR_ROLE_PRIMARY);
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "older timeline"));
	for (int i = 0; i < 100; i++) {
		assert_int_equal(visit(WEIR_WRITE), 1);
		assert_int_equal(visit(WEIR_READ), 2);
	}
	/* A second episode is told again. */
	wi_store_rlx(&cluster.host[0].server.timeline, 2);
	probe();
	probe(); /* told when both have said it twice */
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_SPLIT_BRAIN]), 2);
}

/* At the start the first to answer must not win: all are looked at first. */
static void the_first_to_answer_is_not_the_primary(void **state)
{
	(void)state;
	wi_store_rlx(&cluster.host[2].server.in_recovery, false);
	wi_store_rlx(&cluster.host[2].server.timeline, 2);
	wi_store_rlx(&cluster.host[2].server.connect_ns, 50 * WI_MS);
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &said), WEIR_OK);
	for (int i = 0; i < 100; i++)
		assert_int_equal(visit(WEIR_WRITE), 2);
}

static void a_host_of_another_system_stays_out(void **state)
{
	(void)state;
	wi_store_rlx(&cluster.host[0].server.system, 42);
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	open_router();
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "another database system"));
	assert_int_equal(role_of(1), WEIR_ROLE_PRIMARY);
	assert_int_equal(visit(WEIR_WRITE), 1);
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_SPLIT_BRAIN]), 0);
}

static void systems_without_a_majority_are_trusted_by_nobody(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		wi_store_rlx(&cluster.host[i].server.system, (uint64_t)i + 10);
	open_router();
	for (int i = 0; i < 3; i++)
		assert_int_equal(role_of(i), WEIR_ROLE_UNKNOWN);
	assert_int_equal(try_for(30, WEIR_READ), WEIR_UNAVAILABLE);
	assert_non_null(strstr(said.text, "no majority"));
	probe(); /* told when all have said it twice */
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_SPLIT_BRAIN]), 1);
}

static void one_server_by_two_names_is_no_split_brain(void **state)
{
	(void)state;
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	wi_store_rlx(&cluster.host[1].started, wi_load_rlx(&cluster.host[0].started));
	open_router();
	assert_int_equal(role_of(0), WEIR_ROLE_PRIMARY);
	assert_int_equal(role_of(1), WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(1).last_error, "the same server as 127.0.0.1:6000"));
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_SPLIT_BRAIN]), 0);
}

static void a_primary_that_takes_no_writes_is_no_write_target(void **state)
{
	(void)state;
	open_router();
	wi_store_rlx(&cluster.host[0].read_only, true);
	probe();
	assert_int_equal(role_of(0), WEIR_ROLE_REPLICA);
	assert_true(stats_of(0).read_only);
	assert_int_equal(try_for(30, WEIR_WRITE), WEIR_UNAVAILABLE);
	assert_non_null(strstr(said.text, "default_transaction_read_only"));
	wi_store_rlx(&cluster.host[0].read_only, false);
	probe();
	assert_int_equal(visit(WEIR_WRITE), 0);
}

/* Left behind by a failover, it comes back as it was, and the new primary misses a probe. */
static void who_was_left_behind_never_gets_a_write(void **state)
{
	(void)state;
	open_router();
	fake_host_down(&cluster, 0, true);
	fake_cluster_promote(&cluster, 1);
	wait_for_role(1, WEIR_ROLE_PRIMARY);
	fake_host_down(&cluster, 0, false);
	do
		probe();
	while (!stats_of(0).reachable);
	fake_host_down(&cluster, 1, true);
	fake_host_down(&cluster, 2, true);
	wait_for_role(1, WEIR_ROLE_UNKNOWN);
	wait_for_role(2, WEIR_ROLE_UNKNOWN);
	probe();
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "older timeline than one that was seen"));
	assert_int_equal(try_for(30, WEIR_WRITE), WEIR_UNAVAILABLE);
	fake_host_down(&cluster, 1, false);
	wait_for_role(1, WEIR_ROLE_PRIMARY);
	assert_int_equal(visit(WEIR_WRITE), 1);
}

static void a_stranger_is_not_followed_while_ours_are_away(void **state)
{
	(void)state;
	wi_store_rlx(&cluster.host[2].server.system, 999);
	wi_store_rlx(&cluster.host[2].server.in_recovery, false);
	open_router();
	assert_int_equal(visit(WEIR_WRITE), 0);
	fake_host_down(&cluster, 0, true);
	fake_host_down(&cluster, 1, true);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	wait_for_role(1, WEIR_ROLE_UNKNOWN);
	probe();
	assert_int_equal(role_of(2), WEIR_ROLE_UNKNOWN);
	assert_int_equal(try_for(30, WEIR_WRITE), WEIR_UNAVAILABLE);
	assert_int_equal(try_for(30, WEIR_READ), WEIR_UNAVAILABLE);
	fake_host_down(&cluster, 0, false);
	wait_for_role(0, WEIR_ROLE_PRIMARY);
}

/* Two standbys of two histories: which of them is right, nobody knows. */
static void a_split_brain_serves_no_bounded_read(void **state)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 60000,
	                              .fallback = WEIR_FALLBACK_FAIL);
	weir_conn *c = NULL;

	(void)state;
	open_router();
	assert_int_equal(weir_checkout_with(router, &q, &c, &said), WEIR_OK);
	assert_int_equal(weir_token_take(c, 5000, &q.at_least, &said), WEIR_INVALID);
	weir_checkin(&c);
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	probe();
	assert_int_equal(visit(WEIR_READ), 2);
	assert_int_equal(weir_checkout_with(router, &q, &c, &said), WEIR_UNAVAILABLE);
	q.max_lag_ms = 0;
	q.at_least =
		(weir_token){.system = stats_of(2).system, .timeline = 1, .lsn = stats_of(2).lsn};
	assert_int_equal(weir_checkout_with(router, &q, &c, &said), WEIR_UNAVAILABLE);
	wi_store_rlx(&cluster.host[1].server.in_recovery, true);
	probe();
	assert_int_equal(weir_checkout_with(router, &q, &c, &said), WEIR_OK);
	weir_checkin(&c);
}

/* It restarts, and one of its names is asked before the other. */
static void a_restart_of_one_server_by_two_names_is_no_split_brain(void **state)
{
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;
	uint64_t started = wi_load_rlx(&cluster.host[0].started), before;

	(void)state;
	options.pool_min = 0;
	options.probe_interval_ms = 3600000;
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	wi_store_rlx(&cluster.host[1].started, started);
	open_router();
	assert_int_equal(role_of(0), WEIR_ROLE_PRIMARY);
	before = wi_load_rlx(&cluster.host[1].probes);
	wi_store_rlx(&cluster.host[0].started, started + 5);
	wi_store_rlx(&cluster.host[1].started, started + 5);
	wi_fake_kill(&cluster.host[0].server);
	while (wi_load_rlx(&cluster.host[1].probes) == before && wi_now_ns() < until_ns)
		continue;
	probe();
	assert_int_equal(role_of(0), WEIR_ROLE_PRIMARY);
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_SPLIT_BRAIN]), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		TEST(two_primaries_are_none),
		TEST(the_first_to_answer_is_not_the_primary),
		TEST(a_host_of_another_system_stays_out),
		TEST(systems_without_a_majority_are_trusted_by_nobody),
		TEST(one_server_by_two_names_is_no_split_brain),
		TEST(a_primary_that_takes_no_writes_is_no_write_target),
		TEST(who_was_left_behind_never_gets_a_write),
		TEST(a_stranger_is_not_followed_while_ours_are_away),
		TEST(a_split_brain_serves_no_bounded_read),
		TEST(a_restart_of_one_server_by_two_names_is_no_split_brain),
	};

	test_watchdog(110, "the simulation of hosts that contradict each other");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

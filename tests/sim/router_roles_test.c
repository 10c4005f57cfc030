/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Roles of a router over fake servers: what they are found by, and how they are asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fault.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	options.probe_interval_ms = 50;
	return 0;
}

/* ---- roles ---- */

static void roles_are_found(void **state)
{
	weir_host_stats s;

	(void)state;
	open_warm();
	s = stats_of(0);
	assert_int_equal(s.role, WEIR_ROLE_PRIMARY);
	assert_string_equal(s.host, fake_host_name(0));
	assert_true(s.reachable);
	assert_false(s.in_recovery);
	assert_int_equal(s.server_version, 150007);
	assert_int_equal(s.timeline, 1);
	assert_int_equal(s.lsn, FAKE_LSN);
	assert_int_equal(s.lag_ms, 0);
	assert_true(s.probe_age_ms >= 0);
	assert_int_equal(s.statement_timeout_ms, 30000);
	for (int i = 1; i < 3; i++) {
		s = stats_of(i);
		assert_int_equal(s.role, WEIR_ROLE_REPLICA);
		assert_true(s.in_recovery);
		assert_int_equal(s.lag_ms, 0);
		assert_int_equal(s.lag_bytes, 0);
		assert_string_equal(s.last_error, "");
	}
}

/* Opens one whose first host connects slowly, and asks at once; false: not while it did. */
static bool ask_before_all_are_known(weir_status *st)
{
	weir_request no_wait = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = WEIR_NO_WAIT);
	uint64_t answers = wi_load_rlx(&cluster.host[2].probes);
	int64_t begun_ns = wi_now_ns();

	wi_store_rlx(&cluster.host[0].server.connect_ns, 600 * WI_MS);
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &said), WEIR_OK);
	while (wi_load_rlx(&cluster.host[2].probes) == answers)
		a_moment();
	a_moment();
	a_moment(); /* what was answered is known by then, most likely */
	*st = try_visit(&no_wait, NULL, NULL);
	return wi_now_ns() - begun_ns < 600 * WI_MS;
}

static void the_first_checkout_waits_for_the_first_look(void **state)
{
	weir_status st;

	(void)state;
	for (int tries = 5; !ask_before_all_are_known(&st); tries--) {
		assert_true(tries > 1);
		assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	}
	assert_int_equal(st, WEIR_UNAVAILABLE);
	assert_non_null(strstr(said.text, "not every host has been looked at yet"));
	assert_int_equal(visit(WEIR_WRITE), 0);
}

static void a_server_that_grants_little_still_has_a_role(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		wi_store_rlx(&cluster.host[i].basic_only, true);
	open_warm();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_PRIMARY);
	assert_int_equal(stats_of(1).role, WEIR_ROLE_REPLICA);
	assert_int_equal(stats_of(1).lag_ms, -1);
	assert_int_equal(stats_of(1).system, 0);
	assert_int_equal(visit(WEIR_WRITE), 0);
}

/* How many of the next questions end in an error that says nothing of what the server can do. */
static _Atomic int odd_errors;
static wi_fake_answer as_usual;

static bool answer_oddly(struct wi_fake_server *server, const char *sql, struct wi_answer *a,
                         struct wi_failure *failure)
{
	if (strstr(sql, "server_version_num") && wi_load_rlx(&odd_errors) > 0) {
		wi_sub_rlx(&odd_errors, 1);
		wi_failure_set(failure, WI_FAULT_SQL, "57014",
		               "canceling statement due to statement timeout", NULL);
		return false;
	}
	return as_usual(server, sql, a, failure);
}

static void one_error_is_no_lack_of_rights(void **state)
{
	(void)state;
	as_usual = cluster.host[0].server.answer;
	cluster.host[0].server.answer = answer_oddly;
	open_warm();
	wi_store_rlx(&odd_errors, 1);
	probe();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_PRIMARY);
	assert_int_equal(stats_of(0).timeline, 1);
	assert_int_equal(wi_load_rlx(&odd_errors), 0);
	/* Errors only: then nothing is known of it. */
	wi_store_rlx(&odd_errors, 1000000);
	probe();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "statement timeout"));
	wi_store_rlx(&odd_errors, 0);
	probe();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_PRIMARY);
	assert_int_equal(stats_of(0).timeline, 1);
}

static void probes_do_not_come_out_of_the_pool(void **state)
{
	weir_conn *c = NULL;
	uint64_t before;

	(void)state;
	options.pool_min = options.pool_max = 1;
	open_warm();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &said), WEIR_OK);
	before = wi_load_rlx(&cluster.host[0].probes);
	probe();
	probe();
	assert_true(wi_load_rlx(&cluster.host[0].probes) >= before + 2);
	weir_checkin(&c);
}

static void a_probe_that_is_waited_for_began_after_the_call(void **state)
{
	(void)state;
	options.probe_interval_ms = 10;
	open_warm();
	wi_store_rlx(&cluster.host[2].server.answer_ns, 20 * WI_MS);
	for (uint64_t i = 1; i <= 10; i++) {
		wi_store_rlx(&cluster.host[2].server.lsn, FAKE_LSN + i);
		probe();
		assert_int_equal(stats_of(2).lsn, FAKE_LSN + i);
	}
	wi_store_rlx(&cluster.host[2].server.silent, true);
	assert_int_equal(weir_router_probe(router, 30), WEIR_TIMEOUT);
	wi_store_rlx(&cluster.host[2].server.silent, false);
	wi_fake_kill(&cluster.host[2].server);
}

/* ---- named endpoints ---- */

static void blanks_name_no_endpoint(void **state)
{
	(void)state;
	assert_int_equal(weir_options_set(&options, "primary", " ", &said), WEIR_OK);
	assert_int_equal(weir_options_set(&options, "replicas", "\t", &said), WEIR_OK);
	open_warm();
	assert_int_equal(visit(WEIR_WRITE), 0);
}

static void endpoints_named_by_hand_have_their_roles(void **state)
{
	weir_request fresh = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 60000);
	char replicas[300];
	weir_reason reason;
	int host;

	(void)state;
	/* The reader endpoint leads to a server that is no standby, as where there is only one. */
	wi_store_rlx(&cluster.host[2].server.in_recovery, false);
	assert_int_equal(weir_options_set(&options, "primary", fake_host_name(0), &said), WEIR_OK);
	snprintf(replicas, sizeof(replicas), "127.0.0.1:6001,%s", fake_host_name(2));
	assert_int_equal(weir_options_set(&options, "replicas", replicas, &said), WEIR_OK);
	open_warm();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_PRIMARY);
	assert_int_equal(stats_of(1).role, WEIR_ROLE_REPLICA);
	assert_int_equal(stats_of(2).role, WEIR_ROLE_REPLICA);
	assert_int_equal(visit(WEIR_WRITE), 0);
	/* Who answers next there is not known, and so neither is its lag. */
	assert_int_equal(try_visit(&fresh, &host, &reason), WEIR_OK);
	assert_int_equal(host, 0);
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	probe();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "named as the primary"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		TEST(roles_are_found),
		TEST(the_first_checkout_waits_for_the_first_look),
		TEST(a_server_that_grants_little_still_has_a_role),
		TEST(one_error_is_no_lack_of_rights),
		TEST(probes_do_not_come_out_of_the_pool),
		TEST(a_probe_that_is_waited_for_began_after_the_call),
		TEST(blanks_name_no_endpoint),
		TEST(endpoints_named_by_hand_have_their_roles),
	};

	test_watchdog(110, "the simulation of roles");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

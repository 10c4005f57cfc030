/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When connects fail: paced attempts, the breaker, the words that callers get, and recovery by
 * itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/sim.h"
#include "support/watchdog.h"

static weir_options o;
static weir_error error;

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	memset(&error, 0, sizeof(error));
	return 0;
}

static void open_pool(enum wi_fault fault)
{
	assert_int_equal(sim_open(&o), WEIR_OK);
	wi_store_rlx(&sim_server()->connect_fault, fault);
}

static void close_pool(void)
{
	assert_int_equal(sim_close(), 0);
}

static uint64_t connects(void)
{
	return wi_load_rlx(&sim_server()->connects);
}

/* The status of a checkout; a connection that it got is given back. */
static weir_status try_checkout(int64_t timeout_ms)
{
	weir_conn *conn = NULL;
	weir_status st = weir_pool_checkout(sim_pool(), timeout_ms, &conn, &error);

	assert_int_equal(st == WEIR_OK, conn != NULL);
	if (st != WEIR_OK)
		assert_int_equal(error.status, st);
	weir_checkin(&conn);
	return st;
}

static void a_refused_connect_is_tried_again_and_then_told(void **state)
{
	int64_t begun;

	(void)state;
	open_pool(WI_FAULT_REFUSED);
	begun = sim_now();
	assert_int_equal(try_checkout(30000), WEIR_CONNECT);
	assert_int_equal(connects(), 5); /* breaker_failures */
	assert_true(sim_now() - begun < WI_SEC);
	assert_string_equal(error.host, "127.0.0.1:5432");
	assert_string_equal(error.text,
	                    "127.0.0.1:5432: refused while connecting: connection refused");
	assert_string_equal(error.sqlstate, "");
	assert_true(sim_stats()->breaker_open);
	assert_int_equal(sim_told(WEIR_EVENT_BREAKER_OPENED), 1);
	assert_int_equal(sim_told(WEIR_EVENT_CONNECT_FAILED), 5);
	close_pool();
}

static void an_open_breaker_fails_callers_at_once(void **state)
{
	int64_t begun;

	(void)state;
	o.pool_min = 1;
	open_pool(WI_FAULT_REFUSED);
	sim_run(2000);
	begun = sim_now();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(try_checkout(30000), WEIR_CONNECT);
		assert_int_equal(try_checkout(0), WEIR_CONNECT);
		assert_non_null(strstr(error.text, "connection refused"));
	}
	assert_int_equal(sim_now(), begun);
	assert_int_equal(sim_stats()->refused, 200);
	assert_int_equal(sim_stats()->timeouts, 0);
	close_pool();
}

/* Ten minutes of outage: the pause doubles up to a minute, and half of it is chance. */
static void an_outage_is_met_with_paced_connects_one_at_a_time(void **state)
{
	uint64_t after_a_minute;

	(void)state;
	o.pool_min = 10;
	open_pool(WI_FAULT_REFUSED);
	sim_run(60000);
	after_a_minute = connects();
	assert_true(after_a_minute >= 5 + 5 && after_a_minute <= 5 + 8);
	sim_run(540000);
	assert_true(connects() - after_a_minute >= 9 && connects() - after_a_minute <= 20);
	assert_int_equal(sim_stats()->opening, 0);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_NONE);
	sim_run(60000);
	assert_int_equal(sim_stats()->idle, 10); /* by itself, within one pause */
	assert_false(sim_stats()->breaker_open);
	assert_int_equal(sim_told(WEIR_EVENT_BREAKER_CLOSED), 1);
	assert_int_equal(try_checkout(0), WEIR_OK);
	close_pool();
}

static void a_pool_without_a_minimum_finds_out_as_well(void **state)
{
	(void)state;
	open_pool(WI_FAULT_REFUSED);
	assert_int_equal(try_checkout(30000), WEIR_CONNECT);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_NONE);
	sim_run(1000); /* the first pause of the breaker */
	assert_int_equal(try_checkout(0), WEIR_OK);
	close_pool();
}

static void the_breaker_is_seen_in_the_statistics(void **state)
{
	(void)state;
	o.pool_min = 1;
	o.breaker_open_ms = 1000;
	open_pool(WI_FAULT_REFUSED);
	assert_int_equal(sim_stats()->breaker, WEIR_BREAKER_CLOSED);
	assert_int_equal(sim_stats()->breaker_since_ms, -1);
	assert_int_equal(sim_stats()->breaker_next_ms, 0);
	assert_int_equal(try_checkout(30000), WEIR_CONNECT);
	assert_int_equal(sim_stats()->breaker, WEIR_BREAKER_OPEN);
	assert_int_equal(sim_stats()->breaker_since_ms, 0);
	assert_true(sim_stats()->breaker_next_ms >= 500 && sim_stats()->breaker_next_ms <= 1000);
	assert_int_equal(sim_stats()->breaker_openings, 1);
	wi_store_rlx(&sim_server()->connect_ns, 300 * WI_MS);
	sim_run(sim_stats()->breaker_next_ms);
	assert_int_equal(sim_stats()->breaker, WEIR_BREAKER_HALF_OPEN);
	assert_int_equal(sim_told(WEIR_EVENT_BREAKER_HALF_OPEN), 1);
	assert_int_equal(sim_stats()->breaker_next_ms, 0);
	sim_run(300); /* the one that tried has failed */
	assert_int_equal(sim_stats()->breaker, WEIR_BREAKER_OPEN);
	assert_true(sim_stats()->breaker_since_ms >= 800);
	assert_true(sim_stats()->breaker_next_ms >= 1000 - 300);
	assert_int_equal(sim_stats()->breaker_openings, 1);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_NONE);
	sim_run(3000);
	assert_int_equal(sim_stats()->breaker, WEIR_BREAKER_CLOSED);
	assert_true(sim_stats()->breaker_since_ms >= 0 && sim_stats()->breaker_since_ms < 3000);
	assert_int_equal(sim_told(WEIR_EVENT_BREAKER_HALF_OPEN), 2);
	assert_int_equal(sim_told(WEIR_EVENT_BREAKER_CLOSED), 1);
	close_pool();
}

static void half_open_lets_one_through_at_a_time(void **state)
{
	(void)state;
	o.pool_min = 5;
	o.breaker_open_ms = 1000;
	open_pool(WI_FAULT_REFUSED);
	sim_run(500);
	assert_int_equal(connects(), 5);
	wi_store_rlx(&sim_server()->connect_ns, 300 * WI_MS);
	for (int i = 0; i < 200; i++) {
		sim_run(50);
		assert_true(sim_stats()->opening <= 1);
		assert_int_equal(try_checkout(1000), WEIR_CONNECT);
	}
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_NONE);
	sim_run(60000);
	assert_int_equal(sim_stats()->idle, 5);
	close_pool();
}

static void a_hiccup_does_not_open_the_breaker(void **state)
{
	(void)state;
	open_pool(WI_FAULT_REFUSED);
	wi_store_rlx(&sim_server()->fail_connects, 3);
	assert_int_equal(try_checkout(30000), WEIR_OK);
	assert_int_equal(sim_stats()->connect_failures, 3);
	assert_int_equal(sim_told(WEIR_EVENT_BREAKER_OPENED), 0);
	close_pool();
}

static void refused_credentials_are_told_at_once(void **state)
{
	int64_t begun;

	(void)state;
	open_pool(WI_FAULT_AUTH);
	begun = sim_now();
	assert_int_equal(try_checkout(30000), WEIR_AUTH);
	assert_int_equal(sim_now(), begun);
	assert_int_equal(connects(), 1);
	assert_string_equal(error.sqlstate, "28P01");
	assert_non_null(strstr(error.text, "password authentication failed"));
	assert_null(strstr(error.text, "s3cret"));
	for (int i = 0; i < 100; i++)
		assert_int_equal(try_checkout(30000), WEIR_AUTH);
	assert_int_equal(connects(), 1); /* no storm */
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_NONE);
	sim_run(2000);
	assert_int_equal(try_checkout(0), WEIR_OK);
	close_pool();
}

static void an_unknown_database_is_told_at_once(void **state)
{
	(void)state;
	open_pool(WI_FAULT_CONFIG);
	assert_int_equal(try_checkout(30000), WEIR_CONNECT);
	assert_int_equal(connects(), 1);
	assert_string_equal(error.sqlstate, "3D000");
	assert_non_null(strstr(error.text, "database does not exist"));
	close_pool();
}

static void a_silent_server_costs_the_connect_timeout(void **state)
{
	int64_t begun;

	(void)state;
	o.connect_timeout_ms = 500;
	open_pool(WI_FAULT_NONE);
	wi_store_rlx(&sim_server()->silent, true);
	begun = sim_now();
	assert_int_equal(try_checkout(1200), WEIR_TIMEOUT);
	assert_int_equal(sim_now() - begun, 1200 * WI_MS);
	assert_non_null(
		strstr(error.text,
	               "last connect error: timeout while connecting: no answer within 500 ms"));
	assert_int_equal(try_checkout(30000), WEIR_CONNECT);
	assert_true(sim_now() - begun < 4000 * WI_MS);
	wi_store_rlx(&sim_server()->silent, false);
	sim_run(2000);
	assert_int_equal(try_checkout(0), WEIR_OK);
	close_pool();
	assert_int_equal(wi_load_rlx(&sim_server()->sessions), 0);
}

static void a_connect_outlives_the_caller_it_was_begun_for(void **state)
{
	(void)state;
	open_pool(WI_FAULT_NONE);
	wi_store_rlx(&sim_server()->connect_ns, 100 * WI_MS);
	assert_int_equal(try_checkout(50), WEIR_TIMEOUT);
	sim_run(100);
	assert_int_equal(connects(), 1);
	assert_int_equal(sim_stats()->idle, 1);
	assert_int_equal(try_checkout(0), WEIR_OK);
	close_pool();
}

static weir_status outcome[8];

static void use_30_ms(void *arg)
{
	weir_status *to = arg;
	weir_conn *conn = NULL;

	*to = weir_pool_checkout(sim_pool(), 10000, &conn, NULL);
	if (*to == WEIR_OK)
		sim_sleep(30);
	weir_checkin(&conn);
}

static void a_full_server_is_lived_with(void **state)
{
	(void)state;
	o.pool_max = 8;
	open_pool(WI_FAULT_NONE);
	wi_store_rlx(&sim_server()->max_sessions, 2);
	for (int i = 0; i < 8; i++)
		sim_spawn(use_30_ms, &outcome[i]);
	sim_join();
	for (int i = 0; i < 8; i++)
		assert_int_equal(outcome[i], WEIR_OK); /* by the two that there are */
	assert_non_null(strstr(sim_stats()->last_connect_error, "too many clients"));
	assert_true(connects() <= 2 + 6);
	close_pool();
}

/* One more is wanted than there is room for: it is asked for again and again, and costs nothing. */
static void what_lies_idle_is_kept_while_the_server_is_full(void **state)
{
	(void)state;
	o.pool_min = 3;
	o.pool_max = 8;
	open_pool(WI_FAULT_NONE);
	wi_store_rlx(&sim_server()->max_sessions, 2);
	sim_run(60000);
	assert_int_equal(sim_stats()->idle, 2);
	assert_int_equal(sim_stats()->opened, 2);
	assert_false(sim_stats()->breaker_open);
	/* Pauses of 10, 20, ... 640, 1000, 1000 ms, each of them halved at most. */
	assert_in_range(connects(), 2 + 7 + 58, 2 + 7 + 120);
	wi_store_rlx(&sim_server()->max_sessions, 0);
	sim_run(1000);
	assert_int_equal(sim_stats()->idle, 3);
	assert_int_equal(sim_stats()->opened, 3);
	close_pool();
}

static void an_open_breaker_does_not_stop_what_is_open(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pool_max = 3;
	o.keepalive_ms = o.validate_after_ms = 0;
	open_pool(WI_FAULT_NONE);
	conn = sim_checkout(1000);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_REFUSED);
	assert_int_equal(try_checkout(5000), WEIR_TIMEOUT);
	assert_true(sim_stats()->breaker_open);
	weir_checkin(&conn);
	for (int i = 0; i < 100; i++)
		assert_int_equal(try_checkout(1000), WEIR_OK);
	close_pool();
}

static void wait_30_s(void *arg)
{
	*(weir_status *)arg = try_checkout(30000);
}

/* Somebody waits for the one connection there is, connects fail, and then that one is lost. */
static void who_waits_for_the_last_one_is_told_when_it_is_lost(void **state)
{
	weir_conn *conn;
	int64_t lost;

	(void)state;
	o.pool_max = 3;
	open_pool(WI_FAULT_NONE);
	conn = sim_checkout(1000);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_REFUSED);
	sim_spawn(wait_30_s, &outcome[0]);
	sim_run(5000);
	assert_true(sim_stats()->breaker_open);
	assert_int_equal(sim_stats()->waiting, 1); /* for the one that is in use */
	weir_discard(&conn);
	lost = sim_now();
	sim_settle();
	assert_int_equal(sim_stats()->waiting, 0);
	sim_join();
	assert_int_equal(outcome[0], WEIR_CONNECT);
	assert_int_equal(sim_now(), lost);
	close_pool();
}

static void without_a_breaker_callers_wait_to_their_deadline(void **state)
{
	int64_t begun;

	(void)state;
	o.breaker_failures = 0;
	open_pool(WI_FAULT_REFUSED);
	begun = sim_now();
	assert_int_equal(try_checkout(5000), WEIR_TIMEOUT);
	assert_int_equal(sim_now() - begun, 5000 * WI_MS);
	assert_non_null(strstr(
		error.text, "; last connect error: refused while connecting: connection refused"));
	assert_false(sim_stats()->breaker_open);
	assert_true(connects() >= 8 && connects() <= 20); /* 10 ms doubling to 1 s */
	close_pool();
}

/* With several callers and a connect that is refused after a while, nobody is forgotten. */
static void all_who_wait_are_told(void **state)
{
	(void)state;
	open_pool(WI_FAULT_STARTING);
	wi_store_rlx(&sim_server()->connect_ns, 20 * WI_MS);
	for (int i = 0; i < 8; i++)
		sim_spawn(use_30_ms, &outcome[i]);
	sim_join();
	for (int i = 0; i < 8; i++)
		assert_int_equal(outcome[i], WEIR_CONNECT);
	assert_int_equal(sim_stats()->refused, 8);
	close_pool();
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_refused_connect_is_tried_again_and_then_told),
		TEST(an_open_breaker_fails_callers_at_once),
		TEST(an_outage_is_met_with_paced_connects_one_at_a_time),
		TEST(a_pool_without_a_minimum_finds_out_as_well),
		TEST(the_breaker_is_seen_in_the_statistics),
		TEST(half_open_lets_one_through_at_a_time),
		TEST(a_hiccup_does_not_open_the_breaker),
		TEST(refused_credentials_are_told_at_once),
		TEST(an_unknown_database_is_told_at_once),
		TEST(a_silent_server_costs_the_connect_timeout),
		TEST(a_connect_outlives_the_caller_it_was_begun_for),
		TEST(a_full_server_is_lived_with),
		TEST(what_lies_idle_is_kept_while_the_server_is_full),
		TEST(an_open_breaker_does_not_stop_what_is_open),
		TEST(who_waits_for_the_last_one_is_told_when_it_is_lost),
		TEST(without_a_breaker_callers_wait_to_their_deadline),
		TEST(all_who_wait_are_told),
	};

	test_watchdog(60, "sim.pool_fault");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

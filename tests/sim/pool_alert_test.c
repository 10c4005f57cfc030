/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a pool watches over itself, in a world whose clock the test moves: each alert rule is
 * raised, told again after the cooldown, and over.
 */
#include "stat/alert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fault.h"
#include "pool/pool.h"
#include "support/sim.h"
#include "support/watchdog.h"

static weir_options o;
static weir_alert alert[WEIR_ALERT_RULES];

/* A look every ten seconds, a window of a minute, a cooldown of five: the defaults. */
static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	o.pool_max = 2;
	o.breaker_failures = 0;
	return 0;
}

/* The alert of a rule, if it is raised. */
static const weir_alert *raised(weir_alert_rule rule)
{
	size_t n = weir_pool_alerts_get(sim_pool(), alert, WEIR_ALERT_RULES);

	for (size_t i = 0; i < n; i++)
		if (alert[i].rule == rule)
			return &alert[i];
	return NULL;
}

static size_t all_raised(void)
{
	return weir_pool_alerts_get(sim_pool(), NULL, 0);
}

static void minutes(int n)
{
	sim_run(60000 * (int64_t)n);
}

/* The rule is raised; told once in five minutes while `goes_on` keeps it so. */
static void lasts(weir_alert_rule rule, void (*goes_on)(void))
{
	int told = sim_told(WEIR_EVENT_ALERT_RAISED);
	const weir_alert *a = raised(rule);

	assert_non_null(a);
	assert_true(a->told);
	assert_int_equal(told, 1);
	assert_non_null(strstr(sim_text(WEIR_EVENT_ALERT_RAISED), weir_alert_name(rule)));
	for (int i = 0; i < 4; i++) {
		if (goes_on)
			goes_on();
		minutes(1);
	}
	assert_int_equal(sim_told(WEIR_EVENT_ALERT_RAISED), 1);
	for (int i = 0; i < 2; i++) {
		if (goes_on)
			goes_on();
		minutes(1);
	}
	assert_int_equal(sim_told(WEIR_EVENT_ALERT_RAISED), 2);
	assert_int_equal(sim_told(WEIR_EVENT_ALERT_CLEARED), 0);
}

static void is_over(weir_alert_rule rule)
{
	minutes(2);
	assert_null(raised(rule));
	assert_int_equal(all_raised(), 0);
	assert_int_equal(sim_told(WEIR_EVENT_ALERT_CLEARED), 1);
	assert_non_null(strstr(sim_text(WEIR_EVENT_ALERT_CLEARED), weir_alert_name(rule)));
	assert_int_equal(sim_told(WEIR_EVENT_ALERT_RAISED), 2);
}

static void nothing_is_raised_of_a_pool_that_is_well(void **state)
{
	weir_conn *conn;

	(void)state;
	sim_begin(&o);
	for (int i = 0; i < 50; i++) {
		conn = sim_checkout(1000);
		sim_run(500);
		weir_checkin(&conn);
		sim_run(2000);
	}
	assert_int_equal(all_raised(), 0);
	assert_int_equal(sim_told(WEIR_EVENT_ALERT_RAISED), 0);
	assert_int_equal(sim_told(WEIR_EVENT_ALERT_CLEARED), 0);
	assert_int_equal(sim_told(WEIR_EVENT_EXHAUSTED), 0);
	sim_end();
}

static void a_pool_that_cannot_connect_is_unhealthy(void **state)
{
	const weir_alert *a;

	(void)state;
	o.pool_min = 1;
	o.alert_failure_pct = 0;
	sim_begin(&o);
	sim_run(60000);
	assert_int_equal(all_raised(), 0);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_REFUSED);
	(void)wi_fake_kill(sim_server());
	sim_run(12000);
	a = raised(WEIR_ALERT_UNHEALTHY);
	assert_non_null(a);
	assert_int_equal(a->severity, WEIR_SEVERITY_CRITICAL);
	assert_string_equal(a->host, "127.0.0.1:5432");
	assert_true(a->since_ns <= sim_now() && a->since_ns > sim_now() - 12 * WI_SEC);
	lasts(WEIR_ALERT_UNHEALTHY, NULL);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_NONE);
	is_over(WEIR_ALERT_UNHEALTHY);
	sim_end();
}

static void an_open_breaker_is_an_alert(void **state)
{
	(void)state;
	o.pool_min = 1;
	o.breaker_failures = 3;
	o.alert_failure_pct = 0;
	sim_begin(&o);
	sim_run(20000);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_REFUSED);
	(void)wi_fake_kill(sim_server());
	sim_run(15000);
	assert_non_null(raised(WEIR_ALERT_BREAKER_OPEN));
	assert_non_null(raised(WEIR_ALERT_UNHEALTHY));
	assert_int_equal(sim_told(WEIR_EVENT_ALERT_RAISED), 2);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_NONE);
	minutes(3);
	assert_int_equal(all_raised(), 0);
	assert_int_equal(sim_told(WEIR_EVENT_ALERT_CLEARED), 2);
	sim_end();
}

static void fail_checkouts(void)
{
	for (int i = 0; i < 8; i++)
		assert_null(sim_checkout(10));
}

static void many_failures_are_an_alert(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pool_max = 1;
	o.alert_usage_pct = 0;
	o.leak_after_ms = 0;
	sim_begin(&o);
	sim_run(15000);
	conn = sim_checkout(1000);
	fail_checkouts();
	sim_run(10000);
	assert_int_equal(raised(WEIR_ALERT_FAILURE_RATE)->value, 88); /* 8 of 9 */
	lasts(WEIR_ALERT_FAILURE_RATE, fail_checkouts);
	weir_checkin(&conn);
	is_over(WEIR_ALERT_FAILURE_RATE);
	sim_end();
}

static void failed_connects_count_for_themselves(void **state)
{
	weir_conn *conn;

	(void)state;
	sim_begin(&o);
	sim_run(15000);
	/* Checkouts are fine, hundreds of them; the second connection never comes. */
	conn = sim_checkout(1000);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_REFUSED);
	for (int i = 0; i < 20; i++) {
		assert_null(sim_checkout(100));
		weir_checkin(&conn);
		for (int j = 0; j < 100; j++) {
			conn = sim_checkout(1000);
			if (j < 99)
				weir_checkin(&conn);
		}
		sim_run(1000);
	}
	assert_non_null(raised(WEIR_ALERT_FAILURE_RATE));
	assert_int_equal(raised(WEIR_ALERT_FAILURE_RATE)->threshold, 50);
	weir_checkin(&conn);
	sim_end();
}

static void leak_one(void)
{
	weir_conn *conn = sim_checkout(1000);

	assert_non_null(conn);
	sim_run(1500);
	weir_checkin(&conn);
}

static void leaks_are_an_alert(void **state)
{
	(void)state;
	o.leak_after_ms = 1000;
	sim_begin(&o);
	sim_run(20000);
	leak_one();
	sim_run(10000);
	assert_int_equal(raised(WEIR_ALERT_LEAKS)->value, 1);
	assert_int_equal(raised(WEIR_ALERT_LEAKS)->severity, WEIR_SEVERITY_WARNING);
	lasts(WEIR_ALERT_LEAKS, leak_one);
	is_over(WEIR_ALERT_LEAKS);
	sim_end();
}

static void usage_is_an_alert(void **state)
{
	weir_conn *conn[2];

	(void)state;
	o.leak_after_ms = 0;
	sim_begin(&o);
	sim_run(15000);
	conn[0] = sim_checkout(1000);
	minutes(2);
	assert_int_equal(all_raised(), 0); /* one of two is half */
	conn[1] = sim_checkout(1000);
	sim_run(8000);
	assert_int_equal(all_raised(), 0); /* one look saw it, if any did */
	sim_run(14000);
	assert_int_equal(raised(WEIR_ALERT_USAGE)->value, 100);
	lasts(WEIR_ALERT_USAGE, NULL);
	weir_checkin(&conn[1]);
	is_over(WEIR_ALERT_USAGE);
	weir_checkin(&conn[0]);
	sim_end();
}

static void ask_slowly(void)
{
	weir_conn *conn = sim_checkout(1000);

	for (int i = 0; i < 12; i++)
		wi_tally_query(wi_conn_of(conn), sim_now() - 2 * WI_SEC, sim_now(), WEIR_OK,
		               "a report");
	weir_checkin(&conn);
}

static void slow_statements_are_an_alert(void **state)
{
	(void)state;
	sim_begin(&o);
	sim_run(15000);
	ask_slowly();
	assert_int_equal(sim_told(WEIR_EVENT_SLOW_QUERY), 1);
	assert_string_equal(sim_text(WEIR_EVENT_SLOW_QUERY),
	                    "OK after 2000.0 ms (slow_query_ms is 1000), for a report");
	sim_run(10000);
	assert_int_equal(raised(WEIR_ALERT_SLOW_QUERIES)->value, 12);
	assert_int_equal(sim_stats()->slow_queries, 12);
	assert_int_equal(sim_stats()->slow_checkouts, 0);
	lasts(WEIR_ALERT_SLOW_QUERIES, ask_slowly);
	assert_non_null(strstr(sim_text(WEIR_EVENT_SLOW_QUERY), "; 11 more since the last"));
	is_over(WEIR_ALERT_SLOW_QUERIES);
	sim_end();
}

static void keep_twelve_waiting(void)
{
	sim_keep_waiting(12, 3000);
}

static void slow_checkouts_are_an_alert(void **state)
{
	char *text;

	(void)state;
	sim_begin(&o);
	sim_run(15000);
	sim_keep_waiting(12, 3000);
	sim_run(10000);
	assert_int_equal(sim_told(WEIR_EVENT_SLOW_CHECKOUT), 1);
	assert_non_null(strstr(sim_text(WEIR_EVENT_SLOW_CHECKOUT), "OK after 3000"));
	assert_int_equal(raised(WEIR_ALERT_SLOW_CHECKOUTS)->value, 12);
	assert_int_equal(sim_stats()->slow_checkouts, 12);
	assert_int_equal(weir_pool_metrics(sim_pool(), WEIR_METRICS_PROMETHEUS, &text, NULL, NULL),
	                 WEIR_OK);
	assert_non_null(strstr(text, "\nweir_slow_checkouts_total 12\n"));
	weir_text_free(text);
	assert_int_equal(sim_stats()->slow_queries, 0);
	lasts(WEIR_ALERT_SLOW_CHECKOUTS, keep_twelve_waiting);
	assert_non_null(strstr(sim_text(WEIR_EVENT_SLOW_CHECKOUT), "; 11 more since the last"));
	is_over(WEIR_ALERT_SLOW_CHECKOUTS);
	sim_end();
}

static void with_monitoring_off_nothing_is_judged(void **state)
{
	(void)state;
	o.monitoring = 0;
	o.pool_min = 1;
	sim_begin(&o);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_REFUSED);
	minutes(3);
	assert_int_equal(all_raised(), 0);
	assert_int_equal(sim_told(WEIR_EVENT_ALERT_RAISED), 0);
	sim_end();
	o.monitoring = 1;
	o.metrics_interval_ms = 0;
	sim_begin(&o);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_REFUSED);
	minutes(3);
	assert_int_equal(all_raised(), 0);
	sim_end();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_raised_of_a_pool_that_is_well),
		TEST(a_pool_that_cannot_connect_is_unhealthy),
		TEST(an_open_breaker_is_an_alert),
		TEST(many_failures_are_an_alert),
		TEST(failed_connects_count_for_themselves),
		TEST(leaks_are_an_alert),
		TEST(usage_is_an_alert),
		TEST(slow_statements_are_an_alert),
		TEST(slow_checkouts_are_an_alert),
		TEST(with_monitoring_off_nothing_is_judged),
	};

	test_watchdog(100, "sim.pool_alert");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a router watches over itself: that there is somebody to write to, how checkouts fare, and
 * what is each host's; all of it told, listed, and remembered in one place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fault.h"
#include "route/router.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

static weir_alert alert[64];
static weir_event_record record[WEIR_EVENTS_KEPT];

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	options.probe_interval_ms = 20;
	options.hold_down_ms = 0;
	options.breaker_failures = 0;
	options.alert_failure_pct = 0;
	options.alert_usage_pct = 0;
	options.metrics_interval_ms = 20;
	options.alert_window_ms = 1000;
	return 0;
}

/* The alert of this rule and host, or NULL. */
static const weir_alert *raised(weir_alert_rule rule, const char *host)
{
	size_t n = weir_router_alerts_get(router, alert, 64);

	for (size_t i = 0; i < n; i++)
		if (alert[i].rule == rule && strcmp(alert[i].host, host) == 0)
			return &alert[i];
	return NULL;
}

/* The watchdog bounds these. */
static void await_raised(weir_alert_rule rule, const char *host)
{
	while (!raised(rule, host))
		a_moment();
}

static void await_over(weir_alert_rule rule, const char *host)
{
	while (raised(rule, host))
		a_moment();
}

/* How many remembered events of a kind have this word; the text of the last in *text. */
static int remembered(weir_event_kind kind, const char *word, const char **text)
{
	size_t n = weir_router_events_get(router, 0, record, WEIR_EVENTS_KEPT, NULL);
	int found = 0;

	for (size_t i = 0; i < n; i++) {
		if (record[i].kind != kind || !strstr(record[i].text, word))
			continue;
		found++;
		if (text)
			*text = record[i].text;
	}
	return found;
}

static void fail_host(int i, enum wi_fault fault)
{
	wi_store_rlx(&cluster.host[i].server.connect_fault, fault);
	if (fault != WI_FAULT_NONE)
		(void)wi_fake_kill(&cluster.host[i].server);
}

static void nobody_to_write_to_is_an_alert(void **state)
{
	const char *text = "";

	(void)state;
	open_warm();
	fail_host(0, WI_FAULT_REFUSED);
	await_raised(WEIR_ALERT_UNHEALTHY, "");
	assert_int_equal(raised(WEIR_ALERT_UNHEALTHY, "")->severity, WEIR_SEVERITY_CRITICAL);
	assert_true(remembered(WEIR_EVENT_ALERT_RAISED, "UNHEALTHY", &text) >= 1);
	assert_non_null(strstr(text, "no host takes writes"));
	fail_host(0, WI_FAULT_NONE);
	await_over(WEIR_ALERT_UNHEALTHY, "");
	while (!remembered(WEIR_EVENT_ALERT_CLEARED, "UNHEALTHY", NULL))
		a_moment();
	assert_true(weir_router_events_count(router, WEIR_EVENT_ALERT_CLEARED) >= 1);
}

static void nobody_at_all_is_one_too(void **state)
{
	const char *text = "";

	(void)state;
	options.alert_cooldown_ms = 50;
	open_warm();
	for (int i = 0; i < 3; i++)
		fail_host(i, WI_FAULT_REFUSED);
	while (!remembered(WEIR_EVENT_ALERT_RAISED, "no host is reachable", &text))
		a_moment();
	assert_non_null(strstr(text, "CRITICAL: UNHEALTHY: 1 (from 1 on)"));
	/* It lasts: told again, after the cooldown. */
	while (remembered(WEIR_EVENT_ALERT_RAISED, "no host is reachable", NULL) < 3)
		a_moment();
}

/* A breaker is one host's: the others are not spoken of. */
static void what_is_one_hosts_says_so(void **state)
{
	(void)state;
	options.breaker_failures = 2;
	options.breaker_open_ms = 60000;
	open_warm();
	fail_host(2, WI_FAULT_REFUSED);
	await_raised(WEIR_ALERT_BREAKER_OPEN, "127.0.0.1:6002");
	assert_null(raised(WEIR_ALERT_BREAKER_OPEN, "127.0.0.1:6001"));
	assert_null(raised(WEIR_ALERT_BREAKER_OPEN, ""));
	fail_host(2, WI_FAULT_NONE);
	await_over(WEIR_ALERT_BREAKER_OPEN, "127.0.0.1:6002");
}

static weir_status checkout(int64_t timeout_ms, weir_conn **conn)
{
	weir_request q = {.size = sizeof(q),
	                  .intent = WEIR_WRITE,
	                  .timeout_ms = timeout_ms,
	                  .tag = "an order"};

	return weir_checkout_with(router, &q, conn, &said);
}

static void slow_and_failed_checkouts_are_the_routers(void **state)
{
	const char *text = "";
	weir_conn *held = NULL, *conn = NULL;
	weir_stats stats;

	(void)state;
	options.pool_min = options.pool_max = 1;
	options.slow_checkout_ms = 5;
	options.alert_slow_checkouts = 3;
	options.alert_failure_pct = 50;
	options.alert_window_ms = 60000;
	open_warm();
	assert_int_equal(checkout(20000, &held), WEIR_OK);
	for (int i = 0; i < 20; i++)
		assert_int_not_equal(checkout(10, &conn), WEIR_OK);
	await_raised(WEIR_ALERT_SLOW_CHECKOUTS, "");
	await_raised(WEIR_ALERT_FAILURE_RATE, "");
	assert_true(remembered(WEIR_EVENT_SLOW_CHECKOUT, "for an order", &text) >= 1);
	weir_stats_get(router, &stats);
	assert_in_range(stats.slow_checkouts, 20, 21); /* the first may have been slow, too */
	assert_int_equal(stats.pool.slow_checkouts, 0);
	assert_non_null(strstr(text, " after "));
	assert_true(remembered(WEIR_EVENT_EXHAUSTED, "all 1 connections are out", NULL) >= 1);
	weir_checkin(&held);
}

/* Checkouts by the hundred that succeed, and a few that do not. */
static void check_out(weir_intent intent, int n, int of_them_in_vain)
{
	weir_request q = {.size = sizeof(q), .intent = intent, .timeout_ms = 20000};
	weir_conn *c = NULL;

	for (int i = 0; i < n; i++) {
		assert_int_equal(weir_checkout_with(router, &q, &c, &said), WEIR_OK);
		weir_checkin(&c);
	}
	q.at_least = (weir_token){.system = 1, .lsn = 1, .timeline = 1}; /* nobody's */
	q.timeout_ms = WEIR_NO_WAIT;
	for (int i = 0; i < of_them_in_vain; i++)
		assert_int_not_equal(weir_checkout_with(router, &q, &c, &said), WEIR_OK);
}

/* The share of what failed is of all that was tried, at a host that has left as well. */
static void who_leaves_takes_no_tries_away(void **state)
{
	int64_t value;

	(void)state;
	options.alert_failure_pct = 10;
	options.alert_window_ms = 60000;
	options.metrics_interval_ms = 0;
	options.read_fallback = WEIR_READ_FALLBACK_FAIL;
	open_warm();
	assert_int_equal(weir_router_host_drain(router, "127.0.0.1:6001", true, &said), WEIR_OK);
	check_out(WEIR_READ, 100, 0);
	options.metrics_interval_ms = 20; /* the window begins here */
	assert_int_equal(weir_router_reload(router, &options, &said), WEIR_OK);
	fail_host(0, WI_FAULT_REFUSED);
	await_raised(WEIR_ALERT_UNHEALTHY, "");
	fail_host(0, WI_FAULT_NONE);
	await_over(WEIR_ALERT_UNHEALTHY, "");
	assert_int_equal(weir_router_host_remove(router, "127.0.0.1:6002", &said), WEIR_OK);
	check_out(WEIR_WRITE, 105, 0);
	check_out(WEIR_READ, 0, 20);
	do {
		await_raised(WEIR_ALERT_FAILURE_RATE, "");
		value = raised(WEIR_ALERT_FAILURE_RATE, "")->value;
		assert_true(value <= 20);
	} while (value < 15);
}

/* Pools of hosts tell into the router's ring. */
static void all_is_remembered_in_one_place(void **state)
{
	uint64_t lost = 1, last = 0;
	size_t n;

	(void)state;
	open_warm();
	n = weir_router_events_get(router, 0, record, WEIR_EVENTS_KEPT, &lost);
	assert_int_equal(lost, 0);
	assert_true(remembered(WEIR_EVENT_CONNECTED, "", NULL) >= 3);
	assert_true(remembered(WEIR_EVENT_ROLE_CHANGED, "", NULL) >= 3);
	for (size_t i = 0; i < n; i++) {
		assert_true(record[i].sequence == last + 1);
		last++;
	}
	assert_int_equal(weir_router_events_get(NULL, 0, record, 1, &lost), 0);
	assert_int_equal(weir_router_events_count(NULL, WEIR_EVENT_LOST), 0);
	assert_int_equal(weir_router_alerts_get(NULL, alert, 1), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		TEST(nobody_to_write_to_is_an_alert),
		TEST(nobody_at_all_is_one_too),
		TEST(what_is_one_hosts_says_so),
		TEST(slow_and_failed_checkouts_are_the_routers),
		TEST(who_leaves_takes_no_tries_away),
		TEST(all_is_remembered_in_one_place),
	};

	test_watchdog(100, "sim.router_alert");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

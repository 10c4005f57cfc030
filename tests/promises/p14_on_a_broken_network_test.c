/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 14 again, on a network of its own whose packets are really lost: into a black hole, in
 * one direction only, answered by RST; and with a resolver that is not there. Checkouts end by
 * their deadline and 50 ms, and no caller's thread looks up a name. When the network is whole
 * again, the same pool serves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "promises/p14_caller.h"
#include "support/mock_server.h"
#include "support/netns.h"
#include "support/shapes.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000

static struct test_mock *mock;
static weir_options o;
static weir_pool *pool;
static weir_error error;

static void open_at(const char *host)
{
	char conninfo[256];

	weir_options_init(&o);
	o.pool_min = 0;
	o.connect_timeout_ms = 300;
	o.breaker_open_ms = 50;
	snprintf(conninfo, sizeof(conninfo),
	         "host=%s port=%d user=app dbname=shop sslmode=disable gssencmode=disable", host,
	         test_mock_port(mock));
	if (weir_pool_open(conninfo, &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

static void nobody_is_late(const char *words)
{
	int64_t until_ns;
	struct p14_late late;
	weir_conn *conn = NULL;

	p14_call_in_vain(&pool, 1, &late);
	printf("          %llu checkouts, at worst %.1f ms late\n", (unsigned long long)late.calls,
	       (double)late.worst_ns / 1e6);
	if (late.wrong[0])
		fail_msg("%s", late.wrong);
	if (late.worst_ns > p14_slack_ns())
		fail_msg("%.1f ms late", (double)late.worst_ns / 1e6);
	until_ns = wi_now_ns() + PATIENCE_MS / 4 * WI_MS;
	/*
	 * One that the machine has kept for longer than the caller may wait says so another time.
	 */
	do
		assert_int_not_equal(weir_pool_checkout(pool, 400, &conn, &error), WEIR_OK);
	while (!strstr(error.text, words) && wi_now_ns() < until_ns);
	if (!strstr(error.text, words))
		fail_msg("\"%s\" does not say \"%s\"", error.text, words);
	assert_int_equal(wi_load_rlx(&p14_lookups_by_callers), 0);
}

static void it_serves_and_is_closed(void)
{
	weir_conn *conn = NULL;

	while (weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK) {
		if (error.status != WEIR_CONNECT)
			fail_msg("%s", error.text);
		test_nap(5 * WI_MS); /* the breaker is open for a moment yet */
	}
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

static void with_fault(enum test_netns_fault fault, const char *words)
{
	test_netns_fault(fault, test_mock_port(mock));
	open_at(TEST_NETNS_DB_ADDRESS);
	nobody_is_late(words);
	test_netns_heal();
	it_serves_and_is_closed();
}

static void black_hole(void **state)
{
	(void)state;
	with_fault(TEST_NETNS_BLACK_HOLE, "timeout while connecting: no answer within 300 ms");
}

static void nothing_comes_back(void **state)
{
	(void)state;
	with_fault(TEST_NETNS_FROM_DB, "timeout while connecting: no answer within 300 ms");
}

static void nothing_gets_there(void **state)
{
	(void)state;
	with_fault(TEST_NETNS_TO_DB, "timeout while connecting: no answer within 300 ms");
}

static void turned_back(void **state)
{
	(void)state;
	with_fault(TEST_NETNS_RESET, "refused");
}

static void dead_resolver(void **state)
{
	(void)state;
	test_netns_dead_resolver(true);
	open_at("db.test");
	nobody_is_late("timeout while looking up the host name: no answer within 300 ms");
	assert_true(wi_load_rlx(&p14_lookups) > 0);
	test_netns_dead_resolver(false);
	test_netns_hosts(TEST_NETNS_DB_ADDRESS " db.test\n");
	it_serves_and_is_closed();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(black_hole),         cmocka_unit_test(nothing_comes_back),
		cmocka_unit_test(nothing_gets_there), cmocka_unit_test(turned_back),
		cmocka_unit_test(dead_resolver),
	};
	int failed;

	test_netns_make_or_exit();
	test_watchdog(200, "promise.14_on_a_broken_network");
	test_netns_enter(TEST_NETNS_DB);
	mock = test_mock_start(
		&(struct test_mock_options){.address = "0.0.0.0", .max_seconds = 200});
	test_netns_enter(TEST_NETNS_APP);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	test_mock_stop(&mock);
	return failed;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 21: a wrong password, or one that is no longer right, fails fast, is tried at most once
 * in each step of the backoff, and marks no host as down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "support/mock_server.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000

static struct test_mock *mock;
static char conninfo[512];
static weir_options o;
static weir_error error;

static void sleep_ms(int64_t ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static int set_up(void **state)
{
	(void)state;
	mock = test_mock_start(NULL);
	test_mock_password(mock, "right");
	strcpy(stpcpy(conninfo, test_mock_conninfo(mock)), " password=right");
	weir_options_init(&o);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_mock_stop(&mock);
	return 0;
}

static void it_fails_fast_and_is_seldom_tried(void **state)
{
	const int64_t begun = wi_now_ns(), for_ms = 2500;
	int64_t times[64];
	weir_pool_stats s;
	weir_pool *pool = NULL;
	weir_conn *conn = NULL;
	int callers = 0;
	size_t n;

	(void)state;
	test_mock_password(mock, "another");
	assert_int_equal(weir_pool_open(conninfo, &o, &pool, &error), WEIR_OK);
	for (; wi_now_ns() - begun < for_ms * WI_MS || test_mock_connect_times(mock, times, 64) < 2;
	     callers++) {
		assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_AUTH);
		sleep_ms(1);
	}
	assert_string_equal(error.sqlstate, "28P01");
	assert_non_null(strstr(error.text, "auth while connecting: "));
	n = test_mock_connect_times(mock, times, 64);
	weir_pool_stats_get(pool, &s);
	print_message("%d callers were told in %.1f s, by %zu connects\n", callers,
	              (double)(wi_now_ns() - begun) / 1e9, n);
	/* Pauses of 0.5 to 1, 1 to 2, 2 to 4 s; and the machine may have its own in between. */
	assert_true(n <= 3 + (size_t)((wi_now_ns() - begun) / (for_ms * WI_MS)));
	for (size_t i = 1; i < n; i++)
		assert_true(times[i] - times[i - 1] >= (INT64_C(500) << (i - 1)) * WI_MS - WI_MS);
	assert_int_equal(s.connect_failed_of[WEIR_CONNECT_AUTH], s.connect_failures);
	/* Set right, it works within a step. */
	test_mock_password(mock, "right");
	while (weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		sleep_ms(5);
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

static weir_host_stats host_of(weir_router *router)
{
	weir_host_stats h;

	assert_int_equal(weir_router_stats_get(router, &h, 1), 1);
	return h;
}

/* The password is changed at the server while a router works there. */
static void no_host_is_marked_down(void **state)
{
	const weir_request patient = WEIR_REQUEST(.timeout_ms = PATIENCE_MS);
	weir_conn *conn = NULL, *kept = NULL;
	weir_router *router = NULL;
	int64_t until_ns;

	(void)state;
	o.pool_min = 0;
	o.pool_max = 4;
	o.probe_interval_ms = 20;
	o.checkout_timeout_ms = 300;
	assert_int_equal(weir_router_open(conninfo, &o, &router, &error), WEIR_OK);
	assert_int_equal(weir_checkout_with(router, &patient, &kept, &error), WEIR_OK);
	test_mock_password(mock, "another");
	/*
	 * What is open goes on; a connection more is refused, and says why, when it has been tried.
	 */
	until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;
	do
		assert_int_not_equal(weir_checkout(router, WEIR_WRITE, &conn, &error), WEIR_OK);
	while (!strstr(error.text, "auth while connecting: ") && wi_now_ns() < until_ns);
	assert_non_null(strstr(error.text, "auth while connecting: "));
	for (int i = 0; i < 5; i++) {
		assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
		assert_int_equal(host_of(router).role, WEIR_ROLE_PRIMARY);
		assert_true(host_of(router).reachable);
	}
	weir_checkin(&kept);
	assert_int_equal(weir_checkout_with(router, &patient, &kept, &error), WEIR_OK);
	weir_checkin(&kept);
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
}

/*
 * A router that has the wrong password from the start, and looks at its hosts every 20 ms: each of
 * these looks would be a login, and some servers lock an account for less.
 */
static void a_router_tries_as_seldom(void **state)
{
	weir_router *router = NULL;
	int64_t times[64];
	size_t n;

	(void)state;
	test_mock_password(mock, "another");
	o.pool_min = 0;
	o.probe_interval_ms = 20;
	assert_int_equal(weir_router_open(conninfo, &o, &router, &error), WEIR_OK);
	assert_true(test_mock_await_connects(mock, 3, PATIENCE_MS));
	n = test_mock_connect_times(mock, times, 64);
	/* Pauses of 100, 200 ms and so on, each less a tenth at most. */
	for (size_t i = 1; i < n; i++)
		assert_true(times[i] - times[i - 1] >= (INT64_C(90) << (i - 1)) * WI_MS - WI_MS);
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_fails_fast_and_is_seldom_tried),
		TEST(no_host_is_marked_down),
		TEST(a_router_tries_as_seldom),
	};

	test_watchdog(280, "promise.21_wrong_password");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

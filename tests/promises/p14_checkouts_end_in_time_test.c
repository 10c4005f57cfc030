/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 14. Whatever is wrong with the server (nobody listens, its network swallows everything,
 * it accepts and says nothing, it says a byte a second, it is stopped, its name cannot be looked
 * up), a checkout ends by its deadline and 50 ms; its error names the host, what was being done and
 * what went wrong; and no caller's thread ever looks up a name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "promises/p14_caller.h"
#include "support/mock_server.h"
#include "support/process.h"
#include "support/shapes.h"
#include "support/watchdog.h"

#define CONNECT_MS 300
#define SOON_MS 100   /* before a connect has failed */
#define LATER_MS 1500 /* after one has */

static struct test_mock *mock;
static weir_options o;
static weir_pool *pool;
static weir_error error;

static int set_up(void **state)
{
	(void)state;
	mock = test_mock_start(NULL);
	weir_options_init(&o);
	o.pool_min = 0;
	o.connect_timeout_ms = CONNECT_MS;
	o.breaker_failures = 0; /* callers wait as long as they may */
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_mock_stop(&mock);
	return 0;
}

static void open_at(const char *host, int port)
{
	char conninfo[256];

	snprintf(conninfo, sizeof(conninfo),
	         "host=%s port=%d user=app dbname=shop sslmode=disable gssencmode=disable", host,
	         port);
	if (weir_pool_open(conninfo, &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

/* One checkout in vain; its error says both. */
static void fails_and_says(int64_t ms, const char *what, const char *why)
{
	weir_conn *conn = NULL;
	weir_status st = weir_pool_checkout(pool, ms, &conn, &error);

	assert_true(st == WEIR_TIMEOUT || st == WEIR_CONNECT);
	if (!error.host[0] || !strstr(error.text, error.host))
		fail_msg("the host is not named: \"%s\"", error.text);
	if (!strstr(error.text, what) || !strstr(error.text, why))
		fail_msg("\"%s\" does not say \"%s\" and \"%s\"", error.text, what, why);
	printf("          %s\n", error.text);
}

static void nobody_is_late(void)
{
	struct p14_late late;

	p14_call_in_vain(pool, &late);
	printf("          %llu checkouts, at worst %.1f ms late\n", (unsigned long long)late.calls,
	       (double)late.worst_ns / 1e6);
	if (late.wrong[0])
		fail_msg("%s", late.wrong);
	assert_true(late.calls > 16);
	if (late.worst_ns > p14_slack_ns())
		fail_msg("%.1f ms late", (double)late.worst_ns / 1e6);
	assert_int_equal(wi_load_rlx(&p14_lookups_by_callers), 0);
}

/* The same again with the breaker, as pools have it. */
static void neither_with_a_breaker(const char *host, int port)
{
	assert_int_equal(weir_pool_close(&pool, 0), WEIR_OK);
	o.breaker_failures = 5;
	open_at(host, port);
	nobody_is_late();
}

static void close_pool(void)
{
	assert_int_equal(weir_pool_close(&pool, 0), WEIR_OK);
}

static void refused(void **state)
{
	(void)state;
	test_mock_door(mock, TEST_MOCK_REFUSED);
	open_at("127.0.0.1", test_mock_port(mock));
	fails_and_says(LATER_MS, "refused while connecting", "connection to server");
	nobody_is_late();
	neither_with_a_breaker("127.0.0.1", test_mock_port(mock));
	close_pool();
}

/* A port that nobody answers from: its queue is full, so the kernel drops whoever knocks. */
static int full_port(int fds[4])
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t size = sizeof(in);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < 4; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fds[0], (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fds[0], 0), 0);
	assert_int_equal(getsockname(fds[0], (struct sockaddr *)&in, &size), 0);
	for (int i = 1; i < 4; i++)
		(void)connect(fds[i], (struct sockaddr *)&in, sizeof(in));
	return ntohs(in.sin_port);
}

static void black_hole(void **state)
{
	int fds[4], port = full_port(fds);

	(void)state;
	open_at("127.0.0.1", port);
	fails_and_says(SOON_MS, "connecting", "opening");
	fails_and_says(LATER_MS, "timeout while connecting", "no answer within 300 ms");
	nobody_is_late();
	neither_with_a_breaker("127.0.0.1", port);
	close_pool();
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

static void misbehaves(void)
{
	open_at("127.0.0.1", test_mock_port(mock));
	fails_and_says(SOON_MS, "connecting", "opening");
	fails_and_says(LATER_MS, "timeout while connecting", "no answer within 300 ms");
	nobody_is_late();
	neither_with_a_breaker("127.0.0.1", test_mock_port(mock));
	close_pool();
}

static void hung(void **state)
{
	(void)state;
	test_mock_door(mock, TEST_MOCK_SILENT);
	misbehaves();
}

static void stopped(void **state)
{
	(void)state;
	test_mock_freeze(mock, true);
	misbehaves();
	test_mock_freeze(mock, false);
}

static void slow_loris(void **state)
{
	(void)state;
	test_mock_door(mock, TEST_MOCK_DRIP);
	misbehaves();
}

/* It lets us in, and then does not answer the first question. */
static void hung_after_startup(void **state)
{
	(void)state;
	test_mock_on(mock, "", &(struct test_mock_reply){.act = TEST_MOCK_SILENCE});
	open_at("127.0.0.1", test_mock_port(mock));
	fails_and_says(SOON_MS, "setting up", "opening");
	fails_and_says(LATER_MS, "setting up", "no answer");
	nobody_is_late();
	close_pool();
}

static void dead_resolver(void **state)
{
	(void)state;
	p14_hang_lookups(true);
	open_at("db.test", test_mock_port(mock));
	fails_and_says(SOON_MS, "looking up the host name", "opening");
	fails_and_says(LATER_MS, "timeout while looking up the host name",
	               "no answer within 300 ms");
	nobody_is_late();
	neither_with_a_breaker("db.test", test_mock_port(mock));
	close_pool();
	assert_true(wi_load_rlx(&p14_lookups) > 0);
	p14_hang_lookups(false);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(refused),    TEST(black_hole),         TEST(hung),          TEST(stopped),
		TEST(slow_loris), TEST(hung_after_startup), TEST(dead_resolver),
	};

	int failed;

	test_watchdog(200, "promise.14_checkouts_end_in_time");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	/* Lookups that hung outlive their pools: they end now. */
	for (int i = 0; i < 5000 && test_thread_count() > 1; i++)
		test_nap(WI_MS);
	return failed;
}

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
#define SOON_MS 100  /* before a connect has failed */
#define LATER_MS 350 /* after one has, or the next time */
#define PATIENCE_MS 15000

static struct test_mock *mock;
static weir_options o;
/* Callers of the one wait as long as they may; the other has a breaker, as pools have it. */
static weir_pool *pool, *guarded;
static weir_error error;

static int set_up(void **state)
{
	(void)state;
	mock = test_mock_start(NULL);
	weir_options_init(&o);
	o.pool_min = 0;
	o.connect_timeout_ms = CONNECT_MS;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_mock_stop(&mock);
	return 0;
}

static weir_pool *open_at(const char *host, int port, int64_t breaker_failures)
{
	weir_pool *opened = NULL;
	char conninfo[256];

	snprintf(conninfo, sizeof(conninfo),
	         "host=%s port=%d user=app dbname=shop sslmode=disable gssencmode=disable", host,
	         port);
	o.breaker_failures = breaker_failures;
	if (weir_pool_open(conninfo, &o, &opened, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return opened;
}

/* One checkout in vain, whose error names the host; whether it says both. */
static bool fails_and_says(int64_t ms, const char *what, const char *why)
{
	weir_conn *conn = NULL;
	weir_status st = weir_pool_checkout(pool, ms, &conn, &error);

	assert_true(st == WEIR_TIMEOUT || st == WEIR_CONNECT);
	if (!error.host[0] || !strstr(error.text, error.host))
		fail_msg("the host is not named: \"%s\"", error.text);
	return strstr(error.text, what) && strstr(error.text, why);
}

/* A machine that stands still may take its time over the connect: then the next one says it. */
static void comes_to_say(const char *what, const char *why)
{
	int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;

	while (!fails_and_says(LATER_MS, what, why))
		if (wi_now_ns() > until_ns)
			fail_msg("\"%s\" does not say \"%s\" and \"%s\"", error.text, what, why);
	printf("          %s\n", error.text);
}

/* The first checkout of a pool ends before the first connect does; the pool is open then. */
static void says_at_first(const char *host, int port, const char *what)
{
	int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;

	for (pool = open_at(host, port, 0); !fails_and_says(SOON_MS, what, "opening");
	     pool = open_at(host, port, 0)) {
		if (wi_now_ns() > until_ns)
			fail_msg("\"%s\" does not say \"%s\" and \"opening\"", error.text, what);
		assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	}
	printf("          %s\n", error.text);
}

/* Neither of the one pool, nor of one with a breaker. */
static void nobody_is_late(const char *host, int port)
{
	weir_pool *both[2];
	struct p14_late late;

	guarded = open_at(host, port, 5);
	both[0] = pool;
	both[1] = guarded;
	p14_call_in_vain(both, 2, &late);
	printf("          %llu checkouts, at worst %.1f ms late\n", (unsigned long long)late.calls,
	       (double)late.worst_ns / 1e6);
	if (late.wrong[0])
		fail_msg("%s", late.wrong);
	assert_true(late.calls > 16);
	if (late.worst_ns > p14_slack_ns())
		fail_msg("%.1f ms late", (double)late.worst_ns / 1e6);
	assert_int_equal(wi_load_rlx(&p14_lookups_by_callers), 0);
}

static void close_pools(void)
{
	assert_int_equal(weir_pool_close(&pool, 0), WEIR_OK);
	assert_int_equal(weir_pool_close(&guarded, 0), WEIR_OK);
}

static void refused(void **state)
{
	(void)state;
	test_mock_door(mock, TEST_MOCK_REFUSED);
	pool = open_at("127.0.0.1", test_mock_port(mock), 0);
	comes_to_say("refused while connecting", "connection to server");
	nobody_is_late("127.0.0.1", test_mock_port(mock));
	close_pools();
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

/* A connect there never ends by itself. */
static void in_vain_at(int port)
{
	says_at_first("127.0.0.1", port, "connecting");
	comes_to_say("timeout while connecting", "no answer within 300 ms");
	nobody_is_late("127.0.0.1", port);
	close_pools();
}

static void black_hole(void **state)
{
	int fds[4], port = full_port(fds);

	(void)state;
	in_vain_at(port);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

static void hung(void **state)
{
	(void)state;
	test_mock_door(mock, TEST_MOCK_SILENT);
	in_vain_at(test_mock_port(mock));
}

static void stopped(void **state)
{
	(void)state;
	test_mock_freeze(mock, true);
	in_vain_at(test_mock_port(mock));
	test_mock_freeze(mock, false);
}

static void slow_loris(void **state)
{
	(void)state;
	test_mock_door(mock, TEST_MOCK_DRIP);
	in_vain_at(test_mock_port(mock));
}

/* It lets us in, and then does not answer the first question. */
static void hung_after_startup(void **state)
{
	(void)state;
	test_mock_on(mock, "", &(struct test_mock_reply){.act = TEST_MOCK_SILENCE});
	says_at_first("127.0.0.1", test_mock_port(mock), "setting up");
	comes_to_say("setting up", "no answer");
	nobody_is_late("127.0.0.1", test_mock_port(mock));
	close_pools();
}

static void dead_resolver(void **state)
{
	(void)state;
	p14_hang_lookups(true);
	says_at_first("db.test", test_mock_port(mock), "looking up the host name");
	comes_to_say("timeout while looking up the host name", "no answer within 300 ms");
	nobody_is_late("db.test", test_mock_port(mock));
	close_pools();
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

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 18. A connection lies idle, and its network goes silent: no FIN, no RST, packets are just
 * lost (really: in a network of this test's own). A checkout after long idleness asks it first,
 * gives it up within the check's own timeout, and counts that time to the caller's deadline; the
 * keeper's own questions find it without any caller; and where nobody asks, tcp_user_timeout ends
 * what a user has begun on it.
 */
#include <pthread.h>
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
#include "pool/pool.h"
#include "support/mock_server.h"
#include "support/netns.h"
#include "support/process.h"
#include "support/shapes.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define CHECK_MS 300

static struct test_mock *mock;
static weir_options o;
static weir_pool *pool;
static weir_error error;
static _Atomic int64_t given_up_ns; /* when a connection was closed for not answering */

/* ---- small words ---- */

static void hear(void *arg, const weir_event *event)
{
	(void)arg;
	if (event->kind == WEIR_EVENT_CLOSED &&
	    strcmp(event->text, weir_close_text(WEIR_CLOSE_UNHEALTHY)) == 0)
		wi_store_rlx(&given_up_ns, event->at_ns);
}

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&o);
	o.on_event = hear;
	o.pool_min = 0;
	o.pool_max = 1;
	o.connect_timeout_ms = 500;
	o.breaker_failures = 0;
	o.check_timeout_ms = CHECK_MS;
	o.validate_after_ms = 0;
	o.keepalive_ms = 0;
	wi_store_rlx(&given_up_ns, 0);
	return 0;
}

/* A pool with one connection, idle; the pid of its server process. */
static int open_with_one(void)
{
	char conninfo[256];
	weir_conn_info info;
	weir_conn *conn;

	snprintf(conninfo, sizeof(conninfo),
	         "host=" TEST_NETNS_DB_ADDRESS
	         " port=%d user=app dbname=shop sslmode=disable gssencmode=disable",
	         test_mock_port(mock));
	if (weir_pool_open(conninfo, &o, &pool, &error) != WEIR_OK ||
	    weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	assert_int_equal(weir_conn_info_get(conn, &info), WEIR_OK);
	weir_checkin(&conn);
	return info.backend_pid;
}

static void go_silent(void)
{
	test_netns_fault(TEST_NETNS_BLACK_HOLE, test_mock_port(mock));
}

/* The network is whole again: another connection is opened, and the pool is closed. */
static void recover(int pid)
{
	weir_conn_info info;
	weir_conn *conn = NULL;

	test_netns_heal();
	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	assert_int_equal(weir_conn_info_get(conn, &info), WEIR_OK);
	assert_int_not_equal(info.backend_pid, pid);
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

/* Waits until the keeper has seen that the one connection was idle for long enough to be asked. */
static void await_note(void)
{
	while (!(wi_load_acq(&pool->conns[1].notes) & WI_NOTE_CHECK))
		test_nap(5 * WI_MS);
}

/* A checkout in vain; how long it took, without the time that its thread had no processor. */
static int64_t in_vain_ns(int64_t ms)
{
	int64_t ready_ns = test_ready_ns(), began_ns = wi_now_ns();
	weir_conn *conn = NULL;

	assert_int_equal(weir_pool_checkout(pool, ms, &conn, &error), WEIR_TIMEOUT);
	return wi_now_ns() - began_ns - (test_ready_ns() - ready_ns);
}

static void assert_by(int64_t took_ns, int64_t ms)
{
	printf("          %.1f ms, of at most %lld\n", (double)took_ns / 1e6, (long long)ms);
	if (took_ns > ms * WI_MS + test_slack_ns())
		fail_msg("%.1f ms, and %lld were right", (double)took_ns / 1e6, (long long)ms);
}

/* Waits for the end of the check, which takes no longer than a check may from when it is asked. */
static void assert_given_up_in_time(void)
{
	int64_t asked_ns;

	while (!wi_load_rlx(&given_up_ns))
		test_nap(5 * WI_MS);
	asked_ns = wi_load_rlx(&pool->conns[1].asked_ns);
	assert_int_not_equal(asked_ns, 0);
	assert_by(wi_load_rlx(&given_up_ns) - asked_ns, CHECK_MS);
}

/* ---- tests ---- */

static void *check_out(void *arg)
{
	weir_conn **conn = arg;

	if (weir_pool_checkout(pool, PATIENCE_MS, conn, &error) != WEIR_OK)
		*conn = NULL;
	return NULL;
}

/* With all the time there is, the check takes no more than its own, and another is opened then. */
static void a_checkout_asks_and_gives_up_in_time(void **state)
{
	weir_conn *conn = NULL;
	pthread_t caller;
	int pid;

	(void)state;
	o.validate_after_ms = 100;
	pid = open_with_one();
	await_note();
	go_silent();
	assert_int_equal(pthread_create(&caller, NULL, check_out, &conn), 0);
	assert_given_up_in_time();
	test_netns_heal();
	pthread_join(caller, NULL);
	assert_non_null(conn);
	weir_checkin(&conn);
	recover(pid);
}

static void the_check_is_charged_to_the_deadline(void **state)
{
	int pid;

	(void)state;
	o.validate_after_ms = 100;
	o.check_timeout_ms = 10000;
	pid = open_with_one();
	await_note();
	go_silent();
	assert_by(in_vain_ns(200), 200);
	assert_by(in_vain_ns(200), 200); /* and so for the next, while the answer is still owed */
	test_mock_end(mock, pid, false, TEST_MOCK_END_RST, NULL); /* lost, too */
	test_netns_heal();
	recover(pid);
}

static void the_keeper_finds_it_by_itself(void **state)
{
	int pid;

	(void)state;
	o.keepalive_ms = 200;
	pid = open_with_one();
	go_silent();
	assert_given_up_in_time();
	recover(pid);
}

static void tcp_bounds_what_nobody_asks_about(void **state)
{
	int64_t began_ns;
	weir_conn *conn;
	int pid;

	(void)state;
	o.tcp_user_timeout_ms = 700;
	pid = open_with_one();
	go_silent();
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_OK);
	began_ns = wi_now_ns();
	assert_int_not_equal(weir_exec(conn, "select 1", PATIENCE_MS, &error), WEIR_OK);
	printf("          %.1f ms: %s\n", (double)(wi_now_ns() - began_ns) / 1e6, error.text);
	/* Without it, TCP would go on for a quarter of an hour. */
	assert_int_not_equal(error.status, WEIR_TIMEOUT);
	assert_true(wi_now_ns() - began_ns < PATIENCE_MS / 2 * WI_MS);
	weir_checkin(&conn);
	recover(pid);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		TEST(a_checkout_asks_and_gives_up_in_time),
		TEST(the_check_is_charged_to_the_deadline),
		TEST(the_keeper_finds_it_by_itself),
		TEST(tcp_bounds_what_nobody_asks_about),
	};
	int failed;

	test_netns_make_or_exit();
	test_watchdog(200, "promise.18_a_silent_network");
	test_netns_enter(TEST_NETNS_DB);
	mock = test_mock_start(
		&(struct test_mock_options){.address = "0.0.0.0", .max_seconds = 200});
	test_netns_enter(TEST_NETNS_APP);
	test_measure_lag(true);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	test_measure_lag(false);
	test_mock_stop(&mock);
	return failed;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a check at checkout costs its caller when sessions do not answer: one timeout for all of
 * them, and never more than half of what the caller has. On the mock server, whose sessions are
 * silent one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "pool/pool.h"
#include "support/mock_server.h"
#include "support/watchdog.h"

#define IDLE 5
#define PATIENCE_MS 60000

static struct test_mock *mock;
static weir_options o;
static weir_pool *pool;
static weir_error error;

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static int set_up(void **state)
{
	(void)state;
	mock = test_mock_start(NULL);
	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = IDLE;
	o.look_after_ms = o.validate_after_ms = o.keepalive_ms = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	test_mock_stop(&mock);
	return 0;
}

static weir_pool_stats stats(void)
{
	weir_pool_stats s;

	weir_pool_stats_get(pool, &s);
	return s;
}

static weir_conn *checkout(int64_t timeout_ms)
{
	weir_conn *conn = NULL;

	if (weir_pool_checkout(pool, timeout_ms, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return conn;
}

/* IDLE connections that have been idle for so long that the next taker of each is to ask. */
static void open_pool(void)
{
	weir_conn *conn[IDLE];

	if (weir_pool_open(test_mock_conninfo(mock), &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	for (int i = 0; i < IDLE; i++)
		conn[i] = checkout(PATIENCE_MS);
	for (int i = 0; i < IDLE; i++)
		weir_checkin(&conn[i]);
	pause_ms(1100); /* the keeper has had a look: used since is not what they are */
	for (int i = 1; i <= IDLE; i++)
		wi_or_acq_rel(&pool->conns[i].notes, WI_NOTE_CHECK);
}

/* So many questions (queries without a word in them) are never answered; 0: none is. */
static void be_silent(int times)
{
	const struct test_mock_reply silence = {.act = TEST_MOCK_SILENCE, .times = times};
	const struct test_mock_reply usual = {.act = TEST_MOCK_USUAL};

	test_mock_on(mock, "", &silence);
	test_mock_on(mock, "SELECT", &usual);
}

/* The keeper has closed the one that did not answer. */
static void await_unhealthy(void)
{
	while (!stats().closed[WEIR_CLOSE_UNHEALTHY])
		pause_ms(5);
	assert_int_equal(stats().closed[WEIR_CLOSE_UNHEALTHY], 1);
}

static void silence_costs_one_timeout_for_all(void **state)
{
	int64_t begun_ns;
	weir_conn *conn;

	(void)state;
	o.check_timeout_ms = 1000;
	open_pool();
	be_silent(0);
	begun_ns = wi_now_ns();
	conn = checkout(PATIENCE_MS);
	assert_true(wi_now_ns() - begun_ns >= 1000 * WI_MS);
	assert_true(wi_now_ns() - begun_ns < IDLE * 1000 * WI_MS);
	weir_checkin(&conn);
	await_unhealthy();
	assert_int_equal(stats().closed[WEIR_CLOSE_CONDEMNED], IDLE - 1);
	/* The caller asked one; in doubt, the keeper asked each of the others once. */
	assert_true(stats().opened > IDLE);
}

static void one_stuck_session_costs_only_itself(void **state)
{
	weir_conn *conn;

	(void)state;
	o.check_timeout_ms = 1000;
	open_pool();
	be_silent(1);
	conn = checkout(PATIENCE_MS);
	weir_checkin(&conn);
	await_unhealthy();
	assert_int_equal(stats().closed[WEIR_CLOSE_CONDEMNED], 0);
	assert_int_equal(stats().opened, IDLE);
}

/* A caller in a hurry tries another one; the stuck one is found out without it. */
static void a_caller_in_a_hurry_gives_a_check_half_of_its_time(void **state)
{
	int64_t begun_ns;
	weir_conn *conn;

	(void)state;
	o.check_timeout_ms = 5000;
	open_pool();
	be_silent(1);
	begun_ns = wi_now_ns();
	conn = checkout(4000);
	assert_true(wi_now_ns() - begun_ns < 3800 * WI_MS); /* half, and the next one at once */
	assert_int_equal(stats().closed[WEIR_CLOSE_UNHEALTHY], 0);
	weir_checkin(&conn);
	await_unhealthy();
	assert_int_equal(stats().closed[WEIR_CLOSE_CONDEMNED], 0);
	assert_int_equal(stats().opened, IDLE);
}

/* The same where every checkout asks. */
static void with_pre_ping_a_silent_session_costs_one_timeout(void **state)
{
	weir_conn *conn;

	(void)state;
	o.check_timeout_ms = 500;
	o.pre_ping = WEIR_PRE_PING_PING;
	open_pool();
	be_silent(1);
	for (int i = 0; i < 20; i++) {
		conn = checkout(PATIENCE_MS);
		assert_int_equal(weir_exec(conn, "select 1", PATIENCE_MS, &error), WEIR_OK);
		weir_checkin(&conn);
	}
	await_unhealthy();
	assert_int_equal(stats().closed[WEIR_CLOSE_CONDEMNED], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(silence_costs_one_timeout_for_all),
		TEST(one_stuck_session_costs_only_itself),
		TEST(a_caller_in_a_hurry_gives_a_check_half_of_its_time),
		TEST(with_pre_ping_a_silent_session_costs_one_timeout),
	};

	test_watchdog(100, "sim.health_mock");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting for a connection: in line, to the deadline and no further, with words about what the pool
 * looked like.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "pool/pool.h"
#include "support/sim.h"
#include "support/watchdog.h"

static weir_options o;
static weir_error error;

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	o.pool_max = 1;
	memset(&error, 0, sizeof(error));
	return 0;
}

static weir_status checkout(int64_t timeout_ms, weir_conn **conn)
{
	return weir_pool_checkout(sim_pool(), timeout_ms, conn, &error);
}

static void zero_tries_once_and_starts_nothing(void **state)
{
	weir_conn *conn = NULL, *other = (void *)&error;
	int64_t begun;

	(void)state;
	sim_begin(&o);
	begun = sim_now();
	assert_int_equal(checkout(0, &conn), WEIR_EXHAUSTED);
	sim_run(1000);
	assert_int_equal(wi_load_rlx(&sim_server()->connects), 0);
	assert_int_equal(checkout(1000, &conn), WEIR_OK);
	begun = sim_now();
	assert_int_equal(checkout(0, &other), WEIR_EXHAUSTED);
	assert_null(other);
	assert_int_equal(sim_now(), begun);
	assert_string_equal(error.text,
	                    "no idle connection to 127.0.0.1:5432: 1 of at most 1 connections "
	                    "open, 1 busy, 0 idle, 0 opening, 0 callers waiting");
	assert_string_equal(error.host, "127.0.0.1:5432");
	assert_int_equal(sim_stats()->refused, 2);
	assert_int_equal(sim_stats()->waits, 1);
	weir_checkin(&conn);
	assert_int_equal(checkout(0, &conn), WEIR_OK);
	weir_checkin(&conn);
	sim_end();
}

static void a_deadline_is_kept_and_told(void **state)
{
	weir_conn *conn, *other;
	int64_t begun;

	(void)state;
	sim_begin(&o);
	conn = sim_checkout(1000);
	begun = sim_now();
	assert_int_equal(checkout(50, &other), WEIR_TIMEOUT);
	assert_int_equal(sim_now() - begun, 50 * WI_MS);
	assert_string_equal(
		error.text,
		"no connection to 127.0.0.1:5432 within 50.0 ms: 1 of at most 1 connections "
		"open, 1 busy, 0 idle, 0 opening, 0 callers waiting; this thread waits for itself: "
		"it holds all 1 of them");
	assert_string_equal(error.host, "127.0.0.1:5432");
	assert_int_equal(error.status, WEIR_TIMEOUT);
	assert_int_equal(sim_stats()->timeouts, 1);
	assert_int_equal(sim_stats()->wait.count, 2); /* the first one waited for its connect */
	assert_true(sim_stats()->wait.max_ns >= 50 * WI_MS);
	/* no words wanted */
	assert_int_equal(weir_pool_checkout(sim_pool(), 1, &other, NULL), WEIR_TIMEOUT);
	weir_checkin(&conn);
	sim_end();
}

static void the_default_is_the_options(void **state)
{
	weir_conn *conn, *other;
	int64_t begun;

	(void)state;
	o.checkout_timeout_ms = 1234;
	sim_begin(&o);
	assert_int_equal(checkout(WEIR_DEFAULT_TIMEOUT, &conn), WEIR_OK);
	begun = sim_now();
	assert_int_equal(checkout(WEIR_DEFAULT_TIMEOUT, &other), WEIR_TIMEOUT);
	assert_int_equal(sim_now() - begun, 1234 * WI_MS);
	weir_checkin(&conn);
	sim_end();
	o.checkout_timeout_ms = 0;
	sim_begin(&o);
	assert_int_equal(checkout(WEIR_DEFAULT_TIMEOUT, &other), WEIR_EXHAUSTED);
	sim_end();
}

static void hold_for_an_hour(void *arg)
{
	weir_conn *conn = sim_checkout(1000);

	(void)arg;
	sim_sleep(3600000);
	weir_checkin(&conn);
}

static void a_negative_timeout_waits_for_ever(void **state)
{
	weir_conn *conn;
	int64_t begun;

	(void)state;
	o.leak_after_ms = o.keepalive_ms = 0;
	sim_begin(&o);
	sim_spawn(hold_for_an_hour, NULL);
	sim_settle();
	begun = sim_now();
	assert_int_equal(checkout(-1, &conn), WEIR_OK);
	assert_int_equal(sim_now() - begun, 3600 * WI_SEC);
	weir_checkin(&conn);
	sim_join();
	sim_end();
}

/* ---- in line ---- */

#define LINE 20
static int turn_of[LINE], turns;

static void wait_in_line(void *arg)
{
	int *mine = arg;
	weir_conn *conn = sim_checkout(60000);

	*mine = conn ? ++turns : -1;
	sim_sleep(10);
	weir_checkin(&conn);
}

static void first_come_first_served(void **state)
{
	weir_conn *conn;

	(void)state;
	sim_begin(&o);
	conn = sim_checkout(1000);
	turns = 0;
	for (int i = 0; i < LINE; i++) {
		sim_spawn(wait_in_line, &turn_of[i]);
		sim_run(1);
		assert_int_equal(sim_stats()->waiting, i + 1);
	}
	weir_checkin(&conn);
	sim_join();
	for (int i = 0; i < LINE; i++)
		assert_int_equal(turn_of[i], i + 1);
	assert_int_equal(sim_stats()->opened, 1);
	sim_end();
}

static void wait_5_ms(void *arg)
{
	weir_conn *conn = sim_checkout(5);

	*(int *)arg = conn ? ++turns : -1;
	weir_checkin(&conn);
}

static void who_gave_up_is_passed_over(void **state)
{
	weir_conn *conn;

	(void)state;
	sim_begin(&o);
	conn = sim_checkout(1000);
	turns = 0;
	for (int i = 0; i < 9; i++)
		sim_spawn(i % 3 ? wait_5_ms : wait_in_line, &turn_of[i]);
	sim_run(6);
	assert_int_equal(sim_stats()->waiting, 3);
	assert_int_equal(sim_stats()->timeouts, 6);
	weir_checkin(&conn);
	sim_join();
	for (int i = 0; i < 9; i++)
		assert_int_equal(turn_of[i], i % 3 ? -1 : i / 3 + 1);
	assert_int_equal(sim_stats()->idle, 1);
	sim_end();
}

static void a_waiter_takes_what_comes_first_old_or_new(void **state)
{
	weir_conn *conn, *other;
	int64_t begun;

	(void)state;
	o.pool_max = 2;
	sim_begin(&o);
	conn = sim_checkout(1000);
	wi_store_rlx(&sim_server()->connect_ns, 100 * WI_MS);
	begun = sim_now();
	assert_int_equal(checkout(1000, &other), WEIR_OK); /* new: nothing comes back */
	assert_int_equal(sim_now() - begun, 100 * WI_MS);
	weir_discard(&other);
	weir_checkin(&conn);
	sim_spawn(wait_in_line, &turn_of[0]); /* has the old one for 10 ms */
	sim_settle();
	begun = sim_now();
	assert_int_equal(checkout(1000, &other), WEIR_OK);
	assert_int_equal(sim_now() - begun, 10 * WI_MS);
	assert_int_equal(sim_serial(other), 1);
	weir_checkin(&other);
	sim_join();
	sim_end();
}

static void too_many_are_shed(void **state)
{
	weir_conn *conn, *other;

	(void)state;
	o.max_waiters = 3;
	sim_begin(&o);
	conn = sim_checkout(1000);
	for (int i = 0; i < 3; i++)
		sim_spawn(wait_in_line, &turn_of[i]);
	sim_settle();
	assert_int_equal(sim_stats()->waiting, 3);
	assert_int_equal(checkout(1000, &other), WEIR_SHED);
	assert_string_equal(error.text, "3 callers wait for 127.0.0.1:5432 already");
	assert_int_equal(checkout(0, &other), WEIR_SHED);
	weir_checkin(&conn);
	sim_join();
	assert_int_equal(sim_stats()->refused, 2);
	assert_int_equal(checkout(1000, &other), WEIR_OK);
	weir_checkin(&other);
	sim_end();
}

static weir_status told[LINE];

static void wait_a_minute(void *arg)
{
	weir_conn *conn = NULL;

	*(weir_status *)arg = weir_pool_checkout(sim_pool(), 60000, &conn, NULL);
	weir_checkin(&conn);
}

/* ---- waiting for oneself ---- */

static void who_waits_for_itself_is_told(void **state)
{
	weir_conn *conn[2], *other;

	(void)state;
	o.pool_max = 2;
	sim_begin(&o);
	conn[0] = sim_checkout(1000);
	assert_int_equal(sim_told(WEIR_EVENT_SELF_DEADLOCK), 0);
	conn[1] = sim_checkout(1000);
	wi_conn_mark(conn[0], &(struct wi_mark){.tag = "outer"});
	wi_conn_mark(conn[1], &(struct wi_mark){.tag = "inner"});
	assert_int_equal(checkout(0, &other), WEIR_EXHAUSTED); /* it does not sleep */
	assert_int_equal(sim_told(WEIR_EVENT_SELF_DEADLOCK), 0);
	assert_int_equal(checkout(50, &other), WEIR_TIMEOUT);
	assert_int_equal(sim_told(WEIR_EVENT_SELF_DEADLOCK), 1);
	assert_non_null(strstr(sim_text(WEIR_EVENT_SELF_DEADLOCK),
	                       " waits for a connection to 127.0.0.1:5432 and holds all 2 of them "
	                       "itself ("));
	assert_non_null(strstr(sim_text(WEIR_EVENT_SELF_DEADLOCK), "outer"));
	assert_non_null(strstr(sim_text(WEIR_EVENT_SELF_DEADLOCK), "inner"));
	assert_non_null(
		strstr(error.text, "; this thread waits for itself: it holds all 2 of them"));
	assert_int_equal(checkout(50, &other), WEIR_TIMEOUT);
	assert_int_equal(sim_told(WEIR_EVENT_SELF_DEADLOCK), 1); /* once for what it holds */
	weir_checkin(&conn[0]);
	conn[0] = sim_checkout(0);
	assert_int_equal(checkout(50, &other), WEIR_TIMEOUT);
	assert_int_equal(sim_told(WEIR_EVENT_SELF_DEADLOCK), 2);
	weir_checkin(&conn[0]);
	weir_checkin(&conn[1]);
	sim_end();
}

static void hold_for_a_second(void *arg)
{
	weir_conn *conn = sim_checkout(1000);

	(void)arg;
	sim_sleep(1000);
	weir_checkin(&conn);
}

static void who_waits_for_others_is_not(void **state)
{
	weir_conn *conn, *other;

	(void)state;
	o.pool_max = 2;
	sim_begin(&o);
	sim_spawn(hold_for_a_second, NULL);
	sim_run(1);
	conn = sim_checkout(1000);
	assert_int_equal(checkout(50, &other), WEIR_TIMEOUT);
	assert_non_null(strstr(error.text, "; this thread holds 1 of them"));
	sim_join();
	weir_discard(&conn); /* on its way out: there will be room */
	conn = sim_checkout(1000);
	other = sim_checkout(1000);
	weir_discard(&other);
	other = sim_checkout(1000);
	assert_non_null(other);
	weir_checkin(&conn);
	weir_checkin(&other);
	assert_int_equal(sim_told(WEIR_EVENT_SELF_DEADLOCK), 0);
	sim_end();
}

static void closing_tells_everybody_at_once(void **state)
{
	weir_conn *conn, *other;
	int64_t begun;

	(void)state;
	sim_begin(&o);
	conn = sim_checkout(1000);
	for (int i = 0; i < LINE; i++)
		sim_spawn(wait_a_minute, &told[i]);
	sim_settle();
	begun = sim_now();
	wi_pool_shut(sim_pool());
	sim_join();
	assert_int_equal(sim_now(), begun);
	for (int i = 0; i < LINE; i++)
		assert_int_equal(told[i], WEIR_CLOSED);
	assert_int_equal(checkout(1000, &other), WEIR_CLOSED);
	assert_int_equal(checkout(0, &other), WEIR_CLOSED);
	assert_string_equal(error.text, "the pool for 127.0.0.1:5432 is closed");
	weir_checkin(&conn);
	sim_settle();
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_SHUTDOWN], 1);
	assert_int_equal(sim_stats()->total, 0);
	sim_end();
}

static void who_is_sent_away_is_told_so(void **state)
{
	weir_conn *conn;

	(void)state;
	sim_begin(&o);
	conn = sim_checkout(1000);
	sim_spawn(wait_a_minute, &told[0]);
	sim_settle();
	wi_pool_send_away(sim_pool());
	sim_join();
	assert_int_equal(told[0], WEIR_UNAVAILABLE);
	weir_checkin(&conn);
	sim_end();
}

static void a_connect_under_way_is_given_up_at_close(void **state)
{
	(void)state;
	o.pool_min = o.pool_max = 4;
	sim_begin(&o);
	wi_store_rlx(&sim_server()->silent, true);
	sim_settle();
	assert_int_equal(sim_stats()->opening, 1); /* a new pool begins with one */
	sim_end();
	assert_int_equal(wi_load_rlx(&sim_server()->sessions), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(zero_tries_once_and_starts_nothing),
		TEST(a_deadline_is_kept_and_told),
		TEST(the_default_is_the_options),
		TEST(a_negative_timeout_waits_for_ever),
		TEST(first_come_first_served),
		TEST(who_gave_up_is_passed_over),
		TEST(a_waiter_takes_what_comes_first_old_or_new),
		TEST(too_many_are_shed),
		TEST(who_waits_for_itself_is_told),
		TEST(who_waits_for_others_is_not),
		TEST(closing_tells_everybody_at_once),
		TEST(who_is_sent_away_is_told_so),
		TEST(a_connect_under_way_is_given_up_at_close),
	};

	test_watchdog(60, "sim.pool_wait");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

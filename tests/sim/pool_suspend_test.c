/* SPDX-License-Identifier: BSD-2-Clause */
/* Suspended: nobody is handed a connection, callers wait or fail, and those that are out go on. */
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
	o.pool_max = 2;
	assert_int_equal(sim_open(&o), WEIR_OK);
	return 0;
}

static int set_up_for_two(void **state)
{
	(void)state;
	sim_options(&o);
	o.pool_max = 2;
	o.max_waiters = 2;
	assert_int_equal(sim_open(&o), WEIR_OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(sim_close(), 0);
	return 0;
}

static void suspend(weir_suspend how)
{
	assert_int_equal(weir_pool_suspend(sim_pool(), how), WEIR_OK);
	assert_true(sim_stats()->suspended);
}

static void resume(void)
{
	assert_int_equal(weir_pool_resume(sim_pool()), WEIR_OK);
	assert_false(sim_stats()->suspended);
}

struct user {
	int64_t timeout_ms;
	int64_t hold_ms;
	weir_status status;
	int64_t waited_ns;
};

static void use(void *arg)
{
	struct user *u = arg;
	int64_t begun_ns = sim_now();
	weir_conn *conn = NULL;

	u->status = weir_pool_checkout(sim_pool(), u->timeout_ms, &conn, NULL);
	u->waited_ns = sim_now() - begun_ns;
	sim_sleep(u->hold_ms);
	weir_checkin(&conn);
}

static void refuse(int64_t timeout_ms, weir_status status)
{
	weir_conn *conn = NULL;

	assert_int_equal(weir_pool_checkout(sim_pool(), timeout_ms, &conn, &error), status);
	assert_null(conn);
	assert_non_null(strstr(error.text, "is suspended"));
}

/* The connection lies in this thread's cache: the warm path must see it, too. */
static void a_warm_thread_is_stopped_too(void **state)
{
	weir_conn *conn;
	uint64_t serial;

	(void)state;
	conn = sim_checkout(1000);
	serial = sim_serial(conn);
	weir_checkin(&conn);
	for (int i = 0; i < 2; i++) {
		suspend(WEIR_SUSPEND_FAIL);
		refuse(1000, WEIR_UNAVAILABLE);
		refuse(0, WEIR_UNAVAILABLE);
		suspend(WEIR_SUSPEND_WAIT);
		refuse(0, WEIR_EXHAUSTED);
		assert_int_equal(sim_stats()->idle, 1);
		resume();
		conn = sim_checkout(0);
		assert_int_equal(sim_serial(conn), serial);
		weir_checkin(&conn);
	}
	assert_int_equal(sim_stats()->refused, 6);
	assert_int_equal(sim_stats()->checkouts, 3);
}

static void who_comes_waits_for_the_resume(void **state)
{
	struct user u[3] = {{.timeout_ms = 60000, .hold_ms = 5},
	                    {.timeout_ms = -1, .hold_ms = 5},
	                    {.timeout_ms = 200}};

	(void)state;
	suspend(WEIR_SUSPEND_WAIT);
	for (int i = 0; i < 3; i++)
		sim_spawn(use, &u[i]);
	sim_run(100);
	assert_int_equal(sim_stats()->waiting, 3);
	assert_int_equal(sim_stats()->opening, 0);
	sim_run(400);
	assert_int_equal(u[2].status, WEIR_TIMEOUT);
	assert_int_equal(u[2].waited_ns, 200 * WI_MS);
	assert_int_equal(sim_stats()->waiting, 2);
	resume();
	sim_join();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(u[i].status, WEIR_OK);
		assert_int_equal(u[i].waited_ns, 500 * WI_MS);
	}
	assert_int_equal(sim_stats()->waiting, 0);
	assert_int_equal(sim_stats()->timeouts, 1);
}

/* Who waited in line before does not get what comes back. */
static void who_waits_in_line_is_not_served(void **state)
{
	struct user u[4] = {{.timeout_ms = 60000, .hold_ms = 1},
	                    {.timeout_ms = 60000, .hold_ms = 1},
	                    {.timeout_ms = 60000, .hold_ms = 1},
	                    {.timeout_ms = 60000, .hold_ms = 1}};
	weir_conn *out[2] = {sim_checkout(1000), sim_checkout(1000)};

	(void)state;
	for (int i = 0; i < 4; i++)
		sim_spawn(use, &u[i]);
	sim_run(50);
	assert_int_equal(sim_stats()->waiting, 4);
	suspend(WEIR_SUSPEND_WAIT);
	sim_run(50);
	assert_int_equal(sim_stats()->busy, 2);
	assert_int_equal(sim_stats()->waiting, 4);
	weir_checkin(&out[0]);
	weir_checkin(&out[1]);
	sim_run(1000);
	assert_int_equal(sim_stats()->busy, 0);
	assert_int_equal(sim_stats()->idle, 2);
	assert_int_equal(sim_stats()->waiting, 4);
	resume();
	sim_join();
	for (int i = 0; i < 4; i++)
		assert_int_equal(u[i].status, WEIR_OK);
}

static void who_waits_fails_when_that_is_asked_for(void **state)
{
	struct user u[2] = {{.timeout_ms = 60000}, {.timeout_ms = 60000}};
	weir_conn *out[2] = {sim_checkout(1000), sim_checkout(1000)};

	(void)state;
	sim_spawn(use, &u[0]);
	sim_run(50);
	suspend(WEIR_SUSPEND_WAIT);
	sim_spawn(use, &u[1]);
	sim_run(50);
	suspend(WEIR_SUSPEND_FAIL);
	sim_join();
	assert_int_equal(u[0].status, WEIR_UNAVAILABLE);
	assert_int_equal(u[0].waited_ns, 100 * WI_MS);
	assert_int_equal(u[1].status, WEIR_UNAVAILABLE);
	assert_int_equal(u[1].waited_ns, 50 * WI_MS);
	weir_checkin(&out[0]);
	weir_checkin(&out[1]);
	resume();
}

static void those_that_are_out_go_on_and_come_back(void **state)
{
	weir_conn *out[2] = {sim_checkout(1000), sim_checkout(1000)};

	(void)state;
	suspend(WEIR_SUSPEND_WAIT);
	sim_leave(out[0], WI_LOOK_IN_TX);
	weir_checkin(&out[0]);
	sim_run(100);
	assert_int_equal(sim_stats()->idle, 1);
	assert_int_equal(sim_stats()->busy, 1);
	weir_discard(&out[1]);
	sim_run(100);
	assert_int_equal(sim_stats()->busy, 0);
	assert_int_equal(sim_stats()->total, 1);
	resume();
}

/* Set up with max_waiters = 2. */
static void no_more_than_max_waiters_wait(void **state)
{
	struct user u[4] = {{.timeout_ms = 500}, {.timeout_ms = 500}, {.timeout_ms = 500}, {0}};

	(void)state;
	suspend(WEIR_SUSPEND_WAIT);
	for (int i = 0; i < 4; i++) {
		sim_spawn(use, &u[i]);
		sim_run(10);
	}
	assert_int_equal(sim_stats()->waiting, 2);
	assert_int_equal(u[2].status, WEIR_SHED);
	assert_int_equal(u[2].waited_ns, 0);
	assert_int_equal(u[3].status, WEIR_EXHAUSTED);
	assert_int_equal(sim_stats()->refused, 2);
	resume();
	sim_join();
	assert_int_equal(u[0].status, WEIR_OK);
	assert_int_equal(u[1].status, WEIR_OK);
}

static void closing_ends_the_wait(void **state)
{
	struct user u = {.timeout_ms = -1};

	(void)state;
	suspend(WEIR_SUSPEND_WAIT);
	sim_spawn(use, &u);
	sim_run(100);
	wi_pool_shut(sim_pool());
	sim_join();
	assert_int_equal(u.status, WEIR_CLOSED);
	assert_int_equal(weir_pool_suspend(sim_pool(), WEIR_SUSPEND_WAIT), WEIR_CLOSED);
	assert_int_equal(weir_pool_resume(sim_pool()), WEIR_CLOSED);
}

static void what_cannot_be(void **state)
{
	(void)state;
	assert_int_equal(weir_pool_suspend(NULL, WEIR_SUSPEND_WAIT), WEIR_INVALID);
	assert_int_equal(weir_pool_suspend(sim_pool(), (weir_suspend)2), WEIR_INVALID);
	assert_int_equal(weir_pool_resume(NULL), WEIR_INVALID);
	resume(); /* of one that is not suspended */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_warm_thread_is_stopped_too),
		TEST(who_comes_waits_for_the_resume),
		TEST(who_waits_in_line_is_not_served),
		TEST(who_waits_fails_when_that_is_asked_for),
		TEST(those_that_are_out_go_on_and_come_back),
		cmocka_unit_test_setup_teardown(no_more_than_max_waiters_wait, set_up_for_two,
	                                        tear_down),
		TEST(closing_ends_the_wait),
		TEST(what_cannot_be),
	};

	test_watchdog(60, "sim.pool_suspend");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

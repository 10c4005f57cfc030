/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Want of memory, one allocation after the other: whatever fails, the answer is a status, nothing
 * is lost, and the pool serves when there is memory again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "pool/pool.h"
#include "support/sim.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define MANY 200 /* more allocations than there can be in what is tried */

static weir_options o;

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	return 0;
}

/* Opens a pool while the n-th allocation fails; whether there were fewer than n. */
static bool open_while_failing_at(int n)
{
	weir_status st;
	weir_conn *conn;

	wi_alloc_fail_at(n);
	st = sim_open(&o);
	if (st != WEIR_OK) {
		assert_int_equal(st, WEIR_NO_MEMORY);
		return false;
	}
	wi_alloc_fail_at(0);
	conn = sim_checkout(1000);
	assert_non_null(conn);
	weir_checkin(&conn);
	assert_int_equal(sim_close(), 0);
	return true;
}

static void opening_fails_cleanly_at_each_allocation(void **state)
{
	size_t before;
	int n = 1;

	(void)state;
	assert_true(open_while_failing_at(0));
	before = wi_alloc_bytes();
	while (n < MANY && !open_while_failing_at(n)) {
		assert_int_equal(wi_alloc_bytes(), before);
		n++;
	}
	assert_true(n > 4 && n < MANY);
}

/* Checks out while the n-th allocation fails, and again when there is memory. */
static void checkout_while_failing_at(int n)
{
	weir_conn *conn = NULL;
	weir_status st;

	assert_int_equal(sim_open(&o), WEIR_OK);
	wi_alloc_fail_at(n);
	st = weir_pool_checkout(sim_pool(), 30000, &conn, NULL);
	wi_alloc_fail_at(0);
	assert_true(st == WEIR_OK || st == WEIR_NO_MEMORY || st == WEIR_CONNECT);
	weir_checkin(&conn);
	sim_run(2000);
	conn = sim_checkout(30000);
	assert_non_null(conn);
	weir_checkin(&conn);
	sim_settle();
	assert_int_equal(sim_stats()->idle, 1);
	assert_int_equal(sim_stats()->busy, 0);
	assert_int_equal(wi_load_rlx(&sim_server()->sessions), 1);
	assert_int_equal(sim_close(), 0);
}

static void the_first_checkout_survives_each_failing_allocation(void **state)
{
	(void)state;
	for (int n = 1; n < 30; n++)
		checkout_while_failing_at(n);
}

static void a_reset_without_memory_costs_one_connection(void **state)
{
	weir_conn *conn;

	(void)state;
	for (int n = 1; n < 5; n++) {
		assert_int_equal(sim_open(&o), WEIR_OK);
		conn = sim_checkout(1000);
		sim_leave(conn, WI_LOOK_IN_TX);
		wi_alloc_fail_at(n);
		weir_checkin(&conn);
		sim_settle();
		wi_alloc_fail_at(0);
		conn = sim_checkout(1000);
		assert_non_null(conn);
		assert_int_equal(wi_driver_fake.look(wi_conn_of(conn)->link), WI_LOOK_CLEAN);
		weir_checkin(&conn);
		assert_int_equal(sim_close(), 0);
	}
}

/* With the keeper's thread: the same, as users have it. */
static struct wi_fake_server server;

static bool becomes(size_t bytes)
{
	for (int i = 0; i < 30000 && wi_alloc_bytes() != bytes; i++)
		nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
	return wi_alloc_bytes() == bytes;
}

static void open_and_check_out(struct test_thread *self)
{
	weir_pool *pool = NULL;
	weir_conn *conn = NULL;
	weir_error error;
	weir_status st;

	wi_alloc_fail_at(*(int *)self->arg);
	st = wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server,
	                       "host=127.0.0.1 password=x", &o, &pool, &error);
	if (st != WEIR_OK) {
		if (st != WEIR_NO_MEMORY || pool)
			test_wrong(self, "open says %s", weir_status_name(st));
		return;
	}
	self->count[0] = 1;
	for (int i = 0; i < 2; i++) { /* the second has memory */
		st = weir_pool_checkout(pool, 30000, &conn, &error);
		wi_alloc_fail_at(0);
		if (st != WEIR_OK && (st != WEIR_NO_MEMORY || i > 0))
			test_wrong(self, "checkout %d says %s: %s", i, weir_status_name(st),
			           error.text);
		weir_checkin(&conn);
	}
	st = weir_pool_close(&pool, 30000);
	if (st != WEIR_OK)
		test_wrong(self, "close says %s", weir_status_name(st));
}

static void a_new_thread_fails_cleanly_at_each_allocation(void **state)
{
	struct test_thread report;
	size_t before;
	int opened = 0;

	(void)state;
	o.breaker_failures = 1000;
	wi_fake_server_init(&server);
	before = wi_alloc_bytes();
	for (int n = 1; n < 40; n++) {
		test_threads_run(1, open_and_check_out, &n, -1, &report);
		wi_alloc_fail_at(0);
		if (report.wrong[0])
			fail_msg("allocation %d: %s", n, report.wrong);
		opened += (int)report.count[0];
		assert_true(becomes(before));
	}
	assert_true(opened > 0 && opened < 39);
	wi_fake_server_fini(&server);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(opening_fails_cleanly_at_each_allocation),
		TEST(the_first_checkout_survives_each_failing_allocation),
		TEST(a_reset_without_memory_costs_one_connection),
		TEST(a_new_thread_fails_cleanly_at_each_allocation),
	};

	test_watchdog(100, "sim.pool_memory");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

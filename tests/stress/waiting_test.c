/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What waiting costs: sixty-four threads wait on a pool of eight whose connections are all out;
 * once for good, once while they go round slowly. Less than a twentieth of one CPU, and nothing
 * that grows with the number who wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/process.h"
#include "support/shapes.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define WAITERS 64
#define MAX 8
#define HOLD_MS 20

static struct wi_fake_server server;
static weir_pool *pool;

static void open_pool(void)
{
	weir_options o;

	weir_options_init(&o);
	o.pool_max = MAX;
	wi_fake_server_init(&server);
	assert_int_equal(wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server,
	                                   "host=127.0.0.1", &o, &pool, NULL),
	                 WEIR_OK);
}

static void close_pool(void)
{
	assert_int_equal(weir_pool_close(&pool, 60000), WEIR_OK);
	wi_fake_server_fini(&server);
}

static void wait_in_vain(struct test_thread *self)
{
	weir_conn *conn = NULL;

	if (weir_pool_checkout(pool, *(const int64_t *)self->arg, &conn, NULL) != WEIR_TIMEOUT)
		test_wrong(self, "a connection that is not there");
}

static void waiting_for_good_costs_nothing(void **state)
{
	static struct test_thread reports[WAITERS];
	weir_conn *conn[MAX];
	int64_t ms = (int64_t)(test_seconds(3) * 1000);
	double used;

	(void)state;
	open_pool();
	for (int i = 0; i < MAX; i++)
		assert_int_equal(weir_pool_checkout(pool, 60000, &conn[i], NULL), WEIR_OK);
	used = test_cpu_seconds();
	test_threads_run(WAITERS, wait_in_vain, &ms, -1, reports);
	used = test_cpu_seconds() - used;
	printf("%d waiters used %.1f ms of CPU in %lld ms\n", WAITERS, used * 1000, (long long)ms);
	assert_null(test_first_wrong(reports, WAITERS));
	assert_true(test_is_emulated() || used * 1000 < 0.05 * (double)ms * test_slowness());
	for (int i = 0; i < MAX; i++)
		weir_checkin(&conn[i]);
	close_pool();
}

static void hold_in_turn(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		weir_conn *conn = NULL;

		if (weir_pool_checkout(pool, 60000, &conn, NULL) != WEIR_OK) {
			test_wrong(self, "one was forgotten");
			return;
		}
		self->count[0]++;
		test_nap(HOLD_MS * WI_MS);
		weir_checkin(&conn);
	}
}

/* Four hundred hand-overs a second, to the one who has waited longest each. */
static void waiting_for_ones_turn_costs_little(void **state)
{
	static struct test_thread reports[WAITERS + MAX];
	double seconds = test_seconds(3), used, each_us;
	uint64_t turns;

	(void)state;
	open_pool();
	used = test_cpu_seconds();
	test_threads_run(WAITERS + MAX, hold_in_turn, NULL, seconds, reports);
	used = test_cpu_seconds() - used;
	turns = test_sum(reports, WAITERS + MAX, 0);
	each_us = used * 1e6 / (double)turns;
	printf("%llu turns with %d waiting used %.1f ms of CPU in %.0f ms: %.0f us a turn\n",
	       (unsigned long long)turns, WAITERS, used * 1000, seconds * 1000, each_us);
	assert_null(test_first_wrong(reports, WAITERS + MAX));
	assert_true(test_is_emulated() || used < (0.05 * seconds + 0.05) * test_slowness());
	close_pool();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waiting_for_good_costs_nothing),
		cmocka_unit_test(waiting_for_ones_turn_costs_little),
	};

	test_watchdog(120, "stress.waiting");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

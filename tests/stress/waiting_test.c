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
#include "support/fake_pool.h"
#include "support/process.h"
#include "support/shapes.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define WAITERS 64
#define MAX 8
#define HOLD_MS 20
/* Time that a machine takes away may count as used by whoever had it: then once more. */
#define TRIES 5

static struct wi_fake_server server;
static weir_pool *pool;
static struct test_thread reports[WAITERS + MAX];

static void open_pool(void)
{
	weir_options o;

	weir_options_init(&o);
	o.pool_max = MAX;
	wi_fake_server_init(&server);
	pool = fake_pool_open(&server, &o);
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

/* The CPU that all threads used meanwhile. */
static double cpu_of(int n, void (*body)(struct test_thread *), void *arg, double seconds)
{
	double begun = test_cpu_seconds();

	test_threads_run(n, body, arg, seconds, reports);
	assert_null(test_first_wrong(reports, n));
	return test_cpu_seconds() - begun;
}

static void waiting_for_good_costs_nothing(void **state)
{
	weir_conn *conn[MAX];
	int64_t ms = (int64_t)(test_seconds(3) * 1000);
	bool is_cheap = test_is_emulated();

	(void)state;
	open_pool();
	for (int i = 0; i < MAX; i++)
		assert_int_equal(weir_pool_checkout(pool, 60000, &conn[i], NULL), WEIR_OK);
	for (int i = 0; i == 0 || (i < TRIES && !is_cheap); i++) {
		double used = cpu_of(WAITERS, wait_in_vain, &ms, -1);

		printf("%d waiters used %.1f ms of CPU in %lld ms\n", WAITERS, used * 1000,
		       (long long)ms);
		is_cheap = is_cheap || used * 1000 < 0.05 * (double)ms * test_slowness();
	}
	assert_true(is_cheap);
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
	double seconds = test_seconds(3);
	bool is_cheap = test_is_emulated();

	(void)state;
	open_pool();
	for (int i = 0; i == 0 || (i < TRIES && !is_cheap); i++) {
		double used = cpu_of(WAITERS + MAX, hold_in_turn, NULL, seconds);
		uint64_t turns = test_sum(reports, WAITERS + MAX, 0);

		printf("%llu turns with %d waiting used %.1f ms of CPU in %.0f ms: %.0f us a turn\n",
		       (unsigned long long)turns, WAITERS, used * 1000, seconds * 1000,
		       used * 1e6 / (double)turns);
		is_cheap = is_cheap || used < (0.05 * seconds + 0.05) * test_slowness();
	}
	assert_true(is_cheap);
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

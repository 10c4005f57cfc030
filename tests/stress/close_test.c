/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pool is closed while a hundred threads check out: all are told CLOSED while a connection is
 * still out, who holds one finishes, and close returns when the last is back, with nothing left.
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
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/fake_pool.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define THREADS 100
#define PATIENCE_MS 60000

static struct wi_fake_server server;
static weir_pool *pool;
/* out until every user has been told: so no call begins after close has returned */
static weir_conn *kept;
static _Atomic int told;
static _Atomic bool is_back;

static void use_until_closed(struct test_thread *self)
{
	weir_pool *p = self->arg;

	for (;;) {
		weir_conn *conn = NULL;
		int64_t ms = wi_rng_below(&self->rng, 4) ? PATIENCE_MS : 1;
		weir_status st = weir_pool_checkout(p, ms, &conn, NULL);

		if (st == WEIR_CLOSED)
			break;
		if (st == WEIR_OK) {
			self->count[0]++;
			if (wi_rng_below(&self->rng, 8) == 0)
				wi_fake_leave(wi_conn_of(conn)->link, WI_LOOK_IN_TX);
			if (wi_rng_below(&self->rng, 8) == 0)
				weir_discard(&conn);
			else
				weir_checkin(&conn);
		} else if (st != WEIR_TIMEOUT || ms > 1) {
			test_wrong(self, "%s", weir_status_name(st));
			break;
		}
	}
	wi_add_acq_rel(&told, 1);
}

static void close_it(struct test_thread *self)
{
	weir_status st;

	nanosleep(&(struct timespec){.tv_nsec = wi_rng_below(&self->rng, 20000000)}, NULL);
	st = weir_pool_close(&pool, -1);
	if (st != WEIR_OK)
		test_wrong(self, "close says %s", weir_status_name(st));
	if (!wi_load_acq(&is_back))
		test_wrong(self, "close returned before the last connection was back");
}

static void return_the_last(struct test_thread *self)
{
	(void)self;
	while (wi_load_acq(&told) < THREADS)
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	wi_store_rel(&is_back, true);
	weir_checkin(&kept);
}

static void body(struct test_thread *self)
{
	if (self->number == THREADS)
		close_it(self);
	else if (self->number == THREADS + 1)
		return_the_last(self);
	else
		use_until_closed(self);
}

static void close_once(void)
{
	static struct test_thread reports[THREADS + 2];
	weir_options o;

	weir_options_init(&o);
	o.pool_max = 8;
	wi_fake_server_init(&server);
	wi_store_rlx(&server.connect_ns, 500000);
	wi_store_rlx(&told, 0);
	wi_store_rlx(&is_back, false);
	pool = fake_pool_open(&server, &o);
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &kept, NULL), WEIR_OK);
	test_threads_run(THREADS + 2, body, pool, -1, reports);
	assert_null(test_first_wrong(reports, THREADS + 2));
	assert_null(pool);
	assert_int_equal(wi_load_rlx(&server.sessions), 0);
	wi_fake_server_fini(&server);
}

static void a_hundred_users_are_told_and_nothing_is_left(void **state)
{
	int64_t end = wi_now_ns() + (int64_t)(test_seconds(4) * 1e9);
	size_t bytes;
	int n = 1;

	(void)state;
	test_yields(64);
	close_once(); /* the first makes this thread's desk */
	bytes = wi_alloc_bytes();
	for (; wi_now_ns() < end; n++) {
		close_once();
		assert_int_equal(wi_alloc_bytes(), bytes);
	}
	test_yields(0);
	printf("%d pools closed under %d users\n", n, THREADS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hundred_users_are_told_and_nothing_is_left),
	};

	test_watchdog(250, "stress.close");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

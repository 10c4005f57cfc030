/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads and pools that come and go by the thousand leave nothing behind: no memory, no
 * descriptor, no seat.
 */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define ROUNDS 1250 /* of eight threads each */
#define PATIENCE_MS 60000

static struct wi_fake_server server;
static weir_pool *pool;

static int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void open_pool(weir_pool **at, struct wi_fake_server *on, int64_t max)
{
	weir_options o;

	weir_options_init(&o);
	o.pool_max = max;
	if (wi_pool_open_with(&wi_driver_fake, &wi_world_linux, on, "host=127.0.0.1", &o, at,
	                      NULL) != WEIR_OK)
		*at = NULL;
}

static void use_once(struct test_thread *self)
{
	weir_conn *conn = NULL;
	weir_status st = weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL);

	if (st != WEIR_OK)
		test_wrong(self, "%s", weir_status_name(st));
	weir_checkin(&conn);
}

static uint32_t segments(void)
{
	uint32_t n = 0;

	while (wi_segment_at(&pool->core.seats, n))
		n++;
	return n;
}

/* A connect, a reset or a ping that is under way has memory of its own. */
static bool is_at_rest(const weir_pool_stats *s)
{
	return !s->kept && !s->opening && !s->closing;
}

static void ten_thousand_threads_leave_nothing(void **state)
{
	struct test_thread reports[8];
	int rounds = ROUNDS / test_slowness(), fds = 0;
	size_t bytes = 0;
	weir_pool_stats s;

	(void)state;
	wi_fake_server_init(&server);
	open_pool(&pool, &server, 4);
	assert_non_null(pool);
	for (int i = 0; i < rounds; i++) {
		test_threads_run(8, use_once, NULL, -1, reports);
		assert_null(test_first_wrong(reports, 8));
		weir_pool_stats_get(pool, &s);
		/* the pool has its size, and is at rest: from here on nothing may grow */
		if (s.opened == 4 && is_at_rest(&s) && !bytes) {
			bytes = wi_alloc_bytes();
			fds = descriptors();
		}
	}
	do {
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		weir_pool_stats_get(pool, &s);
	} while (!is_at_rest(&s));
	assert_int_equal(s.checkouts, (uint64_t)rounds * 8);
	assert_int_equal(s.checkins, s.checkouts);
	assert_int_equal(s.idle, s.total);
	assert_int_equal(segments(), 1);
	if (bytes) {
		assert_int_equal(wi_alloc_bytes(), bytes);
		assert_int_equal(descriptors(), fds);
	}
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	wi_fake_server_fini(&server);
}

/* One thread's: opens a pool, uses it with others' threads about, closes it, again and again. */
static void open_use_close(struct test_thread *self)
{
	static _Atomic uint32_t turn;

	do { /* once at least, however late the thread begins */
		struct wi_fake_server mine;
		weir_pool *p = NULL;
		weir_conn *conn[3] = {NULL};

		wi_fake_server_init(&mine);
		open_pool(&p, &mine, 3);
		if (!p) {
			test_wrong(self, "no pool");
			return;
		}
		for (uint32_t i = 0; i < wi_add_rlx(&turn, 1) % 4 && i < 3; i++)
			if (weir_pool_checkout(p, PATIENCE_MS, &conn[i], NULL) != WEIR_OK)
				test_wrong(self, "no connection");
		for (int i = 0; i < 3; i++)
			weir_checkin(&conn[i]);
		if (weir_pool_close(&p, PATIENCE_MS) != WEIR_OK)
			test_wrong(self, "a pool did not close");
		wi_fake_server_fini(&mine);
		self->count[0]++;
	} while (!wi_load_rlx(self->stop));
}

static void many_pools_at_once_leave_nothing(void **state)
{
	struct test_thread reports[12];
	size_t bytes = wi_alloc_bytes();
	int fds = descriptors();

	(void)state;
	test_yields(64);
	test_threads_run(12, open_use_close, NULL, test_seconds(3), reports);
	test_yields(0);
	assert_null(test_first_wrong(reports, 12));
	printf("%llu pools\n", (unsigned long long)test_sum(reports, 12, 0));
	assert_true(test_sum(reports, 12, 0) >= 12);
	assert_int_equal(wi_alloc_bytes(), bytes);
	assert_int_equal(descriptors(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_thousand_threads_leave_nothing),
		cmocka_unit_test(many_pools_at_once_leave_nothing),
	};

	test_watchdog(250, "stress.threads");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

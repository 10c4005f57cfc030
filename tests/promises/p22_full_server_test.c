/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 22: the server has no room for more (53300): the pool keeps what it has and serves
 * everybody with that, asks for more with a backoff and not in a storm, is not taken for broken,
 * and grows when there is room again.
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
#include "support/mock_server.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define THREADS 8
#define ROOM 2

static struct test_mock *mock;
static weir_pool *pool;
static weir_error error;

static void sleep_ms(int64_t ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static weir_pool_stats stats(void)
{
	weir_pool_stats s;

	weir_pool_stats_get(pool, &s);
	return s;
}

static bool grows; /* until the pool has a connection for each thread */

static bool goes_on(const struct test_thread *self)
{
	return grows ? stats().opened < THREADS : !wi_load_rlx(self->stop);
}

static void use(struct test_thread *self)
{
	while (goes_on(self)) {
		weir_conn *conn = NULL;
		weir_error e;

		if (weir_pool_checkout(pool, PATIENCE_MS, &conn, &e) != WEIR_OK) {
			test_wrong(self, "%s", e.text);
			return;
		}
		self->count[0]++;
		sleep_ms(2);
		weir_checkin(&conn);
	}
}

static void a_full_server_is_lived_with(void **state)
{
	struct test_thread threads[THREADS];
	struct test_mock_counts before, after;
	weir_pool_stats s;
	weir_options o;
	weir_conn *conn[ROOM];
	weir_conn *more = NULL;
	int64_t full_ns, until_ns;

	(void)state;
	mock = test_mock_start(NULL);
	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = THREADS;
	assert_int_equal(weir_pool_open(test_mock_conninfo(mock), &o, &pool, &error), WEIR_OK);
	for (int i = 0; i < ROOM; i++) {
		conn[i] = NULL;
		assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn[i], &error), WEIR_OK);
	}
	test_mock_refuse(mock, -1, "53300", "sorry, too many clients already");
	test_mock_counts(mock, &before);
	full_ns = wi_now_ns();

	/* Who has to wait is told why there is no more, when it has been tried. */
	until_ns = full_ns + PATIENCE_MS * WI_MS;
	do
		assert_int_equal(weir_pool_checkout(pool, 100, &more, &error), WEIR_TIMEOUT);
	while (!strstr(error.text, "capacity while connecting: ") && wi_now_ns() < until_ns);
	assert_non_null(strstr(error.text, "capacity while connecting: "));
	for (int i = 0; i < ROOM; i++)
		weir_checkin(&conn[i]);

	grows = false;
	test_threads_run(THREADS, use, NULL, 2, threads);
	assert_null(test_first_wrong(threads, THREADS));
	test_mock_counts(mock, &after);
	s = stats();
	print_message("%llu checkouts over %u connections; %llu connects refused in 2 s\n",
	              (unsigned long long)test_sum(threads, THREADS, 0), s.total,
	              (unsigned long long)(after.connects - before.connects));
	assert_true(test_sum(threads, THREADS, 0) > 50);
	assert_int_equal(s.opened, ROOM);
	assert_int_equal(s.breaker_openings, 0);
	assert_int_equal(s.connect_failed_of[WEIR_CONNECT_CAPACITY], s.connect_failures);
	/* 10, 20, ... 640, 1000, 1000 ms, each halved by chance: 8 in the first second, then 2. */
	assert_true(after.connects - before.connects >= 2);
	assert_true(after.connects - before.connects <=
	            10 + 2 * (uint64_t)((wi_now_ns() - full_ns) / WI_SEC));

	test_mock_refuse(mock, 0, NULL, NULL);
	grows = true;
	test_threads_run(THREADS, use, NULL, -1, threads);
	assert_null(test_first_wrong(threads, THREADS));
	assert_int_equal(stats().opened, THREADS);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	test_mock_stop(&mock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_server_is_lived_with),
	};

	test_watchdog(280, "promise.22_full_server");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

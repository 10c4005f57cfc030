/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 16: fifty callers at once, where a connect takes 150 ms and the work 2 ms: the few
 * connections that are open serve them, and hardly any more are opened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "support/mock_server.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define CALLERS 50
#define CONNECT_MS 150

static weir_pool *pool;
static weir_error error;

static void work(struct test_thread *self)
{
	weir_conn *conn = NULL;
	weir_error e;

	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, &e) != WEIR_OK) {
		test_wrong(self, "%s", e.text);
		return;
	}
	nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	weir_checkin(&conn);
}

/*
 * How many connects there may be in a burst: as many at once as weir makes, and as many again each
 * time that they end before the burst does, which a machine that stands still may cause. One for
 * each caller would be 50.
 */
static uint64_t burst(int64_t connect_parallel)
{
	struct test_thread callers[CALLERS];
	int64_t began_ns = wi_now_ns(), took_ns;

	test_threads_run(CALLERS, work, NULL, -1, callers);
	took_ns = wi_now_ns() - began_ns;
	assert_null(test_first_wrong(callers, CALLERS));
	print_message("%d callers in %.1f ms\n", CALLERS, (double)took_ns / 1e6);
	return (uint64_t)(connect_parallel * (1 + took_ns / (CONNECT_MS * WI_MS)));
}

static void a_burst_is_served_by_what_is_open(void **state)
{
	struct test_mock *mock = test_mock_start(NULL);
	struct test_mock_counts counts;
	uint64_t most = 0;
	weir_pool_stats s;
	weir_options o;

	(void)state;
	weir_options_init(&o);
	o.pool_max = 50;
	assert_int_equal(weir_pool_open(test_mock_conninfo(mock), &o, &pool, &error), WEIR_OK);
	do {
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		weir_pool_stats_get(pool, &s);
	} while (s.idle < (uint32_t)o.pool_min);
	test_mock_startup_delay(mock, CONNECT_MS);
	for (int i = 0; i < 2; i++)
		most += burst(o.connect_parallel);
	test_mock_counts(mock, &counts);
	weir_pool_stats_get(pool, &s);
	print_message("2 bursts of %d callers: %llu connects, %u connections\n", CALLERS,
	              (unsigned long long)counts.connects, s.total);
	assert_true(counts.connects <= (uint64_t)o.pool_min + most);
	assert_int_equal(s.timeouts, 0);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	test_mock_stop(&mock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_is_served_by_what_is_open),
	};

	test_watchdog(280, "promise.16_burst");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

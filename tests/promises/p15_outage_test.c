/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 15: while a server is down there is at most one connect a host in each step of the
 * backoff; every waiter ends by its deadline and is told the cause, within 50 us where the breaker
 * is open; and when the server is back, the pool is at full speed within one step, and many pools
 * do not come back all at once.
 *
 * The server is the mock, which hangs up on whoever connects while it is "down", so that attempts
 * are counted and timed by the one who sees them. TEST_OUTAGE_S is how long it is down.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/mock_server.h"
#include "support/shapes.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define THREADS 16
#define TIMEOUT_MS 200
#define POOLS 20
#define SAMPLES 501
#define FAST_US 50 /* in which a checkout fails before an open breaker */

static struct test_mock *mock;
static weir_options o;
static weir_error error;

static void sleep_ms(int64_t ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static int64_t outage_ms(void)
{
	const char *s = getenv("TEST_OUTAGE_S");

	return (s ? atoi(s) : 3) * INT64_C(1000);
}

static int set_up(void **state)
{
	(void)state;
	mock = test_mock_start(&(struct test_mock_options){.max_seconds = 280});
	weir_options_init(&o);
	o.pool_min = 2;
	o.pool_max = 8;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_mock_stop(&mock);
	return 0;
}

static void server_down(void)
{
	test_mock_door(mock, TEST_MOCK_HANG_UP);
	test_mock_end(mock, 0, false, TEST_MOCK_END_FATAL, "57P01");
}

static weir_pool *open_pool(void)
{
	weir_pool *pool = NULL;

	if (weir_pool_open(test_mock_conninfo(mock), &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return pool;
}

/* ---- the load ---- */

static struct {
	weir_pool *pool;
	_Atomic bool ended;
	_Atomic uint64_t served, failed, without_cause;
	_Atomic int64_t latest_ns; /* how much after its deadline a caller was back, at worst */
	/* Who came then, and failed before it was over, is told the cause; 0: not yet. */
	_Atomic int64_t down_ns, back_ns;
} load;

/* The last failure, or where none has come yet, what is waited for. */
static bool names_cause(const weir_error *e)
{
	return strstr(e->text, " while connecting: ") || strstr(e->text, "57P01") ||
	       strstr(e->text, "administrator") || strstr(e->text, "opening (");
}

/* Before and after it, too, a caller may wait in vain on a slow machine, for one that is busy. */
static bool is_of_outage(int64_t begun_ns, int64_t ended_ns)
{
	int64_t down_ns = wi_load_rlx(&load.down_ns), back_ns = wi_load_rlx(&load.back_ns);

	return down_ns && begun_ns >= down_ns && (!back_ns || ended_ns < back_ns);
}

static void *use(void *arg)
{
	(void)arg;
	while (!wi_load_rlx(&load.ended)) {
		weir_conn *conn = NULL;
		weir_error e;
		int64_t begun = wi_now_ns(), ended, late;
		weir_status st = weir_pool_checkout(load.pool, TIMEOUT_MS, &conn, &e);

		ended = wi_now_ns();
		late = ended - begun - TIMEOUT_MS * WI_MS;
		if (late > wi_load_rlx(&load.latest_ns))
			wi_store_rlx(&load.latest_ns, late);
		if (st == WEIR_OK) {
			wi_add_rlx(&load.served, 1);
			sleep_ms(1);
			weir_checkin(&conn);
			continue;
		}
		wi_add_rlx(&load.failed, 1);
		if (is_of_outage(begun, ended) && !names_cause(&e) &&
		    wi_add_rlx(&load.without_cause, 1) == 0)
			print_message("without its cause: %s\n", e.text);
		sleep_ms(1);
	}
	return NULL;
}

/* From the first failed connect on it is known. */
static int64_t await_cause(void)
{
	weir_pool_stats s;

	do {
		sleep_ms(1);
		weir_pool_stats_get(load.pool, &s);
	} while (s.connect_failures == 0);
	return wi_now_ns();
}

/* Under load all that it may open are opened. */
static void await_full_speed(void)
{
	int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;
	weir_pool_stats s;

	do {
		sleep_ms(1);
		weir_pool_stats_get(load.pool, &s);
	} while (s.total < s.max / 2 && wi_now_ns() < until_ns);
	assert_true(s.total >= s.max / 2);
}

static uint64_t served_in(int64_t ms)
{
	uint64_t before = wi_load_rlx(&load.served);

	sleep_ms(ms);
	return wi_load_rlx(&load.served) - before;
}

/* ---- the steps ---- */

/* The shortest that the pause after the k-th failure in a row may be. */
static int64_t least_pause_ms(int k)
{
	int64_t ms = o.breaker_open_ms;

	if (k < o.breaker_failures)
		return (INT64_C(10) << (k - 1)) / 2;
	for (int i = (int)o.breaker_failures; i < k && ms < o.breaker_open_max_ms; i++)
		ms *= 2;
	return (ms < o.breaker_open_max_ms ? ms : o.breaker_open_max_ms) / 2;
}

static int attempts_since(int64_t since_ns, int64_t times[], int room)
{
	int64_t all[1024];
	int n = (int)test_mock_connect_times(mock, all, 1024), k = 0;

	for (int i = 0; i < n && i < 1024; i++)
		if (all[i] >= since_ns && k < room)
			times[k++] = all[i];
	return k;
}

static void one_connect_a_step(int64_t down_ns, int64_t back_ns)
{
	int64_t times[256];
	int n = attempts_since(down_ns, times, 256), k;

	for (k = 0; k < n && times[k] < back_ns; k++) {
		int64_t gap = k ? times[k] - times[k - 1] : 0;

		print_message("  attempt %d after %lld ms\n", k + 1, (long long)(gap / WI_MS));
		/* The second may be the first to be counted as a failure in a row. */
		if (k)
			assert_true(gap >= least_pause_ms(k) * WI_MS - WI_MS);
	}
	assert_true(k >= 2);
	print_message("%d attempts in %.1f s\n", k, (double)(back_ns - down_ns) / 1e9);
}

/* Half of them at least, whatever the machine does to the others. */
static void fails_fast(void)
{
	static int64_t ns[SAMPLES];
	weir_conn *conn = NULL;

	for (int i = 0; i < SAMPLES; i++) {
		int64_t begun = wi_now_ns();

		if (weir_pool_checkout(load.pool, TIMEOUT_MS, &conn, &error) == WEIR_OK)
			weir_checkin(&conn);
		ns[i] = wi_now_ns() - begun;
	}
	for (int i = 0; i <= SAMPLES / 2; i++) /* the smaller half in order */
		for (int k = i + 1; k < SAMPLES; k++)
			if (ns[k] < ns[i]) {
				int64_t t = ns[i];

				ns[i] = ns[k];
				ns[k] = t;
			}
	print_message("with the breaker open a checkout fails in %.1f us (median)\n",
	              (double)ns[SAMPLES / 2] / 1e3);
	assert_true(ns[SAMPLES / 2] < FAST_US * 1000 * test_slowness());
}

static void a_server_is_stopped_under_load_and_started_again(void **state)
{
	pthread_t threads[THREADS];
	int64_t down_ns, back_ns, step_ms;
	weir_pool_stats stats;
	uint64_t before, during;

	(void)state;
	memset(&load, 0, sizeof(load));
	load.pool = open_pool();
	test_measure_lag(true);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, use, NULL);
	while (served_in(50) == 0)
		;
	before = served_in(500);
	server_down();
	down_ns = wi_now_ns();
	wi_store_rlx(&load.down_ns, await_cause());
	sleep_ms(outage_ms() / 2);
	fails_fast();
	sleep_ms(outage_ms() / 2);
	during = served_in(10);
	weir_pool_stats_get(load.pool, &stats);
	back_ns = wi_now_ns();
	wi_store_rlx(&load.back_ns, back_ns);
	test_mock_door(mock, TEST_MOCK_OPEN);
	assert_int_equal(during, 0);
	assert_true(stats.breaker_open);
	step_ms = stats.breaker_next_ms;
	while (served_in(20) == 0 && wi_now_ns() - back_ns < PATIENCE_MS * WI_MS)
		;
	print_message("back after %lld ms, the step had %lld ms to go\n",
	              (long long)((wi_now_ns() - back_ns) / WI_MS), (long long)step_ms);
	assert_true(wi_now_ns() - back_ns < (step_ms + 5000) * WI_MS);
	print_message("served in half a second: %llu before, %llu after\n",
	              (unsigned long long)before, (unsigned long long)served_in(500));
	await_full_speed();
	wi_store_rlx(&load.ended, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	test_measure_lag(false);
	print_message("%llu callers failed, the latest %.1f ms after its deadline\n",
	              (unsigned long long)wi_load_rlx(&load.failed),
	              (double)wi_load_rlx(&load.latest_ns) / 1e6);
	assert_true(wi_load_rlx(&load.latest_ns) < 3 * WI_SEC + test_slack_ns());
	assert_int_equal(wi_load_rlx(&load.without_cause), 0);
	one_connect_a_step(down_ns, back_ns);
	assert_int_equal(weir_pool_close(&load.pool, PATIENCE_MS), WEIR_OK);
}

static void await_all(weir_pool **pools)
{
	for (int i = 0; i < POOLS; i++) {
		weir_pool_stats s;

		do {
			sleep_ms(1);
			weir_pool_stats_get(pools[i], &s);
		} while (s.idle < (uint32_t)o.pool_min);
	}
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/*
 * When each of them will try the next time, in order, by its own plan: a machine that stands still
 * for a moment has many of them try at once, whatever they had planned.
 */
static void next_tries(weir_pool **pools, int64_t next_ns[POOLS])
{
	for (int i = 0; i < POOLS; i++) {
		int64_t before_ns, after_ns;
		weir_pool_stats s;

		do {
			sleep_ms(1);
			before_ns = wi_now_ns();
			weir_pool_stats_get(pools[i], &s);
			after_ns = wi_now_ns();
		} while (!s.breaker_open || s.breaker_next_ms < 1 || after_ns - before_ns > WI_MS);
		next_ns[i] = after_ns + s.breaker_next_ms * WI_MS;
	}
	qsort(next_ns, POOLS, sizeof(next_ns[0]), by_time);
}

static void many_pools_do_not_come_back_at_once(void **state)
{
	weir_pool *pools[POOLS];
	int64_t times[512], next_ns[POOLS], back_ns;
	int n, most = 0;

	(void)state;
	for (int i = 0; i < POOLS; i++)
		pools[i] = open_pool();
	await_all(pools);
	server_down();
	sleep_ms(1000);
	next_tries(pools, next_ns);
	back_ns = wi_now_ns();
	test_mock_door(mock, TEST_MOCK_OPEN);
	await_all(pools);
	for (int i = 0; i < POOLS; i++) {
		int k = i;

		while (k < POOLS && next_ns[k] - next_ns[i] < 100 * WI_MS)
			k++;
		most = k - i > most ? k - i : most;
	}
	n = attempts_since(back_ns, times, 512);
	print_message("%d pools came back with %d connects, %d of them within 100 ms\n", POOLS, n,
	              most);
	assert_true(n >= POOLS * (int)o.pool_min);
	assert_true(most <= POOLS * 3 / 4);
	for (int i = 0; i < POOLS; i++)
		assert_int_equal(weir_pool_close(&pools[i], PATIENCE_MS), WEIR_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_server_is_stopped_under_load_and_started_again),
		TEST(many_pools_do_not_come_back_at_once),
	};

	test_watchdog(280, "promise.15_outage");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 16: fifty callers at once, where a connect takes 150 ms, or does not end at all, and the
 * work 2 ms: the few connections that are open serve them, and hardly any more are opened.
 *
 * Before each the pool has been through more connects than connect_parallel: so it is that option
 * which bounds them, and not the breaker's window, which begins with one and grows with success.
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
#define MIN 2
#define PARALLEL 4
#define BEFORE (2 * PARALLEL)

static struct test_mock *mock;
static weir_pool *pool;
static weir_error error;
static weir_conn *held[BEFORE];
static uint32_t open_ones; /* MIN, or one more that a woken waiter did not need after all */

static weir_pool_stats stats(void)
{
	weir_pool_stats s;

	weir_pool_stats_get(pool, &s);
	return s;
}

static uint64_t connects(void)
{
	struct test_mock_counts counts;

	test_mock_counts(mock, &counts);
	return counts.connects;
}

/*
 * Whether there are so many connections at least, and nothing is on its way any more: what is seen
 * in the middle of the keeper's turn does not add up.
 */
static bool is_at_rest(uint32_t least)
{
	weir_pool_stats s = stats();

	return s.closed[WEIR_CLOSE_DISCARDED] == BEFORE && s.opened == BEFORE + s.idle &&
	       s.idle == s.total && s.idle >= least;
}

static void await_rest(uint32_t least)
{
	while (!is_at_rest(least))
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void check_out(weir_conn **conn)
{
	if (weir_pool_checkout(pool, PATIENCE_MS, conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

/* Idle connections, few, after enough connects that went well. */
static void open_pool(void)
{
	weir_conn *conn[BEFORE];
	weir_options o;

	mock = test_mock_start(NULL);
	weir_options_init(&o);
	o.pool_min = MIN;
	o.pool_max = CALLERS;
	o.connect_parallel = PARALLEL;
	o.connect_timeout_ms = PATIENCE_MS;
	assert_int_equal(weir_pool_open(test_mock_conninfo(mock), &o, &pool, &error), WEIR_OK);
	for (int i = 0; i < BEFORE; i++)
		check_out(&conn[i]);
	for (int i = 0; i < BEFORE; i++)
		weir_discard(&conn[i]);
	await_rest(MIN);
	open_ones = stats().total;
	assert_in_range(open_ones, MIN, BEFORE);
}

static void close_pool(void)
{
	assert_int_equal(stats().timeouts, 0);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	test_mock_stop(&mock);
}

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
static uint64_t burst(void)
{
	struct test_thread callers[CALLERS];
	int64_t began_ns = wi_now_ns(), took_ns;

	test_threads_run(CALLERS, work, NULL, -1, callers);
	took_ns = wi_now_ns() - began_ns;
	assert_null(test_first_wrong(callers, CALLERS));
	print_message("%d callers in %.1f ms\n", CALLERS, (double)took_ns / 1e6);
	return (uint64_t)(PARALLEL * (1 + took_ns / (CONNECT_MS * WI_MS)));
}

static void a_burst_is_served_by_what_is_open(void **state)
{
	uint64_t before, most = 0;

	(void)state;
	open_pool();
	before = connects();
	test_mock_startup_delay(mock, CONNECT_MS);
	for (int i = 0; i < 2; i++)
		most += burst();
	print_message("2 bursts of %d callers: %llu connects, %u connections\n", CALLERS,
	              (unsigned long long)(connects() - before), stats().total);
	assert_true(connects() - before <= most);
	close_pool();
}

/* The last one gives back what is open, when the others have had as many opened as there may be. */
static void work_or_wait(struct test_thread *self)
{
	if (self->number < CALLERS) {
		work(self);
		return;
	}
	if (!test_mock_await_held(mock, PARALLEL, PATIENCE_MS))
		test_wrong(self, "nothing is opened");
	for (uint32_t i = 0; i < open_ones; i++)
		weir_checkin(&held[i]);
}

static void connects_that_do_not_end_hold_up_nobody(void **state)
{
	struct test_thread callers[CALLERS + 1];
	uint64_t before;

	(void)state;
	open_pool();
	before = connects();
	for (uint32_t i = 0; i < open_ones; i++)
		check_out(&held[i]);
	test_mock_startup_hold(mock, true);
	test_threads_run(CALLERS + 1, work_or_wait, NULL, -1, callers);
	assert_null(test_first_wrong(callers, CALLERS + 1));
	test_mock_startup_hold(mock, false);
	test_mock_go(mock);
	await_rest(open_ones + PARALLEL);
	assert_int_equal(connects() - before, PARALLEL);
	close_pool();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_is_served_by_what_is_open),
		cmocka_unit_test(connects_that_do_not_end_hold_up_nobody),
	};

	test_watchdog(280, "promise.16_burst");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Every connection replaced: those that are out when they are back, the minimum kept meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "pool/pool.h"
#include "support/sim.h"
#include "support/watchdog.h"

static weir_options o;

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	return 0;
}

static void open_pool(int64_t min, int64_t max)
{
	o.pool_min = min;
	o.pool_max = max;
	assert_int_equal(sim_open(&o), WEIR_OK);
	sim_settle();
}

static void close_pool(void)
{
	assert_int_equal(sim_close(), 0);
}

static uint64_t evicted(void)
{
	return sim_stats()->closed[WEIR_CLOSE_EVICTED];
}

static void evict(void)
{
	assert_int_equal(weir_pool_evict(sim_pool()), WEIR_OK);
}

/* The lowest number of connections that were ready at any moment of so many milliseconds. */
static uint32_t lowest_for(int ms)
{
	uint32_t lowest = UINT32_MAX;

	for (int i = 0; i < ms; i++) {
		uint32_t ready;

		sim_run(1);
		ready = sim_stats()->idle + sim_stats()->busy;
		lowest = ready < lowest ? ready : lowest;
	}
	return lowest;
}

static void idle_ones_above_the_minimum_go_at_once(void **state)
{
	weir_conn *out[5];

	(void)state;
	open_pool(0, 5);
	for (int i = 0; i < 5; i++)
		out[i] = sim_checkout(1000);
	for (int i = 0; i < 5; i++)
		weir_checkin(&out[i]);
	evict();
	sim_settle();
	assert_int_equal(sim_stats()->total, 0);
	assert_int_equal(evicted(), 5);
	close_pool();
}

static void the_minimum_is_replaced_before_it_goes(void **state)
{
	(void)state;
	open_pool(4, 10);
	assert_int_equal(sim_stats()->idle, 4);
	wi_store_rlx(&sim_server()->connect_ns, 20 * WI_MS);
	evict();
	assert_int_equal(lowest_for(500), 4);
	assert_int_equal(evicted(), 4);
	assert_int_equal(sim_stats()->idle, 4);
	assert_int_equal(sim_stats()->opened, 8);
	close_pool();
}

static void where_there_is_no_room_one_goes_first(void **state)
{
	(void)state;
	open_pool(3, 3);
	wi_store_rlx(&sim_server()->connect_ns, 20 * WI_MS);
	evict();
	assert_int_equal(lowest_for(500), 2);
	assert_int_equal(evicted(), 3);
	assert_int_equal(sim_stats()->idle, 3);
	assert_int_equal(wi_load_rlx(&sim_server()->sessions_peak), 3);
	close_pool();
}

static void those_that_are_out_go_when_they_are_back(void **state)
{
	weir_conn *a, *b;
	uint64_t serial;

	(void)state;
	open_pool(1, 2);
	a = sim_checkout(1000);
	b = sim_checkout(1000);
	serial = sim_serial(b);
	evict();
	sim_run(60000);
	assert_int_equal(evicted(), 0);
	assert_int_equal(sim_stats()->busy, 2);
	weir_checkin(&a);
	sim_settle();
	assert_int_equal(evicted(), 1);
	weir_checkin(&b);
	sim_settle();
	assert_int_equal(evicted(), 2);
	a = sim_checkout(1000);
	assert_true(sim_serial(a) > serial);
	weir_checkin(&a);
	sim_run(1000);
	assert_int_equal(evicted(), 2); /* and nothing that came after */
	close_pool();
}

static void a_connect_under_way_is_begun_anew(void **state)
{
	(void)state;
	o.pool_min = 1;
	assert_int_equal(sim_open(&o), WEIR_OK);
	wi_store_rlx(&sim_server()->connect_ns, 100 * WI_MS);
	sim_run(50);
	assert_int_equal(sim_stats()->opening, 1);
	evict();
	sim_run(90);
	assert_int_equal(sim_stats()->idle, 0);
	sim_run(20);
	assert_int_equal(sim_stats()->idle, 1);
	assert_int_equal(wi_load_rlx(&sim_server()->connects), 2);
	assert_int_equal(sim_stats()->connect_failures, 0);
	close_pool();
}

static void where_connects_fail_all_go(void **state)
{
	(void)state;
	open_pool(3, 6);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_REFUSED);
	evict();
	sim_run(2000);
	assert_int_equal(evicted(), 3);
	assert_int_equal(sim_stats()->idle, 0);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_NONE);
	sim_run(70000);
	assert_int_equal(sim_stats()->idle, 3);
	close_pool();
}

static void again_and_again(void **state)
{
	(void)state;
	open_pool(2, 4);
	for (int i = 0; i < 20; i++) {
		evict();
		assert_true(lowest_for(3) >= 2);
	}
	sim_run(100);
	assert_int_equal(sim_stats()->idle, 2);
	assert_int_equal(sim_stats()->opened, evicted() + 2);
	close_pool();
}

static void what_cannot_be(void **state)
{
	(void)state;
	assert_int_equal(weir_pool_evict(NULL), WEIR_INVALID);
	open_pool(0, 2);
	wi_pool_shut(sim_pool());
	assert_int_equal(weir_pool_evict(sim_pool()), WEIR_CLOSED);
	close_pool();
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(idle_ones_above_the_minimum_go_at_once),
		TEST(the_minimum_is_replaced_before_it_goes),
		TEST(where_there_is_no_room_one_goes_first),
		TEST(those_that_are_out_go_when_they_are_back),
		TEST(a_connect_under_way_is_begun_anew),
		TEST(where_connects_fail_all_go),
		TEST(again_and_again),
		TEST(what_cannot_be),
	};

	test_watchdog(60, "sim.pool_evict");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

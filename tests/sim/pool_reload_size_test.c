/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sizes by a reload of the options: they follow in both directions, beside an overflow and a
 * resize, of which what was said last holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "pool/pool.h"
#include "support/sim.h"
#include "support/watchdog.h"

static weir_options o;
static weir_error error;

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	memset(&error, 0, sizeof(error));
	return 0;
}

static void reload(void)
{
	if (weir_pool_reload(sim_pool(), &o, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	sim_settle();
}

static void sizes_follow(void **state)
{
	weir_conn *out[6];

	(void)state;
	o.pool_max = 2;
	sim_begin(&o);
	o.pool_max = 4;
	o.pool_overflow = 2;
	reload();
	for (int i = 0; i < 6; i++)
		assert_non_null(out[i] = sim_checkout(1000));
	assert_null(sim_checkout(10));
	assert_int_equal(sim_stats()->max, 4);
	o.pool_max = 3;
	o.pool_overflow = 0;
	reload();
	for (int i = 0; i < 6; i++)
		weir_checkin(&out[i]);
	sim_settle();
	assert_int_equal(sim_stats()->idle, 3);
	o.server_budget = 10;
	o.pod_count = 5;
	reload();
	assert_int_equal(sim_stats()->max, 2);
	assert_int_equal(sim_stats()->idle, 2);
	o.server_budget = 0;
	o.pool_min = 3;
	reload();
	assert_int_equal(sim_stats()->idle, 3);
	sim_end();
}

/* More slots are wanted though the word of sizes is the same. */
static void an_overflow_alone_has_room(void **state)
{
	weir_conn *out[5];

	(void)state;
	o.pool_max = 2;
	sim_begin(&o);
	o.pool_overflow = 3;
	reload();
	for (int i = 0; i < 5; i++)
		assert_non_null(out[i] = sim_checkout(1000));
	assert_null(sim_checkout(10));
	for (int i = 0; i < 5; i++)
		weir_checkin(&out[i]);
	sim_end();
}

/* What weir_pool_resize has said stays, as long as the options say nothing else than before. */
static void a_size_of_before_stays(void **state)
{
	(void)state;
	o.pool_max = 4;
	sim_begin(&o);
	assert_int_equal(weir_pool_resize(sim_pool(), 0, 7, &error), WEIR_OK);
	o.checkout_timeout_ms = 100;
	reload();
	assert_int_equal(sim_stats()->max, 7);
	o.pool_max = 5;
	reload();
	assert_int_equal(sim_stats()->max, 5);
	sim_end();
}

#ifndef __SANITIZE_ADDRESS__ /* there a pool has room for 64 */
/* Nor does an overflow say another size; and there is memory for both together. */
static void an_overflow_leaves_the_size(void **state)
{
	(void)state;
	o.pool_max = 4;
	sim_begin(&o);
	assert_int_equal(weir_pool_resize(sim_pool(), 0, 900, &error), WEIR_OK);
	o.pool_overflow = 1000;
	reload();
	assert_int_equal(sim_stats()->max, 900);
	assert_int_equal(sim_pool()->n_conns, 1900);
	o.leak_action = WEIR_LEAK_RECLAIM;
	reload();
	assert_int_equal(sim_stats()->max, 900);
	assert_int_equal(sim_pool()->n_conns, 3800);
	sim_end();
}
#endif

/* The keeper comes to the reload after both were said. */
static void the_size_that_was_said_last_stays(void **state)
{
	(void)state;
	o.pool_max = 4;
	sim_begin(&o);
	o.pool_max = 5;
	assert_int_equal(weir_pool_reload(sim_pool(), &o, &error), WEIR_OK);
	assert_int_equal(weir_pool_resize(sim_pool(), 0, 7, &error), WEIR_OK);
	sim_settle();
	assert_int_equal(sim_stats()->max, 7);
	assert_int_equal(weir_pool_resize(sim_pool(), 0, 6, &error), WEIR_OK);
	o.pool_max = 3;
	assert_int_equal(weir_pool_reload(sim_pool(), &o, &error), WEIR_OK);
	sim_settle();
	assert_int_equal(sim_stats()->max, 3);
	sim_end();
}

static int resized;

static void resize_once(const char *point)
{
	if (strcmp(point, "reload.sizes.looked") != 0 || resized++)
		return;
	assert_int_equal(weir_pool_resize(sim_pool(), 1, 5, &error), WEIR_OK);
}

/* To what it was before: an exchange of the sizes alone would not see it. */
static void a_resize_that_is_said_later_outlasts_it(void **state)
{
	(void)state;
	o.pool_min = 1;
	o.pool_max = 5;
	sim_begin(&o);
	sim_settle();
	resized = 0;
	o.pool_max = 9;
	wi_store_seq(&wi_yield_hook, resize_once);
	reload();
	wi_store_seq(&wi_yield_hook, NULL);
	assert_true(resized > 0);
	assert_int_equal(sim_stats()->max, 5);
	sim_end();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		TEST(sizes_follow),
		TEST(an_overflow_alone_has_room),
		TEST(a_size_of_before_stays),
#ifndef __SANITIZE_ADDRESS__
		TEST(an_overflow_leaves_the_size),
#endif
		TEST(the_size_that_was_said_last_stays),
		TEST(a_resize_that_is_said_later_outlasts_it),
	};

	test_watchdog(60, "sim.pool_reload_size");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another size while connections are out: growth serves who waits, shrinking takes nothing from
 * anybody, and the server never sees more than the larger of the two maximums.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/rng.h"
#include "pool/pool.h"
#include "support/sim.h"
#include "support/watchdog.h"

static weir_options o;
static weir_error error;

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	return 0;
}

static void open_pool(int64_t max)
{
	o.pool_max = max;
	assert_int_equal(sim_open(&o), WEIR_OK);
}

static void close_pool(void)
{
	assert_int_equal(sim_close(), 0);
}

static int peak(void)
{
	return wi_load_rlx(&sim_server()->sessions_peak);
}

static void resize(int64_t min, int64_t max)
{
	assert_int_equal(weir_pool_resize(sim_pool(), min, max, &error), WEIR_OK);
}

static void refuse(int64_t min, int64_t max, const char *words)
{
	assert_int_equal(weir_pool_resize(sim_pool(), min, max, &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, words));
}

/* Checks out so many; NULL where there was none. */
static void take(weir_conn **conns, int n)
{
	for (int i = 0; i < n; i++)
		conns[i] = sim_checkout(1000);
}

static void give(weir_conn **conns, int n)
{
	for (int i = 0; i < n; i++)
		weir_checkin(&conns[i]);
}

/* A user that waits for one, holds it and gives it back. */
static void use(void *arg)
{
	int64_t *waited_ns = arg, begun_ns = sim_now();
	weir_conn *conn = sim_checkout(60000);

	*waited_ns = conn ? sim_now() - begun_ns : -1;
	sim_sleep(10);
	weir_checkin(&conn);
}

static void growing_serves_who_waits(void **state)
{
	weir_conn *out[2];
	int64_t waited[4];

	(void)state;
	open_pool(2);
	take(out, 2);
	for (int i = 0; i < 4; i++)
		sim_spawn(use, &waited[i]);
	sim_run(500);
	assert_int_equal(sim_stats()->waiting, 4);
	resize(0, 6);
	sim_settle();
	assert_int_equal(sim_stats()->max, 6);
	assert_int_equal(sim_stats()->busy, 6);
	sim_join();
	for (int i = 0; i < 4; i++)
		assert_int_equal(waited[i], 500 * WI_MS);
	assert_int_equal(peak(), 6);
	give(out, 2);
	close_pool();
}

static void growing_far_beyond_the_first_size(void **state)
{
	weir_conn *out[64];

	(void)state;
	open_pool(1);
	resize(0, 64);
	take(out, 64);
	for (int i = 0; i < 64; i++)
		assert_non_null(out[i]);
	assert_int_equal(sim_stats()->busy, 64);
	give(out, 64);
	assert_int_equal(sim_stats()->checkins, 64);
	close_pool();
}

static void the_minimum_is_opened_and_let_go(void **state)
{
	(void)state;
	o.idle_timeout_ms = 1000;
	open_pool(10);
	resize(4, 10);
	sim_settle();
	assert_int_equal(sim_stats()->idle, 4);
	resize(1, 10);
	sim_run(3000);
	assert_int_equal(sim_stats()->idle, 1);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_IDLE], 3);
	close_pool();
}

static void shrinking_closes_idle_ones_at_once(void **state)
{
	weir_conn *out[8];

	(void)state;
	open_pool(8);
	take(out, 8);
	give(out, 8);
	resize(0, 3);
	sim_settle();
	assert_int_equal(sim_stats()->total, 3);
	assert_int_equal(sim_stats()->idle, 3);
	assert_int_equal(sim_stats()->max, 3);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_OVERFLOW], 5);
	close_pool();
}

static void shrinking_takes_nothing_from_a_holder(void **state)
{
	weir_conn *out[8];

	(void)state;
	open_pool(8);
	take(out, 8);
	resize(0, 3);
	sim_run(60000);
	assert_int_equal(sim_stats()->busy, 8);
	give(out, 4);
	sim_settle();
	assert_int_equal(sim_stats()->total, 4);
	give(out + 4, 1);
	sim_settle();
	assert_int_equal(sim_stats()->total, 3);
	/* From here on they are as any other: kept, and taken without the keeper. */
	give(out + 5, 3);
	assert_int_equal(sim_stats()->idle, 3);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_OVERFLOW], 5);
	sim_run(5000);
	assert_int_equal(sim_stats()->idle, 3);
	close_pool();
}

/* Those who wait do not keep a connection alive that is above the maximum. */
static void shrinking_goes_on_while_others_wait(void **state)
{
	weir_conn *out[4];
	int64_t waited[3];

	(void)state;
	open_pool(4);
	take(out, 4);
	resize(0, 1);
	for (int i = 0; i < 3; i++)
		sim_spawn(use, &waited[i]);
	sim_run(100);
	give(out, 3);
	sim_run(100);
	assert_int_equal(sim_stats()->busy, 1);
	assert_int_equal(sim_stats()->waiting, 3);
	give(out + 3, 1);
	sim_join();
	for (int i = 0; i < 3; i++)
		assert_true(waited[i] >= 0);
	assert_int_equal(sim_stats()->total, 1);
	assert_int_equal(peak(), 4);
	close_pool();
}

static void shrinking_keeps_the_overflow_for_demand(void **state)
{
	weir_conn *out[6];
	int64_t waited = 0;

	(void)state;
	o.pool_overflow = 2;
	open_pool(6);
	take(out, 6);
	resize(0, 2);
	sim_spawn(use, &waited);
	sim_settle();
	give(out, 2);
	sim_settle();
	assert_int_equal(sim_stats()->total, 4);
	assert_int_equal(sim_stats()->waiting, 1);
	give(out + 2, 1); /* within maximum and overflow: for who waits */
	sim_settle();
	assert_int_equal(sim_stats()->waiting, 0);
	sim_join();
	give(out + 3, 3);
	sim_settle();
	assert_int_equal(sim_stats()->total, 2);
	close_pool();
}

static void connects_above_the_maximum_are_given_up(void **state)
{
	weir_conn *out[4];
	int64_t waited[4];

	(void)state;
	open_pool(4);
	take(out, 4); /* so that four may be opened at once */
	for (int i = 0; i < 4; i++)
		weir_discard(&out[i]);
	sim_settle();
	wi_store_rlx(&sim_server()->connect_ns, 1000 * WI_MS);
	for (int i = 0; i < 4; i++)
		sim_spawn(use, &waited[i]);
	sim_run(10);
	assert_int_equal(sim_stats()->opening, 4);
	resize(0, 1);
	sim_settle();
	assert_int_equal(sim_stats()->opening, 1);
	sim_join();
	for (int i = 0; i < 4; i++)
		assert_true(waited[i] >= 0);
	assert_int_equal(sim_stats()->opened, 5);
	assert_int_equal(sim_stats()->connect_failures, 0);
	close_pool();
}

/* A server that is slow to say goodbye: growing again waits for it. */
static void closing_ones_count_until_they_are_gone(void **state)
{
	weir_conn *out[4];

	(void)state;
	open_pool(4);
	take(out, 4);
	give(out, 4);
	wi_store_rlx(&sim_server()->goodbye_ns, 500 * WI_MS);
	resize(0, 1);
	sim_settle();
	assert_int_equal(sim_stats()->closing, 3);
	resize(4, 4);
	sim_settle();
	assert_int_equal(sim_stats()->total, 4);
	assert_int_equal(sim_stats()->opening, 0);
	sim_run(600);
	assert_int_equal(sim_stats()->idle, 4);
	assert_int_equal(peak(), 4);
	close_pool();
}

static void a_change_of_mind_ends_the_shedding(void **state)
{
	weir_conn *out[6];

	(void)state;
	open_pool(6);
	take(out, 6);
	resize(0, 2);
	sim_settle();
	give(out, 1);
	sim_settle();
	resize(0, 6);
	sim_settle();
	give(out + 1, 5);
	sim_settle();
	assert_int_equal(sim_stats()->idle, 5);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_OVERFLOW], 1);
	close_pool();
}

static void sizes_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	o.server_budget = 40;
	o.pod_count = 4;
	open_pool(10);
	refuse(0, 0, "pool_max");
	refuse(-1, 5, "pool_min");
	refuse(0, 32768, "pool_max");
	refuse(6, 5, "pool_min is 6, more than pool_max, which is 5");
	refuse(11, 20, "pool_min is 11, but server_budget / pod_count leaves this process 10");
	assert_int_equal(weir_pool_resize(NULL, 0, 1, &error), WEIR_INVALID);
	assert_int_equal(sim_stats()->max, 10);
	resize(0, 20);
	assert_int_equal(sim_stats()->max, 10);
	resize(10, 10);
	sim_settle();
	assert_int_equal(sim_stats()->idle, 10);
	close_pool();
}

static void without_memory_nothing_changes(void **state)
{
	(void)state;
	open_pool(2);
	wi_alloc_fail_at(1);
	if (weir_pool_resize(sim_pool(), 0, 32000, &error) == WEIR_OK)
		fail(); /* where memory is the host's own affair, there is no room for so many */
	wi_alloc_fail_at(0);
	assert_int_equal(sim_stats()->max, 2);
	close_pool();
}

static void a_closed_pool_is_not_resized(void **state)
{
	(void)state;
	open_pool(2);
	wi_pool_shut(sim_pool());
	assert_int_equal(weir_pool_resize(sim_pool(), 0, 4, &error), WEIR_CLOSED);
	close_pool();
}

/* ---- at random ---- */

#define USERS 12
#define CHANGES 200

static bool ended;

static void come_and_go(void *arg)
{
	struct wi_rng rng;

	wi_rng_seed(&rng, (uintptr_t)arg);
	while (!ended) {
		weir_conn *conn = sim_checkout(1 + wi_rng_below(&rng, 50));

		sim_sleep(wi_rng_below(&rng, 20));
		if (conn && wi_rng_below(&rng, 8) == 0)
			weir_discard(&conn);
		else if (conn)
			weir_checkin(&conn);
	}
}

/* What the server sees never exceeds the larger maximum, and follows the smaller in time. */
static void sizes_at_random(void **state)
{
	struct wi_rng rng;
	uint32_t before = 4;

	(void)state;
	open_pool(4);
	ended = false;
	wi_rng_seed(&rng, 4);
	wi_store_rlx(&sim_server()->connect_ns, 2 * WI_MS);
	for (int i = 0; i < USERS; i++)
		sim_spawn(come_and_go, (void *)(uintptr_t)(i + 1));
	for (int i = 0; i < CHANGES; i++) {
		uint32_t max = 1 + wi_rng_below(&rng, 20);

		wi_store_rlx(&sim_server()->sessions_peak, wi_load_rlx(&sim_server()->sessions));
		resize(wi_rng_below(&rng, max + 1), max);
		sim_run(1 + wi_rng_below(&rng, 40));
		assert_true(peak() <= (int)(max > before ? max : before));
		/* Nobody holds one for longer than 20 ms. */
		sim_run(30);
		assert_true(wi_load_rlx(&sim_server()->sessions) <= (int)max);
		before = max;
	}
	ended = true;
	sim_join();
	assert_int_equal(sim_stats()->busy, 0);
	assert_int_equal(sim_stats()->checkouts, sim_stats()->checkins);
	close_pool();
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(growing_serves_who_waits),
		TEST(growing_far_beyond_the_first_size),
		TEST(the_minimum_is_opened_and_let_go),
		TEST(shrinking_closes_idle_ones_at_once),
		TEST(shrinking_takes_nothing_from_a_holder),
		TEST(shrinking_goes_on_while_others_wait),
		TEST(shrinking_keeps_the_overflow_for_demand),
		TEST(connects_above_the_maximum_are_given_up),
		TEST(closing_ones_count_until_they_are_gone),
		TEST(a_change_of_mind_ends_the_shedding),
		TEST(sizes_that_make_no_sense_are_refused),
		TEST(without_memory_nothing_changes),
		TEST(a_closed_pool_is_not_resized),
		TEST(sizes_at_random),
	};

	test_watchdog(60, "sim.pool_resize");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

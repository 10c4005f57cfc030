/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 26: the longest lifetime and the idle timeout close nothing that somebody has; ends are
 * spread, though all began together; there are never fewer connections than the minimum; and no
 * caller waits for a close, even one that blocks for two seconds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "pool/size.h"
#include "support/sim.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define MOST 64

static weir_options o;
static int64_t ended_ns[MOST]; /* when a connection was closed, by age or idleness */
static int n_ended;

static void hear(void *arg, const weir_event *event)
{
	(void)arg;
	if (event->kind == WEIR_EVENT_CLOSED && n_ended < MOST)
		ended_ns[n_ended++] = event->at_ns;
}

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	o.on_event = hear;
	n_ended = 0;
	return 0;
}

static void open_pool(void)
{
	assert_int_equal(sim_open(&o), WEIR_OK);
	sim_settle();
}

static void close_pool(void)
{
	assert_int_equal(sim_close(), 0);
}

static uint64_t closed(weir_close why)
{
	return sim_stats()->closed[why];
}

/* ---- nothing that is borrowed ---- */

struct holder {
	int64_t hold_ms;
	int rounds;
	int bad;
};

static void hold(void *arg)
{
	struct holder *h = arg;

	for (int i = 0; i < h->rounds; i++) {
		weir_conn *conn = sim_checkout(60000);
		uint64_t serial = conn ? sim_serial(conn) : 0;

		sim_sleep(h->hold_ms);
		if (!conn || wi_driver_fake.look(wi_conn_of(conn)->link) != WI_LOOK_CLEAN ||
		    sim_serial(conn) != serial)
			h->bad++;
		weir_checkin(&conn);
	}
}

static void nothing_borrowed_is_closed(void **state)
{
	struct holder holders[8];

	(void)state;
	o.pool_min = 2;
	o.pool_max = 10;
	o.max_lifetime_ms = 3000;
	o.idle_timeout_ms = 500;
	o.leak_after_ms = 0;
	open_pool();
	for (int i = 0; i < 8; i++) {
		holders[i] = (struct holder){.hold_ms = 100 << i, .rounds = 2000 >> i};
		sim_spawn(hold, &holders[i]);
	}
	sim_join();
	for (int i = 0; i < 8; i++)
		assert_int_equal(holders[i].bad, 0);
	assert_true(closed(WEIR_CLOSE_EXPIRED) > 50);
	sim_run(2000);
	assert_true(sim_stats()->idle == 2 || sim_stats()->idle == 3); /* one replaces another */
	close_pool();
}

/* ---- spread ---- */

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Sixteen connections of the same moment: none is too old, and no two go within the gap. */
static void ends_are_spread(void **state)
{
	int64_t begun_ns, gap_ns, last_ns;

	(void)state;
	o.pool_min = 16;
	o.pool_max = 20;
	o.connect_parallel = 16;
	o.max_lifetime_ms = 600000;
	o.lifetime_jitter_pct = 20;
	open_pool();
	begun_ns = sim_now();
	assert_int_equal(sim_stats()->idle, 16);
	gap_ns = wi_lifetime_gap(sim_pool());
	assert_int_equal(gap_ns, 600000 / 5 / 2 / 20 * WI_MS);
	sim_run(590000 + 20000);
	assert_true(n_ended >= 16);
	qsort(ended_ns, 16, sizeof(ended_ns[0]), by_time);
	last_ns = ended_ns[15];
	/*
	 * A fifth of the lifetime is used for them, most of it; and a late one is late by little.
	 */
	assert_true(ended_ns[0] - begun_ns >= 480 * WI_SEC);
	assert_true(last_ns - begun_ns <= 603 * WI_SEC);
	assert_true(last_ns - ended_ns[0] >= 60 * WI_SEC);
	for (int i = 1; i < 16; i++)
		assert_true(ended_ns[i] - ended_ns[i - 1] >= gap_ns);
	close_pool();
}

/* Drawn as far from each other as they are, two expire together less often than by chance alone. */
static void draws_keep_away_from_each_other(void **state)
{
	struct weir_pool *pool;
	int64_t nearest = INT64_MAX;

	(void)state;
	o.pool_min = o.pool_max = 16;
	o.connect_parallel = 16;
	open_pool();
	pool = sim_pool();
	for (uint32_t i = 1; i <= 16; i++)
		for (uint32_t k = 1; k < i; k++) {
			int64_t d = pool->conns[i].expires_ns - pool->conns[k].expires_ns;

			if (llabs(d) < nearest)
				nearest = llabs(d);
		}
	/* The window is 360 s. By chance the nearest two of 16 would be 1.5 s apart. */
	print_message("the nearest two of 16 ends in 360 s: %.1f s\n", (double)nearest / WI_SEC);
	assert_true(nearest > 2 * WI_SEC);
	close_pool();
}

/* ---- the minimum ---- */

static void never_below_the_minimum(void **state)
{
	struct holder holders[3];
	uint32_t lowest = UINT32_MAX;

	(void)state;
	o.pool_min = 4;
	o.pool_max = 8;
	o.max_lifetime_ms = 5000;
	o.idle_timeout_ms = 700;
	o.lifetime_jitter_pct = 0; /* all at once, if nothing else kept them from it */
	open_pool();
	wi_store_rlx(&sim_server()->connect_ns, 30 * WI_MS);
	wi_store_rlx(&sim_server()->goodbye_ns, 50 * WI_MS);
	for (int i = 0; i < 3; i++) {
		holders[i] = (struct holder){.hold_ms = 7 + i, .rounds = 5000};
		sim_spawn(hold, &holders[i]);
	}
	for (int i = 0; i < 6000; i++) {
		const weir_pool_stats *s;

		sim_run(10);
		s = sim_stats();
		if (s->idle + s->busy + s->kept < lowest)
			lowest = s->idle + s->busy + s->kept;
	}
	sim_join();
	assert_true(closed(WEIR_CLOSE_EXPIRED) > 30);
	assert_int_equal(lowest, 4);
	close_pool();
}

/* ---- a close that blocks ---- */

#define BLOCKS_MS 2000

static struct wi_fake_server server;
static struct wi_driver slow;
static _Atomic int closing; /* 0 before, 1 while, 2 after the first close that blocks */

static int close_slowly(void *conn)
{
	const struct timespec t = {.tv_sec = BLOCKS_MS / 1000};
	int none = 0;
	bool first = wi_cas_rlx(&closing, &none, 1);

	if (first)
		nanosleep(&t, NULL);
	wi_store_rlx(&closing, 2);
	return wi_driver_fake.close(conn);
}

static void borrow(struct test_thread *self)
{
	weir_pool *pool = self->arg;

	while (wi_load_rlx(&closing) < 2) {
		weir_conn *conn = NULL;
		bool before = wi_load_rlx(&closing) == 1;
		weir_status st = weir_pool_checkout(pool, 60000, &conn, NULL);

		if (st != WEIR_OK)
			test_wrong(self, "a checkout: %s", weir_status_name(st));
		weir_checkin(&conn);
		self->count[0] += before && wi_load_rlx(&closing) == 1;
	}
}

static void no_caller_waits_for_a_close(void **state)
{
	struct test_thread reports[2];
	weir_pool *pool = NULL;

	(void)state;
	weir_options_init(&o);
	o.pool_min = 3;
	o.max_lifetime_ms = 400;
	slow = wi_driver_fake;
	slow.close = close_slowly;
	wi_fake_server_init(&server);
	assert_int_equal(wi_pool_open_with(&slow, &wi_world_linux, &server, "host=127.0.0.1", &o,
	                                   &pool, NULL),
	                 WEIR_OK);
	test_threads_run(2, borrow, pool, -1, reports);
	if (test_first_wrong(reports, 2))
		fail_msg("%s", test_first_wrong(reports, 2));
	print_message("%llu checkouts while a close took %d ms\n",
	              (unsigned long long)test_sum(reports, 2, 0), BLOCKS_MS);
	/* Both went on, and not just once each: nobody stood still for the length of it. */
	for (int i = 0; i < 2; i++)
		assert_true(reports[i].count[0] > 100);
	assert_int_equal(weir_pool_close(&pool, 60000), WEIR_OK);
	wi_fake_server_fini(&server);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_borrowed_is_closed),      TEST(ends_are_spread),
		TEST(draws_keep_away_from_each_other), TEST(never_below_the_minimum),
		TEST(no_caller_waits_for_a_close),
	};

	test_watchdog(280, "promise.26_ages");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

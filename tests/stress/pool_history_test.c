/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Histories of real threads on a whole pool, on the fake driver: checkouts with deadlines of 0 to 2
 * ms, threads that come and go, connections given back by other threads. On a pool whose
 * connections stay, everything that is true of a core's history is true of the pool's; while
 * sessions are killed and discarded, still no session is in two hands, and every checkout ends by
 * its deadline.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "core/desk.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/shapes.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define THREADS_MAX 64
#define SERIALS 65536

static struct wi_fake_server server;
static weir_pool *pool;
static struct test_history history;
static bool is_rough; /* sessions are left dirty, discarded and killed */

/* ---- the pool as what is loaded ---- */

static bool take(struct test_op *op, int64_t timeout_ns)
{
	int64_t timeout_ms = (timeout_ns + WI_MS / 2) / WI_MS; /* 0 to 2, or patient */
	weir_conn *conn = NULL;
	weir_error error;
	weir_status st;

	if (timeout_ms)
		op->deadline_ns = op->invoked_ns + timeout_ms * WI_MS;
	op->waited = timeout_ms != 0; /* as far as anybody can see */
	st = weir_pool_checkout(pool, timeout_ms, &conn, &error);
	op->handle = conn;
	if (st == WEIR_OK)
		op->value = (uint32_t)wi_fake_serial(wi_conn_of(conn)->link);
	return st == WEIR_OK || st == (timeout_ms ? WEIR_TIMEOUT : WEIR_EXHAUSTED);
}

static void put(struct test_op *op)
{
	weir_conn *conn = op->handle;
	uint64_t chance = (uint64_t)op->invoked_ns * UINT64_C(0x9e3779b97f4a7c15) >> 32;

	if (is_rough && chance % 16 == 0)
		wi_fake_leave(wi_conn_of(conn)->link, WI_LOOK_IN_TX);
	if (is_rough && chance % 64 == 1)
		wi_fake_kill_one(&server, op->value);
	if (is_rough && chance % 64 == 2)
		weir_discard(&conn);
	else
		weir_checkin(&conn);
}

static struct wi_seat *seat(void)
{
	return wi_desk_seat(&pool->core);
}

/*
 * Somebody of the pool's own moves connections about, and kills one now and then: none before
 * another was opened, or a pool that has hardly a processor would get nowhere.
 */
static void sweep(struct wi_rng *rng)
{
	static uint64_t opened_then; /* the sweeper's */
	uint64_t last = wi_load_rlx(&server.connects), opened = wi_load_rlx(&server.connected);

	if (wi_rng_below(rng, 8) == 0 && opened != opened_then &&
	    wi_fake_kill_one(&server, last - wi_rng_below(rng, 4)))
		opened_then = opened;
}

static const struct test_store store = {take, put, seat, sweep};

/* All connections are there, and none will go. */
static void fill(uint32_t n)
{
	weir_conn *conn[64];

	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(weir_pool_checkout(pool, 60000, &conn[i], NULL), WEIR_OK);
	for (uint32_t i = 0; i < n; i++)
		weir_checkin(&conn[i]);
}

static void begin(uint32_t n)
{
	weir_options o;

	weir_options_init(&o);
	o.pool_max = n;
	o.pool_min = is_rough ? 1 : n;
	if (is_rough) {
		o.idle_timeout_ms = 20;
		o.max_lifetime_ms = 40;
		o.keepalive_ms = 10;
		o.validate_after_ms = 2;
	} else {
		o.idle_timeout_ms = o.max_lifetime_ms = o.keepalive_ms = o.validate_after_ms = 0;
	}
	wi_fake_server_init(&server);
	assert_int_equal(wi_pool_open_with(&wi_driver_fake, test_watched_world(), &server,
	                                   "host=127.0.0.1", &o, &pool, NULL),
	                 WEIR_OK);
	if (!is_rough)
		fill(n);
}

static bool is_at_rest(const weir_pool_stats *s)
{
	return !s->kept && !s->closing && !s->opening && !s->busy && !s->waiting &&
	       s->idle == s->total && wi_load_rlx(&server.sessions) == (int)s->idle;
}

static void end(uint64_t takes, uint64_t before, uint32_t max)
{
	weir_pool_stats s;

	do { /* the watchdog ends a pool that never is */
		test_nap(WI_MS / 4);
		weir_pool_stats_get(pool, &s);
	} while (!is_at_rest(&s));
	assert_int_equal(s.checkouts, before + takes);
	assert_int_equal(s.checkins, s.checkouts);
	assert_int_equal(s.misuse, 0);
	assert_true(wi_load_rlx(&server.sessions_peak) <= (int)max);
	assert_int_equal(weir_pool_close(&pool, 60000), WEIR_OK);
	assert_int_equal(wi_load_rlx(&server.sessions), 0);
	wi_fake_server_fini(&server);
}

/* ---- shapes ---- */

static const struct test_shape shapes[] = {
	{.name = "many threads, few", .threads = 32, .values = 2, .tries = 1, .shorts = 3},
	{.name = "the same, with holds",
         .threads = 24,
         .values = 3,
         .tries = 1,
         .shorts = 4,
         .hold_ns = 1000000,
         .pause_ns = 300000,
         .pauses = 5},
	{.name = "few threads, many", .threads = 4, .values = 40, .at_once = 4, .tries = 8},
	{.name = "as many as there are",
         .threads = 8,
         .values = 8,
         .tries = 4,
         .shorts = 2,
         .hold_ns = 50000,
         .pause_ns = 50000,
         .pauses = 2},
	{.name = "threads come and go",
         .threads = 8,
         .values = 3,
         .tries = 2,
         .shorts = 3,
         .hold_ns = 100000,
         .pauses = 3,
         .churn = true},
	{.name = "another's hands",
         .threads = 12,
         .values = 6,
         .tries = 2,
         .shorts = 3,
         .pass_on = true},
	{.name = "one CPU",
         .threads = 16,
         .values = 2,
         .tries = 1,
         .shorts = 3,
         .hold_ns = 100000,
         .pauses = 1,
         .one_cpu = true},
};

static const struct test_shape rough_shapes[] = {
	{.name = "rough, many threads",
         .threads = 32,
         .values = 4,
         .numbers = SERIALS,
         .tries = 1,
         .shorts = 3,
         .hold_ns = 200000,
         .pauses = 2,
         .sweep = true},
	{.name = "rough, few threads",
         .threads = 4,
         .values = 12,
         .numbers = SERIALS,
         .at_once = 3,
         .tries = 2,
         .shorts = 4,
         .hold_ns = 200000,
         .pause_ns = 500000,
         .pauses = 2,
         .sweep = true},
	{.name = "rough, come and go",
         .threads = 12,
         .values = 4,
         .numbers = SERIALS,
         .tries = 2,
         .shorts = 3,
         .churn = true,
         .pass_on = true,
         .sweep = true},
};

static void check(bool ok, const struct test_shape *s)
{
	if (!ok)
		fail_msg("%s: %s", s->name, history.wrong);
}

/* A session is a value of its own; those of a rough pool come and go. */
static void run_once(const struct test_shape *s, double seconds)
{
	int64_t slack_ns;
	const char *wrong;

	test_pin(s->one_cpu); /* the keeper, too */
	begin(s->values);
	wrong = test_shape_run(s, &store, &history, seconds);
	if (wrong)
		fail_msg("%s: %s", s->name, wrong);
	slack_ns = test_slack_ns();
	check(test_holds_never_overlap(&history), s);
	check(test_deadlines_are_kept(&history, WI_MS + slack_ns), s);
	if (!is_rough) {
		check(test_nobody_fails_beside_a_free_one(&history), s);
		check(test_nobody_sleeps_beside_a_free_one(&history,
		                                           WI_PATIENCE_MOST_NS + slack_ns),
		      s);
		check(test_sleepers_are_served_in_order(&history, WI_PATIENCE_MOST_NS), s);
		check(test_a_put_wakes_at_most_one(&history), s);
	}
	assert_true(history.n_takes > 0);
	end(history.n_takes, is_rough ? 0 : s->values, s->values);
}

static void run_shape(const struct test_shape *s, double seconds)
{
	int64_t end_ns = wi_now_ns() + (int64_t)(seconds * 1e9);
	struct test_history_facts facts = {0};

	do {
		run_once(s, seconds < 0.2 ? seconds : 0.2);
		test_history_add_facts(&history, &facts);
	} while (wi_now_ns() < end_ns);
	test_history_print(s->name, s->pause_one_in != 0, &facts);
}

static void run_all(const struct test_shape *all, size_t n, double seconds)
{
	for (size_t i = 0; i < n; i++) {
		struct test_shape paused = all[i];

		run_shape(&all[i], seconds / (double)n / 2);
		paused.pause_one_in = 24;
		run_shape(&paused, seconds / (double)n / 2);
	}
}

static void a_pool_whose_connections_stay_is_as_exact_as_a_core(void **state)
{
	(void)state;
	is_rough = false;
	run_all(shapes, WI_ARRAY_LEN(shapes), test_seconds(6));
}

static void sessions_that_come_and_go_are_never_shared(void **state)
{
	(void)state;
	is_rough = true;
	run_all(rough_shapes, WI_ARRAY_LEN(rough_shapes), test_seconds(4));
}

static int set_up(void **state)
{
	(void)state;
	return test_shapes_init(&history, THREADS_MAX) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	test_history_fini(&history);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pool_whose_connections_stay_is_as_exact_as_a_core),
		cmocka_unit_test(sessions_that_come_and_go_are_never_shared),
	};

	test_watchdog(280, "stress.pool_history");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

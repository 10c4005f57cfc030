/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Closing, with the keeper's own thread and the real clock: whoever comes last frees, and nothing
 * is left. Lower bounds of time are exact; upper ones are the patience of a minute.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "core/desk.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000

static struct wi_fake_server server;
static weir_options o;
static weir_pool *pool;
static size_t bytes_before;

static weir_status open_it(weir_pool **at)
{
	return wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server, "host=127.0.0.1", &o,
	                         at, NULL);
}

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&o);
	wi_fake_server_init(&server);
	pool = NULL;
	return 0;
}

/* Polls, as what another thread frees last cannot tell that it has done so. */
static bool becomes_free(void)
{
	const struct timespec pause = {.tv_nsec = 1000 * 1000};

	for (int i = 0; i < PATIENCE_MS; i++) {
		if (wi_alloc_bytes() == bytes_before)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static int tear_down(void **state)
{
	(void)state;
	assert_true(becomes_free());
	assert_int_equal(wi_load_rlx(&server.sessions), 0);
	wi_fake_server_fini(&server);
	return 0;
}

/* This thread's desk outlives the pools: it is made before bytes are counted. */
static int first_of_all(void **state)
{
	set_up(state);
	assert_int_equal(open_it(&pool), WEIR_OK);
	weir_conn *conn = NULL;

	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL), WEIR_OK);
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	wi_fake_server_fini(&server);
	bytes_before = wi_alloc_bytes();
	return 0;
}

static weir_conn *checkout(void)
{
	weir_conn *conn = NULL;

	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL), WEIR_OK);
	return conn;
}

static void open_pool(void)
{
	assert_int_equal(open_it(&pool), WEIR_OK);
}

static void an_unused_pool_closes(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		open_pool();
		assert_int_equal(weir_pool_close(&pool, i % 2 ? -1 : PATIENCE_MS), WEIR_OK);
		assert_null(pool);
	}
}

static void idle_connections_are_closed(void **state)
{
	weir_conn *a, *b;

	(void)state;
	open_pool();
	a = checkout();
	b = checkout();
	weir_checkin(&a);
	weir_checkin(&b);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	assert_int_equal(wi_load_rlx(&server.sessions), 0);
}

static void a_connection_that_is_out_is_waited_for_and_then_left_to_its_holder(void **state)
{
	weir_conn *conn;
	int64_t begun;

	(void)state;
	open_pool();
	conn = checkout();
	begun = wi_now_ns();
	assert_int_equal(weir_pool_close(&pool, 30), WEIR_TIMEOUT);
	assert_null(pool);
	assert_true(wi_now_ns() - begun >= 30 * WI_MS);
	assert_non_null(wi_conn_of(conn)); /* still the holder's */
	assert_true(wi_driver_fake.look(wi_conn_of(conn)->link) == WI_LOOK_CLEAN);
	weir_checkin(&conn);
	assert_null(conn);
}

static void the_last_of_several_frees_the_rest(void **state)
{
	weir_conn *conn[5];

	(void)state;
	open_pool();
	for (int i = 0; i < 5; i++)
		conn[i] = checkout();
	assert_int_equal(weir_pool_close(&pool, 0), WEIR_TIMEOUT);
	for (int i = 0; i < 5; i++) {
		assert_true(wi_alloc_bytes() > bytes_before);
		if (i % 2)
			weir_discard(&conn[i]);
		else
			weir_checkin(&conn[i]);
	}
}

static void give_back(struct test_thread *self)
{
	weir_conn **conn = self->arg;
	weir_status st;

	if (self->number == 0) {
		st = weir_pool_close(&pool, -1);
		if (st != WEIR_OK)
			test_wrong(self, "close says %s", weir_status_name(st));
		return;
	}
	while (!wi_load_rlx(&wi_conn_of(*conn)->pool->closed))
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	weir_checkin(conn);
}

static void closing_for_ever_waits_for_the_last_holder(void **state)
{
	struct test_thread reports[2];
	weir_conn *conn;

	(void)state;
	open_pool();
	conn = checkout();
	test_threads_run(2, give_back, &conn, -1, reports);
	assert_null(test_first_wrong(reports, 2));
}

static void wait_or_close(struct test_thread *self)
{
	weir_conn *conn = NULL;
	weir_pool_stats stats;

	if (self->number > 0) {
		self->count[0] = weir_pool_checkout(self->arg, PATIENCE_MS, &conn, NULL);
		return;
	}
	do {
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
		weir_pool_stats_get(pool, &stats);
	} while (stats.waiting < 8);
	weir_pool_close(&pool, 0);
}

static void waiters_are_told_at_once(void **state)
{
	struct test_thread reports[9];
	weir_conn *conn;
	int64_t begun;

	(void)state;
	o.pool_max = 1;
	open_pool();
	conn = checkout();
	begun = wi_now_ns();
	test_threads_run(9, wait_or_close, pool, -1, reports);
	assert_true(wi_now_ns() - begun < PATIENCE_MS / 2 * WI_MS);
	for (int i = 1; i < 9; i++)
		assert_int_equal(reports[i].count[0], WEIR_CLOSED);
	weir_checkin(&conn);
}

static void connects_under_way_are_given_up(void **state)
{
	int64_t begun = wi_now_ns();

	(void)state;
	o.pool_min = 4;
	wi_store_rlx(&server.silent, true);
	open_pool();
	while (wi_load_rlx(&server.sessions) < 1)
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	assert_true(wi_now_ns() - begun < PATIENCE_MS / 2 * WI_MS);
}

static void a_slow_goodbye_is_waited_for(void **state)
{
	weir_conn *conn;

	(void)state;
	wi_store_rlx(&server.goodbye_ns, 20 * WI_MS);
	open_pool();
	conn = checkout();
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	assert_int_equal(wi_load_rlx(&server.sessions), 0);
}

static void a_reset_under_way_is_given_up(void **state)
{
	weir_conn *conn;

	(void)state;
	open_pool();
	conn = checkout();
	wi_store_rlx(&server.silent, true);
	wi_fake_leave(wi_conn_of(conn)->link, WI_LOOK_IN_TX);
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

static struct test_stop in_checkout;
static _Atomic bool has_closed;

static void check_out_close_or_watch(struct test_thread *self)
{
	weir_pool *p = self->arg;
	weir_conn *conn = NULL;

	switch (self->number) {
	case 0:
		test_stop_arm(&in_checkout);
		self->count[0] = weir_pool_checkout(p, PATIENCE_MS, &conn, NULL);
		test_stop_arm(NULL);
		weir_checkin(&conn);
		return;
	case 1:
		test_stop_await(&in_checkout);
		if (weir_pool_close(&pool, -1) != WEIR_OK)
			test_wrong(self, "the pool did not close");
		wi_store_rel(&has_closed, true);
		return;
	default:
		test_stop_await(&in_checkout);
		nanosleep(&(struct timespec){.tv_nsec = 30 * 1000 * 1000}, NULL);
		if (wi_load_acq(&has_closed))
			test_wrong(self, "the pool was freed under a caller");
		test_stop_release(&in_checkout);
	}
}

/* Close waits for who is in the middle of a checkout, whichever way that ends. */
static void a_caller_on_the_warm_path_is_waited_for(void **state)
{
	struct test_thread reports[3];
	weir_conn *conn;

	(void)state;
	o.pool_max = 1;
	open_pool();
	conn = checkout();
	weir_checkin(&conn); /* into this thread's cache: the other one has to steal it */
	wi_store_rlx(&has_closed, false);
	in_checkout = (struct test_stop){.point = "cache.steal.seen", .visit = 1};
	test_threads_run(3, check_out_close_or_watch, pool, -1, reports);
	assert_null(test_first_wrong(reports, 3));
	assert_true(reports[0].count[0] == WEIR_OK || reports[0].count[0] == WEIR_CLOSED);
}

static void check_in_with_yields(struct test_thread *self)
{
	weir_conn **conns = self->arg;

	if (self->number == 0)
		weir_pool_close(&pool, wi_rng_below(&self->rng, 3));
	else
		weir_checkin(&conns[self->number - 1]);
}

/* The last checkins race with a close whose drain time is just over: exactly one of them frees. */
static void closer_and_last_holders_race(void **state)
{
	struct test_thread reports[4];
	weir_conn *conns[3];

	(void)state;
	test_yields(4);
	for (int i = 0; i < 300 / test_slowness(); i++) {
		open_pool();
		for (int k = 0; k < 3; k++)
			conns[k] = checkout();
		test_threads_run(4, check_in_with_yields, conns, -1, reports);
		assert_true(becomes_free());
	}
	test_yields(0);
}

static _Atomic int said = -1;      /* what close said on the keeper's thread */
static _Atomic(weir_pool *) known; /* what it may close there */

static void close_from_the_sink(void *arg, const weir_event *event)
{
	weir_pool *copy = wi_load_acq(&known);

	(void)arg;
	(void)event;
	if (copy)
		wi_store_rel(&said, (int)weir_pool_close(&copy, 0));
}

static void a_close_from_an_event_callback_is_refused(void **state)
{
	weir_conn *conn = NULL;

	(void)state;
	o.on_event = close_from_the_sink;
	assert_int_equal(open_it(&pool), WEIR_OK);
	wi_store_rel(&known, pool);
	/* Each closed connection is an event: after enough of them one has met the pool. */
	for (int i = 0; i < 1000 && wi_load_acq(&said) < 0; i++) {
		assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL), WEIR_OK);
		weir_discard(&conn);
	}
	assert_int_equal(wi_load_acq(&said), WEIR_INVALID);
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL), WEIR_OK);
	weir_checkin(&conn);
	wi_store_rel(&known, NULL);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

static void check_out_in_the_sink(void *arg, const weir_event *event)
{
	weir_pool *its = wi_swap_acq_rel(&known, NULL);
	weir_conn *conn;

	(void)arg;
	(void)event;
	if (its)
		wi_store_rel(&said, (int)weir_pool_checkout(its, -1, &conn, NULL));
}

/* It would be the keeper that waits for the keeper. */
static void a_checkout_in_an_event_callback_does_not_wait(void **state)
{
	weir_conn *conn = NULL;

	(void)state;
	wi_store_rel(&said, -1);
	o.on_event = check_out_in_the_sink;
	o.pool_min = 0;
	o.pool_max = 1;
	assert_int_equal(open_it(&pool), WEIR_OK);
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL), WEIR_OK);
	wi_store_rel(&known, pool);
	weir_discard(&conn); /* its end is an event, and nothing is open then */
	for (int i = 0; i < PATIENCE_MS && wi_load_acq(&said) < 0; i++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	assert_int_equal(wi_load_acq(&said), WEIR_EXHAUSTED);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_unused_pool_closes),
		TEST(idle_connections_are_closed),
		TEST(a_connection_that_is_out_is_waited_for_and_then_left_to_its_holder),
		TEST(the_last_of_several_frees_the_rest),
		TEST(closing_for_ever_waits_for_the_last_holder),
		TEST(waiters_are_told_at_once),
		TEST(connects_under_way_are_given_up),
		TEST(a_slow_goodbye_is_waited_for),
		TEST(a_reset_under_way_is_given_up),
		TEST(a_caller_on_the_warm_path_is_waited_for),
		TEST(closer_and_last_holders_race),
		TEST(a_close_from_an_event_callback_is_refused),
		TEST(a_checkout_in_an_event_callback_does_not_wait),
	};

	test_watchdog(110, "sim.pool_close");
	return cmocka_run_group_tests(tests, first_of_all, NULL);
}

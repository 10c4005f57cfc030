/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 13: a handle that is given back twice, used after it was given back, or never was one,
 * has an answer of its own each time, is counted and told, and does the pool and its other users no
 * harm: not the connection's next holder, not the order of the words on the wire. And a connection
 * may be given back by another thread than the one that took it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>
#include <pthread.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "support/mock_server.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define CONNS 2

static struct test_mock *mock;
static weir_options o;
static weir_pool *pool;
static _Atomic uint64_t told;

static void hear(void *arg, const weir_event *event)
{
	(void)arg;
	if (event->kind == WEIR_EVENT_MISUSE)
		wi_add_rlx(&told, 1);
}

static int set_up(void **state)
{
	(void)state;
	mock = test_mock_start(NULL);
	weir_options_init(&o);
	o.pool_min = o.pool_max = CONNS;
	o.on_event = hear;
	wi_store_rlx(&told, 0);
	assert_int_equal(weir_pool_open(test_mock_conninfo(mock), &o, &pool, NULL), WEIR_OK);
	return 0;
}

static weir_conn *take(void)
{
	weir_conn *conn = NULL;

	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL), WEIR_OK);
	return conn;
}

/*
 * So much was misused and told; the pool still has two connections, both whole, and lends no more.
 */
static void assert_unharmed(uint64_t misuse)
{
	weir_conn *conn[CONNS], *none = NULL;
	weir_pool_stats s;

	for (int i = 0; i < CONNS; i++) {
		conn[i] = take();
		assert_int_equal(weir_exec(conn[i], "SELECT 1", PATIENCE_MS, NULL), WEIR_OK);
	}
	assert_ptr_not_equal(weir_pg(conn[0]), weir_pg(conn[1]));
	assert_int_equal(weir_pool_checkout(pool, 0, &none, NULL), WEIR_EXHAUSTED);
	for (int i = 0; i < CONNS; i++)
		weir_checkin(&conn[i]);
	weir_pool_stats_get(pool, &s);
	assert_int_equal(s.misuse, misuse);
	assert_int_equal(wi_load_rlx(&told), misuse);
	assert_int_equal(s.checkouts, s.checkins);
	assert_int_equal(s.busy, 0);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	test_mock_stop(&mock);
}

static void given_back_twice(void **state)
{
	void (*const give_back[])(weir_conn **) = {weir_checkin, weir_discard};
	uint64_t misuse = 0;

	(void)state;
	for (int first = 0; first < 2; first++)
		for (int second = 0; second < 2; second++) {
			weir_conn *conn = take(), *copy = conn, *again = conn;

			give_back[first](&conn);
			assert_null(conn);
			give_back[second](&copy);
			assert_null(copy);
			give_back[second](&again);
			misuse += 2;
		}
	assert_unharmed(misuse);
}

/* The copy is of a checkout whose connection somebody else has by now. */
static void given_back_twice_while_another_has_it(void **state)
{
	weir_conn *conn = take(), *copy = conn, *next, *other = NULL;
	struct pg_conn *pg = weir_pg(conn);

	(void)state;
	weir_checkin(&conn);
	next = take();
	if (weir_pg(next) != pg) { /* it was the other one's turn */
		other = next;
		next = take();
	}
	assert_ptr_equal(weir_pg(next), pg);
	assert_int_equal(weir_exec(next, "BEGIN", PATIENCE_MS, NULL), WEIR_OK);
	weir_discard(&copy);
	assert_ptr_equal(weir_pg(next), pg);
	assert_int_equal(PQtransactionStatus(weir_pg(next)), PQTRANS_INTRANS);
	assert_int_equal(weir_exec(next, "COMMIT", PATIENCE_MS, NULL), WEIR_OK);
	weir_checkin(&next);
	weir_checkin(&other);
	assert_unharmed(1);
}

static void used_after_it_was_given_back(void **state)
{
	weir_conn *conn = take(), *copy = conn;
	weir_error error = {0};
	weir_conn_info info;
	weir_token token;

	(void)state;
	weir_checkin(&conn);
	for (int i = 0; i < 100; i++) {
		weir_conn *next = take(); /* perhaps the same connection, for another checkout */

		assert_null(weir_pg(copy));
		assert_int_equal(weir_conn_info_get(copy, &info), WEIR_STALE);
		assert_int_equal(weir_exec(copy, "SELECT 'too late'", 1000, &error), WEIR_STALE);
		assert_int_equal(error.status, WEIR_STALE);
		assert_int_equal(weir_token_take(copy, 1000, &token, &error), WEIR_STALE);
		weir_checkin(&next);
	}
	assert_false(test_mock_heard(mock, "too late", strlen("too late")));
	assert_unharmed(0); /* looking at it is told to who looks, and is no misuse */
}

static void foreign(void **state)
{
	char *memory = aligned_alloc(256, 1024);
	/* the first has all that a handle has: an odd count, and its low bits */
	weir_conn *wrong[] = {(weir_conn *)(void *)(memory + 255), (weir_conn *)(void *)memory,
	                      (weir_conn *)(void *)(memory + 257), (weir_conn *)(void *)&o,
	                      (weir_conn *)(void *)pool};

	(void)state;
	memset(memory, 0xff, 1024);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		weir_conn_info info;

		assert_null(weir_pg(wrong[i]));
		assert_int_equal(weir_conn_info_get(wrong[i], &info), WEIR_STALE);
		weir_checkin(&wrong[i]);
		assert_null(wrong[i]);
	}
	weir_checkin(&wrong[0]);
	weir_checkin(NULL);
	free(memory);
	assert_unharmed(0); /* no pool's, so no pool counts it */
}

/* A handle leads to its own pool, whichever one the caller has in mind. */
static void of_another_pool(void **state)
{
	weir_pool *other = NULL;
	weir_conn *theirs = NULL, *copy;
	weir_pool_stats s;

	(void)state;
	assert_int_equal(weir_pool_open(test_mock_conninfo(mock), &o, &other, NULL), WEIR_OK);
	assert_int_equal(weir_pool_checkout(other, PATIENCE_MS, &theirs, NULL), WEIR_OK);
	copy = theirs;
	weir_checkin(&theirs);
	weir_checkin(&copy);
	weir_pool_stats_get(other, &s);
	assert_int_equal(s.misuse, 1);
	assert_int_equal(s.busy, 0);
	weir_pool_stats_get(pool, &s);
	assert_int_equal(s.misuse, 0);
	wi_store_rlx(&told, 0);
	assert_int_equal(weir_pool_close(&other, PATIENCE_MS), WEIR_OK);
	assert_unharmed(0);
}

/* ---- other threads ---- */

static weir_conn *handle;
static pthread_barrier_t ready, done;
#define ROUNDS 3000

static void give_back_at_once(struct test_thread *self)
{
	for (int i = 0; i < ROUNDS; i++) {
		weir_conn *copy;

		if (self->number == 0 &&
		    weir_pool_checkout(pool, PATIENCE_MS, &handle, NULL) != WEIR_OK)
			test_wrong(self, "no connection");
		pthread_barrier_wait(&ready);
		copy = handle;
		if (self->number > 0) /* two, of which neither took it */
			weir_checkin(&copy);
		pthread_barrier_wait(&done);
	}
}

static void given_back_by_two_threads_at_once(void **state)
{
	struct test_thread reports[3];

	(void)state;
	pthread_barrier_init(&ready, NULL, 3);
	pthread_barrier_init(&done, NULL, 3);
	test_threads_run(3, give_back_at_once, NULL, -1, reports);
	assert_null(test_first_wrong(reports, 3));
	pthread_barrier_destroy(&ready);
	pthread_barrier_destroy(&done);
	assert_unharmed(ROUNDS); /* one of the two wins, each time */
}

static _Atomic(weir_conn *) passed_on;

static void take_and_pass_on(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		weir_conn *conn = NULL, *mine = wi_swap_acq_rel(&passed_on, NULL);

		if (mine) { /* another's, or one's own of before */
			if (weir_exec(mine, "SELECT 1", PATIENCE_MS, NULL) != WEIR_OK)
				test_wrong(self, "what was handed on does not work");
			weir_checkin(&mine);
			self->count[0]++;
		}
		if (weir_pool_checkout(pool, 10, &conn, NULL) != WEIR_OK)
			continue;
		conn = wi_swap_acq_rel(&passed_on, conn);
		weir_checkin(&conn);
	}
}

static void given_back_by_another_thread(void **state)
{
	struct test_thread reports[4];
	weir_conn *last;

	(void)state;
	test_threads_run(4, take_and_pass_on, NULL, test_seconds(1), reports);
	if (test_first_wrong(reports, 4))
		fail_msg("%s", test_first_wrong(reports, 4));
	assert_true(test_sum(reports, 4, 0) > 0);
	last = wi_swap_acq_rel(&passed_on, NULL);
	weir_checkin(&last); /* its thread has ended */
	assert_unharmed(0);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(given_back_twice),
		TEST(given_back_twice_while_another_has_it),
		TEST(used_after_it_was_given_back),
		TEST(foreign),
		TEST(of_another_pool),
		TEST(given_back_by_two_threads_at_once),
		TEST(given_back_by_another_thread),
	};

	test_watchdog(200, "promise.13_wrong_handles");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

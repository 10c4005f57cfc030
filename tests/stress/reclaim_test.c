/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is taken back, with libpq and real threads, on a server that the test made: from a holder
 * who holds on for too long (it keeps a valid object on a dead connection, whatever it was doing),
 * and from threads that have ended, in every way in which a thread can end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>
#include <pthread.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/mock_server.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000

static struct test_mock *mock;
static weir_options o;
static weir_pool *pool;
static _Atomic int leaks;
static char last_leak[WEIR_ERROR_TEXT];

static void hear(void *arg, const weir_event *event)
{
	(void)arg;
	if (event->kind != WEIR_EVENT_LEAK)
		return;
	strcpy(last_leak, event->text);
	wi_add_seq(&leaks, 1);
}

static int set_up(void **state)
{
	(void)state;
	mock = test_mock_start(NULL);
	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = 1;
	/*
	 * So long the place of one that was cut stays taken, unless the server is seen to end it.
	 */
	o.statement_timeout_ms = 30000;
	o.on_event = hear;
	wi_store_seq(&leaks, 0);
	return 0;
}

static void open_pool(void)
{
	assert_int_equal(weir_pool_open(test_mock_conninfo(mock), &o, &pool, NULL), WEIR_OK);
}

static weir_pool_stats stats(void)
{
	weir_pool_stats s;

	weir_pool_stats_get(pool, &s);
	return s;
}

static void close_pool(void)
{
	struct test_mock_counts counts;

	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	test_mock_counts(mock, &counts);
	assert_true(counts.most_sessions <= o.pool_max);
	test_mock_stop(&mock);
}

static weir_conn *take(void)
{
	weir_conn *conn = NULL;

	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL), WEIR_OK);
	return conn;
}

static void await_leaks(int n)
{
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;

	while (wi_load_seq(&leaks) < n && wi_now_ns() < until_ns)
		usleep(1000);
	assert_int_equal(wi_load_seq(&leaks), n);
}

/* ---- who holds on for too long ---- */

static void allow_holds_of(int64_t ms)
{
	o.leak_after_ms = ms;
	assert_int_equal(weir_pool_reload(pool, &o, NULL), WEIR_OK);
}

/*
 * Takes what another is to lose by holding on. Who takes it may itself hold it for so long, where
 * the machine stands still: then once more.
 */
static weir_conn *take_over(void)
{
	weir_conn *conn = take();

	while (weir_exec(conn, "SELECT 1", PATIENCE_MS, NULL) != WEIR_OK) {
		weir_checkin(&conn);
		conn = take();
	}
	return conn;
}

static void an_idle_holder_finds_it_dead(void **state)
{
	weir_conn *hog, *next;
	PGresult *r;

	(void)state;
	o.leak_after_ms = 0;
	o.leak_action = WEIR_LEAK_RECLAIM;
	open_pool();
	hog = take();
	assert_int_equal(weir_exec(hog, "BEGIN", PATIENCE_MS, NULL), WEIR_OK);
	allow_holds_of(50);
	next = take_over();
	allow_holds_of(0);
	assert_non_null(weir_pg(hog)); /* the object is the holder's still */
	r = PQexec(weir_pg(hog), "INSERT INTO t VALUES ('too late')");
	assert_int_not_equal(PQresultStatus(r), PGRES_COMMAND_OK);
	PQclear(r);
	assert_int_equal(PQstatus(weir_pg(hog)), CONNECTION_BAD);
	assert_int_not_equal(weir_exec(hog, "SELECT 1", PATIENCE_MS, NULL), WEIR_OK);
	assert_false(test_mock_heard(mock, "too late", strlen("too late")));
	weir_checkin(&hog);
	weir_checkin(&next);
	next = take();
	assert_int_equal(weir_exec(next, "SELECT 1", PATIENCE_MS, NULL), WEIR_OK);
	weir_checkin(&next);
	assert_int_equal(stats().misuse, 0);
	close_pool();
}

static void *run_for_ever(void *arg)
{
	weir_conn *conn = NULL;
	PGresult *r;
	bool ended;

	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL) != WEIR_OK)
		return NULL;
	r = PQexec(weir_pg(conn), "SELECT for_ever"); /* in libpq, without a deadline */
	ended = PQresultStatus(r) == PGRES_FATAL_ERROR && PQstatus(weir_pg(conn)) == CONNECTION_BAD;
	PQclear(r);
	weir_checkin(&conn);
	return ended ? arg : NULL;
}

static void one_who_waits_for_an_answer_is_let_go(void **state)
{
	pthread_t thread;
	weir_conn *next;
	void *ended;

	(void)state;
	o.leak_after_ms = 0;
	o.leak_action = WEIR_LEAK_RECLAIM;
	test_mock_on(mock, "SELECT for_ever", &(struct test_mock_reply){.act = TEST_MOCK_SILENCE});
	open_pool();
	assert_int_equal(pthread_create(&thread, NULL, run_for_ever, &o), 0);
	assert_true(test_mock_await_queries(mock, "SELECT for_ever", 1, PATIENCE_MS));
	allow_holds_of(50);
	next = take_over();
	assert_int_equal(pthread_join(thread, &ended), 0);
	assert_non_null(ended);
	weir_checkin(&next);
	close_pool();
}

static _Atomic bool is_late, is_in_time;

/* Checkins at the very moment at which they are late: until some were, and some were not. */
static void hold_as_long_as_may(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop) || !wi_load_rlx(&is_late) || !wi_load_rlx(&is_in_time)) {
		weir_conn *conn = NULL;
		weir_error error;
		bool late;
		weir_status st = weir_pool_checkout(pool, PATIENCE_MS, &conn, &error);

		if (st != WEIR_OK) {
			test_wrong(self, "%s: %s", weir_status_name(st), error.text);
			continue;
		}
		usleep(wi_rng_below(&self->rng, 60000));
		self->count[0]++;
		late = weir_exec(conn, "SELECT 1", PATIENCE_MS, NULL) != WEIR_OK;
		self->count[1] += late;
		wi_store_rlx(late ? &is_late : &is_in_time, true);
		weir_checkin(&conn);
	}
}

static void late_or_just_not(void **state)
{
	struct test_thread reports[4];

	(void)state;
	o.leak_after_ms = 40;
	o.leak_action = WEIR_LEAK_RECLAIM;
	o.pool_max = 3;
	open_pool();
	test_threads_run(4, hold_as_long_as_may, NULL, test_seconds(3), reports);
	if (test_first_wrong(reports, 4))
		fail_msg("%s", test_first_wrong(reports, 4));
	assert_true(test_sum(reports, 4, 1) > 0);                       /* some were late, */
	assert_true(test_sum(reports, 4, 1) < test_sum(reports, 4, 0)); /* some were not */
	assert_int_equal(stats().misuse, 0);
	assert_int_equal(stats().checkouts, stats().checkins);
	close_pool();
}

/* ---- threads that have ended ---- */

static void *leave_by_return(void *arg)
{
	*(weir_conn **)arg = take();
	return NULL;
}

static void *leave_by_exit(void *arg)
{
	*(weir_conn **)arg = take();
	pthread_exit(NULL);
}

static void *leave_by_cancel(void *arg)
{
	*(weir_conn **)arg = take();
	pthread_cancel(pthread_self());
	pthread_testcancel();
	return NULL;
}

static void *(*const ways[])(void *) = {leave_by_return, leave_by_exit, leave_by_cancel};

static void it_is_told_at_once_and_can_be_given_back(void **state)
{
	(void)state;
	o.leak_after_ms = 0;
	open_pool();
	for (int i = 0; i < 3; i++) {
		weir_conn *left = NULL;
		weir_held held;
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, ways[i], &left), 0);
		pthread_join(thread, NULL);
		await_leaks(i + 1);
		assert_non_null(strstr(last_leak, "which has ended"));
		assert_int_equal(weir_pool_held_get(pool, &held, 1), 1);
		assert_true(held.thread_ended);
		assert_int_equal(weir_exec(left, "SELECT 1", PATIENCE_MS, NULL), WEIR_OK);
		weir_checkin(&left);
	}
	assert_int_equal(stats().orphans, 3);
	assert_int_equal(stats().opened, 1);
	assert_int_equal(stats().misuse, 0);
	close_pool();
}

static bool has_terminates(const struct test_mock_counts *counts, void *n)
{
	return counts->terminates >= *(uint64_t *)n;
}

static void it_is_closed_where_that_is_asked_for(void **state)
{
	uint64_t all = 30;

	(void)state;
	o.dead_thread_action = WEIR_DEAD_THREAD_RECLAIM;
	open_pool();
	for (int i = 0; i < 30; i++) {
		weir_conn *left = NULL, *conn;
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, ways[i % 3], &left), 0);
		pthread_join(thread, NULL);
		conn = take(); /* the only one there can be */
		assert_int_equal(weir_exec(conn, "SELECT 1", PATIENCE_MS, NULL), WEIR_OK);
		assert_null(weir_pg(left));
		weir_checkin(&conn);
	}
	assert_int_equal(stats().orphans, 30);
	assert_int_equal(stats().closed[WEIR_CLOSE_RECLAIMED], 30);
	/* The pool does not wait for a server that is late; what it said is heard all the same. */
	assert_true(test_mock_await(mock, PATIENCE_MS, has_terminates, &all));
	close_pool();
}

static void *keep_in_cache(void *arg)
{
	weir_conn *conn = take();

	(void)arg;
	weir_checkin(&conn);
	return NULL;
}

static void what_it_had_in_its_cache_is_back_at_once(void **state)
{
	(void)state;
	open_pool();
	for (int i = 0; i < 100; i++) {
		weir_conn *conn = NULL;
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, keep_in_cache, NULL), 0);
		pthread_join(thread, NULL);
		assert_int_equal(weir_pool_checkout(pool, 0, &conn, NULL), WEIR_OK);
		weir_checkin(&conn);
	}
	assert_int_equal(stats().opened, 1);
	assert_int_equal(stats().orphans, 0);
	close_pool();
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_idle_holder_finds_it_dead),
		TEST(one_who_waits_for_an_answer_is_let_go),
		TEST(late_or_just_not),
		TEST(it_is_told_at_once_and_can_be_given_back),
		TEST(it_is_closed_where_that_is_asked_for),
		TEST(what_it_had_in_its_cache_is_back_at_once),
	};

	test_watchdog(200, "stress.reclaim");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

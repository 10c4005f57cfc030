/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The user's own call for a new connection: it has the connection to itself, on a thread of its
 * own; what it sets stays; where it fails, is late or leaves a mess, nobody gets the connection.
 */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <libpq-fe.h>

#include <weir/weir.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "pool/chore.h"
#include "support/mock_server.h"
#include "support/watchdog.h"

#define PATIENCE_MS 20000

static struct test_mock *mock;
static weir_options o;
static weir_pool *pool;
static weir_error error;
static size_t bytes_before;

/* What the hook does, and what was seen of it. */
static struct {
	const char *sql;    /* run, unless NULL */
	const char *words;  /* why it fails, unless NULL */
	_Atomic bool waits; /* until `go` */
	_Atomic int calls;  /* begun */
	_Atomic int failed; /* whose SQL failed */
	_Atomic int late;   /* begun when their deadline had passed */
	sem_t go;
	pthread_t thread;
} hook;

static bool on_connect(void *arg, PGconn *pg, int64_t deadline_ns, weir_error *e)
{
	struct timespec now;

	assert_ptr_equal(arg, &hook);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (deadline_ns <= now.tv_sec * INT64_C(1000000000) + now.tv_nsec)
		hook.late++;
	hook.thread = pthread_self();
	hook.calls++;
	if (hook.sql) {
		PGresult *r = PQexec(pg, hook.sql);

		hook.failed += PQresultStatus(r) != PGRES_COMMAND_OK;
		PQclear(r);
	}
	if (hook.waits)
		while (sem_wait(&hook.go) != 0)
			;
	if (hook.words)
		snprintf(e->text, sizeof(e->text), "%s", hook.words);
	return !hook.words;
}

static void hear(void *arg, const weir_event *event)
{
	_Atomic int *count = arg;

	count[event->kind]++;
}

static _Atomic int told[WEIR_EVENT_KINDS];

static int set_up(void **state)
{
	(void)state;
	bytes_before = wi_alloc_bytes();
	for (int i = 0; i < WEIR_EVENT_KINDS; i++)
		told[i] = 0;
	hook.sql = hook.words = NULL;
	hook.waits = false;
	hook.calls = hook.failed = hook.late = 0;
	sem_init(&hook.go, 0, 0);
	mock = test_mock_start(NULL);
	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = 1;
	o.breaker_failures = 0;
	o.on_event = hear;
	o.on_event_arg = told;
	o.on_connect = on_connect;
	o.on_connect_arg = &hook;
	return 0;
}

/* The thread of a call that has returned may be the last to let go of it, a moment later. */
static bool all_is_freed(void)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (wi_chores_under_way() == 0 && wi_alloc_bytes() == bytes_before)
			return true;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return false;
}

static int tear_down(void **state)
{
	(void)state;
	test_mock_stop(&mock);
	return all_is_freed() ? 0 : -1;
}

static void open_pool(void)
{
	if (weir_pool_open(test_mock_conninfo(mock), &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

static weir_conn *check_out(void)
{
	weir_conn *conn = NULL;

	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return conn;
}

static void close_pool(void)
{
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

static void it_comes_before_the_first_use_and_what_it_sets_stays(void **state)
{
	weir_conn *conn;

	(void)state;
	hook.sql = "SET application_name = 'tenant'";
	open_pool();
	for (int i = 0; i < 3; i++) {
		conn = check_out();
		assert_string_equal(PQparameterStatus(weir_pg(conn), "application_name"), "tenant");
		weir_checkin(&conn);
	}
	assert_int_equal(hook.calls, 1);
	assert_int_equal(hook.failed, 0);
	assert_int_equal(hook.late, 0);
	assert_false(pthread_equal(hook.thread, pthread_self()));
	assert_int_equal(test_mock_queries(mock, 0, "DISCARD ALL"), 0);
	close_pool();
}

static void it_comes_again_after_what_takes_its_work_away(void **state)
{
	weir_conn *conn;

	(void)state;
	hook.sql = "SET application_name = 'tenant'";
	assert_int_equal(weir_options_set(&o, "reset", "always", NULL), WEIR_OK);
	open_pool();
	conn = check_out();
	weir_checkin(&conn);
	conn = check_out();
	assert_int_equal(hook.calls, 2);
	assert_string_equal(PQparameterStatus(weir_pg(conn), "application_name"), "tenant");
	weir_checkin(&conn);
	close_pool();
}

static void refused(const char *words)
{
	weir_conn *conn = NULL;

	open_pool();
	/* A machine that has no time for us may not have come so far in the first half second. */
	for (int i = 0; i == 0 || (i < 2 * PATIENCE_MS / 1000 && !strstr(error.text, words)); i++)
		assert_int_not_equal(weir_pool_checkout(pool, 500, &conn, &error), WEIR_OK);
	if (!strstr(error.text, words))
		fail_msg("\"%s\" does not say \"%s\"", error.text, words);
	assert_true(told[WEIR_EVENT_CONNECT_FAILED] > 0);
	assert_int_equal(told[WEIR_EVENT_CONNECTED], 0);
	close_pool();
}

static void one_that_fails_gives_the_connection_to_nobody_and_says_why(void **state)
{
	(void)state;
	hook.words = "no such tenant";
	refused("on_connect: no such tenant");
}

static void one_that_leaves_a_transaction_open_is_no_better(void **state)
{
	(void)state;
	hook.sql = "BEGIN";
	refused("in a transaction");
}

static bool no_session(const struct test_mock_counts *counts, void *arg)
{
	(void)arg;
	return counts->sessions == 0;
}

static void one_that_is_late_has_its_connection_cut(void **state)
{
	(void)state;
	test_mock_on(mock, "SET never", &(struct test_mock_reply){.act = TEST_MOCK_SILENCE});
	hook.sql = "SET never = 1";
	o.connect_timeout_ms = 150;
	refused("has not returned in time");
	/*
	 * What it waited for failed: it has returned by itself, or the close would not be through.
	 */
	assert_true(hook.failed > 0);
	assert_true(test_mock_await(mock, PATIENCE_MS, no_session, NULL));
}

static void others_are_served_while_it_blocks(void **state)
{
	weir_conn *one, *two;

	(void)state;
	o.pool_max = 2;
	open_pool();
	one = check_out();
	hook.waits = true;
	assert_int_equal(weir_pool_checkout(pool, 50, &two, &error), WEIR_TIMEOUT);
	for (int i = 0; i < 100; i++) {
		weir_checkin(&one);
		one = check_out();
	}
	assert_int_equal(hook.calls, 2);
	hook.waits = false;
	sem_post(&hook.go);
	two = check_out();
	weir_checkin(&one);
	weir_checkin(&two);
	close_pool();
}

static void a_close_does_not_free_what_it_still_has(void **state)
{
	weir_conn *conn = NULL;
	int64_t begun_ns;

	(void)state;
	hook.waits = true;
	open_pool();
	assert_int_equal(weir_pool_checkout(pool, 100, &conn, &error), WEIR_TIMEOUT);
	begun_ns = wi_now_ns();
	assert_int_equal(weir_pool_close(&pool, 0), WEIR_TIMEOUT);
	assert_true(wi_now_ns() - begun_ns <
	            4 * WI_SEC); /* nothing is out that it would wait for */
	assert_true(wi_chores_under_way() > 0);
	sem_post(&hook.go);
	assert_true(all_is_freed());
}

/* Somebody else's call, which hangs for as long as `gate` is locked. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void hang(struct wi_chore *chore)
{
	(void)chore;
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
}

static void leave(struct wi_chore *chore)
{
	(void)chore;
}

static void one_that_stood_in_line_to_the_end_is_not_called_and_holds_up_nobody(void **state)
{
	static struct wi_chore others[32]; /* as many as have threads at once */
	const size_t n = sizeof(others) / sizeof(others[0]);
	weir_conn *conn = NULL;

	(void)state;
	pthread_mutex_lock(&gate);
	for (size_t i = 0; i < n; i++) {
		others[i] = (struct wi_chore){.run = hang, .dispose = leave};
		assert_true(wi_chore_start(&others[i], WI_CHORE_USER, NULL));
		wi_chore_drop(&others[i], NULL);
	}
	o.connect_timeout_ms = 100;
	open_pool();
	assert_int_equal(weir_pool_checkout(pool, 300, &conn, &error), WEIR_TIMEOUT);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	assert_int_equal(wi_chores_under_way(), n);
	pthread_mutex_unlock(&gate);
	assert_true(all_is_freed());
	assert_int_equal(hook.calls, 0);
}

/* What a process keeps from its first pool on is not a leak. */
static int warm_up(void **state)
{
	weir_conn *conn;

	set_up(state);
	open_pool();
	conn = check_out();
	weir_checkin(&conn);
	close_pool();
	test_mock_stop(&mock);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_comes_before_the_first_use_and_what_it_sets_stays),
		TEST(it_comes_again_after_what_takes_its_work_away),
		TEST(one_that_fails_gives_the_connection_to_nobody_and_says_why),
		TEST(one_that_leaves_a_transaction_open_is_no_better),
		TEST(one_that_is_late_has_its_connection_cut),
		TEST(others_are_served_while_it_blocks),
		TEST(a_close_does_not_free_what_it_still_has),
		TEST(one_that_stood_in_line_to_the_end_is_not_called_and_holds_up_nobody),
	};

	test_watchdog(100, "sim.connect_hook");
	return cmocka_run_group_tests(tests, warm_up, NULL);
}

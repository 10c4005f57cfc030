/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 19: a server process that stops in the middle of a statement. The call ends by its
 * deadline and says that the outcome is unknown where it is; the server was asked to cancel; the
 * connection is closed, and nobody else waits for it.
 *
 * The server's processes are stopped by signal, as a hung disk or a hung machine would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "support/cluster.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define DEADLINE_MS 300
#define BEGUN_MS 1000 /* for a statement that has to have begun */
#define SLACK_MS 2000 /* of a machine that runs other tests beside this one */

static struct test_cluster *cluster;
static PGconn *other; /* a session of nobody's pool */
static weir_pool *pool;
static int stopped; /* a server process that sleeps, or 0 */

/* ---- small words ---- */

static void run(PGconn *pg, const char *sql)
{
	PGresult *r = PQexec(pg, sql);

	if (PQresultStatus(r) == PGRES_FATAL_ERROR)
		fail_msg("%s: %s", sql, PQresultErrorMessage(r));
	PQclear(r);
}

static int count(const char *sql)
{
	PGresult *r = PQexec(other, sql);
	int n = PQntuples(r) == 1 ? atoi(PQgetvalue(r, 0, 0)) : -1;

	PQclear(r);
	return n;
}

static weir_conn *checkout(int64_t timeout_ms)
{
	weir_conn *conn = NULL;
	weir_error error;

	if (weir_pool_checkout(pool, timeout_ms, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return conn;
}

static weir_pool_stats stats(void)
{
	weir_pool_stats s;

	weir_pool_stats_get(pool, &s);
	return s;
}

static void stop(const weir_conn *conn)
{
	stopped = PQbackendPID(weir_pg(conn));
	assert_int_equal(kill(stopped, SIGSTOP), 0);
}

static void go_on(void)
{
	if (stopped)
		kill(stopped, SIGCONT);
	stopped = 0;
}

static int set_up(void **state)
{
	weir_options o;
	weir_error error;

	(void)state;
	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = 2;
	o.statement_timeout_ms = 0; /* nothing but a cancel ends a statement */
	o.cancel_timeout_ms = DEADLINE_MS;
	if (weir_pool_open(test_cluster_url(cluster), &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	go_on();
	return weir_pool_close(&pool, PATIENCE_MS) == WEIR_OK ? 0 : -1;
}

/* Nobody of ours is in a statement or a transaction. */
static void await_rest(void)
{
	int64_t ends_ns = wi_now_ns() + PATIENCE_MS * WI_MS;

	while (count("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND "
	             "pid <> pg_backend_pid() AND state <> 'idle'") > 0) {
		assert_true(wi_now_ns() < ends_ns);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
}

static void await_busy_closed(uint64_t n)
{
	int64_t ends_ns = wi_now_ns() + PATIENCE_MS * WI_MS;

	while (stats().closed[WEIR_CLOSE_BUSY] < n) {
		assert_true(wi_now_ns() < ends_ns);
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
}

/* ---- */

/* The statement's end for its caller, and how late it was. */
static weir_status exec_on_a_stopped_one(weir_conn *conn, const char *sql)
{
	weir_error error = {.text = ""};
	int64_t begun_ns, took_ns;
	weir_status st;

	stop(conn);
	begun_ns = wi_now_ns();
	st = weir_exec(conn, sql, DEADLINE_MS, &error);
	took_ns = wi_now_ns() - begun_ns;
	printf("%s: %s after %.1f ms of %d\n", sql, weir_status_name(st), (double)took_ns / 1e6,
	       DEADLINE_MS);
	assert_true(took_ns >= DEADLINE_MS * WI_MS);
	assert_true(took_ns < (DEADLINE_MS + SLACK_MS) * WI_MS);
	return st;
}

static const struct {
	const char *before, *sql;
	weir_status end;
} statements[] = {
	{NULL, "INSERT INTO mine VALUES (1)", WEIR_OUTCOME_UNKNOWN},
	{"BEGIN", "INSERT INTO mine VALUES (1)", WEIR_TIMEOUT},
	{"BEGIN; INSERT INTO mine VALUES (1)", "COMMIT", WEIR_OUTCOME_UNKNOWN},
	{"BEGIN", "INSERT INTO mine VALUES (1); COMMIT", WEIR_OUTCOME_UNKNOWN},
};

static void a_call_ends_by_its_deadline_and_says_what_is_unknown(void **state)
{
	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(statements); i++) {
		weir_conn *conn = checkout(PATIENCE_MS);
		int pid = PQbackendPID(weir_pg(conn));
		uint64_t cancels = stats().cancels;

		if (statements[i].before)
			run(weir_pg(conn), statements[i].before);
		assert_int_equal(exec_on_a_stopped_one(conn, statements[i].sql), statements[i].end);
		assert_true(stats().cancels > cancels);
		weir_checkin(&conn);
		conn = checkout(PATIENCE_MS); /* while that one is still stopped */
		assert_int_not_equal(PQbackendPID(weir_pg(conn)), pid);
		run(weir_pg(conn), "SELECT 1");
		weir_checkin(&conn);
		await_busy_closed(i + 1); /* it does not even hear that it is cancelled */
		go_on();
	}
}

static void given_back_in_a_statement_it_holds_up_nobody(void **state)
{
	weir_conn *conn = checkout(PATIENCE_MS);
	int pid = PQbackendPID(weir_pg(conn));
	int64_t begun_ns;

	(void)state;
	stop(conn);
	assert_int_equal(PQsendQuery(weir_pg(conn), "INSERT INTO mine VALUES (1)"), 1);
	begun_ns = wi_now_ns();
	weir_checkin(&conn);
	assert_true(wi_now_ns() - begun_ns < SLACK_MS * WI_MS);
	for (int i = 0; i < 20; i++) {
		conn = checkout(PATIENCE_MS);
		assert_int_not_equal(PQbackendPID(weir_pg(conn)), pid);
		run(weir_pg(conn), "SELECT 1");
		weir_checkin(&conn);
	}
	await_busy_closed(1);
}

static _Atomic bool given_up; /* a machine that stands still lets the deadline pass before that */

/* Stops a server process as soon as it is in its statement: a cancel before that is for nothing. */
static void *stop_in_statement(void *arg)
{
	char sql[128];
	int64_t ends_ns = wi_now_ns() + PATIENCE_MS * WI_MS;

	snprintf(sql, sizeof(sql),
	         "SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND wait_event = 'PgSleep'",
	         *(const int *)arg);
	while (count(sql) == 0 && !wi_load_acq(&given_up) && wi_now_ns() < ends_ns)
		;
	if (!wi_load_acq(&given_up)) {
		stopped = *(const int *)arg;
		kill(stopped, SIGSTOP);
	}
	return NULL;
}

/*
 * The cancel was on its way: a process that goes on ends the statement, and is rolled back or
 * closed.
 */
static void what_goes_on_is_cancelled(void **state)
{
	weir_conn *conn = checkout(PATIENCE_MS);
	int pid = PQbackendPID(weir_pg(conn));
	pthread_t thread;

	(void)state;
	run(other, "TRUNCATE mine");
	run(weir_pg(conn), "BEGIN");
	assert_int_equal(pthread_create(&thread, NULL, stop_in_statement, &pid), 0);
	assert_int_equal(
		weir_exec(conn, "INSERT INTO mine SELECT 1 FROM pg_sleep(100)", BEGUN_MS, NULL),
		WEIR_TIMEOUT);
	wi_store_rel(&given_up, true);
	weir_checkin(&conn);
	pthread_join(thread, NULL);
	go_on();
	await_rest();
	assert_int_equal(count("SELECT count(*) FROM mine"), 0);
}

/* ---- */

static int start(void **state)
{
	struct test_cluster_options options = {.standbys = -1, .max_connections = 40};

	(void)state;
	cluster = test_cluster_start_or_exit(&options);
	other = PQconnectdb(test_cluster_url(cluster));
	run(other, "CREATE TABLE mine (x int)");
	return 0;
}

static int finish(void **state)
{
	(void)state;
	PQfinish(other);
	return test_cluster_stop(&cluster) ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_call_ends_by_its_deadline_and_says_what_is_unknown),
		TEST(given_back_in_a_statement_it_holds_up_nobody),
		TEST(what_goes_on_is_cancelled),
	};

	test_watchdog(280, "promise 19");
	return cmocka_run_group_tests(tests, start, finish);
}

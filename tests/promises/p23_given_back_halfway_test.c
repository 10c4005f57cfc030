/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 23: given back in a transaction, in COPY, in a pipeline, with rows unread or a query
 * still running, a connection is put right where that is cheap and safe, else closed; the next
 * holder finds it idle and reads no byte of another's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "base/line.h"
#include "support/cluster.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000

static struct test_cluster *cluster;
static PGconn *other; /* a session of nobody's pool */
static weir_pool *pool;

static void run(PGconn *pg, const char *sql)
{
	PGresult *r = PQexec(pg, sql);

	if (PQresultStatus(r) == PGRES_FATAL_ERROR)
		fail_msg("%s: %s", sql, PQresultErrorMessage(r));
	PQclear(r);
}

static void send(PGconn *pg, const char *sql)
{
	assert_int_equal(PQsendQuery(pg, sql), 1);
}

/* ---- how it is left ---- */

static void in_a_transaction(PGconn *pg)
{
	run(pg, "BEGIN; INSERT INTO mine VALUES (1)");
}

static void in_a_failed_transaction(PGconn *pg)
{
	run(pg, "BEGIN; INSERT INTO mine VALUES (1)");
	PQclear(PQexec(pg, "SELECT 1/0"));
}

static void with_rows_unread(PGconn *pg)
{
	send(pg, "SELECT 'foreign' FROM generate_series(1, 100000)");
	while (PQisBusy(pg))
		assert_int_equal(PQconsumeInput(pg), 1);
}

static void with_all_read_but_the_end(PGconn *pg)
{
	send(pg, "SELECT 'foreign'");
	PQclear(PQgetResult(pg));
}

static void with_results_to_come(PGconn *pg)
{
	send(pg, "SELECT 'foreign'; BEGIN; INSERT INTO mine VALUES (1); SELECT 'more'");
	PQclear(PQgetResult(pg));
}

static void in_single_rows(PGconn *pg)
{
	/*
	 * More than is there at once, but less than what a flood is given up for; then it sleeps.
	 */
	send(pg, "SELECT 'foreign', CASE WHEN i > 100000 THEN pg_sleep(100)::text END "
	         "FROM generate_series(1, 100001) i");
	assert_int_equal(PQsetSingleRowMode(pg), 1);
	for (int i = 0; i < 10; i++)
		PQclear(PQgetResult(pg));
}

static void with_a_query_asleep(PGconn *pg)
{
	send(pg, "BEGIN; INSERT INTO mine VALUES (1); SELECT pg_sleep(100)");
}

static void with_a_query_that_waits_for_a_lock(PGconn *pg)
{
	run(pg, "BEGIN");
	send(pg, "LOCK TABLE locked");
}

static void with_a_query_that_floods(PGconn *pg)
{
	send(pg, "SELECT repeat('foreign', 1000), generate_series(1, 100000000)");
}

static void with_a_query_half_sent(PGconn *pg)
{
	size_t n = 8 << 20;
	char *sql = malloc(n + 64);

	assert_non_null(sql);
	strcpy(sql, "SELECT length('");
	memset(sql + strlen(sql), 'x', n);
	strcpy(sql + strlen("SELECT length('") + n, "')");
	assert_int_equal(PQsetnonblocking(pg, 1), 0);
	send(pg, sql);
	free(sql);
}

static void in_copy_out(PGconn *pg)
{
	run(pg, "BEGIN; INSERT INTO mine VALUES (1)");
	run(pg, "COPY (SELECT 'foreign', generate_series(1, 500000)) TO STDOUT");
}

static void halfway_through_copy_out(PGconn *pg)
{
	char *row;

	run(pg, "COPY (SELECT 'foreign', generate_series(1, 500000)) TO STDOUT");
	for (int i = 0; i < 10; i++) {
		assert_true(PQgetCopyData(pg, &row, 0) > 0);
		PQfreemem(row);
	}
}

static void in_copy_in(PGconn *pg)
{
	run(pg, "COPY mine FROM STDIN");
}

static void halfway_through_copy_in(PGconn *pg)
{
	run(pg, "COPY mine FROM STDIN");
	for (int i = 0; i < 100000; i++)
		assert_int_equal(PQputCopyData(pg, "1\n", 2), 1);
}

static void in_copy_in_without_blocking(PGconn *pg)
{
	assert_int_equal(PQsetnonblocking(pg, 1), 0);
	halfway_through_copy_in(pg);
}

static void with_the_end_of_copy_unread(PGconn *pg)
{
	run(pg, "BEGIN");
	halfway_through_copy_in(pg);
	assert_int_equal(PQputCopyEnd(pg, NULL), 1);
}

static void in_an_empty_pipeline(PGconn *pg)
{
	assert_int_equal(PQenterPipelineMode(pg), 1);
}

static void in_a_pipeline(PGconn *pg)
{
	assert_int_equal(PQenterPipelineMode(pg), 1);
	assert_int_equal(PQsendQueryParams(pg, "SELECT 'foreign'", 0, NULL, NULL, NULL, NULL, 0),
	                 1);
}

static void in_a_pipeline_that_is_answered(PGconn *pg)
{
	in_a_pipeline(pg);
	assert_int_equal(PQpipelineSync(pg), 1);
	PQclear(PQgetResult(pg));
}

static void in_a_pipeline_that_failed(PGconn *pg)
{
	assert_int_equal(PQenterPipelineMode(pg), 1);
	assert_int_equal(PQsendQueryParams(pg, "SELECT 1/0", 0, NULL, NULL, NULL, NULL, 0), 1);
	assert_int_equal(PQsendQueryParams(pg, "SELECT 'foreign'", 0, NULL, NULL, NULL, NULL, 0),
	                 1);
	assert_int_equal(PQpipelineSync(pg), 1);
	PQclear(PQgetResult(pg));
}

/* Whether the session is used again: what is cheap to put right is. */
static const struct way {
	const char *name;
	void (*leave)(PGconn *pg);
	bool again;
} ways[] = {
	{"in a transaction", in_a_transaction, true},
	{"in a failed transaction", in_a_failed_transaction, true},
	{"with rows unread", with_rows_unread, true},
	{"with all read but the end", with_all_read_but_the_end, true},
	{"with results to come", with_results_to_come, true},
	{"in single-row mode", in_single_rows, true},
	{"with a query asleep", with_a_query_asleep, true},
	{"with a query that waits for a lock", with_a_query_that_waits_for_a_lock, true},
	{"with a query half sent", with_a_query_half_sent, true},
	{"in COPY TO", in_copy_out, true},
	{"halfway through COPY TO", halfway_through_copy_out, true},
	{"in COPY FROM", in_copy_in, true},
	{"halfway through COPY FROM", halfway_through_copy_in, true},
	{"in COPY FROM without blocking", in_copy_in_without_blocking, true},
	{"with the end of COPY FROM unread", with_the_end_of_copy_unread, true},
	{"in a pipeline with nothing in it", in_an_empty_pipeline, true},
	{"in a pipeline", in_a_pipeline, false},
	{"in a pipeline that is answered", in_a_pipeline_that_is_answered, false},
	{"in a pipeline that failed", in_a_pipeline_that_failed, false},
};

/* ---- what the next holder finds ---- */

static weir_conn *checkout(void)
{
	weir_conn *conn = NULL;
	weir_error error;

	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return conn;
}

static void assert_answer(PGconn *pg, const char *sql, const char *answer, const char *after)
{
	PGresult *r = PQexec(pg, sql);

	if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1 ||
	    strcmp(PQgetvalue(r, 0, 0), answer) != 0)
		fail_msg("%s: \"%s\" was answered by %s %s", after, sql,
		         PQresStatus(PQresultStatus(r)),
		         PQntuples(r) ? PQgetvalue(r, 0, 0) : PQresultErrorMessage(r));
	PQclear(r);
}

static void assert_idle(PGconn *pg, const char *after)
{
	if (PQtransactionStatus(pg) != PQTRANS_IDLE || PQpipelineStatus(pg) != PQ_PIPELINE_OFF ||
	    PQisnonblocking(pg) || PQisBusy(pg) || PQgetResult(pg))
		fail_msg("%s: not idle", after);
	assert_answer(pg, "SELECT 'clean'", "clean", after);
	assert_answer(pg, "SELECT count(*) FROM mine", "0", after);
}

static void leave_and_take(const struct way *way)
{
	weir_conn *conn = checkout();
	int pid = PQbackendPID(weir_pg(conn));

	way->leave(weir_pg(conn));
	weir_checkin(&conn);
	conn = checkout();
	assert_idle(weir_pg(conn), way->name);
	if ((PQbackendPID(weir_pg(conn)) == pid) != way->again)
		fail_msg("%s: the session was %s", way->name, way->again ? "closed" : "used again");
	weir_checkin(&conn);
}

static void open_pool(const char *reset, int64_t cancel_ms)
{
	weir_options o;
	weir_error error;

	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = 1;
	o.cancel_timeout_ms = cancel_ms;
	o.statement_timeout_ms = 0; /* nothing but a cancel ends what is asleep */
	assert_int_equal(weir_options_set(&o, "reset", reset, NULL), WEIR_OK);
	if (weir_pool_open(test_cluster_url(cluster), &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

static void close_pool(void)
{
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

static void however_it_is_left_the_next_holder_finds_it_idle(void **state)
{
	static const char *const resets[] = {"tracked", "always", "none", "RESET ALL"};

	(void)state;
	for (size_t level = 0; level < WI_ARRAY_LEN(resets); level++) {
		open_pool(resets[level], PATIENCE_MS);
		for (size_t i = 0; i < WI_ARRAY_LEN(ways); i++)
			leave_and_take(&ways[i]);
		close_pool();
	}
}

/* Too much to be worth it, or not: whichever, no byte of it reaches anybody. */
static void a_flood_reaches_nobody(void **state)
{
	(void)state;
	open_pool("tracked", PATIENCE_MS);
	for (int i = 0; i < 5; i++) {
		weir_conn *conn = checkout();

		with_a_query_that_floods(weir_pg(conn));
		weir_checkin(&conn);
		conn = checkout();
		assert_idle(weir_pg(conn), "with a query that floods");
		weir_checkin(&conn);
	}
	close_pool();
}

#define ASLEEP                                                                                     \
	"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100)%' AND "            \
	"state = 'active' AND pid <> pg_backend_pid()"

/* How many are asleep; by a session of its own, as a transaction sees the same sessions always. */
static int sleepers(void)
{
	char *rows = test_cluster_sql(cluster, 0, ASLEEP);
	int n = rows ? atoi(rows) : -1;

	free(rows);
	assert_true(n >= 0);
	return n;
}

/* A request that finds the session before it has begun does nothing, and here it is only one. */
static void await_sleep(void)
{
	int64_t ends_ns = wi_now_ns() + PATIENCE_MS * WI_MS;

	while (sleepers() == 0)
		assert_true(wi_now_ns() < ends_ns);
}

/* Where nobody waits for a cancel to be through, one is sent all the same. */
static void what_is_closed_at_once_stops_on_the_server_too(void **state)
{
	int64_t ends_ns = wi_now_ns() + PATIENCE_MS * WI_MS;
	weir_pool_stats s;
	weir_conn *conn;

	(void)state;
	open_pool("tracked", 0);
	conn = checkout();
	with_a_query_asleep(weir_pg(conn));
	await_sleep();
	weir_checkin(&conn);
	do {
		assert_true(wi_now_ns() < ends_ns);
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
		weir_pool_stats_get(pool, &s);
	} while (s.total > 0);
	assert_int_equal(s.closed[WEIR_CLOSE_BUSY], 1);
	assert_int_equal(s.cancels, 1);
	while (sleepers() > 0) /* it would sleep for longer than the patience */
		assert_true(wi_now_ns() < ends_ns);
	close_pool();
}

/* ---- */

static int start(void **state)
{
	struct test_cluster_options options = {.standbys = -1, .max_connections = 40};

	(void)state;
	cluster = test_cluster_start_or_exit(&options);
	other = PQconnectdb(test_cluster_url(cluster));
	run(other, "CREATE TABLE mine (x int); CREATE TABLE locked (x int)");
	run(other, "BEGIN; LOCK TABLE locked");
	return PQstatus(other) == CONNECTION_OK ? 0 : -1;
}

static int finish(void **state)
{
	(void)state;
	PQfinish(other);
	return test_cluster_stop(&cluster) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(however_it_is_left_the_next_holder_finds_it_idle),
		cmocka_unit_test(a_flood_reaches_nobody),
		cmocka_unit_test(what_is_closed_at_once_stops_on_the_server_too),
	};

	test_watchdog(280, "promise 23");
	return cmocka_run_group_tests(tests, start, finish);
}

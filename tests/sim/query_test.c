/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The query helpers of a pool over a fake server: what each end means for the caller and for the
 * connection. What a router runs again is in query_router_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/weir.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/fake_pool.h"
#include "support/watchdog.h"

static struct wi_fake_server server;
static _Atomic int seen; /* statements that name ONCE */
static bool outlasts;    /* the limit of a statement takes longer than all of it may */
static weir_pool *pool;
static weir_conn *conn;
static weir_error e;
static PGresult *rows;

/*
 * An SQLSTATE to every statement that names one, the end of the session to LOSE; else a row with
 * the text.
 */
static bool answer(struct wi_fake_server *s, const char *sql, struct wi_answer *row,
                   struct wi_failure *failure)
{
	const char *fail = strstr(sql, "FAIL ");

	if (strstr(sql, "ONCE"))
		wi_add_rlx(&seen, 1);
	if (outlasts && strstr(sql, "statement_timeout")) {
		outlasts = false;
		usleep(250000);
		wi_store_rlx(&s->stale_plans, 1);
	}
	*failure = (struct wi_failure){.fault = WI_FAULT_SQL, .text = "as scripted"};
	if (fail)
		memcpy(failure->sqlstate, fail + strlen("FAIL "), 5);
	if (strstr(sql, "LOSE"))
		failure->fault = WI_FAULT_LOST;
	row->columns = 1;
	row->has_row = true;
	snprintf(row->value[0], sizeof(row->value[0]), "%s", sql);
	return !fail && !strstr(sql, "LOSE");
}

/* The server's own, which stands still unless a test moves it. */
static _Atomic int64_t clock_ns = 1;

static int64_t server_now(void)
{
	return wi_load_rlx(&clock_ns);
}

static int set_up(void **state)
{
	weir_options o;

	(void)state;
	memset(&e, 0, sizeof(e));
	wi_store_rlx(&seen, 0);
	rows = NULL;
	wi_fake_server_init(&server);
	server.answer = answer;
	server.now = server_now;
	weir_options_init(&o);
	o.cancel_timeout_ms = 60000;
	o.pool_min = 0;
	o.pool_max = 1;
	pool = fake_pool_open(&server, &o);
	assert_int_equal(weir_pool_checkout(pool, 10000, &conn, NULL), WEIR_OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	PQclear(rows);
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, 10000), WEIR_OK);
	wi_fake_server_fini(&server);
	return 0;
}

static weir_status query(const char *sql)
{
	/* Longer than statement_timeout_ms, so that nothing is sent beside it. */
	const weir_statement s = WEIR_STATEMENT(.sql = sql, .timeout_ms = 60000);

	PQclear(rows);
	return weir_conn_query(conn, &s, &rows, &e);
}

static void a_result_is_the_callers(void **state)
{
	const char *text;

	(void)state;
	assert_int_equal(query("SELECT 1"), WEIR_OK);
	assert_int_equal(weir_row_text_at(rows, 0, 0, &text, NULL, NULL, &e), WEIR_OK);
	assert_string_equal(text, "SELECT 1");
	weir_checkin(&conn);
	assert_string_equal(text, "SELECT 1");
}

static void an_error_has_its_result_too(void **state)
{
	(void)state;
	assert_int_equal(query("FAIL 23505"), WEIR_QUERY);
	assert_string_equal(e.sqlstate, "23505");
	assert_string_equal(e.host, "127.0.0.1:5432");
	assert_int_equal(PQresultStatus(rows), PGRES_FATAL_ERROR);
	assert_non_null(rows);
	assert_int_equal(query("FAIL 40001"), WEIR_RETRY);
	assert_int_equal(query("SELECT 1"), WEIR_OK);
}

static void losses_are_judged_by_what_may_have_been_committed(void **state)
{
	(void)state;
	assert_int_equal(query("BEGIN"), WEIR_OK);
	assert_int_equal(query("INSERT LOSE"), WEIR_CONNECT);
	assert_null(rows);
	weir_checkin(&conn);
	assert_int_equal(weir_pool_checkout(pool, 10000, &conn, &e), WEIR_OK);
	assert_int_equal(query("BEGIN"), WEIR_OK);
	assert_int_equal(query("COMMIT LOSE"), WEIR_OUTCOME_UNKNOWN);
	weir_checkin(&conn);
	assert_int_equal(weir_pool_checkout(pool, 10000, &conn, &e), WEIR_OK);
	assert_int_equal(query("SELECT LOSE"), WEIR_OUTCOME_UNKNOWN);
	assert_null(rows);
}

/* A statement as a newer program may fill it. */
struct grown {
	weir_statement s;
	int news;
};

static void misuse_is_refused(void **state)
{
	struct grown g = {.s = WEIR_STATEMENT(.sql = "SELECT 1")};
	weir_statement s = WEIR_STATEMENT(.sql = "SELECT $1", .n_params = 1);
	const char *one[] = {"1"};
	const int binary[] = {1};
	weir_conn *stale = conn;

	(void)state;
	assert_int_equal(weir_conn_query(NULL, &s, &rows, &e), WEIR_INVALID);
	assert_int_equal(weir_conn_query(conn, NULL, &rows, &e), WEIR_INVALID);
	assert_int_equal(weir_conn_query(conn, &s, NULL, &e), WEIR_INVALID);
	assert_int_equal(weir_conn_query(conn, &s, &rows, &e), WEIR_INVALID);
	assert_non_null(strstr(e.text, "values is NULL"));
	s.values = one;
	s.formats = binary;
	assert_int_equal(weir_conn_query(conn, &s, &rows, &e), WEIR_INVALID);
	assert_non_null(strstr(e.text, "$1"));
	s = WEIR_STATEMENT(.sql = NULL);
	assert_int_equal(weir_conn_query(conn, &s, &rows, &e), WEIR_INVALID);
	g.s.size = sizeof(g);
	assert_int_equal(weir_conn_query(conn, &g.s, &rows, &e), WEIR_OK);
	PQclear(rows);
	g.news = 1;
	assert_int_equal(weir_conn_query(conn, &g.s, &rows, &e), WEIR_INVALID);
	assert_null(rows);
	weir_checkin(&conn);
	assert_int_equal(weir_conn_query(stale, &g.s, &rows, &e), WEIR_INVALID);
	g.news = 0;
	assert_int_equal(weir_conn_query(stale, &g.s, &rows, &e), WEIR_STALE);
}

static weir_status pool_query(const char *sql, int64_t timeout_ms)
{
	const weir_statement s = WEIR_STATEMENT(.sql = sql, .timeout_ms = timeout_ms);

	PQclear(rows);
	return weir_pool_query_with(pool, &s, &rows, &e);
}

static uint32_t busy(void)
{
	weir_pool_stats s;

	weir_pool_stats_get(pool, &s);
	return s.busy;
}

/* Whatever comes of it, the connection is back. */
static void a_pools_query_gives_back_on_every_path(void **state)
{
	static const struct {
		const char *sql;
		weir_status status;
	} ends[] = {{"SELECT 1", WEIR_OK},
	            {"FAIL 23505", WEIR_QUERY},
	            {"FAIL 40P01", WEIR_RETRY},
	            {"SELECT ONCE LOSE", WEIR_OUTCOME_UNKNOWN}};

	(void)state;
	weir_checkin(&conn);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		assert_int_equal(pool_query(ends[i].sql, 10000), ends[i].status);
		assert_int_equal(busy(), 0);
	}
	assert_int_equal(wi_load_rlx(&seen), 1);
	PQclear(rows);
	assert_int_equal(weir_pool_query(pool, "SELECT 2", 0, NULL, &rows, &e), WEIR_OK);
	assert_int_equal(PQntuples(rows), 1);
}

static void one_deadline_covers_checkout_and_statement(void **state)
{
	(void)state;
	/* The only connection is out. */
	assert_int_equal(pool_query("SELECT 1", 30), WEIR_TIMEOUT);
	weir_checkin(&conn);
	wi_store_rlx(&server.silent, true);
	assert_int_equal(pool_query("SELECT 1", 30), WEIR_OUTCOME_UNKNOWN);
	assert_null(rows);
	assert_int_equal(busy(), 0);
	wi_store_rlx(&server.silent, false);
	assert_int_equal(pool_query("SELECT 1", 10000), WEIR_OK);
}

/* ---- what is prepared ---- */

static int named(void)
{
	return (int)wi_load_rlx(&server.named);
}

static void what_comes_again_is_prepared(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(query("SELECT 1"), WEIR_OK);
	assert_int_equal(wi_load_rlx(&server.prepares), 1);
	assert_int_equal(named(), 4);
	weir_checkin(&conn); /* it is no dirt */
	assert_int_equal(weir_pool_checkout(pool, 10000, &conn, &e), WEIR_OK);
	assert_int_equal(query("SELECT 1"), WEIR_OK);
	assert_int_equal(named(), 5);
}

static void what_is_stale_is_prepared_anew(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(query("SELECT ONCE"), WEIR_OK);
	wi_store_rlx(&server.stale_plans, 1);
	assert_int_equal(query("SELECT ONCE"), WEIR_OK);
	assert_int_equal(wi_load_rlx(&server.prepares), 2);
	assert_int_equal(wi_load_rlx(&server.drops), 1);
	assert_int_equal(wi_load_rlx(&seen), 4); /* the stale one did not reach it */
	/* A second time it is the statement's own error. */
	wi_store_rlx(&server.stale_plans, 2);
	assert_int_equal(query("SELECT ONCE"), WEIR_QUERY);
	assert_string_equal(e.sqlstate, "0A000");
	assert_int_equal(query("BEGIN"), WEIR_OK);
	assert_int_equal(query("SELECT ONCE"), WEIR_OK);
	wi_store_rlx(&server.stale_plans, 1);
	assert_int_equal(query("SELECT ONCE"), WEIR_RETRY);
	assert_int_equal(query("ROLLBACK"), WEIR_OK);
	wi_fake_forget_plans(wi_conn_of(conn)->link);
	assert_int_equal(query("SELECT ONCE"), WEIR_OK);
	assert_int_equal(query("BEGIN"), WEIR_OK);
	wi_fake_forget_plans(wi_conn_of(conn)->link);
	assert_int_equal(query("SELECT ONCE"), WEIR_RETRY);
	assert_string_equal(e.sqlstate, "26000");
}

/* Else its outcome would be unknown without need. */
static void nothing_is_sent_when_its_time_is_over(void **state)
{
	weir_statement s = WEIR_STATEMENT(.sql = "INSERT ONCE", .prepare = WEIR_PREPARE_AT_ONCE,
	                                  .timeout_ms = 60000);

	(void)state;
	assert_int_equal(weir_conn_query(conn, &s, &rows, &e), WEIR_OK);
	PQclear(rows);
	s.timeout_ms = 200;
	outlasts = true;
	assert_int_equal(weir_conn_query(conn, &s, &rows, &e), WEIR_TIMEOUT);
	outlasts = false;
	assert_null(rows);
	assert_int_equal(wi_load_rlx(&seen), 1);
	assert_int_equal(wi_driver_fake.look(wi_conn_of(conn)->link), WI_LOOK_CLEAN);
}

static void behind_a_pooler_nothing_is_prepared(void **state)
{
	(void)state;
	wi_store_rlx(&pool->pooled, true);
	for (int i = 0; i < 3; i++)
		assert_int_equal(query("SELECT 1"), WEIR_OK);
	assert_int_equal(wi_load_rlx(&server.prepares), 0);
}

/* ---- who gives up ---- */

/* The server is told, and the connection is used again once that is over. */
static void the_connection_of_who_gives_up_is_kept(void **state)
{
	weir_pool_stats s;

	(void)state;
	wi_store_rlx(&server.obeys_cancel, true);
	wi_store_rlx(&server.mute, 1); /* silent, but it obeys */
	assert_int_equal(weir_exec(conn, "INSERT", 20, &e), WEIR_OUTCOME_UNKNOWN);
	assert_int_equal(query("SELECT 1"), WEIR_INVALID);
	wi_store_rlx(&server.mute, 0);
	weir_checkin(&conn);
	assert_int_equal(weir_pool_checkout(pool, 10000, &conn, &e), WEIR_OK);
	assert_int_equal(query("SELECT 1"), WEIR_OK);
	weir_pool_stats_get(pool, &s);
	assert_int_equal(s.opened, 1);
	assert_int_equal(s.cancels, 1);
}

/*
 * The request is on its way when the answer comes after all and the holder, who has read it by
 * himself, gives an idle connection back: nobody gets it before the request has been dealt with.
 */
static void a_late_cancel_hits_nobody(void **state)
{
	struct weir_conn *c = wi_conn_of(conn);
	struct wi_failure f;

	(void)state;
	wi_store_rlx(&server.obeys_cancel, true);
	wi_store_rlx(&server.holds_cancel, true);
	wi_store_rlx(&server.answer_ns, 1);
	assert_int_equal(weir_exec(conn, "INSERT", 10, &e), WEIR_OUTCOME_UNKNOWN);
	wi_store_rlx(&server.answer_ns, 0);
	wi_add_rlx(&clock_ns, 1);
	assert_int_equal(wi_conn_await(c, NULL, INT64_MAX, &f), WI_STEP_DONE);
	assert_int_equal(wi_driver_fake.look(c->link), WI_LOOK_CLEAN);
	weir_checkin(&conn);
	assert_int_equal(weir_pool_checkout(pool, 100, &conn, &e), WEIR_TIMEOUT);
	wi_store_rlx(&server.holds_cancel, false);
	assert_int_equal(weir_pool_checkout(pool, 10000, &conn, &e), WEIR_OK);
	assert_int_equal(wi_load_rlx(&server.cancels), 1);
	assert_int_equal(query("SELECT 1"), WEIR_OK);
}

/* ---- batches ---- */

static weir_status batch(const char *a, const char *b, PGresult *results[2])
{
	const weir_statement s[] = {WEIR_STATEMENT(.sql = a), WEIR_STATEMENT(.sql = b)};

	return weir_batch(conn, s, 2, results, 10000, &e);
}

static void a_batch_is_all_or_nothing(void **state)
{
	PGresult *results[2];

	(void)state;
	assert_int_equal(batch("SELECT 1", "SELECT 2", results), WEIR_OK);
	assert_string_equal(PQgetvalue(results[1], 0, 0), "SELECT 2");
	PQclear(results[0]);
	PQclear(results[1]);
	assert_int_equal(batch("SELECT 1", "FAIL 23505", results), WEIR_QUERY);
	assert_string_equal(e.text, "statements[1]: as scripted");
	assert_null(results[0]);
	assert_non_null(results[1]);
	PQclear(results[1]);
	assert_int_equal(wi_driver_fake.look(wi_conn_of(conn)->link), WI_LOOK_CLEAN);
	assert_int_equal(batch("SELECT 1", "SAVEPOINT a", results), WEIR_INVALID);
	assert_int_equal(batch("SELECT 1", "/* */ COMMIT", results), WEIR_INVALID);
	/* An empty statement before it is none, and white space is more than blanks. */
	assert_int_equal(batch("SELECT 1", " ;; COMMIT", results), WEIR_INVALID);
	assert_int_equal(batch("SELECT 1", "\fCOMMIT", results), WEIR_INVALID);
	assert_int_equal(batch("SELECT 1", "COMMIT\fWORK", results), WEIR_INVALID);
	assert_int_equal(batch("SELECT 1", "PREPARE\n TRANSACTION 'a'", results), WEIR_INVALID);
	assert_int_equal(batch("SELECT 1", "PREPARE/**/TRANSACTION 'a'", results), WEIR_INVALID);
	assert_int_equal(batch("SELECT 1", NULL, results), WEIR_INVALID);
	assert_non_null(strstr(e.text, "statements[1]"));
	assert_int_equal(weir_batch(conn, NULL, 0, NULL, 0, &e), WEIR_OK);
	assert_int_equal(weir_batch(conn, NULL, 1, results, 0, &e), WEIR_INVALID);
	assert_int_equal(batch("SELECT 1", "INSERT LOSE", results), WEIR_OUTCOME_UNKNOWN);
	assert_null(results[0]);
	assert_null(results[1]);
}

static void a_batch_with_a_stale_plan_is_sent_again(void **state)
{
	PGresult *results[2];

	(void)state;
	for (int i = 0; i < 3; i++) {
		wi_store_rlx(&server.stale_plans, i == 2);
		assert_int_equal(batch("INSERT", "SELECT 2", results), WEIR_OK);
		assert_non_null(results[0]);
		PQclear(results[0]);
		PQclear(results[1]);
	}
	assert_int_equal(wi_load_rlx(&server.stale_plans), 0);
}

/* Whatever memory cannot be had, nothing is lost and the next call is as ever. */
static void want_of_memory_is_told(void **state)
{
	PGresult *results[2];
	weir_status st = WEIR_NO_MEMORY;

	(void)state;
	for (int i = 1; st != WEIR_OK && i < 50; i++) {
		wi_alloc_fail_at(i);
		st = batch("SELECT 1", "SELECT 2", results);
		wi_alloc_fail_at(0);
		PQclear(results[0]);
		PQclear(results[1]);
		assert_true(st == WEIR_OK || st == WEIR_NO_MEMORY || st == WEIR_CONNECT);
		weir_checkin(&conn);
		assert_int_equal(weir_pool_checkout(pool, 10000, &conn, &e), WEIR_OK);
	}
	assert_int_equal(st, WEIR_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_result_is_the_callers),
		TEST(an_error_has_its_result_too),
		TEST(losses_are_judged_by_what_may_have_been_committed),
		TEST(misuse_is_refused),
		TEST(a_pools_query_gives_back_on_every_path),
		TEST(one_deadline_covers_checkout_and_statement),
		TEST(what_comes_again_is_prepared),
		TEST(what_is_stale_is_prepared_anew),
		TEST(nothing_is_sent_when_its_time_is_over),
		TEST(behind_a_pooler_nothing_is_prepared),
		TEST(the_connection_of_who_gives_up_is_kept),
		TEST(a_late_cancel_hits_nobody),
		TEST(a_batch_is_all_or_nothing),
		TEST(a_batch_with_a_stale_plan_is_sent_again),
		TEST(want_of_memory_is_told),
	};

	test_watchdog(100, "the query helpers of a pool");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How statements end on a real PostgreSQL: by their own errors, by the end of their session, by
 * deadlines that the server keeps; and batches, of which all is done or nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/weir.h>

#include "support/taken.h"
#include "support/watchdog.h"

#define NAMES "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'weir\\_%'"

/* ---- ends ---- */

static void an_error_at_the_implicit_commit_is_the_statements(void **state)
{
	(void)state;
	assert_int_equal(taken_run("INSERT INTO u VALUES (99)"), WEIR_QUERY);
	assert_string_equal(taken.e.sqlstate, "23503");
	assert_string_equal(PQresultErrorField(taken.rows, PG_DIAG_TABLE_NAME), "u");
	assert_string_equal(taken_value("SELECT count(*) FROM u"), "0");
}

static void a_killed_session_says_by_whom(void **state)
{
	(void)state;
	assert_int_equal(taken_run("SELECT pg_terminate_backend(pg_backend_pid())"),
	                 WEIR_OUTCOME_UNKNOWN);
	assert_string_equal(taken.e.sqlstate, "57P01");
	assert_null(taken.rows);
	weir_checkin(&taken.conn);
	assert_int_equal(weir_pool_query(taken.pool, "SELECT 1", 0, NULL, &taken.rows, &taken.e),
	                 WEIR_OK);
}

static void a_killed_session_in_a_transaction_has_committed_nothing(void **state)
{
	(void)state;
	taken_run_well("BEGIN");
	assert_int_equal(taken_run("SELECT pg_terminate_backend(pg_backend_pid())"), WEIR_CONNECT);
	assert_string_equal(taken.e.sqlstate, "57P01");
}

/* ---- deadlines ---- */

/* Longer and longer, as a slow machine may be late with the server's word. */
static void until_the_server_ends_it(const char *before)
{
	for (int64_t ms = 500;; ms *= 2) {
		taken_run_well(before);
		assert_int_not_equal(taken_run_within("SELECT pg_sleep(300)", ms), WEIR_OK);
		if (strcmp(taken.e.sqlstate, "57014") == 0)
			break;
		assert_true(ms < PATIENCE_MS);
		taken_pass_on();
	}
	assert_int_equal(taken.e.status, WEIR_TIMEOUT);
	assert_string_equal(PQresultErrorField(taken.rows, PG_DIAG_SQLSTATE), "57014");
}

static void the_server_ends_what_is_over_time(void **state)
{
	(void)state;
	until_the_server_ends_it("SELECT 1");
	assert_string_equal(taken_value("SHOW statement_timeout"), "30s");
	taken_pass_on(); /* as good as ever, and not reset */
}

static void a_shorter_limit_is_not_the_callers(void **state)
{
	(void)state;
	taken_run_well("SET statement_timeout = 500");
	assert_int_equal(taken_run_within("SELECT pg_sleep(300)", 20000), WEIR_QUERY);
	assert_string_equal(taken.e.sqlstate, "57014");
}

/* What the statement itself sets, stays. */
static void a_limit_that_the_statement_sets_is_kept(void **state)
{
	(void)state;
	taken_run_well("BEGIN");
	assert_int_equal(
		taken_run_within("SELECT set_config('statement_timeout', '7s', true)", 20000),
		WEIR_OK);
	assert_string_equal(taken_value("SELECT current_setting('statement_timeout')"), "7s");
	assert_int_equal(taken_run_within("SELECT 1", 5000), WEIR_OK);
	assert_string_equal(taken_value("SELECT current_setting('statement_timeout')"), "7s");
	taken_run_well("COMMIT");
}

static void a_deadline_is_set_for_its_statement_alone(void **state)
{
	const char *sql = "SELECT current_setting('statement_timeout')";

	(void)state;
	assert_int_equal(taken_run_within(sql, 20000), WEIR_OK);
	assert_string_not_equal(PQgetvalue(taken.rows, 0, 0), "30s");
	assert_true(atoi(PQgetvalue(taken.rows, 0, 0)) <= 18000);
	assert_string_equal(taken_value("SHOW statement_timeout"), "30s");
	assert_int_equal(taken_run_within(sql, 29999999), WEIR_OK);
	assert_string_equal(PQgetvalue(taken.rows, 0, 0), "30s");
	/* In a transaction it is put back, and a shorter one of the user's stands. */
	taken_run_well("BEGIN");
	taken_run_well("SET LOCAL statement_timeout = '25s'");
	assert_int_equal(taken_run_within(sql, 20000), WEIR_OK);
	assert_true(atoi(PQgetvalue(taken.rows, 0, 0)) <= 18000);
	assert_string_equal(taken_value("SHOW statement_timeout"), "25s");
	taken_run_well("SET LOCAL statement_timeout = '3s'");
	assert_int_equal(taken_run_within(sql, 20000), WEIR_OK);
	assert_string_equal(PQgetvalue(taken.rows, 0, 0), "3s");
	assert_string_equal(taken_value("SHOW statement_timeout"), "3s");
	taken_run_well("COMMIT");
	assert_string_equal(taken_value("SHOW statement_timeout"), "30s");
}

static void over_time_in_a_transaction_it_has_failed(void **state)
{
	(void)state;
	until_the_server_ends_it("BEGIN");
	assert_int_equal(taken_run("SELECT 1"), WEIR_QUERY);
	assert_string_equal(taken.e.sqlstate, "25P02");
	taken_run_well("ROLLBACK");
	taken_value("SELECT 1");
}

/*
 * Not told of the time, as it is no plain statement: the caller gives up, the connection is kept.
 */
static void who_gives_up_loses_no_connection(void **state)
{
	weir_pool_stats s;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(taken_run_within("DO $$ BEGIN PERFORM pg_sleep(300); END $$", 200),
		                 WEIR_OUTCOME_UNKNOWN);
		assert_null(taken.rows);
		assert_int_equal(taken_run("SELECT 1"), WEIR_INVALID);
		taken_pass_on();
		taken_value("SELECT 1");
	}
	weir_pool_stats_get(taken.pool, &s);
	assert_int_equal(s.opened, 1);
	assert_true(s.cancels >= 3);
}

/* ---- batches ---- */

static weir_status batch(const char *a, const char *b, const char *c, PGresult *results[3])
{
	const weir_statement s[] = {WEIR_STATEMENT(.sql = a), WEIR_STATEMENT(.sql = b),
	                            WEIR_STATEMENT(.sql = c)};

	return weir_batch(taken.conn, s, 3, results, PATIENCE_MS, &taken.e);
}

static void clear(PGresult *results[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		PQclear(results[i]);
}

static void a_batch_is_one_transaction(void **state)
{
	PGresult *results[3];

	(void)state;
	assert_int_equal(batch("INSERT INTO t VALUES (2)", "SELECT count(*) FROM t",
	                       "DELETE FROM t WHERE n = 1", results),
	                 WEIR_OK);
	assert_string_equal(PQcmdTuples(results[0]), "1");
	assert_string_equal(PQgetvalue(results[1], 0, 0), "2");
	clear(results, 3);
	assert_string_equal(taken_value("SELECT count(*) FROM t"), "1");
	assert_int_equal(PQtransactionStatus(weir_pg(taken.conn)), PQTRANS_IDLE);
	taken_pass_on();
}

static void a_batch_that_fails_has_done_nothing(void **state)
{
	PGresult *results[3];

	(void)state;
	assert_int_equal(batch("INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (3)",
	                       "INSERT INTO t VALUES (1)", results),
	                 WEIR_QUERY);
	assert_string_equal(taken.e.sqlstate, "23505");
	assert_non_null(strstr(taken.e.text, "statements[2]: "));
	assert_null(results[0]);
	assert_null(results[1]);
	assert_string_equal(PQresultErrorField(results[2], PG_DIAG_SQLSTATE), "23505");
	clear(results, 3);
	assert_string_equal(taken_value("SELECT count(*) FROM t"), "1");
	/* At its COMMIT, and what may not be in a transaction. */
	assert_int_equal(
		batch("INSERT INTO t VALUES (2)", "INSERT INTO u VALUES (99)", "SELECT 1", results),
		WEIR_QUERY);
	assert_string_equal(taken.e.sqlstate, "23503");
	assert_non_null(strstr(taken.e.text, "COMMIT: "));
	clear(results, 3);
	assert_int_equal(batch("INSERT INTO t VALUES (2)", "VACUUM t", "SELECT 1", results),
	                 WEIR_QUERY);
	assert_string_equal(taken.e.sqlstate, "25001");
	clear(results, 3);
	assert_string_equal(taken_value("SELECT count(*) FROM t"), "1");
	assert_int_equal(batch("SELECT 1", "COMMIT", "SELECT 1", results), WEIR_INVALID);
	assert_non_null(strstr(taken.e.text, "statements[1]"));
	assert_int_equal(PQtransactionStatus(weir_pg(taken.conn)), PQTRANS_IDLE);
}

/* What a pipeline's implicit transaction would allow. */
static void nothing_commits_in_the_middle_of_a_batch(void **state)
{
	PGresult *results[3];

	(void)state;
	taken_from_outside("CREATE OR REPLACE PROCEDURE halfway() LANGUAGE plpgsql AS "
	                   "$$ BEGIN COMMIT; END $$");
	assert_int_equal(batch("INSERT INTO t VALUES (2)", "CALL halfway()", "SELECT 1", results),
	                 WEIR_QUERY);
	assert_string_equal(taken.e.sqlstate, "2D000");
	clear(results, 3);
	assert_int_equal(batch("VACUUM t", "SELECT 1", "SELECT 1", results), WEIR_QUERY);
	assert_string_equal(taken.e.sqlstate, "25001");
	clear(results, 3);
	assert_string_equal(taken_value("SELECT count(*) FROM t"), "1");
}

static void a_batch_in_a_transaction_is_part_of_it(void **state)
{
	PGresult *results[3];

	(void)state;
	taken_run_well("BEGIN");
	assert_int_equal(batch("INSERT INTO t VALUES (2)", "SELECT 1", "SELECT 2", results),
	                 WEIR_OK);
	clear(results, 3);
	assert_int_equal(PQtransactionStatus(weir_pg(taken.conn)), PQTRANS_INTRANS);
	taken_run_well("ROLLBACK");
	assert_string_equal(taken_value("SELECT count(*) FROM t"), "1");
	taken_run_well("BEGIN");
	assert_int_equal(batch("SELECT 1", "SELECT 1/0", "SELECT 2", results), WEIR_QUERY);
	assert_non_null(strstr(taken.e.text, "statements[1]: "));
	clear(results, 3);
	assert_int_equal(PQtransactionStatus(weir_pg(taken.conn)), PQTRANS_INERROR);
	taken_run_well("ROLLBACK");
}

/* The limit is undone in it, so that the caller gives up: it is read out, and put right. */
static void who_gives_up_a_batch_loses_no_connection(void **state)
{
	const weir_statement s[] = {
		WEIR_STATEMENT(.sql = "SELECT 1", .prepare = WEIR_PREPARE_AT_ONCE),
		WEIR_STATEMENT(.sql = "SET LOCAL statement_timeout = 0"),
		WEIR_STATEMENT(.sql = "SELECT pg_sleep(300)"), WEIR_STATEMENT(.sql = "SELECT 1")};
	PGresult *results[4];

	(void)state;
	assert_int_equal(weir_batch(taken.conn, s, 4, results, 2000, &taken.e),
	                 WEIR_OUTCOME_UNKNOWN);
	for (int i = 0; i < 4; i++)
		assert_null(results[i]);
	taken_pass_on();
	assert_int_equal(taken_by_libpq(NAMES), 0);
	taken_value("SELECT 1");
	/* Until the server's word, and what comes behind it, is there in time. */
	for (int64_t ms = 500; strcmp(taken.e.sqlstate, "57014") != 0 ||
	                       PQtransactionStatus(weir_pg(taken.conn)) != PQTRANS_IDLE;
	     ms *= 2) {
		assert_true(ms < PATIENCE_MS);
		clear(results, 2);
		taken_pass_on();
		assert_int_not_equal(weir_batch(taken.conn, s + 2, 2, results, ms, &taken.e),
		                     WEIR_OK);
	}
	assert_int_equal(taken.e.status, WEIR_TIMEOUT);
	assert_non_null(strstr(taken.e.text, "statements[0]: "));
	clear(results, 2);
}

#define MANY 2000

static void a_large_batch_prepares_its_statement_once(void **state)
{
	static weir_statement s[MANY];
	static char numbers[MANY][16];
	static const char *values[MANY];
	static PGresult *results[MANY];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(numbers[i], sizeof(numbers[i]), "%d", i + 10);
		values[i] = numbers[i];
		s[i] = WEIR_STATEMENT(.sql = "INSERT INTO t VALUES ($1) RETURNING n, repeat('x', "
		                             "1000)",
		                      .n_params = 1, .values = &values[i]);
	}
	assert_int_equal(weir_batch(taken.conn, s, MANY, results, PATIENCE_MS, &taken.e), WEIR_OK);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(atoi(PQgetvalue(results[i], 0, 0)), i + 10);
	clear(results, MANY);
	assert_int_equal(taken_by_libpq(NAMES), 1);
	assert_int_equal(taken_by_libpq("SELECT count(*) FROM t"), MANY + 1);
}

static void a_batch_over_a_changed_table(void **state)
{
	PGresult *results[3];

	(void)state;
	taken_run_well("SELECT * FROM t");
	taken_run_well("SELECT * FROM t");
	taken_from_outside("ALTER TABLE t ADD COLUMN more text");
	assert_int_equal(batch("INSERT INTO t VALUES (2)", "SELECT * FROM t", "SELECT 1", results),
	                 WEIR_OK);
	assert_int_equal(PQnfields(results[1]), 2);
	assert_int_equal(PQntuples(results[1]), 2);
	clear(results, 3);
}

/* Also with a deadline for the server to keep, which is set by a question. */
static void a_batch_may_begin_with_how_it_is_isolated(void **state)
{
	const weir_statement s[] = {
		WEIR_STATEMENT(.sql = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
		WEIR_STATEMENT(.sql = "SHOW transaction_isolation")};
	PGresult *results[2];

	(void)state;
	assert_int_equal(weir_batch(taken.conn, s, 2, results, 20000, &taken.e), WEIR_OK);
	assert_string_equal(PQgetvalue(results[1], 0, 0), "serializable");
	clear(results, 2);
}

/* It does away with what it relies on: where that can be seen, nothing is relied on. */
static void a_batch_that_drops_what_is_prepared(void **state)
{
	PGresult *results[3];

	(void)state;
	for (int i = 0; i < 8; i++) {
		if (i >= 4)
			taken_run_well("BEGIN");
		if (batch("SELECT 1", i % 2 ? "DEALLOCATE ALL" : "ALTER TABLE t ADD more int",
		          "SELECT 1", results) != WEIR_OK)
			fail_msg("%d: %s %s", i, taken.e.sqlstate, taken.e.text);
		clear(results, 3);
		if (batch("SELECT * FROM t", i % 2 ? "DEALLOCATE ALL" : "ALTER TABLE t DROP more",
		          "SELECT * FROM t", results) != WEIR_OK)
			fail_msg("%d: %s %s", i, taken.e.sqlstate, taken.e.text);
		clear(results, 3);
		if (i >= 4)
			taken_run_well("COMMIT");
	}
}

/* Where it cannot be seen, it is told once to try again, and then what it is. */
static void a_function_that_drops_what_is_prepared(void **state)
{
	PGresult *results[3];
	weir_status st[6];

	(void)state;
	taken_from_outside("CREATE OR REPLACE FUNCTION forget() RETURNS void LANGUAGE plpgsql AS "
	                   "$$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$");
	taken_value("SELECT 1");
	taken_value("SELECT 1");
	for (int i = 0; i < 6; i++) {
		if (i % 2)
			taken_run_well("BEGIN");
		st[i] = batch("SELECT 1", "SELECT forget()", "SELECT 1", results);
		assert_string_equal(taken.e.sqlstate, "26000");
		clear(results, 3);
		if (i % 2)
			taken_run_well("ROLLBACK");
		assert_true(st[i] == WEIR_QUERY || (st[i] == WEIR_RETRY && i == 1));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, taken_set_up, taken_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_error_at_the_implicit_commit_is_the_statements),
		TEST(a_killed_session_says_by_whom),
		TEST(a_killed_session_in_a_transaction_has_committed_nothing),
		TEST(the_server_ends_what_is_over_time),
		TEST(a_shorter_limit_is_not_the_callers),
		TEST(a_limit_that_the_statement_sets_is_kept),
		TEST(a_deadline_is_set_for_its_statement_alone),
		TEST(over_time_in_a_transaction_it_has_failed),
		TEST(who_gives_up_loses_no_connection),
		TEST(a_batch_is_one_transaction),
		TEST(a_batch_that_fails_has_done_nothing),
		TEST(nothing_commits_in_the_middle_of_a_batch),
		TEST(a_batch_in_a_transaction_is_part_of_it),
		TEST(who_gives_up_a_batch_loses_no_connection),
		TEST(a_large_batch_prepares_its_statement_once),
		TEST(a_batch_over_a_changed_table),
		TEST(a_batch_may_begin_with_how_it_is_isolated),
		TEST(a_batch_that_drops_what_is_prepared),
		TEST(a_function_that_drops_what_is_prepared),
	};

	test_watchdog(250, "the ends of queries on a server");
	return cmocka_run_group_tests_name("pg.query_ends", tests, taken_start, taken_finish);
}

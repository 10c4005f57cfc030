/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The query helpers on a real PostgreSQL: values of every type out of results, and what is prepared
 * and what becomes of it.
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

/* ---- values ---- */

static const char *const every_type =
	"SELECT 7::int2 AS small, -7::int4 AS int, 9000000000::int8 AS big, 4000000000::oid AS oid,"
	" 1.5::float4 AS real, -2.25::float8 AS double, true AS yes, 'word'::text AS word,"
	" 'v'::varchar AS v, '{\"a\": 1}'::jsonb AS json, '\\x00ff'::bytea AS bytes,"
	" '2001-09-09 01:46:40.5+00'::timestamptz AS at, '2000-01-01'::date AS day,"
	" 'infinity'::timestamptz AS never, NULL::int4 AS nothing";

static void take_every_type(void)
{
	const char *text;
	char bytes[2];
	int64_t n;
	double d;
	bool b;
	size_t length;

	assert_int_equal(weir_row_int64(taken.rows, 0, "small", &n, NULL, &taken.e), WEIR_OK);
	assert_int_equal(n, 7);
	assert_int_equal(weir_row_int64(taken.rows, 0, "int", &n, NULL, &taken.e), WEIR_OK);
	assert_int_equal(n, -7);
	assert_int_equal(weir_row_int64(taken.rows, 0, "big", &n, NULL, &taken.e), WEIR_OK);
	assert_true(n == INT64_C(9000000000));
	assert_int_equal(weir_row_int64(taken.rows, 0, "oid", &n, NULL, &taken.e), WEIR_OK);
	assert_true(n == INT64_C(4000000000));
	assert_int_equal(weir_row_double(taken.rows, 0, "real", &d, NULL, &taken.e), WEIR_OK);
	assert_true(d == 1.5);
	assert_int_equal(weir_row_double(taken.rows, 0, "double", &d, NULL, &taken.e), WEIR_OK);
	assert_true(d == -2.25);
	assert_int_equal(weir_row_bool(taken.rows, 0, "yes", &b, NULL, &taken.e), WEIR_OK);
	assert_true(b);
	assert_int_equal(weir_row_text(taken.rows, 0, "word", &text, NULL, NULL, &taken.e),
	                 WEIR_OK);
	assert_string_equal(text, "word");
	assert_int_equal(weir_row_text(taken.rows, 0, "v", &text, NULL, NULL, &taken.e), WEIR_OK);
	assert_string_equal(text, "v");
	assert_int_equal(weir_row_text(taken.rows, 0, "json", &text, NULL, NULL, &taken.e),
	                 WEIR_OK);
	assert_string_equal(text, "{\"a\": 1}");
	assert_int_equal(weir_row_bytea(taken.rows, 0, "bytes", bytes, 2, &length, NULL, &taken.e),
	                 WEIR_OK);
	assert_memory_equal(bytes, "\0\377", 2);
	assert_int_equal(weir_row_time(taken.rows, 0, "at", &n, NULL, &taken.e), WEIR_OK);
	assert_true(n == INT64_C(1000000000500000));
	assert_int_equal(weir_row_time(taken.rows, 0, "day", &n, NULL, &taken.e), WEIR_OK);
	assert_true(n == INT64_C(946684800000000));
	assert_int_equal(weir_row_time(taken.rows, 0, "never", &n, NULL, &taken.e), WEIR_OK);
	assert_true(n == INT64_MAX);
	assert_int_equal(weir_row_int64(taken.rows, 0, "nothing", &n, &b, &taken.e), WEIR_OK);
	assert_true(b);
}

static void values_of_every_type_in_both_formats(void **state)
{
	weir_statement s = WEIR_STATEMENT(.sql = every_type);

	(void)state;
	for (int i = 0; i < 4; i++) { /* plainly, prepared, and by name */
		s.result_format = i % 2;
		PQclear(taken.rows);
		assert_int_equal(weir_conn_query(taken.conn, &s, &taken.rows, &taken.e), WEIR_OK);
		take_every_type();
	}
	taken_run_well("SET bytea_output = 'escape'");
	taken_run_well(every_type);
	take_every_type();
}

static void parameters_in_both_formats(void **state)
{
	const unsigned types[] = {23, 0};
	const char four[] = {0, 0, 0, 4};
	const char *const values[] = {four, "abc"};
	const int lengths[] = {4, 0}, formats[] = {1, 0};
	const weir_statement s =
		WEIR_STATEMENT(.sql = "SELECT repeat($2, $1)", .n_params = 2, .types = types,
	                       .values = values, .lengths = lengths, .formats = formats);

	(void)state;
	for (int i = 0; i < 3; i++) {
		PQclear(taken.rows);
		assert_int_equal(weir_conn_query(taken.conn, &s, &taken.rows, &taken.e), WEIR_OK);
		assert_string_equal(PQgetvalue(taken.rows, 0, 0), "abcabcabcabc");
	}
}

/* ---- what is prepared ---- */

static void a_statement_is_prepared_the_second_time_and_stays(void **state)
{
	(void)state;
	taken_value("SELECT 1");
	assert_int_equal(taken_by_libpq(NAMES), 0);
	taken_value("SELECT 1");
	assert_int_equal(taken_by_libpq(NAMES), 1);
	/* It is no dirt: there is no reset, and it is there for who comes next. */
	taken_pass_on();
	assert_int_equal(taken_by_libpq(NAMES), 1);
	taken_value("SELECT 1");
	assert_int_equal(taken_by_libpq(NAMES), 1);
	assert_int_equal(
		taken_by_libpq("SELECT generic_plans + custom_plans FROM pg_prepared_statements "
	                       "WHERE statement = 'SELECT 1'"),
		2);
}

static void what_does_not_only_work_on_rows_is_not_prepared(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		taken_value("SHOW TimeZone");
	assert_int_equal(taken_by_libpq(NAMES), 0);
}

static void a_reset_drops_all_and_nobody_notices(void **state)
{
	static const char *const drops[] = {"DISCARD ALL", "DEALLOCATE ALL",
	                                    "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"};

	(void)state;
	taken_value("SELECT 1");
	taken_value("SELECT 1");
	taken_run_well("SET TimeZone = 'Asia/Tokyo'"); /* which costs a DISCARD ALL */
	taken_pass_on();
	assert_int_equal(taken_by_libpq(NAMES), 0);
	taken_value("SELECT 1");
	assert_int_equal(taken_by_libpq(NAMES), 1);
	for (size_t i = 0; i < sizeof(drops) / sizeof(drops[0]); i++) {
		taken_by_libpq(drops[i]);
		assert_int_equal(taken_by_libpq(NAMES), 0);
		taken_value("SELECT 1");
		assert_int_equal(taken_by_libpq(NAMES), 1);
	}
}

static void what_was_dropped_unheard_fails_a_transaction_with_retry(void **state)
{
	(void)state;
	taken_value("SELECT 1");
	taken_value("SELECT 1");
	taken_by_libpq("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$");
	taken_run_well("BEGIN");
	assert_int_equal(taken_run("SELECT 1"), WEIR_RETRY);
	assert_string_equal(taken.e.sqlstate, "26000");
	taken_run_well("ROLLBACK");
	taken_run_well("BEGIN");
	taken_value("SELECT 1");
	taken_run_well("COMMIT");
}

static void a_changed_table_is_read_as_it_is(void **state)
{
	(void)state;
	taken_run_well("SELECT * FROM t");
	taken_run_well("SELECT * FROM t");
	taken_from_outside("ALTER TABLE t ADD COLUMN more text");
	taken_run_well("SELECT * FROM t");
	assert_int_equal(PQnfields(taken.rows), 2);
	taken_from_outside("ALTER TABLE t DROP COLUMN more");
	taken_run_well("BEGIN");
	assert_int_equal(taken_run("SELECT * FROM t"), WEIR_RETRY);
	assert_string_equal(taken.e.sqlstate, "0A000");
	taken_run_well("ROLLBACK");
	taken_run_well("BEGIN");
	taken_run_well("SELECT * FROM t");
	assert_int_equal(PQnfields(taken.rows), 1);
	taken_run_well("COMMIT");
	/* It was seen to at once: no reset, which would drop the rest. */
	taken_value("SELECT 1");
	taken_value("SELECT 1");
	taken_pass_on();
	assert_int_equal(
		taken_by_libpq("SELECT count(*) FROM pg_prepared_statements WHERE statement = "
	                       "'SELECT 1'"),
		1);
	assert_int_equal(
		taken_by_libpq("SELECT count(*) FROM pg_prepared_statements WHERE statement = "
	                       "'SELECT * FROM t'"),
		1);
}

/* A statement with one parameter, whose type the server is to infer. */
static weir_status give(const char *sql, const char *one)
{
	const weir_statement s = WEIR_STATEMENT(.sql = sql, .n_params = 1, .values = &one,
	                                        .timeout_ms = PATIENCE_MS);

	PQclear(taken.rows);
	return weir_conn_query(taken.conn, &s, &taken.rows, &taken.e);
}

/* What was inferred when it was prepared holds for as long as that is kept. */
static void a_column_of_another_type_takes_what_it_can_take(void **state)
{
	const char *insert = "INSERT INTO v VALUES ($1)", *find = "SELECT 1 FROM v WHERE n = $1";

	(void)state;
	taken_from_outside("DROP TABLE IF EXISTS v; CREATE TABLE v (n int)");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(give(insert, "1"), WEIR_OK);
		assert_int_equal(give(find, "1"), WEIR_OK);
	}
	taken_from_outside("ALTER TABLE v ALTER n TYPE bigint");
	assert_int_equal(give(insert, "9000000000"), WEIR_OK);
	assert_int_equal(give(find, "9000000000"), WEIR_OK);
	taken_from_outside("ALTER TABLE v ALTER n TYPE text");
	assert_int_equal(give(find, "1"), WEIR_OK);
	assert_int_equal(PQntuples(taken.rows), 2);
	assert_int_equal(give(insert, "a"), WEIR_OK);
	/* What is wrong with either is told, with what the server said. */
	taken_from_outside("ALTER TABLE v ALTER n TYPE int USING 1");
	assert_int_equal(give(insert, "word"), WEIR_QUERY);
	assert_string_equal(taken.e.sqlstate, "22P02");
	assert_string_equal(PQresultErrorField(taken.rows, PG_DIAG_SQLSTATE), "22P02");
}

/* In a transaction that has failed of it, nothing can be mended but for the next one. */
static void a_column_of_another_type_fails_one_transaction(void **state)
{
	const char *insert = "INSERT INTO v VALUES ($1)";

	(void)state;
	taken_from_outside("DROP TABLE IF EXISTS v; CREATE TABLE v (n int)");
	for (int i = 0; i < 2; i++)
		assert_int_equal(give(insert, "1"), WEIR_OK);
	taken_from_outside("ALTER TABLE v ALTER n TYPE bigint");
	taken_run_well("BEGIN");
	assert_int_equal(give(insert, "9000000000"), WEIR_QUERY);
	assert_string_equal(taken.e.sqlstate, "22003");
	taken_run_well("ROLLBACK");
	taken_run_well("BEGIN");
	assert_int_equal(give(insert, "9000000000"), WEIR_OK);
	taken_run_well("COMMIT");
}

/* An 0A000 of the statement's own is told, and the statement is not run twice. */
static void an_error_of_the_statements_own_is_told(void **state)
{
	(void)state;
	taken_run_well("CREATE TEMPORARY SEQUENCE runs");
	taken_run_well("CREATE OR REPLACE FUNCTION pg_temp.no() RETURNS int LANGUAGE plpgsql AS "
	               "$$ BEGIN PERFORM nextval('runs'); RAISE feature_not_supported; END $$");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(taken_run("SELECT pg_temp.no()"), WEIR_QUERY);
		assert_string_equal(taken.e.sqlstate, "0A000");
	}
	assert_string_equal(taken_value("SELECT last_value FROM runs"), "3");
	/* Nor is every unknown name one of weir's. */
	taken_run_well(
		"CREATE OR REPLACE FUNCTION pg_temp.no() RETURNS int LANGUAGE plpgsql AS "
		"$$ BEGIN PERFORM nextval('runs'); EXECUTE 'EXECUTE theirs'; RETURN 1; END $$");
	for (int i = 0; i < 3; i++) {
		taken_run_well("BEGIN");
		assert_int_equal(taken_run("SELECT pg_temp.no()"), WEIR_QUERY);
		assert_string_equal(taken.e.sqlstate, "26000");
		taken_run_well("ROLLBACK");
	}
	assert_string_equal(taken_value("SELECT last_value FROM runs"), "6");
}

static int set_up_few(void **state)
{
	weir_options_init(&taken.o);
	taken.o.pool_min = 0;
	taken.o.prepared_statements = 2;
	return taken_open(state);
}

static void the_last_used_ones_are_kept(void **state)
{
	static const char *const texts[] = {"SELECT 1", "SELECT 2", "SELECT 3"};

	(void)state;
	for (int i = 0; i < 30; i++) {
		weir_statement s =
			WEIR_STATEMENT(.sql = texts[i % 3], .prepare = WEIR_PREPARE_AT_ONCE);

		PQclear(taken.rows);
		assert_int_equal(weir_conn_query(taken.conn, &s, &taken.rows, &taken.e), WEIR_OK);
		assert_int_equal(atoi(PQgetvalue(taken.rows, 0, 0)), i % 3 + 1);
		assert_true(taken_by_libpq(NAMES) <= 2);
	}
	assert_int_equal(taken_by_libpq(NAMES), 2);
	taken_pass_on();
	assert_int_equal(taken_by_libpq(NAMES), 2);
}

static void a_text_that_cannot_be_parsed_leaves_nothing(void **state)
{
	weir_statement s = WEIR_STATEMENT(.sql = "SELECT nothing_like_it", .prepare = 1);

	(void)state;
	for (int i = 0; i < 3; i++) {
		PQclear(taken.rows);
		assert_int_equal(weir_conn_query(taken.conn, &s, &taken.rows, &taken.e),
		                 WEIR_QUERY);
		assert_string_equal(taken.e.sqlstate, "42703");
		assert_string_equal(PQresultErrorField(taken.rows, PG_DIAG_SQLSTATE), "42703");
	}
	assert_int_equal(taken_by_libpq(NAMES), 0);
}

static void one_call_from_checkout_to_checkin(void **state)
{
	const char *const values[] = {"1"};
	weir_pool_stats s;

	(void)state;
	weir_checkin(&taken.conn);
	for (int i = 0; i < 5; i++) {
		PQclear(taken.rows);
		assert_int_equal(weir_pool_query(taken.pool, "SELECT n FROM t WHERE n = $1", 1,
		                                 values, &taken.rows, &taken.e),
		                 WEIR_OK);
		assert_int_equal(PQntuples(taken.rows), 1);
	}
	weir_pool_stats_get(taken.pool, &s);
	assert_int_equal(s.busy, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, taken_set_up, taken_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values_of_every_type_in_both_formats),
		TEST(parameters_in_both_formats),
		TEST(a_statement_is_prepared_the_second_time_and_stays),
		TEST(what_does_not_only_work_on_rows_is_not_prepared),
		TEST(a_reset_drops_all_and_nobody_notices),
		TEST(what_was_dropped_unheard_fails_a_transaction_with_retry),
		TEST(a_changed_table_is_read_as_it_is),
		TEST(a_column_of_another_type_takes_what_it_can_take),
		TEST(a_column_of_another_type_fails_one_transaction),
		TEST(an_error_of_the_statements_own_is_told),
		cmocka_unit_test_setup_teardown(the_last_used_ones_are_kept, set_up_few,
	                                        taken_tear_down),
		TEST(a_text_that_cannot_be_parsed_leaves_nothing),
		TEST(one_call_from_checkout_to_checkin),
	};

	test_watchdog(250, "the query helpers on a server");
	return cmocka_run_group_tests_name("pg.query", tests, taken_start, taken_finish);
}

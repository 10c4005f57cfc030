/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The query helpers on a real PostgreSQL: what is prepared and what becomes of it, deadlines that
 * the server keeps, batches, and values of every type out of results.
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

#include "support/cluster.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define NAMES "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'weir\\_%'"

static struct test_cluster *cluster;
static weir_options o;
static weir_pool *pool;
static weir_conn *conn;
static weir_error e;
static PGresult *rows;

/* Gives it back and takes it again: whatever is to be put right is, and it is the same one. */
static void pass_on(void)
{
	int pid = PQbackendPID(weir_pg(conn));

	weir_checkin(&conn);
	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, &e) != WEIR_OK)
		fail_msg("%s", e.text);
	assert_int_equal(PQbackendPID(weir_pg(conn)), pid);
}

/* One connection, so that it is always the same. */
static int open_pool(void **state)
{
	(void)state;
	memset(&e, 0, sizeof(e));
	o.pool_max = 1;
	if (weir_pool_open(test_cluster_url(cluster), &o, &pool, &e) != WEIR_OK ||
	    weir_pool_checkout(pool, PATIENCE_MS, &conn, &e) != WEIR_OK)
		fail_msg("%s", e.text);
	PQclear(PQexec(weir_pg(conn), "DROP TABLE IF EXISTS t, u; CREATE TABLE t (n int PRIMARY "
	                              "KEY); INSERT INTO t VALUES (1); CREATE TABLE u (t int "
	                              "REFERENCES t DEFERRABLE INITIALLY DEFERRED)"));
	pass_on(); /* what that may have left is over */
	return 0;
}

static int set_up(void **state)
{
	weir_options_init(&o);
	o.pool_min = 0;
	o.cancel_timeout_ms = PATIENCE_MS;
	return open_pool(state);
}

static int tear_down(void **state)
{
	(void)state;
	PQclear(rows);
	rows = NULL;
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	return 0;
}

static weir_status run_within(const char *sql, int64_t timeout_ms)
{
	const weir_statement s = WEIR_STATEMENT(.sql = sql, .timeout_ms = timeout_ms);

	PQclear(rows);
	return weir_conn_query(conn, &s, &rows, &e);
}

static weir_status run(const char *sql)
{
	return run_within(sql, PATIENCE_MS);
}

/* One value of a statement that succeeds. */
static const char *value(const char *sql)
{
	const char *text = "";

	if (run(sql) != WEIR_OK || weir_row_text_at(rows, 0, 0, &text, NULL, NULL, &e) != WEIR_OK)
		fail_msg("%s: %s", sql, e.text);
	return text;
}

/* The same without weir's help, which would count among what is prepared. */
static int by_libpq(const char *sql)
{
	PGresult *r = PQexec(weir_pg(conn), sql);
	int n = PQntuples(r) == 1 ? atoi(PQgetvalue(r, 0, 0)) : -1;

	PQclear(r);
	return n;
}

/* Somebody else does it. */
static void from_outside(const char *sql)
{
	PGconn *pg = PQconnectdb(test_cluster_url(cluster));
	PGresult *r = PQexec(pg, sql);

	assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
	PQclear(r);
	PQfinish(pg);
}

static void run_well(const char *sql)
{
	if (run(sql) != WEIR_OK)
		fail_msg("%s: %s", sql, e.text);
}

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

	assert_int_equal(weir_row_int64(rows, 0, "small", &n, NULL, &e), WEIR_OK);
	assert_int_equal(n, 7);
	assert_int_equal(weir_row_int64(rows, 0, "int", &n, NULL, &e), WEIR_OK);
	assert_int_equal(n, -7);
	assert_int_equal(weir_row_int64(rows, 0, "big", &n, NULL, &e), WEIR_OK);
	assert_true(n == INT64_C(9000000000));
	assert_int_equal(weir_row_int64(rows, 0, "oid", &n, NULL, &e), WEIR_OK);
	assert_true(n == INT64_C(4000000000));
	assert_int_equal(weir_row_double(rows, 0, "real", &d, NULL, &e), WEIR_OK);
	assert_true(d == 1.5);
	assert_int_equal(weir_row_double(rows, 0, "double", &d, NULL, &e), WEIR_OK);
	assert_true(d == -2.25);
	assert_int_equal(weir_row_bool(rows, 0, "yes", &b, NULL, &e), WEIR_OK);
	assert_true(b);
	assert_int_equal(weir_row_text(rows, 0, "word", &text, NULL, NULL, &e), WEIR_OK);
	assert_string_equal(text, "word");
	assert_int_equal(weir_row_text(rows, 0, "v", &text, NULL, NULL, &e), WEIR_OK);
	assert_string_equal(text, "v");
	assert_int_equal(weir_row_text(rows, 0, "json", &text, NULL, NULL, &e), WEIR_OK);
	assert_string_equal(text, "{\"a\": 1}");
	assert_int_equal(weir_row_bytea(rows, 0, "bytes", bytes, 2, &length, NULL, &e), WEIR_OK);
	assert_memory_equal(bytes, "\0\377", 2);
	assert_int_equal(weir_row_time(rows, 0, "at", &n, NULL, &e), WEIR_OK);
	assert_true(n == INT64_C(1000000000500000));
	assert_int_equal(weir_row_time(rows, 0, "day", &n, NULL, &e), WEIR_OK);
	assert_true(n == INT64_C(946684800000000));
	assert_int_equal(weir_row_time(rows, 0, "never", &n, NULL, &e), WEIR_OK);
	assert_true(n == INT64_MAX);
	assert_int_equal(weir_row_int64(rows, 0, "nothing", &n, &b, &e), WEIR_OK);
	assert_true(b);
}

static void values_of_every_type_in_both_formats(void **state)
{
	weir_statement s = WEIR_STATEMENT(.sql = every_type);

	(void)state;
	for (int i = 0; i < 4; i++) { /* plainly, prepared, and by name */
		s.result_format = i % 2;
		PQclear(rows);
		assert_int_equal(weir_conn_query(conn, &s, &rows, &e), WEIR_OK);
		take_every_type();
	}
	run_well("SET bytea_output = 'escape'");
	run_well(every_type);
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
		PQclear(rows);
		assert_int_equal(weir_conn_query(conn, &s, &rows, &e), WEIR_OK);
		assert_string_equal(PQgetvalue(rows, 0, 0), "abcabcabcabc");
	}
}

/* ---- what is prepared ---- */

static void a_statement_is_prepared_the_second_time_and_stays(void **state)
{
	(void)state;
	value("SELECT 1");
	assert_int_equal(by_libpq(NAMES), 0);
	value("SELECT 1");
	assert_int_equal(by_libpq(NAMES), 1);
	/* It is no dirt: there is no reset, and it is there for who comes next. */
	pass_on();
	assert_int_equal(by_libpq(NAMES), 1);
	value("SELECT 1");
	assert_int_equal(by_libpq(NAMES), 1);
	assert_int_equal(by_libpq("SELECT generic_plans + custom_plans FROM pg_prepared_statements "
	                          "WHERE statement = 'SELECT 1'"),
	                 2);
}

static void what_does_not_only_work_on_rows_is_not_prepared(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		value("SHOW TimeZone");
	assert_int_equal(by_libpq(NAMES), 0);
}

static void a_reset_drops_all_and_nobody_notices(void **state)
{
	static const char *const drops[] = {"DISCARD ALL", "DEALLOCATE ALL",
	                                    "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"};

	(void)state;
	value("SELECT 1");
	value("SELECT 1");
	run_well("SET TimeZone = 'Asia/Tokyo'"); /* which costs a DISCARD ALL */
	pass_on();
	assert_int_equal(by_libpq(NAMES), 0);
	value("SELECT 1");
	assert_int_equal(by_libpq(NAMES), 1);
	for (size_t i = 0; i < sizeof(drops) / sizeof(drops[0]); i++) {
		by_libpq(drops[i]);
		assert_int_equal(by_libpq(NAMES), 0);
		value("SELECT 1");
		assert_int_equal(by_libpq(NAMES), 1);
	}
}

static void what_was_dropped_unheard_fails_a_transaction_with_retry(void **state)
{
	(void)state;
	value("SELECT 1");
	value("SELECT 1");
	by_libpq("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$");
	run_well("BEGIN");
	assert_int_equal(run("SELECT 1"), WEIR_RETRY);
	assert_string_equal(e.sqlstate, "26000");
	run_well("ROLLBACK");
	run_well("BEGIN");
	value("SELECT 1");
	run_well("COMMIT");
}

static void a_changed_table_is_read_as_it_is(void **state)
{
	(void)state;
	run_well("SELECT * FROM t");
	run_well("SELECT * FROM t");
	from_outside("ALTER TABLE t ADD COLUMN more text");
	run_well("SELECT * FROM t");
	assert_int_equal(PQnfields(rows), 2);
	from_outside("ALTER TABLE t DROP COLUMN more");
	run_well("BEGIN");
	assert_int_equal(run("SELECT * FROM t"), WEIR_RETRY);
	assert_string_equal(e.sqlstate, "0A000");
	run_well("ROLLBACK");
	run_well("BEGIN");
	run_well("SELECT * FROM t");
	assert_int_equal(PQnfields(rows), 1);
	run_well("COMMIT");
	/* It was seen to at once: no reset, which would drop the rest. */
	value("SELECT 1");
	value("SELECT 1");
	pass_on();
	assert_int_equal(by_libpq("SELECT count(*) FROM pg_prepared_statements WHERE statement = "
	                          "'SELECT 1'"),
	                 1);
	assert_int_equal(by_libpq("SELECT count(*) FROM pg_prepared_statements WHERE statement = "
	                          "'SELECT * FROM t'"),
	                 1);
}

/* An 0A000 of the statement's own is told, and the statement is not run twice. */
/* A statement with one parameter, whose type the server is to infer. */
static weir_status give(const char *sql, const char *one)
{
	const weir_statement s = WEIR_STATEMENT(.sql = sql, .n_params = 1, .values = &one,
	                                        .timeout_ms = PATIENCE_MS);

	PQclear(rows);
	return weir_conn_query(conn, &s, &rows, &e);
}

/* What was inferred when it was prepared holds for as long as that is kept. */
static void a_column_of_another_type_takes_what_it_can_take(void **state)
{
	const char *insert = "INSERT INTO v VALUES ($1)", *find = "SELECT 1 FROM v WHERE n = $1";

	(void)state;
	from_outside("DROP TABLE IF EXISTS v; CREATE TABLE v (n int)");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(give(insert, "1"), WEIR_OK);
		assert_int_equal(give(find, "1"), WEIR_OK);
	}
	from_outside("ALTER TABLE v ALTER n TYPE bigint");
	assert_int_equal(give(insert, "9000000000"), WEIR_OK);
	assert_int_equal(give(find, "9000000000"), WEIR_OK);
	from_outside("ALTER TABLE v ALTER n TYPE text");
	assert_int_equal(give(find, "1"), WEIR_OK);
	assert_int_equal(PQntuples(rows), 2);
	assert_int_equal(give(insert, "a"), WEIR_OK);
	/* What is wrong with either is told, with what the server said. */
	from_outside("ALTER TABLE v ALTER n TYPE int USING 1");
	assert_int_equal(give(insert, "word"), WEIR_QUERY);
	assert_string_equal(e.sqlstate, "22P02");
	assert_string_equal(PQresultErrorField(rows, PG_DIAG_SQLSTATE), "22P02");
}

/* In a transaction that has failed of it, nothing can be mended but for the next one. */
static void a_column_of_another_type_fails_one_transaction(void **state)
{
	const char *insert = "INSERT INTO v VALUES ($1)";

	(void)state;
	from_outside("DROP TABLE IF EXISTS v; CREATE TABLE v (n int)");
	for (int i = 0; i < 2; i++)
		assert_int_equal(give(insert, "1"), WEIR_OK);
	from_outside("ALTER TABLE v ALTER n TYPE bigint");
	run_well("BEGIN");
	assert_int_equal(give(insert, "9000000000"), WEIR_QUERY);
	assert_string_equal(e.sqlstate, "22003");
	run_well("ROLLBACK");
	run_well("BEGIN");
	assert_int_equal(give(insert, "9000000000"), WEIR_OK);
	run_well("COMMIT");
}

static void an_error_of_the_statements_own_is_told(void **state)
{
	(void)state;
	run_well("CREATE TEMPORARY SEQUENCE runs");
	run_well("CREATE OR REPLACE FUNCTION pg_temp.no() RETURNS int LANGUAGE plpgsql AS "
	         "$$ BEGIN PERFORM nextval('runs'); RAISE feature_not_supported; END $$");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(run("SELECT pg_temp.no()"), WEIR_QUERY);
		assert_string_equal(e.sqlstate, "0A000");
	}
	assert_string_equal(value("SELECT last_value FROM runs"), "3");
	/* Nor is every unknown name one of weir's. */
	run_well("CREATE OR REPLACE FUNCTION pg_temp.no() RETURNS int LANGUAGE plpgsql AS "
	         "$$ BEGIN PERFORM nextval('runs'); EXECUTE 'EXECUTE theirs'; RETURN 1; END $$");
	for (int i = 0; i < 3; i++) {
		run_well("BEGIN");
		assert_int_equal(run("SELECT pg_temp.no()"), WEIR_QUERY);
		assert_string_equal(e.sqlstate, "26000");
		run_well("ROLLBACK");
	}
	assert_string_equal(value("SELECT last_value FROM runs"), "6");
}

static int set_up_few(void **state)
{
	weir_options_init(&o);
	o.pool_min = 0;
	o.prepared_statements = 2;
	return open_pool(state);
}

static void the_last_used_ones_are_kept(void **state)
{
	static const char *const texts[] = {"SELECT 1", "SELECT 2", "SELECT 3"};

	(void)state;
	for (int i = 0; i < 30; i++) {
		weir_statement s =
			WEIR_STATEMENT(.sql = texts[i % 3], .prepare = WEIR_PREPARE_AT_ONCE);

		PQclear(rows);
		assert_int_equal(weir_conn_query(conn, &s, &rows, &e), WEIR_OK);
		assert_int_equal(atoi(PQgetvalue(rows, 0, 0)), i % 3 + 1);
		assert_true(by_libpq(NAMES) <= 2);
	}
	assert_int_equal(by_libpq(NAMES), 2);
	pass_on();
	assert_int_equal(by_libpq(NAMES), 2);
}

static void a_text_that_cannot_be_parsed_leaves_nothing(void **state)
{
	weir_statement s = WEIR_STATEMENT(.sql = "SELECT nothing_like_it", .prepare = 1);

	(void)state;
	for (int i = 0; i < 3; i++) {
		PQclear(rows);
		assert_int_equal(weir_conn_query(conn, &s, &rows, &e), WEIR_QUERY);
		assert_string_equal(e.sqlstate, "42703");
		assert_string_equal(PQresultErrorField(rows, PG_DIAG_SQLSTATE), "42703");
	}
	assert_int_equal(by_libpq(NAMES), 0);
}

/* ---- ends ---- */

static void an_error_at_the_implicit_commit_is_the_statements(void **state)
{
	(void)state;
	assert_int_equal(run("INSERT INTO u VALUES (99)"), WEIR_QUERY);
	assert_string_equal(e.sqlstate, "23503");
	assert_string_equal(PQresultErrorField(rows, PG_DIAG_TABLE_NAME), "u");
	assert_string_equal(value("SELECT count(*) FROM u"), "0");
}

static void a_killed_session_says_by_whom(void **state)
{
	(void)state;
	assert_int_equal(run("SELECT pg_terminate_backend(pg_backend_pid())"),
	                 WEIR_OUTCOME_UNKNOWN);
	assert_string_equal(e.sqlstate, "57P01");
	assert_null(rows);
	weir_checkin(&conn);
	assert_int_equal(weir_pool_query(pool, "SELECT 1", 0, NULL, &rows, &e), WEIR_OK);
}

static void a_killed_session_in_a_transaction_has_committed_nothing(void **state)
{
	(void)state;
	run_well("BEGIN");
	assert_int_equal(run("SELECT pg_terminate_backend(pg_backend_pid())"), WEIR_CONNECT);
	assert_string_equal(e.sqlstate, "57P01");
}

/* ---- deadlines ---- */

/* Longer and longer, as a slow machine may be late with the server's word. */
static void until_the_server_ends_it(const char *before)
{
	for (int64_t ms = 500;; ms *= 2) {
		run_well(before);
		assert_int_not_equal(run_within("SELECT pg_sleep(300)", ms), WEIR_OK);
		if (strcmp(e.sqlstate, "57014") == 0)
			break;
		assert_true(ms < PATIENCE_MS);
		pass_on();
	}
	assert_int_equal(e.status, WEIR_TIMEOUT);
	assert_string_equal(PQresultErrorField(rows, PG_DIAG_SQLSTATE), "57014");
}

static void the_server_ends_what_is_over_time(void **state)
{
	(void)state;
	until_the_server_ends_it("SELECT 1");
	assert_string_equal(value("SHOW statement_timeout"), "30s");
	pass_on(); /* as good as ever, and not reset */
}

static void a_shorter_limit_is_not_the_callers(void **state)
{
	(void)state;
	run_well("SET statement_timeout = 500");
	assert_int_equal(run_within("SELECT pg_sleep(300)", 20000), WEIR_QUERY);
	assert_string_equal(e.sqlstate, "57014");
}

/* What the statement itself sets, stays. */
static void a_limit_that_the_statement_sets_is_kept(void **state)
{
	(void)state;
	run_well("BEGIN");
	assert_int_equal(run_within("SELECT set_config('statement_timeout', '7s', true)", 20000),
	                 WEIR_OK);
	assert_string_equal(value("SELECT current_setting('statement_timeout')"), "7s");
	assert_int_equal(run_within("SELECT 1", 5000), WEIR_OK);
	assert_string_equal(value("SELECT current_setting('statement_timeout')"), "7s");
	run_well("COMMIT");
}

static void a_deadline_is_set_for_its_statement_alone(void **state)
{
	const char *sql = "SELECT current_setting('statement_timeout')";

	(void)state;
	assert_int_equal(run_within(sql, 20000), WEIR_OK);
	assert_string_not_equal(PQgetvalue(rows, 0, 0), "30s");
	assert_true(atoi(PQgetvalue(rows, 0, 0)) <= 18000);
	assert_string_equal(value("SHOW statement_timeout"), "30s");
	assert_int_equal(run_within(sql, 29999999), WEIR_OK);
	assert_string_equal(PQgetvalue(rows, 0, 0), "30s");
	/* In a transaction it is put back, and a shorter one of the user's stands. */
	run_well("BEGIN");
	run_well("SET LOCAL statement_timeout = '25s'");
	assert_int_equal(run_within(sql, 20000), WEIR_OK);
	assert_true(atoi(PQgetvalue(rows, 0, 0)) <= 18000);
	assert_string_equal(value("SHOW statement_timeout"), "25s");
	run_well("SET LOCAL statement_timeout = '3s'");
	assert_int_equal(run_within(sql, 20000), WEIR_OK);
	assert_string_equal(PQgetvalue(rows, 0, 0), "3s");
	assert_string_equal(value("SHOW statement_timeout"), "3s");
	run_well("COMMIT");
	assert_string_equal(value("SHOW statement_timeout"), "30s");
}

static void over_time_in_a_transaction_it_has_failed(void **state)
{
	(void)state;
	until_the_server_ends_it("BEGIN");
	assert_int_equal(run("SELECT 1"), WEIR_QUERY);
	assert_string_equal(e.sqlstate, "25P02");
	run_well("ROLLBACK");
	value("SELECT 1");
}

/*
 * Not told of the time, as it is no plain statement: the caller gives up, the connection is kept.
 */
static void who_gives_up_loses_no_connection(void **state)
{
	weir_pool_stats s;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(run_within("DO $$ BEGIN PERFORM pg_sleep(300); END $$", 200),
		                 WEIR_OUTCOME_UNKNOWN);
		assert_null(rows);
		assert_int_equal(run("SELECT 1"), WEIR_INVALID);
		pass_on();
		value("SELECT 1");
	}
	weir_pool_stats_get(pool, &s);
	assert_int_equal(s.opened, 1);
	assert_true(s.cancels >= 3);
}

/* ---- batches ---- */

static weir_status batch(const char *a, const char *b, const char *c, PGresult *results[3])
{
	const weir_statement s[] = {WEIR_STATEMENT(.sql = a), WEIR_STATEMENT(.sql = b),
	                            WEIR_STATEMENT(.sql = c)};

	return weir_batch(conn, s, 3, results, PATIENCE_MS, &e);
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
	assert_string_equal(value("SELECT count(*) FROM t"), "1");
	assert_int_equal(PQtransactionStatus(weir_pg(conn)), PQTRANS_IDLE);
	pass_on();
}

static void a_batch_that_fails_has_done_nothing(void **state)
{
	PGresult *results[3];

	(void)state;
	assert_int_equal(batch("INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (3)",
	                       "INSERT INTO t VALUES (1)", results),
	                 WEIR_QUERY);
	assert_string_equal(e.sqlstate, "23505");
	assert_non_null(strstr(e.text, "statements[2]: "));
	assert_null(results[0]);
	assert_null(results[1]);
	assert_string_equal(PQresultErrorField(results[2], PG_DIAG_SQLSTATE), "23505");
	clear(results, 3);
	assert_string_equal(value("SELECT count(*) FROM t"), "1");
	/* At its COMMIT, and what may not be in a transaction. */
	assert_int_equal(
		batch("INSERT INTO t VALUES (2)", "INSERT INTO u VALUES (99)", "SELECT 1", results),
		WEIR_QUERY);
	assert_string_equal(e.sqlstate, "23503");
	assert_non_null(strstr(e.text, "COMMIT: "));
	clear(results, 3);
	assert_int_equal(batch("INSERT INTO t VALUES (2)", "VACUUM t", "SELECT 1", results),
	                 WEIR_QUERY);
	assert_string_equal(e.sqlstate, "25001");
	clear(results, 3);
	assert_string_equal(value("SELECT count(*) FROM t"), "1");
	assert_int_equal(batch("SELECT 1", "COMMIT", "SELECT 1", results), WEIR_INVALID);
	assert_non_null(strstr(e.text, "statements[1]"));
	assert_int_equal(PQtransactionStatus(weir_pg(conn)), PQTRANS_IDLE);
}

/* What a pipeline's implicit transaction would allow. */
static void nothing_commits_in_the_middle_of_a_batch(void **state)
{
	PGresult *results[3];

	(void)state;
	from_outside("CREATE OR REPLACE PROCEDURE halfway() LANGUAGE plpgsql AS "
	             "$$ BEGIN COMMIT; END $$");
	assert_int_equal(batch("INSERT INTO t VALUES (2)", "CALL halfway()", "SELECT 1", results),
	                 WEIR_QUERY);
	assert_string_equal(e.sqlstate, "2D000");
	clear(results, 3);
	assert_int_equal(batch("VACUUM t", "SELECT 1", "SELECT 1", results), WEIR_QUERY);
	assert_string_equal(e.sqlstate, "25001");
	clear(results, 3);
	assert_string_equal(value("SELECT count(*) FROM t"), "1");
}

static void a_batch_in_a_transaction_is_part_of_it(void **state)
{
	PGresult *results[3];

	(void)state;
	run_well("BEGIN");
	assert_int_equal(batch("INSERT INTO t VALUES (2)", "SELECT 1", "SELECT 2", results),
	                 WEIR_OK);
	clear(results, 3);
	assert_int_equal(PQtransactionStatus(weir_pg(conn)), PQTRANS_INTRANS);
	run_well("ROLLBACK");
	assert_string_equal(value("SELECT count(*) FROM t"), "1");
	run_well("BEGIN");
	assert_int_equal(batch("SELECT 1", "SELECT 1/0", "SELECT 2", results), WEIR_QUERY);
	assert_non_null(strstr(e.text, "statements[1]: "));
	clear(results, 3);
	assert_int_equal(PQtransactionStatus(weir_pg(conn)), PQTRANS_INERROR);
	run_well("ROLLBACK");
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
	assert_int_equal(weir_batch(conn, s, 4, results, 2000, &e), WEIR_OUTCOME_UNKNOWN);
	for (int i = 0; i < 4; i++)
		assert_null(results[i]);
	pass_on();
	assert_int_equal(by_libpq(NAMES), 0);
	value("SELECT 1");
	for (int64_t ms = 500; strcmp(e.sqlstate, "57014") != 0; ms *= 2) {
		assert_true(ms < PATIENCE_MS);
		pass_on();
		assert_int_not_equal(weir_batch(conn, s + 2, 2, results, ms, &e), WEIR_OK);
	}
	assert_int_equal(e.status, WEIR_TIMEOUT);
	assert_non_null(strstr(e.text, "statements[0]: "));
	clear(results, 2);
	assert_int_equal(PQtransactionStatus(weir_pg(conn)), PQTRANS_IDLE);
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
	assert_int_equal(weir_batch(conn, s, MANY, results, PATIENCE_MS, &e), WEIR_OK);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(atoi(PQgetvalue(results[i], 0, 0)), i + 10);
	clear(results, MANY);
	assert_int_equal(by_libpq(NAMES), 1);
	assert_int_equal(by_libpq("SELECT count(*) FROM t"), MANY + 1);
}

static void a_batch_over_a_changed_table(void **state)
{
	PGresult *results[3];

	(void)state;
	run_well("SELECT * FROM t");
	run_well("SELECT * FROM t");
	from_outside("ALTER TABLE t ADD COLUMN more text");
	assert_int_equal(batch("INSERT INTO t VALUES (2)", "SELECT * FROM t", "SELECT 1", results),
	                 WEIR_OK);
	assert_int_equal(PQnfields(results[1]), 2);
	assert_int_equal(PQntuples(results[1]), 2);
	clear(results, 3);
}

/* It does away with what it relies on: where that can be seen, nothing is relied on. */
static void a_batch_that_drops_what_is_prepared(void **state)
{
	PGresult *results[3];

	(void)state;
	for (int i = 0; i < 8; i++) {
		if (i >= 4)
			run_well("BEGIN");
		if (batch("SELECT 1", i % 2 ? "DEALLOCATE ALL" : "ALTER TABLE t ADD more int",
		          "SELECT 1", results) != WEIR_OK)
			fail_msg("%d: %s %s", i, e.sqlstate, e.text);
		clear(results, 3);
		if (batch("SELECT * FROM t", i % 2 ? "DEALLOCATE ALL" : "ALTER TABLE t DROP more",
		          "SELECT * FROM t", results) != WEIR_OK)
			fail_msg("%d: %s %s", i, e.sqlstate, e.text);
		clear(results, 3);
		if (i >= 4)
			run_well("COMMIT");
	}
}

/* Where it cannot be seen, it is told once to try again, and then what it is. */
static void a_function_that_drops_what_is_prepared(void **state)
{
	PGresult *results[3];
	weir_status st[6];

	(void)state;
	from_outside("CREATE OR REPLACE FUNCTION forget() RETURNS void LANGUAGE plpgsql AS "
	             "$$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$");
	value("SELECT 1");
	value("SELECT 1");
	for (int i = 0; i < 6; i++) {
		if (i % 2)
			run_well("BEGIN");
		st[i] = batch("SELECT 1", "SELECT forget()", "SELECT 1", results);
		assert_string_equal(e.sqlstate, "26000");
		clear(results, 3);
		if (i % 2)
			run_well("ROLLBACK");
		assert_true(st[i] == WEIR_QUERY || (st[i] == WEIR_RETRY && i == 1));
	}
}

static void one_call_from_checkout_to_checkin(void **state)
{
	const char *const values[] = {"1"};
	weir_pool_stats s;

	(void)state;
	weir_checkin(&conn);
	for (int i = 0; i < 5; i++) {
		PQclear(rows);
		assert_int_equal(
			weir_pool_query(pool, "SELECT n FROM t WHERE n = $1", 1, values, &rows, &e),
			WEIR_OK);
		assert_int_equal(PQntuples(rows), 1);
	}
	weir_pool_stats_get(pool, &s);
	assert_int_equal(s.busy, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
		cmocka_unit_test_setup_teardown(the_last_used_ones_are_kept, set_up_few, tear_down),
		TEST(a_text_that_cannot_be_parsed_leaves_nothing),
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
		TEST(a_batch_that_drops_what_is_prepared),
		TEST(a_function_that_drops_what_is_prepared),
		TEST(one_call_from_checkout_to_checkin),
	};
	const struct test_cluster_options options = {.standbys = -1};
	int failed;

	test_watchdog(250, "the query helpers on a server");
	cluster = test_cluster_start_or_exit(&options);
	failed = cmocka_run_group_tests_name("pg.query", tests, NULL, NULL);
	return test_cluster_stop(&cluster) ? failed : failed + 1;
}

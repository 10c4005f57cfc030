/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a changed setting is noticed: whatever way the statement was run, and without a look at the
 * settings where nothing was run.
 */
#include "conformance/libpq_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libpq-events.h>

#include "base/line.h"

static const struct wi_driver *const driver = &wi_driver_libpq;

#define TOKYO "set_config('timezone', 'Asia/Tokyo', false)"
#define BERLIN "set_config('timezone', 'Europe/Berlin', false)"

static void assert_look(void *conn, enum wi_look expected, const char *after)
{
	enum wi_look look = driver->look(conn);

	if (look != expected)
		fail_msg("%s: look says %d and not %d", after, look, expected);
}

/* ---- ways to run a statement ---- */

/* All results of what was sent. */
static void drain(PGconn *pg)
{
	PGresult *result;

	while ((result = PQgetResult(pg)) != NULL)
		PQclear(result);
}

static void by_exec(PGconn *pg, const char *sql)
{
	PQclear(PQexec(pg, sql));
}

static void by_exec_params(PGconn *pg, const char *sql)
{
	PQclear(PQexecParams(pg, sql, 0, NULL, NULL, NULL, NULL, 1));
}

static void by_prepared(PGconn *pg, const char *sql)
{
	PQclear(PQprepare(pg, "", sql, 0, NULL));
	PQclear(PQexecPrepared(pg, "", 0, NULL, NULL, NULL, 0));
}

static void by_send(PGconn *pg, const char *sql)
{
	assert_int_equal(PQsendQuery(pg, sql), 1);
	drain(pg);
}

static void by_single_rows(PGconn *pg, const char *sql)
{
	assert_int_equal(PQsendQuery(pg, sql), 1);
	assert_int_equal(PQsetSingleRowMode(pg), 1);
	drain(pg);
}

static void by_pipeline(PGconn *pg, const char *sql)
{
	PGresult *result;
	bool synced = false;

	assert_int_equal(PQenterPipelineMode(pg), 1);
	assert_int_equal(PQsendQueryParams(pg, sql, 0, NULL, NULL, NULL, NULL, 0), 1);
	assert_int_equal(PQpipelineSync(pg), 1);
	while (!synced) {
		result = PQgetResult(pg); /* NULL between two statements */
		synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
		PQclear(result);
	}
	assert_int_equal(PQexitPipelineMode(pg), 1);
}

/* Nobody waits for results before all has come and is parsed. */
static void by_consuming_first(PGconn *pg, const char *sql)
{
	assert_int_equal(PQsendQuery(pg, sql), 1);
	while (PQisBusy(pg)) {
		libpq_await_readable(PQsocket(pg));
		assert_int_equal(PQconsumeInput(pg), 1);
	}
	drain(pg);
}

static void by_copy_out(PGconn *pg, const char *sql)
{
	char copy[256], *row;

	snprintf(copy, sizeof(copy), "COPY (%s) TO STDOUT", sql);
	PQclear(PQexec(pg, copy));
	while (PQgetCopyData(pg, &row, 0) > 0)
		PQfreemem(row);
	drain(pg);
}

static void behind_copy_in(PGconn *pg, const char *sql)
{
	char copy[256];

	snprintf(copy, sizeof(copy), "COPY pg_temp.things FROM STDIN; %s", sql);
	PQclear(PQexec(pg, "CREATE TEMP TABLE IF NOT EXISTS things (i int)"));
	assert_int_equal(PQsendQuery(pg, copy), 1);
	PQclear(PQgetResult(pg));
	assert_int_equal(PQputCopyData(pg, "1\n", 2), 1);
	assert_int_equal(PQputCopyEnd(pg, NULL), 1);
	drain(pg);
}

/* All that comes is an error, and the change is committed. */
static void before_an_error(PGconn *pg, const char *sql)
{
	char block[256];
	PGresult *result;

	snprintf(block, sizeof(block),
	         "DO $$DECLARE t text; BEGIN EXECUTE $q$%s$q$ INTO t; COMMIT; "
	         "RAISE EXCEPTION 'no'; END$$",
	         sql);
	result = PQexec(pg, block);
	assert_int_equal(PQresultStatus(result), PGRES_FATAL_ERROR);
	PQclear(result);
}

static const struct {
	const char *name;
	void (*run)(PGconn *pg, const char *sql);
	bool leaves_more; /* and that is heard, too */
} ways[] = {
	{"PQexec", by_exec, false},
	{"PQexecParams", by_exec_params, false},
	{"PQexecPrepared", by_prepared, true},
	{"PQsendQuery", by_send, false},
	{"single row mode", by_single_rows, false},
	{"pipeline mode", by_pipeline, false},
	{"PQconsumeInput first", by_consuming_first, false},
	{"COPY TO", by_copy_out, false},
	{"after COPY FROM", behind_copy_in, true},
	{"before an error", before_an_error, false},
};

static void a_change_is_seen_whatever_way_it_was_made(void **state)
{
	struct libpq_place p = libpq_good_place();
	void *conn;

	(void)state;
	p.target.startup_options = "-c timezone=Europe/Berlin";
	conn = libpq_open_at(&p);
	for (size_t i = 0; i < WI_ARRAY_LEN(ways); i++) {
		assert_look(conn, WI_LOOK_CLEAN, ways[i].name);
		ways[i].run(driver->pg(conn), "SELECT " TOKYO);
		assert_look(conn, WI_LOOK_CHANGED, ways[i].name);
		assert_look(conn, WI_LOOK_CHANGED, "a second look");
		ways[i].run(driver->pg(conn), "SELECT " BERLIN);
		assert_look(conn, ways[i].leaves_more ? WI_LOOK_CHANGED : WI_LOOK_CLEAN,
		            ways[i].name);
		driver->mark_clean(conn);
	}
	suite_close(&libpq_env, conn);
}

static void a_change_by_a_function_that_is_undone_is_none(void **state)
{
	static const char other[] = "SELECT set_config('application_name', 'other', false)";
	void *conn = suite_open(&libpq_env);

	(void)state;
	libpq_exec(conn, other);
	assert_look(conn, WI_LOOK_CHANGED, "set by a function");
	libpq_exec(conn, "SELECT set_config('application_name', '" LIBPQ_APPLICATION "', false)");
	assert_look(conn, WI_LOOK_CLEAN, "set back");
	libpq_exec(conn, "BEGIN");
	libpq_exec(conn, other);
	assert_look(conn, WI_LOOK_IN_TX, "in a transaction");
	libpq_exec(conn, "ROLLBACK");
	assert_look(conn, WI_LOOK_CLEAN, "rolled back");
	suite_close(&libpq_env, conn);
}

/*
 * By a function, whose SELECT has no tag to tell of it. Servers before 14 do not report all of
 * them.
 */
static void each_setting_that_is_reported_counts(void **state)
{
	static const struct {
		const char *name, *value;
	} settings[] = {
		{"TimeZone", "Asia/Tokyo"},    {"standard_conforming_strings", "off"},
		{"IntervalStyle", "iso_8601"}, {"default_transaction_read_only", "on"},
		{"DateStyle", "German"},       {"application_name", "other"},
		{"client_encoding", "LATIN1"},
	};
	void *conn = suite_open(&libpq_env);
	char sql[128];

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(settings); i++) {
		if (!PQparameterStatus(driver->pg(conn), settings[i].name))
			continue;
		snprintf(sql, sizeof(sql), "SELECT set_config('%s', '%s', false)", settings[i].name,
		         settings[i].value);
		libpq_exec(conn, sql);
		assert_look(conn, WI_LOOK_CHANGED, settings[i].name);
		driver->mark_clean(conn);
		assert_look(conn, WI_LOOK_CLEAN, settings[i].name);
	}
	suite_close(&libpq_env, conn);
}

/* ---- what is heard by its tag ---- */

static void a_command_that_may_leave_something_is_heard(void **state)
{
	static const char *const commands[] = {
		"SET lock_timeout = 1",
		"SELECT 1; SET lock_timeout = 1; SELECT 2",
		"SET ROLE NONE",
		"RESET ALL",
		"DISCARD ALL",
		"PREPARE one AS SELECT 1",
		"DEALLOCATE one",
		"LISTEN shop",
		"UNLISTEN *",
		"CREATE TEMP TABLE mine AS SELECT 1",
		"SELECT 1 AS i INTO TEMP also_mine",
		"CREATE TEMP SEQUENCE numbers",
		"DO 'BEGIN END'",
	};
	void *conn = suite_open(&libpq_env);

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(commands); i++) {
		driver->mark_clean(conn);
		libpq_exec(conn, commands[i]);
		assert_look(conn, WI_LOOK_CHANGED, commands[i]);
	}
	suite_close(&libpq_env, conn);
}

static void a_command_that_leaves_nothing_is_passed_over(void **state)
{
	static const char *const commands[] = {
		"SELECT 1",
		"SELECT",
		"",
		"INSERT INTO items SELECT 1 WHERE false",
		"UPDATE items SET id = id WHERE false",
		"DELETE FROM items WHERE false RETURNING *",
		"BEGIN; SAVEPOINT s; ROLLBACK TO s; RELEASE s; COMMIT",
		"EXPLAIN SELECT 1",
		"SHOW lock_timeout",
		"NOTIFY shop",
		"SELECT 1/0",
	};
	void *conn = suite_open(&libpq_env);

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(commands); i++) {
		PQclear(PQexec(driver->pg(conn), commands[i]));
		assert_look(conn, WI_LOOK_CLEAN, commands[i]);
	}
	suite_close(&libpq_env, conn);
}

static void a_name_prepared_by_protocol_is_heard(void **state)
{
	void *conn = suite_open(&libpq_env);

	(void)state;
	PQclear(PQprepare(driver->pg(conn), "one", "SELECT 1", 0, NULL));
	assert_look(conn, WI_LOOK_CHANGED, "PQprepare");
	driver->mark_clean(conn);
	PQclear(PQexecPrepared(driver->pg(conn), "one", 0, NULL, NULL, NULL, 0));
	assert_look(conn, WI_LOOK_CLEAN, "PQexecPrepared");
	suite_close(&libpq_env, conn);
}

static void a_change_of_the_encoding_by_libpq_is_seen(void **state)
{
	void *conn = suite_open(&libpq_env);

	(void)state;
	assert_int_equal(PQsetClientEncoding(driver->pg(conn), "LATIN1"), 0);
	assert_look(conn, WI_LOOK_CHANGED, "PQsetClientEncoding");
	suite_close(&libpq_env, conn);
}

/* What the driver asked itself changed something: a check at checkout, an exec. */
static void a_change_by_the_drivers_own_exchange_is_seen(void **state)
{
	void *conn = suite_open(&libpq_env);

	(void)state;
	libpq_ask(conn, "SET application_name = 'other'", NULL);
	assert_look(conn, WI_LOOK_CHANGED, "an exchange");
	driver->mark_clean(conn);
	assert_look(conn, WI_LOOK_CLEAN, "marked clean");
	libpq_ask(conn, "SELECT set_config('application_name', '" LIBPQ_APPLICATION "', false)",
	          NULL);
	assert_look(conn, WI_LOOK_CHANGED, "what was clean before the mark");
	suite_close(&libpq_env, conn);
}

/* ---- where nothing was run ---- */

static int oid_of_set_config(PGconn *pg)
{
	PGresult *result = PQexec(pg, "SELECT 'pg_catalog.set_config'::regproc::oid");
	int oid;

	assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
	oid = atoi(PQgetvalue(result, 0, 0));
	PQclear(result);
	return oid;
}

/* set_config('timezone', zone, false) by a function call, which fires no event. */
static void call_set_config(PGconn *pg, int oid, char zone[])
{
	char name[] = "timezone", local[] = "";
	int answer[16], length = 0;
	PQArgBlock args[] = {
		{.len = (int)strlen(name), .u.ptr = (void *)name},
		{.len = (int)strlen(zone), .u.ptr = (void *)zone},
		{.len = 1, .u.ptr = (void *)local},
	};
	PGresult *result = PQfn(pg, oid, answer, &length, 0, args, 3);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail_msg("PQfn: %s", PQresultErrorMessage(result));
	PQclear(result);
}

/*
 * Which shows that a look does not ask for the settings while nothing was run; and what is missed
 * thereby, and for how long.
 */
static void what_a_function_call_changes_is_seen_after_the_next_statement_or_peek(void **state)
{
	char tokyo[] = "Asia/Tokyo", cairo[] = "Africa/Cairo";
	void *conn = suite_open(&libpq_env);
	PGconn *pg = driver->pg(conn);
	int oid = oid_of_set_config(pg);
	struct wi_failure failure;

	(void)state;
	assert_look(conn, WI_LOOK_CLEAN, "a query");
	call_set_config(pg, oid, tokyo);
	assert_string_equal(PQparameterStatus(pg, "TimeZone"), tokyo);
	assert_look(conn, WI_LOOK_CLEAN, "PQfn");
	libpq_exec(conn, "SELECT 1");
	assert_look(conn, WI_LOOK_CHANGED, "PQfn and a statement");
	driver->mark_clean(conn);
	call_set_config(pg, oid, cairo);
	assert_look(conn, WI_LOOK_CLEAN, "PQfn");
	assert_true(driver->peek(conn, &failure));
	assert_look(conn, WI_LOOK_CHANGED, "PQfn and a peek");
	suite_close(&libpq_env, conn);
}

/* ---- what outlives the connection ---- */

static void a_result_outlives_its_connection(void **state)
{
	void *conn = suite_open(&libpq_env);
	PGresult *result = PQexec(driver->pg(conn), "SELECT 1"), *copy;
	PGresult *made = PQmakeEmptyPGresult(driver->pg(conn), PGRES_COMMAND_OK);

	(void)state;
	suite_close(&libpq_env, conn);
	copy = PQcopyResult(result, PG_COPYRES_TUPLES | PG_COPYRES_EVENTS);
	assert_non_null(copy);
	assert_string_equal(PQgetvalue(copy, 0, 0), "1");
	assert_int_equal(PQfireResultCreateEvents(NULL, made), 1);
	PQclear(copy);
	PQclear(result);
	PQclear(made);
}

int main(void)
{
	const struct CMUnitTest truths[] = {
		SUITE_TRUTH(a_change_is_seen_whatever_way_it_was_made),
		SUITE_TRUTH(a_change_by_a_function_that_is_undone_is_none),
		SUITE_TRUTH(each_setting_that_is_reported_counts),
		SUITE_TRUTH(a_command_that_may_leave_something_is_heard),
		SUITE_TRUTH(a_command_that_leaves_nothing_is_passed_over),
		SUITE_TRUTH(a_name_prepared_by_protocol_is_heard),
		SUITE_TRUTH(a_change_of_the_encoding_by_libpq_is_seen),
		SUITE_TRUTH(a_change_by_the_drivers_own_exchange_is_seen),
		SUITE_TRUTH(what_a_function_call_changes_is_seen_after_the_next_statement_or_peek),
		SUITE_TRUTH(a_result_outlives_its_connection),
	};
	int failed;

	libpq_set_up();
	failed = cmocka_run_group_tests(truths, NULL, NULL);
	return libpq_tear_down() ? failed : 1;
}

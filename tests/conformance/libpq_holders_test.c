/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What holders leave on the client's side of a libpq connection, and what the driver asks and hears
 * itself.
 */
#include "conformance/libpq_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/line.h"

static const struct wi_driver *const driver = &wi_driver_libpq;

/* ---- what holders leave ---- */

static void a_holder_finds_the_connection_in_blocking_mode(void **state)
{
	struct wi_failure failure;
	void *conn = suite_open(&libpq_env);

	(void)state;
	assert_false(PQisnonblocking(driver->pg(conn)));
	assert_int_equal(suite_ask(&libpq_env, conn, SUITE_ROW, NULL, NULL), WI_STEP_DONE);
	assert_false(PQisnonblocking(driver->pg(conn)));
	assert_int_equal(suite_ask(&libpq_env, conn, SUITE_ERROR, NULL, &failure), WI_STEP_FAILED);
	assert_false(PQisnonblocking(driver->pg(conn)));
	libpq_exec(conn, "SELECT 1");
	suite_close(&libpq_env, conn);
}

static int heard;

static void count_notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;
	heard++;
}

static void count_notice_result(void *arg, const PGresult *notice)
{
	(void)arg;
	(void)notice;
	heard++;
}

#define NOTICE "DO 'BEGIN RAISE WARNING ''hear''; END'"

static void a_holders_notice_processor_is_called_until_tidy(void **state)
{
	void *conn = suite_open(&libpq_env);
	PGconn *pg = driver->pg(conn);

	(void)state;
	heard = 0;
	PQsetNoticeProcessor(pg, count_notice, NULL);
	libpq_exec(conn, NOTICE);
	assert_int_equal(heard, 1);
	PQsetNoticeReceiver(pg, count_notice_result, NULL);
	libpq_exec(conn, NOTICE);
	assert_int_equal(heard, 2);
	driver->tidy(conn);
	libpq_exec(conn, NOTICE);
	assert_int_equal(heard, 2);
	suite_close(&libpq_env, conn);
}

static void tidy_puts_the_client_side_back(void **state)
{
	void *conn = suite_open(&libpq_env);
	PGconn *pg = driver->pg(conn);
	FILE *trace = tmpfile();

	(void)state;
	PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
	PQsetErrorContextVisibility(pg, PQSHOW_CONTEXT_ALWAYS);
	PQsetnonblocking(pg, 1);
	PQtrace(pg, trace);
	assert_int_equal(PQenterPipelineMode(pg), 1);
	assert_int_equal(driver->look(conn), WI_LOOK_BUSY);
	driver->tidy(conn);
	assert_int_equal(driver->look(conn), WI_LOOK_CLEAN);
	assert_int_equal(PQpipelineStatus(pg), PQ_PIPELINE_OFF);
	assert_false(PQisnonblocking(pg));
	assert_int_equal(PQsetErrorVerbosity(pg, PQERRORS_DEFAULT), PQERRORS_DEFAULT);
	assert_int_equal(PQsetErrorContextVisibility(pg, PQSHOW_CONTEXT_ERRORS),
	                 PQSHOW_CONTEXT_ERRORS);
	libpq_exec(conn, "SELECT 1");
	assert_int_equal(ftell(trace), 0); /* nothing was traced */
	fclose(trace);
	suite_close(&libpq_env, conn);
}

static void what_is_left_unread_is_busy(void **state)
{
	void *conn = suite_open(&libpq_env);
	PGconn *pg = driver->pg(conn);

	(void)state;
	assert_int_equal(PQsendQuery(pg, "SELECT 1"), 1);
	driver->tidy(conn);
	assert_int_equal(driver->look(conn), WI_LOOK_BUSY);
	PQclear(PQgetResult(pg));
	assert_null(PQgetResult(pg));
	assert_int_equal(driver->look(conn), WI_LOOK_CLEAN);
	PQclear(PQexec(pg, "COPY items FROM STDIN"));
	driver->tidy(conn);
	assert_int_equal(driver->look(conn), WI_LOOK_BUSY);
	suite_close(&libpq_env, conn);
}

static void every_reported_setting_is_watched(void **state)
{
	static const char *const changes[] = {
		"SET TimeZone = 'Asia/Tokyo'",
		"SET DateStyle = 'SQL, DMY'",
		"SET IntervalStyle = 'iso_8601'",
		"SET application_name = 'other'",
		"SET client_encoding = 'LATIN1'",
		"SET standard_conforming_strings = off",
		"SET default_transaction_read_only = on",
		"SELECT set_config('timezone', 'Asia/Tokyo', false)",
	};
	void *conn = suite_open(&libpq_env);

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(changes); i++) {
		libpq_exec(conn, changes[i]);
		if (driver->look(conn) != WI_LOOK_CHANGED)
			fail_msg("not seen: %s", changes[i]);
		libpq_exec(conn, "RESET ALL");
		driver->mark_clean(conn);
	}
	suite_close(&libpq_env, conn);
}

static void notifications_left_behind_are_dropped(void **state)
{
	void *conn = suite_open(&libpq_env);

	(void)state;
	libpq_exec(conn, "LISTEN shop");
	libpq_exec(conn, "NOTIFY shop");
	assert_int_equal(driver->look(conn), WI_LOOK_CHANGED);
	libpq_exec(conn, "NOTIFY shop");
	libpq_ask(conn, "UNLISTEN *", NULL);
	driver->mark_clean(conn);
	assert_int_equal(driver->look(conn), WI_LOOK_CLEAN);
	assert_null(PQnotifies(driver->pg(conn)));
	suite_close(&libpq_env, conn);
}

/* Runs body with standard error in a file; how much was written there. */
static long stderr_written(void (*body)(void))
{
	FILE *file = tmpfile();
	int kept = dup(STDERR_FILENO);
	long size;

	assert_non_null(file);
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	body();
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	close(kept);
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	fclose(file);
	return size;
}

static void make_noise(void)
{
	struct libpq_place p;
	struct wi_failure failure;
	void *conn = suite_open(&libpq_env);

	libpq_ask(conn, NOTICE, NULL);
	libpq_exec(conn, NOTICE);
	libpq_kill(NULL);
	libpq_await_readable(driver->fd(conn));
	driver->peek(conn, &failure);
	suite_close(&libpq_env, conn);
	libpq_make_place(&p, test_cluster_port(libpq_world.cluster, 0), "shop", NULL);
	p.target.isolated = true; /* looks for a password file where none can be */
	libpq_fail_at(&p, WI_FAULT_AUTH, &failure);
}

static void nothing_is_ever_printed(void **state)
{
	(void)state;
	assert_int_equal(stderr_written(make_noise), 0);
}

/* ---- asking ---- */

static void the_last_rows_of_several_statements_are_the_answer(void **state)
{
	struct wi_answer answer;
	void *conn = suite_open(&libpq_env);

	(void)state;
	libpq_ask(conn, "SELECT 1, 2; SELECT 'b' UNION ALL SELECT 'c'; SET lock_timeout = 1",
	          &answer);
	assert_int_equal(answer.columns, 1);
	assert_string_equal(answer.value[0], "b");
	libpq_ask(conn, "", &answer);
	assert_int_equal(answer.columns, 0);
	suite_close(&libpq_env, conn);
}

static void an_answer_larger_than_its_place_is_cut(void **state)
{
	struct wi_answer answer;
	void *conn = suite_open(&libpq_env);

	(void)state;
	libpq_ask(
		conn,
		"SELECT repeat('x', 1000), 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25",
		&answer);
	assert_int_equal(answer.columns, WI_ANSWER_COLUMNS);
	assert_int_equal(strlen(answer.value[0]), sizeof(answer.value[0]) - 1);
	assert_string_equal(answer.value[WI_ANSWER_COLUMNS - 1], "23");
	suite_close(&libpq_env, conn);
}

/* More than the sockets hold while the server stands still: the driver must ask to write. */
static void a_long_statement_is_sent_in_pieces(void **state)
{
	size_t n = 24 << 20;
	char *sql = malloc(n + 64);
	struct wi_failure failure;
	struct wi_answer answer;
	void *conn = suite_open(&libpq_env);

	(void)state;
	assert_non_null(sql);
	strcpy(sql, "SELECT length('");
	memset(sql + strlen(sql), 'x', n);
	strcpy(sql + strlen("SELECT length('") + n, "')");
	assert_true(test_cluster_pause(libpq_world.cluster, 0));
	assert_true(driver->send(conn, sql, &failure));
	assert_int_equal(driver->answer_step(conn, &answer, &failure), WI_STEP_WRITE);
	assert_int_equal(driver->look(conn), WI_LOOK_BUSY);
	assert_true(test_cluster_resume(libpq_world.cluster, 0));
	assert_int_equal(suite_answer_to_end(&libpq_env, conn, &answer, &failure), WI_STEP_DONE);
	assert_string_equal(answer.value[0], "25165824");
	free(sql);
	suite_close(&libpq_env, conn);
}

static void copy_is_a_surprise_and_ends_the_connection(void **state)
{
	static const char *const copies[] = {"COPY (SELECT 1) TO STDOUT", "COPY items FROM STDIN"};

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(copies); i++) {
		struct wi_failure failure = {0};
		void *conn = suite_open(&libpq_env);

		assert_int_equal(suite_ask(&libpq_env, conn, copies[i], NULL, &failure),
		                 WI_STEP_FAILED);
		assert_int_equal(failure.fault, WI_FAULT_LOST);
		libpq_assert_has(failure.text, "COPY");
		assert_int_equal(driver->look(conn), WI_LOOK_DEAD);
		suite_close(&libpq_env, conn);
	}
}

int main(void)
{
	const struct CMUnitTest truths[] = {
		SUITE_TRUTH(a_holder_finds_the_connection_in_blocking_mode),
		SUITE_TRUTH(a_holders_notice_processor_is_called_until_tidy),
		SUITE_TRUTH(tidy_puts_the_client_side_back),
		SUITE_TRUTH(what_is_left_unread_is_busy),
		SUITE_TRUTH(every_reported_setting_is_watched),
		SUITE_TRUTH(notifications_left_behind_are_dropped),
		SUITE_TRUTH(nothing_is_ever_printed),
		SUITE_TRUTH(the_last_rows_of_several_statements_are_the_answer),
		SUITE_TRUTH(an_answer_larger_than_its_place_is_cut),
		SUITE_TRUTH(a_long_statement_is_sent_in_pieces),
		SUITE_TRUTH(copy_is_a_surprise_and_ends_the_connection),
	};
	int failed;

	libpq_set_up();
	failed = cmocka_run_group_tests(truths, NULL, NULL);
	return libpq_tear_down() ? failed : 1;
}

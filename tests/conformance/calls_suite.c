/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What any driver must do with statements whose results are wanted. Values of results are libpq's
 * affair, and so are not looked at here: who has one, and who has none.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "conformance/suite_inside.h"

#define MOST 8

static struct pg_result *of[MOST];
static struct wi_results results;
static struct wi_failure failure;

static struct wi_call call_of(const char *sql, enum wi_keep keep)
{
	return (struct wi_call){.sql = sql, .keep = keep};
}

/* To its end, or for a while. */
static enum wi_step step_for(void *conn, const struct wi_call *calls, size_t n, int64_t ns)
{
	const struct wi_driver *d = suite_env->driver;
	int64_t deadline = wi_now_ns() + ns;

	for (;;) {
		enum wi_step step = d->results_step(conn, calls, n, &results, &failure);
		struct pollfd p = {.fd = d->fd(conn),
		                   .events = step == WI_STEP_READ ? POLLIN : POLLIN | POLLOUT};
		int64_t due = d->due(conn);

		if (step == WI_STEP_DONE || step == WI_STEP_FAILED || wi_now_ns() >= deadline)
			return step;
		poll(&p, 1, wi_poll_ms(wi_now_ns(), due < deadline ? due : deadline));
	}
}

static void drop_results(void)
{
	for (int i = 0; i < MOST; i++) {
		suite_env->driver->result_free(of[i]);
		of[i] = NULL;
	}
}

static void send_calls(void *conn, const struct wi_call *calls, size_t n)
{
	drop_results();
	results = (struct wi_results){.of = of};
	failure = (struct wi_failure){0};
	assert_true(suite_env->driver->send_calls(conn, calls, n, &failure));
}

static enum wi_step ask(void *conn, const struct wi_call *calls, size_t n)
{
	send_calls(conn, calls, n);
	return step_for(conn, calls, n, SUITE_PATIENCE);
}

static enum wi_step ask_one(void *conn, const char *sql, enum wi_keep keep)
{
	const struct wi_call call = call_of(sql, keep);

	return ask(conn, &call, 1);
}

/* How many results there are, and that they are those of the first statements. */
static int results_of(size_t n)
{
	int there = 0;

	for (size_t i = 0; i < n; i++)
		there += of[i] != NULL;
	for (int i = 0; i < there; i++)
		assert_non_null(of[i]);
	return there;
}

static void a_statement_has_a_result(void **state)
{
	void *conn = suite_open(suite_env);

	(void)state;
	assert_int_equal(ask_one(conn, SUITE_ROW, WI_KEEP_NOT), WI_STEP_DONE);
	assert_int_equal(results.failed, 1);
	assert_false(results.stale);
	assert_int_equal(results_of(1), 1);
	suite_assert_look(conn, WI_LOOK_CLEAN);
	drop_results();
	suite_close(suite_env, conn);
}

static void an_error_has_one_too(void **state)
{
	void *conn = suite_open(suite_env);

	(void)state;
	assert_int_equal(ask_one(conn, SUITE_ERROR, WI_KEEP_NOT), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_SQL);
	assert_string_equal(failure.sqlstate, "22012");
	assert_int_equal(results.failed, 0);
	assert_false(results.stale);
	assert_int_equal(results_of(1), 1);
	suite_assert_look(conn, WI_LOOK_CLEAN);
	assert_int_equal(ask_one(conn, SUITE_ROW, WI_KEEP_NOT), WI_STEP_DONE);
	drop_results();
	suite_close(suite_env, conn);
}

static void several_end_at_the_first_error(void **state)
{
	const struct wi_call calls[] = {
		call_of(SUITE_ROW, WI_KEEP_NOT), call_of(SUITE_NO_ROW, WI_KEEP_NOT),
		call_of(SUITE_ERROR, WI_KEEP_NOT), call_of(SUITE_ROW, WI_KEEP_NOT)};
	void *conn = suite_open(suite_env);

	(void)state;
	assert_int_equal(ask(conn, calls, 2), WI_STEP_DONE);
	assert_int_equal(results.failed, 2);
	assert_int_equal(results_of(2), 2);
	assert_int_equal(ask(conn, calls, 4), WI_STEP_FAILED);
	assert_int_equal(results.failed, 2);
	assert_int_equal(results_of(4), 3);
	suite_assert_look(conn, WI_LOOK_CLEAN);
	drop_results();
	suite_close(suite_env, conn);
}

/* Weir's own SET LOCAL and the like are no change; a user's are. */
static void what_is_weirs_own_leaves_nothing(void **state)
{
	struct wi_call call = call_of("SET search_path = 'public'", WI_KEEP_NOT);
	void *conn = suite_open(suite_env);

	(void)state;
	call.own = true;
	assert_int_equal(ask(conn, &call, 1), WI_STEP_DONE);
	suite_assert_look(conn, WI_LOOK_CLEAN);
	call.own = false;
	assert_int_equal(ask(conn, &call, 1), WI_STEP_DONE);
	suite_assert_look(conn, WI_LOOK_CHANGED);
	drop_results();
	suite_close(suite_env, conn);
}

/* More than there is room for, in and outside of a transaction, and dropped by the holder. */
static void what_is_kept_is_no_change_and_survives(void **state)
{
	static const char *const texts[] = {SUITE_ROW, SUITE_NO_ROW, "SELECT 1", "SELECT 2"};
	void *conn = suite_open(suite_env);

	(void)state;
	for (int i = 0; i < 24; i++) {
		assert_int_equal(ask_one(conn, texts[i % 8 / 2], WI_KEEP_AT_ONCE), WI_STEP_DONE);
		assert_int_equal(results_of(1), 1);
		suite_assert_look(conn, WI_LOOK_CLEAN);
	}
	assert_int_equal(suite_ask(suite_env, conn, "BEGIN", NULL, NULL), WI_STEP_DONE);
	for (int i = 0; i < 4; i++)
		assert_int_equal(ask_one(conn, texts[i], WI_KEEP_AT_ONCE), WI_STEP_DONE);
	assert_int_equal(suite_ask(suite_env, conn, "ROLLBACK", NULL, NULL), WI_STEP_DONE);
	for (int i = 0; i < 4; i++)
		assert_int_equal(ask_one(conn, texts[i], WI_KEEP_AT_ONCE), WI_STEP_DONE);
	suite_assert_look(conn, WI_LOOK_CLEAN);
	assert_int_equal(suite_ask(suite_env, conn, "DISCARD ALL", NULL, NULL), WI_STEP_DONE);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(ask_one(conn, texts[3 - i], WI_KEEP_AT_ONCE), WI_STEP_DONE);
		assert_int_equal(results_of(1), 1);
	}
	drop_results();
	suite_close(suite_env, conn);
}

/* An error among several leaves what is prepared as the server has it. */
static void errors_leave_what_is_kept_in_order(void **state)
{
	const struct wi_call calls[] = {
		call_of("SELECT 1", WI_KEEP_AT_ONCE), call_of("SELECT 2", WI_KEEP_AT_ONCE),
		call_of(SUITE_ERROR, WI_KEEP_AT_ONCE), call_of("SELECT 4", WI_KEEP_AT_ONCE),
		call_of("SELECT 5", WI_KEEP_AT_ONCE)};
	void *conn = suite_open(suite_env);

	(void)state;
	for (int i = 0; i < 6; i++) {
		assert_int_equal(ask(conn, calls + i % 3, 5 - (size_t)i % 3), WI_STEP_FAILED);
		assert_string_equal(failure.sqlstate, "22012");
		assert_false(results.stale);
		assert_int_equal(results.failed, 2 - i % 3);
		assert_int_equal(ask_one(conn, calls[i % 2].sql, WI_KEEP_SECOND), WI_STEP_DONE);
		assert_int_equal(ask_one(conn, calls[3 + i % 2].sql, WI_KEEP_SECOND), WI_STEP_DONE);
	}
	drop_results();
	suite_close(suite_env, conn);
}

/* Ended by a cancel, and read out to the end of its pipeline. */
static void several_that_are_given_up_are_read_out(void **state)
{
	const struct wi_driver *d = suite_env->driver;
	const struct wi_call calls[] = {call_of(SUITE_ROW, WI_KEEP_AT_ONCE),
	                                call_of(SUITE_SLOW, WI_KEEP_NOT),
	                                call_of(SUITE_ROW, WI_KEEP_AT_ONCE)};
	void *conn = suite_open(suite_env), *cancel;
	int64_t deadline = wi_now_ns() + SUITE_PATIENCE;
	size_t room = 1000000;
	enum wi_step step;

	(void)state;
	if (suite_env->slow)
		suite_env->slow(suite_env->arg, true);
	send_calls(conn, calls, 3);
	step = step_for(conn, calls, 3, 50 * WI_MS);
	if (suite_env->slow)
		suite_env->slow(suite_env->arg, false);
	assert_int_equal(step, WI_STEP_READ);
	suite_assert_look(conn, WI_LOOK_BUSY);
	cancel = d->cancel_make(conn);
	assert_non_null(cancel);
	assert_true(d->cancel_ask(cancel));
	d->cancel_free(cancel);
	while ((step = d->drain_step(conn, &room, &failure)) == WI_STEP_READ) {
		struct pollfd p = {.fd = d->fd(conn), .events = POLLIN};

		assert_true(wi_now_ns() < deadline);
		poll(&p, 1, 20);
	}
	assert_int_equal(step, WI_STEP_DONE);
	/* A name was to be made in it: until a reset nobody knows. */
	suite_assert_look(conn, WI_LOOK_CHANGED);
	assert_int_equal(ask_one(conn, SUITE_ROW, WI_KEEP_AT_ONCE), WI_STEP_DONE);
	assert_int_equal(suite_ask(suite_env, conn, "DISCARD ALL", NULL, NULL), WI_STEP_DONE);
	assert_int_equal(ask_one(conn, SUITE_ROW, WI_KEEP_AT_ONCE), WI_STEP_DONE);
	drop_results();
	suite_close(suite_env, conn);
}

static void a_death_among_several_is_explained(void **state)
{
	const struct wi_call calls[] = {call_of(SUITE_ROW, WI_KEEP_NOT),
	                                call_of(SUITE_SLOW, WI_KEEP_NOT)};
	void *conn = suite_open(suite_env);

	(void)state;
	if (suite_env->slow)
		suite_env->slow(suite_env->arg, true);
	send_calls(conn, calls, 2);
	assert_int_equal(step_for(conn, calls, 2, 50 * WI_MS), WI_STEP_READ);
	if (suite_env->slow)
		suite_env->slow(suite_env->arg, false);
	assert_true(suite_env->kill(suite_env->arg));
	assert_int_equal(step_for(conn, calls, 2, SUITE_PATIENCE), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_string_equal(failure.sqlstate, "57P01");
	suite_assert_look(conn, WI_LOOK_DEAD);
	assert_false(suite_env->driver->send_calls(conn, calls, 1, &failure));
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	drop_results();
	suite_close(suite_env, conn);
}

int suite_run_calls(const char *name)
{
	const struct CMUnitTest truths[] = {
		SUITE_TRUTH(a_statement_has_a_result),
		SUITE_TRUTH(an_error_has_one_too),
		SUITE_TRUTH(several_end_at_the_first_error),
		SUITE_TRUTH(what_is_weirs_own_leaves_nothing),
		SUITE_TRUTH(what_is_kept_is_no_change_and_survives),
		SUITE_TRUTH(errors_leave_what_is_kept_in_order),
		SUITE_TRUTH(several_that_are_given_up_are_read_out),
		SUITE_TRUTH(a_death_among_several_is_explained),
	};

	return cmocka_run_group_tests_name(name, truths, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What any driver must do with a query and its answer: the first row, errors, transactions, two at
 * once, and what a session is left as.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/line.h"
#include "conformance/suite_inside.h"

static void an_answer_is_the_first_row(void **state)
{
	struct wi_answer answer;
	void *conn = suite_open(suite_env);

	(void)state;
	memset(&answer, 0xff, sizeof(answer));
	assert_int_equal(suite_ask(suite_env, conn, SUITE_ROW, &answer, NULL), WI_STEP_DONE);
	assert_int_equal(answer.columns, 3);
	assert_true(answer.has_row);
	assert_string_equal(answer.value[0], "7");
	assert_false(answer.is_null[0]);
	assert_string_equal(answer.value[1], "");
	assert_true(answer.is_null[1]);
	assert_string_equal(answer.value[2], "word");
	suite_assert_look(conn, WI_LOOK_CLEAN);
	suite_close(suite_env, conn);
}

static void an_answer_without_a_row_says_so(void **state)
{
	struct wi_answer answer;
	void *conn = suite_open(suite_env);

	(void)state;
	memset(&answer, 0xff, sizeof(answer));
	assert_int_equal(suite_ask(suite_env, conn, SUITE_NO_ROW, &answer, NULL), WI_STEP_DONE);
	assert_int_equal(answer.columns, 1);
	assert_false(answer.has_row);
	memset(&answer, 0xff, sizeof(answer));
	assert_int_equal(suite_ask(suite_env, conn, "BEGIN; COMMIT", &answer, NULL), WI_STEP_DONE);
	assert_int_equal(answer.columns, 0);
	assert_false(answer.has_row);
	suite_close(suite_env, conn);
}

static void nobody_need_want_the_answer(void **state)
{
	void *conn = suite_open(suite_env);

	(void)state;
	assert_int_equal(suite_ask(suite_env, conn, SUITE_ROW, NULL, NULL), WI_STEP_DONE);
	suite_assert_look(conn, WI_LOOK_CLEAN);
	suite_close(suite_env, conn);
}

static void an_error_is_told_and_the_connection_lives(void **state)
{
	struct wi_failure failure = {0};
	struct wi_answer answer;
	void *conn = suite_open(suite_env);

	(void)state;
	assert_int_equal(suite_ask(suite_env, conn, SUITE_ERROR, &answer, &failure),
	                 WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_SQL);
	assert_string_equal(failure.sqlstate, "22012");
	suite_assert_secretless(&failure);
	suite_assert_look(conn, WI_LOOK_CLEAN);
	assert_int_equal(suite_ask(suite_env, conn, SUITE_ROW, &answer, &failure), WI_STEP_DONE);
	assert_string_equal(answer.value[0], "7");
	suite_close(suite_env, conn);
}

static void a_transaction_is_seen_until_it_ends(void **state)
{
	void *conn = suite_open(suite_env);

	(void)state;
	assert_int_equal(suite_ask(suite_env, conn, "BEGIN", NULL, NULL), WI_STEP_DONE);
	suite_assert_look(conn, WI_LOOK_IN_TX);
	assert_int_equal(suite_ask(suite_env, conn, "COMMIT", NULL, NULL), WI_STEP_DONE);
	suite_assert_look(conn, WI_LOOK_CLEAN);
	suite_close(suite_env, conn);
}

static uint64_t commits_of(void *conn)
{
	struct wi_facts facts;

	suite_env->driver->facts(conn, &facts);
	return facts.commits;
}

static void what_commits_is_counted(void **state)
{
	void *conn = suite_open(suite_env);
	uint64_t before = commits_of(conn);

	(void)state;
	suite_ask(suite_env, conn, "BEGIN", NULL, NULL);
	suite_ask(suite_env, conn, "ROLLBACK", NULL, NULL);
	assert_int_equal(commits_of(conn), before);
	suite_ask(suite_env, conn, "BEGIN", NULL, NULL);
	suite_ask(suite_env, conn, "COMMIT", NULL, NULL);
	assert_int_equal(commits_of(conn), before + 1);
	suite_ask(suite_env, conn, "BEGIN", NULL, NULL);
	suite_ask(suite_env, conn, SUITE_ERROR, NULL, NULL);
	suite_ask(suite_env, conn, "COMMIT", NULL, NULL); /* which is answered by ROLLBACK */
	assert_int_equal(commits_of(conn), before + 1);
	suite_close(suite_env, conn);
}

static void a_failed_transaction_is_a_transaction(void **state)
{
	void *conn = suite_open(suite_env);

	(void)state;
	suite_ask(suite_env, conn, "BEGIN", NULL, NULL);
	assert_int_equal(suite_ask(suite_env, conn, SUITE_ERROR, NULL, NULL), WI_STEP_FAILED);
	suite_assert_look(conn, WI_LOOK_IN_TX);
	assert_int_equal(suite_ask(suite_env, conn, "ROLLBACK", NULL, NULL), WI_STEP_DONE);
	suite_assert_look(conn, WI_LOOK_CLEAN);
	suite_close(suite_env, conn);
}

static void discard_all_needs_a_rollback_first(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(suite_env);

	(void)state;
	suite_ask(suite_env, conn, "BEGIN", NULL, NULL);
	assert_int_equal(suite_ask(suite_env, conn, "DISCARD ALL", NULL, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_SQL);
	assert_string_equal(failure.sqlstate, "25001");
	assert_int_equal(suite_ask(suite_env, conn, "ROLLBACK", NULL, NULL), WI_STEP_DONE);
	assert_int_equal(suite_ask(suite_env, conn, SUITE_SET, NULL, NULL), WI_STEP_DONE);
	assert_int_equal(suite_ask(suite_env, conn, "DISCARD ALL", NULL, NULL), WI_STEP_DONE);
	suite_close(suite_env, conn);
}

static void two_at_once_are_two_transactions(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(suite_env);

	(void)state;
	for (int i = 0; i < 3; i++) {
		suite_ask(suite_env, conn, i ? "BEGIN" : SUITE_SET, NULL, NULL);
		assert_true(suite_env->driver->send_two(conn, "ROLLBACK", "DISCARD ALL", &failure));
		suite_assert_look(conn, WI_LOOK_BUSY);
		assert_int_equal(suite_answer_to_end(suite_env, conn, NULL, &failure),
		                 WI_STEP_DONE);
		suite_env->driver->mark_clean(conn);
		suite_assert_look(conn, WI_LOOK_CLEAN);
		assert_int_equal(suite_ask(suite_env, conn, SUITE_ROW, NULL, NULL), WI_STEP_DONE);
	}
	suite_close(suite_env, conn);
}

/* The second is run all the same, and the first error is told. */
static void an_error_in_one_of_two_is_told(void **state)
{
	static const char *const pairs[][2] = {{SUITE_ERROR, "BEGIN"}, {"BEGIN", SUITE_ERROR}};

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(pairs); i++) {
		struct wi_failure failure = {0};
		void *conn = suite_open(suite_env);
		struct wi_facts facts;

		assert_true(suite_env->driver->send_two(conn, pairs[i][0], pairs[i][1], &failure));
		assert_int_equal(suite_answer_to_end(suite_env, conn, NULL, &failure),
		                 WI_STEP_FAILED);
		assert_int_equal(failure.fault, WI_FAULT_SQL);
		suite_env->driver->facts(conn, &facts);
		assert_int_equal(facts.succeeded, i); /* of those before the one that did not */
		assert_int_equal(facts.in_failed_tx, i == 1);
		suite_assert_look(conn, WI_LOOK_IN_TX);
		assert_int_equal(suite_ask(suite_env, conn, "ROLLBACK", NULL, NULL), WI_STEP_DONE);
		suite_close(suite_env, conn);
	}
}

static void a_death_in_two_is_explained(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(suite_env);

	(void)state;
	assert_true(suite_env->kill(suite_env->arg));
	(void)(suite_env->driver->send_two(conn, "ROLLBACK", "DISCARD ALL", &failure) &&
	       suite_answer_to_end(suite_env, conn, NULL, &failure));
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	suite_assert_look(conn, WI_LOOK_DEAD);
	suite_close(suite_env, conn);
}

/* Else a COMMIT that never left would pass for one that took effect, by what was sent before it. */
static void what_cannot_be_sent_has_not_succeeded(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(suite_env);
	struct wi_facts facts;

	(void)state;
	assert_int_equal(suite_ask(suite_env, conn, "BEGIN", NULL, NULL), WI_STEP_DONE);
	suite_env->driver->facts(conn, &facts);
	assert_int_equal(facts.succeeded, 1);
	assert_true(suite_env->kill(suite_env->arg));
	suite_await_readable(conn);
	assert_false(suite_env->driver->peek(conn, &failure));
	assert_false(suite_env->driver->send_two(conn, "COMMIT", SUITE_ROW, &failure));
	suite_env->driver->facts(conn, &facts);
	assert_int_equal(facts.succeeded, 0);
	suite_close(suite_env, conn);
}

/* Several statements in one string are a transaction of their own. */
static void discard_all_goes_alone(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(suite_env);

	(void)state;
	assert_int_equal(suite_ask(suite_env, conn, "ROLLBACK; DISCARD ALL", NULL, &failure),
	                 WI_STEP_FAILED);
	assert_string_equal(failure.sqlstate, "25001");
	suite_assert_look(conn, WI_LOOK_CLEAN);
	suite_close(suite_env, conn);
}

/* A driver may know that it was reset, or not: whoever resets it marks it clean. */
static void a_changed_setting_is_seen_until_it_is_reset_and_marked(void **state)
{
	void *conn = suite_open(suite_env);

	(void)state;
	assert_int_equal(suite_ask(suite_env, conn, SUITE_SET, NULL, NULL), WI_STEP_DONE);
	suite_assert_look(conn, WI_LOOK_CHANGED);
	assert_int_equal(suite_ask(suite_env, conn, "RESET ALL", NULL, NULL), WI_STEP_DONE);
	suite_env->driver->mark_clean(conn);
	suite_assert_look(conn, WI_LOOK_CLEAN);
	suite_close(suite_env, conn);
}

static void what_is_marked_clean_is_clean(void **state)
{
	void *conn = suite_open(suite_env);

	(void)state;
	suite_ask(suite_env, conn, SUITE_SET, NULL, NULL);
	suite_assert_look(conn, WI_LOOK_CHANGED);
	suite_env->driver->mark_clean(conn);
	suite_assert_look(conn, WI_LOOK_CLEAN);
	suite_close(suite_env, conn);
}

int suite_run_ask(const char *name)
{
	const struct CMUnitTest truths[] = {
		SUITE_TRUTH(an_answer_is_the_first_row),
		SUITE_TRUTH(an_answer_without_a_row_says_so),
		SUITE_TRUTH(nobody_need_want_the_answer),
		SUITE_TRUTH(an_error_is_told_and_the_connection_lives),
		SUITE_TRUTH(a_transaction_is_seen_until_it_ends),
		SUITE_TRUTH(what_commits_is_counted),
		SUITE_TRUTH(a_failed_transaction_is_a_transaction),
		SUITE_TRUTH(discard_all_needs_a_rollback_first),
		SUITE_TRUTH(two_at_once_are_two_transactions),
		SUITE_TRUTH(an_error_in_one_of_two_is_told),
		SUITE_TRUTH(a_death_in_two_is_explained),
		SUITE_TRUTH(what_cannot_be_sent_has_not_succeeded),
		SUITE_TRUTH(discard_all_goes_alone),
		SUITE_TRUTH(a_changed_setting_is_seen_until_it_is_reset_and_marked),
		SUITE_TRUTH(what_is_marked_clean_is_clean),
	};

	return cmocka_run_group_tests_name(name, truths, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What any driver must do with what does not end by itself: queries under way are cancelled and
 * read out, sessions die and are explained, connections are cut and closed.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "conformance/suite_inside.h"

/* ---- under way ---- */

static void an_unanswered_query_is_busy(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(suite_env);

	(void)state;
	suite_ask_slowly(conn);
	assert_false(suite_env->driver->send(conn, SUITE_ROW, &failure)); /* one at a time */
	suite_assert_look(conn, WI_LOOK_DEAD);
	assert_true(suite_env->kill(suite_env->arg));
	suite_close(suite_env, conn);
}

static void drain_to_end(void *conn)
{
	int64_t deadline = wi_now_ns() + SUITE_PATIENCE;
	struct wi_failure failure = {0};
	size_t room = 1 << 20;
	enum wi_step step;

	while (suite_goes_on(step = suite_env->driver->drain_step(conn, &room, &failure))) {
		assert_true(wi_now_ns() < deadline);
		suite_wait_for_step(suite_env, conn, step, wi_now_ns() + 5 * WI_MS);
	}
	if (step != WI_STEP_DONE)
		fail_msg("%s", failure.text);
}

/* Asks the server to stop what conn does; whether there was something to ask with. */
static bool cancel(void *conn)
{
	void *request = suite_env->driver->cancel_make(conn);

	if (!request)
		return false;
	assert_true(suite_env->driver->cancel_ask(request));
	suite_env->driver->cancel_free(request);
	return true;
}

static void what_is_under_way_is_cancelled_and_read_out(void **state)
{
	void *conn = suite_open(suite_env);
	struct wi_failure failure = {0};
	size_t room = 1 << 20;

	(void)state;
	suite_ask_slowly(conn);
	assert_true(suite_goes_on(suite_env->driver->drain_step(conn, &room, &failure)));
	suite_assert_look(conn, WI_LOOK_BUSY);
	assert_true(cancel(conn));
	drain_to_end(conn);
	suite_assert_look(conn, WI_LOOK_CLEAN);
	assert_int_equal(suite_ask(suite_env, conn, SUITE_ROW, NULL, NULL), WI_STEP_DONE);
	suite_close(suite_env, conn);
}

static void a_cancel_hits_nothing_that_is_sent_after_it(void **state)
{
	void *conn = suite_open(suite_env);

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_true(cancel(conn));
		assert_int_equal(suite_ask(suite_env, conn, SUITE_ROW, NULL, NULL), WI_STEP_DONE);
	}
	suite_close(suite_env, conn);
}

static void a_cancel_outlives_its_connection(void **state)
{
	void *one = suite_open(suite_env), *two, *request = suite_env->driver->cancel_make(one);

	(void)state;
	assert_non_null(request);
	suite_close(suite_env, one);
	two = suite_open(suite_env);
	(void)suite_env->driver->cancel_ask(request); /* whatever it says, it hits nobody */
	suite_env->driver->cancel_free(request);
	assert_int_equal(suite_ask(suite_env, two, SUITE_ROW, NULL, NULL), WI_STEP_DONE);
	suite_close(suite_env, two);
}

static void what_is_there_already_is_read_out_without_a_cancel(void **state)
{
	void *conn = suite_open(suite_env);
	struct wi_failure failure;

	(void)state;
	assert_true(suite_env->driver->send(conn, "BEGIN", &failure));
	drain_to_end(conn);
	assert_false(suite_env->driver->look(conn) == WI_LOOK_BUSY);
	suite_ask(suite_env, conn, "ROLLBACK", NULL, NULL);
	assert_int_equal(suite_ask(suite_env, conn, SUITE_ROW, NULL, NULL), WI_STEP_DONE);
	suite_close(suite_env, conn);
}

static void tidy_leaves_a_clean_connection_clean(void **state)
{
	void *conn = suite_open(suite_env);

	(void)state;
	suite_env->driver->tidy(conn);
	suite_assert_look(conn, WI_LOOK_CLEAN);
	suite_ask(suite_env, conn, "BEGIN", NULL, NULL);
	suite_env->driver->tidy(conn);
	suite_assert_look(conn, WI_LOOK_IN_TX);
	suite_close(suite_env, conn);
}

/* ---- dying ---- */

static void a_death_while_idle_wakes_the_descriptor_and_is_explained(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(suite_env);

	(void)state;
	assert_true(suite_env->kill(suite_env->arg));
	suite_await_readable(conn);
	assert_false(suite_env->driver->peek(conn, &failure));
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_string_equal(failure.sqlstate, "57P01");
	suite_assert_secretless(&failure);
	suite_assert_look(conn, WI_LOOK_DEAD);
	assert_false(suite_env->driver->peek(conn, &failure)); /* and stays dead */
	assert_string_equal(failure.sqlstate, "57P01");
	suite_close(suite_env, conn);
	suite_await_sessions(0);
}

static void a_death_in_a_query_is_explained(void **state)
{
	struct wi_failure failure = {0};
	struct wi_answer answer;
	void *conn = suite_open(suite_env);

	(void)state;
	suite_ask_slowly(conn);
	assert_true(suite_env->kill(suite_env->arg));
	assert_int_equal(suite_answer_to_end(suite_env, conn, &answer, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_string_equal(failure.sqlstate, "57P01");
	suite_assert_secretless(&failure);
	suite_assert_look(conn, WI_LOOK_DEAD);
	suite_close(suite_env, conn);
}

static void a_query_on_a_dead_connection_fails_as_lost(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(suite_env);

	(void)state;
	assert_true(suite_env->kill(suite_env->arg));
	suite_await_readable(conn);
	assert_int_equal(suite_ask(suite_env, conn, SUITE_ROW, NULL, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	suite_assert_secretless(&failure);
	suite_assert_look(conn, WI_LOOK_DEAD);
	suite_close(suite_env, conn);
}

static void peek_disturbs_nothing_that_lives(void **state)
{
	struct wi_failure failure = {0};
	struct wi_answer answer;
	void *conn = suite_open(suite_env);

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(suite_env->driver->peek(conn, &failure));
		assert_int_equal(suite_ask(suite_env, conn, SUITE_ROW, &answer, NULL),
		                 WI_STEP_DONE);
		assert_string_equal(answer.value[2], "word");
	}
	suite_close(suite_env, conn);
}

/* From another thread than the holder's. */
static void *run_cutter(void *conn)
{
	suite_env->driver->cut(conn);
	return NULL;
}

static void a_cut_connection_is_gone_on_the_server_and_fails_its_holder(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(suite_env);
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, run_cutter, conn), 0);
	pthread_join(thread, NULL);
	suite_await_sessions(0);
	assert_int_equal(suite_ask(suite_env, conn, SUITE_ROW, NULL, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_null(strstr(failure.text, "invalid socket")); /* libpq's, about what it had closed */
	suite_assert_look(conn, WI_LOOK_DEAD);
	close(suite_env->driver->close(conn));
}

/* ---- ending ---- */

static void the_server_counts_a_session_until_the_awaited_end(void **state)
{
	void *one, *two;

	(void)state;
	suite_await_sessions(0);
	one = suite_open(suite_env);
	two = suite_open(suite_env);
	assert_int_equal(suite_env->sessions(suite_env->arg), 2);
	suite_close(suite_env, one);
	assert_int_equal(suite_env->sessions(suite_env->arg), 1);
	suite_close(suite_env, two);
	assert_int_equal(suite_env->sessions(suite_env->arg), 0);
}

/* That the server still counts the session shows that close did not wait for it. */
static void closing_a_busy_connection_does_not_wait(void **state)
{
	void *conn = suite_open(suite_env);
	int fd;

	(void)state;
	suite_ask_slowly(conn);
	fd = suite_env->driver->close(conn);
	if (suite_env->sessions(suite_env->arg) == 1)
		assert_true(suite_env->kill(suite_env->arg));
	suite_await_end(fd);
	assert_int_equal(suite_env->sessions(suite_env->arg), 0);
}

static void closing_in_a_transaction_ends_it(void **state)
{
	void *conn = suite_open(suite_env);

	(void)state;
	assert_int_equal(suite_ask(suite_env, conn, "BEGIN", NULL, NULL), WI_STEP_DONE);
	suite_close(suite_env, conn);
	assert_int_equal(suite_env->sessions(suite_env->arg), 0);
}

static void a_child_that_abandons_leaves_the_session_to_its_parent(void **state)
{
	struct wi_answer answer;
	void *conn = suite_open(suite_env);
	int status = -1;
	pid_t child;

	(void)state;
	child = fork();
	if (child == 0) {
		suite_env->driver->abandon(conn);
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(suite_env->sessions(suite_env->arg), 1);
	assert_int_equal(suite_ask(suite_env, conn, SUITE_ROW, &answer, NULL), WI_STEP_DONE);
	assert_string_equal(answer.value[0], "7");
	suite_close(suite_env, conn);
}

int suite_run_end(const char *name)
{
	const struct CMUnitTest truths[] = {
		SUITE_TRUTH(an_unanswered_query_is_busy),
		SUITE_TRUTH(what_is_under_way_is_cancelled_and_read_out),
		SUITE_TRUTH(a_cancel_hits_nothing_that_is_sent_after_it),
		SUITE_TRUTH(a_cancel_outlives_its_connection),
		SUITE_TRUTH(what_is_there_already_is_read_out_without_a_cancel),
		SUITE_TRUTH(tidy_leaves_a_clean_connection_clean),
		SUITE_TRUTH(a_death_while_idle_wakes_the_descriptor_and_is_explained),
		SUITE_TRUTH(a_death_in_a_query_is_explained),
		SUITE_TRUTH(a_query_on_a_dead_connection_fails_as_lost),
		SUITE_TRUTH(peek_disturbs_nothing_that_lives),
		SUITE_TRUTH(a_cut_connection_is_gone_on_the_server_and_fails_its_holder),
		SUITE_TRUTH(the_server_counts_a_session_until_the_awaited_end),
		SUITE_TRUTH(closing_a_busy_connection_does_not_wait),
		SUITE_TRUTH(closing_in_a_transaction_ends_it),
		SUITE_TRUTH(a_child_that_abandons_leaves_the_session_to_its_parent),
	};

	return cmocka_run_group_tests_name(name, truths, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What any driver must do to connect: where it succeeds, where it fails and how that is told, given
 * up at any step, on several threads, and without memory.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "conformance/suite_inside.h"

static void a_new_connection_is_clean_and_alive(void **state)
{
	void *conn = suite_open(suite_env);
	struct wi_failure failure;

	(void)state;
	suite_assert_look(conn, WI_LOOK_CLEAN);
	assert_true(suite_env->driver->fd(conn) >= 0);
	assert_true(suite_env->driver->peek(conn, &failure));
	suite_assert_look(conn, WI_LOOK_CLEAN);
	suite_close(suite_env, conn);
}

static void a_good_target_passes_the_check(void **state)
{
	const char *address;
	weir_error error = {0};

	(void)state;
	assert_int_equal(suite_env->driver->check(
				 suite_env->target(suite_env->arg, PLACE_GOOD, &address), &error),
	                 WEIR_OK);
	assert_int_equal(suite_env->driver->check(
				 suite_env->target(suite_env->arg, PLACE_GOOD, &address), NULL),
	                 WEIR_OK);
}

static void a_step_too_many_does_no_harm(void **state)
{
	int64_t deadline = wi_now_ns() + SUITE_PATIENCE;
	struct wi_failure failure = {0};
	void *conn = suite_begin(suite_env, PLACE_GOOD);
	enum wi_step step;

	(void)state;
	do
		step = suite_env->driver->connect_step(conn, &failure);
	while (suite_goes_on(step) && wi_now_ns() < deadline);
	assert_int_equal(step, WI_STEP_DONE);
	assert_int_equal(suite_env->driver->connect_step(conn, &failure), WI_STEP_DONE);
	suite_assert_look(conn, WI_LOOK_CLEAN);
	suite_close(suite_env, conn);
}

/* Connects to a place that does not let us in. */
static void fail_to_connect(enum driver_place place, enum wi_fault fault, const char *sqlstate)
{
	struct wi_failure failure = {0};
	void *conn = suite_begin(suite_env, place);

	assert_int_equal(suite_connect_to_end(suite_env, conn, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, fault);
	assert_string_equal(failure.sqlstate, sqlstate);
	suite_assert_secretless(&failure);
	suite_close(suite_env, conn);
}

static void where_nobody_listens_it_is_refused(void **state)
{
	(void)state;
	fail_to_connect(PLACE_NOBODY, WI_FAULT_REFUSED, "");
}

static void wrong_credentials_are_told_as_such_and_kept_secret(void **state)
{
	(void)state;
	fail_to_connect(PLACE_STRANGER, WI_FAULT_AUTH, "28P01");
}

static void an_unknown_database_is_told_as_such(void **state)
{
	(void)state;
	fail_to_connect(PLACE_NO_DATABASE, WI_FAULT_CONFIG, "3D000");
}

static void a_full_server_is_told_as_such(void **state)
{
	(void)state;
	fail_to_connect(PLACE_FULL, WI_FAULT_CAPACITY, "53300");
}

/* To give up is the caller's: the driver never fails by itself, and lets itself be closed. */
static void a_silent_server_is_waited_for_until_the_caller_closes(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_begin(suite_env, PLACE_SILENT);
	enum wi_step step =
		suite_connect_until(suite_env, conn, &failure, wi_now_ns() + 200 * WI_MS);

	(void)state;
	assert_true(suite_goes_on(step));
	assert_int_equal(failure.fault, WI_FAULT_NONE);
	close(suite_env->driver->close(conn));
}

/* After this many steps, however long each takes; whether it was ready by then. */
static bool give_up_after(int steps)
{
	struct wi_failure failure = {0};
	void *conn = suite_begin(suite_env, PLACE_GOOD);
	enum wi_step step = WI_STEP_WRITE;

	for (int i = 0; i < steps && suite_goes_on(step); i++) {
		if (i > 0)
			suite_wait_for_step(suite_env, conn, step, wi_now_ns() + SUITE_PATIENCE);
		step = suite_env->driver->connect_step(conn, &failure);
	}
	suite_close(suite_env, conn);
	suite_await_sessions(0);
	return step == WI_STEP_DONE;
}

static void a_connect_can_be_given_up_at_any_step(void **state)
{
	int steps = 0;

	(void)state;
	while (!give_up_after(steps))
		assert_true(++steps < 100);
}

static void the_facts_are_those_of_an_open_connection(void **state)
{
	void *one = suite_open(suite_env), *two = suite_open(suite_env);
	struct wi_facts first, second;

	(void)state;
	suite_env->driver->facts(one, &first);
	suite_env->driver->facts(two, &second);
	assert_true(first.backend_pid > 0);
	assert_true(second.backend_pid > 0);
	assert_int_not_equal(first.backend_pid, second.backend_pid);
	assert_true(first.server_version >= 100000);
	assert_false(first.in_hot_standby);
	assert_true(strlen(first.tls) > 0);
	suite_close(suite_env, one);
	suite_close(suite_env, two);
}

/* ---- many at once ---- */

#define WORKERS 4
#define ROUNDS 5

/* One thread's connections, from open to close; how many rounds came to what they should. */
static void *run_worker(void *arg)
{
	int64_t deadline = wi_now_ns() + SUITE_PATIENCE;
	int *good = arg;

	for (int i = 0; i < ROUNDS; i++) {
		const char *address = NULL;
		const struct wi_target *target =
			suite_env->target(suite_env->arg, PLACE_GOOD, &address);
		void *conn = suite_env->driver->connect(target, address);
		struct wi_failure failure;
		struct wi_answer answer;

		if (!conn)
			break;
		if (suite_connect_until(suite_env, conn, &failure, deadline) == WI_STEP_DONE &&
		    suite_env->driver->send(conn, SUITE_ROW, &failure) &&
		    suite_answer_until(suite_env, conn, &answer, &failure, deadline) ==
		            WI_STEP_DONE &&
		    strcmp(answer.value[0], "7") == 0 &&
		    suite_env->driver->look(conn) == WI_LOOK_CLEAN)
			*good += 1;
		close(suite_env->driver->close(conn));
	}
	return NULL;
}

static void connections_of_different_threads_do_not_meet(void **state)
{
	pthread_t threads[WORKERS];
	int good[WORKERS] = {0};

	(void)state;
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_worker, &good[i]), 0);
	for (int i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(good[i], ROUNDS);
	}
	suite_await_sessions(0);
}

static void want_of_memory_is_told_and_nothing_is_lost(void **state)
{
	const char *address = NULL;
	const struct wi_target *target = suite_env->target(suite_env->arg, PLACE_GOOD, &address);
	size_t blocks = wi_alloc_blocks();
	void *conn = NULL;

	(void)state;
	for (int i = 1; !conn; i++) {
		assert_true(i < 20);
		wi_alloc_fail_at(i);
		conn = suite_env->driver->connect(target, address);
		if (!conn)
			assert_int_equal(wi_alloc_blocks(), blocks);
		if (conn && i == 1)
			fail_msg("a connection was made of no memory");
		wi_alloc_fail_at(0);
	}
	suite_close(suite_env, conn);
	suite_await_sessions(0);
	assert_int_equal(wi_alloc_blocks(), blocks);
}

int suite_run_connect(const char *name)
{
	const struct CMUnitTest truths[] = {
		SUITE_TRUTH(a_new_connection_is_clean_and_alive),
		SUITE_TRUTH(a_good_target_passes_the_check),
		SUITE_TRUTH(a_step_too_many_does_no_harm),
		SUITE_TRUTH(where_nobody_listens_it_is_refused),
		SUITE_TRUTH(wrong_credentials_are_told_as_such_and_kept_secret),
		SUITE_TRUTH(an_unknown_database_is_told_as_such),
		SUITE_TRUTH(a_full_server_is_told_as_such),
		SUITE_TRUTH(a_silent_server_is_waited_for_until_the_caller_closes),
		SUITE_TRUTH(a_connect_can_be_given_up_at_any_step),
		SUITE_TRUTH(the_facts_are_those_of_an_open_connection),
		SUITE_TRUTH(connections_of_different_threads_do_not_meet),
		SUITE_TRUTH(want_of_memory_is_told_and_nothing_is_lost),
	};

	return cmocka_run_group_tests_name(name, truths, NULL, NULL);
}

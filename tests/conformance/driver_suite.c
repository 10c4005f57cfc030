/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What any driver must do. Each test is a truth about src/driver/driver.h, named by what it says;
 * none knows which driver it runs.
 */
#include "conformance/driver_suite.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
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

#include "base/alloc.h"
#include "base/clock.h"
#include "base/line.h"
#include "support/watchdog.h"

#define PATIENCE (30 * WI_SEC) /* what may never take so long */

static const struct driver_env *the_env; /* for the tests, which cmocka calls without one */

/*
 * ---- stepping
 * ------------------------------------------------------------------------------------
 */

static void wait_for_step(const struct driver_env *env, void *conn, enum wi_step step,
                          int64_t deadline)
{
	struct pollfd p = {.fd = env->driver->fd(conn),
	                   .events = step == WI_STEP_READ ? POLLIN : POLLOUT};
	int64_t due = env->driver->due(conn);

	if (due > deadline)
		due = deadline;
	poll(&p, 1, wi_poll_ms(wi_now_ns(), due)); /* a negative descriptor is passed over */
}

static bool goes_on(enum wi_step step)
{
	return step == WI_STEP_READ || step == WI_STEP_WRITE;
}

/* Steps until the end or the deadline. */
static enum wi_step connect_until(const struct driver_env *env, void *conn,
                                  struct wi_failure *failure, int64_t deadline)
{
	enum wi_step step = env->driver->connect_step(conn, failure);

	while (goes_on(step) && wi_now_ns() < deadline) {
		wait_for_step(env, conn, step, deadline);
		step = env->driver->connect_step(conn, failure);
	}
	return step;
}

static enum wi_step answer_until(const struct driver_env *env, void *conn, struct wi_answer *answer,
                                 struct wi_failure *failure, int64_t deadline)
{
	enum wi_step step = env->driver->answer_step(conn, answer, failure);

	while (goes_on(step) && wi_now_ns() < deadline) {
		wait_for_step(env, conn, step, deadline);
		step = env->driver->answer_step(conn, answer, failure);
	}
	return step;
}

enum wi_step suite_connect_to_end(const struct driver_env *env, void *conn,
                                  struct wi_failure *failure)
{
	enum wi_step step = connect_until(env, conn, failure, wi_now_ns() + PATIENCE);

	assert_false(goes_on(step));
	return step;
}

enum wi_step suite_answer_to_end(const struct driver_env *env, void *conn, struct wi_answer *answer,
                                 struct wi_failure *failure)
{
	enum wi_step step = answer_until(env, conn, answer, failure, wi_now_ns() + PATIENCE);

	assert_false(goes_on(step));
	return step;
}

static void *begin(const struct driver_env *env, enum driver_place place)
{
	const char *address = NULL;
	const struct wi_target *target = env->target(env->arg, place, &address);
	void *conn;

	assert_non_null(target);
	conn = env->driver->connect(target, address);
	assert_non_null(conn);
	return conn;
}

void *suite_open(const struct driver_env *env)
{
	struct wi_failure failure = {0};
	void *conn = begin(env, PLACE_GOOD);

	if (suite_connect_to_end(env, conn, &failure) != WI_STEP_DONE)
		fail_msg("no connection: %s %s", failure.sqlstate, failure.text);
	return conn;
}

enum wi_step suite_ask(const struct driver_env *env, void *conn, const char *sql,
                       struct wi_answer *answer, struct wi_failure *failure)
{
	struct wi_failure unwanted;

	if (!failure)
		failure = &unwanted;
	if (!env->driver->send(conn, sql, failure))
		return WI_STEP_FAILED;
	return suite_answer_to_end(env, conn, answer, failure);
}

void suite_await_end(int fd)
{
	int64_t deadline = wi_now_ns() + PATIENCE;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char leftover[4096];
	ssize_t n;

	if (fd < 0)
		return;
	for (;;) {
		assert_true(wi_now_ns() < deadline);
		if (poll(&p, 1, wi_poll_ms(wi_now_ns(), deadline)) <= 0)
			continue;
		n = read(fd, leftover, sizeof(leftover));
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			break;
	}
	close(fd);
}

void suite_close(const struct driver_env *env, void *conn)
{
	suite_await_end(env->driver->close(conn));
}

/* Waits for the server's count; what it ends is gone by itself, but not at once. */
static void await_sessions(int wanted)
{
	int64_t deadline = wi_now_ns() + PATIENCE;

	while (the_env->sessions(the_env->arg) != wanted) {
		assert_true(wi_now_ns() < deadline);
		poll(NULL, 0, 5);
	}
}

static void assert_secretless(const struct wi_failure *failure)
{
	assert_true(strlen(failure->text) > 0);
	assert_null(strstr(failure->text, SUITE_SECRET));
	assert_null(strstr(failure->text, "canary"));
	assert_null(strpbrk(failure->text, "\n\r\t"));
}

static void assert_look(void *conn, enum wi_look look)
{
	assert_int_equal(the_env->driver->look(conn), look);
}

/*
 * ---- connecting
 * ----------------------------------------------------------------------------------
 */

static void a_new_connection_is_clean_and_alive(void **state)
{
	void *conn = suite_open(the_env);
	struct wi_failure failure;

	(void)state;
	assert_look(conn, WI_LOOK_CLEAN);
	assert_true(the_env->driver->fd(conn) >= 0);
	assert_true(the_env->driver->peek(conn, &failure));
	assert_look(conn, WI_LOOK_CLEAN);
	suite_close(the_env, conn);
}

static void a_good_target_passes_the_check(void **state)
{
	const char *address;
	weir_error error = {0};

	(void)state;
	assert_int_equal(
		the_env->driver->check(the_env->target(the_env->arg, PLACE_GOOD, &address), &error),
		WEIR_OK);
	assert_int_equal(
		the_env->driver->check(the_env->target(the_env->arg, PLACE_GOOD, &address), NULL),
		WEIR_OK);
}

static void a_step_too_many_does_no_harm(void **state)
{
	int64_t deadline = wi_now_ns() + PATIENCE;
	struct wi_failure failure = {0};
	void *conn = begin(the_env, PLACE_GOOD);
	enum wi_step step;

	(void)state;
	do
		step = the_env->driver->connect_step(conn, &failure);
	while (goes_on(step) && wi_now_ns() < deadline);
	assert_int_equal(step, WI_STEP_DONE);
	assert_int_equal(the_env->driver->connect_step(conn, &failure), WI_STEP_DONE);
	assert_look(conn, WI_LOOK_CLEAN);
	suite_close(the_env, conn);
}

/* Connects to a place that does not let us in. */
static void fail_to_connect(enum driver_place place, enum wi_fault fault, const char *sqlstate)
{
	struct wi_failure failure = {0};
	void *conn = begin(the_env, place);

	assert_int_equal(suite_connect_to_end(the_env, conn, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, fault);
	assert_string_equal(failure.sqlstate, sqlstate);
	assert_secretless(&failure);
	suite_close(the_env, conn);
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
	void *conn = begin(the_env, PLACE_SILENT);
	enum wi_step step = connect_until(the_env, conn, &failure, wi_now_ns() + 200 * WI_MS);

	(void)state;
	assert_true(goes_on(step));
	assert_int_equal(failure.fault, WI_FAULT_NONE);
	close(the_env->driver->close(conn));
}

/* After this many steps, however long each takes; whether it was ready by then. */
static bool give_up_after(int steps)
{
	struct wi_failure failure = {0};
	void *conn = begin(the_env, PLACE_GOOD);
	enum wi_step step = WI_STEP_WRITE;

	for (int i = 0; i < steps && goes_on(step); i++) {
		if (i > 0)
			wait_for_step(the_env, conn, step, wi_now_ns() + PATIENCE);
		step = the_env->driver->connect_step(conn, &failure);
	}
	suite_close(the_env, conn);
	await_sessions(0);
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
	void *one = suite_open(the_env), *two = suite_open(the_env);
	struct wi_facts first, second;

	(void)state;
	the_env->driver->facts(one, &first);
	the_env->driver->facts(two, &second);
	assert_true(first.backend_pid > 0);
	assert_true(second.backend_pid > 0);
	assert_int_not_equal(first.backend_pid, second.backend_pid);
	assert_true(first.server_version >= 100000);
	assert_false(first.in_hot_standby);
	assert_true(strlen(first.tls) > 0);
	suite_close(the_env, one);
	suite_close(the_env, two);
}

/*
 * ---- asking
 * --------------------------------------------------------------------------------------
 */

static void an_answer_is_the_first_row(void **state)
{
	struct wi_answer answer;
	void *conn = suite_open(the_env);

	(void)state;
	memset(&answer, 0xff, sizeof(answer));
	assert_int_equal(suite_ask(the_env, conn, SUITE_ROW, &answer, NULL), WI_STEP_DONE);
	assert_int_equal(answer.columns, 3);
	assert_true(answer.has_row);
	assert_string_equal(answer.value[0], "7");
	assert_false(answer.is_null[0]);
	assert_string_equal(answer.value[1], "");
	assert_true(answer.is_null[1]);
	assert_string_equal(answer.value[2], "word");
	assert_look(conn, WI_LOOK_CLEAN);
	suite_close(the_env, conn);
}

static void an_answer_without_a_row_says_so(void **state)
{
	struct wi_answer answer;
	void *conn = suite_open(the_env);

	(void)state;
	memset(&answer, 0xff, sizeof(answer));
	assert_int_equal(suite_ask(the_env, conn, SUITE_NO_ROW, &answer, NULL), WI_STEP_DONE);
	assert_int_equal(answer.columns, 1);
	assert_false(answer.has_row);
	memset(&answer, 0xff, sizeof(answer));
	assert_int_equal(suite_ask(the_env, conn, "BEGIN; COMMIT", &answer, NULL), WI_STEP_DONE);
	assert_int_equal(answer.columns, 0);
	assert_false(answer.has_row);
	suite_close(the_env, conn);
}

static void nobody_need_want_the_answer(void **state)
{
	void *conn = suite_open(the_env);

	(void)state;
	assert_int_equal(suite_ask(the_env, conn, SUITE_ROW, NULL, NULL), WI_STEP_DONE);
	assert_look(conn, WI_LOOK_CLEAN);
	suite_close(the_env, conn);
}

static void an_error_is_told_and_the_connection_lives(void **state)
{
	struct wi_failure failure = {0};
	struct wi_answer answer;
	void *conn = suite_open(the_env);

	(void)state;
	assert_int_equal(suite_ask(the_env, conn, SUITE_ERROR, &answer, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_SQL);
	assert_string_equal(failure.sqlstate, "22012");
	assert_secretless(&failure);
	assert_look(conn, WI_LOOK_CLEAN);
	assert_int_equal(suite_ask(the_env, conn, SUITE_ROW, &answer, &failure), WI_STEP_DONE);
	assert_string_equal(answer.value[0], "7");
	suite_close(the_env, conn);
}

static void a_transaction_is_seen_until_it_ends(void **state)
{
	void *conn = suite_open(the_env);

	(void)state;
	assert_int_equal(suite_ask(the_env, conn, "BEGIN", NULL, NULL), WI_STEP_DONE);
	assert_look(conn, WI_LOOK_IN_TX);
	assert_int_equal(suite_ask(the_env, conn, "COMMIT", NULL, NULL), WI_STEP_DONE);
	assert_look(conn, WI_LOOK_CLEAN);
	suite_close(the_env, conn);
}

static uint64_t commits_of(void *conn)
{
	struct wi_facts facts;

	the_env->driver->facts(conn, &facts);
	return facts.commits;
}

static void what_commits_is_counted(void **state)
{
	void *conn = suite_open(the_env);
	uint64_t before = commits_of(conn);

	(void)state;
	suite_ask(the_env, conn, "BEGIN", NULL, NULL);
	suite_ask(the_env, conn, "ROLLBACK", NULL, NULL);
	assert_int_equal(commits_of(conn), before);
	suite_ask(the_env, conn, "BEGIN", NULL, NULL);
	suite_ask(the_env, conn, "COMMIT", NULL, NULL);
	assert_int_equal(commits_of(conn), before + 1);
	suite_ask(the_env, conn, "BEGIN", NULL, NULL);
	suite_ask(the_env, conn, SUITE_ERROR, NULL, NULL);
	suite_ask(the_env, conn, "COMMIT", NULL, NULL); /* which is answered by ROLLBACK */
	assert_int_equal(commits_of(conn), before + 1);
	suite_close(the_env, conn);
}

static void a_failed_transaction_is_a_transaction(void **state)
{
	void *conn = suite_open(the_env);

	(void)state;
	suite_ask(the_env, conn, "BEGIN", NULL, NULL);
	assert_int_equal(suite_ask(the_env, conn, SUITE_ERROR, NULL, NULL), WI_STEP_FAILED);
	assert_look(conn, WI_LOOK_IN_TX);
	assert_int_equal(suite_ask(the_env, conn, "ROLLBACK", NULL, NULL), WI_STEP_DONE);
	assert_look(conn, WI_LOOK_CLEAN);
	suite_close(the_env, conn);
}

static void discard_all_needs_a_rollback_first(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(the_env);

	(void)state;
	suite_ask(the_env, conn, "BEGIN", NULL, NULL);
	assert_int_equal(suite_ask(the_env, conn, "DISCARD ALL", NULL, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_SQL);
	assert_string_equal(failure.sqlstate, "25001");
	assert_int_equal(suite_ask(the_env, conn, "ROLLBACK", NULL, NULL), WI_STEP_DONE);
	assert_int_equal(suite_ask(the_env, conn, SUITE_SET, NULL, NULL), WI_STEP_DONE);
	assert_int_equal(suite_ask(the_env, conn, "DISCARD ALL", NULL, NULL), WI_STEP_DONE);
	suite_close(the_env, conn);
}

static void two_at_once_are_two_transactions(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(the_env);

	(void)state;
	for (int i = 0; i < 3; i++) {
		suite_ask(the_env, conn, i ? "BEGIN" : SUITE_SET, NULL, NULL);
		assert_true(the_env->driver->send_two(conn, "ROLLBACK", "DISCARD ALL", &failure));
		assert_look(conn, WI_LOOK_BUSY);
		assert_int_equal(suite_answer_to_end(the_env, conn, NULL, &failure), WI_STEP_DONE);
		the_env->driver->mark_clean(conn);
		assert_look(conn, WI_LOOK_CLEAN);
		assert_int_equal(suite_ask(the_env, conn, SUITE_ROW, NULL, NULL), WI_STEP_DONE);
	}
	suite_close(the_env, conn);
}

static void await_readable(void *conn)
{
	struct pollfd p = {.fd = the_env->driver->fd(conn), .events = POLLIN | POLLRDHUP};

	assert_int_equal(poll(&p, 1, (int)(PATIENCE / WI_MS)), 1);
}

/* The second is run all the same, and the first error is told. */
static void an_error_in_one_of_two_is_told(void **state)
{
	static const char *const pairs[][2] = {{SUITE_ERROR, "BEGIN"}, {"BEGIN", SUITE_ERROR}};

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(pairs); i++) {
		struct wi_failure failure = {0};
		void *conn = suite_open(the_env);
		struct wi_facts facts;

		assert_true(the_env->driver->send_two(conn, pairs[i][0], pairs[i][1], &failure));
		assert_int_equal(suite_answer_to_end(the_env, conn, NULL, &failure),
		                 WI_STEP_FAILED);
		assert_int_equal(failure.fault, WI_FAULT_SQL);
		the_env->driver->facts(conn, &facts);
		assert_int_equal(facts.succeeded, i); /* of those before the one that did not */
		assert_int_equal(facts.in_failed_tx, i == 1);
		assert_look(conn, WI_LOOK_IN_TX);
		assert_int_equal(suite_ask(the_env, conn, "ROLLBACK", NULL, NULL), WI_STEP_DONE);
		suite_close(the_env, conn);
	}
}

static void a_death_in_two_is_explained(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(the_env);

	(void)state;
	assert_true(the_env->kill(the_env->arg));
	(void)(the_env->driver->send_two(conn, "ROLLBACK", "DISCARD ALL", &failure) &&
	       suite_answer_to_end(the_env, conn, NULL, &failure));
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_look(conn, WI_LOOK_DEAD);
	suite_close(the_env, conn);
}

/* Else a COMMIT that never left would pass for one that took effect, by what was sent before it. */
static void what_cannot_be_sent_has_not_succeeded(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(the_env);
	struct wi_facts facts;

	(void)state;
	assert_int_equal(suite_ask(the_env, conn, "BEGIN", NULL, NULL), WI_STEP_DONE);
	the_env->driver->facts(conn, &facts);
	assert_int_equal(facts.succeeded, 1);
	assert_true(the_env->kill(the_env->arg));
	await_readable(conn);
	assert_false(the_env->driver->peek(conn, &failure));
	assert_false(the_env->driver->send_two(conn, "COMMIT", SUITE_ROW, &failure));
	the_env->driver->facts(conn, &facts);
	assert_int_equal(facts.succeeded, 0);
	suite_close(the_env, conn);
}

/* Several statements in one string are a transaction of their own. */
static void discard_all_goes_alone(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(the_env);

	(void)state;
	assert_int_equal(suite_ask(the_env, conn, "ROLLBACK; DISCARD ALL", NULL, &failure),
	                 WI_STEP_FAILED);
	assert_string_equal(failure.sqlstate, "25001");
	assert_look(conn, WI_LOOK_CLEAN);
	suite_close(the_env, conn);
}

/* A driver may know that it was reset, or not: whoever resets it marks it clean. */
static void a_changed_setting_is_seen_until_it_is_reset_and_marked(void **state)
{
	void *conn = suite_open(the_env);

	(void)state;
	assert_int_equal(suite_ask(the_env, conn, SUITE_SET, NULL, NULL), WI_STEP_DONE);
	assert_look(conn, WI_LOOK_CHANGED);
	assert_int_equal(suite_ask(the_env, conn, "RESET ALL", NULL, NULL), WI_STEP_DONE);
	the_env->driver->mark_clean(conn);
	assert_look(conn, WI_LOOK_CLEAN);
	suite_close(the_env, conn);
}

static void what_is_marked_clean_is_clean(void **state)
{
	void *conn = suite_open(the_env);

	(void)state;
	suite_ask(the_env, conn, SUITE_SET, NULL, NULL);
	assert_look(conn, WI_LOOK_CHANGED);
	the_env->driver->mark_clean(conn);
	assert_look(conn, WI_LOOK_CLEAN);
	suite_close(the_env, conn);
}

/* Sends a query that will not be answered soon, and sees that it is not. */
static void ask_slowly(void *conn)
{
	struct wi_failure failure = {0};

	if (the_env->slow)
		the_env->slow(the_env->arg, true);
	assert_true(the_env->driver->send(conn, SUITE_SLOW, &failure));
	if (the_env->slow)
		the_env->slow(the_env->arg, false);
	assert_look(conn, WI_LOOK_BUSY);
	assert_true(
		goes_on(answer_until(the_env, conn, NULL, &failure, wi_now_ns() + 100 * WI_MS)));
	assert_look(conn, WI_LOOK_BUSY);
}

static void an_unanswered_query_is_busy(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(the_env);

	(void)state;
	ask_slowly(conn);
	assert_false(the_env->driver->send(conn, SUITE_ROW, &failure)); /* one at a time */
	assert_look(conn, WI_LOOK_DEAD);
	assert_true(the_env->kill(the_env->arg));
	suite_close(the_env, conn);
}

static void drain_to_end(void *conn)
{
	int64_t deadline = wi_now_ns() + PATIENCE;
	struct wi_failure failure = {0};
	size_t room = 1 << 20;
	enum wi_step step;

	while (goes_on(step = the_env->driver->drain_step(conn, &room, &failure))) {
		assert_true(wi_now_ns() < deadline);
		wait_for_step(the_env, conn, step, wi_now_ns() + 5 * WI_MS);
	}
	if (step != WI_STEP_DONE)
		fail_msg("%s", failure.text);
}

/* Asks the server to stop what conn does; whether there was something to ask with. */
static bool cancel(void *conn)
{
	void *request = the_env->driver->cancel_make(conn);

	if (!request)
		return false;
	assert_true(the_env->driver->cancel_ask(request));
	the_env->driver->cancel_free(request);
	return true;
}

static void what_is_under_way_is_cancelled_and_read_out(void **state)
{
	void *conn = suite_open(the_env);
	struct wi_failure failure = {0};
	size_t room = 1 << 20;

	(void)state;
	ask_slowly(conn);
	assert_true(goes_on(the_env->driver->drain_step(conn, &room, &failure)));
	assert_look(conn, WI_LOOK_BUSY);
	assert_true(cancel(conn));
	drain_to_end(conn);
	assert_look(conn, WI_LOOK_CLEAN);
	assert_int_equal(suite_ask(the_env, conn, SUITE_ROW, NULL, NULL), WI_STEP_DONE);
	suite_close(the_env, conn);
}

static void a_cancel_hits_nothing_that_is_sent_after_it(void **state)
{
	void *conn = suite_open(the_env);

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_true(cancel(conn));
		assert_int_equal(suite_ask(the_env, conn, SUITE_ROW, NULL, NULL), WI_STEP_DONE);
	}
	suite_close(the_env, conn);
}

static void a_cancel_outlives_its_connection(void **state)
{
	void *one = suite_open(the_env), *two, *request = the_env->driver->cancel_make(one);

	(void)state;
	assert_non_null(request);
	suite_close(the_env, one);
	two = suite_open(the_env);
	(void)the_env->driver->cancel_ask(request); /* whatever it says, it hits nobody */
	the_env->driver->cancel_free(request);
	assert_int_equal(suite_ask(the_env, two, SUITE_ROW, NULL, NULL), WI_STEP_DONE);
	suite_close(the_env, two);
}

static void what_is_there_already_is_read_out_without_a_cancel(void **state)
{
	void *conn = suite_open(the_env);
	struct wi_failure failure;

	(void)state;
	assert_true(the_env->driver->send(conn, "BEGIN", &failure));
	drain_to_end(conn);
	assert_false(the_env->driver->look(conn) == WI_LOOK_BUSY);
	suite_ask(the_env, conn, "ROLLBACK", NULL, NULL);
	assert_int_equal(suite_ask(the_env, conn, SUITE_ROW, NULL, NULL), WI_STEP_DONE);
	suite_close(the_env, conn);
}

static void tidy_leaves_a_clean_connection_clean(void **state)
{
	void *conn = suite_open(the_env);

	(void)state;
	the_env->driver->tidy(conn);
	assert_look(conn, WI_LOOK_CLEAN);
	suite_ask(the_env, conn, "BEGIN", NULL, NULL);
	the_env->driver->tidy(conn);
	assert_look(conn, WI_LOOK_IN_TX);
	suite_close(the_env, conn);
}

/*
 * ---- dying
 * ---------------------------------------------------------------------------------------
 */

static void a_death_while_idle_wakes_the_descriptor_and_is_explained(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(the_env);

	(void)state;
	assert_true(the_env->kill(the_env->arg));
	await_readable(conn);
	assert_false(the_env->driver->peek(conn, &failure));
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_string_equal(failure.sqlstate, "57P01");
	assert_secretless(&failure);
	assert_look(conn, WI_LOOK_DEAD);
	assert_false(the_env->driver->peek(conn, &failure)); /* and stays dead */
	assert_string_equal(failure.sqlstate, "57P01");
	suite_close(the_env, conn);
	await_sessions(0);
}

static void a_death_in_a_query_is_explained(void **state)
{
	struct wi_failure failure = {0};
	struct wi_answer answer;
	void *conn = suite_open(the_env);

	(void)state;
	ask_slowly(conn);
	assert_true(the_env->kill(the_env->arg));
	assert_int_equal(suite_answer_to_end(the_env, conn, &answer, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_string_equal(failure.sqlstate, "57P01");
	assert_secretless(&failure);
	assert_look(conn, WI_LOOK_DEAD);
	suite_close(the_env, conn);
}

static void a_query_on_a_dead_connection_fails_as_lost(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(the_env);

	(void)state;
	assert_true(the_env->kill(the_env->arg));
	await_readable(conn);
	assert_int_equal(suite_ask(the_env, conn, SUITE_ROW, NULL, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_secretless(&failure);
	assert_look(conn, WI_LOOK_DEAD);
	suite_close(the_env, conn);
}

static void peek_disturbs_nothing_that_lives(void **state)
{
	struct wi_failure failure = {0};
	struct wi_answer answer;
	void *conn = suite_open(the_env);

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(the_env->driver->peek(conn, &failure));
		assert_int_equal(suite_ask(the_env, conn, SUITE_ROW, &answer, NULL), WI_STEP_DONE);
		assert_string_equal(answer.value[2], "word");
	}
	suite_close(the_env, conn);
}

/* From another thread than the holder's. */
static void *run_cutter(void *conn)
{
	the_env->driver->cut(conn);
	return NULL;
}

static void a_cut_connection_is_gone_on_the_server_and_fails_its_holder(void **state)
{
	struct wi_failure failure = {0};
	void *conn = suite_open(the_env);
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, run_cutter, conn), 0);
	pthread_join(thread, NULL);
	await_sessions(0);
	assert_int_equal(suite_ask(the_env, conn, SUITE_ROW, NULL, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_look(conn, WI_LOOK_DEAD);
	close(the_env->driver->close(conn));
}

/*
 * ---- ending
 * --------------------------------------------------------------------------------------
 */

static void the_server_counts_a_session_until_the_awaited_end(void **state)
{
	void *one, *two;

	(void)state;
	await_sessions(0);
	one = suite_open(the_env);
	two = suite_open(the_env);
	assert_int_equal(the_env->sessions(the_env->arg), 2);
	suite_close(the_env, one);
	assert_int_equal(the_env->sessions(the_env->arg), 1);
	suite_close(the_env, two);
	assert_int_equal(the_env->sessions(the_env->arg), 0);
}

/* That the server still counts the session shows that close did not wait for it. */
static void closing_a_busy_connection_does_not_wait(void **state)
{
	void *conn = suite_open(the_env);
	int fd;

	(void)state;
	ask_slowly(conn);
	fd = the_env->driver->close(conn);
	if (the_env->sessions(the_env->arg) == 1)
		assert_true(the_env->kill(the_env->arg));
	suite_await_end(fd);
	assert_int_equal(the_env->sessions(the_env->arg), 0);
}

static void closing_in_a_transaction_ends_it(void **state)
{
	void *conn = suite_open(the_env);

	(void)state;
	assert_int_equal(suite_ask(the_env, conn, "BEGIN", NULL, NULL), WI_STEP_DONE);
	suite_close(the_env, conn);
	assert_int_equal(the_env->sessions(the_env->arg), 0);
}

static void a_child_that_abandons_leaves_the_session_to_its_parent(void **state)
{
	struct wi_answer answer;
	void *conn = suite_open(the_env);
	int status = -1;
	pid_t child;

	(void)state;
	child = fork();
	if (child == 0) {
		the_env->driver->abandon(conn);
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(the_env->sessions(the_env->arg), 1);
	assert_int_equal(suite_ask(the_env, conn, SUITE_ROW, &answer, NULL), WI_STEP_DONE);
	assert_string_equal(answer.value[0], "7");
	suite_close(the_env, conn);
}

/*
 * ---- many at once
 * --------------------------------------------------------------------------------
 */

#define WORKERS 4
#define ROUNDS 5

/* One thread's connections, from open to close; how many rounds came to what they should. */
static void *run_worker(void *arg)
{
	int64_t deadline = wi_now_ns() + PATIENCE;
	int *good = arg;

	for (int i = 0; i < ROUNDS; i++) {
		const char *address = NULL;
		const struct wi_target *target =
			the_env->target(the_env->arg, PLACE_GOOD, &address);
		void *conn = the_env->driver->connect(target, address);
		struct wi_failure failure;
		struct wi_answer answer;

		if (!conn)
			break;
		if (connect_until(the_env, conn, &failure, deadline) == WI_STEP_DONE &&
		    the_env->driver->send(conn, SUITE_ROW, &failure) &&
		    answer_until(the_env, conn, &answer, &failure, deadline) == WI_STEP_DONE &&
		    strcmp(answer.value[0], "7") == 0 &&
		    the_env->driver->look(conn) == WI_LOOK_CLEAN)
			*good += 1;
		close(the_env->driver->close(conn));
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
	await_sessions(0);
}

static void want_of_memory_is_told_and_nothing_is_lost(void **state)
{
	const char *address = NULL;
	const struct wi_target *target = the_env->target(the_env->arg, PLACE_GOOD, &address);
	size_t blocks = wi_alloc_blocks();
	void *conn = NULL;

	(void)state;
	for (int i = 1; !conn; i++) {
		assert_true(i < 20);
		wi_alloc_fail_at(i);
		conn = the_env->driver->connect(target, address);
		if (!conn)
			assert_int_equal(wi_alloc_blocks(), blocks);
		if (conn && i == 1)
			fail_msg("a connection was made of no memory");
		wi_alloc_fail_at(0);
	}
	suite_close(the_env, conn);
	await_sessions(0);
	assert_int_equal(wi_alloc_blocks(), blocks);
}

/*
 * ---- all of it
 * -----------------------------------------------------------------------------------
 */

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static size_t blocks_before;
static int descriptors_before;

/* The last test: everything before has given back what it took. */
static void nothing_is_left_behind(void **state)
{
	(void)state;
	await_sessions(0);
	assert_int_equal(wi_alloc_blocks(), blocks_before);
	assert_int_equal(count_descriptors(), descriptors_before);
}

static int watch(void **state)
{
	(void)state;
	test_watchdog(60, "a truth about the driver");
	return 0;
}

static int unwatch(void **state)
{
	(void)state;
	test_watchdog(0, NULL);
	return 0;
}

#define TRUTH(test) cmocka_unit_test_setup_teardown(test, watch, unwatch)

int driver_suite_run(const char *name, const struct driver_env *env)
{
	const struct CMUnitTest truths[] = {
		TRUTH(a_new_connection_is_clean_and_alive),
		TRUTH(a_good_target_passes_the_check),
		TRUTH(a_step_too_many_does_no_harm),
		TRUTH(where_nobody_listens_it_is_refused),
		TRUTH(wrong_credentials_are_told_as_such_and_kept_secret),
		TRUTH(an_unknown_database_is_told_as_such),
		TRUTH(a_full_server_is_told_as_such),
		TRUTH(a_silent_server_is_waited_for_until_the_caller_closes),
		TRUTH(a_connect_can_be_given_up_at_any_step),
		TRUTH(the_facts_are_those_of_an_open_connection),
		TRUTH(an_answer_is_the_first_row),
		TRUTH(an_answer_without_a_row_says_so),
		TRUTH(nobody_need_want_the_answer),
		TRUTH(an_error_is_told_and_the_connection_lives),
		TRUTH(a_transaction_is_seen_until_it_ends),
		TRUTH(what_commits_is_counted),
		TRUTH(a_failed_transaction_is_a_transaction),
		TRUTH(discard_all_needs_a_rollback_first),
		TRUTH(two_at_once_are_two_transactions),
		TRUTH(an_error_in_one_of_two_is_told),
		TRUTH(a_death_in_two_is_explained),
		TRUTH(what_cannot_be_sent_has_not_succeeded),
		TRUTH(discard_all_goes_alone),
		TRUTH(a_changed_setting_is_seen_until_it_is_reset_and_marked),
		TRUTH(what_is_marked_clean_is_clean),
		TRUTH(an_unanswered_query_is_busy),
		TRUTH(what_is_under_way_is_cancelled_and_read_out),
		TRUTH(a_cancel_hits_nothing_that_is_sent_after_it),
		TRUTH(a_cancel_outlives_its_connection),
		TRUTH(what_is_there_already_is_read_out_without_a_cancel),
		TRUTH(tidy_leaves_a_clean_connection_clean),
		TRUTH(a_death_while_idle_wakes_the_descriptor_and_is_explained),
		TRUTH(a_death_in_a_query_is_explained),
		TRUTH(a_query_on_a_dead_connection_fails_as_lost),
		TRUTH(peek_disturbs_nothing_that_lives),
		TRUTH(a_cut_connection_is_gone_on_the_server_and_fails_its_holder),
		TRUTH(the_server_counts_a_session_until_the_awaited_end),
		TRUTH(closing_a_busy_connection_does_not_wait),
		TRUTH(closing_in_a_transaction_ends_it),
		TRUTH(a_child_that_abandons_leaves_the_session_to_its_parent),
		TRUTH(connections_of_different_threads_do_not_meet),
		TRUTH(want_of_memory_is_told_and_nothing_is_lost),
		TRUTH(nothing_is_left_behind),
	};

	the_env = env;
	blocks_before = wi_alloc_blocks();
	descriptors_before = count_descriptors();
	return calls_suite_run(name, env) + cmocka_run_group_tests_name(name, truths, NULL, NULL);
}

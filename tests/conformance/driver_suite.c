/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What any driver must do. Each test is a truth about src/driver/driver.h, named by what it says;
 * none knows which driver it runs. They are in connect_suite.c, ask_suite.c, end_suite.c and
 * calls_suite.c; here is what they step with, and the whole of it.
 */
#include "conformance/driver_suite.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "conformance/suite_inside.h"
#include "support/watchdog.h"

const struct driver_env *suite_env;

/* ---- stepping ---- */

void suite_wait_for_step(const struct driver_env *env, void *conn, enum wi_step step,
                         int64_t deadline)
{
	struct pollfd p = {.fd = env->driver->fd(conn),
	                   .events = step == WI_STEP_READ ? POLLIN : POLLOUT};
	int64_t due = env->driver->due(conn);

	if (due > deadline)
		due = deadline;
	poll(&p, 1, wi_poll_ms(wi_now_ns(), due)); /* a negative descriptor is passed over */
}

bool suite_goes_on(enum wi_step step)
{
	return step == WI_STEP_READ || step == WI_STEP_WRITE;
}

/* Steps until the end or the deadline. */
enum wi_step suite_connect_until(const struct driver_env *env, void *conn,
                                 struct wi_failure *failure, int64_t deadline)
{
	enum wi_step step = env->driver->connect_step(conn, failure);

	while (suite_goes_on(step) && wi_now_ns() < deadline) {
		suite_wait_for_step(env, conn, step, deadline);
		step = env->driver->connect_step(conn, failure);
	}
	return step;
}

enum wi_step suite_answer_until(const struct driver_env *env, void *conn, struct wi_answer *answer,
                                struct wi_failure *failure, int64_t deadline)
{
	enum wi_step step = env->driver->answer_step(conn, answer, failure);

	while (suite_goes_on(step) && wi_now_ns() < deadline) {
		suite_wait_for_step(env, conn, step, deadline);
		step = env->driver->answer_step(conn, answer, failure);
	}
	return step;
}

enum wi_step suite_connect_to_end(const struct driver_env *env, void *conn,
                                  struct wi_failure *failure)
{
	enum wi_step step = suite_connect_until(env, conn, failure, wi_now_ns() + SUITE_PATIENCE);

	assert_false(suite_goes_on(step));
	return step;
}

enum wi_step suite_answer_to_end(const struct driver_env *env, void *conn, struct wi_answer *answer,
                                 struct wi_failure *failure)
{
	enum wi_step step =
		suite_answer_until(env, conn, answer, failure, wi_now_ns() + SUITE_PATIENCE);

	assert_false(suite_goes_on(step));
	return step;
}

void *suite_begin(const struct driver_env *env, enum driver_place place)
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
	void *conn = suite_begin(env, PLACE_GOOD);

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
	int64_t deadline = wi_now_ns() + SUITE_PATIENCE;
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
void suite_await_sessions(int wanted)
{
	int64_t deadline = wi_now_ns() + SUITE_PATIENCE;

	while (suite_env->sessions(suite_env->arg) != wanted) {
		assert_true(wi_now_ns() < deadline);
		poll(NULL, 0, 5);
	}
}

void suite_assert_secretless(const struct wi_failure *failure)
{
	assert_true(strlen(failure->text) > 0);
	assert_null(strstr(failure->text, SUITE_SECRET));
	assert_null(strstr(failure->text, "canary"));
	assert_null(strpbrk(failure->text, "\n\r\t"));
}

void suite_assert_look(void *conn, enum wi_look look)
{
	assert_int_equal(suite_env->driver->look(conn), look);
}

void suite_await_readable(void *conn)
{
	struct pollfd p = {.fd = suite_env->driver->fd(conn), .events = POLLIN | POLLRDHUP};

	assert_int_equal(poll(&p, 1, (int)(SUITE_PATIENCE / WI_MS)), 1);
}

/* Sends a query that will not be answered soon, and sees that it is not. */
void suite_ask_slowly(void *conn)
{
	struct wi_failure failure = {0};

	if (suite_env->slow)
		suite_env->slow(suite_env->arg, true);
	assert_true(suite_env->driver->send(conn, SUITE_SLOW, &failure));
	if (suite_env->slow)
		suite_env->slow(suite_env->arg, false);
	suite_assert_look(conn, WI_LOOK_BUSY);
	assert_true(suite_goes_on(
		suite_answer_until(suite_env, conn, NULL, &failure, wi_now_ns() + 100 * WI_MS)));
	suite_assert_look(conn, WI_LOOK_BUSY);
}

/* ---- all of it ---- */

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
	suite_await_sessions(0);
	assert_int_equal(wi_alloc_blocks(), blocks_before);
	assert_int_equal(count_descriptors(), descriptors_before);
}

int suite_watch(void **state)
{
	(void)state;
	test_watchdog(60, "a truth about the driver");
	return 0;
}

int suite_unwatch(void **state)
{
	(void)state;
	test_watchdog(0, NULL);
	return 0;
}

int driver_suite_run(const char *name, const struct driver_env *env)
{
	const struct CMUnitTest last[] = {
		SUITE_TRUTH(nothing_is_left_behind),
	};
	int failed;

	suite_env = env;
	blocks_before = wi_alloc_blocks();
	descriptors_before = count_descriptors();
	failed = suite_run_calls(name);
	failed += suite_run_connect(name);
	failed += suite_run_ask(name);
	failed += suite_run_end(name);
	return failed + cmocka_run_group_tests_name(name, last, NULL, NULL);
}

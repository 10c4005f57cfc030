/* SPDX-License-Identifier: BSD-2-Clause */
/* The fake driver's script: what a test tells the server is what connections see, on any clock. */
#include "driver/fake.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"

static const struct wi_driver *const driver = &wi_driver_fake;

static struct wi_fake_server server;
static struct wi_target target = {.script = &server};
static int64_t virtual_now;

static int64_t read_virtual(void)
{
	return virtual_now;
}

static int on_the_real_clock(void **state)
{
	(void)state;
	wi_fake_server_init(&server);
	return 0;
}

static int on_a_virtual_clock(void **state)
{
	(void)state;
	wi_fake_server_init(&server);
	server.now = read_virtual;
	virtual_now = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wi_fake_server_fini(&server);
	return 0;
}

/* Connects where that takes no time. */
static void *open_now(void)
{
	struct wi_failure failure = {0};
	void *conn = driver->connect(&target, NULL);

	assert_non_null(conn);
	assert_int_equal(driver->connect_step(conn, &failure), WI_STEP_DONE);
	return conn;
}

static enum wi_fault connect_fault(void)
{
	struct wi_failure failure = {0};
	void *conn = driver->connect(&target, NULL);
	enum wi_step step = driver->connect_step(conn, &failure);

	assert_true(step == WI_STEP_DONE || step == WI_STEP_FAILED);
	if (step == WI_STEP_FAILED)
		assert_true(strlen(failure.text) > 0);
	close(driver->close(conn));
	return failure.fault;
}

static bool has_ended(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;

	return poll(&p, 1, 0) == 1 && read(fd, &byte, 1) == 0;
}

static void connects_and_answers_take_their_time(void **state)
{
	struct wi_failure failure;
	struct wi_answer answer;
	void *conn;

	(void)state;
	server.connect_ns = 1000;
	server.answer_ns = 50;
	conn = driver->connect(&target, NULL);
	assert_int_equal(driver->due(conn), 1000);
	virtual_now = 999;
	assert_int_equal(driver->connect_step(conn, &failure), WI_STEP_READ);
	assert_int_equal(server.connected, 0);
	virtual_now = 1000;
	assert_int_equal(driver->connect_step(conn, &failure), WI_STEP_DONE);
	assert_int_equal(server.connected, 1);
	assert_int_equal(driver->due(conn), WI_FOREVER);
	assert_true(driver->send(conn, "SELECT 1", &failure));
	assert_int_equal(driver->due(conn), 1050);
	assert_int_equal(driver->answer_step(conn, &answer, &failure), WI_STEP_READ);
	virtual_now = 1050;
	assert_int_equal(driver->answer_step(conn, &answer, &failure), WI_STEP_DONE);
	assert_false(answer.has_row);
	assert_int_equal(server.queries, 1);
	close(driver->close(conn));
}

static void the_next_connects_fail_and_then_no_more(void **state)
{
	(void)state;
	server.connect_fault = WI_FAULT_STARTING;
	server.fail_connects = 2;
	assert_int_equal(connect_fault(), WI_FAULT_STARTING);
	assert_int_equal(connect_fault(), WI_FAULT_STARTING);
	assert_int_equal(connect_fault(), WI_FAULT_NONE);
	server.fail_connects = 1;
	assert_int_equal(connect_fault(), WI_FAULT_REFUSED);
	assert_int_equal(connect_fault(), WI_FAULT_NONE);
	server.connect_fault = WI_FAULT_TLS;
	assert_int_equal(connect_fault(), WI_FAULT_TLS);
	assert_int_equal(connect_fault(), WI_FAULT_TLS);
	assert_int_equal(server.connects, 7);
	assert_int_equal(server.connected, 2);
}

static void every_fault_can_be_scripted(void **state)
{
	(void)state;
	for (int fault = WI_FAULT_REFUSED; fault <= WI_FAULT_MEMORY; fault++) {
		server.connect_fault = fault;
		assert_int_equal(connect_fault(), fault);
	}
}

static void a_full_server_refuses_until_a_session_is_gone(void **state)
{
	void *one, *two;
	int fd;

	(void)state;
	server.max_sessions = 2;
	server.goodbye_ns = 100;
	one = open_now();
	two = open_now();
	assert_int_equal(connect_fault(), WI_FAULT_CAPACITY);
	fd = driver->close(one);
	assert_int_equal(connect_fault(), WI_FAULT_CAPACITY); /* the goodbye takes its time */
	assert_false(has_ended(fd));
	assert_int_equal(wi_fake_settle(&server), 100);
	virtual_now = 100;
	one = open_now(); /* settles by itself */
	assert_true(has_ended(fd));
	assert_int_equal(server.sessions, 2);
	assert_int_equal(server.sessions_peak, 2);
	close(fd);
	close(driver->close(one));
	close(driver->close(two));
	virtual_now = 1000;
	assert_int_equal(wi_fake_settle(&server), WI_FOREVER);
	assert_int_equal(server.sessions, 0);
	assert_int_equal(server.closes, 3);
}

/* Nobody calls: the session ends by itself, and not before its time. */
static void a_goodbye_that_takes_time_ends_by_itself(void **state)
{
	struct pollfd p = {.events = POLLIN};
	int64_t begin;
	void *conn;
	int left;

	(void)state;
	server.goodbye_ns = 60 * WI_MS;
	for (int i = 0; i < 3; i++) {
		conn = open_now();
		begin = wi_now_ns();
		p.fd = driver->close(conn);
		left = wi_load_rlx(&server.sessions);
		assert_true(left == 1 || wi_now_ns() - begin >= 60 * WI_MS);
		assert_int_equal(poll(&p, 1, 30000), 1);
		assert_true(wi_now_ns() - begin >= 60 * WI_MS);
		assert_true(has_ended(p.fd));
		assert_int_equal(server.sessions, 0);
		close(p.fd);
	}
}

static void a_shorter_goodbye_overtakes_a_longer_one(void **state)
{
	struct pollfd p = {.events = POLLIN};
	int slow;

	(void)state;
	server.goodbye_ns = 600 * WI_SEC;
	slow = driver->close(open_now());
	server.goodbye_ns = 10 * WI_MS;
	p.fd = driver->close(open_now());
	assert_int_equal(poll(&p, 1, 30000), 1);
	assert_false(has_ended(slow));
	assert_int_equal(server.sessions, 1);
	close(p.fd);
	close(slow); /* fini does not wait for it */
}

static void what_falls_silent_is_never_answered(void **state)
{
	struct wi_failure failure;
	void *before = driver->connect(&target, NULL), *conn;

	(void)state;
	server.silent = true;
	assert_int_equal(driver->connect_step(before, &failure), WI_STEP_READ);
	assert_int_equal(driver->due(before), WI_FOREVER);
	conn = driver->connect(&target, NULL);
	server.silent = false;
	assert_int_equal(driver->connect_step(conn, &failure), WI_STEP_READ);
	assert_int_equal(driver->connect_step(before, &failure), WI_STEP_READ);
	assert_int_equal(server.sessions, 2);
	close(driver->close(before));
	close(driver->close(conn));
	conn = open_now();
	server.silent = true;
	assert_true(driver->send(conn, "SELECT 1", &failure));
	assert_int_equal(driver->due(conn), WI_FOREVER);
	assert_int_equal(driver->answer_step(conn, NULL, &failure), WI_STEP_READ);
	close(driver->close(conn));
}

static void a_kill_ends_one_or_all(void **state)
{
	struct wi_failure failure;
	void *one = open_now(), *two = open_now(), *three = open_now();

	(void)state;
	assert_true(wi_fake_kill_one(&server, wi_fake_serial(two)));
	assert_false(wi_fake_kill_one(&server, wi_fake_serial(two)));
	assert_true(driver->peek(one, &failure));
	assert_false(driver->peek(two, &failure));
	assert_string_equal(failure.sqlstate, "57P01");
	assert_int_equal(server.sessions, 2);
	assert_int_equal(wi_fake_kill(&server), 2);
	assert_int_equal(wi_fake_kill(&server), 0);
	assert_false(driver->peek(three, &failure));
	assert_int_equal(server.sessions, 0);
	close(driver->close(one));
	close(driver->close(two));
	close(driver->close(three));
	assert_int_equal(server.closes, 0); /* nobody said goodbye */
}

static void a_session_killed_while_it_connects_fails_the_connect(void **state)
{
	struct wi_failure failure;
	void *conn;

	(void)state;
	server.connect_ns = 100;
	conn = driver->connect(&target, NULL);
	assert_int_equal(wi_fake_kill(&server), 1);
	assert_int_equal(driver->connect_step(conn, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	close(driver->close(conn));
}

static void a_holder_leaves_a_connection_as_told(void **state)
{
	void *conn = open_now();

	(void)state;
	for (int look = WI_LOOK_CLEAN; look <= WI_LOOK_BUSY; look++) {
		wi_fake_leave(conn, (enum wi_look)look);
		assert_int_equal(driver->look(conn), look);
	}
	wi_fake_leave(conn, WI_LOOK_DEAD);
	assert_int_equal(driver->look(conn), WI_LOOK_DEAD);
	assert_int_equal(server.sessions, 0);
	close(driver->close(conn));
}

static void sql_is_obeyed_statement_by_statement(void **state)
{
	static const struct {
		const char *sql;
		enum wi_look look;
	} rows[] = {
		{"begin", WI_LOOK_IN_TX},
		{"SELECT 'SET x'", WI_LOOK_IN_TX},
		{"ROLLBACK", WI_LOOK_CLEAN},
		{"START TRANSACTION; SET a = 1", WI_LOOK_IN_TX},
		{"COMMIT", WI_LOOK_CHANGED},
		{"SELECT 1", WI_LOOK_CHANGED},
		{"ROLLBACK;\n  RESET ALL;", WI_LOOK_CLEAN},
		{"SET a = 1", WI_LOOK_CHANGED},
		{"DISCARD ALL;", WI_LOOK_CLEAN},
		{"", WI_LOOK_CLEAN},
		{";;", WI_LOOK_CLEAN},
	};
	struct wi_failure failure;
	void *conn = open_now();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(driver->send(conn, rows[i].sql, &failure));
		assert_int_equal(driver->look(conn), WI_LOOK_BUSY);
		assert_int_equal(driver->answer_step(conn, NULL, &failure), WI_STEP_DONE);
		if (driver->look(conn) != rows[i].look)
			fail_msg("%s", rows[i].sql);
	}
	close(driver->close(conn));
}

/* A query's answer by what the server knows of itself. */
static bool answer_role(struct wi_fake_server *s, const char *sql, struct wi_answer *answer,
                        struct wi_failure *failure)
{
	if (strcmp(sql, "die") == 0) {
		failure->fault = WI_FAULT_LOST;
		return false;
	}
	answer->columns = 1;
	answer->has_row = true;
	answer->value[0][0] = s->in_recovery ? 't' : 'f';
	return true;
}

static void the_hook_answers(void **state)
{
	struct wi_failure failure;
	struct wi_answer answer;
	struct wi_facts facts;
	void *conn;

	(void)state;
	server.answer = answer_role;
	server.in_recovery = true;
	conn = open_now();
	driver->facts(conn, &facts);
	assert_true(facts.in_hot_standby);
	assert_true(driver->send(conn, "SELECT pg_is_in_recovery()", &failure));
	assert_int_equal(driver->answer_step(conn, &answer, &failure), WI_STEP_DONE);
	assert_string_equal(answer.value[0], "t");
	assert_true(driver->send(conn, "die", &failure));
	assert_int_equal(driver->answer_step(conn, &answer, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_int_equal(driver->look(conn), WI_LOOK_DEAD);
	assert_int_equal(server.sessions, 0);
	assert_false(driver->send(conn, "SELECT 1", &failure));
	close(driver->close(conn));
}

#define THREADS 4
#define ROUNDS 200

static void *open_and_close(void *arg)
{
	struct wi_failure failure;
	int *good = arg;

	for (int i = 0; i < ROUNDS; i++) {
		void *conn = driver->connect(&target, NULL);
		enum wi_step step = driver->connect_step(conn, &failure);

		*good += step == WI_STEP_DONE || failure.fault == WI_FAULT_LOST ||
		         failure.fault == WI_FAULT_CAPACITY;
		driver->peek(conn, &failure);
		close(driver->close(conn));
	}
	return NULL;
}

static void threads_and_a_killer_leave_the_counts_right(void **state)
{
	pthread_t threads[THREADS];
	int good[THREADS] = {0};

	(void)state;
	server.goodbye_ns = WI_MS / 10;
	server.max_sessions = THREADS;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, &good[i]), 0);
	for (int i = 0; i < 100; i++)
		wi_fake_kill(&server);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(good[i], ROUNDS);
	}
	while (wi_fake_settle(&server) != WI_FOREVER)
		poll(NULL, 0, 1);
	assert_int_equal(server.sessions, 0);
	assert_true(server.sessions_peak <= THREADS);
	assert_int_equal(server.connects, THREADS * ROUNDS);
}

int main(void)
{
#define ON_REAL(test) cmocka_unit_test_setup_teardown(test, on_the_real_clock, tear_down)
#define ON_VIRTUAL(test) cmocka_unit_test_setup_teardown(test, on_a_virtual_clock, tear_down)
	const struct CMUnitTest tests[] = {
		ON_VIRTUAL(connects_and_answers_take_their_time),
		ON_VIRTUAL(the_next_connects_fail_and_then_no_more),
		ON_VIRTUAL(every_fault_can_be_scripted),
		ON_VIRTUAL(a_full_server_refuses_until_a_session_is_gone),
		ON_REAL(a_goodbye_that_takes_time_ends_by_itself),
		ON_REAL(a_shorter_goodbye_overtakes_a_longer_one),
		ON_VIRTUAL(what_falls_silent_is_never_answered),
		ON_REAL(a_kill_ends_one_or_all),
		ON_VIRTUAL(a_session_killed_while_it_connects_fails_the_connect),
		ON_REAL(a_holder_leaves_a_connection_as_told),
		ON_REAL(sql_is_obeyed_statement_by_statement),
		ON_REAL(the_hook_answers),
		ON_REAL(threads_and_a_killer_leave_the_counts_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Servers that say strange things, or nothing: a socket of the test's own plays them. */
#include "conformance/libpq_suite.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/line.h"

static const struct wi_driver *const driver = &wi_driver_libpq;

/* A server that is a socket of ours, and the connection to it. */
struct stranger {
	struct libpq_place place;
	void *conn;
	int peer;
};

/* Connects as far as the startup packet, and takes that. */
static void meet(struct stranger *s, const char *secret)
{
	int port, listener = libpq_bound_socket(&port);
	struct wi_failure failure;
	char packet[4096];

	assert_int_equal(listen(listener, 1), 0);
	libpq_make_place(&s->place, port, "shop", secret);
	libpq_set(&s->place, "sslmode", "disable");
	libpq_set(&s->place, "gssencmode", "disable");
	s->conn = driver->connect(libpq_target_of(&s->place), "127.0.0.1");
	assert_non_null(s->conn);
	libpq_await_readable(listener);
	s->peer = accept(listener, NULL, NULL);
	assert_true(s->peer >= 0);
	while (driver->connect_step(s->conn, &failure) == WI_STEP_WRITE)
		poll(NULL, 0, 1);
	assert_true(read(s->peer, packet, sizeof(packet)) > 8);
	close(listener);
}

static void say(struct stranger *s, const char *bytes, size_t n)
{
	assert_int_equal(write(s->peer, bytes, n), (ssize_t)n);
}

static void part(struct stranger *s)
{
	close(s->peer);
	close(driver->close(s->conn));
}

/* Is answered by these bytes and a hang-up. */
static void hear_stranger(const char *bytes, size_t n, const char *secret,
                          struct wi_failure *failure)
{
	struct stranger s;

	meet(&s, secret);
	say(&s, bytes, n);
	shutdown(s.peer, SHUT_WR);
	memset(failure, 0, sizeof(*failure));
	assert_int_equal(suite_connect_to_end(&libpq_env, s.conn, failure), WI_STEP_FAILED);
	part(&s);
}

/* An ErrorResponse with these fields, each a letter and a text; NULL for absent. */
static size_t error_response(char *to, const char *severity, const char *sqlstate,
                             const char *message)
{
	uint32_t length;
	size_t n = 5;

	n += (size_t)sprintf(to + n, "S%s", severity) + 1; /* and its end */
	n += (size_t)sprintf(to + n, "V%s", severity) + 1;
	if (sqlstate)
		n += (size_t)sprintf(to + n, "C%s", sqlstate) + 1;
	n += (size_t)sprintf(to + n, "M%s", message) + 1;
	to[n++] = '\0';
	to[0] = 'E';
	length = htonl((uint32_t)n - 1);
	memcpy(to + 1, &length, 4);
	return n;
}

static void hear_error(const char *sqlstate, const char *message, struct wi_failure *failure)
{
	char bytes[2048];

	hear_stranger(bytes, error_response(bytes, "FATAL", sqlstate, message), SUITE_SECRET,
	              failure);
}

static void a_server_that_starts_is_told_as_such(void **state)
{
	struct wi_failure failure;

	(void)state;
	hear_error("57P03", "das Datenbanksystem startet", &failure); /* in any language */
	assert_int_equal(failure.fault, WI_FAULT_STARTING);
	assert_string_equal(failure.sqlstate, "57P03");
	libpq_assert_has(failure.text, "FATAL: das Datenbanksystem startet");
}

static void a_pooler_that_refuses_options_is_told_as_such(void **state)
{
	struct wi_failure failure;

	(void)state;
	hear_error("08P01", "unsupported startup parameter: options", &failure);
	assert_int_equal(failure.fault, WI_FAULT_OPTIONS);
	hear_error("08P01", "no such user", &failure);
	assert_int_equal(failure.fault, WI_FAULT_AUTH);
}

static void an_error_without_sqlstate_is_judged_by_its_words(void **state)
{
	struct wi_failure failure;

	(void)state;
	hear_error(NULL, "sorry, too many clients already", &failure);
	assert_int_equal(failure.fault, WI_FAULT_CAPACITY);
	assert_string_equal(failure.sqlstate, "");
}

static void a_secret_that_a_server_says_is_not_repeated(void **state)
{
	struct wi_failure failure;

	(void)state;
	hear_error("28P01", "wrong: " SUITE_SECRET "\nand\033[31m " SUITE_SECRET, &failure);
	assert_int_equal(failure.fault, WI_FAULT_AUTH);
	assert_null(strstr(failure.text, "canary"));
	libpq_assert_has(failure.text, "wrong: *** and [31m ***");
}

#define WELCOME "R\0\0\0\10\0\0\0\0" READY /* AuthenticationOk */
#define READY "Z\0\0\0\5I"
#define COMPLETE "C\0\0\0\13SELECT\0" /* CommandComplete */

/* A stranger that lets us in, and is asked something. */
static void ask_stranger(struct stranger *s)
{
	struct wi_failure failure;

	meet(s, NULL);
	say(s, WELCOME, sizeof(WELCOME) - 1);
	assert_int_equal(suite_connect_to_end(&libpq_env, s->conn, &failure), WI_STEP_DONE);
	assert_true(driver->send(s->conn, "SELECT", &failure));
}

/*
 * An error and no end of it: close gives back what was heard. The sanitizers and valgrind see that.
 */
static void an_exchange_can_be_given_up_after_its_error(void **state)
{
	struct wi_failure failure;
	char bytes[256];
	struct stranger s;

	(void)state;
	ask_stranger(&s);
	say(&s, bytes, error_response(bytes, "ERROR", "22012", "division by zero"));
	libpq_await_readable(driver->fd(s.conn));
	assert_int_equal(driver->answer_step(s.conn, NULL, &failure), WI_STEP_READ);
	assert_int_equal(driver->look(s.conn), WI_LOOK_BUSY);
	part(&s);
	/* One that is the end of the session needs no other. */
	ask_stranger(&s);
	say(&s, bytes, error_response(bytes, "FATAL", "58000", "the server behind is gone"));
	libpq_await_readable(driver->fd(s.conn));
	assert_int_equal(driver->answer_step(s.conn, NULL, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_string_equal(failure.sqlstate, "58000");
	assert_int_equal(driver->look(s.conn), WI_LOOK_DEAD);
	part(&s);
}

/* A column, and a row with two of them: libpq takes it for an error, and goes on behind it. */
#define NO_SENSE                                                                                   \
	"T\0\0\0\x1a\0\1a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"                     \
	"D\0\0\0\xe\0\2\xff\xff\xff\xff\xff\xff\xff\xff"

/*
 * Nor does want of memory for the answer say that nothing was done: such an error of libpq's own
 * has no SQLSTATE, and the server may have committed.
 */
static void an_error_of_libpqs_own_is_none_of_the_servers(void **state)
{
	static const char answer[] = NO_SENSE COMPLETE READY;
	const struct wi_call call = {.sql = "SELECT 1"};
	struct pg_result *of[1] = {NULL};
	struct wi_results results = {.of = of};
	struct wi_failure failure;
	struct stranger s;

	(void)state;
	ask_stranger(&s);
	say(&s, answer, sizeof(answer) - 1);
	assert_int_equal(suite_answer_to_end(&libpq_env, s.conn, NULL, &failure), WI_STEP_FAILED);
	assert_int_equal(PQstatus(driver->pg(s.conn)), CONNECTION_OK);
	assert_int_equal(failure.fault, WI_FAULT_MEMORY);
	libpq_assert_has(failure.text, "unexpected field count");
	assert_int_equal(driver->look(s.conn), WI_LOOK_DEAD);
	part(&s);

	ask_stranger(&s);
	say(&s, COMPLETE READY, sizeof(COMPLETE READY) - 1);
	assert_int_equal(suite_answer_to_end(&libpq_env, s.conn, NULL, &failure), WI_STEP_DONE);
	assert_true(driver->send_calls(s.conn, &call, 1, &failure));
	say(&s, answer, sizeof(answer) - 1);
	for (enum wi_step step = WI_STEP_READ; step != WI_STEP_FAILED;) {
		libpq_await_readable(driver->fd(s.conn));
		step = driver->results_step(s.conn, &call, 1, &results, &failure);
		assert_int_not_equal(step, WI_STEP_DONE);
	}
	driver->result_free(of[0]);
	assert_int_equal(failure.fault, WI_FAULT_MEMORY);
	assert_int_equal(driver->look(s.conn), WI_LOOK_DEAD);
	part(&s);
}

static void last_words_right_behind_an_answer_end_the_connection(void **state)
{
	static const char answer[] = COMPLETE READY;
	struct wi_failure failure;
	char bytes[512];
	struct stranger s;
	size_t n = sizeof(answer) - 1;

	(void)state;
	ask_stranger(&s);
	memcpy(bytes, answer, n);
	n += error_response(bytes + n, "FATAL", "57P01", "the end");
	say(&s, bytes, n);
	assert_int_equal(suite_answer_to_end(&libpq_env, s.conn, NULL, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_string_equal(failure.sqlstate, "57P01");
	assert_string_equal(failure.text, "the end");
	assert_int_equal(driver->look(s.conn), WI_LOOK_DEAD);
	part(&s);
}

static void last_words_that_a_holder_read_and_libpq_did_not_parse_are_seen_by_look(void **state)
{
	static const char answer[] = COMPLETE READY;
	struct wi_failure failure;
	char bytes[256];
	struct stranger s;

	(void)state;
	ask_stranger(&s);
	say(&s, answer, sizeof(answer) - 1);
	assert_int_equal(suite_answer_to_end(&libpq_env, s.conn, NULL, &failure), WI_STEP_DONE);
	say(&s, bytes, error_response(bytes, "FATAL", "57P01", "the end"));
	libpq_await_readable(driver->fd(s.conn));
	assert_int_equal(PQconsumeInput(driver->pg(s.conn)), 1);
	assert_int_equal(driver->look(s.conn), WI_LOOK_DEAD);
	assert_false(driver->peek(s.conn, &failure));
	assert_string_equal(failure.sqlstate, "57P01");
	part(&s);
}

/* A full backlog leaves connect(2) pending: libpq, asked too early, would try to send and wait. */
static void a_connect_that_the_network_delays_is_waited_for(void **state)
{
	struct sockaddr_in name;
	socklen_t size = sizeof(name);
	int port, listener = libpq_bound_socket(&port), fillers[4];
	struct wi_failure failure = {0};
	struct libpq_place p;
	void *conn;

	(void)state;
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &size), 0);
	for (size_t i = 0; i < WI_ARRAY_LEN(fillers); i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		assert_int_not_equal(connect(fillers[i], (struct sockaddr *)&name, size), 0);
		poll(&(struct pollfd){.fd = fillers[i], .events = POLLOUT}, 1, 100);
	}
	libpq_make_place(&p, port, "shop", NULL);
	conn = driver->connect(libpq_target_of(&p), "127.0.0.1");
	assert_non_null(conn);
	for (int i = 0; i < 3; i++)
		assert_int_equal(driver->connect_step(conn, &failure), WI_STEP_WRITE);
	assert_int_equal(PQstatus(driver->pg(conn)), CONNECTION_STARTED);
	assert_int_equal(driver->close(conn), -1); /* nobody has accepted: nobody to wait for */
	for (size_t i = 0; i < WI_ARRAY_LEN(fillers); i++)
		close(fillers[i]);
	close(listener);
}

static void a_server_that_is_none_fails_the_connect(void **state)
{
	struct wi_failure failure;

	(void)state;
	hear_stranger("HTTP/1.1 400 Bad Request\r\n\r\n", 28, NULL, &failure);
	assert_int_equal(failure.fault, WI_FAULT_REFUSED);
	hear_stranger("", 0, NULL, &failure);
	assert_int_equal(failure.fault, WI_FAULT_REFUSED);
	libpq_assert_has(failure.text, "closed the connection");
}

int main(void)
{
	const struct CMUnitTest truths[] = {
		SUITE_TRUTH(a_server_that_starts_is_told_as_such),
		SUITE_TRUTH(a_pooler_that_refuses_options_is_told_as_such),
		SUITE_TRUTH(an_error_without_sqlstate_is_judged_by_its_words),
		SUITE_TRUTH(a_secret_that_a_server_says_is_not_repeated),
		SUITE_TRUTH(an_exchange_can_be_given_up_after_its_error),
		SUITE_TRUTH(an_error_of_libpqs_own_is_none_of_the_servers),
		SUITE_TRUTH(last_words_right_behind_an_answer_end_the_connection),
		SUITE_TRUTH(last_words_that_a_holder_read_and_libpq_did_not_parse_are_seen_by_look),
		SUITE_TRUTH(a_connect_that_the_network_delays_is_waited_for),
		SUITE_TRUTH(a_server_that_is_none_fails_the_connect),
	};
	int failed;

	libpq_set_up();
	failed = cmocka_run_group_tests(truths, NULL, NULL);
	return libpq_tear_down() ? failed : 1;
}

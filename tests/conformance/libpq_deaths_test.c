/* SPDX-License-Identifier: BSD-2-Clause */
/* How libpq connections end: by the server, by the driver, and both through TLS. */
#include "conformance/libpq_suite.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"

static const struct wi_driver *const driver = &wi_driver_libpq;

/* ---- dying ---- */

static void a_session_timeout_is_told_as_such(void **state)
{
	struct libpq_place p = libpq_good_place();
	struct wi_failure failure = {0};
	void *conn;

	(void)state;
	p.target.startup_options = "-c idle_session_timeout=50";
	conn = libpq_open_at(&p);
	libpq_await_readable(driver->fd(conn));
	assert_false(driver->peek(conn, &failure));
	assert_string_equal(failure.sqlstate, "57P05");
	suite_close(&libpq_env, conn);
}

static void words_that_end_nothing_are_not_a_death(void **state)
{
	struct wi_failure failure;
	void *conn = suite_open(&libpq_env);

	(void)state;
	libpq_exec(conn, "LISTEN shop");
	free(test_cluster_sql(libpq_world.cluster, 0, "NOTIFY shop"));
	libpq_await_readable(driver->fd(conn));
	assert_true(driver->peek(conn, &failure));
	assert_int_equal(driver->look(conn), WI_LOOK_CHANGED);
	assert_true(driver->peek(conn, &failure));
	suite_close(&libpq_env, conn);
}

/* The number of a socket that libpq has closed may be another's by the time it is cut. */
static void cut_never_hits_a_socket_of_another(void **state)
{
	struct pollfd p = {.events = POLLIN | POLLRDHUP};
	void *conn = suite_open(&libpq_env);
	int pair[2], fd = driver->fd(conn);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(dup2(pair[0], fd), fd);
	driver->cut(conn);
	p.fd = pair[1];
	assert_int_equal(poll(&p, 1, 50), 0);
	close(driver->close(conn));
	close(pair[0]);
	close(pair[1]);
}

/* A COPY that a holder left, with output pending and a socket that takes no more. */
static void close_does_not_wait_for_room_to_say_goodbye(void **state)
{
	static char junk[65536];
	void *conn = suite_open(&libpq_env);
	PGconn *pg = driver->pg(conn);
	int fd;

	(void)state;
	PQclear(PQexec(pg, "COPY items FROM STDIN"));
	assert_true(test_cluster_pause(libpq_world.cluster, 0));
	assert_int_equal(PQputCopyData(pg, "1\t", 2), 1);
	while (send(PQsocket(pg), junk, sizeof(junk), MSG_DONTWAIT) > 0)
		continue;
	assert_int_equal(errno, EAGAIN);
	fd = driver->close(conn); /* the watchdog's to say if this hangs */
	assert_true(fd >= 0);
	assert_true(test_cluster_resume(libpq_world.cluster, 0));
	suite_await_end(fd);
}

/* Last, because it takes every session of the server along. */
static void a_crash_of_another_session_is_told_as_such(void **state)
{
	struct wi_failure failure = {0};
	struct pollfd hangup = {.events = POLLRDHUP};
	struct wi_facts facts;
	void *conn = suite_open(&libpq_env), *victim = suite_open(&libpq_env);

	(void)state;
	libpq_exec(victim, "LISTEN shop");
	libpq_exec(conn, "NOTIFY shop");
	libpq_await_readable(driver->fd(victim));
	driver->facts(victim, &facts);
	assert_int_equal(kill(facts.backend_pid, SIGKILL), 0);
	libpq_await_readable(driver->fd(conn));
	assert_false(driver->peek(conn, &failure));
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_string_equal(failure.sqlstate, "57P02");
	/* Killed without a word, behind harmless ones: libpq speaks for it. */
	hangup.fd = driver->fd(victim);
	assert_int_equal(poll(&hangup, 1, 30000), 1);
	assert_false(driver->peek(victim, &failure));
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_string_equal(failure.sqlstate, "");
	assert_true(strlen(failure.text) > 0);
	suite_close(&libpq_env, conn);
	suite_close(&libpq_env, victim);
}

/* ---- TLS ---- */

static struct libpq_place tls_place(const char *mode, const char *ca)
{
	struct libpq_place p = libpq_good_place();

	wi_copy(p.endpoint.host, sizeof(p.endpoint.host), "localhost");
	libpq_set(&p, "sslmode", mode);
	libpq_set(&p, "sslrootcert", test_cluster_fact(libpq_world.cluster, ca));
	return p;
}

static void tls_is_verified_by_name_and_shown(void **state)
{
	struct libpq_place p = tls_place("verify-full", "ca");
	struct wi_failure failure;
	struct wi_answer answer;
	struct wi_facts facts;
	void *conn = libpq_open_at(&p);

	(void)state;
	driver->facts(conn, &facts);
	libpq_ask(conn, "SELECT version, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
	          &answer);
	libpq_assert_has(facts.tls, answer.value[0]);
	libpq_assert_has(facts.tls, answer.value[1]);
	assert_true(driver->peek(conn, &failure));
	assert_true(libpq_kill(NULL));
	libpq_await_readable(driver->fd(conn));
	assert_false(driver->peek(conn, &failure));
	assert_string_equal(failure.sqlstate, "57P01");
	suite_close(&libpq_env, conn);
}

static void close_and_abandon_work_through_tls(void **state)
{
	struct libpq_place p = tls_place("require", "ca");
	struct wi_failure failure;
	void *conn = libpq_open_at(&p), *busy = libpq_open_at(&p);
	int fd;

	(void)state;
	suite_close(&libpq_env, conn);
	assert_int_equal(libpq_sessions(NULL), 1);
	assert_true(driver->send(busy, SUITE_SLOW, &failure));
	fd = driver->close(busy);
	assert_true(libpq_kill(NULL));
	suite_await_end(fd);
	assert_int_equal(libpq_sessions(NULL), 0);
	conn = libpq_open_at(&p);
	driver->abandon(conn); /* no child here: the server sees the end of the stream at last */
	for (int i = 0; libpq_sessions(NULL) > 0; i++) {
		assert_true(i < 3000);
		poll(NULL, 0, 10);
	}
}

static void a_certificate_that_does_not_fit_is_told_as_such(void **state)
{
	struct libpq_place wrong_ca = tls_place("verify-ca", "wrong_ca"),
			   misnamed = tls_place("verify-full", "ca");
	struct wi_failure failure;

	(void)state;
	libpq_fail_at(&wrong_ca, WI_FAULT_TLS, &failure);
	wi_copy(misnamed.endpoint.host, sizeof(misnamed.endpoint.host), "other.invalid");
	libpq_fail_at(&misnamed, WI_FAULT_TLS, &failure);
	libpq_assert_has(failure.text, "other.invalid");
}

static void verification_needs_a_root_also_when_isolated(void **state)
{
	struct libpq_place p = libpq_good_place();
	struct wi_failure failure;

	(void)state;
	libpq_set(&p, "sslmode", "verify-full");
	p.target.isolated = true;
	libpq_fail_at(&p, WI_FAULT_TLS, &failure);
}

int main(void)
{
	const struct CMUnitTest truths[] = {
		SUITE_TRUTH(a_session_timeout_is_told_as_such),
		SUITE_TRUTH(words_that_end_nothing_are_not_a_death),
		SUITE_TRUTH(cut_never_hits_a_socket_of_another),
		SUITE_TRUTH(close_does_not_wait_for_room_to_say_goodbye),
		SUITE_TRUTH(tls_is_verified_by_name_and_shown),
		SUITE_TRUTH(close_and_abandon_work_through_tls),
		SUITE_TRUTH(a_certificate_that_does_not_fit_is_told_as_such),
		SUITE_TRUTH(verification_needs_a_root_also_when_isolated),
		SUITE_TRUTH(a_crash_of_another_session_is_told_as_such),
	};
	int failed;

	libpq_set_up();
	failed = cmocka_run_group_tests(truths, NULL, NULL);
	return libpq_tear_down() ? failed : 1;
}

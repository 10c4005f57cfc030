/* SPDX-License-Identifier: BSD-2-Clause */
/* The fault proxy does the harm that its header says, and no other. */
#include "support/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/mock_server.h"
#include "support/watchdog.h"

#define PATIENCE_MS 30000

static struct test_mock *mock;
static struct test_proxy *proxy;
static struct test_proxy_counts counts;

static int set_up(void **state)
{
	(void)state;
	mock = test_mock_start(NULL);
	proxy = test_proxy_start(&(struct test_proxy_options){.host = test_mock_host(mock),
	                                                      .port = test_mock_port(mock)});
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_proxy_stop(&proxy);
	test_mock_stop(&mock);
	return 0;
}

static PGconn *connected_at(const char *host, int port, const char *more)
{
	char conninfo[512];

	snprintf(conninfo, sizeof(conninfo),
	         "host=%s port=%d user=app dbname=shop gssencmode=disable connect_timeout=20 %s",
	         host, port, more);
	return PQconnectdb(conninfo);
}

static PGconn *connected_with(const char *more)
{
	return connected_at(test_proxy_host(proxy), test_proxy_port(proxy), more);
}

static PGconn *connected(void)
{
	PGconn *pg = connected_with("sslmode=disable");

	if (PQstatus(pg) != CONNECTION_OK)
		fail_msg("%s", PQerrorMessage(pg));
	return pg;
}

static void drain(PGconn *pg)
{
	PGresult *r;

	while ((r = PQgetResult(pg)))
		PQclear(r);
}

/* True if it answered. */
static bool ask(PGconn *pg)
{
	PGresult *r = PQexec(pg, "select 'a thing of some length'");
	bool ok = PQresultStatus(r) == PGRES_TUPLES_OK;

	PQclear(r);
	return ok;
}

static bool is_readable(PGconn *pg, int ms)
{
	struct pollfd p = {.fd = PQsocket(pg), .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

static void fault(const struct test_proxy_fault *f)
{
	test_proxy_fault(proxy, TEST_PROXY_ALL, f);
}

static void without_faults_it_is_not_there(void **state)
{
	PGconn *pg = connected_with("sslmode=prefer");

	(void)state;
	assert_true(ask(pg));
	PQfinish(pg);
	assert_true(test_mock_await_sessions(mock, 0, PATIENCE_MS));
	test_proxy_counts(proxy, &counts);
	assert_int_equal(counts.connects, 1);
	assert_int_equal(counts.ssl_requests, 1);
	assert_int_equal(counts.sessions, 1);
	test_proxy_stop(&proxy);
	proxy = test_proxy_start(&(struct test_proxy_options){
		.host = "127.0.0.1", .port = test_mock_port(mock), .unix_socket = true});
	pg = connected();
	assert_true(ask(pg));
	PQfinish(pg);
}

static void bytes_are_delayed_in_order(void **state)
{
	PGconn *pg = connected();
	int64_t began_ns = wi_now_ns();

	(void)state;
	fault(&(struct test_proxy_fault){.delay_ms = {30, 20}});
	assert_true(ask(pg));
	assert_true(wi_now_ns() - began_ns >= 50 * WI_MS);
	fault(&(struct test_proxy_fault){.delay_ms = {0, 60000}});
	assert_true(PQsendQuery(pg, "select 1"));
	assert_false(is_readable(pg, 30));
	test_proxy_heal(proxy);
	assert_true(is_readable(pg, PATIENCE_MS));
	drain(pg);
	PQfinish(pg);
}

static void bytes_are_slowed(void **state)
{
	PGconn *pg = connected();
	int64_t began_ns = wi_now_ns();

	(void)state;
	fault(&(struct test_proxy_fault){.rate = {0, 1000}});
	assert_true(ask(pg)); /* some 90 bytes come back */
	assert_true(wi_now_ns() - began_ns >= 50 * WI_MS);
	PQfinish(pg);
}

static void answers_are_cut_in_the_middle(void **state)
{
	(void)state;
	for (int rst = 0; rst < 2; rst++) {
		PGconn *pg = connected();

		test_proxy_fault(
			proxy, TEST_PROXY_PRESENT,
			&(struct test_proxy_fault){.cut_after = {0, 20}, .cut_by_reset = rst});
		assert_false(ask(pg));
		assert_int_equal(PQstatus(pg), CONNECTION_BAD);
		PQfinish(pg);
	}
	test_proxy_counts(proxy, &counts);
	assert_int_equal(counts.cuts, 2);
	PQfinish(connected()); /* that was for those then there */
}

static void connections_end_in_every_way(void **state)
{
	(void)state;
	for (int way = 0; way < 3; way++) {
		PGconn *pg = connected();

		if (way == 0)
			assert_int_equal(test_proxy_reset(proxy), 1);
		else if (way == 1)
			assert_int_equal(test_proxy_drop(proxy), 1);
		else
			assert_int_equal(test_proxy_half_close(proxy, TEST_TO_CLIENT), 1);
		assert_true(is_readable(pg, PATIENCE_MS));
		assert_false(ask(pg) && ask(pg));
		PQfinish(pg);
		assert_true(test_mock_await_sessions(mock, 0, PATIENCE_MS));
	}
}

static void an_end_is_kept_until_it_is_healed(void **state)
{
	PGconn *pg = connected();

	(void)state;
	fault(&(struct test_proxy_fault){.keep_end = {true, true}});
	assert_int_equal(test_mock_end(mock, 0, true, TEST_MOCK_END_FIN, NULL), 1);
	assert_true(test_mock_await_sessions(mock, 0, PATIENCE_MS));
	assert_false(is_readable(pg, 30));
	test_proxy_heal(proxy);
	assert_true(is_readable(pg, PATIENCE_MS));
	PQfinish(pg);
}

static void a_black_hole_says_nothing(void **state)
{
	PGconn *pg = connected();

	(void)state;
	test_proxy_blackhole(proxy);
	assert_true(PQsendQuery(pg, "select 1"));
	assert_false(is_readable(pg, 30));
	assert_int_equal(test_mock_queries(mock, 0, ""), 0);
	PQfinish(pg);
	pg = connected_with("sslmode=disable connect_timeout=2");
	assert_int_equal(PQstatus(pg), CONNECTION_BAD);
	PQfinish(pg);
	test_proxy_counts(proxy, &counts);
	assert_true(counts.lost[TEST_TO_SERVER] > 0);
}

static void who_is_not_read_from_fills_his_window(void **state)
{
	PGconn *pg = connected();
	static char much[65536];
	ssize_t sent = 0, n;

	(void)state;
	fault(&(struct test_proxy_fault){.stop = {true, false}});
	while ((n = send(PQsocket(pg), much, sizeof(much), MSG_DONTWAIT)) > 0)
		sent += n;
	assert_int_equal(errno, EAGAIN);
	assert_true(sent > 0);
	test_proxy_reset(proxy); /* or PQfinish would wait for room for its farewell */
	assert_true(is_readable(pg, PATIENCE_MS));
	PQfinish(pg);
}

static void refused_and_let_in_again(void **state)
{
	PGconn *pg;

	(void)state;
	test_proxy_refuse(proxy, true);
	pg = connected_with("");
	assert_non_null(strstr(PQerrorMessage(pg), "Connection refused"));
	PQfinish(pg);
	test_proxy_refuse(proxy, false);
	PQfinish(connected());
}

static void requests_for_encryption_are_answered_by_it(void **state)
{
	PGconn *pg;

	(void)state;
	fault(&(struct test_proxy_fault){.ssl = TEST_PROXY_SSL_NO});
	pg = connected_with("sslmode=require");
	assert_non_null(strstr(PQerrorMessage(pg), "server does not support SSL"));
	PQfinish(pg);
	pg = connected_with("sslmode=prefer");
	assert_true(ask(pg));
	PQfinish(pg);
	fault(&(struct test_proxy_fault){.ssl = TEST_PROXY_SSL_GARBAGE});
	pg = connected_with("sslmode=require");
	assert_non_null(strstr(PQerrorMessage(pg), "SSL"));
	PQfinish(pg);
	fault(&(struct test_proxy_fault){.ssl = TEST_PROXY_SSL_STALL});
	pg = connected_with("sslmode=require connect_timeout=2");
	assert_non_null(strstr(PQerrorMessage(pg), "timeout"));
	PQfinish(pg);
}

static bool has_cancels(const struct test_proxy_counts *c, void *n)
{
	return c->cancels == *(uint64_t *)n;
}

static void *cancel(void *arg)
{
	char why[256];

	return PQcancel(arg, why, sizeof(why)) ? arg : NULL;
}

static void cancels_are_held(void **state)
{
	PGconn *pg = connected();
	PGcancel *c = PQgetCancel(pg);
	uint64_t one = 1;
	pthread_t thread;
	void *done;

	(void)state;
	fault(&(struct test_proxy_fault){.cancel_hold = true});
	test_mock_on(mock, "select", &(struct test_mock_reply){.act = TEST_MOCK_SILENCE});
	assert_true(PQsendQuery(pg, "select 1"));
	assert_int_equal(pthread_create(&thread, NULL, cancel, c), 0);
	assert_true(test_proxy_await(proxy, PATIENCE_MS, has_cancels, &one));
	assert_false(is_readable(pg, 30));
	assert_int_equal(test_proxy_cancels_go(proxy), 1);
	assert_true(is_readable(pg, PATIENCE_MS));
	pthread_join(thread, &done);
	assert_ptr_equal(done, c);
	drain(pg);
	PQfreeCancel(c);
	PQfinish(pg);
}

/* ---- the program ---- */

static void say(FILE *control, const char *order, const char *wanted)
{
	char line[512];

	fprintf(control, "%s\n", order);
	fflush(control);
	assert_non_null(fgets(line, sizeof(line), control));
	if (strncmp(line, wanted, strlen(wanted)) != 0)
		fail_msg("%s: %s", order, line);
}

static FILE *control_at(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fdopen(fd, "r+");
}

static void the_program_takes_orders(void **state)
{
	const char *program = getenv("TEST_FAULT_PROXY");
	char command[512], path[64];
	int port = 0, status;
	FILE *out, *control;
	PGconn *pg;

	(void)state;
	if (!program) {
		print_message("skipped: TEST_FAULT_PROXY is not set\n");
		return;
	}
	snprintf(path, sizeof(path), "/tmp/weir-proxy-%d.control", (int)getpid());
	snprintf(command, sizeof(command), "exec '%s' 127.0.0.1 %d %s 60", program,
	         test_mock_port(mock), path);
	out = popen(command, "r");
	assert_int_equal(fscanf(out, "listening on %d", &port), 1);
	control = control_at(path);
	say(control, "delay both 1", "ok\n");
	say(control, "swallow sideways on", "err no such order");
	pg = connected_at("127.0.0.1", port, "sslmode=disable");
	assert_true(ask(pg));
	say(control, "for present", "ok\n");
	say(control, "cut client 10 rst", "ok\n");
	assert_false(ask(pg));
	PQfinish(pg);
	say(control, "counts", "ok connects=1 ");
	say(control, "refuse on", "ok\n");
	say(control, "quit", "ok\n");
	fclose(control);
	status = pclose(out);
	assert_int_equal(status, 0);
	assert_int_not_equal(access(path, F_OK), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(without_faults_it_is_not_there),
		TEST(bytes_are_delayed_in_order),
		TEST(bytes_are_slowed),
		TEST(answers_are_cut_in_the_middle),
		TEST(connections_end_in_every_way),
		TEST(an_end_is_kept_until_it_is_healed),
		TEST(a_black_hole_says_nothing),
		TEST(who_is_not_read_from_fills_his_window),
		TEST(refused_and_let_in_again),
		TEST(requests_for_encryption_are_answered_by_it),
		TEST(cancels_are_held),
		TEST(the_program_takes_orders),
	};

	test_watchdog(100, "unit.support.proxy");
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 20. What the server says by SQLSTATE has one documented class (docs/errors.md), and the
 * class decides what weir does: 57P01 costs one connection, 57P02 and 57P03 all that were opened
 * before; 08xxx costs the connection; 25006 costs it and has the host probed; 53300 makes connects
 * back off; 28xxx is told at once, tried once, and takes no host for down.
 *
 * The mock server says each of them; a real one says those that it can be brought to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "base/line.h"
#include "support/cluster.h"
#include "support/mock_server.h"
#include "support/watchdog.h"

#define PATIENCE_MS 30000
#define PROBES "SELECT here.recovering"

static struct test_mock *mock;
static struct test_cluster *cluster;
static weir_options o;
static weir_pool *pool;
static weir_error error;

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static int set_up(void **state)
{
	(void)state;
	mock = test_mock_start(NULL);
	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = 4;
	memset(&error, 0, sizeof(error));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_mock_stop(&mock);
	return 0;
}

static void open_at(const char *conninfo)
{
	if (weir_pool_open(conninfo, &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

static void open_pool(void)
{
	open_at(test_mock_conninfo(mock));
}

static void close_pool(void)
{
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

static weir_pool_stats stats(void)
{
	weir_pool_stats s;

	weir_pool_stats_get(pool, &s);
	return s;
}

static weir_conn *checkout(void)
{
	weir_conn *conn = NULL;

	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return conn;
}

static uint64_t connects(void)
{
	struct test_mock_counts c;

	test_mock_counts(mock, &c);
	return c.connects;
}

/* Waits until there are so many connections, all idle. */
static void await_idle(uint32_t n)
{
	weir_pool_stats s = stats();

	for (int i = 0; (s.idle != n || s.total != n) && i < PATIENCE_MS; i++) {
		pause_ms(1);
		s = stats();
	}
	assert_int_equal(s.idle, n);
	assert_int_equal(s.total, n);
}

/* Waits until so many were closed for this reason. */
static void await_closed(weir_close why, uint64_t n)
{
	for (int i = 0; stats().closed[why] < n && i < PATIENCE_MS; i++)
		pause_ms(1);
	assert_int_equal(stats().closed[why], n);
}

static void have_idle(int n)
{
	weir_conn *conn[4];

	for (int i = 0; i < n; i++)
		conn[i] = checkout();
	for (int i = 0; i < n; i++)
		weir_checkin(&conn[i]);
}

/* ---- connecting ---- */

static weir_status try_once(void)
{
	weir_conn *conn = NULL;
	weir_status st = weir_pool_checkout(pool, PATIENCE_MS, &conn, &error);

	weir_checkin(&conn);
	return st;
}

/*
 * So many at once, and then one after each pause, which is at least half of what it says: of a
 * breaker a second, and where there is no room, which opens none, 160 ms and ever longer. On a
 * machine that does not stand still meanwhile that is none, or one.
 */
static void assert_no_storm(uint64_t n, uint64_t at_once, bool is_full, int64_t since_ns)
{
	int64_t ms = (wi_now_ns() - since_ns) / WI_MS, pause_ms = is_full ? 80 : 500;
	uint64_t most = at_once;

	for (; ms >= pause_ms; most++) {
		ms -= pause_ms;
		pause_ms = 2 * pause_ms < 500 ? 2 * pause_ms : 500;
	}
	assert_in_range(n, at_once, most);
}

static void connects_are_judged(void **state)
{
	static const struct {
		const char *sqlstate;
		weir_status status;
		bool again; /* tried again and again, with a backoff */
	} said[] = {
		{"57P03", WEIR_CONNECT, true},  {"57P01", WEIR_CONNECT, true},
		{"57P02", WEIR_CONNECT, true},  {"53300", WEIR_CONNECT, true},
		{"08006", WEIR_CONNECT, true},  {"28P01", WEIR_AUTH, false},
		{"28000", WEIR_AUTH, false},    {"3D000", WEIR_CONNECT, false},
		{"42501", WEIR_CONNECT, false},
	};

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(said); i++) {
		uint64_t before = connects(), at_once = said[i].again ? 5 : 1;
		bool is_full = strcmp(said[i].sqlstate, "53300") == 0;
		int64_t began_ns = wi_now_ns();

		test_mock_refuse(mock, -1, said[i].sqlstate, "says the mock");
		open_pool();
		if (try_once() != said[i].status)
			fail_msg("%s: %s, %s", said[i].sqlstate, weir_status_name(error.status),
			         error.text);
		assert_string_equal(error.sqlstate, said[i].sqlstate);
		assert_no_storm(connects() - before, at_once, is_full, began_ns);
		for (int k = 0; k < 10; k++) /* the breaker is open: no storm */
			assert_int_equal(try_once(), said[i].status);
		assert_no_storm(connects() - before, at_once, is_full, began_ns);
		test_mock_refuse(mock, 0, NULL, NULL);
		while (try_once() != WEIR_OK)
			pause_ms(10);
		close_pool();
	}
}

/* The server is full for others, too: what is open goes on, and nothing of it is closed. */
static void want_of_room_costs_nothing_that_is_open(void **state)
{
	weir_conn *held[2], *more = NULL;

	(void)state;
	open_pool();
	for (int i = 0; i < 2; i++)
		held[i] = checkout();
	test_mock_refuse(mock, -1, "53300", "sorry, too many clients already");
	do
		assert_int_equal(weir_pool_checkout(pool, 10, &more, &error), WEIR_TIMEOUT);
	while (stats().connect_failed_of[WEIR_CONNECT_CAPACITY] == 0);
	weir_checkin(&held[0]);
	for (int i = 0; i < 20; i++)
		assert_int_equal(try_once(), WEIR_OK);
	weir_checkin(&held[1]);
	await_idle(2);
	assert_int_equal(stats().opened, 2);
	close_pool();
}

/* ---- open sessions ---- */

static void one_ends(const char *sqlstate, bool takes_all)
{
	o.look_after_ms = 50;
	open_pool();
	have_idle(3);
	pause_ms(600); /* some turns of the keeper: nobody has used them since */
	{
		weir_conn *conn = checkout();
		int pid = PQbackendPID(weir_pg(conn));

		weir_checkin(&conn);
		assert_int_equal(test_mock_end(mock, pid, false, TEST_MOCK_END_FATAL, sqlstate), 1);
	}
	await_closed(WEIR_CLOSE_BROKEN, 1);
	assert_string_equal(stats().last_lost_sqlstate, sqlstate);
	await_idle(takes_all ? 0 : 2);
	await_closed(WEIR_CLOSE_CONDEMNED, takes_all ? 2 : 0);
	close_pool();
}

static void ended_sessions_are_judged(void **state)
{
	(void)state;
	one_ends("57P01", false);
	one_ends("57P05", false);
	one_ends("57P02", true);
	one_ends("57P03", true);
}

/* A statement meets an error of this SQLSTATE ("": it has none), by weir_exec or by libpq. */
static void provoke(const char *sqlstate, bool by_libpq)
{
	const struct test_mock_reply reply = {
		.act = TEST_MOCK_ERROR, .sqlstate = sqlstate, .text = "says the mock"};
	weir_conn *conn;

	test_mock_on(mock, "provoke", &reply);
	conn = checkout();
	if (by_libpq)
		PQclear(PQexec(weir_pg(conn), "provoke"));
	else
		assert_int_equal(weir_exec(conn, "provoke", PATIENCE_MS, &error),
		                 strcmp(sqlstate, "40001") ? WEIR_QUERY : WEIR_RETRY);
	weir_checkin(&conn);
}

static void errors_of_statements_are_judged(void **state)
{
	static const char *const plain[] = {"",      "23505", "28P01", "40001",
	                                    "53200", "57014", "XX000"};
	(void)state;
	for (int by_libpq = 0; by_libpq < 2; by_libpq++) {
		uint64_t resets;

		open_pool();
		have_idle(3);
		resets = test_mock_queries(mock, 0, "DISCARD ALL");
		for (size_t i = 0; i < WI_ARRAY_LEN(plain); i++)
			provoke(plain[i], by_libpq);
		await_idle(3);
		assert_int_equal(test_mock_queries(mock, 0, "DISCARD ALL"), resets);
		provoke("0A000", by_libpq);
		assert_true(test_mock_await_queries(mock, "DISCARD ALL", resets + 1, PATIENCE_MS));
		await_idle(3);
		provoke("25006", by_libpq);
		await_closed(WEIR_CLOSE_WRONG_ROLE, 1);
		await_idle(2);
		provoke("08006", by_libpq);
		await_closed(WEIR_CLOSE_BROKEN, 1);
		assert_string_equal(stats().last_lost_sqlstate, "08006");
		await_idle(1);
		close_pool();
	}
}

/* The server does not say what it is, as before 14: else a refused write might be the caller's. */
static void a_wrong_role_has_the_host_probed(void **state)
{
	const struct test_mock_reply reply = {
		.act = TEST_MOCK_ERROR, .sqlstate = "25006", .text = "read-only"};
	weir_router *router = NULL;
	weir_conn *conn = NULL;
	uint64_t probes;

	(void)state;
	o.probe_interval_ms = 3600000;
	test_mock_report(mock, "in_hot_standby", NULL);
	if (weir_router_open(test_mock_conninfo(mock), &o, &router, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &conn, &error), WEIR_OK);
	probes = test_mock_queries(mock, 0, PROBES);
	assert_true(probes > 0);
	test_mock_on(mock, "insert", &reply);
	assert_int_equal(weir_exec(conn, "insert", PATIENCE_MS, &error), WEIR_QUERY);
	weir_checkin(&conn);
	assert_true(test_mock_await_queries(mock, PROBES, probes + 1, PATIENCE_MS));
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
}

/* ---- the hook ---- */

static weir_class take_57P03_for_a_wrong_password(void *arg, const char *sqlstate, bool connecting,
                                                  weir_class usual)
{
	(void)arg;
	return connecting && strcmp(sqlstate, "57P03") == 0 ? WEIR_CLASS_AUTH : usual;
}

static void a_hook_may_judge_otherwise(void **state)
{
	(void)state;
	o.on_sqlstate = take_57P03_for_a_wrong_password;
	test_mock_refuse(mock, -1, "57P03", "the database system is starting up");
	open_pool();
	assert_int_equal(try_once(), WEIR_AUTH);
	assert_int_equal(connects(), 1);
	close_pool();
}

/* ---- a real server ---- */

static void a_real_server_is_judged_so(void **state)
{
	const struct test_cluster_options one_standby = {.standbys = 1};
	char conninfo[512];
	weir_conn *conn;

	(void)state;
	cluster = test_cluster_start_or_exit(&one_standby);
	snprintf(conninfo, sizeof(conninfo), "%s", test_cluster_url(cluster));
	/* A pool on the standby alone: both hosts in the URL, so the port is said again. */
	{
		char *at = strchr(conninfo, ',');
		char *rest = at ? strchr(at, '/') : NULL;
		char *host = strchr(conninfo, '@');
		char standby[512];

		assert_non_null(rest);
		assert_non_null(host);
		snprintf(standby, sizeof(standby), "%.*s127.0.0.1:%d%s", (int)(host - conninfo + 1),
		         conninfo, test_cluster_port(cluster, 1), rest);
		open_at(standby);
	}
	conn = checkout();
	assert_int_equal(weir_exec(conn, "create table t (x int)", PATIENCE_MS, &error),
	                 WEIR_QUERY);
	assert_string_equal(error.sqlstate, "25006");
	weir_checkin(&conn);
	await_closed(WEIR_CLOSE_WRONG_ROLE, 1);
	/* Ended in the middle of a statement, which might have been a write. */
	conn = checkout();
	assert_int_equal(weir_exec(conn, "select pg_catalog.pg_terminate_backend(pg_backend_pid())",
	                           PATIENCE_MS, &error),
	                 WEIR_OUTCOME_UNKNOWN);
	assert_string_equal(error.sqlstate, "57P01");
	weir_checkin(&conn);
	await_closed(WEIR_CLOSE_BROKEN, 1);
	assert_string_equal(stats().last_lost_sqlstate, "57P01");
	close_pool();
	assert_true(test_cluster_stop(&cluster));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(connects_are_judged),
		TEST(want_of_room_costs_nothing_that_is_open),
		TEST(ended_sessions_are_judged),
		TEST(errors_of_statements_are_judged),
		TEST(a_wrong_role_has_the_host_probed),
		TEST(a_hook_may_judge_otherwise),
		TEST(a_real_server_is_judged_so),
	};

	test_watchdog(280, "promise.20");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

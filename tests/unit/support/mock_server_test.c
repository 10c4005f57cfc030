/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mock server does what its header says: libpq and a pool take it for a server, and each kind
 * of misbehaviour arrives as meant.
 */
#include "support/mock_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "support/watchdog.h"

#define PATIENCE_MS 30000

static struct test_mock *mock;
static struct test_mock_counts counts;

static int set_up(void **state)
{
	(void)state;
	mock = test_mock_start(NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_mock_stop(&mock);
	return 0;
}

static PGconn *connected_with(const char *more)
{
	char conninfo[512];

	snprintf(conninfo, sizeof(conninfo), "%s connect_timeout=20 %s", test_mock_conninfo(mock),
	         more);
	return PQconnectdb(conninfo);
}

static PGconn *connected(void)
{
	PGconn *pg = connected_with("");

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

/* The first value, or the SQLSTATE, or the tag; good until the next call. */
static const char *ask(PGconn *pg, const char *sql)
{
	static char value[256];
	PGresult *r = PQsendQuery(pg, sql) ? PQgetResult(pg) : NULL;
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	snprintf(value, sizeof(value), "%s",
	         PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) ? PQgetvalue(r, 0, 0)
	         : state                                              ? state
	         : PQresultStatus(r) == PGRES_COMMAND_OK              ? PQcmdStatus(r)
	                                                              : "");
	PQclear(r);
	drain(pg);
	return value;
}

/* ---- a server as any other ---- */

static void settings_are_kept_and_reset(void **state)
{
	PGconn *pg = connected_with("options='-c statement_timeout=30000 -c lock_timeout=1500'");

	(void)state;
	assert_string_equal(ask(pg, "SELECT current_setting('statement_timeout', true), 2"), "30s");
	assert_string_equal(ask(pg, "show lock_timeout"), "1500ms");
	assert_string_equal(ask(pg, "SET statement_timeout = 7;SET lock_timeout = 0;"), "SET");
	assert_string_equal(ask(pg, "show statement_timeout"), "7ms");
	assert_string_equal(ask(pg, "set application_name to 'me; or you'"), "SET");
	assert_string_equal(PQparameterStatus(pg, "application_name"), "me; or you");
	assert_string_equal(ask(pg, "DISCARD ALL"), "DISCARD ALL");
	assert_string_equal(ask(pg, "show statement_timeout"), "30s");
	assert_string_equal(PQparameterStatus(pg, "application_name"), "");
	assert_string_equal(ask(pg, "select pg_catalog.set_config('x.y', 'z', false)"), "z");
	assert_string_equal(ask(pg, "select current_setting('x.y')"), "z");
	PQfinish(pg);
}

static void transactions_are_followed(void **state)
{
	PGconn *pg = connected();

	(void)state;
	assert_string_equal(ask(pg, "BEGIN"), "BEGIN");
	assert_int_equal(PQtransactionStatus(pg), PQTRANS_INTRANS);
	test_mock_on(mock, "insert",
	             &(struct test_mock_reply){.act = TEST_MOCK_ERROR, .sqlstate = "25006"});
	assert_string_equal(ask(pg, "insert into t values (1)"), "25006");
	assert_int_equal(PQtransactionStatus(pg), PQTRANS_INERROR);
	assert_string_equal(ask(pg, "ROLLBACK"), "ROLLBACK");
	assert_int_equal(PQtransactionStatus(pg), PQTRANS_IDLE);
	PQfinish(pg);
}

static void the_extended_protocol_works(void **state)
{
	const char *const values[] = {"search_path", "it"};
	const char *const row[] = {"a", NULL, "c", "d"};
	PGconn *pg = connected();
	PGresult *r;

	(void)state;
	r = PQexecParams(pg, "select set_config($1, $2, false)", 2, NULL, values, NULL, NULL, 0);
	assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
	PQclear(r);
	assert_string_equal(ask(pg, "show search_path"), "it");
	test_mock_on(mock, "select * from t",
	             &(struct test_mock_reply){
			     .act = TEST_MOCK_ROWS, .columns = 2, .rows = 2, .values = row});
	r = PQprepare(pg, "q", "select * from t", 0, NULL);
	assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
	PQclear(r);
	r = PQexecPrepared(pg, "q", 0, NULL, NULL, NULL, 0);
	assert_int_equal(PQntuples(r), 2);
	assert_true(PQgetisnull(r, 0, 1));
	assert_string_equal(PQgetvalue(r, 1, 0), "c");
	PQclear(r);
	r = PQexecPrepared(pg, "not there", 0, NULL, NULL, NULL, 0);
	assert_string_equal(PQresultErrorField(r, PG_DIAG_SQLSTATE), "26000");
	PQclear(r);
	assert_string_equal(ask(pg, "select 1"), "1");
	PQfinish(pg);
}

static bool has_ends(const struct test_mock_counts *c, void *n)
{
	return c->ends >= *(uint64_t *)n;
}

static void a_pool_opens_on_it(void **state)
{
	uint64_t both = 2;
	weir_conn_info info;
	weir_options o;
	weir_pool *pool;
	weir_conn *conn;
	weir_error error;
	weir_pool_stats stats;

	(void)state;
	weir_options_init(&o);
	if (weir_pool_open(test_mock_conninfo(mock), &o, &pool, &error) != WEIR_OK ||
	    weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	assert_string_equal(ask(weir_pg(conn), "show statement_timeout"), "30s");
	assert_int_equal(weir_conn_info_get(conn, &info), WEIR_OK);
	assert_true(info.backend_pid > 1000);
	assert_int_equal(test_mock_queries(mock, info.backend_pid, "show"), 1);
	assert_string_equal(ask(weir_pg(conn), "set search_path = elsewhere"), "SET");
	weir_checkin(&conn);
	assert_true(test_mock_await_sessions(mock, 2, PATIENCE_MS));
	weir_pool_stats_get(pool, &stats);
	assert_int_equal(stats.connect_failures, 0);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	/*
	 * One that was being reset ends without a word; and a close waits only so long for either.
	 */
	assert_true(test_mock_await(mock, PATIENCE_MS, has_ends, &both));
	test_mock_counts(mock, &counts);
	assert_int_equal(counts.ends, 2);
}

static void a_router_takes_it_for_a_primary_and_for_a_standby(void **state)
{
	weir_host_stats host;
	weir_router *router;
	weir_options o;
	weir_error error;

	(void)state;
	for (int standby = 0; standby < 2; standby++) {
		weir_options_init(&o);
		o.pool_min = 0;
		test_mock_report(mock, "in_hot_standby", standby ? "on" : "off");
		if (weir_router_open(test_mock_conninfo(mock), &o, &router, &error) != WEIR_OK ||
		    weir_router_probe(router, PATIENCE_MS) != WEIR_OK)
			fail_msg("%s", error.text);
		assert_int_equal(weir_router_stats_get(router, &host, 1), 1);
		if (host.role != (standby ? WEIR_ROLE_REPLICA : WEIR_ROLE_PRIMARY))
			fail_msg("role %d: %s", host.role, host.last_error);
		assert_int_equal(host.lsn, 0x1000100);
		assert_int_equal(host.system, 7000000000000000001);
		assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
	}
}

static void a_unix_socket_serves_too(void **state)
{
	PGconn *pg;

	(void)state;
	test_mock_stop(&mock);
	mock = test_mock_start(&(struct test_mock_options){.unix_socket = true});
	pg = connected();
	assert_string_equal(ask(pg, "select 1"), "1");
	PQfinish(pg);
}

/* ---- startup ---- */

static void assert_refused(const char *more, const char *words)
{
	PGconn *pg = connected_with(more);

	assert_int_equal(PQstatus(pg), CONNECTION_BAD);
	if (!strstr(PQerrorMessage(pg), words))
		fail_msg("\"%s\" does not say \"%s\"", PQerrorMessage(pg), words);
	PQfinish(pg);
}

static void startups_are_refused(void **state)
{
	(void)state;
	test_mock_refuse(mock, 1, "53300", "sorry, too many clients already");
	assert_refused("", "too many clients");
	test_mock_password(mock, "right");
	assert_refused("password=wrong", "password authentication failed");
	PQfinish(connected_with("password=right"));
	test_mock_password(mock, NULL);
	test_mock_refuse_parameter(mock, "options");
	assert_refused("options='-c a.b=c'", "unsupported startup parameter: options");
	PQfinish(connected());
	test_mock_counts(mock, &counts);
	assert_int_equal(counts.connects, 5);
	assert_int_equal(counts.passwords, 2);
	assert_true(test_mock_heard(mock, "wrong", 5));
	assert_false(test_mock_heard(mock, "left", 4));
}

static void encryption_is_refused_and_feigned(void **state)
{
	(void)state;
	PQfinish(connected_with("sslmode=prefer"));
	assert_refused("sslmode=require", "server does not support SSL");
	test_mock_ssl(mock, TEST_MOCK_SECURE_GARBAGE);
	assert_refused("sslmode=require", "SSL");
	test_mock_ssl(mock, TEST_MOCK_SECURE_STUFFED); /* libpq judges it after the handshake */
	assert_refused("sslmode=require connect_timeout=2", "timeout expired");
	test_mock_ssl(mock, TEST_MOCK_SECURE_DROP);
	assert_refused("sslmode=require", "closed the connection");
	test_mock_ssl(mock, TEST_MOCK_SECURE_STALL);
	assert_refused("sslmode=require connect_timeout=2", "timeout expired");
	test_mock_counts(mock, &counts);
	assert_int_equal(counts.ssl_requests, 6);
	assert_int_equal(counts.startups, 1);
}

static void the_door_is_shut_and_opened(void **state)
{
	PGconn *pg;

	(void)state;
	test_mock_door(mock, TEST_MOCK_REFUSED);
	assert_refused("", "Connection refused");
	test_mock_door(mock, TEST_MOCK_HANG_UP);
	assert_refused("", "closed the connection");
	test_mock_door(mock, TEST_MOCK_RESET);
	assert_refused("", "connection");
	test_mock_door(mock, TEST_MOCK_SILENT);
	assert_refused("connect_timeout=2", "timeout expired");
	test_mock_door(mock, TEST_MOCK_DRIP);
	assert_refused("connect_timeout=2", "timeout expired");
	test_mock_drip(mock, 1);
	PQfinish(connected());
	test_mock_door(mock, TEST_MOCK_OPEN);
	test_mock_freeze(mock, true);
	assert_refused("connect_timeout=2", "timeout expired");
	test_mock_freeze(mock, false);
	pg = connected();
	assert_string_equal(ask(pg, "select 1"), "1");
	PQfinish(pg);
}

/* ---- replies ---- */

static bool is_readable(PGconn *pg, int ms)
{
	struct pollfd p = {.fd = PQsocket(pg), .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

static void replies_wait_until_they_may_go(void **state)
{
	PGconn *pg = connected();
	int64_t began_ns;

	(void)state;
	test_mock_on(mock, "select",
	             &(struct test_mock_reply){.act = TEST_MOCK_USUAL, .held = true, .times = 1});
	assert_true(PQsendQuery(pg, "select 42"));
	assert_true(test_mock_await_held(mock, 1, PATIENCE_MS));
	assert_false(is_readable(pg, 20));
	assert_int_equal(test_mock_go(mock), 1);
	assert_true(is_readable(pg, PATIENCE_MS));
	drain(pg);
	test_mock_on(mock, "select",
	             &(struct test_mock_reply){.act = TEST_MOCK_USUAL, .after_ms = 30});
	began_ns = wi_now_ns();
	assert_string_equal(ask(pg, "select 43"), "43");
	assert_true(wi_now_ns() - began_ns >= 30 * WI_MS);
	PQfinish(pg);
}

static void sessions_end_in_every_way(void **state)
{
	static const struct {
		enum test_mock_act act;
		const char *sqlstate;
	} ways[] = {{TEST_MOCK_FATAL, "57P01"},
	            {TEST_MOCK_CUT, ""},
	            {TEST_MOCK_FIN, ""},
	            {TEST_MOCK_RST, ""}};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		PGconn *pg = connected();

		test_mock_on(mock, "select",
		             &(struct test_mock_reply){.act = ways[i].act, .sqlstate = "57P01"});
		assert_string_equal(ask(pg, "select 1"), ways[i].sqlstate);
		assert_int_equal(PQstatus(pg), CONNECTION_BAD);
		PQfinish(pg);
	}
	test_mock_unscript(mock);
	for (enum test_mock_end how = TEST_MOCK_END_FATAL; how <= TEST_MOCK_END_RST; how++) {
		PGconn *pg = connected();

		assert_int_equal(test_mock_push(mock, PQbackendPID(pg), "in_hot_standby", "on"), 1);
		assert_true(is_readable(pg, PATIENCE_MS));
		assert_true(PQconsumeInput(pg));
		assert_false(PQisBusy(pg));
		assert_string_equal(PQparameterStatus(pg, "in_hot_standby"), "on");
		assert_int_equal(test_mock_end(mock, 0, true, how, "57P02"), 1);
		assert_true(is_readable(pg, PATIENCE_MS));
		ask(pg, "select 1");
		assert_int_equal(PQstatus(pg), CONNECTION_BAD);
		PQfinish(pg);
	}
}

static void cancels_are_counted_held_and_hit(void **state)
{
	PGconn *pg = connected();
	PGcancel *cancel = PQgetCancel(pg);
	PGresult *r;
	char text[64];
	int pid;

	(void)state;
	test_mock_on(mock, "select", &(struct test_mock_reply){.act = TEST_MOCK_SILENCE});
	assert_true(PQcancel(cancel, text, sizeof(text)));
	assert_true(PQsendQuery(pg, "select 'forever'"));
	assert_true(test_mock_await_queries(mock, "select 'forever'", 1, PATIENCE_MS));
	assert_true(PQcancel(cancel, text, sizeof(text)));
	r = PQgetResult(pg);
	assert_string_equal(PQresultErrorField(r, PG_DIAG_SQLSTATE), "57014");
	PQclear(r);
	assert_null(PQgetResult(pg));
	test_mock_last_cancel(mock, &pid, text, sizeof(text));
	assert_int_equal(pid, PQbackendPID(pg));
	assert_string_equal(text, "select 'forever'");
	test_mock_counts(mock, &counts);
	assert_int_equal(counts.cancels, 2);
	assert_int_equal(counts.cancels_hit, 1);
	assert_int_equal(counts.cancels_void, 1);
	PQfreeCancel(cancel);
	PQfinish(pg);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(settings_are_kept_and_reset),
		TEST(transactions_are_followed),
		TEST(the_extended_protocol_works),
		TEST(a_pool_opens_on_it),
		TEST(a_router_takes_it_for_a_primary_and_for_a_standby),
		TEST(a_unix_socket_serves_too),
		TEST(startups_are_refused),
		TEST(encryption_is_refused_and_feigned),
		TEST(the_door_is_shut_and_opened),
		TEST(replies_wait_until_they_may_go),
		TEST(sessions_end_in_every_way),
		TEST(cancels_are_counted_held_and_hit),
	};

	test_watchdog(100, "unit.support.mock_server");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

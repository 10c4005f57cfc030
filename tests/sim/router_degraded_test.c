/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A router before servers that are less than servers: services without the functions that a probe
 * asks with, or that answer NULL, and poolers that lead to several servers over one connection.
 * With libpq, and servers of the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "support/mock_server.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
/* How the question begins, if it is more than the basic one. */
#define MORE                                                                                       \
	"SELECT here.recovering, pg_catalog.current_setting('default_transaction_read_only'),"     \
	" pg_catalog.current_setting('server_version_num'),"

static struct test_mock *writer, *reader;
static weir_options o;
static weir_router *router;
static weir_error error;

static int set_up(void **state)
{
	(void)state;
	writer = test_mock_start(NULL);
	reader = test_mock_start(NULL);
	test_mock_fact(reader, "in_recovery", "t");
	test_mock_fact(reader, "started", "1732145110.5");
	weir_options_init(&o);
	o.pool_min = 0;
	o.probe_interval_ms = 20000; /* and so long an answer may take: these are threads */
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
	test_mock_stop(&writer);
	test_mock_stop(&reader);
	return 0;
}

static void probe(void)
{
	assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
}

static void open_router(void)
{
	char conninfo[256];

	snprintf(conninfo, sizeof(conninfo),
	         "host=127.0.0.1,127.0.0.1 port=%d,%d user=app dbname=shop sslmode=disable "
	         "gssencmode=disable",
	         test_mock_port(writer), test_mock_port(reader));
	if (weir_router_open(conninfo, &o, &router, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	probe();
}

static weir_host_stats stats_of(int i)
{
	weir_host_stats stats[2];

	assert_int_equal(weir_router_stats_get(router, stats, 2), 2);
	return stats[i];
}

/* What a read gets that asks for a limit, and one that does not. */
static weir_role role_of_read(int64_t max_lag_ms)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = max_lag_ms);
	weir_conn *c = NULL;
	weir_conn_info info;

	if (weir_checkout_with(router, &q, &c, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
	weir_checkin(&c);
	return info.role;
}

static void roles_are_known_and_positions_are_not(void)
{
	weir_conn *c = NULL;

	open_router();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_PRIMARY);
	assert_int_equal(stats_of(1).role, WEIR_ROLE_REPLICA);
	assert_int_equal(stats_of(0).system, 0);
	assert_int_equal(stats_of(1).timeline, 0);
	assert_int_equal(stats_of(1).lag_ms, -1);
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &error), WEIR_OK);
	weir_checkin(&c);
	assert_int_equal(role_of_read(0), WEIR_ROLE_REPLICA);
	assert_int_equal(role_of_read(60000), WEIR_ROLE_PRIMARY);
	/* Two that say they are the primary cannot be told apart. */
	test_mock_fact(reader, "in_recovery", "f");
	for (int i = 0; i < 3; i++)
		probe();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_UNKNOWN);
	assert_int_equal(stats_of(1).role, WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(1).last_error, "split brain"));
}

static void functions_that_are_not_there(void **state)
{
	const struct test_mock_reply missing = {
		.act = TEST_MOCK_ERROR, .sqlstate = "42883", .text = "no such function"};

	(void)state;
	test_mock_on(writer, MORE, &missing);
	test_mock_on(reader, MORE, &missing);
	roles_are_known_and_positions_are_not();
}

static void functions_that_are_not_for_us(void **state)
{
	const struct test_mock_reply denied = {
		.act = TEST_MOCK_ERROR, .sqlstate = "42501", .text = "permission denied"};

	(void)state;
	test_mock_on(writer, MORE, &denied);
	test_mock_on(reader, MORE, &denied);
	roles_are_known_and_positions_are_not();
}

static void functions_that_say_nothing(void **state)
{
	static const char *const facts[] = {"system_identifier", "started", "lsn", "timeline"};

	(void)state;
	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
		test_mock_fact(writer, facts[i], NULL);
		test_mock_fact(reader, facts[i], NULL);
	}
	roles_are_known_and_positions_are_not();
}

/* Another error says nothing of what a server could answer: the probe has failed, and is told. */
static void an_error_is_no_answer(void **state)
{
	const struct test_mock_reply broken = {
		.act = TEST_MOCK_ERROR, .sqlstate = "XX001", .text = "could not read block"};

	(void)state;
	test_mock_on(writer, MORE, &broken);
	open_router();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "could not read block"));
}

/* Over one connection, now this server answers and now that one, as behind a pooler over two. */
static void a_pooler_over_several_servers(void **state)
{
	(void)state;
	open_router();
	assert_int_equal(role_of_read(60000), WEIR_ROLE_REPLICA);
	assert_false(stats_of(1).several);
	for (int i = 0; i < 3; i++) {
		test_mock_fact(reader, "started", i % 2 ? "1732145110.5" : "1732145111.5");
		probe();
	}
	assert_true(stats_of(1).several);
	assert_int_equal(stats_of(1).role, WEIR_ROLE_REPLICA);
	assert_int_equal(role_of_read(0), WEIR_ROLE_REPLICA);
	assert_int_equal(role_of_read(60000), WEIR_ROLE_PRIMARY);
	assert_false(stats_of(0).several);
}

/* What a pooler reports at the connect is its own memory: the server is asked. */
static void what_a_pooler_reports_is_not_believed(void **state)
{
	(void)state;
	test_mock_fact(writer, "in_recovery", "f");
	test_mock_report(writer, "in_hot_standby", "on");
	test_mock_report(reader, "in_hot_standby", "off");
	open_router();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_PRIMARY);
	assert_int_equal(stats_of(1).role, WEIR_ROLE_REPLICA);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(functions_that_are_not_there),  TEST(functions_that_are_not_for_us),
		TEST(functions_that_say_nothing),    TEST(an_error_is_no_answer),
		TEST(a_pooler_over_several_servers), TEST(what_a_pooler_reports_is_not_believed),
	};

	test_watchdog(110, "a router before half a server");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

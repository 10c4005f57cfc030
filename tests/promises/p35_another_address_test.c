/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 35, for pools. A server's name gets another address while the pool runs: connections that
 * are opened from then on lead there, and those that are open go on where they are. The name is in
 * /etc/hosts, the test's own; the two addresses are two servers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <libpq-fe.h>

#include <weir/weir.h>

#include "support/mock_server.h"
#include "support/netns.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define PORT 5432 /* nobody else is in this network */

static struct test_mock *old, *new;
static weir_options o;
static weir_pool *pool;
static weir_error error;

static int set_up(void **state)
{
	(void)state;
	test_netns_hosts(TEST_NETNS_DB_ADDRESS " db.test\n");
	weir_options_init(&o);
	o.pool_min = 0;
	o.connect_timeout_ms = 2000;
	if (weir_pool_open("host=db.test port=5432 user=app dbname=shop sslmode=disable "
	                   "gssencmode=disable",
	                   &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	return 0;
}

/* A connection, and to which of the servers it leads: the name of its cluster says so. */
static weir_conn *checkout(const char *leads_to)
{
	weir_conn *conn = NULL;
	PGresult *r;

	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	r = PQexec(weir_pg(conn), "show cluster_name");
	assert_string_equal(PQgetvalue(r, 0, 0), leads_to);
	PQclear(r);
	return conn;
}

static void new_connections_go_to_the_new_address(void **state)
{
	weir_conn *first = checkout("old"), *second;

	(void)state;
	test_netns_hosts(TEST_NETNS_DB_OTHER " db.test\n");
	second = checkout("new");
	weir_checkin(&first);
	first = checkout("old"); /* what is open goes on where it is */
	weir_discard(&first);
	first = checkout("new");
	weir_checkin(&first);
	weir_checkin(&second);
}

static void so_does_one_that_was_lost(void **state)
{
	weir_conn *conn = checkout("old");

	(void)state;
	weir_checkin(&conn);
	test_netns_hosts(TEST_NETNS_DB_OTHER " db.test\n");
	assert_int_equal(test_mock_end(old, 0, true, TEST_MOCK_END_FATAL, "57P01"), 1);
	assert_true(test_mock_await_sessions(old, 0, PATIENCE_MS));
	conn = NULL;
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_OK);
	weir_discard(&conn); /* it might have been taken before its end had arrived */
	conn = checkout("new");
	weir_checkin(&conn);
}

static void of_two_addresses_one_may_be_dead(void **state)
{
	weir_conn *conn[4];

	(void)state;
	test_netns_hosts("10.77.0.9 db.test\n" TEST_NETNS_DB_OTHER " db.test\n");
	for (int i = 0; i < 4; i++)
		conn[i] = checkout("new");
	for (int i = 0; i < 4; i++)
		weir_checkin(&conn[i]);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(new_connections_go_to_the_new_address),
		TEST(so_does_one_that_was_lost),
		TEST(of_two_addresses_one_may_be_dead),
	};
	int failed;

	test_netns_make_or_exit();
	test_watchdog(280, "promise.35_another_address");
	test_netns_enter(TEST_NETNS_DB);
	old = test_mock_start(
		&(struct test_mock_options){.address = TEST_NETNS_DB_ADDRESS, .port = PORT});
	new = test_mock_start(
		&(struct test_mock_options){.address = TEST_NETNS_DB_OTHER, .port = PORT});
	test_netns_enter(TEST_NETNS_APP);
	test_mock_fact(old, "cluster_name", "old");
	test_mock_fact(new, "cluster_name", "new");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	test_mock_stop(&old);
	test_mock_stop(&new);
	return failed;
}

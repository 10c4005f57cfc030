/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 35. A server's name gets another address while a pool runs: connections that are opened
 * from then on lead there, and those that are open go on where they are. Of a router, with
 * several_addresses: an address that is gone is drained and removed, what is out there stays good,
 * and one that is back serves again. The name is in /etc/hosts, the test's own; the two addresses
 * are two servers.
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

#include "base/atomic.h"
#include "base/clock.h"
#include "support/mock_server.h"
#include "support/netns.h"
#include "support/shapes.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define PORT 5432 /* nobody else is in this network */

static struct test_mock *old, *new;
static weir_options o;
static weir_pool *pool;
static weir_error error;

/* ---- a pool ---- */

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

/* To which of the servers it leads: the name of its cluster says so. */
static bool leads_to(weir_conn *conn, const char *name)
{
	PGresult *r = PQexec(weir_pg(conn), "show cluster_name");
	bool so = strcmp(PQgetvalue(r, 0, 0), name) == 0;

	PQclear(r);
	return so;
}

/* A connection, and it leads there. */
static weir_conn *checkout(const char *name)
{
	weir_conn *conn = NULL;

	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	assert_true(leads_to(conn, name));
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

/* ---- a router, each address a host ---- */

#define BOTH TEST_NETNS_DB_ADDRESS " db.test\n" TEST_NETNS_DB_OTHER " db.test\n"

static weir_router *router;
static _Atomic int told[WEIR_EVENT_KINDS]; /* of `new` */

static void hear(void *arg, const weir_event *event)
{
	(void)arg;
	if (strstr(event->host, TEST_NETNS_DB_OTHER))
		wi_add_seq(&told[event->kind], 1);
}

/* `old` is the primary, `new` a standby: reads are its. */
static int open_router(void **state)
{
	(void)state;
	test_mock_fact(new, "in_recovery", "t");
	test_mock_fact(new, "started", "1732145209.5"); /* else it is the same server */
	test_mock_report(new, "in_hot_standby", "on");
	test_netns_hosts(BOTH);
	weir_options_init(&o);
	o.probe_interval_ms = 50;
	o.lookup_interval_ms = 100; /* the least */
	o.several_addresses = true;
	o.on_event = hear;
	for (int i = 0; i < WEIR_EVENT_KINDS; i++)
		wi_store_seq(&told[i], 0);
	if (weir_router_open("host=db.test port=5432 user=app dbname=shop sslmode=disable "
	                     "gssencmode=disable",
	                     &o, &router, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return 0;
}

static int close_router(void **state)
{
	(void)state;
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
	test_mock_fact(new, "in_recovery", NULL);
	test_mock_report(new, "in_hot_standby", "off");
	return 0;
}

static void await_told(weir_event_kind kind, int n)
{
	int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;

	for (; wi_load_seq(&told[kind]) < n; test_nap(WI_MS))
		assert_true(wi_now_ns() < until_ns);
}

/* Reads go elsewhere for as long as it is not known, or not ready. */
static weir_conn *await_read_at(const char *name)
{
	for (;;) {
		weir_conn *conn = NULL;

		if (weir_checkout_with(
			    router, &WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = PATIENCE_MS),
			    &conn, &error) != WEIR_OK)
			fail_msg("%s", error.text);
		if (leads_to(conn, name))
			return conn;
		weir_checkin(&conn);
		test_nap(WI_MS);
	}
}

static void an_address_that_is_gone_is_drained_and_removed(void **state)
{
	weir_conn *held, *conn;

	(void)state;
	held = await_read_at("new");
	test_netns_hosts(TEST_NETNS_DB_ADDRESS " db.test\n");
	await_told(WEIR_EVENT_HOST_REMOVED, 1);
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_HOST_CHANGED]), 1); /* drained first */
	/* What is idle goes, the probe's own, too; what is out stays good, and holds the host. */
	assert_true(test_mock_await_sessions(new, 1, PATIENCE_MS));
	for (int i = 0; i < 20; i++) {
		conn = await_read_at("old");
		weir_checkin(&conn);
		assert_true(leads_to(held, "new"));
	}
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_HOST_LEFT]), 0);
	weir_checkin(&held);
	assert_true(test_mock_await_sessions(new, 0, PATIENCE_MS));
	await_told(WEIR_EVENT_HOST_LEFT, 1);
	/* Back again, it is a new host. */
	test_netns_hosts(BOTH);
	conn = await_read_at("new");
	weir_checkin(&conn);
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_HOST_ADDED]), 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(new_connections_go_to_the_new_address),
		TEST(so_does_one_that_was_lost),
		TEST(of_two_addresses_one_may_be_dead),
		cmocka_unit_test_setup_teardown(an_address_that_is_gone_is_drained_and_removed,
	                                        open_router, close_router),
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

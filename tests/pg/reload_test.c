/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options that change in front of a real PostgreSQL: new sessions have the new timeouts by the
 * server's own word, nobody is left with an old one, and a holder keeps its session.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <weir/weir.h>

#include "support/cluster.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000

static struct test_cluster *cluster;
static weir_options o;
static weir_router *router;
static weir_error error;

static weir_conn *checkout(void)
{
	weir_conn *conn = NULL;

	if (weir_checkout_with(router,
	                       &WEIR_REQUEST(.intent = WEIR_WRITE, .timeout_ms = PATIENCE_MS),
	                       &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return conn;
}

/* The server's statement_timeout of a connection. */
static const char *timeout_of(weir_conn *conn)
{
	static char value[64];
	PGresult *r = PQexec(weir_pg(conn), "SHOW statement_timeout");

	snprintf(value, sizeof(value), "%s",
	         PQresultStatus(r) == PGRES_TUPLES_OK ? PQgetvalue(r, 0, 0) : "?");
	PQclear(r);
	return value;
}

/* Takes all that are open at once: whether every one has it. */
static bool all_have(const char *timeout, int n)
{
	weir_conn *conns[4] = {NULL};
	bool all = true;

	for (int i = 0; i < n; i++)
		conns[i] = checkout();
	for (int i = 0; i < n; i++) {
		all = all && strcmp(timeout_of(conns[i]), timeout) == 0;
		weir_checkin(&conns[i]);
	}
	return all;
}

static void sessions_get_the_new_timeout(void **state)
{
	weir_conn *held;

	(void)state;
	weir_options_init(&o);
	o.pool_min = 2;
	o.pool_max = 4;
	if (weir_router_open(test_cluster_url(cluster), &o, &router, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	assert_true(all_have("30s", 4));
	held = checkout();
	o.statement_timeout_ms = 7000;
	assert_int_equal(weir_router_reload(router, &o, &error), WEIR_OK);
	assert_string_equal(timeout_of(held), "30s");
	while (!all_have("7s", 3))
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	weir_checkin(&held);
	while (!all_have("7s", 4))
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	o.isolated = 1;
	assert_int_equal(weir_router_reload(router, &o, &error), WEIR_INVALID);
	assert_true(all_have("7s", 4));
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
}

static int start(void **state)
{
	struct test_cluster_options options = {.standbys = -1};

	(void)state;
	cluster = test_cluster_start_or_exit(&options);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	return test_cluster_stop(&cluster) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions_get_the_new_timeout),
	};

	test_watchdog(120, "pg.reload");
	return cmocka_run_group_tests(tests, start, finish);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Behind a real PgBouncer: in session mode, refusing the startup options or swallowing them, weir's
 * settings are in force all the same, also after a reset; in transaction mode they cannot be, and
 * weir says so and stops trying.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <libpq-fe.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "support/cluster.h"
#include "support/pgbouncer.h"
#include "support/watchdog.h"

#define PATIENCE_MS 30000

static struct test_cluster *cluster;
static weir_options o;
static weir_error error;
static _Atomic int told[WEIR_EVENT_KINDS];
static char words[WEIR_EVENT_KINDS][256];

static void hear(void *arg, const weir_event *event)
{
	(void)arg;
	told[event->kind]++;
	snprintf(words[event->kind], sizeof(words[0]), "%s", event->text);
}

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = 2;
	o.on_event = hear;
	o.statement_timeout_ms = 12345;
	strcpy(o.search_path, "shop's, pg_catalog");
	for (int i = 0; i < WEIR_EVENT_KINDS; i++)
		told[i] = 0;
	memset(&error, 0, sizeof(error));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_bouncer_stop();
	return 0;
}

static weir_pool *open_pool(const char *conninfo)
{
	weir_pool *pool = NULL;

	if (weir_pool_open(conninfo, &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return pool;
}

static weir_conn *check_out(weir_pool *pool)
{
	weir_conn *conn = NULL;

	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return conn;
}

static void shows(weir_conn *conn, const char *setting, const char *value)
{
	char sql[64];
	PGresult *r;

	snprintf(sql, sizeof(sql), "SHOW %s", setting);
	r = PQexec(weir_pg(conn), sql);
	assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
	assert_string_equal(PQgetvalue(r, 0, 0), value);
	PQclear(r);
}

static void are_in_force_also_after_a_reset(void)
{
	weir_pool *pool = open_pool(test_bouncer_url());
	weir_in_force f;

	for (int i = 0; i < 3; i++) {
		weir_conn *conn = check_out(pool);

		shows(conn, "statement_timeout", "12345ms");
		shows(conn, "idle_in_transaction_session_timeout", "1min");
		shows(conn, "search_path", "shop's, pg_catalog");
		PQclear(PQexec(weir_pg(conn), "SET statement_timeout = 1; SET search_path = x"));
		weir_checkin(&conn);
	}
	assert_true(weir_pool_in_force_get(pool, &f));
	assert_int_equal(f.applied, WEIR_APPLIED_BY_SET);
	assert_true(f.through_pooler);
	assert_int_equal(f.statement_timeout_ms, 12345);
	assert_string_equal(f.search_path, "shop's, pg_catalog");
	assert_int_equal(told[WEIR_EVENT_SETTINGS_FALLBACK], 1);
	assert_int_equal(told[WEIR_EVENT_SETTINGS_REFUSED], 0);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

static void startup_options_that_are_refused_are_set_instead(void **state)
{
	(void)state;
	test_bouncer_start(cluster, "pool_mode = session\n");
	strcpy(o.reset, "always");
	are_in_force_also_after_a_reset();
	assert_non_null(strstr(words[WEIR_EVENT_SETTINGS_FALLBACK], "startup parameter"));
	assert_int_equal(told[WEIR_EVENT_CONNECT_FAILED], 0);
}

static void startup_options_that_are_swallowed_are_noticed(void **state)
{
	(void)state;
	test_bouncer_start(cluster, "pool_mode = session\nignore_startup_parameters = options\n");
	strcpy(o.reset, "always");
	are_in_force_also_after_a_reset();
}

static void a_setting_that_the_server_is_too_old_for_is_told(void **state)
{
	weir_pool *pool;
	weir_conn *conn;
	weir_in_force f;

	(void)state;
	test_bouncer_start(cluster, "pool_mode = session\n");
	o.transaction_timeout_ms = 5000;
	pool = open_pool(test_bouncer_url());
	conn = check_out(pool);
	shows(conn, "statement_timeout", "12345ms");
	assert_true(weir_pool_in_force_get(pool, &f));
	if (PQserverVersion(weir_pg(conn)) < 170000) {
		assert_int_equal(f.applied, WEIR_APPLIED_IN_PART);
		assert_int_equal(f.transaction_timeout_ms, -1);
		assert_int_equal(told[WEIR_EVENT_SETTINGS_REFUSED], 1);
		assert_non_null(strstr(words[WEIR_EVENT_SETTINGS_REFUSED], "transaction_timeout"));
	}
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

static void the_users_own_options_are_not_dropped_in_silence(void **state)
{
	char conninfo[256];
	weir_conn *conn = NULL;
	weir_pool *pool;

	(void)state;
	test_bouncer_start(cluster, "pool_mode = session\n");
	snprintf(conninfo, sizeof(conninfo), "%s?options=-c%%20work_mem%%3D2MB",
	         test_bouncer_url());
	pool = open_pool(conninfo);
	assert_int_not_equal(weir_pool_checkout(pool, 2000, &conn, &error), WEIR_OK);
	assert_non_null(strstr(error.text, "startup parameter"));
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

static void what_is_shared_between_transactions_is_told_and_left_alone(void **state)
{
	weir_conn *one, *two;
	weir_pool *pool;
	weir_in_force f;

	(void)state;
	/* One server process for both: what PgBouncer does with any number when they are idle. */
	test_bouncer_start(cluster, "pool_mode = transaction\ndefault_pool_size = 1\n");
	pool = open_pool(test_bouncer_url());
	one = check_out(pool);
	two = check_out(pool);
	assert_true(weir_pool_in_force_get(pool, &f));
	assert_int_equal(f.applied, WEIR_APPLIED_NOT_HELD);
	assert_true(f.through_pooler);
	assert_int_equal(told[WEIR_EVENT_SETTINGS_FALLBACK], 1);
	assert_int_equal(told[WEIR_EVENT_SETTINGS_REFUSED], 1);
	assert_non_null(strstr(words[WEIR_EVENT_SETTINGS_REFUSED], "between transactions"));
	/* A transaction is still whole, and on one connection. */
	PQclear(PQexec(weir_pg(one), "BEGIN"));
	PQclear(PQexec(weir_pg(one), "SET LOCAL statement_timeout = 777"));
	shows(one, "statement_timeout", "777ms");
	PQclear(PQexec(weir_pg(one), "COMMIT"));
	/* And nothing is set from now on that others would find. */
	PQclear(PQexec(weir_pg(two), "RESET ALL"));
	weir_discard(&one);
	one = check_out(pool);
	shows(one, "statement_timeout", "0");
	weir_checkin(&one);
	weir_checkin(&two);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	assert_int_equal(told[WEIR_EVENT_SETTINGS_REFUSED], 1);
}

/* One value of a statement with so much time, on whichever connection; room for few words. */
static const char *asked_within(weir_pool *pool, const char *sql, int64_t timeout_ms)
{
	const weir_statement s = WEIR_STATEMENT(.sql = sql, .timeout_ms = timeout_ms,
	                                        .prepare = WEIR_PREPARE_AT_ONCE);
	static char value[64];
	PGresult *rows;

	if (weir_pool_query_with(pool, &s, &rows, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	snprintf(value, sizeof(value), "%s", PQgetvalue(rows, 0, 0));
	PQclear(rows);
	return value;
}

/* Nothing is prepared where others would find it, and a deadline goes with its statement. */
static void queries_leave_nothing_in_a_shared_session(void **state)
{
	const char *timeout = "SELECT current_setting('statement_timeout')";
	const weir_statement two[] = {WEIR_STATEMENT(.sql = "SELECT 1"),
	                              WEIR_STATEMENT(.sql = "SELECT 1")};
	weir_conn *one, *other;
	PGresult *results[2];
	weir_pool *pool;

	(void)state;
	test_bouncer_start(cluster, "pool_mode = transaction\ndefault_pool_size = 1\n");
	pool = open_pool(test_bouncer_url());
	one = check_out(pool);
	other = check_out(pool); /* so that there are two */
	weir_checkin(&other);
	PQclear(PQexec(weir_pg(one), "RESET ALL"));
	for (int i = 0; i < 4; i++) {
		assert_string_equal(asked_within(pool, "SELECT 1", 60000), "1");
		assert_true(atoi(asked_within(pool, timeout, 12000)) > 3000);
		assert_string_equal(asked_within(pool, timeout, 60000), "0");
		assert_int_equal(weir_batch(one, two, 2, results, 12000, &error), WEIR_OK);
		PQclear(results[0]);
		PQclear(results[1]);
	}
	assert_string_equal(asked_within(pool, "SELECT count(*) FROM pg_prepared_statements", -1),
	                    "0");
	weir_checkin(&one);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

static void a_server_without_a_pooler_is_seen_as_one(void **state)
{
	weir_in_force f;
	weir_pool *pool;
	weir_conn *conn;

	(void)state;
	pool = open_pool(test_cluster_url(cluster));
	conn = check_out(pool);
	assert_true(weir_pool_in_force_get(pool, &f));
	assert_int_equal(f.applied, WEIR_APPLIED_AT_STARTUP);
	assert_false(f.through_pooler);
	shows(conn, "search_path", "shop's, pg_catalog");
	PQclear(PQexec(weir_pg(conn), "DISCARD ALL"));
	shows(conn, "search_path", "shop's, pg_catalog");
	shows(conn, "statement_timeout", "12345ms");
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

/* `weir check` says the same, for people. */
static void the_program_says_so(void **state)
{
	char command[512], said[8192];
	size_t n;
	FILE *f;

	(void)state;
	if (!getenv("TEST_BIN") || access(getenv("TEST_BIN"), X_OK) != 0)
		return;
	test_bouncer_start(cluster, "pool_mode = session\n");
	snprintf(command, sizeof(command), "%s check '%s'", getenv("TEST_BIN"), test_bouncer_url());
	f = popen(command, "re");
	assert_non_null(f);
	n = fread(said, 1, sizeof(said) - 1, f);
	said[n] = '\0';
	assert_int_equal(pclose(f), 0);
	assert_non_null(strstr(said, "by SET, pooler"));
	assert_non_null(strstr(said, "the startup options were not taken"));
}

/* In transaction mode, with one server session for the probe and for all others. */
static void a_router_finds_the_role_through_it(void **state)
{
	weir_router *router = NULL;
	weir_host_stats s;
	weir_conn *conn = NULL;
	PGresult *result;

	(void)state;
	test_bouncer_start(cluster, "pool_mode = transaction\ndefault_pool_size = 1\n");
	o.search_path[0] = '\0';
	if (weir_router_open(test_bouncer_url(), &o, &router, &error) != WEIR_OK ||
	    weir_checkout(router, WEIR_WRITE, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	result = PQexec(weir_pg(conn), "SELECT pg_is_in_recovery()");
	assert_string_equal(PQgetvalue(result, 0, 0), "f");
	PQclear(result);
	weir_checkin(&conn);
	assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	assert_int_equal(weir_router_stats_get(router, &s, 1), 1);
	assert_int_equal(s.role, WEIR_ROLE_PRIMARY);
	assert_true(s.lsn && s.system && s.timeline == 1 && s.server_version >= 100000);
	/*
	 * Its server restarts behind it, while the probe's connection stays: that is no other one.
	 */
	if (!test_cluster_restart(cluster, 0))
		fail_msg("%s", test_cluster_error(cluster));
	for (int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;
	     weir_checkout(router, WEIR_WRITE, &conn, &error) != WEIR_OK;)
		assert_true(wi_now_ns() < until_ns);
	weir_checkin(&conn);
	assert_int_equal(weir_router_stats_get(router, &s, 1), 1);
	assert_false(s.several);
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
}

static int start(void **state)
{
	struct test_cluster_options options = {.standbys = -1};

	(void)state;
	if (!test_bouncer_is_installed()) {
		printf("skipped: PgBouncer is not installed\n");
		exit(77);
	}
	cluster = test_cluster_start_or_exit(&options);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	return test_cluster_stop(&cluster) ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(startup_options_that_are_refused_are_set_instead),
		TEST(startup_options_that_are_swallowed_are_noticed),
		TEST(a_setting_that_the_server_is_too_old_for_is_told),
		TEST(the_users_own_options_are_not_dropped_in_silence),
		TEST(what_is_shared_between_transactions_is_told_and_left_alone),
		TEST(queries_leave_nothing_in_a_shared_session),
		TEST(a_server_without_a_pooler_is_seen_as_one),
		TEST(the_program_says_so),
		TEST(a_router_finds_the_role_through_it),
	};

	test_watchdog(200, "pg.pgbouncer");
	return cmocka_run_group_tests(tests, start, finish);
}

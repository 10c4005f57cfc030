/* SPDX-License-Identifier: BSD-2-Clause */
/* The router in front of a real primary with two streaming standbys. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "base/rcu.h"
#include "support/cluster.h"
#include "support/watchdog.h"

#define HOSTS 3

static struct test_cluster *cluster;
static weir_options options;
static weir_router *router;
static weir_error error;

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&options);
	options.probe_interval_ms = 100;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_router_close(&router, 20000), WEIR_OK);
	return 0;
}

static void must(bool ok)
{
	if (!ok)
		fail_msg("%s", test_cluster_error(cluster));
}

static void open_router(void)
{
	assert_int_equal(weir_router_open(test_cluster_url(cluster), &options, &router, &error),
	                 WEIR_OK);
	assert_int_equal(weir_router_probe(router, 30000), WEIR_OK);
}

static weir_host_stats stats_of(int i)
{
	weir_host_stats stats[HOSTS];

	assert_int_equal(weir_router_stats_get(router, stats, HOSTS), HOSTS);
	return stats[i];
}

/* Where all is slow, a host may be late for its first probe. */
static void wait_for_role_of(size_t i, size_t n, weir_role role)
{
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;
	weir_host_stats stats[HOSTS];

	do {
		assert_int_equal(weir_router_probe(router, 30000), WEIR_OK);
		assert_int_equal(weir_router_stats_get(router, stats, HOSTS), n);
	} while (stats[i].role != role && wi_now_ns() < until_ns);
	assert_int_equal(stats[i].role, role);
}

static void wait_for_role(int i, weir_role role)
{
	wait_for_role_of((size_t)i, HOSTS, role);
}

static void wait_for_all_roles(void)
{
	for (int i = 0; i < HOSTS; i++)
		wait_for_role(i, i == 0 ? WEIR_ROLE_PRIMARY : WEIR_ROLE_REPLICA);
}

static void wait_until_reachable(int i)
{
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;

	while (!stats_of(i).reachable && wi_now_ns() < until_ns)
		assert_int_equal(weir_router_probe(router, 30000), WEIR_OK);
	assert_true(stats_of(i).reachable);
}

/* The one value of a query, in `value`; fails the test with the server's words. */
static void ask(weir_conn *c, const char *sql, char value[64])
{
	PGresult *result = PQexec(weir_pg(c), sql);

	if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(weir_pg(c)));
	snprintf(value, 64, "%s", PQntuples(result) ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
}

static weir_conn *checkout(weir_intent intent)
{
	weir_conn *c = NULL;

	if (weir_checkout(router, intent, &c, &error) != WEIR_OK)
		fail_msg("%s: %s", weir_status_name(error.status), error.text);
	return c;
}

/* The port that answers, as the server itself says. */
static int port_of(weir_conn *c)
{
	char value[64];

	ask(c, "SELECT inet_server_port()", value);
	return atoi(value);
}

static void roles_are_what_the_servers_say(void **state)
{
	weir_host_stats s;

	(void)state;
	open_router();
	wait_for_all_roles();
	for (int i = 0; i < HOSTS; i++) {
		char host[64];

		s = stats_of(i);
		snprintf(host, sizeof(host), "127.0.0.1:%d", test_cluster_port(cluster, i));
		assert_string_equal(s.host, host);
		assert_int_equal(s.role, i == 0 ? WEIR_ROLE_PRIMARY : WEIR_ROLE_REPLICA);
		assert_int_equal(s.in_recovery, i != 0);
		assert_true(s.server_version >= 100000);
		assert_int_equal(s.timeline, 1);
		assert_true(s.system != 0);
		assert_int_equal(s.system, stats_of(0).system);
		assert_true(s.lsn != 0);
		assert_string_equal(s.tls, "off");
		assert_string_equal(s.last_error, "");
	}
}

static void reads_go_to_standbys_and_writes_to_the_primary(void **state)
{
	int standby[2] = {0};

	(void)state;
	/*
	 * the usual balance prefers who answers faster, which on a busy machine is anybody's guess
	 */
	options.balance = WEIR_BALANCE_ROUND_ROBIN;
	open_router();
	wait_for_all_roles();
	while (stats_of(1).pool.idle < 2 || stats_of(2).pool.idle < 2)
		assert_int_equal(weir_router_probe(router, 30000), WEIR_OK);
	for (int i = 0; i < 200; i++) {
		weir_conn *c = checkout(WEIR_READ);
		weir_conn_info info;
		char value[64];
		int port = port_of(c);

		ask(c, "SELECT pg_is_in_recovery()", value);
		assert_string_equal(value, "t");
		assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
		assert_int_equal(info.role, WEIR_ROLE_REPLICA);
		assert_int_equal(info.backend_pid, PQbackendPID(weir_pg(c)));
		standby[port == test_cluster_port(cluster, 2)]++;
		weir_checkin(&c);
		c = checkout(WEIR_WRITE);
		assert_int_equal(port_of(c), test_cluster_port(cluster, 0));
		weir_checkin(&c);
	}
	/* half each, but for a read that finds its host busy for a moment */
	assert_in_range(standby[0], 40, 160);
	assert_int_equal(stats_of(0).writes, 200);
	assert_int_equal(stats_of(0).reads + stats_of(1).writes + stats_of(2).writes, 0);
	assert_int_equal(stats_of(1).reads, standby[0]);
	assert_int_equal(stats_of(2).reads, standby[1]);
}

static void probes_have_one_connection_a_host(void **state)
{
	(void)state;
	open_router();
	for (int k = 0; k < 5; k++)
		assert_int_equal(weir_router_probe(router, 30000), WEIR_OK);
	for (int i = 0; i < HOSTS; i++) {
		char *n = test_cluster_admin(
			cluster, i,
			"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'weir probe'");

		assert_non_null(n);
		assert_string_equal(n, "1");
		free(n);
	}
}

static void a_token_reads_what_was_written(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	int replicas = 0;
	weir_conn *c;
	char value[64];

	(void)state;
	options.probe_interval_ms = 10;
	open_router();
	c = checkout(WEIR_WRITE);
	ask(c, "CREATE TABLE IF NOT EXISTS written (n int)", value);
	ask(c, "TRUNCATE written", value);
	for (int i = 1; i <= 300; i++) {
		char sql[64], want[16];
		weir_conn *reader = NULL;
		weir_conn_info info;

		snprintf(sql, sizeof(sql), "INSERT INTO written VALUES (%d)", i);
		ask(c, sql, value);
		assert_int_equal(weir_token_take(c, 5000, &mine.at_least, &error), WEIR_OK);
		/* Now and then give the standbys time to be known to have it. */
		if (i % 3 == 0)
			assert_int_equal(weir_router_probe(router, 30000), WEIR_OK);
		assert_int_equal(weir_checkout_with(router, &mine, &reader, &error), WEIR_OK);
		assert_int_equal(weir_conn_info_get(reader, &info), WEIR_OK);
		replicas += info.role == WEIR_ROLE_REPLICA;
		ask(reader, "SELECT max(n) FROM written", value);
		snprintf(want, sizeof(want), "%d", i);
		assert_string_equal(value, want);
		weir_checkin(&reader);
	}
	assert_true(replicas > 0);
	weir_checkin(&c);
}

/* The position in the log at a page or segment boundary must not be out of reach. */
static void a_caught_up_standby_reaches_every_token(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ, .fallback = WEIR_FALLBACK_WAIT,
	                                 .timeout_ms = 20000);
	weir_conn *c, *reader = NULL;
	char value[64];

	(void)state;
	options.probe_interval_ms = 10;
	options.statement_timeout_ms = 60000;
	open_router();
	for (int i = 0; i < 3; i++) {
		char *switched = test_cluster_sql(cluster, 0, "SELECT pg_switch_wal()");

		free(switched);
		c = checkout(WEIR_WRITE);
		ask(c, "SELECT 1", value);
		assert_int_equal(weir_token_take(c, 5000, &mine.at_least, &error), WEIR_OK);
		weir_checkin(&c);
		must(test_cluster_sync(cluster));
		if (weir_checkout_with(router, &mine, &reader, &error) != WEIR_OK)
			fail_msg("%s", error.text);
		weir_checkin(&reader);
	}
}

static void a_standby_that_does_not_replay_is_found_stale(void **state)
{
	weir_request fresh = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 2000);
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;
	weir_conn *c;
	char value[64];

	(void)state;
	open_router();
	must(test_cluster_pause_replay(cluster, 2));
	c = checkout(WEIR_WRITE);
	ask(c, "CREATE TABLE IF NOT EXISTS ticks (at timestamptz)", value);
	while (stats_of(2).lag_ms <= 2100 && wi_now_ns() < until_ns) {
		ask(c, "INSERT INTO ticks VALUES (now())", value);
		assert_int_equal(weir_router_probe(router, 30000), WEIR_OK);
	}
	weir_checkin(&c);
	assert_true(stats_of(2).lag_ms > 2000);
	assert_true(stats_of(2).lag_bytes > 0);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(weir_checkout_with(router, &fresh, &c, &error), WEIR_OK);
		assert_int_not_equal(port_of(c), test_cluster_port(cluster, 2));
		weir_checkin(&c);
	}
	must(test_cluster_resume_replay(cluster, 2));
	must(test_cluster_sync(cluster));
	while (stats_of(2).lag_bytes != 0 && wi_now_ns() < until_ns)
		assert_int_equal(weir_router_probe(router, 30000), WEIR_OK);
	assert_int_equal(stats_of(2).lag_bytes, 0);
}

static void names_are_looked_up(void **state)
{
	char url[512];
	weir_conn *c;

	(void)state;
	snprintf(url, sizeof(url), "%.*slocalhost:%d,localhost:%d%s",
	         (int)(strchr(test_cluster_url(cluster), '@') + 1 - test_cluster_url(cluster)),
	         test_cluster_url(cluster), test_cluster_port(cluster, 0),
	         test_cluster_port(cluster, 1), strrchr(test_cluster_url(cluster), '/'));
	assert_int_equal(weir_router_open(url, &options, &router, &error), WEIR_OK);
	/* Until the standby has answered for the first time, the primary reads. */
	wait_for_role_of(1, 2, WEIR_ROLE_REPLICA);
	c = checkout(WEIR_READ);
	assert_int_equal(port_of(c), test_cluster_port(cluster, 1));
	weir_checkin(&c);
}

static void a_wrong_password_is_told_without_it(void **state)
{
	char url[512];
	weir_conn *c = NULL;

	(void)state;
	snprintf(url, sizeof(url), "postgresql://app:wr0ng-secret@127.0.0.1:%d,127.0.0.1:%d/shop",
	         test_cluster_port(cluster, 0), test_cluster_port(cluster, 1));
	assert_int_equal(weir_router_open(url, &options, &router, &error), WEIR_OK);
	assert_int_equal(weir_checkout(router, WEIR_READ, &c, &error), WEIR_AUTH);
	assert_string_equal(error.sqlstate, "28P01");
	assert_null(strstr(error.text, "wr0ng-secret"));
}

/* Runs body in a child; it must return true. The parent's sessions go on as before. */
static void in_a_child(bool (*body)(void))
{
	weir_conn *held = checkout(WEIR_WRITE);
	int pid = PQbackendPID(weir_pg(held)), status;
	char value[64], want[16];
	pid_t child = fork();

	if (child == 0)
		_exit(body() ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	snprintf(want, sizeof(want), "%d", pid);
	ask(held, "SELECT pg_backend_pid()", value);
	assert_string_equal(value, want);
	weir_checkin(&held);
	for (int i = 0; i < HOSTS; i++) {
		wait_until_reachable(i);
		assert_int_equal(stats_of(i).pool.closed[WEIR_CLOSE_BROKEN], 0);
	}
}

static bool is_refused(void)
{
	weir_conn *c = NULL;

	return weir_checkout(router, WEIR_READ, &c, &error) == WEIR_FORKED && !c &&
	       weir_router_probe(router, 0) == WEIR_FORKED &&
	       weir_router_close(&router, 0) == WEIR_OK && !router;
}

/* A read waits for a standby that has answered. */
static void *use(void *intent)
{
	weir_request q = WEIR_REQUEST(.intent = *(weir_intent *)intent,
	                              .fallback = WEIR_FALLBACK_WAIT, .timeout_ms = 60000);
	weir_conn *c = NULL;
	PGresult *result;
	bool ok;

	if (weir_checkout_with(router, &q, &c, NULL) != WEIR_OK)
		return NULL;
	result = PQexec(weir_pg(c), "SELECT pg_is_in_recovery()");
	ok = PQresultStatus(result) == PGRES_TUPLES_OK &&
	     PQgetvalue(result, 0, 0)[0] == (*(weir_intent *)intent == WEIR_READ ? 't' : 'f');
	PQclear(result);
	weir_checkin(&c);
	return ok ? intent : NULL;
}

/* Several threads come at once; one makes the router anew. */
static bool is_made_anew(void)
{
	weir_intent intents[4] = {WEIR_READ, WEIR_WRITE, WEIR_READ, WEIR_WRITE};
	pthread_t threads[4];
	weir_host_stats stats[HOSTS];
	bool ok = true;
	void *out;

	for (int i = 0; i < 4; i++)
		ok &= pthread_create(&threads[i], NULL, use, &intents[i]) == 0;
	for (int i = 0; i < 4; i++)
		ok &= pthread_join(threads[i], &out) == 0 && out;
	ok &= weir_router_stats_get(router, stats, HOSTS) == HOSTS && stats[0].writes == 2;
	ok &= weir_router_probe(router, 30000) == WEIR_OK;
	return ok && weir_router_close(&router, 20000) == WEIR_OK;
}

static void a_child_is_refused_and_may_close(void **state)
{
	(void)state;
	open_router();
	in_a_child(is_refused);
}

static void a_child_may_reopen(void **state)
{
	(void)state;
#ifdef WI_TSAN
	skip(); /* the thread sanitizer has no threads in a child of a process that had some */
#endif
	options.fork = WEIR_FORK_REOPEN;
	open_router();
	in_a_child(is_made_anew);
}

/* Last but one: the cluster is another after it. */
static void a_failover_is_followed(void **state)
{
	weir_conn *c;
	char value[64];

	(void)state;
	open_router();
	c = checkout(WEIR_WRITE);
	weir_checkin(&c);
	must(test_cluster_kill(cluster, 0));
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	for (int i = 0; i < 20; i++) {
		c = checkout(WEIR_READ);
		assert_int_not_equal(port_of(c), test_cluster_port(cluster, 0));
		weir_checkin(&c);
	}
	must(test_cluster_promote(cluster, 1));
	c = checkout(WEIR_WRITE); /* waits until it is seen */
	assert_int_equal(port_of(c), test_cluster_port(cluster, 1));
	ask(c, "CREATE TABLE after_failover (n int)", value);
	weir_checkin(&c);
	assert_int_equal(stats_of(1).timeline, 2);
	assert_int_equal(stats_of(1).role, WEIR_ROLE_PRIMARY);
}

/* The old primary comes back as it was, and believes that it still is one. */
static void the_old_primary_gets_nothing(void **state)
{
	weir_conn *c;

	(void)state;
	must(test_cluster_boot(cluster, 0));
	open_router();
	wait_for_role(1, WEIR_ROLE_PRIMARY);
	wait_until_reachable(0);
	assert_int_equal(stats_of(0).role, WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "older timeline"));
	for (int i = 0; i < 50; i++) {
		c = checkout(i % 2 ? WEIR_READ : WEIR_WRITE);
		assert_int_not_equal(port_of(c), test_cluster_port(cluster, 0));
		weir_checkin(&c);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(roles_are_what_the_servers_say),
		TEST(reads_go_to_standbys_and_writes_to_the_primary),
		TEST(probes_have_one_connection_a_host),
		TEST(a_token_reads_what_was_written),
		TEST(a_caught_up_standby_reaches_every_token),
		TEST(a_standby_that_does_not_replay_is_found_stale),
		TEST(names_are_looked_up),
		TEST(a_wrong_password_is_told_without_it),
		TEST(a_child_is_refused_and_may_close),
		TEST(a_child_may_reopen),
		TEST(a_failover_is_followed),
		TEST(the_old_primary_gets_nothing),
	};
	int failed;

	test_watchdog(280, "the router on a real cluster");
	cluster = test_cluster_start_or_exit(&(struct test_cluster_options){0});
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (!test_cluster_stop(&cluster)) {
		fprintf(stderr, "the cluster did not stop\n");
		return 1;
	}
	return failed;
}

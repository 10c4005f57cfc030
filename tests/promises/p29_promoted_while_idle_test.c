/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 29, on real servers: a standby is promoted while connections to it are idle, and while
 * one is out as a read. Each is known as what it is before it is used: the idle ones serve writes,
 * the very same, and no reads; the one that is out goes on reading for its holder, and serves
 * writes after that. Who begins READ ONLY and writes is refused without doubt falling on the
 * server.
 *
 * The tests are one story, in their order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "support/cluster.h"
#include "support/watchdog.h"

#define HOSTS 3
#define POOL 2 /* connections to each host, all of them open */
#define PATIENCE_MS 60000

static struct test_cluster *cluster;
static weir_router *router;
static weir_error error;

static void must(bool ok)
{
	if (!ok)
		fail_msg("%s", test_cluster_error(cluster));
}

static weir_host_stats stats_of(int i)
{
	weir_host_stats stats[HOSTS];

	assert_int_equal(weir_router_stats_get(router, stats, HOSTS), HOSTS);
	return stats[i];
}

static void wait_for_role(int i, weir_role role)
{
	int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;

	while (stats_of(i).role != role && wi_now_ns() < until_ns)
		assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	assert_int_equal(stats_of(i).role, role);
}

/* Until all of them are open and idle. */
static void wait_for_pool(int i)
{
	int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;
	uint32_t idle;

	while ((idle = stats_of(i).pool.idle) < POOL && wi_now_ns() < until_ns)
		assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	assert_int_equal(idle, POOL); /* the keeper may have one in its hands again */
}

/* Until nobody asks or moves anything any more. */
static void wait_for_calm(int i)
{
	int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;
	weir_host_stats before, after;

	do {
		wait_for_pool(i);
		before = stats_of(i);
		for (int k = 0; k < 3; k++)
			assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
		after = stats_of(i);
	} while ((before.pool.epoch != after.pool.epoch ||
	          before.pool.verified != after.pool.verified) &&
	         wi_now_ns() < until_ns);
}

static weir_conn *take(weir_intent intent)
{
	weir_request q = WEIR_REQUEST(.intent = intent, .timeout_ms = PATIENCE_MS);
	weir_conn *c = NULL;

	if (weir_checkout_with(router, &q, &c, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return c;
}

static weir_conn_info info_of(weir_conn *c)
{
	weir_conn_info info;

	assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
	return info;
}

static int host_of(weir_conn *c)
{
	int port = atoi(strrchr(info_of(c).host, ':') + 1);

	for (int i = 0; i < HOSTS; i++)
		if (port == test_cluster_port(cluster, i))
			return i;
	return -1;
}

/* The SQLSTATE; "" if all went well. */
static const char *run(weir_conn *c, const char *sql)
{
	static char state[8];
	PGresult *result = PQexec(weir_pg(c), sql);
	const char *field = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	snprintf(state, sizeof(state), "%s", field ? field : "");
	if (!field && PQstatus(weir_pg(c)) != CONNECTION_OK)
		snprintf(state, sizeof(state), "lost");
	PQclear(result);
	return state;
}

static void shows(weir_conn *c, const char *sql, const char *value)
{
	PGresult *result = PQexec(weir_pg(c), sql);

	assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
	assert_string_equal(PQgetvalue(result, 0, 0), value);
	PQclear(result);
}

static void give_back(weir_conn *c[], int n)
{
	for (int i = 0; i < n; i++)
		weir_checkin(&c[i]);
}

/* The server processes behind the connections of host i, which serves reads. */
static void processes_of(int i, int pid[POOL])
{
	weir_conn *c[HOSTS * POOL];
	int n = 0, found = 0;

	while (found < POOL && n < HOSTS * POOL) {
		c[n] = take(WEIR_READ);
		if (host_of(c[n]) == i)
			pid[found++] = info_of(c[n]).backend_pid;
		n++;
	}
	give_back(c, n);
	assert_int_equal(found, POOL);
}

static bool is_one_of(int pid, const int pids[POOL])
{
	for (int i = 0; i < POOL; i++)
		if (pid == pids[i])
			return true;
	return false;
}

/* All connections to host i serve writes, and they are those of before. */
static void these_serve_writes(int i, const int pid[POOL])
{
	weir_conn *c[POOL];

	for (int k = 0; k < POOL; k++) {
		c[k] = take(WEIR_WRITE);
		assert_int_equal(host_of(c[k]), i);
		assert_true(is_one_of(info_of(c[k]).backend_pid, pid));
		assert_int_equal(info_of(c[k]).role, WEIR_ROLE_PRIMARY);
		assert_string_equal(run(c[k], "INSERT INTO notes VALUES (1)"), "");
	}
	assert_int_not_equal(info_of(c[0]).backend_pid, info_of(c[1]).backend_pid);
	give_back(c, POOL);
	assert_int_equal(stats_of(i).pool.closed[WEIR_CLOSE_WRONG_ROLE], 0);
}

/* ---- the story ---- */

static void idle_readers_become_writers(void **state)
{
	int pid[POOL];

	(void)state;
	processes_of(1, pid);
	wait_for_pool(1);
	must(test_cluster_kill(cluster, 0));
	must(test_cluster_promote(cluster, 1));
	these_serve_writes(1, pid);
	assert_true(stats_of(1).pool.epoch > 0);
	for (int i = 0; i < 20; i++) {
		weir_conn *c = take(WEIR_READ);

		assert_int_equal(host_of(c), 2);
		assert_int_equal(info_of(c).role, WEIR_ROLE_REPLICA);
		shows(c, "SELECT pg_is_in_recovery()", "t");
		weir_checkin(&c);
	}
	must(test_cluster_follow(cluster, 2));
	must(test_cluster_rejoin(cluster, 0));
	wait_for_role(0, WEIR_ROLE_REPLICA);
	wait_for_role(2, WEIR_ROLE_REPLICA);
}

/* The transaction in which it was promoted, too, and all others of the same holder. */
static void who_reads_through_it_goes_on_reading(void **state)
{
	weir_conn *c = NULL;
	int pid[POOL], mine;

	(void)state;
	processes_of(2, pid);
	do {
		weir_checkin(&c);
		c = take(WEIR_READ);
	} while (host_of(c) != 2);
	mine = info_of(c).backend_pid;
	assert_true(is_one_of(mine, pid));
	must(test_cluster_sync(cluster));
	must(test_cluster_kill(cluster, 1));
	must(test_cluster_promote(cluster, 2));
	wait_for_role(2, WEIR_ROLE_PRIMARY);
	shows(c, "SELECT pg_is_in_recovery()", "f"); /* the server would take it */
	for (int i = 0; i < 3; i++)
		assert_string_equal(run(c, "INSERT INTO notes VALUES (2)"), "25006");
	weir_checkin(&c);
	these_serve_writes(2, pid);
}

/* What a holder wished for says nothing of the server. */
static void a_refusal_that_was_asked_for_raises_no_doubt(void **state)
{
	weir_host_stats before, after;
	weir_conn *c;

	(void)state;
	wait_for_role(2, WEIR_ROLE_PRIMARY);
	wait_for_calm(2);
	before = stats_of(2);
	for (int i = 0; i < 10; i++) {
		c = take(WEIR_WRITE);
		assert_string_equal(run(c, "BEGIN READ ONLY"), "");
		assert_string_equal(run(c, "INSERT INTO notes VALUES (3)"), "25006");
		weir_checkin(&c);
	}
	wait_for_pool(2);
	assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	after = stats_of(2);
	assert_int_equal(after.pool.epoch, before.pool.epoch);
	assert_int_equal(after.pool.verified, before.pool.verified);
	assert_int_equal(after.pool.opened, before.pool.opened);
	c = take(WEIR_WRITE);
	assert_string_equal(run(c, "INSERT INTO notes VALUES (3)"), "");
	weir_checkin(&c);
}

static int begin(void **state)
{
	weir_options options;
	char *made;

	(void)state;
	weir_options_init(&options);
	options.probe_interval_ms = 100;
	options.pool_min = POOL;
	options.pool_max = POOL;
	made = test_cluster_sql(cluster, 0,
	                        "CREATE TABLE notes (n int); GRANT ALL ON notes TO app");
	must(made != NULL);
	free(made);
	must(test_cluster_sync(cluster));
	if (weir_router_open(test_cluster_url(cluster), &options, &router, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	for (int i = 0; i < HOSTS; i++)
		wait_for_role(i, i == 0 ? WEIR_ROLE_PRIMARY : WEIR_ROLE_REPLICA);
	return 0;
}

static int end(void **state)
{
	(void)state;
	assert_int_equal(weir_router_close(&router, 20000), WEIR_OK);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_readers_become_writers),
		cmocka_unit_test(who_reads_through_it_goes_on_reading),
		cmocka_unit_test(a_refusal_that_was_asked_for_raises_no_doubt),
	};
	int failed;

	test_watchdog(280, "a standby that is promoted");
	cluster = test_cluster_start_or_exit(&(struct test_cluster_options){0});
	failed = cmocka_run_group_tests(tests, begin, end);
	return test_cluster_stop(&cluster) ? failed : 1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What weir counts is what the servers count: rows, rollbacks and sessions exactly, transactions
 * within the share of weir's own, which are two of each session (its login, and the look at what is
 * in force) and one of each probe.
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
#include "support/cluster.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define HOSTS 3
#define USERS 4
#define TIMES 60

static struct test_cluster *cluster;
static weir_router *router;

/* What pg_stat_database says of the database shop on one server. */
struct counted {
	long commits, rollbacks, inserted, sessions, open;
};

static void must(bool ok)
{
	if (!ok)
		fail_msg("%s", test_cluster_error(cluster));
}

static struct counted counted_at(int host)
{
	struct counted c;
	char *row = test_cluster_admin(cluster, host,
	                               "SELECT xact_commit, xact_rollback, tup_inserted, sessions, "
	                               "numbackends FROM pg_stat_database WHERE datname = 'shop'");

	must(row != NULL);
	assert_int_equal(sscanf(row, "%ld|%ld|%ld|%ld|%ld", &c.commits, &c.rollbacks, &c.inserted,
	                        &c.sessions, &c.open),
	                 5);
	free(row);
	return c;
}

static void a_moment(void)
{
	const struct timespec some = {.tv_nsec = 20000000};

	nanosleep(&some, NULL);
}

/* A session tells what it has done when it ends, at the latest. The watchdog bounds it. */
static struct counted counted_when_all_have_gone(int host)
{
	struct counted c;

	while ((c = counted_at(host)).open)
		a_moment();
	return c;
}

/* ---- load ---- */

static void query(struct test_thread *self, weir_intent intent, const char *sql, weir_status want)
{
	weir_error error = {.text = ""};
	PGresult *result = NULL;
	weir_status st = weir_query(router, intent, sql, 0, NULL, &result, &error);

	PQclear(result);
	if (st != want)
		test_wrong(self, "%s: %s: %s", sql, weir_status_name(st), error.text);
}

static void transaction(struct test_thread *self, bool commits)
{
	WEIR_SCOPED weir_conn *conn = NULL;
	WEIR_SCOPED_TX weir_tx tx = WEIR_TX();
	weir_error error = {.text = ""};
	weir_status st = weir_checkout(router, WEIR_WRITE, &conn, &error);

	if (st == WEIR_OK)
		st = weir_tx_begin(conn, NULL, &tx, &error);
	if (st == WEIR_OK)
		st = weir_exec(conn, "INSERT INTO counted VALUES (2)", -1, &error);
	if (st == WEIR_OK)
		st = commits ? weir_tx_commit(&tx, &error) : weir_tx_rollback(&tx, &error);
	if (st != WEIR_OK)
		test_wrong(self, "transaction: %s: %s", weir_status_name(st), error.text);
}

static void use(struct test_thread *self)
{
	for (int i = 0; i < TIMES && !self->wrong[0]; i++) {
		query(self, WEIR_WRITE, "INSERT INTO counted VALUES (1)", WEIR_OK);
		for (int k = 0; k < 4; k++)
			query(self, WEIR_READ, "SELECT count(*) FROM counted", WEIR_OK);
		if (i % 10 == 0)
			query(self, WEIR_READ, "SELECT 1 / 0", WEIR_QUERY);
		transaction(self, i % 3 > 0);
	}
}

/* ---- what has to agree ---- */

static bool is_at_rest(const weir_pool_stats *s)
{
	return !s->opening && !s->kept && !s->closing && !s->busy && !s->doubted;
}

static void read_at_rest(weir_host_stats stats[HOSTS])
{
	bool rests;

	do {
		a_moment();
		assert_int_equal(weir_router_stats_get(router, stats, HOSTS), HOSTS);
		rests = true;
		for (int i = 0; i < HOSTS; i++)
			rests = rests && is_at_rest(&stats[i].pool);
	} while (!rests);
}

/* Sessions of the pool, as the server lists them. */
static void assert_sessions_agree(const weir_host_stats *s, int host)
{
	char *n = test_cluster_admin(cluster, host,
	                             "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' "
	                             "AND backend_type = 'client backend' "
	                             "AND application_name <> 'weir probe'");

	must(n != NULL);
	assert_int_equal(strtoul(n, NULL, 10), s->pool.total);
	assert_int_equal(s->pool.total, s->pool.idle);
	free(n);
}

/* Of either intent: queries that were done, and transactions that were committed. */
static long committed(const weir_pool_stats *s)
{
	uint64_t n = 0;

	for (int i = 0; i < WEIR_INTENTS; i++)
		n += s->work[i].queries - s->work[i].query_errors + s->work[i].committed;
	return (long)n;
}

static long rolled_back(const weir_pool_stats *s)
{
	uint64_t n = 0;

	for (int i = 0; i < WEIR_INTENTS; i++)
		n += s->work[i].query_errors + s->work[i].rolled_back;
	return (long)n;
}

/* A statement inside of a transaction of weir_tx is a query, and commits nothing by itself. */
static long inside(const weir_pool_stats *s)
{
	return (long)(s->work[WEIR_WRITE].committed + s->work[WEIR_WRITE].rolled_back);
}

static void assert_server_agrees(const weir_host_stats *s, const struct counted *before,
                                 const struct counted *after, int64_t elapsed_ms)
{
	const long ours = committed(&s->pool) - inside(&s->pool);
	const long sessions = after->sessions - before->sessions;
	const long probes = elapsed_ms / 1000 * 12 + 100; /* at most one each 100 ms */
	const long more = after->commits - before->commits - ours;

	assert_int_equal(after->rollbacks - before->rollbacks, rolled_back(&s->pool));
	assert_in_range(sessions, s->pool.opened + 1, s->pool.opened + 10);
	if (more < sessions || more > 2 * sessions + probes)
		fail_msg("%s: %ld transactions more than the %ld of weir's count; %ld sessions, at "
		         "most %ld probes",
		         s->host, more, ours, sessions, probes);
	print_message("%s: %ld transactions by weir's count, %ld more at the server: %ld sessions, "
	              "probes\n",
	              s->host, ours, more, sessions);
}

static void statistics_agree_with_the_servers(void **state)
{
	struct counted before[HOSTS], after[HOSTS];
	struct test_thread reports[USERS];
	weir_host_stats stats[HOSTS];
	weir_options o;
	weir_stats sum;
	int64_t began_ns;
	const char *wrong;

	(void)state;
	for (int i = 0; i < HOSTS; i++)
		before[i] = counted_when_all_have_gone(i);
	began_ns = wi_now_ns();
	weir_options_init(&o);
	o.pool_max = USERS;
	assert_int_equal(weir_router_open(test_cluster_url(cluster), &o, &router, NULL), WEIR_OK);
	test_threads_run(USERS, use, NULL, -1, reports);
	wrong = test_first_wrong(reports, USERS);
	if (wrong)
		fail_msg("%s", wrong);
	read_at_rest(stats);
	weir_stats_get(router, &sum);
	for (int i = 0; i < HOSTS; i++)
		assert_sessions_agree(&stats[i], i);
	assert_int_equal(weir_router_close(&router, 20000), WEIR_OK);
	for (int i = 0; i < HOSTS; i++) {
		after[i] = counted_when_all_have_gone(i);
		assert_server_agrees(&stats[i], &before[i], &after[i],
		                     (wi_now_ns() - began_ns) / WI_MS);
	}
	/* Rows that were taken back were inserted, too. */
	assert_int_equal(after[0].inserted - before[0].inserted, 2 * USERS * TIMES);
	assert_int_equal(sum.pool.work[WEIR_WRITE].queries, 2 * USERS * TIMES);
	assert_int_equal(sum.pool.work[WEIR_WRITE].committed, USERS * TIMES * 2 / 3);
	assert_int_equal(sum.pool.work[WEIR_WRITE].rolled_back, USERS * TIMES / 3);
	assert_int_equal(sum.pool.work[WEIR_READ].queries, USERS * TIMES * 4 + USERS * TIMES / 10);
	assert_int_equal(sum.pool.work[WEIR_READ].query_errors, USERS * TIMES / 10);
	assert_int_equal(sum.pool.query_times.count,
	                 sum.pool.work[0].queries + sum.pool.work[1].queries);
	assert_int_equal(sum.pool.checkouts, sum.pool.checkins);
	assert_int_equal(sum.pool.checkouts, sum.reads + sum.writes + sum.too_late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(statistics_agree_with_the_servers)};
	int failed;

	test_watchdog(240, "the servers' statistics");
	cluster = test_cluster_start_or_exit(&(struct test_cluster_options){.max_seconds = 240});
	free(test_cluster_sql(cluster, 0,
	                      "CREATE TABLE counted (n int); GRANT ALL ON counted TO app"));
	must(test_cluster_sync(cluster));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)test_cluster_stop(&cluster);
	return failed;
}

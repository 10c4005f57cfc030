/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 25: a late cancel never hits the next holder.
 *
 * A hundred threads share fifty connections through a proxy that brings cancel requests late: at
 * once, after some milliseconds, or after weir has given up waiting. Some give back a query that
 * still runs, some let a deadline pass, that of a COMMIT, too; the others run a query of their own,
 * right where such a cancel would hit if it could. TEST_CANCELS says how many requests there shall
 * be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "base/line.h"
#include "support/cluster.h"
#include "support/mock_server.h"
#include "support/proxy.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define THREADS 100
#define CONNECTIONS 50
#define PATIENCE_MS 60000
#define MOST_SECONDS 240
#define CANCEL_TIMEOUT_MS 60

static struct test_cluster *cluster;
static struct test_proxy *proxy;
static weir_pool *pool;
static uint64_t wanted;
static int64_t ends_ns; /* the latest */
static struct test_thread reports[THREADS + 1];

enum { ABANDONED, OVERDUE, COMMITS, VICTIMS, COUNTS };

static void pause_us(long us)
{
	nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static bool goes_on(void)
{
	weir_pool_stats s;

	weir_pool_stats_get(pool, &s);
	return s.cancels < wanted && wi_now_ns() < ends_ns;
}

/* Whether it ends by itself, at about the time the cancel comes; one in ten does so only by it. */
static bool sql_that_sleeps(struct test_thread *self, char *sql, size_t room)
{
	if (wi_rng_below(&self->rng, 10) == 0) {
		snprintf(sql, room, "SELECT pg_sleep(100)");
		return false;
	}
	snprintf(sql, room, "SELECT pg_sleep(%d * 0.0001)", (int)wi_rng_below(&self->rng, 60));
	return true;
}

/* Gives back a query that runs. */
static void abandon(struct test_thread *self, weir_conn *conn)
{
	char sql[64];

	sql_that_sleeps(self, sql, sizeof(sql));
	if (!PQsendQuery(weir_pg(conn), sql))
		test_wrong(self, "cannot send: %s", PQerrorMessage(weir_pg(conn)));
	if (wi_rng_below(&self->rng, 2))
		pause_us(wi_rng_below(&self->rng, 3000));
	self->count[ABANDONED]++;
}

static void read_on(PGconn *pg)
{
	PGresult *r;

	while ((r = PQgetResult(pg)))
		PQclear(r);
}

/*
 * Its deadline passes, or not. Some read the answer after all: then nothing is to be seen of the
 * request that is still on its way.
 */
static void be_overdue(struct test_thread *self, weir_conn *conn)
{
	bool ends_by_itself;
	weir_error error;
	weir_status st;
	char sql[64];

	ends_by_itself = sql_that_sleeps(self, sql, sizeof(sql));
	st = weir_exec(conn, sql, 1 + (int)wi_rng_below(&self->rng, 5), &error);
	if (st != WEIR_OK && st != WEIR_TIMEOUT && st != WEIR_OUTCOME_UNKNOWN)
		test_wrong(self, "weir_exec: %s: %s", weir_status_name(st), error.text);
	if (st != WEIR_OK && ends_by_itself && wi_rng_below(&self->rng, 2))
		read_on(weir_pg(conn));
	self->count[OVERDUE]++;
}

/* The same of a transaction whose COMMIT takes a while. */
static void commit_too_late(struct test_thread *self, weir_conn *conn)
{
	const weir_tx_settings s =
		WEIR_TX_SETTINGS(.timeout_ms = 1 + (int)wi_rng_below(&self->rng, 10));
	weir_tx tx = WEIR_TX();
	weir_error error;
	weir_status st = weir_tx_begin(conn, &s, &tx, &error);

	if (st == WEIR_OK)
		st = weir_exec(conn, "INSERT INTO slow VALUES (1)", weir_tx_left_ms(&tx), &error);
	if (st == WEIR_OK)
		st = weir_tx_commit(&tx, &error);
	weir_tx_end(&tx);
	if (st != WEIR_OK && st != WEIR_TIMEOUT && st != WEIR_OUTCOME_UNKNOWN)
		test_wrong(self, "a transaction: %s: %s", weir_status_name(st), error.text);
	self->count[COMMITS] += st == WEIR_OUTCOME_UNKNOWN;
}

/* A query that nobody cancels. */
static void be_victim(struct test_thread *self, weir_conn *conn)
{
	PGconn *pg = weir_pg(conn);
	char sql[96], value[32];
	PGresult *r;

	if (PQtransactionStatus(pg) != PQTRANS_IDLE)
		test_wrong(self, "handed out while not idle");
	snprintf(value, sizeof(value), "%d.%llu", self->number,
	         (unsigned long long)self->count[VICTIMS]);
	snprintf(sql, sizeof(sql), "SELECT '%s' FROM pg_sleep(%d * 0.0001)", value,
	         (int)wi_rng_below(&self->rng, 40));
	r = PQexec(pg, sql);
	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		test_wrong(self, "hit: %s", PQresultErrorMessage(r));
	else if (strcmp(PQgetvalue(r, 0, 0), value) != 0)
		test_wrong(self, "another's answer: %s", PQgetvalue(r, 0, 0));
	PQclear(r);
	self->count[VICTIMS]++;
}

static void use(struct test_thread *self)
{
	weir_conn *conn = NULL;
	weir_error error;
	weir_status st = weir_pool_checkout(pool, PATIENCE_MS, &conn, &error);

	if (st != WEIR_OK) {
		test_wrong(self, "%s: %s", weir_status_name(st), error.text);
		return;
	}
	switch (wi_rng_below(&self->rng, 10)) {
	case 0:
	case 1:
	case 2:
	case 3:
		abandon(self, conn);
		break;
	case 4:
		be_overdue(self, conn);
		break;
	case 5:
		commit_too_late(self, conn);
		break;
	default:
		be_victim(self, conn);
		break;
	}
	weir_checkin(&conn);
}

/* The way of the requests: open, slow, and slower than weir waits. */
static void vary_the_delay(void)
{
	static const int64_t delays_ms[] = {0, 2, 10, 2 * CANCEL_TIMEOUT_MS};
	struct test_proxy_fault fault = {.cancel_delay_ms = 0};

	for (int i = 0; goes_on(); i++) {
		fault.cancel_delay_ms = delays_ms[i % (int)WI_ARRAY_LEN(delays_ms)];
		test_proxy_fault(proxy, TEST_PROXY_NEW, &fault);
		pause_us(50000);
	}
}

static void live(struct test_thread *self)
{
	if (self->number == THREADS) {
		vary_the_delay();
		return;
	}
	while (!self->wrong[0] && goes_on())
		use(self);
}

static void open_pool(void)
{
	const char *at = strchr(test_cluster_url(cluster), '@');
	weir_options o;
	weir_error error;
	char url[512];

	snprintf(url, sizeof(url), "%.*s@127.0.0.1:%d/shop", (int)(at - test_cluster_url(cluster)),
	         test_cluster_url(cluster), test_proxy_port(proxy));
	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = CONNECTIONS;
	o.connect_parallel = CONNECTIONS;
	o.connect_timeout_ms = PATIENCE_MS;
	o.cancel_timeout_ms = CANCEL_TIMEOUT_MS;
	o.statement_timeout_ms = 20000;
	if (weir_pool_open(url, &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

static void no_late_cancel_hits_another_holder(void **state)
{
	struct test_proxy_counts seen;
	weir_pool_stats s;

	(void)state;
	open_pool();
	ends_ns = wi_now_ns() + MOST_SECONDS * WI_SEC;
	test_threads_run(THREADS + 1, live, NULL, -1, reports);
	test_proxy_heal(proxy);
	weir_pool_stats_get(pool, &s);
	test_proxy_counts(proxy, &seen);
	printf("%llu cancels (%llu at the proxy), %llu queries given back running, %llu overdue, "
	       "%llu commits overdue, %llu others' queries; %llu connections opened, %llu closed as busy\n",
	       (unsigned long long)s.cancels, (unsigned long long)seen.cancels,
	       (unsigned long long)test_sum(reports, THREADS, ABANDONED),
	       (unsigned long long)test_sum(reports, THREADS, OVERDUE),
	       (unsigned long long)test_sum(reports, THREADS, COMMITS),
	       (unsigned long long)test_sum(reports, THREADS, VICTIMS),
	       (unsigned long long)s.opened, (unsigned long long)s.closed[WEIR_CLOSE_BUSY]);
	assert_null(test_first_wrong(reports, THREADS));
	assert_true(s.cancels >= wanted);
	assert_true(seen.cancels > 0);
	assert_true(test_sum(reports, THREADS, COMMITS) > 0);
	/* Of both ends there were some: used again, and closed since the cancel took too long. */
	assert_true(s.closed[WEIR_CLOSE_BUSY] > 0);
	assert_true(s.closed[WEIR_CLOSE_BUSY] < test_sum(reports, THREADS, ABANDONED));
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

/*
 * A request that fails on its way, since nobody listens there any more, is not taken for one that
 * was dealt with: it is not known where it is, and the connection is closed.
 */
static void a_request_that_fails_costs_the_connection(void **state)
{
	const struct test_mock_reply silence = {.act = TEST_MOCK_SILENCE};
	struct test_mock *mock = test_mock_start(NULL);
	weir_conn *conn = NULL;
	weir_pool_stats s;
	weir_error error;
	weir_options o;

	(void)state;
	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = 1;
	o.cancel_timeout_ms = 1000;
	test_mock_on(mock, "wait", &silence);
	if (weir_pool_open(test_mock_conninfo(mock), &o, &pool, &error) != WEIR_OK ||
	    weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	assert_int_equal(PQsendQuery(weir_pg(conn), "wait"), 1);
	assert_true(test_mock_await_queries(mock, "wait", 1, PATIENCE_MS));
	test_mock_door(mock, TEST_MOCK_REFUSED);
	weir_checkin(&conn);
	do {
		pause_us(1000);
		weir_pool_stats_get(pool, &s);
	} while (s.closed[WEIR_CLOSE_BUSY] == 0);
	/* That one, and the last word to a busy server; else it is asked again and again. */
	assert_in_range(s.cancels, 1, 2);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	test_mock_stop(&mock);
}

static int start(void **state)
{
	struct test_cluster_options options = {.standbys = -1, .max_connections = 200};
	const char *number = getenv("TEST_CANCELS");
	char *made;

	(void)state;
	wanted = number ? strtoull(number, NULL, 10) : 500;
	cluster = test_cluster_start_or_exit(&options);
	made = test_cluster_sql(
		cluster, 0,
		"CREATE TABLE slow (n int); CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql "
		"AS 'BEGIN PERFORM pg_sleep(0.004); RETURN NULL; END';"
		"CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON slow DEFERRABLE INITIALLY "
		"DEFERRED FOR EACH ROW EXECUTE FUNCTION sleep(); GRANT ALL ON slow TO app");
	if (!made)
		fail_msg("%s", test_cluster_error(cluster));
	free(made);
	proxy = test_proxy_start(&(struct test_proxy_options){
		.host = "127.0.0.1",
		.port = test_cluster_port(cluster, 0),
		.max_seconds = 290,
	});
	return 0;
}

static int finish(void **state)
{
	(void)state;
	test_proxy_stop(&proxy);
	return test_cluster_stop(&cluster) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_that_fails_costs_the_connection),
		cmocka_unit_test(no_late_cancel_hits_another_holder),
	};

	test_watchdog(295, "promise 25");
	return cmocka_run_group_tests(tests, start, finish);
}

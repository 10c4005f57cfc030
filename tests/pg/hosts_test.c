/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A third standby is added to a router under load, drained and removed again, on real servers: no
 * statement fails, the standby serves while it is in the set, and has no session of weir's when it
 * has left.
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

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rng.h"
#include "support/cluster.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define THIRD 3 /* the server that comes and goes */
#define THREADS 6
#define PATIENCE_MS 60000

static struct test_cluster *cluster;
static weir_router *router;
static _Atomic int told[WEIR_EVENT_KINDS];
static _Atomic uint64_t reads_at[THIRD + 1];

static void hear(void *arg, const weir_event *event)
{
	(void)arg;
	wi_add_seq(&told[event->kind], 1);
}

/* The cluster's address without its last host. */
static void first_hosts(char *url, size_t room)
{
	char port[32], *at;

	snprintf(url, room, "%s", test_cluster_url(cluster));
	snprintf(port, sizeof(port), ",127.0.0.1:%d", test_cluster_port(cluster, THIRD));
	at = strstr(url, port);
	assert_non_null(at);
	memmove(at, at + strlen(port), strlen(at + strlen(port)) + 1);
}

static const char *name_of(int i)
{
	static char name[64];

	snprintf(name, sizeof(name), "127.0.0.1:%d", test_cluster_port(cluster, i));
	return name;
}

/* ---- the load ---- */

/* Which server it is, by its own word. */
static void read_one(struct test_thread *self, weir_conn *c)
{
	PGresult *r = PQexec(weir_pg(c), "SELECT inet_server_port()");

	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		test_wrong(self, "a read: %s", PQerrorMessage(weir_pg(c)));
	for (int i = 0; PQresultStatus(r) == PGRES_TUPLES_OK && i <= THIRD; i++)
		if (atoi(PQgetvalue(r, 0, 0)) == test_cluster_port(cluster, i))
			wi_add_seq(&reads_at[i], 1);
	PQclear(r);
}

static void write_one(struct test_thread *self, weir_conn *c)
{
	PGresult *r = PQexec(weir_pg(c), "INSERT INTO visits DEFAULT VALUES");

	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		test_wrong(self, "a write: %s", PQerrorMessage(weir_pg(c)));
	PQclear(r);
}

static void visit(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		weir_intent intent = wi_rng_below(&self->rng, 4) ? WEIR_READ : WEIR_WRITE;
		weir_conn *c = NULL;
		weir_error e;

		if (weir_checkout(router, intent, &c, &e) != WEIR_OK) {
			test_wrong(self, "%s", e.text);
			return;
		}
		if (intent == WEIR_READ)
			read_one(self, c);
		else
			write_one(self, c);
		self->count[intent]++;
		weir_checkin(&c);
	}
}

/* ---- the operator ---- */

static void nap(void)
{
	const struct timespec t = {.tv_nsec = 2000000};

	nanosleep(&t, NULL);
}

static void expect(struct test_thread *self, weir_status st, const weir_error *e)
{
	if (st != WEIR_OK)
		test_wrong(self, "%s", e->text);
}

/* Until so many more reads went there, or somebody has failed. */
static void await_reads(struct test_thread *self, int i, uint64_t n)
{
	uint64_t until = wi_load_seq(&reads_at[i]) + n;
	int64_t end_ns = wi_now_ns() + PATIENCE_MS * WI_MS;

	while (wi_load_seq(&reads_at[i]) < until && wi_now_ns() < end_ns)
		nap();
	if (wi_load_seq(&reads_at[i]) < until)
		test_wrong(self, "no reads at server %d", i);
}

static void await_left(struct test_thread *self, int n)
{
	int64_t end_ns = wi_now_ns() + PATIENCE_MS * WI_MS;

	while (wi_load_seq(&told[WEIR_EVENT_HOST_LEFT]) < n && wi_now_ns() < end_ns)
		nap();
	if (wi_load_seq(&told[WEIR_EVENT_HOST_LEFT]) < n)
		test_wrong(self, "a removed host has not left");
}

static void operate(struct test_thread *self)
{
	weir_error e;

	for (int round = 1; round <= 2; round++) {
		uint64_t before;

		expect(self, weir_router_host_add(router, name_of(THIRD), NULL, &e), &e);
		await_reads(self, THIRD, 50);
		expect(self, weir_router_host_drain(router, name_of(1), true, &e), &e);
		await_reads(self, THIRD, 50);
		expect(self, weir_router_host_drain(router, name_of(1), false, &e), &e);
		await_reads(self, 1, 50);
		expect(self, weir_router_host_remove(router, name_of(THIRD), &e), &e);
		await_left(self, round);
		before = wi_load_seq(&reads_at[THIRD]);
		await_reads(self, 2, 50);
		if (wi_load_seq(&reads_at[THIRD]) != before)
			test_wrong(self, "a read at a host that has left");
	}
}

/* The last one ends when all is done, the others when the time that this takes is over. */
static void one_of_them(struct test_thread *self)
{
	static _Atomic bool over;

	if (self->number == THREADS) {
		operate(self);
		wi_store_seq(&over, true);
		return;
	}
	self->stop = &over;
	visit(self);
}

/* Sessions of weir's at the third server. */
static int sessions_there(void)
{
	char *n = test_cluster_admin(cluster, THIRD,
	                             "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'");
	int sessions;

	assert_non_null(n);
	sessions = atoi(n);
	free(n);
	return sessions;
}

static void a_standby_comes_and_goes_under_load(void **state)
{
	struct test_thread reports[THREADS + 1];
	weir_host_stats stats[THIRD + 1];

	(void)state;
	test_threads_run(THREADS + 1, one_of_them, NULL, -1, reports);
	if (test_first_wrong(reports, THREADS + 1))
		fail_msg("%s", test_first_wrong(reports, THREADS + 1));
	assert_true(test_sum(reports, THREADS + 1, WEIR_WRITE) > 0);
	assert_int_equal(weir_router_stats_get(router, stats, THIRD + 1), THIRD);
	while (sessions_there() > 0) /* one that was told to end does when the server gets to it */
		nap();
}

static int set_up(void **state)
{
	weir_options options;
	weir_error error;
	char url[1024];

	(void)state;
	free(test_cluster_sql(cluster, 0,
	                      "CREATE TABLE visits (at timestamptz DEFAULT now());"
	                      "GRANT ALL ON visits TO app"));
	assert_true(test_cluster_sync(cluster));
	weir_options_init(&options);
	options.probe_interval_ms = 100;
	options.pool_max = 4;
	options.on_event = hear;
	first_hosts(url, sizeof(url));
	assert_int_equal(weir_router_open(url, &options, &router, &error), WEIR_OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_router_close(&router, 20000), WEIR_OK);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_standby_comes_and_goes_under_load, set_up,
	                                        tear_down),
	};
	int failed;

	test_watchdog(240, "pg.hosts");
	cluster = test_cluster_start_or_exit(&(struct test_cluster_options){.standbys = THIRD});
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return test_cluster_stop(&cluster) ? failed : 1;
}

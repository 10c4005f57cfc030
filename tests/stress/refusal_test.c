/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Callers who are refused: before an open breaker within microseconds (the medians are printed), of
 * a pool and of a router all of whose hosts are dead; and beyond max_waiters no one too many waits.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/fake_cluster.h"
#include "support/fake_pool.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define CALLS 4001
#define GOAL_NS 50000

static struct wi_fake_server server;
static struct fake_cluster cluster;
static weir_options o;
static weir_pool *pool;
static weir_router *router;
static weir_error error;

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&o);
	wi_fake_server_init(&server);
	return 0;
}

static void open_pool(void)
{
	pool = fake_pool_open(&server, &o);
}

static void close_pool(void)
{
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	wi_fake_server_fini(&server);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static weir_status from_pool(weir_intent intent, weir_conn **conn)
{
	(void)intent;
	return weir_pool_checkout(pool, PATIENCE_MS, conn, &error);
}

static weir_status from_router(weir_intent intent, weir_conn **conn)
{
	return weir_checkout(router, intent, conn, &error);
}

/* Each call has a minute, and each is refused; the median of how long that takes. */
static void assert_refused_at_once(const char *what, weir_status (*call)(weir_intent, weir_conn **),
                                   weir_intent intent, weir_status wanted)
{
	static int64_t took_ns[CALLS];

	for (int i = 0; i < CALLS; i++) {
		weir_conn *conn = NULL;
		int64_t began_ns = wi_now_ns();
		weir_status st = call(intent, &conn);

		took_ns[i] = wi_now_ns() - began_ns;
		assert_int_equal(st, wanted);
	}
	qsort(took_ns, CALLS, sizeof(took_ns[0]), compare);
	printf("%s: refused in %.1f us (median), %.1f us (99 of 100)\n", what,
	       (double)took_ns[CALLS / 2] / 1000, (double)took_ns[CALLS / 100 * 99] / 1000);
	assert_true(took_ns[CALLS / 2] < GOAL_NS * test_slowness());
}

static void a_dead_server_answers_in_microseconds(void **state)
{
	weir_conn *conn = NULL;

	(void)state;
	wi_store_rlx(&server.connect_fault, WI_FAULT_REFUSED);
	open_pool();
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_CONNECT);
	assert_refused_at_once("a pool", from_pool, WEIR_WRITE, WEIR_CONNECT);
	assert_non_null(strstr(error.text, "connection refused"));
	close_pool();
}

static void so_does_a_router_whose_hosts_are_all_dead(void **state)
{
	weir_conn *conn = NULL;

	(void)state;
	fake_cluster_init(&cluster, 3);
	for (int i = 0; i < 3; i++)
		fake_host_down(&cluster, i, true);
	o.probe_interval_ms = 20;
	assert_int_equal(fake_cluster_open(&cluster, &o, &router, &error), WEIR_OK);
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &conn, &error), WEIR_UNAVAILABLE);
	assert_refused_at_once("a router, to write", from_router, WEIR_WRITE, WEIR_UNAVAILABLE);
	assert_refused_at_once("a router, to read", from_router, WEIR_READ, WEIR_UNAVAILABLE);
	assert_non_null(strstr(error.text, "127.0.0.1:6002: unknown: connection refused"));
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
	fake_cluster_fini(&cluster);
	wi_fake_server_fini(&server);
}

/* ---- max_waiters ---- */

#define MOST 5
#define CROWD 24

static _Atomic bool is_served, is_shed;

/* Until both has happened, however little of the processor there is. */
static void crowd(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop) || !wi_load_rlx(&is_served) || !wi_load_rlx(&is_shed)) {
		weir_conn *conn = NULL;
		weir_status st = weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL);

		if (wi_core_waiting(&pool->core) > MOST)
			test_wrong(self, "%u wait", wi_core_waiting(&pool->core));
		if (st != WEIR_OK && st != WEIR_SHED)
			test_wrong(self, "%s", weir_status_name(st));
		self->count[0] += st == WEIR_OK;
		self->count[1] += st == WEIR_SHED;
		wi_store_rlx(st == WEIR_OK ? &is_served : &is_shed, true);
		if (st == WEIR_OK && wi_rng_below(&self->rng, 4) == 0)
			sched_yield(); /* with the connection */
		weir_checkin(&conn);
	}
}

static void no_more_wait_than_may(void **state)
{
	struct test_thread reports[CROWD];
	weir_pool_stats s;
	uint64_t served, shed;

	(void)state;
	o.pool_max = 2;
	o.max_waiters = MOST;
	open_pool();
	test_yields(20);
	test_threads_run(CROWD, crowd, NULL, test_seconds(2), reports);
	test_yields(0);
	if (test_first_wrong(reports, CROWD))
		fail_msg("%s", test_first_wrong(reports, CROWD));
	served = test_sum(reports, CROWD, 0);
	shed = test_sum(reports, CROWD, 1);
	printf("%llu served, %llu shed\n", (unsigned long long)served, (unsigned long long)shed);
	weir_pool_stats_get(pool, &s);
	assert_true(served > 0 && shed > 0);
	assert_int_equal(s.checkouts, served);
	assert_int_equal(s.refused, shed);
	close_pool();
}

static _Atomic int entered;

static void *wait_there(void *arg)
{
	weir_conn *conn = NULL;

	(void)arg;
	wi_add_rlx(&entered, 1);
	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL) != WEIR_OK)
		wi_add_rlx(&entered, 1000);
	weir_checkin(&conn);
	return NULL;
}

/* As many as may wait do wait, when nobody else passes through: the bound is exact. */
static void as_many_wait_as_may(void **state)
{
	weir_conn *held = NULL, *conn = NULL;
	pthread_t thread[MOST];
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;

	(void)state;
	o.pool_max = 1;
	o.max_waiters = MOST;
	open_pool();
	wi_store_rlx(&entered, 0);
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &held, NULL), WEIR_OK);
	for (int i = 0; i < MOST; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, wait_there, NULL), 0);
	while (wi_core_waiting(&pool->core) < MOST && wi_now_ns() < until_ns)
		sched_yield();
	assert_int_equal(wi_core_waiting(&pool->core), MOST);
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_SHED);
	weir_checkin(&held);
	for (int i = 0; i < MOST; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(wi_load_rlx(&entered), MOST);
	close_pool();
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_dead_server_answers_in_microseconds),
		TEST(so_does_a_router_whose_hosts_are_all_dead),
		TEST(no_more_wait_than_may),
		TEST(as_many_wait_as_may),
	};

	test_watchdog(200, "stress.refusal");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

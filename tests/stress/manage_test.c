/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operators suspend, resume, resize and evict while many threads come and go: whoever has suspended
 * and then seen nobody busy knows that nobody has a connection, and keeps knowing it, but for
 * threads that lost their processor in a checkout which had begun before; whatever two operators
 * say at once, what was said last holds; the maximum is never exceeded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rng.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "route/router.h"
#include "support/fake_cluster.h"
#include "support/fake_pool.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define THREADS 8
#define MAX 4
#define MAX_EVER 9

static struct wi_fake_server server;
static struct fake_cluster cluster;
static weir_pool *pool;
static weir_router *router;

/* While an operator has seen nobody busy: when his suspend had returned; or 0. */
static _Atomic int64_t suspended_ns;

/* A user has a connection, of a checkout that began and ended then. */
static void judge(struct test_thread *self, int64_t begun_ns, int64_t ended_ns)
{
	int64_t since_ns = wi_load_seq(&suspended_ns);

	self->count[2] += since_ns != 0;
	if (since_ns && begun_ns > since_ns)
		test_wrong(self, "served, and it came %lld ns after the suspend",
		           (long long)(begun_ns - since_ns));
	/* Who loses the processor does so for longer than a checkout takes. */
	if (since_ns && ended_ns - begun_ns < WI_MS)
		test_wrong(self, "has one though nobody was busy, after %lld ns",
		           (long long)(ended_ns - begun_ns));
}

static void nap(int64_t us)
{
	const struct timespec t = {.tv_nsec = us * 1000};

	nanosleep(&t, NULL);
}

static weir_status check_out(weir_conn **conn, int i)
{
	if (pool)
		return weir_pool_checkout(pool, i % 3 ? 20 : 0, conn, NULL);
	return weir_checkout_with(
		router, &WEIR_REQUEST(.intent = i % 2 ? WEIR_READ : WEIR_WRITE, .timeout_ms = 20),
		conn, NULL);
}

static void come_and_go(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		weir_conn *conn = NULL;
		int64_t begun_ns = wi_now_ns(), ended_ns;
		weir_status st = check_out(&conn, (int)wi_rng_below(&self->rng, 6));

		ended_ns = wi_now_ns();

		if (st != WEIR_OK) {
			if (st != WEIR_TIMEOUT && st != WEIR_EXHAUSTED && st != WEIR_UNAVAILABLE)
				test_wrong(self, "a checkout: %s", weir_status_name(st));
			if (st == WEIR_UNAVAILABLE)
				nap(100);
			continue;
		}
		judge(self, begun_ns, ended_ns);
		self->count[0]++;
		if (wi_rng_below(&self->rng, 8) == 0)
			nap(wi_rng_below(&self->rng, 300));
		judge(self, begun_ns, ended_ns);
		if (wi_rng_below(&self->rng, 64) == 0)
			weir_discard(&conn);
		else
			weir_checkin(&conn);
	}
}

static uint32_t busy(void)
{
	weir_host_stats hosts[FAKE_HOSTS];
	weir_pool_stats s;
	uint32_t n = 0;
	size_t n_hosts;

	if (pool) {
		weir_pool_stats_get(pool, &s);
		return s.busy;
	}
	n_hosts = weir_router_stats_get(router, hosts, FAKE_HOSTS);
	for (size_t i = 0; i < n_hosts; i++)
		n += hosts[i].pool.busy;
	return n;
}

static weir_status suspend(weir_suspend how)
{
	return pool ? weir_pool_suspend(pool, how) : weir_router_suspend(router, how);
}

static weir_status resume(void)
{
	return pool ? weir_pool_resume(pool) : weir_router_resume(router);
}

static weir_status resize(uint32_t min, uint32_t max)
{
	return pool ? weir_pool_resize(pool, min, max, NULL)
	            : weir_router_resize(router, min, max, NULL);
}

static weir_status evict(void)
{
	return pool ? weir_pool_evict(pool) : weir_router_evict(router, NULL);
}

static void must(struct test_thread *self, const char *what, weir_status st)
{
	if (st != WEIR_OK)
		test_wrong(self, "%s: %s", what, weir_status_name(st));
}

/* Suspends, and when nobody is busy, nobody has anything for as long as it looks. */
static void quiesce(struct test_thread *self)
{
	bool waits = wi_rng_below(&self->rng, 2);
	int64_t now_ns;

	must(self, "suspend", suspend(waits ? WEIR_SUSPEND_WAIT : WEIR_SUSPEND_FAIL));
	now_ns = wi_now_ns();
	while (busy())
		nap(20);
	wi_store_seq(&suspended_ns, now_ns); /* users judge from here on */
	for (int i = 0; i < 50; i++)
		nap(2);
	wi_store_seq(&suspended_ns, 0);
	must(self, "resume", resume());
	self->count[1]++;
}

static void operate(struct test_thread *self)
{
	do { /* once at least, however late the thread begins */
		uint32_t max = 1 + wi_rng_below(&self->rng, MAX_EVER);

		quiesce(self);
		nap(wi_rng_below(&self->rng, 2000));
		must(self, "resize", resize(wi_rng_below(&self->rng, max + 1), max));
		if (wi_rng_below(&self->rng, 4) == 0)
			must(self, "evict", evict());
		nap(wi_rng_below(&self->rng, 2000));
	} while (!wi_load_rlx(self->stop));
}

/* Two at once: what they say contradicts, until both have resumed. */
static void disagree(struct test_thread *self)
{
	do {
		bool waits = wi_rng_below(&self->rng, 2);

		must(self, "suspend", suspend(waits ? WEIR_SUSPEND_WAIT : WEIR_SUSPEND_FAIL));
		must(self, "resume", resume());
		self->count[1]++;
	} while (!wi_load_rlx(self->stop));
}

static void operator_and_users(struct test_thread *self)
{
	(self->number ? come_and_go : operate)(self);
}

static void operators_and_users(struct test_thread *self)
{
	(self->number > 1 ? come_and_go : disagree)(self);
}

static void run(void (*body)(struct test_thread *), const char *name)
{
	struct test_thread reports[THREADS + 2];
	const char *wrong;
	weir_conn *conn = NULL;

	test_threads_run(THREADS + 2, body, NULL, test_seconds(1.0), reports);
	wrong = test_first_wrong(reports, THREADS + 2);
	printf("%-22s %8llu checkouts, %6llu suspensions, %llu times somebody was late\n", name,
	       (unsigned long long)test_sum(reports, THREADS + 2, 0),
	       (unsigned long long)test_sum(reports, THREADS + 2, 1),
	       (unsigned long long)test_sum(reports, THREADS + 2, 2));
	if (wrong)
		fail_msg("%s", wrong);
	assert_true(test_sum(reports, THREADS + 2, 1) > 0);
	assert_int_equal(busy(), 0);
	/* Whatever was said last was a resume, and nothing is left of the rest. */
	for (int i = 0; i < (pool ? 1 : 3); i++) {
		const struct wi_core *core =
			pool ? &pool->core : &wi_host_at(router, (uint32_t)i)->pool->core;

		assert_int_equal(wi_load_seq(&core->suspended), 0);
		assert_int_equal(wi_load_seq(&core->bias.word) & WI_BIAS_SUSPENDED, 0);
	}
	if (router)
		assert_int_equal(wi_load_seq(&router->desk.bias.word) & WI_BIAS_SUSPENDED, 0);
	for (int i = 0; i < 3; i++) {
		weir_status st = pool ? weir_pool_checkout(pool, 60000, &conn, NULL)
		                      : weir_checkout(router, WEIR_WRITE, &conn, NULL);

		assert_int_equal(st, WEIR_OK);
		weir_checkin(&conn);
	}
}

static void run_all(void)
{
	test_yields(20);
	run(operator_and_users, pool ? "pool, one operator" : "router, one operator");
	run(operators_and_users, pool ? "pool, two of them" : "router, two of them");
	test_yields(0);
}

/* ---- in the very moment ---- */

static struct test_stop announced = {.point = "core.wait.announced", .visit = 1};
static _Atomic bool is_taken, is_served;

static void wait_for_one(struct test_thread *self)
{
	weir_conn *conn = NULL;

	if (self->number == 0) {
		while (!wi_load_rlx(&is_taken))
			nap(100);
		test_stop_arm(&announced);
		must(self, "checkout", weir_pool_checkout(pool, 60000, &conn, NULL));
		wi_store_rlx(&is_served, true);
		weir_checkin(&conn);
		return;
	}
	must(self, "first checkout", weir_pool_checkout(pool, 60000, &conn, NULL));
	wi_store_rlx(&is_taken, true);
	test_stop_await(&announced);
	must(self, "suspend", weir_pool_suspend(pool, WEIR_SUSPEND_WAIT));
	weir_checkin(&conn);
	test_stop_release(&announced);
	/* It finds what was given back, sees that it may not have it, and waits elsewhere. */
	while (!wi_load_rlx(&pool->at_gate) && !wi_load_rlx(&is_served))
		nap(100);
	nap(10000);
	if (wi_load_rlx(&is_served) || busy())
		test_wrong(self, "served though suspended");
	must(self, "resume", weir_pool_resume(pool));
}

/* In line when the pool is suspended, and not looking just then. */
static void who_is_stopped_in_line_gets_nothing(void **state)
{
	struct test_thread reports[2];
	weir_options o;

	(void)state;
	weir_options_init(&o);
	o.pool_max = 1;
	o.pool_min = 0;
	wi_fake_server_init(&server);
	pool = fake_pool_open(&server, &o);
	test_threads_run(2, wait_for_one, NULL, -1, reports);
	if (test_first_wrong(reports, 2))
		fail_msg("%s", test_first_wrong(reports, 2));
	assert_true(wi_load_rlx(&is_served));
	assert_int_equal(weir_pool_close(&pool, 60000), WEIR_OK);
	wi_fake_server_fini(&server);
}

static void a_pool_is_managed_under_load(void **state)
{
	weir_options o;

	(void)state;
	weir_options_init(&o);
	o.pool_max = MAX;
	wi_fake_server_init(&server);
	pool = fake_pool_open(&server, &o);
	run_all();
	assert_true(wi_load_rlx(&server.sessions_peak) <= MAX_EVER);
	assert_int_equal(weir_pool_close(&pool, 60000), WEIR_OK);
	assert_int_equal(wi_load_rlx(&server.sessions), 0);
	wi_fake_server_fini(&server);
}

static weir_pool_stats pool_of(int i)
{
	weir_host_stats hosts[FAKE_HOSTS];

	assert_true(weir_router_stats_get(router, hosts, FAKE_HOSTS) > (size_t)i);
	return hosts[i].pool;
}

static void one_host_alone_is_evicted(void)
{
	for (int i = 0; i < 60000 && !pool_of(1).idle; i++)
		nap(1000);
	assert_int_equal(weir_router_evict(router, "nobody"), WEIR_INVALID);
	assert_int_equal(weir_router_evict(NULL, NULL), WEIR_INVALID);
	assert_int_equal(weir_router_evict(router, fake_host_name(1)), WEIR_OK);
	for (int i = 0; i < 60000 && !pool_of(1).closed[WEIR_CLOSE_EVICTED]; i++)
		nap(1000);
	assert_true(pool_of(1).closed[WEIR_CLOSE_EVICTED] > 0);
	assert_int_equal(pool_of(0).closed[WEIR_CLOSE_EVICTED], 0);
	assert_int_equal(pool_of(2).closed[WEIR_CLOSE_EVICTED], 0);
}

static void callers_of_a_suspended_router_are_told(void)
{
	weir_error error;
	weir_conn *conn = NULL;

	assert_int_equal(weir_router_suspend(router, WEIR_SUSPEND_FAIL), WEIR_OK);
	assert_true(pool_of(0).suspended);
	assert_int_equal(weir_checkout(router, WEIR_READ, &conn, &error), WEIR_UNAVAILABLE);
	assert_string_equal(error.text, "the router is suspended");
	assert_int_equal(weir_router_suspend(router, WEIR_SUSPEND_WAIT), WEIR_OK);
	assert_int_equal(weir_checkout_with(router, &WEIR_REQUEST(.timeout_ms = 5), &conn, &error),
	                 WEIR_TIMEOUT);
	assert_int_equal(weir_checkout_with(router, &WEIR_REQUEST(.timeout_ms = WEIR_NO_WAIT),
	                                    &conn, &error),
	                 WEIR_EXHAUSTED);
	assert_int_equal(weir_router_resume(router), WEIR_OK);
	assert_false(pool_of(0).suspended);
}

static void a_router_is_managed_under_load(void **state)
{
	weir_options o;

	(void)state;
	weir_options_init(&o);
	o.pool_max = MAX;
	fake_cluster_init(&cluster, 3);
	assert_int_equal(fake_cluster_open(&cluster, &o, &router, NULL), WEIR_OK);
	one_host_alone_is_evicted();
	callers_of_a_suspended_router_are_told();
	run_all();
	for (int i = 0; i < 3; i++) /* and the probe */
		assert_true(wi_load_rlx(&cluster.host[i].server.sessions_peak) <= MAX_EVER + 1);
	assert_int_equal(weir_router_close(&router, 60000), WEIR_OK);
	fake_cluster_fini(&cluster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_stopped_in_line_gets_nothing),
		cmocka_unit_test(a_pool_is_managed_under_load),
		cmocka_unit_test(a_router_is_managed_under_load),
	};

	test_watchdog(300, "stress.manage");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

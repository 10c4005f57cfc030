/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options change while 64 threads come and go: nobody gets two of one thing, every checkout ends
 * well or by its time, no maximum is exceeded, and in the end what was said last is in force.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/exec.h>

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

#define USERS 64
#define MAX_EVER 12

static struct wi_fake_server server;
static struct fake_cluster cluster;
static weir_pool *pool;
static weir_router *router;
static _Atomic bool is_served; /* somebody was, since a run began */

static void nap(int64_t us)
{
	const struct timespec t = {.tv_nsec = us * 1000};

	nanosleep(&t, NULL);
}

static weir_status check_out(struct test_thread *self, weir_conn **conn)
{
	weir_intent intent = wi_rng_below(&self->rng, 4) ? WEIR_READ : WEIR_WRITE;

	if (pool)
		return weir_pool_checkout(pool, WEIR_DEFAULT_TIMEOUT, conn, NULL);
	if (wi_rng_below(&self->rng, 2))
		return weir_checkout(router, intent, conn, NULL);
	return weir_checkout_with(router, &WEIR_REQUEST(.intent = intent, .max_lag_ms = 60000),
	                          conn, NULL);
}

/* With a deadline that the server is told of, unless the options have a tighter one. */
static void ask(weir_conn *conn)
{
	const weir_statement s = WEIR_STATEMENT(.sql = "SELECT 1", .timeout_ms = 5000);
	struct pg_result *rows = NULL;

	(void)!weir_conn_query(conn, &s, &rows, NULL);
	PQclear(rows);
}

/* Until one was served, at least: on a busy machine that may take longer than a run should. */
static void come_and_go(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop) || !wi_load_rlx(&is_served)) {
		weir_conn *conn = NULL;
		weir_status st = check_out(self, &conn);

		if (st == WEIR_OK) {
			self->count[0]++;
			wi_store_rlx(&is_served, true);
			if (wi_rng_below(&self->rng, 8) == 0)
				nap(wi_rng_below(&self->rng, 300));
			else if (wi_rng_below(&self->rng, 8) == 0)
				ask(conn);
			weir_checkin(&conn);
		} else if (st == WEIR_TIMEOUT || st == WEIR_SHED || st == WEIR_UNAVAILABLE ||
		           st == WEIR_EXHAUSTED) {
			nap(100);
		} else {
			test_wrong(self, "a checkout: %s", weir_status_name(st));
		}
	}
}

static void draw(struct wi_rng *rng, weir_options *o)
{
	weir_options_init(o);
	o->probe_interval_ms = 10 + wi_rng_below(rng, 50);
	o->pre_ping = wi_rng_below(rng, 3);
	o->pool_max = 1 + wi_rng_below(rng, MAX_EVER - 2);
	o->pool_min = wi_rng_below(rng, (uint32_t)o->pool_max + 1);
	o->pool_overflow = wi_rng_below(rng, 3);
	o->checkout_timeout_ms = 1 + wi_rng_below(rng, 50);
	o->max_waiters = wi_rng_below(rng, 3) ? 0 : 40;
	o->balance = wi_rng_below(rng, 6);
	o->read_fallback = wi_rng_below(rng, 4);
	o->read_fallback_max_pct = 50 + wi_rng_below(rng, 51);
	o->max_lag_ms = wi_rng_below(rng, 2) ? 0 : 60000;
	o->token_wait_ms = wi_rng_below(rng, 50);
	o->failover_wait_ms = wi_rng_below(rng, 1000);
	o->check_timeout_ms = 1000 + wi_rng_below(rng, 4000);
	o->breaker_failures = wi_rng_below(rng, 5);
	o->leak_after_ms = 1 + wi_rng_below(rng, 1000);
	o->leak_action = WEIR_LEAK_REPORT;
	o->slow_checkout_ms = wi_rng_below(rng, 20);
	o->max_lifetime_ms = 50 + wi_rng_below(rng, 1000);
	o->statement_timeout_ms = 1000 * (int64_t)wi_rng_below(rng, 3);
	o->metrics_interval_ms = 1 + wi_rng_below(rng, 20);
}

static weir_status reload(const weir_options *o, weir_error *error)
{
	return pool ? weir_pool_reload(pool, o, error) : weir_router_reload(router, o, error);
}

static void resize(struct test_thread *self)
{
	int64_t max = 1 + wi_rng_below(&self->rng, 8);
	weir_status st = pool ? weir_pool_resize(pool, 0, max, NULL)
	                      : weir_router_resize(router, 0, max, NULL);

	if (st != WEIR_OK)
		test_wrong(self, "a resize: %s", weir_status_name(st));
}

static void operate(struct test_thread *self)
{
	static _Thread_local weir_options o;

	do { /* once at least, however late the thread begins */
		weir_error error;
		weir_status st;

		draw(&self->rng, &o);
		st = reload(&o, &error);
		if (st != WEIR_OK)
			test_wrong(self, "a reload: %s: %s", weir_status_name(st), error.text);
		o.isolated = !o.isolated;
		if (reload(&o, NULL) != WEIR_INVALID)
			test_wrong(self, "what may not change has changed");
		if (wi_rng_below(&self->rng, 4) == 0)
			resize(self);
		self->count[1]++;
		nap(wi_rng_below(&self->rng, 1000));
	} while (!wi_load_rlx(self->stop));
}

static void body(struct test_thread *self)
{
	(self->number > 1 ? come_and_go : operate)(self);
}

/* A pool's keeper has what was said, and puts it into force in its next turn. */
static void await_said_last(const weir_options *said)
{
	const weir_options *now = pool ? &pool->options : &router->options;
	int64_t until_ns = wi_now_ns() + 40 * WI_SEC;

	while (pool && wi_now_ns() < until_ns &&
	       wi_word_load(&now->checkout_timeout_ms) != said->checkout_timeout_ms)
		nap(1000);
	assert_int_equal(wi_word_load(&now->checkout_timeout_ms), said->checkout_timeout_ms);
}

static void run(const char *name)
{
	struct test_thread reports[USERS + 2];
	const char *wrong;
	weir_options o;
	weir_conn *conn = NULL;

	wi_store_rlx(&is_served, false);
	test_threads_run(USERS + 2, body, NULL, test_seconds(1.0), reports);
	wrong = test_first_wrong(reports, USERS + 2);
	printf("%-8s %8llu checkouts, %6llu reloads\n", name,
	       (unsigned long long)test_sum(reports, USERS + 2, 0),
	       (unsigned long long)test_sum(reports, USERS + 2, 1));
	if (wrong)
		fail_msg("%s", wrong);
	assert_true(test_sum(reports, USERS + 2, 0) > 0);
	assert_true(test_sum(reports, USERS + 2, 1) > 0);

	weir_options_init(&o);
	o.pool_max = 3;
	o.checkout_timeout_ms = 60000;
	assert_int_equal(reload(&o, NULL), WEIR_OK);
	await_said_last(&o);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(pool ? weir_pool_checkout(pool, WEIR_DEFAULT_TIMEOUT, &conn, NULL)
		                      : weir_checkout(router, WEIR_READ, &conn, NULL),
		                 WEIR_OK);
		weir_checkin(&conn);
	}
}

static void a_pool(void **state)
{
	weir_options o;

	(void)state;
	wi_fake_server_init(&server);
	weir_options_init(&o);
	pool = fake_pool_open(&server, &o);
	run("pool");
	assert_int_equal(weir_pool_close(&pool, 10000), WEIR_OK);
	assert_in_range(wi_load_rlx(&server.sessions_peak), 1, MAX_EVER);
	wi_fake_server_fini(&server);
}

static void a_router(void **state)
{
	weir_options o;

	(void)state;
	fake_cluster_init(&cluster, 3);
	weir_options_init(&o);
	assert_int_equal(fake_cluster_open(&cluster, &o, &router, NULL), WEIR_OK);
	run("router");
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	for (int i = 0; i < 3; i++) /* and the probe */
		assert_in_range(wi_load_rlx(&cluster.host[i].server.sessions_peak), 1,
		                MAX_EVER + 1);
	fake_cluster_fini(&cluster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pool),
		cmocka_unit_test(a_router),
	};

	test_watchdog(120, "stress.reload");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 14, in the middle of work. Many threads check out, run statements with a deadline and
 * check in, on a real server; then its processes are stopped, or its network becomes a black hole,
 * or it says a byte a second, or its connections are cut and its name cannot be looked up. Every
 * call ends by its deadline and 50 ms: checkouts, weir_exec, checkins (which have none: so at once)
 * and the close, of a pool and of a router at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <libpq-fe.h>
#include <signal.h>
#include <stdlib.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "promises/p14_caller.h"
#include "support/cluster.h"
#include "support/process.h"
#include "support/proxy.h"
#include "support/shapes.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define CALLERS 32
#define WELL_MS 300
#define STALL_MS 900 /* three times the longest deadline */
#define CLOSE_MS 200

enum { CHECKOUT, EXEC, CHECKIN, CLOSE, CALLS };
static const char *const names[CALLS] = {"checkout", "exec", "checkin", "close"};

/* Callers come to the same server by two ways at the same time. */
enum { POOL, ROUTER, WAYS };
static const char *const way_names[WAYS] = {"pool", "router"};

static struct test_cluster *cluster;
static struct test_proxy *proxy;
static weir_pool *pool;
static weir_router *router;
static _Atomic bool over; /* the server was stalled for long enough */
static _Atomic int64_t worst_ns[WAYS][CALLS];
static _Atomic uint64_t calls[WAYS][CALLS], failed[WAYS][CALLS];

/* ---- timing ---- */

struct watch {
	int64_t began_ns, ready_ns;
};

static struct watch begin(void)
{
	return (struct watch){.ready_ns = test_ready_ns(), .began_ns = wi_now_ns()};
}

/* A call with so much time has ended. What its thread had no processor for is not its fault. */
static void end(int way, int call, struct watch w, int64_t ms, weir_status st)
{
	int64_t late_ns = wi_now_ns() - w.began_ns - ms * WI_MS - (test_ready_ns() - w.ready_ns);
	int64_t worst = wi_load_rlx(&worst_ns[way][call]);

	while (late_ns > worst &&
	       !atomic_compare_exchange_weak(&worst_ns[way][call], &worst, late_ns))
		;
	wi_add_rlx(&calls[way][call], 1);
	wi_add_rlx(&failed[way][call], st != WEIR_OK);
}

/* ---- callers ---- */

static weir_status checkout(int way, int64_t ms, weir_conn **conn, weir_error *error)
{
	if (way == POOL)
		return weir_pool_checkout(pool, ms, conn, error);
	return weir_checkout_with(router, &WEIR_REQUEST(.timeout_ms = ms), conn, error);
}

static void call_once(struct test_thread *self)
{
	int way = self->number % WAYS;
	int64_t ms = 30 + wi_rng_below(&self->rng, 270);
	weir_conn *conn = NULL;
	struct watch w = begin();
	weir_status st = checkout(way, ms, &conn, NULL);

	end(way, CHECKOUT, w, ms, st);
	if (st != WEIR_OK) {
		test_nap(2 * WI_MS);
		return;
	}
	ms = 30 + wi_rng_below(&self->rng, 170);
	w = begin();
	st = weir_exec(conn, "select pg_catalog.pg_sleep(0.002)", ms, NULL);
	end(way, EXEC, w, ms, st);
	if (wi_rng_below(&self->rng, 4) == 0)
		test_nap(wi_rng_below(&self->rng, 3000000));
	w = begin();
	if (wi_rng_below(&self->rng, 16))
		weir_checkin(&conn);
	else
		weir_discard(&conn);
	end(way, CHECKIN, w, 0, WEIR_OK);
}

static void call_again(struct test_thread *self)
{
	p14_i_call = true;
	while (!wi_load_rlx(&over))
		call_once(self);
}

/* The last one stalls the server after a while. */
static void body(struct test_thread *self)
{
	void (*stall)(void);

	memcpy(&stall, self->arg, sizeof(stall));
	if (self->number < CALLERS) {
		call_again(self);
	} else {
		test_nap(WELL_MS * WI_MS);
		stall();
		test_nap(STALL_MS * WI_MS);
		wi_store_rlx(&over, true);
	}
}

/* ---- scenes ---- */

static void open_at(const char *host)
{
	static char url[2048];
	weir_options o;
	weir_error error;
	weir_conn *conn = NULL;
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;
	const char *at = strchr(test_cluster_url(cluster), '@');

	/* As the cluster's, with the proxy in the place of its servers. */
	snprintf(url, sizeof(url), "%.*s@%s:%d/shop", (int)(at - test_cluster_url(cluster)),
	         test_cluster_url(cluster), host, test_proxy_port(proxy));
	weir_options_init(&o);
	o.pool_max = 8;
	o.connect_timeout_ms = 2000; /* more than any call has: only the server is in its way */
	o.check_timeout_ms = 300;
	o.validate_after_ms = 50;
	o.probe_interval_ms = 50;
	if (weir_router_open(url, &o, &router, &error) != WEIR_OK ||
	    weir_pool_open(url, &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	for (int way = 0; way < WAYS; way++) {
		while (checkout(way, 60000, &conn, &error) == WEIR_CONNECT &&
		       wi_now_ns() < until_ns)
			test_nap(10 * WI_MS);
		if (!conn)
			fail_msg("%s", error.text);
		weir_checkin(&conn);
	}
}

static void report(void)
{
	for (int way = 0; way < WAYS; way++)
		for (int i = 0; i < CALLS; i++)
			printf("          %-6s %-8s %6llu calls, %6llu failed, at worst %.1f ms "
			       "late\n",
			       way_names[way], names[i],
			       (unsigned long long)wi_load_rlx(&calls[way][i]),
			       (unsigned long long)wi_load_rlx(&failed[way][i]),
			       (double)wi_load_rlx(&worst_ns[way][i]) / 1e6);
}

static void forget_counts(void)
{
	for (int way = 0; way < WAYS; way++)
		for (int i = 0; i < CALLS; i++) {
			wi_store_rlx(&worst_ns[way][i], 0);
			wi_store_rlx(&calls[way][i], 0);
			wi_store_rlx(&failed[way][i], 0);
		}
}

/* Nothing is out. */
static void close_in_time(void)
{
	struct watch w = begin();
	weir_status st = weir_router_close(&router, CLOSE_MS);

	end(ROUTER, CLOSE, w, CLOSE_MS, st);
	assert_int_equal(st, WEIR_OK);
	w = begin();
	st = weir_pool_close(&pool, CLOSE_MS);
	end(POOL, CLOSE, w, CLOSE_MS, st);
	assert_int_equal(st, WEIR_OK);
}

static void assert_in_time(void)
{
	for (int way = 0; way < WAYS; way++)
		for (int i = 0; i < CALLS; i++)
			if (wi_load_rlx(&worst_ns[way][i]) > p14_slack_ns())
				fail_msg("%s, %s: %.1f ms late", way_names[way], names[i],
				         (double)wi_load_rlx(&worst_ns[way][i]) / 1e6);
}

/* Callers at this host, while the server is stalled; heal undoes it. */
static void nobody_is_late(const char *host, void (*stall)(void), void (*heal)(void))
{
	static struct test_thread reports[CALLERS + 1];

	forget_counts();
	wi_store_rlx(&over, false);
	open_at(host);
	test_measure_lag(true);
	test_threads_run(CALLERS + 1, body, &stall, -1, reports);
	close_in_time();
	test_measure_lag(false);
	heal();
	report();
	assert_in_time();
	for (int way = 0; way < WAYS; way++)
		assert_true(wi_load_rlx(&failed[way][CHECKOUT]) > 0);
	assert_int_equal(wi_load_rlx(&p14_lookups_by_callers), 0);
}

static void pause_all(void)
{
	if (!test_cluster_pause(cluster, 0))
		abort();
}

static void resume_all(void)
{
	assert_true(test_cluster_resume(cluster, 0));
}

static void all_processes_are_stopped(void **state)
{
	(void)state;
	nobody_is_late("127.0.0.1", pause_all, resume_all);
}

static char *pids;

/* The pool's server processes stop; the postmaster goes on, and so do those that it starts. */
static void stop_these(void)
{
	pids = test_cluster_admin(cluster, 0,
	                          "select pid from pg_stat_activity where usename = 'app' "
	                          "order by pid");
	for (char *at = pids; at && *at; at += strcspn(at, "\n"), at += *at == '\n')
		if (kill((pid_t)atoi(at), SIGSTOP) != 0)
			return; /* it has ended meanwhile */
}

static void go_on(void)
{
	for (char *at = pids; at && *at; at += strcspn(at, "\n"), at += *at == '\n')
		(void)kill((pid_t)atoi(at), SIGCONT);
	free(pids);
	pids = NULL;
}

static void backends_are_stopped(void **state)
{
	(void)state;
	nobody_is_late("127.0.0.1", stop_these, go_on);
}

static void go_silent(void)
{
	test_proxy_blackhole(proxy);
}

static void heal(void)
{
	test_proxy_heal(proxy);
}

static void the_network_is_a_black_hole(void **state)
{
	(void)state;
	nobody_is_late("127.0.0.1", go_silent, heal);
}

static void drip(void)
{
	test_proxy_fault(proxy, TEST_PROXY_ALL, &(struct test_proxy_fault){.rate = {0, 1}});
}

static void it_says_a_byte_a_second(void **state)
{
	(void)state;
	nobody_is_late("127.0.0.1", drip, heal);
}

static void stop_reading(void)
{
	test_proxy_fault(proxy, TEST_PROXY_ALL, &(struct test_proxy_fault){.stop = {true, true}});
}

static void nobody_reads(void **state)
{
	(void)state;
	nobody_is_late("127.0.0.1", stop_reading, heal);
}

/* More than all buffers on the way hold, so that it cannot even be sent. */
#define MUCH (24 << 20)

static void a_statement_cannot_be_sent(void **state)
{
	char *sql = malloc(MUCH);
	weir_conn *conn = NULL;
	struct watch w;
	weir_status st;

	(void)state;
	assert_non_null(sql);
	memset(sql, ' ', MUCH);
	memcpy(sql + MUCH - 9, "select 1", 9);
	forget_counts();
	open_at("127.0.0.1");
	assert_int_equal(checkout(POOL, 60000, &conn, NULL), WEIR_OK);
	stop_reading();
	test_measure_lag(true);
	w = begin();
	st = weir_exec(conn, sql, 300, NULL);
	end(POOL, EXEC, w, 300, st);
	assert_true(st == WEIR_TIMEOUT || st == WEIR_OUTCOME_UNKNOWN);
	w = begin();
	weir_checkin(&conn);
	end(POOL, CHECKIN, w, 0, WEIR_OK);
	close_in_time();
	test_measure_lag(false);
	heal();
	report();
	assert_in_time();
	free(sql);
}

static void lose_the_name(void)
{
	p14_hang_lookups(true);
	test_proxy_reset(proxy);
}

static void find_the_name(void)
{
	p14_hang_lookups(false);
}

static void the_name_cannot_be_looked_up(void **state)
{
	(void)state;
	nobody_is_late("localhost", lose_the_name, find_the_name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_processes_are_stopped),
		cmocka_unit_test(backends_are_stopped),
		cmocka_unit_test(the_network_is_a_black_hole),
		cmocka_unit_test(it_says_a_byte_a_second),
		cmocka_unit_test(nobody_reads),
		cmocka_unit_test(the_name_cannot_be_looked_up),
		cmocka_unit_test(a_statement_cannot_be_sent),
	};
	int n;

	cluster = test_cluster_start_or_exit(&(struct test_cluster_options){.standbys = -1});
	test_watchdog(250, "promise.14_stalled_servers");
	proxy = test_proxy_start(&(struct test_proxy_options){
		.host = "127.0.0.1", .port = test_cluster_port(cluster, 0), .max_seconds = 250});
	n = cmocka_run_group_tests(tests, NULL, NULL);
	test_proxy_stop(&proxy);
	return test_cluster_stop(&cluster) ? n : 1;
}

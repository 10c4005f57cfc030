/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 11: a checkout that has no time tries once. It takes what is idle, wherever that is; else
 * it fails at once, without sleeping for a moment, without a word to any server, and without having
 * a connection opened for it. That holds for a timeout of zero and for a deadline that was over
 * before the caller came to wait, of pools and of routers. (A negative timeout is no deadline in
 * the past: by contract it waits for ever.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "route/router.h"
#include "support/fake_cluster.h"
#include "support/shapes.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define TRIES 2000
#define BATCHES 20

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
	o.pool_min = 0;
	o.pool_max = 4;
	o.probe_interval_ms = 20;
	wi_fake_server_init(&server);
	return 0;
}

static void open_pool(void)
{
	assert_int_equal(wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server,
	                                   "host=127.0.0.1", &o, &pool, NULL),
	                 WEIR_OK);
}

static void close_pool(void)
{
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	wi_fake_server_fini(&server);
}

static uint64_t connects(void)
{
	return wi_load_rlx(&server.connects);
}

/* How often this thread has gone to sleep. Where tools run the threads, nobody can tell. */
static long sleeps(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return test_slowness() == 1 ? u.ru_nvcsw : 0;
}

/*
 * Many tries, and none sleeps. A page that the kernel has to fetch, and a lock of the kernel's that
 * is taken, count as sleeps, too, but hardly ever come: a try that sleeps would sleep in each
 * batch.
 */
static void assert_none_sleeps(void (*try)(void *arg), void *arg)
{
	int with_sleep = 0;

	for (int batch = 0; batch < BATCHES; batch++) {
		long slept = sleeps();

		for (int i = 0; i < TRIES / BATCHES; i++)
			try(arg);
		with_sleep += sleeps() != slept;
	}
	assert_true(with_sleep <= BATCHES / 4);
}

static void try_in_vain(void *wanted)
{
	weir_conn *conn = (weir_conn *)&o;

	assert_int_equal(weir_pool_checkout(pool, 0, &conn, &error), *(weir_status *)wanted);
	assert_null(conn);
}

/* Many tries, each in vain, and none sleeps; what the pool looks like does not change. */
static void assert_tries_in_vain(weir_status wanted)
{
	uint64_t before = connects(), queries = wi_load_rlx(&server.queries);
	weir_pool_stats s;

	assert_none_sleeps(try_in_vain, &wanted);
	assert_int_equal(connects(), before);
	assert_int_equal(wi_load_rlx(&server.queries), queries);
	weir_pool_stats_get(pool, &s);
	assert_int_equal(s.waits, s.wait.count);
	assert_int_equal(s.timeouts, 0);
}

static void of_an_empty_pool(void **state)
{
	weir_conn *conn = NULL;

	(void)state;
	open_pool();
	assert_tries_in_vain(WEIR_EXHAUSTED);
	assert_int_equal(connects(), 0);
	/* it is there for those who have time */
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL), WEIR_OK);
	assert_tries_in_vain(WEIR_EXHAUSTED); /* and no second one for those who have none */
	weir_checkin(&conn);
	assert_int_equal(weir_pool_checkout(pool, 0, &conn, NULL), WEIR_OK);
	weir_checkin(&conn);
	assert_int_equal(connects(), 1);
	close_pool();
}

/* The demand rule: pool_min connections are opened, whoever asks and however. */
static void beside_connects_that_go_on(void **state)
{
	weir_pool_stats s;

	(void)state;
	o.pool_min = 1;
	wi_store_rlx(&server.silent, true);
	open_pool();
	do {
		test_nap(WI_MS);
		weir_pool_stats_get(pool, &s);
	} while (s.opening < 1);
	assert_tries_in_vain(WEIR_EXHAUSTED);
	assert_int_equal(connects(), 1);
	assert_non_null(strstr(error.text, "1 opening"));
	wi_store_rlx(&server.silent, false);
	close_pool();
}

static void take_and_give_back(void *unused)
{
	weir_conn *conn = NULL;

	(void)unused;
	assert_int_equal(weir_pool_checkout(pool, 0, &conn, &error), WEIR_OK);
	weir_checkin(&conn);
}

static void where_the_idle_one_would_have_to_be_asked(void **state)
{
	weir_conn *conn = NULL;
	uint64_t queries;

	(void)state;
	o.pre_ping = WEIR_PRE_PING_PING;
	open_pool();
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL), WEIR_OK);
	weir_checkin(&conn);
	queries = wi_load_rlx(&server.queries);
	wi_store_rlx(&server.silent, true);           /* it would wait for an answer for ever */
	assert_none_sleeps(take_and_give_back, NULL); /* a look had to do */
	assert_int_equal(wi_load_rlx(&server.queries), queries);
	wi_store_rlx(&server.silent, false);
	close_pool();
}

/* ---- what is idle is found, wherever it is ---- */

static pthread_barrier_t kept, taken;

static void *keep_one(void *arg)
{
	weir_conn *conn = NULL;

	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL) == WEIR_OK)
		*(bool *)arg = true;
	weir_checkin(&conn); /* into this thread's cache */
	pthread_barrier_wait(&kept);
	pthread_barrier_wait(&taken);
	return NULL;
}

static void from_another_threads_cache(void **state)
{
	weir_conn *conn = NULL;
	pthread_t thread;
	bool had = false;

	(void)state;
	open_pool();
	pthread_barrier_init(&kept, NULL, 2);
	pthread_barrier_init(&taken, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, keep_one, &had), 0);
	pthread_barrier_wait(&kept);
	assert_true(had);
	assert_int_equal(weir_pool_checkout(pool, 0, &conn, NULL), WEIR_OK);
	assert_int_equal(connects(), 1);
	pthread_barrier_wait(&taken);
	pthread_join(thread, NULL);
	weir_checkin(&conn);
	pthread_barrier_destroy(&kept);
	pthread_barrier_destroy(&taken);
	close_pool();
}

/* ---- a deadline that was over before ---- */

static weir_status wait_until(int64_t deadline_ns)
{
	weir_conn *conn = NULL;
	weir_status st;

	wi_pool_enter(pool);
	st = wi_pool_wait(pool, WI_ACCESS_ANY, NULL, deadline_ns, deadline_ns, &conn, &error);
	wi_pool_exit(pool);
	weir_checkin(&conn);
	return st;
}

static void wait_in_vain(void *ago_ns)
{
	assert_int_equal(wait_until(wi_now_ns() - ++*(int64_t *)ago_ns), WEIR_TIMEOUT);
}

static void that_is_over(void **state)
{
	weir_conn *conn = NULL;
	int64_t ago_ns = -1;

	(void)state;
	open_pool();
	assert_int_equal(weir_pool_checkout(pool, 0, &conn, NULL), WEIR_EXHAUSTED); /* a seat */
	assert_none_sleeps(wait_in_vain, &ago_ns);
	assert_int_equal(connects(), 0);
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, NULL), WEIR_OK);
	weir_checkin(&conn);
	assert_int_equal(wait_until(wi_now_ns() - 1), WEIR_OK); /* what is idle is taken even so */
	assert_int_equal(connects(), 1);
	close_pool();
}

/* ---- routers ---- */

struct vain {
	weir_intent intent;
	weir_status wanted;
};

static void route_in_vain(void *arg)
{
	const struct vain *vain = arg;
	const weir_request q = WEIR_REQUEST(.intent = vain->intent, .timeout_ms = WEIR_NO_WAIT);
	weir_conn *conn = NULL;

	assert_int_equal(weir_checkout_with(router, &q, &conn, &error), vain->wanted);
	assert_null(conn);
}

static void assert_router_in_vain(weir_intent intent, weir_status wanted)
{
	struct vain vain = {intent, wanted};

	assert_none_sleeps(route_in_vain, &vain);
}

static uint64_t opened_by_pools(void)
{
	weir_host_stats hosts[3];
	uint64_t n = 0;

	assert_int_equal(weir_router_stats_get(router, hosts, 3), 3);
	for (int i = 0; i < 3; i++)
		n += hosts[i].pool.opened + hosts[i].pool.opening;
	return n;
}

static void of_a_router(void **state)
{
	const weir_request read = WEIR_REQUEST(.intent = WEIR_READ);
	weir_conn *conn = NULL, *other = NULL;

	(void)state;
	/* What a probe or a connect may take, on a busy machine. */
	o.connect_timeout_ms = o.probe_interval_ms = 10000;
	fake_cluster_init(&cluster, 3);
	for (int i = 0; i < 3; i++)
		wi_store_rlx(&cluster.host[i].server.silent, true);
	assert_int_equal(fake_cluster_open(&cluster, &o, &router, &error), WEIR_OK);
	assert_router_in_vain(WEIR_WRITE,
	                      WEIR_UNAVAILABLE); /* before the first look at the hosts */
	assert_router_in_vain(WEIR_READ, WEIR_UNAVAILABLE);
	for (int i = 0; i < 3; i++)
		wi_store_rlx(&cluster.host[i].server.silent, false);
	for (int i = 0; i < 3; i++)
		(void)wi_fake_kill(&cluster.host[i].server); /* probes that met with silence */
	assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &conn, NULL), WEIR_OK);
	weir_checkin(&conn);
	assert_int_equal(opened_by_pools(), 1);
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &conn, NULL), WEIR_OK);
	assert_router_in_vain(WEIR_WRITE, WEIR_EXHAUSTED); /* the primary's one is out */
	assert_router_in_vain(WEIR_READ, WEIR_EXHAUSTED);  /* the replicas have none */
	assert_int_equal(opened_by_pools(), 1);
	assert_int_equal(weir_checkout_with(router, &read, &other, NULL), WEIR_OK);
	weir_checkin(&conn);
	weir_checkin(&other);
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
	fake_cluster_fini(&cluster);
	wi_fake_server_fini(&server);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_an_empty_pool),
		TEST(beside_connects_that_go_on),
		TEST(where_the_idle_one_would_have_to_be_asked),
		TEST(from_another_threads_cache),
		TEST(that_is_over),
		TEST(of_a_router),
	};

	test_watchdog(200, "promise.11_no_time");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

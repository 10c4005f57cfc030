/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 41: a storm of signals on every thread that has not blocked them, futex wakes that nobody
 * meant, and a wall clock that steps by hours: no wait of a pool or a router ends before its
 * deadline without what was waited for, or lasts beyond it, and nobody misses what comes meanwhile.
 * (The waiters of the core alone, and their histories, are stress.signals.)
 */
#include <dirent.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/fake_cluster.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define USERS 8
#define LATE_NS (5 * WI_SEC) /* what a loaded machine may add */

static struct wi_fake_server server;
static struct fake_cluster cluster;
static weir_pool *pool;
static weir_router *router;
static weir_options o;

/* ---- CLOCK_REALTIME of this program steps, always ---- */

static _Atomic uint32_t leaps;
static _Atomic uint64_t asked_monotonic;

/* In the place of the C library's, for all that is linked into this program. */
int clock_gettime(clockid_t clock, struct timespec *at)
{
	int failed = (int)syscall(SYS_clock_gettime, clock, at);

	if (clock == CLOCK_MONOTONIC)
		wi_add_rlx(&asked_monotonic, 1);
	if (!failed && clock == CLOCK_REALTIME)
		at->tv_sec += ((int64_t)(wi_add_rlx(&leaps, 1) % 9) - 4) * 3600;
	return failed;
}

static int64_t now_ns(void)
{
	struct timespec at;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &at);
	return at.tv_sec * WI_SEC + at.tv_nsec;
}

/* ---- the storm ---- */

static _Atomic uint64_t struck;
static _Atomic bool calm;
static pthread_t thunder_thread;

static void count_signal(int signum)
{
	(void)signum;
	wi_add_rlx(&struck, 1);
}

/* A signal for each thread of the process, by name: those of weir's have blocked it. */
static void strike_all(void)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;

	while (tasks && (task = readdir(tasks)))
		if (task->d_name[0] != '.')
			syscall(SYS_tgkill, getpid(), atoi(task->d_name), SIGUSR1);
	if (tasks)
		closedir(tasks);
}

/* Wakes everybody who sleeps on a seat of the pool's, for no reason. */
static void wake_all(const weir_pool *at)
{
	struct wi_segment *g = wi_segment_at(&at->core.seats, 0);

	for (uint32_t i = 0; g && i < 2 * USERS; i++)
		syscall(SYS_futex, &g->seat[i].word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL,
		        NULL, 0);
}

static void *thunder(void *at)
{
	while (!wi_load_rlx(&calm)) {
		strike_all();
		if (at)
			wake_all(at);
		usleep(200);
	}
	return NULL;
}

static void storm_begins(weir_pool *at)
{
	const struct itimerval often = {{0, 150}, {0, 150}};

	wi_store_rlx(&calm, false);
	wi_store_rlx(&struck, 0);
	assert_int_equal(pthread_create(&thunder_thread, NULL, thunder, at), 0);
	setitimer(ITIMER_REAL, &often, NULL);
}

static void storm_ends(void)
{
	const struct itimerval never = {{0, 0}, {0, 0}};

	setitimer(ITIMER_REAL, &never, NULL);
	wi_store_rlx(&calm, true);
	pthread_join(thunder_thread, NULL);
	assert_true(wi_load_rlx(&struck) > 100);
}

/* Notes a wait that ended at the wrong moment; begun and end by the real clock. */
static void judge(struct test_thread *self, const char *what, int64_t begun_ns, int64_t wait_ms)
{
	int64_t late_ns = now_ns() - begun_ns - wait_ms * WI_MS;

	if (late_ns < 0)
		test_wrong(self, "%s of %lld ms ended %lld us early", what, (long long)wait_ms,
		           (long long)(-late_ns / 1000));
	if (late_ns > LATE_NS)
		test_wrong(self, "%s of %lld ms ended %lld ms late", what, (long long)wait_ms,
		           (long long)(late_ns / WI_MS));
}

static void run(void (*user)(struct test_thread *), double seconds)
{
	struct test_thread reports[USERS];

	storm_begins(pool);
	test_threads_run(USERS, user, NULL, seconds, reports);
	storm_ends();
	if (test_first_wrong(reports, USERS))
		fail_msg("%s", test_first_wrong(reports, USERS));
	assert_true(test_sum(reports, USERS, 0) > 0);
}

/* ---- a pool ---- */

static void open_pool(void)
{
	assert_int_equal(wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server,
	                                   "host=127.0.0.1", &o, &pool, NULL),
	                 WEIR_OK);
}

static void close_pool(void)
{
	assert_int_equal(weir_pool_close(&pool, 30000), WEIR_OK);
}

static void wait_for_nothing(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		int64_t ms = 1 + wi_rng_below(&self->rng, 40), begun_ns = now_ns();
		weir_conn *conn = NULL;
		weir_status st = weir_pool_checkout(pool, ms, &conn, NULL);

		judge(self, "a checkout", begun_ns, ms);
		if (st != WEIR_TIMEOUT || conn)
			test_wrong(self, "there is none to be had: %s", weir_status_name(st));
		self->count[0]++;
	}
}

static void nobody_gives_up_early_or_late(void **state)
{
	weir_conn *conn = NULL;

	(void)state;
	o.pool_max = 1;
	open_pool();
	assert_int_equal(weir_pool_checkout(pool, 30000, &conn, NULL), WEIR_OK);
	run(wait_for_nothing, test_seconds(1));
	weir_checkin(&conn);
	close_pool();
}

/* Eight who share two, and each of whom is served every time: a missed wake would take 60 s. */
static void wait_for_ones_turn(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		int64_t begun_ns = now_ns();
		weir_conn *conn = NULL;
		weir_status st = weir_pool_checkout(pool, 60000, &conn, NULL);

		if (st != WEIR_OK || now_ns() - begun_ns > 20 * WI_SEC)
			test_wrong(self, "one's turn: %s after %lld ms", weir_status_name(st),
			           (long long)((now_ns() - begun_ns) / WI_MS));
		if (wi_rng_below(&self->rng, 4) == 0)
			usleep(200);
		if (wi_rng_below(&self->rng, 64) == 0)
			weir_discard(&conn);
		else
			weir_checkin(&conn);
		self->count[0]++;
	}
}

static void nobody_misses_ones_turn(void **state)
{
	weir_pool_stats s;

	(void)state;
	o.pool_max = 2;
	open_pool();
	run(wait_for_ones_turn, test_seconds(1));
	weir_pool_stats_get(pool, &s);
	assert_int_equal(s.checkouts, s.checkins);
	assert_int_equal(s.timeouts, 0);
	close_pool();
}

/* An idle connection is asked whether it lives, and says nothing: the deadline stands. */
static void check_in_vain(struct test_thread *self)
{
	int64_t begun_ns = now_ns();
	weir_conn *conn = NULL;
	weir_status st = weir_pool_checkout(pool, 400, &conn, NULL);

	judge(self, "a checked checkout", begun_ns, 400);
	if (st != WEIR_TIMEOUT || conn)
		test_wrong(self, "the server is silent: %s, %s", weir_status_name(st),
		           conn ? "and a handle" : "no handle");
	self->count[0]++;
}

static void a_check_keeps_to_the_deadline(void **state)
{
	weir_pool_stats s;

	(void)state;
	o.pool_max = o.pool_min = 2;
	o.pre_ping = WEIR_PRE_PING_PING;
	o.keepalive_ms = 0;
	open_pool();
	do {
		usleep(1000);
		weir_pool_stats_get(pool, &s);
	} while (s.idle < 2);
	wi_store_rlx(&server.silent, true);
	run(check_in_vain, -1);
	wi_store_rlx(&server.silent, false);
	close_pool();
}

static void close_in_vain(struct test_thread *self)
{
	int64_t begun_ns = now_ns();
	weir_pool *mine = self->arg;
	weir_status st = weir_pool_close(&mine, 300);

	judge(self, "a close", begun_ns, 300);
	if (st != WEIR_TIMEOUT)
		test_wrong(self, "one is out: %s", weir_status_name(st));
}

static void close_waits_as_long_as_it_says(void **state)
{
	struct test_thread closer;
	weir_conn *conn = NULL;

	(void)state;
	open_pool();
	assert_int_equal(weir_pool_checkout(pool, 30000, &conn, NULL), WEIR_OK);
	storm_begins(NULL); /* a pool that closes is looked into by nobody */
	test_threads_run(1, close_in_vain, pool, -1, &closer);
	storm_ends();
	if (closer.wrong[0])
		fail_msg("%s", closer.wrong);
	weir_checkin(&conn); /* the last of it: its keeper frees the rest */
	while (wi_load_rlx(&server.sessions))
		usleep(1000);
}

/* ---- a router ---- */

/* A host that has been asked in vain for long counts as probed: then OK may come at any time. */
static void probe_in_vain(struct test_thread *self, int64_t ms)
{
	int64_t begun_ns = now_ns();

	if (weir_router_probe(router, ms) != WEIR_OK)
		judge(self, "a probe", begun_ns, ms);
}

static void write_in_vain(struct test_thread *self, int64_t ms)
{
	const weir_request request = WEIR_REQUEST(.intent = WEIR_WRITE, .timeout_ms = ms);
	int64_t begun_ns = now_ns();
	weir_conn *conn = NULL;
	weir_status st = weir_checkout_with(router, &request, &conn, NULL);

	judge(self, "a write", begun_ns, ms);
	if (st == WEIR_OK || conn)
		test_wrong(self, "nobody answers, and it says %s", weir_status_name(st));
	self->count[0]++;
}

static void wait_for_a_primary(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		if (self->number % 2)
			write_in_vain(self, 1 + wi_rng_below(&self->rng, 40));
		else
			probe_in_vain(self, 1 + wi_rng_below(&self->rng, 40));
	}
}

static void a_router_keeps_to_the_deadline(void **state)
{
	(void)state;
	fake_cluster_init(&cluster, 2);
	for (int i = 0; i < 2; i++)
		wi_store_rlx(&cluster.host[i].server.silent, true);
	o.connect_timeout_ms = 60000;
	assert_int_equal(fake_cluster_open(&cluster, &o, &router, NULL), WEIR_OK);
	run(wait_for_a_primary, test_seconds(1));
	assert_int_equal(weir_router_close(&router, 30000), WEIR_OK);
	fake_cluster_fini(&cluster);
}

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&o);
	o.pool_min = 0;
	pool = NULL;
	wi_fake_server_init(&server);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wi_fake_server_fini(&server);
	assert_true(wi_load_rlx(&asked_monotonic) > 0); /* this program's clock is what is asked */
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_gives_up_early_or_late),  TEST(nobody_misses_ones_turn),
		TEST(a_check_keeps_to_the_deadline),  TEST(close_waits_as_long_as_it_says),
		TEST(a_router_keeps_to_the_deadline),
	};
	const struct sigaction action = {.sa_handler = count_signal}; /* without SA_RESTART */

	test_watchdog(250, "promise.41_signals_and_clocks");
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

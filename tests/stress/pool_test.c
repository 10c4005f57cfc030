/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sixty-four threads on a pool of eight, on the fake driver: every way to take, hold and give back
 * a connection at once, sessions killed under their feet, threads that come and go. Nobody shares,
 * nothing is lost, the server never sees a ninth, and every checkout ends by its deadline.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/fake_pool.h"
#include "support/process.h"
#include "support/shapes.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define THREADS 64
#define MAX 8
#define SERIALS 65536

static struct wi_fake_server server;
static weir_pool *pool;
static _Atomic int holder[SERIALS]; /* by the serial number of the session */
static _Atomic bool is_discarded;   /* one was, since the pool was opened */

enum { GOT, WAITED_OUT, EXHAUSTED, LATEST_NS, DISCARDED };

static void pause_ns(int64_t ns)
{
	nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

/*
 * Ends sessions, in use or idle. None before another was opened: the pool has to get somewhere,
 * also where it has less of the processor than we.
 */
static void kill_some(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		uint64_t last = wi_load_rlx(&server.connects);
		uint64_t opened = wi_load_rlx(&server.connected);

		if (!wi_fake_kill_one(&server, last - wi_rng_below(&self->rng, MAX)))
			opened--;
		do
			pause_ns(2 * WI_MS);
		while (wi_load_rlx(&server.connected) == opened && !wi_load_rlx(self->stop));
	}
}

static int64_t some_timeout_ms(struct test_thread *self)
{
	switch (wi_rng_below(&self->rng, 8)) {
	case 0:
		return 0;
	case 1:
		return 1;
	case 2:
		return 2;
	case 3:
		return 20;
	default:
		return 60000;
	}
}

static void hold_and_give_back(struct test_thread *self, weir_conn *conn)
{
	struct weir_conn *c = wi_conn_of(conn);
	_Atomic int *mine = &holder[wi_fake_serial(c->link) % SERIALS];

	if (wi_swap_acq_rel(mine, self->number + 1) != 0)
		test_wrong(self, "a connection is in two hands");
	if (wi_rng_below(&self->rng, 4) == 0)
		test_nap(wi_rng_below(&self->rng, 200000));
	switch (wi_rng_below(&self->rng, 32)) {
	case 0:
		wi_fake_leave(c->link, WI_LOOK_IN_TX);
		break;
	case 1:
		wi_fake_leave(c->link, WI_LOOK_CHANGED);
		break;
	case 2:
		wi_fake_leave(c->link, WI_LOOK_BUSY);
		break;
	}
	if (wi_swap_acq_rel(mine, 0) != self->number + 1)
		test_wrong(self, "a connection went into another hand");
	if (wi_rng_below(&self->rng, 32) == 0) {
		self->count[DISCARDED]++;
		wi_store_rlx(&is_discarded, true);
		weir_discard(&conn);
	} else {
		weir_checkin(&conn);
	}
}

/* Who may not wait does not sleep: late, if at all, for want of a processor. */
static void note_lateness(struct test_thread *self, int64_t timeout_ms, int64_t late_ns)
{
	if (timeout_ms && late_ns > (int64_t)self->count[LATEST_NS])
		self->count[LATEST_NS] = (uint64_t)late_ns;
}

static void check_out_once(struct test_thread *self)
{
	int64_t timeout_ms = some_timeout_ms(self), ready_ns = timeout_ms ? test_ready_ns() : 0,
		begun = wi_now_ns(), late;
	weir_conn *conn = NULL;
	weir_error error;
	weir_status st = weir_pool_checkout(pool, timeout_ms, &conn, &error);

	late = wi_now_ns() - begun - timeout_ms * WI_MS;
	note_lateness(self, timeout_ms,
	              late > 10 * WI_MS ? late - (test_ready_ns() - ready_ns) : late);
	switch (st) {
	case WEIR_OK:
		self->count[GOT]++;
		hold_and_give_back(self, conn);
		return;
	case WEIR_TIMEOUT:
		self->count[WAITED_OUT]++;
		if (timeout_ms >= 60000)
			test_wrong(self, "waited for a minute: %s", error.text);
		if (late < 0)
			test_wrong(self, "gave up before the deadline");
		return;
	case WEIR_EXHAUSTED:
		self->count[EXHAUSTED]++;
		if (timeout_ms)
			test_wrong(self, "may wait, and did not");
		return;
	default:
		test_wrong(self, "%s: %s", weir_status_name(st), error.text);
	}
}

/* Until one was discarded, at least: a busy machine may spend all of the time on other things. */
static void user(struct test_thread *self)
{
	if (self->number == THREADS)
		kill_some(self);
	else
		while (!wi_load_rlx(self->stop) || !wi_load_rlx(&is_discarded))
			check_out_once(self);
}

/*
 * Nothing is under way, and what was opened is closed or idle. The keeper goes on reaping and
 * replacing meanwhile.
 */
static bool is_at_rest(const weir_pool_stats *s)
{
	uint64_t closed = 0;

	for (int i = 0; i < WEIR_CLOSE_REASONS; i++)
		closed += s->closed[i];
	return !s->kept && !s->closing && !s->opening && !s->busy && !s->waiting &&
	       s->idle == s->total && s->opened - closed == s->idle &&
	       wi_load_rlx(&server.sessions) == (int)s->idle;
}

static void assert_conserved(const struct test_thread *reports, uint64_t got)
{
	weir_pool_stats s;

	if (test_first_wrong(reports, THREADS))
		fail_msg("%s", test_first_wrong(reports, THREADS));
	do {
		pause_ns(WI_MS);
		weir_pool_stats_get(pool, &s);
	} while (!is_at_rest(&s)); /* the watchdog ends a pool that never is */
	assert_int_equal(s.checkouts, got);
	assert_int_equal(s.checkins, got);
	assert_int_equal(s.misuse, 0);
	assert_true(wi_load_rlx(&server.sessions_peak) <= MAX);
}

static void open_pool(void)
{
	weir_options o;

	weir_options_init(&o);
	o.pool_min = 2;
	o.pool_max = MAX;
	o.keepalive_ms = 20;
	o.validate_after_ms = 5;
	o.idle_timeout_ms = 50;
	o.max_lifetime_ms = 100;
	wi_fake_server_init(&server);
	wi_store_rlx(&server.connect_ns, 200000);
	wi_store_rlx(&server.goodbye_ns, 100000);
	pool = fake_pool_open(&server, &o);
}

static void run_generations(int generations, double seconds)
{
	static struct test_thread reports[THREADS + 1];
	uint64_t got = 0, discarded = 0, latest = 0;
	int64_t slack_ns;

	open_pool();
	wi_store_rlx(&is_discarded, false);
	test_measure_lag(true);
	test_yields(64);
	for (int i = 0; i < generations; i++) {
		test_threads_run(THREADS + 1, user, NULL, seconds / generations, reports);
		got += test_sum(reports, THREADS, GOT);
		discarded += test_sum(reports, THREADS, DISCARDED);
		for (int k = 0; k < THREADS; k++)
			if (reports[k].count[LATEST_NS] > latest)
				latest = reports[k].count[LATEST_NS];
		assert_conserved(reports, got);
	}
	test_yields(0);
	test_measure_lag(false);
	slack_ns = test_slack_ns();
	printf("%llu checkouts, %llu discarded, %llu connects, at most %d sessions; latest %.1f ms after its deadline, "
	       "%.1f ms are allowed here\n",
	       (unsigned long long)got, (unsigned long long)discarded,
	       (unsigned long long)wi_load_rlx(&server.connects),
	       wi_load_rlx(&server.sessions_peak), (double)latest / 1e6, (double)slack_ns / 1e6);
	assert_true((int64_t)latest <= slack_ns);
	assert_true(got > 0 && discarded > 0);
	assert_int_equal(weir_pool_close(&pool, 60000), WEIR_OK);
	assert_int_equal(wi_load_rlx(&server.sessions), 0);
	wi_fake_server_fini(&server);
}

static void nobody_shares_and_everybody_is_answered_in_time(void **state)
{
	(void)state;
	run_generations(4, test_seconds(6));
}

static void ignore(int signum)
{
	(void)signum;
}

/* Every sleep is interrupted again and again: no deadline comes early, none is missed. */
static void a_storm_of_signals_changes_nothing(void **state)
{
	struct sigaction action = {.sa_handler = ignore}; /* without SA_RESTART */
	struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};

	(void)state;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	run_generations(1, test_seconds(2));
	setitimer(ITIMER_REAL, &never, NULL);
}

static void give_back_a_copy(struct test_thread *self)
{
	weir_conn *copy = *(weir_conn **)self->arg;

	if (self->number)
		weir_checkin(&copy);
	else
		weir_discard(&copy);
}

/* Misuse at its worst: both copies are given back at the same moment. One is right, one is told. */
static void of_two_who_give_the_same_back_one_is_believed(void **state)
{
	struct test_thread reports[2];
	weir_pool_stats s;
	uint64_t rounds = (uint64_t)(1000 / test_slowness());

	(void)state;
	open_pool();
	test_yields(2);
	for (uint64_t i = 0; i < rounds; i++) {
		weir_conn *conn = NULL;

		assert_int_equal(weir_pool_checkout(pool, 60000, &conn, NULL), WEIR_OK);
		test_threads_run(2, give_back_a_copy, &conn, -1, reports);
	}
	test_yields(0);
	weir_pool_stats_get(pool, &s);
	assert_int_equal(s.misuse, rounds);
	assert_int_equal(s.checkins, rounds);
	assert_int_equal(s.checkouts, rounds);
	assert_int_equal(weir_pool_close(&pool, 60000), WEIR_OK);
	assert_int_equal(wi_load_rlx(&server.sessions), 0);
	wi_fake_server_fini(&server);
}

static void wait_one_second(struct test_thread *self)
{
	weir_conn *conn = NULL;

	if (weir_pool_checkout(pool, 1000, &conn, NULL) != WEIR_TIMEOUT)
		test_wrong(self, "a connection that is not there");
}

static void sleep_one_second(struct test_thread *self)
{
	(void)self;
	test_nap(WI_SEC);
}

static double cpu_of(void (*body)(struct test_thread *))
{
	static struct test_thread reports[THREADS];
	double begun = test_cpu_seconds();

	test_threads_run(THREADS, body, NULL, -1, reports);
	begun = test_cpu_seconds() - begun;
	assert_null(test_first_wrong(reports, THREADS));
	return begun;
}

/* Beyond what as many threads that just sleep cost, which under a sanitizer is most of it. */
static void waiting_costs_no_cpu(void **state)
{
	weir_conn *conn[MAX];
	bool is_cheap = test_is_emulated();

	(void)state;
	open_pool();
	for (int i = 0; i < MAX; i++)
		assert_int_equal(weir_pool_checkout(pool, 60000, &conn[i], NULL), WEIR_OK);
	/* Time that a machine takes away may count as used by whoever had it: then once more. */
	for (int i = 0; i == 0 || (i < 5 && !is_cheap); i++) {
		double sleeping = cpu_of(sleep_one_second), waiting = cpu_of(wait_one_second);

		printf("64 waiters used %.1f ms of CPU in a second, 64 sleepers %.1f\n",
		       waiting * 1000, sleeping * 1000);
		is_cheap = is_cheap || waiting - sleeping < 0.05 * test_slowness();
	}
	assert_true(is_cheap);
	for (int i = 0; i < MAX; i++)
		weir_checkin(&conn[i]);
	assert_int_equal(weir_pool_close(&pool, 60000), WEIR_OK);
	wi_fake_server_fini(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_shares_and_everybody_is_answered_in_time),
		cmocka_unit_test(a_storm_of_signals_changes_nothing),
		cmocka_unit_test(of_two_who_give_the_same_back_one_is_believed),
		cmocka_unit_test(waiting_costs_no_cpu),
	};

	test_watchdog(280, "stress.pool");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

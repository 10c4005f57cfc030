/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What may cut a sleep short, or move a clock: a storm of signals on the very threads that wait,
 * wakes that nobody meant, CLOCK_REALTIME stepping by hours. Deadlines keep to CLOCK_MONOTONIC: no
 * wait ends before its deadline without a slot, none lasts beyond it, and everything that is true
 * of a history stays true.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "core/desk.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/core_store.h"
#include "support/process.h"
#include "support/sandbox.h"
#include "support/shapes.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define NO_FILTERS 77
#define WAITERS 12
#define ENOUGH 8 /* sleeps of each waiter that several signals came into */

static struct test_history history;

/* ---- CLOCK_REALTIME of this program steps ---- */

static _Atomic bool steps;
static _Atomic uint64_t readings[2]; /* of the wall clock, of the monotonic one */
static _Atomic uint32_t leap;

static int64_t hours(void)
{
	return (int64_t)(wi_add_rlx(&leap, 1) % 9) - 4;
}

/* In the place of the C library's, for all that is linked into this program. */
int clock_gettime(clockid_t clock, struct timespec *at)
{
	int failed = (int)syscall(SYS_clock_gettime, clock, at);

	if (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC)
		wi_add_rlx(&readings[clock == CLOCK_MONOTONIC], 1);
	if (!failed && clock == CLOCK_REALTIME && wi_load_rlx(&steps))
		at->tv_sec += hours() * 3600;
	return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
	struct timespec now;
	int failed = clock_gettime(CLOCK_REALTIME, &now);

	(void)zone;
	at->tv_sec = now.tv_sec;
	at->tv_usec = now.tv_nsec / 1000;
	return failed;
}

time_t time(time_t *at)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (at)
		*at = now.tv_sec;
	return now.tv_sec;
}

/* ---- the storm ---- */

static _Thread_local struct test_thread *me;
static _Thread_local _Atomic uint64_t interruptions;
static _Atomic uint64_t interrupted; /* signals that came to a thread that waits */
static _Atomic pid_t target[WAITERS];
static _Atomic int n_targets;

static void count_signal(int signum)
{
	(void)signum;
	if (me) {
		wi_add_rlx(&interrupted, 1);
		wi_add_rlx(&interruptions, 1);
	}
}

/* The caller may be hit from now on. */
static void stand_in_the_storm(struct test_thread *self)
{
	sigset_t alarm;

	me = self;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
	wi_store_rel(&target[self->number], gettid());
	wi_add_acq_rel(&n_targets, 1);
}

static void thunder(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		/* By number, which may be that of a thread that has ended: then nothing happens. */
		if (wi_load_acq(&n_targets) == WAITERS)
			syscall(SYS_tgkill, getpid(),
			        wi_load_acq(&target[wi_rng_below(&self->rng, WAITERS)]), SIGALRM);
		test_nap(20000);
	}
}

/* ---- wakes that nobody meant ---- */

static void wake_somebody(struct wi_rng *rng)
{
	struct wi_segment *g = wi_segment_at(&test_core.seats, 0);
	uint32_t i = wi_rng_below(rng, 20);

	if (g)
		syscall(SYS_futex, &g->seat[i].word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL,
		        NULL, 0);
}

static void poltergeist(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		for (int i = 0; i < 8; i++)
			wake_somebody(&self->rng);
		test_nap(10000);
	}
}

/* ---- waiters on a core that has nothing ---- */

enum trouble { STORM, SPIRITS };
enum { SLEPT, STORMY };

static enum trouble trouble;

static void wait_for_nothing(struct test_thread *self)
{
	int64_t end_ns = wi_now_ns() + (int64_t)(test_seconds(1.5) * 1e9);

	if (trouble == STORM)
		stand_in_the_storm(self);
	/* Whoever sends the signals may hardly have a processor: until it has been a storm. */
	while (wi_now_ns() < end_ns || (trouble == STORM && self->count[STORMY] < ENOUGH)) {
		struct test_op *op = test_op_begin(&history.lanes[self->number], TEST_TAKE);
		uint64_t before = wi_load_rlx(&interruptions);

		if (!op)
			break;
		test_watch(op, test_core_store.seat());
		(void)test_core_store.take(op, 1 + wi_rng_below(&self->rng, 20000000));
		test_unwatch();
		test_op_end(op);
		self->count[SLEPT] += op->parked_ns != 0;
		self->count[STORMY] += op->parked_ns && wi_load_rlx(&interruptions) > before + 1;
		test_nap(wi_rng_below(&self->rng, 1000000)); /* tells how late sleeps are here */
	}
	me = NULL;
}

static void waiter_or_trouble(struct test_thread *self)
{
	if (self->number < WAITERS)
		wait_for_nothing(self);
	else if (trouble == STORM)
		thunder(self);
	else
		poltergeist(self);
}

static void *trouble_main(void *self)
{
	waiter_or_trouble(self);
	return NULL;
}

/* The troublemaker goes on until the waiters have ended. */
static void wait_in_trouble(enum trouble which, uint64_t *slept, uint64_t *stormy)
{
	struct test_thread reports[WAITERS], other = {.number = WAITERS};
	_Atomic bool stop = false;
	pthread_t thread;

	trouble = which;
	other.stop = &stop;
	wi_rng_seed(&other.rng, test_seed());
	wi_store_rlx(&n_targets, 0);
	wi_store_rlx(&interrupted, 0);
	assert_true(test_core_open(1));
	assert_int_equal(wi_core_take(&test_core, wi_desk_seat(&test_core)), 1);
	test_history_begin(&history, WAITERS, 1);
	test_measure_lag(true);
	assert_int_equal(pthread_create(&thread, NULL, trouble_main, &other), 0);
	test_threads_run(WAITERS, waiter_or_trouble, NULL, -1, reports);
	wi_store_rel(&stop, true);
	pthread_join(thread, NULL);
	test_measure_lag(false);
	assert_true(test_history_close(&history));
	if (!test_deadlines_are_kept(&history, test_slack_ns()))
		fail_msg("%s", history.wrong);
	assert_int_equal(history.n_takes, 0);
	wi_core_give(&test_core, 1);
	test_core_close();
	*slept = test_sum(reports, WAITERS, SLEPT);
	*stormy = test_sum(reports, WAITERS, STORMY);
}

static void signals_do_not_end_a_wait(void **state)
{
	uint64_t slept, stormy;

	(void)state;
	wait_in_trouble(STORM, &slept, &stormy);
	printf("%llu sleeps, %llu signals, several in each of %llu\n", (unsigned long long)slept,
	       (unsigned long long)wi_load_rlx(&interrupted), (unsigned long long)stormy);
	assert_true(stormy >= WAITERS * ENOUGH);
}

static void wakes_without_a_reason_do_not_end_a_wait(void **state)
{
	uint64_t slept, stormy;

	(void)state;
	wait_in_trouble(SPIRITS, &slept, &stormy);
	printf("%llu sleeps\n", (unsigned long long)slept);
}

/* ---- and while slots go round ---- */

static void spirits_and_sweep(struct wi_rng *rng)
{
	for (int i = 0; i < 8; i++)
		wake_somebody(rng);
	if (wi_rng_below(rng, 8) == 0)
		test_core_store.sweep(rng);
}

static struct wi_seat *seat_in_the_storm(void)
{
	/* The watched operation's thread: the timer's signals go to any that lets them in. */
	sigset_t alarm;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
	return test_core_store.seat();
}

static void histories_stay_what_they_are(void **state)
{
	static const struct test_shape shape = {.name = "in a storm",
	                                        .threads = 16,
	                                        .values = 3,
	                                        .tries = 1,
	                                        .shorts = 3,
	                                        .hold_ns = 300000,
	                                        .pauses = 3,
	                                        .sweep = true};
	struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
	struct test_store store = test_core_store;
	struct test_history_facts facts = {0};
	const char *wrong;

	(void)state;
	store.sweep = spirits_and_sweep;
	store.seat = seat_in_the_storm;
	assert_true(test_core_open(shape.values));
	wi_store_rlx(&steps, true);
	setitimer(ITIMER_REAL, &often, NULL);
	wrong = test_shape_run(&shape, &store, &history, test_seconds(1.5));
	setitimer(ITIMER_REAL, &never, NULL);
	wi_store_rlx(&steps, false);
	if (!wrong)
		wrong = test_history_audit(&history);
	if (!wrong)
		wrong = test_core_audit(shape.values, history.n_takes);
	if (wrong)
		fail_msg("%s", wrong);
	test_core_close();
	test_history_add_facts(&history, &facts);
	test_history_print(shape.name, false, &facts);
}

/* ---- the wall clock ---- */

enum { TIMED_OUT, LATEST_NS };

static _Atomic bool has_timed_out;

static void check_out_and_time(weir_pool *pool, struct test_thread *self)
{
	int64_t ms = wi_rng_below(&self->rng, 30), begun_ns, late_ns, ready_ns = test_ready_ns();
	weir_conn *conn = NULL;
	weir_status st;

	begun_ns = wi_now_ns();
	st = weir_pool_checkout(pool, ms, &conn, NULL);
	late_ns = wi_now_ns() - begun_ns - ms * WI_MS - (test_ready_ns() - ready_ns);
	if (st == WEIR_TIMEOUT && wi_now_ns() < begun_ns + ms * WI_MS)
		test_wrong(self, "%lld ns too early", (long long)-late_ns);
	if (late_ns > (int64_t)self->count[LATEST_NS])
		self->count[LATEST_NS] = (uint64_t)late_ns;
	self->count[TIMED_OUT] += st == WEIR_TIMEOUT;
	if (st == WEIR_TIMEOUT)
		wi_store_rlx(&has_timed_out, true);
	test_nap(wi_rng_below(&self->rng, conn ? 20000000 : 100000));
	weir_checkin(&conn);
}

static void use_by_the_clock(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop) || !wi_load_rlx(&has_timed_out))
		check_out_and_time(self->arg, self);
}

/* In a process where no thread may sleep by the wall clock, and the wall clock steps. */
static int use_while_the_clock_steps(void)
{
	static struct wi_fake_server server;
	struct test_thread reports[8];
	weir_pool *pool = NULL;
	weir_options o;

	if (!test_forbid_stepping_waits(EPERM))
		return NO_FILTERS;
	wi_store_rlx(&steps, true);
	wi_store_rlx(&readings[0], 0);
	wi_store_rlx(&readings[1], 0);
	weir_options_init(&o);
	o.pool_max = 2;
	o.idle_timeout_ms = 20;
	o.max_lifetime_ms = 50;
	wi_fake_server_init(&server);
	if (wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server, "host=127.0.0.1", &o,
	                      &pool, NULL) != WEIR_OK)
		return 2;
	test_measure_lag(true);
	test_threads_run(8, use_by_the_clock, pool, test_seconds(1), reports);
	test_measure_lag(false);
	for (int i = 0; i < 8; i++)
		if ((int64_t)reports[i].count[LATEST_NS] > test_slack_ns())
			test_wrong(&reports[i], "%lld ns too late",
			           (long long)reports[i].count[LATEST_NS]);
	if (test_first_wrong(reports, 8)) {
		printf("%s; slack %lld\n", test_first_wrong(reports, 8),
		       (long long)test_slack_ns());
		return 3;
	}
	printf("%llu timeouts; the wall clock was read %llu times, the monotonic one %llu times\n",
	       (unsigned long long)test_sum(reports, 8, TIMED_OUT),
	       (unsigned long long)wi_load_rlx(&readings[0]),
	       (unsigned long long)wi_load_rlx(&readings[1]));
	if (!test_sum(reports, 8, TIMED_OUT) || !wi_load_rlx(&readings[1]))
		return 4; /* this program's clock is not the one that is asked */
	return weir_pool_close(&pool, 10000) == WEIR_OK ? 0 : 5;
}

static void a_wall_clock_that_steps_moves_no_deadline(void **state)
{
	pid_t child;
	int status = 0;

	(void)state;
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		test_watchdog(120, "stress.signals, a child");
		status = use_while_the_clock_steps();
		fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTERS) {
		printf("skipped: no filter on system calls can be put up here\n");
		skip();
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int set_up(void **state)
{
	struct sigaction action = {.sa_handler = count_signal}; /* without SA_RESTART */
	sigset_t alarm;

	(void)state;
	(void)test_seed();
	sigaction(SIGALRM, &action, NULL);
	/* The main thread is left alone, and so are those that do not ask for it. */
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, NULL);
	return test_shapes_init(&history, 32) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	test_history_fini(&history);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wall_clock_that_steps_moves_no_deadline),
		cmocka_unit_test(signals_do_not_end_a_wait),
		cmocka_unit_test(wakes_without_a_reason_do_not_end_a_wait),
		cmocka_unit_test(histories_stay_what_they_are),
	};

	test_watchdog(250, "stress.signals");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

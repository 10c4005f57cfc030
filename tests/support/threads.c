/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/threads.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/world.h"

/* ---- many threads ---- */

void test_wrong(struct test_thread *self, const char *format, ...)
{
	va_list args;

	if (self->wrong[0])
		return;
	va_start(args, format);
	vsnprintf(self->wrong, sizeof(self->wrong), format, args);
	va_end(args);
}

static void *thread_main(void *arg)
{
	struct test_thread *self = arg;

	pthread_barrier_wait(self->start);
	self->body(self);
	return NULL;
}

/* Signals do not cut it short. */
static void pause_for(double seconds)
{
	int64_t end = wi_now_ns() + (int64_t)(seconds * 1e9);
	struct timespec at = {.tv_sec = (time_t)(end / WI_SEC), .tv_nsec = (long)(end % WI_SEC)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

void test_threads_run(int n, void (*body)(struct test_thread *), void *arg, double seconds,
                      struct test_thread *reports)
{
	_Atomic bool stop = false;
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, (unsigned)n + 1);
	for (int i = 0; i < n; i++) {
		struct test_thread *t = &reports[i];

		memset(t, 0, sizeof(*t));
		t->number = i;
		t->arg = arg;
		t->stop = &stop;
		t->body = body;
		t->start = &start;
		wi_rng_seed(&t->rng, test_seed() + (uint64_t)i * 7919);
		if (pthread_create(&t->id, NULL, thread_main, t) != 0) {
			perror("pthread_create");
			exit(EXIT_FAILURE);
		}
	}
	pthread_barrier_wait(&start);
	if (seconds >= 0) {
		pause_for(seconds);
		wi_store_rel(&stop, true);
	}
	for (int i = 0; i < n; i++)
		pthread_join(reports[i].id, NULL);
	pthread_barrier_destroy(&start);
}

const char *test_first_wrong(const struct test_thread *reports, int n)
{
	for (int i = 0; i < n; i++)
		if (reports[i].wrong[0])
			return reports[i].wrong;
	return NULL;
}

uint64_t test_sum(const struct test_thread *reports, int n, int which)
{
	uint64_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += reports[i].count[which];
	return sum;
}

/* ---- chance and time ---- */

static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void choose_seed(void)
{
	const char *given = getenv("TEST_STRESS_SEED");

	seed = given ? strtoull(given, NULL, 0) : (uint64_t)wi_now_ns() % 1000000000;
	printf("seed %llu (TEST_STRESS_SEED=%llu repeats it)\n", (unsigned long long)seed,
	       (unsigned long long)seed);
	fflush(stdout);
}

uint64_t test_seed(void)
{
	pthread_once(&seed_once, choose_seed);
	return seed;
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define UNDER_SANITIZER 1
#endif

bool test_is_emulated(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

int test_slowness(void)
{
	if (test_is_emulated())
		return 10;
#ifdef UNDER_SANITIZER
	return 4;
#else
	return 1;
#endif
}

double test_seconds(double usual)
{
	const char *given = getenv("TEST_STRESS_SECONDS");

	if (given)
		return strtod(given, NULL);
	return test_slowness() > 1 ? usual / 3 : usual;
}

/* ---- pauses in marked windows ---- */

static _Atomic uint32_t pause_one_in;
static _Atomic uint32_t pausers;
static _Thread_local struct wi_rng pause_rng;
static _Thread_local struct test_stop *my_stop;

static void stop_here(struct test_stop *stop, const char *point)
{
	uint32_t armed = 0;

	if (strcmp(stop->point, point) != 0 || --stop->visit != 0 ||
	    !wi_cas_acq_rel(&stop->state, &armed, 1))
		return;
	wi_world_linux.wake(&stop->state);
	while (wi_load_acq(&stop->state) != 2)
		wi_world_linux.park(&stop->state, 1, WI_FOREVER);
}

static void maybe_pause(void)
{
	uint32_t one_in = wi_load_rlx(&pause_one_in);

	if (!one_in)
		return;
	if (!pause_rng.state)
		wi_rng_seed(&pause_rng, test_seed() ^ ((uint64_t)wi_add_rlx(&pausers, 1) << 32));
	if (wi_rng_below(&pause_rng, one_in) != 0)
		return;
	if (wi_rng_below(&pause_rng, 2))
		sched_yield();
	else
		pause_for((double)wi_rng_below(&pause_rng, 50000) * 1e-9);
}

static void at_yield(const char *point)
{
	if (my_stop)
		stop_here(my_stop, point);
	else
		maybe_pause();
}

void test_yields(uint32_t one_in)
{
	wi_store_rlx(&pause_one_in, one_in);
	wi_store_rel(&wi_yield_hook, at_yield);
}

void test_stop_arm(struct test_stop *stop)
{
	my_stop = stop;
	wi_store_rel(&wi_yield_hook, at_yield);
}

void test_stop_await(struct test_stop *stop)
{
	while (wi_load_acq(&stop->state) != 1)
		wi_world_linux.park(&stop->state, 0, WI_FOREVER);
}

void test_stop_release(struct test_stop *stop)
{
	wi_store_rel(&stop->state, 2);
	wi_world_linux.wake(&stop->state);
}

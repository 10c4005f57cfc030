/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads for tests: started at a barrier, each with a report of its own; random pauses in the
 * marked windows of the protocols (WI_YIELD); and a scripted stop in one of them, to replay an
 * interleaving.
 */
#ifndef WEIR_TEST_THREADS_H
#define WEIR_TEST_THREADS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

/* ---- many threads ---- */

/*
 * A thread and what it reports. cmocka's asserts belong to the main thread: a body fills in
 * `wrong`.
 */
struct test_thread {
	int number; /* from 0 */
	void *arg;
	struct wi_rng rng;  /* its own, from the seed */
	_Atomic bool *stop; /* set when the time is over */
	char wrong[256];    /* the first thing that was not as it should be; "" if all was well */
	uint64_t count[8];  /* what the body likes to count */
	void (*body)(struct test_thread *self);
	pthread_t id;
	pthread_barrier_t *start;
};

/* Notes that something is wrong; the first note stays. */
void test_wrong(struct test_thread *self, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Runs body in n threads that begin together. After `seconds` (negative: never) *stop becomes true,
 * which the bodies look at. Returns when all have ended; reports is an array of n, filled in. A
 * thread that cannot be started ends the process.
 */
void test_threads_run(int n, void (*body)(struct test_thread *), void *arg, double seconds,
                      struct test_thread *reports);

/* The first report that says something is wrong, or NULL; and a count summed over all. */
const char *test_first_wrong(const struct test_thread *reports, int n);
uint64_t test_sum(const struct test_thread *reports, int n, int which);

/* ---- chance and time ---- */

/* The seed of this run: TEST_STRESS_SEED, or a new one. Printed by the first call. */
uint64_t test_seed(void);

/* TEST_STRESS_SECONDS if set, else the default; a third of it under a sanitizer or valgrind. */
double test_seconds(double usual);

/*
 * How much slower than usual things are here, as a whole number: 1, or more under a sanitizer or
 * valgrind.
 */
int test_slowness(void);

/* Whether valgrind runs this program: what processor time it takes is mostly valgrind's then. */
bool test_is_emulated(void);

/* ---- pauses in marked windows ---- */

/*
 * From now on about one in `one_in` visits of a marked window pauses for up to 50 us or yields the
 * CPU. 0: no more.
 */
void test_yields(uint32_t one_in);

/*
 * A scripted stop: the thread that armed it stops at the named point, the `visit`-th time it comes
 * by (from 1), until it is released.
 */
struct test_stop {
	const char *point;
	int visit;
	_Atomic uint32_t state; /* 0 armed, 1 stopped, 2 released */
};

/* Arms a stop for the calling thread; NULL disarms. The stop must outlive its use. */
void test_stop_arm(struct test_stop *stop);

/* Any thread: waits until the thread is stopped there. */
void test_stop_await(struct test_stop *stop);

/* Any thread: lets it go on; it does not stop any more if it has not. */
void test_stop_release(struct test_stop *stop);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Google Benchmark for C. A bench file is a program of its own: it defines bench_cases, which
 * registers what it measures; gbench.cc has main, so every flag of Google Benchmark works
 * (--benchmark_filter and so on).
 *
 *	static void pop_push(struct bench *b)
 *	{
 *		struct wi_freelist *fl = bench_shared(b);
 *
 *		while (bench_keep_running(b)) {
 *			uint32_t slot = wi_freelist_pop(fl);
 *
 *			bench_keep(slot);
 *			wi_freelist_push(fl, slot);
 *		}
 *	}
 *
 *	void bench_cases(void)
 *	{
 *		bench_register(&(struct bench_case){.name = "core.freelist/pop_push", .body = pop_push,
 *			.before = make_list, .after = free_list, .threads = {1, 2, BENCH_CORES}});
 *	}
 *
 * The order of one run: `before` on one thread; then `body` on every thread at once, where the
 * clock runs from the first bench_keep_running of the last thread to come until the loops end;
 * then, when every body has returned, `after` on the thread of `before`. Each case runs several
 * times, for longer each time, until it has run for --benchmark_min_time.
 *
 * Time is the wall's. With several threads the column Time is the wall time divided by the
 * iterations of all threads together; the counter `per_thread` is the wall time of one iteration as
 * one thread sees it, and `cpu` the processor time of one iteration: the same number, but blind to
 * whoever else has the processor, so that it means something with more threads than cores.
 *
 * What is about shares and waits runs for a slice of time instead, the same for every thread, as
 * one iteration (bench_slice_ns); its numbers are counters.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_ARGS 3
#define BENCH_ROWS 16
#define BENCH_THREADS 8
#define BENCH_CORES (-1) /* as many threads as there are cores */

struct bench_kind; /* kind.h */

/* One thread's part in one run of one case. */
struct bench {
	uint64_t left; /* iterations still to go; bench_keep_running's */
	int thread;    /* 0 to threads - 1; before and after run as thread 0 */
	int threads;
	int64_t arg[BENCH_ARGS];       /* this run's row of the case's rows */
	const struct bench_kind *kind; /* this case's */
	void *inner;                   /* gbench.cc's */
};

struct bench_case {
	/* a path, "core.freelist/pop_push"; the plain twin is "baseline.mutex_list/pop_push" */
	const char *name;
	void (*body)(struct bench *b);
	void (*before)(struct bench *b);     /* may be NULL */
	void (*after)(struct bench *b);      /* may be NULL */
	const struct bench_kind *kind;       /* whose figures they are, for `before`; may be NULL */
	int threads[BENCH_THREADS];          /* up to the first 0; none: 1 */
	const char *arg_name[BENCH_ARGS];    /* up to the first NULL: as many args as names */
	int64_t row[BENCH_ROWS][BENCH_ARGS]; /* the case runs once a row */
	int rows;                            /* 0: once, with every arg 0 */
	/* not 0: so many iterations, whatever --benchmark_min_time says: for slices of time */
	int64_t iterations;
};

/* Defined by the bench file; calls bench_register for each case. */
void bench_cases(void);

/* Adds a case; all of it is copied. Only from bench_cases. */
void bench_register(const struct bench_case *c);

/* The slow end of bench_keep_running: starts and stops the clock. */
bool bench_turn(struct bench *b);

/*
 * The loop of every body: true as long as one more iteration is wanted. One decrement on the way.
 */
static inline bool bench_keep_running(struct bench *b)
{
	if (__builtin_expect(b->left != 0, 1)) {
		b->left--;
		return true;
	}
	return bench_turn(b);
}

/* What `before` made for all threads of a run, and `after` takes down. */
void bench_share(struct bench *b, void *shared);
void *bench_shared(struct bench *b);

/* Ends this case with words instead of a number; the loop then runs no iteration. */
void bench_skip(struct bench *b, const char *why);

/* Stops and restarts this thread's clock inside the loop; each costs about 0.1 us itself. */
void bench_pause(struct bench *b);
void bench_resume(struct bench *b);

/*
 * Numbers of your own beside the time. _sum adds up over threads, _average is the mean over
 * threads, _rate is the sum per second of wall time. Call each once a thread, after the loop.
 */
void bench_sum(struct bench *b, const char *name, double value);
void bench_average(struct bench *b, const char *name, double value);
void bench_rate(struct bench *b, const char *name, double value);

/*
 * Durations that the caller has merged over all threads: the counters NAME_p50, _p99, _p999 and
 * _max in nanoseconds. Where TEST_BENCH_DISTRIBUTIONS names a file, the whole histogram is added to
 * it as a line of JSON. Once a run, from one thread.
 */
struct cli_hist;
void bench_durations(struct bench *b, const char *name, const struct cli_hist *hist);

/* How long a slice is: TEST_BENCH_SLICE_MS, or 100 ms. */
int64_t bench_slice_ns(void);

/* Makes the compiler believe that value is used. */
#define bench_keep(value) __asm__ volatile("" : : "r,m"(value) : "memory")

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: what do the things cost that weir's numbers are divided by? The same run on the same
 * machine has to say, so they are benches here.
 *
 *	baseline.malloc/64            malloc(64) and free: jemalloc's where weir was built with it
 *	baseline.clock/read           one monotonic clock read
 *	baseline.futex/hand_over      wake a thread and be woken by it: half of a round trip
 *
 * Matrix: 1, 2 and as many threads as cores; hand_over needs exactly 2.
 */
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "harness/bench.h"

struct table {
	_Atomic unsigned turn; /* the thread whose turn it is */
};

static void malloc_64(struct bench *b)
{
	while (bench_keep_running(b)) {
		void *p = malloc(64);

		bench_keep(p);
		free(p);
	}
}

static void free_shared(struct bench *b)
{
	free(bench_shared(b));
}

static void clock_read(struct bench *b)
{
	struct timespec t;

	while (bench_keep_running(b)) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		bench_keep(t.tv_nsec);
	}
}

static void make_table(struct bench *b)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		bench_skip(b, "no memory");
	bench_share(b, t);
}

static void futex(_Atomic unsigned *word, int what, unsigned value)
{
	syscall(SYS_futex, word, what | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/* Two threads in turns; both run the same number of iterations, so nobody is left waiting. */
static void hand_over(struct bench *b)
{
	struct table *t = bench_shared(b);
	unsigned me = (unsigned)b->thread, other = 1 - me;

	while (bench_keep_running(b)) {
		while (atomic_load(&t->turn) != me)
			futex(&t->turn, FUTEX_WAIT, other);
		atomic_store(&t->turn, other);
		futex(&t->turn, FUTEX_WAKE, INT_MAX);
	}
}

void bench_cases(void)
{
	bench_register(&(struct bench_case){
		.name = "baseline.malloc/64", .body = malloc_64, .threads = {1, 2, BENCH_CORES}});
	bench_register(&(struct bench_case){.name = "baseline.clock/read", .body = clock_read});
	bench_register(&(struct bench_case){.name = "baseline.futex/hand_over",
	                                    .body = hand_over,
	                                    .before = make_table,
	                                    .after = free_shared,
	                                    .threads = {2}});
}

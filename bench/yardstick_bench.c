/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: what do the things cost that weir's numbers are divided by? The same run on the same
 * machine has to say, so they are benches here.
 *
 *	baseline.malloc/64            malloc(64) and free: jemalloc's where weir was built with it
 *	baseline.mutex_stack/pop_push a pool in its simplest form: a mutex over an array
 *	baseline.clock/read           one monotonic clock read
 *	baseline.futex/hand_over      wake a thread and be woken by it: half of a round trip
 *
 * Matrix: 1, 2 and as many threads as cores; hand_over needs exactly 2.
 */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "harness/bench.h"

#define STACK 64

struct stack {
	pthread_mutex_t lock;
	unsigned len;
	unsigned item[STACK];
};

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

static void make_stack(struct bench *b)
{
	struct stack *s = calloc(1, sizeof(*s));

	if (!s) {
		bench_skip(b, "no memory");
		return;
	}
	pthread_mutex_init(&s->lock, NULL);
	for (; s->len < STACK; s->len++)
		s->item[s->len] = s->len;
	bench_share(b, s);
}

static void free_shared(struct bench *b)
{
	free(bench_shared(b));
}

static void stack_pop_push(struct bench *b)
{
	struct stack *s = bench_shared(b);

	while (bench_keep_running(b)) {
		unsigned item;

		pthread_mutex_lock(&s->lock);
		item = s->item[--s->len];
		pthread_mutex_unlock(&s->lock);
		bench_keep(item);
		pthread_mutex_lock(&s->lock);
		s->item[s->len++] = item;
		pthread_mutex_unlock(&s->lock);
	}
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
	bench_register(&(struct bench_case){.name = "baseline.mutex_stack/pop_push",
	                                    .body = stack_pop_push,
	                                    .before = make_stack,
	                                    .after = free_shared,
	                                    .threads = {1, 2, BENCH_CORES}});
	bench_register(&(struct bench_case){.name = "baseline.clock/read", .body = clock_read});
	bench_register(&(struct bench_case){.name = "baseline.futex/hand_over",
	                                    .body = hand_over,
	                                    .before = make_table,
	                                    .after = free_shared,
	                                    .threads = {2}});
}

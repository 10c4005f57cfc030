/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: how much memory does weir take for a pool, for each slot of it, and for each thread
 * that uses it? In bytes asked of the allocator table; what a connection takes that is open is in
 * server_memory_bench, as it needs a server.
 *
 *	pool/empty     an open pool with room for one connection, before anybody used it
 *	pool/slot      room for one more connection, open or not
 *	pool/thread    a thread that has used one pool: its seat there, and its share of a desk
 *	pool/thread_again   the same thread using one pool more
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "harness/bench.h"
#include "harness/counted_memory.h"
#include "harness/fake_pool.h"

#define SLOTS 1000
#define THREADS 128

static void empty(struct bench *b)
{
	int64_t before = atomic_load(&counted_bytes);
	struct fake_pool *f = fake_pool_open_from(0, 1);

	while (bench_keep_running(b))
		;
	bench_sum(b, "bytes", (double)(atomic_load(&counted_bytes) - before));
	fake_pool_close(f);
}

static void slot(struct bench *b)
{
	int64_t before = atomic_load(&counted_bytes), few;
	struct fake_pool *small = fake_pool_open_from(0, SLOTS), *large;

	while (bench_keep_running(b))
		;
	few = atomic_load(&counted_bytes) - before;
	large = fake_pool_open_from(0, 2 * SLOTS);
	bench_sum(b, "bytes", (double)(atomic_load(&counted_bytes) - before - 2 * few) / SLOTS);
	fake_pool_close(small);
	fake_pool_close(large);
}

/* ---- threads ---- */

struct visit {
	struct fake_pool *first, *second;
	pthread_barrier_t step;
};

static void use(struct fake_pool *f)
{
	weir_conn *c;

	if (weir_pool_checkout(f->pool, -1, &c, NULL) != WEIR_OK)
		abort();
	weir_checkin(&c);
}

static void *live(void *arg)
{
	struct visit *v = arg;

	use(v->first);
	pthread_barrier_wait(&v->step);
	pthread_barrier_wait(&v->step);
	use(v->second);
	pthread_barrier_wait(&v->step);
	pthread_barrier_wait(&v->step);
	return NULL;
}

/* All threads live at once, so that each needs a seat. */
static void thread(struct bench *b, bool again)
{
	struct visit v = {fake_pool_open(1), fake_pool_open(1), {{0}}};
	int64_t start = atomic_load(&counted_bytes), first, second;
	pthread_t t[THREADS];

	if (!v.first || !v.second)
		abort();
	while (bench_keep_running(b))
		;
	pthread_barrier_init(&v.step, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, live, &v))
			abort();
	pthread_barrier_wait(&v.step);
	first = atomic_load(&counted_bytes) - start;
	pthread_barrier_wait(&v.step);
	pthread_barrier_wait(&v.step);
	second = atomic_load(&counted_bytes) - start - first;
	pthread_barrier_wait(&v.step);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	bench_sum(b, "bytes", (double)(again ? second : first) / THREADS);
	pthread_barrier_destroy(&v.step);
	fake_pool_close(v.first);
	fake_pool_close(v.second);
}

static void thread_first(struct bench *b)
{
	thread(b, false);
}

static void thread_again(struct bench *b)
{
	thread(b, true);
}

void bench_cases(void)
{
	static const struct {
		const char *name;
		void (*body)(struct bench *b);
	} cases[] = {{"pool/empty", empty},
	             {"pool/slot", slot},
	             {"pool/thread", thread_first},
	             {"pool/thread_again", thread_again}};

	count_memory();
	for (int i = 0; i < 4; i++)
		bench_register(&(struct bench_case){
			.name = cases[i].name, .body = cases[i].body, .iterations = 1});
}

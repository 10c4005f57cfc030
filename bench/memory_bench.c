/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: how much memory does weir take for a pool, for each slot of it, and for each thread
 * that uses it? In bytes asked of the allocator table, less what lies in reserve, which without an
 * allocator of the program's own is only address space; what a connection takes that is open is in
 * server_memory_bench, as it needs a server.
 *
 *	pool/empty             an open pool with room for one connection, before anybody used it
 *	pool/slot              room for one more connection, open or not
 *	pool/empty_reserve     the same with what lies in reserve
 *	pool/slot_reserve
 *	pool/thread            a thread that has used one pool: its desk and its seat
 *	pool/thread_and_pool   a thread that has used 16 pools, a pool
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "harness/bench.h"
#include "harness/counted_memory.h"
#include "harness/fake_pool.h"
#include "harness/spare_memory.h"

#define SLOTS 1000
#define THREADS 128
#define POOLS 16

/* What an idle pool with room for so many takes, with what lies in reserve or without. */
static double bytes_of_pool(unsigned slots, bool reserve)
{
	int64_t before = atomic_load(&counted_bytes), took;
	struct fake_pool *f = fake_pool_open_from(0, slots);

	if (!f)
		abort();
	took = atomic_load(&counted_bytes) - before;
	if (!reserve)
		took -= spare_bytes(f->pool);
	fake_pool_close(f);
	return (double)took;
}

static double bytes_of_slot(bool reserve)
{
	return (bytes_of_pool(2 * SLOTS, reserve) - bytes_of_pool(SLOTS, reserve)) / SLOTS;
}

static void empty(struct bench *b)
{
	while (bench_keep_running(b))
		;
	bench_sum(b, "bytes", bytes_of_pool(1, false));
}

static void empty_reserve(struct bench *b)
{
	while (bench_keep_running(b))
		;
	bench_sum(b, "bytes", bytes_of_pool(1, true));
}

static void slot(struct bench *b)
{
	while (bench_keep_running(b))
		;
	bench_sum(b, "bytes", bytes_of_slot(false));
}

static void slot_reserve(struct bench *b)
{
	while (bench_keep_running(b))
		;
	bench_sum(b, "bytes", bytes_of_slot(true));
}

/* ---- threads ---- */

struct visit {
	struct fake_pool *pool[POOLS];
	int pools;
	pthread_barrier_t used, over;
};

static void *live(void *arg)
{
	struct visit *v = arg;

	for (int i = 0; i < v->pools; i++) {
		weir_conn *c;

		if (weir_pool_checkout(v->pool[i]->pool, -1, &c, NULL) != WEIR_OK)
			abort();
		weir_checkin(&c);
	}
	pthread_barrier_wait(&v->used);
	pthread_barrier_wait(&v->over);
	return NULL;
}

/* All threads live at once, so that each needs a seat. */
static int64_t bytes_of_threads(struct visit *v)
{
	int64_t before = atomic_load(&counted_bytes), took;
	pthread_t t[THREADS];

	pthread_barrier_init(&v->used, NULL, THREADS + 1);
	pthread_barrier_init(&v->over, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, live, v))
			abort();
	pthread_barrier_wait(&v->used);
	took = atomic_load(&counted_bytes) - before;
	pthread_barrier_wait(&v->over);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	pthread_barrier_destroy(&v->used);
	pthread_barrier_destroy(&v->over);
	return took;
}

static void threads(struct bench *b, int pools)
{
	struct visit v = {.pools = pools};

	while (bench_keep_running(b))
		;
	for (int i = 0; i < pools; i++)
		if (!(v.pool[i] = fake_pool_open(1)))
			abort();
	bench_sum(b, "bytes", (double)bytes_of_threads(&v) / THREADS / pools);
	for (int i = 0; i < pools; i++)
		fake_pool_close(v.pool[i]);
}

static void one_pool(struct bench *b)
{
	threads(b, 1);
}

static void many_pools(struct bench *b)
{
	threads(b, POOLS);
}

void bench_cases(void)
{
	static const struct {
		const char *name;
		void (*body)(struct bench *b);
	} cases[] = {{"pool/empty", empty},
	             {"pool/slot", slot},
	             {"pool/empty_reserve", empty_reserve},
	             {"pool/slot_reserve", slot_reserve},
	             {"pool/thread", one_pool},
	             {"pool/thread_and_pool", many_pools}};

	count_memory();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		bench_register(&(struct bench_case){
			.name = cases[i].name, .body = cases[i].body, .iterations = 1});
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: what does a checkout with its checkin cost a warm thread, in mallocs?
 *
 *	baseline.malloc/64         malloc(64) and free (jemalloc's where weir was built with it)
 *	baseline.mutex_pool/pair   take and put of the plain twin
 *	core/pair                  take and put of the core alone
 *	pool/pair                  weir_pool_checkout and weir_checkin over the fake driver
 *
 * Matrix: 1, 2, 4, 8 and 16 threads, a connection for each thread and then some; and
 * as many threads as cores. Divide by
 * baseline.malloc of the same run.
 */
#include <stdlib.h>

#include "core/core.h"
#include "core/desk.h"
#include "harness/bench.h"
#include "harness/fake_pool.h"
#include "harness/mutex_pool.h"

#define CONNECTIONS 64
#define THREADS                                                                                    \
	{                                                                                          \
		1, 2, 4, 8, 16, BENCH_CORES                                                        \
	}

static void malloc_pair(struct bench *b)
{
	while (bench_keep_running(b)) {
		void *p = malloc(64);

		bench_keep(p);
		free(p);
	}
}

static void mutex_open(struct bench *b)
{
	struct mutex_pool *p = calloc(1, sizeof(*p));

	if (!p) {
		bench_skip(b, "no memory");
		return;
	}
	mutex_pool_init(p, CONNECTIONS);
	bench_share(b, p);
}

static void mutex_close(struct bench *b)
{
	struct mutex_pool *p = bench_shared(b);

	if (p)
		mutex_pool_fini(p);
	free(p);
}

static void mutex_pair(struct bench *b)
{
	struct mutex_pool *p = bench_shared(b);

	while (bench_keep_running(b)) {
		unsigned item = mutex_pool_take(p);

		bench_keep(item);
		mutex_pool_put(p, item);
	}
}

struct core_bench {
	struct wi_core core;
	struct wi_slot slots[CONNECTIONS + 1];
};

static void core_open(struct bench *b)
{
	struct core_bench *c = aligned_alloc(64, (sizeof(*c) + 63) / 64 * 64);
	struct wi_table table;

	if (!c) {
		bench_skip(b, "no memory");
		return;
	}
	*c = (struct core_bench){0};
	table = (struct wi_table){(char *)c->slots, sizeof(struct wi_slot), CONNECTIONS};
	if (!wi_core_init(&c->core, table, &wi_world_linux)) {
		free(c);
		bench_skip(b, "no core");
		return;
	}
	for (uint32_t i = 1; i <= CONNECTIONS; i++)
		wi_core_give(&c->core, i);
	bench_share(b, c);
}

static void core_close(struct bench *b)
{
	struct core_bench *c = bench_shared(b);

	if (c)
		wi_core_fini(&c->core);
	free(c);
}

static void core_pair(struct bench *b)
{
	struct core_bench *c = bench_shared(b);

	while (bench_keep_running(b)) {
		struct wi_seat *seat = wi_desk_seat(&c->core);
		uint32_t slot = wi_core_take(&c->core, seat);

		bench_keep(slot);
		wi_core_put(&c->core, seat, slot);
	}
}

static void pool_open(struct bench *b)
{
	struct fake_pool *f = fake_pool_open(CONNECTIONS);

	if (!f)
		bench_skip(b, "no pool");
	bench_share(b, f);
}

static void pool_close(struct bench *b)
{
	fake_pool_close(bench_shared(b));
}

static void pool_pair(struct bench *b)
{
	struct fake_pool *f = bench_shared(b);

	while (bench_keep_running(b)) {
		weir_conn *c;

		if (weir_pool_checkout(f->pool, 1000, &c, NULL) != WEIR_OK)
			abort();
		weir_checkin(&c);
	}
}

void bench_cases(void)
{
	bench_register(&(struct bench_case){
		.name = "baseline.malloc/64", .body = malloc_pair, .threads = THREADS});
	bench_register(&(struct bench_case){.name = "baseline.mutex_pool/pair",
	                                    .body = mutex_pair,
	                                    .before = mutex_open,
	                                    .after = mutex_close,
	                                    .threads = THREADS});
	bench_register(&(struct bench_case){.name = "core/pair",
	                                    .body = core_pair,
	                                    .before = core_open,
	                                    .after = core_close,
	                                    .threads = THREADS});
	bench_register(&(struct bench_case){.name = "pool/pair",
	                                    .body = pool_pair,
	                                    .before = pool_open,
	                                    .after = pool_close,
	                                    .threads = THREADS});
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* weir over the fake driver, and its twins, as kinds of pools. */
#include "harness/kind.h"

#include <stdint.h>
#include <stdlib.h>

#include "harness/fair_pool.h"
#include "harness/fake_pool.h"
#include "harness/mutex_pool.h"

void *kind_open(struct bench *b, const struct bench_kind *kind, unsigned connections)
{
	void *pool = kind->open(connections);

	if (!pool)
		bench_skip(b, "the pool cannot be opened");
	return pool;
}

/* ---- barging mutex ---- */

static void *mutex_open(unsigned connections)
{
	struct mutex_pool *p = calloc(1, sizeof(*p));

	if (p)
		mutex_pool_init(p, connections);
	return p;
}

static void mutex_close(void *pool)
{
	mutex_pool_fini(pool);
	free(pool);
}

static void *mutex_take(void *pool, int thread)
{
	(void)thread;
	return (void *)(uintptr_t)mutex_pool_take(pool);
}

static void mutex_put(void *pool, void *item)
{
	mutex_pool_put(pool, (unsigned)(uintptr_t)item);
}

const struct bench_kind kind_mutex = {
	.name = "baseline.mutex_pool",
	.open = mutex_open,
	.close = mutex_close,
	.take = mutex_take,
	.put = mutex_put,
};

/* ---- fair mutex ---- */

static void *fair_open(unsigned connections)
{
	struct fair_pool *p = calloc(1, sizeof(*p));

	if (p)
		fair_pool_init(p, connections);
	return p;
}

static void fair_close(void *pool)
{
	fair_pool_fini(pool);
	free(pool);
}

static void *fair_take(void *pool, int thread)
{
	(void)thread;
	return (void *)(uintptr_t)fair_pool_take(pool);
}

static void fair_put(void *pool, void *item)
{
	fair_pool_put(pool, (unsigned)(uintptr_t)item);
}

const struct bench_kind kind_fair = {
	.name = "baseline.fair_pool",
	.open = fair_open,
	.close = fair_close,
	.take = fair_take,
	.put = fair_put,
};

/* ---- weir ---- */

static void *weir_open(unsigned connections)
{
	return fake_pool_open(connections);
}

static void weir_close_(void *pool)
{
	fake_pool_close(pool);
}

static void *weir_take(void *pool, int thread)
{
	struct fake_pool *f = pool;
	weir_conn *c;

	(void)thread;
	if (weir_pool_checkout(f->pool, -1, &c, NULL) != WEIR_OK)
		abort();
	return c;
}

static void weir_put(void *pool, void *item)
{
	weir_conn *c = item;

	(void)pool;
	weir_checkin(&c);
}

const struct bench_kind kind_weir = {
	.name = "pool",
	.open = weir_open,
	.close = weir_close_,
	.take = weir_take,
	.put = weir_put,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: what does a thread that lives for a single checkout pay, beyond being a thread at all?
 *
 *	baseline.thread/churn       the floor: a thread is created, does nothing, and is joined
 *	baseline.mutex_pool/churn   it takes from the plain twin and puts back
 *	pool/churn                  it takes a seat in weir's pool, checks out, checks in, and leaves the seat
 *
 * Matrix: 1 and 4 threads that create; two connections for each of them.
 */
#include <pthread.h>
#include <stdlib.h>

#include "harness/bench.h"
#include "harness/kind.h"

struct churn {
	const struct bench_kind *kind; /* NULL: the floor */
	void *pool;
};

static void *live(void *arg)
{
	const struct churn *c = arg;

	if (c->kind)
		c->kind->put(c->pool, c->kind->take(c->pool, 0));
	return NULL;
}

static void churn(struct bench *b)
{
	struct churn *c = bench_shared(b);

	while (bench_keep_running(b)) {
		pthread_t t;

		if (pthread_create(&t, NULL, live, c))
			abort();
		pthread_join(t, NULL);
	}
}

static void before(struct bench *b)
{
	struct churn *c = calloc(1, sizeof(*c));

	if (!c) {
		bench_skip(b, "no memory");
		return;
	}
	c->kind = b->kind;
	if (b->kind)
		c->pool = kind_open(b, b->kind, 2 * (unsigned)b->threads);
	bench_share(b, c);
}

static void after(struct bench *b)
{
	struct churn *c = bench_shared(b);

	if (c && c->pool)
		c->kind->close(c->pool);
	free(c);
}

void bench_cases(void)
{
	static const struct {
		const char *name;
		const struct bench_kind *kind;
	} kinds[] = {{"baseline.thread/churn", NULL},
	             {"baseline.mutex_pool/churn", &kind_mutex},
	             {"pool/churn", &kind_weir}};

	for (int i = 0; i < 3; i++)
		bench_register(&(struct bench_case){.name = kinds[i].name,
		                                    .body = churn,
		                                    .before = before,
		                                    .kind = kinds[i].kind,
		                                    .after = after,
		                                    .threads = {1, 4}});
}

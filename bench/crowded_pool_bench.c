/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: what is left of the throughput, and how evenly is it shared, when there are more
 * threads than connections?
 *
 *	baseline.mutex_pool/crowd   the plain twin: mutex, condition variable, whoever wakes first takes
 *	pool/crowd                  weir: first come, first served
 *
 * Matrix: 8 threads on 2 connections without hold and with 10 us of work, 32 on 8 with 10 us.
 * Counters: checkouts a second, and the luckiest thread's share over the unluckiest's. Every thread
 * runs for the same time, not the same count, or the unlucky ones would have the end of the run to
 * themselves.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "harness/bench.h"
#include "harness/fake_pool.h"
#include "harness/mutex_pool.h"

#define THREADS_MAX 32
#define SLICE_NS INT64_C(100000000)

struct crowd {
	struct mutex_pool mutex;
	struct fake_pool *fake;
	_Atomic int running;
	uint64_t done[THREADS_MAX];
};

static void hold(int64_t ns)
{
	int64_t until;

	if (ns == 0)
		return;
	for (until = wi_world_linux.now() + ns; wi_world_linux.now() < until;)
		;
}

static struct crowd *crowd_new(struct bench *b)
{
	struct crowd *c = calloc(1, sizeof(*c));

	if (!c)
		bench_skip(b, "no memory");
	bench_share(b, c);
	return c;
}

static void mutex_open(struct bench *b)
{
	struct crowd *c = crowd_new(b);

	if (c)
		mutex_pool_init(&c->mutex, (unsigned)b->arg[0]);
}

static void mutex_close(struct bench *b)
{
	struct crowd *c = bench_shared(b);

	if (c)
		mutex_pool_fini(&c->mutex);
	free(c);
}

static void pool_open(struct bench *b)
{
	struct crowd *c = crowd_new(b);

	if (c && !(c->fake = fake_pool_open((unsigned)b->arg[0])))
		bench_skip(b, "no pool");
}

static void pool_close(struct bench *b)
{
	struct crowd *c = bench_shared(b);

	if (c)
		fake_pool_close(c->fake);
	free(c);
}

static uint64_t mutex_slice(struct crowd *c, int64_t hold_ns, int64_t until_ns)
{
	uint64_t n = 0;

	for (; wi_world_linux.now() < until_ns; n++) {
		unsigned item = mutex_pool_take(&c->mutex);

		hold(hold_ns);
		mutex_pool_put(&c->mutex, item);
	}
	return n;
}

static uint64_t pool_slice(struct crowd *c, int64_t hold_ns, int64_t until_ns)
{
	uint64_t n = 0;

	for (; wi_world_linux.now() < until_ns; n++) {
		weir_conn *conn;

		if (weir_pool_checkout(c->fake->pool, -1, &conn, NULL) != WEIR_OK)
			abort();
		hold(hold_ns);
		weir_checkin(&conn);
	}
	return n;
}

/* One iteration is one slice of time; the numbers are the counters. */
static void crowd(struct bench *b, uint64_t (*slice)(struct crowd *, int64_t, int64_t))
{
	struct crowd *c = bench_shared(b);
	uint64_t n = 0, least = UINT64_MAX, most = 0;

	while (bench_keep_running(b))
		n += slice(c, b->arg[1] * 1000, wi_world_linux.now() + SLICE_NS);
	c->done[b->thread] = n;
	bench_rate(b, "checkouts", (double)n);
	/* The last one out has everybody's count. */
	if (atomic_fetch_add(&c->running, 1) + 1 < b->threads)
		return;
	for (int i = 0; i < b->threads; i++) {
		least = c->done[i] < least ? c->done[i] : least;
		most = c->done[i] > most ? c->done[i] : most;
	}
	bench_sum(b, "luckiest/unluckiest", least ? (double)most / (double)least : (double)most);
}

static void mutex_crowd(struct bench *b)
{
	crowd(b, mutex_slice);
}

static void pool_crowd(struct bench *b)
{
	crowd(b, pool_slice);
}

void bench_cases(void)
{
	static const struct bench_case eight = {.threads = {8},
	                                        .arg_name = {"connections", "hold_us"},
	                                        .row = {{2, 0}, {2, 10}},
	                                        .rows = 2};
	static const struct bench_case many = {.threads = {32},
	                                       .arg_name = {"connections", "hold_us"},
	                                       .row = {{8, 10}},
	                                       .rows = 1};
	const struct bench_case *shapes[] = {&eight, &many};

	for (int i = 0; i < 2; i++) {
		struct bench_case c = *shapes[i];

		c.name = "baseline.mutex_pool/crowd";
		c.body = mutex_crowd;
		c.before = mutex_open;
		c.after = mutex_close;
		bench_register(&c);
		c.name = "pool/crowd";
		c.body = pool_crowd;
		c.before = pool_open;
		c.after = pool_close;
		bench_register(&c);
	}
}

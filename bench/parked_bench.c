/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: what does waiting itself cost? All connections are held for the whole slice, and 30
 * threads wait for one.
 *
 *	baseline.mutex_pool/parked   the plain twin: sleeps in pthread_cond_wait
 *	pool/parked                  weir
 *
 * Counters: `cpu` and `switches`, ns of processor time and context switches of one waiter in the
 * slice, from before it asks until it has the connection; `share` is that time over the slice.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "harness/bench.h"
#include "harness/kind.h"

#define WAITERS 30

struct parked {
	const struct bench_kind *kind;
	void *pool;
	pthread_barrier_t held;
};

static int64_t cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * WI_SEC + t.tv_nsec;
}

static int64_t switches_now(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_nvcsw + u.ru_nivcsw;
}

static void hold(struct parked *p)
{
	int64_t slice = bench_slice_ns();
	void *item = p->kind->take(p->pool, 0);

	pthread_barrier_wait(&p->held);
	nanosleep(&(struct timespec){.tv_sec = slice / WI_SEC, .tv_nsec = slice % WI_SEC}, NULL);
	p->kind->put(p->pool, item);
}

static void parked(struct bench *b)
{
	struct parked *p = bench_shared(b);
	int64_t cpu = 0, switches = 0;

	while (bench_keep_running(b)) {
		if (b->thread == 0) {
			hold(p);
			continue;
		}
		pthread_barrier_wait(&p->held);
		cpu -= cpu_now();
		switches -= switches_now();
		p->kind->put(p->pool, p->kind->take(p->pool, b->thread));
		cpu += cpu_now();
		switches += switches_now();
	}
	bench_sum(b, "cpu", (double)cpu / WAITERS);
	bench_sum(b, "switches", (double)switches / WAITERS);
	bench_sum(b, "share", (double)cpu / WAITERS / (double)bench_slice_ns());
}

static void before(struct bench *b)
{
	struct parked *p = calloc(1, sizeof(*p));

	if (!p) {
		bench_skip(b, "no memory");
		return;
	}
	p->kind = b->kind;
	p->pool = kind_open(b, b->kind, 1);
	pthread_barrier_init(&p->held, NULL, (unsigned)b->threads);
	bench_share(b, p);
}

static void after(struct bench *b)
{
	struct parked *p = bench_shared(b);

	if (!p)
		return;
	if (p->pool)
		p->kind->close(p->pool);
	pthread_barrier_destroy(&p->held);
	free(p);
}

void bench_cases(void)
{
	bench_register(&(struct bench_case){.name = "baseline.mutex_pool/parked",
	                                    .body = parked,
	                                    .before = before,
	                                    .kind = &kind_mutex,
	                                    .after = after,
	                                    .threads = {WAITERS + 1},
	                                    .iterations = 1});
	bench_register(&(struct bench_case){.name = "pool/parked",
	                                    .body = parked,
	                                    .before = before,
	                                    .kind = &kind_weir,
	                                    .after = after,
	                                    .threads = {WAITERS + 1},
	                                    .iterations = 1});
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: requests come when they come, not when the last one is done: how long does each wait
 * for a connection, counted from when it was meant to start?
 *
 *	baseline.none/arrivals         no pool at all: what the sleeping and waking of this bench adds
 *	baseline.mutex_pool/arrivals   the plain twin
 *	baseline.fair_pool/arrivals    the fair one
 *	pool/arrivals                  weir
 *
 * Arrivals are a Poisson process, the same for every kind; 32 threads serve them in turn, each
 * sleeping until the next one's time; a request that finds all threads at work starts late, and
 * that counts (no coordinated omission). 8 connections, each held for 1 ms, asleep. Matrix: offered
 * load of 50, 70 and 85 % of 8 connections that are always busy. Counters, ns: latency_... from the
 * intended start to having a connection; ideal_...: the same of an ideal queue (first come, first
 * served, no step takes time) with these arrivals and holds as long as they were in the mean.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "base/line.h"
#include "base/rng.h"
#include "cli/hist.h"
#include "harness/bench.h"
#include "harness/kind.h"

#define THREADS 32
#define CONNECTIONS 8
#define HOLD_NS INT64_C(1000000)

struct loop {
	const struct bench_kind *kind; /* NULL: no pool */
	void *pool;
	size_t arrivals;
	int64_t *at_ns; /* from the start of all */
	int64_t start_ns;
	pthread_barrier_t start;
	WI_ON_NEW_LINE _Atomic size_t next;
	_Atomic int64_t held_ns;
	_Atomic int left;
	struct cli_hist latency[THREADS];
};

/* ---- arrivals and what would be ideal ---- */

static bool plan(struct loop *l, double per_ns)
{
	int64_t slice = bench_slice_ns();
	size_t room = (size_t)((double)slice * per_ns * 2) + 1000;
	struct wi_rng rng;
	double at = 0;

	wi_rng_seed(&rng, 1);
	l->at_ns = calloc(room, sizeof(*l->at_ns));
	if (!l->at_ns)
		return false;
	while (l->arrivals < room) {
		double u = (double)(wi_rng_next(&rng) >> 11) * 0x1p-53;

		at -= log(1 - u) / per_ns;
		if (at >= (double)slice)
			break;
		l->at_ns[l->arrivals++] = (int64_t)at;
	}
	return true;
}

static void tell_ideal(struct bench *b, const struct loop *l)
{
	static struct cli_hist hist;
	int64_t hold = atomic_load(&l->held_ns) / (int64_t)l->arrivals;
	int64_t free_at[CONNECTIONS] = {0};

	hist = (struct cli_hist){0};
	for (size_t i = 0; i < l->arrivals; i++) {
		int first = 0;
		int64_t begin;

		for (int k = 1; k < CONNECTIONS; k++)
			if (free_at[k] < free_at[first])
				first = k;
		begin = free_at[first] > l->at_ns[i] ? free_at[first] : l->at_ns[i];
		free_at[first] = begin + hold;
		cli_hist_add(&hist, begin - l->at_ns[i]);
	}
	bench_sum(b, "hold", (double)hold);
	bench_durations(b, "ideal", &hist);
}

/* ---- the loop ---- */

static void serve(struct loop *l, int thread, int64_t meant_ns)
{
	struct timespec until = {.tv_sec = meant_ns / WI_SEC, .tv_nsec = meant_ns % WI_SEC};
	void *item = NULL;
	int64_t got;

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	if (l->kind)
		item = l->kind->take(l->pool, thread);
	got = wi_now_ns();
	cli_hist_add(&l->latency[thread], got - meant_ns);
	nanosleep(&(struct timespec){.tv_nsec = HOLD_NS}, NULL);
	atomic_fetch_add(&l->held_ns, wi_now_ns() - got);
	if (l->kind)
		l->kind->put(l->pool, item);
}

static void arrivals(struct bench *b)
{
	struct loop *l = bench_shared(b);
	size_t i;

	prctl(PR_SET_TIMERSLACK, 1UL);
	while (bench_keep_running(b)) {
		if (b->thread == 0)
			l->start_ns = wi_now_ns() + 1000000;
		pthread_barrier_wait(&l->start);
		while ((i = atomic_fetch_add(&l->next, 1)) < l->arrivals)
			serve(l, b->thread, l->start_ns + l->at_ns[i]);
	}
	if (atomic_fetch_sub(&l->left, 1) != 1)
		return;
	for (int t = 1; t < THREADS; t++)
		cli_hist_merge(&l->latency[0], &l->latency[t]);
	bench_durations(b, "latency", &l->latency[0]);
	tell_ideal(b, l);
}

static void before(struct bench *b)
{
	struct loop *l = aligned_alloc(WI_LINE, (sizeof(*l) + WI_LINE - 1) / WI_LINE * WI_LINE);

	if (!l) {
		bench_skip(b, "no memory");
		return;
	}
	*l = (struct loop){.kind = b->kind};
	atomic_store(&l->left, THREADS);
	pthread_barrier_init(&l->start, NULL, THREADS);
	bench_share(b, l);
	if (!plan(l, CONNECTIONS / (double)HOLD_NS * (double)b->arg[0] / 100))
		bench_skip(b, "no memory");
	if (b->kind)
		l->pool = kind_open(b, b->kind, CONNECTIONS);
}

static void after(struct bench *b)
{
	struct loop *l = bench_shared(b);

	if (!l)
		return;
	if (l->pool)
		l->kind->close(l->pool);
	pthread_barrier_destroy(&l->start);
	free(l->at_ns);
	free(l);
}

void bench_cases(void)
{
	static const struct {
		const char *name;
		const struct bench_kind *kind;
	} kinds[] = {{"baseline.none/arrivals", NULL},
	             {"baseline.mutex_pool/arrivals", &kind_mutex},
	             {"baseline.fair_pool/arrivals", &kind_fair},
	             {"pool/arrivals", &kind_weir}};

	for (int i = 0; i < 4; i++)
		bench_register(&(struct bench_case){.name = kinds[i].name,
		                                    .body = arrivals,
		                                    .before = before,
		                                    .kind = kinds[i].kind,
		                                    .after = after,
		                                    .threads = {THREADS},
		                                    .arg_name = {"load"},
		                                    .row = {{50}, {70}, {85}},
		                                    .rows = 3,
		                                    .iterations = 1});
}

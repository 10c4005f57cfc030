/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: 50 threads want a connection at the same moment: how long until the last has been
 * served, and how many connections does it take?
 *
 *	baseline.mutex_pool/spike   the plain twin, 8 connections
 *	baseline.fair_pool/spike    the fair one
 *	pool/spike                  weir, 8 connections
 *	pool/growing_spike          weir with 5 connections that may become 50 and take 150 ms to open: the
 *	                            spike is over before a sixth could help
 *
 * Each thread holds its connection for 2 ms, asleep. Spikes follow each other for a slice of time;
 * the growing pool is new for each. Counters: `spike`, ns from the moment to the last one's
 * checkin, the mean over the spikes; `ideal`, rounds of as many as there are connections, with the
 * holds as they were; `opened`, connections that there were in the end; the waits.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "base/line.h"
#include "cli/hist.h"
#include "harness/bench.h"
#include "harness/fake_pool.h"
#include "harness/kind.h"

#define THREADS 50
#define CONNECTIONS 8
#define FEW 5
#define HOLD_NS INT64_C(2000000)
#define CONNECT_NS INT64_C(150000000)

struct spike {
	const struct bench_kind *kind;
	void *pool;
	unsigned connections;
	bool growing;
	pthread_barrier_t moment;
	_Atomic bool over;
	int64_t begun_ns, ends_ns;
	_Atomic int64_t last_ns;
	_Atomic int64_t held_ns;
	int64_t all_ns; /* thread 0: of all spikes */
	int spikes;
	struct cli_hist wait[THREADS];
};

static void one(struct bench *b, struct spike *s)
{
	int64_t asked = wi_now_ns(), got, end, last;
	void *item = s->kind->take(s->pool, b->thread);

	got = wi_now_ns();
	nanosleep(&(struct timespec){.tv_nsec = HOLD_NS}, NULL);
	atomic_fetch_add(&s->held_ns, wi_now_ns() - got);
	s->kind->put(s->pool, item);
	end = wi_now_ns();
	last = atomic_load(&s->last_ns);
	while (last < end && !atomic_compare_exchange_weak(&s->last_ns, &last, end))
		;
	cli_hist_add(&s->wait[b->thread], got - asked);
}

static void tell(struct bench *b, struct spike *s)
{
	double hold = (double)atomic_load(&s->held_ns) / s->spikes / THREADS;

	for (int i = 1; i < THREADS; i++)
		cli_hist_merge(&s->wait[0], &s->wait[i]);
	bench_sum(b, "spike", (double)s->all_ns / s->spikes);
	bench_sum(b, "ideal", hold * ((THREADS + s->connections - 1) / s->connections));
	bench_durations(b, "wait", &s->wait[0]);
	if (s->kind == &kind_weir) {
		weir_pool_stats stats;

		weir_pool_stats_get(((struct fake_pool *)s->pool)->pool, &stats);
		bench_sum(b, "opened", (double)stats.total);
	}
}

static void spike(struct bench *b)
{
	struct spike *s = bench_shared(b);

	prctl(PR_SET_TIMERSLACK, 1UL);
	while (bench_keep_running(b)) {
		do {
			if (b->thread == 0)
				s->begun_ns = wi_now_ns();
			pthread_barrier_wait(&s->moment);
			one(b, s);
			pthread_barrier_wait(&s->moment);
			if (b->thread == 0) {
				s->all_ns += atomic_load(&s->last_ns) - s->begun_ns;
				s->spikes++;
				s->over = s->growing || wi_now_ns() >= s->ends_ns;
			}
			pthread_barrier_wait(&s->moment);
		} while (!s->over);
	}
	if (b->thread == 0)
		tell(b, s);
}

static struct spike *spike_new(struct bench *b)
{
	struct spike *s = calloc(1, sizeof(*s));

	if (!s) {
		bench_skip(b, "no memory");
		return NULL;
	}
	s->kind = b->kind;
	s->connections = CONNECTIONS;
	s->ends_ns = wi_now_ns() + bench_slice_ns();
	pthread_barrier_init(&s->moment, NULL, THREADS);
	bench_share(b, s);
	return s;
}

static void before(struct bench *b)
{
	struct spike *s = spike_new(b);

	if (s)
		s->pool = kind_open(b, b->kind, s->connections);
}

static void after(struct bench *b)
{
	struct spike *s = bench_shared(b);

	if (!s)
		return;
	if (s->pool)
		s->kind->close(s->pool);
	pthread_barrier_destroy(&s->moment);
	free(s);
}

static void growing_before(struct bench *b)
{
	struct spike *s = spike_new(b);
	struct fake_pool *f;

	if (!s)
		return;
	s->growing = true;
	s->connections = FEW;
	s->pool = f = fake_pool_open_from(FEW, THREADS);
	if (!f)
		bench_skip(b, "the pool cannot be opened");
	else
		atomic_store(&f->server.connect_ns, CONNECT_NS);
}

void bench_cases(void)
{
	static const struct {
		const char *name;
		void (*before)(struct bench *b);
		const struct bench_kind *kind;
	} kinds[] = {{"baseline.mutex_pool/spike", before, &kind_mutex},
	             {"baseline.fair_pool/spike", before, &kind_fair},
	             {"pool/spike", before, &kind_weir},
	             {"pool/growing_spike", growing_before, &kind_weir}};

	for (int i = 0; i < 4; i++)
		bench_register(&(struct bench_case){.name = kinds[i].name,
		                                    .body = spike,
		                                    .before = kinds[i].before,
		                                    .kind = kinds[i].kind,
		                                    .after = after,
		                                    .threads = {THREADS},
		                                    .iterations = 1});
}

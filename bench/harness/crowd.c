/* SPDX-License-Identifier: BSD-2-Clause */
/* Crowds; crowd.h says what is measured. */
#include "harness/crowd.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/line.h"
#include "base/rng.h"
#include "cli/hist.h"

#define QUEUE_MAX 64     /* threads that an ideal queue is computed for */
#define SIMULATED 200000 /* checkouts of it */
#define SAMPLE 16        /* one in so many waits is measured where there is no work between two */

struct member {
	WI_ON_NEW_LINE uint64_t done;
	int64_t cpu_ns, switches, held_ns;
	struct cli_hist wait, hold, op;
};

struct crowd {
	const struct bench_kind *kind;
	void *pool;
	struct crowd_shape shape;
	int threads;
	pthread_barrier_t start;
	pthread_t timer;
	int64_t took_ns; /* from the start of all to the stop */
	WI_ON_NEW_LINE _Atomic bool stop;
	WI_ON_NEW_LINE _Atomic int left; /* threads that are not done yet */
	struct member member[];
};

/* ---- a slice of time ---- */

static void *stop_in_time(void *arg)
{
	struct crowd *c = arg;
	int64_t slice = bench_slice_ns(), begun;

	pthread_barrier_wait(&c->start);
	begun = wi_now_ns();
	nanosleep(&(struct timespec){.tv_sec = slice / WI_SEC, .tv_nsec = slice % WI_SEC}, NULL);
	atomic_store(&c->stop, true);
	c->took_ns = wi_now_ns() - begun;
	return NULL;
}

void crowd_before(struct bench *b, const struct bench_kind *kind, struct crowd_shape shape)
{
	size_t bytes = sizeof(struct crowd) + (size_t)b->threads * sizeof(struct member);
	struct crowd *c = aligned_alloc(WI_LINE, (bytes + WI_LINE - 1) / WI_LINE * WI_LINE);
	void *pool = kind_open(b, kind, shape.connections);

	if (!pool || !c) {
		bench_skip(b, "the pool cannot be opened");
		free(c);
		return;
	}
	*c = (struct crowd){.kind = kind, .pool = pool, .shape = shape, .threads = b->threads};
	for (int i = 0; i < b->threads; i++)
		c->member[i] = (struct member){0};
	atomic_store(&c->left, b->threads);
	pthread_barrier_init(&c->start, NULL, (unsigned)b->threads + 1);
	if (pthread_create(&c->timer, NULL, stop_in_time, c))
		abort();
	bench_share(b, c);
}

void crowd_after(struct bench *b)
{
	struct crowd *c = bench_shared(b);

	if (!c)
		return;
	c->kind->close(c->pool);
	pthread_barrier_destroy(&c->start);
	free(c);
}

/* ---- one thread ---- */

/* Until `hold` has passed; returns how long it was. */
static int64_t hold(const struct crowd_shape *shape, int64_t from)
{
	struct timespec t = {.tv_sec = shape->hold_ns / WI_SEC, .tv_nsec = shape->hold_ns % WI_SEC};
	int64_t now;

	if (shape->away)
		nanosleep(&t, NULL);
	do
		now = wi_now_ns();
	while (now - from < shape->hold_ns);
	return now - from;
}

/* Work between two checkouts is long enough for a look at the clock on either side. */
static void work_slice(struct crowd *c, struct member *m, int thread)
{
	while (!atomic_load_explicit(&c->stop, memory_order_relaxed)) {
		int64_t asked = wi_now_ns(), got;
		void *item = c->kind->take(c->pool, thread);

		got = wi_now_ns();
		if (c->shape.work) {
			c->shape.work(item);
		} else {
			int64_t held = hold(&c->shape, got);

			m->held_ns += held;
			cli_hist_add(&m->hold, held);
		}
		c->kind->put(c->pool, item);
		cli_hist_add(&m->wait, got - asked);
		if (c->shape.work)
			cli_hist_add(&m->op, wi_now_ns() - asked);
		m->done++;
	}
}

static void bare_slice(struct crowd *c, struct member *m, int thread)
{
	while (!atomic_load_explicit(&c->stop, memory_order_relaxed)) {
		bool timed = m->done++ % SAMPLE == 0;
		int64_t asked = timed ? wi_now_ns() : 0;
		void *item = c->kind->take(c->pool, thread);

		if (timed)
			cli_hist_add(&m->wait, wi_now_ns() - asked);
		c->kind->put(c->pool, item);
	}
}

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

/* ---- what came of it ---- */

static void tell_shares(struct bench *b, const struct crowd *c)
{
	double sum = 0, squares = 0, least = (double)c->member[0].done, most = least;

	for (int i = 0; i < c->threads; i++) {
		double n = (double)c->member[i].done;

		sum += n;
		squares += n * n;
		least = n < least ? n : least;
		most = n > most ? n : most;
	}
	bench_sum(b, "checkouts", sum * WI_SEC / (double)c->took_ns);
	bench_sum(b, "luck", least > 0 ? most / least : most);
	bench_sum(b, "jain", squares > 0 ? sum * sum / (c->threads * squares) : 0);
}

static void tell_costs(struct bench *b, const struct crowd *c)
{
	double cpu = 0, switches = 0, done = 0;

	for (int i = 0; i < c->threads; i++) {
		cpu += (double)c->member[i].cpu_ns;
		switches += (double)c->member[i].switches;
		done += (double)c->member[i].done;
	}
	if (done == 0)
		return;
	bench_sum(b, "switches", switches / done);
	/* A burning hold ends by the clock of the wall, so preempted ones burn less than they last.
	 */
	if (!c->shape.work && !c->shape.away)
		bench_sum(b, "cpu", cpu / done - (double)c->shape.hold_ns);
	else
		bench_sum(b, "cpu", cpu / done);
}

static void tell_ideal(struct bench *b, const struct crowd *c)
{
	double servers = c->shape.connections, held = 0, done = 0, h = (double)c->shape.hold_ns;
	double cores = (double)sysconf(_SC_NPROCESSORS_ONLN), n = c->threads;

	if (c->shape.work || c->shape.hold_ns == 0)
		return;
	for (int i = 0; i < c->threads; i++) {
		held += (double)c->member[i].held_ns;
		done += (double)c->member[i].done;
	}
	if (c->shape.away && done > 0)
		h = held / done;
	if (!c->shape.away && cores < servers)
		servers = cores;
	if (n < servers)
		servers = n;
	bench_sum(b, "hold", done > 0 ? held / done : 0);
	bench_sum(b, "ideal_checkouts", servers / h * WI_SEC);
	bench_sum(b, "ideal_wait", (n - servers) / servers * h);
}

/* ---- an ideal queue with the holds as they were ---- */

/* Draws holds from a histogram. */
struct draw {
	struct wi_rng rng;
	uint64_t total;
	uint64_t upto[CLI_HIST_BUCKETS]; /* how many are in this bucket and below */
};

static void draw_init(struct draw *d, const struct cli_hist *hist)
{
	wi_rng_seed(&d->rng, 1);
	d->total = 0;
	for (size_t i = 0; i < CLI_HIST_BUCKETS; i++)
		d->upto[i] = d->total += hist->bucket[i];
}

static int64_t draw(struct draw *d)
{
	uint64_t which = wi_rng_next(&d->rng) % d->total;
	size_t low = 0, high = CLI_HIST_BUCKETS - 1;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (d->upto[middle] > which)
			high = middle;
		else
			low = middle + 1;
	}
	return (int64_t)cli_hist_top(low);
}

static int earliest(const int64_t *free_at, int servers)
{
	int first = 0;

	for (int k = 1; k < servers; k++)
		if (free_at[k] < free_at[first])
			first = k;
	return first;
}

/*
 * All threads always want one: who ends a hold joins the tail at that moment, and the head begins.
 */
static void simulate(struct draw *d, int threads, int servers, struct cli_hist *wait)
{
	int64_t since[QUEUE_MAX] = {0}, free_at[QUEUE_MAX];
	int head = 0, waiting = threads - servers;

	for (int k = 0; k < servers; k++)
		free_at[k] = draw(d);
	for (int i = 0; i < SIMULATED; i++) {
		int k = earliest(free_at, servers);
		int64_t now = free_at[k];

		since[(head + waiting) % QUEUE_MAX] = now;
		if (i > SIMULATED / 10) /* past the start, where all came at once */
			cli_hist_add(wait, now - since[head]);
		head = (head + 1) % QUEUE_MAX;
		free_at[k] = now + draw(d);
	}
}

static void tell_queue(struct bench *b, const struct crowd *c)
{
	static struct cli_hist wait;
	static struct draw d;
	int servers = (int)c->shape.connections;

	if (c->member[0].hold.count == 0 || c->threads >= QUEUE_MAX || servers >= c->threads)
		return;
	wait = (struct cli_hist){0};
	draw_init(&d, &c->member[0].hold);
	simulate(&d, c->threads, servers, &wait);
	bench_durations(b, "queue", &wait);
}

static void tell(struct bench *b, struct crowd *c)
{
	for (int i = 1; i < c->threads; i++) {
		cli_hist_merge(&c->member[0].wait, &c->member[i].wait);
		cli_hist_merge(&c->member[0].hold, &c->member[i].hold);
		cli_hist_merge(&c->member[0].op, &c->member[i].op);
	}
	tell_shares(b, c);
	tell_costs(b, c);
	tell_ideal(b, c);
	tell_queue(b, c);
	bench_durations(b, "wait", &c->member[0].wait);
	bench_durations(b, "op", &c->member[0].op);
}

void crowd_body(struct bench *b)
{
	struct crowd *c = bench_shared(b);
	struct member *m = &c->member[b->thread];

	prctl(PR_SET_TIMERSLACK, 1UL); /* a hold that sleeps ends in time */
	while (bench_keep_running(b)) {
		pthread_barrier_wait(&c->start);
		m->cpu_ns = -cpu_now();
		m->switches = -switches_now();
		if (c->shape.work || c->shape.hold_ns)
			work_slice(c, m, b->thread);
		else
			bare_slice(c, m, b->thread);
		m->cpu_ns += cpu_now();
		m->switches += switches_now();
	}
	if (atomic_fetch_sub(&c->left, 1) != 1)
		return;
	pthread_join(c->timer, NULL);
	tell(b, c);
}

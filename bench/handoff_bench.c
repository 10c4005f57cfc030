/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: a connection comes back while somebody sleeps for want of it: how long until the
 * sleeper runs with it, over the least that the kernel needs to wake a thread?
 *
 *	baseline.futex/handoff        the floor: FUTEX_WAKE until the return of FUTEX_WAIT
 *	baseline.mutex_pool/handoff   the plain twin
 *	pool/handoff                  weir: weir_checkin until the return of weir_pool_checkout
 *
 * Matrix: the sleeper has slept for 100 us (weir tells it to look) and for 1 ms (weir hands it the
 * connection). Two threads and one connection. The giver first waits until the sleeper's thread has
 * left the processor, which the kernel says (the count of its switches). A slice of time each;
 * `handoff_...` is in ns. Divide by the floor of the same run with the same sleep.
 */
#include <linux/futex.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/line.h"
#include "cli/hist.h"
#include "harness/bench.h"
#include "harness/kind.h"

struct handoff {
	const struct bench_kind *kind;
	void *pool;
	/* the round that the sleeper may begin; 0: none yet */
	WI_ON_NEW_LINE _Atomic uint32_t round;
	WI_ON_NEW_LINE _Atomic uint32_t done; /* the last round that it has ended */
	WI_ON_NEW_LINE _Atomic int64_t given_ns;
	_Atomic bool over;
	struct cli_hist hist;
};

/* ---- the floor as a kind of pool: one word to sleep on ---- */

static void *futex_open(unsigned connections)
{
	(void)connections;
	return calloc(1, sizeof(_Atomic uint32_t)); /* 0: it is out, as the giver has it */
}

static void *futex_take(void *pool, int thread)
{
	_Atomic uint32_t *word = pool;

	if (thread == 1)
		while (!atomic_load(word))
			syscall(SYS_futex, word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0);
	atomic_store(word, 0);
	return word;
}

static void futex_put(void *pool, void *item)
{
	_Atomic uint32_t *word = item;

	(void)pool;
	atomic_store(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
}

static const struct bench_kind kind_futex = {
	.name = "baseline.futex",
	.open = futex_open,
	.close = free,
	.take = futex_take,
	.put = futex_put,
};

/* ---- rounds ---- */

static long slept(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_nvcsw;
}

static void spin_until(int64_t ns)
{
	while (wi_now_ns() < ns)
		;
}

static void await(_Atomic uint32_t *word, uint32_t value)
{
	for (int i = 0; atomic_load_explicit(word, memory_order_acquire) != value; i++)
		if (i >= 1000)
			sched_yield(); /* the other may need this processor */
}

/* Has the one connection, lets the sleeper ask for it, and gives it back once that one sleeps. */
static void give(struct handoff *h, int64_t sleep_ns)
{
	int64_t end = wi_now_ns() + bench_slice_ns();
	uint32_t round = 0;

	do {
		void *item = h->kind->take(h->pool, 0);

		atomic_store(&h->round, ++round);
		spin_until(wi_now_ns() + sleep_ns);
		atomic_store(&h->given_ns, wi_now_ns());
		h->kind->put(h->pool, item);
		await(&h->done, round);
	} while (wi_now_ns() < end);
	atomic_store(&h->over, true);
	atomic_store(&h->round, round + 1);
}

static void get(struct handoff *h)
{
	for (uint32_t round = 1;; round++) {
		long before;
		int64_t got;
		void *item;

		await(&h->round, round);
		if (atomic_load(&h->over))
			return;
		before = slept();
		item = h->kind->take(h->pool, 1);
		got = wi_now_ns();
		if (slept() != before) /* else it was given before it slept: not what is asked */
			cli_hist_add(&h->hist, got - atomic_load(&h->given_ns));
		h->kind->put(h->pool, item);
		atomic_store_explicit(&h->done, round, memory_order_release);
	}
}

static void handoff(struct bench *b)
{
	struct handoff *h = bench_shared(b);

	while (bench_keep_running(b)) {
		if (b->thread == 0)
			give(h, b->arg[0] * 1000);
		else
			get(h);
	}
	if (b->thread == 1)
		bench_durations(b, "handoff", &h->hist);
}

static void before(struct bench *b)
{
	struct handoff *h = aligned_alloc(WI_LINE, (sizeof(*h) + WI_LINE - 1) / WI_LINE * WI_LINE);

	if (!h) {
		bench_skip(b, "no memory");
		return;
	}
	*h = (struct handoff){.kind = b->kind, .pool = kind_open(b, b->kind, 1)};
	bench_share(b, h);
}

static void after(struct bench *b)
{
	struct handoff *h = bench_shared(b);

	if (h && h->pool)
		h->kind->close(h->pool);
	free(h);
}

void bench_cases(void)
{
	static const struct {
		const char *name;
		const struct bench_kind *kind;
	} kinds[] = {{"baseline.futex/handoff", &kind_futex},
	             {"baseline.mutex_pool/handoff", &kind_mutex},
	             {"pool/handoff", &kind_weir}};

	for (int i = 0; i < 3; i++)
		bench_register(&(struct bench_case){.name = kinds[i].name,
		                                    .body = handoff,
		                                    .before = before,
		                                    .kind = kinds[i].kind,
		                                    .after = after,
		                                    .threads = {2},
		                                    .arg_name = {"slept_us"},
		                                    .row = {{100}, {1000}},
		                                    .rows = 2,
		                                    .iterations = 1});
}

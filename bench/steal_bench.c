/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: what does it cost to get a slot that another thread keeps in its cache, and that thread
 * when it comes back?
 *
 *	core/own      take and put of one seat, which finds its own slot again: nobody steals
 *	core/steal    one seat takes what the other has put: each take is a theft
 *	baseline.mutex_pool/pair, baseline.malloc/64   to divide by
 *
 * The thief and the owner are two seats of one thread, so that nothing but the protocol is
 * measured; `busy` other threads run beside it, which a heavy fence has to reach. And with two
 * threads that take turns, each of which finds the one slot in the other's cache:
 *
 *	baseline.line/turns         the floor: the turn goes from thread to thread, nothing else
 *	baseline.mutex_pool/turns   a take and a put of the plain twin in each turn
 *	pool/turns                  a checkout and a checkin of weir's pool in each turn
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/line.h"
#include "core/core.h"
#include "core/desk.h"
#include "harness/bench.h"
#include "harness/kind.h"
#include "harness/mutex_pool.h"

#define BUSY_MAX 3

static void malloc_pair(struct bench *b)
{
	while (bench_keep_running(b)) {
		void *p = malloc(64);

		bench_keep(p);
		free(p);
	}
}

static void mutex_pair(struct bench *b)
{
	struct mutex_pool p;

	mutex_pool_init(&p, 1);
	while (bench_keep_running(b)) {
		unsigned item = mutex_pool_take(&p);

		bench_keep(item);
		mutex_pool_put(&p, item);
	}
	mutex_pool_fini(&p);
}

/* ---- two seats of one thread ---- */

struct theft {
	struct wi_core core;
	struct wi_slot slots[2];
	struct wi_seat *owner, *thief;
	pthread_t busy[BUSY_MAX];
	WI_ON_NEW_LINE _Atomic bool over;
};

static void *be_busy(void *arg)
{
	struct theft *t = arg;

	while (!atomic_load_explicit(&t->over, memory_order_relaxed))
		;
	return NULL;
}

static void theft_open(struct bench *b)
{
	struct theft *t = aligned_alloc(WI_LINE, (sizeof(*t) + WI_LINE - 1) / WI_LINE * WI_LINE);
	struct wi_table table;

	if (!t) {
		bench_skip(b, "no memory");
		return;
	}
	*t = (struct theft){0};
	table = (struct wi_table){(char *)t->slots, sizeof(struct wi_slot), 1};
	if (!wi_core_init(&t->core, table, &wi_world_linux) ||
	    !(t->owner = wi_desk_seat(&t->core)) || !(t->thief = wi_seats_take(&t->core.seats))) {
		bench_skip(b, "no core");
		free(t);
		return;
	}
	wi_core_put(&t->core, t->owner, 1);
	for (int64_t i = 0; i < b->arg[0]; i++)
		if (pthread_create(&t->busy[i], NULL, be_busy, t))
			abort();
	bench_share(b, t);
}

static void theft_close(struct bench *b)
{
	struct theft *t = bench_shared(b);

	if (!t)
		return;
	atomic_store(&t->over, true);
	for (int64_t i = 0; i < b->arg[0]; i++)
		pthread_join(t->busy[i], NULL);
	wi_core_fini(&t->core);
	free(t);
}

static void own(struct bench *b)
{
	struct theft *t = bench_shared(b);

	while (bench_keep_running(b))
		wi_core_put(&t->core, t->owner, wi_core_take(&t->core, t->owner));
}

static void steal(struct bench *b)
{
	struct theft *t = bench_shared(b);

	while (bench_keep_running(b))
		wi_core_put(&t->core, t->owner, wi_core_take(&t->core, t->thief));
}

/* ---- two threads in turns ---- */

struct turns {
	const struct bench_kind *kind; /* NULL: the floor */
	void *pool;
	WI_ON_NEW_LINE _Atomic int turn; /* the thread whose turn it is */
};

static void take_turns(struct bench *b)
{
	struct turns *t = bench_shared(b);

	while (bench_keep_running(b)) {
		/* The other needs a processor for its turn, which others may have. */
		for (int i = 0; atomic_load_explicit(&t->turn, memory_order_acquire) != b->thread;
		     i++)
			if (i >= 1000)
				sched_yield();
		if (t->kind)
			t->kind->put(t->pool, t->kind->take(t->pool, b->thread));
		atomic_store_explicit(&t->turn, 1 - b->thread, memory_order_release);
	}
}

static void turns_open(struct bench *b, const struct bench_kind *kind)
{
	struct turns *t = aligned_alloc(WI_LINE, sizeof(*t));

	if (!t) {
		bench_skip(b, "no memory");
		return;
	}
	*t = (struct turns){.kind = kind};
	if (kind)
		t->pool = kind_open(b, kind, 1);
	bench_share(b, t);
}

static void turns_close(struct bench *b)
{
	struct turns *t = bench_shared(b);

	if (t && t->pool)
		t->kind->close(t->pool);
	free(t);
}

static void line_open(struct bench *b)
{
	turns_open(b, NULL);
}

static void mutex_open(struct bench *b)
{
	turns_open(b, &kind_mutex);
}

static void weir_open(struct bench *b)
{
	turns_open(b, &kind_weir);
}

static void register_theft(const char *name, void (*body)(struct bench *b))
{
	bench_register(&(struct bench_case){.name = name,
	                                    .body = body,
	                                    .before = theft_open,
	                                    .after = theft_close,
	                                    .arg_name = {"busy"},
	                                    .row = {{0}, {BUSY_MAX}},
	                                    .rows = 2});
}

static void register_turns(const char *name, void (*before)(struct bench *b))
{
	bench_register(&(struct bench_case){.name = name,
	                                    .body = take_turns,
	                                    .before = before,
	                                    .after = turns_close,
	                                    .threads = {2}});
}

void bench_cases(void)
{
	bench_register(&(struct bench_case){.name = "baseline.malloc/64", .body = malloc_pair});
	bench_register(
		&(struct bench_case){.name = "baseline.mutex_pool/pair", .body = mutex_pair});
	register_theft("core/own", own);
	register_theft("core/steal", steal);
	register_turns("baseline.line/turns", line_open);
	register_turns("baseline.mutex_pool/turns", mutex_open);
	register_turns("pool/turns", weir_open);
}

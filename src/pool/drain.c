/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is still out when a close has waited long enough. The closer asks, and the keeper tells, as
 * only it knows since when they are out; it is asked while the closer still owns the pool, and the
 * closer waits for it, so that the events come before the close returns.
 *
 * Orderings. [drain:R1] in step and in the job's end, [drain:A1] in report: the events have been
 * told.
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/pool.h"
#include "pool/tend.h"

/* The keeper never blocks, but an event sink may. */
#define PATIENCE_NS WI_SEC

enum { NOT_ASKED = 0, ASKED = 1, TOLD = 2 };

static void answered(struct weir_pool *pool)
{
	/* [drain:R1] what was told is told; pairs with A1. */
	wi_store_rel(&pool->report, TOLD);
	pool->core.world->wake(&pool->report);
}

/* The keeper ends: everything is back after all. */
static void wind_up(struct wi_job *job)
{
	answered(WI_CONTAINER_OF(job, struct weir_pool, job));
}

void wi_drain_begin(struct weir_pool *pool, int64_t now_ns)
{
	if (pool->draining)
		return;
	pool->draining = true;
	pool->job.wind_up = wind_up;
	/* From here on nothing is lent: what has been since the last look, was about now. */
	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];
		uint64_t lend = wi_load_rlx(&c->slot.lend);

		if (c->life == WI_READY && lend != wi_load_rlx(&c->seen_lend))
			wi_conn_seen(c, lend, now_ns);
	}
}

static void tell(struct weir_conn *c, uint64_t lend, int64_t now_ns)
{
	char words[WEIR_ERROR_TEXT];
	struct wi_text t;

	wi_text_init(&t, words, sizeof(words));
	wi_text_add(&t, "still out when the close's time was over: held for %lld ms by ",
	            (long long)((now_ns - wi_load_rlx(&c->seen_ns)) / WI_MS));
	wi_leak_say_holder(&t, c, lend);
	wi_held_say_stack(&t, c, lend);
	wi_pool_tell(c->pool, WEIR_EVENT_STILL_OUT, "%s", words);
}

void wi_drain_step(struct weir_pool *pool, int64_t now_ns)
{
	if (wi_load_rlx(&pool->report) != ASKED) /* the ring is the ordering */
		return;
	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];
		uint64_t lend = wi_load_rlx(&c->slot.lend);

		if (lend & 1)
			tell(c, lend, now_ns);
	}
	answered(pool);
}

void wi_drain_report(struct weir_pool *pool)
{
	const struct wi_world *world = pool->core.world;
	int64_t until_ns = world->now() + PATIENCE_NS;
	uint32_t none = NOT_ASKED;

	if (!wi_cas_rlx(&pool->report, &none, ASKED))
		return;
	wi_keeper_ring(pool->keeper);
	/* [drain:A1] the events have been told; pairs with R1. */
	while (wi_load_acq(&pool->report) == ASKED && world->now() < until_ns)
		world->park(&pool->report, ASKED, until_ns);
}

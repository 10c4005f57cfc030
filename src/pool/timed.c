/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. Nobody reads a clock on the warm path, so only some lendings are timed. Now and then the
 * keeper leaves a note on a few slots, one after the other. The note sends the next checkout off
 * the warm path, where it reads the clock; the checkin finds the note still there, reads the clock
 * again, and takes the note away. One that was noted while it was out is not timed half: its next
 * lending is, as nothing was stamped for this one.
 *
 * What a sample stands for. Each thread goes on using its own slot, so some slots are lent a
 * thousand times as often as others, and slots are asked one as often as the other. So each sample
 * counts for all lendings of its slot since the last one that was timed there: a histogram's count
 * is that of lendings, not of samples.
 *
 * Bias. Of one slot the lending after the one that was under way is timed: had that itself been
 * taken, longer ones would be met more often, as the waiting time paradox has it (W. Feller, An
 * Introduction to Probability Theory and Its Applications, volume 2, I.4). Where lendings of a slot
 * do not depend on the one before, nothing is left of that. Where they do (a long one always after
 * a short one), the lendings that follow a long one are met more often than they should be. One
 * that never comes back is in no histogram: leak.c tells of it, and held.c lists it.
 */
#include "pool/timed.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "pool/pool.h"
#include "pool/tend.h"

#define ASK_MS 1000       /* about every so often */
#define SLOTS_AN_ASKING 8 /* one in so many of the slots that are ready, and at least one */

/* Half an interval to one and a half: a program that does all in a rhythm is met at any beat. */
static int64_t next_ns(struct weir_pool *pool, int64_t now_ns)
{
	return now_ns + (ASK_MS / 2 + (int64_t)wi_rng_below(&pool->rng, ASK_MS)) * WI_MS;
}

void wi_timed_ask(struct weir_pool *pool, int64_t now_ns)
{
	uint32_t wanted = 1 + pool->census.n[WI_READY] / SLOTS_AN_ASKING;

	if (now_ns < pool->next_timed_ns)
		return;
	if (!pool->next_timed_ns)
		wanted = 0; /* the first ones are opened just now */
	pool->next_timed_ns = next_ns(pool, now_ns);
	for (uint32_t i = 0; wanted && i < pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[1 + pool->next_timed++ % pool->n_conns];

		if (c->life != WI_READY || c->in_hand)
			continue;
		wi_conn_note(c, WI_NOTE_TIMED);
		wanted--;
	}
}

void wi_timed_begin(struct weir_conn *c)
{
	c->timed_lend = wi_load_rlx(&c->slot.lend);
	c->timed_ns = c->pool->core.world->now();
}

void wi_timed_end(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	uint64_t lend = wi_load_rlx(&c->slot.lend), lent = lend >> 1;

	/*
	 * Noted while it was out. What is stamped may be of a lending that never came back this
	 * way: refused after all, or a dead thread's.
	 */
	if (c->timed_lend != lend - 1)
		return;
	wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_TIMED);
	wi_hist_add_many(&pool->hold_hist, pool->core.world->now() - c->timed_ns,
	                 lent - c->timed_lent);
	wi_add_rlx(&pool->hold_samples, 1);
	c->timed_lent = lent;
}

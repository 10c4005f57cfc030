/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long connections live, and their end: spread, one after the other, and each replaced before
 * it goes.
 *
 * Connections that were opened together would end together. So each draws its end at random, within
 * the last part of the longest lifetime that the jitter says, a few times, and takes the draw that
 * is furthest from the ends of the others. And however it came about that many have expired, they
 * are retired no faster than the jitter would have spread them; twice as fast, to catch up.
 */
#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "pool/size.h"
#include "pool/tend.h"

#define DRAWS 8
/* Above this the draws are as good as spread, and looking through all would cost the keeper. */
#define SPREAD_MOST 1024

static int64_t jitter_ns(const weir_options *o)
{
	return o->max_lifetime_ms * WI_MS / 100 * o->lifetime_jitter_pct;
}

static int64_t distance_to_others(const struct weir_pool *pool, int64_t at_ns)
{
	int64_t nearest = INT64_MAX;

	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		const struct weir_conn *c = &pool->conns[i];
		int64_t d = c->expires_ns > at_ns ? c->expires_ns - at_ns : at_ns - c->expires_ns;

		if (c->life != WI_EMPTY && c->life != WI_CLOSING && d < nearest)
			nearest = d;
	}
	return nearest;
}

int64_t wi_lifetime_end(struct weir_pool *pool, int64_t now_ns)
{
	const weir_options *o = &pool->options;
	int64_t latest_ns = now_ns + o->max_lifetime_ms * WI_MS, jitter = jitter_ns(o);
	int64_t best_ns = latest_ns, furthest = -1;

	if (!o->max_lifetime_ms)
		return WI_FOREVER;
	for (int i = 0; jitter > 0 && i < (pool->n_conns > SPREAD_MOST ? 1 : DRAWS); i++) {
		int64_t at_ns = latest_ns - (int64_t)(wi_rng_next(&pool->rng) % (uint64_t)jitter);
		int64_t d = distance_to_others(pool, at_ns);

		if (d <= furthest)
			continue;
		furthest = d;
		best_ns = at_ns;
	}
	return best_ns;
}

/* What is noted while it is out goes as soon as it is back, and is none of the minimum any more. */
uint32_t wi_pool_staying(const struct weir_pool *pool)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		const struct weir_conn *c = &pool->conns[i];

		n += c->life == WI_READY && c != pool->retiring &&
		     !(wi_load_rlx(&c->notes) & (WI_NOTE_RETIRE | WI_NOTE_DISCARD | WI_NOTE_CUT));
	}
	return n;
}

int64_t wi_lifetime_gap(const struct weir_pool *pool)
{
	const weir_options *o = &pool->options;
	int64_t spread_ns = jitter_ns(o), least_ns = o->max_lifetime_ms * WI_MS / 10;

	return (spread_ns > least_ns ? spread_ns : least_ns) / (2 * (int64_t)wi_pool_max(pool));
}

/* Whether the pool would miss the connection: then another is opened first, where there is room. */
static bool would_be_missed(const struct weir_pool *pool)
{
	uint64_t lent, returned;
	uint32_t ready = wi_pool_staying(pool);

	wi_core_sums(&pool->core, &lent, &returned);
	return ready <= wi_pool_kept(pool) || ready <= lent - returned;
}

/*
 * One at a time: the one that expired first is replaced, and the next one's turn comes when it is
 * gone, and the gap is over.
 */
void wi_lifetime_retire(struct weir_pool *pool, struct weir_conn *first, int64_t now_ns)
{
	/* Demand has taken the room that was meant for the replacement: break before make. */
	if (pool->replacing && wi_pool_total(pool) >= wi_pool_max(pool) &&
	    !wi_open_is_under_way(pool))
		pool->replacing = false;
	if (pool->retiring && !pool->replacing) {
		/* The replacement is there, or cannot be. */
		wi_conn_retire(pool->retiring, WEIR_CLOSE_EXPIRED);
		/*
		 * One that is lent goes when its holder is done, and the others do not wait for
		 * that.
		 */
		if (wi_load_rlx(&pool->retiring->slot.lend) & 1)
			pool->retiring = NULL;
	}
	if (pool->retiring || !first || now_ns < pool->next_retire_ns)
		return;
	pool->next_retire_ns = now_ns + wi_lifetime_gap(pool);
	pool->retiring = first;
	/* Also before an open breaker: while no other can be had, this one is better than none. */
	pool->replacing = would_be_missed(pool) && wi_pool_total(pool) < wi_pool_max(pool);
	if (!pool->replacing)
		wi_conn_retire(first, WEIR_CLOSE_EXPIRED);
}

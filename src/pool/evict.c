/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replacing every connection, as after a switch of servers, or of what a session learns when it
 * begins. The keeper marks all that it has when it hears of it. Of the marked ones:
 *
 *	being opened   are given up, and opened anew where they are wanted
 *	out            are closed when they come back
 *	idle           are closed now, as far as the minimum is kept by others; for the rest others are
 *	               opened first, and each new one that is ready lets one go. Where there is no room
 *	               for others, one goes first. Where connects fail, all go: they are to go, and one
 *	               that works is not to be had.
 *
 * A quiet pool is one that nobody is sent to: it keeps none that is idle, and opens none by itself.
 * What it has when it becomes quiet is evicted.
 */
#include "base/assert.h"
#include "base/atomic.h"
#include "base/rcu.h"
#include "pool/size.h"
#include "pool/tend.h"

void wi_evict_ask(struct weir_pool *pool)
{
	wi_add_seq(&pool->evictions, 1);
	wi_keeper_ring(pool->keeper);
}

weir_status weir_pool_evict(weir_pool *pool)
{
	weir_status st = WEIR_OK;

	if (!pool)
		return WEIR_INVALID;
	if (wi_pool_is_parents(pool) && (st = wi_pool_in_child(pool, NULL)) != WEIR_OK)
		return st;
	wi_rcu_enter();
	if (wi_load_acq(&pool->closed))
		st = WEIR_CLOSED;
	else
		wi_evict_ask(pool);
	wi_rcu_leave();
	return st;
}

/* ---- the keeper ---- */

static bool is_left(const struct weir_conn *c)
{
	return c->evicted && (c->life == WI_READY || c->life == WI_SETTLING);
}

uint32_t wi_evict_left(const struct weir_pool *pool)
{
	uint32_t n = 0;

	for (uint32_t i = 1; pool->evicting && i <= pool->n_conns; i++)
		n += is_left(&pool->conns[i]);
	return n;
}

static void mark_all(struct weir_pool *pool)
{
	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];

		if (c->life == WI_EMPTY || c->life == WI_CLOSING)
			continue;
		if (c->fresh)
			wi_conn_close(c, WEIR_CLOSE_EVICTED);
		else
			c->evicted = true;
	}
	pool->evicting = true;
}

void wi_pool_quieten(struct weir_pool *pool, bool quiet)
{
	if (pool->quiet == quiet)
		return;
	pool->quiet = quiet;
	if (quiet) {
		wi_evict_ask(pool);
		wi_pool_send_away(pool);
	} else {
		wi_pool_retry_now(pool);
	}
}

/* How many idle ones may go now. */
static uint32_t spare(const struct weir_pool *pool, uint32_t left)
{
	const struct wi_census *s = &pool->census;
	uint32_t have = s->n[WI_READY] + s->n[WI_SETTLING] - s->fresh - s->cut;
	uint32_t min = wi_pool_kept(pool);

	if (pool->breaker.failures > 0 || wi_load_rlx(&pool->breaker.state) != WI_BREAKER_CLOSED)
		return left;
	if (have > min)
		return have - min;
	/* No room for another, and none is about to come free: break before make. */
	return wi_pool_total(pool) >= wi_pool_max(pool) && !wi_open_is_under_way(pool) &&
	                       !s->n[WI_CLOSING]
	               ? 1
	               : 0;
}

void wi_evict_step(struct weir_pool *pool)
{
	uint32_t asked = wi_load_rlx(&pool->evictions), left, idle; /* the ring is the ordering */

	if (asked != pool->evictions_seen) {
		pool->evictions_seen = asked;
		mark_all(pool);
	}
	if (!pool->evicting)
		return;
	left = wi_evict_left(pool);
	idle = spare(pool, left);
	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];

		if (!is_left(c) || c->life != WI_READY)
			continue;
		if (wi_load_rlx(&c->slot.lend) & 1)
			wi_conn_retire(c, pool->quiet ? WEIR_CLOSE_DRAINED : WEIR_CLOSE_EVICTED);
		else if (idle > 0 && idle--)
			wi_conn_retire(c, pool->quiet ? WEIR_CLOSE_DRAINED : WEIR_CLOSE_EVICTED);
	}
	pool->evicting = left > 0;
}

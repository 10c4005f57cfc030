/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place where a slot's life changes, so that the census cannot disagree with it, and the
 * list of the slots in the keeper's hands. The drawing is in conn.h.
 */
#include "base/assert.h"
#include "base/atomic.h"
#include "config/options.h"
#include "pool/size.h"

static bool may_move(enum wi_life from, enum wi_life to)
{
	switch (from) {
	case WI_EMPTY:
		return to == WI_RESOLVING;
	case WI_RESOLVING:
		return to == WI_CONNECTING || to == WI_CLOSING;
	case WI_CONNECTING:
		return to == WI_SETTLING || to == WI_CLOSING;
	case WI_SETTLING:
		return to == WI_READY || to == WI_CLOSING;
	case WI_READY:
		return to == WI_SETTLING || to == WI_CLOSING;
	case WI_CLOSING:
		return to == WI_EMPTY;
	case WI_LIVES:
		break;
	}
	return false;
}

void wi_slot_move(struct weir_conn *c, enum wi_life from, enum wi_life to)
{
	struct wi_census *census = &c->pool->census;

	wi_check(c->life == from && may_move(from, to));
	wi_assert(!(wi_load_rlx(&c->slot.lend) & 1));
	c->life = to;
	census->n[from]--;
	census->n[to]++;
}

void wi_slot_in_hand(struct weir_conn *c, bool in_hand)
{
	struct weir_conn *conns = c->pool->conns;
	uint16_t *first = &c->pool->in_hand;

	if (c->in_hand == in_hand)
		return;
	c->in_hand = in_hand;
	if (in_hand) {
		c->next = *first;
		c->prev = 0;
		*first = c->number;
		if (c->next)
			conns[c->next].prev = c->number;
	} else {
		*(c->prev ? &conns[c->prev].next : first) = c->next;
		if (c->next)
			conns[c->next].prev = c->prev;
	}
}

struct weir_conn *wi_slot_first_in_hand(struct weir_pool *pool)
{
	return pool->in_hand ? &pool->conns[pool->in_hand] : NULL;
}

struct weir_conn *wi_slot_next_in_hand(const struct weir_conn *c)
{
	return c->next ? &c->pool->conns[c->next] : NULL;
}

uint32_t wi_pool_total(const struct weir_pool *pool)
{
	return pool->n_conns - pool->census.n[WI_EMPTY] - pool->census.cut;
}

uint32_t wi_pool_limit(const struct weir_pool *pool)
{
	int64_t limit = wi_pool_max(pool) + pool->options.pool_overflow;
	int64_t share = wi_options_share(&pool->options);

	return (uint32_t)(limit < share ? limit : share);
}

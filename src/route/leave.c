/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hosts that leave the set: shut, listed until nothing of them is left, freed when nobody can see
 * them; and pools that nobody is sent to. hosts.c tells the idea. The keeper's thread, but for the
 * router's own end.
 */
#include "base/atomic.h"
#include "base/rcu.h"
#include "route/orders.h"
#include "stat/event.h"

/* ---- leaving ---- */

void wi_hosts_see_off(weir_router *r)
{
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_places_next(r, &i));)
		if (wi_load_rlx(&h->leaving) && !wi_load_rlx(&h->pool->closed))
			wi_pool_shut(h->pool);
}

/* In a read section with the look at `closed`: see the head of this file. */
static bool unlist_unless_closed(struct wi_host *h)
{
	weir_router *r = h->router;

	wi_rcu_enter();
	if (!wi_load_seq(&r->closed)) {
		wi_store_rlx(&r->place[h->number], NULL); /* the grace period is the ordering */
		h->unlisted = true;
	}
	wi_rcu_leave();
	return h->unlisted;
}

static void let_go(struct wi_host *h)
{
	weir_router *r = h->router;

	wi_totals_left(h);
	r->mine[h->number] = NULL; /* a child that is forked from here on leaves it alone */
	wi_event_tell(&r->ring, &r->options, r->world->now(), WEIR_EVENT_HOST_LEFT,
	              h->endpoint->name, "nothing of it is left");
	wi_keeper_drop(r->keeper, &h->pool->job);
	wi_host_free(h, false);
}

void wi_hosts_reap(weir_router *r)
{
	for (uint32_t i = 0; i < WI_HOSTS_MAX; i++) {
		struct wi_host *h = r->mine[i];

		if (!h || h->inherited || !wi_load_rlx(&h->leaving) || !wi_pool_is_over(h->pool))
			continue;
		if (!h->past)
			wi_totals_leave(h);
		WI_YIELD("hosts.reap.counted");
		if (!h->unlisted) {
			if (!unlist_unless_closed(h))
				return;
			wi_router_grace(r);
			/*
			 * Who found it just before may be inside by now, and rings when he leaves.
			 */
			if (!wi_pool_is_over(h->pool))
				continue;
		}
		let_go(h);
	}
}

void wi_hosts_quieten(weir_router *r)
{
	const struct wi_topology *t = wi_load_rlx(&r->topology); /* this thread's own */
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		wi_pool_quieten(h->pool,
		                (wi_host_terms(h)->drained && t->primary != h) || h->stands_in);
}

/* ---- closing ---- */

void wi_hosts_shut(weir_router *r)
{
	struct wi_host *h;

	wi_rcu_enter();
	for (uint32_t i = 0; (h = wi_places_next(r, &i));) {
		wi_pool_end_by(h->pool, wi_load_rlx(&r->end_ns));
		wi_pool_shut(h->pool);
	}
	wi_rcu_leave();
}

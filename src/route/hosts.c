/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. The set of a router's hosts is an array of places. A host is made whole, then put into a
 * free place, and keeps place and number for as long as anybody may see it. Only the keeper's
 * thread changes the set; everybody else reads it, pinned or inside a read section, and waits for
 * nobody.
 *
 * States of a host:
 *
 *	made --listed--> IN THE SET --removed--> LEAVING --its pool is finished--> UNLISTED --> freed
 *
 * A leaving host is in no topology, its probe has ended and its pool is shut: what is idle is
 * closed at once, what is out when it comes back. It is still listed, so that it can be seen who
 * has something of it. When nothing is left it is taken out of its place, and freed after a grace
 * period, if by then nobody is inside its pool; only then the place is free for another.
 *
 * Invariants.
 *   I1  who reached a host by its place, pinned or in a read section, may use it until he leaves
 *   I2  who is inside its pool, or holds a connection of it, may use it as long as he is
 *   I3  no two hosts that anybody may see have the same number
 *
 * Closing. Who closes the router sets `closed` and waits for a grace period; the keeper takes hosts
 * in and out in read sections in which it has seen the router open. So after that the set stays as
 * it is, and the closer reads it in peace.
 *
 * Orderings. [hosts:R1] lists a host, [hosts:A1] finds it. [hosts:R2] publishes its terms,
 * [hosts:A2] reads them.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/text.h"
#include "pool/target.h"
#include "route/router.h"

/* ---- reading ---- */

struct wi_host *wi_places_next(const weir_router *r, uint32_t *i)
{
	while (*i < WI_HOSTS_MAX) {
		struct wi_host *h = wi_host_at(r, (*i)++);

		if (h)
			return h;
	}
	return NULL;
}

struct wi_host *wi_hosts_next(const weir_router *r, uint32_t *i)
{
	struct wi_host *h;

	while ((h = wi_places_next(r, i)) && wi_load_rlx(&h->leaving))
		;
	return h;
}

uint32_t wi_hosts_count(const weir_router *r)
{
	uint32_t n = 0;

	for (uint32_t i = 0; wi_hosts_next(r, &i);)
		n++;
	return n;
}

/* ---- making and freeing ---- */

void wi_host_start(struct wi_host *h)
{
	h->opinion = (struct wi_opinion){.role = WEIR_ROLE_UNKNOWN};
	h->next_ns = 0;
	h->asking_for = h->answered_for = wi_load_rlx(&h->router->tickets);
	h->failures = h->send_away = 0;
	wi_store_rlx(&h->dead, false);
	h->completed = h->trouble = h->hurt = false;
	h->full_since_ns = 0;
	h->last = (struct wi_sight){0};
	memset(h->starts, 0, sizeof(h->starts));
	h->several_until_ns = h->good_ns = h->doubted_ns = 0;
	h->several = h->fenced_told = false;
	h->falls = 0;
	atomic_init(&h->held_until_ns, 0);
	atomic_init(&h->lsn, 0);
	atomic_init(&h->timeline, 0);
	atomic_init(&h->answered_ns, 0);
	atomic_init(&h->report, &h->reports[0]);
	atomic_init(&h->as_of_ns, WI_LAG_UNKNOWN);
	atomic_init(&h->behind_since_ns, WI_LAG_UNKNOWN);
	atomic_init(&h->lag_bytes, -1);
	atomic_init(&h->bytes_of_ns, 0);
}

static weir_status fill(struct wi_host *h, void *script, weir_error *error)
{
	weir_router *r = h->router;
	struct wi_pool_config config = {.driver = r->driver,
	                                .world = r->world,
	                                .dsn = &r->dsn,
	                                .endpoint = h->endpoint,
	                                .options = &r->options,
	                                .script = script,
	                                .on_trouble = wi_monitor_trouble,
	                                .trouble_arg = h};
	struct wi_target target;
	weir_status st;

	wi_host_start(h);
	st = wi_target_build(&target, &r->dsn, &r->options, h->endpoint, "weir probe", script,
	                     error);
	if (st != WEIR_OK)
		return st;
	wi_probe_init(&h->probe, r->driver, r->keeper, &target, &r->options);
	st = wi_pool_create(&config, r->keeper, &h->pool, error);
	h->probe.pool = h->pool;
	return st;
}

weir_status wi_host_make(weir_router *r, const struct wi_host_plan *plan, struct wi_host **host,
                         weir_error *error)
{
	struct wi_host *h = wi_alloc_aligned(sizeof(*h), WI_LINE);
	weir_status st;

	*host = NULL;
	if (!h)
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for a host");
	h->router = r;
	h->own = plan->endpoint;
	h->endpoint = &h->own;
	h->named = plan->named;
	h->terms_of[0] = plan->terms;
	atomic_init(&h->terms, &h->terms_of[0]);
	st = fill(h, plan->script, error);
	if (st != WEIR_OK) {
		wi_host_free(h, false);
		return st;
	}
	*host = h;
	return WEIR_OK;
}

void wi_host_free(struct wi_host *h, bool in_child)
{
	if (!h)
		return;
	if (in_child && h->pool)
		wi_pool_forget(h->pool);
	if (in_child)
		wi_probe_forget(&h->probe, NULL);
	wi_pool_free(h->pool);
	wi_probe_fini(&h->probe);
	wi_free(h, sizeof(*h));
}

/* ---- the set; the keeper's thread, or nobody else's yet ---- */

void wi_host_list(struct wi_host *h, uint32_t number)
{
	weir_router *r = h->router;

	h->number = number;
	r->mine[number] = h;
	/* [hosts:R1] publishes the host; pairs with A1. */
	wi_store_rel(&r->place[number], h);
}

/* ---- what is said of a host ---- */

bool wi_host_set_terms(struct wi_host *h, const struct wi_terms *terms)
{
	struct wi_terms *now = wi_load_rlx(&h->terms); /* ours to write, so no order is needed */
	struct wi_terms *next = &h->terms_of[now == &h->terms_of[0]];

	if (now->weight == terms->weight && now->drained == terms->drained &&
	    strcmp(now->zone, terms->zone) == 0)
		return false;
	wi_topology_grace(h->router);
	*next = *terms;
	/* [hosts:R2] publishes the terms; pairs with A2. */
	wi_store_rel(&h->terms, next);
	h->router->grace_owed = true;
	return true;
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

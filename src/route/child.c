/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a forked child may do with its parent's router: as with a pool (pool/child.c), a checkout
 * fails with FORKED, or, where options.fork says reopen, the first one makes the inside anew: a
 * keeper, connections and probes of the child's own, nobody known yet. Nothing is said on the
 * parent's sockets.
 *
 * Which of its threads that is, and how the others wait, is base/anew.h's. [child_router:R1]
 * publishes the new inside.
 */
#include <string.h>

#include "base/anew.h"
#include "base/atomic.h"
#include "base/cancel.h"
#include "base/text.h"
#include "route/names.h"
#include "route/orders.h"
#include "route/router.h"

static weir_status forked(weir_error *error)
{
	return wi_fail(
		error, WEIR_FORKED,
		"this router was opened by the parent of this process: open one after the fork");
}

/* The slots and seats of the parent are forgotten; false: the pool is of no use any more. */
static bool renew_pool(struct weir_pool *pool, struct wi_keeper *keeper)
{
	if (!wi_pool_renew(pool, keeper))
		return false;
	wi_store_rlx(&pool->fork_epoch, wi_load_rlx(&wi_fork_epoch)); /* R1 publishes it */
	wi_core_reopen(&pool->core); /* nobody comes in but through the router */
	return true;
}

static bool renew_host(struct wi_host *h, struct wi_keeper *keeper)
{
	wi_probe_forget(&h->probe, keeper);
	memset(h->reports, 0, sizeof(h->reports));
	wi_host_start(h);
	wi_store_rlx(&h->load, 0);
	if (renew_pool(h->pool, keeper))
		return true;
	h->pool = NULL; /* it cannot be freed in order: left alone */
	return false;
}

/*
 * Hosts that were leaving: their connections are the parent's, and what a thread here may still
 * hold of them leads into their pools. The keeper may have been working on them: they are not
 * touched before the close.
 */
static void leave_alone(weir_router *r)
{
	for (uint32_t i = 0; i < WI_HOSTS_MAX; i++) {
		struct wi_host *h = r->mine[i];

		if (!h || (!wi_load_rlx(&h->leaving) && wi_load_rlx(&r->place[i]) == h))
			continue;
		h->inherited = true;
		wi_store_rlx(&r->place[i], NULL);
	}
}

static void renew_monitor(weir_router *r)
{
	memset(r->topologies, 0, sizeof(r->topologies));
	wi_store_rlx(&r->topology, &r->topologies[0]);
	wi_store_rlx(&r->gate.sleepers, 0);
	wi_store_rlx(&r->news.sleepers, 0);
	wi_ring_mend(&r->ring);
	wi_router_alarm_forget(r);
	wi_advice_drop(r); /* its adviser is not here */
	wi_store_rlx(&r->inside, 0);
	wi_store_rlx(&r->instead, 0);
	r->stood = false;
	wi_lag_reset(&r->history);
	r->history_of = NULL;
	wi_store_rlx(&r->dozing, 0);
	r->grace_owed = r->settled = false;
	r->split_told = 0;
	r->alarmed_until_ns = r->wrong_since_ns = 0;
	r->split_since_ns = 0;
	r->was_primary = 0;
	wi_store_rlx(&r->waiting, 0);
	wi_totals_init(r);
	wi_monitor_add(r);
}

/*
 * The one thread of the child that came first. What fails half-way stays as it is: unusable, but it
 * can be closed.
 */
static weir_status reopen(weir_router *r, weir_error *error)
{
	struct wi_keeper *keeper = NULL;
	struct wi_host *h;
	weir_status st;

	if (r->spoilt)
		return forked(error);
	st = wi_keeper_create(r->world, &keeper, error);
	if (st != WEIR_OK)
		return st;
	r->spoilt = true;
	wi_keeper_free(r->keeper);
	r->keeper = keeper;
	wi_orders_forget(r);
	wi_names_forget(r);
	leave_alone(r);
	wi_reload_finish(r);
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		if (!renew_host(h, keeper))
			return wi_fail(error, WEIR_SYSTEM, "too many pools in this process");
	if (!wi_core_reinit(&r->desk))
		return wi_fail(error, WEIR_SYSTEM, "too many pools in this process");
	wi_own_writes_divert(r);
	renew_monitor(r);
	(void)wi_router_show(r, NULL); /* what cannot be drawn is not, here: the router serves */
	st = wi_keeper_start(keeper, error);
	if (st != WEIR_OK)
		return st;
	r->spoilt = false;
	/* [child_router:R1] publishes the new inside; pairs with [anew:A1]. */
	wi_store_rel(&r->fork_epoch, wi_load_rlx(&wi_fork_epoch));
	wi_core_reopen(&r->desk);
	return WEIR_OK;
}

weir_status wi_router_in_child(weir_router *r, weir_error *error)
{
	weir_status st;
	WI_NO_CANCEL;

	if (r->options.fork != WEIR_FORK_REOPEN)
		return forked(error);
	if (!wi_anew_begin(&r->fork_epoch, &r->reopening, r->world))
		return WEIR_OK;
	st = reopen(r, error);
	wi_anew_end(&r->reopening, r->world);
	return st;
}

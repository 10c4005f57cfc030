/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an operator does to all hosts of a router at once.
 *
 * Suspending. The word is in the router's own desk (pool/suspend.c tells the idea), and each pool
 * is told to send its callers back to the router, where they find it. Resuming is the other way
 * round. Who writes to the pools last has seen what was said last.
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/text.h"
#include "pool/size.h"
#include "route/orders.h"

weir_status wi_router_come_in(weir_router *r, weir_error *error)
{
	weir_status st;

	if (wi_router_is_parents(r) && (st = wi_router_in_child(r, error)) != WEIR_OK)
		return st;
	return wi_router_enter(r) ? WEIR_OK : wi_fail(error, WEIR_CLOSED, "the router is closed");
}

/* Whether every host can have these sizes; *sizes is what they come to, the same for all. */
static weir_status prepare(weir_router *r, int64_t min, int64_t max, uint64_t *sizes,
                           weir_error *error)
{
	weir_status st = WEIR_OK;
	struct wi_host *h;

	wi_rcu_enter();
	for (uint32_t i = 0; st == WEIR_OK && (h = wi_hosts_next(r, &i));)
		st = wi_resize_prepare(h->pool, min, max, sizes, error);
	wi_rcu_leave();
	return st;
}

/*
 * One that was added since the others were asked is prepared first; where there is no room for
 * that, it stays as it is.
 */
void wi_host_resize(struct wi_host *h, uint64_t sizes)
{
	uint64_t same;

	if (wi_resize_prepare(h->pool, wi_sizes_min(sizes), wi_sizes_max(sizes), &same, NULL) ==
	    WEIR_OK)
		wi_resize_ask(h->pool, sizes);
}

/* Who writes to the hosts last has seen what was said last. */
static void ask_for(weir_router *r, uint64_t sizes)
{
	struct wi_host *h;

	wi_store_seq(&r->sizes, sizes);
	do {
		sizes = wi_load_seq(&r->sizes);
		for (uint32_t i = 0; i < WI_HOSTS_MAX; i++) {
			wi_rcu_enter();
			h = wi_host_at(r, i);
			if (h)
				wi_host_resize(h, sizes);
			wi_rcu_leave();
			if (h)
				WI_YIELD("router.resize.asked");
		}
	} while (sizes != wi_load_seq(&r->sizes));
}

weir_status weir_router_resize(weir_router *r, int64_t min, int64_t max, weir_error *error)
{
	uint64_t sizes = 0;
	weir_status st;

	if (!r)
		return wi_fail(error, WEIR_INVALID, "weir_router_resize: router is NULL");
	st = wi_router_come_in(r, error);
	if (st != WEIR_OK)
		return st;
	st = prepare(r, min, max, &sizes, error);
	if (st == WEIR_OK)
		ask_for(r, sizes);
	wi_router_leave(r);
	return st;
}

weir_status weir_router_evict(weir_router *r, const char *host)
{
	weir_status st = r ? wi_router_come_in(r, NULL) : WEIR_INVALID;
	struct wi_host *h;
	bool any = false;

	if (st != WEIR_OK)
		return st;
	wi_rcu_enter();
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		if (host && !wi_host_is_named(h, host))
			continue;
		wi_evict_ask(h->pool);
		any = true;
	}
	wi_rcu_leave();
	wi_router_leave(r);
	return any ? WEIR_OK : WEIR_INVALID;
}

static void tell_pools(weir_router *r, uint32_t how)
{
	struct wi_host *h;

	wi_rcu_enter();
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		wi_core_suspend(&h->pool->core, how ? WI_SUSPENDED_ELSEWHERE : 0);
	wi_rcu_leave();
}

static void suspend(weir_router *r, uint32_t how)
{
	uint32_t said;

	/*
	 * Who is sent away by a pool must find the router suspended, and nobody resumed too soon.
	 */
	if (!how)
		tell_pools(r, 0);
	wi_core_suspend(&r->desk, how);
	do {
		said = wi_load_seq(&r->desk.suspended);
		tell_pools(r, said);
	} while (said != wi_load_seq(&r->desk.suspended));
}

static weir_status set(weir_router *r, uint32_t how)
{
	weir_status st = r ? wi_router_come_in(r, NULL) : WEIR_INVALID;

	if (st != WEIR_OK)
		return st;
	suspend(r, how);
	if (wi_load_seq(&r->closed)) {
		suspend(r, 0);
		st = WEIR_CLOSED;
	} else if (how) {
		(void)wi_core_await_takes(&r->desk, r->world->now() + WI_SUSPEND_AWAITS_NS);
	}
	wi_router_leave(r);
	return st;
}

weir_status weir_router_suspend(weir_router *r, weir_suspend how)
{
	switch (how) {
	case WEIR_SUSPEND_WAIT:
		return set(r, WI_SUSPENDED_WAIT);
	case WEIR_SUSPEND_FAIL:
		return set(r, WI_SUSPENDED_FAIL);
	}
	return WEIR_INVALID;
}

weir_status weir_router_resume(weir_router *r)
{
	return set(r, 0);
}

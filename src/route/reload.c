/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Other options for a router that runs: an order to the keeper, as a host that is added is one, so
 * that no host comes or goes in the middle of it. First every pool's memory is prepared, which is
 * all that can fail; then all words are written. Reads learn of another policy by the topology,
 * which is published anew; everything else is read word by word (pool/reload.c).
 */
#include "base/alloc.h"
#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/size.h"
#include "route/orders.h"

/* ---- any thread ---- */

/* The caller is inside. */
static weir_status order(weir_router *r, const weir_options *options, weir_error *error)
{
	struct wi_order o = {.kind = WI_ORDER_RELOAD, .options = wi_alloc(sizeof(*o.options))};
	weir_status st;

	if (!o.options)
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for the options");
	st = wi_reload_merge(&r->options, &r->fixed, options, true, o.options, error);
	if (st == WEIR_OK)
		return wi_order_give(r, &o, error);
	wi_free(o.options, sizeof(*o.options));
	return st;
}

weir_status weir_router_reload(weir_router *r, const weir_options *options, weir_error *error)
{
	weir_status st;
	WI_NO_CANCEL;

	if (!r || !options)
		return wi_fail(error, WEIR_INVALID, "weir_router_reload: %s is NULL",
		               r ? "options" : "router");
	/* Before its options are read: it may be a parent's, or be closed meanwhile. */
	st = wi_router_come_in(r, error);
	if (st != WEIR_OK)
		return st;
	st = order(r, options, error);
	wi_router_leave(r);
	return st;
}

/* ---- the keeper's thread ---- */

/* *sizes is what they come to, the same for all; 0 where there is no host. */
static weir_status prepare(weir_router *r, const weir_options *merged, uint64_t *sizes,
                           weir_error *error)
{
	weir_status st = WEIR_OK;
	struct wi_host *h;

	*sizes = 0;
	for (uint32_t i = 0; st == WEIR_OK && (h = wi_hosts_next(r, &i));)
		st = wi_resize_prepare_for(h->pool, merged, sizes, error);
	return st;
}

/* What the router has made of its options, beside what it reads as it needs it. */
static void follow(weir_router *r, int64_t now_ns)
{
	struct wi_host *h;

	wi_store_rlx(&r->tightest_ms, r->options.max_lag_ms);
	wi_store_rlx(&r->dozing, 0);
	r->count_ns = now_ns;
	wi_alarms_hasten(&r->alarms, &r->options, now_ns);
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		int64_t latest_ns = now_ns + r->options.probe_interval_ms * WI_MS;

		if (h->next_ns > latest_ns)
			h->next_ns = latest_ns;
	}
}

/* sizes: what they come to; 0: they are not others, or there is no host. */
static void write_all(weir_router *r, const weir_options *merged, uint64_t sizes, int64_t now_ns)
{
	struct wi_host *h;

	if (sizes)
		wi_store_seq(&r->sizes, sizes);
	wi_reload_write(&r->options, merged);
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		wi_pool_reload_now(h->pool, merged, wi_load_rlx(&h->pool->resizes), now_ns);
	/* Somebody's resize has come between: it was said last. */
	for (uint32_t i = 0;
	     sizes && wi_load_seq(&r->sizes) != sizes && (h = wi_hosts_next(r, &i));)
		wi_host_resize(h, wi_load_seq(&r->sizes));
	follow(r, now_ns);
}

weir_status wi_reload_do(weir_router *r, struct wi_order *o)
{
	static const char *const bounds[] = {"pool_min", "pool_max", "pod_count", "server_budget",
	                                     NULL};
	uint64_t sizes;
	weir_status st = prepare(r, o->options, &sizes, &o->error);

	if (st != WEIR_OK)
		return st;
	r->reloading_sizes = wi_reload_differs(&r->options, o->options, bounds);
	wi_store_seq(&r->reloading, o->options);
	write_all(r, o->options, r->reloading_sizes ? sizes : 0, r->world->now());
	wi_store_seq(&r->reloading, NULL);
	wi_keeper_ring(r->keeper); /* the pools' turns may be over */
	return WEIR_OK;
}

/* ---- a child ---- */

/* Whom it had come to by then is not known: everything is written once more, to all. */
void wi_reload_finish(weir_router *r)
{
	weir_options *merged = wi_swap_seq(&r->reloading, NULL);
	uint64_t sizes = 0;
	struct wi_host *h;

	if (!merged)
		return;
	if (r->reloading_sizes && prepare(r, merged, &sizes, NULL) == WEIR_OK && sizes)
		wi_store_seq(&r->sizes, sizes);
	wi_reload_write(&r->options, merged);
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		wi_pool_reload_again(h->pool, merged, r->reloading_sizes,
		                     wi_load_rlx(&h->pool->resizes));
	wi_store_rlx(&r->tightest_ms, r->options.max_lag_ms);
	wi_free(merged, sizeof(*merged));
}

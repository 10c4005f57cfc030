/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. Only the keeper's thread changes the set of hosts. Whoever wants a change leaves an order
 * on a stack, rings, and waits at the router's gate until it is done; the keeper takes the whole
 * stack in its turn, oldest first. On a keeper's thread, as in most event callbacks, nobody waits:
 * it would wait for itself, or two keepers for each other.
 *
 * Who frees. One that is waited for is freed by who waits, else by the keeper.
 *
 * Orderings. [orders:R1] posts an order, [orders:A1] takes it. [orders:R2] says that it is done,
 * [orders:A2] sees what came of it.
 */
#include "route/orders.h"

#include <string.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "stat/event.h"

/* ---- any thread ---- */

static void post(weir_router *r, struct wi_order *o)
{
	o->next = wi_load_rlx(&r->orders);
	/* [orders:R1] publishes the order; pairs with A1. */
	while (!wi_cas_rel(&r->orders, &o->next, o))
		;
	wi_keeper_ring(r->keeper);
}

static void await(weir_router *r, struct wi_order *o)
{
	for (;;) {
		uint32_t seen = wi_gate_seen(&r->gate);

		/* [orders:A2] sees what came of it; pairs with R2. */
		if (wi_load_acq(&o->done))
			return;
		wi_gate_sleep(&r->gate, seen, WI_FOREVER, r->world);
	}
}

/* The caller is inside. The order is freed, by whomever. */
static weir_status give(weir_router *r, struct wi_order *o, weir_error *error)
{
	weir_status st;

	o->waited = !wi_keeper_is_any();
	if (!o->waited) {
		post(r, o);
		return WEIR_OK;
	}
	post(r, o);
	await(r, o);
	st = o->status;
	if (st != WEIR_OK)
		wi_fail_with(error, &o->error);
	wi_free(o, sizeof(*o));
	return st;
}

weir_status wi_order_give(weir_router *r, const struct wi_order *wanted, weir_error *error)
{
	struct wi_order *o;
	weir_status st;
	WI_NO_CANCEL;

	st = wi_router_come_in(r, error);
	if (st != WEIR_OK) {
		wi_free(wanted->options, sizeof(*wanted->options));
		return st;
	}
	o = wi_alloc(sizeof(*o));
	if (o) {
		*o = *wanted;
		st = give(r, o, error);
	} else {
		wi_free(wanted->options, sizeof(*wanted->options));
		st = wi_fail(error, WEIR_NO_MEMORY, "no memory to change the hosts");
	}
	wi_router_leave(r);
	return st;
}

static weir_status check_names(const weir_router *r, const char *host, const char *call,
                               weir_error *error)
{
	if (!r || !host)
		return wi_fail(error, WEIR_INVALID, "%s: %s is NULL", call, r ? "host" : "router");
	return WEIR_OK;
}

static weir_status take_settings(const weir_host_settings *from, struct wi_terms *terms,
                                 weir_error *error)
{
	size_t size = from && from->size ? from->size : sizeof(*from);
	weir_host_settings s;

	weir_host_settings_init(&s);
	if (from)
		memcpy(&s, from, size < sizeof(s) ? size : sizeof(s));
	for (size_t i = sizeof(s); from && i < size; i++)
		if (((const unsigned char *)from)[i])
			return wi_fail(
				error, WEIR_INVALID,
				"the settings ask for something that this weir does not know");
	if (s.weight > WI_WEIGHT_MAX)
		return wi_fail(error, WEIR_INVALID, "weight %u is not within 0 to %d", s.weight,
		               WI_WEIGHT_MAX);
	if (!memchr(s.zone, '\0', sizeof(s.zone)))
		return wi_fail(error, WEIR_INVALID, "the zone of a host is too long");
	*terms = (struct wi_terms){.weight = s.weight};
	wi_copy(terms->zone, sizeof(terms->zone), s.zone);
	return WEIR_OK;
}

void weir_host_settings_init(weir_host_settings *settings)
{
	*settings = (weir_host_settings){.size = sizeof(*settings), .weight = WI_WEIGHT_USUAL};
}

static weir_status take_endpoint(const char *text, struct wi_endpoint *endpoint, weir_error *error)
{
	struct wi_endpoint *made = NULL;
	size_t n = 0;
	weir_status st = wi_endpoints_parse(text, &made, &n, error);

	if (st == WEIR_OK && n != 1)
		st = wi_fail(error, WEIR_INVALID, "give one host to add, not %zu", n);
	if (st == WEIR_OK)
		*endpoint = made[0];
	wi_free(made, n * sizeof(*made));
	return st;
}

weir_status weir_router_host_add(weir_router *r, const char *host,
                                 const weir_host_settings *settings, weir_error *error)
{
	struct wi_order o = {.kind = WI_ORDER_ADD};
	weir_status st = check_names(r, host, "weir_router_host_add", error);

	if (st == WEIR_OK)
		st = take_endpoint(host, &o.endpoint, error);
	if (st == WEIR_OK)
		st = take_settings(settings, &o.terms, error);
	if (st != WEIR_OK)
		return st;
	wi_copy(o.host, sizeof(o.host), o.endpoint.name);
	return wi_order_give(r, &o, error);
}

/* An order about a host that is there. */
static weir_status order_about(weir_router *r, const char *host, struct wi_order *o,
                               const char *call, weir_error *error)
{
	weir_status st = check_names(r, host, call, error);

	if (st != WEIR_OK)
		return st;
	wi_copy(o->host, sizeof(o->host), host);
	return wi_order_give(r, o, error);
}

weir_status weir_router_host_remove(weir_router *r, const char *host, weir_error *error)
{
	struct wi_order o = {.kind = WI_ORDER_REMOVE};

	return order_about(r, host, &o, "weir_router_host_remove", error);
}

weir_status weir_router_host_drain(weir_router *r, const char *host, bool on, weir_error *error)
{
	struct wi_order o = {.kind = on ? WI_ORDER_DRAIN : WI_ORDER_UNDRAIN};

	return order_about(r, host, &o, "weir_router_host_drain", error);
}

weir_status weir_router_host_set(weir_router *r, const char *host,
                                 const weir_host_settings *settings, weir_error *error)
{
	struct wi_order o = {.kind = WI_ORDER_SET};
	weir_status st;

	if (!settings)
		return wi_fail(error, WEIR_INVALID, "weir_router_host_set: settings is NULL");
	st = take_settings(settings, &o.terms, error);
	return st == WEIR_OK ? order_about(r, host, &o, "weir_router_host_set", error) : st;
}

/* ---- the keeper's thread ---- */

/* All that were posted, the oldest first. */
static struct wi_order *take_all(weir_router *r)
{
	struct wi_order *o, *next, *first = NULL;

	if (!wi_load_rlx(&r->orders)) /* the ring is the ordering */
		return NULL;
	/* [orders:A1] sees each order as it was posted; pairs with R1. */
	for (o = wi_swap_acq(&r->orders, NULL); o; o = next) {
		next = o->next;
		o->next = first;
		first = o;
	}
	return first;
}

static void carry_out(weir_router *r, struct wi_order *o)
{
	/* [route:A8] sees the router closed; pairs with R4. */
	if (wi_load_acq(&r->closed))
		o->status = wi_fail(&o->error, WEIR_CLOSED, "the router is closed");
	else
		o->status = o->kind == WI_ORDER_RELOAD ? wi_reload_do(r, o) : wi_hosts_do(r, o);
	wi_free(o->options, sizeof(*o->options));
	o->options = NULL;
}

/* Nobody may touch it afterwards: who waited frees it. */
static void answer(weir_router *r, struct wi_order *o, int64_t now_ns)
{
	if (o->waited) {
		/* [orders:R2] publishes what came of it; pairs with A2. */
		wi_store_rel(&o->done, 1);
		return;
	}
	if (o->status != WEIR_OK)
		wi_event_tell(&r->ring, &r->options, now_ns, WEIR_EVENT_HOST_REFUSED, o->host, "%s",
		              o->error.text);
	wi_free(o, sizeof(*o));
}

void wi_orders_turn(weir_router *r, int64_t now_ns)
{
	struct wi_order *first = take_all(r), *next;
	bool changed = false;

	if (!first)
		return;
	for (struct wi_order *o = first; o; o = o->next) {
		carry_out(r, o);
		changed = changed || o->status == WEIR_OK;
	}
	if (changed) {
		wi_conclude(r, now_ns);
		wi_hosts_see_off(r);
	}
	for (struct wi_order *o = first; o; o = next) {
		next = o->next;
		answer(r, o, now_ns);
	}
	wi_gate_change(&r->gate, r->world);
}

void wi_orders_forget(weir_router *r)
{
	struct wi_order *next;

	for (struct wi_order *o = wi_swap_acq(&r->orders, NULL); o; o = next) {
		next = o->next;
		wi_free(o->options, sizeof(*o->options));
		wi_free(o, sizeof(*o));
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Orders: what an operator wants of the set of hosts, on its way to the keeper's thread, which
 * alone changes the set.
 */
#ifndef WI_ROUTE_ORDERS_H
#define WI_ROUTE_ORDERS_H

#include "route/router.h"

enum wi_order_kind {
	WI_ORDER_ADD,
	WI_ORDER_REMOVE,
	WI_ORDER_DRAIN,
	WI_ORDER_UNDRAIN,
	WI_ORDER_SET,
	WI_ORDER_RELOAD
};

/*
 * Access key: (c) constant once posted; (k) the keeper's until it is done, then who waits reads it;
 * (a) atomic.
 */
struct wi_order {
	enum wi_order_kind kind;     /* (c) */
	char host[WEIR_ERROR_HOST];  /* (c) as the operator calls it */
	struct wi_endpoint endpoint; /* (c) of ADD */
	struct wi_terms terms;       /* (c) of ADD and SET */
	weir_options *options;       /* (c) of RELOAD: freed when it is done */
	bool waited;                 /* (c) somebody waits for it, and frees it */
	_Atomic uint32_t done;       /* (a) */
	weir_status status;          /* (k) */
	weir_error error;            /* (k) */
	struct wi_order *next;       /* (k) the one posted before, or the next to be done */
};

/* orders.c: gives an order to the keeper, and waits for it unless that would wait for itself. */
weir_status wi_order_give(weir_router *router, const struct wi_order *wanted, weir_error *error);

/* reload.c: all hosts or none. The keeper's thread. */
weir_status wi_reload_do(weir_router *router, struct wi_order *order);

/* What a parent's keeper was in the middle of. In a child, where no keeper runs yet. */
void wi_reload_finish(weir_router *router);

/*
 * orders.c: does what was ordered, and answers; a closed router refuses. Whether the set or what is
 * said of a host has changed. The keeper's thread.
 */
void wi_orders_turn(weir_router *router, int64_t now_ns);

/* Forgets what threads of a parent have ordered. In a child, the one thread in it. */
void wi_orders_forget(weir_router *router);

/* ---- hosts.c and leave.c: the keeper's thread ---- */

/* Whether an operator may call it so: by its name with or without the port. */
bool wi_host_is_named(const struct wi_host *host, const char *name);

weir_status wi_hosts_do(weir_router *router, struct wi_order *order);

/* What SET, DRAIN and UNDRAIN make of what is said of a host. */
void wi_order_apply(const struct wi_order *order, struct wi_terms *terms);

/* What has been taken out of the published topology is shut. */
void wi_hosts_see_off(weir_router *router);

/* Takes out and frees those that have left. */
void wi_hosts_reap(weir_router *router);

/* Pools that nobody is sent to keep nothing open, as the published topology has it. */
void wi_hosts_quieten(weir_router *router);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The set of hosts: how one comes and goes, what the options and an operator say of it, and what
 * is counted of it.
 */
#ifndef WI_ROUTE_HOSTS_H
#define WI_ROUTE_HOSTS_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/options.h>
#include <weir/router.h>
#include <weir/stats.h>

#include "config/dsn.h"
#include "route/host.h"
#include "route/roles.h"

/* The sums of hosts that have left. Immutable while published, as a topology is. */
struct wi_past {
	uint64_t counted; /* places whose hosts are in it, though they may still be seen */
	weir_stats sums;
};

/* What a host is made of. */
struct wi_host_plan {
	struct wi_endpoint endpoint;
	enum wi_named named;
	struct wi_terms terms;
	struct wi_name *name; /* that it is an address of, or NULL */
	void *script;         /* for the fake driver */
};

/*
 * A host and its pool as a job of the keeper, which does not run yet, or whose thread this is; it
 * is in no place yet. OK, or as weir_pool_open.
 */
weir_status wi_host_make(weir_router *router, const struct wi_host_plan *plan,
                         struct wi_host **host, weir_error *error);

/* Nobody knows of it (any more), and its pool has nothing open or is a parent's. NULL: no-op. */
void wi_host_free(struct wi_host *host, bool in_child);

/* Puts it into a place that is free. The keeper's thread, or before the keeper runs. */
void wi_host_list(struct wi_host *host, uint32_t number);

/* Publishes what an operator says of it; false: it is as before. The keeper's thread. */
bool wi_host_set_terms(struct wi_host *host, const struct wi_terms *terms);

/*
 * manage.c: gives the host's pool these sizes (pool/size.h). Inside a read section, or the keeper's
 * thread.
 */
void wi_host_resize(struct wi_host *host, uint64_t sizes);

/* Adds a host: OK, INVALID, CLOSED, or as wi_host_make. wi_conclude follows. Keeper's thread. */
weir_status wi_hosts_add(weir_router *router, const struct wi_host_plan *plan, weir_error *error);

/* Takes a host out of the set. wi_conclude follows, and wi_hosts_see_off. Keeper's thread. */
void wi_hosts_remove(struct wi_host *host, const char *why);

/*
 * Publishes other terms and tells of it; false: they are as before. wi_conclude follows. The
 * keeper's thread.
 */
bool wi_hosts_change(struct wi_host *host, const struct wi_terms *terms);

/* Shuts every pool, to be closed by end_ns. Any thread. */
void wi_hosts_shut(weir_router *router);

/* A host of which nothing is known yet. */
void wi_host_start(struct wi_host *host);

/*
 * The hosts of the set, one after the other, and NULL at the end; *i begins as 0. Pinned, or inside
 * a read section, or the keeper's thread:
 *
 *	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
 */
struct wi_host *wi_hosts_next(const weir_router *router, uint32_t *i);

/* The same with those that are leaving and have connections out. */
struct wi_host *wi_places_next(const weir_router *router, uint32_t *i);

/* ---- stats.c, totals.c: what is counted ---- */

/* Statistics of a host by value. Pinned, or inside a read section, or the keeper's thread. */
void wi_host_read(weir_router *router, struct wi_host *host, weir_host_stats *stats);

/* Nothing is past yet. Nobody else's yet, or in a child that makes the router anew. */
void wi_totals_init(weir_router *router);

/*
 * The host's share goes to the past, before it is taken out of its place; and what has come to it
 * since then, before it is freed. The keeper's thread.
 */
void wi_totals_leave(struct wi_host *host);
void wi_totals_left(struct wi_host *host);

/* How many hosts the set has. As wi_hosts_next. */
uint32_t wi_hosts_count(const weir_router *router);

/* Milliseconds behind by the router's clock; -1: unknown. */
int64_t wi_host_lag_ms(const struct wi_host *host, weir_role role, int64_t now_ns);

/* ---- terms.c ---- */

/* Whether the lists in the options name no more than so many hosts: OK or INVALID. */
weir_status wi_terms_fit(const weir_options *options, uint32_t n_hosts, weir_error *error);

/* What the options say of the i-th host: OK or INVALID. */
weir_status wi_terms_of_options(const weir_options *options, uint32_t i, const char *host,
                                struct wi_terms *terms, weir_error *error);

#endif

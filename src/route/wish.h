/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a checkout asks for, and its way to a host: chosen, waited for, or the words why nobody is
 * able.
 */
#ifndef WI_ROUTE_WISH_H
#define WI_ROUTE_WISH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/router.h>

#include "core/seat.h"
#include "pool/conn.h"
#include "route/host.h"

/* What a checkout asks for. */
struct wi_wish {
	weir_intent intent;
	weir_fallback fallback; /* not DEFAULT */
	weir_target target;     /* of a read */
	bool bounded;           /* any of the next three */
	int64_t max_lag_ms;     /* 0: any */
	int64_t max_lag_bytes;  /* 0: any */
	weir_token at_least;    /* lsn 0: any */
	const char *zone;       /* NULL: the router's */
	const char *tag;
	int64_t deadline_ns; /* 0: may not wait */
	uint64_t sick;       /* hosts that could not connect just now, a bit each */
	uint64_t busy;       /* hosts that had no idle connection, and waiting there is no choice */
	weir_session *session; /* NULL: none */
	/* where replicas only lack a position, they are asked before the primary reads */
	bool asks;
};

/*
 * wish.c: what a checkout asks for that says its intent alone; whether a read then is asked nothing
 * more than a policy's choice. Whether the keeper counts what is out, and whether each read raises
 * its host's load. By the options as they are now; any thread.
 */
void wi_wish_plain(const weir_router *r, weir_intent intent, struct wi_wish *wish);
bool wi_wish_is_plain(const weir_router *r);
bool wi_weighs(const weir_router *r);
bool wi_weighs_each(const weir_router *r);

/* Whether a read may go to the primary where no replica can serve it. */
static inline bool wi_wish_may_fall_back(const struct wi_wish *wish)
{
	bool by_default = wish->fallback == WEIR_FALLBACK_PRIMARY ||
	                  wish->fallback == WEIR_FALLBACK_PRIMARY_OR_FAIL;

	return wish->target == WEIR_TARGET_PREFER_REPLICA ||
	       (wish->target == WEIR_TARGET_DEFAULT && by_default);
}

/*
 * checkout.c: weir_checkout_with, but at none of these hosts (a bit each, by number). Any thread.
 */
weir_status wi_checkout_elsewhere(weir_router *router, const weir_request *request, uint64_t avoid,
                                  int64_t timeout_ms, weir_conn **conn);

/* ---- choose.c: see there ---- */

struct wi_choice {
	struct wi_host *host; /* whom it is from, or whom to wait for; NULL: nobody is able */
	weir_role role;
	weir_reason reason;
	bool pending; /* nobody is able, but the first look at the hosts is not over */
	bool stale;   /* replicas were there, none fresh enough */
	bool others;  /* hosts besides this one are able, if busy just now */
	bool behind;  /* some replicas lack nothing but a position: ask them first */
	bool capped;  /* only the primary is, and serves as many in place of replicas as it may */
	_Atomic uint32_t *raised; /* what has been raised for it already, or NULL */
};

/*
 * Pinned: takes an idle connection of an able host, marked and counted, or chooses a host to wait
 * at.
 */
struct weir_conn *wi_choose(weir_router *router, const struct wi_wish *wish, struct wi_seat *seat,
                            struct wi_choice *choice);

/* Whether a host still is what it was chosen for. Pinned. */
bool wi_choice_holds(weir_router *router, const struct wi_wish *wish,
                     const struct wi_choice *choice);

/* Whether waiting for the chosen host counts in its load. */
bool wi_choice_weighs(const weir_router *router, const struct wi_choice *choice);

/* What the checkout needs of its connection there. */
enum wi_access wi_choice_access(const struct wi_wish *wish, const struct wi_choice *choice);

/* Marks and counts a connection that was waited for. */
void wi_choice_made(weir_router *router, const struct wi_wish *wish, const struct wi_choice *choice,
                    struct weir_conn *handle);

/* ---- visit.c: see there ---- */

/*
 * Chooses and waits until the wish's deadline. The caller is inside. Statuses as weir_checkout.
 */
weir_status wi_visit(weir_router *router, const struct wi_wish *wish, weir_conn **conn,
                     weir_error *error);

/* Fails with CLOSED. */
weir_status wi_visit_closed(weir_error *error);

/* ---- instead.c ---- */

/*
 * Whether the primary may serve one read more in place of replicas. true: it counts, in *raised if
 * that is not NULL: lowered when its connection comes back, or by wi_instead_drop.
 */
bool wi_instead_take(weir_router *router, const struct wi_host *primary, _Atomic uint32_t **raised);
void wi_instead_drop(weir_router *router, _Atomic uint32_t **raised);

/* Sleeps until one of them is over, or until_ns; or wakes without a reason. */
void wi_instead_wait(weir_router *router, int64_t until_ns);

/* How many such reads are out. Any thread. */
uint32_t wi_instead_held(const weir_router *router);

/* ---- explain.c ---- */

/*
 * Fails with UNAVAILABLE, or AUTH where every host refused the credentials; the text lists every
 * host. Pinned.
 */
weir_status wi_explain(weir_router *router, const struct wi_wish *wish,
                       const struct wi_choice *choice, weir_error *error);

/* Whether no host can be reached for reasons that waiting does not mend. Pinned. */
bool wi_is_hopeless(weir_router *router, const struct wi_wish *wish);

#endif

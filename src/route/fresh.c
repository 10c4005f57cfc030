/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a host is fresh enough for a wish.
 *
 * A limit of lag is kept by what is known, not by what is likely: a replica is as old as the last
 * time at which it is known to have held all that the primary had. Unknown is not fresh. A token is
 * reached by a replica on the token's own timeline that has replayed so far, and by a primary on
 * that or a later one: positions of different timelines do not compare. What is known may be old,
 * and then errs on the safe side: replicas only move on.
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "route/router.h"

/* Within the limit of time: the last moment at which it held all is not longer ago. */
static bool is_young(const struct wi_host *h, int64_t max_lag_ms, int64_t now_ns)
{
	int64_t as_of = wi_load_rlx(&h->as_of_ns);

	return as_of != WI_LAG_UNKNOWN && now_ns - as_of <= max_lag_ms * WI_MS;
}

/* Within the limit of bytes, by a number that is not old itself. */
static bool is_close(const weir_router *r, const struct wi_host *h, int64_t max_lag_bytes,
                     int64_t now_ns)
{
	int64_t bytes = wi_load_rlx(&h->lag_bytes);
	int64_t of_ns = wi_load_rlx(&h->bytes_of_ns);

	return bytes >= 0 && bytes <= max_lag_bytes && now_ns - of_ns <= r->bytes_good_ns;
}

static bool is_recent(const weir_router *r, const struct wi_host *h, const struct wi_wish *wish)
{
	int64_t now_ns = wish->max_lag_ms || wish->max_lag_bytes ? r->world->now() : 0;

	return (!wish->max_lag_ms || is_young(h, wish->max_lag_ms, now_ns)) &&
	       (!wish->max_lag_bytes || is_close(r, h, wish->max_lag_bytes, now_ns));
}

static bool has_reached(const struct wi_topology *t, const struct wi_host *h,
                        const weir_token *token)
{
	if (!token->lsn)
		return true;
	if (token->system != t->system || (t->primary && t->timeline != token->timeline))
		return false;
	return wi_load_rlx(&h->timeline) == token->timeline && wi_load_rlx(&h->lsn) >= token->lsn;
}

bool wi_is_fresh(weir_router *r, const struct wi_topology *t, const struct wi_host *h,
                 const struct wi_wish *wish)
{
	if (!wish->bounded)
		return true;
	/* Of two histories, which one a standby follows is anybody's guess. */
	if (t->split)
		return false;
	return is_recent(r, h, wish) && has_reached(t, h, &wish->at_least);
}

bool wi_primary_has(const struct wi_topology *t, const struct wi_wish *wish)
{
	const weir_token *token = &wish->at_least;

	if (!token->lsn || (wish->intent == WEIR_WRITE && (!t->timeline || !t->system)))
		return true;
	return token->system == t->system && t->timeline >= token->timeline;
}

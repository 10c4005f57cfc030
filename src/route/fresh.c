/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a host is fresh enough for a wish.
 *
 * A limit of lag is kept by what is known, not by what is likely: a replica is as old as the last
 * time at which it is known to have held all that the primary had. Unknown is not fresh. A token is
 * reached by a replica on the token's own timeline that has replayed so far, and by a primary on
 * that or a later one: positions of different timelines do not compare. What is known may be old,
 * and then errs on the safe side: replicas only move on.
 *
 * The limits of the options decide which replicas serve at all, so they have a hysteresis
 * (wi_standing): a replica at the edge would else come and go with every probe. A request's own
 * limit has none: it is a promise about this read, kept by what is true now.
 *
 * A token is looked up again for every read. It is not dropped when some replica was seen to have
 * reached it: that says nothing of the others.
 *
 * Orderings. [fresh:A1] in has_reached sees the timeline of the position that it finds, or a later
 * one; pairs with [fresh:R1] (conclude.c). [fresh:A2] there finds no position that is older than
 * the timeline; pairs with [fresh:R2]. As both are the same before and after, they belong together.
 * [fresh:A3] in is_close finds no number that is older than its time; pairs with [fresh:R3].
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "route/router.h"

/*
 * What a probe said so lately needs not be asked again, only to hear that a replica is far behind.
 */
#define RECENT_NS (10 * WI_MS)

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
	/* [fresh:A3] sees the number of this time, or a later one; pairs with R3. */
	int64_t of_ns = wi_load_acq(&h->bytes_of_ns);
	int64_t bytes = wi_load_rlx(&h->lag_bytes);

	return bytes >= 0 && bytes <= max_lag_bytes && now_ns - of_ns <= wi_pace_bytes_good_ns(r);
}

static bool is_recent(const weir_router *r, const struct wi_host *h, const struct wi_wish *wish)
{
	int64_t now_ns = wish->max_lag_ms || wish->max_lag_bytes ? r->world->now() : 0;

	return !wi_load_rlx(&h->lagging) &&
	       (!wish->max_lag_ms || is_young(h, wish->max_lag_ms, now_ns)) &&
	       (!wish->max_lag_bytes || is_close(r, h, wish->max_lag_bytes, now_ns));
}

/* Whether the host can ever reach the token, and whether it has. */
static enum wi_freshness has_reached(const weir_router *r, const struct wi_topology *t,
                                     const struct wi_host *h, const weir_token *token)
{
	/* [fresh:A2] sees no position of a timeline before this one; pairs with R2. */
	uint32_t timeline = wi_load_acq(&h->timeline);
	uint64_t lsn;
	bool reached;

	WI_YIELD("fresh.reached.looked");
	/* [fresh:A1] sees this position's timeline, or a later one; pairs with R1. */
	lsn = wi_load_acq(&h->lsn);
	reached = wi_floor_is_reached(r, timeline, lsn);
	if (timeline != wi_load_rlx(&h->timeline))
		return WI_STALE; /* the position may be of the one, or of the other */
	if (!timeline || (t->primary && t->timeline != timeline))
		return token->lsn || !reached ? WI_STALE : WI_FRESH;
	if (token->lsn && (token->system != t->system || token->timeline != timeline))
		return WI_STALE;
	return reached && lsn >= token->lsn ? WI_FRESH : WI_BEHIND;
}

/*
 * It keeps its role without an answer (monitor.c): no question finds it anywhere but where it was,
 * and each is one more login that is refused there.
 */
static bool is_shut_out(const struct wi_host *h)
{
	/* [route:A2] sees the report as the monitor wrote it; pairs with R2. */
	return wi_load_acq(&h->report)->failure.fault != WI_FAULT_NONE;
}

enum wi_freshness wi_freshness_of(weir_router *r, const struct wi_topology *t,
                                  const struct wi_host *h, const struct wi_wish *wish)
{
	enum wi_freshness by_token, by_session = WI_FRESH;

	if (!wish->bounded)
		return WI_FRESH;
	/* Of two histories, which one a standby follows is anybody's guess. */
	if (t->split || !is_recent(r, h, wish))
		return WI_STALE;
	by_token = has_reached(r, t, h, &wish->at_least);
	if (wish->session)
		by_session = wi_session_allows(r, h, wish->session);
	if (by_token == WI_STALE || by_session == WI_STALE)
		return WI_STALE;
	if (by_token == WI_FRESH && by_session == WI_FRESH)
		return WI_FRESH;
	return is_shut_out(h) ? WI_STALE : WI_BEHIND;
}

static bool may_catch_up(const struct wi_host *h, uint64_t ticket, int64_t now_ns, int64_t wait_ns)
{
	int64_t since_ns;
	/* [route:A8] sees what the probe found; pairs with R3. */
	bool known = ticket ? wi_load_acq(&h->probed) >= ticket
	                    : now_ns - wi_load_rlx(&h->answered_ns) < RECENT_NS;

	if (!known)
		return true;
	since_ns = wi_load_rlx(&h->behind_since_ns);
	return since_ns != WI_LAG_UNKNOWN && (!since_ns || now_ns - since_ns <= wait_ns);
}

bool wi_may_catch_up(weir_router *r, const struct wi_wish *wish, uint64_t ticket, int64_t wait_ns)
{
	const struct wi_topology *t = wi_topology_of(r);
	int64_t now_ns = r->world->now();

	for (uint32_t i = 0; i < t->n_readers; i++)
		if (wi_freshness_of(r, t, t->reader[i], wish) == WI_BEHIND &&
		    may_catch_up(t->reader[i], ticket, now_ns, wait_ns))
			return true;
	return false;
}

bool wi_primary_has(weir_router *r, const struct wi_topology *t, const struct wi_wish *wish)
{
	const weir_token *token = &wish->at_least;

	if (wish->intent == WEIR_READ && !wi_floor_allows(r, t->timeline))
		return false;
	if (!token->lsn || token->lsn == UINT64_MAX ||
	    (wish->intent == WEIR_WRITE && (!t->timeline || !t->system)))
		return true;
	return token->system == t->system && t->timeline >= token->timeline;
}

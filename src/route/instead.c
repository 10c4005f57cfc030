/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads that the primary serves in place of replicas, and how many of them there may be at once
 * (read_fallback_max_pct): so that losing the replicas does not cost the writes their connections.
 *
 * One word of the router counts those that are out, or wait in the primary's line. Who would be too
 * many sets a bit of that word and sleeps on it; who lowers it and finds the bit wakes the
 * sleepers. All of that are read-modify-writes of one word, so neither can miss the other.
 */
#include "base/atomic.h"
#include "pool/size.h"
#include "pool/warm.h"
#include "route/router.h"

static uint32_t most(const weir_router *r, const struct wi_host *primary)
{
	uint64_t share = (uint64_t)wi_pool_max(primary->pool) *
	                 (uint64_t)wi_word_load(&r->options.read_fallback_max_pct) / 100;

	return share ? (uint32_t)share : 1;
}

/* A primary that is alone has no writes to lose to the reads of others. */
static bool is_capped(const weir_router *r)
{
	return wi_word_load(&r->options.read_fallback_max_pct) < 100 && wi_hosts_count(r) > 1;
}

bool wi_instead_take(weir_router *r, const struct wi_host *primary, _Atomic uint32_t **raised)
{
	*raised = NULL;
	if (!is_capped(r))
		return true;
	if ((wi_add_rlx(&r->instead, 1) & ~WI_LOAD_AWAITED) < most(r, primary)) {
		*raised = &r->instead;
		return true;
	}
	wi_load_lower(&r->instead, r->world);
	return false;
}

void wi_instead_drop(weir_router *r, _Atomic uint32_t **raised)
{
	if (*raised)
		wi_load_lower(*raised, r->world);
	*raised = NULL;
}

uint32_t wi_instead_held(const weir_router *r)
{
	return wi_load_rlx(&r->instead) & ~WI_LOAD_AWAITED;
}

void wi_instead_wait(weir_router *r, int64_t until_ns)
{
	uint32_t seen = wi_or_rlx(&r->instead, WI_LOAD_AWAITED);

	if (seen & ~WI_LOAD_AWAITED)
		r->world->park(&r->instead, seen | WI_LOAD_AWAITED, until_ns);
}

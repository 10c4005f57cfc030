/* SPDX-License-Identifier: BSD-2-Clause */
/* When to connect again: see the drawing in breaker.h. */
#include "pool/breaker.h"

#include "base/atomic.h"
#include "base/clock.h"

#define FIRST_BACKOFF_MS 10
#define LONGEST_BACKOFF_MS 1000 /* while the breaker is closed */
#define LONGEST_PAUSE_MS 60000  /* while it is open */

void wi_breaker_init(struct wi_breaker *b, int64_t failures_to_open, int64_t first_pause_ms)
{
	b->failures_to_open = failures_to_open;
	b->first_pause_ms = first_pause_ms;
	atomic_init(&b->state, WI_BREAKER_CLOSED);
	b->failures = 0;
	b->openings = 0;
	b->until_ns = 0;
}

bool wi_breaker_allows(struct wi_breaker *b, int64_t now_ns, uint32_t connecting)
{
	if (!b->failures)
		return true;
	if (now_ns < b->until_ns || connecting > 0)
		return false;
	if (wi_load_rlx(&b->state) == WI_BREAKER_OPEN)
		wi_store_rlx(&b->state, WI_BREAKER_HALF_OPEN);
	return true;
}

/* first doubled `times`, at most longest. */
static int64_t doubled(int64_t first, uint32_t times, int64_t longest)
{
	while (times-- > 0 && first < longest)
		first *= 2;
	return first < longest ? first : longest;
}

/* Between half of ms and all of it, so that many pools do not come back in step. */
static int64_t jittered_ns(int64_t ms, struct wi_rng *rng)
{
	int64_t half_us = ms * 500;

	return (half_us + wi_rng_below(rng, (uint32_t)half_us + 1)) * 1000;
}

bool wi_breaker_failed(struct wi_breaker *b, int64_t now_ns, bool at_once, struct wi_rng *rng)
{
	enum wi_breaker_state before = wi_load_rlx(&b->state);
	bool opens = b->failures_to_open > 0 && (at_once || before != WI_BREAKER_CLOSED ||
	                                         b->failures + 1 >= b->failures_to_open);
	int64_t ms = opens ? doubled(b->first_pause_ms, b->openings, LONGEST_PAUSE_MS)
	                   : doubled(FIRST_BACKOFF_MS, b->failures, LONGEST_BACKOFF_MS);

	b->failures++;
	b->until_ns = now_ns + jittered_ns(ms, rng);
	if (!opens)
		return false;
	b->openings++;
	wi_store_rlx(&b->state, WI_BREAKER_OPEN);
	return before == WI_BREAKER_CLOSED;
}

bool wi_breaker_succeeded(struct wi_breaker *b)
{
	bool was_open = wi_load_rlx(&b->state) != WI_BREAKER_CLOSED;

	b->failures = 0;
	b->openings = 0;
	b->until_ns = 0;
	wi_store_rlx(&b->state, WI_BREAKER_CLOSED);
	return was_open;
}

int64_t wi_breaker_due(const struct wi_breaker *b)
{
	return b->failures ? b->until_ns : 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* When to connect again: see the drawing in breaker.h. */
#include "pool/breaker.h"

#include "base/atomic.h"
#include "base/clock.h"

#define FIRST_BACKOFF_MS 10
#define LONGEST_BACKOFF_MS 1000 /* while the breaker is closed */
#define WIDEST 1024             /* connect_parallel is the bound that counts */

static void start_anew(struct wi_breaker *b)
{
	b->failures = b->steps = b->openings = 0;
	b->paused_ns = b->until_ns = 0;
}

void wi_breaker_init(struct wi_breaker *b, int64_t failures_to_open, int64_t first_pause_ms,
                     int64_t longest_pause_ms)
{
	b->failures_to_open = failures_to_open;
	b->first_pause_ms = first_pause_ms;
	b->longest_pause_ms = longest_pause_ms;
	atomic_init(&b->state, WI_BREAKER_CLOSED);
	b->window = 1;
	start_anew(b);
}

void wi_breaker_tune(struct wi_breaker *b, int64_t failures_to_open, int64_t first_pause_ms,
                     int64_t longest_pause_ms)
{
	b->failures_to_open = failures_to_open;
	b->first_pause_ms = first_pause_ms;
	b->longest_pause_ms = longest_pause_ms;
	if (failures_to_open > 0 || wi_load_rlx(&b->state) == WI_BREAKER_CLOSED)
		return;
	wi_store_rlx(&b->state, WI_BREAKER_CLOSED); /* there is no breaker any more */
	start_anew(b);
}

bool wi_breaker_allows(struct wi_breaker *b, int64_t now_ns, uint32_t connecting)
{
	if (connecting >= b->window)
		return false;
	if (!b->steps)
		return true;
	if (now_ns < b->until_ns)
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

static bool opens(const struct wi_breaker *b, enum wi_breaker_state before, enum wi_setback setback)
{
	if (b->failures_to_open <= 0)
		return false;
	if (before != WI_BREAKER_CLOSED || setback == WI_SETBACK_LASTING)
		return true;
	return setback != WI_SETBACK_FULL && b->failures >= b->failures_to_open;
}

static int64_t pause_ms(const struct wi_breaker *b, bool is_open, enum wi_setback setback)
{
	int64_t longest = b->longest_pause_ms;

	if (!is_open)
		return doubled(FIRST_BACKOFF_MS, b->steps, LONGEST_BACKOFF_MS);
	if (setback == WI_SETBACK_STARTING || setback == WI_SETBACK_FULL)
		longest = LONGEST_BACKOFF_MS;
	return doubled(b->first_pause_ms, b->openings, longest);
}

bool wi_breaker_failed(struct wi_breaker *b, int64_t now_ns, int64_t begun_ns,
                       enum wi_setback setback, struct wi_rng *rng)
{
	enum wi_breaker_state before = wi_load_rlx(&b->state);
	bool same_step = b->steps && begun_ns < b->paused_ns;
	bool open;

	b->window = 1;
	b->failures += setback != WI_SETBACK_FULL;
	open = opens(b, before, setback);
	if (same_step && (!open || before != WI_BREAKER_CLOSED))
		return false;
	b->paused_ns = now_ns;
	b->until_ns = now_ns + jittered_ns(pause_ms(b, open, setback), rng);
	b->steps++;
	if (!open)
		return false;
	b->openings++;
	wi_store_rlx(&b->state, WI_BREAKER_OPEN);
	return before == WI_BREAKER_CLOSED;
}

bool wi_breaker_succeeded(struct wi_breaker *b)
{
	bool was_open = wi_load_rlx(&b->state) != WI_BREAKER_CLOSED;

	start_anew(b);
	if (b->window < WIDEST)
		b->window++; /* for each of so many: doubles a round */
	wi_store_rlx(&b->state, WI_BREAKER_CLOSED);
	return was_open;
}

void wi_breaker_lost(struct wi_breaker *b)
{
	b->window = 1;
}

bool wi_breaker_retry(struct wi_breaker *b, int64_t now_ns)
{
	if (!b->steps || b->until_ns <= now_ns)
		return false;
	b->until_ns = now_ns;
	return true;
}

int64_t wi_breaker_due(const struct wi_breaker *b)
{
	return b->steps ? b->until_ns : 0;
}

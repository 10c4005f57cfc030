/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many connections the load needs, measured: with adaptive=on that many are kept open, idle or
 * not, instead of pool_min, and more than that are closed, as soon as they are idle and some
 * seconds old, without waiting for idle_timeout_ms. Callers that wait still have connections opened
 * for them up to the maximum, at once, so that a wrong measure costs a connect and nobody's time.
 *
 * Measuring costs users nothing: ten times a second the keeper looks at counts that are there
 * anyway. Each second it concludes: how many are needed is the rate of arrivals times the time that
 * one is served (Little's law), and who waits needs one, too. Served connections are random in
 * number, so there is headroom of twice the square root of the need (square-root staffing; Halfin,
 * Whitt, "Heavy-traffic limits for queues with many exponential servers", 1981).
 *
 * Up at once, down slowly: the number falls only when it was not needed for half a minute, by a
 * quarter of the difference a second, and not at all for a difference of an eighth. So bursts that
 * come more often than that find their connections open, and noise moves nothing.
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "pool/size.h"

#define SAMPLE_NS (100 * WI_MS)
#define SAMPLES 10
/* Needs are in thousandths of a connection. */
#define ONE INT64_C(1000)

bool wi_adapts(const struct weir_pool *pool)
{
	return pool->options.adaptive != 0;
}

uint32_t wi_pool_kept(const struct weir_pool *pool)
{
	uint32_t min = wi_pool_min(pool), max = wi_pool_max(pool), n = pool->adapt.target;

	if (pool->quiet)
		return 0;
	if (!wi_adapts(pool) || n < min)
		return min;
	return n < max ? n : max;
}

/* What the last second needed, by Little's law, in thousandths. */
static int64_t need(const struct wi_adapt *a, uint64_t lent, uint64_t returned, uint32_t waiting)
{
	int64_t busy = (int64_t)a->busy * ONE / SAMPLES,
		waits = (int64_t)a->waiting * ONE / SAMPLES;
	int64_t arrived = (int64_t)(lent - a->lent) + waiting - a->was_waiting;
	int64_t served = (int64_t)(returned - a->returned);

	/* Served for so long each, on average: busy / served; that many arrived. */
	if (served > 0 && arrived > 0)
		busy = busy * arrived / served;
	return busy + waits;
}

static uint32_t with_headroom(int64_t needed)
{
	int64_t root = 0;

	while (root * root * ONE < 4 * needed)
		root++;
	return needed < ONE / 20 ? 0 : (uint32_t)((needed + ONE - 1) / ONE + root);
}

static uint32_t highest(const struct wi_adapt *a)
{
	uint32_t most = 0;

	for (int i = 0; i < WI_ADAPT_WINDOWS; i++)
		most = a->wanted[i] > most ? a->wanted[i] : most;
	return most;
}

static void aim(struct wi_adapt *a, uint32_t want)
{
	uint32_t most, above;

	a->wanted[a->next++ % WI_ADAPT_WINDOWS] = want;
	if (want > a->target) {
		a->target = want;
		return;
	}
	most = highest(a);
	above = a->target - most;
	if (above > a->target / 8)
		a->target -= (above + 3) / 4;
}

static void conclude(struct weir_pool *pool, uint64_t lent, uint64_t returned, uint32_t waiting)
{
	struct wi_adapt *a = &pool->adapt;
	uint32_t want = with_headroom(need(a, lent, returned, waiting)), max = wi_pool_max(pool);

	aim(a, want < max ? want : max);
	a->lent = lent;
	a->returned = returned;
	a->was_waiting = waiting;
	a->busy = a->waiting = a->samples = 0;
}

void wi_adapt_step(struct weir_pool *pool, int64_t now_ns)
{
	struct wi_adapt *a = &pool->adapt;
	uint64_t lent, returned;
	uint32_t waiting;

	if (!wi_adapts(pool) || now_ns < a->sample_ns)
		return;
	a->sample_ns = now_ns + SAMPLE_NS;
	waiting = wi_core_waiting(&pool->core);
	wi_core_sums(&pool->core, &lent, &returned);
	a->busy += (uint32_t)(lent - returned);
	a->waiting += waiting;
	if (++a->samples == SAMPLES)
		conclude(pool, lent, returned, waiting);
	wi_store_rlx(&pool->shown_kept, wi_pool_kept(pool));
}

int64_t wi_adapt_due(const struct weir_pool *pool)
{
	return wi_adapts(pool) ? pool->adapt.sample_ns : WI_FOREVER;
}

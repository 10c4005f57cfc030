/* SPDX-License-Identifier: BSD-2-Clause */
/* The primary's history and a replica's place in it; lag.h tells the idea. */
#include "route/lag.h"

#include <string.h>

void wi_lag_reset(struct wi_lag_history *h)
{
	h->count = 0;
}

/*
 * Drops the sample that is missed least: the gap it leaves is the smallest for its age, so that
 * what is left is spaced as a logarithm is and a lag of days is told as well as one of seconds,
 * within about a tenth. Never the first or the last. What is left is true: an as_of found in it can
 * only be earlier than the dropped one would have made it.
 */
static void drop_one(struct wi_lag_history *h, int64_t now_ns)
{
	uint32_t which = 1;
	double least = 0;

	for (uint32_t i = 1; i + 1 < h->count; i++) {
		const struct wi_lag_sample *s = &h->sample[i];
		double gap = (double)(s[1].first_ns - s[-1].first_ns) /
		             ((double)(now_ns - s->first_ns) + 1);

		if (i == 1 || gap < least) {
			least = gap;
			which = i;
		}
	}
	memmove(&h->sample[which], &h->sample[which + 1],
	        (h->count - which - 1) * sizeof(h->sample[0]));
	h->count--;
}

void wi_lag_add(struct wi_lag_history *h, uint64_t lsn, int64_t asked_ns, int64_t answered_ns)
{
	struct wi_lag_sample *last = h->count ? &h->sample[h->count - 1] : NULL;

	if (last && lsn == last->lsn) {
		last->last_ns = asked_ns;
		return;
	}
	if (last && lsn < last->lsn)
		wi_lag_reset(h);
	if (h->count == WI_LAG_SAMPLES)
		drop_one(h, answered_ns);
	h->sample[h->count++] =
		(struct wi_lag_sample){.lsn = lsn, .first_ns = answered_ns, .last_ns = asked_ns};
}

/* How many samples are at or before lsn. */
static uint32_t samples_reached(const struct wi_lag_history *h, uint64_t lsn)
{
	uint32_t low = 0, high = h->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (h->sample[middle].lsn <= lsn)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct wi_lag wi_lag_of(const struct wi_lag_history *h, uint64_t lsn)
{
	struct wi_lag lag = {
		.as_of_ns = WI_LAG_UNKNOWN, .behind_since_ns = WI_LAG_UNKNOWN, .bytes = -1};
	uint32_t reached = samples_reached(h, lsn);
	uint64_t latest;

	if (!h->count)
		return lag;
	latest = h->sample[h->count - 1].lsn;
	lag.bytes = latest > lsn ? (int64_t)(latest - lsn) : 0;
	if (reached)
		lag.as_of_ns = h->sample[reached - 1].last_ns;
	lag.behind_since_ns = reached < h->count ? h->sample[reached].first_ns : 0;
	return lag;
}

void wi_standing_weigh(struct wi_standing *s, bool over, bool well)
{
	s->well = well ? s->well + 1 : 0;
	if (over)
		s->out = true;
	else if (s->well >= WI_STANDING_ANSWERS)
		s->out = false;
}

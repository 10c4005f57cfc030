/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log-linear histogram; the drawing is in hist.h.
 *
 * Orderings: none. Each bucket is a number that is only itself. A reader beside a writer may see a
 * bucket and not yet the maximum it belongs to; quantiles are held down to the maximum seen, so a
 * view never contradicts itself.
 */
#include "stat/hist.h"

#include "base/atomic.h"

#define SUB_BITS 4
_Static_assert(WI_HIST_SUB == 1 << SUB_BITS, "WI_HIST_SUB is a power of two");

static unsigned bucket_of(uint64_t ns)
{
	unsigned power;

	if (ns < WI_HIST_SUB)
		return (unsigned)ns;
	if (ns >> WI_HIST_TOP)
		return WI_HIST_BUCKETS - 1;
	power = 63 - (unsigned)__builtin_clzll(ns);
	/* (ns >> shift) is 16..31: its leading bit and the four below it */
	return (power - SUB_BITS) * WI_HIST_SUB + (unsigned)(ns >> (power - SUB_BITS));
}

/* The largest value of a bucket. */
static uint64_t bucket_bound(unsigned bucket)
{
	unsigned shift;

	if (bucket < 2 * WI_HIST_SUB)
		return bucket;
	shift = bucket / WI_HIST_SUB - 1;
	return ((uint64_t)(bucket % WI_HIST_SUB + WI_HIST_SUB + 1) << shift) - 1;
}

/* ---- the bounds that outsiders know ---- */

#define US INT64_C(1000)
#define MS (1000 * US)
#define SEC (1000 * MS)

static const int64_t bound_ns[WEIR_HISTOGRAM_BOUNDS] = {
	10 * US,   25 * US, 50 * US,  100 * US, 250 * US, 500 * US, 1 * MS,   2500 * US,
	5 * MS,    10 * MS, 25 * MS,  50 * MS,  100 * MS, 250 * MS, 500 * MS, 1 * SEC,
	2500 * MS, 5 * SEC, 10 * SEC, 30 * SEC, 60 * SEC, 300 * SEC};

int64_t weir_histogram_bound_ns(size_t i)
{
	return i < WEIR_HISTOGRAM_BOUNDS ? bound_ns[i] : INT64_MAX;
}

static unsigned coarse_of(uint64_t ns)
{
	unsigned i = 0;

	while (i < WEIR_HISTOGRAM_BOUNDS && ns > (uint64_t)bound_ns[i])
		i++;
	return i;
}

/* ---- adding and reading ---- */

void wi_hist_add(struct wi_hist *h, int64_t ns)
{
	wi_hist_add_many(h, ns, 1);
}

void wi_hist_add_many(struct wi_hist *h, int64_t ns, uint64_t n)
{
	uint64_t value = ns > 0 ? (uint64_t)ns : 0;
	uint64_t max = wi_load_rlx(&h->max_ns);

	while (value > max && !wi_cas_rlx(&h->max_ns, &max, value))
		;
	wi_add_rlx(&h->sum_ns, value * n);
	wi_add_rlx(&h->bucket[bucket_of(value)], n);
	wi_add_rlx(&h->coarse[coarse_of(value)], n);
}

void wi_hist_read(const struct wi_hist *h, struct wi_hist_view *view)
{
	view->count = 0;
	for (unsigned i = 0; i < WI_HIST_BUCKETS; i++) {
		view->bucket[i] = wi_load_rlx(&h->bucket[i]);
		view->count += view->bucket[i];
	}
	view->max_ns = wi_load_rlx(&h->max_ns);
}

uint64_t wi_hist_quantile(const struct wi_hist_view *view, unsigned per_mille)
{
	/* ceil(count * per_mille / 1000) without the product, which could overflow */
	uint64_t rank =
		view->count / 1000 * per_mille + (view->count % 1000 * per_mille + 999) / 1000;
	uint64_t seen = 0;

	if (!view->count)
		return 0;
	if (!rank)
		rank = 1;
	for (unsigned i = 0; i < WI_HIST_BUCKETS - 1; i++) {
		seen += view->bucket[i];
		if (seen >= rank)
			return bucket_bound(i) < view->max_ns ? bucket_bound(i) : view->max_ns;
	}
	return view->max_ns; /* the last bucket has no bound of its own */
}

void wi_hist_durations(const struct wi_hist *h, weir_durations *durations)
{
	struct wi_hist_view view;

	wi_hist_read(h, &view);
	*durations = (weir_durations){
		.count = view.count,
		.p50_ns = wi_hist_quantile(&view, 500),
		.p90_ns = wi_hist_quantile(&view, 900),
		.p99_ns = wi_hist_quantile(&view, 990),
		.p999_ns = wi_hist_quantile(&view, 999),
		.max_ns = view.max_ns,
	};
}

void wi_hist_histogram(const struct wi_hist *h, weir_histogram *histogram)
{
	*histogram = (weir_histogram){.sum_ns = wi_load_rlx(&h->sum_ns)};
	for (unsigned i = 0; i <= WEIR_HISTOGRAM_BOUNDS; i++) {
		histogram->bucket[i] = wi_load_rlx(&h->coarse[i]);
		histogram->count += histogram->bucket[i];
	}
}

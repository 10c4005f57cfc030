/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A histogram of durations with buckets that grow with the value: 16 to each power of two, so that
 * a bucket's upper bound is at most 1/16 above any value in it, from 1 ns to 2^40 ns (18 minutes).
 * What is longer shares the last bucket; the longest of all is kept exactly.
 *
 *   value   0 1 2 ... 15 | 16 17 ... 31 | 32-33 34-35 ... 62-63 | 64-67 ... | ...
 *   bucket  0 1 2 ... 15 | 16 17 ... 31 | 32    33    ... 47    | 48    ... | ...
 *
 * Any thread may add and read at any time. An add is a few relaxed atomic steps on shared lines, so
 * histograms are for what already waited: connects, waits, queries; never for the warm path.
 *
 * The bounds that outsiders know are decimal, and none of them is a bucket's: so those are counted
 * on the side, and exact.
 */
#ifndef WI_STAT_HIST_H
#define WI_STAT_HIST_H

#include <stdint.h>

#include <weir/stats.h>

#define WI_HIST_SUB 16 /* buckets a power of two */
/* Values below 2^40 have buckets of their own; fewer in a build that explores interleavings. */
#ifndef WI_HIST_TOP
#define WI_HIST_TOP 40
#endif
#define WI_HIST_BUCKETS ((WI_HIST_TOP - 3) * WI_HIST_SUB)

/* (a) all members are atomic, any thread. Zeroed memory is an empty histogram. */
struct wi_hist {
	_Atomic uint64_t max_ns, sum_ns;
	_Atomic uint64_t bucket[WI_HIST_BUCKETS];
	_Atomic uint64_t coarse[WEIR_HISTOGRAM_BOUNDS + 1]; /* the same by the public bounds */
};

/* What a histogram held at one moment; count is the sum of the buckets. */
struct wi_hist_view {
	uint64_t count;
	uint64_t max_ns;
	uint64_t bucket[WI_HIST_BUCKETS];
};

/* Adds one duration; a negative one counts as 0. Any thread; never blocks. */
void wi_hist_add(struct wi_hist *h, int64_t ns);

/* The same for one that stands for n of them. */
void wi_hist_add_many(struct wi_hist *h, int64_t ns, uint64_t n);

/*
 * Reads a histogram, while others add to it if need be: then some of their values are in it and
 * some not.
 */
void wi_hist_read(const struct wi_hist *h, struct wi_hist_view *view);

/*
 * The smallest bucket bound that at least `per_mille` of 1000 values do not exceed, never above the
 * longest; 0 if empty.
 */
uint64_t wi_hist_quantile(const struct wi_hist_view *view, unsigned per_mille);

/* The public summary, and the public buckets. */
void wi_hist_durations(const struct wi_hist *h, weir_durations *durations);
void wi_hist_histogram(const struct wi_hist *h, weir_histogram *histogram);

#endif

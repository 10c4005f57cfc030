/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A histogram of durations in the manner of HdrHistogram: 64 buckets for every power of two, so
 * that a quantile is known within 1.6 % from a nanosecond to half an hour. One thread writes;
 * histograms are merged when all writers are done. (Debian 12 has no C library of HdrHistogram;
 * this is the part of it that a bench needs.)
 */
#ifndef CLI_HIST_H
#define CLI_HIST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLI_HIST_SUB_BITS 6
#define CLI_HIST_TOP_BIT 40 /* above 2^41 ns, 37 minutes, everything falls into the last bucket */
#define CLI_HIST_BUCKETS ((CLI_HIST_TOP_BIT - CLI_HIST_SUB_BITS + 2) << CLI_HIST_SUB_BITS)

struct cli_hist {
	uint64_t count;
	uint64_t max;
	uint64_t bucket[CLI_HIST_BUCKETS];
};

/* Counts one duration; a negative one counts as 0. */
void cli_hist_add(struct cli_hist *hist, int64_t ns);

void cli_hist_merge(struct cli_hist *to, const struct cli_hist *from);

/*
 * The duration that a share of all (990: 99 %) does not exceed: the upper bound of its bucket, or
 * the maximum if that is lower. 0 if nothing was counted.
 */
uint64_t cli_hist_quantile(const struct cli_hist *hist, unsigned per_mille);

/* The largest value of a bucket. */
uint64_t cli_hist_top(size_t bucket);

#ifdef __cplusplus
}
#endif

#endif

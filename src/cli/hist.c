/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A histogram of durations: 64 buckets for every power of two.
 *
 *   value    0 .. 127                 one bucket each (two rows of 64)
 *   value    2^e .. 2^(e+1) - 1       one row of 64 buckets, each 2^(e-6) wide
 */
#include "cli/hist.h"

#define SUB_COUNT (1u << CLI_HIST_SUB_BITS)

static size_t bucket_of(uint64_t value)
{
	unsigned bit, shift;

	if (value < SUB_COUNT)
		return value;
	bit = 63u - (unsigned)__builtin_clzll(value);
	if (bit > CLI_HIST_TOP_BIT)
		return CLI_HIST_BUCKETS - 1;
	shift = bit - CLI_HIST_SUB_BITS;
	return (size_t)shift * SUB_COUNT + (value >> shift);
}

uint64_t cli_hist_top(size_t bucket)
{
	size_t shift;

	if (bucket < SUB_COUNT)
		return bucket;
	shift = bucket / SUB_COUNT - 1;
	return ((bucket - shift * SUB_COUNT + 1) << shift) - 1;
}

void cli_hist_add(struct cli_hist *hist, int64_t ns)
{
	uint64_t value = ns < 0 ? 0 : (uint64_t)ns;

	hist->count++;
	hist->bucket[bucket_of(value)]++;
	if (value > hist->max)
		hist->max = value;
}

void cli_hist_merge(struct cli_hist *to, const struct cli_hist *from)
{
	to->count += from->count;
	if (from->max > to->max)
		to->max = from->max;
	for (size_t i = 0; i < CLI_HIST_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
}

uint64_t cli_hist_quantile(const struct cli_hist *hist, unsigned per_mille)
{
	uint64_t rank = (hist->count * per_mille + 999) / 1000; /* rounded up */
	uint64_t seen = 0;

	if (!hist->count)
		return 0;
	for (size_t i = 0; i < CLI_HIST_BUCKETS; i++) {
		seen += hist->bucket[i];
		if (seen >= rank) /* the last bucket has no upper bound but the maximum */
			return i + 1 < CLI_HIST_BUCKETS && cli_hist_top(i) < hist->max
			               ? cli_hist_top(i)
			               : hist->max;
	}
	return hist->max;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What workers of `weir bench` saw by slices of time. A worker counts for itself and hands in when
 * its next request begins in another slice, so a lock is taken once a slice.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench_run.h"
#include "cli/text.h"

struct cli_slices *cli_slices_create(int64_t begin_ns, int64_t duration_ns)
{
	struct cli_slices *slices = cli_alloc(1, sizeof(*slices));

	slices->begin_ns = begin_ns;
	slices->each_ns = duration_ns / CLI_SLICES;
	pthread_mutex_init(&slices->lock, NULL);
	return slices;
}

void cli_slices_destroy(struct cli_slices *slices)
{
	if (slices)
		pthread_mutex_destroy(&slices->lock);
	free(slices);
}

static size_t slice_of(const struct cli_slices *slices, int64_t began_ns)
{
	int64_t at = (began_ns - slices->begin_ns) / slices->each_ns;

	return at < 0 ? 0 : at < CLI_SLICES ? (size_t)at : CLI_SLICES - 1;
}

static void merge(struct cli_part *to, const struct cli_part *from)
{
	if (!from->time[CLI_TIME_WAIT].count)
		return;
	to->queries += from->queries;
	for (int t = 0; t < CLI_TIMES; t++)
		cli_hist_merge(&to->time[t], &from->time[t]);
}

void cli_slice_hand_in(struct cli_slices *slices, struct cli_slice *mine)
{
	pthread_mutex_lock(&slices->lock);
	for (int i = 0; i < CLI_INTENTS; i++)
		merge(&slices->part[mine->at][i], &mine->part[i]);
	pthread_mutex_unlock(&slices->lock);
	memset(mine->part, 0, sizeof(mine->part));
}

struct cli_part *cli_slice_part(struct cli_slices *slices, struct cli_slice *mine, int64_t began_ns,
                                int intent)
{
	size_t at = slice_of(slices, began_ns);

	if (at != mine->at) {
		cli_slice_hand_in(slices, mine);
		mine->at = at;
	}
	return &mine->part[intent];
}

static double quantile(const struct cli_part *part, enum cli_time time, unsigned per_mille)
{
	const struct cli_hist *hist = &part->time[time];

	return hist->count ? (double)cli_hist_quantile(hist, per_mille) : NAN;
}

static void take_measures(struct cli_run *run, int intent, size_t at, const struct cli_part *part)
{
	double(*m)[CLI_SLICES] = run->measure[intent];

	m[CLI_RATE][at] = (double)part->queries / run->slice_s;
	m[CLI_WAIT_P50][at] = quantile(part, CLI_TIME_WAIT, 500);
	m[CLI_WAIT_P99][at] = quantile(part, CLI_TIME_WAIT, 990);
	m[CLI_QUERY_P50][at] = quantile(part, CLI_TIME_QUERY, 500);
	m[CLI_QUERY_P99][at] = quantile(part, CLI_TIME_QUERY, 990);
	m[CLI_HOLD_P50][at] = quantile(part, CLI_TIME_HOLD, 500);
	m[CLI_HOLD_P99][at] = quantile(part, CLI_TIME_HOLD, 990);
}

void cli_slices_conclude(const struct cli_slices *slices, int64_t end_ns, struct cli_run *run)
{
	int64_t whole = (end_ns - slices->begin_ns) / slices->each_ns;

	run->seconds = (double)(end_ns - slices->begin_ns) / 1e9;
	run->slice_s = (double)slices->each_ns / 1e9;
	run->n_slices = whole < CLI_SLICES ? (size_t)whole : CLI_SLICES;
	for (size_t s = 0; s < CLI_SLICES; s++)
		for (int i = 0; i < CLI_INTENTS; i++) {
			merge(&run->all[i], &slices->part[s][i]);
			take_measures(run, i, s, &slices->part[s][i]);
		}
}

const char *cli_measure_name(enum cli_measure measure)
{
	static const char *const names[CLI_MEASURES] = {
		[CLI_RATE] = "rate",           [CLI_WAIT_P50] = "wait_p50",
		[CLI_WAIT_P99] = "wait_p99",   [CLI_QUERY_P50] = "query_p50",
		[CLI_QUERY_P99] = "query_p99", [CLI_HOLD_P50] = "hold_p50",
		[CLI_HOLD_P99] = "hold_p99",
	};

	return names[measure];
}

const char *cli_time_name(enum cli_time time)
{
	static const char *const names[CLI_TIMES] = {
		[CLI_TIME_WAIT] = "wait", [CLI_TIME_QUERY] = "query", [CLI_TIME_HOLD] = "hold"};

	return names[time];
}

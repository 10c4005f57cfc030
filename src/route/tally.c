/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of counters by seat number; tally.h tells the idea. */
#include "route/tally.h"

#include <string.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/line.h"

static size_t segment_bytes(const struct wi_tallies *t)
{
	return (size_t)t->row_bytes * WI_SEATS_A_SEGMENT;
}

bool wi_tallies_init(struct wi_tallies *t, uint32_t n_hosts)
{
	size_t bytes = (size_t)n_hosts * WI_TALLIES * sizeof(struct wi_counter);

	t->n_hosts = n_hosts;
	t->row_bytes = (uint32_t)((bytes + WI_LINE - 1) / WI_LINE * WI_LINE);
	for (uint32_t i = 0; i < WI_SEGMENTS_MAX; i++)
		atomic_init(&t->segment[i], NULL);
	t->rest = wi_alloc_aligned(t->row_bytes, WI_LINE);
	return t->rest != NULL;
}

void wi_tallies_fini(struct wi_tallies *t)
{
	for (uint32_t i = 0; i < WI_SEGMENTS_MAX; i++)
		wi_free(wi_load_rlx(&t->segment[i]), segment_bytes(t));
	wi_free(t->rest, t->row_bytes);
}

void wi_tallies_clear(struct wi_tallies *t)
{
	for (uint32_t i = 0; i < WI_SEGMENTS_MAX; i++) {
		char *segment = wi_load_rlx(&t->segment[i]);

		if (segment)
			memset(segment, 0, segment_bytes(t));
	}
	memset(t->rest, 0, t->row_bytes);
}

/* The i-th segment, or NULL if there is none. */
static char *segment_at(const struct wi_tallies *t, uint32_t i)
{
	/* [tally:A1] sees the segment as its maker left it; pairs with R1. */
	return wi_load_acq(&t->segment[i]);
}

static WI_COLD char *segment_make(struct wi_tallies *t, uint32_t i)
{
	char *mine = wi_alloc_aligned(segment_bytes(t), WI_LINE), *there = NULL;

	/*
	 * [tally:R1] publishes the zeroed segment; pairs with A1. Whoever is second takes the first
	 * one's.
	 */
	if (!mine || wi_cas_acq_rel(&t->segment[i], &there, mine))
		return mine;
	wi_free(mine, segment_bytes(t));
	return there;
}

static struct wi_counter *row_in(const struct wi_tallies *t, char *segment, uint32_t number)
{
	return (struct wi_counter *)(void *)(segment +
	                                     (size_t)(number % WI_SEATS_A_SEGMENT) * t->row_bytes);
}

void wi_tally_add(struct wi_tallies *t, const struct wi_seat *seat, uint32_t host,
                  enum wi_tally what)
{
	uint32_t i = seat->number / WI_SEATS_A_SEGMENT;
	char *segment = segment_at(t, i);

	if (wi_unlikely(!segment) && !(segment = segment_make(t, i))) {
		wi_counter_add_shared(&t->rest[host * WI_TALLIES + what], 1);
		return;
	}
	wi_counter_add(&row_in(t, segment, seat->number)[host * WI_TALLIES + what], 1);
}

uint64_t wi_tally_sum(const struct wi_tallies *t, uint32_t host, enum wi_tally what)
{
	uint32_t at = host * WI_TALLIES + what;
	uint64_t sum = wi_counter_read(&t->rest[at]);

	for (uint32_t i = 0; i < WI_SEGMENTS_MAX; i++) {
		char *segment = segment_at(t, i);

		for (uint32_t k = 0; segment && k < WI_SEATS_A_SEGMENT; k++)
			sum += wi_counter_read(&row_in(t, segment, k)[at]);
	}
	return sum;
}

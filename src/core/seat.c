/* SPDX-License-Identifier: BSD-2-Clause */
/* Handing out seats: bits in segments, and a new segment when all are taken. */
#include "core/seat.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/atomic.h"

#define ALL_SEATS (~UINT64_C(0) >> (64 - WI_SEATS_A_SEGMENT))

void wi_seats_init(struct wi_seats *seats)
{
	for (uint32_t i = 0; i < WI_SEGMENTS_MAX; i++)
		atomic_init(&seats->segment[i], NULL);
}

void wi_seats_fini(struct wi_seats *seats)
{
	for (uint32_t i = 0; i < WI_SEGMENTS_MAX; i++)
		wi_free(wi_load_rlx(&seats->segment[i]), sizeof(struct wi_segment));
}

static struct wi_segment *segment_make(uint32_t index)
{
	struct wi_segment *g = wi_alloc_aligned(sizeof(*g), WI_LINE);

	if (!g)
		return NULL;
	for (uint32_t i = 0; i < WI_SEATS_A_SEGMENT; i++) {
		g->seat[i].number = index * WI_SEATS_A_SEGMENT + i;
		wi_rng_seed(&g->seat[i].rng, (uint64_t)(uintptr_t)&g->seat[i]);
	}
	return g;
}

/* The i-th segment; made if it is the first missing one. NULL: no memory, or no more. */
static struct wi_segment *segment_or_new(struct wi_seats *seats, uint32_t i)
{
	struct wi_segment *there = wi_segment_at(seats, i), *mine;

	if (there || i >= WI_SEGMENTS_MAX)
		return there;
	mine = segment_make(i);
	if (!mine)
		return NULL;
	/*
	 * [seat:R1] publishes the new segment; pairs with A1. Whoever is second takes the first
	 * one's.
	 */
	if (wi_cas_seq(&seats->segment[i], &there, mine))
		return mine;
	wi_free(mine, sizeof(*mine));
	return there;
}

/*
 * Takes any free bit of a segment, or -1. Lock-free: a bit is lost only to another thread that got
 * it.
 */
static int bit_take(struct wi_segment *g)
{
	uint64_t taken = wi_load_rlx(&g->taken);

	while (ALL_SEATS & ~taken) {
		int bit = __builtin_ctzll(ALL_SEATS & ~taken);

		/* [seat:A2] sees the seat as the thread before left it; pairs with R2. */
		taken = wi_or_seq(&g->taken, UINT64_C(1) << bit);
		if (!(taken >> bit & 1))
			return bit;
	}
	return -1;
}

struct wi_seat *wi_seats_take(struct wi_seats *seats)
{
	struct wi_segment *g;

	for (uint32_t i = 0; (g = segment_or_new(seats, i)); i++) {
		int bit = bit_take(g);

		if (bit >= 0)
			return &g->seat[bit];
	}
	return NULL;
}

void wi_seats_leave(struct wi_seats *seats, struct wi_seat *seat)
{
	struct wi_segment *g = wi_segment_at(seats, seat->number / WI_SEATS_A_SEGMENT);
	uint64_t bit = UINT64_C(1) << seat->number % WI_SEATS_A_SEGMENT;

	wi_assert(wi_load_rlx(&seat->cached) == WI_SLOT_NONE);
	wi_assert(!(wi_load_rlx(&g->waiting) & bit));
	wi_store_rlx(&seat->owner, 0);
	/* [seat:R2] leaves rng, pin and word to the next thread; pairs with A2. */
	wi_and_acq_rel(&g->taken, ~bit);
}

uint64_t wi_seats_sum(const struct wi_seats *seats, uint32_t which)
{
	struct wi_segment *g;
	uint64_t sum = 0;

	for (uint32_t i = 0; (g = wi_segment_at(seats, i)); i++)
		for (uint32_t b = 0; b < WI_SEATS_A_SEGMENT; b++)
			/* [seat:A3] sees what was counted before; pairs with [route:R9]. */
			sum += wi_load_acq(&g->seat[b].count[which]);
	return sum;
}

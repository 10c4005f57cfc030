/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. Who served what is counted in a row of one's own: each thread has a seat (core/seat.h),
 * each seat's number has a row here, and only its thread writes to it. Rows come in segments of 64,
 * made at first use, and stay as long as the router. A total is the sum over rows; after the load
 * has stopped it is exact.
 *
 * States. A segment: missing --made, any thread--> there.
 *
 * Invariants.
 *   I1  a row is written by the thread that has the seat of its number, and by no other
 *   I2  a count that found no memory for its row went to `rest`, so sums are complete
 *
 * Orderings. [tally:R1] publishes a zeroed segment, [tally:A1] sees it so. A seat that goes to
 * another thread hands its row over with it: the seat's own orderings carry that.
 *
 * Progress. Wait-free but for the allocator.
 */
#ifndef WI_ROUTE_TALLY_H
#define WI_ROUTE_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/seat.h"
#include "stat/counter.h"

enum wi_tally { WI_TALLY_READ, WI_TALLY_WRITE, WI_TALLY_FALLBACK, WI_TALLIES };

struct wi_tallies {
	uint32_t n_hosts;                         /* (c) */
	uint32_t row_bytes;                       /* (c) a multiple of a cache line */
	_Atomic(char *) segment[WI_SEGMENTS_MAX]; /* (a) */
	struct wi_counter *rest; /* (a) of threads without a row: one row, shared */
};

/* false: no memory. */
bool wi_tallies_init(struct wi_tallies *tallies, uint32_t n_hosts);
void wi_tallies_fini(struct wi_tallies *tallies);

/* All counts are 0 again. Nobody may be counting. */
void wi_tallies_clear(struct wi_tallies *tallies);

/* Counts one checkout; the seat's thread. */
void wi_tally_add(struct wi_tallies *tallies, const struct wi_seat *seat, uint32_t host,
                  enum wi_tally what);

/* The sum over all threads. Any thread. */
uint64_t wi_tally_sum(const struct wi_tallies *tallies, uint32_t host, enum wi_tally what);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a pool that is used for long must not change: at moments when nobody uses it, what the
 * process has is noted; in the end the line of these notes has to be flat.
 */
#ifndef WEIR_TEST_P40_FLAT_H
#define WEIR_TEST_P40_FLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

#define FLAT_NOTES 64

struct flat {
	int n;
	weir_pool_stats stats[FLAT_NOTES];
	double resident_kib[FLAT_NOTES];
	/* of weir's, at the second note: by then all that stays is there */
	size_t bytes;
	int descriptors, threads; /* the same */
	char wrong[400];          /* the first thing that is not as it should be; "" */
};

/*
 * Waits until the pool is at rest with `open` connections, all idle; notes what there is, and
 * judges the counts: every checkout is back, the sums are exact, nothing counts backwards.
 * `checkouts` is how many its users had since the pool was opened. false: see wrong.
 */
bool flat_note(struct flat *flat, weir_pool *pool, uint32_t open, uint64_t checkouts);

/* Whether resident memory stays: by the slope of its notes without the first two. */
bool flat_judge(struct flat *flat);

#endif

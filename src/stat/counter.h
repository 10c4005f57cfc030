/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A counter with one writer: its owner adds with a plain load and store, which costs as much as an
 * int, and anybody may read. A total is the sum over all owners; each part is exact, the parts are
 * not of one instant. Counters of different owners belong on different cache lines, beside what
 * else that owner writes.
 *
 * A counter that several threads write is the same word with wi_counter_add_shared; never both on
 * one word.
 */
#ifndef WI_STAT_COUNTER_H
#define WI_STAT_COUNTER_H

#include <stdint.h>

#include "base/atomic.h"

/*
 * (o) written by its owner, or (a) by any thread through _shared; read by any thread. Zeroed is
 * zero.
 */
struct wi_counter {
	_Atomic uint64_t n;
};

/* Owner only. */
static inline void wi_counter_add(struct wi_counter *c, uint64_t by)
{
	wi_store_rlx(&c->n, wi_load_rlx(&c->n) + by);
}

/* Any thread, on a counter without an owner. */
static inline void wi_counter_add_shared(struct wi_counter *c, uint64_t by)
{
	wi_add_rlx(&c->n, by);
}

/* Any thread. */
static inline uint64_t wi_counter_read(const struct wi_counter *c)
{
	return wi_load_rlx(&c->n);
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What took longer than it may: counted each time, told at most once a second. */
#ifndef WI_STAT_SLOW_H
#define WI_STAT_SLOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/options.h>

#include "stat/ring.h"

/* (a) all of it: any thread. Zeroed: nothing was told yet. */
struct wi_seldom {
	_Atomic int64_t next_ns;
	_Atomic uint64_t held_back;
};

struct wi_slow {
	_Atomic uint64_t count; /* ever */
	struct wi_seldom told;
};

/* Whose it is. */
struct wi_slow_of {
	struct wi_ring *ring;
	const weir_options *options;
	const char *host; /* or NULL */
	const char *tag;  /* or NULL */
};

/*
 * Whether the caller is to tell of it now; then *held_back is how often it was not told since the
 * last time. Any thread; never blocks. Who comes at the same moment may count for the next telling.
 */
bool wi_seldom_now(struct wi_seldom *seldom, int64_t now_ns, int64_t gap_ns, uint64_t *held_back);

/* A checkout has ended, well or not. On its thread. */
void wi_slow_checkout(struct wi_slow *slow, const struct wi_slow_of *of, int64_t began_ns,
                      int64_t now_ns, weir_status status);

/* A statement has. Its text is nobody's business. */
void wi_slow_query(struct wi_slow *slow, const struct wi_slow_of *of, int64_t began_ns,
                   int64_t now_ns, weir_status status);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was done with a pool's connections through weir's own calls: statements and transactions,
 * counted where they end.
 *
 * A statement is a round trip, so a few relaxed additions on lines of the pool are nothing beside
 * it. What a program asks through libpq directly is not seen here.
 */
#ifndef WI_POOL_TALLY_H
#define WI_POOL_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

#include <weir/stats.h>

#include "base/line.h"
#include "stat/hist.h"

struct weir_pool;

enum wi_tally_end { WI_TALLY_COMMITTED, WI_TALLY_ROLLED_BACK, WI_TALLY_UNKNOWN, WI_TALLY_ENDS };

/* Of one intent. (a) all members are atomic, any thread. */
struct wi_work {
	WI_ON_NEW_LINE _Atomic uint64_t queries;
	/* of them, by why they failed: each counts in one place, and the errors are their sum */
	_Atomic uint64_t retryable, timeouts, unknown, others;
	_Atomic uint64_t ended[WI_TALLY_ENDS];
};

/* (a) all members are atomic, any thread. */
struct wi_tallies {
	struct wi_work work[WEIR_INTENTS];
	struct wi_hist query_hist;
};

/*
 * A statement (or a batch, or several statements in one string) has come to its end, or its
 * deadline has: with what status, and from when to when by the world's clock. c is the slot, not
 * the handle; its holder's thread, before it is given back. tag may be NULL, else static. Never
 * blocks.
 */
void wi_tally_query(struct weir_conn *c, int64_t began_ns, int64_t ended_ns, weir_status status,
                    const char *tag);

/*
 * A transaction that weir began has ended, or nobody knows how it did. As wi_tally_query.
 */
void wi_tally_transaction(struct weir_conn *c, enum wi_tally_end end);

/* Fills what the tallies say of the statistics. Any thread. */
void wi_tally_read(const struct weir_pool *pool, weir_pool_stats *stats);

#endif

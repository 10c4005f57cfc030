/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether what has failed may be done again: nothing of it can have been committed, and another try
 * may succeed. And how long to pause before that.
 *
 * The judgement is for work of which no COMMIT has been sent, nor anything else that might commit:
 * a transaction that was begun, or a read outside of one that could change nothing.
 */
#ifndef WI_EXEC_RETRY_H
#define WI_EXEC_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/tx.h>

#include "base/rng.h"

struct weir_conn;
struct wi_world;

/*
 * Why it is to be done again, or NEVER. c: the connection it was done on, still held (look and last
 * errors are asked of it, so that it does not matter whether it was done with libpq or with weir);
 * st, sqlstate ("" or NULL: none): what it came to; writes: it was lent for writing.
 */
weir_again wi_retry_why(const struct weir_conn *c, weir_status st, const char *sqlstate,
                        bool writes);

/* Which repetition an SQLSTATE of the class RETRY is. */
weir_again wi_retry_of(const char *sqlstate);

/* Pauses that double, each by lot from nothing to the whole. */
struct wi_pauses {
	struct wi_rng rng;
	int64_t next_ns, most_ns;
};

void wi_pauses_init(struct wi_pauses *pauses, int64_t first_ns, int64_t most_ns, uint64_t seed);
int64_t wi_pauses_next(struct wi_pauses *pauses);

/*
 * Sleeps so long; while is_over (may be NULL) says nothing else, at which it is looked now and
 * then.
 */
void wi_pause(const struct wi_world *world, int64_t ns, bool (*is_over)(void *arg), void *arg);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How far a replica is behind, by the router's own clock. No server clock is asked, so clocks that
 * differ and a primary on which nothing happens raise no false alarm, and a replica that receives
 * nothing is seen.
 *
 * The history holds where the primary was and when. A replica that has replayed up to r
 *
 *	sample   lsn  10    20    30    40            r = 25: it has all that the primary had at t2;
 *	         at   t1    t2    t3    t4                    it lacks something since t3 at the latest
 *
 * `as_of` (t2) is what may be promised: the data are not older than that. `behind_since` (t3) is
 * what is shown as lag: 0 when the replica has all that was last seen of the primary.
 */
#ifndef WI_ROUTE_LAG_H
#define WI_ROUTE_LAG_H

#include <stdbool.h>
#include <stdint.h>

#define WI_LAG_SAMPLES 128

struct wi_lag_sample {
	uint64_t lsn;
	int64_t first_ns; /* the answer that was the first to say so */
	int64_t last_ns;  /* the last question that was answered so */
};

/* Samples in the order of time and of lsn. Zeroed: empty. The keeper's thread only. */
struct wi_lag_history {
	uint32_t count;
	struct wi_lag_sample sample[WI_LAG_SAMPLES];
};

#define WI_LAG_UNKNOWN INT64_MIN

struct wi_lag {
	int64_t as_of_ns; /* it has all that the primary had at this time, or UNKNOWN */
	/* since when it is known to lack something; 0: it lacks nothing known; or UNKNOWN */
	int64_t behind_since_ns;
	int64_t bytes; /* behind the primary's last known position; -1: unknown */
};

/*
 * Whether a replica belongs to those that serve reads with a limit. Out as soon as it is over the
 * limit; in again when it was well below for so many answers in a row: at the edge of a limit it
 * would come and go with every probe, and each time take a share of the reads or leave it to the
 * others. Zeroed: in.
 */
#define WI_STANDING_ANSWERS 3
struct wi_standing {
	bool out;
	uint32_t well; /* answers in a row, while out */
};

/* One answer more. well implies !over. */
void wi_standing_weigh(struct wi_standing *standing, bool over, bool well);

/* Forgets everything: another primary, another history. */
void wi_lag_reset(struct wi_lag_history *history);

/*
 * The primary, asked at asked_ns, answered at answered_ns that it is at lsn. A position before the
 * last one begins a new history. When there is no room, a sample is dropped: limits stay safe,
 * times get coarser the further back they are.
 */
void wi_lag_add(struct wi_lag_history *history, uint64_t lsn, int64_t asked_ns,
                int64_t answered_ns);

/* What is known of a replica that has replayed up to lsn. */
struct wi_lag wi_lag_of(const struct wi_lag_history *history, uint64_t lsn);

#endif

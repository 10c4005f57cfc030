/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counters never go back, as who draws curves of them takes that for a new beginning. Where one is
 * what others leave of a sum, that has to be seen to: what is taken away is counted first and read
 * last, so that nothing that is read is ever more than the truth, and the most that was ever read
 * is as near to it as anybody has come.
 */
#ifndef WI_STAT_SHOWN_H
#define WI_STAT_SHOWN_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/atomic.h"

/* The most that was ever read of a counter, this time included. Any thread. */
static inline uint64_t wi_never_less(_Atomic uint64_t *shown, uint64_t now)
{
	uint64_t most = wi_load_rlx(shown);

	while (now > most && !wi_cas_rlx(shown, &most, now))
		;
	return now > most ? now : most;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Anew in a child: of the threads of a forked child that come to what a parent has opened, one
 * makes its inside anew, and the others wait until that is done.
 *
 * Two words belong to it: `opened`, the fork epoch (base/fork.h) of the process whose it is, and
 * `making`.
 *
 * States of making: 0 --the first thread--> epoch --it is done, or has failed--> 0. A holder of
 * another epoch is a thread of the parent, left behind by a fork in the middle of making; it is not
 * here, and its place is taken over.
 *
 * Orderings. Who makes it anew publishes that by a release to `opened`, which [anew:A1] sees.
 * [anew:R2] and [anew:A2] hand the turn from one thread to the next: what a failed attempt left is
 * the next one's to mend.
 */
#ifndef WI_BASE_ANEW_H
#define WI_BASE_ANEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/fork.h"
#include "base/world.h"

/* It is made anew, or that has failed: the next one's turn. */
static inline void wi_anew_end(_Atomic uint32_t *making, const struct wi_world *world)
{
	/* [anew:R2] what was made so far is seen by the next; pairs with A2. */
	wi_store_rel(making, 0);
	world->wake(making);
}

/*
 * true: the calling thread is to make it anew, and then to call wi_anew_end. false: it has been
 * made, and may be used.
 */
static inline bool wi_anew_begin(_Atomic uint32_t *opened, _Atomic uint32_t *making,
                                 const struct wi_world *world)
{
	uint32_t epoch = wi_load_rlx(&wi_fork_epoch);

	/* [anew:A1] sees it as who made it left it; pairs with [child:R1] and [child_router:R1]. */
	while (wi_load_acq(opened) != epoch) {
		uint32_t holder = wi_load_rlx(making);

		if (holder == epoch) {
			world->park(making, epoch, WI_FOREVER);
			continue;
		}
		/* [anew:A2] sees what the last holder left; pairs with R2. */
		if (!wi_cas_acq(making, &holder, epoch))
			continue;
		if (wi_load_rlx(opened) != epoch)
			return true;
		wi_anew_end(making, world);
	}
	return false;
}

#endif

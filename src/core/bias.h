/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. As long as nobody but their owners wants anything of the caches, the owners need no locked
 * instruction: the caches are biased towards them. Who wants to look into the caches of others (a
 * thief, a waiter, the keeper's sweep, close) revokes the bias of the whole core first. This is
 * biased locking with bulk revocation (Kawachiya, Koseki, Onodera, "Lock reservation", OOPSLA 2002;
 * Russell, Detlefs, "Eliminating synchronization-related atomic operations with biased locking and
 * bulk rebiasing", OOPSLA 2006), with membarrier(2) in the place of a stopped world.
 *
 * The word: reasons why the caches are shared, and a count of those who hold it so.
 *
 *	0                biased: owners load and store, with a light fence between a store and a look
 *	anything else    shared: everybody, owners included, uses sequentially consistent exchanges
 *
 *	    0 --revoke--> HOLD --heavy fence--> HOLD|FENCED --release--> FENCED --restore--> 0
 *	                   \--no such fence---> NEVER: shared for ever
 *
 * Invariants.
 *   I1  the word of a core whose bias somebody revoked and has not released is not 0
 *   I2  FENCED is set only by a revoker whose heavy fence began after the word had left 0, and it
 *       goes when the word becomes 0. So who sees it in his own revocation needs no fence: since
 *       the word left 0, every owner's earlier stores have become visible, and every owner that
 *       begins later sees the word
 *   I3  restore is one CAS from FENCED alone, so nobody holds it at that moment
 *
 * Suspended. A reason like any other, but one that goes: by an AND that leaves the rest, so that I2
 * and I3 stay; a word that becomes 0 by it was held by nobody since it left 0.
 *
 * Between release and restore the bias lingers away: the heavy fence costs as much as a hundred
 * exchanges, so a pool that is short now and then pays it seldom. core.c restores it after
 * WI_REBIAS_AFTER checkins that nobody waited for.
 *
 * Progress. Wait-free; revoke may make one system call.
 */
#ifndef WI_CORE_BIAS_H
#define WI_CORE_BIAS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/line.h"
#include "base/world.h"

enum {
	WI_BIAS_FENCED = 1 << 0,    /* I2 */
	WI_BIAS_NEVER = 1 << 1,     /* this system has no heavy fence */
	WI_BIAS_CLOSED = 1 << 2,    /* nobody may come in any more */
	WI_BIAS_FORKED = 1 << 3,    /* the core is that of a parent process */
	WI_BIAS_SUSPENDED = 1 << 4, /* nobody may take for a while */
	WI_BIAS_HOLD = 1 << 5,      /* and above: how many hold it revoked */
};

struct wi_bias {
	_Atomic uint32_t word;        /* (a) */
	const struct wi_world *world; /* (c) */
};

/* Biased, where the world has a heavy fence. */
void wi_bias_init(struct wi_bias *bias, const struct wi_world *world);

/* The same for a core that is forked and stays so, until it is reopened. */
void wi_bias_init_forked(struct wi_bias *bias, const struct wi_world *world);
void wi_bias_reopen(struct wi_bias *bias);

/* From here until release, the caches are shared, and the caller may look into all of them. */
void wi_bias_revoke(struct wi_bias *bias);
void wi_bias_release(struct wi_bias *bias);

/*
 * A full fence in every thread that is inside the core, by whichever means there is: what they had
 * stored before it is visible after it. May make one system call.
 */
void wi_bias_fence(struct wi_bias *bias);

/* Biased again, if nobody holds it revoked and nothing else is against it. */
void wi_bias_restore(struct wi_bias *bias);

/* Shares the caches for a reason that does not go away: CLOSED or FORKED. */
void wi_bias_end(struct wi_bias *bias, uint32_t reason);

/* Shares the caches, and sends who comes to pin the slow way, until that is taken back. */
void wi_bias_suspend(struct wi_bias *bias, bool suspended);

/* An owner's look, after a store and a light fence, or after a full one. */
WI_INLINE bool wi_bias_is_whole(const struct wi_bias *bias)
{
	/*
	 * [bias:A1] what thieves did to the cache before the bias was restored comes before what
	 * the owner reads of it next; pairs with R1.
	 */
	return wi_likely(wi_load_acq(&bias->word) == 0);
}

#endif

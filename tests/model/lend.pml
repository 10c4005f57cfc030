// SPDX-License-Identifier: BSD-2-Clause
/*
 * Idea. A holder lets its connection go: lend = even, light fence, a look at the notes. The keeper takes the session
 * of a connection that is held too long: note CUT, heavy fence, a look at lend. One of the two sees the other. So a
 * connection that was cut never gets to another holder unseen: its holder has seen the note and hands it to the keeper,
 * or the keeper has seen that it was let go and cuts nothing.
 *
 * Modelled: one connection that two holders have one after the other (it passes by a list, an exchange), plain stores
 * of `lend` with store buffers as in shared/tso.pml; the keeper, who cuts at most once, may see the count at any time.
 * With -DSYMMETRIC there is no membarrier: lend is changed by a locked CAS. Bounds: 2 holders, 1 or 2 lendings each.
 * By hand: run.py lend, or spin -a lend.pml && gcc -O2 -DSAFETY -DNOCLAIM -o pan pan.c && ./pan
 *
 * // run: membarrier
 * // run: locked -DSYMMETRIC
 * // deep: thrice -DROUNDS=3
 * // seed: NO_HEAVY_FENCE membarrier  the keeper looks at lend while the holder's store is on its way
 * // seed: NO_LIGHT_FENCE membarrier  the holder looks at the notes before it lets go
 * // seed: NOTES_NOT_READ membarrier  the holder does not look at the notes
 * // seed: CUT_NOT_SAID_FIRST membarrier  the keeper looks at lend first and notes the cut after
 * // seed: ONLY_ODD membarrier  the keeper sees that it is lent, but not that it is lent anew
 * // seed: PLAIN_STORE locked  where there is no membarrier, lend is stored plainly all the same
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define THREADS 2
#define DEPTH 3
#define LEND 0
#define LENT (lend & 1)

byte lend, list = 1, ended;
bool noted, cut;
byte to_keeper;
#define TO_MEMORY(t, a, v) lend = v
#include "shared/tso.pml"

inline store_lend(v)
{
#if defined(SYMMETRIC) && !defined(PLAIN_STORE)
	d_step { flush(me); lend = v }
#else
	store(me, LEND, v)
#endif
}

proctype holder(byte me)
{
	byte round, mine;
	bool had, seen;

	do
	:: round < ROUNDS ->
		d_step { had = list; if :: had -> flush(me); list = 0 :: else fi };
		if
		:: had ->
			load_own(me, LEND, lend, mine);
			seen = noted;
			if
			:: seen -> d_step { flush(me); to_keeper = 1 } /* a taker leaves it to the keeper */
			:: else ->
				/* Unnoted when it was taken: from here on it is used. */
				assert(!cut);
				store_lend(mine + 1);
#ifdef NO_LIGHT_FENCE
				seen = noted;
#endif
				store_lend(mine + 2);
#if !defined(NO_LIGHT_FENCE) && !defined(NOTES_NOT_READ)
				seen = noted;
#endif
				if
				:: seen -> d_step { flush(me); to_keeper = 1 }
				:: else -> d_step { flush(me); list = 1 }
				fi
			fi;
			mine = 0;
			had = 0;
			seen = 0
		:: else
		fi;
		round++
	:: else -> break
	od;
	ended++
}

proctype keeper()
{
	byte before, k;

	before = lend;
	if
	:: before & 1 ->
#ifdef CUT_NOT_SAID_FIRST
		k = lend;
#else
		noted = true;
#if !defined(NO_HEAVY_FENCE) && !defined(SYMMETRIC)
		d_step { flush(0) };
		d_step { flush(1) };
#endif
		k = lend;
#endif
		if
#ifdef ONLY_ODD
		:: k & 1 -> assert(lend <= before + 1); noted = true; cut = true
#else
		:: k == before -> assert(lend <= before + 1); noted = true; cut = true
#endif
		:: else -> noted = false
		fi
	:: else
	fi;
	ended++
}

init
{
	atomic { run holder(0); run holder(1); run keeper() };
	ended == 3;
	assert(list + to_keeper == 1);
	assert(!cut || to_keeper)
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Idea. A reader says by its pin that it is inside: pin, light fence, load of the published pointer, use, unpin. A
 * writer publishes another snapshot, makes a heavy fence, notes each pin it finds, and uses the old one anew when each
 * of these operations is over. A pin counts operations, so a reader that is always inside again does not hold the writer
 * up.
 *
 * Modelled: two readers with plain pins and store buffers (shared/tso.pml), one writer who changes between two snapshots
 * and overwrites the old one. With -DSYMMETRIC there is no membarrier: the reader pins by an exchange.
 * Bounds: 2 rounds each. By hand: run.py quiesce
 *
 * // run: membarrier
 * // run: locked -DSYMMETRIC
 * // deep: thrice -DROUNDS=3
 * // seed: NO_HEAVY_FENCE membarrier  the writer looks at pins that are on their way
 * // seed: NO_LIGHT_FENCE membarrier  the reader loads the pointer before it is pinned
 * // seed: NOT_AWAITED membarrier  the writer does not wait
 * // seed: AWAITED_BEFORE membarrier  the writer waits before it publishes the new one
 * // seed: UNPINS_EARLY membarrier  the reader unpins before its last use
 * // seed: PIN_PLAINLY locked  where there is no membarrier, the reader pins by a store all the same
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define THREADS 2
#define DEPTH 4
#define PIN 0
#define OUT 0
#define TAKING 1
#define PINNED 2
#define STATE 3

byte pin[2], published, ended;
bool broken[2]; /* a snapshot that is being overwritten */
#define TO_MEMORY(t, a, v) pin[t] = v
#include "shared/tso.pml"

inline pin_it(state)
{
#if defined(SYMMETRIC) && !defined(PIN_PLAINLY)
	d_step { flush(me); pin[me] = (state | number << 2) }
#else
	store(me, PIN, (state | number << 2))
#endif
}

proctype reader(byte me)
{
	byte round, seen, number;

	do
	:: round < ROUNDS ->
		number++;
#ifdef NO_LIGHT_FENCE
		seen = published;
#endif
		pin_it(TAKING);
		pin_it(PINNED);
#ifndef NO_LIGHT_FENCE
		seen = published;
#endif
#ifdef UNPINS_EARLY
		store(me, PIN, (OUT | number << 2));
		assert(!broken[seen]);
#else
		assert(!broken[seen]);
		store(me, PIN, (OUT | number << 2));
#endif
		round++
	:: else -> break
	od;
	ended++
}

#define OVER(t, before) ((pin[t] & STATE) == OUT || pin[t] >> 2 != before >> 2)

inline await()
{
#if !defined(NO_HEAVY_FENCE) && !defined(SYMMETRIC)
	d_step { flush(0); skip };
	d_step { flush(1); skip };
#endif
	do
	:: k < 2 ->
		before = pin[k];
		if
		:: (before & STATE) == OUT
		:: else -> OVER(k, before)
		fi;
		k++
	:: else -> break
	od;
	k = 0
}

proctype writer()
{
	byte round, k, before, old;

	do
	:: round < ROUNDS ->
#ifdef AWAITED_BEFORE
		await();
#endif
		atomic { old = published; published = 1 - published };
#if !defined(NOT_AWAITED) && !defined(AWAITED_BEFORE)
		await();
#endif
		broken[old] = true;
		broken[old] = false;
		round++
	:: else -> break
	od;
	ended++
}

init
{
	atomic { run reader(0); run reader(1); run writer() };
	ended == 3
}

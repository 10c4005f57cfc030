// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owners against thieves and waiters (src/core/bias.h, cache.h, core.c), under store buffers.
 *
 * Idea. As long as the bias (here: the gate is 0) is whole, an owner takes and puts by plain loads and stores; a thief
 * or waiter revokes it by a count and a heavy fence first, and passes by a seat whose owner says TAKING. shared/core.pml
 * is the protocol, shared/tso.pml the hardware.
 *
 * Modelled: THREADS that take, or else wait, and put, ROUNDS times; all are owners and thieves and waiters in turn; any
 * put may find the time come to restore the bias. SLOTS slots, with WARM the first one is in the cache of thread 0; with
 * HOLD_TWO each takes a second one; with RESIZE the last thread is a keeper that sweeps slots out of caches and list and
 * gives them back later; with SYMMETRIC there is no membarrier. No slot is lent twice, none is lost, nobody sleeps for
 * ever.
 *
 * Bounds: as the runs say, DEPTH stores a buffer. By hand: run.py cache [--deep], or, for one of them,
 *   spin -a FLAGS cache.pml && gcc -O2 -DSAFETY -DNOCLAIM -DCOLLAPSE -DVECTORSZ=2048 -o pan pan.c && ./pan -m2000000
 *
 * // run: two -DTHREADS=2 -DWARM
 * // run: locked -DTHREADS=2 -DWARM -DSYMMETRIC
 * // run: hold_two -DTHREADS=2 -DSLOTS=2 -DWARM -DHOLD_TWO
 * // run: three -DTHREADS=3 -DROUNDS=1 -DWARM
 * // run: resize -DTHREADS=3 -DROUNDS=1 -DWARM -DRESIZE
 * // deep: resize_two -DTHREADS=3 -DROUNDS=2 -DSLOTS=2 -DWARM -DRESIZE
 * // deep: thrice -DTHREADS=2 -DROUNDS=3 -DWARM
 * // deep: three_two -DTHREADS=3 -DROUNDS=1 -DSLOTS=2 -DWARM
 * // deep: three_locked -DTHREADS=3 -DROUNDS=1 -DWARM -DSYMMETRIC
 * // seed: NO_HEAVY_FENCE two  nobody makes owners' stores visible
 * // seed: RAISE_TRUSTS_ANOTHER three  a second revoker relies on a fence that the first has not made yet
 * // seed: FENCED_EARLY three  FENCED is set before the fence
 * // seed: LOWER_WITHOUT_CAS two  the bias is restored by a store, over a new holder
 * // seed: THIEF_IGNORES_TAKING two  a thief takes from an owner who is taking
 * // seed: THIEF_SKIPS_PINNED two  a thief passes by an owner who is putting
 * // seed: TAKE_NO_LIGHT_FENCE two  the bias is read before TAKING is said
 * // seed: TAKE_LOOKS_BEFORE_GATE two  the cache is read before the bias (no acquire)
 * // seed: TAKE_UNPINS_EARLY two  the pin is OUT before the slot is out of the cache
 * // seed: PUT_NO_LIGHT_FENCE two  the bias is read again before the slot is put
 * // seed: PUT_NO_SECOND_LOOK two  the bias is not read again after the put
 * // seed: PUT_COUNTS_UNFENCED two  who saw the bias gone counts waiters without a full fence
 * // seed: PUT_NO_LOOK_AFTER two  no look for waiters after a shared put
 * // seed: WAITER_LOOKS_BEFORE_RAISE two  the waiter looks before the bias is revoked
 * // seed: WAITER_NO_LOOK two  the waiter does not look
 * // seed: SWEEP_DOES_NOT_REVOKE resize  the keeper looks into caches whose bias is whole
 * // seed: GIVE_NO_LOOK resize  the keeper brings a slot in and does not look who waits
 * // seed: SETTLE_DROPS hold_two  of two slots that a waiter has, one is dropped
 */
#ifndef THREADS
#define THREADS 2
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#include "shared/core.pml"

byte lent; /* bit s - 1: slot s is lent */
byte ended;

proctype thread(byte me)
{
	byte round, s, held, s1, other, g, i, k, p;
	byte yes;
	bool shut;

	do
	:: round < ROUNDS ->
		take(s);
		if
		:: !s -> wait(s)
		:: else
		fi;
		d_step { assert(s && !(lent & BIT(s))); lent = lent | BIT(s) };
#ifdef HOLD_TWO
		take(held);
		if
		:: held -> put(held)
		:: else
		fi;
#endif
		lent = lent & ~BIT(s);
		put(s);
		assert(!s && !g && !yes && !shut && !other && !i && !k && !p);
		round++
	:: else -> break
	od;
	ended++
}

#ifdef RESIZE
/* Takes out what it finds, as often as it likes, and brings everything in again. */
proctype keeper(byte me)
{
	byte turn, s, s1, mine, other, g, i, k, p;
	byte yes;

	do
	:: turn < 2 ->
#ifdef SWEEP_DOES_NOT_REVOKE
		steal_anywhere(s);
#else
		raise();
		steal_anywhere(s);
		drop();
#endif
		if
		:: !s -> pop(s)
		:: else
		fi;
		mine = s;
		s = 0;
		give(mine);
		turn++
	:: else -> break
	od;
	ended++
}
#endif

init
{
	byte t, n;

	d_step {
		list = ALL_SLOTS;
#ifdef WARM
		list = ALL_SLOTS & ~1;
		cached[0] = 1;
#endif
#ifdef SYMMETRIC
		gate = SYM;
#endif
		do
		:: t < THREADS -> word[t] = IDLE; t++
		:: else -> break
		od;
		t = 0
	};
	atomic {
		do
#ifdef RESIZE
		:: t == THREADS - 1 -> run keeper(t); t++
		:: t < THREADS - 1 -> run thread(t); t++
#else
		:: t < THREADS -> run thread(t); t++
#endif
		:: t == THREADS -> break
		od;
		t = 0
	};
	ended == THREADS;
	d_step {
		do
		:: t < THREADS ->
			flush(t);
			assert(pin[t] == OUT);
			if
			:: cached[t] -> n = n | BIT(cached[t])
			:: else
			fi;
			t++
		:: else -> break
		od;
		t = 0
	};
	assert((n & list) == 0 && (n | list) == ALL_SLOTS && !lent && !count && gate < ONE)
}

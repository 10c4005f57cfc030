// SPDX-License-Identifier: BSD-2-Clause
/*
 * Close against users who take, wait and put (src/core/core.c shut and fini, pin.h).
 *
 * Idea. Close says CLOSED in the word that every operation reads, refuses who waits, makes a heavy fence, collects all
 * slots, and then waits for each operation that it finds going on, by the pins. Only then the core is freed.
 *
 * Modelled: USERS that take or wait, and put, until they find the core closed; the closer collects again and again as
 * there is something to collect. Everything but pin and gate counts as touched memory: nobody may touch it once it is
 * freed. (Pin and gate are read by a call that is only just beginning: that no call begins when close returns is its
 * user's part.) All slots must be collected, all waiters must end. With SYMMETRIC there is no membarrier: who pins
 * does so by an exchange and reads the gate again. shared/core.pml is the protocol, shared/tso.pml the hardware.
 *
 * Bounds: as the runs say; pins count up to 4. By hand: run.py close [--deep], or, for one of them,
 *   spin -a FLAGS close.pml && gcc -O2 -DSAFETY -DNOCLAIM -DCOLLAPSE -DVECTORSZ=2048 -o pan pan.c && ./pan -m2000000
 *
 * // run: one -DUSERS=1 -DWARM
 * // run: two -DUSERS=2 -DROUNDS=1 -DWARM
 * // run: locked -DUSERS=2 -DROUNDS=1 -DWARM -DSYMMETRIC
 * // deep: twice -DUSERS=2 -DROUNDS=2 -DWARM
 * // deep: twice_locked -DUSERS=2 -DROUNDS=2 -DWARM -DSYMMETRIC
 * // seed: CLOSE_NO_FENCE two  pins and stores on their way are not seen
 * // seed: PINS_NOT_AWAITED two  the core is freed under an operation
 * // seed: PINS_BY_WORD two  a pin that goes from TAKING to PINNED counts as over
 * // seed: PUT_UNPINNED two  who puts does not pin
 * // seed: WAITER_MISSES_CLOSED two  who announces after the refusal does not look whether the core is closed
 * // seed: REFUSE_BEFORE_CLOSED two  waiters are refused before CLOSED is said
 * // seed: THIEF_IGNORES_TAKING two  a slot is collected from an owner who is taking it
 * // seed: TAKE_NO_LIGHT_FENCE two  the gate is read before the pin is stored
 * // seed: PIN_PLAINLY locked  where there is no membarrier, pins are plain stores all the same
 * // seed: PIN_NO_SECOND_LOOK locked  the gate is not read again after the pin
 */
#ifndef USERS
#define USERS 1
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#define THREADS (USERS + 1)
#define CLOSER USERS
#define NUMBERED
#define CLOSES
bool freed;
#define TOUCH assert(!freed)
#include "shared/core.pml"

byte outside, ended;

proctype user(byte me)
{
	byte round, s, s1, other, g, i, k, p, number;
	byte yes;
	bool shut;

	do
	:: round < ROUNDS && !shut ->
		if
		:: !freed -> skip
		:: freed -> break
		fi;
		take(s);
		if
		:: !s && !shut -> wait(s)
		:: else
		fi;
		if
		:: s -> put(s)
		:: else
		fi;
		round++
	:: else -> break
	od;
	ended++
}

inline refuse_all()
{
	i = 0;
	do
	:: i < USERS ->
		d_step {
			LOCKED;
			if
			:: word[i] == PENDING -> word[i] = REFUSED
			:: else
			fi;
			i++
		}
	:: else -> break
	od;
	i = 0
}

#define CAN_STEAL(t) (t < USERS && cached[t] && (pin[t] & STATE) != TAKING)
inline collect()
{
	do
	:: outside == ALL_SLOTS -> break
	:: list -> pop(s); outside = outside | (s -> BIT(s) : 0); s = 0
	:: CAN_STEAL(0) -> i = 0; steal(i, s); outside = outside | (s -> BIT(s) : 0); s = 0; i = 0
	:: CAN_STEAL(1) -> i = 1; steal(i, s); outside = outside | (s -> BIT(s) : 0); s = 0; i = 0
	od;
	i = 0
}

/* An operation seen going on has ended: its pin is out, or another one's. */
#ifdef PINS_BY_WORD
#define OVER(t, seen) (pin[t] != seen)
#else
#define OVER(t, seen) ((pin[t] & STATE) == OUT || pin[t] >> 2 != seen >> 2)
#endif

inline await_pins()
{
	i = 0;
	do
	:: i < USERS ->
		p = pin[i];
		if
		:: (p & STATE) == OUT
#ifdef PINS_NOT_AWAITED
		:: true
#endif
		:: else -> OVER(i, p)
		fi;
		i++;
		p = 0
	:: else -> break
	od;
	i = 0
}

proctype closer(byte me)
{
	byte s, s1, i, k, p, g;

#ifdef REFUSE_BEFORE_CLOSED
	refuse_all();
#endif
	d_step { LOCKED; gate = gate | CLOSED };
#ifndef REFUSE_BEFORE_CLOSED
	refuse_all();
#endif
#ifndef CLOSE_NO_FENCE
	heavy_fence();
#endif
	collect();
	await_pins();
	freed = true;
	ended++
}

init
{
	byte t;

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
		:: t < USERS -> run user(t); t++
		:: else -> break
		od;
		run closer(t);
		t = 0
	};
	ended == THREADS;
	assert(outside == ALL_SLOTS && !list && !count)
}

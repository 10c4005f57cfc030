// SPDX-License-Identifier: BSD-2-Clause
/*
 * Gate, cache, thieves and pins, as the models cache, close and resize use them: an owner's take and put, the thief's
 * walk, a waiter's look. The queue of waiters is only as good as it has to be here (grant any pending one, push, look
 * again); park.pml has the real one.
 *
 * Each d_step or single statement on a shared word is one access of one thread; owners' plain stores go through the
 * store buffer. LOCKED marks an access that empties it first.
 *
 * A model defines THREADS and SLOTS, and may define
 *   SYMMETRIC  no membarrier: the gate is never 0, heavy fences fence only their own thread
 *   NUMBERED   pins count operations
 *   TOUCH      what to do before each access to the core's memory other than pin and gate
 */
#ifndef DEPTH
#define DEPTH 4
#endif
#ifndef TOUCH
#define TOUCH true
#endif
#define ALL_SLOTS ((1 << SLOTS) - 1)
#define BIT(s) (1 << ((s) - 1))

/* Places of a seat that its owner stores to plainly. */
#define CACHED 0
#define PIN 1

/* What a pin says. */
#define OUT 0
#define TAKING 1
#define PINNED 2
#define STATE 3
#ifdef NUMBERED
#define AS(state) (state | number << 2)
#else
#define AS(state) (state)
#endif

/* The gate. */
#define FENCED 1
#define SYM 2
#define CLOSED 4
#define ONE 8

/* A word: one of these, or the slot granted. */
#define IDLE 15
#define PENDING 14
#define REFUSED 13

byte cached[THREADS], pin[THREADS], word[THREADS];
byte gate, count;
byte list; /* bit s - 1: slot s is there */

#define TO_MEMORY(t, a, v) \
	if \
	:: (a) == CACHED -> cached[t] = v \
	:: else -> pin[t] = v \
	fi
#include "tso.pml"

#define LOCKED flush(me)

inline heavy_fence()
{
#ifdef NO_HEAVY_FENCE
	skip
#elif defined(SYMMETRIC)
	d_step { LOCKED }
#else
	k = 0;
	do
	:: k < THREADS -> d_step { flush(k); k++ }
	:: else -> break
	od;
	k = 0
#endif
}

/* ---- the gate ---- */

inline raise()
{
	d_step { LOCKED; g = gate; gate = gate + ONE };
	if
#ifdef RAISE_TRUSTS_ANOTHER
	:: g < ONE && !(g & FENCED) ->
#else
	:: !(g & FENCED) ->
#endif
#ifdef FENCED_EARLY
		d_step { gate = gate | FENCED };
		heavy_fence()
#else
		heavy_fence();
		d_step { gate = gate | FENCED }
#endif
	:: else
	fi;
	g = 0
}

inline drop()
{
	d_step { LOCKED; gate = gate - ONE }
}

/* The budget of puts is spent, or not: any put may find it so. */
inline lower()
{
	if
	:: gate == FENCED ->
#ifdef LOWER_WITHOUT_CAS
		d_step { LOCKED; gate = 0 }
#else
		d_step {
			LOCKED;
			if
			:: gate == FENCED -> gate = 0
			:: else
			fi
		}
#endif
	:: true
	fi
}

/* ---- free list and caches ---- */

inline pop(to)
{
	d_step {
		TOUCH;
		if
		:: list -> LOCKED; to = (list & 1 -> 1 : (list & 2 -> 2 : 3)); list = list & ~BIT(to)
		:: else -> to = 0
		fi
	}
}

inline push(s)
{
	d_step { TOUCH; LOCKED; assert(!(list & BIT(s))); list = list | BIT(s); s = 0 }
}

inline exchange_own(to)
{
	d_step { TOUCH; LOCKED; to = cached[me]; cached[me] = 0 }
}

/* Any thread, between raise and drop. */
inline steal(k, to)
{
	p = pin[k] & STATE;
	if
#ifndef THIEF_IGNORES_TAKING
	:: p == TAKING
#endif
#ifdef THIEF_SKIPS_PINNED
	:: p == PINNED && k != me
#endif
	:: else ->
		d_step { TOUCH; s1 = cached[k] };
		if
		:: s1 -> d_step { TOUCH; LOCKED; to = cached[k]; cached[k] = 0; s1 = 0 }
		:: else
		fi
	fi;
	p = 0
}

inline steal_anywhere(to)
{
	i = 0;
	do
	:: i < THREADS && !to -> steal(i, to); i++
	:: else -> break
	od;
	i = 0
}

/* Plain loads. */
inline is_any_cached(yes)
{
	i = 0;
	do
	:: i < THREADS && !yes ->
		d_step { TOUCH; yes = (i != me && cached[i]); i++ }
	:: else -> break
	od;
	i = 0
}

/* ---- giving ---- */

inline grant(s)
{
	d_step {
		TOUCH;
		LOCKED;
		if
		:: word[0] == PENDING -> word[0] = s; s = 0
		:: word[1] == PENDING -> word[1] = s; s = 0
#if THREADS > 2
		:: word[2] == PENDING -> word[2] = s; s = 0
#endif
		:: else
		fi
	}
}

#if THREADS > 2
#define ANYBODY_PENDING (word[0] == PENDING || word[1] == PENDING || word[2] == PENDING)
#else
#define ANYBODY_PENDING (word[0] == PENDING || word[1] == PENDING)
#endif

inline look_at_count(waited)
{
	d_step { TOUCH; waited = count != 0 }
}

inline give(s)
{
	do
	:: s ->
		look_at_count(yes);
		if
		:: yes -> yes = 0; grant(s)
		:: else
		fi;
		if
		:: s ->
			push(s);
#ifndef GIVE_NO_LOOK
			look_at_count(yes);
			if
			:: yes && ANYBODY_PENDING -> yes = 0; pop(s)
			:: else -> yes = 0
			fi
#endif
		:: else
		fi
	:: else -> break
	od;
	skip
}

/* ---- the owner ---- */

inline put_symmetric(s)
{
	look_at_count(yes);
	if
	:: !yes ->
		load_own(me, CACHED, cached[me], yes);
		if
		:: !yes ->
			d_step { TOUCH; LOCKED; assert(!cached[me]); cached[me] = s; s = 0 };
#ifndef PUT_NO_LOOK_AFTER
			look_at_count(yes);
			if
			:: yes -> exchange_own(s)
			:: else
			fi
#endif
		:: else
		fi
	:: else
	fi;
	yes = 0;
	give(s);
	lower()
}

/* The gate was seen up behind a put that had found it down. */
inline put_again(s)
{
#ifdef PUT_COUNTS_UNFENCED
	look_at_count(yes);
	if
	:: yes -> yes = 0; exchange_own(s)
	:: else -> s = 0
	fi;
#else
	exchange_own(s);
#endif
	if
	:: s -> put_symmetric(s)
	:: else
	fi
}

/* The first store of an operation. */
inline begin(state)
{
#ifdef NUMBERED
	number = (number + 1) & 3;
#endif
	store(me, PIN, AS(state))
}

/* Only where the gate was seen up, or is always. */
inline pin_surely()
{
#if defined(SYMMETRIC) && !defined(PIN_PLAINLY)
	d_step { LOCKED; pin[me] = AS(PINNED) };
#ifndef PIN_NO_SECOND_LOOK
	g = gate
#endif
#else
	store(me, PIN, AS(PINNED))
#endif
}

inline end_it()
{
	store(me, PIN, AS(OUT))
}

inline take_slowly(s)
{
	if
	:: g != 0 -> exchange_own(s)
	:: else
	fi;
	g = 0;
	if
	:: !s -> pop(s)
	:: else
	fi;
	if
	:: !s ->
		is_any_cached(yes);
		if
		:: yes -> yes = 0; raise(); steal_anywhere(s); drop()
		:: else
		fi
	:: else
	fi
}

/* In take and wait: s is 0 if nothing was there, shut is set if the core is closed. */
inline take(s)
{
#ifdef TAKE_NO_LIGHT_FENCE
	g = gate;
	begin(TAKING);
#else
	begin(TAKING);
#ifdef TAKE_LOOKS_BEFORE_GATE
	load_own(me, CACHED, cached[me], s);
#endif
	g = gate;
#endif
	if
	:: g == 0 ->
#ifndef TAKE_LOOKS_BEFORE_GATE
		d_step { TOUCH };
		load_own(me, CACHED, cached[me], s);
#endif
		if
#ifdef TAKE_UNPINS_EARLY
		:: s -> end_it(); store(me, CACHED, 0)
#else
		:: s -> store(me, CACHED, 0); end_it()
#endif
		:: else
		fi
	:: else -> s = 0
	fi;
	if
	:: !s ->
		pin_surely();
		if
		:: g & CLOSED -> shut = true
		:: else -> take_slowly(s)
		fi;
		end_it()
	:: else
	fi;
	g = 0
}

inline look(s)
{
	exchange_own(s);
	if
	:: !s -> pop(s)
	:: else
	fi;
	if
	:: !s -> steal_anywhere(s)
	:: else
	fi
}

/* Found s while waiting; what was granted meanwhile goes before it, other is to be given on. */
inline settle(s)
{
	d_step {
		TOUCH;
		LOCKED;
		if
		:: word[me] == PENDING || word[me] == REFUSED -> word[me] = IDLE
#ifdef SETTLE_DROPS
		:: else -> word[me] = IDLE
#else
		:: else -> other = s; s = word[me]; word[me] = IDLE
#endif
		fi
	}
}

inline sleep(s)
{
	d_step {
		word[me] != PENDING;
		TOUCH;
		if
		:: word[me] == REFUSED -> shut = true
		:: else -> s = word[me]
		fi;
		word[me] = IDLE
	}
}

inline wait_pinned(s)
{
	d_step { TOUCH; word[me] = PENDING; LOCKED; count++ };
#ifdef WAITER_LOOKS_BEFORE_RAISE
	look(s);
	raise();
#else
	raise();
#ifndef WAITER_NO_LOOK
	look(s);
#endif
#endif
	if
	:: s -> settle(s)
	:: else ->
#ifdef CLOSES
#ifndef WAITER_MISSES_CLOSED
		g = gate;
		if
		:: g & CLOSED ->
			d_step {
				TOUCH;
				LOCKED;
				if
				:: word[me] == PENDING -> word[me] = REFUSED
				:: else
				fi
			}
		:: else
		fi;
		g = 0;
#endif
#endif
		sleep(s)
	fi;
	d_step { TOUCH; LOCKED; count-- };
	drop();
	give(other)
}

inline wait(s)
{
	begin(PINNED);
#ifdef SYMMETRIC
	pin_surely();
#endif
	g = gate;
	if
	:: g & CLOSED -> g = 0; shut = true
	:: else -> g = 0; wait_pinned(s)
	fi;
	end_it()
}

inline put(s)
{
#ifndef PUT_UNPINNED
	begin(PINNED);
#endif
	g = gate;
	yes = 0;
	if
#ifdef PUT_NO_FIRST_LOOK
	:: true ->
#else
	:: g == 0 ->
#endif
		load_own(me, CACHED, cached[me], yes)
	:: else
	fi;
	if
#ifdef PUT_NO_FIRST_LOOK
	:: yes == 0 ->
#else
	:: g == 0 && yes == 0 ->
#endif
#ifdef PUT_NO_LIGHT_FENCE
		g = gate;
		store(me, CACHED, s);
#else
		store(me, CACHED, s);
#ifndef PUT_NO_SECOND_LOOK
		g = gate;
#endif
#endif
		if
		:: g == 0 -> s = 0
		:: else -> g = 0; put_again(s)
		fi
	:: else -> g = 0; yes = 0; put_symmetric(s)
	fi;
	store(me, PIN, AS(OUT))
}

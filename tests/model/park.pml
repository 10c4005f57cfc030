// SPDX-License-Identifier: BSD-2-Clause
/*
 * Release against park (src/core/waitq.c and the vigil of src/core/wait.c): push, nudge, token, overdue, grant.
 *
 * Idea. A giver pushes, then looks; a waiter writes, then looks; so one of the two sees the other. Nobody may be left
 * asleep beside an idle slot: that would be an invalid end state.
 *
 * Modelled: GIVERS bring GIVES slots each (with BARGE they take one out again and give it anew), WAITERS come, wait,
 * and give on what they got (with KEEP they keep it). Scans of bits and words one after the other, sleep on a word's
 * value, wakes, SPURIOUS ones too. Time is what it does: the clock may at any moment end the patience of whoever came
 * first, or stand still for ever, so that waiters have to be served promptly, not only by their own timers. The holder
 * of the token looks again by himself: he is woken here as soon as a look would find something. Without shared caches:
 * cache.pml has those. A giver that goes round more than TURNS times spins on somebody who stands still.
 * With DEADLINE a waiter may give up at any moment. With HALT any thread may stop for ever at any moment; then
 * everybody else must be served all the same, as long as slots are left (those who are overdue look again by
 * themselves). Stores: only RELEASE_PLAIN buffers any (shared/tso.pml), all others here are locked.
 *
 * Bounds: as the runs say. By hand: run.py park [--deep], or, for one of them,
 *   spin -a FLAGS park.pml && gcc -O2 -DSAFETY -DNOCLAIM -DCOLLAPSE -DVECTORSZ=2048 -o pan pan.c && ./pan -m2000000
 *
 * // run: pair -DGIVERS=1 -DWAITERS=1
 * // run: line -DWAITERS=2 -DSPURIOUS=0
 * // run: givers -DGIVERS=2 -DWAITERS=1 -DSPURIOUS=0
 * // run: deadline -DGIVERS=2 -DWAITERS=1 -DDEADLINE -DKEEP -DSPURIOUS=0
 * // run: halt -DHALT -DSPURIOUS=0 -E
 * // deep: spurious -DWAITERS=2
 * // deep: keep -DGIVERS=2 -DWAITERS=2 -DKEEP -DNO_CLOCK -DSPURIOUS=0
 * // deep: two -DGIVES=2 -DWAITERS=2 -DKEEP -DSPURIOUS=0
 * // deep: barge -DGIVES=2 -DWAITERS=2 -DKEEP -DBARGE -DSPURIOUS=0
 * // seed: NO_WAKE line  a word changes and its owner is not woken
 * // seed: GIVE_NO_LOOK pair  no look for waiters after the push
 * // seed: NO_LOOK pair  the waiter does not look after announcing
 * // seed: LOOK_BEFORE_ANNOUNCING pair  the waiter looks before it announces
 * // seed: NUDGE_KEEPS_TOKEN pair  a nudge that finds nobody keeps the token
 * // seed: LEAVE_KEEPS_TOKEN pair  a waiter leaves with the token
 * // seed: LEAVE_STAYS_OVERDUE line  a waiter leaves and still counts as overdue
 * // seed: SPIN_ON_COUNT line  a giver goes round as long as anybody has not left
 * // seed: SPIN_ON_OVERDUE barge  a giver goes round as long as anybody overdue has not left
 * // seed: NEVER_GRANT line  nobody is served by hand
 * // seed: GRANT_WITHOUT_CAS barge  a grant overwrites another
 * // seed: GRANT_IGNORES_LOSS barge  a grant that lost drops its slot
 * // seed: SETTLE_DROPS givers  of two slots that a waiter has, one is dropped
 * // seed: NUDGE_NO_RESCAN keep  who gives the token back does not look who came meanwhile
 * // seed: LEAVE_NO_LOOK keep  who leaves with the token does not pass it on
 * // seed: ONLY_LAST_TOKEN_PASSED_ON barge  who gave the token up when overdue does not pass it on
 * // seed: SLEEPS_ON_A_SECOND_LOOK pair  the waiter sleeps on a word that it has not looked at
 * // seed: CANCEL_WITHOUT_CAS deadline  who gives up overwrites what it was granted
 * // seed: TIMED_OUT_DROPS deadline  who gives up drops what it was granted meanwhile
 * // seed: LOOKS_ONCE halt  who is overdue does not look again beside a giver that has stopped
 * // seed: OVERDUE_NO_LOOK halt  no look when the patience ends
 */
#ifndef GIVERS
#define GIVERS 1
#endif
#ifndef GIVES
#define GIVES 1
#endif
#ifndef WAITERS
#define WAITERS 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef SPURIOUS
#define SPURIOUS 1
#endif
#ifndef TURNS
#define TURNS 12
#endif
#define THREADS (GIVERS + WAITERS)
#define SLOTS (GIVERS * GIVES)
#define ALL_SLOTS ((1 << SLOTS) - 1)
#define DEPTH 2

/* A word: its state, NUDGED, and the slot granted. */
#define IDLE 0
#define PENDING 1
#define CANCELLED 2
#define GRANTED 3
#define STATE 3
#define TOKEN 4
#define OVERDUE 8
#define FLAGS 12
#define SLOT 16

byte word[THREADS], since[THREADS];
bool asleep[THREADS], halted[THREADS];
byte waiting;           /* bit t: thread t waits */
byte count, overdue, nudged;
byte list, outside; /* bit s - 1: slot s is there */
byte tickets = 1;       /* the clock, as far as it matters: the next since */
byte late;              /* who has waited since before this has waited PATIENCE */
byte ended;

#define TO_MEMORY(t, a, v) nudged = v
#include "shared/tso.pml"

#define IS_LATE(w) (since[w] < late)
#define IS_PENDING(w) ((word[w] & STATE) == PENDING)
#define FLAGS_OF(w) (word[w] & FLAGS)

inline pop(to)
{
	d_step {
		if
		:: list -> flush(me); to = (list & 1 -> 1 : (list & 2 -> 2 : 3)); list = list & ~(1 << (to - 1))
		:: else -> to = 0
		fi
	}
}
inline push(s)
{
	d_step { flush(me); assert(!(list >> (s - 1) & 1)); list = list | 1 << (s - 1) }
}

/*
 * The pending one who waits longest, and whether it is overdue; NOBODY: none. The bits are read once, then word and
 * since of each.
 */
#define NOBODY THREADS
inline to_next_waiting()
{
	do
	:: k < THREADS && !(bits >> k & 1) -> k++
	:: else -> break
	od
}
inline see(k)
{
	if
	:: k < THREADS && IS_PENDING(k) && (w == NOBODY || since[k] < first) -> w = k; first = since[k]
	:: else
	fi;
	k++;
	to_next_waiting();
	if
	:: k >= THREADS -> old = w < NOBODY && (first < late || (word[w] & OVERDUE)); bits = 0; first = 0
	:: else
	fi
}
inline find_oldest()
{
	d_step { bits = waiting; k = 0; w = NOBODY; to_next_waiting(); see(k) };
	do
	:: k < THREADS -> d_step { see(k) }
	:: else -> break
	od;
	k = 0
}

inline wake(w)
{
#ifndef NO_WAKE
	asleep[w] = false
#else
	skip
#endif
}

inline grant(w, s)
{
	d_step {
		flush(me);
		ok = IS_PENDING(w);
		if
		:: ok -> word[w] = FLAGS_OF(w) | GRANTED | s * SLOT; s = 0
#ifdef GRANT_IGNORES_LOSS
		:: else -> ok = 1; s = 0
#elif defined(GRANT_WITHOUT_CAS)
		:: else -> word[w] = FLAGS_OF(w) | GRANTED | s * SLOT; ok = 1; s = 0
#else
		:: else
#endif
		fi
	}
}

inline nudge(w)
{
	d_step {
		flush(me);
		ok = IS_PENDING(w);
		if
		:: ok -> assert(!(word[w] & TOKEN)); word[w] = word[w] | TOKEN
		:: else
		fi
	}
}

/* Whether a pending word says OVERDUE, one after the other. */
inline is_any_overdue()
{
	ok = 0;
	if
	:: overdue ->
#ifdef SPIN_ON_OVERDUE
		ok = 1
#else
		d_step { bits = waiting; k = 0; to_next_waiting(); skip };
		do
		:: k < THREADS && !ok ->
			d_step { ok = (IS_PENDING(k) && (word[k] & OVERDUE)); k++; to_next_waiting(); skip }
		:: else -> break
		od;
		atomic { bits = 0; k = 0 }
#endif
	:: else
	fi
}

#define HELD 0
#define GIVEN 1
#define NONE_PENDING 2

inline nudge_oldest()
{
	d_step {
		flush(me);
		ok = !nudged;
		nudged = 1
	};
	if
	:: !ok -> outcome = HELD
	:: else ->
		do
		:: find_oldest();
			if
			:: w < NOBODY -> nudge(w)
			:: else -> ok = 0; break
			fi;
			if
			:: ok -> break
			:: else
			fi
		od;
		if
		:: ok -> wake(w); ok = 0; outcome = GIVEN
		:: else ->
#ifndef NUDGE_KEEPS_TOKEN
			d_step { flush(me); nudged = 0 };
#endif
			outcome = NONE_PENDING
		fi
	fi
}

/* Pushed. s: what has to be given again. */
inline see_to_it(s)
{
	nudge_oldest();
	if
	:: outcome == GIVEN
	:: outcome == HELD ->
#ifndef HELD_NO_LOOK
		is_any_overdue();
		if
		:: ok -> ok = 0; pop(s)
		:: else
		fi
#endif
	:: outcome == NONE_PENDING ->
#ifdef SPIN_ON_COUNT
		if
		:: count != 0 -> pop(s)
		:: else
		fi
#elif !defined(NUDGE_NO_RESCAN)
		find_oldest();
		if
		:: w < NOBODY -> pop(s)
		:: else
		fi
#endif
	fi;
	outcome = 0
}

/* at_once: whatever the patience of the oldest. */
inline give(s, at_once)
{
	do
	:: s ->
		turns++;
		assert(turns < TURNS);
		if
		:: count != 0 ->
			find_oldest();
			if
#ifndef NEVER_GRANT
			:: w < NOBODY && (old || at_once) ->
				grant(w, s);
				if
				:: ok -> wake(w); ok = 0; break
				:: else -> goto again
				fi
#endif
			:: else
			fi
		:: else
		fi;
		push(s);
		s = 0;
#ifndef GIVE_NO_LOOK
		if
		:: count != 0 -> see_to_it(s)
		:: else
		fi;
#endif
again:		atomic { w = 0; old = 0 }
	:: else -> break
	od;
	atomic { w = 0; old = 0; turns = 0 }
}

inline clear_token()
{
#ifdef RELEASE_PLAIN
	store(me, 0, 0)
#else
	d_step { flush(me); nudged = 0 }
#endif
}

/* The token is given up: others were not nudged for what came back while it was held. */
inline pass_on()
{
	do
	:: list ->
		turns++;
		assert(turns < TURNS);
		find_oldest();
		if
		:: w == NOBODY -> break
		:: else
		fi;
		nudge_oldest();
		if
		:: outcome == NONE_PENDING
		:: outcome == HELD ->
			is_any_overdue();
			if
			:: ok -> ok = 0; pop(other)
			:: else
			fi;
			break
		:: outcome == GIVEN -> break
		fi
	:: else -> break
	od;
	atomic { turns = 0; w = 0; old = 0; outcome = 0 };
	give(other, true)
}

/* Found one while waiting; kept: what was granted meanwhile goes before it. */
inline settle(s)
{
	d_step {
		flush(me);
		if
		:: IS_PENDING(me) -> word[me] = FLAGS_OF(me) | CANCELLED
#ifdef SETTLE_DROPS
		:: else
#else
		:: else -> mine = s; s = word[me] / SLOT
#endif
		fi
	}
}

inline leave()
{
	d_step { flush(me); waiting = waiting & ~(1 << me) };
	d_step { flush(me); count-- };
#ifndef LEAVE_STAYS_OVERDUE
	if
	:: word[me] & OVERDUE -> d_step { flush(me); overdue-- }
	:: else
	fi;
#endif
	if
	:: word[me] & TOKEN ->
#ifndef LEAVE_KEEPS_TOKEN
		clear_token();
#endif
		had_token = 1
	:: else
	fi;
	if
#ifndef LEAVE_NO_LOOK
#ifdef ONLY_LAST_TOKEN_PASSED_ON
	:: word[me] & TOKEN -> pass_on()
#else
	:: had_token -> pass_on()
#endif
#endif
	:: else
	fi;
	d_step { word[me] = IDLE; since[me] = 0; had_token = 0; was = 0; said = 0 }
}

/* An overdue one looks again now and then: only that helps if a giver has stopped between its push and its look. */
#if defined(HALT) && !defined(LOOKS_ONCE) && !defined(OVERDUE_NO_LOOK)
#define AGAIN (said && list)
#else
#define AGAIN false
#endif
/* Sleeps if the word still is what was seen, until it is woken or, so it was told, for another reason. */
inline park(reason)
{
	d_step { asleep[me] = (word[me] == was) };
	d_step { (!asleep[me] || (reason)) -> asleep[me] = false }
}

/* Its patience is over, or it looks again: says so, gives the token up, looks. */
inline turn_overdue(s)
{
	if
#ifndef OVERDUE_NOT_SAID
	:: !said ->
		d_step { flush(me); overdue++ };
		d_step { flush(me); word[me] = word[me] | OVERDUE }
#endif
	:: else
	fi;
	said = 1;
#ifndef OVERDUE_KEEPS_TOKEN
	if
	:: word[me] & TOKEN ->
		d_step { flush(me); word[me] = word[me] & ~TOKEN };
		had_token = 1;
		clear_token()
	:: else
	fi;
#endif
#ifndef OVERDUE_NO_LOOK
	pop(s)
#endif
}

#if ROUNDS == 1
#define IN_TURN (tickets > me - GIVERS) /* they are alike: only one order of coming */
#else
#define IN_TURN true
#endif
/* Its deadline has come. */
inline give_up(s)
{
	d_step {
		flush(me);
		if
#ifdef CANCEL_WITHOUT_CAS
		:: true -> word[me] = FLAGS_OF(me) | CANCELLED
#else
		:: IS_PENDING(me) -> word[me] = FLAGS_OF(me) | CANCELLED
#ifdef TIMED_OUT_DROPS
		:: else
#else
		:: else -> s = word[me] / SLOT
#endif
#endif
		fi
	}
}

inline wait(s)
{
	d_step { IN_TURN -> since[me] = tickets; tickets++ };
	word[me] = PENDING;
#ifdef LOOK_BEFORE_ANNOUNCING
	pop(s);
#endif
	d_step { flush(me); count++ };
	d_step { flush(me); waiting = waiting | 1 << me };
#if !defined(NO_LOOK) && !defined(LOOK_BEFORE_ANNOUNCING)
	pop(s);
#endif
	do
	:: s ->
		settle(s);
		give(mine, true);
		break
	:: else ->
		was = word[me];
		if
		:: (was & STATE) == GRANTED -> s = was / SLOT; break
#ifdef DEADLINE
		:: (was & STATE) == PENDING -> give_up(s); break
#endif
		:: (was & STATE) == PENDING && !IS_LATE(me) && (was & TOKEN) ->
			had_token = 1;
#ifndef NUDGED_NO_LOOK
			pop(s);
#endif
#ifdef SLEEPS_ON_A_SECOND_LOOK
			was = word[me];
#endif
			if
			:: !s -> park(list || IS_LATE(me))
			:: else
			fi
		:: (was & STATE) == PENDING && !IS_LATE(me) && !(was & TOKEN) ->
#ifdef SLEEPS_ON_A_SECOND_LOOK
			was = word[me];
#endif
			park(IS_LATE(me))
		:: (was & STATE) == PENDING && IS_LATE(me) && (!said || (was & TOKEN) || AGAIN) -> turn_overdue(s)
		:: (was & STATE) == PENDING && IS_LATE(me) && said && !(was & TOKEN) && !AGAIN -> park(AGAIN)
		fi
	od;
	leave()
}

inline waiter_runs()
{
	do
	:: round < ROUNDS ->
		wait(s);
#ifdef DEADLINE
		if
		:: !s -> pop(s) /* the last look */
		:: else
		fi;
		if
		:: !s -> goto next
		:: else
		fi;
#endif
#ifdef KEEP
		d_step { assert(s && !(outside >> (s - 1) & 1)); outside = outside | 1 << (s - 1); s = 0 };
#else
		assert(s);
		give(s, false);
#endif
next:		round++
	:: else -> break
	od
}

inline giver_runs()
{
	do
	:: round < GIVES ->
		s = me * GIVES + round + 1;
		give(s, false);
#ifdef BARGE
		pop(s);
		give(s, false);
#endif
		round++
	:: else -> break
	od
}

proctype thread(byte me)
{
	byte round, s, mine, other, w, turns, bits, k, first, was;
	byte outcome;
	bool ok, old, said, had_token;

	{
		if
		:: me < GIVERS -> giver_runs()
		:: else -> waiter_runs()
		fi;
		ended++
	}
#ifdef HALT
	unless { halted[me] }
#endif
}

active proctype clock()
{
#ifndef NO_CLOCK
	do
	:: d_step { late < tickets -> late++ }
#ifndef HALT
	:: late < tickets -> break
#endif
	:: ended == THREADS -> break
	od
#endif
	skip
}

active proctype spurious_wakes()
{
	byte n, t;

	do
	:: n < SPURIOUS ->
end:		atomic {
			if
			:: asleep[GIVERS] -> asleep[GIVERS] = false
			:: asleep[THREADS - 1] -> asleep[THREADS - 1] = false
			fi;
			n++
		}
	:: else -> break
	od
}

init
{
	byte t;

	atomic {
		do
		:: t < THREADS -> run thread(t); t++
		:: else -> break
		od;
		t = 0
	};
#ifdef HALT
	do
	:: t < THREADS - 1 -> t++
	:: halted[t] = true; break
	:: true -> break
	od;
	timeout;
	assert(ended == THREADS || (halted[t] && (ended == THREADS - 1 || !list)));
#else
	ended == THREADS;
	d_step {
		t = 0;
		do
		:: t < THREADS -> flush(t); t++
		:: else -> break
		od;
		t = 0
	};
	assert((list | outside) == ALL_SLOTS && !(list & outside) && !count && !nudged && !overdue && !waiting);
#endif
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Idea. A stack of slot numbers whose head carries a tag, changed by every move, so that a pop that slept over other
 * moves fails its CAS even if the same slot is on top again.
 *
 * Modelled: head (slot and tag), `next` of each slot, loads and CASes one by one; THREADS threads that pop and push
 * back, ROUNDS times, SLOTS slots. `next` is written before a locked CAS, so store buffers add nothing here.
 * The tag has TAG_MODULUS values: with as many as there are moves it never wraps. (A tag that only
 * pushes change would do as well: the same slot cannot be on top again without a push.) By hand: run.py freelist
 *
 * // run: two -DTHREADS=2 -DROUNDS=2
 * // run: three -DTHREADS=3 -DROUNDS=1
 * // deep: thrice -DTHREADS=2 -DROUNDS=3 -DSLOTS=3
 * // seed: UNTAGGED two  a pop is fooled by the same slot on top
 * // seed: TAG_WRAPS two  the tag comes round while a pop sleeps
 * // seed: PUSH_BEFORE_NEXT two  the slot is published before its next is written
 * // seed: POP_STORES two  a pop that lost the race stores all the same
 */
#ifndef SLOTS
#define SLOTS 3
#endif
#ifdef TAG_WRAPS
#define TAG_MODULUS 3
#endif
#ifndef TAG_MODULUS
#define TAG_MODULUS 32
#endif

byte next[4], top, tag, out, ended;

#if defined(UNTAGGED)
#define NEW_TAG 0
#else
#define NEW_TAG ((tag + 1) % TAG_MODULUS)
#endif

inline pop(s)
{
	do
	:: d_step { s = top; t = tag };
		if
		:: s == 0 -> break
		:: else
		fi;
		below = next[s];
		d_step {
#ifdef POP_STORES
			top = below; tag = NEW_TAG; won = true
#else
			won = (top == s && tag == t);
			if
			:: won -> top = below; tag = NEW_TAG
			:: else
			fi
#endif
		};
		if
		:: won -> break
		:: else
		fi
	od;
	atomic { t = 0; below = 0; won = false }
}

inline push(s)
{
	do
	:: d_step { below = top; t = tag };
#ifndef PUSH_BEFORE_NEXT
		next[s] = below;
#endif
		d_step {
			won = (top == below && tag == t);
			if
			:: won -> top = s; tag = NEW_TAG
			:: else
			fi
		};
		if
		:: won -> break
		:: else
		fi
	od;
#ifdef PUSH_BEFORE_NEXT
	next[s] = below;
#endif
	atomic { t = 0; below = 0; won = false }
}

/* Takes two where there are two, and gives back the first one first: so the same slot gets on top of another chain. */
proctype thread(byte me)
{
	byte round, first, second, t, below;
	bool won;

	do
	:: round < ROUNDS ->
		pop(first);
		if
		:: first -> d_step { assert(!(out >> first & 1)); out = out | 1 << first }
		:: else
		fi;
		pop(second);
		if
		:: second -> d_step { assert(!(out >> second & 1)); out = out | 1 << second }
		:: else
		fi;
		if
		:: first -> out = out & ~(1 << first); push(first)
		:: else
		fi;
		if
		:: second -> out = out & ~(1 << second); push(second)
		:: else
		fi;
		round++
	:: else -> break
	od;
	ended++
}

init
{
	byte i, n;

	d_step {
		do
		:: i < SLOTS -> i++; next[i] = i - 1
		:: else -> break
		od;
		top = SLOTS;
		i = 0
	};
	atomic {
		do
		:: i < THREADS -> run thread(i); i++
		:: else -> break
		od
	};
	ended == THREADS;
	d_step {
		i = top;
		do
		:: i && n <= SLOTS -> n++; i = next[i]
		:: else -> break
		od
	};
	assert(n == SLOTS && !out)
}

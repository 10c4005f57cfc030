// SPDX-License-Identifier: BSD-2-Clause
/*
 * Store buffers as x86 has them (TSO). What a thread stores plainly waits in its own buffer, first in, first out, and
 * gets to memory some time later; the thread itself reads it at once. A locked operation empties its thread's buffer
 * first. membarrier empties each thread's, one after the other, at moments of its own.
 *
 * A model that includes this defines THREADS, DEPTH (the stores a buffer holds, at most 5; with a full one a thread
 * waits before it stores) and TO_MEMORY(t, a, v), which writes v to place a of thread t. A buffer holds stores to its
 * own thread's places only; a place is below 4, a value below 16, so an entry has 6 bits, and a buffer is one number
 * with the oldest entry in front.
 */
byte buffered[THREADS];
int buffer[THREADS];
hidden byte scanned;

#define ENTRY_BITS 6
#define ENTRY(a, v) ((v) << 2 | (a))
#define FRONT_PLACE(t) (buffer[t] & 3)
#define FRONT_VALUE(t) (buffer[t] >> 2 & 15)
#define PLACE_AT(t, i) (buffer[t] >> ENTRY_BITS * (i) & 3)
#define VALUE_AT(t, i) (buffer[t] >> (ENTRY_BITS * (i) + 2) & 15)

/* A plain store. */
inline store(t, a, v)
{
	atomic {
		buffered[t] < DEPTH;
		d_step {
			buffer[t] = buffer[t] | ENTRY(a, v) << ENTRY_BITS * buffered[t];
			buffered[t]++
		}
	}
}

/* A plain load of one's own place: the latest store in the buffer, or else what memory has. */
inline load_own(t, a, memory, to)
{
	d_step {
		to = memory;
		scanned = 0;
		do
		:: scanned < buffered[t] ->
			if
			:: PLACE_AT(t, scanned) == a -> to = VALUE_AT(t, scanned)
			:: else
			fi;
			scanned++
		:: else -> break
		od
	}
}

/* The oldest store gets to memory. Only inside atomic or d_step. */
inline flush_one(t)
{
	TO_MEMORY(t, FRONT_PLACE(t), FRONT_VALUE(t));
	buffer[t] = buffer[t] >> ENTRY_BITS;
	buffered[t]--
}

/* What a locked operation does first. Only inside atomic or d_step. */
inline flush(t)
{
	do
	:: buffered[t] > 0 -> flush_one(t)
	:: else -> break
	od
}

/* The hardware: any buffer may get one store on at any time. */
active proctype hardware()
{
end:
	do
	:: d_step { buffered[0] > 0 -> flush_one(0) }
	:: d_step { buffered[1] > 0 -> flush_one(1) }
#if THREADS > 2
	:: d_step { buffered[2] > 0 -> flush_one(2) }
#endif
#if THREADS > 3
	:: d_step { buffered[3] > 0 -> flush_one(3) }
#endif
	od
}

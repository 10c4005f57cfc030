/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last events of a pool or a router, for whoever wants to read them later.
 *
 * Idea. As many records as are kept, written in turn. A writer draws a number, and the record of
 * that number is its own as soon as it says so there; it fills it, and says that it is full. Who
 * reads looks at the record's word before and after (a sequence lock, as in base/posted.h, with
 * several writers). Nobody waits for anybody: a writer that meets another one in its record, who
 * was stopped there while all the others were written, goes without.
 *
 * States of a record's word, which only grows:
 *
 *	0 or 2m: event m is in it  --writer n > m-->  2n-1: being written  --the same-->  2n
 *
 * Invariants. I1: between 2n-1 and 2n nobody but writer n writes to the words. I2: who has seen 2n
 * before and after has read event n, whole.
 *
 * Orderings. R1 on each word, A1 on each word: a reader that sees a word of a later event also sees
 * that the record's word has moved. R2 at the end of a writing; A2 at the beginning of a reading: a
 * reader sees all words of the event; A3 when a writer makes the record its own: its words come
 * after those of the event before.
 */
#ifndef WI_STAT_RING_H
#define WI_STAT_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/event.h>

#include "base/room.h"

#ifndef WI_RING_RECORDS /* a power of two */
#define WI_RING_RECORDS WEIR_EVENTS_KEPT
#endif
#ifndef WI_RING_HOST /* room for a host's name, and for the words: as in weir_event_record */
#define WI_RING_HOST 104
#define WI_RING_TEXT 248
#endif
/* A record that is still being written ends what is read, until so many more have been told. */
#ifndef WI_RING_PATIENCE
#define WI_RING_PATIENCE 16
#endif

/* What a record holds. */
struct wi_told {
	int64_t at_ns, wall_ns;
	uint32_t kind;
	uint32_t spare;
	char host[WI_RING_HOST];
	char text[WI_RING_TEXT];
};

#define WI_RING_WORDS (sizeof(struct wi_told) / 8)
_Static_assert(sizeof(struct wi_told) % 8 == 0, "a record is made of whole words");

/* (a) all of it: any thread. */
struct wi_record {
	_Atomic uint64_t state;
	_Atomic uint64_t word[WI_RING_WORDS];
};

/* Access key: (c) constant after open; (a) atomic, any thread. Zeroed memory remembers nothing. */
struct wi_ring {
	struct wi_room room;                      /* (c) */
	struct wi_record *record;                 /* (c) NULL: nothing is remembered */
	_Atomic uint64_t last;                    /* (a) the number that was drawn last; 0: none */
	_Atomic uint64_t count[WEIR_EVENT_KINDS]; /* (a) told so far */
};

/* false: no memory. */
bool wi_ring_open(struct wi_ring *ring);

/* Nobody may be in it. One that was never opened, and zeroed, is a no-op. */
void wi_ring_close(struct wi_ring *ring);

/* Remembers an event, and counts it; its number. Any thread; never blocks. */
uint64_t wi_ring_add(struct wi_ring *ring, const struct wi_told *told);

/* As weir_pool_events_get. Any thread; never blocks. */
size_t wi_ring_read(struct wi_ring *ring, uint64_t after, weir_event_record *records, size_t room,
                    uint64_t *lost);

/* How often a kind was told. */
uint64_t wi_ring_count(struct wi_ring *ring, weir_event_kind kind);

/* In a child, alone: what a thread of the parent was writing will never be full. */
void wi_ring_mend(struct wi_ring *ring);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The last events: written by any thread, read by any thread. ring.h tells how. */
#include "stat/ring.h"

#include <string.h>

#include "base/atomic.h"
#include "base/line.h"
#include "base/world.h"

_Static_assert((WI_RING_RECORDS & (WI_RING_RECORDS - 1)) == 0, "a power of two");

static struct wi_record *record_of(struct wi_ring *ring, uint64_t number)
{
	return &ring->record[number % WI_RING_RECORDS];
}

bool wi_ring_open(struct wi_ring *ring)
{
	const size_t bytes = WI_RING_RECORDS * sizeof(struct wi_record);

	/* Of a room, what was never told takes no memory. */
	if (!wi_room_open(&ring->room, bytes, bytes, bytes, WI_LINE))
		return false;
	ring->record = (struct wi_record *)(void *)ring->room.base;
	return true;
}

void wi_ring_close(struct wi_ring *ring)
{
	wi_room_close(&ring->room);
	ring->record = NULL;
}

/* false: another writer is in it, or one that came later has been. */
static bool make_own(struct wi_record *r, uint64_t number)
{
	uint64_t state = wi_load_rlx(&r->state);

	for (;;) {
		if (state & 1 || state > 2 * number)
			return false;
		/* [ring:A3] its words come after those of the event before; pairs with R2. */
		if (wi_cas_acq(&r->state, &state, 2 * number - 1))
			return true;
	}
}

static void fill(struct wi_record *r, const struct wi_told *told, uint64_t number)
{
	uint64_t words[WI_RING_WORDS];

	memcpy(words, told, sizeof(words));
	WI_YIELD("ring.add.own");
	for (size_t i = 0; i < WI_RING_WORDS; i++)
		/* [ring:R1] no word before the record's says that it is written; pairs with A1. */
		wi_store_rel(&r->word[i], words[i]);
	wi_store_rel(&r->state, 2 * number); /* [ring:R2] all words; pairs with A2 A3. */
}

uint64_t wi_ring_add(struct wi_ring *ring, const struct wi_told *told)
{
	uint64_t number = wi_add_rlx(&ring->last, 1) + 1;
	struct wi_record *r;

	if (told->kind < WEIR_EVENT_KINDS)
		wi_add_rlx(&ring->count[told->kind], 1);
	if (!ring->record)
		return number;
	r = record_of(ring, number);
	WI_YIELD("ring.add.drawn");
	if (make_own(r, number))
		fill(r, told, number);
	return number;
}

/* What a record says of an event. */
enum found { THERE, GONE, NOT_YET };

static enum found look(struct wi_record *r, uint64_t number, struct wi_told *told)
{
	uint64_t words[WI_RING_WORDS];
	uint64_t state = wi_load_acq(&r->state); /* [ring:A2] pairs with R2. */

	if (state > 2 * number)
		return GONE;
	if (state != 2 * number)
		return NOT_YET;
	for (size_t i = 0; i < WI_RING_WORDS; i++)
		words[i] = wi_load_acq(&r->word[i]); /* [ring:A1] pairs with R1. */
	if (wi_load_rlx(&r->state) != 2 * number)
		return GONE;
	memcpy(told, words, sizeof(words));
	return THERE;
}

static void copy_out(weir_event_record *record, const struct wi_told *told, uint64_t number)
{
	record->sequence = number;
	record->kind = (weir_event_kind)told->kind;
	record->at_ns = told->at_ns;
	record->wall_ns = told->wall_ns;
	memset(record->host, 0, sizeof(record->host));
	memcpy(record->host, told->host, sizeof(told->host));
	memset(record->text, 0, sizeof(record->text));
	memcpy(record->text, told->text, sizeof(told->text));
}

size_t wi_ring_read(struct wi_ring *ring, uint64_t after, weir_event_record *records, size_t room,
                    uint64_t *lost)
{
	uint64_t last = wi_load_rlx(&ring->last), number = after + 1, end = after;
	size_t n = 0;

	if (last > WI_RING_RECORDS && number <= last - WI_RING_RECORDS)
		number = last - WI_RING_RECORDS + 1;
	for (; records && ring->record && after < last && number <= last && n < room; number++) {
		struct wi_told told;
		enum found found = look(record_of(ring, number), number, &told);

		if (found == NOT_YET && last - number < WI_RING_PATIENCE)
			break;
		if (found != THERE)
			continue;
		copy_out(&records[n++], &told, number);
		end = number;
	}
	if (lost)
		*lost = end - after - n;
	return n;
}

uint64_t wi_ring_count(struct wi_ring *ring, weir_event_kind kind)
{
	return (unsigned)kind < WEIR_EVENT_KINDS ? wi_load_rlx(&ring->count[kind]) : 0;
}

void wi_ring_mend(struct wi_ring *ring)
{
	for (uint64_t i = 0; ring->record && i < WI_RING_RECORDS; i++)
		if (wi_load_rlx(&ring->record[i].state) & 1)
			wi_store_rlx(&ring->record[i].state, 0);
}

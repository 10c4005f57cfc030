/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. A waiter takes a ticket, sets its word to PENDING and its bit in its segment's bitmap. A
 * giver looks for the oldest ticket among the set bits, moves that seat's word from PENDING to
 * GRANTED with the slot in it, and wakes. Only the waiter itself clears its bit, when it leaves.
 * Bits and words live in seats, which are never freed, so nothing has to be reclaimed, a waiter
 * that gives up goes at once however many others wait, and a stopped thread holds up nobody: a
 * giver has nothing in its hands but its slot until the one CAS that decides.
 *
 * Why no queue of nodes: nodes of waiters who gave up have to stay until they come to the front, so
 * that a stuck pool whose callers time out would grow its queue without end, or stall behind the
 * dead ones (both happened to others). The price is a scan of the segments' bitmaps and of the
 * waiting ones' tickets a grant, a few cache lines for a few dozen waiters, on a path that makes a
 * system call anyway.
 *
 * States of a word, and who moves along each arrow:
 *
 *	  (anything) --announce, owner--> PENDING --grant, giver--> GRANTED(slot)
 *	                                  PENDING --refuse--------> REFUSED(reason)
 *	                                  PENDING --cancel, owner-> CANCELLED
 *
 * The three moves out of PENDING are CASes: exactly one wins. A grant that loses leaves the slot
 * with the giver. A giver that chose a seat and was then stopped may grant a later wait of the same
 * seat: harmless, that one waits too.
 *
 * Invariants.
 *   I1  count >= set bits: raised before a bit is set, lowered after it is cleared; from announce
 *       to leave the bit is set
 *   I2  a word leaves PENDING once a wait
 *   I3  a slot is in a word only while GRANTED, and its owner takes it from there before it
 *       announces again
 *
 * Orderings. R1 in grant, A1 in sleep: the waiter sees what was written to the slot before.
 * announce (bit set, sequentially consistent) comes before the waiter's last look; a giver's push
 * comes before has_waiter: either the giver sees the bit or the waiter finds the slot. That is the
 * whole proof against lost wakeups. A scar: givers used to claim a waiter by clearing its bit and
 * to decide after; one that was stopped in between left a waiter that no other giver could see,
 * asleep beside idle slots.
 *
 * Order. First come, first served by ticket among the bits a giver sees; a waiter can be overtaken
 * only by those who announced while the giver was scanning. Tickets are compared by signed
 * difference, so they may wrap.
 *
 * Progress. announce, cancel, leave: wait-free. grant: lock-free, each retry means another giver or
 * a leaving waiter got on. Only the sleeper itself sleeps.
 */
#include "core/waitq.h"

#include "base/assert.h"
#include "base/atomic.h"

#define STATE_BITS 3

static uint32_t word_of(enum wi_verdict verdict, uint32_t value)
{
	return value << STATE_BITS | (uint32_t)verdict;
}

static struct wi_outcome outcome_of(uint32_t word)
{
	return (struct wi_outcome){
		.verdict = (enum wi_verdict)(word & ((1u << STATE_BITS) - 1)),
		.value = word >> STATE_BITS,
	};
}

static struct wi_segment *segment_of(struct wi_waitq *q, const struct wi_seat *seat)
{
	return wi_segment_at(q->seats, seat->number / WI_SEATS_A_SEGMENT);
}

static uint64_t bit_of(const struct wi_seat *seat)
{
	return UINT64_C(1) << seat->number % WI_SEATS_A_SEGMENT;
}

void wi_waitq_init(struct wi_waitq *q, struct wi_seats *seats, const struct wi_world *world)
{
	q->seats = seats;
	q->world = world;
	atomic_init(&q->count, 0);
	atomic_init(&q->tickets, 0);
}

void wi_waitq_announce(struct wi_waitq *q, struct wi_seat *seat)
{
	struct wi_segment *g = segment_of(q, seat);

	wi_store_rlx(&g->ticket[seat->number % WI_SEATS_A_SEGMENT], wi_add_rlx(&q->tickets, 1));
	wi_store_rlx(&seat->word, word_of(WI_PENDING, 0));
	wi_add_seq(&q->count, 1);
	WI_YIELD("waitq.announce.counted");
	/* [waitq:R2] publishes ticket and PENDING to the giver that sees the bit; pairs with A2. */
	wi_or_seq(&g->waiting, bit_of(seat));
}

bool wi_waitq_cancel(struct wi_waitq *q, struct wi_seat *seat)
{
	uint32_t pending = word_of(WI_PENDING, 0);

	(void)q;
	/* Relaxed: giving up hands nothing over; who loses the race reads the word again, by A1. */
	return wi_cas_rlx(&seat->word, &pending, word_of(WI_CANCELLED, 0));
}

void wi_waitq_leave(struct wi_waitq *q, struct wi_seat *seat)
{
	wi_and_seq(&segment_of(q, seat)->waiting, ~bit_of(seat));
	wi_sub_seq(&q->count, 1);
}

struct wi_outcome wi_waitq_outcome(const struct wi_seat *seat)
{
	/* [waitq:A1] sees the granted slot as its giver left it; pairs with R1. */
	return outcome_of(wi_load_acq(&seat->word));
}

struct wi_outcome wi_waitq_sleep(struct wi_waitq *q, struct wi_seat *seat, int64_t deadline_ns)
{
	for (;;) {
		struct wi_outcome o = wi_waitq_outcome(seat);

		if (o.verdict != WI_PENDING || q->world->now() >= deadline_ns)
			return o;
		q->world->park(&seat->word, word_of(WI_PENDING, 0), deadline_ns);
	}
}

static bool is_pending(const struct wi_seat *seat)
{
	return wi_load_seq(&seat->word) == word_of(WI_PENDING, 0);
}

/*
 * The waiting seat with the oldest ticket, as far as one scan sees. Unless `surely`, its word is
 * not looked at: it may have been granted and not have left yet.
 */
static struct wi_seat *oldest(struct wi_waitq *q, bool surely)
{
	struct wi_segment *g;
	struct wi_seat *first = NULL;
	uint32_t ticket = 0;

	for (uint32_t i = 0; (g = wi_segment_at(q->seats, i)); i++) {
		/* [waitq:A2] sees ticket and word of each waiting seat; pairs with R2. */
		for (uint64_t bits = wi_load_seq(&g->waiting); bits; bits &= bits - 1) {
			int b = __builtin_ctzll(bits);
			uint32_t t = wi_load_rlx(&g->ticket[b]);

			if ((!first || (int32_t)(t - ticket) < 0) &&
			    (!surely || is_pending(&g->seat[b]))) {
				first = &g->seat[b];
				ticket = t;
			}
		}
	}
	return first;
}

static bool decide(struct wi_waitq *q, struct wi_seat *seat, uint32_t word)
{
	uint32_t pending = word_of(WI_PENDING, 0);

	WI_YIELD("waitq.decide.chosen");
	/* [waitq:R1] publishes what was written to the slot; pairs with A1. */
	if (!wi_cas_acq_rel(&seat->word, &pending, word))
		return false;
	q->world->wake(&seat->word);
	return true;
}

bool wi_waitq_grant(struct wi_waitq *q, uint32_t slot)
{
	struct wi_seat *seat = oldest(q, false);

	while (seat) {
		if (decide(q, seat, word_of(WI_GRANTED, slot)))
			return true;
		seat = oldest(q, true);
	}
	return false;
}

void wi_waitq_refuse(struct wi_waitq *q, uint32_t reason)
{
	struct wi_segment *g;

	for (uint32_t i = 0; (g = wi_segment_at(q->seats, i)); i++)
		for (uint64_t bits = wi_load_seq(&g->waiting); bits; bits &= bits - 1)
			decide(q, &g->seat[__builtin_ctzll(bits)], word_of(WI_REFUSED, reason));
}

bool wi_waitq_is_waited(const struct wi_waitq *q)
{
	return wi_load_seq(&q->count) != 0;
}

uint32_t wi_waitq_pending(const struct wi_waitq *q)
{
	struct wi_segment *g;
	uint32_t n = 0;

	if (!wi_load_rlx(&q->count))
		return 0;
	for (uint32_t i = 0; (g = wi_segment_at(q->seats, i)); i++)
		for (uint64_t bits = wi_load_seq(&g->waiting); bits; bits &= bits - 1)
			n += is_pending(&g->seat[__builtin_ctzll(bits)]);
	return n;
}

bool wi_waitq_has_waiter(struct wi_waitq *q)
{
	return oldest(q, true) != NULL;
}

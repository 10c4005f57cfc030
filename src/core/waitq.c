/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. A waiter notes the time, sets its word to PENDING and its bit in its segment's bitmap. Bits
 * and words live in seats, which are never freed, so nothing has to be reclaimed, a waiter that
 * gives up goes at once however many others wait, and a stopped thread holds up nobody: a giver has
 * nothing in its hands but its slot until the one CAS that decides.
 *
 * Serving goes as in the two modes of Go's sync.Mutex (D. Vyukov, R. Cox, "sync: make Mutex more
 * fair", 2016). As long as nobody's patience has ended (half a millisecond, more where waking takes
 * long), a slot that comes back
 * goes to the shared list, where any running thread may take it, and the one who has waited longest
 * is nudged: woken to look for itself. One is nudged at a time; he has the token. If others were
 * faster he keeps the token and looks again after a while, twice as long each time: so a busy pool
 * makes one system call now and then, not one a checkin. Whoever's patience has ended is handed the
 * next slot directly, oldest first, by a CAS on his word.
 *
 * Why no queue of nodes: nodes of waiters who gave up have to stay until they come to the front, so
 * that a stuck pool whose callers time out would grow its queue without end, or stall behind the
 * dead ones (both happened to others). The price is a scan of the segments' bitmaps and of the
 * waiting ones' times.
 *
 * States of a word; TOKEN and OVERDUE are flags beside the verdict and survive its change:
 *
 *	  (anything) --announce, owner--> PENDING --grant, giver--> GRANTED(slot)
 *	                                  PENDING --refuse--------> REFUSED(reason)
 *	                                  PENDING --cancel, owner-> CANCELLED
 *	                                  PENDING --nudge, giver--> PENDING|TOKEN --yield, owner--> PENDING
 *	                                  PENDING --patience ends, owner--> PENDING|OVERDUE
 *
 * The moves out of PENDING are CASes: exactly one wins. A grant that loses leaves the slot with the
 * giver. A giver that chose a seat and was then stopped may grant a later wait of the same seat:
 * harmless, that one waits too.
 *
 * Invariants.
 *   I1  count >= set bits: raised before a bit is set, lowered after it is cleared; from announce
 *       to leave the bit is set. The same for `overdue` and the words that say so
 *   I2  a word leaves PENDING once a wait
 *   I3  a slot is in a word only while GRANTED, and its owner takes it from there before it
 *       announces again
 *   I4  token == 1: some giver is inside nudge, or exactly one word says TOKEN. Its owner gives it
 *       up, and whoever gives it up looks for a slot afterwards
 *
 * Why nobody sleeps beside an idle slot. A giver pushes, then looks: is anybody waiting; may I have
 * the token; is anybody overdue. Against each of these looks stands a waiter that wrote first
 * (its bit; token = 0; OVERDUE) and looked for a slot afterwards, all sequentially consistent: of
 * the two, one sees the other. So beside a slot that was pushed there is either nobody, or somebody
 * with the token, who looks, or nobody overdue yet; and who is not overdue will look when he is.
 * A token's owner may be stopped: then the others wait until they are overdue, and no longer. A
 * giver may be stopped between its push and its looks: so who is overdue looks again by himself,
 * each time after twice as long.
 *
 * Scars. A waiter looked at its word for a token, and again to sleep on it: a nudge in between was
 * slept on (a scheduler found it); both are one look now. Givers used to claim a waiter by clearing
 * its bit and to decide after; one that was stopped in between left a waiter that no other giver
 * could see, asleep beside idle slots.
 *
 * Orderings. R1 in grant, A1 in outcome: the waiter sees what was written to the slot before. R2 in
 * announce, A2 in the scan: a giver that sees the bit sees PENDING and the time.
 *
 * Order. Among those who are overdue: first come, first served, by the time noted at announce, as
 * far as one scan sees.
 *
 * Progress. The owner's calls: wait-free. grant, nudge: lock-free, each retry means that another
 * giver or a leaving waiter got on. Only the sleeper itself sleeps.
 */
#include "core/waitq.h"

#include "base/assert.h"
#include "base/atomic.h"

#define VERDICT ((1u << 3) - 1)
#define TOKEN (1u << 3)
#define OVERDUE (1u << 4)
#define FLAGS (TOKEN | OVERDUE)
#define VALUE_SHIFT 5

static struct wi_segment *segment_of(struct wi_waitq *q, const struct wi_seat *seat)
{
	return wi_segment_at(q->seats, seat->number / WI_SEATS_A_SEGMENT);
}

static uint64_t bit_of(const struct wi_seat *seat)
{
	return UINT64_C(1) << seat->number % WI_SEATS_A_SEGMENT;
}

static bool is_pending(uint32_t word)
{
	return (word & VERDICT) == WI_PENDING;
}

void wi_waitq_init(struct wi_waitq *q, struct wi_seats *seats, const struct wi_world *world)
{
	q->seats = seats;
	q->world = world;
	atomic_init(&q->count, 0);
	atomic_init(&q->token, 0);
	atomic_init(&q->overdue, 0);
	atomic_init(&q->wake_ns, 0);
	atomic_init(&q->members, 0);
}

/* ---- the waiter ---- */

void wi_waitq_announce(struct wi_waitq *q, struct wi_seat *seat, int64_t now_ns)
{
	struct wi_segment *g = segment_of(q, seat);

	wi_store_rlx(&g->since[seat->number % WI_SEATS_A_SEGMENT], now_ns);
	wi_store_rlx(&seat->word, WI_PENDING);
	wi_add_seq(&q->count, 1);
	WI_YIELD("waitq.announce.counted");
	/*
	 * [waitq:R2] publishes time and PENDING to the giver that sees the bit; pairs with A2 A3.
	 */
	wi_or_seq(&g->waiting, bit_of(seat));
}

/* Moves a word out of PENDING, its flags kept. false: it had left already. */
static bool decide(struct wi_seat *seat, enum wi_verdict verdict, uint32_t value)
{
	uint32_t word = wi_load_rlx(&seat->word);

	WI_YIELD("waitq.decide.chosen");
	while (is_pending(word))
		/* [waitq:R1] publishes what was written to the slot; pairs with A1. */
		if (wi_cas_acq_rel(&seat->word, &word,
		                   value << VALUE_SHIFT | (word & FLAGS) | (uint32_t)verdict))
			return true;
	return false;
}

bool wi_waitq_cancel(struct wi_seat *seat)
{
	return decide(seat, WI_CANCELLED, 0);
}

bool wi_waitq_yield_token(struct wi_waitq *q, struct wi_seat *seat)
{
	if (!(wi_load_rlx(&seat->word) & TOKEN))
		return false;
	wi_and_seq(&seat->word, ~TOKEN);
	WI_YIELD("waitq.yield.unsaid");
	wi_store_seq(&q->token, 0);
	return true;
}

void wi_waitq_say_overdue(struct wi_waitq *q, struct wi_seat *seat)
{
	wi_add_seq(&q->overdue, 1);
	wi_or_seq(&seat->word, OVERDUE);
}

bool wi_waitq_leave(struct wi_waitq *q, struct wi_seat *seat)
{
	bool overdue = wi_load_rlx(&seat->word) & OVERDUE;

	wi_and_seq(&segment_of(q, seat)->waiting, ~bit_of(seat));
	wi_sub_seq(&q->count, 1);
	if (overdue)
		wi_sub_seq(&q->overdue, 1);
	return wi_waitq_yield_token(q, seat);
}

struct wi_outcome wi_waitq_outcome(const struct wi_seat *seat)
{
	/* [waitq:A1] sees the granted slot as its giver left it; pairs with R1. */
	uint32_t word = wi_load_acq(&seat->word);

	return (struct wi_outcome){(enum wi_verdict)(word & VERDICT), word >> VALUE_SHIFT};
}

uint32_t wi_waitq_word(const struct wi_seat *seat)
{
	return wi_load_rlx(&seat->word);
}

bool wi_waitq_word_has_token(uint32_t word)
{
	return word & TOKEN;
}

void wi_waitq_park(struct wi_waitq *q, struct wi_seat *seat, uint32_t word, int64_t until_ns)
{
	if (is_pending(word))
		q->world->park(&seat->word, word, until_ns);
}

/* ---- patience ---- */

/*
 * A slot that is handed to a sleeper is idle until he runs: in each period of patience that happens
 * to every waiter once, and is shared by all slots. So the part that is lost is waiters * wake /
 * (slots * patience).
 */
int64_t wi_waitq_patience(const struct wi_waitq *q)
{
	int64_t slots = wi_load_rlx(&q->members);
	int64_t ns = (int64_t)wi_load_rlx(&q->wake_ns) * wi_load_rlx(&q->count) * WI_PATIENCE_PART;

	if (slots > 1)
		ns /= slots;
	if (ns < WI_PATIENCE_NS)
		return WI_PATIENCE_NS;
	return ns < WI_PATIENCE_MOST_NS ? ns : WI_PATIENCE_MOST_NS;
}

/* A moving average over eight; of two threads that write at once one is not heard. */
void wi_waitq_note_wake(struct wi_waitq *q, const struct wi_seat *seat, int64_t now_ns)
{
	int64_t took_ns = now_ns - wi_load_rlx(&seat->served_ns);
	uint32_t old = wi_load_rlx(&q->wake_ns);

	if (took_ns < 0 || took_ns > WI_PATIENCE_NS)
		return; /* of another wait, or of a machine that had better things to do */
	wi_store_rlx(&q->wake_ns, old - old / 8 + (uint32_t)took_ns / 8);
}

/* ---- the giver ---- */

/* One scan's idea of who has waited longest. */
struct oldest {
	struct wi_seat *seat; /* NULL: nobody is pending */
	int64_t since_ns;
	bool overdue; /* he has said so */
};

static struct oldest find_oldest(struct wi_waitq *q)
{
	struct oldest first = {NULL, 0, false};
	struct wi_segment *g;

	for (uint32_t i = 0; (g = wi_segment_at(q->seats, i)); i++) {
		/* [waitq:A2] sees time and word of each waiting seat; pairs with R2. */
		for (uint64_t bits = wi_load_seq(&g->waiting); bits; bits &= bits - 1) {
			int b = __builtin_ctzll(bits);
			int64_t since_ns = wi_load_rlx(&g->since[b]);
			uint32_t word;

			if (first.seat && since_ns >= first.since_ns)
				continue;
			word = wi_load_seq(&g->seat[b].word);
			if (is_pending(word))
				first = (struct oldest){&g->seat[b], since_ns, word & OVERDUE};
		}
	}
	return first;
}

bool wi_waitq_has_overdue(struct wi_waitq *q)
{
	struct wi_segment *g;

	if (!wi_load_seq(&q->overdue))
		return false;
	for (uint32_t i = 0; (g = wi_segment_at(q->seats, i)); i++)
		for (uint64_t bits = wi_load_seq(&g->waiting); bits; bits &= bits - 1) {
			uint32_t word = wi_load_seq(&g->seat[__builtin_ctzll(bits)].word);

			if (is_pending(word) && (word & OVERDUE))
				return true;
		}
	return false;
}

static void serve(struct wi_waitq *q, struct wi_seat *seat, int64_t now_ns)
{
	wi_store_rlx(&seat->served_ns, now_ns);
	q->world->wake(&seat->word);
}

bool wi_waitq_grant(struct wi_waitq *q, uint32_t slot, bool only_overdue)
{
	struct oldest first;

	while ((first = find_oldest(q)).seat) {
		int64_t now_ns = q->world->now();

		/*
		 * Patience grows and shrinks: a younger one may be overdue, and then the oldest is
		 * served for it, or givers would go round in circles until he says so himself.
		 */
		if (only_overdue && !first.overdue &&
		    now_ns - first.since_ns < wi_waitq_patience(q) && !wi_waitq_has_overdue(q))
			return false;
		if (decide(first.seat, WI_GRANTED, slot)) {
			serve(q, first.seat, now_ns);
			return true;
		}
	}
	return false;
}

/* Marks the one who has waited longest as the one to look. false: nobody is pending. */
static bool pass_token(struct wi_waitq *q)
{
	struct oldest first;

	while ((first = find_oldest(q)).seat) {
		uint32_t word = wi_load_rlx(&first.seat->word);

		WI_YIELD("waitq.nudge.chosen");
		if (is_pending(word) && wi_cas_seq(&first.seat->word, &word, word | TOKEN)) {
			q->world->wake(&first.seat->word);
			return true;
		}
	}
	return false;
}

enum wi_nudge wi_waitq_nudge(struct wi_waitq *q)
{
	uint32_t none = 0;

	if (wi_load_seq(&q->token) || !wi_cas_seq(&q->token, &none, 1))
		return WI_NUDGE_HELD;
	WI_YIELD("waitq.nudge.token");
	if (pass_token(q))
		return WI_NUDGE_GIVEN;
	wi_store_seq(&q->token, 0);
	return WI_NUDGE_NOBODY;
}

void wi_waitq_refuse(struct wi_waitq *q, uint32_t reason)
{
	struct wi_segment *g;

	for (uint32_t i = 0; (g = wi_segment_at(q->seats, i)); i++)
		for (uint64_t bits = wi_load_seq(&g->waiting); bits; bits &= bits - 1) {
			struct wi_seat *seat = &g->seat[__builtin_ctzll(bits)];

			if (decide(seat, WI_REFUSED, reason))
				q->world->wake(&seat->word);
		}
}

bool wi_waitq_is_waited(const struct wi_waitq *q)
{
	return wi_load_seq(&q->count) != 0;
}

bool wi_waitq_has_waiter(struct wi_waitq *q)
{
	return find_oldest(q).seat != NULL;
}

uint32_t wi_waitq_pending(const struct wi_waitq *q)
{
	struct wi_segment *g;
	uint32_t n = 0;

	if (!wi_load_rlx(&q->count))
		return 0;
	for (uint32_t i = 0; (g = wi_segment_at(q->seats, i)); i++)
		for (uint64_t bits = wi_load_seq(&g->waiting); bits; bits &= bits - 1)
			n += is_pending(wi_load_seq(&g->seat[__builtin_ctzll(bits)].word));
	return n;
}

void wi_waitq_each(const struct wi_waitq *q, void (*tell)(void *arg, const struct wi_waiter *who),
                   void *arg)
{
	struct wi_segment *g;

	if (!wi_load_rlx(&q->count))
		return;
	for (uint32_t i = 0; (g = wi_segment_at(q->seats, i)); i++) {
		/* [waitq:A3] sees thread and wish of each waiting seat; pairs with R2. */
		for (uint64_t bits = wi_load_seq(&g->waiting); bits; bits &= bits - 1) {
			int b = __builtin_ctzll(bits);
			const struct wi_seat *seat = &g->seat[b];
			struct wi_waiter who = {wi_load_rlx(&seat->wish_ns),
			                        wi_load_rlx(&seat->thread),
			                        wi_load_rlx(&seat->wish)};

			if (is_pending(wi_load_seq(&seat->word)))
				tell(arg, &who);
		}
	}
}

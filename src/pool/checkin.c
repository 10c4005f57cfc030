/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checkin. Warm: lent to this very thread, clean as far as a look without I/O tells, into the empty
 * cache. Otherwise: clean, back into the core; anything else goes to the keeper's inbox, which puts
 * it right or closes it before anybody else gets it.
 *
 * Who lets go. The thread that a slot was lent to lets go by a plain store, any other by
 * compare-and-swap: of two that give the same handle back one wins and the other is told, unless
 * one of them is the lender itself and both are within the same few instructions.
 *
 * Orderings. Letting go: lend = even, light fence, look at the notes; the keeper, before it cuts:
 * note, heavy fence, look at lend. One of the two sees the other. [session:R1] in stamp.
 */
#include <string.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/fork.h"
#include "base/probe.h"
#include "base/rcu.h"
#include "base/text.h"
#include "core/desk.h"
#include "pool/pool.h"
#include "pool/warm.h"

/*
 * Lets go of a slot that is held with this count. false: somebody else let go of it before, with a
 * copy of the same handle; of two that race, one wins.
 */
bool wi_conn_let_go(struct weir_conn *c, uint64_t count)
{
	/*
	 * Sequentially consistent: the keeper notes a cut and then looks here; we let go and then
	 * look at the notes.
	 */
	return wi_cas_seq(&c->slot.lend, &count, count + 1);
}

void wi_inbox_push(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	uint32_t n = c->number, top = wi_load_rlx(&pool->inbox);

	do {
		wi_store_rlx(&c->inbox_next, top);
		/* [inbox:R1] what the holder wrote to the slot; pairs with A1. */
	} while (!wi_cas_rel(&pool->inbox, &top, n));
	wi_keeper_ring(pool->keeper);
}

struct weir_conn *wi_inbox_take_all(struct weir_pool *pool)
{
	uint32_t n;

	if (!wi_load_rlx(&pool->inbox))
		return NULL;
	/* [inbox:A1] sees each slot as its holder left it; pairs with R1. */
	n = wi_swap_acq(&pool->inbox, 0);
	return n ? &pool->conns[n] : NULL;
}

static bool is_clean(struct weir_conn *c)
{
	const uint32_t kept =
		wi_load_rlx(&c->pool->standing) | WI_NOTE_STACK | WI_NOTE_READS | WI_NOTE_TIMED;
	uint32_t notes = wi_load_seq(&c->notes) & ~kept;
	const uint32_t proven = WI_NOTE_LOOK | WI_NOTE_CHECK | WI_NOTE_PING;

	/* Being used was proof enough of life, but where there is a reason to doubt. */
	if (notes & proven && !(notes & WI_NOTE_SUSPECT))
		notes = wi_and_rlx(&c->notes, ~proven | kept) & ~(proven | kept);
	if (notes || wi_load_acq(&c->pool->closed))
		return false;
	return c->pool->look(c->link) == WI_LOOK_CLEAN;
}

/* It is back since now, if that is to be said. */
static void stamp(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	int64_t now_ns;

	if (wi_likely(!(wi_load_rlx(&c->notes) & WI_NOTE_STAMP)))
		return;
	wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_STAMP);
	now_ns = pool->core.world->now();
	wi_store_rlx(&c->back_ns, now_ns);
	/* [session:R1] the time is there before its count is; pairs with A1. */
	wi_store_rel(&c->back_lend, wi_load_rlx(&c->slot.lend));
	if (pool->back_any_ns && wi_load_rlx(&c->role) == WEIR_ROLE_PRIMARY)
		wi_store_rlx(pool->back_any_ns, now_ns);
}

/* The slot is nobody's any more, and this thread's to pass on. Pinned, if there is a seat. */
static void give_back(struct weir_conn *c, struct wi_seat *seat, uint32_t note)
{
	struct weir_pool *pool = c->pool;

	wi_conn_unload(c);
	stamp(c);
	if (wi_load_rlx(&c->notes) & WI_NOTE_TIMED)
		wi_timed_end(c);
	wi_epoch_heard(c);
	if (note)
		wi_or_acq_rel(&c->notes, note);
	if (!is_clean(c))
		wi_inbox_push(c);
	else if (seat)
		wi_core_put_pinned(&pool->core, seat, c->number);
	else
		wi_core_give(&pool->core, c->number);
}

/* Whether it was lent to this very thread. */
WI_INLINE bool is_own(const struct weir_conn *c)
{
	const struct wi_seat *seat = wi_load_rlx(&c->lender);

	return wi_likely(wi_load_rlx(&seat->owner) == wi_thread_self());
}

/* Nothing is left to put right. Not in a child: the look may write to the parent's socket. */
WI_INLINE bool looks_clean(struct weir_conn *c)
{
	return wi_likely(c->pool->look(c->link) == WI_LOOK_CLEAN);
}

/* The ends of a warm checkin that is none after all: something is noted, or the bias has gone. */
static WI_COLD void give_back_noted(struct weir_conn *c, struct wi_seat *seat)
{
	give_back(c, seat, 0);
	wi_unpin(seat);
}

static WI_COLD void put_again(struct weir_pool *pool, struct wi_seat *seat)
{
	wi_core_put_again(&pool->core, seat);
	wi_unpin(seat);
}

/* Lets go by plain stores, as the lender may where the keeper has a heavy fence. */
WI_INLINE void let_go_plainly(struct weir_conn *c)
{
	wi_store_rlx(&c->slot.lend, wi_load_rlx(&c->slot.lend) + 1);
	wi_fence_light();
	WI_YIELD("checkin.let_go.done");
}

/* The caches are shared: false: nothing was done. */
static WI_NOINLINE bool give_back_shared(struct weir_conn *c)
{
	struct wi_seat *seat = wi_load_rlx(&c->lender);
	struct weir_pool *pool = c->pool;
	uint32_t against = WI_BIAS_NEVER | WI_BIAS_CLOSED | WI_BIAS_FORKED;

	if ((wi_load_seq(&pool->core.bias.word) & against) || !looks_clean(c))
		return false;
	(void)wi_pin(&pool->core.bias, seat);
	let_go_plainly(c);
	if (wi_unlikely(wi_load_rlx(&c->notes)))
		give_back(c, seat, 0);
	else
		wi_core_put_pinned(&pool->core, seat, c->number);
	wi_unpin(seat);
	return true;
}

/* The caches are biased. */
WI_INLINE void give_back_warm(struct weir_conn *c)
{
	struct wi_seat *seat = wi_load_rlx(&c->lender);
	struct weir_pool *pool = c->pool;
	uint32_t pin = wi_pin_biased(seat);

	let_go_plainly(c);
	if (wi_unlikely(wi_load_rlx(&c->notes)))
		give_back_noted(c, seat);
	else if (wi_unlikely(!wi_cache_put(&pool->core.bias, seat, c->number)))
		put_again(pool, seat);
	else
		wi_unpin_from(seat, pin);
}

/* What is told about a misuse, copied out of the pool, which may be gone when it is told. */
struct misuse {
	weir_event_sink sink;
	void *arg;
	weir_event event;
	char host[WEIR_ERROR_HOST];
};

/*
 * A stale handle still leads to a slot of a living pool; a foreign pointer does not, and is not
 * followed.
 */
static void count_misuse(const struct weir_conn *handle, struct misuse *m)
{
	struct weir_conn *c = (struct weir_conn *)((uintptr_t)handle & ~WI_HANDLE_MASK);
	struct weir_pool *pool;

#if defined(WI_TESTING) || !defined(NDEBUG)
	if (!wi_desk_knows(c))
		return;
#endif
	pool = c->pool;
	wi_add_rlx(&pool->misuse, 1);
	m->sink = pool->options.on_event;
	m->arg = pool->options.on_event_arg;
	wi_copy(m->host, sizeof(m->host), pool->endpoint->name);
	m->event = (weir_event){.kind = WEIR_EVENT_MISUSE,
	                        .at_ns = pool->core.world->now(),
	                        .host = m->host,
	                        .text = "a handle was given back that is not out "
	                                "(given back twice?)"};
	wi_event_note(pool->ring, &m->event);
}

/*
 * In the thread's own seat, or counted inside: the slot alone keeps the pool only until it is given
 * back.
 */
static void give_back_slowly(struct weir_conn *c, uint32_t note)
{
	struct weir_pool *pool = c->pool;
	bool open;
	struct wi_seat *seat = wi_come_in(pool, wi_desk_find(&pool->core), &open);

	if (!seat)
		wi_pool_enter(pool);
	give_back(c, seat, note);
	if (seat)
		wi_unpin(seat);
	else
		wi_pool_exit(pool);
}

static WI_NOINLINE void hand_in_slowly(const struct weir_conn *handle, uint32_t note)
{
	struct misuse misuse = {.sink = NULL};
	struct weir_conn *c;
	uint64_t count;

	c = wi_handle_find(handle, &count);
	if (wi_likely(c) && wi_pool_is_parents(c->pool))
		return; /* in a child, the parent's connection is left alone */
	if (wi_likely(c) && wi_conn_let_go(c, count)) {
		give_back_slowly(c, note);
		return;
	}
	wi_rcu_enter(); /* a stale handle keeps no pool */
	count_misuse(handle, &misuse);
	wi_rcu_leave();
	if (misuse.sink)
		misuse.sink(misuse.arg, &misuse.event);
}

WI_INLINE void hand_in(struct weir_conn **handle, uint32_t note)
{
	struct weir_conn *h, *c;
	uint64_t count;

	if (!handle || !*handle)
		return;
	h = *handle;
	wi_probe_checkin(handle, h);
	c = wi_handle_find(h, &count);
	if (wi_unlikely(!c || note || !is_own(c)))
		hand_in_slowly(h, note);
	else if (wi_cache_may_put(&c->pool->core.bias, wi_load_rlx(&c->lender)) && looks_clean(c))
		give_back_warm(c);
	else if (!give_back_shared(c))
		hand_in_slowly(h, note);
}

void weir_checkin(weir_conn **conn)
{
	hand_in(conn, 0);
}

void weir_discard(weir_conn **conn)
{
	hand_in(conn, WI_NOTE_DISCARD);
}

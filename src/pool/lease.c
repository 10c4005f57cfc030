/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checkout and checkin: the two calls weir exists for.
 *
 * Checkout. Warm: the thread's cached slot, no note on it, lent, done: plain loads and stores on
 * lines of this thread alone. Otherwise the slow path: an idle slot of somebody else's, notes acted
 * on, and where nothing is idle the caller is counted in `inside` and waits in line.
 *
 * Checkin. Warm: lent to this very thread, clean as far as a look without I/O tells, into the empty
 * cache. Otherwise: clean, back into the core; anything else goes to the keeper's inbox, which puts
 * it right or closes it before anybody else gets it.
 *
 * Handles. A handle is the slot's address plus the low 8 bits of the count of its lendings, so a
 * copy that outlived its checkin does not match the slot any more. `lend` is odd while lent. The
 * thread that a slot was lent to lets go by a plain store, any other by compare-and-swap: of two
 * that give the same handle back one wins and the other is told, unless one of them is the lender
 * itself and both are within the same few instructions. (Builds for tests always compare and swap.)
 *
 * Who may free the pool. A caller is pinned (core/pin.h), or inside an RCU read section, or counted
 * in `inside`, or holds a lent slot; close waits for all four.
 *
 * Orderings. Letting go: lend = even, light fence, look at the notes; the keeper, before it cuts:
 * note, heavy fence, look at lend. One of the two sees the other.
 */
#include <string.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/fork.h"
#include "base/rcu.h"
#include "base/text.h"
#include "core/desk.h"
#include "pool/pool.h"
#include "pool/warm.h"

/* The slot behind a handle, and the count it is held with; NULL: the handle is stale. */
WI_INLINE struct weir_conn *find(const struct weir_conn *handle, uint64_t *count)
{
	uintptr_t at = (uintptr_t)handle;
	struct weir_conn *c = (struct weir_conn *)(at & ~WI_HANDLE_MASK);

#if defined(WI_TESTING) || !defined(NDEBUG)
	if (!wi_desk_knows(c))
		return NULL; /* a foreign pointer, or of a pool that is gone */
#endif
	*count = wi_load_rlx(&c->slot.lend);
	return (*count & 1) && ((*count >> 1) & WI_HANDLE_MASK) == (at & WI_HANDLE_MASK) ? c : NULL;
}

struct weir_conn *wi_conn_of(const struct weir_conn *handle)
{
	uint64_t count;

	return find(handle, &count);
}

/*
 * Lets go of a slot that is held with this count. false: somebody else let go of it before, with a
 * copy of the same handle; of two that race, one wins.
 */
static bool let_go(struct weir_conn *c, uint64_t count)
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

/*
 * What a taker may not use: the keeper has to see to it. A wish for a check or a ping is no such
 * note.
 */
static bool is_unusable(uint32_t notes)
{
	return notes &
	       (WI_NOTE_SUSPECT | WI_NOTE_RETIRE | WI_NOTE_DISCARD | WI_NOTE_CUT | WI_NOTE_ASKED);
}

/* Whether a taken slot may be lent at once, after a look if it wants no more than that. */
static bool is_good(struct weir_conn *c)
{
	uint32_t notes = wi_load_acq(&c->notes);

	if (wi_warm_is_plain(notes))
		return true;
	return !is_unusable(notes) && !(notes & WI_NOTE_CHECK) && wi_health_look(c);
}

/* Pinned: `slot`, or any other idle one, if it needs no round trip. */
static struct weir_conn *try_pinned(struct weir_pool *pool, struct wi_seat *seat, uint32_t slot)
{
	while (slot || (slot = wi_core_take_pinned(&pool->core, seat))) {
		struct weir_conn *c = wi_warm_conn_at(pool, slot);

		if (is_good(c))
			return wi_warm_lend(c, seat);
		if (!is_unusable(wi_load_rlx(&c->notes))) {
			wi_core_give(&pool->core, slot); /* wants to be asked: the slow path does */
			return NULL;
		}
		wi_inbox_push(c);
		slot = WI_SLOT_NONE;
	}
	return NULL;
}

/* Pins the calling thread, which sits down if it has no seat yet. NULL: no memory for that. */
static struct wi_seat *come_in(struct weir_pool *pool, struct wi_seat *seat, bool *open)
{
	if (!seat)
		seat = wi_desk_search(&pool->core);
	if (!seat) {
		wi_rcu_enter(); /* the pool stays until the pin is set */
		seat = wi_desk_sit(&pool->core);
		*open = seat && wi_pin(&pool->core.bias, seat);
		wi_rcu_leave();
	} else {
		*open = wi_pin(&pool->core.bias, seat);
	}
	return seat;
}

struct weir_conn *wi_pool_try_cold(struct weir_pool *pool, struct wi_seat *seat, uint32_t slot,
                                   const struct wi_mark *mark)
{
	struct weir_conn *handle = NULL;
	bool open;

	seat = come_in(pool, seat, &open);
	if (!seat)
		return NULL;
	if (open || slot)
		handle = try_pinned(pool, seat, slot);
	wi_unpin(seat);
	if (handle)
		wi_warm_set_mark(wi_conn_of(handle), mark);
	return handle;
}

struct weir_conn *wi_pool_try(struct weir_pool *pool, const struct wi_mark *mark)
{
	struct wi_seat *seat;
	uint32_t slot;
	struct weir_conn *c = wi_warm_take_kept(pool, &seat, &slot);

	if (wi_unlikely(!c))
		return wi_pool_try_cold(pool, seat, slot, mark);
	wi_warm_set_mark(c, mark);
	return wi_warm_lend(c, seat);
}

void wi_pool_enter(struct weir_pool *pool)
{
	wi_add_seq(&pool->inside, 1);
}

void wi_pool_exit(struct weir_pool *pool)
{
	/*
	 * After the subtraction only the read section keeps the pool, whose closer may be waiting
	 * for the count.
	 */
	wi_rcu_enter();
	wi_sub_seq(&pool->inside, 1);
	if (wi_unlikely(wi_load_seq(&pool->closed)))
		wi_keeper_ring(pool->keeper);
	wi_rcu_leave();
}

/*
 * Takes hold of a taken slot and sees whether it may be handed out; if not, it goes to the keeper.
 */
static bool is_fit(struct weir_conn *c, struct wi_seat *seat, int64_t check_ns,
                   struct weir_conn **handle)
{
	uint32_t notes = wi_load_acq(&c->notes);

	*handle = wi_warm_lend(c, seat);
	if (wi_warm_is_plain(notes))
		return true;
	if (!is_unusable(notes)) {
		wi_health_check(c, notes, check_ns);
		if (!is_unusable(wi_load_rlx(&c->notes)))
			return true;
	}
	wi_add_rlx(&c->pool->unfit, 1);
	(void)let_go(c, wi_load_rlx(&c->slot.lend));
	wi_inbox_push(c);
	return false;
}

/* Nothing open, and the breaker says that nothing will be soon. */
static bool is_hopeless(struct weir_pool *pool)
{
	return wi_load_rlx(&pool->breaker.state) != WI_BREAKER_CLOSED &&
	       wi_load_rlx(&pool->alive) == 0;
}

static weir_status refused(struct weir_pool *pool, uint32_t reason, weir_error *error)
{
	wi_add_rlx(&pool->refused, 1);
	if (reason == WI_REFUSE_BREAKER)
		return wi_say_breaker(pool, error);
	if (reason == WI_REFUSE_CLOSED)
		return wi_fail(error, WEIR_CLOSED, "the pool for %s is closed",
		               pool->endpoint->name);
	return wi_fail(error, WEIR_UNAVAILABLE, "%s", "");
}

/* Waits in line. GRANTED: *slot is the caller's. */
static weir_status wait_in_line(struct weir_pool *pool, struct wi_seat *seat, int64_t deadline_ns,
                                uint32_t *slot, weir_error *error)
{
	int64_t began_ns = pool->core.world->now(), waited_ns;
	struct wi_outcome o;

	if (deadline_ns == 0) {
		wi_add_rlx(&pool->refused, 1);
		return wi_say_exhausted(pool, error);
	}
	wi_add_rlx(&pool->waits, 1);
	o = wi_core_wait(&pool->core, seat, deadline_ns);
	waited_ns = pool->core.world->now() - began_ns;
	wi_hist_add(&pool->wait_hist, waited_ns);
	if (o.verdict == WI_GRANTED) {
		*slot = o.value;
		return WEIR_OK;
	}
	if (o.verdict == WI_REFUSED)
		return refused(pool, o.value, error);
	wi_add_rlx(&pool->timeouts, 1);
	return wi_say_timeout(pool, waited_ns, error);
}

static bool is_shed(struct weir_pool *pool)
{
	int64_t max = pool->options.max_waiters;

	return max > 0 && wi_load_rlx(&pool->inside) > max;
}

weir_status wi_pool_wait(struct weir_pool *pool, int64_t deadline_ns, int64_t check_ns,
                         struct weir_conn **conn, weir_error *error)
{
	struct wi_seat *seat = wi_desk_seat(&pool->core);

	if (!seat)
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for a seat of this thread");
	for (;;) {
		uint32_t slot;
		weir_status st;

		if (wi_load_acq(&pool->closed))
			return refused(pool, WI_REFUSE_CLOSED, error);
		slot = wi_core_take(&pool->core, seat);
		if (!slot) {
			if (is_hopeless(pool))
				return refused(pool, WI_REFUSE_BREAKER, error);
			if (is_shed(pool)) {
				wi_add_rlx(&pool->refused, 1);
				return wi_fail(error, WEIR_SHED, "%lld callers wait for %s already",
				               (long long)pool->options.max_waiters,
				               pool->endpoint->name);
			}
			st = wait_in_line(pool, seat, deadline_ns, &slot, error);
			if (st != WEIR_OK)
				return st;
		}
		if (is_fit(&pool->conns[slot], seat, check_ns, conn))
			return WEIR_OK;
	}
}

/*
 * Pinned, with the pool open: what is idle, or counted inside, to wait for it (*conn is NULL then).
 */
static void take_or_enter(struct weir_pool *pool, struct wi_seat *seat, uint32_t slot,
                          struct weir_conn **conn)
{
	*conn = try_pinned(pool, seat, slot);
	if (!*conn)
		wi_pool_enter(pool);
}

static weir_status wait_inside(struct weir_pool *pool, int64_t timeout_ms, struct weir_conn **conn,
                               weir_error *error)
{
	int64_t deadline_ns;
	weir_status st;

	if (timeout_ms == WEIR_DEFAULT_TIMEOUT)
		timeout_ms = pool->options.checkout_timeout_ms;
	deadline_ns = timeout_ms ? wi_deadline_after(pool->core.world->now(), timeout_ms) : 0;
	st = wi_pool_wait(pool, deadline_ns, deadline_ns, conn, error);
	wi_pool_exit(pool);
	return st;
}

static WI_NOINLINE weir_status checkout_slow(struct weir_pool *pool, struct wi_seat *seat,
                                             uint32_t slot, int64_t timeout_ms,
                                             struct weir_conn **conn, weir_error *error)
{
	weir_status st = WEIR_OK;
	bool open;

	*conn = NULL;
	while ((seat = come_in(pool, seat, &open))) {
		if (wi_likely(open || slot)) {
			take_or_enter(pool, seat, slot, conn);
			wi_unpin(seat);
			return *conn ? WEIR_OK : wait_inside(pool, timeout_ms, conn, error);
		}
		if (!wi_pool_is_parents(pool))
			st = refused(pool, WI_REFUSE_CLOSED, error);
		wi_unpin(seat);
		if (st != WEIR_OK || (st = wi_pool_in_child(pool, error)) != WEIR_OK)
			return st;
		seat = wi_desk_find(&pool->core); /* in the pool that was made anew */
	}
	return wi_fail(error, WEIR_NO_MEMORY, "no memory for a seat of this thread");
}

static WI_COLD weir_status refuse_null(const struct weir_pool *pool, weir_error *error)
{
	return wi_fail(error, WEIR_INVALID, "weir_pool_checkout: %s is NULL",
	               pool ? "conn" : "pool");
}

weir_status weir_pool_checkout(weir_pool *pool, int64_t timeout_ms, weir_conn **conn,
                               weir_error *error)
{
	struct wi_seat *seat;
	struct weir_conn *c;
	uint32_t slot;

	if (wi_unlikely(!pool || !conn))
		return refuse_null(pool, error);
	c = wi_warm_take_kept(pool, &seat, &slot);
	if (wi_unlikely(!c))
		return checkout_slow(pool, seat, slot, timeout_ms, conn, error);
	*conn = wi_warm_lend(c, seat);
	return WEIR_OK;
}

void wi_conn_mark(struct weir_conn *handle, const struct wi_mark *mark)
{
	struct weir_conn *c = wi_conn_of(handle);

	wi_assert(c);
	wi_warm_set_mark(c, mark);
}

static bool is_clean(struct weir_conn *c)
{
	uint32_t notes = wi_load_seq(&c->notes) & ~c->pool->standing;
	const uint32_t proven = WI_NOTE_LOOK | WI_NOTE_CHECK | WI_NOTE_PING;

	/* Being used was proof enough of life. */
	if (notes & proven)
		notes = wi_and_rlx(&c->notes, ~proven | c->pool->standing) & ~proven;
	if (notes || wi_load_acq(&c->pool->closed))
		return false;
	return c->pool->look(c->link) == WI_LOOK_CLEAN;
}

/* The slot is nobody's any more, and this thread's to pass on. Pinned, if there is a seat. */
static void give_back(struct weir_conn *c, struct wi_seat *seat, uint32_t note)
{
	struct weir_pool *pool = c->pool;

	if (wi_load_rlx(&c->notes) & WI_NOTE_LOAD) {
		wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_LOAD);
		wi_sub_rlx(c->load, 1);
	}
	if (note)
		wi_or_acq_rel(&c->notes, note);
	if (!is_clean(c))
		wi_inbox_push(c);
	else if (seat)
		wi_core_put_pinned(&pool->core, seat, c->number);
	else
		wi_core_give(&pool->core, c->number);
}

/* Whether a handle is of this very thread's own, with nothing left to put right. */
WI_INLINE bool is_own_and_clean(struct weir_conn *c)
{
	const struct wi_seat *seat = wi_load_rlx(&c->lender);

	return wi_likely(wi_load_rlx(&seat->owner) == wi_thread_self()) &&
	       wi_likely(c->pool->look(c->link) == WI_LOOK_CLEAN);
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
	WI_YIELD("lease.let_go.done");
}

/* The caches are shared: false: nothing was done. */
static WI_NOINLINE bool give_back_shared(struct weir_conn *c)
{
	struct wi_seat *seat = wi_load_rlx(&c->lender);
	struct weir_pool *pool = c->pool;
	uint32_t against = WI_BIAS_NEVER | WI_BIAS_CLOSED | WI_BIAS_FORKED;

	if (wi_load_seq(&pool->core.bias.word) & against)
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
	int64_t at_ns;
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
	m->at_ns = pool->core.world->now();
	wi_copy(m->host, sizeof(m->host), pool->endpoint->name);
}

static void tell_misuse(const struct misuse *m)
{
	const weir_event event = {
		.kind = WEIR_EVENT_MISUSE,
		.at_ns = m->at_ns,
		.host = m->host,
		.text = "a handle was given back that is not out (given back twice?)"};

	if (m->sink)
		m->sink(m->arg, &event);
}

/*
 * In the thread's own seat, or counted inside: the slot alone keeps the pool only until it is given
 * back.
 */
static void give_back_slowly(struct weir_conn *c, uint32_t note)
{
	struct weir_pool *pool = c->pool;
	bool open;
	struct wi_seat *seat = come_in(pool, wi_desk_find(&pool->core), &open);

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

	c = find(handle, &count);
	if (wi_likely(c) && wi_pool_is_parents(c->pool))
		return; /* in a child, the parent's connection is left alone */
	if (wi_likely(c) && let_go(c, count)) {
		give_back_slowly(c, note);
		return;
	}
	wi_rcu_enter(); /* a stale handle keeps no pool */
	count_misuse(handle, &misuse);
	wi_rcu_leave();
	if (misuse.sink)
		tell_misuse(&misuse);
}

WI_INLINE void hand_in(struct weir_conn **handle, uint32_t note)
{
	struct weir_conn *h, *c;
	uint64_t count;

	if (!handle || !*handle)
		return;
	h = *handle;
	*handle = NULL;
	c = find(h, &count);
	if (wi_unlikely(!c || note || !is_own_and_clean(c)))
		hand_in_slowly(h, note);
	else if (wi_likely(wi_cache_may_put(&c->pool->core.bias, wi_load_rlx(&c->lender))))
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

struct pg_conn *weir_pg(const weir_conn *conn)
{
	struct weir_conn *c = conn ? wi_conn_of(conn) : NULL;

	return c && !wi_pool_is_parents(c->pool) ? c->pg : NULL;
}

weir_status weir_conn_info_get(const weir_conn *conn, weir_conn_info *info)
{
	struct weir_conn *c = conn ? wi_conn_of(conn) : NULL;
	struct wi_facts facts;

	if (!info)
		return WEIR_INVALID;
	memset(info, 0, sizeof(*info));
	if (!c)
		return WEIR_STALE;
	if (wi_pool_is_parents(c->pool))
		return WEIR_FORKED;
	c->pool->driver->facts(c->link, &facts);
	wi_copy(info->host, sizeof(info->host), c->pool->endpoint->name);
	info->role = (weir_role)c->role;
	info->reason = (weir_reason)c->reason;
	info->backend_pid = facts.backend_pid;
	info->tag = wi_load_rlx(&c->tag);
	return WEIR_OK;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checkout. Warm: the thread's cached slot, no note on it, lent, done: plain loads and stores on
 * lines of this thread alone (warm.h). Otherwise the slow path: an idle slot of somebody else's,
 * notes acted on, and where nothing is idle the caller is counted in `inside` and waits in line.
 *
 * Who may free the pool. A caller is pinned (core/pin.h), or inside an RCU read section, or counted
 * in `inside`, or holds a lent slot; close waits for all four.
 */
#include <string.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/fork.h"
#include "base/probe.h"
#include "base/rcu.h"
#include "base/text.h"
#include "core/desk.h"
#include "pool/size.h"
#include "pool/warm.h"

/*
 * What a taker may not use: the keeper has to see to it. A wish for a check or a ping is no such
 * note.
 */
static bool is_unusable(uint32_t notes, enum wi_access access)
{
	if (access == WI_ACCESS_WRITE && notes & WI_NOTE_VERIFY)
		return true;
	return notes & (WI_NOTE_SUSPECT | WI_NOTE_RETIRE | WI_NOTE_DISCARD | WI_NOTE_CUT |
	                WI_NOTE_ASKED | WI_NOTE_SILENT);
}

/* Notes that say what is to be known of a lending, and nothing of the connection. */
#define ASIDE ((uint32_t)(WI_NOTE_STACK | WI_NOTE_READS | WI_NOTE_TIMED))

/* So long has one that may not wait to make connections read-only, however many it tries. */
#define TELL_AT_ONCE_NS (100 * WI_MS)

/* Lends a slot whose stack may be wanted, or how long it is out. */
static struct weir_conn *lend(struct weir_conn *c, struct wi_seat *seat)
{
	struct weir_conn *handle = wi_warm_lend(c, seat);
	uint32_t notes = wi_load_rlx(&c->notes);

	if (wi_likely(!(notes & (WI_NOTE_STACK | WI_NOTE_TIMED))))
		return handle;
	if (notes & WI_NOTE_STACK)
		wi_held_stack(c);
	if (notes & WI_NOTE_TIMED)
		wi_timed_begin(c);
	return handle;
}

/* Whether a taken slot may be lent at once, after a look if it wants no more than that. */
static bool is_good(struct weir_conn *c, enum wi_access access)
{
	uint32_t notes = wi_load_acq(&c->notes) & ~ASIDE;

	if (!wi_access_suits(c, access))
		return false;
	if (wi_warm_is_plain(notes))
		return true;
	return !is_unusable(notes, access) && !(notes & WI_NOTE_CHECK) && wi_health_look(c);
}

/* Pinned: `slot`, or any other idle one, if it needs no round trip. */
static struct weir_conn *try_pinned(struct weir_pool *pool, struct wi_seat *seat, bool open,
                                    uint32_t slot, enum wi_access access)
{
	if (slot && !open && wi_pool_is_suspended(pool)) { /* since it was taken */
		wi_core_give(&pool->core, slot);
		return NULL;
	}
	while (slot || (open && (slot = wi_core_take_pinned(&pool->core, seat)))) {
		struct weir_conn *c = wi_warm_conn_at(pool, slot);

		if (is_good(c, access))
			return lend(c, seat);
		if (!is_unusable(wi_load_rlx(&c->notes), access)) {
			wi_core_give(&pool->core, slot); /* wants to be asked: the slow path does */
			return NULL;
		}
		wi_inbox_push(c);
		slot = WI_SLOT_NONE;
	}
	return NULL;
}

/* Pins the calling thread, which sits down if it has no seat yet. NULL: no memory for that. */
struct wi_seat *wi_come_in(struct weir_pool *pool, struct wi_seat *seat, bool *open)
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

	seat = wi_come_in(pool, seat, &open);
	if (!seat)
		return NULL;
	handle = try_pinned(pool, seat, open, slot, mark->access);
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

	if (wi_unlikely(!c || mark->access == WI_ACCESS_READ))
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

/* The caller has taken hold of it, and may not have it: it goes to the keeper. */
static void take_back(struct weir_conn *c)
{
	wi_add_rlx(&c->pool->unfit, 1); /* before it counts as given back: see read.c */
	(void)wi_conn_let_go(c, wi_load_rlx(&c->slot.lend));
	wi_inbox_push(c);
}

/*
 * Takes hold of a taken slot and sees whether it may be handed out; if not, it goes to the keeper.
 */
static bool is_fit(struct weir_conn *c, struct wi_seat *seat, enum wi_access access,
                   int64_t check_ns, int64_t tell_ns, struct weir_conn **handle)
{
	uint32_t notes = wi_load_acq(&c->notes) & ~ASIDE;
	bool suits = wi_access_suits(c, access);

	*handle = lend(c, seat);
	if (wi_warm_is_plain(notes) && suits)
		return true;
	if (!is_unusable(notes, access)) {
		wi_health_check(c, notes, check_ns);
		if (!is_unusable(wi_load_rlx(&c->notes), access) &&
		    (suits || wi_access_get(c, access, tell_ns)))
			return true;
	}
	take_back(c);
	*handle = NULL;
	return false;
}

/* Nothing open, and the breaker says that nothing will be soon. */
static bool is_hopeless(struct weir_pool *pool)
{
	return wi_load_rlx(&pool->breaker.state) != WI_BREAKER_CLOSED &&
	       wi_load_rlx(&pool->alive) == 0;
}

weir_status wi_pool_refused(struct weir_pool *pool, weir_status status)
{
	wi_add_rlx(&pool->refused_with[status], 1);
	return status;
}

static weir_status refused(struct weir_pool *pool, uint32_t reason, weir_error *error)
{
	if (reason == WI_REFUSE_BREAKER)
		return wi_pool_refused(pool, wi_say_breaker(pool, error));
	if (reason == WI_REFUSE_CLOSED)
		return wi_pool_refused(pool,
		                       wi_fail(error, WEIR_CLOSED, "the pool for %s is closed",
		                               pool->endpoint->name));
	return wi_fail(error, WEIR_UNAVAILABLE, "%s", "");
}

weir_status wi_pool_shed(struct weir_pool *pool, weir_error *error)
{
	int64_t max = wi_word_load(&pool->options.max_waiters);

	if (max <= 0 || wi_load_rlx(&pool->inside) <= max)
		return WEIR_OK;
	(void)wi_pool_refused(pool, WEIR_SHED);
	return wi_fail(error, WEIR_SHED, "%lld callers wait for %s already", (long long)max,
	               pool->endpoint->name);
}

/* Waits in line. GRANTED: *slot is the caller's. final: at the deadline, its time is over. */
static weir_status wait_in_line(struct weir_pool *pool, struct wi_seat *seat, int64_t deadline_ns,
                                bool final, uint32_t *slot, weir_error *error)
{
	int64_t began_ns = pool->core.world->now(), waited_ns;
	struct wi_outcome o;
	weir_status st = wi_pool_shed(pool, error);

	if (st != WEIR_OK)
		return st;
	if (deadline_ns == 0)
		return wi_pool_refused(pool, wi_say_exhausted(pool, error));
	if (began_ns >= deadline_ns) { /* nor is anybody rung for */
		wi_add_rlx(&pool->timeouts, final);
		return wi_say_timeout(pool, 0, error);
	}
	wi_add_rlx(&pool->waits, 1);
	wi_held_warn(pool, seat);
	o = wi_core_wait(&pool->core, seat, deadline_ns);
	waited_ns = pool->core.world->now() - began_ns;
	wi_hist_add(&pool->wait_hist, waited_ns);
	if (o.verdict == WI_GRANTED) {
		wi_probe_grant(pool->endpoint->name, waited_ns);
		*slot = o.value;
		return WEIR_OK;
	}
	if (o.verdict == WI_REFUSED && o.value >= WI_SUSPENDED_WAIT)
		return WEIR_OK; /* without a slot: the wait goes on elsewhere */
	if (o.verdict == WI_REFUSED)
		return refused(pool, o.value, error);
	wi_add_rlx(&pool->timeouts, final);
	if (final)
		wi_probe_timeout(pool->endpoint->name, waited_ns);
	wi_exhausted_found(pool, began_ns + waited_ns, wi_core_waiting(&pool->core) + 1);
	return wi_say_timeout(pool, waited_ns, error);
}

/* OK without a slot: try again. */
static weir_status find(struct weir_pool *pool, struct wi_seat *seat, int64_t deadline_ns,
                        bool final, uint32_t *slot, weir_error *error)
{
	*slot = 0;
	if (wi_load_acq(&pool->closed))
		return refused(pool, WI_REFUSE_CLOSED, error);
	if (wi_unlikely(wi_pool_is_suspended(pool)))
		return wi_suspend_await(pool, deadline_ns, error);
	*slot = wi_core_take(&pool->core, seat);
	if (*slot)
		return WEIR_OK;
	if (is_hopeless(pool))
		return refused(pool, WI_REFUSE_BREAKER, error);
	return wait_in_line(pool, seat, deadline_ns, final, slot, error);
}

weir_status wi_pool_wait(struct weir_pool *pool, enum wi_access access, const struct wi_plea *plea,
                         int64_t deadline_ns, int64_t check_ns, struct weir_conn **conn,
                         weir_error *error)
{
	struct wi_seat *seat = wi_desk_seat(&pool->core);
	int64_t began_ns, tell_ns;
	WI_NO_CANCEL;

	if (!seat)
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for a seat of this thread");
	began_ns = plea ? plea->since_ns : pool->core.world->now();
	tell_ns = check_ns ? check_ns : began_ns + TELL_AT_ONCE_NS;
	wi_store_rlx(&seat->wish, plea ? plea->tag : NULL);
	wi_store_rlx(&seat->wish_ns, began_ns);
	for (;;) {
		uint32_t slot;
		weir_status st =
			find(pool, seat, deadline_ns, deadline_ns >= check_ns, &slot, error);

		if (st != WEIR_OK)
			return st;
		if (!slot)
			continue;
		/* Nothing counts as a checkout before it is sure to be one: see read.c. */
		wi_add_rlx(&pool->unsure, 1);
		if (!is_fit(&pool->conns[slot], seat, access, check_ns, tell_ns, conn)) {
			if (!check_ns && pool->core.world->now() >= tell_ns)
				return wi_pool_refused(pool, wi_say_exhausted(pool, error));
			continue;
		}
		/* The other half of this light fence is the heavy one of who suspends. */
		wi_fence_light();
		if (wi_likely(!wi_pool_is_suspended(pool))) {
			wi_sub_rlx(&pool->unsure, 1);
			return WEIR_OK;
		}
		take_back(&pool->conns[slot]);
		*conn = NULL;
	}
}

/*
 * Pinned, with the pool open: what is idle, or counted inside, to wait for it (*conn is NULL then).
 */
static void take_or_enter(struct weir_pool *pool, struct wi_seat *seat, bool open, uint32_t slot,
                          struct weir_conn **conn)
{
	*conn = try_pinned(pool, seat, open, slot, WI_ACCESS_ANY);
	if (!*conn)
		wi_pool_enter(pool);
}

static weir_status wait_inside(struct weir_pool *pool, int64_t timeout_ms, struct weir_conn **conn,
                               weir_error *error)
{
	const struct wi_slow_of of = {pool->ring, &pool->options, pool->endpoint->name, NULL};
	int64_t began_ns = pool->core.world->now(), deadline_ns;
	weir_status st;

	if (timeout_ms == WEIR_DEFAULT_TIMEOUT)
		timeout_ms = wi_word_load(&pool->options.checkout_timeout_ms);
	if (wi_keeper_is_self(pool->keeper)) /* in an event sink: it would wait for itself */
		timeout_ms = 0;
	deadline_ns = timeout_ms ? wi_deadline_after(began_ns, timeout_ms) : 0;
	st = wi_pool_wait(pool, WI_ACCESS_ANY, NULL, deadline_ns, deadline_ns, conn, error);
	wi_slow_checkout(&pool->vigilance.checkouts, &of, began_ns, pool->core.world->now(), st);
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
	for (;;) {
		/* Not even a seat is taken there: another thread may be making the pool anew. */
		if (wi_unlikely(wi_pool_is_parents(pool))) {
			st = wi_pool_in_child(pool, error);
			if (st != WEIR_OK)
				return st;
			seat = wi_desk_find(&pool->core);
		}
		seat = wi_come_in(pool, seat, &open);
		if (!seat)
			return wi_fail(error, WEIR_NO_MEMORY,
			               "no memory for a seat of this thread");
		/*
		 * One that is suspended is waited for like any other, and so is one that another
		 * thread of a forked child is just about to open again.
		 */
		if (wi_likely(open || slot) ||
		    (!wi_pool_is_parents(pool) && !wi_load_seq(&pool->closed))) {
			take_or_enter(pool, seat, open, slot, conn);
			wi_unpin(seat);
			if (!*conn)
				st = wait_inside(pool, timeout_ms, conn, error);
			if (st == WEIR_OK)
				wi_probe_checkout_slow(*conn);
			return st;
		}
		if (!wi_pool_is_parents(pool))
			st = refused(pool, WI_REFUSE_CLOSED, error);
		wi_unpin(seat);
		if (st != WEIR_OK)
			return st;
	}
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
	struct weir_conn *c, *handle;
	uint32_t slot;

	if (wi_unlikely(!pool || !conn))
		return refuse_null(pool, error);
	c = wi_warm_take_kept(pool, &seat, &slot);
	if (wi_unlikely(!c))
		return checkout_slow(pool, seat, slot, timeout_ms, conn, error);
	handle = wi_warm_lend(c, seat);
	wi_probe_checkout(conn, handle);
	return WEIR_OK;
}

void wi_conn_mark(struct weir_conn *handle, const struct wi_mark *mark)
{
	struct weir_conn *c = wi_conn_of(handle);

	wi_assert(c);
	wi_warm_set_mark(c, mark);
}

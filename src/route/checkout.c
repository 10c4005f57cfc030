/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A router's checkouts: the public calls, and the warm path.
 *
 * The warm path is weir_checkout itself: pinned, it reads the topology, and takes what this thread
 * keeps of the chosen host: nothing is written but what the pool's own checkout writes, the pin,
 * and a counter of one's own. Where there is more to it (a request, a host without a kept
 * connection, loads that each read raises) wi_choose does the same with every wish in mind.
 */
#include <stddef.h>
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/probe.h"
#include "base/rcu.h"
#include "base/text.h"
#include "core/desk.h"
#include "pool/warm.h"
#include "route/balance.h"
#include "route/router.h"

/*
 * A limit of bytes wants the pace of this limit of time: a number of bytes that is older is worth
 * nothing (wi_pace_bytes_good_ns).
 */
#define BYTES_PACE_MS 400

/* ---- requests ---- */

static weir_status refuse_newer(weir_error *error)
{
	return wi_fail(error, WEIR_INVALID,
	               "the request asks for something that this weir does not know");
}

static weir_status check_target(const weir_request *q, weir_error *error)
{
	const unsigned for_primary = 1 << WEIR_TARGET_DEFAULT | 1 << WEIR_TARGET_PRIMARY |
	                             1 << WEIR_TARGET_PREFER_PRIMARY;

	if ((unsigned)q->target > WEIR_TARGET_ANY)
		return wi_fail(error, WEIR_INVALID, "unknown target %d", (int)q->target);
	if (q->intent == WEIR_WRITE && !(for_primary >> q->target & 1))
		return wi_fail(error, WEIR_INVALID,
		               "a write is for the primary: the target contradicts that");
	if (q->target == WEIR_TARGET_REPLICA &&
	    (q->fallback == WEIR_FALLBACK_PRIMARY || q->fallback == WEIR_FALLBACK_PRIMARY_OR_FAIL))
		return wi_fail(error, WEIR_INVALID,
		               "the target is a replica: the fallback contradicts that");
	return WEIR_OK;
}

/* Copies what caller and library both know; zeros for what the caller does not. */
static weir_status load_request(weir_request *to, const weir_request *from, weir_error *error)
{
	size_t size = from && from->size ? from->size : sizeof(*to);

	memset(to, 0, sizeof(*to));
	if (!from)
		return WEIR_OK;
	for (size_t i = sizeof(*to); i < size; i++)
		if (((const unsigned char *)from)[i])
			return refuse_newer(error);
	memcpy(to, from, size < sizeof(*to) ? size : sizeof(*to));
	if ((unsigned)to->intent > WEIR_READ)
		return wi_fail(error, WEIR_INVALID, "unknown intent %d", (int)to->intent);
	if ((unsigned)to->fallback > WEIR_FALLBACK_PRIMARY_OR_FAIL)
		return wi_fail(error, WEIR_INVALID, "unknown fallback %d", (int)to->fallback);
	if (to->max_lag_ms < 0 || to->max_lag_bytes < 0)
		return wi_fail(error, WEIR_INVALID, "max_lag_%s is negative",
		               to->max_lag_ms < 0 ? "ms" : "bytes");
	if (to->session && to->session->size && to->session->size < sizeof(*to->session))
		return wi_fail(error, WEIR_INVALID, "the session is too small");
	return check_target(to, error);
}

static int64_t smaller_limit(int64_t a, int64_t b)
{
	return a && (!b || a < b) ? a : b;
}

/* To what the option takes: more would not fit into nanoseconds, and is no limit anyway. */
static int64_t clamped(int64_t max_lag_ms)
{
	return max_lag_ms < INT32_MAX ? max_lag_ms : INT32_MAX;
}

/* The wish that a request is; its deadline comes later. */
static void make_wish(weir_router *r, const weir_request *q, struct wi_wish *wish)
{
	wi_wish_plain(r, q->intent, wish);
	wish->tag = q->tag;
	wish->at_least = q->at_least;
	wish->session = q->session;
	if (q->intent == WEIR_WRITE)
		return;
	if (q->session)
		weir_token_raise(&wish->at_least, &q->session->at_least);
	if (q->fallback)
		wish->fallback = q->fallback;
	wish->target = q->target;
	/* Who says a role has said where to go: what is left is whether to wait. */
	if (q->target && q->fallback < WEIR_FALLBACK_FAIL)
		wish->fallback = WEIR_FALLBACK_WAIT;
	wish->max_lag_ms = smaller_limit(clamped(q->max_lag_ms), wish->max_lag_ms);
	wish->zone = q->zone;
	wish->max_lag_bytes = smaller_limit(q->max_lag_bytes, wish->max_lag_bytes);
	wish->asks = q->timeout_ms != WEIR_NO_WAIT &&
	             (wish->asks || wish->at_least.lsn || q->session) &&
	             wi_word_load(&r->options.token_wait_ms);
	wish->bounded = wish->bounded || wish->max_lag_ms || wish->max_lag_bytes ||
	                wish->at_least.lsn || q->session;
}

/* In the terms of weir_pool_checkout: 0 tries once, negative waits for ever. */
static int64_t timeout_of(const weir_router *r, const weir_request *q)
{
	if (q->timeout_ms == WEIR_NO_WAIT)
		return 0;
	return q->timeout_ms ? q->timeout_ms : wi_word_load(&r->options.checkout_timeout_ms);
}

/* ---- the slow path: visit.c ---- */

/* The caller is counted as inside already, by who knew that the router could not be gone yet. */
static WI_NOINLINE weir_status checkout_slow(weir_router *r, const struct wi_wish *wish,
                                             int64_t timeout_ms, weir_conn **conn,
                                             weir_error *error)
{
	struct wi_wish timed = *wish;
	int64_t began_ns = r->world->now();
	weir_status st;

	if (wi_load_seq(&r->closed)) {
		st = wi_visit_closed(error);
	} else {
		/* In an event sink it would be the keeper that waits, for itself. */
		if (wi_keeper_is_self(r->keeper))
			timeout_ms = 0;
		timed.deadline_ns = timeout_ms ? wi_deadline_after(began_ns, timeout_ms) : 0;
		st = wi_visit(r, &timed, conn, error);
		wi_router_note_checkout(r, *conn, wish->tag, began_ns, st);
		if (st == WEIR_OK)
			wi_probe_checkout_slow(*conn);
	}
	if (st != WEIR_OK)
		wi_add_rlx(&r->failed_with[wish->intent][st], 1);
	wi_router_leave(r);
	return st;
}

/* A thread that has no seat yet, or a router that is closed, or a parent's. */
static WI_COLD weir_status checkout_cold(weir_router *r, const struct wi_wish *wish,
                                         int64_t timeout_ms, weir_conn **conn, weir_error *error)
{
	if (wi_router_is_parents(r)) {
		weir_status st = wi_router_in_child(r, error);

		if (st != WEIR_OK)
			return st;
	}
	wi_rcu_enter();
	wi_add_seq(&r->inside, 1);
	wi_rcu_leave();
	return checkout_slow(r, wish, timeout_ms, conn, error);
}

/* With any wish: chooses, and takes what is idle. */
static weir_status checkout(weir_router *r, const struct wi_wish *wish, int64_t timeout_ms,
                            weir_conn **conn, weir_error *error)
{
	struct wi_seat *seat = wi_desk_find(&r->desk);
	struct wi_choice choice;
	bool open = seat && wi_pin(&r->desk.bias, seat);

	*conn = open ? wi_choose(r, wish, seat, &choice) : NULL;
	if (open && !*conn) {
		wi_add_seq(&r->inside, 1);
		wi_instead_drop(r, &choice.raised); /* it chooses again */
	}
	if (seat)
		wi_unpin(seat);
	if (*conn) {
		wi_probe_checkout_slow(*conn);
		return WEIR_OK;
	}
	return open ? checkout_slow(r, wish, timeout_ms, conn, error)
	            : checkout_cold(r, wish, timeout_ms, conn, error);
}

/* ---- the warm path ---- */

/* No wish but the intent, in whatever way it can be had. */
static WI_NOINLINE weir_status checkout_any(weir_router *r, weir_intent intent, weir_conn **conn,
                                            weir_error *error)
{
	struct wi_wish wish;

	wi_wish_plain(r, intent, &wish);
	return checkout(r, &wish, wi_word_load(&r->options.checkout_timeout_ms), conn, error);
}

static const struct wi_mark plain_mark[2] = {
	[WEIR_WRITE] = {.access = WI_ACCESS_WRITE,
                        .role = WEIR_ROLE_PRIMARY,
                        .reason = WEIR_REASON_WRITE},
	[WEIR_READ] = {.role = WEIR_ROLE_REPLICA, .reason = WEIR_REASON_BALANCED},
};

/* Pinned: nothing of that host is kept for this thread, or it wants a check. */
static WI_NOINLINE weir_status checkout_unkept(weir_router *r, weir_intent intent,
                                               struct wi_seat *seat, struct weir_pool *pool,
                                               struct wi_seat *its_seat, uint32_t slot,
                                               weir_conn **conn, weir_error *error)
{
	*conn = wi_pool_try_cold(pool, its_seat, slot, &plain_mark[intent]);
	if (*conn)
		wi_seat_count(wi_desk_find(&pool->core),
		              intent == WEIR_WRITE ? WI_TALLY_WRITE : WI_TALLY_READ);
	wi_unpin(seat);
	if (!*conn)
		return checkout_any(r, intent, conn, error);
	wi_probe_checkout_slow(*conn);
	return WEIR_OK;
}

/* Pinned: what this thread keeps of that host's connections. The pin goes, whatever comes of it. */
WI_INLINE weir_status checkout_at(weir_router *r, weir_intent intent, struct wi_host *h,
                                  struct wi_seat *seat, weir_conn **conn, weir_error *error)
{
	struct weir_pool *pool = h->pool;
	struct wi_seat *its_seat;
	struct weir_conn *c, *handle;
	uint32_t slot;

	c = wi_warm_take_kept(pool, &its_seat, &slot);
	if (wi_unlikely(!c))
		return checkout_unkept(r, intent, seat, pool, its_seat, slot, conn, error);
	wi_warm_set_mark(c, &plain_mark[intent]);
	wi_seat_count(its_seat, intent == WEIR_WRITE ? WI_TALLY_WRITE : WI_TALLY_READ);
	handle = wi_warm_lend(c, its_seat);
	wi_probe_checkout(conn, handle);
	wi_unpin(seat);
	return WEIR_OK;
}

/*
 * A thread stays for so many reads with the replica it drew, as long as a connection of its own is
 * idle there. Drawing for each costs as much as the rest of a checkout again: the next seat and
 * slot are known late, and never where the processor expects them.
 */
#define READS_A_DRAW 8

/* Pinned: by the policy, and remembered in `turn`: the place, and how many reads are left. */
static WI_NOINLINE weir_status checkout_drawn(weir_router *r, struct wi_seat *seat,
                                              weir_conn **conn, weir_error *error)
{
	const struct wi_topology *t = wi_topology_of(r);
	uint32_t n = t->n_near && !wi_load_rlx(&r->spills) ? t->n_near : t->n_drawn, at;

	if (!n || !t->plain_reads || wi_load_rlx(&r->dozing)) {
		wi_unpin(seat);
		return checkout_any(r, WEIR_READ, conn, error);
	}
	at = wi_balance_pick(t->balance, t->reader, n, seat);
	if (t->draws)
		seat->turn = (uint64_t)at * READS_A_DRAW + READS_A_DRAW - 1;
	return checkout_at(r, WEIR_READ, t->reader[at], seat, conn, error);
}

/* Pinned: where the last draw went, or by a new one. */
WI_INLINE weir_status checkout_read(weir_router *r, struct wi_seat *seat, weir_conn **conn,
                                    weir_error *error)
{
	const struct wi_topology *t = wi_topology_of(r);
	uint64_t at = seat->turn / READS_A_DRAW;

	if (wi_unlikely(!t->draws || seat->turn % READS_A_DRAW == 0 || at >= t->n_drawn))
		return checkout_drawn(r, seat, conn, error);
	seat->turn--;
	return checkout_at(r, WEIR_READ, t->reader[at], seat, conn, error);
}

static WI_COLD weir_status refuse(const weir_router *r, weir_intent intent, weir_conn **conn,
                                  weir_error *error)
{
	if (!r || !conn)
		return wi_fail(error, WEIR_INVALID, r ? "conn is NULL" : "router is NULL");
	*conn = NULL;
	return wi_fail(error, WEIR_INVALID, "unknown intent %d", (int)intent);
}

weir_status weir_checkout(weir_router *r, weir_intent intent, weir_conn **conn, weir_error *error)
{
	struct wi_seat *seat;
	struct wi_host *h;

	if (wi_unlikely(!r || !conn || (unsigned)intent > WEIR_READ))
		return refuse(r, intent, conn, error);
	seat = wi_desk_hinted(&r->desk);
	if (wi_unlikely(!seat))
		return checkout_any(r, intent, conn, error);
	(void)wi_pin_biased(seat);
	if (wi_unlikely(!wi_bias_is_whole(&r->desk.bias))) {
		wi_unpin(seat);
		return checkout_any(r, intent, conn, error);
	}
	if (intent == WEIR_READ)
		return checkout_read(r, seat, conn, error);
	h = wi_topology_of(r)->primary;
	if (wi_likely(h))
		return checkout_at(r, WEIR_WRITE, h, seat, conn, error);
	wi_unpin(seat);
	return checkout_any(r, intent, conn, error);
}

/* Inside a read section, as the keeper that is rung may be on its way out. */
static void set_pace(weir_router *r, int64_t max_lag_ms)
{
	wi_rcu_enter();
	if (wi_likely(!wi_load_rlx(&r->closed)))
		wi_pace_need(r, max_lag_ms);
	wi_rcu_leave();
}

/* avoid: hosts that it is not to come to, a bit each. */
static weir_status checkout_with(weir_router *r, const weir_request *request, uint64_t avoid,
                                 weir_conn **conn, weir_error *error)
{
	struct wi_wish wish;
	weir_request q;
	weir_status st;

	*conn = NULL;
	st = load_request(&q, request, error);
	if (st != WEIR_OK)
		return st;
	make_wish(r, &q, &wish);
	wish.sick |= avoid;
	if (wish.max_lag_ms || wish.max_lag_bytes)
		set_pace(r, smaller_limit(wish.max_lag_ms, wish.max_lag_bytes ? BYTES_PACE_MS : 0));
	st = checkout(r, &wish, timeout_of(r, &q), conn, error);
	if (st == WEIR_OK && q.session)
		wi_session_note(r, q.session, *conn);
	return st;
}

weir_status weir_checkout_with(weir_router *r, const weir_request *request, weir_conn **conn,
                               weir_error *error)
{
	if (wi_unlikely(!r || !conn))
		return refuse(r, WEIR_WRITE, conn, error);
	return checkout_with(r, request, 0, conn, error);
}

weir_status wi_checkout_elsewhere(weir_router *r, const weir_request *request, uint64_t avoid,
                                  int64_t timeout_ms, weir_conn **conn)
{
	weir_request timed;
	weir_status st = load_request(&timed, request, NULL);

	*conn = NULL;
	timed.size = sizeof(timed);
	timed.timeout_ms = timeout_ms;
	return st == WEIR_OK ? checkout_with(r, &timed, avoid, conn, NULL) : st;
}

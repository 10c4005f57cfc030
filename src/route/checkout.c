/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a router's checkout. The warm path is weir_checkout itself: pinned, it reads the
 * topology, and takes what this thread keeps of the chosen host: nothing is written but what the
 * pool's own checkout writes, the pin, and a counter of one's own. Where there is more to it (a
 * request, a host without a kept connection, loads that each read raises) wi_choose does the same
 * with every wish in mind.
 *
 * The slow path is a loop: choose; where nobody has an idle connection, wait at the chosen host;
 * where nobody is able, sleep at the gate until something about the hosts has changed. One deadline
 * covers all of it. What it comes back with is looked at once more, because a host may have lost
 * its role while the caller waited there.
 */
#include <stddef.h>
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/text.h"
#include "core/desk.h"
#include "pool/warm.h"
#include "route/balance.h"
#include "route/router.h"

#define SLICE_NS (25 * WI_MS)  /* of a wait at one of several hosts, the first time */
#define RETRY_NS (100 * WI_MS) /* before a host whose pool could not connect is tried again */

/* ---- requests ---- */

static weir_status refuse_newer(weir_error *error)
{
	return wi_fail(error, WEIR_INVALID,
	               "the request asks for something that this weir does not know");
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
	if ((unsigned)to->fallback > WEIR_FALLBACK_FAIL)
		return wi_fail(error, WEIR_INVALID, "unknown fallback %d", (int)to->fallback);
	if (to->max_lag_ms < 0)
		return wi_fail(error, WEIR_INVALID, "max_lag_ms is negative");
	return WEIR_OK;
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
	*wish = r->plain[q->intent];
	wish->tag = q->tag;
	wish->at_least = q->at_least;
	if (q->intent == WEIR_WRITE)
		return;
	if (q->fallback)
		wish->fallback = q->fallback;
	wish->max_lag_ms = smaller_limit(clamped(q->max_lag_ms), wish->max_lag_ms);
	wish->zone = q->zone;
	wish->bounded = wish->bounded || wish->max_lag_ms || wish->at_least.lsn;
}

/* In the terms of weir_pool_checkout: 0 tries once, negative waits for ever. */
static int64_t timeout_of(const weir_router *r, const weir_request *q)
{
	if (q->timeout_ms == WEIR_NO_WAIT)
		return 0;
	return q->timeout_ms ? q->timeout_ms : r->options.checkout_timeout_ms;
}

/* ---- the slow path ---- */

/* A caller on the slow path. */
struct visit {
	weir_router *router;
	struct wi_wish wish;
	struct wi_seat *seat;
	struct wi_choice choice;
	weir_conn *conn;
	int64_t slice_ns; /* of the next wait at one of several hosts */
	weir_error said;  /* by the last pool that had nothing */
};

/* Pins; that the router is not closed is looked at elsewhere, `inside` keeps it as it is. */
static void come_in(struct visit *v)
{
	(void)wi_pin(&v->router->desk.bias, v->seat);
}

/*
 * How long to wait at the chosen host. Another may have an idle connection before this one has:
 * then there is a look around after a slice. Each is twice as long as the last, because with each
 * the place in the line is given up: at most half of a wait is in vain, and a caller in a crowd
 * stays in line.
 */
static int64_t wait_until(struct visit *v)
{
	int64_t until_ns = v->wish.deadline_ns, slice_end_ns;

	if (!v->choice.others || !until_ns)
		return until_ns;
	slice_end_ns = v->router->world->now() + v->slice_ns;
	v->slice_ns *= 2;
	return slice_end_ns < until_ns ? slice_end_ns : until_ns;
}

/* Waits at the chosen host, whose pool has been entered. OK: v->conn is the caller's. */
static weir_status wait_there(struct visit *v)
{
	struct wi_host *h = v->choice.host;
	bool weighs = wi_choice_weighs(v->router, &v->choice);
	int64_t until_ns;
	weir_status st;
	bool holds;

	if (weighs)
		wi_add_rlx(&h->load, 1);
	until_ns = wait_until(v);
	st = wi_pool_wait(h->pool, until_ns, v->wish.deadline_ns, &v->conn, &v->said);
	if (weighs)
		wi_sub_rlx(&h->load, 1);
	if (st == WEIR_TIMEOUT && until_ns < v->wish.deadline_ns) {
		wi_sub_rlx(&h->pool->timeouts, 1); /* the caller's time is not over */
		st = wi_fail(&v->said, WEIR_UNAVAILABLE, "%s", "");
	}
	wi_pool_exit(h->pool);
	if (st == WEIR_OK) {
		WI_YIELD("checkout.wait.granted");
		come_in(v);
		holds = wi_choice_holds(v->router, &v->wish, &v->choice) &&
		        !wi_load_seq(&v->router->desk.suspended);
		wi_unpin(v->seat);
		if (holds) {
			wi_choice_made(v->router, &v->wish, &v->choice, v->conn);
			return WEIR_OK;
		}
		weir_checkin(&v->conn);
		st = wi_fail(&v->said, WEIR_UNAVAILABLE, "%s", "");
	}
	return st;
}

/* What the end of a wait means: true: choose again. */
static bool goes_on(struct visit *v, weir_status st)
{
	uint64_t bit = UINT64_C(1) << v->choice.host->number;

	switch (st) {
	case WEIR_UNAVAILABLE: /* sent away, as the host has another role; or to look around */
		return true;
	case WEIR_CONNECT:
	case WEIR_AUTH:
		v->wish.sick |= bit;
		return true;
	case WEIR_EXHAUSTED:
	case WEIR_SHED:
		v->wish.busy |= bit;
		return true;
	case WEIR_OK:
	case WEIR_INVALID:
	case WEIR_NO_MEMORY:
	case WEIR_TIMEOUT:
	case WEIR_QUERY:
	case WEIR_RETRY:
	case WEIR_OUTCOME_UNKNOWN:
	case WEIR_CLOSED:
	case WEIR_FORKED:
	case WEIR_STALE:
	case WEIR_SYSTEM:
		break;
	}
	return false;
}

static weir_status explain(struct visit *v, weir_error *error)
{
	weir_status st;

	come_in(v);
	st = wi_explain(v->router, &v->wish, &v->choice, error);
	wi_unpin(v->seat);
	return st;
}

static bool is_hopeless(struct visit *v)
{
	bool hopeless;

	come_in(v);
	hopeless = wi_is_hopeless(v->router);
	wi_unpin(v->seat);
	return hopeless;
}

/* Nobody is able. OK: something may have changed, choose again; else the end. */
static weir_status wait_for_change(struct visit *v, uint32_t seen, weir_error *error)
{
	weir_router *r = v->router;
	bool fails = v->wish.intent == WEIR_READ && v->wish.fallback == WEIR_FALLBACK_FAIL;
	int64_t now_ns = r->world->now(), until_ns = v->wish.deadline_ns;

	if (v->wish.busy || (v->wish.sick && v->said.status == WEIR_AUTH))
		return wi_fail_with(error, &v->said);
	if ((fails && !v->choice.pending) || now_ns >= until_ns || is_hopeless(v))
		return explain(v, error);
	if (v->wish.sick && until_ns - now_ns > RETRY_NS)
		until_ns = now_ns + RETRY_NS;
	wi_gate_sleep(&r->gate, seen, until_ns, r->world);
	v->wish.sick = 0;
	return WEIR_OK;
}

/* Takes, or chooses where to wait and enters the pool there. */
static bool choose(struct visit *v)
{
	come_in(v);
	v->conn = NULL;
	v->choice.host = NULL;
	if (wi_likely(!wi_load_seq(&v->router->desk.suspended)))
		v->conn = wi_choose(v->router, &v->wish, v->seat, &v->choice);
	if (!v->conn && v->choice.host)
		wi_pool_enter(v->choice.host->pool);
	wi_unpin(v->seat);
	return v->conn != NULL;
}

static weir_status closed(weir_error *error)
{
	return wi_fail(error, WEIR_CLOSED, "the router is closed");
}

/* The router is suspended, as this word says. OK: it is not any more, or closed; else the end. */
static weir_status wait_for_resume(struct visit *v, _Atomic uint32_t *word, uint32_t how,
                                   weir_error *error)
{
	const struct wi_world *world = v->router->world;

	if (how == WI_SUSPENDED_FAIL)
		return wi_fail(error, WEIR_UNAVAILABLE, "the router is suspended");
	if (!v->wish.deadline_ns)
		return wi_fail(error, WEIR_EXHAUSTED, "the router is suspended");
	while (wi_load_seq(word) == how && world->now() < v->wish.deadline_ns)
		world->park(word, how, v->wish.deadline_ns);
	return wi_load_seq(word) != how ? WEIR_OK
	                                : wi_fail(error, WEIR_TIMEOUT, "the router is suspended");
}

/*
 * A pool has sent its callers away. If it says that the router is suspended, and the router does
 * not, then who suspends or resumes it is in the middle of that, and may be stopped there.
 */
static weir_status wait_for_operator(struct visit *v, weir_error *error)
{
	_Atomic uint32_t *word = &v->choice.host->pool->core.suspended;
	uint32_t how = wi_load_seq(word);

	if (!how || wi_load_seq(&v->router->desk.suspended))
		return WEIR_OK;
	return wait_for_resume(v, word, how, error);
}

/* A wait has ended without a connection. OK: choose again; else the end. */
static weir_status after_wait(struct visit *v, weir_status st, weir_error *error)
{
	if (st == WEIR_CLOSED)
		return closed(error);
	if (!goes_on(v, st))
		return wi_fail_with(error, &v->said);
	return wait_for_operator(v, error);
}

static weir_status look_for_one(struct visit *v, weir_error *error)
{
	for (;;) {
		uint32_t seen = wi_gate_seen(&v->router->gate);
		uint32_t how = wi_load_seq(&v->router->desk.suspended);
		weir_status st;

		if (wi_load_seq(&v->router->closed))
			return closed(error);
		if (wi_unlikely(how)) {
			st = wait_for_resume(v, &v->router->desk.suspended, how, error);
			if (st != WEIR_OK)
				return st;
			continue;
		}
		if (choose(v))
			return WEIR_OK;
		if (wi_load_seq(&v->router->desk.suspended) && !v->choice.host)
			continue;
		if (v->choice.host) {
			st = wait_there(v);
			if (st == WEIR_OK)
				return WEIR_OK;
			st = after_wait(v, st, error);
		} else {
			st = wait_for_change(v, seen, error);
		}
		if (st != WEIR_OK)
			return st;
	}
}

/* A token of another database can never be reached: say so instead of waiting for it. */
static weir_status check_token(struct visit *v, weir_error *error)
{
	const weir_token *token = &v->wish.at_least;
	uint64_t system;

	come_in(v);
	system = wi_topology_of(v->router)->system;
	wi_unpin(v->seat);
	if (token->lsn && system && token->system != system)
		return wi_fail(
			error, WEIR_INVALID,
			"the token is of another database system (%llx) than these hosts (%llx)",
			(unsigned long long)token->system, (unsigned long long)system);
	return WEIR_OK;
}

/* The caller is counted as inside already, by who knew that the router could not be gone yet. */
static WI_NOINLINE weir_status checkout_slow(weir_router *r, const struct wi_wish *wish,
                                             int64_t timeout_ms, weir_conn **conn,
                                             weir_error *error)
{
	struct visit v = {.router = r, .wish = *wish, .slice_ns = SLICE_NS};
	weir_status st;

	if (wi_load_seq(&r->closed)) {
		wi_router_leave(r);
		return closed(error);
	}
	v.wish.deadline_ns = timeout_ms ? wi_deadline_after(r->world->now(), timeout_ms) : 0;
	v.seat = wi_desk_seat(&r->desk);
	st = v.seat ? check_token(&v, error)
	            : wi_fail(error, WEIR_NO_MEMORY,
	                      "no memory for this thread's place in the router");
	if (st == WEIR_OK)
		st = look_for_one(&v, error);
	if (st == WEIR_OK)
		*conn = v.conn;
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
	if (open && !*conn)
		wi_add_seq(&r->inside, 1);
	if (seat)
		wi_unpin(seat);
	if (*conn)
		return WEIR_OK;
	return open ? checkout_slow(r, wish, timeout_ms, conn, error)
	            : checkout_cold(r, wish, timeout_ms, conn, error);
}

/* ---- the warm path ---- */

/* No wish but the intent, in whatever way it can be had. */
static weir_status checkout_any(weir_router *r, weir_intent intent, weir_conn **conn,
                                weir_error *error)
{
	return checkout(r, &r->plain[intent], r->options.checkout_timeout_ms, conn, error);
}

static const struct wi_mark plain_mark[2] = {
	[WEIR_WRITE] = {.role = WEIR_ROLE_PRIMARY, .reason = WEIR_REASON_WRITE},
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
	return *conn ? WEIR_OK : checkout_any(r, intent, conn, error);
}

/* Pinned: what this thread keeps of that host's connections. The pin goes, whatever comes of it. */
WI_INLINE weir_status checkout_at(weir_router *r, weir_intent intent, struct wi_host *h,
                                  struct wi_seat *seat, weir_conn **conn, weir_error *error)
{
	struct weir_pool *pool = h->pool;
	struct wi_seat *its_seat;
	struct weir_conn *c;
	uint32_t slot;

	c = wi_warm_take_kept(pool, &its_seat, &slot);
	if (wi_unlikely(!c))
		return checkout_unkept(r, intent, seat, pool, its_seat, slot, conn, error);
	wi_warm_set_mark(c, &plain_mark[intent]);
	wi_seat_count(its_seat, intent == WEIR_WRITE ? WI_TALLY_WRITE : WI_TALLY_READ);
	*conn = wi_warm_lend(c, its_seat);
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
	uint32_t n = t->n_near ? t->n_near : t->n_readers, at;

	if (!n || !r->plain_reads || wi_load_rlx(&r->dozing)) {
		wi_unpin(seat);
		return checkout_any(r, WEIR_READ, conn, error);
	}
	at = wi_balance_pick(r->balance, t->reader, n, seat);
	if (r->draws)
		seat->turn = (uint64_t)at * READS_A_DRAW + READS_A_DRAW - 1;
	return checkout_at(r, WEIR_READ, t->reader[at], seat, conn, error);
}

/* Pinned: where the last draw went, or by a new one. */
WI_INLINE weir_status checkout_read(weir_router *r, struct wi_seat *seat, weir_conn **conn,
                                    weir_error *error)
{
	const struct wi_topology *t = wi_topology_of(r);
	uint64_t at = seat->turn / READS_A_DRAW;

	if (wi_unlikely(!r->draws || seat->turn % READS_A_DRAW == 0 || at >= t->n_drawn))
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

weir_status weir_checkout_with(weir_router *r, const weir_request *request, weir_conn **conn,
                               weir_error *error)
{
	struct wi_wish wish;
	weir_request q;
	weir_status st;

	if (wi_unlikely(!r || !conn))
		return refuse(r, WEIR_WRITE, conn, error);
	*conn = NULL;
	st = load_request(&q, request, error);
	if (st != WEIR_OK)
		return st;
	make_wish(r, &q, &wish);
	if (wish.max_lag_ms)
		set_pace(r, wish.max_lag_ms);
	return checkout(r, &wish, timeout_of(r, &q), conn, error);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The slow path of a router's checkout, a loop: choose; where nobody has an idle connection, wait
 * at the chosen host; where replicas lack a position, ask them for it; where nobody is able, sleep
 * at the gate until something about the hosts has changed. One deadline covers all of it. What it
 * comes back with is looked at once more, because a host may have lost its role while the caller
 * waited there.
 */
#include <stddef.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/text.h"
#include "core/desk.h"
#include "route/router.h"

#define SLICE_NS (25 * WI_MS)  /* of a wait at one of several hosts, the first time */
#define RETRY_NS (100 * WI_MS) /* before a host whose pool could not connect is tried again */
#define FIRST_PAUSE_NS WI_MS   /* between two questions for a position, doubling up to the last */
#define LAST_PAUSE_NS (16 * WI_MS)

/* A caller on the slow path. */
struct visit {
	weir_router *router;
	struct wi_wish wish;
	struct wi_seat *seat;
	struct wi_choice choice;
	weir_conn *conn;
	int64_t slice_ns;    /* of the next wait at one of several hosts */
	struct wi_plea plea; /* since its first wait */
	bool was_capped;     /* it has been counted as one too many */
	weir_error said;     /* by the last pool that had nothing */

	/* asking replicas for their position */
	uint64_t ticket;        /* of the last probes asked for; 0: none were */
	int64_t asked_until_ns; /* how long that may go on; 0: it has not begun */
	int64_t ask_ns;         /* when to ask again */
	int64_t pause_ns;       /* and how long after that */
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
	if (!v->plea.since_ns)
		v->plea = (struct wi_plea){v->wish.tag, v->router->world->now()};
	until_ns = wait_until(v);
	st = wi_pool_wait(h->pool, wi_choice_access(&v->wish, &v->choice), &v->plea, until_ns,
	                  v->wish.deadline_ns, &v->conn, &v->said);
	if (weighs)
		wi_sub_rlx(&h->load, 1);
	if (st == WEIR_TIMEOUT && until_ns < v->wish.deadline_ns)
		st = wi_fail(&v->said, WEIR_UNAVAILABLE, "%s", ""); /* its time is not over */
	if (st == WEIR_OK) {
		WI_YIELD("checkout.wait.granted");
		come_in(v);
		holds = wi_choice_holds(v->router, &v->wish, &v->choice) &&
		        !wi_load_seq(&v->router->desk.suspended);
		wi_unpin(v->seat);
		if (holds) {
			wi_choice_made(v->router, &v->wish, &v->choice, v->conn);
			v->choice.raised = NULL;
			return WEIR_OK;
		}
		wi_add_rlx(&h->too_late, 1);
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

static bool may_catch_up(struct visit *v, int64_t wait_ns)
{
	bool may;

	come_in(v);
	may = wi_may_catch_up(v->router, &v->wish, v->ticket, wait_ns);
	wi_unpin(v->seat);
	return may;
}

static bool is_hopeless(struct visit *v)
{
	bool hopeless;

	come_in(v);
	hopeless = wi_is_hopeless(v->router, &v->wish);
	wi_unpin(v->seat);
	return hopeless;
}

/*
 * Replicas lack nothing but a position: they are asked, and waited for as long as it may help,
 * before the primary reads. OK: choose again.
 *
 * The probes ask, of all hosts at once, and what they find is everybody's: however many wait, each
 * host is asked one question at a time. Where the primary is no choice, this goes on until the
 * deadline.
 */
static weir_status wait_for_position(struct visit *v, uint32_t seen)
{
	weir_router *r = v->router;
	int64_t now_ns = r->world->now(), wait_ns = wi_word_load(&r->options.token_wait_ms) * WI_MS;
	bool patient = v->wish.fallback == WEIR_FALLBACK_WAIT && !wi_wish_may_fall_back(&v->wish);

	if (!v->asked_until_ns) {
		v->asked_until_ns = v->wish.deadline_ns;
		if (!patient && v->asked_until_ns - now_ns > wait_ns)
			v->asked_until_ns = now_ns + wait_ns;
		v->ask_ns = now_ns;
		v->pause_ns = FIRST_PAUSE_NS;
	}
	if (now_ns >= v->asked_until_ns || !(patient || may_catch_up(v, wait_ns))) {
		v->wish.asks = false;
		return WEIR_OK;
	}
	if (now_ns >= v->ask_ns) {
		v->ticket = wi_add_rlx(&r->tickets, 1) + 1; /* the ring publishes it */
		wi_keeper_ring(r->keeper);
		v->ask_ns = now_ns + v->pause_ns;
		v->pause_ns = v->pause_ns < LAST_PAUSE_NS ? 2 * v->pause_ns : LAST_PAUSE_NS;
	}
	wi_gate_sleep(&r->gate, seen, v->ask_ns < v->asked_until_ns ? v->ask_ns : v->asked_until_ns,
	              r->world);
	return WEIR_OK;
}

/*
 * The primary serves as many reads in place of replicas as it may. A replica may be back before one
 * of them is: so not for long at a time.
 */
static weir_status wait_for_room(struct visit *v, weir_error *error)
{
	int64_t now_ns = v->router->world->now(), until_ns = v->wish.deadline_ns;

	if (!v->was_capped)
		wi_add_rlx(&v->router->capped, 1);
	v->was_capped = true;
	if (v->wish.fallback == WEIR_FALLBACK_PRIMARY_OR_FAIL || now_ns >= until_ns)
		return explain(v, error);
	wi_instead_wait(v->router, until_ns - now_ns > SLICE_NS ? now_ns + SLICE_NS : until_ns);
	return WEIR_OK;
}

/* A write whom the primary did not refuse: who did is none any more, and the next one may not. */
static bool is_orphan(struct visit *v)
{
	const struct wi_host *p;
	bool refused;

	come_in(v);
	p = wi_topology_of(v->router)->primary;
	refused = p && (v->wish.sick | v->wish.busy) >> p->number & 1;
	wi_unpin(v->seat);
	return v->wish.intent == WEIR_WRITE && !refused;
}

/* Nobody is able. OK: something may have changed, choose again; else the end. */
static weir_status wait_for_change(struct visit *v, uint32_t seen, weir_error *error)
{
	weir_router *r = v->router;
	bool fails = v->wish.intent == WEIR_READ && v->wish.fallback == WEIR_FALLBACK_FAIL;
	int64_t now_ns = r->world->now(), until_ns = v->wish.deadline_ns;

	if (v->choice.capped)
		return wait_for_room(v, error);
	if ((v->wish.busy || (v->wish.sick && v->said.status == WEIR_AUTH)) && !is_orphan(v))
		return wi_fail_with(error, &v->said);
	v->wish.busy = 0;
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

weir_status wi_visit_closed(weir_error *error)
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
	WI_YIELD("visit.refused");
	if (st == WEIR_CLOSED) /* else the host has been removed, and nobody chooses it any more */
		return wi_load_seq(&v->router->closed) ? wi_visit_closed(error) : WEIR_OK;
	if (!goes_on(v, st))
		return wi_fail_with(error, &v->said);
	return wait_for_operator(v, error);
}

/*
 * Waits at the chosen host. The pool is left last: the host may have been removed, and nothing else
 * keeps it. OK: v->conn is the caller's, or NULL: choose again; else the end.
 */
static weir_status try_there(struct visit *v, weir_error *error)
{
	struct weir_pool *pool = v->choice.host->pool;
	weir_status st = wait_there(v);

	wi_instead_drop(v->router, &v->choice.raised);
	if (st != WEIR_OK)
		st = after_wait(v, st, error);
	wi_pool_exit(pool);
	return st;
}

/* No host in particular is waited for. OK: choose again; else the end. */
static weir_status wait_for_hosts(struct visit *v, uint32_t seen, weir_error *error)
{
	weir_status st;

	wi_add_rlx(&v->router->waiting, 1);
	st = v->choice.behind ? wait_for_position(v, seen) : wait_for_change(v, seen, error);
	wi_sub_rlx(&v->router->waiting, 1);
	return st;
}

static weir_status look_for_one(struct visit *v, weir_error *error)
{
	for (;;) {
		uint32_t seen = wi_gate_seen(&v->router->gate);
		uint32_t how = wi_load_seq(&v->router->desk.suspended);
		weir_status st;

		if (wi_load_seq(&v->router->closed))
			return wi_visit_closed(error);
		if (wi_unlikely(how)) {
			wi_add_rlx(&v->router->waiting, 1);
			st = wait_for_resume(v, &v->router->desk.suspended, how, error);
			wi_sub_rlx(&v->router->waiting, 1);
			if (st != WEIR_OK)
				return st;
			continue;
		}
		if (choose(v))
			return WEIR_OK;
		if (wi_load_seq(&v->router->desk.suspended) && !v->choice.host)
			continue;
		st = v->choice.host ? try_there(v, error) : wait_for_hosts(v, seen, error);
		if (st != WEIR_OK || v->conn)
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
	if (token->lsn && token->lsn != UINT64_MAX && system && token->system != system)
		return wi_fail(
			error, WEIR_INVALID,
			"the token is of another database system (%llx) than these hosts (%llx)",
			(unsigned long long)token->system, (unsigned long long)system);
	return WEIR_OK;
}

weir_status wi_visit(weir_router *r, const struct wi_wish *wish, weir_conn **conn,
                     weir_error *error)
{
	struct visit v = {.router = r, .wish = *wish, .slice_ns = SLICE_NS};
	weir_status st;

	v.seat = wi_desk_seat(&r->desk);
	st = v.seat ? check_token(&v, error)
	            : wi_fail(error, WEIR_NO_MEMORY,
	                      "no memory for this thread's place in the router");
	if (st == WEIR_OK)
		st = look_for_one(&v, error);
	if (st == WEIR_OK)
		*conn = v.conn;
	return st;
}

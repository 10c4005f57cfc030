/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which host a checkout goes to, and the warm path: read the topology, choose, take what is idle
 * there.
 *
 * A read goes to one of the replicas that are able: they answer, and are fresh enough for what was
 * asked. In its own zone first, by the policy; if the chosen one has nothing idle, to any other
 * able one that has, its own zone first again; and only if none has, it waits at the chosen one,
 * looking around now and then. A busy host is passed over or queued for, never banned.
 */
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "core/desk.h"
#include "route/balance.h"
#include "route/router.h"

/* ---- able hosts ---- */

/* The hosts to choose among, the near ones first. */
struct field {
	struct wi_host *const *host;
	uint32_t n, near;
	bool stale; /* some were left out because they are not fresh */
	struct wi_host *room[WI_HOSTS_MAX];
};

static bool is_near(const weir_router *r, const struct wi_wish *wish, const struct wi_host *h)
{
	const char *zone = wish->zone ? wish->zone : r->options.zone;

	return zone[0] && strcmp(zone, wi_host_terms(h)->zone) == 0;
}

static void gather_part(weir_router *r, const struct wi_topology *t, const struct wi_wish *wish,
                        struct field *f, bool near)
{
	for (uint32_t i = 0; i < t->n_readers; i++) {
		struct wi_host *h = t->reader[i];

		if ((wish->sick | wish->busy) >> h->number & 1 || is_near(r, wish, h) != near)
			continue;
		if (wi_is_fresh(r, t, h, wish))
			f->room[f->n++] = h;
		else
			f->stale = true;
	}
}

/* Where something is asked for, or somebody is to be left out. */
static void gather(weir_router *r, const struct wi_topology *t, const struct wi_wish *wish,
                   struct field *f)
{
	f->n = 0;
	f->stale = false;
	f->host = f->room;
	gather_part(r, t, wish, f, true);
	f->near = f->n;
	gather_part(r, t, wish, f, false);
}

/* ---- taking ---- */

bool wi_choice_weighs(const weir_router *r, const struct wi_choice *choice)
{
	return (r->weighs || r->weighs_each) && choice->role == WEIR_ROLE_REPLICA;
}

/* What each read raises while it is out, or NULL. */
static _Atomic uint32_t *load_of(const weir_router *r, const struct wi_choice *choice)
{
	return wi_unlikely(r->weighs_each) && choice->role == WEIR_ROLE_REPLICA
	               ? &choice->host->load
	               : NULL;
}

static struct wi_mark mark_of(const weir_router *r, const struct wi_wish *wish,
                              const struct wi_choice *choice)
{
	return (struct wi_mark){.role = choice->role,
	                        .reason = choice->reason,
	                        .tag = wish->tag,
	                        .load = load_of(r, choice)};
}

/* In the thread's seat of that pool: it has one, as it has got a connection. */
static void count(const struct wi_wish *wish, const struct wi_choice *choice)
{
	enum wi_tally what = wish->intent == WEIR_WRITE ? WI_TALLY_WRITE : WI_TALLY_READ;

	if (what == WI_TALLY_READ && choice->role == WEIR_ROLE_PRIMARY)
		what = WI_TALLY_FALLBACK;
	wi_seat_count(wi_desk_find(&choice->host->pool->core), what);
}

void wi_choice_made(weir_router *r, const struct wi_wish *wish, const struct wi_choice *choice,
                    struct weir_conn *handle)
{
	const struct wi_mark mark = mark_of(r, wish, choice);

	if (mark.load)
		wi_add_rlx(mark.load, 1);
	wi_conn_mark(handle, &mark);
	count(wish, choice);
}

/* An idle connection of the chosen host, or NULL. */
static struct weir_conn *take(weir_router *r, const struct wi_wish *wish,
                              const struct wi_choice *choice)
{
	const struct wi_mark mark = mark_of(r, wish, choice);
	struct weir_conn *c = wi_pool_try(choice->host->pool, &mark);

	if (wi_unlikely(!c))
		return NULL;
	if (mark.load)
		wi_add_rlx(mark.load, 1);
	count(wish, choice);
	return c;
}

/* Any idle connection of hosts from..to, beginning at `at`, but of the chosen one. */
static struct weir_conn *take_other(weir_router *r, const struct wi_wish *wish,
                                    struct wi_choice *choice, struct wi_seat *seat,
                                    const struct field *f, uint32_t from, uint32_t to)
{
	const struct wi_host *chosen = choice->host;
	uint32_t n = to - from, start = n > 1 ? wi_rng_below(&seat->rng, n) : 0;

	for (uint32_t i = 0; i < n; i++) {
		struct weir_conn *c;

		choice->host = f->host[from + (start + i) % n];
		if (choice->host != chosen && (c = take(r, wish, choice)))
			return c;
	}
	return NULL;
}

static struct weir_conn *spill(weir_router *r, const struct wi_wish *wish, struct wi_choice *choice,
                               struct wi_seat *seat, const struct field *f)
{
	struct wi_choice other = {
		.host = choice->host, .role = choice->role, .reason = WEIR_REASON_SPILLED};
	struct weir_conn *c = take_other(r, wish, &other, seat, f, 0, f->near);

	if (!c) {
		other.host = choice->host;
		c = take_other(r, wish, &other, seat, f, f->near, f->n);
	}
	if (c)
		*choice = other;
	return c;
}

static struct weir_conn *from_readers(weir_router *r, const struct wi_wish *wish,
                                      struct wi_seat *seat, const struct field *f,
                                      struct wi_choice *choice)
{
	uint32_t at;
	struct weir_conn *c;

	if (wi_unlikely(wi_load_rlx(&r->dozing)))
		wi_balance_wake(r);
	at = wi_balance_pick(r->balance, f->host, f->near ? f->near : f->n, seat);
	choice->host = f->host[at];
	choice->role = WEIR_ROLE_REPLICA;
	choice->reason = WEIR_REASON_BALANCED;
	choice->others = f->n > 1;
	c = take(r, wish, choice);
	return c || f->n == 1 ? c : spill(r, wish, choice, seat, f);
}

static struct weir_conn *from_primary(weir_router *r, const struct wi_topology *t,
                                      const struct wi_wish *wish, weir_reason reason,
                                      struct wi_choice *choice)
{
	if (!t->primary || (wish->sick | wish->busy) >> t->primary->number & 1 ||
	    !wi_primary_has(t, wish))
		return NULL;
	choice->host = t->primary;
	choice->role = WEIR_ROLE_PRIMARY;
	choice->reason = reason;
	return take(r, wish, choice);
}

struct weir_conn *wi_choose(weir_router *r, const struct wi_wish *wish, struct wi_seat *seat,
                            struct wi_choice *choice)
{
	const struct wi_topology *t = wi_topology_of(r);
	struct field f;

	*choice = (struct wi_choice){.pending = !t->settled};
	if (wish->intent == WEIR_WRITE)
		return from_primary(r, t, wish, WEIR_REASON_WRITE, choice);
	if (wi_unlikely(wish->bounded || wish->sick | wish->busy || wish->zone)) {
		gather(r, t, wish, &f);
	} else {
		f.host = t->reader;
		f.n = t->n_readers;
		f.near = t->n_near;
		f.stale = false;
	}
	if (wi_likely(f.n))
		return from_readers(r, wish, seat, &f, choice);
	choice->stale = f.stale;
	/* Busy replicas are no reason to load the primary. */
	if (wish->busy || wish->fallback != WEIR_FALLBACK_PRIMARY)
		return NULL;
	return from_primary(r, t, wish, f.stale ? WEIR_REASON_TOO_STALE : WEIR_REASON_NO_REPLICA,
	                    choice);
}

bool wi_choice_holds(weir_router *r, const struct wi_wish *wish, const struct wi_choice *choice)
{
	const struct wi_topology *t = wi_topology_of(r);

	if (choice->role == WEIR_ROLE_PRIMARY)
		return t->primary == choice->host && wi_primary_has(t, wish);
	for (uint32_t i = 0; i < t->n_readers; i++)
		if (t->reader[i] == choice->host)
			return wi_is_fresh(r, t, choice->host, wish);
	return false;
}

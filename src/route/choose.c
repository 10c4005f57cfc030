/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which host a checkout goes to: read the topology, choose, take what is idle there.
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
	bool stale;  /* some were left out because they are not fresh */
	bool behind; /* of them, some lack nothing but a position */
	struct wi_host *room[WI_HOSTS_MAX];
};

static bool is_near(const weir_router *r, const struct wi_wish *wish, const struct wi_host *h)
{
	const char *zone = wish->zone ? wish->zone : r->options.zone;

	return zone[0] && strcmp(zone, wi_host_terms(h)->zone) == 0;
}

static bool is_left_out(const struct wi_wish *wish, const struct wi_host *h)
{
	return (wish->sick | wish->busy) >> h->number & 1;
}

/* Of the readers from..to those that are able, and near, or not. */
static void gather_part(weir_router *r, const struct wi_topology *t, const struct wi_wish *wish,
                        struct field *f, uint32_t from, uint32_t to, bool near)
{
	for (uint32_t i = from; i < to; i++) {
		struct wi_host *h = t->reader[i];

		if (is_left_out(wish, h) || is_near(r, wish, h) != near)
			continue;
		switch (wi_freshness_of(r, t, h, wish)) {
		case WI_FRESH:
			f->room[f->n++] = h;
			break;
		case WI_BEHIND:
			f->behind = true;
			f->stale = true;
			break;
		case WI_STALE:
			f->stale = true;
			break;
		}
	}
}

/* The primary as one of many. It is not among the readers, so there is room. */
static void gather_primary(weir_router *r, const struct wi_topology *t, const struct wi_wish *wish,
                           struct field *f, bool near)
{
	struct wi_host *h = t->primary;

	if (wish->target == WEIR_TARGET_ANY && h && !is_left_out(wish, h) &&
	    is_near(r, wish, h) == near && wi_primary_has(r, t, wish))
		f->room[f->n++] = h;
}

static void gather_from(weir_router *r, const struct wi_topology *t, const struct wi_wish *wish,
                        struct field *f, uint32_t from, uint32_t to)
{
	gather_part(r, t, wish, f, from, to, true);
	gather_primary(r, t, wish, f, true);
	f->near = f->n;
	gather_part(r, t, wish, f, from, to, false);
	gather_primary(r, t, wish, f, false);
}

/*
 * Where something is asked for, or somebody is to be left out. Those in reserve come in where no
 * regular one can serve this; that all are busy is no reason.
 */
static void gather(weir_router *r, const struct wi_topology *t, const struct wi_wish *wish,
                   struct field *f)
{
	f->n = 0;
	f->stale = f->behind = false;
	f->host = f->room;
	gather_from(r, t, wish, f, 0, t->n_regular);
	if (!f->n && !wish->busy)
		gather_from(r, t, wish, f, t->n_regular, t->n_readers);
}

static void find_field(weir_router *r, const struct wi_topology *t, const struct wi_wish *wish,
                       struct field *f)
{
	if (wi_unlikely(wish->bounded || wish->sick | wish->busy || wish->zone ||
	                wish->target == WEIR_TARGET_ANY)) {
		gather(r, t, wish, f);
		return;
	}
	f->host = t->reader;
	f->n = t->n_regular;
	f->near = t->n_near;
	f->stale = f->behind = false;
}

/* ---- taking ---- */

/* Chosen by weighing it against others. */
static bool is_balanced(const struct wi_choice *choice)
{
	return choice->reason == WEIR_REASON_BALANCED || choice->reason == WEIR_REASON_SPILLED ||
	       choice->reason == WEIR_REASON_NO_PRIMARY;
}

/* On the primary for want of a replica. */
static bool is_fallback(const struct wi_choice *choice)
{
	return choice->role == WEIR_ROLE_PRIMARY && weir_reason_is_fallback(choice->reason);
}

bool wi_choice_weighs(const weir_router *r, const struct wi_choice *choice)
{
	return (wi_weighs(r) || wi_weighs_each(r)) && is_balanced(choice);
}

/* What each read raises while it is out, or NULL. */
static _Atomic uint32_t *load_of(const weir_router *r, const struct wi_choice *choice)
{
	return wi_unlikely(wi_weighs_each(r)) && is_balanced(choice) ? &choice->host->load : NULL;
}

enum wi_access wi_choice_access(const struct wi_wish *wish, const struct wi_choice *choice)
{
	if (wish->intent == WEIR_WRITE)
		return WI_ACCESS_WRITE;
	return choice->role == WEIR_ROLE_PRIMARY ? WI_ACCESS_READ : WI_ACCESS_ANY;
}

static struct wi_mark mark_of(const weir_router *r, const struct wi_wish *wish,
                              const struct wi_choice *choice)
{
	return (struct wi_mark){.access = wi_choice_access(wish, choice),
	                        .role = choice->role,
	                        .reason = choice->reason,
	                        .tag = wish->tag,
	                        .load = choice->raised ? choice->raised : load_of(r, choice),
	                        .stamp = wish->session || choice->reason == r->stamped};
}

/* The load is raised, as its mark says: unless that is done already, or there is none. */
static void raise_load(const struct wi_mark *mark, const struct wi_choice *choice)
{
	if (mark->load && mark->load != choice->raised)
		wi_add_rlx(mark->load, 1);
}

/*
 * In the thread's seat of that pool: it has one, as it has got a connection. The warm path has only
 * two reasons, which are what the others leave of the sums; so only the others are counted.
 */
static void count(const struct wi_wish *wish, const struct wi_choice *choice)
{
	enum wi_tally what = wish->intent == WEIR_WRITE ? WI_TALLY_WRITE : WI_TALLY_READ;
	struct wi_seat *seat = wi_desk_find(&choice->host->pool->core);

	if (what == WI_TALLY_READ && is_fallback(choice))
		what = WI_TALLY_FALLBACK;
	if (wi_likely(choice->reason == WEIR_REASON_WRITE ||
	              choice->reason == WEIR_REASON_BALANCED)) {
		wi_seat_count(seat, what);
		return;
	}
	wi_add_rlx(&choice->host->reasons[seat->number % WI_REASON_STRIPES][choice->reason], 1);
	/* [route:R9] the reason is counted before the sum is; pairs with [seat:A3]. */
	wi_store_rel(&seat->count[what], wi_load_rlx(&seat->count[what]) + 1);
}

void wi_choice_made(weir_router *r, const struct wi_wish *wish, const struct wi_choice *choice,
                    struct weir_conn *handle)
{
	const struct wi_mark mark = mark_of(r, wish, choice);

	raise_load(&mark, choice);
	if (choice->reason == r->stamped)
		wi_window_begin(r);
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
	raise_load(&mark, choice);
	if (wi_unlikely(choice->reason == r->stamped))
		wi_window_begin(r);
	count(wish, choice);
	return c;
}

static void set_host(struct wi_choice *choice, const struct wi_topology *t, struct wi_host *h)
{
	choice->host = h;
	choice->role = h == t->primary ? WEIR_ROLE_PRIMARY : WEIR_ROLE_REPLICA;
}

/* A search among the hosts of a field. */
struct search {
	weir_router *r;
	const struct wi_topology *t;
	const struct wi_wish *wish;
	struct wi_seat *seat;
	const struct field *f;
};

/* Any idle connection of hosts from..to, beginning anywhere, but of the chosen one. */
static struct weir_conn *take_other(const struct search *s, struct wi_choice *choice, uint32_t from,
                                    uint32_t to)
{
	const struct wi_host *chosen = choice->host;
	uint32_t n = to - from, start = n > 1 ? wi_rng_below(&s->seat->rng, n) : 0;

	for (uint32_t i = 0; i < n; i++) {
		struct wi_host *h = s->f->host[from + (start + i) % n];
		struct weir_conn *c;

		if (h == chosen)
			continue;
		set_host(choice, s->t, h);
		if ((c = take(s->r, s->wish, choice)))
			return c;
	}
	choice->host = NULL;
	return NULL;
}

/* The chosen one, which may be none of the field, has nothing idle. */
static struct weir_conn *spill(const struct search *s, struct wi_choice *choice)
{
	struct wi_choice other = *choice;
	struct weir_conn *c;

	other.reason = WEIR_REASON_SPILLED;
	c = take_other(s, &other, 0, s->f->near);
	if (!c) {
		other.host = choice->host;
		c = take_other(s, &other, s->f->near, s->f->n);
	}
	if (c) {
		wi_pool_miss(choice->host->pool);
		*choice = other;
	}
	return c;
}

/* The chosen one is not busy: what is idle there has to be made read-only first. */
static bool is_to_be_prepared(const struct wi_wish *wish, const struct wi_choice *choice)
{
	return wi_choice_access(wish, choice) == WI_ACCESS_READ &&
	       wi_access_awaits(choice->host->pool);
}

static struct weir_conn *from_field(const struct search *s, weir_reason reason,
                                    struct wi_choice *choice)
{
	const struct field *f = s->f;
	struct weir_conn *c;

	if (wi_unlikely(wi_load_rlx(&s->r->dozing)))
		wi_balance_wake(s->r);
	set_host(choice, s->t,
	         f->host[wi_balance_pick(s->t->balance, f->host,
	                                 wi_weigh_width(s->r, f->host, f->n, f->near), s->seat)]);
	choice->reason = reason;
	choice->others = f->n > 1;
	c = take(s->r, s->wish, choice);
	return c || f->n == 1 || is_to_be_prepared(s->wish, choice) ? c : spill(s, choice);
}

static bool primary_is_able(weir_router *r, const struct wi_topology *t, const struct wi_wish *wish)
{
	return t->primary && !is_left_out(wish, t->primary) && wi_primary_has(r, t, wish);
}

static struct weir_conn *from_primary(weir_router *r, const struct wi_topology *t,
                                      const struct wi_wish *wish, weir_reason reason,
                                      struct wi_choice *choice)
{
	if (!primary_is_able(r, t, wish))
		return NULL;
	set_host(choice, t, t->primary);
	choice->reason = reason;
	return take(r, wish, choice);
}

/* One that takes no writes serves reads as a replica, and is what a read of the primary wants. */
static struct weir_conn *from_read_only_primary(weir_router *r, const struct wi_topology *t,
                                                const struct wi_wish *wish,
                                                struct wi_choice *choice)
{
	struct wi_host *h = t->read_only_primary;

	if (!h || is_left_out(wish, h) || wi_freshness_of(r, t, h, wish) != WI_FRESH)
		return NULL;
	set_host(choice, t, h);
	choice->reason = WEIR_REASON_PRIMARY_WANTED;
	return take(r, wish, choice);
}

static struct weir_conn *as_wanted(weir_router *r, const struct wi_topology *t,
                                   const struct wi_wish *wish, struct wi_choice *choice)
{
	struct weir_conn *c = from_primary(r, t, wish, WEIR_REASON_PRIMARY_WANTED, choice);

	return c || choice->host ? c : from_read_only_primary(r, t, wish, choice);
}

/* The primary, or else a replica: also where the primary has nothing idle and a replica has. */
static struct weir_conn *primary_first(const struct search *s, struct wi_choice *choice)
{
	struct weir_conn *c = as_wanted(s->r, s->t, s->wish, choice);

	if (c || !s->f->n)
		return c;
	choice->others = true;
	if (choice->host && is_to_be_prepared(s->wish, choice))
		return NULL;
	if (choice->host)
		return spill(s, choice);
	return from_field(s, s->wish->busy ? WEIR_REASON_SPILLED : WEIR_REASON_NO_PRIMARY, choice);
}

/* Busy replicas are no reason to load the primary. */
static bool may_fall_back(const struct wi_wish *wish)
{
	return !wish->busy && wi_wish_may_fall_back(wish);
}

/* Reads keep away from replicas after a write, but those that want nothing else. */
static bool keeps_away(const weir_router *r, const struct wi_wish *wish)
{
	return wi_unlikely(wi_window_is_open(r)) && wish->target != WEIR_TARGET_REPLICA;
}

/* The primary in place of replicas, as one of those that it may serve so. */
static struct weir_conn *from_primary_instead(weir_router *r, const struct wi_topology *t,
                                              const struct wi_wish *wish, bool stale,
                                              struct wi_choice *choice)
{
	if (!primary_is_able(r, t, wish))
		return NULL;
	choice->capped = !wi_instead_take(r, t->primary, &choice->raised);
	if (choice->capped)
		return NULL;
	return from_primary(r, t, wish, stale ? WEIR_REASON_TOO_STALE : WEIR_REASON_NO_REPLICA,
	                    choice);
}

static struct weir_conn *choose_reader(weir_router *r, const struct wi_topology *t,
                                       const struct wi_wish *wish, struct wi_seat *seat,
                                       struct wi_choice *choice)
{
	struct field f;
	const struct search s = {r, t, wish, seat, &f};

	if (wi_unlikely(wish->target == WEIR_TARGET_PRIMARY))
		return as_wanted(r, t, wish, choice);
	if (keeps_away(r, wish)) {
		choice->stale = true;
		if (wish->target != WEIR_TARGET_PREFER_PRIMARY)
			return from_primary_instead(r, t, wish, true, choice);
		return from_primary(r, t, wish, WEIR_REASON_TOO_STALE, choice);
	}
	find_field(r, t, wish, &f);
	choice->stale = f.stale && !f.n;
	if (wi_unlikely(wish->target == WEIR_TARGET_PREFER_PRIMARY))
		return primary_first(&s, choice);
	if (wi_likely(f.n))
		return from_field(&s, WEIR_REASON_BALANCED, choice);
	choice->behind = f.behind && wish->asks;
	if (choice->behind || !may_fall_back(wish))
		return NULL;
	return from_primary_instead(r, t, wish, f.stale, choice);
}

struct weir_conn *wi_choose(weir_router *r, const struct wi_wish *wish, struct wi_seat *seat,
                            struct wi_choice *choice)
{
	const struct wi_topology *t = wi_topology_of(r);

	WI_YIELD("choose.pinned");
	*choice = (struct wi_choice){.pending = !t->settled};
	if (wish->session)
		wi_session_refresh(r, t, wish->session);
	if (wish->intent == WEIR_WRITE)
		return from_primary(r, t, wish, WEIR_REASON_WRITE, choice);
	return choose_reader(r, t, wish, seat, choice);
}

bool wi_choice_holds(weir_router *r, const struct wi_wish *wish, const struct wi_choice *choice)
{
	const struct wi_topology *t = wi_topology_of(r);

	if (choice->role == WEIR_ROLE_PRIMARY)
		return t->primary == choice->host && wi_primary_has(r, t, wish);
	if (wish->target == WEIR_TARGET_PRIMARY && t->read_only_primary != choice->host)
		return false;
	for (uint32_t i = 0; i < t->n_readers; i++)
		if (t->reader[i] == choice->host)
			return wi_freshness_of(r, t, choice->host, wish) == WI_FRESH;
	return false;
}

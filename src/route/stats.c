/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a router knows and counts, by value; and waiting for a fresh look at every host.
 *
 * Orderings. [route:A3] in is_probed sees what the awaited probe found; [route:A7] reads a report
 * as [route:A2] does.
 */
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/text.h"
#include "pool/warm.h"
#include "route/router.h"
#include "stat/shown.h"

static void read_report(const struct wi_host *h, weir_host_stats *s)
{
	const struct wi_report *report;

	wi_rcu_enter();
	/* [route:A7] sees the report as the monitor wrote it; pairs with R2. */
	report = wi_load_acq(&h->report);
	s->role = report->role;
	s->reachable = report->sight.answered;
	s->in_recovery = report->sight.in_recovery;
	s->read_only = report->sight.read_only;
	s->timeline = report->sight.timeline;
	s->system = report->sight.system;
	s->server_version = report->version;
	wi_copy(s->follows, sizeof(s->follows), report->follows);
	s->streaming = report->sight.in_recovery && report->sight.streams_on != 0;
	s->replay_paused = report->sight.in_recovery && report->sight.paused;
	s->apply_delay_ms = report->sight.in_recovery ? report->sight.delay_ms : 0;
	s->several = report->several;
	wi_copy(s->tls, sizeof(s->tls), report->tls);
	wi_copy(s->last_error, sizeof(s->last_error), report->failure.text);
	wi_rcu_leave();
	if (!wi_load_rlx(&h->leaving))
		return;
	s->role = WEIR_ROLE_UNKNOWN; /* nobody asks it any more */
	s->reachable = false;
}

static void read_position(const struct wi_host *h, weir_host_stats *s, int64_t now_ns)
{
	int64_t answered_ns = wi_load_rlx(&h->answered_ns);
	int64_t held_until_ns = wi_load_rlx(&h->held_until_ns);

	s->lsn = wi_load_rlx(&h->lsn);
	s->lag_bytes = s->role == WEIR_ROLE_PRIMARY ? 0 : wi_load_rlx(&h->lag_bytes);
	s->lag_ms = wi_host_lag_ms(h, s->role, now_ns);
	s->lagging = wi_load_rlx(&h->lagging) && s->role == WEIR_ROLE_REPLICA;
	s->held_ms = held_until_ns > now_ns ? (held_until_ns - now_ns) / WI_MS + 1 : 0;
	s->probe_age_ms = answered_ns ? (now_ns - answered_ns) / WI_MS : -1;
}

static void read_in_force(const struct wi_host *h, weir_host_stats *s)
{
	weir_in_force *f = &s->in_force;

	weir_pool_in_force_get(h->pool, f);
	s->statement_timeout_ms = f->statement_timeout_ms;
	s->lock_timeout_ms = f->lock_timeout_ms;
	s->idle_in_transaction_timeout_ms = f->idle_in_transaction_timeout_ms;
	s->idle_session_timeout_ms = f->idle_session_timeout_ms;
}

static void read_terms(const struct wi_host *h, weir_host_stats *s)
{
	const struct wi_terms *terms = wi_host_terms(h);

	wi_copy(s->zone, sizeof(s->zone), terms->zone);
	s->weight = terms->weight;
	s->drained = terms->drained;
	s->leaving = wi_load_rlx(&h->leaving);
}

/*
 * Two reasons are not counted: they are what the others leave of the sums. A checkout counts with
 * its reason first, and the sums are read first: so what the others leave is never too much, and
 * the most that was ever read of it is the nearest to the truth.
 */
static void read_checkouts(struct wi_host *h, weir_host_stats *s)
{
	const struct wi_seats *threads = &h->pool->core.seats;
	uint64_t others = 0;

	s->too_late = wi_load_rlx(&h->too_late);
	s->fallback_reads = wi_seats_sum(threads, WI_TALLY_FALLBACK);
	s->reads = wi_seats_sum(threads, WI_TALLY_READ) + s->fallback_reads;
	s->writes = wi_seats_sum(threads, WI_TALLY_WRITE);
	for (uint32_t i = 0; i < WI_REASON_STRIPES; i++)
		for (uint32_t why = 0; why < WEIR_REASONS; why++)
			s->chosen[why] += wi_load_rlx(&h->reasons[i][why]);
	for (uint32_t why = 0; why < WEIR_REASONS; why++)
		others += s->chosen[why];
	s->chosen[WEIR_REASON_WRITE] = s->writes;
	s->chosen[WEIR_REASON_BALANCED] =
		wi_never_less(&h->shown_balanced, s->reads > others ? s->reads - others : 0);
}

static int64_t left_ms(int64_t until_ns, int64_t now_ns)
{
	return until_ns > now_ns ? (until_ns - now_ns + WI_MS - 1) / WI_MS : 0;
}

static void read_balance(const weir_router *r, const struct wi_host *h, weir_host_stats *s)
{
	if (s->role == WEIR_ROLE_PRIMARY) {
		s->fallback_held = wi_instead_held(r);
		s->fallback_capped = wi_load_rlx(&r->capped);
	}
	s->held_mean_ns = wi_load_rlx(&h->held_mean_ns);
	s->started_pct = wi_load_rlx(&h->started_pct);
	s->ejected_ms = left_ms(wi_load_rlx(&h->ejected_until_ns), r->world->now());
	s->ejected_lost = wi_load_rlx(&h->ejected_bad);
	s->ejections = wi_load_rlx(&h->ejections);
	if (s->started_pct && !s->ejected_ms && s->weight)
		s->draws_pct = (wi_load_rlx(&h->pull) & ~WI_PULL_UNEVEN) * 100 / WI_SHARE;
}

void wi_host_read(weir_router *r, struct wi_host *h, weir_host_stats *s)
{
	memset(s, 0, sizeof(*s));
	wi_copy(s->host, sizeof(s->host), h->endpoint->name);
	read_terms(h, s);
	read_report(h, s);
	read_position(h, s, r->world->now());
	read_in_force(h, s);
	read_checkouts(h, s);
	read_balance(r, h, s);
	wi_pool_read(h->pool, &s->pool);
}

size_t weir_router_stats_get(weir_router *r, weir_host_stats *hosts, size_t room)
{
	struct wi_host *h;
	size_t n = 0;

	if (!r || (wi_router_is_parents(r) && wi_router_in_child(r, NULL) != WEIR_OK) ||
	    !wi_router_enter(r))
		return 0;
	wi_rcu_enter();
	for (uint32_t i = 0; (h = wi_places_next(r, &i)); n++)
		if (n < room && hosts)
			wi_host_read(r, h, &hosts[n]);
	wi_rcu_leave();
	wi_router_leave(r);
	return n;
}

/* In a forked child these are still the parent's, and memory like any other. */
size_t weir_router_events_get(weir_router *r, uint64_t after_sequence, weir_event_record *records,
                              size_t room, uint64_t *lost)
{
	size_t n;

	if (lost)
		*lost = 0;
	if (!r || !wi_router_enter(r))
		return 0;
	n = wi_ring_read(&r->ring, after_sequence, records, room, lost);
	wi_router_leave(r);
	return n;
}

uint64_t weir_router_events_count(weir_router *r, weir_event_kind kind)
{
	return r ? wi_ring_count(&r->ring, kind) : 0;
}

/* The pool of a place, which stays until it is left; NULL: nobody has that place. */
static struct weir_pool *enter_pool(weir_router *r, uint32_t number)
{
	struct wi_host *h;

	wi_rcu_enter();
	h = wi_host_at(r, number);
	if (h) {
		WI_YIELD("router.held.found");
		wi_pool_enter(h->pool);
	}
	wi_rcu_leave();
	WI_YIELD("router.held.entered");
	return h ? h->pool : NULL;
}

size_t weir_router_held_get(weir_router *r, weir_held *held, size_t room)
{
	size_t n = 0;

	if (!r || wi_router_is_parents(r) || !wi_router_enter(r))
		return 0;
	for (uint32_t i = 0; i < WI_HOSTS_MAX; i++) {
		struct weir_pool *pool = enter_pool(r, i);
		size_t at = held && n < room ? n : room;

		if (!pool)
			continue;
		n += wi_held_list(pool, held ? held + at : NULL, held ? room - at : 0);
		wi_pool_exit(pool);
	}
	wi_router_leave(r);
	return n;
}

static bool is_probed(weir_router *r, uint64_t ticket)
{
	bool all = true;
	struct wi_host *h;

	wi_rcu_enter();
	for (uint32_t i = 0; all && (h = wi_hosts_next(r, &i));) {
		/* [route:A3] sees what the probe found; pairs with R3. */
		all = wi_load_acq(&h->probed) >= ticket;
	}
	wi_rcu_leave();
	return all;
}

static weir_status await_probes(weir_router *r, uint64_t ticket, int64_t deadline_ns)
{
	for (;;) {
		uint32_t seen = wi_gate_seen(&r->gate);

		if (is_probed(r, ticket))
			return WEIR_OK;
		if (wi_load_seq(&r->closed))
			return WEIR_CLOSED;
		if (r->world->now() >= deadline_ns)
			return WEIR_TIMEOUT;
		wi_gate_sleep(&r->gate, seen, deadline_ns, r->world);
	}
}

static uint64_t take_ticket(weir_router *r)
{
	uint64_t ticket = wi_add_rlx(&r->tickets, 1) + 1, last = wi_load_rlx(&r->looks);

	while (last < ticket && !wi_cas_rlx(&r->looks, &last, ticket))
		continue;
	return ticket;
}

weir_status weir_router_probe(weir_router *r, int64_t timeout_ms)
{
	uint64_t ticket;
	weir_status st;

	if (!r)
		return WEIR_INVALID;
	if (wi_router_is_parents(r) && (st = wi_router_in_child(r, NULL)) != WEIR_OK)
		return st;
	if (!wi_router_enter(r))
		return WEIR_CLOSED;
	ticket = take_ticket(r); /* the ring publishes it */
	wi_keeper_ring(r->keeper);
	st = await_probes(r, ticket, wi_deadline_after(r->world->now(), timeout_ms));
	wi_router_leave(r);
	return st;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a replica stands among the others: as one of them, on trial, in its slow start, or left out.
 *
 *	                 +-- three good answers --> SLOW START --- slow_start_ms --> REGULAR
 *	  away --back--> ON TRIAL                        ^                              |
 *	                                                 +-- its time is over -- LEFT OUT <-- trouble
 *
 * Who is on trial or left out stands in reserve: it serves what no other replica can, so that all
 * of them together are never worth less than the best of them.
 *
 * Back is who was restarted, or added, or away for longer than a slow start takes: its cache is
 * cold, or may be. What was there when the router was opened is not back. Its share grows with the
 * square of the time.
 *
 * Trouble is connections lost and connects that failed, in three half seconds of the last ten
 * seconds, and at least one for ten that were given back. Not: that it has no room or no idle
 * connection, which are signs of health; that it is slow, which the balance sees to; that
 * statements fail, which is their affair; or that all its connections were killed at once. Never
 * more than eject_max_pct of the replicas are left out, and never the last one.
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "route/router.h"
#include "stat/event.h"

#define TRIAL_ANSWERS 3
#define STEP_NS (100 * WI_MS) /* of a slow start */

#define WINDOW_NS (10 * WI_SEC)
#define SLICE_NS (WI_SEC / 2)
#define SLICES 3
#define ONE_OF 10
#define LONGEST_NS (300 * WI_SEC)

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t window_ns(const weir_router *r)
{
	return r->options.slow_start_ms * WI_MS;
}

static bool is_replica(const struct wi_host *h)
{
	return h->opinion.role == WEIR_ROLE_REPLICA;
}

/* ---- slow start ---- */

/* Behind one name are several: that another answers is no restart. */
static bool has_restarted(const struct wi_host *h)
{
	const struct wi_sight *s = &h->probe.found.sight;

	return h->named == WI_NAMED_NOT && !h->several && s->started && h->stand.started &&
	       s->started != h->stand.started;
}

static bool is_back(const weir_router *r, const struct wi_host *h, int64_t now_ns)
{
	const struct wi_stand *s = &h->stand;

	return !s->known || has_restarted(h) || (s->gone_ns && now_ns - s->gone_ns > window_ns(r));
}

static void be_away(struct wi_host *h, int64_t now_ns)
{
	struct wi_stand *s = &h->stand;

	if (h->opinion.role == WEIR_ROLE_UNKNOWN && !s->gone_ns)
		s->gone_ns = now_ns;
	if (h->opinion.role == WEIR_ROLE_PRIMARY) {
		s->gone_ns = 0;
		s->started = h->probe.found.sight.started;
		s->known = true;
	}
	s->on_trial = false;
	s->start_ns = s->out_until_ns = 0;
	s->slices = 0;
	s->bad = s->served = 0;
}

static void be_there(weir_router *r, struct wi_host *h, int64_t now_ns)
{
	const struct wi_sight *sight = &h->probe.found.sight;
	struct wi_stand *s = &h->stand;

	if (window_ns(r) && r->stood && is_back(r, h, now_ns)) {
		s->on_trial = true;
		s->good = 0;
		s->start_ns = 0;
		h->weighed.gauge = (struct wi_gauge){{0, 0}, {0, 0}};
	}
	s->known = true;
	s->gone_ns = 0;
	s->started = sight->started ? sight->started : s->started;
	if (!s->on_trial || sight->asked_ns == s->heard_ns)
		return;
	s->heard_ns = sight->asked_ns;
	if (++s->good < TRIAL_ANSWERS)
		return;
	s->on_trial = false;
	s->start_ns = now_ns;
}

/* true: it goes on. */
static bool go_on(const weir_router *r, struct wi_host *h, int64_t now_ns)
{
	struct wi_stand *s = &h->stand;
	double started = s->on_trial ? wi_gauge_started(0, window_ns(r)) : 1;

	if (s->start_ns)
		started = wi_gauge_started(now_ns - s->start_ns, window_ns(r));
	if (started >= 1)
		s->start_ns = 0;
	h->weighed.started = started;
	wi_store_rlx(&h->started_pct, s->on_trial ? 0 : 1 + (uint32_t)(99 * started));
	return s->start_ns != 0;
}

/* ---- trouble ---- */

static uint64_t bad_of(const struct weir_pool *pool)
{
	return wi_load_rlx(&pool->health.lost) + wi_load_rlx(&pool->connect_failures) -
	       wi_load_rlx(&pool->connect_failed_of[WEIR_CONNECT_CAPACITY]) -
	       wi_load_rlx(&pool->connect_failed_of[WEIR_CONNECT_STARTING]);
}

/* What has happened since the last look. */
static void look(struct wi_host *h, int64_t now_ns)
{
	struct wi_stand *s = &h->stand;
	double kept = (double)WINDOW_NS / (double)(WINDOW_NS + now_ns - s->looked_ns);
	uint64_t lent, returned, bad = bad_of(h->pool);

	wi_core_sums(&h->pool->core, &lent, &returned);
	if (now_ns - s->bad_ns > WINDOW_NS)
		s->slices = 0;
	if (bad > s->bad_before && (!s->slices || now_ns - s->bad_ns >= SLICE_NS)) {
		s->slices++;
		s->bad_ns = now_ns;
	}
	s->bad = s->bad * kept + (double)(bad > s->bad_before ? bad - s->bad_before : 0);
	s->served = s->served * kept + (double)(returned - s->returned_before);
	s->bad_before = bad;
	s->returned_before = returned;
	s->looked_ns = now_ns;
}

static bool is_in_trouble(const weir_router *r, const struct wi_host *h)
{
	const struct wi_stand *s = &h->stand;
	int64_t enough = r->options.eject_failures;

	return enough && s->slices >= SLICES && s->bad >= (double)enough &&
	       s->bad * ONE_OF >= s->served;
}

static bool is_regular(const struct wi_host *h)
{
	return is_replica(h) && !h->stand.on_trial && !h->stand.out_until_ns &&
	       !wi_host_terms(h)->drained && wi_host_terms(h)->weight;
}

static bool may_be_left_out(const weir_router *r, const struct wi_host *one)
{
	int64_t n = 0, out = 1, others = 0;
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		n += is_replica(h);
		out += is_replica(h) && h->stand.out_until_ns;
		others += h != one && is_regular(h);
	}
	return others && out * 100 <= n * r->options.eject_max_pct;
}

static void leave_out(weir_router *r, struct wi_host *h, int64_t now_ns)
{
	struct wi_stand *s = &h->stand;
	int64_t for_ns = r->options.eject_ms * WI_MS;

	s->times = s->back_ns && now_ns - s->back_ns < LONGEST_NS ? s->times + 1 : 1;
	if (for_ns * s->times <= LONGEST_NS || s->times == 1)
		for_ns *= s->times;
	else if (for_ns < LONGEST_NS)
		for_ns = LONGEST_NS;
	s->out_until_ns = now_ns + for_ns;
	wi_store_rlx(&h->ejected_bad, (uint32_t)(s->bad + 0.5));
	wi_add_rlx(&h->ejections, 1);
	wi_event_tell(&r->ring, &r->options, now_ns, WEIR_EVENT_EJECTED, h->endpoint->name,
	              "serves no reads for %lld ms, unless nobody else can: %u connections lost or "
	              "refused of late, %u given back",
	              (long long)(for_ns / WI_MS), (unsigned)(s->bad + 0.5), (unsigned)s->served);
	s->slices = 0;
	s->bad = s->served = 0;
}

/* true: it is back. Who is drained has been seen to by an operator. */
static bool take_back(weir_router *r, struct wi_host *h, int64_t now_ns)
{
	struct wi_stand *s = &h->stand;

	if (!s->out_until_ns || (now_ns < s->out_until_ns && !wi_host_terms(h)->drained))
		return false;
	s->out_until_ns = 0;
	s->back_ns = now_ns;
	s->start_ns = window_ns(r) ? now_ns : 0;
	wi_event_tell(&r->ring, &r->options, now_ns, WEIR_EVENT_READMITTED, h->endpoint->name,
	              "serves reads again");
	return true;
}

/* ---- both ---- */

void wi_stand_judge(weir_router *r, int64_t now_ns)
{
	struct wi_host *h;

	for (uint32_t i = 0; r->settled && (h = wi_hosts_next(r, &i));) {
		if (!r->stood)
			h->stand.known = true;
		if (is_replica(h))
			be_there(r, h, now_ns);
		else
			be_away(h, now_ns);
		look(h, now_ns);
	}
	r->stood = r->settled;
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		if (is_regular(h) && is_in_trouble(r, h) && may_be_left_out(r, h))
			leave_out(r, h, now_ns);
		take_back(r, h, now_ns);
		h->reserve = h->stand.on_trial || h->stand.out_until_ns;
		wi_store_rlx(&h->ejected_until_ns, h->stand.out_until_ns);
		if (go_on(r, h, now_ns))
			r->step_ns = least(r->step_ns, now_ns + STEP_NS);
	}
	wi_weigh_publish(r, 0); /* before anybody finds them among the regular ones */
}

bool wi_stand_turn(weir_router *r, int64_t now_ns)
{
	struct wi_host *h;
	bool news = false;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		news |= h->stand.out_until_ns && now_ns >= h->stand.out_until_ns;
	if (now_ns < r->step_ns)
		return news;
	r->step_ns = WI_FOREVER;
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		if (go_on(r, h, now_ns))
			r->step_ns = now_ns + STEP_NS;
	wi_weigh_publish(r, 0);
	return news;
}

int64_t wi_stand_due(const weir_router *r)
{
	int64_t due = r->step_ns;
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		if (h->stand.out_until_ns)
			due = least(due, h->stand.out_until_ns);
	return due;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A router as a whole: sums over its hosts.
 *
 * Idea. No count may go back when a host leaves and is freed. So its share goes to the past, which
 * is published by pointer like a topology, together with the word of the places whose hosts are in
 * it already: who reads sums the past and all other places. The keeper publishes the past with the
 * host, waits for a grace period, and only then takes the host out of its place.
 *
 * Invariants.
 *   I1  who finds a place empty began to read after the past with its host was published, and so
 *       has read that one or a later one
 *   I2  what is published is not written to; the hidden one is written after a grace period
 *
 * Orderings. [totals:R1] publishes the past, [totals:A1] reads it.
 */
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "pool/pool.h"
#include "route/router.h"

/* ---- adding ---- */

static void add_histogram(weir_histogram *to, const weir_histogram *h)
{
	to->count += h->count;
	to->sum_ns += h->sum_ns;
	for (int i = 0; i <= WEIR_HISTOGRAM_BOUNDS; i++)
		to->bucket[i] += h->bucket[i];
}

static void add_each(uint64_t *to, const uint64_t *from, int n)
{
	for (int i = 0; i < n; i++)
		to[i] += from[i];
}

static void add_work(weir_work *to, const weir_work *w)
{
	to->queries += w->queries;
	to->query_errors += w->query_errors;
	to->query_retryable += w->query_retryable;
	to->query_timeouts += w->query_timeouts;
	to->query_unknown += w->query_unknown;
	to->committed += w->committed;
	to->rolled_back += w->rolled_back;
	to->unknown += w->unknown;
}

static void add_max(weir_durations *to, const weir_durations *d)
{
	if (d->max_ns > to->max_ns)
		to->max_ns = d->max_ns;
}

/* What is so just now: gone with the host. */
static void add_sizes(weir_pool_stats *to, const weir_pool_stats *s)
{
	to->max += s->max;
	to->total += s->total;
	to->idle += s->idle;
	to->busy += s->busy;
	to->opening += s->opening;
	to->kept += s->kept;
	to->closing += s->closing;
	to->waiting += s->waiting;
	to->kept_open += s->kept_open;
	to->doubted += s->doubted;
	to->breaker_open |= s->breaker_open;
	to->suspended |= s->suspended;
}

static void add_counts(weir_pool_stats *to, const weir_pool_stats *s)
{
	to->checkouts += s->checkouts;
	to->checkins += s->checkins;
	to->waits += s->waits;
	to->timeouts += s->timeouts;
	to->refused += s->refused;
	to->opened += s->opened;
	to->connect_failures += s->connect_failures;
	to->misuse += s->misuse;
	to->leaks += s->leaks;
	to->orphans += s->orphans;
	to->cancels += s->cancels;
	to->lost += s->lost;
	to->breaker_openings += s->breaker_openings;
	to->verified += s->verified;
	to->hold_samples += s->hold_samples;
	to->slow_queries += s->slow_queries;
	add_each(to->closed, s->closed, WEIR_CLOSE_REASONS);
	add_each(to->connect_failed_of, s->connect_failed_of, WEIR_CONNECT_CLASSES);
	add_each(to->refused_with, s->refused_with, WEIR_STATUSES);
	for (int i = 0; i < WEIR_INTENTS; i++)
		add_work(&to->work[i], &s->work[i]);
	add_histogram(&to->wait_times, &s->wait_times);
	add_histogram(&to->connect_times, &s->connect_times);
	add_histogram(&to->hold_times, &s->hold_times);
	add_histogram(&to->query_times, &s->query_times);
	add_max(&to->wait, &s->wait);
	add_max(&to->connect, &s->connect);
	add_max(&to->hold, &s->hold);
	add_max(&to->query, &s->query);
}

/* What stays when it has left. */
static void add_host(weir_stats *to, const weir_host_stats *s)
{
	add_counts(&to->pool, &s->pool);
	to->reads += s->reads;
	to->writes += s->writes;
	to->fallback_reads += s->fallback_reads;
	to->too_late += s->too_late;
	to->ejections += s->ejections;
	add_each(to->chosen, s->chosen, WEIR_REASONS);
}

static void add_present(weir_stats *to, const weir_host_stats *s)
{
	to->hosts++;
	to->primaries += s->role == WEIR_ROLE_PRIMARY;
	to->replicas += s->role == WEIR_ROLE_REPLICA;
	to->unknown += s->role == WEIR_ROLE_UNKNOWN;
	add_sizes(&to->pool, &s->pool);
	add_host(to, s);
}

/* ---- the past; the keeper's thread ---- */

void wi_totals_init(weir_router *r)
{
	memset(r->pasts, 0, sizeof(r->pasts));
	memset(&r->gone, 0, sizeof(r->gone));
	r->gone_lent = 0;
	memset(r->failed_with, 0, sizeof(r->failed_with));
	atomic_init(&r->failovers, 0);
	atomic_init(&r->capped, 0);
	atomic_init(&r->slow.count, 0);
	atomic_init(&r->past, &r->pasts[0]);
	for (uint32_t i = 0; i < WI_HOSTS_MAX; i++)
		if (r->mine[i])
			r->mine[i]->past = false; /* a parent's that was leaving */
}

static void publish(weir_router *r)
{
	struct wi_past *now = wi_load_rlx(&r->past); /* ours to write, so no order is needed */
	struct wi_past *next = &r->pasts[now == &r->pasts[0]];
	weir_host_stats s;

	wi_topology_grace(r);
	next->counted = 0;
	next->sums = r->gone;
	for (uint32_t i = 0; i < WI_HOSTS_MAX; i++) {
		struct wi_host *h = r->mine[i];

		if (!h || !h->past)
			continue;
		wi_host_read(r, h, &s);
		add_host(&next->sums, &s);
		next->counted |= UINT64_C(1) << i;
	}
	/* [totals:R1] publishes the sums; pairs with A1. */
	wi_store_rel(&r->past, next);
	r->grace_owed = true;
}

void wi_totals_leave(struct wi_host *h)
{
	h->past = true;
	publish(h->router);
	wi_topology_grace(h->router);
}

void wi_totals_left(struct wi_host *h)
{
	weir_router *r = h->router;
	weir_host_stats s;
	uint64_t lent, returned;

	wi_host_read(r, h, &s);
	add_host(&r->gone, &s);
	wi_core_sums(&h->pool->core, &lent, &returned);
	r->gone_lent += lent;
	r->gone.hosts_left++;
	h->past = false;
	publish(r);
}

/* ---- reading ---- */

/* The smallest bound that so many of 1000 do not exceed. */
static uint64_t quantile(const weir_histogram *h, unsigned per_mille, uint64_t max_ns)
{
	uint64_t seen = 0, rank = h->count / 1000 * per_mille + h->count % 1000 * per_mille / 1000;

	for (size_t i = 0; i < WEIR_HISTOGRAM_BOUNDS; i++) {
		seen += h->bucket[i];
		if (seen > rank || seen == h->count)
			return (uint64_t)weir_histogram_bound_ns(i) < max_ns
			               ? (uint64_t)weir_histogram_bound_ns(i)
			               : max_ns;
	}
	return max_ns;
}

static void fill_durations(weir_durations *d, const weir_histogram *h)
{
	d->count = h->count;
	d->p50_ns = quantile(h, 500, d->max_ns);
	d->p90_ns = quantile(h, 900, d->max_ns);
	d->p99_ns = quantile(h, 990, d->max_ns);
	d->p999_ns = quantile(h, 999, d->max_ns);
}

static void read_hosts(weir_router *r, weir_stats *s)
{
	const struct wi_past *past;
	weir_host_stats one;
	struct wi_host *h;

	wi_rcu_enter();
	/* [totals:A1] sees the sums as the keeper wrote them; pairs with R1. */
	past = wi_load_acq(&r->past);
	*s = past->sums;
	for (uint32_t i = 0; (h = wi_places_next(r, &i));) {
		if (past->counted >> h->number & 1)
			continue;
		wi_host_read(r, h, &one);
		add_present(s, &one);
	}
	wi_rcu_leave();
	fill_durations(&s->pool.wait, &s->pool.wait_times);
	fill_durations(&s->pool.connect, &s->pool.connect_times);
	fill_durations(&s->pool.hold, &s->pool.hold_times);
	fill_durations(&s->pool.query, &s->pool.query_times);
}

static bool is_split(weir_router *r)
{
	bool split;

	wi_rcu_enter();
	split = wi_topology_of(r)->split;
	wi_rcu_leave();
	return split;
}

/* What belongs to no host. */
static void read_router(weir_router *r, weir_stats *s)
{
	int64_t lost_ns = wi_load_rlx(&r->lost_ns);

	for (int intent = 0; intent < WEIR_INTENTS; intent++)
		for (int status = 0; status < WEIR_STATUSES; status++)
			s->failed[intent][status] = wi_load_rlx(&r->failed_with[intent][status]);
	s->fallback_capped = wi_load_rlx(&r->capped);
	s->fallback_held = wi_instead_held(r);
	s->waiting_for_hosts = wi_load_rlx(&r->waiting);
	s->failovers = wi_load_rlx(&r->failovers);
	s->slow_checkouts = wi_load_rlx(&r->slow.count);
	s->no_primary_ms = lost_ns ? (r->world->now() - lost_ns) / WI_MS : 0;
	s->split = is_split(r);
	s->suspended = wi_load_rlx(&r->desk.suspended) != 0;
}

void weir_stats_get(weir_router *r, weir_stats *stats)
{
	if (!stats)
		return;
	memset(stats, 0, sizeof(*stats));
	if (!r || (wi_router_is_parents(r) && wi_router_in_child(r, NULL) != WEIR_OK) ||
	    !wi_router_enter(r))
		return;
	read_hosts(r, stats);
	read_router(r, stats);
	wi_router_leave(r);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a pool's statistics. */
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/size.h"
#include "stat/shown.h"

uint32_t wi_pool_shown_total(struct weir_pool *pool)
{
	uint32_t n = wi_load_rlx(&pool->shown[WI_READY]) - wi_load_rlx(&pool->shown_cut);

	return n + wi_load_rlx(&pool->shown[WI_SETTLING]) + wi_load_rlx(&pool->shown[WI_CLOSING]) +
	       wi_load_rlx(&pool->shown[WI_RESOLVING]) + wi_load_rlx(&pool->shown[WI_CONNECTING]);
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

void wi_pool_read_sizes(struct weir_pool *pool, weir_pool_stats *s)
{
	uint32_t ready = wi_load_rlx(&pool->shown[WI_READY]);
	uint32_t settling = wi_load_rlx(&pool->shown[WI_SETTLING]);
	uint32_t fresh = wi_load_rlx(&pool->shown_fresh);
	uint64_t lent, returned, out;

	wi_core_sums(&pool->core, &lent, &returned);
	out = lent - returned; /* each slot counts 0 or 1 */
	s->checkouts = wi_never_less(&pool->shown_checkouts,
	                             minus(lent, wi_load_rlx(&pool->unsure) + pool->lent_before));
	s->checkins = wi_never_less(&pool->shown_checkins,
	                            minus(returned, wi_load_rlx(&pool->unfit) + pool->lent_before));
	s->max = wi_pool_max(pool);
	s->busy = (uint32_t)out;
	s->idle = ready > s->busy ? ready - s->busy : 0;
	s->kept = settling > fresh ? settling - fresh : 0;
	s->opening = wi_load_rlx(&pool->shown[WI_RESOLVING]) +
	             wi_load_rlx(&pool->shown[WI_CONNECTING]) + fresh;
	s->closing = wi_load_rlx(&pool->shown[WI_CLOSING]);
	/* One that was reclaimed is in its holder's hands, but not on the server any more. */
	s->total =
		ready - wi_load_rlx(&pool->shown_cut) + settling + s->opening - fresh + s->closing;
	s->waiting = wi_core_waiting(&pool->core) + wi_load_rlx(&pool->at_gate);
	s->kept_open = wi_adapts(pool) ? wi_load_rlx(&pool->shown_kept) : wi_pool_min(pool);
	s->suspended = wi_load_rlx(&pool->core.suspended) != 0;
}

static void read_breaker(struct weir_pool *pool, weir_pool_stats *s)
{
	enum wi_breaker_state state = wi_load_rlx(&pool->breaker.state);
	int64_t now_ns = pool->core.world->now(), since_ns = wi_load_rlx(&pool->breaker_since_ns);
	int64_t next_ns = wi_load_rlx(&pool->breaker_next_ns);

	s->breaker = (weir_breaker_state)state;
	s->breaker_open = state != WI_BREAKER_CLOSED;
	s->breaker_since_ms = since_ns ? (now_ns - since_ns) / WI_MS : -1;
	s->breaker_next_ms = next_ns > now_ns ? (next_ns - now_ns + WI_MS - 1) / WI_MS : 0;
	s->breaker_openings = wi_load_rlx(&pool->breaker_openings);
}

void wi_pool_read(struct weir_pool *pool, weir_pool_stats *s)
{
	struct wi_last_error e;

	memset(s, 0, sizeof(*s));
	wi_copy(s->host, sizeof(s->host), pool->endpoint->name);
	wi_pool_read_sizes(pool, s);
	read_breaker(pool, s);
	s->waits = wi_load_rlx(&pool->waits);
	s->timeouts = wi_load_rlx(&pool->timeouts);
	for (int i = 0; i < WEIR_STATUSES; i++)
		s->refused += s->refused_with[i] = wi_load_rlx(&pool->refused_with[i]);
	s->hold_samples = wi_load_rlx(&pool->hold_samples);
	s->opened = wi_load_rlx(&pool->opened);
	s->connect_failures = wi_load_rlx(&pool->connect_failures);
	for (int i = 0; i < WEIR_CLOSE_REASONS; i++)
		s->closed[i] = wi_load_rlx(&pool->closed_by[i]);
	for (int i = 0; i < WEIR_CONNECT_CLASSES; i++)
		s->connect_failed_of[i] = wi_load_rlx(&pool->connect_failed_of[i]);
	s->epoch = wi_load_rlx(&pool->epoch);
	s->verified = wi_load_rlx(&pool->verified);
	s->doubted = wi_epoch_doubted(pool);
	s->misuse = wi_load_rlx(&pool->misuse);
	s->leaks = wi_load_rlx(&pool->leaks);
	s->cancels = wi_load_rlx(&pool->cancels);
	s->orphans = wi_load_rlx(&pool->orphans);
	wi_hist_durations(&pool->wait_hist, &s->wait);
	wi_hist_durations(&pool->connect_hist, &s->connect);
	wi_hist_durations(&pool->hold_hist, &s->hold);
	wi_hist_histogram(&pool->wait_hist, &s->wait_times);
	wi_hist_histogram(&pool->connect_hist, &s->connect_times);
	wi_hist_histogram(&pool->hold_hist, &s->hold_times);
	wi_tally_read(pool, s);
	s->slow_queries = wi_load_rlx(&pool->vigilance.queries.count);
	s->slow_checkouts = wi_load_rlx(&pool->vigilance.checkouts.count);
	if (wi_posted_read(&pool->last_error, &e, sizeof(e)))
		wi_copy(s->last_connect_error, sizeof(s->last_connect_error), e.text);
	s->lost = wi_load_rlx(&pool->health.lost);
	if (wi_posted_read(&pool->health.last, &e, sizeof(e))) {
		wi_copy(s->last_lost, sizeof(s->last_lost), e.text);
		wi_copy(s->last_lost_sqlstate, sizeof(s->last_lost_sqlstate), e.sqlstate);
	}
}

size_t weir_pool_events_get(weir_pool *pool, uint64_t after_sequence, weir_event_record *records,
                            size_t room, uint64_t *lost)
{
	if (lost)
		*lost = 0;
	return pool ? wi_ring_read(pool->ring, after_sequence, records, room, lost) : 0;
}

uint64_t weir_pool_events_count(weir_pool *pool, weir_event_kind kind)
{
	return pool ? wi_ring_count(pool->ring, kind) : 0;
}

static void nothing_known(weir_in_force *f)
{
	*f = (weir_in_force){
		.applied = WEIR_APPLIED_UNKNOWN,
		.statement_timeout_ms = -1,
		.lock_timeout_ms = -1,
		.idle_in_transaction_timeout_ms = -1,
		.idle_session_timeout_ms = -1,
		.transaction_timeout_ms = -1,
		.read_only = -1,
		.keepalives = -1,
		.keepalives_idle_s = -1,
		.keepalives_interval_s = -1,
		.keepalives_count = -1,
		.tcp_user_timeout_ms = -1,
	};
}

bool weir_pool_in_force_get(weir_pool *pool, weir_in_force *in_force)
{
	if (!in_force)
		return false;
	if (pool && wi_posted_read(&pool->in_force, in_force, sizeof(*in_force)))
		return true;
	nothing_known(in_force);
	return false;
}

void weir_pool_stats_get(weir_pool *pool, weir_pool_stats *stats)
{
	if (!stats)
		return;
	if (pool)
		wi_pool_read(pool, stats);
	else
		memset(stats, 0, sizeof(*stats));
}

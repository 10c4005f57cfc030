/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a pool watches over itself. The alert rules are judged by the keeper from what is counted
 * anyway; a pool of a router is judged by what is its own, connects and connections, and what is
 * the router's is judged there (route/alarm.c).
 */
#include "pool/alarm.h"

#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "pool/size.h"

/* An exhausted pool is not told of again within so long, however often it was well meanwhile. */
#define EXHAUSTED_GAP_NS (10 * WI_SEC)

/* ---- alert rules ---- */

static void count(struct weir_pool *pool, uint64_t n[WI_COUNTED])
{
	uint64_t returned;

	memset(n, 0, WI_COUNTED * sizeof(n[0]));
	n[WI_CONNECTS_FAILED] = wi_load_rlx(&pool->connect_failures);
	n[WI_CONNECTS_TRIED] = wi_load_rlx(&pool->opened) + n[WI_CONNECTS_FAILED];
	n[WI_LEAKED] = wi_load_rlx(&pool->leaks) + wi_load_rlx(&pool->orphans);
	n[WI_QUERIES_SLOW] = wi_load_rlx(&pool->vigilance.queries.count);
	n[WI_BREAKER_OPENINGS] = wi_load_rlx(&pool->breaker_openings);
	if (pool->routed)
		return;
	wi_core_sums(&pool->core, &n[WI_CHECKOUTS_TRIED], &returned);
	n[WI_CHECKOUTS_FAILED] = wi_load_rlx(&pool->timeouts);
	for (int i = 0; i < WEIR_STATUSES; i++)
		n[WI_CHECKOUTS_FAILED] += wi_load_rlx(&pool->refused_with[i]);
	n[WI_CHECKOUTS_TRIED] += n[WI_CHECKOUTS_FAILED];
	n[WI_CHECKOUTS_SLOW] = wi_load_rlx(&pool->vigilance.checkouts.count);
}

/* Keeper's thread. */
static bool is_unhealthy(const struct weir_pool *pool)
{
	return wi_load_rlx(&pool->alive) == 0 && pool->breaker.steps > 0;
}

static void find(struct weir_pool *pool, const uint64_t within[WI_COUNTED], struct wi_findings *f)
{
	uint64_t lent, returned;
	uint32_t max = wi_pool_max(pool);

	wi_findings_of(f, within);
	if (wi_load_rlx(&pool->breaker.state) != WI_BREAKER_CLOSED &&
	    !f->value[WEIR_ALERT_BREAKER_OPEN])
		f->value[WEIR_ALERT_BREAKER_OPEN] = 1;
	wi_core_sums(&pool->core, &lent, &returned);
	if (max)
		f->value[WEIR_ALERT_USAGE] = (int64_t)((lent - returned) * 100 / max);
	if (pool->routed) {
		f->value[WEIR_ALERT_SLOW_CHECKOUTS] = -1;
		return;
	}
	f->value[WEIR_ALERT_UNHEALTHY] = is_unhealthy(pool);
	f->unhealthy = "nothing is open, and connects fail";
}

void wi_alarm_turn(struct weir_pool *pool, int64_t now_ns)
{
	struct wi_alarms *alarms = &pool->vigilance.alarms;
	const weir_options *o = &pool->options;
	uint64_t counts[WI_COUNTED], within[WI_COUNTED];
	struct wi_findings f;

	if (!wi_alarms_are_due(alarms, o, now_ns))
		return;
	count(pool, counts);
	if (!wi_window_within(&alarms->window, now_ns, o->alert_window_ms * WI_MS, counts, within))
		return;
	find(pool, within, &f);
	wi_alarms_judge(alarms, o, pool->ring, pool->endpoint->name, now_ns, &f);
}

int64_t wi_alarm_due(const struct weir_pool *pool)
{
	return wi_alarms_due(&pool->vigilance.alarms, &pool->options);
}

void wi_alarm_forget(struct weir_pool *pool)
{
	struct wi_vigilance *v = &pool->vigilance;

	memset(v->alarms.of, 0, sizeof(v->alarms.of));
	v->alarms.window = (struct wi_window){.samples = 0};
	v->alarms.next_ns = 0;
	wi_posted_init(&v->alarms.shown);
	wi_store_rlx(&v->exhausted, 0);
}

size_t weir_pool_alerts_get(weir_pool *pool, weir_alert *alerts, size_t room)
{
	if (!pool)
		return 0;
	return wi_alarms_list(&pool->vigilance.alarms, pool->endpoint->name, alerts, room);
}

/* ---- exhaustion ---- */

/* About: a count or two may be a moment old. */
static bool is_exhausted(struct weir_pool *pool, uint32_t *out)
{
	uint32_t ready = wi_load_rlx(&pool->shown[WI_READY]), fresh;
	uint64_t lent, returned;

	fresh = wi_load_rlx(&pool->shown[WI_RESOLVING]) + wi_load_rlx(&pool->shown[WI_CONNECTING]) +
	        wi_load_rlx(&pool->shown_fresh);
	wi_core_sums(&pool->core, &lent, &returned);
	*out = (uint32_t)(lent - returned);
	return !wi_load_rlx(&pool->demand) && !fresh && ready && *out >= ready;
}

void wi_exhausted_found(struct weir_pool *pool, int64_t now_ns, uint32_t waiting)
{
	struct wi_vigilance *v = &pool->vigilance;
	uint32_t none = 0, out;
	uint64_t held_back;

	if (wi_load_rlx(&v->exhausted) || !is_exhausted(pool, &out) ||
	    !wi_cas_rlx(&v->exhausted, &none, 1))
		return;
	if (wi_seldom_now(&v->exhausted_told, now_ns, EXHAUSTED_GAP_NS, &held_back))
		wi_pool_tell(pool, WEIR_EVENT_EXHAUSTED,
		             "all %u connections are out, and %u callers wait", out, waiting);
	else
		wi_store_rlx(&v->exhausted, 0); /* to be told later, if it lasts */
}

void wi_exhausted_look(struct weir_pool *pool, int64_t now_ns)
{
	uint32_t waiting = wi_core_waiting(&pool->core);

	if (waiting)
		wi_exhausted_found(pool, now_ns, waiting);
	else if (wi_load_rlx(&pool->vigilance.exhausted))
		wi_store_rlx(&pool->vigilance.exhausted, 0);
}

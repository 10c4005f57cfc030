/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The alert rules that are the router's as a whole: whether there is somebody to write to and
 * anybody at all, and how checkouts fare. What is one host's is judged with its pool
 * (pool/alarm.c). By the keeper, from what is counted anyway.
 */
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "pool/pool.h"
#include "route/router.h"

/* Where all hosts are readers by name, nobody is meant to take writes. */
static bool wants_primary(weir_router *r)
{
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		if (h->named != WI_NAMED_READER)
			return true;
	return false;
}

static bool is_anybody_there(weir_router *r)
{
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		if (h->last.answered)
			return true;
	return false;
}

/* NULL: it is well. The keeper's thread, which alone writes topologies. */
static const char *ailment(weir_router *r)
{
	if (!r->settled)
		return NULL; /* not everybody has been looked at yet */
	if (!is_anybody_there(r))
		return "no host is reachable";
	if (!wi_load_rlx(&r->topology)->primary && wants_primary(r))
		return "no host takes writes";
	return NULL;
}

/* Those that have left count, too: else what was tried would go down, and failures seem many. */
static void count(weir_router *r, uint64_t n[WI_COUNTED])
{
	memset(n, 0, WI_COUNTED * sizeof(n[0]));
	n[WI_CHECKOUTS_FAILED] = wi_load_rlx(&r->failed);
	n[WI_CHECKOUTS_TRIED] = n[WI_CHECKOUTS_FAILED] + r->gone_lent;
	for (uint32_t i = 0; i < WI_HOSTS_MAX; i++) {
		uint64_t lent, returned;

		if (!r->mine[i])
			continue;
		wi_core_sums(&r->mine[i]->pool->core, &lent, &returned);
		n[WI_CHECKOUTS_TRIED] += lent;
	}
	n[WI_CHECKOUTS_SLOW] = wi_load_rlx(&r->slow.count);
}

void wi_router_alarm_turn(weir_router *r, int64_t now_ns)
{
	const weir_options *o = &r->options;
	uint64_t counts[WI_COUNTED], within[WI_COUNTED];
	struct wi_findings f;

	if (!wi_alarms_are_due(&r->alarms, o, now_ns))
		return;
	count(r, counts);
	if (!wi_window_within(&r->alarms.window, now_ns, o->alert_window_ms * WI_MS, counts,
	                      within))
		return;
	wi_findings_of(&f, within);
	f.unhealthy = ailment(r);
	f.value[WEIR_ALERT_UNHEALTHY] = f.unhealthy != NULL;
	wi_alarms_judge(&r->alarms, o, &r->ring, NULL, now_ns, &f);
}

void wi_router_alarm_forget(weir_router *r)
{
	memset(r->alarms.of, 0, sizeof(r->alarms.of));
	r->alarms.window = (struct wi_window){.samples = 0};
	r->alarms.next_ns = 0;
	wi_posted_init(&r->alarms.shown);
}

void wi_router_note_checkout(weir_router *r, const weir_conn *conn, const char *tag,
                             int64_t began_ns, weir_status status)
{
	struct wi_slow_of of = {&r->ring, &r->options, NULL, tag};

	if (status != WEIR_OK)
		wi_add_rlx(&r->failed, 1);
	else
		of.host = wi_conn_of(conn)->pool->endpoint->name;
	wi_slow_checkout(&r->slow, &of, began_ns, r->world->now(), status);
}

size_t weir_router_alerts_get(weir_router *r, weir_alert *alerts, size_t room)
{
	struct wi_host *h;
	size_t n;

	if (!r || wi_router_is_parents(r) || !wi_router_enter(r))
		return 0;
	n = wi_alarms_list(&r->alarms, "", alerts, room);
	wi_rcu_enter();
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		size_t at = n < room ? n : room;

		n += wi_alarms_list(&h->pool->vigilance.alarms, h->endpoint->name,
		                    alerts ? alerts + at : NULL, room - at);
	}
	wi_rcu_leave();
	wi_router_leave(r);
	return n;
}

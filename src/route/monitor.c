/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The monitor: the router's job on the keeper's thread. It probes all hosts, each at its own pace
 * and with its own deadline. What they find is judged in conclude.c.
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "route/names.h"
#include "route/router.h"
#include "stat/event.h"

#define RESTLESS_MS 30000
#define RENEW_MS 1000         /* between two looks at where a host's address leads */
#define RENEW_SELDOM_MS 30000 /* the same where that has been so for long */
#define FULL_MS 10000         /* how long a host that has no room for the probe keeps its role */

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- probing ---- */

void wi_monitor_trouble(void *arg, const struct wi_failure *failure)
{
	struct wi_host *h = arg;

	/* Who refuses the probe's credentials, too: no news, and each try may be counted there. */
	if (failure->fault == WI_FAULT_AUTH && h->failures)
		return;
	h->trouble = true;
	h->hurt =
		h->hurt || (failure->fault != WI_FAULT_CAPACITY && failure->fault != WI_FAULT_AUTH);
	wi_keeper_ring(h->router->keeper);
}

/* The one way that there is to the primary, and somebody else answers. */
static bool leads_astray(const struct wi_host *h)
{
	return h->last.answered && h->opinion.role != WEIR_ROLE_PRIMARY &&
	       (h->named == WI_NAMED_WRITER ||
	        (h->named == WI_NAMED_NOT && wi_hosts_count(h->router) == 1));
}

/*
 * A name or an address leads to another server some time after the old one is no primary any more;
 * and a question over the connection to that one would never hear of it.
 */
static void look_where_it_leads(struct wi_host *h, int64_t now_ns)
{
	bool seldom = !h->pool->misled && now_ns >= h->router->alarmed_until_ns;
	int64_t pause_ns = (seldom ? RENEW_SELDOM_MS : RENEW_MS) * WI_MS;

	if ((!h->pool->misled && !leads_astray(h)) ||
	    now_ns - wi_load_rlx(&h->renewed_ns) < pause_ns)
		return;
	h->pool->misled = false;
	wi_store_rlx(&h->renewed_ns, now_ns);
	wi_probe_renew(&h->probe);
}

static void begin(struct wi_host *h, int64_t now_ns)
{
	look_where_it_leads(h, now_ns);
	h->trouble = false;
	h->asking_for = wi_load_rlx(&h->router->tickets);
	wi_probe_begin(&h->probe, now_ns, wi_pace_limit_ms(h->router),
	               h->router->options.connect_timeout_ms);
}

static void heard_well(struct wi_host *h, int64_t now_ns)
{
	h->answered_for = h->asking_for;
	h->completed = true;
	/* The pool need not wait out the pause that its own failures have earned. */
	if (h->failures)
		wi_pool_retry_now(h->pool);
	h->failures = 0;
	wi_store_rlx(&h->dead, false);
	h->full_since_ns = 0;
	h->hurt = h->hurt && h->trouble; /* else it is older than this answer */
	h->last = h->probe.found.sight;
	wi_identity_note(h, now_ns);
	wi_hold_good(h, now_ns);
	wi_store_rlx(&h->answered_ns, h->probe.found.sight.answered_ns);
	wi_pace_plan(h, now_ns);
}

/*
 * The server has no room for the probe's session, or does not take its credentials any more, and
 * nothing says that it is not the one it was: connections of the pool are open, and none was lost.
 * Then its last answer stands; where there is no room, for a while. Credentials are not mended so
 * soon: for as long as what is open, which is asked in the probe's stead, does not contradict.
 */
static bool is_only_shut_out(struct wi_host *h, int64_t now_ns)
{
	enum wi_fault fault = h->probe.found.failure.fault;

	if ((fault != WI_FAULT_CAPACITY && fault != WI_FAULT_AUTH) || !h->last.answered ||
	    h->hurt || h->opinion.role == WEIR_ROLE_UNKNOWN || !wi_load_rlx(&h->pool->alive))
		return false;
	if (fault == WI_FAULT_AUTH) {
		wi_epoch_move(h->pool);
		return true;
	}
	if (!h->full_since_ns)
		h->full_since_ns = now_ns;
	return now_ns - h->full_since_ns < FULL_MS * WI_MS;
}

/* A server that has no room, or starts, is there: who waits for it may wait. */
static bool is_dead(const struct wi_host *h)
{
	enum wi_fault fault = h->probe.found.failure.fault;
	int64_t enough = h->router->options.breaker_failures;

	return enough > 0 && h->failures >= enough && fault != WI_FAULT_CAPACITY &&
	       fault != WI_FAULT_STARTING;
}

/* Its role tells nobody. */
static void tell_shut_out(const struct wi_host *h, int64_t now_ns)
{
	if (h->failures == 1)
		wi_event_tell(&h->router->ring, &h->router->options, now_ns,
		              WEIR_EVENT_CONNECT_FAILED, h->endpoint->name,
		              "the probe's; the host keeps its role by what is open: %s",
		              h->probe.found.failure.text);
}

static void heard_ill(struct wi_host *h, int64_t now_ns)
{
	bool kept;

	h->answered_for = h->asking_for;
	h->completed = true;
	h->failures++;
	kept = is_only_shut_out(h, now_ns);
	if (kept) {
		h->probe.found.sight = h->last;
		tell_shut_out(h, now_ns);
	} else {
		h->last = (struct wi_sight){0};
		wi_hold_fell(h, now_ns);
	}
	wi_store_rlx(&h->dead, !kept && is_dead(h));
	if (h->failures == 1) {
		h->router->restless_until_ns = now_ns + RESTLESS_MS * WI_MS;
		wi_pace_alarm(h->router, now_ns);
	}
	wi_pace_plan(h, now_ns);
}

/* A host whose connect is late does not answer now: who asks is not kept until it is given up. */
static bool answer_for_late(struct wi_host *h)
{
	uint64_t tickets = wi_load_rlx(&h->router->tickets);

	if (!h->probe.late || h->answered_for == tickets)
		return false;
	h->asking_for = h->answered_for = tickets;
	return true;
}

/* Steps one host's probe; true: something new is known of it. */
static bool tend_host(struct wi_host *h, int64_t now_ns)
{
	bool news = false;

	/*
	 * At most one probe can end and one begin in a turn: a second answer would need another
	 * wait.
	 */
	for (int i = 0; i < 2; i++) {
		switch (wi_probe_step(&h->probe, now_ns)) {
		case WI_PROBE_NO_NEWS:
			break;
		case WI_PROBE_ANSWERED:
			heard_well(h, now_ns);
			news = true;
			break;
		case WI_PROBE_FAILED:
			heard_ill(h, now_ns);
			news = true;
			break;
		case WI_PROBE_STIRRED:
			h->trouble = true;
			break;
		}
		news |= answer_for_late(h);
		if (i == 0 && !wi_probe_is_busy(&h->probe) && now_ns >= wi_pace_due(h, now_ns))
			begin(h, now_ns);
	}
	return news;
}

static int64_t host_due(const struct wi_host *h, int64_t now_ns)
{
	int64_t due = wi_probe_due(&h->probe, now_ns);

	return wi_probe_is_busy(&h->probe) ? due : least(due, wi_pace_due(h, now_ns));
}

/* ---- the job ---- */

static void stop_probes(weir_router *r)
{
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_places_next(r, &i));)
		wi_probe_stop(&h->probe);
	wi_names_stop(r);
	wi_hosts_shut(r); /* one may have been added while the closer shut the others */
	r->stopped = true;
}

static int64_t turn(struct wi_job *job, int64_t now_ns)
{
	weir_router *r = WI_CONTAINER_OF(job, weir_router, job);
	int64_t due = WI_FOREVER;
	struct wi_host *h;
	bool news = false;

	/* [route:A4] sees the router closed; pairs with R4. */
	if (wi_load_acq(&r->closed)) {
		wi_orders_turn(r, now_ns);
		if (!r->stopped)
			stop_probes(r);
		return WI_FOREVER;
	}
	wi_orders_turn(r, now_ns);
	wi_names_turn(r, now_ns, &due);
	wi_hosts_reap(r);
	wi_pace_relax(r, now_ns);
	news = wi_advice_tend(r, now_ns);
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		news |= tend_host(h, now_ns);
	news |= wi_stand_turn(r, now_ns);
	if (news)
		wi_conclude(r, r->world->now());
	wi_router_alarm_turn(r, now_ns);
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		due = least(due, host_due(h, now_ns));
	due = least(due, wi_advice_due(r));
	due = least(due, wi_stand_due(r));
	due = least(due, wi_alarms_due(&r->alarms, &r->options));
	return least(due, wi_balance_count(r, now_ns));
}

static bool is_finished(struct wi_job *job)
{
	weir_router *r = WI_CONTAINER_OF(job, weir_router, job);

	return r->stopped && wi_load_seq(&r->inside) == 0;
}

void wi_monitor_add(weir_router *r)
{
	r->job = (struct wi_job){.turn = turn, .is_finished = is_finished};
	wi_keeper_add(r->keeper, &r->job);
}

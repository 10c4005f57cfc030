/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The monitor: the router's job on the keeper's thread. It probes all hosts, each at its own pace
 * and with its own deadline, judges them together (roles.h), and publishes what came of it.
 *
 * Pace. Every probe_interval_ms; more often where a limit of lag asks for it, as a limit is worth
 * what is known; fast for a while after something went wrong; at once where a pool met with trouble
 * or an idle probe heard something. A host that fails is asked again soon, then less and less soon,
 * up to the interval. All with jitter, so that many routers do not ask in step.
 *
 * First look. Nobody has a role before every host's first probe is over, one way or the other: of
 * two servers that both think they are the primary, the first to answer would win.
 *
 * Orderings. [route:R3] in hand_out, [route:A3] in probed (stats.c): who waits for a probe finds
 * what it found.
 */
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "base/text.h"
#include "route/router.h"
#include "stat/event.h"

#define FAST_MS 100 /* pace while something is wrong, and the first pause after a failure */
#define RESTLESS_MS 30000
#define FLOOR_MS 10 /* no host is asked more often */
#define LEAST_LIMIT_MS 1000
#define SEND_AWAY_TIMES 3

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* ---- pace ---- */

/*
 * A replica that is never behind is known to hold what the primary had two probes ago: a quarter of
 * the limit leaves as much again for the way and for being a little behind.
 */
static int64_t period_ms(const weir_router *r, int64_t now_ns)
{
	int64_t period = r->options.probe_interval_ms;
	int64_t tightest = wi_load_rlx(&r->tightest_ms);

	if (tightest)
		period = least(period, tightest / 4);
	if (now_ns < r->restless_until_ns)
		period = least(period, FAST_MS);
	return most(period, FLOOR_MS);
}

static int64_t jittered_ns(weir_router *r, int64_t ms)
{
	int64_t ns = ms * WI_MS;

	return ns - (int64_t)(wi_rng_next(&r->rng) % (uint64_t)(ns / 10 + 1));
}

static int64_t limit_ms(const weir_router *r)
{
	return least(most(r->options.probe_interval_ms, LEAST_LIMIT_MS),
	             r->options.connect_timeout_ms);
}

static int64_t pause_ms(const struct wi_host *h, int64_t now_ns)
{
	int64_t period = period_ms(h->router, now_ns);
	uint32_t doublings = h->failures < 10 ? h->failures - 1 : 9;

	return least(period, (int64_t)FAST_MS << doublings);
}

static void plan_next(struct wi_host *h, int64_t now_ns)
{
	int64_t wait = h->failures ? pause_ms(h, now_ns) : period_ms(h->router, now_ns);
	int64_t from = h->failures ? now_ns : h->probe.begun_ns;

	h->next_ns =
		most(from + jittered_ns(h->router, wait), h->probe.begun_ns + FLOOR_MS * WI_MS);
}

void wi_monitor_need(weir_router *r, int64_t max_lag_ms)
{
	int64_t tightest = wi_load_rlx(&r->tightest_ms);

	while (!tightest || max_lag_ms < tightest) {
		if (!wi_cas_rlx(&r->tightest_ms, &tightest, max_lag_ms))
			continue;
		wi_keeper_ring(r->keeper);
		return;
	}
}

void wi_monitor_trouble(void *arg, const struct wi_failure *failure)
{
	struct wi_host *h = arg;

	(void)failure;
	h->trouble = true;
	wi_keeper_ring(h->router->keeper);
}

/* ---- probing ---- */

/* When an idle probe wants to ask again. */
static int64_t planned(const struct wi_host *h, int64_t now_ns)
{
	int64_t at = h->next_ns;

	if (wi_load_rlx(&h->router->tickets) > h->asking_for)
		return now_ns;
	if (h->trouble)
		at = least(at, h->probe.begun_ns + FLOOR_MS * WI_MS);
	/* The period may have shrunk since the next probe was planned. */
	if (!h->failures)
		at = least(at, h->probe.begun_ns + period_ms(h->router, now_ns) * WI_MS);
	return at;
}

static void begin(struct wi_host *h, int64_t now_ns)
{
	h->trouble = false;
	h->asking_for = wi_load_rlx(&h->router->tickets);
	wi_probe_begin(&h->probe, now_ns, limit_ms(h->router));
}

static void heard_well(struct wi_host *h, int64_t now_ns)
{
	h->answered_for = h->asking_for;
	h->completed = true;
	h->failures = 0;
	wi_store_rlx(&h->answered_ns, h->probe.found.sight.answered_ns);
	plan_next(h, now_ns);
}

static void heard_ill(struct wi_host *h, int64_t now_ns)
{
	h->answered_for = h->asking_for;
	h->completed = true;
	h->failures++;
	if (h->failures == 1)
		h->router->restless_until_ns = now_ns + RESTLESS_MS * WI_MS;
	plan_next(h, now_ns);
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
		if (i == 0 && !wi_probe_is_busy(&h->probe) && now_ns >= planned(h, now_ns))
			begin(h, now_ns);
	}
	return news;
}

static int64_t host_due(const struct wi_host *h, int64_t now_ns)
{
	int64_t due = wi_probe_due(&h->probe, now_ns);

	return wi_probe_is_busy(&h->probe) ? due : least(due, planned(h, now_ns));
}

/* ---- judging ---- */

static struct wi_judgement judge(weir_router *r)
{
	struct wi_sight sights[WI_HOSTS_MAX];
	enum wi_named named[WI_HOSTS_MAX];
	struct wi_opinion opinions[WI_HOSTS_MAX];
	struct wi_judgement j = {.primary = -1, .system = r->system};

	r->settled = true;
	for (uint32_t i = 0; i < r->n_hosts; i++) {
		sights[i] = r->hosts[i].probe.found.sight;
		named[i] = r->hosts[i].named;
		r->settled = r->settled && r->hosts[i].completed;
	}
	if (!r->settled)
		return j;
	j = wi_roles_judge(sights, named, r->n_hosts, r->system, opinions);
	r->system = j.system;
	for (uint32_t i = 0; i < r->n_hosts; i++)
		r->hosts[i].opinion = opinions[i];
	return j;
}

/* The primary's history goes on, or begins anew with another primary or timeline. */
static void keep_history(weir_router *r, const struct wi_judgement *j)
{
	const struct wi_host *primary = j->primary >= 0 ? &r->hosts[j->primary] : NULL;
	const struct wi_sight *s;

	if (!primary)
		return;
	s = &primary->probe.found.sight;
	if (primary != r->history_of || s->timeline != r->history_timeline)
		wi_lag_reset(&r->history);
	r->history_of = primary;
	r->history_timeline = s->timeline;
	if (s->lsn)
		wi_lag_add(&r->history, s->lsn, s->asked_ns, s->answered_ns);
}

/* What may be said of a host's position beside the primary's. Unknown is never fresh. */
static struct wi_lag lag_of(const weir_router *r, const struct wi_host *h,
                            const struct wi_judgement *j)
{
	const struct wi_lag unknown = {WI_LAG_UNKNOWN, WI_LAG_UNKNOWN, -1};
	const struct wi_sight *s = &h->probe.found.sight;
	const struct wi_sight *p;

	if (j->primary < 0 || h->opinion.role != WEIR_ROLE_REPLICA || h->named == WI_NAMED_READER)
		return unknown;
	p = &r->hosts[j->primary].probe.found.sight;
	/* On another timeline a position means another history. */
	if (!s->lsn || !s->timeline || s->timeline != p->timeline)
		return unknown;
	return wi_lag_of(&r->history, s->lsn);
}

static void show_position(const weir_router *r, struct wi_host *h, const struct wi_judgement *j)
{
	const struct wi_sight *s = &h->probe.found.sight;
	struct wi_lag lag = lag_of(r, h, j);
	bool named = h->named == WI_NAMED_READER; /* the next one may be another server */

	/*
	 * Without a primary nothing is newer than before: what was promised stays true and grows
	 * old.
	 */
	if (j->primary >= 0 || h->opinion.role != WEIR_ROLE_REPLICA) {
		wi_store_rlx(&h->as_of_ns, lag.as_of_ns);
		wi_store_rlx(&h->behind_since_ns, lag.behind_since_ns);
		wi_store_rlx(&h->lag_bytes, lag.bytes);
	}
	wi_store_rlx(&h->timeline, named ? 0 : s->timeline);
	wi_store_rlx(&h->lsn, named ? 0 : s->lsn);
}

/* ---- telling ---- */

static void tell_role(const struct wi_host *h, weir_role old, int64_t now_ns)
{
	const struct wi_report *report = wi_load_rlx(&h->report); /* this thread's own */
	bool why = report->failure.text[0] != '\0';

	wi_event_tell(&h->router->options, now_ns, WEIR_EVENT_ROLE_CHANGED, h->endpoint->name,
	              "was %s, is %s%s%s", weir_role_name(old), weir_role_name(report->role),
	              why ? ": " : "", why ? report->failure.text : "");
}

/* Once an episode. */
static void tell_split(weir_router *r, const struct wi_judgement *j, int64_t now_ns)
{
	char words[WEIR_ERROR_TEXT];
	struct wi_text text;

	if (!j->split || r->split_told) {
		r->split_told = j->split;
		return;
	}
	r->split_told = true;
	wi_text_init(&text, words, sizeof(words));
	for (uint32_t i = 0; i < r->n_hosts; i++) {
		const struct wi_host *h = &r->hosts[i];

		if (h->opinion.objection == WI_OBJECTION_TIE ||
		    h->opinion.objection == WI_OBJECTION_SYSTEMS)
			wi_text_add(&text, "%s%s (system %llx, timeline %u)", text.len ? ", " : "",
			            h->endpoint->name,
			            (unsigned long long)h->probe.found.sight.system,
			            h->probe.found.sight.timeline);
	}
	wi_event_tell(&r->options, now_ns, WEIR_EVENT_SPLIT_BRAIN, NULL,
	              "no primary: %s contradict each other", words);
}

static void role_changed(weir_router *r, struct wi_host *h, weir_role old, int64_t now_ns)
{
	tell_role(h, old, now_ns);
	if (old == WEIR_ROLE_UNKNOWN)
		return;
	r->restless_until_ns = now_ns + RESTLESS_MS * WI_MS;
	wi_pool_suspect_all(h->pool);
	h->send_away = SEND_AWAY_TIMES;
}

/*
 * Who waits at a host that has another role now chooses again. A caller that chose it just before
 * may only be about to wait: so this is done again after the next few probes.
 */
static void send_away(struct wi_host *h)
{
	if (!h->send_away)
		return;
	if (h->opinion.role != WEIR_ROLE_UNKNOWN)
		h->send_away--;
	wi_pool_send_away(h->pool);
}

/* The answered tickets are handed out when everything that was found is in place. */
static void hand_out(weir_router *r)
{
	for (uint32_t i = 0; i < r->n_hosts; i++) {
		struct wi_host *h = &r->hosts[i];

		/* [route:R3] publishes what the probe found; pairs with A3. */
		wi_store_rel(&h->probed, h->answered_for);
	}
}

static void conclude(weir_router *r, int64_t now_ns)
{
	struct wi_judgement j = judge(r);
	weir_role old[WI_HOSTS_MAX];

	wi_topology_grace(r);
	keep_history(r, &j);
	for (uint32_t i = 0; i < r->n_hosts; i++) {
		show_position(r, &r->hosts[i], &j);
		wi_report_publish(&r->hosts[i], &old[i]);
	}
	wi_topology_publish(r, &j);
	/* Only now: who is sent away must find the new topology. */
	for (uint32_t i = 0; i < r->n_hosts; i++) {
		if (r->hosts[i].opinion.role != old[i])
			role_changed(r, &r->hosts[i], old[i], now_ns);
		send_away(&r->hosts[i]);
	}
	tell_split(r, &j, now_ns);
	hand_out(r);
	wi_gate_change(&r->gate, r->world);
}

/* ---- the job ---- */

static void stop_probes(weir_router *r)
{
	for (uint32_t i = 0; i < r->n_hosts; i++)
		wi_probe_stop(&r->hosts[i].probe);
	r->stopped = true;
}

static int64_t turn(struct wi_job *job, int64_t now_ns)
{
	weir_router *r = WI_CONTAINER_OF(job, weir_router, job);
	int64_t due = WI_FOREVER;
	bool news = false;

	/* [route:A4] sees the router closed; pairs with R4. */
	if (wi_load_acq(&r->closed)) {
		if (!r->stopped)
			stop_probes(r);
		return WI_FOREVER;
	}
	for (uint32_t i = 0; i < r->n_hosts; i++)
		news |= tend_host(&r->hosts[i], now_ns);
	if (news)
		conclude(r, r->world->now());
	for (uint32_t i = 0; i < r->n_hosts; i++)
		due = least(due, host_due(&r->hosts[i], now_ns));
	return due;
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

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the probes' findings come to: judged together (roles.h), published, and told to whom it
 * concerns. The keeper's thread.
 *
 * First look. Nobody has a role before every host's first probe is over, one way or the other: of
 * two servers that both think they are the primary, the first to answer would win. A host that is
 * added later is judged from its own first answer on.
 *
 * Orderings. [route:R3] in hand_out, [route:A3] in probed (stats.c): who waits for a probe finds
 * what it found. [fresh:R1] [fresh:R2] [fresh:R3] in show_position (fresh.c).
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "route/orders.h"
#include "route/router.h"
#include "stat/event.h"

#define RESTLESS_MS 30000 /* probes go faster for so long after a role has changed */
#define SEND_AWAY_TIMES 3
#define SEND_AWAY_MS 2000 /* and for so long */
#define WRONG_MS 300000   /* what has been wrong for so long is no reason to hurry any more */

/* ---- judging ---- */

/* What the judge is told: the hosts of the set without gaps. */
struct brief {
	uint32_t n;
	struct wi_host *host[WI_HOSTS_MAX];
	struct wi_sight sight[WI_HOSTS_MAX];
	enum wi_named named[WI_HOSTS_MAX];
	struct wi_opinion opinion[WI_HOSTS_MAX];
};

/* The number of a host + 1 becomes its place in the brief + 1; 0: it is not there. */
static uint32_t in_brief(const struct brief *b, uint32_t number_1)
{
	for (uint32_t i = 0; number_1 && i < b->n; i++)
		if (b->host[i]->number == number_1 - 1)
			return i + 1;
	return 0;
}

/* What a host's probe saw, as far as it may be said of the host. */
static struct wi_sight sight_of(const weir_router *r, struct wi_host *h, int64_t now_ns)
{
	struct wi_sight s = h->probe.found.sight;

	h->several = wi_identity_is_several(h, now_ns);
	s.follows = wi_identity_followed(r, h);
	if (h->several)
		s.started = 0; /* no vote, and no alias of another */
	return s;
}

/* Whether every one of them has been looked at. */
static bool make_brief(weir_router *r, struct brief *b, int64_t now_ns)
{
	bool looked_at = true;
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i)); b->n++) {
		b->host[b->n] = h;
		b->sight[b->n] = sight_of(r, h, now_ns);
		b->named[b->n] = h->named;
		looked_at = looked_at && h->completed;
	}
	for (uint32_t i = 0; i < b->n; i++)
		b->sight[i].follows = in_brief(b, b->sight[i].follows);
	return looked_at;
}

/* Another system, or what was before the history that is forgotten. */
static bool is_another_past(const struct wi_so_far *before, const struct wi_so_far *now)
{
	return before->system &&
	       (now->system != before->system || now->timeline < before->timeline);
}

/* The judgement is about hosts by their places. */
static struct wi_judgement judge(weir_router *r, int64_t now_ns)
{
	struct wi_judgement j = {.primary = -1, .so_far = r->so_far};
	struct wi_advice advice;
	struct brief b = {0};
	bool advised = wi_advice_in_force(r, &advice);

	r->settled = make_brief(r, &b, now_ns) || r->settled;
	if (!r->settled)
		return j;
	if (advised)
		advice.primary = (int)in_brief(&b, (uint32_t)(advice.primary + 1)) - 1;
	j = wi_roles_judge(b.sight, b.named, b.n, r->so_far, advised ? &advice : NULL, b.opinion);
	if (is_another_past(&r->so_far, &j.so_far))
		wi_floor_forget(r);
	r->so_far = j.so_far;
	for (uint32_t i = 0; i < b.n; i++) {
		b.host[i]->opinion = b.opinion[i];
		b.host[i]->opinion.other = b.host[b.opinion[i].other]->number;
	}
	if (j.primary >= 0)
		j.primary = (int)b.host[j.primary]->number;
	wi_hold_down(r, &j, now_ns);
	return j;
}

static const struct wi_host *primary_of(const weir_router *r, const struct wi_judgement *j)
{
	return j->primary >= 0 ? wi_host_at(r, (uint32_t)j->primary) : NULL;
}

/* The primary's history goes on, or begins anew with another primary or timeline. */
static void keep_history(weir_router *r, const struct wi_judgement *j)
{
	const struct wi_host *primary = primary_of(r, j);
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

/* The next one that answers there may be another server. */
static bool is_vague(const struct wi_host *h)
{
	return h->named == WI_NAMED_READER || h->several;
}

/* What may be said of a host's position beside the primary's. Unknown is never fresh. */
static struct wi_lag lag_of(const weir_router *r, const struct wi_host *h,
                            const struct wi_judgement *j)
{
	const struct wi_lag unknown = {WI_LAG_UNKNOWN, WI_LAG_UNKNOWN, -1};
	const struct wi_sight *s = &h->probe.found.sight;
	const struct wi_sight *p;

	if (j->primary < 0 || h->opinion.role != WEIR_ROLE_REPLICA || is_vague(h))
		return unknown;
	p = &primary_of(r, j)->probe.found.sight;
	/* On another timeline a position means another history. */
	if (!s->lsn || !s->timeline || s->timeline != p->timeline)
		return unknown;
	return wi_lag_of(&r->history, s->lsn);
}

/*
 * Its replay has gone back since its last answer: a standby that is started anew begins at its last
 * restart point. So does one that a crash of a single backend has made begin again, which leaves
 * the server's start as it was: then one is made up.
 */
static bool has_gone_back(struct wi_host *h)
{
	const struct wi_sight *s = &h->probe.found.sight;
	struct wi_sight ran = h->ran;

	if (!s->started)
		return true; /* for all that is known */
	h->ran = *s;
	if (s->started != ran.started)
		return true;
	h->setbacks += s->lsn < ran.lsn;
	return s->lsn < ran.lsn;
}

static void show_position(const weir_router *r, struct wi_host *h, const struct wi_judgement *j)
{
	const struct wi_sight *s = &h->probe.found.sight;
	struct wi_lag lag = lag_of(r, h, j);
	bool is_back = has_gone_back(h);

	/*
	 * Without a primary nothing is newer than before: what was promised of a server that goes
	 * on stays true and grows old.
	 */
	if (j->primary >= 0 || h->opinion.role != WEIR_ROLE_REPLICA || is_back || is_vague(h)) {
		wi_store_rlx(&h->as_of_ns, lag.as_of_ns);
		wi_store_rlx(&h->behind_since_ns, lag.behind_since_ns);
	}
	/* So many bytes it was behind a primary: without one, that says nothing of now. */
	wi_store_rlx(&h->lag_bytes, j->primary >= 0 ? lag.bytes : -1);
	/* [fresh:R3] the number is there before its time is; pairs with A3. */
	wi_store_rel(&h->bytes_of_ns,
	             j->primary >= 0 ? primary_of(r, j)->probe.found.sight.asked_ns : 0);
	wi_store_rlx(&h->started, is_vague(h) || !s->started ? 0 : s->started + h->setbacks);
	if (wi_load_rlx(&h->timeline) != s->timeline)
		wi_store_rlx(&h->lsn, 0);
	/* [fresh:R2] no position on another timeline is left; pairs with A2. */
	wi_store_rel(&h->timeline, is_vague(h) ? 0 : s->timeline);
	/* [fresh:R1] the timeline is there before a position on it is; pairs with A1. */
	wi_store_rel(&h->lsn, is_vague(h) ? 0 : s->lsn);
}

static bool has_limits(const weir_router *r)
{
	return r->options.max_lag_ms || r->options.max_lag_bytes;
}

/* Over this share of a limit of the options; what is not known is over every limit. */
static bool is_over(const weir_router *r, const struct wi_host *h, double share)
{
	const weir_options *o = &r->options;
	int64_t as_of_ns = wi_load_rlx(&h->as_of_ns), bytes = wi_load_rlx(&h->lag_bytes);
	int64_t answered_ns = h->probe.found.sight.answered_ns;

	return (o->max_lag_ms &&
	        (as_of_ns == WI_LAG_UNKNOWN ||
	         (double)(answered_ns - as_of_ns) / WI_MS > share * (double)o->max_lag_ms)) ||
	       (o->max_lag_bytes &&
	        (bytes < 0 || (double)bytes > share * (double)o->max_lag_bytes));
}

/*
 * Once for each answer of its own, and by its age then: between two answers what is known grows old
 * by our asking, not by the replica's doing. (No read is served by that, see fresh.c.)
 */
static void weigh(const weir_router *r, struct wi_host *h, const struct wi_judgement *j)
{
	const struct wi_sight *s = &h->probe.found.sight;

	if (j->primary < 0 || h->opinion.role != WEIR_ROLE_REPLICA ||
	    s->answered_ns == h->weighed_ns)
		return;
	h->weighed_ns = s->answered_ns;
	/* One whose replay is paused has all that there was, and is about not to. */
	wi_standing_weigh(&h->standing, is_over(r, h, 1) || (has_limits(r) && s->paused),
	                  !is_over(r, h, (double)r->options.lag_return_pct / 100) && !s->paused);
	wi_store_rlx(&h->lagging, h->standing.out);
}

/* ---- telling ---- */

static void tell_role(const struct wi_host *h, weir_role old, int64_t now_ns)
{
	const struct wi_report *report = wi_load_rlx(&h->report); /* this thread's own */
	bool why = report->failure.text[0] != '\0';

	wi_event_tell(&h->router->ring, &h->router->options, now_ns, WEIR_EVENT_ROLE_CHANGED,
	              h->endpoint->name, "was %s, is %s%s%s", weir_role_name(old),
	              weir_role_name(report->role), why ? ": " : "",
	              why ? report->failure.text : "");
}

static void role_changed(weir_router *r, struct wi_host *h, weir_role old, int64_t now_ns)
{
	tell_role(h, old, now_ns);
	if (old == WEIR_ROLE_UNKNOWN) {
		wi_pool_retry_now(h->pool);
		return;
	}
	r->restless_until_ns = now_ns + RESTLESS_MS * WI_MS;
	wi_pool_suspect_all(h->pool);
	h->send_away = SEND_AWAY_TIMES;
	h->send_away_until_ns = now_ns + SEND_AWAY_MS * WI_MS;
}

/*
 * What the host's connections have to find there. Who reads behind a name that leads to several
 * servers may find anybody; who writes has to find a primary, whichever it is.
 */
static struct wi_belief belief_in(const struct wi_host *h)
{
	const struct wi_sight *s = &h->probe.found.sight;
	struct wi_belief b = {.writes = h->opinion.role == WEIR_ROLE_PRIMARY,
	                      .reads = h->opinion.role == WEIR_ROLE_REPLICA,
	                      .unprobed = h->failures != 0};

	if (h->opinion.role == WEIR_ROLE_UNKNOWN || h->named == WI_NAMED_READER ||
	    (h->several && !b.writes))
		return b;
	b.expect = s->in_recovery ? WI_EXPECT_STANDBY : WI_EXPECT_PRIMARY;
	b.started = h->named == WI_NAMED_NOT && !h->several ? s->started : 0;
	return b;
}

/*
 * Who waits at a host that has another role now chooses again. A caller that chose it just before
 * may only be about to wait, and be stopped there for a while: so this is done again after the next
 * few probes, and those of the next two seconds.
 */
static void send_away(struct wi_host *h, int64_t now_ns)
{
	if (!h->send_away)
		return;
	if (h->opinion.role != WEIR_ROLE_UNKNOWN &&
	    (h->send_away > 1 || now_ns >= h->send_away_until_ns))
		h->send_away--;
	wi_pool_send_away(h->pool);
}

/* The answered tickets are handed out when everything that was found is in place. */
static void hand_out(weir_router *r)
{
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		/* [route:R3] publishes what the probe found; pairs with A3 A8. */
		wi_store_rel(&h->probed, h->answered_for);
	}
}

/* Another host than the last one is the primary. */
static void note_failover(weir_router *r, const struct wi_judgement *j)
{
	uint64_t serial = j->primary >= 0 ? wi_host_at(r, (uint32_t)j->primary)->serial : 0;

	if (!serial)
		return;
	if (r->was_primary && r->was_primary != serial)
		wi_add_rlx(&r->failovers, 1);
	r->was_primary = serial;
}

/* Since when writers have been waiting for the next primary. */
static void note_loss(weir_router *r, const struct wi_judgement *j, int64_t now_ns)
{
	if (j->primary >= 0) {
		r->had_primary = true;
		wi_store_rlx(&r->lost_ns, 0);
	} else if (r->had_primary && !wi_load_rlx(&r->lost_ns)) {
		wi_store_rlx(&r->lost_ns, now_ns);
	}
}

/* Nobody can write, or nobody knows who is right: the end of that is to be seen soon. */
static void stay_alert(weir_router *r, const struct wi_judgement *j, int64_t now_ns)
{
	/* Before every host has been looked at, that there is no primary says nothing. */
	if (!r->settled || (j->primary >= 0 && !j->split)) {
		r->wrong_since_ns = 0;
		return;
	}
	if (!r->wrong_since_ns)
		r->wrong_since_ns = now_ns;
	if (now_ns - r->wrong_since_ns < WRONG_MS * WI_MS)
		wi_pace_alarm(r, now_ns);
}

void wi_conclude(weir_router *r, int64_t now_ns)
{
	struct wi_judgement j = judge(r, now_ns);
	weir_role old[WI_HOSTS_MAX];
	struct wi_host *h;
	bool news = false;

	wi_topology_grace(r);
	keep_history(r, &j);
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		const struct wi_belief belief = belief_in(h);

		/* Before it is published: nobody may write where nobody has been asked yet. */
		wi_pool_believe(h->pool, &belief);
		show_position(r, h, &j);
		weigh(r, h, &j);
		news |= wi_report_publish(h, &old[h->number]);
	}
	if (j.primary >= 0)
		wi_floor_tend(r, &primary_of(r, &j)->probe.found.sight);
	wi_window_tend(r, now_ns);
	wi_stand_judge(r, now_ns);
	news |= wi_topology_publish(r, &j);
	wi_weigh_publish(r, 0);
	/* Only now: who is sent away must find the new topology. */
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		if (h->opinion.role != old[h->number])
			role_changed(r, h, old[h->number], now_ns);
		send_away(h, now_ns);
	}
	wi_advice_compare(r, now_ns);
	wi_quarrel_tell(r, &j, now_ns);
	stay_alert(r, &j, now_ns);
	note_loss(r, &j, now_ns);
	note_failover(r, &j);
	wi_hosts_quieten(r);
	hand_out(r);
	wi_gate_change(&r->gate, r->world);
	if (news)
		wi_gate_change(&r->news, r->world);
}

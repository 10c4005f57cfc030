/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. What checkouts read is published by pointer: one topology for the router, one report for
 * each host. There are two of each in place, so that nothing is allocated when a primary is lost,
 * and losing it cannot fail: the monitor writes the one that nobody sees and swaps the pointer.
 *
 * States of each of the two: hidden --swap--> published --swap--> in grace --> hidden
 *
 * Invariants.
 *   I1  the published one is not written to
 *   I2  the hidden one is written only after a grace period that began after it was hidden: each
 *       judgement
 *       begins with topology_grace, which pays for all that the last one hid, and publishes each
 *       thing at most once
 *
 * Orderings. [route:R1] publishes a topology, [route:A1] (choose.c) reads it; [route:R2] publishes
 * a report, [route:A2] (explain.c, fresh.c, stats.c) reads it. Checkouts read pinned, statistics in
 * a read section; a grace period is one of both (wi_router_grace).
 *
 * Progress. Readers: wait-free. The monitor waits for readers, who do not sleep inside, at most
 * once a turn.
 */
#include <string.h>

#include "base/atomic.h"
#include "base/text.h"
#include "route/router.h"

void wi_topology_grace(weir_router *r)
{
	if (!r->grace_owed)
		return;
	wi_router_grace(r);
	r->grace_owed = false;
}

static void add_reader(struct wi_topology *t, struct wi_host *host)
{
	t->reader[t->n_readers++] = host;
}

static bool is_near(const weir_router *r, const struct wi_host *host)
{
	return r->options.zone[0] && strcmp(wi_host_terms(host)->zone, r->options.zone) == 0;
}

/* What it serves nobody else can serve as well. A weight of 0 asks for that. */
static bool is_in_reserve(const struct wi_host *h)
{
	return h->reserve || !wi_host_terms(h)->weight;
}

static void fill_readers(weir_router *r, struct wi_topology *t, bool reserve, bool near)
{
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		if (h->opinion.role == WEIR_ROLE_REPLICA && !wi_host_terms(h)->drained &&
		    is_in_reserve(h) == reserve && is_near(r, h) == near)
			add_reader(t, h);
}

static void fill_regular(weir_router *r, struct wi_topology *t, bool reserve)
{
	fill_readers(r, t, reserve, true);
	t->n_near = t->n_readers;
	fill_readers(r, t, reserve, false);
	t->n_regular = t->n_readers;
	t->n_drawn = t->n_regular;
}

/* Where all are in reserve, they are the regular ones. */
static void fill_all_readers(weir_router *r, struct wi_topology *t)
{
	fill_regular(r, t, false);
	if (!t->n_regular) {
		fill_regular(r, t, true);
		return;
	}
	fill_readers(r, t, true, true);
	fill_readers(r, t, true, false);
}

static struct wi_host *read_only_primary(weir_router *r)
{
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		if (h->opinion.objection == WI_OBJECTION_READ_ONLY && !wi_host_terms(h)->drained)
			return h;
	return NULL;
}

static void fill(weir_router *r, struct wi_topology *t, const struct wi_judgement *j)
{
	memset(t, 0, sizeof(*t));
	t->settled = r->settled;
	t->balance = (weir_balance)r->options.balance;
	t->plain_reads = wi_wish_is_plain(r);
	t->draws = t->plain_reads &&
	           (t->balance == WEIR_BALANCE_P2C || t->balance == WEIR_BALANCE_RANDOM);
	t->system = j->so_far.system;
	t->split = j->split;
	if (j->primary >= 0) {
		t->primary = wi_host_at(r, (uint32_t)j->primary);
		t->timeline = t->primary->probe.found.sight.timeline;
	}
	t->read_only_primary = read_only_primary(r);
	fill_all_readers(r, t);
}

static bool is_same(const struct wi_topology *a, const struct wi_topology *b)
{
	return a->primary == b->primary && a->read_only_primary == b->read_only_primary &&
	       a->n_readers == b->n_readers && a->n_regular == b->n_regular &&
	       a->n_near == b->n_near && a->n_drawn == b->n_drawn && a->settled == b->settled &&
	       a->balance == b->balance && a->plain_reads == b->plain_reads &&
	       a->split == b->split && a->timeline == b->timeline && a->system == b->system &&
	       memcmp(a->reader, b->reader, sizeof(a->reader)) == 0;
}

bool wi_topology_publish(weir_router *r, const struct wi_judgement *judgement)
{
	struct wi_topology *now =
		wi_load_rlx(&r->topology); /* ours to write, so no order is needed */
	struct wi_topology *next = &r->topologies[now == &r->topologies[0]];

	fill(r, next, judgement);
	if (is_same(now, next))
		return false;
	/* [route:R1] publishes the topology; pairs with A1. */
	wi_store_rel(&r->topology, next);
	r->grace_owed = true;
	return true;
}

/* The words about a host that has no role, or a role with a reservation. */
static void fill_failure(struct wi_failure *f, const struct wi_host *host)
{
	const char *words = wi_objection_text(host->opinion.objection);
	struct wi_text text;

	if (!host->probe.found.sight.answered || host->failures) {
		*f = host->probe.found.failure;
		return;
	}
	memset(f, 0, sizeof(*f));
	if (!words)
		return;
	wi_text_init(&text, f->text, sizeof(f->text));
	wi_text_add(&text, "%s", words);
	switch (host->opinion.objection) {
	case WI_OBJECTION_TIMELINE:
	case WI_OBJECTION_TIE:
	case WI_OBJECTION_ALIAS:
	case WI_OBJECTION_OUTVOTED:
		wi_text_add(
			&text, " %s",
			host->opinion.other == host->number
				? "one that was seen before"
				: wi_host_at(host->router, host->opinion.other)->endpoint->name);
		break;
	case WI_OBJECTION_ADVISED:
		wi_text_add(
			&text, " %s",
			host->opinion.other == host->number
				? "none of the hosts"
				: wi_host_at(host->router, host->opinion.other)->endpoint->name);
		break;
	case WI_OBJECTION_HELD:
	case WI_OBJECTION_NONE:
	case WI_OBJECTION_SYSTEM:
	case WI_OBJECTION_SYSTEMS:
	case WI_OBJECTION_READ_ONLY:
	case WI_OBJECTION_STANDBY:
		break;
	}
}

/* As addresses of version 6 are written beside a port. */
static void fill_follows(struct wi_report *report, const struct wi_finding *found)
{
	bool six = strchr(found->sender, ':') != NULL;
	struct wi_text text;

	wi_text_init(&text, report->follows, sizeof(report->follows));
	if (found->sight.in_recovery && found->sender[0])
		wi_text_add(&text, "%s%s%s:%s", six ? "[" : "", found->sender, six ? "]" : "",
		            found->sender_port);
}

static void fill_report(struct wi_report *report, const struct wi_host *host)
{
	memset(report, 0, sizeof(*report));
	report->role = host->opinion.role;
	report->sight = host->probe.found.sight;
	report->sight.lsn = 0;
	report->sight.asked_ns = report->sight.answered_ns = 0;
	report->version = host->probe.found.version;
	memcpy(report->tls, host->probe.found.tls, sizeof(report->tls));
	report->several = host->several;
	fill_follows(report, &host->probe.found);
	fill_failure(&report->failure, host);
}

static bool is_same_sight(const struct wi_sight *a, const struct wi_sight *b)
{
	return a->answered == b->answered && a->in_recovery == b->in_recovery &&
	       a->read_only == b->read_only && a->timeline == b->timeline &&
	       a->system == b->system && a->started == b->started && a->paused == b->paused &&
	       a->delay_ms == b->delay_ms && a->streams_on == b->streams_on;
}

static bool is_same_report(const struct wi_report *a, const struct wi_report *b)
{
	return a->role == b->role && a->version == b->version && a->several == b->several &&
	       strcmp(a->follows, b->follows) == 0 && is_same_sight(&a->sight, &b->sight) &&
	       a->failure.fault == b->failure.fault &&
	       strcmp(a->failure.text, b->failure.text) == 0 &&
	       strcmp(a->failure.sqlstate, b->failure.sqlstate) == 0 && strcmp(a->tls, b->tls) == 0;
}

bool wi_report_publish(struct wi_host *host, weir_role *old)
{
	struct wi_report *now =
		wi_load_rlx(&host->report); /* ours to write, so no order is needed */
	struct wi_report *next = &host->reports[now == &host->reports[0]];

	*old = now->role;
	fill_report(next, host);
	if (is_same_report(now, next))
		return false;
	/* [route:R2] publishes the report; pairs with A2 A7. */
	wi_store_rel(&host->report, next);
	host->router->grace_owed = true;
	return true;
}

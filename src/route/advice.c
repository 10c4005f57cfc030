/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. An outside authority that knows who is to be the primary (Patroni, an operator) says so,
 * for so long. While that holds it breaks ties and keeps everybody else from writes (rules 4 and 5
 * of roles.h); whom it names becomes the primary only by saying so itself. That host is asked as
 * fast as a host may be asked, so that the first write finds the first moment at which it is one.
 *
 * States of `advised`: NULL --an adviser's swap--> the last one given --the keeper's swap--> NULL.
 * Who swaps an older one out, frees it: advisers never wait, for each other or for the keeper.
 *
 * Orderings. [advice:R1] publishes an advice to the keeper, [advice:A1] takes it. Who waits for a
 * change of the hosts sleeps at the gate `news` (gate.h).
 *
 * Progress. Giving advice is lock-free, but for the allocation and one ring of the keeper's bell.
 */
#include <string.h>

#include <weir/router.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/text.h"
#include "route/router.h"
#include "stat/event.h"

#define DISAGREE_MS 1000 /* a change of hands is no contradiction */
#define HURRY_MS 300000  /* one that was not the primary for so long is not about to be */
#define LONGEST_MS (INT64_C(24) * 3600 * 1000)

struct wi_advised {
	char primary[WEIR_ERROR_HOST]; /* "": nobody */
	uint32_t timeline;
	int64_t until_ns; /* 0: withdrawn */
};

/* The host of that name, or NULL. The keeper's thread, or inside a read section. */
static struct wi_host *find(const weir_router *r, const char *name)
{
	struct wi_host *h;

	for (uint32_t i = 0; name[0] && (h = wi_hosts_next(r, &i));)
		if (strcmp(h->endpoint->name, name) == 0)
			return h;
	return NULL;
}

static bool has(const weir_router *r, const char *name)
{
	bool found;

	wi_rcu_enter();
	found = find(r, name) != NULL;
	wi_rcu_leave();
	return found;
}

/* ---- who gives it: any thread ---- */

static weir_status post(weir_router *r, const struct wi_advised *given, weir_error *error)
{
	struct wi_advised *mine = wi_alloc(sizeof(*mine));

	if (!mine)
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for an advice");
	*mine = *given;
	/* [advice:R1] publishes it, and takes an older one over; pairs with A1 A2. */
	mine = wi_swap_acq_rel(&r->advised, mine);
	wi_free(mine, sizeof(*mine));
	wi_keeper_ring(r->keeper);
	return WEIR_OK;
}

static weir_status read_advice(weir_router *r, const weir_advice *from, struct wi_advised *to,
                               weir_error *error)
{
	weir_advice a = {0};
	int64_t good_for_ms;

	if (!from)
		return WEIR_OK;
	memcpy(&a, from, from->size && from->size < sizeof(a) ? from->size : sizeof(a));
	good_for_ms = a.good_for_ms > LONGEST_MS ? LONGEST_MS : a.good_for_ms;
	if (good_for_ms < 0)
		return wi_fail(error, WEIR_INVALID, "an advice is good for no negative time");
	if (a.primary && strlen(a.primary) >= sizeof(to->primary))
		return wi_fail(error, WEIR_INVALID, "the name of the advised primary is too long");
	if (good_for_ms == 0)
		return WEIR_OK;
	if (a.primary && a.primary[0] && !has(r, a.primary))
		return wi_fail(error, WEIR_INVALID, "the router has no host %s", a.primary);
	if (a.primary)
		memcpy(to->primary, a.primary, strlen(a.primary) + 1);
	to->timeline = a.timeline;
	to->until_ns = r->world->now() + good_for_ms * WI_MS;
	return WEIR_OK;
}

weir_status weir_router_advise(weir_router *r, const weir_advice *advice, weir_error *error)
{
	struct wi_advised given = {0};
	weir_status st, posted;
	WI_NO_CANCEL;

	if (!r)
		return wi_fail(error, WEIR_INVALID, "weir_router_advise: router is NULL");
	st = wi_router_come_in(r, error);
	if (st != WEIR_OK)
		return st;
	st = read_advice(r, advice, &given, error);
	/* What cannot be understood says at least that the last one holds no more. */
	posted = post(r, &given, st == WEIR_OK ? error : NULL);
	if (!given.until_ns)
		wi_gate_change(&r->news, r->world);
	wi_router_leave(r);
	return st == WEIR_OK ? posted : st;
}

weir_status weir_router_await(weir_router *r, uint32_t *seen, int64_t timeout_ms)
{
	weir_status st = r && seen ? wi_router_come_in(r, NULL) : WEIR_INVALID;
	int64_t deadline_ns;
	WI_NO_CANCEL;

	if (st != WEIR_OK)
		return st;
	if (wi_keeper_is_self(r->keeper)) {
		wi_router_leave(r);
		return WEIR_INVALID; /* it would wait for itself */
	}
	deadline_ns = wi_deadline_after(r->world->now(), timeout_ms);
	for (;;) {
		uint32_t now = wi_gate_seen(&r->news);

		if (wi_load_seq(&r->closed))
			st = WEIR_CLOSED;
		else if (now != *seen)
			*seen = now;
		else if (r->world->now() >= deadline_ns)
			st = WEIR_TIMEOUT;
		else {
			wi_gate_sleep(&r->news, now, deadline_ns, r->world);
			continue;
		}
		wi_router_leave(r);
		return st;
	}
}

/* ---- who follows it: the keeper ---- */

static void take(weir_router *r, const struct wi_advised *given)
{
	bool other = strcmp(given->primary, r->advised_primary) != 0 ||
	             given->timeline != r->advice.timeline || !r->advice.until_ns;
	struct wi_host *h = find(r, given->primary);

	memcpy(r->advised_primary, given->primary, sizeof(given->primary));
	r->advice = (struct wi_advice){-1, given->timeline, given->until_ns};
	if (other)
		r->contradicted_ns = 0;
	if (other && h)
		h->trouble = true;
}

bool wi_advice_tend(weir_router *r, int64_t now_ns)
{
	bool had = r->advice.until_ns != 0;
	uint32_t timeline = r->advice.timeline;
	char primary[sizeof(r->advised_primary)];
	struct wi_advised *given = NULL;

	memcpy(primary, r->advised_primary, sizeof(primary));
	if (wi_load_rlx(&r->advised))
		/* [advice:A1] takes the last one given; pairs with R1. */
		given = wi_swap_acq(&r->advised, NULL);
	if (given)
		take(r, given);
	wi_free(given, sizeof(*given));
	if (r->advice.until_ns && now_ns >= r->advice.until_ns)
		r->advice.until_ns = 0;
	if (!had || !r->advice.until_ns)
		return had != (r->advice.until_ns != 0);
	return timeline != r->advice.timeline || strcmp(primary, r->advised_primary) != 0;
}

/* Whom it names may have left: then nothing is known of who is in charge. */
bool wi_advice_in_force(const weir_router *r, struct wi_advice *advice)
{
	const struct wi_host *h = find(r, r->advised_primary);

	*advice = r->advice;
	advice->primary = h ? (int)h->number : -1;
	return r->advice.until_ns && (h || !r->advised_primary[0]);
}

int64_t wi_advice_due(const weir_router *r)
{
	return r->advice.until_ns ? r->advice.until_ns : WI_FOREVER;
}

static const char *what_is(const struct wi_host *h)
{
	if (!h->probe.found.sight.answered)
		return "does not answer";
	return h->probe.found.sight.in_recovery ? "is in recovery" : "may not be it";
}

/* What the hosts say otherwise, in words; false: nothing. h: whom the advice names, or NULL. */
static bool contradict(const weir_router *r, const struct wi_host *h, struct wi_text *text)
{
	const struct wi_host *other;

	if (h && h->opinion.role != WEIR_ROLE_PRIMARY)
		wi_text_add(text, ", which %s", what_is(h));
	for (uint32_t i = 0; (other = wi_hosts_next(r, &i));)
		if (other->opinion.objection == WI_OBJECTION_ADVISED)
			wi_text_add(text, "; %s claims to be the primary", other->endpoint->name);
	return text->len > 0;
}

void wi_advice_compare(weir_router *r, int64_t now_ns)
{
	char words[WEIR_ERROR_TEXT];
	struct wi_text text;
	struct wi_advice advice;
	bool in_force = wi_advice_in_force(r, &advice);
	struct wi_host *h = find(r, r->advised_primary);

	wi_text_init(&text, words, sizeof(words));
	if (!r->settled || !in_force || !contradict(r, h, &text)) {
		r->contradicted_ns = 0;
		r->contradiction_told = false;
		return;
	}
	if (!r->contradicted_ns)
		r->contradicted_ns = now_ns;
	/*
	 * It is about to be the primary: each answer that says not yet is followed by a question.
	 */
	if (h && h->opinion.role != WEIR_ROLE_PRIMARY && h->probe.found.sight.answered &&
	    now_ns - r->contradicted_ns < HURRY_MS * WI_MS)
		h->trouble = true;
	if (r->contradiction_told || now_ns - r->contradicted_ns < DISAGREE_MS * WI_MS)
		return;
	r->contradiction_told = true;
	wi_event_tell(&r->ring, &r->options, now_ns, WEIR_EVENT_ADVICE_DOUBTED,
	              h ? h->endpoint->name : NULL, "the advice names %s%s",
	              h ? h->endpoint->name : "nobody", words);
}

void wi_advice_drop(weir_router *r)
{
	/* [advice:A2] what was given and not taken; pairs with R1. */
	struct wi_advised *given = wi_swap_acq(&r->advised, NULL);

	wi_free(given, sizeof(*given));
	r->advice = (struct wi_advice){.primary = -1};
	r->advised_primary[0] = '\0';
	r->contradicted_ns = 0;
	r->contradiction_told = false;
}

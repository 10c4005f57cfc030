/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hosts that contradict each other are told, once all of them have said it twice, and the standbys
 * have voted: two names of one server that restarts look like two primaries until both are asked
 * again, and so does a planned switchover, for a moment. Who is in doubt is asked again at once.
 * Meanwhile no role depends on what is told here. The keeper's thread.
 */
#include "base/atomic.h"
#include "base/text.h"
#include "route/router.h"
#include "stat/event.h"

/* ---- a split brain ---- */

static bool is_party(const struct wi_host *h, const struct wi_judgement *j)
{
	switch (h->opinion.objection) {
	case WI_OBJECTION_TIE:
	case WI_OBJECTION_SYSTEMS:
	case WI_OBJECTION_OUTVOTED:
	case WI_OBJECTION_ADVISED:
		return true;
	case WI_OBJECTION_NONE:
	case WI_OBJECTION_SYSTEM:
	case WI_OBJECTION_TIMELINE:
	case WI_OBJECTION_ALIAS:
	case WI_OBJECTION_READ_ONLY:
	case WI_OBJECTION_STANDBY:
	case WI_OBJECTION_HELD:
		break;
	}
	return j->primary == (int)h->number;
}

/* At first everybody is asked again: those who claim to be the primary, and those who vote. */
static void doubt(weir_router *r, int64_t now_ns)
{
	struct wi_host *h;

	r->split_since_ns = now_ns;
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		h->trouble = true;
}

/*
 * A standby's vote decides between them: until it was asked again, the outcome is not known. Who
 * keeps his role without an answer has none to give (roles.h), and would be waited for in vain.
 */
static bool may_vote(const struct wi_host *h)
{
	const struct wi_sight *s = &h->probe.found.sight;

	return s->answered && s->in_recovery;
}

static bool is_sure(weir_router *r, const struct wi_judgement *j)
{
	bool sure = true;
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		if ((!is_party(h, j) && !may_vote(h)) || h->failures ||
		    h->probe.found.sight.asked_ns >= r->split_since_ns)
			continue;
		h->trouble = true;
		sure = false;
	}
	return sure;
}

static void tell(weir_router *r, const struct wi_judgement *j, int64_t now_ns)
{
	char words[WEIR_ERROR_TEXT];
	const struct wi_host *h;
	struct wi_text text;

	wi_text_init(&text, words, sizeof(words));
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		if (is_party(h, j))
			wi_text_add(&text, "%s%s (system %llx, timeline %u)", text.len ? ", " : "",
			            h->endpoint->name,
			            (unsigned long long)h->probe.found.sight.system,
			            h->probe.found.sight.timeline);
	}
	wi_event_tell(
		&r->ring, &r->options, now_ns, WEIR_EVENT_SPLIT_BRAIN, NULL,
		"%s%s: %s contradict each other", j->primary < 0 ? "no primary" : "the primary is ",
		j->primary < 0 ? "" : wi_host_at(r, (uint32_t)j->primary)->endpoint->name, words);
}

/* Once an episode, and again when it has another outcome. */
static void look_for_split(weir_router *r, const struct wi_judgement *j, int64_t now_ns)
{
	if (!j->split) {
		r->split_told = 0;
		r->split_since_ns = 0;
		return;
	}
	if (!r->split_since_ns) {
		doubt(r, now_ns);
		return;
	}
	if (r->split_told == j->primary + 2 || !is_sure(r, j))
		return;
	r->split_told = j->primary + 2;
	tell(r, j, now_ns);
}

/* ---- who claims to be the primary beside a better one ---- */

static void look_for_fenced(struct wi_host *h, int64_t now_ns)
{
	const struct wi_report *report = wi_load_rlx(&h->report); /* this thread's own */

	if (h->opinion.objection != WI_OBJECTION_TIMELINE &&
	    h->opinion.objection != WI_OBJECTION_ADVISED) {
		h->doubted_ns = 0;
		h->fenced_told = false;
		return;
	}
	if (!h->doubted_ns) {
		h->doubted_ns = now_ns;
		h->trouble = true;
		return;
	}
	if (h->fenced_told || h->probe.found.sight.asked_ns < h->doubted_ns)
		return;
	h->fenced_told = true;
	wi_event_tell(&h->router->ring, &h->router->options, now_ns, WEIR_EVENT_FENCED,
	              h->endpoint->name, "gets no write: %s", report->failure.text);
}

void wi_quarrel_tell(weir_router *r, const struct wi_judgement *j, int64_t now_ns)
{
	struct wi_host *h;

	look_for_split(r, j, now_ns);
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		look_for_fenced(h, now_ns);
}

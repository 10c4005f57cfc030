/* SPDX-License-Identifier: BSD-2-Clause */
/* Rule by rule, as roles.h lists them. */
#include "route/roles.h"

struct court {
	const struct wi_sight *sight;
	const enum wi_named *named;
	uint32_t n;
	struct wi_opinion *opinion;
};

static enum wi_named named(const struct court *c, uint32_t i)
{
	return c->named ? c->named[i] : WI_NAMED_NOT;
}

/* ---- rule 2: one system ---- */

static uint32_t votes_for(const struct court *c, uint64_t system)
{
	uint32_t votes = 0;

	for (uint32_t i = 0; i < c->n; i++)
		if (c->sight[i].answered && c->sight[i].system == system)
			votes++;
	return votes;
}

/* The system with the most votes; so_far is 0. *tie: another one has as many. */
static uint64_t elect_first(const struct court *c, bool *tie)
{
	uint64_t best = 0;
	uint32_t most = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		uint64_t system = c->sight[i].answered ? c->sight[i].system : 0;
		uint32_t votes = system ? votes_for(c, system) : 0;

		if (!system || system == best || votes < most)
			continue;
		*tie = votes == most;
		best = system;
		most = votes;
	}
	return best;
}

/* One that is known is given up only for one that more than half of all hosts have. */
static uint64_t elect_system(const struct court *c, uint64_t so_far, bool *tie)
{
	*tie = false;
	if (!so_far)
		return elect_first(c, tie);
	for (uint32_t i = 0; i < c->n; i++)
		if (c->sight[i].answered && c->sight[i].system &&
		    votes_for(c, c->sight[i].system) > c->n / 2)
			return c->sight[i].system;
	return so_far;
}

static void object(const struct court *c, uint32_t i, enum wi_objection objection, uint32_t other)
{
	c->opinion[i] = (struct wi_opinion){WEIR_ROLE_UNKNOWN, objection, other};
}

/* Whether the host takes part in what follows. */
static bool is_heard(const struct court *c, uint32_t i)
{
	return c->sight[i].answered && c->opinion[i].objection == WI_OBJECTION_NONE;
}

static void reject_foreign(const struct court *c, uint64_t system, bool tie)
{
	for (uint32_t i = 0; i < c->n; i++) {
		if (!c->sight[i].answered || !c->sight[i].system)
			continue;
		if (tie)
			object(c, i, WI_OBJECTION_SYSTEMS, i);
		else if (c->sight[i].system != system)
			object(c, i, WI_OBJECTION_SYSTEM, i);
	}
}

/* ---- rule 3: one primary ---- */

static bool is_candidate(const struct court *c, uint32_t i)
{
	return is_heard(c, i) && !c->sight[i].in_recovery && named(c, i) != WI_NAMED_READER;
}

static bool is_same_server(const struct wi_sight *a, const struct wi_sight *b)
{
	return a->system && a->system == b->system && a->started && a->started == b->started &&
	       a->timeline == b->timeline;
}

static void reject_aliases(const struct court *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		for (uint32_t k = 0; is_candidate(c, i) && k < i; k++)
			if (is_candidate(c, k) && is_same_server(&c->sight[i], &c->sight[k]))
				object(c, i, WI_OBJECTION_ALIAS, k);
}

/* The highest timeline that a host of the system is or was on. */
static uint32_t highest_timeline(const struct court *c, uint64_t system, uint32_t highest)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (is_heard(c, i) && c->sight[i].system && c->sight[i].system == system &&
		    c->sight[i].timeline > highest)
			highest = c->sight[i].timeline;
	return highest;
}

/* The host that answers from this timeline, a candidate; `but` if none does. */
static uint32_t who_is_on(const struct court *c, uint32_t timeline, uint32_t but)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (is_candidate(c, i) && c->sight[i].timeline == timeline)
			return i;
	return but;
}

/* A candidate below it was left behind. One whose timeline is unknown is none of ours to judge. */
static void reject_left_behind(const struct court *c, uint32_t highest)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (is_candidate(c, i) && c->sight[i].timeline && c->sight[i].timeline < highest)
			object(c, i, WI_OBJECTION_TIMELINE, who_is_on(c, highest, i));
}

/* The candidates in numbers. */
struct contest {
	uint32_t candidates;
	uint32_t unknown; /* whose timeline is not known: they tie with everybody */
	uint32_t top;     /* the highest timeline */
	uint32_t on_top;  /* how many are on it */
};

static struct contest count_candidates(const struct court *c)
{
	struct contest t = {0};

	for (uint32_t i = 0; i < c->n; i++) {
		uint32_t mine = c->sight[i].timeline;

		if (!is_candidate(c, i))
			continue;
		t.candidates++;
		t.unknown += mine == 0;
		if (mine > t.top) {
			t.top = mine;
			t.on_top = 0;
		}
		t.on_top += mine == t.top;
	}
	return t;
}

/*
 * The first candidate on the highest timeline beside host `but`, or -1; where one is not known,
 * any.
 */
static int first_on_top(const struct court *c, const struct contest *t, int but)
{
	for (uint32_t i = 0; i < c->n; i++)
		if ((int)i != but && is_candidate(c, i) &&
		    (t->unknown || c->sight[i].timeline == t->top))
			return (int)i;
	return -1;
}

/* Leaves one candidate, or none. Returns it, or -1. */
static int hold_contest(const struct court *c, bool *split)
{
	struct contest t = count_candidates(c);
	int top = first_on_top(c, &t, -1);
	int second = first_on_top(c, &t, top);
	bool tied = t.candidates > 1 && (t.unknown > 0 || t.on_top > 1);

	for (uint32_t i = 0; i < c->n; i++) {
		bool on_top = t.unknown > 0 || c->sight[i].timeline == t.top;

		if (!is_candidate(c, i) || ((int)i == top && !tied))
			continue;
		object(c, i, tied && on_top ? WI_OBJECTION_TIE : WI_OBJECTION_TIMELINE,
		       (uint32_t)((int)i == top ? second : top));
	}
	*split = tied;
	return tied ? -1 : top;
}

/* ---- rules 4 and 5: what is left gets a role ---- */

static struct wi_opinion opinion_of_winner(const struct wi_sight *s)
{
	if (s->read_only)
		return (struct wi_opinion){WEIR_ROLE_REPLICA, WI_OBJECTION_READ_ONLY, 0};
	return (struct wi_opinion){WEIR_ROLE_PRIMARY, WI_OBJECTION_NONE, 0};
}

static struct wi_opinion opinion_of_standby(enum wi_named how)
{
	if (how == WI_NAMED_WRITER)
		return (struct wi_opinion){WEIR_ROLE_UNKNOWN, WI_OBJECTION_STANDBY, 0};
	return (struct wi_opinion){WEIR_ROLE_REPLICA, WI_OBJECTION_NONE, 0};
}

struct wi_judgement wi_roles_judge(const struct wi_sight *sights, const enum wi_named *how,
                                   uint32_t n, struct wi_so_far so_far, struct wi_opinion *opinions)
{
	const struct court c = {sights, how, n, opinions};
	struct wi_judgement j = {.primary = -1, .so_far = so_far};
	uint64_t system;
	bool tie;
	int winner;

	for (uint32_t i = 0; i < n; i++)
		opinions[i] = (struct wi_opinion){WEIR_ROLE_UNKNOWN, WI_OBJECTION_NONE, 0};
	system = elect_system(&c, so_far.system, &tie);
	reject_foreign(&c, system, tie);
	if (!tie && system != so_far.system)
		j.so_far = (struct wi_so_far){.system = system};
	j.so_far.timeline = highest_timeline(&c, j.so_far.system, j.so_far.timeline);
	reject_aliases(&c);
	reject_left_behind(&c, j.so_far.timeline);
	winner = hold_contest(&c, &j.split);
	j.split = j.split || tie;
	for (uint32_t i = 0; i < n; i++) {
		if (!is_heard(&c, i))
			continue;
		opinions[i] = (int)i == winner ? opinion_of_winner(&sights[i])
		                               : opinion_of_standby(named(&c, i));
		if (opinions[i].role == WEIR_ROLE_PRIMARY)
			j.primary = (int)i;
	}
	return j;
}

const char *wi_objection_text(enum wi_objection objection)
{
	switch (objection) {
	case WI_OBJECTION_NONE:
		return NULL;
	case WI_OBJECTION_SYSTEM:
		return "belongs to another database system than this cluster (system identifier)";
	case WI_OBJECTION_SYSTEMS:
		return "the hosts belong to different database systems, and no majority says which one is meant";
	case WI_OBJECTION_TIMELINE:
		return "claims to be the primary, on an older timeline than";
	case WI_OBJECTION_TIE:
		return "split brain: claims to be the primary, on the same timeline as";
	case WI_OBJECTION_ALIAS:
		return "leads to the same server as";
	case WI_OBJECTION_READ_ONLY:
		return "is not in recovery, but default_transaction_read_only is on: takes no writes";
	case WI_OBJECTION_STANDBY:
		return "was named as the primary, but is a standby";
	}
	return NULL;
}

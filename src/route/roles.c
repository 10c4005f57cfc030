/* SPDX-License-Identifier: BSD-2-Clause */
/* Rule by rule, as roles.h lists them. */
#include "route/roles.h"

struct court {
	const struct wi_sight *sight;
	const enum wi_named *named;
	uint32_t n;
	const struct wi_advice *advice; /* NULL: none is in force */
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

/* What is known of the one that was followed is kept: its hosts may only be away. */
static void change_system(struct wi_so_far *so_far, uint64_t system)
{
	const struct wi_so_far before = *so_far;

	*so_far = (struct wi_so_far){
		.system = system, .past_system = before.system, .past_timeline = before.timeline};
	if (system == before.past_system)
		so_far->timeline = before.past_timeline;
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

/* ---- rule 3: what was left behind ---- */

/* Whether host i is another server than those before it, as far as can be told. */
static bool is_another(const struct court *c, uint32_t i)
{
	for (uint32_t k = 0; k < i; k++)
		if (is_same_server(&c->sight[i], &c->sight[k]))
			return false;
	return c->sight[i].started != 0;
}

static bool are_all_below(const struct court *c, const struct wi_so_far *so_far)
{
	for (uint32_t i = 0; i < c->n; i++) {
		const struct wi_sight *s = &c->sight[i];

		if (!s->answered || !s->system || s->system != so_far->system || !s->timeline ||
		    s->timeline >= so_far->timeline || named(c, i) != WI_NAMED_NOT ||
		    !is_another(c, i))
			return false;
	}
	return c->n > 1;
}

/* When the last of them answered. */
static int64_t last_answer(const struct court *c)
{
	int64_t last = 0;

	for (uint32_t i = 0; i < c->n; i++)
		if (c->sight[i].answered && c->sight[i].answered_ns > last)
			last = c->sight[i].answered_ns;
	return last;
}

static int64_t first_question(const struct court *c)
{
	int64_t first = INT64_MAX;

	for (uint32_t i = 0; i < c->n; i++)
		if (c->sight[i].answered && c->sight[i].asked_ns < first)
			first = c->sight[i].asked_ns;
	return first;
}

/* Whether the advice names a candidate by the very timeline that the host says it is on. */
static bool is_vouched_for(const struct court *c)
{
	const struct wi_advice *a = c->advice;

	return a && a->primary >= 0 && (uint32_t)a->primary < c->n && a->timeline &&
	       is_candidate(c, (uint32_t)a->primary) &&
	       c->sight[a->primary].timeline == a->timeline;
}

/* The way back: no host has the history any more that the memory is to protect. */
static void forget_history(const struct court *c, struct wi_so_far *so_far)
{
	if (!are_all_below(c, so_far)) {
		so_far->below_ns = 0;
		return;
	}
	if (!so_far->below_ns)
		so_far->below_ns = last_answer(c);
	if (!is_vouched_for(c) && first_question(c) - so_far->below_ns < WI_FORGET_NS)
		return;
	so_far->timeline = 0;
	so_far->below_ns = 0;
}

/* The highest timeline that a host of the system is or was on. */
static uint32_t highest_timeline(const struct court *c, uint64_t system, uint32_t highest)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->sight[i].answered && c->sight[i].system && c->sight[i].system == system &&
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
	uint32_t unknown; /* whose timeline is not known: they tie with everybody */
	uint32_t top;     /* the highest timeline */
	uint32_t on_top;  /* how many are on it, or could be */
};

static bool is_on_top(const struct court *c, const struct contest *t, uint32_t i)
{
	return is_candidate(c, i) && (t->unknown || c->sight[i].timeline == t->top);
}

static struct contest count_candidates(const struct court *c)
{
	struct contest t = {0};

	for (uint32_t i = 0; i < c->n; i++) {
		if (!is_candidate(c, i))
			continue;
		t.unknown += c->sight[i].timeline == 0;
		if (c->sight[i].timeline > t.top)
			t.top = c->sight[i].timeline;
	}
	for (uint32_t i = 0; i < c->n; i++)
		t.on_top += is_on_top(c, &t, i);
	return t;
}

/* The first candidate on top beside host `but`, or -1. */
static int first_on_top(const struct court *c, const struct contest *t, int but)
{
	for (uint32_t i = 0; i < c->n; i++)
		if ((int)i != but && is_on_top(c, t, i))
			return (int)i;
	return -1;
}

/* ---- rule 4: a contest ---- */

/* The host that the advice names, by its first name; -1: none. */
static int advised(const struct court *c)
{
	int named_host = c->advice ? c->advice->primary : -1;

	if (named_host < 0 || (uint32_t)named_host >= c->n)
		return -1;
	if (c->opinion[named_host].objection == WI_OBJECTION_ALIAS)
		return (int)c->opinion[named_host].other;
	return named_host;
}

/* Silent or a standby of ours, and no second name of one: it has a vote, if it uses it or not. */
static bool has_vote(const struct court *c, uint32_t i)
{
	const struct wi_sight *s = &c->sight[i];

	if (!s->answered)
		return true;
	if (!is_heard(c, i) || !s->in_recovery || named(c, i) != WI_NAMED_NOT)
		return false;
	for (uint32_t k = 0; k < i; k++)
		if (is_heard(c, k) && is_same_server(s, &c->sight[k]))
			return false;
	return true;
}

/* Host i's vote: whom it streams from on the contested timeline, by an answer that counts; or 0. */
static uint32_t vote_of(const struct court *c, uint32_t i, uint32_t timeline, uint64_t system,
                        int64_t since_ns)
{
	const struct wi_sight *s = &c->sight[i];

	if (!s->answered || s->asked_ns < since_ns || !s->system || s->system != system ||
	    !s->started || s->streams_on != timeline)
		return 0;
	return s->follows;
}

/* Whether any host streams from it, on whatever timeline and however long ago it said so. */
static bool is_followed(const struct court *c, uint32_t whom)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (is_heard(c, i) && c->sight[i].in_recovery && c->sight[i].streams_on &&
		    c->sight[i].follows == whom + 1)
			return true;
	return false;
}

/* More than half of all votes that there could be. */
static bool is_elected(const struct court *c, const struct contest *t, uint32_t whom,
                       int64_t since_ns)
{
	uint32_t votes = 0, mine = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		if (!has_vote(c, i))
			continue;
		votes++;
		mine += vote_of(c, i, t->top, c->sight[whom].system, since_ns) == whom + 1;
	}
	return mine * 2 > votes;
}

/* Whom the standbys follow, or -1. */
static int elect(const struct court *c, const struct contest *t, int64_t since_ns)
{
	int winner = -1;

	if (t->unknown || !since_ns)
		return -1;
	for (uint32_t i = 0; i < c->n; i++) {
		if (!is_on_top(c, t, i))
			continue;
		if (c->sight[i].asked_ns < since_ns)
			return -1;
		if (!is_followed(c, i))
			continue;
		if (winner >= 0)
			return -1;
		winner = (int)i;
	}
	return winner >= 0 && is_elected(c, t, (uint32_t)winner, since_ns) ? winner : -1;
}

/* Leaves one of those on top, or none. Returns it, or -1. */
static int settle_contest(const struct court *c, const struct contest *t, int64_t since_ns)
{
	int top = first_on_top(c, t, -1), second = first_on_top(c, t, top);
	int winner = advised(c);
	enum wi_objection why = WI_OBJECTION_ADVISED;

	if (winner < 0 || !is_on_top(c, t, (uint32_t)winner)) {
		why = WI_OBJECTION_OUTVOTED;
		winner = elect(c, t, since_ns);
	}
	for (uint32_t i = 0; i < c->n; i++) {
		if (!is_on_top(c, t, i) || (int)i == winner)
			continue;
		if (winner >= 0)
			object(c, i, why, (uint32_t)winner);
		else
			object(c, i, WI_OBJECTION_TIE, (uint32_t)((int)i == top ? second : top));
	}
	return winner;
}

/* Leaves one candidate, or none. Returns it, or -1. */
static int hold_contest(const struct court *c, struct wi_so_far *so_far, bool *split)
{
	struct contest t = count_candidates(c);
	int winner = first_on_top(c, &t, -1);

	*split = t.on_top > 1;
	for (uint32_t i = 0; i < c->n; i++)
		if (is_candidate(c, i) && !is_on_top(c, &t, i))
			object(c, i, WI_OBJECTION_TIMELINE, (uint32_t)winner);
	if (!*split) {
		so_far->split_ns = 0;
		return winner;
	}
	winner = settle_contest(c, &t, so_far->split_ns);
	if (!so_far->split_ns)
		so_far->split_ns = last_answer(c);
	return winner;
}

/* ---- rule 5: the fence ---- */

static int fence(const struct court *c, int winner)
{
	int names = advised(c);
	uint32_t mine;

	if (!c->advice || winner < 0)
		return winner;
	mine = c->sight[winner].timeline;
	if (names != winner)
		object(c, (uint32_t)winner, WI_OBJECTION_ADVISED,
		       (uint32_t)(names < 0 ? winner : names));
	else if (mine && mine < c->advice->timeline)
		object(c, (uint32_t)winner, WI_OBJECTION_TIMELINE, (uint32_t)winner);
	else
		return winner;
	return -1;
}

/* ---- rules 6 and 7: what is left gets a role ---- */

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
                                   uint32_t n, struct wi_so_far so_far,
                                   const struct wi_advice *advice, struct wi_opinion *opinions)
{
	const struct court c = {sights, how, n, advice, opinions};
	struct wi_judgement j = {.primary = -1, .so_far = so_far};
	uint64_t system;
	bool tie;
	int winner;

	for (uint32_t i = 0; i < n; i++)
		opinions[i] = (struct wi_opinion){WEIR_ROLE_UNKNOWN, WI_OBJECTION_NONE, 0};
	system = elect_system(&c, so_far.system, &tie);
	reject_foreign(&c, system, tie);
	if (!tie && system != so_far.system)
		change_system(&j.so_far, system);
	forget_history(&c, &j.so_far);
	if (!tie)
		j.so_far.timeline = highest_timeline(&c, j.so_far.system, j.so_far.timeline);
	j.so_far.past_timeline = highest_timeline(&c, j.so_far.past_system, j.so_far.past_timeline);
	reject_aliases(&c);
	reject_left_behind(&c, j.so_far.timeline);
	winner = fence(&c, hold_contest(&c, &j.so_far, &j.split));
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
	case WI_OBJECTION_OUTVOTED:
		return "split brain: claims to be the primary, but the standbys follow";
	case WI_OBJECTION_ADVISED:
		return "claims to be the primary, but the advice in force names";
	case WI_OBJECTION_HELD:
		return "answers, but has failed again and again: has to be good for a while first";
	}
	return NULL;
}

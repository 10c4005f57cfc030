/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of who is who: one row a cluster, one word a host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "route/roles.h"

#define HOSTS 5
#define ROUNDS 150000

/*
 * A host in a word: "-" silent; "p" or "s", primary or standby; then any of t<timeline>, y<system>,
 * b<born>, r (read only), W or R (named writer, reader), f<host> (follows it), o<timeline> (that it
 * streams), a<when> (it was asked). Timeline and system are 1, born is the host's number, who
 * follows streams its own timeline, and all are asked at 100 if not said.
 */
static enum wi_named read_host(struct wi_sight *s, const char *word, uint32_t number)
{
	enum wi_named named = WI_NAMED_NOT;

	*s = (struct wi_sight){0};
	if (word[0] == '-')
		return named;
	s->answered = true;
	s->in_recovery = word[0] == 's';
	s->timeline = 1;
	s->system = 1;
	s->started = number + 100;
	s->asked_ns = s->answered_ns = 100;
	for (const char *at = word + 1; *at; at++) {
		switch (*at) {
		case 't':
			s->timeline = (uint32_t)atoi(at + 1);
			break;
		case 'y':
			s->system = (uint64_t)atoi(at + 1);
			break;
		case 'b':
			s->started = (uint64_t)atoi(at + 1);
			break;
		case 'f':
			s->follows = (uint32_t)atoi(at + 1) + 1;
			s->streams_on = s->timeline;
			break;
		case 'o':
			s->streams_on = (uint32_t)atoi(at + 1);
			break;
		case 'a':
			s->asked_ns = s->answered_ns = atoi(at + 1);
			break;
		case 'r':
			s->read_only = true;
			break;
		case 'W':
			named = WI_NAMED_WRITER;
			break;
		case 'R':
			named = WI_NAMED_READER;
			break;
		default:
			break;
		}
	}
	return named;
}

/*
 * P primary, R replica, u unknown; then why: y system, Y systems, t timeline, = tie, a alias, r
 * read only, s standby, f others follow another, d the advice names another.
 */
static const char *shown(const struct wi_opinion *o)
{
	static char text[3];
	static const char why[] = {[WI_OBJECTION_NONE] = '\0',     [WI_OBJECTION_SYSTEM] = 'y',
	                           [WI_OBJECTION_SYSTEMS] = 'Y',   [WI_OBJECTION_TIMELINE] = 't',
	                           [WI_OBJECTION_TIE] = '=',       [WI_OBJECTION_ALIAS] = 'a',
	                           [WI_OBJECTION_READ_ONLY] = 'r', [WI_OBJECTION_STANDBY] = 's',
	                           [WI_OBJECTION_OUTVOTED] = 'f',  [WI_OBJECTION_ADVISED] = 'd'};

	text[0] = "uPR"[o->role];
	text[1] = why[o->objection];
	return text;
}

#define ON(timeline) ((uint64_t)(timeline) << 32)

struct row {
	const char *name;
	uint64_t so_far; /* the system, and ON the highest timeline */
	const char *hosts[HOSTS];
	const char *roles[HOSTS];
	bool split;
};

/* Judged for the first time. */
static const struct row table[] = {
	{"one primary, two standbys", 0, {"p", "s", "s"}, {"P", "R", "R"}, false},
	{"the order says nothing", 0, {"s", "s", "p"}, {"R", "R", "P"}, false},
	{"alone", 0, {"p"}, {"P"}, false},
	{"nobody answers", 1, {"-", "-"}, {"u", "u"}, false},
	{"the primary is silent", 1, {"-", "s", "s"}, {"u", "R", "R"}, false},
	{"standbys only", 0, {"s", "s"}, {"R", "R"}, false},
	{"two on one timeline: none", 1, {"p", "p", "s"}, {"u=", "u=", "R"}, true},
	{"three on one timeline: none", 1, {"p", "p", "p"}, {"u=", "u=", "u="}, true},
	{"the higher timeline wins", 1, {"p", "pt2", "st2"}, {"ut", "P", "R"}, false},
	{"whichever comes first", 1, {"pt2", "p", "s"}, {"P", "ut", "R"}, false},
	{"two on the top, one below", 1, {"p", "pt2", "pt2"}, {"ut", "u=", "u="}, true},
	{"independent promotions: a tie", 1, {"-", "pt2", "pt2"}, {"u", "u=", "u="}, true},
	{"an unknown timeline ties with any", 1, {"pt0", "pt5"}, {"u=", "u="}, true},
	{"alone, its timeline does not matter", 1, {"pt0", "s"}, {"P", "R"}, false},
	{"a foreign primary", 0, {"py2", "p", "s"}, {"uy", "P", "R"}, false},
	{"a foreign standby", 0, {"p", "s", "sy2"}, {"P", "R", "uy"}, false},
	{"two systems, no majority", 0, {"p", "py2"}, {"uY", "uY"}, true},
	{"two systems, one was followed", 1, {"p", "py2"}, {"P", "uy"}, false},
	{"two systems, the other was followed", 2, {"p", "py2"}, {"uy", "P"}, false},
	{"three systems, the last was followed", 3, {"p", "py2", "py3"}, {"uy", "uy", "P"}, false},
	{"all were restored anew", 1, {"py2", "sy2"}, {"P", "R"}, false},
	{"an unknown system is no stranger", 1, {"p", "sy0"}, {"P", "R"}, false},
	{"the foreign do not decide a tie", 1, {"p", "py2t9", "s"}, {"P", "uy", "R"}, false},
	{"two names of one server", 1, {"pb7", "pb7", "s"}, {"P", "ua", "R"}, false},
	{"two names of one, and another", 1, {"pb7", "pb7", "p"}, {"u=", "ua", "u="}, true},
	{"an unknown start is no alias", 1, {"pb0", "pb0"}, {"u=", "u="}, true},
	{"a primary that takes no writes", 1, {"pr", "s"}, {"Rr", "R"}, false},
	{"and is on the top", 1, {"pr", "pt2"}, {"ut", "P"}, false},
	{"even so it is on the top", 1, {"p", "pt2r"}, {"ut", "Rr"}, false},
	{"one of two takes no writes: still a tie", 1, {"pr", "p"}, {"u=", "u="}, true},
	{"a standby is always read only", 1, {"p", "sr"}, {"P", "R"}, false},
	{"named", 1, {"pW", "sR"}, {"P", "R"}, false},
	{"the reader endpoint leads to a primary", 1, {"pW", "pR"}, {"P", "R"}, false},
	{"the writer endpoint leads to a standby", 1, {"sW", "sR"}, {"us", "R"}, false},
	{"only readers are named", 1, {"pR", "sR"}, {"R", "R"}, false},
	{"the named writer is silent", 1, {"-W", "pR"}, {"u", "R"}, false},
	{"the new primary blinks", 1, {"p", "-", "st2"}, {"ut", "u", "R"}, false},
	{"and nobody else answers", 1 | ON(2), {"p", "-", "-"}, {"ut", "u", "u"}, false},
	{"on the highest seen so far", 1 | ON(2), {"pt2", "-"}, {"P", "u"}, false},
	{"two that were left behind", 1 | ON(2), {"p", "p", "-"}, {"ut", "ut", "u"}, false},
	{"what was seen of another system", 2 | ON(9), {"p", "s"}, {"P", "R"}, false},
	{"a foreign timeline is not ours", 1, {"p", "st7y2", "-"}, {"P", "uy", "u"}, false},
	{"an unknown timeline is not judged", 1 | ON(2), {"pt0", "s"}, {"P", "R"}, false},
	{"ours are away", 1, {"-", "-", "py2"}, {"u", "u", "uy"}, false},
	{"half are strangers", 1, {"-", "-", "py2", "sy2"}, {"u", "u", "uy", "uy"}, false},
	{"strangers, but one is ours", 1, {"s", "-", "py2"}, {"R", "u", "uy"}, false},
	{"rebuilt, most of them", 1, {"p", "py2", "sy2"}, {"uy", "P", "R"}, false},
	{"rebuilt, alone", 1 | ON(9), {"py2"}, {"P"}, false},
	{"its first sight elects nobody", 1, {"p", "p", "sf1"}, {"u=", "u=", "R"}, true},
};

/* With a contest that was seen at 50 already; hosts and roles are words. */
static const struct scene {
	const char *name;
	uint64_t so_far;
	const char *hosts, *roles;
	bool split;
	int advice;        /* n: it names host n - 1; -1: nobody; 0: there is none */
	uint32_t timeline; /* that it says */
} contests[] = {
	/* whom the standbys follow */
	{"all follow one", 1, "p p sf1", "uf P R", true, 0, 0},
	{"two of three follow it", 1, "p p sf0 s sf0", "P uf R R R", true, 0, 0},
	{"one of two is no majority", 1, "p p sf0 s", "u= u= R R", true, 0, 0},
	{"the silent one may follow the other", 1, "p p sf0 -", "u= u= R u", true, 0, 0},
	{"two of three, one is silent", 1, "p p sf0 sf0 -", "P uf R R u", true, 0, 0},
	{"one follows the other", 1, "p p sf0 sf0 sf1", "u= u= R R R", true, 0, 0},
	{"one did, by an old word", 1, "p p sf0 sf0 sf1a10", "u= u= R R R", true, 0, 0},
	{"a vote from before the contest", 1, "p p sf0a40", "u= u= R", true, 0, 0},
	{"the winner has not said it again", 1, "pa40 p sf0", "u= u= R", true, 0, 0},
	{"the loser has not said it again", 1, "p pa40 sf0", "u= u= R", true, 0, 0},
	{"it streams the timeline before", 1, "pt2 pt2 st2f0o1", "u= u= R", true, 0, 0},
	{"its receiver does not stream", 1, "p p sf0o0", "u= u= R", true, 0, 0},
	{"nobody says whom he follows", 1, "p p s s", "u= u= R R", true, 0, 0},
	{"two names, one vote", 1, "p p sf0b7 sf0b7 s", "u= u= R R R", true, 0, 0},
	{"one whose start is unknown has none", 1, "p p sf0b0", "u= u= R", true, 0, 0},
	{"one of an unknown system has none", 1, "p p sf0y0", "u= u= R", true, 0, 0},
	{"strangers have none", 1, "p p sf0y2", "u= u= uy", true, 0, 0},
	{"who follows a follower has none", 1, "p p sf0 sf2", "u= u= R R", true, 0, 0},
	{"three, and one is followed", 1, "p p p sf1", "uf P uf R", true, 0, 0},
	{"followers do not outweigh a timeline", 1, "p pt2 sf0", "ut P R", false, 0, 0},
	{"nor one that was seen", 1 | ON(3), "pt2 pt2 st2f0", "ut ut R", false, 0, 0},
	{"nor an unknown one", 1, "pt0 p sf1", "u= u= R", true, 0, 0},
	{"the followed one takes no writes", 1, "pr p sf0", "Rr uf R", true, 0, 0},
	{"a named reader has no vote", 1, "p p sf0R", "u= u= R", true, 0, 0},

	/* what an authority says */
	{"it agrees", 1, "p s", "P R", false, 1, 0},
	{"it names another", 1, "p s", "ud R", false, 2, 0},
	{"it names one that is silent", 1, "p - s", "ud u R", false, 2, 0},
	{"it names nobody", 1, "p s", "ud R", false, -1, 0},
	{"it breaks a tie", 1, "p p s", "ud P R", true, 2, 0},
	{"whomever the standbys follow", 1, "p p sf0", "ud P R", true, 2, 0},
	{"a tie, and it names neither", 1, "p p s", "u= u= R", true, 3, 0},
	{"an elected one, and it names another", 1, "p p sf0", "ud uf R", true, 3, 0},
	{"of unknown timelines", 1, "pt0 pt5", "P ud", true, 1, 0},
	{"it names who was left behind", 1, "p pt2", "ut ud", false, 1, 0},
	{"it names one on a lower than was seen", 1 | ON(2), "p s", "ut R", false, 1, 0},
	{"it knows of a later timeline", 1, "p s", "ut R", false, 1, 2},
	{"it knows of an earlier timeline", 1, "pt2 s", "P R", false, 1, 1},
	{"it names a server's second name", 1, "pb7 pb7", "P ua", false, 2, 0},
	{"it names a stranger", 1, "p py2", "ud uy", false, 2, 0},
	{"it names one that takes no writes", 1, "pr s", "Rr R", false, 1, 0},
};

static void check(const struct row *row, int64_t split_ns, const struct wi_advice *advice)
{
	const struct wi_so_far so_far = {.system = row->so_far & UINT32_MAX,
	                                 .timeline = (uint32_t)(row->so_far >> 32),
	                                 .split_ns = split_ns};
	struct wi_sight sights[HOSTS];
	enum wi_named named[HOSTS];
	struct wi_opinion opinions[HOSTS];
	struct wi_judgement j;
	int primary = -1;
	uint32_t n = 0;

	for (; n < HOSTS && row->hosts[n]; n++) {
		named[n] = read_host(&sights[n], row->hosts[n], n);
		if (row->roles[n][0] == 'P')
			primary = (int)n;
	}
	j = wi_roles_judge(sights, named, n, so_far, advice, opinions);
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(shown(&opinions[i]), row->roles[i]) != 0)
			fail_msg("%s: host %u is %s, not %s", row->name, i, shown(&opinions[i]),
			         row->roles[i]);
	if (j.split != row->split || j.primary != primary)
		fail_msg("%s: split %d, primary %d", row->name, j.split, j.primary);
}

static void every_row_holds(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		check(&table[i], 0, NULL);
}

static void split_words(char *text, const char *words[HOSTS])
{
	char *rest = NULL;
	int n = 0;

	for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		words[n++] = word;
}

/* The standbys, and the advice if there is any, break a tie; and the advice fences. */
static void every_contest_is_decided(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(contests) / sizeof(contests[0]); i++) {
		const struct scene *scene = &contests[i];
		struct row row = {.name = scene->name, .so_far = scene->so_far};
		const struct wi_advice advice = {scene->advice > 0 ? scene->advice - 1 : -1,
		                                 scene->timeline, 1};
		char hosts[64], roles[64];

		row.split = scene->split;
		snprintf(hosts, sizeof(hosts), "%s", scene->hosts);
		snprintf(roles, sizeof(roles), "%s", scene->roles);
		split_words(hosts, row.hosts);
		split_words(roles, row.roles);
		check(&row, 50, scene->advice ? &advice : NULL);
	}
}

static uint32_t roll(uint32_t *chance, uint32_t sides)
{
	*chance = *chance * 1664525 + 1013904223;
	return (*chance >> 8) % sides;
}

static void see_at_random(uint32_t *chance, struct wi_sight *s)
{
	*s = (struct wi_sight){
		.answered = roll(chance, 8) != 0,
		.in_recovery = roll(chance, 2),
		.read_only = roll(chance, 8) == 0,
		.timeline = roll(chance, 4),
		.streams_on = roll(chance, 4),
		.follows = roll(chance, HOSTS + 1),
		.system = roll(chance, 8) ? 1 : roll(chance, 3),
		.started = roll(chance, 8),
		.asked_ns = roll(chance, 4) + 1,
	};
	s->answered_ns = s->asked_ns + roll(chance, 2);
}

static bool is_same(const struct wi_sight *a, const struct wi_sight *b)
{
	return a->system && a->system == b->system && a->started && a->started == b->started &&
	       a->timeline == b->timeline;
}

/* What the standbys say, counted here in another way than the judge does. */
static bool are_for(const struct wi_sight *s, uint32_t whom, int64_t since_ns)
{
	uint32_t votes = 0, can = 0;

	for (uint32_t i = 0; i < HOSTS; i++) {
		if (s[i].answered &&
		    (!s[i].in_recovery || (s[i].system && s[i].system != s[whom].system)))
			continue;
		can++;
		votes += s[i].answered && s[i].follows == whom + 1 && s[i].asked_ns >= since_ns &&
		         s[i].streams_on == s[whom].timeline;
	}
	return votes * 2 > can;
}

/* Whether host i says, too, that it is the primary, and nothing says that it was left behind. */
static bool is_rival(const struct wi_sight *s, uint32_t i, uint32_t p,
                     const struct wi_so_far *so_far)
{
	return i != p && s[i].answered && !s[i].in_recovery && !is_same(&s[i], &s[p]) &&
	       (!s[i].system || s[i].system == so_far->system) &&
	       (!s[i].timeline || s[i].timeline >= so_far->timeline);
}

/* Why the primary must not be one, or NULL. */
static const char *wrong_with(const struct wi_sight *s, uint32_t p, const struct wi_so_far *before,
                              const struct wi_judgement *j, const struct wi_advice *advice)
{
	bool is_advised = advice && advice->primary >= 0 &&
	                  (advice->primary == (int)p || is_same(&s[p], &s[advice->primary]));
	uint32_t mine = s[p].timeline;

	if (!s[p].answered || s[p].in_recovery || s[p].read_only)
		return "it did not say so";
	if (mine && mine < j->so_far.timeline)
		return "a higher timeline was seen";
	if (mine && before->system == j->so_far.system && mine < before->timeline)
		return "a higher timeline was seen before";
	if (s[p].system && s[p].system != j->so_far.system)
		return "it is a stranger";
	if (advice && (!is_advised || (mine && mine < advice->timeline)))
		return "the advice names another";
	for (uint32_t i = 0; i < HOSTS; i++) {
		if (is_advised || !is_rival(s, i, p, &j->so_far))
			continue;
		if (!mine || !s[i].timeline || s[i].timeline > mine)
			return "somebody else is as good";
		if (s[i].timeline == mine &&
		    (!before->split_ns || !are_for(s, p, before->split_ns)))
			return "nobody elected it";
	}
	return NULL;
}

/*
 * Whatever the probes saw: at most one host is a primary, only one that said it is, none below a
 * timeline that was seen, none beside another without advice or votes, none against the advice.
 */
static void there_are_never_two_primaries(void **state)
{
	uint32_t chance = 1, primaries_at_all = 0, split = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct wi_sight sights[HOSTS];
		struct wi_opinion opinions[HOSTS];
		struct wi_so_far before = {.system = roll(&chance, 3),
		                           .timeline = roll(&chance, 4),
		                           .split_ns = roll(&chance, 4)};
		struct wi_advice advice = {(int)roll(&chance, HOSTS + 1) - 1, roll(&chance, 4), 1};
		const struct wi_advice *a = roll(&chance, 3) ? NULL : &advice;
		struct wi_judgement j;
		int primaries = 0;

		for (uint32_t i = 0; i < HOSTS; i++)
			see_at_random(&chance, &sights[i]);
		j = wi_roles_judge(sights, NULL, HOSTS, before, a, opinions);
		for (uint32_t i = 0; i < HOSTS; i++) {
			primaries += opinions[i].role == WEIR_ROLE_PRIMARY;
			if (opinions[i].objection != WI_OBJECTION_NONE)
				assert_non_null(wi_objection_text(opinions[i].objection));
			assert_true(opinions[i].other < HOSTS);
		}
		assert_true(primaries <= 1 && (primaries == 1) == (j.primary >= 0));
		primaries_at_all += (uint32_t)primaries;
		split += j.split && primaries;
		if (j.primary < 0)
			continue;
		assert_int_equal(opinions[j.primary].role, WEIR_ROLE_PRIMARY);
		if (wrong_with(sights, (uint32_t)j.primary, &before, &j, a))
			fail_msg("round %d: host %d is the primary, but %s", round, j.primary,
			         wrong_with(sights, (uint32_t)j.primary, &before, &j, a));
	}
	/* the rows where it is easy to be wrong do come up */
	assert_true(primaries_at_all > ROUNDS / 20 && split > ROUNDS / 800);
}

/* ---- judgements one after the other ---- */

static struct wi_sight sight_of(const char *word, uint32_t number, int64_t at_ns)
{
	struct wi_sight s;

	read_host(&s, word, number);
	s.asked_ns = s.answered_ns = at_ns;
	return s;
}

static struct wi_judgement judge_at(const char *const words[3], int64_t at_ns,
                                    struct wi_so_far so_far)
{
	struct wi_opinion opinions[3];
	struct wi_sight sights[3];

	for (uint32_t i = 0; i < 3; i++)
		sights[i] = sight_of(words[i], i, at_ns);
	return wi_roles_judge(sights, NULL, 3, so_far, NULL, opinions);
}

/* A contest is decided by answers of after it was seen, and forgotten when it is over. */
static void a_contest_is_decided_by_a_second_look(void **state)
{
	static const char *const two[] = {"p", "p", "sf1"}, *const one[] = {"s", "p", "sf1"};
	struct wi_judgement j = judge_at(two, 1000, (struct wi_so_far){.system = 1});

	(void)state;
	assert_int_equal(j.primary, -1);
	assert_int_equal(j.so_far.split_ns, 1000);
	j = judge_at(two, 999, j.so_far);
	assert_int_equal(j.primary, -1);
	j = judge_at(two, 1001, j.so_far);
	assert_int_equal(j.primary, 1);
	assert_true(j.split);
	assert_int_equal(j.so_far.split_ns, 1000);
	j = judge_at(one, 1002, j.so_far);
	assert_int_equal(j.primary, 1);
	assert_int_equal(j.so_far.split_ns, 0);
	assert_false(j.split);
}

/* Restored to a lower timeline, all of it: after a while nobody could be on the higher one. */
static void a_restored_cluster_has_a_primary_again(void **state)
{
	static const char *const low[] = {"pt2", "st2", "st2"};
	static const char *const unsure[][3] = {{"pt2", "st2", "-"},       {"pt2", "st2", "st0"},
	                                        {"pt2", "st2b9", "st2b9"}, {"pt2", "st2", "st2b0"},
	                                        {"pt2", "st2", "st2y0"},   {"pt2", "st2", "st5"}};
	const struct wi_so_far high = {.system = 1, .timeline = 5};
	struct wi_judgement j = judge_at(low, 1000, high);

	(void)state;
	assert_int_equal(j.primary, -1);
	assert_int_equal(j.so_far.below_ns, 1000);
	j = judge_at(low, 999 + WI_FORGET_NS, j.so_far);
	assert_int_equal(j.primary, -1);
	/* One that does not answer or say, is there twice, or is on the higher: it begins anew. */
	for (size_t i = 0; i < sizeof(unsure) / sizeof(unsure[0]); i++) {
		struct wi_judgement k = judge_at(unsure[i], 1500 + WI_FORGET_NS, j.so_far);

		assert_int_equal(k.primary, -1);
		assert_int_equal(k.so_far.below_ns, 0);
		assert_int_equal(k.so_far.timeline, 5);
	}
	j = judge_at(low, 1000 + WI_FORGET_NS, j.so_far);
	assert_int_equal(j.primary, 0);
	assert_int_equal(j.so_far.timeline, 2);
	assert_int_equal(j.so_far.below_ns, 0);
}

/*
 * Host 2 appointed itself, on a higher timeline, and was made a standby again. An authority that
 * names who is the primary, and its timeline, knows that; one that does not know the timeline, or
 * while somebody may still be on the higher one, proves nothing.
 */
static void advice_ends_the_memory_of_who_appointed_itself(void **state)
{
	static const struct {
		const char *words[3];
		struct wi_advice advice;
		int primary;
	} rows[] = {
		{{"pt2", "st2", "st2"}, {0, 2, 1}, 0},    {{"pt2", "st2", "st2"}, {0, 0, 1}, -1},
		{{"pt2", "st2", "st2"}, {0, 1, 1}, -1},   {{"pt2", "st2", "st2"}, {0, 3, 1}, -1},
		{{"pt2", "st2", "st2"}, {1, 2, 1}, -1},   {{"pt2", "st2", "st2"}, {-1, 2, 1}, -1},
		{{"pt2", "st2", "-"}, {0, 2, 1}, -1},     {{"pt2", "st2", "st3"}, {0, 2, 1}, -1},
		{{"pt2", "st2", "pt3"}, {0, 2, 1}, -1},   {{"pt2", "st2", "st0"}, {0, 2, 1}, -1},
		{{"pt2", "st2y2", "st2"}, {0, 2, 1}, -1}, {{"pt2", "pt2", "st2"}, {0, 2, 1}, 0},
	};

	(void)state;
	for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		struct wi_opinion opinions[3];
		struct wi_sight sights[3];
		struct wi_judgement j;

		for (uint32_t i = 0; i < 3; i++)
			sights[i] = sight_of(rows[row].words[i], i, 1000);
		j = wi_roles_judge(sights, NULL, 3, (struct wi_so_far){.system = 1, .timeline = 3},
		                   &rows[row].advice, opinions);
		if (j.primary != rows[row].primary)
			fail_msg("row %zu: the primary is %d", row, j.primary);
	}
}

/* A name that leads to who was left behind proves nothing. */
static void a_lone_host_forgets_nothing(void **state)
{
	struct wi_so_far so_far = {.system = 1, .timeline = 5};
	struct wi_opinion opinion;

	(void)state;
	for (int64_t at = 1; at < 10; at++) {
		struct wi_sight s = sight_of("pt2", 0, at * WI_FORGET_NS);
		struct wi_judgement j = wi_roles_judge(&s, NULL, 1, so_far, NULL, &opinion);

		assert_int_equal(j.primary, -1);
		so_far = j.so_far;
	}
}

/* All names lead to another cluster for a while, and then back: to who had been left behind. */
static void a_timeline_is_known_when_its_system_comes_back(void **state)
{
	static const char *const ours[] = {"pt5", "pt6", "st6"},
				 *const theirs[] = {"py2", "sy2", "sy2"},
				 *const back[] = {"pt5", "-", "st5"},
				 *const one_of_ours[] = {"py2", "sy2", "pt7"};
	struct wi_judgement j = judge_at(ours, 1000, (struct wi_so_far){.system = 0});

	(void)state;
	assert_int_equal(j.primary, 1);
	j = judge_at(theirs, 2000, j.so_far);
	assert_int_equal(j.primary, 0);
	assert_int_equal(j.so_far.timeline, 1);
	j = judge_at(back, 3000, j.so_far);
	assert_int_equal(j.primary, -1);
	assert_int_equal(j.so_far.timeline, 6);
	/* Also what one of it says meanwhile. */
	j = judge_at(theirs, 4000, j.so_far);
	j = judge_at(one_of_ours, 5000, j.so_far);
	assert_int_equal(j.primary, 0);
	j = judge_at(back, 6000, j.so_far);
	assert_int_equal(j.primary, -1);
	assert_int_equal(j.so_far.timeline, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_holds),
		cmocka_unit_test(every_contest_is_decided),
		cmocka_unit_test(there_are_never_two_primaries),
		cmocka_unit_test(a_contest_is_decided_by_a_second_look),
		cmocka_unit_test(a_restored_cluster_has_a_primary_again),
		cmocka_unit_test(advice_ends_the_memory_of_who_appointed_itself),
		cmocka_unit_test(a_lone_host_forgets_nothing),
		cmocka_unit_test(a_timeline_is_known_when_its_system_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

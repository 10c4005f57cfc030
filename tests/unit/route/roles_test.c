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

#define HOSTS 4

/*
 * A host in a word: "-" silent; "p" or "s", primary or standby; then any of t<timeline>, y<system>,
 * b<born>, r (read only), W or R (named writer, reader). Timeline and system are 1 and born is the
 * host's number if not said.
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
 * read only, s standby.
 */
static const char *shown(const struct wi_opinion *o)
{
	static char text[3];
	static const char why[] = {[WI_OBJECTION_NONE] = '\0',     [WI_OBJECTION_SYSTEM] = 'y',
	                           [WI_OBJECTION_SYSTEMS] = 'Y',   [WI_OBJECTION_TIMELINE] = 't',
	                           [WI_OBJECTION_TIE] = '=',       [WI_OBJECTION_ALIAS] = 'a',
	                           [WI_OBJECTION_READ_ONLY] = 'r', [WI_OBJECTION_STANDBY] = 's'};

	text[0] = "uPR"[o->role];
	text[1] = why[o->objection];
	return text;
}

#define ON(timeline) ((uint64_t)(timeline) << 32)

static const struct {
	const char *name;
	uint64_t so_far; /* the system, and ON the highest timeline */
	const char *hosts[HOSTS];
	const char *roles[HOSTS];
	bool split;
} table[] = {
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
};

static void every_row_holds(void **state)
{
	(void)state;
	for (size_t row = 0; row < sizeof(table) / sizeof(table[0]); row++) {
		struct wi_sight sights[HOSTS];
		enum wi_named named[HOSTS];
		struct wi_opinion opinions[HOSTS];
		struct wi_judgement j;
		int primary = -1;
		uint32_t n = 0;

		for (; n < HOSTS && table[row].hosts[n]; n++) {
			named[n] = read_host(&sights[n], table[row].hosts[n], n);
			if (table[row].roles[n][0] == 'P')
				primary = (int)n;
		}
		j = wi_roles_judge(sights, named, n,
		                   (struct wi_so_far){table[row].so_far & UINT32_MAX,
		                                      (uint32_t)(table[row].so_far >> 32)},
		                   opinions);
		for (uint32_t i = 0; i < n; i++)
			if (strcmp(shown(&opinions[i]), table[row].roles[i]) != 0)
				fail_msg("%s: host %u is %s, not %s", table[row].name, i,
				         shown(&opinions[i]), table[row].roles[i]);
		if (j.split != table[row].split || j.primary != primary)
			fail_msg("%s: split %d, primary %d", table[row].name, j.split, j.primary);
	}
}

/* Whatever the probes saw, at most one host is a primary, and only one that said it is. */
static void there_are_never_two_primaries(void **state)
{
	uint32_t state_of_chance = 1;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		struct wi_sight sights[HOSTS];
		struct wi_opinion opinions[HOSTS];
		struct wi_judgement j;
		int primaries = 0;

		for (uint32_t i = 0; i < HOSTS; i++) {
			uint32_t r = state_of_chance = state_of_chance * 1664525 + 1013904223;

			r >>= 8;
			sights[i] = (struct wi_sight){
				.answered = r & 7,
				.in_recovery = r >> 3 & 1,
				.read_only = (r >> 4 & 7) == 0,
				.timeline = r >> 7 & 3,
				.system = r >> 9 & 3,
				.started = r >> 11 & 3,
			};
		}
		j = wi_roles_judge(sights, NULL, HOSTS,
		                   (struct wi_so_far){(uint64_t)(round & 3), round >> 2 & 3},
		                   opinions);
		for (uint32_t i = 0; i < HOSTS; i++) {
			primaries += opinions[i].role == WEIR_ROLE_PRIMARY;
			if (opinions[i].role == WEIR_ROLE_PRIMARY) {
				assert_int_equal(j.primary, i);
				assert_true(sights[i].answered && !sights[i].in_recovery &&
				            !sights[i].read_only);
			}
			if (opinions[i].objection != WI_OBJECTION_NONE)
				assert_non_null(wi_objection_text(opinions[i].objection));
			assert_true(opinions[i].other < HOSTS);
		}
		assert_true(primaries <= 1 && (primaries == 1) == (j.primary >= 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_holds),
		cmocka_unit_test(there_are_never_two_primaries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

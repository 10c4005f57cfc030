/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a connection keeps prepared: against a plain list that does the same, and what an exchange
 * that fails leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "driver/plans.h"

static struct wi_plans *plans;
static struct wi_exchange x;
static size_t bytes;

static int set_up(void **state)
{
	(void)state;
	bytes = wi_alloc_bytes();
	plans = wi_plans_new(3);
	return plans ? 0 : 1;
}

static int tear_down(void **state)
{
	(void)state;
	wi_plans_free(plans);
	plans = NULL;
	return wi_alloc_bytes() == bytes ? 0 : 1;
}

static struct wi_part part(uint32_t i)
{
	return wi_exchange_part(plans, i);
}

/* The kinds of its parts as letters: d, p, r, n. */
static const char *begin(const struct wi_call *calls, size_t n)
{
	static char kinds[64];

	assert_true(wi_exchange_begin(&x, plans, calls, n));
	for (uint32_t i = 0; i < x.n; i++)
		kinds[i] = "dprn"[part(i).kind];
	kinds[x.n] = '\0';
	return kinds;
}

static void succeed(void)
{
	x.at = x.n;
	assert_false(wi_exchange_end(&x, plans, WI_STALE_NOT));
}

/* One statement, as a whole. */
static const char *run(const char *sql)
{
	const struct wi_call call = {.sql = sql, .keep = WI_KEEP_SECOND};
	const char *kinds = begin(&call, 1);

	succeed();
	return kinds;
}

static const char *run_at_once(const char *sql)
{
	const struct wi_call call = {.sql = sql, .keep = WI_KEEP_AT_ONCE};

	return begin(&call, 1);
}

static void the_second_use_prepares(void **state)
{
	(void)state;
	assert_string_equal(run("a"), "r");
	assert_string_equal(run("a"), "pn");
	assert_string_equal(run("a"), "n");
	assert_int_equal(wi_plans_prepared(plans), 1);
	assert_string_equal(run_at_once("b"), "pn");
	succeed();
	assert_string_equal(run("b"), "n");
}

static void what_is_not_to_be_kept_is_not(void **state)
{
	const struct wi_call call = {.sql = "a"};

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_string_equal(begin(&call, 1), "r");
		succeed();
	}
	assert_string_equal(run("a"), "r");
}

static void types_are_part_of_what_it_is(void **state)
{
	const unsigned ints[] = {23}, texts[] = {25}, none[] = {0};
	struct wi_call call = {.sql = "a", .n_params = 1, .keep = WI_KEEP_AT_ONCE};

	(void)state;
	assert_string_equal(begin(&call, 1), "pn");
	succeed();
	call.types = none; /* the same as no types at all */
	begin(&call, 1);
	assert_true(x.n <= 2);
	succeed();
	call.types = ints;
	assert_string_equal(begin(&call, 1), "pn");
	succeed();
	call.types = texts;
	begin(&call, 1);
	assert_true(x.n >= 2);
	succeed();
	call.types = ints;
	assert_string_equal(begin(&call, 1), "n");
	succeed();
}

static void the_one_used_longest_ago_makes_room(void **state)
{
	uint64_t dropped;

	(void)state;
	for (int i = 0; i < 3; i++) {
		run_at_once((const char *[]){"a", "b", "c"}[i]);
		succeed();
	}
	assert_string_equal(run("a"), "n");
	assert_string_equal(run_at_once("d"), "dpn");
	dropped = part(0).name;
	assert_int_not_equal(dropped, part(1).name);
	succeed();
	assert_string_equal(run("a"), "n");
	assert_string_equal(run("c"), "n");
	assert_string_equal(run("b"), "dr"); /* it was b that went; and now d */
	assert_int_equal(wi_plans_prepared(plans), 2);
}

static void in_one_exchange_it_is_prepared_once(void **state)
{
	struct wi_call calls[5];

	(void)state;
	for (int i = 0; i < 5; i++)
		calls[i] = (struct wi_call){.sql = "a", .keep = WI_KEEP_SECOND};
	assert_string_equal(begin(calls, 5), "rpnnnn");
	assert_int_equal(part(1).call, 1);
	succeed();
}

static void what_was_not_reached_is_taken_back(void **state)
{
	struct wi_call two[] = {{.sql = "a", .keep = WI_KEEP_AT_ONCE},
	                        {.sql = "b", .keep = WI_KEEP_AT_ONCE}};

	(void)state;
	assert_string_equal(begin(two, 2), "pnpn");
	x.at = 1; /* a was prepared, and its run has failed */
	assert_false(wi_exchange_end(&x, plans, WI_STALE_NOT));
	assert_int_equal(wi_plans_prepared(plans), 1);
	assert_string_equal(run("a"), "n");
	assert_string_equal(run("b"), "pn");
}

static void a_drop_that_was_not_reached_is_owed(void **state)
{
	const struct wi_call plain = {.sql = "ROLLBACK"};
	uint64_t owed;

	(void)state;
	for (int i = 0; i < 3; i++) {
		run_at_once((const char *[]){"a", "b", "c"}[i]);
		succeed();
	}
	assert_string_equal(run_at_once("d"), "dpn");
	owed = part(0).name;
	assert_false(wi_exchange_end(&x, plans, WI_STALE_NOT)); /* at 0 */
	assert_string_equal(begin(&plain, 1), "r");             /* not before what nobody keeps */
	succeed();
	assert_string_equal(run_at_once("d"), "dpn");
	assert_int_equal(part(0).name, owed);
	succeed();
}

static void more_than_can_be_owed_is_told(void **state)
{
	static const char *const texts[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j",
	                                    "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"};
	struct wi_plans *kept = plans;
	struct wi_call calls[20];

	(void)state;
	for (int i = 0; i < 20; i++)
		calls[i] = (struct wi_call){.sql = texts[i], .keep = WI_KEEP_AT_ONCE};
	plans = wi_plans_new(10);
	begin(calls, 10);
	succeed();
	begin(calls + 10, 10);
	assert_true(wi_exchange_end(&x, plans, WI_STALE_NOT));
	wi_plans_free(plans);
	plans = kept;
}

/* More than there is room for: what was dropped again had never been made. */
static void what_was_never_made_is_not_owed(void **state)
{
	static const char *const texts[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
	struct wi_call calls[8];

	(void)state;
	for (int i = 0; i < 8; i++)
		calls[i] = (struct wi_call){.sql = texts[i], .keep = WI_KEEP_AT_ONCE};
	assert_string_equal(begin(calls, 8), "pnpnpndpndpndpndpndpn");
	x.at = 1; /* only the first was made */
	assert_false(wi_exchange_end(&x, plans, WI_STALE_NOT));
	assert_string_equal(run_at_once("z"), "dpn"); /* its drop was not reached */
	succeed();
}

static void a_stale_plan_is_dropped_and_made_anew(void **state)
{
	uint64_t name;

	(void)state;
	run_at_once("a");
	name = part(0).name;
	succeed();
	assert_string_equal(run_at_once("a"), "n");
	assert_false(wi_exchange_end(&x, plans, WI_STALE_PLAN));
	assert_string_equal(run_at_once("a"), "dpn");
	assert_int_equal(part(0).name, name);
	assert_int_not_equal(part(1).name, name);
	succeed();
}

/* Of what is prepared in this very exchange, types are as new as can be. */
static void inferred_types_grow_old(void **state)
{
	const unsigned given[] = {23};
	struct wi_call two[] = {{.sql = "a", .n_params = 1, .keep = WI_KEEP_AT_ONCE},
	                        {.sql = "a", .n_params = 1, .keep = WI_KEEP_AT_ONCE}};
	uint64_t name;

	(void)state;
	assert_string_equal(begin(two, 2), "pnn");
	assert_false(part(1).inferred || part(2).inferred);
	name = part(0).name;
	succeed();
	assert_string_equal(begin(two, 1), "n");
	assert_true(part(0).inferred);
	assert_false(wi_exchange_end(&x, plans, WI_STALE_TYPES));
	assert_string_equal(begin(two, 1), "dpn");
	assert_int_equal(part(0).name, name);
	assert_false(part(2).inferred);
	succeed();
	two[0].types = given;
	for (int i = 0; i < 2; i++) {
		begin(two, 1);
		assert_false(part(x.n - 1).inferred);
		succeed();
	}
	assert_string_equal(run_at_once("b"), "pn");
	succeed();
	assert_string_equal(run_at_once("b"), "n"); /* no parameter, nothing inferred */
	assert_false(part(0).inferred);
	succeed();
}

/* Behind a pooler that nobody knows of, a session may hold what another process has prepared. */
static void names_are_this_processs_own(void **state)
{
	char own[WI_PLAN_NAME], again[WI_PLAN_NAME], childs[WI_PLAN_NAME] = "";
	int ends[2];
	pid_t child;

	(void)state;
	wi_plan_name(1, own);
	assert_int_equal(strncmp(own, "weir_", 5), 0);
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		wi_plan_name(1, childs);
		_exit(write(ends[1], childs, sizeof(childs)) == sizeof(childs) ? 0 : 1);
	}
	assert_int_equal(read(ends[0], childs, sizeof(childs)), sizeof(childs));
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(ends[0]);
	close(ends[1]);
	assert_string_not_equal(own, childs);
	wi_plan_name(1, again);
	assert_string_equal(own, again);
	wi_plan_name(UINT64_MAX, again);
	assert_true(strlen(again) < WI_PLAN_NAME - 1);
}

static void a_name_that_is_gone_speaks_for_all(void **state)
{
	(void)state;
	run_at_once("a");
	succeed();
	run_at_once("b");
	succeed();
	run_at_once("a");
	assert_true(wi_exchange_end(&x, plans, WI_STALE_NAME));
	assert_int_equal(wi_plans_prepared(plans), 0);
	assert_string_equal(run("a"), "pn");
	assert_string_equal(run("b"), "pn");
	wi_plans_dropped(plans);
	assert_string_equal(run("a"), "pn");
}

static void what_is_given_up_is_not_relied_on(void **state)
{
	(void)state;
	run_at_once("a");
	assert_true(wi_exchange_forget(&x, plans));
	assert_int_equal(wi_plans_prepared(plans), 0);
	assert_string_equal(run("a"), "pn");
	run_at_once("a");
	assert_false(wi_exchange_forget(&x, plans)); /* by name: nothing was to change */
	assert_string_equal(run("a"), "n");
}

static void without_memory_it_is_run_plainly(void **state)
{
	(void)state;
	wi_alloc_fail_at(1);
	assert_string_equal(run_at_once("a"), "r");
	wi_alloc_fail_at(0);
	succeed();
	assert_string_equal(run("a"), "r");
}

/* Else it would be tried again, and fail so again. */
static void what_the_exchange_itself_does_is_told_apart(void **state)
{
	const struct wi_call two[] = {{.sql = "a", .keep = WI_KEEP_AT_ONCE},
	                              {.sql = "a", .keep = WI_KEEP_AT_ONCE}};

	(void)state;
	assert_string_equal(begin(two, 2), "pnn");
	for (x.at = 0; x.at < 3; x.at++)
		assert_false(wi_exchange_relied_on_old(&x, plans));
	assert_false(wi_exchange_relied_on_old(&x, plans));
	succeed();
	assert_string_equal(begin(two, 2), "nn");
	for (x.at = 0; x.at < 2; x.at++)
		assert_true(wi_exchange_relied_on_old(&x, plans));
	succeed();
}

/* ---- the bound of bytes ---- */

#define LONG 100000

static const char *long_text(char c, size_t length)
{
	static char text[2 * LONG];

	memset(text, c, length);
	text[length] = '\0';
	return text;
}

static void long_texts_make_room_for_each_other(void **state)
{
	struct wi_plans *kept = plans;

	(void)state;
	plans = wi_plans_new(100);
	for (int i = 0; i < 30; i++) {
		const char *kinds = run_at_once(long_text((char)('A' + i), LONG));

		assert_string_equal(kinds, i < 10 ? "pn" : "dpn");
		succeed();
		assert_true(wi_alloc_bytes() - bytes < (1 << 20) + 30000);
	}
	assert_int_equal(wi_plans_prepared(plans), 10);
	assert_string_equal(run_at_once(long_text('A' + 29, LONG)), "n");
	succeed();
	/* What is too long for itself drives nothing out. */
	assert_string_equal(run_at_once(long_text('z', LONG + 50000)), "r");
	succeed();
	assert_string_equal(run_at_once("short"), "pn");
	succeed();
	assert_int_equal(wi_plans_prepared(plans), 11);
	wi_plans_free(plans);
	plans = kept;
}

/* Texts of all lengths: the server keeps what is thought, names are not used twice. */
static void however_long_they_are_the_books_are_right(void **state)
{
	static uint64_t names[64];
	struct wi_plans *kept = plans;
	struct wi_rng rng = {0};
	size_t n = 0;

	(void)state;
	wi_rng_seed(&rng, 11);
	plans = wi_plans_new(40);
	for (int i = 0; i < 3000; i++) {
		int which = (int)(wi_rng_next(&rng) % 60);
		const struct wi_call call = {
			.sql = long_text((char)(' ' + which), (size_t)which * 2000 + 1),
			.keep = wi_rng_next(&rng) % 2 ? WI_KEEP_SECOND : WI_KEEP_AT_ONCE};

		begin(&call, 1);
		for (uint32_t at = 0; at < x.n; at++) {
			const struct wi_part now = part(at);
			size_t is = 0;

			while (is < n && names[is] != now.name)
				is++;
			assert_int_equal(is < n,
			                 now.kind == WI_PART_DROP || now.kind == WI_PART_RUN_NAMED);
			if (now.kind == WI_PART_PREPARE)
				names[n++] = now.name;
			else if (now.kind == WI_PART_DROP)
				names[is] = names[--n];
		}
		succeed();
		assert_int_equal(wi_plans_prepared(plans), n);
		assert_true(n <= 40);
		assert_true(wi_alloc_bytes() - bytes < (1 << 20) + 30000);
	}
	assert_true(n > 5);
	wi_plans_free(plans);
	plans = kept;
}

/* ---- against a list ---- */

#define TEXTS 12
#define ROOM 5

/* Newest first: text, and whether it is prepared. */
struct model {
	int text[ROOM];
	bool prepared[ROOM];
	int n;
};

static const char *expected(struct model *m, int text)
{
	bool was_prepared = false, drop = false, known;
	int at = 0;

	while (at < m->n && m->text[at] != text)
		at++;
	known = at < m->n;
	if (known) {
		was_prepared = m->prepared[at];
	} else if (m->n < ROOM) {
		at = m->n++;
	} else {
		at = ROOM - 1;
		drop = m->prepared[at];
	}
	for (; at > 0; at--) {
		m->text[at] = m->text[at - 1];
		m->prepared[at] = m->prepared[at - 1];
	}
	m->text[0] = text;
	m->prepared[0] = known;
	return known ? was_prepared ? "n" : "pn" : drop ? "dr" : "r";
}

static void as_a_list_would(void **state)
{
	struct wi_plans *kept = plans;
	struct wi_rng rng = {0};
	struct model m = {0};
	char text[16];

	(void)state;
	wi_rng_seed(&rng, 7);
	plans = wi_plans_new(ROOM);
	for (int i = 0; i < 5000; i++) {
		int which = (int)(wi_rng_next(&rng) % TEXTS);

		snprintf(text, sizeof(text), "SELECT %d", which);
		assert_string_equal(run(text), expected(&m, which));
	}
	wi_plans_free(plans);
	plans = kept;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_second_use_prepares),
		TEST(what_is_not_to_be_kept_is_not),
		TEST(types_are_part_of_what_it_is),
		TEST(the_one_used_longest_ago_makes_room),
		TEST(in_one_exchange_it_is_prepared_once),
		TEST(what_was_not_reached_is_taken_back),
		TEST(a_drop_that_was_not_reached_is_owed),
		TEST(more_than_can_be_owed_is_told),
		TEST(what_was_never_made_is_not_owed),
		TEST(a_stale_plan_is_dropped_and_made_anew),
		TEST(inferred_types_grow_old),
		TEST(names_are_this_processs_own),
		TEST(a_name_that_is_gone_speaks_for_all),
		TEST(what_is_given_up_is_not_relied_on),
		TEST(without_memory_it_is_run_plainly),
		TEST(what_the_exchange_itself_does_is_told_apart),
		TEST(long_texts_make_room_for_each_other),
		TEST(however_long_they_are_the_books_are_right),
		TEST(as_a_list_would),
	};

	return cmocka_run_group_tests_name("plans", tests, NULL, NULL);
}

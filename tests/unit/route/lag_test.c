/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "route/lag.h"

static struct wi_lag_history history;

static int set_up(void **state)
{
	(void)state;
	wi_lag_reset(&history);
	return 0;
}

/* Asked at t, answered 1 ns later. */
static void at(int64_t t, uint64_t lsn)
{
	wi_lag_add(&history, lsn, t, t + 1);
}

static void nothing_is_known_without_a_primary(void **state)
{
	struct wi_lag lag = wi_lag_of(&history, 100);

	(void)state;
	assert_int_equal(lag.as_of_ns, WI_LAG_UNKNOWN);
	assert_int_equal(lag.behind_since_ns, WI_LAG_UNKNOWN);
	assert_int_equal(lag.bytes, -1);
}

static void a_place_in_the_history_says_how_old(void **state)
{
	struct wi_lag lag;

	(void)state;
	at(1000, 10);
	at(2000, 20);
	at(3000, 30);
	at(4000, 40);
	lag = wi_lag_of(&history, 25);
	assert_int_equal(lag.as_of_ns, 2000);
	assert_int_equal(lag.behind_since_ns, 3001);
	assert_int_equal(lag.bytes, 15);
	lag = wi_lag_of(&history, 30);
	assert_int_equal(lag.as_of_ns, 3000);
	assert_int_equal(lag.behind_since_ns, 4001);
	/* caught up, or ahead of what was seen last */
	lag = wi_lag_of(&history, 40);
	assert_int_equal(lag.as_of_ns, 4000);
	assert_int_equal(lag.behind_since_ns, 0);
	assert_int_equal(lag.bytes, 0);
	assert_int_equal(wi_lag_of(&history, 1000).bytes, 0);
	/* further back than anybody remembers: no promise */
	lag = wi_lag_of(&history, 5);
	assert_int_equal(lag.as_of_ns, WI_LAG_UNKNOWN);
	assert_int_equal(lag.behind_since_ns, 1001);
	assert_int_equal(lag.bytes, 35);
}

/* The false alarm that others raise: one write after a quiet hour is not an hour of lag. */
static void an_idle_primary_makes_nobody_old(void **state)
{
	struct wi_lag lag;

	(void)state;
	for (int64_t t = 0; t < 3600; t++)
		at(t * WI_SEC, 10);
	assert_int_equal(history.count, 1);
	assert_int_equal(wi_lag_of(&history, 10).as_of_ns, 3599 * WI_SEC);
	at(3600 * WI_SEC, 20);
	lag = wi_lag_of(&history, 10);
	assert_int_equal(lag.as_of_ns, 3599 * WI_SEC);
	assert_int_equal(lag.behind_since_ns, 3600 * WI_SEC + 1);
}

static void a_position_that_went_back_begins_anew(void **state)
{
	(void)state;
	at(1000, 100);
	at(2000, 50);
	assert_int_equal(history.count, 1);
	assert_int_equal(wi_lag_of(&history, 50).as_of_ns, 2000);
	assert_int_equal(wi_lag_of(&history, 40).as_of_ns, WI_LAG_UNKNOWN);
}

/*
 * Eleven days, once a second: what is said may be older than the truth, by at most a sixth, and
 * never younger.
 */
static void a_long_history_is_told_within_a_sixth(void **state)
{
	const int64_t n = 1000000;
	static const int64_t back[] = {1, 2, 5, 10, 60, 600, 3600, 86400, 700000};

	(void)state;
	for (int64_t t = 0; t < n; t++)
		at(t * WI_SEC, 1000 + (uint64_t)t);
	for (size_t i = 0; i < sizeof(back) / sizeof(back[0]); i++) {
		int64_t stands = n - 1 - back[i];
		struct wi_lag lag = wi_lag_of(&history, 1000 + (uint64_t)stands);
		int64_t since = n - 1 - lag.behind_since_ns / WI_SEC;

		assert_true(lag.as_of_ns <= stands * WI_SEC);
		assert_true(n - 1 - lag.as_of_ns / WI_SEC <= back[i] + back[i] / 6 + 2);
		assert_true(since <= back[i] && since >= back[i] - back[i] / 6 - 2);
	}
}

/* o: over the limit, e: at its edge, w: well below; + in, - out, after each. */
static void who_was_over_comes_back_after_three_good_answers(void **state)
{
	static const char answers[] = "weeoeeewweww"
				      "w"
				      "eo";
	static const char stands[] = "+++---------"
				     "+"
				     "+-";
	struct wi_standing standing = {0};

	(void)state;
	for (size_t i = 0; answers[i]; i++) {
		wi_standing_weigh(&standing, answers[i] == 'o', answers[i] == 'w');
		assert_int_equal(standing.out, stands[i] == '-');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_is_known_without_a_primary, set_up),
		cmocka_unit_test_setup(a_place_in_the_history_says_how_old, set_up),
		cmocka_unit_test_setup(an_idle_primary_makes_nobody_old, set_up),
		cmocka_unit_test_setup(a_position_that_went_back_begins_anew, set_up),
		cmocka_unit_test_setup(a_long_history_is_told_within_a_sixth, set_up),
		cmocka_unit_test(who_was_over_comes_back_after_three_good_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

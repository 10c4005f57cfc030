/* SPDX-License-Identifier: BSD-2-Clause */
/* Alert rules: raised, told, quiet for a while, told again, over; and no coming and going. */
#include "stat/alert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "stat/slow.h"

static struct wi_alarm alarm;
static int64_t now_ns;

static int set_up(void **state)
{
	(void)state;
	alarm = (struct wi_alarm){.raised = false};
	now_ns = 1000 * WI_SEC;
	return 0;
}

/* A look ten seconds after the last one: with a threshold of 80, and a cooldown of a minute. */
static enum wi_alert_news look(weir_alert_rule rule, int64_t value)
{
	now_ns += 10 * WI_SEC;
	return wi_alarm_look(&alarm, rule, 80, value, now_ns, 60000);
}

static void raised_once_and_told_again_after_the_cooldown(void **state)
{
	(void)state;
	assert_int_equal(look(WEIR_ALERT_LEAKS, 79), WI_ALERT_NO_NEWS);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 80), WI_ALERT_RAISED);
	assert_int_equal(alarm.since_ns, now_ns);
	for (int i = 0; i < 5; i++)
		assert_int_equal(look(WEIR_ALERT_LEAKS, 90), WI_ALERT_NO_NEWS);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 95), WI_ALERT_RAISED);
	assert_int_equal(alarm.value, 95);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 95), WI_ALERT_NO_NEWS);
}

static void over_when_two_looks_in_a_row_find_less(void **state)
{
	(void)state;
	assert_int_equal(look(WEIR_ALERT_LEAKS, 80), WI_ALERT_RAISED);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 0), WI_ALERT_NO_NEWS);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 80), WI_ALERT_NO_NEWS);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 0), WI_ALERT_NO_NEWS);
	assert_true(alarm.raised);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 0), WI_ALERT_CLEARED);
	assert_false(alarm.raised);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 0), WI_ALERT_NO_NEWS);
}

/* Usage lets go below 90 % of its threshold: 72 here. */
static void on_the_edge_it_does_not_come_and_go(void **state)
{
	int told = 0;

	(void)state;
	for (int i = 0; i < 200; i++)
		told += look(WEIR_ALERT_USAGE, i % 4 < 2 ? 81 : 73) != WI_ALERT_NO_NEWS;
	assert_true(alarm.raised);
	assert_int_equal(told, (200 - 2) * 10 / 60 + 1); /* raised once; then each cooldown */
	assert_int_equal(look(WEIR_ALERT_USAGE, 71), WI_ALERT_NO_NEWS);
	assert_int_equal(look(WEIR_ALERT_USAGE, 71), WI_ALERT_CLEARED);
}

static void usage_takes_two_looks(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(look(WEIR_ALERT_USAGE, i % 2 ? 100 : 10), WI_ALERT_NO_NEWS);
	assert_int_equal(look(WEIR_ALERT_USAGE, 80), WI_ALERT_RAISED);
}

static void back_within_the_cooldown_it_is_told_late(void **state)
{
	(void)state;
	assert_int_equal(look(WEIR_ALERT_LEAKS, 80), WI_ALERT_RAISED); /* 10 */
	(void)look(WEIR_ALERT_LEAKS, 0);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 0), WI_ALERT_CLEARED); /* 30 */
	assert_int_equal(look(WEIR_ALERT_LEAKS, 80), WI_ALERT_NO_NEWS);
	assert_true(alarm.raised && !alarm.told);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 80), WI_ALERT_NO_NEWS);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 80), WI_ALERT_NO_NEWS);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 80), WI_ALERT_RAISED); /* 70 */
}

static void who_was_not_told_is_not_cleared_aloud(void **state)
{
	(void)state;
	assert_int_equal(look(WEIR_ALERT_LEAKS, 80), WI_ALERT_RAISED);
	(void)look(WEIR_ALERT_LEAKS, 0);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 0), WI_ALERT_CLEARED);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 80), WI_ALERT_NO_NEWS);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 0), WI_ALERT_NO_NEWS);
	assert_int_equal(look(WEIR_ALERT_LEAKS, 0), WI_ALERT_NO_NEWS);
	assert_false(alarm.raised);
}

static void without_a_cooldown_it_is_told_once_each_time(void **state)
{
	const weir_alert_rule rule = WEIR_ALERT_LEAKS;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(wi_alarm_look(&alarm, rule, 1, 1, ++now_ns, 0), WI_ALERT_RAISED);
		assert_int_equal(wi_alarm_look(&alarm, rule, 1, 1, ++now_ns, 0), WI_ALERT_NO_NEWS);
		assert_int_equal(wi_alarm_look(&alarm, rule, 1, 0, ++now_ns, 0), WI_ALERT_NO_NEWS);
		assert_int_equal(wi_alarm_look(&alarm, rule, 1, 0, ++now_ns, 0), WI_ALERT_CLEARED);
	}
}

static void a_rule_that_is_switched_off_is_over(void **state)
{
	(void)state;
	assert_int_equal(look(WEIR_ALERT_LEAKS, 80), WI_ALERT_RAISED);
	assert_int_equal(wi_alarm_look(&alarm, WEIR_ALERT_LEAKS, 0, 80, now_ns, 60000),
	                 WI_ALERT_CLEARED);
	assert_int_equal(wi_alarm_look(&alarm, WEIR_ALERT_LEAKS, 0, 80, now_ns, 60000),
	                 WI_ALERT_NO_NEWS);
}

static void nothing_to_judge_by_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(look(WEIR_ALERT_LEAKS, 80), WI_ALERT_RAISED);
	for (int i = 0; i < 3; i++)
		assert_int_equal(look(WEIR_ALERT_LEAKS, -1), WI_ALERT_NO_NEWS);
	assert_true(alarm.raised);
}

/* ---- the window ---- */

static void the_window_forgets_what_is_older(void **state)
{
	struct wi_window w = {.samples = 0};
	uint64_t counts[WI_COUNTED] = {[WI_LEAKED] = 7}, within[WI_COUNTED];

	(void)state;
	assert_false(wi_window_within(&w, now_ns, 60 * WI_SEC, counts, within));
	for (int i = 1; i <= 30; i++) { /* one more each ten seconds */
		now_ns += 10 * WI_SEC;
		counts[WI_LEAKED]++;
		assert_true(wi_window_within(&w, now_ns, 60 * WI_SEC, counts, within));
		assert_int_equal(within[WI_LEAKED], i < 6 ? i : 6);
	}
	now_ns += 60 * WI_SEC;
	assert_true(wi_window_within(&w, now_ns, 60 * WI_SEC, counts, within));
	assert_int_equal(within[WI_LEAKED], 0);
}

/* Looks that come faster than there are samples: the window is as long, if a little coarse. */
static void many_looks_do_not_shorten_the_window(void **state)
{
	struct wi_window w = {.samples = 0};
	uint64_t counts[WI_COUNTED] = {0}, within[WI_COUNTED];

	(void)state;
	(void)wi_window_within(&w, now_ns, 60 * WI_SEC, counts, within);
	for (int i = 1; i <= 2000; i++) {
		now_ns += WI_SEC / 10;
		counts[WI_LEAKED]++;
		assert_true(wi_window_within(&w, now_ns, 60 * WI_SEC, counts, within));
	}
	assert_in_range(within[WI_LEAKED], 600, 640);
	counts[WI_LEAKED] = 3; /* a sum over hosts, of which one has left */
	assert_true(wi_window_within(&w, now_ns, 60 * WI_SEC, counts, within));
	assert_int_equal(within[WI_LEAKED], 0);
}

static void a_share_of_few_is_none(void **state)
{
	(void)state;
	assert_int_equal(wi_failure_pct(4, 4), 0);
	assert_int_equal(wi_failure_pct(5, 5), 100);
	assert_int_equal(wi_failure_pct(200, 99), 49);
}

static void the_names_are_there(void **state)
{
	(void)state;
	for (int i = 0; i < WEIR_ALERT_RULES; i++) {
		assert_string_not_equal(weir_alert_name((weir_alert_rule)i), "UNKNOWN");
		assert_true(weir_alert_text((weir_alert_rule)i)[0] != '\0');
		assert_non_null(weir_alert_unit((weir_alert_rule)i));
	}
	assert_string_equal(weir_alert_name(WEIR_ALERT_RULES), "UNKNOWN");
	assert_string_equal(weir_severity_name(weir_alert_severity(WEIR_ALERT_UNHEALTHY)),
	                    "CRITICAL");
	assert_string_equal(weir_severity_name(weir_alert_severity(WEIR_ALERT_USAGE)), "WARNING");
}

/* ---- seldom ---- */

static void what_is_told_seldom_counts_the_others(void **state)
{
	struct wi_seldom s = {.next_ns = 0};
	uint64_t held_back;

	(void)state;
	assert_true(wi_seldom_now(&s, 100, 50, &held_back));
	assert_int_equal(held_back, 0);
	for (int i = 0; i < 7; i++)
		assert_false(wi_seldom_now(&s, 100 + i, 50, &held_back));
	assert_true(wi_seldom_now(&s, 150, 50, &held_back));
	assert_int_equal(held_back, 7);
	assert_true(wi_seldom_now(&s, 900, 50, &held_back));
	assert_int_equal(held_back, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		TEST(raised_once_and_told_again_after_the_cooldown),
		TEST(over_when_two_looks_in_a_row_find_less),
		TEST(on_the_edge_it_does_not_come_and_go),
		TEST(usage_takes_two_looks),
		TEST(back_within_the_cooldown_it_is_told_late),
		TEST(who_was_not_told_is_not_cleared_aloud),
		TEST(without_a_cooldown_it_is_told_once_each_time),
		TEST(a_rule_that_is_switched_off_is_over),
		TEST(nothing_to_judge_by_changes_nothing),
		TEST(the_window_forgets_what_is_older),
		TEST(many_looks_do_not_shorten_the_window),
		TEST(a_share_of_few_is_none),
		TEST(the_names_are_there),
		TEST(what_is_told_seldom_counts_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

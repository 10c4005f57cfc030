/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each alias of an option: its name, its unit, its bounds, and what happens when two names
 * disagree. The expectations are written out by hand; a row of aliases.def that has none here is a
 * failure. Parts of the connection string are in alias_parts_test.c.
 */
#include "config/alias.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/line.h"
#include "config/options.h"
#include "support/environment.h"

static weir_options options;
static weir_error error;

static int fresh(void **state)
{
	(void)state;
	env_begin();
	weir_options_init(&options);
	memset(&error, 0, sizeof(error));
	return 0;
}

static int restore(void **state)
{
	(void)state;
	env_end();
	return 0;
}

/* What an option is set to by a value, and values that are refused. */
static const struct {
	const char *env, *given, *option, *want, *refused[4];
} expected[] = {
	{"DB_POOL_MIN", "4", "pool_min", "4", {"-1", "32768", "1.5", "four"}},
	{"DB_MIN_POOL_SIZE", "5", "pool_min", "5", {"-1", "32768", "5s", "x"}},
	{"DB_POOL_MAX", "20", "pool_max", "20", {"0", "32768", "20.0", " "}},
	{"DB_MAX_POOL_SIZE", "30", "pool_max", "30", {"0", "32768", "1e3", "0x10"}},
	{"DB_MAX_OVERFLOW", "10", "pool_overflow", "10", {"-2", "32768", "1,5", "+"}},
	{"POSTGRES_POOL_SIZE", "5", "pool_max", "5", {"0", "32768", "five", "."}},
	{"POSTGRES_MAX_OVERFLOW", "15", "pool_overflow", "15", {"-2", "99999", "-1.0", "5 5"}},
	{"POD_COUNT", "3", "pod_count", "3", {"-1", "100001", "3.5", "many"}},
	{"DB_TIMEOUT", "30", "checkout_timeout_ms", "30000", {"-1", "86401", "30s", "."}},
	{"DB_CHECKOUT_TIMEOUT", "0.5", "checkout_timeout_ms", "500", {"-0.1", "1e9", "x", "5m"}},
	{"POSTGRES_POOL_TIMEOUT",
         "30.0",
         "checkout_timeout_ms",
         "30000",
         {"-1", "86400.1", "", "t"}},
	{"DB_CONNECT_TIMEOUT", "2.5", "connect_timeout_ms", "2500", {"0", "3601", "-5", "10s"}},
	{"DB_COMMAND_TIMEOUT", "60", "query_timeout_ms", "60000", {"-1", "9999999999", "x", "1m"}},
	{"DB_STATEMENT_TIMEOUT",
         "15000",
         "statement_timeout_ms",
         "15000",
         {"-1", "2147483648", "15s", "x"}},
	{"DB_IDLE_TIMEOUT",
         "45000",
         "idle_in_transaction_timeout_ms",
         "45000",
         {"-1", "2147483648", "y", "1h"}},
	{"POSTGRES_POOL_RECYCLE",
         "3600",
         "max_lifetime_ms",
         "3600000",
         {"0", "-2", "2147484", "1h"}},
	{"POSTGRES_POOL_PRE_PING", "true", "pre_ping", "ping", {"2", "look", "ping", "truee"}},
	{"DB_HEALTH_CHECK_INTERVAL", "30", "keepalive_ms", "30000", {"-1", "2147484", "x", "30 s"}},
	{"DB_CIRCUIT_FAILURE_THRESHOLD",
         "7",
         "breaker_failures",
         "7",
         {"-1", "1000001", "0.5", "x"}},
	{"DB_CIRCUIT_RECOVERY_TIMEOUT", "60", "breaker_open_ms", "60000", {"0", "60.5", "-1", "x"}},
	{"DB_ENABLE_MONITORING", "false", "monitoring", "off", {"2", "maybe", "-", "tru"}},
	{"DB_METRICS_INTERVAL", "15", "metrics_interval_ms", "15000", {"-1", "86401", "x", "15s"}},
	{"DB_MAX_CHECKOUT_TIME", "5.0", "slow_checkout_ms", "5000", {"-1", "86401", "x", "5s"}},
	{"DB_MAX_QUERY_TIME", "1.25", "slow_query_ms", "1250", {"-1", "86401", "x", "1s"}},
	{"DB_CONNECTION_FAILURE_THRESHOLD",
         "0.1",
         "alert_failure_pct",
         "10",
         {"-0.1", "1.01", "10", "10%"}},
};

static const char *get(const char *option)
{
	static char text[256];

	assert_int_equal(weir_options_get(&options, option, text, sizeof(text)), WEIR_OK);
	return text;
}

static void take(void)
{
	weir_options_init(&options);
	if (weir_options_from_env(&options, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

static void refuse(void)
{
	weir_options before;

	weir_options_init(&options);
	before = options;
	assert_int_equal(weir_options_from_env(&options, &error), WEIR_INVALID);
	assert_memory_equal(&options, &before, sizeof(before));
}

static void each_row_of_an_option_is_expected_here(void **state)
{
	const weir_alias_row *row;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; (row = weir_alias_at(i)); i++) {
		size_t found = 0;

		if (*row->keyword)
			continue; /* alias_parts_test.c */
		for (size_t k = 0; k < WI_ARRAY_LEN(expected); k++)
			if (strcmp(expected[k].env, row->env) == 0) {
				assert_string_equal(row->option, expected[k].option);
				assert_non_null(wi_option_find(row->option));
				found++;
			}
		if (found != 1)
			fail_msg("%s: expected %zu times", row->env, found);
		n++;
	}
	assert_int_equal(n, WI_ARRAY_LEN(expected));
}

static void each_sets_its_option_in_its_unit(void **state)
{
	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(expected); i++) {
		env_only(expected[i].env, expected[i].given);
		take();
		if (strcmp(get(expected[i].option), expected[i].want) != 0)
			fail_msg("%s=%s: %s is %s", expected[i].env, expected[i].given,
			         expected[i].option, get(expected[i].option));
		assert_string_equal(error.text, "");
	}
}

static void each_refuses_what_is_out_of_bounds(void **state)
{
	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(expected); i++)
		for (size_t k = 0; k < 4; k++) {
			const char *value = expected[i].refused[k];
			char quoted[64];

			if (!*value)
				continue;
			env_only(expected[i].env, value);
			refuse();
			snprintf(quoted, sizeof(quoted), "environment: %s: \"%s\"", expected[i].env,
			         *value == ' ' ? "" : value);
			if (!strstr(error.text, quoted))
				fail_msg("%s=%s: %s", expected[i].env, value, error.text);
		}
}

static void each_may_be_empty(void **state)
{
	const weir_alias_row *row;
	weir_options untouched;

	(void)state;
	weir_options_init(&untouched);
	for (size_t i = 0; (row = weir_alias_at(i)); i++) {
		env_only(row->env, "");
		take();
		assert_memory_equal(&options, &untouched, sizeof(options));
	}
	env_only("WEIR_POOL_MAX", "");
	take();
	assert_memory_equal(&options, &untouched, sizeof(options));
}

/* Weir's own name with the same meaning, then with another one. */
static void each_agrees_with_weirs_own_name_or_is_refused(void **state)
{
	char own[64];

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(expected); i++) {
		const struct wi_option *row = wi_option_find(expected[i].option);
		const char *other = row->shown.type == WEIR_OPTION_IS_CHOICE
		                            ? (strcmp(expected[i].want, "off") == 0 ? "on" : "off")
		                            : "11";

		snprintf(own, sizeof(own), "%s", row->shown.env);
		env_only(expected[i].env, expected[i].given);
		env_put(own, expected[i].want);
		take();
		assert_string_equal(get(expected[i].option), expected[i].want);

		env_only(expected[i].env, expected[i].given);
		env_put(own, other);
		refuse();
		if (!strstr(error.text, own) || !strstr(error.text, expected[i].env) ||
		    !strstr(error.text, expected[i].given))
			fail_msg("%s", error.text);
	}
}

static void names_of_one_meaning_agree_or_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(expected); i++)
		for (size_t k = 0; k < i; k++) {
			if (strcmp(expected[i].option, expected[k].option) != 0)
				continue;
			env_only(expected[i].env, "17");
			env_put(expected[k].env, "17");
			take();
			env_only(expected[i].env, "17");
			env_put(expected[k].env, "18");
			refuse();
			assert_non_null(strstr(error.text, expected[i].env));
			assert_non_null(strstr(error.text, expected[k].env));
		}
	env_only("DB_TIMEOUT", "30");
	env_put("POSTGRES_POOL_TIMEOUT", "30.000");
	env_put("WEIR_CHECKOUT_TIMEOUT_MS", "30s");
	take();
	env_only("DB_POOL_MAX", "20");
	env_put("POSTGRES_POOL_SIZE", "5");
	refuse();
	assert_string_equal(error.text,
	                    "environment: DB_POOL_MAX is \"20\", and POSTGRES_POOL_SIZE is \"5\": "
	                    "both set option \"pool_max\"; leave one of them out, or make them "
	                    "equal");
}

static void numbers_are_read_as_they_are_written(void **state)
{
	static const struct {
		const char *name, *value, *option, *want;
	} cases[] = {
		{"DB_TIMEOUT", "0", "checkout_timeout_ms", "0"},
		{"DB_TIMEOUT", "30.", "checkout_timeout_ms", "30000"},
		{"DB_TIMEOUT", ".25", "checkout_timeout_ms", "250"},
		{"DB_TIMEOUT", " 1.5 ", "checkout_timeout_ms", "1500"},
		{"DB_TIMEOUT", "0.0014", "checkout_timeout_ms", "1"},
		{"DB_TIMEOUT", "0.0015", "checkout_timeout_ms", "2"},
		{"DB_TIMEOUT", "0.0001", "checkout_timeout_ms", "1"},
		{"DB_TIMEOUT", "0.0000", "checkout_timeout_ms", "0"},
		{"DB_TIMEOUT", "+2", "checkout_timeout_ms", "2000"},
		{"DB_STATEMENT_TIMEOUT", "250.0", "statement_timeout_ms", "250"},
		{"DB_CONNECTION_FAILURE_THRESHOLD", "1", "alert_failure_pct", "100"},
		{"DB_CONNECTION_FAILURE_THRESHOLD", "0.001", "alert_failure_pct", "1"},
		{"DB_CONNECTION_FAILURE_THRESHOLD", "0.125", "alert_failure_pct", "13"},
		{"POSTGRES_POOL_RECYCLE", "-1", "max_lifetime_ms", "0"},
		{"POSTGRES_MAX_OVERFLOW", "-1", "pool_overflow", "1000"},
		{"POSTGRES_MAX_OVERFLOW", "0", "pool_overflow", "0"},
		{"POSTGRES_MAX_OVERFLOW", "32767", "pool_overflow", "32767"},
		{"DB_MAX_OVERFLOW", " -1 ", "pool_overflow", "1000"},
		{"POSTGRES_POOL_RECYCLE", "1800.5", "max_lifetime_ms", "1800500"},
	};

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(cases); i++) {
		env_only(cases[i].name, cases[i].value);
		take();
		if (strcmp(get(cases[i].option), cases[i].want) != 0)
			fail_msg("%s=%s: %s", cases[i].name, cases[i].value, get(cases[i].option));
	}
	env_only("DB_TIMEOUT", "99999999999999999999999999");
	refuse();
	assert_non_null(strstr(error.text, "is out of range: 0 to 86400 s"));
	env_only("POSTGRES_POOL_RECYCLE", "0");
	refuse();
	assert_non_null(strstr(error.text, "\"0\" is out of range: -1 (never), or 0.001 to "));
	env_only("POSTGRES_MAX_OVERFLOW", "-2");
	refuse();
	assert_non_null(strstr(error.text, "\"-2\" is out of range: -1 (no limit), or 0 to 32767"));
	env_only("POSTGRES_POOL_SIZE", "-1"); /* no limit is said of the overflow */
	refuse();
	assert_non_null(strstr(error.text, "\"-1\" is out of range: 1 to 32767"));
}

static void yes_and_no_have_many_words(void **state)
{
	static const char *const yes[] = {"true", "True", "TRUE", "1", "yes", "on", "t", "Y"};
	static const char *const no[] = {"false", "False", "0", "no", "NO", "off", "f", "n"};

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(yes); i++) {
		env_only("POSTGRES_POOL_PRE_PING", yes[i]);
		env_put("DB_ENABLE_MONITORING", yes[i]);
		take();
		assert_string_equal(get("pre_ping"), "ping");
		assert_string_equal(get("monitoring"), "on");
		env_only("POSTGRES_POOL_PRE_PING", no[i]);
		env_put("DB_ENABLE_MONITORING", no[i]);
		take();
		assert_string_equal(get("pre_ping"), "off");
		assert_string_equal(get("monitoring"), "off");
	}
}

/* ---- strangers ---- */

static weir_event_kind told;
static char told_text[256];

static void hear(void *arg, const weir_event *event)
{
	(void)arg;
	told = event->kind;
	snprintf(told_text, sizeof(told_text), "%s", event->text);
}

static void names_near_an_alias_are_told_and_left_alone(void **state)
{
	(void)state;
	env_only("DB_POOL_MAXX", "sekrit");
	env_put("DB_BACKEND_TYPE", "mysql");
	env_put("POSTGRES_USER", "me");
	env_put("POSTGRES_POOL_SIZ", "9");
	env_put("DB_DATABASE", "other");
	weir_options_init(&options);
	options.on_event = hear;
	assert_int_equal(weir_options_from_env(&options, &error), WEIR_OK);
	assert_string_equal(error.text,
	                    "environment: DB_POOL_MAXX is none of weir's names: did you mean "
	                    "DB_POOL_MAX?; environment: POSTGRES_POOL_SIZ is none of weir's "
	                    "names: did you mean POSTGRES_POOL_SIZE?");
	assert_int_equal(told, WEIR_EVENT_NAME_DOUBTED);
	assert_non_null(strstr(told_text, "POSTGRES_POOL_SIZ "));
	assert_int_equal(options.pool_max, 10);
}

static void a_minimum_above_the_maximum_is_told(void **state)
{
	(void)state;
	env_only("DB_POOL_MIN", "20");
	env_put("DB_POOL_MAX", "10");
	take(); /* the connection string may yet say another maximum */
	assert_int_equal(wi_options_agree(&options, &error), WEIR_INVALID);
	assert_string_equal(error.text, "pool_min is 20, more than pool_max, which is 10");
	env_only("POSTGRES_POOL_SIZE", "1");
	take(); /* nobody has set a minimum */
	assert_int_equal(wi_options_agree(&options, &error), WEIR_OK);
	assert_int_equal(options.pool_min, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, restore)
	const struct CMUnitTest tests[] = {
		TEST(each_row_of_an_option_is_expected_here),
		TEST(each_sets_its_option_in_its_unit),
		TEST(each_refuses_what_is_out_of_bounds),
		TEST(each_may_be_empty),
		TEST(each_agrees_with_weirs_own_name_or_is_refused),
		TEST(names_of_one_meaning_agree_or_are_refused),
		TEST(numbers_are_read_as_they_are_written),
		TEST(yes_and_no_have_many_words),
		TEST(names_near_an_alias_are_told_and_left_alone),
		TEST(a_minimum_above_the_maximum_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

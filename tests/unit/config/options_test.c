/* SPDX-License-Identifier: BSD-2-Clause */
/* The options table: defaults, text in and out, every error's words. */
#include "config/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static weir_options options;
static weir_error error;

static int fresh(void **state)
{
	(void)state;
	weir_options_init(&options);
	memset(&error, 0, sizeof(error));
	return 0;
}

static void set(const char *name, const char *value)
{
	if (weir_options_set(&options, name, value, &error) != WEIR_OK)
		fail_msg("%s=%s: %s", name, value, error.text);
}

/* The value is refused with these words, and the struct is as it was. */
static void refuse(const char *name, const char *value, const char *text)
{
	const weir_options before = options;

	assert_int_equal(weir_options_set(&options, name, value, &error), WEIR_INVALID);
	assert_string_equal(error.text, text);
	assert_memory_equal(&options, &before, sizeof(before));
	assert_int_equal(weir_options_set(&options, name, value, NULL), WEIR_INVALID);
}

static void defaults_are_those_of_the_table(void **state)
{
	(void)state;
	assert_int_equal(options.size, sizeof(options));
	assert_int_equal(options.pool_min, 2);
	assert_int_equal(options.pool_max, 10);
	assert_int_equal(options.checkout_timeout_ms, 30000);
	assert_int_equal(options.balance, WEIR_BALANCE_P2C);
	assert_string_equal(options.application_name, "weir");
	assert_string_equal(options.reset, "tracked");
	assert_string_equal(options.sslmode, "");
	assert_null(options.on_event);
}

static void every_row_is_well_formed(void **state)
{
	const weir_option_row *row;
	char text[4096];

	(void)state;
	for (size_t i = 0; (row = weir_option_at(i)); i++) {
		assert_true(*row->name && *row->help);
		assert_int_equal(strncmp(row->env, "WEIR_", 5), 0);
		assert_int_equal(strlen(row->env), strlen(row->name) + 5);
		for (const char *c = row->env; *c; c++)
			assert_true((*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
			            *c == '_');
		assert_true(wi_option_known(row->name));
		assert_int_equal(weir_options_get(&options, row->name, text, sizeof(text)),
		                 WEIR_OK);
		assert_string_equal(text, row->default_);
		set(row->name, row->default_);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(row->name, weir_option_at(k)->name);
	}
	assert_null(weir_option_at(SIZE_MAX));
	assert_false(wi_option_known("host"));
}

static void numbers_are_set(void **state)
{
	(void)state;
	set("pool_max", "32");
	assert_int_equal(options.pool_max, 32);
	set("pool_max", " 33 ");
	assert_int_equal(options.pool_max, 33);
	set("lifetime_jitter_pct", "5%");
	assert_int_equal(options.lifetime_jitter_pct, 5);
	set("max_lag_bytes", "9223372036854775807");
	assert_true(options.max_lag_bytes == INT64_MAX);
}

static void durations_take_units(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{"250", 250},     {"250ms", 250},  {"30s", 30000},   {"30 s", 30000},
		{"5min", 300000}, {"1h", 3600000}, {"1d", 86400000}, {"0", 0},
		{"off", 0},       {"OFF", 0},      {"7S", 7000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set("statement_timeout_ms", cases[i].text);
		assert_int_equal(options.statement_timeout_ms, cases[i].ms);
	}
}

static void sizes_take_units(void **state)
{
	(void)state;
	set("max_lag_bytes", "16MB");
	assert_int_equal(options.max_lag_bytes, 16 << 20);
	set("max_lag_bytes", "64 kB");
	assert_int_equal(options.max_lag_bytes, 64 << 10);
	set("max_lag_bytes", "2GB");
	assert_int_equal(options.max_lag_bytes, INT64_C(2) << 30);
	set("max_lag_bytes", "7B");
	assert_int_equal(options.max_lag_bytes, 7);
}

static void choices_go_by_name(void **state)
{
	(void)state;
	set("balance", "least");
	assert_int_equal(options.balance, WEIR_BALANCE_LEAST);
	set("isolated", "on");
	assert_int_equal(options.isolated, 1);
	set("isolated", "off");
	assert_int_equal(options.isolated, 0);
	set("fork", "reopen");
	assert_int_equal(options.fork, WEIR_FORK_REOPEN);
}

static void texts_are_replaced_whole(void **state)
{
	(void)state;
	set("zone", "eu-central-1a");
	set("zone", "b");
	assert_string_equal(options.zone, "b");
	assert_int_equal(options.zone[2], 0);
	set("zone", "");
	assert_string_equal(options.zone, "");
}

static void unknown_names_are_told_with_the_nearest(void **state)
{
	(void)state;
	refuse("pool_maks", "1", "unknown option \"pool_maks\": did you mean \"pool_max\"?");
	refuse("checkout_timeout", "1",
	       "unknown option \"checkout_timeout\": did you mean \"checkout_timeout_ms\"?");
	refuse("colour", "1", "unknown option \"colour\"");
	refuse("", "1", "unknown option \"\"");
	refuse("a\nb", "1", "unknown option \"a b\"");
}

static void numbers_out_of_range_are_told_with_the_range(void **state)
{
	(void)state;
	refuse("pool_max", "0", "option \"pool_max\": \"0\" is out of range: 1 to 32767");
	refuse("pool_max", "-1", "option \"pool_max\": \"-1\" is out of range: 1 to 32767");
	refuse("pool_max", "99999999999999999999999",
	       "option \"pool_max\": \"99999999999999999999999\" is out of range: 1 to 32767");
	/* runs over in its last but one digit, and what is left of it would be in range */
	refuse("pool_max", "184467440737095516205",
	       "option \"pool_max\": \"184467440737095516205\" is out of range: 1 to 32767");
	refuse("connect_timeout_ms", "2h",
	       "option \"connect_timeout_ms\": \"2h\" is out of range: 1 to 3600000 ms");
	refuse("max_lag_bytes", "9223372036854775807kB",
	       "option \"max_lag_bytes\": \"9223372036854775807kB\" is out of range: 0 to 9223372036854775807 bytes");
}

static void what_is_no_number_is_told_with_the_units(void **state)
{
	(void)state;
	refuse("pool_max", "many", "option \"pool_max\": \"many\" is not a number");
	refuse("pool_max", "", "option \"pool_max\": \"\" is not a number");
	refuse("pool_max", "-", "option \"pool_max\": \"-\" is not a number");
	refuse("pool_max", "5 s", "option \"pool_max\": \"5 s\" is not a number");
	refuse("pool_max", "1.5", "option \"pool_max\": \"1.5\" is not a number");
	refuse("pool_max", "0x10", "option \"pool_max\": \"0x10\" is not a number");
	/* its least is 1 */
	refuse("pool_max", "off", "option \"pool_max\": \"off\" is not a number");
	refuse("lock_timeout_ms", "5m",
	       "option \"lock_timeout_ms\": \"5m\" is not a number; a unit may follow it: ms, s, min, h, d");
	refuse("lock_timeout_ms", "5 s s",
	       "option \"lock_timeout_ms\": \"5 s s\" is not a number; a unit may follow it: ms, s, min, h, d");
	refuse("max_lag_bytes", "5s",
	       "option \"max_lag_bytes\": \"5s\" is not a number; a unit may follow it: B, kB, MB, GB, TB");
}

static void unknown_choices_are_told_with_all_of_them(void **state)
{
	(void)state;
	refuse("balance", "fair",
	       "option \"balance\": \"fair\" is none of: p2c, round_robin, random, least, first, weighted");
	refuse("balance", "p2",
	       "option \"balance\": \"p2\" is none of: p2c, round_robin, random, least, first, weighted");
	refuse("isolated", "", "option \"isolated\": \"\" is none of: off, on");
	refuse("sslmode", "verify",
	       "option \"sslmode\": \"verify\" is none of: disable, allow, prefer, require, verify-ca, verify-full");
	refuse("ssl_min_protocol_version", "1.2",
	       "option \"ssl_min_protocol_version\": \"1.2\" is none of: TLSv1, TLSv1.1, TLSv1.2, TLSv1.3");
	refuse("channel_binding", "on",
	       "option \"channel_binding\": \"on\" is none of: disable, prefer, require");
}

static void all_of_libpqs_words_are_taken(void **state)
{
	static const char *const pairs[][2] = {
		{"sslmode", "disable"},
		{"sslmode", "allow"},
		{"sslmode", "prefer"},
		{"sslmode", "require"},
		{"sslmode", "verify-ca"},
		{"sslmode", "verify-full"},
		{"sslmode", ""},
		{"ssl_min_protocol_version", "TLSv1"},
		{"ssl_min_protocol_version", "TLSv1.3"},
		{"channel_binding", "require"},
		{"channel_binding", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		set(pairs[i][0], pairs[i][1]);
}

static void reset_is_a_word_or_sql(void **state)
{
	(void)state;
	set("reset", "none");
	set("reset", "DISCARD ALL");
	set("reset", "ROLLBACK");
	refuse("reset", "alway",
	       "option \"reset\": \"alway\" is neither tracked, always or none, nor SQL");
	refuse("reset", "", "option \"reset\": \"\" is neither tracked, always or none, nor SQL");
}

static void texts_that_are_too_long_are_not_echoed(void **state)
{
	char text[600];

	(void)state;
	memset(text, 'z', sizeof(text));
	text[63] = '\0';
	set("zone", text);
	text[63] = 'z';
	text[64] = '\0';
	refuse("zone", text, "option \"zone\": 64 bytes are too many: at most 63");
}

static void shown_values_are_cut_and_clean(void **state)
{
	char text[300];

	(void)state;
	memset(text, 'z', sizeof(text));
	text[299] = '\0';
	text[1] = '\n';
	assert_int_equal(weir_options_set(&options, "pool_max", text, &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, "\"z zzz"));
	assert_non_null(strstr(error.text, "...\" is not a number"));
	assert_true(strlen(error.text) < 150);
}

static void null_arguments_are_refused(void **state)
{
	char text[8];

	(void)state;
	assert_int_equal(weir_options_set(NULL, "pool_max", "1", &error), WEIR_INVALID);
	assert_int_equal(weir_options_set(&options, NULL, "1", &error), WEIR_INVALID);
	assert_int_equal(weir_options_set(&options, "pool_max", NULL, &error), WEIR_INVALID);
	assert_int_equal(weir_options_get(NULL, "pool_max", text, sizeof(text)), WEIR_INVALID);
	assert_int_equal(weir_options_get(&options, NULL, text, sizeof(text)), WEIR_INVALID);
	assert_int_equal(weir_options_get(&options, "pool_max", NULL, 9), WEIR_INVALID);
}

static void get_needs_room_and_a_known_name(void **state)
{
	char text[8] = "before";

	(void)state;
	set("pool_max", "1234");
	assert_int_equal(weir_options_get(&options, "pool_max", text, 4), WEIR_INVALID);
	assert_string_equal(text, "before");
	assert_int_equal(weir_options_get(&options, "pool_max", text, 5), WEIR_OK);
	assert_string_equal(text, "1234");
	assert_int_equal(weir_options_get(&options, "pool_maks", text, sizeof(text)), WEIR_INVALID);
	set("balance", "round_robin");
	assert_int_equal(weir_options_get(&options, "balance", text, sizeof(text)), WEIR_INVALID);
	options.balance = 77;
	assert_int_equal(weir_options_get(&options, "balance", text, sizeof(text)), WEIR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(defaults_are_those_of_the_table, fresh),
		cmocka_unit_test_setup(every_row_is_well_formed, fresh),
		cmocka_unit_test_setup(numbers_are_set, fresh),
		cmocka_unit_test_setup(durations_take_units, fresh),
		cmocka_unit_test_setup(sizes_take_units, fresh),
		cmocka_unit_test_setup(choices_go_by_name, fresh),
		cmocka_unit_test_setup(texts_are_replaced_whole, fresh),
		cmocka_unit_test_setup(unknown_names_are_told_with_the_nearest, fresh),
		cmocka_unit_test_setup(numbers_out_of_range_are_told_with_the_range, fresh),
		cmocka_unit_test_setup(what_is_no_number_is_told_with_the_units, fresh),
		cmocka_unit_test_setup(unknown_choices_are_told_with_all_of_them, fresh),
		cmocka_unit_test_setup(all_of_libpqs_words_are_taken, fresh),
		cmocka_unit_test_setup(reset_is_a_word_or_sql, fresh),
		cmocka_unit_test_setup(texts_that_are_too_long_are_not_echoed, fresh),
		cmocka_unit_test_setup(shown_values_are_cut_and_clean, fresh),
		cmocka_unit_test_setup(null_arguments_are_refused, fresh),
		cmocka_unit_test_setup(get_needs_room_and_a_known_name, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

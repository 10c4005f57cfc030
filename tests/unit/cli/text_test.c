/* SPDX-License-Identifier: BSD-2-Clause */
/* The program's small text: what it reads strictly, what it writes, what it keeps to itself. */
#include "cli/text.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void whole_numbers_are_read_strictly(void **state)
{
	static const char *const bad[] = {"",
	                                  " 1",
	                                  "1 ",
	                                  "+1",
	                                  "0x10",
	                                  "1.0",
	                                  "1e3",
	                                  "-",
	                                  "--1",
	                                  "1k",
	                                  "9223372036854775808"};
	int64_t n = 42;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(cli_parse_int(bad[i], &n));
	assert_int_equal(n, 42);
	assert_true(cli_parse_int("0", &n) && n == 0);
	assert_true(cli_parse_int("-7", &n) && n == -7);
	assert_true(cli_parse_int("9223372036854775807", &n) && n == INT64_MAX);
}

static void seconds_may_have_a_fraction(void **state)
{
	static const char *const bad[] = {"",
	                                  ".",
	                                  "1.",
	                                  ".5",
	                                  "-1",
	                                  "1s",
	                                  "1.5.5",
	                                  "1e3",
	                                  "99999999999999999999",
	                                  "0.1234567891",
	                                  "2000000000"};
	int64_t ns = 42;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(cli_parse_seconds(bad[i], &ns));
	assert_true(cli_parse_seconds("10", &ns) && ns == 10000000000);
	assert_true(cli_parse_seconds("0.5", &ns) && ns == 500000000);
	assert_true(cli_parse_seconds("2.000000001", &ns) && ns == 2000000001);
}

static void a_near_name_is_found_and_a_far_one_is_not(void **state)
{
	static const char *const names[] = {"check", "options", "bench", "write-schema", NULL};
	static const char *const dashes[] = {"a-b-c-d-e-f", NULL};
	char longer[200];

	(void)state;
	assert_string_equal(cli_nearest("chekc", names), "check");
	assert_string_equal(cli_nearest("option", names), "options");
	assert_string_equal(cli_nearest("write_schema", names), "write-schema");
	assert_string_equal(cli_nearest("a_b_c_d_e_f", dashes), "a-b-c-d-e-f");
	assert_null(cli_nearest("zebra", names));
	assert_null(cli_nearest("", names));
	memset(longer, 'c', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_null(cli_nearest(longer, names));
}

static void connection_strings_look_secret(void **state)
{
	(void)state;
	assert_true(cli_looks_secret("postgresql://u:p@h/d"));
	assert_true(cli_looks_secret("host=h password=p"));
	assert_true(cli_looks_secret("u:p@h"));
	assert_false(cli_looks_secret("bnech"));
	assert_false(cli_looks_secret("--jsno"));
}

static void durations_have_three_digits(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
		{-1, "0 ns"},
		{0, "0 ns"},
		{999, "999 ns"},
		{1000, "1.00 us"},
		{1234, "1.23 us"},
		{12345, "12.3 us"},
		{123456, "123 us"},
		{999400, "999 us"},
		{999999, "1.00 ms"},
		{30000000000, "30.0 s"},
		{7200000000000, "7200 s"},
	};
	char text[CLI_SHORT];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(cli_duration(text, rows[i].ns), rows[i].text);
}

static void settings_and_bytes_read_well(void **state)
{
	char text[CLI_SHORT];

	(void)state;
	assert_string_equal(cli_setting(text, -1), "unknown");
	assert_string_equal(cli_setting(text, 0), "none");
	assert_string_equal(cli_setting(text, 250), "250 ms");
	assert_string_equal(cli_setting(text, 30000), "30 s");
	assert_string_equal(cli_setting(text, 60000), "1 min");
	assert_string_equal(cli_setting(text, 90000), "90 s");
	assert_string_equal(cli_bytes(text, 0), "0 B");
	assert_string_equal(cli_bytes(text, 1536), "1.50 KiB");
	assert_string_equal(cli_bytes(text, 16777216), "16.0 MiB");
}

static void copies_are_cut_and_ended(void **state)
{
	char text[4];

	(void)state;
	cli_copy(text, sizeof(text), "abcdef");
	assert_string_equal(text, "abc");
	cli_copy(text, 1, "abcdef");
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_numbers_are_read_strictly),
		cmocka_unit_test(seconds_may_have_a_fraction),
		cmocka_unit_test(a_near_name_is_found_and_a_far_one_is_not),
		cmocka_unit_test(connection_strings_look_secret),
		cmocka_unit_test(durations_have_three_digits),
		cmocka_unit_test(settings_and_bytes_read_well),
		cmocka_unit_test(copies_are_cut_and_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

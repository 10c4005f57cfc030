/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <weir/token.h>

static void what_is_printed_is_read(void **state)
{
	static const weir_token tokens[] = {
		{0},
		{.system = 7000000000000000001, .lsn = 0x3002000, .timeline = 3},
		{.system = UINT64_MAX, .lsn = UINT64_MAX, .timeline = UINT32_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		char text[WEIR_TOKEN_TEXT];
		weir_token back;

		memset(text, '!', sizeof(text));
		memset(&back, 0xff, sizeof(back));
		weir_token_print(&tokens[i], text);
		assert_true(strlen(text) < WEIR_TOKEN_TEXT);
		assert_int_equal(strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz-"),
		                 strlen(text));
		assert_int_equal(weir_token_parse(text, &back), WEIR_OK);
		assert_memory_equal(&back, &tokens[i], sizeof(back));
	}
}

static void the_form_does_not_change(void **state)
{
	const weir_token token = {.system = 0xabc, .lsn = 0x16b374d848, .timeline = 0x1f};
	char text[WEIR_TOKEN_TEXT];

	(void)state;
	weir_token_print(&token, text);
	assert_string_equal(text, "1-abc-1f-16b374d848");
}

static void anything_else_is_refused(void **state)
{
	static const char *const bad[] = {"",
	                                  "1",
	                                  "1-",
	                                  "1-abc-1f",
	                                  "1-abc-1f-",
	                                  "1-abc-1f-16b-",
	                                  "1-abc-1f-16b-0",
	                                  "2-abc-1f-16b",
	                                  "1-ABC-1f-16b",
	                                  "1-0abc-1f-16b",
	                                  "1-abc-01f-16b",
	                                  "1-abc-1f-016b",
	                                  " 1-abc-1f-16b",
	                                  "1-abc-1f-16b ",
	                                  "1-abc-1f-16b\n",
	                                  "1-abc-100000000-16b",
	                                  "1-10000000000000000-1-1",
	                                  "1--1f-16b",
	                                  "1-abc-1f-16g",
	                                  "1-abc-1f-0x16",
	                                  "1-abc-1f-16b374d84816b374d848"};
	weir_token token = {.lsn = 5};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (weir_token_parse(bad[i], &token) != WEIR_INVALID)
			fail_msg("\"%s\" was read", bad[i]);
	assert_int_equal(weir_token_parse(NULL, &token), WEIR_INVALID);
	assert_int_equal(weir_token_parse("1-0-0-0", NULL), WEIR_INVALID);
	assert_int_equal(token.lsn, 5);
}

static void no_token_is_printed_as_none(void **state)
{
	char text[WEIR_TOKEN_TEXT];

	(void)state;
	weir_token_print(NULL, text);
	assert_string_equal(text, "1-0-0-0");
	weir_token_print(NULL, NULL);
}

static void the_later_of_two_stands_for_both(void **state)
{
	const weir_token early = {.system = 1, .timeline = 1, .lsn = 90};
	const weir_token late = {.system = 1, .timeline = 1, .lsn = 91};
	const weir_token next = {.system = 1, .timeline = 2, .lsn = 50};
	const weir_token other = {.system = 2, .timeline = 1, .lsn = 1};
	const weir_token none = {0}, last = WEIR_TOKEN_PRIMARY;
	const struct {
		weir_token a, b, both;
	} rows[] = {
		{none, none, none},   {none, early, early}, {early, none, early},
		{early, late, late},  {late, early, late},  {late, next, next},
		{next, late, next},   {next, last, last},   {last, next, last},
		{late, other, other}, {other, none, other},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		weir_token token = rows[i].a;

		weir_token_raise(&token, &rows[i].b);
		assert_memory_equal(&token, &rows[i].both, sizeof(token));
	}
	weir_token_raise(NULL, &early);
	weir_token_raise(&(weir_token){0}, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_printed_is_read),
		cmocka_unit_test(the_form_does_not_change),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(no_token_is_printed_as_none),
		cmocka_unit_test(the_later_of_two_stands_for_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Bounded text, clean text, text without its secret, nearest names. */
#include "base/text.h"

#include <limits.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/line.h"
#include "base/rng.h"

static void added_text_is_cut_and_ends(void **state)
{
	char buffer[8];
	struct wi_text t;

	(void)state;
	memset(buffer, 'x', sizeof(buffer));
	wi_text_init(&t, buffer, 6);
	assert_string_equal(buffer, "");
	wi_text_add(&t, "%d", 123);
	wi_text_add(&t, "%s", "4567");
	assert_string_equal(buffer, "12345");
	assert_int_equal(t.len, 5);
	wi_text_add(&t, "more");
	assert_string_equal(buffer, "12345");
	assert_int_equal(buffer[6], 'x');
}

static void no_room_is_no_harm(void **state)
{
	char buffer[1] = {'x'};
	struct wi_text t;

	(void)state;
	wi_text_init(&t, buffer, 0);
	wi_text_add(&t, "abc");
	wi_copy(buffer, 0, "abc");
	wi_copy_clean(buffer, 0, "abc", NULL);
	assert_int_equal(buffer[0], 'x');
	wi_text_init(&t, buffer, 1);
	wi_text_add(&t, "abc");
	assert_string_equal(buffer, "");
}

static void copy_is_bounded(void **state)
{
	char buffer[4];

	(void)state;
	wi_copy(buffer, sizeof(buffer), "ab");
	assert_string_equal(buffer, "ab");
	wi_copy(buffer, sizeof(buffer), "abcdef");
	assert_string_equal(buffer, "abc");
}

static void expect_clean(const char *from, const char *secret, const char *expected)
{
	char buffer[256];

	wi_copy_clean(buffer, sizeof(buffer), from, secret);
	assert_string_equal(buffer, expected);
}

static void control_bytes_become_blanks(void **state)
{
	(void)state;
	expect_clean("one\ntwo\tthree\x1b[0m\x7f.", NULL, "one two three [0m .");
	expect_clean("ends here \r\n\n", NULL, "ends here");
	expect_clean("\n\n", NULL, "");
	expect_clean("gr\xc3\xbc\xc3\x9f", NULL, "gr\xc3\xbc\xc3\x9f");
}

static void secret_is_taken_out(void **state)
{
	(void)state;
	expect_clean("password hunter2 is wrong, hunter2!", "hunter2",
	             "password *** is wrong, ***!");
	expect_clean("hunter", "hunter2", "hunter");
	expect_clean("nothing", "", "nothing");
	expect_clean("hunter2hunter2", "hunter2", "******");
}

static void encoded_secret_is_taken_out(void **state)
{
	(void)state;
	expect_clean("at p%40ss%2fword.", "p@ss/word", "at ***.");
	expect_clean("at p%40ss%2Fword.", "p@ss/word", "at ***.");
	expect_clean("at %70%40%73%73%2f%77%6f%72%64.", "p@ss/word", "at ***.");
	expect_clean("at p@ss%2Fword.", "p@ss/word", "at ***.");
	expect_clean("at 100%25 sure", "100% sure", "at ***");
}

static void secret_with_percent_signs_is_taken_out_as_it_is(void **state)
{
	(void)state;
	expect_clean("at a%25b.", "a%25b", "at ***.");
	expect_clean("at a%2525b.", "a%25b", "at ***.");
	expect_clean("at a%%.", "a%%", "at ***.");
	expect_clean("cut a%2", "a%25b", "cut a%2");
}

static void secret_with_control_bytes_is_taken_out(void **state)
{
	(void)state;
	expect_clean("at a\nb.", "a\nb", "at ***.");
}

static void redaction_respects_the_bound(void **state)
{
	char buffer[8];

	(void)state;
	memset(buffer, 'x', sizeof(buffer));
	wi_copy_clean(buffer, 6, "abcdhunter2", "hunter2");
	assert_string_equal(buffer, "abcd*");
	assert_int_equal(buffer[6], 'x');
}

static void bound_cuts_no_character_in_two(void **state)
{
	char buffer[16];

	(void)state;
	wi_copy_clean(buffer, 4, "ab\xc3\xbc", NULL); /* room for one of its two bytes */
	assert_string_equal(buffer, "ab");
	wi_copy_clean(buffer, 5, "ab\xc3\xbc", NULL);
	assert_string_equal(buffer, "ab\xc3\xbc");
	wi_copy_clean(buffer, 5, "ab\xc3\xbc!", NULL);
	assert_string_equal(buffer, "ab\xc3\xbc");
	wi_copy_clean(buffer, 5, "a\xf0\x9f\x98\x80", NULL);
	assert_string_equal(buffer, "a");
}

static char percent_of(unsigned digit, uint32_t chance)
{
	return (chance ? "0123456789abcdef" : "0123456789ABCDEF")[digit];
}

/*
 * Writes secret with a random choice of bytes as %XX, and '%' always so: what any encoder may make
 * of it.
 */
static void encode_at_random(struct wi_rng *rng, const char *secret, char *to)
{
	for (; *secret; secret++) {
		unsigned char c = (unsigned char)*secret;

		if (c == '%' || wi_rng_below(rng, 2)) {
			*to++ = '%';
			*to++ = percent_of(c >> 4, wi_rng_below(rng, 2));
			*to++ = percent_of(c & 15, wi_rng_below(rng, 2));
		} else {
			*to++ = (char)c;
		}
	}
	*to = '\0';
}

static void no_encoding_of_a_secret_gets_through(void **state)
{
	static const char bytes[] = "ab%/@?&=: 25\xc3\xbc";
	struct wi_rng rng;

	(void)state;
	wi_rng_seed(&rng, 7);
	for (int i = 0; i < 5000; i++) {
		char secret[16], encoded[64], from[128], clean[128];
		uint32_t length = 1 + wi_rng_below(&rng, sizeof(secret) - 1);

		for (uint32_t k = 0; k < length; k++)
			secret[k] = bytes[wi_rng_below(&rng, sizeof(bytes) - 1)];
		secret[length] = '\0';
		encode_at_random(&rng, secret, encoded);
		snprintf(from, sizeof(from), "<%s>", encoded);
		wi_copy_clean(clean, sizeof(clean), from, secret);
		assert_string_equal(clean, "<***>");
	}
}

static void fail_fills_all_of_the_error(void **state)
{
	weir_error error;

	(void)state;
	memset(&error, 'x', sizeof(error));
	assert_int_equal(wi_fail(&error, WEIR_CONNECT, "no %s", "route"), WEIR_CONNECT);
	assert_int_equal(error.status, WEIR_CONNECT);
	assert_string_equal(error.text, "no route");
	assert_string_equal(error.sqlstate, "");
	assert_string_equal(error.host, "");
	assert_int_equal(wi_fail(NULL, WEIR_AUTH, "nobody listens"), WEIR_AUTH);
}

static void fail_may_quote_the_error_it_replaces(void **state)
{
	weir_error error;

	(void)state;
	wi_fail(&error, WEIR_CONNECT, "inner");
	wi_fail(&error, WEIR_INVALID, "outer: %s", error.text);
	assert_string_equal(error.text, "outer: inner");
}

static void long_failure_is_cut(void **state)
{
	static char longer[2 * WEIR_ERROR_TEXT];
	weir_error error;

	(void)state;
	memset(longer, 'a', sizeof(longer) - 1);
	wi_fail(&error, WEIR_INVALID, "%s", longer);
	assert_int_equal(strlen(error.text), WEIR_ERROR_TEXT - 1);
}

static void fail_with_copies(void **state)
{
	weir_error from, to;

	(void)state;
	wi_fail(&from, WEIR_SHED, "full");
	assert_int_equal(wi_fail_with(&to, &from), WEIR_SHED);
	assert_string_equal(to.text, "full");
	assert_int_equal(wi_fail_with(NULL, &from), WEIR_SHED);
	assert_int_equal(wi_fail_with(&from, &from), WEIR_SHED);
}

static const char *nearest(const char *name)
{
	static const char *const names[] = {"pool_min", "pool_max", "zone",
	                                    "fork",     "max",      "checkout_timeout_ms"};

	return wi_nearest(name, names, WI_ARRAY_LEN(names));
}

static void nearest_name_is_found(void **state)
{
	(void)state;
	assert_string_equal(nearest("pool_maks"), "pool_max");
	assert_string_equal(nearest("poolmin"), "pool_min");
	assert_string_equal(nearest("POOL_MAX"), "pool_max");
	assert_string_equal(nearest("zoen"), "zone");
	assert_string_equal(nearest("mxa"), "max"); /* a swap is one slip, not two */
	assert_string_equal(nearest("checkout_timeout"), "checkout_timeout_ms");
}

static void far_names_are_not_suggested(void **state)
{
	char longer[300];

	(void)state;
	assert_null(nearest("colour"));
	assert_null(nearest("ab"));
	assert_null(nearest(""));
	memset(longer, 'p', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_null(nearest(longer));
	assert_null(wi_nearest("pool_max", NULL, 0));
}

static void high_control_characters_are_blanks(void **state)
{
	char to[64];

	(void)state;
	wi_copy_clean(to, sizeof(to),
	              "a\x9b"
	              "b\xc2\x9b"
	              "c\xc3\x9c\xe2\x80\x93\xf0\x9f\x98\x80"
	              "d",
	              NULL);
	assert_string_equal(to, "a b c\xc3\x9c\xe2\x80\x93\xf0\x9f\x98\x80"
	                        "d");
	wi_copy_clean(to, sizeof(to), "x\xc2", NULL);
	assert_string_equal(to, "x\xc2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(high_control_characters_are_blanks),
		cmocka_unit_test(added_text_is_cut_and_ends),
		cmocka_unit_test(no_room_is_no_harm),
		cmocka_unit_test(copy_is_bounded),
		cmocka_unit_test(control_bytes_become_blanks),
		cmocka_unit_test(secret_is_taken_out),
		cmocka_unit_test(encoded_secret_is_taken_out),
		cmocka_unit_test(secret_with_percent_signs_is_taken_out_as_it_is),
		cmocka_unit_test(secret_with_control_bytes_is_taken_out),
		cmocka_unit_test(redaction_respects_the_bound),
		cmocka_unit_test(bound_cuts_no_character_in_two),
		cmocka_unit_test(no_encoding_of_a_secret_gets_through),
		cmocka_unit_test(fail_fills_all_of_the_error),
		cmocka_unit_test(fail_may_quote_the_error_it_replaces),
		cmocka_unit_test(long_failure_is_cut),
		cmocka_unit_test(fail_with_copies),
		cmocka_unit_test(nearest_name_is_found),
		cmocka_unit_test(far_names_are_not_suggested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

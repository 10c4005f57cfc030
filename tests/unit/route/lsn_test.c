/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "route/lsn.h"

static void positions_are_read(void **state)
{
	uint64_t lsn = 7;

	(void)state;
	assert_true(wi_lsn_parse("16/B374D848", &lsn));
	assert_int_equal(lsn, UINT64_C(0x16B374D848));
	assert_true(wi_lsn_parse("0/0", &lsn));
	assert_int_equal(lsn, 0);
	assert_true(wi_lsn_parse("FFFFFFFF/ffffffff", &lsn));
	assert_int_equal(lsn, UINT64_MAX);
}

static void what_is_no_position_is_refused(void **state)
{
	static const char *const bad[] = {
		"",    "/",    "1",    "1/",          "/1",          "1/1/1", "g/1",
		"1/g", "1/ 1", "-1/1", "100000000/0", "0/100000000", "1/1 "};
	uint64_t lsn = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(wi_lsn_parse(bad[i], &lsn));
	assert_int_equal(lsn, 7);
}

static void numbers_are_read_up_to_the_last(void **state)
{
	uint64_t n;

	(void)state;
	assert_true(wi_number_parse("18446744073709551615", 10, &n));
	assert_int_equal(n, UINT64_MAX);
	assert_false(wi_number_parse("18446744073709551616", 10, &n));
	assert_true(wi_number_parse("ffffffffffffffff", 16, &n));
	assert_int_equal(n, UINT64_MAX);
	assert_false(wi_number_parse("10000000000000000", 16, &n));
	assert_false(wi_number_parse("1a", 10, &n));
	assert_false(wi_number_parse("", 10, &n));
	assert_false(wi_number_parse("+1", 10, &n));
}

static void headers_are_taken_off(void **state)
{
	(void)state;
	/* behind a page's header: before it */
	assert_int_equal(wi_lsn_normalise(UINT64_C(0x3002018), 8192, 16 << 20),
	                 UINT64_C(0x3002000));
	/* behind a segment's header */
	assert_int_equal(wi_lsn_normalise(UINT64_C(0x4000028), 8192, 16 << 20),
	                 UINT64_C(0x4000000));
	/* the same numbers inside a page mean nothing */
	assert_int_equal(wi_lsn_normalise(UINT64_C(0x3002028), 8192, 16 << 20),
	                 UINT64_C(0x3002028));
	assert_int_equal(wi_lsn_normalise(UINT64_C(0x3002040), 8192, 16 << 20),
	                 UINT64_C(0x3002040));
	/* other sizes, and PostgreSQL's own where none are known */
	assert_int_equal(wi_lsn_normalise(16384 + 24, 16384, 1 << 20), 16384);
	assert_int_equal(wi_lsn_normalise(8192 + 24, 16384, 1 << 20), 8192 + 24);
	assert_int_equal(wi_lsn_normalise(8192 + 24, 0, 0), 8192);
	assert_int_equal(wi_lsn_normalise(0, 0, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(positions_are_read),
		cmocka_unit_test(what_is_no_position_is_refused),
		cmocka_unit_test(numbers_are_read_up_to_the_last),
		cmocka_unit_test(headers_are_taken_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

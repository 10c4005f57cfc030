/* SPDX-License-Identifier: BSD-2-Clause */
/* The row helpers over results made without a server, in both forms. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/row.h>

#include "exec/value.h"

/* A result with one row and one column, "price". length -1: NULL. */
static PGresult *one(unsigned type, int format, const char *bytes, int length)
{
	char name[] = "price", copy[256];
	PGresAttDesc column = {.name = name, .typid = type, .format = format, .typlen = -1};
	PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

	assert_true(PQsetResultAttrs(r, 1, &column));
	if (length > 0)
		memcpy(copy, bytes, (size_t)length);
	assert_true(PQsetvalue(r, 0, 0, length < 0 ? NULL : copy, length));
	return r;
}

static PGresult *text(unsigned type, const char *value)
{
	return one(type, 0, value, (int)strlen(value));
}

static PGresult *binary(unsigned type, uint64_t value, int length)
{
	char bytes[8];

	for (int i = 0; i < length; i++)
		bytes[i] = (char)(value >> 8 * (length - 1 - i));
	return one(type, 1, bytes, length);
}

/* What weir_row_int64 makes of it; the words where it is none go to e. */
static weir_status int64_of(PGresult *r, int64_t *n, weir_error *e)
{
	weir_status st = weir_row_int64(r, 0, "price", n, NULL, e);

	PQclear(r);
	return st;
}

static void is_int64(PGresult *r, int64_t expected)
{
	weir_error e;
	int64_t n = 77;

	assert_int_equal(int64_of(r, &n, &e), WEIR_OK);
	assert_true(n == expected);
}

static void is_no_int64(PGresult *r, const char *words)
{
	int64_t n = 77;
	weir_error e;

	assert_int_equal(int64_of(r, &n, &e), WEIR_INVALID);
	assert_true(n == 77);
	assert_non_null(strstr(e.text, "column \"price\" (number 0), row 0"));
	assert_non_null(strstr(e.text, words));
}

static void whole_numbers(void **state)
{
	(void)state;
	is_int64(text(WI_OID_INT4, "-42"), -42);
	is_int64(text(WI_OID_INT8, "9223372036854775807"), INT64_MAX);
	is_int64(text(WI_OID_INT8, "-9223372036854775808"), INT64_MIN);
	is_int64(text(1700, "12"), 12);
	is_int64(binary(WI_OID_INT2, 0xffff, 2), -1);
	is_int64(binary(WI_OID_INT4, 0x80000000, 4), INT32_MIN);
	is_int64(binary(WI_OID_OID, 0xffffffff, 4), UINT32_MAX);
	is_int64(binary(WI_OID_INT8, UINT64_MAX, 8), -1);
	is_no_int64(text(WI_OID_INT8, "9223372036854775808"), "beyond 64 bits");
	is_no_int64(text(1700, "12.5"), "not a whole number");
	is_no_int64(text(WI_OID_TEXT, ""), "not a whole number");
	is_no_int64(text(WI_OID_TEXT, " 1"), "not a whole number");
	is_no_int64(text(WI_OID_TEXT, "+1"), "not a whole number");
	is_no_int64(binary(WI_OID_FLOAT8, 0, 8), "ask for it as text");
	is_no_int64(binary(WI_OID_INT4, 0, 8), "length");
}

static void is_double(PGresult *r, double expected)
{
	double n = 77;

	assert_int_equal(weir_row_double(r, 0, "price", &n, NULL, NULL), WEIR_OK);
	assert_true(isnan(expected) ? isnan(n) : n == expected);
	PQclear(r);
}

static void is_no_double(PGresult *r)
{
	double n = 77;

	assert_int_equal(weir_row_double(r, 0, "price", &n, NULL, NULL), WEIR_INVALID);
	assert_true(n == 77);
	PQclear(r);
}

static void numbers(void **state)
{
	(void)state;
	is_double(text(WI_OID_FLOAT8, "1.5e-3"), 1.5e-3);
	is_double(text(1700, "-100.25"), -100.25);
	is_double(text(WI_OID_FLOAT8, "-Infinity"), -INFINITY);
	is_double(text(WI_OID_FLOAT8, "NaN"), NAN);
	is_double(binary(WI_OID_FLOAT8, UINT64_C(0x3ff8000000000000), 8), 1.5);
	is_double(binary(WI_OID_FLOAT4, 0x3fc00000, 4), 1.5);
	is_double(binary(WI_OID_INT4, 7, 4), 7);
	is_no_double(text(WI_OID_TEXT, "0x10"));
	is_no_double(text(WI_OID_TEXT, ""));
	is_no_double(text(WI_OID_TEXT, "1,5"));
	is_no_double(binary(1700, 0, 8));
}

static void truth(void **state)
{
	PGresult *r[] = {text(WI_OID_BOOL, "t"), text(WI_OID_BOOL, "f"), binary(WI_OID_BOOL, 1, 1),
	                 binary(WI_OID_BOOL, 0, 1)};
	PGresult *none = text(WI_OID_TEXT, "true");
	bool b;

	(void)state;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(weir_row_bool_at(r[i], 0, 0, &b, NULL, NULL), WEIR_OK);
		assert_int_equal(b, i % 2 == 0);
		PQclear(r[i]);
	}
	assert_int_equal(weir_row_bool_at(none, 0, 0, &b, NULL, NULL), WEIR_INVALID);
	PQclear(none);
}

static void texts(void **state)
{
	PGresult *plain = text(1700, "1.50"), *json = one(WI_OID_JSONB, 1, "\1{}", 3);
	PGresult *number = binary(WI_OID_INT8, 1, 8), *label = one(20001, 1, "red", 3);
	const char *value;
	size_t length;

	(void)state;
	assert_int_equal(weir_row_text(plain, 0, "price", &value, &length, NULL, NULL), WEIR_OK);
	assert_string_equal(value, "1.50");
	assert_int_equal(length, 4);
	assert_int_equal(weir_row_text(json, 0, "price", &value, &length, NULL, NULL), WEIR_OK);
	assert_string_equal(value, "{}");
	assert_int_equal(length, 2);
	assert_int_equal(weir_row_text(label, 0, "price", &value, NULL, NULL, NULL), WEIR_OK);
	assert_string_equal(value, "red");
	assert_int_equal(weir_row_text(number, 0, "price", &value, NULL, NULL, NULL), WEIR_INVALID);
	PQclear(plain);
	PQclear(json);
	PQclear(label);
	PQclear(number);
}

static void is_time(PGresult *r, int64_t expected)
{
	int64_t us = 77;
	weir_error e;

	if (weir_row_time(r, 0, "price", &us, NULL, &e) != WEIR_OK)
		fail_msg("%s", e.text);
	assert_true(us == expected);
	PQclear(r);
}

static void is_no_time(PGresult *r)
{
	int64_t us = 77;

	assert_int_equal(weir_row_time(r, 0, "price", &us, NULL, NULL), WEIR_INVALID);
	assert_true(us == 77);
	PQclear(r);
}

#define S INT64_C(1000000)

static void moments_in_text(void **state)
{
	(void)state;
	is_time(text(WI_OID_TIMESTAMPTZ, "1970-01-01 00:00:00+00"), 0);
	is_time(text(WI_OID_TIMESTAMPTZ, "2001-09-09 03:46:40.5+02"), 1000000000 * S + 500000);
	is_time(text(WI_OID_TIMESTAMPTZ, "2001-09-08 22:16:40-03:30"), 1000000000 * S);
	is_time(text(WI_OID_TIMESTAMPTZ, "1969-12-31 23:59:59.999999+00"), -1);
	is_time(text(WI_OID_TIMESTAMPTZ, "1890-01-01 00:00:00+00:53:28"),
	        -2524521600 * S - 3208 * S);
	is_time(text(WI_OID_TIMESTAMP, "2000-02-29 12:00:00"), 951825600 * S);
	is_time(text(WI_OID_DATE, "2000-03-01"), 951868800 * S);
	is_time(text(WI_OID_DATE, "0001-01-01 BC"), -62167219200 * S);
	is_time(text(WI_OID_TIMESTAMPTZ, "0001-01-01 00:00:01+00 BC"), -62167219199 * S);
	is_time(text(WI_OID_DATE, "12345-01-01"), 327403382400 * S);
	is_time(text(WI_OID_TIMESTAMPTZ, "infinity"), INT64_MAX);
	is_time(text(WI_OID_DATE, "-infinity"), INT64_MIN);
	is_no_time(text(WI_OID_TIMESTAMPTZ, "29.02.2000 12:00:00 CET"));
	is_no_time(text(WI_OID_TIMESTAMPTZ, "2000-02-29 12:00"));
	is_no_time(text(WI_OID_TIMESTAMPTZ, "2000-13-01"));
	is_no_time(text(WI_OID_DATE, "2000-01-01x"));
	is_no_time(text(WI_OID_DATE, ""));
	is_no_time(text(WI_OID_DATE, "5874897-12-31")); /* the last date: beyond microseconds */
}

static void moments_in_binary(void **state)
{
	(void)state;
	is_time(binary(WI_OID_TIMESTAMPTZ, 0, 8), 946684800 * S);
	is_time(binary(WI_OID_TIMESTAMP, (uint64_t)(-946684800 * S), 8), 0);
	is_time(binary(WI_OID_DATE, 1, 4), 946771200 * S);
	is_time(binary(WI_OID_DATE, (uint32_t)-10957, 4), 0);
	is_time(binary(WI_OID_TIMESTAMPTZ, (uint64_t)INT64_MAX, 8), INT64_MAX);
	is_time(binary(WI_OID_TIMESTAMPTZ, (uint64_t)INT64_MIN, 8), INT64_MIN);
	is_time(binary(WI_OID_DATE, INT32_MAX, 4), INT64_MAX);
	is_no_time(binary(WI_OID_TIMESTAMPTZ, (uint64_t)INT64_MAX - 1, 8));
	is_no_time(binary(WI_OID_INT8, 0, 8));
	is_no_time(binary(WI_OID_DATE, 0, 8));
}

static void is_bytea(PGresult *r, const char *expected, size_t n)
{
	char room[16];
	size_t length;

	assert_int_equal(weir_row_bytea(r, 0, "price", NULL, 0, &length, NULL, NULL), WEIR_OK);
	assert_int_equal(length, n);
	assert_int_equal(weir_row_bytea(r, 0, "price", room, sizeof(room), &length, NULL, NULL),
	                 WEIR_OK);
	assert_int_equal(length, n);
	assert_memory_equal(room, expected, n);
	PQclear(r);
}

static void bytes(void **state)
{
	PGresult *r;
	char room[2] = "??";
	size_t length;
	weir_error e;

	(void)state;
	is_bytea(text(WI_OID_BYTEA, "\\x00ff61"), "\0\377a", 3);
	is_bytea(text(WI_OID_BYTEA, "\\x"), "", 0);
	is_bytea(text(WI_OID_BYTEA, "a\\\\b\\000\\377"), "a\\b\0\377", 5);
	is_bytea(one(WI_OID_BYTEA, 1, "\0\1", 2), "\0\1", 2);
	r = text(WI_OID_BYTEA, "\\x010203");
	assert_int_equal(weir_row_bytea(r, 0, "price", room, 2, &length, NULL, &e), WEIR_INVALID);
	assert_int_equal(length, 3);
	assert_memory_equal(room, "??", 2);
	PQclear(r);
	r = text(WI_OID_BYTEA, "\\x0");
	assert_int_equal(weir_row_bytea(r, 0, "price", NULL, 0, &length, NULL, &e), WEIR_INVALID);
	PQclear(r);
	r = text(WI_OID_BYTEA, "a\\9");
	assert_int_equal(weir_row_bytea(r, 0, "price", NULL, 0, &length, NULL, &e), WEIR_INVALID);
	PQclear(r);
	r = text(WI_OID_TEXT, "abc");
	assert_int_equal(weir_row_bytea(r, 0, "price", NULL, 0, &length, NULL, &e), WEIR_INVALID);
	PQclear(r);
}

static void null_is_told_or_refused(void **state)
{
	PGresult *r = one(WI_OID_INT8, 0, NULL, -1);
	bool is_null = false, truth = true;
	double number = 77;
	int64_t n = 77;
	const char *value = NULL;
	size_t length = 77;
	weir_error e;

	(void)state;
	assert_int_equal(weir_row_int64(r, 0, "price", &n, &is_null, &e), WEIR_OK);
	assert_true(is_null && n == 0);
	assert_int_equal(weir_row_double(r, 0, "price", &number, &is_null, &e), WEIR_OK);
	assert_true(number == 0);
	assert_int_equal(weir_row_bool(r, 0, "price", &truth, &is_null, &e), WEIR_OK);
	assert_false(truth);
	assert_int_equal(weir_row_text(r, 0, "price", &value, &length, &is_null, &e), WEIR_OK);
	assert_string_equal(value, "");
	assert_int_equal(length, 0);
	assert_int_equal(weir_row_int64(r, 0, "price", &n, NULL, &e), WEIR_INVALID);
	assert_non_null(strstr(e.text, "price"));
	assert_non_null(strstr(e.text, "is NULL"));
	PQclear(r);
	r = text(WI_OID_INT8, "1");
	assert_int_equal(weir_row_int64(r, 0, "price", &n, &is_null, &e), WEIR_OK);
	assert_true(!is_null && n == 1);
	PQclear(r);
}

static void wrong_places_are_named(void **state)
{
	PGresult *r = text(WI_OID_INT8, "1");
	weir_error e;
	int64_t n;

	(void)state;
	assert_int_equal(weir_row_int64(r, 0, "prise", &n, NULL, &e), WEIR_INVALID);
	assert_string_equal(e.text, "there is no column \"prise\" in the result, which has price");
	assert_int_equal(weir_row_int64(r, 1, "price", &n, NULL, &e), WEIR_INVALID);
	assert_string_equal(e.text, "column \"price\": there is no row 1: there are 1");
	assert_int_equal(weir_row_int64_at(r, 0, 1, &n, NULL, &e), WEIR_INVALID);
	assert_string_equal(e.text, "there is no column number 1: there are 1");
	assert_int_equal(weir_row_int64(NULL, 0, "price", &n, NULL, &e), WEIR_INVALID);
	assert_int_equal(weir_row_int64(r, 0, NULL, &n, NULL, &e), WEIR_INVALID);
	assert_int_equal(weir_row_int64(r, 0, "price", NULL, NULL, &e), WEIR_INVALID);
	PQclear(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_numbers),
		cmocka_unit_test(numbers),
		cmocka_unit_test(truth),
		cmocka_unit_test(texts),
		cmocka_unit_test(moments_in_text),
		cmocka_unit_test(moments_in_binary),
		cmocka_unit_test(bytes),
		cmocka_unit_test(null_is_told_or_refused),
		cmocka_unit_test(wrong_places_are_named),
	};

	return cmocka_run_group_tests_name("row", tests, NULL, NULL);
}

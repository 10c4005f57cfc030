/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values of PostgreSQL: numbers, truth, text and bytes. The binary forms are those of the types'
 * send functions (src/backend/utils/adt), in network order; moments are in moment.c.
 */
#include "exec/value.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define NOT_IN_BINARY "is of a type that is not taken in binary form: ask for it as text"
#define WRONG_LENGTH "has a length that its type does not have"

static uint64_t read_be(const char *bytes, size_t n)
{
	uint64_t word = 0;

	for (size_t i = 0; i < n; i++)
		word = word << 8 | (unsigned char)bytes[i];
	return word;
}

/* ---- whole numbers ---- */

static const char *binary_int64(const struct wi_value *v, int64_t *to)
{
	switch (v->type) {
	case WI_OID_INT2:
		if (v->length != 2)
			return WRONG_LENGTH;
		*to = (int16_t)read_be(v->bytes, 2);
		return NULL;
	case WI_OID_INT4:
		if (v->length != 4)
			return WRONG_LENGTH;
		*to = (int32_t)read_be(v->bytes, 4);
		return NULL;
	case WI_OID_OID:
		if (v->length != 4)
			return WRONG_LENGTH;
		*to = (int64_t)read_be(v->bytes, 4);
		return NULL;
	case WI_OID_INT8:
		if (v->length != 8)
			return WRONG_LENGTH;
		*to = (int64_t)read_be(v->bytes, 8);
		return NULL;
	default:
		return NOT_IN_BINARY;
	}
}

const char *wi_value_int64(const struct wi_value *v, int64_t *to)
{
	size_t first = v->bytes[0] == '-';
	char *end;
	long long n;

	if (v->binary)
		return binary_int64(v, to);
	/* strtoll would take white space and a plus sign as well. */
	if (v->bytes[first] < '0' || v->bytes[first] > '9')
		return "is not a whole number";
	errno = 0;
	n = strtoll(v->bytes, &end, 10);
	if (end != v->bytes + v->length)
		return "is not a whole number";
	if (errno == ERANGE)
		return "is a number beyond 64 bits";
	*to = n;
	return NULL;
}

/* ---- numbers ---- */

static const char *binary_double(const struct wi_value *v, double *to)
{
	const char *wrong;
	int64_t whole;

	if (v->type == WI_OID_FLOAT8) {
		uint64_t bits;

		if (v->length != 8)
			return WRONG_LENGTH;
		bits = read_be(v->bytes, 8);
		memcpy(to, &bits, sizeof(*to));
		return NULL;
	}
	if (v->type == WI_OID_FLOAT4) {
		uint32_t bits;
		float number;

		if (v->length != 4)
			return WRONG_LENGTH;
		bits = (uint32_t)read_be(v->bytes, 4);
		memcpy(&number, &bits, sizeof(number));
		*to = (double)number;
		return NULL;
	}
	wrong = binary_int64(v, &whole);
	if (!wrong)
		*to = (double)whole;
	return wrong;
}

const char *wi_value_double(const struct wi_value *v, double *to)
{
	locale_t plain; /* glibc has this one ready: nothing is allocated */
	double number;
	char *end;

	if (v->binary)
		return binary_double(v, to);
	/* What the server writes: digits, or NaN, Infinity, -Infinity. Hex is strtod's own. */
	if (strspn(v->bytes, "-0123456789.eE+NaInfity") != v->length || v->length == 0)
		return "is not a number";
	plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (!plain)
		return "cannot be read without memory for a locale";
	number = strtod_l(v->bytes, &end, plain);
	freelocale(plain);
	if (end != v->bytes + v->length)
		return "is not a number";
	*to = number;
	return NULL;
}

/* ---- truth ---- */

const char *wi_value_bool(const struct wi_value *v, bool *to)
{
	bool is_one = v->length == 1;

	if (v->binary && v->type != WI_OID_BOOL)
		return NOT_IN_BINARY;
	if (is_one && v->bytes[0] == (v->binary ? 1 : 't'))
		*to = true;
	else if (is_one && v->bytes[0] == (v->binary ? 0 : 'f'))
		*to = false;
	else
		return "is neither true nor false";
	return NULL;
}

/* ---- text ---- */

static bool is_text_in_binary(unsigned type)
{
	switch (type) {
	case WI_OID_CHAR:
	case WI_OID_NAME:
	case WI_OID_TEXT:
	case WI_OID_JSON:
	case WI_OID_XML:
	case WI_OID_UNKNOWN:
	case WI_OID_BPCHAR:
	case WI_OID_VARCHAR:
	case WI_OID_JSONB:
		return true;
	default:
		return type >= WI_OID_FIRST_OF_OTHERS;
	}
}

const char *wi_value_text(const struct wi_value *v, const char **to, size_t *length)
{
	size_t skip = 0;

	if (v->binary && !is_text_in_binary(v->type))
		return NOT_IN_BINARY;
	if (v->binary && v->type == WI_OID_JSONB) {
		if (v->length < 1 || v->bytes[0] != 1)
			return "is jsonb of a version that is not known";
		skip = 1;
	}
	*to = v->bytes + skip;
	if (length)
		*length = v->length - skip;
	return NULL;
}

/* ---- bytes ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* bytea_output = hex; to NULL: counts only. false: it is something else. */
static bool read_hex(const struct wi_value *v, unsigned char *to, size_t *length)
{
	*length = (v->length - 2) / 2;
	if (v->length % 2)
		return false;
	for (size_t i = 0; i < *length; i++) {
		int high = hex_digit(v->bytes[2 + 2 * i]), low = hex_digit(v->bytes[3 + 2 * i]);

		if (high < 0 || low < 0)
			return false;
		if (to)
			to[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

static bool is_octal(const char *at)
{
	return at[0] >= '0' && at[0] <= '3' && at[1] >= '0' && at[1] <= '7' && at[2] >= '0' &&
	       at[2] <= '7';
}

/* bytea_output = escape. The '\0' beyond the end stops every look ahead. */
static bool read_escaped(const struct wi_value *v, unsigned char *to, size_t *length)
{
	const char *at = v->bytes, *end = at + v->length;
	size_t n = 0;

	while (at < end) {
		unsigned char byte = (unsigned char)*at;

		if (*at != '\\') {
			at++;
		} else if (at[1] == '\\') {
			at += 2;
		} else if (is_octal(at + 1)) {
			byte = (unsigned char)((at[1] - '0') << 6 | (at[2] - '0') << 3 |
			                       (at[3] - '0'));
			at += 4;
		} else {
			return false;
		}
		if (to)
			to[n] = byte;
		n++;
	}
	*length = n;
	return true;
}

static bool read_bytea(const struct wi_value *v, unsigned char *to, size_t *length)
{
	if (v->length >= 2 && memcmp(v->bytes, "\\x", 2) == 0)
		return read_hex(v, to, length);
	return read_escaped(v, to, length);
}

const char *wi_value_bytea(const struct wi_value *v, void *to, size_t room, size_t *length)
{
	size_t n = v->length;

	if (v->type != WI_OID_BYTEA)
		return "is no bytea";
	if (!v->binary && !read_bytea(v, NULL, &n))
		return "is not written as a bytea is";
	*length = n;
	if (to && n > room)
		return "has more bytes than there is room for";
	if (to && v->binary)
		memcpy(to, v->bytes, n);
	else if (to)
		(void)read_bytea(v, to, &n);
	return NULL;
}

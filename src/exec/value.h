/* SPDX-License-Identifier: BSD-2-Clause */
/* Values of PostgreSQL as they come over the wire, in text and in binary form. No libpq here. */
#ifndef WI_EXEC_VALUE_H
#define WI_EXEC_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* OIDs of PostgreSQL's own types, which never change (pg_type.dat). */
enum {
	WI_OID_BOOL = 16,
	WI_OID_BYTEA = 17,
	WI_OID_CHAR = 18,
	WI_OID_NAME = 19,
	WI_OID_INT8 = 20,
	WI_OID_INT2 = 21,
	WI_OID_INT4 = 23,
	WI_OID_TEXT = 25,
	WI_OID_OID = 26,
	WI_OID_JSON = 114,
	WI_OID_XML = 142,
	WI_OID_FLOAT4 = 700,
	WI_OID_FLOAT8 = 701,
	WI_OID_UNKNOWN = 705,
	WI_OID_BPCHAR = 1042,
	WI_OID_VARCHAR = 1043,
	WI_OID_DATE = 1082,
	WI_OID_TIMESTAMP = 1114,
	WI_OID_TIMESTAMPTZ = 1184,
	WI_OID_JSONB = 3802,
	WI_OID_FIRST_OF_OTHERS = 16384,
};

/* A value that is not NULL, of a type, in one of the two forms; ends with a '\0' beyond length. */
struct wi_value {
	unsigned type;
	bool binary;
	size_t length;
	const char *bytes;
};

/* What is wrong with it, in words that go on after "column x "; NULL: nothing, and it is taken. */
const char *wi_value_int64(const struct wi_value *value, int64_t *to);
const char *wi_value_double(const struct wi_value *value, double *to);
const char *wi_value_bool(const struct wi_value *value, bool *to);
const char *wi_value_text(const struct wi_value *value, const char **to, size_t *length);
const char *wi_value_time(const struct wi_value *value, int64_t *unix_us);

/* The same; *length is how many bytes there are, and they are copied where to is not NULL. */
const char *wi_value_bytea(const struct wi_value *value, void *to, size_t room, size_t *length);

#endif

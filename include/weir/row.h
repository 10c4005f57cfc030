/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values out of a libpq result, as C has them: checked, and with words that name the column where
 * they are not what was asked for. The result is the caller's and stays as it is; everything that
 * libpq offers (PQgetvalue, PQntuples, ...) goes on working beside this.
 *
 *	int64_t id;
 *	const char *name;
 *	for (int row = 0; row < PQntuples(rows); row++)
 *		if (weir_row_int64(rows, row, "id", &id, NULL, &e) != WEIR_OK ||
 *		    weir_row_text(rows, row, "name", &name, NULL, NULL, &e) != WEIR_OK)
 *			return tell(&e);
 *
 * For all of these. Results in text and in binary form, each column as it is. `column` is a name as
 * PQfnumber takes it, or for those that end in _at a number from 0. A SQL NULL: *is_null is set,
 * and the value is 0, "" or empty; where is_null is NULL itself, it is INVALID: nobody would
 * notice. Any thread that may read the result; never blocks, allocates nothing. OK, or INVALID with
 * a text that names the column and never shows a value; *value is not touched then.
 */
#ifndef WEIR_ROW_H
#define WEIR_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/export.h>
#include <weir/status.h>

WEIR_BEGIN

struct pg_result; /* libpq's PGresult */

/* A whole number: smallint, integer, bigint, oid; in text form also a numeric without fraction. */
WEIR_API WEIR_CHECKED weir_status weir_row_int64(const struct pg_result *result, int row,
                                                 const char *column, int64_t *value, bool *is_null,
                                                 weir_error *error);
WEIR_API WEIR_CHECKED weir_status weir_row_int64_at(const struct pg_result *result, int row,
                                                    int column, int64_t *value, bool *is_null,
                                                    weir_error *error);

/*
 * A number as double: real, double precision, whole numbers; in text form also numeric, rounded.
 * NaN and the infinities are themselves. The process's locale does not matter.
 */
WEIR_API WEIR_CHECKED weir_status weir_row_double(const struct pg_result *result, int row,
                                                  const char *column, double *value, bool *is_null,
                                                  weir_error *error);
WEIR_API WEIR_CHECKED weir_status weir_row_double_at(const struct pg_result *result, int row,
                                                     int column, double *value, bool *is_null,
                                                     weir_error *error);

/* A boolean. */
WEIR_API WEIR_CHECKED weir_status weir_row_bool(const struct pg_result *result, int row,
                                                const char *column, bool *value, bool *is_null,
                                                weir_error *error);
WEIR_API WEIR_CHECKED weir_status weir_row_bool_at(const struct pg_result *result, int row,
                                                   int column, bool *value, bool *is_null,
                                                   weir_error *error);

/*
 * The text of a value, inside the result: good until PQclear. length may be NULL. In text form any
 * type has one; in binary form text and its kin, json, jsonb, xml, and types that are not
 * PostgreSQL's own (an enum's label).
 */
WEIR_API WEIR_CHECKED weir_status weir_row_text(const struct pg_result *result, int row,
                                                const char *column, const char **value,
                                                size_t *length, bool *is_null, weir_error *error);
WEIR_API WEIR_CHECKED weir_status weir_row_text_at(const struct pg_result *result, int row,
                                                   int column, const char **value, size_t *length,
                                                   bool *is_null, weir_error *error);

/*
 * A moment in microseconds since 1970-01-01 00:00 UTC: timestamptz; timestamp and date taken for
 * UTC's. In text form with DateStyle ISO (the server's default) only. infinity is INT64_MAX,
 * -infinity INT64_MIN.
 */
WEIR_API WEIR_CHECKED weir_status weir_row_time(const struct pg_result *result, int row,
                                                const char *column, int64_t *unix_us, bool *is_null,
                                                weir_error *error);
WEIR_API WEIR_CHECKED weir_status weir_row_time_at(const struct pg_result *result, int row,
                                                   int column, int64_t *unix_us, bool *is_null,
                                                   weir_error *error);

/*
 * The bytes of a bytea, copied into `room` bytes at `to`; *length is how many there are. Where they
 * do not fit nothing is copied, and it is INVALID, unless `to` is NULL: then only the length is
 * wanted.
 */
WEIR_API WEIR_CHECKED weir_status weir_row_bytea(const struct pg_result *result, int row,
                                                 const char *column, void *to, size_t room,
                                                 size_t *length, bool *is_null, weir_error *error);
WEIR_API WEIR_CHECKED weir_status weir_row_bytea_at(const struct pg_result *result, int row,
                                                    int column, void *to, size_t room,
                                                    size_t *length, bool *is_null,
                                                    weir_error *error);

WEIR_END

#endif

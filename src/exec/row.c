/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The row helpers: from a place in a libpq result to a value, and the words where there is none.
 * Each type has a function by number, and one by name, which looks the number up first. What a
 * value looks like is known in value.c and moment.c.
 */
#include <libpq-fe.h>
#include <string.h>

#include <weir/row.h>

#include "base/text.h"
#include "exec/value.h"

/* Where a value is wanted from. */
struct place {
	const PGresult *result;
	int row, column;
};

static weir_status no_such_column(const PGresult *result, const char *name, weir_error *error)
{
	char names[WEIR_ERROR_TEXT / 2];
	struct wi_text t;

	wi_text_init(&t, names, sizeof(names));
	for (int i = 0; i < PQnfields(result); i++)
		wi_text_add(&t, "%s%s", i ? ", " : "", PQfname(result, i));
	return wi_fail(error, WEIR_INVALID, "there is no column \"%s\" in the result%s%s", name,
	               names[0] ? ", which has " : "", names);
}

/* By name; column is -1 where that has failed. */
static weir_status find(const PGresult *result, int row, const char *name, struct place *at,
                        weir_error *error)
{
	if (!result || !name)
		return wi_fail(error, WEIR_INVALID, "%s is NULL", result ? "column" : "result");
	*at = (struct place){.result = result, .row = row, .column = PQfnumber(result, name)};
	return at->column < 0 ? no_such_column(result, name, error) : WEIR_OK;
}

static weir_status wrong(const struct place *at, const char *what, weir_error *error)
{
	return wi_fail(error, WEIR_INVALID, "column \"%s\" (number %d), row %d: %s",
	               PQfname(at->result, at->column), at->column, at->row, what);
}

/*
 * What is there; is_null may be NULL: then that is an error. Where it is NULL, v->bytes is NULL.
 */
static weir_status look(const struct place *at, struct wi_value *v, bool *is_null,
                        weir_error *error)
{
	const PGresult *r = at->result;

	if (!r)
		return wi_fail(error, WEIR_INVALID, "result is NULL");
	if (at->column < 0 || at->column >= PQnfields(r))
		return wi_fail(error, WEIR_INVALID, "there is no column number %d: there are %d",
		               at->column, PQnfields(r));
	if (at->row < 0 || at->row >= PQntuples(r))
		return wi_fail(error, WEIR_INVALID,
		               "column \"%s\": there is no row %d: there are %d",
		               PQfname(r, at->column), at->row, PQntuples(r));
	*v = (struct wi_value){.type = PQftype(r, at->column),
	                       .binary = PQfformat(r, at->column) == 1};
	if (PQgetisnull(r, at->row, at->column)) {
		if (!is_null)
			return wrong(at, "is NULL, and nobody asked whether it is", error);
		*is_null = true;
		return WEIR_OK;
	}
	if (is_null)
		*is_null = false;
	v->length = (size_t)PQgetlength(r, at->row, at->column);
	v->bytes = PQgetvalue(r, at->row, at->column);
	return WEIR_OK;
}

/*
 * The pair for a type whose value is one C value: by number and by name. `zero` is what a NULL
 * gives.
 */
#define ROW_PAIR(name, type, zero)                                                                 \
	weir_status weir_row_##name##_at(const PGresult *result, int row, int column, type *value, \
	                                 bool *is_null, weir_error *error)                         \
	{                                                                                          \
		const struct place at = {result, row, column};                                     \
		struct wi_value v = {0};                                                           \
		const char *what;                                                                  \
		weir_status st;                                                                    \
                                                                                                   \
		if (!value)                                                                        \
			return wi_fail(error, WEIR_INVALID, "value is NULL");                      \
		st = look(&at, &v, is_null, error);                                                \
		if (st != WEIR_OK)                                                                 \
			return st;                                                                 \
		if (!v.bytes) {                                                                    \
			*value = zero;                                                             \
			return WEIR_OK;                                                            \
		}                                                                                  \
		what = wi_value_##name(&v, value);                                                 \
		return what ? wrong(&at, what, error) : WEIR_OK;                                   \
	}                                                                                          \
                                                                                                   \
	weir_status weir_row_##name(const PGresult *result, int row, const char *column,           \
	                            type *value, bool *is_null, weir_error *error)                 \
	{                                                                                          \
		struct place at = {0};                                                             \
		weir_status st = find(result, row, column, &at, error);                            \
                                                                                                   \
		return st != WEIR_OK ? st                                                          \
		                     : weir_row_##name##_at(result, row, at.column, value,         \
		                                            is_null, error);                       \
	}

ROW_PAIR(int64, int64_t, 0)
ROW_PAIR(double, double, 0)
ROW_PAIR(bool, bool, false)
ROW_PAIR(time, int64_t, 0)

weir_status weir_row_text_at(const PGresult *result, int row, int column, const char **value,
                             size_t *length, bool *is_null, weir_error *error)
{
	const struct place at = {result, row, column};
	struct wi_value v = {0};
	const char *what;
	weir_status st;

	if (!value)
		return wi_fail(error, WEIR_INVALID, "value is NULL");
	st = look(&at, &v, is_null, error);
	if (st != WEIR_OK)
		return st;
	if (!v.bytes) {
		*value = "";
		if (length)
			*length = 0;
		return WEIR_OK;
	}
	what = wi_value_text(&v, value, length);
	return what ? wrong(&at, what, error) : WEIR_OK;
}

weir_status weir_row_text(const PGresult *result, int row, const char *column, const char **value,
                          size_t *length, bool *is_null, weir_error *error)
{
	struct place at = {0};
	weir_status st = find(result, row, column, &at, error);

	return st != WEIR_OK
	               ? st
	               : weir_row_text_at(result, row, at.column, value, length, is_null, error);
}

weir_status weir_row_bytea_at(const PGresult *result, int row, int column, void *to, size_t room,
                              size_t *length, bool *is_null, weir_error *error)
{
	const struct place at = {result, row, column};
	struct wi_value v = {0};
	const char *what;
	weir_status st;

	if (!length)
		return wi_fail(error, WEIR_INVALID, "length is NULL");
	st = look(&at, &v, is_null, error);
	if (st != WEIR_OK)
		return st;
	if (!v.bytes) {
		*length = 0;
		return WEIR_OK;
	}
	what = wi_value_bytea(&v, to, room, length);
	return what ? wrong(&at, what, error) : WEIR_OK;
}

weir_status weir_row_bytea(const PGresult *result, int row, const char *column, void *to,
                           size_t room, size_t *length, bool *is_null, weir_error *error)
{
	struct place at = {0};
	weir_status st = find(result, row, column, &at, error);

	return st != WEIR_OK ? st
	                     : weir_row_bytea_at(result, row, at.column, to, room, length, is_null,
	                                         error);
}

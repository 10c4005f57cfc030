/* SPDX-License-Identifier: BSD-2-Clause */
/* Results of the fake driver: libpq's own structs, made without a server. */
#include <libpq-fe.h>

#include "driver/fake.h"

/* Columns have numbers for names: "1" is the first. All of them are text. */
static bool set_columns(PGresult *result, size_t n)
{
	PGresAttDesc column[WI_ANSWER_COLUMNS] = {0};
	char name[WI_ANSWER_COLUMNS][4] = {0};

	for (size_t i = 0; i < n; i++) {
		name[i][0] = (char)('0' + (i + 1) / 10);
		name[i][1] = (char)('0' + (i + 1) % 10);
		column[i].name = name[i][0] == '0' ? name[i] + 1 : name[i];
		column[i].typid = 25;
		column[i].typlen = -1;
		column[i].atttypmod = -1;
	}
	return PQsetResultAttrs(result, (int)n, column);
}

static bool set_row(PGresult *result, const struct wi_answer *answer)
{
	for (size_t i = 0; i < answer->columns; i++) {
		char value[sizeof(answer->value[0])];
		int length = answer->is_null[i] ? -1 : 0;

		while (length >= 0 && answer->value[i][length])
			length++;
		for (int at = 0; at <= length; at++)
			value[at] = answer->value[i][at];
		if (!PQsetvalue(result, 0, (int)i, length < 0 ? NULL : value, length))
			return false;
	}
	return true;
}

struct pg_result *wi_fake_result(const struct wi_answer *answer, bool failed)
{
	PGresult *result = PQmakeEmptyPGresult(NULL, failed            ? PGRES_FATAL_ERROR
	                                             : answer->columns ? PGRES_TUPLES_OK
	                                                               : PGRES_COMMAND_OK);

	if (!result || failed || !answer->columns)
		return result;
	if (set_columns(result, answer->columns) && (!answer->has_row || set_row(result, answer)))
		return result;
	PQclear(result);
	return NULL;
}

void wi_fake_result_free(struct pg_result *result)
{
	PQclear(result);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of names. Both are held against a real server's catalog by
 * tests/pg/classify_names_test.py.
 */
#include "sql/names.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Rows of one size: no pointers, so nothing to relocate when the library is loaded. */
struct row {
	char name[31];
	uint8_t what;
};

static const struct row rows[] = {
#define X(name) {#name, WI_NAME_READS},
#define R(name) {#name, WI_NAME_RESERVED},
#define G(name) {#name, WI_NAME_GRAMMAR},
#include "sql/reads.def"
#undef X
#undef R
#undef G
};

enum wi_name wi_name_find(const char *name)
{
	size_t low = 0, high = sizeof(rows) / sizeof(rows[0]);

	while (low < high) {
		size_t middle = (low + high) / 2;
		/* Mostly the first letter tells. */
		int order = name[0] - rows[middle].name[0];

		if (!order)
			order = strcmp(name, rows[middle].name);
		if (!order)
			return (enum wi_name)rows[middle].what;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return WI_NAME_UNKNOWN;
}

/* Of these families all are taken for it, also those that later versions bring. */
static bool is_of_a_family(const char *name)
{
	return !strncmp(name, "pg_", 3) || !strncmp(name, "lo_", 3) ||
	       !strncmp(name, "binary_upgrade_", 15);
}

bool wi_name_acts(const char *name)
{
	static const char acts[][31] = {
#define D(name) #name,
		D(amvalidate) D(brin_summarize_new_values) D(currval) D(gin_clean_pending_list)
			D(nextval) D(plpgsql_validator) D(setseed) D(ts_stat) D(txid_status)
#undef D
	};

	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (name[0] == acts[i][0] && !strcmp(name, acts[i]))
			return true;
	return is_of_a_family(name);
}

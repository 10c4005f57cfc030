/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of names that stand before a parenthesis, or behind a dot. */
#ifndef WI_SQL_NAMES_H
#define WI_SQL_NAMES_H

#include <stdbool.h>

enum wi_name {
	WI_NAME_UNKNOWN,
	WI_NAME_READS,    /* a built-in function that only reads */
	WI_NAME_RESERVED, /* without quotes: a reserved word */
	WI_NAME_GRAMMAR,  /* without quotes: an expression or a type, and no function */
};

enum wi_name wi_name_find(const char *name);

/*
 * Whether it is, or might be, a built-in function that does more than read, and takes one value: as
 * x.nextval calls it.
 */
bool wi_name_acts(const char *name);

#endif

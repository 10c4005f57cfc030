/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes statements by chance, repeatable by seed: by a grammar of queries over the tables of
 * statements_schema, with something that writes slipped in now and then; and damages statements.
 */
#ifndef WEIR_TEST_SQL_MAKER_H
#define WEIR_TEST_SQL_MAKER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rng.h"

#define SQL_ROOM 4096

struct sql {
	char text[SQL_ROOM];
	size_t length; /* it may hold zero bytes */
};

/* A statement that parses. evil: with something that is no read in it, in one of three. */
void sql_make(struct wi_rng *rng, bool evil, struct sql *sql);

/* One to four small damages. */
void sql_damage(struct wi_rng *rng, struct sql *sql);

/*
 * The i-th of a row of statements that the tests of weir_classify go by: from the table, made, or
 * either of them damaged. *whole says that it was not damaged, so that it has to parse if it is a
 * read.
 */
void sql_nth(struct wi_rng *rng, size_t i, struct sql *sql, bool *whole);

#endif

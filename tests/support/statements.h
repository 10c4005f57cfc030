/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Statements, and what weir_classify says of each. All that are reads can be run on a database that
 * statements_schema has made; of the others, each that this knows how to stay harmless.
 */
#ifndef WEIR_TEST_STATEMENTS_H
#define WEIR_TEST_STATEMENTS_H

#include <stddef.h>

#include <weir/classify.h>

struct statement {
	weir_sql_why why;
	const char *sql;
	size_t length; /* 0: up to the end of the text */
};

extern const struct statement statements[];
extern const size_t n_statements;

extern const char statements_schema[];

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table of text: cells are added one after the other, columns find their width when it is
 * printed.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdio.h>

#include "cli/text.h"

struct cli_table;

/*
 * One letter a column: l and r say on which side its cells are aligned. The text must outlive the
 * table.
 */
struct cli_table *cli_table_create(const char *columns);
void cli_table_destroy(struct cli_table *table);

/* Adds the next cell; after the last column a new row begins. */
void cli_cell(struct cli_table *table, enum cli_tint tint, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds a row of headings, separated by '|'. */
void cli_head(struct cli_table *table, const char *names);

/* Prints with two spaces before each row and between columns. */
void cli_table_print(const struct cli_table *table, FILE *out);

#endif

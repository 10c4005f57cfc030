/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table of text: cells are added one after the other, columns find their width when it is
 * printed.
 */
#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct cell {
	char *text;
	enum cli_tint tint;
};

struct cli_table {
	const char *align;
	size_t columns;
	size_t used;
	size_t room;
	struct cell *cells;
};

struct cli_table *cli_table_create(const char *columns)
{
	struct cli_table *table = cli_alloc(1, sizeof(*table));

	table->align = columns;
	table->columns = strlen(columns);
	return table;
}

void cli_table_destroy(struct cli_table *table)
{
	for (size_t i = 0; i < table->used; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
}

static void add(struct cli_table *table, enum cli_tint tint, const char *text)
{
	size_t size = strlen(text) + 1;

	if (table->used == table->room) {
		table->room = table->room ? table->room * 2 : 64;
		table->cells = cli_grow(table->cells, table->room, sizeof(*table->cells));
	}
	table->cells[table->used].tint = tint;
	table->cells[table->used].text = memcpy(cli_alloc(size, 1), text, size);
	table->used++;
}

void cli_cell(struct cli_table *table, enum cli_tint tint, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	add(table, tint, text);
}

void cli_head(struct cli_table *table, const char *names)
{
	char name[64];

	for (bool more = true; more; names++) {
		size_t len = strcspn(names, "|");

		cli_copy(name, len + 1 < sizeof(name) ? len + 1 : sizeof(name), names);
		add(table, CLI_STRONG, name);
		names += len;
		/* behind the last '|' there is a column, too, with a name or without */
		more = *names;
	}
}

/* Columns a terminal needs for it: bytes that go on with a UTF-8 character need none. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xC0) != 0x80;
	return width;
}

static void pad(FILE *out, size_t width)
{
	while (width--)
		putc(' ', out);
}

static void print_row(const struct cli_table *table, const struct cell *row, const size_t *width,
                      FILE *out)
{
	/* Spaces are written only when something follows, so that no line ends in them. */
	size_t owed = 2;

	for (size_t c = 0; c < table->columns; c++) {
		size_t gap = width[c] - width_of(row[c].text);

		if (table->align[c] == 'r')
			owed += gap;
		if (*row[c].text) {
			pad(out, owed);
			owed = 0;
			cli_paint(out, row[c].tint, row[c].text);
		}
		if (table->align[c] != 'r')
			owed += gap;
		owed += 2;
	}
	putc('\n', out);
}

void cli_table_print(const struct cli_table *table, FILE *out)
{
	size_t rows = table->used / table->columns;
	size_t *width = cli_alloc(table->columns, sizeof(*width));

	assert(table->used % table->columns == 0);
	for (size_t i = 0; i < rows * table->columns; i++) {
		size_t w = width_of(table->cells[i].text);

		if (w > width[i % table->columns])
			width[i % table->columns] = w;
	}
	for (size_t r = 0; r < rows; r++)
		print_row(table, table->cells + r * table->columns, width, out);
	free(width);
}

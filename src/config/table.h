/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The options table as the files of this room see it: the public rows, and where each value lives.
 */
#ifndef WI_CONFIG_TABLE_H
#define WI_CONFIG_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include <weir/options.h>

/* How many there are. */
#define WEIR_OPTION_INT(name, unit, default_, min, max, help) +1
#define WEIR_OPTION_CHOICE(name, choices, default_, help) +1
#define WEIR_OPTION_TEXT(name, room, default_, help) +1
enum {
	WI_OPTIONS = 0
#include <weir/options.def>
};

/* One row; constant once built. */
struct wi_option {
	weir_option_row shown; /* what weir_option_at hands out */
	size_t offset;         /* of the value in weir_options */
	int64_t initial;       /* default of a number or a choice */
	/* of a text: what it may be besides empty, "a b c"; NULL: anything */
	const char *words;
};

/* The i-th row, or NULL beyond the last. */
const struct wi_option *wi_option_at(size_t i);

/* The place of a row in the table. */
size_t wi_option_number_of(const struct wi_option *row);

/* The row of a name, or NULL. */
const struct wi_option *wi_option_find(const char *name);

/* The name nearest to one that is not in the table, or NULL. */
const char *wi_option_nearest(const char *name);

/* Where a row's value lives in a struct, and how many bytes it takes there. */
int64_t *wi_option_number(const struct wi_option *row, weir_options *options);
char *wi_option_text(const struct wi_option *row, weir_options *options);
size_t wi_option_size(const struct wi_option *row);

/* The i-th word of "a b c" and its length, or NULL. */
const char *wi_word_at(const char *words, size_t i, size_t *length);

/* The place of text among the words "a b c", or -1. */
int wi_word_find(const char *words, const char *text);

#endif

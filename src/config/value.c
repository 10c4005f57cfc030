/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers with units, choices by name, bounded texts: what an option's value may look like. */
#include "config/value.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/line.h"
#include "base/text.h"

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit times[] = {{"ms", 1},      {"s", 1000},     {"min", 60000},
                                    {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit sizes[] = {{"B", 1},        {"kB", 1 << 10},          {"MB", 1 << 20},
                                    {"GB", 1 << 30}, {"TB", INT64_C(1) << 40}, {NULL, 0}};
static const struct unit percent[] = {{"%", 1}, {NULL, 0}};
static const struct unit plain[] = {{NULL, 0}};

/* The units a number may carry; one without a unit is in the row's own. */
static const struct unit *units_of(const struct wi_option *row)
{
	if (strcmp(row->shown.unit, "ms") == 0)
		return times;
	if (strcmp(row->shown.unit, "bytes") == 0)
		return sizes;
	if (strcmp(row->shown.unit, "%") == 0)
		return percent;
	return plain;
}

enum amount { AMOUNT_OK, AMOUNT_BAD, AMOUNT_HUGE };

#define BLANKS " \t\r\n"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * The factor of the unit that is all of `text` but blanks at the end; 1 if there is none, 0 if it
 * is unknown.
 */
static int64_t factor_of(const char *text, const struct unit *units)
{
	size_t length = strcspn(text, BLANKS);

	if (text[length + strspn(text + length, BLANKS)])
		return 0;
	if (!length)
		return 1;
	for (; units->name; units++)
		if (strlen(units->name) == length && strncasecmp(units->name, text, length) == 0)
			return units->factor;
	return 0;
}

static enum amount parse_amount(const char *text, const struct unit *units, int64_t *amount)
{
	int64_t value = 0, factor;
	bool negative, huge = false;

	text += strspn(text, BLANKS);
	negative = *text == '-';
	text += negative;
	if (!is_digit(*text))
		return AMOUNT_BAD;
	for (; is_digit(*text); text++)
		huge |= __builtin_mul_overflow(value, 10, &value) ||
		        __builtin_add_overflow(value, *text - '0', &value);
	factor = factor_of(text + strspn(text, BLANKS), units);
	if (!factor)
		return AMOUNT_BAD;
	if (huge || __builtin_mul_overflow(value, factor, &value))
		return AMOUNT_HUGE;
	*amount = negative ? -value : value;
	return AMOUNT_OK;
}

bool wi_value_may_be_conninfo(const char *value)
{
	return strpbrk(value, "@=") || strstr(value, "://");
}

const char *wi_value_shown(const char *value, char room[WI_SHOWN_ROOM])
{
	char clean[WI_SHOWN_ROOM - 8];

	if (wi_value_may_be_conninfo(value))
		return NULL;
	wi_copy_clean(clean, sizeof(clean), value, NULL);
	snprintf(room, WI_SHOWN_ROOM, "\"%s%s\"", clean,
	         strlen(value) >= sizeof(clean) ? "..." : "");
	return room;
}

static const char *shown(const char *value, bool quote, char room[WI_SHOWN_ROOM])
{
	const char *text = quote ? wi_value_shown(value, room) : NULL;

	return text ? text : "the value";
}

static weir_status fail_number(const struct wi_option *row, const char *what, weir_error *error)
{
	const struct unit *unit = units_of(row);
	char list[64];
	struct wi_text t;

	wi_text_init(&t, list, sizeof(list));
	for (; unit->name; unit++)
		wi_text_add(&t, "%s%s", t.len ? ", " : "", unit->name);
	return wi_fail(error, WEIR_INVALID, "option \"%s\": %s is not a number%s%s",
	               row->shown.name, what, t.len ? "; a unit may follow it: " : "", list);
}

static weir_status fail_range(const struct wi_option *row, const char *what, weir_error *error)
{
	return wi_fail(error, WEIR_INVALID, "option \"%s\": %s is out of range: %lld to %lld%s%s",
	               row->shown.name, what, (long long)row->shown.min, (long long)row->shown.max,
	               *row->shown.unit ? " " : "", row->shown.unit);
}

/* words as "a b c"; names the nearest only where the value itself may be shown. */
static weir_status fail_words(const struct wi_option *row, const char *words, const char *value,
                              bool quote, weir_error *error)
{
	char buffer[WI_SHOWN_ROOM], list[128];
	struct wi_text t;
	const char *word;
	size_t length;

	wi_text_init(&t, list, sizeof(list));
	for (size_t i = 0; (word = wi_word_at(words, i, &length)); i++)
		wi_text_add(&t, "%s%.*s", i ? ", " : "", (int)length, word);
	return wi_fail(error, WEIR_INVALID, "option \"%s\": %s is none of: %s", row->shown.name,
	               shown(value, quote, buffer), list);
}

static bool in_range(const struct wi_option *row, int64_t number)
{
	return number >= row->shown.min && number <= row->shown.max;
}

static weir_status set_number(const struct wi_option *row, weir_options *options, const char *value,
                              bool quote, weir_error *error)
{
	char buffer[WI_SHOWN_ROOM];
	int64_t number = 0;

	if (row->shown.min == 0 && strcasecmp(value, "off") == 0) {
		*wi_option_number(row, options) = 0;
		return WEIR_OK;
	}
	switch (parse_amount(value, units_of(row), &number)) {
	case AMOUNT_BAD:
		return fail_number(row, shown(value, quote, buffer), error);
	case AMOUNT_HUGE:
		return fail_range(row, shown(value, quote, buffer), error);
	case AMOUNT_OK:
		break;
	}
	if (!in_range(row, number))
		return fail_range(row, shown(value, quote, buffer), error);
	*wi_option_number(row, options) = number;
	return WEIR_OK;
}

static weir_status set_choice(const struct wi_option *row, weir_options *options, const char *value,
                              bool quote, weir_error *error)
{
	int choice = wi_word_find(row->shown.choices, value);

	if (choice < 0)
		return fail_words(row, row->shown.choices, value, quote, error);
	*wi_option_number(row, options) = choice;
	return WEIR_OK;
}

/*
 * One word that is almost a word of `reset` is a typo and not SQL: told at open, not by each
 * connection. (SQL of one word that is near none of them, ROLLBACK say, is taken as SQL.)
 */
static bool is_reset_typo(const struct wi_option *row, const char *value)
{
	static const char *const words[] = {"tracked", "always", "none"};

	if (strcmp(row->shown.name, "reset") != 0 ||
	    wi_word_find("tracked always none", value) >= 0)
		return false;
	return !*value || wi_nearest(value, words, WI_ARRAY_LEN(words));
}

static weir_status check_text(const struct wi_option *row, const char *value, bool quote,
                              weir_error *error)
{
	char buffer[WI_SHOWN_ROOM];
	size_t length = strlen(value);

	if (length >= row->shown.room)
		return wi_fail(error, WEIR_INVALID,
		               "option \"%s\": %zu bytes are too many: at most %zu",
		               row->shown.name, length, row->shown.room - 1);
	if (row->words && length && wi_word_find(row->words, value) < 0)
		return fail_words(row, row->words, value, quote, error);
	if (is_reset_typo(row, value))
		return wi_fail(error, WEIR_INVALID,
		               "option \"%s\": %s is neither tracked, always or none, nor SQL",
		               row->shown.name, shown(value, quote, buffer));
	return WEIR_OK;
}

static weir_status set_text(const struct wi_option *row, weir_options *options, const char *value,
                            bool quote, weir_error *error)
{
	char *place = wi_option_text(row, options);
	weir_status status = check_text(row, value, quote, error);

	if (status != WEIR_OK)
		return status;
	memset(place, 0, row->shown.room);
	memcpy(place, value, strlen(value));
	return WEIR_OK;
}

weir_status wi_value_set(const struct wi_option *row, weir_options *options, const char *value,
                         bool quote, weir_error *error)
{
	switch (row->shown.type) {
	case WEIR_OPTION_IS_INT:
		return set_number(row, options, value, quote, error);
	case WEIR_OPTION_IS_CHOICE:
		return set_choice(row, options, value, quote, error);
	case WEIR_OPTION_IS_TEXT:
		return set_text(row, options, value, quote, error);
	}
	return WEIR_INVALID;
}

static weir_status check_number(const struct wi_option *row, int64_t number, weir_error *error)
{
	char digits[32];

	if (in_range(row, number))
		return WEIR_OK;
	snprintf(digits, sizeof(digits), "%lld", (long long)number);
	return fail_range(row, digits, error);
}

static weir_status check_choice(const struct wi_option *row, int64_t choice, weir_error *error)
{
	char digits[32];
	size_t length;

	if (choice >= 0 && wi_word_at(row->shown.choices, (size_t)choice, &length))
		return WEIR_OK;
	snprintf(digits, sizeof(digits), "%lld", (long long)choice);
	return fail_words(row, row->shown.choices, digits, true, error);
}

weir_status wi_value_check(const struct wi_option *row, const weir_options *options,
                           weir_error *error)
{
	const char *at = (const char *)options + row->offset;
	int64_t number;

	if (row->shown.type == WEIR_OPTION_IS_TEXT) {
		if (!memchr(at, '\0', row->shown.room))
			return wi_fail(error, WEIR_INVALID,
			               "option \"%s\": the text has no end within its %zu bytes",
			               row->shown.name, row->shown.room);
		return check_text(row, at, true, error);
	}
	memcpy(&number, at, sizeof(number));
	if (row->shown.type == WEIR_OPTION_IS_CHOICE)
		return check_choice(row, number, error);
	return check_number(row, number, error);
}

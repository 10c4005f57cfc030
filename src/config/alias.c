/* SPDX-License-Identifier: BSD-2-Clause */
/* aliases.def as an array, and what values in other units come to: seconds, shares, yes and no. */
#include "config/alias.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/line.h"
#include "base/text.h"
#include "config/value.h"

#define UNIT_NUMBER ""
#define UNIT_SECONDS "s"
#define UNIT_MS "ms"
#define UNIT_BOOL "yes or no"
#define UNIT_PING "yes or no"
#define UNIT_SHARE "share"
#define UNIT_RECYCLE "s"
#define UNIT_OVERFLOW ""

static const struct wi_alias rows[] = {
#define WEIR_ALIAS(name_, form_, target_, help_)                                                   \
	{.shown = {.env = #name_,                                                                  \
	           .unit = UNIT_##form_,                                                           \
	           .option = #target_,                                                             \
	           .keyword = "",                                                                  \
	           .help = (help_)},                                                               \
	 .form = WI_FORM_##form_,                                                                  \
	 .target = #target_},
#define WEIR_ALIAS_PART(name_, keyword_, help_)                                                    \
	{.shown =                                                                                  \
	         {.env = #name_, .unit = "", .option = "", .keyword = #keyword_, .help = (help_)}, \
	 .form = WI_FORM_PART,                                                                     \
	 .target = #keyword_},
#include "config/aliases.def"
};

const struct wi_alias *wi_alias_at(size_t i)
{
	return i < WI_ARRAY_LEN(rows) ? &rows[i] : NULL;
}

const weir_alias_row *weir_alias_at(size_t i)
{
	const struct wi_alias *alias = wi_alias_at(i);

	return alias ? &alias->shown : NULL;
}

const struct wi_alias *wi_alias_find(const char *env)
{
	for (size_t i = 0; i < WI_ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].shown.env, env) == 0)
			return &rows[i];
	return NULL;
}

const char *wi_alias_nearest(const char *env)
{
	const char *names[WI_ARRAY_LEN(rows)];

	for (size_t i = 0; i < WI_ARRAY_LEN(rows); i++)
		names[i] = rows[i].shown.env;
	return wi_nearest(env, names, WI_ARRAY_LEN(rows));
}

/* ---- values ---- */

#define BLANKS " \t\r\n"

static const char *shown(const char *value, char room[WI_SHOWN_ROOM])
{
	const char *text = wi_value_shown(value, room);

	return text ? text : "the value";
}

static const char *skip_digits(const char *at)
{
	return at + strspn(at, "0123456789");
}

/* "12", "0.5", "30.", ".5", with blanks around them and a sign; nothing else. */
static bool is_decimal(const char *text)
{
	const char *whole = text + strspn(text, BLANKS), *end, *after;

	whole += *whole == '-' || *whole == '+';
	end = skip_digits(whole);
	after = *end == '.' ? skip_digits(end + 1) : end;
	if (end == whole && after <= end + 1)
		return false;
	return !after[strspn(after, BLANKS)];
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool append_digit(int64_t *n, char digit)
{
	return !__builtin_mul_overflow(*n, 10, n) && !__builtin_add_overflow(*n, digit - '0', n);
}

/*
 * A decimal times 10^places as a whole number, rounded half up; what is not 0 does not become 0,
 * which would switch something off. Beyond all ranges: the most there is.
 */
static int64_t scaled(const char *text, int places)
{
	const char *end, *fraction;
	bool negative, any;
	int64_t n = 0;

	text += strspn(text, BLANKS);
	negative = *text == '-';
	text += *text == '-' || *text == '+';
	any = text[strcspn(text, "123456789")] != '\0';
	end = skip_digits(text);
	fraction = *end == '.' ? end + 1 : end;
	for (; text < end; text++)
		if (!append_digit(&n, *text))
			return negative ? INT64_MIN : INT64_MAX;
	for (; places > 0; places--)
		if (!append_digit(&n, is_digit(*fraction) ? *fraction++ : '0'))
			return negative ? INT64_MIN : INT64_MAX;
	n += is_digit(*fraction) && *fraction >= '5' && n < INT64_MAX;
	n += any && n == 0;
	return negative ? -n : n;
}

static int places_of(enum wi_form form)
{
	switch (form) {
	case WI_FORM_SECONDS:
	case WI_FORM_RECYCLE:
		return 3;
	case WI_FORM_SHARE:
		return 2;
	case WI_FORM_NUMBER:
	case WI_FORM_MS:
	case WI_FORM_BOOL:
	case WI_FORM_PING:
	case WI_FORM_OVERFLOW:
	case WI_FORM_PART:
		break;
	}
	return 0;
}

/* What -1 says, for messages; "": nothing. */
static const char *minus_one_of(enum wi_form form)
{
	return form == WI_FORM_RECYCLE    ? "-1 (never), or "
	       : form == WI_FORM_OVERFLOW ? "-1 (no limit), or "
	                                  : "";
}

/* A number of the option's unit in the alias's: 60000 as "60", 1 as "0.001". */
static void print_scaled(char *room, size_t size, int64_t number, int places)
{
	int64_t unit = places == 3 ? 1000 : places == 2 ? 100 : 1, rest = number % unit;
	struct wi_text t;

	wi_text_init(&t, room, size);
	wi_text_add(&t, "%lld", (long long)(number / unit));
	if (!rest)
		return;
	wi_text_add(&t, ".%0*lld", places, (long long)rest);
	while (room[t.len - 1] == '0')
		room[--t.len] = '\0';
}

static weir_status fail_range(const struct wi_alias *alias, const struct wi_option *row,
                              const char *value, weir_error *error)
{
	bool recycle = alias->form == WI_FORM_RECYCLE;
	char room[WI_SHOWN_ROOM], min[32], max[32];

	print_scaled(min, sizeof(min), recycle ? 1 : row->shown.min, places_of(alias->form));
	print_scaled(max, sizeof(max), row->shown.max, places_of(alias->form));
	return wi_fail(error, WEIR_INVALID, "%s is out of range: %s%s to %s%s%s",
	               shown(value, room), minus_one_of(alias->form), min, max,
	               strcmp(alias->shown.unit, UNIT_SECONDS) == 0 || alias->form == WI_FORM_MS
	                       ? " "
	                       : "",
	               alias->form == WI_FORM_SHARE ? "" : alias->shown.unit);
}

static weir_status set_amount(const struct wi_alias *alias, const struct wi_option *row,
                              weir_options *options, const char *value, weir_error *error)
{
	bool whole = alias->form == WI_FORM_NUMBER || alias->form == WI_FORM_OVERFLOW;
	char room[WI_SHOWN_ROOM];
	int64_t number;

	if (!is_decimal(value) || (whole && strchr(value, '.')))
		return wi_fail(error, WEIR_INVALID, "%s is not a %s%s%s", shown(value, room),
		               whole ? "whole number" : "number",
		               *alias->shown.unit && alias->form != WI_FORM_SHARE ? "; its unit is "
		                                                                  : "",
		               alias->form == WI_FORM_SHARE ? "" : alias->shown.unit);
	number = scaled(value, places_of(alias->form));
	if (alias->form == WI_FORM_RECYCLE) {
		if (number == 0 || (number < 0 && number != -1000))
			return fail_range(alias, row, value, error);
		if (number < 0)
			number = 0;
	}
	if (alias->form == WI_FORM_OVERFLOW && number == -1)
		number = WI_OVERFLOW_UNLIMITED;
	if (number < row->shown.min || number > row->shown.max)
		return fail_range(alias, row, value, error);
	*wi_option_number(row, options) = number;
	return WEIR_OK;
}

/* 1, 0, or -1: it is neither. */
static int yes_or_no(const char *value)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off",
	                                    "on",    "f",    "t",  "n",   "y"};
	size_t length;

	value += strspn(value, BLANKS);
	length = strcspn(value, BLANKS);
	if (value[length + strspn(value + length, BLANKS)])
		return -1;
	if (length == 1 && (*value == '0' || *value == '1'))
		return *value - '0';
	for (size_t i = 0; i < WI_ARRAY_LEN(words); i++)
		if (strlen(words[i]) == length && strncasecmp(words[i], value, length) == 0)
			return (int)(i % 2);
	return -1;
}

static weir_status set_bool(const struct wi_alias *alias, const struct wi_option *row,
                            weir_options *options, const char *value, weir_error *error)
{
	char room[WI_SHOWN_ROOM];
	int yes = yes_or_no(value);

	if (yes < 0)
		return wi_fail(error, WEIR_INVALID,
		               "%s is none of: true, false, yes, no, on, off, 1, 0",
		               shown(value, room));
	if (alias->form == WI_FORM_PING && yes)
		yes = WEIR_PRE_PING_PING;
	*wi_option_number(row, options) = yes;
	return WEIR_OK;
}

weir_status wi_alias_set(const struct wi_alias *alias, const struct wi_option *row,
                         weir_options *options, const char *value, weir_error *error)
{
	switch (alias->form) {
	case WI_FORM_NUMBER:
	case WI_FORM_SECONDS:
	case WI_FORM_MS:
	case WI_FORM_SHARE:
	case WI_FORM_RECYCLE:
	case WI_FORM_OVERFLOW:
		return set_amount(alias, row, options, value, error);
	case WI_FORM_BOOL:
	case WI_FORM_PING:
		return set_bool(alias, row, options, value, error);
	case WI_FORM_PART:
		return wi_value_set(row, options, value, true, error);
	}
	return WEIR_INVALID;
}

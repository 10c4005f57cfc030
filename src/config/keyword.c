/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libpq's keyword string:  name = value  name = 'quoted \' value'  ...
 *
 * Blanks part the pairs and may stand around the "="; a backslash takes the next character as it
 * is, in quotes and out of them. Values are unescaped in place.
 */
#include "config/parse.h"

#include <string.h>

#include "base/text.h"

#define BLANKS " \t\n\v\f\r" /* isspace of the C locale; the host's locale changes nothing here */

static bool is_blank(char c)
{
	return c && strchr(BLANKS, c);
}

/* Takes a backslash's character as it is. *at moves over both; false: there was no backslash. */
static bool take_escaped(char **at, char **to)
{
	if (**at != '\\')
		return false;
	++*at;
	if (**at)
		*(*to)++ = *(*at)++;
	return true;
}

/* A value up to the next blank. Returns what follows it. */
static char *plain_value(char *at)
{
	char *to = at;

	while (*at && !is_blank(*at))
		if (!take_escaped(&at, &to))
			*to++ = *at++;
	if (*at)
		at++;
	*to = '\0';
	return at;
}

/*
 * A value up to its closing quote; at is behind the opening one. Returns what follows it, or NULL:
 * it has no end.
 */
static char *quoted_value(char *at)
{
	char *to = at;

	while (*at && *at != '\'')
		if (!take_escaped(&at, &to))
			*to++ = *at++;
	if (!*at)
		return NULL;
	*to = '\0';
	return at + 1;
}

static weir_status fail_at(struct wi_parse *parse, const char *what)
{
	return wi_fail(parse->error, WEIR_INVALID, "%s: parameter %zu %s", parse->source,
	               parse->number, what);
}

weir_status wi_keyword_parse(struct wi_parse *parse, char *text)
{
	char *name, *value;
	size_t length;

	for (parse->number = 1;; parse->number++) {
		weir_status status;

		text += strspn(text, BLANKS);
		if (!*text)
			return WEIR_OK;
		name = text;
		length = strcspn(name, "=" BLANKS);
		text += length;
		text += strspn(text, BLANKS);
		if (*text != '=')
			return fail_at(parse, "has no \"=\" behind its name");
		name[length] = '\0';
		text++;
		value = text + strspn(text, BLANKS);
		if (*value == '\'') {
			text = quoted_value(++value);
			if (!text)
				return fail_at(parse, "has a quote that is not closed");
		} else {
			text = plain_value(value);
		}
		status = wi_parse_store(parse, name, value);
		if (status != WEIR_OK)
			return status;
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/json_read.h"

#include <stdlib.h>
#include <string.h>

static const char *skip_space(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

/* From a string's first quote to behind its last. */
static const char *skip_text(const char *at)
{
	for (at++; *at && *at != '"'; at++)
		if (*at == '\\' && at[1])
			at++;
	return *at ? at + 1 : at;
}

static const char *skip_value(const char *at)
{
	int depth = 0;

	do {
		if (*at == '"') {
			at = skip_text(at);
			continue;
		}
		if (*at == '{' || *at == '[')
			depth++;
		else if (*at == '}' || *at == ']')
			depth--;
		if (*at)
			at++;
	} while (*at && (depth > 0 || !strchr(",}] \t\r\n", *at)));
	return at;
}

/* Behind the comma, or NULL at the end of the object or array. */
static const char *next_entry(const char *at)
{
	at = skip_space(at);
	return *at == ',' ? skip_space(at + 1) : NULL;
}

static const char *first_entry(const char *container, char open)
{
	if (!container || *container != open)
		return NULL;
	container = skip_space(container + 1);
	return *container && *container != '}' && *container != ']' ? container : NULL;
}

const char *test_json_member(const char *object, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = first_entry(object, '{'); at && *at == '"';
	     at = next_entry(skip_value(at))) {
		const char *key = at + 1;

		at = skip_space(skip_text(at));
		if (*at != ':')
			return NULL;
		at = skip_space(at + 1);
		if (strncmp(key, name, length) == 0 && key[length] == '"')
			return at;
	}
	return NULL;
}

const char *test_json_item(const char *array, size_t i)
{
	const char *at = first_entry(array, '[');

	while (at && i-- > 0)
		at = next_entry(skip_value(at));
	return at;
}

/*
 * What stands behind a backslash. Control characters come as \u00XX; others come as they are, in
 * UTF-8.
 */
static const char *unescape(const char *at, char *to)
{
	static const char from[] = "nrtbf", into[] = "\n\r\t\b\f";
	const char *found = strchr(from, *at);
	char digits[5] = "";

	if (*at == 'u' && strlen(at) > 4) {
		memcpy(digits, at + 1, 4);
		*to = (char)strtol(digits, NULL, 16);
		return at + 5;
	}
	*to = found && *at ? into[found - from] : *at;
	return *at ? at + 1 : at;
}

char *test_json_text(const char *value)
{
	char *text, *to;

	if (!value || *value != '"')
		return NULL;
	text = to = malloc(strlen(value) + 1);
	if (!text)
		return NULL;
	for (const char *at = value + 1; *at && *at != '"';) {
		if (*at == '\\')
			at = unescape(at + 1, to++);
		else
			*to++ = *at++;
	}
	*to = '\0';
	return text;
}

long test_json_number(const char *value)
{
	return value ? strtol(value, NULL, 10) : 0;
}

int test_json_true(const char *value)
{
	return value && strncmp(value, "true", 4) == 0;
}

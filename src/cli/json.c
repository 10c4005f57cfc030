/* SPDX-License-Identifier: BSD-2-Clause */
/* What the documents of `--json` are made of, by jansson. */
#include "cli/json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/text.h"
#include "cli/word.h"

static json_t *made(json_t *value)
{
	if (!value) {
		fputs("weir: out of memory\n", stderr);
		_exit(CLI_EXIT_SYSTEM);
	}
	return value;
}

void cli_json_put(json_t *object, const char *name, json_t *value)
{
	if (json_object_set_new(object, name, value))
		made(NULL);
}

void cli_json_add(json_t *array, json_t *value)
{
	if (json_array_append_new(array, value))
		made(NULL);
}

json_t *cli_json_object(void)
{
	return made(json_object());
}

json_t *cli_json_array(void)
{
	return made(json_array());
}

json_t *cli_json_bool(bool value)
{
	return json_boolean(value);
}

json_t *cli_json_int(int64_t value)
{
	return made(json_integer(value));
}

json_t *cli_json_known(int64_t value)
{
	return value < 0 ? json_null() : cli_json_int(value);
}

json_t *cli_json_real(double value)
{
	return made(json_real((double)(int64_t)(value * 10 + 0.5) / 10));
}

/* How many bytes a UTF-8 character takes that begins so; 0: none begins so. */
static size_t length_by(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xC2)
		return 0;
	return first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
}

/* Whether the second byte rules out overlong forms, surrogates and what is beyond Unicode. */
static bool may_follow(unsigned char first, unsigned char second)
{
	switch (first) {
	case 0xE0:
		return second >= 0xA0;
	case 0xED:
		return second <= 0x9F;
	case 0xF0:
		return second >= 0x90;
	case 0xF4:
		return second <= 0x8F;
	default:
		return true;
	}
}

/* How long the UTF-8 character at c is, or 0 if it is none. */
static size_t character_at(const unsigned char *c)
{
	size_t len = length_by(c[0]);

	for (size_t i = 1; i < len; i++)
		if ((c[i] & 0xC0) != 0x80)
			return 0;
	return len < 2 || may_follow(c[0], c[1]) ? len : 0;
}

json_t *cli_json_text(const char *text)
{
	size_t size = strlen(text) + 1;
	char *clean = memcpy(cli_alloc(size, 1), text, size);
	json_t *value;

	for (char *c = clean; *c;) {
		size_t len = character_at((const unsigned char *)c);

		if (!len)
			*c = '?';
		c += len ? len : 1;
	}
	value = made(json_string(clean));
	free(clean);
	return value;
}

static void print(json_t *document, size_t how)
{
	if (json_dumpf(document, stdout, how | JSON_REAL_PRECISION(15)))
		fputs("weir: cannot write the document\n", stderr);
	putchar('\n');
	json_decref(document);
}

void cli_json_print(json_t *document)
{
	print(document, JSON_INDENT(2));
}

void cli_json_print_line(json_t *document)
{
	print(document, JSON_COMPACT);
}

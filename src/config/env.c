/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options from the environment. All or nothing: a deployment with a typo should not run with half
 * of its settings. The order of environ means nothing here, so the same variables always end in the
 * same words.
 */
#include <weir/options.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "config/table.h"
#include "config/value.h"

#define PREFIX "WEIR_"
#define NAME_ROOM 80

/* The name of an environment entry if it is ours to judge, cut to the room. */
static bool own_name(const char *entry, char name[NAME_ROOM])
{
	size_t length = strcspn(entry, "=");

	if (strncmp(entry, PREFIX, strlen(PREFIX)) != 0 || entry[length] != '=')
		return false;
	wi_copy(name, length < NAME_ROOM ? length + 1 : NAME_ROOM, entry);
	return true;
}

static bool is_option(const char *env)
{
	const struct wi_option *row;

	for (size_t i = 0; (row = wi_option_at(i)); i++)
		if (strcmp(row->shown.env, env) == 0)
			return true;
	return false;
}

/* The first in the alphabet of the names that no option has; false: there is none. */
static bool find_unknown(char unknown[NAME_ROOM])
{
	char name[NAME_ROOM];
	bool found = false;

	for (char **entry = environ; entry && *entry; entry++) {
		if (!own_name(*entry, name) || is_option(name))
			continue;
		if (!found || strcmp(name, unknown) < 0)
			memcpy(unknown, name, NAME_ROOM);
		found = true;
	}
	return found;
}

/* Names only, never a value: it may be a secret of another program. */
static weir_status fail_unknown(const char *name, weir_error *error)
{
	const char *nearest = wi_option_nearest(name + strlen(PREFIX));
	char clean[NAME_ROOM];

	wi_copy_clean(clean, sizeof(clean), name, NULL);
	return wi_fail(error, WEIR_INVALID, "environment: no option has the name %s%s%s%s", clean,
	               nearest ? ": did you mean " : "",
	               nearest ? wi_option_find(nearest)->shown.env : "", nearest ? "?" : "");
}

static weir_status set_from_env(weir_options *options, const struct wi_option *row,
                                weir_error *error)
{
	const char *value = getenv(row->shown.env);
	weir_error cause;

	if (!value)
		return WEIR_OK;
	if (options->size < row->offset + wi_option_size(row))
		return wi_fail(error, WEIR_INVALID,
		               "environment: %s is newer than the headers of this program",
		               row->shown.env);
	if (wi_value_set(row, options, value, true, &cause) == WEIR_OK)
		return WEIR_OK;
	return wi_fail(error, WEIR_INVALID, "environment: %s: %s", row->shown.env, cause.text);
}

weir_status weir_options_from_env(weir_options *options, weir_error *error)
{
	weir_options work;
	const struct wi_option *row;
	char unknown[NAME_ROOM];
	size_t size;

	if (!options || options->size < sizeof(options->size))
		return wi_fail(error, WEIR_INVALID,
		               "the options are not initialised: call weir_options_init first");
	if (find_unknown(unknown))
		return fail_unknown(unknown, error);
	size = options->size < sizeof(work) ? options->size : sizeof(work);
	memcpy(&work, options, size);
	for (size_t i = 0; (row = wi_option_at(i)); i++) {
		weir_status status = set_from_env(&work, row, error);

		if (status != WEIR_OK)
			return status;
	}
	memcpy(options, &work, size);
	return WEIR_OK;
}

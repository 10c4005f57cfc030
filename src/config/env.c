/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options from the environment, by weir's own names and by aliases. All or nothing: a deployment
 * with a typo should not run with half of its settings. The order of environ means nothing here, so
 * the same variables always end in the same words.
 *
 * Names that nobody knows. WEIR_ is weir's own, so there a stranger is an error. DB_ and POSTGRES_
 * are everybody's: what is near an alias is told and left alone, the rest is not looked at.
 *
 * An orchestrator that finds a service called "db" or "weir" puts DB_PORT=tcp://10.0.0.1:5432,
 * WEIR_SERVICE_HOST and the like into every process (Kubernetes: service links; Docker: --link).
 * Nobody has chosen these, so they count as unset.
 */
#include "config/env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/line.h"
#include "base/text.h"
#include "config/file.h"
#include "config/value.h"

#define PREFIX "WEIR_"
#define NAME_ROOM 80

struct reader {
	weir_options work; /* what comes of it */
	weir_options one;  /* one name's value, to be compared */
	size_t size;       /* of the caller's struct, as far as we know it */
	struct wi_sources *sources;
	weir_error *error;
};

/* ---- names ---- */

static bool is_link_value(const char *value)
{
	return strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0;
}

/* WEIR_SERVICE_HOST, WEIR_X_SERVICE_PORT_HTTP, WEIR_PORT_5432_TCP_ADDR. */
static bool is_link_name(const char *name)
{
	const char *port = strstr(name, "_PORT_");

	if (strstr(name, "_SERVICE_HOST") || strstr(name, "_SERVICE_PORT"))
		return true;
	if (!port)
		return false;
	port += strlen("_PORT_");
	return port[strspn(port, "0123456789")] == '_' && *port >= '0' && *port <= '9';
}

const char *wi_env_get(const char *name)
{
	const char *value = getenv(name);

	return value && *value && !is_link_value(value) ? value : NULL;
}

/* The name of an environment entry that has a value and begins so, cut to the room. */
static bool take_name(const char *entry, const char *prefix, char name[NAME_ROOM])
{
	size_t length = strcspn(entry, "=");

	if (strncmp(entry, prefix, strlen(prefix)) != 0 || !entry[length] || !entry[length + 1])
		return false;
	wi_copy(name, length < NAME_ROOM ? length + 1 : NAME_ROOM, entry);
	return !is_link_value(entry + length + 1) && !is_link_name(name);
}

/* weir's own names that are no options. */
static const char *const others[] = {"WEIR_CONFIG_FILE", "WEIR_CONFIG_SECTION"};

static bool is_known(const char *name)
{
	const struct wi_option *row;

	for (size_t i = 0; i < WI_ARRAY_LEN(others); i++)
		if (strcmp(others[i], name) == 0)
			return true;
	for (size_t i = 0; (row = wi_option_at(i)); i++)
		if (strcmp(row->shown.env, name) == 0)
			return true;
	return wi_alias_find(name) != NULL;
}

/*
 * The first in the alphabet, behind `after`, of the names with a prefix that nobody knows; false:
 * there is none.
 */
static bool find_unknown(const char *prefix, const char *after, char unknown[NAME_ROOM])
{
	char name[NAME_ROOM];
	bool found = false;

	for (char **entry = environ; entry && *entry; entry++) {
		if (!take_name(*entry, prefix, name) || is_known(name) || strcmp(name, after) <= 0)
			continue;
		if (!found || strcmp(name, unknown) < 0)
			memcpy(unknown, name, NAME_ROOM);
		found = true;
	}
	return found;
}

static const char *nearest_own(const char *name)
{
	const char *nearest = wi_option_nearest(name + strlen(PREFIX));

	return nearest ? wi_option_find(nearest)->shown.env
	               : wi_nearest(name, others, WI_ARRAY_LEN(others));
}

/* Names only, never a value: it may be a secret of another program. */
static weir_status fail_unknown(const char *name, weir_error *error)
{
	const char *nearest = nearest_own(name);
	char clean[NAME_ROOM];

	wi_copy_clean(clean, sizeof(clean), name, NULL);
	return wi_fail(error, WEIR_INVALID, "environment: no option has the name %s%s%s%s", clean,
	               nearest ? ": did you mean " : "", nearest ? nearest : "",
	               nearest ? "?" : "");
}

/* ---- values ---- */

const char *wi_env_shown(const struct wi_alias *alias, const char *value, char room[WI_SHOWN_ROOM])
{
	bool secret = alias && strcmp(alias->target, "password") == 0;
	const char *text = secret ? NULL : wi_value_shown(value, room);

	return text ? text : "set";
}

static weir_status fail_conflict(const struct reader *r, const struct wi_option *row,
                                 const char *name, const char *value)
{
	const char *first = r->sources->of[wi_option_number_of(row)];
	const char *before = getenv(first);
	char one[WI_SHOWN_ROOM], other[WI_SHOWN_ROOM];

	return wi_fail(r->error, WEIR_INVALID,
	               "environment: %s is %s, and %s is %s: both set option \"%s\"; leave one of "
	               "them out, or make them equal",
	               first, wi_env_shown(NULL, before ? before : "", one), name,
	               wi_env_shown(NULL, value, other), row->shown.name);
}

static bool is_env_name(const char *source)
{
	return source && getenv(source);
}

/* One name's value, for an option that another name may have set already. */
static weir_status take(struct reader *r, const struct wi_option *row, const char *name,
                        const struct wi_alias *alias)
{
	const char *value = wi_env_get(name), **from = &r->sources->of[wi_option_number_of(row)];
	char *one = wi_option_text(row, &r->one), *work = wi_option_text(row, &r->work);
	weir_error cause;
	weir_status st;

	if (!value)
		return WEIR_OK;
	if (r->size < row->offset + wi_option_size(row))
		return wi_fail(r->error, WEIR_INVALID,
		               "environment: %s is newer than the headers of this program", name);
	memcpy(one, work, wi_option_size(row));
	st = alias ? wi_alias_set(alias, row, &r->one, value, &cause)
	           : wi_value_set(row, &r->one, value, true, &cause);
	if (st != WEIR_OK)
		return wi_fail(r->error, st, "environment: %s: %s", name, cause.text);
	if (is_env_name(*from) && memcmp(one, work, wi_option_size(row)) != 0)
		return fail_conflict(r, row, name, value);
	if (is_env_name(*from))
		return WEIR_OK;
	memcpy(work, one, wi_option_size(row));
	*from = name;
	return WEIR_OK;
}

/*
 * A part that has an option of weir's, as DB_SSLMODE: read with the connection string, not here,
 * but it must not say another thing than WEIR_SSLMODE.
 */
static weir_status compare_part(struct reader *r, const struct wi_option *row,
                                const struct wi_alias *alias)
{
	if (!is_env_name(r->sources->of[wi_option_number_of(row)]))
		return WEIR_OK;
	return take(r, row, alias->shown.env, alias);
}

static weir_status read_own(struct reader *r)
{
	const struct wi_option *row;
	weir_status st = WEIR_OK;

	for (size_t i = 0; st == WEIR_OK && (row = wi_option_at(i)); i++)
		st = take(r, row, row->shown.env, NULL);
	return st;
}

static weir_status read_aliases(struct reader *r)
{
	const struct wi_alias *alias;
	const struct wi_option *row;
	weir_status st = WEIR_OK;

	for (size_t i = 0; st == WEIR_OK && (alias = wi_alias_at(i)); i++) {
		row = wi_option_find(alias->target);
		if (!row)
			continue;
		st = alias->form == WI_FORM_PART ? compare_part(r, row, alias)
		                                 : take(r, row, alias->shown.env, alias);
	}
	return st;
}

/* ---- what is only like an alias ---- */

/* To the sink as well, if the program has one by now: nobody reads an error beside OK. */
static void tell_sink(const weir_options *options, const char *text)
{
	weir_event event = {
		.kind = WEIR_EVENT_NAME_DOUBTED, .at_ns = wi_now_ns(), .host = "", .text = text};

	if (options->size >= offsetof(weir_options, on_event_arg) + sizeof(options->on_event_arg) &&
	    options->on_event)
		options->on_event(options->on_event_arg, &event);
}

static void tell_doubted(const weir_options *options, const char *name, const char *nearest,
                         struct wi_text *told)
{
	char clean[NAME_ROOM], line[3 * NAME_ROOM];
	struct wi_text text;

	wi_copy_clean(clean, sizeof(clean), name, NULL);
	wi_text_init(&text, line, sizeof(line));
	wi_text_add(&text, "environment: %s is none of weir's names: did you mean %s?", clean,
	            nearest);
	wi_text_add(told, "%s%s", told->len ? "; " : "", line);
	tell_sink(options, line);
}

static void look_for_doubted(const weir_options *options, weir_error *error)
{
	static const char *const prefixes[] = {"DB_", "POSTGRES_"};
	char text[sizeof(error->text)] = "";
	struct wi_text told;

	wi_text_init(&told, text, sizeof(text));
	for (size_t i = 0; i < WI_ARRAY_LEN(prefixes); i++) {
		char name[NAME_ROOM], after[NAME_ROOM] = "";

		for (; find_unknown(prefixes[i], after, name); memcpy(after, name, NAME_ROOM)) {
			const char *nearest = wi_alias_nearest(name);

			if (nearest)
				tell_doubted(options, name, nearest, &told);
		}
	}
	wi_fail(error, WEIR_OK, "%s", text);
}

/* ---- all of it ---- */

weir_status wi_env_read(weir_options *options, struct wi_sources *sources, weir_error *error)
{
	struct reader r = {.sources = sources, .error = error};
	char unknown[NAME_ROOM];
	weir_status st;

	if (!options || options->size < sizeof(options->size))
		return wi_fail(error, WEIR_INVALID,
		               "the options are not initialised: call weir_options_init first");
	if (find_unknown(PREFIX, "", unknown))
		return fail_unknown(unknown, error);
	if (wi_file_section() && !wi_file_named())
		return wi_fail(error, WEIR_INVALID,
		               "environment: WEIR_CONFIG_SECTION names a section, and no "
		               "WEIR_CONFIG_FILE names the file that it is of");
	r.size = options->size < sizeof(r.work) ? options->size : sizeof(r.work);
	memcpy(&r.work, options, r.size);
	st = wi_file_named()
	             ? wi_file_options(&r.work, wi_file_named(), wi_file_section(), sources, error)
	             : WEIR_OK;
	if (st == WEIR_OK)
		st = read_own(&r);
	if (st == WEIR_OK)
		st = read_aliases(&r);
	if (st != WEIR_OK)
		return st;
	memcpy(options, &r.work, r.size);
	look_for_doubted(options, error);
	return WEIR_OK;
}

weir_status weir_options_from_env(weir_options *options, weir_error *error)
{
	struct wi_sources sources = {{NULL}};

	return wi_env_read(options, &sources, error);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of a connection string that the environment holds one by one: DB_HOST, DB_PASSWORD and
 * the others. They stand in for what DATABASE_URL leaves out; what both say has to be the same,
 * since nobody can know which of the two was forgotten when the other was changed.
 */
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "config/env.h"
#include "config/parse.h"

/* What was said of a part so far, or NULL. room: for an option's value. */
static const char *said(const struct wi_parse *parse, const char *keyword, char *room, size_t size)
{
	const struct wi_option *row = wi_option_find(keyword);

	if (strcmp(keyword, "host") == 0)
		return parse->hosts.text;
	if (strcmp(keyword, "port") == 0)
		return parse->ports.text;
	if (!row)
		return wi_dsn_param(parse->dsn, keyword);
	if (!parse->sources.of[wi_option_number_of(row)] ||
	    weir_options_get(parse->options, keyword, room, size) != WEIR_OK)
		return NULL;
	return room;
}

static bool is_same(const char *keyword, const char *a, const char *b)
{
	return strcmp(keyword, "host") == 0 ? strcasecmp(a, b) == 0 : strcmp(a, b) == 0;
}

/* No piece of the URL is shown: one that was cut at the wrong place may be half a password. */
static weir_status fail_conflict(const struct wi_parse *parse, const struct wi_alias *alias,
                                 const char *value)
{
	char room[WI_SHOWN_ROOM];

	return wi_fail(parse->error, WEIR_INVALID,
	               "environment: %s is %s, and DATABASE_URL says something else of the %s; "
	               "leave one of them out, or make them equal",
	               alias->shown.env, wi_env_shown(alias, value, room), alias->target);
}

static weir_status take(struct wi_parse *parse, const struct wi_alias *alias, const char *value)
{
	const char *source = parse->source;
	weir_status st;

	parse->source = alias->shown.env;
	parse->quotable =
		strcmp(alias->target, "password") != 0 && !wi_value_may_be_conninfo(value);
	st = wi_parse_store(parse, alias->target, value);
	parse->source = source;
	parse->quotable = false;
	return st;
}

weir_status wi_parts_read(struct wi_parse *parse)
{
	char room[1024];
	const struct wi_alias *alias;
	weir_status st = WEIR_OK;

	for (size_t i = 0; st == WEIR_OK && (alias = wi_alias_at(i)); i++) {
		const char *value, *other;

		if (alias->form != WI_FORM_PART || !(value = wi_env_get(alias->shown.env)))
			continue;
		other = said(parse, alias->target, room, sizeof(room));
		if (!other || !*other)
			st = take(parse, alias, value);
		else if (!is_same(alias->target, other, value))
			st = fail_conflict(parse, alias, value);
	}
	return st;
}

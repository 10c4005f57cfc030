/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is in force and who has said so, for people: file, environment and connection string put
 * together as opening does it, without opening anything.
 */
#include <string.h>

#include "base/text.h"
#include "config/dsn.h"
#include "config/env.h"
#include "config/options.h"

struct telling {
	weir_setting_sink sink;
	void *arg;
};

static void tell(const struct telling *t, const char *name, const char *value, const char *source)
{
	const weir_setting setting = {.name = name, .value = value, .source = source};

	t->sink(t->arg, &setting);
}

/* Texts may be SQL, with whatever stands in it. */
static bool may_hold_secret(const struct wi_option *row, const char *value)
{
	return row->shown.type == WEIR_OPTION_IS_TEXT && strpbrk(value, "'\"@=");
}

static void tell_options(const struct telling *t, const weir_options *o,
                         const struct wi_sources *sources)
{
	const struct wi_option *row;
	char value[4096];

	for (size_t i = 0; (row = wi_option_at(i)); i++) {
		const char *source = sources->of[i];

		if (weir_options_get(o, row->shown.name, value, sizeof(value)) != WEIR_OK)
			continue;
		tell(t, row->shown.name, may_hold_secret(row, value) ? "***" : value,
		     source ? source : "default");
	}
}

/* Of what else a connection string says, only what is known to be harmless is shown. */
static void tell_parts(const struct telling *t, const struct wi_dsn *dsn)
{
	for (size_t i = 0; i < dsn->n_hosts; i++)
		tell(t, "host", dsn->hosts[i].name, "");
	for (size_t i = 0; i < dsn->n_params; i++) {
		const char *key = dsn->params[i].key;
		bool harmless = strcmp(key, "user") == 0 || strcmp(key, "dbname") == 0;

		tell(t, key, harmless ? dsn->params[i].value : "***", "");
	}
}

weir_status weir_settings_tell(const char *conninfo, weir_setting_sink sink, void *arg,
                               weir_error *error)
{
	const struct telling t = {sink, arg};
	struct wi_sources sources = {{NULL}};
	struct wi_dsn dsn = {0};
	weir_options o;
	weir_status st;

	if (!sink)
		return wi_fail(error, WEIR_INVALID, "weir_settings_tell: sink is NULL");
	weir_options_init(&o);
	st = wi_env_read(&o, &sources, error);
	if (st == WEIR_OK)
		st = wi_dsn_read(&dsn, conninfo, &o, &sources, error);
	if (st == WEIR_OK)
		st = wi_options_agree(&o, error);
	if (st == WEIR_OK) {
		tell_options(&t, &o, &sources);
		tell_parts(&t, &dsn);
	}
	wi_dsn_fini(&dsn);
	return st;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a connection string says, put together: where it comes from, what each parameter sets, which
 * of libpq's environment variables stand in for what it leaves out, and how it is wiped.
 *
 * Precedence, as libpq's: the string, then PGHOST, PGHOSTADDR and PGPORT one by one. weir reads
 * these three itself, since it wants to know the hosts; all other PG* variables are left to libpq.
 * Where no string is given, DATABASE_URL and the DB_* names (parts.c) are it.
 * A service file may name hosts too, and ranks above the environment: where one is asked for, what
 * the string leaves out is left to libpq.
 */
#include "config/dsn.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/secret.h"
#include "base/text.h"
#include "config/env.h"
#include "config/file.h"
#include "config/options.h"
#include "config/parse.h"
#include "config/table.h"
#include "config/value.h"

static weir_status fail_memory(weir_error *error)
{
	return wi_fail(error, WEIR_NO_MEMORY, "out of memory");
}

static bool grow_params(struct wi_dsn *dsn)
{
	size_t room = dsn->params_room ? 2 * dsn->params_room : 8;
	struct wi_param *params = wi_alloc(room * sizeof(*params));

	if (!params)
		return false;
	if (dsn->n_params)
		memcpy(params, dsn->params, dsn->n_params * sizeof(*params));
	wi_free(dsn->params, dsn->params_room * sizeof(*params));
	dsn->params = params;
	dsn->params_room = room;
	return true;
}

static weir_status add_param(struct wi_parse *parse, const char *key, const char *value)
{
	struct wi_dsn *dsn = parse->dsn;
	struct wi_param *param;

	if (dsn->n_params == dsn->params_room && !grow_params(dsn))
		return fail_memory(parse->error);
	param = &dsn->params[dsn->n_params++]; /* counted at once: fini frees half a one too */
	param->key = wi_secret_strdup(key);
	param->value = wi_secret_strdup(value);
	return param->key && param->value ? WEIR_OK : fail_memory(parse->error);
}

static weir_status set_list(struct wi_list *list, const char *text, const char *source,
                            bool quotable, weir_error *error)
{
	wi_secret_strfree(list->text);
	*list = (struct wi_list){wi_secret_strdup(text), source, quotable};
	return list->text ? WEIR_OK : fail_memory(error);
}

static weir_status set_option(struct wi_parse *parse, const struct wi_option *row,
                              const char *value)
{
	weir_error cause;

	if (wi_value_set(row, parse->options, value, parse->quotable, &cause) == WEIR_OK) {
		parse->sources.of[wi_option_number_of(row)] = parse->source;
		return WEIR_OK;
	}
	return wi_fail(parse->error, WEIR_INVALID, "%s: %s", parse->source, cause.text);
}

/*
 * Letters, digits and "_", as all of libpq's and weir's names are. What else stands there is a slip
 * of the pen.
 */
static bool is_name(const char *key)
{
	size_t length =
		strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	return length > 0 && length < 64 && !key[length];
}

weir_status wi_parse_store(struct wi_parse *parse, const char *key, const char *value)
{
	const struct wi_option *row;

	if (strcmp(key, "requiressl") == 0) { /* its old name; libpq takes it still */
		key = "sslmode";
		value = value[0] == '1' ? "require" : "prefer";
	}
	if (strcmp(key, "host") == 0)
		return set_list(&parse->hosts, value, parse->source, parse->quotable, parse->error);
	if (strcmp(key, "hostaddr") == 0)
		return set_list(&parse->addresses, value, parse->source, parse->quotable,
		                parse->error);
	if (strcmp(key, "port") == 0)
		return set_list(&parse->ports, value, parse->source, parse->quotable, parse->error);
	row = wi_option_find(key);
	if (row)
		return set_option(parse, row, value);
	if (!is_name(key))
		return wi_fail(parse->error, WEIR_INVALID,
		               "%s: parameter %zu has a name that no parameter can have",
		               parse->source, parse->number);
	return add_param(parse, key, value);
}

#define LONGEST                                                                                    \
	(1                                                                                         \
	 << 20) /* no honest connection string is near it; keeps lengths far from the bounds of int */

static weir_status check_text(const struct wi_parse *parse, const char *conninfo)
{
	if (strnlen(conninfo, LONGEST) == LONGEST)
		return wi_fail(parse->error, WEIR_INVALID, "%s: longer than %d bytes",
		               parse->source, LONGEST - 1);
	if (!wi_uri_prefix(conninfo) &&
	    strncmp(conninfo + strcspn(conninfo, ":= \t\n"), "://", 3) == 0)
		return wi_fail(
			parse->error, WEIR_INVALID,
			"%s: looks like a URL, but begins neither with postgresql:// nor with postgres://",
			parse->source);
	return WEIR_OK;
}

/* Reads the string through a copy that the parsers may cut up, and that is wiped after. */
static weir_status parse_text(struct wi_parse *parse, const char *conninfo)
{
	size_t prefix = wi_uri_prefix(conninfo), size = strlen(conninfo) + 1;
	weir_status status = check_text(parse, conninfo);
	char *copy;

	if (status != WEIR_OK)
		return status;
	copy = wi_secret_alloc(size);
	if (!copy)
		return fail_memory(parse->error);
	memcpy(copy, conninfo, size);
	status = prefix ? wi_uri_parse(parse, copy + prefix) : wi_keyword_parse(parse, copy);
	wi_secret_free(copy, size);
	return status;
}

static weir_status default_list(struct wi_list *list, const char *variable, weir_error *error)
{
	const char *value = list->text ? NULL : getenv(variable);

	return value ? set_list(list, value, variable, !wi_value_may_be_conninfo(value), error)
	             : WEIR_OK;
}

static weir_status add_defaults(struct wi_parse *parse)
{
	weir_status status = default_list(&parse->hosts, "PGHOST", parse->error);

	if (status == WEIR_OK)
		status = default_list(&parse->addresses, "PGHOSTADDR", parse->error);
	if (status == WEIR_OK)
		status = default_list(&parse->ports, "PGPORT", parse->error);
	return status;
}

static bool asks_service(const struct wi_parse *parse)
{
	return wi_dsn_param(parse->dsn, "service") ||
	       (!parse->options->isolated && getenv("PGSERVICE"));
}

/* ---- libpq's names for what are options of weir's ---- */

/*
 * Neither of them can be left to libpq: it is weir that connects, and tcp_user_timeout_ms is set.
 */
static const struct twin {
	const char *keyword, *option;
	int64_t unit;  /* of the keyword, in the option's */
	bool for_ever; /* 0 and less mean so there: as long as the option allows */
} twins[] = {
	{"connect_timeout", "connect_timeout_ms", 1000, true},
	{"tcp_user_timeout", "tcp_user_timeout_ms", 1, false},
};

/* As libpq reads a number: digits with a sign, blanks around them, an int. */
static bool is_int(const char *text, int64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoll(text, &end, 10);
	return end != text && !errno && *number >= INT_MIN && *number <= INT_MAX &&
	       !end[strspn(end, " \t\n\v\f\r")];
}

static weir_status take_twin(struct wi_parse *parse, const struct twin *twin)
{
	const struct wi_option *row = wi_option_find(twin->option);
	const char *text = wi_dsn_param(parse->dsn, twin->keyword);
	int64_t *option = wi_option_number(row, parse->options), number;
	const char **source = &parse->sources.of[wi_option_number_of(row)];

	if (!text || !*text)
		return WEIR_OK;
	if (!is_int(text, &number))
		return wi_fail(parse->error, WEIR_INVALID,
		               "%s: parameter \"%s\": the value is not a whole number%s",
		               parse->source, twin->keyword,
		               twin->unit == 1000 ? " of seconds" : "");
	number = number > 0 ? number * twin->unit : twin->for_ever ? row->shown.max : 0;
	if (number > row->shown.max)
		number = row->shown.max;
	if (*source && *option != number)
		return wi_fail(parse->error, WEIR_INVALID,
		               "%s: \"%s\" and \"%s\" say different things; leave one of them "
		               "out, or make them equal",
		               parse->source, twin->keyword, twin->option);
	*option = number;
	*source = parse->source;
	return WEIR_OK;
}

static weir_status take_twins(struct wi_parse *parse)
{
	weir_status status = WEIR_OK;

	for (size_t i = 0; status == WEIR_OK && i < sizeof(twins) / sizeof(twins[0]); i++)
		status = take_twin(parse, &twins[i]);
	return status;
}

static weir_status parse_all(struct wi_parse *parse, const char *conninfo)
{
	weir_status status = conninfo ? parse_text(parse, conninfo) : WEIR_OK;
	bool service;

	if (status == WEIR_OK)
		status = take_twins(parse);
	if (status == WEIR_OK && parse->in_parts)
		status = wi_parts_read(parse);
	if (status == WEIR_OK && parse->in_parts && wi_file_named())
		status = wi_file_parts(parse, wi_file_named(), wi_file_section());
	if (status != WEIR_OK)
		return status;
	service = asks_service(parse);
	if (!service && !parse->options->isolated)
		status = add_defaults(parse);
	if (status != WEIR_OK)
		return status;
	status = wi_endpoints_make(parse, !service || parse->ports.text, &parse->dsn->hosts,
	                           &parse->dsn->n_hosts, parse->error);
	for (size_t i = 0; service && i < parse->dsn->n_hosts; i++)
		parse->dsn->hosts[i].unnamed = !*parse->dsn->hosts[i].host;
	return status;
}

weir_status wi_dsn_read(struct wi_dsn *dsn, const char *conninfo, weir_options *options,
                        struct wi_sources *sources, weir_error *error)
{
	weir_options work = *options; /* set only if all is well */
	struct wi_parse parse = {.dsn = dsn,
	                         .options = &work,
	                         .source = "connection string",
	                         .hint = "",
	                         .error = error};
	weir_status status;

	*dsn = (struct wi_dsn){0};
	if (!conninfo) {
		conninfo = wi_env_get("DATABASE_URL");
		parse.source = conninfo ? "DATABASE_URL" : "environment";
		parse.in_parts = true;
	}
	status = parse_all(&parse, conninfo);
	wi_secret_strfree(parse.hosts.text);
	wi_secret_strfree(parse.addresses.text);
	wi_secret_strfree(parse.ports.text);
	if (status == WEIR_OK)
		*options = work;
	for (size_t i = 0; status == WEIR_OK && sources && i < WI_OPTIONS; i++)
		if (parse.sources.of[i])
			sources->of[i] = parse.sources.of[i];
	return status;
}

weir_status wi_dsn_parse(struct wi_dsn *dsn, const char *conninfo, weir_options *options,
                         weir_error *error)
{
	return wi_dsn_read(dsn, conninfo, options, NULL, error);
}

/*
 * Wipes all of it: in a string that was cut at the wrong place, a host or a name may be half a
 * password.
 */
void wi_dsn_fini(struct wi_dsn *dsn)
{
	for (size_t i = 0; i < dsn->n_params; i++) {
		wi_secret_strfree(dsn->params[i].key);
		wi_secret_strfree(dsn->params[i].value);
	}
	wi_free(dsn->params, dsn->params_room * sizeof(*dsn->params));
	if (dsn->hosts)
		explicit_bzero(dsn->hosts, dsn->n_hosts * sizeof(*dsn->hosts));
	wi_free(dsn->hosts, dsn->n_hosts * sizeof(*dsn->hosts));
	*dsn = (struct wi_dsn){0};
}

const char *wi_dsn_param(const struct wi_dsn *dsn, const char *key)
{
	for (size_t i = dsn->n_params; i > 0; i--)
		if (strcmp(dsn->params[i - 1].key, key) == 0)
			return dsn->params[i - 1].value;
	return NULL;
}

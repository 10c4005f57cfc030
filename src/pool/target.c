/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys and values for the driver: first the connection string's, then weir's options, which win. */
#include "pool/target.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "pool/trust.h"

/* dsn parameters that weir passes in its own way, or not at all. */
static bool is_ours(const char *key)
{
	static const char *const ours[] = {"options",
	                                   "connect_timeout",
	                                   "target_session_attrs",
	                                   "load_balance_hosts",
	                                   "host",
	                                   "hostaddr",
	                                   "port"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcmp(key, ours[i]) == 0)
			return true;
	return false;
}

#define OPTION_ROWS 12
#define NUMBER_ROOM 24

/* The arrays are one block: keys, values, and room for the one number. */
struct arrays {
	const char **keys;
	const char **values;
	char *number;
	size_t n;
};

static size_t block_size(size_t rows)
{
	return 2 * (rows + 1) * sizeof(char *) + NUMBER_ROOM;
}

static void add(struct arrays *a, const char *key, const char *value)
{
	if (!value || !value[0])
		return;
	a->keys[a->n] = key;
	a->values[a->n] = value;
	a->n++;
}

static void add_options(struct arrays *a, const weir_options *o, const char *application_name)
{
	add(a, "sslrootcert", o->sslrootcert);
	add(a, "sslcert", o->sslcert);
	add(a, "sslkey", o->sslkey);
	add(a, "sslcrl", o->sslcrl);
	add(a, "sslcrldir", o->sslcrldir);
	add(a, "ssl_min_protocol_version", o->ssl_min_protocol_version);
	add(a, "channel_binding", o->channel_binding);
	add(a, "require_auth", o->require_auth);
	add(a, "application_name", application_name ? application_name : o->application_name);
	if (o->tcp_user_timeout_ms > 0) {
		snprintf(a->number, NUMBER_ROOM, "%" PRId64, o->tcp_user_timeout_ms);
		add(a, "tcp_user_timeout", a->number);
	}
}

static size_t rows_for(const struct wi_dsn *dsn)
{
	return dsn->n_params + OPTION_ROWS;
}

weir_status wi_target_build(struct wi_target *t, const struct wi_dsn *dsn,
                            const weir_options *options, const struct wi_endpoint *endpoint,
                            const char *application_name, void *script, weir_error *error)
{
	size_t rows = rows_for(dsn);
	char *block = wi_alloc(sizeof(size_t) + block_size(rows));
	struct arrays a;

	*t = (struct wi_target){0};
	if (!block)
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for the connection parameters");
	memcpy(block, &rows, sizeof(rows));
	a.keys = (const char **)(void *)(block + sizeof(size_t));
	a.values = a.keys + rows + 1;
	a.number = (char *)(a.values + rows + 1);
	a.n = 0;
	for (size_t i = 0; i < dsn->n_params; i++)
		if (!is_ours(dsn->params[i].key))
			add(&a, dsn->params[i].key, dsn->params[i].value);
	add(&a, "sslmode", wi_trust_sslmode(options, endpoint, &t->strict));
	add_options(&a, options, application_name);
	t->gap = wi_trust_gap(options, endpoint);

	t->endpoint = endpoint;
	t->keys = a.keys;
	t->values = a.values;
	t->secret = wi_dsn_param(dsn, "password");
	if (!t->secret && !options->isolated)
		t->secret = getenv("PGPASSWORD");
	t->isolated = options->isolated != 0;
	t->plans = (uint32_t)options->prepared_statements;
	t->hears_all = options->on_sqlstate != NULL;
	t->script = script;
	return WEIR_OK;
}

void wi_target_fini(struct wi_target *t)
{
	char *block;
	size_t rows;

	if (!t->keys)
		return;
	block = (char *)(uintptr_t)t->keys - sizeof(size_t);
	memcpy(&rows, block, sizeof(rows));
	wi_free(block, sizeof(size_t) + block_size(rows));
	*t = (struct wi_target){0};
}

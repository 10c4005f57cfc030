/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What weir knows of libpq's connection parameters beyond what libpq itself can tell.
 *
 * Isolation. libpq fills a parameter that is not given from, in this order: a service file, an
 * environment variable, its compiled default, and for some a file in the home directory. An empty
 * value in a connection string counts as given and stops all of it but the last; what has such a
 * file gets the name of one that cannot be. Read in libpq's conninfo_add_defaults, connectOptions2
 * and initialize_SSL (15 to 18).
 */
#include "driver/parameter.h"

#include <stdlib.h>
#include <string.h>

#include "base/line.h"

static const struct {
	const char *keyword, *value;
} neutral_values[] = {
	{"passfile", WI_NO_FILE},
	{"sslcert", WI_NO_FILE},
	{"sslkey", WI_NO_FILE},
	{"sslrootcert", WI_NO_FILE},
	{"sslcrl", WI_NO_FILE},
	{"gssencmode", "disable"},       /* else Kerberos opens its files and ticket caches */
	{"min_protocol_version", "3.0"}, /* these two may not be empty */
	{"max_protocol_version", "3.0"},
	{"service", NULL}, /* an empty one is looked up, and not found */
};

const char *wi_parameter_neutral(const char *keyword, const char *env, const char *compiled)
{
	for (size_t i = 0; i < WI_ARRAY_LEN(neutral_values); i++)
		if (strcmp(keyword, neutral_values[i].keyword) == 0)
			return neutral_values[i].value;
	if (!env)
		return NULL;
	return compiled ? compiled : "";
}

static const struct {
	const char *keyword;
	int since;
} newer_keywords[] = {
	{"require_auth", 16},         {"load_balance_hosts", 16}, {"sslcertmode", 16},
	{"gssdelegation", 16},        {"sslnegotiation", 17},     {"min_protocol_version", 18},
	{"max_protocol_version", 18}, {"sslkeylogfile", 18},      {"scram_client_key", 18},
	{"scram_server_key", 18},     {"oauth_issuer", 18},       {"oauth_client_id", 18},
	{"oauth_client_secret", 18},  {"oauth_scope", 18},
};

int wi_parameter_since(const char *keyword)
{
	for (size_t i = 0; i < WI_ARRAY_LEN(newer_keywords); i++)
		if (strcmp(keyword, newer_keywords[i].keyword) == 0)
			return newer_keywords[i].since;
	return 0;
}

/* The first names a service file, the others go into the startup packet beside the parameters. */
static const char *const stubborn_variables[] = {"PGSERVICE", "PGDATESTYLE", "PGTZ", "PGGEQO"};

const char *wi_parameter_stubborn_variable(void)
{
	for (size_t i = 0; i < WI_ARRAY_LEN(stubborn_variables); i++)
		if (getenv(stubborn_variables[i]))
			return stubborn_variables[i];
	return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why verify-full is the default off this machine. libpq's default, prefer, gives user, database
 * and password to whoever answers "no TLS" to the first packet, and a pool connects again and again
 * without anybody looking. Who wants less says so, in the connection string, an option or
 * PGSSLMODE, and is told once a host (WEIR_EVENT_INSECURE) if a password would go unprotected.
 */
#include "pool/trust.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/line.h"

static bool is_loopback(const char *address)
{
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET, address, &four) == 1)
		return ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET;
	return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

bool wi_trust_is_local(const struct wi_endpoint *e)
{
	if (e->hostaddr[0] && !e->looked_up)
		return is_loopback(e->hostaddr);
	if (e->unnamed)
		return false;
	return e->host[0] == '\0' || e->host[0] == '/' || e->host[0] == '@' ||
	       strcasecmp(e->host, "localhost") == 0 || is_loopback(e->host);
}

/* What holds for a parameter of libpq's: the option's, the environment's, or "". */
static const char *value_of(const weir_options *o, const char *option, const char *variable)
{
	const char *value = option[0] || o->isolated ? option : getenv(variable);

	return value ? value : "";
}

/* As a word that stays: what the environment says may move. "": none that libpq knows. */
static const char *as_constant(const char *mode)
{
	static const char *const modes[] = {"disable", "allow",     "prefer",
	                                    "require", "verify-ca", "verify-full"};

	for (size_t i = 0; i < WI_ARRAY_LEN(modes); i++)
		if (strcmp(mode, modes[i]) == 0)
			return modes[i];
	return "";
}

const char *wi_trust_sslmode(const weir_options *o, const struct wi_endpoint *e, bool *strict)
{
	const char *mode = value_of(o, o->sslmode, "PGSSLMODE");

	*strict = !mode[0] && !wi_trust_is_local(e);
	if (*strict)
		return "verify-full";
	return o->sslmode[0] ? o->sslmode : as_constant(mode);
}

/* As libpq has it: `require` verifies like verify-ca where a root file is named and is there. */
static bool has_root(const weir_options *o)
{
	const char *root = value_of(o, o->sslrootcert, "PGSSLROOTCERT");

	return root[0] && access(root, R_OK) == 0;
}

const char *wi_trust_gap(const weir_options *o, const struct wi_endpoint *e)
{
	const char *mode = value_of(o, o->sslmode, "PGSSLMODE");

	if (wi_trust_is_local(e) || !mode[0] || strncmp(mode, "verify-", 7) == 0)
		return NULL;
	/* Both keep the password itself from whoever is in between. */
	if (strcmp(value_of(o, o->channel_binding, "PGCHANNELBINDING"), "require") == 0 ||
	    strcmp(value_of(o, o->require_auth, "PGREQUIREAUTH"), "scram-sha-256") == 0)
		return NULL;
	if (strcmp(mode, "require") == 0)
		return has_root(o) ? NULL
		                   : "sslmode=require encrypts, and does not verify who answers";
	if (strcmp(mode, "disable") == 0)
		return "sslmode=disable: nothing is encrypted";
	return "sslmode=prefer and allow go on without TLS when whoever answers says so";
}

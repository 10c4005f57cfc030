/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What libpq is told. Parameters go to it as arrays and are never expanded, so that no value can
 * turn into another parameter. Where a target is isolated, a connection string made of nothing but
 * constants goes before them: it gives every option that has an environment variable a neutral
 * value, because libpq takes an empty string from there as given and not as absent. (PGSERVICE,
 * PGTZ, PGDATESTYLE and PGGEQO have no such option; check refuses them.)
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "driver/fault.h"
#include "driver/libpq.h"
#include "driver/parameter.h"
#include "driver/tls.h"

#define KNOWN_MAX 192 /* names that a connection string may use: twice as many as there are */

/*
 * The constants that stand before a target's own parameters. hostaddr is among them always: an
 * address from the environment must not replace the endpoint's. false: no memory.
 */
static bool write_constants(char *to, size_t room, bool isolated)
{
	PQconninfoOption *options, *o;
	struct wi_text text;

	wi_text_init(&text, to, room);
	wi_text_add(&text, "hostaddr=''");
	if (!isolated)
		return true;
	options = PQconninfoParse("", NULL);
	if (!options)
		return false;
	for (o = options; o->keyword; o++) {
		const char *value = wi_parameter_neutral(o->keyword, o->envvar, o->compiled);

		if (value)
			wi_text_add(&text, " %s='%s'", o->keyword, value);
	}
	PQconninfoFree(options);
	return text.len + 1 < room;
}

/* The two arrays for PQconnectStartParams. */
struct params {
	const char **keys, **values;
	size_t n;
};

static void param(struct params *p, const char *key, const char *value)
{
	if (!value || !value[0])
		return;
	p->keys[p->n] = key;
	p->values[p->n++] = value;
}

static size_t count_keys(const struct wi_target *target)
{
	size_t n = 0;

	while (target->keys && target->keys[n])
		n++;
	return n;
}

PGconn *wi_pq_start(const struct wi_target *target, const struct wi_endpoint *endpoint,
                    const char *address)
{
	char constants[4096];
	size_t n = count_keys(target);
	/* constants, gssencmode, user, password, host, hostaddr, port, options, end */
	size_t rows = n + 9;
	size_t bytes = 2 * rows * sizeof(char *);
	const char **arrays = wi_alloc(bytes);
	struct params p = {.keys = arrays, .values = arrays ? arrays + rows : NULL};
	PGconn *pg = NULL;

	if (!arrays || !write_constants(constants, sizeof(constants), target->isolated))
		goto done;
	param(&p, "dbname", constants); /* the first dbname is expanded, no later one is */
	/*
	 * With a Kerberos ticket at hand libpq would ask a KDC, on the keeper's thread, for as long
	 * as that takes, before each connect to a server that has most likely no use for it.
	 */
	if (!getenv("PGGSSENCMODE"))
		param(&p, "gssencmode", "disable");
	for (size_t i = 0; i < n; i++)
		param(&p, target->keys[i], target->values[i]);
	if (target->login) {
		param(&p, "user", target->login->user);
		param(&p, "password", target->login->password);
	}
	param(&p, "host", endpoint->host);
	param(&p, "hostaddr", address ? address : endpoint->hostaddr);
	param(&p, "port", endpoint->port);
	param(&p, "options", target->startup_options);
	pg = PQconnectStartParams(p.keys, p.values, 1);
done:
	wi_free(arrays, bytes);
	return pg;
}

/* ---- judging parameters ---- */

static weir_status unknown_keyword(const char *key, const char *const known[], size_t n,
                                   weir_error *error)
{
	const char *near = wi_nearest(key, known, n);
	int since = wi_parameter_since(key);

	if (since)
		return wi_fail(error, WEIR_INVALID,
		               "\"%s\" needs libpq %d or later; this is libpq %d.%d", key, since,
		               PQlibVersion() / 10000, PQlibVersion() % 10000);
	if (near)
		return wi_fail(error, WEIR_INVALID,
		               "unknown parameter \"%s\"; did you mean \"%s\"?", key, near);
	return wi_fail(error, WEIR_INVALID, "unknown parameter \"%s\"", key);
}

/* The names that a connection string may use: libpq's and weir's. known has room for KNOWN_MAX. */
static size_t list_known(const char *known[], const PQconninfoOption *options)
{
	const weir_option_row *row;
	size_t n = 0;

	for (; options->keyword && n < KNOWN_MAX; options++)
		known[n++] = options->keyword;
	for (size_t i = 0; n < KNOWN_MAX && (row = weir_option_at(i)) != NULL; i++)
		known[n++] = row->name;
	return n;
}

static bool has_keyword(const PQconninfoOption *options, const char *key)
{
	for (; options->keyword; options++)
		if (strcmp(options->keyword, key) == 0)
			return true;
	return false;
}

static weir_status check_keys(const struct wi_target *target, weir_error *error)
{
	PQconninfoOption *options = PQconninfoParse("", NULL);
	weir_status status = WEIR_OK;
	const char *known[KNOWN_MAX];
	size_t n = count_keys(target);

	if (!options)
		return wi_fail(error, WEIR_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < n && status == WEIR_OK; i++)
		if (!has_keyword(options, target->keys[i]))
			status = unknown_keyword(target->keys[i], known, list_known(known, options),
			                         error);
	PQconninfoFree(options);
	return status;
}

/* Where an older libpq would look for a file of this name, and say that there is none. */
static weir_status check_system_roots(const struct wi_target *target, weir_error *error)
{
	for (size_t i = 0; target->keys && target->keys[i]; i++)
		if (strcmp(target->keys[i], "sslrootcert") == 0 &&
		    strcmp(target->values[i], "system") == 0 && PQlibVersion() < 160000)
			return wi_fail(error, WEIR_INVALID,
			               "sslrootcert=system needs libpq 16 or later; this is libpq "
			               "%d.%d: name a file with the authorities",
			               PQlibVersion() / 10000, PQlibVersion() % 10000);
	return WEIR_OK;
}

/*
 * libpq judges values where it begins to connect, so we let it: to a Unix socket that cannot be. If
 * it gets as far as naming the socket in its complaint, it had nothing to say about the values.
 */
static weir_status check_values(const struct wi_target *target, weir_error *error)
{
	static const struct wi_endpoint nowhere = {.host = WI_NO_FILE};
	PGconn *pg = wi_pq_start(target, &nowhere, NULL);
	weir_status status = WEIR_OK;
	char text[512];

	if (!pg)
		return wi_fail(error, WEIR_NO_MEMORY, "out of memory");
	if (!strstr(PQerrorMessage(pg), WI_NO_FILE "/")) {
		wi_copy_clean(text, sizeof(text), PQerrorMessage(pg), target->secret);
		status = wi_fail(error,
		                 wi_fault_of_connect("", text) == WI_FAULT_MEMORY ? WEIR_NO_MEMORY
		                                                                  : WEIR_INVALID,
		                 "%s", text);
	}
	PQfinish(pg);
	return status;
}

static void find_tls(void)
{
	int (*a_function)(void) = PQlibVersion;
	const void *libpq;

	memcpy(&libpq, &a_function, sizeof(libpq));
	wi_tls_find(libpq);
}

weir_status wi_pq_check(const struct wi_target *target, weir_error *error)
{
	const char *variable = target->isolated ? wi_parameter_stubborn_variable() : NULL;
	weir_status status;

	if (variable)
		return wi_fail(error, WEIR_INVALID,
		               "isolated is on, and libpq obeys the environment variable %s "
		               "whatever it is told: unset it",
		               variable);
	find_tls(); /* here, as the keeper may not */
	status = check_keys(target, error);
	if (status == WEIR_OK)
		status = check_system_roots(target, error);
	return status == WEIR_OK ? check_values(target, error) : status;
}

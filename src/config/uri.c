/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libpq's URI:  postgresql://[user[:password]@][host[:port]][,...][/dbname][?name=value[&...]]
 *
 * Cut first, decode after, as libpq does: user and password end at the first "@" that comes before
 * any "/"; the hosts are joined to one list and decoded as a whole, so a %2C in a name parts two
 * hosts.
 */
#include "config/parse.h"

#include <string.h>

#include "base/secret.h"
#include "base/text.h"
#include "config/table.h"

size_t wi_uri_prefix(const char *text)
{
	static const char *const schemes[] = {"postgresql", "postgres"};

	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(schemes[i]);

		if (strncmp(text, schemes[i], n) != 0)
			continue;
		if (text[n] == '+' && text[n + 1] >= 'a' && text[n + 1] <= 'z')
			n += 1 + strspn(text + n + 1, "abcdefghijklmnopqrstuvwxyz0123456789_");
		if (strncmp(text + n, "://", 3) == 0)
			return n + 3;
	}
	return 0;
}

/* Decodes %XX in place; what is wrong with it, or NULL. */
static const char *decode(char *text)
{
	char *to = text;

	while (*text) {
		int high, low;

		if (*text != '%') {
			*to++ = *text++;
			continue;
		}
		high = wi_hex_digit(text[1]);
		low = high < 0 ? -1 : wi_hex_digit(text[2]);
		if (low < 0)
			return "an invalid percent-escape";
		if (high + low == 0)
			return "a forbidden %00";
		*to++ = (char)(high * 16 + low);
		text += 3;
	}
	*to = '\0';
	return NULL;
}

/* Stores a part of the URI that is not empty. */
static weir_status store_part(struct wi_parse *parse, const char *key, const char *part,
                              char *value)
{
	const char *wrong;

	if (!*value)
		return WEIR_OK;
	wrong = decode(value);
	if (wrong)
		return wi_fail(parse->error, WEIR_INVALID, "%s: %s in the %s", parse->source, wrong,
		               part);
	return wi_parse_store(parse, key, value);
}

static weir_status parse_user(struct wi_parse *parse, char **at)
{
	char *user = *at, *end = user + strcspn(user, "@/"), *password;
	weir_status status;

	if (*end != '@')
		return WEIR_OK;
	*end = '\0';
	*at = end + 1;
	password = strchr(user, ':');
	if (password)
		*password++ = '\0';
	status = store_part(parse, "user", "user", user);
	if (status == WEIR_OK && password)
		status = store_part(parse, "password", "password", password);
	return status;
}

/* One host of the list, in brackets or not. *at is left behind it. */
static weir_status parse_host(struct wi_parse *parse, const char **at, struct wi_text *hosts,
                              size_t number)
{
	const char *host = *at;
	size_t length;

	if (*host != '[') {
		length = strcspn(host, ":/?,");
		wi_text_add(hosts, "%.*s", (int)length, host);
		*at = host + length;
		return WEIR_OK;
	}
	host++;
	length = strcspn(host, "]");
	if (!host[length])
		return wi_fail(parse->error, WEIR_INVALID,
		               "%s: host %zu begins with \"[\" and has no \"]\"%s", parse->source,
		               number, parse->hint);
	if (!length)
		return wi_fail(parse->error, WEIR_INVALID, "%s: the brackets of host %zu are empty",
		               parse->source, number);
	wi_text_add(hosts, "%.*s", (int)length, host);
	*at = host + length + 1;
	if (**at && !strchr(":/?,", **at))
		return wi_fail(
			parse->error, WEIR_INVALID,
			"%s: what follows the \"]\" of host %zu is none of \":\", \",\", \"/\" and \"?\"%s",
			parse->source, number, parse->hint);
	return WEIR_OK;
}

static weir_status parse_hosts(struct wi_parse *parse, const char **at, struct wi_text *hosts,
                               struct wi_text *ports)
{
	for (size_t number = 1;; number++) {
		weir_status status = parse_host(parse, at, hosts, number);
		size_t length;

		if (status != WEIR_OK)
			return status;
		if (**at == ':') {
			++*at;
			length = strcspn(*at, "/?,");
			wi_text_add(ports, "%.*s", (int)length, *at);
			*at += length;
		}
		if (**at != ',')
			return WEIR_OK;
		++*at;
		wi_text_add(hosts, ",");
		wi_text_add(ports, ",");
	}
}

static weir_status store_hosts(struct wi_parse *parse, char **at)
{
	size_t room = strlen(*at) + 1;
	char *lists = wi_secret_alloc(2 * room);
	const char *end = *at;
	struct wi_text hosts, ports;
	weir_status status;

	if (!lists)
		return wi_fail(parse->error, WEIR_NO_MEMORY, "out of memory");
	wi_text_init(&hosts, lists, room);
	wi_text_init(&ports, lists + room, room);
	status = parse_hosts(parse, &end, &hosts, &ports);
	if (status == WEIR_OK)
		status = store_part(parse, "host", "list of hosts", hosts.at);
	if (status == WEIR_OK)
		status = store_part(parse, "port", "list of ports", ports.at);
	*at += end - *at;
	wi_secret_free(lists, 2 * room);
	return status;
}

static weir_status store_param(struct wi_parse *parse, char *param)
{
	size_t number = parse->number;
	char *value = strchr(param, '=');
	const char *wrong;

	if (!value)
		return wi_fail(parse->error, WEIR_INVALID, "%s: parameter %zu has no \"=\"",
		               parse->source, number);
	*value++ = '\0';
	if (strchr(value, '='))
		return wi_fail(
			parse->error, WEIR_INVALID,
			"%s: parameter %zu has a second \"=\" (in a value it is written %%3D)",
			parse->source, number);
	wrong = decode(param);
	if (wrong)
		return wi_fail(parse->error, WEIR_INVALID, "%s: %s in the name of parameter %zu",
		               parse->source, wrong, number);
	wrong = decode(value);
	if (wrong)
		return wi_fail(parse->error, WEIR_INVALID, "%s: %s in the value of parameter %zu",
		               parse->source, wrong, number);
	if (strcmp(param, "ssl") == 0 && strcmp(value, "true") == 0)
		/* libpq's kindness to JDBC's URLs */
		return wi_parse_store(parse, "sslmode", "require");
	if (strcmp(param, "ssl") == 0 &&
	    wi_word_find("disable allow prefer require verify-ca verify-full", value) >= 0)
		return wi_parse_store(parse, "sslmode", value); /* asyncpg's name for it */
	return wi_parse_store(parse, param, value);
}

static weir_status parse_params(struct wi_parse *parse, char *at)
{
	while (*at) {
		size_t length = strcspn(at, "&");
		char *next = at + length + (at[length] == '&');
		weir_status status;

		at[length] = '\0';
		parse->number++;
		status = store_param(parse, at);
		if (status != WEIR_OK)
			return status;
		at = next;
	}
	return WEIR_OK;
}

static weir_status parse_dbname(struct wi_parse *parse, char **at)
{
	char *dbname = *at + 1, *end = dbname + strcspn(dbname, "?");
	char mark = *end;
	weir_status status;

	*end = '\0';
	status = store_part(parse, "dbname", "database name", dbname);
	*end = mark;
	*at = end;
	return status;
}

weir_status wi_uri_parse(struct wi_parse *parse, char *text)
{
	weir_status status = parse_user(parse, &text);

	if (strchr(text, '@'))
		parse->hint =
			"; if the password has a \"/\", \"?\" or \"@\" in it, write %2F, %3F or %40";
	if (status == WEIR_OK)
		status = store_hosts(parse, &text);
	if (status == WEIR_OK && *text == '/')
		status = parse_dbname(parse, &text);
	if (status == WEIR_OK && *text == '?')
		status = parse_params(parse, text + 1);
	return status;
}

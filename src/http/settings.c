/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What weir_http_start was given: checked, completed, copied; and by which names it may be asked.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "http/http.h"

weir_status wi_http_fail(weir_error *error, weir_status status, const char *format, ...)
{
	va_list args;

	if (!error)
		return status;
	memset(error, 0, sizeof(*error));
	error->status = status;
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return status;
}

/* ---- names ---- */

static bool is_loopback(const char *address)
{
	static const unsigned char zeros[15];
	unsigned char v4[4], v6[16];

	if (inet_pton(AF_INET, address, v4) == 1)
		return v4[0] == 127;
	return inet_pton(AF_INET6, address, v6) == 1 && v6[15] == 1 &&
	       memcmp(v6, zeros, sizeof(zeros)) == 0;
}

static void copy_small(char *to, const char *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (char)tolower((unsigned char)from[i]);
	to[n] = '\0';
}

/* The name of "name:port" or "[address]:port", in small letters; false: it is no such thing. */
static bool name_of(const char *host, char *name, size_t room)
{
	const char *begin = host + (host[0] == '[');
	size_t n = strcspn(begin, host[0] == '[' ? "]" : ":");
	const char *rest = begin + n;

	if (host[0] == '[' && *rest++ != ']')
		return false;
	if (*rest && (*rest != ':' || rest[1 + strspn(rest + 1, "0123456789")]))
		return false;
	if (n == 0 || n >= room)
		return false;
	copy_small(name, begin, n - (begin[n - 1] == '.')); /* "localhost." is localhost */
	return name[0] != '\0';
}

bool wi_settings_know(const struct wi_http_settings *s, const char *host)
{
	char name[256];

	if (!name_of(host, name, sizeof(name)))
		return false;
	if (s->n_names == 0)
		return !s->is_loopback || is_loopback(name) || strcmp(name, "localhost") == 0;
	for (uint32_t i = 0; i < s->n_names; i++)
		if (strcmp(s->name[i], name) == 0)
			return true;
	return false;
}

static weir_status read_names(struct wi_http_settings *to, const char *hosts, weir_error *error)
{
	while (hosts && *hosts) {
		size_t n = strcspn(hosts, ",");

		if (to->n_names == WI_NAMES_MAX)
			return wi_http_fail(error, WEIR_INVALID, "hosts: more than %d names",
			                    WI_NAMES_MAX);
		if (n == 0 || n >= sizeof(to->name[0]) || strcspn(hosts, " \t/[]") < n)
			return wi_http_fail(error, WEIR_INVALID,
			                    "hosts: \"%.*s\" is no name or address", (int)n, hosts);
		copy_small(to->name[to->n_names++], hosts, n);
		hosts += n + (hosts[n] == ',');
	}
	return WEIR_OK;
}

/* ---- the others ---- */

static weir_status read_address(struct wi_http_settings *to, const char *address, weir_error *error)
{
	unsigned char binary[16];

	address = address ? address : "127.0.0.1";
	if (inet_pton(AF_INET, address, binary) != 1 && inet_pton(AF_INET6, address, binary) != 1)
		return wi_http_fail(error, WEIR_INVALID,
		                    "address: \"%.64s\" is no address (names are not looked up)",
		                    address);
	snprintf(to->address, sizeof(to->address), "%s", address);
	to->is_loopback = is_loopback(address);
	return WEIR_OK;
}

static weir_status read_time(int64_t *to, int64_t from, int64_t usual, const char *name,
                             weir_error *error)
{
	*to = from ? from : usual;
	if (from < 0 || from > INT32_MAX)
		return wi_http_fail(error, WEIR_INVALID, "%s: %lld is out of range", name,
		                    (long long)from);
	return WEIR_OK;
}

static weir_status read_times(struct wi_http_settings *to, const weir_http_settings *from,
                              weir_error *error)
{
	weir_status st = read_time(&to->health_timeout_ms, from->health_timeout_ms, 1000,
	                           "health_timeout_ms", error);

	if (st == WEIR_OK)
		st = read_time(&to->health_good_for_ms, from->health_good_for_ms, 1000,
		               "health_good_for_ms", error);
	if (st == WEIR_OK)
		st = read_time(&to->timeout_ms, from->timeout_ms, 10000, "timeout_ms", error);
	return st;
}

static weir_status read_numbers(struct wi_http_settings *to, const weir_http_settings *from,
                                weir_error *error)
{
	to->port = from->port;
	to->ready_wants = from->ready_wants;
	to->connections_max = from->connections_max ? from->connections_max : 64;
	to->request_max = from->request_max ? from->request_max : 8192;
	if ((unsigned)from->ready_wants > WEIR_HTTP_WANTS_ANY)
		return wi_http_fail(error, WEIR_INVALID, "ready_wants: no such choice, %d",
		                    (int)from->ready_wants);
	if (to->connections_max > 10000)
		return wi_http_fail(error, WEIR_INVALID, "connections_max: more than 10000");
	if (to->request_max < 1024 || to->request_max > 1 << 20)
		return wi_http_fail(error, WEIR_INVALID,
		                    "request_max: not between 1024 and 1048576");
	return WEIR_OK;
}

weir_status wi_settings_read(struct wi_http_settings *to, const weir_http_settings *from,
                             weir_error *error)
{
	size_t size = from->size ? from->size : sizeof(*from);
	weir_http_settings known = {0};
	weir_status st;

	for (size_t i = sizeof(known); i < size; i++)
		if (((const unsigned char *)from)[i])
			return wi_http_fail(error, WEIR_INVALID,
			                    "the settings have what this weir does not know");
	memcpy(&known, from, size < sizeof(known) ? size : sizeof(known));
	st = read_address(to, known.address, error);
	if (st == WEIR_OK)
		st = read_times(to, &known, error);
	if (st == WEIR_OK)
		st = read_numbers(to, &known, error);
	if (st == WEIR_OK)
		st = read_names(to, known.hosts, error);
	return st;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Our reading of connection strings against libpq's own: a table of URIs and keyword strings of
 * every kind, and thousands of them spoilt at random (fixed seed).
 *
 * PQconninfoParse knows the grammar and the names. What libpq checks only when it connects (counts,
 * ports, modes) and what weir alone refuses (equal hosts, names that cannot be) is computed here
 * anew from libpq's values.
 */
#include "config/dsn.h"

#include <ctype.h>
#include <limits.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "base/line.h"
#include "base/rng.h"
#include "config/options.h"

#define ROOM 512
#define ROUNDS 20000

static const char *const strings[] = {
	"postgresql://",
	"postgres://",
	"postgresql://host",
	"postgresql://host/",
	"postgresql://host:",
	"postgresql://host:/",
	"postgresql://host:12345",
	"postgresql://host:12345/",
	"postgresql://host:12345/db",
	"postgresql://host/db",
	"postgresql://:12345",
	"postgresql://:12345/db",
	"postgresql:///db",
	"postgresql:///db/with/slashes",
	"postgresql://user@",
	"postgresql://user@host",
	"postgresql://user@host:12345/db?user=other",
	"postgresql://user:pw@host/db",
	"postgresql://user:@host/",
	"postgresql://:pw@host/",
	"postgresql://user:p:w@host/",
	"postgresql://user:p?w@host/",
	"postgresql://user:p&w=@host/",
	"postgresql://h/?connect_timeout=12&tcp_user_timeout=3000",
	"postgresql://user%20name:p%40ss%2Fw%3Aord@host:1/d%62?connect_timeout=%31",
	"postgresql://us%C3%BCr@host/",
	"postgresql://host?user=a",
	"postgresql://host/?user=a&password=b&dbname=c",
	"postgresql://host/db?user=a&user=b",
	"postgresql://host?",
	"postgresql://host/?",
	"postgresql://host/db?user=a&",
	"postgresql://host/db?&user=a",
	"postgresql://host/db?user",
	"postgresql://host/db?user=",
	"postgresql://host/db?=a",
	"postgresql://host/db?user=a=b",
	"postgresql://host/db?user=a%3Db",
	"postgresql://host/db?us%65r=a",
	"postgresql://host/db?unknown=1",
	"postgresql://host/db?user=%",
	"postgresql://host/db?user=%4",
	"postgresql://host/db?user=%4g",
	"postgresql://host/db?user=%00",
	"postgresql://ho%73t/",
	"postgresql://ho%/",
	"postgresql://[::1]",
	"postgresql://[::1]:12345/db",
	"postgresql://[2001:db8::1]/db?user=a",
	"postgresql://[200z:db8::1]/",
	"postgresql://[::1],[::2]:5433",
	"postgresql://[::1",
	"postgresql://[]",
	"postgresql://[::1]z",
	"postgresql://[]/",
	"postgresql://h1,h2",
	"postgresql://h1:1,h2:2",
	"postgresql://h1:1,h2,h3:3/db",
	"postgresql://u:p@h1,h2:5433,h3/shop?target_session_attrs=any",
	"postgresql://h1,h2?port=5000",
	"postgresql://h1,h2?port=5000,5001",
	"postgresql://h1,h2?port=5000,5001,5002",
	"postgresql://h1%2Ch2:1",
	"postgresql://h1,",
	"postgresql://,",
	"postgresql://,h1",
	"postgresql://%2Fvar%2Frun%2Fpostgresql/db",
	"postgresql://%2Fvar%2Frun:5433/db",
	"postgresql:///db?host=/var/run/postgresql&port=5433",
	"postgresql:///?host=/a,/b",
	"postgresql:///?host=@abstract",
	"postgresql://?hostaddr=127.0.0.1",
	"postgresql://host?hostaddr=127.0.0.1",
	"postgresql://h1,h2?hostaddr=127.0.0.1,::1",
	"postgresql://h1,h2?hostaddr=127.0.0.1",
	"postgresql://h1,h2?hostaddr=,127.0.0.1",
	"postgresql://host?hostaddr=host",
	"postgresql://host/db?ssl=true",
	"postgresql://host/db?ssl=false",
	"postgresql://host/db?sslmode=verify-full&sslrootcert=%2Fca.pem&channel_binding=require",
	"postgresql://host/db?sslmode=bogus",
	"postgresql://host/db?application_name=a%20b&ssl_min_protocol_version=TLSv1.2",
	"postgresql://host/db?requiressl=1",
	"postgresql://host/db?options=-c%20geqo%3Doff",
	"postgresql://host:0/",
	"postgresql://host:65536/",
	"postgresql://host:abc/",
	"postgresql://host:%35432/",
	"postgresql://host: 5432 /",
	"postgresql://user@host@other/",
	"postgresql://user:pw/word@host/",
	"postgresql:/host",
	"postgresql//host",
	"postgresql",
	"Postgresql://host",
	"",
	"   ",
	"host=h",
	"host=h port=1 user=u password=p dbname=d",
	" host = h\tport\n=\n1 ",
	"host='h' port='1'",
	"user='a b' password='it\\'s'",
	"user=a\\ b password=it\\'s",
	"user='a\\\\b'",
	"user='a",
	"user=a'b",
	"user='a'password='b'",
	"user=''",
	"user= password=p",
	"user=",
	"user",
	"user =",
	"=a",
	"user a=b",
	"user=a\\",
	"user='a\\",
	"unknown=1",
	"host=h1,h2 port=1,2",
	"host=h1,h2 port=1",
	"host=h1,h2 port=1,2,3",
	"host=h1,h2 port=,2",
	"host=h1 hostaddr=127.0.0.1",
	"hostaddr=127.0.0.1,::1 port=1,2",
	"hostaddr='' host=''",
	"host=/tmp port=5433",
	"requiressl=1",
	"requiressl=0 host=h",
	"sslmode=require host=h",
	"port=5432 port=5433",
	"dbname='postgresql://host/db'",
};

/* --- what should come out, from libpq's values --- */

static const char *value_of(const PQconninfoOption *all, const char *keyword)
{
	for (; all->keyword; all++)
		if (strcmp(all->keyword, keyword) == 0)
			return all->val && *all->val ? all->val : NULL;
	return NULL;
}

static size_t split(const char *list, char pieces[][ROOM], size_t room)
{
	size_t n = 0;

	while (list && n < room) {
		const char *comma = strchr(list, ',');
		size_t length = comma ? (size_t)(comma - list) : strlen(list);

		snprintf(pieces[n++], ROOM, "%.*s", (int)length, list);
		list = comma ? comma + 1 : NULL;
	}
	return n;
}

struct expected {
	bool valid;
	size_t n;
	char host[64][ROOM], address[64][ROOM];
	long port[64];
};

static bool port_is_valid(const char *text, long *port)
{
	int end = -1;

	*port = 5432;
	if (!*text)
		return true;
	if (strlen(text) > 60 || sscanf(text, " %ld %n", port, &end) != 1)
		return false;
	return end == (int)strlen(text) && *port >= 1 && *port <= 65535;
}

static bool host_is_valid(const char *host)
{
	if (strlen(host) > 255)
		return false;
	if (*host == '/' || *host == '@')
		return true;
	for (; *host; host++)
		if (*host == ' ' || iscntrl((unsigned char)*host) || *host == '@' || *host == '/' ||
		    *host == '\\')
			return false;
	return true;
}

static bool address_is_valid(const char *address)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *found = NULL;

	if (!*address)
		return true;
	if (strlen(address) > 63 || getaddrinfo(address, NULL, &hints, &found) != 0)
		return false;
	freeaddrinfo(found);
	return true;
}

static bool same_place(const struct expected *e, size_t a, size_t b)
{
	bool exact = e->host[a][0] == '/' || e->host[a][0] == '@';

	return (exact ? strcmp : strcasecmp)(e->host[a], e->host[b]) == 0 &&
	       strcmp(e->address[a], e->address[b]) == 0 && e->port[a] == e->port[b];
}

static bool word_among(const char *word, const char *words)
{
	char list[128];

	if (!word)
		return true;
	snprintf(list, sizeof(list), "%s", words);
	for (char *at = strtok(list, " "); at; at = strtok(NULL, " "))
		if (strcmp(at, word) == 0)
			return true;
	return false;
}

/* What libpq refuses when it connects. */
static bool timeout_is_valid(const char *text)
{
	int end = -1;
	long number;

	if (!text)
		return true;
	return sscanf(text, " %ld %n", &number, &end) == 1 && end == (int)strlen(text) &&
	       number >= INT_MIN && number <= INT_MAX;
}

static bool options_are_valid(const PQconninfoOption *all)
{
	static const char *const bounded[] = {"sslrootcert", "sslcert", "sslkey", "sslcrl"};
	const char *name = value_of(all, "application_name");

	for (size_t i = 0; i < WI_ARRAY_LEN(bounded); i++)
		if (value_of(all, bounded[i]) && strlen(value_of(all, bounded[i])) > 511)
			return false;
	return (!name || strlen(name) < 64) && timeout_is_valid(value_of(all, "connect_timeout")) &&
	       timeout_is_valid(value_of(all, "tcp_user_timeout")) &&
	       word_among(value_of(all, "sslmode"),
	                  "disable allow prefer require verify-ca verify-full") &&
	       word_among(value_of(all, "ssl_min_protocol_version"),
	                  "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3") &&
	       word_among(value_of(all, "channel_binding"), "disable prefer require");
}

static void expect_from(const PQconninfoOption *all, struct expected *e)
{
	static char ports[64][ROOM];
	size_t hosts = split(value_of(all, "host"), e->host, 64);
	size_t addresses = split(value_of(all, "hostaddr"), e->address, 64);
	size_t n_ports = split(value_of(all, "port"), ports, 64);

	e->n = addresses ? addresses : hosts ? hosts : 1;
	e->valid = options_are_valid(all) && !(hosts && hosts != e->n) &&
	           !(n_ports > 1 && n_ports != e->n);
	for (size_t i = 0; i < e->n && e->valid; i++) {
		const char *port = n_ports ? ports[n_ports == 1 ? 0 : i] : "";

		if (!hosts)
			e->host[i][0] = '\0';
		if (!addresses)
			e->address[i][0] = '\0';
		e->valid = host_is_valid(e->host[i]) && address_is_valid(e->address[i]) &&
		           port_is_valid(port, &e->port[i]);
		for (size_t k = 0; k < i && e->valid; k++)
			e->valid = !same_place(e, i, k);
	}
}

/* --- comparison --- */

static void compare_hosts(const char *conninfo, const struct wi_dsn *dsn, const struct expected *e)
{
	if (dsn->n_hosts != e->n)
		fail_msg("<%s>: %zu hosts, libpq has %zu", conninfo, dsn->n_hosts, e->n);
	for (size_t i = 0; i < e->n; i++) {
		const struct wi_endpoint *host = &dsn->hosts[i];

		if (strcmp(host->host, e->host[i]) != 0 ||
		    strcmp(host->hostaddr, e->address[i]) != 0 ||
		    strtol(host->port, NULL, 10) != e->port[i])
			fail_msg("<%s>: host %zu is %s (%s) %s, libpq has %s (%s) %ld", conninfo,
			         i + 1, host->host, host->hostaddr, host->port, e->host[i],
			         e->address[i], e->port[i]);
	}
}

/* A value of libpq's is among the parameters, or it set the option of the same name. */
static void compare_value(const char *conninfo, const struct wi_dsn *dsn,
                          const weir_options *options, const PQconninfoOption *theirs)
{
	char text[4096];
	const char *ours = wi_dsn_param(dsn, theirs->keyword);

	if (wi_option_known(theirs->keyword)) {
		assert_int_equal(weir_options_get(options, theirs->keyword, text, sizeof(text)),
		                 WEIR_OK);
		ours = text;
		if (!theirs->val)
			return; /* the option keeps its default */
	}
	if (!ours != !theirs->val || (ours && strcmp(ours, theirs->val) != 0))
		fail_msg("<%s>: %s is <%s>, libpq has <%s>", conninfo, theirs->keyword,
		         ours ? ours : "(none)", theirs->val ? theirs->val : "(none)");
}

static bool is_host_key(const char *keyword)
{
	return strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 ||
	       strcmp(keyword, "port") == 0;
}

static bool has_unknown_param(const struct wi_dsn *dsn)
{
	PQconninfoOption *known = PQconndefaults();
	bool unknown = false;

	assert_non_null(known);
	for (size_t i = 0; i < dsn->n_params; i++) {
		const PQconninfoOption *at = known;

		while (at->keyword && strcmp(at->keyword, dsn->params[i].key) != 0)
			at++;
		unknown |= !at->keyword;
	}
	PQconninfoFree(known);
	return unknown;
}

struct tally {
	int equal, both_refuse, unknown, weir_refuses;
};

static void compare(const char *conninfo, struct tally *tally)
{
	static struct expected expected;
	weir_options options;
	weir_error error = {0};
	struct wi_dsn dsn;
	char *message = NULL;
	PQconninfoOption *theirs = PQconninfoParse(conninfo, &message);
	bool ours;

	weir_options_init(&options);
	options.isolated = 1;
	ours = wi_dsn_parse(&dsn, conninfo, &options, &error) == WEIR_OK;
	if (!theirs) {
		bool unknown = ours && has_unknown_param(&dsn); /* the driver's to refuse */

		if (ours && !unknown)
			fail_msg("<%s>: taken, libpq says: %s", conninfo,
			         message ? message : "out of memory");
		tally->unknown += unknown;
		tally->both_refuse += !ours;
	} else {
		expect_from(theirs, &expected);
		if (ours != expected.valid)
			fail_msg("<%s>: %s, but should be %s", conninfo,
			         ours ? "taken" : error.text, expected.valid ? "taken" : "refused");
		for (const PQconninfoOption *at = theirs; ours && at->keyword; at++)
			if (!is_host_key(at->keyword))
				compare_value(conninfo, &dsn, &options, at);
		if (ours)
			compare_hosts(conninfo, &dsn, &expected);
		tally->equal += ours;
		tally->weir_refuses += !ours;
	}
	wi_dsn_fini(&dsn);
	PQconninfoFree(theirs);
	PQfreemem(message);
}

static void strings_of_every_kind_are_read_alike(void **state)
{
	struct tally tally = {0};

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(strings); i++)
		compare(strings[i], &tally);
	assert_true(tally.equal > 50 && tally.both_refuse > 20 && tally.unknown >= 2 &&
	            tally.weir_refuses > 5);
}

static void spoil(struct wi_rng *rng, char *text)
{
	static const char bytes[] = "%@:/?&=,[]' \\#;.0123aAfFgz\n\t\x80+-";
	/*
	 * mostly behind the prefix: without it, a URI is only a keyword string that makes no sense
	 */
	size_t length = strlen(text), kept = wi_rng_below(rng, 20) ? strlen("postgresql://") : 0;
	size_t first = strncmp(text, "postgresql://", kept) == 0 ? kept : 0;
	size_t at = first + wi_rng_below(rng, (uint32_t)(length - first) + 1);
	char byte = bytes[wi_rng_below(rng, sizeof(bytes) - 1)];

	if (length + 2 > ROOM)
		return;
	switch (wi_rng_below(rng, 3)) {
	case 0:
		if (at < length)
			text[at] = byte;
		break;
	case 1:
		if (at < length)
			memmove(text + at, text + at + 1, length - at);
		break;
	default:
		memmove(text + at + 1, text + at, length - at + 1);
		text[at] = byte;
		break;
	}
}

/*
 * libpq 18 began to drop blanks around the values of a URI; the rule compared with is the one
 * before.
 */
static bool is_beside_the_point(const char *text)
{
	/* nor does libpq read SQLAlchemy's URLs */
	if (strncmp(text, "postgresql+", 11) == 0 || strncmp(text, "postgres+", 9) == 0)
		return true;
	return PQlibVersion() >= 180000 && strpbrk(text, " \t\n");
}

static void spoilt_strings_are_read_alike(void **state)
{
	struct tally tally = {0};
	struct wi_rng rng;

	(void)state;
	wi_rng_seed(&rng, 15);
	for (int i = 0; i < ROUNDS; i++) {
		char text[ROOM];

		snprintf(text, sizeof(text), "%s",
		         strings[wi_rng_below(&rng, WI_ARRAY_LEN(strings))]);
		for (uint32_t n = 1 + wi_rng_below(&rng, 4); n > 0; n--)
			spoil(&rng, text);
		if (!is_beside_the_point(text))
			compare(text, &tally);
	}
	print_message("equal %d, both refuse %d, unknown names %d, refused by weir alone %d\n",
	              tally.equal, tally.both_refuse, tally.unknown, tally.weir_refuses);
	assert_true(tally.equal > ROUNDS / 10 && tally.both_refuse > ROUNDS / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_of_every_kind_are_read_alike),
		cmocka_unit_test(spoilt_strings_are_read_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that configuration is read from, under libFuzzer: the first byte says whether the rest
 * is a connection string, a list of endpoints, an option's text, a block of environment, or a file.
 * Sanitizers see to memory; what is checked here holds for any bytes:
 *
 *   what fails leaves the options as they were;
 *   what is read is within the ranges of the table, and comes out the same the second time;
 *   a connection string that libpq takes means to weir what it means to libpq;
 *   no error shows a secret. Wherever the bytes have a "$", a word stands that nobody else says: in
 *   a connection string, in what has the name of a password, and in what is itself a URL, no error
 *   may have it.
 *
 * `./dev fuzz` builds it with clang, and begins with the few texts at its end as its corpus.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libpq-fe.h>

#include <weir/options.h>

#include "base/alloc.h"
#include "config/dsn.h"
#include "config/env.h"
#include "config/file.h"
#include "config/options.h"
#include "config/table.h"

#define CANARY "cAnArY7q"
#define VARIABLES 16

static void must(int holds, const char *what, const char *text)
{
	if (holds)
		return;
	fprintf(stderr, "not so: %s\n%s\n", what, text ? text : "");
	abort();
}

/* The bytes as a string, with the word in place of each "$". */
static char *text_of(const uint8_t *data, size_t size)
{
	char *text = malloc(size * (sizeof(CANARY) - 1) + 1), *to = text;

	must(text != NULL, "there is memory", NULL);
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '$') {
			memcpy(to, CANARY, sizeof(CANARY) - 1);
			to += sizeof(CANARY) - 1;
		} else {
			*to++ = (char)data[i];
		}
	}
	*to = '\0';
	return text;
}

static void must_be_good(const weir_options *o)
{
	weir_options again;
	weir_error e;

	must(wi_options_load(&again, o, &e) == WEIR_OK, "what was read is in range", e.text);
}

static void must_hide(const weir_error *e, const char *text)
{
	must(!strstr(e->text, CANARY), "no error shows a secret", text);
	must(!strstr(e->host, CANARY), "nor as a host", text);
	must(memchr(e->text, '\0', sizeof(e->text)) != NULL, "the text has an end", text);
}

/* ---- a connection string ---- */

static const char *value_of(const PQconninfoOption *parsed, const char *key)
{
	for (; parsed->keyword; parsed++)
		if (strcmp(parsed->keyword, key) == 0)
			return parsed->val;
	return NULL;
}

/* Where libpq has an empty text and weir none, both mean the default. */
static int is_same(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static void compare(const struct wi_dsn *dsn, const char *text)
{
	static const char *const keys[] = {"user", "password", "dbname", "options", "passfile"};
	PQconninfoOption *parsed = PQconninfoParse(text, NULL);

	for (size_t i = 0; parsed && i < sizeof(keys) / sizeof(*keys); i++)
		must(is_same(value_of(parsed, keys[i]), wi_dsn_param(dsn, keys[i])),
		     "libpq and weir mean the same", keys[i]);
	PQconninfoFree(parsed);
}

static void read_string(const char *text)
{
	weir_options o, before;
	struct wi_dsn dsn;
	weir_error e;

	weir_options_init(&o);
	o.isolated = 1;
	before = o;
	if (wi_dsn_parse(&dsn, text, &o, &e) == WEIR_OK) {
		must(dsn.n_hosts > 0, "there is a host", text);
		must_be_good(&o);
		compare(&dsn, text);
	} else {
		must(memcmp(&o, &before, sizeof(o)) == 0, "all or nothing", text);
		must_hide(&e, text);
	}
	wi_dsn_fini(&dsn);
}

/* ---- lists and options ---- */

static void read_list(const char *text)
{
	struct wi_endpoint *hosts;
	weir_error e;
	size_t n;

	if (wi_endpoints_parse(text, &hosts, &n, &e) == WEIR_OK)
		wi_free(hosts, n * sizeof(*hosts));
	else if (strpbrk(text, "@=") || strstr(text, "://"))
		must_hide(&e, text);
}

static void read_option(const char *text)
{
	const char *value = strchr(text, '=');
	char name[64], shown[4096];
	weir_options o, again;
	weir_error e;

	if (!value || value - text >= (long)sizeof(name))
		return;
	memcpy(name, text, (size_t)(value - text));
	name[value++ - text] = '\0';
	weir_options_init(&o);
	if (weir_options_set(&o, name, value, &e) != WEIR_OK) {
		if (strpbrk(value, "@=") || strstr(value, "://"))
			must(!strstr(e.text, CANARY) || strstr(name, CANARY), "no secret", text);
		return;
	}
	must_be_good(&o);
	must(weir_options_get(&o, name, shown, sizeof(shown)) == WEIR_OK, "it can be shown", text);
	weir_options_init(&again);
	must(weir_options_set(&again, name, shown, &e) == WEIR_OK, "what is shown is taken", text);
	must(memcmp(&o, &again, sizeof(o)) == 0, "and means the same", text);
}

/* ---- the environment, and a file ---- */

static int may_be_shown(const char *entry)
{
	const char *value = strchr(entry, '='), *word = strstr(entry, CANARY);

	if (value && word < value)
		return 1; /* names are no secrets */
	if (!value || strncmp(entry, "DATABASE_URL", 12) == 0 || strstr(entry, "PASSWORD"))
		return 0;
	return !strpbrk(value + 1, "@=") && !strstr(value + 1, "://");
}

/* Whether the word stands only where it may not be shown. */
static int is_secret_in(char *const *entries)
{
	for (; *entries; entries++)
		if (strstr(*entries, CANARY) && may_be_shown(*entries))
			return 0;
	return 1;
}

static void read_environment(char *text)
{
	char *entries[VARIABLES + 1] = {NULL}, **before = environ;
	weir_options o, old;
	struct wi_dsn dsn = {0};
	weir_error e;
	size_t n = 0;

	for (char *at = strtok(text, "\n"); at && n < VARIABLES; at = strtok(NULL, "\n"))
		if (strncmp(at, "WEIR_CONFIG_FILE", 16) != 0)
			entries[n++] = at;
	environ = entries;
	weir_options_init(&o);
	old = o;
	if (weir_options_from_env(&o, &e) != WEIR_OK)
		must(memcmp(&o, &old, sizeof(o)) == 0, "all or nothing", e.text);
	else
		must_be_good(&o);
	if (is_secret_in(entries))
		must_hide(&e, e.text);
	old = o;
	if (wi_dsn_parse(&dsn, NULL, &o, &e) != WEIR_OK) {
		must(memcmp(&o, &old, sizeof(o)) == 0, "all or nothing", e.text);
		if (is_secret_in(entries))
			must_hide(&e, e.text);
	}
	wi_dsn_fini(&dsn);
	environ = before;
}

/* The first line is the section that is asked for. */
static void read_file(char *text, size_t size)
{
	char path[64], *rest = strchr(text, '\n'), *entries[] = {NULL, NULL, NULL}, named[96];
	char **before = environ;
	weir_options o, old;
	struct wi_dsn dsn = {0};
	weir_error e;
	int fd = memfd_create("options", MFD_CLOEXEC);

	must(fd >= 0, "a file can be made", NULL);
	if (rest)
		*rest++ = '\0';
	else
		rest = text + strlen(text);
	must(write(fd, rest, size - (size_t)(rest - text)) >= 0, "and written", NULL);
	fchmod(fd, 0600);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	weir_options_init(&o);
	old = o;
	if (weir_options_from_file(&o, path, *text ? text : NULL, &e) != WEIR_OK)
		must(memcmp(&o, &old, sizeof(o)) == 0, "all or nothing", e.text);
	else
		must_be_good(&o);
	snprintf(named, sizeof(named), "WEIR_CONFIG_FILE=%s", path);
	entries[0] = named;
	environ = entries;
	(void)!wi_dsn_parse(&dsn, NULL, &o, &e);
	wi_dsn_fini(&dsn);
	environ = before;
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!size)
		return 0;
	text = text_of(data + 1, size - 1);
	switch ((data[0] + 2) % 5) {
	case 0:
		read_string(text);
		break;
	case 1:
		read_list(text);
		break;
	case 2:
		read_option(text);
		break;
	case 3:
		read_environment(text);
		break;
	case 4:
		read_file(text, strlen(text));
		break;
	}
	free(text);
	return 0;
}

#ifdef WRITE_CORPUS
static const char *const seeds[] = {
	"0postgresql://app:$@h1:5433,h2,[::1]:7/shop?sslmode=verify-full&pool_max=20",
	"0postgres+psycopg2://u%40:$%2F@/d?host=/var/run&options=-c%20a%3Db&ssl=true",
	"0host=a,b port=1,2 password='$ \\'x' dbname=d statement_timeout_ms=5s user=u",
	"0hostaddr=::1,10.0.0.1 host=a,b requiressl=1 service=s passfile=f",
	"1db1:5432,[::1]:7, db2 ,/var/run",
	"2pool_max=20",
	"2statement_timeout_ms=5min",
	"2max_lag_bytes=16 MB",
	"2reset=tracked",
	"2read_fallback=wait",
	"2on_connect_sql=SET a = '$'",
	"3DATABASE_URL=postgres://u:$@h/d\nDB_PASSWORD=$\nDB_POOL_MAX=10\nWEIR_POOL_MIN=1\n",
	"3DB_HOST=h\nDB_PORT=tcp://1:2\nDB_TIMEOUT=0.5\nPOSTGRES_POOL_RECYCLE=-1\nDB_POLL_MAX=3\n",
	"3DB_CONNECTION_FAILURE_THRESHOLD=.5\nPOSTGRES_POOL_PRE_PING=True\nPGHOST=a\nPGPORT=1\n",
	"4\npool_max = 20\nhost = a,b\npassword = $\n",
	"4reports\npool_max = 20\n[reports] ; c\non_connect_sql = SET a = 1;\n\tSET b = 2\n",
};

/* Each of them as a file of the folder that is named. */
int main(int argc, char **argv)
{
	char path[4096];

	for (size_t i = 0; argc == 2 && i < sizeof(seeds) / sizeof(*seeds); i++) {
		FILE *file;

		snprintf(path, sizeof(path), "%s/%zu", argv[1], i);
		file = fopen(path, "w");
		must(file != NULL, "the folder can be written", path);
		fputs(seeds[i], file);
		fclose(file);
	}
	return argc != 2;
}
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The C side of the cluster program: a coprocess that answers each order by a line of JSON. One
 * that does not answer in time is killed by the coprocess's end, and its guard cleans up.
 */
#include "support/cluster.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/coprocess.h"
#include "support/json_read.h"

#define ANSWER_MS (150 * 1000) /* beyond the bounds that the program keeps itself */
#define MAX_WORDS 64

struct test_cluster {
	struct test_coprocess co;
	char *facts; /* the first line */
	char *url, *superuser_url;
	char **texts; /* what test_cluster_fact has given out */
	size_t n_texts;
};

/* Whether the answer is a yes; its words are kept if not. */
static bool heed(struct test_cluster *cluster)
{
	char *text;

	if (!test_coprocess_hear(&cluster->co))
		return false;
	if (test_json_true(test_json_member(cluster->co.answer, "ok")))
		return true;
	text = test_json_text(test_json_member(cluster->co.answer, "error"));
	test_coprocess_fail(&cluster->co, "%s", text ? text : "an answer without words");
	free(text);
	return false;
}

__attribute__((format(printf, 2, 3))) static bool order(struct test_cluster *cluster,
                                                        const char *format, ...)
{
	char line[256];
	va_list args;

	cluster->co.error[0] = '\0';
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	return test_coprocess_tell(&cluster->co, line) && heed(cluster);
}

/* ---- start and stop ---- */

static void add(char **words, int *n, const char *word)
{
	if (*n < MAX_WORDS - 1)
		words[(*n)++] = strdup(word);
	words[*n] = NULL;
}

static void add_number(char **words, int *n, const char *word, int number)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", number);
	add(words, n, word);
	add(words, n, text);
}

static void make_words(const struct test_cluster_options *options, char **words)
{
	int standbys = options->standbys ? options->standbys : 2, n = 0;

	if (standbys < 0)
		standbys = 0;
	add(words, &n, options->patroni ? "patroni" : "cluster");
	add(words, &n, "serve");
	add_number(words, &n, "--max-seconds", options->max_seconds ? options->max_seconds : 900);
	if (options->patroni) {
		add_number(words, &n, "--members", standbys + 1);
		return;
	}
	add_number(words, &n, "--standbys", standbys);
	add_number(words, &n, "--max-connections",
	           options->max_connections ? options->max_connections : 100);
	if (options->tls)
		add(words, &n, "--tls");
	if (options->monitor)
		add(words, &n, "--monitor");
	for (const char *const *setting = options->settings; setting && *setting; setting++) {
		add(words, &n, "--setting");
		add(words, &n, *setting);
	}
}

static bool launch(struct test_cluster *cluster, const struct test_cluster_options *options)
{
	const char *source = getenv("TEST_SOURCE_DIR");
	char *words[MAX_WORDS] = {NULL}, path[4096];
	bool started;

	if (!source)
		return test_coprocess_fail(
			&cluster->co, "TEST_SOURCE_DIR, the top of the source tree, is not set");
	snprintf(path, sizeof(path), "%s/tests/support/%s", source,
	         options->patroni ? "patroni" : "cluster");
	make_words(options, words);
	started = test_coprocess_init(&cluster->co, path, words, ANSWER_MS);
	for (char **word = words; *word; word++)
		free(*word);
	return started;
}

static void release(struct test_cluster *cluster)
{
	for (size_t i = 0; i < cluster->n_texts; i++)
		free(cluster->texts[i]);
	free(cluster->texts);
	free(cluster->facts);
	free(cluster->url);
	free(cluster->superuser_url);
	free(cluster);
}

static bool learn(struct test_cluster *cluster)
{
	cluster->facts = strdup(cluster->co.answer);
	if (!cluster->facts)
		return test_coprocess_fail(&cluster->co, "out of memory");
	cluster->url = test_json_text(test_json_member(cluster->facts, "url"));
	cluster->superuser_url = test_json_text(test_json_member(cluster->facts, "superuser_url"));
	if (!cluster->url || !cluster->superuser_url)
		return test_coprocess_fail(&cluster->co, "a first line without facts");
	return true;
}

struct test_cluster *test_cluster_start(const struct test_cluster_options *options, char *why,
                                        size_t room, bool *missing)
{
	struct test_cluster *cluster = calloc(1, sizeof(*cluster));

	*missing = false;
	if (!cluster) {
		snprintf(why, room, "out of memory");
		return NULL;
	}
	cluster->co.socket = -1;
	if (launch(cluster, options) && heed(cluster) && learn(cluster))
		return cluster;
	*missing =
		cluster->co.answer && test_json_true(test_json_member(cluster->co.answer, "skip"));
	snprintf(why, room, "%s", cluster->co.error);
	test_coprocess_fini(&cluster->co);
	release(cluster);
	return NULL;
}

struct test_cluster *test_cluster_start_or_exit(const struct test_cluster_options *options)
{
	char why[2048];
	bool missing;
	struct test_cluster *cluster = test_cluster_start(options, why, sizeof(why), &missing);

	if (cluster)
		return cluster;
	printf("%s: %s\n", missing ? "skipped" : "the cluster did not start", why);
	exit(missing ? 77 : EXIT_FAILURE);
}

bool test_cluster_stop(struct test_cluster **cluster)
{
	bool well;

	if (!*cluster)
		return true;
	well = order(*cluster, "quit\n");
	well = test_coprocess_fini(&(*cluster)->co) && well;
	release(*cluster);
	*cluster = NULL;
	return well;
}

/* ---- facts ---- */

const char *test_cluster_url(const struct test_cluster *cluster)
{
	return cluster->url;
}

const char *test_cluster_superuser_url(const struct test_cluster *cluster)
{
	return cluster->superuser_url;
}

static const char *host(const char *line, int i)
{
	return test_json_item(test_json_member(line, "hosts"), (size_t)i);
}

int test_cluster_hosts(const struct test_cluster *cluster)
{
	int n = 0;

	while (host(cluster->facts, n))
		n++;
	return n;
}

int test_cluster_port(const struct test_cluster *cluster, int i)
{
	return (int)test_json_number(test_json_member(host(cluster->facts, i), "port"));
}

int test_cluster_program(const struct test_cluster *cluster)
{
	return (int)cluster->co.child;
}

int test_cluster_pid(struct test_cluster *cluster, int i)
{
	if (!order(cluster, "status\n"))
		return 0;
	return (int)test_json_number(test_json_member(host(cluster->co.answer, i), "pid"));
}

/* Gives it out for as long as the cluster lives. */
static const char *keep(struct test_cluster *cluster, char *text)
{
	char **texts =
		text ? realloc(cluster->texts, (cluster->n_texts + 1) * sizeof(*texts)) : NULL;

	if (!texts) {
		free(text);
		return NULL;
	}
	cluster->texts = texts;
	return texts[cluster->n_texts++] = text;
}

const char *test_cluster_fact(struct test_cluster *cluster, const char *name)
{
	return keep(cluster, test_json_text(test_json_member(cluster->facts, name)));
}

const char *test_cluster_error(const struct test_cluster *cluster)
{
	return cluster->co.error;
}

/* ---- orders ---- */

bool test_cluster_shut_down(struct test_cluster *cluster, int i, bool immediate)
{
	return order(cluster, "stop %d %s\n", i, immediate ? "immediate" : "fast");
}

bool test_cluster_boot(struct test_cluster *cluster, int i)
{
	return order(cluster, "start %d\n", i);
}

bool test_cluster_restart(struct test_cluster *cluster, int i)
{
	return order(cluster, "restart %d\n", i);
}

bool test_cluster_kill(struct test_cluster *cluster, int i)
{
	return order(cluster, "kill %d\n", i);
}

bool test_cluster_pause(struct test_cluster *cluster, int i)
{
	return order(cluster, "pause %d\n", i);
}

bool test_cluster_resume(struct test_cluster *cluster, int i)
{
	return order(cluster, "resume %d\n", i);
}

bool test_cluster_promote(struct test_cluster *cluster, int i)
{
	return order(cluster, "promote %d\n", i);
}

bool test_cluster_follow(struct test_cluster *cluster, int i)
{
	return order(cluster, "follow %d\n", i);
}

bool test_cluster_rejoin(struct test_cluster *cluster, int i)
{
	return order(cluster, "rejoin %d\n", i);
}

bool test_cluster_pause_replay(struct test_cluster *cluster, int i)
{
	return order(cluster, "pause_replay %d\n", i);
}

bool test_cluster_resume_replay(struct test_cluster *cluster, int i)
{
	return order(cluster, "resume_replay %d\n", i);
}

bool test_cluster_tell(struct test_cluster *cluster, const char *words)
{
	return order(cluster, "%s\n", words);
}

const char *test_cluster_api(struct test_cluster *cluster, int i)
{
	char *text = test_json_text(test_json_member(host(cluster->facts, i), "api"));

	return keep(cluster, text);
}

int test_cluster_leader(struct test_cluster *cluster)
{
	if (!order(cluster, "status\n"))
		return -1;
	return (int)test_json_number(test_json_member(cluster->co.answer, "leader"));
}

bool test_cluster_sync(struct test_cluster *cluster)
{
	return order(cluster, "sync\n");
}

bool test_cluster_certificate(struct test_cluster *cluster, int i, const char *name)
{
	return order(cluster, "certificate %d %s\n", i, name);
}

/* SQL as a JSON string, so that it may have several lines. */
static char *quoted(const char *sql)
{
	char *text = malloc(strlen(sql) * 6 + 3), *to = text;

	if (!text)
		return NULL;
	*to++ = '"';
	for (; *sql; sql++) {
		if (*sql == '"' || *sql == '\\' || (unsigned char)*sql < ' ')
			to += sprintf(to, "\\u%04x", (unsigned char)*sql);
		else
			*to++ = *sql;
	}
	strcpy(to, "\"");
	return text;
}

static char *ask(struct test_cluster *cluster, const char *word, int i, const char *sql)
{
	char *text = quoted(sql), head[32];
	bool told;

	cluster->co.error[0] = '\0';
	snprintf(head, sizeof(head), "%s %d ", word, i);
	told = text && test_coprocess_tell(&cluster->co, head) &&
	       test_coprocess_tell(&cluster->co, text) && test_coprocess_tell(&cluster->co, "\n");
	free(text);
	return told && heed(cluster) ? test_json_text(test_json_member(cluster->co.answer, "text"))
	                             : NULL;
}

char *test_cluster_sql(struct test_cluster *cluster, int i, const char *sql)
{
	return ask(cluster, "sql", i, sql);
}

char *test_cluster_admin(struct test_cluster *cluster, int i, const char *sql)
{
	return ask(cluster, "admin", i, sql);
}

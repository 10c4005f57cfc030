/* SPDX-License-Identifier: BSD-2-Clause */
/* Servers, proxies, tables, and the router. */
#include "check/stage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

void stage_say(const struct stage *s, const char *format, ...)
{
	va_list args;

	printf("%8.3f  ", (double)(wi_now_ns() - s->begun_ns) / 1e9);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static void give_up(const char *what, const char *why)
{
	printf("%s: %s\n", what, why);
	exit(EXIT_FAILURE);
}

uint8_t stage_server(const struct stage *s, const char *host)
{
	const char *port = strrchr(host, ':');

	for (uint8_t i = 0; port && i < SERVERS; i++)
		if (atoi(port + 1) == test_proxy_port(s->proxy[i]))
			return i;
	return CHECK_NO_HOST;
}

/* ---- the tables ---- */

static void make_tables(struct stage *s)
{
	char sql[1024];
	char *done;

	snprintf(sql, sizeof(sql),
	         "SET ROLE app;"
	         "CREATE TABLE registers (id int PRIMARY KEY, version bigint, value bigint);"
	         "INSERT INTO registers SELECT i, 0, 0 FROM generate_series(0, %d) i;"
	         "CREATE TABLE log (reg int, version bigint, value bigint PRIMARY KEY);"
	         "CREATE TABLE accounts (id int PRIMARY KEY, balance bigint);"
	         "INSERT INTO accounts SELECT i, %d FROM generate_series(1, %d) i;",
	         CHECK_REGISTERS - 1, BALANCE, ACCOUNTS);
	done = test_cluster_sql(s->cluster, 0, sql);
	if (!done || !test_cluster_sync(s->cluster))
		give_up("the tables", test_cluster_error(s->cluster));
	free(done);
	s->history.total = (int64_t)ACCOUNTS * BALANCE;
}

static bool add_row(struct history *h, uint32_t *room, char *line)
{
	char *rest;
	struct truth t = {0};

	if (h->n_truth == *room) {
		*room = *room ? *room * 2 : 4096;
		h->truth = realloc(h->truth, *room * sizeof(*h->truth));
		if (!h->truth)
			give_up("the log", "out of memory");
	}
	t.reg = (uint8_t)strtoul(line, &rest, 10);
	t.version = *rest == '|' ? strtoll(rest + 1, &rest, 10) : 0;
	t.value = *rest == '|' ? strtoull(rest + 1, &rest, 10) : 0;
	h->truth[h->n_truth++] = t;
	return *rest == '\0' && t.reg < CHECK_REGISTERS;
}

bool stage_read_truth(struct stage *s)
{
	char *text =
		test_cluster_sql(s->cluster, s->primary, "SELECT reg, version, value FROM log");
	char *rest = text, *line;
	uint32_t room = 0;
	bool well = text != NULL;

	while (well && (line = strsep(&rest, "\n")))
		if (*line)
			well = add_row(&s->history, &room, line);
	if (!well)
		stage_say(s, "the log cannot be read: %s", test_cluster_error(s->cluster));
	free(text);
	return well;
}

/* ---- servers, proxies and the router ---- */

static const char *const settings[] = {
	"synchronous_standby_names=ANY 1 (*)",
	NULL,
};

static void start_servers(struct stage *s, double seconds)
{
	const struct test_cluster_options options = {
		.max_seconds = (int)seconds + 600, .monitor = true, .settings = settings};

	s->cluster = test_cluster_start_or_exit(&options);
	for (int i = 0; i < SERVERS; i++) {
		const struct test_proxy_options proxied = {.host = "127.0.0.1",
		                                           .port = test_cluster_port(s->cluster, i),
		                                           .max_seconds = (int)seconds + 600};

		s->proxy[i] = test_proxy_start(&proxied);
	}
}

/* The cluster's own URL, with the proxies for hosts. */
static void make_url(const struct stage *s, char *url, size_t room)
{
	const char *real = test_cluster_url(s->cluster), *at = strchr(real, '@'),
		   *database = at ? strchr(at, '/') : NULL;

	if (!database)
		give_up("the cluster's URL", "has no host");
	snprintf(url, room, "%.*s@127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d%s", (int)(at - real), real,
	         test_proxy_port(s->proxy[0]), test_proxy_port(s->proxy[1]),
	         test_proxy_port(s->proxy[2]), database);
}

static void tell(void *arg, const weir_event *event)
{
	const struct stage *s = arg;

	if (event->kind == WEIR_EVENT_ROLE_CHANGED || event->kind == WEIR_EVENT_SPLIT_BRAIN)
		stage_say(s, "    %u %s: %.120s", stage_server(s, event->host),
		          weir_event_name(event->kind), event->text);
}

static void open_routers(struct stage *s, int64_t probe_ms)
{
	weir_options options;
	weir_error error;
	char url[512];

	weir_options_init(&options);
	options.probe_interval_ms = probe_ms;
	options.statement_timeout_ms = 0;
	options.on_event = tell;
	options.on_event_arg = s;
	make_url(s, url, sizeof(url));
	for (int i = 0; i < ROUTERS; i++) {
		if (weir_router_open(url, &options, &s->router[i], &error) != WEIR_OK)
			give_up("the router", error.text);
		options.on_event = NULL;
		options.hold_down_ms = 0; /* the other one is quick to trust */
	}
}

void stage_open(struct stage *s, uint64_t seed, double seconds, int64_t probe_ms)
{
	*s = (struct stage){.begun_ns = wi_now_ns(), .pace_us = 4000};
	s->history.begun_ns = s->begun_ns;
	wi_rng_seed(&s->rng, seed);
	pthread_mutex_init(&s->lock, NULL);
	start_servers(s, seconds);
	make_tables(s);
	open_routers(s, probe_ms);
}

void stage_close(struct stage *s)
{
	for (int i = 0; i < ROUTERS; i++)
		if (weir_router_close(&s->router[i], 20000) != WEIR_OK)
			give_up("the router", "did not close");
	for (int i = 0; i < SERVERS; i++)
		test_proxy_stop(&s->proxy[i]);
	if (!test_cluster_stop(&s->cluster))
		give_up("the cluster", "did not end well");
	pthread_mutex_destroy(&s->lock);
	check_history_free(&s->history);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* What /health and /ready say of the last look. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <weir/version.h>

#include "http/json.h"

#define OK_CODE 200
#define BAD_CODE 503

/* A source as the last look has found it. */
struct found {
	weir_health health;
	weir_status status;
	weir_error error;
};

static bool is_late(const struct found *f, bool late)
{
	return late || f->status != WEIR_OK;
}

/* "2026-11-21T12:00:00.123Z" */
static void write_time(char *to, size_t room, int64_t us)
{
	time_t s = (time_t)(us / 1000000);
	struct tm at;
	char day[32];

	if (us <= 0 || !gmtime_r(&s, &at) || !strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &at))
		snprintf(to, room, "%s", "");
	else
		snprintf(to, room, "%s.%03dZ", day, (int)(us / 1000 % 1000));
}

static void add_server(struct wi_json *j, json_t *to, const weir_health *h)
{
	json_t *server;
	char text[64];

	if (!h->answered) {
		wi_json_set(j, to, "server", json_null());
		return;
	}
	server = wi_json_object(j, to, "server");
	wi_json_text(j, server, "host", h->host);
	wi_json_text(j, server, "role", weir_role_name(h->role));
	wi_json_number(j, server, "version", h->server_version);
	write_time(text, sizeof(text), h->server_time_us);
	wi_json_text(j, server, "time", text);
	wi_json_text(j, server, "database", h->database);
	wi_json_text(j, server, "user", h->user);
	wi_json_set(j, server, "round_trip_ms", json_real((double)h->round_trip_ns / 1e6));
}

static void add_intent(struct wi_json *j, json_t *to, const char *name, bool served,
                       weir_status status)
{
	json_t *intent = wi_json_object(j, to, name);

	wi_json_true(j, intent, "served", served);
	wi_json_text(j, intent, "status", weir_status_name(status));
}

static void add_numbers(struct wi_json *j, json_t *to, const weir_health *h)
{
	json_t *pool = wi_json_object(j, to, "pool");
	json_t *hosts = wi_json_object(j, to, "hosts");

	wi_json_number(j, pool, "max", h->max);
	wi_json_number(j, pool, "total", h->total);
	wi_json_number(j, pool, "idle", h->idle);
	wi_json_number(j, pool, "busy", h->busy);
	wi_json_number(j, pool, "opening", h->opening);
	wi_json_number(j, pool, "waiting", h->waiting);
	wi_json_number(j, hosts, "known", h->hosts);
	wi_json_number(j, hosts, "reachable", h->reachable);
	wi_json_number(j, hosts, "replicas", h->replicas);
	wi_json_text(j, hosts, "primary", h->primary);
}

/* The lines of a text, as an array. */
static void add_lines(struct wi_json *j, json_t *to, const char *name, const char *text)
{
	json_t *lines = wi_json_array(j, to, name);
	char line[WEIR_ERROR_TEXT];

	while (*text) {
		size_t n = strcspn(text, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)n, text);
		wi_json_add(j, lines, wi_json_text_of(line));
		text += n + (text[n] == '\n');
	}
}

static void add_source(struct wi_json *j, json_t *to, const struct wi_source *s,
                       const struct found *f, bool late)
{
	const weir_health *h = &f->health;

	wi_json_text(j, to, "name", s->name);
	wi_json_text(j, to, "kind", s->router ? "router" : "pool");
	if (is_late(f, late)) {
		wi_json_text(j, to, "status", weir_health_name(WEIR_UNHEALTHY));
		add_lines(j, to, "why",
		          late ? "the look at it has not ended in time" : f->error.text);
		return;
	}
	wi_json_text(j, to, "status", weir_health_name(h->status));
	add_lines(j, to, "why", h->why);
	wi_json_true(j, to, "suspended", h->suspended);
	add_intent(j, to, "reads", h->reads, h->read_status);
	add_intent(j, to, "writes", h->writes, h->write_status);
	add_server(j, to, h);
	add_numbers(j, to, h);
}

/* ---- /health ---- */

void wi_health_body(struct weir_http *http, bool late, struct wi_body *body)
{
	struct wi_json j = {.root = json_object()};
	json_t *sources = wi_json_array(&j, j.root, "sources");
	weir_health_status worst = WEIR_HEALTHY;
	int64_t age_ms = -1;

	for (uint32_t i = 0; i < http->n_sources; i++) {
		struct wi_source *s = &http->source[i];
		struct found f;
		weir_health_status is;

		f.status = wi_look_get(s, &f.health, &f.error, &age_ms);
		is = is_late(&f, late) ? WEIR_UNHEALTHY : f.health.status;
		if (is < worst)
			worst = is;
		add_source(&j, wi_json_item(&j, sources), s, &f, late);
	}
	wi_json_text(&j, j.root, "status", weir_health_name(worst));
	wi_json_text(&j, j.root, "weir", WEIR_VERSION);
	wi_json_number(&j, j.root, "age_ms", age_ms);
	wi_json_end(&j, body, worst == WEIR_UNHEALTHY ? BAD_CODE : OK_CODE);
}

/* ---- /ready ---- */

static bool is_served(weir_http_wants wants, const weir_health *h)
{
	switch (wants) {
	case WEIR_HTTP_WANTS_READS:
		return h->reads;
	case WEIR_HTTP_WANTS_WRITES:
		return h->writes;
	case WEIR_HTTP_WANTS_ANY:
		return h->reads || h->writes;
	case WEIR_HTTP_WANTS_BOTH:
		break;
	}
	return h->reads && h->writes;
}

/* Says in one line why not; NULL: it is ready. */
static const char *find_obstacle(struct weir_http *http, bool late, const struct found *f)
{
	if (late)
		return "the look at it has not ended in time";
	if (f->status != WEIR_OK)
		return f->error.text;
	if (f->health.suspended)
		return "it is suspended";
	if (!is_served(http->settings.ready_wants, &f->health))
		return f->health.why[0] ? f->health.why : "checkouts are not served";
	return NULL;
}

void wi_ready_body(struct weir_http *http, bool late, struct wi_body *body)
{
	struct wi_json j = {.root = json_object()};
	json_t *sources = wi_json_array(&j, j.root, "sources");
	bool ready = !atomic_load(&http->unready);

	if (!ready)
		wi_json_text(&j, j.root, "why", "the program is about to end");
	for (uint32_t i = 0; i < http->n_sources; i++) {
		struct wi_source *s = &http->source[i];
		json_t *to = wi_json_item(&j, sources);
		struct found f;
		int64_t age_ms;
		const char *obstacle;

		f.status = wi_look_get(s, &f.health, &f.error, &age_ms);
		obstacle = find_obstacle(http, late, &f);
		ready = ready && !obstacle;
		wi_json_text(&j, to, "name", s->name);
		wi_json_true(&j, to, "ready", !obstacle);
		add_lines(&j, to, "why", obstacle ? obstacle : "");
	}
	wi_json_true(&j, j.root, "ready", ready);
	wi_json_end(&j, body, ready ? OK_CODE : BAD_CODE);
}

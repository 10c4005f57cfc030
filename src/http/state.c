/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the page shows: /state.json. All of it is read without waiting: statistics, the ring of
 * events, alerts, and what the last look at health came to. Counts are given as they are; the page
 * makes rates of two documents.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weir/alert.h>
#include <weir/event.h>
#include <weir/hosts.h>
#include <weir/stats.h>
#include <weir/version.h>

#include "http/json.h"

#define EVENTS_SHOWN 60
#define ALERTS_SHOWN 64

/* What one document is read into; large, so not on a stack. */
struct room {
	weir_host_stats host[WEIR_HOSTS_MAX];
	weir_pool_stats pool;
	weir_event_record event[WEIR_EVENTS_KEPT];
	weir_alert alert[ALERTS_SHOWN];
	weir_histogram wait, connect, hold, query; /* of all hosts of a source */
};

/* ---- latencies ---- */

static void add_to(weir_histogram *sum, const weir_histogram *h)
{
	sum->count += h->count;
	sum->sum_ns += h->sum_ns;
	for (size_t i = 0; i <= WEIR_HISTOGRAM_BOUNDS; i++)
		sum->bucket[i] += h->bucket[i];
}

static void add_times(struct room *room, const weir_pool_stats *p)
{
	add_to(&room->wait, &p->wait_times);
	add_to(&room->connect, &p->connect_times);
	add_to(&room->hold, &p->hold_times);
	add_to(&room->query, &p->query_times);
}

static void put_histogram(struct wi_json *j, json_t *to, const char *name, const weir_histogram *h)
{
	json_t *histogram = wi_json_object(j, to, name);
	json_t *buckets;

	wi_json_number(j, histogram, "count", (json_int_t)h->count);
	wi_json_number(j, histogram, "sum_ns", (json_int_t)h->sum_ns);
	buckets = wi_json_array(j, histogram, "buckets");
	for (size_t i = 0; i <= WEIR_HISTOGRAM_BOUNDS; i++)
		wi_json_add(j, buckets, json_integer((json_int_t)h->bucket[i]));
}

static void put_times(struct wi_json *j, json_t *to, const struct room *room)
{
	json_t *times = wi_json_object(j, to, "latency");

	put_histogram(j, times, "wait", &room->wait);
	put_histogram(j, times, "hold", &room->hold);
	put_histogram(j, times, "connect", &room->connect);
	put_histogram(j, times, "query", &room->query);
}

static void put_bounds(struct wi_json *j, json_t *to)
{
	json_t *bounds = wi_json_array(j, to, "bounds_ns");

	for (size_t i = 0; i < WEIR_HISTOGRAM_BOUNDS; i++)
		wi_json_add(j, bounds, json_integer(weir_histogram_bound_ns(i)));
}

/* ---- pools and hosts ---- */

static const char *breaker_name(weir_breaker_state state)
{
	return state == WEIR_BREAKER_OPEN        ? "open"
	       : state == WEIR_BREAKER_HALF_OPEN ? "half-open"
	                                         : "closed";
}

static void put_work(struct wi_json *j, json_t *to, const weir_pool_stats *p)
{
	weir_work sum = {0};

	for (int i = 0; i < WEIR_INTENTS; i++) {
		sum.queries += p->work[i].queries;
		sum.query_errors += p->work[i].query_errors;
		sum.committed += p->work[i].committed;
		sum.rolled_back += p->work[i].rolled_back + p->work[i].unknown;
	}
	wi_json_number(j, to, "queries", (json_int_t)sum.queries);
	wi_json_number(j, to, "query_errors", (json_int_t)sum.query_errors);
	wi_json_number(j, to, "committed", (json_int_t)sum.committed);
	wi_json_number(j, to, "rolled_back", (json_int_t)sum.rolled_back);
}

static void put_pool(struct wi_json *j, json_t *to, const weir_pool_stats *p)
{
	json_t *pool = wi_json_object(j, to, "pool");

	wi_json_number(j, pool, "max", p->max);
	wi_json_number(j, pool, "total", p->total);
	wi_json_number(j, pool, "idle", p->idle);
	wi_json_number(j, pool, "busy", p->busy);
	wi_json_number(j, pool, "opening", p->opening);
	wi_json_number(j, pool, "kept", p->kept);
	wi_json_number(j, pool, "closing", p->closing);
	wi_json_number(j, pool, "waiting", p->waiting);
	wi_json_number(j, pool, "checkouts", (json_int_t)p->checkouts);
	wi_json_number(j, pool, "waits", (json_int_t)p->waits);
	wi_json_number(j, pool, "timeouts", (json_int_t)p->timeouts);
	wi_json_number(j, pool, "refused", (json_int_t)p->refused);
	wi_json_number(j, pool, "opened", (json_int_t)p->opened);
	wi_json_number(j, pool, "connect_failures", (json_int_t)p->connect_failures);
	wi_json_number(j, pool, "lost", (json_int_t)p->lost);
	wi_json_number(j, pool, "leaks", (json_int_t)p->leaks);
	wi_json_text(j, pool, "breaker", breaker_name(p->breaker));
	wi_json_number(j, pool, "breaker_next_ms", p->breaker_next_ms);
	wi_json_true(j, pool, "suspended", p->suspended);
	wi_json_text(j, pool, "last_connect_error", p->last_connect_error);
	put_work(j, pool, p);
}

/* What sets a host apart, in words. */
static void put_remarks(struct wi_json *j, json_t *to, const weir_host_stats *h)
{
	json_t *remarks = wi_json_array(j, to, "remarks");
	const struct {
		bool is;
		const char *word;
	} words[] = {
		{!h->reachable, "no answer"},
		{h->reachable && h->role == WEIR_ROLE_UNKNOWN, "serves nothing"},
		{h->role == WEIR_ROLE_PRIMARY && h->read_only, "read-only"},
		{h->leaving, "leaving"},
		{h->drained, "drained"},
		{h->ejected_ms > 0, "ejected"},
		{h->held_ms > 0, "held back"},
		{h->replay_paused, "replay paused"},
		{h->lagging, "lagging"},
		{h->several, "several servers"},
		{h->role == WEIR_ROLE_REPLICA && h->started_pct < 100, "starting slowly"},
		{h->pool.breaker == WEIR_BREAKER_OPEN, "connects paused"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (words[i].is)
			wi_json_add(j, remarks, json_string(words[i].word));
}

static void put_host(struct wi_json *j, json_t *to, const weir_host_stats *h)
{
	wi_json_text(j, to, "host", h->host);
	wi_json_text(j, to, "zone", h->zone);
	wi_json_text(j, to, "role", weir_role_name(h->role));
	wi_json_true(j, to, "reachable", h->reachable);
	put_remarks(j, to, h);
	wi_json_number(j, to, "version", h->server_version);
	wi_json_number(j, to, "timeline", h->timeline);
	wi_json_number(j, to, "lag_ms", h->role == WEIR_ROLE_REPLICA ? h->lag_ms : -1);
	wi_json_number(j, to, "lag_bytes", h->role == WEIR_ROLE_REPLICA ? h->lag_bytes : -1);
	wi_json_number(j, to, "probe_age_ms", h->probe_age_ms);
	wi_json_text(j, to, "follows", h->follows);
	wi_json_text(j, to, "tls", h->tls);
	wi_json_number(j, to, "weight", h->weight);
	wi_json_number(j, to, "draws_pct", h->draws_pct);
	wi_json_number(j, to, "reads", (json_int_t)h->reads);
	wi_json_number(j, to, "writes", (json_int_t)h->writes);
	wi_json_number(j, to, "fallback_reads", (json_int_t)h->fallback_reads);
	wi_json_text(j, to, "last_error",
	             h->reachable && h->role != WEIR_ROLE_UNKNOWN ? "" : h->last_error);
	put_pool(j, to, &h->pool);
}

static void put_hosts(struct wi_json *j, json_t *to, struct room *room, weir_router *router)
{
	json_t *hosts = wi_json_array(j, to, "hosts");
	size_t n = weir_router_stats_get(router, room->host, WEIR_HOSTS_MAX);

	for (size_t i = 0; i < n && i < WEIR_HOSTS_MAX; i++) {
		put_host(j, wi_json_item(j, hosts), &room->host[i]);
		add_times(room, &room->host[i].pool);
	}
}

/* A pool is shown as one host, of which no more is known than its pool. */
static void put_only_pool(struct wi_json *j, json_t *to, struct room *room, weir_pool *pool)
{
	json_t *hosts = wi_json_array(j, to, "hosts");
	json_t *host = wi_json_item(j, hosts);

	weir_pool_stats_get(pool, &room->pool);
	wi_json_text(j, host, "host", room->pool.host);
	put_pool(j, host, &room->pool);
	add_times(room, &room->pool);
}

/* ---- events and alerts ---- */

static void put_events(struct wi_json *j, json_t *to, struct room *room, const struct wi_source *s)
{
	json_t *events = wi_json_array(j, to, "events");
	size_t n =
		s->router
			? weir_router_events_get(s->router, 0, room->event, WEIR_EVENTS_KEPT, NULL)
			: weir_pool_events_get(s->pool, 0, room->event, WEIR_EVENTS_KEPT, NULL);

	for (size_t i = n > EVENTS_SHOWN ? n - EVENTS_SHOWN : 0; i < n; i++) {
		const weir_event_record *e = &room->event[i];
		json_t *event = wi_json_item(j, events);

		wi_json_number(j, event, "sequence", (json_int_t)e->sequence);
		wi_json_number(j, event, "at_ms", e->wall_ns / 1000000);
		wi_json_text(j, event, "event", weir_event_name(e->kind));
		wi_json_text(j, event, "host", e->host);
		wi_json_text(j, event, "text", e->text);
	}
}

static void put_alerts(struct wi_json *j, json_t *to, struct room *room, const struct wi_source *s)
{
	json_t *alerts = wi_json_array(j, to, "alerts");
	int64_t now_ns = wi_http_now_ms() * 1000000;
	size_t n = s->router ? weir_router_alerts_get(s->router, room->alert, ALERTS_SHOWN)
	                     : weir_pool_alerts_get(s->pool, room->alert, ALERTS_SHOWN);

	for (size_t i = 0; i < n && i < ALERTS_SHOWN; i++) {
		const weir_alert *a = &room->alert[i];
		json_t *alert = wi_json_item(j, alerts);

		wi_json_text(j, alert, "alert", weir_alert_name(a->rule));
		wi_json_text(j, alert, "severity", weir_severity_name(a->severity));
		wi_json_text(j, alert, "host", a->host);
		wi_json_text(j, alert, "text", weir_alert_text(a->rule));
		wi_json_number(j, alert, "value", a->value);
		wi_json_number(j, alert, "threshold", a->threshold);
		wi_json_text(j, alert, "unit", weir_alert_unit(a->rule));
		wi_json_number(j, alert, "for_ms", (now_ns - a->since_ns) / 1000000);
	}
}

/* ---- the document ---- */

/* What the last look came to, if somebody has asked for health of late; the page asks for none. */
static void put_health(struct wi_json *j, json_t *to, struct wi_source *s)
{
	weir_health health;
	weir_error error;
	int64_t age_ms;
	weir_status st = wi_look_get(s, &health, &error, &age_ms);
	json_t *last;

	if (age_ms < 0) {
		wi_json_set(j, to, "health", json_null());
		return;
	}
	last = wi_json_object(j, to, "health");
	wi_json_text(j, last, "status",
	             weir_health_name(st == WEIR_OK ? health.status : WEIR_UNHEALTHY));
	wi_json_text(j, last, "why", st == WEIR_OK ? health.why : error.text);
	wi_json_number(j, last, "age_ms", age_ms);
}

static void put_source(struct wi_json *j, json_t *to, struct room *room, struct wi_source *s)
{
	memset(room, 0, sizeof(*room));
	wi_json_text(j, to, "name", s->name);
	wi_json_text(j, to, "kind", s->router ? "router" : "pool");
	if (s->router)
		put_hosts(j, to, room, s->router);
	else
		put_only_pool(j, to, room, s->pool);
	put_times(j, to, room);
	put_events(j, to, room, s);
	put_alerts(j, to, room, s);
	put_health(j, to, s);
}

void wi_state_body(struct weir_http *http, struct wi_body *body)
{
	struct room *room = malloc(sizeof(*room));
	struct wi_json j = {.root = json_object()};
	struct timespec now;
	json_t *sources;

	if (!room)
		j.broken = true;
	clock_gettime(CLOCK_REALTIME, &now);
	wi_json_text(&j, j.root, "weir", WEIR_VERSION);
	wi_json_number(&j, j.root, "pid", (json_int_t)getpid());
	wi_json_number(&j, j.root, "now_ms", (json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	wi_json_number(&j, j.root, "uptime_ms", wi_http_now_ms() - http->started_ms);
	wi_json_true(&j, j.root, "ready", !atomic_load(&http->unready));
	put_bounds(&j, j.root);
	sources = wi_json_array(&j, j.root, "sources");
	for (uint32_t i = 0; room && i < http->n_sources; i++)
		put_source(&j, wi_json_item(&j, sources), room, &http->source[i]);
	free(room);
	wi_json_end(&j, body, 200);
}

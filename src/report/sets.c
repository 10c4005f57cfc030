/* SPDX-License-Identifier: BSD-2-Clause */
/* The metrics that have more than one sample of a pool, a host or a router: SET in metrics.def. */
#include "report/sets.h"

#include <string.h>

#include <weir/alert.h>
#include <weir/event.h>
#include <weir/version.h>

#include "base/alloc.h"

/* ---- writing one sample ---- */

/* The labels that all samples of a subject have; returns how many. */
static size_t own_labels(const struct wi_subject *u, struct wi_label *labels)
{
	labels[0] = (struct wi_label){"source", u->source};
	labels[1] = (struct wi_label){u->otel ? "db_client_connection_pool_name" : "host", u->host};
	return 2;
}

void wi_put_value(const struct wi_subject *u, int64_t value)
{
	struct wi_label labels[WI_LABELS_MOST];

	wi_page_sample(u->page, labels, own_labels(u, labels), value);
}

void wi_put_times(const struct wi_subject *u, const weir_histogram *h)
{
	struct wi_label labels[WI_LABELS_MOST];

	wi_page_histogram(u->page, labels, own_labels(u, labels), h);
}

static void put_two(const struct wi_subject *u, const char *label, const char *word,
                    const char *label2, const char *word2, int64_t value)
{
	struct wi_label labels[WI_LABELS_MOST];
	size_t n = own_labels(u, labels);

	labels[n++] = (struct wi_label){label, word};
	labels[n++] = (struct wi_label){label2, word2};
	wi_page_sample(u->page, labels, n, value);
}

static void put_one(const struct wi_subject *u, const char *label, const char *word, int64_t value)
{
	put_two(u, label, word, "", NULL, value);
}

/* Names of enumerations are told in small letters. */
struct small {
	char text[48];
};

static struct small small(const char *name)
{
	struct small s = {""};

	for (size_t i = 0; name[i] && i + 1 < sizeof(s.text); i++)
		s.text[i] =
			(char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]);
	return s;
}

static const char *const intent_names[WEIR_INTENTS] = {
	[WEIR_WRITE] = "write", [WEIR_READ] = "read"};

/* ---- of a pool ---- */

void wi_set_otel_count(const struct wi_subject *u, const weir_pool_stats *s)
{
	put_one(u, "db_client_connection_state", "idle", s->idle);
	put_one(u, "db_client_connection_state", "used", s->busy);
}

void wi_set_connections(const struct wi_subject *u, const weir_pool_stats *s)
{
	put_one(u, "state", "idle", s->idle);
	put_one(u, "state", "busy", s->busy);
	put_one(u, "state", "opening", s->opening);
	put_one(u, "state", "kept", s->kept);
	put_one(u, "state", "closing", s->closing);
}

void wi_set_closed(const struct wi_subject *u, const weir_pool_stats *s)
{
	for (int i = 0; i < WEIR_CLOSE_REASONS; i++)
		put_one(u, "reason", small(weir_close_name((weir_close)i)).text,
		        (int64_t)s->closed[i]);
}

void wi_set_connect_failures(const struct wi_subject *u, const weir_pool_stats *s)
{
	for (int i = 0; i < WEIR_CONNECT_CLASSES; i++)
		put_one(u, "reason", small(weir_connect_name((weir_connect)i)).text,
		        (int64_t)s->connect_failed_of[i]);
}

void wi_set_breaker_state(const struct wi_subject *u, const weir_pool_stats *s)
{
	put_one(u, "weir_breaker_state", "closed", s->breaker == WEIR_BREAKER_CLOSED);
	put_one(u, "weir_breaker_state", "open", s->breaker == WEIR_BREAKER_OPEN);
	put_one(u, "weir_breaker_state", "half_open", s->breaker == WEIR_BREAKER_HALF_OPEN);
}

/* All that a pool can say, and not only what it has said: a curve begins at 0. */
void wi_set_refused(const struct wi_subject *u, const weir_pool_stats *s)
{
	static const weir_status said[] = {WEIR_EXHAUSTED, WEIR_SHED, WEIR_UNAVAILABLE,
	                                   WEIR_CONNECT,   WEIR_AUTH, WEIR_CLOSED};

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		put_one(u, "status", small(weir_status_name(said[i])).text,
		        (int64_t)s->refused_with[said[i]]);
}

void wi_set_queries(const struct wi_subject *u, const weir_pool_stats *s)
{
	for (int i = 0; i < WEIR_INTENTS; i++)
		put_one(u, "intent", intent_names[i], (int64_t)s->work[i].queries);
}

static int64_t others(const weir_work *w)
{
	return (int64_t)(w->query_errors - w->query_retryable - w->query_timeouts -
	                 w->query_unknown);
}

void wi_set_query_errors(const struct wi_subject *u, const weir_pool_stats *s)
{
	for (int i = 0; i < WEIR_INTENTS; i++) {
		const char *intent = intent_names[i];
		const weir_work *w = &s->work[i];

		put_two(u, "intent", intent, "kind", "retryable", (int64_t)w->query_retryable);
		put_two(u, "intent", intent, "kind", "timeout", (int64_t)w->query_timeouts);
		put_two(u, "intent", intent, "kind", "unknown", (int64_t)w->query_unknown);
		put_two(u, "intent", intent, "kind", "other", others(w));
	}
}

void wi_set_transactions(const struct wi_subject *u, const weir_pool_stats *s)
{
	for (int i = 0; i < WEIR_INTENTS; i++) {
		const char *intent = intent_names[i];
		const weir_work *w = &s->work[i];

		put_two(u, "intent", intent, "outcome", "committed", (int64_t)w->committed);
		put_two(u, "intent", intent, "outcome", "rolled_back", (int64_t)w->rolled_back);
		put_two(u, "intent", intent, "outcome", "unknown", (int64_t)w->unknown);
	}
}

/* ---- of a host ---- */

void wi_set_checkouts(const struct wi_subject *u, const weir_host_stats *h)
{
	for (int i = WEIR_REASON_WRITE; i < WEIR_REASONS; i++)
		put_two(u, "intent", intent_names[i == WEIR_REASON_WRITE ? WEIR_WRITE : WEIR_READ],
		        "reason", small(weir_reason_name((weir_reason)i)).text,
		        (int64_t)h->chosen[i]);
}

void wi_set_host_role(const struct wi_subject *u, const weir_host_stats *h)
{
	static const weir_role roles[] = {WEIR_ROLE_PRIMARY, WEIR_ROLE_REPLICA, WEIR_ROLE_UNKNOWN};

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		put_one(u, "weir_host_role", weir_role_name(roles[i]), h->role == roles[i]);
}

/* ---- of a router ---- */

void wi_set_failed(const struct wi_subject *u, const weir_stats *t)
{
	static const weir_status said[] = {WEIR_NO_MEMORY, WEIR_TIMEOUT,     WEIR_EXHAUSTED,
	                                   WEIR_SHED,      WEIR_UNAVAILABLE, WEIR_CONNECT,
	                                   WEIR_AUTH,      WEIR_CLOSED,      WEIR_INVALID};

	for (int i = 0; i < WEIR_INTENTS; i++)
		for (size_t k = 0; k < sizeof(said) / sizeof(said[0]); k++)
			put_two(u, "intent", intent_names[i], "status",
			        small(weir_status_name(said[k])).text,
			        (int64_t)t->failed[i][said[k]]);
}

void wi_set_hosts(const struct wi_subject *u, const weir_stats *t)
{
	put_one(u, "role", "primary", t->primaries);
	put_one(u, "role", "replica", t->replicas);
	put_one(u, "role", "unknown", t->unknown);
}

/* ---- of either ---- */

static size_t raised_of(const weir_metrics_source *of, weir_alert *alerts, size_t room)
{
	return of->router ? weir_router_alerts_get(of->router, alerts, room)
	                  : weir_pool_alerts_get(of->pool, alerts, room);
}

/* How many hosts (or the router itself, which is one more) have it raised. */
void wi_set_alerts(const struct wi_subject *u, const weir_metrics_source *of)
{
	int64_t count[WEIR_ALERT_RULES] = {0};
	size_t room = raised_of(of, NULL, 0), n = 0;
	weir_alert *raised = room ? wi_alloc(room * sizeof(*raised)) : NULL;

	if (raised)
		n = raised_of(of, raised, room);
	for (size_t i = 0; i < n && i < room; i++)
		count[raised[i].rule]++;
	wi_free(raised, room * sizeof(*raised));
	for (int i = 0; i < WEIR_ALERT_RULES; i++) {
		weir_alert_rule rule = (weir_alert_rule)i;

		put_two(u, "rule", small(weir_alert_name(rule)).text, "severity",
		        small(weir_severity_name(weir_alert_severity(rule))).text, count[i]);
	}
}

void wi_set_events(const struct wi_subject *u, const weir_metrics_source *of)
{
	for (int i = 0; i < WEIR_EVENT_KINDS; i++) {
		weir_event_kind kind = (weir_event_kind)i;

		put_one(u, "kind", small(weir_event_name(kind)).text,
		        (int64_t)(of->router ? weir_router_events_count(of->router, kind)
		                             : weir_pool_events_count(of->pool, kind)));
	}
}

void wi_set_build(const struct wi_subject *u, const weir_metrics_source *of)
{
	(void)of;
	put_one(u, "version", weir_version(), 1);
}

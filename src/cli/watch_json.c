/* SPDX-License-Identifier: BSD-2-Clause */
/* `weir watch --json`: a document a look, each on a line of its own. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/json.h"
#include "cli/text.h"
#include "cli/watch.h"

static json_t *time_json(const struct timespec *at)
{
	char text[64];
	struct tm tm;
	size_t n;

	gmtime_r(&at->tv_sec, &tm);
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03ldZ", at->tv_nsec / 1000000);
	return cli_json_text(text);
}

static json_t *chosen_json(const weir_host_stats *h)
{
	json_t *o = cli_json_object();

	for (int why = 0; why < WEIR_REASONS; why++)
		if (h->chosen[why])
			cli_json_put(o, weir_reason_name((weir_reason)why),
			             cli_json_int((int64_t)h->chosen[why]));
	return o;
}

static void put_pool(json_t *o, const weir_pool_stats *p)
{
	cli_json_put(o, "in_flight", cli_json_int(p->busy));
	cli_json_put(o, "open", cli_json_int(p->total));
	cli_json_put(o, "waiting", cli_json_int(p->waiting));
	cli_json_put(o, "breaker", cli_json_text(cli_watch_breaker(p->breaker)));
	cli_json_put(o, "suspended", cli_json_bool(p->suspended));
}

static void put_rates(json_t *o, struct cli_watch_rates rates)
{
	cli_json_put(o, "reads_per_s", cli_json_real(rates.reads));
	cli_json_put(o, "writes_per_s", cli_json_real(rates.writes));
	cli_json_put(o, "fallbacks_per_s", cli_json_real(rates.fallbacks));
}

static json_t *host_json(const struct cli_watch *watch, size_t i)
{
	const weir_host_stats *h = &watch->now.hosts[i];
	bool replica = h->role == WEIR_ROLE_REPLICA;
	json_t *o = cli_json_object();

	cli_json_put(o, "host", cli_json_text(h->host));
	cli_json_put(o, "role", cli_json_text(weir_role_name(h->role)));
	cli_json_put(o, "reachable", cli_json_bool(h->reachable));
	cli_json_put(o, "in_recovery", cli_json_bool(h->in_recovery));
	cli_json_put(o, "read_only", cli_json_bool(h->read_only));
	cli_json_put(o, "timeline", cli_json_known(h->timeline ? (int64_t)h->timeline : -1));
	cli_json_put(o, "lag_ms", cli_json_known(replica ? h->lag_ms : -1));
	cli_json_put(o, "lag_bytes", cli_json_known(replica ? h->lag_bytes : -1));
	cli_json_put(o, "probe_age_ms", cli_json_known(h->probe_age_ms));
	cli_json_put(o, "follows", cli_json_text(h->follows));
	cli_json_put(o, "replay_paused", cli_json_bool(h->replay_paused));
	cli_json_put(o, "drained", cli_json_bool(h->drained));
	cli_json_put(o, "held_ms", cli_json_int(h->held_ms));
	put_pool(o, &h->pool);
	put_rates(o, cli_watch_rates(watch, i));
	cli_json_put(o, "chosen", chosen_json(h));
	cli_json_put(o, "last_error", cli_json_text(h->last_error));
	return o;
}

static json_t *result_json(const struct cli_watch *watch, const struct cli_watch_result *r)
{
	bool tried = r->served || r->failed;
	json_t *o = cli_json_object();

	cli_json_put(o, "status", tried ? cli_json_text(weir_status_name(r->status)) : json_null());
	cli_json_put(o, "host", r->ok ? cli_json_text(r->host) : json_null());
	cli_json_put(o, "reason", r->ok ? cli_json_text(weir_reason_name(r->reason)) : json_null());
	cli_json_put(o, "error", tried && !r->ok ? cli_json_text(r->text) : json_null());
	cli_json_put(o, "served", cli_json_int((int64_t)r->served));
	cli_json_put(o, "failed", cli_json_int((int64_t)r->failed));
	cli_json_put(o, "since_served_ms", cli_json_int((watch->now.at_ns - r->good_ns) / CLI_MS));
	cli_json_put(o, "last_outage_ms", cli_json_int(r->outage_ns / CLI_MS));
	return o;
}

static json_t *events_json(struct cli_watch *watch)
{
	static struct cli_watch_event events[CLI_WATCH_EVENTS];
	static uint64_t printed;
	size_t n = cli_watch_events(watch, events, CLI_WATCH_EVENTS, printed);
	json_t *array = cli_json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *o = cli_json_object();

		printed = events[i].number;
		cli_json_put(o, "at", time_json(&events[i].at));
		cli_json_put(o, "event", cli_json_text(weir_event_name(events[i].kind)));
		cli_json_put(o, "host", cli_json_text(events[i].host));
		cli_json_put(o, "text", cli_json_text(events[i].text));
		cli_json_put(o, "times", cli_json_int(events[i].times));
		cli_json_add(array, o);
	}
	return array;
}

void cli_watch_json(struct cli_watch *watch)
{
	json_t *o = cli_json_object(), *hosts = cli_json_array();

	cli_json_put(o, "at", time_json(&watch->now.wall));
	cli_json_put(o, "split", cli_json_bool(watch->now.split));
	for (size_t i = 0; i < watch->now.n_hosts; i++)
		cli_json_add(hosts, host_json(watch, i));
	cli_json_put(o, "hosts", hosts);
	cli_json_put(o, "read", result_json(watch, &watch->now.read));
	cli_json_put(o, "write", result_json(watch, &watch->now.write));
	cli_json_put(o, "events", events_json(watch));
	cli_json_print_line(o);
	fflush(stdout);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `weir watch` where there is no terminal: a line for each host at first, and then one for each
 * change. What changes in what hosts are is seen by comparing looks, all else comes from events.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/text.h"
#include "cli/watch.h"

#define LINE_ROOM 512

static void add(char line[LINE_ROOM], const char *what)
{
	size_t n = strlen(line);

	if (n) {
		cli_copy(line + n, LINE_ROOM - n, ", ");
		n = strlen(line);
	}
	cli_copy(line + n, LINE_ROOM - n, what);
}

static void print_line(const struct cli_watch *watch, const char *who, const char *what)
{
	char clock[CLI_SHORT];

	printf("%s  %s  %s\n", cli_watch_clock(&watch->now.wall, clock), who, what);
}

static void print_first(const struct cli_watch *watch, const weir_host_stats *h)
{
	char line[LINE_ROOM], odd[256];

	snprintf(line, sizeof(line), "%s", weir_role_name(h->role));
	if (h->timeline)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), ", timeline %" PRIu32,
		         h->timeline);
	if (*cli_watch_oddities(h, odd, sizeof(odd)))
		add(line, odd);
	print_line(watch, h->host, line);
}

static void print_change(const struct cli_watch *watch, const weir_host_stats *old,
                         const weir_host_stats *h)
{
	char line[LINE_ROOM] = "", part[256], odd[256], was_odd[256];

	if (h->role != old->role) {
		snprintf(part, sizeof(part), "%s -> %s", weir_role_name(old->role),
		         weir_role_name(h->role));
		add(line, part);
	}
	if (h->timeline != old->timeline && h->timeline) {
		snprintf(part, sizeof(part), "timeline %" PRIu32 " -> %" PRIu32, old->timeline,
		         h->timeline);
		add(line, part);
	}
	if (h->pool.breaker != old->pool.breaker) {
		snprintf(part, sizeof(part), "breaker %s", cli_watch_breaker(h->pool.breaker));
		add(line, part);
	}
	cli_watch_oddities(h, odd, sizeof(odd));
	if (strcmp(odd, cli_watch_oddities(old, was_odd, sizeof(was_odd))) != 0)
		add(line, odd[0] ? odd : "all is well again");
	if (line[0] && !h->reachable && h->last_error[0])
		add(line, h->last_error);
	if (line[0])
		print_line(watch, h->host, line);
}

static const weir_host_stats *find(const struct cli_watch_look *look, const char *name)
{
	for (size_t i = 0; i < look->n_hosts; i++)
		if (!strcmp(look->hosts[i].host, name))
			return &look->hosts[i];
	return NULL;
}

static void print_hosts(const struct cli_watch *watch)
{
	for (size_t i = 0; i < watch->now.n_hosts; i++) {
		const weir_host_stats *h = &watch->now.hosts[i], *old = find(&watch->last, h->host);

		if (old)
			print_change(watch, old, h);
		else
			print_first(watch, h);
	}
	if (watch->now.split && !watch->last.split)
		print_line(watch, "all", "hosts contradict each other: nobody is the primary");
}

/* Reads go from replica to replica all the time. */
static bool is_served_alike(const char *what, const struct cli_watch_result *old,
                            const struct cli_watch_result *r)
{
	if (!strcmp(what, "reads"))
		return weir_reason_is_fallback(old->reason) == weir_reason_is_fallback(r->reason);
	return !strcmp(r->host, old->host);
}

/* Who serves, if that is somebody else than before, and since when nobody did. */
static void print_result(const struct cli_watch *watch, const char *what,
                         const struct cli_watch_result *old, const struct cli_watch_result *r)
{
	char line[LINE_ROOM], text[CLI_SHORT];

	if (!r->ok && r->failed != old->failed && (old->ok || !old->failed)) {
		snprintf(line, sizeof(line), "none: %s: %.*s", weir_status_name(r->status),
		         (int)strcspn(r->text, "\n"), r->text);
		print_line(watch, what, line);
	}
	if (!r->ok || (old->ok && is_served_alike(what, old, r)))
		return;
	snprintf(line, sizeof(line), "on %s: %s", r->host, weir_reason_text(r->reason));
	if (r->outage_ns && old->served)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "; none for %s before",
		         cli_duration(text, r->outage_ns));
	print_line(watch, what, line);
}

/* What the looks show anyway, and what is no news. */
static bool is_silent(weir_event_kind kind)
{
	return kind == WEIR_EVENT_ROLE_CHANGED || kind == WEIR_EVENT_CONNECTED ||
	       kind == WEIR_EVENT_CLOSED || kind == WEIR_EVENT_BREAKER_OPENED ||
	       kind == WEIR_EVENT_BREAKER_CLOSED || kind == WEIR_EVENT_BREAKER_HALF_OPEN;
}

static void print_events(struct cli_watch *watch)
{
	static struct cli_watch_event events[CLI_WATCH_EVENTS];
	static uint64_t printed;
	size_t n = cli_watch_events(watch, events, CLI_WATCH_EVENTS, printed);
	char clock[CLI_SHORT];

	for (size_t i = 0; i < n; i++) {
		const struct cli_watch_event *e = &events[i];

		printed = e->number;
		/* Of those that come again and again the first. */
		if (is_silent(e->kind) || e->times > 1)
			continue;
		printf("%s  %s  %s: %.*s\n", cli_watch_clock(&e->at, clock),
		       e->host[0] ? e->host : "all", weir_event_name(e->kind),
		       (int)strcspn(e->text, "\n"), e->text);
	}
}

void cli_watch_lines(struct cli_watch *watch)
{
	print_events(watch);
	print_hosts(watch);
	print_result(watch, "reads", &watch->last.read, &watch->now.read);
	print_result(watch, "writes", &watch->last.write, &watch->now.write);
	fflush(stdout);
}

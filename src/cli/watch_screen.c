/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `weir watch` on a terminal: the whole picture, drawn anew each time (live.c).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/live.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/watch.h"

static void cell_known(struct cli_table *table, int64_t value, const char *text)
{
	cli_cell(table, value < 0 ? CLI_FAINT : CLI_PLAIN, "%s", value < 0 ? "-" : text);
}

static void add_lag(struct cli_table *table, const weir_host_stats *h)
{
	bool replica = h->role == WEIR_ROLE_REPLICA;
	int64_t ms = replica ? h->lag_ms : -1, bytes = replica ? h->lag_bytes : -1;
	char text[CLI_SHORT];

	cell_known(table, ms, cli_duration(text, ms * CLI_MS));
	cell_known(table, bytes, cli_bytes(text, bytes));
}

static enum cli_tint role_tint(const weir_host_stats *h)
{
	return h->role == WEIR_ROLE_PRIMARY   ? CLI_GOOD
	       : h->role == WEIR_ROLE_UNKNOWN ? CLI_BAD
	                                      : CLI_PLAIN;
}

static void add_rate(struct cli_table *table, double rate)
{
	cli_cell(table, rate > 0 ? CLI_PLAIN : CLI_FAINT, "%.0f", rate);
}

static void add_host(struct cli_table *table, const struct cli_watch *watch, size_t i)
{
	const weir_host_stats *h = &watch->now.hosts[i];
	struct cli_watch_rates rates = cli_watch_rates(watch, i);
	char odd[256], tl[CLI_SHORT];

	cli_cell(table, CLI_STRONG, "%s", h->host);
	cli_cell(table, role_tint(h), "%s", weir_role_name(h->role));
	snprintf(tl, sizeof(tl), "%" PRIu32, h->timeline);
	cell_known(table, h->timeline ? 0 : -1, tl);
	add_lag(table, h);
	cli_cell(table, CLI_PLAIN, "%s", h->follows[0] ? h->follows : "-");
	cli_cell(table, CLI_PLAIN, "%" PRIu32 "/%" PRIu32, h->pool.busy, h->pool.total);
	cli_cell(table, h->pool.breaker == WEIR_BREAKER_CLOSED ? CLI_PLAIN : CLI_BAD, "%s",
	         cli_watch_breaker(h->pool.breaker));
	add_rate(table, rates.reads);
	add_rate(table, rates.writes);
	add_rate(table, rates.fallbacks);
	cli_cell(table, CLI_WARN, "%s", cli_watch_oddities(h, odd, sizeof(odd)));
}

static void print_hosts(const struct cli_watch *watch)
{
	struct cli_table *table = cli_table_create("llrrrlrlrrrl");

	cli_head(table, "host|role|timeline|lag|behind|follows|busy/open|breaker|reads/s|writes/s|"
	                "fallbacks/s|state");
	for (size_t i = 0; i < watch->now.n_hosts; i++)
		add_host(table, watch, i);
	cli_table_print(table, stdout);
	cli_table_destroy(table);
}

/* What a try checkout of that intent comes to. */
static void print_result(const char *what, const struct cli_watch_result *r, int64_t now_ns)
{
	char text[CLI_SHORT], line[WEIR_ERROR_TEXT + 128];

	printf("  %-7s ", what);
	if (r->ok) {
		cli_paint(stdout, CLI_GOOD, "ok");
		printf("  %s, in %s: %s\n", r->host, cli_duration(text, r->took_ns),
		       weir_reason_text(r->reason));
	} else if (!r->served && !r->failed) {
		puts("not tried yet");
	} else {
		snprintf(line, sizeof(line), "none for %s",
		         cli_duration(text, now_ns - r->good_ns));
		cli_paint(stdout, CLI_BAD, line);
		printf("  %s: %.*s\n", weir_status_name(r->status), (int)strcspn(r->text, "\n"),
		       r->text);
	}
}

static void print_event(const struct cli_watch_event *e)
{
	char clock[CLI_SHORT], times[CLI_SHORT] = "";

	if (e->times > 1)
		snprintf(times, sizeof(times), " (%" PRIu32 " times)", e->times);
	printf("  %s  ", cli_watch_clock(&e->at, clock));
	cli_paint(stdout, CLI_STRONG, weir_event_name(e->kind));
	printf("  %s%s%.*s%s\n", e->host, e->host[0] ? "  " : "", (int)strcspn(e->text, "\n"),
	       e->text, times);
}

static void print_events(struct cli_watch *watch, size_t room)
{
	static struct cli_watch_event events[CLI_WATCH_EVENTS];
	size_t n;

	if (room > CLI_WATCH_EVENTS)
		room = CLI_WATCH_EVENTS;
	n = cli_watch_events(watch, events, room, 0);
	for (size_t i = n; i; i--)
		print_event(&events[i - 1]);
	if (!n)
		cli_paint(stdout, CLI_FAINT, "  none yet\n");
}

/* All but the events; returns how many lines that is. */
static size_t print_state(const struct cli_watch *watch)
{
	const struct cli_watch_look *now = &watch->now;
	char clock[CLI_SHORT];

	cli_paint(stdout, CLI_STRONG, "weir watch");
	printf("  %s  ", cli_watch_clock(&now->wall, clock));
	if (now->split)
		cli_paint(stdout, CLI_BAD, "hosts contradict each other: nobody is the primary");
	puts("\n");
	print_hosts(watch);
	puts("");
	print_result("reads", &now->read, now->at_ns);
	print_result("writes", &now->write, now->at_ns);
	return 6 + now->n_hosts;
}

void cli_watch_screen(struct cli_watch *watch)
{
	size_t rows = cli_screen_clear(), used;

	used = print_state(watch);
	if (rows > used + 3) {
		puts("");
		cli_paint(stdout, CLI_STRONG, "  events, the last first\n");
		print_events(watch, rows - used - 3);
	}
	fflush(stdout);
}

void cli_watch_screen_end(struct cli_watch *watch)
{
	cli_screen_end();
	if (watch->now.at_ns)
		(void)print_state(watch);
	fflush(stdout);
}

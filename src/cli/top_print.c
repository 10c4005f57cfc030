/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `weir top` shows: the state, hosts, who waits, who holds, the last events. Of what has no
 * room the longest are shown, and how many more there are.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/top.h"
#include "cli/watch.h"

/* Lines of a view that are there always: title, hosts' heading, and the like. */
#define FRAME 8

static enum cli_tint state_tint(weir_view_state state)
{
	switch (state) {
	case WEIR_VIEW_LIVE:
		return CLI_GOOD;
	case WEIR_VIEW_STARTING:
	case WEIR_VIEW_CLOSED:
	case WEIR_VIEW_ELSEWHERE:
		return CLI_WARN;
	default:
		return CLI_BAD;
	}
}

static const char *clock_of(int64_t ms, char text[CLI_SHORT])
{
	struct timespec at = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	return cli_watch_clock(&at, text);
}

static void print_title(const struct cli_view *v)
{
	const weir_view_picture *p = &v->picture;
	char title[256], text[CLI_SHORT];

	cli_paint(stdout, CLI_STRONG, cli_view_title(v, title, sizeof(title)));
	if (v->whole && p->age_ns >= 0)
		printf("  %s", clock_of(p->at_ms, text));
	if (v->whole) {
		fputs("  ", stdout);
		cli_paint(stdout, state_tint(p->state), p->words);
	}
	if (v->whole && p->closing)
		cli_paint(stdout, CLI_WARN, "  closing");
	if (v->whole && p->suspended)
		cli_paint(stdout, CLI_WARN, "  suspended");
	if (v->whole && p->split)
		cli_paint(stdout, CLI_BAD, "  hosts contradict each other: nobody is the primary");
	if (v->whole && p->no_primary_ns >= 0) {
		snprintf(title, sizeof(title), "  no primary for %s",
		         cli_duration(text, p->no_primary_ns));
		cli_paint(stdout, CLI_BAD, title);
	}
	puts("\n");
}

/* ---- hosts ---- */

static void cell_rate(struct cli_table *table, double rate)
{
	if (rate < 0)
		cli_cell(table, CLI_FAINT, "-");
	else
		cli_cell(table, rate > 0 ? CLI_PLAIN : CLI_FAINT, "%.0f", rate);
}

static void cell_count(struct cli_table *table, uint64_t count, enum cli_tint tint)
{
	cli_cell(table, count ? tint : CLI_FAINT, "%" PRIu64, count);
}

static void add_host(struct cli_table *table, const struct cli_view *v, size_t i)
{
	const weir_host_stats *h = &v->picture.hosts[i];
	bool router = v->entry.router, lags = h->role == WEIR_ROLE_REPLICA && h->lag_ms >= 0;
	bool full = h->pool.max && h->pool.busy >= h->pool.max;
	char odd[256] = "", text[CLI_SHORT];

	cli_cell(table, CLI_STRONG, "%s", h->host);
	cli_cell(table, router && h->role == WEIR_ROLE_UNKNOWN ? CLI_BAD : CLI_PLAIN, "%s",
	         router ? weir_role_name(h->role) : "-");
	cli_cell(table, lags ? CLI_PLAIN : CLI_FAINT, "%s",
	         lags ? cli_duration(text, h->lag_ms * CLI_MS) : "-");
	cli_cell(table, full ? CLI_WARN : CLI_PLAIN, "%" PRIu32 "/%" PRIu32, h->pool.busy,
	         h->pool.max);
	cell_count(table, h->pool.idle, CLI_PLAIN);
	cell_count(table, h->pool.opening, CLI_PLAIN);
	cell_count(table, h->pool.waiting, CLI_WARN);
	cell_rate(table, v->rates[i].taken);
	cell_rate(table, v->rates[i].waited);
	cell_count(table, h->pool.timeouts, CLI_WARN);
	cli_cell(table, h->pool.breaker == WEIR_BREAKER_CLOSED ? CLI_PLAIN : CLI_BAD, "%s",
	         cli_watch_breaker(h->pool.breaker));
	if (router)
		cli_watch_oddities(h, odd, sizeof(odd));
	else if (h->pool.suspended)
		cli_copy(odd, sizeof(odd), "suspended");
	cli_cell(table, CLI_WARN, "%s", odd);
}

static void print_hosts(const struct cli_view *v)
{
	struct cli_table *table = cli_table_create("llrrrrrrrrll");

	cli_head(table, "host|role|lag|busy/max|idle|opening|waiting|taken/s|waits/s|timeouts|"
	                "breaker|state");
	for (size_t i = 0; i < v->picture.n_hosts; i++)
		add_host(table, v, i);
	cli_table_print(table, stdout);
	cli_table_destroy(table);
}

/* ---- waiters and holders ---- */

static void print_waits(const weir_view_picture *p)
{
	static const char *const below[WEIR_VIEW_AGES] = {"< 1 ms", "< 10 ms", "< 100 ms", "< 1 s",
	                                                  "< 10 s", "< 1 min", "more"};
	char text[CLI_SHORT], line[128];
	const char *comma = ": ";

	snprintf(line, sizeof(line), "\n  %zu waiting", p->waiters_total);
	cli_paint(stdout, p->waiters_total ? CLI_WARN : CLI_FAINT, line);
	if (p->n_waiters)
		printf(", the oldest for %s", cli_duration(text, p->waiters[0].waited_ns));
	for (int i = 0; i < WEIR_VIEW_AGES; i++, comma = p->waiters_total ? ", " : comma)
		if (p->waits[i])
			printf("%s%" PRIu32 " %s", comma, p->waits[i], below[i]);
	if (p->at_gate)
		printf("; %" PRIu32 " for a host to serve them", p->at_gate);
	puts("");
}

static void print_waiters(const weir_view_picture *p, size_t room)
{
	struct cli_table *table = cli_table_create("rlrll");
	char text[CLI_SHORT];

	if (p->n_waiters && room)
		cli_head(table, "waits for|host|thread|name|tag");
	for (size_t i = 0; i < p->n_waiters && i < room; i++) {
		const weir_view_waiter *w = &p->waiters[i];

		cli_cell(table, w->waited_ns > CLI_S ? CLI_WARN : CLI_PLAIN, "%s",
		         cli_duration(text, w->waited_ns));
		cli_cell(table, CLI_PLAIN, "%s", p->hosts[w->host].host);
		cli_cell(table, CLI_PLAIN, "%" PRId32, w->thread);
		cli_cell(table, CLI_PLAIN, "%s", w->thread_name);
		cli_cell(table, CLI_STRONG, "%s", w->tag);
	}
	cli_table_print(table, stdout);
	cli_table_destroy(table);
}

static void add_holder(struct cli_table *table, const weir_view_picture *p,
                       const weir_view_holder *h)
{
	char text[CLI_SHORT];

	cli_cell(table, h->held_ns > CLI_S ? CLI_WARN : CLI_PLAIN, "%s",
	         h->held_ns < 0 ? "just now" : cli_duration(text, h->held_ns));
	cli_cell(table, CLI_PLAIN, "%s", p->hosts[h->host].host);
	cli_cell(table, CLI_PLAIN, "%" PRId32, h->thread);
	cli_cell(table, h->thread_ended ? CLI_BAD : CLI_PLAIN, "%s",
	         h->thread_ended ? "has ended" : h->thread_name);
	cli_cell(table, CLI_STRONG, "%s", h->tag);
	cli_cell(table, CLI_FAINT, "%s", p->entry.router ? weir_reason_name(h->reason) : "");
	cli_cell(table, CLI_BAD, "%s", h->reclaimed ? "reclaimed" : "");
}

static void print_holders(const weir_view_picture *p, size_t room)
{
	struct cli_table *table = cli_table_create("rlrllll");
	size_t shown = p->n_holders < room ? p->n_holders : room;

	printf("\n  %zu held", p->holders_total);
	if (shown < p->holders_total)
		printf(", the %zu longest", shown);
	puts("");
	if (shown)
		cli_head(table, "held for|host|thread|name|tag|reason|");
	for (size_t i = 0; i < shown; i++)
		add_holder(table, p, &p->holders[i]);
	cli_table_print(table, stdout);
	cli_table_destroy(table);
}

static void print_events(const weir_view_picture *p, size_t room)
{
	char clock[CLI_SHORT];

	if (p->n_events && room)
		cli_paint(stdout, CLI_STRONG, "\n  events, the last first\n");
	for (size_t i = p->n_events; i && room; i--, room--) {
		const weir_event_record *e = &p->events[i - 1];

		printf("  %s  ", clock_of(e->wall_ns / CLI_MS, clock));
		cli_paint(stdout, CLI_STRONG, weir_event_name(e->kind));
		printf("  %s%s%s\n", e->host, e->host[0] ? "  " : "", e->text);
	}
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void print_view(const struct cli_view *v, size_t rows)
{
	const weir_view_picture *p = &v->picture;
	size_t left, waiters, holders;

	print_title(v);
	if (!v->whole || p->age_ns < 0)
		return;
	print_hosts(v);
	left = rows > FRAME + p->n_hosts ? rows - FRAME - p->n_hosts : 0;
	/* A third for who waits, a half of the rest at least for who holds. */
	waiters = least(p->n_waiters, rows == SIZE_MAX ? SIZE_MAX : left / 3);
	left -= least(left, waiters + (waiters > 0));
	holders = least(p->n_holders, rows == SIZE_MAX ? SIZE_MAX : left - left / 3);
	left -= least(left, holders + (holders > 0));
	print_waits(p);
	print_waiters(p, waiters);
	print_holders(p, holders);
	print_events(p, rows == SIZE_MAX ? SIZE_MAX : left > 2 ? left - 2 : 0);
}

void cli_top_print(const struct cli_views *views, size_t rows)
{
	for (size_t i = 0; i < views->n; i++) {
		if (i)
			puts("");
		print_view(&views->view[i], rows == SIZE_MAX ? rows : rows / views->n);
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* `weir stats`: the statistics of a running process, once. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/json.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/views.h"

enum { OPT_DIRECTORY = 256, OPT_JSON };

static const char about[] =
	"Prints what a running process has counted so far, as weir_pool_stats_get and "
	"weir_router_stats_get would in the process itself: for each host connections, checkouts, "
	"waits, failures and why connections were closed. It asks nothing of the process, as weir "
	"top.\n"
	"\n"
	"PROCESS is its number, one of its views (4711-2), or the name of its program or "
	"application. Without it the only process there is is shown, or a list of all.";

static const struct cli_option flags[] = {
	{"directory", OPT_DIRECTORY, "PATH",
         "where processes draw, if their option view names a directory", "FILE"},
	{"json", OPT_JSON, NULL, "one document for programs, as of weir top", NULL},
	{.name = NULL},
};

static const struct cli_ending endings[] = {
	{CLI_EXIT_OK, "they were shown, whatever state the process is in; or the list was"},
	{CLI_EXIT_USAGE, "wrong usage, or several processes have that name"},
	{CLI_EXIT_UNAVAILABLE, "there is nothing to look into, or nothing that you may see"},
	{CLI_EXIT_OUTPUT, "the output could not be written"},
	{0, NULL},
};

/* ---- the table: a row each, a column for each host ---- */

static void row(struct cli_table *table, const weir_view_picture *p, const char *name,
                uint64_t (*value)(const weir_host_stats *))
{
	cli_cell(table, CLI_PLAIN, "%s", name);
	for (size_t i = 0; i < p->n_hosts; i++) {
		uint64_t n = value(&p->hosts[i]);

		cli_cell(table, n ? CLI_PLAIN : CLI_FAINT, "%" PRIu64, n);
	}
}

#define ROWS(ROW)                                                                                  \
	ROW(max, "maximum", pool.max)                                                              \
	ROW(total, "open", pool.total)                                                             \
	ROW(idle, "idle", pool.idle)                                                               \
	ROW(busy, "busy", pool.busy)                                                               \
	ROW(opening, "opening", pool.opening)                                                      \
	ROW(kept, "being reset or checked", pool.kept)                                             \
	ROW(closing, "closing", pool.closing)                                                      \
	ROW(waiting, "waiting callers", pool.waiting)                                              \
	ROW(checkouts, "checkouts", pool.checkouts)                                                \
	ROW(checkins, "checkins", pool.checkins)                                                   \
	ROW(waits, "waits", pool.waits)                                                            \
	ROW(timeouts, "timeouts", pool.timeouts)                                                   \
	ROW(refused, "refused", pool.refused)                                                      \
	ROW(opened, "connections opened", pool.opened)                                             \
	ROW(failures, "connects failed", pool.connect_failures)                                    \
	ROW(lost, "connections lost", pool.lost)                                                   \
	ROW(leaks, "leaks", pool.leaks)                                                            \
	ROW(misuse, "misuses", pool.misuse)

#define ROUTER_ROWS(ROW)                                                                           \
	ROW(reads, "reads served", reads)                                                          \
	ROW(writes, "writes served", writes)                                                       \
	ROW(fallbacks, "reads in place of replicas", fallback_reads)

#define VALUE(name, title, member)                                                                 \
	static uint64_t value_##name(const weir_host_stats *h)                                     \
	{                                                                                          \
		return h->member;                                                                  \
	}
ROWS(VALUE)
ROUTER_ROWS(VALUE)
#undef VALUE

static void closed_rows(struct cli_table *table, const weir_view_picture *p)
{
	for (int why = 0; why < WEIR_CLOSE_REASONS; why++) {
		uint64_t sum = 0;

		for (size_t i = 0; i < p->n_hosts; i++)
			sum += p->hosts[i].pool.closed[why];
		if (!sum)
			continue;
		cli_cell(table, CLI_PLAIN, "closed: %s", weir_close_name((weir_close)why));
		for (size_t i = 0; i < p->n_hosts; i++)
			cli_cell(table, CLI_PLAIN, "%" PRIu64, p->hosts[i].pool.closed[why]);
	}
}

static void duration_row(struct cli_table *table, const weir_view_picture *p, const char *name,
                         uint64_t (*ns)(const weir_pool_stats *))
{
	char text[CLI_SHORT];

	cli_cell(table, CLI_PLAIN, "%s", name);
	for (size_t i = 0; i < p->n_hosts; i++) {
		uint64_t t = ns(&p->hosts[i].pool);

		cli_cell(table, t ? CLI_PLAIN : CLI_FAINT, "%s",
		         t ? cli_duration(text, (int64_t)t) : "-");
	}
}

static uint64_t wait_p50(const weir_pool_stats *p)
{
	return p->wait.p50_ns;
}

static uint64_t wait_p99(const weir_pool_stats *p)
{
	return p->wait.p99_ns;
}

static uint64_t wait_max(const weir_pool_stats *p)
{
	return p->wait.max_ns;
}

static uint64_t connect_p99(const weir_pool_stats *p)
{
	return p->connect.p99_ns;
}

static void print_rows(struct cli_table *table, const struct cli_view *v)
{
	const weir_view_picture *p = &v->picture;

	cli_cell(table, CLI_STRONG, "host");
	for (size_t i = 0; i < p->n_hosts; i++)
		cli_cell(table, CLI_STRONG, "%s", p->hosts[i].host);
	if (v->entry.router) {
		cli_cell(table, CLI_PLAIN, "role");
		for (size_t i = 0; i < p->n_hosts; i++)
			cli_cell(table, CLI_PLAIN, "%s", weir_role_name(p->hosts[i].role));
	}
#define ROW(name, title, member) row(table, p, title, value_##name);
	ROWS(ROW)
	if (v->entry.router) {
		ROUTER_ROWS(ROW)
	}
#undef ROW
	closed_rows(table, p);
	duration_row(table, p, "wait, median", wait_p50);
	duration_row(table, p, "wait, 99 %", wait_p99);
	duration_row(table, p, "wait, longest", wait_max);
	duration_row(table, p, "connect, 99 %", connect_p99);
}

static void print_view(const struct cli_view *v)
{
	char title[256], columns[WEIR_HOSTS_MAX + 2] = "l";
	struct cli_table *table;

	cli_paint(stdout, CLI_STRONG, cli_view_title(v, title, sizeof(title)));
	printf("  %s\n\n", v->whole ? v->picture.words : "");
	if (!v->whole || v->picture.age_ns < 0)
		return;
	memset(columns + 1, 'r', v->picture.n_hosts);
	table = cli_table_create(columns);
	print_rows(table, v);
	cli_table_print(table, stdout);
	cli_table_destroy(table);
}

static void print(const struct cli_views *views)
{
	for (size_t i = 0; i < views->n; i++) {
		if (i)
			puts("");
		print_view(&views->view[i]);
	}
}

static int stats(const struct cli_args *args, const char *directory, bool json)
{
	struct cli_views views = {.n = 0};
	int result = cli_views_open(args->word, cli_views_named(args), directory, &views);

	if (views.n)
		cli_views_read(&views);
	if (result == CLI_EXIT_OK && views.n && json)
		cli_json_print_line(cli_views_json(&views));
	else if (result == CLI_EXIT_OK && views.n)
		print(&views);
	else if (result == CLI_EXIT_OK)
		cli_views_offer(&views, json);
	cli_views_close(&views);
	return result;
}

static int run(const struct cli_word *word, int argc, char **argv)
{
	const char *directory = NULL;
	struct cli_args args;
	bool json = false;
	int got, result;

	cli_args_init(&args, word, argc, argv);
	while ((got = cli_args_next(&args)) > 255) {
		if (got == OPT_DIRECTORY)
			directory = optarg;
		else
			json = true;
	}
	result = got == CLI_ARG_END ? stats(&args, directory, json) : cli_args_status(got);
	cli_args_fini(&args);
	return result;
}

const struct cli_word cli_word_stats = {
	.name = "stats",
	.brief = "what a running process has counted so far, host by host",
	.operands = "[PROCESS]",
	.max_operands = 1,
	.about = about,
	.options = flags,
	.endings = endings,
	.run = run,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `weir top`: looks into a running process, also one that hangs. On a terminal it draws anew each
 * time; anywhere else it prints one picture after the other.
 */
#include "cli/top.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/json.h"
#include "cli/live.h"
#include "cli/text.h"

enum { OPT_ONCE = 256, OPT_COUNT, OPT_INTERVAL, OPT_DIRECTORY, OPT_JSON };

static const char about[] =
	"Looks into a running process that uses weir: who holds connections and for how long, who "
	"waits and for how long already, sizes, rates, roles, lag, breakers and the last events. "
	"Nothing is asked of the process itself but the file that it draws into (its option view), "
	"so this also shows one whose threads all wait, that is stopped or hangs, or that has "
	"crashed: the last picture, and how old it is.\n"
	"\n"
	"PROCESS is its number, one of its views as the list shows them (4711-2), or the name of "
	"its program or application. Without it the only process there is is shown, or a list of "
	"all. q or Ctrl-C ends it.";

static const struct cli_option flags[] = {
	{"once", OPT_ONCE, NULL, "one picture, and the end", NULL},
	{"count", OPT_COUNT, "N", "ends after N pictures", NULL},
	{"interval", OPT_INTERVAL, "S", "a picture every S seconds (default 1)", NULL},
	{"directory", OPT_DIRECTORY, "PATH",
         "where processes draw, if their option view names a directory", "FILE"},
	{"json", OPT_JSON, NULL, "a document a picture, each on one line", NULL},
	{.name = NULL},
};

static const struct cli_ending endings[] = {
	{CLI_EXIT_OK, "it was shown, whatever state the process is in; or the list was"},
	{CLI_EXIT_USAGE, "wrong usage, or several processes have that name"},
	{CLI_EXIT_UNAVAILABLE, "there is nothing to look into, or nothing that you may see"},
	{CLI_EXIT_SYSTEM, "the system refused memory or a descriptor"},
	{CLI_EXIT_OUTPUT, "the output could not be written"},
	{0, NULL},
};

struct plan {
	bool json;
	int64_t count, interval_ns;
	const char *directory;
};

static bool read_arg(struct cli_args *args, int got, struct plan *plan)
{
	switch (got) {
	case OPT_ONCE:
		plan->count = 1;
		return true;
	case OPT_COUNT:
		return cli_args_int(args, "count", 1, INT32_MAX, &plan->count);
	case OPT_INTERVAL:
		return cli_args_seconds(args, "interval", 0.1, 3600, &plan->interval_ns);
	case OPT_DIRECTORY:
		plan->directory = optarg;
		return true;
	default:
		return plan->json = true;
	}
}

static void show(struct cli_views *views, const struct plan *plan, bool screen)
{
	size_t rows = screen ? cli_screen_clear() : SIZE_MAX;

	if (plan->json)
		cli_json_print_line(cli_views_json(views));
	else
		cli_top_print(views, rows);
	if (!plan->json && !screen && plan->count != 1)
		putchar('\n');
	fflush(stdout);
}

static void loop(struct cli_views *views, const struct plan *plan, bool screen)
{
	for (int64_t looks = 1;; looks++) {
		int64_t next_ns = cli_now() + plan->interval_ns;

		cli_views_read(views);
		show(views, plan, screen);
		if (ferror(stdout) || (plan->count && looks >= plan->count) ||
		    (!screen && !cli_views_go_on(views)))
			return;
		while (!cli_live_is_ended() && cli_now() < next_ns)
			cli_live_sleep(next_ns);
		if (cli_live_is_ended())
			return;
	}
}

static int look(struct cli_views *views, const struct plan *plan)
{
	bool screen = !plan->json && plan->count != 1 && cli_screen_is_there();

	if (!cli_live_init()) {
		perror("weir top");
		return CLI_EXIT_SYSTEM;
	}
	cli_live_hear_signals();
	if (screen)
		cli_screen_begin(true);
	loop(views, plan, screen);
	if (screen) {
		cli_screen_end();
		cli_top_print(views, SIZE_MAX);
	}
	return CLI_EXIT_OK;
}

static int top(const struct cli_args *args, const struct plan *plan)
{
	struct cli_views views = {.n = 0};
	int result = cli_views_open(args->word, cli_views_named(args), plan->directory, &views);

	if (result == CLI_EXIT_OK && views.n)
		result = look(&views, plan);
	else if (result == CLI_EXIT_OK)
		cli_views_offer(&views, plan->json);
	cli_views_close(&views);
	return result;
}

static int run(const struct cli_word *word, int argc, char **argv)
{
	struct plan plan = {.interval_ns = CLI_S};
	struct cli_args args;
	int got, result;

	cli_args_init(&args, word, argc, argv);
	while ((got = cli_args_next(&args)) > 255)
		if (!read_arg(&args, got, &plan)) {
			got = CLI_ARG_BAD;
			break;
		}
	result = got == CLI_ARG_END ? top(&args, &plan) : cli_args_status(got);
	cli_args_fini(&args);
	return result;
}

const struct cli_word cli_word_top = {
	.name = "top",
	.brief = "look into a running process: who holds connections, who waits, for how long",
	.operands = "[PROCESS]",
	.max_operands = 1,
	.about = about,
	.options = flags,
	.endings = endings,
	.run = run,
};

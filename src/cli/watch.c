/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `weir watch`: arguments, the loop, and the end.
 *
 * It looks each interval, and at once when weir tells something or a checkout begins or ceases to
 * be served. A signal ends it, and that is the usual end: the status is 0.
 */
#include "cli/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/clock.h"
#include "cli/live.h"
#include "cli/text.h"

enum { OPT_JSON = 256, OPT_INTERVAL, OPT_SECONDS, OPT_COUNT };

static const char about[] =
	"Shows the hosts of a cluster as a router sees them, live: roles, timelines, lag, "
	"breakers, events, and whether reads and writes are served, by trying a checkout of each "
	"ten times a second. It sends no SQL of its own but the router's probes. On a terminal it "
	"redraws; else it prints a line for each change. Ctrl-C ends it.";

static const struct cli_option flags[] = {
	{"interval", OPT_INTERVAL, "S",
         "looks every S seconds (default 1), and whenever something happens", NULL},
	{"seconds", OPT_SECONDS, "S", "ends after S seconds", NULL},
	{"count", OPT_COUNT, "N", "ends after N looks", NULL},
	CLI_OPTION_SET,
	{"json", OPT_JSON, NULL, "a document a look, each on one line", NULL},
	{.name = NULL},
};

static const struct cli_ending endings[] = {
	{CLI_EXIT_OK, "it ended as it was told to, also by a signal"},
	{CLI_EXIT_USAGE, "wrong usage or configuration"},
	{CLI_EXIT_SYSTEM, "no thread or memory"},
	{CLI_EXIT_OUTPUT, "the output could not be written"},
	{0, NULL},
};

#define GOODBYE_MS 500
#define AT_MOST_NS (50 * CLI_MS) /* a picture so often at most, whatever happens */

/* ---- arguments ---- */

static void set_defaults(weir_options *options)
{
	weir_options_init(options);
	options->pool_min = 1;
	options->pool_max = 2;
	options->connect_timeout_ms = 2000;
	options->probe_interval_ms = 500;
	cli_copy(options->application_name, sizeof(options->application_name), "weir-watch");
}

static bool read_arg(struct cli_args *args, int got, struct cli_watch_plan *plan)
{
	switch (got) {
	case OPT_JSON:
		plan->json = true;
		return true;
	case OPT_INTERVAL:
		return cli_args_seconds(args, "interval", 0.01, 86400, &plan->interval_ns);
	case OPT_SECONDS:
		return cli_args_seconds(args, "seconds", 0.01, 86400, &plan->seconds_ns);
	default:
		return cli_args_int(args, "count", 1, INT32_MAX, &plan->count);
	}
}

static int read_args(struct cli_args *args, struct cli_watch_plan *plan)
{
	int got;

	while ((got = cli_args_next(args)) != CLI_ARG_END) {
		if (got == CLI_ARG_HELP || got == CLI_ARG_BAD)
			return got;
		if (!read_arg(args, got, plan))
			return CLI_ARG_BAD;
	}
	set_defaults(&plan->options);
	return cli_args_options(args, &plan->options) ? CLI_ARG_END : CLI_ARG_BAD;
}

/* ---- the loop ---- */

static bool on_terminal(const struct cli_watch_plan *plan)
{
	return !plan->json && cli_screen_is_there();
}

static void show(struct cli_watch *watch, bool screen)
{
	if (watch->plan->json)
		cli_watch_json(watch);
	else if (screen)
		cli_watch_screen(watch);
	else
		cli_watch_lines(watch);
}

static bool goes_on(const struct cli_watch *watch, int64_t looks)
{
	const struct cli_watch_plan *plan = watch->plan;

	return !cli_live_is_ended() && !ferror(stdout) && (!plan->count || looks < plan->count) &&
	       (!plan->seconds_ns || cli_now() - watch->begin_ns < plan->seconds_ns);
}

static int64_t next_look(const struct cli_watch *watch)
{
	int64_t next = watch->now.at_ns + watch->plan->interval_ns;
	int64_t end = watch->begin_ns + watch->plan->seconds_ns;

	return watch->plan->seconds_ns && end < next ? end : next;
}

static void loop(struct cli_watch *watch, bool screen)
{
	for (int64_t looks = 1;; looks++) {
		cli_watch_look(watch);
		show(watch, screen);
		if (!goes_on(watch, looks))
			break;
		cli_live_sleep(next_look(watch));
		/* What comes in a bunch is shown at once. */
		if (!cli_live_is_ended() && cli_now() - watch->now.at_ns < AT_MOST_NS)
			cli_sleep(AT_MOST_NS);
		if (cli_live_is_ended())
			break;
	}
}

static int watch_hosts(struct cli_watch *watch)
{
	bool screen = on_terminal(watch->plan);
	int result = CLI_EXIT_OK;

	/* The first picture is of hosts that have been asked. */
	if (weir_router_probe(watch->router, watch->plan->options.connect_timeout_ms) != WEIR_OK &&
	    cli_live_is_ended())
		return result;
	if (!cli_watch_try_begin(watch)) {
		result = CLI_EXIT_SYSTEM;
	} else {
		if (screen)
			cli_screen_begin(true);
		loop(watch, screen);
		if (screen)
			cli_watch_screen_end(watch);
	}
	cli_watch_try_end(watch);
	return result;
}

static int watch(const struct cli_args *args, struct cli_watch_plan *plan)
{
	static struct cli_watch w;
	weir_error error = {.status = WEIR_OK};
	int result;

	if (!cli_live_init()) {
		perror("weir watch");
		return CLI_EXIT_SYSTEM;
	}
	cli_live_hear_signals();
	w.plan = plan;
	w.begin_ns = cli_now();
	pthread_mutex_init(&w.lock, NULL);
	plan->options.on_event = cli_watch_tell;
	plan->options.on_event_arg = &w;
	if (weir_router_open(args->url, &plan->options, &w.router, &error) != WEIR_OK)
		return cli_refused(args->word, &error);
	result = watch_hosts(&w);
	weir_router_close(&w.router, GOODBYE_MS);
	cli_watch_look_fini(&w);
	return result;
}

static int run(const struct cli_word *word, int argc, char **argv)
{
	struct cli_watch_plan plan = {.interval_ns = CLI_S};
	struct cli_args args;
	int got, result;

	cli_args_init(&args, word, argc, argv);
	got = read_args(&args, &plan);
	result = got == CLI_ARG_END ? watch(&args, &plan) : cli_args_status(got);
	cli_args_fini(&args);
	return result;
}

const struct cli_word cli_word_watch = {
	.name = "watch",
	.brief = "the hosts of a cluster, live: roles, lag, events, who serves reads and writes",
	.operands = "[URL]",
	.max_operands = 1,
	.about = about,
	.options = flags,
	.endings = endings,
	.run = run,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `weir check`: opens a router, has every host probed, tries a read and a write checkout, and
 * tells.
 *
 * One deadline covers it all. Connects get half of it, so that a host that does not answer leaves
 * time for the others; the read checkout gets half of what the probes left, since a router without
 * a usable host waits.
 */
#include "cli/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/args.h"
#include "cli/clock.h"
#include "cli/probe.h"
#include "cli/text.h"

enum { OPT_JSON = 256, OPT_TIMEOUT };

static const char about[] =
	"Probes every host of the cluster and tries a read and a write checkout. Writes nothing. "
	"URL names all hosts (postgresql://app@h1,h2:5433/shop); without it the environment is "
	"asked.";

static const struct cli_option flags[] = {
	{"timeout-ms", OPT_TIMEOUT, "N", "all of it ends within N milliseconds (default 5000)",
         NULL},
	CLI_OPTION_SET,
	{"json", OPT_JSON, NULL, "one document for programs", NULL},
	{.name = NULL},
};

static const struct cli_ending endings[] = {
	{CLI_EXIT_OK, "all is well"},
	{CLI_EXIT_DEGRADED, "a host is unreachable, of unknown role, or no replica serves reads"},
	{CLI_EXIT_DOWN, "nothing can be written, or nothing is reachable"},
	{CLI_EXIT_USAGE, "wrong usage or configuration"},
	{CLI_EXIT_SYSTEM, "the system refused memory, a thread or a descriptor"},
	{CLI_EXIT_OUTPUT, "the output could not be written"},
	{0, NULL},
};

#define TIMEOUT_MS 5000
#define TIMEOUT_MS_MAX 3600000
#define GOODBYE_MS 500

struct request {
	weir_options options;
	int64_t timeout_ms;
	bool json;
};

/* What check itself prefers; environment and command line may say otherwise. */
static void set_defaults(weir_options *options, int64_t timeout_ms)
{
	weir_options_init(options);
	options->pool_min = 1;
	options->pool_max = 2;
	options->connect_timeout_ms = timeout_ms > 1 ? timeout_ms / 2 : 1;
	cli_copy(options->application_name, sizeof(options->application_name), "weir-check");
}

static int read_args(struct cli_args *args, struct request *request)
{
	int got;

	request->timeout_ms = TIMEOUT_MS;
	while ((got = cli_args_next(args)) != CLI_ARG_END) {
		if (got == CLI_ARG_HELP || got == CLI_ARG_BAD)
			return got;
		if (got == OPT_JSON)
			request->json = true;
		if (got == OPT_TIMEOUT &&
		    !cli_args_int(args, "timeout-ms", 1, TIMEOUT_MS_MAX, &request->timeout_ms))
			return CLI_ARG_BAD;
	}
	set_defaults(&request->options, request->timeout_ms);
	return cli_args_options(args, &request->options) ? CLI_ARG_END : CLI_ARG_BAD;
}

static int64_t ms_left(int64_t deadline)
{
	int64_t left = (deadline - cli_now()) / CLI_MS;

	return left > 0 ? left : 0;
}

static void try_checkout(weir_router *router, weir_intent intent, int64_t timeout_ms,
                         struct cli_trial *trial)
{
	weir_request request =
		WEIR_REQUEST(.intent = intent, .timeout_ms = timeout_ms ? timeout_ms : WEIR_NO_WAIT,
	                     .tag = "weir check");
	int64_t begin = cli_now();
	weir_conn *conn = NULL;

	trial->status = weir_checkout_with(router, &request, &conn, &trial->error);
	trial->wait_ns = cli_now() - begin;
	if (trial->status == WEIR_OK)
		trial->status = weir_conn_info_get(conn, &trial->info);
	weir_checkin(&conn);
}

static void look(weir_router *router, struct cli_findings *found)
{
	found->n_hosts = cli_hosts(router, found->hosts);
}

/*
 * Whether a host is still about to open its first connection, which is when it tells its timeouts.
 * A host that cannot be reached, or whose connect failed, will not tell more.
 */
static bool still_opening(const weir_host_stats *host)
{
	return host->reachable && host->pool.max > 0 && host->statement_timeout_ms < 0 &&
	       host->pool.opened == 0 && host->pool.connect_failures == 0;
}

static void await_settings(weir_router *router, struct cli_findings *found, int64_t deadline)
{
	bool waiting = true;

	while (waiting && ms_left(deadline) > 0) {
		waiting = false;
		look(router, found);
		for (size_t i = 0; i < found->n_hosts; i++)
			waiting |= still_opening(&found->hosts[i]);
		if (waiting)
			cli_sleep(5 * CLI_MS);
	}
}

static void examine(weir_router *router, struct cli_findings *found, bool keeps_some)
{
	int64_t deadline = cli_now() + found->timeout_ms * CLI_MS;

	found->hosts = cli_alloc(WEIR_HOSTS_MAX, sizeof(*found->hosts));
	found->all_probed = cli_probe(router, found->hosts, &found->n_hosts,
	                              deadline - found->timeout_ms / 4 * CLI_MS);
	try_checkout(router, WEIR_READ, ms_left(deadline) / 2, &found->read);
	try_checkout(router, WEIR_WRITE, ms_left(deadline), &found->write);
	if (keeps_some)
		await_settings(router, found, deadline);
	look(router, found);
}

static int check(const struct cli_args *args, const struct request *request)
{
	struct cli_findings found = {.timeout_ms = request->timeout_ms};
	weir_router *router = NULL;
	weir_error error = {.status = WEIR_OK};

	if (weir_router_open(args->url, &request->options, &router, &error) != WEIR_OK)
		return cli_refused(args->word, &error);
	examine(router, &found, request->options.pool_min > 0);
	weir_router_close(&router, GOODBYE_MS);
	cli_check_judge(&found);
	if (request->json)
		cli_check_print_json(&found);
	else
		cli_check_print(&found);
	free(found.hosts);
	return found.exit;
}

static int run(const struct cli_word *word, int argc, char **argv)
{
	struct cli_args args;
	struct request request = {.json = false};
	int got, result;

	cli_args_init(&args, word, argc, argv);
	got = read_args(&args, &request);
	result = got == CLI_ARG_END ? check(&args, &request) : cli_args_status(got);
	cli_args_fini(&args);
	return result;
}

const struct cli_word cli_word_check = {
	.name = "check",
	.brief = "look at every host of a cluster, with an exit status for scripts",
	.operands = "[URL]",
	.max_operands = 1,
	.about = about,
	.options = flags,
	.endings = endings,
	.run = run,
};

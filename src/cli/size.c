/* SPDX-License-Identifier: BSD-2-Clause */
/* `weir size`: how many connections a service needs. Its arguments, from the table to the plan. */
#include "cli/size.h"

#include <string.h>

#include "cli/clock.h"
#include "cli/queue.h"
#include "cli/text.h"

enum {
	OPT_RATE = 256,
	OPT_SERVICE,
	OPT_SERVICE_P99,
	OPT_SERVICE_CV,
	OPT_TARGET,
	OPT_PERCENTILE,
	OPT_READS,
	OPT_REPLICAS,
	OPT_PODS,
	OPT_SURGE,
	OPT_THREADS,
	OPT_MAX_CONNECTIONS,
	OPT_RESERVED,
	OPT_OTHERS,
	OPT_CORES,
	OPT_JSON,
	OPT_VIEW,
	OPT_FOR,
	OPT_DIRECTORY,
};

static const char about[] =
	"Says how many connections a service needs, from its rate and the time that a checkout "
	"keeps its connection, both measured at the busiest hour: how many are out on average is "
	"rate times time (Little's law); how many more it takes so that few wait, and how long, "
	"says Erlang's formula for one line before several servers, with the correction of Allen "
	"and Cunneen for times that vary more or less than exponential ones.\n"
	"\n"
	"With --view they are measured: a process that runs is looked at for a while, as by weir "
	"top, and its pods are taken to be alike. Look at its busiest hour.\n"
	"\n"
	"With a URL the servers are asked what they give and how many replicas there are; what an "
	"option says counts more. Without one nothing is opened, whatever the environment says. "
	"The lines at the end are for the environment of each pod.";

static const struct cli_option flags[] = {
	{"view", OPT_VIEW, "PROCESS",
         "measure rate, time, reads and replicas of this process: its number, one of its views "
         "(4711-2), or the name of its program or application",
         NULL},
	{"for", OPT_FOR, "SECONDS", "with --view: for so long (default 10)", NULL},
	{"directory", OPT_DIRECTORY, "PATH",
         "with --view: where processes draw, if their option view names a directory", "FILE"},
	{"rate", OPT_RATE, "N",
         "checkouts a second, of all pods together; needed where nothing is measured", NULL},
	{"service-ms", OPT_SERVICE, "MS",
         "how long a checkout keeps its connection, on average; needed where nothing is measured "
         "(weir bench and the hold times of the statistics tell)",
         NULL},
	{"service-p99-ms", OPT_SERVICE_P99, "MS", "the 99th percentile of that", NULL},
	{"service-cv", OPT_SERVICE_CV, "X",
         "or its standard deviation over its mean: 0 always the same, 1 exponential (default 1)",
         NULL},
	{"target-wait-ms", OPT_TARGET, "MS",
         "how long a checkout may wait (default: as long as it keeps its connection)", NULL},
	{"percentile", OPT_PERCENTILE, "P", "for this share of checkouts (default 99)", NULL},
	{"reads", OPT_READS, "PCT", "share of reads in percent (default 80)", NULL},
	{"replicas", OPT_REPLICAS, "N", "replicas that serve reads (default 0, or as found)", NULL},
	{"pods", OPT_PODS, "N", "processes of the service that run at once (default 1)", NULL},
	{"surge", OPT_SURGE, "N", "more of them while a new version is rolled out (default 0)",
         NULL},
	{"threads", OPT_THREADS, "N", "of each pod: no more connections than that are of use",
         NULL},
	{"max-connections", OPT_MAX_CONNECTIONS, "N", "of one server (default 100, or as found)",
         NULL},
	{"reserved", OPT_RESERVED, "N",
         "of them kept for superusers and the like (default 3, or as found)", NULL},
	{"others", OPT_OTHERS, "N", "of them for other services and people (default 0)", NULL},
	{"cores", OPT_CORES, "N", "of one server, for a warning", NULL},
	CLI_OPTION_SET,
	{"json", OPT_JSON, NULL, "one document for programs", NULL},
	{.name = NULL},
};

static const struct cli_ending endings[] = {
	{CLI_EXIT_OK, "what is recommended serves the load, and the servers have it"},
	{CLI_EXIT_DEGRADED, "it does not; the warnings say why"},
	{CLI_EXIT_DOWN, "the servers could not be asked"},
	{CLI_EXIT_USAGE, "wrong usage or configuration"},
	{CLI_EXIT_UNAVAILABLE, "there is no such process to look into, or it does nothing"},
	{CLI_EXIT_SYSTEM, "the system refused memory, a thread or a descriptor"},
	{CLI_EXIT_OUTPUT, "the output could not be written"},
	{0, NULL},
};

#define MOST 1000000
#define DAY_MS 86400000.0

struct given {
	double rate, service_ms, p99_ms, cv, target_ms, percentile;
	const char *process, *directory; /* NULL: none, the usual one */
	int64_t watch_ns;
};

static bool take_real(const struct cli_args *args, int option, struct given *given)
{
	switch (option) {
	case OPT_RATE:
		return cli_args_real(args, "rate", 0.001, 1e8, &given->rate);
	case OPT_SERVICE:
		return cli_args_real(args, "service-ms", 0.0001, DAY_MS, &given->service_ms);
	case OPT_SERVICE_P99:
		return cli_args_real(args, "service-p99-ms", 0.0001, DAY_MS, &given->p99_ms);
	case OPT_SERVICE_CV:
		return cli_args_real(args, "service-cv", 0, 100, &given->cv);
	case OPT_TARGET:
		return cli_args_real(args, "target-wait-ms", 0, DAY_MS, &given->target_ms);
	default:
		return cli_args_real(args, "percentile", 1, 99.9999, &given->percentile);
	}
}

static bool take(const struct cli_args *args, int option, struct cli_size_plan *plan,
                 struct given *given)
{
	switch (option) {
	case OPT_READS:
		return cli_args_int(args, "reads", 0, 100, &plan->reads_pct);
	case OPT_REPLICAS:
		return cli_args_int(args, "replicas", 0, 1000, &plan->replicas);
	case OPT_PODS:
		return cli_args_int(args, "pods", 1, 100000, &plan->pods);
	case OPT_SURGE:
		return cli_args_int(args, "surge", 0, 100000, &plan->surge);
	case OPT_THREADS:
		return cli_args_int(args, "threads", 1, MOST, &plan->threads);
	case OPT_MAX_CONNECTIONS:
		return cli_args_int(args, "max-connections", 1, MOST, &plan->max_connections);
	case OPT_RESERVED:
		return cli_args_int(args, "reserved", 0, MOST, &plan->reserved);
	case OPT_OTHERS:
		return cli_args_int(args, "others", 0, MOST, &plan->others);
	case OPT_CORES:
		return cli_args_int(args, "cores", 1, 100000, &plan->cores);
	case OPT_JSON:
		return plan->json = true;
	case OPT_VIEW:
		given->process = optarg;
		return true;
	case OPT_DIRECTORY:
		given->directory = optarg;
		return true;
	case OPT_FOR:
		return cli_args_seconds(args, "for", 0.5, 86400, &given->watch_ns);
	default:
		return take_real(args, option, given);
	}
}

/* What was not said is what the process does; an exit status. */
static int measure(const struct cli_args *args, struct given *given, struct cli_size_plan *plan)
{
	struct cli_size_measured *m = &plan->measured;
	int result = cli_size_watch(args, given->process, given->directory, given->watch_ns, m);

	if (result != CLI_EXIT_OK)
		return result;
	if (given->rate <= 0)
		given->rate = m->rate * (double)plan->pods;
	if (given->service_ms <= 0)
		given->service_ms = 1e3 * m->out / m->rate;
	if (plan->reads_pct == CLI_SIZE_UNKNOWN)
		plan->reads_pct = m->reads_pct;
	if (plan->replicas == CLI_SIZE_UNKNOWN && m->router)
		plan->replicas = m->replicas;
	return CLI_EXIT_OK;
}

/* From what was given to what is summed up. false: a message was printed. */
static bool conclude(const struct cli_args *args, const struct given *given,
                     struct cli_size_plan *plan)
{
	if (given->rate <= 0 || given->service_ms <= 0) {
		cli_usage(args->word,
		          "--rate and --service-ms are needed: how often connections are "
		          "taken, and for how long; or --view, to measure them");
		return false;
	}
	if (given->p99_ms > 0 && given->cv >= 0) {
		cli_usage(args->word, "--service-p99-ms or --service-cv, not both");
		return false;
	}
	if (given->p99_ms > 0 && given->p99_ms < given->service_ms) {
		cli_usage(args->word, "--service-p99-ms is less than the mean, --service-ms");
		return false;
	}
	plan->rate = given->rate;
	plan->service_s = given->service_ms / 1e3;
	plan->cv = given->cv >= 0 ? given->cv : 1;
	if (given->p99_ms > 0)
		plan->cv = cli_cv_of_p99(given->p99_ms / given->service_ms);
	plan->long_tail = given->p99_ms > 14.97 * given->service_ms;
	plan->target_s = (given->target_ms >= 0 ? given->target_ms : given->service_ms) / 1e3;
	plan->share = given->percentile / 100;
	return true;
}

static void assume(int64_t *value, int64_t usual)
{
	if (*value == CLI_SIZE_UNKNOWN)
		*value = usual;
}

static int size_up(const struct cli_args *args, struct cli_size_plan *plan)
{
	static struct cli_size size;
	weir_options options;
	int result = CLI_EXIT_OK;

	weir_options_init(&options);
	options.pool_min = 0;
	options.pool_max = 2;
	cli_copy(options.application_name, sizeof(options.application_name), "weir-size");
	if (!cli_args_options(args, &options))
		return CLI_EXIT_USAGE;
	if (args->url)
		result = cli_size_ask(args, &options, plan);
	if (result != CLI_EXIT_OK)
		return result;
	assume(&plan->reads_pct, 80);
	assume(&plan->replicas, 0);
	assume(&plan->max_connections, 100);
	assume(&plan->reserved, 3);
	cli_size_sums(plan, &size);
	if (plan->json)
		cli_size_print_json(&size);
	else
		cli_size_print(&size);
	return size.enough ? CLI_EXIT_OK : CLI_EXIT_DEGRADED;
}

static int run(const struct cli_word *word, int argc, char **argv)
{
	struct cli_size_plan plan = {
		.reads_pct = CLI_SIZE_UNKNOWN,
		.pods = 1,
		.replicas = CLI_SIZE_UNKNOWN,
		.max_connections = CLI_SIZE_UNKNOWN,
		.reserved = CLI_SIZE_UNKNOWN,
		.in_use = CLI_SIZE_UNKNOWN,
	};
	struct given given = {.cv = -1, .target_ms = -1, .percentile = 99, .watch_ns = 10 * CLI_S};
	struct cli_args args;
	int got, result;

	cli_args_init(&args, word, argc, argv);
	while ((got = cli_args_next(&args)) >= 256 && take(&args, got, &plan, &given))
		continue;
	if (got != CLI_ARG_END)
		result = cli_args_status(got);
	else
		result = given.process ? measure(&args, &given, &plan) : CLI_EXIT_OK;
	if (got == CLI_ARG_END && result == CLI_EXIT_OK)
		result = conclude(&args, &given, &plan) ? size_up(&args, &plan) : CLI_EXIT_USAGE;
	cli_args_fini(&args);
	return result;
}

const struct cli_word cli_word_size = {
	.name = "size",
	.brief = "how many connections a service needs, from its rate and times",
	.operands = "[URL]",
	.max_operands = 1,
	.about = about,
	.options = flags,
	.endings = endings,
	.run = run,
};

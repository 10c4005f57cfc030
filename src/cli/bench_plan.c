/* SPDX-License-Identifier: BSD-2-Clause */
/* The arguments of `weir bench`, from its help to the plan. */
#include <getopt.h>
#include <string.h>

#include "cli/args.h"
#include "cli/bench.h"
#include "cli/clock.h"
#include "cli/text.h"

enum {
	OPT_THREADS = 256,
	OPT_DURATION,
	OPT_READS,
	OPT_HOLD,
	OPT_POOL_MAX,
	OPT_POOL_MIN,
	OPT_SQL_READ,
	OPT_SQL_WRITE,
	OPT_WRITE,
	OPT_WRITE_TABLE,
	OPT_WRITE_SCHEMA,
	OPT_PER_REQUEST,
	OPT_TIMEOUT,
	OPT_SEED,
	OPT_QUIET,
	OPT_JSON,
};

static const struct option longs[] = {
	CLI_ARG_ROWS,
	CLI_ARG_SET_ROW,
	{"threads", required_argument, NULL, OPT_THREADS},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"reads", required_argument, NULL, OPT_READS},
	{"hold-us", required_argument, NULL, OPT_HOLD},
	{"pool-max", required_argument, NULL, OPT_POOL_MAX},
	{"pool-min", required_argument, NULL, OPT_POOL_MIN},
	{"sql-read", required_argument, NULL, OPT_SQL_READ},
	{"sql-write", required_argument, NULL, OPT_SQL_WRITE},
	{"write", no_argument, NULL, OPT_WRITE},
	{"write-table", required_argument, NULL, OPT_WRITE_TABLE},
	{"write-schema", required_argument, NULL, OPT_WRITE_SCHEMA},
	{"per-request", no_argument, NULL, OPT_PER_REQUEST},
	{"timeout-ms", required_argument, NULL, OPT_TIMEOUT},
	{"seed", required_argument, NULL, OPT_SEED},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"json", no_argument, NULL, OPT_JSON},
	{NULL, 0, NULL, 0},
};

static const char help_text[] =
	"weir bench [URL] [OPTION]...\n"
	"\n"
	"Worker threads take a connection, run a statement and give it back, as fast as they can.\n"
	"URL names all hosts (postgresql://app@h1,h2:5433/shop); without it the environment is asked.\n"
	"\n"
	"  --threads N            worker threads (default 8)\n"
	"  --duration S           seconds (default 10)\n"
	"  --reads PCT            share of reads in percent (default 80)\n"
	"  --hold-us N            keep each connection so long after its answer (default 0)\n"
	"  --pool-max N           connections to one host, at most\n"
	"  --pool-min N           connections kept open\n"
	"  --sql-read SQL         what a read runs (default SELECT 1)\n"
	"  --sql-write SQL        what a write runs\n"
	"  --write                writes are transactions that touch no table\n"
	"  --write-table NAME     writes are inserts of default values into this table\n"
	"  --write-schema NAME    writes go to a new schema, dropped at the end\n"
	"                         (without any of these a write is a SELECT 1 on the primary)\n"
	"  --per-request          connect for each request by plain libpq, for comparison\n"
	"  --timeout-ms N         longest wait for a connection (default 5000)\n"
	"  --seed N               of the chance that tells reads from writes (default 1)\n"
	"  --set NAME=VALUE       any option of weir's, see: weir options\n"
	"  --quiet                no progress\n"
	"  --json                 one document for programs\n"
	"\n"
	"Exit status: 0 all went well; 1 some requests failed; 2 none succeeded; 64 wrong usage;\n"
	"128 and the signal's number after a signal. Ctrl-C ends the run early, with the table.\n";

/* Tells the three ways to write apart; --write beside any of them adds nothing. */
static int choose_writes(const struct cli_args *args, struct cli_plan *plan, enum cli_writes writes)
{
	if (plan->writes != CLI_WRITES_NOTHING && plan->writes != CLI_WRITES_XID &&
	    writes != CLI_WRITES_XID) {
		cli_usage(args->word,
		          "--write-table, --write-schema and --sql-write exclude each other");
		return CLI_ARG_BAD;
	}
	if (plan->writes == CLI_WRITES_NOTHING || plan->writes == CLI_WRITES_XID)
		plan->writes = writes;
	return CLI_ARG_END;
}

static int take_write(const struct cli_args *args, struct cli_plan *plan, int option)
{
	if (option != OPT_WRITE && !*optarg) {
		cli_usage(args->word, "an empty name or statement writes nothing");
		return CLI_ARG_BAD;
	}
	switch (option) {
	case OPT_SQL_WRITE:
		plan->sql_write = optarg;
		return choose_writes(args, plan, CLI_WRITES_SQL);
	case OPT_WRITE_TABLE:
		plan->table = optarg;
		return choose_writes(args, plan, CLI_WRITES_TABLE);
	case OPT_WRITE_SCHEMA:
		plan->schema = optarg;
		if (strlen(optarg) < 64)
			return choose_writes(args, plan, CLI_WRITES_SCHEMA);
		cli_usage(args->word, "--write-schema takes a name of at most 63 bytes");
		return CLI_ARG_BAD;
	default:
		return choose_writes(args, plan, CLI_WRITES_XID);
	}
}

static bool take_duration(const struct cli_args *args, struct cli_plan *plan)
{
	if (cli_parse_seconds(optarg, &plan->duration_ns) && plan->duration_ns >= CLI_S / 10 &&
	    plan->duration_ns <= 86400 * CLI_S)
		return true;
	cli_usage(args->word, "--duration takes seconds from 0.1 to 86400");
	return false;
}

/* One option; false: a message was printed. */
static bool take(struct cli_args *args, struct cli_plan *plan, int option)
{
	switch (option) {
	case OPT_THREADS:
		return cli_args_int(args, "threads", 1, 1024, &plan->threads);
	case OPT_DURATION:
		return take_duration(args, plan);
	case OPT_READS:
		return cli_args_int(args, "reads", 0, 100, &plan->reads_pct);
	case OPT_HOLD:
		return cli_args_int(args, "hold-us", 0, 60000000, &plan->hold_us);
	case OPT_SEED:
		return cli_args_int(args, "seed", 0, INT64_MAX, &plan->seed);
	case OPT_POOL_MAX:
		cli_args_set(args, "pool_max", optarg);
		return true;
	case OPT_POOL_MIN:
		cli_args_set(args, "pool_min", optarg);
		return true;
	case OPT_TIMEOUT:
		cli_args_set(args, "checkout_timeout_ms", optarg);
		return true;
	case OPT_SQL_READ:
		plan->sql_read = optarg;
		return true;
	case OPT_PER_REQUEST:
		plan->per_request = true;
		return true;
	case OPT_QUIET:
		plan->quiet = true;
		return true;
	case OPT_JSON:
		plan->json = true;
		return true;
	default:
		return take_write(args, plan, option) == CLI_ARG_END;
	}
}

static int read_args(struct cli_args *args, struct cli_plan *plan)
{
	int got;

	*plan = (struct cli_plan){
		.threads = 8, .reads_pct = 80, .duration_ns = 10 * CLI_S, .seed = 1};
	weir_options_init(&plan->options);
	plan->options.checkout_timeout_ms = 5000;
	cli_copy(plan->options.application_name, sizeof(plan->options.application_name),
	         "weir-bench");
	while ((got = cli_args_next(args, 1)) != CLI_ARG_END) {
		if (got == CLI_ARG_HELP || got == CLI_ARG_BAD)
			return got;
		if (!take(args, plan, got))
			return CLI_ARG_BAD;
	}
	plan->url = args->url;
	return cli_args_options(args, &plan->options) ? CLI_ARG_END : CLI_ARG_BAD;
}

static int run(const struct cli_word *word, int argc, char **argv)
{
	struct cli_args args;
	struct cli_plan plan;
	int got, result;

	cli_args_init(&args, word, longs, argc, argv);
	got = read_args(&args, &plan);
	if (got == CLI_ARG_HELP)
		result = CLI_EXIT_OK;
	else if (got == CLI_ARG_BAD)
		result = CLI_EXIT_USAGE;
	else
		result = cli_bench_run(word, &plan);
	cli_args_fini(&args);
	return result;
}

const struct cli_word cli_word_bench = {
	.name = "bench",
	.brief = "load from many threads: who served what, how fast, what failed",
	.help = help_text,
	.run = run,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* The arguments of `weir bench`, from its help to the plan. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	OPT_SVG,
	OPT_SAVE,
	OPT_COMPARE,
};

static const char about[] =
	"Worker threads take a connection, run a statement and give it back, as fast as they can. "
	"URL names all hosts (postgresql://app@h1,h2:5433/shop); without it the environment is "
	"asked. Ctrl-C ends the run early, with the table.\n"
	"\n"
	"Without any option that says what a write is, it is a SELECT 1 on the primary.";

static const struct cli_option flags[] = {
	{"threads", OPT_THREADS, "N", "worker threads (default 8)", NULL},
	{"duration", OPT_DURATION, "S", "seconds (default 10)", NULL},
	{"reads", OPT_READS, "PCT", "share of reads in percent (default 80)", NULL},
	{"hold-us", OPT_HOLD, "N", "keep each connection so long after its answer (default 0)",
         NULL},
	{"pool-max", OPT_POOL_MAX, "N", "connections to one host, at most", NULL},
	{"pool-min", OPT_POOL_MIN, "N", "connections kept open", NULL},
	{"sql-read", OPT_SQL_READ, "SQL", "what a read runs (default SELECT 1)", NULL},
	{"sql-write", OPT_SQL_WRITE, "SQL", "what a write runs", NULL},
	{"write", OPT_WRITE, NULL, "writes are transactions that touch no table", NULL},
	{"write-table", OPT_WRITE_TABLE, "NAME",
         "writes are inserts of default values into this table", NULL},
	{"write-schema", OPT_WRITE_SCHEMA, "NAME", "writes go to a new schema, dropped at the end",
         NULL},
	{"per-request", OPT_PER_REQUEST, NULL,
         "connect for each request by plain libpq, for comparison", NULL},
	{"timeout-ms", OPT_TIMEOUT, "N", "longest wait for a connection (default 5000)", NULL},
	{"seed", OPT_SEED, "N", "of the chance that tells reads from writes (default 1)", NULL},
	CLI_OPTION_SET,
	{"quiet", OPT_QUIET, NULL, "no progress", NULL},
	{"json", OPT_JSON, NULL, "one document for programs", NULL},
	{"svg", OPT_SVG, "FILE", "draws latencies by percentile, and rates over time", "FILE"},
	{"save", OPT_SAVE, "FILE", "keeps the run, for --compare", "FILE"},
	{"compare", OPT_COMPARE, NULL,
         "runs nothing: tells two kept runs apart, bench --compare A B, and draws both with --svg",
         "FILE"},
	{.name = NULL},
};

static const struct cli_ending endings[] = {
	{CLI_EXIT_OK, "all went well"},
	{CLI_EXIT_DEGRADED, "some requests failed"},
	{CLI_EXIT_DOWN, "none succeeded"},
	{CLI_EXIT_USAGE, "wrong usage or configuration; nothing was opened"},
	{CLI_EXIT_DATA, "a file of --compare is no kept run"},
	{CLI_EXIT_NO_INPUT, "a file of --compare could not be read"},
	{CLI_EXIT_SYSTEM, "the system refused memory, a thread or a descriptor"},
	{CLI_EXIT_OUTPUT, "the output could not be written"},
	{CLI_EXIT_SIGNAL, "and the signal's number, after a signal and its table: 130 for Ctrl-C"},
	{0, NULL},
};

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

/* One option; false: a message was printed. */
static bool take(struct cli_args *args, struct cli_plan *plan, int option)
{
	switch (option) {
	case OPT_THREADS:
		return cli_args_int(args, "threads", 1, 1024, &plan->threads);
	case OPT_DURATION:
		return cli_args_seconds(args, "duration", 0.1, 86400, &plan->duration_ns);
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
	case OPT_SVG:
		plan->svg_name = optarg;
		return true;
	case OPT_SAVE:
		plan->save_name = optarg;
		return true;
	case OPT_COMPARE:
		plan->compare = true;
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
	while ((got = cli_args_next(args)) != CLI_ARG_END) {
		if (got == CLI_ARG_HELP || got == CLI_ARG_BAD)
			return got;
		if (!take(args, plan, got))
			return CLI_ARG_BAD;
	}
	if (args->n_operands != 2 && plan->compare) {
		cli_usage(args->word, "--compare takes two files that --save has written");
		return CLI_ARG_BAD;
	}
	if (args->n_operands == 2 && !plan->compare) {
		cli_usage(args->word, "one connection string at most, and 2 were given");
		return CLI_ARG_BAD;
	}
	if (plan->compare)
		return CLI_ARG_END;
	plan->url = args->url;
	return cli_args_options(args, &plan->options) ? CLI_ARG_END : CLI_ARG_BAD;
}

void cli_plan_about(const struct cli_plan *plan, char *text, size_t room)
{
	char hold[CLI_SHORT], held[64] = "";

	if (plan->hold_us)
		snprintf(held, sizeof(held), ", held for %s",
		         cli_duration(hold, plan->hold_us * 1000));
	snprintf(text, room,
	         "%" PRId64 " threads, %" PRId64 " %% reads, pool_max %" PRId64 "%s, %s",
	         plan->threads, plan->reads_pct, plan->options.pool_max, held,
	         plan->per_request ? "a connect for each" : "pooled");
}

/* Files are opened before the load begins: nobody waits for a result that has no place. */
static bool open_file(const struct cli_word *word, const char *name, FILE **file)
{
	if (!name)
		return true;
	*file = fopen(name, "we");
	if (!*file)
		fprintf(stderr, "weir %s: %s cannot be written: %s\n", word->name, name,
		        strerror(errno));
	return *file;
}

/* Says whether all of it arrived; what is empty is taken away. */
static bool close_file(const struct cli_word *word, const char *name, FILE *file)
{
	bool bad, empty;

	if (!file)
		return true;
	empty = ftell(file) == 0;
	bad = ferror(file);
	bad |= fclose(file) != 0;
	if (empty)
		(void)unlink(name);
	if (bad)
		fprintf(stderr, "weir %s: %s could not be written\n", word->name, name);
	return !bad;
}

static int compare(const struct cli_plan *plan, const struct cli_args *args)
{
	struct cli_run *runs = cli_alloc(2, sizeof(*runs));
	const struct cli_run *const both[] = {&runs[0], &runs[1]};
	int result = CLI_EXIT_OK;

	for (int i = 0; i < 2 && result == CLI_EXIT_OK; i++)
		result = cli_run_load(args->operands[i], &runs[i]);
	if (result == CLI_EXIT_OK)
		result = cli_runs_compare(both[0], both[1], plan->json);
	if (result == CLI_EXIT_OK && plan->svg)
		cli_run_draw(both, 2, plan->svg);
	free(runs);
	return result;
}

static int obey(const struct cli_args *args, struct cli_plan *plan)
{
	const struct cli_word *word = args->word;
	int result = CLI_EXIT_OUTPUT;
	bool written;

	if (open_file(word, plan->svg_name, &plan->svg) &&
	    open_file(word, plan->save_name, &plan->save))
		result = plan->compare ? compare(plan, args) : cli_bench_run(word, plan);
	written = close_file(word, plan->svg_name, plan->svg);
	written &= close_file(word, plan->save_name, plan->save);
	return written || result != CLI_EXIT_OK ? result : CLI_EXIT_OUTPUT;
}

static int run(const struct cli_word *word, int argc, char **argv)
{
	struct cli_args args;
	struct cli_plan plan;
	int got, result;

	cli_args_init(&args, word, argc, argv);
	got = read_args(&args, &plan);
	result = got == CLI_ARG_END ? obey(&args, &plan) : cli_args_status(got);
	cli_args_fini(&args);
	return result;
}

const struct cli_word cli_word_bench = {
	.name = "bench",
	.brief = "load from many threads: who served what, how fast, what failed",
	.operands = "[URL]",
	.max_operands = 2,
	.among = "FILE",
	.about = about,
	.options = flags,
	.endings = endings,
	.run = run,
};

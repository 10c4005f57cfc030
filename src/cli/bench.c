/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `weir bench`: many threads, each taking connections, running statements and giving them back;
 * then a table.
 *
 * The main thread alone hears signals (they are blocked while other threads are made, so that these
 * inherit that), sets `stop` when the time is over or a signal came, and gives requests that wait a
 * second more. Ending costs at most that, the library's goodbye, and the schema's drop.
 */
#include "cli/bench.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/clock.h"
#include "cli/probe.h"
#include "cli/text.h"
#include "cli/word.h"

#define GRACE_NS CLI_S        /* for requests that wait when the time is over */
#define TICK_NS (50 * CLI_MS) /* how often the main thread looks at clock and signals */
#define GOODBYE_MS 2000
#define SIGNALS_MAX 3 /* the third one ends the process at once */

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

/* Lock-free atomics are what C11 lets a handler share with other threads. */
static atomic_int caught, times_caught;

static void on_signal(int number)
{
	int none = 0;

	atomic_compare_exchange_strong(&caught, &none, number); /* the first one is what ended us */
	if (atomic_fetch_add(&times_caught, 1) + 1 >= SIGNALS_MAX)
		_Exit(CLI_EXIT_SIGNAL + number);
}

static void block_signals(bool block)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/* Keeps names and roles; returns how many hosts are reachable. */
static size_t note_hosts(struct cli_bench *bench, const weir_host_stats *stats)
{
	size_t reachable = 0;

	for (size_t i = 0; i < bench->n_hosts; i++) {
		cli_copy(bench->hosts[i].host, sizeof(bench->hosts[i].host), stats[i].host);
		bench->hosts[i].role = stats[i].role;
		reachable += stats[i].reachable;
	}
	return reachable;
}

static void say_unreachable(const weir_host_stats *stats, size_t n_hosts)
{
	for (size_t i = 0; i < n_hosts; i++)
		fprintf(stderr, "weir bench: %s cannot be reached: %s\n", stats[i].host,
		        *stats[i].last_error ? stats[i].last_error : "no answer in time");
}

static void say_failed(const char *what, const weir_error *error)
{
	fprintf(stderr, "weir bench: %s: %s: %s\n", what, weir_status_name(error->status),
	        *error->text ? error->text : weir_status_text(error->status));
}

/* Finds out who is who. */
static int meet_hosts(struct cli_bench *bench)
{
	int64_t limit_ms = bench->plan->options.connect_timeout_ms;
	weir_host_stats *stats;
	size_t reachable;

	bench->hosts = cli_alloc(WEIR_HOSTS_MAX, sizeof(*bench->hosts));
	stats = cli_alloc(WEIR_HOSTS_MAX, sizeof(*stats));
	if (!cli_probe(bench->router, stats, &bench->n_hosts, cli_now() + limit_ms * CLI_MS) &&
	    !bench->plan->quiet)
		fprintf(stderr, "weir bench: not every host answered within %" PRId64 " ms\n",
		        limit_ms);
	reachable = note_hosts(bench, stats);
	if (!reachable)
		say_unreachable(stats, bench->n_hosts);
	free(stats);
	return reachable ? CLI_EXIT_OK : CLI_EXIT_DOWN;
}

/* The roles as they are when the load is over. */
static void look_again(struct cli_bench *bench)
{
	weir_host_stats *stats;

	if (!bench->router)
		return;
	stats = cli_alloc(bench->n_hosts, sizeof(*stats));
	weir_router_stats_get(bench->router, stats, bench->n_hosts);
	note_hosts(bench, stats);
	free(stats);
}

/* Finds out what a connect needs, if each request is to have its own; the router is done then. */
static int learn_connects(struct cli_bench *bench)
{
	weir_error error = {.status = WEIR_OK};

	if (!bench->plan->per_request)
		return CLI_EXIT_OK;
	if (cli_direct_find(bench, &error) != WEIR_OK) {
		say_failed("no connection to learn from", &error);
		return CLI_EXIT_DOWN;
	}
	weir_router_close(&bench->router, GOODBYE_MS);
	return CLI_EXIT_OK;
}

static int prepare(struct cli_bench *bench)
{
	int result = meet_hosts(bench);

	return result == CLI_EXIT_OK ? learn_connects(bench) : result;
}

/* Keeps text of its own for the write, with room for any name. */
static void choose_sql(struct cli_bench *bench)
{
	const struct cli_plan *plan = bench->plan;
	size_t room = 64 + (plan->table ? strlen(plan->table) : 0);

	bench->sql[WEIR_READ] = plan->sql_read ? plan->sql_read : "SELECT 1";
	switch (plan->writes) {
	case CLI_WRITES_NOTHING:
	case CLI_WRITES_SCHEMA: /* the schema's own file says it once the schema is there */
		bench->sql[WEIR_WRITE] = "SELECT 1";
		break;
	case CLI_WRITES_XID:
		bench->sql[WEIR_WRITE] = "SELECT pg_catalog.txid_current()";
		break;
	case CLI_WRITES_SQL:
		bench->sql[WEIR_WRITE] = plan->sql_write;
		break;
	case CLI_WRITES_TABLE:
		bench->write_text = cli_alloc(room, 1);
		snprintf(bench->write_text, room, "INSERT INTO %s DEFAULT VALUES", plan->table);
		bench->sql[WEIR_WRITE] = bench->write_text;
		break;
	}
}

static bool start_workers(struct cli_bench *bench)
{
	bench->workers = aligned_alloc(_Alignof(struct cli_worker),
	                               (size_t)bench->plan->threads * sizeof(*bench->workers));
	if (!bench->workers)
		return false;
	memset(bench->workers, 0, (size_t)bench->plan->threads * sizeof(*bench->workers));
	block_signals(true);
	for (; bench->n_workers < (size_t)bench->plan->threads; bench->n_workers++) {
		struct cli_worker *worker = &bench->workers[bench->n_workers];

		worker->bench = bench;
		worker->turn = bench->n_workers;
		/*
		 * Neighbouring seeds far apart, and never zero, which this generator would never
		 * leave.
		 */
		worker->rng = ((uint64_t)bench->plan->seed * 4096 + bench->n_workers + 1) *
		              UINT64_C(0x9E3779B97F4A7C15);
		worker->cells = cli_alloc(bench->n_hosts * CLI_INTENTS, sizeof(struct cli_cell *));
		if (bench->slices)
			worker->slice = cli_alloc(1, sizeof(*worker->slice));
		if (pthread_create(&worker->thread, NULL, cli_worker_main, worker)) {
			free(worker->cells);
			free(worker->slice);
			break;
		}
	}
	block_signals(false);
	return bench->n_workers == (size_t)bench->plan->threads;
}

static void stop_workers(struct cli_bench *bench)
{
	atomic_store(&bench->last_call, cli_now() + GRACE_NS);
	atomic_store(&bench->stop, true);
	for (size_t i = 0; i < bench->n_workers; i++)
		pthread_join(bench->workers[i].thread, NULL);
	bench->end_ns = cli_now();
}

static void free_workers(struct cli_bench *bench)
{
	for (size_t i = 0; i < bench->n_workers; i++) {
		struct cli_worker *worker = &bench->workers[i];

		for (size_t c = 0; c < bench->n_hosts * CLI_INTENTS; c++)
			free(worker->cells[c]);
		free(worker->cells);
		free(worker->slice);
		free(worker->complaints.at);
	}
	free(bench->workers);
}

/* false: the system would not give the threads. */
static bool load(struct cli_bench *bench)
{
	struct cli_progress progress;
	bool started;

	bench->begin_ns = cli_now();
	if (bench->plan->svg || bench->plan->save)
		bench->slices = cli_slices_create(bench->begin_ns, bench->plan->duration_ns);
	atomic_store(&bench->last_call, bench->begin_ns + bench->plan->duration_ns + GRACE_NS);
	cli_progress_begin(&progress, bench);
	started = start_workers(bench);
	while (started && cli_now() < bench->begin_ns + bench->plan->duration_ns &&
	       !atomic_load(&caught)) {
		cli_sleep(TICK_NS);
		cli_progress_tick(&progress, bench);
	}
	stop_workers(bench);
	cli_progress_end(&progress);
	return started;
}

static int run_load(struct cli_bench *bench)
{
	weir_error error = {.status = WEIR_OK};
	bool started;

	if (bench->plan->writes == CLI_WRITES_SCHEMA &&
	    cli_schema_create(bench, &error) != WEIR_OK) {
		say_failed("the schema could not be created", &error);
		cli_schema_finish(bench);
		return CLI_EXIT_DOWN;
	}
	started = load(bench);
	cli_schema_finish(bench);
	bench->signal = atomic_load(&caught);
	if (!started) {
		fprintf(stderr, "weir bench: the system refused a thread after %zu\n",
		        bench->n_workers);
		return CLI_EXIT_SYSTEM;
	}
	look_again(bench);
	return cli_bench_report(bench);
}

int cli_bench_run(const struct cli_word *word, const struct cli_plan *plan)
{
	struct cli_bench bench = {.plan = plan, .last_call = INT64_MAX};
	weir_error error = {.status = WEIR_OK};
	int result;
	weir_status status;

	/* Our output may go away before the schema is dropped: then the exit status tells. */
	cli_hear_signals(signals, sizeof(signals) / sizeof(signals[0]), on_signal);
	block_signals(true); /* for the keeper to inherit */
	status = weir_router_open(plan->url, &plan->options, &bench.router, &error);
	block_signals(false);
	if (status != WEIR_OK)
		return cli_refused(word, &error);
	choose_sql(&bench);
	result = prepare(&bench);
	if (result == CLI_EXIT_OK)
		result = atomic_load(&caught) ? CLI_EXIT_SIGNAL + atomic_load(&caught)
		                              : run_load(&bench);
	weir_router_close(&bench.router, GOODBYE_MS);
	free_workers(&bench);
	cli_slices_destroy(bench.slices);
	cli_direct_free(&bench);
	free(bench.hosts);
	free(bench.write_text);
	return result;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `weir bench` between its files: what is asked (plan), what runs (bench, worker), what was seen
 * (cell, complaint).
 *
 *   bench_plan.c       the arguments
 *   bench.c            starts and ends the run
 *   bench_link.c       how a request gets its connection: from the router, or by its own connect
 *   bench_worker.c     the loop of a worker
 *   bench_schema.c     the schema that real writes go to
 *   bench_progress.c   the line while it runs
 *   bench_report.c     the table and the document at the end
 *   bench_run.h        a run as it is kept: drawn, saved, compared
 *
 * Access key: (c) constant while workers run; (w) its worker alone, the main thread after the join;
 * (a) atomic.
 */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <libpq-fe.h>
#include <weir/weir.h>

#include "cli/bench_run.h"
#include "cli/hist.h"
#include "cli/query.h"
#include "cli/word.h"

#define CLI_NO_HOST ((size_t)-1)

enum cli_writes {
	CLI_WRITES_NOTHING,
	CLI_WRITES_XID,
	CLI_WRITES_TABLE,
	CLI_WRITES_SCHEMA,
	CLI_WRITES_SQL
};

/* What the command line asked for. */
struct cli_plan {
	const char *url;
	weir_options options;
	int64_t threads;
	int64_t reads_pct;
	int64_t hold_us;
	int64_t duration_ns;
	int64_t seed;
	bool per_request;
	bool json;
	bool quiet;
	bool compare; /* two kept runs, instead of a load */
	enum cli_writes writes;
	const char *sql_read;  /* NULL: the default */
	const char *sql_write; /* NULL: by `writes` */
	const char *table;
	const char *schema;
	FILE *svg;  /* where the drawing goes, or NULL */
	FILE *save; /* where the run goes, or NULL */
	const char *svg_name, *save_name;
};

struct cli_bench_host {
	char host[WEIR_ERROR_HOST];
	weir_role role; /* (c) at the start; looked at again for the report */
};

/* How to reach one host by plain libpq: what the router's connection to it was made of. */
struct cli_direct {
	PQconninfoOption *info; /* holds the password */
	const char **keys;
	const char **values;
	size_t host;
	weir_role role;
};

/* Counts of one worker for one host and intent. */
struct cli_cell {
	uint64_t checkouts;
	uint64_t queries;   /* that succeeded */
	uint64_t failures;  /* queries that did not */
	uint64_t fallbacks; /* reads that the primary served for want of a replica */
	struct cli_hist wait;
	struct cli_hist query;
};

enum cli_during { CLI_DURING_CHECKOUT, CLI_DURING_QUERY };

/* One kind of failure and the first of its kind. */
struct cli_complaint {
	enum cli_during during;
	weir_intent intent;
	size_t host; /* or CLI_NO_HOST */
	uint64_t count;
	int64_t at_ns;
	weir_error first; /* its status is a part of the kind */
};

struct cli_complaints {
	struct cli_complaint *at;
	size_t n;
};

struct cli_bench;

struct cli_worker {
	_Alignas(64) _Atomic uint64_t
		live[CLI_INTENTS];        /* (a) queries so far, for the progress line */
	_Atomic uint64_t live_failures;   /* (a) */
	_Alignas(64) pthread_t thread;    /* (c) */
	struct cli_bench *bench;          /* (c) */
	uint64_t rng;                     /* (w) */
	size_t turn;                      /* (w) whose turn among the replicas, per request */
	struct cli_cell **cells;          /* (w) by host and intent; NULL until used */
	struct cli_complaints complaints; /* (w) */
	uint64_t cut_off;                 /* (w) requests that the end of the run ended */
	int64_t query_ns;                 /* (w) how long the last statement took, or -1 */
	struct cli_slice *slice;          /* (w) NULL: nobody wants slices */
};

struct cli_schema_result {
	bool created;
	bool dropped;
	int64_t rows; /* -1: could not be counted */
};

struct cli_bench {
	const struct cli_plan *plan;
	weir_router *router;          /* (c) NULL when connecting per request */
	struct cli_direct *direct;    /* (c) */
	size_t n_direct;              /* (c) */
	struct cli_bench_host *hosts; /* (c) */
	size_t n_hosts;               /* (c) */
	const char *sql[CLI_INTENTS]; /* (c) */
	char *write_text; /* (c) what sql[WEIR_WRITE] points to if it had to be made, or NULL */
	struct cli_worker *workers;
	size_t n_workers;
	struct cli_slices *slices; /* (c) or NULL; it has a lock of its own */
	_Atomic bool stop;         /* (a) begin no request any more */
	_Atomic int64_t last_call; /* (a) when even begun ones are given up */
	int64_t begin_ns, end_ns;
	int signal; /* that ended it, or 0 */
	struct cli_schema_result schema;
};

/* A connection for one request. */
struct cli_link {
	PGconn *pg;
	weir_conn *conn; /* NULL when connecting per request */
	size_t host;
	weir_reason reason;
};

/* bench.c: does what the plan says; returns the exit status. */
int cli_bench_run(const struct cli_word *word, const struct cli_plan *plan);

/* bench_link.c */
weir_status cli_link_open(struct cli_bench *bench, weir_intent intent, size_t turn,
                          struct cli_link *link, weir_error *error);
void cli_link_close(struct cli_link *link, bool broken);
size_t cli_bench_host(const struct cli_bench *bench, const char *name);
weir_status cli_direct_find(struct cli_bench *bench, weir_error *error);
void cli_direct_free(struct cli_bench *bench);

/* bench_worker.c */
void *cli_worker_main(void *worker);
struct cli_complaint *cli_complaint_find(struct cli_complaints *all,
                                         const struct cli_complaint *kind);
int64_t cli_query_deadline(const struct cli_bench *bench);

/* bench_schema.c */
weir_status cli_schema_create(struct cli_bench *bench, weir_error *error);
void cli_schema_finish(struct cli_bench *bench);

/* bench_progress.c */
struct cli_progress {
	bool on, terminal;
	int64_t next_ns, last_ns;
	uint64_t queries[CLI_INTENTS];
	weir_host_stats *hosts; /* room for all */
};
void cli_progress_begin(struct cli_progress *progress, const struct cli_bench *bench);
void cli_progress_tick(struct cli_progress *progress, const struct cli_bench *bench);
void cli_progress_end(struct cli_progress *progress);

/* bench_report.c: prints, draws and saves; returns the exit status. */
int cli_bench_report(struct cli_bench *bench);

/* bench_plan.c: the run in a line: "8 threads, 80 % reads, pooled". */
void cli_plan_about(const struct cli_plan *plan, char *text, size_t room);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A run of `weir bench` as it is kept: drawn, saved, compared.
 *
 *   bench_slice.c     what workers saw by slices of time, and the run that comes of it
 *   bench_save.c      to a file and back
 *   bench_svg.c       the drawing of one run or two
 *   bench_compare.c   the table of two
 *
 * A run is cut into equal slices of time. Each gives a value for every measure, so that there is
 * not one number but a sample, and a difference can be told from noise.
 */
#ifndef CLI_BENCH_RUN_H
#define CLI_BENCH_RUN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/hist.h"

#define CLI_INTENTS 2 /* WEIR_WRITE and WEIR_READ, by their numbers */
#define CLI_SLICES 20

/* What is timed of a request. */
enum cli_time { CLI_TIME_WAIT, CLI_TIME_QUERY, CLI_TIME_HOLD, CLI_TIMES };

/* The measures of a slice, for one intent; times in ns. */
enum cli_measure {
	CLI_RATE, /* queries a second */
	CLI_WAIT_P50,
	CLI_WAIT_P99,
	CLI_QUERY_P50,
	CLI_QUERY_P99,
	CLI_HOLD_P50,
	CLI_HOLD_P99,
	CLI_MEASURES
};

/* Requests of one intent that began in one slice, or in all. */
struct cli_part {
	uint64_t queries;
	struct cli_hist time[CLI_TIMES];
};

struct cli_run {
	char name[64]; /* of its file, for the legend */
	char about[160];
	double seconds;
	uint64_t failures;
	size_t n_slices; /* whole ones */
	double slice_s;
	struct cli_part all[CLI_INTENTS];
	double measure[CLI_INTENTS][CLI_MEASURES][CLI_SLICES]; /* NaN: nothing was timed */
};

/* ---- bench_slice.c ---- */

/* What all workers saw; NULL in the bench if nobody wants to know. */
struct cli_slices {
	int64_t begin_ns, each_ns;
	pthread_mutex_t lock; /* of what follows */
	struct cli_part part[CLI_SLICES][CLI_INTENTS];
};

/* What one worker saw in the slice it is in. */
struct cli_slice {
	size_t at;
	struct cli_part part[CLI_INTENTS];
};

struct cli_slices *cli_slices_create(int64_t begin_ns, int64_t duration_ns);
void cli_slices_destroy(struct cli_slices *slices);

/* Where to count a request that began then; what was seen in an earlier slice is handed in. */
struct cli_part *cli_slice_part(struct cli_slices *slices, struct cli_slice *mine, int64_t began_ns,
                                int intent);
void cli_slice_hand_in(struct cli_slices *slices, struct cli_slice *mine);

/* After all workers: run->name, about and failures are the caller's. */
void cli_slices_conclude(const struct cli_slices *slices, int64_t end_ns, struct cli_run *run);

const char *cli_measure_name(enum cli_measure measure); /* "wait_p50" */
const char *cli_time_name(enum cli_time time);          /* "wait" */

/* ---- bench_save.c ---- */

struct json_t;

/* Writes the run beside what the document of --json says, which is taken over. */
void cli_run_save(const struct cli_run *run, struct json_t *document, FILE *out);

/* An exit status; a message was printed if not OK. */
int cli_run_load(const char *file, struct cli_run *run);

/* ---- bench_svg.c ---- */

/* One run, or two laid over each other. */
void cli_run_draw(const struct cli_run *const runs[], size_t n_runs, FILE *out);

/* ---- bench_compare.c ---- */

/* Prints the comparison; an exit status. */
int cli_runs_compare(const struct cli_run *a, const struct cli_run *b, bool json);

#endif

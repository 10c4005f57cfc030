/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The progress line of `weir bench`, on standard error: in place each second on a terminal, else a
 * plain line every two.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/bench.h"
#include "cli/clock.h"
#include "cli/text.h"

#define LINE_ROOM 256

void cli_progress_begin(struct cli_progress *progress, const struct cli_bench *bench)
{
	const char *term = getenv("TERM");

	*progress = (struct cli_progress){
		.on = !bench->plan->quiet,
		.terminal = isatty(STDERR_FILENO) && !(term && !strcmp(term, "dumb")),
		.last_ns = bench->begin_ns,
	};
	progress->next_ns = bench->begin_ns + (progress->terminal ? 1 : 2) * CLI_S;
	if (progress->on && bench->router)
		progress->hosts = cli_alloc(bench->n_hosts, sizeof(*progress->hosts));
}

/* What the workers have done so far, and since the last line, as a rate. */
static double rate(struct cli_progress *progress, const struct cli_bench *bench, weir_intent intent,
                   int64_t now)
{
	uint64_t sum = 0, more;

	for (size_t i = 0; i < bench->n_workers; i++)
		sum += atomic_load_explicit(&bench->workers[i].live[intent], memory_order_relaxed);
	more = sum - progress->queries[intent];
	progress->queries[intent] = sum;
	return (double)more * 1e9 / (double)(now - progress->last_ns);
}

static uint64_t failures(const struct cli_bench *bench)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < bench->n_workers; i++)
		sum += atomic_load_explicit(&bench->workers[i].live_failures, memory_order_relaxed);
	return sum;
}

static void add_pools(struct cli_progress *progress, const struct cli_bench *bench, char *line)
{
	uint32_t total = 0, busy = 0, waiting = 0;
	size_t len = strlen(line);

	if (!bench->router)
		return;
	weir_router_stats_get(bench->router, progress->hosts, bench->n_hosts);
	for (size_t i = 0; i < bench->n_hosts; i++) {
		total += progress->hosts[i].pool.total;
		busy += progress->hosts[i].pool.busy;
		waiting += progress->hosts[i].pool.waiting;
	}
	snprintf(line + len, LINE_ROOM - len,
	         "   connections %" PRIu32 ", busy %" PRIu32 ", waiting %" PRIu32, total, busy,
	         waiting);
}

/* A line longer than the terminal is wide would not be overwritten as a whole. */
static void cut_to_terminal(char *line)
{
	struct winsize size;

	if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col > 1 &&
	    strlen(line) >= size.ws_col)
		line[size.ws_col - 1] = '\0';
}

void cli_progress_tick(struct cli_progress *progress, const struct cli_bench *bench)
{
	int64_t now = cli_now();
	char line[LINE_ROOM];
	double reads, writes;

	if (!progress->on || now < progress->next_ns)
		return;
	reads = rate(progress, bench, WEIR_READ, now);
	writes = rate(progress, bench, WEIR_WRITE, now);
	snprintf(line, sizeof(line), "%4.0f s   reads %.0f/s   writes %.0f/s   failed %" PRIu64,
	         (double)(now - bench->begin_ns) / 1e9, reads, writes, failures(bench));
	add_pools(progress, bench, line);
	if (progress->terminal) {
		cut_to_terminal(line);
		fprintf(stderr, "\r%s\033[K", line);
	} else {
		fprintf(stderr, "%s\n", line);
	}
	fflush(stderr);
	progress->last_ns = now;
	progress->next_ns += (progress->terminal ? 1 : 2) * CLI_S;
}

void cli_progress_end(struct cli_progress *progress)
{
	if (progress->on && progress->terminal)
		fputs("\r\033[K", stderr);
	free(progress->hosts);
}

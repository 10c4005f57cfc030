/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker of `weir bench`: takes a connection, runs one statement, holds it, gives it back; again
 * until told to stop.
 *
 * What it counts is its own and merged after the join; only the few numbers of the progress line
 * are shared while it runs, on a cache line of their own, written with relaxed stores by this
 * worker alone.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "cli/bench.h"
#include "cli/clock.h"
#include "cli/text.h"

#define PAUSE_NS                                                                                   \
	(5 * CLI_MS) /* after a failure that came at once: a breaker refuses in microseconds */

/* xorshift64*: good enough for a coin, and the same run for the same seed. */
static uint64_t draw(struct cli_worker *worker)
{
	worker->rng ^= worker->rng >> 12;
	worker->rng ^= worker->rng << 25;
	worker->rng ^= worker->rng >> 27;
	return worker->rng * UINT64_C(0x2545F4914F6CDD1D);
}

static weir_intent pick_intent(struct cli_worker *worker)
{
	return (int64_t)((draw(worker) >> 33) % 100) < worker->bench->plan->reads_pct ? WEIR_READ
	                                                                              : WEIR_WRITE;
}

static struct cli_cell *cell_of(struct cli_worker *worker, size_t host, weir_intent intent)
{
	struct cli_cell **cell = &worker->cells[host * CLI_INTENTS + (size_t)intent];

	if (!*cell)
		*cell = cli_alloc(1, sizeof(**cell));
	return *cell;
}

static void add_live(_Atomic uint64_t *counter)
{
	uint64_t n = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, n + 1,
	                      memory_order_relaxed); /* one writer: no read-modify-write */
}

struct cli_complaint *cli_complaint_find(struct cli_complaints *all,
                                         const struct cli_complaint *kind)
{
	struct cli_complaint *c;

	for (size_t i = 0; i < all->n; i++) {
		c = &all->at[i];
		if (c->during == kind->during && c->intent == kind->intent &&
		    c->host == kind->host && c->first.status == kind->first.status)
			return c;
	}
	all->at = cli_grow(all->at, all->n + 1, sizeof(*all->at));
	c = &all->at[all->n++];
	*c = *kind;
	c->count = 0;
	return c;
}

static void complain(struct cli_worker *worker, enum cli_during during, weir_intent intent,
                     size_t host, const weir_error *error)
{
	struct cli_complaint kind = {
		.during = during,
		.intent = intent,
		.host = host,
		.at_ns = cli_now(),
		.first = *error,
	};

	cli_complaint_find(&worker->complaints, &kind)->count++;
	add_live(&worker->live_failures);
}

static bool cut_off(const struct cli_worker *worker, weir_status status)
{
	return (status == WEIR_TIMEOUT || status == WEIR_EXHAUSTED) &&
	       atomic_load_explicit(&worker->bench->stop, memory_order_relaxed);
}

int64_t cli_query_deadline(const struct cli_bench *bench)
{
	int64_t statement_ms = bench->plan->options.statement_timeout_ms;

	/* The server ends it first; this is for a server or a network that has gone silent. */
	return cli_now() + (statement_ms ? statement_ms + 5000 : 60000) * CLI_MS;
}

/* Runs the statement on a connection that is out. Returns whether it is good for others. */
static bool run_query(struct cli_worker *worker, weir_intent intent, const struct cli_link *link,
                      struct cli_cell *cell)
{
	struct cli_bench *bench = worker->bench;
	struct cli_limit limit = {.deadline = cli_query_deadline(bench),
	                          .last_call = &bench->last_call};
	int64_t begin = cli_now();
	weir_error error;
	weir_status status = cli_query(link->pg, bench->sql[intent], &limit, NULL, 0, &error);

	if (status == WEIR_OK) {
		worker->query_ns = cli_now() - begin;
		cli_hist_add(&cell->query, worker->query_ns);
		cell->queries++;
		add_live(&worker->live[intent]);
		if (bench->plan->hold_us)
			cli_sleep(bench->plan->hold_us * 1000);
		return true;
	}
	if (cut_off(worker, status)) {
		worker->cut_off++;
	} else {
		cell->failures++;
		cli_copy(error.host, sizeof(error.host), bench->hosts[link->host].host);
		complain(worker, CLI_DURING_QUERY, intent, link->host, &error);
	}
	return status != WEIR_TIMEOUT && status != WEIR_CONNECT;
}

static void note_checkout_failure(struct cli_worker *worker, weir_intent intent,
                                  const weir_error *error, int64_t took_ns)
{
	if (cut_off(worker, error->status)) {
		worker->cut_off++;
		return;
	}
	complain(worker, CLI_DURING_CHECKOUT, intent, cli_bench_host(worker->bench, error->host),
	         error);
	if (took_ns < CLI_MS)
		cli_sleep(PAUSE_NS);
}

/* Notes a request in its slice of time, if anybody wants a drawing or a file. */
static void note_in_slice(struct cli_worker *worker, weir_intent intent, int64_t began,
                          int64_t wait_ns, int64_t hold_ns)
{
	struct cli_part *part;

	if (!worker->slice)
		return;
	part = cli_slice_part(worker->bench->slices, worker->slice, began, (int)intent);
	cli_hist_add(&part->time[CLI_TIME_WAIT], wait_ns);
	cli_hist_add(&part->time[CLI_TIME_HOLD], hold_ns);
	if (worker->query_ns < 0)
		return;
	part->queries++;
	cli_hist_add(&part->time[CLI_TIME_QUERY], worker->query_ns);
}

static void request(struct cli_worker *worker)
{
	struct cli_bench *bench = worker->bench;
	weir_intent intent = pick_intent(worker);
	int64_t begin = cli_now(), took;
	weir_error error = {.status = WEIR_OK};
	struct cli_link link;
	struct cli_cell *cell;
	bool usable;
	weir_status status = cli_link_open(bench, intent, worker->turn++, &link, &error);

	took = cli_now() - begin;
	if (status != WEIR_OK) {
		error.status = status;
		note_checkout_failure(worker, intent, &error, took);
		return;
	}
	cell = cell_of(worker, link.host, intent);
	cell->checkouts++;
	cell->fallbacks += intent == WEIR_READ && (link.reason == WEIR_REASON_NO_REPLICA ||
	                                           link.reason == WEIR_REASON_TOO_STALE);
	cli_hist_add(&cell->wait, took);
	worker->query_ns = -1;
	usable = run_query(worker, intent, &link, cell);
	note_in_slice(worker, intent, begin, took, cli_now() - begin - took);
	cli_link_close(&link, !usable);
}

void *cli_worker_main(void *arg)
{
	struct cli_worker *worker = arg;

	/* Holds of some microseconds should not be stretched by the default slack of 50. */
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	while (!atomic_load_explicit(&worker->bench->stop, memory_order_relaxed))
		request(worker);
	if (worker->slice)
		cli_slice_hand_in(worker->bench->slices, worker->slice);
	return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a running process tells `weir size` of its load, by its view: how often it takes
 * connections, and how many are out on average, which together say for how long each is (Little's
 * law). The process is asked nothing; it draws ten times a second while somebody looks.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/size.h"
#include "cli/views.h"

#define LOOK_EACH_NS (50 * CLI_MS)

/* Of all hosts in one picture. */
struct sums {
	uint64_t taken, reads, writes;
	uint32_t out, waiting;
	int64_t replicas;
};

struct watch {
	struct sums first, last;
	int64_t from_ms, to_ms;
	uint64_t number; /* of the picture */
	double out, waiting, samples;
};

static struct sums sums_of(const weir_view_picture *p)
{
	struct sums s = {.taken = 0};

	for (size_t i = 0; i < p->n_hosts; i++) {
		const weir_host_stats *h = &p->hosts[i];

		s.taken += h->pool.checkouts;
		s.out += h->pool.busy;
		s.waiting += h->pool.waiting;
		s.reads += h->reads;
		s.writes += h->writes;
		s.replicas += h->role == WEIR_ROLE_REPLICA;
	}
	s.waiting += p->at_gate;
	return s;
}

static void take_in(struct watch *w, const weir_view_picture *p)
{
	if (p->age_ns < 0 || p->number == w->number)
		return;
	w->last = sums_of(p);
	w->to_ms = p->at_ms;
	if (!w->number) {
		w->first = w->last;
		w->from_ms = p->at_ms;
	}
	w->number = p->number;
	w->out += w->last.out;
	w->waiting += w->last.waiting;
	w->samples++;
}

/* A host that has left takes its counts along. */
static uint64_t since(uint64_t first, uint64_t last)
{
	return last > first ? last - first : 0;
}

static void conclude(const struct watch *w, struct cli_size_measured *m)
{
	uint64_t reads = since(w->first.reads, w->last.reads);
	uint64_t writes = since(w->first.writes, w->last.writes);

	m->seconds = (double)(w->to_ms - w->from_ms) / 1e3;
	m->checkouts = (int64_t)since(w->first.taken, w->last.taken);
	m->rate = m->seconds > 0 ? (double)m->checkouts / m->seconds : 0;
	m->out = w->samples > 0 ? w->out / w->samples : 0;
	m->waiting = w->samples > 0 ? w->waiting / w->samples : 0;
	m->reads_pct =
		reads + writes ? (int64_t)(100 * reads / (reads + writes)) : CLI_SIZE_UNKNOWN;
	m->replicas = w->last.replicas;
}

/* false: it has ended meanwhile. */
static bool look(struct cli_views *views, int64_t ns, struct watch *w)
{
	int64_t end_ns = cli_now() + ns;

	for (;;) {
		cli_views_read(views);
		if (views->view[0].whole)
			take_in(w, &views->view[0].picture);
		if (!cli_views_go_on(views))
			return false;
		if (cli_now() >= end_ns)
			return true;
		cli_sleep(LOOK_EACH_NS);
	}
}

static int measure(const struct cli_args *args, struct cli_views *views, int64_t ns,
                   struct cli_size_measured *m)
{
	struct watch w = {.number = 0};
	bool lives = look(views, ns, &w);

	cli_view_title(&views->view[0], m->title, sizeof(m->title));
	m->router = views->view[0].entry.router;
	conclude(&w, m);
	if (lives && m->checkouts && m->out > 0)
		return CLI_EXIT_OK;
	fprintf(stderr, "weir %s: %s %s\n", args->word->name, m->title,
	        !lives          ? "has ended"
	        : !m->checkouts ? "took no connection in that time: there is nothing to size by"
	                        : "holds connections too shortly to be seen: say --service-ms");
	return CLI_EXIT_UNAVAILABLE;
}

int cli_size_watch(const struct cli_args *args, const char *process, const char *directory,
                   int64_t ns, struct cli_size_measured *m)
{
	struct cli_views views = {.n = 0};
	int result = cli_views_open(args->word, process, directory, &views);

	if (result == CLI_EXIT_OK && views.n != 1) {
		fprintf(stderr, "weir %s: %s has several pools; name one, as 4711-2:\n",
		        args->word->name, process);
		cli_views_print_list(&views, stderr);
		result = CLI_EXIT_USAGE;
	}
	if (result == CLI_EXIT_OK)
		result = measure(args, &views, ns, m);
	cli_views_close(&views);
	return result;
}

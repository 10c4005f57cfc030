/* SPDX-License-Identifier: BSD-2-Clause */
/* What `weir size` tells: the queues, the recommendation, the lines to paste; or a document. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "cli/clock.h"
#include "cli/json.h"
#include "cli/size.h"
#include "cli/table.h"
#include "cli/text.h"

static void add_wait(struct cli_table *table, double seconds)
{
	char text[CLI_SHORT];

	if (isinf(seconds))
		cli_cell(table, CLI_BAD, "no end");
	else if (seconds <= 0)
		cli_cell(table, CLI_PLAIN, "none");
	else
		cli_cell(table, CLI_PLAIN, "%s", cli_duration(text, (int64_t)(seconds * 1e9)));
}

static void add_pool(struct cli_table *table, const struct cli_size_pool *pool)
{
	cli_cell(table, CLI_STRONG, "%s", pool->what);
	cli_cell(table, CLI_PLAIN, "%.1f", pool->rate);
	cli_cell(table, CLI_PLAIN, "%.2f", pool->load);
	cli_cell(table, pool->busy > 0.8 ? CLI_WARN : CLI_PLAIN, "%.0f %%", pool->busy * 100);
	cli_cell(table, CLI_PLAIN, "%.2g %%", pool->waits * 100);
	add_wait(table, pool->p50_s);
	add_wait(table, pool->p99_s);
}

static void print_pools(const struct cli_size *size)
{
	struct cli_table *table = cli_table_create("lrrrrrr");

	cli_head(table, "pool of one pod to|checkouts/s, all pods|out on average|of pool_max|"
	                "that wait|wait p50|p99");
	for (size_t i = 0; i < size->n_pools; i++)
		add_pool(table, &size->pools[i]);
	cli_table_print(table, stdout);
	cli_table_destroy(table);
}

/* What all pods together may open to one server, each with its router's probe. */
static int64_t all_pods(const struct cli_size *size)
{
	return (size->pool_max + 1) * (size->plan->pods + size->plan->surge);
}

static double of_budget(const struct cli_size *size)
{
	return size->budget ? 100.0 * (double)all_pods(size) / (double)size->budget : 0;
}

static void print_measured(const struct cli_size_measured *m)
{
	char out_for[CLI_SHORT];

	if (!m->title[0])
		return;
	cli_duration(out_for, (int64_t)(1e9 * m->out / m->rate));
	printf("  %s, for %.1f s: %.1f checkouts/s, %.2f out on average, each for %s", m->title,
	       m->seconds, m->rate, m->out, out_for);
	if (m->reads_pct != CLI_SIZE_UNKNOWN)
		printf(", %" PRId64 " %% of them reads", m->reads_pct);
	printf("\n\n");
}

void cli_size_print(const struct cli_size *size)
{
	const struct cli_size_plan *plan = size->plan;

	print_measured(&plan->measured);
	print_pools(size);
	printf("\n  pool_max %" PRId64 ", pool_min %" PRId64 " in each of %" PRId64 " pods",
	       size->pool_max, size->pool_min, plan->pods);
	if (plan->surge)
		printf(" (%" PRId64 " while they are replaced)", plan->pods + plan->surge);
	printf(": at most %" PRId64 " of the %" PRId64
	       " connections that a server has for them (%.0f %%), probes included\n\n",
	       all_pods(size), size->budget, of_budget(size));
	for (size_t i = 0; i < size->n_warnings; i++) {
		cli_paint(stdout, CLI_WARN, "  warning");
		printf(": %s\n", size->warnings[i]);
	}
	if (size->n_warnings)
		putchar('\n');
	printf("WEIR_POOL_MIN=%" PRId64 "\nWEIR_POOL_MAX=%" PRId64 "\n", size->pool_min,
	       size->pool_max);
	printf("WEIR_POD_COUNT=%" PRId64 "\nWEIR_SERVER_BUDGET=%" PRId64 "\n",
	       plan->pods + plan->surge, size->budget);
}

/* Microseconds, or null for a wait without end. */
static json_t *wait_document(double seconds)
{
	return isinf(seconds) ? json_null() : cli_json_real(seconds * 1e6);
}

static json_t *pool_document(const struct cli_size_pool *pool)
{
	json_t *o = cli_json_object();

	cli_json_put(o, "pool", cli_json_text(pool->what));
	cli_json_put(o, "checkouts_per_s", cli_json_real(pool->rate));
	cli_json_put(o, "out", json_real(pool->load));
	cli_json_put(o, "busy", json_real(pool->busy));
	cli_json_put(o, "waits", json_real(pool->waits));
	cli_json_put(o, "wait_p50_us", wait_document(pool->p50_s));
	cli_json_put(o, "wait_p99_us", wait_document(pool->p99_s));
	return o;
}

static json_t *environment_document(const struct cli_size *size)
{
	json_t *o = cli_json_object();

	cli_json_put(o, "WEIR_POOL_MIN", cli_json_int(size->pool_min));
	cli_json_put(o, "WEIR_POOL_MAX", cli_json_int(size->pool_max));
	cli_json_put(o, "WEIR_POD_COUNT", cli_json_int(size->plan->pods + size->plan->surge));
	cli_json_put(o, "WEIR_SERVER_BUDGET", cli_json_int(size->budget));
	return o;
}

static json_t *measured_document(const struct cli_size_measured *m)
{
	json_t *o = m->title[0] ? cli_json_object() : json_null();

	if (!m->title[0])
		return o;
	cli_json_put(o, "process", cli_json_text(m->title));
	cli_json_put(o, "seconds", json_real(m->seconds));
	cli_json_put(o, "checkouts", cli_json_int(m->checkouts));
	cli_json_put(o, "checkouts_per_s", json_real(m->rate));
	cli_json_put(o, "out", json_real(m->out));
	cli_json_put(o, "service_ms", json_real(1e3 * m->out / m->rate));
	cli_json_put(o, "waiting", json_real(m->waiting));
	cli_json_put(o, "reads_pct", cli_json_known(m->reads_pct));
	return o;
}

void cli_size_print_json(const struct cli_size *size)
{
	const struct cli_size_plan *plan = size->plan;
	json_t *document = cli_json_object();
	json_t *pools = cli_json_array(), *warnings = cli_json_array();

	for (size_t i = 0; i < size->n_pools; i++)
		cli_json_add(pools, pool_document(&size->pools[i]));
	for (size_t i = 0; i < size->n_warnings; i++)
		cli_json_add(warnings, cli_json_text(size->warnings[i]));
	cli_json_put(document, "weir", cli_json_text(weir_version()));
	cli_json_put(document, "measured", measured_document(&plan->measured));
	cli_json_put(document, "enough", cli_json_bool(size->enough));
	cli_json_put(document, "pool_max", cli_json_int(size->pool_max));
	cli_json_put(document, "pool_min", cli_json_int(size->pool_min));
	cli_json_put(document, "wanted_pool_max", cli_json_int(size->wanted));
	cli_json_put(document, "pods", cli_json_int(plan->pods));
	cli_json_put(document, "replicas", cli_json_int(plan->replicas));
	cli_json_put(document, "max_connections", cli_json_int(plan->max_connections));
	cli_json_put(document, "reserved", cli_json_int(plan->reserved));
	cli_json_put(document, "in_use_by_others", cli_json_known(plan->in_use));
	cli_json_put(document, "server_budget", cli_json_int(size->budget));
	cli_json_put(document, "connections_to_a_server", cli_json_int(all_pods(size)));
	cli_json_put(document, "service_cv", json_real(plan->cv));
	cli_json_put(document, "pools", pools);
	cli_json_put(document, "warnings", warnings);
	cli_json_put(document, "environment", environment_document(size));
	cli_json_print(document);
}

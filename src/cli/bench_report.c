/* SPDX-License-Identifier: BSD-2-Clause */
/* What `weir bench` tells at the end: who served what, how fast, and what failed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/bench.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/word.h"

/* Everything the workers counted, together. */
struct sum {
	struct cli_cell *cells; /* by host and intent, then one for all of each intent */
	struct cli_complaints complaints;
	uint64_t checkouts, queries, failures, cut_off;
	double seconds;
};

static const weir_intent shown[CLI_INTENTS] = {WEIR_READ, WEIR_WRITE};

static const char *intent_name(weir_intent intent)
{
	return intent == WEIR_READ ? "read" : "write";
}

static const char *during_name(enum cli_during during)
{
	return during == CLI_DURING_CHECKOUT ? "checkout" : "query";
}

static struct cli_cell *cell_at(const struct sum *sum, size_t host, weir_intent intent)
{
	return &sum->cells[host * CLI_INTENTS + (size_t)intent];
}

static void merge_cell(struct cli_cell *to, const struct cli_cell *from)
{
	to->checkouts += from->checkouts;
	to->queries += from->queries;
	to->failures += from->failures;
	to->fallbacks += from->fallbacks;
	cli_hist_merge(&to->wait, &from->wait);
	cli_hist_merge(&to->query, &from->query);
}

static void merge_complaints(struct sum *sum, const struct cli_complaints *from)
{
	for (size_t i = 0; i < from->n; i++) {
		struct cli_complaint *c = cli_complaint_find(&sum->complaints, &from->at[i]);

		c->count += from->at[i].count;
		if (from->at[i].at_ns < c->at_ns) {
			c->at_ns = from->at[i].at_ns;
			c->first = from->at[i].first;
		}
		sum->failures += from->at[i].count;
	}
}

static void merge_worker(struct sum *sum, const struct cli_bench *bench,
                         const struct cli_worker *worker)
{
	for (size_t i = 0; i < bench->n_hosts * CLI_INTENTS; i++) {
		const struct cli_cell *cell = worker->cells[i];

		if (!cell)
			continue;
		merge_cell(&sum->cells[i], cell);
		merge_cell(cell_at(sum, bench->n_hosts, (weir_intent)(i % CLI_INTENTS)), cell);
		sum->checkouts += cell->checkouts;
		sum->queries += cell->queries;
	}
	merge_complaints(sum, &worker->complaints);
	sum->cut_off += worker->cut_off;
}

static void sum_up(struct sum *sum, const struct cli_bench *bench)
{
	*sum = (struct sum){.seconds = (double)(bench->end_ns - bench->begin_ns) / 1e9};
	sum->cells = cli_alloc((bench->n_hosts + 1) * CLI_INTENTS, sizeof(*sum->cells));
	for (size_t i = 0; i < bench->n_workers; i++)
		merge_worker(sum, bench, &bench->workers[i]);
}

static double per_second(const struct sum *sum, uint64_t n)
{
	return sum->seconds > 0 ? (double)n / sum->seconds : 0;
}

/* Each insert that succeeded is a row; one whose answer was lost may be. */
static bool rows_agree(const struct cli_bench *bench, const struct sum *sum)
{
	const struct cli_cell *writes = cell_at(sum, bench->n_hosts, WEIR_WRITE);
	int64_t sure = (int64_t)writes->queries;
	int64_t unsure = (int64_t)(writes->failures + sum->cut_off);

	if (!bench->schema.created || bench->schema.rows < 0)
		return true;
	return bench->schema.rows >= sure && bench->schema.rows <= sure + unsure;
}

static int judge(const struct cli_bench *bench, const struct sum *sum)
{
	bool left_behind = bench->schema.created && !bench->schema.dropped;

	if (bench->signal)
		return CLI_EXIT_SIGNAL + bench->signal;
	if (!sum->queries)
		return CLI_EXIT_DOWN;
	return sum->failures || left_behind || !rows_agree(bench, sum) ? CLI_EXIT_DEGRADED
	                                                               : CLI_EXIT_OK;
}

static void add_quantiles(struct cli_table *table, const struct cli_hist *hist)
{
	static const unsigned per_mille[] = {500, 990, 999};
	char text[CLI_SHORT];

	for (size_t i = 0; i < sizeof(per_mille) / sizeof(per_mille[0]); i++)
		cli_cell(table, CLI_PLAIN, "%s",
		         hist->count ? cli_duration(text,
		                                    (int64_t)cli_hist_quantile(hist, per_mille[i]))
		                     : "-");
	cli_cell(table, CLI_PLAIN, "%s",
	         hist->count ? cli_duration(text, (int64_t)hist->max) : "-");
}

static void add_row(struct cli_table *table, const struct sum *sum, const char *host,
                    const char *role, weir_intent intent, const struct cli_cell *cell)
{
	enum cli_tint tint = cell->checkouts ? CLI_PLAIN : CLI_FAINT;

	cli_cell(table, cell->checkouts ? CLI_STRONG : CLI_FAINT, "%s", host);
	cli_cell(table, tint, "%s", role);
	cli_cell(table, tint, "%s", intent_name(intent));
	cli_cell(table, tint, "%" PRIu64, cell->checkouts);
	cli_cell(table, cell->queries ? CLI_GOOD : tint, "%.0f", per_second(sum, cell->queries));
	add_quantiles(table, &cell->wait);
	add_quantiles(table, &cell->query);
	cli_cell(table, cell->failures ? CLI_BAD : tint, "%" PRIu64, cell->failures);
}

static void print_table(const struct cli_bench *bench, const struct sum *sum)
{
	struct cli_table *table = cli_table_create("lllrrrrrrrrrrr");

	cli_head(table, "host|role|intent|checkouts|queries/s|wait p50|p99|p99.9|max|"
	                "query p50|p99|p99.9|max|failed");
	for (size_t h = 0; h < bench->n_hosts; h++)
		for (size_t i = 0; i < CLI_INTENTS; i++)
			add_row(table, sum, bench->hosts[h].host,
			        weir_role_name(bench->hosts[h].role), shown[i],
			        cell_at(sum, h, shown[i]));
	for (size_t i = 0; i < CLI_INTENTS; i++)
		add_row(table, sum, "all", "", shown[i], cell_at(sum, bench->n_hosts, shown[i]));
	cli_table_print(table, stdout);
	cli_table_destroy(table);
}

static const char *host_of(const struct cli_bench *bench, const struct cli_complaint *c)
{
	return c->host == CLI_NO_HOST ? c->first.host : bench->hosts[c->host].host;
}

/* The first line of each kind's first text; --json has all of it. */
static void print_complaints(const struct cli_bench *bench, const struct sum *sum)
{
	struct cli_table *table;

	if (!sum->complaints.n)
		return;
	table = cli_table_create("llllrl");
	cli_head(table, "failure|during|intent|host|count|first");
	for (size_t i = 0; i < sum->complaints.n; i++) {
		const struct cli_complaint *c = &sum->complaints.at[i];
		const char *text =
			*c->first.text ? c->first.text : weir_status_text(c->first.status);
		int line = 0;

		while (text[line] && text[line] != '\n' && line < 400)
			line++;
		cli_cell(table, CLI_BAD, "%s", weir_status_name(c->first.status));
		cli_cell(table, CLI_PLAIN, "%s", during_name(c->during));
		cli_cell(table, CLI_PLAIN, "%s", intent_name(c->intent));
		cli_cell(table, CLI_PLAIN, "%s", *host_of(bench, c) ? host_of(bench, c) : "-");
		cli_cell(table, CLI_PLAIN, "%" PRIu64, c->count);
		cli_cell(table, CLI_PLAIN, "%.*s", line, text);
	}
	putchar('\n');
	cli_table_print(table, stdout);
	cli_table_destroy(table);
}

static void print_schema(const struct cli_bench *bench, const struct sum *sum)
{
	if (!bench->schema.created)
		return;
	printf("  schema %s: %" PRIu64 " inserts succeeded, ", bench->plan->schema,
	       cell_at(sum, bench->n_hosts, WEIR_WRITE)->queries);
	if (bench->schema.rows < 0)
		printf("the rows could not be counted");
	else
		printf("%" PRId64 " rows", bench->schema.rows);
	if (!rows_agree(bench, sum))
		cli_paint(stdout, CLI_BAD, ": they disagree");
	puts(bench->schema.dropped ? "; dropped" : "; still there");
}

static void print_text(const struct cli_bench *bench, const struct sum *sum)
{
	uint64_t fallbacks = cell_at(sum, bench->n_hosts, WEIR_READ)->fallbacks;

	print_table(bench, sum);
	printf("\n  %" PRIu64 " queries in %.2f s: %.0f a second, %s, %" PRId64 " threads\n",
	       sum->queries, sum->seconds, per_second(sum, sum->queries),
	       bench->plan->per_request ? "a connect for each" : "pooled", bench->plan->threads);
	if (fallbacks)
		printf("  %" PRIu64 " reads were served by the primary for want of a replica\n",
		       fallbacks);
	if (sum->cut_off)
		printf("  %" PRIu64 " requests were cut off by the end of the run\n", sum->cut_off);
	print_schema(bench, sum);
	print_complaints(bench, sum);
}

static json_t *quantiles_document(const struct cli_hist *hist)
{
	json_t *o;

	if (!hist->count)
		return json_null();
	o = cli_json_object();
	cli_json_put(o, "p50", cli_json_real((double)cli_hist_quantile(hist, 500) / 1e3));
	cli_json_put(o, "p99", cli_json_real((double)cli_hist_quantile(hist, 990) / 1e3));
	cli_json_put(o, "p999", cli_json_real((double)cli_hist_quantile(hist, 999) / 1e3));
	cli_json_put(o, "max", cli_json_real((double)hist->max / 1e3));
	return o;
}

static json_t *cell_document(const struct sum *sum, const struct cli_cell *cell)
{
	json_t *o = cli_json_object();

	cli_json_put(o, "checkouts", cli_json_int((int64_t)cell->checkouts));
	cli_json_put(o, "queries", cli_json_int((int64_t)cell->queries));
	cli_json_put(o, "failures", cli_json_int((int64_t)cell->failures));
	cli_json_put(o, "fallbacks", cli_json_int((int64_t)cell->fallbacks));
	cli_json_put(o, "queries_per_s", cli_json_real(per_second(sum, cell->queries)));
	cli_json_put(o, "wait_us", quantiles_document(&cell->wait));
	cli_json_put(o, "query_us", quantiles_document(&cell->query));
	return o;
}

static json_t *host_document(const struct cli_bench *bench, const struct sum *sum, size_t host)
{
	json_t *o = cli_json_object();

	cli_json_put(o, "host", cli_json_text(bench->hosts[host].host));
	cli_json_put(o, "role", cli_json_text(weir_role_name(bench->hosts[host].role)));
	cli_json_put(o, "read", cell_document(sum, cell_at(sum, host, WEIR_READ)));
	cli_json_put(o, "write", cell_document(sum, cell_at(sum, host, WEIR_WRITE)));
	return o;
}

static json_t *complaint_document(const struct cli_bench *bench, const struct cli_complaint *c)
{
	json_t *o = cli_json_object();

	cli_json_put(o, "status", cli_json_text(weir_status_name(c->first.status)));
	cli_json_put(o, "during", cli_json_text(during_name(c->during)));
	cli_json_put(o, "intent", cli_json_text(intent_name(c->intent)));
	cli_json_put(o, "host", cli_json_text(host_of(bench, c)));
	cli_json_put(o, "sqlstate", cli_json_text(c->first.sqlstate));
	cli_json_put(o, "count", cli_json_int((int64_t)c->count));
	cli_json_put(o, "first", cli_json_text(c->first.text));
	return o;
}

static json_t *schema_document(const struct cli_bench *bench, const struct sum *sum)
{
	json_t *o;

	if (!bench->schema.created)
		return json_null();
	o = cli_json_object();
	cli_json_put(o, "name", cli_json_text(bench->plan->schema));
	cli_json_put(o, "inserted",
	             cli_json_int((int64_t)cell_at(sum, bench->n_hosts, WEIR_WRITE)->queries));
	cli_json_put(o, "rows", cli_json_known(bench->schema.rows));
	cli_json_put(o, "dropped", cli_json_bool(bench->schema.dropped));
	return o;
}

static void put_plan(json_t *document, const struct cli_bench *bench, const struct sum *sum)
{
	const struct cli_plan *plan = bench->plan;

	cli_json_put(document, "weir", cli_json_text(weir_version()));
	cli_json_put(document, "mode", cli_json_text(plan->per_request ? "per-request" : "pool"));
	cli_json_put(document, "threads", cli_json_int(plan->threads));
	cli_json_put(document, "reads_pct", cli_json_int(plan->reads_pct));
	cli_json_put(document, "hold_us", cli_json_int(plan->hold_us));
	cli_json_put(document, "seed", cli_json_int(plan->seed));
	cli_json_put(document, "asked_s", json_real((double)plan->duration_ns / 1e9));
	cli_json_put(document, "elapsed_s", json_real(sum->seconds));
	cli_json_put(document, "interrupted", cli_json_bool(bench->signal != 0));
}

static json_t *document_of(const struct cli_bench *bench, const struct sum *sum)
{
	json_t *document = cli_json_object();
	json_t *hosts = cli_json_array(), *errors = cli_json_array();

	put_plan(document, bench, sum);
	for (size_t i = 0; i < bench->n_hosts; i++)
		cli_json_add(hosts, host_document(bench, sum, i));
	for (size_t i = 0; i < sum->complaints.n; i++)
		cli_json_add(errors, complaint_document(bench, &sum->complaints.at[i]));
	cli_json_put(document, "checkouts", cli_json_int((int64_t)sum->checkouts));
	cli_json_put(document, "queries", cli_json_int((int64_t)sum->queries));
	cli_json_put(document, "queries_per_s", cli_json_real(per_second(sum, sum->queries)));
	cli_json_put(document, "failures", cli_json_int((int64_t)sum->failures));
	cli_json_put(document, "cut_off", cli_json_int((int64_t)sum->cut_off));
	cli_json_put(document, "hosts", hosts);
	cli_json_put(document, "errors", errors);
	cli_json_put(document, "schema", schema_document(bench, sum));
	return document;
}

/* Draws and saves the run, as far as it was asked for. */
static void keep(const struct cli_bench *bench, const struct sum *sum)
{
	struct cli_run *run;
	const struct cli_run *runs[1];

	if (!bench->slices)
		return;
	run = cli_alloc(1, sizeof(*run));
	run->failures = sum->failures;
	cli_plan_about(bench->plan, run->about, sizeof(run->about));
	cli_slices_conclude(bench->slices, bench->end_ns, run);
	runs[0] = run;
	if (bench->plan->svg)
		cli_run_draw(runs, 1, bench->plan->svg);
	if (bench->plan->save)
		cli_run_save(run, document_of(bench, sum), bench->plan->save);
	free(run);
}

int cli_bench_report(struct cli_bench *bench)
{
	struct sum sum;
	int result;

	sum_up(&sum, bench);
	result = judge(bench, &sum);
	if (bench->plan->json)
		cli_json_print(document_of(bench, &sum));
	else
		print_text(bench, &sum);
	keep(bench, &sum);
	free(sum.complaints.at);
	free(sum.cells);
	return result;
}

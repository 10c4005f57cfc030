/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two runs of `weir bench` beside each other.
 *
 * Of every measure a run has a sample, a value for each slice of time; the first slice is left out,
 * since pools open their connections then. Compared are the medians. How sure a median is, tell the
 * order statistics of its sample: with 95 % it lies between two of them, whatever the distribution
 * (Le Boudec, "Performance Evaluation of Computer and Communication Systems", 2010, 2.2.2). A ratio
 * is within noise if it may be 1 when both medians are anywhere in theirs, or when it is less than
 * what a bucket of the histogram is wide.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/weir.h>

#include "cli/bench_run.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/word.h"

#define BUCKET 0.016 /* a quantile is known to that */
#define SURE 0.025   /* on either side */

static const char *const intent_names[CLI_INTENTS] = {[WEIR_WRITE] = "write", [WEIR_READ] = "read"};
static const int shown[CLI_INTENTS] = {WEIR_READ, WEIR_WRITE};

/* A median, and between what it lies. */
struct median {
	double at, least, most;
	size_t n;
};

struct comparison {
	struct median a, b;
	double ratio, least, most;
	bool known, noise;
};

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* How many of n sorted values to leave out on either side. */
static size_t rank(size_t n)
{
	double p = pow(0.5, (double)n), below = 0;
	size_t k = 0;

	for (; k < n / 2; k++) {
		below += p; /* at most k of n are below the median */
		if (below > SURE)
			break;
		p *= (double)(n - k) / (double)(k + 1);
	}
	return k ? k - 1 : 0;
}

static struct median median_of(const struct cli_run *run, int intent, enum cli_measure measure)
{
	double values[CLI_SLICES];
	struct median m = {.at = NAN};
	size_t k;

	for (size_t s = run->n_slices > 1; s < run->n_slices; s++)
		if (!isnan(run->measure[intent][measure][s]))
			values[m.n++] = run->measure[intent][measure][s];
	if (!m.n)
		return m;
	qsort(values, m.n, sizeof(values[0]), by_size);
	k = rank(m.n);
	m.at = (values[(m.n - 1) / 2] + values[m.n / 2]) / 2;
	m.least = values[k];
	m.most = values[m.n - 1 - k];
	return m;
}

static struct comparison compare(const struct cli_run *a, const struct cli_run *b, int intent,
                                 enum cli_measure measure)
{
	struct comparison c = {.a = median_of(a, intent, measure),
	                       .b = median_of(b, intent, measure)};
	double bucket = measure == CLI_RATE ? 0 : BUCKET;

	c.known = c.a.n && c.b.n && c.a.at > 0 && c.b.at > 0;
	if (!c.known)
		return c;
	c.ratio = c.b.at / c.a.at;
	c.least = c.b.least / c.a.most;
	c.most = c.a.least > 0 ? c.b.most / c.a.least : INFINITY;
	/* Fewer than six values say nothing with 95 %. */
	c.noise = (c.least <= 1 + bucket && c.most >= 1 - bucket) || c.a.n < 6 || c.b.n < 6;
	return c;
}

static const char *value_text(char text[CLI_SHORT], enum cli_measure measure, double value)
{
	if (measure != CLI_RATE)
		return cli_duration(text, (int64_t)value);
	snprintf(text, CLI_SHORT, "%.0f/s", value);
	return text;
}

/* More queries are better, longer times are worse. */
static enum cli_tint tint_of(const struct comparison *c, enum cli_measure measure)
{
	if (c->noise)
		return CLI_FAINT;
	return (c->ratio > 1) == (measure == CLI_RATE) ? CLI_GOOD : CLI_BAD;
}

static void add_row(struct cli_table *table, int intent, enum cli_measure measure,
                    const struct comparison *c)
{
	char text[CLI_SHORT], words[32];
	size_t i = 0;

	for (const char *from = cli_measure_name(measure); *from && i < sizeof(words) - 1; from++)
		words[i++] = *from == '_' ? ' ' : *from;
	words[i] = '\0';
	cli_cell(table, CLI_PLAIN, "%s", intent_names[intent]);
	cli_cell(table, CLI_PLAIN, "%s", words);
	cli_cell(table, CLI_PLAIN, "%s", value_text(text, measure, c->a.at));
	cli_cell(table, CLI_PLAIN, "%s", value_text(text, measure, c->b.at));
	cli_cell(table, tint_of(c, measure), "%.*f", c->ratio < 10 ? 2 : 0, c->ratio);
	cli_cell(table, CLI_FAINT, "%.2f to %.2f", c->least, c->most);
	cli_cell(table, tint_of(c, measure), "%s",
	         c->noise                          ? "within noise"
	         : tint_of(c, measure) == CLI_GOOD ? "better"
	                                           : "worse");
}

static void print_text(const struct cli_run *a, const struct cli_run *b)
{
	struct cli_table *table = cli_table_create("llrrrrl");

	printf("  A  %s: %s\n  B  %s: %s\n\n", a->name, a->about, b->name, b->about);
	cli_head(table, "intent|measure|A|B|B/A|surely|so B is");
	for (int i = 0; i < CLI_INTENTS; i++)
		for (int m = 0; m < CLI_MEASURES; m++) {
			struct comparison c = compare(a, b, shown[i], (enum cli_measure)m);

			if (c.known)
				add_row(table, shown[i], (enum cli_measure)m, &c);
		}
	cli_table_print(table, stdout);
	cli_table_destroy(table);
	printf("\n  failures: %" PRIu64 " and %" PRIu64
	       ". Medians over slices of the runs, the first left out; what differs between runs of\n"
	       "  the same thing is not in it: repeat them before you believe a small difference.\n",
	       a->failures, b->failures);
}

static json_t *median_document(const struct median *m)
{
	json_t *o = cli_json_object();

	cli_json_put(o, "median", json_real(m->at));
	cli_json_put(o, "least", json_real(m->least));
	cli_json_put(o, "most", json_real(m->most));
	cli_json_put(o, "slices", cli_json_int((int64_t)m->n));
	return o;
}

static json_t *comparison_document(const struct cli_run *a, const struct cli_run *b, int intent,
                                   enum cli_measure measure)
{
	struct comparison c = compare(a, b, intent, measure);
	json_t *o;

	if (!c.known)
		return json_null();
	o = cli_json_object();
	cli_json_put(o, "a", median_document(&c.a));
	cli_json_put(o, "b", median_document(&c.b));
	cli_json_put(o, "ratio", json_real(c.ratio));
	cli_json_put(o, "ratio_least", json_real(c.least));
	cli_json_put(o, "ratio_most", isinf(c.most) ? json_null() : json_real(c.most));
	cli_json_put(o, "within_noise", cli_json_bool(c.noise));
	return o;
}

static void print_json(const struct cli_run *a, const struct cli_run *b)
{
	json_t *document = cli_json_object();

	cli_json_put(document, "weir", cli_json_text(weir_version()));
	cli_json_put(document, "a", cli_json_text(a->about));
	cli_json_put(document, "b", cli_json_text(b->about));
	for (int i = 0; i < CLI_INTENTS; i++) {
		json_t *o = cli_json_object();

		for (int m = 0; m < CLI_MEASURES; m++)
			cli_json_put(o, cli_measure_name((enum cli_measure)m),
			             comparison_document(a, b, shown[i], (enum cli_measure)m));
		cli_json_put(document, intent_names[shown[i]], o);
	}
	cli_json_print(document);
}

int cli_runs_compare(const struct cli_run *a, const struct cli_run *b, bool json)
{
	if (json)
		print_json(a, b);
	else
		print_text(a, b);
	return CLI_EXIT_OK;
}

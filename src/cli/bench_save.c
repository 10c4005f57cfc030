/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A run of `weir bench` in a file, and back: the document of --json with one member more, `run`,
 * that has the slices and the histograms.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/bench_run.h"
#include "cli/json.h"
#include "cli/text.h"
#include "cli/word.h"

#define FORMAT 1

static const char *const intents[CLI_INTENTS] = {"write", "read"};

/* ---- to a file ---- */

/* [[bucket, count], ...] of those that have any. */
static json_t *hist_document(const struct cli_hist *hist)
{
	json_t *o = cli_json_object(), *buckets = cli_json_array();

	for (size_t i = 0; i < CLI_HIST_BUCKETS; i++) {
		json_t *pair;

		if (!hist->bucket[i])
			continue;
		pair = cli_json_array();
		cli_json_add(pair, cli_json_int((int64_t)i));
		cli_json_add(pair, cli_json_int((int64_t)hist->bucket[i]));
		cli_json_add(buckets, pair);
	}
	cli_json_put(o, "max_ns", cli_json_int((int64_t)hist->max));
	cli_json_put(o, "buckets", buckets);
	return o;
}

static json_t *measures_document(const struct cli_run *run, int intent)
{
	json_t *o = cli_json_object();

	for (int m = 0; m < CLI_MEASURES; m++) {
		json_t *values = cli_json_array();

		for (size_t s = 0; s < run->n_slices; s++) {
			double v = run->measure[intent][m][s];

			cli_json_add(values, isnan(v) ? json_null() : cli_json_real(v));
		}
		cli_json_put(o, cli_measure_name((enum cli_measure)m), values);
	}
	return o;
}

static json_t *part_document(const struct cli_run *run, int intent)
{
	json_t *o = cli_json_object();

	cli_json_put(o, "queries", cli_json_int((int64_t)run->all[intent].queries));
	cli_json_put(o, "slices", measures_document(run, intent));
	for (int t = 0; t < CLI_TIMES; t++)
		cli_json_put(o, cli_time_name((enum cli_time)t),
		             hist_document(&run->all[intent].time[t]));
	return o;
}

void cli_run_save(const struct cli_run *run, json_t *document, FILE *out)
{
	json_t *o = cli_json_object();

	cli_json_put(o, "format", cli_json_int(FORMAT));
	cli_json_put(o, "about", cli_json_text(run->about));
	cli_json_put(o, "seconds", json_real(run->seconds));
	cli_json_put(o, "slice_s", json_real(run->slice_s));
	cli_json_put(o, "failures", cli_json_int((int64_t)run->failures));
	cli_json_put(o, "sub_bits", cli_json_int(CLI_HIST_SUB_BITS));
	for (int i = 0; i < CLI_INTENTS; i++)
		cli_json_put(o, intents[i], part_document(run, i));
	cli_json_put(document, "run", o);
	if (json_dumpf(document, out, JSON_COMPACT | JSON_REAL_PRECISION(15)))
		fputs("weir bench: cannot write the document\n", stderr);
	putc('\n', out);
	json_decref(document);
}

/* ---- and back: nothing in the file is trusted ---- */

static bool load_hist(const json_t *o, struct cli_hist *hist)
{
	const json_t *buckets = json_object_get(o, "buckets"), *pair;
	json_int_t max = json_integer_value(json_object_get(o, "max_ns"));
	size_t i;

	if (!json_is_array(buckets) || max < 0)
		return false;
	hist->max = (uint64_t)max;
	json_array_foreach(buckets, i, pair)
	{
		json_int_t at = json_integer_value(json_array_get(pair, 0));
		json_int_t n = json_integer_value(json_array_get(pair, 1));

		if (json_array_size(pair) != 2 || at < 0 || at >= CLI_HIST_BUCKETS || n <= 0 ||
		    n > INT64_MAX / CLI_HIST_BUCKETS)
			return false;
		hist->bucket[at] += (uint64_t)n;
		hist->count += (uint64_t)n;
	}
	return true;
}

static bool load_measures(const json_t *o, struct cli_run *run, int intent)
{
	for (int m = 0; m < CLI_MEASURES; m++) {
		const json_t *values = json_object_get(o, cli_measure_name((enum cli_measure)m));

		if (!json_is_array(values) || json_array_size(values) > CLI_SLICES)
			return false;
		run->n_slices = json_array_size(values);
		for (size_t s = 0; s < run->n_slices; s++) {
			const json_t *v = json_array_get(values, s);

			run->measure[intent][m][s] = json_is_number(v) ? json_number_value(v) : NAN;
		}
	}
	return true;
}

static bool load_part(const json_t *o, struct cli_run *run, int intent)
{
	struct cli_part *part = &run->all[intent];
	bool ok = load_measures(json_object_get(o, "slices"), run, intent);

	part->queries = (uint64_t)json_integer_value(json_object_get(o, "queries"));
	for (int t = 0; ok && t < CLI_TIMES; t++)
		ok = load_hist(json_object_get(o, cli_time_name((enum cli_time)t)), &part->time[t]);
	return ok;
}

static bool load_run(const json_t *o, struct cli_run *run)
{
	const char *about = json_string_value(json_object_get(o, "about"));
	bool ok = json_integer_value(json_object_get(o, "format")) == FORMAT && about &&
	          json_integer_value(json_object_get(o, "sub_bits")) == CLI_HIST_SUB_BITS;

	cli_copy(run->about, sizeof(run->about), about ? about : "");
	run->seconds = json_number_value(json_object_get(o, "seconds"));
	run->slice_s = json_number_value(json_object_get(o, "slice_s"));
	run->failures = (uint64_t)json_integer_value(json_object_get(o, "failures"));
	for (int i = 0; ok && i < CLI_INTENTS; i++)
		ok = load_part(json_object_get(o, intents[i]), run, i);
	return ok && run->seconds > 0 && run->slice_s > 0;
}

static void name_by_file(struct cli_run *run, const char *file)
{
	const char *slash = strrchr(file, '/');

	cli_copy(run->name, sizeof(run->name), slash ? slash + 1 : file);
}

int cli_run_load(const char *file, struct cli_run *run)
{
	FILE *in = fopen(file, "re");
	json_error_t error;
	json_t *document;
	bool ok;

	if (!in) {
		fprintf(stderr, "weir bench: %s cannot be read: %s\n", file, strerror(errno));
		return CLI_EXIT_NO_INPUT;
	}
	document = json_loadf(in, 0, &error);
	fclose(in);
	ok = document && load_run(json_object_get(document, "run"), run);
	json_decref(document);
	name_by_file(run, file);
	if (ok)
		return CLI_EXIT_OK;
	fprintf(stderr, "weir bench: %s is no run that weir bench --save wrote\n", file);
	return CLI_EXIT_DATA;
}

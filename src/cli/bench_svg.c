/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The drawing of a run of `weir bench`, or of two: for reads and for writes the time that a share
 * of requests did not exceed, and below the rates over time.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <weir/weir.h>

#include "cli/bench_run.h"
#include "cli/svg.h"

#define TITLE 56
#define STEP 0.7 /* points between two that are drawn */

static const char *const intent_names[CLI_INTENTS] = {
	[WEIR_WRITE] = "writes", [WEIR_READ] = "reads"};
static const int shown[CLI_INTENTS] = {WEIR_READ, WEIR_WRITE};

struct drawing {
	const struct cli_run *const *runs;
	size_t n_runs;
	FILE *out;
};

static bool any(const struct drawing *d, int intent)
{
	for (size_t r = 0; r < d->n_runs; r++)
		if (d->runs[r]->all[intent].queries)
			return true;
	return false;
}

/* How long a connection was out, often no longer than its statement: below the line of that. */
static struct cli_stroke time_stroke(const struct drawing *d, size_t run, enum cli_time time)
{
	return (struct cli_stroke){.colour = (unsigned)time,
	                           .dashed = run + 1 < d->n_runs,
	                           .wide = time == CLI_TIME_HOLD};
}

/* Of two runs, the first is broken, the second is what one looks at. */
static struct cli_stroke stroke_of(const struct drawing *d, size_t run, unsigned colour)
{
	return (struct cli_stroke){.colour = colour, .dashed = run + 1 < d->n_runs};
}

static void add_legend(const struct drawing *d, const struct cli_frame *frame, size_t run,
                       struct cli_stroke stroke, size_t n_colours, const char *what)
{
	char text[32];

	snprintf(text, sizeof(text), "%s%s%.22s", what, d->n_runs > 1 ? ", " : "",
	         d->n_runs > 1 ? d->runs[run]->name : "");
	cli_svg_legend(d->out, frame, run * n_colours + stroke.colour, stroke, text);
}

/* Shares are drawn up to that of all but one request. */
static double last_share(const struct cli_hist *hist)
{
	return 1 - 0.5 / (double)hist->count;
}

static void draw_hist(const struct drawing *d, const struct cli_frame *frame,
                      const struct cli_hist *hist, struct cli_stroke stroke)
{
	double x = -1, before = 0;
	uint64_t seen = 0;

	if (!hist->count)
		return;
	cli_svg_line_begin(d->out, stroke);
	for (size_t i = 0; i < CLI_HIST_BUCKETS; i++) {
		double top = fmin((double)cli_hist_top(i), (double)hist->max), share;
		bool last;

		if (!hist->bucket[i])
			continue;
		/* So many need at most so long: a step up at the share before it. */
		seen += hist->bucket[i];
		share = (double)seen / (double)hist->count;
		last = seen == hist->count;
		if (x < 0 || last || cli_svg_at(&frame->x, before) - x >= STEP) {
			cli_svg_point(d->out, frame, before, top, x < 0);
			x = cli_svg_at(&frame->x, before);
		}
		if (last)
			cli_svg_point(d->out, frame, last_share(hist), top, false);
		before = share;
	}
	cli_svg_line_end(d->out);
}

/* The axes must hold every line. */
static void widen(struct cli_frame *frame, const struct cli_hist *hist)
{
	uint64_t first = 1;

	if (!hist->count)
		return;
	for (size_t i = 0; i < CLI_HIST_BUCKETS && hist->bucket[i] == 0; i++)
		first = cli_hist_top(i + 1);
	frame->y.least = fmin(frame->y.least, pow(10, floor(log10(fmax((double)first, 1)))));
	frame->y.most = fmax(frame->y.most, pow(10, ceil(log10(fmax((double)hist->max, 2)))));
	frame->x.most = fmax(frame->x.most, last_share(hist));
}

static void draw_times(const struct drawing *d, int intent, double top)
{
	char title[64];
	struct cli_frame frame = {
		.x = {.scale = CLI_PERCENT, .most = 0.99, .title = "share of requests"},
		.y = {.scale = CLI_LOG, .least = 1e12, .most = 1, .title = "no longer than"},
		.title = title,
	};

	snprintf(title, sizeof(title), "Times of %s", intent_names[intent]);
	for (size_t r = 0; r < d->n_runs; r++)
		for (int t = 0; t < CLI_TIMES; t++)
			widen(&frame, &d->runs[r]->all[intent].time[t]);
	cli_svg_place(&frame, top);
	cli_svg_frame(d->out, &frame);
	for (size_t r = 0; r < d->n_runs; r++)
		for (int t = CLI_TIMES - 1; t >= 0; t--) {
			enum cli_time time = (enum cli_time)t;
			struct cli_stroke stroke = time_stroke(d, r, time);

			draw_hist(d, &frame, &d->runs[r]->all[intent].time[t], stroke);
			add_legend(d, &frame, r, stroke, CLI_TIMES, cli_time_name(time));
		}
}

/* A level for each slice. */
static void draw_rate(const struct drawing *d, const struct cli_frame *frame, size_t r, int intent,
                      struct cli_stroke stroke)
{
	const struct cli_run *run = d->runs[r];

	if (!run->n_slices)
		return;
	cli_svg_line_begin(d->out, stroke);
	for (size_t s = 0; s < run->n_slices; s++) {
		double rate = run->measure[intent][CLI_RATE][s];

		cli_svg_point(d->out, frame, (double)s * run->slice_s, rate, s == 0);
		cli_svg_point(d->out, frame, (double)(s + 1) * run->slice_s, rate, false);
	}
	cli_svg_line_end(d->out);
}

static void draw_rates(const struct drawing *d, double top)
{
	struct cli_frame frame = {
		.x = {.most = 0.1, .title = "seconds since the load began"},
		.y = {.most = 1, .title = "queries a second"},
		.title = "Rates over time",
	};

	for (size_t r = 0; r < d->n_runs; r++) {
		const struct cli_run *run = d->runs[r];

		frame.x.most = fmax(frame.x.most, run->slice_s * (double)run->n_slices);
		for (int i = 0; i < CLI_INTENTS; i++)
			for (size_t s = 0; s < run->n_slices; s++)
				frame.y.most =
					fmax(frame.y.most, run->measure[i][CLI_RATE][s] * 1.06);
	}
	cli_svg_place(&frame, top);
	cli_svg_frame(d->out, &frame);
	for (size_t r = 0; r < d->n_runs; r++)
		for (unsigned i = 0; i < CLI_INTENTS; i++) {
			draw_rate(d, &frame, r, shown[i], stroke_of(d, r, i));
			add_legend(d, &frame, r, stroke_of(d, r, i), CLI_INTENTS,
			           intent_names[shown[i]]);
		}
}

void cli_run_draw(const struct cli_run *const runs[], size_t n_runs, FILE *out)
{
	struct drawing d = {.runs = runs, .n_runs = n_runs, .out = out};
	double top = TITLE + 18 * (double)(n_runs - 1);
	char line[256];
	int panels = 1;

	for (int i = 0; i < CLI_INTENTS; i++)
		panels += any(&d, i);
	cli_svg_begin(out, top + panels * (double)CLI_FRAME_HEIGHT, "weir bench");
	for (size_t r = 0; r < n_runs; r++) {
		snprintf(line, sizeof(line), "%s%s%s%s", runs[r]->name, *runs[r]->name ? ": " : "",
		         runs[r]->about, n_runs > 1 ? r ? " (solid)" : " (dashed)" : "");
		cli_svg_note(out, 28 + 18 * (double)r, line);
	}
	for (int i = 0; i < CLI_INTENTS; i++)
		if (any(&d, shown[i])) {
			draw_times(&d, shown[i], top);
			top += CLI_FRAME_HEIGHT;
		}
	draw_rates(&d, top);
	cli_svg_end(out);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A drawing as SVG: lines in frames with axes, readable on light and on dark ground, with nothing
 * in it that comes from elsewhere.
 */
#ifndef CLI_SVG_H
#define CLI_SVG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CLI_SVG_WIDTH 820

enum cli_scale {
	CLI_LINEAR, /* from 0 */
	CLI_LOG,    /* durations in ns, ticks at powers of ten */
	/* shares: 0, 90 %, 99 %, 99.9 %, ... at equal distances, as HdrHistogram draws */
	CLI_PERCENT,
};

struct cli_axis {
	enum cli_scale scale;
	double least, most; /* values at its ends */
	double start, end;  /* points there */
	const char *title;  /* with the unit */
};

struct cli_frame {
	struct cli_axis x, y;
	const char *title;
};

/* What a line looks like. */
struct cli_stroke {
	unsigned colour; /* 0 to 5 */
	bool dashed;
	bool wide; /* and faint, so that a line on it is seen */
};

/* Where a frame stands that begins `top` points from above; scales and ends are the caller's. */
#define CLI_FRAME_HEIGHT 330
void cli_svg_place(struct cli_frame *frame, double top);

void cli_svg_begin(FILE *out, double height, const char *title);
void cli_svg_end(FILE *out);
void cli_svg_frame(FILE *out, const struct cli_frame *frame);

/* A line is begun, goes through points one after the other, and ends. */
void cli_svg_line_begin(FILE *out, struct cli_stroke stroke);
void cli_svg_point(FILE *out, const struct cli_frame *frame, double x, double y, bool first);
void cli_svg_line_end(FILE *out);

/* The i-th row of the legend beside the frame. */
void cli_svg_legend(FILE *out, const struct cli_frame *frame, size_t i, struct cli_stroke stroke,
                    const char *text);

/* A line of text below a title. */
void cli_svg_note(FILE *out, double y, const char *text);

/* Where a value lies on its axis. */
double cli_svg_at(const struct cli_axis *axis, double value);

#endif

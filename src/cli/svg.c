/* SPDX-License-Identifier: BSD-2-Clause */
/* A drawing as SVG. */
#include "cli/svg.h"

#include <math.h>
#include <stdint.h>

#include "cli/text.h"

#define LEFT 78
#define RIGHT 190
#define TOP 40
#define BOTTOM 52

/* The colours of bench/report/svg.py: told apart also by those who see colours differently. */
static const char style[] =
	"<style>\n"
	"text { font: 12px sans-serif; fill: #24292f; }\n"
	".title { font-size: 15px; font-weight: bold; }\n"
	".ground { fill: #ffffff; }\n"
	".axis { stroke: #57606a; fill: none; }\n"
	".grid { stroke: #d0d7de; fill: none; }\n"
	".line { fill: none; stroke-width: 2; stroke-linejoin: round; }\n"
	".wide { stroke-width: 7; opacity: 0.4; }\n"
	".dashed { stroke-dasharray: 6 4; }\n"
	".s0 { stroke: #1f6fb4; } .s1 { stroke: #c75f00; } .s2 { stroke: #1c7f3d; }\n"
	".s3 { stroke: #b3261e; } .s4 { stroke: #6b4fb0; } .s5 { stroke: #7a5a44; }\n"
	"@media (prefers-color-scheme: dark) {\n"
	"text { fill: #e6edf3; }\n"
	".ground { fill: #0d1117; }\n"
	".axis { stroke: #9aa4ae; }\n"
	".grid { stroke: #3d444d; }\n"
	".s0 { stroke: #6cb6ff; } .s1 { stroke: #ffa657; } .s2 { stroke: #7ee787; }\n"
	".s3 { stroke: #ff8a80; } .s4 { stroke: #c3a6ff; } .s5 { stroke: #d2b48c; }\n"
	"}\n"
	"</style>\n";

/* What is not ASCII is not known to be UTF-8 (a file's name may be anything). */
static void print_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '&')
			fputs("&amp;", out);
		else if (c == '<')
			fputs("&lt;", out);
		else if (c == '"')
			fputs("&quot;", out);
		else
			putc(c < ' ' || c > '~' ? '?' : c, out);
	}
}

void cli_svg_begin(FILE *out, double height, const char *title)
{
	fprintf(out,
	        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" "
	        "height=\"%.0f\" role=\"img\">\n<title>",
	        CLI_SVG_WIDTH, height, CLI_SVG_WIDTH, height);
	print_text(out, title);
	fprintf(out, "</title>\n%s<rect class=\"ground\" width=\"%d\" height=\"%.0f\"/>\n", style,
	        CLI_SVG_WIDTH, height);
}

void cli_svg_end(FILE *out)
{
	fputs("</svg>\n", out);
}

void cli_svg_place(struct cli_frame *frame, double top)
{
	frame->x.start = LEFT;
	frame->x.end = CLI_SVG_WIDTH - RIGHT;
	frame->y.start = top + CLI_FRAME_HEIGHT - BOTTOM;
	frame->y.end = top + TOP;
}

/* Shares by the logarithm of how many are beyond, values of a logarithmic axis by theirs. */
static double measure(const struct cli_axis *axis, double value)
{
	switch (axis->scale) {
	case CLI_LOG:
		return log10(value > 1 ? value : 1);
	case CLI_PERCENT:
		return -log10(1 - value > 1e-12 ? 1 - value : 1e-12);
	case CLI_LINEAR:
		break;
	}
	return value;
}

double cli_svg_at(const struct cli_axis *axis, double value)
{
	double least = measure(axis, axis->least), most = measure(axis, axis->most);
	double share = most > least ? (measure(axis, value) - least) / (most - least) : 0;

	return axis->start + fmin(fmax(share, 0), 1) * (axis->end - axis->start);
}

/* A power of ten of nanoseconds, as short as it goes: "10 ms". */
static void name_power(char text[CLI_SHORT], double ns)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	size_t unit = 0;

	for (; unit < 3 && ns >= 999; unit++)
		ns /= 1000;
	snprintf(text, CLI_SHORT, "%.0f %s", ns, units[unit]);
}

/* The i-th tick: its value and what it is called. false: there is no such tick. */
static bool tick(const struct cli_axis *axis, int i, double *value, char text[CLI_SHORT])
{
	double step;

	switch (axis->scale) {
	case CLI_LOG:
		*value = pow(10, ceil(log10(axis->least) - 1e-9) + i);
		name_power(text, *value);
		break;
	case CLI_PERCENT:
		*value = 1 - pow(10, -i);
		snprintf(text, CLI_SHORT, "%.*f %%", i > 2 ? i - 2 : 0, *value * 100);
		break;
	case CLI_LINEAR:
		step = pow(10, floor(log10(axis->most / 4)));
		step *= axis->most / step > 20 ? 5 : axis->most / step > 8 ? 2 : 1;
		*value = step * i;
		snprintf(text, CLI_SHORT, *value >= 10000 ? "%.4g k" : "%.4g",
		         *value >= 10000 ? *value / 1000 : *value);
		break;
	}
	return measure(axis, *value) <= measure(axis, axis->most) + 1e-9;
}

static void print_ticks(FILE *out, const struct cli_frame *frame)
{
	char text[CLI_SHORT];
	double value;

	for (int i = 0; tick(&frame->y, i, &value, text); i++)
		fprintf(out,
		        "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>"
		        "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
		        frame->x.start, cli_svg_at(&frame->y, value), frame->x.end,
		        frame->x.start - 8, cli_svg_at(&frame->y, value) + 4, text);
	for (int i = 0; tick(&frame->x, i, &value, text); i++)
		fprintf(out,
		        "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>"
		        "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
		        cli_svg_at(&frame->x, value), frame->y.start, frame->y.end,
		        cli_svg_at(&frame->x, value), frame->y.start + 18, text);
}

void cli_svg_frame(FILE *out, const struct cli_frame *frame)
{
	double middle = (frame->y.start + frame->y.end) / 2;

	fprintf(out, "<text class=\"title\" x=\"%.1f\" y=\"%.1f\">", frame->x.start,
	        frame->y.end - 14);
	print_text(out, frame->title);
	fputs("</text>\n", out);
	print_ticks(out, frame);
	fprintf(out, "<path class=\"axis\" d=\"M%.1f %.1fV%.1fH%.1f\"/>\n", frame->x.start,
	        frame->y.end, frame->y.start, frame->x.end);
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
	        (frame->x.start + frame->x.end) / 2, frame->y.start + 38, frame->x.title);
	fprintf(out,
	        "<text transform=\"translate(16 %.1f) rotate(-90)\" text-anchor=\"middle\">"
	        "%s</text>\n",
	        middle, frame->y.title);
}

static void print_class(FILE *out, struct cli_stroke stroke)
{
	fprintf(out, "class=\"line s%u%s%s\"", stroke.colour, stroke.dashed ? " dashed" : "",
	        stroke.wide ? " wide" : "");
}

void cli_svg_line_begin(FILE *out, struct cli_stroke stroke)
{
	fputs("<path ", out);
	print_class(out, stroke);
	fputs(" d=\"", out);
}

void cli_svg_point(FILE *out, const struct cli_frame *frame, double x, double y, bool first)
{
	fprintf(out, "%c%.1f %.1f", first ? 'M' : 'L', cli_svg_at(&frame->x, x),
	        cli_svg_at(&frame->y, y));
}

void cli_svg_line_end(FILE *out)
{
	fputs("\"/>\n", out);
}

void cli_svg_legend(FILE *out, const struct cli_frame *frame, size_t i, struct cli_stroke stroke,
                    const char *text)
{
	double x = frame->x.end + 16, y = frame->y.end + 8 + 20 * (double)i;

	fputs("<path ", out);
	print_class(out, stroke);
	fprintf(out, " d=\"M%.1f %.1fh26\"/><text x=\"%.1f\" y=\"%.1f\">", x, y, x + 34, y + 4);
	print_text(out, text);
	fputs("</text>\n", out);
}

void cli_svg_note(FILE *out, double y, const char *text)
{
	fprintf(out, "<text x=\"%d\" y=\"%.1f\">", LEFT, y);
	print_text(out, text);
	fputs("</text>\n", out);
}

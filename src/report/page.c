/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing families and samples; sizes, escapes and numbers are all here. */
#include "report/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

#define FIRST_ROOM 16384

/* ---- text ---- */

static bool make_room(struct wi_page *p, size_t more)
{
	size_t room = p->room ? p->room : FIRST_ROOM;
	char *text;

	while (room - p->len < more)
		room *= 2;
	if (room == p->room)
		return true;
	text = wi_alloc(room);
	if (!text) {
		p->failed = true;
		return false;
	}
	if (p->text)
		memcpy(text, p->text, p->len);
	wi_free(p->text, p->room);
	p->text = text;
	p->room = room;
	return true;
}

static void put_bytes(struct wi_page *p, const char *bytes, size_t n)
{
	if (p->failed || !make_room(p, n))
		return;
	memcpy(p->text + p->len, bytes, n);
	p->len += n;
}

static void put(struct wi_page *p, const char *text)
{
	put_bytes(p, text, strlen(text));
}

/* Both formats know these three; a quote is nothing special in a help of Prometheus. */
static void put_escaped(struct wi_page *p, const char *text, bool quotes)
{
	for (; *text; text++) {
		if (*text == '\n')
			put(p, "\\n");
		else if (*text == '\\')
			put(p, "\\\\");
		else if (*text == '"' && quotes)
			put(p, "\\\"");
		else
			put_bytes(p, text, 1);
	}
}

/* ---- numbers: where there is a point, printf would ask the host's locale what that is ---- */

static void put_whole(struct wi_page *p, uint64_t value)
{
	char digits[24];

	(void)snprintf(digits, sizeof(digits), "%" PRIu64, value);
	put(p, digits);
}

/* value / 10^places, without zeros at the end. point: there is one, whatever follows. */
static void put_decimal(struct wi_page *p, uint64_t value, unsigned places, bool point)
{
	char digits[24] = "";
	uint64_t rest;

	for (unsigned i = places; i > 0; i--) {
		rest = value % 10;
		value /= 10;
		digits[i - 1] = (char)(rest || digits[i] ? '0' + (char)rest : '\0');
	}
	put_whole(p, value);
	if (digits[0] || point)
		put(p, ".");
	put(p, digits[0] || !point ? digits : "0");
}

static void put_value(struct wi_page *p, uint64_t value)
{
	switch (p->unit) {
	case WI_UNIT_SECONDS:
		put_decimal(p, value, 9, false);
		break;
	case WI_UNIT_RATIO:
		put_decimal(p, value, 2, false);
		break;
	case WI_UNIT_NONE:
	case WI_UNIT_BYTES:
		put_whole(p, value);
		break;
	}
}

/* ---- families ---- */

static const char *type_name(const struct wi_page *p)
{
	switch (p->type) {
	case WI_METRIC_COUNTER:
		return "counter";
	case WI_METRIC_HISTOGRAM:
		return "histogram";
	case WI_METRIC_STATES:
		return p->open_metrics ? "stateset" : "gauge";
	case WI_METRIC_INFO:
		return p->open_metrics ? "info" : "gauge";
	case WI_METRIC_GAUGE:
		break;
	}
	return "gauge";
}

static const char *unit_name(enum wi_metric_unit unit)
{
	switch (unit) {
	case WI_UNIT_SECONDS:
		return "seconds";
	case WI_UNIT_BYTES:
		return "bytes";
	case WI_UNIT_RATIO:
		return "ratio";
	case WI_UNIT_NONE:
		break;
	}
	return NULL;
}

/* What a sample's name has more than the family's. */
static const char *suffix(const struct wi_page *p)
{
	if (p->type == WI_METRIC_COUNTER)
		return "_total";
	return p->type == WI_METRIC_INFO ? "_info" : "";
}

static void put_head_line(struct wi_page *p, const char *what, const char *word)
{
	put(p, "# ");
	put(p, what);
	put(p, " ");
	put(p, p->name);
	if (!p->open_metrics) /* there the family is called as its samples are */
		put(p, suffix(p));
	put(p, " ");
	put_escaped(p, word, p->open_metrics);
	put(p, "\n");
}

static void begin(struct wi_page *p)
{
	if (p->begun)
		return;
	p->begun = true;
	put_head_line(p, "HELP", p->help);
	put_head_line(p, "TYPE", type_name(p));
	if (p->open_metrics && unit_name(p->unit))
		put_head_line(p, "UNIT", unit_name(p->unit));
}

void wi_page_family(struct wi_page *p, const char *name, enum wi_metric_type type,
                    enum wi_metric_unit unit, const char *help)
{
	p->name = name;
	p->type = type;
	p->unit = unit;
	p->help = help;
	p->begun = false;
}

/* ---- samples ---- */

/* A name and its labels; the braces stay open. Whether there were any. */
static bool put_open(struct wi_page *p, const char *ending, const struct wi_label *labels, size_t n)
{
	bool any = false;

	begin(p);
	put(p, p->name);
	put(p, ending);
	for (size_t i = 0; i < n; i++) {
		if (!labels[i].value)
			continue;
		put(p, any ? "," : "{");
		put(p, labels[i].name);
		put(p, "=\"");
		put_escaped(p, labels[i].value, true);
		put(p, "\"");
		any = true;
	}
	return any;
}

static void put_name(struct wi_page *p, const char *ending, const struct wi_label *labels, size_t n)
{
	put(p, put_open(p, ending, labels, n) ? "} " : " ");
}

void wi_page_sample(struct wi_page *p, const struct wi_label *labels, size_t n, int64_t value)
{
	if (value < 0)
		return;
	put_name(p, suffix(p), labels, n);
	put_value(p, (uint64_t)value);
	put(p, "\n");
}

static void put_bucket(struct wi_page *p, const struct wi_label *labels, size_t n, size_t i,
                       uint64_t count)
{
	put(p, put_open(p, "_bucket", labels, n) ? ",le=\"" : "{le=\"");
	if (i < WEIR_HISTOGRAM_BOUNDS)
		put_decimal(p, (uint64_t)weir_histogram_bound_ns(i), 9, true);
	else
		put(p, "+Inf");
	put(p, "\"} ");
	put_whole(p, count);
	put(p, "\n");
}

void wi_page_histogram(struct wi_page *p, const struct wi_label *labels, size_t n,
                       const weir_histogram *h)
{
	uint64_t count = 0;

	for (size_t i = 0; i <= WEIR_HISTOGRAM_BOUNDS; i++) {
		count += h->bucket[i];
		put_bucket(p, labels, n, i, count);
	}
	put_name(p, "_sum", labels, n);
	put_value(p, h->sum_ns);
	put(p, "\n");
	put_name(p, "_count", labels, n);
	put_whole(p, count);
	put(p, "\n");
}

void wi_page_end(struct wi_page *p)
{
	if (p->open_metrics)
		put(p, "# EOF\n");
}

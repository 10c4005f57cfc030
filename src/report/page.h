/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A text of metrics under construction, as Prometheus (text format 0.0.4) or OpenMetrics (1.0.0)
 * has it: families, each with its samples together, and no locale in its numbers.
 */
#ifndef WI_REPORT_PAGE_H
#define WI_REPORT_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/report.h>
#include <weir/stats.h>

enum wi_metric_type {
	WI_METRIC_GAUGE,
	WI_METRIC_COUNTER,
	WI_METRIC_HISTOGRAM,
	WI_METRIC_STATES,
	WI_METRIC_INFO
};

/* What a value is counted in, where it comes in smaller parts: nanoseconds, percent. */
enum wi_metric_unit { WI_UNIT_NONE, WI_UNIT_SECONDS, WI_UNIT_BYTES, WI_UNIT_RATIO };

struct wi_label {
	const char *name;
	const char *value; /* NULL: it has none, and is left out */
};

#define WI_LABELS_MOST 5

struct wi_page {
	char *text; /* of wi_alloc, with `room` */
	size_t len, room;
	bool open_metrics;
	bool failed; /* no memory: what comes now is dropped */

	/* the family that is being written */
	const char *name;
	enum wi_metric_type type;
	enum wi_metric_unit unit;
	const char *help;
	bool begun; /* its head is written: families without samples are not there at all */
};

void wi_page_family(struct wi_page *page, const char *name, enum wi_metric_type type,
                    enum wi_metric_unit unit, const char *help);

/* A sample of the family. value below 0: unknown, and left out. */
void wi_page_sample(struct wi_page *page, const struct wi_label *labels, size_t n, int64_t value);

/* Its buckets, sum and count. */
void wi_page_histogram(struct wi_page *page, const struct wi_label *labels, size_t n,
                       const weir_histogram *histogram);

/* What OpenMetrics ends with. */
void wi_page_end(struct wi_page *page);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The metrics that have more than one sample of a pool, a host or a router: SET in metrics.def. */
#ifndef WI_REPORT_SETS_H
#define WI_REPORT_SETS_H

#include <stdbool.h>
#include <stdint.h>

#include "report/page.h"

/* Whom samples are about: the labels that all of his have. */
struct wi_subject {
	struct wi_page *page;
	const char *source, *host; /* NULL: no such label */
	bool otel;                 /* the host's label is OpenTelemetry's */
};

/* The page's family has one sample of him, or one histogram. */
void wi_put_value(const struct wi_subject *subject, int64_t value);
void wi_put_times(const struct wi_subject *subject, const weir_histogram *histogram);

void wi_set_otel_count(const struct wi_subject *subject, const weir_pool_stats *s);
void wi_set_connections(const struct wi_subject *subject, const weir_pool_stats *s);
void wi_set_closed(const struct wi_subject *subject, const weir_pool_stats *s);
void wi_set_connect_failures(const struct wi_subject *subject, const weir_pool_stats *s);
void wi_set_breaker_state(const struct wi_subject *subject, const weir_pool_stats *s);
void wi_set_refused(const struct wi_subject *subject, const weir_pool_stats *s);
void wi_set_queries(const struct wi_subject *subject, const weir_pool_stats *s);
void wi_set_query_errors(const struct wi_subject *subject, const weir_pool_stats *s);
void wi_set_transactions(const struct wi_subject *subject, const weir_pool_stats *s);
void wi_set_checkouts(const struct wi_subject *subject, const weir_host_stats *h);
void wi_set_host_role(const struct wi_subject *subject, const weir_host_stats *h);
void wi_set_failed(const struct wi_subject *subject, const weir_stats *t);
void wi_set_hosts(const struct wi_subject *subject, const weir_stats *t);
void wi_set_alerts(const struct wi_subject *subject, const weir_metrics_source *of);
void wi_set_events(const struct wi_subject *subject, const weir_metrics_source *of);
void wi_set_build(const struct wi_subject *subject, const weir_metrics_source *of);

#endif

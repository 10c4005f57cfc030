/* SPDX-License-Identifier: BSD-2-Clause */
/* Statistics as text for a monitoring system to fetch: docs/metrics.md lists what is in it. */
#ifndef WEIR_REPORT_H
#define WEIR_REPORT_H

#include <stddef.h>

#include <weir/export.h>
#include <weir/pool.h>
#include <weir/router.h>
#include <weir/status.h>

WEIR_BEGIN

/* The form of the text. */
typedef enum weir_metrics_format {
	WEIR_METRICS_PROMETHEUS = 0, /* Prometheus text exposition format 0.0.4 */
	WEIR_METRICS_OPENMETRICS = 1 /* OpenMetrics 1.0.0 */
} weir_metrics_format;

/* What metrics are of: one router or one pool. */
typedef struct weir_metrics_source {
	const char *name; /* its label `source`, to tell several apart; NULL: none */
	weir_router *router;
	weir_pool *pool;
} weir_metrics_source;

/*
 * Writes a router's metrics, or a pool's, as one text: *text ends with a zero byte, which *length
 * (may be NULL) does not count. The caller frees it with weir_text_free. Names and meanings are
 * OpenTelemetry's (semantic conventions, db.client.connection.*) as far as it has them. Labels are
 * hosts, roles, reasons and the like, so there is a bound to how many there are: never SQL, a
 * user's tag, or a secret.
 *
 * Any thread; does not wait for anybody. O(connections + threads + hosts), and some ten kilobytes
 * a host: for fetching every few seconds. Statuses: OK, INVALID (a NULL, an unknown format),
 * NO_MEMORY; then *text is NULL.
 */
WEIR_API WEIR_CHECKED weir_status weir_router_metrics(weir_router *router,
                                                      weir_metrics_format format, char **text,
                                                      size_t *length, weir_error *error);
WEIR_API WEIR_CHECKED weir_status weir_pool_metrics(weir_pool *pool, weir_metrics_format format,
                                                    char **text, size_t *length, weir_error *error);

/* The same of several in one text, as one process may have only one. No two names are alike. */
WEIR_API WEIR_CHECKED weir_status weir_metrics(const weir_metrics_source *sources, size_t n_sources,
                                               weir_metrics_format format, char **text,
                                               size_t *length, weir_error *error);

/* The Content-Type that a text of this format is served with. Any thread; static storage. */
WEIR_API const char *weir_metrics_content_type(weir_metrics_format format);

/* Frees what weir_router_metrics and its kin have returned. NULL is a no-op. Any thread. */
WEIR_API void weir_text_free(char *text);

WEIR_END

#endif

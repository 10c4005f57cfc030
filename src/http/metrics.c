/* SPDX-License-Identifier: BSD-2-Clause */
/* /metrics: in which of the two texts. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <weir/report.h>

#include "http/http.h"

/* ---- the Accept header (RFC 9110, 12.5.1) ---- */

/* The weight of one of its ranges, in thousandths. */
static int weight_of(const char *range, size_t n)
{
	for (size_t i = 0; i + 3 < n; i++) {
		size_t at = i + 1 + strspn(range + i + 1, " \t");

		if (range[i] == ';' && strncasecmp(range + at, "q=", 2) == 0)
			return (int)(strtod(range + at + 2, NULL) * 1000 + 0.5);
	}
	return 1000;
}

static bool is_range(const char *range, size_t n, const char *type)
{
	size_t length = strlen(type);

	return n >= length && strncasecmp(range, type, length) == 0 &&
	       (n == length || strchr("; \t", range[length]));
}

bool wi_metrics_wants_open(const char *accept)
{
	int open = 0, plain = 0;

	while (accept && *accept) {
		size_t n;
		int weight;

		accept += strspn(accept, " \t,");
		n = strcspn(accept, ",");
		weight = weight_of(accept, n);
		if (is_range(accept, n, "application/openmetrics-text"))
			open = weight > open ? weight : open;
		else if (is_range(accept, n, "text/plain"))
			plain = weight > plain ? weight : plain;
		accept += n;
	}
	return open > 0 && open >= plain;
}

/* ---- the text ---- */

void wi_metrics_body(struct weir_http *http, const char *accept, struct wi_body *body)
{
	weir_metrics_format format =
		wi_metrics_wants_open(accept) ? WEIR_METRICS_OPENMETRICS : WEIR_METRICS_PROMETHEUS;
	weir_metrics_source sources[WEIR_HTTP_SOURCES_MAX];
	char *text;

	for (uint32_t i = 0; i < http->n_sources; i++)
		sources[i] = (weir_metrics_source){.name = http->source[i].name,
		                                   .router = http->source[i].router,
		                                   .pool = http->source[i].pool};
	body->code = 200;
	body->type = weir_metrics_content_type(format);
	if (weir_metrics(sources, http->n_sources, format, &text, &body->length, NULL) != WEIR_OK)
		return;
	/* weir's memory may be another allocator's than libmicrohttpd frees */
	body->text = malloc(body->length + 1);
	if (body->text)
		memcpy(body->text, text, body->length + 1);
	weir_text_free(text);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What metrics.def lists, read from the public statistics and written as one text. Everything is
 * read first, then written family by family, as the samples of one belong together.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "report/sets.h"

#define NS_A_MS INT64_C(1000000)

/* One source, as it was read. */
struct shot {
	const weir_metrics_source *of;
	weir_host_stats *host; /* of a pool: one, of which only `pool` means something */
	size_t n_hosts, room;
	weir_stats *router; /* NULL: a pool */
};

struct report {
	struct wi_page page;
	struct shot *shot;
	size_t n;
};

/* ---- reading ---- */

static bool make_hosts(struct shot *s, size_t room)
{
	s->host = wi_alloc(room * sizeof(*s->host));
	s->room = s->host ? room : 0;
	return s->host != NULL;
}

/* Hosts that are added between the two calls are in the next text. */
static bool read_router(struct shot *s)
{
	size_t room = weir_router_stats_get(s->of->router, NULL, 0);

	s->router = wi_alloc(sizeof(*s->router));
	if (!s->router || !make_hosts(s, room ? room : 1))
		return false;
	s->n_hosts = weir_router_stats_get(s->of->router, s->host, s->room);
	if (s->n_hosts > s->room)
		s->n_hosts = s->room;
	weir_stats_get(s->of->router, s->router);
	return true;
}

static bool read_pool(struct shot *s)
{
	if (!make_hosts(s, 1))
		return false;
	s->n_hosts = 1;
	weir_pool_stats_get(s->of->pool, &s->host[0].pool);
	return true;
}

static bool read_all(struct report *r, const weir_metrics_source *sources, size_t n)
{
	r->shot = wi_alloc(n * sizeof(*r->shot));
	if (!r->shot)
		return false;
	r->n = n;
	for (size_t i = 0; i < n; i++) {
		r->shot[i].of = &sources[i];
		if (!(sources[i].router ? read_router(&r->shot[i]) : read_pool(&r->shot[i])))
			return false;
	}
	return true;
}

static void forget(struct report *r)
{
	for (size_t i = 0; i < r->n; i++) {
		wi_free(r->shot[i].host, r->shot[i].room * sizeof(*r->shot[i].host));
		wi_free(r->shot[i].router, sizeof(*r->shot[i].router));
	}
	wi_free(r->shot, r->n * sizeof(*r->shot));
	wi_free(r->page.text, r->page.room);
}

/* ---- writing ---- */

static int64_t of_ms(int64_t ms)
{
	return ms < 0 ? -1 : ms * NS_A_MS;
}

/*
 * A row of metrics.def becomes a function that writes its sample of one subject; h, s, t and `of`
 * are what it may speak of, those that there are: of ALL, t of a router, s of a pool without one.
 */
struct row {
	const char *name, *help;
	enum wi_metric_type type;
	enum wi_metric_unit unit;
	enum { SCOPE_OTEL, SCOPE_POOL, SCOPE_HOST, SCOPE_ROUTER, SCOPE_ALL } scope;
	void (*write)(const struct wi_subject *u, const weir_host_stats *h,
	              const weir_pool_stats *s, const weir_stats *t, const weir_metrics_source *of);
};

#define WRITER(name, ...)                                                                          \
	static void write_##name(const struct wi_subject *u, const weir_host_stats *h,             \
	                         const weir_pool_stats *s, const weir_stats *t,                    \
	                         const weir_metrics_source *of)                                    \
	{                                                                                          \
		(void)h;                                                                           \
		(void)s;                                                                           \
		(void)t;                                                                           \
		(void)of;                                                                          \
		__VA_ARGS__;                                                                       \
	}
#define OTEL_SAYS s
#define POOL_SAYS s
#define HOST_SAYS h
#define ROUTER_SAYS t
#define ALL_SAYS of
#define VALUE(scope, type, name, unit, expression, help)                                           \
	WRITER(name, wi_put_value(u, (int64_t)(expression)))
#define SET(scope, type, name, labels, what, help) WRITER(name, wi_set_##what(u, scope##_SAYS))
#define TIMES(scope, name, expression, help) WRITER(name, wi_put_times(u, &(expression)))
#include "report/metrics.def"
#undef VALUE
#undef SET
#undef TIMES

static const struct row rows[] = {
#define VALUE(scope, type, name, unit, expression, help)                                           \
	{#name, help, WI_METRIC_##type, WI_UNIT_##unit, SCOPE_##scope, write_##name},
#define SET(scope, type, name, labels, what, help)                                                 \
	{#name, help, WI_METRIC_##type, WI_UNIT_NONE, SCOPE_##scope, write_##name},
#define TIMES(scope, name, expression, help)                                                       \
	{#name, help, WI_METRIC_HISTOGRAM, WI_UNIT_SECONDS, SCOPE_##scope, write_##name},
#include "report/metrics.def"
#undef VALUE
#undef SET
#undef TIMES
};

static void write_hosts(struct wi_page *page, const struct row *row, const struct shot *shot)
{
	for (size_t i = 0; i < shot->n_hosts; i++) {
		const weir_host_stats *h = &shot->host[i];
		const struct wi_subject u = {page, shot->of->name, h->pool.host,
		                             row->scope == SCOPE_OTEL};

		row->write(&u, h, &h->pool, shot->router, shot->of);
	}
}

static void write_row(struct wi_page *page, const struct row *row, const struct shot *shot)
{
	const struct wi_subject u = {page, shot->of->name, NULL, false};

	switch (row->scope) {
	case SCOPE_OTEL:
	case SCOPE_POOL:
		write_hosts(page, row, shot);
		break;
	case SCOPE_HOST:
		if (shot->router)
			write_hosts(page, row, shot);
		break;
	case SCOPE_ROUTER:
		if (shot->router)
			row->write(&u, NULL, NULL, shot->router, shot->of);
		break;
	case SCOPE_ALL:
		row->write(&u, NULL, shot->router ? NULL : &shot->host[0].pool, shot->router,
		           shot->of);
		break;
	}
}

static void write_all(struct report *r)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		wi_page_family(&r->page, row->name, row->type, row->unit, row->help);
		for (size_t k = 0; k < r->n; k++)
			write_row(&r->page, row, &r->shot[k]);
	}
	wi_page_end(&r->page);
}

/* ---- the public calls ---- */

static weir_status check(const weir_metrics_source *sources, size_t n, weir_metrics_format format,
                         char **text, weir_error *error)
{
	if (!text || !sources || !n)
		return wi_fail(error, WEIR_INVALID, "weir_metrics: %s",
		               text ? "no source" : "text is NULL");
	if ((unsigned)format > WEIR_METRICS_OPENMETRICS)
		return wi_fail(error, WEIR_INVALID, "unknown format of metrics %d", (int)format);
	for (size_t i = 0; i < n; i++)
		if (!sources[i].router == !sources[i].pool)
			return wi_fail(error, WEIR_INVALID,
			               "weir_metrics: source %zu is not one router or one pool", i);
	return WEIR_OK;
}

/* A text knows how long it is, as its memory is given back with its size. */
struct owned {
	size_t size;
	char text[];
};

static char *own(const struct wi_page *page)
{
	size_t size = sizeof(struct owned) + page->len + 1;
	struct owned *o = page->failed ? NULL : wi_alloc(size);

	if (!o)
		return NULL;
	o->size = size;
	memcpy(o->text, page->text, page->len);
	o->text[page->len] = '\0';
	return o->text;
}

void weir_text_free(char *text)
{
	struct owned *o;

	if (!text)
		return;
	o = (struct owned *)(void *)(text - offsetof(struct owned, text));
	wi_free(o, o->size);
}

weir_status weir_metrics(const weir_metrics_source *sources, size_t n_sources,
                         weir_metrics_format format, char **text, size_t *length, weir_error *error)
{
	struct report r = {.page.open_metrics = format == WEIR_METRICS_OPENMETRICS};
	weir_status st = check(sources, n_sources, format, text, error);

	if (text)
		*text = NULL;
	if (length)
		*length = 0;
	if (st != WEIR_OK)
		return st;
	if (read_all(&r, sources, n_sources)) {
		write_all(&r);
		*text = own(&r.page);
	}
	if (*text && length)
		*length = r.page.len;
	forget(&r);
	return *text ? WEIR_OK : wi_fail(error, WEIR_NO_MEMORY, "no memory for the metrics");
}

weir_status weir_router_metrics(weir_router *router, weir_metrics_format format, char **text,
                                size_t *length, weir_error *error)
{
	const weir_metrics_source source = {.router = router};

	return weir_metrics(&source, 1, format, text, length, error);
}

weir_status weir_pool_metrics(weir_pool *pool, weir_metrics_format format, char **text,
                              size_t *length, weir_error *error)
{
	const weir_metrics_source source = {.pool = pool};

	return weir_metrics(&source, 1, format, text, length, error);
}

const char *weir_metrics_content_type(weir_metrics_format format)
{
	return format == WEIR_METRICS_OPENMETRICS
	               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
	               : "text/plain; version=0.0.4; charset=utf-8";
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Start and stop. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "http/http.h"

int64_t wi_http_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void wi_http_ring(struct weir_http *http)
{
	uint64_t one = 1;
	ssize_t n = write(http->bell, &one, sizeof(one));

	(void)n; /* it is full: it rings already */
}

/* ---- sources ---- */

static bool is_printable(const char *name)
{
	size_t n = strnlen(name, 64);

	for (size_t i = 0; i < n; i++)
		if (name[i] < ' ' || name[i] > '~')
			return false;
	return n > 0 && n < 64;
}

static weir_status check_source(const weir_http *h, const weir_http_source *s, size_t i,
                                weir_error *error)
{
	if (!s->name || !is_printable(s->name))
		return wi_http_fail(error, WEIR_INVALID,
		                    "source %zu: its name is not 1 to 63 printable characters", i);
	if (!s->router == !s->pool)
		return wi_http_fail(error, WEIR_INVALID,
		                    "source %zu, %s: it is to have a router or a pool", i, s->name);
	for (uint32_t j = 0; j < h->n_sources; j++)
		if (strcmp(h->source[j].name, s->name) == 0)
			return wi_http_fail(error, WEIR_INVALID, "two sources are named %s",
			                    s->name);
	return WEIR_OK;
}

static weir_status read_sources(weir_http *h, const weir_http_settings *from, weir_error *error)
{
	if (!from->sources || from->n_sources < 1 || from->n_sources > WEIR_HTTP_SOURCES_MAX)
		return wi_http_fail(error, WEIR_INVALID, "sources: 1 to %d are to be shown",
		                    WEIR_HTTP_SOURCES_MAX);
	for (size_t i = 0; i < from->n_sources; i++) {
		const weir_http_source *s = &from->sources[i];
		struct wi_source *to = &h->source[i];
		weir_status st = check_source(h, s, i, error);

		if (st != WEIR_OK)
			return st;
		snprintf(to->name, sizeof(to->name), "%s", s->name);
		to->router = s->router;
		to->pool = s->pool;
		to->http = h;
		h->n_sources++;
	}
	return WEIR_OK;
}

/* ---- start ---- */

/* In a child the parent's threads wait for the condition for ever: it is left as it is. */
static void destroy(weir_http *h, bool is_childs)
{
	if (h->bell >= 0)
		close(h->bell);
	if (!is_childs) {
		pthread_mutex_destroy(&h->lock);
		pthread_cond_destroy(&h->change);
	}
	free(h);
}

static weir_http *create(void)
{
	weir_http *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->listener = -1;
	h->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->process = (long)getpid();
	h->started_ms = wi_http_now_ms();
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->change, NULL);
	if (h->bell >= 0)
		return h;
	destroy(h, false);
	return NULL;
}

static weir_status start_threads(weir_http *h, weir_error *error)
{
	weir_status st = WEIR_OK;

	if (!wi_look_start(h))
		st = wi_http_fail(error, WEIR_SYSTEM, "no thread can be started");
	if (st == WEIR_OK)
		st = wi_serve_start(h, error);
	if (st != WEIR_OK)
		wi_look_stop(h);
	return st;
}

weir_status weir_http_start(const weir_http_settings *settings, weir_http **http, weir_error *error)
{
	weir_http *h;
	weir_status st;

	if (!settings || !http)
		return wi_http_fail(error, WEIR_INVALID, "weir_http_start: %s is NULL",
		                    settings ? "http" : "settings");
	*http = NULL;
	h = create();
	if (!h)
		return wi_http_fail(error, WEIR_NO_MEMORY, "no memory or descriptor for HTTP");
	st = wi_settings_read(&h->settings, settings, error);
	if (st == WEIR_OK)
		st = read_sources(h, settings, error);
	if (st == WEIR_OK)
		st = start_threads(h, error);
	if (st == WEIR_OK)
		*http = h;
	else
		destroy(h, false);
	return st;
}

/* ---- the rest of its life ---- */

uint16_t weir_http_port(const weir_http *http)
{
	return http ? http->port : 0;
}

void weir_http_ready(weir_http *http, bool ready)
{
	atomic_store(&http->unready, !ready);
}

void weir_http_stop(weir_http **http)
{
	weir_http *h = http ? *http : NULL;
	bool is_childs;

	if (!h)
		return;
	*http = NULL;
	is_childs = h->process != (long)getpid();
	if (is_childs) {
		wi_serve_abandon(h);
	} else {
		wi_look_stop(h);
		wi_serve_stop(h);
	}
	destroy(h, is_childs);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks at health. Each source has a thread that looks when a round is asked for; all look at the
 * same time. However many ask meanwhile, they share the round, and for a moment its result: who
 * asks for health a thousand times a second costs the database one look a second.
 */
#include <signal.h>
#include <string.h>

#include "http/http.h"

/* The look itself, outside of the lock. */
static void look(struct wi_source *s)
{
	struct weir_http *http = s->http;
	int64_t timeout_ms = http->settings.health_timeout_ms;
	weir_health health = {.size = sizeof(health)};
	weir_error error = {0};
	weir_status st = s->router ? weir_router_health(s->router, timeout_ms, &health, &error)
	                           : weir_pool_health(s->pool, timeout_ms, &health, &error);

	pthread_mutex_lock(&http->lock);
	s->health = health;
	s->status = st;
	s->error = error;
	if (--http->looking == 0) {
		http->finished = http->round;
		http->looked_ms = wi_http_now_ms();
		wi_http_ring(http);
	}
	pthread_mutex_unlock(&http->lock);
}

static void *look_out(void *arg)
{
	struct wi_source *s = arg;
	struct weir_http *http = s->http;
	uint64_t done = 0;

	pthread_setname_np(pthread_self(), "weir-health");
	for (;;) {
		pthread_mutex_lock(&http->lock);
		while (http->round == done && !atomic_load(&http->ending))
			pthread_cond_wait(&http->change, &http->lock);
		done = http->round;
		pthread_mutex_unlock(&http->lock);
		if (atomic_load(&http->ending))
			return NULL;
		look(s);
	}
}

uint64_t wi_look_ask(struct weir_http *http)
{
	uint64_t round = 0;

	pthread_mutex_lock(&http->lock);
	if (http->looking) {
		round = http->round;
	} else if (!http->finished ||
	           wi_http_now_ms() - http->looked_ms >= http->settings.health_good_for_ms) {
		round = ++http->round;
		http->looking = http->n_sources;
		pthread_cond_broadcast(&http->change);
	}
	pthread_mutex_unlock(&http->lock);
	return round;
}

uint64_t wi_look_finished(struct weir_http *http)
{
	uint64_t finished;

	pthread_mutex_lock(&http->lock);
	finished = http->finished;
	pthread_mutex_unlock(&http->lock);
	return finished;
}

weir_status wi_look_get(struct wi_source *s, weir_health *health, weir_error *error,
                        int64_t *age_ms)
{
	weir_status st;

	pthread_mutex_lock(&s->http->lock);
	*health = s->health;
	*error = s->error;
	st = s->status;
	*age_ms = s->http->finished ? wi_http_now_ms() - s->http->looked_ms : -1;
	pthread_mutex_unlock(&s->http->lock);
	return st;
}

/* ---- start and stop ---- */

bool wi_look_start(struct weir_http *http)
{
	uint32_t wanted = http->n_sources, n = 0;
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (n < wanted &&
	       pthread_create(&http->source[n].thread, NULL, look_out, &http->source[n]) == 0)
		n++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	http->n_sources = n; /* those that are to be ended */
	return n == wanted;
}

void wi_look_stop(struct weir_http *http)
{
	pthread_mutex_lock(&http->lock);
	atomic_store(&http->ending, true);
	pthread_cond_broadcast(&http->change);
	pthread_mutex_unlock(&http->lock);
	for (uint32_t i = 0; i < http->n_sources; i++)
		pthread_join(http->source[i].thread, NULL);
}

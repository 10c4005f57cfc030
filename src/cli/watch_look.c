/* SPDX-License-Identifier: BSD-2-Clause */
/* What `weir watch` knows: hosts by weir's statistics, events by its sink, checkouts by trying. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/live.h"
#include "cli/text.h"
#include "cli/watch.h"

#define TRIAL_MS 500             /* how long a checkout may wait, and so the end of the program */
#define PAUSE_NS (100 * CLI_MS)  /* between two */
#define OUTAGE_NS (300 * CLI_MS) /* longer without a success is worth a word */

/* ---- events ---- */

static bool is_same(const struct cli_watch_event *e, const weir_event *event)
{
	return e->kind == event->kind && !strcmp(e->host, event->host) &&
	       !strncmp(e->text, event->text, sizeof(e->text) - 1);
}

void cli_watch_tell(void *arg, const weir_event *event)
{
	struct cli_watch *watch = arg;
	struct cli_watch_event *e;

	pthread_mutex_lock(&watch->lock);
	e = &watch->events[(watch->n_events + CLI_WATCH_EVENTS - 1) % CLI_WATCH_EVENTS];
	if (!watch->n_events || !is_same(e, event)) {
		e = &watch->events[watch->n_events++ % CLI_WATCH_EVENTS];
		e->kind = event->kind;
		e->times = 0;
		cli_copy(e->host, sizeof(e->host), event->host);
		cli_copy(e->text, sizeof(e->text), event->text);
	}
	e->times++;
	e->number = ++watch->told;
	clock_gettime(CLOCK_REALTIME, &e->at);
	pthread_mutex_unlock(&watch->lock);
	cli_live_wake();
}

size_t cli_watch_events(struct cli_watch *watch, struct cli_watch_event *events, size_t room,
                        uint64_t after)
{
	size_t n = 0;
	uint64_t first;

	pthread_mutex_lock(&watch->lock);
	first = watch->n_events > CLI_WATCH_EVENTS ? watch->n_events - CLI_WATCH_EVENTS : 0;
	if (watch->n_events - first > room)
		first = watch->n_events - room;
	for (; first < watch->n_events; first++)
		if (watch->events[first % CLI_WATCH_EVENTS].number > after)
			events[n++] = watch->events[first % CLI_WATCH_EVENTS];
	pthread_mutex_unlock(&watch->lock);
	return n;
}

/* ---- checkouts ---- */

static void note(struct cli_watch_trial *trial, weir_status status, const weir_conn_info *info,
                 const weir_error *error, int64_t begin_ns)
{
	struct cli_watch_result *r = &trial->result;
	int64_t now = cli_now();
	bool was_ok = r->ok;

	pthread_mutex_lock(&trial->lock);
	r->ok = status == WEIR_OK;
	r->status = status;
	r->took_ns = now - begin_ns;
	if (r->ok) {
		cli_copy(r->host, sizeof(r->host), info->host);
		r->reason = info->reason;
		r->outage_ns = now - r->good_ns >= OUTAGE_NS ? now - r->good_ns : 0;
		r->good_ns = now;
		r->served++;
	} else {
		cli_copy(r->text, sizeof(r->text), error->text);
		r->failed++;
	}
	pthread_mutex_unlock(&trial->lock);
	if (r->ok != was_ok)
		cli_live_wake();
}

static void try_once(struct cli_watch_trial *trial)
{
	const weir_request request =
		WEIR_REQUEST(.intent = trial->intent, .timeout_ms = TRIAL_MS, .tag = "weir watch");
	int64_t begin = cli_now();
	weir_conn_info info = {.role = WEIR_ROLE_UNKNOWN};
	weir_error error = {.status = WEIR_OK};
	weir_conn *conn = NULL;
	weir_status status;

	status = weir_checkout_with(trial->watch->router, &request, &conn, &error);
	if (status == WEIR_OK)
		status = weir_conn_info_get(conn, &info);
	weir_checkin(&conn);
	note(trial, status, &info, &error, begin);
}

static void *try_on(void *arg)
{
	struct cli_watch_trial *trial = arg;

	while (!atomic_load(&trial->watch->stop)) {
		try_once(trial);
		cli_sleep(PAUSE_NS);
	}
	return NULL;
}

bool cli_watch_try_begin(struct cli_watch *watch)
{
	for (int i = 0; i < 2; i++) {
		struct cli_watch_trial *trial = &watch->trials[i];

		trial->watch = watch;
		trial->intent = (weir_intent)i;
		trial->result.good_ns = cli_now();
		pthread_mutex_init(&trial->lock, NULL);
		if (pthread_create(&trial->thread, NULL, try_on, trial)) {
			fputs("weir watch: no thread could be started\n", stderr);
			return false;
		}
		trial->runs = true;
	}
	return true;
}

void cli_watch_try_end(struct cli_watch *watch)
{
	atomic_store(&watch->stop, true);
	for (int i = 0; i < 2; i++)
		if (watch->trials[i].runs)
			pthread_join(watch->trials[i].thread, NULL);
}

static struct cli_watch_result result_of(struct cli_watch_trial *trial)
{
	struct cli_watch_result r;

	pthread_mutex_lock(&trial->lock);
	r = trial->result;
	pthread_mutex_unlock(&trial->lock);
	return r;
}

/* ---- a look ---- */

static bool is_split(const struct cli_watch_look *look)
{
	size_t claims = 0, primaries = 0;

	for (size_t i = 0; i < look->n_hosts; i++) {
		const weir_host_stats *h = &look->hosts[i];

		claims += h->reachable && !h->in_recovery && !h->read_only;
		primaries += h->role == WEIR_ROLE_PRIMARY;
	}
	return claims > 1 && !primaries;
}

void cli_watch_look(struct cli_watch *watch)
{
	struct cli_watch_look *look = &watch->now;
	size_t room = weir_router_stats_get(watch->router, NULL, 0);

	free(watch->last.hosts);
	watch->last = *look;
	look->hosts = cli_alloc(room ? room : 1, sizeof(*look->hosts));
	look->n_hosts = weir_router_stats_get(watch->router, look->hosts, room);
	if (look->n_hosts > room)
		look->n_hosts = room; /* one more has come meanwhile */
	look->at_ns = cli_now();
	clock_gettime(CLOCK_REALTIME, &look->wall);
	look->read = result_of(&watch->trials[WEIR_READ]);
	look->write = result_of(&watch->trials[WEIR_WRITE]);
	look->split = is_split(look);
}

void cli_watch_look_fini(struct cli_watch *watch)
{
	free(watch->now.hosts);
	free(watch->last.hosts);
}

static const weir_host_stats *host_before(const struct cli_watch *watch, const char *name)
{
	for (size_t i = 0; i < watch->last.n_hosts; i++)
		if (!strcmp(watch->last.hosts[i].host, name))
			return &watch->last.hosts[i];
	return NULL;
}

static double rate(uint64_t now, uint64_t before, double seconds)
{
	return now > before ? (double)(now - before) / seconds : 0;
}

struct cli_watch_rates cli_watch_rates(const struct cli_watch *watch, size_t host)
{
	const weir_host_stats *h = &watch->now.hosts[host], *old = host_before(watch, h->host);
	double seconds = (double)(watch->now.at_ns - watch->last.at_ns) / 1e9;

	if (!old || seconds <= 0)
		return (struct cli_watch_rates){0};
	return (struct cli_watch_rates){rate(h->reads, old->reads, seconds),
	                                rate(h->writes, old->writes, seconds),
	                                rate(h->fallback_reads, old->fallback_reads, seconds)};
}

/* ---- words ---- */

static void add(char *text, size_t room, const char *word)
{
	size_t n = strlen(text);

	snprintf(text + n, room - n, "%s%s", n ? ", " : "", word);
}

const char *cli_watch_oddities(const weir_host_stats *h, char *text, size_t room)
{
	text[0] = '\0';
	if (!h->reachable)
		add(text, room, "unreachable");
	else if (h->role == WEIR_ROLE_UNKNOWN && !h->in_recovery)
		add(text, room, h->read_only ? "takes no writes" : "claims to be the primary");
	if (h->held_ms > 0)
		add(text, room, "held back: was unreachable again and again");
	if (h->replay_paused)
		add(text, room, "replay is paused");
	if (h->apply_delay_ms > 0)
		add(text, room, "delayed on purpose");
	if (h->read_only && h->role == WEIR_ROLE_PRIMARY)
		add(text, room, "read-only");
	if (h->several)
		add(text, room, "several servers");
	if (h->drained)
		add(text, room, "drained");
	if (h->leaving)
		add(text, room, "leaving");
	if (h->pool.suspended)
		add(text, room, "suspended");
	return text;
}

const char *cli_watch_breaker(weir_breaker_state state)
{
	switch (state) {
	case WEIR_BREAKER_CLOSED:
		return "closed";
	case WEIR_BREAKER_OPEN:
		return "open";
	case WEIR_BREAKER_HALF_OPEN:
		return "half-open";
	}
	return "unknown";
}

const char *cli_watch_clock(const struct timespec *at, char text[CLI_SHORT])
{
	struct tm tm;

	if (!localtime_r(&at->tv_sec, &tm) || !strftime(text, CLI_SHORT, "%H:%M:%S", &tm))
		text[0] = '\0';
	snprintf(text + strlen(text), CLI_SHORT - strlen(text), ".%03ld", at->tv_nsec / 1000000);
	return text;
}

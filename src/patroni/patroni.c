/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Start, stop, and the thread between them: it asks Patroni, tells the router, and waits until it
 * is time again, or until something has changed at the hosts, as then an older answer is worth
 * little. It asks at most every so often, whatever happens.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "patroni/patroni.h"

#define PERIOD_MS 1000
#define TIMEOUT_MS 2000
#define FORGET_MS 30000
#define BODY_MAX ((size_t)1 << 20)
#define PATH "/cluster"

#define LEADERLESS_MS 200 /* between two questions while nobody leads */
#define FLOOR_MS 50       /* between two questions, at least */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

WEIR_PRINTF(3, 4)
static weir_status fail(weir_error *error, weir_status status, const char *format, ...)
{
	va_list args;

	if (!error)
		return status;
	memset(error, 0, sizeof(*error));
	error->status = status;
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return status;
}

/* ---- the thread ---- */

/* What is_good needs: a place for the view, and for the words. */
struct reading {
	struct wi_view *view;
	const char *zone_tag;
	char *why;
	size_t room;
};

static bool is_good(void *arg, const char *body, size_t length)
{
	struct reading *r = arg;

	return wi_view_read(r->view, body, length, r->zone_tag, r->why, r->room);
}

/* That our own word was taken back is no news to us. */
static void ignore_news(weir_patroni *p, uint32_t *seen)
{
	(void)!weir_router_await(p->router, seen, 0);
}

static bool advise(weir_patroni *p, const struct wi_view *v, uint32_t *seen, char *why, size_t room)
{
	weir_advice advice = {.size = sizeof(advice), .good_for_ms = p->good_for_ms};
	bool known = v->leader || !v->paused, well;
	weir_error error;

	if (v->leader) {
		advice.primary = v->leader->host;
		advice.timeline = v->leader->timeline;
	}
	well = weir_router_advise(p->router, known ? &advice : NULL, &error) == WEIR_OK;
	if (!well)
		snprintf(why, room, "%s", error.text);
	if (!well || !known)
		ignore_news(p, seen);
	return well;
}

static void note(weir_patroni *p, const struct wi_view *v, bool answered, bool well,
                 const char *why)
{
	pthread_mutex_lock(&p->lock);
	if (answered) {
		p->info.answers++;
		p->answered_ms = now_ms();
		p->info.members = v->n;
		snprintf(p->info.leader, sizeof(p->info.leader), "%s",
		         v->leader ? v->leader->host : "");
	} else {
		p->info.failures++;
	}
	snprintf(p->info.trouble, sizeof(p->info.trouble), "%s", well ? "" : why);
	pthread_mutex_unlock(&p->lock);
}

/*
 * A member that has lost sight of Patroni's store goes on saying what it last saw. When the hosts
 * have contradicted an answer twice, another API is asked first: the others may know better. While
 * a leader is about to be the primary that costs nothing, as they all say the same.
 */
static void doubt(weir_patroni *p, const struct wi_view *v)
{
	bool agreed = v->leader && wi_is_primary(p->router, v->leader->host);

	p->doubts = agreed ? 0 : p->doubts + 1;
	if (p->doubts < 2)
		return;
	p->doubts = 0;
	wi_asker_next(p->asker);
}

/* true: an answer came, and somebody leads. */
static bool ask(weir_patroni *p, struct wi_view *v, uint32_t *seen)
{
	char why[WEIR_ERROR_TEXT] = "";
	struct reading reading = {v, p->zone_tag, why, sizeof(why)};
	bool answered = wi_ask(p->asker, is_good, &reading, why, sizeof(why));
	bool well = answered;

	if (atomic_load(&p->ending))
		return true;
	if (answered)
		doubt(p, v);
	if (answered && p->follow_members)
		well = wi_follow(&p->follower, p->router, v, now_ms(), p->forget_ms, why,
		                 sizeof(why));
	if (answered)
		well = advise(p, v, seen, why, sizeof(why)) && well;
	note(p, v, answered, well, why);
	return answered && v->leader;
}

/* Until it is time, or something has changed; false: the router is closed. */
static bool wait(weir_patroni *p, uint32_t *seen, int64_t asked_ms, int64_t period_ms)
{
	int64_t left_ms = asked_ms + period_ms - now_ms();
	weir_status st = WEIR_TIMEOUT;

	/* Whoever ends us sets `ending` and takes the advice back: one of the two is seen. */
	if (left_ms > 0 && !atomic_load(&p->ending))
		st = weir_router_await(p->router, seen, left_ms);
	if (st != WEIR_OK && st != WEIR_TIMEOUT)
		return false;
	left_ms = asked_ms + FLOOR_MS - now_ms();
	if (left_ms > 0) {
		const struct timespec pause = {.tv_nsec = (long)left_ms * 1000000};

		nanosleep(&pause, NULL);
	}
	return true;
}

static void *run(void *arg)
{
	weir_patroni *p = arg;
	struct wi_view *v = calloc(1, sizeof(*v));
	uint32_t seen = 0;
	int64_t asked_ms, period_ms;

	while (v && !atomic_load(&p->ending)) {
		asked_ms = now_ms();
		period_ms = p->period_ms;
		if (!ask(p, v, &seen) && period_ms > LEADERLESS_MS)
			period_ms = LEADERLESS_MS;
		if (!wait(p, &seen, asked_ms, period_ms))
			break;
	}
	free(v);
	return NULL;
}

/* ---- start ---- */

static bool copy(char **to, const char *text)
{
	*to = text ? strdup(text) : NULL;
	return !text || *to;
}

/* A password is wiped before it is given back. */
static void drop(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* The part of the list up to the comma, checked, with the path. */
static weir_status add_url(struct wi_question *q, const char *text, size_t length,
                           weir_error *error)
{
	size_t room = length + sizeof(PATH);
	char *url;

	while (length && text[length - 1] == '/')
		length--;
	if (memchr(text, '@', length))
		return fail(error, WEIR_INVALID,
		            "urls: a name or password belongs in user_name and password");
	if ((strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0) ||
	    length <= 8 || memchr(text, '?', length) || memchr(text, '#', length) ||
	    memchr(text, ' ', length))
		return fail(error, WEIR_INVALID,
		            "urls: not of the form http://host:port or https://host:port: %.*s",
		            (int)length, text);
	if (q->n_urls == WI_URLS_MAX)
		return fail(error, WEIR_INVALID, "urls: more than %d", WI_URLS_MAX);
	url = malloc(room);
	if (!url)
		return fail(error, WEIR_NO_MEMORY, "no memory for a URL");
	snprintf(url, room, "%.*s" PATH, (int)length, text);
	q->url[q->n_urls++] = url;
	return WEIR_OK;
}

static weir_status read_urls(struct wi_question *q, const char *urls, weir_error *error)
{
	weir_status st = WEIR_OK;

	if (!urls || !*urls)
		return fail(error, WEIR_INVALID, "urls: whom to ask?");
	while (*urls && st == WEIR_OK) {
		size_t length = strcspn(urls, ",");

		st = add_url(q, urls, length, error);
		urls += length;
		urls += *urls == ',';
	}
	return st;
}

static int64_t or_else(int64_t value, int64_t otherwise)
{
	return value ? value : otherwise;
}

static weir_status read_times(weir_patroni *p, const weir_patroni_options *o, weir_error *error)
{
	const int64_t longest_ms = INT64_C(24) * 3600 * 1000;
	const int64_t given[] = {o->period_ms, o->timeout_ms, o->good_for_ms, o->forget_ms};

	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
		if (given[i] < 0 || given[i] > longest_ms)
			return fail(
				error, WEIR_INVALID,
				"period_ms, timeout_ms, good_for_ms and forget_ms are 0 to %lld",
				(long long)longest_ms);
	p->period_ms = or_else(o->period_ms, PERIOD_MS);
	p->question.timeout_ms = or_else(o->timeout_ms, TIMEOUT_MS);
	p->good_for_ms = or_else(o->good_for_ms, 3 * p->period_ms + p->question.timeout_ms);
	p->forget_ms = or_else(o->forget_ms, FORGET_MS);
	p->question.body_max = o->body_max ? o->body_max : BODY_MAX;
	return WEIR_OK;
}

static weir_status read_options(weir_patroni *p, const weir_patroni_options *from,
                                weir_error *error)
{
	struct wi_question *q = &p->question;
	weir_patroni_options o = {0};
	weir_status st;

	memcpy(&o, from, from->size && from->size < sizeof(o) ? from->size : sizeof(o));
	p->follow_members = o.follow_members;
	if (!copy(&q->ca_file, o.ca_file) || !copy(&q->cert_file, o.cert_file) ||
	    !copy(&q->key_file, o.key_file) || !copy(&q->user_name, o.user_name) ||
	    !copy(&q->password, o.password) ||
	    !copy(&p->zone_tag, o.zone_tag ? o.zone_tag : "zone"))
		return fail(error, WEIR_NO_MEMORY, "no memory for the options");
	st = read_times(p, &o, error);
	return st == WEIR_OK ? read_urls(q, o.urls, error) : st;
}

static void destroy(weir_patroni *p)
{
	struct wi_question *q = &p->question;

	wi_asker_destroy(p->asker);
	for (uint32_t i = 0; i < q->n_urls; i++)
		free(q->url[i]);
	free(q->ca_file);
	free(q->cert_file);
	free(q->key_file);
	drop(q->user_name);
	drop(q->password);
	free(p->zone_tag);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* The thread takes no signal: they are the host program's. */
static bool start_thread(weir_patroni *p)
{
	sigset_t all, before;
	bool started;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = pthread_create(&p->thread, NULL, run, p) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

weir_status weir_patroni_start(weir_router *router, const weir_patroni_options *options,
                               weir_patroni **patroni, weir_error *error)
{
	weir_patroni *p;
	weir_status st;

	if (!router || !options || !patroni)
		return fail(error, WEIR_INVALID,
		            "weir_patroni_start: router, options or patroni is NULL");
	*patroni = NULL;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return fail(error, WEIR_SYSTEM, "libcurl does not start");
	p = calloc(1, sizeof(*p));
	if (!p)
		return fail(error, WEIR_NO_MEMORY, "no memory for Patroni");
	p->router = router;
	p->process = (long)getpid();
	pthread_mutex_init(&p->lock, NULL);
	st = read_options(p, options, error);
	if (st == WEIR_OK && !(p->asker = wi_asker_create(&p->question)))
		st = fail(error, WEIR_NO_MEMORY, "no memory for libcurl");
	if (st == WEIR_OK && !start_thread(p))
		st = fail(error, WEIR_SYSTEM, "no thread can be started");
	if (st == WEIR_OK)
		*patroni = p;
	else
		destroy(p);
	return st;
}

/* ---- the rest of its life ---- */

/* Whether this process is a child of the one that started it. */
static bool is_childs(const weir_patroni *p)
{
	return p->process != (long)getpid();
}

void weir_patroni_info_get(weir_patroni *p, weir_patroni_info *info)
{
	weir_patroni_info now;
	size_t size = info->size && info->size < sizeof(now) ? info->size : sizeof(now);

	/* In a child nobody writes, and a thread that is not there may have the lock for ever. */
	if (!is_childs(p))
		pthread_mutex_lock(&p->lock);
	now = p->info;
	now.answer_age_ms = p->answered_ms ? now_ms() - p->answered_ms : -1;
	if (!is_childs(p))
		pthread_mutex_unlock(&p->lock);
	now.leader[sizeof(now.leader) - 1] = '\0';
	now.trouble[sizeof(now.trouble) - 1] = '\0';
	now.size = size;
	memcpy(info, &now, size);
}

void weir_patroni_stop(weir_patroni **patroni)
{
	weir_patroni *p = patroni ? *patroni : NULL;

	if (!p)
		return;
	*patroni = NULL;
	if (!is_childs(p)) {
		atomic_store(&p->ending, true);
		wi_asker_wake(p->asker);
		(void)weir_router_advise(p->router, NULL, NULL);
		pthread_join(p->thread, NULL);
		(void)weir_router_advise(p->router, NULL, NULL);
	} else {
		p->asker = NULL; /* its connections are the parent's: nothing is said on them */
	}
	destroy(p);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. The API that gave the last good answer is asked first. When it fails, or has not answered
 * after a fraction of the time, the next one is asked as well, and so on; the first good answer
 * ends the question, and the others are given up. So a dead API costs a moment, a slow one a
 * little more, and a healthy cluster is asked once.
 *
 * A name is looked up on a thread of libcurl's own. One that the resolver keeps is left behind when
 * its call is given up, and ends by itself (CURLOPT_QUICK_EXIT); else giving up one API would wait
 * for it, and with it the good answer of another. So that these do not pile up, such an API is left
 * alone for a while.
 *
 * What a server may do to us is bounded: the time of each answer, its length, no redirect, no
 * other protocol than HTTP, no proxy out of the environment, which would be another host.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "patroni/patroni.h"

#define HEDGE_MS 200
#define LONGEST_POLL_MS 1000
#define REST_MS 5000 /* of an API whose name the resolver kept */

struct call {
	CURL *curl; /* NULL: not under way */
	const struct wi_question *question;
	char *body;
	size_t length, room;
	bool too_long;
	char words[CURL_ERROR_SIZE];
};

struct wi_asker {
	const struct wi_question *question;
	CURLM *multi;
	atomic_bool ending;
	uint32_t first; /* who is asked first */
	struct call call[WI_URLS_MAX];
	int64_t rest_until_ms[WI_URLS_MAX];
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct wi_asker *wi_asker_create(const struct wi_question *question)
{
	struct wi_asker *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->question = question;
	a->multi = curl_multi_init();
	if (a->multi)
		return a;
	free(a);
	return NULL;
}

void wi_asker_wake(struct wi_asker *a)
{
	atomic_store(&a->ending, true);
	curl_multi_wakeup(a->multi);
}

void wi_asker_next(struct wi_asker *a)
{
	a->first = (a->first + 1) % a->question->n_urls;
}

/* ---- one call ---- */

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
	struct call *c = arg;
	size_t more = size * n, room;
	char *bigger;

	if (more > c->question->body_max - c->length) {
		c->too_long = true;
		return 0;
	}
	if (c->length + more > c->room) {
		room = (c->length + more) * 2;
		bigger = realloc(c->body, room);
		if (!bigger)
			return 0;
		c->body = bigger;
		c->room = room;
	}
	memcpy(c->body + c->length, data, more);
	c->length += more;
	return more;
}

static bool set_safety(CURL *curl, const struct wi_question *q)
{
	return curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)q->timeout_ms) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)q->timeout_ms) == CURLE_OK;
}

static bool set_text(CURL *curl, CURLoption option, const char *text)
{
	return !text || curl_easy_setopt(curl, option, text) == CURLE_OK;
}

static bool set_identity(CURL *curl, const struct wi_question *q)
{
	if (q->user_name &&
	    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) != CURLE_OK)
		return false;
	return set_text(curl, CURLOPT_CAINFO, q->ca_file) &&
	       set_text(curl, CURLOPT_SSLCERT, q->cert_file) &&
	       set_text(curl, CURLOPT_SSLKEY, q->key_file) &&
	       set_text(curl, CURLOPT_USERNAME, q->user_name) &&
	       set_text(curl, CURLOPT_PASSWORD, q->password);
}

/* A call that is given up. */
static void rest(struct wi_asker *a, uint32_t i)
{
	curl_off_t looked_up = 0;

	if (a->call[i].curl &&
	    curl_easy_getinfo(a->call[i].curl, CURLINFO_NAMELOOKUP_TIME_T, &looked_up) ==
	            CURLE_OK &&
	    looked_up == 0)
		a->rest_until_ms[i] = now_ms() + REST_MS;
}

static void end_call(struct wi_asker *a, struct call *c)
{
	if (!c->curl)
		return;
	curl_multi_remove_handle(a->multi, c->curl);
	curl_easy_cleanup(c->curl);
	free(c->body);
	*c = (struct call){0};
}

static bool begin_call(struct wi_asker *a, uint32_t i)
{
	struct call *c = &a->call[i];

	*c = (struct call){.question = a->question, .curl = curl_easy_init()};
	if (!c->curl)
		return false;
	if (set_safety(c->curl, a->question) && set_identity(c->curl, a->question) &&
	    curl_easy_setopt(c->curl, CURLOPT_URL, a->question->url[i]) == CURLE_OK &&
	    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->words) == CURLE_OK &&
	    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
	    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c) == CURLE_OK &&
	    curl_multi_add_handle(a->multi, c->curl) == CURLM_OK)
		return true;
	curl_easy_cleanup(c->curl);
	*c = (struct call){0};
	return false;
}

/* ---- the question ---- */

struct round {
	bool (*is_good)(void *arg, const char *body, size_t length);
	void *arg;
	char *why;
	size_t room;
	uint32_t asked, under_way;
	int64_t next_ms; /* when the next one is asked as well */
};

/* What one call came to; true: its answer was taken. */
static bool judge(struct wi_asker *a, struct round *r, uint32_t i, CURLcode code)
{
	const struct call *c = &a->call[i];
	const char *url = a->question->url[i];
	char words[WEIR_ERROR_TEXT] = "";
	long status = 0;

	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	if (c->too_long)
		snprintf(r->why, r->room, "%s: an answer of more than %zu bytes", url,
		         a->question->body_max);
	else if (code != CURLE_OK)
		snprintf(r->why, r->room, "%s: %s", url,
		         c->words[0] ? c->words : curl_easy_strerror(code));
	else if (status != 200)
		snprintf(r->why, r->room, "%s: HTTP status %ld%s", url, status,
		         status >= 300 && status < 400 ? ", a redirect, which is not followed"
		                                       : "");
	else if (r->is_good(r->arg, c->body ? c->body : "", c->length))
		return true;
	else {
		snprintf(words, sizeof(words), "%s", r->why); /* is_good has said why */
		snprintf(r->why, r->room, "%s: %s", url, words);
	}
	return false;
}

static uint32_t index_of(const struct wi_asker *a, const CURL *curl)
{
	for (uint32_t i = 0; i < a->question->n_urls; i++)
		if (a->call[i].curl == curl)
			return i;
	return 0;
}

/* Takes what has come; true: a good answer. */
static bool hear(struct wi_asker *a, struct round *r)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(a->multi, &left))) {
		uint32_t i;

		if (message->msg != CURLMSG_DONE)
			continue;
		i = index_of(a, message->easy_handle);
		if (judge(a, r, i, message->data.result)) {
			a->first = i;
			return true;
		}
		if (message->data.result == CURLE_OPERATION_TIMEDOUT)
			rest(a, i);
		end_call(a, &a->call[i]);
		r->under_way--;
		r->next_ms = 0; /* who comes next need not wait */
	}
	return false;
}

/* Asks the next one if it is time; how long the others may be waited for. */
static int go_on(struct wi_asker *a, struct round *r)
{
	int64_t left_ms = r->next_ms - now_ms();
	uint32_t i = (a->first + r->asked) % a->question->n_urls;

	if (r->asked == a->question->n_urls)
		return LONGEST_POLL_MS;
	if (r->under_way && left_ms > 0)
		return (int)left_ms;
	r->asked++;
	if (now_ms() < a->rest_until_ms[i]) {
		snprintf(r->why, r->room, "%s: the name is being looked up for too long",
		         a->question->url[i]);
		return 0;
	}
	if (begin_call(a, i))
		r->under_way++;
	else
		snprintf(r->why, r->room, "no memory for a question");
	r->next_ms = now_ms() + HEDGE_MS;
	return 0;
}

bool wi_ask(struct wi_asker *a, bool (*is_good)(void *arg, const char *body, size_t length),
            void *arg, char *why, size_t room)
{
	struct round r = {.is_good = is_good, .arg = arg, .why = why, .room = room};
	bool good = false;

	while (!good && !atomic_load(&a->ending) &&
	       (r.under_way || r.asked < a->question->n_urls)) {
		int wait_ms = go_on(a, &r), running;

		curl_multi_perform(a->multi, &running);
		good = hear(a, &r);
		if (!good && running && wait_ms > 0)
			curl_multi_poll(a->multi, NULL, 0, wait_ms, NULL);
	}
	for (uint32_t i = 0; i < a->question->n_urls; i++) {
		rest(a, i);
		end_call(a, &a->call[i]);
	}
	return good;
}

void wi_asker_destroy(struct wi_asker *a)
{
	if (!a)
		return;
	curl_multi_cleanup(a->multi);
	free(a);
}

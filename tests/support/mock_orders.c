/* SPDX-License-Identifier: BSD-2-Clause */
/* What a test tells the mock server, and asks it. */
#include "support/mock_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define NS_A_MS 1000000

#define ORDER(m, ...)                                                                              \
	do {                                                                                       \
		pthread_mutex_lock(&(m)->lock);                                                    \
		__VA_ARGS__;                                                                       \
		mock_changed(m);                                                                   \
		pthread_mutex_unlock(&(m)->lock);                                                  \
	} while (0)

static void keep(char **place, const char *text)
{
	free(*place);
	*place = text ? strdup(text) : NULL;
}

/* ---- orders ---- */

void test_mock_drip(struct test_mock *m, int64_t ms)
{
	ORDER(m, m->drip_ns = ms * NS_A_MS);
}

void test_mock_freeze(struct test_mock *m, bool frozen)
{
	ORDER(m, m->frozen = frozen);
}

void test_mock_ssl(struct test_mock *m, enum test_mock_secure how)
{
	ORDER(m, m->ssl = how);
}

void test_mock_gss(struct test_mock *m, enum test_mock_secure how)
{
	ORDER(m, m->gss = how);
}

void test_mock_password(struct test_mock *m, const char *password)
{
	ORDER(m, keep(&m->password, password));
}

void test_mock_refuse(struct test_mock *m, int times, const char *sqlstate, const char *text)
{
	pthread_mutex_lock(&m->lock);
	m->refusal.times = sqlstate ? times : 0;
	snprintf(m->refusal.sqlstate, sizeof(m->refusal.sqlstate), "%s", sqlstate ? sqlstate : "");
	snprintf(m->refusal.text, sizeof(m->refusal.text), "%s", text ? text : "refused");
	pthread_mutex_unlock(&m->lock);
}

void test_mock_refuse_parameter(struct test_mock *m, const char *name)
{
	ORDER(m, keep(&m->refused_parameter, name));
}

void test_mock_startup_delay(struct test_mock *m, int64_t ms)
{
	ORDER(m, m->startup_delay_ns = ms * NS_A_MS);
}

void test_mock_startup_hold(struct test_mock *m, bool held)
{
	ORDER(m, m->startup_held = held);
}

void test_mock_cancel_delay(struct test_mock *m, int64_t ms)
{
	ORDER(m, m->cancel_delay_ns = ms * NS_A_MS);
}

void test_mock_cancel_hold(struct test_mock *m, bool held)
{
	ORDER(m, m->cancel_held = held);
}

void test_mock_report(struct test_mock *m, const char *name, const char *value)
{
	pthread_mutex_lock(&m->lock);
	if (value) {
		mock_fact_set(&m->facts, name, value);
		((struct mock_fact *)(uintptr_t)mock_fact_find(&m->facts, name))->reported = true;
	} else {
		mock_fact_drop(&m->facts, name);
	}
	pthread_mutex_unlock(&m->lock);
}

static void tell_sessions(struct test_mock *m, const char *name, const char *value)
{
	for (size_t i = 0; i < m->sessions; i++) {
		struct mock_session *s = m->session[i];

		if (value) {
			mock_fact_set(&s->now, name, value);
			mock_fact_set(&s->began, name, value);
		} else {
			mock_fact_drop(&s->now, name);
			mock_fact_drop(&s->began, name);
		}
	}
}

void test_mock_fact(struct test_mock *m, const char *name, const char *value)
{
	pthread_mutex_lock(&m->lock);
	if (value)
		mock_fact_set(&m->facts, name, value);
	else
		mock_fact_drop(&m->facts, name);
	tell_sessions(m, name, value);
	pthread_mutex_unlock(&m->lock);
}

/* ---- scripts ---- */

static const char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

static struct mock_script *script_of(const char *prefix, const struct test_mock_reply *reply)
{
	struct mock_script *x = calloc(1, sizeof(*x));
	int cells = reply->rows * reply->columns;
	const char **values = calloc((size_t)cells + 1, sizeof(*values));

	if (!x || !values)
		abort();
	for (int i = 0; i < cells; i++)
		values[i] = copy(reply->values[i]);
	x->prefix = strdup(prefix);
	x->reply = *reply;
	x->reply.values = values;
	x->reply.notice = copy(reply->notice);
	x->reply.severity = copy(reply->severity);
	x->reply.sqlstate = copy(reply->sqlstate);
	x->reply.text = copy(reply->text);
	x->reply.tag = copy(reply->tag);
	x->left = reply->times ? reply->times : -1;
	x->users = 1;
	return x;
}

void test_mock_on(struct test_mock *m, const char *prefix, const struct test_mock_reply *reply)
{
	struct mock_script *x = script_of(prefix, reply);

	ORDER(m, x->older = m->scripts; m->scripts = x);
}

void test_mock_unscript(struct test_mock *m)
{
	pthread_mutex_lock(&m->lock);
	while (m->scripts) {
		struct mock_script *x = m->scripts;

		m->scripts = x->older;
		mock_script_let_go(x);
	}
	pthread_mutex_unlock(&m->lock);
}

int test_mock_go(struct test_mock *m)
{
	int n = 0;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < m->sessions; i++) {
		if (!m->session[i]->held)
			continue;
		n++;
		mock_session_go(m, m->session[i]);
	}
	mock_changed(m);
	pthread_mutex_unlock(&m->lock);
	return n;
}

/* ---- without being asked ---- */

static bool is_meant(const struct mock_session *s, int pid)
{
	return s->stage == MOCK_READY && (pid == 0 || pid == s->pid);
}

int test_mock_end(struct test_mock *m, int pid, bool idle_only, enum test_mock_end how,
                  const char *sqlstate)
{
	int n = 0;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < m->sessions; i++) {
		struct mock_session *s = m->session[i];

		if (!is_meant(s, pid) || (idle_only && (s->owes || s->in.len)))
			continue;
		mock_session_end(s, how, sqlstate);
		n++;
	}
	mock_changed(m);
	pthread_mutex_unlock(&m->lock);
	return n;
}

int test_mock_push(struct test_mock *m, int pid, const char *name, const char *value)
{
	int n = 0;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < m->sessions; i++) {
		struct mock_session *s = m->session[i];

		if (!is_meant(s, pid))
			continue;
		mock_fact_set(&s->now, name, value);
		mock_fact_set(&s->began, name, value);
		mock_put_parameter(&s->out, name, value);
		n++;
	}
	mock_changed(m);
	pthread_mutex_unlock(&m->lock);
	return n;
}

int test_mock_send_raw(struct test_mock *m, int pid, const void *bytes, size_t length)
{
	int n = 0;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < m->sessions; i++) {
		if (!is_meant(m->session[i], pid))
			continue;
		mock_add(&m->session[i]->out, bytes, length);
		n++;
	}
	mock_changed(m);
	pthread_mutex_unlock(&m->lock);
	return n;
}

/* ---- what was seen ---- */

void test_mock_counts(struct test_mock *m, struct test_mock_counts *counts)
{
	pthread_mutex_lock(&m->lock);
	*counts = m->counts;
	pthread_mutex_unlock(&m->lock);
}

static uint64_t count_queries(const struct test_mock *m, int pid, const char *prefix)
{
	uint64_t n = 0;

	for (size_t i = 0; i < m->queries; i++)
		n += (pid == 0 || m->query[i].pid == pid) &&
		     strncasecmp(m->query[i].text, prefix, strlen(prefix)) == 0;
	return n;
}

uint64_t test_mock_queries(struct test_mock *m, int pid, const char *prefix)
{
	uint64_t n;

	pthread_mutex_lock(&m->lock);
	n = count_queries(m, pid, prefix);
	pthread_mutex_unlock(&m->lock);
	return n;
}

size_t test_mock_connect_times(struct test_mock *m, int64_t *ns, size_t room)
{
	size_t n, some;

	pthread_mutex_lock(&m->lock);
	n = m->counts.connects;
	some = n < room ? n : room;
	if (some)
		memcpy(ns, m->connected_ns + (n - some), some * sizeof(*ns));
	pthread_mutex_unlock(&m->lock);
	return n;
}

bool test_mock_heard(struct test_mock *m, const void *bytes, size_t n)
{
	bool heard;

	pthread_mutex_lock(&m->lock);
	heard = m->heard.len && memmem(m->heard.at, m->heard.len, bytes, n) != NULL;
	pthread_mutex_unlock(&m->lock);
	return heard;
}

void test_mock_startup_value(struct test_mock *m, const char *name, char *value, size_t room)
{
	const struct mock_fact *row;

	pthread_mutex_lock(&m->lock);
	row = mock_fact_find(&m->startup, name);
	snprintf(value, room, "%s", row ? row->value : "");
	pthread_mutex_unlock(&m->lock);
}

void test_mock_last_cancel(struct test_mock *m, int *pid, char *query, size_t room)
{
	pthread_mutex_lock(&m->lock);
	*pid = m->cancel_pid;
	snprintf(query, room, "%s", m->cancel_query ? m->cancel_query : "");
	pthread_mutex_unlock(&m->lock);
}

/* ---- waiting ---- */

struct wish {
	const char *prefix;
	uint64_t n;
	uint64_t (*of)(const struct test_mock *m, const char *prefix);
};

static bool wait_some(struct test_mock *m, int64_t until_ns)
{
	struct timespec t = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};

	return pthread_cond_timedwait(&m->changed, &m->lock, &t) == 0;
}

bool test_mock_await(struct test_mock *m, int64_t ms,
                     bool (*holds)(const struct test_mock_counts *counts, void *arg), void *arg)
{
	int64_t until_ns = mock_now_ns() + ms * NS_A_MS;
	bool ok;

	pthread_mutex_lock(&m->lock);
	while (!(ok = holds(&m->counts, arg)) && wait_some(m, until_ns))
		;
	pthread_mutex_unlock(&m->lock);
	return ok;
}

static bool await_wish(struct test_mock *m, const struct wish *w, int64_t ms)
{
	int64_t until_ns = mock_now_ns() + ms * NS_A_MS;
	bool ok;

	pthread_mutex_lock(&m->lock);
	while (!(ok = w->of(m, w->prefix) >= w->n) && wait_some(m, until_ns))
		;
	pthread_mutex_unlock(&m->lock);
	return ok;
}

static uint64_t of_queries(const struct test_mock *m, const char *prefix)
{
	return count_queries(m, 0, prefix);
}

static uint64_t of_connects(const struct test_mock *m, const char *prefix)
{
	(void)prefix;
	return m->counts.connects;
}

static uint64_t of_held(const struct test_mock *m, const char *prefix)
{
	(void)prefix;
	return m->counts.held;
}

bool test_mock_await_queries(struct test_mock *m, const char *prefix, uint64_t n, int64_t ms)
{
	return await_wish(m, &(struct wish){prefix, n, of_queries}, ms);
}

bool test_mock_await_connects(struct test_mock *m, uint64_t n, int64_t ms)
{
	return await_wish(m, &(struct wish){NULL, n, of_connects}, ms);
}

bool test_mock_await_held(struct test_mock *m, uint32_t n, int64_t ms)
{
	return await_wish(m, &(struct wish){NULL, n, of_held}, ms);
}

static bool has_sessions(const struct test_mock_counts *counts, void *arg)
{
	return counts->sessions == *(uint32_t *)arg;
}

bool test_mock_await_sessions(struct test_mock *m, uint32_t n, int64_t ms)
{
	return test_mock_await(m, ms, has_sessions, &n);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* One connection of the mock server: from its first packet to its end. */
#include "support/mock_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CANCEL_REQUEST 80877102
#define SSL_REQUEST 80877103
#define GSS_REQUEST 80877104
#define PACKET_MOST (1 << 20)

bool mock_session_is_waiting(const struct mock_session *s)
{
	return s->held || s->due_ns != MOCK_NEVER;
}

void mock_session_free(struct mock_session *s)
{
	if (s->fd >= 0)
		close(s->fd);
	mock_bytes_free(&s->in);
	mock_bytes_free(&s->out);
	mock_facts_free(&s->now);
	mock_facts_free(&s->began);
	mock_prepared_free(s);
	mock_script_let_go(s->script);
	free(s->query);
	free(s->portal);
	free(s);
}

void mock_session_end(struct mock_session *s, enum test_mock_end how, const char *sqlstate)
{
	static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	s->held = false;
	s->due_ns = MOCK_NEVER;
	if (how == TEST_MOCK_END_FATAL)
		mock_put_words(&s->out, 'E', "FATAL", sqlstate ? sqlstate : "57P01",
		               "terminating connection due to administrator command");
	if (how == TEST_MOCK_END_RST) {
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		s->out.len = 0;
	}
	s->stage = MOCK_ENDING;
}

/* ---- encryption ---- */

static void secure(struct mock_session *s, enum test_mock_secure how, char yes)
{
	static const char garbage[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

	switch (how) {
	case TEST_MOCK_SECURE_NO:
		mock_add(&s->out, "N", 1);
		return;
	case TEST_MOCK_SECURE_MUTE:
		s->stage = MOCK_DEAF;
		return;
	case TEST_MOCK_SECURE_STALL:
		mock_add(&s->out, &yes, 1);
		s->stage = MOCK_DEAF;
		return;
	case TEST_MOCK_SECURE_GARBAGE:
		mock_add(&s->out, &yes, 1);
		s->stage = MOCK_DEAF;
		s->due_ns = mock_now_ns() + 20000000; /* later, so that it is read by itself */
		free(s->query);
		s->query = strdup(garbage);
		return;
	case TEST_MOCK_SECURE_STUFFED:
		mock_add(&s->out, &yes, 1);
		mock_put_auth(&s->out, 0);
		s->stage = MOCK_DEAF;
		return;
	case TEST_MOCK_SECURE_DROP:
		mock_session_end(s, TEST_MOCK_END_FIN, NULL);
		return;
	case TEST_MOCK_SECURE_ERROR:
		mock_put_words(&s->out, 'E', "FATAL", "0A000", "unsupported frontend protocol");
		s->stage = MOCK_ENDING;
		return;
	}
}

/* ---- cancels ---- */

void mock_session_cancelled(struct test_mock *m, struct mock_session *s)
{
	struct mock_session *aim = NULL;

	for (size_t i = 0; i < m->sessions; i++)
		if (m->session[i]->pid == s->cancel_pid &&
		    m->session[i]->secret == s->cancel_secret && m->session[i]->stage == MOCK_READY)
			aim = m->session[i];
	free(m->cancel_query);
	m->cancel_query = strdup(aim && aim->owes ? aim->query : "");
	m->cancel_pid = s->cancel_pid;
	s->stage = MOCK_ENDING;
	if (!aim || !aim->owes) {
		m->counts.cancels_void++;
		return;
	}
	m->counts.cancels_hit++;
	aim->held = false;
	aim->due_ns = MOCK_NEVER;
	aim->owes = false;
	mock_script_let_go(aim->script);
	aim->script = NULL;
	mock_error(aim, "ERROR", "57014", "canceling statement due to user request");
	if (!aim->extended)
		mock_put_ready(&aim->out, aim->transaction);
}

static void cancel_came(struct test_mock *m, struct mock_session *s, const char *at)
{
	s->cancel_pid = (int)mock_read_int(at, 4);
	s->cancel_secret = mock_read_int(at + 4, 4);
	s->stage = MOCK_CANCEL;
	m->counts.cancels++;
	s->held = m->cancel_held;
	if (!s->held)
		s->due_ns = mock_now_ns() + m->cancel_delay_ns;
}

/* ---- startup ---- */

/* The settings that the `options` parameter holds: -c name=value, or --name=value. */
static void take_options(struct mock_session *s, const char *options)
{
	char *copy = strdup(options), *save = NULL;

	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		char *value;

		if (strcmp(w, "-c") == 0)
			continue;
		w += strncmp(w, "--", 2) == 0 || strncmp(w, "-c", 2) == 0 ? 2 : 0;
		value = strchr(w, '=');
		if (!value)
			continue;
		*value++ = '\0';
		mock_fact_set(&s->now, w, value);
	}
	free(copy);
}

static bool is_no_setting(const char *name)
{
	return strcmp(name, "user") == 0 || strcmp(name, "database") == 0 ||
	       strcmp(name, "options") == 0 || strcmp(name, "replication") == 0;
}

/* The startup packet's parameters; false if one of them is refused. */
static bool take_parameters(struct test_mock *m, struct mock_session *s, const char *at, size_t n)
{
	const char *end = at + n;

	mock_facts_copy(&s->now, &m->facts);
	mock_facts_free(&m->startup);
	for (; at < end && *at; at += strlen(at) + 1) {
		const char *name = at;

		at += strlen(at) + 1;
		mock_fact_set(&m->startup, name, at);
		if (strcmp(name, "options") == 0)
			take_options(s, at);
		else if (!is_no_setting(name))
			mock_fact_set(&s->now, name, at);
	}
	mock_facts_copy(&s->began, &s->now);
	return !m->refused_parameter || !mock_fact_find(&m->startup, m->refused_parameter);
}

static void welcome(struct test_mock *m, struct mock_session *s)
{
	mock_put_auth(&s->out, 0);
	for (size_t i = 0; i < s->now.n; i++)
		if (s->now.row[i].reported)
			mock_put_parameter(&s->out, s->now.row[i].name, s->now.row[i].value);
	mock_put_key(&s->out, s->pid, s->secret);
	mock_put_ready(&s->out, 'I');
	s->transaction = 'I';
	s->stage = MOCK_READY;
	s->counted = true;
	if (++m->counts.sessions > m->counts.most_sessions)
		m->counts.most_sessions = m->counts.sessions;
}

/* After a delay, if there is one. */
static void start(struct test_mock *m, struct mock_session *s)
{
	if (m->refusal.times) {
		if (m->refusal.times > 0)
			m->refusal.times--;
		mock_put_words(&s->out, 'E', "FATAL", m->refusal.sqlstate, m->refusal.text);
		s->stage = MOCK_ENDING;
	} else if (m->password) {
		mock_put_auth(&s->out, 3);
		s->stage = MOCK_PASSWORD;
	} else {
		welcome(m, s);
	}
}

static void startup_came(struct test_mock *m, struct mock_session *s, const char *at, size_t n)
{
	m->counts.startups++;
	if (!take_parameters(m, s, at, n)) {
		char text[128];

		snprintf(text, sizeof(text), "unsupported startup parameter: %s",
		         m->refused_parameter);
		mock_put_words(&s->out, 'E', "FATAL", "08P01", text);
		s->stage = MOCK_ENDING;
		return;
	}
	s->stage = MOCK_STARTING;
	s->held = m->startup_held;
	if (!s->held && m->startup_delay_ns)
		s->due_ns = mock_now_ns() + m->startup_delay_ns;
	if (!mock_session_is_waiting(s))
		start(m, s);
}

static void password_came(struct test_mock *m, struct mock_session *s, const char *at)
{
	m->counts.passwords++;
	if (!m->password || strcmp(m->password, at) == 0) {
		welcome(m, s);
		return;
	}
	mock_put_words(&s->out, 'E', "FATAL", "28P01",
	               "password authentication failed for user \"app\"");
	s->stage = MOCK_ENDING;
}

/* ---- packets ---- */

static void first_packet(struct test_mock *m, struct mock_session *s, const char *at, size_t n)
{
	uint32_t code = n >= 4 ? mock_read_int(at, 4) : 0;

	if (code == SSL_REQUEST) {
		m->counts.ssl_requests++;
		secure(s, m->ssl, 'S');
	} else if (code == GSS_REQUEST) {
		m->counts.gss_requests++;
		secure(s, m->gss, 'G');
	} else if (code == CANCEL_REQUEST && n >= 12) {
		cancel_came(m, s, at + 4);
	} else if (code >> 16 == 3) {
		startup_came(m, s, at + 4, n - 4);
	} else {
		mock_put_words(&s->out, 'E', "FATAL", "08P01", "invalid length of startup packet");
		s->stage = MOCK_ENDING;
	}
}

static void packet(struct test_mock *m, struct mock_session *s, char type, const char *at, size_t n)
{
	switch (type) {
	case 'p':
		if (s->stage == MOCK_PASSWORD)
			password_came(m, s, at);
		break;
	case 'Q':
		mock_query(m, s, at, false);
		break;
	case 'X':
		m->counts.terminates++;
		s->fin_seen = true;
		mock_session_end(s, TEST_MOCK_END_FIN, NULL);
		break;
	default:
		mock_extended(m, s, type, at, n);
	}
}

/* One packet of what came, if it is all there; its end is made a text's end for the while. */
static bool one_packet(struct test_mock *m, struct mock_session *s)
{
	size_t head = s->stage == MOCK_FIRST ? 0 : 1, n;
	char *body;

	if (s->in.len < head + 4)
		return false;
	n = mock_read_int(s->in.at + head, 4);
	if (n < 4 || n > PACKET_MOST) {
		mock_session_end(s, TEST_MOCK_END_FIN, NULL);
		return false;
	}
	if (s->in.len < head + n)
		return false;
	body = malloc(n - 4 + 1);
	if (!body)
		abort();
	memcpy(body, s->in.at + head + 4, n - 4);
	body[n - 4] = '\0';
	if (head)
		packet(m, s, s->in.at[0], body, n - 4);
	else
		first_packet(m, s, body, n - 4);
	free(body);
	mock_drop_front(&s->in, head + n);
	return true;
}

static bool listens(const struct mock_session *s)
{
	return !mock_session_is_waiting(s) && !s->owes &&
	       (s->stage == MOCK_FIRST || s->stage == MOCK_PASSWORD || s->stage == MOCK_READY);
}

void mock_session_read(struct test_mock *m, struct mock_session *s)
{
	if (s->stage == MOCK_DEAF || s->stage == MOCK_ENDING) {
		s->in.len = 0;
		return;
	}
	while (listens(s) && one_packet(m, s))
		;
}

void mock_session_go(struct test_mock *m, struct mock_session *s)
{
	s->held = false;
	s->due_ns = MOCK_NEVER;
	switch (s->stage) {
	case MOCK_STARTING:
		start(m, s);
		break;
	case MOCK_READY:
		mock_reply_now(m, s);
		break;
	case MOCK_CANCEL:
		mock_session_cancelled(m, s);
		break;
	case MOCK_DEAF:
		mock_add(&s->out, s->query, strlen(s->query));
		break;
	case MOCK_FIRST:
	case MOCK_PASSWORD:
	case MOCK_ENDING:
		break;
	}
	mock_session_read(m, s);
}

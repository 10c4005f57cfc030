/* SPDX-License-Identifier: BSD-2-Clause */
/* The mock server's queries: which script answers, and how; and the extended protocol. */
#include "support/mock_inside.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- scripts ---- */

void mock_script_let_go(struct mock_script *script)
{
	if (!script || --script->users > 0)
		return;
	for (int i = 0; i < script->reply.rows * script->reply.columns; i++)
		free((void *)(uintptr_t)script->reply.values[i]);
	free((void *)(uintptr_t)script->reply.values);
	free((void *)(uintptr_t)script->reply.notice);
	free((void *)(uintptr_t)script->reply.severity);
	free((void *)(uintptr_t)script->reply.sqlstate);
	free((void *)(uintptr_t)script->reply.text);
	free((void *)(uintptr_t)script->reply.tag);
	free(script->prefix);
	free(script);
}

static bool begins(const char *text, const char *prefix)
{
	while (isspace((unsigned char)*text))
		text++;
	return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/* The script for this query, which counts it; NULL. */
static struct mock_script *script_for(struct test_mock *m, const char *sql)
{
	for (struct mock_script *x = m->scripts; x; x = x->older) {
		if (x->left == 0 || !begins(sql, x->prefix))
			continue;
		if (x->left > 0)
			x->left--;
		x->users++;
		return x;
	}
	return NULL;
}

/* ---- answers ---- */

/* The answer is complete. */
static void finish(struct mock_session *s)
{
	s->owes = false;
	mock_script_let_go(s->script);
	s->script = NULL;
	if (!s->extended)
		mock_put_ready(&s->out, s->transaction);
}

void mock_error(struct mock_session *s, const char *severity, const char *sqlstate,
                const char *text)
{
	mock_put_words(&s->out, 'E', severity, sqlstate, text);
	if (s->transaction == 'T')
		s->transaction = 'E';
	s->skipping = s->extended;
}

static void put_result(struct mock_session *s, const struct mock_result *r)
{
	if (r->empty) {
		mock_put_empty(&s->out, 'I');
		return;
	}
	if (r->has_row && !s->extended)
		mock_put_columns(&s->out, r->columns);
	if (r->has_row)
		mock_put_row(&s->out, r->columns, r->value);
	mock_put_tag(&s->out, r->tag);
}

static void usual(struct test_mock *m, struct mock_session *s)
{
	const char *at = s->query;
	struct mock_result *r = malloc(sizeof(*r));
	bool any = false;

	if (!r)
		abort();
	do {
		const char *end = mock_statement_end(at);

		mock_answer(m, s, at, (size_t)(end - at), false, r);
		if (!r->empty || (!*end && !any))
			put_result(s, r);
		any |= !r->empty;
		at = end;
	} while (*at);
	free(r);
	finish(s);
}

static void rows(struct test_mock *m, struct mock_session *s, const struct test_mock_reply *reply)
{
	struct mock_result *r = malloc(sizeof(*r));

	if (!r)
		abort();
	mock_answer(m, s, s->query, strlen(s->query), true, r);
	if (!s->extended)
		mock_put_columns(&s->out, reply->columns);
	for (int i = 0; i < reply->rows; i++)
		mock_put_row(&s->out, reply->columns, reply->values + i * reply->columns);
	mock_put_tag(&s->out, reply->tag ? reply->tag : r->tag);
	free(r);
	finish(s);
}

static void tag(struct test_mock *m, struct mock_session *s, const struct test_mock_reply *reply)
{
	struct mock_result *r = malloc(sizeof(*r));

	if (!r)
		abort();
	mock_answer(m, s, s->query, strlen(s->query), false, r);
	mock_put_tag(&s->out, reply->tag ? reply->tag : r->tag);
	free(r);
	finish(s);
}

static void cut(struct mock_session *s)
{
	const char *const value = "half of this never comes";
	size_t before;

	mock_put_columns(&s->out, 1);
	before = s->out.len;
	mock_put_row(&s->out, 1, &value);
	s->out.len -= (s->out.len - before) / 2;
	s->stage = MOCK_ENDING;
}

void mock_reply_now(struct test_mock *m, struct mock_session *s)
{
	const struct test_mock_reply *reply = s->script ? &s->script->reply : NULL;
	const char *state = reply && reply->sqlstate ? reply->sqlstate : "XX000";

	if (reply && reply->notice)
		mock_put_words(&s->out, 'N', "NOTICE", "00000", reply->notice);
	switch (reply ? reply->act : TEST_MOCK_USUAL) {
	case TEST_MOCK_USUAL:
		usual(m, s);
		break;
	case TEST_MOCK_ROWS:
		rows(m, s, reply);
		break;
	case TEST_MOCK_TAG:
		tag(m, s, reply);
		break;
	case TEST_MOCK_ERROR:
		mock_error(s, reply->severity ? reply->severity : "ERROR", state,
		           reply->text ? reply->text : "as the test wants it");
		finish(s);
		break;
	case TEST_MOCK_FATAL:
		mock_put_words(&s->out, 'E', reply->severity ? reply->severity : "FATAL", state,
		               reply->text ? reply->text : "as the test wants it");
		s->stage = MOCK_ENDING;
		break;
	case TEST_MOCK_SILENCE:
		break; /* it goes on owing */
	case TEST_MOCK_CUT:
		cut(s);
		break;
	case TEST_MOCK_FIN:
		mock_session_end(s, TEST_MOCK_END_FIN, NULL);
		break;
	case TEST_MOCK_RST:
		mock_session_end(s, TEST_MOCK_END_RST, NULL);
		break;
	}
}

static void remember(struct test_mock *m, int pid, const char *sql)
{
	if (m->queries == m->query_room) {
		m->query_room = 2 * m->query_room + 64;
		m->query = realloc(m->query, m->query_room * sizeof(*m->query));
		if (!m->query)
			abort();
	}
	m->query[m->queries++] = (struct mock_query){pid, strdup(sql)};
	m->counts.queries++;
}

void mock_query(struct test_mock *m, struct mock_session *s, const char *sql, bool extended)
{
	remember(m, s->pid, sql);
	free(s->query);
	s->query = strdup(sql);
	s->extended = extended;
	s->owes = true;
	s->script = script_for(m, sql);
	if (s->script && (s->script->reply.held || s->script->reply.after_ms)) {
		s->held = s->script->reply.held;
		s->due_ns =
			s->held ? MOCK_NEVER : mock_now_ns() + s->script->reply.after_ms * 1000000;
		return;
	}
	mock_reply_now(m, s);
}

/* ---- the extended protocol ---- */

static void prepare(struct mock_session *s, const char *name, const char *sql)
{
	struct mock_named *p = s->prepared;

	while (p && strcmp(p->name, name) != 0)
		p = p->next;
	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			abort();
		p->name = strdup(name);
		p->next = s->prepared;
		s->prepared = p;
	}
	free(p->sql);
	p->sql = strdup(sql);
}

void mock_prepared_free(struct mock_session *s)
{
	while (s->prepared) {
		struct mock_named *p = s->prepared;

		s->prepared = p->next;
		free(p->name);
		free(p->sql);
		free(p);
	}
}

static const char *prepared(const struct mock_session *s, const char *name)
{
	for (const struct mock_named *p = s->prepared; p; p = p->next)
		if (strcmp(p->name, name) == 0)
			return p->sql;
	return NULL;
}

/* Puts a parameter where $n stands, quoted. */
static char *substituted(char *sql, int n, const char *value, size_t length)
{
	struct mock_bytes b = {0};
	char mark[16], *at;
	size_t k;

	snprintf(mark, sizeof(mark), "$%d", n);
	k = strlen(mark);
	at = strstr(sql, mark);
	while (at && isdigit((unsigned char)at[k]))
		at = strstr(at + k, mark);
	if (!at)
		return sql;
	mock_add(&b, sql, (size_t)(at - sql));
	mock_add(&b, "'", 1);
	mock_add(&b, value, length);
	mock_add(&b, "'", 1);
	mock_add_text(&b, at + k);
	free(sql);
	return b.at;
}

/* portal, statement, formats, values: text ones, which is what everybody sends. */
static void bind(struct mock_session *s, const char *at)
{
	const char *name = at + strlen(at) + 1;
	const char *sql = prepared(s, name);
	const char *values = name + strlen(name) + 1;
	int n;

	if (!sql) {
		char text[96];

		snprintf(text, sizeof(text), "prepared statement \"%.60s\" does not exist", name);
		mock_error(s, "ERROR", "26000", text);
		return;
	}
	free(s->portal);
	s->portal = strdup(sql);
	values += 2 + 2 * mock_read_int(values, 2);
	n = (int)mock_read_int(values, 2);
	values += 2;
	for (int i = 1; i <= n; i++) {
		uint32_t length = mock_read_int(values, 4);

		values += 4;
		if (length == UINT32_MAX)
			continue;
		s->portal = substituted(s->portal, i, values, length);
		values += length;
	}
	mock_put_empty(&s->out, '2');
}

/* The columns that a query will have; what is scripted counts. */
static int columns_of(struct test_mock *m, struct mock_session *s, const char *sql)
{
	struct mock_result *r;
	int columns;

	for (struct mock_script *x = m->scripts; x; x = x->older)
		if (x->left && begins(sql, x->prefix)) {
			if (x->reply.act == TEST_MOCK_USUAL)
				break;
			return x->reply.act == TEST_MOCK_ROWS ? x->reply.columns : 0;
		}
	r = malloc(sizeof(*r));
	if (!r)
		abort();
	mock_answer(m, s, sql, strlen(sql), true, r);
	columns = r->columns;
	free(r);
	return columns;
}

static void describe(struct test_mock *m, struct mock_session *s, const char *at)
{
	const char *sql = *at == 'S' ? prepared(s, at + 1) : s->portal;
	int columns = sql ? columns_of(m, s, sql) : 0;

	if (*at == 'S') {
		size_t begun = mock_begin(&s->out, 't');

		mock_add_int(&s->out, 0, 2);
		mock_finish(&s->out, begun);
	}
	if (columns)
		mock_put_columns(&s->out, columns);
	else
		mock_put_empty(&s->out, 'n');
}

void mock_extended(struct test_mock *m, struct mock_session *s, char type, const char *at, size_t n)
{
	(void)n;
	s->extended = true;
	if (type == 'S') {
		s->skipping = false;
		mock_put_ready(&s->out, s->transaction);
		return;
	}
	if (s->skipping)
		return;
	switch (type) {
	case 'P':
		prepare(s, at, at + strlen(at) + 1);
		mock_put_empty(&s->out, '1');
		break;
	case 'B':
		bind(s, at);
		break;
	case 'D':
		describe(m, s, at);
		break;
	case 'E':
		mock_query(m, s, s->portal ? s->portal : "", true);
		break;
	case 'C':
		mock_put_empty(&s->out, '3');
		break;
	default:
		break; /* Flush: all goes out anyway */
	}
}

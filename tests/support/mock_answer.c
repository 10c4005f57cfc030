/* SPDX-License-Identifier: BSD-2-Clause */
/* What the mock server answers by itself: settings, the probe's columns, and words. */
#include "support/mock_inside.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- facts ---- */

const struct mock_fact *mock_fact_find(const struct mock_facts *facts, const char *name)
{
	for (size_t i = 0; i < facts->n; i++)
		if (strcasecmp(facts->row[i].name, name) == 0)
			return &facts->row[i];
	return NULL;
}

void mock_fact_set(struct mock_facts *facts, const char *name, const char *value)
{
	struct mock_fact *row = (struct mock_fact *)(uintptr_t)mock_fact_find(facts, name);

	if (!row) {
		if (facts->n == facts->room) {
			facts->room = 2 * facts->room + 16;
			facts->row = realloc(facts->row, facts->room * sizeof(*facts->row));
			if (!facts->row)
				abort();
		}
		row = &facts->row[facts->n++];
		memset(row, 0, sizeof(*row));
		snprintf(row->name, sizeof(row->name), "%s", name);
	}
	snprintf(row->value, sizeof(row->value), "%s", value);
}

void mock_fact_drop(struct mock_facts *facts, const char *name)
{
	const struct mock_fact *row = mock_fact_find(facts, name);

	if (row)
		facts->row[row - facts->row] = facts->row[--facts->n];
}

void mock_facts_copy(struct mock_facts *to, const struct mock_facts *from)
{
	to->n = 0;
	for (size_t i = 0; i < from->n; i++) {
		mock_fact_set(to, from->row[i].name, from->row[i].value);
		to->row[i].reported = from->row[i].reported;
	}
}

void mock_facts_free(struct mock_facts *facts)
{
	free(facts->row);
	*facts = (struct mock_facts){0};
}

/* ---- settings ---- */

/* As a server shows it: 30000 of a timeout is 30s. */
static void show(const char *name, const char *value, char *to, size_t room)
{
	static const struct {
		long long ms;
		const char *unit;
	} units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}, {1, "ms"}};
	size_t n = strlen(name);
	char *end;
	long long ms = strtoll(value, &end, 10);

	snprintf(to, room, "%s", value);
	if (n < 8 || strcasecmp(name + n - 8, "_timeout") != 0 || *end || ms <= 0)
		return;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (ms % units[i].ms)
			continue;
		snprintf(to, room, "%lld%s", ms / units[i].ms, units[i].unit);
		return;
	}
}

static void set(struct mock_session *s, const char *name, const char *value)
{
	const struct mock_fact *before = mock_fact_find(&s->now, name);

	if (before && before->reported && strcmp(before->value, value) != 0)
		mock_put_parameter(&s->out, before->name, value);
	mock_fact_set(&s->now, name, value);
}

/* As at startup: all of them, or the one. */
static void reset(struct mock_session *s, const char *name)
{
	for (size_t i = 0; i < s->now.n; i++) {
		struct mock_fact *row = &s->now.row[i];
		const struct mock_fact *was = mock_fact_find(&s->began, row->name);

		if (was && (!name || strcasecmp(name, row->name) == 0))
			set(s, row->name, was->value);
	}
	for (size_t i = s->now.n; i-- > 0;)
		if (!mock_fact_find(&s->began, s->now.row[i].name) &&
		    (!name || strcasecmp(name, s->now.row[i].name) == 0))
			s->now.row[i] = s->now.row[--s->now.n];
}

/* ---- words ---- */

/* The next word, quoted or not, without its quotes; what follows it. */
static const char *word(const char *at, const char *end, char *to, size_t room)
{
	size_t n = 0;
	char quote;

	while (at < end && (isspace((unsigned char)*at) || *at == ',' || *at == '('))
		at++;
	quote = at < end && (*at == '\'' || *at == '"') ? *at++ : '\0';
	for (; at < end; at++) {
		if (quote && *at == quote) {
			if (at + 1 == end || at[1] != quote)
				break;
			at++;
		} else if (!quote && !isalnum((unsigned char)*at) && !strchr("_.-", *at)) {
			break;
		}
		if (n + 1 < room)
			to[n++] = *at;
	}
	to[n] = '\0';
	return at < end && quote ? at + 1 : at;
}

/* Where `what` stands in at..end, any case; NULL. */
static const char *find(const char *at, const char *end, const char *what)
{
	size_t n = strlen(what);

	for (; at + n <= end; at++)
		if (strncasecmp(at, what, n) == 0)
			return at;
	return NULL;
}

static bool begins(const char *at, const char *end, const char *what)
{
	return find(at, end < at + strlen(what) ? end : at + strlen(what), what) == at;
}

/* The end of what begins at `at`: the first `stop` outside quotes and parentheses, or the end. */
static const char *upto(const char *at, const char *end, char stop)
{
	int depth = 0;
	char quote = '\0';

	for (; at < end; at++) {
		if (quote)
			quote = *at == quote ? '\0' : quote;
		else if (*at == '\'' || *at == '"')
			quote = *at;
		else if (*at == stop && depth == 0)
			return at;
		else if (*at == '(')
			depth++;
		else if (*at == ')')
			depth--;
	}
	return end;
}

const char *mock_statement_end(const char *sql)
{
	const char *end = sql + strlen(sql);
	const char *at = upto(sql, end, ';');

	return at < end ? at + 1 : end;
}

/* ---- SELECT ---- */

/* Questions of the router's probe, and which fact answers them where. */
static const struct {
	const char *mark, *fact;
	int in_recovery; /* 1: only there; 0: only elsewhere; -1: everywhere */
} known[] = {
	{"system_identifier", "system_identifier", -1},
	{"postmaster_start_time", "started", -1},
	{"last_wal_replay_lsn", "lsn", -1},
	{"pg_current_wal_insert_lsn", "lsn", -1},
	{"pg_current_wal_flush_lsn", "lsn", -1},
	{"walfile_name", "timeline", 0},
	{"received_tli", "timeline", 1},
	{"replay_pause", "replay_pause", 1},
	{"receiver.status", "receiver_status", 1},
	{"sender_host", "sender_host", 1},
	{"sender_port", "sender_port", 1},
};

static const char *fact(const struct test_mock *m, const struct mock_session *s, const char *name)
{
	const struct mock_fact *row = s ? mock_fact_find(&s->now, name) : NULL;

	if (!row)
		row = mock_fact_find(&m->facts, name);
	return row ? row->value : NULL;
}

static bool in_recovery(const struct test_mock *m, const struct mock_session *s)
{
	const char *value = fact(m, NULL, "in_recovery");

	if (!value)
		value = fact(m, s, "in_hot_standby");
	return value && (value[0] == 't' || strcmp(value, "on") == 0);
}

static const char *known_column(struct test_mock *m, struct mock_session *s, const char *at,
                                const char *end, bool *is_known)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!find(at, end, known[i].mark))
			continue;
		*is_known = true;
		if (known[i].in_recovery >= 0 && known[i].in_recovery != in_recovery(m, s))
			return NULL;
		return fact(m, s, known[i].fact);
	}
	*is_known = find(at, end, "recovering") || find(at, end, "pg_is_in_recovery");
	return in_recovery(m, s) ? "t" : "f";
}

static const char *setting_column(struct test_mock *m, struct mock_session *s, const char *at,
                                  const char *end, char *room, size_t size)
{
	char name[64];
	const char *value;

	word(strchr(at, '('), end, name, sizeof(name));
	value = fact(m, s, name);
	if (!value)
		return NULL;
	if (strcmp(name, "wal_segment_size") == 0)
		snprintf(room, size, "%s", "16777216");
	else
		show(name, value, room, size);
	return room;
}

static const char *column(struct test_mock *m, struct mock_session *s, const char *at,
                          const char *end, bool dry, char *room, size_t size)
{
	const char *where, *value;
	bool is_known;
	char name[64];

	if ((where = find(at, end, "set_config("))) {
		where = word(strchr(where, '('), end, name, sizeof(name));
		word(where, end, room, size);
		if (!dry)
			set(s, name, room);
		return room;
	}
	value = known_column(m, s, at, end, &is_known);
	if (is_known)
		return value;
	if ((where = find(at, end, "current_setting(")))
		return setting_column(m, s, where, end, room, size);
	if (find(at, end, "pg_backend_pid()")) {
		snprintf(room, size, "%d", s->pid);
		return room;
	}
	while (at < end && isspace((unsigned char)*at))
		at++;
	if (at == end || (!isdigit((unsigned char)*at) && *at != '\''))
		return NULL;
	word(at, end, room, size);
	return room;
}

/* Where the columns end: at a FROM that stands by itself outside parentheses. */
static const char *columns_end(const char *at, const char *end)
{
	int depth = 0;

	for (; at < end; at++) {
		depth += (*at == '(') - (*at == ')');
		if (depth == 0 && begins(at, end, " from "))
			return at;
	}
	return end;
}

static void select_row(struct test_mock *m, struct mock_session *s, const char *at, const char *end,
                       bool dry, struct mock_result *r)
{
	end = columns_end(at, end);
	r->has_row = true;
	while (at < end && r->columns < MOCK_COLUMNS) {
		const char *stop = upto(at, end, ',');
		int i = r->columns++;

		r->value[i] = column(m, s, at, stop, dry, r->room[i], sizeof(r->room[i]));
		at = stop + 1;
	}
	snprintf(r->tag, sizeof(r->tag), "SELECT 1");
}

/* ---- statements ---- */

static void set_statement(struct mock_session *s, const char *at, const char *end)
{
	char name[64], value[512];

	at = word(at, end, name, sizeof(name));
	if (strcasecmp(name, "session") == 0 || strcasecmp(name, "local") == 0)
		at = word(at, end, name, sizeof(name));
	while (at < end && (isspace((unsigned char)*at) || *at == '='))
		at++;
	if (begins(at, end, "to "))
		at += 3;
	word(at, end, value, sizeof(value));
	set(s, name, value);
}

static void reset_statement(struct mock_session *s, const char *at, const char *end)
{
	char name[64];

	word(at, end, name, sizeof(name));
	reset(s, strcasecmp(name, "all") == 0 ? NULL : name);
}

static void follow_transaction(struct mock_session *s, const char *first)
{
	if (strcmp(first, "BEGIN") == 0 || strcmp(first, "START") == 0)
		s->transaction = 'T';
	else if (strcmp(first, "COMMIT") == 0 || strcmp(first, "END") == 0 ||
	         strcmp(first, "ROLLBACK") == 0 || strcmp(first, "ABORT") == 0)
		s->transaction = 'I';
}

void mock_answer(struct test_mock *m, struct mock_session *s, const char *sql, size_t n, bool dry,
                 struct mock_result *r)
{
	const char *end = sql + n, *rest;
	char first[32];

	memset(r, 0, sizeof(*r));
	if (n && end[-1] == ';')
		end--;
	rest = word(sql, end, first, sizeof(first));
	for (char *c = first; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	snprintf(r->tag, sizeof(r->tag), "%s", first);
	r->empty = first[0] == '\0';
	if (strcmp(first, "SELECT") == 0) {
		select_row(m, s, rest, end, dry, r);
	} else if (strcmp(first, "SHOW") == 0) {
		char name[64];
		const char *value;

		word(rest, end, name, sizeof(name));
		value = fact(m, s, name);
		r->has_row = true;
		r->columns = 1;
		if (value)
			show(name, value, r->room[0], sizeof(r->room[0]));
		r->value[0] = r->room[0];
	} else if (!dry && strcmp(first, "SET") == 0) {
		set_statement(s, rest, end);
	} else if (!dry && strcmp(first, "RESET") == 0) {
		reset_statement(s, rest, end);
	} else if (strcmp(first, "DISCARD") == 0) {
		snprintf(r->tag, sizeof(r->tag), "DISCARD ALL");
		if (!dry)
			reset(s, NULL);
	}
	if (!dry)
		follow_transaction(s, first);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What weir asks of a server for its sessions: timeouts, the search path, a read-only default. They
 * go into the startup packet's `options`, because what is set there survives RESET ALL and DISCARD
 * ALL, and what is SET does not. Whether the server took them is asked once a connection. Where it
 * did not (a pooler between), they are SET, and again after each reset.
 *
 * Older servers refuse the whole connect for a setting that they do not know. What came late is
 * asked for only if it is wanted, and left out once a server has said that it does not know it.
 */
#include "pool/settings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/line.h"
#include "base/text.h"

/* In the order of wi_settings.want_ms, of the columns of the answer, and of weir_in_force. */
static const struct {
	const char *name;
	bool came_late; /* idle_session_timeout with PostgreSQL 14, transaction_timeout with 17 */
} timeouts[WI_SETTINGS] = {
	{"statement_timeout", false},
	{"lock_timeout", false},
	{"idle_in_transaction_session_timeout", false},
	{"idle_session_timeout", true},
	{"transaction_timeout", true},
};

/* The columns after the timeouts. */
enum {
	READ_ONLY = WI_SETTINGS,
	SEARCH_PATH,
	APPLICATION_NAME,
	BACKEND,
	RECOVERING,
	STARTED,
	SAME_PATH, /* the search path is the one that was asked for */
	COLUMNS
};
_Static_assert(COLUMNS <= WI_ANSWER_COLUMNS, "an answer has room for all of them");

/* Who answers: asked in two places. */
#define WHO_RECOVERING "pg_catalog.pg_is_in_recovery()"
#define WHO_STARTED "pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())"

/* The columns of that alone. */
enum { WHO_IS_RECOVERING, WHO_IS_READ_ONLY, WHO_HAS_STARTED };

#define BLANKS " \t\n\v\f\r"

/* Whether "name=" stands here, as the server reads it: in any case, with "-" for "_". */
static bool is_named(const char *at, const char *name)
{
	for (; *name; name++, at++)
		if (wi_lower(*at) != *name && !(*at == '-' && *name == '_'))
			return false;
	return *at == '=';
}

/* Behind a word of startup options; a backslash takes the next byte into it. */
static const char *word_end(const char *word)
{
	while (*word && !strchr(BLANKS, *word))
		word += word[0] == '\\' && word[1] ? 2 : 1;
	return word;
}

/*
 * Whether the user's own startup options set this: they win, and are not ours to judge. As words:
 * -c name=, -cname= or --name=.
 */
static bool is_users(const char *users, const char *name)
{
	const char *word = users ? users : "";

	for (word += strspn(word, BLANKS); *word; word += strspn(word, BLANKS)) {
		bool is_long = strncmp(word, "--", 2) == 0, is_short = strncmp(word, "-c", 2) == 0;

		if (is_short && strchr(BLANKS, word[2])) { /* or the end, where none follows */
			word += 2;
			word += strspn(word, BLANKS);
		} else if (is_long || is_short) {
			word += 2;
		}
		if (is_named(word, name))
			return true;
		word = word_end(word);
	}
	return false;
}

static bool wants(const struct wi_settings *s, int i)
{
	return s->want_ms[i] >= 0 && !(timeouts[i].came_late && s->want_ms[i] == 0);
}

/* A value in the startup packet: blanks end it there, and a backslash takes any byte as it is. */
static void add_startup(struct wi_text *t, const char *name, const char *value)
{
	wi_text_add(t, "%s-c %s=", t->len ? " " : "", name);
	for (; *value; value++)
		wi_text_add(t, "%s%c", *value == ' ' || *value == '\\' ? "\\" : "", *value);
}

/* A literal: good for any standard_conforming_strings, as check_path lets no backslash in. */
static void add_literal(struct wi_text *t, const char *value)
{
	wi_text_add(t, "'");
	for (; *value; value++)
		wi_text_add(t, "%s%c", *value == '\'' ? "'" : "", *value);
	wi_text_add(t, "'");
}

static weir_status write_startup(const struct wi_settings *s, bool reads, char *room, size_t size,
                                 weir_error *error)
{
	struct wi_text t;
	char digits[24];

	wi_text_init(&t, room, size);
	for (int i = 0; i < WI_SETTINGS; i++) {
		struct wi_text number;

		if (!wants(s, i) || s->unknown[i])
			continue;
		wi_text_init(&number, digits, sizeof(digits));
		wi_text_add(&number, "%" PRId64, s->want_ms[i]);
		add_startup(&t, timeouts[i].name, digits);
	}
	if (s->read_only || (reads && !s->users_access))
		add_startup(&t, "default_transaction_read_only", "on");
	if (s->path[0])
		add_startup(&t, "search_path", s->path);
	if (s->users)
		wi_text_add(&t, "%s%s", t.len ? " " : "", s->users);
	if (t.len + 1 >= size)
		return wi_fail(error, WEIR_INVALID,
		               "\"options\" of the connection string is too long");
	return WEIR_OK;
}

/*
 * The part of the startup packet; also again, when a server has turned out not to know a setting.
 */
static weir_status build_startup(struct wi_settings *s, weir_error *error)
{
	weir_status st = write_startup(s, false, s->startup, sizeof(s->startup), error);

	if (st != WEIR_OK)
		return st;
	return write_startup(s, true, s->startup_reads, sizeof(s->startup_reads), error);
}

static void build_apply(struct wi_settings *s)
{
	struct wi_text t;

	wi_text_init(&t, s->apply, sizeof(s->apply));
	for (int i = 0; i < WI_SETTINGS; i++) {
		const char *name = timeouts[i].name;

		if (s->want_ms[i] >= 0 && timeouts[i].came_late)
			wi_text_add(&t,
			            "SELECT pg_catalog.set_config('%s', '%" PRId64
			            "', false) WHERE "
			            "pg_catalog.current_setting('%s', true) IS NOT NULL;",
			            name, s->want_ms[i], name);
		else if (wants(s, i))
			wi_text_add(&t, "SET %s = %" PRId64 ";", name, s->want_ms[i]);
	}
	if (s->read_only)
		wi_text_add(&t, "SET default_transaction_read_only = on;");
	if (s->path[0]) {
		wi_text_add(&t, "SELECT pg_catalog.set_config('search_path', ");
		add_literal(&t, s->path);
		wi_text_add(&t, ", false);");
	}
}

static void build_verify(struct wi_settings *s)
{
	static const char *const texts[] = {"default_transaction_read_only", "search_path",
	                                    "application_name"};
	struct wi_text t;

	wi_text_init(&t, s->verify, sizeof(s->verify));
	wi_text_add(&t, "SELECT ");
	for (int i = 0; i < WI_SETTINGS; i++)
		wi_text_add(&t, "pg_catalog.current_setting('%s', true), ", timeouts[i].name);
	for (size_t i = 0; i < WI_ARRAY_LEN(texts); i++)
		wi_text_add(&t, "pg_catalog.current_setting('%s', true), ", texts[i]);
	wi_text_add(&t, "pg_catalog.pg_backend_pid(), ");
	wi_text_add(&t, WHO_RECOVERING ", " WHO_STARTED ", ");
	if (!s->path[0]) {
		wi_text_add(&t, "true");
		return;
	}
	wi_text_add(&t, "pg_catalog.current_setting('search_path', true) OPERATOR(pg_catalog.=) ");
	add_literal(&t, s->path);
}

/* Bytes that would need to be quoted in one of the places that a search path goes to. */
static weir_status check_path(const char *path, weir_error *error)
{
	for (; *path; path++)
		if ((unsigned char)*path < ' ' || *path == 127 || *path == '\\')
			return wi_fail(error, WEIR_INVALID,
			               "option \"search_path\": no control bytes, no backslashes");
	return WEIR_OK;
}

/* The server would cut it at 63 bytes, and show other bytes as question marks. */
static weir_status check_application_name(const char *name, weir_error *error)
{
	for (; *name; name++)
		if ((unsigned char)*name < ' ' || (unsigned char)*name > '~')
			return wi_fail(error, WEIR_INVALID,
			               "option \"application_name\": printable ASCII only");
	return WEIR_OK;
}

static void take_timeouts(struct wi_settings *s, const weir_options *o)
{
	const int64_t want[WI_SETTINGS] = {
		o->statement_timeout_ms, o->lock_timeout_ms, o->idle_in_transaction_timeout_ms,
		o->idle_session_timeout_ms,
		o->transaction_timeout_ms ? o->transaction_timeout_ms : -1};

	for (int i = 0; i < WI_SETTINGS; i++)
		s->want_ms[i] = is_users(s->users, timeouts[i].name) ? -1 : want[i];
}

void wi_settings_retime(struct wi_settings *s, const weir_options *o)
{
	take_timeouts(s, o);
	build_apply(s);
	build_startup(s, NULL); /* as long as before: only digits are others */
	s->edition = s->edition == UINT8_MAX ? 1 : (uint8_t)(s->edition + 1);
}

weir_status wi_settings_build(struct wi_settings *s, const weir_options *o, const char *users,
                              weir_error *error)
{
	weir_status st = check_path(o->search_path, error);

	if (st == WEIR_OK)
		st = check_application_name(o->application_name, error);
	if (st != WEIR_OK)
		return st;
	s->edition = 1;
	s->users = users && users[0] ? users : NULL;
	take_timeouts(s, o);
	s->users_access = is_users(users, "default_transaction_read_only");
	s->read_only = o->read_only && !s->users_access;
	if (!is_users(users, "search_path"))
		wi_copy(s->path, sizeof(s->path), o->search_path);
	build_apply(s);
	build_verify(s);
	return build_startup(s, error);
}

bool wi_settings_is_empty(const struct wi_settings *s)
{
	return s->apply[0] == '\0';
}

const char *wi_settings_leave_out(struct wi_settings *s, const char *refusal, uint8_t edition,
                                  bool *again)
{
	for (int i = 0; i < WI_SETTINGS; i++) {
		if (!timeouts[i].came_late || !wants(s, i) || !strstr(refusal, timeouts[i].name))
			continue;
		if (s->left_out[i] && edition == s->edition)
			continue; /* refused, though it was not asked for */
		*again = s->unknown[i];
		if (!s->left_out[i]) {
			s->unknown[i] = s->left_out[i] = true;
			build_startup(s, NULL);
			s->edition++;
		}
		return timeouts[i].name;
	}
	return NULL;
}

int64_t wi_setting_ms(const char *text)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"", 1},        {"ms", 1},      {"s", 1000},
	             {"min", 60000}, {"h", 3600000}, {"d", 86400000}};
	char *end;
	int64_t n = strtoll(text, &end, 10);

	if (end == text || n < 0)
		return -1;
	for (size_t i = 0; i < WI_ARRAY_LEN(units); i++)
		if (strcmp(end, units[i].unit) == 0)
			return n * units[i].ms;
	return -1;
}

/* Where a timeout is told. */
static int64_t *told(weir_in_force *f, int i)
{
	int64_t *const members[WI_SETTINGS] = {
		&f->statement_timeout_ms, &f->lock_timeout_ms, &f->idle_in_transaction_timeout_ms,
		&f->idle_session_timeout_ms, &f->transaction_timeout_ms};

	return members[i];
}

/* A column of the answer, or NULL where the server knows no such thing. */
static const char *column(const struct wi_answer *a, size_t i)
{
	return a->has_row && i < a->columns && !a->is_null[i] ? a->value[i] : NULL;
}

bool wi_settings_match(const struct wi_settings *s, const struct wi_answer *answer,
                       weir_in_force *f)
{
	const char *value;
	bool all = true;

	for (int i = 0; i < WI_SETTINGS; i++) {
		value = column(answer, (size_t)i);
		*told(f, i) = value ? wi_setting_ms(value) : -1;
		if (s->want_ms[i] >= 0 && *told(f, i) != s->want_ms[i] &&
		    !(timeouts[i].came_late && !value))
			all = false;
	}
	value = column(answer, READ_ONLY);
	f->read_only = value ? strcmp(value, "on") == 0 : -1;
	value = column(answer, SEARCH_PATH);
	wi_copy(f->search_path, sizeof(f->search_path), value ? value : "");
	value = column(answer, APPLICATION_NAME);
	wi_copy(f->application_name, sizeof(f->application_name), value ? value : "");
	value = column(answer, BACKEND);
	f->server_process = value ? (int)strtol(value, NULL, 10) : 0;
	value = column(answer, SAME_PATH);
	if ((s->read_only && f->read_only != 1) ||
	    (s->path[0] && !(value && strcmp(value, "t") == 0)))
		all = false;
	return all;
}

const char *wi_settings_unknown(struct wi_settings *s, const weir_in_force *f)
{
	weir_in_force copy = *f;

	for (int i = 0; i < WI_SETTINGS; i++)
		if (timeouts[i].came_late && wants(s, i) && !s->unknown[i] && *told(&copy, i) < 0) {
			s->unknown[i] = true;
			return timeouts[i].name;
		}
	return NULL;
}

bool wi_settings_lack_one(const struct wi_settings *s)
{
	for (int i = 0; i < WI_SETTINGS; i++)
		if (s->unknown[i])
			return true;
	return false;
}

#define ASK_WHO(read_only) "SELECT " WHO_RECOVERING ", " read_only ", " WHO_STARTED
#define MAKE_IT(value) "pg_catalog.set_config('default_transaction_read_only', " value ", false)"

const char *wi_settings_who(enum wi_who who)
{
	static const char *const questions[] = {
		[WI_WHO_ASK] =
			ASK_WHO("pg_catalog.current_setting('default_transaction_read_only')"),
		[WI_WHO_RESTRICT] = ASK_WHO(MAKE_IT("'on'")),
		[WI_WHO_ALLOW] = ASK_WHO(MAKE_IT("'off'")),
		[WI_WHO_RESTORE] = ASK_WHO(MAKE_IT("NULL")),
	};

	return questions[who];
}

uint64_t wi_settings_microseconds(const char *text)
{
	uint64_t n = 0;
	int after = -1;

	for (; *text; text++) {
		if (*text == '.' && after < 0)
			after = 0;
		else if (*text < '0' || *text > '9' || n > UINT64_MAX / 100)
			return 0;
		else if (after < 6) {
			n = n * 10 + (uint64_t)(*text - '0');
			after += after >= 0;
		}
	}
	for (after = after < 0 ? 0 : after; after < 6; after++)
		n *= 10;
	return n;
}

/* "t" and "on" are yes; -1: it is not said. */
static int yes(const char *value)
{
	return value ? value[0] == 't' || strcmp(value, "on") == 0 : -1;
}

void wi_settings_met(const struct wi_answer *a, bool is_verify, struct wi_met *met)
{
	const char *started = column(a, is_verify ? (size_t)STARTED : WHO_HAS_STARTED);

	met->recovering = yes(column(a, is_verify ? (size_t)RECOVERING : WHO_IS_RECOVERING));
	met->read_only = yes(column(a, is_verify ? (size_t)READ_ONLY : WHO_IS_READ_ONLY));
	met->started = started ? wi_settings_microseconds(started) : 0;
}

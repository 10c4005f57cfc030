/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tokens: taken from a server, printed, read.
 *
 * The text is 1-<system>-<timeline>-<lsn>, three numbers in lower-case hex without leading zeros;
 * the 1 is the version of this form. Only what print writes is read, so that two texts are the same
 * position only if they are the same text.
 */
#include <stdio.h>
#include <string.h>

#include <weir/token.h>

#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/pool.h"
#include "route/lsn.h"

/*
 * The insert position, not the written one: with synchronous_commit off a commit returns before it
 * is written. A standby has no position of its own to give and says so.
 */
static const char question[] =
	"SELECT here.recovering,"
	" CASE WHEN NOT here.recovering THEN pg_catalog.pg_current_wal_insert_lsn() END,"
	" CASE WHEN NOT here.recovering"
	" THEN pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END,"
	" (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
	" pg_catalog.current_setting('wal_block_size'),"
	" pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))"
	" FROM (SELECT pg_catalog.pg_is_in_recovery() AS recovering OFFSET 0) AS here";

enum column { RECOVERING, LSN, TIMELINE, SYSTEM, BLOCK_BYTES, SEGMENT_BYTES, WIDTH };

static weir_status broken(struct weir_conn *c, const struct wi_failure *f, weir_error *error)
{
	weir_status st = f->fault == WI_FAULT_SQL ? WEIR_QUERY : WEIR_CONNECT;

	wi_fail(error, st, "%s: asking for the position: %s", c->pool->endpoint->name, f->text);
	if (error) {
		wi_copy(error->host, sizeof(error->host), c->pool->endpoint->name);
		memcpy(error->sqlstate, f->sqlstate, sizeof(error->sqlstate));
	}
	return st;
}

static weir_status too_late(struct weir_conn *c, weir_error *error)
{
	/* The answer is still to come: nobody may use this connection again. */
	wi_or_rlx(&c->notes, WI_NOTE_DISCARD); /* read at checkin by the same thread */
	return wi_fail(error, WEIR_TIMEOUT, "%s did not say its position in time",
	               c->pool->endpoint->name);
}

static weir_status ask(struct weir_conn *c, int64_t deadline_ns, struct wi_answer *answer,
                       weir_error *error)
{
	struct wi_failure f = {0};

	if (!c->pool->driver->send(c->link, question, &f))
		return broken(c, &f, error);
	switch (wi_conn_await(c, answer, deadline_ns, &f)) {
	case WI_STEP_DONE:
		return WEIR_OK;
	case WI_STEP_FAILED:
		return broken(c, &f, error);
	case WI_STEP_READ:
	case WI_STEP_WRITE:
		break;
	}
	return too_late(c, error);
}

static bool number(const struct wi_answer *a, enum column column, int base, uint64_t *n)
{
	return !a->is_null[column] && wi_number_parse(a->value[column], base, n);
}

static weir_status read_answer(const struct weir_conn *c, const struct wi_answer *a,
                               weir_token *token, weir_error *error)
{
	uint64_t lsn, timeline, system, block, segment;

	if (a->has_row && a->columns >= WIDTH && a->value[RECOVERING][0] == 't')
		return wi_fail(error, WEIR_INVALID,
		               "%s is a standby: a token is taken from the primary",
		               c->pool->endpoint->name);
	if (!a->has_row || a->columns < WIDTH || !wi_lsn_parse(a->value[LSN], &lsn) ||
	    !number(a, TIMELINE, 16, &timeline) || !number(a, SYSTEM, 10, &system) ||
	    !number(a, BLOCK_BYTES, 10, &block) || !number(a, SEGMENT_BYTES, 10, &segment))
		return wi_fail(error, WEIR_QUERY,
		               "%s: its answer about the position makes no sense",
		               c->pool->endpoint->name);
	*token = (weir_token){
		.system = system,
		.lsn = wi_lsn_normalise(lsn, block, segment),
		.timeline = (uint32_t)timeline,
	};
	return WEIR_OK;
}

static weir_status check_state(const struct weir_conn *c, weir_error *error)
{
	switch (c->pool->driver->look(c->link)) {
	case WI_LOOK_CLEAN:
	case WI_LOOK_CHANGED:
		return WEIR_OK;
	case WI_LOOK_IN_TX:
		return wi_fail(error, WEIR_INVALID,
		               "inside a transaction: take the token after COMMIT");
	case WI_LOOK_BUSY:
		return wi_fail(error, WEIR_INVALID,
		               "a query is still running, or its rows are unread");
	case WI_LOOK_DEAD:
		break;
	}
	return wi_fail(error, WEIR_CONNECT, "the connection to %s is lost",
	               c->pool->endpoint->name);
}

weir_status weir_token_take(weir_conn *conn, int64_t timeout_ms, weir_token *token,
                            weir_error *error)
{
	struct weir_conn *c = conn ? wi_conn_of(conn) : NULL;
	struct wi_answer answer;
	weir_status st;
	WI_NO_CANCEL;

	if (!conn || !token)
		return wi_fail(error, WEIR_INVALID, "weir_token_take: %s is NULL",
		               conn ? "token" : "conn");
	if (!c)
		return wi_fail(error, WEIR_STALE, "the handle was given back already");
	if (wi_pool_is_parents(c->pool))
		return wi_fail(error, WEIR_FORKED, "a connection of the parent of this process");
	st = check_state(c, error);
	if (st == WEIR_OK)
		st = ask(c, wi_deadline_after(c->pool->core.world->now(), timeout_ms), &answer,
		         error);
	if (st == WEIR_OK)
		st = read_answer(c, &answer, token, error);
	return st;
}

void weir_token_print(const weir_token *token, char text[WEIR_TOKEN_TEXT])
{
	static const weir_token none;

	if (!text)
		return;
	if (!token)
		token = &none;
	snprintf(text, WEIR_TOKEN_TEXT, "1-%llx-%x-%llx", (unsigned long long)token->system,
	         token->timeline, (unsigned long long)token->lsn);
}

/* The part of a text up to the next '-' or the end, as a number; advances *text beyond it. */
static bool take_part(const char **text, uint64_t *n)
{
	char part[17]; /* 64 bits in hex */
	size_t length = strcspn(*text, "-");

	if (length >= sizeof(part))
		return false;
	memcpy(part, *text, length);
	part[length] = '\0';
	*text += length;
	*text += **text == '-';
	return wi_number_parse(part, 16, n);
}

weir_status weir_token_parse(const char *text, weir_token *token)
{
	uint64_t version, system, timeline, lsn;
	char again[WEIR_TOKEN_TEXT];
	const char *at = text;
	weir_token t;

	if (!text || !token || !take_part(&at, &version) || !take_part(&at, &system) ||
	    !take_part(&at, &timeline) || !take_part(&at, &lsn) || timeline > UINT32_MAX)
		return WEIR_INVALID;
	t = (weir_token){.system = system, .timeline = (uint32_t)timeline, .lsn = lsn};
	weir_token_print(&t, again);
	if (strcmp(again, text) != 0)
		/* another version, capitals, leading zeros, or something behind */
		return WEIR_INVALID;
	*token = t;
	return WEIR_OK;
}

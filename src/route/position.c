/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asking a server for its position, on the holder's own connection: weir_token_take and its kin.
 *
 * The position after a commit. COMMIT and the question go out together, as two statements of a
 * pipeline that each have their own end: the server works them off in their order, so the second is
 * asked after the first has taken effect, and what comes of the first is known by itself, even if
 * the second fails or the connection is lost between the two. (Both in one simple query would cost
 * as little, but the server keeps the answer to the first until it has that to the second.)
 */
#include <string.h>

#include <weir/session.h>
#include <weir/token.h>

#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "driver/fault.h"
#include "pool/busy.h"
#include "pool/pool.h"
#include "route/lsn.h"
#include "route/router.h"

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

/* ---- what is told ---- */

static const char *name_of(const struct weir_conn *c)
{
	return c->pool->endpoint->name;
}

static weir_status told(const struct weir_conn *c, const struct wi_failure *f, weir_status st,
                        const char *what, weir_error *error)
{
	wi_fail(error, st, "%s: %s: %s", name_of(c), what, f->text);
	if (error) {
		wi_copy(error->host, sizeof(error->host), name_of(c));
		memcpy(error->sqlstate, f->sqlstate, sizeof(error->sqlstate));
	}
	return st;
}

/* The connection has ended: the keeper is to see how, when it is given back. */
static void note_loss(struct weir_conn *c, const struct wi_failure *f)
{
	if (f->fault != WI_FAULT_SQL)
		wi_or_acq_rel(&c->notes, WI_NOTE_SUSPECT);
}

static weir_status broken(struct weir_conn *c, const struct wi_failure *f, weir_error *error)
{
	note_loss(c, f);
	return told(c, f, f->fault == WI_FAULT_SQL ? WEIR_QUERY : WEIR_CONNECT,
	            "asking for the position", error);
}

/* ---- the answer ---- */

static bool number(const struct wi_answer *a, enum column column, int base, uint64_t *n)
{
	return !a->is_null[column] && wi_number_parse(a->value[column], base, n);
}

static weir_status read_position(const struct weir_conn *c, const struct wi_answer *a,
                                 weir_token *token, weir_error *error)
{
	uint64_t lsn, timeline, system, block, segment;

	if (!a->has_row || a->columns < WIDTH || !wi_lsn_parse(a->value[LSN], &lsn) ||
	    !number(a, TIMELINE, 16, &timeline) || !number(a, SYSTEM, 10, &system) ||
	    !number(a, BLOCK_BYTES, 10, &block) || !number(a, SEGMENT_BYTES, 10, &segment))
		return wi_fail(error, WEIR_QUERY,
		               "%s: its answer about the position makes no sense", name_of(c));
	*token = (weir_token){
		.system = system,
		.lsn = wi_lsn_normalise(lsn, block, segment),
		.timeline = (uint32_t)timeline,
	};
	return WEIR_OK;
}

static weir_status read_answer(const struct weir_conn *c, const struct wi_answer *a,
                               weir_token *token, weir_error *error)
{
	if (a->has_row && a->columns >= WIDTH && a->value[RECOVERING][0] == 't')
		return wi_fail(error, WEIR_INVALID,
		               "%s is a standby: a token is taken from the primary", name_of(c));
	return read_position(c, a, token, error);
}

/* For read_your_writes, where the connection is a router's. */
static void note_token(const struct weir_conn *c, const weir_token *token)
{
	const struct wi_host *h = wi_host_of(c->pool);

	if (h)
		wi_floor_raise(h->router, token);
}

/* ---- taking ---- */

static weir_status ask(struct weir_conn *c, const char *sql, int64_t timeout_ms,
                       struct wi_answer *answer, weir_error *error)
{
	int64_t deadline_ns = wi_deadline_after(c->pool->core.world->now(), timeout_ms);
	struct wi_failure f = {0};

	if (!c->pool->driver->send(c->link, sql, &f))
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
	wi_busy_give_up(c);
	return wi_fail(error, WEIR_TIMEOUT, "%s did not say its position in time", name_of(c));
}

static weir_status lost_before(const struct weir_conn *c, weir_error *error)
{
	return wi_fail(error, WEIR_CONNECT, "the connection to %s is lost", name_of(c));
}

static weir_status busy(weir_error *error)
{
	return wi_fail(error, WEIR_INVALID, "a query is still running, or its rows are unread");
}

static weir_status check_outside(const struct weir_conn *c, weir_error *error)
{
	switch (c->pool->driver->look(c->link)) {
	case WI_LOOK_CLEAN:
	case WI_LOOK_CHANGED:
		return WEIR_OK;
	case WI_LOOK_IN_TX:
		return wi_fail(error, WEIR_INVALID,
		               "inside a transaction: take the token after COMMIT");
	case WI_LOOK_BUSY:
		return busy(error);
	case WI_LOOK_DEAD:
		break;
	}
	return lost_before(c, error);
}

/* The slot that is held, or NULL with *st saying why not. */
static struct weir_conn *held(const weir_conn *conn, const weir_token *token, const char *function,
                              weir_status *st, weir_error *error)
{
	struct weir_conn *c = conn ? wi_conn_of(conn) : NULL;

	if (!conn || !token)
		*st = wi_fail(error, WEIR_INVALID, "%s: %s is NULL", function,
		              conn ? "token" : "conn");
	else if (!c)
		*st = wi_fail(error, WEIR_STALE, "the handle was given back already");
	else if (wi_pool_is_parents(c->pool))
		*st = wi_fail(error, WEIR_FORKED, "a connection of the parent of this process");
	else
		return c;
	return NULL;
}

weir_status weir_token_take(weir_conn *conn, int64_t timeout_ms, weir_token *token,
                            weir_error *error)
{
	struct weir_conn *c;
	struct wi_answer answer;
	weir_status st;
	WI_NO_CANCEL;

	c = held(conn, token, "weir_token_take", &st, error);
	if (!c)
		return st;
	st = check_outside(c, error);
	if (st == WEIR_OK)
		st = ask(c, question, timeout_ms, &answer, error);
	if (st == WEIR_OK)
		st = read_answer(c, &answer, token, error);
	if (st == WEIR_OK)
		note_token(c, token);
	return st;
}

/* Of a standby: what it has replayed, on the timeline that it is known to follow (see probe.c). */
static const char standby_question[] =
	"SELECT here.recovering,"
	" CASE WHEN here.recovering THEN pg_catalog.pg_last_wal_replay_lsn()"
	" ELSE pg_catalog.pg_current_wal_insert_lsn() END,"
	" CASE WHEN here.recovering THEN pg_catalog.to_hex(GREATEST("
	"(SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver),"
	" (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),"
	" (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery())))"
	" ELSE pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)"
	" END,"
	" (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
	" pg_catalog.current_setting('wal_block_size'),"
	" pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))"
	" FROM (SELECT pg_catalog.pg_is_in_recovery() AS recovering OFFSET 0) AS here";

weir_status weir_session_take(weir_session *session, weir_conn *conn, int64_t timeout_ms,
                              weir_error *error)
{
	struct weir_conn *c;
	struct wi_answer answer;
	weir_token token;
	weir_status st;
	WI_NO_CANCEL;

	if (!session)
		return wi_fail(error, WEIR_INVALID, "weir_session_take: session is NULL");
	c = held(conn, &session->at_least, "weir_session_take", &st, error);
	if (!c)
		return st;
	st = check_outside(c, error);
	if (st == WEIR_OK)
		st = ask(c, standby_question, timeout_ms, &answer, error);
	if (st == WEIR_OK)
		st = read_position(c, &answer, &token, error);
	if (st == WEIR_OK)
		weir_token_raise(&session->at_least, &token);
	return st;
}

/* ---- committing ---- */

/* What is known of a commit whose position could not be had: only the primary has it for sure. */
static const weir_token behind_all = WEIR_TOKEN_PRIMARY;

static weir_status check_commit(struct weir_conn *c, const struct wi_facts *facts,
                                weir_error *error)
{
	struct wi_failure f = {0};

	switch (c->pool->driver->look(c->link)) {
	case WI_LOOK_IN_TX:
		break;
	case WI_LOOK_CLEAN:
	case WI_LOOK_CHANGED:
		return wi_fail(error, WEIR_INVALID,
		               "no transaction is open: weir_token_take asks for the position");
	case WI_LOOK_BUSY:
		return busy(error);
	case WI_LOOK_DEAD:
		return lost_before(c, error);
	}
	if (facts->in_hot_standby)
		return wi_fail(error, WEIR_INVALID,
		               "%s is a standby: nothing is written there, and it has no token",
		               name_of(c));
	/* A session that ended before this was sent has not committed: that is sure, for once. */
	if (!c->pool->driver->peek(c->link, &f)) {
		note_loss(c, &f);
		return told(c, &f, WEIR_CONNECT, "lost before COMMIT was sent", error);
	}
	return WEIR_OK;
}

/* Not a word about COMMIT: it was refused, or nobody knows. */
static weir_status commit_failed(struct weir_conn *c, const struct wi_failure *f, weir_error *error)
{
	bool again = wi_pool_classify(c->pool, f->sqlstate, false) == WEIR_CLASS_RETRY;

	if (f->fault != WI_FAULT_SQL || wi_fault_is_unresolved(f->sqlstate)) {
		/* Whoever looks whether it was is to look where that can be seen. */
		note_token(c, &behind_all);
		return told(c, f, WEIR_OUTCOME_UNKNOWN, "lost in COMMIT", error);
	}
	return told(c, f, again ? WEIR_RETRY : WEIR_QUERY, "rolled back by COMMIT", error);
}

/* COMMIT has taken effect: that is what the caller must hear, whatever became of the question. */
static void committed(const struct weir_conn *c, const struct wi_failure *f, weir_token *token,
                      weir_error *error)
{
	*token = behind_all;
	told(c, f, WEIR_QUERY, "committed, but the position was not said", error);
}

/* A transaction with a failed statement: COMMIT takes back what it did, answered or not. */
static weir_status rolled_back(const struct weir_conn *c, weir_error *error)
{
	static const struct wi_failure why = {
		.fault = WI_FAULT_SQL,
		.sqlstate = "25P02",
		.text = "a statement of the transaction had failed before"};

	return told(c, &why, WEIR_QUERY, "rolled back", error);
}

/* Sends both and waits. f says what went wrong, if not everything went well. */
static enum wi_step commit_and_ask(struct weir_conn *c, int64_t deadline_ns,
                                   struct wi_answer *answer, struct wi_failure *f)
{
	int64_t sent_ns = c->pool->core.world->now();
	enum wi_step step = WI_STEP_FAILED;

	if (c->pool->driver->send_two(c->link, "COMMIT", question, f))
		step = wi_conn_await(c, answer, deadline_ns, f);
	if (step == WI_STEP_FAILED)
		note_loss(c, f);
	if (step == WI_STEP_DONE || step == WI_STEP_FAILED)
		return step;
	wi_busy_out_of_time(c, sent_ns, f);
	return WI_STEP_FAILED;
}

static weir_status commit(struct weir_conn *c, int64_t timeout_ms, weir_token *token,
                          weir_error *error)
{
	int64_t deadline_ns = wi_deadline_after(c->pool->core.world->now(), timeout_ms);
	struct wi_failure f = {0};
	struct wi_answer answer;
	struct wi_facts before, now;
	enum wi_step step;
	weir_status st;

	c->pool->driver->facts(c->link, &before);
	st = check_commit(c, &before, error);
	if (st != WEIR_OK)
		return st;
	step = commit_and_ask(c, deadline_ns, &answer, &f);
	c->pool->driver->facts(c->link, &now);
	if (before.in_failed_tx)
		return rolled_back(c, error);
	if (!now.succeeded)
		return commit_failed(c, &f, error);
	st = step == WI_STEP_DONE ? read_answer(c, &answer, token, NULL) : WEIR_QUERY;
	if (step == WI_STEP_DONE && st != WEIR_OK)
		wi_copy(f.text, sizeof(f.text), "the server's answer makes no sense");
	if (st != WEIR_OK)
		committed(c, &f, token, error);
	note_token(c, token);
	return WEIR_OK;
}

weir_status weir_token_commit(weir_conn *conn, int64_t timeout_ms, weir_token *token,
                              weir_error *error)
{
	struct weir_conn *c;
	weir_status st;
	WI_NO_CANCEL;

	c = held(conn, token, "weir_token_commit", &st, error);
	return c ? commit(c, timeout_ms, token, error) : st;
}

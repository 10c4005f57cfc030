/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is heard of a session without asking, and how it looks by that.
 *
 * Notices. A receiver is there from the start: it keeps what ends the session, because a FATAL
 * arrives as a notice when no query runs, and hands the rest to the processor, which is silent
 * until a holder sets one of its own. Nothing is ever printed.
 *
 * Settings. A hash of what the server reports (ParameterStatus) tells a changed session from a
 * clean one. It takes some 0.2 us, most of it in libpq's list of parameters, which only
 * PQparameterStatus can search, name by name: so a look computes it only after something was heard
 * from an event procedure. libpq calls that for every result that PQgetResult gives out, and all
 * ways to run a statement come to that (PQexec and its like, pipelines, single rows, COPY, errors);
 * it costs such a result 0.04 us. What is not heard: PQfn, which makes its result by itself, and
 * what the server reports to an idle session when its configuration was read anew. The latter is no
 * holder's doing and does no harm. A setting changed by a function that was called through PQfn,
 * with no statement after it, is missed at that checkin and found by the first look after the next
 * statement or peek. reset=always misses nothing.
 *
 * Other changes. The same procedure reads the command tag of what returned no rows (tag.c): most of
 * what a session can keep is made by commands of its own, such as SET ROLE, PREPARE or LISTEN. What
 * a function did inside a SELECT has no tag; docs/session-state.md says what is missed thereby.
 */
#include <poll.h>
#include <string.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/text.h"
#include "driver/fault.h"
#include "driver/libpq.h"
#include "driver/settings.h"
#include "driver/tag.h"

/* Wherever libpq has it from: the target, a login, the environment, a password or service file. */
const char *wi_pq_secret_of(const struct pq_conn *c)
{
	const char *password = PQpass(c->pg);

	return password && password[0] ? password : NULL;
}

/* Keeps the first message that ends the session. Without memory only the fact is kept. */
static void keep_last_words(struct pq_conn *c, const PGresult *notice)
{
	c->failed = true;
	if (c->last_words)
		return;
	c->last_words = wi_alloc(sizeof(*c->last_words));
	if (c->last_words)
		wi_failure_set(
			c->last_words, WI_FAULT_LOST, PQresultErrorField(notice, PG_DIAG_SQLSTATE),
			PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY), wi_pq_secret_of(c));
}

/* A notice or an error: whether it is the end, whatever follows. */
void wi_pq_hear_end(struct pq_conn *c, const PGresult *said)
{
	if (wi_fault_ends_session(PQresultErrorField(said, PG_DIAG_SEVERITY_NONLOCALIZED),
	                          PQresultErrorField(said, PG_DIAG_SQLSTATE)))
		keep_last_words(c, said);
}

/*
 * (a) libpq's own receiver, which calls the processor: one function, and each connection begins
 * with it.
 */
static _Atomic(PQnoticeReceiver) to_processor;

void wi_pq_hear_from_now_on(struct pq_conn *c)
{
	wi_store_rlx(&to_processor, PQsetNoticeReceiver(c->pg, wi_pq_hear_notice, c));
	PQsetNoticeProcessor(c->pg, wi_pq_say_nothing, NULL);
}

void wi_pq_hear_notice(void *arg, const PGresult *notice)
{
	struct pq_conn *c = arg;
	PQnoticeReceiver receive = wi_load_rlx(&to_processor);

	wi_pq_hear_end(c, notice);
	receive(NULL, notice);
}

void wi_pq_say_nothing(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

static uint64_t settings_hash(const PGconn *pg)
{
	return wi_settings_hash(pg, PQclientEncoding(pg), PQparameterStatus);
}

/* An error of a holder's statement. touched keeps look from finding it CLEAN. */
static void hear_error(struct pq_conn *c, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	enum wi_stale stale = wi_pq_staleness(c, result);

	if (!c->heard[0] && wi_fault_is_heard(sqlstate, c->target->hears_all) &&
	    (stale == WI_STALE_NOT || stale == WI_STALE_TYPES))
		wi_copy(c->heard, sizeof(c->heard), sqlstate);
	if (sqlstate && strcmp(sqlstate, "25P02") != 0)
		wi_copy(c->failed_by, sizeof(c->failed_by), sqlstate);
}

/* The tag is there: libpq fires the event where it hands the finished result out. */
static void hear_command(struct pq_conn *c, PGresult *result)
{
	const char *tag = PQcmdStatus(result);

	if (!c->hush && wi_tag_may_leave(tag))
		c->changed = true;
	c->commits += wi_tag_commits(tag);
	c->turns += wi_tag_may_turn(tag);
	if (wi_tag_drops_plans(tag))
		wi_plans_dropped(wi_pq_plans(c));
}

/*
 * The event procedure. Results carry a copy of it and may outlive the connection: so it looks for
 * the connection in the event, and only in an event that has one.
 */
int wi_pq_hear_event(PGEventId what, void *info, void *unused)
{
	const PGEventResultCreate *event = info;
	struct pq_conn *c;

	(void)unused;
	if (what != PGEVT_RESULTCREATE)
		return 1; /* 0 would make an error of the result in libpq 14 */
	c = PQinstanceData(event->conn, wi_pq_hear_event);
	if (!c)
		return 1;
	c->touched = true;
	if (PQresultStatus(event->result) == PGRES_COMMAND_OK)
		hear_command(c, event->result);
	else if (PQresultStatus(event->result) == PGRES_FATAL_ERROR)
		hear_error(c, event->result);
	return 1;
}

/* Whether the settings are not as marked. Stays true until they are, or are marked. */
static bool settings_changed(struct pq_conn *c)
{
	if (c->touched)
		c->touched = c->heard[0] || settings_hash(c->pg) != c->mark;
	return c->touched;
}

/* Throws notifications away, parsing what libpq has read; whether there were any. */
static bool drop_notifications(PGconn *pg)
{
	PGnotify *note;
	bool any = false;

	while ((note = PQnotifies(pg)) != NULL) {
		PQfreemem(note);
		any = true;
	}
	return any;
}

void wi_pq_mark_clean(void *conn)
{
	struct pq_conn *c = conn;

	drop_notifications(c->pg);
	c->changed = false;
	c->mark = settings_hash(c->pg);
	c->touched = false;
}

/* ---- looking ---- */

enum wi_look wi_pq_look(void *conn)
{
	struct pq_conn *c = conn;

	if (c->failed || PQstatus(c->pg) != CONNECTION_OK)
		return WI_LOOK_DEAD;
	if (PQpipelineStatus(c->pg) != PQ_PIPELINE_OFF)
		return WI_LOOK_BUSY;
	switch (PQtransactionStatus(c->pg)) {
	case PQTRANS_IDLE:
		break;
	case PQTRANS_INTRANS:
	case PQTRANS_INERROR:
		return WI_LOOK_IN_TX;
	case PQTRANS_ACTIVE:
		return WI_LOOK_BUSY;
	case PQTRANS_UNKNOWN:
		return WI_LOOK_DEAD;
	}
	c->changed |= drop_notifications(c->pg); /* once seen, it stays a change until a reset */
	if (c->failed) /* its last words were among what libpq had read and not parsed */
		return WI_LOOK_DEAD;
	return c->changed || settings_changed(c) ? WI_LOOK_CHANGED : WI_LOOK_CLEAN;
}

void wi_pq_tidy(void *conn)
{
	struct pq_conn *c = conn;

	PQsetNoticeReceiver(c->pg, wi_pq_hear_notice, c);
	PQsetNoticeProcessor(c->pg, wi_pq_say_nothing, NULL);
	PQsetErrorVerbosity(c->pg, PQERRORS_DEFAULT);
	PQsetErrorContextVisibility(c->pg, PQSHOW_CONTEXT_ERRORS);
	PQuntrace(c->pg);
	if (PQpipelineStatus(c->pg) != PQ_PIPELINE_OFF)
		PQexitPipelineMode(c->pg);
	/* Leaving the mode flushes: not while there may be something to flush. */
	if (PQisnonblocking(c->pg) && PQtransactionStatus(c->pg) != PQTRANS_ACTIVE)
		PQsetnonblocking(c->pg, 0);
}

enum wi_look wi_pq_tidy_and_look(void *conn)
{
	wi_pq_tidy(conn);
	return wi_pq_look(conn);
}

/* One read, and what it brought parsed; false: the session has ended. */
static bool read_idle(struct pq_conn *c)
{
	bool alive = PQconsumeInput(c->pg);

	PQisBusy(c->pg);
	return alive && !c->failed;
}

bool wi_pq_peek(void *conn, struct wi_failure *failure)
{
	struct pq_conn *c = conn;

	if (c->failed || PQstatus(c->pg) != CONNECTION_OK) {
		wi_pq_tell_lost(c, failure);
		return false;
	}
	c->touched = true; /* for what came unheard: rare enough to look closely */
	if (!wi_pq_is_ready(PQsocket(c->pg), POLLIN | POLLRDHUP))
		return true;
	/* The first read brings the last words, only the second finds the end. */
	if (read_idle(c) && read_idle(c))
		return true;
	wi_pq_tell_lost(c, failure);
	return false;
}

bool wi_pq_heard(void *conn, char sqlstate[6])
{
	struct pq_conn *c = conn;

	wi_copy(sqlstate, sizeof(c->heard), c->heard);
	c->heard[0] = '\0';
	return sqlstate[0] != '\0';
}

/* Whether a setting that the server reports is on; -1: it does not report it. */
static int is_on(const PGconn *pg, const char *name)
{
	const char *value = PQparameterStatus(pg, name);

	return value ? strcmp(value, "on") == 0 : -1;
}

enum wi_refusal wi_pq_refused(void *conn)
{
	const struct pq_conn *c = conn;
	int standby = is_on(c->pg, "in_hot_standby");

	if (strcmp(c->heard, "25006") != 0)
		return WI_REFUSAL_NONE;
	if (standby < 0)
		return WI_REFUSAL_UNKNOWN;
	if (standby)
		return WI_REFUSAL_STANDBY;
	return is_on(c->pg, "default_transaction_read_only") > 0 ? WI_REFUSAL_SETTING
	                                                         : WI_REFUSAL_WISHED;
}

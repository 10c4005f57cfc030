/* SPDX-License-Identifier: BSD-2-Clause */
/* Exchanges with the fake driver's server, what a holder left under way, cancels. */
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/text.h"
#include "driver/fake_conn.h"
#include "driver/fault.h"

/* ---- asking ---- */

/* Something is asked; false: that cannot be now. */
bool wi_fake_begin(struct fake_conn *c, struct wi_failure *failure)
{
	c->succeeded = 0;
	if (c->stage != FAKE_IDLE || c->look == WI_LOOK_BUSY || c->look == WI_LOOK_DEAD) {
		wi_fake_fail(c, failure, WI_FAULT_LOST, "",
		             "another command is already in progress");
		return false;
	}
	c->stage = FAKE_ASKED;
	c->look = WI_LOOK_BUSY;
	c->due = wi_fake_due_after(c->server, wi_load_rlx(&c->server->answer_ns));
	wi_store_rlx(&c->session->cancelled, false); /* what came while it was idle is past */
	return true;
}

bool wi_fake_send(void *conn, const char *sql, struct wi_failure *failure)
{
	struct fake_conn *c = conn;

	if (!wi_fake_begin(c, failure))
		return false;
	c->sql = wi_strdup(sql);
	if (!c->sql)
		wi_fake_fail(c, failure, WI_FAULT_MEMORY, "", "out of memory");
	return c->sql != NULL;
}

bool wi_fake_send_two(void *conn, const char *first, const char *second, struct wi_failure *failure)
{
	struct fake_conn *c = conn;

	if (!wi_fake_send(conn, first, failure))
		return false;
	c->then = wi_strdup(second);
	if (!c->then)
		wi_fake_fail(c, failure, WI_FAULT_MEMORY, "", "out of memory");
	return c->then != NULL;
}

/* Runs what was asked; of two statements the second whatever came of the first. */
static bool run_all(struct fake_conn *c, struct wi_answer *answer, struct wi_failure *failure)
{
	bool done = wi_fake_run_sql(c, answer, failure);
	struct wi_failure second;
	int succeeded = c->succeeded;

	if (!c->then || (!done && failure->fault != WI_FAULT_SQL))
		return done;
	wi_strfree(c->sql);
	c->sql = c->then;
	c->then = NULL;
	if (done)
		return wi_fake_run_sql(c, answer, failure);
	wi_fake_run_sql(c, answer, &second);
	c->succeeded = succeeded;
	return false;
}

void wi_fake_forget_sql(struct fake_conn *c)
{
	wi_strfree(c->sql);
	wi_strfree(c->then);
	c->sql = c->then = NULL;
}

/* The server ends the session of a connection whose holder knows. */
void wi_fake_end_session(struct fake_conn *c)
{
	struct wi_fake_server *server = c->server;

	c->stage = FAKE_LOST;
	c->look = WI_LOOK_DEAD;
	pthread_mutex_lock(&server->lock);
	if (c->session && !c->session->ended)
		wi_fake_end_locked(c->session);
	pthread_mutex_unlock(&server->lock);
}

/* What was asked has come to its end, well or not. */
enum wi_step wi_fake_end_exchange(struct fake_conn *c, bool done, const struct wi_failure *failure)
{
	wi_fake_forget_sql(c);
	c->stage = FAKE_IDLE;
	c->due = WI_FOREVER;
	wi_fake_set_look(c);
	if (!done && failure->fault != WI_FAULT_SQL)
		wi_fake_end_session(c);
	return done ? WI_STEP_DONE : WI_STEP_FAILED;
}

/* Whether the server was asked in time to end what it is at; *failure says so then. */
bool wi_fake_was_cancelled(struct fake_conn *c, struct wi_failure *failure)
{
	if (!wi_swap_acq(&c->session->cancelled, false))
		return false;
	wi_failure_set(failure, WI_FAULT_SQL, "57014", "canceling statement", NULL);
	return true;
}

enum wi_step wi_fake_answer_step(void *conn, struct wi_answer *answer, struct wi_failure *failure)
{
	struct fake_conn *c = conn;

	if (wi_fake_has_ended(c, failure))
		return WI_STEP_FAILED;
	if (!wi_fake_is_due(c) && !wi_load_rlx(&c->session->cancelled))
		return WI_STEP_READ;
	wi_add_rlx(&c->server->queries, 1);
	return wi_fake_end_exchange(
		c, !wi_fake_was_cancelled(c, failure) && run_all(c, answer, failure), failure);
}

/* ---- what was left under way ---- */

enum wi_step wi_fake_drain_step(void *conn, size_t *room, struct wi_failure *failure)
{
	struct fake_conn *c = conn;

	(void)room;
	wi_fake_forget_calls(c);
	if (wi_fake_has_ended(c, failure))
		return WI_STEP_FAILED;
	if (c->look == WI_LOOK_BUSY && !(c->stage == FAKE_ASKED && wi_fake_is_due(c)) &&
	    !wi_swap_acq(&c->session->cancelled, false))
		return WI_STEP_READ;
	wi_fake_forget_sql(c);
	c->stage = FAKE_IDLE;
	c->due = WI_FOREVER;
	wi_fake_set_look(c);
	return WI_STEP_DONE;
}

struct fake_cancel {
	struct wi_fake_server *server;
	uint64_t serial;
};

void *wi_fake_cancel_make(void *conn)
{
	const struct fake_conn *c = conn;
	struct fake_cancel *cancel;

	if (!wi_load_rlx(&c->server->obeys_cancel) || !(cancel = wi_alloc(sizeof(*cancel))))
		return NULL;
	*cancel = (struct fake_cancel){.server = c->server, .serial = c->serial};
	return cancel;
}

/* Sleeps in a thread of its own, not in the world of the server's clock. */
bool wi_fake_cancel_ask(void *arg)
{
	const struct fake_cancel *cancel = arg;
	struct wi_fake_server *server = cancel->server;

	while (wi_load_rlx(&server->holds_cancel))
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	pthread_mutex_lock(&server->lock);
	if (wi_load_rlx(&server->lose_cancels) > 0)
		wi_sub_rlx(&server->lose_cancels, 1);
	else
		for (struct wi_fake_session *s = server->first; s; s = s->next)
			if (s->serial == cancel->serial)
				wi_store_rlx(&s->cancelled, true);
	pthread_mutex_unlock(&server->lock);
	wi_add_rlx(&server->cancels, 1);
	return !wi_load_rlx(&server->doubt_cancel);
}

void wi_fake_cancel_free(void *arg)
{
	wi_free(arg, sizeof(struct fake_cancel));
}

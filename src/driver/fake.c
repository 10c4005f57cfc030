/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fake driver: its table, how a connection looks, its end.
 *
 * Idea. A connection (the client's side, one thread at a time) and a session (the server's side, in
 * the server's list) hold one end each of a socket pair. The server ends a session by closing its
 * end; the client reads end-of-file, as from a real one. Nothing is ever written to the pair: what
 * is asked lies in the connection, and is answered by the step that comes when its time is due.
 *
 * Orderings. [fake:R1] and [fake:A1] on killed, [fake:R2] and [fake:A2] on cut: who has been woken
 * by the end of the stream finds the reason.
 *
 * Progress. Connecting and closing take the server's lock; asking and looking take none.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "driver/fake_conn.h"

/* ---- looking ---- */

static weir_status fake_check(const struct wi_target *target, weir_error *error)
{
	(void)target;
	(void)error;
	return WEIR_OK;
}

static const char *fake_password(void *conn)
{
	return ((struct fake_conn *)conn)->target->secret;
}

static int fake_fd(void *conn)
{
	return ((struct fake_conn *)conn)->fd;
}

static int64_t fake_due(void *conn)
{
	return ((struct fake_conn *)conn)->due;
}

static enum wi_look fake_look(void *conn)
{
	return ((struct fake_conn *)conn)->look;
}

static void fake_tidy(void *conn)
{
	(void)conn;
}

static void fake_mark_clean(void *conn)
{
	struct fake_conn *c = conn;

	c->changed = false;
	if (c->look == WI_LOOK_CHANGED)
		wi_fake_set_look(c);
}

static bool fake_heard(void *conn, char sqlstate[6])
{
	struct fake_conn *c = conn;

	memcpy(sqlstate, c->heard, sizeof(c->heard));
	c->heard[0] = '\0';
	if (c->look == WI_LOOK_CHANGED)
		wi_fake_set_look(c);
	return sqlstate[0] != '\0';
}

static enum wi_refusal fake_refused(void *conn)
{
	const struct fake_conn *c = conn;

	if (strcmp(c->heard, "25006") != 0)
		return WI_REFUSAL_NONE;
	if (wi_load_rlx(&c->server->reports_nothing))
		return WI_REFUSAL_UNKNOWN;
	if (wi_load_rlx(&c->server->in_recovery))
		return WI_REFUSAL_STANDBY;
	return c->read_only ? WI_REFUSAL_SETTING : WI_REFUSAL_WISHED;
}

static bool fake_peek(void *conn, struct wi_failure *failure)
{
	return !wi_fake_has_ended(conn, failure);
}

static void fake_facts(void *conn, struct wi_facts *facts)
{
	struct fake_conn *c = conn;

	*facts = (struct wi_facts){
		.backend_pid = (int)c->serial,
		.server_version = 150000,
		.in_hot_standby = wi_load_rlx(&c->server->in_recovery) &&
	                          !wi_load_rlx(&c->server->reports_nothing),
		.in_failed_tx = c->failed_tx,
		.succeeded = c->succeeded,
		.commits = c->commits,
		.turns = c->turns,
		.tls = "off",
	};
	if (c->failed_tx)
		memcpy(facts->failed_by, c->failed_by, sizeof(facts->failed_by));
}

static struct pg_conn *fake_pg(void *conn)
{
	(void)conn;
	return NULL;
}

/* ---- for tests ---- */

void wi_fake_forget_plans(void *conn)
{
	struct fake_conn *c = conn;

	memset(c->names, 0, sizeof(c->names));
}

uint64_t wi_fake_serial(void *conn)
{
	return ((struct fake_conn *)conn)->serial;
}

void wi_fake_leave(void *conn, enum wi_look look)
{
	struct fake_conn *c = conn;

	c->in_tx = look == WI_LOOK_IN_TX;
	c->changed = look == WI_LOOK_CHANGED;
	c->look = look;
	if (look == WI_LOOK_DEAD)
		wi_fake_end_session(c);
}

/* ---- ending ---- */

static void fake_cut(void *conn)
{
	struct fake_conn *c = conn;

	/* [fake:R2] the reason is there before the end-of-file is; pairs with [fake:A2]. */
	wi_store_rel(&c->cut, true);
	shutdown(c->fd, SHUT_WR);
	pthread_mutex_lock(&c->server->lock);
	if (c->session && !c->session->ended)
		wi_fake_depart_locked(c->session);
	pthread_mutex_unlock(&c->server->lock);
}

static void free_conn(struct fake_conn *c)
{
	wi_fake_forget_sql(c);
	wi_fake_forget_calls(c);
	wi_plans_free(c->plans);
	wi_free(c, sizeof(*c));
}

static void leave_locked(struct wi_fake_session *s)
{
	wi_add_rlx(&s->server->closes, 1);
	s->held = false;
	wi_fake_depart_locked(s);
}

static int fake_close(void *conn)
{
	struct fake_conn *c = conn;
	struct wi_fake_session *s = c->session;
	int fd = c->fd;

	pthread_mutex_lock(&c->server->lock);
	if (s && s->ended)
		wi_fake_session_free(s);
	else if (s)
		leave_locked(s);
	pthread_mutex_unlock(&c->server->lock);
	free_conn(c);
	return fd;
}

/*
 * The child has copies of both ends; closing them changes nothing for the parent. The lock stays
 * alone: who held it at the fork may not be here.
 */
static void fake_abandon(void *conn)
{
	struct fake_conn *c = conn;

	if (c->fd >= 0)
		close(c->fd);
	free_conn(c);
}

const struct wi_driver wi_driver_fake = {
	.name = "fake",
	.check = fake_check,
	.connect = wi_fake_connect,
	.connect_step = wi_fake_connect_step,
	.password = fake_password,
	.fd = fake_fd,
	.due = fake_due,
	.send = wi_fake_send,
	.send_two = wi_fake_send_two,
	.answer_step = wi_fake_answer_step,
	.send_calls = wi_fake_send_calls,
	.results_step = wi_fake_results_step,
	.result_free = wi_fake_result_free,
	.drain_step = wi_fake_drain_step,
	.cancel_make = wi_fake_cancel_make,
	.cancel_ask = wi_fake_cancel_ask,
	.cancel_free = wi_fake_cancel_free,
	.look = fake_look,
	.tidy = fake_tidy,
	.tidy_and_look = fake_look, /* nothing to tidy */
	.heard = fake_heard,
	.refused = fake_refused,
	.mark_clean = fake_mark_clean,
	.peek = fake_peek,
	.facts = fake_facts,
	.pg = fake_pg,
	.cut = fake_cut,
	.close = fake_close,
	.abandon = fake_abandon,
};

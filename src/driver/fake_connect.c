/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connecting to the fake driver's server: what the script has for a connect, and when a step is
 * due, or nothing comes any more.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake_conn.h"
#include "driver/fault.h"

/* ---- what comes of a step ---- */

void wi_fake_fail(struct fake_conn *c, struct wi_failure *failure, enum wi_fault fault,
                  const char *sqlstate, const char *text)
{
	wi_failure_set(failure, fault, sqlstate, text, c->target->secret);
	c->look = WI_LOOK_DEAD;
	c->stage = FAKE_LOST;
	c->due = WI_FOREVER;
}

/* What a real server or libpq would say. */
static void fail_refused(struct fake_conn *c, struct wi_failure *failure)
{
	const char *words = wi_load_rlx(&c->server->refusal);
	static const struct {
		const char *sqlstate, *text;
	} says[] = {
		[WI_FAULT_REFUSED] = {"", "connection refused"},
		[WI_FAULT_TIMEOUT] = {"", "connection timed out"},
		[WI_FAULT_RESOLVE] = {"", "could not translate host name"},
		[WI_FAULT_AUTH] = {"28P01", "password authentication failed"},
		[WI_FAULT_CONFIG] = {"3D000", "database does not exist"},
		[WI_FAULT_CAPACITY] = {"53300", "sorry, too many clients already"},
		[WI_FAULT_STARTING] = {"57P03", "the database system is starting up"},
		[WI_FAULT_TLS] = {"", "SSL error: certificate verify failed"},
		[WI_FAULT_OPTIONS] = {"08P01", "unsupported startup parameter: options"},
		[WI_FAULT_LOST] = {"", "server closed the connection unexpectedly"},
		[WI_FAULT_SQL] = {"XX000", "internal error"},
		[WI_FAULT_MEMORY] = {"", "out of memory or descriptors"},
	};

	wi_fake_fail(c, failure, c->refusal, says[c->refusal].sqlstate,
	             words ? words : says[c->refusal].text);
}

static void fail_killed(struct fake_conn *c, struct wi_failure *failure)
{
	const char *words = wi_load_rlx(&c->server->last_words);

	if (!words)
		words = "57P01";
	wi_fake_fail(c, failure, WI_FAULT_LOST, words,
	             words[0] ? "terminating connection due to administrator command"
	                      : "server closed the connection unexpectedly");
}

/* Whether the connection has ended, as a reader of the descriptor would find; *failure says why. */
bool wi_fake_has_ended(struct fake_conn *c, struct wi_failure *failure)
{
	/* [fake:A1] what ended the session is known as soon as its end is; pairs with [fake:R1]. */
	if (c->session && wi_load_acq(&c->session->killed))
		fail_killed(c, failure);
	else if (wi_load_acq(&c->cut) ||
	         c->stage == FAKE_LOST) /* [fake:A2], pairs with [fake:R2] */
		wi_fake_fail(c, failure, WI_FAULT_LOST, "",
		             "server closed the connection unexpectedly");
	else
		return false;
	return true;
}

int64_t wi_fake_due_after(struct wi_fake_server *server, int64_t delay)
{
	if (wi_load_rlx(&server->silent))
		return WI_FOREVER;
	/* 0 is at once, without a look at the clock. */
	return delay > 0 ? wi_fake_now(server) + delay : 0;
}

/* Whether the present step is over. Who has fallen silent by then stays so. */
bool wi_fake_is_due(struct fake_conn *c)
{
	if (c->due > 0 && (c->due == WI_FOREVER || wi_fake_now(c->server) < c->due))
		return false;
	if (!wi_load_rlx(&c->server->silent) && wi_load_rlx(&c->server->mute) != c->serial)
		return true;
	c->due = WI_FOREVER;
	return false;
}

/* ---- connecting ---- */

/* Takes one of the connects that are to fail, if any is left; the last one ends the script. */
static bool take_failure(struct wi_fake_server *server)
{
	int left = wi_load_rlx(&server->fail_connects);

	while (left > 0) {
		if (!wi_cas_rlx(&server->fail_connects, &left, left - 1))
			continue;
		if (left == 1)
			wi_store_rlx(&server->connect_fault, WI_FAULT_NONE);
		return true;
	}
	return false;
}

/* What the script has for the connect that begins now. The lock makes the last one to fail one. */
static enum wi_fault refusal_locked(struct wi_fake_server *server)
{
	enum wi_fault fault = (enum wi_fault)wi_load_rlx(&server->connect_fault);
	int max = wi_load_rlx(&server->max_sessions);

	if (take_failure(server))
		return fault == WI_FAULT_NONE ? WI_FAULT_REFUSED : fault;
	if (fault == WI_FAULT_NONE && max > 0 && wi_load_rlx(&server->sessions) >= max)
		return WI_FAULT_CAPACITY;
	return fault;
}

static bool knows_password(const struct wi_target *target, const char *password)
{
	const char *said = target->secret;

	if (target->login && target->login->password[0])
		said = target->login->password;
	return !password || (said && strcmp(said, password) == 0);
}

void *wi_fake_connect(const struct wi_target *target, const char *address)
{
	struct wi_fake_server *server = target->script;
	struct fake_conn *c = wi_alloc(sizeof(*c));

	(void)address;
	if (!c)
		return NULL;
	c->target = target;
	c->server = server;
	c->fd = -1;
	c->born_read_only = target->startup_options &&
	                    strstr(target->startup_options, "default_transaction_read_only=on");
	c->read_only = c->born_read_only;
	c->due = wi_fake_due_after(server, wi_load_rlx(&server->connect_ns));
	wi_add_rlx(&server->connects, 1);
	pthread_mutex_lock(&server->lock);
	wi_fake_settle_locked(server);
	c->serial = ++server->last_serial;
	c->refusal = refusal_locked(server);
	if (c->refusal == WI_FAULT_NONE && !knows_password(target, wi_load_rlx(&server->password)))
		c->refusal = WI_FAULT_AUTH;
	if (c->refusal == WI_FAULT_NONE && !wi_fake_open_locked(c))
		c->refusal = WI_FAULT_MEMORY;
	pthread_mutex_unlock(&server->lock);
	return c;
}

enum wi_step wi_fake_connect_step(void *conn, struct wi_failure *failure)
{
	struct fake_conn *c = conn;

	if (c->stage == FAKE_IDLE)
		return WI_STEP_DONE;
	if (wi_fake_has_ended(c, failure))
		return WI_STEP_FAILED;
	if (!wi_fake_is_due(c))
		return WI_STEP_READ;
	if (c->refusal != WI_FAULT_NONE) {
		fail_refused(c, failure);
		return WI_STEP_FAILED;
	}
	c->stage = FAKE_IDLE;
	c->due = WI_FOREVER;
	wi_add_rlx(&c->server->connected, 1);
	return WI_STEP_DONE;
}

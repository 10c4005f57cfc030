/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BEGIN, and what a transaction is to be like.
 *
 * SET LOCAL has the tag of SET, by which a connection counts as changed and is reset when it comes
 * back. Ours is over with the transaction, so a connection that was clean before is marked clean.
 */
#include <stdio.h>
#include <string.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "exec/tx.h"
#include "pool/pool.h"

/* ---- settings ---- */

bool wi_settings_load(void *to, size_t known, const void *from)
{
	const unsigned char *bytes = from;
	size_t size;

	memset(to, 0, known);
	if (!from)
		return true;
	memcpy(&size, from, sizeof(size));
	if (!size)
		size = known;
	for (size_t i = known; i < size; i++)
		if (bytes[i])
			return false;
	memcpy(to, from, size < known ? size : known);
	return true;
}

weir_status wi_tx_settings_load(weir_tx_settings *to, const weir_tx_settings *from,
                                weir_error *error)
{
	if (!wi_settings_load(to, sizeof(*to), from))
		return wi_fail(error, WEIR_INVALID,
		               "the settings ask for something that this weir does not know");
	if ((unsigned)to->isolation > WEIR_ISOLATION_SERIALIZABLE)
		return wi_fail(error, WEIR_INVALID, "unknown isolation %d", (int)to->isolation);
	if (to->statement_timeout_ms > INT32_MAX || to->lock_timeout_ms > INT32_MAX)
		return wi_fail(error, WEIR_INVALID, "a timeout is more than %d ms", INT32_MAX);
	if (to->deferrable && !(to->read_only && to->isolation == WEIR_ISOLATION_SERIALIZABLE))
		return wi_fail(error, WEIR_INVALID,
		               "only a serializable read-only transaction is deferrable");
	if (to->token && to->read_only)
		return wi_fail(error, WEIR_INVALID,
		               "a read-only transaction has no position to wait for");
	return WEIR_OK;
}

/* ---- BEGIN ---- */

static weir_status may_begin(const struct weir_conn *c, weir_error *error)
{
	struct wi_failure f = {0};

	switch (c->pool->driver->look(c->link)) {
	case WI_LOOK_CLEAN:
	case WI_LOOK_CHANGED:
		return WEIR_OK;
	case WI_LOOK_IN_TX:
		return wi_fail(error, WEIR_INVALID, "a transaction is open on this connection");
	case WI_LOOK_BUSY:
		return wi_fail(error, WEIR_INVALID,
		               "a query is still running, or its rows are unread");
	case WI_LOOK_DEAD:
		break;
	}
	(void)c->pool->driver->peek(c->link, &f);
	return wi_tell(c, WEIR_CONNECT, "the connection is lost", &f, error);
}

#define BEGIN_ROOM 192

static size_t add_timeout(char *sql, size_t n, const char *name, int64_t ms)
{
	if (!ms)
		return n;
	return n + (size_t)snprintf(sql + n, BEGIN_ROOM - n, "; SET LOCAL %s = %lld", name,
	                            ms < 0 ? 0LL : (long long)ms);
}

static void write_begin(const weir_tx_settings *s, char sql[BEGIN_ROOM])
{
	static const char *const levels[] = {
		[WEIR_ISOLATION_DEFAULT] = "",
		[WEIR_ISOLATION_READ_COMMITTED] = " ISOLATION LEVEL READ COMMITTED",
		[WEIR_ISOLATION_REPEATABLE_READ] = " ISOLATION LEVEL REPEATABLE READ",
		[WEIR_ISOLATION_SERIALIZABLE] = " ISOLATION LEVEL SERIALIZABLE",
	};
	size_t n = (size_t)snprintf(sql, BEGIN_ROOM, "BEGIN%s%s%s", levels[s->isolation],
	                            s->read_only ? " READ ONLY" : "",
	                            s->deferrable ? " DEFERRABLE" : "");

	n = add_timeout(sql, n, "statement_timeout", s->statement_timeout_ms);
	(void)add_timeout(sql, n, "lock_timeout", s->lock_timeout_ms);
}

/* What was sent to open it came to nothing: nothing is open. */
static weir_status not_opened(struct weir_conn *c, enum wi_said said, struct wi_failure *f,
                              weir_error *error)
{
	struct wi_failure unwanted;

	if (said == WI_SAID_ERROR && c->pool->driver->look(c->link) == WI_LOOK_IN_TX)
		(void)wi_say(c, "ROLLBACK", wi_tx_undo_by(c), &unwanted);
	return wi_outcome(c, said, false, "BEGIN", f, error);
}

/* Whether it is still in use: a struct may be used again, also where its connection was taken. */
bool wi_tx_is_in_use(const weir_tx *tx)
{
	struct wi_tx m;

	wi_tx_load(tx, &m);
	return m.state == WI_TX_OPEN && wi_conn_of((const struct weir_conn *)(uintptr_t)m.conn);
}

weir_status wi_tx_open(weir_conn *conn, const weir_tx_settings *s, int64_t deadline_ns, bool of_run,
                       weir_tx *tx, weir_error *error)
{
	char sql[BEGIN_ROOM];
	struct wi_failure f;
	struct wi_facts facts;
	struct wi_tx m;
	struct weir_conn *c;
	weir_status st;
	enum wi_said said;
	bool clean;

	c = wi_tx_conn_of((uint64_t)(uintptr_t)conn, &st, error);
	if (!c || (st = may_begin(c, error)) != WEIR_OK)
		return st;
	if (wi_tx_now(c) >= deadline_ns)
		return wi_out_of_time(c, error);
	clean = c->pool->driver->look(c->link) == WI_LOOK_CLEAN;
	write_begin(s, sql);
	said = wi_say(c, sql, wi_tx_until(c, deadline_ns), &f);
	if (said != WI_SAID_DONE)
		return not_opened(c, said, &f, error);
	if (clean && (s->statement_timeout_ms || s->lock_timeout_ms))
		c->pool->driver->mark_clean(c->link);
	c->pool->driver->facts(c->link, &facts);
	wi_tx_load(tx, &m);
	m = (struct wi_tx){
		.state = WI_TX_OPEN,
		.conn = (uint64_t)(uintptr_t)conn,
		.serial = m.last + 1,
		.innermost = m.last + 1,
		.last = m.last + 1,
		.deadline_ns = deadline_ns,
		.commits = facts.commits,
		.turns = facts.turns,
		.token = (uint64_t)(uintptr_t)s->token,
		.read_only = s->read_only,
		.of_run = of_run,
	};
	wi_tx_store(tx, &m);
	return WEIR_OK;
}

weir_status weir_tx_begin(weir_conn *conn, const weir_tx_settings *settings, weir_tx *tx,
                          weir_error *error)
{
	struct weir_conn *c;
	weir_tx_settings s;
	weir_status st;
	WI_NO_CANCEL;

	if (!conn || !tx)
		return wi_fail(error, WEIR_INVALID, "weir_tx_begin: %s is NULL",
		               conn ? "tx" : "conn");
	st = wi_tx_settings_load(&s, settings, error);
	if (st != WEIR_OK)
		return st;
	if (wi_tx_is_in_use(tx))
		return wi_fail(error, WEIR_INVALID, "this weir_tx is open already");
	c = wi_tx_conn_of((uint64_t)(uintptr_t)conn, &st, error);
	if (!c)
		return st;
	return wi_tx_open(conn, &s,
	                  s.timeout_ms > 0 ? wi_deadline_after(wi_tx_now(c), s.timeout_ms)
	                                   : WI_FOREVER,
	                  false, tx, error);
}

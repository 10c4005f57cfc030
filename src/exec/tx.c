/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A transaction as a scope.
 *
 * Idea. What the server says of the connection decides, not what was called: whether a transaction
 * is open, has failed, or was ended by SQL of the holder's is asked of the driver before anything
 * is sent. So COMMIT goes out only where it can commit; a transaction with a failed statement, to
 * which the server would answer ROLLBACK, is rolled back and told as that.
 *
 * Nested ones. The outermost one knows the serial of the innermost that is open, and each nested
 * one which serial was the innermost before. Only the innermost may be ended, or the outermost be
 * rolled back. One that was forgotten therefore keeps the outermost from being committed, and never
 * the other way round; and nothing ever looks into a nested one that may be gone.
 */
#include "exec/tx.h"

#include <string.h>

#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/pool.h"
#include "pool/tally.h"
#include "route/router.h"

void wi_tx_load(const weir_tx *tx, struct wi_tx *m)
{
	memcpy(m, tx->own, sizeof(*m));
}

void wi_tx_store(weir_tx *tx, const struct wi_tx *m)
{
	memcpy(tx->own, m, sizeof(*m));
}

/* ---- who is meant ---- */

static weir_tx *root_of(weir_tx *tx, const struct wi_tx *m)
{
	return m->root ? (weir_tx *)(uintptr_t)m->root : tx;
}

static weir_status not_open(const struct wi_tx *m, weir_error *error)
{
	return wi_fail(error, WEIR_INVALID,
	               m->state == WI_TX_ENDED ? "the transaction has ended already"
	                                       : "the transaction was never begun");
}

/* The slot that is held, or NULL: it was given back, or is a parent's. */
struct weir_conn *wi_tx_conn_of(uint64_t handle, weir_status *st, weir_error *error)
{
	struct weir_conn *c = wi_conn_of((const struct weir_conn *)(uintptr_t)handle);

	if (!c)
		*st = wi_fail(error, WEIR_STALE,
		              "the connection was given back, and the transaction rolled back");
	else if (wi_pool_is_parents(c->pool))
		*st = wi_fail(error, WEIR_FORKED,
		              "the connection belongs to the parent of this process");
	else
		return c;
	return NULL;
}

void wi_tx_save(struct wi_tx_at *e)
{
	if (e->m.root)
		wi_tx_store(e->outermost, &e->root);
	else
		e->m = e->root;
	wi_tx_store(e->tx, &e->m);
}

/* It has ended; what is around it, if anything, is the innermost now. */
void wi_tx_ended(struct wi_tx_at *e)
{
	if (e->m.root) {
		e->root.innermost = e->m.around;
		e->m.state = WI_TX_ENDED;
	} else {
		e->root.state = WI_TX_ENDED;
	}
	wi_tx_save(e);
}

/* Whether tx is open, and its outermost one; *st says why not. */
bool wi_tx_find(weir_tx *tx, struct wi_tx_at *e, weir_status *st, weir_error *error)
{
	if (!tx) {
		*st = wi_fail(error, WEIR_INVALID, "tx is NULL");
		return false;
	}
	*e = (struct wi_tx_at){.tx = tx};
	wi_tx_load(tx, &e->m);
	if (e->m.state != WI_TX_OPEN) {
		*st = not_open(&e->m, error);
		return false;
	}
	e->outermost = root_of(tx, &e->m);
	wi_tx_load(e->outermost, &e->root);
	if (e->root.state != WI_TX_OPEN || e->m.conn != e->root.conn ||
	    (e->m.root && e->m.serial <= e->root.serial)) {
		e->m.state = WI_TX_ENDED;
		wi_tx_store(tx, &e->m);
		*st = wi_fail(error, WEIR_INVALID, "the transaction around it has ended");
		return false;
	}
	e->c = wi_tx_conn_of(e->root.conn, st, error);
	if (!e->c)
		wi_tx_ended(e);
	return e->c != NULL;
}

bool wi_tx_is_innermost(const struct wi_tx_at *e)
{
	return e->root.innermost == e->m.serial;
}

/* ---- what its connection says ---- */

static weir_status lost_already(const struct wi_tx_at *e, weir_error *error)
{
	struct wi_failure f = {0};

	(void)e->c->pool->driver->peek(e->c->link, &f);
	wi_or_acq_rel(&e->c->notes, WI_NOTE_SUSPECT);
	return wi_tell(e->c, WEIR_CONNECT, "lost, and so rolled back", &f, error);
}

/* OK: the transaction is open at the server, as far as anybody has heard. */
weir_status wi_tx_check(struct wi_tx_at *e, weir_error *error)
{
	switch (e->c->pool->driver->look(e->c->link)) {
	case WI_LOOK_IN_TX:
		return WEIR_OK;
	case WI_LOOK_BUSY:
		return wi_fail(error, WEIR_INVALID,
		               "a query is still running, or its rows are unread");
	case WI_LOOK_CLEAN:
	case WI_LOOK_CHANGED:
		wi_tx_ended(e);
		return wi_fail(error, WEIR_INVALID,
		               "the transaction was ended by SQL of its holder's");
	case WI_LOOK_DEAD:
		break;
	}
	wi_tx_ended(e);
	if (!e->m.root)
		wi_tally_transaction(e->c, WI_TALLY_ROLLED_BACK);
	return lost_already(e, error);
}

int64_t wi_tx_now(const struct weir_conn *c)
{
	return c->pool->core.world->now();
}

int64_t wi_tx_until(const struct weir_conn *c, int64_t deadline_ns)
{
	int64_t most_ms = wi_word_load(&c->pool->options.query_timeout_ms);

	if (deadline_ns != WI_FOREVER || !most_ms)
		return deadline_ns;
	return wi_deadline_after(wi_tx_now(c), most_ms);
}

int64_t wi_tx_undo_by(const struct weir_conn *c)
{
	return wi_deadline_after(wi_tx_now(c), wi_word_load(&c->pool->options.check_timeout_ms));
}

const char *wi_tx_words_undone(enum wi_said said)
{
	/* Who was late keeps the connection until it is given back, and it is rolled back then. */
	return said == WI_SAID_LATE ? "rolled back" : "rolled back, and the connection is lost";
}

weir_status wi_tx_undone(const struct weir_conn *c, enum wi_said said, const struct wi_failure *f,
                         weir_error *error)
{
	if (said == WI_SAID_DONE)
		return WEIR_OK;
	return wi_tell(c, said == WI_SAID_LATE ? WEIR_TIMEOUT : WEIR_CONNECT,
	               wi_tx_words_undone(said), f, error);
}

/* The same for both kinds: what failed before is what its commit is told by. */
weir_status wi_tx_failed_before(const struct weir_conn *c, const char *failed_by, weir_error *error)
{
	bool again = wi_asks_for_retry(c, failed_by);
	struct wi_failure f = {.fault = WI_FAULT_SQL};

	wi_copy(f.sqlstate, sizeof(f.sqlstate), again ? failed_by : "25P02");
	wi_copy(f.text, sizeof(f.text), "a statement of the transaction had failed before");
	return wi_tell(c, again ? WEIR_RETRY : WEIR_QUERY, "rolled back", &f, error);
}

/* ---- rolling back ---- */

static weir_status undo(struct wi_tx_at *e, weir_error *error)
{
	struct wi_failure f;
	enum wi_said said = wi_say(e->c, "ROLLBACK", wi_tx_undo_by(e->c), &f);

	wi_tx_ended(e);
	wi_tally_transaction(e->c, WI_TALLY_ROLLED_BACK);
	return wi_tx_undone(e->c, said, &f, error);
}

weir_status weir_tx_rollback(weir_tx *tx, weir_error *error)
{
	struct wi_tx_at e;
	weir_status st;
	WI_NO_CANCEL;

	if (!wi_tx_find(tx, &e, &st, error))
		return st;
	if (e.m.root && !wi_tx_is_innermost(&e))
		return wi_fail(error, WEIR_INVALID, "another one is open in it");
	st = wi_tx_check(&e, error);
	/* As it was wished, also where its connection was lost before. */
	e.root.rolled_back |= !e.m.root && (st == WEIR_OK || st == WEIR_CONNECT);
	if (st != WEIR_OK) {
		wi_tx_save(&e);
		return st;
	}
	return e.m.root ? wi_tx_undo_nested(&e, error) : undo(&e, error);
}

void wi_tx_leave(weir_tx *tx)
{
	struct weir_conn *c;
	struct wi_tx m;

	wi_tx_load(tx, &m);
	if (m.state != WI_TX_OPEN)
		return;
	m.state = WI_TX_ENDED;
	wi_tx_store(tx, &m);
	c = wi_conn_of((const struct weir_conn *)(uintptr_t)m.conn);
	if (c && !m.root && !wi_pool_is_parents(c->pool))
		wi_tally_transaction(c, WI_TALLY_ROLLED_BACK);
}

void weir_tx_end(weir_tx *tx)
{
	struct wi_tx m;

	if (!tx)
		return;
	wi_tx_load(tx, &m);
	if (m.state != WI_TX_OPEN)
		return;
	(void)weir_tx_rollback(tx, NULL);
	/* Where that could not be done now, what is around it cannot be committed any more. */
	wi_tx_leave(tx);
}

/* ---- committing ---- */

/* The time is over before COMMIT was sent. */
static weir_status too_late(struct wi_tx_at *e, weir_error *error)
{
	if (e->root.of_run)
		wi_tx_leave(e->tx);
	else
		(void)undo(e, NULL);
	return wi_fail(error, WEIR_TIMEOUT,
	               "rolled back: the time of the transaction was over before its COMMIT");
}

static weir_status failed(struct wi_tx_at *e, const char *failed_by, weir_error *error)
{
	(void)undo(e, NULL);
	return wi_tx_failed_before(e->c, failed_by, error);
}

/*
 * A read-only one has no outcome that could be unknown: nothing was to be committed. That it is so
 * still is only certain where nothing was heard that could have made it write, or nothing can.
 */
static bool may_write(const struct wi_tx_at *e)
{
	struct wi_facts facts;

	e->c->pool->driver->facts(e->c->link, &facts);
	return !e->root.read_only || (facts.turns != e->root.turns && !facts.in_hot_standby);
}

/* What is told of a COMMIT that came to this. */
static const char *words_for(enum wi_said said, weir_status st)
{
	if (st == WEIR_OUTCOME_UNKNOWN)
		return "lost in COMMIT";
	if (said == WI_SAID_ERROR)
		return "rolled back by COMMIT";
	return said == WI_SAID_UNSENT ? "lost before COMMIT was sent"
	                              : "the end of a read-only transaction";
}

static weir_status say_commit(struct wi_tx_at *e, weir_error *error)
{
	bool writes = may_write(e);
	struct wi_failure f;
	enum wi_said said = wi_say(e->c, "COMMIT", wi_tx_until(e->c, e->root.deadline_ns), &f);
	weir_status st = wi_status_of(e->c, said, writes, &f);

	return st == WEIR_OK ? WEIR_OK : wi_tell(e->c, st, words_for(said, st), &f, error);
}

/* As a timeout of the public calls; a deadline that is over has been looked for. */
static int64_t left_ms(int64_t deadline_ns, int64_t now_ns)
{
	if (deadline_ns == WI_FOREVER)
		return -1;
	return deadline_ns > now_ns ? (deadline_ns - now_ns + WI_MS - 1) / WI_MS : 0;
}

/* With its position where somebody wants that: the caller, or every read of this router. */
static weir_status say_commit_as_wanted(struct wi_tx_at *e, weir_error *error)
{
	const struct wi_host *h = wi_host_of(e->c->pool);
	weir_token *token = (weir_token *)(uintptr_t)e->root.token, unwanted = {0};

	if (!token && h && h->router->own_writes == WEIR_READ_YOUR_WRITES_PROCESS &&
	    !e->root.read_only)
		token = &unwanted;
	if (!token)
		return say_commit(e, error);
	return weir_token_commit((weir_conn *)(uintptr_t)e->root.conn,
	                         left_ms(wi_tx_until(e->c, e->root.deadline_ns), wi_tx_now(e->c)),
	                         token, error);
}

static void tally(const struct wi_tx_at *e, weir_status st)
{
	enum wi_tally_end end = WI_TALLY_ROLLED_BACK;

	if (st == WEIR_OK)
		end = WI_TALLY_COMMITTED;
	else if (st == WEIR_OUTCOME_UNKNOWN)
		end = WI_TALLY_UNKNOWN;
	wi_tally_transaction(e->c, end);
}

static weir_status commit(struct wi_tx_at *e, weir_error *error)
{
	struct wi_failure f = {0};
	struct wi_facts facts;
	weir_status st = wi_tx_check(e, error);

	if (st != WEIR_OK)
		return st;
	e->c->pool->driver->facts(e->c->link, &facts);
	if (facts.in_failed_tx)
		return failed(e, facts.failed_by, error);
	if (wi_tx_now(e->c) >= e->root.deadline_ns)
		return too_late(e, error);
	if (!e->c->pool->driver->peek(e->c->link, &f)) {
		/* The server has ended the session before anything was sent. */
		wi_tx_ended(e);
		wi_tally_transaction(e->c, WI_TALLY_ROLLED_BACK);
		return lost_already(e, error);
	}
	st = say_commit_as_wanted(e, error);
	wi_tx_ended(e);
	tally(e, st);
	return st;
}

static weir_status commit_any(weir_tx *tx, bool by_run, weir_error *error)
{
	struct wi_tx_at e;
	weir_status st;
	WI_NO_CANCEL;

	if (!wi_tx_find(tx, &e, &st, error))
		return st;
	if (!wi_tx_is_innermost(&e))
		return wi_fail(error, WEIR_INVALID, "a nested transaction is open in it");
	if (!e.m.root && e.root.of_run && !by_run)
		return wi_fail(error, WEIR_INVALID,
		               "weir_run commits when its callback returns OK");
	if (!e.m.root)
		return commit(&e, error);
	st = wi_tx_check(&e, error);
	return st == WEIR_OK ? wi_tx_release(&e, error) : st;
}

weir_status weir_tx_commit(weir_tx *tx, weir_error *error)
{
	return commit_any(tx, false, error);
}

weir_status wi_tx_finish(weir_tx *tx, weir_error *error)
{
	return commit_any(tx, true, error);
}

/* ---- asking ---- */

weir_conn *weir_tx_conn(const weir_tx *tx)
{
	struct wi_tx m;

	if (!tx)
		return NULL;
	wi_tx_load(tx, &m);
	return m.state == WI_TX_OPEN ? (weir_conn *)(uintptr_t)m.conn : NULL;
}

int64_t weir_tx_left_ms(const weir_tx *tx)
{
	weir_conn *conn = weir_tx_conn(tx);
	struct weir_conn *c = conn ? wi_conn_of(conn) : NULL;
	struct wi_tx m;

	if (!c)
		return 0;
	wi_tx_load(tx, &m);
	if (m.root)
		wi_tx_load((const weir_tx *)(uintptr_t)m.root, &m);
	return m.state == WI_TX_OPEN ? left_ms(m.deadline_ns, wi_tx_now(c)) : 0;
}

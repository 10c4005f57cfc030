/* SPDX-License-Identifier: BSD-2-Clause */
/* Transactions in transactions: savepoints. tx.c has the idea. */
#include <stdio.h>

#include "base/cancel.h"
#include "base/text.h"
#include "exec/tx.h"
#include "pool/pool.h"

#define SAVEPOINT_ROOM 128
#define SAVEPOINT "weir_savepoint_%llu"

weir_status weir_tx_nest(weir_tx *outer, weir_tx *tx, weir_error *error)
{
	char sql[SAVEPOINT_ROOM];
	struct wi_failure f;
	struct wi_tx_at e;
	enum wi_said said;
	weir_status st;
	WI_NO_CANCEL;

	if (!tx || tx == outer || wi_tx_is_in_use(tx))
		return wi_fail(error, WEIR_INVALID,
		               tx ? "this weir_tx is open already" : "tx is NULL");
	if (!wi_tx_find(outer, &e, &st, error))
		return st;
	if (!wi_tx_is_innermost(&e))
		return wi_fail(error, WEIR_INVALID, "another one is open in that transaction");
	st = wi_tx_check(&e, error);
	if (st != WEIR_OK)
		return st;
	if (wi_tx_now(e.c) >= e.root.deadline_ns)
		return wi_out_of_time(e.c, error);
	snprintf(sql, sizeof(sql), "SAVEPOINT " SAVEPOINT, (unsigned long long)e.m.depth + 1);
	said = wi_say(e.c, sql, wi_tx_until(e.c, e.root.deadline_ns), &f);
	if (said != WI_SAID_DONE)
		return wi_outcome(e.c, said, false, "SAVEPOINT", &f, error);
	wi_tx_store(tx, &(struct wi_tx){
				.state = WI_TX_OPEN,
				.conn = e.root.conn,
				.root = (uint64_t)(uintptr_t)e.outermost,
				.serial = ++e.root.last,
				.around = e.m.serial,
				.depth = e.m.depth + 1,
			});
	e.root.innermost = e.root.last;
	wi_tx_save(&e);
	return WEIR_OK;
}

weir_status wi_tx_undo_nested(struct wi_tx_at *e, weir_error *error)
{
	unsigned long long depth = e->m.depth;
	char sql[SAVEPOINT_ROOM];
	struct wi_failure f;
	enum wi_said said;

	snprintf(sql, sizeof(sql),
	         "ROLLBACK TO SAVEPOINT " SAVEPOINT "; RELEASE SAVEPOINT " SAVEPOINT, depth, depth);
	said = wi_say(e->c, sql, wi_tx_undo_by(e->c), &f);
	if (said == WI_SAID_ERROR) {
		/* The holder's own SQL has done away with it. What is around stays uncommitted. */
		e->m.state = WI_TX_ENDED;
		wi_tx_store(e->tx, &e->m);
		return wi_outcome(e->c, said, false, "ROLLBACK TO SAVEPOINT", &f, error);
	}
	wi_tx_ended(e);
	return wi_tx_undone(e->c, said, &f, error);
}

weir_status wi_tx_release(struct wi_tx_at *e, weir_error *error)
{
	char sql[SAVEPOINT_ROOM];
	struct wi_failure f;
	struct wi_facts facts;
	enum wi_said said;
	weir_status st;

	e->c->pool->driver->facts(e->c->link, &facts);
	if (facts.in_failed_tx) {
		st = wi_tx_undo_nested(e, error);
		return st == WEIR_OK ? wi_tx_failed_before(e->c, facts.failed_by, error) : st;
	}
	if (wi_tx_now(e->c) >= e->root.deadline_ns) {
		st = wi_tx_undo_nested(e, error);
		return st == WEIR_OK ? wi_out_of_time(e->c, error) : st;
	}
	snprintf(sql, sizeof(sql), "RELEASE SAVEPOINT " SAVEPOINT, (unsigned long long)e->m.depth);
	said = wi_say(e->c, sql, wi_tx_until(e->c, e->root.deadline_ns), &f);
	if (said == WI_SAID_ERROR) {
		/* As in undo_nested: there is no such savepoint any more. */
		e->m.state = WI_TX_ENDED;
		wi_tx_store(e->tx, &e->m);
		return wi_outcome(e->c, said, false, "RELEASE SAVEPOINT", &f, error);
	}
	wi_tx_ended(e);
	return wi_outcome(e->c, said, false, wi_tx_words_undone(said), &f, error);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* weir_exec: SQL without rows, by the simple query protocol, on the holder's thread. */
#include <weir/exec.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "exec/judge.h"
#include "pool/pool.h"
#include "pool/tally.h"

static weir_status run(struct weir_conn *c, const char *sql, int64_t timeout_ms, bool unknown,
                       weir_error *error)
{
	int64_t deadline_ns = wi_deadline_after(c->pool->core.world->now(), timeout_ms);
	struct wi_failure f = {0};

	if (!c->pool->driver->send(c->link, sql, &f))
		return wi_exec_lost(c, false, &f, error); /* the whole of it never left */
	switch (wi_conn_await(c, NULL, deadline_ns, &f)) {
	case WI_STEP_DONE:
		return WEIR_OK;
	case WI_STEP_FAILED:
		if (f.fault == WI_FAULT_SQL)
			return wi_exec_refused(c, &f, error);
		return wi_exec_lost(c, unknown, &f, error);
	case WI_STEP_READ:
	case WI_STEP_WRITE:
		break;
	}
	return wi_exec_late(c, unknown, error);
}

weir_status weir_exec(weir_conn *conn, const char *sql, int64_t timeout_ms, weir_error *error)
{
	struct weir_conn *c;
	enum wi_look look;
	int64_t began_ns;
	weir_status st;
	WI_NO_CANCEL;

	if (!conn || !sql)
		return wi_fail(error, WEIR_INVALID, "weir_exec: %s is NULL", conn ? "sql" : "conn");
	c = wi_exec_enter(conn, "weir_exec", &look, &st, error);
	if (!c)
		return st;
	began_ns = c->pool->core.world->now();
	st = run(c, sql, timeout_ms, wi_may_commit(sql, look == WI_LOOK_IN_TX), error);
	wi_tally_query(c, began_ns, c->pool->core.world->now(), st, wi_load_rlx(&c->tag));
	return st;
}

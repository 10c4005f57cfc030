/* SPDX-License-Identifier: BSD-2-Clause */
/* weir_exec: SQL without rows, by the simple query protocol, on the holder's thread. */
#include <weir/exec.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "exec/judge.h"
#include "exec/outcome.h"
#include "exec/query.h"
#include "pool/pool.h"
#include "pool/tally.h"

static weir_status run(struct weir_conn *c, const char *sql, int64_t timeout_ms, bool may_commit,
                       weir_error *error)
{
	int64_t deadline_ns = wi_deadline_after(c->pool->core.world->now(), timeout_ms);
	struct wi_failure f;
	enum wi_said said;

	if (timeout_ms == 0)
		return wi_out_of_time(c, error);
	said = wi_say(c, sql, deadline_ns, &f);
	return wi_outcome(c, said, may_commit, NULL, &f, error);
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

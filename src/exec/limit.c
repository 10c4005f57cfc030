/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server ends a statement by itself when its caller's time is over.
 *
 * statement_timeout is set for the transaction alone (set_config with is_local), by a statement of
 * weir's own before the user's, in one implicit transaction and one round trip: nothing has to be
 * set back, and behind a pooler that shares processes it goes where the statement goes. Inside the
 * user's transaction it would last until that ends, so it is put back behind the statement, from a
 * setting that remembers it; where the statement fails, the transaction has failed, and all of it
 * goes. It is only ever lowered, as the server itself compares: a shorter one of the user's stands.
 *
 * The price is one small statement more, in a transaction two: as much again as a prepared SELECT
 * of one row costs over loopback (47 us without, 87 us with, in either case), and no round trip. So
 * it is paid only by who asks for less time than statement_timeout_ms. The limit is a tenth shorter
 * than the time, so that the server's word arrives before the caller gives up: then nothing was
 * done, and the connection is good. Statements that may not follow another in a transaction
 * (VACUUM, CREATE DATABASE, ...) are not limited so.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "exec/query.h"
#include "pool/pool.h"

#define CURRENT "pg_catalog.current_setting('statement_timeout')"
#define IS_LONGER                                                                                  \
	" WHERE " CURRENT " = '0' OR " CURRENT "::pg_catalog.interval > $1::pg_catalog.interval"
#define SET_IT "pg_catalog.set_config('statement_timeout', $1, true)"
#define KEPT "'weir.statement_timeout'"

static const char lower[] = "SELECT " SET_IT IS_LONGER;
static const char lower_and_keep[] =
	"SELECT pg_catalog.set_config(" KEPT ", " CURRENT ", true), " SET_IT IS_LONGER;
/* Unless the statement itself has set another. */
static const char put_back[] =
	"SELECT pg_catalog.set_config('statement_timeout', CASE WHEN " CURRENT
	"::pg_catalog.interval = $1::pg_catalog.interval THEN pg_catalog.current_setting(" KEPT
	") ELSE " CURRENT " END, true), pg_catalog.set_config(" KEPT ", '', true)"
	" WHERE pg_catalog.current_setting(" KEPT ", true) <> ''";

/* What is told to the server of what is left. */
static int64_t told(int64_t left_ms)
{
	int64_t ms = left_ms - left_ms / 10;

	return ms > 0 ? ms : 1;
}

void wi_limit_init(struct wi_limit *l, const struct weir_conn *c, enum wi_look look, bool is_plain,
                   int64_t deadline_ns)
{
	int64_t usual_ms = wi_word_load(&c->pool->options.statement_timeout_ms), now_ns, left_ms;

	*l = (struct wi_limit){.is_local = look == WI_LOOK_IN_TX};
	if (!is_plain || deadline_ns == WI_FOREVER)
		return;
	now_ns = c->pool->core.world->now();
	left_ms = (deadline_ns - now_ns) / WI_MS;
	if ((usual_ms && left_ms >= usual_ms) || told(left_ms) > INT32_MAX)
		return;
	l->ms = told(left_ms);
	l->ends_ns = now_ns + l->ms * WI_MS;
	snprintf(l->text, sizeof(l->text), "%" PRId64 "ms", l->ms);
}

static enum wi_keep keep(const struct weir_conn *c)
{
	return wi_load_rlx(&c->pool->pooled) ? WI_KEEP_NOT : WI_KEEP_AT_ONCE;
}

static const unsigned text_type[] = {25};

bool wi_limit_before(struct wi_limit *l, const struct weir_conn *c, struct wi_call *call)
{
	if (!l->ms)
		return false;
	l->value[0] = l->text;
	*call = (struct wi_call){.sql = l->is_local ? lower_and_keep : lower,
	                         .n_params = 1,
	                         .types = text_type,
	                         .values = l->value,
	                         .keep = keep(c),
	                         .own = true};
	return true;
}

bool wi_limit_after(const struct wi_limit *l, const struct weir_conn *c, struct wi_call *call)
{
	if (!l->ms || !l->is_local)
		return false;
	*call = (struct wi_call){.sql = put_back,
	                         .n_params = 1,
	                         .types = text_type,
	                         .values = l->value,
	                         .keep = keep(c),
	                         .own = true};
	return true;
}

bool wi_limit_struck(const struct wi_limit *l, const struct weir_conn *c,
                     const struct wi_failure *failure)
{
	return l->ms && strcmp(failure->sqlstate, "57014") == 0 &&
	       c->pool->core.world->now() >= l->ends_ns;
}

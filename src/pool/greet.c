/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a new connection goes through before its first use: what weir asks of the server is
 * verified, applied by SET where the startup options did not do it, and the user's own SQL is run.
 * settle.c sends each errand and reads its answer:
 *
 *	VERIFY --(not as asked)--> APPLY --> VERIFY_AGAIN
 *	   |                                    |
 *	   +------------> ON_CONNECT <----------+  --> HOOK (hook.c) --> ready
 */
#include <stdio.h>

#include "base/atomic.h"
#include "base/probe.h"
#include "pool/size.h"

const char *wi_greet_sql(const struct weir_conn *c)
{
	const struct weir_pool *pool = c->pool;

	if (c->errand == WI_DO_APPLY)
		return pool->settings.apply;
	if (c->errand == WI_DO_ON_CONNECT)
		return pool->options.on_connect_sql[0] ? pool->options.on_connect_sql : NULL;
	return pool->settings.verify;
}

void wi_greet_failed(struct weir_conn *c, const struct wi_failure *failure)
{
	struct wi_failure f = *failure;

	if (c->errand == WI_DO_ON_CONNECT && f.fault == WI_FAULT_SQL) {
		f.fault = WI_FAULT_CONFIG;
		snprintf(f.text, sizeof(f.text), "on_connect_sql failed: %.480s", failure->text);
	}
	wi_open_failed(c, &f);
}

void wi_greet_done(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	int64_t now_ns = pool->core.world->now();

	c->fresh = false;
	pool->census.fresh--;
	pool->replacing = false;
	if (wi_pool_total(pool) > wi_pool_max(pool))
		wi_or_rlx(&c->notes, WI_NOTE_OVERFLOW);
	pool->driver->mark_clean(c->link);
	wi_add_rlx(&pool->opened, 1);
	wi_hist_add(&pool->connect_hist, now_ns - c->born_ns);
	wi_probe_connect(pool->endpoint->name, now_ns - c->born_ns, WI_FAULT_NONE);
	wi_pool_tell(pool, WEIR_EVENT_CONNECTED, "connected in %.1f ms",
	             (double)(now_ns - c->born_ns) / 1e6);
	if (wi_breaker_succeeded(&pool->breaker))
		wi_pool_tell(pool, WEIR_EVENT_BREAKER_CLOSED, "a connect succeeded");
}

static void verified(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	bool match = wi_in_force_take(c);

	if (match || !c->answer->has_row || pool->not_held) {
		c->errand = WI_DO_ON_CONNECT;
	} else if (c->errand == WI_DO_VERIFY) {
		if (!pool->apply_by_set)
			wi_pool_tell(pool, WEIR_EVENT_SETTINGS_FALLBACK,
			             "the server did not take the startup options");
		pool->apply_by_set = true;
		c->errand = WI_DO_APPLY;
	} else {
		wi_pool_tell(pool, WEIR_EVENT_SETTINGS_REFUSED,
		             "settings in force differ from those asked for");
		c->errand = WI_DO_ON_CONNECT;
	}
}

void wi_greet_next(struct weir_conn *c)
{
	if (c->errand == WI_DO_APPLY) {
		c->errand = WI_DO_VERIFY_AGAIN;
	} else if (c->errand == WI_DO_ON_CONNECT) {
		if (!c->fresh)
			c->pool->driver->mark_clean(c->link);
		c->errand = c->pool->options.on_connect ? WI_DO_HOOK : WI_DO_NOTHING;
	} else {
		verified(c);
	}
}

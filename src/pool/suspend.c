/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Suspending a pool: nobody gets a connection until it is resumed; those that are out go on, and
 * come back as ever.
 *
 * Idea. One word of the core, `suspended`, says so, and how callers fare. A bit of the bias says
 * that there is such a word to look at, so the warm path has nothing more to ask: whatever is
 * against the bias sends it the slow way. There callers do not stand in line, as who stands in line
 * is served: they sleep on the word itself, and look anew when it changes. Who was in line already
 * is sent out of it.
 *
 * A checkout that was under way. One that is pinned is waited for, for a tenth of a second at most;
 * one that has waited or made a check looks at the word after it has taken hold of a slot, and lets
 * go again. What is left is a thread that has taken what it keeps and has not yet counted it as
 * lent: a few instructions of the warm path, which looks at nothing in between.
 *
 * Closing takes the word back: who sleeps on it finds the pool closed. A suspend that comes at the
 * same time sees that it is closed, or closing takes its word back, too.
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/text.h"
#include "core/desk.h"
#include "pool/size.h"

static weir_status set(struct weir_pool *pool, uint32_t how)
{
	weir_status st = WEIR_OK;

	if (!pool)
		return WEIR_INVALID;
	if (wi_pool_is_parents(pool) && (st = wi_pool_in_child(pool, NULL)) != WEIR_OK)
		return st;
	wi_rcu_enter();
	wi_pool_enter(pool);
	wi_rcu_leave();
	wi_core_suspend(&pool->core, how);
	if (wi_load_seq(&pool->closed)) {
		wi_core_suspend(&pool->core, 0);
		st = WEIR_CLOSED;
	} else if (how) {
		(void)wi_core_await_takes(&pool->core,
		                          pool->core.world->now() + WI_SUSPEND_AWAITS_NS);
	}
	wi_pool_exit(pool);
	return st;
}

weir_status weir_pool_suspend(weir_pool *pool, weir_suspend how)
{
	switch (how) {
	case WEIR_SUSPEND_WAIT:
		return set(pool, WI_SUSPENDED_WAIT);
	case WEIR_SUSPEND_FAIL:
		return set(pool, WI_SUSPENDED_FAIL);
	}
	return WEIR_INVALID;
}

weir_status weir_pool_resume(weir_pool *pool)
{
	return set(pool, 0);
}

static weir_status fail(struct weir_pool *pool, weir_status status, weir_error *error)
{
	wi_fail(error, status, "the pool for %s is suspended", pool->endpoint->name);
	if (error)
		wi_copy(error->host, sizeof(error->host), pool->endpoint->name);
	return status;
}

weir_status wi_suspend_await(struct weir_pool *pool, int64_t deadline_ns, weir_error *error)
{
	const struct wi_world *world = pool->core.world;
	uint32_t how = wi_load_seq(&pool->core.suspended);
	weir_status st;

	if (how == WI_SUSPENDED_ELSEWHERE)
		return wi_fail(error, WEIR_UNAVAILABLE, "%s", "");
	if (how == WI_SUSPENDED_FAIL || !deadline_ns) {
		st = how == WI_SUSPENDED_FAIL ? WEIR_UNAVAILABLE : WEIR_EXHAUSTED;
		return fail(pool, wi_pool_refused(pool, st), error);
	}
	st = wi_pool_shed(pool, error);
	if (st != WEIR_OK)
		return st;
	wi_add_rlx(&pool->waits, 1);
	wi_add_rlx(&pool->at_gate, 1);
	while ((how = wi_load_seq(&pool->core.suspended)) == WI_SUSPENDED_WAIT &&
	       world->now() < deadline_ns)
		world->park(&pool->core.suspended, how, deadline_ns);
	wi_sub_rlx(&pool->at_gate, 1);
	if (how != WI_SUSPENDED_WAIT)
		return WEIR_OK;
	wi_add_rlx(&pool->timeouts, 1);
	return fail(pool, WEIR_TIMEOUT, error);
}

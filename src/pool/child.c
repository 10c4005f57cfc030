/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a forked child may do with its parent's pool. The sockets are the parent's: not a byte may
 * be sent on them, nor may the child's copy of the keeper's epoll be changed. options.fork says
 * whether a checkout in the child fails or gets connections of the child's own.
 *
 * Connections that were idle at the fork are freed without a word to the server. Those that some
 * thread of the parent held or was working on at that moment may be half-changed, and are left
 * alone: a few hundred bytes each, once a fork. So are the seats of the parent's threads.
 */
#include <stddef.h>
#include <string.h>

#include "base/anew.h"
#include "base/assert.h"
#include "base/atomic.h"
#include "base/cancel.h"
#include "base/text.h"
#include "pool/pool.h"

static bool any(void *arg, uint32_t slot)
{
	(void)arg;
	(void)slot;
	return true;
}

/* What lies in a free list or a cache was in nobody's hands at the fork. */
static void abandon_idle(void *arg, uint32_t slot)
{
	struct weir_pool *pool = arg;
	struct weir_conn *c = &pool->conns[slot];

	if (c->link)
		pool->driver->abandon(c->link);
}

static void forget(struct weir_conn *c)
{
	c->link = NULL;
	c->pg = NULL;
	c->way = NULL;
	c->busy = NULL;
	c->answer = NULL;
	c->errand = WI_DO_NOTHING;
	c->life = WI_EMPTY;
	c->in_hand = c->fresh = c->leak_told = c->cut_counted = c->evicted = false;
	c->accused = c->standby = c->read_only = c->born_read_only = false;
	c->server_process = 0;
	c->watch.fd = -1;
	c->goodbye_fd = -1;
	/* An odd count would be a handle of the parent's: it must not match a later one of ours. */
	wi_store_rlx(&c->slot.lend, (wi_load_rlx(&c->slot.lend) | 1) + 1);
	wi_store_rlx(&c->notes, 0);
}

/* What was counted was the parent's: this process begins anew, and its sums agree again. */
static void forget_counts(struct weir_pool *pool)
{
	uint64_t returned;

	wi_core_sums(&pool->core, &pool->lent_before, &returned);
	wi_store_rlx(&pool->unfit, 0);
	wi_store_rlx(&pool->unsure, 0);
	wi_store_rlx(&pool->shown_checkouts, 0);
	wi_store_rlx(&pool->shown_checkins, 0);
	wi_store_rlx(&pool->waits, 0);
	wi_store_rlx(&pool->timeouts, 0);
	wi_store_rlx(&pool->misuse, 0);
	wi_store_rlx(&pool->leaks, 0);
	wi_store_rlx(&pool->orphans, 0);
	wi_store_rlx(&pool->cancels, 0);
	wi_store_rlx(&pool->opened, 0);
	wi_store_rlx(&pool->connect_failures, 0);
	wi_store_rlx(&pool->verified, 0);
	wi_store_rlx(&pool->breaker_openings, 0);
	wi_store_rlx(&pool->hold_samples, 0);
	wi_store_rlx(&pool->health.lost, 0);
	wi_store_rlx(&pool->vigilance.queries.count, 0);
	wi_store_rlx(&pool->vigilance.checkouts.count, 0);
	for (int i = 0; i < WEIR_STATUSES; i++)
		wi_store_rlx(&pool->refused_with[i], 0);
	for (int i = 0; i < WEIR_CLOSE_REASONS; i++)
		wi_store_rlx(&pool->closed_by[i], 0);
	for (int i = 0; i < WEIR_CONNECT_CLASSES; i++)
		wi_store_rlx(&pool->connect_failed_of[i], 0);
	memset(&pool->wait_hist, 0, sizeof(pool->wait_hist));
	memset(&pool->connect_hist, 0, sizeof(pool->connect_hist));
	memset(&pool->hold_hist, 0, sizeof(pool->hold_hist));
	memset(&pool->tallies, 0, sizeof(pool->tallies));
}

void wi_pool_forget(struct weir_pool *pool)
{
	wi_pool_reload_finish(pool);
	wi_ring_mend(&pool->own_ring);
	wi_alarm_forget(pool);
	wi_core_sweep(&pool->core, any, abandon_idle, pool);
	for (uint32_t i = 1; i <= pool->n_conns; i++)
		forget(&pool->conns[i]);
	/* The parent's keeper may have been about to add slots. */
	wi_core_grow(&pool->core, pool->n_conns);
	pool->sized = 0;
	wi_held_forget(pool);
	forget_counts(pool);
	pool->census = (struct wi_census){.n[WI_EMPTY] = pool->n_conns};
	pool->in_hand = 0;
	pool->hooks = NULL; /* their threads are the parent's, and so are their connections */
	wi_store_rlx(&pool->hooked, 0);
	pool->retiring = NULL;
	pool->replacing = pool->sweep_wanted = false;
	pool->shedding = pool->stragglers = pool->evicting = pool->draining = false;
	wi_store_rlx(&pool->at_gate, 0);
	wi_store_rlx(&pool->inbox, 0);
	wi_store_rlx(&pool->inside, 0);
	wi_store_rlx(&pool->alive, 0);
	wi_store_rlx(&pool->missed, false);
	wi_posted_init(&pool->last_error); /* may have been left half-written */
	wi_health_forget(pool);
	wi_posted_init(&pool->in_force);
	pool->breaker_was_closed = true;
	wi_store_rlx(&pool->breaker_since_ns, 0);
	wi_store_rlx(&pool->breaker_next_ns, 0);
	wi_breaker_init(&pool->breaker, pool->options.breaker_failures,
	                pool->options.breaker_open_ms, pool->options.breaker_open_max_ms);
}

bool wi_pool_renew(struct weir_pool *pool, struct wi_keeper *keeper)
{
	struct wi_keeper *parents = pool->keeper;

	wi_pool_forget(pool);
	pool->keeper = keeper; /* before anybody can come in and ring */
	if (!wi_core_reinit(&pool->core)) {
		pool->keeper = parents;
		return false;
	}
	wi_keeper_add(keeper, &pool->job);
	return true;
}

/* The one thread of the child that came first makes the pool anew. */
static weir_status reopen(struct weir_pool *pool, weir_error *error)
{
	struct wi_keeper *keeper = NULL, *parents = pool->keeper;
	weir_status st = wi_keeper_create(pool->core.world, &keeper, error);

	if (st != WEIR_OK)
		return st;
	if (!wi_pool_renew(pool, keeper)) {
		wi_keeper_free(keeper);
		return wi_fail(error, WEIR_SYSTEM, "too many pools in this process");
	}
	wi_keeper_free(parents);
	(void)wi_pool_show(pool, NULL); /* what cannot be drawn is not, here: the pool is served */
	st = wi_keeper_start(keeper, error);
	if (st != WEIR_OK)
		return st;
	/* [child:R1] publishes the new inside; pairs with A1 and [anew:A1]. */
	wi_store_rel(&pool->fork_epoch, wi_load_rlx(&wi_fork_epoch));
	/*
	 * Only now: one that is given back to a pool that still says it is the parent's would be
	 * left alone, and lost. From here on they are the child's own.
	 */
	wi_core_reopen(&pool->core);
	return WEIR_OK;
}

weir_status wi_pool_in_child(struct weir_pool *pool, weir_error *error)
{
	weir_status st;
	WI_NO_CANCEL;

	if (pool->options.fork != WEIR_FORK_REOPEN || !pool->own_keeper)
		return wi_fail(error, WEIR_FORKED,
		               "the pool for %s was opened before this process was forked",
		               pool->endpoint->name);
	if (!wi_anew_begin(&pool->fork_epoch, &pool->reopening, pool->core.world))
		return WEIR_OK;
	st = reopen(pool, error);
	wi_anew_end(&pool->reopening, pool->core.world);
	return st;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Other options while the pool runs. The asker finds out whether they may be others, prepares
 * memory for the sizes they come to and leaves them for the keeper, which writes them in its turn:
 * each is a word of its own, so a checkout that reads one meanwhile has the old or the new. What is
 * made of them is made anew here: the breaker's limits, ends of lifetimes, what a new session is
 * told. Sizes go through resize.c, connections with old server settings through evict.c.
 *
 * Who asks twice before the keeper's turn is answered twice, and the later one is what is left: it
 * was judged by itself, against what may not change, which is the same for both.
 *
 * A fork in the middle of it would leave a child that reopens with some of the new words for good,
 * and with the old sizes: it finishes what the parent's keeper had begun.
 *
 * Orderings. [reload:R1] leaves the options, [reload:A1] takes them.
 */
#include "base/alloc.h"
#include "base/atomic.h"
#include "base/cancel.h"
#include "base/rcu.h"
#include "base/text.h"
#include "pool/size.h"
#include "pool/tend.h"

/* ---- any thread ---- */

/* Inside a read section. */
static weir_status ask(struct weir_pool *pool, struct wi_wanted *wanted, weir_error *error)
{
	struct wi_wanted *before;
	uint64_t sizes;
	weir_status st;

	if (wi_load_acq(&pool->closed))
		return wi_fail(error, WEIR_CLOSED, "the pool for %s is closed",
		               pool->endpoint->name);
	st = wi_resize_prepare_for(pool, &wanted->options, &sizes, error);
	if (st != WEIR_OK)
		return st;
	wanted->resizes = wi_load_rlx(&pool->resizes);
	/* [reload:R1] publishes the options; pairs with A1. */
	before = wi_swap_acq_rel(&pool->reload, wanted);
	wi_free(before, sizeof(*before));
	wi_keeper_ring(pool->keeper);
	return WEIR_OK;
}

weir_status weir_pool_reload(weir_pool *pool, const weir_options *options, weir_error *error)
{
	struct wi_wanted *wanted;
	weir_status st;
	WI_NO_CANCEL;

	if (!pool || !options)
		return wi_fail(error, WEIR_INVALID, "weir_pool_reload: %s is NULL",
		               pool ? "options" : "pool");
	if (wi_pool_is_parents(pool) && (st = wi_pool_in_child(pool, error)) != WEIR_OK)
		return st;
	wanted = wi_alloc(sizeof(*wanted));
	if (!wanted)
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for the options");
	wi_rcu_enter();
	st = wi_reload_merge(&pool->options, &pool->fixed, options, false, &wanted->options, error);
	if (st == WEIR_OK)
		st = ask(pool, wanted, error);
	wi_rcu_leave();
	if (st != WEIR_OK)
		wi_free(wanted, sizeof(*wanted));
	return st;
}

/* ---- the keeper ---- */

/* Ends of lifetimes by the new ones, from when each connection was begun. */
static void draw_lifetimes(struct weir_pool *pool)
{
	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];

		if (c->life != WI_EMPTY && c->life != WI_CLOSING)
			c->expires_ns = wi_lifetime_end(pool, c->born_ns);
	}
	pool->next_retire_ns = 0;
}

/*
 * The turn does the rest. A resize may say meanwhile what had been there already, which the
 * exchange cannot tell from nothing: it is said later, so it comes back.
 */
static void resize(struct weir_pool *pool, const weir_options *merged, uint32_t resizes)
{
	/* [resize:A2] sees whether it was a resize that said them; pairs with R1. */
	uint64_t before = wi_load_acq(&pool->sizes), said, sizes;

	if (wi_load_rlx(&pool->resizes) != resizes)
		return; /* it was said later */
	if (wi_resize_prepare_for(pool, merged, &sizes, NULL) != WEIR_OK)
		return; /* it was prepared when it was asked for, so only a lost race ends here */
	WI_YIELD("reload.sizes.looked");
	said = before;
	/* [resize:A2] sees whose sizes it takes away. */
	if (!wi_cas_acq_rel(&pool->sizes, &said, sizes))
		return; /* somebody resizes just now */
	if (wi_load_rlx(&pool->resizes) != resizes)
		(void)wi_cas_rel(&pool->sizes, &sizes, before);
}

static bool are_sizes_other(const struct weir_pool *pool, const weir_options *merged)
{
	static const char *const sizes[] = {"pool_min", "pool_max", "pod_count", "server_budget",
	                                    NULL};

	return wi_reload_differs(&pool->options, merged, sizes);
}

/* The words, and what checkouts read instead of one. */
static void write_all(struct weir_pool *pool, const weir_options *merged)
{
	wi_reload_write(&pool->options, merged);
	WI_YIELD("reload.written");
	wi_store_rlx(&pool->standing, wi_health_standing(merged));
}

void wi_pool_reload_now(struct weir_pool *pool, const weir_options *merged, uint32_t resizes,
                        int64_t now_ns)
{
	static const char *const slots[] = {"pool_overflow", "leak_action", NULL};
	static const char *const lives[] = {"max_lifetime_ms", "lifetime_jitter_pct", NULL};
	bool sizes_differ = are_sizes_other(pool, merged);
	bool slots_differ = wi_reload_differs(&pool->options, merged, slots);
	bool lives_differ = wi_reload_differs(&pool->options, merged, lives);
	bool sessions_differ = wi_reload_differs_for_new(&pool->options, merged);

	write_all(pool, merged);
	wi_breaker_tune(&pool->breaker, merged->breaker_failures, merged->breaker_open_ms,
	                merged->breaker_open_max_ms);
	if (sizes_differ)
		resize(pool, merged, resizes);
	if (sizes_differ || slots_differ)
		pool->sized = 0; /* no sizes: the slots are counted again, whatever these are */
	if (lives_differ)
		draw_lifetimes(pool);
	if (sessions_differ) {
		wi_settings_retime(&pool->settings, &pool->options);
		wi_evict_ask(pool);
	}
	pool->next_tend_ns = now_ns; /* also puts on the slots what is to stand there */
	wi_alarms_hasten(&pool->vigilance.alarms, &pool->options, now_ns);
}

void wi_pool_reload_step(struct weir_pool *pool, int64_t now_ns)
{
	struct wi_wanted *wanted;

	if (!wi_load_rlx(&pool->reload)) /* the ring is the ordering */
		return;
	/* [reload:A1] sees the options as they were left; pairs with R1. */
	wanted = wi_swap_acq(&pool->reload, NULL);
	if (!wanted)
		return;
	wanted->sizes_differ = are_sizes_other(pool, &wanted->options);
	wi_store_seq(&pool->reloading, wanted);
	wi_pool_reload_now(pool, &wanted->options, wanted->resizes, now_ns);
	wi_store_seq(&pool->reloading, NULL);
	wi_free(wanted, sizeof(*wanted));
}

/* ---- a child ---- */

void wi_pool_reload_again(struct weir_pool *pool, const weir_options *merged, bool sizes_differ,
                          uint32_t resizes)
{
	write_all(pool, merged);
	if (sizes_differ)
		resize(pool, merged, resizes);
	wi_settings_retime(&pool->settings, &pool->options);
}

void wi_pool_reload_finish(struct weir_pool *pool)
{
	struct wi_wanted *wanted = wi_swap_seq(&pool->reloading, NULL);

	if (!wanted)
		return;
	wi_pool_reload_again(pool, &wanted->options, wanted->sizes_differ, wanted->resizes);
	wi_free(wanted, sizeof(*wanted));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another size while connections are out. The asker makes sure that there is memory for the slots
 * and leaves word; the keeper adds the slots, which nobody else knows yet, or sheds what is too
 * much.
 *
 * Shedding. New connects are given up, idle ones closed, and every one that is out gets a note
 * that sends it to the keeper when it comes back: whichever comes first is closed, until there are
 * no more than the maximum; then the notes go. So the pool shrinks as fast as its holders let go,
 * and no holder loses what it has. Closed ones count until their servers have gone, so nobody sees
 * more than the old maximum meanwhile.
 *
 * A slot that was let go just before the note came is found idle, with the note, a moment later:
 * let-go, light fence, look at the notes, against note, heavy fence, look at lend.
 *
 * Orderings. [resize:R1] in ask, [resize:A1] in step: the keeper sees the memory that was prepared.
 * [resize:A2] in reload.c: and that the sizes were said by a resize.
 */
#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/text.h"
#include "config/options.h"
#include "pool/held.h"
#include "pool/size.h"

/* Between looks for slots that are on their way to where a sweep finds them. */
#define LOOK_AGAIN_NS (20 * WI_MS)

uint32_t wi_pool_living(const struct weir_pool *pool)
{
	uint32_t total = wi_pool_total(pool), closing = pool->census.n[WI_CLOSING];

	return total > closing ? total - closing : 0;
}

uint32_t wi_slots_for(const weir_options *options, uint32_t limit)
{
	/*
	 * A reclaimed connection keeps its slot until its holder is done, while another takes its
	 * place.
	 */
	if (options->leak_action == WEIR_LEAK_RECLAIM)
		limit *= 2;
	return limit < WI_SLOTS_MAX ? limit : WI_SLOTS_MAX;
}

/* ---- any thread ---- */

static bool has_memory(struct weir_pool *pool, uint32_t slots)
{
	return wi_room_grow(&pool->room, ((size_t)slots + 1) * sizeof(struct weir_conn)) &&
	       wi_held_grow(pool, slots);
}

weir_status wi_resize_prepare_for(struct weir_pool *pool, const weir_options *o, uint64_t *sizes,
                                  weir_error *error)
{
	uint32_t effective = (uint32_t)wi_options_pool_max(o);
	/* or fewer, by the budget */
	uint32_t n = wi_slots_for(o, effective + (uint32_t)o->pool_overflow);

	if (((size_t)n + 1) * sizeof(struct weir_conn) > pool->room.bytes)
		return wi_fail(
			error, WEIR_INVALID,
			"pool_max %lld: with an allocator of its own the program's pool for %s has room for %zu: open it with a larger pool_max",
			(long long)o->pool_max, pool->endpoint->name,
			pool->room.bytes / sizeof(struct weir_conn) - 1);
	if (!has_memory(pool, n))
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for %u connections", n);
	*sizes = wi_sizes((uint32_t)o->pool_min, effective);
	return WEIR_OK;
}

/* What sizes depend on: a reload may be writing it. */
static void take_limits(const struct weir_pool *pool, weir_options *o)
{
	weir_options_init(o);
	o->pool_overflow = wi_word_load(&pool->options.pool_overflow);
	o->pod_count = wi_word_load(&pool->options.pod_count);
	o->server_budget = wi_word_load(&pool->options.server_budget);
	o->leak_action = wi_word_load(&pool->options.leak_action);
}

weir_status wi_resize_prepare(struct weir_pool *pool, int64_t min, int64_t max, uint64_t *sizes,
                              weir_error *error)
{
	weir_options o;
	weir_status st;

	take_limits(pool, &o);
	st = wi_options_resize(&o, min, max, error);
	return st == WEIR_OK ? wi_resize_prepare_for(pool, &o, sizes, error) : st;
}

void wi_resize_ask(struct weir_pool *pool, uint64_t sizes)
{
	/* [resize:R1] publishes that there is memory for the slots; pairs with A1 A2. */
	wi_store_rel(&pool->sizes, sizes);
	wi_keeper_ring(pool->keeper);
}

weir_status weir_pool_resize(weir_pool *pool, int64_t min, int64_t max, weir_error *error)
{
	weir_status st;
	uint64_t sizes;

	if (!pool)
		return wi_fail(error, WEIR_INVALID, "weir_pool_resize: pool is NULL");
	if (wi_pool_is_parents(pool) && (st = wi_pool_in_child(pool, error)) != WEIR_OK)
		return st;
	wi_rcu_enter();
	st = wi_load_acq(&pool->closed) ? wi_fail(error, WEIR_CLOSED, "the pool for %s is closed",
	                                          pool->endpoint->name)
	                                : wi_resize_prepare(pool, min, max, &sizes, error);
	if (st == WEIR_OK) {
		wi_add_rlx(&pool->resizes, 1); /* R1 publishes it */
		wi_resize_ask(pool, sizes);
	}
	wi_rcu_leave();
	return st;
}

/* ---- the keeper ---- */

static void add_slots(struct weir_pool *pool)
{
	uint32_t n = wi_slots_for(&pool->options, wi_pool_limit(pool));

	/*
	 * A resize and a reload prepare each for what the other has not said yet: for both there
	 * may be none.
	 */
	if (n <= pool->n_conns || !has_memory(pool, n))
		return;
	wi_pool_slots_init(pool, pool->n_conns + 1, n);
	pool->census.n[WI_EMPTY] += n - pool->n_conns;
	pool->n_conns = n;
	wi_core_grow(&pool->core, n);
}

static bool is_above(const struct weir_pool *pool)
{
	return wi_pool_living(pool) > wi_pool_max(pool);
}

bool wi_resize_sheds(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;

	if (wi_pool_living(pool) > wi_pool_limit(pool))
		return true;
	if (!(wi_load_rlx(&c->notes) & WI_NOTE_OVERFLOW))
		return false;
	if (is_above(pool))
		return !wi_core_waiting(&pool->core);
	wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_OVERFLOW); /* it is one of the maximum by now */
	return false;
}

static void give_up_connects(struct weir_pool *pool)
{
	struct weir_conn *c, *next;

	for (c = wi_slot_first_in_hand(pool); c && wi_pool_living(pool) > wi_pool_limit(pool);
	     c = next) {
		next = wi_slot_next_in_hand(c);
		if (c->fresh && c->life != WI_CLOSING)
			wi_conn_close(c, WEIR_CLOSE_OVERFLOW);
	}
}

static bool is_too_many(void *arg, uint32_t slot)
{
	(void)slot;
	return is_above(arg);
}

static void shed_idle(void *arg, uint32_t slot)
{
	struct weir_pool *pool = arg;

	wi_or_rlx(&pool->conns[slot].notes, WI_NOTE_OVERFLOW);
	wi_settle_returned(&pool->conns[slot]);
}

static bool has_session(const struct weir_conn *c)
{
	return c->life == WI_READY || (c->life == WI_SETTLING && !c->fresh);
}

/* Those that are out come to the keeper. */
static void note_all(struct weir_pool *pool)
{
	bool any = false;

	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];

		if (!has_session(c) || (wi_load_rlx(&c->notes) & WI_NOTE_OVERFLOW))
			continue;
		wi_or_seq(&c->notes, WI_NOTE_OVERFLOW);
		any = true;
	}
	if (any)
		wi_bias_fence(&pool->core.bias); /* the other half of a let-go's light fence */
	pool->stragglers = false;
	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];

		if (c->life == WI_READY && !(wi_load_seq(&c->slot.lend) & 1))
			pool->stragglers = true;
	}
}

static void unnote_all(struct weir_pool *pool)
{
	for (uint32_t i = 1; i <= pool->n_conns; i++)
		if (has_session(&pool->conns[i]))
			wi_and_rlx(&pool->conns[i].notes, ~(uint32_t)WI_NOTE_OVERFLOW);
	pool->shedding = pool->stragglers = false;
}

void wi_resize_step(struct weir_pool *pool)
{
	/* [resize:A1] sees the memory for the slots; pairs with R1. */
	uint64_t sizes = wi_load_acq(&pool->sizes);

	if (sizes != pool->sized) {
		pool->sized = sizes;
		add_slots(pool);
		pool->shedding = true;
	}
	if (!pool->shedding)
		return;
	give_up_connects(pool);
	if (is_above(pool))
		wi_core_sweep(&pool->core, is_too_many, shed_idle, pool);
	if (is_above(pool))
		note_all(pool);
	else
		unnote_all(pool);
}

int64_t wi_resize_due(const struct weir_pool *pool, int64_t now_ns)
{
	return pool->stragglers ? now_ns + LOOK_AGAIN_NS : WI_FOREVER;
}

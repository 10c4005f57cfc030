/* SPDX-License-Identifier: BSD-2-Clause */
/* How many connections a pool has: what is asked for while it runs, and what the keeper does. */
#ifndef WI_POOL_SIZE_H
#define WI_POOL_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "pool/pool.h"

/* Minimum and maximum in one word, so that nobody sees one of each. */
static inline uint64_t wi_sizes(uint32_t min, uint32_t max)
{
	return (uint64_t)max << 32 | min;
}

static inline uint32_t wi_sizes_min(uint64_t sizes)
{
	return (uint32_t)sizes;
}

static inline uint32_t wi_sizes_max(uint64_t sizes)
{
	return (uint32_t)(sizes >> 32);
}

/* As last asked for, after pod_count and server_budget. Any thread. */
static inline uint32_t wi_pool_max(const struct weir_pool *pool)
{
	return wi_sizes_max(wi_load_rlx(&pool->sizes));
}

static inline uint32_t wi_pool_min(const struct weir_pool *pool)
{
	return wi_sizes_min(wi_load_rlx(&pool->sizes));
}

/* Connections that nobody has said goodbye to: all but CLOSING ones. Keeper's thread. */
uint32_t wi_pool_living(const struct weir_pool *pool);

/* ---- resize.c ---- */

/* How many slots it takes to have so many connections. */
uint32_t wi_slots_for(const weir_options *options, uint32_t limit);

/*
 * The same for sizes that other options come to (a reload's), also after pod_count and
 * server_budget.
 */
weir_status wi_resize_prepare_for(struct weir_pool *pool, const weir_options *options,
                                  uint64_t *sizes, weir_error *error);

/*
 * Whether these sizes can be had, and memory for them: OK, INVALID or NO_MEMORY; *sizes is what
 * they come to after pod_count and server_budget. Any thread.
 */
weir_status wi_resize_prepare(struct weir_pool *pool, int64_t min, int64_t max, uint64_t *sizes,
                              weir_error *error);

/* Asks for what has been prepared. Any thread, inside a read section or a pin. */
void wi_resize_ask(struct weir_pool *pool, uint64_t sizes);

/* Keeper's turn: follows what was asked for. */
void wi_resize_step(struct weir_pool *pool);

/* When the keeper has to look again; WI_FOREVER: when something comes back. */
int64_t wi_resize_due(const struct weir_pool *pool, int64_t now_ns);

/*
 * Whether one that is in the keeper's hands is to be closed because there are too many: beyond the
 * overflow always, beyond the maximum if it is noted and nobody waits for it.
 */
bool wi_resize_sheds(struct weir_conn *c);

/* ---- lifetime.c ---- */

/* When a connection that is begun now is to end; WI_FOREVER: never. Keeper's thread. */
int64_t wi_lifetime_end(struct weir_pool *pool, int64_t now_ns);

/* Connections that are ready and not about to go. Keeper's thread. */
uint32_t wi_pool_staying(const struct weir_pool *pool);

/* How much time lies between two retirements at the least. */
int64_t wi_lifetime_gap(const struct weir_pool *pool);

/* Retires the one that expired first, if it is its turn; first may be NULL. Keeper's thread. */
void wi_lifetime_retire(struct weir_pool *pool, struct weir_conn *first, int64_t now_ns);

/* ---- adapt.c ---- */

/* How many are kept open though nobody needs them just now. Keeper's thread. */
uint32_t wi_pool_kept(const struct weir_pool *pool);
/* One that is younger is no spare one yet. */
#define WI_ADAPT_YOUNG_MS 5000
/* Keeper's turn: measures; and when it wants to do so again. */
bool wi_adapts(const struct weir_pool *pool);
void wi_adapt_step(struct weir_pool *pool, int64_t now_ns);
int64_t wi_adapt_due(const struct weir_pool *pool);

/* ---- evict.c ---- */

/*
 * Asks that every connection opened so far be closed. Any thread, inside a read section or a pin.
 */
void wi_evict_ask(struct weir_pool *pool);

/* Keeper's turn: follows what was asked for. */
void wi_evict_step(struct weir_pool *pool);

/* Sessions that are still to go. Keeper's thread. */
uint32_t wi_evict_left(const struct weir_pool *pool);

/* ---- suspend.c ---- */

/*
 * How long suspending waits for checkouts under way. A thread that is pinned never sleeps: it is
 * about to leave, or has lost its processor.
 */
#define WI_SUSPEND_AWAITS_NS (100 * WI_MS)

static inline bool wi_pool_is_suspended(const struct weir_pool *pool)
{
	return wi_load_seq(&pool->core.suspended);
}

/*
 * Between enter and exit: waits until the pool is resumed. OK: look again, also whether it is
 * closed. Else as wi_pool_wait.
 */
weir_status wi_suspend_await(struct weir_pool *pool, int64_t deadline_ns, weir_error *error);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files that tend to time share: notes that are not set twice, and spans of time. */
#ifndef WI_POOL_TEND_H
#define WI_POOL_TEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "pool/pool.h"

/* Leaves a note on a connection for whoever has it next. */
static inline void wi_conn_note(struct weir_conn *c, uint32_t bits)
{
	if (!(wi_load_rlx(&c->notes) & bits))
		wi_or_seq(&c->notes, bits);
}

/*
 * It is to be closed, for this reason unless there was one before: at once if it is idle, else when
 * it is back. The keeper's thread.
 */
static inline void wi_conn_retire(struct weir_conn *c, weir_close why)
{
	if (!(wi_load_rlx(&c->notes) & WI_NOTE_RETIRE)) {
		wi_store_rlx(&c->why, why);
		wi_conn_note(c, WI_NOTE_RETIRE);
	}
	if (!(wi_load_rlx(&c->slot.lend) & 1))
		c->pool->sweep_wanted = true;
}

/* Whether something has lasted for ms, which is no span at all if it is 0. */
static inline bool wi_is_longer(int64_t since_ns, int64_t now_ns, int64_t ms)
{
	return ms > 0 && now_ns - since_ns >= ms * WI_MS;
}

/* So often it has been lent, since now, for all that is known. The keeper's thread. */
static inline void wi_conn_seen(struct weir_conn *c, uint64_t lend, int64_t now_ns)
{
	wi_store_rlx(&c->seen_ns, now_ns);
	/* [seen:R1] the time is there before the count is; pairs with A1. */
	wi_store_rel(&c->seen_lend, lend);
}

/* tend.c: a look at what is out and what is idle, and since when, and nothing more. Keeper's. */
void wi_tend_glance(struct weir_pool *pool, int64_t now_ns);

/* drain.c: what is out is looked at for the last time, as the pool is closed. */
void wi_drain_begin(struct weir_pool *pool, int64_t now_ns);
/* Tells what is out, if a closer has asked for that. */
void wi_drain_step(struct weir_pool *pool, int64_t now_ns);

/* leak.c: "thread 17 (checkout page)", and that it has ended. */
void wi_leak_say_holder(struct wi_text *t, struct weir_conn *c, uint64_t lend);
/* A connection that is out, looked at by the keeper. */
void wi_leak_tend(struct weir_conn *c, int64_t now_ns);
/* What is lent to threads that have ended, if any has since the last look. Keeper's thread. */
void wi_leak_mourn(struct weir_pool *pool, int64_t now_ns);
/* Notes on slots whose next checkouts are to leave their stacks. Keeper's thread. */
void wi_leak_ask_for_stacks(struct weir_pool *pool, int64_t now_ns);
/* The same for one that is about to be idle. Keeper's thread. */
void wi_leak_ready(struct weir_conn *c);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections that are out for too long: told, and, where that is wished, reclaimed. Nothing of
 * this is on anybody's path: the keeper looks at who is out while it tends to what time does
 * (tend.c).
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "pool/pool.h"
#include "pool/tend.h"

static void leaked(struct weir_conn *c, int64_t now_ns)
{
	struct weir_pool *pool = c->pool;
	const char *tag = wi_load_rlx(&c->tag);
	const struct wi_seat *lender = wi_load_rlx(&c->lender);

	c->leak_told = true;
	wi_add_rlx(&pool->leaks, 1);
	wi_pool_tell(pool, WEIR_EVENT_LEAK, "held for %lld ms by thread %d%s%s%s",
	             (long long)((now_ns - c->seen_ns) / WI_MS),
	             lender ? (int)wi_load_rlx(&lender->thread) : 0, tag ? " (" : "",
	             tag ? tag : "", tag ? ")" : "");
	if (pool->options.leak_action != WEIR_LEAK_RECLAIM)
		return;
	/*
	 * The holder keeps the object, so nothing is freed under it; the session and the capacity
	 * are taken back.
	 */
	wi_conn_note(c, WI_NOTE_CUT);
	/*
	 * The other half of the light fence between a checkin's let-go and its look at the notes.
	 */
	wi_bias_fence(&pool->core.bias);
	if (wi_load_seq(&c->slot.lend) != c->seen_lend) {
		wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_CUT); /* given back just now, after all */
		return;
	}
	pool->driver->cut(c->link);
	c->checked_ns = now_ns;
}

void wi_leak_tend(struct weir_conn *c, int64_t now_ns)
{
	struct weir_pool *pool = c->pool;

	if (!c->leak_told && wi_is_longer(c->seen_ns, now_ns, pool->options.leak_after_ms))
		leaked(c, now_ns);
	if ((wi_load_rlx(&c->notes) & WI_NOTE_CUT) && !c->cut_counted &&
	    wi_is_longer(c->checked_ns, now_ns, wi_busy_goodbye_ms(pool))) {
		c->cut_counted = true;
		pool->census.cut++;
	}
}

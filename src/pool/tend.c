/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What time does to connections. Nobody reads a clock at checkout or checkin: the keeper looks at
 * each slot's lending count now and then, and a count that has not moved since an earlier look says
 * for how long it has been idle or held. What it finds it writes as a note on the slot; whoever has
 * the slot next acts on it, and the idle ones it sweeps out itself.
 */
#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "pool/pool.h"

#define LONGEST_INTERVAL_MS 1000
#define SHORTEST_INTERVAL_MS 10

int64_t wi_tend_interval(const weir_options *o)
{
	const int64_t spans[] = {o->validate_after_ms, o->keepalive_ms, o->idle_timeout_ms,
	                         o->leak_after_ms, o->max_lifetime_ms};
	int64_t ms = LONGEST_INTERVAL_MS;

	for (size_t i = 0; i < WI_ARRAY_LEN(spans); i++)
		if (spans[i] > 0 && spans[i] / 4 < ms)
			ms = spans[i] / 4;
	return (ms > SHORTEST_INTERVAL_MS ? ms : SHORTEST_INTERVAL_MS) * WI_MS;
}

void wi_tend_first(struct weir_conn *c, int64_t now_ns, bool fresh)
{
	uint64_t lend = wi_load_rlx(&c->slot.lend);

	/* A check by the keeper is no use: through one, the idle time goes on. */
	if (fresh || lend != c->seen_lend)
		c->seen_ns = now_ns;
	c->seen_lend = lend;
	c->checked_ns = now_ns;
}

static void note(struct weir_conn *c, uint32_t bits)
{
	if (!(wi_load_rlx(&c->notes) & bits))
		wi_or_seq(&c->notes, bits);
}

static bool longer_than(int64_t since_ns, int64_t now_ns, int64_t ms)
{
	return ms > 0 && now_ns - since_ns >= ms * WI_MS;
}

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
	note(c, WI_NOTE_CUT);
	/*
	 * The other half of the light fence between a checkin's let-go and its look at the notes.
	 */
	pool->core.world->fence_heavy();
	if (wi_load_seq(&c->slot.lend) != c->seen_lend) {
		wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_CUT); /* given back just now, after all */
		return;
	}
	pool->driver->cut(c->link);
	c->checked_ns = now_ns;
}

static void tend_lent(struct weir_conn *c, int64_t now_ns)
{
	struct weir_pool *pool = c->pool;

	if (!c->leak_told && longer_than(c->seen_ns, now_ns, pool->options.leak_after_ms))
		leaked(c, now_ns);
	if ((wi_load_rlx(&c->notes) & WI_NOTE_CUT) && !c->cut_counted &&
	    longer_than(c->checked_ns, now_ns, wi_busy_goodbye_ms(pool))) {
		c->cut_counted = true;
		pool->census.cut++;
	}
}

static void tend_idle(struct weir_conn *c, int64_t now_ns, uint32_t *above_min)
{
	struct weir_pool *pool = c->pool;
	int64_t proof_ns = c->seen_ns > c->checked_ns ? c->seen_ns : c->checked_ns;

	if (wi_load_rlx(&c->notes) & WI_NOTE_RETIRE) {
		/* noted while it was lent, and came back without seeing it */
		pool->sweep_wanted = true;
		return;
	}
	if (wi_load_rlx(&c->notes) & WI_NOTE_OVERFLOW && wi_pool_total(pool) > pool->max) {
		/* opened for somebody who did not wait for it */
		wi_store_rlx(&c->why, WEIR_CLOSE_OVERFLOW);
		note(c, WI_NOTE_RETIRE);
		pool->sweep_wanted = true;
		return;
	}
	if (*above_min > 0 && longer_than(c->seen_ns, now_ns, pool->options.idle_timeout_ms)) {
		(*above_min)--;
		wi_store_rlx(&c->why, WEIR_CLOSE_IDLE);
		note(c, WI_NOTE_RETIRE);
		pool->sweep_wanted = true;
	} else if (longer_than(proof_ns, now_ns, pool->options.keepalive_ms)) {
		note(c, WI_NOTE_PING);
		pool->sweep_wanted = true;
	} else if (longer_than(proof_ns, now_ns, pool->options.validate_after_ms)) {
		note(c, WI_NOTE_CHECK);
	}
}

static void retire(struct weir_conn *c)
{
	wi_store_rlx(&c->why, WEIR_CLOSE_EXPIRED);
	note(c, WI_NOTE_RETIRE);
	c->pool->sweep_wanted = true;
}

/* Whether the pool would miss the connection: then another is opened first, where there is room. */
static bool would_be_missed(const struct weir_pool *pool)
{
	uint64_t lent, returned;
	uint32_t ready = pool->census.n[WI_READY];

	wi_core_sums(&pool->core, &lent, &returned);
	return ready <= (uint32_t)pool->options.pool_min || ready <= lent - returned;
}

/*
 * One at a time: the one that expired first is replaced, and the next one's turn comes when it is
 * gone.
 */
static void retire_expired(struct weir_pool *pool, struct weir_conn *first)
{
	/* Demand has taken the room that was meant for the replacement: break before make. */
	if (pool->replacing && wi_pool_total(pool) >= pool->max && !wi_open_is_under_way(pool))
		pool->replacing = false;
	if (pool->retiring && !pool->replacing) {
		retire(pool->retiring); /* the replacement is there, or cannot be */
		/*
		 * One that is lent goes when its holder is done, and the others do not wait for
		 * that.
		 */
		if (wi_load_rlx(&pool->retiring->slot.lend) & 1)
			pool->retiring = NULL;
	}
	if (pool->retiring || !first)
		return;
	pool->retiring = first;
	pool->replacing = would_be_missed(pool) && wi_pool_total(pool) < pool->max &&
	                  wi_load_rlx(&pool->breaker.state) == WI_BREAKER_CLOSED;
	if (!pool->replacing)
		retire(first);
}

void wi_tend(struct weir_pool *pool, int64_t now_ns)
{
	struct weir_conn *expired = NULL;
	uint32_t min = (uint32_t)pool->options.pool_min;
	uint32_t ready = pool->census.n[WI_READY] - pool->census.cut;
	uint32_t above_min = ready > min ? ready - min : 0;

	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];
		uint64_t lend;

		if (c->life != WI_READY || c->in_hand)
			continue;
		lend = wi_load_rlx(&c->slot.lend);
		if (lend != c->seen_lend) {
			c->seen_lend = lend;
			c->seen_ns = now_ns;
			c->leak_told = false;
		}
		if (lend & 1)
			tend_lent(c, now_ns);
		else
			tend_idle(c, now_ns, &above_min);
		if (now_ns >= c->expires_ns && !(wi_load_rlx(&c->notes) & WI_NOTE_RETIRE) &&
		    (!expired || c->expires_ns < expired->expires_ns))
			expired = c;
	}
	retire_expired(pool, expired);
}

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
#include "pool/size.h"
#include "pool/tend.h"

#define LONGEST_INTERVAL_MS 1000
#define SHORTEST_INTERVAL_MS 10

int64_t wi_tend_interval(const weir_options *o)
{
	const int64_t spans[] = {o->validate_after_ms, o->keepalive_ms, o->idle_timeout_ms,
	                         o->leak_after_ms, o->max_lifetime_ms};
	int64_t ms = LONGEST_INTERVAL_MS;

	if (o->look_after_ms > 0 && o->look_after_ms < ms)
		ms = o->look_after_ms;
	for (size_t i = 0; i < WI_ARRAY_LEN(spans); i++)
		if (spans[i] > 0 && spans[i] / 4 < ms)
			ms = spans[i] / 4;
	return (ms > SHORTEST_INTERVAL_MS ? ms : SHORTEST_INTERVAL_MS) * WI_MS;
}

void wi_tend_first(struct weir_conn *c, int64_t now_ns, bool fresh)
{
	uint64_t lend = wi_load_rlx(&c->slot.lend);

	/* A check by the keeper is no use: through one, the idle time goes on. */
	if (fresh || lend != wi_load_rlx(&c->seen_lend))
		wi_conn_seen(c, lend, now_ns);
	c->checked_ns = now_ns;
	wi_leak_ready(c);
}

/*
 * Of more than are kept: idle for long enough. Where what is kept was measured, they need not be
 * idle for long, and hardly ever are, as each thread goes on using its own; they were opened for a
 * reason that the measure will know of soon.
 */
static bool is_spare(const struct weir_conn *c, int64_t now_ns)
{
	const struct weir_pool *pool = c->pool;

	return wi_is_longer(wi_load_rlx(&c->seen_ns), now_ns, pool->options.idle_timeout_ms) ||
	       (wi_adapts(pool) && wi_is_longer(c->born_ns, now_ns, WI_ADAPT_YOUNG_MS));
}

static void tend_idle(struct weir_conn *c, int64_t now_ns, uint32_t *above_min)
{
	struct weir_pool *pool = c->pool;

	if (wi_load_rlx(&c->notes) & WI_NOTE_RETIRE) {
		/* noted while it was lent, and came back without seeing it */
		pool->sweep_wanted = true;
		return;
	}
	if (wi_load_rlx(&c->notes) & WI_NOTE_OVERFLOW && wi_pool_living(pool) > wi_pool_max(pool)) {
		/* opened for somebody who did not wait for it */
		wi_conn_retire(c, WEIR_CLOSE_OVERFLOW);
		return;
	}
	if (*above_min > 0 && is_spare(c, now_ns)) {
		(*above_min)--;
		wi_conn_retire(c, WEIR_CLOSE_IDLE);
	} else {
		wi_health_tend(c, now_ns);
	}
}

/* A count that has moved. */
static void note_move(struct weir_conn *c, uint64_t lend, int64_t now_ns)
{
	if (lend == wi_load_rlx(&c->seen_lend))
		return;
	wi_conn_seen(c, lend, now_ns);
	c->leak_told = false;
}

void wi_tend_glance(struct weir_pool *pool, int64_t now_ns)
{
	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];
		uint64_t lend = wi_load_rlx(&c->slot.lend);

		if (c->life != WI_READY || c->in_hand)
			continue;
		note_move(c, lend, now_ns);
	}
}

void wi_tend(struct weir_pool *pool, int64_t now_ns)
{
	struct weir_conn *expired = NULL;
	uint32_t min = wi_pool_kept(pool);
	uint32_t ready = wi_pool_staying(pool);
	uint32_t above_min = ready > min ? ready - min : 0;

	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];
		uint64_t lend;

		if (c->life != WI_READY || c->in_hand)
			continue;
		lend = wi_load_rlx(&c->slot.lend);
		note_move(c, lend, now_ns);
		wi_health_stand(c);
		if (lend & 1)
			wi_leak_tend(c, now_ns);
		else
			tend_idle(c, now_ns, &above_min);
		if (now_ns >= c->expires_ns && !(wi_load_rlx(&c->notes) & WI_NOTE_RETIRE) &&
		    (!expired || c->expires_ns < expired->expires_ns))
			expired = c;
	}
	wi_lifetime_retire(pool, expired, now_ns);
	wi_leak_ask_for_stacks(pool, now_ns);
	wi_timed_ask(pool, now_ns);
}

uint32_t wi_pool_out_long(const struct weir_pool *pool, int64_t since_ns)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		const struct weir_conn *c = &pool->conns[i];
		uint64_t lend = wi_load_rlx(&c->slot.lend);

		n += c->life == WI_READY && lend & 1 && lend == wi_load_rlx(&c->seen_lend) &&
		     wi_load_rlx(&c->seen_ns) <= since_ns;
	}
	return n;
}

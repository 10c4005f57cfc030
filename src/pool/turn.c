/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pool as a keeper's job. A turn: take in what users gave back, step what is due, look at the
 * clock's affairs, sweep out what is noted, open what is wanted, show the census. Everything the
 * keeper does to a pool begins here or in conn_ready.
 */
#include <sys/epoll.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "pool/busy.h"
#include "pool/hook.h"
#include "pool/pool.h"
#include "pool/size.h"
#include "pool/tend.h"

/* How soon the keeper looks again where nobody rings: a closed pool's slots on their way. */
#define LAST_LOOK_NS (20 * WI_MS)
/* The same where all are in users' hands, who ring when they give them back. */
#define HELD_LOOK_NS (200 * WI_MS)

static void conn_ready(struct wi_watch *watch, uint32_t events)
{
	struct weir_conn *c = WI_CONTAINER_OF(watch, struct weir_conn, watch);
	int64_t now_ns = c->pool->core.world->now();

	(void)events;
	switch (c->life) {
	case WI_CONNECTING:
		wi_way_step(c, now_ns);
		return;
	case WI_SETTLING:
		wi_settle_step(c, now_ns);
		return;
	case WI_READY:
		/*
		 * The server has gone from a reclaimed connection: its place is free, though its
		 * holder still holds it.
		 */
		if ((wi_load_rlx(&c->notes) & WI_NOTE_CUT) && !c->cut_counted) {
			c->cut_counted = true;
			c->pool->census.cut++;
			c->pool->sweep_wanted = true; /* or it is idle by now */
			return;
		}
		/*
		 * The other side has ended it, or so it seems: nobody uses it before somebody has
		 * looked.
		 */
		wi_or_acq_rel(&c->notes, WI_NOTE_SUSPECT);
		c->pool->sweep_wanted = true;
		return;
	case WI_CLOSING:
		wi_conn_close_step(c, now_ns);
		return;
	case WI_EMPTY:
	case WI_RESOLVING:
	case WI_LIVES:
		return;
	}
}

static void step(struct weir_conn *c, int64_t now_ns)
{
	switch (c->life) {
	case WI_RESOLVING:
	case WI_CONNECTING:
		wi_way_step(c, now_ns);
		return;
	case WI_SETTLING:
		wi_settle_step(c, now_ns);
		return;
	case WI_CLOSING:
		wi_conn_close_step(c, now_ns);
		return;
	case WI_EMPTY:
	case WI_READY:
	case WI_LIVES:
		return;
	}
}

/* A goodbye that epoll had no room for: looked at now and then instead. */
static bool is_unwatched_goodbye(const struct weir_conn *c)
{
	return c->life == WI_CLOSING && c->watch.fd < 0;
}

/* When a slot in hand wants its next step though its descriptor is quiet. */
static int64_t due_of(const struct weir_conn *c)
{
	int64_t due = c->deadline_ns, own = WI_FOREVER;

	if (c->link && c->errand != WI_DO_HOOK &&
	    (c->life == WI_CONNECTING || c->life == WI_SETTLING))
		own = c->pool->driver->due(c->link);
	if (wi_busy_due(c) < due)
		due = wi_busy_due(c);
	return own < due ? own : due;
}

static bool wants_step(const struct weir_conn *c, int64_t now_ns)
{
	return c->life == WI_RESOLVING || is_unwatched_goodbye(c) || due_of(c) <= now_ns ||
	       wi_busy_is_rung(c) || wi_hook_is_rung(c);
}

static void step_due(struct weir_pool *pool, int64_t now_ns)
{
	struct weir_conn *c, *next;

	/* A step may take c off the list; it puts others on only at the front. */
	for (c = wi_slot_first_in_hand(pool); c; c = next) {
		next = wi_slot_next_in_hand(c);
		if (wants_step(c, now_ns))
			step(c, now_ns);
	}
}

static bool is_noted(void *arg, uint32_t slot)
{
	struct weir_pool *pool = arg;
	const uint32_t mine = WI_NOTE_SUSPECT | WI_NOTE_RETIRE | WI_NOTE_DISCARD | WI_NOTE_PING |
	                      WI_NOTE_CUT | WI_NOTE_VERIFY;

	return wi_load_rlx(&pool->closed) || (wi_load_rlx(&pool->conns[slot].notes) & mine);
}

static void swept(void *arg, uint32_t slot)
{
	struct weir_pool *pool = arg;

	wi_settle_returned(&pool->conns[slot]);
}

static void take_in(struct weir_pool *pool)
{
	struct weir_conn *c, *next;

	for (c = wi_inbox_take_all(pool); c; c = next) {
		uint32_t n = wi_load_rlx(&c->inbox_next);

		next = n ? &pool->conns[n] : NULL;
		wi_settle_returned(c);
	}
}

/* The pool is closed: what is being opened is given up, what is idle is closed. */
static void shut(struct weir_pool *pool)
{
	struct weir_conn *c, *next;

	for (c = wi_slot_first_in_hand(pool); c; c = next) {
		next = wi_slot_next_in_hand(c);
		if (c->life == WI_RESOLVING || c->life == WI_CONNECTING || c->life == WI_SETTLING)
			wi_conn_close(c, WEIR_CLOSE_SHUTDOWN);
		else if (c->life == WI_CLOSING)
			wi_conn_close_soon(c);
	}
	wi_core_sweep(&pool->core, is_noted, swept, pool);
}

static void show_breaker(struct weir_pool *pool)
{
	bool closed = wi_load_rlx(&pool->breaker.state) == WI_BREAKER_CLOSED;

	if (closed != pool->breaker_was_closed)
		wi_store_rlx(&pool->breaker_since_ns, pool->core.world->now());
	pool->breaker_was_closed = closed;
	wi_store_rlx(&pool->breaker_next_ns, wi_breaker_due(&pool->breaker));
}

static void show(struct weir_pool *pool)
{
	const struct wi_census *s = &pool->census;
	uint32_t total = wi_pool_total(pool);

	for (int i = 0; i < WI_LIVES; i++)
		wi_store_rlx(&pool->shown[i], s->n[i]);
	wi_store_rlx(&pool->shown_fresh, s->fresh);
	wi_store_rlx(&pool->shown_cut, s->cut);
	show_breaker(pool);
	if (total > 0)
		wi_store_rlx(&pool->missed, false);
	wi_store_rlx(&pool->core.waitq.members, total);
	wi_store_rlx(&pool->alive, s->n[WI_READY] + s->n[WI_SETTLING] - s->fresh - s->cut);
	wi_store_seq(&pool->demand, total < wi_pool_limit(pool));
}

/*
 * Nothing is open, and the breaker says that nothing will be soon: waiting is pointless, and the
 * cause is known. After show, so that who comes to wait later sees it himself.
 */
static void refuse_the_hopeless(struct weir_pool *pool)
{
	if (wi_load_rlx(&pool->breaker.state) != WI_BREAKER_CLOSED &&
	    wi_load_rlx(&pool->alive) == 0)
		wi_core_refuse(&pool->core, WI_REFUSE_BREAKER);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When to look again at what is left of a closed pool. */
static int64_t last_look(const struct weir_pool *pool, int64_t now_ns)
{
	if (!pool->census.n[WI_READY])
		return WI_FOREVER;
	for (uint32_t i = 1; i <= pool->n_conns; i++)
		if (pool->conns[i].life == WI_READY &&
		    !(wi_load_rlx(&pool->conns[i].slot.lend) & 1))
			return now_ns + LAST_LOOK_NS;
	return now_ns + HELD_LOOK_NS;
}

/* When the whole pool wants to be looked at again, whatever single slots want. */
static int64_t pool_due(struct weir_pool *pool, int64_t now_ns)
{
	/*
	 * A thread that ends may be carrying a slot from its cache to the free list, and does not
	 * ring.
	 */
	if (wi_load_rlx(&pool->closed))
		return last_look(pool, now_ns);
	if (wi_health_is_pending(pool))
		return now_ns;
	return earlier(earlier(pool->next_tend_ns, wi_alarm_due(pool)), wi_adapt_due(pool));
}

static int64_t next_due(struct weir_pool *pool, int64_t now_ns)
{
	int64_t due = earlier(pool_due(pool, now_ns), wi_resize_due(pool, now_ns));
	int64_t connect = wi_breaker_due(&pool->breaker);

	for (struct weir_conn *c = wi_slot_first_in_hand(pool); c; c = wi_slot_next_in_hand(c)) {
		due = earlier(due, due_of(c));
		if (is_unwatched_goodbye(c))
			due = earlier(due, now_ns + LAST_LOOK_NS);
	}
	if (connect > now_ns)
		due = earlier(due, connect);
	return pool->mourn_ns ? earlier(due, pool->mourn_ns) : due;
}

static int64_t turn(struct wi_job *job, int64_t now_ns)
{
	struct weir_pool *pool = WI_CONTAINER_OF(job, struct weir_pool, job);

	wi_hooks_run(pool);
	take_in(pool);
	step_due(pool, now_ns);
	wi_leak_mourn(pool, now_ns);
	wi_health_turn(pool);
	wi_epoch_turn(pool);
	if (wi_load_acq(&pool->closed)) {
		wi_drain_begin(pool, now_ns);
		shut(pool);
		wi_drain_step(pool, now_ns);
	} else {
		wi_pool_reload_step(pool, now_ns);
		wi_resize_step(pool);
		wi_evict_step(pool);
		wi_adapt_step(pool, now_ns);
		if (now_ns >= pool->next_tend_ns) {
			wi_tend(pool, now_ns);
			wi_exhausted_look(pool, now_ns);
			pool->next_tend_ns = now_ns + wi_tend_interval(&pool->options);
		}
		if (pool->sweep_wanted) {
			pool->sweep_wanted = false;
			wi_core_sweep(&pool->core, is_noted, swept, pool);
		}
		wi_open_some(pool, now_ns);
		wi_alarm_turn(pool, now_ns);
	}
	show(pool);
	/*
	 * Who came to wait before demand was shown did not ring: show, then look, against announce,
	 * then look at demand (both sequentially consistent), so one of the two sees the other.
	 */
	if (wi_waitq_is_waited(&pool->core.waitq) && !wi_load_rlx(&pool->closed)) {
		wi_open_some(pool, now_ns);
		show(pool);
	}
	refuse_the_hopeless(pool);
	return next_due(pool, now_ns);
}

static bool is_finished(struct wi_job *job)
{
	struct weir_pool *pool = WI_CONTAINER_OF(job, struct weir_pool, job);

	return wi_load_acq(&pool->closed) && pool->census.n[WI_EMPTY] == pool->n_conns &&
	       !wi_hooks_run(pool) && wi_load_seq(&pool->inside) == 0;
}

bool wi_pool_is_over(struct weir_pool *pool)
{
	return is_finished(&pool->job);
}

void wi_pool_slots_init(struct weir_pool *pool, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i <= to; i++) {
		struct weir_conn *c = &pool->conns[i];

		c->pool = pool;
		c->number = (uint16_t)i;
		c->watch.fd = -1;
		c->watch.ready = conn_ready;
		c->goodbye_fd = -1;
	}
}

void wi_pool_job_init(struct weir_pool *pool)
{
	pool->job.turn = turn;
	pool->job.is_finished = is_finished;
}

void wi_pool_suspect_all(struct weir_pool *pool)
{
	for (uint32_t i = 1; i <= pool->n_conns; i++)
		if (pool->conns[i].life == WI_READY)
			wi_or_acq_rel(&pool->conns[i].notes, WI_NOTE_SUSPECT);
	pool->sweep_wanted = true;
	wi_keeper_ring(pool->keeper);
}

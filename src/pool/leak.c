/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections that are out for too long, and those whose thread has ended: told, and, where that is
 * wished, reclaimed. Nothing of this is on anybody's path: the keeper looks at who is out while it
 * tends to what time does (tend.c), and when a thread that ends has rung for it (held.c).
 *
 * The two are reclaimed in different ways. Who holds one for too long may still use it: it keeps
 * the object, so that nothing is freed under it, and only the session and the capacity are taken
 * back. A thread that has ended uses nothing any more: its handle becomes stale and the connection
 * is closed as if it had been discarded, so that neither the slot nor a drain waits for ever. That
 * is wrong where it was handed to another thread before, which is why it has to be asked for.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/pool.h"
#include "pool/tend.h"
#include "pool/warm.h"

/* After a leak every checkout of the pool is sampled for so long. */
#define STACKS_AFTER_LEAK_MS 60000
/* A thread that ends leaves its seats a moment before the kernel forgets it: looked at again. */
#define MOURN_AGAIN_MS 5
/* A process whose first thread has ended keeps its number: then this long is long enough. */
#define MOURN_MOST_MS 1000

static const char *tag_of(struct weir_conn *c)
{
	const char *tag = wi_load_rlx(&c->tag);

	return tag ? tag : "";
}

void wi_leak_say_holder(struct wi_text *t, struct weir_conn *c, uint64_t lend)
{
	const struct wi_seat *lender = wi_load_rlx(&c->lender);
	int32_t thread = lender ? wi_load_rlx(&lender->thread) : 0;
	bool ended = wi_held_is_orphan(c, lend, &thread);
	const char *tag = tag_of(c);

	wi_text_add(t, "thread %d%s%s%s%s", (int)thread, tag[0] ? " (" : "", tag, tag[0] ? ")" : "",
	            ended ? ", which has ended" : "");
}

/* ---- held for too long ---- */

static void reclaim(struct weir_conn *c, int64_t now_ns)
{
	struct weir_pool *pool = c->pool;

	/*
	 * The holder keeps the object, so nothing is freed under it; the session and the capacity
	 * are taken back.
	 */
	wi_conn_note(c, WI_NOTE_CUT);
	/*
	 * The other half of the light fence between a checkin's let-go and its look at the notes.
	 */
	wi_bias_fence(&pool->core.bias);
	if (wi_load_seq(&c->slot.lend) != wi_load_rlx(&c->seen_lend)) {
		wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_CUT); /* given back just now, after all */
		return;
	}
	pool->driver->cut(c->link);
	c->checked_ns = now_ns;
}

static void leaked(struct weir_conn *c, int64_t now_ns)
{
	struct weir_pool *pool = c->pool;
	char words[WEIR_ERROR_TEXT];
	struct wi_text t;

	c->leak_told = true;
	wi_add_rlx(&pool->leaks, 1);
	wi_text_init(&t, words, sizeof(words));
	wi_text_add(&t, "held for %lld ms by ",
	            (long long)((now_ns - wi_load_rlx(&c->seen_ns)) / WI_MS));
	wi_leak_say_holder(&t, c, wi_load_rlx(&c->seen_lend));
	wi_held_say_stack(&t, c, wi_load_rlx(&c->seen_lend));
	wi_pool_tell(pool, WEIR_EVENT_LEAK, "%s", words);
	pool->stacks_until_ns = wi_deadline_after(now_ns, STACKS_AFTER_LEAK_MS);
	if (pool->options.leak_action == WEIR_LEAK_RECLAIM)
		reclaim(c, now_ns);
}

void wi_leak_tend(struct weir_conn *c, int64_t now_ns)
{
	struct weir_pool *pool = c->pool;

	if (!c->leak_told &&
	    wi_is_longer(wi_load_rlx(&c->seen_ns), now_ns, pool->options.leak_after_ms))
		leaked(c, now_ns);
	if ((wi_load_rlx(&c->notes) & WI_NOTE_CUT) && !c->cut_counted &&
	    wi_is_longer(c->checked_ns, now_ns, wi_busy_goodbye_ms(pool))) {
		c->cut_counted = true;
		pool->census.cut++;
	}
}

/* ---- whose thread has ended ---- */

static bool is_gone(int32_t thread)
{
	int saved = errno;
	bool gone = tgkill(getpid(), thread, 0) != 0 && errno == ESRCH;

	errno = saved;
	return gone;
}

/* As if its thread had discarded it. Whoever gives the handle back from now on is told. */
static void take_back(struct weir_conn *c, uint64_t lend)
{
	if (!wi_conn_let_go(c, lend))
		return; /* given back just now, by another thread */
	wi_conn_unload(c);
	/* when it came back is nobody's business */
	wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_STAMP);
	wi_conn_retire(c, WEIR_CLOSE_RECLAIMED);
	wi_settle_returned(c);
}

static void mourn(struct weir_conn *c, uint64_t lend)
{
	struct weir_pool *pool = c->pool;
	char words[WEIR_ERROR_TEXT];
	struct wi_text t;

	wi_held_told(c, lend);
	wi_add_rlx(&pool->orphans, 1);
	wi_text_init(&t, words, sizeof(words));
	wi_text_add(&t, "not given back by ");
	wi_leak_say_holder(&t, c, lend);
	wi_held_say_stack(&t, c, lend);
	wi_pool_tell(pool, WEIR_EVENT_LEAK, "%s", words);
	pool->stacks_until_ns = wi_deadline_after(pool->core.world->now(), STACKS_AFTER_LEAK_MS);
	if (pool->options.dead_thread_action == WEIR_DEAD_THREAD_RECLAIM)
		take_back(c, lend);
}

void wi_leak_mourn(struct weir_pool *pool, int64_t now_ns)
{
	bool again = false;

	if (!wi_load_rlx(&pool->bereaved) && (!pool->mourn_ns || now_ns < pool->mourn_ns))
		return;
	(void)wi_swap_seq(&pool->bereaved, 0); /* sees what was noted before it was set */
	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];
		uint64_t lend = wi_load_rlx(&c->slot.lend);
		int32_t thread;

		if (c->life != WI_READY || c->in_hand || !(lend & 1) ||
		    !wi_held_is_orphan(c, lend, &thread) || wi_held_was_told(c, lend))
			continue;
		if (is_gone(thread) || wi_held_ended_ago_ms(c, now_ns) >= MOURN_MOST_MS)
			mourn(c, lend);
		else
			again = true;
	}
	pool->mourn_ns = again ? wi_deadline_after(now_ns, MOURN_AGAIN_MS) : 0;
}

/* ---- stacks ---- */

/* The next idle one of those that are ready: its next checkout leaves its stack. */
static void ask_one(struct weir_pool *pool)
{
	for (uint32_t i = 0; i < pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[1 + pool->next_sample++ % pool->n_conns];

		if (c->life != WI_READY || c->in_hand || (wi_load_rlx(&c->slot.lend) & 1))
			continue;
		wi_conn_note(c, WI_NOTE_STACK);
		return;
	}
}

void wi_leak_ask_for_stacks(struct weir_pool *pool, int64_t now_ns)
{
	bool every = pool->options.leak_stack == WEIR_LEAK_STACK_ALWAYS ||
	             now_ns < pool->stacks_until_ns;

	if (!pool->stacks)
		return;
	wi_store_rlx(&pool->stack_every, every);
	if (!every)
		ask_one(pool);
	for (uint32_t i = 1; every && i <= pool->n_conns; i++)
		wi_leak_ready(&pool->conns[i]);
}

void wi_leak_ready(struct weir_conn *c)
{
	if (wi_load_rlx(&c->pool->stack_every) && (c->life == WI_READY || c->life == WI_SETTLING))
		wi_conn_note(c, WI_NOTE_STACK);
}

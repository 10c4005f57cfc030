/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a connection lives. In order of their price:
 *
 *	watch   the keeper's epoll tells of the end of every open connection; free (turn.c)
 *	look    poll(2) without waiting, and what libpq has to say: no checkout that looks hands out a
 *	        connection whose end has arrived; some 0.3 us
 *	ask     an empty query there and back, within check_timeout_ms and the caller's deadline
 *
 * The keeper notes on a slot what its next taker has to do: a look beyond look_after_ms of
 * idleness, a question beyond validate_after_ms; beyond keepalive_ms it asks by itself. With
 * pre_ping the note stays on every slot for good (`standing`), so that each checkout leaves the
 * warm path, and the warm path itself knows nothing of it.
 */
#include "base/atomic.h"
#include "base/clock.h"
#include "pool/pool.h"
#include "pool/tend.h"

/* A caller with less time than this is content with a look, unless it asked for pre_ping=ping. */
#define ASK_LEAST_NS (100 * WI_MS)

uint32_t wi_health_standing(const weir_options *options)
{
	switch ((weir_pre_ping)options->pre_ping) {
	case WEIR_PRE_PING_LOOK:
		return WI_NOTE_LOOK;
	case WEIR_PRE_PING_PING:
		return WI_NOTE_CHECK;
	case WEIR_PRE_PING_OFF:
		break;
	}
	return 0;
}

/* ---- by who has taken it ---- */

/* Its end was met: the keeper will find the same, with the words. */
static void suspect(struct weir_conn *c)
{
	wi_or_acq_rel(&c->notes, WI_NOTE_SUSPECT);
}

bool wi_health_look(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	struct wi_failure f;

	if (!pool->driver->peek(c->link, &f)) {
		suspect(c);
		return false;
	}
	wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_LOOK | pool->standing);
	return true;
}

/*
 * How long a caller may ask: no longer than the option says, and no longer than half of what it has
 * left, so that there is time for another connection; 0: not at all.
 */
static int64_t time_to_ask(const struct weir_pool *pool, int64_t now_ns, int64_t deadline_ns)
{
	int64_t left_ns = deadline_ns - now_ns, most_ns = pool->options.check_timeout_ms * WI_MS;

	if (left_ns < (pool->standing & WI_NOTE_CHECK ? WI_MS : ASK_LEAST_NS))
		return 0;
	return left_ns / 2 < most_ns ? left_ns / 2 : most_ns;
}

/* Asks; the answer is in the notes. */
static void ask(struct weir_conn *c, int64_t deadline_ns)
{
	struct weir_pool *pool = c->pool;
	int64_t now_ns = pool->core.world->now();
	int64_t time_ns = time_to_ask(pool, now_ns, deadline_ns);
	enum wi_step step;
	struct wi_failure f;

	if (!time_ns)
		return; /* the look has to do */
	wi_store_rlx(&c->asked_ns, now_ns);
	if (!pool->driver->send(c->link, "", &f)) {
		suspect(c);
		return;
	}
	step = wi_conn_await(c, NULL, now_ns + time_ns, &f);
	if (step == WI_STEP_DONE) {
		wi_store_rlx(&c->proven_ns, pool->core.world->now());
		wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_CHECK | pool->standing);
	} else if (step == WI_STEP_FAILED && f.fault != WI_FAULT_SQL) {
		suspect(c);
	} else if (step != WI_STEP_FAILED && time_ns < pool->options.check_timeout_ms * WI_MS) {
		/* It was the caller who had no more time: its answer is still owed. */
		wi_or_acq_rel(&c->notes, WI_NOTE_ASKED);
	} else {
		wi_store_rlx(&c->why, WEIR_CLOSE_UNHEALTHY);
		wi_or_acq_rel(&c->notes, WI_NOTE_RETIRE);
	}
}

void wi_health_check(struct weir_conn *c, uint32_t notes, int64_t deadline_ns)
{
	if (wi_health_look(c) && notes & WI_NOTE_CHECK)
		ask(c, deadline_ns);
}

/* ---- by the keeper, as time goes by ---- */

int64_t wi_health_deadline(const struct weir_conn *c)
{
	return wi_deadline_after(wi_load_rlx(&c->asked_ns), c->pool->options.check_timeout_ms);
}

void wi_health_tend(struct weir_conn *c, int64_t now_ns)
{
	const weir_options *o = &c->pool->options;
	int64_t proof_ns = c->seen_ns > c->checked_ns ? c->seen_ns : c->checked_ns;

	if (wi_is_longer(proof_ns, now_ns, o->keepalive_ms)) {
		wi_conn_note(c, WI_NOTE_PING);
		c->pool->sweep_wanted = true;
	} else if (wi_is_longer(proof_ns, now_ns, o->validate_after_ms)) {
		wi_conn_note(c, WI_NOTE_CHECK);
	} else if (wi_is_longer(proof_ns, now_ns, o->look_after_ms)) {
		wi_conn_note(c, WI_NOTE_LOOK);
	}
}

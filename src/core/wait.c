/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting in line for a slot: announce, look, sleep, and look again when nudged, now and then, and
 * when patience ends. core.c says why nobody sleeps while a slot is idle (I2).
 */
#include "base/assert.h"
#include "base/atomic.h"
#include "core/core.h"
#include "core/desk.h"
#include "core/find.h"

/* Between the looks of one who was nudged and found others faster: first, and twice each time. */
#define LOOK_AGAIN_NS INT64_C(32000)
/* Between the looks of one who is overdue: first, and twice each time, */
#ifndef WI_LOOK_OVERDUE_NS
#define WI_LOOK_OVERDUE_NS INT64_C(100000000)
#endif
/* but however long it has waited, it looks about so often. */
#define LOOK_AT_LEAST_NS INT64_C(500000000)

/* What one who waits looks through, while it holds the bias revoked. */
static uint32_t look(struct wi_core *core, struct wi_seat *mine)
{
	uint32_t slot = wi_cache_take_shared(mine);

	if (!slot)
		slot = wi_core_pop(core);
	return slot ? slot : wi_core_search(core, mine, wi_cache_steal);
}

static void join_line(struct wi_core *core, struct wi_seat *mine, int64_t now_ns)
{
	wi_waitq_announce(&core->waitq, mine, now_ns);
	WI_YIELD("core.wait.announced");
	wi_core_revoke(core);
}

static bool is_something_idle(struct wi_core *core)
{
	return !wi_freelist_is_empty(&core->list[0]) || !wi_freelist_is_empty(&core->list[1]) ||
	       wi_core_search(core, NULL, wi_core_is_filled);
}

/*
 * While somebody had the token, others were not nudged for what came back: now it is their turn. It
 * may be called with a slot in hand, and takes another one out only where a nudge cannot help. The
 * bias is held.
 */
static void pass_on(struct wi_core *core, struct wi_seat *mine)
{
	uint32_t slot;

	while (is_something_idle(core) && wi_waitq_has_waiter(&core->waitq)) {
		enum wi_nudge nudge = wi_waitq_nudge(&core->waitq);

		if (nudge == WI_NUDGE_NOBODY)
			continue; /* who waited has left, or another has come */
		if (nudge == WI_NUDGE_HELD && wi_waitq_has_overdue(&core->waitq) &&
		    (slot = look(core, mine)))
			wi_core_give(core, slot);
		return;
	}
}

/* had_token: at any time of this wait. */
static void leave_line(struct wi_core *core, struct wi_seat *mine, bool had_token)
{
	bool yielded = wi_waitq_leave(&core->waitq, mine);

	WI_YIELD("core.leave.left");
	if (yielded || had_token)
		pass_on(core, mine);
	wi_bias_release(&core->bias);
}

/*
 * A look found a slot. Withdraw; if something was granted meanwhile, one of the two goes on.
 */
static struct wi_outcome settle(struct wi_core *core, struct wi_seat *mine, uint32_t found)
{
	struct wi_outcome o = {WI_GRANTED, found};

	if (!wi_waitq_cancel(mine) && wi_waitq_outcome(mine).verdict == WI_GRANTED) {
		o = wi_waitq_outcome(mine);
		wi_core_give(core, found);
	}
	return o;
}

/* What one who waits keeps in mind. */
struct vigil {
	int64_t deadline_ns;
	int64_t patience_ns; /* when it may say that it is overdue */
	int64_t until_ns;    /* to sleep, if nothing comes */
	int64_t nap_ns;      /* between looks of its own; doubles with each */
	bool overdue;        /* it has said so */
	bool had_token;      /* at any time of this wait */
	bool slept;
};

static uint32_t nap_and_look(struct wi_core *core, struct wi_seat *mine, int64_t now_ns,
                             struct vigil *v)
{
	v->until_ns = now_ns + v->nap_ns;
	if (v->nap_ns < LOOK_AT_LEAST_NS)
		v->nap_ns *= 2;
	return look(core, mine);
}

/*
 * Its patience has ended: from here on slots are handed to it. It goes on looking now and then
 * nevertheless, as a giver may have been stopped before it could hand over what it pushed.
 */
static uint32_t turn_overdue(struct wi_core *core, struct wi_seat *mine, int64_t now_ns,
                             struct vigil *v)
{
	if (!v->overdue)
		wi_waitq_say_overdue(&core->waitq, mine);
	v->overdue = true;
	WI_YIELD("core.wait.overdue");
	(void)wi_waitq_yield_token(&core->waitq, mine);
	if (v->nap_ns < WI_LOOK_OVERDUE_NS)
		v->nap_ns = WI_LOOK_OVERDUE_NS;
	return nap_and_look(core, mine, now_ns, v);
}

/*
 * One turn of one who waits: looks if it is its turn to look, and says until when to sleep. A slot:
 * found it.
 */
static uint32_t take_turn(struct wi_core *core, struct wi_seat *mine, bool has_token,
                          int64_t now_ns, struct vigil *v)
{
	uint32_t slot = WI_SLOT_NONE;

	v->had_token = v->had_token || has_token;
	if (now_ns >= v->patience_ns)
		return now_ns >= v->until_ns || has_token ? turn_overdue(core, mine, now_ns, v)
		                                          : WI_SLOT_NONE;
	if (has_token) {
		slot = nap_and_look(core, mine, now_ns, v);
		if (!slot && core->on_short)
			core->on_short(core->on_short_arg); /* others were faster */
	}
	if (v->until_ns > v->patience_ns)
		v->until_ns = v->patience_ns;
	return slot;
}

/* Sleeps and looks until served, refused, or out of time (PENDING). */
static struct wi_outcome keep_vigil(struct wi_core *core, struct wi_seat *mine, struct vigil *v)
{
	for (;;) {
		struct wi_outcome o = wi_waitq_outcome(mine);
		/*
		 * What comes after this look wakes: a token that it does not see is not slept on.
		 */
		uint32_t word = wi_waitq_word(mine), found;
		int64_t now_ns;

		now_ns = core->world->now();
		if (o.verdict == WI_GRANTED && v->slept)
			wi_waitq_note_wake(&core->waitq, mine, now_ns);
		if (o.verdict != WI_PENDING || now_ns >= v->deadline_ns)
			return o;
		found = take_turn(core, mine, wi_waitq_word_has_token(word), now_ns, v);
		if (found)
			return settle(core, mine, found);
		v->slept = true;
		wi_waitq_park(&core->waitq, mine, word,
		              v->until_ns < v->deadline_ns ? v->until_ns : v->deadline_ns);
	}
}

/*
 * After announcing: a core that was shut, or suspended, before it could see this waiter refuses it
 * here.
 */
static bool refused_by_shut(struct wi_core *core, struct wi_seat *mine, struct wi_outcome *o)
{
	uint32_t reason = wi_load_seq(&core->shut);

	if (!reason)
		reason = wi_load_seq(&core->suspended);
	if (!reason || !wi_waitq_cancel(mine))
		return false; /* open, or granted or refused already: the vigil says so at once */
	*o = (struct wi_outcome){WI_REFUSED, reason};
	return true;
}

struct wi_outcome wi_core_wait(struct wi_core *core, struct wi_seat *mine, int64_t deadline_ns)
{
	int64_t since_ns = core->world->now();
	int64_t patience_ns = since_ns + wi_waitq_patience(&core->waitq);
	struct vigil v = {.deadline_ns = deadline_ns,
	                  .patience_ns = patience_ns,
	                  .until_ns = patience_ns,
	                  .nap_ns = LOOK_AGAIN_NS};
	struct wi_outcome o;
	uint32_t found;

	join_line(core, mine, since_ns);
	found = look(core, mine);
	if (found) {
		o = settle(core, mine, found);
	} else if (!refused_by_shut(core, mine, &o)) {
		if (core->on_short)
			core->on_short(core->on_short_arg);
		o = keep_vigil(core, mine, &v);
		if (o.verdict == WI_PENDING && !wi_waitq_cancel(mine))
			o = wi_waitq_outcome(mine); /* granted or refused at the last moment */
	}
	leave_line(core, mine, v.had_token);
	if (o.verdict == WI_PENDING && (found = wi_core_take(core, mine)))
		return (struct wi_outcome){WI_GRANTED, found}; /* the last look */
	return o;
}

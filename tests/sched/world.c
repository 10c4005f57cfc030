/* SPDX-License-Identifier: BSD-2-Clause */
/* The modelled world; world.h lists what is in it. */
#include "sched/world.h"

#include "base/assert.h"
#include "base/fork.h"
#include "base/world.h"
#include "sched/engine.h"

static struct fibre *me(void)
{
	return &sched_engine->fibre[sched_engine->current];
}

/* ---- sleep and wake ---- */

static void park(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	struct engine *e = sched_engine;
	struct fibre *f;

	if (e->alone)
		sched_fail("somebody alone goes to sleep");
	e->step++;
	memory_settle(e->current);
	engine_point();
	if (!memory_is(word, sizeof(*word), expected)) {
		engine_say("does not sleep: the word has changed");
		memory_woken(e->current, word);
		return;
	}
	if (deadline_ns <= e->clock)
		return;
	engine_say("sleeps on %s", memory_name(word));
	f = me();
	f->state = PARKED;
	f->word = word;
	f->since = e->clock;
	f->deadline = deadline_ns;
	engine_pick_next();
}

static void wake(_Atomic uint32_t *word)
{
	struct engine *e = sched_engine;

	if (e->alone)
		return;
	e->step++;
	memory_settle(e->current);
	engine_point();
	engine_say("wakes who sleeps on %s", memory_name(word));
	for (int i = 0; i < e->fibres; i++) {
		if (e->fibre[i].state == PARKED && e->fibre[i].word == word) {
			e->fibre[i].state = READY;
			memory_woken(i, word);
		}
	}
}

/* ---- time ---- */

/* A call that the compiler cannot look into keeps it from moving anything across. */
static void opaque(void)
{
	if (!sched_engine->alone)
		memory_settle(sched_engine->current);
}

static int64_t now(void)
{
	opaque();
	return sched_engine->clock++;
}

int64_t sched_now(void)
{
	return sched_engine->clock;
}

void sched_sleep_until(int64_t deadline_ns)
{
	static _Atomic uint32_t nothing;

	while (sched_now() < deadline_ns)
		park(&nothing, 0, deadline_ns);
}

void sched_await_until(bool (*until)(void *arg), void *arg, int64_t deadline_ns)
{
	struct engine *e = sched_engine;
	struct fibre *f;

	e->step++;
	engine_point();
	if (until(arg))
		return;
	f = me();
	f->state = BLOCKED;
	f->until = until;
	f->until_arg = arg;
	f->deadline = deadline_ns;
	engine_pick_next();
}

void sched_await(bool (*until)(void *arg), void *arg)
{
	sched_await_until(until, arg, INT64_MAX);
}

/* ---- fences ---- */

void sched_lose_membarrier(int after)
{
	sched_engine->membarriers = after;
}

/* membarrier(2): each processor fences at a moment of its own between begin and end of the call. */
static bool fence_heavy(void)
{
	struct engine *e = sched_engine;

	if (e->alone)
		return e->membarriers != 0;
	e->step++;
	engine_point();
	memory_fence(e->current);
	if (!e->membarriers) {
		engine_say("full fence: there is no heavy one");
		return false;
	}
	if (e->membarriers > 0)
		e->membarriers--;
	engine_say("heavy fence begins");
	for (int i = 0; i < e->fibres; i++) {
		if (i == e->current)
			continue;
		e->step++;
		engine_point();
		memory_fence_brought(i);
	}
	memory_fence(e->current);
	engine_say("heavy fence has been everywhere");
	return true;
}

const struct wi_world sched_world = {
	.park = park,
	.wake = wake,
	.fence_heavy = fence_heavy,
	.now = now,
};

/* ---- read sections ---- */

void sched_rcu_enter(void)
{
	if (sched_engine->alone)
		return;
	me()->reading++;
	sched_fence_light(); /* what liburcu has there */
}

void sched_rcu_leave(void)
{
	struct engine *e = sched_engine;

	if (e->alone)
		return;
	sched_fence_light();
	if (--me()->reading == 0) {
		e->step++;
		engine_point();
		me()->sections++;
	}
}

struct grace {
	uint64_t sections[FIBRES];
	unsigned reading;
};

static bool has_passed(void *arg)
{
	const struct grace *g = arg;

	for (int i = 0; i < sched_engine->fibres; i++)
		if ((g->reading >> i & 1) && sched_engine->fibre[i].sections == g->sections[i])
			return false;
	return true;
}

static void fence_everywhere(void)
{
	memory_fence(sched_engine->current);
	for (int i = 0; i < sched_engine->fibres; i++)
		memory_fence_brought(i);
	memory_fence(sched_engine->current);
}

void sched_rcu_wait(void)
{
	struct engine *e = sched_engine;
	struct grace g = {.reading = 0};

	if (e->alone)
		return;
	if (me()->reading)
		sched_fail("waits for a grace period inside a read section");
	fence_everywhere();
	for (int i = 0; i < e->fibres; i++) {
		g.reading |= (unsigned)(e->fibre[i].reading > 0) << i;
		g.sections[i] = e->fibre[i].sections;
	}
	engine_say("waits for a grace period");
	sched_await(has_passed, &g);
	fence_everywhere();
	engine_say("a grace period has passed");
}

/* ---- forks: there are none ---- */

_Atomic uint32_t wi_fork_epoch;
void (*_Atomic wi_fork_hook)(void);

/* ---- broken invariants ---- */

_Noreturn void wi_assert_failed(const char *what, const char *file, int line)
{
	sched_fail("broken invariant: %s (%s:%d)", what, file, line);
}

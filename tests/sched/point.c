/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Points: where a running thread may be stopped, where one that cannot go on gives way, and how
 * time passes. What may happen is listed here; choose.c says what does.
 */
#include <inttypes.h>

#include "sched/engine.h"

#define LONGEST 20000
/* When nobody has run for so long, every store has become visible. */
#define LONG_REST_NS 1000000

/* ---- what scenarios ask ---- */

int sched_self(void)
{
	return sched_engine->alone ? -1 : sched_engine->current;
}

bool sched_is_stopped(int i)
{
	return sched_engine->fibre[i].state == STOPPED;
}

bool sched_has_ended(int i)
{
	return sched_engine->fibre[i].state == ENDED;
}

bool sched_is_asleep(int i)
{
	return sched_engine->fibre[i].state == PARKED;
}

bool sched_anybody_stopped(void)
{
	for (int i = 0; i < sched_engine->fibres; i++)
		if (sched_is_stopped(i))
			return true;
	return false;
}

bool sched_hurried(void)
{
	return sched_engine->spent.ticks > 0;
}

bool sched_sleeps_on(const volatile void *word, int64_t *since_ns, int64_t *until_ns)
{
	for (int i = 0; i < sched_engine->fibres; i++) {
		const struct fibre *f = &sched_engine->fibre[i];

		if (f->state != PARKED || f->word != word)
			continue;
		*since_ns = f->since;
		*until_ns = f->deadline;
		return true;
	}
	return false;
}

void sched_search(bool on)
{
	sched_engine->searching = on;
	sched_note("%s", on ? "from here on" : "until here");
}

void sched_undivided(int steps)
{
	sched_engine->undivided = sched_engine->step + (uint32_t)steps;
}

/* ---- points ---- */

/* Without effect: what is true now may not be so at the next point. */
static bool can_run(int i)
{
	const struct fibre *f = &sched_engine->fibre[i];

	switch (f->state) {
	case READY:
		return true;
	case PARKED:
		return f->deadline <= sched_engine->clock;
	case BLOCKED:
		return f->deadline <= sched_engine->clock || f->until(f->until_arg);
	case ENDED:
	case STOPPED:
		break;
	}
	return false;
}

/* The earliest deadline of a sleeper; INT64_MAX: none. */
static int64_t next_deadline(void)
{
	struct engine *e = sched_engine;
	int64_t first = INT64_MAX;

	for (int i = 0; i < e->fibres; i++) {
		const struct fibre *f = &e->fibre[i];

		if ((f->state == PARKED || f->state == BLOCKED) && f->deadline < first)
			first = f->deadline;
	}
	return first;
}

static void tick(void)
{
	struct engine *e = sched_engine;

	e->clock = next_deadline();
	engine_say("---- time passes: it is %" PRId64, e->clock);
}

/* Adds what may happen besides: time, a wake for no reason. */
static int add_events(struct option *option, int n)
{
	struct engine *e = sched_engine;

	if (next_deadline() != INT64_MAX)
		option[n++] = (struct option){'t', 0, false};
	for (int i = 0; i < e->fibres && e->scene->bounds.wakes; i++)
		if (e->fibre[i].state == PARKED)
			option[n++] = (struct option){'w', (uint8_t)i, false};
	return n;
}

static void count_step(void)
{
	struct engine *e = sched_engine;
	uint64_t longest = e->scene->longest ? e->scene->longest : LONGEST;

	if (e->step > longest)
		sched_fail("no end after %" PRIu64 " steps", longest);
}

static bool nothing_to_choose(void)
{
	struct engine *e = sched_engine;

	if (e->mode == SEARCH)
		return !e->searching ||
		       (e->depth == e->planned && e->spent.total >= e->bound.total);
	return e->mode == REPLAY &&
	       (e->script_at == e->script_length || e->script[e->script_at].step > e->step);
}

/* The running thread is about to do something that others may notice. */
void engine_point(void)
{
	struct engine *e = sched_engine;

	count_step();
	if (e->step <= e->undivided)
		return;
	for (;;) {
		struct option option[OPTIONS_MAX], *o;
		int n = 0;

		if (nothing_to_choose())
			return;
		option[n++] = (struct option){'.', 0, true};
		for (int i = 0; i < e->fibres; i++)
			if (i != e->current && can_run(i))
				option[n++] = (struct option){'>', (uint8_t)i, false};
		n = add_events(option, n);
		if ((e->scene->stoppable >> e->current & 1) &&
		    e->spent.stops < e->scene->bounds.stops)
			option[n++] = (struct option){'z', 0, false};
		o = &option[engine_choose(option, n)];
		switch (o->kind) {
		case '>':
			engine_say("---- is stopped");
			fibre_switch(o->arg);
			return;
		case 't':
			tick();
			break;
		case 'w':
			engine_say("---- %s wakes for no reason", e->scene->thread[o->arg].name);
			e->fibre[o->arg].state = READY;
			break;
		case 'z':
			engine_say("---- stops for good");
			e->fibre[e->current].state = STOPPED;
			engine_pick_next();
			break;
		default:
			return;
		}
	}
}

void sched_pause(void)
{
	sched_engine->step++;
	engine_point();
}

void engine_alone(void (*what)(void))
{
	struct engine *e = sched_engine;
	int current = e->current;

	if (!what)
		return;
	e->alone = true;
	e->current = -1;
	what();
	e->alone = false;
	e->current = current;
}

static bool any(enum fibre_state state)
{
	for (int i = 0; i < sched_engine->fibres; i++)
		if (sched_engine->fibre[i].state == state)
			return true;
	return false;
}

/* Nobody can run: time passes, or it is the end. */
static void nobody_runs(void)
{
	struct engine *e = sched_engine;

	if (any(PARKED) || any(BLOCKED))
		engine_alone(e->scene->at_rest);
	if (next_deadline() != INT64_MAX) {
		if (next_deadline() - e->clock >= LONG_REST_NS)
			sched_settle();
		tick();
		return;
	}
	if ((any(PARKED) || any(BLOCKED)) && !any(STOPPED))
		sched_fail("all who are left sleep, and nobody will wake them");
	engine_back();
}

/* The running thread cannot go on: another does. Returns when the caller is let run again. */
void engine_pick_next(void)
{
	struct engine *e = sched_engine;

	e->step++; /* another point than the one before the thread went to sleep */
	count_step();
	for (;;) {
		struct option option[OPTIONS_MAX], *o;
		int n = 0;

		for (int i = 0; i < e->fibres; i++)
			if (can_run(i))
				option[n++] = (struct option){'>', (uint8_t)i, true};
		if (n == 0) {
			nobody_runs();
			continue;
		}
		n = add_events(option, n);
		o = &option[engine_choose(option, n)];
		if (o->kind == 't') {
			tick();
			continue;
		}
		if (o->kind == 'w') {
			e->fibre[o->arg].state = READY;
			continue;
		}
		if (e->current < 0)
			fibre_leave(o->arg);
		fibre_switch(o->arg);
		return;
	}
}

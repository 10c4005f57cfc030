/* SPDX-License-Identifier: BSD-2-Clause */
/* Which option is taken at a point: by order within bounds, by chance, or as a script says. */
#include <limits.h>
#include <string.h>

#include "sched/engine.h"

uint64_t engine_rng(void)
{
	struct engine *e = sched_engine;

	e->rng ^= e->rng >> 12;
	e->rng ^= e->rng << 25;
	e->rng ^= e->rng >> 27;
	return e->rng * UINT64_C(2685821657736338717);
}

uint32_t engine_below(uint32_t bound)
{
	return (uint32_t)((engine_rng() >> 32) * bound >> 32);
}

/* ---- choices ---- */

/* Which of the bounds an option counts against; NULL: none. */
static int *counter_of(struct sched_bounds *b, const struct option *o)
{
	if (o->free)
		return NULL;
	switch (o->kind) {
	case '>':
		return &b->switches;
	case 'r':
		return &b->looks;
	case 't':
		return &b->ticks;
	case 'w':
		return &b->wakes;
	case 'z':
		return &b->stops;
	default:
		return NULL;
	}
}

static bool is_affordable(const struct option *o)
{
	struct engine *e = sched_engine;
	int *spent = counter_of(&e->spent, o), *bound = counter_of(&e->bound, o);

	return !spent || (*spent < *bound && e->spent.total < e->bound.total);
}

static void pay(const struct option *o)
{
	int *spent = counter_of(&sched_engine->spent, o);

	if (spent) {
		++*spent;
		sched_engine->spent.total++;
	}
}

/* Options that can be paid for; the first one always can. */
static uint8_t affordable(const struct option *option, int n, struct option *can)
{
	uint8_t k = 0;

	for (int i = 0; i < n; i++)
		if (i == 0 || is_affordable(&option[i]))
			can[k++] = option[i];
	return k;
}

static int choose_in_search(const struct option *option, int n)
{
	struct engine *e = sched_engine;
	struct node *node = &e->node[e->depth];
	struct option can[OPTIONS_MAX];
	uint8_t k = affordable(option, n, can);

	if (k == 1 || !e->searching)
		return 0;
	if (e->depth == e->planned) {
		*node = (struct node){.step = e->step, .n = k};
		memcpy(node->option, can, sizeof(can));
		if (++e->planned == NODES_MAX)
			sched_fail("too many choices in one execution");
	}
	if (node->step != e->step || node->n != k)
		sched_fail("the program does not repeat itself (step %u, was %u)", e->step,
		           node->step);
	e->depth++;
	for (int i = 0; i < n; i++) {
		const struct option *o = &node->option[node->now];

		if (option[i].kind == o->kind && option[i].arg == o->arg)
			return i;
	}
	sched_fail("the program does not repeat itself (step %u)", e->step);
}

static int choose_in_replay(const struct option *option, int n)
{
	struct engine *e = sched_engine;
	const struct choice *c = &e->script[e->script_at];

	if (e->script_at == e->script_length || c->step > e->step)
		return 0;
	if (c->step < e->step)
		sched_fail("this does not replay: nothing to choose at step %u", c->step);
	for (int i = 1; i < n; i++) {
		if (option[i].kind == c->kind && option[i].arg == c->arg) {
			e->script_at++;
			return i;
		}
	}
	return 0;
}

/* The thread with the highest priority goes on; other things happen with small odds. */
static int choose_by_priority(const struct option *option, int n)
{
	struct engine *e = sched_engine;
	int best = 0, priority = INT_MIN;

	for (int i = 0; i < n; i++) {
		int who = option[i].kind == '>' ? option[i].arg : e->current;

		if (option[i].kind != '>' && option[i].kind != '.') {
			if (engine_below(100) == 0)
				return i;
		} else if (e->fibre[who].priority > priority) {
			priority = e->fibre[who].priority;
			best = i;
		}
	}
	return best;
}

static int choose_by_chance(const struct option *option, int n)
{
	struct engine *e = sched_engine;
	int i = (int)engine_below((uint32_t)n);

	if (option[1].kind == 'c')
		return i;
	if (option[1].kind == 'r')
		return engine_below(8) ? 0 : i;
	if (e->odds) {
		bool usual = option[0].kind == '.' || option[i].kind != '>';

		return usual && engine_below((uint32_t)e->odds) ? 0 : i;
	}
	for (int k = 0; k < e->changes; k++)
		if (e->change_at[k] == e->step && e->current >= 0)
			e->fibre[e->current].priority = -1 - k;
	return choose_by_priority(option, n);
}

int engine_choose(const struct option *option, int n)
{
	struct engine *e = sched_engine;
	int i = 0;

	if (n == 1)
		return 0;
	switch (e->mode) {
	case SEARCH:
		i = choose_in_search(option, n);
		break;
	case REPLAY:
		i = choose_in_replay(option, n);
		break;
	case CHANCE:
		i = choose_by_chance(option, n);
		break;
	}
	pay(&option[i]);
	if (i && e->choices < CHOICES_MAX)
		e->chosen[e->choices++] = (struct choice){e->step, option[i].kind, option[i].arg};
	return i;
}

int sched_choose(int bound)
{
	struct option option[OPTIONS_MAX];

	if (bound > OPTIONS_MAX)
		sched_fail("sched_choose: at most %d", OPTIONS_MAX);
	for (int i = 0; i < bound; i++)
		option[i] = (struct option){'c', (uint8_t)i, true};
	sched_engine->step++;
	return engine_choose(option, bound);
}

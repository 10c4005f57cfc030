/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. A gate is where threads sleep until something about the router has changed. Its word counts
 * the changes; who wants to sleep reads the word first, then looks at the world, and sleeps only
 * while the word is still the same.
 *
 * States of the word: n --change (any)--> n + 1. `sleepers` says whether a wake is worth a system
 * call.
 *
 * Invariants.
 *   I1  sleepers >= threads in park
 *
 * Orderings. A sleeper raises `sleepers` and then looks at the word; a changer moves the word and
 * then looks at `sleepers`: all four are sequentially consistent, so at least one of the two sees
 * the other. [gate:A1] in seen, [gate:R1] in change: who sees the new number sees what was changed
 * before it.
 *
 * Progress. change is wait-free; a sleeper waits for a change or its deadline. The word may wrap: a
 * sleeper would have to miss four thousand million changes between its look and its sleep.
 */
#ifndef WI_ROUTE_GATE_H
#define WI_ROUTE_GATE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/world.h"

struct wi_gate {
	_Atomic uint32_t word;     /* (a) */
	_Atomic uint32_t sleepers; /* (a) */
};

/* The number of changes so far: read it before looking at what may change. */
static inline uint32_t wi_gate_seen(struct wi_gate *g)
{
	/* [gate:A1] sees what was changed before this number; pairs with R1. */
	return wi_load_seq(&g->word);
}

/* Tells all who sleep here to look again. Any thread. */
static inline void wi_gate_change(struct wi_gate *g, const struct wi_world *world)
{
	/* [gate:R1] publishes the change; pairs with A1. */
	wi_add_seq(&g->word, 1);
	if (wi_load_seq(&g->sleepers))
		world->wake(&g->word);
}

/* Sleeps until there are more changes than `seen`, or until deadline_ns; may return early. */
static inline void wi_gate_sleep(struct wi_gate *g, uint32_t seen, int64_t deadline_ns,
                                 const struct wi_world *world)
{
	wi_add_seq(&g->sleepers, 1);
	if (wi_load_seq(&g->word) == seen)
		world->park(&g->word, seen, deadline_ns);
	wi_sub_seq(&g->sleepers, 1);
}

#endif

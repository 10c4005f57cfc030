/* SPDX-License-Identifier: BSD-2-Clause */
/* What scenarios of the core share: a core, its slots, who holds which, and what has to be true. */
#ifndef SCHED_SCENE_H
#define SCHED_SCENE_H

#include "core/core.h"
#include "sched/sched.h"

#define SCENE_SLOTS_MAX 8

extern struct wi_core *scene_core;

/* Makes a core with slots 1 to slots, all outside; and a seat for each thread that will be. */
void scene_make(uint32_t slots, int threads);

/* Set up: this machine has no membarrier. Before scene_make. */
void scene_without_membarrier(void);

/* The running thread's seat. */
struct wi_seat *scene_seat(void);

/* The seat that thread i had from scene_make. */
struct wi_seat *scene_seat_of(int i);

/* Set up: the slot lies in thread i's cache; on the free list. */
void scene_cache(int i, uint32_t slot);
void scene_list(uint32_t slot);

/* From here on the running thread holds the slot; and no longer. */
void scene_hold(uint32_t slot);
void scene_let(uint32_t slot);

/* Takes without waiting; waits (until then); 0: none. What comes is held. */
uint32_t scene_take(void);
uint32_t scene_wait(int64_t deadline_ns);
/* Takes, or else waits. */
uint32_t scene_get(int64_t deadline_ns);

/* What is held goes back to the caller's cache; past the caches. */
void scene_put(uint32_t slot);
void scene_give(uint32_t slot);

/* The keeper's: a slot that is outside comes in; one that was swept goes outside. */
void scene_bring(uint32_t slot);
void scene_bring_to_cache(uint32_t slot);
void scene_bring_all(void);
void scene_outside(uint32_t slot);
/* A slot that nobody holds any more is handed to the keeper past the core. */
void scene_hand_out(uint32_t slot);
bool scene_all_outside(void);

/* Alone: how many slots are idle, in lists and caches. */
int scene_idle(void);

/* Alone, at the end: each slot is in one place, and nobody is counted who does not wait. */
void scene_conserved(void);

/*
 * Alone, at the end, when somebody was stopped: nobody else sleeps beside an idle slot, but for one
 * that the stopped thread is just taking from its own cache.
 */
void scene_others_went_on(void);

/* Alone, at rest: nobody sleeps in the queue beside an idle slot that nobody was told of. */
void scene_nobody_forgotten(void);

/* The same where a thread that was stopped has the token: who is not overdue yet may sleep. */
void scene_nobody_overdue_forgotten(void);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* A core of a few plain slots, one at a time, and what its tests do with it. */
#ifndef WEIR_TEST_PLAIN_CORE_H
#define WEIR_TEST_PLAIN_CORE_H

#include "core/core.h"
#include "core/desk.h"

#define PLAIN_SLOTS 6

extern struct wi_core plain_core;

/* No slot is idle yet. 0, or -1: no core to be had. */
int plain_core_begin(const struct wi_world *world);

/* Fails the test if somebody waits still. Fit to be cmocka's tear-down. */
int plain_core_end(void **state);

/* The calling thread's; takes what is idle, without waiting. */
struct wi_seat *plain_seat(void);
uint32_t plain_take(void);

/* How many slots are idle; all of them are taken out. */
int plain_drain(void);

/* As the pool above counts: odd while lent. The holder's alone, so no locked instruction. */
void plain_count_lending(uint32_t slot);

#endif

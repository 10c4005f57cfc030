/* SPDX-License-Identifier: BSD-2-Clause */
/* A core of plain slots as what the shapes of load are put on. */
#ifndef WEIR_TEST_CORE_STORE_H
#define WEIR_TEST_CORE_STORE_H

#include "core/core.h"
#include "support/shapes.h"

#define TEST_CORE_SLOTS_MAX 64

/* One at a time; its world is the watched one. */
extern struct wi_core test_core;
extern const struct test_store test_core_store;

/* Begins with n idle slots. false: no core to be had. */
bool test_core_open(uint32_t n);

/*
 * NULL if all n slots are idle, each once, nobody waits, and each of `takes` takes was alone with
 * its slot; or what is wrong. The slots are out after it. Nobody else is about.
 */
const char *test_core_audit(uint32_t n, uint64_t takes);

/* Waits for a grace period. */
void test_core_close(void);

/* All the checks of a history at once; NULL, or what is wrong. */
const char *test_history_audit(struct test_history *h);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a history of pushes and pops is one that a stack could have had: whether each move can be
 * given a moment between its invocation and its return so that, in the order of these moments,
 * every pop takes what was pushed last (or finds nothing when nothing is there).
 */
#ifndef WEIR_TEST_LINEAR_H
#define WEIR_TEST_LINEAR_H

#include <stdbool.h>
#include <stdint.h>

#define TEST_LINEAR_LANES 8
#define TEST_LINEAR_DEPTH 8 /* values on the stack at most, each from 1 to 255 */

struct test_move {
	bool push;
	uint8_t value; /* a pop's result; 0: it found nothing */
	int64_t invoked_ns, returned_ns;
};

/* The moves of one thread, in its order. */
struct test_moves {
	const struct test_move *move;
	uint32_t n;
};

enum test_linear { TEST_LINEAR, TEST_NOT_LINEAR, TEST_LINEAR_UNKNOWN };

/*
 * bottom: what lies on the stack at first, n_bottom values from the bottom up. UNKNOWN: more than
 * `limit` states had to be looked at, or no memory.
 */
enum test_linear test_stack_is_linear(const struct test_moves *lanes, uint32_t n_lanes,
                                      const uint8_t *bottom, uint32_t n_bottom, uint32_t limit);

#endif

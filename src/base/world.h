/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the core asks of the world: sleep, wake, fences, time. A table, so that a model checker or a
 * deterministic scheduler can be the world instead of the kernel. One constant instance,
 * wi_world_linux, is what the product uses.
 */
#ifndef WI_BASE_WORLD_H
#define WI_BASE_WORLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct wi_world {
	/*
	 * Sleeps while *word == expected, at most until deadline_ns (WI_FOREVER: no end). May
	 * return at any time without a reason; the caller looks at the word again. Ordering: none
	 * promised.
	 */
	void (*park)(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);

	/*
	 * Wakes the sleepers on *word. The word may be gone from use (its memory is not): harmless.
	 */
	void (*wake)(_Atomic uint32_t *word);

	/*
	 * A full fence on every thread of the process, also on those that run something else: the
	 * expensive half of a store-then-look protocol whose other half is wi_fence_light (D. Dice,
	 * M. Moir, W. Scherer, "Quickly reacquirable locks", 2003; membarrier(2)). It may cost
	 * microseconds. false: this kernel, or a filter on system calls, has none; then it was a
	 * full fence on the calling thread alone, and the owners have to fence fully, too.
	 */
	bool (*fence_heavy)(void);

	/* Monotonic nanoseconds. */
	int64_t (*now)(void);
};

extern const struct wi_world wi_world_linux;

/*
 * Marks the window named `point`. Nothing in the product; in weir_testing it calls wi_yield_hook if
 * that is set, to pause there at random or to stop there by script.
 */
#ifdef WI_TESTING
extern void (*_Atomic wi_yield_hook)(const char *point);
void wi_yield_here(const char *point);
#define WI_YIELD(point) wi_yield_here(point)
#else
#define WI_YIELD(point) ((void)0)
#endif

#endif

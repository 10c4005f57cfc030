/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel as the core's world: futexes to sleep on, CLOCK_MONOTONIC, sequentially consistent
 * fences.
 *
 * Both fences are full ones here. The pair is kept apart in the table so that the light one can
 * become a compiler barrier where the heavy one is a membarrier(2).
 *
 * errno is left as it was: a checkin runs in cleanup code, between a caller's failed call and its
 * look at errno.
 */
#include "base/world.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"

/*
 * FUTEX_WAIT_BITSET and not FUTEX_WAIT: only it takes an absolute time, on CLOCK_MONOTONIC by
 * default.
 */
static void linux_park(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	int64_t at = deadline_ns > 0 ? deadline_ns : 0;
	struct timespec until = {.tv_sec = (time_t)(at / WI_SEC), .tv_nsec = (long)(at % WI_SEC)};
	int saved = errno;

	/*
	 * Woken, word changed, deadline passed, signal: all the same to the caller, who looks
	 * again.
	 */
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
	        deadline_ns == WI_FOREVER ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
	errno = saved;
}

/*
 * Wakes all: on a waiter's own word sleeps one, on a gate word many, and each of them has to look.
 */
static void linux_wake(_Atomic uint32_t *word)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
	errno = saved;
}

static void full_fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

static void no_yield(const char *point)
{
	(void)point;
}

const struct wi_world wi_world_linux = {
	.park = linux_park,
	.wake = linux_wake,
	.fence_light = full_fence,
	.fence_heavy = full_fence,
	.now = wi_now_ns,
	.yield = no_yield,
};

#ifdef WI_TESTING
void (*_Atomic wi_yield_hook)(const char *point);

void wi_yield_here(const char *point)
{
	void (*hook)(const char *) = wi_load_acq(&wi_yield_hook);

	if (hook)
		hook(point);
}
#endif

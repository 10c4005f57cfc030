/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel as the core's world: futexes to sleep on, CLOCK_MONOTONIC, membarrier as the heavy
 * fence.
 *
 * errno is left as it was: a checkin runs in cleanup code, between a caller's failed call and its
 * look at errno.
 */
#include "base/world.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
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

static bool membarrier_works(int command)
{
	return syscall(SYS_membarrier, command, 0, 0) == 0;
}

/*
 * A process registers once before its first use; a child of fork may have to do it again. So the
 * first refusal is answered by registering, and only the second is believed.
 */
static bool linux_fence_heavy(void)
{
	int saved = errno;
	bool works = membarrier_works(MEMBARRIER_CMD_PRIVATE_EXPEDITED) ||
	             (membarrier_works(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) &&
	              membarrier_works(MEMBARRIER_CMD_PRIVATE_EXPEDITED));

	if (!works)
		atomic_thread_fence(memory_order_seq_cst);
	errno = saved;
	return works;
}

const struct wi_world wi_world_linux = {
	.park = linux_park,
	.wake = linux_wake,
	.fence_heavy = linux_fence_heavy,
	.now = wi_now_ns,
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

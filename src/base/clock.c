/* SPDX-License-Identifier: BSD-2-Clause */
/* Monotonic time, and the arithmetic of deadlines, which saturates and never wraps. */
#include "base/clock.h"

#include <limits.h>
#include <time.h>

int64_t wi_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * WI_SEC + now.tv_nsec;
}

int64_t wi_wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * WI_SEC + now.tv_nsec;
}

int64_t wi_deadline_after(int64_t now_ns, int64_t timeout_ms)
{
	if (timeout_ms < 0 || timeout_ms > (WI_FOREVER - now_ns) / WI_MS)
		return WI_FOREVER;
	return now_ns + timeout_ms * WI_MS;
}

int wi_poll_ms(int64_t now_ns, int64_t deadline_ns)
{
	int64_t ms;

	if (deadline_ns == WI_FOREVER)
		return -1;
	if (deadline_ns <= now_ns)
		return 0;
	ms = (deadline_ns - now_ns - 1) / WI_MS + 1;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

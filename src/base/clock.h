/* SPDX-License-Identifier: BSD-2-Clause */
/* Monotonic time in nanoseconds, and deadlines. */
#ifndef WI_BASE_CLOCK_H
#define WI_BASE_CLOCK_H

#include <stdint.h>

#define WI_MS INT64_C(1000000)
#define WI_SEC INT64_C(1000000000)
#define WI_FOREVER INT64_MAX

/* CLOCK_MONOTONIC: never steps, does not count while the machine is suspended. */
int64_t wi_now_ns(void);

/*
 * Since 1970, as the machine's clock says: it may step. For people to read, and for nothing else.
 */
int64_t wi_wall_ns(void);

/* now + timeout_ms; negative: WI_FOREVER; saturates instead of wrapping. */
int64_t wi_deadline_after(int64_t now_ns, int64_t timeout_ms);

/*
 * Milliseconds left for poll(2), rounded up so that it never wakes early; -1 for WI_FOREVER, 0 if
 * passed.
 */
int wi_poll_ms(int64_t now_ns, int64_t deadline_ns);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The time of this program: monotonic nanoseconds. */
#ifndef CLI_CLOCK_H
#define CLI_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLI_MS INT64_C(1000000)
#define CLI_S INT64_C(1000000000)

static inline int64_t cli_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * CLI_S + t.tv_nsec;
}

/* Sleeps, less when a signal comes. */
static inline void cli_sleep(int64_t ns)
{
	struct timespec t = {.tv_sec = ns / CLI_S, .tv_nsec = ns % CLI_S};

	if (ns > 0)
		nanosleep(&t, NULL);
}

#endif

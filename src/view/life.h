/* SPDX-License-Identifier: BSD-2-Clause */
/* What /proc tells of a process: whether it is still the same one, how it fares, its threads. */
#ifndef WI_VIEW_LIFE_H
#define WI_VIEW_LIFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wi_life_state {
	WI_LIFE_RUNS,
	WI_LIFE_STOPPED,
	WI_LIFE_ENDED,
	WI_LIFE_UNKNOWN /* it is in another pid namespace */
};

/* When a process was started, in ticks since the machine was; 0: there is none, or no /proc. */
uint64_t wi_life_start(int64_t pid);

/* The caller's pid namespace; 0: unknown. */
uint64_t wi_life_pid_space(void);

/* How the process fares that was started then, in that namespace. */
enum wi_life_state wi_life_of(int64_t pid, uint64_t start, uint64_t pid_space);

/* Whether a process has a thread of that number; true where nobody can know. */
bool wi_life_has_thread(int64_t pid, int32_t thread);

/* The name of a thread, as the kernel knows it; "": unknown. */
void wi_life_thread_name(int64_t pid, int32_t thread, char *name, size_t room);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failing calls, on order: in the place of the C library's, for all that is linked into this
 * program, stand functions that count and, from a certain call on, fail for a while.
 */
#ifndef WEIR_TEST_P39_INJECT_H
#define WEIR_TEST_P39_INJECT_H

#include <stdbool.h>

enum inject {
	INJECT_WEIR_MEMORY, /* the allocator table's */
	INJECT_MEMORY,      /* malloc, calloc and realloc, everybody's; not under a sanitizer */
	INJECT_THREAD,
	INJECT_SOCKET, /* and socketpair */
	INJECT_EVENTFD,
	INJECT_EPOLL,
	INJECT_WATCH,      /* epoll_ctl, but not taking out */
	INJECT_DESCRIPTOR, /* a copy of one: F_DUPFD */
	INJECT_LOOKUP,
	INJECT_KINDS
};

extern const char *const inject_name[INJECT_KINDS];

/* A thread that is spared counts as if it were not there: the test's own work. */
extern _Thread_local bool inject_spares_me;

/* Makes the allocator table count; before anything else of weir's. */
void inject_init(void);

/* Whether calls of a kind can fail in this build. */
bool inject_can(enum inject kind);

/* From now on: of that kind the calls first to first + many - 1, counted from 1, fail. */
void inject(enum inject kind, int first, int many);

/* No more; how many calls there were, and in *failed how many of them failed. */
int inject_end(int *failed);

#endif

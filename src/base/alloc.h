/* SPDX-License-Identifier: BSD-2-Clause */
/* weir's own memory, by the allocator table of <weir/alloc.h>. */
#ifndef WI_BASE_ALLOC_H
#define WI_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed memory at a multiple of align (a power of two, at least sizeof(void *)), or NULL. */
void *wi_alloc_aligned(size_t size, size_t align);

/* Zeroed memory, aligned for any type, or NULL. */
void *wi_alloc(size_t size);

/* Gives memory back; size as asked for. NULL is a no-op. */
void wi_free(void *memory, size_t size);

/* A copy of a string from wi_alloc, or NULL; wi_free it with strlen + 1. */
char *wi_strdup(const char *text);
void wi_strfree(char *text);

/* Whether the host has set an allocator; from here on it is too late to. */
bool wi_alloc_is_hosts(void);

#ifdef WI_TESTING
/* For memory that comes from elsewhere (secret.c): fails and is counted as if from here. */
bool wi_alloc_fails_now(void);
void wi_alloc_count_out(size_t size);
void wi_alloc_count_in(size_t size);

/*
 * Fails the n-th allocation from now (1: the next), once; 0: none. For tests of every failing path.
 */
void wi_alloc_fail_at(int n);
/* Bytes and blocks now out. */
size_t wi_alloc_bytes(void);
size_t wi_alloc_blocks(void);
#else
static inline bool wi_alloc_fails_now(void)
{
	return false;
}

static inline void wi_alloc_count_out(size_t size)
{
	(void)size;
}

static inline void wi_alloc_count_in(size_t size)
{
	(void)size;
}
#endif

#endif

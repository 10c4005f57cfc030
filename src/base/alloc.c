/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weir's own memory. One table for the process, set before the first allocation or never. Without a
 * host's table: jemalloc in an arena of its own (WEIR_JEMALLOC), so that weir's long-lived lines do
 * not mix with the host's, or malloc. Nothing on the warm path allocates, so thread caches would
 * only hold memory back.
 *
 * The table is constant once `sealed` is set. [alloc:R1] in seal publishes it, [alloc:A1] in
 * wi_alloc_aligned reads it. The lock serialises only weir_allocator_set with the very first
 * allocation.
 */
#include "base/alloc.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef WEIR_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

#include <weir/alloc.h>

#include "base/atomic.h"

#ifdef WEIR_JEMALLOC

static unsigned arena;
static bool has_arena;
static pthread_once_t arena_once = PTHREAD_ONCE_INIT;

static void create_arena(void)
{
	size_t size = sizeof(arena);

	has_arena = mallctl("arenas.create", &arena, &size, NULL, 0) == 0;
}

static void *default_alloc(void *arg, size_t size, size_t align)
{
	int flags = MALLOCX_ALIGN(align) | MALLOCX_TCACHE_NONE;

	(void)arg;
	pthread_once(&arena_once, create_arena);
	if (has_arena)
		flags |= MALLOCX_ARENA(arena);
	return mallocx(size, flags);
}

/* Not sdallocx: it wants the alignment again, which the table's free is not told. */
static void default_free(void *arg, void *memory, size_t size)
{
	(void)arg;
	(void)size;
	dallocx(memory, MALLOCX_TCACHE_NONE);
}

#else

static void *default_alloc(void *arg, size_t size, size_t align)
{
	(void)arg;
	if (align <= alignof(max_align_t))
		return malloc(size);
	if (size > SIZE_MAX - align)
		return NULL;
	return aligned_alloc(align, (size + align - 1) & ~(align - 1)); /* C11 wants a multiple */
}

static void default_free(void *arg, void *memory, size_t size)
{
	(void)arg;
	(void)size;
	free(memory);
}

#endif

static weir_allocator table = {default_alloc, default_free, NULL};
static _Atomic bool sealed;
static pthread_mutex_t setting = PTHREAD_MUTEX_INITIALIZER;

#ifdef WI_TESTING

static _Atomic int fail_in;
static _Atomic size_t bytes_out, blocks_out;

void wi_alloc_fail_at(int n)
{
	wi_store_rlx(&fail_in, n);
}

size_t wi_alloc_bytes(void)
{
	return wi_load_rlx(&bytes_out);
}

size_t wi_alloc_blocks(void)
{
	return wi_load_rlx(&blocks_out);
}

bool wi_alloc_fails_now(void)
{
	int left = wi_load_rlx(&fail_in);

	while (left > 0)
		if (wi_cas_rlx(&fail_in, &left, left - 1))
			return left == 1;
	return false;
}

void wi_alloc_count_out(size_t size)
{
	wi_add_rlx(&bytes_out, size);
	wi_add_rlx(&blocks_out, 1);
}

void wi_alloc_count_in(size_t size)
{
	wi_sub_rlx(&bytes_out, size);
	wi_sub_rlx(&blocks_out, 1);
}

#endif

weir_status weir_allocator_set(const weir_allocator *allocator)
{
	bool late;

	if (!allocator || !allocator->alloc || !allocator->free)
		return WEIR_INVALID;
	pthread_mutex_lock(&setting);
	late = wi_load_rlx(&sealed);
	if (!late)
		table = *allocator;
	pthread_mutex_unlock(&setting);
	return late ? WEIR_INVALID : WEIR_OK;
}

static void seal(void)
{
	pthread_mutex_lock(&setting);
	wi_store_rel(&sealed, true); /* [alloc:R1] publishes the table; pairs with A1 A2 */
	pthread_mutex_unlock(&setting);
}

bool wi_alloc_is_hosts(void)
{
	if (!wi_load_acq(&sealed)) /* [alloc:A2] as A1; pairs with R1 */
		seal();
	return table.alloc != default_alloc;
}

void *wi_alloc_aligned(size_t size, size_t align)
{
	void *memory;

	if (!wi_load_acq(&sealed)) /* [alloc:A1] sees the table as last set; pairs with R1 */
		seal();
	if (wi_alloc_fails_now())
		return NULL;
	if (!size)
		size = 1; /* NULL means failure, and nothing else */
	memory = table.alloc(table.arg, size, align);
	if (!memory)
		return NULL;
	wi_alloc_count_out(size);
	return memset(memory, 0, size);
}

void *wi_alloc(size_t size)
{
	return wi_alloc_aligned(size, alignof(max_align_t));
}

void wi_free(void *memory, size_t size)
{
	if (!memory)
		return;
	if (!size)
		size = 1;
	wi_alloc_count_in(size);
	table.free(table.arg, memory, size);
}

char *wi_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = wi_alloc(size);

	return copy ? memcpy(copy, text, size) : NULL;
}

void wi_strfree(char *text)
{
	if (text)
		wi_free(text, strlen(text) + 1);
}

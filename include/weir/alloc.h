/* SPDX-License-Identifier: BSD-2-Clause */
/* Where weir's own memory comes from. */
#ifndef WEIR_ALLOC_H
#define WEIR_ALLOC_H

#include <stddef.h>

#include <weir/export.h>
#include <weir/status.h>

WEIR_BEGIN

/*
 * alloc returns `size` bytes at a multiple of `align` (a power of two), or NULL; free takes them
 * back and gets the size again. Both from any thread, also at once.
 */
typedef struct weir_allocator {
	void *(*alloc)(void *arg, size_t size, size_t align);
	void (*free)(void *arg, void *memory, size_t size);
	void *arg;
} weir_allocator;

/*
 * Sets the allocator of the whole process, before the first pool or router is opened; INVALID
 * after. The table is copied. A weir built with WEIR_JEMALLOC starts with an arena of jemalloc's,
 * any other with malloc. libpq's memory is libpq's affair.
 */
WEIR_API WEIR_CHECKED weir_status weir_allocator_set(const weir_allocator *allocator);

WEIR_END

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* weir's memory, counted to the byte as it asks for it: an allocator table over aligned_alloc. */
#ifndef BENCH_COUNTED_MEMORY_H
#define BENCH_COUNTED_MEMORY_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include <weir/alloc.h>

static _Atomic int64_t counted_bytes;

static void *counted_alloc(void *arg, size_t size, size_t align)
{
	void *memory = aligned_alloc(align, (size + align - 1) / align * align);

	(void)arg;
	if (memory)
		atomic_fetch_add(&counted_bytes, (int64_t)size);
	return memory;
}

static void counted_free(void *arg, void *memory, size_t size)
{
	(void)arg;
	atomic_fetch_sub(&counted_bytes, (int64_t)size);
	free(memory);
}

/* Before the first pool of the process. */
static inline void count_memory(void)
{
	if (weir_allocator_set(&(weir_allocator){counted_alloc, counted_free, NULL}) != WEIR_OK)
		abort();
}

#endif

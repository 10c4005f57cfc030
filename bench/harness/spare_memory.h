/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a pool has asked of the program's allocator in reserve: slots to grow into, and room for the
 * events that it will remember. Where no allocator is set, that is address space.
 */
#ifndef BENCH_SPARE_MEMORY_H
#define BENCH_SPARE_MEMORY_H

#include "pool/pool.h"

static inline int64_t spare_bytes(struct weir_pool *pool)
{
	size_t slots = pool->room.bytes / sizeof(struct weir_conn) - 1 - pool->n_conns;

	return (int64_t)(slots * sizeof(struct weir_conn) + pool->own_ring.room.bytes);
}

#endif

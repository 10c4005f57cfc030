/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots: places for one thing each, known by number. They live in one table that its user owns:
 * slot n (from 1) begins at base + n * stride with the struct below, and the user's own members
 * follow it. The table is never freed or moved while the core lives, so a stale number is always
 * safe to look at.
 */
#ifndef WI_CORE_SLOT_H
#define WI_CORE_SLOT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define WI_SLOT_NONE 0u
#define WI_SLOT_BITS 16
#define WI_SLOTS_MAX ((1u << WI_SLOT_BITS) - 1)

/* Access key: (a) atomic, any thread; (h) written by who has the slot, read by any. */
struct wi_slot {
	_Atomic uint32_t next; /* (a) the slot below it in a free list */
	_Atomic uint64_t lend; /* (h) odd while lent; the rest counts the lendings */
};

struct wi_table {
	char *base;             /* of slot 0, which is never used */
	size_t stride;          /* bytes from slot to slot */
	_Atomic uint32_t count; /* grows (wi_core_grow), and never shrinks */
};

/* How often a slot has been lent, and how often it came back, by its count. */
static inline uint64_t wi_lend_lent(uint64_t lend)
{
	return (lend + 1) / 2;
}

static inline uint64_t wi_lend_returned(uint64_t lend)
{
	return lend / 2;
}

static inline struct wi_slot *wi_slot_at(const struct wi_table *table, uint32_t slot)
{
	return (struct wi_slot *)(void *)(table->base + (size_t)slot * table->stride);
}

#endif

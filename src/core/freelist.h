/* SPDX-License-Identifier: BSD-2-Clause */
/* The shared free list: a lock-free stack of slot numbers. freelist.c tells how it works. */
#ifndef WI_CORE_FREELIST_H
#define WI_CORE_FREELIST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/line.h"
#include "core/slot.h"

/*
 *	            push  pop  is_empty
 *	push         -     -     -          "-": may run at the same time, from any threads
 *	pop          -     -     -
 */
struct wi_freelist {
	WI_ON_NEW_LINE _Atomic uint64_t head; /* (a) tag and number of the top slot */
};

void wi_freelist_init(struct wi_freelist *list);

/*
 * Puts a slot that is in no list on top. Sequentially consistent: a look at something else comes
 * after.
 */
void wi_freelist_push(struct wi_freelist *list, const struct wi_table *table, uint32_t slot);

/*
 * Takes the top slot, or WI_SLOT_NONE. Sequentially consistent: it comes after what was announced
 * before.
 */
uint32_t wi_freelist_pop(struct wi_freelist *list, const struct wi_table *table);

/* Sequentially consistent, as pop. */
bool wi_freelist_is_empty(const struct wi_freelist *list);

#endif

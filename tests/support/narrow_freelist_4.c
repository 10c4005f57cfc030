/* SPDX-License-Identifier: BSD-2-Clause */
/* The free list with a tag of four bits. */
#include "support/narrow_freelist.h"

#define WI_TAG_BITS 4
#define wi_freelist_init init_4
#define wi_freelist_push push_4
#define wi_freelist_pop pop_4
#define wi_freelist_is_empty is_empty_4

void wi_freelist_init(struct wi_freelist *list);
void wi_freelist_push(struct wi_freelist *list, const struct wi_table *table, uint32_t slot);
uint32_t wi_freelist_pop(struct wi_freelist *list, const struct wi_table *table);
bool wi_freelist_is_empty(const struct wi_freelist *list);

#include "core/freelist.c"

const struct test_freelist test_freelist_tag4 = {4, push_4, pop_4};

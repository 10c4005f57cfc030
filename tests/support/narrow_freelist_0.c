/* SPDX-License-Identifier: BSD-2-Clause */
/* The free list without a tag: what a stale pop then does is what the tag is there to prevent. */
#include "support/narrow_freelist.h"

#define WI_TAG_BITS 0
#define wi_freelist_init init_0
#define wi_freelist_push push_0
#define wi_freelist_pop pop_0
#define wi_freelist_is_empty is_empty_0

void wi_freelist_init(struct wi_freelist *list);
void wi_freelist_push(struct wi_freelist *list, const struct wi_table *table, uint32_t slot);
uint32_t wi_freelist_pop(struct wi_freelist *list, const struct wi_table *table);
bool wi_freelist_is_empty(const struct wi_freelist *list);

#include "core/freelist.c"

const struct test_freelist test_freelist_tag0 = {0, push_0, pop_0};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The free list compiled again with a narrower tag, for tests that want it to wrap, or to be
 * fooled: freelist.c as it is, under other names. It works on the library's struct wi_freelist.
 */
#ifndef WEIR_TEST_NARROW_FREELIST_H
#define WEIR_TEST_NARROW_FREELIST_H

#include "core/freelist.h"

struct test_freelist {
	int tag_bits;
	void (*push)(struct wi_freelist *list, const struct wi_table *table, uint32_t slot);
	uint32_t (*pop)(struct wi_freelist *list, const struct wi_table *table);
};

extern const struct test_freelist test_freelist_tag0; /* no tag at all: wrong, on purpose */
extern const struct test_freelist test_freelist_tag4;

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Cache lines: which member starts one, and the promise that two do or do not share one. */
#ifndef WI_BASE_LINE_H
#define WI_BASE_LINE_H

#include <stddef.h>

#define WI_LINE 64
#define WI_ON_NEW_LINE _Alignas(WI_LINE)

#define WI_ASSERT_NEW_LINE(type, member)                                                           \
	_Static_assert(offsetof(type, member) % WI_LINE == 0, #member " starts a cache line")
#define WI_ASSERT_SAME_LINE(type, a, b)                                                            \
	_Static_assert(offsetof(type, a) / WI_LINE == offsetof(type, b) / WI_LINE,                 \
	               #a " and " #b " share a cache line")

#define WI_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define WI_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define wi_likely(x) __builtin_expect(!!(x), 1)
#define wi_unlikely(x) __builtin_expect(!!(x), 0)
#define WI_INLINE static inline __attribute__((always_inline))
#define WI_NOINLINE __attribute__((noinline))
#define WI_COLD __attribute__((cold, noinline))

#endif

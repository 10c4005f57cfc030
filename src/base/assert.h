/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two words for "cannot happen". wi_assert: in debug and test builds. wi_check: always, off the
 * fast path, for facts whose breach would hand one connection to two threads; it reports and
 * aborts. Bad input, a dead server and want of memory are statuses, never asserts.
 */
#ifndef WI_BASE_ASSERT_H
#define WI_BASE_ASSERT_H

_Noreturn void wi_assert_failed(const char *what, const char *file, int line);

#define wi_check(x) ((x) ? (void)0 : wi_assert_failed(#x, __FILE__, __LINE__))
#if defined(WI_TESTING) || !defined(NDEBUG)
#define wi_assert(x) wi_check(x)
#else
#define wi_assert(x) ((void)0)
#endif

#endif

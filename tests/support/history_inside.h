/* SPDX-License-Identifier: BSD-2-Clause */
/* What the checkers of histories share: history.c and history_idle.c. */
#ifndef WEIR_TEST_HISTORY_INSIDE_H
#define WEIR_TEST_HISTORY_INSIDE_H

#include "support/history.h"

/* Notes what was seen, for h->wrong; false. */
bool test_history_wrong(struct test_history *h, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The last operation of a lane that began by then; -1: none. */
int64_t test_last_begun(const struct test_lane *lane, int64_t at_ns);

#endif

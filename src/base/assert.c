/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place that ends the process: an invariant is broken, and going on could mix two users'
 * data.
 */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void wi_assert_failed(const char *what, const char *file, int line)
{
	/* Not stdio's stderr: its lock may be held by the thread that broke the invariant. */
	dprintf(STDERR_FILENO, "weir: broken invariant: %s (%s:%d)\n", what, file, line);
	abort();
}

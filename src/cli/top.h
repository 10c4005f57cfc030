/* SPDX-License-Identifier: BSD-2-Clause */
/* The picture of `weir top`. */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include <stddef.h>

#include "cli/views.h"

/* Prints what was read of all views, in about so many lines at most. */
void cli_top_print(const struct cli_views *views, size_t rows);

#endif

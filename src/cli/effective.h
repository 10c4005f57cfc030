/* SPDX-License-Identifier: BSD-2-Clause */
/* `weir options --effective`: what is in force, and who has said so. */
#ifndef CLI_EFFECTIVE_H
#define CLI_EFFECTIVE_H

#include <stdbool.h>

#include "cli/word.h"

/* url NULL: the environment's. An exit status. */
int cli_print_effective(const struct cli_word *word, const char *url, bool json);

#endif

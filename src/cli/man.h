/* SPDX-License-Identifier: BSD-2-Clause */
/* The pages of the manual: man.c finds and places them, man_pages.c writes them. */
#ifndef CLI_MAN_H
#define CLI_MAN_H

#include <stdio.h>

#include "cli/word.h"

void cli_man_command(FILE *out);
void cli_man_word(FILE *out, const struct cli_word *word);
void cli_man_options(FILE *out);
void cli_man_library(FILE *out);

#endif

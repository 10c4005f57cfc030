/* SPDX-License-Identifier: BSD-2-Clause */
/* Who set each option: the name of a variable, of a file, "connection string"; NULL: nobody. */
#ifndef WI_CONFIG_SOURCES_H
#define WI_CONFIG_SOURCES_H

#include "config/table.h"

struct wi_sources {
	const char *of[WI_OPTIONS]; /* by the place of the row; live as long as what was read */
};

#endif

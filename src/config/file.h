/* SPDX-License-Identifier: BSD-2-Clause */
/* A configuration file: `name = value`, in sections for several pools. */
#ifndef WI_CONFIG_FILE_H
#define WI_CONFIG_FILE_H

#include "config/parse.h"
#include "config/sources.h"

/* The file that the environment names, and the section of it; NULL: none. */
const char *wi_file_named(void);
const char *wi_file_section(void);

/* weir_options_from_file, which notes who set what. path lives as long as *sources. */
weir_status wi_file_options(weir_options *options, const char *path, const char *section,
                            struct wi_sources *sources, weir_error *error);

/* The parts of a connection string in it that nobody has said yet. */
weir_status wi_file_parts(struct wi_parse *parse, const char *path, const char *section);

#endif

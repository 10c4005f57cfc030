/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of page/, made part of the program by cmake/embed.cmake. */
#ifndef WI_HTTP_PAGE_H
#define WI_HTTP_PAGE_H

#include <stddef.h>

struct wi_page_file {
	const char *name; /* NULL ends the table */
	const unsigned char *bytes;
	size_t length;
};

extern const struct wi_page_file wi_page_files[];

#endif

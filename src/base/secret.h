/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place where passwords live: pages of their own, kept out of core dumps, out of swap where
 * the process may lock memory, and wiped as they are given back. Connection strings and all that is
 * cut out of them live here, too: in a string that was cut at the wrong place, anything may be half
 * a password. What libpq copies of it is libpq's (docs/contracts.md).
 */
#ifndef WI_BASE_SECRET_H
#define WI_BASE_SECRET_H

#include <stddef.h>

/* Zeroed memory, aligned for any type, or NULL. Any thread; takes a lock for a few instructions. */
void *wi_secret_alloc(size_t size);

/* Wipes and gives back; size as asked for. NULL is a no-op. */
void wi_secret_free(void *memory, size_t size);

/* A copy of a string, or NULL; and its end, with strlen + 1 bytes. */
char *wi_secret_strdup(const char *text);
void wi_secret_strfree(char *text);

#endif

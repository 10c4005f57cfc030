/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Name lookup off everybody's path, on a thread of its own, since both getaddrinfo and libpq's
 * PQconnectStart would block for as long as a dead resolver likes.
 */
#ifndef WI_POOL_RESOLVE_H
#define WI_POOL_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>

#include "driver/driver.h"

#define WI_ADDRESS 64

/*
 * Whether a host needs no lookup: a numeric address, a Unix socket directory, or empty (libpq's
 * default).
 */
bool wi_host_is_literal(const char *host);

/* Begins a lookup. NULL: no memory or no thread. */
void *wi_resolve_start(const char *host);

/*
 * 0: still looking; 1: address is one of the name's addresses, chosen at random; -1: *failure says
 * why not. After 1 and -1 the lookup is gone. Never blocks: call again after a few milliseconds.
 */
int wi_resolve_poll(void *lookup, char address[WI_ADDRESS], struct wi_failure *failure);

/* Forgets a lookup that is not done: it frees itself when it ends. NULL is a no-op. */
void wi_resolve_drop(void *lookup);

/* How often to poll, in ns. */
#define WI_RESOLVE_POLL_NS INT64_C(2000000)

#endif

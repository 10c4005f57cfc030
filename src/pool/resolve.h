/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Name lookup off everybody's path, as a chore, since both getaddrinfo and libpq's PQconnectStart
 * would block for as long as a dead resolver likes.
 */
#ifndef WI_POOL_RESOLVE_H
#define WI_POOL_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver/driver.h"
#include "pool/keeper.h"

#define WI_ADDRESS 64
#define WI_ADDRESSES 16 /* more of a name's are left out */

/* What a name came to: numeric addresses, in an order of chance. */
struct wi_addresses {
	uint32_t n;
	char address[WI_ADDRESSES][WI_ADDRESS];
};

bool wi_addresses_have(const struct wi_addresses *found, const char *address);

/* Puts them in an order of chance. */
void wi_addresses_shuffle(struct wi_addresses *found);

/* Whether another address of the name may do better where one has failed so. */
bool wi_address_may_differ(enum wi_fault fault);

/* All that were tried have failed in such a way, the last one so: says so where it was not one. */
void wi_addresses_say_none(uint32_t tried, struct wi_failure *last);

/*
 * Whether a host needs no lookup: a numeric address, a Unix socket directory, or empty (libpq's
 * default).
 */
bool wi_host_is_literal(const char *host);

/*
 * Begins a lookup, or joins the one that is under way for this name in this process; keeper (may be
 * NULL) is rung when it is done. NULL: no memory or no thread.
 */
void *wi_resolve_start(const char *host, struct wi_keeper *keeper);

/*
 * 0: still looking; 1: *found has at least one address; -1: *failure says why not. After 1 and -1
 * this asking is over. Never blocks.
 */
int wi_resolve_poll(void *asking, struct wi_addresses *found, struct wi_failure *failure);

/* Forgets a lookup that is not done: it frees itself when it ends. NULL is a no-op. */
void wi_resolve_drop(void *asking);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names that lead to several hosts (option several_addresses): each address of such a name is a
 * host of its own. The keeper's thread.
 */
#ifndef WI_ROUTE_NAMES_H
#define WI_ROUTE_NAMES_H

#include "route/orders.h"

/* Whether this endpoint is a name whose addresses are to be hosts of their own. */
bool wi_names_is_one(const weir_router *router, const struct wi_endpoint *endpoint);

/*
 * Follows the name that a host was made for, which stands in for its addresses until they are
 * known. Before the keeper runs, or its thread. OK or NO_MEMORY.
 */
weir_status wi_names_follow(struct wi_host *stand_in, weir_error *error);

/* Looks names up when it is time to, and follows what came of it; *due is when to come again. */
void wi_names_turn(weir_router *router, int64_t now_ns, int64_t *due_ns);

/* What is said of a name holds for its addresses, those that will come, too; false: no name. */
bool wi_names_do(weir_router *router, struct wi_order *order);

/* Nothing is looked up any more. */
void wi_names_stop(weir_router *router);

/* In a child: the lookups are the parent's. */
void wi_names_forget(weir_router *router);

/* "name:port", to a buffer of WEIR_ERROR_HOST. */
void wi_names_copy(const struct wi_name *name, char *to);

/* Frees what wi_names_follow made. */
void wi_names_free(weir_router *router);

#endif

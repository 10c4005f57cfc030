/* SPDX-License-Identifier: BSD-2-Clause */
/* The user's own call for a new connection (on_connect), on a thread of its own. */
#ifndef WI_POOL_HOOK_H
#define WI_POOL_HOOK_H

#include <stdbool.h>
#include <stdint.h>

struct weir_conn;
struct weir_pool;

/*
 * Begins the hook on a connection with errand HOOK and nothing under way; what comes of it goes to
 * wi_settle_hooked. From here until then the link is the hook's alone. Keeper's thread, as all
 * here.
 */
void wi_hook_begin(struct weir_conn *c);

/* Goes on, if the hook has returned or is late. */
void wi_hook_step(struct weir_conn *c, int64_t now_ns);

/* When the next step is wanted though the deadline does not say so. */
bool wi_hook_is_rung(const struct weir_conn *c);

/*
 * For closing. Where a hook runs on c, cuts the connection under it and keeps the link, to be
 * closed when the hook has returned; the caller gets a descriptor that tells of the server's end.
 * -1: none runs, and the link is the caller's.
 */
int wi_hook_leave(struct weir_conn *c);

/* Frees what hooks that were left have returned; whether any still runs. */
bool wi_hooks_run(struct weir_pool *pool);

#endif

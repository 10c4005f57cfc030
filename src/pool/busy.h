/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What comes back busy: a query that runs, rows unread, COPY under way. And cancel requests.
 */
#ifndef WI_POOL_BUSY_H
#define WI_POOL_BUSY_H

#include <stdbool.h>
#include <stdint.h>

struct weir_conn;
struct wi_failure;

/*
 * Ends what a returned connection is doing, and goes on with settling it, or closes it. READY and
 * in hand; keeper's thread.
 */
void wi_busy_begin(struct weir_conn *c, int64_t now_ns);

/* Goes on; when its descriptor, its deadline or the end of the cancel request says so. */
void wi_busy_step(struct weir_conn *c, int64_t now_ns);

/*
 * When the next step is wanted though neither descriptor nor deadline say so: has the cancel ended?
 */
bool wi_busy_is_rung(const struct weir_conn *c);

/* When the next step is due though nothing else says so, or WI_FOREVER. */
int64_t wi_busy_due(const struct weir_conn *c);

/* It is being closed: whoever still asks for the cancel is left to it. Keeper's thread. */
void wi_busy_drop(struct weir_conn *c);

/*
 * Its holder has no more time for what is under way: the server is asked to stop now, and the rest
 * is done by the keeper when the connection is given back, which then knows of this request. Where
 * that cannot be, or the options do not want it, the connection is closed then. The holder; never
 * blocks.
 */
void wi_busy_give_up(struct weir_conn *c);

/* The same where what was sent at sent_ns has had no answer by the caller's deadline: says so. */
void wi_busy_out_of_time(struct weir_conn *c, int64_t sent_ns, struct wi_failure *failure);

/*
 * Asks the server to stop what the connection is doing, and waits for nothing. For one that will be
 * closed and never used again. The holder, or the keeper; never blocks.
 */
void wi_cancel_and_forget(struct weir_conn *c);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* How long connections are held: some lendings are timed, and each stands for others. */
#ifndef WI_POOL_TIMED_H
#define WI_POOL_TIMED_H

#include <stdint.h>

struct weir_conn;
struct weir_pool;

/* Asks for a few lendings to be timed, now and then. The keeper's thread. */
void wi_timed_ask(struct weir_pool *pool, int64_t now_ns);

/* It was noted, and is its taker's from now on. The holder's thread. */
void wi_timed_begin(struct weir_conn *c);

/* It was noted, and has come back. Whoever has let go of it and not yet passed it on. */
void wi_timed_end(struct weir_conn *c);

#endif

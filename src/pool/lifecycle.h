/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What becomes of a connection from the decision to open it to its end: the keeper's steps, and
 * the turns in which it takes them.
 */
#ifndef WI_POOL_LIFECYCLE_H
#define WI_POOL_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/options.h>
#include <weir/stats.h>

#include "driver/driver.h"
#include "pool/conn.h"

struct weir_pool;

/* The words about a socket that epoll did not take. */
#define WI_CANNOT_WATCH "the system has no room to watch a socket"

/* life.c: the one place where `life` changes. */
void wi_slot_move(struct weir_conn *c, enum wi_life from, enum wi_life to);
void wi_slot_in_hand(struct weir_conn *c, bool in_hand);

/* The slots in the keeper's hands, the last one put there first; NULL: that was all. */
struct weir_conn *wi_slot_first_in_hand(struct weir_pool *pool);
struct weir_conn *wi_slot_next_in_hand(const struct weir_conn *c);
uint32_t wi_pool_limit(const struct weir_pool *pool);
/* Connections that the server may see: everything but EMPTY and what was reclaimed. */
uint32_t wi_pool_total(const struct weir_pool *pool);

/* open.c: opening connections. */
void wi_open_some(struct weir_pool *pool, int64_t now_ns);
bool wi_open_is_under_way(const struct weir_pool *pool);
void wi_open_failed(struct weir_conn *c, const struct wi_failure *failure);
void wi_open_connected(struct weir_conn *c);

/*
 * way.c: from the decision to connect to an open connection: addresses and credentials, and one
 * address after the other. Ends in wi_open_connected or wi_open_failed.
 */
void wi_way_begin(struct weir_conn *c, int64_t now_ns);
void wi_way_step(struct weir_conn *c, int64_t now_ns);
/* Gives up what is left of it; before the slot is closed, and when it is open. */
void wi_way_end(struct weir_conn *c);
/* What it is doing, in words for people. */
const char *wi_way_phase(const struct weir_conn *c);
/* Whether it logged in with an answer of on_credentials to an earlier connect. */
bool wi_way_was_kept(const struct weir_conn *c);

/* settle.c: what the keeper does with a connection before it is anybody's. */
void wi_settle_begin(struct weir_conn *c, enum wi_errand errand, int64_t deadline_ns);
void wi_settle_step(struct weir_conn *c, int64_t now_ns);
void wi_settle_returned(struct weir_conn *c);
/* The hook has returned; failure NULL: well, and the connection is ready. */
void wi_settle_hooked(struct weir_conn *c, const struct wi_failure *failure);
void wi_settle_go_on(struct weir_conn *c, int64_t now_ns, bool round_trip);

/*
 * greet.c: the errands of a new connection: their SQL (NULL: nothing to do), what follows, the end.
 */
const char *wi_greet_sql(const struct weir_conn *c);
void wi_greet_next(struct weir_conn *c);
void wi_greet_failed(struct weir_conn *c, const struct wi_failure *failure);
void wi_greet_done(struct weir_conn *c);

/*
 * in_force.c: takes the answer to VERIFY: what is in force is published, and told where it is not
 * what it should be; whether it is.
 */
bool wi_in_force_take(struct weir_conn *c);

/* close.c: closing connections. */
void wi_conn_close(struct weir_conn *c, weir_close why);
void wi_conn_close_step(struct weir_conn *c, int64_t now_ns);
void wi_conn_close_soon(struct weir_conn *c);
int64_t wi_busy_goodbye_ms(const struct weir_pool *pool);

/*
 * drain.c: has the keeper tell what is still out. The closer, at the end of its time, while the
 * pool is its own.
 */
void wi_drain_report(struct weir_pool *pool);

/* tend.c: what time does to connections. */
void wi_tend(struct weir_pool *pool, int64_t now_ns);
void wi_tend_first(struct weir_conn *c, int64_t now_ns, bool fresh);
int64_t wi_tend_interval(const weir_options *options);

/*
 * reload.c: other options come into force, those that may change; memory for their sizes has been
 * prepared. What a resize has said that came after so many stays. And what was asked for by a
 * pool's own users. Keeper's thread.
 */
void wi_pool_reload_now(struct weir_pool *pool, const weir_options *merged, uint32_t resizes,
                        int64_t now_ns);
void wi_pool_reload_step(struct weir_pool *pool, int64_t now_ns);

/*
 * In a child: what the parent's keeper was in the middle of, all of it once more; and what a pool's
 * own users had asked for, if that was so.
 */
void wi_pool_reload_again(struct weir_pool *pool, const weir_options *merged, bool sizes_differ,
                          uint32_t resizes);
void wi_pool_reload_finish(struct weir_pool *pool);

/* turn.c: the pool as a keeper's job. */
void wi_pool_job_init(struct weir_pool *pool);
/* The slots from `from` to `to` as they are before their first use. */
void wi_pool_slots_init(struct weir_pool *pool, uint32_t from, uint32_t to);

/* pool.c: begins to draw a pool with a keeper of its own, which does not run yet. OK or INVALID. */
weir_status wi_pool_show(struct weir_pool *pool, weir_error *error);

#endif

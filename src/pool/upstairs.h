/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the floors above ask of a pool: making it, taking a connection of it, what it is like, and
 * its end.
 */
#ifndef WI_POOL_UPSTAIRS_H
#define WI_POOL_UPSTAIRS_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/pool.h>
#include <weir/stats.h>

#include "base/world.h"
#include "driver/driver.h"
#include "pool/conn.h"
#include "pool/keeper.h"

struct wi_dsn;
struct wi_endpoint;
struct wi_ring;
struct wi_sources;

struct wi_pool_config {
	const struct wi_driver *driver;
	const struct wi_world *world;
	const struct wi_dsn *dsn;           /* copied where needed; must outlive the pool */
	const struct wi_endpoint *endpoint; /* must outlive the pool */
	const weir_options *options;        /* copied */
	void *script;                       /* for the fake driver */
	/*
	 * Told on the keeper's thread when an idle connection was lost or a connect failed: probe
	 * this host now.
	 */
	void (*on_trouble)(void *arg, const struct wi_failure *failure);
	void *trouble_arg;
	bool routed; /* a router's: its connections are to agree with what that knows */
	const struct wi_sources *sources; /* of a pool of its own: who has set which option */
	struct wi_ring *ring; /* where its events are remembered; NULL: in one of its own */
};

/* What is shown of a caller that waits. */
struct wi_plea {
	const char *tag; /* static, or NULL */
	int64_t since_ns;
};

/*
 * A pool of its own with any driver: what weir_pool_open does for libpq. script is for the fake
 * driver.
 */
weir_status wi_pool_open_with(const struct wi_driver *driver, const struct wi_world *world,
                              void *script, const char *conninfo, const weir_options *options,
                              weir_pool **pool, weir_error *error);

/* Creates a pool as a job of the keeper, which does not run yet (or whose thread this is). */
weir_status wi_pool_create(const struct wi_pool_config *config, struct wi_keeper *keeper,
                           struct weir_pool **pool, weir_error *error);

/*
 * Refuses all new checkouts and waiters; the keeper closes what is idle, and the rest as it comes
 * back. Any thread.
 */
void wi_pool_shut(struct weir_pool *pool);

/* Before it is shut: until when whoever closes it waits. Any thread. */
void wi_pool_end_by(struct weir_pool *pool, int64_t deadline_ns);

/* How many connections are in users' hands, about; exact when nobody comes or goes. Any thread. */
uint32_t wi_pool_out(struct weir_pool *pool);

/* How many have been in the same hands since before since_ns, about. Keeper's thread. */
uint32_t wi_pool_out_long(const struct weir_pool *pool, int64_t since_ns);

/* Whether a connection is in a user's hands. Any thread. */
bool wi_pool_is_held(struct weir_pool *pool);

/* Frees a pool whose job is finished, or whose keeper never ran. */
void wi_pool_free(struct weir_pool *pool);

/*
 * Takes a connection that is idle and needs no check, or NULL; the warm path. *conn is a handle, to
 * be given back with weir_checkin. Only for callers who know that the pool is not freed meanwhile.
 */
struct weir_conn *wi_pool_try(struct weir_pool *pool, const struct wi_mark *mark);

/*
 * Counts the caller as inside, so that the pool stays while the caller sleeps in it. While the
 * caller is pinned, or inside a read section, by which it knows that the pool is not freed.
 * wi_pool_exit when done.
 */
void wi_pool_enter(struct weir_pool *pool);
void wi_pool_exit(struct weir_pool *pool);

/*
 * Takes a connection, waiting until deadline_ns (0: try once); a check of one that was taken, or
 * what makes it read-only or writable, may go on until check_ns. plea: what is shown of the caller
 * (NULL: no tag, and it has come just now). Between enter and exit, outside
 * any read section. Statuses as weir_pool_checkout; UNAVAILABLE with an empty text if the waiter
 * was sent away by wi_pool_send_away.
 */
weir_status wi_pool_wait(struct weir_pool *pool, enum wi_access access, const struct wi_plea *plea,
                         int64_t deadline_ns, int64_t check_ns, struct weir_conn **conn,
                         weir_error *error);

/*
 * Nobody is sent here any more (or again): idle connections are closed, the others as they come
 * back, and none is kept open. The keeper's thread.
 */
void wi_pool_quieten(struct weir_pool *pool, bool quiet);

/* Whether nothing is left of a pool that was shut, and nobody is inside. The keeper's thread. */
bool wi_pool_is_over(struct weir_pool *pool);

/* Ends the wait of all who wait here: they choose again. Any thread. */
void wi_pool_send_away(struct weir_pool *pool);

/* Says what a fresh handle was chosen for; the thread it was lent to. */
void wi_conn_mark(struct weir_conn *handle, const struct wi_mark *mark);

/*
 * In a forked child: makes the pool anew as a job of a keeper that does not run yet. false: no id
 * left. The one thread in it.
 */
bool wi_pool_renew(struct weir_pool *pool, struct wi_keeper *keeper);

/*
 * Tells INSECURE if a password is at hand that could go to a server that has not proven who it is;
 * once. Between connect and its first step; keeper's thread.
 */
void wi_pool_warn(struct weir_pool *pool, const struct wi_target *target, void *link);

/* Connections that the server may see, as the keeper last said. Any thread. */
uint32_t wi_pool_shown_total(struct weir_pool *pool);

/* Statistics by value; fills all of *stats. */
void wi_pool_read(struct weir_pool *pool, weir_pool_stats *stats);

/* Of them how many there are, who waits, what was taken and given back; leaves the others alone. */
void wi_pool_read_sizes(struct weir_pool *pool, weir_pool_stats *stats);

/* The slot behind a handle, or NULL if the handle is stale. */
struct weir_conn *wi_conn_of(const struct weir_conn *handle);

/*
 * Whoever chose this pool goes elsewhere for a connection: if nothing is open here, one is opened
 * for who comes next. Any thread that knows the pool not to be freed meanwhile.
 */
void wi_pool_miss(struct weir_pool *pool);

/* All idle connections of this pool are looked at before their next use. Keeper's thread. */
void wi_pool_suspect_all(struct weir_pool *pool);

/*
 * Connecting may succeed again: a pause that failures have earned ends now. The keeper's thread.
 */
void wi_pool_retry_now(struct weir_pool *pool);

/* child.c: what a forked child may do with its parent's pool. */
weir_status wi_pool_in_child(struct weir_pool *pool, weir_error *error);
void wi_pool_forget(struct weir_pool *pool);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* A pool of connections to one host. */
#ifndef WEIR_POOL_H
#define WEIR_POOL_H

#include <stdint.h>

#include <weir/conn.h>
#include <weir/export.h>
#include <weir/options.h>
#include <weir/status.h>

WEIR_BEGIN

/* Opaque. */
typedef struct weir_pool weir_pool;

/*
 * Opens a pool on the one host that conninfo names.
 *
 * conninfo is a libpq URI or keyword string and may carry weir's own options as parameters
 * (postgresql://app@db/shop?pool_max=20); it wins over `options`. libpq's connect_timeout (s) and
 * tcp_user_timeout (ms) mean weir's options of these names; target_session_attrs and
 * load_balance_hosts are not heeded. NULL means the environment: DATABASE_URL, DB_HOST and its
 * like, then libpq's PG* variables. options may be NULL for the defaults (WEIR_POOL_MAX and its
 * like are read by weir_options_from_env alone); it is copied. Several hosts are INVALID here: that
 * is what a router is for.
 *
 * Returns as soon as the background thread (the keeper) runs: it does not wait for a connection. A
 * server that is down or refuses the password is told by the first checkout, with the cause. Any
 * thread. Statuses: OK, INVALID, NO_MEMORY, SYSTEM.
 */
WEIR_API WEIR_CHECKED weir_status weir_pool_open(const char *conninfo, const weir_options *options,
                                                 weir_pool **pool, weir_error *error);

/*
 * Checks a connection out. *conn is the caller's until weir_checkin or weir_discard.
 *
 * timeout_ms: 0 tries once and never sleeps; negative waits for ever; WEIR_DEFAULT_TIMEOUT means
 * options.checkout_timeout_ms. One absolute monotonic deadline covers all of it. The caller never
 * connects: it takes an idle connection, or waits its turn (first come, first served) for one that
 * comes back or is newly opened. Any thread, not in a signal handler.
 *
 * Statuses: OK; TIMEOUT (the text says what the pool looked like); EXHAUSTED (timeout 0 and none
 * idle); SHED (max_waiters); CONNECT or AUTH (no connection is open and the breaker is: the text
 * has the last error); CLOSED; FORKED; INVALID; NO_MEMORY; SYSTEM.
 */
WEIR_API WEIR_CHECKED weir_status weir_pool_checkout(weir_pool *pool, int64_t timeout_ms,
                                                     weir_conn **conn, weir_error *error);

/*
 * Gives a running pool another minimum and maximum, in the ranges of the options pool_min and
 * pool_max; pod_count and server_budget go on to cap the maximum. Returns at once, the keeper
 * follows:
 *
 *   up    who waits has connections opened for it, and the minimum is opened
 *   down  connects under way above the maximum are given up, idle connections closed, and those
 *         that are out as they are given back, whichever comes first, until there are no more than
 *         the maximum. Nobody's connection is taken away, and the server never sees more than the
 *         larger of the two maximums.
 *
 * Of several calls the last one counts. With an allocator of the program's own (weir_allocator_set)
 * a pool has room for at least four times its first maximum, and for 64 connections. Any thread;
 * does not block. error may be NULL. Statuses: OK; INVALID; NO_MEMORY, CLOSED, FORKED: all is as
 * before.
 */
WEIR_API WEIR_CHECKED weir_status weir_pool_resize(weir_pool *pool, int64_t min, int64_t max,
                                                   weir_error *error);

/*
 * Closes every connection that was opened before the call, so that new ones take their place: after
 * a change of servers, certificates, roles or whatever else a session learns as it begins.
 *
 * Those that are out are closed when they are given back. Idle ones above the minimum are closed at
 * once. Idle ones that the minimum needs are replaced: others are opened first, as many at once as
 * connect_parallel and the maximum allow, and one goes for each that is ready; until then they may
 * be lent once more. Where there is no room one goes first, and where connects fail all go.
 *
 * Returns at once, the keeper follows; weir_close EVICTED counts them. Any thread; does not block.
 * OK, INVALID, CLOSED or FORKED.
 */
WEIR_API weir_status weir_pool_evict(weir_pool *pool);

/* How callers fare while a pool is suspended. */
typedef enum weir_suspend {
	WEIR_SUSPEND_WAIT = 0, /* they wait until it is resumed, or their time is over */
	WEIR_SUSPEND_FAIL = 1, /* they fail with UNAVAILABLE at once */
} weir_suspend;

/*
 * Puts other options into force while the pool runs: those that docs/options.md has as changing at
 * once, or on new connections, which then replace those that are open, make before break; one that
 * is out is closed when it comes back. What the connection string has said stays; so do callbacks.
 * Sizes count from the options as they were: what weir_pool_resize has set stays, unless pool_min,
 * pool_max or what bounds them are others than at the last reload, or at open.
 *
 * All or nothing: INVALID names an option that may not change, and differs; or one out of its
 * range, or sizes that contradict each other. OK: the keeper has them, and puts them into force in
 * its next turn; checkouts under way end as they began. *options is copied. Any thread, also an
 * event callback; never blocks. Also NO_MEMORY, CLOSED or FORKED.
 */
WEIR_API WEIR_CHECKED weir_status weir_pool_reload(weir_pool *pool, const weir_options *options,
                                                   weir_error *error);

/*
 * Suspends a pool: no checkout that begins after this has returned is served until
 * weir_pool_resume; one whose thread lost its processor in the middle of it may still be, a moment
 * later. Those that are out go on and are given back as ever: weir_pool_stats.busy falls to 0 as
 * they are, and the keeper goes on keeping what is idle. Calling it again changes how callers fare.
 *
 * WAIT: who waits already and who comes waits for the resume; TIMEOUT at the deadline, EXHAUSTED
 * with a timeout of 0; max_waiters holds. They do not keep their places: after the resume they
 * begin to wait anew. Nothing wakes them but the resume, the close, or their own deadlines.
 *
 * Returns at once, that is after the checkouts that are under way, a tenth of a second at most
 * where a thread is held up in one. A forked child's pool (fork=reopen) begins resumed. Any thread.
 * Both: OK, INVALID, CLOSED or FORKED.
 */
WEIR_API weir_status weir_pool_suspend(weir_pool *pool, weir_suspend how);
WEIR_API weir_status weir_pool_resume(weir_pool *pool);

/*
 * Closes a pool and sets *pool to NULL. New checkouts and those that wait end with CLOSED at once.
 * Waits up to drain_ms (negative: for ever) for connections that are out. NULL and a pointer to
 * NULL are OK.
 *
 * OK: all is closed and freed. TIMEOUT: some were still out, each of which an event STILL_OUT has
 * told of before the call returns: its holder and since when (the pool is gone for new work all the
 * same; the last connection to be given back, by weir_checkin as always, frees the rest, and until
 * then the keeper goes on and tells events). Where nothing is out, close still waits for servers to
 * end their sessions: until drain_ms is over or for a second, whichever is less, but for a moment
 * (25 ms) in any case. A call of on_connect that does not return is TIMEOUT, too: the keeper goes
 * on until it has.
 *
 * Calls may go on beginning while close waits: they end with CLOSED. None may be beginning when it
 * returns, nor begin after, so a program whose threads do not learn of the close lets them end
 * first. From an event callback it is INVALID and does nothing: the keeper would wait for itself.
 */
WEIR_API weir_status weir_pool_close(weir_pool **pool, int64_t drain_ms);

WEIR_END

#endif

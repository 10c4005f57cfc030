/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a read may be shown: lag, tokens, what this process wrote, what a session has seen.
 */
#ifndef WI_ROUTE_FRESH_H
#define WI_ROUTE_FRESH_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/router.h>

#include "route/host.h"
#include "route/roles.h"
#include "route/topology.h"
#include "route/wish.h"

/* ---- fresh.c: see there ---- */

/*
 * A primary holds whatever was written on its own timeline, and on those it came from. Where its
 * timeline is not known, a read cannot be promised that, and a write need not be: it goes to the
 * primary whatever that holds. Pinned.
 */
bool wi_primary_has(weir_router *router, const struct wi_topology *topology,
                    const struct wi_wish *wish);

enum wi_freshness { WI_FRESH, WI_STALE, WI_BEHIND };

/* The same of a standby: BEHIND if it lacks nothing but a position. Pinned. */
enum wi_freshness wi_freshness_of(weir_router *router, const struct wi_topology *topology,
                                  const struct wi_host *host, const struct wi_wish *wish);

/*
 * Whether one that is BEHIND may have the position within so long: by what the probes of this
 * ticket say, or, as long as that is 0 or not answered, who knows. Pinned.
 */
bool wi_may_catch_up(weir_router *router, const struct wi_wish *wish, uint64_t ticket,
                     int64_t wait_ns);

/* ---- own_writes.c: see there ---- */

/* By the options, before the router is anybody's: what all reads wish, and what is stamped. */
void wi_own_writes_start(weir_router *router);

/* Where every checkout has more to it than the warm path knows: off that path. */
void wi_own_writes_divert(weir_router *router);

/* A number that was not given out before in this process. Any thread. */
uint64_t wi_serial_next(void);

/* A token was taken, or its position is unknown (lsn UINT64_MAX). Any thread. */
void wi_floor_raise(weir_router *router, const weir_token *token);

/* What the primary has said may take the place of what is not known. The keeper's thread. */
void wi_floor_tend(weir_router *router, const struct wi_sight *primary);

/* The hosts have another past now: no position of before says anything. The keeper's thread. */
void wi_floor_forget(weir_router *router);

/* Whether a standby has reached it, and whether a primary on this timeline may be read from. */
bool wi_floor_is_reached(const weir_router *router, uint32_t timeline, uint64_t lsn);
bool wi_floor_allows(const weir_router *router, uint32_t timeline);

/* Whether reads go to the primary just now, as somebody has written. */
bool wi_window_is_open(const weir_router *router);

/* Somebody is about to write. Any thread. */
void wi_window_begin(weir_router *router);

/* For how long they will after the next write. The keeper's thread. */
void wi_window_tend(weir_router *router, int64_t now_ns);

/* ---- session.c: see there ---- */

/* Whether a standby shows no less than the session has seen. Pinned. */
enum wi_freshness wi_session_allows(const weir_router *router, const struct wi_host *host,
                                    const weir_session *session);

/* Before a checkout: what was given back since the last one. Pinned. */
void wi_session_refresh(weir_router *router, const struct wi_topology *topology,
                        weir_session *session);

/* A checkout of the session has succeeded. */
void wi_session_note(weir_router *router, weir_session *session, const weir_conn *conn);

#endif

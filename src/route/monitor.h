/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the monitor does beside probing, on the keeper's thread where nothing else is said: when
 * each host is asked, what the answers come to, and what is told of that.
 */
#ifndef WI_ROUTE_MONITOR_H
#define WI_ROUTE_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/router.h>

#include "driver/driver.h"
#include "route/host.h"
#include "route/roles.h"

/* ---- monitor.c ---- */

/* Makes the router's monitor a job of its keeper. */
void wi_monitor_add(weir_router *router);

/* A pool's trouble: probe the host now. arg is the host; the keeper's thread. */
void wi_monitor_trouble(void *host, const struct wi_failure *failure);

/* ---- advice.c; the keeper's thread ---- */

/* Takes what was advised, and drops what holds no more. true: the hosts are to be judged anew. */
bool wi_advice_tend(weir_router *router, int64_t now_ns);

/* When to look again. */
int64_t wi_advice_due(const weir_router *router);

/* The advice, its primary as a host's number; false: none is in force. */
bool wi_advice_in_force(const weir_router *router, struct wi_advice *advice);

/* What was judged may contradict it: asks again, and at last tells. */
void wi_advice_compare(weir_router *router, int64_t now_ns);

/* Forgets all of it. Also where no keeper runs. */
void wi_advice_drop(weir_router *router);

/* ---- pace.c ---- */

/*
 * A read that allows at most so much lag: probe at least as often as it takes to know. Any thread.
 */
void wi_pace_need(weir_router *router, int64_t max_lag_ms);

/* Forgets what wi_pace_need was told and nobody has said again for a while. Keeper's thread. */
void wi_pace_relax(weir_router *router, int64_t now_ns);

/* How long a probe's question may take. */
int64_t wi_pace_limit_ms(const weir_router *router);

/* How long a lag in bytes may be judged by, where a limit of bytes is asked for. */
int64_t wi_pace_bytes_good_ns(const weir_router *router);

/* Sets when the host is asked next, after it has answered or failed. Keeper's thread. */
void wi_pace_plan(struct wi_host *host, int64_t now_ns);

/* When a host whose probe is idle wants to be asked again. Keeper's thread. */
int64_t wi_pace_due(const struct wi_host *host, int64_t now_ns);

/* A sign that something is wrong: for a while hosts are asked as fast as they may be. */
void wi_pace_alarm(weir_router *router, int64_t now_ns);

/* ---- stand.c ---- */

/* How each replica stands now, when all have been judged. Keeper's thread. */
void wi_stand_judge(weir_router *router, int64_t now_ns);

/* What time does to that; true: somebody may be back, judge again. Keeper's thread. */
bool wi_stand_turn(weir_router *router, int64_t now_ns);
int64_t wi_stand_due(const weir_router *router);

/* ---- weigh.c ---- */

/* A host of which nothing is known yet. */
void wi_weigh_start(struct wi_host *host);

/*
 * Counts what is out at each host, as long as that moves; when to do so again. Keeper's thread.
 */
int64_t wi_balance_count(weir_router *router, int64_t now_ns);

/* It had stopped, as nothing moved: it begins again. Any thread, pinned. */
void wi_balance_wake(weir_router *router);

/* Publishes what each host's share is to be, dt_ns after the last time. Keeper's thread. */
void wi_weigh_publish(weir_router *router, int64_t dt_ns);

/*
 * Among how many of n hosts, of which the first are near, a read is balanced: the near ones, unless
 * there are none, or they have become slow. Pinned.
 */
uint32_t wi_weigh_width(const weir_router *router, struct wi_host *const *hosts, uint32_t n,
                        uint32_t near);

/* ---- conclude.c: see there ---- */

/* Judges and publishes what all probes have found. The keeper's thread. */
void wi_conclude(weir_router *router, int64_t now_ns);

/* ---- identity.c; the keeper's thread ---- */

/* Which server has just answered. */
void wi_identity_note(struct wi_host *host, int64_t now_ns);

/* Whether different servers answer at this host's name. */
bool wi_identity_is_several(const struct wi_host *host, int64_t now_ns);

/*
 * Which host this standby says that it follows: its number + 1; 0: none of ours, or it is hidden.
 */
uint32_t wi_identity_followed(const weir_router *router, const struct wi_host *standby);

/* ---- hold.c; the keeper's thread ---- */

/* The host has answered; it has not. */
void wi_hold_good(struct wi_host *host, int64_t now_ns);
void wi_hold_fell(struct wi_host *host, int64_t now_ns);

/* Takes the roles of those that have failed too often of late and are back for too short a time. */
void wi_hold_down(weir_router *router, struct wi_judgement *judgement, int64_t now_ns);

/* ---- quarrel.c ---- */

/* Tells of hosts that contradict each other. After publishing; the keeper's thread. */
void wi_quarrel_tell(weir_router *router, const struct wi_judgement *judgement, int64_t now_ns);

/* ---- alarm.c ---- */

/* Judges the router's alert rules when it is time to. The keeper's thread. */
void wi_router_alarm_turn(weir_router *router, int64_t now_ns);

/* In a child: nothing was looked at yet. */
void wi_router_alarm_forget(weir_router *router);

/* A checkout has ended that was not served at once. Its thread, inside. */
void wi_router_note_checkout(weir_router *router, const weir_conn *conn, const char *tag,
                             int64_t began_ns, weir_status status);

#endif

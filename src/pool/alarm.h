/* SPDX-License-Identifier: BSD-2-Clause */
/* What a pool watches over itself: alert rules, exhaustion, what was slow. */
#ifndef WI_POOL_ALARM_H
#define WI_POOL_ALARM_H

#include <stdatomic.h>
#include <stdint.h>

#include "stat/alert.h"
#include "stat/slow.h"

struct weir_pool;

/* Access key: (k) keeper's thread; (a) atomic, any thread. */
struct wi_vigilance {
	struct wi_alarms alarms;         /* (k), but what it shows */
	_Atomic uint32_t exhausted;      /* (a) 1: told, and somebody still waits */
	struct wi_seldom exhausted_told; /* (a) */
	struct wi_slow checkouts;        /* (a) of a router's pool: none, its router counts them */
	struct wi_slow queries;          /* (a) */
};

/* Judges the alert rules when it is time to; when to look again. The keeper's thread. */
void wi_alarm_turn(struct weir_pool *pool, int64_t now_ns);
int64_t wi_alarm_due(const struct weir_pool *pool);

/* In a child: nothing was looked at yet. */
void wi_alarm_forget(struct weir_pool *pool);

/*
 * Whether every connection that there may be is out while somebody waits. That is told once, until
 * nobody waits any more: by the keeper, which looks now and then, or on the thread of a caller
 * whose time has run out.
 */
void wi_exhausted_look(struct weir_pool *pool, int64_t now_ns);
void wi_exhausted_found(struct weir_pool *pool, int64_t now_ns, uint32_t waiting);

#endif

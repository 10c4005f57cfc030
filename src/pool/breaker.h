/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The breaker of one host, with its backoff: how soon to connect again after failures.
 *
 *	CLOSED --breaker_failures in a row, or credentials refused--> OPEN --pause over--> HALF_OPEN --success--> CLOSED
 *	                                                               ^                      |
 *	                                                               +------- failure ------+  (pause doubles)
 *
 * CLOSED, a failure pauses connects for 10 ms, doubling, with jitter; OPEN, for breaker_open_ms,
 * doubling to 60 s. While anything has failed, connects go one at a time.
 */
#ifndef WI_POOL_BREAKER_H
#define WI_POOL_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

enum wi_breaker_state { WI_BREAKER_CLOSED, WI_BREAKER_OPEN, WI_BREAKER_HALF_OPEN };

/* Access key: (c) constant; (k) keeper's thread; (a) written by the keeper, read by any thread. */
struct wi_breaker {
	int64_t failures_to_open;            /* (c) 0: never opens */
	int64_t first_pause_ms;              /* (c) */
	_Atomic enum wi_breaker_state state; /* (a) */
	uint32_t failures;                   /* (k) in a row */
	uint32_t openings;                   /* (k) in a row */
	int64_t until_ns;                    /* (k) no connect before */
};

void wi_breaker_init(struct wi_breaker *b, int64_t failures_to_open, int64_t first_pause_ms);

/* Whether a connect may begin now, and how many at once. */
bool wi_breaker_allows(struct wi_breaker *b, int64_t now_ns, uint32_t connecting);

/* A connect failed. at_once: trying again soon is pointless (credentials). true: this opened it. */
bool wi_breaker_failed(struct wi_breaker *b, int64_t now_ns, bool at_once, struct wi_rng *rng);

/* A connect succeeded. true: this closed it. */
bool wi_breaker_succeeded(struct wi_breaker *b);

/* When it allows the next connect, if it does not now. */
int64_t wi_breaker_due(const struct wi_breaker *b);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The breaker of one host, with its backoff: how soon to connect again after failures, and how many
 * at once.
 *
 *	CLOSED --breaker_failures in a row, or a lasting one--> OPEN --pause over--> HALF_OPEN --success--> CLOSED
 *	                                                         ^                      |
 *	                                                         +------- failure ------+  (pause doubles)
 *
 * CLOSED, a failure pauses connects for 10 ms, doubling, with jitter; OPEN, for breaker_open_ms,
 * doubling to breaker_open_max_ms. While anything has failed, connects go one at a time, one in
 * each step of the backoff: connects that were under way together make one step when they fail.
 * Afterwards the window grows by one with every success, so from round to round 1, 2, 4, ... at
 * once. So it is for a new pool, and after connections were lost, too.
 */
#ifndef WI_POOL_BREAKER_H
#define WI_POOL_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

enum wi_breaker_state { WI_BREAKER_CLOSED, WI_BREAKER_OPEN, WI_BREAKER_HALF_OPEN };

/* What a failure means for the next connect. */
enum wi_setback {
	WI_SETBACK_USUAL,
	WI_SETBACK_FULL,     /* no room for more than what is open: pauses, and does not open it */
	WI_SETBACK_STARTING, /* the server is there and will soon be ready: the pause stays short */
	WI_SETBACK_LASTING,  /* trying again soon mends nothing: opens it at once */
};

/* Access key: (c) constant; (k) keeper's thread; (a) written by the keeper, read by any thread. */
struct wi_breaker {
	int64_t failures_to_open;            /* (c) 0: never opens */
	int64_t first_pause_ms;              /* (c) */
	int64_t longest_pause_ms;            /* (c) */
	_Atomic enum wi_breaker_state state; /* (a) */
	uint32_t failures;                   /* (k) in a row, without those of a full server */
	uint32_t steps;                      /* (k) of the backoff, since the last success */
	uint32_t openings;                   /* (k) in a row */
	uint32_t window;                     /* (k) connects at once */
	int64_t paused_ns;                   /* (k) when the present pause began */
	int64_t until_ns;                    /* (k) no connect before */
};

void wi_breaker_init(struct wi_breaker *b, int64_t failures_to_open, int64_t first_pause_ms,
                     int64_t longest_pause_ms);

/* Whether a connect may begin now, beside those under way. */
/* Other limits while it runs: for the next failure and the next pause. Keeper's thread. */
void wi_breaker_tune(struct wi_breaker *b, int64_t failures_to_open, int64_t first_pause_ms,
                     int64_t longest_pause_ms);

bool wi_breaker_allows(struct wi_breaker *b, int64_t now_ns, uint32_t connecting);

/* A connect that was begun at begun_ns failed. true: this opened it. */
bool wi_breaker_failed(struct wi_breaker *b, int64_t now_ns, int64_t begun_ns,
                       enum wi_setback setback, struct wi_rng *rng);

/* A connect succeeded. true: this closed it. */
bool wi_breaker_succeeded(struct wi_breaker *b);

/* Open connections were lost: what takes their place comes one at a time to begin with. */
void wi_breaker_lost(struct wi_breaker *b);

/* The pause ends now. true: there was one. */
bool wi_breaker_retry(struct wi_breaker *b, int64_t now_ns);

/* When it allows the next connect, if it does not now. */
int64_t wi_breaker_due(const struct wi_breaker *b);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether what is open still leads to what the router takes the host for: epoch.c. */
#ifndef WI_POOL_EPOCH_H
#define WI_POOL_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

#include "driver/driver.h"

struct weir_conn;
struct weir_pool;

/* What a host's connections have to find. */
enum wi_expect {
	WI_EXPECT_ANY, /* nothing is known, or who answers is another each time */
	WI_EXPECT_PRIMARY,
	WI_EXPECT_STANDBY
};

/* What the router knows of a host that its connections have to agree with. Zeroed: nothing. */
struct wi_belief {
	enum wi_expect expect;
	bool writes;      /* it is the primary */
	bool reads;       /* it serves reads alone */
	bool unprobed;    /* it keeps what it is by what its connections say, and nobody else */
	uint64_t started; /* the server, microseconds since 1970; 0: unknown, or no matter */
};

/*
 * Of this host's connections none that is open now is handed out before it has been asked who
 * answers there. Any thread; no locks, no waiting.
 */
void wi_epoch_move(struct weir_pool *pool);

/* The same once this turn is over, however often it is said. Keeper's thread. */
void wi_epoch_move_soon(struct weir_pool *pool);

/* What the router knows now; if that is news, the epoch moves. Keeper's thread. */
void wi_pool_believe(struct weir_pool *pool, const struct wi_belief *belief);

/* How many idle ones are still to be asked. Any thread. */
uint32_t wi_epoch_doubted(const struct weir_pool *pool);

/* Once a turn of the keeper's. */
void wi_epoch_turn(struct weir_pool *pool);

/* A connection is begun to be opened: what it learns is of this epoch. */
void wi_epoch_open(struct weir_conn *c);

/* In the keeper's hands, and nothing else is to be done: whether it has to be asked first. */
bool wi_epoch_is_owed(const struct weir_conn *c);

/* The question is about to be sent. */
const char *wi_epoch_ask(struct weir_conn *c);

/* Its answer, or that to the first question after a connect, is there. false: it was closed. */
bool wi_epoch_take(struct weir_conn *c);

/*
 * By who gives it back, before anybody else can have another: whether one of its statements was
 * refused for being a write moves the epoch at once.
 */
void wi_epoch_heard(struct weir_conn *c);

/* The same for the keeper: what its driver makes of it; before it is told what was heard. */
enum wi_refusal wi_epoch_refusal(const struct weir_conn *c);

/*
 * The keeper, of one that has heard such a refusal. true: it is closed. Else it goes on, and is
 * asked where the refusal may be the server's.
 */
bool wi_epoch_refused(struct weir_conn *c, enum wi_refusal refusal);

/* The keeper, of one that came back: what its session reports of its server has changed. */
void wi_epoch_look(struct weir_conn *c);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the checker plays: a primary with two standbys and synchronous replication, a fault proxy
 * before each, and two routers whose hosts are the proxies, as two processes would have them: what
 * was written through one is read through the other.
 *
 * Replication goes from server to server past the proxies. A commit waits for any one standby, so
 * that what was acknowledged survives if the more advanced of the two is promoted.
 */
#ifndef WEIR_CHECK_STAGE_H
#define WEIR_CHECK_STAGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "check/ops.h"
#include "support/cluster.h"
#include "support/proxy.h"

#define SERVERS 3
#define ROUTERS CHECK_ROUTERS
#define PROMOTIONS 2048
#define EPISODES 8192
#define ACCOUNTS 8
#define BALANCE 1000

/* Acknowledged writes of a register of which somebody has a token: the last few, in turn. */
#define POSTED 8

struct posted_write {
	uint64_t value;
	weir_token token;
};

struct board {
	struct posted_write write[POSTED];
	uint32_t n;
	int64_t version; /* as last heard of, for compare-and-set */
};

/* A deed, from its beginning until all was well again. */
struct episode {
	uint8_t deed;
	int64_t from_ns, to_ns;
};

/*
 * Access key: (c) constant while clients run; (a) any thread; (l) under `lock`; (d) the fault
 * driver's only.
 */
struct stage {
	struct test_cluster *cluster;      /* (d) */
	struct test_proxy *proxy[SERVERS]; /* (c) */
	weir_router *router[ROUTERS];      /* (c) */
	int64_t begun_ns;                  /* (c) */
	/* (c) a client's pause between two operations, on average */
	int64_t pace_us;
	_Atomic bool stop;             /* (a) */
	_Atomic uint64_t acknowledged; /* (a) writes */
	_Atomic uint32_t complaints;   /* (a) checkouts that failed */
	pthread_mutex_t lock;
	struct board board[CHECK_REGISTERS]; /* (l) */

	struct wi_rng rng;  /* (d) */
	int primary;        /* (d) */
	bool broken;        /* (d) the cluster did not obey: nothing here says anything */
	uint32_t fact_room; /* (d) */
	struct episode episodes[EPISODES]; /* (d) what was done, and when */
	uint32_t n_episodes;               /* (d) */
	uint32_t n_promoted;               /* (d) */
	int64_t promoted_ns[PROMOTIONS];   /* (d) when the new primary was there and followed */
	struct history history;            /* lanes: their clients'; facts: (d) */
	struct findings *findings;         /* (d) until clients have ended */
};

/* Starts everything, or ends the process: status 77 where there is no PostgreSQL. */
void stage_open(struct stage *stage, uint64_t seed, double seconds, int64_t probe_ms);
void stage_close(struct stage *stage);

/* Reads the log, the truth, from the primary. */
bool stage_read_truth(struct stage *stage);

/* A line with the time, on stdout. */
void stage_say(const struct stage *stage, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The server behind the host of this name; CHECK_NO_HOST: none. */
uint8_t stage_server(const struct stage *stage, const char *host);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* How a router or a pool is just now, in one answer: for health checks and people. */
#ifndef WEIR_HEALTH_H
#define WEIR_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/conn.h>
#include <weir/export.h>
#include <weir/pool.h>
#include <weir/router.h>
#include <weir/status.h>

WEIR_BEGIN

/* From bad to good; zero is never a good word by mistake. */
typedef enum weir_health_status {
	WEIR_UNHEALTHY = 0, /* neither reads nor writes can be served */
	WEIR_DEGRADED = 1,  /* something can be served, but not all is as it should be */
	WEIR_HEALTHY = 2,
} weir_health_status;

/* What a look came to. Members are only added at the end. */
typedef struct weir_health {
	size_t size; /* sizeof(weir_health), set by the caller; 0 means the same */
	weir_health_status status;
	/* all that is not as it should be, a line each; "" if healthy. Holds no secret */
	char why[WEIR_ERROR_TEXT];
	/*
	 * whether a checkout of that intent is served: at once, or, where all connections are out,
	 * when one of them is given back
	 */
	bool reads, writes;
	/* how a checkout of that intent ended; EXHAUSTED or TIMEOUT: all connections are out */
	weir_status read_status, write_status;
	bool suspended;
	/*
	 * a server was asked on a connection of the pool, and answered; else the next six are empty
	 */
	bool answered;
	char host[WEIR_ERROR_HOST]; /* "name:port" that answered */
	int server_version;         /* as server_version_num */
	int64_t server_time_us;     /* its clock: microseconds since 1970, UTC */
	int64_t round_trip_ns;
	char database[64], user[64];
	weir_role role; /* of the host that answered; for a pool, by what it said of itself */
	/* connections, over all hosts: as in weir_pool_stats */
	uint32_t max, total, idle, busy, opening, waiting;
	/* hosts that are not leaving; those that answer probes; and of them the replicas */
	uint32_t hosts, reachable, replicas;
	char primary[WEIR_ERROR_HOST]; /* "name:port"; "": none is known */
} weir_health;

/*
 * Looks how a router is: by what it knows of its hosts, by one checkout for each intent, and by one
 * round trip on the read's connection (the write's, where there is none): a SELECT of the server's
 * clock, database, user and version, outside of any transaction.
 *
 * timeout_ms bounds all of it; negative: for ever. 0 asks no server: only what is known, and what a
 * checkout that may not wait comes to. Where all connections are out it does not wait for one: that
 * is DEGRADED, and quickly so. It waits where none is open yet, and for the server's answer.
 *
 * Any thread but an event sink's; blocks up to timeout_ms. Costs the pool a connection for a round
 * trip, so who asks often shares an answer, as libweir-http does. `health` is filled in unless the
 * status is INVALID or NO_MEMORY. Statuses: OK, whatever it found; INVALID; NO_MEMORY; CLOSED;
 * FORKED.
 */
WEIR_API WEIR_CHECKED weir_status weir_router_health(weir_router *router, int64_t timeout_ms,
                                                     weir_health *health, weir_error *error);

/*
 * The same of a pool: the role is what its server says of itself, and a standby takes no writes. A
 * look at a pool has to end before the pool is closed.
 */
WEIR_API WEIR_CHECKED weir_status weir_pool_health(weir_pool *pool, int64_t timeout_ms,
                                                   weir_health *health, weir_error *error);

/* "unhealthy", "degraded", "healthy". Any thread; never NULL; static storage. */
WEIR_API const char *weir_health_name(weir_health_status status);

WEIR_END

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* A router: a pool a host, roles observed, writes to the primary, reads to the replicas. */
#ifndef WEIR_ROUTER_H
#define WEIR_ROUTER_H

#include <stdint.h>

#include <weir/conn.h>
#include <weir/export.h>
#include <weir/options.h>
#include <weir/pool.h>
#include <weir/session.h>
#include <weir/status.h>
#include <weir/token.h>

WEIR_BEGIN

/* Pools to all hosts of a cluster, and who is who among them. Opaque. */
typedef struct weir_router weir_router;

/* What the caller will do. Zero is WRITE: a zeroed request is always safe. */
typedef enum weir_intent {
	WEIR_WRITE = 0,
	WEIR_READ = 1,
} weir_intent;

/*
 * What a read does when no replica is eligible. Zero means what the router's options say. Where
 * replicas only lack the position of a token or a session, they are asked first, and waited for up
 * to options.token_wait_ms (not with WEIR_NO_WAIT).
 */
typedef enum weir_fallback {
	WEIR_FALLBACK_DEFAULT = 0, /* options.read_fallback */
	WEIR_FALLBACK_PRIMARY = 1, /* reads from the primary */
	WEIR_FALLBACK_WAIT = 2,    /* waits for an eligible replica, up to the deadline */
	WEIR_FALLBACK_FAIL = 3,    /* fails with UNAVAILABLE at once */
	/*
	 * As PRIMARY; but where that would be more than options.read_fallback_max_pct, it fails
	 * with EXHAUSTED at once instead of waiting.
	 */
	WEIR_FALLBACK_PRIMARY_OR_FAIL = 4,
} weir_fallback;

/*
 * Which role a read is served by. Zero means a replica, or what the fallback says; with any other,
 * the fallback only says whether a read for which there is nobody waits (up to its deadline), or
 * fails at once (WEIR_FALLBACK_FAIL). A primary that takes no writes counts as either role.
 */
typedef enum weir_target {
	WEIR_TARGET_DEFAULT = 0,
	WEIR_TARGET_PRIMARY = 1, /* the primary, never a replica */
	/* the primary; a replica if there is no primary, or if that one is busy and it is not */
	WEIR_TARGET_PREFER_PRIMARY = 2,
	WEIR_TARGET_REPLICA = 3,        /* a replica, never the primary */
	WEIR_TARGET_PREFER_REPLICA = 4, /* the primary only if no replica is eligible */
	WEIR_TARGET_ANY = 5,            /* all that are eligible, the primary as one of them */
} weir_target;

/* A checkout with wishes. Zero it, set `size` with WEIR_REQUEST, and fill in what matters. */
typedef struct weir_request {
	size_t size; /* sizeof(weir_request), set by WEIR_REQUEST; 0 means the same */
	weir_intent intent;
	weir_fallback fallback;
	/* 0: options.checkout_timeout_ms; WEIR_NO_WAIT: try once; negative: for ever */
	int64_t timeout_ms;
	weir_token at_least; /* a read sees at least this position; zeroed: no such wish */
	int64_t max_lag_ms;  /* a read is at most so stale; 0: options.max_lag_ms */
	const char *zone;    /* prefer hosts of this zone; NULL: options.zone */
	const char *tag;     /* static string for leak reports; kept by pointer until checkin */
	/* of a read; a write is for the primary, and a target that says otherwise is INVALID */
	weir_target target;
	/* a read's replica has at most so much left to replay; 0: options.max_lag_bytes */
	int64_t max_lag_bytes;
	weir_session *session; /* whose reads see its writes and never go back; NULL: nobody's */
} weir_request;

/* A request with its size: WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 500). */
#define WEIR_REQUEST(...) ((weir_request){.size = sizeof(weir_request), __VA_ARGS__})

/* For weir_request.timeout_ms, where 0 means the default: try once and never sleep. */
#define WEIR_NO_WAIT INT64_MIN

/*
 * Opens a router on all hosts that conninfo names: postgresql://app@h1,h2:5433,h3/shop. Roles are
 * observed, so the order says nothing. options.primary and options.replicas name endpoints by hand,
 * for services that hide hosts behind reader and writer names; then the hosts of conninfo are not
 * used. conninfo, options, ownership and statuses as weir_pool_open.
 *
 * Returns as soon as the keeper runs; the first checkout waits for the first look at the hosts.
 */
WEIR_API WEIR_CHECKED weir_status weir_router_open(const char *conninfo,
                                                   const weir_options *options,
                                                   weir_router **router, weir_error *error);

/*
 * Checks a connection out: WEIR_WRITE on the primary, WEIR_READ on a replica (options.read_fallback
 * says what if there is none). Waits up to options.checkout_timeout_ms; one deadline covers
 * choosing, waiting and every host. Any thread, not in a signal handler.
 *
 * Statuses: as weir_pool_checkout, and UNAVAILABLE: no host can serve the intent; the text names
 * each host with its role and last error.
 */
WEIR_API WEIR_CHECKED weir_status weir_checkout(weir_router *router, weir_intent intent,
                                                weir_conn **conn, weir_error *error);

/*
 * As weir_checkout, with wishes. A NULL or zeroed request is a write with the configured timeout.
 */
WEIR_API WEIR_CHECKED weir_status weir_checkout_with(weir_router *router,
                                                     const weir_request *request, weir_conn **conn,
                                                     weir_error *error);

/*
 * As weir_pool_reload, for the router and the pools of all its hosts, also those that are added
 * later: all of them or none. Waits for the keeper's next turn, in which they come into force; on a
 * keeper's thread (an event callback) it is only asked for, and a refusal that comes up then is
 * told by HOST_REFUSED.
 */
WEIR_API WEIR_CHECKED weir_status weir_router_reload(weir_router *router,
                                                     const weir_options *options,
                                                     weir_error *error);

/*
 * As weir_pool_resize, for the pool of each host: min and max are for one host. All of them or
 * none.
 */
WEIR_API WEIR_CHECKED weir_status weir_router_resize(weir_router *router, int64_t min, int64_t max,
                                                     weir_error *error);

/*
 * As weir_pool_evict, for one host, by its name in the connection string with or without the port,
 * or for all (NULL). INVALID also for a host that the router does not have. The keeper's own probes
 * go on with the connections they have.
 */
WEIR_API weir_status weir_router_evict(weir_router *router, const char *host);

/*
 * As weir_pool_suspend and weir_pool_resume, for the whole router. Probes go on meanwhile. Who
 * waits for the resume here is counted by no host: neither in its statistics nor by its
 * max_waiters.
 */
WEIR_API weir_status weir_router_suspend(weir_router *router, weir_suspend how);
WEIR_API weir_status weir_router_resume(weir_router *router);

/*
 * What an outside authority knows: Patroni (<weir/patroni.h>), an operator. Zero it and set size.
 */
typedef struct weir_advice {
	size_t size;         /* sizeof(weir_advice); 0 means the same */
	const char *primary; /* "host:port", as the router names it; "" or NULL: nobody is */
	uint32_t timeline;   /* that it is on; 0: unknown */
	int64_t good_for_ms; /* counted from the call; 0: as if there were none */
} weir_advice;

/*
 * Says who the primary is meant to be, for good_for_ms; an older advice is forgotten. While it
 * holds, it decides between hosts that contradict each other, and no other host gets a write; but
 * whom it names gets one only if that host says itself that it is the primary. NULL takes the last
 * one back. When the hosts go on saying otherwise, the event ADVICE_DOUBTED tells so.
 *
 * Any thread, not in an event sink; does not block; the texts are copied. Statuses: OK, INVALID (no
 * such host, a negative time: then there is no advice), NO_MEMORY, CLOSED, FORKED.
 */
WEIR_API weir_status weir_router_advise(weir_router *router, const weir_advice *advice,
                                        weir_error *error);

/*
 * Waits until something about the hosts or their roles is other than when *seen was set (0 at
 * first, which is never waited for), or an advice is taken back, and sets it anew; or for
 * timeout_ms (negative: for ever). For who gives advice: it is the moment to ask again. Any thread
 * but the keeper's. Statuses: OK, TIMEOUT, INVALID, CLOSED, FORKED.
 */
WEIR_API WEIR_CHECKED weir_status weir_router_await(weir_router *router, uint32_t *seen,
                                                    int64_t timeout_ms);

/*
 * Closes a router, its pools and its keeper, and sets *router to NULL. All else as weir_pool_close.
 */
WEIR_API weir_status weir_router_close(weir_router **router, int64_t drain_ms);

WEIR_END

#endif

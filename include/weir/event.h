/* SPDX-License-Identifier: BSD-2-Clause */
/* What weir tells as it happens. */
#ifndef WEIR_EVENT_H
#define WEIR_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include <weir/export.h>
#include <weir/status.h>

WEIR_BEGIN

/* What is told: name, text. New ones are added at the end. */
#define WEIR_EVENT_MAP(X)                                                                          \
	X(CONNECTED, "a connection is ready")                                                      \
	X(CONNECT_FAILED, "a connect attempt failed")                                              \
	X(LOST, "an open connection was ended by the server or the network")                       \
	X(CLOSED, "a connection was closed")                                                       \
	X(SETTINGS_FALLBACK, "the server did not take the startup options: set after connect")     \
	X(SETTINGS_REFUSED, "the server's answer differs from what was asked")                     \
	X(BREAKER_OPENED, "too many connects failed in a row: paused")                             \
	X(BREAKER_CLOSED, "a connect succeeded again")                                             \
	X(ROLE_CHANGED, "a host has another role than before")                                     \
	X(SPLIT_BRAIN, "more than one host claims to be the primary")                              \
	X(LEAK, "a connection is held for longer than leak_after_ms, or its thread has ended")     \
	X(MISUSE, "a stale or foreign handle was given back")                                      \
	X(SELF_DEADLOCK, "a thread waits for a connection and holds the last ones itself")         \
	X(BREAKER_HALF_OPEN, "a pause is over: one connect tries whether the server is back")      \
	X(INSECURE, "a password could go to a server that has not proven who it is")               \
	X(STILL_OUT, "a close has waited for this connection in vain")                             \
	X(ADVICE_DOUBTED, "an outside authority and the hosts disagree on who is the primary")     \
	X(FENCED, "a host claims to be the primary, and gets no write: another one is, or was")    \
	X(HOST_ADDED, "the router has one host more")                                              \
	X(HOST_REMOVED, "the router has one host less; its connections may still be out")          \
	X(HOST_LEFT, "the last connection of a removed host is closed")                            \
	X(HOST_CHANGED, "a host is drained, or not any more, or has another zone or weight")       \
	X(HOST_REFUSED, "a host could not be added, removed or changed")                           \
	X(EJECTED, "a replica is left out of reads for a while: it loses connections")             \
	X(READMITTED, "a replica that was left out serves reads again")                            \
	X(EXHAUSTED, "every connection that a pool may have is out, and somebody waits")           \
	X(SLOW_CHECKOUT, "a checkout took longer than slow_checkout_ms")                           \
	X(SLOW_QUERY, "a statement took longer than slow_query_ms")                                \
	X(ALERT_RAISED, "an alert rule found what it looks for, or still does: alert.h")           \
	X(ALERT_CLEARED, "an alert is over")                                                       \
	X(NAME_DOUBTED, "an environment name is none of weir's, but near one")

typedef enum weir_event_kind {
#define WEIR_EVENT_ENUM(name, text) WEIR_EVENT_##name,
	WEIR_EVENT_MAP(WEIR_EVENT_ENUM)
#undef WEIR_EVENT_ENUM
		WEIR_EVENT_KINDS
} weir_event_kind;

/* What an event sink is told. */
typedef struct weir_event {
	weir_event_kind kind;
	int64_t at_ns;    /* CLOCK_MONOTONIC */
	const char *host; /* "name:port", or "" */
	/* one line about it, without secrets; both live only as long as the call */
	const char *text;
	uint64_t sequence; /* from 1, one more with each event of this pool or router */
} weir_event;

/*
 * Until a close has returned OK: after one that returned TIMEOUT, until the last connection is
 * back. Called on the keeper's thread, except MISUSE, SELF_DEADLOCK, SLOW_CHECKOUT and SLOW_QUERY,
 * which are told on the thread that did it, and EXHAUSTED, which may be: so by several threads at
 * once. Must not block and must not call into the pool or router it came from, except for its
 * statistics, its events and alerts, and to change its hosts (hosts.h).
 */
typedef void (*weir_event_sink)(void *arg, const weir_event *event);

struct weir_pool;
struct weir_router;

/* How many events a pool or router remembers: the last ones. */
#define WEIR_EVENTS_KEPT 256

/* One that is remembered; host and text are cut to what fits, never within a character. */
typedef struct weir_event_record {
	uint64_t sequence; /* as it was told with */
	weir_event_kind kind;
	int64_t at_ns;   /* CLOCK_MONOTONIC */
	int64_t wall_ns; /* since 1970, as the machine's clock said then */
	char host[104];  /* "name:port", or "" */
	char text[248];
} weir_event_record;

/*
 * The events that a pool or router remembers from after_sequence on (0: from the oldest), in their
 * order, at most `room` of them; how many. To follow what happens, pass the sequence of the last
 * one that came. *lost (may be NULL): how many between after_sequence and the last one that came
 * were overwritten meanwhile, or never written, as a thread was stopped in the middle of one.
 * There with and without on_event. Any thread, also in an event sink; never blocks, and holds
 * nobody up. The caller sees to it that the pool is not closed meanwhile. What is told while this
 * reads may or may not be in it; one that is still being written ends the list, until 16 more
 * have been told. Of a router: what its hosts' pools tell, too.
 */
WEIR_API size_t weir_pool_events_get(struct weir_pool *pool, uint64_t after_sequence,
                                     weir_event_record *records, size_t room, uint64_t *lost);
WEIR_API size_t weir_router_events_get(struct weir_router *router, uint64_t after_sequence,
                                       weir_event_record *records, size_t room, uint64_t *lost);

/* How often an event of this kind was told, ever. As above. */
WEIR_API uint64_t weir_pool_events_count(struct weir_pool *pool, weir_event_kind kind);
WEIR_API uint64_t weir_router_events_count(struct weir_router *router, weir_event_kind kind);

/* "CONNECTED": the name of a kind. Never NULL; static storage; any thread. */
WEIR_API const char *weir_event_name(weir_event_kind kind);

WEIR_END

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What weir tells as it happens. */
#ifndef WEIR_EVENT_H
#define WEIR_EVENT_H

#include <stdint.h>

#include <weir/export.h>
#include <weir/status.h>

WEIR_BEGIN

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
	X(READMITTED, "a replica that was left out serves reads again")

typedef enum weir_event_kind {
#define WEIR_EVENT_ENUM(name, text) WEIR_EVENT_##name,
	WEIR_EVENT_MAP(WEIR_EVENT_ENUM)
#undef WEIR_EVENT_ENUM
		WEIR_EVENT_KINDS
} weir_event_kind;

typedef struct weir_event {
	weir_event_kind kind;
	int64_t at_ns;    /* CLOCK_MONOTONIC */
	const char *host; /* "name:port", or "" */
	/* one line about it, without secrets; both live only as long as the call */
	const char *text;
} weir_event;

/*
 * Until a close has returned OK: after one that returned TIMEOUT, until the last connection is
 * back. Called on the keeper's thread, except MISUSE and SELF_DEADLOCK, which are told on the
 * thread that did it. Must not block and must not call into the pool or router it came from, except
 * for its statistics and to change its hosts (hosts.h).
 */
typedef void (*weir_event_sink)(void *arg, const weir_event *event);

WEIR_API const char *weir_event_name(weir_event_kind kind);

WEIR_END

#endif

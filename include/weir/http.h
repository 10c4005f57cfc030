/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small HTTP server for those who operate a program that uses weir: metrics, health, readiness
 * and a page for people. A library of its own (libweir-http, with libmicrohttpd and Jansson), so
 * that libweir needs neither; nothing starts by itself.
 *
 *	weir_http_source shown[] = {{.name = "shop", .router = router}};
 *	weir_http_settings s = {.size = sizeof(s), .port = 9187, .sources = shown, .n_sources = 1};
 *	weir_http *http;
 *	if (weir_http_start(&s, &http, &error) != WEIR_OK) ...
 *
 *	/            the page: hosts, roles, lag, pools, waiters, events, latencies; live
 *	/state.json  what the page shows
 *	/metrics     Prometheus or OpenMetrics text, as the Accept header asks
 *	/health      JSON; 200, or 503 if one of the sources is unhealthy
 *	/ready       JSON; 200 while checkouts can be served, else 503
 *
 * It only shows: GET and HEAD, no password, no SQL text, nothing that changes anything. It has no
 * TLS and asks nobody who he is: beyond this machine it belongs behind a proxy that does both
 * (docs/http.md).
 */
#ifndef WEIR_HTTP_H
#define WEIR_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/export.h>
#include <weir/pool.h>
#include <weir/router.h>
#include <weir/status.h>

WEIR_BEGIN

/* A server of its own thread. Opaque. */
typedef struct weir_http weir_http;

/* One router, or one pool, and the name it is shown by. */
typedef struct weir_http_source {
	const char *name; /* 1 to 63 printable characters, no two alike */
	weir_router *router;
	weir_pool *pool;
} weir_http_source;

/* How many routers and pools one server shows, at most. */
#define WEIR_HTTP_SOURCES_MAX 16

/* What has to be served for /ready to say 200. */
typedef enum weir_http_wants {
	WEIR_HTTP_WANTS_BOTH = 0,
	WEIR_HTTP_WANTS_READS = 1,
	WEIR_HTTP_WANTS_WRITES = 2,
	/* a source that serves either: for programs that do with reads while there is no primary */
	WEIR_HTTP_WANTS_ANY = 3,
} weir_http_wants;

/*
 * Zero it, set `size` and sources, and fill in what matters. All of it is copied. Members are only
 * added at the end.
 */
typedef struct weir_http_settings {
	size_t size; /* sizeof(weir_http_settings); 0 means the same */
	const weir_http_source *sources;
	size_t n_sources; /* 1 to WEIR_HTTP_SOURCES_MAX */
	/*
	 * NULL: "127.0.0.1". An address, no name: "::1"; "0.0.0.0" or "::" for all of this machine,
	 * which shows everybody who can reach it what is on the page
	 */
	const char *address;
	uint16_t port; /* 0: the system chooses, weir_http_port tells */
	/*
	 * By which names it may be asked, "weir.example,10.0.0.7": the Host header of a request has
	 * to have one of them, with any port. NULL: on a loopback address "localhost" and loopback
	 * addresses, so that no web page can reach it by a name that its owner points here (DNS
	 * rebinding); elsewhere any
	 */
	const char *hosts;
	weir_http_wants ready_wants;
	int64_t health_timeout_ms;  /* of a look at a source; 0: 1000 */
	int64_t health_good_for_ms; /* how long its result is given to all who ask; 0: 1000 */
	/* open at a time; 0: 64. For one that comes beyond, the one that is slowest has to go */
	uint32_t connections_max;
	/*
	 * for a request from its first byte (of a connection: from the accept) to the last byte of
	 * its answer, without what a look at health takes; and for a connection without one; 0:
	 * 10000
	 */
	int64_t timeout_ms;
	size_t request_max; /* a request is at most so long, in bytes; 0: 8192 */
} weir_http_settings;

/*
 * Starts it: a thread that serves, and one for each source that looks at its health when somebody
 * asks. They take no signals, and nothing they do waits for a keeper or holds it up. The routers
 * and pools have to stay open until weir_http_stop has returned: stop first, then close.
 *
 * Any thread; does not block. *http is the caller's, to stop. Statuses: OK; INVALID (the settings;
 * the text says which); NO_MEMORY; SYSTEM (the address cannot be listened on; no thread).
 *
 * After a fork the child has no such thread, but still has the listening socket: one that lives on
 * calls weir_http_stop, which closes what is its own and does nothing to the parent's.
 */
WEIR_API WEIR_CHECKED weir_status weir_http_start(const weir_http_settings *settings,
                                                  weir_http **http, weir_error *error);

/* The port it listens on. Any thread; does not block. */
WEIR_API uint16_t weir_http_port(const weir_http *http);

/*
 * Whether /ready may say 200: true at first. With false it says 503 from the next request on, for a
 * graceful shutdown: take the program out of the load balancer, wait, and only then suspend, drain
 * and close. Any thread; does not block.
 */
WEIR_API void weir_http_ready(weir_http *http, bool ready);

/*
 * Ends it and sets *http to NULL; NULL is a no-op. Connections are closed, answers not yet sent are
 * lost. Waits for looks under way: up to health_timeout_ms. Any thread but an event sink's.
 */
WEIR_API void weir_http_stop(weir_http **http);

WEIR_END

#endif

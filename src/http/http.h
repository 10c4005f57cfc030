/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of libweir-http share. */
#ifndef WI_HTTP_HTTP_H
#define WI_HTTP_HTTP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/health.h>
#include <weir/http.h>

struct MHD_Connection;
struct MHD_Daemon;

#define WI_NAMES_MAX 16

/* ---- settings.c ---- */

/* The settings as read: defaults in place, texts copied. */
struct wi_http_settings {
	char address[64];
	uint16_t port;
	bool is_loopback;
	char name[WI_NAMES_MAX][256]; /* by which it may be asked, in small letters */
	uint32_t n_names;             /* 0: see wi_settings_know */
	weir_http_wants ready_wants;
	int64_t health_timeout_ms, health_good_for_ms, timeout_ms;
	uint32_t connections_max;
	size_t request_max;
};

weir_status wi_settings_read(struct wi_http_settings *to, const weir_http_settings *from,
                             weir_error *error);

/* Whether a Host header ("name", "name:port", "[address]:port") has one of the names. */
bool wi_settings_know(const struct wi_http_settings *settings, const char *host);

/* Fills error (may be NULL) and returns status. */
WEIR_PRINTF(3, 4)
weir_status wi_http_fail(weir_error *error, weir_status status, const char *format, ...);

/* ---- http.c ---- */

/*
 * A router or pool, and what the last look at it came to.
 *
 * Access key: (c) constant; (l) under the lock of struct weir_http; (h) the serving thread's.
 */
struct wi_source {
	char name[64];          /* (c) */
	weir_router *router;    /* (c) or */
	weir_pool *pool;        /* (c) */
	struct weir_http *http; /* (c) */
	pthread_t thread;       /* (c) that looks */
	weir_health health;     /* (l) */
	weir_status status;     /* (l) of the look: OK, or why there was none */
	weir_error error;       /* (l) */
};

/* A connection, from accept to close. The serving thread's. */
struct wi_client {
	struct wi_client *next, *before;
	struct MHD_Connection *connection;
	int fd;
	int64_t since_ms;       /* the accept, or the end of the last request */
	bool cut;               /* shut down: about to be closed */
	bool waits;             /* suspended, until a round of looks is over */
	uint64_t round;         /* that one; 0: none */
	int64_t waits_until_ms; /* at most */
};

struct weir_http {
	struct wi_http_settings settings;               /* (c) */
	struct wi_source source[WEIR_HTTP_SOURCES_MAX]; /* (c) but for what it says itself */
	uint32_t n_sources;                             /* (c) */
	long process;                                   /* (c) whose threads they are */
	int64_t started_ms;                             /* (c) */
	int listener;                                   /* (c) the socket; the daemon closes it */
	int bell;                                       /* (c) an eventfd that wakes who serves */
	uint16_t port;                                  /* (c) */
	pthread_t thread;                               /* (c) */
	struct MHD_Daemon *daemon;                      /* (h) */
	struct wi_client *clients;                      /* (h) */
	bool has_room; /* (h) a connection was closed since the last look */
	atomic_bool ending, unready;

	pthread_mutex_t lock;
	pthread_cond_t change;
	uint64_t round;    /* (l) of looks, the last that was asked for */
	uint64_t finished; /* (l) the last that is over; round, or one less */
	uint32_t looking;  /* (l) sources that have yet to finish this round */
	int64_t looked_ms; /* (l) when the last one was over */
};

int64_t wi_http_now_ms(void);

/* Wakes the serving thread. Any thread. */
void wi_http_ring(struct weir_http *http);

/* ---- look.c: the looks at health ---- */

/* Starts the threads that look; false: not all could be, and those that were are to be ended. */
bool wi_look_start(struct weir_http *http);

/* Ends them; waits for a look under way. */
void wi_look_stop(struct weir_http *http);

/*
 * 0: there is a result that is still good. Else the round of looks that goes on now, after which
 * there will be one.
 */
uint64_t wi_look_ask(struct weir_http *http);

/* The last round that is over. */
uint64_t wi_look_finished(struct weir_http *http);

/* What the last look at a source came to, and how old that is in *age_ms (-1: there was none). */
weir_status wi_look_get(struct wi_source *source, weir_health *health, weir_error *error,
                        int64_t *age_ms);

/* ---- serve.c: the thread that serves ---- */

weir_status wi_serve_start(struct weir_http *http, weir_error *error);
void wi_serve_stop(struct weir_http *http);

/* In a child of fork: closes what is its own, and says nothing on it. */
void wi_serve_abandon(struct weir_http *http);

/*
 * The client waits until that round is over, and is asked about again. The serving thread, inside a
 * request.
 */
void wi_serve_wait(struct weir_http *http, struct wi_client *client, uint64_t round);

/* ---- answer.c: a request and its answer ---- */

/*
 * Called with the head of a request, which it may refuse, and again with the whole of it: answers
 * then, or makes the client wait. false: the connection is to be closed. (What is answered before
 * its end closes the connection, too.)
 */
bool wi_answer(struct weir_http *http, struct wi_client *client, bool is_whole, const char *path,
               const char *method, const char *version);

/* ---- the bodies ---- */

struct wi_body {
	char *text; /* from malloc; NULL: no memory */
	size_t length;
	unsigned code; /* of HTTP */
	const char *type;
};

/* late: the look has not ended in time. */
void wi_health_body(struct weir_http *http, bool late, struct wi_body *body);
void wi_ready_body(struct weir_http *http, bool late, struct wi_body *body);
void wi_state_body(struct weir_http *http, struct wi_body *body);

/* `accept` is the request's header, or NULL. */
void wi_metrics_body(struct weir_http *http, const char *accept, struct wi_body *body);

/* Whether the header asks for OpenMetrics rather than for Prometheus's own text. */
bool wi_metrics_wants_open(const char *accept);

#endif

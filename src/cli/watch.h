/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `weir watch`: what its parts share.
 *
 * Who does what. Two threads try a read and a write checkout again and again, as a program would.
 * weir's own thread tells events. The main thread alone looks, prints and ends it all; signals and
 * events wake it by a pipe.
 */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <weir/weir.h>

#include "cli/args.h"
#include "cli/text.h"

#define CLI_WATCH_EVENTS 64

struct cli_watch_plan {
	weir_options options;
	int64_t interval_ns;
	int64_t seconds_ns; /* 0: until a signal */
	int64_t count;      /* of looks; 0: no bound */
	bool json;
};

/* Equal ones that follow each other are one. */
struct cli_watch_event {
	struct timespec at; /* the last time, by the wall clock */
	weir_event_kind kind;
	uint32_t times;
	uint64_t number; /* from 1 on, raised with each that is told */
	char host[WEIR_ERROR_HOST];
	char text[WEIR_ERROR_TEXT];
};

/* What came of the checkouts of one intent so far. */
struct cli_watch_result {
	bool ok;                    /* the last one was served */
	char host[WEIR_ERROR_HOST]; /* by whom */
	weir_reason reason;         /* and why by him */
	int64_t took_ns;            /* how long it took */
	weir_status status;         /* else why not */
	char text[WEIR_ERROR_TEXT];
	int64_t good_ns;   /* when the last one was served; before that: when it all began */
	int64_t outage_ns; /* how long nobody was served before that, if it was an outage; 0 */
	uint64_t served, failed;
};

struct cli_watch_trial {
	struct cli_watch *watch;
	weir_intent intent;
	pthread_t thread;
	bool runs;
	pthread_mutex_t lock; /* of result */
	struct cli_watch_result result;
};

/* All that is known at one moment. */
struct cli_watch_look {
	int64_t at_ns;
	struct timespec wall;
	size_t n_hosts;
	weir_host_stats *hosts;
	struct cli_watch_result read, write;
	bool split; /* more than one host takes writes, or seems to, and none is the primary */
};

struct cli_watch {
	const struct cli_watch_plan *plan;
	weir_router *router;
	int64_t begin_ns;
	_Atomic bool stop;
	struct cli_watch_trial trials[2]; /* by intent */
	struct cli_watch_look now, last;  /* last.at_ns 0: this is the first */
	pthread_mutex_t lock;             /* of what follows */
	struct cli_watch_event events[CLI_WATCH_EVENTS];
	uint64_t n_events; /* kept ever; the i-th is at i % CLI_WATCH_EVENTS */
	uint64_t told;     /* ever */
};

/* ---- watch_look.c ---- */

/* The sink of the router's options; wakes the main thread. arg is the watch. */
void cli_watch_tell(void *arg, const weir_event *event);

/* Begins and ends the checkouts. false: no thread, and a message was printed. */
bool cli_watch_try_begin(struct cli_watch *watch);
void cli_watch_try_end(struct cli_watch *watch);

/* Makes now the last look, and looks. */
void cli_watch_look(struct cli_watch *watch);
void cli_watch_look_fini(struct cli_watch *watch);

/* Copies the last events, at most `room` and only those told after number `after`, oldest first. */
size_t cli_watch_events(struct cli_watch *watch, struct cli_watch_event *events, size_t room,
                        uint64_t after);

/* What a host served per second since the last look. */
struct cli_watch_rates {
	double reads, writes, fallbacks;
};

struct cli_watch_rates cli_watch_rates(const struct cli_watch *watch, size_t host);

/* What is out of the ordinary with a host, in words; "" if nothing. */
const char *cli_watch_oddities(const weir_host_stats *host, char *text, size_t room);

const char *cli_watch_breaker(weir_breaker_state state);

/* "09:31:22.123", this machine's time. */
const char *cli_watch_clock(const struct timespec *at, char text[CLI_SHORT]);

/* ---- the three ways to show it ---- */

void cli_watch_screen(struct cli_watch *watch);
void cli_watch_screen_end(struct cli_watch *watch);

void cli_watch_lines(struct cli_watch *watch);

void cli_watch_json(struct cli_watch *watch);

#endif

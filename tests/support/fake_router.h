/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A router on a fake cluster, one at a time, and what every simulation of the router does with it:
 * opens it, has hosts looked at, goes there and comes back, awaits what is to be seen. All of it is
 * for the test's own thread, and fails the test where it cannot be done.
 */
#ifndef WEIR_TEST_FAKE_ROUTER_H
#define WEIR_TEST_FAKE_ROUTER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

#include "support/fake_cluster.h"
#include "support/threads.h"

#define PATIENCE_MS 20000

extern struct fake_cluster cluster;
extern weir_options options; /* of the router that is opened next */
extern weir_router *router;
extern weir_error said; /* by the last call that could say something */

/* How often each event was told, and what else becomes of one, on whatever thread it is told. */
extern _Atomic int told[WEIR_EVENT_KINDS];
extern void (*_Atomic on_told)(const weir_event *event);

/* ---- around a test ---- */

/* n servers and the usual options, but events are counted and a checkout waits for PATIENCE_MS. */
void fake_router_begin(int n);

/* Closes the router if it is open. Fit to be cmocka's tear-down. */
int fake_router_end(void **state);

/* Fails the test with what was said. */
void must(weir_status st);

/* ---- opening and looking ---- */

/* On all servers; every host has been looked at. */
void open_router(void);

/* Every host has an idle connection, too, of which nothing is left to be asked. */
void open_warm(void);

/* With the first n servers as its hosts, each with pool_min such connections. */
void open_first(int n);

/* Server i joins and has been looked at; it leaves. */
void add_host(int i);
void remove_host(int i);

/* All hosts are asked, by questions that begin after the call; twice: know() */
void probe(void);
void know(void); /* else a standby may have been asked before the primary */

/* Of server i's host; one that is leaving is another than the one that is in the set. */
bool find_host(int i, weir_host_stats *found, bool leaving);
weir_host_stats stats_of(int i);
weir_role role_of(int i);

/* ---- going there ---- */

weir_conn *take(weir_intent intent);
weir_conn *take_with(const weir_request *request);

/* Checks out and gives back; which server it was, and why. */
int visit(weir_intent intent);
int visit_why(weir_intent intent, weir_reason *reason);
int visit_with(const weir_request *request);

/* The same where it may be refused; host and reason may be NULL. */
weir_status try_visit(const weir_request *request, int *host, weir_reason *reason);
weir_status try_for(int64_t timeout_ms, weir_intent intent);

/* How many of so many reads, one after the other, each host got. */
void count_reads(int n, int of[FAKE_HOSTS]);

/* UNAVAILABLE; false: somebody serves it. */
bool is_refused(const weir_request *request);

/* Where the primary is; with write_some it writes before. */
weir_token token_now(void);
weir_token write_some(void);

/* A thread that wants one connection, and what it came to. */
struct seeker {
	pthread_t thread;
	struct test_stop *stop; /* where it stops on its way, or NULL */
	weir_intent intent;
	weir_status st;
	int host;
	weir_error error;
	_Atomic bool ended;
};

void seek_start(struct seeker *seeker, weir_intent intent);

/* ---- awaiting, for a minute at most ---- */

void wait_for_role(int i, weir_role role);
void await_told(weir_event_kind kind, int n);
void a_moment(void);

#endif

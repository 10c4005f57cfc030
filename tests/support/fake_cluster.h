/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A cluster of fake servers for tests and benches of the router: each answers the probe's question,
 * the one for a token and the one about settings from what the test has set. Server 0 starts as the
 * primary, the others as standbys that have replayed everything.
 */
#ifndef WEIR_TEST_FAKE_CLUSTER_H
#define WEIR_TEST_FAKE_CLUSTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

#include "driver/fake.h"

#define FAKE_HOSTS 8

struct fake_host {
	struct wi_fake_server
		server;         /* in_recovery, lsn, timeline, system, silent, connect_fault, ... */
	_Atomic bool read_only; /* default_transaction_read_only */
	_Atomic bool basic_only;  /* the functions of the full question are not granted */
	_Atomic bool plain_only;  /* a server of before 14 */
	_Atomic uint64_t started; /* microseconds */
	/* of a standby: whom it streams from, a host's number + 1; 0: nobody, or it may not say */
	_Atomic int follows;
	_Atomic uint32_t streams_on; /* which timeline; 0: its own */
	_Atomic bool paused;         /* its replay */
	_Atomic int delay_s;         /* recovery_min_apply_delay */
	/*
	 * COMMIT is refused with this SQLSTATE; "": the connection is lost in it; NULL: it succeeds
	 */
	_Atomic(const char *) commit_fails;
	_Atomic bool lose_position;   /* the connection is lost where a token is asked for */
	_Atomic bool leads_elsewhere; /* sessions that are no probe's find a standby */
	_Atomic bool probe_fails;     /* its whole question is refused, and that says nothing */
	_Atomic uint64_t started_by_probe; /* what probes are told instead; 0: the same */
	_Atomic uint64_t probes;           /* questions of the probe answered */
	_Atomic uint64_t refusals;         /* questions that basic_only and plain_only refused */
};

#define FAKE_CONNINFO 512

struct fake_cluster {
	int n;
	struct fake_host host[FAKE_HOSTS];
	void *scripts[FAKE_HOSTS];
	char conninfo[FAKE_CONNINFO]; /* postgresql://app@127.0.0.1:6000,127.0.0.1:6001,.../shop */
	const struct wi_world *world; /* NULL: the real one */
};

#define FAKE_LSN UINT64_C(0x1000100)

void fake_cluster_init(struct fake_cluster *cluster, int n);

/*
 * Waits until every host has so many idle connections, and all that was to be asked of them or
 * changed on them is done.
 */
void fake_cluster_calm(weir_router *router, uint32_t idle);

/* Every router on it must be closed. */
void fake_cluster_fini(struct fake_cluster *cluster);

/* Opens a router on all of them. options may be NULL. */
weir_status fake_cluster_open(struct fake_cluster *cluster, const weir_options *options,
                              weir_router **router, weir_error *error);

/* The same on the first n of them; the others may be added by their names. */
weir_status fake_cluster_open_first(struct fake_cluster *cluster, int n,
                                    const weir_options *options, weir_router **router,
                                    weir_error *error);

/* host i becomes the primary, on a higher timeline, and the others that are reachable follow it. */
void fake_cluster_promote(struct fake_cluster *cluster, int i);

/* Connects are refused and every session ends; false: they succeed again. */
void fake_host_down(struct fake_cluster *cluster, int i, bool down);

/* The primary writes so many bytes; standbys stay where they are. */
void fake_cluster_write(struct fake_cluster *cluster, int primary, uint64_t bytes);

/* Standby i has replayed all that the primary has. */
void fake_cluster_catch_up(struct fake_cluster *cluster, int primary, int i);

/* "127.0.0.1:6001", as weir_conn_info says it. */
const char *fake_host_name(int i);

/* Which host a checked-out connection leads to, or -1. */
int fake_host_of(const weir_conn *conn);

#endif

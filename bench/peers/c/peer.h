/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scaffold of a peer's program in C: the same loops, clock and histogram for each, with the
 * peer's own calls inlined. A peer includes this file last and defines the five functions below;
 * Go, Java, Python and Rust have the same loops of their own beside their peers.
 *
 *	PROGRAM WORK THREADS CONNECTIONS HOLD_US WARM_MS RUN_MS VARIANT
 *	PROGRAM buckets VALUE...
 *
 * WORK is pair (checkout and checkin, no clock), crowd (every checkout is timed, then the hold),
 * query (every checkout is timed, then one prepared SELECT 1), request (checkout, one SELECT 1 and
 * checkin are timed together) or spike (all threads come at once, to a pool that has few of its
 * connections open, for one request of 2 ms each). Otherwise every thread runs for the same time.
 * One line of JSON comes out.
 */
#ifndef BENCH_PEERS_PEER_H
#define BENCH_PEERS_PEER_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "peers/c/shared.h"

#define PEER_BATCH 32 /* pairs between two looks at the phase */

/* Defined by the peer. A handle is never NULL; peer_take waits until it has one. */
static inline void *peer_take(int thread);
static inline void peer_put(int thread, void *handle);
static inline bool peer_query(int thread, void *handle);

static inline void peer_hold(int64_t ns)
{
	int64_t until;

	if (ns == 0)
		return;
	for (until = peer_now() + ns; peer_now() < until;)
		;
}

/* SELECT 1 on a connection of libpq: prepared, or as text where a proxy stands between. */
static inline bool peer_select(PGconn *pg)
{
	PGresult *r = peer_job.work == PEER_QUERY
	                      ? PQexecPrepared(pg, "one", 0, NULL, NULL, NULL, 0)
	                      : PQexec(pg, peer_sql());
	bool ok = PQresultStatus(r) == PGRES_TUPLES_OK && strcmp(PQgetvalue(r, 0, 0), "1") == 0;

	PQclear(r);
	return ok;
}

static inline int peer_phase_now(void)
{
	return atomic_load_explicit(&peer_phase, memory_order_relaxed);
}

static void peer_pairs(struct peer_tally *t)
{
	for (int phase; (phase = peer_phase_now()) != PEER_STOP;) {
		for (int i = 0; i < PEER_BATCH; i++)
			peer_put(t->index, peer_take(t->index));
		if (phase == PEER_MEASURE)
			t->done += PEER_BATCH;
	}
}

static void peer_timed(struct peer_tally *t)
{
	const bool asks = peer_needs_server();

	for (int phase; (phase = peer_phase_now()) != PEER_STOP;) {
		int64_t begun = peer_now(), ended;
		void *handle = peer_take(t->index);

		ended = peer_now();
		if (!asks)
			peer_hold(peer_job.hold_ns);
		else if (!peer_query(t->index, handle))
			peer_die("SELECT 1 failed");
		peer_put(t->index, handle);
		if (peer_job.work == PEER_REQUEST)
			ended = peer_now();
		if (phase == PEER_MEASURE)
			peer_record(t, ended - begun);
	}
}

static void peer_once(struct peer_tally *t)
{
	void *handle;

	while (atomic_load(&peer_gate) == 0)
		sched_yield();
	handle = peer_take(t->index);
	if (!peer_query(t->index, handle))
		peer_die("SELECT 1 failed");
	peer_put(t->index, handle);
	peer_record(t, peer_now() - atomic_load(&peer_gate));
}

static void *peer_loop(void *tally)
{
	struct peer_tally *t = tally;

	if (peer_job.work == PEER_PAIR)
		peer_pairs(t);
	else if (peer_job.work == PEER_SPIKE)
		peer_once(t);
	else
		peer_timed(t);
	return NULL;
}

int main(int argc, char **argv)
{
	return peer_main(argc, argv, peer_loop);
}

#endif

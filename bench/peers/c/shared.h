/* SPDX-License-Identifier: BSD-2-Clause */
/* What a peer's program in C (peer.h) and the rest of its run (peer.c) both know. */
#ifndef BENCH_PEERS_SHARED_H
#define BENCH_PEERS_SHARED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#define PEER_BUCKETS 1920 /* of any 63-bit number: 32 a power of two */
#define PEER_REST 5       /* connections open before a spike */

enum peer_work { PEER_PAIR, PEER_CROWD, PEER_QUERY, PEER_REQUEST, PEER_SPIKE };

struct peer_job {
	enum peer_work work;
	int threads;
	int connections;
	int64_t hold_ns;
	int64_t warm_ns;
	int64_t run_ns;
	const char *variant; /* what a program that has several pools shall open */
	const char *url;     /* DATABASE_URL */
};

/* One thread's findings. */
struct peer_tally {
	_Alignas(64) pthread_t thread;
	int index;
	uint64_t done;
	int64_t longest;
	uint64_t bucket[PEER_BUCKETS];
};

enum peer_phase { PEER_WARM, PEER_MEASURE, PEER_STOP };

extern struct peer_job peer_job;
extern _Atomic int peer_phase;
extern _Atomic int64_t peer_gate; /* when the spike began; 0: not yet */

/* Ends the program: a peer that fails has no figure. */
_Noreturn void peer_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether the work needs connections to a server. */
bool peer_needs_server(void);

/* How many connections a pool shall have open at the start. */
int peer_first_connections(void);

/* The statement as text, for what is not prepared. */
const char *peer_sql(void);

/* A new connection with the statement `one` prepared. */
PGconn *peer_connect(void);

/* Defined by each peer: opens its pool with every connection, and closes it. */
void peer_open(void);
void peer_close(void);

/* Runs `loop` on all threads through the phases, and prints. Returns what main returns. */
int peer_main(int argc, char **argv, void *(*loop)(void *tally));

static inline int64_t peer_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static inline unsigned peer_bucket(uint64_t v)
{
	unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
	unsigned shift = bits > 6 ? bits - 6 : 0;

	return shift * 32 + (unsigned)(v >> shift);
}

static inline void peer_record(struct peer_tally *t, int64_t ns)
{
	t->done++;
	t->bucket[peer_bucket((uint64_t)ns)]++;
	t->longest = ns > t->longest ? ns : t->longest;
}

#endif

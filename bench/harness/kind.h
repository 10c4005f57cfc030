/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kinds of pools under one interface, so that a bench runs the same work over weir and over its
 * plain twins. kind.c has those without a server: things are numbers or fake connections.
 */
#ifndef BENCH_KIND_H
#define BENCH_KIND_H

#include "harness/bench.h"

struct bench_kind {
	const char *name;
	void *(*open)(unsigned connections); /* NULL, with a word on stderr: cannot */
	void (*close)(void *pool);           /* not NULL */
	void *(*take)(void *pool, int thread);
	void (*put)(void *pool, void *item);
};

/* A mutex, a stack, a condition variable; whoever runs first takes. What most people would write.
 */
extern const struct bench_kind kind_mutex;

/* The same, first come, first served: what comes back is handed to the one who waits longest. */
extern const struct bench_kind kind_fair;

/* weir over the fake driver. */
extern const struct bench_kind kind_weir;

/* Opens, or skips the bench. */
void *kind_open(struct bench *b, const struct bench_kind *kind, unsigned connections);

#endif

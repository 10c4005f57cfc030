/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shapes of load that the history tests put on a core and on a pool: how many threads on how many
 * values, how patient they are, how long they hold, whether they come and go. One call runs a shape
 * for a time and leaves its history, ready for the checkers.
 */
#ifndef WEIR_TEST_SHAPES_H
#define WEIR_TEST_SHAPES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/world.h"
#include "core/seat.h"
#include "support/history.h"

struct test_shape {
	const char *name;
	int threads;
	uint32_t values;
	uint32_t numbers;      /* values have numbers up to this; 0: as many as there are */
	uint32_t at_once;      /* each thread holds up to so many; 0: one */
	uint32_t tries;        /* of 8 takes; the rest of the 8 are patient */
	uint32_t shorts;       /* of 8 takes, with deadlines of 0 to 2 ms */
	int64_t hold_ns;       /* sleeps for up to this while it holds; 0: not at all */
	int64_t pause_ns;      /* and between */
	uint32_t pauses;       /* of 8 times that it might sleep, it does so often */
	bool churn;            /* threads end after a few takes, and others come */
	bool pass_on;          /* what one took another gives back */
	bool one_cpu;          /* all on one CPU */
	bool sweep;            /* somebody moves idle values about */
	uint32_t pause_one_in; /* random pauses in marked windows; 0: none */
};

/* What is loaded. */
struct test_store {
	/*
	 * Takes: sets op->value and op->handle, or leaves the value 0. timeout_ns 0: tries. Sets
	 * op->deadline_ns, and op->waited if it went past the first look. A failure other than want
	 * of values: false.
	 */
	bool (*take)(struct test_op *op, int64_t timeout_ns);
	/* Puts what op->value and op->handle say. */
	void (*put)(struct test_op *op);
	/* The calling thread's seat. */
	struct wi_seat *(*seat)(void);
	/* Moves idle values about, once; or NULL. */
	void (*sweep)(struct wi_rng *rng);
};

#define TEST_PATIENT_NS (30 * INT64_C(1000000000)) /* a wait that takes so long was forgotten */

/* The kernel as world, but sleeps and wakes are noted in the calling thread's operation. */
extern const struct wi_world *test_watched_world(void);

/*
 * From here to unwatch, the calling thread's sleeps on its seat's word and its wakes are this
 * operation's.
 */
void test_watch(struct test_op *op, struct wi_seat *seat);
void test_unwatch(void);

/* Room for a shape with at most so many threads. */
bool test_shapes_init(struct test_history *h, int threads_max);

/*
 * Runs the shape; at its end everything has been put back, and the history is closed. NULL, or what
 * went wrong on the way.
 */
const char *test_shape_run(const struct test_shape *shape, const struct test_store *store,
                           struct test_history *h, double seconds);

/*
 * How long something may take on this machine beyond what it should: some slack, and what sleeps of
 * the same threads were late by.
 */
int64_t test_slack_ns(void);

/* Sleeps for so long, and notes by how much it was longer. */
void test_nap(int64_t ns);

/*
 * From now on a thread on each processor notes by how much its sleeps are longer, so that no pause
 * of a processor stays unseen; or no more. One caller at a time.
 */
void test_measure_lag(bool on);

/* Puts the calling thread, and those it starts from now on, on one CPU; or back where it was. */
void test_pin(bool one_cpu);

#endif

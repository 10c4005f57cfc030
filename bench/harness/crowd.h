/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A crowd: many threads that each take, work, give back, for the same slice of time, and what came
 * of it. As counters:
 *
 *	checkouts                      a second, all threads together
 *	luck, jain                     the luckiest thread's checkouts over the unluckiest's; Jain's index
 *	                               (sum x)^2 / (n * sum x^2), 1 for equal shares
 *	wait_p50, _p99, _p999, _max    ns from asking to having, of every checkout (of one in 16 where the
 *	                               work is too short for two looks at a clock)
 *	op_p50, _p99, _p999, _max      ns from asking to having given back, of work that is no hold
 *	cpu, switches                  ns of processor and context switches a checkout, beyond what the work
 *	                               itself takes, of the crowd's threads
 *	ideal_checkouts                what connections that are always busy would do
 *	ideal_wait                     ns, each wait in an ideal queue: first come, first served, no step
 *	                               takes time, each hold takes as long as it should
 *	queue_p50, ... _max            ns, the waits in an ideal queue with holds as they really were,
 *	                               preempted ones and late timers among them
 *
 * The ideal. All threads always want one, so with n threads, s servers and holds of h each waits (n
 * - s) / s * h and all do s / h. A hold that burns processor needs one: s is the smaller of
 * connections and cores. A hold that is away (a server is busy with it, as in life) needs none: s
 * is the connections, and h the mean of the holds as they were, for a timer is never exact.
 */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include "harness/bench.h"
#include "harness/kind.h"

struct crowd_shape {
	unsigned connections;
	int64_t hold_ns;
	bool away; /* the hold sleeps; else it burns processor */
	/*
	 * The work, in place of a hold; its time is not known beforehand, so ideals and cpu are
	 * not.
	 */
	void (*work)(void *item);
};

/* The three parts of a case. */
void crowd_before(struct bench *b, const struct bench_kind *kind, struct crowd_shape shape);
void crowd_body(struct bench *b);
void crowd_after(struct bench *b);

#endif

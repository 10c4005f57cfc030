/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How slow a host is, and what that makes of its share: pure functions of what the keeper has
 * counted, so that they can be tested without a server and in simulated time.
 *
 * Nobody reads a clock at a checkout, so no duration is measured. But in a system that is neither
 * filling nor emptying, the mean number inside is the rate through it times the time spent inside
 * (J. Little, "A proof for the queuing formula", 1961). So what is out, summed up over time, over
 * what came back meanwhile is how long a connection is out on average: its statements, and whatever
 * its holder does with it, which is the same at every host.
 */
#ifndef WI_ROUTE_GAUGE_H
#define WI_ROUTE_GAUGE_H

#include <stdbool.h>
#include <stdint.h>

/* A sum over time, its older part fading. */
struct wi_flow {
	double held;     /* connections out times time: in hundredths of a second */
	double returned; /* connections given back */
};

/* Zeroed: nothing is known. */
struct wi_gauge {
	struct wi_flow flow;
	struct wi_flow recent; /* of the last few only, to see what changes */
};

/* So many were out on average during dt_ns, and so many came back. */
void wi_gauge_add(struct wi_gauge *gauge, double out, uint64_t returned, int64_t dt_ns);

/* Whether it rests on enough to be told from chance. */
bool wi_gauge_is_sure(const struct wi_gauge *gauge);

/*
 * How long a connection is out, in nanoseconds. Where little is known, usual_ns is what is expected
 * (0: nothing is): a host that nobody goes to becomes one like the others in time.
 */
double wi_gauge_ns(const struct wi_gauge *gauge, double usual_ns);

/* A share of 100 % by weight 100. */
#define WI_SHARE (1 << 16)
/* A bit of a pull: weights differ, so the lot is to be drawn among all. */
#define WI_PULL_UNEVEN (UINT32_C(1) << 31)

/* How far a slow start of window_ns has come after elapsed_ns: at first hardly, at the end: 1. */
double wi_gauge_started(int64_t elapsed_ns, int64_t window_ns);

/* One host among others. */
struct wi_load {
	struct wi_gauge gauge;
	uint32_t out;    /* connections, and callers that wait for one */
	uint32_t weight; /* 100: the usual */
	double started;  /* how far a slow start has come, 0 to 1 */

	/* what comes of these */
	double slow_ns; /* how long a read takes; nearly the least is the least */
	uint32_t share; /* of reads, by weight and slow start alone; never 0 */
	uint32_t pull;  /* the same by cost, too: how strongly it draws; never 0 */
};

/* What is expected of a host of which nothing is known: learned from those that are the quickest */
double wi_loads_usual_ns(struct wi_load *const *loads, uint32_t n, double usual_ns, int64_t dt_ns);

/* Works out what comes of it for each. */
void wi_loads_weigh(struct wi_load *const *loads, uint32_t n, double usual_ns);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long one waits for one of several equal servers: connections of a pool, for instance.
 *
 * Requests come at random (Poisson), wait in one line in the order of their coming, and keep their
 * server for a time with the given mean. Where that time is exponential (cv 1), this is M/M/c and
 * exact: Erlang's formulas ("Solution of some problems in the theory of probabilities of
 * significance in automatic telephone exchanges", 1917). Else it is the approximation of Allen and
 * Cunneen for M/G/c (Allen, "Probability, Statistics, and Queueing Theory", 1990, 5.3): as many
 * have to wait, but (1 + cv^2)/2 times as long, and the time of those who wait is exponential.
 */
#ifndef CLI_QUEUE_H
#define CLI_QUEUE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cli_queue {
	double rate;      /* requests a second */
	double service_s; /* how long each keeps its server, on average */
	double cv; /* standard deviation of that time over its mean: 1 exponential, 0 constant */
	uint32_t servers;
};

#define CLI_QUEUE_MAX 100000 /* servers, at most */

/* How many servers are busy on average, if all are served: rate times time (Little's law). */
double cli_queue_load(const struct cli_queue *queue);

/* Erlang B: the share of requests that find all servers busy where nobody waits. */
double cli_erlang_b(uint32_t servers, double load);

/* Erlang C: the share of requests that have to wait; 1 if the load is too much. */
double cli_erlang_c(uint32_t servers, double load);

/* The mean wait of all requests, in seconds; infinity if the load is too much. */
double cli_queue_wait(const struct cli_queue *queue);

/* What share of requests waits longer than so many seconds. */
double cli_queue_later(const struct cli_queue *queue, double seconds);

/* The wait that a share of requests (0.99) does not exceed, in seconds; may be infinity. */
double cli_queue_quantile(const struct cli_queue *queue, double share);

/* The fewest servers of which at most `busy` (0.8) is busy and that share waits no longer. */
uint32_t cli_queue_servers(struct cli_queue queue, double share, double seconds, double busy);

/*
 * The cv of service times whose 99th percentile is so many times their mean, if they are log-normal
 * (which durations of queries mostly resemble). No such distribution has more than 14.97 times:
 * beyond that, the cv of that.
 */
double cli_cv_of_p99(double times);

#ifdef __cplusplus
}
#endif

#endif

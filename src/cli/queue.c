/* SPDX-License-Identifier: BSD-2-Clause */
/* How long one waits for one of several equal servers. */
#include "cli/queue.h"

#include <math.h>

#define Z99 2.3263478740408408 /* of a normal distribution, 99 % are below */

double cli_queue_load(const struct cli_queue *queue)
{
	return queue->rate * queue->service_s;
}

/* By the usual recurrence, which never leaves 0 to 1. */
double cli_erlang_b(uint32_t servers, double load)
{
	double b = 1;

	for (uint32_t n = 1; n <= servers; n++)
		b = load * b / (n + load * b);
	return b;
}

double cli_erlang_c(uint32_t servers, double load)
{
	double b;

	if (load >= servers)
		return 1;
	b = cli_erlang_b(servers, load);
	return servers * b / (servers - load * (1 - b));
}

/* How long those wait who have to, on average. */
static double wait_of_waiters(const struct cli_queue *queue)
{
	double spare = queue->servers - cli_queue_load(queue);

	if (spare <= 0)
		return INFINITY;
	return queue->service_s / spare * (1 + queue->cv * queue->cv) / 2;
}

double cli_queue_wait(const struct cli_queue *queue)
{
	return cli_erlang_c(queue->servers, cli_queue_load(queue)) * wait_of_waiters(queue);
}

double cli_queue_later(const struct cli_queue *queue, double seconds)
{
	double mean = wait_of_waiters(queue);

	if (isinf(mean))
		return 1;
	return cli_erlang_c(queue->servers, cli_queue_load(queue)) *
	       (mean > 0 ? exp(-seconds / mean) : 0);
}

double cli_queue_quantile(const struct cli_queue *queue, double share)
{
	double waits = cli_erlang_c(queue->servers, cli_queue_load(queue));

	if (waits <= 1 - share)
		return 0;
	return wait_of_waiters(queue) * log(waits / (1 - share));
}

uint32_t cli_queue_servers(struct cli_queue queue, double share, double seconds, double busy)
{
	double load = cli_queue_load(&queue), b = 1;

	/* One step of the recurrence a server: what cli_queue_later does from the beginning. */
	for (queue.servers = 1; queue.servers < CLI_QUEUE_MAX; queue.servers++) {
		double n = queue.servers, spare = n - load, waits;

		b = load * b / (n + load * b);
		if (spare <= 0 || load > busy * n)
			continue;
		waits = n * b / (n - load * (1 - b));
		if (waits <= 1 - share)
			break;
		if (waits * exp(-seconds / wait_of_waiters(&queue)) <= 1 - share)
			break;
	}
	return queue.servers;
}

double cli_cv_of_p99(double times)
{
	double under = Z99 * Z99 - 2 * log(times > 1 ? times : 1);
	double sigma = Z99 - sqrt(under > 0 ? under : 0);

	return sqrt(exp(sigma * sigma) - 1);
}

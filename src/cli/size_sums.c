/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many connections a service needs, from its rate and the time that each is out.
 *
 * Every pod has a pool for each host. Writes go to the primary, reads to the replicas in equal
 * parts, so each pool is a queue of its own: rate, time and how long one may wait give its size
 * (queue.h), at least so large that a fifth of it is idle on average. All pools of a router have
 * one pool_max, so the largest of them counts. What the server can give bounds it.
 */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/queue.h"
#include "cli/size.h"

#define BUSY 0.8 /* more than that, and a small rise of the load is a large rise of the wait */
#define CONNECTIONS_A_CORE 4 /* busy ones: beyond, they wait for each other in the server */

static void warn(struct cli_size *size, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void warn(struct cli_size *size, const char *format, ...)
{
	va_list args;

	if (size->n_warnings == CLI_SIZE_WARNINGS)
		return;
	va_start(args, format);
	vsnprintf(size->warnings[size->n_warnings++], sizeof(size->warnings[0]), format, args);
	va_end(args);
}

static struct cli_queue queue_of(const struct cli_size_plan *plan, double rate)
{
	return (struct cli_queue){
		.rate = rate / (double)plan->pods, .service_s = plan->service_s, .cv = plan->cv};
}

static double reads(const struct cli_size_plan *plan)
{
	return plan->rate * (double)plan->reads_pct / 100;
}

/* What the primary and each replica get when so many replicas serve. */
static double primary_rate(const struct cli_size_plan *plan, int64_t replicas)
{
	return replicas ? plan->rate - reads(plan) : plan->rate;
}

static double replica_rate(const struct cli_size_plan *plan, int64_t replicas)
{
	return replicas ? reads(plan) / (double)replicas : 0;
}

static int64_t servers_for(const struct cli_size_plan *plan, double rate)
{
	return cli_queue_servers(queue_of(plan, rate), plan->share, plan->target_s, BUSY);
}

static int64_t largest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t smallest(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Nobody waits where there is a connection for each thread. */
static int64_t threads_or(const struct cli_size_plan *plan, int64_t n)
{
	return plan->threads ? smallest(plan->threads, n) : n;
}

static struct cli_size_pool *add_pool(struct cli_size *size, const char *what, double rate)
{
	const struct cli_size_plan *plan = size->plan;
	struct cli_size_pool *pool = &size->pools[size->n_pools++];
	struct cli_queue queue = queue_of(plan, rate);
	bool waits = !plan->threads || plan->threads > size->pool_max;

	queue.servers = (uint32_t)size->pool_max;
	*pool = (struct cli_size_pool){.what = what, .rate = rate};
	pool->load = cli_queue_load(&queue);
	pool->busy = pool->load / (double)size->pool_max;
	if (!waits)
		return pool;
	pool->waits = cli_erlang_c(queue.servers, pool->load);
	pool->p50_s = cli_queue_quantile(&queue, 0.5);
	pool->p99_s = cli_queue_quantile(&queue, 0.99);
	return pool;
}

static void judge_pool(struct cli_size *size, const struct cli_size_pool *pool)
{
	if (pool->busy >= 1) {
		size->enough = false;
		warn(size,
		     "%s: %.1f connections would be out on average, and there are %" PRId64
		     ": the line would only grow",
		     pool->what, pool->load, size->pool_max);
	} else if (pool->busy > BUSY) {
		warn(size,
		     "%s: %.0f %% of the connections are out on average; above 80 %% a small rise of the load is a large rise of the wait",
		     pool->what, pool->busy * 100);
	}
}

static void add_pools(struct cli_size *size)
{
	const struct cli_size_plan *plan = size->plan;
	int64_t n = plan->replicas;

	judge_pool(size, add_pool(size, "primary", primary_rate(plan, n)));
	if (n)
		judge_pool(size, add_pool(size, "each replica", replica_rate(plan, n)));
	if (n > 1)
		judge_pool(size,
		           add_pool(size, "each replica, one lost", replica_rate(plan, n - 1)));
	else if (n)
		judge_pool(size, add_pool(size, "primary, the replica lost", plan->rate));
}

static void judge_budget(struct cli_size *size)
{
	if (size->wanted < size->share)
		return;
	size->enough = false;
	warn(size,
	     "the budget is exceeded: the load wants pool_max %" PRId64 " in each of %" PRId64
	     " pods, that is %" PRId64 " connections a server with the probes, and it has %" PRId64,
	     size->wanted, size->plan->pods + size->plan->surge,
	     (size->wanted + 1) * (size->plan->pods + size->plan->surge), size->budget);
}

static void judge_threads(struct cli_size *size)
{
	const struct cli_size_plan *plan = size->plan;
	double busy = plan->rate * plan->service_s / (double)plan->pods;

	if (plan->threads && busy >= (double)plan->threads) {
		size->enough = false;
		warn(size,
		     "%" PRId64
		     " threads cannot make this rate: %.1f connections would be out on average in each pod",
		     plan->threads, busy);
	}
}

static void judge_server(struct cli_size *size)
{
	const struct cli_size_plan *plan = size->plan;
	double busy = fmax(primary_rate(plan, plan->replicas), replica_rate(plan, plan->replicas)) *
	              plan->service_s;
	int64_t most = plan->pods * size->pool_max;

	if (plan->cores && busy > (double)plan->cores)
		warn(size,
		     "%.1f connections are out on average on a server of %" PRId64
		     " cores: if that time is spent in the server, it is overloaded",
		     busy, plan->cores);
	else if (plan->cores && most > CONNECTIONS_A_CORE * plan->cores)
		warn(size,
		     "up to %" PRId64 " connections may be busy at once on %" PRId64
		     " cores: beyond about %d a core they wait for each other in the server",
		     most, plan->cores, CONNECTIONS_A_CORE);
	if (plan->measured.waiting > 0.5)
		warn(size,
		     "%.1f callers waited on average while it was measured: the load may be more than its pool let through",
		     plan->measured.waiting);
	if (plan->in_use > plan->others)
		warn(size,
		     "%" PRId64
		     " connections of others were open on the server just now: say --others if they stay",
		     plan->in_use);
}

void cli_size_sums(const struct cli_size_plan *plan, struct cli_size *size)
{
	int64_t pods = plan->pods + plan->surge, n = plan->replicas;
	double load;

	*size = (struct cli_size){.plan = plan, .enough = true};
	size->budget = largest(plan->max_connections - plan->reserved - plan->others, 0);
	size->share = size->budget / pods;
	/* With one replica the primary must be able to do alone. */
	size->wanted = servers_for(plan, primary_rate(plan, n > 1 ? n : 0));
	size->wanted =
		largest(size->wanted, servers_for(plan, replica_rate(plan, n > 1 ? n - 1 : n)));
	size->wanted = threads_or(plan, size->wanted);
	size->pool_max = largest(smallest(size->wanted, size->share - 1), 1);
	load = fmax(primary_rate(plan, n), replica_rate(plan, n)) * plan->service_s /
	       (double)plan->pods;
	size->pool_min = smallest((int64_t)ceil(load + sqrt(load)), size->pool_max);
	judge_budget(size);
	judge_threads(size);
	add_pools(size);
	judge_server(size);
	if (plan->long_tail)
		warn(size,
		     "the 99th percentile is more than 15 times the mean: no log-normal time has that; measure its variation and say --service-cv");
}

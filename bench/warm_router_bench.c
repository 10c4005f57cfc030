/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: what does the router add to the warm pair of its pools?
 *
 *	baseline.malloc/64   malloc(64) and free, to divide by
 *	router/write         weir_checkout(WEIR_WRITE) and weir_checkin, three hosts
 *	router/read          weir_checkout(WEIR_READ) and weir_checkin, over 1, 3 and 8 hosts: one is the
 *	                     primary, which serves reads only where it is alone
 *
 * Matrix: 1, 2, 4, 8 and 16 threads and as many as cores; fake servers in this process.
 */
#include <stdlib.h>

#include <weir/weir.h>

#include "harness/bench.h"
#include "support/fake_cluster.h"

#define CONNECTIONS 32 /* a host */
#define THREADS                                                                                    \
	{                                                                                          \
		1, 2, 4, 8, 16, BENCH_CORES                                                        \
	}

struct cluster_bench {
	struct fake_cluster cluster;
	weir_router *router;
};

static void malloc_pair(struct bench *b)
{
	while (bench_keep_running(b)) {
		void *p = malloc(64);

		bench_keep(p);
		free(p);
	}
}

/* Whether every thread's first checkout will find an idle connection on each host. */
static bool is_warm(weir_router *router, int hosts, unsigned connections)
{
	weir_host_stats stats[FAKE_HOSTS];

	if (weir_router_stats_get(router, stats, FAKE_HOSTS) != (size_t)hosts)
		return false;
	for (int i = 0; i < hosts; i++)
		if (stats[i].pool.idle < connections)
			return false;
	return true;
}

static void open_router(struct bench *b)
{
	struct cluster_bench *c = calloc(1, sizeof(*c));
	int hosts = (int)b->arg[0];
	weir_options o;

	if (!c) {
		bench_skip(b, "no memory");
		return;
	}
	weir_options_init(&o);
	o.pool_min = o.pool_max = CONNECTIONS;
	o.leak_after_ms = 0;
	fake_cluster_init(&c->cluster, hosts);
	if (fake_cluster_open(&c->cluster, &o, &c->router, NULL) != WEIR_OK ||
	    weir_router_probe(c->router, 10000) != WEIR_OK) {
		bench_skip(b, "no router");
		return;
	}
	for (int i = 0; i < 1000 && !is_warm(c->router, hosts, CONNECTIONS); i++)
		if (weir_router_probe(c->router, 10000) != WEIR_OK)
			break;
	bench_share(b, c);
}

static void close_router(struct bench *b)
{
	struct cluster_bench *c = bench_shared(b);

	if (!c)
		return;
	weir_router_close(&c->router, 5000);
	fake_cluster_fini(&c->cluster);
	free(c);
}

static void pairs(struct bench *b, weir_intent intent)
{
	struct cluster_bench *c = bench_shared(b);

	while (bench_keep_running(b)) {
		weir_conn *conn;

		if (weir_checkout(c->router, intent, &conn, NULL) != WEIR_OK)
			abort();
		weir_checkin(&conn);
	}
}

static void write_pair(struct bench *b)
{
	pairs(b, WEIR_WRITE);
}

static void read_pair(struct bench *b)
{
	pairs(b, WEIR_READ);
}

void bench_cases(void)
{
	bench_register(&(struct bench_case){
		.name = "baseline.malloc/64", .body = malloc_pair, .threads = THREADS});
	bench_register(&(struct bench_case){.name = "router/write",
	                                    .body = write_pair,
	                                    .before = open_router,
	                                    .after = close_router,
	                                    .threads = THREADS,
	                                    .arg_name = {"hosts"},
	                                    .row = {{3}},
	                                    .rows = 1});
	bench_register(&(struct bench_case){.name = "router/read",
	                                    .body = read_pair,
	                                    .before = open_router,
	                                    .after = close_router,
	                                    .threads = THREADS,
	                                    .arg_name = {"hosts"},
	                                    .row = {{1}, {3}, {8}},
	                                    .rows = 3});
}

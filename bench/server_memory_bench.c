/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: how much memory does weir take for each open connection to a real server, beyond what
 * libpq takes for itself? In bytes asked of the allocator table, slot and driver together, at rest,
 * less what lies in reserve.
 *
 *	pool/connection   20 connections more
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "harness/bench.h"
#include "harness/counted_memory.h"
#include "harness/spare_memory.h"

#define CONNECTIONS 20

static const char *url;

/* What a pool of so many open connections takes, or -1. */
static int64_t bytes_of(unsigned connections)
{
	int64_t before = atomic_load(&counted_bytes), took, end = wi_now_ns() + 30 * WI_SEC;
	weir_pool_stats stats = {0};
	weir_pool *pool;
	weir_options o;
	weir_error e;

	weir_options_init(&o);
	o.pool_min = o.pool_max = connections;
	if (weir_pool_open(url, &o, &pool, &e) != WEIR_OK) {
		fprintf(stderr, "%s\n", e.text);
		return -1;
	}
	while (stats.idle < connections && wi_now_ns() < end)
		weir_pool_stats_get(pool, &stats);
	took = atomic_load(&counted_bytes) - before - spare_bytes(pool);
	if (stats.idle != connections)
		took = -1;
	weir_pool_close(&pool, 5000);
	return took;
}

static void connection(struct bench *b)
{
	int64_t few = bytes_of(CONNECTIONS), many = bytes_of(2 * CONNECTIONS);

	if (few < 0 || many < 0)
		bench_skip(b, "no connections");
	while (bench_keep_running(b))
		;
	if (few >= 0 && many >= 0)
		bench_sum(b, "bytes", (double)(many - few) / CONNECTIONS);
}

void bench_cases(void)
{
	url = getenv("DATABASE_URL");
	if (!url) {
		puts("skipped: DATABASE_URL names no server");
		exit(77);
	}
	count_memory();
	bench_register(&(struct bench_case){
		.name = "pool/connection", .body = connection, .iterations = 1});
}

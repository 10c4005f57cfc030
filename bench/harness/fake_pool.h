/* SPDX-License-Identifier: BSD-2-Clause */
/* A weir pool over the fake driver, full of connections, for benches of the pool itself. */
#ifndef BENCH_FAKE_POOL_H
#define BENCH_FAKE_POOL_H

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/weir.h>

#include "base/world.h"
#include "driver/fake.h"
#include "pool/pool.h"

struct fake_pool {
	struct wi_fake_server server;
	weir_pool *pool;
};

/*
 * Opens a pool of `size` connections that may become `most`, and waits until they are there; NULL
 * and a word on stderr if not.
 */
static inline struct fake_pool *fake_pool_open_from(unsigned size, unsigned most)
{
	struct fake_pool *f = calloc(1, sizeof(*f));
	weir_pool_stats stats = {0};
	weir_options o;
	weir_error e;

	if (!f)
		return NULL;
	weir_options_init(&o);
	o.pool_min = size;
	o.pool_max = most;
	o.leak_after_ms = 0;
	wi_fake_server_init(&f->server);
	if (wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &f->server,
	                      "postgresql://u@127.0.0.1/d", &o, &f->pool, &e) != WEIR_OK) {
		fprintf(stderr, "%s\n", e.text);
		free(f);
		return NULL;
	}
	for (int64_t end = wi_world_linux.now() + INT64_C(5000000000); stats.idle < size;) {
		weir_pool_stats_get(f->pool, &stats);
		if (wi_world_linux.now() > end)
			break;
		sched_yield();
	}
	return f;
}

/* A pool of exactly so many. */
static inline struct fake_pool *fake_pool_open(unsigned size)
{
	return fake_pool_open_from(size, size);
}

static inline void fake_pool_close(struct fake_pool *f)
{
	if (!f)
		return;
	weir_pool_close(&f->pool, 5000);
	wi_fake_server_fini(&f->server);
	free(f);
}

#endif

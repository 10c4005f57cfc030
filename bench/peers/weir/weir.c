/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weir. VARIANT fake: over the driver of the tests, a server in this process. VARIANT libpq: as any
 * program has it, by the public calls and over libpq.
 */
#include <sched.h>

#include <weir/weir.h>

#include "harness/fake_pool.h"
#include "peers/c/peer.h"

static struct fake_pool *fake;
static weir_pool *pool;

static void await_idle(uint32_t wanted)
{
	weir_pool_stats stats;

	for (int64_t end = peer_now() + INT64_C(10000000000);; sched_yield()) {
		weir_pool_stats_get(pool, &stats);
		if (stats.idle >= wanted)
			return;
		if (peer_now() > end)
			peer_die("the pool does not fill: %s", stats.last_connect_error);
	}
}

void peer_open(void)
{
	weir_options o;
	weir_error e;

	if (strcmp(peer_job.variant, "fake") == 0) {
		fake = fake_pool_open((unsigned)peer_job.connections);
		if (!fake)
			peer_die("no pool over the fake driver");
		pool = fake->pool;
		return;
	}
	weir_options_init(&o);
	o.pool_min = peer_first_connections();
	o.pool_max = peer_job.connections;
	if (peer_job.work == PEER_QUERY)
		snprintf(o.on_connect_sql, sizeof(o.on_connect_sql), "PREPARE one AS SELECT 1");
	if (weir_pool_open(peer_job.url, &o, &pool, &e) != WEIR_OK)
		peer_die("%s", e.text);
	await_idle((uint32_t)peer_first_connections());
}

void peer_close(void)
{
	if (fake)
		fake_pool_close(fake);
	else
		weir_pool_close(&pool, 5000);
}

static inline void *peer_take(int thread)
{
	weir_conn *c;
	weir_error e;

	(void)thread;
	if (weir_pool_checkout(pool, WEIR_DEFAULT_TIMEOUT, &c, NULL) == WEIR_OK)
		return c;
	if (weir_pool_checkout(pool, WEIR_DEFAULT_TIMEOUT, &c, &e) != WEIR_OK)
		peer_die("%s", e.text);
	return c;
}

static inline void peer_put(int thread, void *handle)
{
	weir_conn *c = handle;

	(void)thread;
	weir_checkin(&c);
}

static inline bool peer_query(int thread, void *handle)
{
	(void)thread;
	return peer_select(weir_pg(handle));
}

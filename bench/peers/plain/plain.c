/* SPDX-License-Identifier: BSD-2-Clause */
/* The plain twin: what most people would write, a mutex, a stack and a condition variable. */
#include "harness/mutex_pool.h"
#include "peers/c/peer.h"

static struct mutex_pool pool;
static PGconn *connection[MUTEX_POOL_MAX + 1];

void peer_open(void)
{
	if (peer_job.connections > MUTEX_POOL_MAX)
		peer_die("too many connections");
	mutex_pool_init(&pool, (unsigned)peer_job.connections);
	for (int i = 1; peer_needs_server() && i <= peer_job.connections; i++)
		connection[i] = peer_connect();
}

void peer_close(void)
{
	for (int i = 1; i <= peer_job.connections; i++)
		PQfinish(connection[i]);
	mutex_pool_fini(&pool);
}

static inline void *peer_take(int thread)
{
	(void)thread;
	return &connection[mutex_pool_take(&pool)];
}

static inline void peer_put(int thread, void *handle)
{
	PGconn **at = handle;

	(void)thread;
	mutex_pool_put(&pool, (unsigned)(at - connection));
}

static inline bool peer_query(int thread, void *handle)
{
	PGconn **at = handle;

	(void)thread;
	return peer_select(*at);
}

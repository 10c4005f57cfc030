/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libzdb. It opens connections to a database only, so the rows without a query have idle
 * connections of the real server. It cannot wait: a full pool answers NULL, and its callers have to
 * come again; here they yield the processor in between.
 */
#include <sched.h>

#include <zdb.h>

#include "peers/c/peer.h"

static URL_T url;
static ConnectionPool_T pool;

void peer_open(void)
{
	url = URL_new(peer_job.url);
	if (!url)
		peer_die("libzdb does not understand the URL");
	pool = ConnectionPool_new(url);
	ConnectionPool_setInitialConnections(pool, peer_first_connections());
	ConnectionPool_setMaxConnections(pool, peer_job.connections);
	ConnectionPool_setReaper(pool, 60); /* recommended by its manual */
	ConnectionPool_start(pool);
	if (ConnectionPool_size(pool) != peer_first_connections())
		peer_die("libzdb has not opened its connections");
}

void peer_close(void)
{
	ConnectionPool_free(&pool);
	URL_free(&url);
}

static inline void *peer_take(int thread)
{
	Connection_T c;

	(void)thread;
	while (!(c = ConnectionPool_getConnection(pool)))
		sched_yield();
	return c;
}

static inline void peer_put(int thread, void *handle)
{
	(void)thread;
	Connection_close(handle);
}

/* As text: libzdb frees a connection's statements at checkin, so that a prepared one pays twice. */
static inline bool peer_query(int thread, void *handle)
{
	ResultSet_T rows = Connection_executeQuery(handle, "%s", peer_sql());

	(void)thread;
	return ResultSet_next(rows) && ResultSet_getInt(rows, 1) == 1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No pool: each thread has a connection of libpq of its own. The floor under every pool in C; and
 * the client of PgBouncer, whose connections are cheap and pooled on the other side.
 */
#include "peers/c/peer.h"

static PGconn **connection;

void peer_open(void)
{
	if (!peer_needs_server())
		peer_die("without a server there is nothing to measure here");
	connection = calloc((size_t)peer_job.threads, sizeof(PGconn *));
	if (!connection)
		peer_die("no memory");
	for (int i = 0; i < peer_job.threads; i++)
		connection[i] = peer_connect();
}

void peer_close(void)
{
	for (int i = 0; i < peer_job.threads; i++)
		PQfinish(connection[i]);
	free(connection);
}

static inline void *peer_take(int thread)
{
	return connection[thread];
}

static inline void peer_put(int thread, void *handle)
{
	(void)thread;
	(void)handle;
}

static inline bool peer_query(int thread, void *handle)
{
	(void)thread;
	return peer_select(handle);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * apr_reslist of the Apache Portable Runtime: a list of resources under one mutex, of fixed size
 * (min = smax = hmax, nothing expires; min is less before a spike). Without a server its resources
 * are empty.
 */
#include <apr_general.h>
#include <apr_pools.h>
#include <apr_reslist.h>

#include "peers/c/peer.h"

static apr_pool_t *memory;
static apr_reslist_t *list;

static apr_status_t construct(void **resource, void *params, apr_pool_t *pool)
{
	static char nothing;

	(void)params;
	(void)pool;
	*resource = peer_needs_server() ? (void *)peer_connect() : &nothing;
	return APR_SUCCESS;
}

static apr_status_t destruct(void *resource, void *params, apr_pool_t *pool)
{
	(void)params;
	(void)pool;
	if (peer_needs_server())
		PQfinish(resource);
	return APR_SUCCESS;
}

void peer_open(void)
{
	if (apr_initialize() != APR_SUCCESS || apr_pool_create(&memory, NULL) != APR_SUCCESS)
		peer_die("apr does not start");
	if (apr_reslist_create(&list, peer_first_connections(), peer_job.connections,
	                       peer_job.connections, 0, construct, destruct, NULL,
	                       memory) != APR_SUCCESS)
		peer_die("no list of resources");
}

void peer_close(void)
{
	apr_reslist_destroy(list);
	apr_terminate();
}

static inline void *peer_take(int thread)
{
	void *resource;

	(void)thread;
	if (apr_reslist_acquire(list, &resource) != APR_SUCCESS)
		peer_die("no resource");
	return resource;
}

static inline void peer_put(int thread, void *handle)
{
	(void)thread;
	apr_reslist_release(list, handle);
}

static inline bool peer_query(int thread, void *handle)
{
	(void)thread;
	return peer_select(handle);
}

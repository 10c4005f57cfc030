/* SPDX-License-Identifier: BSD-2-Clause */
/* What may be asked of a handle: libpq's connection, where it leads, and why. */
#include <string.h>

#include "base/atomic.h"
#include "base/fork.h"
#include "base/text.h"
#include "pool/pool.h"
#include "pool/warm.h"

struct weir_conn *wi_conn_of(const struct weir_conn *handle)
{
	uint64_t count;

	return wi_handle_find(handle, &count);
}

struct pg_conn *weir_pg(const weir_conn *conn)
{
	struct weir_conn *c = conn ? wi_conn_of(conn) : NULL;

	return c && !wi_pool_is_parents(c->pool) ? c->pg : NULL;
}

weir_status weir_conn_info_get(const weir_conn *conn, weir_conn_info *info)
{
	struct weir_conn *c = conn ? wi_conn_of(conn) : NULL;
	struct wi_facts facts;

	if (!info)
		return WEIR_INVALID;
	memset(info, 0, sizeof(*info));
	if (!c)
		return WEIR_STALE;
	if (wi_pool_is_parents(c->pool))
		return WEIR_FORKED;
	c->pool->driver->facts(c->link, &facts);
	wi_copy(info->host, sizeof(info->host), c->pool->endpoint->name);
	info->role = (weir_role)wi_load_rlx(&c->role);
	info->reason = (weir_reason)wi_load_rlx(&c->reason);
	info->fallback = weir_reason_is_fallback(info->reason);
	info->backend_pid = facts.backend_pid;
	info->tag = wi_load_rlx(&c->tag);
	return WEIR_OK;
}

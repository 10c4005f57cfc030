/* SPDX-License-Identifier: BSD-2-Clause */
/* What an operator does to all hosts of a router at once. */
#include "base/atomic.h"
#include "base/text.h"
#include "pool/size.h"
#include "route/router.h"

/* Counts the caller as inside. OK, FORKED or CLOSED. */
static weir_status come_in(weir_router *r, weir_error *error)
{
	weir_status st;

	if (wi_router_is_parents(r) && (st = wi_router_in_child(r, error)) != WEIR_OK)
		return st;
	return wi_router_enter(r) ? WEIR_OK : wi_fail(error, WEIR_CLOSED, "the router is closed");
}

weir_status weir_router_resize(weir_router *r, int64_t min, int64_t max, weir_error *error)
{
	uint64_t sizes[WI_HOSTS_MAX];
	weir_status st;

	if (!r)
		return wi_fail(error, WEIR_INVALID, "weir_router_resize: router is NULL");
	st = come_in(r, error);
	if (st != WEIR_OK)
		return st;
	for (uint32_t i = 0; i < r->n_hosts && st == WEIR_OK; i++)
		st = wi_resize_prepare(r->hosts[i].pool, min, max, &sizes[i], error);
	for (uint32_t i = 0; i < r->n_hosts && st == WEIR_OK; i++)
		wi_resize_ask(r->hosts[i].pool, sizes[i]);
	wi_router_leave(r);
	return st;
}

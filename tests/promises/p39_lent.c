/* SPDX-License-Identifier: BSD-2-Clause */
#include "p39_lent.h"

#include <stdbool.h>

#include "base/assert.h"
#include "p39_scene.h"

weir_pool *lent_pool;
weir_router *lent_router;

/* That a size cannot be had is well said. */
static bool is_well_said(weir_status st)
{
	return st == WEIR_OK || st == WEIR_NO_MEMORY || st == WEIR_SYSTEM;
}

weir_status lent_pool_checkout(bool write, int64_t timeout_ms, weir_conn **conn, weir_error *error)
{
	(void)write;
	return weir_pool_checkout(lent_pool, timeout_ms, conn, error);
}

void lent_pool_manage(void)
{
	wi_check(is_well_said(weir_pool_resize(lent_pool, 1, 1, NULL)));
	wi_check(weir_pool_evict(lent_pool) == WEIR_OK);
	wi_check(is_well_said(weir_pool_resize(lent_pool, 1, SCENE_MAX, NULL)));
}

weir_status lent_pool_close(int64_t drain_ms)
{
	return weir_pool_close(&lent_pool, drain_ms);
}

weir_status lent_router_checkout(bool write, int64_t timeout_ms, weir_conn **conn,
                                 weir_error *error)
{
	const weir_request request =
		WEIR_REQUEST(.intent = write ? WEIR_WRITE : WEIR_READ, .timeout_ms = timeout_ms);

	return weir_checkout_with(lent_router, &request, conn, error);
}

void lent_router_manage(void)
{
	wi_check(is_well_said(weir_router_resize(lent_router, 1, 1, NULL)));
	wi_check(weir_router_evict(lent_router, NULL) == WEIR_OK);
	wi_check(is_well_said(weir_router_resize(lent_router, 1, SCENE_MAX, NULL)));
}

weir_status lent_router_close(int64_t drain_ms)
{
	return weir_router_close(&lent_router, drain_ms);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The pool and the router of a scene, as far as it is all the same which servers they have. */
#ifndef WEIR_TEST_P39_LENT_H
#define WEIR_TEST_P39_LENT_H

#include <weir/weir.h>

extern weir_pool *lent_pool;
extern weir_router *lent_router;

/* Members of a struct lender, see p39_scene.h. */
weir_status lent_pool_checkout(bool write, int64_t timeout_ms, weir_conn **conn, weir_error *error);
void lent_pool_manage(void);
weir_status lent_pool_close(int64_t drain_ms);

weir_status lent_router_checkout(bool write, int64_t timeout_ms, weir_conn **conn,
                                 weir_error *error);
void lent_router_manage(void);
weir_status lent_router_close(int64_t drain_ms);

#endif

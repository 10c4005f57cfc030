/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files share that run on callers' threads: taking, waiting, asking, giving back, and the
 * words where that fails.
 */
#ifndef WI_POOL_CALLERS_H
#define WI_POOL_CALLERS_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/status.h>

#include "driver/driver.h"
#include "pool/conn.h"

struct wi_seat;
struct weir_pool;

/* Reasons a waiter can be refused with (wi_core_shut, wi_core_refuse). */
enum { WI_REFUSE_CLOSED = 1, WI_REFUSE_BREAKER = 2, WI_REFUSE_ELSEWHERE = 3 };

/* The same of a core that is suspended: its checkouts wait, or fail, or choose again. */
enum { WI_SUSPENDED_WAIT = 4, WI_SUSPENDED_FAIL = 5, WI_SUSPENDED_ELSEWHERE = 6 };

/*
 * checkout.c: pins the calling thread, which sits down if it has no seat yet. NULL: no memory for
 * that.
 */
struct wi_seat *wi_come_in(struct weir_pool *pool, struct wi_seat *seat, bool *open);

/* checkout.c: a checkout that ends without a connection is counted; returns the status. */
weir_status wi_pool_refused(struct weir_pool *pool, weir_status status);

/* checkout.c: for a caller that is counted inside: SHED if too many wait already, else OK. */
weir_status wi_pool_shed(struct weir_pool *pool, weir_error *error);

/*
 * checkin.c: lets go of a slot that is held with this count. false: somebody else did before.
 */
bool wi_conn_let_go(struct weir_conn *c, uint64_t count);
void wi_inbox_push(struct weir_conn *c);
struct weir_conn *wi_inbox_take_all(struct weir_pool *pool);

/* say.c: the words about a failed checkout. */
weir_status wi_say_timeout(struct weir_pool *pool, int64_t waited_ns, weir_error *error);
weir_status wi_say_exhausted(struct weir_pool *pool, weir_error *error);
weir_status wi_say_breaker(struct weir_pool *pool, weir_error *error);

/*
 * exchange.c: DONE or FAILED; READ or WRITE: the deadline came first, and the answer is still to
 * come.
 */
enum wi_step wi_conn_await(struct weir_conn *c, struct wi_answer *answer, int64_t deadline_ns,
                           struct wi_failure *failure);

/* The same for statements whose results are wanted. */
enum wi_step wi_conn_await_results(struct weir_conn *c, const struct wi_call *calls, size_t n,
                                   struct wi_results *results, int64_t deadline_ns,
                                   struct wi_failure *failure);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What was done with a pool's connections is counted, each statement and transaction once. */
#include "pool/tally.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/fake_pool.h"
#include "support/sim.h"
#include "support/watchdog.h"

static int open_one(void **state)
{
	weir_options o;

	(void)state;
	sim_options(&o);
	o.pool_max = 1;
	return sim_open(&o) == WEIR_OK ? 0 : -1;
}

static int close_it(void **state)
{
	(void)state;
	return sim_close() == 0 ? 0 : -1;
}

static void queries_are_counted_by_how_they_end(void **state)
{
	weir_conn *conn = sim_checkout(1000);
	struct weir_conn *c = wi_conn_of(conn);
	const weir_work *w;

	(void)state;
	wi_tally_query(c, 0, 2000000, WEIR_OK, NULL);
	wi_tally_query(c, 0, 1000, WEIR_QUERY, "tag");
	wi_tally_query(c, 0, 1000, WEIR_RETRY, NULL);
	wi_tally_query(c, 0, 1000, WEIR_TIMEOUT, NULL);
	wi_tally_query(c, 0, 1000, WEIR_OUTCOME_UNKNOWN, NULL);
	w = &sim_stats()->work[WEIR_WRITE];
	assert_int_equal(w->queries, 5);
	assert_int_equal(w->query_errors, 4);
	assert_int_equal(w->query_retryable, 1);
	assert_int_equal(w->query_timeouts, 1);
	assert_int_equal(w->query_unknown, 1);
	assert_int_equal(sim_stats()->query.count, 5);
	assert_int_equal(sim_stats()->query.max_ns, 2000000);
	assert_int_equal(sim_stats()->query_times.sum_ns, 2004000);
	assert_int_equal(sim_stats()->work[WEIR_READ].queries, 0);
	weir_checkin(&conn);
}

static void transactions_are_counted_by_how_they_end(void **state)
{
	weir_conn *conn = sim_checkout(1000);
	struct weir_conn *c = wi_conn_of(conn);
	const weir_work *w;

	(void)state;
	for (int i = 0; i < 3; i++)
		wi_tally_transaction(c, WI_TALLY_COMMITTED);
	for (int i = 0; i < 2; i++)
		wi_tally_transaction(c, WI_TALLY_ROLLED_BACK);
	wi_tally_transaction(c, WI_TALLY_UNKNOWN);
	w = &sim_stats()->work[WEIR_WRITE];
	assert_int_equal(w->committed, 3);
	assert_int_equal(w->rolled_back, 2);
	assert_int_equal(w->unknown, 1);
	weir_checkin(&conn);
}

/* ---- checkouts that come to nothing; in real time, as a taker waits at the socket himself ---- */

static struct wi_fake_server server;
static weir_pool *pool;

static void a_moment(void)
{
	const struct timespec some = {.tv_nsec = 1000000};

	nanosleep(&some, NULL);
}

/* Whether it is so by now; the watchdog bounds the wait for it. */
static bool counts(uint64_t checkouts, uint64_t checkins, uint32_t busy)
{
	weir_pool_stats s;

	weir_pool_stats_get(pool, &s);
	return s.checkouts == checkouts && s.checkins == checkins && s.busy == busy;
}

static void await_counts(uint64_t checkouts, uint64_t checkins, uint32_t busy)
{
	while (!counts(checkouts, checkins, busy))
		a_moment();
}

static void *take_in_vain(void *status)
{
	weir_conn *conn = NULL;

	*(weir_status *)status = weir_pool_checkout(pool, 60000, &conn, NULL);
	return NULL;
}

/* Whoever takes one that has to be asked first holds it, but has not checked it out. */
static void check_one_in_vain(void)
{
	weir_status status = WEIR_OK;
	pthread_t taker;

	wi_store_rlx(&server.silent, true);
	assert_int_equal(pthread_create(&taker, NULL, take_in_vain, &status), 0);
	await_counts(1, 1, 1);
	/* That was seen, however long it took; now the session dies, and there is no other. */
	wi_store_rlx(&server.connect_fault, WI_FAULT_REFUSED);
	wi_store_rlx(&server.silent, false);
	assert_int_equal(wi_fake_kill(&server), 1);
	assert_int_equal(pthread_join(taker, NULL), 0);
	assert_int_equal(status, WEIR_CONNECT);
	await_counts(1, 1, 0);
	wi_store_rlx(&server.connect_fault, WI_FAULT_NONE);
}

/* Else the count would go back when it is found to be dead. */
static void what_is_being_checked_is_no_checkout_yet(void **state)
{
	weir_conn *conn;
	weir_options o;

	(void)state;
	wi_fake_server_init(&server);
	weir_options_init(&o);
	o.pool_min = o.pool_max = 1;
	o.pre_ping = WEIR_PRE_PING_PING;
	o.check_timeout_ms = 60000;
	o.breaker_failures = 1;
	o.breaker_open_ms = 10;
	pool = fake_pool_open(&server, &o);
	assert_int_equal(weir_pool_checkout(pool, -1, &conn, NULL), WEIR_OK);
	weir_checkin(&conn);
	await_counts(1, 1, 0);
	check_one_in_vain();
	while (weir_pool_checkout(pool, -1, &conn, NULL) != WEIR_OK)
		a_moment(); /* the breaker does not know yet that the server is well again */
	assert_true(counts(2, 1, 1));
	weir_checkin(&conn);
	await_counts(2, 2, 0);
	assert_int_equal(weir_pool_close(&pool, 20000), WEIR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(queries_are_counted_by_how_they_end, open_one,
	                                        close_it),
		cmocka_unit_test_setup_teardown(transactions_are_counted_by_how_they_end, open_one,
	                                        close_it),
		cmocka_unit_test(what_is_being_checked_is_no_checkout_yet),
	};

	test_watchdog(100, "what a pool counts");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

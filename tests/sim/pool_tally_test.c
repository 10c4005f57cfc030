/* SPDX-License-Identifier: BSD-2-Clause */
/* What was done with a pool's connections is counted, each statement and transaction once. */
#include "pool/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pool/pool.h"
#include "support/sim.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(queries_are_counted_by_how_they_end, open_one,
	                                        close_it),
		cmocka_unit_test_setup_teardown(transactions_are_counted_by_how_they_end, open_one,
	                                        close_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

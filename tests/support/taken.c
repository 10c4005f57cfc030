/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/taken.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "support/cluster.h"

struct taken taken;

void taken_pass_on(void)
{
	int pid = PQbackendPID(weir_pg(taken.conn));

	weir_checkin(&taken.conn);
	if (weir_pool_checkout(taken.pool, PATIENCE_MS, &taken.conn, &taken.e) != WEIR_OK)
		fail_msg("%s", taken.e.text);
	assert_int_equal(PQbackendPID(weir_pg(taken.conn)), pid);
}

/* One connection, so that it is always the same. */
int taken_open(void **state)
{
	(void)state;
	memset(&taken.e, 0, sizeof(taken.e));
	taken.o.pool_max = 1;
	if (weir_pool_open(test_cluster_url(taken.cluster), &taken.o, &taken.pool, &taken.e) !=
	            WEIR_OK ||
	    weir_pool_checkout(taken.pool, PATIENCE_MS, &taken.conn, &taken.e) != WEIR_OK)
		fail_msg("%s", taken.e.text);
	PQclear(PQexec(weir_pg(taken.conn),
	               "DROP TABLE IF EXISTS t, u; CREATE TABLE t (n int PRIMARY "
	               "KEY); INSERT INTO t VALUES (1); CREATE TABLE u (t int "
	               "REFERENCES t DEFERRABLE INITIALLY DEFERRED)"));
	taken_pass_on(); /* what that may have left is over */
	return 0;
}

int taken_set_up(void **state)
{
	weir_options_init(&taken.o);
	taken.o.pool_min = 0;
	taken.o.cancel_timeout_ms = PATIENCE_MS;
	return taken_open(state);
}

int taken_tear_down(void **state)
{
	(void)state;
	PQclear(taken.rows);
	taken.rows = NULL;
	weir_checkin(&taken.conn);
	assert_int_equal(weir_pool_close(&taken.pool, PATIENCE_MS), WEIR_OK);
	return 0;
}

weir_status taken_run_within(const char *sql, int64_t timeout_ms)
{
	const weir_statement s = WEIR_STATEMENT(.sql = sql, .timeout_ms = timeout_ms);

	PQclear(taken.rows);
	return weir_conn_query(taken.conn, &s, &taken.rows, &taken.e);
}

weir_status taken_run(const char *sql)
{
	return taken_run_within(sql, PATIENCE_MS);
}

const char *taken_value(const char *sql)
{
	const char *text = "";

	if (taken_run(sql) != WEIR_OK ||
	    weir_row_text_at(taken.rows, 0, 0, &text, NULL, NULL, &taken.e) != WEIR_OK)
		fail_msg("%s: %s", sql, taken.e.text);
	return text;
}

int taken_by_libpq(const char *sql)
{
	PGresult *r = PQexec(weir_pg(taken.conn), sql);
	int n = PQntuples(r) == 1 ? atoi(PQgetvalue(r, 0, 0)) : -1;

	PQclear(r);
	return n;
}

void taken_from_outside(const char *sql)
{
	PGconn *pg = PQconnectdb(test_cluster_url(taken.cluster));
	PGresult *r = PQexec(pg, sql);

	assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
	PQclear(r);
	PQfinish(pg);
}

void taken_run_well(const char *sql)
{
	if (taken_run(sql) != WEIR_OK)
		fail_msg("%s: %s", sql, taken.e.text);
}

int taken_start(void **state)
{
	const struct test_cluster_options options = {.standbys = -1};

	(void)state;
	taken.cluster = test_cluster_start_or_exit(&options);
	return 0;
}

int taken_finish(void **state)
{
	(void)state;
	return test_cluster_stop(&taken.cluster) ? 0 : -1;
}

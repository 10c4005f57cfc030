/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transactions at a real server: what BEGIN made of them, what is left when they have ended, and
 * the errors that only a real server makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/weir.h>

#include "pool/pool.h"
#include "support/cluster.h"
#include "support/watchdog.h"

static struct test_cluster *cluster;
static weir_router *router;
static weir_error error;
static weir_conn *c, *d;

static weir_conn *take(void)
{
	weir_conn *conn = NULL;

	if (weir_checkout(router, WEIR_WRITE, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return conn;
}

static int set_up(void **state)
{
	(void)state;
	c = take();
	d = take();
	assert_int_equal(
		weir_exec(c, "TRUNCATE kept; INSERT INTO kept VALUES (1), (2)", 20000, &error),
		WEIR_OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	weir_checkin(&c);
	weir_checkin(&d);
	return 0;
}

static void must(weir_status st)
{
	if (st != WEIR_OK)
		fail_msg("%s: %s %s", weir_status_name(st), error.sqlstate, error.text);
}

static weir_status say(weir_conn *conn, const char *sql)
{
	return weir_exec(conn, sql, 20000, &error);
}

/* The one value that a query returns; static storage. */
static const char *ask(weir_conn *conn, const char *sql)
{
	static char value[4][64];
	static int last;
	PGresult *result = PQexec(weir_pg(conn), sql);

	last = (last + 1) % 4;
	snprintf(value[last], sizeof(value[last]), "%s",
	         PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
	return value[last];
}

static weir_tx begun(weir_conn *conn, weir_tx_settings settings)
{
	weir_tx tx = WEIR_TX();

	must(weir_tx_begin(conn, &settings, &tx, &error));
	return tx;
}

static bool is_clean(const weir_conn *conn)
{
	const struct weir_conn *slot = wi_conn_of(conn);

	return slot->pool->driver->look(slot->link) == WI_LOOK_CLEAN;
}

static void transaction_is_as_asked(void **state)
{
	weir_tx tx = begun(c, (weir_tx_settings){.isolation = WEIR_ISOLATION_SERIALIZABLE,
	                                         .read_only = true,
	                                         .deferrable = true});

	(void)state;
	assert_string_equal(ask(c, "SHOW transaction_isolation"), "serializable");
	assert_string_equal(ask(c, "SHOW transaction_read_only"), "on");
	assert_string_equal(ask(c, "SHOW transaction_deferrable"), "on");
	must(weir_tx_commit(&tx, &error));
	tx = begun(c, (weir_tx_settings){.isolation = WEIR_ISOLATION_REPEATABLE_READ});
	assert_string_equal(ask(c, "SHOW transaction_isolation"), "repeatable read");
	assert_string_equal(ask(c, "SHOW transaction_read_only"), "off");
	must(weir_tx_commit(&tx, &error));
}

static void timeouts_end_with_it_and_leave_nothing_to_reset(void **state)
{
	char usual[64];
	weir_tx tx;

	(void)state;
	snprintf(usual, sizeof(usual), "%s", ask(c, "SHOW statement_timeout"));
	must(say(c, "RESET ALL"));
	weir_checkin(&c); /* which cleans it */
	c = take();
	assert_true(is_clean(c));
	tx = begun(c, (weir_tx_settings){.statement_timeout_ms = 300, .lock_timeout_ms = -1});
	assert_int_equal(say(c, "SELECT pg_sleep(20)"), WEIR_QUERY);
	assert_string_equal(error.sqlstate, "57014");
	assert_int_equal(weir_tx_commit(&tx, &error), WEIR_QUERY);
	assert_string_equal(error.sqlstate, "25P02");
	assert_true(is_clean(c));
	assert_string_equal(ask(c, "SHOW statement_timeout"), usual);
	assert_true(is_clean(c));
}

static void nested_ones_are_taken_back_alone(void **state)
{
	weir_tx tx = begun(c, (weir_tx_settings){0});

	(void)state;
	must(say(c, "INSERT INTO kept VALUES (3)"));
	{
		WEIR_SCOPED_TX weir_tx inner = WEIR_TX();

		must(weir_tx_nest(&tx, &inner, &error));
		must(say(c, "INSERT INTO kept VALUES (4)"));
		assert_int_equal(say(c, "INSERT INTO kept VALUES (3)"), WEIR_QUERY);
		assert_string_equal(error.sqlstate, "23505");
	}
	{
		WEIR_SCOPED_TX weir_tx inner = WEIR_TX();
		WEIR_SCOPED_TX weir_tx innermost = WEIR_TX();

		must(weir_tx_nest(&tx, &inner, &error));
		must(weir_tx_nest(&inner, &innermost, &error));
		must(say(c, "INSERT INTO kept VALUES (5)"));
		must(weir_tx_commit(&innermost, &error));
		must(weir_tx_commit(&inner, &error));
	}
	must(weir_tx_commit(&tx, &error));
	assert_string_equal(ask(d, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM kept"),
	                    "1 2 3 5");
}

/* What is only checked by COMMIT. */
static void commit_that_fails_has_rolled_back(void **state)
{
	weir_tx tx = begun(c, (weir_tx_settings){0});

	(void)state;
	must(say(c, "INSERT INTO late VALUES (1), (1)"));
	assert_int_equal(weir_tx_commit(&tx, &error), WEIR_QUERY);
	assert_string_equal(error.sqlstate, "23505");
	assert_string_equal(ask(c, "SELECT count(*) FROM late"), "0");
}

/* Each has read what the other writes. */
static void write_skew_asks_for_a_retry(void **state)
{
	const weir_tx_settings serializable = {.isolation = WEIR_ISOLATION_SERIALIZABLE};
	weir_tx one = begun(c, serializable), two = begun(d, serializable);
	weir_status st;

	(void)state;
	ask(c, "SELECT sum(n) FROM kept");
	ask(d, "SELECT sum(n) FROM kept");
	must(say(c, "INSERT INTO kept VALUES (10)"));
	must(say(d, "INSERT INTO kept VALUES (20)"));
	must(weir_tx_commit(&one, &error));
	/* By libpq alone: what it failed by is known all the same. */
	ask(d, "SELECT 1");
	st = weir_tx_commit(&two, &error);
	assert_int_equal(st, WEIR_RETRY);
	assert_string_equal(error.sqlstate, "40001");
	assert_string_equal(ask(d, "SELECT sum(n) FROM kept"), "13");
}

static void session_that_was_ended_before_commit_has_not_committed(void **state)
{
	weir_tx tx = begun(c, (weir_tx_settings){0});
	char sql[96];

	(void)state;
	must(say(c, "INSERT INTO kept VALUES (3)"));
	/* Waits until it is gone: PostgreSQL 14. */
	snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 20000)",
	         PQbackendPID(weir_pg(c)));
	assert_string_equal(ask(d, sql), "t");
	assert_int_equal(weir_tx_commit(&tx, &error), WEIR_CONNECT);
	assert_string_equal(error.sqlstate, "57P01");
	assert_string_equal(ask(d, "SELECT count(*) FROM kept"), "2");
}

/* The position after COMMIT, in the same round trip. */
static void token_is_behind_the_commit(void **state)
{
	weir_token before = {0}, after = {0};
	weir_tx tx;

	(void)state;
	must(weir_token_take(c, 20000, &before, &error));
	tx = begun(c, (weir_tx_settings){.token = &after});
	must(say(c, "INSERT INTO kept VALUES (3)"));
	must(weir_tx_commit(&tx, &error));
	assert_true(after.lsn > before.lsn);
	assert_int_equal(after.system, before.system);
}

/* It is cancelled, and the keeper sees its end: nothing was committed, the session goes on. */
static void commit_that_takes_too_long_costs_no_connection(void **state)
{
	int pid = PQbackendPID(weir_pg(c));
	char sql[96];
	weir_tx tx = begun(c, (weir_tx_settings){.timeout_ms = 1500});

	(void)state;
	must(say(c, "INSERT INTO slow VALUES (1)"));
	assert_int_equal(weir_tx_commit(&tx, &error), WEIR_OUTCOME_UNKNOWN);
	weir_checkin(&c);
	snprintf(sql, sizeof(sql),
	         "SELECT state FROM pg_stat_activity WHERE pid = %d AND query NOT LIKE 'COMMIT%%'",
	         pid);
	for (int i = 0; i < 4000 && strcmp(ask(d, sql), "idle") != 0; i++)
		ask(d, "SELECT pg_sleep(0.005)");
	assert_string_equal(ask(d, sql), "idle");
	assert_string_equal(ask(d, "SELECT count(*) FROM slow"), "0");
}

/* ---- a standby that has to choose between the reader and what the primary says ---- */

static char hosts[2][WEIR_ERROR_HOST];

/* By a vacuum, and by another one if somebody at the primary still saw it: a probe, perhaps. */
static void remove_it(void)
{
	free(test_cluster_sql(cluster, 0, "DELETE FROM kept"));
	free(test_cluster_sql(cluster, 0, "VACUUM kept"));
}

static weir_status read_what_is_removed(weir_tx *tx, void *arg, weir_error *e)
{
	int *attempt = arg, n = (*attempt)++;
	weir_conn_info info;

	assert_int_equal(weir_conn_info_get(weir_tx_conn(tx), &info), WEIR_OK);
	snprintf(hosts[n % 2], sizeof(hosts[0]), "%s", info.host);
	if (n > 0)
		return weir_exec(weir_tx_conn(tx), "SELECT count(*) FROM kept", 20000, e);
	if (info.role != WEIR_ROLE_REPLICA)
		return WEIR_OK;
	/* Its snapshot sees what is removed now. */
	assert_string_equal(ask(weir_tx_conn(tx), "SELECT count(*) FROM kept"), "2");
	/* Until the standby has come to that; by libpq, which knows nothing of retries. */
	do {
		remove_it();
		if (!weir_tx_left_ms(tx))
			return WEIR_TIMEOUT;
	} while (strcmp(ask(weir_tx_conn(tx), "SELECT count(*) FROM kept"), "2") == 0);
	return WEIR_QUERY;
}

static void read_that_a_standby_has_to_end_is_done_elsewhere(void **state)
{
	const weir_request read = WEIR_REQUEST(.intent = WEIR_READ);
	const weir_tx_settings repeatable =
		WEIR_TX_SETTINGS(.isolation = WEIR_ISOLATION_REPEATABLE_READ);
	weir_run_result result = {0};
	const weir_run_settings settings =
		WEIR_RUN_SETTINGS(.request = &read, .tx = &repeatable, .result = &result);
	char standby[WEIR_ERROR_HOST];
	int attempts;

	(void)state;
	snprintf(standby, sizeof(standby), "127.0.0.1:%d", test_cluster_port(cluster, 1));
	if (!test_cluster_sync(cluster))
		fail_msg("%s", test_cluster_error(cluster));
	weir_checkin(&d); /* elsewhere is where there is one soon: a connection that is idle */
	/* While the standby's probe is late, the primary serves its reads: then all over again. */
	do {
		attempts = 0;
		must(weir_run(router, &settings, read_what_is_removed, &attempts, &error));
	} while (strcmp(hosts[0], standby) != 0);
	assert_int_equal(attempts, 2);
	assert_true(result.why == WEIR_AGAIN_SERIALIZATION || result.why == WEIR_AGAIN_LOST);
	assert_string_not_equal(hosts[0], hosts[1]);
}

static int begin(void **state)
{
	char *made = test_cluster_sql(
		cluster, 0,
		"CREATE TABLE kept (n int PRIMARY KEY); CREATE TABLE late (n int UNIQUE "
		"DEFERRABLE INITIALLY DEFERRED); CREATE TABLE slow (n int);"
		"CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS "
		"'BEGIN PERFORM pg_sleep(60); RETURN NULL; END';"
		"CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON slow DEFERRABLE INITIALLY "
		"DEFERRED FOR EACH ROW EXECUTE FUNCTION sleep();"
		"GRANT ALL ON kept, late, slow TO app;"
		"GRANT pg_signal_backend TO app");
	weir_options options;

	(void)state;
	if (!made || !test_cluster_sync(cluster))
		fail_msg("%s", test_cluster_error(cluster));
	free(made);
	weir_options_init(&options);
	must(weir_router_open(test_cluster_url(cluster), &options, &router, &error));
	return weir_router_probe(router, 30000) != WEIR_OK;
}

static int end(void **state)
{
	(void)state;
	return weir_router_close(&router, 20000) != WEIR_OK;
}

int main(void)
{
#define A_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		A_TEST(transaction_is_as_asked),
		A_TEST(timeouts_end_with_it_and_leave_nothing_to_reset),
		A_TEST(nested_ones_are_taken_back_alone),
		A_TEST(commit_that_fails_has_rolled_back),
		A_TEST(write_skew_asks_for_a_retry),
		A_TEST(session_that_was_ended_before_commit_has_not_committed),
		A_TEST(token_is_behind_the_commit),
		A_TEST(commit_that_takes_too_long_costs_no_connection),
		A_TEST(read_that_a_standby_has_to_end_is_done_elsewhere),
	};
	static const char *const settings[] = {"max_standby_streaming_delay=0",
	                                       "hot_standby_feedback=off", "autovacuum=off", NULL};
	int failed;

	test_watchdog(250, "transactions");
	cluster = test_cluster_start_or_exit(&(struct test_cluster_options){
		.standbys = 1, .monitor = true, .settings = settings});
	failed = cmocka_run_group_tests_name("tx", tests, begin, end);
	return test_cluster_stop(&cluster) ? failed : 1;
}

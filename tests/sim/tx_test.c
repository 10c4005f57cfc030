/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transactions as scopes, over the fake driver: what is sent for each, how they nest, and what
 * misuse is told. What each end means is in tx_end_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "driver/fake.h"
#include "pool/pool.h"
#include "support/scripted.h"
#include "support/watchdog.h"

static weir_tx begun(struct scripted *f)
{
	weir_tx tx = WEIR_TX();

	assert_int_equal(weir_tx_begin(f->conn, NULL, &tx, NULL), WEIR_OK);
	return tx;
}

static void say(struct scripted *f, const char *sql, weir_status st)
{
	assert_int_equal(weir_exec(f->conn, sql, 10000, NULL), st);
}

static bool is_clean(const struct scripted *f)
{
	return f->pool->driver->look(wi_conn_of(f->conn)->link) == WI_LOOK_CLEAN;
}

/* ---- what is sent ---- */

static void commit_and_rollback_end_it(void **state)
{
	struct scripted *f = *state;
	weir_tx tx = begun(f);

	assert_ptr_equal(weir_tx_conn(&tx), f->conn);
	assert_int_equal(weir_tx_left_ms(&tx), -1);
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_OK);
	assert_true(is_clean(f));
	assert_null(weir_tx_conn(&tx));
	assert_int_equal(weir_tx_left_ms(&tx), 0);
	assert_int_equal(weir_tx_begin(f->conn, NULL, &tx, NULL), WEIR_OK);
	assert_int_equal(weir_tx_rollback(&tx, NULL), WEIR_OK);
	assert_string_equal(f->asked, "BEGIN|COMMIT|BEGIN|ROLLBACK|");
}

static void settings_ride_with_begin(void **state)
{
	static const struct {
		weir_tx_settings s;
		const char *sql;
	} rows[] = {
		{{.isolation = WEIR_ISOLATION_READ_COMMITTED},
	         "BEGIN ISOLATION LEVEL READ COMMITTED|"},
		{{.isolation = WEIR_ISOLATION_REPEATABLE_READ, .read_only = true},
	         "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY|"},
		{{.isolation = WEIR_ISOLATION_SERIALIZABLE, .read_only = true, .deferrable = true},
	         "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE|"},
		{{.statement_timeout_ms = 250, .lock_timeout_ms = -1},
	         "BEGIN; SET LOCAL statement_timeout = 250; SET LOCAL lock_timeout = 0|"},
	};
	struct scripted *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		weir_tx tx = WEIR_TX();

		f->asked[0] = '\0';
		assert_int_equal(weir_tx_begin(f->conn, &rows[i].s, &tx, NULL), WEIR_OK);
		assert_string_equal(f->asked, rows[i].sql);
		assert_int_equal(weir_tx_rollback(&tx, NULL), WEIR_OK);
		assert_true(is_clean(f)); /* SET LOCAL leaves nothing, so nothing is to be reset */
	}
}

/* But what the holder had changed before is not forgotten over it. */
static void settings_of_the_holder_stay_changes(void **state)
{
	const weir_tx_settings s = WEIR_TX_SETTINGS(.lock_timeout_ms = 10);
	struct scripted *f = *state;
	weir_tx tx = WEIR_TX();

	say(f, "SET x = 1", WEIR_OK);
	assert_int_equal(weir_tx_begin(f->conn, &s, &tx, NULL), WEIR_OK);
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_OK);
	assert_false(is_clean(f));
}

static void scope_rolls_back_what_was_not_committed(void **state)
{
	struct scripted *f = *state;

	{
		WEIR_SCOPED_TX weir_tx tx = WEIR_TX();

		assert_int_equal(weir_tx_begin(f->conn, NULL, &tx, NULL), WEIR_OK);
	}
	{
		WEIR_SCOPED_TX weir_tx tx = WEIR_TX();

		assert_int_equal(weir_tx_begin(f->conn, NULL, &tx, NULL), WEIR_OK);
		assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_OK);
	}
	{
		WEIR_SCOPED_TX weir_tx never = WEIR_TX();

		(void)never;
	}
	assert_string_equal(f->asked, "BEGIN|ROLLBACK|BEGIN|COMMIT|");
}

static void ends_are_counted(void **state)
{
	struct scripted *f = *state;
	weir_pool_stats s;
	weir_tx tx = begun(f);

	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_OK);
	tx = begun(f);
	assert_int_equal(weir_tx_rollback(&tx, NULL), WEIR_OK);
	tx = begun(f);
	say(f, "FAIL 23505", WEIR_QUERY);
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_QUERY);
	tx = begun(f);
	f->commit_fails = "23505";
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_QUERY);
	tx = begun(f);
	f->commit_fails = "";
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_OUTCOME_UNKNOWN);
	weir_pool_stats_get(f->pool, &s);
	assert_int_equal(s.work[WEIR_WRITE].committed, 1);
	assert_int_equal(s.work[WEIR_WRITE].rolled_back, 3);
	assert_int_equal(s.work[WEIR_WRITE].unknown, 1);
}

/* Whoever is the first to find it lost. */
static void one_that_is_lost_in_a_nested_one_is_counted_once(void **state)
{
	struct scripted *f = *state;
	weir_tx tx = begun(f), inner = WEIR_TX();
	weir_pool_stats s;

	assert_int_equal(weir_tx_nest(&tx, &inner, NULL), WEIR_OK);
	say(f, "INSERT LOSE", WEIR_CONNECT);
	assert_int_equal(weir_tx_rollback(&inner, NULL), WEIR_CONNECT);
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_CONNECT);
	weir_pool_stats_get(f->pool, &s);
	assert_int_equal(s.work[WEIR_WRITE].rolled_back, 1);
}

/* ---- nested ---- */

static void nested_ones_are_savepoints(void **state)
{
	struct scripted *f = *state;
	weir_tx outer = begun(f), a = WEIR_TX(), b = WEIR_TX();

	assert_int_equal(weir_tx_nest(&outer, &a, NULL), WEIR_OK);
	assert_int_equal(weir_tx_nest(&a, &b, NULL), WEIR_OK);
	assert_ptr_equal(weir_tx_conn(&b), f->conn);
	assert_int_equal(weir_tx_rollback(&b, NULL), WEIR_OK);
	assert_int_equal(weir_tx_commit(&a, NULL), WEIR_OK);
	assert_int_equal(weir_tx_nest(&outer, &b, NULL), WEIR_OK);
	assert_int_equal(weir_tx_commit(&b, NULL), WEIR_OK);
	assert_int_equal(weir_tx_commit(&outer, NULL), WEIR_OK);
	assert_string_equal(
		f->asked,
		"BEGIN|SAVEPOINT weir_savepoint_1|SAVEPOINT weir_savepoint_2|"
		"ROLLBACK TO SAVEPOINT weir_savepoint_2; RELEASE SAVEPOINT weir_savepoint_2|"
		"RELEASE SAVEPOINT weir_savepoint_1|SAVEPOINT weir_savepoint_1|"
		"RELEASE SAVEPOINT weir_savepoint_1|COMMIT|");
}

static void rollback_of_a_nested_one_mends_the_outer_one(void **state)
{
	struct scripted *f = *state;
	weir_tx outer = begun(f);

	{
		WEIR_SCOPED_TX weir_tx inner = WEIR_TX();

		assert_int_equal(weir_tx_nest(&outer, &inner, NULL), WEIR_OK);
		say(f, "FAIL 23505", WEIR_QUERY);
	}
	assert_int_equal(weir_tx_commit(&outer, NULL), WEIR_OK);
	assert_non_null(strstr(f->asked, "COMMIT"));
}

static void commit_of_a_failed_nested_one_is_not_ok(void **state)
{
	struct scripted *f = *state;
	weir_tx outer = begun(f), inner = WEIR_TX();
	weir_error e;

	assert_int_equal(weir_tx_nest(&outer, &inner, NULL), WEIR_OK);
	say(f, "FAIL 23505", WEIR_QUERY);
	assert_int_equal(weir_tx_commit(&inner, &e), WEIR_QUERY);
	assert_string_equal(e.sqlstate, "25P02");
	assert_int_equal(weir_tx_commit(&inner, &e), WEIR_INVALID);
	assert_int_equal(weir_tx_commit(&outer, &e), WEIR_OK);
}

static void outer_one_waits_for_the_inner_one(void **state)
{
	struct scripted *f = *state;
	weir_tx outer = begun(f), inner = WEIR_TX(), other = WEIR_TX();
	weir_error e;

	assert_int_equal(weir_tx_nest(&outer, &inner, NULL), WEIR_OK);
	assert_int_equal(weir_tx_commit(&outer, &e), WEIR_INVALID);
	assert_non_null(strstr(e.text, "nested"));
	assert_int_equal(weir_tx_nest(&outer, &other, &e), WEIR_INVALID);
	assert_null(strstr(f->asked, "COMMIT"));
	/* All of it may be taken back at any time, and the inner one ends with it. */
	assert_int_equal(weir_tx_rollback(&outer, &e), WEIR_OK);
	assert_int_equal(weir_tx_commit(&inner, &e), WEIR_INVALID);
}

/* Nor does it come back to life with another transaction in the same struct. */
static void inner_one_ends_with_the_outer_one(void **state)
{
	struct scripted *f = *state;
	weir_tx outer = begun(f), inner = WEIR_TX(), other = WEIR_TX();
	weir_error e;

	assert_int_equal(weir_tx_nest(&outer, &inner, &e), WEIR_OK);
	assert_int_equal(weir_tx_rollback(&outer, &e), WEIR_OK);
	assert_int_equal(weir_tx_begin(f->conn, NULL, &outer, &e), WEIR_OK);
	assert_int_equal(weir_tx_nest(&outer, &other, &e), WEIR_OK);
	assert_int_equal(weir_tx_commit(&inner, &e), WEIR_INVALID);
	assert_non_null(strstr(e.text, "around it has ended"));
	weir_tx_end(&inner);
	assert_int_equal(weir_tx_commit(&other, &e), WEIR_OK);
	assert_int_equal(weir_tx_commit(&outer, &e), WEIR_OK);
}

/* What could not be taken back keeps all of it from being committed. */
static void nested_one_whose_scope_ends_in_a_query_cannot_be_committed(void **state)
{
	struct scripted *f = *state;
	weir_tx outer = begun(f);
	weir_error e;

	{
		WEIR_SCOPED_TX weir_tx inner = WEIR_TX();

		assert_int_equal(weir_tx_nest(&outer, &inner, NULL), WEIR_OK);
		wi_fake_leave(wi_conn_of(f->conn)->link, WI_LOOK_BUSY);
	}
	wi_fake_leave(wi_conn_of(f->conn)->link, WI_LOOK_IN_TX);
	assert_int_equal(weir_tx_commit(&outer, &e), WEIR_INVALID);
	assert_int_equal(weir_tx_rollback(&outer, &e), WEIR_OK);
}

/* ---- misuse ---- */

static void misuse_is_told_and_does_nothing(void **state)
{
	struct scripted *f = *state;
	const weir_tx_settings bad[] = {
		{.isolation = (weir_isolation)4},
		{.deferrable = true},
		{.statement_timeout_ms = INT64_MAX},
		{.read_only = true, .token = &(weir_token){0}},
	};
	weir_tx tx = WEIR_TX(), other = WEIR_TX();
	weir_error e;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(weir_tx_begin(f->conn, &bad[i], &tx, &e), WEIR_INVALID);
	assert_int_equal(weir_tx_begin(NULL, NULL, &tx, &e), WEIR_INVALID);
	assert_int_equal(weir_tx_begin(f->conn, NULL, NULL, &e), WEIR_INVALID);
	assert_int_equal(weir_tx_commit(NULL, &e), WEIR_INVALID);
	assert_int_equal(weir_tx_commit(&tx, &e), WEIR_INVALID);
	assert_non_null(strstr(e.text, "never begun"));
	assert_int_equal(weir_tx_nest(&tx, &other, &e), WEIR_INVALID);
	weir_tx_end(NULL);
	weir_tx_end(&tx);
	assert_string_equal(f->asked, "");
	tx = begun(f);
	assert_int_equal(weir_tx_begin(f->conn, NULL, &tx, &e), WEIR_INVALID);
	assert_int_equal(weir_tx_begin(f->conn, NULL, &other, &e), WEIR_INVALID);
	assert_int_equal(weir_tx_nest(&tx, &tx, &e), WEIR_INVALID);
	assert_int_equal(weir_tx_commit(&tx, &e), WEIR_OK);
	assert_int_equal(weir_tx_commit(&tx, &e), WEIR_INVALID);
	assert_non_null(strstr(e.text, "has ended"));
	assert_int_equal(weir_tx_rollback(&tx, &e), WEIR_INVALID);
	assert_string_equal(f->asked, "BEGIN|COMMIT|");
}

static void sql_of_the_holder_that_ends_it_is_found(void **state)
{
	struct scripted *f = *state;
	weir_tx tx = begun(f);
	weir_error e;

	say(f, "ROLLBACK", WEIR_OK);
	assert_int_equal(weir_tx_commit(&tx, &e), WEIR_INVALID);
	assert_non_null(strstr(e.text, "ended by SQL"));
	assert_string_equal(f->asked, "BEGIN|ROLLBACK|");
}

static void running_query_keeps_it_open(void **state)
{
	struct scripted *f = *state;
	weir_tx tx = begun(f);

	wi_fake_leave(wi_conn_of(f->conn)->link, WI_LOOK_BUSY);
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_INVALID);
	wi_fake_leave(wi_conn_of(f->conn)->link, WI_LOOK_IN_TX);
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_OK);
}

static void connection_that_was_given_back_is_stale(void **state)
{
	struct scripted *f = *state;
	weir_tx tx = begun(f);

	weir_checkin(&f->conn);
	assert_int_equal(weir_tx_left_ms(&tx), 0);
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_STALE);
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_INVALID);
	assert_int_equal(weir_pool_checkout(f->pool, 10000, &f->conn, NULL), WEIR_OK);
	assert_true(is_clean(f));
	assert_int_equal(weir_tx_begin(f->conn, NULL, &tx, NULL), WEIR_OK);
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_OK);
}

int main(void)
{
#define A_TEST(name) cmocka_unit_test_setup_teardown(name, scripted_begin, scripted_end)
	const struct CMUnitTest tests[] = {
		A_TEST(commit_and_rollback_end_it),
		A_TEST(settings_ride_with_begin),
		A_TEST(settings_of_the_holder_stay_changes),
		A_TEST(scope_rolls_back_what_was_not_committed),
		A_TEST(ends_are_counted),
		A_TEST(one_that_is_lost_in_a_nested_one_is_counted_once),
		A_TEST(nested_ones_are_savepoints),
		A_TEST(rollback_of_a_nested_one_mends_the_outer_one),
		A_TEST(commit_of_a_failed_nested_one_is_not_ok),
		A_TEST(outer_one_waits_for_the_inner_one),
		A_TEST(inner_one_ends_with_the_outer_one),
		A_TEST(nested_one_whose_scope_ends_in_a_query_cannot_be_committed),
		A_TEST(misuse_is_told_and_does_nothing),
		A_TEST(sql_of_the_holder_that_ends_it_is_found),
		A_TEST(running_query_keeps_it_open),
		A_TEST(connection_that_was_given_back_is_stale),
	};

	test_watchdog(100, "transactions");
	return cmocka_run_group_tests_name("tx", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weir_exec over the fake driver: what each end of an exchange means for the caller, and for the
 * connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "support/scripted.h"

static weir_status exec(struct scripted *f, const char *sql, weir_error *e)
{
	memset(e, 0, sizeof(*e));
	return weir_exec(f->conn, sql, 10000, e);
}

static void success_is_ok(void **state)
{
	weir_error e;

	assert_int_equal(exec(*state, "SET x = 1", &e), WEIR_OK);
}

static void server_error_keeps_sqlstate_and_connection(void **state)
{
	struct scripted *f = *state;
	weir_error e;

	assert_int_equal(exec(f, "FAIL 23505", &e), WEIR_QUERY);
	assert_string_equal(e.sqlstate, "23505");
	assert_string_equal(e.host, "127.0.0.1:5432");
	assert_int_equal(exec(f, "SELECT 1", &e), WEIR_OK);
}

static void serialization_and_deadlock_ask_for_a_retry(void **state)
{
	weir_error e;

	assert_int_equal(exec(*state, "FAIL 40001", &e), WEIR_RETRY);
	assert_int_equal(exec(*state, "FAIL 40P01", &e), WEIR_RETRY);
	assert_int_equal(weir_status_retry(WEIR_RETRY), WEIR_RETRY_NOW);
}

static void loss_inside_a_transaction_committed_nothing(void **state)
{
	weir_error e;

	assert_int_equal(exec(*state, "BEGIN", &e), WEIR_OK);
	assert_int_equal(exec(*state, "INSERT LOSE", &e), WEIR_CONNECT);
}

static void loss_in_commit_is_an_unknown_outcome(void **state)
{
	weir_error e;

	assert_int_equal(exec(*state, "BEGIN", &e), WEIR_OK);
	assert_int_equal(exec(*state, "  commit /* LOSE */", &e), WEIR_OUTCOME_UNKNOWN);
}

/* A form feed is white space to the server. */
static void loss_in_commit_is_one_however_it_is_written(void **state)
{
	weir_error e;

	assert_int_equal(exec(*state, "BEGIN", &e), WEIR_OK);
	assert_int_equal(exec(*state, "\fCOMMIT\fWORK LOSE", &e), WEIR_OUTCOME_UNKNOWN);
}

static void loss_outside_a_transaction_is_an_unknown_outcome(void **state)
{
	weir_error e;

	assert_int_equal(exec(*state, "INSERT LOSE", &e), WEIR_OUTCOME_UNKNOWN);
}

static void silence_ends_at_the_deadline_and_costs_the_connection(void **state)
{
	struct scripted *f = *state;
	const char *words = "no answer within the caller's deadline, %lf ms after it was sent";
	weir_pool_stats s;
	double waited_ms;
	weir_error e;

	assert_int_equal(exec(f, "BEGIN", &e), WEIR_OK);
	f->server.silent = true;
	assert_int_equal(weir_exec(f->conn, "SELECT 1", 20, &e), WEIR_TIMEOUT);
	assert_int_equal(sscanf(e.text, words, &waited_ms), 1);
	assert_true(waited_ms >= 20);
	f->server.silent = false;
	weir_checkin(&f->conn);
	/* The one that did not answer was closed: there is another. */
	assert_int_equal(weir_pool_checkout(f->pool, 10000, &f->conn, &e), WEIR_OK);
	weir_pool_stats_get(f->pool, &s);
	assert_int_equal(s.opened, 2);
	assert_int_equal(s.closed[WEIR_CLOSE_DISCARDED], 1);
}

/* What may have happened is the caller's to judge: weir tells, and repeats nothing. */
static void nothing_is_sent_twice(void **state)
{
	static const char *const texts[] = {"ONCE FAIL 40001",  "ONCE FAIL 40P01",
	                                    "ONCE FAIL 25006",  "ONCE FAIL 57P01",
	                                    "SELECT ONCE LOSE", "COMMIT /* ONCE LOSE */"};
	struct scripted *f = *state;
	weir_error e;

	for (int i = 0; i < (int)(sizeof(texts) / sizeof(texts[0])); i++) {
		assert_int_not_equal(exec(f, texts[i], &e), WEIR_OK);
		weir_checkin(&f->conn);
		/*
		 * With another connection, if that one was lost: whatever was to be said is over.
		 */
		assert_int_equal(weir_pool_checkout(f->pool, 10000, &f->conn, &e), WEIR_OK);
		assert_int_equal(exec(f, "SELECT 1", &e), WEIR_OK);
		assert_int_equal(wi_load_rlx(&f->seen), i + 1);
	}
}

static void misuse_is_refused(void **state)
{
	struct scripted *f = *state;
	weir_conn *stale = f->conn;
	weir_error e;

	assert_int_equal(weir_exec(NULL, "SELECT 1", 0, &e), WEIR_INVALID);
	assert_int_equal(weir_exec(f->conn, NULL, 0, &e), WEIR_INVALID);
	weir_checkin(&f->conn);
	assert_int_equal(weir_exec(stale, "SELECT 1", 0, &e), WEIR_STALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(success_is_ok, scripted_begin, scripted_end),
		cmocka_unit_test_setup_teardown(server_error_keeps_sqlstate_and_connection,
	                                        scripted_begin, scripted_end),
		cmocka_unit_test_setup_teardown(serialization_and_deadlock_ask_for_a_retry,
	                                        scripted_begin, scripted_end),
		cmocka_unit_test_setup_teardown(loss_inside_a_transaction_committed_nothing,
	                                        scripted_begin, scripted_end),
		cmocka_unit_test_setup_teardown(loss_in_commit_is_an_unknown_outcome,
	                                        scripted_begin, scripted_end),
		cmocka_unit_test_setup_teardown(loss_in_commit_is_one_however_it_is_written,
	                                        scripted_begin, scripted_end),
		cmocka_unit_test_setup_teardown(loss_outside_a_transaction_is_an_unknown_outcome,
	                                        scripted_begin, scripted_end),
		cmocka_unit_test_setup_teardown(
			silence_ends_at_the_deadline_and_costs_the_connection, scripted_begin,
			scripted_end),
		cmocka_unit_test_setup_teardown(nothing_is_sent_twice, scripted_begin,
	                                        scripted_end),
		cmocka_unit_test_setup_teardown(misuse_is_refused, scripted_begin, scripted_end),
	};

	return cmocka_run_group_tests_name("exec", tests, NULL, NULL);
}

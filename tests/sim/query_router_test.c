/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The query helpers of a router over fake servers: which statement that was lost, or met with a
 * conflict, is run again, on whom, and how often.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "base/atomic.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

static PGresult *rows;
static _Atomic int seen;   /* statements that failed */
static _Atomic int losses; /* so many more statements that name SHAKY end their sessions */
static struct wi_fake_server *shaken[8]; /* at these, in turn; one caller at a time */
static int n_shaken;

/* Results only: everything else of the cluster's servers is as ever. */
static bool reply(struct wi_fake_server *s, const struct wi_call *call, struct pg_result **result,
                  struct wi_failure *failure)
{
	struct wi_answer row = {.columns = 1, .has_row = true};

	if (strstr(call->sql, "WRONG")) {
		wi_add_rlx(&seen, 1);
		*failure = (struct wi_failure){.fault = WI_FAULT_SQL, .sqlstate = "42P01"};
		return false;
	}
	if (strstr(call->sql, "SHAKY") && wi_load_rlx(&losses) > 0) {
		wi_sub_rlx(&losses, 1);
		shaken[n_shaken++ % 8] = s;
		wi_add_rlx(&seen, 1);
		*failure = (struct wi_failure){.fault = WI_FAULT_LOST, .text = "as scripted"};
		if (strstr(call->sql, "CONFLICT"))
			*failure = (struct wi_failure){.fault = WI_FAULT_SQL, .sqlstate = "40001"};
		return false;
	}
	*result = wi_fake_result(&row, false);
	return true;
}

static int set_up(void **state)
{
	(void)state;
	wi_store_rlx(&seen, 0);
	wi_store_rlx(&losses, 0);
	n_shaken = 0;
	rows = NULL;
	fake_router_begin(3);
	for (int i = 0; i < 3; i++)
		cluster.host[i].server.reply = reply;
	options.probe_interval_ms = 50;
	options.query_timeout_ms = PATIENCE_MS;
	open_warm();
	return 0;
}

static int tear_down(void **state)
{
	PQclear(rows);
	return fake_router_end(state);
}

static weir_status ask(weir_intent intent, const char *sql)
{
	PQclear(rows);
	return weir_query(router, intent, sql, 0, NULL, &rows, &said);
}

static void a_read_that_was_lost_is_run_again(void **state)
{
	(void)state;
	wi_store_rlx(&losses, 1);
	assert_int_equal(ask(WEIR_READ, "SELECT SHAKY"), WEIR_OK);
	assert_int_equal(PQntuples(rows), 1);
	assert_int_equal(wi_load_rlx(&seen), 1);
}

static void a_read_that_conflicts_with_replay_is_run_again(void **state)
{
	(void)state;
	wi_store_rlx(&losses, 2);
	assert_int_equal(ask(WEIR_READ, "SELECT SHAKY CONFLICT"), WEIR_OK);
	assert_int_equal(wi_load_rlx(&seen), 2);
}

static void a_read_is_not_run_for_ever(void **state)
{
	(void)state;
	wi_store_rlx(&losses, 100);
	assert_int_equal(ask(WEIR_READ, "SELECT SHAKY"), WEIR_CONNECT);
	assert_int_equal(wi_load_rlx(&seen), 3);
	assert_null(rows);
	assert_ptr_not_equal(shaken[0], shaken[1]); /* both replicas, and not one twice */
}

static void a_write_is_run_once(void **state)
{
	(void)state;
	wi_store_rlx(&losses, 100);
	assert_int_equal(ask(WEIR_WRITE, "INSERT SHAKY"), WEIR_OUTCOME_UNKNOWN);
	assert_int_equal(wi_load_rlx(&seen), 1);
	assert_int_equal(ask(WEIR_WRITE, "INSERT SHAKY CONFLICT"), WEIR_RETRY);
	assert_int_equal(wi_load_rlx(&seen), 2);
}

/* What is no plain statement could change the session before it commits: nobody can know. */
static void a_read_that_is_none_is_not_run_again(void **state)
{
	(void)state;
	wi_store_rlx(&losses, 100);
	assert_int_equal(ask(WEIR_READ, "DO SHAKY"), WEIR_OUTCOME_UNKNOWN);
	assert_int_equal(wi_load_rlx(&seen), 1);
	/* A procedure may have committed before it met with the conflict. */
	assert_int_equal(ask(WEIR_READ, "CALL SHAKY CONFLICT"), WEIR_RETRY);
	assert_int_equal(wi_load_rlx(&seen), 2);
}

/* A pooler was found between: what was SET to make the session read-only is anybody's by now. */
static void a_read_that_nobody_guards_may_have_written(void **state)
{
	const weir_statement s = WEIR_STATEMENT(.sql = "SELECT SHAKY");
	weir_conn *c = NULL;

	(void)state;
	wi_store_rlx(&losses, 1);
	assert_int_equal(weir_checkout(router, WEIR_READ, &c, &said), WEIR_OK);
	wi_store_rlx(&wi_conn_of(c)->pool->guards, false);
	assert_int_equal(weir_conn_query(c, &s, &rows, &said), WEIR_OUTCOME_UNKNOWN);
	weir_checkin(&c);
}

static void an_error_of_the_statement_is_not_run_again(void **state)
{
	(void)state;
	assert_int_equal(ask(WEIR_READ, "SELECT WRONG"), WEIR_QUERY);
	assert_int_equal(wi_load_rlx(&seen), 1);
	assert_int_equal(ask(2, "SELECT 1"), WEIR_INVALID);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_read_that_was_lost_is_run_again),
		TEST(a_read_that_conflicts_with_replay_is_run_again),
		TEST(a_read_is_not_run_for_ever),
		TEST(a_write_is_run_once),
		TEST(a_read_that_is_none_is_not_run_again),
		TEST(a_read_that_nobody_guards_may_have_written),
		TEST(an_error_of_the_statement_is_not_run_again),
	};

	test_watchdog(100, "the query helpers of a router");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a SQLSTATE that a statement was refused with means for its connection and for the others,
 * by the table and by the hook (on_sqlstate).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "driver/fake.h"
#include "support/sim.h"
#include "support/watchdog.h"

static weir_options o;

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	return 0;
}

static uint64_t queries(void)
{
	return wi_load_rlx(&sim_server()->queries);
}

static const char *refused_with = "25006";

static bool refuse_writes(struct wi_fake_server *server, const char *sql, struct wi_answer *answer,
                          struct wi_failure *failure)
{
	(void)server;
	(void)answer;
	if (strcmp(sql, "write") != 0)
		return true;
	memcpy(failure->sqlstate, refused_with, 6);
	memcpy(failure->text, "refused", 8);
	return false;
}

static weir_class judged_as;
static int asked_hook;

static weir_class judge(void *arg, const char *sqlstate, bool connecting, weir_class usual)
{
	assert_ptr_equal(arg, &judged_as);
	assert_false(connecting);
	asked_hook++;
	return strcmp(sqlstate, refused_with) == 0 ? judged_as : usual;
}

/* Of three idle ones, one has a statement refused with a SQLSTATE, and is given back. */
static weir_status write_once(const char *sqlstate)
{
	weir_conn *conn[3];
	weir_status st;

	refused_with = sqlstate;
	sim_begin(&o);
	sim_server()->answer = refuse_writes;
	for (int i = 0; i < 3; i++)
		conn[i] = sim_checkout(1000);
	for (int i = 0; i < 3; i++)
		weir_checkin(&conn[i]);
	sim_run(2000);
	conn[0] = sim_checkout(1000);
	st = weir_exec(conn[0], "write", 1000, NULL);
	weir_checkin(&conn[0]);
	sim_settle();
	return st;
}

static void a_wrong_role_costs_the_connection(void **state)
{
	(void)state;
	assert_int_equal(write_once("25006"), WEIR_QUERY);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_WRONG_ROLE], 1);
	assert_int_equal(sim_stats()->idle, 2);
	sim_end();
}

static void statements_are_dropped_after_0a000(void **state)
{
	uint64_t before;

	(void)state;
	assert_int_equal(write_once("0A000"), WEIR_QUERY);
	assert_int_equal(sim_stats()->idle, 3);
	before = queries();
	sim_run(10);
	assert_int_equal(queries(), before); /* the reset is over, and there was one: */
	assert_int_equal(before, 3 + 1 + 1); /* verify each, write, DISCARD ALL */
	sim_end();
}

static void plain_errors_cost_nothing(void **state)
{
	(void)state;
	assert_int_equal(write_once("23505"), WEIR_QUERY);
	assert_int_equal(sim_stats()->idle, 3);
	assert_int_equal(queries(), 3 + 1);
	sim_end();
}

static void the_hook_judges_otherwise(void **state)
{
	(void)state;
	o.on_sqlstate = judge;
	o.on_sqlstate_arg = &judged_as;
	judged_as = WEIR_CLASS_PLAIN;
	assert_int_equal(write_once("25006"), WEIR_QUERY);
	assert_int_equal(sim_stats()->idle, 3);
	sim_end();
	judged_as = WEIR_CLASS_CONDEMN;
	assert_int_equal(write_once("23505"), WEIR_QUERY); /* plain to the table */
	assert_int_equal(sim_stats()->total, 0);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_CONDEMNED], 2);
	assert_string_equal(sim_stats()->last_lost_sqlstate, "23505");
	sim_end();
	judged_as = WEIR_CLASS_RETRY;
	assert_int_equal(write_once("55P03"), WEIR_RETRY);
	assert_int_equal(sim_stats()->idle, 3);
	sim_end();
	asked_hook = 0;
	judged_as = (weir_class)99; /* no class at all: the table's */
	assert_int_equal(write_once("40001"), WEIR_RETRY);
	assert_true(asked_hook > 0);
	sim_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_wrong_role_costs_the_connection, set_up),
		cmocka_unit_test_setup(statements_are_dropped_after_0a000, set_up),
		cmocka_unit_test_setup(plain_errors_cost_nothing, set_up),
		cmocka_unit_test_setup(the_hook_judges_otherwise, set_up),
	};

	test_watchdog(120, "sim.pool_sqlstate");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

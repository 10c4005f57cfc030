/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Histories made by hand: a good one, in which no rule finds anything, and for each rule the same
 * one spoilt in one place, which that rule has to find.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "check/rules.h"

#define REG 3
#define OPS 32

static struct history history;
static struct lane lanes[2];
static struct op ops[2][OPS];
static struct truth truth[OPS];
static struct fact facts[4];
static struct findings findings;

static int set_up(void **state)
{
	(void)state;
	memset(lanes, 0, sizeof(lanes));
	memset(&findings, 0, sizeof(findings));
	for (int i = 0; i < 2; i++)
		lanes[i] = (struct lane){.ops = ops[i], .room = OPS};
	history = (struct history){
		.lanes = lanes, .n_lanes = 2, .truth = truth, .facts = facts, .total = 100};
	return 0;
}

/* From and to are in milliseconds. */
static struct op *add(int lane, enum op_kind kind, int64_t from, int64_t to)
{
	struct op *op = &ops[lane][lanes[lane].n++];

	*op = (struct op){.kind = (uint8_t)kind,
	                  .reg = REG,
	                  .begun_ns = from * WI_MS,
	                  .ended_ns = to * WI_MS,
	                  .had_ns = from * WI_MS,
	                  .back_ns = to * WI_MS,
	                  .outcome = OUTCOME_OK,
	                  .phase = PHASE_DONE,
	                  .role = WEIR_ROLE_PRIMARY};
	return op;
}

/* A write that is in the log, too. Its value is its version and 1000. */
static struct op *add_write(int lane, int64_t version, int64_t from, int64_t to)
{
	struct op *op = add(lane, OP_WRITE, from, to);

	op->version = version;
	op->value = (uint64_t)version + 1000;
	truth[history.n_truth++] = (struct truth){op->value, version, REG};
	return op;
}

static struct op *add_read(int lane, enum op_level level, int64_t version, int64_t from, int64_t to)
{
	struct op *op = add(lane, OP_READ, from, to);

	op->level = (uint8_t)level;
	op->role = WEIR_ROLE_REPLICA;
	op->version = version;
	op->value = version ? (uint64_t)version + 1000 : 0;
	return op;
}

static void add_fact(enum fact_kind kind, uint8_t host, int64_t from, int64_t to)
{
	facts[history.n_facts++] = (struct fact){kind, host, from * WI_MS, to * WI_MS};
}

/* This rule finds so much, and no other one finds anything. */
static void expect(enum check_rule rule, uint64_t times)
{
	check_rules(&history, &findings);
	for (int i = 0; i < CHECK_RULES; i++)
		if (findings.broken[i] != (i == (int)rule ? times : 0))
			fail_msg("%s is broken %llu times: %s", check_rule_name((enum check_rule)i),
			         (unsigned long long)findings.broken[i], findings.words[0]);
	assert_int_equal(check_broken(&findings), times);
}

/* Three writes, one after the other, from 0 to 30 ms. */
static void add_three(void)
{
	add_write(0, 1, 0, 10);
	add_write(1, 2, 5, 20);
	add_write(0, 3, 21, 30);
}

static void a_good_history_is_good(void **state)
{
	struct op *op;

	(void)state;
	add_three();
	add_read(1, LEVEL_ANY, 0, 40, 41);
	add_read(1, LEVEL_ANY, 3, 25, 26);
	add_read(1, LEVEL_TOKEN, 2, 40, 41)->wants = 1002;
	add_read(1, LEVEL_LAG, 2, 45, 46)->max_lag_ns = 20 * WI_MS;
	op = add(1, OP_LOCK, 31, 32);
	op->version = 3;
	op->value = 1003;
	op = add(0, OP_WRITE, 50, 60);
	op->outcome = OUTCOME_UNKNOWN;
	op->phase = PHASE_COMMIT;
	op->value = 4711;
	add(1, OP_BANK, 50, 60)->total = 100;
	expect(RULE_BANK, 0);
	for (int rule = 0; rule < RULE_FENCED; rule++)
		assert_true(findings.judged[rule] || rule == RULE_SESSION);
}

static void an_unknown_outcome_may_be_there(void **state)
{
	struct op *op;

	(void)state;
	add_three();
	op = add_write(1, 4, 25, 31);
	op->outcome = OUTCOME_UNKNOWN;
	op->phase = PHASE_COMMIT;
	op->version = 0;
	/* It may have taken effect long after it was given up. */
	add_write(0, 5, 100, 101);
	expect(RULE_LOST_WRITE, 0);
}

static void a_lost_write_is_found(void **state)
{
	(void)state;
	add_three();
	history.n_truth--;
	expect(RULE_LOST_WRITE, 1);
}

static void a_write_that_failed_and_is_there_is_found(void **state)
{
	(void)state;
	add_three();
	ops[0][1].outcome = OUTCOME_FAILED;
	expect(RULE_GHOST_WRITE, 1);
}

static void a_write_of_nobody_is_found(void **state)
{
	(void)state;
	add_three();
	truth[history.n_truth++] = (struct truth){99, 4, REG};
	expect(RULE_GHOST_WRITE, 1);
}

static void a_gap_between_versions_is_found(void **state)
{
	(void)state;
	add_three();
	add_write(0, 5, 31, 32);
	expect(RULE_ONE_HISTORY, 1);
}

static void a_version_twice_is_found(void **state)
{
	(void)state;
	add_three();
	add_write(0, 3, 31, 32)->value = 4711;
	truth[history.n_truth - 1].value = 4711;
	expect(RULE_ONE_HISTORY, 1);
}

static void another_version_than_acknowledged_is_found(void **state)
{
	(void)state;
	add_three();
	ops[0][1].version = 7;
	expect(RULE_ONE_HISTORY, 1);
}

static void a_late_write_with_an_early_version_is_found(void **state)
{
	(void)state;
	add_three();
	ops[0][0].begun_ns = 22 * WI_MS;
	ops[0][0].ended_ns = 23 * WI_MS;
	expect(RULE_REAL_TIME, 1);
}

static void a_locked_read_of_the_past_is_found(void **state)
{
	struct op *op;

	(void)state;
	add_three();
	op = add(1, OP_LOCK, 31, 32);
	op->version = 2;
	op->value = 1002;
	expect(RULE_LOCKED_READ, 1);
}

static void a_read_of_what_never_was_is_found(void **state)
{
	(void)state;
	add_three();
	add_read(1, LEVEL_ANY, 3, 40, 41)->value = 4711;
	expect(RULE_TRUE_READ, 1);
}

static void a_read_of_the_future_is_found(void **state)
{
	(void)state;
	add_three();
	add_read(1, LEVEL_ANY, 3, 10, 15);
	expect(RULE_TRUE_READ, 1);
}

static void a_read_before_its_token_is_found(void **state)
{
	(void)state;
	add_three();
	add_read(1, LEVEL_TOKEN, 1, 40, 41)->wants = 1002;
	expect(RULE_OWN_WRITES, 1);
}

static void a_session_that_goes_back_is_found(void **state)
{
	(void)state;
	add_three();
	add_read(1, LEVEL_SESSION, 3, 40, 41)->session = 1;
	add_read(1, LEVEL_SESSION, 2, 42, 43)->session = 1;
	/* Another session may see less. */
	add_read(1, LEVEL_SESSION, 1, 44, 45)->session = 2;
	expect(RULE_SESSION, 1);
}

static void a_primary_may_show_a_commit_later_than_its_standby(void **state)
{
	struct op *op;

	(void)state;
	add_three();
	/* Version 3 is acknowledged at 30 ms. */
	add_read(1, LEVEL_SESSION, 3, 22, 23)->session = 1;
	op = add_read(1, LEVEL_SESSION, 2, 24, 25);
	op->session = 1;
	op->role = WEIR_ROLE_PRIMARY;
	op = add_read(1, LEVEL_TOKEN, 2, 24, 25);
	op->wants = 1003;
	op->role = WEIR_ROLE_PRIMARY;
	expect(RULE_SESSION, 0);
	op = add_read(1, LEVEL_SESSION, 2, 31, 32);
	op->session = 1;
	op->role = WEIR_ROLE_PRIMARY;
	expect(RULE_SESSION, 1);
}

static void a_session_that_forgets_its_write_is_found(void **state)
{
	(void)state;
	add_three();
	ops[0][1].session = 5;
	add_read(0, LEVEL_SESSION, 2, 42, 43)->session = 5;
	expect(RULE_SESSION, 1);
}

static void a_read_staler_than_asked_is_found(void **state)
{
	(void)state;
	add_three();
	/* At 36 ms, 15 ms old at most: what was acknowledged at 20 has to be seen. */
	add_read(1, LEVEL_LAG, 1, 36, 37)->max_lag_ns = 15 * WI_MS;
	add_read(1, LEVEL_LAG, 1, 34, 37)->max_lag_ns = 15 * WI_MS;
	expect(RULE_STALENESS, 1);
}

static void a_torn_transfer_is_found(void **state)
{
	(void)state;
	add(1, OP_BANK, 50, 60)->total = 99;
	expect(RULE_BANK, 1);
}

static void an_outcome_unknown_before_commit_is_found(void **state)
{
	struct op *op;

	(void)state;
	op = add(1, OP_WRITE, 50, 60);
	op->outcome = OUTCOME_UNKNOWN;
	op->phase = PHASE_WORK;
	expect(RULE_OUTCOME, 1);
}

static void a_write_by_a_fenced_server_is_found(void **state)
{
	(void)state;
	add_three();
	add_fact(FACT_FENCED, 0, 21, 50);
	add_fact(FACT_FENCED, 1, 0, 100);
	expect(RULE_FENCED, 1);
}

static void a_write_that_waited_is_judged_by_when_it_came_to_its_server(void **state)
{
	(void)state;
	add_write(0, 1, 0, 25)->had_ns = 21 * WI_MS;
	add_fact(FACT_FENCED, 0, 21, 50);
	add_write(1, 2, 45, 60)->had_ns = 50 * WI_MS;
	expect(RULE_FENCED, 1);
}

static void a_write_given_a_replica_is_found(void **state)
{
	(void)state;
	add_three();
	ops[1][0].role = WEIR_ROLE_REPLICA;
	expect(RULE_ROLE, 1);
}

static void a_read_given_another_role_is_found(void **state)
{
	(void)state;
	add_three();
	add_read(1, LEVEL_ANY, 3, 40, 41)->target = WEIR_TARGET_REPLICA;
	add_read(1, LEVEL_ANY, 3, 42, 43)->target = WEIR_TARGET_PREFER_PRIMARY;
	add_read(1, LEVEL_ANY, 3, 44, 45)->target = WEIR_TARGET_PRIMARY;
	expect(RULE_ROLE, 1);
}

static void a_host_that_was_removed_and_serves_is_found(void **state)
{
	(void)state;
	add_three();
	/* Who came before may have it, and who waited until it was there again. */
	add_fact(FACT_AWAY, 0, 1, 21);
	add_read(1, LEVEL_ANY, 3, 15, 40)->had_ns = 30 * WI_MS;
	expect(RULE_AWAY, 1);
}

static struct op *add_refusal(int lane, int32_t backend, int64_t from, int64_t to)
{
	struct op *op = add(lane, OP_TRANSFER, from, to);

	op->outcome = OUTCOME_FAILED;
	op->phase = PHASE_WORK;
	op->backend = backend;
	memcpy(op->sqlstate, "25006", 6);
	return op;
}

static void a_write_refused_by_a_standby_is_found(void **state)
{
	(void)state;
	add_refusal(0, 1, 10, 11);
	expect(RULE_ROLE, 1);
}

static void a_write_after_the_first_refusal_is_found(void **state)
{
	(void)state;
	add_fact(FACT_READ_ONLY, 0, 5, 200);
	/* Those that were out may find it out, each of them. */
	add_refusal(0, 1, 10, 20);
	add_refusal(1, 2, 15, 25);
	expect(RULE_REFUSED, 0);
	add_refusal(0, 3, 30, 35);
	expect(RULE_REFUSED, 1);
}

static void a_connection_that_refuses_twice_is_found(void **state)
{
	(void)state;
	add_fact(FACT_READ_ONLY, 0, 5, 50);
	add_refusal(0, 1, 10, 20);
	add_refusal(1, 1, 15, 25);
	expect(RULE_REFUSED_ONCE, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_good_history_is_good, set_up),
		cmocka_unit_test_setup(an_unknown_outcome_may_be_there, set_up),
		cmocka_unit_test_setup(a_lost_write_is_found, set_up),
		cmocka_unit_test_setup(a_write_that_failed_and_is_there_is_found, set_up),
		cmocka_unit_test_setup(a_write_of_nobody_is_found, set_up),
		cmocka_unit_test_setup(a_gap_between_versions_is_found, set_up),
		cmocka_unit_test_setup(a_version_twice_is_found, set_up),
		cmocka_unit_test_setup(another_version_than_acknowledged_is_found, set_up),
		cmocka_unit_test_setup(a_late_write_with_an_early_version_is_found, set_up),
		cmocka_unit_test_setup(a_locked_read_of_the_past_is_found, set_up),
		cmocka_unit_test_setup(a_read_of_what_never_was_is_found, set_up),
		cmocka_unit_test_setup(a_read_of_the_future_is_found, set_up),
		cmocka_unit_test_setup(a_read_before_its_token_is_found, set_up),
		cmocka_unit_test_setup(a_session_that_goes_back_is_found, set_up),
		cmocka_unit_test_setup(a_primary_may_show_a_commit_later_than_its_standby, set_up),
		cmocka_unit_test_setup(a_session_that_forgets_its_write_is_found, set_up),
		cmocka_unit_test_setup(a_read_staler_than_asked_is_found, set_up),
		cmocka_unit_test_setup(a_torn_transfer_is_found, set_up),
		cmocka_unit_test_setup(an_outcome_unknown_before_commit_is_found, set_up),
		cmocka_unit_test_setup(a_write_by_a_fenced_server_is_found, set_up),
		cmocka_unit_test_setup(a_write_that_waited_is_judged_by_when_it_came_to_its_server,
	                               set_up),
		cmocka_unit_test_setup(a_write_given_a_replica_is_found, set_up),
		cmocka_unit_test_setup(a_read_given_another_role_is_found, set_up),
		cmocka_unit_test_setup(a_host_that_was_removed_and_serves_is_found, set_up),
		cmocka_unit_test_setup(a_write_refused_by_a_standby_is_found, set_up),
		cmocka_unit_test_setup(a_write_after_the_first_refusal_is_found, set_up),
		cmocka_unit_test_setup(a_connection_that_refuses_twice_is_found, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

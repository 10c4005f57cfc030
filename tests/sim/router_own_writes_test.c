/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a whole process is promised by read_your_writes: by the positions it knows of, or for a
 * while after each write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "route/router.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	/* Nothing is known by itself: only what a test asks for, or a read. */
	options.probe_interval_ms = 3600000;
	return 0;
}

static void every_read_sees_every_token_of_the_process(void **state)
{
	(void)state;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_PROCESS;
	options.token_wait_ms = 1;
	open_warm();
	know();
	assert_int_not_equal(visit(WEIR_READ), 0);
	write_some();
	for (int i = 0; i < 20; i++)
		assert_int_equal(visit(WEIR_READ), 0);
	fake_cluster_catch_up(&cluster, 0, 2);
	know();
	for (int i = 0; i < 20; i++)
		assert_int_equal(visit(WEIR_READ), 2);
	/* Another timeline: who has reached where it was first seen has all that is left. */
	fake_cluster_promote(&cluster, 0);
	know();
	for (int i = 0; i < 20; i++)
		assert_int_equal(visit(WEIR_READ), 2);
}

/* Positions are multiples of 8: who lacks no more than the last of them does not have it. */
static void one_step_before_a_token_is_not_there(void **state)
{
	weir_token token;

	(void)state;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_PROCESS;
	options.token_wait_ms = 1;
	open_warm();
	token = write_some();
	for (int i = 1; i <= 2; i++)
		wi_store_rlx(&cluster.host[i].server.lsn, token.lsn - 8);
	know();
	assert_int_equal(visit(WEIR_READ), 0);
	wi_store_rlx(&cluster.host[1].server.lsn, token.lsn);
	know();
	assert_int_equal(visit(WEIR_READ), 1);
}

/* A commit whose position nobody said: until the primary was asked, only it has that for sure. */
static void an_unknown_position_is_made_up_for(void **state)
{
	weir_conn *c = NULL;
	weir_token token;

	(void)state;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_PROCESS;
	options.token_wait_ms = 1;
	open_warm();
	know();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &said), WEIR_OK);
	assert_int_equal(weir_exec(c, "BEGIN", 5000, &said), WEIR_OK);
	fake_cluster_write(&cluster, 0, 800);
	wi_store_rlx(&cluster.host[0].basic_only, true);
	assert_int_equal(weir_token_commit(c, 5000, &token, &said), WEIR_OK);
	wi_store_rlx(&cluster.host[0].basic_only, false);
	assert_int_equal(token.lsn, UINT64_MAX);
	weir_checkin(&c);
	assert_int_equal(visit(WEIR_READ), 0);
	know();
	assert_int_equal(visit(WEIR_READ), 0);
	fake_cluster_catch_up(&cluster, 0, 1);
	know();
	assert_int_equal(visit(WEIR_READ), 1);
}

/* What the primary said when it was asked before the commit is no position of the commit's. */
static void only_an_answer_to_a_later_question_resolves_a_doubt(void **state)
{
	static weir_router lone = {.world = &wi_world_linux,
	                           .own_writes = WEIR_READ_YOUR_WRITES_PROCESS};
	const weir_token behind_all = WEIR_TOKEN_PRIMARY;
	struct wi_sight primary = {.timeline = 1, .lsn = 800};
	int64_t doubt_ns;

	(void)state;
	wi_floor_raise(&lone, &behind_all);
	doubt_ns = wi_load_rlx(&lone.doubt_ns);
	primary.asked_ns = doubt_ns - 1;
	primary.answered_ns = doubt_ns + 1;
	wi_floor_tend(&lone, &primary);
	assert_false(wi_floor_is_reached(&lone, 1, 1600));
	primary.asked_ns = doubt_ns;
	wi_floor_tend(&lone, &primary);
	assert_false(wi_floor_is_reached(&lone, 1, 792));
	assert_true(wi_floor_is_reached(&lone, 1, 800));
}

static void for_a_while_after_a_write_the_primary_reads(void **state)
{
	weir_request strict = WEIR_REQUEST(.intent = WEIR_READ, .target = WEIR_TARGET_REPLICA);
	weir_conn *c = NULL;

	(void)state;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_WINDOW;
	options.read_your_writes_ms = 3600000;
	open_warm();
	know();
	assert_int_not_equal(visit(WEIR_READ), 0);
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &said), WEIR_OK);
	assert_int_equal(visit(WEIR_READ), 0);
	weir_checkin(&c);
	for (int i = 0; i < 20; i++)
		assert_int_equal(visit(WEIR_READ), 0);
	assert_int_not_equal(visit_with(&strict), 0);
}

/* It begins anew when the write is given back, and ends. */
static void the_while_is_counted_from_the_checkin(void **state)
{
	weir_conn *c = NULL;
	int64_t back_ns;

	(void)state;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_WINDOW;
	options.read_your_writes_ms = 200;
	open_warm();
	know();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &said), WEIR_OK);
	while (visit(WEIR_READ) == 0)
		continue;
	back_ns = wi_now_ns();
	weir_checkin(&c);
	while (visit(WEIR_READ) == 0)
		continue;
	assert_true(wi_now_ns() - back_ns >= 200 * WI_MS);
}

/* Five times what a replica was last seen to be behind, and a period. */
static void the_while_follows_the_lag(void **state)
{
	weir_conn *c = NULL;
	int64_t back_ns, after_ns;
	int host;

	(void)state;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_WINDOW;
	options.probe_interval_ms = 10;
	open_warm();
	know();
	fake_cluster_write(&cluster, 0, 800);
	fake_cluster_catch_up(&cluster, 0, 1);
	while (stats_of(2).lag_ms < 100)
		probe();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &said), WEIR_OK);
	back_ns = wi_now_ns();
	weir_checkin(&c);
	do {
		host = visit(WEIR_READ);
		after_ns = wi_now_ns() - back_ns;
		assert_true(host == 0 || after_ns >= 500 * WI_MS);
	} while (after_ns < 300 * WI_MS);
	fake_cluster_catch_up(&cluster, 0, 2);
	while (visit(WEIR_READ) == 0)
		continue;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		TEST(every_read_sees_every_token_of_the_process),
		TEST(one_step_before_a_token_is_not_there),
		TEST(an_unknown_position_is_made_up_for),
		cmocka_unit_test(only_an_answer_to_a_later_question_resolves_a_doubt),
		TEST(for_a_while_after_a_write_the_primary_reads),
		TEST(the_while_is_counted_from_the_checkin),
		TEST(the_while_follows_the_lag),
	};

	test_watchdog(100, "the simulation of a process's own writes");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

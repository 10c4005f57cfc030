/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many connections there are: the minimum kept, growth on demand and no more than that, the
 * maximum never exceeded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/sim.h"
#include "support/watchdog.h"

static weir_options o;

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	return 0;
}

static int peak(void)
{
	return wi_load_rlx(&sim_server()->sessions_peak);
}

/* A user: checks out, holds, gives back; how often, how long, how. */
struct user {
	int rounds;
	int64_t hold_ms;
	bool discards;
	int failures;
	int64_t served_ns; /* when it had its last connection */
};

static void use(void *arg)
{
	struct user *u = arg;

	for (int i = 0; i < u->rounds; i++) {
		weir_conn *conn = sim_checkout(60000);

		if (!conn) {
			u->failures++;
			continue;
		}
		u->served_ns = sim_now();
		sim_sleep(u->hold_ms);
		if (u->discards)
			weir_discard(&conn);
		else
			weir_checkin(&conn);
	}
}

static void run_users(struct user *users, int n)
{
	for (int i = 0; i < n; i++)
		sim_spawn(use, &users[i]);
	sim_join();
	for (int i = 0; i < n; i++)
		assert_int_equal(users[i].failures, 0);
}

static void the_minimum_is_opened_and_kept(void **state)
{
	(void)state;
	o.pool_min = 3;
	sim_begin(&o);
	sim_settle();
	assert_int_equal(sim_stats()->idle, 3);
	assert_int_equal(sim_stats()->opened, 3);
	assert_true(wi_fake_kill_one(sim_server(), 2));
	sim_settle();
	assert_int_equal(sim_stats()->idle, 3);
	assert_int_equal(sim_stats()->opened, 4);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_BROKEN], 1);
	sim_end();
}

static void the_minimum_is_no_more_than_the_maximum(void **state)
{
	(void)state;
	o.pool_min = 5;
	o.pool_max = 3;
	sim_begin(&o);
	sim_run(5000);
	assert_int_equal(sim_stats()->total, 3);
	assert_int_equal(peak(), 3);
	sim_end();
}

static void nothing_is_opened_that_nobody_wants(void **state)
{
	(void)state;
	sim_begin(&o);
	sim_run(60000);
	assert_int_equal(wi_load_rlx(&sim_server()->connects), 0);
	sim_end();
}

static void a_waiting_user_has_one_opened(void **state)
{
	weir_conn *conn;
	int64_t begun;

	(void)state;
	sim_begin(&o);
	wi_store_rlx(&sim_server()->connect_ns, 30 * WI_MS);
	begun = sim_now();
	conn = sim_checkout(1000);
	assert_non_null(conn);
	assert_int_equal(sim_now() - begun, 30 * WI_MS);
	assert_int_equal(sim_stats()->opened, 1);
	assert_int_equal(sim_stats()->connect.count, 1);
	weir_checkin(&conn);
	assert_null(conn);
	sim_run(1000);
	assert_int_equal(sim_stats()->idle, 1);
	assert_int_equal(wi_load_rlx(&sim_server()->connects), 1);
	sim_end();
}

static void the_pool_grows_to_the_maximum_and_not_beyond(void **state)
{
	struct user users[20];

	(void)state;
	o.pool_max = 6;
	sim_begin(&o);
	wi_store_rlx(&sim_server()->connect_ns, 5 * WI_MS);
	for (int i = 0; i < 20; i++)
		users[i] = (struct user){.rounds = 10, .hold_ms = 50};
	run_users(users, 20);
	assert_int_equal(peak(), 6);
	assert_int_equal(sim_stats()->opened, 6);
	assert_int_equal(sim_stats()->checkouts, 200);
	assert_int_equal(sim_stats()->checkins, 200);
	assert_int_equal(sim_stats()->idle, 6);
	sim_end();
}

/*
 * Fifty callers with short queries, slow connects: what comes back serves them long before what is
 * being opened.
 */
static void a_spike_does_not_open_what_returns_make_needless(void **state)
{
	struct user users[50];
	int64_t begun;

	(void)state;
	o.pool_min = 2;
	o.pool_max = 50;
	sim_begin(&o);
	sim_settle();
	wi_store_rlx(&sim_server()->connect_ns, 150 * WI_MS);
	begun = sim_now();
	for (int i = 0; i < 50; i++)
		users[i] = (struct user){.rounds = 1, .hold_ms = 2};
	run_users(users, 50);
	for (int i = 0; i < 50; i++)
		assert_true(users[i].served_ns - begun <= 50 * WI_MS);
	sim_run(1000);
	assert_true(wi_load_rlx(&sim_server()->connects) <= 2 + (uint64_t)o.connect_parallel);
	sim_end();
}

static void no_more_connects_at_once_than_allowed(void **state)
{
	struct user users[20];

	(void)state;
	o.pool_max = 20;
	o.connect_parallel = 3;
	sim_begin(&o);
	for (int i = 0; i < 3; i++)
		users[i] = (struct user){.rounds = 1, .hold_ms = 10};
	run_users(users, 3);
	assert_int_equal(sim_stats()->idle, 3);
	wi_store_rlx(&sim_server()->connect_ns, 10 * WI_MS);
	for (int i = 0; i < 20; i++) {
		users[i] = (struct user){.rounds = 1, .hold_ms = 1000};
		sim_spawn(use, &users[i]);
	}
	for (int i = 1; i <= 5; i++) {
		sim_settle();
		assert_int_equal(sim_stats()->opening, 3);
		sim_run(10);
		assert_int_equal(sim_stats()->busy, 3 + 3 * i);
	}
	sim_join();
	sim_end();
}

/* Who waits has one opened for him, and not one more each time that the keeper looks. */
static void what_is_being_opened_is_counted_on(void **state)
{
	struct user users[5];

	(void)state;
	o.pool_max = 20;
	o.connect_parallel = 4;
	sim_begin(&o);
	for (int i = 0; i < 3; i++)
		users[i] = (struct user){.rounds = 1, .hold_ms = 10};
	run_users(users, 3); /* as many as may be at once from now on */
	wi_store_rlx(&sim_server()->connect_ns, 100 * WI_MS);
	for (int i = 0; i < 5; i++) {
		users[i] = (struct user){.rounds = 1, .hold_ms = 1000};
		sim_spawn(use, &users[i]);
	}
	sim_settle();
	assert_int_equal(sim_stats()->busy, 3);
	assert_int_equal(sim_stats()->opening, 2);
	sim_run(50);
	assert_int_equal(sim_stats()->opening, 2);
	sim_join();
	assert_int_equal(wi_load_rlx(&sim_server()->connects), 5);
	sim_end();
}

/* Nor is one opened for whom a connection comes that is only rolled back or reset before. */
static void what_is_being_put_right_is_counted_on(void **state)
{
	weir_conn *conn;

	(void)state;
	sim_begin(&o);
	conn = sim_checkout(1000);
	wi_store_rlx(&sim_server()->answer_ns, 20 * WI_MS);
	sim_leave(conn, WI_LOOK_CHANGED);
	weir_checkin(&conn);
	sim_settle();
	conn = sim_checkout(1000);
	assert_non_null(conn);
	weir_checkin(&conn);
	assert_int_equal(wi_load_rlx(&sim_server()->connects), 1);
	sim_end();
}

/* A new pool, and one whose connections were lost, begins with one: 1, 2, 4, ... at once. */
static void the_window_of_connects_grows_with_success(void **state)
{
	struct user users[20];

	(void)state;
	o.pool_max = 20;
	o.connect_parallel = 8;
	sim_begin(&o);
	wi_store_rlx(&sim_server()->connect_ns, 10 * WI_MS);
	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < 20; i++) {
			users[i] = (struct user){.rounds = 1, .hold_ms = 1000};
			sim_spawn(use, &users[i]);
		}
		for (uint32_t n = 1; n <= 8; n *= 2) {
			sim_settle();
			assert_int_equal(sim_stats()->opening, n);
			sim_run(10);
		}
		sim_join();
		assert_int_equal(wi_fake_kill(sim_server()), 20);
		sim_run(100);
		assert_int_equal(sim_stats()->total, 0);
	}
	sim_end();
}

/*
 * A discarded connection counts until the server process is gone. With leak_action=reclaim there
 * are more slots than the maximum, so that it is the count that keeps it.
 */
static void the_maximum_holds_while_the_server_says_goodbye_slowly(void **state)
{
	struct user users[8];

	for (int k = 0; k < 2; k++) {
		set_up(state);
		o.pool_max = 3;
		o.leak_action = k ? WEIR_LEAK_RECLAIM : WEIR_LEAK_REPORT;
		sim_begin(&o);
		wi_store_rlx(&sim_server()->goodbye_ns, 200 * WI_MS);
		for (int i = 0; i < 8; i++)
			users[i] = (struct user){.rounds = 10, .hold_ms = 1, .discards = i % 2};
		run_users(users, 8);
		assert_int_equal(peak(), 3);
		assert_int_equal(sim_stats()->closed[WEIR_CLOSE_DISCARDED], 40);
		sim_end();
	}
}

static void a_goodbye_that_never_ends_is_not_waited_for_for_ever(void **state)
{
	struct user user = {.rounds = 2, .hold_ms = 1, .discards = true};

	(void)state;
	o.pool_max = 1;
	sim_begin(&o);
	wi_store_rlx(&sim_server()->goodbye_ns, 1000 * WI_SEC);
	run_users(&user, 1);
	sim_end();
	assert_int_equal(user.failures, 0);
}

static void overflow_serves_a_spike_and_goes_again(void **state)
{
	struct user users[10];

	(void)state;
	o.pool_max = 2;
	o.pool_overflow = 3;
	sim_begin(&o);
	for (int i = 0; i < 10; i++)
		users[i] = (struct user){.rounds = 4, .hold_ms = 20};
	run_users(users, 10);
	assert_int_equal(peak(), 5);
	assert_true(sim_stats()->closed[WEIR_CLOSE_OVERFLOW] >= 3);
	/*
	 * While others wait, what is above the maximum serves them too: it is not opened anew for
	 * each.
	 */
	assert_true(wi_load_rlx(&sim_server()->connects) <= 10);
	assert_int_equal(sim_stats()->total, 2);
	sim_end();
}

static void idle_ones_above_the_minimum_are_closed_in_time(void **state)
{
	struct user users[5];

	(void)state;
	o.pool_min = 2;
	o.pool_max = 5;
	o.idle_timeout_ms = 1000;
	sim_begin(&o);
	for (int i = 0; i < 5; i++)
		users[i] = (struct user){.rounds = 1, .hold_ms = 10};
	run_users(users, 5);
	assert_int_equal(sim_stats()->idle, 5);
	sim_run(900);
	assert_int_equal(sim_stats()->idle, 5);
	sim_run(1000);
	assert_int_equal(sim_stats()->idle, 2);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_IDLE], 3);
	sim_run(10000);
	assert_int_equal(sim_stats()->total, 2);
	assert_int_equal(sim_stats()->opened, 5);
	sim_end();
}

static void what_is_used_is_not_idle(void **state)
{
	struct user user = {.rounds = 50, .hold_ms = 100};

	(void)state;
	o.idle_timeout_ms = 300;
	sim_begin(&o);
	run_users(&user, 1);
	assert_int_equal(sim_stats()->opened, 1);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_IDLE], 0);
	sim_end();
}

static void instances_share_the_servers_budget(void **state)
{
	struct user users[8];

	(void)state;
	o.pool_max = 20;
	o.server_budget = 12;
	o.pod_count = 4;
	sim_begin(&o);
	for (int i = 0; i < 8; i++)
		users[i] = (struct user){.rounds = 2, .hold_ms = 10};
	run_users(users, 8);
	assert_int_equal(sim_stats()->max, 3);
	assert_int_equal(peak(), 3);
	sim_end();
}

/* What overflows is of the server's budget, too. */
static void overflow_stays_within_the_budget(void **state)
{
	struct user users[20];

	(void)state;
	o.pool_max = 5;
	o.pool_overflow = 10;
	o.server_budget = 28;
	o.pod_count = 4;
	sim_begin(&o);
	for (int i = 0; i < 20; i++)
		users[i] = (struct user){.rounds = 3, .hold_ms = 10};
	run_users(users, 20);
	assert_int_equal(peak(), 7);
	sim_end();
}

/*
 * As in SQLAlchemy's QueuePool: what is given back while the maximum is kept anyway is closed, and
 * what is given back when there is room for it is one of the maximum, whichever was opened first.
 */
static void overflow_is_a_number_and_not_a_connection(void **state)
{
	weir_conn *first, *second, *over;
	uint64_t serial;

	(void)state;
	o.pool_max = 2;
	o.pool_overflow = 1;
	sim_begin(&o);
	first = sim_checkout(1000);
	second = sim_checkout(1000);
	over = sim_checkout(1000);
	serial = sim_serial(over);
	weir_discard(&first);
	sim_settle();
	weir_checkin(&over);
	sim_settle();
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_OVERFLOW], 0);
	assert_int_equal(sim_stats()->idle, 1);
	/* It is any other's equal: kept without the keeper's doing. */
	over = sim_checkout(0);
	assert_int_equal(sim_serial(over), serial);
	weir_checkin(&over);
	assert_int_equal(sim_stats()->idle, 1);
	weir_checkin(&second);
	sim_run(5000);
	assert_int_equal(sim_stats()->total, 2);
	sim_end();
}

static void overflow_that_nobody_waits_for_is_closed_when_given_back(void **state)
{
	weir_conn *out[3];

	(void)state;
	o.pool_max = 2;
	o.pool_overflow = 1;
	sim_begin(&o);
	for (int i = 0; i < 3; i++)
		out[i] = sim_checkout(1000);
	assert_null(sim_checkout(10)); /* and not more than that */
	weir_checkin(&out[2]);
	sim_settle();
	assert_int_equal(sim_stats()->total, 2);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_OVERFLOW], 1);
	weir_checkin(&out[0]);
	weir_checkin(&out[1]);
	sim_settle();
	assert_int_equal(sim_stats()->total, 2);
	sim_end();
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_minimum_is_opened_and_kept),
		TEST(the_minimum_is_no_more_than_the_maximum),
		TEST(nothing_is_opened_that_nobody_wants),
		TEST(a_waiting_user_has_one_opened),
		TEST(the_pool_grows_to_the_maximum_and_not_beyond),
		TEST(a_spike_does_not_open_what_returns_make_needless),
		TEST(no_more_connects_at_once_than_allowed),
		TEST(what_is_being_opened_is_counted_on),
		TEST(what_is_being_put_right_is_counted_on),
		TEST(the_window_of_connects_grows_with_success),
		TEST(the_maximum_holds_while_the_server_says_goodbye_slowly),
		TEST(a_goodbye_that_never_ends_is_not_waited_for_for_ever),
		TEST(overflow_serves_a_spike_and_goes_again),
		TEST(idle_ones_above_the_minimum_are_closed_in_time),
		TEST(what_is_used_is_not_idle),
		TEST(instances_share_the_servers_budget),
		TEST(overflow_stays_within_the_budget),
		TEST(overflow_is_a_number_and_not_a_connection),
		TEST(overflow_that_nobody_waits_for_is_closed_when_given_back),
	};

	test_watchdog(60, "sim.pool_size");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

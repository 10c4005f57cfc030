/* SPDX-License-Identifier: BSD-2-Clause */
/* What time does to connections: lifetimes, pings, checks before use, deaths while idle, leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/pool.h"
#include "support/sim.h"
#include "support/watchdog.h"

static weir_options o;
static bool pings_fail; /* the server is there, but the session is not */
static int pings;

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	pings_fail = false;
	pings = 0;
	return 0;
}

static bool answer(struct wi_fake_server *server, const char *sql, struct wi_answer *a,
                   struct wi_failure *failure)
{
	(void)server;
	(void)a;
	pings += sql[0] == '\0';
	if (sql[0] != '\0' || !pings_fail)
		return true;
	*failure = (struct wi_failure){.fault = WI_FAULT_LOST, .text = "connection reset"};
	return false;
}

static void open_pool(void)
{
	assert_int_equal(sim_open(&o), WEIR_OK);
	sim_server()->answer = answer;
}

static void close_pool(void)
{
	assert_int_equal(sim_close(), 0);
}

static uint64_t closed(weir_close why)
{
	return sim_stats()->closed[why];
}

/* ---- lifetime ---- */

static void expired_ones_are_replaced_before_they_go(void **state)
{
	uint64_t opened;

	(void)state;
	o.pool_min = 4;
	o.pool_max = 6;
	o.max_lifetime_ms = 10000;
	o.lifetime_jitter_pct = 50;
	open_pool();
	wi_store_rlx(&sim_server()->connect_ns, 20 * WI_MS);
	wi_store_rlx(&sim_server()->goodbye_ns, 10 * WI_MS);
	sim_run(1000);
	for (int i = 0; i < 1200; i++) {
		sim_run(50);
		assert_true(sim_stats()->idle >= 4);
	}
	opened = sim_stats()->opened;
	/* one more than wanted, at most */
	assert_true(wi_load_rlx(&sim_server()->sessions_peak) <= 5);
	/* sixty seconds, ten at most each */
	assert_true(closed(WEIR_CLOSE_EXPIRED) >= 4 * 5);
	assert_int_equal(closed(WEIR_CLOSE_EXPIRED),
	                 opened - sim_stats()->idle - sim_stats()->kept);
	close_pool();
}

static void a_full_pool_replaces_without_exceeding_the_maximum(void **state)
{
	(void)state;
	o.pool_min = 3;
	o.pool_max = 3;
	o.max_lifetime_ms = 2000;
	open_pool();
	wi_store_rlx(&sim_server()->goodbye_ns, 10 * WI_MS);
	sim_run(20000);
	assert_int_equal(wi_load_rlx(&sim_server()->sessions_peak), 3);
	assert_true(closed(WEIR_CLOSE_EXPIRED) >= 3 * 8);
	assert_int_equal(sim_stats()->total, 3);
	close_pool();
}

/* A full one has to close one before it can find that out; no other goes then. */
static void none_expires_while_there_is_no_other(void **state)
{
	static const enum wi_fault faults[] = {WI_FAULT_AUTH, WI_FAULT_REFUSED, WI_FAULT_CAPACITY};

	(void)state;
	o.pool_min = 3;
	o.max_lifetime_ms = 2000;
	for (int i = 0; i < 6; i++) {
		bool full = i & 1;

		o.pool_max = full ? 3 : 6;
		open_pool();
		sim_run(100);
		assert_int_equal(sim_stats()->idle, 3);
		wi_store_rlx(&sim_server()->connect_fault, faults[i / 2]);
		for (int k = 0; k < 100; k++) {
			sim_run(200);
			assert_true(sim_stats()->idle >= 3u - full);
		}
		wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_NONE);
		sim_run(60000 + 20000);
		assert_in_range(sim_stats()->idle, 2, 4);
		assert_true(closed(WEIR_CLOSE_EXPIRED) >= 3 * 5);
		close_pool();
	}
}

static void jitter_spreads_the_ends(void **state)
{
	uint64_t most = 0;

	(void)state;
	o.pool_min = o.pool_max = 20;
	o.max_lifetime_ms = 10000;
	o.lifetime_jitter_pct = 50;
	open_pool();
	sim_run(4900);
	assert_int_equal(closed(WEIR_CLOSE_EXPIRED), 0);
	for (uint64_t before = 0; before < 20; before = closed(WEIR_CLOSE_EXPIRED)) {
		sim_run(1000);
		if (closed(WEIR_CLOSE_EXPIRED) - before > most)
			most = closed(WEIR_CLOSE_EXPIRED) - before;
	}
	assert_true(most < 15);
	close_pool();
}

static void no_lifetime_is_for_ever(void **state)
{
	(void)state;
	o.pool_min = 1;
	o.max_lifetime_ms = 0;
	open_pool();
	sim_run(24 * 3600 * 1000);
	assert_int_equal(sim_stats()->opened, 1);
	close_pool();
}

static void what_is_in_use_is_not_closed_but_when_it_comes_back(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pool_max = 2;
	o.max_lifetime_ms = 1000;
	o.leak_after_ms = 0;
	open_pool();
	conn = sim_checkout(1000);
	sim_run(10000);
	assert_non_null(wi_conn_of(conn));
	assert_int_equal(wi_load_rlx(&sim_server()->sessions) >= 1, 1);
	assert_true(wi_driver_fake.look(wi_conn_of(conn)->link) == WI_LOOK_CLEAN);
	weir_checkin(&conn);
	sim_settle();
	assert_true(closed(WEIR_CLOSE_EXPIRED) >= 1);
	close_pool();
}

static void one_that_is_held_for_long_does_not_keep_the_others_from_expiring(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pool_min = 3;
	o.pool_max = 5;
	o.max_lifetime_ms = 1000;
	o.lifetime_jitter_pct = 0;
	o.leak_after_ms = 0;
	open_pool();
	conn = sim_checkout(1000);
	sim_run(20000);
	assert_true(closed(WEIR_CLOSE_EXPIRED) >= 10);
	weir_checkin(&conn);
	close_pool();
}

/* ---- pings and checks ---- */

static void idle_ones_are_asked_whether_they_live(void **state)
{
	(void)state;
	o.pool_min = 2;
	o.keepalive_ms = 1000;
	o.validate_after_ms = 0;
	open_pool();
	sim_run(10500);
	assert_true(pings >= 2 * 7 && pings <= 2 * 10);
	assert_int_equal(sim_stats()->opened, 2);
	assert_int_equal(sim_stats()->checkouts, 0);
	pings_fail = true;
	sim_run(2000);
	pings_fail = false;
	sim_run(1000);
	assert_true(closed(WEIR_CLOSE_BROKEN) >= 2);
	assert_int_equal(sim_stats()->idle, 2);
	close_pool();
}

static void a_ping_without_an_answer_ends_the_connection(void **state)
{
	(void)state;
	o.pool_min = 1;
	o.pool_max = 1;
	o.keepalive_ms = 1000;
	open_pool();
	sim_settle();
	wi_store_rlx(&sim_server()->silent, true);
	sim_run(7000);
	assert_int_equal(closed(WEIR_CLOSE_UNHEALTHY), 1);
	wi_store_rlx(&sim_server()->silent, false);
	sim_run(30000);
	assert_int_equal(sim_stats()->idle, 1);
	close_pool();
}

static void pings_do_not_stop_the_clock_of_idleness(void **state)
{
	weir_conn *conn;

	(void)state;
	o.keepalive_ms = 100;
	o.idle_timeout_ms = 1000;
	open_pool();
	conn = sim_checkout(1000);
	weir_checkin(&conn);
	sim_run(3000);
	assert_int_equal(closed(WEIR_CLOSE_IDLE), 1);
	assert_int_equal(sim_stats()->total, 0);
	close_pool();
}

static void what_was_idle_for_long_is_checked_before_use(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pool_min = 1;
	o.validate_after_ms = 1000;
	o.keepalive_ms = 0;
	open_pool();
	sim_run(100);
	conn = sim_checkout(1000);
	assert_int_equal(pings, 0); /* it is fresh */
	weir_checkin(&conn);
	sim_run(2000);
	assert_int_equal(pings, 0); /* nobody asks for nobody */
	conn = sim_checkout(1000);
	assert_non_null(conn);
	assert_int_equal(pings, 1);
	weir_checkin(&conn);
	conn = sim_checkout(1000);
	assert_int_equal(pings, 1); /* being used was proof enough */
	weir_checkin(&conn);
	close_pool();
}

static void a_dead_one_is_replaced_unseen(void **state)
{
	weir_conn *conn;
	uint64_t dead;

	(void)state;
	o.pool_min = 2;
	o.validate_after_ms = 1000;
	o.keepalive_ms = 0;
	open_pool();
	sim_run(3000);
	pings_fail = true;
	conn = sim_checkout(5000);
	assert_non_null(conn);
	dead = sim_serial(conn);
	assert_true(dead > 2); /* neither of the first two */
	assert_true(closed(WEIR_CLOSE_UNHEALTHY) + closed(WEIR_CLOSE_BROKEN) >= 2);
	weir_checkin(&conn);
	close_pool();
}

static void who_may_not_wait_gets_what_a_look_can_tell(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pool_min = 1;
	o.validate_after_ms = 1000;
	o.keepalive_ms = 0;
	open_pool();
	sim_run(3000);
	conn = sim_checkout(0);
	assert_non_null(conn);
	assert_int_equal(pings, 0);
	weir_checkin(&conn);
	sim_run(3000);
	wi_fake_kill(sim_server()); /* the keeper has not heard of it yet */
	assert_null(sim_checkout(0));
	sim_settle();
	conn = sim_checkout(0);
	assert_non_null(conn);
	weir_checkin(&conn);
	close_pool();
}

static void the_death_of_an_idle_one_is_nobodys_trouble(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pool_min = 3;
	o.pool_max = 3;
	open_pool();
	sim_settle();
	for (int i = 0; i < 20; i++) {
		assert_true(wi_fake_kill(sim_server()) > 0);
		sim_settle();
		conn = sim_checkout(1000);
		assert_non_null(conn);
		assert_int_equal(wi_driver_fake.look(wi_conn_of(conn)->link), WI_LOOK_CLEAN);
		assert_true(wi_driver_fake.peek(wi_conn_of(conn)->link, &(struct wi_failure){0}));
		weir_checkin(&conn);
	}
	assert_int_equal(closed(WEIR_CLOSE_BROKEN), 60);
	assert_int_equal(sim_told(WEIR_EVENT_LOST), 60);
	assert_string_equal(sim_text(WEIR_EVENT_LOST),
	                    "57P01: terminating connection due to administrator command");
	close_pool();
}

static void one_that_dies_in_use_is_closed_when_it_comes_back(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pool_max = 1;
	open_pool();
	conn = sim_checkout(1000);
	wi_fake_kill(sim_server());
	sim_settle(); /* the keeper knows, and leaves it to its holder */
	assert_non_null(wi_conn_of(conn));
	weir_checkin(&conn);
	conn = sim_checkout(1000);
	assert_non_null(conn);
	assert_int_equal(sim_serial(conn), 2);
	weir_checkin(&conn);
	assert_int_equal(closed(WEIR_CLOSE_BROKEN), 1);
	close_pool();
}

/* ---- leaks ---- */

static void what_is_held_for_too_long_is_told_once(void **state)
{
	weir_conn *conn;

	(void)state;
	o.leak_after_ms = 1000;
	open_pool();
	conn = sim_checkout(1000);
	wi_conn_mark(conn, &(struct wi_mark){.tag = "checkout page"});
	sim_run(900);
	assert_int_equal(sim_stats()->leaks, 0);
	sim_run(10000);
	assert_int_equal(sim_stats()->leaks, 1);
	assert_int_equal(sim_told(WEIR_EVENT_LEAK), 1);
	assert_non_null(strstr(sim_text(WEIR_EVENT_LEAK), "(checkout page)"));
	assert_non_null(strstr(sim_text(WEIR_EVENT_LEAK), "held for "));
	weir_checkin(&conn);
	conn = sim_checkout(1000);
	sim_run(3000);
	assert_int_equal(sim_stats()->leaks, 2); /* another loan, another leak */
	weir_checkin(&conn);
	sim_run(10000);
	assert_int_equal(sim_stats()->leaks, 2); /* idle is no leak */
	assert_int_equal(sim_stats()->opened, 1);
	close_pool();
}

static void a_reclaimed_one_makes_room_and_is_cut(void **state)
{
	weir_conn *hog, *conn;

	(void)state;
	o.pool_max = 1;
	o.leak_after_ms = 1000;
	o.leak_action = WEIR_LEAK_RECLAIM;
	open_pool();
	wi_store_rlx(&sim_server()->goodbye_ns, 50 * WI_MS);
	hog = sim_checkout(1000);
	conn = sim_checkout(5000);
	assert_non_null(conn); /* in the place of the hog's */
	assert_false(wi_driver_fake.peek(wi_conn_of(hog)->link, &(struct wi_failure){0}));
	assert_true(wi_driver_fake.peek(wi_conn_of(conn)->link, &(struct wi_failure){0}));
	assert_int_equal(sim_stats()->max, 1);
	assert_int_equal(sim_stats()->total, 1); /* the server sees one */
	assert_int_equal(sim_stats()->leaks, 1);
	weir_checkin(&hog);
	sim_run(20);
	assert_int_equal(sim_stats()->total <= 1, 1);
	sim_run(100);
	assert_int_equal(closed(WEIR_CLOSE_RECLAIMED), 1);
	weir_checkin(&conn);
	sim_run(100);
	assert_int_equal(sim_stats()->idle, 1);
	assert_int_equal(sim_stats()->total, 1);
	close_pool();
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(expired_ones_are_replaced_before_they_go),
		TEST(a_full_pool_replaces_without_exceeding_the_maximum),
		TEST(none_expires_while_there_is_no_other),
		TEST(jitter_spreads_the_ends),
		TEST(no_lifetime_is_for_ever),
		TEST(what_is_in_use_is_not_closed_but_when_it_comes_back),
		TEST(one_that_is_held_for_long_does_not_keep_the_others_from_expiring),
		TEST(idle_ones_are_asked_whether_they_live),
		TEST(a_ping_without_an_answer_ends_the_connection),
		TEST(pings_do_not_stop_the_clock_of_idleness),
		TEST(what_was_idle_for_long_is_checked_before_use),
		TEST(a_dead_one_is_replaced_unseen),
		TEST(who_may_not_wait_gets_what_a_look_can_tell),
		TEST(the_death_of_an_idle_one_is_nobodys_trouble),
		TEST(one_that_dies_in_use_is_closed_when_it_comes_back),
		TEST(what_is_held_for_too_long_is_told_once),
		TEST(a_reclaimed_one_makes_room_and_is_cut),
	};

	test_watchdog(60, "sim.pool_life");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

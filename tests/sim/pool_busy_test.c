/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What comes back busy: when it is cancelled, who gets it and when, and when it is closed instead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "pool/busy.h"
#include "pool/pool.h"
#include "support/sim.h"
#include "support/watchdog.h"

#define CANCEL_MS 1000

static weir_options o;
static char last_said[64]; /* to the server */

static bool answer(struct wi_fake_server *server, const char *sql, struct wi_answer *row,
                   struct wi_failure *failure)
{
	(void)server;
	(void)row;
	(void)failure;
	strncpy(last_said, sql[0] ? sql : "(ping)", sizeof(last_said) - 1);
	return true;
}

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	o.pool_max = 1;
	o.cancel_timeout_ms = CANCEL_MS;
	return 0;
}

static void open_pool(void)
{
	assert_int_equal(sim_open(&o), WEIR_OK);
	sim_server()->answer = answer;
	wi_store_rlx(&sim_server()->obeys_cancel, true);
}

static void close_pool(void)
{
	wi_store_rlx(&sim_server()->holds_cancel, false);
	sim_settle(); /* what still asks ends */
	assert_int_equal(sim_close(), 0);
}

static void give_back_busy(void)
{
	weir_conn *conn = sim_checkout(1000);

	assert_non_null(conn);
	last_said[0] = '\0';
	sim_leave(conn, WI_LOOK_BUSY);
	weir_checkin(&conn);
}

static uint64_t cancels(void)
{
	return wi_load_rlx(&sim_server()->cancels);
}

/* Whether the next holder gets the session with this number. */
static void assert_next(uint64_t serial)
{
	weir_conn *conn = sim_checkout(5000);

	assert_non_null(conn);
	assert_int_equal(sim_serial(conn), serial);
	assert_int_equal(wi_driver_fake.look(wi_conn_of(conn)->link), WI_LOOK_CLEAN);
	weir_checkin(&conn);
}

static void hold_requests(bool held)
{
	wi_store_rlx(&sim_server()->holds_cancel, held);
}

static void let_requests_go_in_100_ms(void *unused)
{
	(void)unused;
	sim_sleep(100);
	hold_requests(false);
}

/* ---- */

static void it_is_cancelled_asked_once_more_and_used_again(void **state)
{
	(void)state;
	open_pool();
	give_back_busy();
	sim_settle();
	assert_int_equal(cancels(), 1);
	assert_string_equal(last_said, "(ping)");
	assert_next(1);
	assert_int_equal(sim_stats()->cancels, 1);
	close_pool();
}

static void a_reset_is_round_trip_enough(void **state)
{
	(void)state;
	strcpy(o.reset, "always");
	open_pool();
	give_back_busy();
	sim_settle();
	assert_string_equal(last_said, "DISCARD ALL");
	assert_next(1);
	close_pool();
}

static void nobody_gets_it_while_a_request_is_under_way(void **state)
{
	(void)state;
	open_pool();
	hold_requests(true);
	give_back_busy();
	assert_null(sim_checkout(90));
	assert_int_equal(sim_stats()->kept, 1);
	assert_string_equal(last_said, ""); /* nor is anything sent on it */
	sim_spawn(let_requests_go_in_100_ms, NULL);
	assert_next(1);
	sim_join();
	assert_int_equal(sim_stats()->opened, 1);
	close_pool();
}

/* It ends by itself before the request is dealt with, which then may hit what comes next. */
static void one_that_is_done_waits_for_its_request(void **state)
{
	weir_conn *conn;
	struct wi_failure failure;

	(void)state;
	open_pool();
	conn = sim_checkout(1000);
	assert_non_null(conn);
	wi_store_rlx(&sim_server()->answer_ns, 10 * WI_MS);
	assert_true(wi_driver_fake.send(wi_conn_of(conn)->link, "SELECT 1", &failure));
	wi_store_rlx(&sim_server()->answer_ns, 0);
	hold_requests(true);
	weir_checkin(&conn);
	last_said[0] = '\0';
	assert_null(sim_checkout(90));
	assert_string_equal(last_said, "");
	sim_spawn(let_requests_go_in_100_ms, NULL);
	assert_next(1);
	sim_join();
	assert_string_equal(last_said, "(ping)");
	close_pool();
}

/*
 * Its holder gave up, had the request sent himself, and then read the answer after all: it looks
 * as clean as any, and the request is still on its way to it.
 */
static void one_that_its_holder_gave_up_waits_for_his_request(void **state)
{
	struct wi_failure failure;
	weir_conn *conn;
	void *link;

	(void)state;
	open_pool();
	conn = sim_checkout(1000);
	assert_non_null(conn);
	link = wi_conn_of(conn)->link;
	hold_requests(true);
	assert_true(wi_driver_fake.send(link, "SELECT 1", &failure));
	wi_busy_give_up(wi_conn_of(conn));
	assert_int_equal(wi_driver_fake.answer_step(link, NULL, &failure), WI_STEP_DONE);
	assert_int_equal(wi_driver_fake.look(link), WI_LOOK_CLEAN);
	weir_checkin(&conn);
	last_said[0] = '\0';
	assert_null(sim_checkout(90));
	assert_string_equal(last_said, "");
	sim_spawn(let_requests_go_in_100_ms, NULL);
	assert_next(1);
	sim_join();
	assert_string_equal(last_said, "(ping)");
	assert_int_equal(sim_stats()->cancels, 1);
	close_pool();
}

static void a_request_of_which_nothing_is_known_costs_the_connection(void **state)
{
	(void)state;
	open_pool();
	wi_store_rlx(&sim_server()->doubt_cancel, true);
	give_back_busy();
	sim_settle();
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_BUSY], 1);
	assert_next(2);
	close_pool();
}

static void a_request_that_takes_too_long_costs_the_connection(void **state)
{
	weir_conn *conn;
	int64_t begun;

	(void)state;
	open_pool();
	hold_requests(true);
	give_back_busy();
	begun = sim_now();
	conn = sim_checkout(5000);
	assert_non_null(conn);
	assert_int_equal(sim_serial(conn), 2);
	assert_true(sim_now() - begun >= CANCEL_MS * WI_MS);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_BUSY], 1);
	/* Whenever it comes now, it is not for the one that took its place. */
	hold_requests(false);
	sim_settle();
	assert_true(cancels() >= 1);
	assert_int_equal(weir_exec(conn, "SELECT 1", 1000, NULL), WEIR_OK);
	weir_checkin(&conn);
	close_pool();
}

static void a_request_that_came_too_early_is_made_again(void **state)
{
	(void)state;
	open_pool();
	wi_store_rlx(&sim_server()->lose_cancels, 3);
	give_back_busy();
	sim_run(CANCEL_MS - 1);
	assert_int_equal(cancels(), 4);
	assert_next(1);
	close_pool();
}

static void a_server_that_obeys_no_request_is_left(void **state)
{
	(void)state;
	open_pool();
	wi_store_rlx(&sim_server()->lose_cancels, 1000);
	give_back_busy();
	sim_run(CANCEL_MS - 1);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_BUSY], 0);
	sim_run(1);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_BUSY], 1);
	assert_in_range(cancels(), 3, 10); /* pauses grow */
	assert_next(2);
	close_pool();
}

static void with_no_time_for_it_it_is_closed_at_once_and_cancelled(void **state)
{
	(void)state;
	o.cancel_timeout_ms = 0;
	open_pool();
	give_back_busy();
	sim_settle();
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_BUSY], 1);
	assert_int_equal(cancels(), 1);
	close_pool();
}

/* At once, too, where it is a holder who gives up, and does not give it back yet. */
static void with_no_time_for_it_a_holder_still_has_it_cancelled(void **state)
{
	weir_conn *conn;

	(void)state;
	o.cancel_timeout_ms = 0;
	open_pool();
	conn = sim_checkout(1000);
	sim_leave(conn, WI_LOOK_BUSY);
	wi_busy_give_up(wi_conn_of(conn));
	sim_settle();
	assert_int_equal(cancels(), 1);
	weir_checkin(&conn);
	sim_settle();
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_DISCARDED], 1);
	assert_next(2);
	close_pool();
}

static void discarded_while_busy_it_is_cancelled(void **state)
{
	weir_conn *conn;

	(void)state;
	open_pool();
	conn = sim_checkout(1000);
	sim_leave(conn, WI_LOOK_BUSY);
	weir_discard(&conn);
	sim_settle();
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_DISCARDED], 1);
	assert_int_equal(cancels(), 1);
	close_pool();
}

static void one_that_died_meanwhile_is_lost(void **state)
{
	(void)state;
	open_pool();
	hold_requests(true);
	give_back_busy();
	sim_settle();
	wi_fake_kill(sim_server());
	sim_settle();
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_BROKEN], 1);
	close_pool();
}

static void a_pool_can_be_closed_with_a_request_under_way(void **state)
{
	(void)state;
	open_pool();
	hold_requests(true);
	give_back_busy();
	sim_settle();
	assert_int_equal(sim_stats()->kept, 1);
	wi_pool_shut(sim_pool());
	sim_settle();
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_SHUTDOWN], 1);
	close_pool();
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_cancelled_asked_once_more_and_used_again),
		TEST(a_reset_is_round_trip_enough),
		TEST(nobody_gets_it_while_a_request_is_under_way),
		TEST(one_that_is_done_waits_for_its_request),
		TEST(one_that_its_holder_gave_up_waits_for_his_request),
		TEST(a_request_of_which_nothing_is_known_costs_the_connection),
		TEST(a_request_that_takes_too_long_costs_the_connection),
		TEST(a_request_that_came_too_early_is_made_again),
		TEST(a_server_that_obeys_no_request_is_left),
		TEST(with_no_time_for_it_it_is_closed_at_once_and_cancelled),
		TEST(with_no_time_for_it_a_holder_still_has_it_cancelled),
		TEST(discarded_while_busy_it_is_cancelled),
		TEST(one_that_died_meanwhile_is_lost),
		TEST(a_pool_can_be_closed_with_a_request_under_way),
	};

	test_watchdog(60, "sim.pool_busy");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

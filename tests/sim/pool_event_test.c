/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events of a pool, in a world whose clock the test moves: one that is exhausted is told once, and
 * so is what was slow; they can be read afterwards, and by who hears them.
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
	o.pool_max = 2;
	return 0;
}

static void slow_checkouts_that_fail_are_told(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pool_max = 1;
	o.slow_checkout_ms = 100;
	sim_begin(&o);
	conn = sim_checkout(1000);
	assert_null(sim_checkout(50));
	assert_int_equal(sim_told(WEIR_EVENT_SLOW_CHECKOUT), 0);
	assert_null(sim_checkout(200));
	assert_string_equal(sim_text(WEIR_EVENT_SLOW_CHECKOUT),
	                    "TIMEOUT after 200.0 ms (slow_checkout_ms is 100)");
	sim_run(2000);
	weir_checkin(&conn);
	sim_end();
	o.slow_checkout_ms = 0;
	sim_begin(&o);
	conn = sim_checkout(1000);
	assert_null(sim_checkout(2000));
	assert_int_equal(sim_told(WEIR_EVENT_SLOW_CHECKOUT), 0);
	weir_checkin(&conn);
	sim_end();
}

static void an_exhausted_pool_is_told_once(void **state)
{
	(void)state;
	o.slow_checkout_ms = 0;
	sim_begin(&o);
	sim_run(1000);
	sim_keep_waiting(3, 3000);
	assert_int_equal(sim_told(WEIR_EVENT_EXHAUSTED), 1);
	assert_string_equal(sim_text(WEIR_EVENT_EXHAUSTED),
	                    "all 2 connections are out, and 3 callers wait");
	sim_run(2000);
	sim_keep_waiting(1, 3000); /* soon after: not again */
	assert_int_equal(sim_told(WEIR_EVENT_EXHAUSTED), 1);
	sim_run(10000);
	sim_keep_waiting(1, 3000);
	assert_int_equal(sim_told(WEIR_EVENT_EXHAUSTED), 2);
	sim_end();
}

/* Too short for the keeper to see: the caller whose time ran out tells. */
static void a_timeout_in_between_tells_it_too(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pool_max = 1;
	sim_begin(&o);
	conn = sim_checkout(1000);
	sim_run(100);
	assert_null(sim_checkout(20));
	assert_int_equal(sim_told(WEIR_EVENT_EXHAUSTED), 1);
	weir_checkin(&conn);
	sim_end();
}

static void one_that_is_still_opening_is_not_exhausted(void **state)
{
	weir_conn *conn;

	(void)state;
	sim_begin(&o);
	conn = sim_checkout(1000);
	wi_store_rlx(&sim_server()->connect_ns, 5 * WI_SEC);
	assert_null(sim_checkout(4000));
	assert_int_equal(sim_told(WEIR_EVENT_EXHAUSTED), 0);
	sim_run(10000);
	weir_checkin(&conn);
	sim_end();
}

static void events_are_there_to_be_read(void **state)
{
	weir_event_record r[WEIR_EVENTS_KEPT];
	weir_conn *conn;
	uint64_t lost;
	size_t n;

	(void)state;
	sim_begin(&o);
	conn = sim_checkout(1000);
	assert_non_null(conn);
	weir_discard(&conn);
	sim_run(1000);
	n = weir_pool_events_get(sim_pool(), 0, r, WEIR_EVENTS_KEPT, &lost);
	assert_true(n >= 2);
	assert_int_equal(lost, 0);
	assert_int_equal(r[0].kind, WEIR_EVENT_CONNECTED);
	assert_int_equal(r[n - 1].kind, WEIR_EVENT_CLOSED);
	assert_string_equal(r[n - 1].host, "127.0.0.1:5432");
	assert_string_equal(r[n - 1].text, "discarded by its holder");
	assert_int_equal(weir_pool_events_count(sim_pool(), WEIR_EVENT_CONNECTED),
	                 sim_told(WEIR_EVENT_CONNECTED));
	assert_int_equal(weir_pool_events_get(sim_pool(), r[n - 1].sequence, r, 1, &lost), 0);
	sim_end();
}

static uint64_t heard, found;

static void look_into_the_ring(void *arg, const weir_event *event)
{
	weir_event_record r;

	(void)arg;
	heard++;
	if (sim_pool() && weir_pool_events_get(sim_pool(), event->sequence - 1, &r, 1, NULL) == 1 &&
	    r.sequence == event->sequence && r.kind == event->kind)
		found++;
	(void)(sim_pool() && weir_pool_alerts_get(sim_pool(), NULL, 0));
}

static void a_sink_may_read_them(void **state)
{
	weir_conn *conn;

	(void)state;
	heard = found = 0;
	o.on_event = look_into_the_ring;
	sim_begin(&o);
	conn = sim_checkout(1000);
	weir_discard(&conn);
	sim_run(1000);
	assert_true(heard >= 2);
	assert_int_equal(found, heard);
	sim_end();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		TEST(slow_checkouts_that_fail_are_told),
		TEST(an_exhausted_pool_is_told_once),
		TEST(a_timeout_in_between_tells_it_too),
		TEST(one_that_is_still_opening_is_not_exhausted),
		TEST(events_are_there_to_be_read),
		TEST(a_sink_may_read_them),
	};

	test_watchdog(100, "sim.pool_event");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

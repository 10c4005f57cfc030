/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a connection lives: what a checkout does to find out, and what it costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "pool/pool.h"
#include "support/fake_cluster.h"
#include "support/sim.h"
#include "support/watchdog.h"

static weir_options o;

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	return 0;
}

static void open_pool(void)
{
	assert_int_equal(sim_open(&o), WEIR_OK);
}

static void close_pool(void)
{
	assert_int_equal(sim_close(), 0);
}

static uint64_t queries(void)
{
	return wi_load_rlx(&sim_server()->queries);
}

static bool is_alive(const weir_conn *conn)
{
	struct wi_failure f;

	return wi_driver_fake.peek(wi_conn_of(conn)->link, &f);
}

/* So many idle connections, of which none was looked at by anybody since. */
static void have_idle(int n)
{
	weir_conn *conn[16];

	for (int i = 0; i < n; i++)
		conn[i] = sim_checkout(1000);
	for (int i = 0; i < n; i++)
		weir_checkin(&conn[i]);
	sim_settle();
	assert_int_equal(sim_stats()->idle, n);
}

/* ---- at every checkout ---- */

/* The keeper does not run between a death and the checkout: only the caller can notice. */
static bool hands_out_a_dead_one(weir_pre_ping pre_ping)
{
	weir_conn *conn;
	bool dead;

	o.pre_ping = pre_ping;
	open_pool();
	have_idle(4);
	wi_fake_kill(sim_server());
	conn = sim_checkout(1000);
	assert_non_null(conn);
	dead = !is_alive(conn);
	assert_int_equal(sim_stats()->opened, dead ? 4 : 5);
	weir_checkin(&conn);
	sim_settle();
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_BROKEN], 4);
	close_pool();
	return dead;
}

static void a_look_at_every_checkout_hands_out_no_dead_one(void **state)
{
	(void)state;
	assert_false(hands_out_a_dead_one(WEIR_PRE_PING_LOOK));
	assert_false(hands_out_a_dead_one(WEIR_PRE_PING_PING));
	assert_true(hands_out_a_dead_one(WEIR_PRE_PING_OFF)); /* the keeper is what looks then */
}

static void a_look_asks_the_server_nothing(void **state)
{
	uint64_t before;

	(void)state;
	o.pre_ping = WEIR_PRE_PING_LOOK;
	open_pool();
	have_idle(2);
	before = queries();
	for (int i = 0; i < 100; i++) {
		weir_conn *conn = sim_checkout(i % 2 ? 0 : 1000);

		assert_non_null(conn);
		weir_checkin(&conn);
	}
	assert_int_equal(queries(), before);
	assert_int_equal(sim_stats()->opened, 2);
	assert_int_equal(sim_stats()->checkouts, sim_stats()->checkins);
	close_pool();
}

static void a_ping_is_a_round_trip_each_time(void **state)
{
	uint64_t before;
	weir_conn *conn;

	(void)state;
	o.pre_ping = WEIR_PRE_PING_PING;
	open_pool();
	have_idle(2);
	before = queries();
	for (int i = 1; i <= 100; i++) {
		conn = sim_checkout(1000);
		assert_non_null(conn);
		assert_int_equal(queries(), before + (uint64_t)i);
		weir_checkin(&conn);
	}
	assert_int_equal(sim_stats()->opened, 2);
	/* Who may not wait does not: a look has to do. */
	conn = sim_checkout(0);
	assert_non_null(conn);
	assert_int_equal(queries(), before + 100);
	weir_checkin(&conn);
	close_pool();
}

/* A connection just opened, or just reset, is as suspect as any: the note is on every slot. */
static void the_note_survives_a_reset(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pre_ping = WEIR_PRE_PING_LOOK;
	open_pool();
	for (int i = 0; i < 3; i++) {
		conn = sim_checkout(1000);
		sim_leave(conn, WI_LOOK_CHANGED);
		weir_checkin(&conn);
		sim_settle();
		assert_int_equal(sim_stats()->idle, 1);
		wi_fake_kill(sim_server());
		conn = sim_checkout(1000);
		assert_true(is_alive(conn));
		weir_checkin(&conn);
		sim_settle();
	}
	close_pool();
}

/* The same through a router, by the counts of its hosts. */
static void router_checkouts_do_the_same(weir_pre_ping pre_ping)
{
	static struct fake_cluster cluster;
	weir_host_stats stats[3];
	weir_router *router = NULL;
	uint64_t asked = 0;

	o.pre_ping = pre_ping;
	o.probe_interval_ms = 60000; /* so that queries are those of checkouts */
	fake_cluster_init(&cluster, 3);
	assert_int_equal(fake_cluster_open(&cluster, &o, &router, NULL), WEIR_OK);
	assert_int_equal(weir_router_probe(router, -1), WEIR_OK);
	for (int i = 0; i < 60; i++) {
		weir_conn *conn = NULL;

		assert_int_equal(weir_checkout(router, i % 2 ? WEIR_READ : WEIR_WRITE, &conn, NULL),
		                 WEIR_OK);
		weir_checkin(&conn);
		if (i == 29)
			for (int h = 0; h < 3; h++)
				asked -= wi_load_rlx(&cluster.host[h].server.queries);
	}
	for (int h = 0; h < 3; h++)
		asked += wi_load_rlx(&cluster.host[h].server.queries);
	if (pre_ping == WEIR_PRE_PING_PING)
		assert_true(asked >= 30);
	else
		assert_true(asked < 30);
	assert_int_equal(weir_router_stats_get(router, stats, 3), 3);
	assert_int_equal(stats[0].writes, 30);
	assert_int_equal(stats[1].reads + stats[2].reads, 30);
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	fake_cluster_fini(&cluster);
}

static void a_router_looks_and_asks_as_well(void **state)
{
	(void)state;
	router_checkouts_do_the_same(WEIR_PRE_PING_PING);
	router_checkouts_do_the_same(WEIR_PRE_PING_LOOK);
}

/* ---- after idleness ---- */

static bool is_noted(uint32_t note)
{
	return wi_load_rlx(&sim_pool()->conns[1].notes) & note;
}

static void idleness_is_met_with_a_look_then_a_question(void **state)
{
	weir_conn *conn;
	uint64_t before;

	(void)state;
	o.look_after_ms = 500;
	o.validate_after_ms = 10000;
	o.keepalive_ms = 0;
	o.pool_min = 1;
	o.pool_max = 1;
	open_pool();
	sim_run(400);
	before = queries();
	assert_false(is_noted(WI_NOTE_LOOK | WI_NOTE_CHECK));
	sim_run(1100);
	assert_true(is_noted(WI_NOTE_LOOK));
	assert_false(is_noted(WI_NOTE_CHECK));
	conn = sim_checkout(1000);
	assert_false(is_noted(WI_NOTE_LOOK));
	weir_checkin(&conn);
	assert_int_equal(queries(), before);
	sim_run(12000);
	assert_true(is_noted(WI_NOTE_CHECK));
	conn = sim_checkout(1000);
	assert_int_equal(queries(), before + 1);
	assert_false(is_noted(WI_NOTE_LOOK | WI_NOTE_CHECK));
	weir_checkin(&conn);
	close_pool();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_look_at_every_checkout_hands_out_no_dead_one, set_up),
		cmocka_unit_test_setup(a_look_asks_the_server_nothing, set_up),
		cmocka_unit_test_setup(a_ping_is_a_round_trip_each_time, set_up),
		cmocka_unit_test_setup(the_note_survives_a_reset, set_up),
		cmocka_unit_test_setup(a_router_looks_and_asks_as_well, set_up),
		cmocka_unit_test_setup(idleness_is_met_with_a_look_then_a_question, set_up),
	};

	test_watchdog(120, "sim.pool_health");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

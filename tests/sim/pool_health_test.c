/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a connection lives: what a checkout does to find out, what it costs, and what one death
 * means for the others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/line.h"
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
	sim_begin(&o);
	have_idle(4);
	wi_fake_kill(sim_server());
	conn = sim_checkout(1000);
	assert_non_null(conn);
	dead = !is_alive(conn);
	assert_int_equal(sim_stats()->opened, dead ? 4 : 5);
	weir_checkin(&conn);
	sim_settle();
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_BROKEN], 4);
	sim_end();
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
	sim_begin(&o);
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
	sim_end();
}

static void a_ping_is_a_round_trip_each_time(void **state)
{
	uint64_t before;
	weir_conn *conn;

	(void)state;
	o.pre_ping = WEIR_PRE_PING_PING;
	sim_begin(&o);
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
	sim_end();
}

/* A connection just opened, or just reset, is as suspect as any: the note is on every slot. */
static void the_note_survives_a_reset(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pre_ping = WEIR_PRE_PING_LOOK;
	sim_begin(&o);
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
	sim_end();
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
	sim_begin(&o);
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
	sim_end();
}

/* ---- what one death means for the others ---- */

static const weir_pool_stats *settled(void)
{
	sim_settle();
	return sim_stats();
}

/* Five connections: the first idle since the beginning, the others since shortly before 10 s. */
static uint64_t first_is_idle_for_longest(void)
{
	weir_conn *conn[5];
	uint64_t serial;

	o.pool_min = o.pool_max = 5;
	o.look_after_ms = o.validate_after_ms = 0;
	o.keepalive_ms = 10000;
	o.check_timeout_ms = 1000;
	sim_begin(&o);
	for (int i = 0; i < 5; i++)
		conn[i] = sim_checkout(1000);
	serial = sim_serial(conn[0]);
	weir_checkin(&conn[0]);
	sim_run(9000);
	for (int i = 1; i < 5; i++)
		weir_checkin(&conn[i]);
	sim_settle();
	return serial;
}

static void one_stuck_server_process_costs_only_itself(void **state)
{
	uint64_t before, stuck = first_is_idle_for_longest();

	(void)state;
	wi_store_rlx(&sim_server()->mute, stuck);
	before = queries();
	sim_run(3000);
	/* At half of the time the four others were asked, and have answered. */
	assert_true(queries() >= before + 4);
	sim_run(1500);
	assert_int_equal(settled()->closed[WEIR_CLOSE_UNHEALTHY], 1);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_CONDEMNED], 0);
	assert_int_equal(sim_stats()->opened, 6);
	assert_int_equal(sim_stats()->idle, 5);
	assert_string_equal(sim_stats()->last_lost_sqlstate, "");
	assert_non_null(strstr(sim_stats()->last_lost, "no answer within 1000 ms"));
	sim_end();
}

/* Five connections cost one timeout, not five. */
static void silence_condemns_all_that_have_not_answered(void **state)
{
	(void)state;
	(void)first_is_idle_for_longest();
	wi_store_rlx(&sim_server()->silent, true);
	for (int i = 0; i < 40 && !sim_stats()->closed[WEIR_CLOSE_UNHEALTHY]; i++)
		sim_run(100);
	assert_int_equal(settled()->closed[WEIR_CLOSE_UNHEALTHY], 1);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_CONDEMNED], 4);
	wi_store_rlx(&sim_server()->silent, false);
	sim_run(30000);
	assert_int_equal(sim_stats()->idle, 5);
	assert_int_equal(sim_stats()->opened, 10);
	sim_end();
}

/* The keeper's question is out when the others come back: they are asked, not closed. */
static void who_was_used_meanwhile_is_asked_instead(void **state)
{
	weir_conn *conn[4];
	uint64_t stuck = 1 + 2 + 3 + 4 + 5;

	(void)state;
	(void)first_is_idle_for_longest();
	for (int i = 0; i < 4; i++) {
		conn[i] = sim_checkout(1000);
		stuck -= sim_serial(conn[i]);
	}
	wi_store_rlx(&sim_server()->mute, stuck);
	for (int i = 0; i < 200 && sim_stats()->kept == 0; i++)
		sim_run(100);
	sim_run(700); /* doubt has passed */
	for (int i = 0; i < 3; i++)
		weir_checkin(&conn[i]);
	sim_run(1500);
	assert_int_equal(settled()->closed[WEIR_CLOSE_UNHEALTHY], 1);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_CONDEMNED], 0);
	/* The one still lent is judged when it comes back. */
	weir_checkin(&conn[3]);
	sim_run(1500);
	assert_int_equal(sim_stats()->idle, 5);
	assert_int_equal(sim_stats()->opened, 6);
	sim_end();
}

static void end_one(const char *sqlstate)
{
	weir_conn *conn = sim_checkout(1000);
	uint64_t serial = sim_serial(conn);

	weir_checkin(&conn);
	wi_store_rlx(&sim_server()->last_words, sqlstate);
	assert_true(wi_fake_kill_one(sim_server(), serial));
	sim_settle();
}

static void a_crash_condemns_all_without_a_question(void **state)
{
	weir_conn *conn, *other;
	uint64_t before;

	(void)state;
	o.pool_max = 5;
	sim_begin(&o);
	have_idle(5);
	sim_run(2000);
	conn = sim_checkout(1000);
	other = sim_checkout(1000);
	before = queries();
	end_one("57P02");
	assert_int_equal(settled()->closed[WEIR_CLOSE_BROKEN], 1);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_CONDEMNED], 2);
	assert_int_equal(queries(), before);
	assert_string_equal(sim_stats()->last_lost_sqlstate, "57P02");
	assert_int_equal(sim_stats()->lost, 1);
	/* Who is lent is judged when it comes back: one lives after all, one does not. */
	weir_checkin(&conn);
	sim_settle();
	assert_int_equal(queries(), before + 1);
	assert_int_equal(sim_stats()->idle, 1);
	wi_fake_kill_one(sim_server(), sim_serial(other));
	weir_checkin(&other);
	assert_int_equal(settled()->closed[WEIR_CLOSE_BROKEN], 2);
	assert_int_equal(sim_stats()->idle, 1); /* just used, so asked again instead of closed */
	sim_end();
}

static void one_ended_session_lets_the_others_be_looked_at(void **state)
{
	const char *const ends[] = {"57P01", "57P05", "08006"};

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(ends); i++) {
		o.pool_max = 3;
		o.look_after_ms = 0;
		sim_begin(&o);
		have_idle(3);
		end_one(ends[i]);
		assert_int_equal(settled()->idle, 2);
		assert_int_equal(sim_stats()->closed[WEIR_CLOSE_CONDEMNED], 0);
		assert_string_equal(sim_stats()->last_lost_sqlstate, ends[i]);
		for (uint32_t n = 1; n <= 3; n++)
			if (sim_pool()->conns[n].life == WI_READY)
				assert_true(wi_load_rlx(&sim_pool()->conns[n].notes) &
				            WI_NOTE_LOOK);
		sim_end();
	}
}

static void lost_without_a_word_lets_the_others_be_asked(void **state)
{
	uint64_t before;
	weir_conn *conn;

	(void)state;
	o.pool_max = 3;
	sim_begin(&o);
	have_idle(3);
	end_one("");
	before = queries();
	conn = sim_checkout(1000);
	assert_int_equal(queries(), before + 1);
	weir_checkin(&conn);
	assert_int_equal(settled()->opened, 3);
	sim_end();
}

static void a_loss_and_a_refused_connect_are_a_server_that_went(void **state)
{
	(void)state;
	o.pool_min = 3;
	o.pool_max = 3;
	sim_begin(&o);
	have_idle(3);
	sim_run(2000);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_REFUSED);
	end_one("");
	sim_run(100);
	assert_int_equal(settled()->closed[WEIR_CLOSE_CONDEMNED], 2);
	assert_int_equal(sim_stats()->total, 0);
	sim_end();
}

static void a_server_that_starts_has_forgotten_what_was_before(void **state)
{
	weir_conn *conn;
	uint64_t before;

	(void)state;
	o.pool_min = o.pool_max = 3;
	sim_begin(&o);
	have_idle(3);
	conn = sim_checkout(1000);
	sim_run(2000);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_STARTING);
	end_one("57P01"); /* and another is opened for it */
	assert_int_equal(settled()->closed[WEIR_CLOSE_CONDEMNED], 1);
	assert_int_equal(settled()->idle, 0);
	before = queries();
	weir_checkin(&conn);
	assert_int_equal(settled()->idle, 1); /* it was lent: asked, and it lives */
	assert_int_equal(queries(), before + 1);
	sim_end();
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
		cmocka_unit_test_setup(one_stuck_server_process_costs_only_itself, set_up),
		cmocka_unit_test_setup(silence_condemns_all_that_have_not_answered, set_up),
		cmocka_unit_test_setup(who_was_used_meanwhile_is_asked_instead, set_up),
		cmocka_unit_test_setup(a_crash_condemns_all_without_a_question, set_up),
		cmocka_unit_test_setup(one_ended_session_lets_the_others_be_looked_at, set_up),
		cmocka_unit_test_setup(lost_without_a_word_lets_the_others_be_asked, set_up),
		cmocka_unit_test_setup(a_loss_and_a_refused_connect_are_a_server_that_went, set_up),
		cmocka_unit_test_setup(a_server_that_starts_has_forgotten_what_was_before, set_up),
	};

	test_watchdog(120, "sim.pool_health");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

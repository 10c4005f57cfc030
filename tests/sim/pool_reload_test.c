/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Other options while the pool runs: each comes into force where it is used, what may not change is
 * named and nothing is changed, and connections with old server settings are replaced, make before
 * break. Sizes are in pool_reload_size_test.c.
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
#include "support/sim.h"
#include "support/watchdog.h"

static weir_options o;
static weir_error error;

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	memset(&error, 0, sizeof(error));
	return 0;
}

static void reload(void)
{
	if (weir_pool_reload(sim_pool(), &o, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	sim_settle();
}

static void refuse(const char *words)
{
	weir_options before = sim_pool()->options;

	assert_int_equal(weir_pool_reload(sim_pool(), &o, &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, words));
	sim_settle();
	assert_memory_equal(&sim_pool()->options, &before, sizeof(before));
}

static int64_t time_of_a_checkout(void)
{
	int64_t begun_ns = sim_now();
	weir_conn *conn = NULL;

	assert_int_equal(weir_pool_checkout(sim_pool(), WEIR_DEFAULT_TIMEOUT, &conn, NULL),
	                 WEIR_TIMEOUT);
	return (sim_now() - begun_ns) / WI_MS;
}

static void callers_wait_for_as_long_as_is_said_now(void **state)
{
	weir_conn *out;

	(void)state;
	o.pool_max = 1;
	o.checkout_timeout_ms = 200;
	sim_begin(&o);
	out = sim_checkout(1000);
	assert_int_equal(time_of_a_checkout(), 200);
	o.checkout_timeout_ms = 3000;
	reload();
	assert_int_equal(time_of_a_checkout(), 3000);
	weir_checkin(&out);
	sim_end();
}

static void wait_here(void *arg)
{
	weir_conn *conn = NULL;

	*(weir_status *)arg = weir_pool_checkout(sim_pool(), 5000, &conn, NULL);
	weir_checkin(&conn);
}

static void a_smaller_line_sheds_who_comes(void **state)
{
	weir_status st[3];
	weir_conn *out;

	(void)state;
	o.pool_max = 1;
	sim_begin(&o);
	out = sim_checkout(1000);
	sim_spawn(wait_here, &st[0]);
	sim_spawn(wait_here, &st[1]);
	sim_run(100);
	o.max_waiters = 2;
	reload();
	sim_spawn(wait_here, &st[2]);
	sim_run(100);
	assert_int_equal(st[2], WEIR_SHED);
	weir_checkin(&out);
	sim_join();
	assert_int_equal(st[0], WEIR_OK);
	assert_int_equal(st[1], WEIR_OK);
	sim_end();
}

static void the_breaker_has_other_limits(void **state)
{
	(void)state;
	o.breaker_failures = 0;
	sim_begin(&o);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_REFUSED);
	assert_null(sim_checkout(3000));
	assert_int_equal(sim_told(WEIR_EVENT_BREAKER_OPENED), 0);
	o.breaker_failures = 2;
	reload();
	assert_null(sim_checkout(3000));
	assert_int_equal(sim_told(WEIR_EVENT_BREAKER_OPENED), 1);
	o.breaker_failures = 0;
	reload();
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_NONE);
	sim_end();
}

static void leaks_are_told_by_the_new_limit(void **state)
{
	weir_conn *out;

	(void)state;
	o.leak_after_ms = 0;
	sim_begin(&o);
	out = sim_checkout(1000);
	sim_run(10000);
	assert_int_equal(sim_told(WEIR_EVENT_LEAK), 0);
	o.leak_after_ms = 500;
	reload();
	sim_run(10000);
	assert_int_equal(sim_told(WEIR_EVENT_LEAK), 1);
	weir_checkin(&out);
	sim_end();
}

static void open_connections_live_as_long_as_is_said_now(void **state)
{
	uint64_t serial;
	weir_conn *conn;

	(void)state;
	o.pool_min = o.pool_max = 1;
	sim_begin(&o);
	conn = sim_checkout(1000);
	serial = sim_serial(conn);
	weir_checkin(&conn);
	o.max_lifetime_ms = 5000;
	o.lifetime_jitter_pct = 0;
	reload();
	sim_run(20000);
	conn = sim_checkout(1000);
	assert_int_not_equal(sim_serial(conn), serial);
	weir_checkin(&conn);
	assert_true(sim_stats()->closed[WEIR_CLOSE_EXPIRED] > 0);
	sim_end();
}

/* The keeper does not run between a death and the checkout: only its caller can notice. */
static bool hands_out_a_dead_one(void)
{
	struct wi_failure f;
	weir_conn *conn;
	bool dead;

	wi_fake_kill(sim_server());
	conn = sim_checkout(1000);
	assert_non_null(conn);
	dead = !wi_driver_fake.peek(wi_conn_of(conn)->link, &f);
	weir_checkin(&conn);
	sim_settle();
	return dead;
}

/* Also those that are out meanwhile, each once they are back. */
static void checkouts_look_as_is_said_now(void **state)
{
	weir_conn *conn[2];
	uint64_t queries;

	(void)state;
	o.pool_min = o.pool_max = 2;
	sim_begin(&o);
	sim_settle();
	assert_true(hands_out_a_dead_one());
	sim_run(2000); /* it was lost: another one is opened */
	conn[0] = sim_checkout(1000);
	conn[1] = sim_checkout(1000);
	o.pre_ping = WEIR_PRE_PING_LOOK;
	reload();
	weir_checkin(&conn[0]);
	weir_checkin(&conn[1]);
	for (int i = 0; i < 3; i++)
		assert_false(hands_out_a_dead_one());
	o.pre_ping = WEIR_PRE_PING_PING;
	reload();
	queries = wi_load_rlx(&sim_server()->queries);
	for (int i = 0; i < 5; i++) {
		conn[0] = sim_checkout(1000);
		weir_checkin(&conn[0]);
	}
	assert_int_equal(wi_load_rlx(&sim_server()->queries), queries + 5);
	o.pre_ping = WEIR_PRE_PING_OFF;
	reload();
	for (int i = 0; i < 2; i++)
		conn[i] = sim_checkout(1000); /* the last time that it is noted */
	weir_checkin(&conn[0]);
	weir_checkin(&conn[1]);
	queries = wi_load_rlx(&sim_server()->queries);
	conn[0] = sim_checkout(1000);
	weir_checkin(&conn[0]);
	assert_int_equal(wi_load_rlx(&sim_server()->queries), queries);
	assert_true(hands_out_a_dead_one());
	sim_end();
}

static void sessions_with_old_settings_are_replaced(void **state)
{
	uint64_t before = 0, serial;
	weir_conn *out;

	(void)state;
	o.pool_min = 3;
	o.pool_max = 4;
	sim_begin(&o);
	sim_settle();
	assert_non_null(strstr(sim_pool()->target.startup_options, "statement_timeout=30000"));
	out = sim_checkout(1000);
	serial = sim_serial(out);
	before = wi_load_rlx(&sim_server()->connected);
	o.statement_timeout_ms = 5000;
	o.lock_timeout_ms = 700;
	reload();
	assert_non_null(strstr(sim_pool()->target.startup_options, "statement_timeout=5000"));
	assert_non_null(strstr(sim_pool()->target.startup_options, "lock_timeout=700"));
	sim_run(5000);
	assert_true(wi_load_rlx(&sim_server()->connected) >= before + 3);
	assert_int_equal(sim_serial(out), serial); /* nothing is taken from its holder */
	weir_checkin(&out);
	sim_run(5000);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_EVICTED], 3);
	assert_int_equal(sim_stats()->idle, 3);
	assert_true(wi_load_rlx(&sim_server()->sessions_peak) <= 4);
	sim_end();
}

static void nothing_that_is_the_same_replaces_anything(void **state)
{
	(void)state;
	o.pool_min = 3;
	sim_begin(&o);
	sim_settle();
	reload();
	o.checkout_timeout_ms = 77;
	reload();
	sim_run(5000);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_EVICTED], 0);
	sim_end();
}

static void what_may_not_change_is_named_and_nothing_changes(void **state)
{
	(void)state;
	sim_begin(&o);
	o.checkout_timeout_ms = 1;
	strcpy(o.application_name, "other");
	refuse("option \"application_name\" may not change while it runs: nothing is changed");
	strcpy(o.application_name, "weir");
	o.fork = WEIR_FORK_REOPEN;
	refuse("option \"fork\" may not change while it runs, from refuse to reopen");
	o.fork = WEIR_FORK_REFUSE;
	strcpy(o.on_connect_sql, "SET a.b = 'sekrit'");
	refuse("option \"on_connect_sql\" may not change while it runs");
	assert_null(strstr(error.text, "sekrit"));
	o.on_connect_sql[0] = '\0';
	o.pool_min = 50;
	refuse("pool_min is 50, more than pool_max, which is 10");
	o.pool_min = 0;
	o.pool_max = 0;
	refuse("option \"pool_max\": 0 is out of range");
	sim_end();
}

static void each_option_that_may_not_change_is_refused(void **state)
{
	const weir_option_row *row;
	char text[32];

	(void)state;
	sim_begin(&o);
	for (size_t i = 0; (row = weir_option_at(i)); i++) {
		if (row->reload != WEIR_RELOAD_NEVER || row->type == WEIR_OPTION_IS_TEXT)
			continue;
		sim_options(&o);
		assert_int_equal(weir_options_get(&o, row->name, text, sizeof(text)), WEIR_OK);
		if (row->type == WEIR_OPTION_IS_CHOICE) {
			size_t first = strcspn(row->choices, " ");
			bool is_first =
				strncmp(text, row->choices, first) == 0 && strlen(text) == first;
			const char *last = strrchr(row->choices, ' ') + 1;

			strcpy(text, is_first ? last : "");
			if (!is_first)
				strncat(text, row->choices, first);
		} else {
			strcpy(text, "13");
		}
		if (weir_options_set(&o, row->name, text, NULL) == WEIR_OK)
			refuse(row->name);
	}
	sim_end();
}

static void the_connection_string_has_the_last_word(void **state)
{
	(void)state;
	assert_int_equal(sim_open_at("postgresql://app@localhost/shop?pool_max=3&"
	                             "application_name=url&checkout_timeout_ms=50",
	                             &o),
	                 WEIR_OK);
	o.pool_max = 8;
	o.checkout_timeout_ms = 9000;
	o.leak_after_ms = 1234;
	reload();
	assert_int_equal(sim_stats()->max, 3);
	assert_int_equal(sim_pool()->options.checkout_timeout_ms, 50);
	assert_int_equal(sim_pool()->options.leak_after_ms, 1234);
	sim_end();
}

static void misuse_is_told(void **state)
{
	static weir_options zeroed;

	(void)state;
	sim_begin(&o);
	assert_int_equal(weir_pool_reload(NULL, &o, &error), WEIR_INVALID);
	assert_int_equal(weir_pool_reload(sim_pool(), NULL, &error), WEIR_INVALID);
	assert_int_equal(weir_pool_reload(sim_pool(), &zeroed, &error), WEIR_INVALID);
	o.pool_max = 5;
	/* two before the keeper's turn: the later one is left, and nothing is lost */
	assert_int_equal(weir_pool_reload(sim_pool(), &o, &error), WEIR_OK);
	o.pool_max = 6;
	reload();
	assert_int_equal(sim_stats()->max, 6);
	/* and one that nobody takes any more */
	assert_int_equal(weir_pool_reload(sim_pool(), &o, &error), WEIR_OK);
	sim_end();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		TEST(callers_wait_for_as_long_as_is_said_now),
		TEST(a_smaller_line_sheds_who_comes),
		TEST(the_breaker_has_other_limits),
		TEST(leaks_are_told_by_the_new_limit),
		TEST(open_connections_live_as_long_as_is_said_now),
		TEST(checkouts_look_as_is_said_now),
		TEST(sessions_with_old_settings_are_replaced),
		TEST(nothing_that_is_the_same_replaces_anything),
		TEST(what_may_not_change_is_named_and_nothing_changes),
		TEST(each_option_that_may_not_change_is_refused),
		TEST(the_connection_string_has_the_last_word),
		TEST(misuse_is_told),
	};

	test_watchdog(60, "sim.pool_reload");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

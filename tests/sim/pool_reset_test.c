/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the keeper says to a connection before anybody gets it: settings verified and applied,
 * transactions rolled back, what changed put right, and the end of what cannot be put right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/text.h"
#include "driver/fault.h"
#include "pool/pool.h"
#include "support/sim.h"
#include "support/watchdog.h"

static weir_options o;

/* What the server was told, and how it behaves. */
static struct {
	char said[4096];     /* each statement and a bar */
	const char *refuses; /* statements that begin so fail */
	enum wi_fault how;
	bool ignores_startup; /* the timeouts of the startup packet did not arrive */
	bool ignores_set;     /* nor does SET change them */
	bool was_set;
} server;

static int set_up(void **state)
{
	(void)state;
	sim_options(&o);
	memset(&server, 0, sizeof(server));
	server.how = WI_FAULT_SQL;
	return 0;
}

static bool begins(const char *sql, const char *with)
{
	return strncmp(sql, with, strlen(with)) == 0;
}

static void show_settings(struct wi_answer *a)
{
	static const char *const wanted[] = {"30s", "0", "1min", "0"};
	bool in_force = !server.ignores_startup || (server.was_set && !server.ignores_set);

	a->has_row = true;
	a->columns = 4;
	for (int i = 0; i < 4; i++)
		wi_copy(a->value[i], sizeof(a->value[i]), in_force ? wanted[i] : "0");
}

static bool answer(struct wi_fake_server *s, const char *sql, struct wi_answer *a,
                   struct wi_failure *f)
{
	size_t n = strlen(server.said);

	(void)s;
	if (begins(sql, "SELECT pg_catalog.current_setting"))
		snprintf(server.said + n, sizeof(server.said) - n, "verify|");
	else if (begins(sql, "SET statement_timeout"))
		snprintf(server.said + n, sizeof(server.said) - n, "apply|");
	else
		snprintf(server.said + n, sizeof(server.said) - n, "%s|", sql);
	if (server.refuses && begins(sql, server.refuses)) {
		wi_failure_set(f, server.how, "42501", "no", NULL);
		return false;
	}
	if (begins(sql, "SET "))
		server.was_set = true;
	if (begins(sql, "DISCARD ALL"))
		server.was_set = false;
	if (begins(sql, "SELECT pg_catalog.current_setting") && a)
		show_settings(a);
	return true;
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

/* What the server was told since the last call. */
static const char *said(void)
{
	static char copy[sizeof(server.said)];

	memcpy(copy, server.said, sizeof(copy));
	server.said[0] = '\0';
	return copy;
}

/* A checkout that leaves the connection so, and what was said until it was ready for the next. */
static const char *after_leaving(enum wi_look look)
{
	weir_conn *conn = sim_checkout(1000);

	assert_non_null(conn);
	said();
	sim_leave(conn, look);
	weir_checkin(&conn);
	sim_settle();
	return said();
}

static void assert_clean(uint64_t serial)
{
	weir_conn *conn = sim_checkout(1000);

	assert_non_null(conn);
	assert_int_equal(sim_serial(conn), serial);
	assert_int_equal(wi_driver_fake.look(wi_conn_of(conn)->link), WI_LOOK_CLEAN);
	weir_checkin(&conn);
}

static void what_comes_back_clean_is_left_in_peace(void **state)
{
	(void)state;
	open_pool();
	assert_string_equal(after_leaving(WI_LOOK_CLEAN), "");
	assert_clean(1);
	close_pool();
}

static void a_transaction_is_rolled_back(void **state)
{
	static const char *const resets[] = {"tracked", "none"};

	(void)state;
	for (int i = 0; i < 2; i++) {
		set_up(state);
		wi_copy(o.reset, sizeof(o.reset), resets[i]);
		open_pool();
		assert_string_equal(after_leaving(WI_LOOK_IN_TX), "ROLLBACK|");
		assert_clean(1);
		close_pool();
	}
}

static void a_change_is_discarded(void **state)
{
	(void)state;
	open_pool();
	assert_string_equal(after_leaving(WI_LOOK_CHANGED), "DISCARD ALL|");
	assert_clean(1);
	close_pool();
}

static void none_leaves_changes_alone(void **state)
{
	(void)state;
	wi_copy(o.reset, sizeof(o.reset), "none");
	open_pool();
	assert_string_equal(after_leaving(WI_LOOK_CHANGED), "");
	close_pool();
}

static void always_resets_what_looks_clean(void **state)
{
	(void)state;
	wi_copy(o.reset, sizeof(o.reset), "always");
	open_pool();
	assert_string_equal(after_leaving(WI_LOOK_CLEAN), "DISCARD ALL|");
	assert_string_equal(after_leaving(WI_LOOK_IN_TX), "ROLLBACK|DISCARD ALL|");
	assert_clean(1);
	close_pool();
}

static void the_users_own_reset_is_said(void **state)
{
	(void)state;
	wi_copy(o.reset, sizeof(o.reset), "RESET ALL; SELECT app.forget()");
	open_pool();
	assert_string_equal(after_leaving(WI_LOOK_CLEAN), "RESET ALL; SELECT app.forget()|");
	assert_string_equal(after_leaving(WI_LOOK_IN_TX),
	                    "ROLLBACK|RESET ALL; SELECT app.forget()|");
	close_pool();
}

static void nobody_gets_it_before_it_is_put_right(void **state)
{
	weir_conn *conn;
	int64_t begun;

	(void)state;
	o.pool_max = 1;
	open_pool();
	conn = sim_checkout(1000);
	wi_store_rlx(&sim_server()->answer_ns, 40 * WI_MS);
	sim_leave(conn, WI_LOOK_IN_TX);
	weir_checkin(&conn);
	begun = sim_now();
	assert_null(sim_checkout(10));
	assert_int_equal(sim_stats()->kept, 1);
	conn = sim_checkout(1000);
	assert_non_null(conn);
	assert_int_equal(sim_now() - begun, 40 * WI_MS);
	assert_int_equal(sim_stats()->opened, 1);
	weir_checkin(&conn);
	close_pool();
}

static void rollback_and_full_reset_are_one_round_trip(void **state)
{
	weir_conn *conn;
	int64_t begun;

	(void)state;
	wi_copy(o.reset, sizeof(o.reset), "always");
	o.pool_max = 1;
	open_pool();
	conn = sim_checkout(1000);
	wi_store_rlx(&sim_server()->answer_ns, 40 * WI_MS);
	sim_leave(conn, WI_LOOK_IN_TX);
	weir_checkin(&conn);
	begun = sim_now();
	conn = sim_checkout(1000);
	assert_non_null(conn);
	assert_int_equal(sim_now() - begun, 40 * WI_MS);
	weir_checkin(&conn);
	close_pool();
}

static void what_is_busy_or_discarded_is_closed(void **state)
{
	weir_conn *conn;

	(void)state;
	open_pool();
	assert_string_equal(after_leaving(WI_LOOK_BUSY), "");
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_BUSY], 1);
	conn = sim_checkout(1000);
	assert_int_equal(sim_serial(conn), 2);
	weir_discard(&conn);
	assert_null(conn);
	sim_settle();
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_DISCARDED], 1);
	assert_int_equal(sim_stats()->total, 0);
	assert_int_equal(wi_load_rlx(&sim_server()->sessions), 0);
	close_pool();
}

static void what_cannot_be_put_right_is_closed(void **state)
{
	(void)state;
	open_pool();
	server.refuses = "ROLLBACK";
	after_leaving(WI_LOOK_IN_TX);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_RESET_FAILED], 1);
	server.refuses = "DISCARD ALL";
	after_leaving(WI_LOOK_CHANGED);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_RESET_FAILED], 2);
	server.how = WI_FAULT_LOST;
	after_leaving(WI_LOOK_CHANGED);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_BROKEN], 1);
	assert_int_equal(sim_stats()->total, 0);
	close_pool();
}

static void a_server_that_falls_silent_in_a_reset_is_left(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pool_max = 1;
	open_pool();
	conn = sim_checkout(1000);
	wi_store_rlx(&sim_server()->silent, true);
	sim_leave(conn, WI_LOOK_IN_TX);
	weir_checkin(&conn);
	sim_run(6000);
	assert_int_equal(sim_stats()->closed[WEIR_CLOSE_RESET_FAILED], 1);
	close_pool();
}

/* ---- new connections ---- */

static weir_in_force in_force(void)
{
	weir_in_force f;

	assert_true(weir_pool_in_force_get(sim_pool(), &f));
	return f;
}

static void settings_are_verified_once_a_connection(void **state)
{
	(void)state;
	o.pool_min = 2;
	open_pool();
	sim_settle();
	assert_string_equal(said(), "verify|verify|");
	assert_int_equal(in_force().statement_timeout_ms, 30000);
	assert_int_equal(in_force().idle_in_transaction_timeout_ms, 60000);
	assert_int_equal(sim_told(WEIR_EVENT_SETTINGS_FALLBACK), 0);
	close_pool();
}

static void settings_that_did_not_arrive_are_set_and_set_again_after_a_reset(void **state)
{
	(void)state;
	server.ignores_startup = true;
	o.pool_min = o.pool_max = 1;
	open_pool();
	sim_settle();
	assert_string_equal(said(), "verify|apply|verify|");
	assert_int_equal(sim_told(WEIR_EVENT_SETTINGS_FALLBACK), 1);
	assert_int_equal(in_force().statement_timeout_ms, 30000);
	assert_string_equal(after_leaving(WI_LOOK_CHANGED), "DISCARD ALL|apply|");
	assert_clean(1);
	close_pool();
}

static void settings_that_cannot_be_had_are_told(void **state)
{
	weir_conn *conn;

	(void)state;
	server.ignores_startup = server.ignores_set = true;
	open_pool();
	conn = sim_checkout(1000);
	assert_non_null(conn);
	assert_int_equal(sim_told(WEIR_EVENT_SETTINGS_REFUSED), 1);
	weir_checkin(&conn);
	close_pool();
}

static void a_pooler_that_refuses_startup_options_is_asked_without(void **state)
{
	weir_conn *conn;

	(void)state;
	server.ignores_startup = true;
	o.breaker_failures = 1;
	open_pool();
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_OPTIONS);
	wi_store_rlx(&sim_server()->fail_connects, 1);
	conn = sim_checkout(1000);
	assert_non_null(conn);
	assert_string_equal(said(), "verify|apply|verify|");
	assert_int_equal(sim_stats()->connect_failures, 0); /* it was no failure of the host's */
	assert_int_equal(sim_told(WEIR_EVENT_SETTINGS_FALLBACK), 1);
	assert_int_equal(sim_told(WEIR_EVENT_BREAKER_OPENED), 0);
	weir_checkin(&conn);
	close_pool();
}

static void a_setting_refused_though_it_was_not_asked_for_is_no_reason_to_hurry(void **state)
{
	(void)state;
	o.pool_min = o.pool_max = 1;
	o.transaction_timeout_ms = 5000;
	open_pool();
	wi_store_rlx(&sim_server()->connect_ns, WI_MS);
	wi_store_rlx(&sim_server()->refusal,
	             "unrecognized configuration parameter \"transaction_timeout\"");
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_OPTIONS);
	sim_run(500);
	assert_in_range(wi_load_rlx(&sim_server()->connects), 2, 6);
	assert_int_equal(sim_told(WEIR_EVENT_SETTINGS_REFUSED), 1);
	assert_int_equal(sim_told(WEIR_EVENT_SETTINGS_FALLBACK), 1);
	assert_int_equal(sim_told(WEIR_EVENT_BREAKER_OPENED), 1);
	close_pool();
}

static void hold_for_a_while(void *discards)
{
	weir_conn *conn = sim_checkout(10000);

	assert_non_null(conn);
	sim_sleep(100);
	if (discards)
		weir_discard(&conn);
	else
		weir_checkin(&conn);
}

/* Four users want one each; that a success was before lets several connects go at once. */
static void open_four_at_once(bool discards)
{
	for (int i = 0; i < 4; i++)
		sim_spawn(hold_for_a_while, discards ? &o : NULL);
	sim_join();
	sim_run(10);
}

/*
 * Several connects are under way when the first is refused: that all of them are is still no
 * failure of the host's.
 */
static void several_refusals_of_startup_options_are_one_fallback(void **state)
{
	(void)state;
	o.breaker_failures = 1;
	open_pool();
	open_four_at_once(true);
	assert_int_equal(sim_stats()->total, 0);
	server.ignores_startup = true;
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_OPTIONS);
	wi_store_rlx(&sim_server()->fail_connects, 4);
	wi_store_rlx(&sim_server()->connect_ns, 10 * WI_MS);
	open_four_at_once(false);
	assert_int_equal(wi_load_rlx(&sim_server()->fail_connects), 0);
	assert_int_equal(sim_stats()->idle, 4);
	assert_int_equal(sim_stats()->connect_failures, 0);
	assert_int_equal(sim_told(WEIR_EVENT_SETTINGS_FALLBACK), 1);
	assert_int_equal(sim_told(WEIR_EVENT_BREAKER_OPENED), 0);
	close_pool();
}

static void the_hook_runs_on_each_new_connection_and_after_a_full_reset(void **state)
{
	(void)state;
	wi_copy(o.on_connect_sql, sizeof(o.on_connect_sql), "SET search_path = app");
	o.pool_min = 2;
	o.pool_max = 2;
	open_pool();
	sim_settle();
	assert_string_equal(said(), "verify|SET search_path = app|verify|SET search_path = app|");
	/* what the hook set is the clean state */
	assert_string_equal(after_leaving(WI_LOOK_CLEAN), "");
	assert_string_equal(after_leaving(WI_LOOK_CHANGED), "DISCARD ALL|SET search_path = app|");
	assert_string_equal(after_leaving(WI_LOOK_CLEAN), "");
	close_pool();
}

static void a_hook_that_fails_is_a_connect_that_fails(void **state)
{
	weir_conn *conn = NULL;
	weir_error error;

	(void)state;
	wi_copy(o.on_connect_sql, sizeof(o.on_connect_sql), "SELECT nonsense");
	server.refuses = "SELECT nonsense";
	open_pool();
	assert_int_equal(weir_pool_checkout(sim_pool(), 5000, &conn, &error), WEIR_CONNECT);
	assert_non_null(strstr(error.text, "on_connect_sql failed: no"));
	assert_string_equal(error.sqlstate, "42501");
	assert_int_equal(wi_load_rlx(&sim_server()->connects), 1);
	close_pool();
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_comes_back_clean_is_left_in_peace),
		TEST(a_transaction_is_rolled_back),
		TEST(a_change_is_discarded),
		TEST(none_leaves_changes_alone),
		TEST(always_resets_what_looks_clean),
		TEST(the_users_own_reset_is_said),
		TEST(nobody_gets_it_before_it_is_put_right),
		TEST(rollback_and_full_reset_are_one_round_trip),
		TEST(what_is_busy_or_discarded_is_closed),
		TEST(what_cannot_be_put_right_is_closed),
		TEST(a_server_that_falls_silent_in_a_reset_is_left),
		TEST(settings_are_verified_once_a_connection),
		TEST(settings_that_did_not_arrive_are_set_and_set_again_after_a_reset),
		TEST(settings_that_cannot_be_had_are_told),
		TEST(a_pooler_that_refuses_startup_options_is_asked_without),
		TEST(a_setting_refused_though_it_was_not_asked_for_is_no_reason_to_hurry),
		TEST(several_refusals_of_startup_options_are_one_fallback),
		TEST(the_hook_runs_on_each_new_connection_and_after_a_full_reset),
		TEST(a_hook_that_fails_is_a_connect_that_fails),
	};

	test_watchdog(60, "sim.pool_reset");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

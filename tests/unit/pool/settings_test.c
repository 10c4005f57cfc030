/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The timeouts asked of a server: how they are asked for, how they are checked, and that the user's
 * own win.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "pool/pool.h"

static weir_options o;
static struct wi_settings s;
static int64_t in_force[WI_SETTINGS];

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&o);
	memset(&s, 0, sizeof(s));
	return 0;
}

static struct wi_answer answer(const char *statement, const char *lock, const char *in_transaction,
                               const char *session)
{
	const char *const value[] = {statement, lock, in_transaction, session};
	struct wi_answer a = {.columns = 4, .has_row = true};

	for (int i = 0; i < 4; i++) {
		a.is_null[i] = !value[i];
		wi_copy(a.value[i], sizeof(a.value[i]), value[i] ? value[i] : "");
	}
	return a;
}

static bool match(const char *statement, const char *lock, const char *in_transaction,
                  const char *session)
{
	struct wi_answer a = answer(statement, lock, in_transaction, session);

	return wi_settings_match(&s, &a, in_force);
}

static void the_startup_packet_carries_them(void **state)
{
	(void)state;
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	assert_string_equal(s.startup, "-c statement_timeout=30000 -c lock_timeout=0 "
	                               "-c idle_in_transaction_session_timeout=60000");
	assert_string_equal(s.apply, "SET statement_timeout = 30000;SET lock_timeout = 0;"
	                             "SET idle_in_transaction_session_timeout = 60000;");
	assert_false(wi_settings_is_empty(&s));
}

static void what_older_servers_lack_is_only_asked_for_if_wanted(void **state)
{
	(void)state;
	o.idle_session_timeout_ms = 5000;
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	assert_non_null(strstr(s.startup, "-c idle_session_timeout=5000"));
	assert_non_null(strstr(s.apply, "SET idle_session_timeout = 5000;"));
	assert_true(match("30s", "0", "1min", NULL)); /* a server that does not know it */
	assert_int_equal(in_force[3], -1);
	assert_false(match("30s", "0", "1min", "0"));
	assert_true(match("30s", "0", "1min", "5s"));
}

static void every_unit_of_the_server_is_read(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{"0", 0},         {"7", 7},        {"250ms", 250},   {"30s", 30000},
		{"5min", 300000}, {"2h", 7200000}, {"1d", 86400000}, {"", -1},
		{"soon", -1},     {"-1", -1},      {"3 s", -1},      {"3weeks", -1},
	};

	(void)state;
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		match(cases[i].text, "0", "1min", "0");
		assert_int_equal(in_force[0], cases[i].ms);
	}
}

static void what_is_in_force_is_compared(void **state)
{
	(void)state;
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	assert_true(match("30s", "0", "1min", "0"));
	assert_true(match("30000ms", "0", "60s", "0"));
	assert_false(match("0", "0", "1min", "0"));
	assert_false(match("30s", "1ms", "1min", "0"));
	assert_false(match("30s", "0", "0", "0"));
	assert_false(match("30s", "0", "1min", "1s"));
	assert_int_equal(in_force[0], 30000);
	assert_int_equal(in_force[2], 60000);
	assert_int_equal(in_force[3], 1000);
}

static void no_answer_is_no_match_and_nothing_known(void **state)
{
	struct wi_answer none = {0}, narrow = answer("30s", "0", "1min", "0");

	(void)state;
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	assert_false(wi_settings_match(&s, &none, in_force));
	for (int i = 0; i < WI_SETTINGS; i++)
		assert_int_equal(in_force[i], -1);
	narrow.columns = 2;
	assert_false(wi_settings_match(&s, &narrow, in_force));
	assert_int_equal(in_force[1], 0);
	assert_int_equal(in_force[2], -1);
}

static void the_users_own_win_and_are_not_judged(void **state)
{
	const char *users = "-c statement_timeout=5min -c search_path=app";

	(void)state;
	assert_int_equal(wi_settings_build(&s, &o, users, NULL), WEIR_OK);
	assert_null(strstr(s.startup, "statement_timeout=30000"));
	assert_non_null(strstr(s.startup, users));
	assert_null(strstr(s.apply, "statement_timeout"));
	assert_true(match("5min", "0", "1min", "0"));
	assert_int_equal(in_force[0], 300000);
	assert_false(match("5min", "9s", "1min", "0"));
}

static void all_of_the_users_own_leave_nothing_to_apply(void **state)
{
	(void)state;
	assert_int_equal(
		wi_settings_build(&s, &o,
	                          "-c statement_timeout=1 -c lock_timeout=1 -c "
	                          "idle_in_transaction_session_timeout=1 -c idle_session_timeout=1",
	                          NULL),
		WEIR_OK);
	assert_true(wi_settings_is_empty(&s));
	assert_true(match("1ms", "2ms", "3ms", "4ms"));
}

static void too_much_is_refused(void **state)
{
	char much[sizeof(s.startup) + 100];
	weir_error error;

	(void)state;
	memset(much, 'x', sizeof(much));
	much[sizeof(much) - 1] = '\0';
	assert_int_equal(wi_settings_build(&s, &o, much, &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, "options"));
	much[300] = '\0';
	assert_int_equal(wi_settings_build(&s, &o, much, &error), WEIR_OK);
	assert_true(strlen(s.startup) > 300);
}

static void the_longest_values_fit(void **state)
{
	(void)state;
	o.statement_timeout_ms = o.lock_timeout_ms = INT32_MAX;
	o.idle_in_transaction_timeout_ms = o.idle_session_timeout_ms = INT32_MAX;
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	assert_non_null(strstr(s.startup, "-c idle_session_timeout=2147483647"));
	assert_non_null(strstr(s.apply, "SET idle_session_timeout = 2147483647;"));
	assert_non_null(strstr(s.verify, "current_setting('idle_session_timeout', true)"));
	assert_true(match("2147483647ms", "2147483647", "2147483647ms", "2147483647ms"));
}

static void names_are_looked_up_where_nobody_can_hide_them(void **state)
{
	(void)state;
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	for (const char *at = s.verify; (at = strstr(at, "current_setting")); at++)
		assert_memory_equal(at - strlen("pg_catalog."), "pg_catalog.",
		                    strlen("pg_catalog."));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_startup_packet_carries_them, set_up),
		cmocka_unit_test_setup(what_older_servers_lack_is_only_asked_for_if_wanted, set_up),
		cmocka_unit_test_setup(every_unit_of_the_server_is_read, set_up),
		cmocka_unit_test_setup(what_is_in_force_is_compared, set_up),
		cmocka_unit_test_setup(no_answer_is_no_match_and_nothing_known, set_up),
		cmocka_unit_test_setup(the_users_own_win_and_are_not_judged, set_up),
		cmocka_unit_test_setup(all_of_the_users_own_leave_nothing_to_apply, set_up),
		cmocka_unit_test_setup(too_much_is_refused, set_up),
		cmocka_unit_test_setup(the_longest_values_fit, set_up),
		cmocka_unit_test_setup(names_are_looked_up_where_nobody_can_hide_them, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

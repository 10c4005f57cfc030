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
static weir_in_force in_force;

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

	return wi_settings_match(&s, &a, &in_force);
}

static void the_startup_packet_carries_them(void **state)
{
	(void)state;
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	assert_string_equal(s.startup, "-c statement_timeout=30000 -c lock_timeout=0 "
	                               "-c idle_in_transaction_session_timeout=60000");
	assert_string_equal(
		s.apply,
		"SET statement_timeout = 30000;SET lock_timeout = 0;"
		"SET idle_in_transaction_session_timeout = 60000;"
		"SELECT pg_catalog.set_config('idle_session_timeout', '0', false) "
		"WHERE pg_catalog.current_setting('idle_session_timeout', true) IS NOT NULL;");
	assert_false(wi_settings_is_empty(&s));
}

static void what_older_servers_lack_is_only_asked_for_if_wanted(void **state)
{
	(void)state;
	o.idle_session_timeout_ms = 5000;
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	assert_non_null(strstr(s.startup, "-c idle_session_timeout=5000"));
	assert_non_null(strstr(s.apply, "set_config('idle_session_timeout', '5000', false) WHERE"));
	assert_true(match("30s", "0", "1min", NULL)); /* a server that does not know it */
	assert_int_equal(in_force.idle_session_timeout_ms, -1);
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
		assert_int_equal(in_force.statement_timeout_ms, cases[i].ms);
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
	assert_int_equal(in_force.statement_timeout_ms, 30000);
	assert_int_equal(in_force.idle_in_transaction_timeout_ms, 60000);
	assert_int_equal(in_force.idle_session_timeout_ms, 1000);
}

static void no_answer_is_no_match_and_nothing_known(void **state)
{
	struct wi_answer none = {0}, narrow = answer("30s", "0", "1min", "0");

	(void)state;
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	assert_false(wi_settings_match(&s, &none, &in_force));
	assert_int_equal(in_force.statement_timeout_ms, -1);
	assert_int_equal(in_force.transaction_timeout_ms, -1);
	assert_int_equal(in_force.read_only, -1);
	narrow.columns = 2;
	assert_false(wi_settings_match(&s, &narrow, &in_force));
	assert_int_equal(in_force.lock_timeout_ms, 0);
	assert_int_equal(in_force.idle_in_transaction_timeout_ms, -1);
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
	assert_int_equal(in_force.statement_timeout_ms, 300000);
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
	o.transaction_timeout_ms = INT32_MAX;
	o.read_only = 1;
	memset(o.search_path, '\'', sizeof(o.search_path) - 1); /* each is doubled */
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	assert_non_null(strstr(s.startup, "-c idle_session_timeout=2147483647"));
	assert_non_null(strstr(s.apply, "set_config('transaction_timeout', '2147483647'"));
	assert_true(strlen(s.apply) + 1 < sizeof(s.apply));
	assert_non_null(strstr(s.verify, "current_setting('idle_session_timeout', true)"));
	assert_true(strlen(s.verify) + 1 < sizeof(s.verify));
	assert_memory_equal(s.verify + strlen(s.verify) - 2, "''", 2);
}

static void a_setting_that_the_server_is_too_old_for_is_left_out(void **state)
{
	bool again;

	(void)state;
	o.transaction_timeout_ms = 5000;
	assert_int_equal(wi_settings_build(&s, &o, "-c x.y=1", NULL), WEIR_OK);
	assert_non_null(strstr(s.startup, "-c transaction_timeout=5000"));
	assert_null(wi_settings_leave_out(&s, "unrecognized configuration parameter \"x.y\"", 1,
	                                  &again));
	assert_string_equal(wi_settings_leave_out(
				    &s,
				    "unrecognized configuration parameter \"transaction_timeout\"",
				    1, &again),
	                    "transaction_timeout");
	assert_false(again);
	assert_null(strstr(s.startup, "transaction_timeout"));
	assert_non_null(strstr(s.startup, "-c statement_timeout=30000"));
	assert_non_null(strstr(s.startup, "-c x.y=1"));
	assert_true(wi_settings_lack_one(&s));
	assert_true(match("30s", "0", "1min", "0"));
	assert_null(wi_settings_unknown(&s, &in_force)); /* told already */
	assert_non_null(wi_settings_leave_out(&s, "\"transaction_timeout\"", 1, &again));
	assert_true(again);
	/* what is refused although it was not asked for is not this setting's affair */
	assert_int_equal(s.edition, 2);
	assert_null(wi_settings_leave_out(&s, "\"transaction_timeout\"", 2, &again));
}

/* As the server reads them: -c and --, dashes, any case, words. */
static void the_users_own_are_told_from_others_of_nearly_that_name(void **state)
{
	static const struct {
		const char *users;
		bool names_it;
	} cases[] = {
		{"-c deadlock_timeout=2s", false},
		{"--deadlock-timeout=2s", false},
		{"-c app.lock_timeout=2s", false},
		{"-c x=lock_timeout=2s", false},
		{"-c x=a\\ lock_timeout=2s", false},
		{"-c lock_timeouts=2s", false},
		{"-c", false},
		{"-c ", false},
		{"--", false},
		{"\\", false},
		{"-c lock_timeout=2s", true},
		{"-clock_timeout=2s", true},
		{"-c  Lock_Timeout=2s", true},
		{"--lock-timeout=2s", true},
		{"--lock_timeout=2s", true},
		{"-c x=1 -c lock_timeout=2s", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		o.lock_timeout_ms = 7000;
		assert_int_equal(wi_settings_build(&s, &o, cases[i].users, NULL), WEIR_OK);
		if ((strstr(s.startup, "-c lock_timeout=7000") == NULL) != cases[i].names_it)
			fail_msg("%s", cases[i].users);
	}
}

static void what_the_answer_does_not_know_is_told_once(void **state)
{
	(void)state;
	o.transaction_timeout_ms = 5000;
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	assert_true(match("30s", "0", "1min", "0"));
	assert_string_equal(wi_settings_unknown(&s, &in_force), "transaction_timeout");
	assert_null(wi_settings_unknown(&s, &in_force));
}

static void a_search_path_cannot_become_another_setting(void **state)
{
	weir_error error;

	(void)state;
	wi_copy(o.search_path, sizeof(o.search_path), "a b' -c statement_timeout=0");
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	assert_non_null(strstr(s.startup, " -c search_path=a\\ b'\\ -c\\ statement_timeout=0"));
	assert_non_null(strstr(
		s.apply, "set_config('search_path', 'a b'' -c statement_timeout=0', false);"));
	assert_non_null(strstr(s.verify, "OPERATOR(pg_catalog.=) 'a b'' -c statement_timeout=0'"));
	wi_copy(o.search_path, sizeof(o.search_path), "a\\' ; DROP TABLE x; --");
	assert_int_equal(wi_settings_build(&s, &o, NULL, &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, "search_path"));
	wi_copy(o.search_path, sizeof(o.search_path), "a\nb");
	assert_int_equal(wi_settings_build(&s, &o, NULL, &error), WEIR_INVALID);
}

static void a_search_path_counts_only_if_the_server_says_it_is_the_same(void **state)
{
	struct wi_answer a = answer("30s", "0", "1min", "0");

	(void)state;
	wi_copy(o.search_path, sizeof(o.search_path), "app");
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	a.columns = 12;
	wi_copy(a.value[4], sizeof(a.value[4]), "0");
	wi_copy(a.value[6], sizeof(a.value[6]), "app");
	wi_copy(a.value[11], sizeof(a.value[11]), "f");
	assert_false(wi_settings_match(&s, &a, &in_force));
	wi_copy(a.value[11], sizeof(a.value[11]), "t");
	assert_true(wi_settings_match(&s, &a, &in_force));
	assert_string_equal(in_force.search_path, "app");
}

static void a_read_only_default_is_asked_for_and_checked(void **state)
{
	struct wi_answer a = answer("30s", "0", "1min", "0");

	(void)state;
	o.read_only = 1;
	assert_int_equal(wi_settings_build(&s, &o, NULL, NULL), WEIR_OK);
	assert_non_null(strstr(s.startup, "-c default_transaction_read_only=on"));
	assert_non_null(strstr(s.apply, "SET default_transaction_read_only = on;"));
	a.columns = 10;
	wi_copy(a.value[4], sizeof(a.value[4]), "0");
	wi_copy(a.value[5], sizeof(a.value[5]), "off");
	assert_false(wi_settings_match(&s, &a, &in_force));
	wi_copy(a.value[5], sizeof(a.value[5]), "on");
	assert_true(wi_settings_match(&s, &a, &in_force));
	assert_int_equal(in_force.read_only, 1);
}

static void an_application_name_is_printable(void **state)
{
	weir_error error;

	(void)state;
	wi_copy(o.application_name, sizeof(o.application_name), "shop\x1b[31m");
	assert_int_equal(wi_settings_build(&s, &o, NULL, &error), WEIR_INVALID);
	wi_copy(o.application_name, sizeof(o.application_name), "caf\xc3\xa9");
	assert_int_equal(wi_settings_build(&s, &o, NULL, &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, "application_name"));
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
		cmocka_unit_test_setup(the_users_own_are_told_from_others_of_nearly_that_name,
	                               set_up),
		cmocka_unit_test_setup(too_much_is_refused, set_up),
		cmocka_unit_test_setup(the_longest_values_fit, set_up),
		cmocka_unit_test_setup(a_setting_that_the_server_is_too_old_for_is_left_out,
	                               set_up),
		cmocka_unit_test_setup(what_the_answer_does_not_know_is_told_once, set_up),
		cmocka_unit_test_setup(a_search_path_cannot_become_another_setting, set_up),
		cmocka_unit_test_setup(a_search_path_counts_only_if_the_server_says_it_is_the_same,
	                               set_up),
		cmocka_unit_test_setup(a_read_only_default_is_asked_for_and_checked, set_up),
		cmocka_unit_test_setup(an_application_name_is_printable, set_up),
		cmocka_unit_test_setup(names_are_looked_up_where_nobody_can_hide_them, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

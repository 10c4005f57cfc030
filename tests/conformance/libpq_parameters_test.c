/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What libpq is told: parameters, options, and nothing from the environment where that is not
 * wanted.
 */
#include "conformance/libpq_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/line.h"
#include "base/text.h"
#include "support/watchdog.h"

static const struct wi_driver *const driver = &wi_driver_libpq;

static void check_fails(struct libpq_place *p, const char *words)
{
	weir_error error = {0};

	assert_int_equal(driver->check(libpq_target_of(p), &error), WEIR_INVALID);
	assert_int_equal(error.status, WEIR_INVALID);
	libpq_assert_has(error.text, words);
	assert_null(strstr(error.text, libpq_world.password));
	assert_int_equal(driver->check(libpq_target_of(p), NULL), WEIR_INVALID);
}

static void an_unknown_parameter_is_named_with_the_nearest(void **state)
{
	struct libpq_place p = libpq_good_place(), q = libpq_good_place(), r = libpq_good_place();

	(void)state;
	libpq_set(&p, "aplication_name", "x");
	check_fails(&p, "\"aplication_name\"; did you mean \"application_name\"?");
	libpq_set(&q, "pool_mx", "4"); /* weir's own are among the nearest */
	check_fails(&q, "did you mean \"pool_max\"?");
	libpq_set(&r, "zzzzzzzzzzzz", "4");
	check_fails(&r, "unknown parameter \"zzzzzzzzzzzz\"");
}

static void a_parameter_of_a_newer_libpq_is_named_with_its_version(void **state)
{
	struct libpq_place p = libpq_good_place();

	(void)state;
	if (PQlibVersion() >= 160000)
		skip();
	libpq_set(&p, "require_auth", "scram-sha-256");
	check_fails(&p, "\"require_auth\" needs libpq 16 or later; this is libpq 15.");
}

static void a_bad_value_is_found_without_connecting(void **state)
{
	static const char *const bad[][3] = {
		{"sslmode", "perhaps", "perhaps"},
		{"channel_binding", "maybe", "maybe"},
		{"ssl_min_protocol_version", "TLSv9", "TLSv9"},
		{"service", "no_such_service", "no_such_service"},
	};

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(bad); i++) {
		struct libpq_place p = libpq_good_place();

		/*
		 * Where it would connect to, nobody answers: only a check that stays away comes
		 * back.
		 */
		p.endpoint = libpq_world.places[PLACE_SILENT].endpoint;
		libpq_set(&p, bad[i][0], bad[i][1]);
		check_fails(&p, bad[i][2]);
	}
}

/* The last of equal keys wins, and no value can become another parameter. */
static void a_value_stays_a_value(void **state)
{
	struct libpq_place p = libpq_good_place();
	struct wi_failure failure;
	void *conn;

	(void)state;
	libpq_set(&p, "application_name", "x host=evil sslmode=disable 'y' \\z");
	conn = libpq_open_at(&p);
	libpq_assert_answer(conn, "SHOW application_name", "x host=evil sslmode=disable 'y' \\z");
	suite_close(&libpq_env, conn);
	libpq_set(&p, "dbname", "host=evil dbname=shop");
	libpq_fail_at(&p, WI_FAULT_CONFIG, &failure);
	libpq_assert_has(failure.text, "\"host=evil dbname=shop\"");
}

static void startup_options_are_in_force_and_survive_discard_all(void **state)
{
	struct libpq_place p = libpq_good_place();
	void *conn;

	(void)state;
	p.target.startup_options = "-c statement_timeout=12345 -c lock_timeout=678";
	conn = libpq_open_at(&p);
	libpq_ask(conn, "SET statement_timeout = 1000", NULL);
	libpq_ask(conn, "DISCARD ALL", NULL);
	libpq_assert_answer(conn, "SHOW statement_timeout", "12345ms");
	libpq_assert_answer(conn, "SHOW lock_timeout", "678ms");
	suite_close(&libpq_env, conn);
}

/* An older server than the options were made for. */
static void an_unknown_setting_in_the_options_is_told_as_such(void **state)
{
	struct libpq_place p = libpq_good_place();
	struct wi_failure failure;

	(void)state;
	p.target.startup_options = "-c setting_of_the_future=1";
	libpq_fail_at(&p, WI_FAULT_OPTIONS, &failure);
	assert_string_equal(failure.sqlstate, "42704");
}

/* What libpq reads for itself, with values that would all do harm. */
static const char *const hostile[][2] = {
	{"PGHOST", "/nowhere"},
	{"PGHOSTADDR", "127.0.0.9"},
	{"PGPORT", "1"},
	{"PGDATABASE", "evil"},
	{"PGUSER", "evil"},
	{"PGPASSWORD", "evil"},
	{"PGPASSFILE", "/dev/zero"},
	{"PGCHANNELBINDING", "evil"},
	{"PGSERVICEFILE", "/dev/zero"},
	{"PGSYSCONFDIR", "/nowhere"},
	{"PGOPTIONS", "-c evil.setting=1 -c search_path=evil"},
	{"PGAPPNAME", "evil"},
	{"PGSSLMODE", "evil"},
	{"PGREQUIRESSL", "1"},
	{"PGSSLCOMPRESSION", "1"},
	{"PGSSLCERT", "/dev/null"},
	{"PGSSLKEY", "/dev/null"},
	{"PGSSLROOTCERT", "/dev/null"},
	{"PGSSLCRL", "/dev/null"},
	{"PGSSLCRLDIR", "/dev/null"},
	{"PGSSLSNI", "evil"},
	{"PGREQUIREPEER", "evil"},
	{"PGSSLMINPROTOCOLVERSION", "evil"},
	{"PGSSLMAXPROTOCOLVERSION", "evil"},
	{"PGGSSENCMODE", "evil"},
	{"PGKRBSRVNAME", "evil"},
	{"PGGSSLIB", "evil"},
	{"PGCONNECT_TIMEOUT", "evil"},
	{"PGCLIENTENCODING", "evil"},
	{"PGTARGETSESSIONATTRS", "evil"},
};

static int clean_environment(void **state)
{
	for (size_t i = 0; i < WI_ARRAY_LEN(hostile); i++)
		unsetenv(hostile[i][0]);
	unsetenv("PGSERVICE");
	unsetenv("PGTZ");
	unsetenv("PGDATESTYLE");
	unsetenv("PGGEQO");
	test_watchdog(0, NULL);
	(void)state;
	return 0;
}

static void isolation_keeps_the_environment_out(void **state)
{
	struct libpq_place p = libpq_good_place();
	weir_error error = {0};
	struct wi_answer answer;
	void *conn;

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(hostile); i++)
		setenv(hostile[i][0], hostile[i][1], 1);
	assert_int_equal(driver->check(libpq_target_of(&p), &error),
	                 WEIR_INVALID); /* it would do harm */
	p.target.isolated = true;
	assert_int_equal(driver->check(libpq_target_of(&p), &error), WEIR_OK);
	conn = libpq_open_at(&p);
	libpq_ask(conn,
	          "SELECT current_user, current_database(), current_setting('application_name'), "
	          "current_setting('search_path'), current_setting('evil.setting', true), "
	          "current_setting('client_encoding') = pg_encoding_to_char(encoding) "
	          "FROM pg_database WHERE datname = current_database()",
	          &answer);
	assert_string_equal(answer.value[0], "app");
	assert_string_equal(answer.value[1], "shop");
	assert_string_equal(answer.value[2], LIBPQ_APPLICATION);
	assert_string_equal(answer.value[3], "\"$user\", public");
	assert_true(answer.is_null[4]);
	assert_string_equal(answer.value[5], "t");
	suite_close(&libpq_env, conn);
}

static void isolation_takes_no_password_from_the_environment(void **state)
{
	struct libpq_place p;
	struct wi_failure failure;

	(void)state;
	libpq_make_place(&p, test_cluster_port(libpq_world.cluster, 0), "shop", NULL);
	setenv("PGPASSWORD", libpq_world.password, 1);
	suite_close(&libpq_env, libpq_open_at(&p)); /* without isolation it does */
	p.target.isolated = true;
	libpq_fail_at(&p, WI_FAULT_AUTH, &failure);
	libpq_assert_has(failure.text, "no password supplied");
}

static void isolation_refuses_what_it_cannot_keep_out(void **state)
{
	static const char *const stubborn[] = {"PGSERVICE", "PGTZ", "PGDATESTYLE", "PGGEQO"};
	struct libpq_place p = libpq_good_place();

	(void)state;
	p.target.isolated = true;
	for (size_t i = 0; i < WI_ARRAY_LEN(stubborn); i++) {
		setenv(stubborn[i], "evil", 1);
		check_fails(&p, stubborn[i]);
		unsetenv(stubborn[i]);
	}
	assert_int_equal(driver->check(libpq_target_of(&p), NULL), WEIR_OK);
}

/*
 * The server lets nobody in there, which shows that it was reached; an address from the
 * environment, if it replaced the endpoint, would let us in.
 */
static void a_unix_socket_is_reached_without_an_address(void **state)
{
	struct libpq_place p = libpq_good_place();
	struct wi_failure failure = {0};
	void *conn;

	(void)state;
	setenv("PGHOSTADDR", "127.0.0.1", 1);
	wi_copy(p.endpoint.host, sizeof(p.endpoint.host), libpq_world.sockets);
	conn = driver->connect(libpq_target_of(&p), NULL);
	assert_non_null(conn);
	assert_int_equal(suite_connect_to_end(&libpq_env, conn, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_AUTH);
	libpq_assert_has(failure.text, "[local]");
	suite_close(&libpq_env, conn);
	wi_copy(p.endpoint.host, sizeof(p.endpoint.host), "/dev/null/none");
	conn = driver->connect(libpq_target_of(&p), NULL);
	assert_non_null(conn);
	assert_int_equal(suite_connect_to_end(&libpq_env, conn, &failure), WI_STEP_FAILED);
	assert_int_equal(failure.fault, WI_FAULT_REFUSED);
	suite_close(&libpq_env, conn);
}

static void assert_gssencmode(const char *wanted)
{
	void *conn = suite_open(&libpq_env);
	PQconninfoOption *options = PQconninfo(driver->pg(conn)), *o = options;

	while (strcmp(o->keyword, "gssencmode") != 0)
		o++;
	assert_string_equal(o->val, wanted);
	PQconninfoFree(options);
	suite_close(&libpq_env, conn);
}

/* Else libpq would ask a KDC before each connect where a ticket is at hand. */
static void kerberos_is_asked_where_somebody_wants_it(void **state)
{
	(void)state;
	assert_gssencmode("disable");
	setenv("PGGSSENCMODE", "prefer", 1);
	assert_gssencmode("prefer");
	unsetenv("PGGSSENCMODE");
}

int main(void)
{
#define TRUTH(test) cmocka_unit_test_setup_teardown(test, suite_watch, clean_environment)
	const struct CMUnitTest truths[] = {
		TRUTH(an_unknown_parameter_is_named_with_the_nearest),
		TRUTH(a_parameter_of_a_newer_libpq_is_named_with_its_version),
		TRUTH(a_bad_value_is_found_without_connecting),
		TRUTH(a_value_stays_a_value),
		TRUTH(startup_options_are_in_force_and_survive_discard_all),
		TRUTH(an_unknown_setting_in_the_options_is_told_as_such),
		TRUTH(isolation_keeps_the_environment_out),
		TRUTH(isolation_takes_no_password_from_the_environment),
		TRUTH(isolation_refuses_what_it_cannot_keep_out),
		TRUTH(a_unix_socket_is_reached_without_an_address),
		TRUTH(kerberos_is_asked_where_somebody_wants_it),
	};
	int failed;

	clean_environment(NULL); /* of whatever this process inherited */
	libpq_set_up();
	failed = cmocka_run_group_tests(truths, NULL, NULL);
	return libpq_tear_down() ? failed : 1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the driver is told about a host: the connection string's parameters and the options, and not
 * what weir does itself.
 */
#include "pool/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/text.h"

static weir_options o;
static struct wi_dsn dsn;
static struct wi_target t;
static size_t bytes_before;

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&o);
	unsetenv("PGPASSWORD");
	bytes_before = wi_alloc_bytes();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wi_target_fini(&t);
	wi_target_fini(&t); /* twice does no harm */
	wi_dsn_fini(&dsn);
	return wi_alloc_bytes() == bytes_before ? 0 : -1;
}

static void build(const char *conninfo, const char *application_name)
{
	assert_int_equal(wi_dsn_parse(&dsn, conninfo, &o, NULL), WEIR_OK);
	assert_int_equal(wi_target_build(&t, &dsn, &o, &dsn.hosts[0], application_name, NULL, NULL),
	                 WEIR_OK);
}

/* The value libpq would use: of equal keys the last one. */
static const char *value_of(const char *key)
{
	const char *found = NULL;

	for (size_t i = 0; t.keys[i]; i++)
		if (strcmp(t.keys[i], key) == 0)
			found = t.values[i];
	return found;
}

static void parameters_of_the_connection_string_go_through(void **state)
{
	(void)state;
	build("postgresql://app:s3cret@db:5433/shop?sslmode=require&gssencmode=disable", NULL);
	assert_string_equal(value_of("user"), "app");
	assert_string_equal(value_of("password"), "s3cret");
	assert_string_equal(value_of("dbname"), "shop");
	assert_string_equal(value_of("gssencmode"), "disable");
	assert_string_equal(value_of("sslmode"), "require");
	assert_string_equal(t.secret, "s3cret");
	assert_string_equal(t.endpoint->port, "5433");
	assert_null(t.startup_options);
	assert_false(t.isolated);
}

static void what_weir_does_itself_does_not(void **state)
{
	static const char *const ours[] = {"host",    "hostaddr",        "port",
	                                   "options", "connect_timeout", "target_session_attrs",
	                                   "pool_max"};

	(void)state;
	build("host=db hostaddr=10.0.0.1 port=5433 options='-c x=1' connect_timeout=3 target_session_attrs=any "
	      "pool_max=3",
	      NULL);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		assert_null(value_of(ours[i]));
}

static void options_are_added_where_they_say_something(void **state)
{
	(void)state;
	wi_copy(o.sslmode, sizeof(o.sslmode), "verify-full");
	wi_copy(o.sslrootcert, sizeof(o.sslrootcert), "ca.pem");
	build("host=db application_name=mine", NULL);
	assert_string_equal(value_of("sslmode"), "verify-full");
	assert_string_equal(value_of("sslrootcert"), "ca.pem");
	assert_null(value_of("sslcert"));
	assert_null(value_of("channel_binding"));
	assert_string_equal(value_of("application_name"), "mine"); /* the connection string wins */
	assert_string_equal(value_of("tcp_user_timeout"), "30000");
}

static void every_option_at_once_has_room(void **state)
{
	static const char *const names[] = {"sslmode",         "sslrootcert",
	                                    "sslcert",         "sslkey",
	                                    "sslcrl",          "ssl_min_protocol_version",
	                                    "channel_binding", "require_auth"};
	static const char *const values[] = {"require", "a",       "b",      "c",
	                                     "d",       "TLSv1.2", "prefer", "scram-sha-256"};

	(void)state;
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(weir_options_set(&o, names[i], values[i], NULL), WEIR_OK);
	o.tcp_user_timeout_ms = INT32_MAX;
	build("host=db user=app password=x dbname=shop", "name");
	for (size_t i = 0; i < 8; i++)
		assert_string_equal(value_of(names[i]), values[i]);
	assert_string_equal(value_of("tcp_user_timeout"), "2147483647");
	assert_string_equal(value_of("application_name"), "name");
	assert_string_equal(value_of("dbname"), "shop");
}

static void the_password_of_the_environment_is_a_secret_too(void **state)
{
	(void)state;
	setenv("PGPASSWORD", "fr0m-env", 1);
	build("host=db", NULL);
	assert_string_equal(t.secret, "fr0m-env");
	wi_target_fini(&t);
	wi_dsn_fini(&dsn);
	o.isolated = 1;
	build("host=db", NULL);
	assert_null(t.secret);
	assert_true(t.isolated);
	unsetenv("PGPASSWORD");
}

static void want_of_memory_is_told(void **state)
{
	weir_error error;

	(void)state;
	assert_int_equal(wi_dsn_parse(&dsn, "host=db", &o, NULL), WEIR_OK);
	wi_alloc_fail_at(1);
	assert_int_equal(wi_target_build(&t, &dsn, &o, &dsn.hosts[0], NULL, NULL, &error),
	                 WEIR_NO_MEMORY);
	assert_null(t.keys);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parameters_of_the_connection_string_go_through),
		TEST(what_weir_does_itself_does_not),
		TEST(options_are_added_where_they_say_something),
		TEST(every_option_at_once_has_room),
		TEST(the_password_of_the_environment_is_a_secret_too),
		TEST(want_of_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

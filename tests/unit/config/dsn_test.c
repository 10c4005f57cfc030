/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each part of a connection string sets, where defaults come from, and the words of every
 * error.
 */
#include "config/dsn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/text.h"

static struct wi_dsn dsn;
static weir_options options;
static weir_error error;
static char **own_environ;
static size_t blocks;

static int fresh(void **state)
{
	static char *nothing[] = {NULL};

	(void)state;
	own_environ = environ;
	environ = nothing;
	weir_options_init(&options);
	blocks = wi_alloc_blocks();
	return 0;
}

static int cleanup(void **state)
{
	(void)state;
	environ = own_environ;
	wi_dsn_fini(&dsn);
	assert_int_equal(wi_alloc_blocks(), blocks);
	return 0;
}

#define ENVIRONMENT(...)                                                                           \
	static char *entries[] = {__VA_ARGS__, NULL};                                              \
	environ = entries

/* Everything that was read, in one line: hosts by name, then the parameters. */
static const char *read_as(const char *conninfo)
{
	static char line[4096];
	struct wi_text t;

	wi_dsn_fini(&dsn);
	wi_text_init(&t, line, sizeof(line));
	if (wi_dsn_parse(&dsn, conninfo, &options, &error) != WEIR_OK) {
		wi_text_add(&t, "! %s", error.text);
		return line;
	}
	for (size_t i = 0; i < dsn.n_hosts; i++)
		wi_text_add(&t, "%s%s", i ? " " : "", dsn.hosts[i].name);
	for (size_t i = 0; i < dsn.n_params; i++)
		wi_text_add(&t, " %s=%s", dsn.params[i].key, dsn.params[i].value);
	return line;
}

static void refuse(const char *conninfo, const char *text)
{
	const weir_options before = options;

	wi_dsn_fini(&dsn);
	assert_int_equal(wi_dsn_parse(&dsn, conninfo, &options, &error), WEIR_INVALID);
	assert_string_equal(error.text, text);
	assert_memory_equal(&options, &before, sizeof(before));
}

static void a_uri_has_its_parts(void **state)
{
	(void)state;
	assert_string_equal(read_as("postgresql://app:secret@db:6432/shop?connect_timeout=3"),
	                    "db:6432 user=app password=secret dbname=shop connect_timeout=3");
	assert_string_equal(dsn.hosts[0].host, "db");
	assert_string_equal(dsn.hosts[0].port, "6432");
	assert_string_equal(dsn.hosts[0].hostaddr, "");
	assert_string_equal(wi_dsn_param(&dsn, "user"), "app");
	assert_null(wi_dsn_param(&dsn, "host"));
	assert_null(wi_dsn_param(&dsn, "passfile"));
}

static void every_part_of_a_uri_may_be_missing(void **state)
{
	(void)state;
	assert_string_equal(read_as("postgres://"), "[local]:5432");
	assert_string_equal(read_as("postgresql://@"), "[local]:5432");
	assert_string_equal(read_as("postgresql://:@/"), "[local]:5432");
	assert_string_equal(read_as("postgresql:///shop"), "[local]:5432 dbname=shop");
	assert_string_equal(read_as("postgresql://?"), "[local]:5432");
	assert_string_equal(read_as("postgresql://:7000"), "[local]:7000");
	assert_string_equal(read_as("postgresql://app@"), "[local]:5432 user=app");
	assert_string_equal(read_as("postgresql://:pw@db"), "db:5432 password=pw");
	assert_string_equal(dsn.hosts[0].host, "db");
}

static void many_hosts_have_a_port_each(void **state)
{
	(void)state;
	assert_string_equal(read_as("postgresql://app@h1,h2:5433,h3/shop"),
	                    "h1:5432 h2:5433 h3:5432 user=app dbname=shop");
	assert_int_equal(dsn.n_hosts, 3);
	assert_string_equal(read_as("postgresql://h1,h2?port=7000"), "h1:7000 h2:7000");
	assert_string_equal(read_as("postgresql://h1,h2?port=7000,7001"), "h1:7000 h2:7001");
	assert_string_equal(read_as("postgresql://[::1]:1,[fe80::2]"), "[::1]:1 [fe80::2]:5432");
}

static void parameters_win_over_what_stands_before_them(void **state)
{
	(void)state;
	assert_string_equal(read_as("postgresql://h1:1?host=h2&port=2&user=a&user=b"),
	                    "h2:2 user=a user=b");
	assert_string_equal(wi_dsn_param(&dsn, "user"), "b");
}

static void percent_escapes_are_decoded(void **state)
{
	(void)state;
	assert_string_equal(
		read_as("postgresql://%61pp:p%40ss%2Fw%3a@d%62/sh%6fp?application%5Fname=a%20b&x=%25"),
		"db:5432 user=app password=p@ss/w: dbname=shop x=%");
	assert_string_equal(options.application_name, "a b");
	assert_string_equal(read_as("postgresql://h1%2Ch2"), "h1:5432 h2:5432");
}

static void sockets_are_hosts(void **state)
{
	(void)state;
	assert_string_equal(read_as("postgresql://%2Frun%2Fpg/shop"), "/run/pg:5432 dbname=shop");
	assert_string_equal(read_as("postgresql:///shop?host=/run/pg"), "/run/pg:5432 dbname=shop");
	assert_string_equal(read_as("postgresql:///?host=@abstract"), "@abstract:5432");
	assert_string_equal(read_as("host='/dir with blank' port=7000"), "/dir with blank:7000");
}

static void addresses_stand_beside_names(void **state)
{
	(void)state;
	assert_string_equal(read_as("postgresql://h1,h2?hostaddr=10.0.0.1,::1"), "h1:5432 h2:5432");
	assert_string_equal(dsn.hosts[1].hostaddr, "::1");
	assert_string_equal(read_as("hostaddr=10.0.0.1,fe80::1"), "10.0.0.1:5432 [fe80::1]:5432");
	assert_string_equal(read_as("host=h1,h2 hostaddr=,10.0.0.2"), "h1:5432 h2:5432");
	refuse("host=h1,h2 hostaddr=10.0.0.1",
	       "connection string: 2 host names beside 1 addresses (hostaddr)");
	refuse("host=h1 hostaddr=h1",
	       "connection string: the address of host 1 is not a numeric address");
}

static void keyword_strings_have_blanks_quotes_and_backslashes(void **state)
{
	(void)state;
	assert_string_equal(read_as(""), "[local]:5432");
	assert_string_equal(read_as("  \t\n "), "[local]:5432");
	assert_string_equal(read_as("host=db user = app\tpassword ='a b' dbname= shop "),
	                    "db:5432 user=app password=a b dbname=shop");
	assert_string_equal(read_as("user=a\\'b password='it\\'s \\\\' dbname=a\\ b"),
	                    "[local]:5432 user=a'b password=it's \\ dbname=a b");
	assert_string_equal(read_as("user='' password= dbname"),
	                    "[local]:5432 user= password=dbname");
	refuse("user='' password", "connection string: parameter 2 has no \"=\" behind its name");
	assert_string_equal(read_as("user='' dbname='x'password='y'"),
	                    "[local]:5432 user= dbname=x password=y");
}

static void old_spellings_are_taken(void **state)
{
	(void)state;
	assert_string_equal(read_as("postgresql://db?ssl=true"), "db:5432");
	assert_string_equal(options.sslmode, "require");
	assert_string_equal(read_as("host=db requiressl=0"), "db:5432");
	assert_string_equal(options.sslmode, "prefer");
	assert_string_equal(read_as("host=db requiressl=1"), "db:5432");
	assert_string_equal(options.sslmode, "require");
	/* the driver refuses it */
	assert_string_equal(read_as("postgresql://db?ssl=false"), "db:5432 ssl=false");
}

static void weirs_options_ride_along(void **state)
{
	(void)state;
	assert_string_equal(
		read_as("postgresql://db/?pool_max=20&sslmode=verify-full&checkout_timeout_ms=2s&balance=least"),
		"db:5432");
	assert_int_equal(options.pool_max, 20);
	assert_int_equal(options.checkout_timeout_ms, 2000);
	assert_int_equal(options.balance, WEIR_BALANCE_LEAST);
	assert_string_equal(options.sslmode, "verify-full");
}

/* libpq's words for what weir does itself: who writes them means what they mean there. */
static void libpqs_timeouts_are_weirs(void **state)
{
	(void)state;
	(void)read_as("postgresql://db?connect_timeout=3&tcp_user_timeout=4000");
	assert_int_equal(options.connect_timeout_ms, 3000);
	assert_int_equal(options.tcp_user_timeout_ms, 4000);
	(void)read_as("host=db connect_timeout=' 7 ' tcp_user_timeout=0");
	assert_int_equal(options.connect_timeout_ms, 7000);
	assert_int_equal(options.tcp_user_timeout_ms, 0);
	(void)read_as("host=db connect_timeout=0"); /* for ever, there */
	assert_int_equal(options.connect_timeout_ms, 3600000);
	(void)read_as("host=db connect_timeout=86400 tcp_user_timeout=-1");
	assert_int_equal(options.connect_timeout_ms, 3600000);
	assert_int_equal(options.tcp_user_timeout_ms, 0);
	options.connect_timeout_ms = 5000; /* the string goes over what the caller says */
	(void)read_as("host=db connect_timeout=9 connect_timeout=2 connect_timeout_ms=2s");
	assert_int_equal(options.connect_timeout_ms, 2000);
	(void)read_as("host=db connect_timeout=''");
	assert_int_equal(options.connect_timeout_ms, 2000);
	{
		ENVIRONMENT("DATABASE_URL=postgresql://db?connect_timeout=8");
		(void)read_as(NULL);
		assert_int_equal(options.connect_timeout_ms, 8000);
	}
	refuse("host=db connect_timeout=3s",
	       "connection string: parameter \"connect_timeout\": the value is not a whole number "
	       "of seconds");
	refuse("host=db tcp_user_timeout=99999999999",
	       "connection string: parameter \"tcp_user_timeout\": the value is not a whole number");
	refuse("host=db connect_timeout=10 connect_timeout_ms=500",
	       "connection string: \"connect_timeout\" and \"connect_timeout_ms\" say different "
	       "things; leave one of them out, or make them equal");
}

static void wrong_options_are_told_without_their_values(void **state)
{
	(void)state;
	refuse("postgresql://db/?pool_max=x",
	       "connection string: option \"pool_max\": the value is not a number");
	refuse("host=db pool_max=0",
	       "connection string: option \"pool_max\": the value is out of range: 1 to 32767");
	refuse("host=db zone=a balance=x",
	       "connection string: option \"balance\": the value is none of: p2c, round_robin, random, least, first, weighted");
	refuse("host=db sslmode=on",
	       "connection string: option \"sslmode\": the value is none of: disable, allow, "
	       "prefer, require, verify-ca, verify-full");
}

static void uri_errors_say_what_and_where(void **state)
{
	(void)state;
	refuse("postgresql://a:p%4@db",
	       "connection string: an invalid percent-escape in the password");
	refuse("postgresql://a:%zz@db",
	       "connection string: an invalid percent-escape in the password");
	refuse("postgresql://a%00@db", "connection string: a forbidden %00 in the user");
	refuse("postgresql://db%",
	       "connection string: an invalid percent-escape in the list of hosts");
	refuse("postgresql://db/a%g1",
	       "connection string: an invalid percent-escape in the database name");
	refuse("postgresql://db?a=1&b%=2",
	       "connection string: an invalid percent-escape in the name of parameter 2");
	refuse("postgresql://db?a=1&b=%",
	       "connection string: an invalid percent-escape in the value of parameter 2");
	refuse("postgresql://db?user", "connection string: parameter 1 has no \"=\"");
	refuse("postgresql://db?&user=a", "connection string: parameter 1 has no \"=\"");
	refuse("postgresql://db?user=a=b",
	       "connection string: parameter 1 has a second \"=\" (in a value it is written %3D)");
	refuse("postgresql://[::1", "connection string: host 1 begins with \"[\" and has no \"]\"");
	refuse("postgresql://db,[]", "connection string: the brackets of host 2 are empty");
	refuse("postgresql://[::1]x",
	       "connection string: what follows the \"]\" of host 1 is none of \":\", \",\", "
	       "\"/\" and \"?\"");
	refuse("postgresql://db?us%20er=a",
	       "connection string: parameter 1 has a name that no parameter can have");
	refuse("user=a =b", "connection string: parameter 2 has a name that no parameter can have");
	refuse("user='a", "connection string: parameter 1 has a quote that is not closed");
	refuse("mysql://db",
	       "connection string: looks like a URL, but begins neither with postgresql:// nor with "
	       "postgres://");
	refuse("POSTGRESQL://db",
	       "connection string: looks like a URL, but begins neither with postgresql:// nor with "
	       "postgres://");
}

static void ports_are_checked(void **state)
{
	(void)state;
	refuse("postgresql://h1,h2:abc", "connection string: the port of host 2 is not a number");
	refuse("postgresql://h1:0",
	       "connection string: the port of host 1 is out of range: 1 to 65535");
	refuse("postgresql://h1:65536",
	       "connection string: the port of host 1 is out of range: 1 to 65535");
	refuse("postgresql://h1:99999999999999999999",
	       "connection string: the port of host 1 is out of range: 1 to 65535");
	refuse("host=h1 port=5x", "connection string: the port of host 1 is not a number");
	refuse("host=h1,h2,h3 port=1,2",
	       "connection string: 2 ports for 3 hosts: give one for all, or one for each");
	refuse("host=h1 port=1,2",
	       "connection string: 2 ports for 1 host: give one for all, or one for each");
	assert_string_equal(read_as("host=h1 port=' 0005432 '"), "h1:5432");
}

/* Unescaped reserved characters in a password shift every part behind them. */
static void slips_in_a_password_are_explained_and_not_shown(void **state)
{
	const char *hint =
		"; if the password has a \"/\", \"?\" or \"@\" in it, write %2F, %3F or %40";
	char text[300];

	(void)state;
	snprintf(text, sizeof(text), "connection string: the port of host 1 is not a number%s",
	         hint);
	refuse("postgresql://app:sek/rit@db/shop", text);
	snprintf(
		text, sizeof(text),
		"connection string: the name of host 1 has a character in it that is in no host's name%s",
		hint);
	refuse("postgresql://app:sek@rit@db/shop", text);
}

static void hosts_are_checked(void **state)
{
	char longer[400] = "host=";

	(void)state;
	refuse("postgresql://h1,h2,H1", "connection string: host 3 is the same as host 1");
	refuse("postgresql://,", "connection string: host 2 is the same as host 1");
	assert_string_equal(read_as("postgresql://h1:1,h1:2"), "h1:1 h1:2");
	refuse("host='a b'",
	       "connection string: the name of host 1 has a blank or a control character in it");
	memset(longer + 5, 'h', 256);
	refuse(longer, "connection string: the name of host 1 is too long");
	longer[5 + 255] = '\0';
	assert_int_equal(strlen(read_as(longer)), 240 + 5);
}

static void endless_strings_are_refused(void **state)
{
	size_t size = (1 << 20) + 1;
	char *huge = malloc(size);

	(void)state;
	assert_non_null(huge);
	memset(huge, ' ', size);
	huge[size - 1] = '\0';
	refuse(huge, "connection string: longer than 1048575 bytes");
	free(huge);
}

static void null_means_the_environment(void **state)
{
	(void)state;
	assert_string_equal(read_as(NULL), "[local]:5432");
	{
		ENVIRONMENT("PGHOST=h1,h2", "PGPORT=7000", "PGUSER=left_to_libpq");
		assert_string_equal(read_as(NULL), "h1:7000 h2:7000");
	}
	{
		ENVIRONMENT("PGHOST=h1", "DATABASE_URL=postgres://u@h9/x");
		assert_string_equal(read_as(NULL), "h9:5432 user=u dbname=x");
		assert_string_equal(read_as(""), "h1:5432");
	}
	{
		ENVIRONMENT("PGHOSTADDR=10.0.0.1", "DATABASE_URL=");
		assert_string_equal(read_as(NULL), "10.0.0.1:5432");
	}
}

static void environment_fills_what_the_string_leaves_out(void **state)
{
	ENVIRONMENT("PGHOST=h9", "PGPORT=7000");

	(void)state;
	assert_string_equal(read_as("postgresql:///shop"), "h9:7000 dbname=shop");
	assert_string_equal(read_as("host=h1"), "h1:7000");
	assert_string_equal(read_as("host=h1 port=1"), "h1:1");
	/* libpq's rule: the list of ports is given, with empty places, so PGPORT is not asked */
	assert_string_equal(read_as("postgresql://h1,h2"), "h1:5432 h2:5432");
}

static void isolated_means_no_pg_variables(void **state)
{
	ENVIRONMENT("PGHOST=h9", "PGPORT=7000", "PGSERVICE=s", "DATABASE_URL=postgres://u@/x");

	(void)state;
	assert_string_equal(read_as("user=a isolated=on"), "[local]:5432 user=a");
	options.isolated = 1;
	assert_string_equal(read_as("user=a"), "[local]:5432 user=a");
	assert_string_equal(read_as(NULL), "[local]:5432 user=u dbname=x");
}

static void a_service_is_left_to_libpq(void **state)
{
	ENVIRONMENT("PGHOST=h9", "PGPORT=7000");

	(void)state;
	assert_string_equal(read_as("service=shop"), "[local] service=shop");
	assert_string_equal(dsn.hosts[0].host, "");
	assert_string_equal(dsn.hosts[0].port, "");
	assert_true(dsn.hosts[0].unnamed);
	assert_string_equal(read_as("service=shop host=h1 port=1"), "h1:1 service=shop");
	assert_false(dsn.hosts[0].unnamed);
	assert_string_equal(read_as("host=h1"), "h1:7000");
	assert_false(dsn.hosts[0].unnamed);
}

static void environment_errors_name_the_variable(void **state)
{
	(void)state;
	{
		ENVIRONMENT("PGPORT=abc");
		refuse(NULL, "PGPORT: the port \"abc\" of host 1 is not a number");
		refuse("host=h1", "PGPORT: the port \"abc\" of host 1 is not a number");
	}
	{
		ENVIRONMENT("PGHOST=a b");
		refuse(NULL,
		       "PGHOST: the name \"a b\" of host 1 has a blank or a control character in it");
	}
	{
		ENVIRONMENT("DATABASE_URL=postgres://u:pw@h:x/");
		refuse(NULL, "DATABASE_URL: the port of host 1 is not a number");
	}
}

static void all_that_was_asked_for_is_given_back(void **state)
{
	char many[4000] = "";
	struct wi_text t;

	(void)state;
	wi_text_init(&t, many, sizeof(many));
	for (int i = 0; i < 100; i++)
		wi_text_add(&t, "key_%d=value ", i);
	assert_int_equal(wi_dsn_parse(&dsn, many, &options, &error), WEIR_OK);
	assert_int_equal(dsn.n_params, 100);
	assert_string_equal(wi_dsn_param(&dsn, "key_99"), "value");
	wi_dsn_fini(&dsn);
	assert_int_equal(dsn.n_params, 0);
	wi_dsn_fini(&dsn);
	assert_int_equal(wi_alloc_blocks(), blocks);
}

static void every_failing_allocation_is_a_status_and_no_leak(void **state)
{
	static const char *const strings[] = {
		"postgresql://u:p@h1,h2:1/d?a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&pool_max=3",
		"host=h1,h2 hostaddr=::1,::2 port=7000 user=u password='x y' dbname=d",
		NULL,
	};
	ENVIRONMENT("PGHOST=h1,h2", "PGPORT=1,2");

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const weir_options before = options;
		int failures = 0;

		for (;;) {
			weir_status status;

			wi_alloc_fail_at(failures + 1);
			status = wi_dsn_parse(&dsn, strings[i], &options, &error);
			wi_alloc_fail_at(0);
			if (status == WEIR_OK)
				break;
			assert_int_equal(status, WEIR_NO_MEMORY);
			assert_int_equal(error.status, WEIR_NO_MEMORY);
			assert_memory_equal(&options, &before, sizeof(before));
			wi_dsn_fini(&dsn);
			assert_int_equal(wi_alloc_blocks(), blocks);
			failures++;
		}
		assert_true(failures >= 3);
		wi_dsn_fini(&dsn);
		weir_options_init(&options);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_uri_has_its_parts, fresh, cleanup),
		cmocka_unit_test_setup_teardown(every_part_of_a_uri_may_be_missing, fresh, cleanup),
		cmocka_unit_test_setup_teardown(many_hosts_have_a_port_each, fresh, cleanup),
		cmocka_unit_test_setup_teardown(parameters_win_over_what_stands_before_them, fresh,
	                                        cleanup),
		cmocka_unit_test_setup_teardown(percent_escapes_are_decoded, fresh, cleanup),
		cmocka_unit_test_setup_teardown(sockets_are_hosts, fresh, cleanup),
		cmocka_unit_test_setup_teardown(addresses_stand_beside_names, fresh, cleanup),
		cmocka_unit_test_setup_teardown(keyword_strings_have_blanks_quotes_and_backslashes,
	                                        fresh, cleanup),
		cmocka_unit_test_setup_teardown(old_spellings_are_taken, fresh, cleanup),
		cmocka_unit_test_setup_teardown(weirs_options_ride_along, fresh, cleanup),
		cmocka_unit_test_setup_teardown(libpqs_timeouts_are_weirs, fresh, cleanup),
		cmocka_unit_test_setup_teardown(wrong_options_are_told_without_their_values, fresh,
	                                        cleanup),
		cmocka_unit_test_setup_teardown(uri_errors_say_what_and_where, fresh, cleanup),
		cmocka_unit_test_setup_teardown(ports_are_checked, fresh, cleanup),
		cmocka_unit_test_setup_teardown(slips_in_a_password_are_explained_and_not_shown,
	                                        fresh, cleanup),
		cmocka_unit_test_setup_teardown(hosts_are_checked, fresh, cleanup),
		cmocka_unit_test_setup_teardown(endless_strings_are_refused, fresh, cleanup),
		cmocka_unit_test_setup_teardown(null_means_the_environment, fresh, cleanup),
		cmocka_unit_test_setup_teardown(environment_fills_what_the_string_leaves_out, fresh,
	                                        cleanup),
		cmocka_unit_test_setup_teardown(isolated_means_no_pg_variables, fresh, cleanup),
		cmocka_unit_test_setup_teardown(a_service_is_left_to_libpq, fresh, cleanup),
		cmocka_unit_test_setup_teardown(environment_errors_name_the_variable, fresh,
	                                        cleanup),
		cmocka_unit_test_setup_teardown(all_that_was_asked_for_is_given_back, fresh,
	                                        cleanup),
		cmocka_unit_test_setup_teardown(every_failing_allocation_is_a_status_and_no_leak,
	                                        fresh, cleanup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

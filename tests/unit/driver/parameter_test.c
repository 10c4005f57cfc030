/* SPDX-License-Identifier: BSD-2-Clause */
/* What weir knows of libpq's parameters, compared with what the libpq at hand says of them. */
#include "driver/parameter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <libpq-fe.h>

/* All but the service, which check refuses. */
static void every_parameter_with_a_variable_has_a_neutral_value(void **state)
{
	PQconninfoOption *options = PQconninfoParse("", NULL);

	(void)state;
	assert_non_null(options);
	for (PQconninfoOption *o = options; o->keyword; o++) {
		const char *value = wi_parameter_neutral(o->keyword, o->envvar, o->compiled);

		if (o->envvar && strcmp(o->keyword, "service") != 0 && !value)
			fail_msg("%s lets %s in", o->keyword, o->envvar);
		if (value)
			assert_null(strpbrk(value, "'\\")); /* it is quoted as it is */
	}
	PQconninfoFree(options);
}

static void a_neutral_value_is_the_compiled_default_where_there_is_one(void **state)
{
	(void)state;
	assert_string_equal(wi_parameter_neutral("sslmode", "PGSSLMODE", "prefer"), "prefer");
	assert_string_equal(wi_parameter_neutral("user", "PGUSER", NULL), "");
	assert_null(wi_parameter_neutral("keepalives", NULL, NULL));
	assert_null(wi_parameter_neutral("service", "PGSERVICE", NULL));
	assert_string_equal(wi_parameter_neutral("gssencmode", "PGGSSENCMODE", "prefer"),
	                    "disable");
	assert_string_equal(wi_parameter_neutral("passfile", "PGPASSFILE", NULL), WI_NO_FILE);
}

static void no_file_can_be_where_no_file_is(void **state)
{
	struct stat status;

	(void)state;
	assert_int_not_equal(stat(WI_NO_FILE, &status), 0);
	assert_int_equal(WI_NO_FILE[0], '/'); /* as a host it is a socket's directory */
}

static void newer_parameters_are_known_with_their_version(void **state)
{
	PQconninfoOption *options = PQconninfoParse("", NULL);

	(void)state;
	assert_int_equal(wi_parameter_since("require_auth"), 16);
	assert_int_equal(wi_parameter_since("sslnegotiation"), 17);
	assert_int_equal(wi_parameter_since("sslmode"), 0);
	assert_int_equal(wi_parameter_since(""), 0);
	for (PQconninfoOption *o = options; o && o->keyword; o++)
		assert_true(wi_parameter_since(o->keyword) <= PQlibVersion() / 10000);
	PQconninfoFree(options);
}

static void a_stubborn_variable_is_found(void **state)
{
	static const char *const names[] = {"PGSERVICE", "PGDATESTYLE", "PGTZ", "PGGEQO"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	assert_null(wi_parameter_stubborn_variable());
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		setenv(names[i], "x", 1);
		assert_string_equal(wi_parameter_stubborn_variable(), names[i]);
		unsetenv(names[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_parameter_with_a_variable_has_a_neutral_value),
		cmocka_unit_test(a_neutral_value_is_the_compiled_default_where_there_is_one),
		cmocka_unit_test(no_file_can_be_where_no_file_is),
		cmocka_unit_test(newer_parameters_are_known_with_their_version),
		cmocka_unit_test(a_stubborn_variable_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Options from the environment: all or nothing, typos told by name, values of strangers never. */
#include <weir/options.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static weir_options options;
static weir_error error;
static char **own_environ;

static int fresh(void **state)
{
	(void)state;
	own_environ = environ;
	weir_options_init(&options);
	memset(&error, 0, sizeof(error));
	return 0;
}

static int restore(void **state)
{
	(void)state;
	environ = own_environ;
	return 0;
}

#define ENVIRONMENT(...)                                                                           \
	static char *entries[] = {__VA_ARGS__, NULL};                                              \
	environ = entries

/* Refused with these words, and the struct is as it was. */
static void refuse(const char *text)
{
	const weir_options before = options;

	assert_int_equal(weir_options_from_env(&options, &error), WEIR_INVALID);
	assert_string_equal(error.text, text);
	assert_memory_equal(&options, &before, sizeof(before));
}

static void variables_set_options(void **state)
{
	ENVIRONMENT("HOME=/", "WEIR_POOL_MAX=33", "WEIR_CHECKOUT_TIMEOUT_MS=5s",
	            "WEIR_BALANCE=least", "WEIR_ZONE=a");

	(void)state;
	assert_int_equal(weir_options_from_env(&options, &error), WEIR_OK);
	assert_int_equal(options.pool_max, 33);
	assert_int_equal(options.checkout_timeout_ms, 5000);
	assert_int_equal(options.balance, WEIR_BALANCE_LEAST);
	assert_string_equal(options.zone, "a");
	assert_int_equal(options.pool_min, 2);
}

static void no_variable_changes_nothing(void **state)
{
	const weir_options before = options;

	(void)state;
	ENVIRONMENT("HOME=/", "WEIR", "WEIRD_THING=1", "WEIR_NOT_AN_ENTRY");
	assert_int_equal(weir_options_from_env(&options, &error), WEIR_OK);
	assert_memory_equal(&options, &before, sizeof(before));
	environ = NULL;
	assert_int_equal(weir_options_from_env(&options, &error), WEIR_OK);
}

static void bad_value_changes_nothing(void **state)
{
	ENVIRONMENT("WEIR_POOL_MIN=1", "WEIR_POOL_MAX=0", "WEIR_ZONE=a");

	(void)state;
	refuse("environment: WEIR_POOL_MAX: option \"pool_max\": \"0\" is out of range: 1 to 32767");
}

static void unknown_names_are_told_without_their_values(void **state)
{
	ENVIRONMENT("WEIR_POOL_MAKS=sekrit", "WEIR_POOL_MIN=1");

	(void)state;
	refuse("environment: no option has the name WEIR_POOL_MAKS: did you mean WEIR_POOL_MAX?");
}

static void small_letters_are_another_name(void **state)
{
	ENVIRONMENT("WEIR_pool_max=5");

	(void)state;
	refuse("environment: no option has the name WEIR_pool_max: did you mean WEIR_POOL_MAX?");
}

static void the_order_of_the_environment_does_not_matter(void **state)
{
	static char *one[] = {"WEIR_BBB=1", "WEIR_AAA=1", "WEIR_POOL_MAX=x", NULL};
	static char *other[] = {"WEIR_POOL_MAX=x", "WEIR_AAA=1", "WEIR_BBB=1", NULL};

	(void)state;
	environ = one;
	refuse("environment: no option has the name WEIR_AAA");
	environ = other;
	refuse("environment: no option has the name WEIR_AAA");
}

static void long_and_empty_names_are_no_harm(void **state)
{
	static char longer[500] = "WEIR_";
	static char *entries[] = {longer, NULL};

	(void)state;
	memset(longer + 5, 'X', sizeof(longer) - 8);
	longer[sizeof(longer) - 3] = '=';
	longer[sizeof(longer) - 2] = '1';
	environ = entries;
	assert_int_equal(weir_options_from_env(&options, &error), WEIR_INVALID);
	assert_true(strlen(error.text) < 200);
	longer[5] = '=';
	refuse("environment: no option has the name WEIR_");
}

static void structs_that_are_not_initialised_are_refused(void **state)
{
	static weir_options zeroed;

	(void)state;
	assert_int_equal(weir_options_from_env(NULL, &error), WEIR_INVALID);
	assert_int_equal(weir_options_from_env(&zeroed, &error), WEIR_INVALID);
	assert_string_equal(error.text,
	                    "the options are not initialised: call weir_options_init first");
}

static void older_programs_are_told_of_newer_options(void **state)
{
	(void)state;
	options.size = offsetof(weir_options, fork);
	ENVIRONMENT("WEIR_FORK=reopen");
	refuse("environment: WEIR_FORK is newer than the headers of this program");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(variables_set_options, fresh, restore),
		cmocka_unit_test_setup_teardown(no_variable_changes_nothing, fresh, restore),
		cmocka_unit_test_setup_teardown(bad_value_changes_nothing, fresh, restore),
		cmocka_unit_test_setup_teardown(unknown_names_are_told_without_their_values, fresh,
	                                        restore),
		cmocka_unit_test_setup_teardown(small_letters_are_another_name, fresh, restore),
		cmocka_unit_test_setup_teardown(the_order_of_the_environment_does_not_matter, fresh,
	                                        restore),
		cmocka_unit_test_setup_teardown(long_and_empty_names_are_no_harm, fresh, restore),
		cmocka_unit_test_setup_teardown(structs_that_are_not_initialised_are_refused, fresh,
	                                        restore),
		cmocka_unit_test_setup_teardown(older_programs_are_told_of_newer_options, fresh,
	                                        restore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

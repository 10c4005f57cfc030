/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options as structs: those of older and newer versions, those filled by hand, and what several
 * come to together.
 */
#include "config/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static weir_options options;
static weir_error error;

static int fresh(void **state)
{
	(void)state;
	weir_options_init(&options);
	memset(&error, 0, sizeof(error));
	return 0;
}

static void nothing_loads_as_the_defaults(void **state)
{
	weir_options loaded;

	(void)state;
	assert_int_equal(wi_options_load(&loaded, NULL, &error), WEIR_OK);
	assert_memory_equal(&loaded, &options, sizeof(options));
}

static void refuse_load(const weir_options *from, const char *text)
{
	weir_options loaded, before;

	memset(&loaded, 'x', sizeof(loaded));
	before = loaded;
	assert_int_equal(wi_options_load(&loaded, from, &error), WEIR_INVALID);
	assert_string_equal(error.text, text);
	assert_memory_equal(&loaded, &before, sizeof(loaded));
}

static void structs_filled_by_hand_are_checked(void **state)
{
	(void)state;
	options.pool_max = 0;
	refuse_load(&options, "option \"pool_max\": 0 is out of range: 1 to 32767");
	fresh(NULL);
	options.balance = 6;
	refuse_load(
		&options,
		"option \"balance\": \"6\" is none of: p2c, round_robin, random, least, first, weighted");
	fresh(NULL);
	options.fork = -1;
	refuse_load(&options, "option \"fork\": \"-1\" is none of: refuse, reopen");
	fresh(NULL);
	memset(options.zone, 'z', sizeof(options.zone));
	refuse_load(&options, "option \"zone\": the text has no end within its 64 bytes");
	fresh(NULL);
	strcpy(options.sslmode, "maybe");
	refuse_load(
		&options,
		"option \"sslmode\": \"maybe\" is none of: disable, allow, prefer, require, verify-ca, verify-full");
}

static void structs_without_a_size_are_refused(void **state)
{
	static weir_options zeroed;

	(void)state;
	refuse_load(&zeroed, "the options are not initialised: call weir_options_init first");
	assert_int_equal(weir_options_set(&zeroed, "pool_max", "1", &error), WEIR_INVALID);
	assert_string_equal(error.text,
	                    "the options are not initialised: call weir_options_init first");
}

/* A program built when `application_name` was the last option. */
static void older_structs_keep_what_they_know(void **state)
{
	const size_t size =
		offsetof(weir_options, application_name) + sizeof(options.application_name);
	weir_options *older = malloc(size);
	weir_options loaded;

	(void)state;
	assert_non_null(older);
	options.pool_max = 77;
	strcpy(options.application_name, "old");
	options.size = size;
	memcpy(older, &options, size);
	assert_int_equal(wi_options_load(&loaded, older, &error), WEIR_OK);
	assert_int_equal(loaded.size, sizeof(loaded));
	assert_int_equal(loaded.pool_max, 77);
	assert_string_equal(loaded.application_name, "old");
	assert_int_equal(loaded.fork, WEIR_FORK_REFUSE);

	assert_int_equal(weir_options_set(older, "pool_max", "78", &error), WEIR_OK);
	assert_int_equal(weir_options_set(older, "fork", "reopen", &error), WEIR_INVALID);
	assert_string_equal(error.text,
	                    "option \"fork\" is newer than the headers of this program");
	free(older);
}

static void newer_structs_are_taken_if_nothing_new_is_set(void **state)
{
	static struct {
		weir_options known;
		int64_t unknown;
	} newer;
	weir_options loaded;

	(void)state;
	newer.known = options;
	newer.known.size = sizeof(newer);
	newer.known.pool_max = 5;
	assert_int_equal(wi_options_load(&loaded, &newer.known, &error), WEIR_OK);
	assert_int_equal(loaded.pool_max, 5);
	newer.unknown = 1;
	assert_int_equal(wi_options_load(&loaded, &newer.known, &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, "does not know"));
}

static void sizes_of_no_version_are_refused(void **state)
{
	(void)state;
	options.size = offsetof(weir_options, zone) + 1;
	assert_int_equal(wi_options_load(&(weir_options){0}, &options, &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, "is that of no version"));
}

static void maximum_is_this_processs_share(void **state)
{
	(void)state;
	assert_int_equal(wi_options_pool_max(&options), 10);
	options.server_budget = 90;
	assert_int_equal(wi_options_pool_max(&options), 10);
	options.pod_count = 30;
	assert_int_equal(wi_options_pool_max(&options), 3);
	options.pod_count = 1000;
	assert_int_equal(wi_options_pool_max(&options), 1);
	options.server_budget = 0;
	assert_int_equal(wi_options_pool_max(&options), 10);
	options.pod_count = 0;
	options.server_budget = 4;
	assert_int_equal(wi_options_pool_max(&options), 4);
}

static void refuse_agreement(const char *text)
{
	assert_int_equal(wi_options_agree(&options, &error), WEIR_INVALID);
	assert_string_equal(error.text, text);
}

static void minimum_above_the_maximum_is_refused(void **state)
{
	(void)state;
	options.pool_min = 11;
	refuse_agreement("pool_min is 11, more than pool_max, which is 10");
	options.pool_min = 5;
	options.server_budget = 90;
	options.pod_count = 30;
	refuse_agreement(
		"pool_min is 5, but server_budget / pod_count leaves this process 3 connections");
}

static void a_budget_is_shared_out(void **state)
{
	(void)state;
	options.server_budget = 9;
	options.pod_count = 10;
	refuse_agreement("server_budget is 9 for 10 instances: not one connection for each");
	options.server_budget = 10;
	options.pool_min = 1;
	assert_int_equal(wi_options_agree(&options, &error), WEIR_OK);
	assert_int_equal(wi_options_share(&options), 1);
	/* A router's probe is one of them. */
	assert_int_equal(wi_options_spare_probe(&options, &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, "one of them to probe"));
	options.server_budget = 29;
	assert_int_equal(wi_options_spare_probe(&options, &error), WEIR_OK);
	assert_int_equal(wi_options_share(&options), 1);
	/* The largest that can be said. */
	options.server_budget = 1000000;
	options.pod_count = 100000;
	assert_int_equal(wi_options_pool_max(&options), 10);
	options.server_budget = 0;
	assert_int_equal(wi_options_spare_probe(&options, &error), WEIR_OK);
	assert_true(wi_options_share(&options) == INT64_MAX);
}

static void default_minimum_gives_way(void **state)
{
	(void)state;
	options.pool_max = 1;
	assert_int_equal(wi_options_agree(&options, &error), WEIR_OK);
	assert_int_equal(options.pool_min, 1);
}

/* What the connection string will say is not known yet when the struct is loaded. */
static void loading_does_not_judge_options_together(void **state)
{
	weir_options loaded;

	(void)state;
	options.pool_min = 11;
	assert_int_equal(wi_options_load(&loaded, &options, &error), WEIR_OK);
	assert_int_equal(loaded.pool_min, 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_loads_as_the_defaults, fresh),
		cmocka_unit_test_setup(structs_filled_by_hand_are_checked, fresh),
		cmocka_unit_test_setup(structs_without_a_size_are_refused, fresh),
		cmocka_unit_test_setup(older_structs_keep_what_they_know, fresh),
		cmocka_unit_test_setup(newer_structs_are_taken_if_nothing_new_is_set, fresh),
		cmocka_unit_test_setup(sizes_of_no_version_are_refused, fresh),
		cmocka_unit_test_setup(maximum_is_this_processs_share, fresh),
		cmocka_unit_test_setup(minimum_above_the_maximum_is_refused, fresh),
		cmocka_unit_test_setup(a_budget_is_shared_out, fresh),
		cmocka_unit_test_setup(default_minimum_gives_way, fresh),
		cmocka_unit_test_setup(loading_does_not_judge_options_together, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

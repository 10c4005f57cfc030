/* SPDX-License-Identifier: BSD-2-Clause */
/* Each status, role and reason has words of its own; numbers from elsewhere have words too. */
#include <weir/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weir/conn.h>
#include <weir/version.h>

#include "base/line.h"

static const weir_status statuses[] = {
#define NUMBER(name, number, retry, text) WEIR_##name,
	WEIR_STATUS_MAP(NUMBER)
#undef NUMBER
};

static void every_status_has_its_own_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(statuses); i++) {
		assert_true(*weir_status_name(statuses[i]));
		assert_true(*weir_status_text(statuses[i]));
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(weir_status_name(statuses[i]),
			                        weir_status_name(statuses[k]));
			assert_string_not_equal(weir_status_text(statuses[i]),
			                        weir_status_text(statuses[k]));
			assert_int_not_equal(statuses[i], statuses[k]);
		}
	}
}

/* Numbers are for ever: programs and logs keep them. */
static void numbers_have_not_moved(void **state)
{
	(void)state;
	assert_int_equal(WEIR_OK, 0);
	assert_int_equal(WEIR_TIMEOUT, 3);
	assert_int_equal(WEIR_OUTCOME_UNKNOWN, 11);
	assert_int_equal(WEIR_SYSTEM, 15);
	assert_string_equal(weir_status_name(WEIR_TIMEOUT), "TIMEOUT");
}

static void retry_is_a_property_of_the_status(void **state)
{
	(void)state;
	assert_int_equal(weir_status_retry(WEIR_TIMEOUT), WEIR_RETRY_LATER);
	assert_int_equal(weir_status_retry(WEIR_RETRY), WEIR_RETRY_NOW);
	assert_int_equal(weir_status_retry(WEIR_OUTCOME_UNKNOWN), WEIR_RETRY_NEVER);
	assert_int_equal(weir_status_retry(WEIR_AUTH), WEIR_RETRY_NEVER);
}

static void unknown_numbers_have_words(void **state)
{
	(void)state;
	assert_string_equal(weir_status_name((weir_status)999), "UNKNOWN");
	assert_string_equal(weir_status_text((weir_status)999), "unknown status");
	assert_int_equal(weir_status_retry((weir_status)999), WEIR_RETRY_NEVER);
	assert_string_equal(weir_role_name((weir_role)999), "unknown");
	assert_string_equal(weir_reason_text((weir_reason)999), "unknown reason");
	assert_string_equal(weir_reason_name((weir_reason)999), "UNKNOWN");
	assert_false(weir_reason_is_fallback((weir_reason)999));
}

static void roles_and_reasons_have_words(void **state)
{
	(void)state;
	assert_string_equal(weir_role_name(WEIR_ROLE_PRIMARY), "primary");
	assert_string_equal(weir_role_name(WEIR_ROLE_REPLICA), "replica");
	assert_string_equal(weir_reason_name(WEIR_REASON_TOO_STALE), "TOO_STALE");
	assert_int_equal(WEIR_REASON_NO_PRIMARY, 7); /* numbers stay */
	for (int i = WEIR_REASON_NONE; i < WEIR_REASONS; i++) {
		assert_string_not_equal(weir_reason_text((weir_reason)i), "unknown reason");
		for (int k = WEIR_REASON_NONE; k < i; k++)
			assert_string_not_equal(weir_reason_text((weir_reason)i),
			                        weir_reason_text((weir_reason)k));
	}
}

static void library_has_the_version_of_its_headers(void **state)
{
	(void)state;
	assert_string_equal(weir_version(), WEIR_VERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_status_has_its_own_words),
		cmocka_unit_test(numbers_have_not_moved),
		cmocka_unit_test(retry_is_a_property_of_the_status),
		cmocka_unit_test(unknown_numbers_have_words),
		cmocka_unit_test(roles_and_reasons_have_words),
		cmocka_unit_test(library_has_the_version_of_its_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

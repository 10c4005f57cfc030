/* SPDX-License-Identifier: BSD-2-Clause */
/* Deadlines saturate, round up and never wrap. */
#include "base/clock.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void time_does_not_go_back(void **state)
{
	int64_t last = wi_now_ns();

	(void)state;
	assert_true(last > 0);
	for (int i = 0; i < 10000; i++) {
		int64_t now = wi_now_ns();

		assert_true(now >= last);
		last = now;
	}
}

static void deadline_is_now_plus_timeout(void **state)
{
	(void)state;
	assert_int_equal(wi_deadline_after(5, 0), 5);
	assert_int_equal(wi_deadline_after(5, 3), 5 + 3 * WI_MS);
}

static void negative_timeout_is_for_ever(void **state)
{
	(void)state;
	assert_true(wi_deadline_after(5, -1) == WI_FOREVER);
	assert_true(wi_deadline_after(5, INT64_MIN) == WI_FOREVER);
}

static void huge_timeout_saturates(void **state)
{
	(void)state;
	assert_true(wi_deadline_after(5, INT64_MAX) == WI_FOREVER);
	assert_true(wi_deadline_after(WI_SEC, INT64_MAX / WI_MS) == WI_FOREVER);
	assert_true(wi_deadline_after(WI_FOREVER, 1) == WI_FOREVER);
	assert_true(wi_deadline_after(0, INT64_MAX / WI_MS - 1) < WI_FOREVER);
}

static void poll_time_is_rounded_up(void **state)
{
	(void)state;
	assert_int_equal(wi_poll_ms(0, 1), 1);
	assert_int_equal(wi_poll_ms(0, WI_MS), 1);
	assert_int_equal(wi_poll_ms(0, WI_MS + 1), 2);
	assert_int_equal(wi_poll_ms(WI_SEC, WI_SEC), 0);
	assert_int_equal(wi_poll_ms(WI_SEC, 0), 0);
	assert_int_equal(wi_poll_ms(0, WI_FOREVER), -1);
	assert_int_equal(wi_poll_ms(0, WI_FOREVER - 1), INT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_does_not_go_back),
		cmocka_unit_test(deadline_is_now_plus_timeout),
		cmocka_unit_test(negative_timeout_is_for_ever),
		cmocka_unit_test(huge_timeout_saturates),
		cmocka_unit_test(poll_time_is_rounded_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

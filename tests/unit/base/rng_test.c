/* SPDX-License-Identifier: BSD-2-Clause */
/* Random numbers: same seed, same numbers; in bounds; spread evenly enough to balance by. */
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_seed_fixes_the_numbers(void **state)
{
	struct wi_rng a, b;

	(void)state;
	wi_rng_seed(&a, 42);
	wi_rng_seed(&b, 42);
	for (int i = 0; i < 1000; i++)
		assert_true(wi_rng_next(&a) == wi_rng_next(&b));
}

static void no_seed_is_a_dead_one(void **state)
{
	static const uint64_t seeds[] = {0, 1, UINT64_MAX, UINT64_C(0x9e3779b97f4a7c15)};
	struct wi_rng r;

	(void)state;
	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		wi_rng_seed(&r, seeds[i]);
		assert_true(wi_rng_next(&r) != wi_rng_next(&r));
	}
}

static void numbers_stay_below_and_spread(void **state)
{
	int seen[7] = {0};
	struct wi_rng r;

	(void)state;
	wi_rng_seed(&r, 1);
	for (int i = 0; i < 70000; i++) {
		uint32_t n = wi_rng_below(&r, 7);

		assert_true(n < 7);
		seen[n]++;
	}
	for (int i = 0; i < 7; i++)
		assert_in_range(seen[i], 9500, 10500); /* 5 standard deviations are 460 */
	assert_int_equal(wi_rng_below(&r, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_fixes_the_numbers),
		cmocka_unit_test(no_seed_is_a_dead_one),
		cmocka_unit_test(numbers_stay_below_and_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "route/tally.h"
#include "support/threads.h"

static struct wi_tallies tallies;

static void each_count_has_its_place(void **state)
{
	struct wi_seat first = {.number = 0}, far = {.number = 5 * WI_SEATS_A_SEGMENT + 63};

	(void)state;
	assert_true(wi_tallies_init(&tallies, 3));
	wi_tally_add(&tallies, &first, 0, WI_TALLY_READ);
	wi_tally_add(&tallies, &first, 2, WI_TALLY_FALLBACK);
	wi_tally_add(&tallies, &far, 2, WI_TALLY_FALLBACK);
	wi_tally_add(&tallies, &far, 1, WI_TALLY_WRITE);
	for (uint32_t h = 0; h < 3; h++) {
		assert_int_equal(wi_tally_sum(&tallies, h, WI_TALLY_READ), h == 0);
		assert_int_equal(wi_tally_sum(&tallies, h, WI_TALLY_WRITE), h == 1);
		assert_int_equal(wi_tally_sum(&tallies, h, WI_TALLY_FALLBACK), h == 2 ? 2 : 0);
	}
	wi_tallies_fini(&tallies);
}

static void without_memory_nothing_is_lost(void **state)
{
	struct wi_seat seat = {.number = 7};
	size_t before = wi_alloc_blocks();

	(void)state;
	wi_alloc_fail_at(1);
	assert_false(wi_tallies_init(&tallies, 3));
	assert_true(wi_tallies_init(&tallies, 3));
	wi_alloc_fail_at(1);
	wi_tally_add(&tallies, &seat, 1, WI_TALLY_READ); /* finds no memory for its row */
	wi_tally_add(&tallies, &seat, 1, WI_TALLY_READ);
	assert_int_equal(wi_tally_sum(&tallies, 1, WI_TALLY_READ), 2);
	wi_tallies_fini(&tallies);
	assert_int_equal(wi_alloc_blocks(), before);
}

static void count_much(struct test_thread *self)
{
	struct wi_seat seat = {.number = (uint32_t)self->number * 40}; /* some share a segment */

	for (int i = 0; i < 20000; i++)
		wi_tally_add(&tallies, &seat, (uint32_t)i % 3, WI_TALLY_READ);
}

static void sums_are_exact_over_threads(void **state)
{
	struct test_thread reports[8];
	uint64_t sum = 0;

	(void)state;
	assert_true(wi_tallies_init(&tallies, 3));
	test_threads_run(8, count_much, NULL, -1, reports);
	for (uint32_t h = 0; h < 3; h++)
		sum += wi_tally_sum(&tallies, h, WI_TALLY_READ);
	assert_int_equal(sum, 8 * 20000);
	wi_tallies_fini(&tallies);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_count_has_its_place),
		cmocka_unit_test(without_memory_nothing_is_lost),
		cmocka_unit_test(sums_are_exact_over_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

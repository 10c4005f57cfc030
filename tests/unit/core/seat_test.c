/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Seats: one a thread, more segments when they are wanted, counters that go on from thread to
 * thread.
 */
#include "core/seat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "support/threads.h"
#include "support/watchdog.h"

static struct wi_seats seats;
static size_t bytes_before;

static int set_up(void **state)
{
	(void)state;
	bytes_before = wi_alloc_bytes();
	wi_seats_init(&seats);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wi_seats_fini(&seats);
	assert_int_equal(wi_alloc_bytes(), bytes_before);
	return 0;
}

static void everybody_gets_a_seat_of_its_own(void **state)
{
	struct wi_seat *seat[200];

	(void)state;
	for (int i = 0; i < 200; i++) {
		seat[i] = wi_seats_take(&seats);
		assert_non_null(seat[i]);
		for (int k = 0; k < i; k++)
			assert_ptr_not_equal(seat[i], seat[k]);
	}
	assert_non_null(wi_segment_at(&seats, 3)); /* 64 a segment */
	assert_null(wi_segment_at(&seats, 4));
	assert_null(wi_segment_at(&seats, WI_SEGMENTS_MAX));
}

static void a_seat_that_was_left_is_taken_again_and_belonged_to_nobody(void **state)
{
	struct wi_seat *first = wi_seats_take(&seats), *second = wi_seats_take(&seats);

	(void)state;
	first->turn = 7;
	wi_store_rlx(&first->owner, wi_thread_self());
	wi_seats_leave(&seats, first);
	assert_int_equal(wi_load_rlx(&first->owner), 0);
	assert_ptr_equal(wi_seats_take(&seats), first);
	assert_int_equal(first->turn, 7);
	assert_ptr_not_equal(first, second);
}

static void counts_are_summed_over_all_seats_and_threads(void **state)
{
	struct wi_seat *seat[3] = {0};

	(void)state;
	for (int i = 0; i < 3; i++) {
		seat[i] = wi_seats_take(&seats);
		wi_seat_count(seat[i], 1);
	}
	wi_seats_leave(&seats, seat[1]);
	wi_seat_count(wi_seats_take(&seats), 1);
	wi_seat_count(seat[0], 2);
	assert_int_equal(wi_seats_sum(&seats, 0), 0);
	assert_int_equal(wi_seats_sum(&seats, 1), 4);
	assert_int_equal(wi_seats_sum(&seats, 2), 1);
}

static void every_seat_knows_its_place(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 130; i++) {
		struct wi_seat *seat = wi_seats_take(&seats);

		assert_int_equal(seat->number, i);
		assert_ptr_equal(&wi_segment_at(&seats, i / 64)->seat[i % 64], seat);
		assert_true(seat->rng.state != 0);
	}
}

static void there_is_an_end_to_seats(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < WI_SEATS_MAX; i++)
		assert_non_null(wi_seats_take(&seats));
	assert_null(wi_seats_take(&seats));
	wi_seats_leave(&seats, &wi_segment_at(&seats, 300)->seat[33]);
	assert_ptr_equal(wi_seats_take(&seats), &wi_segment_at(&seats, 300)->seat[33]);
	assert_null(wi_seats_take(&seats));
}

static void want_of_memory_is_no_seat_and_no_harm(void **state)
{
	(void)state;
	wi_alloc_fail_at(1);
	assert_null(wi_seats_take(&seats));
	assert_non_null(wi_seats_take(&seats));
	for (int i = 1; i < 64; i++)
		assert_non_null(wi_seats_take(&seats));
	wi_alloc_fail_at(1);
	assert_null(wi_seats_take(&seats));
	assert_int_equal(wi_seats_take(&seats)->number, 64);
}

/* Each marks its seat and looks whether the mark is still its own. */
static void sit_and_leave(struct test_thread *self)
{
	uint32_t me = (uint32_t)self->number + 1;

	while (!wi_load_rlx(self->stop)) {
		struct wi_seat *seat[3];

		for (int i = 0; i < 3; i++) {
			seat[i] = wi_seats_take(&seats);
			if (!seat[i] || wi_swap_acq_rel(&seat[i]->word, me) != 0) {
				test_wrong(self, "two threads in one seat");
				return;
			}
		}
		for (int i = 0; i < 3; i++) {
			if (wi_swap_acq_rel(&seat[i]->word, 0) != me)
				test_wrong(self, "somebody sat down in a taken seat");
			seat[i]->turn++;
			wi_seats_leave(&seats, seat[i]);
			self->count[0]++;
		}
	}
}

static void threads_come_and_go_without_sharing(void **state)
{
	enum { THREADS = 30 };
	struct test_thread *reports = calloc(THREADS, sizeof(*reports));
	struct wi_segment *g;
	uint64_t counted = 0;

	(void)state;
	test_threads_run(THREADS, sit_and_leave, NULL, test_seconds(0.3), reports);
	assert_null(test_first_wrong(reports, THREADS));
	for (uint32_t i = 0; (g = wi_segment_at(&seats, i)); i++) {
		assert_int_equal(wi_load_rlx(&g->taken), 0);
		for (int b = 0; b < WI_SEATS_A_SEGMENT; b++)
			counted += g->seat[b].turn;
	}
	/* Written without a locked instruction, by one thread after the other. */
	assert_int_equal(counted, test_sum(reports, THREADS, 0));
	free(reports);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(everybody_gets_a_seat_of_its_own, set_up,
	                                        tear_down),
		cmocka_unit_test_setup_teardown(
			a_seat_that_was_left_is_taken_again_and_belonged_to_nobody, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(counts_are_summed_over_all_seats_and_threads,
	                                        set_up, tear_down),
		cmocka_unit_test_setup_teardown(every_seat_knows_its_place, set_up, tear_down),
		cmocka_unit_test_setup_teardown(there_is_an_end_to_seats, set_up, tear_down),
		cmocka_unit_test_setup_teardown(want_of_memory_is_no_seat_and_no_harm, set_up,
	                                        tear_down),
		cmocka_unit_test_setup_teardown(threads_come_and_go_without_sharing, set_up,
	                                        tear_down),
	};

	test_watchdog(60, "unit.core.seat");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

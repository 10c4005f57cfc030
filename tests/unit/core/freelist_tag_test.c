/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The free list with its tag narrowed to four bits, so that a test can walk through all of them: a
 * wrap does no harm by itself, and a stale pop is caught up to the last move before the circle is
 * complete. freelist.c names what a whole circle of 48 bits would take.
 *
 * The sources are compiled into this test in place of the library's.
 */
#define WI_TAG_BITS 4
#include "core/freelist.c"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "support/threads.h"
#include "support/watchdog.h"

#define SLOTS 3
#define CIRCLE (1 << WI_TAG_BITS)

static struct wi_freelist list;
static struct wi_slot slots[SLOTS + 1];
static struct wi_table table = {(char *)slots, sizeof(struct wi_slot), SLOTS};
static struct test_stop in_pop = {.point = "freelist.pop.next"};

static void a_wrapped_tag_does_no_harm(void **state)
{
	(void)state;
	wi_freelist_init(&list);
	for (int i = 0; i < 5 * CIRCLE; i++) {
		wi_freelist_push(&list, &table, 1);
		wi_freelist_push(&list, &table, 2);
		assert_int_equal(wi_freelist_pop(&list, &table), 2);
		assert_int_equal(wi_freelist_pop(&list, &table), 1);
		assert_int_equal(wi_freelist_pop(&list, &table), WI_SLOT_NONE);
		assert_true(wi_load_rlx(&list.head) < (uint64_t)CIRCLE << WI_SLOT_BITS);
	}
}

/* Moves the list `moves` times: out go 3 and 2, and only 3 comes back, last of all. */
static void move(int moves)
{
	wi_freelist_pop(&list, &table);
	wi_freelist_pop(&list, &table);
	for (int i = 3; i < moves; i += 2) {
		wi_freelist_push(&list, &table, 3);
		if (i + 1 < moves)
			wi_freelist_pop(&list, &table);
	}
	if (moves % 2)
		wi_freelist_push(&list, &table, 3);
}

static void body(struct test_thread *self)
{
	int *moves = self->arg;

	if (self->number == 0) {
		test_stop_arm(&in_pop);
		self->count[0] = wi_freelist_pop(&list, &table);
		test_stop_arm(NULL);
		return;
	}
	test_stop_await(&in_pop);
	move(*moves);
	test_stop_release(&in_pop);
}

/*
 * What lies on top after a pop was stopped through so many moves; 2 is taken, so it must not be 2.
 */
static uint32_t top_after(int moves)
{
	struct test_thread reports[2];

	wi_freelist_init(&list);
	for (uint32_t s = 1; s <= SLOTS; s++)
		wi_freelist_push(&list, &table, s);
	in_pop.visit = 1;
	wi_store_rlx(&in_pop.state, 0);
	test_threads_run(2, body, &moves, -1, reports);
	assert_int_equal(reports[0].count[0], 3);
	return wi_freelist_pop(&list, &table);
}

static void a_stale_pop_is_caught_through_the_whole_circle(void **state)
{
	(void)state;
	for (int moves = 3; moves < CIRCLE; moves += 2)
		assert_int_equal(top_after(moves), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrapped_tag_does_no_harm),
		cmocka_unit_test(a_stale_pop_is_caught_through_the_whole_circle),
	};

	test_watchdog(60, "unit.core.freelist_tag");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The shared free list: last in, first out; never one slot twice; a stale pop never succeeds. */
#include "core/freelist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define SLOTS 8

struct list {
	struct wi_freelist free;
	struct wi_slot slots[SLOTS + 1];
	struct wi_table table;
	_Atomic int owner[SLOTS + 1]; /* 1 + the thread that has it, 0: on the list */
};

static struct list the;

static int set_up(void **state)
{
	(void)state;
	memset(&the, 0, sizeof(the));
	the.table = (struct wi_table){(char *)the.slots, sizeof(struct wi_slot), SLOTS};
	wi_freelist_init(&the.free);
	return 0;
}

static void push(uint32_t slot)
{
	wi_freelist_push(&the.free, &the.table, slot);
}

static uint32_t pop(void)
{
	return wi_freelist_pop(&the.free, &the.table);
}

static void an_empty_list_gives_nothing(void **state)
{
	(void)state;
	assert_true(wi_freelist_is_empty(&the.free));
	assert_int_equal(pop(), WI_SLOT_NONE);
	push(1);
	assert_false(wi_freelist_is_empty(&the.free));
	assert_int_equal(pop(), 1);
	assert_int_equal(pop(), WI_SLOT_NONE);
	assert_true(wi_freelist_is_empty(&the.free));
}

static void the_last_one_in_is_the_first_one_out(void **state)
{
	(void)state;
	for (uint32_t s = 1; s <= SLOTS; s++)
		push(s);
	for (uint32_t s = SLOTS; s > 2; s--)
		assert_int_equal(pop(), s);
	push(7);
	assert_int_equal(pop(), 7);
	assert_int_equal(pop(), 2);
	assert_int_equal(pop(), 1);
	assert_int_equal(pop(), WI_SLOT_NONE);
}

static void every_move_changes_the_tag(void **state)
{
	uint64_t seen[2 * SLOTS + 1];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < SLOTS; i++) {
		seen[n++] = wi_load_rlx(&the.free.head) >> WI_SLOT_BITS;
		push(1);
		seen[n++] = wi_load_rlx(&the.free.head) >> WI_SLOT_BITS;
		pop();
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			assert_true(seen[i] != seen[k]);
}

static void the_largest_number_fits(void **state)
{
	struct wi_freelist list;
	struct wi_table table = {.stride = sizeof(struct wi_slot), .count = WI_SLOTS_MAX};
	struct wi_slot *slots = calloc((size_t)WI_SLOTS_MAX + 1, sizeof(*slots));

	(void)state;
	assert_non_null(slots);
	table.base = (char *)slots;
	wi_freelist_init(&list);
	for (uint32_t s = 1; s <= WI_SLOTS_MAX; s++)
		wi_freelist_push(&list, &table, s);
	for (uint32_t s = WI_SLOTS_MAX; s >= 1; s--)
		assert_int_equal(wi_freelist_pop(&list, &table), s);
	assert_int_equal(wi_freelist_pop(&list, &table), WI_SLOT_NONE);
	free(slots);
}

/* ---- interleavings ---- */

static struct test_stop in_pop = {.point = "freelist.pop.next"};

static void pop_and_stop(struct test_thread *self)
{
	test_stop_arm(&in_pop);
	self->count[0] = pop();
	test_stop_arm(NULL);
}

/* While one pop has read that 2 lies below 3, 3 and 2 go and only 3 comes back. */
static void take_the_ground_away(struct test_thread *self)
{
	test_stop_await(&in_pop);
	if (pop() != 3 || pop() != 2)
		test_wrong(self, "the list does not hold 3 and 2 on top");
	push(3);
	test_stop_release(&in_pop);
}

static void either(struct test_thread *self)
{
	if (self->number == 0)
		pop_and_stop(self);
	else
		take_the_ground_away(self);
}

static void a_stale_pop_does_not_hand_out_what_is_taken(void **state)
{
	struct test_thread reports[2];

	(void)state;
	in_pop.visit = 1;
	wi_store_rlx(&in_pop.state, 0);
	push(1);
	push(2);
	push(3);
	test_threads_run(2, either, NULL, -1, reports);
	assert_null(test_first_wrong(reports, 2));
	assert_int_equal(reports[0].count[0], 3);
	assert_int_equal(pop(), 1); /* not 2, which is taken */
	assert_int_equal(pop(), WI_SLOT_NONE);
}

static void churn(struct test_thread *self)
{
	do { /* once at least, however late the thread begins */
		uint32_t slot = pop();

		if (!slot)
			continue;
		if (wi_swap_acq_rel(&the.owner[slot], self->number + 1) != 0)
			test_wrong(self, "slot %u is in two hands", slot);
		self->count[0]++;
		if (wi_swap_acq_rel(&the.owner[slot], 0) != self->number + 1)
			test_wrong(self, "slot %u was taken out of this hand", slot);
		push(slot);
	} while (!wi_load_rlx(self->stop));
}

static void threads_never_share_a_slot_and_none_is_lost(void **state)
{
	struct test_thread reports[4];
	bool seen[SLOTS + 1] = {false};
	uint32_t slot;
	int n = 0;

	(void)state;
	for (uint32_t s = 1; s <= 3; s++)
		push(s);
	test_yields(16);
	test_threads_run(4, churn, NULL, test_seconds(0.5), reports);
	test_yields(0);
	assert_null(test_first_wrong(reports, 4));
	assert_true(test_sum(reports, 4, 0) > 0);
	while ((slot = pop())) {
		assert_true(slot <= 3 && !seen[slot]);
		seen[slot] = true;
		n++;
	}
	assert_int_equal(n, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_empty_list_gives_nothing, set_up),
		cmocka_unit_test_setup(the_last_one_in_is_the_first_one_out, set_up),
		cmocka_unit_test_setup(every_move_changes_the_tag, set_up),
		cmocka_unit_test_setup(the_largest_number_fits, set_up),
		cmocka_unit_test_setup(a_stale_pop_does_not_hand_out_what_is_taken, set_up),
		cmocka_unit_test_setup(threads_never_share_a_slot_and_none_is_lost, set_up),
	};

	test_watchdog(60, "unit.core.freelist");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

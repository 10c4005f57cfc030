/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The history checkers themselves: each accepts a small history written by hand, and rejects the
 * same one doctored.
 */
#include "support/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define LANES 4
#define ROOM 16

static struct test_history h;
static int64_t patience; /* of those who sleep */

static int set_up(void **state)
{
	(void)state;
	if (!test_history_init(&h, LANES, LANES * ROOM))
		return -1;
	h.seen_late_ns = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_history_fini(&h);
	return 0;
}

static struct test_op *op(uint32_t lane, enum test_op_kind kind, uint32_t value, int64_t from,
                          int64_t to)
{
	struct test_op *o = test_op_begin(&h.lanes[lane], kind);

	assert_non_null(o);
	o->value = value;
	o->invoked_ns = from;
	o->returned_ns = to;
	o->seat = lane;
	return o;
}

static struct test_op *take(uint32_t lane, uint32_t value, int64_t from, int64_t to)
{
	return op(lane, TEST_TAKE, value, from, to);
}

static struct test_op *put(uint32_t lane, struct test_op *of, int64_t from, int64_t to)
{
	struct test_op *o = op(lane, TEST_PUT, of->value, from, to);

	o->of = of;
	return o;
}

/* A wait that slept from then on. */
static struct test_op *sleep_since(uint32_t lane, uint32_t value, int64_t from, int64_t parked,
                                   int64_t to, int64_t deadline)
{
	struct test_op *o = take(lane, value, from, to);

	o->waited = true;
	o->parked_ns = parked;
	o->overdue_ns = parked + patience;
	o->deadline_ns = deadline;
	return o;
}

static void begin(void)
{
	patience = 100;
	test_history_begin(&h, LANES, 2);
}

/* ---- held by one ---- */

static void holds_one_after_the_other_are_fine(void **state)
{
	struct test_op *a;

	(void)state;
	begin();
	a = take(0, 1, 10, 20);
	put(0, a, 30, 40);
	a = take(1, 1, 5, 30); /* the put had its moment at 30, say, and so had the take */
	put(2, a, 50, 60);     /* by another's hand */
	a = take(0, 2, 50, 60);
	put(0, a, 60, 61);
	assert_true(test_history_close(&h));
	assert_true(test_holds_never_overlap(&h));
}

static void overlapping_holds_are_found(void **state)
{
	struct test_op *a, *b;

	(void)state;
	begin();
	a = take(0, 1, 10, 20);
	put(0, a, 30, 40);
	b = take(1, 1, 5, 29);
	put(1, b, 50, 60);
	assert_true(test_history_close(&h));
	assert_false(test_holds_never_overlap(&h));
	assert_non_null(strstr(h.wrong, "1 is in two hands"));
}

static void a_value_never_put_cannot_be_taken_again(void **state)
{
	(void)state;
	begin();
	take(0, 1, 10, 20);
	take(1, 1, 30, 40);
	assert_true(test_history_close(&h));
	assert_false(test_holds_never_overlap(&h));
}

static void two_puts_after_one_take_are_found(void **state)
{
	struct test_op *a;

	(void)state;
	begin();
	a = take(0, 1, 10, 20);
	put(0, a, 30, 40);
	put(1, a, 50, 60);
	assert_true(test_history_close(&h));
	assert_false(test_holds_never_overlap(&h));
	assert_non_null(strstr(h.wrong, "put twice"));
}

static void values_that_are_none_are_found(void **state)
{
	(void)state;
	begin();
	take(0, 3, 10, 20);
	assert_false(test_history_close(&h));
}

/* ---- nobody fails beside a free one ---- */

/* A try that fails from 100 to 110 while 2 is held and 1 was put until `put_until`. */
static bool a_try_is_right(int64_t put_until, bool is_moved, enum test_op_kind by)
{
	struct test_op *a;

	begin();
	take(0, 2, 1, 2);
	a = take(1, 1, 10, 20);
	put(1, a, 30, put_until);
	take(2, 0, 100, 110);
	if (is_moved)
		op(3, by, 0, 50, 105);
	assert_true(test_history_close(&h));
	return test_nobody_fails_beside_a_free_one(&h);
}

static void a_failed_try_beside_a_free_one_is_found(void **state)
{
	(void)state;
	assert_false(a_try_is_right(40, false, TEST_LEAVE));
	assert_true(a_try_is_right(101, false, TEST_LEAVE)); /* put, and perhaps not yet there */
	/* somebody moves it about */
	assert_true(a_try_is_right(40, true, TEST_LEAVE));
	assert_true(a_try_is_right(40, true, TEST_SWEEP));
}

static void what_is_taken_in_the_end_was_perhaps_taken_at_once(void **state)
{
	struct test_op *a;

	(void)state;
	begin();
	take(0, 2, 1, 2);
	a = take(1, 1, 10, 20);
	put(1, a, 30, 40);
	take(2, 0, 100, 110);
	take(1, 1, 109, 200);
	assert_true(test_history_close(&h));
	assert_true(test_nobody_fails_beside_a_free_one(&h));
	begin();
	take(0, 2, 1, 2);
	a = take(1, 1, 10, 20);
	put(1, a, 30, 40);
	take(2, 0, 100, 110);
	take(1, 1, 111, 200);
	assert_true(test_history_close(&h));
	assert_false(test_nobody_fails_beside_a_free_one(&h));
}

/* Where 1 lies, from which another is taking from 50 to 150 while a try fails: who gets it? */
enum fate { NOBODY_TAKES, ANOTHER_COMES, ANOTHER_COMES_LATER, WAITER_ABOUT };

static bool is_passed_by(enum fate fate)
{
	begin();
	take(0, 2, 1, 2);
	put(1, take(1, 1, 10, 20), 30, 40);
	if (fate != NOBODY_TAKES)
		take(1, 0, 50, 150);
	take(2, 0, 100, 110);
	if (fate == WAITER_ABOUT)
		take(0, 2, 120, 130)->waited = true;
	take(3, 1, fate == ANOTHER_COMES_LATER || fate == WAITER_ABOUT ? 151 : 120, 200);
	assert_true(test_history_close(&h));
	return test_nobody_fails_beside_a_free_one(&h);
}

static void what_lies_with_a_taker_is_as_good_as_taken(void **state)
{
	(void)state;
	assert_true(is_passed_by(ANOTHER_COMES));
	assert_true(is_passed_by(WAITER_ABOUT)); /* and passes it on */
	assert_false(is_passed_by(NOBODY_TAKES));
	/* It would have got it itself. */
	assert_false(is_passed_by(ANOTHER_COMES_LATER));
}

/* Both were put by one who is taking: only one of them lies in its cache. */
static void a_taker_excuses_one(void **state)
{
	(void)state;
	begin();
	put(1, take(1, 1, 10, 20), 30, 40);
	put(1, take(1, 2, 50, 60), 70, 80);
	take(1, 0, 90, 150);
	take(2, 0, 100, 110);
	take(3, 1, 120, 200);
	take(0, 2, 120, 200);
	assert_true(test_history_close(&h));
	assert_false(test_nobody_fails_beside_a_free_one(&h));
}

/* While a try fails beside so many free ones, a thread puts twice: each may move one of them. */
static bool two_puts_excuse(uint32_t free_ones)
{
	struct test_op *a, *b;

	test_history_begin(&h, LANES, free_ones + 2);
	a = take(1, free_ones + 1, 1, 2);
	b = take(1, free_ones + 2, 3, 4);
	put(1, a, 110, 120);
	put(1, b, 130, 140);
	take(2, 0, 100, 200);
	assert_true(test_history_close(&h));
	return test_nobody_fails_beside_a_free_one(&h);
}

static void as_many_as_others_may_move_are_excused(void **state)
{
	(void)state;
	assert_true(two_puts_excuse(2));
	assert_false(two_puts_excuse(3));
}

static void what_was_just_put_may_be_seen_late(void **state)
{
	(void)state;
	assert_false(a_try_is_right(60, false, TEST_LEAVE));
	h.seen_late_ns = 50;
	assert_true(a_try_is_right(60, false, TEST_LEAVE));
	assert_false(a_try_is_right(49, false, TEST_LEAVE));
	h.seen_late_ns = 0;
}

static void never_taken_is_free_throughout(void **state)
{
	(void)state;
	begin();
	take(0, 2, 1, 2);
	take(2, 0, 100, 110);
	assert_true(test_history_close(&h));
	assert_false(test_nobody_fails_beside_a_free_one(&h));
}

static bool sleep_beside(int64_t put_at, uint32_t got, int64_t until)
{
	struct test_op *a, *b;

	begin();
	a = take(0, 1, 1, 2);
	b = take(1, 2, 3, 4);
	sleep_since(2, got, 5, 10, until, 100000);
	put(0, a, put_at, put_at + 1);
	put(1, b, 99990, 99991);
	assert_true(test_history_close(&h));
	return test_nobody_sleeps_beside_a_free_one(&h, 100);
}

static void sleep_beside_a_free_one_is_found(void **state)
{
	(void)state;
	assert_true(sleep_beside(1000, 1, 1050));
	assert_false(sleep_beside(1000, 1, 1200));   /* it got it, and much too late */
	assert_false(sleep_beside(1000, 2, 99995));  /* it got the other, long after */
	assert_false(sleep_beside(1000, 0, 100000)); /* it got nothing */
	assert_true(sleep_beside(99980, 0, 100000));
}

/* ---- order ---- */

/* Two sleep, since 10 and since 20; 1 is put at 1000 and 2 at 2000. Who gets which? */
static bool order_is_right(uint32_t elder_gets, uint32_t younger_gets, int64_t patience_ns)
{
	struct test_op *a, *b;

	begin();
	patience = patience_ns;
	a = take(0, 1, 1, 2);
	b = take(1, 2, 3, 4);
	sleep_since(2, elder_gets, 5, 10, elder_gets == 1 ? 1010 : 2010, 100000);
	sleep_since(3, younger_gets, 15, 20, younger_gets == 1 ? 1010 : 2010, 100000);
	put(0, a, 1000, 1005);
	put(1, b, 2000, 2005);
	assert_true(test_history_close(&h));
	return test_sleepers_are_served_in_order(&h, patience_ns);
}

static void a_younger_one_served_first_is_found(void **state)
{
	(void)state;
	assert_true(order_is_right(1, 2, 0));
	assert_false(order_is_right(2, 1, 0));
	assert_false(order_is_right(2, 1, 900));
	assert_true(order_is_right(2, 1, 995)); /* not yet impatient */
}

/* One gave up at 800, and found 2 with its last look at 2010; 1 went to one who came later. */
static void a_last_look_is_no_overtaking(void **state)
{
	struct test_op *a, *b;

	(void)state;
	begin();
	a = take(0, 1, 1, 2);
	b = take(1, 2, 3, 4);
	sleep_since(2, 2, 5, 10, 2010, 800);
	take(3, 1, 1001, 1010);
	put(0, a, 1000, 1005);
	put(1, b, 2000, 2005);
	assert_true(test_history_close(&h));
	assert_true(test_sleepers_are_served_in_order(&h, 100));
}

static void what_nobody_gets_while_one_sleeps_is_found(void **state)
{
	struct test_op *a;

	(void)state;
	begin();
	a = take(0, 1, 1, 2);
	sleep_since(2, 0, 5, 10, 100010, 100000);
	put(0, a, 1000, 1005);
	assert_true(test_history_close(&h));
	assert_false(test_sleepers_are_served_in_order(&h, 100));
}

/* The putter chose seat 3 for a wait that ended; the next wait in the same seat got it. */
static void a_grant_meant_for_an_earlier_wait_is_no_overtaking(void **state)
{
	struct test_op *a, *b;

	(void)state;
	begin();
	a = take(0, 1, 1, 2);
	b = take(1, 2, 3, 4);
	sleep_since(2, 2, 15, 20, 2010, 100000);
	sleep_since(3, 0, 5, 10, 950, 900);
	sleep_since(3, 1, 960, 970, 1010, 100000);
	put(0, a, 890, 1005);
	put(1, b, 2000, 2005);
	assert_true(test_history_close(&h));
	assert_true(test_sleepers_are_served_in_order(&h, 100));
	h.puts[0]->invoked_ns = 955; /* it began after that wait had ended: no excuse */
	assert_false(test_sleepers_are_served_in_order(&h, 100));
}

/* ---- deadlines and wakes ---- */

static bool end_is_right(uint32_t value, int64_t at)
{
	begin();
	sleep_since(2, value, 5, 10, at, 1000);
	assert_true(test_history_close(&h));
	return test_deadlines_are_kept(&h, 50);
}

static void early_and_late_ends_are_found(void **state)
{
	(void)state;
	assert_true(end_is_right(0, 1000));
	assert_true(end_is_right(0, 1050));
	assert_true(end_is_right(1, 11));
	assert_false(end_is_right(0, 999));
	assert_false(end_is_right(0, 1051));
	assert_false(end_is_right(1, 1051));
}

static void a_second_wake_is_found(void **state)
{
	struct test_op *a;

	(void)state;
	begin();
	a = take(0, 1, 1, 2);
	put(0, a, 3, 4)->wakes = 1;
	assert_true(test_history_close(&h));
	assert_true(test_a_put_wakes_at_most_one(&h));
	h.puts[0]->wakes = 2;
	assert_false(test_a_put_wakes_at_most_one(&h));
}

static void facts_are_counted(void **state)
{
	struct test_history_facts f = {0};

	(void)state;
	assert_false(order_is_right(2, 1, 0));
	test_history_add_facts(&h, &f);
	assert_int_equal(f.takes, 4);
	assert_int_equal(f.failures, 0);
	assert_int_equal(f.sleeps, 2);
	assert_int_equal(f.puts, 2);
	assert_int_equal(f.overtakings, 1);
	assert_int_equal(f.longest_ns, 2005);
}

static void a_full_lane_says_so(void **state)
{
	(void)state;
	begin();
	for (int i = 0; i < ROOM; i++)
		assert_non_null(test_op_begin(&h.lanes[0], TEST_SWEEP));
	assert_null(test_op_begin(&h.lanes[0], TEST_SWEEP));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_one_after_the_other_are_fine),
		cmocka_unit_test(overlapping_holds_are_found),
		cmocka_unit_test(a_value_never_put_cannot_be_taken_again),
		cmocka_unit_test(two_puts_after_one_take_are_found),
		cmocka_unit_test(values_that_are_none_are_found),
		cmocka_unit_test(a_failed_try_beside_a_free_one_is_found),
		cmocka_unit_test(what_is_taken_in_the_end_was_perhaps_taken_at_once),
		cmocka_unit_test(what_lies_with_a_taker_is_as_good_as_taken),
		cmocka_unit_test(a_taker_excuses_one),
		cmocka_unit_test(as_many_as_others_may_move_are_excused),
		cmocka_unit_test(what_was_just_put_may_be_seen_late),
		cmocka_unit_test(never_taken_is_free_throughout),
		cmocka_unit_test(sleep_beside_a_free_one_is_found),
		cmocka_unit_test(a_younger_one_served_first_is_found),
		cmocka_unit_test(a_last_look_is_no_overtaking),
		cmocka_unit_test(what_nobody_gets_while_one_sleeps_is_found),
		cmocka_unit_test(a_grant_meant_for_an_earlier_wait_is_no_overtaking),
		cmocka_unit_test(early_and_late_ends_are_found),
		cmocka_unit_test(a_second_wake_is_found),
		cmocka_unit_test(facts_are_counted),
		cmocka_unit_test(a_full_lane_says_so),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

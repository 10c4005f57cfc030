/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The free list on real threads that pause in its windows: every history must be one of a stack. So
 * it is with the tag as shipped, and with four bits as long as no pop sleeps through a whole
 * circle. Without a tag it is not, and that must be found: by this it is known that the pauses are
 * where they matter and that the checker sees.
 */
#include "core/freelist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/history.h"
#include "support/linear.h"
#include "support/narrow_freelist.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define SLOTS 4
#define THREADS_MAX 6
#define MOVES_MAX 240
#define STATES_MAX 4000000

/* A kind of round: the threads begin together, and each makes so many moves. */
struct rounds {
	const struct test_freelist *kind;
	int threads;
	uint32_t moves;
	uint32_t pause_one_in;
	bool has_sleeper; /* the first pop of all sleeps in its window until the others are done */
};

static const struct test_freelist as_shipped = {64 - WI_SLOT_BITS, wi_freelist_push,
                                                wi_freelist_pop};

static struct wi_freelist list;
static struct wi_slot slots[SLOTS + 1];
static const struct wi_table table = {(char *)slots, sizeof(struct wi_slot), SLOTS};
static struct test_move made[THREADS_MAX][MOVES_MAX];

static void fill(const struct test_freelist *kind)
{
	for (uint32_t s = 1; s <= SLOTS; s++)
		kind->push(&list, &table, s);
}

static void empty(const struct test_freelist *kind)
{
	for (int i = 0; i < SLOTS; i++)
		(void)kind->pop(&list, &table);
}

static struct test_stop asleep;
static _Atomic int still_moving; /* beside who sleeps */
static uint64_t round_number;

/* Pops, or pushes one of what it holds, as chance will have it. */
static void move(struct test_thread *self)
{
	const struct rounds *r = self->arg;
	uint32_t held[MOVES_MAX], n = 0;

	/* Other moves in each round: those of one seed may never go wrong, however they meet. */
	wi_rng_seed(&self->rng,
	            test_seed() + round_number * 1000003 + (uint64_t)self->number * 7919);
	if (r->has_sleeper && self->number == 0)
		test_stop_arm(&asleep);
	else if (r->has_sleeper)
		test_stop_await(&asleep);
	for (uint32_t i = 0; i < r->moves; i++) {
		struct test_move *m = &made[self->number][i];

		m->push = n && wi_rng_below(&self->rng, 2);
		m->invoked_ns = test_beginning_ns();
		if (m->push) {
			m->value = (uint8_t)held[--n];
			r->kind->push(&list, &table, m->value);
		} else {
			m->value = (uint8_t)r->kind->pop(&list, &table);
			if (m->value)
				held[n++] = m->value;
		}
		m->returned_ns = wi_now_ns();
	}
	if (r->has_sleeper && self->number == 0)
		test_stop_arm(NULL);
	else if (r->has_sleeper && wi_sub_acq_rel(&still_moving, 1) == 1)
		test_stop_release(&asleep);
}

static enum test_linear one_round(const struct rounds *r)
{
	static const uint8_t bottom[SLOTS] = {1, 2, 3, 4};
	struct test_thread reports[THREADS_MAX];
	struct test_moves lanes[THREADS_MAX];
	enum test_linear is;

	round_number++;
	fill(r->kind);
	asleep = (struct test_stop){.point = "freelist.pop.next", .visit = 1};
	wi_store_rlx(&still_moving, r->threads - 1);
	test_yields(r->pause_one_in);
	test_threads_run(r->threads, move, (void *)(uintptr_t)r, -1, reports);
	test_yields(0);
	for (int i = 0; i < r->threads; i++)
		lanes[i] = (struct test_moves){made[i], r->moves};
	is = test_stack_is_linear(lanes, (uint32_t)r->threads, bottom, SLOTS, STATES_MAX);
	if (is == TEST_LINEAR)
		empty(r->kind); /* the tag goes on from where it is */
	else
		wi_freelist_init(&list); /* what is on it now may be a circle */
	return is;
}

/* How many of the rounds were no stack's; ends after `enough` of them, or when the time is over. */
static int not_a_stacks(const struct rounds *r, double seconds, int enough)
{
	int64_t end = wi_now_ns() + (int64_t)(seconds * 1e9);
	int found = 0, n = 0, unknown = 0;

	wi_freelist_init(&list);
	memset(slots, 0, sizeof(slots));
	do {
		enum test_linear is = one_round(r);

		found += is == TEST_NOT_LINEAR;
		unknown += is == TEST_LINEAR_UNKNOWN;
		n++;
	} while (found < enough && (wi_now_ns() < end || unknown * 10 > n));
	printf("tag of %d bits, %d threads, %u moves each: %d of %d histories are no stack's, %d too long to tell\n",
	       r->kind->tag_bits, r->threads, r->moves, found, n, unknown);
	assert_true(found || unknown * 10 <= n);
	return found;
}

static void as_shipped_it_is_a_stack(void **state)
{
	static const struct rounds few = {&as_shipped, 3, 5, 3, false},
				   more = {&as_shipped, 4, 60, 8, false},
				   most = {&as_shipped, 6, 200, 16, false};

	(void)state;
	assert_int_equal(not_a_stacks(&few, test_seconds(1), 1), 0);
	assert_int_equal(not_a_stacks(&more, test_seconds(1), 1), 0);
	assert_int_equal(not_a_stacks(&most, test_seconds(1), 1), 0);
}

/* Fifteen moves a round: a pop can sleep through fourteen, and the circle is sixteen. */
static void four_bits_are_enough_for_less_than_a_circle(void **state)
{
	static const struct rounds few = {&test_freelist_tag4, 3, 5, 3, false};

	(void)state;
	assert_int_equal(not_a_stacks(&few, test_seconds(2), 1), 0);
}

static void without_a_tag_it_is_found_out(void **state)
{
	static const struct rounds few = {&test_freelist_tag0, 3, 5, 3, true},
				   more = {&test_freelist_tag0, 4, 60, 8, true};

	(void)state;
	/*
	 * The time is a bound: the first few histories do, as somebody sleeps in each. Left to
	 * chance, threads that a busy machine runs one after the other meet in none of hundreds.
	 */
	assert_true(not_a_stacks(&few, 60, 1) > 0);
	assert_true(not_a_stacks(&more, 60, 1) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_shipped_it_is_a_stack),
		cmocka_unit_test(four_bits_are_enough_for_less_than_a_circle),
		cmocka_unit_test(without_a_tag_it_is_found_out),
	};

	test_watchdog(250, "stress.freelist_history");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

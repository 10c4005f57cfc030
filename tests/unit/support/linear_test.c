/* SPDX-License-Identifier: BSD-2-Clause */
/* The linearizability checker itself: what a stack can have done, and what it cannot. */
#include "support/linear.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/line.h"
#include "base/rng.h"

#define PUSH(v, from, to)                                                                          \
	{                                                                                          \
		true, (v), (from), (to)                                                            \
	}
#define POP(v, from, to)                                                                           \
	{                                                                                          \
		false, (v), (from), (to)                                                           \
	}
#define LANE(array)                                                                                \
	{                                                                                          \
		(array), WI_ARRAY_LEN(array)                                                       \
	}
#define LIMIT 1000000

static enum test_linear of_two(const struct test_move *a, uint32_t na, const struct test_move *b,
                               uint32_t nb, const uint8_t *bottom, uint32_t n_bottom)
{
	const struct test_moves lanes[] = {{a, na}, {b, nb}};

	return test_stack_is_linear(lanes, 2, bottom, n_bottom, LIMIT);
}

static void one_thread_has_to_be_a_stack(void **state)
{
	static const struct test_move right[] = {PUSH(1, 0, 1), PUSH(2, 2, 3), POP(2, 4, 5),
	                                         POP(1, 6, 7), POP(0, 8, 9)};
	static const struct test_move queue[] = {PUSH(1, 0, 1), PUSH(2, 2, 3), POP(1, 4, 5)};
	static const struct test_move lost[] = {PUSH(1, 0, 1), POP(0, 2, 3)};
	static const struct test_move twice[] = {PUSH(1, 0, 1), POP(1, 2, 3), POP(1, 4, 5)};

	(void)state;
	assert_int_equal(of_two(right, 5, NULL, 0, NULL, 0), TEST_LINEAR);
	assert_int_equal(of_two(queue, 3, NULL, 0, NULL, 0), TEST_NOT_LINEAR);
	assert_int_equal(of_two(lost, 2, NULL, 0, NULL, 0), TEST_NOT_LINEAR);
	assert_int_equal(of_two(twice, 3, NULL, 0, NULL, 0), TEST_NOT_LINEAR);
}

static void what_lay_there_at_first_counts(void **state)
{
	static const uint8_t bottom[] = {7, 8};
	static const struct test_move right[] = {POP(8, 0, 1), POP(7, 2, 3), POP(0, 4, 5)};
	static const struct test_move wrong[] = {POP(7, 0, 1)};

	(void)state;
	assert_int_equal(of_two(right, 3, NULL, 0, bottom, 2), TEST_LINEAR);
	assert_int_equal(of_two(wrong, 1, NULL, 0, bottom, 2), TEST_NOT_LINEAR);
}

static void moves_at_the_same_time_may_have_any_order(void **state)
{
	static const struct test_move pushes[] = {PUSH(1, 0, 10)};
	static const struct test_move early[] = {POP(0, 0, 3), POP(1, 4, 9), POP(0, 9, 11)};
	static const struct test_move late[] = {POP(0, 11, 12)};
	static const struct test_move at_the_edge[] = {POP(0, 10, 12)};

	(void)state;
	assert_int_equal(of_two(pushes, 1, early, 3, NULL, 0), TEST_LINEAR);
	assert_int_equal(of_two(pushes, 1, late, 1, NULL, 0), TEST_NOT_LINEAR);
	/* The same reading of the clock: nobody knows which was first. */
	assert_int_equal(of_two(pushes, 1, at_the_edge, 1, NULL, 0), TEST_LINEAR);
}

/*
 * What an untagged stack does: a pop has read that 2 lies below 3 and sleeps; 3 and 2 are popped, 3
 * is pushed again; the pop takes 3 and leaves 2 on top, which another holds.
 */
static void a_pop_that_was_fooled_is_found(void **state)
{
	static const uint8_t bottom[] = {1, 2, 3};
	static const struct test_move sleeper[] = {POP(3, 0, 100), POP(2, 101, 102)};
	static const struct test_move busy[] = {POP(3, 10, 11), POP(2, 12, 13), PUSH(3, 14, 15)};
	static const struct test_move honest[] = {POP(3, 0, 100), POP(1, 101, 102)};

	(void)state;
	assert_int_equal(of_two(sleeper, 2, busy, 3, bottom, 3), TEST_NOT_LINEAR);
	assert_int_equal(of_two(honest, 2, busy, 3, bottom, 3), TEST_LINEAR);
}

/* ---- by chance: a true stack, moments chosen first, intervals drawn around them ---- */

#define LANES 4
#define MOVES 60

static struct test_move made[LANES][MOVES];

/* Each moment m is at time 1000 * m; a move lasts up to `width` before and after it. */
static void make(struct wi_rng *rng, uint32_t width)
{
	uint8_t stack[4] = {1, 2, 3, 4}, held[LANES] = {0};
	uint32_t depth = 4, n[LANES] = {0};

	for (int64_t moment = 1; moment <= (int64_t)LANES * MOVES; moment++) {
		uint32_t lane = wi_rng_below(rng, LANES);
		struct test_move *m;
		int64_t least;

		while (n[lane] == MOVES)
			lane = (lane + 1) % LANES;
		m = &made[lane][n[lane]];
		least = n[lane] ? m[-1].returned_ns + 1 : 0;
		m->push = held[lane] != 0;
		if (m->push) {
			m->value = stack[depth++] = held[lane];
			held[lane] = 0;
		} else {
			m->value = held[lane] = depth ? stack[--depth] : 0;
		}
		m->invoked_ns = moment * 1000 - wi_rng_below(rng, width);
		m->invoked_ns = m->invoked_ns < least ? least : m->invoked_ns;
		m->returned_ns = moment * 1000 + wi_rng_below(rng, 1000);
		n[lane]++;
	}
}

static enum test_linear judge(void)
{
	static const uint8_t bottom[] = {1, 2, 3, 4};
	struct test_moves lanes[LANES];

	for (int i = 0; i < LANES; i++)
		lanes[i] = (struct test_moves){made[i], MOVES};
	return test_stack_is_linear(lanes, LANES, bottom, 4, LIMIT);
}

static void histories_of_a_true_stack_pass_and_a_wrong_answer_is_found(void **state)
{
	struct wi_rng rng;
	int found = 0;

	(void)state;
	wi_rng_seed(&rng, 1);
	for (int i = 0; i < 100; i++) {
		struct test_move *m = NULL;

		make(&rng, 8000);
		assert_int_equal(judge(), TEST_LINEAR);
		do
			m = &made[wi_rng_below(&rng, LANES)][wi_rng_below(&rng, MOVES)];
		while (m->push);
		/* another value than it got, or one where it got none */
		m->value = m->value % 4 + 1;
		found += judge() == TEST_NOT_LINEAR;
	}
	assert_true(found > 90); /* at times the other answer was possible as well */
}

static void a_search_that_is_too_long_says_so(void **state)
{
	static const struct test_move a[] = {PUSH(1, 0, 9), POP(2, 0, 9)};
	static const struct test_move b[] = {PUSH(3, 0, 9), POP(4, 0, 9)};
	const struct test_moves lanes[] = {LANE(a), LANE(b)};

	(void)state;
	assert_int_equal(test_stack_is_linear(lanes, 2, NULL, 0, 1), TEST_LINEAR_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_thread_has_to_be_a_stack),
		cmocka_unit_test(what_lay_there_at_first_counts),
		cmocka_unit_test(moves_at_the_same_time_may_have_any_order),
		cmocka_unit_test(a_pop_that_was_fooled_is_found),
		cmocka_unit_test(histories_of_a_true_stack_pass_and_a_wrong_answer_is_found),
		cmocka_unit_test(a_search_that_is_too_long_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

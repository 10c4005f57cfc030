/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "route/balance.h"
#include "route/router.h"

#define HOSTS 3
#define PICKS 30000

static struct wi_host hosts[HOSTS];
static struct wi_host *const all[HOSTS] = {&hosts[0], &hosts[1], &hosts[2]};
static struct wi_seat seat;
static int seen[HOSTS];

static int set_up(void **state)
{
	(void)state;
	for (int i = 0; i < HOSTS; i++) {
		wi_store_rlx(&hosts[i].share, WI_SHARE);
		wi_store_rlx(&hosts[i].pull, WI_SHARE);
		wi_store_rlx(&hosts[i].load, 0);
	}
	memset(seen, 0, sizeof(seen));
	seat.turn = 0;
	wi_rng_seed(&seat.rng, 12345);
	return 0;
}

static void pick(weir_balance how, int n)
{
	memset(seen, 0, sizeof(seen));
	for (int i = 0; i < n; i++) {
		uint32_t at = wi_balance_pick(how, all, HOSTS, &seat);

		assert_true(at < HOSTS);
		seen[at]++;
	}
}

static void equal_loads_get_equal_shares(void **state)
{
	static const weir_balance fair[] = {WEIR_BALANCE_P2C, WEIR_BALANCE_ROUND_ROBIN,
	                                    WEIR_BALANCE_RANDOM, WEIR_BALANCE_LEAST,
	                                    WEIR_BALANCE_WEIGHTED};

	(void)state;
	for (size_t p = 0; p < sizeof(fair) / sizeof(fair[0]); p++) {
		pick(fair[p], PICKS);
		for (int i = 0; i < HOSTS; i++)
			assert_in_range(seen[i], PICKS / HOSTS * 95 / 100,
			                PICKS / HOSTS * 105 / 100);
	}
}

/* Of each pair by lot: 1 against 9 in two pairs of three is 1/10 of these. */
static void p2c_draws_the_cheaper_more_often(void **state)
{
	(void)state;
	wi_store_rlx(&hosts[1].pull, WI_SHARE / 9);
	pick(WEIR_BALANCE_P2C, PICKS);
	assert_in_range(seen[1], PICKS * 2 / 30 * 90 / 100, PICKS * 2 / 30 * 110 / 100);
	assert_in_range(seen[0], PICKS * 14 / 30 * 95 / 100, PICKS * 14 / 30 * 105 / 100);
}

/* Of pairs drawn at random it is in two of three, and could not have three of four. */
static void p2c_heeds_weights_of_any_size(void **state)
{
	(void)state;
	for (int i = 0; i < HOSTS; i++)
		wi_store_rlx(&hosts[i].pull, (i == 1 ? 6 : 1) * WI_SHARE | WI_PULL_UNEVEN);
	pick(WEIR_BALANCE_P2C, PICKS);
	assert_in_range(seen[1], PICKS * 3 / 4 * 95 / 100, PICKS * 3 / 4 * 105 / 100);
}

static void weights_are_shares(void **state)
{
	static const weir_balance by_weight[] = {WEIR_BALANCE_ROUND_ROBIN, WEIR_BALANCE_RANDOM,
	                                         WEIR_BALANCE_WEIGHTED};

	(void)state;
	wi_store_rlx(&hosts[1].share, 3 * WI_SHARE);
	for (size_t p = 0; p < sizeof(by_weight) / sizeof(by_weight[0]); p++) {
		seat.turn = 0;
		pick(by_weight[p], PICKS);
		assert_in_range(seen[0], PICKS / 5 * 95 / 100, PICKS / 5 * 105 / 100);
		assert_in_range(seen[1], PICKS * 3 / 5 * 95 / 100, PICKS * 3 / 5 * 105 / 100);
	}
}

/* Of five in a row, three: never a burst. */
static void weighted_turns_are_smooth(void **state)
{
	(void)state;
	wi_store_rlx(&hosts[1].share, 3 * WI_SHARE);
	for (int i = 0; i < 1000; i++) {
		pick(WEIR_BALANCE_WEIGHTED, 5);
		assert_in_range(seen[1], 2, 4);
	}
}

/* 2 out of a share of 3 are less than 1 out of a share of 1. */
static void least_weighs_by_share(void **state)
{
	(void)state;
	for (int i = 0; i < HOSTS; i++)
		wi_store_rlx(&hosts[i].load, 1);
	wi_store_rlx(&hosts[1].load, 2);
	wi_store_rlx(&hosts[1].share, 3 * WI_SHARE);
	pick(WEIR_BALANCE_LEAST, 1000);
	assert_int_equal(seen[1], 1000);
}

static void least_takes_the_least(void **state)
{
	(void)state;
	wi_store_rlx(&hosts[0].load, 2);
	wi_store_rlx(&hosts[1].load, 1);
	wi_store_rlx(&hosts[2].load, 3);
	pick(WEIR_BALANCE_LEAST, 1000);
	assert_int_equal(seen[1], 1000);
}

static void round_robin_differs_by_at_most_one(void **state)
{
	(void)state;
	pick(WEIR_BALANCE_ROUND_ROBIN, 1000);
	for (int i = 0; i < HOSTS; i++)
		assert_in_range(seen[i], 333, 334);
}

static void first_takes_the_first_and_one_is_no_choice(void **state)
{
	(void)state;
	pick(WEIR_BALANCE_FIRST, 100);
	assert_int_equal(seen[0], 100);
	for (int how = WEIR_BALANCE_P2C; how <= WEIR_BALANCE_WEIGHTED; how++)
		assert_int_equal(wi_balance_pick((weir_balance)how, all, 1, &seat), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(equal_loads_get_equal_shares, set_up),
		cmocka_unit_test_setup(p2c_draws_the_cheaper_more_often, set_up),
		cmocka_unit_test_setup(p2c_heeds_weights_of_any_size, set_up),
		cmocka_unit_test_setup(weights_are_shares, set_up),
		cmocka_unit_test_setup(weighted_turns_are_smooth, set_up),
		cmocka_unit_test_setup(least_weighs_by_share, set_up),
		cmocka_unit_test_setup(least_takes_the_least, set_up),
		cmocka_unit_test_setup(round_robin_differs_by_at_most_one, set_up),
		cmocka_unit_test_setup(first_takes_the_first_and_one_is_no_choice, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
		wi_store_rlx(&hosts[i].out, 0);
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
	                                    WEIR_BALANCE_RANDOM, WEIR_BALANCE_LEAST};

	(void)state;
	for (size_t p = 0; p < sizeof(fair) / sizeof(fair[0]); p++) {
		pick(fair[p], PICKS);
		for (int i = 0; i < HOSTS; i++)
			assert_in_range(seen[i], PICKS / HOSTS * 95 / 100,
			                PICKS / HOSTS * 105 / 100);
	}
}

/* Of each pair by lot, weighted by the other's load; each load counts four more than it is. */
static void p2c_draws_the_less_loaded_more_often(void **state)
{
	(void)state;
	wi_store_rlx(&hosts[1].out, 32); /* 36 against 4 in two pairs of three: 1/10 of these */
	pick(WEIR_BALANCE_P2C, PICKS);
	assert_in_range(seen[1], PICKS * 2 / 30 * 90 / 100, PICKS * 2 / 30 * 110 / 100);
	assert_in_range(seen[0], PICKS * 14 / 30 * 95 / 100, PICKS * 14 / 30 * 105 / 100);
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
	for (int how = WEIR_BALANCE_P2C; how <= WEIR_BALANCE_FIRST; how++)
		assert_int_equal(wi_balance_pick((weir_balance)how, all, 1, &seat), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(equal_loads_get_equal_shares, set_up),
		cmocka_unit_test_setup(p2c_draws_the_less_loaded_more_often, set_up),
		cmocka_unit_test_setup(least_takes_the_least, set_up),
		cmocka_unit_test_setup(round_robin_differs_by_at_most_one, set_up),
		cmocka_unit_test_setup(first_takes_the_first_and_one_is_no_choice, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

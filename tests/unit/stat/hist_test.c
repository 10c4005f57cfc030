/* SPDX-License-Identifier: BSD-2-Clause */
/* Quantiles within a sixteenth, an exact maximum, and no value lost between threads. */
#include "stat/hist.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/rng.h"

static struct wi_hist hist;
static struct wi_hist_view view;

static int empty(void **state)
{
	(void)state;
	memset(&hist, 0, sizeof(hist));
	return 0;
}

/* What the histogram makes of one value, seen from below a far larger one. */
static uint64_t bound_of(uint64_t value)
{
	empty(NULL);
	wi_hist_add(&hist, (int64_t)value);
	wi_hist_add(&hist, (INT64_C(1) << 39) + 1);
	wi_hist_read(&hist, &view);
	return wi_hist_quantile(&view, 500);
}

static void bound_is_at_most_a_sixteenth_above(void **state)
{
	struct wi_rng rng;

	(void)state;
	for (uint64_t v = 0; v < 5000; v++) {
		assert_true(bound_of(v) >= v);
		assert_true(bound_of(v) <= v + v / 16);
	}
	wi_rng_seed(&rng, 3);
	for (int i = 0; i < 5000; i++) {
		uint64_t v = wi_rng_next(&rng) >> (25 + wi_rng_below(&rng, 35));

		assert_true(bound_of(v) >= v);
		assert_true(bound_of(v) <= v + v / 16);
	}
}

static void powers_of_two_and_their_neighbours_keep_the_bound(void **state)
{
	(void)state;
	for (int power = 1; power < 39; power++) {
		for (int64_t off = -1; off <= 1; off++) {
			uint64_t v = (uint64_t)((INT64_C(1) << power) + off);

			assert_true(bound_of(v) >= v);
			assert_true(bound_of(v) <= v + v / 16);
		}
	}
}

static void small_values_are_exact(void **state)
{
	(void)state;
	for (uint64_t v = 0; v < 32; v++)
		assert_true(bound_of(v) == v);
}

static void empty_histogram_is_all_zero(void **state)
{
	weir_durations d;

	(void)state;
	memset(&d, 'x', sizeof(d));
	wi_hist_durations(&hist, &d);
	assert_int_equal(d.count, 0);
	assert_int_equal(d.p50_ns + d.p90_ns + d.p99_ns + d.p999_ns + d.max_ns, 0);
}

static void one_value_is_every_quantile(void **state)
{
	weir_durations d;

	(void)state;
	wi_hist_add(&hist, 123456789);
	wi_hist_durations(&hist, &d);
	assert_int_equal(d.count, 1);
	assert_int_equal(d.p50_ns, 123456789); /* held down to the exact maximum */
	assert_int_equal(d.p999_ns, 123456789);
	assert_int_equal(d.max_ns, 123456789);
}

static void assert_near(uint64_t seen, uint64_t exact)
{
	assert_true(seen >= exact);
	assert_true(seen <= exact + exact / 16);
}

static void quantiles_of_a_known_spread(void **state)
{
	weir_durations d;

	(void)state;
	for (int64_t us = 1; us <= 10000; us++)
		wi_hist_add(&hist, us * 1000);
	wi_hist_durations(&hist, &d);
	assert_int_equal(d.count, 10000);
	assert_near(d.p50_ns, 5000000);
	assert_near(d.p90_ns, 9000000);
	assert_near(d.p99_ns, 9900000);
	assert_near(d.p999_ns, 9990000);
	assert_int_equal(d.max_ns, 10000000);
}

static void rank_is_rounded_up(void **state)
{
	(void)state;
	for (int i = 1; i <= 3; i++)
		wi_hist_add(&hist, i);
	wi_hist_read(&hist, &view);
	assert_int_equal(wi_hist_quantile(&view, 0), 1);
	assert_int_equal(wi_hist_quantile(&view, 333), 1);
	assert_int_equal(wi_hist_quantile(&view, 334), 2);
	assert_int_equal(wi_hist_quantile(&view, 667), 3);
	assert_int_equal(wi_hist_quantile(&view, 1000), 3);
}

static void negative_durations_count_as_zero(void **state)
{
	weir_durations d;

	(void)state;
	wi_hist_add(&hist, -5);
	wi_hist_add(&hist, INT64_MIN);
	wi_hist_durations(&hist, &d);
	assert_int_equal(d.count, 2);
	assert_int_equal(d.max_ns, 0);
}

static void longest_values_share_a_bucket_and_keep_the_maximum(void **state)
{
	weir_durations d;

	(void)state;
	wi_hist_add(&hist, INT64_C(1) << 40);
	wi_hist_add(&hist, INT64_MAX);
	wi_hist_durations(&hist, &d);
	assert_int_equal(d.count, 2);
	assert_true(d.p50_ns >= UINT64_C(1) << 40);
	assert_true(d.max_ns == INT64_MAX);
}

#define ADDERS 4
#define ADDS 50000

struct adder {
	pthread_t thread;
	int number;
	int forgotten; /* times that the maximum was below a value that had been added */
};

static _Atomic int ready;

/* All of them raise the maximum, all the time. */
static void *add_rising(void *arg)
{
	struct adder *me = arg;

	wi_add_acq_rel(&ready, 1);
	while (wi_load_acq(&ready) < ADDERS)
		sched_yield();
	for (int64_t i = 0; i < ADDS; i++) {
		int64_t value = i * ADDERS + me->number;

		wi_hist_add(&hist, value);
		me->forgotten += wi_load_rlx(&hist.max_ns) < (uint64_t)value;
	}
	return NULL;
}

static void no_value_is_lost_between_threads(void **state)
{
	struct adder adders[ADDERS] = {0};
	weir_durations d;

	(void)state;
	for (int i = 0; i < ADDERS; i++) {
		adders[i].number = i;
		assert_int_equal(pthread_create(&adders[i].thread, NULL, add_rising, &adders[i]),
		                 0);
	}
	for (int i = 0; i < 100; i++) {
		wi_hist_durations(&hist, &d); /* beside the writers: never contradicts itself */
		assert_true(d.p50_ns <= d.p90_ns && d.p90_ns <= d.p99_ns);
		assert_true(d.p99_ns <= d.p999_ns && d.p999_ns <= d.max_ns);
	}
	for (int i = 0; i < ADDERS; i++)
		pthread_join(adders[i].thread, NULL);
	for (int i = 0; i < ADDERS; i++)
		assert_int_equal(adders[i].forgotten, 0);
	wi_hist_durations(&hist, &d);
	assert_int_equal(d.count, ADDERS * ADDS);
	assert_int_equal(d.max_ns, ADDERS * ADDS - 1);
}

static void public_buckets_are_exact_at_their_bounds(void **state)
{
	weir_histogram h;

	(void)state;
	for (size_t i = 0; i < WEIR_HISTOGRAM_BOUNDS; i++) {
		assert_true(i == 0 || weir_histogram_bound_ns(i) > weir_histogram_bound_ns(i - 1));
		wi_hist_add(&hist, weir_histogram_bound_ns(i));
		wi_hist_add(&hist, weir_histogram_bound_ns(i) + 1);
	}
	assert_true(weir_histogram_bound_ns(WEIR_HISTOGRAM_BOUNDS) == INT64_MAX);
	wi_hist_histogram(&hist, &h);
	assert_int_equal(h.count, 2 * WEIR_HISTOGRAM_BOUNDS);
	assert_int_equal(h.bucket[0], 1);
	for (size_t i = 1; i < WEIR_HISTOGRAM_BOUNDS; i++)
		assert_int_equal(h.bucket[i], 2);
	assert_int_equal(h.bucket[WEIR_HISTOGRAM_BOUNDS], 1);
}

static void one_value_may_stand_for_many(void **state)
{
	weir_histogram h;
	weir_durations d;

	(void)state;
	wi_hist_add_many(&hist, 3000, 9);
	wi_hist_add(&hist, 20000000);
	wi_hist_histogram(&hist, &h);
	wi_hist_durations(&hist, &d);
	assert_int_equal(h.count, 10);
	assert_int_equal(h.sum_ns, 9 * 3000 + 20000000);
	assert_int_equal(d.count, 10);
	assert_in_range(d.p90_ns, 3000, 3000 + 3000 / 16);
	assert_int_equal(d.max_ns, 20000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(bound_is_at_most_a_sixteenth_above, empty),
		cmocka_unit_test_setup(powers_of_two_and_their_neighbours_keep_the_bound, empty),
		cmocka_unit_test_setup(small_values_are_exact, empty),
		cmocka_unit_test_setup(empty_histogram_is_all_zero, empty),
		cmocka_unit_test_setup(one_value_is_every_quantile, empty),
		cmocka_unit_test_setup(quantiles_of_a_known_spread, empty),
		cmocka_unit_test_setup(rank_is_rounded_up, empty),
		cmocka_unit_test_setup(negative_durations_count_as_zero, empty),
		cmocka_unit_test_setup(longest_values_share_a_bucket_and_keep_the_maximum, empty),
		cmocka_unit_test_setup(public_buckets_are_exact_at_their_bounds, empty),
		cmocka_unit_test_setup(one_value_may_stand_for_many, empty),
		cmocka_unit_test_setup(no_value_is_lost_between_threads, empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

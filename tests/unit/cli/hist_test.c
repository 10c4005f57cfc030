/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program's histogram: quantiles within 1.6 %, exact counts and maxima. The program is not a
 * library, so its file is compiled into the test.
 */
#include "cli/hist.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct cli_hist *new_hist(void)
{
	struct cli_hist *hist = calloc(1, sizeof(*hist));

	assert_non_null(hist);
	return hist;
}

static void nothing_counted_has_no_quantile(void **state)
{
	struct cli_hist *hist = new_hist();

	(void)state;
	assert_int_equal(cli_hist_quantile(hist, 500), 0);
	assert_int_equal(cli_hist_quantile(hist, 1000), 0);
	free(hist);
}

/* Every value lies in its bucket, and a bucket is at most a 64th wider than its values. */
static void every_bucket_is_within_its_bound(void **state)
{
	(void)state;
	for (uint64_t v = 0; v < (UINT64_C(1) << (CLI_HIST_TOP_BIT + 1)); v += v / 97 + 1) {
		size_t b = bucket_of(v);

		assert_true(b < CLI_HIST_BUCKETS);
		assert_true(cli_hist_top(b) >= v);
		assert_true(b == 0 || cli_hist_top(b - 1) < v);
		assert_true(cli_hist_top(b) - v <= v / 64);
	}
}

static void buckets_follow_each_other_without_a_gap(void **state)
{
	(void)state;
	for (size_t b = 0; b + 1 < CLI_HIST_BUCKETS; b++)
		assert_int_equal(bucket_of(cli_hist_top(b) + 1), b + 1);
}

static void quantiles_are_those_of_a_sorted_list(void **state)
{
	struct cli_hist *hist = new_hist();

	(void)state;
	for (int64_t us = 1; us <= 1000; us++)
		cli_hist_add(hist, us * 1000);
	assert_int_equal(hist->count, 1000);
	assert_int_equal(hist->max, 1000000);
	assert_in_range(cli_hist_quantile(hist, 500), 500000, 500000 + 500000 / 64);
	assert_in_range(cli_hist_quantile(hist, 990), 990000, 990000 + 990000 / 64);
	assert_int_equal(cli_hist_quantile(hist, 1000), 1000000);
	free(hist);
}

static void the_rank_of_a_quantile_is_rounded_up(void **state)
{
	struct cli_hist *hist = new_hist();

	(void)state;
	for (int64_t ns = 10; ns <= 30; ns += 10)
		cli_hist_add(hist, ns);
	assert_int_equal(cli_hist_quantile(hist, 500), 20);
	assert_int_equal(cli_hist_quantile(hist, 999), 30);
	free(hist);
}

static void one_outlier_in_a_thousand_is_not_in_p999(void **state)
{
	struct cli_hist *hist = new_hist();

	(void)state;
	for (int i = 0; i < 999; i++)
		cli_hist_add(hist, 10);
	cli_hist_add(hist, 5000000);
	assert_int_equal(cli_hist_quantile(hist, 999), 10);
	assert_int_equal(cli_hist_quantile(hist, 1000), 5000000);
	free(hist);
}

static void what_is_out_of_range_is_still_counted(void **state)
{
	struct cli_hist *hist = new_hist();

	(void)state;
	cli_hist_add(hist, -5);
	assert_int_equal(hist->bucket[0], 1);
	cli_hist_add(hist, INT64_MAX);
	assert_int_equal(hist->count, 2);
	assert_int_equal(cli_hist_quantile(hist, 1000), INT64_MAX);
	free(hist);
}

static void merged_is_as_counted_by_one(void **state)
{
	struct cli_hist *a = new_hist(), *b = new_hist(), *all = new_hist();

	(void)state;
	for (int64_t i = 0; i < 5000; i++) {
		int64_t ns = i * i * 37;

		cli_hist_add(i % 3 ? a : b, ns);
		cli_hist_add(all, ns);
	}
	cli_hist_merge(a, b);
	assert_memory_equal(a, all, sizeof(*all));
	free(a);
	free(b);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_counted_has_no_quantile),
		cmocka_unit_test(every_bucket_is_within_its_bound),
		cmocka_unit_test(buckets_follow_each_other_without_a_gap),
		cmocka_unit_test(quantiles_are_those_of_a_sorted_list),
		cmocka_unit_test(the_rank_of_a_quantile_is_rounded_up),
		cmocka_unit_test(one_outlier_in_a_thousand_is_not_in_p999),
		cmocka_unit_test(what_is_out_of_range_is_still_counted),
		cmocka_unit_test(merged_is_as_counted_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

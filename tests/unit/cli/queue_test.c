/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Erlang's formulas against the tables of the literature, and what is made of them. The program is
 * not a library, so its file is compiled into the test.
 */
#include "cli/queue.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/*
 * The load that so many servers carry with that loss: the usual tables of Erlang B, as in ITU-T,
 * "Teletraffic Engineering Handbook", and every textbook of telephony.
 */
static void the_tables_of_erlang_b(void **state)
{
	static const struct {
		uint32_t servers;
		double at_1_percent, at_0_1_percent;
	} rows[] = {
		{1, 0.0101, 0.0010},  {2, 0.1526, 0.0458},   {3, 0.4555, 0.1938},
		{5, 1.3608, 0.7621},  {10, 4.4612, 3.0920},  {20, 12.031, 9.4115},
		{50, 37.901, 32.512}, {100, 84.064, 75.242},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_true(fabs(cli_erlang_b(rows[i].servers, rows[i].at_1_percent) - 0.01) <
		            1e-4);
		assert_true(fabs(cli_erlang_b(rows[i].servers, rows[i].at_0_1_percent) - 0.001) <
		            5e-5);
	}
}

/* Where the formula is short enough to be an exact fraction. */
static void known_values_of_erlang_c(void **state)
{
	static const struct {
		uint32_t servers;
		double load, waits;
	} rows[] = {
		{1, 0.5, 0.5},   {2, 1, 1.0 / 3},     {2, 1.5, 9.0 / 14},
		{3, 2, 4.0 / 9}, {5, 4, 128.0 / 231}, {10, 8, 4194304.0 / 10250507},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_true(fabs(cli_erlang_c(rows[i].servers, rows[i].load) - rows[i].waits) <
		            1e-8);
	assert_true(cli_erlang_c(4, 4) == 1 && cli_erlang_c(4, 5) == 1);
	assert_true(cli_erlang_c(1000, 900) > 0 && cli_erlang_c(1000, 900) < 0.01);
}

/* M/M/1: W = rho / (mu - lambda), and P(W > t) = rho e^-(mu - lambda)t. */
static void one_server(void **state)
{
	struct cli_queue q = {.rate = 80, .service_s = 0.01, .cv = 1, .servers = 1};

	(void)state;
	assert_true(fabs(cli_queue_load(&q) - 0.8) < 1e-12);
	assert_true(fabs(cli_queue_wait(&q) - 0.04) < 1e-12);
	assert_true(fabs(cli_queue_later(&q, 0.1) - 0.8 * exp(-2)) < 1e-12);
	assert_true(fabs(cli_queue_later(&q, cli_queue_quantile(&q, 0.99)) - 0.01) < 1e-12);
	assert_true(cli_queue_quantile(&q, 0.1) == 0);
	/* Pollaczek and Khinchin: always the same time, half the wait. */
	q.cv = 0;
	assert_true(fabs(cli_queue_wait(&q) - 0.02) < 1e-12);
	q.rate = 100;
	assert_true(isinf(cli_queue_wait(&q)) && isinf(cli_queue_quantile(&q, 0.5)));
	assert_true(cli_queue_later(&q, 100) == 1);
}

/* One fewer would not do. */
static void no_server_too_many(void **state)
{
	(void)state;
	for (double load = 0.05; load < 300; load *= 1.3)
		for (double wait_s = 0; wait_s < 0.05; wait_s += 0.01) {
			struct cli_queue q = {.rate = load / 0.02, .service_s = 0.02, .cv = 1.5};
			uint32_t n = cli_queue_servers(q, 0.99, wait_s, 0.9);

			q.servers = n;
			assert_true(cli_queue_later(&q, wait_s) <= 0.01 + 1e-12 && load <= 0.9 * n);
			q.servers = n - 1;
			assert_true(n == 1 || cli_queue_later(&q, wait_s) > 0.01 ||
			            load > 0.9 * (n - 1));
		}
}

/* Of a log-normal time with sigma 1: mean e^0.5, 99 % below e^2.3263. */
static void variation_by_a_percentile(void **state)
{
	(void)state;
	assert_true(fabs(cli_cv_of_p99(exp(2.3263478740408408 - 0.5)) - sqrt(exp(1) - 1)) < 1e-9);
	assert_true(cli_cv_of_p99(1) == 0);
	assert_true(isfinite(cli_cv_of_p99(1000)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tables_of_erlang_b),
		cmocka_unit_test(known_values_of_erlang_c),
		cmocka_unit_test(one_server),
		cmocka_unit_test(no_server_too_many),
		cmocka_unit_test(variation_by_a_percentile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The formulas by which `weir size` recommends, and a pool that has such a load: how many checkouts
 * wait, and for how long. The pool is the real one on simulated time, arrivals are Poisson.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rng.h"
#include "cli/queue.c"
#include "support/sim.h"
#include "support/watchdog.h"

#define USERS 60
#define ARRIVALS 12000
#define SERVICE_MS 100.0
#define COUNTED_FROM 500 /* the line is as long as it will be */

static struct {
	double cv; /* 1: exponential times; 0: always the same */
	int64_t begun_ns, at_ms[ARRIVALS], service_ms[ARRIVALS], wait_ms[ARRIVALS];
	int arrivals, next, late;
} load;

/* Exponential, with that mean. */
static double drawn(struct wi_rng *rng, double mean)
{
	return -mean * log(((double)(wi_rng_next(rng) >> 11) + 1) / 9007199254740993.0);
}

static void use(void *arg)
{
	(void)arg;
	while (load.next < load.arrivals) {
		int i = load.next++;
		int64_t due_ns = load.begun_ns + load.at_ms[i] * WI_MS, now_ns = sim_now();
		weir_conn *conn;

		load.late += now_ns > due_ns;
		if (now_ns < due_ns)
			sim_sleep((due_ns - now_ns) / WI_MS);
		now_ns = sim_now();
		conn = sim_checkout(1000000);
		load.wait_ms[i] = (sim_now() - now_ns) / WI_MS;
		if (load.service_ms[i])
			sim_sleep(load.service_ms[i]);
		weir_checkin(&conn);
	}
}

static void draw_load(const struct cli_queue *queue)
{
	struct wi_rng rng;
	double at_ms = 0;

	wi_rng_seed(&rng, 7);
	for (int i = 0; i < load.arrivals; i++) {
		at_ms += drawn(&rng, 1000 / queue->rate);
		load.at_ms[i] = (int64_t)at_ms;
		load.service_ms[i] =
			(int64_t)(queue->cv > 0 ? drawn(&rng, SERVICE_MS) + 0.5 : SERVICE_MS);
	}
}

static void run(const struct cli_queue *queue)
{
	weir_options o;

	load.next = load.late = 0;
	draw_load(queue);
	sim_options(&o);
	o.pool_min = o.pool_max = queue->servers;
	assert_int_equal(sim_open(&o), WEIR_OK);
	sim_run(1000);
	assert_int_equal(sim_stats()->total, queue->servers);
	load.begun_ns = sim_now();
	for (int i = 0; i < USERS; i++)
		sim_spawn(use, NULL);
	sim_join();
	assert_int_equal(sim_close(), 0);
	assert_int_equal(load.late, 0);
}

/* Within a fifth of what is said, or a percent of all: the draw is one of many. */
static void assert_about(const char *what, double seen, double said)
{
	print_message("  %-16s seen %8.4f, said %8.4f\n", what, seen, said);
	assert_true(fabs(seen - said) <= fmax(said / 5, 0.01));
}

static void compare(double busy, uint32_t servers, double cv)
{
	struct cli_queue queue = {.service_s = SERVICE_MS / 1e3,
	                          .cv = cv,
	                          .servers = servers,
	                          .rate = busy * servers * 1e3 / SERVICE_MS};
	int n = load.arrivals - COUNTED_FROM, waited = 0, later = 0;
	double sum = 0;

	run(&queue);
	for (int i = COUNTED_FROM; i < load.arrivals; i++) {
		waited += load.wait_ms[i] > 0;
		later += (double)load.wait_ms[i] > SERVICE_MS / 2;
		sum += (double)load.wait_ms[i];
	}
	print_message("%u connections, %.0f %% busy, cv %.0f\n", servers, busy * 100, cv);
	assert_about("wait at all", (double)waited / n, cli_erlang_c(servers, busy * servers));
	assert_about("wait longer", (double)later / n, cli_queue_later(&queue, SERVICE_MS / 2e3));
	assert_about("mean, services", sum / n / SERVICE_MS,
	             cli_queue_wait(&queue) * 1e3 / SERVICE_MS);
}

static void exponential_times_wait_as_erlang_says(void **state)
{
	(void)state;
	compare(0.5, 2, 1);
	compare(0.7, 4, 1);
	compare(0.7, 10, 1);
}

static void constant_times_wait_half_as_long(void **state)
{
	(void)state;
	compare(0.7, 4, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exponential_times_wait_as_erlang_says),
		cmocka_unit_test(constant_times_wait_half_as_long),
	};
	const char *arrivals = getenv("TEST_ARRIVALS");

	load.arrivals = arrivals ? atoi(arrivals) : 4000;
	if (getenv("TEST_PATIENCE")) {
		puts("skipped: numbers are the same under valgrind, and take ten times as long");
		return 77;
	}
	test_watchdog(240, "sim.pool_queue");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

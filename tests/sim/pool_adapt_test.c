/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pool that sizes itself, under loads of several shapes: it follows the load up without letting
 * callers wait for long, comes down again when it is over, and stands still while the load does.
 * Each shape is run beside a pool that does not, and the numbers of both are printed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rng.h"
#include "pool/pool.h"
#include "support/sim.h"
#include "support/watchdog.h"

#define USERS 48
#define MIN 2
#define MAX 40
#define THINK_MS 900
#define SERVICE_MS 300
#define CONNECT_MS 30

/* A load: how many users are active at a second, and how long a query takes then. */
struct shape {
	const char *name;
	int seconds;
	int (*active)(int second);
	int (*service_ms)(int second);
};

static int usual_service(int second)
{
	(void)second;
	return SERVICE_MS;
}

static int slow_for_a_minute(int second)
{
	return second >= 60 && second < 120 ? 3 * SERVICE_MS : SERVICE_MS;
}

static int steady(int second)
{
	(void)second;
	return 24;
}

static int steps(int second)
{
	static const int n[] = {4, 40, 12, 48, 4};

	return n[second / 60 % 5];
}

/* A parabola either way, a minute a half. */
static int sine(int second)
{
	int x = second % 60, up = x * (60 - x) * 20 / 900;

	return second / 60 % 2 ? 24 - up : 24 + up;
}

static int bursts(int second)
{
	return second % 20 < 3 ? 48 : 6;
}

static int then_nothing(int second)
{
	return second < 60 ? 40 : 0;
}

static const struct shape shapes[] = {
	{"steady", 180, steady, usual_service},
	{"steps", 300, steps, usual_service},
	{"sine", 240, sine, usual_service},
	{"bursts", 180, bursts, usual_service},
	{"slow server", 240, steady, slow_for_a_minute},
	{"then nothing", 180, then_nothing, usual_service},
};

struct outcome {
	uint64_t checkouts, waits, opened, timeouts;
	double mean_wait_ms; /* over all checkouts */
	double worst_wait_ms;
	double mean_size;
	uint32_t most, last;
	int turns; /* how often the number to keep went from rising to falling or back */
};

static const struct shape *shape;
static int64_t begun_ns;
static int64_t waited_ns;
static int64_t worst_ns;
static bool ended;

static int second_now(void)
{
	return (int)((sim_now() - begun_ns) / WI_SEC);
}

/* Around the mean, so that users do not march in step. */
static int64_t about(struct wi_rng *rng, int ms)
{
	return ms / 2 + wi_rng_below(rng, (uint32_t)ms);
}

static void use(void *arg)
{
	int me = (int)(uintptr_t)arg;
	struct wi_rng rng;

	wi_rng_seed(&rng, (uint64_t)me + 1);
	while (!ended) {
		int64_t before_ns;
		weir_conn *conn;

		sim_sleep(about(&rng, THINK_MS));
		if (ended || shape->active(second_now()) <= me)
			continue;
		before_ns = sim_now();
		conn = sim_checkout(5000);
		waited_ns += sim_now() - before_ns;
		if (sim_now() - before_ns > worst_ns)
			worst_ns = sim_now() - before_ns;
		if (!conn)
			continue;
		sim_sleep(about(&rng, shape->service_ms(second_now())));
		weir_checkin(&conn);
	}
}

static struct outcome run(const struct shape *s, bool adaptive)
{
	struct outcome r = {0};
	uint32_t before = 0;
	int direction = 0;
	weir_options o;

	sim_options(&o);
	o.pool_min = MIN;
	o.pool_max = MAX;
	o.adaptive = adaptive;
	assert_int_equal(sim_open(&o), WEIR_OK);
	wi_store_rlx(&sim_server()->connect_ns, CONNECT_MS * WI_MS);
	sim_run(1000);
	shape = s;
	begun_ns = sim_now();
	waited_ns = worst_ns = 0;
	ended = false;
	for (int i = 0; i < USERS; i++)
		sim_spawn(use, (void *)(uintptr_t)i);
	for (int i = 0; i < s->seconds; i++) {
		const weir_pool_stats *st;
		int now;

		sim_run(1000);
		st = sim_stats();
		r.mean_size += (double)st->total / s->seconds;
		if (st->total > r.most)
			r.most = st->total;
		now = (st->kept_open > before) - (st->kept_open < before);
		r.turns += now && direction && now != direction;
		direction = now ? now : direction;
		before = st->kept_open;
		assert_true(st->total <= MAX && st->kept_open >= MIN && st->kept_open <= MAX);
	}
	r.last = sim_stats()->total;
	ended = true;
	sim_join();
	r.checkouts = sim_stats()->checkouts;
	r.waits = sim_stats()->waits;
	r.opened = sim_stats()->opened;
	r.timeouts = sim_stats()->timeouts;
	r.mean_wait_ms = (double)waited_ns / WI_MS / (double)r.checkouts;
	r.worst_wait_ms = (double)worst_ns / WI_MS;
	assert_int_equal(sim_close(), 0);
	return r;
}

static void print(const char *name, const char *how, const struct outcome *r)
{
	print_message("%-13s %-8s %6llu checkouts %5llu waited, mean %6.3f ms, worst %5.1f ms; "
	              "%3llu opened, size %4.1f mean %2u most %2u last, %2d turns\n",
	              name, how, (unsigned long long)r->checkouts, (unsigned long long)r->waits,
	              r->mean_wait_ms, r->worst_wait_ms, (unsigned long long)r->opened,
	              r->mean_size, r->most, r->last, r->turns);
}

static struct outcome adapted(const char *name)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct outcome off, on;

		if (strcmp(shapes[i].name, name) != 0)
			continue;
		off = run(&shapes[i], false);
		on = run(&shapes[i], true);
		print(name, "fixed", &off);
		print(name, "adaptive", &on);
		/*
		 * Nobody starves: no checkout fails, none waits for longer than a connect and a
		 * query.
		 */
		assert_int_equal(on.timeouts, 0);
		assert_true(on.worst_wait_ms <= CONNECT_MS + 3 * SERVICE_MS * 1.5);
		/* What it saves in connections costs callers next to nothing. */
		assert_true(on.mean_wait_ms <= off.mean_wait_ms + 1.0);
		return on;
	}
	fail();
	return (struct outcome){0};
}

/* Six are busy on average: it finds a size above that, and stays there. */
static void a_steady_load_has_a_steady_size(void **state)
{
	struct outcome r = adapted("steady");

	(void)state;
	assert_true(r.turns <= 4);
	assert_true(r.last >= 8 && r.last <= 20);
	assert_true(r.opened <= 25);
}

static void steps_are_followed(void **state)
{
	struct outcome r = adapted("steps");

	(void)state;
	assert_true(r.turns <= 12); /* three are the load's */
	assert_true(r.last <= 8);
	assert_true(r.opened <= 80);
}

static void waves_are_followed(void **state)
{
	struct outcome r = adapted("sine");

	(void)state;
	assert_true(r.turns <= 12);
	assert_true(r.opened <= 80);
}

/* Bursts every twenty seconds find their connections open. */
static void bursts_are_expected(void **state)
{
	struct outcome r = adapted("bursts");

	(void)state;
	assert_true(r.turns <= 10);
	assert_true(r.opened <= 60);
}

static void a_slow_server_gets_more_for_a_while(void **state)
{
	struct outcome r = adapted("slow server");

	(void)state;
	assert_true(r.most >= 16);
	assert_true(r.last <= 20);
	assert_true(r.turns <= 10);
}

static void nothing_needs_the_minimum(void **state)
{
	struct outcome r = adapted("then nothing");

	(void)state;
	assert_int_equal(r.last, MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_steady_load_has_a_steady_size),
		cmocka_unit_test(steps_are_followed),
		cmocka_unit_test(waves_are_followed),
		cmocka_unit_test(bursts_are_expected),
		cmocka_unit_test(a_slow_server_gets_more_for_a_while),
		cmocka_unit_test(nothing_needs_the_minimum),
	};

	test_watchdog(240, "sim.pool_adapt");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the keeper makes of what it counts, in simulated time: clients that read one after the
 * other, hosts that take as long as the test says, and a counting every 10 ms. The same lots are
 * drawn as by the router, once for eight reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rng.h"
#include "route/balance.h"
#include "route/gauge.h"
#include "route/router.h"

#define HOSTS 3
#define CLIENTS 24
#define READS_A_DRAW 8
#define TICK_NS (10 * WI_MS)
#define READS_MOST 400000

struct server {
	struct wi_host host; /* of which only the pull is looked at */
	struct wi_load load;
	int64_t mean_ns;
	uint32_t out, was_out;
	uint64_t returned, served;
};

struct client {
	struct wi_seat seat;
	int at;          /* the host it reads from, or -1: it thinks */
	int stays, left; /* the host it drew, and how many reads it stays with it */
	int64_t began_ns, next_ns;
};

static struct server server[HOSTS];
static struct wi_host *const all[HOSTS] = {&server[0].host, &server[1].host, &server[2].host};
static struct wi_load *const loads[HOSTS] = {&server[0].load, &server[1].load, &server[2].load};
static struct client client[CLIENTS];
static struct wi_rng rng;
static int64_t now_ns, tick_ns, think_ns;
static double usual_ns;
static uint32_t n_servers;
static uint32_t n_near;    /* of them in the router's zone, the first; 0: there are no zones */
static weir_router router; /* of which only is looked at that it weighs */
static int64_t took_ns[READS_MOST];
static int n_reads;

static void weigh(void)
{
	for (uint32_t i = 0; i < n_servers; i++) {
		struct server *s = &server[i];

		wi_gauge_add(&s->load.gauge, (double)(s->was_out + s->out) / 2, s->returned,
		             TICK_NS);
		s->was_out = s->load.out = s->out;
		s->returned = 0;
	}
	usual_ns = wi_loads_usual_ns(loads, n_servers, usual_ns, TICK_NS);
	wi_loads_weigh(loads, n_servers, usual_ns);
	for (uint32_t i = 0; i < n_servers; i++) {
		wi_store_rlx(&server[i].host.pull, server[i].load.pull);
		wi_store_rlx(&server[i].host.slow_ns, (int64_t)server[i].load.slow_ns);
	}
}

static void start(uint32_t servers, int64_t mean_ns, int64_t pause_ns)
{
	memset(server, 0, sizeof(server));
	memset(client, 0, sizeof(client));
	wi_rng_seed(&rng, 42);
	now_ns = tick_ns = n_reads = 0;
	usual_ns = 0;
	n_servers = servers;
	n_near = 0;
	router.options.balance = WEIR_BALANCE_P2C;
	think_ns = pause_ns;
	for (uint32_t i = 0; i < servers; i++) {
		server[i].mean_ns = mean_ns;
		server[i].load.weight = 100;
		server[i].load.started = 1;
	}
	weigh();
	for (int i = 0; i < CLIENTS; i++) {
		wi_rng_seed(&client[i].seat.rng, (uint64_t)i + 1);
		client[i].at = -1;
		client[i].next_ns = (int64_t)wi_rng_below(&rng, 10000000);
	}
}

/* From half of the mean to once and a half; one of fifty three times as long. */
static int64_t about(int64_t mean_ns)
{
	int64_t ns = mean_ns / 2 + (int64_t)(wi_rng_next(&rng) % (uint64_t)(mean_ns + 1));

	return wi_rng_below(&rng, 50) ? ns : 3 * ns;
}

static void begin(struct client *c)
{
	if (!c->left) {
		c->stays = (int)wi_balance_pick(WEIR_BALANCE_P2C, all,
		                                wi_weigh_width(&router, all, n_servers, n_near),
		                                &c->seat);
		c->left = READS_A_DRAW;
	}
	c->left--;
	c->at = c->stays;
	server[c->at].out++;
	c->began_ns = now_ns;
	c->next_ns = now_ns + about(server[c->at].mean_ns);
}

static void end(struct client *c)
{
	struct server *s = &server[c->at];

	s->out--;
	s->returned++;
	s->served++;
	if (n_reads < READS_MOST)
		took_ns[n_reads++] = now_ns - c->began_ns;
	c->at = -1;
	c->next_ns = now_ns + about(think_ns);
}

static void run_for(int64_t ns)
{
	int64_t until_ns = now_ns + ns;

	while (now_ns < until_ns) {
		struct client *first = &client[0];

		for (int i = 1; i < CLIENTS; i++)
			if (client[i].next_ns < first->next_ns)
				first = &client[i];
		if (tick_ns <= first->next_ns) {
			now_ns = tick_ns;
			tick_ns += TICK_NS;
			weigh();
			continue;
		}
		now_ns = first->next_ns;
		if (first->at < 0)
			begin(first);
		else
			end(first);
	}
}

static void forget(void)
{
	n_reads = 0;
	for (int i = 0; i < HOSTS; i++)
		server[i].served = 0;
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int64_t p99(void)
{
	qsort(took_ns, (size_t)n_reads, sizeof(took_ns[0]), by_time);
	return took_ns[(size_t)n_reads * 99 / 100];
}

/* In so many parts of a hundred by how much the most and the least served differ. */
static int spread_pct(void)
{
	uint64_t most = 0, least = UINT64_MAX;

	for (uint32_t i = 0; i < n_servers; i++) {
		most = server[i].served > most ? server[i].served : most;
		least = server[i].served < least ? server[i].served : least;
	}
	return (int)((most - least) * 100 * n_servers / (uint64_t)n_reads);
}

static int64_t p99_of_two_alone(void)
{
	start(2, WI_MS, 2 * WI_MS);
	run_for(5 * WI_SEC);
	forget();
	run_for(4 * WI_SEC);
	return p99();
}

static void equal_hosts_have_equal_shares(void **state)
{
	static const int64_t means_ns[] = {100000, WI_MS, 20 * WI_MS};

	(void)state;
	for (size_t i = 0; i < sizeof(means_ns) / sizeof(means_ns[0]); i++) {
		start(3, means_ns[i], 2 * WI_MS);
		run_for(means_ns[i] > WI_MS ? 160 * WI_SEC : 20 * WI_SEC);
		assert_in_range(spread_pct(), 0, 4);
	}
}

/* Also when it becomes so; and when it is well again, it has its share again. */
static void one_that_is_ten_times_slower_is_not_felt(void **state)
{
	int64_t alone_ns = p99_of_two_alone();

	(void)state;
	start(3, WI_MS, 2 * WI_MS);
	run_for(5 * WI_SEC);
	forget();
	server[0].mean_ns *= 10;
	run_for(10 * WI_SEC);
	assert_in_range(p99(), alone_ns / 2, alone_ns * 3 / 2);
	forget();
	run_for(10 * WI_SEC);
	assert_in_range(p99(), alone_ns / 2, alone_ns * 3 / 2);
	/* It is asked now and then, or nobody would know when it is well again. */
	assert_in_range(server[0].served, 10, (uint64_t)n_reads / 100);
	server[0].mean_ns /= 10;
	run_for(20 * WI_SEC);
	forget();
	run_for(10 * WI_SEC);
	assert_in_range(spread_pct(), 0, 9);
}

/* Far from full: where little is out at a time, there is little to tell a slow host by. */
static void with_little_to_go_by_it_is_hardly_felt(void **state)
{
	(void)state;
	start(3, WI_MS, 500 * WI_MS);
	run_for(20 * WI_SEC);
	server[0].mean_ns *= 10;
	run_for(20 * WI_SEC);
	forget();
	run_for(60 * WI_SEC);
	assert_in_range(server[0].served * 100 / (uint64_t)n_reads, 0, 4);
}

/* Cold for ten seconds, ten times as slow; no second is slower than those before it came. */
static void a_cold_one_that_returns_makes_no_step(void **state)
{
	int64_t alone_ns = p99_of_two_alone(), back_ns = now_ns;
	struct server *cold = &server[2];

	(void)state;
	n_servers = 3;
	cold->mean_ns = 10 * WI_MS;
	cold->load.weight = 100;
	for (int i = 0; i < 200; i++) {
		cold->load.started = wi_gauge_started(now_ns - back_ns, 10 * WI_SEC);
		if (i == 100)
			cold->mean_ns = WI_MS;
		if (i % 10 == 0)
			forget();
		run_for(WI_SEC / 10);
		if (i % 10 == 9)
			assert_in_range(p99(), alone_ns / 2, alone_ns * 3 / 2);
	}
	run_for(20 * WI_SEC);
	forget();
	run_for(20 * WI_SEC);
	assert_in_range(spread_pct(), 0, 9);
}

/* One in the router's own zone, and two beyond; a slow one does not keep all the reads. */
static void a_slow_zone_is_left_and_come_back_to(void **state)
{
	int64_t alone_ns = p99_of_two_alone();

	(void)state;
	start(3, WI_MS, 2 * WI_MS);
	n_near = 1;
	run_for(5 * WI_SEC);
	assert_in_range(server[0].served, (uint64_t)n_reads * 99 / 100, n_reads);
	server[0].mean_ns *= 10;
	run_for(5 * WI_SEC);
	forget();
	run_for(10 * WI_SEC);
	assert_in_range(p99(), alone_ns / 2, alone_ns * 3 / 2);
	assert_in_range(server[0].served, 1, (uint64_t)n_reads / 50);
	server[0].mean_ns /= 10;
	run_for(40 * WI_SEC);
	forget();
	run_for(4 * WI_SEC);
	assert_in_range(server[0].served, (uint64_t)n_reads * 95 / 100, n_reads);
}

static void twice_the_weight_is_twice_the_share(void **state)
{
	(void)state;
	start(3, WI_MS, 2 * WI_MS);
	server[0].load.weight = 200;
	run_for(20 * WI_SEC);
	assert_in_range(server[0].served * 100 / (uint64_t)n_reads, 47, 53);
}

/* ---- the gauge alone ---- */

static void a_rise_is_seen_at_once_and_fades_slowly(void **state)
{
	struct wi_gauge g = {{0, 0}, {0, 0}};

	(void)state;
	for (int i = 0; i < 2000; i++)
		wi_gauge_add(&g, 2, 20, TICK_NS); /* 1 ms */
	assert_in_range((int64_t)wi_gauge_ns(&g, 0), 950000, 1050000);
	for (int i = 0; i < 10; i++)
		wi_gauge_add(&g, 20, 20, TICK_NS); /* 10 ms */
	assert_true(wi_gauge_ns(&g, 0) > 2 * WI_MS);
	for (int i = 0; i < 200; i++)
		wi_gauge_add(&g, 0, 0, TICK_NS);
	/* Nobody goes there: what it was said to be is remembered, and then forgotten. */
	assert_true(wi_gauge_ns(&g, WI_MS) > 2 * WI_MS);
	for (int i = 0; i < 10000; i++)
		wi_gauge_add(&g, 0, 0, TICK_NS);
	assert_true(wi_gauge_ns(&g, WI_MS) < 2 * WI_MS);
}

static void who_answers_nothing_gets_dearer_by_the_moment(void **state)
{
	struct wi_gauge g = {{0, 0}, {0, 0}};

	(void)state;
	for (int i = 0; i < 1000; i++)
		wi_gauge_add(&g, 2, 20, TICK_NS);
	for (int i = 0; i < 100; i++)
		wi_gauge_add(&g, 20, 0, TICK_NS);
	assert_true(wi_gauge_ns(&g, WI_MS) > 2 * WI_MS);
}

static void a_slow_start_begins_with_hardly_anything(void **state)
{
	(void)state;
	assert_true(wi_gauge_started(0, WI_SEC) < 0.01);
	assert_true(wi_gauge_started(WI_SEC / 2, WI_SEC) == 0.25);
	assert_true(wi_gauge_started(WI_SEC, WI_SEC) == 1);
	assert_true(wi_gauge_started(2 * WI_SEC, WI_SEC) == 1);
	assert_true(wi_gauge_started(0, 0) == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_hosts_have_equal_shares),
		cmocka_unit_test(one_that_is_ten_times_slower_is_not_felt),
		cmocka_unit_test(with_little_to_go_by_it_is_hardly_felt),
		cmocka_unit_test(a_cold_one_that_returns_makes_no_step),
		cmocka_unit_test(a_slow_zone_is_left_and_come_back_to),
		cmocka_unit_test(twice_the_weight_is_twice_the_share),
		cmocka_unit_test(a_rise_is_seen_at_once_and_fades_slowly),
		cmocka_unit_test(who_answers_nothing_gets_dearer_by_the_moment),
		cmocka_unit_test(a_slow_start_begins_with_hardly_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

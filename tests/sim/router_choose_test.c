/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who of a router's hosts is chosen, where all of them are well: by intent, policy, load and zone;
 * and how they are listed where none is.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fault.h"
#include "route/router.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	options.probe_interval_ms = 50;
	return 0;
}

/* ---- choosing ---- */

static void writes_go_to_the_primary_only(void **state)
{
	(void)state;
	open_warm();
	for (int i = 0; i < 1000; i++) {
		weir_reason reason;

		assert_int_equal(visit_why(WEIR_WRITE, &reason), 0);
		assert_int_equal(reason, WEIR_REASON_WRITE);
	}
	assert_int_equal(stats_of(0).writes, 1000);
	assert_int_equal(stats_of(0).reads, 0);
	assert_int_equal(stats_of(1).writes + stats_of(2).writes, 0);
}

static bool is_shared(int reads, int least, int most)
{
	int seen[3] = {0};

	open_warm();
	for (int i = 0; i < reads; i++)
		seen[visit(WEIR_READ)]++;
	assert_int_equal(seen[0], 0);
	assert_int_equal(stats_of(1).reads, seen[1]);
	assert_int_equal(stats_of(2).reads, seen[2]);
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	return seen[1] >= least && seen[1] <= most;
}

/*
 * Where a thread stands still with a connection out, its host looks slow, and gets less for as long
 * as that is remembered: then a new router is asked, which has seen nothing.
 */
static void reads_are_shared_by(const char *policy, int reads, int least, int most)
{
	assert_int_equal(weir_options_set(&options, "balance", policy, &said), WEIR_OK);
	for (int tries = least < most ? 10 : 1; !is_shared(reads, least, most); tries--)
		assert_true(tries > 1);
}

/* Of 4000 fair coins, less than 1700 or more than 2300 heads come once in 10^20 runs. */
static void p2c_shares_reads(void **state)
{
	(void)state;
	reads_are_shared_by("p2c", 4000, 1700, 2300);
}

static void random_shares_reads(void **state)
{
	(void)state;
	reads_are_shared_by("random", 4000, 1700, 2300);
}

static void least_shares_reads(void **state)
{
	(void)state;
	reads_are_shared_by("least", 4000, 1700, 2300);
}

static void round_robin_shares_reads_exactly(void **state)
{
	(void)state;
	reads_are_shared_by("round_robin", 4000, 2000, 2000);
}

static void first_reads_from_the_first(void **state)
{
	(void)state;
	reads_are_shared_by("first", 500, 500, 500);
}

/* p2c and least see what is out: with two out of one host, the next two go to the other. */
static void the_less_loaded_is_chosen(void **state)
{
	weir_conn *held[20] = {NULL};
	int seen[3] = {0};

	(void)state;
	options.pool_min = options.pool_max = 10;
	assert_int_equal(weir_options_set(&options, "balance", "least", &said), WEIR_OK);
	open_warm();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(weir_checkout(router, WEIR_READ, &held[i], &said), WEIR_OK);
		seen[fake_host_of(held[i])]++;
	}
	assert_int_equal(seen[1], 10);
	assert_int_equal(seen[2], 10);
	for (int i = 0; i < 20; i++)
		weir_checkin(&held[i]);
}

static void a_busy_replica_is_passed_over(void **state)
{
	weir_conn *a = NULL, *b = NULL, *c = NULL;
	weir_request no_wait = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = WEIR_NO_WAIT);
	weir_conn_info info;

	(void)state;
	options.pool_min = options.pool_max = 1;
	assert_int_equal(weir_options_set(&options, "balance", "first", &said), WEIR_OK);
	open_warm();
	assert_int_equal(weir_checkout(router, WEIR_READ, &a, &said), WEIR_OK);
	assert_int_equal(fake_host_of(a), 1);
	assert_int_equal(weir_checkout(router, WEIR_READ, &b, &said), WEIR_OK);
	assert_int_equal(fake_host_of(b), 2);
	assert_int_equal(weir_conn_info_get(b, &info), WEIR_OK);
	assert_int_equal(info.reason, WEIR_REASON_SPILLED);
	/* Both are busy: that is no reason to load the primary. */
	assert_int_equal(weir_checkout_with(router, &no_wait, &c, &said), WEIR_EXHAUSTED);
	assert_null(c);
	weir_checkin(&a);
	weir_checkin(&b);
	assert_int_equal(stats_of(0).fallback_reads, 0);
}

/* Else the one that was first would read for both. */
static void a_replica_with_nothing_open_gets_its_first_connection(void **state)
{
	(void)state;
	options.pool_min = 0;
	options.pool_max = 2;
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &said), WEIR_OK);
	for (int i = 0; i < 2000 && !(stats_of(1).pool.opened && stats_of(2).pool.opened); i++) {
		assert_int_equal(weir_router_probe(router, 20000), WEIR_OK);
		(void)visit(WEIR_READ);
	}
	assert_true(stats_of(1).pool.opened > 0);
	assert_true(stats_of(2).pool.opened > 0);
}

struct reader {
	pthread_t thread;
	weir_status st;
	int host;
};

static void *read_once(void *arg)
{
	struct reader *reader = arg;
	weir_conn *c = NULL;

	reader->st = weir_checkout(router, WEIR_READ, &c, NULL);
	reader->host = reader->st == WEIR_OK ? fake_host_of(c) : -1;
	weir_checkin(&c);
	return NULL;
}

/* It waits at the first; the second is given back. */
static void who_waits_at_one_host_takes_what_another_has(void **state)
{
	weir_conn *held[2] = {NULL, NULL};
	struct reader reader;

	(void)state;
	options.pool_min = options.pool_max = 1;
	assert_int_equal(weir_options_set(&options, "balance", "first", &said), WEIR_OK);
	open_warm();
	for (int i = 0; i < 2; i++)
		assert_int_equal(weir_checkout(router, WEIR_READ, &held[i], &said), WEIR_OK);
	assert_int_equal(pthread_create(&reader.thread, NULL, read_once, &reader), 0);
	while (!stats_of(1).pool.waiting)
		continue;
	weir_checkin(&held[1]);
	pthread_join(reader.thread, NULL);
	weir_checkin(&held[0]);
	assert_int_equal(reader.st, WEIR_OK);
	assert_int_equal(reader.host, 2);
	assert_int_equal(stats_of(1).pool.timeouts, 0);
}

/* A hundred reads in a row; where one stood still on its way, its zone is slow for a while. */
static void await_reads_at(int host)
{
	const int64_t until_ns = wi_now_ns() + 30 * WI_SEC;

	for (int n = 0; n < 100; n = visit(WEIR_READ) == host ? n + 1 : 0)
		assert_true(wi_now_ns() < until_ns);
}

static void the_own_zone_comes_first(void **state)
{
	weir_request far = WEIR_REQUEST(.intent = WEIR_READ, .zone = "west");
	weir_conn *held = NULL;
	weir_reason reason;

	(void)state;
	options.pool_min = options.pool_max = 1;
	assert_int_equal(weir_options_set(&options, "zone", "east", &said), WEIR_OK);
	assert_int_equal(weir_options_set(&options, "host_zones", "east,west,east", &said),
	                 WEIR_OK);
	open_warm();
	assert_string_equal(stats_of(1).zone, "west");
	await_reads_at(2);
	assert_int_equal(visit_with(&far), 1);
	assert_int_equal(weir_checkout(router, WEIR_READ, &held, &said), WEIR_OK);
	assert_int_equal(fake_host_of(held), 2);
	assert_int_equal(visit_why(WEIR_READ, &reason), 1);
	assert_int_equal(reason, WEIR_REASON_SPILLED);
	weir_checkin(&held);
}

static int set_up_four(void **state)
{
	set_up(state);
	fake_cluster_fini(&cluster);
	fake_cluster_init(&cluster, 4);
	return 0;
}

/* One of the zone is busy: the other one helps out, and only where both are, one beyond. */
static void a_busy_host_is_helped_by_its_own_zone_first(void **state)
{
	weir_conn *held[2] = {NULL};
	weir_reason reason;

	(void)state;
	options.pool_min = options.pool_max = 1;
	assert_int_equal(weir_options_set(&options, "balance", "first", &said), WEIR_OK);
	assert_int_equal(weir_options_set(&options, "zone", "east", &said), WEIR_OK);
	assert_int_equal(weir_options_set(&options, "host_zones", "east,east,west,east", &said),
	                 WEIR_OK);
	open_warm();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(weir_checkout(router, WEIR_READ, &held[i], &said), WEIR_OK);
		assert_int_equal(fake_host_of(held[i]), i ? 3 : 1);
		for (int k = 0; k < 50; k++) {
			assert_int_equal(visit_why(WEIR_READ, &reason), i ? 2 : 3);
			assert_int_equal(reason, WEIR_REASON_SPILLED);
		}
	}
	for (int i = 0; i < 2; i++)
		weir_checkin(&held[i]);
}

#define CROWD 64

static int count_named(const char *text, const char *what)
{
	int n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

/* Opens a router on n servers that all refuse, and says what a write is told. */
static void ask_a_crowd(int n, const char *names)
{
	static struct wi_fake_server server[CROWD];
	void *scripts[CROWD];
	const struct wi_router_config config = {.driver = &wi_driver_fake,
	                                        .world = &wi_world_linux,
	                                        .scripts = scripts,
	                                        .n_scripts = (size_t)n};
	weir_request q = WEIR_REQUEST(.intent = WEIR_WRITE, .timeout_ms = 20);
	weir_router *crowd;
	weir_conn *c = NULL;
	char conninfo[CROWD * 64] = "postgresql://app@";

	for (int i = 0; i < n; i++) {
		size_t length = strlen(conninfo);

		wi_fake_server_init(&server[i]);
		wi_store_rlx(&server[i].connect_fault, WI_FAULT_REFUSED);
		scripts[i] = &server[i];
		snprintf(conninfo + length, sizeof(conninfo) - length, names, i ? "," : "", i);
	}
	strcat(conninfo, "/shop");
	assert_int_equal(wi_router_open_with(&config, conninfo, &options, &crowd, &said), WEIR_OK);
	assert_int_equal(weir_router_probe(crowd, 20000), WEIR_OK);
	assert_int_equal(weir_checkout_with(crowd, &q, &c, &said), WEIR_UNAVAILABLE);
	assert_int_equal(weir_router_close(&crowd, 10000), WEIR_OK);
	for (int i = 0; i < n; i++)
		wi_fake_server_fini(&server[i]);
}

/* Names and roles come first, and errors get what is left. */
static void every_host_of_many_is_named(void **state)
{
	static const int sizes[] = {2, 8, 24, 50};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ask_a_crowd(sizes[i], "%s127.0.0.1:%d1");
		assert_int_equal(count_named(said.text, "1: unknown"), sizes[i]);
		assert_int_equal(count_named(said.text, "1: unknown: c"), sizes[i]);
	}
	ask_a_crowd(CROWD, "%s127.100.100.100:200%02d");
	assert_true(count_named(said.text, ": unknown") > 40);
	assert_non_null(strstr(said.text, "\nand "));
	assert_string_equal(said.text + strlen(said.text) - 5, " more");
}

static void more_zones_than_hosts_are_refused(void **state)
{
	(void)state;
	assert_int_equal(weir_options_set(&options, "host_zones", "a,b,c,d", &said), WEIR_OK);
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &said), WEIR_INVALID);
	assert_null(router);
	assert_non_null(strstr(said.text, "host_zones"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		TEST(writes_go_to_the_primary_only),
		TEST(p2c_shares_reads),
		TEST(random_shares_reads),
		TEST(least_shares_reads),
		TEST(round_robin_shares_reads_exactly),
		TEST(first_reads_from_the_first),
		TEST(the_less_loaded_is_chosen),
		TEST(a_busy_replica_is_passed_over),
		TEST(a_replica_with_nothing_open_gets_its_first_connection),
		TEST(who_waits_at_one_host_takes_what_another_has),
		TEST(the_own_zone_comes_first),
		cmocka_unit_test_setup_teardown(a_busy_host_is_helped_by_its_own_zone_first,
	                                        set_up_four, fake_router_end),
		TEST(every_host_of_many_is_named),
		TEST(more_zones_than_hosts_are_refused),
	};

	test_watchdog(110, "the simulation of who is chosen");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

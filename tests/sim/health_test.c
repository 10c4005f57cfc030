/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weir_router_health and weir_pool_health over fake servers: well, without a primary, crowded,
 * silent, suspended, down; and that no look waits where it need not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weir/health.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fault.h"
#include "route/router.h"
#include "support/fake_cluster.h"
#include "support/sim.h"
#include "support/watchdog.h"

#define LONG_MS 60000

static struct fake_cluster cluster;
static weir_options options;
static weir_router *router;
static weir_error error;
static weir_health health;

static int set_up(void **state)
{
	(void)state;
	fake_cluster_init(&cluster, 3);
	weir_options_init(&options);
	options.probe_interval_ms = 20;
	options.connect_timeout_ms = 2000;
	options.checkout_timeout_ms = 20000;
	options.pool_min = 1;
	options.pool_max = 2;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	fake_cluster_fini(&cluster);
	return 0;
}

static void open_calm(void)
{
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	fake_cluster_calm(router, 1);
}

static void look(int64_t timeout_ms)
{
	memset(&health, 0xAA, sizeof(health));
	health.size = sizeof(health);
	assert_int_equal(weir_router_health(router, timeout_ms, &health, &error), WEIR_OK);
	assert_int_equal(health.size, sizeof(health));
}

/* Looks until it is so, and says so in these words. */
static void await(weir_health_status status, const char *why)
{
	do {
		look(LONG_MS);
	} while (health.status != status || !strstr(health.why, why));
}

static void all_is_well(void **state)
{
	(void)state;
	open_calm();
	await(WEIR_HEALTHY, "");
	assert_string_equal(health.why, "");
	assert_true(health.reads && health.writes && health.answered && !health.suspended);
	assert_int_equal(health.read_status, WEIR_OK);
	assert_int_equal(health.write_status, WEIR_OK);
	assert_int_equal(health.role, WEIR_ROLE_REPLICA);
	assert_string_not_equal(health.host, fake_host_name(0));
	assert_string_equal(health.primary, fake_host_name(0));
	assert_int_equal(health.server_version, 150007);
	assert_int_equal(health.server_time_us, 1700000000123456);
	assert_string_equal(health.database, "shop");
	assert_string_equal(health.user, "app");
	assert_true(health.round_trip_ns > 0);
	assert_int_equal(health.hosts, 3);
	assert_int_equal(health.reachable, 3);
	assert_int_equal(health.replicas, 2);
	assert_int_equal(health.max, 6);
	assert_int_equal(health.busy, 0);
}

/* Nothing is open, and the hosts have not been looked at: that is waited for. */
static void a_new_router_is_waited_for(void **state)
{
	(void)state;
	options.pool_min = 0;
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	look(LONG_MS);
	assert_true(health.reads && health.writes && health.answered);
}

static void nothing_is_asked_with_no_time(void **state)
{
	uint64_t before = 0, after = 0;

	(void)state;
	options.probe_interval_ms = 3600000;
	open_calm();
	for (int i = 0; i < 3; i++)
		before += wi_load_seq(&cluster.host[i].server.queries);
	look(0);
	for (int i = 0; i < 3; i++)
		after += wi_load_seq(&cluster.host[i].server.queries);
	assert_int_equal(before, after);
	assert_false(health.answered);
	assert_true(health.reads && health.writes);
	assert_int_equal(health.status, WEIR_HEALTHY);
}

static void without_a_primary_reads_go_on(void **state)
{
	(void)state;
	open_calm();
	fake_host_down(&cluster, 0, true);
	do {
		await(WEIR_DEGRADED, "127.0.0.1:6000: does not answer");
	} while (health.write_status != WEIR_UNAVAILABLE || !health.answered);
	assert_true(health.reads);
	assert_false(health.writes);
	assert_non_null(strstr(health.why, "writes are not served"));
	assert_string_equal(health.primary, "");
	assert_int_equal(health.reachable, 2);
	fake_host_down(&cluster, 0, false);
	await(WEIR_HEALTHY, "");
}

static void without_anybody_it_is_unhealthy(void **state)
{
	(void)state;
	open_calm();
	for (int i = 0; i < 3; i++)
		fake_host_down(&cluster, i, true);
	do {
		await(WEIR_UNHEALTHY, "reads are not served");
	} while (health.reachable); /* connections may be known to be dead before their hosts */
	assert_false(health.reads || health.writes || health.answered);
	for (int i = 0; i < 3; i++)
		fake_host_down(&cluster, i, false);
	await(WEIR_HEALTHY, "");
}

/*
 * With all connections out there is an answer at once: this would take a minute for each intent if
 * it waited.
 */
static void a_crowded_router_is_degraded_at_once(void **state)
{
	weir_conn *held[6] = {NULL};
	int64_t began_ns;

	(void)state;
	open_calm();
	for (int i = 0; i < 6; i++) {
		weir_request q = WEIR_REQUEST(.intent = i < 2 ? WEIR_WRITE : WEIR_READ);

		assert_int_equal(weir_checkout_with(router, &q, &held[i], &error), WEIR_OK);
	}
	began_ns = wi_now_ns();
	look(LONG_MS);
	assert_true(wi_now_ns() - began_ns < LONG_MS * WI_MS / 2);
	assert_int_equal(health.status, WEIR_DEGRADED);
	assert_int_equal(health.read_status, WEIR_EXHAUSTED);
	assert_int_equal(health.write_status, WEIR_EXHAUSTED);
	assert_true(health.reads && health.writes);
	assert_false(health.answered);
	assert_int_equal(health.busy, 6);
	assert_non_null(strstr(health.why, "all 2 connections are out"));
	for (int i = 0; i < 6; i++)
		weir_checkin(&held[i]);
	await(WEIR_HEALTHY, "");
}

/* A server that takes connections and says nothing more. */
static void a_silent_server_ends_the_look_in_time(void **state)
{
	(void)state;
	options.probe_interval_ms = 3600000;
	open_calm();
	for (int i = 0; i < 3; i++)
		wi_store_seq(&cluster.host[i].server.silent, true);
	look(50);
	assert_int_equal(health.status, WEIR_UNHEALTHY);
	assert_int_equal(health.read_status, WEIR_TIMEOUT);
	assert_false(health.answered);
	assert_non_null(strstr(health.why, "no answer in time"));
	for (int i = 0; i < 3; i++)
		wi_store_seq(&cluster.host[i].server.silent, false);
	await(WEIR_HEALTHY, "");
}

/* What has died since anybody looked is no reason to be ill: another connection is asked. */
static void a_dead_connection_is_not_the_last_word(void **state)
{
	(void)state;
	open_calm();
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 3; i++)
			wi_fake_kill(&cluster.host[i].server);
		look(LONG_MS);
		assert_int_not_equal(health.read_status, WEIR_OUTCOME_UNKNOWN);
	}
	await(WEIR_HEALTHY, "");
}

static void a_suspended_router_says_so(void **state)
{
	(void)state;
	open_calm();
	assert_int_equal(weir_router_suspend(router, WEIR_SUSPEND_WAIT), WEIR_OK);
	look(LONG_MS);
	assert_int_equal(health.status, WEIR_DEGRADED);
	assert_true(health.suspended);
	assert_false(health.reads || health.writes);
	assert_non_null(strstr(health.why, "suspended"));
	assert_int_equal(weir_router_resume(router), WEIR_OK);
	await(WEIR_HEALTHY, "");
}

static void no_replica_is_told(void **state)
{
	(void)state;
	options.read_fallback = WEIR_READ_FALLBACK_FAIL;
	open_calm();
	fake_host_down(&cluster, 1, true);
	fake_host_down(&cluster, 2, true);
	await(WEIR_DEGRADED, "reads are not served");
	assert_true(health.writes && health.answered);
	assert_string_equal(health.host, fake_host_name(0));
	assert_int_equal(health.role, WEIR_ROLE_PRIMARY);
}

/* A caller compiled against a shorter struct gets what it knows, and nothing beyond. */
static void a_short_struct_is_not_written_beyond(void **state)
{
	weir_health h;

	(void)state;
	open_calm();
	memset(&h, 0x55, sizeof(h));
	h.size = offsetof(weir_health, host);
	assert_int_equal(weir_router_health(router, 0, &h, NULL), WEIR_OK);
	assert_int_equal(h.size, offsetof(weir_health, host));
	assert_int_equal(h.host[0], 0x55);
	assert_int_equal(weir_router_health(NULL, 0, &h, &error), WEIR_INVALID);
	assert_int_equal(weir_pool_health(NULL, 0, &h, &error), WEIR_INVALID);
	assert_int_equal(weir_router_health(router, 0, NULL, &error), WEIR_INVALID);
	assert_string_equal(weir_health_name(WEIR_DEGRADED), "degraded");
	assert_string_equal(weir_health_name((weir_health_status)7), "unknown");
}

/* ---- a pool, in a world whose clock moves only when nothing else can happen ---- */

static void look_at_pool(int64_t timeout_ms)
{
	health = (weir_health){.size = sizeof(health)};
	assert_int_equal(weir_pool_health(sim_pool(), timeout_ms, &health, &error), WEIR_OK);
}

static void a_pool_is_well_crowded_and_down(void **state)
{
	weir_conn *c;

	(void)state;
	sim_options(&options);
	options.pool_max = 1;
	assert_int_equal(sim_open(&options), WEIR_OK);
	look_at_pool(1000);
	assert_int_equal(health.status, WEIR_HEALTHY);
	assert_true(health.answered && health.reads && health.writes);
	assert_int_equal(health.max, 1);
	c = sim_checkout(0);
	look_at_pool(1000);
	assert_int_equal(health.status, WEIR_DEGRADED);
	assert_false(health.answered);
	assert_true(health.reads && health.writes);
	weir_checkin(&c);
	wi_store_seq(&sim_server()->connect_fault, WI_FAULT_REFUSED);
	wi_fake_kill(sim_server());
	sim_settle();
	look_at_pool(1000);
	assert_int_equal(health.status, WEIR_UNHEALTHY);
	assert_non_null(strstr(health.why, "reads are not served"));
	wi_store_seq(&sim_server()->connect_fault, WI_FAULT_NONE);
	sim_run(120000);
	look_at_pool(1000);
	assert_int_equal(health.status, WEIR_HEALTHY);
	assert_int_equal(sim_close(), 0);
}

static _Thread_local bool looks;
static int seen_outside;

/* It asks for the time between all that it does. */
static int64_t now_of_a_look(void)
{
	if (looks && !wi_load_seq(&router->inside))
		seen_outside++;
	return wi_world_linux.now();
}

/* Who closes the router frees it under nobody's feet. */
static void a_look_is_inside_from_its_first_to_its_last_step(void **state)
{
	struct wi_world world = wi_world_linux;

	world.now = now_of_a_look;
	cluster.world = &world;
	options.pool_min = 0;
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	looks = true;
	seen_outside = 0;
	look(LONG_MS);
	looks = false;
	assert_int_equal(seen_outside, 0);
	assert_int_equal(tear_down(state), 0); /* before the world ends */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_is_well, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_new_router_is_waited_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_asked_with_no_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_a_primary_reads_go_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_anybody_it_is_unhealthy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_crowded_router_is_degraded_at_once, set_up,
	                                        tear_down),
		cmocka_unit_test_setup_teardown(a_silent_server_ends_the_look_in_time, set_up,
	                                        tear_down),
		cmocka_unit_test_setup_teardown(a_dead_connection_is_not_the_last_word, set_up,
	                                        tear_down),
		cmocka_unit_test_setup_teardown(a_suspended_router_says_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_replica_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_short_struct_is_not_written_beyond, set_up,
	                                        tear_down),
		cmocka_unit_test_setup(a_look_is_inside_from_its_first_to_its_last_step, set_up),
		cmocka_unit_test(a_pool_is_well_crowded_and_down),
	};

	test_watchdog(100, "the looks at health");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

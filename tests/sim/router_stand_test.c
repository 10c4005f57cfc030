/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a replica stands among the others: slowly up to its share when it is back, and left out for a
 * while when it loses connections; but never all of them, and not for being full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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
	options.probe_interval_ms = 20;
	options.slow_start_ms = 500;
	options.hold_down_ms = 0;
	options.breaker_failures = 0;
	return 0;
}

/* Which host a read went to; *pid is its server process. */
static int read_once(int *pid)
{
	weir_conn *c = NULL;
	weir_conn_info info;
	int host;

	assert_int_equal(weir_checkout(router, WEIR_READ, &c, &said), WEIR_OK);
	assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
	host = fake_host_of(c);
	if (pid)
		*pid = info.backend_pid;
	weir_checkin(&c);
	return host;
}

static int reads_of(int host, int n)
{
	int seen = 0;

	for (int i = 0; i < n; i++)
		seen += read_once(NULL) == host;
	return seen;
}

/* Of 2000, about half: at last, where a thread stood still and its host looked slow for it. */
static void await_its_share(int host)
{
	const int64_t until_ns = wi_now_ns() + 30 * WI_SEC;

	while (wi_now_ns() < until_ns) {
		int n = reads_of(host, 2000);

		if (n >= 700 && n <= 1300)
			return;
	}
	fail_msg("host %d gets another share than the other", host);
}

static void restart(int i)
{
	wi_add_rlx(&cluster.host[i].started, 1000000);
	probe();
}

/* ---- slow start ---- */

static void the_first_opening_is_no_return(void **state)
{
	(void)state;
	open_warm();
	for (int i = 1; i < 3; i++)
		assert_int_equal(stats_of(i).started_pct, 100);
	await_its_share(1);
}

static void a_restarted_replica_begins_slowly(void **state)
{
	uint32_t now, before = 0, draws;
	int64_t begun_ns;
	int reads;

	(void)state;
	options.slow_start_ms = 2000;
	open_warm();
	for (int tries = 10;; tries--) { /* once more where the other one looked slow meanwhile */
		begun_ns = wi_now_ns();
		restart(1);
		now = stats_of(1).started_pct;
		assert_true(now <= 20 + (wi_now_ns() - begun_ns) / (20 * WI_MS));
		reads = reads_of(1, 500);
		if (reads <= 150 + 5 * (wi_now_ns() - begun_ns) / (20 * WI_MS))
			break;
		assert_true(tries > 1);
	}
	for (;;) {
		draws = stats_of(1).draws_pct;
		now = stats_of(1).started_pct;
		if (now == 100)
			break;
		assert_true(now >= before);
		assert_true(draws <= now + 1);
		before = now;
		read_once(NULL);
	}
	assert_true(before > 0);
	await_its_share(1);
}

/* Until it has answered a few times it serves nothing, if another one can. */
static void it_is_on_trial_first(void **state)
{
	uint64_t answers;
	uint32_t started;
	int reads;

	(void)state;
	options.probe_interval_ms = 3600000; /* but every 100 ms for a while after a change */
	open_warm();
	do {
		answers = wi_load_rlx(&cluster.host[1].probes);
		restart(1);
		assert_int_equal(stats_of(1).role, WEIR_ROLE_REPLICA);
		started = stats_of(1).started_pct;
		reads = reads_of(1, 500);
	} while (wi_load_rlx(&cluster.host[1].probes) > answers + 2); /* the watchdog bounds it */
	assert_int_equal(started, 0);
	assert_int_equal(reads, 0);
	for (int i = 0; i < 3; i++)
		probe();
	assert_true(stats_of(1).started_pct > 0);
	while (stats_of(1).started_pct < 100)
		read_once(NULL);
}

static void the_only_one_serves_at_once(void **state)
{
	(void)state;
	options.probe_interval_ms = 3600000;
	options.slow_start_ms = 3600000;
	fake_host_down(&cluster, 2, true);
	open_warm();
	restart(1);
	assert_in_range(stats_of(1).started_pct, 0, 1); /* on trial, or at the very beginning */
	assert_int_equal(reads_of(1, 100), 100);
}

/* The same server, and away for less than a slow start takes: its cache is warm. */
static void a_moment_away_is_no_return(void **state)
{
	(void)state;
	options.slow_start_ms = 3600000;
	open_warm();
	fake_host_down(&cluster, 1, true);
	while (stats_of(1).role != WEIR_ROLE_UNKNOWN)
		probe();
	fake_host_down(&cluster, 1, false);
	while (stats_of(1).role != WEIR_ROLE_REPLICA)
		probe();
	assert_int_equal(stats_of(1).started_pct, 100);
}

static void without_a_window_it_serves_at_once(void **state)
{
	(void)state;
	options.slow_start_ms = 0;
	open_warm();
	restart(1);
	fake_cluster_calm(router, 1); /* its connections are asked who answers there */
	assert_int_equal(stats_of(1).started_pct, 100);
	await_its_share(1);
}

/* ---- left out ---- */

/* Ends a session of that host's pool which is idle, and waits until that is known. */
static void lose_one(int host)
{
	uint64_t before = stats_of(host).pool.lost;
	int pid = 0;

	for (int i = 0; i < 64; i++) {
		if (read_once(&pid) != host)
			continue;
		if (wi_fake_kill_one(&cluster.host[host].server, (uint64_t)pid))
			while (stats_of(host).pool.lost == before)
				continue;
		return;
	}
}

static void who_loses_connections_is_left_out_for_a_while(void **state)
{
	(void)state;
	options.eject_ms = 300;
	options.slow_start_ms = 0;
	open_warm();
	while (!stats_of(1).ejections)
		lose_one(1);
	assert_in_range(stats_of(1).ejected_lost, 5, 100000);
	assert_int_equal(stats_of(1).role, WEIR_ROLE_REPLICA);
	while (!wi_load_seq(&told[WEIR_EVENT_EJECTED]))
		continue;
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_EJECTED]), 1);
	probe(); /* what is told is true for callers with the next snapshot */
	while (!wi_load_seq(&told[WEIR_EVENT_READMITTED])) {
		int host = read_once(NULL);

		/* It may have come back just now. */
		assert_true(host == 2 || wi_load_seq(&told[WEIR_EVENT_READMITTED]));
	}
	while (!reads_of(1, 10))
		continue;
	assert_int_equal(stats_of(1).ejected_ms, 0);
}

static void an_operator_takes_it_back(void **state)
{
	(void)state;
	options.eject_ms = 3600000;
	options.slow_start_ms = 0;
	open_warm();
	while (!stats_of(1).ejected_ms)
		lose_one(1);
	assert_int_equal(weir_router_host_drain(router, fake_host_name(1), true, &said), WEIR_OK);
	while (!stats_of(1).drained || stats_of(1).ejected_ms)
		probe();
	assert_int_equal(weir_router_host_drain(router, fake_host_name(1), false, &said), WEIR_OK);
	while (stats_of(1).drained)
		probe();
	while (!reads_of(1, 10))
		continue;
	assert_int_equal(stats_of(1).ejections, 1);
}

/* Both lose connections: one is left out, the other goes on. */
static void never_all_of_them(void **state)
{
	(void)state;
	options.eject_ms = 3600000;
	open_warm();
	while (!stats_of(1).ejections)
		lose_one(1);
	for (int i = 0; i < 3; i++) {
		int64_t until_ns = wi_now_ns() + 600 * WI_MS;

		while (wi_now_ns() < until_ns || stats_of(2).pool.lost < 7 * (i + 1U))
			lose_one(2);
	}
	probe();
	assert_int_equal(stats_of(2).ejections, 0);
	assert_int_equal(reads_of(2, 100), 100);
}

/* All of its connections at once, as an operator may end them: that is one event. */
static void one_burst_is_no_sickness(void **state)
{
	weir_conn *c[20] = {NULL};
	weir_conn_info info;
	uint64_t pid[20] = {0};

	(void)state;
	options.pool_min = options.pool_max = 10;
	options.slow_start_ms = 0;
	open_warm();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(weir_checkout(router, WEIR_READ, &c[i], &said), WEIR_OK);
		assert_int_equal(weir_conn_info_get(c[i], &info), WEIR_OK);
		if (fake_host_of(c[i]) == 1)
			pid[i] = (uint64_t)info.backend_pid;
	}
	for (int i = 0; i < 20; i++)
		weir_checkin(&c[i]);
	for (int i = 0; i < 20; i++)
		if (pid[i])
			wi_fake_kill_one(&cluster.host[1].server, pid[i]);
	while (stats_of(1).pool.lost < 10)
		probe();
	for (int i = 0; i < 20; i++)
		probe();
	assert_int_equal(stats_of(1).ejections, 0);
}

/* No room for a session, no idle connection in time: it is not sick, and keeps its share. */
static void being_full_is_no_sickness(void **state)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = 50);
	weir_conn *held[8] = {NULL}, *c = NULL;
	int64_t until_ns;

	(void)state;
	options.pool_min = 1;
	options.pool_max = 4;
	wi_store_rlx(&cluster.host[1].server.max_sessions, 2); /* one is the probe's */
	open_warm();
	for (int i = 0; i < 8; i++)
		if (weir_checkout_with(router, &q, &held[i], &said) != WEIR_OK)
			i = 8; /* both are full */
	until_ns = wi_now_ns() + 1800 * WI_MS;
	while (wi_now_ns() < until_ns ||
	       !stats_of(1).pool.connect_failed_of[WEIR_CONNECT_CAPACITY]) {
		if (weir_checkout_with(router, &q, &c, &said) == WEIR_OK)
			weir_checkin(&c);
		assert_int_equal(stats_of(1).role, WEIR_ROLE_REPLICA);
	}
	assert_int_equal(stats_of(1).ejections, 0);
	for (int i = 0; i < 8; i++)
		weir_checkin(&held[i]);
	while (!reads_of(1, 10))
		continue;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_first_opening_is_no_return, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(a_restarted_replica_begins_slowly, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(it_is_on_trial_first, set_up, fake_router_end),
		cmocka_unit_test_setup_teardown(the_only_one_serves_at_once, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(a_moment_away_is_no_return, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(without_a_window_it_serves_at_once, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(who_loses_connections_is_left_out_for_a_while,
	                                        set_up, fake_router_end),
		cmocka_unit_test_setup_teardown(an_operator_takes_it_back, set_up, fake_router_end),
		cmocka_unit_test_setup_teardown(never_all_of_them, set_up, fake_router_end),
		cmocka_unit_test_setup_teardown(one_burst_is_no_sickness, set_up, fake_router_end),
		cmocka_unit_test_setup_teardown(being_full_is_no_sickness, set_up, fake_router_end),
	};

	test_watchdog(100, "how replicas stand");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

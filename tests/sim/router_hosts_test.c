/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hosts that are added to a router, removed, drained and changed while it runs: who is chosen, what
 * becomes of connections that are out and of callers that wait, what the operator is told.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "route/router.h"
#include "support/fake_router.h"
#include "support/threads.h"
#include "support/watchdog.h"

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(4);
	options.probe_interval_ms = 50;
	options.pool_min = 1;
	options.pool_max = 2;
	options.slow_start_ms = 0; /* who comes serves at once */
	return 0;
}

/* It has one that is ready, and all that was to be asked of those that are open is answered. */
static void await_idle(int i)
{
	for (int times = 0; times < 3; a_moment()) {
		weir_pool_stats s = stats_of(i).pool;

		times = s.idle && !s.kept && !s.doubted ? times + 1 : 0;
	}
}

/* It gets some: a host that has just come gets few at first. */
static void await_reads(int i)
{
	int of[FAKE_HOSTS];

	do
		count_reads(50, of);
	while (!of[i]);
}

/* It gets all of them: at last, as a zone where one stood still looks slow for a while. */
static void await_all_reads(int i)
{
	int of[FAKE_HOSTS];

	do
		count_reads(100, of);
	while (of[i] < 100); /* the watchdog bounds it */
}

/* ---- adding ---- */

static void an_added_host_serves_reads(void **state)
{
	int of[FAKE_HOSTS];

	(void)state;
	open_first(2);
	count_reads(100, of);
	assert_int_equal(of[1], 100);
	add_host(2);
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_HOST_ADDED]), 1);
	assert_int_equal(stats_of(2).role, WEIR_ROLE_REPLICA);
	assert_int_equal(stats_of(2).weight, 100);
	await_reads(2);
	await_reads(1);
	count_reads(400, of);
	assert_int_equal(of[1] + of[2], 400);
	assert_int_equal(weir_router_stats_get(router, NULL, 0), 3);
}

static void an_added_primary_takes_the_writes(void **state)
{
	(void)state;
	open_first(2);
	assert_int_equal(visit(WEIR_WRITE), 0);
	fake_cluster_promote(&cluster, 3);
	add_host(3);
	assert_int_equal(visit(WEIR_WRITE), 3);
}

/* The first look is over: who comes later does not take away what is known. */
static void an_added_host_that_says_nothing_unsettles_nobody(void **state)
{
	weir_host_stats s;
	weir_conn *c = NULL;

	(void)state;
	options.probe_interval_ms = 20000; /* and so long the first look at it takes */
	options.connect_timeout_ms = 20000;
	open_first(2);
	wi_store_rlx(&cluster.host[2].server.silent, true);
	must(weir_router_host_add(router, fake_host_name(2), NULL, &said));
	for (int i = 0; i < 50; i++) {
		must(weir_checkout_with(router, &WEIR_REQUEST(.timeout_ms = 5000), &c, &said));
		weir_checkin(&c);
		a_moment();
	}
	assert_true(find_host(2, &s, false));
	assert_int_equal(s.role, WEIR_ROLE_UNKNOWN);
	assert_int_equal(stats_of(0).role, WEIR_ROLE_PRIMARY);
	remove_host(2);
	wi_store_rlx(&cluster.host[2].server.silent, false);
}

/* What was said to all hosts holds for who comes later. */
static void an_added_host_follows_suit(void **state)
{
	weir_conn *c = NULL;

	(void)state;
	open_first(2);
	must(weir_router_resize(router, 0, 1, &said));
	must(weir_router_suspend(router, WEIR_SUSPEND_WAIT));
	add_host(2);
	assert_true(stats_of(2).pool.suspended);
	assert_int_equal(weir_checkout_with(router,
	                                    &WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = 30),
	                                    &c, &said),
	                 WEIR_TIMEOUT);
	must(weir_router_resume(router));
	assert_false(stats_of(2).pool.suspended);
	assert_int_equal(stats_of(2).pool.max, 1);
	weir_checkin(&c);
}

/* ---- removing ---- */

static void a_removed_host_gets_nobody_and_its_connections_stay_good(void **state)
{
	int of[FAKE_HOSTS];
	weir_host_stats s;
	weir_conn *c;
	weir_conn_info info;

	(void)state;
	open_first(2);
	c = take(WEIR_READ);
	assert_int_equal(fake_host_of(c), 1);
	add_host(2);
	remove_host(1);
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_HOST_REMOVED]), 1);
	count_reads(200, of);
	assert_int_equal(of[2], 200);
	assert_true(find_host(1, &s, true));
	assert_int_equal(s.pool.busy, 1);
	assert_int_equal(s.role, WEIR_ROLE_UNKNOWN);
	assert_false(find_host(1, &s, false));
	assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
	assert_string_equal(info.host, fake_host_name(1));
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_HOST_LEFT]), 0);
	weir_checkin(&c);
	await_told(WEIR_EVENT_HOST_LEFT, 1);
	while (find_host(1, &s, true))
		a_moment();
	assert_int_equal(weir_router_stats_get(router, NULL, 0), 2);
	while (wi_load_rlx(&cluster.host[1].server.sessions))
		a_moment();
}

/* With nothing out it is gone at once, and what it was made of is given back. */
static void what_a_host_was_made_of_is_given_back(void **state)
{
	size_t before = 0;

	(void)state;
	open_first(2);
	for (int i = 0; i < 5; i++) {
		add_host(2);
		remove_host(2);
		await_told(WEIR_EVENT_HOST_LEFT, i + 1);
		while (weir_router_stats_get(router, NULL, 0) > 2)
			a_moment();
		probe();
		if (i == 1)
			before = wi_alloc_bytes();
	}
	while (wi_alloc_bytes() != before) /* the watchdog bounds it */
		a_moment();
}

static void the_same_name_may_come_again_at_once(void **state)
{
	weir_host_stats s;
	weir_conn *old[3], *c;

	(void)state;
	open_first(2);
	for (int i = 0; i < 3; i++) {
		c = take(WEIR_READ);
		assert_int_equal(fake_host_of(c), 1);
		old[i] = c;
		remove_host(1);
		add_host(1);
		assert_true(find_host(1, &s, true));
		assert_int_equal(stats_of(1).role, WEIR_ROLE_REPLICA);
	}
	assert_int_equal(weir_router_stats_get(router, NULL, 0), 5);
	for (int i = 0; i < 3; i++)
		weir_checkin(&old[i]);
	await_told(WEIR_EVENT_HOST_LEFT, 3);
	while (weir_router_stats_get(router, NULL, 0) > 2)
		a_moment();
}

static void read_once(struct test_thread *self)
{
	weir_conn *c = NULL;
	weir_error e;
	weir_status st = weir_checkout(router, WEIR_READ, &c, &e);

	if (st == WEIR_OK && fake_host_of(c) != 1)
		self->count[0] = 1;
	weir_checkin(&c);
}

static void *remove_soon(void *arg)
{
	(void)arg;
	while (stats_of(1).pool.waiting < 1)
		a_moment();
	must(weir_router_host_add(router, fake_host_name(2), NULL, &said));
	remove_host(1);
	return NULL;
}

/* All of host 1 is out; who waits there is sent to another when it is removed. */
static void who_waits_at_a_removed_host_chooses_another(void **state)
{
	weir_conn *c[2];
	struct test_thread reports[1];
	pthread_t thread;

	(void)state;
	open_first(2);
	for (int i = 0; i < 2; i++)
		c[i] = take(WEIR_READ);
	assert_int_equal(pthread_create(&thread, NULL, remove_soon, NULL), 0);
	test_threads_run(1, read_once, NULL, -1, reports);
	pthread_join(thread, NULL);
	assert_int_equal(reports[0].count[0], 1);
	for (int i = 0; i < 2; i++)
		weir_checkin(&c[i]);
}

static void a_removed_primary_takes_no_writes(void **state)
{
	weir_conn *c = NULL;

	(void)state;
	options.read_fallback = WEIR_READ_FALLBACK_FAIL;
	open_first(3);
	assert_int_equal(visit(WEIR_WRITE), 0);
	remove_host(0);
	assert_int_equal(weir_checkout_with(router, &WEIR_REQUEST(.timeout_ms = 50), &c, &said),
	                 WEIR_UNAVAILABLE);
	assert_null(strstr(said.text, fake_host_name(0)));
	fake_cluster_promote(&cluster, 2);
	assert_int_equal(visit(WEIR_WRITE), 2);
}

/* ---- draining ---- */

static void a_drained_host_rests_and_comes_back(void **state)
{
	int of[FAKE_HOSTS];
	weir_conn *c = NULL;

	(void)state;
	open_first(3);
	while (!c || fake_host_of(c) != 1) {
		weir_checkin(&c);
		c = take(WEIR_READ);
	}
	must(weir_router_host_drain(router, fake_host_name(1), true, &said));
	assert_true(stats_of(1).drained);
	assert_int_equal(stats_of(1).role, WEIR_ROLE_REPLICA);
	count_reads(200, of);
	assert_int_equal(of[2], 200);
	while (stats_of(1).pool.total > 1)
		a_moment();
	assert_int_equal(stats_of(1).pool.busy, 1);
	weir_checkin(&c);
	while (stats_of(1).pool.total > 0)
		a_moment();
	assert_true(stats_of(1).pool.closed[WEIR_CLOSE_DRAINED] > 0);
	must(weir_router_host_drain(router, fake_host_name(1), false, &said));
	await_reads(1);
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_HOST_CHANGED]), 2);
}

/* Nobody could take the writes in its place. It drains when it is no primary any more. */
static void a_drained_primary_drains_when_it_is_none(void **state)
{
	int of[FAKE_HOSTS];

	(void)state;
	open_first(3);
	must(weir_router_host_drain(router, fake_host_name(0), true, &said));
	for (int i = 0; i < 20; i++)
		assert_int_equal(visit(WEIR_WRITE), 0);
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	fake_cluster_promote(&cluster, 1);
	while (visit(WEIR_WRITE) != 1)
		a_moment();
	while (stats_of(0).role != WEIR_ROLE_REPLICA || stats_of(0).pool.total > 0)
		a_moment();
	count_reads(100, of);
	assert_int_equal(of[2], 100);
}

/* ---- a host that is passed over by itself ---- */

/* For as long as it fails and no longer, with a reason that can be read, and nobody else for it. */
static void a_ban_is_one_hosts_has_a_reason_and_an_end(void **state)
{
	int of[FAKE_HOSTS];
	weir_host_stats s;

	(void)state;
	options.breaker_failures = 2;
	options.breaker_open_ms = 50;
	options.breaker_open_max_ms = 200;
	options.hold_down_ms = 0;
	open_first(3);
	fake_host_down(&cluster, 1, true);
	do
		s = stats_of(1);
	while (s.pool.breaker == WEIR_BREAKER_CLOSED || s.role != WEIR_ROLE_UNKNOWN ||
	       s.pool.breaker_since_ms < 0 || !s.pool.last_connect_error[0]);
	assert_non_null(strstr(s.pool.last_connect_error, "refuse"));
	assert_true(s.last_error[0] != '\0');
	assert_true(s.pool.breaker_next_ms <= 200);
	assert_int_equal(stats_of(0).pool.breaker, WEIR_BREAKER_CLOSED);
	assert_int_equal(stats_of(2).pool.breaker, WEIR_BREAKER_CLOSED);
	count_reads(50, of);
	assert_int_equal(of[2], 50);
	fake_host_down(&cluster, 1, false);
	await_idle(1);
	assert_int_equal(stats_of(1).pool.breaker, WEIR_BREAKER_CLOSED);
	await_reads(1);
}

/* ---- zone and weight ---- */

static void zone_and_weight_change_while_it_runs(void **state)
{
	weir_host_settings s;

	(void)state;
	snprintf(options.zone, sizeof(options.zone), "here");
	snprintf(options.host_zones, sizeof(options.host_zones), ",here,there");
	snprintf(options.host_weights, sizeof(options.host_weights), ",50");
	open_first(3);
	assert_int_equal(stats_of(1).weight, 50);
	assert_int_equal(stats_of(2).weight, 100);
	await_idle(1); /* else the reads go on to another zone */
	await_idle(2);
	await_all_reads(1);
	weir_host_settings_init(&s);
	must(weir_router_host_set(router, fake_host_name(1), &s, &said));
	snprintf(s.zone, sizeof(s.zone), "here");
	s.weight = 70;
	must(weir_router_host_set(router, fake_host_name(2), &s, &said));
	assert_string_equal(stats_of(1).zone, "");
	assert_string_equal(stats_of(2).zone, "here");
	assert_int_equal(stats_of(2).weight, 70);
	await_all_reads(2);
}

/* ---- what cannot be done ---- */

static void refuses(weir_status st, const char *words)
{
	assert_int_equal(st, WEIR_INVALID);
	if (!strstr(said.text, words))
		fail_msg("\"%s\" does not say \"%s\"", said.text, words);
}

static void what_cannot_be_done_is_said_clearly(void **state)
{
	weir_host_settings s;

	(void)state;
	open_first(2);
	refuses(weir_router_host_remove(router, "nobody", &said),
	        "\"nobody\" is no host of the router, which has: 127.0.0.1:6000, 127.0.0.1:6001");
	refuses(weir_router_host_drain(router, "127.0.0.1", true, &said), "more than one host");
	refuses(weir_router_host_add(router, fake_host_name(1), NULL, &said), "already");
	refuses(weir_router_host_add(router, "a,b", NULL, &said), "one host");
	refuses(weir_router_host_add(router, "a:b:c", NULL, &said), "host:port");
	refuses(weir_router_host_add(router, NULL, NULL, &said), "host is NULL");
	weir_host_settings_init(&s);
	s.weight = 1001;
	refuses(weir_router_host_set(router, fake_host_name(1), &s, &said), "1000");
	refuses(weir_router_host_set(router, fake_host_name(1), NULL, &said), "settings is NULL");
	remove_host(0);
	refuses(weir_router_host_remove(router, fake_host_name(1), &said), "last host");
}

static void there_is_room_for_so_many(void **state)
{
	char name[64];
	int added = 1;

	(void)state;
	options.pool_min = 0;
	open_first(1);
	for (;; added++) {
		snprintf(name, sizeof(name), "10.0.0.%d:6003", added);
		if (weir_router_host_add(router, name, NULL, &said) != WEIR_OK)
			break;
	}
	assert_int_equal(added, WI_HOSTS_MAX);
	assert_non_null(strstr(said.text, "at most 64 hosts"));
	must(weir_router_host_remove(router, "10.0.0.7", &said));
	await_told(WEIR_EVENT_HOST_LEFT, 1);
	must(weir_router_host_add(router, name, NULL, &said));
}

/* ---- from an event ---- */

static void change_hosts_in_an_event(const weir_event *event)
{
	weir_error e;

	if (event->kind != WEIR_EVENT_HOST_ADDED)
		return;
	wi_store_rel(&on_told, NULL);
	assert_int_equal(weir_router_host_drain(router, fake_host_name(2), true, &e), WEIR_OK);
	assert_int_equal(weir_router_host_remove(router, "nobody", &e), WEIR_OK);
}

/* On the keeper's thread a call cannot wait: what comes of it is told. */
static void an_event_may_change_the_hosts(void **state)
{
	(void)state;
	open_first(2);
	wi_store_rel(&on_told, change_hosts_in_an_event);
	add_host(2);
	await_told(WEIR_EVENT_HOST_REFUSED, 1);
	await_told(WEIR_EVENT_HOST_CHANGED, 1);
	assert_true(stats_of(2).drained);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		TEST(an_added_host_serves_reads),
		TEST(an_added_primary_takes_the_writes),
		TEST(an_added_host_that_says_nothing_unsettles_nobody),
		TEST(an_added_host_follows_suit),
		TEST(a_removed_host_gets_nobody_and_its_connections_stay_good),
		TEST(what_a_host_was_made_of_is_given_back),
		TEST(the_same_name_may_come_again_at_once),
		TEST(who_waits_at_a_removed_host_chooses_another),
		TEST(a_removed_primary_takes_no_writes),
		TEST(a_drained_host_rests_and_comes_back),
		TEST(a_drained_primary_drains_when_it_is_none),
		TEST(a_ban_is_one_hosts_has_a_reason_and_an_end),
		TEST(zone_and_weight_change_while_it_runs),
		TEST(what_cannot_be_done_is_said_clearly),
		TEST(there_is_room_for_so_many),
		TEST(an_event_may_change_the_hosts),
	};

	test_watchdog(120, "the simulation of hosts that come and go");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

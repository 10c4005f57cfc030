/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole router over fake servers that fail, are promoted, contradict each other, or belong to
 * somebody else: where writes go, where they never go, and what becomes of those who wait. No
 * sleeps: weir_router_probe says when the router has seen what was changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "route/router.h"
#include "support/fake_cluster.h"
#include "support/threads.h"
#include "support/watchdog.h"

static struct fake_cluster cluster;
static weir_options options;
static weir_router *router;
static weir_error error;
static _Atomic int splits, changes;

static void count_event(void *arg, const weir_event *event)
{
	(void)arg;
	if (event->kind == WEIR_EVENT_SPLIT_BRAIN)
		wi_add_rlx(&splits, 1);
	if (event->kind == WEIR_EVENT_ROLE_CHANGED)
		wi_add_rlx(&changes, 1);
}

static int set_up(void **state)
{
	(void)state;
	fake_cluster_init(&cluster, 3);
	weir_options_init(&options);
	options.probe_interval_ms = 20;
	options.connect_timeout_ms = 2000;
	options.checkout_timeout_ms = 20000;
	options.on_event = count_event;
	wi_store_rlx(&splits, 0);
	wi_store_rlx(&changes, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	fake_cluster_fini(&cluster);
	return 0;
}

static void probe(void)
{
	assert_int_equal(weir_router_probe(router, 20000), WEIR_OK);
}

static void open_router(void)
{
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	probe();
}

static weir_host_stats stats_of(int i)
{
	weir_host_stats stats[FAKE_HOSTS];

	assert_true(weir_router_stats_get(router, stats, FAKE_HOSTS) > (size_t)i);
	return stats[i];
}

static weir_role role_of(int i)
{
	return stats_of(i).role;
}

static void wait_for_role(int i, weir_role role)
{
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC;

	while (role_of(i) != role && wi_now_ns() < until_ns)
		probe();
	assert_int_equal(role_of(i), role);
}

static int visit(weir_intent intent)
{
	weir_conn *c = NULL;
	int host;

	assert_int_equal(weir_checkout(router, intent, &c, &error), WEIR_OK);
	host = fake_host_of(c);
	weir_checkin(&c);
	return host;
}

static weir_status try_visit(weir_intent intent, int64_t timeout_ms)
{
	weir_request q = WEIR_REQUEST(.intent = intent, .timeout_ms = timeout_ms);
	weir_conn *c = NULL;
	weir_status st = weir_checkout_with(router, &q, &c, &error);

	weir_checkin(&c);
	return st;
}

/* A thread that wants one connection, and what it came to. */
struct seeker {
	pthread_t thread;
	struct test_stop *stop; /* where it stops on its way, or NULL */
	weir_intent intent;
	weir_status st;
	int host;
	weir_error error;
	_Atomic bool ended;
};

static void *seek(void *arg)
{
	struct seeker *s = arg;
	weir_conn *c = NULL;

	test_stop_arm(s->stop);
	s->host = -1;
	s->st = weir_checkout(router, s->intent, &c, &s->error);
	if (s->st == WEIR_OK)
		s->host = fake_host_of(c);
	weir_checkin(&c);
	wi_store_rlx(&s->ended, true);
	return NULL;
}

static void seek_start(struct seeker *s, weir_intent intent)
{
	s->intent = intent;
	assert_int_equal(pthread_create(&s->thread, NULL, seek, s), 0);
}

/* ---- failover ---- */

static void writes_follow_the_promotion(void **state)
{
	(void)state;
	open_router();
	assert_int_equal(visit(WEIR_WRITE), 0);
	fake_host_down(&cluster, 0, true);
	fake_cluster_promote(&cluster, 1);
	for (int i = 0; i < 200; i++)
		assert_int_not_equal(visit(WEIR_WRITE), 2);
	wait_for_role(1, WEIR_ROLE_PRIMARY);
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(visit(WEIR_WRITE), 1);
		assert_int_equal(visit(WEIR_READ), 2);
	}
	assert_int_equal(stats_of(1).timeline, 2);
	/* three found at first; 0 lost, 1 changed */
	assert_true(wi_load_rlx(&changes) >= 5);

	/* The old one comes back as a standby of the new one. */
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	wi_store_rlx(&cluster.host[0].server.timeline, 2);
	fake_host_down(&cluster, 0, false);
	wait_for_role(0, WEIR_ROLE_REPLICA);
	assert_int_equal(wi_load_rlx(&splits), 0);
}

static void a_write_waits_for_the_new_primary(void **state)
{
	struct seeker s = {0};

	(void)state;
	open_router();
	fake_host_down(&cluster, 0, true);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	assert_int_equal(try_visit(WEIR_WRITE, WEIR_NO_WAIT), WEIR_UNAVAILABLE);
	seek_start(&s, WEIR_WRITE);
	probe();
	fake_cluster_promote(&cluster, 2);
	pthread_join(s.thread, NULL);
	assert_int_equal(s.st, WEIR_OK);
	assert_int_equal(s.host, 2);
}

/* With a breaker for each host, and all of them open, there is nothing to wait for. */
static void with_all_hosts_dead_nobody_waits(void **state)
{
	weir_conn *c = NULL;
	int64_t begun_ns;

	(void)state;
	options.checkout_timeout_ms = 3600000;
	options.failover_wait_ms = 0;
	open_router();
	for (int i = 0; i < 3; i++)
		fake_host_down(&cluster, i, true);
	for (int i = 0; i < 3; i++)
		wait_for_role(i, WEIR_ROLE_UNKNOWN);
	begun_ns = wi_now_ns();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &error), WEIR_UNAVAILABLE);
	assert_int_equal(weir_checkout(router, WEIR_READ, &c, &error), WEIR_UNAVAILABLE);
	assert_non_null(strstr(error.text, "127.0.0.1:6001: unknown: connection refused"));
	/* with the usual failover_wait_ms it would be 30 s */
	assert_true(wi_now_ns() - begun_ns < 20 * WI_SEC);
	/* one that is there but full, or starts, is waited for */
	wi_store_rlx(&cluster.host[1].server.connect_fault, WI_FAULT_STARTING);
	probe();
	assert_int_equal(try_visit(WEIR_WRITE, 30), WEIR_UNAVAILABLE);
	fake_host_down(&cluster, 0, false);
	wait_for_role(0, WEIR_ROLE_PRIMARY);
	assert_int_equal(visit(WEIR_WRITE), 0);
}

/* The one connection of the old primary is out, and somebody waits for it there. */
static void waiters_of_the_old_primary_are_sent_to_the_new(void **state)
{
	weir_conn *held = NULL;
	struct seeker s = {0};

	(void)state;
	options.pool_min = options.pool_max = 1;
	open_router();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &held, &error), WEIR_OK);
	seek_start(&s, WEIR_WRITE);
	while (!stats_of(0).pool.waiting)
		probe();
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	fake_cluster_promote(&cluster, 1);
	pthread_join(s.thread, NULL);
	assert_int_equal(s.st, WEIR_OK);
	assert_int_equal(s.host, 1);
	weir_checkin(&held);
}

/* The connection comes back to who waited for it, but meanwhile its host is no primary any more. */
static void a_granted_connection_of_a_demoted_host_is_no_write(void **state)
{
	struct test_stop stop = {.point = "checkout.wait.granted", .visit = 1};
	struct seeker s = {.stop = &stop};
	weir_conn *held = NULL;

	(void)state;
	options.pool_min = options.pool_max = 1;
	options.probe_interval_ms = 3600000; /* only when told */
	open_router();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &held, &error), WEIR_OK);
	seek_start(&s, WEIR_WRITE);
	while (!stats_of(0).pool.waiting)
		continue;
	weir_checkin(&held);
	test_stop_await(&stop);
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	fake_cluster_promote(&cluster, 2);
	probe();
	test_stop_release(&stop);
	pthread_join(s.thread, NULL);
	assert_int_equal(s.st, WEIR_OK);
	assert_int_equal(s.host, 2);
}

/* What the old primary refused is no answer to who waits for the next one. */
static void a_refusal_of_the_old_primary_ends_no_wait(void **state)
{
	struct test_stop stop = {.point = "visit.refused", .visit = 1};
	struct seeker s = {.stop = &stop};

	(void)state;
	options.pool_min = 0;
	options.probe_interval_ms = 3600000; /* only when told */
	open_router();
	wi_store_rlx(&cluster.host[0].server.connect_fault, WI_FAULT_AUTH);
	seek_start(&s, WEIR_WRITE);
	test_stop_await(&stop);
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	wait_for_role(0, WEIR_ROLE_REPLICA);
	test_stop_release(&stop);
	while (!wi_load_rlx(&router->gate.sleepers) && !wi_load_rlx(&s.ended))
		continue;
	fake_cluster_promote(&cluster, 2);
	probe();
	pthread_join(s.thread, NULL);
	assert_int_equal(s.st, WEIR_OK);
	assert_int_equal(s.host, 2);
}

static void reads_go_on_without_a_primary(void **state)
{
	(void)state;
	open_router();
	fake_host_down(&cluster, 0, true);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	for (int i = 0; i < 200; i++)
		assert_int_not_equal(visit(WEIR_READ), 0);
	assert_int_equal(try_visit(WEIR_WRITE, 30), WEIR_UNAVAILABLE);
	assert_non_null(strstr(error.text, "no primary is known"));
	assert_non_null(strstr(error.text, "127.0.0.1:6000: unknown: connection refused"));
	assert_non_null(strstr(error.text, "127.0.0.1:6001: replica, lag "));
}

static void reads_fall_back_when_the_replicas_are_gone(void **state)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .fallback = WEIR_FALLBACK_FAIL);
	weir_conn *c = NULL;
	weir_conn_info info;

	(void)state;
	open_router();
	fake_host_down(&cluster, 1, true);
	fake_host_down(&cluster, 2, true);
	wait_for_role(1, WEIR_ROLE_UNKNOWN);
	wait_for_role(2, WEIR_ROLE_UNKNOWN);
	assert_int_equal(weir_checkout(router, WEIR_READ, &c, &error), WEIR_OK);
	assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
	assert_int_equal(info.reason, WEIR_REASON_NO_REPLICA);
	assert_int_equal(info.role, WEIR_ROLE_PRIMARY);
	weir_checkin(&c);
	assert_int_equal(stats_of(0).fallback_reads, 1);
	assert_int_equal(weir_checkout_with(router, &q, &c, &error), WEIR_UNAVAILABLE);
	q.fallback = WEIR_FALLBACK_WAIT;
	q.timeout_ms = 20000;
	fake_host_down(&cluster, 2, false);
	assert_int_equal(weir_checkout_with(router, &q, &c, &error), WEIR_OK);
	assert_int_equal(fake_host_of(c), 2);
	weir_checkin(&c);
}

/* A host that says nothing any more is unknown, however well its open connections look. */
static void a_silent_primary_gets_no_write(void **state)
{
	(void)state;
	options.connect_timeout_ms = 100;
	open_router();
	assert_int_equal(visit(WEIR_WRITE), 0);
	wi_store_rlx(&cluster.host[0].server.silent, true);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "no answer within 100 ms while"));
	assert_int_equal(try_visit(WEIR_WRITE, WEIR_NO_WAIT), WEIR_UNAVAILABLE);
	wi_store_rlx(&cluster.host[0].server.silent, false);
	wait_for_role(0, WEIR_ROLE_PRIMARY);
	assert_int_equal(visit(WEIR_WRITE), 0);
}

/* One black-holed host delays nobody else's probes. */
static void a_silent_host_delays_no_other(void **state)
{
	uint64_t before;

	(void)state;
	options.connect_timeout_ms = 3600000;
	options.probe_interval_ms = 10;
	open_router();
	wi_store_rlx(&cluster.host[2].server.silent, true);
	before = wi_load_rlx(&cluster.host[0].probes);
	while (wi_load_rlx(&cluster.host[0].probes) < before + 20)
		assert_int_equal(visit(WEIR_WRITE), 0);
	wi_store_rlx(&cluster.host[2].server.silent, false);
	wi_fake_kill(&cluster.host[2].server);
}

/* Ending the probe's session is no failover. */
static void a_killed_session_revokes_no_role(void **state)
{
	int before;

	(void)state;
	/* Every other time while a question is under way, which only probes ask here. */
	options.pool_min = 0;
	wi_store_rlx(&cluster.host[0].server.answer_ns, 5 * WI_MS);
	open_router();
	before = wi_load_rlx(&changes);
	for (int i = 0; i < 40; i++) {
		uint64_t asked = wi_load_rlx(&cluster.host[0].server.queries);

		while (i % 2 && wi_load_rlx(&cluster.host[0].server.queries) == asked)
			continue;
		wi_fake_kill(&cluster.host[0].server);
		probe();
		assert_int_equal(role_of(0), WEIR_ROLE_PRIMARY);
	}
	assert_int_equal(wi_load_rlx(&changes), before);
}

/* With an hour between probes: the end of the connections is what tells. */
static void a_death_is_seen_at_once(void **state)
{
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;

	(void)state;
	options.probe_interval_ms = 3600000;
	open_router();
	fake_host_down(&cluster, 0, true);
	while (role_of(0) == WEIR_ROLE_PRIMARY && wi_now_ns() < until_ns)
		continue;
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
}

/* The same where nothing but the probe's own connection is open. */
static void an_idle_probe_hears_its_end(void **state)
{
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;

	(void)state;
	options.pool_min = 0;
	options.probe_interval_ms = 3600000;
	open_router();
	fake_host_down(&cluster, 0, true);
	while (role_of(0) == WEIR_ROLE_PRIMARY && wi_now_ns() < until_ns)
		continue;
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
}

/* And where the probe's is in order, but the pool cannot connect. */
static void trouble_of_a_pool_is_looked_into(void **state)
{
	uint64_t before;

	(void)state;
	options.pool_min = 0;
	options.probe_interval_ms = 3600000;
	open_router();
	before = wi_load_rlx(&cluster.host[0].probes);
	wi_store_rlx(&cluster.host[0].server.connect_fault, WI_FAULT_REFUSED);
	do
		assert_int_not_equal(try_visit(WEIR_WRITE, 100), WEIR_OK);
	while (wi_load_rlx(&cluster.host[0].probes) == before); /* the watchdog bounds it */
}

/* ---- contradictions ---- */

static void two_primaries_are_none(void **state)
{
	(void)state;
	open_router();
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	probe();
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	assert_int_equal(role_of(1), WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "split brain"));
	assert_non_null(strstr(stats_of(0).last_error, fake_host_name(1)));
	assert_int_equal(try_visit(WEIR_WRITE, 30), WEIR_UNAVAILABLE);
	assert_non_null(strstr(error.text, "split brain"));
	assert_int_equal(visit(WEIR_READ), 2);
	for (int i = 0; i < 5; i++)
		probe();
	assert_int_equal(wi_load_rlx(&splits), 1); /* told once */

	/* The higher timeline wins, and the other stays out. */
	wi_store_rlx(&cluster.host[1].server.timeline, 2);
	probe();
	assert_int_equal(role_of(1), WEIR_ROLE_PRIMARY);
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "older timeline"));
	for (int i = 0; i < 100; i++) {
		assert_int_equal(visit(WEIR_WRITE), 1);
		assert_int_equal(visit(WEIR_READ), 2);
	}
	/* A second episode is told again. */
	wi_store_rlx(&cluster.host[0].server.timeline, 2);
	probe();
	probe(); /* told when both have said it twice */
	assert_int_equal(wi_load_rlx(&splits), 2);
}

/* At the start the first to answer must not win: all are looked at first. */
static void the_first_to_answer_is_not_the_primary(void **state)
{
	(void)state;
	wi_store_rlx(&cluster.host[2].server.in_recovery, false);
	wi_store_rlx(&cluster.host[2].server.timeline, 2);
	wi_store_rlx(&cluster.host[2].server.connect_ns, 50 * WI_MS);
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	for (int i = 0; i < 100; i++)
		assert_int_equal(visit(WEIR_WRITE), 2);
}

static void a_host_of_another_system_stays_out(void **state)
{
	(void)state;
	wi_store_rlx(&cluster.host[0].server.system, 42);
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	open_router();
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "another database system"));
	assert_int_equal(role_of(1), WEIR_ROLE_PRIMARY);
	assert_int_equal(visit(WEIR_WRITE), 1);
	assert_int_equal(wi_load_rlx(&splits), 0);
}

static void systems_without_a_majority_are_trusted_by_nobody(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		wi_store_rlx(&cluster.host[i].server.system, (uint64_t)i + 10);
	open_router();
	for (int i = 0; i < 3; i++)
		assert_int_equal(role_of(i), WEIR_ROLE_UNKNOWN);
	assert_int_equal(try_visit(WEIR_READ, 30), WEIR_UNAVAILABLE);
	assert_non_null(strstr(error.text, "no majority"));
	probe(); /* told when all have said it twice */
	assert_int_equal(wi_load_rlx(&splits), 1);
}

static void one_server_by_two_names_is_no_split_brain(void **state)
{
	(void)state;
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	wi_store_rlx(&cluster.host[1].started, wi_load_rlx(&cluster.host[0].started));
	open_router();
	assert_int_equal(role_of(0), WEIR_ROLE_PRIMARY);
	assert_int_equal(role_of(1), WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(1).last_error, "the same server as 127.0.0.1:6000"));
	assert_int_equal(wi_load_rlx(&splits), 0);
}

static void a_primary_that_takes_no_writes_is_no_write_target(void **state)
{
	(void)state;
	open_router();
	wi_store_rlx(&cluster.host[0].read_only, true);
	probe();
	assert_int_equal(role_of(0), WEIR_ROLE_REPLICA);
	assert_true(stats_of(0).read_only);
	assert_int_equal(try_visit(WEIR_WRITE, 30), WEIR_UNAVAILABLE);
	assert_non_null(strstr(error.text, "default_transaction_read_only"));
	wi_store_rlx(&cluster.host[0].read_only, false);
	probe();
	assert_int_equal(visit(WEIR_WRITE), 0);
}

/* Left behind by a failover, it comes back as it was, and the new primary misses a probe. */
static void who_was_left_behind_never_gets_a_write(void **state)
{
	(void)state;
	open_router();
	fake_host_down(&cluster, 0, true);
	fake_cluster_promote(&cluster, 1);
	wait_for_role(1, WEIR_ROLE_PRIMARY);
	fake_host_down(&cluster, 0, false);
	do
		probe();
	while (!stats_of(0).reachable);
	fake_host_down(&cluster, 1, true);
	fake_host_down(&cluster, 2, true);
	wait_for_role(1, WEIR_ROLE_UNKNOWN);
	wait_for_role(2, WEIR_ROLE_UNKNOWN);
	probe();
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "older timeline than one that was seen"));
	assert_int_equal(try_visit(WEIR_WRITE, 30), WEIR_UNAVAILABLE);
	fake_host_down(&cluster, 1, false);
	wait_for_role(1, WEIR_ROLE_PRIMARY);
	assert_int_equal(visit(WEIR_WRITE), 1);
}

static void a_stranger_is_not_followed_while_ours_are_away(void **state)
{
	(void)state;
	wi_store_rlx(&cluster.host[2].server.system, 999);
	wi_store_rlx(&cluster.host[2].server.in_recovery, false);
	open_router();
	assert_int_equal(visit(WEIR_WRITE), 0);
	fake_host_down(&cluster, 0, true);
	fake_host_down(&cluster, 1, true);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	wait_for_role(1, WEIR_ROLE_UNKNOWN);
	probe();
	assert_int_equal(role_of(2), WEIR_ROLE_UNKNOWN);
	assert_int_equal(try_visit(WEIR_WRITE, 30), WEIR_UNAVAILABLE);
	assert_int_equal(try_visit(WEIR_READ, 30), WEIR_UNAVAILABLE);
	fake_host_down(&cluster, 0, false);
	wait_for_role(0, WEIR_ROLE_PRIMARY);
}

/* Two standbys of two histories: which of them is right, nobody knows. */
static void a_split_brain_serves_no_bounded_read(void **state)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 60000,
	                              .fallback = WEIR_FALLBACK_FAIL);
	weir_conn *c = NULL;

	(void)state;
	open_router();
	assert_int_equal(weir_checkout_with(router, &q, &c, &error), WEIR_OK);
	assert_int_equal(weir_token_take(c, 5000, &q.at_least, &error), WEIR_INVALID);
	weir_checkin(&c);
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	probe();
	assert_int_equal(visit(WEIR_READ), 2);
	assert_int_equal(weir_checkout_with(router, &q, &c, &error), WEIR_UNAVAILABLE);
	q.max_lag_ms = 0;
	q.at_least =
		(weir_token){.system = stats_of(2).system, .timeline = 1, .lsn = stats_of(2).lsn};
	assert_int_equal(weir_checkout_with(router, &q, &c, &error), WEIR_UNAVAILABLE);
	wi_store_rlx(&cluster.host[1].server.in_recovery, true);
	probe();
	assert_int_equal(weir_checkout_with(router, &q, &c, &error), WEIR_OK);
	weir_checkin(&c);
}

/* It restarts, and one of its names is asked before the other. */
static void a_restart_of_one_server_by_two_names_is_no_split_brain(void **state)
{
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;
	uint64_t started = wi_load_rlx(&cluster.host[0].started), before;

	(void)state;
	options.pool_min = 0;
	options.probe_interval_ms = 3600000;
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	wi_store_rlx(&cluster.host[1].started, started);
	open_router();
	assert_int_equal(role_of(0), WEIR_ROLE_PRIMARY);
	before = wi_load_rlx(&cluster.host[1].probes);
	wi_store_rlx(&cluster.host[0].started, started + 5);
	wi_store_rlx(&cluster.host[1].started, started + 5);
	wi_fake_kill(&cluster.host[0].server);
	while (wi_load_rlx(&cluster.host[1].probes) == before && wi_now_ns() < until_ns)
		continue;
	probe();
	assert_int_equal(role_of(0), WEIR_ROLE_PRIMARY);
	assert_int_equal(wi_load_rlx(&splits), 0);
}

/* ---- slow, full, and refusing ---- */

/* More than a question may take, but less than a connect may. */
static void a_slow_connect_is_waited_for(void **state)
{
	weir_conn *c = NULL;
	weir_request q = WEIR_REQUEST(.intent = WEIR_WRITE, .timeout_ms = WEIR_NO_WAIT);

	(void)state;
	options.connect_timeout_ms = 60000;
	options.probe_interval_ms = 1000;
	for (int i = 0; i < 3; i++)
		wi_store_rlx(&cluster.host[i].server.connect_ns, 2500 * WI_MS);
	open_router();
	/* Told as failed meanwhile, so that who waits for others is not kept. */
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	assert_non_null(
		strstr(stats_of(0).last_error, "no answer within 1000 ms while connecting"));
	assert_int_equal(weir_checkout_with(router, &q, &c, &error), WEIR_UNAVAILABLE);
	q.timeout_ms = 20000;
	assert_int_equal(weir_checkout_with(router, &q, &c, &error), WEIR_OK);
	assert_int_equal(fake_host_of(c), 0);
	weir_checkin(&c);
}

static void lose_the_probe(int i)
{
	struct wi_fake_server *s = &cluster.host[i].server;

	wi_store_rlx(&s->max_sessions, wi_load_rlx(&s->sessions) - 1);
	for (uint64_t serial = 1; serial <= 3; serial++)
		if (wi_fake_serial(wi_host_at(router, i)->probe.link) == serial)
			assert_true(wi_fake_kill_one(s, serial));
}

static void wait_for_idle(int i, uint32_t n)
{
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC;

	while (stats_of(i).pool.idle != n && wi_now_ns() < until_ns)
		probe();
	assert_int_equal(stats_of(i).pool.idle, n);
}

/* There is no room for the probe any more, but its pool works. */
static void a_full_primary_keeps_its_role(void **state)
{
	uint64_t before;

	(void)state;
	options.pool_min = options.pool_max = 2;
	open_router();
	wait_for_idle(0, 2);
	before = wi_load_rlx(&cluster.host[0].server.connects);
	lose_the_probe(0);
	while (wi_load_rlx(&cluster.host[0].server.connects) < before + 3)
		probe();
	assert_int_equal(role_of(0), WEIR_ROLE_PRIMARY);
	assert_int_equal(visit(WEIR_WRITE), 0);
	/* Once connections are lost, the server may be another one. */
	wi_store_rlx(&cluster.host[0].server.max_sessions, 1);
	wi_fake_kill(&cluster.host[0].server);
	wi_store_rlx(&cluster.host[0].server.connect_fault, WI_FAULT_CAPACITY);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	wi_store_rlx(&cluster.host[0].server.connect_fault, WI_FAULT_NONE);
	wi_store_rlx(&cluster.host[0].server.max_sessions, 0);
	wait_for_role(0, WEIR_ROLE_PRIMARY);
}

/* Three things that hold for ten seconds, and then no longer. */
static void what_is_believed_for_a_while_ends(void **state)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 3);
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;
	weir_conn *c = NULL;

	(void)state;
	options.pool_min = options.pool_max = 2;
	open_router();
	wait_for_idle(0, 2);
	wi_store_rlx(&cluster.host[1].basic_only, true);
	probe();
	assert_int_equal(stats_of(1).timeline, 0);
	assert_int_equal(weir_checkout_with(router, &q, &c, &error), WEIR_OK);
	weir_checkin(&c);
	assert_int_equal(wi_load_rlx(&router->tightest_ms), 3);
	wi_store_rlx(&cluster.host[1].basic_only, false);
	lose_the_probe(0);
	probe();
	assert_int_equal(role_of(0), WEIR_ROLE_PRIMARY);
	while ((role_of(0) != WEIR_ROLE_UNKNOWN || !stats_of(1).timeline ||
	        wi_load_rlx(&router->tightest_ms)) &&
	       wi_now_ns() < until_ns)
		probe();
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	assert_int_equal(stats_of(1).timeline, 1);
	assert_int_equal(wi_load_rlx(&router->tightest_ms), 0);
}

/* The pool's own pause would be half a minute at least. */
static void a_server_that_is_back_is_connected_to_at_once(void **state)
{
	(void)state;
	options.pool_min = 0;
	options.breaker_failures = 1;
	options.breaker_open_ms = 60000;
	open_router();
	wi_store_rlx(&cluster.host[0].server.connect_fault, WI_FAULT_REFUSED);
	do
		assert_int_not_equal(try_visit(WEIR_WRITE, 100), WEIR_OK);
	while (!stats_of(0).pool.breaker_open); /* the watchdog bounds it */
	wi_fake_kill(&cluster.host[0].server);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	fake_host_down(&cluster, 0, false);
	wait_for_role(0, WEIR_ROLE_PRIMARY);
	assert_int_equal(try_visit(WEIR_WRITE, 20000), WEIR_OK);
}

static void pass(int64_t ns)
{
	int64_t until_ns = wi_now_ns() + ns;
	struct timespec some = {.tv_nsec = 1000000};

	while (wi_now_ns() < until_ns)
		nanosleep(&some, NULL);
}

/*
 * In two seconds: at once, and after 0.1, 0.3, 0.7 and 1.5 s; credentials, however short the pace.
 */
static void a_failing_host_is_asked_less_and_less(void **state)
{
	uint64_t before[2];

	(void)state;
	options.pool_min = 0;
	options.probe_interval_ms = 1000;
	fake_host_down(&cluster, 0, true);
	wi_store_rlx(&cluster.host[1].server.connect_fault, WI_FAULT_AUTH);
	open_router();
	for (int i = 0; i < 2; i++)
		before[i] = wi_load_rlx(&cluster.host[i].server.connects);
	pass(2 * WI_SEC);
	for (int i = 0; i < 2; i++)
		assert_in_range(wi_load_rlx(&cluster.host[i].server.connects) - before[i], 1, 8);
}

static void a_failing_host_is_not_asked_at_every_call(void **state)
{
	int64_t before_ns;
	uint64_t before;

	(void)state;
	options.pool_min = 0;
	options.probe_interval_ms = 1000;
	for (int i = 0; i < 3; i++)
		fake_host_down(&cluster, i, true);
	open_router();
	before = wi_load_rlx(&cluster.host[0].server.connects);
	before_ns = wi_now_ns();
	for (int i = 0; i < 5; i++)
		probe();
	assert_true(wi_now_ns() - before_ns >= 300 * WI_MS);
	assert_true(wi_load_rlx(&cluster.host[0].server.connects) >= before + 4);
}

/* ---- saturation is not sickness ---- */

static void a_host_that_has_no_room_keeps_its_role(void **state)
{
	weir_conn *c = NULL;
	weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = 5000);

	(void)state;
	options.pool_min = 0;
	wi_store_rlx(&cluster.host[1].server.max_sessions, 1); /* the probe's */
	open_router();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(weir_checkout_with(router, &q, &c, &error), WEIR_OK);
		weir_checkin(&c);
	}
	assert_int_equal(role_of(1), WEIR_ROLE_REPLICA);
}

/* ---- closing ---- */

static void who_waits_when_the_router_closes_is_told(void **state)
{
	weir_conn *held = NULL;
	struct seeker at_gate = {0}, in_pool = {0};

	(void)state;
	options.pool_min = options.pool_max = 1;
	options.read_fallback = WEIR_READ_FALLBACK_WAIT;
	options.checkout_timeout_ms = 3600000;
	for (int i = 1; i < 3; i++)
		fake_host_down(&cluster, i, true);
	open_router();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &held, &error), WEIR_OK);
	seek_start(&at_gate, WEIR_READ);
	seek_start(&in_pool, WEIR_WRITE);
	while (!stats_of(0).pool.waiting || !wi_load_rlx(&router->gate.sleepers))
		probe();
	/* Not all comes back in time: the last checkin frees the rest. */
	assert_int_equal(weir_router_close(&router, 50), WEIR_TIMEOUT);
	assert_null(router);
	pthread_join(at_gate.thread, NULL);
	pthread_join(in_pool.thread, NULL);
	assert_int_equal(at_gate.st, WEIR_CLOSED);
	assert_int_equal(in_pool.st, WEIR_CLOSED);
	weir_checkin(&held);
	/*
	 * The keeper now ends and frees all: seen at the servers, as nothing else is left to ask.
	 */
	while (wi_load_rlx(&cluster.host[0].server.sessions))
		continue;
}

/* Waits in the pool until the close refuses it, then gives back what keeps the close waiting. */
static void *hand_back_when_refused(void *arg)
{
	weir_conn *held = arg, *c = NULL;
	weir_status st = weir_checkout(router, WEIR_WRITE, &c, NULL);

	weir_checkin(&held);
	return st == WEIR_CLOSED ? arg : NULL;
}

static void closing_waits_for_what_is_out(void **state)
{
	weir_conn *held = NULL;
	pthread_t thread;
	void *ok;

	(void)state;
	options.pool_min = options.pool_max = 1;
	open_router();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &held, &error), WEIR_OK);
	assert_int_equal(pthread_create(&thread, NULL, hand_back_when_refused, held), 0);
	while (!stats_of(0).pool.waiting)
		probe();
	assert_int_equal(weir_router_close(&router, -1), WEIR_OK);
	pthread_join(thread, &ok);
	assert_ptr_equal(ok, held);
}

/* ---- storms ---- */

/* Which host may be written to, as the director has it; -1: none, or it is just changing. */
static _Atomic int writable;
static _Atomic uint32_t scene; /* odd while the director changes something */

/* Where threads are slow, time alone may end a storm before its first switchover. */
static _Atomic bool switched;

static bool is_over(const struct test_thread *self)
{
	return wi_load_rlx(self->stop) && wi_load_rlx(&switched);
}

static void write_and_read(struct test_thread *self)
{
	while (!is_over(self)) {
		weir_intent intent = wi_rng_below(&self->rng, 2) ? WEIR_READ : WEIR_WRITE;
		uint32_t before = wi_load_seq(&scene);
		int target = wi_load_seq(&writable);
		weir_request q = WEIR_REQUEST(.intent = intent, .timeout_ms = 20000);
		weir_conn *c = NULL;
		weir_error e;
		weir_status st = weir_checkout_with(router, &q, &c, &e);
		int host = st == WEIR_OK ? fake_host_of(c) : -1;

		if (st != WEIR_OK)
			test_wrong(self, "%s: %s", weir_status_name(st), e.text);
		/*
		 * Nothing was changed meanwhile, and the router had seen it: then there is one
		 * right answer.
		 */
		else if (intent == WEIR_WRITE && !(before & 1) && wi_load_seq(&scene) == before &&
		         host != target)
			test_wrong(self, "a write on %d instead of %d", host, target);
		self->count[0] += st == WEIR_OK;
		weir_checkin(&c);
	}
}

/* Two directors' worth of switchovers: the old primary becomes a standby of the new one. */
static void direct(struct test_thread *self)
{
	while (!is_over(self)) {
		int old = wi_load_rlx(&writable), next = (int)wi_rng_below(&self->rng, 3);

		if (next == old)
			continue;
		wi_add_seq(&scene, 1);
		wi_store_rlx(&cluster.host[old].server.in_recovery, true);
		if (wi_rng_below(&self->rng, 2))
			wi_fake_kill(&cluster.host[old].server);
		fake_cluster_promote(&cluster, next);
		wi_store_seq(&writable, next);
		if (weir_router_probe(router, 20000) != WEIR_OK)
			test_wrong(self, "no probe");
		/*
		 * A probe can have failed where sessions were killed: seen when it is the primary.
		 */
		for (weir_host_stats s[3] = {0}; s[next].role != WEIR_ROLE_PRIMARY;) {
			if (weir_router_probe(router, 20000) != WEIR_OK)
				test_wrong(self, "no probe");
			weir_router_stats_get(router, s, 3);
		}
		wi_add_seq(&scene, 1);
		self->count[1]++;
		wi_store_rlx(&switched, true);
	}
}

static void play(struct test_thread *self)
{
	if (self->number == 0)
		direct(self);
	else
		write_and_read(self);
}

static void every_write_of_a_storm_goes_to_the_primary(void **state)
{
	struct test_thread reports[6];

	(void)state;
	options.pool_max = 2;
	open_router();
	wi_store_rlx(&writable, 0);
	wi_store_rlx(&switched, false);
	test_threads_run(6, play, NULL, test_seconds(3), reports);
	if (test_first_wrong(reports, 6))
		fail_msg("%s", test_first_wrong(reports, 6));
	assert_true(test_sum(reports, 6, 0) > 0);
	assert_true(test_sum(reports, 6, 1) > 0);
	printf("%llu checkouts, %llu switchovers\n", (unsigned long long)test_sum(reports, 6, 0),
	       (unsigned long long)test_sum(reports, 6, 1));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(writes_follow_the_promotion),
		TEST(a_write_waits_for_the_new_primary),
		TEST(with_all_hosts_dead_nobody_waits),
		TEST(waiters_of_the_old_primary_are_sent_to_the_new),
		TEST(a_granted_connection_of_a_demoted_host_is_no_write),
		TEST(a_refusal_of_the_old_primary_ends_no_wait),
		TEST(reads_go_on_without_a_primary),
		TEST(reads_fall_back_when_the_replicas_are_gone),
		TEST(a_silent_primary_gets_no_write),
		TEST(a_silent_host_delays_no_other),
		TEST(a_killed_session_revokes_no_role),
		TEST(a_death_is_seen_at_once),
		TEST(an_idle_probe_hears_its_end),
		TEST(trouble_of_a_pool_is_looked_into),
		TEST(two_primaries_are_none),
		TEST(the_first_to_answer_is_not_the_primary),
		TEST(a_host_of_another_system_stays_out),
		TEST(systems_without_a_majority_are_trusted_by_nobody),
		TEST(one_server_by_two_names_is_no_split_brain),
		TEST(a_primary_that_takes_no_writes_is_no_write_target),
		TEST(who_was_left_behind_never_gets_a_write),
		TEST(a_stranger_is_not_followed_while_ours_are_away),
		TEST(a_split_brain_serves_no_bounded_read),
		TEST(a_restart_of_one_server_by_two_names_is_no_split_brain),
		TEST(a_slow_connect_is_waited_for),
		TEST(a_full_primary_keeps_its_role),
		TEST(what_is_believed_for_a_while_ends),
		TEST(a_server_that_is_back_is_connected_to_at_once),
		TEST(a_failing_host_is_asked_less_and_less),
		TEST(a_failing_host_is_not_asked_at_every_call),
		TEST(a_host_that_has_no_room_keeps_its_role),
		TEST(who_waits_when_the_router_closes_is_told),
		TEST(closing_waits_for_what_is_out),
		TEST(every_write_of_a_storm_goes_to_the_primary),
	};

	test_watchdog(110, "the router's failover simulation");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

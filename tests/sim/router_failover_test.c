/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Servers that fail and are promoted: where writes go, where they never go, and what becomes of
 * those who wait. No sleeps: weir_router_probe says when the router has seen what was changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "route/router.h"
#include "support/fake_router.h"
#include "support/threads.h"
#include "support/watchdog.h"

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	options.probe_interval_ms = 20;
	return 0;
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
	assert_true(wi_load_seq(&told[WEIR_EVENT_ROLE_CHANGED]) >= 5);

	/* The old one comes back as a standby of the new one. */
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	wi_store_rlx(&cluster.host[0].server.timeline, 2);
	fake_host_down(&cluster, 0, false);
	wait_for_role(0, WEIR_ROLE_REPLICA);
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_SPLIT_BRAIN]), 0);
}

static void a_write_waits_for_the_new_primary(void **state)
{
	struct seeker s = {0};

	(void)state;
	open_router();
	fake_host_down(&cluster, 0, true);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	assert_int_equal(try_for(WEIR_NO_WAIT, WEIR_WRITE), WEIR_UNAVAILABLE);
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
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &said), WEIR_UNAVAILABLE);
	assert_int_equal(weir_checkout(router, WEIR_READ, &c, &said), WEIR_UNAVAILABLE);
	assert_non_null(strstr(said.text, "127.0.0.1:6001: unknown: connection refused"));
	/* with the usual failover_wait_ms it would be 30 s */
	assert_true(wi_now_ns() - begun_ns < 20 * WI_SEC);
	/* one that is there but full, or starts, is waited for */
	wi_store_rlx(&cluster.host[1].server.connect_fault, WI_FAULT_STARTING);
	probe();
	assert_int_equal(try_for(30, WEIR_WRITE), WEIR_UNAVAILABLE);
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
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &held, &said), WEIR_OK);
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
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &held, &said), WEIR_OK);
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
	assert_int_equal(try_for(30, WEIR_WRITE), WEIR_UNAVAILABLE);
	assert_non_null(strstr(said.text, "no primary is known"));
	assert_non_null(strstr(said.text, "127.0.0.1:6000: unknown: connection refused"));
	assert_non_null(strstr(said.text, "127.0.0.1:6001: replica, lag "));
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
	assert_int_equal(weir_checkout(router, WEIR_READ, &c, &said), WEIR_OK);
	assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
	assert_int_equal(info.reason, WEIR_REASON_NO_REPLICA);
	assert_int_equal(info.role, WEIR_ROLE_PRIMARY);
	weir_checkin(&c);
	assert_int_equal(stats_of(0).fallback_reads, 1);
	assert_int_equal(weir_checkout_with(router, &q, &c, &said), WEIR_UNAVAILABLE);
	q.fallback = WEIR_FALLBACK_WAIT;
	q.timeout_ms = 20000;
	fake_host_down(&cluster, 2, false);
	assert_int_equal(weir_checkout_with(router, &q, &c, &said), WEIR_OK);
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
	assert_int_equal(try_for(WEIR_NO_WAIT, WEIR_WRITE), WEIR_UNAVAILABLE);
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
	before = wi_load_seq(&told[WEIR_EVENT_ROLE_CHANGED]);
	for (int i = 0; i < 40; i++) {
		uint64_t asked = wi_load_rlx(&cluster.host[0].server.queries);

		while (i % 2 && wi_load_rlx(&cluster.host[0].server.queries) == asked)
			continue;
		wi_fake_kill(&cluster.host[0].server);
		probe();
		assert_int_equal(role_of(0), WEIR_ROLE_PRIMARY);
	}
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_ROLE_CHANGED]), before);
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
		assert_int_not_equal(try_for(100, WEIR_WRITE), WEIR_OK);
	while (wi_load_rlx(&cluster.host[0].probes) == before); /* the watchdog bounds it */
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
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
		TEST(every_write_of_a_storm_goes_to_the_primary),
	};

	test_watchdog(110, "the router's failover simulation");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A router that is told who the primary is: by somebody who is right, who is late, who lies, and
 * who falls silent. No sleeps: what is waited for is a role, a checkout, or the router's word that
 * something has changed.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "route/router.h"
#include "support/fake_router.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define LONG_MS 60000 /* nothing is asked so long by itself, and nothing here takes so long */

static _Atomic int doubts;
static char doubt[WEIR_ERROR_TEXT], first[WEIR_ERROR_HOST];

static void note_event(void *arg, const weir_event *event)
{
	(void)arg;
	if (event->kind != WEIR_EVENT_ADVICE_DOUBTED)
		return;
	snprintf(doubt, sizeof(doubt), "%s", event->text);
	wi_store_rel(&doubts, wi_load_rlx(&doubts) + 1);
}

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	options.probe_interval_ms = 20;
	options.on_event = note_event;
	wi_store_rlx(&doubts, 0);
	return 0;
}

/* Sleeps until the router says that something has changed. */
static void sleep_until_role(int i, weir_role role)
{
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC;
	uint32_t seen = 0;

	while (role_of(i) != role && wi_now_ns() < until_ns)
		assert_int_equal(weir_router_await(router, &seen, 30000), WEIR_OK);
	assert_int_equal(role_of(i), role);
	probe(); /* what is shown of a host is shown before writes heed it */
}

/* host < 0: nobody. */
static void advise(int host, uint32_t timeline, int64_t good_for_ms)
{
	weir_advice advice = {.size = sizeof(advice),
	                      .primary = host < 0 ? "" : fake_host_name(host),
	                      .timeline = timeline,
	                      .good_for_ms = good_for_ms};

	if (weir_router_advise(router, &advice, &said) != WEIR_OK)
		fail_msg("%s", said.text);
}

static int write_to(int64_t timeout_ms)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_WRITE, .timeout_ms = timeout_ms);
	int host;

	if (try_visit(&q, &host, NULL) == WEIR_OK)
		return host;
	assert_true(said.status == WEIR_UNAVAILABLE || said.status == WEIR_TIMEOUT);
	return -1;
}

/* A host that thinks it is the primary now, on this timeline; the others are told nothing. */
static void appoint(int i, uint32_t timeline)
{
	wi_store_rlx(&cluster.host[i].server.timeline, timeline);
	wi_store_rlx(&cluster.host[i].server.in_recovery, false);
}

static void the_advice_decides_a_tie(void **state)
{
	(void)state;
	appoint(1, wi_load_rlx(&cluster.host[0].server.timeline));
	open_router();
	assert_int_equal(write_to(WEIR_NO_WAIT), -1);
	advise(1, 0, LONG_MS);
	assert_int_equal(write_to(20000), 1);
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	advise(0, 0, LONG_MS);
	sleep_until_role(1, WEIR_ROLE_UNKNOWN);
	assert_int_equal(write_to(20000), 0);
	assert_int_equal(weir_router_advise(router, NULL, &said), WEIR_OK);
	sleep_until_role(0, WEIR_ROLE_UNKNOWN);
	assert_int_equal(write_to(WEIR_NO_WAIT), -1);
}

static void a_self_appointed_primary_gets_no_write(void **state)
{
	(void)state;
	open_router();
	advise(0, 1, LONG_MS);
	assert_int_equal(write_to(20000), 0);
	appoint(2, wi_load_rlx(&cluster.host[0].server.timeline) + 1);
	sleep_until_role(2, WEIR_ROLE_UNKNOWN);
	for (int i = 0; i < 20; i++) {
		probe();
		assert_int_not_equal(write_to(WEIR_NO_WAIT), 2);
	}
	assert_int_not_equal(role_of(2), WEIR_ROLE_PRIMARY);
	/* By the hosts' own words it is the one: without advice it would be followed. */
	assert_int_equal(weir_router_advise(router, NULL, &said), WEIR_OK);
	assert_int_equal(write_to(20000), 2);
}

/* It is a standby again, rewound: whom the advice names by its timeline need not wait for that. */
static void who_appointed_itself_keeps_the_primary_from_no_writes(void **state)
{
	uint32_t timeline = wi_load_rlx(&cluster.host[0].server.timeline);

	(void)state;
	open_router();
	advise(0, timeline, LONG_MS);
	appoint(2, timeline + 1);
	sleep_until_role(0, WEIR_ROLE_UNKNOWN);
	assert_int_equal(write_to(WEIR_NO_WAIT), -1);
	wi_store_rlx(&cluster.host[2].server.in_recovery, true);
	probe();
	assert_int_equal(write_to(WEIR_NO_WAIT), -1);
	wi_store_rlx(&cluster.host[2].server.timeline, timeline);
	probe();
	assert_int_equal(write_to(10000), 0);
}

static void a_standby_gets_no_write_whatever_the_advice(void **state)
{
	(void)state;
	open_router();
	advise(1, 0, LONG_MS);
	sleep_until_role(0, WEIR_ROLE_UNKNOWN);
	for (int i = 0; i < 20; i++) {
		probe();
		assert_int_equal(write_to(WEIR_NO_WAIT), -1);
	}
	assert_int_equal(role_of(1), WEIR_ROLE_REPLICA);
	while (!wi_load_acq(&doubts))
		probe();
	assert_non_null(strstr(doubt, fake_host_name(1)));
	assert_non_null(strstr(doubt, "is in recovery"));
	assert_non_null(strstr(doubt, fake_host_name(0)));
	probe();
	assert_int_equal(wi_load_rlx(&doubts), 1); /* once an episode */
}

static void an_older_timeline_than_advised_gets_no_write(void **state)
{
	(void)state;
	open_router();
	advise(0, wi_load_rlx(&cluster.host[0].server.timeline) + 1, LONG_MS);
	sleep_until_role(0, WEIR_ROLE_UNKNOWN);
	assert_int_equal(write_to(WEIR_NO_WAIT), -1);
	advise(0, wi_load_rlx(&cluster.host[0].server.timeline), LONG_MS);
	assert_int_equal(write_to(20000), 0);
}

static void nobody_is_fenced_longer_than_the_advice_is_good(void **state)
{
	(void)state;
	open_router();
	advise(-1, 0, LONG_MS);
	sleep_until_role(0, WEIR_ROLE_UNKNOWN);
	assert_int_equal(write_to(WEIR_NO_WAIT), -1);
	/* Nobody says anything afterwards, and nothing moves at the hosts. */
	advise(-1, 0, 300);
	assert_int_equal(write_to(LONG_MS), 0);
}

/* The probes are a minute apart: who is advised is asked at once, and again until it is one. */
static void the_advised_host_is_asked_until_it_is_the_primary(void **state)
{
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC;
	uint64_t before[2];

	(void)state;
	options.probe_interval_ms = LONG_MS;
	open_router();
	advise(1, 0, LONG_MS);
	sleep_until_role(0, WEIR_ROLE_UNKNOWN);
	assert_int_equal(write_to(WEIR_NO_WAIT), -1);
	/* As fast as a host may be: several times as often as one that nobody waits for. */
	before[0] = wi_load_rlx(&cluster.host[1].probes);
	before[1] = wi_load_rlx(&cluster.host[2].probes);
	while (wi_load_rlx(&cluster.host[1].probes) < before[0] + 40 && wi_now_ns() < until_ns)
		usleep(1000);
	assert_true(wi_load_rlx(&cluster.host[2].probes) - before[1] <= 20);
	fake_cluster_promote(&cluster, 1);
	assert_int_equal(write_to(20000), 1);
}

static void what_is_no_host_takes_the_old_advice_away(void **state)
{
	weir_advice advice = {.primary = "127.0.0.1:1", .good_for_ms = LONG_MS};

	(void)state;
	open_router();
	advise(-1, 0, LONG_MS);
	sleep_until_role(0, WEIR_ROLE_UNKNOWN);
	assert_int_equal(weir_router_advise(router, &advice, &said), WEIR_INVALID);
	assert_non_null(strstr(said.text, "127.0.0.1:1"));
	assert_int_equal(write_to(20000), 0);
	advice = (weir_advice){.primary = fake_host_name(0), .good_for_ms = -1};
	assert_int_equal(weir_router_advise(router, &advice, &said), WEIR_INVALID);
	assert_int_equal(weir_router_advise(NULL, &advice, &said), WEIR_INVALID);
}

static void a_wait_for_a_change_has_an_end(void **state)
{
	uint32_t seen = 0;

	(void)state;
	options.probe_interval_ms = LONG_MS;
	open_router();
	assert_int_equal(weir_router_await(router, &seen, 20000), WEIR_OK);
	while (weir_router_await(router, &seen, 50) == WEIR_OK)
		continue;
	assert_int_equal(weir_router_await(router, &seen, 0), WEIR_TIMEOUT);
	advise(-1, 0, LONG_MS);
	assert_int_equal(weir_router_await(router, &seen, 20000), WEIR_OK);
	assert_int_equal(weir_router_await(router, NULL, 0), WEIR_INVALID);
}

static void *wait_for_ever(void *arg)
{
	weir_router *r = router;
	uint32_t seen = 0;
	weir_status st;

	do {
		st = weir_router_await(r, &seen, -1);
		wi_add_seq((_Atomic int *)arg, 1);
	} while (st == WEIR_OK);
	return st == WEIR_CLOSED ? arg : NULL;
}

static void a_close_ends_a_wait(void **state)
{
	_Atomic int turns = 0;
	pthread_t thread;
	void *out = NULL;

	(void)state;
	open_router();
	assert_int_equal(pthread_create(&thread, NULL, wait_for_ever, &turns), 0);
	while (!wi_load_seq(&turns))
		usleep(1000);
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	pthread_join(thread, &out);
	assert_non_null(out);
}

/* Waits, advises and gives up as threads of an adviser do, until the router is closed. */
static void *keep_advising(void *arg)
{
	weir_router *r = router;
	uint32_t seen = 0;
	int host = *(int *)arg;
	weir_status st = WEIR_OK;

	for (int i = 0; i < 300 && st == WEIR_OK; i++) {
		weir_advice advice = {.primary = first, .good_for_ms = 1};

		st = weir_router_advise(r, host ? &advice : NULL, NULL);
		if (weir_router_await(r, &seen, host) == WEIR_CLOSED)
			st = WEIR_CLOSED;
	}
	return NULL;
}

static void many_may_advise_at_once(void **state)
{
	int hosts[4] = {0, 1, 0, 1};
	pthread_t threads[4];

	(void)state;
	open_router();
	snprintf(first, sizeof(first), "%s", fake_host_name(0));
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, keep_advising, &hosts[i]), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(write_to(20000), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(write_to(20000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_advice_decides_a_tie, set_up, fake_router_end),
		cmocka_unit_test_setup_teardown(a_self_appointed_primary_gets_no_write, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(
			who_appointed_itself_keeps_the_primary_from_no_writes, set_up,
			fake_router_end),
		cmocka_unit_test_setup_teardown(a_standby_gets_no_write_whatever_the_advice, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(an_older_timeline_than_advised_gets_no_write,
	                                        set_up, fake_router_end),
		cmocka_unit_test_setup_teardown(nobody_is_fenced_longer_than_the_advice_is_good,
	                                        set_up, fake_router_end),
		cmocka_unit_test_setup_teardown(the_advised_host_is_asked_until_it_is_the_primary,
	                                        set_up, fake_router_end),
		cmocka_unit_test_setup_teardown(what_is_no_host_takes_the_old_advice_away, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(a_wait_for_a_change_has_an_end, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(a_close_ends_a_wait, set_up, fake_router_end),
		cmocka_unit_test_setup_teardown(many_may_advise_at_once, set_up, fake_router_end),
	};

	test_watchdog(110, "the hosts to be what they were made");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

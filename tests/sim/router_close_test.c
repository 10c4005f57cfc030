/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a router: who waits is told, what is out is waited for, and a close or a fork comes in
 * the middle of hosts that come and go.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/rcu.h" /* WI_TSAN */
#include "base/rng.h"
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

/* ---- closing ---- */

static void who_waits_when_the_router_closes_is_told(void **state)
{
	weir_conn *held = NULL;
	struct seeker at_gate = {0}, in_pool = {0};

	(void)state;
	options.pool_min = options.pool_max = 1;
	options.read_fallback = WEIR_READ_FALLBACK_WAIT;
	options.checkout_timeout_ms = 3600000;
	for (int i = 1; i < cluster.n; i++)
		fake_host_down(&cluster, i, true);
	open_router();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &held, &said), WEIR_OK);
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
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &held, &said), WEIR_OK);
	assert_int_equal(pthread_create(&thread, NULL, hand_back_when_refused, held), 0);
	while (!stats_of(0).pool.waiting)
		probe();
	assert_int_equal(weir_router_close(&router, -1), WEIR_OK);
	pthread_join(thread, &ok);
	assert_ptr_equal(ok, held);
}

/* ---- in the middle of changes ---- */

static void a_close_waits_for_what_is_out_of_a_removed_host(void **state)
{
	weir_conn *c;

	(void)state;
	open_first(2);
	c = take(WEIR_READ);
	add_host(2);
	remove_host(1);
	assert_int_equal(weir_router_close(&router, 20), WEIR_TIMEOUT);
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_STILL_OUT]), 1);
	weir_checkin(&c); /* the keeper frees everything now */
	while (wi_load_rlx(&cluster.host[1].server.sessions))
		a_moment();
}

static weir_router *theirs; /* close clears the one that it is given */

/* Each change orders the next one, on the keeper's thread. */
static void go_on_changing(const weir_event *event)
{
	weir_error e;

	if (event->kind == WEIR_EVENT_HOST_ADDED)
		(void)!weir_router_host_remove(theirs, "127.0.0.1:6002", &e);
	if (event->kind == WEIR_EVENT_HOST_LEFT)
		(void)!weir_router_host_add(theirs, "127.0.0.1:6002", NULL, &e);
}

static void a_close_comes_in_the_middle_of_changes(void **state)
{
	struct wi_rng rng;

	(void)state;
	wi_rng_seed(&rng, test_seed());
	for (int i = 0; i < 20; i++) {
		weir_conn *c;

		wi_store_rel(&on_told, NULL);
		open_first(2);
		theirs = router;
		wi_store_rel(&on_told, go_on_changing);
		must(weir_router_host_add(router, fake_host_name(2), NULL, &said));
		c = take(WEIR_READ);
		for (uint32_t us = wi_rng_below(&rng, 3); us; us--)
			a_moment();
		weir_checkin(&c);
		assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
		for (int k = 0; k < 3; k++)
			assert_int_equal(wi_load_rlx(&cluster.host[k].server.sessions), 0);
	}
}

/* The thread sanitizer ends a forked child that starts a thread. */
#ifndef WI_TSAN

/* With nobody in the middle of a fake server: its lock would stay taken in the child. */
static pid_t fork_whole(void)
{
	pid_t child;

	for (int i = 0; i < cluster.n; i++)
		pthread_mutex_lock(&cluster.host[i].server.lock);
	child = fork();
	for (int i = 0; i < cluster.n; i++)
		pthread_mutex_unlock(&cluster.host[i].server.lock);
	return child;
}

/* In a child that opens connections of its own, who was leaving is not there. */
static int in_the_child(weir_conn **held)
{
	weir_conn *c = NULL;
	int host;

	if (weir_checkout(router, WEIR_READ, &c, &said) != WEIR_OK)
		return 1;
	host = fake_host_of(c);
	weir_checkin(&c);
	weir_checkin(held); /* the parent's: left alone */
	if (host != 2)
		return 2;
	if (weir_router_stats_get(router, NULL, 0) != 2)
		return 3;
	if (weir_router_host_add(router, fake_host_name(1), NULL, &said) != WEIR_OK)
		return 4;
	if (weir_router_probe(router, PATIENCE_MS) != WEIR_OK)
		return 5;
	if (weir_router_host_remove(router, fake_host_name(2), &said) != WEIR_OK)
		return 6;
	return weir_router_close(&router, 5000) == WEIR_OK ? 0 : 7;
}

static void a_child_is_without_those_that_were_leaving(void **state)
{
	weir_conn *held;
	int status;
	pid_t child;

	(void)state;
	options.fork = WEIR_FORK_REOPEN;
	open_first(2);
	held = take(WEIR_READ);
	add_host(2);
	remove_host(1);
	child = fork_whole();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(60);
		_exit(in_the_child(&held));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	weir_checkin(&held);
	await_told(WEIR_EVENT_HOST_LEFT, 1);
}

/* The address sanitizer's allocator may be in the middle of something, and stays so in a child. */
#ifndef __SANITIZE_ADDRESS__

static int live_on(void)
{
	weir_conn *c = NULL;

	wi_store_rel(&on_told, NULL);
	if (weir_checkout(router, WEIR_WRITE, &c, &said) != WEIR_OK) {
		fprintf(stderr, "child: %s\n", said.text);
		return 1;
	}
	weir_checkin(&c);
	if (weir_router_host_add(router, fake_host_name(3), NULL, &said) != WEIR_OK)
		return 2;
	if (weir_router_host_remove(router, fake_host_name(3), &said) != WEIR_OK)
		return 3;
	return weir_router_close(&router, 5000) == WEIR_OK ? 0 : 4;
}

/* Wherever the keeper was in the middle of a change, a child makes the router anew. */
static void a_fork_comes_in_the_middle_of_changes(void **state)
{
	(void)state;
	options.fork = WEIR_FORK_REOPEN;
	open_first(2);
	theirs = router;
	wi_store_rel(&on_told, go_on_changing);
	must(weir_router_host_add(router, fake_host_name(2), NULL, &said));
	for (int i = 0; i < 10; i++) {
		pid_t child = fork_whole();
		int status;

		assert_true(child >= 0);
		if (child == 0) {
			alarm(60);
			_exit(live_on());
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	wi_store_rel(&on_told, NULL);
}

#endif
#endif

/* ---- what would keep the keeper from it for ever ---- */

static _Atomic int came_to;

static void check_out_in_an_event(const weir_event *event)
{
	const weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .target = WEIR_TARGET_REPLICA,
	                                    .at_least = WEIR_TOKEN_PRIMARY, .timeout_ms = -1);
	weir_conn *c;

	if (event->kind != WEIR_EVENT_HOST_ADDED)
		return;
	wi_store_rel(&on_told, NULL);
	wi_store_rel(&came_to, (int)weir_checkout_with(router, &q, &c, NULL));
}

/* No replica ever comes to that position: anywhere else it would wait for ever. */
static void a_checkout_in_an_event_callback_does_not_wait(void **state)
{
	(void)state;
	open_first(2);
	wi_store_rel(&came_to, -1);
	wi_store_rel(&on_told, check_out_in_an_event);
	add_host(2);
	await_told(WEIR_EVENT_HOST_ADDED, 1);
	assert_int_equal(wi_load_acq(&came_to), WEIR_UNAVAILABLE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		TEST(who_waits_when_the_router_closes_is_told),
		TEST(closing_waits_for_what_is_out),
		TEST(a_close_waits_for_what_is_out_of_a_removed_host),
		TEST(a_close_comes_in_the_middle_of_changes),
		TEST(a_checkout_in_an_event_callback_does_not_wait),
#ifndef WI_TSAN
		TEST(a_child_is_without_those_that_were_leaving),
#ifndef __SANITIZE_ADDRESS__
		TEST(a_fork_comes_in_the_middle_of_changes),
#endif
#endif
	};

	test_watchdog(120, "the simulation of a router's end");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

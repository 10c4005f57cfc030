/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Other options for a router that runs: the next read goes by the new policy, limit and fallback,
 * every host's pool has the new sizes, and so has one that is added later.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h" /* WI_TSAN */
#include "pool/pool.h"
#include "route/router.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	options.probe_interval_ms = 10;
	options.slow_start_ms = 0;
	return 0;
}

static void reload(void)
{
	must(weir_router_reload(router, &options, &said));
}

/* Which host a read goes to; -1: none, at once. */
static int read_at(void)
{
	int host;

	return try_visit(&WEIR_REQUEST(.intent = WEIR_READ), &host, NULL) == WEIR_OK ? host : -1;
}

static void await_read_at(int host)
{
	while (read_at() != host)
		a_moment();
}

static void reads_go_by_the_new_policy(void **state)
{
	int at[FAKE_HOSTS];

	(void)state;
	/* By lot alone: p2c goes round a host at which this thread stood still for once. */
	options.balance = WEIR_BALANCE_RANDOM;
	open_first(3);
	count_reads(200, at);
	assert_true(at[1] > 0 && at[2] > 0);
	options.balance = WEIR_BALANCE_FIRST;
	reload();
	count_reads(20, at); /* a thread may stay for a few with the replica that it drew */
	count_reads(50, at);
	assert_int_equal(at[1], 50);
	options.balance = WEIR_BALANCE_LEAST;
	reload();
	count_reads(50, at);
	options.balance = WEIR_BALANCE_ROUND_ROBIN;
	reload();
	count_reads(20, at);
	count_reads(50, at);
	assert_int_equal(at[1], 25);
	assert_int_equal(at[2], 25);
	options.balance = WEIR_BALANCE_RANDOM;
	reload();
	count_reads(200, at);
	assert_true(at[1] > 0 && at[2] > 0);
}

static void reads_fall_back_as_is_said_now(void **state)
{
	(void)state;
	options.checkout_timeout_ms = 20000;
	open_first(3);
	fake_host_down(&cluster, 1, true);
	fake_host_down(&cluster, 2, true);
	await_read_at(0);
	options.read_fallback = WEIR_READ_FALLBACK_FAIL;
	reload();
	assert_int_equal(read_at(), -1);
	assert_int_equal(said.status, WEIR_UNAVAILABLE);
	options.read_fallback = WEIR_READ_FALLBACK_PRIMARY;
	reload();
	assert_int_equal(read_at(), 0);
}

static void a_limit_of_lag_holds_from_then_on(void **state)
{
	int at[FAKE_HOSTS];

	(void)state;
	open_first(3);
	count_reads(50, at); /* with reads left at the replica that was drawn last */
	assert_int_equal(at[0], 0);
	fake_cluster_write(&cluster, 0, 1 << 20);
	know();
	options.max_lag_bytes = 1000;
	reload();
	count_reads(50, at);
	assert_int_equal(at[0], 50);
	options.max_lag_bytes = 0;
	reload();
	count_reads(50, at);
	assert_int_equal(at[0], 0);
}

static uint32_t max_of(int i)
{
	return stats_of(i).pool.max;
}

static void every_host_has_the_new_size_also_one_that_comes_later(void **state)
{
	(void)state;
	open_first(2);
	options.pool_max = 17;
	reload();
	assert_int_equal(max_of(0), 17);
	assert_int_equal(max_of(1), 17);
	add_host(2);
	assert_int_equal(max_of(2), 17);
	/* also after a resize, which is not what the options say */
	assert_int_equal(weir_router_resize(router, 0, 5, &said), WEIR_OK);
	options.checkout_timeout_ms = 123;
	reload();
	assert_int_equal(max_of(1), 5);
	options.server_budget = 30;
	options.pod_count = 10; /* three each, one of them to probe */
	options.pool_min = 0;
	reload();
	assert_int_equal(max_of(0), 2);
	assert_int_equal(max_of(2), 2);
}

static void what_may_not_change_is_named_and_nothing_changes(void **state)
{
	weir_options before;

	(void)state;
	open_first(3);
	before = router->options;
	options.checkout_timeout_ms = 1;
	strcpy(options.zone, "b");
	assert_int_equal(weir_router_reload(router, &options, &said), WEIR_INVALID);
	assert_non_null(strstr(said.text, "\"zone\" may not change"));
	options.zone[0] = '\0';
	options.server_budget = 9;
	options.pod_count = 10;
	assert_int_equal(weir_router_reload(router, &options, &said), WEIR_INVALID);
	assert_memory_equal(&before, &router->options, sizeof(before));
	assert_int_equal(weir_router_reload(router, NULL, &said), WEIR_INVALID);
	assert_int_equal(weir_router_reload(NULL, &options, &said), WEIR_INVALID);
}

static _Atomic int heard;

static void reload_there(void *arg, const weir_event *event)
{
	weir_options *other = arg;

	if (event->kind == WEIR_EVENT_CONNECTED && !wi_add_rlx(&heard, 1) && router)
		assert_int_equal(weir_router_reload(router, other, NULL), WEIR_OK);
}

/* On a keeper's thread nobody waits: it is done in the next turn. */
static void an_event_callback_may_ask_for_it(void **state)
{
	static weir_options other;

	(void)state;
	other = options;
	other.pool_max = 13;
	options.on_event = reload_there;
	options.on_event_arg = &other;
	wi_store_rlx(&heard, 1);
	open_first(3);
	wi_store_rlx(&heard, 0);
	assert_int_equal(weir_router_resize(router, 4, 10, &said), WEIR_OK);
	while (max_of(0) != 13)
		fake_cluster_calm(router, 2);
}

/* The thread sanitizer ends a forked child that starts a thread. */
#ifndef WI_TSAN

static _Atomic uint32_t at_point; /* 1: the keeper has come there; 2: it goes on */

static void stop_there(const char *point)
{
	if (strcmp(point, "reload.written") != 0 || wi_load_seq(&at_point) == 2)
		return;
	wi_store_seq(&at_point, 1);
	while (wi_load_seq(&at_point) == 1)
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static void *reload_beside(void *arg)
{
	(void)arg;
	reload();
	return NULL;
}

static int in_the_child(void)
{
	wi_store_seq(&wi_yield_hook, NULL);
	if (weir_router_probe(router, 20000) != WEIR_OK)
		return 1;
	for (int i = 0; i < 3; i++)
		if (max_of(i) != 13)
			return 2;
	if (router->options.pool_max != 13 || wi_load_seq(&router->reloading))
		return 3;
	return weir_router_close(&router, 5000) == WEIR_OK ? 0 : 4;
}

/* The keeper had written the router's options and the first host's, and no other's. */
static void a_child_finishes_what_was_under_way(void **state)
{
	pthread_t asker;
	pid_t child;
	int status;

	(void)state;
	options.fork = WEIR_FORK_REOPEN;
	open_first(3);
	options.pool_max = 13;
	wi_store_seq(&at_point, 0);
	wi_store_seq(&wi_yield_hook, stop_there);
	assert_int_equal(pthread_create(&asker, NULL, reload_beside, NULL), 0);
	while (!wi_load_seq(&at_point))
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	fflush(NULL);
	child = fork(); /* the keeper is stopped, so nobody is in the middle of a fake server */
	assert_true(child >= 0);
	if (child == 0) {
		alarm(60);
		_exit(in_the_child());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	wi_store_seq(&at_point, 2);
	assert_int_equal(pthread_join(asker, NULL), 0);
	wi_store_seq(&wi_yield_hook, NULL);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(max_of(i), 13);
}

#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_go_by_the_new_policy),
		TEST(reads_fall_back_as_is_said_now),
		TEST(a_limit_of_lag_holds_from_then_on),
		TEST(every_host_has_the_new_size_also_one_that_comes_later),
		TEST(what_may_not_change_is_named_and_nothing_changes),
		TEST(an_event_callback_may_ask_for_it),
#ifndef WI_TSAN
		TEST(a_child_finishes_what_was_under_way),
#endif
	};

	test_watchdog(60, "sim.router_reload");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole router over fake servers: what a caller is told when nobody can be chosen, an operator's
 * calls, children, counts after a load, memory that is short. Who is chosen, and what becomes of it
 * when servers change, is in the files beside this one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
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

/* ---- refusals ---- */

static void nonsense_is_refused(void **state)
{
	struct {
		weir_request request;
		int more;
	} newer = {.request = {.size = sizeof(newer)}, .more = 1};
	weir_request bad = WEIR_REQUEST(.intent = (weir_intent)7);
	weir_router *none = router;
	weir_conn *c = NULL;

	(void)state;
	open_warm();
	assert_int_equal(weir_checkout(NULL, WEIR_READ, &c, &said), WEIR_INVALID);
	assert_int_equal(weir_checkout(router, WEIR_READ, NULL, &said), WEIR_INVALID);
	assert_int_equal(weir_checkout(router, (weir_intent)7, &c, &said), WEIR_INVALID);
	assert_int_equal(weir_checkout_with(router, &bad, &c, &said), WEIR_INVALID);
	bad = (weir_request)WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = -1);
	assert_int_equal(weir_checkout_with(router, &bad, &c, &said), WEIR_INVALID);
	bad = (weir_request)WEIR_REQUEST(.fallback = (weir_fallback)9);
	assert_int_equal(weir_checkout_with(router, &bad, &c, &said), WEIR_INVALID);
	assert_int_equal(weir_checkout_with(router, &newer.request, &c, &said), WEIR_INVALID);
	newer.more = 0;
	assert_int_equal(weir_checkout_with(router, &newer.request, &c, NULL), WEIR_OK);
	assert_int_equal(fake_host_of(c), 0); /* all zero: a write */
	weir_checkin(&c);
	assert_int_equal(weir_checkout_with(router, NULL, &c, NULL), WEIR_OK);
	assert_int_equal(fake_host_of(c), 0);
	weir_checkin(&c);
	assert_int_equal(weir_router_stats_get(NULL, NULL, 0), 0);
	assert_int_equal(weir_router_stats_get(router, NULL, 0), 3);
	assert_int_equal(weir_router_probe(NULL, 0), WEIR_INVALID);
	assert_int_equal(weir_router_open("postgresql://h/d", NULL, NULL, &said), WEIR_INVALID);
	assert_int_equal(weir_router_open("postgresql://h/d?pool_max=-1", NULL, &none, &said),
	                 WEIR_INVALID);
	assert_null(none);
	assert_int_equal(weir_router_close(NULL, 0), WEIR_OK);
	assert_int_equal(weir_router_close(&none, 0), WEIR_OK);
}

static void refused_credentials_are_told_at_once(void **state)
{
	weir_conn *c = NULL;

	(void)state;
	for (int i = 0; i < 3; i++)
		wi_store_rlx(&cluster.host[i].server.connect_fault, WI_FAULT_AUTH);
	options.checkout_timeout_ms = 3600000;
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &said), WEIR_OK);
	assert_int_equal(weir_checkout(router, WEIR_READ, &c, &said), WEIR_AUTH);
	assert_string_equal(said.sqlstate, "28P01");
	assert_non_null(strstr(said.text, fake_host_name(2)));
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &said), WEIR_AUTH);
}

static void a_database_that_is_nowhere_is_told_at_once(void **state)
{
	weir_conn *c = NULL;

	(void)state;
	for (int i = 0; i < 3; i++)
		wi_store_rlx(&cluster.host[i].server.connect_fault, WI_FAULT_CONFIG);
	options.checkout_timeout_ms = 3600000;
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &said), WEIR_OK);
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &said), WEIR_UNAVAILABLE);
	assert_non_null(strstr(said.text, "database does not exist"));
}

static void nobody_reachable_lists_every_host(void **state)
{
	weir_request q = WEIR_REQUEST(.timeout_ms = 100);
	int host;

	(void)state;
	for (int i = 0; i < 3; i++)
		fake_host_down(&cluster, i, true);
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &said), WEIR_OK);
	probe();
	assert_int_equal(try_visit(&q, &host, NULL), WEIR_UNAVAILABLE);
	assert_non_null(strstr(said.text, "no primary is known"));
	for (int i = 0; i < 3; i++) {
		char line[128];

		snprintf(line, sizeof(line), "%s: unknown: connection refused", fake_host_name(i));
		assert_non_null(strstr(said.text, line));
	}
	q.intent = WEIR_READ;
	assert_int_equal(try_visit(&q, &host, NULL), WEIR_UNAVAILABLE);
}

static void a_timeout_is_a_timeout_of_the_pool(void **state)
{
	weir_request q = WEIR_REQUEST(.timeout_ms = 30);
	weir_conn *held = NULL;
	int host;

	(void)state;
	options.pool_min = options.pool_max = 1;
	open_warm();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &held, &said), WEIR_OK);
	assert_int_equal(try_visit(&q, &host, NULL), WEIR_TIMEOUT);
	assert_string_equal(said.host, fake_host_name(0));
	q.timeout_ms = WEIR_NO_WAIT;
	assert_int_equal(try_visit(&q, &host, NULL), WEIR_EXHAUSTED);
	weir_checkin(&held);
}

/* ---- an operator ---- */

/*
 * Who suspends or resumes a router tells one host after the other, and may be stopped in the middle
 * of it: callers who are sent to and fro meanwhile sleep, and no longer than their time is.
 */
static void an_operator_may_be_stopped_in_the_middle(void **state)
{
	weir_conn *conn = NULL;
	int64_t begun_ns;

	(void)state;
	open_warm();
	for (int i = 0; i < cluster.n; i++)
		wi_core_suspend(&wi_host_at(router, i)->pool->core, WI_SUSPENDED_ELSEWHERE);
	begun_ns = wi_now_ns();
	assert_int_equal(weir_checkout_with(router, &WEIR_REQUEST(.timeout_ms = 50), &conn, &said),
	                 WEIR_TIMEOUT);
	assert_true(wi_now_ns() - begun_ns >= 50 * WI_MS);
	assert_int_equal(
		weir_checkout_with(router, &WEIR_REQUEST(.timeout_ms = WEIR_NO_WAIT), &conn, &said),
		WEIR_EXHAUSTED);
	for (int i = 0; i < cluster.n; i++)
		wi_core_suspend(&wi_host_at(router, i)->pool->core, 0);
	assert_int_equal(weir_checkout(router, WEIR_READ, &conn, &said), WEIR_OK);
	weir_checkin(&conn);
}

static void resize_otherwise(const char *point)
{
	if (strcmp(point, "router.resize.asked") != 0)
		return;
	wi_store_rel(&wi_yield_hook, NULL);
	assert_int_equal(weir_router_resize(router, 1, 3, NULL), WEIR_OK);
}

/* What was said last holds at every host, also for one who had told the first one before. */
static void of_two_sizes_at_once_the_last_holds(void **state)
{
	(void)state;
	open_warm();
	wi_store_rel(&wi_yield_hook, resize_otherwise);
	assert_int_equal(weir_router_resize(router, 1, 5, NULL), WEIR_OK);
	assert_null(wi_load_acq(&wi_yield_hook));
	for (int i = 0; i < cluster.n; i++)
		assert_int_equal(stats_of(i).pool.max, 3);
}

/* ---- the process ---- */

static void a_child_is_refused(void **state)
{
	int status;
	pid_t child;

	(void)state;
	open_warm();
	child = fork();
	if (child == 0) {
		weir_conn *c = NULL;
		int bad = weir_checkout(router, WEIR_READ, &c, &said) != WEIR_FORKED || c;

		bad |= weir_router_probe(router, 0) != WEIR_FORKED;
		bad |= weir_router_stats_get(router, NULL, 0) != 0;
		_exit(bad);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(visit(WEIR_WRITE), 0); /* the parent's go on */
}

static void many(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		weir_conn *c = NULL;
		weir_intent intent = wi_rng_below(&self->rng, 4) ? WEIR_READ : WEIR_WRITE;
		weir_error e;

		if (weir_checkout(router, intent, &c, &e) != WEIR_OK) {
			test_wrong(self, "%s", e.text);
			return;
		}
		if (intent == WEIR_WRITE && fake_host_of(c) != 0)
			test_wrong(self, "a write on %d", fake_host_of(c));
		self->count[intent]++;
		weir_checkin(&c);
	}
}

static void counts_are_exact_after_the_load(void **state)
{
	struct test_thread reports[8];
	uint64_t reads = 0, writes = 0;

	(void)state;
	open_warm();
	test_threads_run(8, many, NULL, test_seconds(1), reports);
	assert_null(test_first_wrong(reports, 8));
	for (int i = 0; i < 3; i++) {
		weir_host_stats s = stats_of(i);

		reads += s.reads;
		writes += s.writes;
		assert_int_equal(s.reads + s.writes, s.pool.checkouts);
		assert_int_equal(s.pool.checkouts, s.pool.checkins);
	}
	assert_int_equal(reads, test_sum(reports, 8, WEIR_READ));
	assert_int_equal(writes, test_sum(reports, 8, WEIR_WRITE));
	assert_int_equal(stats_of(0).fallback_reads, 0);
}

/* Each allocation of open fails once: a status, and nothing is left behind. */
static void every_allocation_of_open_may_fail(void **state)
{
	size_t before = wi_alloc_blocks();
	int n = 0;
	weir_status st;

	(void)state;
	do {
		wi_alloc_fail_at(++n);
		st = fake_cluster_open(&cluster, &options, &router, &said);
		wi_alloc_fail_at(0);
		assert_true(st == WEIR_OK || st == WEIR_NO_MEMORY);
		if (st != WEIR_OK) {
			assert_null(router);
			assert_int_equal(wi_alloc_blocks(), before);
		}
		assert_true(n < 1000);
	} while (st != WEIR_OK);
	assert_true(n > 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		TEST(nonsense_is_refused),
		TEST(refused_credentials_are_told_at_once),
		TEST(a_database_that_is_nowhere_is_told_at_once),
		TEST(nobody_reachable_lists_every_host),
		TEST(a_timeout_is_a_timeout_of_the_pool),
		TEST(an_operator_may_be_stopped_in_the_middle),
		TEST(of_two_sizes_at_once_the_last_holds),
		TEST(a_child_is_refused),
		TEST(counts_are_exact_after_the_load),
		TEST(every_allocation_of_open_may_fail),
	};

	test_watchdog(110, "the router's simulation");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

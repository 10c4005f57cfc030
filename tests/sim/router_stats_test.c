/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The statistics of a whole router: no count ever goes back, also while hosts come and go, and when
 * the load has stopped all of them agree exactly, with one another and with what its users counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/line.h"
#include "route/router.h"
#include "support/fake_router.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define USERS 3
#define ROUNDS 4

enum { READS, WRITES, REFUSED_READS, REFUSED_WRITES, OTHERS };

static _Atomic bool over;

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	options.probe_interval_ms = 50;
	options.pool_min = 1;
	options.pool_max = 2;
	options.slow_start_ms = 0;
	wi_store_seq(&over, false);
	return fake_cluster_open_first(&cluster, 2, &options, &router, NULL) == WEIR_OK ? 0 : -1;
}

/* ---- counts that must not go back ---- */

#define COUNTS 256

static void put(uint64_t *to, int *n, const void *from, size_t bytes)
{
	memcpy(to + *n, from, bytes);
	*n += (int)(bytes / sizeof(*to));
}

static void put_pool(uint64_t *to, int *n, const weir_pool_stats *s)
{
	const uint64_t one[] = {
		s->checkouts, s->checkins,         s->waits,        s->timeouts,
		s->refused,   s->opened,           s->lost,         s->misuse,
		s->leaks,     s->connect_failures, s->cancels,      s->orphans,
		s->verified,  s->breaker_openings, s->hold_samples, s->slow_queries};

	put(to, n, one, sizeof(one));
	put(to, n, s->closed, sizeof(s->closed));
	put(to, n, s->connect_failed_of, sizeof(s->connect_failed_of));
	put(to, n, s->refused_with, sizeof(s->refused_with));
	put(to, n, s->work, sizeof(s->work));
	put(to, n, &s->wait_times, sizeof(s->wait_times));
	put(to, n, &s->connect_times, sizeof(s->connect_times));
	put(to, n, &s->hold_times, sizeof(s->hold_times));
}

static int counts_of(uint64_t to[COUNTS], const weir_stats *s)
{
	const uint64_t one[] = {s->hosts_left,      s->reads,     s->writes,
	                        s->fallback_reads,  s->too_late,  s->ejections,
	                        s->fallback_capped, s->failovers, s->slow_checkouts};
	int n = 0;

	put(to, &n, one, sizeof(one));
	put(to, &n, s->chosen, sizeof(s->chosen));
	put(to, &n, s->failed, sizeof(s->failed));
	put_pool(to, &n, &s->pool);
	return n;
}

static void watch(struct test_thread *self)
{
	uint64_t before[COUNTS] = {0}, now[COUNTS];
	weir_stats s;

	while (!wi_load_seq(&over) && !self->wrong[0]) {
		weir_stats_get(router, &s);
		for (int i = 0, n = counts_of(now, &s); i < n; i++)
			if (now[i] < before[i])
				test_wrong(self, "count %d went back from %llu to %llu", i,
				           (unsigned long long)before[i],
				           (unsigned long long)now[i]);
		memcpy(before, now, sizeof(now));
		self->count[0]++;
		a_moment();
	}
}

static void use_once(struct test_thread *self)
{
	bool reads = wi_rng_below(&self->rng, 3) > 0;
	weir_request q = WEIR_REQUEST(.intent = reads ? WEIR_READ : WEIR_WRITE);
	weir_conn *conn = NULL;
	weir_status st;

	if (wi_rng_below(&self->rng, 4) == 0)
		q.timeout_ms = WEIR_NO_WAIT;
	st = weir_checkout_with(router, &q, &conn, NULL);
	if (st != WEIR_OK) {
		self->count[reads ? REFUSED_READS : REFUSED_WRITES]++;
		return;
	}
	self->count[reads ? READS : WRITES]++;
	if (wi_rng_below(&self->rng, 50) == 0)
		weir_discard(&conn);
	else
		weir_checkin(&conn);
}

static void use(struct test_thread *self)
{
	if (self->number == USERS) {
		watch(self);
		return;
	}
	if (self->number > USERS) { /* hosts come and go */
		for (int i = 1; i <= ROUNDS; i++) {
			if (weir_router_host_add(router, fake_host_name(2), NULL, NULL) !=
			            WEIR_OK ||
			    weir_router_probe(router, PATIENCE_MS) != WEIR_OK)
				test_wrong(self, "the host could not be added");
			for (int k = 0; k < 10; k++)
				a_moment();
			if (weir_router_host_remove(router, fake_host_name(2), NULL) != WEIR_OK)
				test_wrong(self, "the host could not be removed");
			await_told(WEIR_EVENT_HOST_LEFT, i);
		}
		wi_store_seq(&over, true);
		return;
	}
	while (!wi_load_seq(&over)) {
		use_once(self);
		if (wi_rng_below(&self->rng, 50) == 0)
			a_moment(); /* others have to have their turn where there are few cores */
	}
}

static uint64_t sum(const uint64_t *of, int n)
{
	uint64_t s = 0;

	for (int i = 0; i < n; i++)
		s += of[i];
	return s;
}

/* Whether no connection is on its way from one place to another. */
static bool is_at_rest(const weir_pool_stats *s)
{
	return !s->opening && !s->kept && !s->closing && !s->doubted;
}

static void assert_agrees(const weir_stats *s)
{
	const weir_pool_stats *p = &s->pool;

	assert_int_equal(p->busy, 0);
	assert_int_equal(p->checkouts, p->checkins);
	assert_int_equal(p->checkouts, s->reads + s->writes + s->too_late);
	assert_int_equal(sum(s->chosen, WEIR_REASONS), s->reads + s->writes);
	assert_int_equal(p->opened, sum(p->closed, WEIR_CLOSE_REASONS) + p->idle);
	assert_int_equal(p->refused, sum(p->refused_with, WEIR_STATUSES));
	assert_int_equal(p->connect_times.count, p->opened);
	assert_int_equal(p->wait_times.count, p->waits);
}

static void all_agree_after_hosts_have_come_and_gone(void **state)
{
	struct test_thread reports[USERS + 2];
	weir_host_stats hosts[2];
	uint64_t checkouts = 0;
	const char *wrong;
	weir_stats s;

	(void)state;
	test_threads_run(USERS + 2, use, NULL, -1, reports);
	wrong = test_first_wrong(reports, USERS + 2);
	if (wrong)
		fail_msg("%s", wrong);
	assert_true(reports[USERS].count[0] > 10);
	do {
		a_moment();
		weir_stats_get(router, &s);
	} while (!is_at_rest(&s.pool)); /* the watchdog bounds it */
	assert_agrees(&s);
	assert_int_equal(s.hosts, 2);
	assert_int_equal(s.hosts_left, ROUNDS);
	assert_int_equal(s.reads, test_sum(reports, USERS, READS));
	assert_int_equal(s.writes, test_sum(reports, USERS, WRITES));
	assert_int_equal(sum(s.failed[WEIR_READ], WEIR_STATUSES),
	                 test_sum(reports, USERS, REFUSED_READS));
	assert_int_equal(sum(s.failed[WEIR_WRITE], WEIR_STATUSES),
	                 test_sum(reports, USERS, REFUSED_WRITES));
	assert_int_equal(weir_router_stats_get(router, hosts, 2), 2);
	for (int i = 0; i < 2; i++)
		checkouts += hosts[i].pool.checkouts;
	assert_true(checkouts < s.pool.checkouts); /* the rest was that of the host that left */
}

static void another_primary_is_a_failover(void **state)
{
	weir_stats s;

	(void)state;
	assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	weir_stats_get(router, &s);
	assert_int_equal(s.failovers, 0);
	assert_int_equal(s.primaries, 1);
	assert_int_equal(s.replicas, 1);
	fake_cluster_promote(&cluster, 1);
	do {
		assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
		weir_stats_get(router, &s);
	} while (!s.failovers);
	assert_int_equal(s.failovers, 1);
	assert_int_equal(s.no_primary_ms, 0);
}

static void what_callers_were_told_is_counted(void **state)
{
	weir_conn *conn[3] = {NULL};
	weir_stats s;

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(weir_checkout(router, WEIR_WRITE, &conn[i], NULL), WEIR_OK);
	assert_int_equal(weir_checkout_with(router, &WEIR_REQUEST(.timeout_ms = WEIR_NO_WAIT),
	                                    &conn[2], NULL),
	                 WEIR_EXHAUSTED);
	assert_int_equal(weir_checkout_with(router, &WEIR_REQUEST(.timeout_ms = 1), &conn[2], NULL),
	                 WEIR_TIMEOUT);
	weir_stats_get(router, &s);
	assert_int_equal(s.failed[WEIR_WRITE][WEIR_EXHAUSTED], 1);
	assert_int_equal(s.failed[WEIR_WRITE][WEIR_TIMEOUT], 1);
	assert_int_equal(s.pool.refused_with[WEIR_EXHAUSTED], 1);
	assert_int_equal(s.pool.timeouts, 1);
	assert_int_equal(s.pool.busy, 2);
	assert_int_equal(s.writes, 2);
	assert_int_equal(s.pool.waiting + s.waiting_for_hosts, 0);
	for (int i = 0; i < 2; i++)
		weir_checkin(&conn[i]);
	weir_stats_get(NULL, &s);
	assert_int_equal(s.hosts, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_agree_after_hosts_have_come_and_gone, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(another_primary_is_a_failover, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(what_callers_were_told_is_counted, set_up,
	                                        fake_router_end),
	};

	test_watchdog(100, "the statistics of a router");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

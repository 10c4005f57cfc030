/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fresh a replica must be to read: limits of lag, in time and in bytes, and tokens; what is not
 * known is not fresh.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	options.probe_interval_ms = 50;
	return 0;
}

/* Of a hundred such reads none goes to another host. */
static void only_serves(int host, const weir_request *read)
{
	for (int i = 0; i < 100; i++)
		assert_int_equal(visit_with(read), host);
}

/* ---- freshness ---- */

static void a_stale_replica_serves_no_bounded_read(void **state)
{
	weir_request fresh = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 1000);
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC, begun_ns;
	weir_reason reason;
	int host;

	(void)state;
	options.probe_interval_ms = 20;
	open_warm();
	/* 2 stays behind for longer than the limit, while 1 follows. */
	while (stats_of(2).lag_ms <= 1100 && wi_now_ns() < until_ns) {
		fake_cluster_write(&cluster, 0, 100);
		fake_cluster_catch_up(&cluster, 0, 1);
		probe();
	}
	assert_true(stats_of(2).lag_ms > 1000);
	assert_true(stats_of(2).lag_bytes > 0);
	do { /* what is known of 1 may be too old, too, where this thread stood still */
		begun_ns = wi_now_ns();
		fake_cluster_catch_up(&cluster, 0, 1);
		probe();
		assert_int_equal(try_visit(&fresh, &host, &reason), WEIR_OK);
	} while (wi_now_ns() - begun_ns >= 1000 * WI_MS);
	assert_int_equal(host, 1);
	assert_int_equal(reason, WEIR_REASON_BALANCED);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(try_visit(&fresh, &host, NULL), WEIR_OK);
		assert_int_not_equal(host, 2);
	}
	/* Without a limit it serves. */
	for (host = 0; host != 2;)
		host = visit(WEIR_READ);
}

static void without_a_fresh_replica_the_primary_reads(void **state)
{
	weir_request tight = WEIR_REQUEST(.intent = WEIR_READ);
	weir_reason reason;
	int host;

	(void)state;
	options.max_lag_bytes = 1000;
	open_warm();
	assert_int_not_equal(visit_why(WEIR_READ, &reason), 0);
	fake_cluster_write(&cluster, 0, 5000);
	probe();
	probe(); /* the first may have seen a standby before the primary */
	assert_int_equal(visit_why(WEIR_READ, &reason), 0);
	assert_int_equal(reason, WEIR_REASON_TOO_STALE);
	assert_int_equal(stats_of(0).fallback_reads, 1);
	assert_int_equal(stats_of(0).reads, 1);
	tight.fallback = WEIR_FALLBACK_FAIL;
	assert_int_equal(try_visit(&tight, &host, NULL), WEIR_UNAVAILABLE);
	assert_non_null(strstr(said.text, "no replica is known to be fresh enough"));
	tight.fallback = WEIR_FALLBACK_WAIT;
	tight.timeout_ms = 50;
	assert_int_equal(try_visit(&tight, &host, NULL), WEIR_UNAVAILABLE);
	fake_cluster_catch_up(&cluster, 0, 2);
	tight.timeout_ms = 20000;
	assert_int_equal(try_visit(&tight, &host, NULL), WEIR_OK);
	assert_int_equal(host, 2);
}

/* So many bytes behind what the primary was once: that is no promise when it is not heard of. */
static void a_number_of_bytes_is_worth_nothing_without_a_primary(void **state)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .fallback = WEIR_FALLBACK_FAIL);
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC;
	int host;

	(void)state;
	options.max_lag_bytes = 100;
	options.connect_timeout_ms = 100;
	open_warm();
	while (try_visit(&q, &host, NULL) != WEIR_OK && wi_now_ns() < until_ns)
		probe(); /* what is known is good for 200 ms */
	assert_true(wi_now_ns() < until_ns);
	wi_store_rlx(&cluster.host[0].server.silent, true);
	fake_cluster_write(&cluster, 0, 1 << 30);
	while (stats_of(0).role == WEIR_ROLE_PRIMARY && wi_now_ns() < until_ns)
		continue;
	assert_int_equal(stats_of(1).lag_bytes, -1);
	assert_int_equal(try_visit(&q, &host, NULL), WEIR_UNAVAILABLE);
	wi_store_rlx(&cluster.host[0].server.silent, false);
}

/* And with one, as long as its answers are new: the limit sets a pace at which they are. */
static void a_limit_of_bytes_sets_the_pace(void **state)
{
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC;
	uint64_t before;

	(void)state;
	options.max_lag_bytes = 100;
	options.probe_interval_ms = 3600000;
	options.connect_timeout_ms = 300;
	open_warm();
	before = wi_load_rlx(&cluster.host[0].probes);
	while (wi_load_rlx(&cluster.host[0].probes) < before + 3 && wi_now_ns() < until_ns)
		continue;
	assert_true(wi_load_rlx(&cluster.host[0].probes) >= before + 3);
	while (visit(WEIR_READ) == 0 && wi_now_ns() < until_ns)
		continue;
	assert_true(wi_now_ns() < until_ns);
}

/* More than fits into nanoseconds. */
static void any_number_is_a_limit(void **state)
{
	static const int64_t limits[] = {INT64_MAX, INT64_MAX / 1000000 + 1, INT64_MAX / 1000000};
	int host;

	(void)state;
	open_warm();
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = limits[i]);

		assert_int_equal(try_visit(&q, &host, NULL), WEIR_OK);
		assert_int_not_equal(host, 0);
	}
}

static void an_unknown_lag_is_not_fresh(void **state)
{
	weir_request fresh = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 60000);

	(void)state;
	wi_store_rlx(&cluster.host[1].basic_only, true);
	open_warm();
	only_serves(2, &fresh);
}

/* A standby that stayed on another timeline may be far ahead in numbers, and is not comparable. */
static void another_timeline_is_not_fresh(void **state)
{
	weir_request fresh = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 60000);

	(void)state;
	wi_store_rlx(&cluster.host[0].server.timeline, 2);
	wi_store_rlx(&cluster.host[2].server.timeline, 2);
	wi_store_rlx(&cluster.host[1].server.lsn, FAKE_LSN + 100000);
	open_warm();
	only_serves(2, &fresh);
}

/* With an hour between probes a limit of 400 ms could never be kept. */
static void a_limit_sets_the_pace(void **state)
{
	weir_request fresh = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 400);
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC;
	uint64_t before;
	int host;

	(void)state;
	options.probe_interval_ms = 3600000;
	open_warm();
	before = wi_load_rlx(&cluster.host[1].probes);
	while (wi_load_rlx(&cluster.host[1].probes) < before + 5 && wi_now_ns() < until_ns)
		assert_int_equal(try_visit(&fresh, &host, NULL), WEIR_OK);
	assert_true(wi_load_rlx(&cluster.host[1].probes) >= before + 5);
}

/* ---- tokens ---- */

static void a_read_sees_what_its_token_says(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	weir_reason reason;
	int host;

	(void)state;
	open_warm();
	fake_cluster_write(&cluster, 0, 1000);
	mine.at_least = token_now();
	assert_int_equal(mine.at_least.lsn, FAKE_LSN + 1000);
	assert_int_equal(mine.at_least.timeline, 1);
	probe();
	assert_int_equal(try_visit(&mine, &host, &reason), WEIR_OK);
	assert_int_equal(host, 0);
	assert_int_equal(reason, WEIR_REASON_TOO_STALE);
	fake_cluster_catch_up(&cluster, 0, 2);
	probe();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(try_visit(&mine, &host, &reason), WEIR_OK);
		assert_int_equal(host, 2);
		assert_int_equal(reason, WEIR_REASON_BALANCED);
	}
}

static void a_token_of_an_older_timeline_is_for_the_primary(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);

	(void)state;
	open_warm();
	mine.at_least = token_now();
	fake_cluster_promote(&cluster, 0); /* a new timeline, all follow */
	probe();
	only_serves(0, &mine);
}

/* The old branch may be longer in numbers: it has not what was written on the new one. */
static void a_replica_on_an_older_timeline_reaches_no_token(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);

	(void)state;
	wi_store_rlx(&cluster.host[0].server.timeline, 2);
	wi_store_rlx(&cluster.host[2].server.timeline, 2);
	wi_store_rlx(&cluster.host[1].server.lsn, FAKE_LSN + 100000);
	open_warm();
	mine.at_least = token_now();
	only_serves(2, &mine);
}

/*
 * A replica that was left behind still has it, but so much is not known of a position on another
 * timeline.
 */
static void a_token_from_before_the_failover_is_for_the_primary(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);

	(void)state;
	open_warm();
	mine.at_least = token_now();
	wi_store_rlx(&cluster.host[0].server.timeline, 2);
	probe();
	only_serves(0, &mine);
}

static void a_token_from_the_future_is_for_nobody(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = 50);
	int host;

	(void)state;
	open_warm();
	mine.at_least = token_now();
	mine.at_least.timeline = 9;
	assert_int_equal(try_visit(&mine, &host, NULL), WEIR_UNAVAILABLE);
}

/* A write goes to the primary whatever that holds; a read must see what the token says. */
static void a_write_with_a_token_needs_no_position(void **state)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_WRITE, .timeout_ms = 50);
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC;
	int host;

	(void)state;
	open_warm();
	q.at_least = token_now();
	for (int i = 0; i < 3; i++)
		wi_store_rlx(&cluster.host[i].basic_only, true);
	while (stats_of(0).timeline && wi_now_ns() < until_ns)
		probe();
	assert_int_equal(stats_of(0).timeline, 0);
	assert_int_equal(try_visit(&q, &host, NULL), WEIR_OK);
	assert_int_equal(host, 0);
	q.intent = WEIR_READ;
	assert_int_equal(try_visit(&q, &host, NULL), WEIR_UNAVAILABLE);
}

static void a_token_of_another_system_is_refused(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	int host;

	(void)state;
	open_warm();
	mine.at_least = token_now();
	mine.at_least.system++;
	assert_int_equal(try_visit(&mine, &host, NULL), WEIR_INVALID);
	assert_non_null(strstr(said.text, "another database system"));
}

static void a_token_is_taken_from_a_primary_outside_a_transaction(void **state)
{
	weir_conn *c = NULL, *stale;
	weir_token token = {.lsn = 1};

	(void)state;
	open_warm();
	assert_int_equal(weir_token_take(NULL, 100, &token, &said), WEIR_INVALID);
	assert_int_equal(weir_checkout(router, WEIR_READ, &c, &said), WEIR_OK);
	assert_int_equal(weir_token_take(c, 5000, &token, &said), WEIR_INVALID);
	assert_non_null(strstr(said.text, "standby"));
	assert_int_equal(weir_token_take(c, 5000, NULL, &said), WEIR_INVALID);
	stale = c;
	weir_checkin(&c);
	assert_int_equal(weir_token_take(stale, 100, &token, &said), WEIR_STALE);

	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &said), WEIR_OK);
	wi_store_rlx(&cluster.host[0].server.silent, true);
	assert_int_equal(weir_token_take(c, 20, &token, &said), WEIR_TIMEOUT);
	assert_int_equal(token.lsn, 1);
	wi_store_rlx(&cluster.host[0].server.silent, false);
	weir_checkin(&c);
	while (!stats_of(0).pool.closed[WEIR_CLOSE_BUSY] &&
	       !stats_of(0).pool.closed[WEIR_CLOSE_DISCARDED])
		probe();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		TEST(a_stale_replica_serves_no_bounded_read),
		TEST(without_a_fresh_replica_the_primary_reads),
		TEST(a_number_of_bytes_is_worth_nothing_without_a_primary),
		TEST(a_limit_of_bytes_sets_the_pace),
		TEST(any_number_is_a_limit),
		TEST(an_unknown_lag_is_not_fresh),
		TEST(another_timeline_is_not_fresh),
		TEST(a_limit_sets_the_pace),
		TEST(a_read_sees_what_its_token_says),
		TEST(a_token_of_an_older_timeline_is_for_the_primary),
		TEST(a_replica_on_an_older_timeline_reaches_no_token),
		TEST(a_token_from_before_the_failover_is_for_the_primary),
		TEST(a_token_from_the_future_is_for_nobody),
		TEST(a_write_with_a_token_needs_no_position),
		TEST(a_token_of_another_system_is_refused),
		TEST(a_token_is_taken_from_a_primary_outside_a_transaction),
	};

	test_watchdog(110, "the simulation of freshness");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

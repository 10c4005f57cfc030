/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads on the primary in place of replicas: no more at once than read_fallback_max_pct of its
 * connections, so that writes go on; the others wait, or fail, and it can be seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <pthread.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "route/router.h"
#include "support/fake_router.h"

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(2);
	options.probe_interval_ms = 50;
	options.pool_min = options.pool_max = 4;
	options.read_fallback_max_pct = 50;
	return 0;
}

/* Without its replica; all of the primary's connections are there. */
static void open_bereaved(void)
{
	fake_host_down(&cluster, 1, true);
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &said), WEIR_OK);
	fake_cluster_calm(router, 4);
}

static weir_status read_now(weir_fallback fallback, weir_conn **c)
{
	const weir_request q =
		WEIR_REQUEST(.intent = WEIR_READ, .fallback = fallback, .timeout_ms = WEIR_NO_WAIT);

	return weir_checkout_with(router, &q, c, &said);
}

/* Two of four: two reads and two writes at once, and no third read. */
static void writes_keep_their_part(void **state)
{
	weir_conn *c[4] = {NULL}, *more = NULL;
	weir_conn_info info;

	(void)state;
	open_bereaved();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(read_now(WEIR_FALLBACK_DEFAULT, &c[i]), WEIR_OK);
		assert_int_equal(weir_conn_info_get(c[i], &info), WEIR_OK);
		assert_int_equal(info.reason, WEIR_REASON_NO_REPLICA);
	}
	assert_int_equal(read_now(WEIR_FALLBACK_DEFAULT, &more), WEIR_EXHAUSTED);
	assert_non_null(strstr(said.text, "read_fallback_max_pct"));
	for (int i = 2; i < 4; i++)
		assert_int_equal(weir_checkout(router, WEIR_WRITE, &c[i], &said), WEIR_OK);
	assert_int_equal(stats_of(0).fallback_capped, 1);
	assert_int_equal(stats_of(0).fallback_held, 2);
	weir_checkin(&c[0]);
	assert_int_equal(stats_of(0).fallback_held, 1);
	assert_int_equal(read_now(WEIR_FALLBACK_DEFAULT, &c[0]), WEIR_OK);
	for (int i = 0; i < 4; i++)
		weir_checkin(&c[i]);
	assert_int_equal(stats_of(0).fallback_held, 0);
	assert_int_equal(stats_of(0).fallback_reads, 3);
}

/* A router of one host: it has no writes to lose to the reads of others. */
static void who_is_alone_serves_with_all_it_has(void **state)
{
	weir_conn *c[4] = {NULL};

	(void)state;
	must(fake_cluster_open_first(&cluster, 1, &options, &router, &said));
	fake_cluster_calm(router, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(read_now(WEIR_FALLBACK_DEFAULT, &c[i]), WEIR_OK);
	for (int i = 0; i < 4; i++)
		weir_checkin(&c[i]);
}

static void who_asks_for_the_primary_is_not_counted(void **state)
{
	const weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .target = WEIR_TARGET_PRIMARY,
	                                    .timeout_ms = WEIR_NO_WAIT);
	weir_conn *c[4] = {NULL};

	(void)state;
	open_bereaved();
	for (int i = 0; i < 4; i++)
		assert_int_equal(weir_checkout_with(router, &q, &c[i], &said), WEIR_OK);
	assert_int_equal(stats_of(0).fallback_held, 0);
	for (int i = 0; i < 4; i++)
		weir_checkin(&c[i]);
}

struct reader {
	pthread_t thread;
	weir_status st;
	weir_reason reason;
};

static void *read_once(void *arg)
{
	struct reader *reader = arg;
	weir_conn *c = NULL;
	weir_conn_info info = {.reason = WEIR_REASON_NONE};

	reader->st = weir_checkout(router, WEIR_READ, &c, NULL);
	if (reader->st == WEIR_OK && weir_conn_info_get(c, &info) == WEIR_OK)
		reader->reason = info.reason;
	weir_checkin(&c);
	return NULL;
}

static void begin_to_wait(struct reader *reader)
{
	assert_int_equal(pthread_create(&reader->thread, NULL, read_once, reader), 0);
	while (!wi_load_rlx(&router->capped))
		continue;
}

static void hold_two(weir_conn **c)
{
	for (int i = 0; i < 2; i++)
		assert_int_equal(read_now(WEIR_FALLBACK_DEFAULT, &c[i]), WEIR_OK);
}

static void one_too_many_waits_for_one_of_them(void **state)
{
	weir_conn *c[2] = {NULL};
	struct reader reader = {.st = WEIR_INVALID};

	(void)state;
	open_bereaved();
	hold_two(c);
	begin_to_wait(&reader);
	weir_checkin(&c[0]);
	pthread_join(reader.thread, NULL);
	assert_int_equal(reader.st, WEIR_OK);
	assert_int_equal(reader.reason, WEIR_REASON_NO_REPLICA);
	weir_checkin(&c[1]);
	assert_int_equal(stats_of(0).fallback_held, 0);
}

static void or_for_a_replica_that_is_back(void **state)
{
	weir_conn *c[2] = {NULL};
	struct reader reader = {.st = WEIR_INVALID};

	(void)state;
	open_bereaved();
	hold_two(c);
	begin_to_wait(&reader);
	fake_host_down(&cluster, 1, false);
	pthread_join(reader.thread, NULL);
	assert_int_equal(reader.st, WEIR_OK);
	assert_int_equal(reader.reason, WEIR_REASON_BALANCED);
	for (int i = 0; i < 2; i++)
		weir_checkin(&c[i]);
}

static void or_its_time_is_over(void **state)
{
	weir_conn *c[2] = {NULL}, *more = NULL;
	weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = 50);

	(void)state;
	open_bereaved();
	hold_two(c);
	assert_int_equal(weir_checkout_with(router, &q, &more, &said), WEIR_TIMEOUT);
	assert_non_null(strstr(said.text, "read_fallback_max_pct"));
	q.timeout_ms = 20000;
	q.fallback = WEIR_FALLBACK_PRIMARY_OR_FAIL;
	assert_int_equal(weir_checkout_with(router, &q, &more, &said), WEIR_EXHAUSTED);
	for (int i = 0; i < 2; i++)
		weir_checkin(&c[i]);
	assert_int_equal(weir_checkout_with(router, &q, &more, &said), WEIR_OK);
	weir_checkin(&more);
	assert_int_equal(stats_of(0).fallback_held, 0);
}

/* One that waits in the primary's line is one of them, and it is let go when it gives up. */
static void who_waits_in_line_counts(void **state)
{
	weir_conn *c[4] = {NULL}, *more = NULL;
	weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = 50);
	struct reader reader[2] = {{.st = WEIR_INVALID}, {.st = WEIR_INVALID}};

	(void)state;
	open_bereaved();
	for (int i = 0; i < 4; i++)
		assert_int_equal(weir_checkout(router, WEIR_WRITE, &c[i], &said), WEIR_OK);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&reader[i].thread, NULL, read_once, &reader[i]), 0);
	while (stats_of(0).pool.waiting < 2)
		continue;
	assert_int_equal(stats_of(0).fallback_held, 2);
	assert_int_equal(weir_checkout_with(router, &q, &more, &said), WEIR_TIMEOUT);
	assert_int_equal(stats_of(0).pool.waiting, 2);
	for (int i = 0; i < 4; i++)
		weir_checkin(&c[i]);
	for (int i = 0; i < 2; i++) {
		pthread_join(reader[i].thread, NULL);
		assert_int_equal(reader[i].st, WEIR_OK);
	}
	assert_int_equal(stats_of(0).fallback_held, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(writes_keep_their_part, set_up, fake_router_end),
		cmocka_unit_test_setup_teardown(who_is_alone_serves_with_all_it_has, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(who_asks_for_the_primary_is_not_counted, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(one_too_many_waits_for_one_of_them, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(or_for_a_replica_that_is_back, set_up,
	                                        fake_router_end),
		cmocka_unit_test_setup_teardown(or_its_time_is_over, set_up, fake_router_end),
		cmocka_unit_test_setup_teardown(who_waits_in_line_counts, set_up, fake_router_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

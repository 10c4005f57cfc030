/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 31: with all replicas down or lagging, reads do what the policy says, and it can be seen;
 * and they return to the first replica that is well again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <pthread.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "route/router.h"
#include "support/fake_cluster.h"
#include "support/shapes.h"
#include "support/watchdog.h"

static struct fake_cluster cluster;
static weir_options options;
static weir_router *router;
static weir_error error;

#define FOR_EVER (-1)

/* How the replicas go, and how one of them comes back. */
struct loss {
	const char *words;
	void (*go)(void);
	void (*heal)(int i);
	weir_reason reason; /* of a read that the primary serves then */
};

static void all_down(void)
{
	for (int i = 1; i < cluster.n; i++)
		fake_host_down(&cluster, i, true);
}

static void one_up(int i)
{
	fake_host_down(&cluster, i, false);
}

/* The primary writes on, and nobody replays. */
static void all_behind(void)
{
	fake_cluster_write(&cluster, 0, 1 << 20);
}

static void one_catches_up(int i)
{
	fake_cluster_catch_up(&cluster, 0, i);
}

static const struct loss losses[] = {
	{"down", all_down, one_up, WEIR_REASON_NO_REPLICA},
	{"behind", all_behind, one_catches_up, WEIR_REASON_TOO_STALE},
};

#define LOSSES (sizeof(losses) / sizeof(losses[0]))

static weir_reason reason_of(weir_conn *c)
{
	weir_conn_info info;

	assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
	return info.reason;
}

/* One read; *host: who served it. */
static weir_status read_within(int64_t ms, int *host, weir_reason *reason)
{
	const weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = ms);
	weir_conn *c = NULL;
	weir_status st = weir_checkout_with(router, &q, &c, &error);

	if (st == WEIR_OK) {
		*host = fake_host_of(c);
		*reason = reason_of(c);
	}
	weir_checkin(&c);
	return st;
}

static void open_with(const char *fallback)
{
	int host;
	weir_reason reason;

	fake_cluster_init(&cluster, 3);
	weir_options_init(&options);
	options.probe_interval_ms = 20;
	options.pool_min = options.pool_max = 2;
	options.max_lag_bytes = 1000;
	options.hold_down_ms = 0;
	assert_int_equal(weir_options_set(&options, "read_fallback", fallback, &error), WEIR_OK);
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	do
		assert_int_equal(read_within(20000, &host, &reason), WEIR_OK);
	while (reason != WEIR_REASON_BALANCED);
}

static void close_it(void)
{
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	fake_cluster_fini(&cluster);
}

static void await_loss(const struct loss *loss)
{
	weir_host_stats s[3];

	loss->go();
	do {
		assert_int_equal(weir_router_probe(router, 20000), WEIR_OK);
		assert_int_equal(weir_router_stats_get(router, s, 3), 3);
	} while ((s[1].role == WEIR_ROLE_REPLICA && s[1].lag_bytes >= 0 && s[1].lag_bytes < 1000) ||
	         (s[2].role == WEIR_ROLE_REPLICA && s[2].lag_bytes >= 0 && s[2].lag_bytes < 1000));
}

/* The primary serves, and says why; no more at once than its part. */
static void the_primary_reads(void **state)
{
	(void)state;
	for (size_t i = 0; i < LOSSES; i++) {
		weir_conn *c = NULL;
		weir_reason reason;
		int host;

		open_with("primary");
		await_loss(&losses[i]);
		for (int k = 0; k < 20; k++) {
			assert_int_equal(read_within(20000, &host, &reason), WEIR_OK);
			assert_int_equal(host, 0);
			assert_int_equal(reason, losses[i].reason);
		}
		assert_int_equal(weir_checkout(router, WEIR_READ, &c, &error), WEIR_OK);
		assert_int_equal(read_within(20, &host, &reason), WEIR_TIMEOUT);
		assert_non_null(strstr(error.text, "read_fallback_max_pct"));
		weir_checkin(&c);
		losses[i].heal(2);
		do
			assert_int_equal(read_within(20000, &host, &reason), WEIR_OK);
		while (host != 2);
		assert_int_equal(reason, WEIR_REASON_BALANCED);
		close_it();
	}
}

struct reader {
	pthread_t thread;
	weir_status st;
	int host;
	weir_reason reason;
};

static void *read_patiently(void *arg)
{
	struct reader *r = arg;

	r->st = read_within(20000, &r->host, &r->reason);
	return NULL;
}

/* They wait, the primary is left alone; and who waits is served as soon as one is well again. */
static void or_they_wait(void **state)
{
	(void)state;
	for (size_t i = 0; i < LOSSES; i++) {
		struct reader reader = {.st = WEIR_INVALID};
		weir_reason reason;
		int host;

		open_with("wait");
		await_loss(&losses[i]);
		assert_int_equal(read_within(20, &host, &reason), WEIR_UNAVAILABLE);
		assert_int_equal(pthread_create(&reader.thread, NULL, read_patiently, &reader), 0);
		while (!wi_load_rlx(&router->gate.sleepers))
			test_nap(WI_MS);
		losses[i].heal(1);
		pthread_join(reader.thread, NULL);
		assert_int_equal(reader.st, WEIR_OK);
		assert_int_equal(reader.host, 1);
		assert_int_equal(reader.reason, WEIR_REASON_BALANCED);
		close_it();
	}
}

/*
 * They fail at once, however long they would wait, with what is known of every host; and not any
 * more when one is well again.
 */
static void or_they_fail(void **state)
{
	(void)state;
	for (size_t i = 0; i < LOSSES; i++) {
		weir_reason reason;
		weir_status st;
		int host;

		open_with("fail");
		await_loss(&losses[i]);
		assert_int_equal(read_within(FOR_EVER, &host, &reason), WEIR_UNAVAILABLE);
		for (int h = 0; h < 3; h++)
			assert_non_null(strstr(error.text, fake_host_name(h)));
		losses[i].heal(1);
		while ((st = read_within(20000, &host, &reason)) == WEIR_UNAVAILABLE)
			continue;
		assert_int_equal(st, WEIR_OK);
		assert_int_equal(host, 1);
		close_it();
	}
}

/* Without a primary, too, reads go on, at whoever there is. */
static void without_a_primary_reads_go_on(void **state)
{
	weir_reason reason;
	int host;

	(void)state;
	open_with("primary");
	close_it();
	fake_cluster_init(&cluster, 3);
	options.max_lag_bytes = 0;
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	assert_int_equal(weir_router_probe(router, 20000), WEIR_OK);
	fake_host_down(&cluster, 0, true);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(read_within(20000, &host, &reason), WEIR_OK);
		assert_in_range(host, 1, 2);
	}
	close_it();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_primary_reads),
		cmocka_unit_test(or_they_wait),
		cmocka_unit_test(or_they_fail),
		cmocka_unit_test(without_a_primary_reads_go_on),
	};

	test_watchdog(280, "promise 31");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole router over fake servers: who is chosen, and what a caller is told when nobody can be.
 * What becomes of it when servers change is in router_failover_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fault.h"
#include "route/router.h"
#include "support/fake_cluster.h"
#include "support/threads.h"
#include "support/watchdog.h"

static struct fake_cluster cluster;
static weir_options options;
static weir_router *router;
static weir_error error;

static int set_up(void **state)
{
	(void)state;
	fake_cluster_init(&cluster, 3);
	weir_options_init(&options);
	options.probe_interval_ms = 50;
	options.connect_timeout_ms = 2000;
	options.checkout_timeout_ms = 20000;
	memset(&error, 0, sizeof(error));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	fake_cluster_fini(&cluster);
	return 0;
}

/*
 * Opens the router and waits until every host is known and every pool has a connection, and has
 * asked it who is there: after a probe more.
 */
static void open_warm(void)
{
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	fake_cluster_calm(router, 1);
}

static weir_host_stats stats_of(int i)
{
	weir_host_stats stats[FAKE_HOSTS];

	assert_true(weir_router_stats_get(router, stats, FAKE_HOSTS) > (size_t)i);
	return stats[i];
}

static void probe(void)
{
	assert_int_equal(weir_router_probe(router, 20000), WEIR_OK);
}

/* Checks out and gives back; which host it was. */
static int visit(weir_intent intent, weir_reason *reason)
{
	weir_conn *c = NULL;
	weir_conn_info info;
	int host;

	assert_int_equal(weir_checkout(router, intent, &c, &error), WEIR_OK);
	assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
	if (reason)
		*reason = info.reason;
	host = fake_host_of(c);
	weir_checkin(&c);
	assert_null(c);
	return host;
}

static weir_status visit_with(const weir_request *request, int *host, weir_reason *reason)
{
	weir_conn *c = NULL;
	weir_conn_info info;
	weir_status st = weir_checkout_with(router, request, &c, &error);

	if (st != WEIR_OK) {
		assert_null(c);
		return st;
	}
	assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
	*host = fake_host_of(c);
	if (reason)
		*reason = info.reason;
	weir_checkin(&c);
	return WEIR_OK;
}

/* ---- roles ---- */

static void roles_are_found(void **state)
{
	weir_host_stats s;

	(void)state;
	open_warm();
	s = stats_of(0);
	assert_int_equal(s.role, WEIR_ROLE_PRIMARY);
	assert_string_equal(s.host, fake_host_name(0));
	assert_true(s.reachable);
	assert_false(s.in_recovery);
	assert_int_equal(s.server_version, 150007);
	assert_int_equal(s.timeline, 1);
	assert_int_equal(s.lsn, FAKE_LSN);
	assert_int_equal(s.lag_ms, 0);
	assert_true(s.probe_age_ms >= 0);
	assert_int_equal(s.statement_timeout_ms, 30000);
	for (int i = 1; i < 3; i++) {
		s = stats_of(i);
		assert_int_equal(s.role, WEIR_ROLE_REPLICA);
		assert_true(s.in_recovery);
		assert_int_equal(s.lag_ms, 0);
		assert_int_equal(s.lag_bytes, 0);
		assert_string_equal(s.last_error, "");
	}
}

static wi_fake_answer as_usual;
static _Atomic bool is_kept; /* whoever asks host 0, until it is over */

static bool answer_when_let(struct wi_fake_server *server, const char *sql, struct wi_answer *a,
                            struct wi_failure *failure)
{
	while (wi_load_seq(&is_kept))
		usleep(1000);
	return as_usual(server, sql, a, failure);
}

static void the_first_checkout_waits_for_the_first_look(void **state)
{
	weir_request no_wait = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = WEIR_NO_WAIT);
	int host;

	(void)state;
	as_usual = cluster.host[0].server.answer;
	cluster.host[0].server.answer = answer_when_let;
	wi_store_seq(&is_kept, true);
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	assert_int_equal(visit_with(&no_wait, &host, NULL), WEIR_UNAVAILABLE);
	assert_non_null(strstr(error.text, "not every host has been looked at yet"));
	wi_store_seq(&is_kept, false);
	assert_int_equal(visit(WEIR_WRITE, NULL), 0);
}

static void a_server_that_grants_little_still_has_a_role(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		wi_store_rlx(&cluster.host[i].basic_only, true);
	open_warm();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_PRIMARY);
	assert_int_equal(stats_of(1).role, WEIR_ROLE_REPLICA);
	assert_int_equal(stats_of(1).lag_ms, -1);
	assert_int_equal(stats_of(1).system, 0);
	assert_int_equal(visit(WEIR_WRITE, NULL), 0);
}

/* How many of the next questions end in an error that says nothing of what the server can do. */
static _Atomic int odd_errors;

static bool answer_oddly(struct wi_fake_server *server, const char *sql, struct wi_answer *a,
                         struct wi_failure *failure)
{
	if (strstr(sql, "server_version_num") && wi_load_rlx(&odd_errors) > 0) {
		wi_sub_rlx(&odd_errors, 1);
		wi_failure_set(failure, WI_FAULT_SQL, "57014",
		               "canceling statement due to statement timeout", NULL);
		return false;
	}
	return as_usual(server, sql, a, failure);
}

static void one_error_is_no_lack_of_rights(void **state)
{
	(void)state;
	as_usual = cluster.host[0].server.answer;
	cluster.host[0].server.answer = answer_oddly;
	open_warm();
	wi_store_rlx(&odd_errors, 1);
	probe();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_PRIMARY);
	assert_int_equal(stats_of(0).timeline, 1);
	assert_int_equal(wi_load_rlx(&odd_errors), 0);
	/* Errors only: then nothing is known of it. */
	wi_store_rlx(&odd_errors, 1000000);
	probe();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "statement timeout"));
	wi_store_rlx(&odd_errors, 0);
	probe();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_PRIMARY);
	assert_int_equal(stats_of(0).timeline, 1);
}

static void probes_do_not_come_out_of_the_pool(void **state)
{
	weir_conn *c = NULL;
	uint64_t before;

	(void)state;
	options.pool_min = options.pool_max = 1;
	open_warm();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &error), WEIR_OK);
	before = wi_load_rlx(&cluster.host[0].probes);
	probe();
	probe();
	assert_true(wi_load_rlx(&cluster.host[0].probes) >= before + 2);
	weir_checkin(&c);
}

/* ---- choosing ---- */

static void writes_go_to_the_primary_only(void **state)
{
	(void)state;
	open_warm();
	for (int i = 0; i < 1000; i++) {
		weir_reason reason;

		assert_int_equal(visit(WEIR_WRITE, &reason), 0);
		assert_int_equal(reason, WEIR_REASON_WRITE);
	}
	assert_int_equal(stats_of(0).writes, 1000);
	assert_int_equal(stats_of(0).reads, 0);
	assert_int_equal(stats_of(1).writes + stats_of(2).writes, 0);
}

/*
 * Where a thread stands still with a connection out, its host looks slow, and gets less for a
 * while: then so many are done once more.
 */
static void reads_are_shared_by(const char *policy, int reads, int least, int most)
{
	int seen[3], sum[3] = {0};

	assert_int_equal(weir_options_set(&options, "balance", policy, &error), WEIR_OK);
	open_warm();
	for (int tries = least < most ? 20 : 1; tries; tries--) {
		memset(seen, 0, sizeof(seen));
		for (int i = 0; i < reads; i++)
			seen[visit(WEIR_READ, NULL)]++;
		for (int i = 0; i < 3; i++)
			sum[i] += seen[i];
		if (seen[1] >= least && seen[1] <= most)
			break;
	}
	assert_int_equal(sum[0], 0);
	assert_in_range(seen[1], least, most);
	assert_int_equal(stats_of(1).reads, sum[1]);
	assert_int_equal(stats_of(2).reads, sum[2]);
}

/* Of 4000 fair coins, less than 1700 or more than 2300 heads come once in 10^20 runs. */
static void p2c_shares_reads(void **state)
{
	(void)state;
	reads_are_shared_by("p2c", 4000, 1700, 2300);
}

static void random_shares_reads(void **state)
{
	(void)state;
	reads_are_shared_by("random", 4000, 1700, 2300);
}

static void least_shares_reads(void **state)
{
	(void)state;
	reads_are_shared_by("least", 4000, 1700, 2300);
}

static void round_robin_shares_reads_exactly(void **state)
{
	(void)state;
	reads_are_shared_by("round_robin", 4000, 2000, 2000);
}

static void first_reads_from_the_first(void **state)
{
	(void)state;
	reads_are_shared_by("first", 500, 500, 500);
}

/* p2c and least see what is out: with two out of one host, the next two go to the other. */
static void the_less_loaded_is_chosen(void **state)
{
	weir_conn *held[20] = {NULL};
	int seen[3] = {0};

	(void)state;
	options.pool_min = options.pool_max = 10;
	assert_int_equal(weir_options_set(&options, "balance", "least", &error), WEIR_OK);
	open_warm();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(weir_checkout(router, WEIR_READ, &held[i], &error), WEIR_OK);
		seen[fake_host_of(held[i])]++;
	}
	assert_int_equal(seen[1], 10);
	assert_int_equal(seen[2], 10);
	for (int i = 0; i < 20; i++)
		weir_checkin(&held[i]);
}

static void a_busy_replica_is_passed_over(void **state)
{
	weir_conn *a = NULL, *b = NULL, *c = NULL;
	weir_request no_wait = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = WEIR_NO_WAIT);
	weir_conn_info info;

	(void)state;
	options.pool_min = options.pool_max = 1;
	assert_int_equal(weir_options_set(&options, "balance", "first", &error), WEIR_OK);
	open_warm();
	assert_int_equal(weir_checkout(router, WEIR_READ, &a, &error), WEIR_OK);
	assert_int_equal(fake_host_of(a), 1);
	assert_int_equal(weir_checkout(router, WEIR_READ, &b, &error), WEIR_OK);
	assert_int_equal(fake_host_of(b), 2);
	assert_int_equal(weir_conn_info_get(b, &info), WEIR_OK);
	assert_int_equal(info.reason, WEIR_REASON_SPILLED);
	/* Both are busy: that is no reason to load the primary. */
	assert_int_equal(weir_checkout_with(router, &no_wait, &c, &error), WEIR_EXHAUSTED);
	assert_null(c);
	weir_checkin(&a);
	weir_checkin(&b);
	assert_int_equal(stats_of(0).fallback_reads, 0);
}

/* Else the one that was first would read for both. */
static void a_replica_with_nothing_open_gets_its_first_connection(void **state)
{
	(void)state;
	options.pool_min = 0;
	options.pool_max = 2;
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	for (int i = 0; i < 2000 && !(stats_of(1).pool.opened && stats_of(2).pool.opened); i++) {
		assert_int_equal(weir_router_probe(router, 20000), WEIR_OK);
		(void)visit(WEIR_READ, NULL);
	}
	assert_true(stats_of(1).pool.opened > 0);
	assert_true(stats_of(2).pool.opened > 0);
}

struct reader {
	pthread_t thread;
	weir_status st;
	int host;
};

static void *read_once(void *arg)
{
	struct reader *reader = arg;
	weir_conn *c = NULL;

	reader->st = weir_checkout(router, WEIR_READ, &c, NULL);
	reader->host = reader->st == WEIR_OK ? fake_host_of(c) : -1;
	weir_checkin(&c);
	return NULL;
}

/* It waits at the first; the second is given back. */
static void who_waits_at_one_host_takes_what_another_has(void **state)
{
	weir_conn *held[2] = {NULL, NULL};
	struct reader reader;

	(void)state;
	options.pool_min = options.pool_max = 1;
	assert_int_equal(weir_options_set(&options, "balance", "first", &error), WEIR_OK);
	open_warm();
	for (int i = 0; i < 2; i++)
		assert_int_equal(weir_checkout(router, WEIR_READ, &held[i], &error), WEIR_OK);
	assert_int_equal(pthread_create(&reader.thread, NULL, read_once, &reader), 0);
	while (!stats_of(1).pool.waiting)
		continue;
	weir_checkin(&held[1]);
	pthread_join(reader.thread, NULL);
	weir_checkin(&held[0]);
	assert_int_equal(reader.st, WEIR_OK);
	assert_int_equal(reader.host, 2);
	assert_int_equal(stats_of(1).pool.timeouts, 0);
}

static void the_own_zone_comes_first(void **state)
{
	weir_request far = WEIR_REQUEST(.intent = WEIR_READ, .zone = "west");
	weir_conn *held = NULL;
	weir_reason reason;
	int host;

	(void)state;
	options.pool_min = options.pool_max = 1;
	assert_int_equal(weir_options_set(&options, "zone", "east", &error), WEIR_OK);
	assert_int_equal(weir_options_set(&options, "host_zones", "east,west,east", &error),
	                 WEIR_OK);
	open_warm();
	assert_string_equal(stats_of(1).zone, "west");
	for (int i = 0; i < 100; i++)
		assert_int_equal(visit(WEIR_READ, NULL), 2);
	assert_int_equal(visit_with(&far, &host, NULL), WEIR_OK);
	assert_int_equal(host, 1);
	assert_int_equal(weir_checkout(router, WEIR_READ, &held, &error), WEIR_OK);
	assert_int_equal(fake_host_of(held), 2);
	assert_int_equal(visit(WEIR_READ, &reason), 1);
	assert_int_equal(reason, WEIR_REASON_SPILLED);
	weir_checkin(&held);
}

static void blanks_name_no_endpoint(void **state)
{
	(void)state;
	assert_int_equal(weir_options_set(&options, "primary", " ", &error), WEIR_OK);
	assert_int_equal(weir_options_set(&options, "replicas", "\t", &error), WEIR_OK);
	open_warm();
	assert_int_equal(visit(WEIR_WRITE, NULL), 0);
}

#define CROWD 64

static int count_named(const char *text, const char *what)
{
	int n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

/* Opens a router on n servers that all refuse, and says what a write is told. */
static void ask_a_crowd(int n, const char *names)
{
	static struct wi_fake_server server[CROWD];
	void *scripts[CROWD];
	const struct wi_router_config config = {.driver = &wi_driver_fake,
	                                        .world = &wi_world_linux,
	                                        .scripts = scripts,
	                                        .n_scripts = (size_t)n};
	weir_request q = WEIR_REQUEST(.intent = WEIR_WRITE, .timeout_ms = 20);
	weir_router *crowd;
	weir_conn *c = NULL;
	char conninfo[CROWD * 64] = "postgresql://app@";

	for (int i = 0; i < n; i++) {
		size_t length = strlen(conninfo);

		wi_fake_server_init(&server[i]);
		wi_store_rlx(&server[i].connect_fault, WI_FAULT_REFUSED);
		scripts[i] = &server[i];
		snprintf(conninfo + length, sizeof(conninfo) - length, names, i ? "," : "", i);
	}
	strcat(conninfo, "/shop");
	assert_int_equal(wi_router_open_with(&config, conninfo, &options, &crowd, &error), WEIR_OK);
	assert_int_equal(weir_router_probe(crowd, 20000), WEIR_OK);
	assert_int_equal(weir_checkout_with(crowd, &q, &c, &error), WEIR_UNAVAILABLE);
	assert_int_equal(weir_router_close(&crowd, 10000), WEIR_OK);
	for (int i = 0; i < n; i++)
		wi_fake_server_fini(&server[i]);
}

/* Names and roles come first, and errors get what is left. */
static void every_host_of_many_is_named(void **state)
{
	static const int sizes[] = {2, 8, 24, 50};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ask_a_crowd(sizes[i], "%s127.0.0.1:%d1");
		assert_int_equal(count_named(error.text, "1: unknown"), sizes[i]);
		assert_int_equal(count_named(error.text, "1: unknown: c"), sizes[i]);
	}
	ask_a_crowd(CROWD, "%s127.100.100.100:200%02d");
	assert_true(count_named(error.text, ": unknown") > 40);
	assert_non_null(strstr(error.text, "\nand "));
	assert_string_equal(error.text + strlen(error.text) - 5, " more");
}

static void more_zones_than_hosts_are_refused(void **state)
{
	(void)state;
	assert_int_equal(weir_options_set(&options, "host_zones", "a,b,c,d", &error), WEIR_OK);
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_INVALID);
	assert_null(router);
	assert_non_null(strstr(error.text, "host_zones"));
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
		assert_int_equal(visit_with(&fresh, &host, &reason), WEIR_OK);
	} while (wi_now_ns() - begun_ns >= 1000 * WI_MS);
	assert_int_equal(host, 1);
	assert_int_equal(reason, WEIR_REASON_BALANCED);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(visit_with(&fresh, &host, NULL), WEIR_OK);
		assert_int_not_equal(host, 2);
	}
	/* Without a limit it serves. */
	for (host = 0; host != 2;)
		host = visit(WEIR_READ, NULL);
}

static void without_a_fresh_replica_the_primary_reads(void **state)
{
	weir_request tight = WEIR_REQUEST(.intent = WEIR_READ);
	weir_reason reason;
	int host;

	(void)state;
	options.max_lag_bytes = 1000;
	open_warm();
	assert_int_not_equal(visit(WEIR_READ, &reason), 0);
	fake_cluster_write(&cluster, 0, 5000);
	probe();
	probe(); /* the first may have seen a standby before the primary */
	assert_int_equal(visit(WEIR_READ, &reason), 0);
	assert_int_equal(reason, WEIR_REASON_TOO_STALE);
	assert_int_equal(stats_of(0).fallback_reads, 1);
	assert_int_equal(stats_of(0).reads, 1);
	tight.fallback = WEIR_FALLBACK_FAIL;
	assert_int_equal(visit_with(&tight, &host, NULL), WEIR_UNAVAILABLE);
	assert_non_null(strstr(error.text, "no replica is known to be fresh enough"));
	tight.fallback = WEIR_FALLBACK_WAIT;
	tight.timeout_ms = 50;
	assert_int_equal(visit_with(&tight, &host, NULL), WEIR_UNAVAILABLE);
	fake_cluster_catch_up(&cluster, 0, 2);
	tight.timeout_ms = 20000;
	assert_int_equal(visit_with(&tight, &host, NULL), WEIR_OK);
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
	while (visit_with(&q, &host, NULL) != WEIR_OK && wi_now_ns() < until_ns)
		probe(); /* what is known is good for 200 ms */
	assert_true(wi_now_ns() < until_ns);
	wi_store_rlx(&cluster.host[0].server.silent, true);
	fake_cluster_write(&cluster, 0, 1 << 30);
	while (stats_of(0).role == WEIR_ROLE_PRIMARY && wi_now_ns() < until_ns)
		continue;
	assert_int_equal(stats_of(1).lag_bytes, -1);
	assert_int_equal(visit_with(&q, &host, NULL), WEIR_UNAVAILABLE);
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
	while (visit(WEIR_READ, NULL) == 0 && wi_now_ns() < until_ns)
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

		assert_int_equal(visit_with(&q, &host, NULL), WEIR_OK);
		assert_int_not_equal(host, 0);
	}
}

static void an_unknown_lag_is_not_fresh(void **state)
{
	weir_request fresh = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 60000);
	int host;

	(void)state;
	wi_store_rlx(&cluster.host[1].basic_only, true);
	open_warm();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(visit_with(&fresh, &host, NULL), WEIR_OK);
		assert_int_equal(host, 2);
	}
}

/* A standby that stayed on another timeline may be far ahead in numbers, and is not comparable. */
static void another_timeline_is_not_fresh(void **state)
{
	weir_request fresh = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 60000);
	int host;

	(void)state;
	wi_store_rlx(&cluster.host[0].server.timeline, 2);
	wi_store_rlx(&cluster.host[2].server.timeline, 2);
	wi_store_rlx(&cluster.host[1].server.lsn, FAKE_LSN + 100000);
	open_warm();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(visit_with(&fresh, &host, NULL), WEIR_OK);
		assert_int_equal(host, 2);
	}
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
		assert_int_equal(visit_with(&fresh, &host, NULL), WEIR_OK);
	assert_true(wi_load_rlx(&cluster.host[1].probes) >= before + 5);
}

static void a_probe_that_is_waited_for_began_after_the_call(void **state)
{
	(void)state;
	options.probe_interval_ms = 10;
	open_warm();
	wi_store_rlx(&cluster.host[2].server.answer_ns, 20 * WI_MS);
	for (uint64_t i = 1; i <= 10; i++) {
		wi_store_rlx(&cluster.host[2].server.lsn, FAKE_LSN + i);
		probe();
		assert_int_equal(stats_of(2).lsn, FAKE_LSN + i);
	}
	wi_store_rlx(&cluster.host[2].server.silent, true);
	assert_int_equal(weir_router_probe(router, 30), WEIR_TIMEOUT);
	wi_store_rlx(&cluster.host[2].server.silent, false);
	wi_fake_kill(&cluster.host[2].server);
}

/* ---- tokens ---- */

static weir_token token_now(void)
{
	weir_conn *c = NULL;
	weir_token token = {0};

	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &error), WEIR_OK);
	assert_int_equal(weir_token_take(c, 5000, &token, &error), WEIR_OK);
	weir_checkin(&c);
	return token;
}

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
	assert_int_equal(visit_with(&mine, &host, &reason), WEIR_OK);
	assert_int_equal(host, 0);
	assert_int_equal(reason, WEIR_REASON_TOO_STALE);
	fake_cluster_catch_up(&cluster, 0, 2);
	probe();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(visit_with(&mine, &host, &reason), WEIR_OK);
		assert_int_equal(host, 2);
		assert_int_equal(reason, WEIR_REASON_BALANCED);
	}
}

static void a_token_of_an_older_timeline_is_for_the_primary(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	int host;

	(void)state;
	open_warm();
	mine.at_least = token_now();
	fake_cluster_promote(&cluster, 0); /* a new timeline, all follow */
	probe();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(visit_with(&mine, &host, NULL), WEIR_OK);
		assert_int_equal(host, 0);
	}
}

/* The old branch may be longer in numbers: it has not what was written on the new one. */
static void a_replica_on_an_older_timeline_reaches_no_token(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	int host;

	(void)state;
	wi_store_rlx(&cluster.host[0].server.timeline, 2);
	wi_store_rlx(&cluster.host[2].server.timeline, 2);
	wi_store_rlx(&cluster.host[1].server.lsn, FAKE_LSN + 100000);
	open_warm();
	mine.at_least = token_now();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(visit_with(&mine, &host, NULL), WEIR_OK);
		assert_int_equal(host, 2);
	}
}

/*
 * A replica that was left behind still has it, but so much is not known of a position on another
 * timeline.
 */
static void a_token_from_before_the_failover_is_for_the_primary(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	int host;

	(void)state;
	open_warm();
	mine.at_least = token_now();
	wi_store_rlx(&cluster.host[0].server.timeline, 2);
	probe();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(visit_with(&mine, &host, NULL), WEIR_OK);
		assert_int_equal(host, 0);
	}
}

static void a_token_from_the_future_is_for_nobody(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = 50);
	int host;

	(void)state;
	open_warm();
	mine.at_least = token_now();
	mine.at_least.timeline = 9;
	assert_int_equal(visit_with(&mine, &host, NULL), WEIR_UNAVAILABLE);
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
	assert_int_equal(visit_with(&q, &host, NULL), WEIR_OK);
	assert_int_equal(host, 0);
	q.intent = WEIR_READ;
	assert_int_equal(visit_with(&q, &host, NULL), WEIR_UNAVAILABLE);
}

static void a_token_of_another_system_is_refused(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	int host;

	(void)state;
	open_warm();
	mine.at_least = token_now();
	mine.at_least.system++;
	assert_int_equal(visit_with(&mine, &host, NULL), WEIR_INVALID);
	assert_non_null(strstr(error.text, "another database system"));
}

static void a_token_is_taken_from_a_primary_outside_a_transaction(void **state)
{
	weir_conn *c = NULL, *stale;
	weir_token token = {.lsn = 1};

	(void)state;
	open_warm();
	assert_int_equal(weir_token_take(NULL, 100, &token, &error), WEIR_INVALID);
	assert_int_equal(weir_checkout(router, WEIR_READ, &c, &error), WEIR_OK);
	assert_int_equal(weir_token_take(c, 5000, &token, &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, "standby"));
	assert_int_equal(weir_token_take(c, 5000, NULL, &error), WEIR_INVALID);
	stale = c;
	weir_checkin(&c);
	assert_int_equal(weir_token_take(stale, 100, &token, &error), WEIR_STALE);

	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &error), WEIR_OK);
	wi_store_rlx(&cluster.host[0].server.silent, true);
	assert_int_equal(weir_token_take(c, 20, &token, &error), WEIR_TIMEOUT);
	assert_int_equal(token.lsn, 1);
	wi_store_rlx(&cluster.host[0].server.silent, false);
	weir_checkin(&c);
	while (!stats_of(0).pool.closed[WEIR_CLOSE_BUSY] &&
	       !stats_of(0).pool.closed[WEIR_CLOSE_DISCARDED])
		probe();
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
	assert_int_equal(weir_checkout(NULL, WEIR_READ, &c, &error), WEIR_INVALID);
	assert_int_equal(weir_checkout(router, WEIR_READ, NULL, &error), WEIR_INVALID);
	assert_int_equal(weir_checkout(router, (weir_intent)7, &c, &error), WEIR_INVALID);
	assert_int_equal(weir_checkout_with(router, &bad, &c, &error), WEIR_INVALID);
	bad = (weir_request)WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = -1);
	assert_int_equal(weir_checkout_with(router, &bad, &c, &error), WEIR_INVALID);
	bad = (weir_request)WEIR_REQUEST(.fallback = (weir_fallback)9);
	assert_int_equal(weir_checkout_with(router, &bad, &c, &error), WEIR_INVALID);
	assert_int_equal(weir_checkout_with(router, &newer.request, &c, &error), WEIR_INVALID);
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
	assert_int_equal(weir_router_open("postgresql://h/d", NULL, NULL, &error), WEIR_INVALID);
	assert_int_equal(weir_router_open("postgresql://h/d?pool_max=-1", NULL, &none, &error),
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
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	assert_int_equal(weir_checkout(router, WEIR_READ, &c, &error), WEIR_AUTH);
	assert_string_equal(error.sqlstate, "28P01");
	assert_non_null(strstr(error.text, fake_host_name(2)));
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &error), WEIR_AUTH);
}

static void a_database_that_is_nowhere_is_told_at_once(void **state)
{
	weir_conn *c = NULL;

	(void)state;
	for (int i = 0; i < 3; i++)
		wi_store_rlx(&cluster.host[i].server.connect_fault, WI_FAULT_CONFIG);
	options.checkout_timeout_ms = 3600000;
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &error), WEIR_UNAVAILABLE);
	assert_non_null(strstr(error.text, "database does not exist"));
}

static void nobody_reachable_lists_every_host(void **state)
{
	weir_request q = WEIR_REQUEST(.timeout_ms = 100);
	int host;

	(void)state;
	for (int i = 0; i < 3; i++)
		fake_host_down(&cluster, i, true);
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	probe();
	assert_int_equal(visit_with(&q, &host, NULL), WEIR_UNAVAILABLE);
	assert_non_null(strstr(error.text, "no primary is known"));
	for (int i = 0; i < 3; i++) {
		char line[128];

		snprintf(line, sizeof(line), "%s: unknown: connection refused", fake_host_name(i));
		assert_non_null(strstr(error.text, line));
	}
	q.intent = WEIR_READ;
	assert_int_equal(visit_with(&q, &host, NULL), WEIR_UNAVAILABLE);
}

static void a_timeout_is_a_timeout_of_the_pool(void **state)
{
	weir_request q = WEIR_REQUEST(.timeout_ms = 30);
	weir_conn *held = NULL;
	int host;

	(void)state;
	options.pool_min = options.pool_max = 1;
	open_warm();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &held, &error), WEIR_OK);
	assert_int_equal(visit_with(&q, &host, NULL), WEIR_TIMEOUT);
	assert_string_equal(error.host, fake_host_name(0));
	q.timeout_ms = WEIR_NO_WAIT;
	assert_int_equal(visit_with(&q, &host, NULL), WEIR_EXHAUSTED);
	weir_checkin(&held);
}

/* ---- named endpoints ---- */

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
	assert_int_equal(weir_checkout_with(router, &WEIR_REQUEST(.timeout_ms = 50), &conn, &error),
	                 WEIR_TIMEOUT);
	assert_true(wi_now_ns() - begun_ns >= 50 * WI_MS);
	assert_int_equal(weir_checkout_with(router, &WEIR_REQUEST(.timeout_ms = WEIR_NO_WAIT),
	                                    &conn, &error),
	                 WEIR_EXHAUSTED);
	for (int i = 0; i < cluster.n; i++)
		wi_core_suspend(&wi_host_at(router, i)->pool->core, 0);
	assert_int_equal(weir_checkout(router, WEIR_READ, &conn, &error), WEIR_OK);
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

static void endpoints_named_by_hand_have_their_roles(void **state)
{
	weir_request fresh = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 60000);
	char replicas[300];
	weir_reason reason;
	int host;

	(void)state;
	/* The reader endpoint leads to a server that is no standby, as where there is only one. */
	wi_store_rlx(&cluster.host[2].server.in_recovery, false);
	assert_int_equal(weir_options_set(&options, "primary", fake_host_name(0), &error), WEIR_OK);
	snprintf(replicas, sizeof(replicas), "127.0.0.1:6001,%s", fake_host_name(2));
	assert_int_equal(weir_options_set(&options, "replicas", replicas, &error), WEIR_OK);
	open_warm();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_PRIMARY);
	assert_int_equal(stats_of(1).role, WEIR_ROLE_REPLICA);
	assert_int_equal(stats_of(2).role, WEIR_ROLE_REPLICA);
	assert_int_equal(visit(WEIR_WRITE, NULL), 0);
	/* Who answers next there is not known, and so neither is its lag. */
	assert_int_equal(visit_with(&fresh, &host, &reason), WEIR_OK);
	assert_int_equal(host, 0);
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	probe();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(0).last_error, "named as the primary"));
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
		int bad = weir_checkout(router, WEIR_READ, &c, &error) != WEIR_FORKED || c;

		bad |= weir_router_probe(router, 0) != WEIR_FORKED;
		bad |= weir_router_stats_get(router, NULL, 0) != 0;
		_exit(bad);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(visit(WEIR_WRITE, NULL), 0); /* the parent's go on */
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
		st = fake_cluster_open(&cluster, &options, &router, &error);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(roles_are_found),
		TEST(the_first_checkout_waits_for_the_first_look),
		TEST(a_server_that_grants_little_still_has_a_role),
		TEST(one_error_is_no_lack_of_rights),
		TEST(probes_do_not_come_out_of_the_pool),
		TEST(writes_go_to_the_primary_only),
		TEST(p2c_shares_reads),
		TEST(random_shares_reads),
		TEST(least_shares_reads),
		TEST(round_robin_shares_reads_exactly),
		TEST(first_reads_from_the_first),
		TEST(the_less_loaded_is_chosen),
		TEST(a_busy_replica_is_passed_over),
		TEST(a_replica_with_nothing_open_gets_its_first_connection),
		TEST(who_waits_at_one_host_takes_what_another_has),
		TEST(the_own_zone_comes_first),
		TEST(blanks_name_no_endpoint),
		TEST(every_host_of_many_is_named),
		TEST(more_zones_than_hosts_are_refused),
		TEST(a_stale_replica_serves_no_bounded_read),
		TEST(without_a_fresh_replica_the_primary_reads),
		TEST(a_number_of_bytes_is_worth_nothing_without_a_primary),
		TEST(a_limit_of_bytes_sets_the_pace),
		TEST(any_number_is_a_limit),
		TEST(an_unknown_lag_is_not_fresh),
		TEST(another_timeline_is_not_fresh),
		TEST(a_limit_sets_the_pace),
		TEST(a_probe_that_is_waited_for_began_after_the_call),
		TEST(a_read_sees_what_its_token_says),
		TEST(a_token_of_an_older_timeline_is_for_the_primary),
		TEST(a_replica_on_an_older_timeline_reaches_no_token),
		TEST(a_token_from_before_the_failover_is_for_the_primary),
		TEST(a_token_from_the_future_is_for_nobody),
		TEST(a_write_with_a_token_needs_no_position),
		TEST(a_token_of_another_system_is_refused),
		TEST(a_token_is_taken_from_a_primary_outside_a_transaction),
		TEST(nonsense_is_refused),
		TEST(refused_credentials_are_told_at_once),
		TEST(a_database_that_is_nowhere_is_told_at_once),
		TEST(nobody_reachable_lists_every_host),
		TEST(a_timeout_is_a_timeout_of_the_pool),
		TEST(an_operator_may_be_stopped_in_the_middle),
		TEST(of_two_sizes_at_once_the_last_holds),
		TEST(endpoints_named_by_hand_have_their_roles),
		TEST(a_child_is_refused),
		TEST(counts_are_exact_after_the_load),
		TEST(every_allocation_of_open_may_fail),
	};

	test_watchdog(110, "the router's simulation");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

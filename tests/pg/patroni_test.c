/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weir in front of three servers that Patroni leads, under load: `patronictl switchover` and kill
 * -9 of the leader, its Patroni and its server at once. Both are followed without a restart, no
 * write is refused as read-only more than once a connection, and what fails was in flight. The
 * times are printed; TEST_ROUNDS repeats all of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/patroni.h>
#include <weir/weir.h>

#include "base/clock.h"
#include "support/cluster.h"
#include "support/gap.h"
#include "support/watchdog.h"

#define MEMBERS 3
#define FOLLOW_MS 60000

static struct test_cluster *cluster;
static weir_router *router;
static weir_patroni *patroni;
static weir_error error;
static char url[MEMBERS][512];
static const char *urls[MEMBERS + 1];

static void must(bool well)
{
	if (!well)
		fail_msg("%s", test_cluster_error(cluster));
}

/* The url with one host only, for the witness. */
static void name_urls(void)
{
	const char *all = test_cluster_url(cluster);
	int login = (int)(strchr(all, '@') + 1 - all);

	for (int i = 0; i < MEMBERS; i++) {
		snprintf(url[i], sizeof(url[i]), "%.*s127.0.0.1:%d%s", login, all,
		         test_cluster_port(cluster, i), strrchr(all, '/'));
		urls[i] = url[i];
	}
}

static int open_router(void **state)
{
	weir_options options;

	(void)state;
	weir_options_init(&options);
	options.probe_interval_ms = 100;
	must(test_cluster_tell(cluster, "whole"));
	if (weir_router_open(test_cluster_url(cluster), &options, &router, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	assert_int_equal(weir_router_probe(router, 30000), WEIR_OK);
	return 0;
}

static int64_t later(int64_t ms)
{
	return wi_now_ns() + ms * WI_MS;
}

/* Until the router has so many hosts, all of which have been looked at. */
static void await_hosts(size_t n)
{
	int64_t until_ns = later(30000);

	while (weir_router_stats_get(router, NULL, 0) != n && wi_now_ns() < until_ns)
		usleep(1000);
	assert_int_equal(weir_router_stats_get(router, NULL, 0), n);
	assert_int_equal(weir_router_probe(router, 30000), WEIR_OK);
}

/* The same, told by Patroni. It begins with one server, and finds the others by their APIs. */
static int open_by(const char *apis, int first)
{
	weir_patroni_options p = {.size = sizeof(p), .follow_members = true, .forget_ms = 1000};
	weir_options options;

	weir_options_init(&options);
	options.probe_interval_ms = 100;
	p.urls = apis;
	if (weir_router_open(url[first], &options, &router, &error) != WEIR_OK ||
	    weir_patroni_start(router, &p, &patroni, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	await_hosts(MEMBERS);
	return 0;
}

static int open_advised(void **state)
{
	char apis[256] = "";

	(void)state;
	must(test_cluster_tell(cluster, "whole"));
	for (int i = 0; i < MEMBERS; i++)
		snprintf(apis + strlen(apis), sizeof(apis) - strlen(apis), "%s%s", i ? "," : "",
		         test_cluster_api(cluster, i));
	return open_by(apis, 0);
}

/* By the API of one member, which does not lead. */
static int open_by_one(void **state)
{
	int asked;

	(void)state;
	must(test_cluster_tell(cluster, "whole"));
	asked = (test_cluster_leader(cluster) + 1) % MEMBERS;
	return open_by(test_cluster_api(cluster, asked), asked);
}

static int close_router(void **state)
{
	(void)state;
	weir_patroni_stop(&patroni);
	assert_int_equal(weir_router_close(&router, 20000), WEIR_OK);
	return 0;
}

static uint64_t written(int leader)
{
	char *n = test_cluster_sql(cluster, leader, "SELECT count(*) FROM gap");
	uint64_t count = n ? strtoull(n, NULL, 10) : 0;

	free(n);
	return count;
}

/* For PERFORMANCE.md: a line of JSON a change, appended to $TEST_RESULTS. */
static void record(const struct test_gap *g, const char *what)
{
	const char *path = getenv("TEST_RESULTS");
	FILE *file = path ? fopen(path, "a") : NULL;

	if (!file)
		return;
	fprintf(file,
	        "{\"case\": \"%s\", \"stopped_ms\": %.1f, \"after_ms\": %.1f, \"reads_ms\": %.1f, "
	        "\"failed\": %llu, \"read_only\": %llu}\n",
	        what, (double)test_gap_stopped_ns(g) / 1e6,
	        (double)(g->first_new_ns - g->promoted_ns) / 1e6, (double)g->reads.longest_ns / 1e6,
	        (unsigned long long)(g->writes.lost + g->writes.ended + g->writes.other),
	        (unsigned long long)g->writes.read_only);
	fclose(file);
}

static void judge(const struct test_gap *g)
{
	assert_true(g->promoted_ns != 0 && g->first_new_ns != 0);
	assert_int_equal(g->writes.no_checkout, 0);
	assert_int_equal(g->reads.no_checkout, 0);
	assert_int_equal(g->writes.other + g->reads.other, 0);
	/*
	 * What was under way was lost, and nothing else: a writer at most twice, as a server that
	 * shuts down ends its sessions one by one.
	 */
	assert_true(g->writes.lost + g->writes.ended + g->writes.read_only <= 2 * GAP_THREADS);
	assert_true(g->writes.read_only <= GAP_THREADS);
	assert_true(g->reads.lost + g->reads.ended <= 2 * GAP_THREADS);
}

/* order is about the leader, whose number follows the word; -1: it takes none. */
static void follow(const char *what, const char *order, bool killed)
{
	int leader = test_cluster_leader(cluster), next;
	struct test_gap gap;
	char words[64];
	int64_t order_ns;

	assert_true(leader >= 0);
	if (!test_gap_prepare(&gap, router) || !test_gap_begin(&gap, urls))
		fail_msg("%s", gap.words);
	snprintf(words, sizeof(words), killed ? "%s %d" : "%s", order, leader);
	order_ns = wi_now_ns();
	must(test_cluster_tell(cluster, words));
	while ((next = test_cluster_leader(cluster)) == leader || next < 0)
		assert_true(wi_now_ns() - order_ns < FOLLOW_MS * WI_MS);
	/* Served by whom? Only the new leader takes writes now. */
	while (!gap.first_new_ns && wi_now_ns() - order_ns < FOLLOW_MS * WI_MS)
		assert_true(test_gap_await_writes(&gap, wi_now_ns(), FOLLOW_MS));
	if (!test_gap_await_writes(&gap, wi_now_ns(), FOLLOW_MS))
		fail_msg("no write, or no read, was served after it: %s", gap.words);
	test_gap_end(&gap);
	test_gap_print(&gap, what, order_ns);
	record(&gap, what);
	judge(&gap);
	if (killed) {
		snprintf(words, sizeof(words), "start %d", leader);
		must(test_cluster_tell(cluster, words));
	} else {
		assert_true(written(next) >= gap.writes.served); /* it was planned */
	}
	must(test_cluster_tell(cluster, "whole"));
}

/* It is killed for good: no host any more; then it is back. */
static void members_come_and_go(void **state)
{
	int away = test_cluster_leader(cluster);
	char words[32];

	(void)state;
	away = (away + 2) % MEMBERS; /* neither the leader nor who is asked */
	snprintf(words, sizeof(words), "kill %d", away);
	must(test_cluster_tell(cluster, words));
	await_hosts(MEMBERS - 1);
	snprintf(words, sizeof(words), "start %d", away);
	must(test_cluster_tell(cluster, words));
	await_hosts(MEMBERS);
	must(test_cluster_tell(cluster, "whole"));
}

/*
 * Patroni of the leader stands still: its server goes on as a primary that nobody wants any more.
 */
static void a_leader_without_its_patroni_is_left(void **state)
{
	int64_t until_ns = later(FOLLOW_MS);
	int leader = test_cluster_leader(cluster), next;
	struct test_gap gap;
	char words[32], *before, *after;

	(void)state;
	if (!test_gap_prepare(&gap, router) || !test_gap_begin(&gap, urls))
		fail_msg("%s", gap.words);
	snprintf(words, sizeof(words), "freeze %d", leader);
	must(test_cluster_tell(cluster, words));
	while (((next = test_cluster_leader(cluster)) == leader || next < 0) &&
	       wi_now_ns() < until_ns)
		usleep(1000);
	while (!gap.first_new_ns && wi_now_ns() < until_ns)
		usleep(1000);
	/* The old one runs, and would take writes. */
	before = test_cluster_sql(cluster, leader, "SELECT pg_is_in_recovery(), max(n) FROM gap");
	assert_true(test_gap_await_writes(&gap, later(500), FOLLOW_MS));
	after = test_cluster_sql(cluster, leader, "SELECT pg_is_in_recovery(), max(n) FROM gap");
	test_gap_end(&gap);
	assert_true(before && after && before[0] == 'f');
	assert_string_equal(before, after);
	free(before);
	free(after);
	/*
	 * Whether Patroni gets it back among the others is Patroni's affair, and this test the
	 * last.
	 */
	snprintf(words, sizeof(words), "thaw %d", leader);
	must(test_cluster_tell(cluster, words));
}

static int rounds(void)
{
	const char *n = getenv("TEST_ROUNDS");

	return n && atoi(n) > 0 ? atoi(n) : 1;
}

static void a_switchover_is_followed(void **state)
{
	(void)state;
	for (int i = 0; i < rounds(); i++)
		follow("switchover", "switchover", false);
}

static void a_killed_leader_is_followed(void **state)
{
	(void)state;
	for (int i = 0; i < rounds(); i++)
		follow("kill -9", "kill", true);
}

static void an_advised_switchover_is_followed(void **state)
{
	(void)state;
	for (int i = 0; i < rounds(); i++)
		follow("switchover, advised", "switchover", false);
}

static void an_advised_death_is_followed(void **state)
{
	(void)state;
	if (!getenv("TEST_ROUNDS"))
		skip(); /* only in the long form: it takes Patroni's ttl, as the one before */
	for (int i = 0; i < rounds(); i++)
		follow("kill -9, advised", "kill", true);
}

int main(void)
{
	const struct test_cluster_options options = {.patroni = true,
	                                             .max_seconds = 300 + 100 * rounds()};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_switchover_is_followed, open_router,
	                                        close_router),
		cmocka_unit_test_setup_teardown(a_killed_leader_is_followed, open_router,
	                                        close_router),
		cmocka_unit_test_setup_teardown(an_advised_switchover_is_followed, open_advised,
	                                        close_router),
		cmocka_unit_test_setup_teardown(an_advised_death_is_followed, open_advised,
	                                        close_router),
		cmocka_unit_test_setup_teardown(members_come_and_go, open_by_one, close_router),
		cmocka_unit_test_setup_teardown(a_leader_without_its_patroni_is_left, open_advised,
	                                        close_router),
	};
	int failed;

	test_watchdog(190 + 100 * rounds(), "Patroni");
	cluster = test_cluster_start_or_exit(&options);
	name_urls();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (!test_cluster_stop(&cluster))
		failed++;
	return failed;
}

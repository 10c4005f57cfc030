/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text of the metrics. Run with --print FORMAT it writes one to the standard output, of a
 * router and a pool after a little of everything: metrics_text_test.py reads it as a scraper would.
 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "pool/pool.h"
#include "support/fake_cluster.h"
#include "support/sim.h"
#include "support/watchdog.h"

#define PATIENCE_MS 20000

static struct fake_cluster cluster;
static weir_router *router;

static void open_router(void)
{
	weir_options o;

	fake_cluster_init(&cluster, 3);
	weir_options_init(&o);
	o.pool_min = 1;
	o.pool_max = 2;
	o.checkout_timeout_ms = PATIENCE_MS;
	o.slow_query_ms = 30;
	o.slow_checkout_ms = 10;
	assert_int_equal(fake_cluster_open(&cluster, &o, &router, NULL), WEIR_OK);
	assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
}

static void close_router(void)
{
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
	fake_cluster_fini(&cluster);
}

/* Until the keeper has closed what was discarded. */
static void await_the_discarded(void)
{
	weir_stats s = {.hosts = 0};

	while (!s.pool.closed[WEIR_CLOSE_DISCARDED]) {
		assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
		weir_stats_get(router, &s);
	}
}

/* Reads, writes, one that is too many, queries that fail, transactions. */
static void load(void)
{
	weir_request too_many = WEIR_REQUEST(.timeout_ms = WEIR_NO_WAIT);
	weir_request slow = WEIR_REQUEST(.timeout_ms = 20);
	weir_conn *conn[2], *third;

	for (int i = 0; i < 2; i++)
		assert_int_equal(weir_checkout(router, WEIR_WRITE, &conn[i], NULL), WEIR_OK);
	assert_int_equal(weir_checkout_with(router, &too_many, &third, NULL), WEIR_EXHAUSTED);
	assert_int_equal(weir_checkout_with(router, &slow, &third, NULL), WEIR_TIMEOUT);
	wi_tally_query(wi_conn_of(conn[0]), 0, 1500000, WEIR_OK, NULL);
	wi_tally_query(wi_conn_of(conn[0]), 0, 40000000, WEIR_RETRY, NULL);
	wi_tally_query(wi_conn_of(conn[0]), 0, 1, WEIR_QUERY, NULL);
	wi_tally_transaction(wi_conn_of(conn[1]), WI_TALLY_ROLLED_BACK);
	weir_checkin(&conn[0]);
	weir_discard(&conn[1]);
	assert_int_equal(weir_checkout(router, WEIR_READ, &conn[0], NULL), WEIR_OK);
	wi_tally_transaction(wi_conn_of(conn[0]), WI_TALLY_COMMITTED);
	weir_checkin(&conn[0]);
	await_the_discarded();
}

/* What was discarded is closed by the keeper, when it comes to it. */
static void await_closed(void)
{
	weir_host_stats host[FAKE_HOSTS];

	do
		(void)weir_router_stats_get(router, host, FAKE_HOSTS);
	while (!host[0].pool.closed[WEIR_CLOSE_DISCARDED] && usleep(1000) == 0);
}

static char *metrics(weir_metrics_format format)
{
	char *text = NULL;
	size_t length = 0;

	assert_int_equal(weir_router_metrics(router, format, &text, &length, NULL), WEIR_OK);
	assert_int_equal(strlen(text), length);
	return text;
}

static void assert_has(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	if (!at)
		fail_msg("there is no %s", line);
}

/* At least the one that timed out: on a busy machine others may have been slow. */
static void assert_slow_checkouts(const char *text)
{
	char line[64];
	weir_stats s;

	weir_stats_get(router, &s);
	assert_true(s.slow_checkouts >= 1);
	snprintf(line, sizeof(line), "\nweir_slow_checkouts_total %llu\n",
	         (unsigned long long)s.slow_checkouts);
	assert_has(text, line);
}

static void what_happened_is_in_it(void **state)
{
	char *text;

	(void)state;
	open_router();
	load();
	await_closed();
	text = metrics(WEIR_METRICS_PROMETHEUS);
	assert_has(text, "\nweir_checkouts_total{host=\"127.0.0.1:6000\",intent=\"write\","
	                 "reason=\"write\"} 2\n");
	assert_has(text,
	           "\nweir_checkouts_failed_total{intent=\"write\",status=\"exhausted\"} 1\n");
	assert_has(text, "\nweir_queries_total{host=\"127.0.0.1:6000\",intent=\"write\"} 3\n");
	assert_has(text, "\nweir_query_errors_total{host=\"127.0.0.1:6000\",intent=\"write\","
	                 "kind=\"retryable\"} 1\n");
	assert_has(text, "\nweir_slow_queries_total{host=\"127.0.0.1:6000\"} 1\n");
	assert_slow_checkouts(text);
	assert_has(text, "\nweir_transactions_total{host=\"127.0.0.1:6000\",intent=\"write\","
	                 "outcome=\"rolled_back\"} 1\n");
	assert_has(text, "\nweir_connections_closed_total{host=\"127.0.0.1:6000\","
	                 "reason=\"discarded\"} 1\n");
	assert_has(text,
	           "\nweir_host_role{host=\"127.0.0.1:6000\",weir_host_role=\"primary\"} 1\n");
	assert_has(text,
	           "\nweir_host_role{host=\"127.0.0.1:6001\",weir_host_role=\"primary\"} 0\n");
	assert_has(text, "\nweir_hosts{role=\"replica\"} 2\n");
	assert_has(text, "\ndb_client_operation_duration_seconds_sum{"
	                 "db_client_connection_pool_name=\"127.0.0.1:6000\"} 0.041500001\n");
	assert_has(text, "{db_client_connection_pool_name=\"127.0.0.1:6000\",le=\"0.0025\"} 2\n");
	assert_null(strstr(text, "# EOF"));
	weir_text_free(text);
	close_router();
}

/* A host program may have said how its people write numbers. */
static void numbers_know_no_locale(void **state)
{
	char *text;

	(void)state;
	if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8"))
		print_message("no locale with a comma here: only half shown\n");
	open_router();
	load();
	text = metrics(WEIR_METRICS_OPENMETRICS);
	assert_has(text, " 0.041500001\n");
	weir_text_free(text);
	close_router();
	setlocale(LC_NUMERIC, "C");
}

static void what_is_wrong_is_said(void **state)
{
	const weir_metrics_source nobody = {.name = "nobody"};
	weir_error error;
	char *text;

	(void)state;
	open_router();
	assert_int_equal(weir_router_metrics(NULL, WEIR_METRICS_PROMETHEUS, &text, NULL, &error),
	                 WEIR_INVALID);
	assert_null(text);
	assert_int_equal(weir_router_metrics(router, (weir_metrics_format)7, &text, NULL, &error),
	                 WEIR_INVALID);
	assert_int_equal(weir_router_metrics(router, WEIR_METRICS_PROMETHEUS, NULL, NULL, &error),
	                 WEIR_INVALID);
	assert_int_equal(weir_metrics(&nobody, 1, WEIR_METRICS_PROMETHEUS, &text, NULL, &error),
	                 WEIR_INVALID);
	assert_int_equal(weir_metrics(NULL, 0, WEIR_METRICS_PROMETHEUS, &text, NULL, &error),
	                 WEIR_INVALID);
	weir_text_free(NULL);
	close_router();
}

/* Each allocation of a text fails once: NO_MEMORY, and nothing is left. */
static void without_memory_nothing_is_lost(void **state)
{
	weir_status st = WEIR_NO_MEMORY;
	weir_error error;
	char *text;

	(void)state;
	open_router();
	for (int n = 1; st != WEIR_OK; n++) {
		assert_true(n < 100);
		wi_alloc_fail_at(n);
		st = weir_router_metrics(router, WEIR_METRICS_PROMETHEUS, &text, NULL, &error);
		wi_alloc_fail_at(0);
		if (st != WEIR_OK) {
			assert_int_equal(st, WEIR_NO_MEMORY);
			assert_null(text);
		}
	}
	weir_text_free(text);
	close_router();
}

/* ---- for metrics_text_test.py ---- */

static int print(const char *format)
{
	weir_metrics_source both[] = {{.name = "shop"}, {.name = "odd \"one\" \\ with\na line"}};
	weir_options o;
	char *text;

	open_router();
	load();
	sim_options(&o);
	if (sim_open(&o) != WEIR_OK)
		return 1;
	both[0].router = router;
	both[1].pool = sim_pool();
	if (weir_metrics(both, 2,
	                 strcmp(format, "openmetrics") == 0 ? WEIR_METRICS_OPENMETRICS
	                                                    : WEIR_METRICS_PROMETHEUS,
	                 &text, NULL, NULL) != WEIR_OK)
		return 1;
	fputs(text, stdout);
	weir_text_free(text);
	(void)sim_close();
	close_router();
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_happened_is_in_it),
		cmocka_unit_test(numbers_know_no_locale),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(without_memory_nothing_is_lost),
	};

	test_watchdog(100, "the metrics");
	if (argc == 3 && strcmp(argv[1], "--print") == 0)
		return print(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

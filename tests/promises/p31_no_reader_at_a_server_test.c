/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 31 at a real primary with two standbys: when neither replays, or neither is up, reads go
 * to the primary and say why; and they are back at the first standby that is well again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "support/cluster.h"
#include "support/watchdog.h"

static struct test_cluster *cluster;
static weir_router *router;
static weir_error error;

static void must(bool ok)
{
	if (!ok)
		fail_msg("%s", test_cluster_error(cluster));
}

static void write_something(void)
{
	char *said = test_cluster_sql(cluster, 0,
	                              "create table if not exists p31 as "
	                              "select generate_series(1, 1000); "
	                              "update p31 set generate_series = 1 + generate_series");

	must(said != NULL);
	free(said);
}

static weir_conn_info read_once(void)
{
	weir_conn *c = NULL;
	weir_conn_info info;
	weir_status st = weir_checkout(router, WEIR_READ, &c, &error);

	if (st != WEIR_OK)
		fail_msg("%s", error.text);
	assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
	weir_checkin(&c);
	return info;
}

static void await_reads_at(weir_role role, weir_reason reason)
{
	weir_conn_info info;

	do
		info = read_once();
	while (info.role != role || info.reason != reason);
}

static void reads_go_to_the_primary_and_come_back(void **state)
{
	weir_options options;

	(void)state;
	weir_options_init(&options);
	options.probe_interval_ms = 100;
	options.max_lag_bytes = 1000;
	assert_int_equal(weir_router_open(test_cluster_url(cluster), &options, &router, &error),
	                 WEIR_OK);
	await_reads_at(WEIR_ROLE_REPLICA, WEIR_REASON_BALANCED);

	for (int i = 1; i < 3; i++)
		must(test_cluster_pause_replay(cluster, i));
	write_something();
	await_reads_at(WEIR_ROLE_PRIMARY, WEIR_REASON_TOO_STALE);
	must(test_cluster_resume_replay(cluster, 2));
	await_reads_at(WEIR_ROLE_REPLICA, WEIR_REASON_BALANCED);
	must(test_cluster_resume_replay(cluster, 1));

	for (int i = 1; i < 3; i++)
		must(test_cluster_shut_down(cluster, i, true));
	await_reads_at(WEIR_ROLE_PRIMARY, WEIR_REASON_NO_REPLICA);
	must(test_cluster_boot(cluster, 1));
	await_reads_at(WEIR_ROLE_REPLICA, WEIR_REASON_BALANCED);
	assert_int_equal(weir_router_close(&router, 20000), WEIR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_go_to_the_primary_and_come_back),
	};
	int failed;

	test_watchdog(280, "promise 31 on a real cluster");
	cluster = test_cluster_start_or_exit(&(struct test_cluster_options){0});
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (!test_cluster_stop(&cluster)) {
		fprintf(stderr, "the cluster did not stop\n");
		return 1;
	}
	return failed;
}

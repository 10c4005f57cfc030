/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 28, on real servers. The old primary comes back as it was, and takes whatever is written
 * to it: it gets no write, and that is told; by a router that saw the failover, by one that is
 * opened anew in that state, and while the new primary is away. Two standbys that were promoted
 * independently are on the same timeline: the standbys that follow one of them decide, else nobody
 * is the primary.
 *
 * The tests are one story, in their order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/cluster.h"
#include "support/watchdog.h"

#define HOSTS 4
#define PATIENCE_MS 60000

static struct test_cluster *cluster;
static weir_options options;
static weir_router *router; /* that sees all of it */
static weir_error error;

/* What a router told. */
struct heard {
	_Atomic int splits, fenced;
	char split[512];
};
static struct heard by_first, by_others;

static void hear(void *arg, const weir_event *event)
{
	struct heard *heard = arg;

	if (event->kind == WEIR_EVENT_SPLIT_BRAIN) {
		snprintf(heard->split, sizeof(heard->split), "%s", event->text);
		wi_add_seq(&heard->splits, 1);
	}
	if (event->kind == WEIR_EVENT_FENCED)
		wi_add_seq(&heard->fenced, 1);
}

static void must(bool ok)
{
	if (!ok)
		fail_msg("%s", test_cluster_error(cluster));
}

static void must_sql(int i, const char *sql)
{
	char *rows = test_cluster_sql(cluster, i, sql);

	must(rows != NULL);
	free(rows);
}

/* A router on the hosts `first` and those behind it. */
static weir_router *open_on(int first, struct heard *heard)
{
	const char *url = test_cluster_url(cluster), *at = strchr(url, '@') + 1;
	weir_router *r = NULL;
	char some[512];

	options.on_event_arg = heard;
	for (int i = 0; i < first; i++)
		at = strchr(at, ',') + 1;
	snprintf(some, sizeof(some), "%.*s%s", (int)(strchr(url, '@') + 1 - url), url, at);
	if (weir_router_open(some, &options, &r, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	assert_int_equal(weir_router_probe(r, PATIENCE_MS), WEIR_OK);
	return r;
}

static weir_host_stats stats_of(weir_router *r, int i)
{
	weir_host_stats stats[HOSTS];

	assert_true(weir_router_stats_get(r, stats, HOSTS) > (size_t)i);
	return stats[i];
}

static void wait_for_role(weir_router *r, int i, weir_role role)
{
	int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;

	while (stats_of(r, i).role != role && wi_now_ns() < until_ns)
		assert_int_equal(weir_router_probe(r, PATIENCE_MS), WEIR_OK);
	assert_int_equal(stats_of(r, i).role, role);
}

/* Until it has answered as one that is no standby. */
static void wait_for_claim(weir_router *r, int i)
{
	int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;
	weir_host_stats s = stats_of(r, i);

	while ((!s.reachable || s.in_recovery) && wi_now_ns() < until_ns) {
		assert_int_equal(weir_router_probe(r, PATIENCE_MS), WEIR_OK);
		s = stats_of(r, i);
	}
	assert_true(s.reachable && !s.in_recovery);
}

static int try_write(weir_router *r, int64_t timeout_ms)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_WRITE, .timeout_ms = timeout_ms);
	weir_conn *c = NULL;
	PGresult *result;
	int port = -1;

	if (weir_checkout_with(r, &q, &c, &error) != WEIR_OK)
		return -1;
	result = PQexec(weir_pg(c), "INSERT INTO notes VALUES (1) RETURNING inet_server_port()");
	if (PQresultStatus(result) == PGRES_TUPLES_OK)
		port = atoi(PQgetvalue(result, 0, 0));
	PQclear(result);
	weir_checkin(&c);
	return port;
}

static void writes_go_to(weir_router *r, int i)
{
	for (int n = 0; n < 20; n++)
		assert_int_equal(try_write(r, PATIENCE_MS), test_cluster_port(cluster, i));
}

static void nobody_is_written_to(weir_router *r)
{
	for (int n = 0; n < 5; n++)
		assert_int_equal(try_write(r, 50), -1);
}

static int notes_at(int i)
{
	char *rows = test_cluster_sql(cluster, i, "SELECT count(*) FROM notes");
	int n;

	must(rows != NULL);
	n = atoi(rows);
	free(rows);
	return n;
}

/* ---- the story ---- */

static void the_old_primary_comes_back_writable(void **state)
{
	weir_router *other;
	int64_t until_ns;
	int before;

	(void)state;
	router = open_on(0, &by_first);
	must_sql(0, "CREATE TABLE notes (n int)");
	must_sql(0, "GRANT ALL ON notes TO app");
	must(test_cluster_sync(cluster));
	writes_go_to(router, 0);
	/* This one is to follow the new primary later, so it must not know more than that does. */
	must(test_cluster_shut_down(cluster, 3, false));
	must(test_cluster_sync(cluster));
	must(test_cluster_kill(cluster, 0));
	must(test_cluster_promote(cluster, 1));
	writes_go_to(router, 1);
	must(test_cluster_boot(cluster, 0));
	before = notes_at(0);
	must_sql(0, "INSERT INTO notes VALUES (0)"); /* it would */
	wait_for_claim(router, 0);
	writes_go_to(router, 1);
	assert_int_equal(stats_of(router, 0).role, WEIR_ROLE_UNKNOWN);
	assert_non_null(strstr(stats_of(router, 0).last_error, "older timeline than 127.0.0.1:"));
	for (until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;
	     !wi_load_seq(&by_first.fenced) && wi_now_ns() < until_ns;)
		assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	assert_int_equal(wi_load_seq(&by_first.fenced), 1);

	/* One that has seen nothing of all that. */
	other = open_on(0, &by_others);
	writes_go_to(other, 1);
	assert_int_equal(stats_of(other, 0).role, WEIR_ROLE_UNKNOWN);
	assert_int_equal(weir_router_close(&other, PATIENCE_MS), WEIR_OK);
	assert_int_equal(notes_at(0), before + 1);
	assert_int_equal(wi_load_seq(&by_first.splits), 0);
}

/* A standby's checkpoint is at the last one of the primary's that it has replayed. */
static void checkpoint_until_it_is_known(void)
{
	int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;
	char *timeline = NULL;

	do {
		assert_true(wi_now_ns() < until_ns);
		free(timeline);
		must_sql(1, "CHECKPOINT");
		must_sql(3, "CHECKPOINT");
		timeline = test_cluster_sql(cluster, 3,
		                            "SELECT timeline_id FROM pg_control_checkpoint()");
		must(timeline != NULL);
	} while (strcmp(timeline, "2") != 0);
	free(timeline);
}

/*
 * The new primary says nothing; but a standby has followed it, and its control file says so: that
 * is, after its next checkpoint. Before, only those know who have seen it stream.
 */
static void it_gets_none_while_the_new_one_is_away(void **state)
{
	weir_router *other;
	int before = notes_at(0);

	(void)state;
	/* What 0 has written by itself must not reach this one before it knows whom to follow. */
	must(test_cluster_kill(cluster, 0));
	must(test_cluster_boot(cluster, 3));
	must(test_cluster_follow(cluster, 3));
	must(test_cluster_boot(cluster, 0));
	for (int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;
	     stats_of(router, 3).timeline != 2 && wi_now_ns() < until_ns;)
		assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	checkpoint_until_it_is_known();
	must(test_cluster_kill(cluster, 1));
	wait_for_role(router, 1, WEIR_ROLE_UNKNOWN);
	nobody_is_written_to(router);
	assert_non_null(strstr(error.text, "older timeline than one that was seen before"));
	other = open_on(0, &by_others);
	wait_for_claim(other, 0);
	wait_for_role(other, 3, WEIR_ROLE_REPLICA);
	assert_false(stats_of(other, 1).reachable);
	assert_int_equal(stats_of(other, 3).timeline, 2);
	nobody_is_written_to(other);
	assert_int_equal(weir_router_close(&other, PATIENCE_MS), WEIR_OK);
	must(test_cluster_boot(cluster, 1));
	writes_go_to(router, 1);
	assert_int_equal(notes_at(0), before);
}

/* Another standby is promoted, too, and comes to the same timeline: nobody can say who is right. */
static void whom_the_standbys_follow_decides(void **state)
{
	weir_router *three;

	(void)state;
	three = open_on(1, &by_others);
	wait_for_role(three, 0, WEIR_ROLE_PRIMARY);
	must(test_cluster_promote(cluster, 2));
	must(test_cluster_shut_down(cluster, 3, false));
	wait_for_claim(three, 1);
	wait_for_role(three, 2, WEIR_ROLE_UNKNOWN);
	assert_int_equal(stats_of(three, 1).timeline, 2);
	nobody_is_written_to(three);
	assert_non_null(strstr(error.text, "split brain"));
	for (int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;
	     !wi_load_seq(&by_others.splits) && wi_now_ns() < until_ns;)
		assert_int_equal(weir_router_probe(three, PATIENCE_MS), WEIR_OK);
	assert_non_null(strstr(by_others.split, "no primary: "));

	/* The one that follows 1 is back. */
	must(test_cluster_boot(cluster, 3));
	wait_for_role(three, 0, WEIR_ROLE_PRIMARY);
	writes_go_to(three, 1);
	assert_true(stats_of(three, 2).streaming);
	assert_string_equal(stats_of(three, 2).follows, stats_of(three, 0).host);
	assert_non_null(
		strstr(stats_of(three, 1).last_error, "but the standbys follow 127.0.0.1:"));
	assert_int_equal(weir_router_close(&three, PATIENCE_MS), WEIR_OK);

	wait_for_role(router, 1, WEIR_ROLE_PRIMARY);
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_old_primary_comes_back_writable),
		cmocka_unit_test(it_gets_none_while_the_new_one_is_away),
		cmocka_unit_test(whom_the_standbys_follow_decides),
	};
	int failed;

	test_watchdog(280, "two primaries");
	weir_options_init(&options);
	options.probe_interval_ms = 100;
	options.pool_min = 0;
	options.on_event = hear;
	cluster = test_cluster_start_or_exit(
		&(struct test_cluster_options){.standbys = 3, .monitor = true});
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return test_cluster_stop(&cluster) ? failed : 1;
}

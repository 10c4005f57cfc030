/* SPDX-License-Identifier: BSD-2-Clause */
/* See trouble.h. */
#include "support/trouble.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/threads.h"

#define SERVERS 3
#define FAILOVER_EVERY_S 20

static void must(const struct test_trouble *t, bool ok)
{
	if (ok)
		return;
	fprintf(stderr, "the cluster does not obey: %s\n", test_cluster_error(t->cluster));
	_exit(1); /* the threads go on to the end */
}

/* Of those that wait for a standby, their commits are done; the others are anywhere. */
static void terminate(struct test_trouble *t, const char *who, int most)
{
	char sql[256], *n;

	snprintf(sql, sizeof(sql),
	         "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity "
	         "WHERE usename = 'app' AND %s ORDER BY random() LIMIT %d) AS victim",
	         who, most);
	n = test_cluster_admin(t->cluster, t->primary, sql);
	must(t, n != NULL);
	t->terminated += strtoull(n, NULL, 10);
	free(n);
}

/* Without standbys nobody's commit is answered: whose session is ended then has committed. */
void test_trouble_in_commit(struct test_trouble *t)
{
	for (int i = 0; i < SERVERS; i++)
		must(t, i == t->primary || i == t->gone || test_cluster_pause(t->cluster, i));
	usleep(20000);
	terminate(t, "wait_event = 'SyncRep'", 4);
	for (int i = 0; i < SERVERS; i++)
		must(t, i == t->primary || i == t->gone || test_cluster_resume(t->cluster, i));
}

static int64_t received(struct test_trouble *t, int i)
{
	char *n = test_cluster_admin(t->cluster, i,
	                             "SELECT greatest(pg_last_wal_receive_lsn(),"
	                             " pg_last_wal_replay_lsn()) - '0/0'");
	int64_t bytes = n ? atoll(n) : -1;

	free(n);
	return bytes;
}

/* Of the two standbys the one that has received more: what was acknowledged is there. */
static void fail_over(struct test_trouble *t, bool comes_back)
{
	int old = t->primary, a = (old + 1) % SERVERS, b = (old + 2) % SERVERS, other;

	must(t, t->failovers++ % 2 ? test_cluster_shut_down(t->cluster, old, true)
	                           : test_cluster_kill(t->cluster, old));
	t->primary = received(t, b) > received(t, a) ? b : a;
	other = SERVERS - old - t->primary;
	must(t, test_cluster_promote(t->cluster, t->primary));
	must(t, test_cluster_follow(t->cluster, other) || test_cluster_rejoin(t->cluster, other));
	t->gone = old;
	if (!comes_back)
		return;
	must(t, test_cluster_rejoin(t->cluster, old));
	t->gone = -1;
}

static void make_some(struct test_trouble *t)
{
	if (wi_rng_below(&t->rng, 4) == 0)
		test_trouble_in_commit(t);
	else
		terminate(t, "state <> 'idle'", 1 + (int)wi_rng_below(&t->rng, 2));
	usleep(20000 + wi_rng_below(&t->rng, 100000));
}

/* With a failover in the middle; or again and again, if there is time. */
void test_trouble_make(struct test_trouble *t, double seconds)
{
	bool for_long = seconds > 2 * FAILOVER_EVERY_S;
	int64_t all_ns = (int64_t)(seconds * 1e9), begun_ns = wi_now_ns(), after_ns,
		every_ns = for_long ? FAILOVER_EVERY_S * WI_SEC : all_ns / 2;

	wi_rng_seed(&t->rng, test_seed());
	do {
		for (after_ns = wi_now_ns() + every_ns; wi_now_ns() < after_ns;)
			make_some(t);
		fail_over(t, for_long);
	} while (wi_now_ns() - begun_ns < all_ns - every_ns);
	for (after_ns = wi_now_ns() + every_ns; wi_now_ns() < after_ns;)
		make_some(t);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What may befall a cluster, in any order: servers that crash, hang, come back as they were or as
 * somebody else's standby, are promoted with care or without, are restored from a backup, change
 * their addresses, become read-only, refuse the credentials; hosts that are removed and added;
 * answers that tell of a moment that is over. A whole router lives through it on a clock of the
 * test's, in one thread, so that a seed is a history.
 *
 * Who judges knows the servers themselves and what the router was told, and nothing of its rules:
 *
 *   a connection for writing is to no standby;
 *   nor to whom the router has heard to be one, or to be left behind by a later timeline;
 *   nor to one of two on the same timeline, unless the standbys that can be heard follow it;
 *   a read's replica holds the token, and is no older than the read allows;
 *   nobody waits beyond his deadline;
 *   and when everything is well again, everything is found to be well.
 *
 * TEST_STRESS_SEED for another history, TEST_ROUNDS for many, TEST_VERBOSE for the tale of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "pool/pool.h"
#include "route/router.h"
#include "support/fake_cluster.h"
#include "support/fates.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define SEED 20015060045 /* of the short form, whose history does not hang on luck */
#define HELD 6
#define READ_ONLY_MS 100 /* so long may one wait that may not: docs/contracts.md */
#define WELL_MS 400000   /* who has two servers is remembered for 300 s, and a timeline for 30 */

static weir_router *router;
static weir_options options;
static weir_error error;
static uint64_t seed;
static weir_conn *held[HELD];
static uint64_t n_reads, n_writes, n_refused;
static int64_t slowest_ns;

/* ---- who judges ---- */

static void wrong(int host, const char *what) __attribute__((noreturn));
static void wrong(int host, const char *what)
{
	for (int i = 0; i < FATES_HOSTS; i++) {
		const struct fates_node *n = &fates.node[i];
		struct fates_past p = fates_now_of(i);

		printf("%d: %s%s%s%s, timeline %u, lsn %llx, follows %d; was told: %s, %s, timeline %u\n",
		       i, n->listed ? "" : "(unlisted) ", n->down ? "down, " : "",
		       n->hangs ? "hangs, " : "", p.in_recovery ? "standby" : "primary", p.timeline,
		       (unsigned long long)p.lsn, p.follows - 1, n->told ? "yes" : "never",
		       n->said.in_recovery ? "standby" : "primary", n->said.timeline);
	}
	printf("seed %llu, at %.6f s: host %d: %s\n", (unsigned long long)seed,
	       (double)fates.now_ns / 1e9, host, what);
	fflush(stdout);
	abort();
}

static bool lives(int host, const weir_conn *c)
{
	return wi_fake_serial(wi_conn_of(c)->link) > fates.node[host].dead_to;
}

static bool is_heard(int i)
{
	struct wi_host *h;

	for (uint32_t k = 0; (h = wi_hosts_next(router, &k));)
		if (strcmp(h->endpoint->name, fake_host_name(i)) == 0)
			return h->probe.found.sight.answered;
	return false;
}

static bool is_rival(int i, int of)
{
	const struct fates_past *a = &fates.node[i].said, *b = &fates.node[of].said;

	return i != of && fates.node[i].listed && is_heard(i) && !a->in_recovery &&
	       a->system == b->system && a->timeline == b->timeline && a->started != b->started;
}

/* More than half of all that could follow it, the silent ones too, and nobody the other. */
static bool is_chosen_by_standbys(int host, int rival)
{
	int could = 0, mine = 0;

	for (int i = 0; i < FATES_HOSTS; i++) {
		const struct fates_past *p = &fates.node[i].said;

		if (!fates.node[i].listed || i == host || (is_heard(i) && !p->in_recovery))
			continue;
		could++;
		if (!is_heard(i))
			continue;
		if (p->follows == rival + 1 && p->streams_on)
			return false;
		mine += p->follows == host + 1 && p->streams_on == fates.node[host].said.timeline;
	}
	return 2 * mine > could;
}

static void judge_write(int host, const weir_conn *c)
{
	const struct fates_node *n = &fates.node[host];

	if (lives(host, c) && !fates_is_primary(host))
		wrong(host, "a write on a standby");
	if (!n->listed)
		wrong(host, "a write at a host that is none of ours");
	if (!n->told || n->said.in_recovery)
		wrong(host, "a write where a standby was heard last");
	if (fates.below_ns && fates.now_ns - fates.below_ns >= WI_FORGET_NS)
		fates.told_timeline = 0;
	if (n->said.system == fates.system && n->said.timeline < fates.told_timeline)
		wrong(host, "a write where a later timeline is known");
	for (int i = 0; i < FATES_HOSTS; i++)
		if (is_rival(i, host) && !is_chosen_by_standbys(host, i))
			wrong(host, "one of two that nobody has chosen");
}

/* What is on later timelines than this one's is lost, or the router has never heard of it. */
static uint32_t latest_timeline(void)
{
	int i = fates_top();
	const struct fates_node *n = &fates.node[i < 0 ? 0 : i];

	return i >= 0 && n->listed && n->told && !n->said.in_recovery ? n->said.timeline : 0;
}

static int64_t known_since(const struct fates_write *w)
{
	int64_t told_ns = fates.node[fates_top()].primary_ns;

	return w->at_ns > told_ns ? w->at_ns : told_ns;
}

/* When the first of what the replica does not hold was written; 0: it holds everything. */
static int64_t lacks_since(int host)
{
	uint64_t first = fates.n_writes > FATES_WRITES ? fates.n_writes - FATES_WRITES : 0;
	uint32_t timeline = fates_timeline_of(host), latest = latest_timeline();
	bool old_one_runs = false;

	for (int i = 0; i < FATES_HOSTS; i++)
		old_one_runs |= !fates.node[i].down && fates_is_primary(i) &&
		                fates_timeline_of(i) == timeline;
	for (uint64_t k = first; k < fates.n_writes; k++) {
		const struct fates_write *w = &fates.writes[k % FATES_WRITES];

		if (w->timeline == timeline && w->end > fates_lsn_of(host))
			return w->at_ns;
		if (!old_one_runs && w->timeline > timeline && w->timeline <= latest)
			return known_since(w);
	}
	return 0;
}

static void judge_read(int host, const weir_conn *c, const weir_request *q)
{
	int64_t since_ns;

	if (!fates.node[host].told)
		wrong(host, "a read where nobody was heard");
	if (!lives(host, c) || !fates_is_ours(host))
		return;
	if (q->at_least.lsn && fates_timeline_of(host) < q->at_least.timeline)
		wrong(host, "a read below its token's timeline");
	if (q->at_least.lsn && fates_timeline_of(host) == q->at_least.timeline &&
	    fates_lsn_of(host) < q->at_least.lsn)
		wrong(host, "a read below its token");
	if (!q->max_lag_ms || fates_is_primary(host) || fates.began[fates_timeline_of(host)] > 1)
		return;
	since_ns = lacks_since(host);
	if (since_ns && fates.now_ns - since_ns > q->max_lag_ms * WI_MS)
		wrong(host, "a read that is too old");
}

/* ---- users ---- */

static void give_back(int k)
{
	weir_conn *c = held[k];

	if (!c)
		return;
	if (!lives(fake_host_of(c), c) && fates_below(2))
		wi_fake_leave(wi_conn_of(c)->link, WI_LOOK_DEAD);
	weir_checkin(&held[k]);
}

static void wish(weir_request *q)
{
	int whom = fates_top();

	q->intent = fates_below(2) ? WEIR_WRITE : WEIR_READ;
	q->timeout_ms = fates_below(3) ? WEIR_NO_WAIT : 1 + fates_below(4000);
	if (q->intent == WEIR_WRITE)
		return;
	q->fallback = (weir_fallback)fates_below(4);
	if (fates_below(2))
		q->max_lag_ms = 50 + fates_below(3000);
	if (whom >= 0 && fates.began[fates_timeline_of(whom)] < 2 && fates_below(2))
		q->at_least = (weir_token){.system = fates.system,
		                           .timeline = fates_timeline_of(whom),
		                           .lsn = fates_lsn_of(whom)};
}

static void visit(void)
{
	int k = (int)fates_below(HELD), host;
	weir_request q = WEIR_REQUEST(.intent = WEIR_WRITE);
	int64_t until_ns, restored_ns = fates.restored_ns;
	weir_status st;

	give_back(k);
	wish(&q);
	until_ns = fates.now_ns + (q.timeout_ms > 0 ? q.timeout_ms : READ_ONLY_MS) * WI_MS;
	st = weir_checkout_with(router, &q, &held[k], &error);
	if (fates.now_ns > until_ns + WI_MS)
		printf("%s, timeout %lld, lag %lld, lsn %llx, fallback %d: %s\n",
		       q.intent == WEIR_WRITE ? "write" : "read", (long long)q.timeout_ms,
		       (long long)q.max_lag_ms, (unsigned long long)q.at_least.lsn, q.fallback,
		       error.text);
	if (fates.now_ns > until_ns + WI_MS)
		wrong(-1, "a deadline has passed");
	if (st != WEIR_OK) {
		n_refused++;
		return;
	}
	host = fake_host_of(held[k]);
	fates_say("a %s at %d", q.intent == WEIR_WRITE ? "write" : "read", host);
	if (restored_ns != fates.restored_ns || fates.began[q.at_least.timeline] > 1)
		q.at_least.lsn = 0;
	if (q.intent == WEIR_WRITE)
		n_writes++, judge_write(host, held[k]);
	else
		n_reads++, judge_read(host, held[k], &q);
}

static void change_the_set(void)
{
	int i = (int)fates_below(FATES_HOSTS), n = 0;
	struct fates_node *node = &fates.node[i];
	weir_status st;

	for (int k = 0; k < FATES_HOSTS; k++)
		n += fates.node[k].listed;
	if (node->listed && n == 1)
		return;
	fates_say("%d is %s", i, node->listed ? "removed" : "added");
	if (!node->listed)
		node->told = false;
	st = node->listed ? weir_router_host_remove(router, fake_host_name(i), &error)
	                  : weir_router_host_add(router, fake_host_name(i), NULL, &error);
	if (st != WEIR_OK)
		return;
	node->listed = !node->listed;
	fates_seed(seed + fates_below(1000));
}

static void choose_options(void)
{
	options.probe_interval_ms = 50 + fates_below(2000);
	options.connect_timeout_ms = 200 + fates_below(4000);
	options.hold_down_ms = fates_below(3) ? 1000 : 0;
	options.slow_start_ms = fates_below(2) ? 10000 : 0;
	options.failover_wait_ms = fates_below(2) ? 0 : 500;
}

/* What else its operator does. */
static void operate(void)
{
	switch (fates_below(4)) {
	case 0:
		choose_options();
		(void)!weir_router_reload(router, &options, &error);
		break;
	case 1:
		(void)!weir_router_resize(router, fates_below(3), 3 + fates_below(8), &error);
		break;
	case 2:
		(void)weir_router_evict(router, NULL);
		break;
	default:
		(void)weir_router_suspend(router, WEIR_SUSPEND_WAIT);
		visit();
		fates_run_ms(fates_below(300));
		(void)weir_router_resume(router);
		break;
	}
}

static void act(void)
{
	switch (fates_below(40)) {
	case 0:
		change_the_set();
		break;
	case 1:
		(void)!weir_router_probe(router, fates_below(500));
		operate();
		break;
	case 2:
	case 3:
	case 4:
	case 5:
	case 6:
	case 7:
	case 8:
	case 9:
		fates_run_ms(fates_below(400));
		break;
	case 10:
		fates_run_ms(fates_below(5000));
		break;
	default:
		visit();
		fates_run_ms(fates_below(20));
		break;
	}
}

/* ---- a history ---- */

static void make_well(void)
{
	for (int i = 0; i < FATES_HOSTS; i++) {
		if (!fates.node[i].listed)
			assert_int_equal(
				weir_router_host_add(router, fake_host_name(i), NULL, &error),
				WEIR_OK);
		fates.node[i].listed = true;
	}
	fates_mend();
}

/* Not by a connection that has ended meanwhile. */
static bool can_write(void)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_WRITE, .timeout_ms = 1000);
	weir_conn *c = NULL;
	bool good;

	if (weir_checkout_with(router, &q, &c, &error) != WEIR_OK) {
		fates_run_ms(10); /* where every host is known to be dead, nobody waits */
		return false;
	}
	judge_write(fake_host_of(c), c);
	good = fake_host_of(c) == fates_top() && lives(fake_host_of(c), c);
	if (!good)
		wi_fake_leave(wi_conn_of(c)->link, WI_LOOK_DEAD);
	weir_checkin(&c);
	fates_run_ms(10);
	return good;
}

/* The host of no role, or -1. */
static int find_unknown(weir_host_stats *one)
{
	weir_host_stats stats[FATES_HOSTS];

	assert_int_equal(weir_router_stats_get(router, stats, FATES_HOSTS), FATES_HOSTS);
	for (int i = 0; i < FATES_HOSTS; i++) {
		*one = stats[i];
		if (one->role == WEIR_ROLE_UNKNOWN)
			return atoi(strrchr(one->host, ':') + 1) % 10;
	}
	return -1;
}

static void must_be_well(void)
{
	int64_t began_ns = fates.now_ns;
	weir_host_stats stats;

	for (int k = 0; k < HELD; k++)
		give_back(k);
	while (!can_write())
		if (fates.now_ns - began_ns > WELL_MS * WI_MS)
			wrong(-1, error.text);
	if (fates.now_ns - began_ns > slowest_ns)
		slowest_ns = fates.now_ns - began_ns;
	fates_say("a write after %lld ms", (long long)((fates.now_ns - began_ns) / WI_MS));
	while (find_unknown(&stats) >= 0) {
		if (fates.now_ns - began_ns > WELL_MS * WI_MS)
			wrong(find_unknown(&stats), stats.last_error);
		fates_run_ms(1000);
	}
	fates.quiet = false;
}

static void begin(void)
{
	fates_begin(seed);
	weir_options_init(&options);
	options.pool_min = 1;
	options.pool_max = 8;
	assert_int_equal(weir_options_set(&options, "view", "off", &error), WEIR_OK);
	choose_options();
	assert_int_equal(fates_open(&options, &router, &error), WEIR_OK);
	fates_seed(seed);
}

static void end(void)
{
	for (int k = 0; k < HELD; k++)
		give_back(k);
	fates.creeps = true;
	assert_int_equal(weir_router_close(&router, 600000), WEIR_OK);
	fake_cluster_fini(&fates_cluster);
}

static void a_history(void)
{
	begin();
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < 200; k++)
			act();
		make_well();
		must_be_well();
	}
	end();
}

static void nothing_that_befalls_a_cluster_misleads(void **state)
{
	const char *rounds = getenv("TEST_ROUNDS");
	long n = rounds ? atol(rounds) : test_slowness() > 1 ? 1 : 3;

	(void)state;
	test_watchdog(rounds ? 100000 : 120, "histories of a cluster");
	seed = getenv("TEST_STRESS_SEED") || rounds ? test_seed() : SEED;
	for (long i = 0; i < n; i++, seed += 1000003)
		a_history();
	printf("fates: %llu, writes: %llu, reads: %llu, not served: %llu; well after %.3f s at most\n",
	       (unsigned long long)fates_count, (unsigned long long)n_writes,
	       (unsigned long long)n_reads, (unsigned long long)n_refused,
	       (double)slowest_ns / 1e9);
	assert_true(n_writes > 0 && n_reads > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_that_befalls_a_cluster_misleads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

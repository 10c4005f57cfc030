/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 30, on a network of this test's own (really: packets are lost, one way or both, some or
 * all). Whatever happens to one host's network, that host goes and comes back at most once in a
 * hold-down from its second fall on, and nobody else's state changes. What a primary loses, it
 * loses at the next probe; and a promotion is seen within the probe's period.
 *
 * The hosts are servers of the test: a primary and two standbys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/mock_server.h"
#include "support/netns.h"
#include "support/shapes.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define HOSTS 3
#define PATIENCE_MS 60000
#define HOLD_MS 800
#define CHANGES 256

/*
 * Nobody else's probe may fail because this machine is busy. What one may take is the interval, a
 * second at least, so a test that does not wait for it has a long one: while something is wrong,
 * hosts are probed ten times a second all the same.
 */
#define LONG_MS 3000
#define SHORT_MS 1000

static bool is_slow;
static int64_t interval_ms, limit_ms;
static struct test_mock *mocks[HOSTS];
static weir_options o;
static weir_router *router;
static weir_error error;

/* When which host's role changed, in the order of the telling. */
static struct {
	int host;
	bool lost; /* to unknown */
	char text[200];
	int64_t at_ns;
} changes[CHANGES];
static _Atomic int n_changes;
static int first; /* of these, of the test that runs */

static void hear(void *arg, const weir_event *event)
{
	int n = wi_load_seq(&n_changes);

	(void)arg;
	if (event->kind != WEIR_EVENT_ROLE_CHANGED || n == CHANGES)
		return;
	for (int i = 0; i < HOSTS; i++)
		if (atoi(strrchr(event->host, ':') + 1) == test_mock_port(mocks[i]))
			changes[n].host = i;
	changes[n].lost = strstr(event->text, "is unknown") != NULL;
	snprintf(changes[n].text, sizeof(changes[n].text), "%s", event->text);
	changes[n].at_ns = event->at_ns;
	wi_store_seq(&n_changes, n + 1);
}

static weir_host_stats stats_of(int i)
{
	weir_host_stats stats[HOSTS];

	assert_int_equal(weir_router_stats_get(router, stats, HOSTS), HOSTS);
	return stats[i];
}

static void wait_for_role(int i, weir_role role)
{
	int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;

	while (stats_of(i).role != role && wi_now_ns() < until_ns)
		test_nap(2 * WI_MS);
	assert_int_equal(stats_of(i).role, role);
}

static int changes_of(int host)
{
	int n = 0;

	for (int i = first; i < wi_load_seq(&n_changes); i++)
		n += changes[i].host == host;
	return n;
}

/* When this host's role changed, for the first time from the change `from` on. */
static int64_t await_change(int host, int from)
{
	int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;

	while (wi_now_ns() < until_ns) {
		for (int i = from; i < wi_load_seq(&n_changes); i++)
			if (changes[i].host == host)
				return changes[i].at_ns;
		test_nap(2 * WI_MS);
	}
	fail_msg("host %d does not change", host);
	return 0;
}

/* Until each is what it is, and that has been told, too. */
static void wait_for_roles(void)
{
	for (int i = 0; i < HOSTS; i++) {
		wait_for_role(i, i ? WEIR_ROLE_REPLICA : WEIR_ROLE_PRIMARY);
		(void)await_change(i, 0);
	}
	first = wi_load_seq(&n_changes);
}

static void open_router(void)
{
	char conninfo[512];

	for (int i = 0; i < HOSTS; i++) {
		test_mock_fact(mocks[i], "in_recovery", i ? "t" : "f");
		test_mock_fact(mocks[i], "timeline", "00000001");
	}
	weir_options_init(&o);
	o.on_event = hear;
	o.pool_min = 0;
	o.pool_max = 2;
	o.probe_interval_ms = interval_ms;
	o.connect_timeout_ms = limit_ms;
	o.hold_down_ms = HOLD_MS;
	wi_store_seq(&n_changes, 0); /* no router is open that would tell */
	snprintf(conninfo, sizeof(conninfo),
	         "host=%s,%s,%s port=%d,%d,%d user=app dbname=shop sslmode=disable "
	         "gssencmode=disable",
	         TEST_NETNS_DB_ADDRESS, TEST_NETNS_DB_ADDRESS, TEST_NETNS_DB_ADDRESS,
	         test_mock_port(mocks[0]), test_mock_port(mocks[1]), test_mock_port(mocks[2]));
	if (weir_router_open(conninfo, &o, &router, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	wait_for_roles();
}

static int set_up(void **state)
{
	(void)state;
	interval_ms = limit_ms = LONG_MS;
	open_router();
	return 0;
}

/* For a test that waits for the limit. */
static int set_up_short(void **state)
{
	(void)state;
	interval_ms = test_slowness() > 1 ? 3 * SHORT_MS / 2 : 100;
	limit_ms = is_slow ? LONG_MS : interval_ms > SHORT_MS ? interval_ms : SHORT_MS;
	open_router();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_netns_heal();
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
	return 0;
}

/*
 * From the second fall on, it came back only after a hold-down that it was away; and nobody else's
 * state has changed.
 */
static void assert_calm(int host)
{
	int64_t gone_ns = 0;
	int falls = 0;

	for (int i = first; i < wi_load_seq(&n_changes); i++) {
		if (changes[i].host != host)
			fail_msg("host %d: %s", changes[i].host, changes[i].text);
		falls += changes[i].lost;
		if (!changes[i].lost && falls > 1)
			assert_true(changes[i].at_ns - gone_ns >= HOLD_MS * WI_MS);
		gone_ns = changes[i].at_ns;
	}
	print_message("          %d falls, %d changes\n", falls, changes_of(host));
}

static void one_way(enum test_netns_fault fault)
{
	test_netns_fault(fault, test_mock_port(mocks[1]));
	(void)await_change(1, first);
	test_nap(200 * WI_MS);
	assert_int_equal(stats_of(1).role, WEIR_ROLE_UNKNOWN);
	test_netns_heal();
	(void)await_change(1, first + 1);
	wait_for_role(1, WEIR_ROLE_REPLICA);
	assert_int_equal(changes_of(1), 2);
	assert_calm(1);
}

static void what_we_send_is_lost(void **state)
{
	(void)state;
	one_way(TEST_NETNS_TO_DB);
}

static void what_is_sent_to_us_is_lost(void **state)
{
	(void)state;
	one_way(TEST_NETNS_FROM_DB);
}

/* TEST_ROUNDS=n: n times as long. */
static int64_t rounds(void)
{
	const char *n = getenv("TEST_ROUNDS");

	return n && atoi(n) > 0 ? atoi(n) : 1;
}

static void await_probe(int host, bool answered)
{
	int64_t until_ns = wi_now_ns() + PATIENCE_MS * WI_MS;

	while (stats_of(host).reachable != answered && wi_now_ns() < until_ns)
		test_nap(2 * WI_MS);
	assert_int_equal(stats_of(host).reachable, answered);
}

#define TIMES 8

/*
 * Now it is broken, until that is seen, now whole, until that is. The host falls, is back at once,
 * falls again, and from then on is back only where the cable was whole for a hold-down, as on a
 * machine that stands still. Two times are counted as one: what is seen of the break between them
 * may be of the one before.
 */
static void a_cable_is_loose(int host)
{
	int64_t whole_ns = 0, before_ns = 0;
	int long_ones = 0, n;

	for (int64_t i = 0; i < TIMES * rounds(); i++) {
		test_netns_fault(TEST_NETNS_RESET, test_mock_port(mocks[host]));
		await_probe(host, false);
		long_ones += before_ns && wi_now_ns() - before_ns >= HOLD_MS * WI_MS;
		before_ns = whole_ns;
		whole_ns = wi_now_ns();
		test_netns_heal();
		await_probe(host, true);
	}
	(void)await_change(host, first);
	n = changes_of(host); /* before the time is taken */
	long_ones += wi_now_ns() - before_ns >= HOLD_MS * WI_MS;
	print_message("          %d times whole for long\n", long_ones);
	assert_in_range(n, 1, 3 + 2 * long_ones);
}

static void a_standby_flaps(void **state)
{
	(void)state;
	a_cable_is_loose(2);
	wait_for_role(2, WEIR_ROLE_REPLICA);
	assert_calm(2);
}

static void the_primary_flaps(void **state)
{
	(void)state;
	a_cable_is_loose(0);
	wait_for_role(0, WEIR_ROLE_PRIMARY);
	assert_calm(0);
}

/* Three packets of ten: TCP sends again, and most probes are answered in time. */
static void three_of_ten_packets_are_lost(void **state)
{
	(void)state;
	test_netns_fault(TEST_NETNS_LOSSY, test_mock_port(mocks[1]));
	test_nap(2000 * WI_MS * rounds());
	test_netns_heal();
	wait_for_role(1, WEIR_ROLE_REPLICA);
	assert_calm(1);
}

/* However often it has fallen, a primary that does not answer is none by the probe's limit. */
static void a_revocation_is_never_delayed(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		int64_t began_ns = wi_now_ns(), took_ns;

		test_netns_fault(TEST_NETNS_BLACK_HOLE, test_mock_port(mocks[0]));
		took_ns = await_change(0, first + 2 * i) - began_ns;
		print_message("          revoked after %.0f ms\n", (double)took_ns / 1e6);
		/* a period, and the limit; and what the machine takes */
		assert_true(took_ns < (interval_ms + limit_ms) * WI_MS + test_slack_ns());
		test_netns_heal();
		(void)await_change(0, first + 2 * i + 1);
		wait_for_role(0, WEIR_ROLE_PRIMARY);
	}
	assert_calm(0);
}

/* The old primary is black-holed. The new one's answers are awaited by nobody but the probe. */
static void a_promotion_is_seen_within_the_period(void **state)
{
	int64_t took[7], began_ns;
	int n = 0;

	(void)state;
	test_netns_fault(TEST_NETNS_BLACK_HOLE, test_mock_port(mocks[0]));
	(void)await_change(0, first);
	for (; n < 7; n++) {
		int heard = wi_load_seq(&n_changes);
		char timeline[16];

		snprintf(timeline, sizeof(timeline), "%08X", n + 2);
		test_mock_fact(mocks[1], "timeline", timeline);
		began_ns = wi_now_ns();
		test_mock_fact(mocks[1], "in_recovery", "f");
		took[n] = await_change(1, heard) - began_ns;
		wait_for_role(1, WEIR_ROLE_PRIMARY);
		test_mock_fact(mocks[1], "in_recovery", "t");
		(void)await_change(1, heard + 1);
		wait_for_role(1, WEIR_ROLE_REPLICA);
	}
	for (int i = 1; i < n; i++)
		for (int k = i; k > 0 && took[k] < took[k - 1]; k--) {
			int64_t more = took[k - 1];

			took[k - 1] = took[k];
			took[k] = more;
		}
	print_message("          seen after %.1f ms (median), %.1f at most\n",
	              (double)took[n / 2] / 1e6, (double)took[n - 1] / 1e6);
	assert_true(took[n / 2] < interval_ms * WI_MS + test_slack_ns());
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define TEST_SHORT(f) cmocka_unit_test_setup_teardown(f, set_up_short, tear_down)
	const struct CMUnitTest tests[] = {
		TEST_SHORT(what_we_send_is_lost),
		TEST_SHORT(what_is_sent_to_us_is_lost),
		TEST(a_standby_flaps),
		TEST(the_primary_flaps),
		TEST_SHORT(three_of_ten_packets_are_lost),
		TEST_SHORT(a_revocation_is_never_delayed),
		TEST_SHORT(a_promotion_is_seen_within_the_period),
	};
	/* Where everything is slow, these show what there is to see of memory. */
	const struct CMUnitTest slow[] = {TEST_SHORT(what_we_send_is_lost), TEST(a_standby_flaps)};
	int failed;

	is_slow = test_is_emulated();
	test_netns_make_or_exit();
	test_watchdog(200, "promise.30_a_flapping_network");
	test_netns_enter(TEST_NETNS_DB);
	for (int i = 0; i < HOSTS; i++) {
		char started[32];

		mocks[i] = test_mock_start(
			&(struct test_mock_options){.address = "0.0.0.0", .max_seconds = 200});
		snprintf(started, sizeof(started), "173214510%d.5", i);
		test_mock_fact(mocks[i], "started", started);
	}
	test_netns_enter(TEST_NETNS_APP);
	test_measure_lag(true);
	failed = is_slow ? cmocka_run_group_tests(slow, NULL, NULL)
	                 : cmocka_run_group_tests(tests, NULL, NULL);
	test_measure_lag(false);
	for (int i = 0; i < HOSTS; i++)
		test_mock_stop(&mocks[i]);
	return failed;
}

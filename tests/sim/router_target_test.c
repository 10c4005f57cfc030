/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which role a read asks for, against what the hosts are: each row of a table says which host it
 * is, and why. The first seventeen are those by which a driver with several hosts is known to be
 * tested (Npgsql's), in weir's terms: it balances where that one takes the first, and of two that
 * contradict each other it trusts neither.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "driver/fault.h"
#include "route/router.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

#define WRITE WEIR_WRITE
#define READ WEIR_READ
#define DEFAULT WEIR_TARGET_DEFAULT
#define PRIMARY WEIR_TARGET_PRIMARY
#define PREFER_PRIMARY WEIR_TARGET_PREFER_PRIMARY
#define REPLICA WEIR_TARGET_REPLICA
#define PREFER_REPLICA WEIR_TARGET_PREFER_REPLICA
#define ANY WEIR_TARGET_ANY

/*
 * P a primary, S a standby, R a primary that takes no writes, O such a one that was left behind
 * (on an older timeline), D down; a small letter: all its connections are out.
 */
struct row {
	weir_intent intent;
	weir_target target;
	const char *hosts;
	const char *served_by; /* the numbers of those that may be; "": nobody is */
	weir_reason reason;    /* of each but a busy one's sibling */
	weir_status status;    /* where nobody is */
};

#define UNAVAILABLE "", WEIR_REASON_NONE, WEIR_UNAVAILABLE
#define EXHAUSTED "", WEIR_REASON_NONE, WEIR_EXHAUSTED
#define FROM(hosts, reason) hosts, WEIR_REASON_##reason, WEIR_OK

static const struct row table[] = {
	/* the seventeen */
	{READ, REPLICA, "PS", FROM("1", BALANCED)},
	{READ, REPLICA, "RS", FROM("01", BALANCED)},
	{READ, PREFER_REPLICA, "PS", FROM("1", BALANCED)},
	{READ, PREFER_REPLICA, "RS", FROM("01", BALANCED)},
	{READ, PREFER_REPLICA, "PP", UNAVAILABLE},
	{READ, PRIMARY, "SP", FROM("1", PRIMARY_WANTED)},
	{READ, PRIMARY, "SR", FROM("1", PRIMARY_WANTED)},
	{READ, PREFER_PRIMARY, "SP", FROM("1", PRIMARY_WANTED)},
	{READ, PREFER_PRIMARY, "SR", FROM("1", PRIMARY_WANTED)},
	{READ, PREFER_PRIMARY, "SS", FROM("01", NO_PRIMARY)},
	{READ, ANY, "SP", FROM("01", BALANCED)},
	{READ, ANY, "PS", FROM("01", BALANCED)},
	{READ, ANY, "RS", FROM("01", BALANCED)},
	{WRITE, DEFAULT, "SP", FROM("1", WRITE)},
	{WRITE, DEFAULT, "OP", FROM("1", WRITE)},
	{READ, DEFAULT, "PS", FROM("1", BALANCED)},
	{READ, DEFAULT, "RS", FROM("01", BALANCED)},
	/* nobody is what was asked for */
	{READ, REPLICA, "PP", UNAVAILABLE},
	{READ, REPLICA, "PO", UNAVAILABLE},
	{READ, REPLICA, "P", UNAVAILABLE},
	{READ, PRIMARY, "SS", UNAVAILABLE},
	{READ, PRIMARY, "PP", UNAVAILABLE},
	{WRITE, DEFAULT, "RS", UNAVAILABLE},
	{WRITE, DEFAULT, "RP", UNAVAILABLE},
	{WRITE, PRIMARY, "SS", UNAVAILABLE},
	/* one is down */
	{READ, REPLICA, "PD", UNAVAILABLE},
	{READ, REPLICA, "PDS", FROM("2", BALANCED)},
	{READ, PREFER_REPLICA, "PD", FROM("0", NO_REPLICA)},
	{READ, DEFAULT, "PD", FROM("0", NO_REPLICA)},
	{READ, PRIMARY, "DS", UNAVAILABLE},
	{READ, PREFER_PRIMARY, "DS", FROM("1", NO_PRIMARY)},
	{READ, PREFER_PRIMARY, "PD", FROM("0", PRIMARY_WANTED)},
	{READ, ANY, "DS", FROM("1", BALANCED)},
	{READ, ANY, "PD", FROM("0", BALANCED)},
	{READ, DEFAULT, "DS", FROM("1", BALANCED)},
	{WRITE, PREFER_PRIMARY, "PD", FROM("0", WRITE)},
	{WRITE, DEFAULT, "DS", UNAVAILABLE},
	/* one is busy: another is taken where it may be, and nobody is banned */
	{READ, PREFER_PRIMARY, "pS", FROM("1", SPILLED)},
	{READ, PREFER_PRIMARY, "ps", EXHAUSTED},
	{READ, PRIMARY, "pS", EXHAUSTED},
	{READ, PREFER_REPLICA, "Ps", EXHAUSTED},
	{READ, DEFAULT, "Ps", EXHAUSTED},
	{READ, REPLICA, "PsS", FROM("2", SPILLED)},
	{READ, DEFAULT, "PsS", FROM("2", SPILLED)},
	{READ, ANY, "pS", FROM("1", SPILLED)},
	{READ, ANY, "ps", EXHAUSTED},
	{WRITE, DEFAULT, "pS", EXHAUSTED},
};

static void put_state(int i, char state)
{
	struct fake_host *h = &cluster.host[i];

	wi_store_rlx(&h->server.in_recovery, state == 'S' || state == 's');
	wi_store_rlx(&h->read_only, state == 'R' || state == 'O');
	wi_store_rlx(&h->server.timeline, state == 'O' ? 1 : 2);
	if (state == 'D')
		wi_store_rlx(&h->server.connect_fault, WI_FAULT_REFUSED);
}

static size_t n_idle(const char *hosts)
{
	weir_host_stats stats[FAKE_HOSTS];
	size_t n = 0;

	assert_int_equal(weir_router_stats_get(router, stats, FAKE_HOSTS), strlen(hosts));
	for (size_t i = 0; hosts[i]; i++)
		n += hosts[i] == 'D' ||
		     (stats[i].pool.idle > 0 && !stats[i].pool.kept && !stats[i].pool.doubted);
	return n;
}

static void open_with(const char *hosts, int64_t size)
{
	fake_router_begin((int)strlen(hosts));
	options.probe_interval_ms = 50;
	options.pool_min = options.pool_max = size;
	for (int i = 0; hosts[i]; i++)
		put_state(i, hosts[i]);
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &said), WEIR_OK);
	/* Twice: what was opened before anybody knew the roles has been seen to by then. */
	for (int times = 0; times < 3; times += n_idle(hosts) == strlen(hosts))
		assert_int_equal(weir_router_probe(router, 20000), WEIR_OK);
}

/* The one connection of each host that is to be busy. */
static void hold(const char *hosts, weir_conn **held)
{
	weir_request any = WEIR_REQUEST(.intent = WEIR_READ, .target = WEIR_TARGET_ANY);
	weir_conn *others[FAKE_HOSTS] = {NULL};

	for (size_t i = 0; hosts[i]; i++) {
		weir_conn *c = NULL;
		int host;

		if (weir_checkout_with(router, &any, &c, &said) != WEIR_OK)
			break; /* who is down has none */
		host = fake_host_of(c);
		*(hosts[host] >= 'a' ? &held[host] : &others[host]) = c;
		any.timeout_ms = WEIR_NO_WAIT;
	}
	for (int i = 0; i < FAKE_HOSTS; i++)
		weir_checkin(&others[i]);
}

static bool has_busy(const char *hosts)
{
	return strpbrk(hosts, "ps") != NULL;
}

static uint64_t given[WEIR_REASONS]; /* how often a checkout gave this reason */

/* How often the statistics have each reason. */
static void read_chosen(uint64_t chosen[WEIR_REASONS])
{
	weir_host_stats s[FAKE_HOSTS];
	size_t n = weir_router_stats_get(router, s, FAKE_HOSTS);

	memset(chosen, 0, WEIR_REASONS * sizeof(*chosen));
	for (size_t i = 0; i < n; i++) {
		uint64_t sum = 0;

		for (int why = 0; why < WEIR_REASONS; why++) {
			chosen[why] += s[i].chosen[why];
			sum += s[i].chosen[why];
		}
		assert_int_equal(sum, s[i].reads + s[i].writes);
	}
}

/* By whom, and why, in words: so that a row that fails tells all of it. */
static void ask(const struct row *row, char *answer, size_t room)
{
	const weir_request q = WEIR_REQUEST(.intent = row->intent, .target = row->target,
	                                    .timeout_ms = WEIR_NO_WAIT);
	weir_conn *c = NULL;
	weir_conn_info info = {.reason = WEIR_REASON_NONE};
	weir_status st = weir_checkout_with(router, &q, &c, &said);
	int host = -1;

	if (st == WEIR_OK) {
		assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
		assert_int_equal(info.fallback, weir_reason_is_fallback(info.reason));
		host = fake_host_of(c);
		given[info.reason]++;
	}
	weir_checkin(&c);
	snprintf(answer, room, "%s, %s, %s", weir_status_name(st),
	         host < 0                                     ? "nobody"
	         : strchr(row->served_by, (char)('0' + host)) ? "a right one"
	                                                      : "a wrong one",
	         weir_reason_text(info.reason));
}

static void expect(const struct row *row, const char *answer)
{
	char right[200], spilled[200];
	const char *by = row->served_by[0] ? "a right one" : "nobody";

	snprintf(right, sizeof(right), "%s, %s, %s", weir_status_name(row->status), by,
	         weir_reason_text(row->reason));
	/* The idle one of two may also be the one that was drawn. */
	snprintf(spilled, sizeof(spilled), "%s, %s, %s", weir_status_name(row->status), by,
	         weir_reason_text(WEIR_REASON_BALANCED));
	if (row->reason == WEIR_REASON_SPILLED && strcmp(answer, spilled) == 0)
		return;
	if (strcmp(answer, right) != 0)
		print_error("intent %d, target %d, hosts %s:\n", row->intent, row->target,
		            row->hosts);
	assert_string_equal(answer, right);
}

static void run(const struct row *row)
{
	weir_conn *held[FAKE_HOSTS] = {NULL};
	uint64_t before[WEIR_REASONS], after[WEIR_REASONS];
	char answer[200];

	open_with(row->hosts, 1);
	if (has_busy(row->hosts))
		hold(row->hosts, held);
	read_chosen(before);
	memset(given, 0, sizeof(given));
	for (int i = 0; i < 20; i++) {
		ask(row, answer, sizeof(answer));
		expect(row, answer);
	}
	read_chosen(after);
	for (int why = 0; why < WEIR_REASONS; why++)
		assert_int_equal(after[why] - before[why], given[why]);
	for (int i = 0; i < FAKE_HOSTS; i++)
		weir_checkin(&held[i]);
}

static void every_target_finds_its_host(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (i > 0)
			fake_router_end(NULL);
		run(&table[i]);
	}
}

static bool is_even(const int seen[3])
{
	for (int i = 0; i < 3; i++)
		if (seen[i] < 1600 || seen[i] > 2400)
			return false;
	return true;
}

/*
 * Of all that are eligible each has its share, and no more. Where a thread stood still with a
 * connection out, its host looks slow: then a new router is asked.
 */
static void any_is_balanced_over_all(void **state)
{
	const weir_request any = WEIR_REQUEST(.intent = WEIR_READ, .target = WEIR_TARGET_ANY);

	(void)state;
	for (int tries = 10;; tries--) {
		int seen[3] = {0};

		open_with("PSS", 4);
		for (int i = 0; i < 6000; i++)
			seen[visit_with(&any)]++;
		if (is_even(seen))
			return;
		assert_true(tries > 1);
		fake_router_end(NULL);
	}
}

/* One in the middle of four is not fresh enough: its neighbour gets no more than the other. */
static void who_is_left_out_leaves_equal_shares(void **state)
{
	static const weir_balance fair[] = {WEIR_BALANCE_ROUND_ROBIN, WEIR_BALANCE_RANDOM};
	const weir_request fresh = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 60000);

	(void)state;
	for (size_t i = 0; i < sizeof(fair) / sizeof(fair[0]); i++) {
		int seen[FAKE_HOSTS] = {0};

		if (i)
			fake_router_end(NULL);
		fake_router_begin(4);
		options.balance = fair[i];
		options.probe_interval_ms = 50;
		open_router();
		for (int k = 1; k < 4; k++)
			while (role_of(k) != WEIR_ROLE_REPLICA || !stats_of(k).pool.idle)
				probe();                         /* the watchdog bounds it */
		wi_store_rlx(&cluster.host[2].basic_only, true); /* it does not say where it is */
		probe();
		for (int k = 0; k < 6000; k++)
			seen[visit_with(&fresh)]++;
		assert_int_equal(seen[0] + seen[2], 0);
		assert_in_range(seen[1], 2700, 3300);
	}
}

static void what_contradicts_itself_is_refused(void **state)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_WRITE);
	weir_conn *c = NULL;

	(void)state;
	open_with("PS", 1);
	for (int target = REPLICA; target <= ANY; target++) {
		q.target = (weir_target)target;
		assert_int_equal(weir_checkout_with(router, &q, &c, &said), WEIR_INVALID);
		assert_non_null(strstr(said.text, "a write is for the primary"));
	}
	q = (weir_request)WEIR_REQUEST(.intent = WEIR_READ, .target = REPLICA,
	                               .fallback = WEIR_FALLBACK_PRIMARY);
	assert_int_equal(weir_checkout_with(router, &q, &c, &said), WEIR_INVALID);
	q = (weir_request)WEIR_REQUEST(.intent = WEIR_READ, .target = (weir_target)6);
	assert_int_equal(weir_checkout_with(router, &q, &c, &said), WEIR_INVALID);
	assert_non_null(strstr(said.text, "unknown target 6"));
}

#define TEST(name) cmocka_unit_test_teardown(name, fake_router_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_target_finds_its_host),
		TEST(any_is_balanced_over_all),
		TEST(who_is_left_out_leaves_equal_shares),
		TEST(what_contradicts_itself_is_refused),
	};

	test_watchdog(110, "the simulation of targets");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

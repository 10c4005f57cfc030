/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Epochs over fake servers whose sessions live on through a change of role, which a PostgreSQL of
 * its own never does: so every refused write can be counted. Nobody probes here but when told, or
 * when trouble is met.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "route/router.h"
#include "support/fake_router.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define SIZE 6

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	options.probe_interval_ms = 3600000;
	options.pool_min = options.pool_max = SIZE;
	return 0;
}

/* All connections of host i are idle, and were asked who answers there. */
static bool is_calm(int i)
{
	weir_pool_stats s = stats_of(i).pool;

	return s.idle == SIZE && !s.kept && !s.closing && !s.doubted;
}

static void await_calm(int i)
{
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;

	for (int times = 0; times < 2 && wi_now_ns() < until_ns; probe())
		times = is_calm(i) ? times + 1 : 0;
	assert_true(is_calm(i));
}

static void open_calm(void)
{
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &said), WEIR_OK);
	probe();
	for (int i = 0; i < 3; i++)
		await_calm(i);
}

static weir_status run(weir_conn *c, const char *sql)
{
	return weir_exec(c, sql, PATIENCE_MS, &said);
}

/* A write, given back: whether the server refused it for being one. */
static bool was_refused(weir_conn **c)
{
	weir_status st = run(*c, "INSERT");
	bool refused = st == WEIR_QUERY && strcmp(said.sqlstate, "25006") == 0;

	assert_true(st == WEIR_OK || refused);
	weir_checkin(c);
	return refused;
}

/* Host 0 becomes a standby of host 1, and its sessions live on. */
static void demote(void)
{
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	fake_cluster_promote(&cluster, 1);
}

/* ---- a refused write ---- */

static void each_that_was_out_is_refused_once(void **state)
{
	weir_conn *out[SIZE / 2];

	(void)state;
	open_calm();
	for (int i = 0; i < SIZE / 2; i++)
		out[i] = take(WEIR_WRITE);
	demote();
	for (int i = 0; i < SIZE / 2; i++)
		assert_true(was_refused(&out[i]));
	/* From the first one's return on nobody else is: idle ones are asked first, and go. */
	for (int i = 0; i < 50; i++) {
		weir_conn *c = take(WEIR_WRITE);

		assert_int_equal(fake_host_of(c), 1);
		assert_false(was_refused(&c));
	}
	assert_int_equal(stats_of(0).role, WEIR_ROLE_REPLICA);
	while (stats_of(0).pool.closed[WEIR_CLOSE_WRONG_ROLE] < SIZE)
		probe(); /* the watchdog bounds it */
	assert_int_equal(stats_of(0).pool.closed[WEIR_CLOSE_WRONG_ROLE], SIZE);
	assert_int_equal(stats_of(1).pool.closed[WEIR_CLOSE_WRONG_ROLE], 0);
}

/* Also where nobody was refused: what was opened for writing is not kept for reads. */
static void what_was_opened_for_writing_goes_with_the_role(void **state)
{
	weir_conn *c;

	(void)state;
	open_calm();
	c = take(WEIR_WRITE);
	demote();
	while (stats_of(0).role != WEIR_ROLE_REPLICA)
		probe();
	weir_checkin(&c);
	while (stats_of(0).pool.closed[WEIR_CLOSE_WRONG_ROLE] < SIZE)
		probe(); /* the watchdog bounds it */
}

/* By a weir_discard, too: the holder throws away what the next one must not meet. */
static void a_discard_says_as_much(void **state)
{
	weir_conn *c;

	(void)state;
	open_calm();
	c = take(WEIR_WRITE);
	demote();
	assert_int_equal(run(c, "INSERT"), WEIR_QUERY);
	weir_discard(&c);
	c = take(WEIR_WRITE);
	assert_false(was_refused(&c));
}

static void while_the_epoch_stands_nobody_is_asked(void **state)
{
	uint64_t before;

	(void)state;
	open_calm();
	before = wi_load_rlx(&cluster.host[0].server.queries);
	for (int i = 0; i < 1000; i++) {
		weir_conn *c = take(WEIR_WRITE);

		weir_checkin(&c);
	}
	assert_int_equal(wi_load_rlx(&cluster.host[0].server.queries), before);
}

/* Who asks for READ ONLY and writes is refused rightly. */
static void a_refusal_that_was_asked_for_says_nothing(void **state)
{
	uint64_t probes, verified;
	weir_conn *c;

	(void)state;
	open_calm();
	probes = wi_load_rlx(&cluster.host[0].probes);
	verified = stats_of(0).pool.verified;
	for (int i = 0; i < 20; i++) {
		c = take(WEIR_WRITE);
		assert_int_equal(run(c, "BEGIN READ ONLY"), WEIR_OK);
		assert_true(was_refused(&c));
	}
	assert_int_equal(wi_load_rlx(&cluster.host[0].probes), probes);
	await_calm(0);
	assert_int_equal(stats_of(0).pool.verified, verified);
	assert_int_equal(stats_of(0).pool.closed[WEIR_CLOSE_WRONG_ROLE], 0);
}

/* Servers before 14 do not say what they are: the one that is accused is asked, and stays. */
static void a_false_alarm_of_an_old_server_costs_a_question(void **state)
{
	uint64_t epoch;
	weir_conn *c;

	(void)state;
	wi_store_rlx(&cluster.host[0].server.reports_nothing, true);
	open_calm();
	epoch = stats_of(0).pool.epoch;
	for (int i = 0; i < 20; i++) {
		c = take(WEIR_WRITE);
		assert_int_equal(run(c, "BEGIN READ ONLY"), WEIR_OK);
		assert_true(was_refused(&c));
		await_calm(0);
	}
	assert_in_range(stats_of(0).pool.epoch, epoch + 1, epoch + 10);
	assert_int_equal(stats_of(0).pool.closed[WEIR_CLOSE_WRONG_ROLE], 0);
	/* And a true one is heard. */
	c = take(WEIR_WRITE);
	demote();
	assert_true(was_refused(&c));
	await_calm(1);
	c = take(WEIR_WRITE);
	assert_false(was_refused(&c));
}

/* ---- other events ---- */

static void a_lost_connection_has_the_others_asked(void **state)
{
	uint64_t verified;

	(void)state;
	open_calm();
	verified = stats_of(0).pool.verified;
	assert_int_equal(wi_fake_kill_one(&cluster.host[0].server, 2) ||
	                         wi_fake_kill_one(&cluster.host[0].server, 3),
	                 true);
	await_calm(0);
	assert_true(stats_of(0).pool.verified >= verified + SIZE - 1);
}

/* The server behind the address is another, and what is open still leads to the first. */
static void a_primary_that_was_replaced_keeps_no_writer(void **state)
{
	weir_conn *c;

	(void)state;
	open_calm();
	c = take(WEIR_WRITE);
	/* The probe finds a server that was started later; the sessions go on at the old one. */
	wi_store_rlx(&cluster.host[0].started_by_probe, UINT64_C(1800000000000000));
	probe();
	weir_checkin(&c);
	for (int i = 0; i < 1000 && stats_of(0).pool.closed[WEIR_CLOSE_WRONG_ROLE] < SIZE; i++)
		probe();
	assert_true(stats_of(0).pool.closed[WEIR_CLOSE_WRONG_ROLE] >= SIZE);
}

/* New connections lead to another server than the probe's, which might ask the old one for ever. */
static void where_connections_lead_the_probe_goes(void **state)
{
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC;
	weir_conn *c;

	(void)state;
	open_calm();
	assert_int_equal(wi_load_rlx(&wi_host_at(router, 0)->renewed_ns), 0);
	wi_store_rlx(&cluster.host[0].started_by_probe, UINT64_C(1800000000000000));
	probe();
	while (!wi_load_rlx(&wi_host_at(router, 0)->renewed_ns) && wi_now_ns() < until_ns)
		sched_yield();
	assert_int_not_equal(wi_load_rlx(&wi_host_at(router, 0)->renewed_ns), 0);
	wi_store_rlx(&cluster.host[0].started_by_probe, 0);
	c = take(WEIR_WRITE);
	assert_int_equal(fake_host_of(c), 0);
	weir_checkin(&c);
}

/*
 * A name of several servers: what was opened before the first probe was over leads to a standby,
 * and the probe to the primary.
 */
static void what_was_opened_before_anything_was_known_is_asked(void **state)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_WRITE, .timeout_ms = 300);
	weir_conn *c = NULL;

	(void)state;
	wi_store_rlx(&cluster.host[0].leads_elsewhere, true);
	wi_store_rlx(&cluster.host[0].probe_fails, true);
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &said), WEIR_OK);
	while (stats_of(0).pool.idle < SIZE)
		sched_yield();
	wi_store_rlx(&cluster.host[0].probe_fails, false);
	probe();
	assert_int_equal(stats_of(0).role, WEIR_ROLE_PRIMARY);
	assert_int_not_equal(weir_checkout_with(router, &q, &c, &said), WEIR_OK);
	wi_store_rlx(&cluster.host[0].leads_elsewhere, false);
	q.timeout_ms = PATIENCE_MS;
	if (weir_checkout_with(router, &q, &c, &said) != WEIR_OK)
		fail_msg("%s", said.text);
	weir_checkin(&c);
}

/* ---- promotion ---- */

static void a_promoted_hosts_connections_stay(void **state)
{
	uint64_t opened;

	(void)state;
	open_calm();
	opened = stats_of(1).pool.opened;
	fake_host_down(&cluster, 0, true);
	fake_cluster_promote(&cluster, 1);
	probe();
	for (int i = 0; i < 50; i++) {
		weir_conn *c = take(WEIR_WRITE);

		assert_int_equal(fake_host_of(c), 1);
		assert_false(was_refused(&c));
	}
	await_calm(1);
	assert_int_equal(stats_of(1).pool.opened, opened);
	assert_int_equal(stats_of(1).pool.closed[WEIR_CLOSE_WRONG_ROLE], 0);
}

static void promoted_and_demoted_again(void **state)
{
	(void)state;
	open_calm();
	for (int round = 0; round < 10; round++) {
		int to = 1 - round % 2;
		weir_conn *held = take(WEIR_WRITE), *c;

		wi_store_rlx(&cluster.host[1 - to].server.in_recovery, true);
		fake_cluster_promote(&cluster, to);
		assert_true(was_refused(&held));
		c = take(WEIR_WRITE);
		assert_int_equal(fake_host_of(c), to);
		assert_false(was_refused(&c));
	}
}

/* ---- reads are read-only ---- */

/* Questions of host 0's pool; the probe's are not its doing. */
static uint64_t asked_by_the_pool(void)
{
	return wi_load_rlx(&cluster.host[0].server.queries) - wi_load_rlx(&cluster.host[0].probes);
}

static void reads_are_read_only_at_the_primary_too(void **state)
{
	uint64_t asked;
	weir_conn *c;

	(void)state;
	open_calm();
	for (int i = 1; i < 3; i++)
		fake_host_down(&cluster, i, true);
	while (stats_of(1).role != WEIR_ROLE_UNKNOWN || stats_of(2).role != WEIR_ROLE_UNKNOWN)
		probe();
	c = take(WEIR_READ);
	assert_int_equal(fake_host_of(c), 0);
	assert_true(was_refused(&c));
	/* That was the caller's doing, and costs the next one nothing. */
	await_calm(0);
	c = take(WEIR_READ);
	weir_checkin(&c);
	asked = asked_by_the_pool();
	for (int i = 0; i < 100; i++) {
		c = take(WEIR_READ);
		weir_checkin(&c);
	}
	probe(); /* that one was under way, perhaps */
	assert_int_equal(asked_by_the_pool(), asked);
	for (int i = 0; i < 20; i++) {
		c = take(i % 2 ? WEIR_READ : WEIR_WRITE);
		assert_int_equal(was_refused(&c), i % 2);
	}
	assert_int_equal(stats_of(0).pool.closed[WEIR_CLOSE_WRONG_ROLE], 0);
}

static void who_reads_through_a_promotion_goes_on_reading(void **state)
{
	weir_conn *c;

	(void)state;
	open_calm();
	do
		c = take(WEIR_READ);
	while (fake_host_of(c) != 1 && (weir_checkin(&c), true));
	fake_host_down(&cluster, 0, true);
	fake_cluster_promote(&cluster, 1);
	while (stats_of(1).role != WEIR_ROLE_PRIMARY)
		probe();
	assert_true(was_refused(&c));
	for (int i = 0; i < 20; i++) {
		c = take(WEIR_WRITE);
		assert_int_equal(fake_host_of(c), 1);
		assert_false(was_refused(&c));
	}
}

/* ---- races ---- */

/* While the first question is on its way; false: it was answered before the epoch moved on. */
static bool move_while_one_is_asked(uint64_t *verified)
{
	struct weir_pool *pool = wi_host_at(router, 0)->pool;

	*verified = stats_of(0).pool.verified;
	wi_epoch_move(pool);
	while (!stats_of(0).pool.kept && stats_of(0).pool.verified == *verified)
		continue;
	wi_epoch_move(pool);
	wi_epoch_move(pool);
	return stats_of(0).pool.verified == *verified;
}

/* The epoch moves while a question is on its way: it is put again. */
static void a_question_of_an_older_epoch_does_not_count(void **state)
{
	uint64_t verified;

	(void)state;
	open_calm();
	wi_store_rlx(&cluster.host[0].server.answer_ns, 20 * WI_MS);
	while (!move_while_one_is_asked(&verified))
		await_calm(0); /* this thread stood still: once more */
	await_calm(0);
	assert_in_range(stats_of(0).pool.verified, verified + 2 * SIZE, verified + 3 * SIZE);
	wi_store_rlx(&cluster.host[0].server.answer_ns, 0);
}

static _Atomic uint64_t writes;

static struct test_stop between;

static void *give_refused_back(void *arg)
{
	test_stop_arm(&between);
	weir_checkin(arg);
	test_stop_arm(NULL);
	return NULL;
}

/*
 * Who moves the epoch is stopped before he has noted it on any: the idle ones are asked in the end.
 */
static void an_epoch_moves_in_two_steps(void **state)
{
	pthread_t thread;
	weir_conn *c;

	(void)state;
	wi_store_rlx(&cluster.host[0].server.reports_nothing, true);
	open_calm();
	c = take(WEIR_WRITE);
	assert_int_equal(run(c, "BEGIN READ ONLY"), WEIR_OK);
	assert_int_equal(run(c, "INSERT"), WEIR_QUERY);
	between = (struct test_stop){.point = "epoch.move.moved", .visit = 1};
	assert_int_equal(pthread_create(&thread, NULL, give_refused_back, &c), 0);
	test_stop_await(&between);
	for (int i = 0; i < 3; i++)
		probe(); /* the keeper's turns go on */
	test_stop_release(&between);
	pthread_join(thread, NULL);
	await_calm(0);
}

/* Threads write while the primary moves to and fro; each connection meets one refusal at most. */
static void write_on(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		weir_conn *c = NULL;
		weir_error e;

		if (weir_checkout(router, WEIR_WRITE, &c, &e) != WEIR_OK) {
			test_wrong(self, "%s: %s", weir_status_name(e.status), e.text);
			return;
		}
		self->count[0]++;
		wi_add_rlx(&writes, 1);
		if (weir_exec(c, "INSERT", PATIENCE_MS, &e) != WEIR_OK) {
			if (strcmp(e.sqlstate, "25006") != 0)
				test_wrong(self, "%s: %s", weir_status_name(e.status), e.text);
			self->count[1]++;
		}
		weir_checkin(&c);
	}
}

struct mover {
	_Atomic bool stop;
	int moves;
	pthread_t thread;
};

static void *move_primary(void *arg)
{
	struct mover *m = arg;

	for (int to = 1; !wi_load_rlx(&m->stop); to = 1 - to) {
		wi_store_rlx(&cluster.host[1 - to].server.in_recovery, true);
		fake_cluster_promote(&cluster, to);
		m->moves++;
		while (stats_of(to).role != WEIR_ROLE_PRIMARY && !wi_load_rlx(&m->stop))
			if (weir_router_probe(router, PATIENCE_MS) != WEIR_OK)
				break;
		for (uint64_t enough = wi_load_rlx(&writes) + 50;
		     wi_load_rlx(&writes) < enough && !wi_load_rlx(&m->stop);)
			sched_yield();
	}
	return NULL;
}

static void a_storm_of_switchovers_refuses_few(void **state)
{
	struct test_thread reports[4];
	struct mover mover = {.moves = 0};
	uint64_t refused, done;

	(void)state;
	open_calm();
	test_yields(16);
	assert_int_equal(pthread_create(&mover.thread, NULL, move_primary, &mover), 0);
	test_threads_run(4, write_on, NULL, test_seconds(1.0), reports);
	wi_store_rlx(&mover.stop, true);
	pthread_join(mover.thread, NULL);
	test_yields(0);
	if (test_first_wrong(reports, 4))
		fail_msg("%s", test_first_wrong(reports, 4));
	done = test_sum(reports, 4, 0);
	refused = test_sum(reports, 4, 1);
	print_message("%d switchovers, %llu writes, %llu refused\n", mover.moves,
	              (unsigned long long)done, (unsigned long long)refused);
	/* Four threads have four connections out at most. */
	assert_true(refused <= 4 * (uint64_t)mover.moves);
	assert_true(done > refused);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		TEST(each_that_was_out_is_refused_once),
		TEST(what_was_opened_for_writing_goes_with_the_role),
		TEST(a_discard_says_as_much),
		TEST(while_the_epoch_stands_nobody_is_asked),
		TEST(a_refusal_that_was_asked_for_says_nothing),
		TEST(a_false_alarm_of_an_old_server_costs_a_question),
		TEST(a_lost_connection_has_the_others_asked),
		TEST(a_primary_that_was_replaced_keeps_no_writer),
		TEST(where_connections_lead_the_probe_goes),
		TEST(what_was_opened_before_anything_was_known_is_asked),
		TEST(a_promoted_hosts_connections_stay),
		TEST(promoted_and_demoted_again),
		TEST(reads_are_read_only_at_the_primary_too),
		TEST(who_reads_through_a_promotion_goes_on_reading),
		TEST(a_question_of_an_older_epoch_does_not_count),
		TEST(an_epoch_moves_in_two_steps),
		TEST(a_storm_of_switchovers_refuses_few),
	};

	test_watchdog(110, "the router's epochs");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

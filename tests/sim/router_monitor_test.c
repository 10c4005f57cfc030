/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the monitor makes of what hosts say of themselves and of each other: whom standbys follow,
 * paused and delayed ones, servers that say less, names that lead to several, hosts that flap. No
 * sleeps but where a clock has to pass.
 */
#include <pthread.h>
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
#include "support/shapes.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define PATIENCE_NS (60 * WI_SEC)

static _Atomic int changes_of[FAKE_HOSTS];
static char words[WEIR_EVENT_KINDS][512]; /* of its last telling; under the lock */
static pthread_mutex_t words_lock = PTHREAD_MUTEX_INITIALIZER;

static void note(const weir_event *event)
{
	pthread_mutex_lock(&words_lock);
	snprintf(words[event->kind], sizeof(words[0]), "%s: %s", event->host, event->text);
	pthread_mutex_unlock(&words_lock);
	for (int i = 0; i < FAKE_HOSTS && event->kind == WEIR_EVENT_ROLE_CHANGED; i++)
		if (event->host[strlen(event->host) - 1] == '0' + i)
			wi_add_seq(&changes_of[i], 1);
}

static bool was_told(weir_event_kind kind, const char *what)
{
	bool found;

	pthread_mutex_lock(&words_lock);
	found = strstr(words[kind], what) != NULL;
	pthread_mutex_unlock(&words_lock);
	return found;
}

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(4);
	options.probe_interval_ms = 20;
	wi_store_rel(&on_told, note);
	for (int i = 0; i < FAKE_HOSTS; i++)
		wi_store_seq(&changes_of[i], 0);
	return 0;
}

static void wait_until_told(weir_event_kind kind, int times)
{
	int64_t until_ns = wi_now_ns() + PATIENCE_NS;

	while (wi_load_seq(&told[kind]) < times && wi_now_ns() < until_ns)
		probe();
	assert_int_equal(wi_load_seq(&told[kind]), times);
}

static weir_status visit_within(int64_t timeout_ms, weir_intent intent, int64_t max_lag_ms)
{
	weir_request q = WEIR_REQUEST(.intent = intent, .timeout_ms = timeout_ms,
	                              .max_lag_ms = max_lag_ms, .fallback = WEIR_FALLBACK_FAIL);

	return try_visit(&q, NULL, NULL);
}

/* For what is refused: who is to be served may need longer, where connections are being asked. */
static weir_status try_briefly(weir_intent intent, int64_t max_lag_ms)
{
	return visit_within(30, intent, max_lag_ms);
}

static void read_with_a_limit(void)
{
	if (visit_within(20000, WEIR_READ, 60000) != WEIR_OK)
		fail_msg("%s", said.text);
}

static void follow(int standby, int whom)
{
	wi_store_rlx(&cluster.host[standby].follows, whom + 1);
}

/* ---- what a standby says of itself ---- */

static void a_standby_says_whom_it_follows(void **state)
{
	(void)state;
	follow(1, 0);
	follow(2, 1);
	wi_store_rlx(&cluster.host[2].paused, true);
	wi_store_rlx(&cluster.host[3].delay_s, 300);
	open_router();
	assert_string_equal(stats_of(0).follows, "");
	assert_string_equal(stats_of(1).follows, "127.0.0.1:6000");
	assert_true(stats_of(1).streaming && !stats_of(1).replay_paused);
	assert_string_equal(stats_of(2).follows, "127.0.0.1:6001");
	assert_true(stats_of(2).replay_paused);
	assert_int_equal(stats_of(3).apply_delay_ms, 300000);
	assert_string_equal(stats_of(3).follows, "");
	assert_int_equal(stats_of(1).apply_delay_ms, 0);
	wi_store_rlx(&cluster.host[1].paused, true);
	wi_store_rlx(&cluster.host[3].delay_s, 5);
	probe();
	assert_true(stats_of(1).replay_paused);
	assert_int_equal(stats_of(3).apply_delay_ms, 5000);
	wi_store_rlx(&cluster.host[2].paused, false);
	follow(2, 0);
	probe();
	assert_string_equal(stats_of(2).follows, "127.0.0.1:6000");
	assert_false(stats_of(2).replay_paused);
	/* A primary's own settings for the time when it was a standby mean nothing. */
	wi_store_rlx(&cluster.host[0].delay_s, 7);
	probe();
	assert_int_equal(stats_of(0).apply_delay_ms, 0);
}

/* Whoever waits in vain for a primary is told of every host. */
static void the_error_lists_every_host(void **state)
{
	(void)state;
	follow(1, 0);
	wi_store_rlx(&cluster.host[1].paused, true);
	wi_store_rlx(&cluster.host[2].delay_s, 60);
	open_router();
	fake_host_down(&cluster, 0, true);
	wi_store_rlx(&cluster.host[3].server.system, 42);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	wait_for_role(3, WEIR_ROLE_UNKNOWN);
	assert_int_equal(try_briefly(WEIR_WRITE, 0), WEIR_UNAVAILABLE);
	assert_non_null(strstr(said.text, "no primary is known"));
	assert_non_null(strstr(said.text, "\n127.0.0.1:6000: unknown: connection refused"));
	assert_non_null(strstr(said.text, "\n127.0.0.1:6001: replica, lag "));
	assert_non_null(strstr(said.text, ", follows 127.0.0.1:6000, replay is paused"));
	assert_non_null(strstr(said.text, "\n127.0.0.1:6002: replica, lag "));
	assert_non_null(strstr(said.text, ", delayed by 60000 ms on purpose"));
	assert_non_null(strstr(said.text, "\n127.0.0.1:6003: unknown: belongs to another"));
}

/* ---- servers that say less ---- */

static void an_older_server_is_asked_less(void **state)
{
	uint64_t refused;
	int64_t opened_ns = wi_now_ns();

	(void)state;
	for (int i = 0; i < 4; i++)
		wi_store_rlx(&cluster.host[i].plain_only, true);
	follow(1, 0);
	open_router();
	assert_int_equal(role_of(0), WEIR_ROLE_PRIMARY);
	assert_int_equal(stats_of(1).timeline, 1);
	assert_true(stats_of(1).lsn != 0);
	assert_string_equal(stats_of(1).follows, "");
	read_with_a_limit();
	/* It is not asked in vain again and again: once, and after ten seconds once more. */
	for (int i = 0; i < 5; i++)
		probe();
	refused = wi_load_rlx(&cluster.host[1].refusals);
	assert_in_range(refused, 1, 1 + (uint64_t)((wi_now_ns() - opened_ns) / (10 * WI_SEC)));
}

/* A service without these functions: roles are known, and nothing is promised of positions. */
static void a_reticent_server_serves_what_needs_no_position(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		wi_store_rlx(&cluster.host[i].basic_only, true);
	open_router();
	assert_int_equal(visit(WEIR_WRITE), 0);
	assert_int_not_equal(visit(WEIR_READ), 0);
	assert_int_equal(try_briefly(WEIR_READ, 60000), WEIR_UNAVAILABLE);
	assert_int_equal(stats_of(0).timeline, 0);
	assert_int_equal(stats_of(0).system, 0);
	/* Two of them cannot be told apart: nobody writes, whoever is followed. */
	follow(2, 1);
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	probe();
	probe();
	probe();
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	assert_int_equal(role_of(1), WEIR_ROLE_UNKNOWN);
	assert_int_equal(try_briefly(WEIR_WRITE, 0), WEIR_UNAVAILABLE);
}

/* ---- names that lead to several servers ---- */

static void reconnect(int i)
{
	uint64_t serial = wi_fake_serial(router->place[i]->probe.link);

	assert_true(wi_fake_kill_one(&cluster.host[i].server, serial));
	probe();
	probe();
}

static void a_name_of_several_servers_promises_nothing(void **state)
{
	uint64_t started = wi_load_rlx(&cluster.host[3].started);

	(void)state;
	open_router();
	assert_true(stats_of(3).lsn != 0);
	/* a restart, and another one: a server is always a new one then */
	for (int i = 1; i <= 3; i++) {
		wi_store_rlx(&cluster.host[3].started, started + (uint64_t)i * 100);
		reconnect(3);
		assert_false(stats_of(3).several);
	}
	wi_store_rlx(&cluster.host[3].started, started + 100);
	reconnect(3);
	assert_true(stats_of(3).several);
	assert_int_equal(role_of(3), WEIR_ROLE_REPLICA);
	assert_int_equal(stats_of(3).lsn, 0);
	assert_int_equal(stats_of(3).lag_ms, -1);
	for (int i = 1; i < 3; i++)
		fake_host_down(&cluster, i, true);
	wait_for_role(1, WEIR_ROLE_UNKNOWN);
	wait_for_role(2, WEIR_ROLE_UNKNOWN);
	assert_int_equal(visit(WEIR_READ), 3);
	assert_int_equal(try_briefly(WEIR_READ, 60000), WEIR_UNAVAILABLE);
	assert_non_null(strstr(said.text, "its name leads to several servers"));
}

/* ---- contradictions ---- */

static void the_standbys_decide_between_two_primaries(void **state)
{
	(void)state;
	for (int i = 1; i < 4; i++)
		follow(i, 0);
	open_router();
	assert_int_equal(visit(WEIR_WRITE), 0);
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	wait_for_role(1, WEIR_ROLE_UNKNOWN);
	wait_for_role(0, WEIR_ROLE_PRIMARY);
	assert_non_null(strstr(stats_of(1).last_error, "the standbys follow 127.0.0.1:6000"));
	wait_until_told(WEIR_EVENT_SPLIT_BRAIN, 1);
	assert_true(was_told(WEIR_EVENT_SPLIT_BRAIN, "the primary is 127.0.0.1:6000: "));
	for (int i = 0; i < 50; i++)
		assert_int_equal(visit(WEIR_WRITE), 0);
	/* Which history a standby has is anybody's guess all the same. */
	assert_int_equal(try_briefly(WEIR_READ, 60000), WEIR_UNAVAILABLE);

	/* One of them goes over to the other: nobody is. */
	follow(2, 1);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	assert_int_equal(try_briefly(WEIR_WRITE, 0), WEIR_UNAVAILABLE);
	wait_until_told(WEIR_EVENT_SPLIT_BRAIN, 2);
	assert_true(was_told(WEIR_EVENT_SPLIT_BRAIN, "no primary: "));
	/* And then the last: it has another primary. */
	follow(3, 1);
	wait_for_role(1, WEIR_ROLE_PRIMARY);
	assert_int_equal(visit(WEIR_WRITE), 1);
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	follow(0, 1);
	wait_for_role(0, WEIR_ROLE_REPLICA);
	read_with_a_limit();
}

/* What the first answers would say is not told: whose votes decide may take longer to answer. */
static void nothing_is_told_before_the_standbys_have_voted(void **state)
{
	(void)state;
	for (int i = 1; i < 4; i++)
		follow(i, 0);
	/* However late an answer is: one that does not come is no vote that is waited for. */
	options.probe_interval_ms = options.connect_timeout_ms = PATIENCE_MS;
	open_router();
	for (int i = 2; i < 4; i++)
		wi_store_rlx(&cluster.host[i].server.answer_ns, 100 * WI_MS);
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	wait_until_told(WEIR_EVENT_SPLIT_BRAIN, 1);
	assert_true(was_told(WEIR_EVENT_SPLIT_BRAIN, "the primary is 127.0.0.1:6000: "));
}

/* A receiver that streams no more, or an older timeline, is no vote. */
static void an_old_receiver_has_no_vote(void **state)
{
	(void)state;
	follow(2, 0);
	follow(3, 0);
	open_router();
	fake_cluster_promote(&cluster, 0); /* all on timeline 2 */
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	for (int i = 2; i < 4; i++)
		wi_store_rlx(&cluster.host[i].streams_on, 1);
	for (int i = 0; i < 5; i++)
		probe();
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	assert_int_equal(role_of(1), WEIR_ROLE_UNKNOWN);
	for (int i = 2; i < 4; i++)
		wi_store_rlx(&cluster.host[i].streams_on, 2);
	wait_for_role(0, WEIR_ROLE_PRIMARY);
}

static void who_was_left_behind_is_told_once(void **state)
{
	(void)state;
	open_router();
	fake_cluster_promote(&cluster, 1);
	wait_for_role(1, WEIR_ROLE_PRIMARY);
	wait_until_told(WEIR_EVENT_FENCED, 1);
	assert_true(was_told(WEIR_EVENT_FENCED, "127.0.0.1:6000: gets no write: "));
	for (int i = 0; i < 5; i++)
		probe();
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_FENCED]), 1);
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_SPLIT_BRAIN]), 0);
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	wait_for_role(0, WEIR_ROLE_REPLICA);
	wi_store_rlx(&cluster.host[0].server.in_recovery, false);
	wi_store_rlx(&cluster.host[0].server.timeline, 1);
	wait_until_told(WEIR_EVENT_FENCED, 2);
}

/* ---- the pool and the probe ---- */

/* All connections are out, and somebody waits: what became of the host is seen all the same. */
static void an_exhausted_pool_hides_nothing(void **state)
{
	weir_conn *held[2] = {NULL};
	int64_t begun_ns;

	(void)state;
	options.pool_min = options.pool_max = 2;
	open_router();
	for (int i = 0; i < 2; i++)
		assert_int_equal(weir_checkout(router, WEIR_WRITE, &held[i], &said), WEIR_OK);
	assert_int_not_equal(try_briefly(WEIR_WRITE, 0), WEIR_OK);
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	fake_cluster_promote(&cluster, 2);
	begun_ns = wi_now_ns();
	wait_for_role(2, WEIR_ROLE_PRIMARY);
	assert_true(wi_now_ns() - begun_ns < PATIENCE_NS / 2);
	assert_int_equal(visit(WEIR_WRITE), 2);
	for (int i = 0; i < 2; i++)
		weir_checkin(&held[i]);
}

static void *wait_for_a_primary(void *arg)
{
	weir_conn *c = NULL;

	if (weir_checkout(router, WEIR_WRITE, &c, NULL) != WEIR_OK)
		return NULL;
	weir_checkin(&c);
	return arg;
}

/* Forty threads wait for a primary: the hosts are asked as often as for one. */
static void many_waiters_have_one_monitor(void **state)
{
	pthread_t threads[40];
	uint64_t probes, connects;
	int64_t took_ms, begun_ns;
	void *ok;

	(void)state;
	options.pool_min = 0;
	options.probe_interval_ms = 1000;
	open_router();
	fake_host_down(&cluster, 0, true);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	begun_ns = wi_now_ns(); /* before the counts, as what passes until then counts, too */
	probes = wi_load_rlx(&cluster.host[1].probes);
	connects = wi_load_rlx(&cluster.host[0].server.connects);
	for (int i = 0; i < 40; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_for_a_primary, &said), 0);
	while (wi_load_rlx(&router->gate.sleepers) < 40)
		test_nap(WI_MS);
	while (wi_load_rlx(&cluster.host[1].probes) < probes + 3)
		test_nap(WI_MS);
	probes = wi_load_rlx(&cluster.host[1].probes) - probes;
	connects = wi_load_rlx(&cluster.host[0].server.connects) - connects;
	took_ms = (wi_now_ns() - begun_ns) / WI_MS;
	fake_cluster_promote(&cluster, 1);
	for (int i = 0; i < 40; i++) {
		pthread_join(threads[i], &ok);
		assert_non_null(ok);
	}
	/* every 90 to 100 ms while there is no primary, and no faster for forty than for one */
	assert_true(probes <= (uint64_t)took_ms / 90 + 3);
	assert_true(connects <= (uint64_t)took_ms / 90 + 3);
}

/*
 * Nobody has failed, but nobody is the primary: sixty questions at a tenth of the period. At the
 * pace of after a change, which is the period here, they would take more than five seconds.
 */
static void without_a_primary_hosts_are_asked_faster(void **state)
{
	uint64_t probes;
	int64_t begun_ns;

	(void)state;
	options.probe_interval_ms = 100;
	open_router();
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	wait_for_role(0, WEIR_ROLE_REPLICA);
	begun_ns = wi_now_ns();
	probes = wi_load_rlx(&cluster.host[1].probes);
	while (wi_load_rlx(&cluster.host[1].probes) < probes + 60)
		test_nap(WI_MS);
	assert_true(wi_now_ns() - begun_ns < 60 * 90 * WI_MS);
}

/* ---- flapping ---- */

/* Two falls are enough to be held; the primary, too, but it goes at once each time. */
static void a_flapping_host_is_held(void **state)
{
	int64_t back_ns = 0;

	(void)state;
	options.hold_down_ms = 400;
	open_router();
	for (int fall = 1; fall <= 3; fall++) {
		fake_host_down(&cluster, 3, true);
		wait_for_role(3, WEIR_ROLE_UNKNOWN);
		back_ns = wi_now_ns();
		fake_host_down(&cluster, 3, false);
		wait_for_role(3, WEIR_ROLE_REPLICA);
		if (fall > 1)
			assert_true(wi_now_ns() - back_ns >= 400 * (fall - 1) * WI_MS);
	}
	/* its own state has changed twice a fall, once to begin with; nobody else's has */
	assert_int_equal(wi_load_seq(&changes_of[3]), 7);
	for (int i = 0; i < 3; i++)
		assert_int_equal(wi_load_seq(&changes_of[i]), 1);
}

static void a_held_host_says_so(void **state)
{
	(void)state;
	options.hold_down_ms = 3600000;
	open_router();
	for (int fall = 0; fall < 2; fall++) {
		fake_host_down(&cluster, 3, true);
		wait_for_role(3, WEIR_ROLE_UNKNOWN);
		fake_host_down(&cluster, 3, false);
		while (!stats_of(3).reachable)
			probe();
	}
	assert_int_equal(role_of(3), WEIR_ROLE_UNKNOWN);
	assert_in_range(stats_of(3).held_ms, 3500000, 3600000);
	assert_non_null(strstr(stats_of(3).last_error, "failed again and again"));
	for (int i = 0; i < 20; i++)
		assert_int_not_equal(visit(WEIR_READ), 3);
	/* It has a voice: on a higher timeline it keeps the old primary from being one. */
	fake_cluster_promote(&cluster, 3);
	wi_store_rlx(&cluster.host[3].server.timeline, 9);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	assert_int_equal(try_briefly(WEIR_WRITE, 0), WEIR_UNAVAILABLE);
	assert_non_null(strstr(said.text, "held for another 3"));
}

static void a_flapping_primary_is_revoked_at_once(void **state)
{
	(void)state;
	options.hold_down_ms = 300;
	open_router();
	for (int fall = 0; fall < 3; fall++) {
		int64_t back_ns;

		fake_host_down(&cluster, 0, true);
		probe(); /* one failed probe */
		assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
		assert_int_equal(try_briefly(WEIR_WRITE, 0), WEIR_UNAVAILABLE);
		back_ns = wi_now_ns();
		fake_host_down(&cluster, 0, false);
		assert_int_equal(visit(WEIR_WRITE), 0); /* waits for it */
		if (fall)
			assert_true(wi_now_ns() - back_ns >= 300 * WI_MS);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		TEST(a_standby_says_whom_it_follows),
		TEST(the_error_lists_every_host),
		TEST(an_older_server_is_asked_less),
		TEST(a_reticent_server_serves_what_needs_no_position),
		TEST(a_name_of_several_servers_promises_nothing),
		TEST(the_standbys_decide_between_two_primaries),
		TEST(nothing_is_told_before_the_standbys_have_voted),
		TEST(an_old_receiver_has_no_vote),
		TEST(who_was_left_behind_is_told_once),
		TEST(an_exhausted_pool_hides_nothing),
		TEST(many_waiters_have_one_monitor),
		TEST(without_a_primary_hosts_are_asked_faster),
		TEST(a_flapping_host_is_held),
		TEST(a_held_host_says_so),
		TEST(a_flapping_primary_is_revoked_at_once),
	};

	test_watchdog(110, "the router's monitor");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

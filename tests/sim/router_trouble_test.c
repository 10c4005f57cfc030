/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Servers that are slow, full, or refuse: what keeps its role, for how long that is believed, and
 * how often such a host is asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fault.h"
#include "route/router.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	options.probe_interval_ms = 20;
	return 0;
}

/* More than a question may take, but less than a connect may. */
static void a_slow_connect_is_waited_for(void **state)
{
	weir_conn *c = NULL;
	weir_request q = WEIR_REQUEST(.intent = WEIR_WRITE, .timeout_ms = WEIR_NO_WAIT);

	(void)state;
	options.connect_timeout_ms = 60000;
	options.probe_interval_ms = 1000;
	for (int i = 0; i < 3; i++)
		wi_store_rlx(&cluster.host[i].server.connect_ns, 2500 * WI_MS);
	open_router();
	/* Told as failed meanwhile, so that who waits for others is not kept. */
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	assert_non_null(
		strstr(stats_of(0).last_error, "no answer within 1000 ms while connecting"));
	assert_int_equal(weir_checkout_with(router, &q, &c, &said), WEIR_UNAVAILABLE);
	q.timeout_ms = 20000;
	assert_int_equal(weir_checkout_with(router, &q, &c, &said), WEIR_OK);
	assert_int_equal(fake_host_of(c), 0);
	weir_checkin(&c);
}

static void lose_the_probe(int i)
{
	struct wi_fake_server *s = &cluster.host[i].server;

	wi_store_rlx(&s->max_sessions, wi_load_rlx(&s->sessions) - 1);
	for (uint64_t serial = 1; serial <= 3; serial++)
		if (wi_fake_serial(wi_host_at(router, i)->probe.link) == serial)
			assert_true(wi_fake_kill_one(s, serial));
}

static void wait_for_idle(int i, uint32_t n)
{
	int64_t until_ns = wi_now_ns() + 30 * WI_SEC;

	while (stats_of(i).pool.idle != n && wi_now_ns() < until_ns)
		probe();
	assert_int_equal(stats_of(i).pool.idle, n);
}

/* There is no room for the probe any more, but its pool works. */
static void a_full_primary_keeps_its_role(void **state)
{
	uint64_t before;

	(void)state;
	options.pool_min = options.pool_max = 2;
	open_router();
	wait_for_idle(0, 2);
	before = wi_load_rlx(&cluster.host[0].server.connects);
	lose_the_probe(0);
	while (wi_load_rlx(&cluster.host[0].server.connects) < before + 3)
		probe();
	assert_int_equal(role_of(0), WEIR_ROLE_PRIMARY);
	assert_int_equal(visit(WEIR_WRITE), 0);
	/* Once connections are lost, the server may be another one. */
	wi_store_rlx(&cluster.host[0].server.max_sessions, 1);
	wi_fake_kill(&cluster.host[0].server);
	wi_store_rlx(&cluster.host[0].server.connect_fault, WI_FAULT_CAPACITY);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	wi_store_rlx(&cluster.host[0].server.connect_fault, WI_FAULT_NONE);
	wi_store_rlx(&cluster.host[0].server.max_sessions, 0);
	wait_for_role(0, WEIR_ROLE_PRIMARY);
}

static void end_the_probes_session(int i)
{
	wi_store_rlx(&cluster.host[i].server.connect_fault, WI_FAULT_AUTH);
	assert_true(wi_fake_kill_one(&cluster.host[i].server,
	                             wi_fake_serial(wi_host_at(router, (uint32_t)i)->probe.link)));
}

static void await_refusals(int i, uint64_t n)
{
	uint64_t before = wi_load_rlx(&cluster.host[i].server.connects);

	while (wi_load_rlx(&cluster.host[i].server.connects) < before + n)
		probe();
}

/*
 * The password was changed at the server, and the probe's session has ended: what is open goes on,
 * and says in its stead who answers.
 */
static void credentials_that_are_refused_take_no_role(void **state)
{
	uint64_t asked;

	(void)state;
	options.pool_min = options.pool_max = 2;
	open_router();
	for (int i = 0; i < 2; i++)
		wait_for_idle(i, 2);
	asked = stats_of(0).pool.verified;
	for (int i = 0; i < 2; i++) {
		end_the_probes_session(i);
		await_refusals(i, 3);
	}
	assert_int_equal(role_of(0), WEIR_ROLE_PRIMARY);
	assert_int_equal(role_of(1), WEIR_ROLE_REPLICA);
	assert_int_equal(visit(WEIR_WRITE), 0);
	assert_true(stats_of(0).pool.verified > asked);
	assert_true(stats_of(0).last_error[0] != '\0');
	assert_true(wi_load_seq(&told[WEIR_EVENT_CONNECT_FAILED]) >= 2);
	/* One of them answers that it is a standby now. */
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	/* All of them are lost. */
	wi_fake_kill(&cluster.host[1].server);
	wait_for_role(1, WEIR_ROLE_UNKNOWN);
	wi_store_rlx(&cluster.host[1].server.connect_fault, WI_FAULT_NONE);
	wait_for_role(1, WEIR_ROLE_REPLICA);
}

static void pass(int64_t ns)
{
	int64_t until_ns = wi_now_ns() + ns;
	struct timespec some = {.tv_nsec = 1000000};

	while (wi_now_ns() < until_ns)
		nanosleep(&some, NULL);
}

/* It has refused often enough for a second's pause or so: how often it is asked now. */
struct logins {
	int64_t since_ns;
	uint64_t before[3];
};

static void count_logins(struct logins *l)
{
	l->since_ns = wi_now_ns();
	for (int i = 0; i < 3; i++)
		l->before[i] = wi_load_rlx(&cluster.host[i].server.connects);
}

static void must_be_few(const struct logins *l, int i)
{
	uint64_t n = wi_load_rlx(&cluster.host[i].server.connects) - l->before[i];

	assert_in_range(n, 0, 2 + (uint64_t)(wi_now_ns() - l->since_ns) / (500 * WI_MS));
}

/*
 * Whose word is wanted at once, and who has no new one: asking him again is one more login that the
 * server refuses, and may count.
 */
static void credentials_are_not_tried_faster_for_a_doubt(void **state)
{
	weir_advice advice = {.size = sizeof(advice), .good_for_ms = 60000};
	struct logins logins;

	(void)state;
	options.pool_min = options.pool_max = 2;
	open_router();
	wait_for_idle(2, 2);
	end_the_probes_session(2);
	await_refusals(2, 4);
	/* Two primaries of one timeline: the standbys are asked whom they follow. */
	wi_store_rlx(&cluster.host[1].server.in_recovery, false);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	count_logins(&logins);
	pass(300 * WI_MS);
	must_be_few(&logins, 2);
	await_told(WEIR_EVENT_SPLIT_BRAIN, 1);
	wi_store_rlx(&cluster.host[1].server.in_recovery, true);
	wait_for_role(0, WEIR_ROLE_PRIMARY);
	/* The advice names one that is about to be the primary. */
	advice.primary = fake_host_name(2);
	must(weir_router_advise(router, &advice, &said));
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	count_logins(&logins);
	pass(300 * WI_MS);
	must_be_few(&logins, 2);
	assert_int_equal(role_of(2), WEIR_ROLE_REPLICA);
}

/* Nor is any read's position asked for where no answer comes: the primary has it. */
static void credentials_are_not_tried_for_each_token(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	struct logins logins;

	(void)state;
	options.pool_min = options.pool_max = 2;
	options.token_wait_ms = 10000;
	open_router();
	for (int i = 1; i < 3; i++)
		wait_for_idle(i, 2);
	for (int i = 1; i < 3; i++) {
		end_the_probes_session(i);
		await_refusals(i, 4);
	}
	count_logins(&logins);
	mine.at_least = write_some();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(visit_with(&mine), 0);
		assert_true(wi_now_ns() - logins.since_ns < options.token_wait_ms * WI_MS);
	}
	for (int i = 1; i < 3; i++) {
		must_be_few(&logins, i);
		assert_int_equal(role_of(i), WEIR_ROLE_REPLICA);
	}
	/* Where another one answers, that it does not have it yet, only that one is asked. */
	wi_store_rlx(&cluster.host[1].server.connect_fault, WI_FAULT_NONE);
	while (stats_of(1).last_error[0]) /* the watchdog bounds it */
		probe();
	count_logins(&logins);
	mine.at_least = write_some();
	mine.timeout_ms = 300;
	(void)try_visit(&mine, NULL, NULL);
	must_be_few(&logins, 2);
}

/* As behind a pooler that leads to another server by now, and keeps its clients' sessions. */
static void another_server_behind_what_is_open_takes_the_role(void **state)
{
	(void)state;
	options.pool_min = options.pool_max = 2;
	open_router();
	wait_for_idle(1, 2);
	end_the_probes_session(1);
	await_refusals(1, 2);
	assert_int_equal(role_of(1), WEIR_ROLE_REPLICA);
	wi_add_rlx(&cluster.host[1].started, 60000000);
	wait_for_role(1, WEIR_ROLE_UNKNOWN);
}

/* Three things that hold for ten seconds, and then no longer. */
static void what_is_believed_for_a_while_ends(void **state)
{
	weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .max_lag_ms = 3);
	int64_t until_ns = wi_now_ns() + 60 * WI_SEC;
	weir_conn *c = NULL;

	(void)state;
	options.pool_min = options.pool_max = 2;
	open_router();
	wait_for_idle(0, 2);
	wi_store_rlx(&cluster.host[1].basic_only, true);
	probe();
	assert_int_equal(stats_of(1).timeline, 0);
	assert_int_equal(weir_checkout_with(router, &q, &c, &said), WEIR_OK);
	weir_checkin(&c);
	assert_int_equal(wi_load_rlx(&router->tightest_ms), 3);
	wi_store_rlx(&cluster.host[1].basic_only, false);
	lose_the_probe(0);
	probe();
	assert_int_equal(role_of(0), WEIR_ROLE_PRIMARY);
	while ((role_of(0) != WEIR_ROLE_UNKNOWN || !stats_of(1).timeline ||
	        wi_load_rlx(&router->tightest_ms)) &&
	       wi_now_ns() < until_ns)
		probe();
	assert_int_equal(role_of(0), WEIR_ROLE_UNKNOWN);
	assert_int_equal(stats_of(1).timeline, 1);
	assert_int_equal(wi_load_rlx(&router->tightest_ms), 0);
}

/* The pool's own pause would be half a minute at least. */
static void a_server_that_is_back_is_connected_to_at_once(void **state)
{
	(void)state;
	options.pool_min = 0;
	options.breaker_failures = 1;
	options.breaker_open_ms = 60000;
	open_router();
	wi_store_rlx(&cluster.host[0].server.connect_fault, WI_FAULT_REFUSED);
	do
		assert_int_not_equal(try_for(100, WEIR_WRITE), WEIR_OK);
	while (!stats_of(0).pool.breaker_open); /* the watchdog bounds it */
	wi_fake_kill(&cluster.host[0].server);
	wait_for_role(0, WEIR_ROLE_UNKNOWN);
	fake_host_down(&cluster, 0, false);
	wait_for_role(0, WEIR_ROLE_PRIMARY);
	assert_int_equal(try_for(20000, WEIR_WRITE), WEIR_OK);
}

/*
 * In two seconds: at once, and after 0.1, 0.3, 0.7 and 1.5 s; credentials, however short the pace.
 */
static void a_failing_host_is_asked_less_and_less(void **state)
{
	uint64_t before[2];

	(void)state;
	options.pool_min = 0;
	options.probe_interval_ms = 1000;
	fake_host_down(&cluster, 0, true);
	wi_store_rlx(&cluster.host[1].server.connect_fault, WI_FAULT_AUTH);
	open_router();
	for (int i = 0; i < 2; i++)
		before[i] = wi_load_rlx(&cluster.host[i].server.connects);
	pass(2 * WI_SEC);
	for (int i = 0; i < 2; i++)
		assert_in_range(wi_load_rlx(&cluster.host[i].server.connects) - before[i], 1, 8);
}

static void a_failing_host_is_not_asked_at_every_call(void **state)
{
	int64_t before_ns;
	uint64_t before;

	(void)state;
	options.pool_min = 0;
	options.probe_interval_ms = 1000;
	for (int i = 0; i < 3; i++)
		fake_host_down(&cluster, i, true);
	open_router();
	before = wi_load_rlx(&cluster.host[0].server.connects);
	before_ns = wi_now_ns();
	for (int i = 0; i < 5; i++)
		probe();
	assert_true(wi_now_ns() - before_ns >= 300 * WI_MS);
	assert_true(wi_load_rlx(&cluster.host[0].server.connects) >= before + 4);
}

/* ---- it was this process that stood still ---- */

static void stand_still(const weir_event *event)
{
	struct timespec some = {.tv_nsec = 500 * WI_MS}; /* more than a question may take */

	if (event->kind == WEIR_EVENT_HOST_CHANGED)
		nanosleep(&some, NULL);
}

/* Mostly one is being asked when the keeper stops; what was answered meanwhile is heard. */
static void answers_that_are_read_late_are_answers(void **state)
{
	weir_host_settings s;
	int roles;

	(void)state;
	options.probe_interval_ms = options.connect_timeout_ms = 200;
	open_router();
	for (int i = 0; i < 3; i++)
		wi_store_rlx(&cluster.host[i].server.answer_ns, 150 * WI_MS);
	know();
	roles = wi_load_seq(&told[WEIR_EVENT_ROLE_CHANGED]);
	wi_store_seq(&on_told, stand_still);
	weir_host_settings_init(&s);
	for (int i = 1; i <= 6; i++) {
		s.weight = 100 + (unsigned)i;
		assert_int_equal(weir_router_host_set(router, stats_of(1).host, &s, &said),
		                 WEIR_OK);
		await_told(WEIR_EVENT_HOST_CHANGED, i);
		probe();
	}
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_ROLE_CHANGED]), roles);
}

/* ---- saturation is not sickness ---- */

static void a_host_that_has_no_room_keeps_its_role(void **state)
{
	weir_conn *c = NULL;
	weir_request q = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = 5000);

	(void)state;
	options.pool_min = 0;
	wi_store_rlx(&cluster.host[1].server.max_sessions, 1); /* the probe's */
	open_router();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(weir_checkout_with(router, &q, &c, &said), WEIR_OK);
		weir_checkin(&c);
	}
	assert_int_equal(role_of(1), WEIR_ROLE_REPLICA);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		TEST(a_slow_connect_is_waited_for),
		TEST(a_full_primary_keeps_its_role),
		TEST(credentials_that_are_refused_take_no_role),
		TEST(credentials_are_not_tried_faster_for_a_doubt),
		TEST(credentials_are_not_tried_for_each_token),
		TEST(another_server_behind_what_is_open_takes_the_role),
		TEST(what_is_believed_for_a_while_ends),
		TEST(a_server_that_is_back_is_connected_to_at_once),
		TEST(a_failing_host_is_asked_less_and_less),
		TEST(a_failing_host_is_not_asked_at_every_call),
		TEST(answers_that_are_read_late_are_answers),
		TEST(a_host_that_has_no_room_keeps_its_role),
	};

	test_watchdog(110, "the simulation of hosts in trouble");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

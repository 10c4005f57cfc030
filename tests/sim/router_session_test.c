/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a session is promised: it reads what it has written, and never less than it has seen, on
 * whatever host, in whatever process its token comes to.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/rng.h"
#include "support/fake_router.h"
#include "support/threads.h"
#include "support/watchdog.h"

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	/* Nothing is known by itself: only what a test asks for, or a read. */
	options.probe_interval_ms = 3600000;
	return 0;
}

static weir_request of_session(weir_session *session, weir_intent intent)
{
	return WEIR_REQUEST(.intent = intent, .session = session);
}

/* Of the replicas 1 has replayed what 2 has not, and that is known; no read waits for it. */
static void open_with_1_ahead(void)
{
	options.token_wait_ms = 1;
	open_warm();
	fake_cluster_write(&cluster, 0, 800);
	fake_cluster_catch_up(&cluster, 0, 1);
	know();
}

/* Without a token in anybody's hands. */
static void a_session_reads_what_it_wrote(void **state)
{
	weir_session session = WEIR_SESSION();
	weir_request write = of_session(&session, WEIR_WRITE);
	weir_request read = of_session(&session, WEIR_READ);
	weir_conn *c;

	(void)state;
	options.token_wait_ms = 1;
	open_warm();
	know();
	for (int i = 0; i < 5; i++) {
		c = take_with(&write);
		fake_cluster_write(&cluster, 0, 800);
		weir_checkin(&c);
		assert_int_equal(visit_with(&read), 0);
		assert_int_not_equal(visit(WEIR_READ), 0);
	}
	c = take_with(&write);
	fake_cluster_write(&cluster, 0, 800);
	weir_checkin(&c);
	fake_cluster_catch_up(&cluster, 0, 2);
	know();
	for (int i = 0; i < 20; i++)
		assert_int_equal(visit_with(&read), 2);
}

/* Replica 1 is ahead of 2: who has read from 1 stays there, until 2 is known to be as far. */
static void a_session_never_goes_back(void **state)
{
	weir_request read;
	bool seen[3] = {false};

	(void)state;
	open_with_1_ahead();
	for (int i = 0; i < 10 || !seen[1]; i++) {
		weir_session session = WEIR_SESSION();
		int first;

		read = of_session(&session, WEIR_READ);
		first = visit_with(&read);
		assert_int_not_equal(first, 0);
		for (int k = 0; first == 1 && k < 10; k++) {
			probe();
			assert_int_equal(visit_with(&read), 1);
		}
		seen[first] = true;
	}
	fake_cluster_catch_up(&cluster, 0, 2);
	seen[2] = false;
	for (int i = 0; i < 1000 && !seen[2]; i++) {
		weir_session session = WEIR_SESSION();

		read = of_session(&session, WEIR_READ);
		if (visit_with(&read) != 1)
			continue;
		know();
		for (int k = 0; k < 20 && !seen[2]; k++)
			seen[2] = visit_with(&read) == 2;
	}
	assert_true(seen[2]);
}

static int pin_to_replica(weir_session *session, int wanted)
{
	weir_request read = of_session(session, WEIR_READ);
	int host;

	do {
		*session = WEIR_SESSION();
		host = visit_with(&read);
	} while (host != wanted);
	return host;
}

/* A standby that was started anew begins where it was some time ago. */
static void a_restarted_replica_is_not_the_same(void **state)
{
	weir_session session;
	weir_request read = of_session(&session, WEIR_READ);

	(void)state;
	open_with_1_ahead();
	pin_to_replica(&session, 1);
	assert_int_equal(visit_with(&read), 1);
	wi_store_rlx(&cluster.host[1].server.lsn, FAKE_LSN);
	wi_add_rlx(&cluster.host[1].started, 1000000);
	know();
	assert_int_equal(visit_with(&read), 0);
	fake_cluster_catch_up(&cluster, 0, 1);
	know();
	assert_int_equal(visit_with(&read), 1);
}

/* A read and a write that overlapped: neither host is known to hold what the other showed. */
static void of_two_that_overlapped_neither_is_enough(void **state)
{
	weir_session session = WEIR_SESSION();
	weir_request write = of_session(&session, WEIR_WRITE);
	weir_request read = of_session(&session, WEIR_READ);
	weir_conn *first, *c, *w;

	(void)state;
	options.token_wait_ms = 1;
	open_warm();
	know();
	first = take_with(&read);
	c = take_with(&read);
	assert_int_not_equal(fake_host_of(c), 0);
	assert_int_equal(fake_host_of(c), fake_host_of(first));
	weir_checkin(&first);
	w = take_with(&write);
	fake_cluster_write(&cluster, 0, 800);
	weir_checkin(&w);
	weir_checkin(&c); /* seen to be back after the write is */
	assert_int_equal(visit_with(&read), 0);
}

/* What is out may show anything until now: only its own host shows no less. */
static void while_one_is_out_only_its_host_serves(void **state)
{
	weir_session session = WEIR_SESSION();
	weir_request write = of_session(&session, WEIR_WRITE);
	weir_request read = of_session(&session, WEIR_READ);
	weir_conn *c, *other;
	int host;

	(void)state;
	options.token_wait_ms = 10000; /* for no checkin of one's own, at any rate */
	open_warm();
	know();
	c = take_with(&read);
	host = fake_host_of(c);
	for (int i = 0; i < 20; i++) {
		know();
		assert_int_equal(visit_with(&read), host);
	}
	weir_checkin(&c);
	c = take_with(&write);
	fake_cluster_write(&cluster, 0, 800);
	for (int i = 0; i < 5; i++)
		assert_int_equal(visit_with(&read), 0);
	/* The other one is given back first; what was written is still to be seen. */
	other = take_with(&read);
	assert_int_equal(fake_host_of(other), 0);
	weir_checkin(&other);
	weir_checkin(&c);
	fake_cluster_catch_up(&cluster, 0, 1);
	assert_int_equal(visit_with(&read), 1);
}

static void a_sessions_token_rides_in_a_cookie(void **state)
{
	weir_session here = WEIR_SESSION(), there = WEIR_SESSION();
	weir_request write = of_session(&here, WEIR_WRITE);
	weir_request read = of_session(&there, WEIR_READ);
	char cookie[WEIR_TOKEN_TEXT];
	weir_conn *c;

	(void)state;
	options.token_wait_ms = 1;
	open_warm();
	c = take_with(&write);
	assert_int_equal(weir_exec(c, "BEGIN", 5000, &said), WEIR_OK);
	fake_cluster_write(&cluster, 0, 800);
	assert_int_equal(weir_token_commit(c, 5000, &here.at_least, &said), WEIR_OK);
	weir_checkin(&c);
	weir_token_print(&here.at_least, cookie);
	assert_int_equal(weir_token_parse(cookie, &there.at_least), WEIR_OK);
	assert_int_equal(visit_with(&read), 0);
	fake_cluster_catch_up(&cluster, 0, 2);
	know();
	there = WEIR_SESSION();
	assert_int_equal(weir_token_parse(cookie, &there.at_least), WEIR_OK);
	assert_int_equal(visit_with(&read), 2);
}

/* What was read, too, if its position is asked for. */
static void what_was_read_rides_in_a_cookie(void **state)
{
	weir_session here, there = WEIR_SESSION();
	weir_request first = of_session(&here, WEIR_READ), second = of_session(&there, WEIR_READ);
	weir_conn *c;

	(void)state;
	open_with_1_ahead();
	pin_to_replica(&here, 1);
	c = take_with(&first);
	assert_int_equal(weir_session_take(&here, c, 5000, &said), WEIR_OK);
	assert_int_equal(here.at_least.lsn, FAKE_LSN + 800);
	assert_int_equal(here.at_least.timeline, 1);
	weir_checkin(&c);
	there.at_least = here.at_least;
	for (int i = 0; i < 20; i++) {
		there = (weir_session){.at_least = here.at_least};
		assert_int_equal(visit_with(&second), 1);
	}
	assert_int_equal(weir_session_take(NULL, c, 5000, &said), WEIR_INVALID);
	assert_int_equal(weir_session_take(&here, NULL, 5000, &said), WEIR_INVALID);
}

/* Of another router it says nothing but its token. */
static void a_session_is_of_one_router(void **state)
{
	weir_session session;
	weir_request read = of_session(&session, WEIR_READ);
	weir_router *first;
	bool seen[3] = {false};

	(void)state;
	open_with_1_ahead();
	pin_to_replica(&session, 1);
	first = router;
	open_warm();
	know();
	for (int i = 0; i < 1000 && !(seen[1] && seen[2]); i++) {
		weir_session copy = session;

		read.session = &copy;
		seen[visit_with(&read)] = true;
	}
	assert_true(seen[1] && seen[2] && !seen[0]);
	assert_int_equal(weir_router_close(&first, 10000), WEIR_OK);
	session.size = 1;
	read.session = &session;
	assert_int_equal(weir_checkout_with(router, &read, &(weir_conn *){NULL}, &said),
	                 WEIR_INVALID);
}

/* Each replica replays in leaps of its own, and only on. */
static void *replay(void *arg)
{
	_Atomic bool *over = arg;
	struct wi_rng rng;

	wi_rng_seed(&rng, test_seed());
	while (!wi_load_rlx(over)) {
		fake_cluster_catch_up(&cluster, 0, 1 + (int)wi_rng_below(&rng, 2));
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
	return NULL;
}

/* What a connection of the session's shows is never less than any before has shown, or written. */
static void live(struct test_thread *self)
{
	weir_session session = WEIR_SESSION();
	uint64_t seen = 0;

	while (!wi_load_rlx(self->stop) && !self->wrong[0]) {
		bool writes = wi_rng_below(&self->rng, 4) == 0;
		weir_request q = of_session(&session, writes ? WEIR_WRITE : WEIR_READ);
		weir_conn *c = NULL;
		weir_error e;
		uint64_t shown;
		int host;

		if (weir_checkout_with(router, &q, &c, &e) != WEIR_OK) {
			test_wrong(self, "%s", e.text);
			return;
		}
		host = fake_host_of(c);
		if (writes)
			fake_cluster_write(&cluster, 0, 64); /* into no header of a page */
		shown = wi_load_rlx(&cluster.host[host].server.lsn);
		if (shown < seen)
			test_wrong(self, "host %d showed %llx after %llx", host,
			           (unsigned long long)shown, (unsigned long long)seen);
		seen = shown;
		self->count[host]++;
		weir_checkin(&c);
	}
}

static void sessions_of_many_threads_never_go_back(void **state)
{
	enum { THREADS = 4 };
	struct test_thread threads[THREADS];
	_Atomic bool over = false;
	const char *wrong;
	pthread_t replayer;

	(void)state;
	options.probe_interval_ms = 10;
	options.token_wait_ms = 20;
	open_warm();
	assert_int_equal(pthread_create(&replayer, NULL, replay, &over), 0);
	test_threads_run(THREADS, live, NULL, 1, threads);
	wi_store_rlx(&over, true);
	assert_int_equal(pthread_join(replayer, NULL), 0);
	wrong = test_first_wrong(threads, THREADS);
	if (wrong)
		fail_msg("%s", wrong);
	printf("sessions: %llu checkouts of the primary, %llu and %llu of the replicas\n",
	       (unsigned long long)test_sum(threads, THREADS, 0),
	       (unsigned long long)test_sum(threads, THREADS, 1),
	       (unsigned long long)test_sum(threads, THREADS, 2));
	assert_true(test_sum(threads, THREADS, 1) + test_sum(threads, THREADS, 2) > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		TEST(a_session_reads_what_it_wrote),
		TEST(a_session_never_goes_back),
		TEST(a_restarted_replica_is_not_the_same),
		TEST(of_two_that_overlapped_neither_is_enough),
		TEST(while_one_is_out_only_its_host_serves),
		TEST(a_sessions_token_rides_in_a_cookie),
		TEST(what_was_read_rides_in_a_cookie),
		TEST(a_session_is_of_one_router),
		TEST(sessions_of_many_threads_never_go_back),
	};

	test_watchdog(100, "the simulation of sessions");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

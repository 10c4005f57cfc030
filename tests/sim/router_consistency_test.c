/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a read is promised: a limit of lag, a token, a session's own past, what this process wrote.
 * Which host serves it then, what is asked before the primary is, and how long that is waited for.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rng.h"
#include "support/fake_cluster.h"
#include "support/threads.h"
#include "support/watchdog.h"

static struct fake_cluster cluster;
static weir_options options;
static weir_router *router;
static weir_error error;

static int set_up(void **state)
{
	(void)state;
	fake_cluster_init(&cluster, 3);
	weir_options_init(&options);
	/* Nothing is known by itself: only what a test asks for, or a read. */
	options.probe_interval_ms = 3600000;
	options.connect_timeout_ms = 2000;
	options.checkout_timeout_ms = 20000;
	memset(&error, 0, sizeof(error));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	fake_cluster_fini(&cluster);
	return 0;
}

static void probe(void)
{
	assert_int_equal(weir_router_probe(router, 20000), WEIR_OK);
}

/* Twice, as the first may have asked a standby before the primary. */
static void know(void)
{
	probe();
	probe();
}

static void pause_ms(int ms)
{
	struct timespec t = {.tv_nsec = (long)ms * 1000000};

	nanosleep(&t, NULL);
}

static weir_host_stats stats_of(int i)
{
	weir_host_stats stats[FAKE_HOSTS];

	assert_true(weir_router_stats_get(router, stats, FAKE_HOSTS) > (size_t)i);
	return stats[i];
}

static void open_warm(void)
{
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &error), WEIR_OK);
	fake_cluster_calm(router, 1);
}

static weir_conn *take(const weir_request *request)
{
	weir_conn *c = NULL;

	assert_int_equal(weir_checkout_with(router, request, &c, &error), WEIR_OK);
	return c;
}

/* Checks out and gives back; which host it was. */
static int visit(const weir_request *request)
{
	weir_conn *c = take(request);
	int host = fake_host_of(c);

	weir_checkin(&c);
	return host;
}

/* UNAVAILABLE; false: somebody serves it. */
static bool is_refused(const weir_request *request)
{
	weir_conn *c = NULL;
	weir_status st = weir_checkout_with(router, request, &c, &error);

	if (st != WEIR_OK)
		assert_int_equal(st, WEIR_UNAVAILABLE);
	weir_checkin(&c);
	return st != WEIR_OK;
}

static int read_plainly(void)
{
	weir_conn *c = NULL;
	int host;

	assert_int_equal(weir_checkout(router, WEIR_READ, &c, &error), WEIR_OK);
	host = fake_host_of(c);
	weir_checkin(&c);
	return host;
}

/* The primary writes, and says where it is. */
static weir_token write_some(void)
{
	weir_conn *c = NULL;
	weir_token token = {0};

	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &error), WEIR_OK);
	fake_cluster_write(&cluster, 0, 800);
	assert_int_equal(weir_token_take(c, 5000, &token, &error), WEIR_OK);
	weir_checkin(&c);
	return token;
}

static uint64_t probes_of(int i)
{
	return wi_load_rlx(&cluster.host[i].probes);
}

/* Nobody asks any more: what was begun before is answered. */
static void settle(void)
{
	uint64_t before;

	do {
		before = probes_of(0) + probes_of(1) + probes_of(2);
		pause_ms(20);
	} while (probes_of(0) + probes_of(1) + probes_of(2) != before);
}

/* ---- choose by knowledge, then ask, then wait, then the primary ---- */

static void what_is_known_is_not_asked(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	uint64_t before;

	(void)state;
	open_warm();
	mine.at_least = write_some();
	fake_cluster_catch_up(&cluster, 0, 2);
	know();
	settle();
	before = probes_of(0) + probes_of(1) + probes_of(2);
	for (int i = 0; i < 100; i++)
		assert_int_equal(visit(&mine), 2);
	assert_int_equal(probes_of(0) + probes_of(1) + probes_of(2), before);
}

/* With an hour between probes, only by asking it is known that replica 1 is there. */
static void what_is_not_known_is_asked(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	int64_t began_ns, took_ns, longest_ns = 0, sum_ns = 0;
	enum { ROUNDS = 50 };

	(void)state;
	options.token_wait_ms = 10000; /* so that a slow machine has the time to ask */
	open_warm();
	for (int i = 0; i < ROUNDS; i++) {
		mine.at_least = write_some();
		fake_cluster_catch_up(&cluster, 0, 1);
		began_ns = wi_now_ns();
		assert_int_equal(visit(&mine), 1);
		took_ns = wi_now_ns() - began_ns;
		sum_ns += took_ns;
		longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
	}
	printf("a read that has to ask: %.1f us on average, %.1f at most\n",
	       (double)sum_ns / ROUNDS / 1000, (double)longest_ns / 1000);
}

static void *catch_up_later(void *arg)
{
	(void)arg;
	pause_ms(30);
	fake_cluster_catch_up(&cluster, 0, 2);
	return NULL;
}

static void who_is_about_to_catch_up_is_waited_for(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	pthread_t later;

	(void)state;
	options.token_wait_ms = 10000;
	open_warm();
	for (int i = 0; i < 3; i++) {
		mine.at_least = write_some();
		assert_int_equal(pthread_create(&later, NULL, catch_up_later, NULL), 0);
		assert_int_equal(visit(&mine), 2);
		assert_int_equal(pthread_join(later, NULL), 0);
	}
}

static void after_the_wait_the_primary_reads(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	int64_t began_ns;

	(void)state;
	options.token_wait_ms = 100;
	open_warm();
	mine.at_least = write_some();
	began_ns = wi_now_ns();
	assert_int_equal(visit(&mine), 0);
	assert_true(wi_now_ns() - began_ns >= 100 * WI_MS);
	/* As the deadline comes first, that is the end of the wait. */
	mine.at_least = write_some();
	mine.timeout_ms = 20;
	mine.fallback = WEIR_FALLBACK_WAIT;
	began_ns = wi_now_ns();
	assert_true(is_refused(&mine));
	assert_true(wi_now_ns() - began_ns >= 20 * WI_MS);
}

/* It lacks something for longer than would be waited: asked once, and that is all. */
static void who_is_far_behind_is_asked_but_not_waited_for(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	uint64_t before;

	(void)state;
	options.token_wait_ms = 1000;
	open_warm();
	write_some();
	know();
	for (int i = 0; i < 11; i++)
		pause_ms(100);
	mine.at_least = write_some();
	settle();
	before = probes_of(1);
	assert_int_equal(visit(&mine), 0);
	settle();
	assert_in_range(probes_of(1) - before, 1, 20); /* else there were sixty */
	/* Where the primary is no choice, it is waited for all the same. */
	mine.fallback = WEIR_FALLBACK_WAIT;
	{
		pthread_t later;

		assert_int_equal(pthread_create(&later, NULL, catch_up_later, NULL), 0);
		assert_int_equal(visit(&mine), 2);
		assert_int_equal(pthread_join(later, NULL), 0);
	}
}

static void who_may_not_wait_asks_nobody(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = WEIR_NO_WAIT);
	uint64_t before;

	(void)state;
	open_warm();
	mine.at_least = write_some();
	settle();
	before = probes_of(1);
	assert_int_equal(visit(&mine), 0);
	settle();
	assert_int_equal(probes_of(1), before);
}

/* That replica 1 has it says nothing of replica 2: every read looks for itself. */
static void one_that_caught_up_clears_no_token(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);

	(void)state;
	open_warm();
	mine.at_least = write_some();
	fake_cluster_catch_up(&cluster, 0, 1);
	know();
	assert_int_equal(visit(&mine), 1);
	fake_host_down(&cluster, 1, true);
	while (stats_of(1).role != WEIR_ROLE_UNKNOWN)
		probe();
	for (int i = 0; i < 20; i++)
		assert_int_equal(visit(&mine), 0);
	fake_host_down(&cluster, 1, false);
}

static void a_token_of_the_primary_alone_is_for_the_primary(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ, .at_least = WEIR_TOKEN_PRIMARY);

	(void)state;
	open_warm();
	for (int i = 0; i < 20; i++)
		assert_int_equal(visit(&mine), 0);
}

/* ---- limits ---- */

static void replica_is_behind(int i, uint64_t bytes)
{
	wi_store_rlx(&cluster.host[i].server.lsn, wi_load_rlx(&cluster.host[0].server.lsn) - bytes);
	know();
}

/* Back only below 50 % of the limit, and when three answers in a row have said so. */
static void a_limit_of_the_options_has_a_way_back(void **state)
{
	weir_request any = WEIR_REQUEST(.intent = WEIR_READ, .fallback = WEIR_FALLBACK_FAIL,
	                                .timeout_ms = WEIR_NO_WAIT);
	int n = 0;

	(void)state;
	options.max_lag_bytes = 1000;
	options.lag_return_pct = 50;
	fake_cluster_write(&cluster, 0, 1 << 20);
	wi_store_rlx(&cluster.host[1].server.lsn, FAKE_LSN + (1 << 20) - 900);
	open_warm(); /* and 2 is out of the way */
	know();
	assert_int_equal(visit(&any), 1);
	replica_is_behind(1, 1001);
	assert_true(is_refused(&any));
	for (int i = 0; i < 5; i++) { /* within the limit, at its edge */
		replica_is_behind(1, 600);
		assert_true(is_refused(&any));
		assert_true(stats_of(1).lagging);
	}
	while (is_refused(&any)) {
		wi_store_rlx(&cluster.host[1].server.lsn,
		             wi_load_rlx(&cluster.host[0].server.lsn) - 400);
		probe();
		n++;
	}
	assert_in_range(n, 1, 20);
	assert_false(stats_of(1).lagging);
}

/* A request's own limit is kept by what is true now, either way. */
static void a_limit_of_a_request_has_none(void **state)
{
	weir_request close = WEIR_REQUEST(.intent = WEIR_READ, .fallback = WEIR_FALLBACK_FAIL,
	                                  .timeout_ms = WEIR_NO_WAIT, .max_lag_bytes = 1000);

	(void)state;
	open_warm();
	fake_cluster_write(&cluster, 0, 1 << 20);
	replica_is_behind(2, 1 << 20);
	for (int i = 0; i < 5; i++) {
		replica_is_behind(1, 1000);
		assert_int_equal(visit(&close), 1);
		replica_is_behind(1, 1001);
		assert_true(is_refused(&close));
	}
	/* It sets the pace of the probes, too. */
	for (uint64_t before = probes_of(1); probes_of(1) < before + 3;)
		(void)is_refused(&close);
}

/* A paused standby has all that there was, and is silently about not to. */
static void a_paused_replica_serves_by_no_limit_of_the_options(void **state)
{
	(void)state;
	options.max_lag_ms = 60000;
	wi_store_rlx(&cluster.host[1].paused, true);
	open_warm();
	know();
	for (int i = 0; i < 50; i++)
		assert_int_equal(read_plainly(), 2);
	wi_store_rlx(&cluster.host[1].paused, false);
	while (read_plainly() != 1)
		probe();
}

/* ---- sessions ---- */

static weir_request of_session(weir_session *session, weir_intent intent)
{
	return WEIR_REQUEST(.intent = intent, .session = session);
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
		c = take(&write);
		fake_cluster_write(&cluster, 0, 800);
		weir_checkin(&c);
		assert_int_equal(visit(&read), 0);
		assert_int_not_equal(read_plainly(), 0);
	}
	c = take(&write);
	fake_cluster_write(&cluster, 0, 800);
	weir_checkin(&c);
	fake_cluster_catch_up(&cluster, 0, 2);
	know();
	for (int i = 0; i < 20; i++)
		assert_int_equal(visit(&read), 2);
}

/* Replica 1 is ahead of 2: who has read from 1 stays there, until 2 is known to be as far. */
static void a_session_never_goes_back(void **state)
{
	weir_request read;
	bool seen[3] = {false};

	(void)state;
	options.token_wait_ms = 1;
	open_warm();
	fake_cluster_write(&cluster, 0, 800);
	fake_cluster_catch_up(&cluster, 0, 1);
	know();
	for (int i = 0; i < 10 || !seen[1]; i++) {
		weir_session session = WEIR_SESSION();
		int first;

		read = of_session(&session, WEIR_READ);
		first = visit(&read);
		assert_int_not_equal(first, 0);
		for (int k = 0; first == 1 && k < 10; k++) {
			probe();
			assert_int_equal(visit(&read), 1);
		}
		seen[first] = true;
	}
	fake_cluster_catch_up(&cluster, 0, 2);
	seen[2] = false;
	for (int i = 0; i < 1000 && !seen[2]; i++) {
		weir_session session = WEIR_SESSION();

		read = of_session(&session, WEIR_READ);
		if (visit(&read) != 1)
			continue;
		know();
		for (int k = 0; k < 20 && !seen[2]; k++)
			seen[2] = visit(&read) == 2;
	}
	assert_true(seen[2]);
}

static int pin_to_replica(weir_session *session, int wanted)
{
	weir_request read = of_session(session, WEIR_READ);
	int host;

	do {
		*session = WEIR_SESSION();
		host = visit(&read);
	} while (host != wanted);
	return host;
}

/* A standby that was started anew begins where it was some time ago. */
static void a_restarted_replica_is_not_the_same(void **state)
{
	weir_session session;
	weir_request read = of_session(&session, WEIR_READ);

	(void)state;
	options.token_wait_ms = 1;
	open_warm();
	fake_cluster_write(&cluster, 0, 800);
	fake_cluster_catch_up(&cluster, 0, 1);
	know();
	pin_to_replica(&session, 1);
	assert_int_equal(visit(&read), 1);
	wi_store_rlx(&cluster.host[1].server.lsn, FAKE_LSN);
	wi_add_rlx(&cluster.host[1].started, 1000000);
	know();
	assert_int_equal(visit(&read), 0);
	fake_cluster_catch_up(&cluster, 0, 1);
	know();
	assert_int_equal(visit(&read), 1);
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
	c = take(&read);
	host = fake_host_of(c);
	for (int i = 0; i < 20; i++) {
		know();
		assert_int_equal(visit(&read), host);
	}
	weir_checkin(&c);
	c = take(&write);
	fake_cluster_write(&cluster, 0, 800);
	for (int i = 0; i < 5; i++)
		assert_int_equal(visit(&read), 0);
	/* The other one is given back first; what was written is still to be seen. */
	other = take(&read);
	assert_int_equal(fake_host_of(other), 0);
	weir_checkin(&other);
	weir_checkin(&c);
	fake_cluster_catch_up(&cluster, 0, 1);
	assert_int_equal(visit(&read), 1);
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
	c = take(&write);
	assert_int_equal(weir_exec(c, "BEGIN", 5000, &error), WEIR_OK);
	fake_cluster_write(&cluster, 0, 800);
	assert_int_equal(weir_token_commit(c, 5000, &here.at_least, &error), WEIR_OK);
	weir_checkin(&c);
	weir_token_print(&here.at_least, cookie);
	assert_int_equal(weir_token_parse(cookie, &there.at_least), WEIR_OK);
	assert_int_equal(visit(&read), 0);
	fake_cluster_catch_up(&cluster, 0, 2);
	know();
	there = WEIR_SESSION();
	assert_int_equal(weir_token_parse(cookie, &there.at_least), WEIR_OK);
	assert_int_equal(visit(&read), 2);
}

/* What was read, too, if its position is asked for. */
static void what_was_read_rides_in_a_cookie(void **state)
{
	weir_session here, there = WEIR_SESSION();
	weir_request first = of_session(&here, WEIR_READ), second = of_session(&there, WEIR_READ);
	weir_conn *c;

	(void)state;
	options.token_wait_ms = 1;
	open_warm();
	fake_cluster_write(&cluster, 0, 800);
	fake_cluster_catch_up(&cluster, 0, 1);
	know();
	pin_to_replica(&here, 1);
	c = take(&first);
	assert_int_equal(weir_session_take(&here, c, 5000, &error), WEIR_OK);
	assert_int_equal(here.at_least.lsn, FAKE_LSN + 800);
	assert_int_equal(here.at_least.timeline, 1);
	weir_checkin(&c);
	there.at_least = here.at_least;
	for (int i = 0; i < 20; i++) {
		there = (weir_session){.at_least = here.at_least};
		assert_int_equal(visit(&second), 1);
	}
	assert_int_equal(weir_session_take(NULL, c, 5000, &error), WEIR_INVALID);
	assert_int_equal(weir_session_take(&here, NULL, 5000, &error), WEIR_INVALID);
}

/* Of another router it says nothing but its token. */
static void a_session_is_of_one_router(void **state)
{
	weir_session session;
	weir_request read = of_session(&session, WEIR_READ);
	weir_router *first;
	bool seen[3] = {false};

	(void)state;
	options.token_wait_ms = 1;
	open_warm();
	fake_cluster_write(&cluster, 0, 800);
	fake_cluster_catch_up(&cluster, 0, 1);
	know();
	pin_to_replica(&session, 1);
	first = router;
	open_warm();
	know();
	for (int i = 0; i < 1000 && !(seen[1] && seen[2]); i++) {
		weir_session copy = session;

		read.session = &copy;
		seen[visit(&read)] = true;
	}
	assert_true(seen[1] && seen[2] && !seen[0]);
	assert_int_equal(weir_router_close(&first, 10000), WEIR_OK);
	session.size = 1;
	read.session = &session;
	assert_int_equal(weir_checkout_with(router, &read, &(weir_conn *){NULL}, &error),
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

/* ---- for a whole process ---- */

static void every_read_sees_every_token_of_the_process(void **state)
{
	(void)state;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_PROCESS;
	options.token_wait_ms = 1;
	open_warm();
	know();
	assert_int_not_equal(read_plainly(), 0);
	write_some();
	for (int i = 0; i < 20; i++)
		assert_int_equal(read_plainly(), 0);
	fake_cluster_catch_up(&cluster, 0, 2);
	know();
	for (int i = 0; i < 20; i++)
		assert_int_equal(read_plainly(), 2);
	/* Another timeline: who has reached where it was first seen has all that is left. */
	fake_cluster_promote(&cluster, 0);
	know();
	for (int i = 0; i < 20; i++)
		assert_int_equal(read_plainly(), 2);
}

/* A commit whose position nobody said: until the primary was asked, only it has that for sure. */
static void an_unknown_position_is_made_up_for(void **state)
{
	weir_conn *c = NULL;
	weir_token token;

	(void)state;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_PROCESS;
	options.token_wait_ms = 1;
	open_warm();
	know();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &error), WEIR_OK);
	assert_int_equal(weir_exec(c, "BEGIN", 5000, &error), WEIR_OK);
	fake_cluster_write(&cluster, 0, 800);
	wi_store_rlx(&cluster.host[0].basic_only, true);
	assert_int_equal(weir_token_commit(c, 5000, &token, &error), WEIR_OK);
	wi_store_rlx(&cluster.host[0].basic_only, false);
	assert_int_equal(token.lsn, UINT64_MAX);
	weir_checkin(&c);
	assert_int_equal(read_plainly(), 0);
	know();
	assert_int_equal(read_plainly(), 0);
	fake_cluster_catch_up(&cluster, 0, 1);
	know();
	assert_int_equal(read_plainly(), 1);
}

static void for_a_while_after_a_write_the_primary_reads(void **state)
{
	weir_request strict = WEIR_REQUEST(.intent = WEIR_READ, .target = WEIR_TARGET_REPLICA);
	weir_conn *c = NULL;

	(void)state;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_WINDOW;
	options.read_your_writes_ms = 3600000;
	open_warm();
	know();
	assert_int_not_equal(read_plainly(), 0);
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &error), WEIR_OK);
	assert_int_equal(read_plainly(), 0);
	weir_checkin(&c);
	for (int i = 0; i < 20; i++)
		assert_int_equal(read_plainly(), 0);
	assert_int_not_equal(visit(&strict), 0);
}

/* It begins anew when the write is given back, and ends. */
static void the_while_is_counted_from_the_checkin(void **state)
{
	weir_conn *c = NULL;
	int64_t back_ns;

	(void)state;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_WINDOW;
	options.read_your_writes_ms = 200;
	open_warm();
	know();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &error), WEIR_OK);
	while (read_plainly() == 0)
		continue;
	back_ns = wi_now_ns();
	weir_checkin(&c);
	while (read_plainly() == 0)
		continue;
	assert_true(wi_now_ns() - back_ns >= 200 * WI_MS);
}

/* Five times what a replica was last seen to be behind, and a period. */
static void the_while_follows_the_lag(void **state)
{
	weir_conn *c = NULL;
	int64_t back_ns, after_ns;
	int host;

	(void)state;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_WINDOW;
	options.probe_interval_ms = 10;
	open_warm();
	know();
	fake_cluster_write(&cluster, 0, 800);
	fake_cluster_catch_up(&cluster, 0, 1);
	while (stats_of(2).lag_ms < 100)
		probe();
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &c, &error), WEIR_OK);
	back_ns = wi_now_ns();
	weir_checkin(&c);
	do {
		host = read_plainly();
		after_ns = wi_now_ns() - back_ns;
		assert_true(host == 0 || after_ns >= 500 * WI_MS);
	} while (after_ns < 300 * WI_MS);
	fake_cluster_catch_up(&cluster, 0, 2);
	while (read_plainly() == 0)
		continue;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_known_is_not_asked),
		TEST(what_is_not_known_is_asked),
		TEST(who_is_about_to_catch_up_is_waited_for),
		TEST(after_the_wait_the_primary_reads),
		TEST(who_is_far_behind_is_asked_but_not_waited_for),
		TEST(who_may_not_wait_asks_nobody),
		TEST(one_that_caught_up_clears_no_token),
		TEST(a_token_of_the_primary_alone_is_for_the_primary),
		TEST(a_limit_of_the_options_has_a_way_back),
		TEST(a_limit_of_a_request_has_none),
		TEST(a_paused_replica_serves_by_no_limit_of_the_options),
		TEST(a_session_reads_what_it_wrote),
		TEST(a_session_never_goes_back),
		TEST(a_restarted_replica_is_not_the_same),
		TEST(while_one_is_out_only_its_host_serves),
		TEST(a_sessions_token_rides_in_a_cookie),
		TEST(what_was_read_rides_in_a_cookie),
		TEST(a_session_is_of_one_router),
		TEST(sessions_of_many_threads_never_go_back),
		TEST(every_read_sees_every_token_of_the_process),
		TEST(an_unknown_position_is_made_up_for),
		TEST(for_a_while_after_a_write_the_primary_reads),
		TEST(the_while_is_counted_from_the_checkin),
		TEST(the_while_follows_the_lag),
	};

	test_watchdog(100, "the tests of consistency");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

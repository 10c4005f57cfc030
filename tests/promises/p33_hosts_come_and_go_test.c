/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 33. 64 threads route reads and writes, with wishes and without, while an operator adds
 * hosts, removes, drains, reweights and moves them: nobody waits for that, nobody gets a connection
 * to a host that is not what it was chosen for, and what a reader may still look at is not freed.
 * Under the sanitizers what is freed or overwritten too soon is seen.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rng.h"
#include "route/router.h"
#include "support/fake_cluster.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define THREADS 64
#define HOSTS 6 /* 0 is the primary and stays, 1 stays, the others come and go */
#define PATIENCE_MS 60000
#define CHANGES_LEAST 12 /* however slow the machine is: it goes on until so many were made */

static struct fake_cluster cluster;
static weir_options options;
static weir_router *router;
static weir_error error;
static _Atomic int told[WEIR_EVENT_KINDS];

/* Where the keeper is to stop after it has told of a host's removal, or NULL. */
static struct test_stop *_Atomic keepers_stop;

static void hear(void *arg, const weir_event *event)
{
	(void)arg;
	if (event->kind == WEIR_EVENT_HOST_REMOVED)
		test_stop_arm(wi_load_acq(&keepers_stop));
	wi_add_seq(&told[event->kind], 1);
}

static int set_up(void **state)
{
	(void)state;
	fake_cluster_init(&cluster, HOSTS);
	weir_options_init(&options);
	options.probe_interval_ms = 10;
	options.checkout_timeout_ms = PATIENCE_MS;
	options.pool_min = 1;
	options.pool_max = 8;
	options.on_event = hear;
	for (int i = 0; i < WEIR_EVENT_KINDS; i++)
		wi_store_seq(&told[i], 0);
	assert_int_equal(fake_cluster_open_first(&cluster, 2, &options, &router, &error), WEIR_OK);
	assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
	for (int i = 0; i < HOSTS; i++)
		assert_int_equal(wi_load_seq(&cluster.host[i].server.sessions), 0);
	fake_cluster_fini(&cluster);
	return 0;
}

static void nap(int64_t us)
{
	const struct timespec t = {.tv_nsec = us * 1000};

	nanosleep(&t, NULL);
}

/* ---- many threads ---- */

enum { READS, WRITES, CHANGES };
static _Atomic uint64_t changes;

static bool goes_on(const struct test_thread *self)
{
	return !wi_load_rlx(self->stop) || wi_load_rlx(&changes) < CHANGES_LEAST;
}

/* One of the wishes that there are, none among them. */
static weir_status check_out(struct test_thread *self, weir_intent intent, weir_conn **conn,
                             weir_error *e)
{
	weir_request q = WEIR_REQUEST(.intent = intent);

	switch (wi_rng_below(&self->rng, 6)) {
	case 0:
		q.zone = "here";
		break;
	case 1:
		q.max_lag_ms = 60000;
		break;
	case 2:
		q.at_least =
			(weir_token){.system = 7000000000000000001, .lsn = FAKE_LSN, .timeline = 1};
		break;
	case 3:
		q.tag = "p33";
		break;
	default:
		return weir_checkout(router, intent, conn, e);
	}
	return weir_checkout_with(router, &q, conn, e);
}

/* What the handle says must be of one piece: name, role and server are of the same host. */
static void look_at(struct test_thread *self, weir_conn *conn, weir_intent intent)
{
	weir_conn_info info;
	int host = fake_host_of(conn);

	if (weir_conn_info_get(conn, &info) != WEIR_OK || host < 0 || host >= HOSTS)
		test_wrong(self, "a connection to no host");
	else if ((info.role == WEIR_ROLE_PRIMARY) != (host == 0))
		test_wrong(self, "%s as %s", info.host, weir_role_name(info.role));
	else if (intent == WEIR_WRITE && host != 0)
		test_wrong(self, "a write on %s", info.host);
}

static void route(struct test_thread *self)
{
	while (goes_on(self)) {
		weir_intent intent = wi_rng_below(&self->rng, 3) ? WEIR_READ : WEIR_WRITE;
		weir_conn *conn = NULL;
		weir_error e;

		if (check_out(self, intent, &conn, &e) != WEIR_OK) {
			test_wrong(self, "%s", e.text);
			return;
		}
		look_at(self, conn, intent);
		if (!wi_rng_below(&self->rng, 64))
			nap(wi_rng_below(&self->rng, 2000));
		self->count[intent == WEIR_READ ? READS : WRITES]++;
		weir_checkin(&conn);
	}
}

static void must(struct test_thread *self, weir_status st, const weir_error *e)
{
	if (st != WEIR_OK)
		test_wrong(self, "%s", e->text);
}

/* The only one that changes the set, so it knows who is in it. */
static void change_one(struct test_thread *self, bool there[HOSTS])
{
	int i = 2 + (int)wi_rng_below(&self->rng, HOSTS - 2);
	char name[WEIR_ERROR_HOST];
	weir_host_settings s;
	weir_error e;

	snprintf(name, sizeof(name), "127.0.0.1:%d", 6000 + i);
	weir_host_settings_init(&s);
	s.weight = wi_rng_below(&self->rng, 300);
	snprintf(s.zone, sizeof(s.zone), "%s", wi_rng_below(&self->rng, 2) ? "here" : "there");
	if (!there[i])
		must(self, weir_router_host_add(router, name, &s, &e), &e);
	else if (!wi_rng_below(&self->rng, 3))
		must(self, weir_router_host_remove(router, name, &e), &e);
	else if (wi_rng_below(&self->rng, 2))
		must(self, weir_router_host_drain(router, name, wi_rng_below(&self->rng, 2), &e),
		     &e);
	else
		must(self, weir_router_host_set(router, name, &s, &e), &e);
}

static bool is_there(int i)
{
	weir_host_stats stats[WI_HOSTS_MAX];
	size_t n = weir_router_stats_get(router, stats, WI_HOSTS_MAX);
	char name[WEIR_ERROR_HOST];

	snprintf(name, sizeof(name), "127.0.0.1:%d", 6000 + i);
	for (size_t k = 0; k < n && k < WI_HOSTS_MAX; k++)
		if (!stats[k].leaving && strcmp(stats[k].host, name) == 0)
			return true;
	return false;
}

static void operate(struct test_thread *self)
{
	bool there[HOSTS];

	while (goes_on(self)) {
		for (int i = 0; i < HOSTS; i++)
			there[i] = is_there(i);
		change_one(self, there);
		self->count[CHANGES]++;
		wi_add_rlx(&changes, 1);
		nap(wi_rng_below(&self->rng, 3000));
	}
}

/* Somebody looks, and somebody changes sizes and evicts, all the while. */
static void look_around(struct test_thread *self)
{
	static weir_held held[16];
	weir_error e;

	while (goes_on(self)) {
		(void)weir_router_held_get(router, held, 16);
		(void)weir_router_evict(router, NULL);
		must(self, weir_router_resize(router, 1, 4 + wi_rng_below(&self->rng, 5), &e), &e);
		nap(5000);
	}
}

static void one_of_them(struct test_thread *self)
{
	if (self->number == 0)
		operate(self);
	else if (self->number == 1)
		look_around(self);
	else
		route(self);
}

static void hosts_come_and_go_under_64_threads(void **state)
{
	static struct test_thread reports[THREADS + 2];

	(void)state;
	wi_store_rlx(&changes, 0);
	test_yields(500);
	test_threads_run(THREADS + 2, one_of_them, NULL, test_seconds(3), reports);
	test_yields(0);
	assert_null(test_first_wrong(reports, THREADS + 2));
	print_message("%llu reads, %llu writes, %llu changes\n",
	              (unsigned long long)test_sum(reports, THREADS + 2, READS),
	              (unsigned long long)test_sum(reports, THREADS + 2, WRITES),
	              (unsigned long long)test_sum(reports, THREADS + 2, CHANGES));
	assert_true(test_sum(reports, THREADS + 2, READS) > 0);
	assert_true(test_sum(reports, THREADS + 2, WRITES) > 0);
	assert_true(test_sum(reports, THREADS + 2, CHANGES) >= CHANGES_LEAST);
	/* All is back: who was removed leaves, and nothing of it is left. */
	while (wi_load_seq(&told[WEIR_EVENT_HOST_LEFT]) <
	       wi_load_seq(&told[WEIR_EVENT_HOST_REMOVED]))
		nap(1000);
}

/* ---- one reader, stopped in the middle ---- */

static struct test_stop stop;

static void *read_one(void *arg)
{
	weir_conn *conn = NULL;
	weir_conn_info info;
	weir_error e;
	bool ok;

	test_stop_arm(&stop);
	ok = weir_checkout_with(router, &WEIR_REQUEST(.intent = WEIR_READ, .zone = "here"), &conn,
	                        &e) == WEIR_OK &&
	     weir_conn_info_get(conn, &info) == WEIR_OK;
	test_stop_arm(NULL);
	weir_checkin(&conn);
	*(bool *)arg = ok;
	return NULL;
}

static void *remove_host_1(void *arg)
{
	weir_error e;

	*(bool *)arg = weir_router_host_remove(router, "127.0.0.1:6001", &e) == WEIR_OK;
	return NULL;
}

/* Nothing was replaced of late: whoever replaces something has nobody to wait for before that. */
static void come_to_rest(void)
{
	for (int i = 0; i < 5; i++)
		assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
}

/* It has read the topology, and goes on with it when the host has been taken out of the set. */
static void a_reader_may_go_on_with_what_it_has_read(void **state)
{
	bool has_read = false, removed = false;
	pthread_t reader, operator;
	weir_conn *conn = NULL;

	(void)state;
	stop = (struct test_stop){.point = "choose.pinned", .visit = 1};
	come_to_rest();
	assert_int_equal(pthread_create(&reader, NULL, read_one, &has_read), 0);
	test_stop_await(&stop);
	assert_int_equal(pthread_create(&operator, NULL, remove_host_1, &removed), 0);
	while (!wi_load_seq(&told[WEIR_EVENT_HOST_REMOVED]))
		nap(1000);
	/* Checkouts do not wait for the one that is stopped, whoever else does. */
	for (int i = 0; i < 20; i++) {
		assert_int_equal(weir_checkout(router, i & 1, &conn, &error), WEIR_OK);
		weir_checkin(&conn);
		nap(10000);
	}
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_HOST_LEFT]), 0);
	test_stop_release(&stop);
	pthread_join(reader, NULL);
	pthread_join(operator, NULL);
	assert_true(has_read);
	assert_true(removed);
	while (!wi_load_seq(&told[WEIR_EVENT_HOST_LEFT]))
		nap(1000);
}

/* Whether somebody waits at host 1. */
static bool is_waited_for(void)
{
	weir_host_stats stats[2];

	return weir_router_stats_get(router, stats, 2) > 1 && stats[1].pool.waiting > 0;
}

/* All of host 1 is out; who waits there is refused when it is removed, and stopped just then. */
static void who_was_refused_may_still_look_at_the_host(void **state)
{
	bool has_read = false;
	weir_conn *conn[8];
	pthread_t reader;

	(void)state;
	stop = (struct test_stop){.point = "visit.refused", .visit = 1};
	for (int i = 0; i < 8; i++)
		assert_int_equal(weir_checkout(router, WEIR_READ, &conn[i], &error), WEIR_OK);
	assert_int_equal(pthread_create(&reader, NULL, read_one, &has_read), 0);
	while (!is_waited_for())
		nap(1000);
	assert_int_equal(weir_router_host_remove(router, "127.0.0.1:6001", &error), WEIR_OK);
	test_stop_await(&stop);
	for (int i = 0; i < 8; i++)
		weir_checkin(&conn[i]);
	nap(200000);
	assert_int_equal(wi_load_seq(&told[WEIR_EVENT_HOST_LEFT]), 0);
	test_stop_release(&stop);
	pthread_join(reader, NULL);
	assert_true(has_read); /* at the primary */
	while (!wi_load_seq(&told[WEIR_EVENT_HOST_LEFT]))
		nap(1000);
}

static void *look_at_all(void *arg)
{
	weir_held held[1];

	(void)arg;
	test_stop_arm(&stop);
	(void)weir_router_held_get(router, held, 1);
	test_stop_arm(NULL);
	return NULL;
}

/* Host 1 is about to be unlisted when somebody finds it in its place, and is stopped there. */
static void unlist_under_a_look(const char *point)
{
	static struct test_stop keepers;
	pthread_t reader, operator;
	bool removed = false;
	int left;

	keepers = (struct test_stop){.point = "hosts.reap.counted", .visit = 1};
	stop = (struct test_stop){.point = point, .visit = 2}; /* host 0 is the first */
	wi_store_rel(&keepers_stop, &keepers);
	assert_int_equal(pthread_create(&operator, NULL, remove_host_1, &removed), 0);
	test_stop_await(&keepers);
	assert_int_equal(pthread_create(&reader, NULL, look_at_all, NULL), 0);
	test_stop_await(&stop);
	test_stop_release(&keepers);
	nap(200000);
	left = wi_load_seq(&told[WEIR_EVENT_HOST_LEFT]);
	test_stop_release(&stop);
	pthread_join(reader, NULL);
	pthread_join(operator, NULL);
	assert_int_equal(left, 0);
	assert_true(removed);
	while (!wi_load_seq(&told[WEIR_EVENT_HOST_LEFT]))
		nap(1000);
	wi_store_rel(&keepers_stop, NULL);
}

static void who_has_found_a_host_may_go_on_to_its_pool(void **state)
{
	(void)state;
	unlist_under_a_look("router.held.found");
}

static void who_is_in_its_pool_by_then_keeps_it(void **state)
{
	(void)state;
	unlist_under_a_look("router.held.entered");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(hosts_come_and_go_under_64_threads),
		TEST(a_reader_may_go_on_with_what_it_has_read),
		TEST(who_was_refused_may_still_look_at_the_host),
		TEST(who_has_found_a_host_may_go_on_to_its_pool),
		TEST(who_is_in_its_pool_by_then_keeps_it),
	};

	test_watchdog(240, "promise.33_hosts_come_and_go");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 12: a close while a hundred threads check out, hold and have connections opened for them.
 * All that wait are told CLOSED at once; holders finish what they do; the close returns when the
 * last connection is back, or at its deadline, and then says of each that is still out who holds it
 * and since when.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/fake_cluster.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define THREADS 100
#define MAX 20
#define PATIENCE_MS 60000

static struct wi_fake_server server;
static weir_options o;
static weir_pool *pool;
static weir_router *router;

static _Atomic uint32_t told;
static char words[MAX][512];
static _Atomic int64_t closed_ns; /* when the close began */
static _Atomic bool has_returned;
static _Atomic int holding, waiting;
static _Atomic bool let_go;

static void hear(void *arg, const weir_event *event)
{
	uint32_t i;

	(void)arg;
	if (event->kind != WEIR_EVENT_STILL_OUT)
		return;
	i = wi_add_rlx(&told, 1);
	if (i < MAX)
		snprintf(words[i], sizeof(words[i]), "%s", event->text);
}

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&o);
	o.pool_max = MAX;
	o.on_event = hear;
	pool = NULL;
	router = NULL;
	wi_store_rlx(&told, 0);
	wi_store_rlx(&closed_ns, 0);
	wi_store_rlx(&has_returned, false);
	wi_store_rlx(&holding, 0);
	wi_store_rlx(&waiting, 0);
	wi_store_rlx(&let_go, false);
	wi_fake_server_init(&server);
	return 0;
}

static void open_pool(void)
{
	assert_int_equal(wi_pool_open_with(&wi_driver_fake, &wi_world_linux, &server,
	                                   "host=127.0.0.1", &o, &pool, NULL),
	                 WEIR_OK);
}

static void nap(void)
{
	const struct timespec t = {.tv_nsec = 1000000};

	nanosleep(&t, NULL);
}

/*
 * Holds what it gets until it is told to let go, and then some; who gets nothing was told CLOSED,
 * and soon after the close began.
 */
static void take_and_hold(struct test_thread *self)
{
	weir_pool *p = self->arg;
	weir_conn *conn = NULL;
	weir_status st;

	wi_add_rlx(&waiting, 1);
	st = weir_pool_checkout(p, PATIENCE_MS, &conn, NULL);
	wi_sub_rlx(&waiting, 1);
	if (st != WEIR_OK) {
		int64_t since_ns = wi_load_rlx(&closed_ns);

		if (st != WEIR_CLOSED || !since_ns)
			test_wrong(self, "a checkout: %s", weir_status_name(st));
		else if (wi_now_ns() - since_ns > PATIENCE_MS / 2 * WI_MS)
			test_wrong(self, "told long after the close");
		self->count[0]++;
		return;
	}
	wi_add_rlx(&holding, 1);
	while (!wi_load_rlx(&let_go))
		nap();
	self->count[1]++;
	if (wi_load_rlx(&has_returned))
		test_wrong(self, "the close has returned though this one is out");
	weir_checkin(&conn);
}

/*
 * One closes when all are where they should be, and lets the holders go when none waits any more.
 */
static void close_it(struct test_thread *self)
{
	weir_pool *p = self->arg;

	while (wi_load_rlx(&holding) < MAX / 2 || wi_load_rlx(&waiting) < THREADS - MAX)
		nap();
	wi_store_rlx(&closed_ns, wi_now_ns());
	if (weir_pool_close(&p, PATIENCE_MS) != WEIR_OK)
		test_wrong(self, "the close did not end well");
	wi_store_rlx(&has_returned, true);
}

static void let_them_go(struct test_thread *self)
{
	(void)self;
	while (!wi_load_rlx(&closed_ns) || wi_load_rlx(&waiting))
		nap();
	wi_store_rlx(&let_go, true);
}

static void one_of_them(struct test_thread *self)
{
	if (self->number == 0)
		close_it(self);
	else if (self->number == 1)
		let_them_go(self);
	else
		take_and_hold(self);
}

/* Half of the connections are still being opened when the close comes. */
static bool slow_from_the_eleventh(struct wi_fake_server *s, const char *sql,
                                   struct wi_answer *answer, struct wi_failure *failure)
{
	(void)sql;
	(void)answer;
	(void)failure;
	if (wi_load_rlx(&s->connects) > MAX / 2)
		wi_store_rlx(&s->connect_ns, 100 * WI_SEC);
	return true;
}

static void a_hundred_threads_and_a_close(void **state)
{
	static struct test_thread reports[THREADS + 2];

	(void)state;
	server.answer = slow_from_the_eleventh;
	open_pool();
	test_threads_run(THREADS + 2, one_of_them, pool, -1, reports);
	if (test_first_wrong(reports, THREADS + 2))
		fail_msg("%s", test_first_wrong(reports, THREADS + 2));
	assert_true(test_sum(reports, THREADS + 2, 0) >= THREADS - MAX);
	assert_true(test_sum(reports, THREADS + 2, 1) >= MAX / 2);
	assert_int_equal(wi_load_rlx(&told), 0);
	assert_int_equal(wi_load_rlx(&server.sessions), 0);
	wi_fake_server_fini(&server);
}

static void await_all_gone(struct wi_fake_server *s)
{
	for (int i = 0; i < PATIENCE_MS && wi_load_rlx(&s->sessions); i++)
		nap();
	assert_int_equal(wi_load_rlx(&s->sessions), 0);
	wi_fake_server_fini(s);
}

/* Only the keeper knows since when they are out, and only from its next look on. */
static void await_seen_for(int64_t ms)
{
	weir_held held[3];
	int64_t ends_ns = wi_now_ns() + PATIENCE_MS * WI_MS;
	bool seen = false;

	while (!seen && wi_now_ns() < ends_ns) {
		nap();
		seen = weir_pool_held_get(pool, held, 3) == 3;
		for (int i = 0; i < 3; i++)
			seen = seen && held[i].held_ns >= ms * WI_MS;
	}
	assert_true(seen);
}

static void at_its_deadline_it_says_what_is_out(void **state)
{
	weir_conn *out[3] = {NULL};
	int64_t taken_ns, begun_ns, most_ms;
	char holder[64];

	(void)state;
	o.look_after_ms = 20;
	open_pool();
	taken_ns = wi_now_ns();
	for (int i = 0; i < 3; i++)
		assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &out[i], NULL), WEIR_OK);
	await_seen_for(200);
	begun_ns = wi_now_ns();
	assert_int_equal(weir_pool_close(&pool, 100), WEIR_TIMEOUT);
	most_ms = (wi_now_ns() - taken_ns) / WI_MS;
	assert_true(wi_now_ns() - begun_ns >= 100 * WI_MS);
	assert_int_equal(wi_load_rlx(&told), 3);
	snprintf(holder, sizeof(holder), "thread %d", (int)gettid());
	for (int i = 0; i < 3; i++) {
		const char *held = strstr(words[i], "held for ");

		assert_non_null(strstr(words[i], holder));
		assert_non_null(held);
		/* since it was taken, and not since the close began */
		assert_in_range(atoi(held + strlen("held for ")), 200, most_ms);
	}
	for (int i = 0; i < 3; i++)
		weir_checkin(&out[i]);
	await_all_gone(&server);
	assert_int_equal(wi_load_rlx(&told), 3);
}

static void with_the_tag_from_a_router(void **state)
{
	static struct fake_cluster cluster;
	weir_conn *conn = NULL;

	(void)state;
	wi_fake_server_fini(&server);
	fake_cluster_init(&cluster, 2);
	assert_int_equal(fake_cluster_open(&cluster, &o, &router, NULL), WEIR_OK);
	assert_int_equal(
		weir_checkout_with(router, &WEIR_REQUEST(.tag = "monthly report"), &conn, NULL),
		WEIR_OK);
	assert_int_equal(weir_router_close(&router, 0), WEIR_TIMEOUT);
	assert_int_equal(wi_load_rlx(&told), 1);
	assert_non_null(strstr(words[0], "(monthly report)"));
	weir_checkin(&conn);
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < PATIENCE_MS; k++)
			if (wi_load_rlx(&cluster.host[i].server.sessions))
				nap();
	fake_cluster_fini(&cluster);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_hundred_threads_and_a_close),
		TEST(at_its_deadline_it_says_what_is_out),
		TEST(with_the_tag_from_a_router),
	};

	test_watchdog(280, "promise.12_close");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

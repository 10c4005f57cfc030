/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that are cancelled: no call of weir is a cancellation point, so each call is done as a
 * whole, and what the thread holds then is for its cleanup handler to give back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>

#include <weir/exec.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/fake_pool.h"
#include "support/threads.h"
#include "support/watchdog.h"

static struct wi_fake_server server;
static weir_pool *pool;
static weir_options o;
static _Atomic int cleaned, reached;

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&o);
	o.pool_min = 1;
	o.pool_max = 2;
	o.check_timeout_ms = 2000;
	wi_fake_server_init(&server);
	wi_store_rlx(&cleaned, 0);
	wi_store_rlx(&reached, 0);
	return 0;
}

static void open_pool(void)
{
	pool = fake_pool_open(&server, &o);
}

/* Nothing is out, nobody counts as inside, everything is open for business, and it closes. */
static void assert_unharmed(void)
{
	weir_conn *conn[2] = {NULL};
	weir_pool_stats s;

	for (int i = 0; i < 2; i++)
		assert_int_equal(weir_pool_checkout(pool, 20000, &conn[i], NULL), WEIR_OK);
	for (int i = 0; i < 2; i++)
		weir_checkin(&conn[i]);
	weir_pool_stats_get(pool, &s);
	assert_int_equal(s.busy, 0);
	assert_int_equal(s.waiting, 0);
	assert_int_equal(s.checkouts, s.checkins);
	assert_int_equal(s.misuse, 0);
	assert_int_equal(wi_load_rlx(&pool->inside), 0);
	assert_int_equal(weir_pool_close(&pool, 20000), WEIR_OK);
	wi_fake_server_fini(&server);
}

static void give_back(void *arg)
{
	weir_checkin(arg);
	wi_add_rlx(&cleaned, 1);
}

/* ---- each call, with a cancellation pending ---- */

static void *call_everything(void *arg)
{
	weir_conn *conn = NULL;

	(void)arg;
	pthread_cleanup_push(give_back, &conn);
	pthread_cancel(pthread_self());
	for (int i = 0; i < 20; i++) {
		if (weir_pool_checkout(pool, 20000, &conn, NULL) != WEIR_OK)
			break;
		if (weir_exec(conn, "SELECT 1", 20000, NULL) != WEIR_OK)
			break;
		if (i % 3 == 0)
			wi_fake_leave(wi_conn_of(conn)->link, WI_LOOK_IN_TX);
		if (i % 3 == 1)
			weir_discard(&conn); /* rings the keeper */
		else
			weir_checkin(&conn);
		wi_add_rlx(&reached, 1);
	}
	if (weir_pool_checkout(pool, 20000, &conn, NULL) == WEIR_OK)
		wi_add_rlx(&reached, 1);
	pthread_testcancel();
	wi_add_rlx(&reached, 1000);
	pthread_cleanup_pop(0);
	return NULL;
}

static void no_call_is_a_cancellation_point(void **state)
{
	pthread_t thread;
	void *result;

	(void)state;
	o.pre_ping = WEIR_PRE_PING_PING; /* the checkout waits for the network, too */
	open_pool();
	assert_int_equal(pthread_create(&thread, NULL, call_everything, NULL), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(wi_load_rlx(&reached), 21);
	assert_int_equal(wi_load_rlx(&cleaned), 1);
	assert_unharmed();
}

/* ---- while it waits ---- */

static void *wait_for_one(void *arg)
{
	weir_conn *conn = NULL;

	pthread_cleanup_push(give_back, &conn);
	*(_Atomic int *)arg = 1;
	if (weir_pool_checkout(pool, -1, &conn, NULL) == WEIR_OK)
		wi_add_rlx(&reached, 1);
	pthread_testcancel();
	wi_add_rlx(&reached, 1000);
	pthread_cleanup_pop(0);
	return NULL;
}

static void who_waits_gets_it_and_goes_then(void **state)
{
	weir_conn *held[2] = {NULL};
	_Atomic int begun = 0;
	weir_pool_stats s;
	pthread_t thread;
	void *result;

	(void)state;
	open_pool();
	for (int i = 0; i < 2; i++)
		assert_int_equal(weir_pool_checkout(pool, 20000, &held[i], NULL), WEIR_OK);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_one, &begun), 0);
	do {
		weir_pool_stats_get(pool, &s);
		usleep(100);
	} while (s.waiting == 0);
	pthread_cancel(thread);
	assert_int_equal(wi_load_rlx(&reached), 0);
	weir_checkin(&held[0]);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(wi_load_rlx(&reached), 1);
	assert_int_equal(wi_load_rlx(&cleaned), 1);
	weir_checkin(&held[1]);
	assert_unharmed();
}

/* ---- at any moment ---- */

static void *work(void *arg)
{
	weir_conn *conn = NULL;

	(void)arg;
	pthread_cleanup_push(give_back, &conn);
	for (;;) {
		if (weir_pool_checkout(pool, 50, &conn, NULL) == WEIR_OK) {
			if (weir_exec(conn, "SET x = 1", 20000, NULL) != WEIR_OK)
				wi_add_rlx(&reached, 1000000);
			pthread_testcancel();
			if (wi_now_ns() & 4)
				weir_discard(&conn);
			else
				weir_checkin(&conn);
		}
		pthread_testcancel();
	}
	pthread_cleanup_pop(0);
	return NULL;
}

static void whenever_it_comes_the_pool_is_whole(void **state)
{
	int64_t until_ns;
	int n = 0;

	(void)state;
	open_pool();
	until_ns = wi_now_ns() + (int64_t)(test_seconds(1) * (double)WI_SEC);
	while (wi_now_ns() < until_ns) {
		pthread_t thread[6];

		for (int i = 0; i < 6; i++)
			assert_int_equal(pthread_create(&thread[i], NULL, work, NULL), 0);
		for (int i = 0; i < 6; i++, n++) {
			usleep((useconds_t)(wi_now_ns() & 255));
			pthread_cancel(thread[i]);
		}
		for (int i = 0; i < 6; i++)
			pthread_join(thread[i], NULL);
	}
	assert_int_equal(wi_load_rlx(&cleaned), n);
	assert_int_equal(wi_load_rlx(&reached), 0);
	assert_unharmed();
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_call_is_a_cancellation_point),
		TEST(who_waits_gets_it_and_goes_then),
		TEST(whenever_it_comes_the_pool_is_whole),
	};

	test_watchdog(100, "stress.cancelled");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

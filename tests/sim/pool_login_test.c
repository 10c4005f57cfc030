/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Credentials from a callback (on_credentials), on the fake driver with the real clock: who is
 * asked how often, what is kept, what a refusal does, and that nobody waits for a callback that
 * does not return.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "pool/chore.h"
#include "support/fake_cluster.h"
#include "support/fake_pool.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000

static struct wi_fake_server server;
static weir_options o;
static weir_pool *pool;
static weir_error error;
static size_t bytes_before;

/* What the callback does. */
static struct {
	_Atomic(const char *) password; /* NULL: it fails */
	_Atomic int64_t good_for_ms;
	_Atomic bool hangs;
	_Atomic int calls, ended;
} says;

static void a_moment(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static bool credentials(void *arg, const char *host, weir_login *login)
{
	const char *password = wi_load_seq(&says.password);

	assert_ptr_equal(arg, &says);
	assert_string_equal(host, "127.0.0.1:5432");
	assert_int_equal(login->password[0], 0);
	wi_add_seq(&says.calls, 1);
	while (wi_load_seq(&says.hangs))
		a_moment();
	wi_add_seq(&says.ended, 1);
	login->good_for_ms = wi_load_seq(&says.good_for_ms);
	snprintf(login->password, sizeof(login->password), "%s", password ? password : "tell-me");
	snprintf(login->why, sizeof(login->why), "the vault said\n tell-me not");
	return password != NULL;
}

static int set_up(void **state)
{
	(void)state;
	bytes_before = wi_alloc_bytes();
	memset(&says, 0, sizeof(says));
	wi_store_seq(&says.password, "first");
	wi_fake_server_init(&server);
	wi_store_rlx(&server.password, "first");
	weir_options_init(&o);
	o.pool_min = 0;
	o.on_credentials = credentials;
	o.on_credentials_arg = &says;
	return 0;
}

static void open_pool(void)
{
	pool = fake_pool_open(&server, &o);
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	wi_store_seq(&says.hangs, false);
	wi_fake_server_fini(&server);
	for (int i = 0; i < 10000 && (wi_chores_under_way() || wi_alloc_bytes() != bytes_before);
	     i++)
		a_moment();
	assert_int_equal(wi_alloc_bytes(), bytes_before);
	return 0;
}

static weir_conn *checkout(void)
{
	weir_conn *conn = NULL;

	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return conn;
}

static weir_pool_stats stats(void)
{
	weir_pool_stats s;

	weir_pool_stats_get(pool, &s);
	return s;
}

static void each_connect_asks(void **state)
{
	weir_conn *conn[3];

	(void)state;
	open_pool();
	for (int i = 0; i < 3; i++)
		conn[i] = checkout();
	assert_int_equal(wi_load_seq(&says.calls), 3);
	for (int i = 0; i < 3; i++)
		weir_checkin(&conn[i]);
}

/* The password changes at both ends: what is open goes on, what is new uses the new one. */
static void a_new_password_needs_no_restart(void **state)
{
	weir_conn *old, *new;

	(void)state;
	open_pool();
	old = checkout();
	wi_store_rlx(&server.password, "second");
	wi_store_seq(&says.password, "second");
	new = checkout();
	weir_checkin(&old);
	old = checkout();
	assert_int_equal(stats().opened, 2);
	assert_int_equal(stats().connect_failures, 0);
	weir_checkin(&old);
	weir_checkin(&new);
}

static void an_answer_may_be_good_for_longer(void **state)
{
	weir_conn *conn[4];

	(void)state;
	wi_store_seq(&says.good_for_ms, PATIENCE_MS);
	open_pool();
	for (int i = 0; i < 3; i++)
		conn[i] = checkout();
	assert_int_equal(wi_load_seq(&says.calls), 1);
	/* The server refuses it: that is no failure yet, as the callback has another by now. */
	wi_store_rlx(&server.password, "second");
	wi_store_seq(&says.password, "second");
	conn[3] = checkout();
	assert_int_equal(wi_load_seq(&says.calls), 2);
	assert_int_equal(stats().connect_failures, 0);
	for (int i = 0; i < 4; i++)
		weir_checkin(&conn[i]);
}

static void but_only_as_long_as_it_says(void **state)
{
	weir_conn *one, *two;

	(void)state;
	wi_store_seq(&says.good_for_ms, 1);
	open_pool();
	one = checkout();
	for (int i = 0; i < 5; i++)
		a_moment();
	two = checkout();
	assert_int_equal(wi_load_seq(&says.calls), 2);
	weir_checkin(&one);
	weir_checkin(&two);
}

static void a_refused_answer_is_told_and_not_tried_again_and_again(void **state)
{
	weir_conn *conn = NULL;

	(void)state;
	wi_store_seq(&says.good_for_ms, PATIENCE_MS);
	wi_store_rlx(&server.password, "another");
	o.breaker_open_ms = 60000;
	open_pool();
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_AUTH);
	assert_string_equal(error.sqlstate, "28P01");
	for (int i = 0; i < 20; i++) {
		assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_AUTH);
		a_moment();
	}
	assert_int_equal(wi_load_seq(&says.calls), 1);
	assert_int_equal(wi_load_rlx(&server.connects), 1);
	assert_int_equal(stats().connect_failed_of[WEIR_CONNECT_AUTH], 1);
}

static void its_own_words_are_told_without_its_secret(void **state)
{
	weir_conn *conn = NULL;

	(void)state;
	wi_store_seq(&says.password, NULL);
	open_pool();
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_AUTH);
	assert_non_null(strstr(error.text, "auth while asking for credentials: on_credentials "
	                                   "failed: the vault said  *** not"));
	assert_int_equal(wi_load_rlx(&server.connects), 0);
}

/* It costs its thread; the caller is told why he got nothing, and close does not wait for it. */
static void nobody_waits_for_one_that_hangs(void **state)
{
	weir_conn *conn = NULL;
	int64_t begun;

	(void)state;
	wi_store_seq(&says.hangs, true);
	o.connect_timeout_ms = 20;
	o.breaker_failures = 0;
	open_pool();
	begun = wi_now_ns();
	/* Once more, if the keeper was not on time. */
	do {
		assert_int_equal(weir_pool_checkout(pool, 100, &conn, &error), WEIR_TIMEOUT);
		assert_true(wi_now_ns() - begun < 10 * WI_SEC);
	} while (!strstr(error.text, "timeout while asking for credentials: no answer "
	                             "within 20 ms"));
	assert_true(wi_load_seq(&says.calls) >= 1);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	assert_int_equal(wi_load_seq(&says.ended), 0);
}

static void the_probes_of_a_router_ask_too(void **state)
{
	static struct fake_cluster cluster;
	weir_router *router;
	weir_conn *conn = NULL;

	(void)state;
	fake_cluster_init(&cluster, 1);
	snprintf(cluster.conninfo, sizeof(cluster.conninfo), "host=127.0.0.1");
	wi_store_rlx(&cluster.host[0].server.password, "first");
	assert_int_equal(fake_cluster_open(&cluster, &o, &router, &error), WEIR_OK);
	assert_int_equal(weir_checkout(router, WEIR_WRITE, &conn, &error), WEIR_OK);
	weir_checkin(&conn);
	assert_int_equal(wi_load_seq(&says.calls), 2); /* the probe's connect, and the pool's */
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
	fake_cluster_fini(&cluster);
}

/* What the process and this thread keep for good is allocated now. */
static int first_of_all(void **state)
{
	weir_conn *conn;

	(void)state;
	set_up(state);
	open_pool();
	conn = checkout();
	weir_checkin(&conn);
	return weir_pool_close(&pool, PATIENCE_MS) == WEIR_OK ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_connect_asks),
		TEST(a_new_password_needs_no_restart),
		TEST(an_answer_may_be_good_for_longer),
		TEST(but_only_as_long_as_it_says),
		TEST(a_refused_answer_is_told_and_not_tried_again_and_again),
		TEST(its_own_words_are_told_without_its_secret),
		TEST(nobody_waits_for_one_that_hangs),
		TEST(the_probes_of_a_router_ask_too),
	};

	test_watchdog(90, "sim.pool_login");
	return cmocka_run_group_tests(tests, first_of_all, NULL);
}

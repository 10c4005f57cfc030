/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weir_run over fake servers: another attempt goes where it can succeed, on another host or after
 * another one was promoted; what it carries; and a router that is closed meanwhile.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/world.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

static weir_run_result result;

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(3);
	options.probe_interval_ms = 20;
	options.checkout_timeout_ms = 60000;
	memset(&result, 0, sizeof(result));
	return 0;
}

/* What the callback does, and where it was. */
static struct plan {
	void (*first)(weir_conn *conn); /* in the first attempt, before its statement */
	const char *sql;
	bool breaks; /* the first attempt asks for another */
	int bodies;
	int at[8];
} plan;

static weir_status body(weir_tx *tx, void *arg, weir_error *e)
{
	weir_conn *c = weir_tx_conn(tx);
	int attempt = plan.bodies++;
	weir_status st;

	(void)arg;
	plan.at[attempt % 8] = fake_host_of(c);
	if (attempt == 0 && plan.first)
		plan.first(c);
	st = weir_exec(c, plan.sql, weir_tx_left_ms(tx), e);
	return st == WEIR_OK && attempt == 0 && plan.breaks ? WEIR_RETRY : st;
}

static weir_status run(struct plan what, weir_run_settings settings)
{
	plan = what;
	memset(&result, 0, sizeof(result));
	settings.result = &result;
	return weir_run(router, &settings, body, NULL, &said);
}

static void end_session(weir_conn *conn)
{
	struct fake_host *h = &cluster.host[fake_host_of(conn)];

	assert_true(wi_fake_kill_one(&h->server, wi_fake_serial(wi_conn_of(conn)->link)));
}

static void promote_another(weir_conn *conn)
{
	(void)conn;
	wi_store_rlx(&cluster.host[0].server.in_recovery, true);
	fake_cluster_promote(&cluster, 1);
}

static void lost_write_is_done_on_the_primary_again(void **state)
{
	(void)state;
	open_router();
	assert_int_equal(
		run((struct plan){.first = end_session, .sql = "INSERT"}, (weir_run_settings){0}),
		WEIR_OK);
	assert_int_equal(result.attempts, 2);
	assert_int_equal(result.why, WEIR_AGAIN_LOST);
	assert_int_equal(plan.at[1], 0);
}

/* 25006 of who was the primary when the connection was handed out. */
static void write_that_a_demoted_host_refuses_is_done_on_the_next_one(void **state)
{
	(void)state;
	open_router();
	assert_int_equal(run((struct plan){.first = promote_another, .sql = "INSERT"},
	                     (weir_run_settings){0}),
	                 WEIR_OK);
	assert_true(result.attempts >= 2);
	assert_int_equal(result.why, WEIR_AGAIN_DEMOTED);
	assert_int_equal(plan.at[0], 0);
	assert_int_equal(plan.at[plan.bodies - 1], 1);
	assert_true(result.committed);
}

/* By the caller's own wish, which no other host would fulfil. */
static void write_in_a_read_only_run_is_told_at_once(void **state)
{
	const weir_tx_settings reads = WEIR_TX_SETTINGS(.read_only = true);

	(void)state;
	open_router();
	assert_int_equal(run((struct plan){.sql = "INSERT"}, WEIR_RUN_SETTINGS(.tx = &reads)),
	                 WEIR_QUERY);
	assert_string_equal(said.sqlstate, "25006");
	assert_int_equal(result.attempts, 1);
}

static void read_is_done_on_another_host(void **state)
{
	const weir_request read = WEIR_REQUEST(.intent = WEIR_READ);

	(void)state;
	options.pool_min = 2;
	open_router();
	for (int i = 0; i < 20; i++) {
		bool lost = i % 2;

		fake_cluster_calm(router, 2);
		assert_int_equal(run((struct plan){.first = lost ? end_session : NULL,
		                                   .breaks = !lost,
		                                   .sql = "SELECT 1"},
		                     WEIR_RUN_SETTINGS(.request = &read)),
		                 WEIR_OK);
		assert_int_equal(result.attempts, 2);
		assert_in_range(plan.at[0], 1, 2);
		assert_int_equal(plan.at[1], 3 - plan.at[0]);
	}
	assert_int_equal(run((struct plan){.sql = "INSERT"}, WEIR_RUN_SETTINGS(.request = &read)),
	                 WEIR_QUERY);
	assert_string_equal(said.sqlstate, "25006");
}

/* Not only because of its connection. */
static void read_cannot_write_anywhere(void **state)
{
	const weir_request read = WEIR_REQUEST(.intent = WEIR_READ, .target = WEIR_TARGET_PRIMARY);

	(void)state;
	options.read_only_reads = false;
	open_router();
	assert_int_equal(run((struct plan){.sql = "INSERT"}, WEIR_RUN_SETTINGS(.request = &read)),
	                 WEIR_QUERY);
	assert_string_equal(said.sqlstate, "25006");
	assert_int_equal(result.attempts, 1);
}

/* Where there is no other one, the same is better than none. */
static void read_is_done_on_the_only_host_again(void **state)
{
	const weir_request read = WEIR_REQUEST(.intent = WEIR_READ, .target = WEIR_TARGET_PRIMARY);

	(void)state;
	open_router();
	assert_int_equal(run((struct plan){.breaks = true, .sql = "SELECT 1"},
	                     WEIR_RUN_SETTINGS(.request = &read)),
	                 WEIR_OK);
	assert_int_equal(result.attempts, 2);
	assert_int_equal(plan.at[1], 0);
}

static void write_something(weir_conn *conn)
{
	(void)conn;
	fake_cluster_write(&cluster, 0, 100);
}

static void read_sees_what_the_token_says(void **state)
{
	weir_request read = WEIR_REQUEST(.intent = WEIR_READ);
	const weir_tx_settings positioned = WEIR_TX_SETTINGS(.token = &read.at_least);
	const weir_tx_settings read_only =
		WEIR_TX_SETTINGS(.read_only = true, .token = &read.at_least);

	(void)state;
	options.token_wait_ms = 20;
	open_router();
	assert_int_equal(run((struct plan){.first = write_something, .sql = "INSERT"},
	                     WEIR_RUN_SETTINGS(.tx = &positioned)),
	                 WEIR_OK);
	assert_true(read.at_least.lsn > FAKE_LSN);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(
			run((struct plan){.sql = "SELECT 1"}, WEIR_RUN_SETTINGS(.request = &read)),
			WEIR_OK);
		assert_int_equal(plan.at[0], 0);
	}
	assert_int_equal(run((struct plan){.sql = "SELECT 1"}, WEIR_RUN_SETTINGS(.tx = &read_only)),
	                 WEIR_INVALID);
	assert_int_equal(run((struct plan){.sql = "SELECT 1"},
	                     WEIR_RUN_SETTINGS(.request = &read, .tx = &positioned)),
	                 WEIR_INVALID);
}

/* With read_your_writes=process each of its commits is one that later reads are to see. */
static void every_read_of_the_process_sees_it(void **state)
{
	const weir_request read = WEIR_REQUEST(.intent = WEIR_READ);

	(void)state;
	options.token_wait_ms = 20;
	options.read_your_writes = WEIR_READ_YOUR_WRITES_PROCESS;
	open_router();
	assert_int_equal(run((struct plan){.first = write_something, .sql = "INSERT"},
	                     (weir_run_settings){0}),
	                 WEIR_OK);
	assert_int_equal(run((struct plan){.sql = "SELECT 1"}, WEIR_RUN_SETTINGS(.request = &read)),
	                 WEIR_OK);
	assert_int_equal(plan.at[0], 0);
}

static void unknown_outcome_is_not_repeated(void **state)
{
	(void)state;
	open_router();
	wi_store_rlx(&cluster.host[0].commit_fails, "");
	assert_int_equal(run((struct plan){.sql = "INSERT"}, (weir_run_settings){0}),
	                 WEIR_OUTCOME_UNKNOWN);
	assert_int_equal(plan.bodies, 1);
	assert_int_equal(result.attempts, 1);
}

/* ---- closing ---- */

static _Atomic int asked;

static weir_status ask_again(weir_tx *tx, void *arg, weir_error *e)
{
	(void)tx;
	(void)arg;
	(void)e;
	wi_add_seq(&asked, 1);
	return WEIR_RETRY;
}

static void *run_on(void *arg)
{
	const weir_run_settings settings =
		WEIR_RUN_SETTINGS(.timeout_ms = -1, .pause_ms = 1000000, .max_pause_ms = 1000000);
	weir_status *st = arg;

	*st = weir_run(router, &settings, ask_again, NULL, NULL);
	return NULL;
}

/* Who pauses is not waited for until he is done, and finds no router that is gone. */
static void router_is_closed_under_those_that_pause(void **state)
{
	pthread_t thread[4];
	weir_status st[4];
	weir_router *r;

	(void)state;
	open_router();
	r = router;
	wi_store_seq(&asked, 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run_on, &st[i]), 0);
	while (wi_load_seq(&asked) < 4)
		usleep(1000);
	assert_int_equal(weir_router_close(&r, 60000), WEIR_OK);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(st[i], WEIR_CLOSED);
	}
	router = NULL;
}

static weir_pool *pool;

static void *run_on_the_pool(void *arg)
{
	const weir_run_settings settings =
		WEIR_RUN_SETTINGS(.timeout_ms = -1, .pause_ms = 1000000, .max_pause_ms = 1000000);
	weir_status *st = arg;

	*st = weir_pool_run(pool, &settings, ask_again, NULL, NULL);
	return NULL;
}

static void pool_is_closed_under_those_that_pause(void **state)
{
	pthread_t thread[4];
	weir_status st[4];
	weir_pool *p;

	(void)state;
	open_router(); /* for the tear-down; the pool is beside it */
	assert_int_equal(wi_pool_open_with(&wi_driver_fake, &wi_world_linux,
	                                   &cluster.host[0].server, "postgresql://u@127.0.0.1/d",
	                                   NULL, &pool, &said),
	                 WEIR_OK);
	p = pool;
	wi_store_seq(&asked, 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run_on_the_pool, &st[i]), 0);
	while (wi_load_seq(&asked) < 4)
		usleep(1000);
	assert_int_equal(weir_pool_close(&p, 60000), WEIR_OK);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(st[i], WEIR_CLOSED);
	}
}

int main(void)
{
#define A_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)
	const struct CMUnitTest tests[] = {
		A_TEST(lost_write_is_done_on_the_primary_again),
		A_TEST(write_that_a_demoted_host_refuses_is_done_on_the_next_one),
		A_TEST(write_in_a_read_only_run_is_told_at_once),
		A_TEST(read_is_done_on_another_host),
		A_TEST(read_cannot_write_anywhere),
		A_TEST(read_is_done_on_the_only_host_again),
		A_TEST(read_sees_what_the_token_says),
		A_TEST(every_read_of_the_process_sees_it),
		A_TEST(unknown_outcome_is_not_repeated),
		A_TEST(router_is_closed_under_those_that_pause),
		A_TEST(pool_is_closed_under_those_that_pause),
	};

	test_watchdog(100, "runs");
	return cmocka_run_group_tests_name("router_run", tests, NULL, NULL);
}

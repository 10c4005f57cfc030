/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 17. A connection whose server process ended while it was idle is never handed out once
 * its end has arrived here, whatever ended it: pg_terminate_backend, a fast stop of the server, the
 * crash of another server process, idle_session_timeout. It takes no round trip to know, and the
 * statistics say why it died, by SQLSTATE.
 *
 * Each death is shown twice: with pre_ping=look to a caller who comes at the very moment at which
 * the end has arrived, and with pre_ping=off to one who comes when the keeper has had time to wake;
 * and once to one who comes while the keeper stands still.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "support/cluster.h"
#include "support/watchdog.h"

#define IDLE 4
#define PATIENCE_MS 60000

static struct test_cluster *cluster;
static weir_options o;
static weir_pool *pool;
static int watched[IDLE]; /* duplicates of the idle connections' sockets */
static int pid[IDLE];

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static weir_conn *checkout(void)
{
	weir_error error;
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

static bool has_ended(int fd, int wait_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, wait_ms) == 1;
}

/* A pool with IDLE idle connections, whose sockets the test watches. */
static void open_pool(weir_pre_ping pre_ping)
{
	weir_conn *conn[IDLE];
	weir_error error;

	o.pool_min = 0;
	o.pool_max = IDLE;
	o.pre_ping = pre_ping;
	o.breaker_failures = 0; /* who borrows waits until a crashed server is back */
	o.look_after_ms = o.validate_after_ms = o.keepalive_ms = 0; /* nothing else shall notice */
	if (weir_pool_open(test_cluster_url(cluster), &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	for (int i = 0; i < IDLE; i++)
		conn[i] = checkout();
	for (int i = 0; i < IDLE; i++) {
		watched[i] = fcntl(PQsocket(weir_pg(conn[i])), F_DUPFD_CLOEXEC, 1);
		pid[i] = PQbackendPID(weir_pg(conn[i]));
		weir_checkin(&conn[i]);
	}
}

static void close_pool(void)
{
	for (int i = 0; i < IDLE; i++)
		close(watched[i]);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

/* Returns when the ends have arrived; without a look, when the keeper has seen them, too. */
static void await_ends(void)
{
	for (int i = 0; i < IDLE; i++)
		assert_true(has_ended(watched[i], PATIENCE_MS));
	while (!o.pre_ping && stats().lost + stats().closed[WEIR_CLOSE_CONDEMNED] < IDLE)
		pause_ms(1);
}

/* Everybody who borrows now gets a connection that lives, and is none of those that died. */
static void borrowers_see_nothing(const char *sqlstate)
{
	weir_conn *conn[IDLE];
	weir_pool_stats s;

	for (int i = 0; i < IDLE; i++) {
		conn[i] = checkout();
		assert_false(has_ended(PQsocket(weir_pg(conn[i])), 0));
		assert_int_equal(weir_exec(conn[i], "select 1", PATIENCE_MS, NULL), WEIR_OK);
		for (int k = 0; k < IDLE; k++)
			assert_int_not_equal(PQbackendPID(weir_pg(conn[i])), pid[k]);
	}
	for (int i = 0; i < IDLE; i++)
		weir_checkin(&conn[i]);
	s = stats();
	assert_true(s.lost >= 1);
	assert_int_equal(s.closed[WEIR_CLOSE_BROKEN], s.lost);
	assert_string_equal(s.last_lost_sqlstate, sqlstate);
	assert_true(s.last_lost[0] != '\0');
	print_message("  %s: %llu lost, %llu condemned; \"%s\"\n", sqlstate,
	              (unsigned long long)s.lost,
	              (unsigned long long)s.closed[WEIR_CLOSE_CONDEMNED], s.last_lost);
}

/* ---- the deaths ---- */

static void terminate(int i)
{
	char sql[128];

	snprintf(sql, sizeof(sql), "select pg_terminate_backend(%d)", pid[i]);
	free(test_cluster_sql(cluster, 0, sql));
}

static void terminated(void)
{
	for (int i = 0; i < IDLE; i++)
		terminate(i);
	await_ends();
	borrowers_see_nothing("57P01");
}

static void stopped(void)
{
	assert_true(test_cluster_shut_down(cluster, 0, false));
	await_ends();
	assert_true(test_cluster_boot(cluster, 0));
	borrowers_see_nothing("57P01");
}

/* The server process of somebody else is killed: the postmaster ends all the others. */
static void crashed(void)
{
	PGconn *victim = PQconnectdb(test_cluster_superuser_url(cluster));

	assert_int_equal(PQstatus(victim), CONNECTION_OK);
	assert_int_equal(kill(PQbackendPID(victim), SIGKILL), 0);
	await_ends();
	PQfinish(victim);
	borrowers_see_nothing("57P02");
}

static void timed_out(void)
{
	await_ends();
	borrowers_see_nothing("57P05");
}

static void show(void (*death)(void), int64_t idle_session_timeout_ms)
{
	for (int mode = WEIR_PRE_PING_LOOK; mode >= WEIR_PRE_PING_OFF; mode--) {
		weir_options_init(&o);
		o.idle_session_timeout_ms = idle_session_timeout_ms;
		open_pool((weir_pre_ping)mode);
		death();
		close_pool();
	}
}

static void terminated_while_idle(void **state)
{
	(void)state;
	show(terminated, 0);
}

static _Atomic bool stands, holds;

/* The keeper stands still in the middle of the first loss. */
static void stand_still(void *arg, const weir_event *event)
{
	(void)arg;
	if (event->kind != WEIR_EVENT_LOST || !wi_load_acq(&holds))
		return;
	wi_store_rel(&stands, true);
	while (wi_load_acq(&holds))
		pause_ms(1);
}

/* Nobody else can have noticed: whoever comes finds all of them dead by himself. */
static void a_look_needs_no_keeper(void **state)
{
	weir_conn *conn = NULL;
	weir_error error;

	(void)state;
	weir_options_init(&o);
	o.on_event = stand_still;
	open_pool(WEIR_PRE_PING_LOOK);
	wi_store_rel(&holds, true);
	terminate(0);
	while (!wi_load_acq(&stands))
		pause_ms(1);
	for (int i = 1; i < IDLE; i++)
		terminate(i);
	await_ends();
	for (int i = 1; i < IDLE; i++)
		assert_int_equal(weir_pool_checkout(pool, 0, &conn, &error), WEIR_EXHAUSTED);
	wi_store_rel(&holds, false);
	borrowers_see_nothing("57P01");
	close_pool();
}

static void stopped_while_idle(void **state)
{
	(void)state;
	show(stopped, 0);
}

static void another_one_crashed(void **state)
{
	(void)state;
	show(crashed, 0);
}

static void idle_for_longer_than_the_server_takes(void **state)
{
	(void)state;
	/* More than a busy machine takes between a connect and the first use of it. */
	show(timed_out, 2000);
}

static int start(void **state)
{
	const struct test_cluster_options options = {.standbys = -1};

	(void)state;
	cluster = test_cluster_start_or_exit(&options);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	return test_cluster_stop(&cluster) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(terminated_while_idle),
		cmocka_unit_test(a_look_needs_no_keeper),
		cmocka_unit_test(stopped_while_idle),
		cmocka_unit_test(another_one_crashed),
		cmocka_unit_test(idle_for_longer_than_the_server_takes),
	};

	test_watchdog(280, "promise.17");
	return cmocka_run_group_tests(tests, start, finish);
}

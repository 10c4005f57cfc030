/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sessions of a pool in front of a real PostgreSQL: the server's own word for what is in force
 * and what one was left as, and that a forked child says nothing on them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

#include "base/rcu.h"
#include "support/cluster.h"
#include "support/served.h"
#include "support/watchdog.h"

/* ---- settings ---- */

static void timeouts_are_in_force_and_survive_discard_all(void **state)
{
	weir_conn *conn;

	(void)state;
	served.o.statement_timeout_ms = 12345;
	served.o.lock_timeout_ms = 2345;
	served.o.idle_in_transaction_timeout_ms = 34567;
	served.o.idle_session_timeout_ms = 4567890;
	assert_int_equal(weir_options_set(&served.o, "application_name", "weir pool test", NULL),
	                 WEIR_OK);
	served_open();
	conn = served_checkout();
	for (int i = 0; i < 2; i++) {
		assert_string_equal(served_ask(weir_pg(conn), "show statement_timeout"), "12345ms");
		assert_string_equal(served_ask(weir_pg(conn), "show lock_timeout"), "2345ms");
		assert_string_equal(
			served_ask(weir_pg(conn), "show idle_in_transaction_session_timeout"),
			"34567ms");
		assert_string_equal(served_ask(weir_pg(conn), "show idle_session_timeout"),
		                    "4567890ms");
		assert_string_equal(served_ask(weir_pg(conn), "show application_name"),
		                    "weir pool test");
		assert_string_equal(served_ask(weir_pg(conn), "set statement_timeout = 1"), "");
		assert_string_equal(served_ask(weir_pg(conn), "discard all"), "");
	}
	weir_checkin(&conn);
	served_close();
}

static void a_statement_that_takes_too_long_is_ended(void **state)
{
	weir_conn *conn;

	(void)state;
	served.o.statement_timeout_ms = 500;
	served_open();
	conn = served_checkout();
	assert_string_equal(served_ask(weir_pg(conn), "select pg_sleep(30)"), "57014");
	assert_string_equal(served_ask(weir_pg(conn), "select 1"), "1");
	weir_checkin(&conn);
	assert_int_equal(served_stats().opened, 1);
	served_close();
}

static void the_users_own_startup_options_win(void **state)
{
	weir_conn *conn;

	(void)state;
	served_open_at(served_with(
		"options=-c%20statement_timeout%3D7s%20-c%20work_mem%3D3MB&pool_max=3"));
	conn = served_checkout();
	assert_string_equal(served_ask(weir_pg(conn), "show statement_timeout"), "7s");
	assert_string_equal(served_ask(weir_pg(conn), "show work_mem"), "3MB");
	assert_string_equal(served_ask(weir_pg(conn), "show idle_in_transaction_session_timeout"),
	                    "1min");
	assert_int_equal(served_stats().max, 3);
	weir_checkin(&conn);
	served_close();
}

static void the_hook_runs_and_its_settings_last(void **state)
{
	weir_conn *conn;

	(void)state;
	served.o.pool_max = 1;
	assert_int_equal(
		weir_options_set(&served.o, "on_connect_sql", "set work_mem = '7MB'", NULL),
		WEIR_OK);
	assert_int_equal(weir_options_set(&served.o, "reset", "always", NULL), WEIR_OK);
	served_open();
	for (int i = 0; i < 3; i++) {
		conn = served_checkout();
		assert_string_equal(served_ask(weir_pg(conn), "show work_mem"), "7MB");
		served_ask(weir_pg(conn), "set work_mem = '9MB'");
		weir_checkin(&conn);
	}
	assert_int_equal(served_stats().opened, 1);
	served_close();
}

static void info_names_the_backend(void **state)
{
	weir_conn *conn;
	weir_conn_info info;
	char name[64];

	(void)state;
	served_open();
	conn = served_checkout();
	assert_int_equal(weir_conn_info_get(conn, &info), WEIR_OK);
	assert_int_equal(info.backend_pid,
	                 atoi(served_ask(weir_pg(conn), "select pg_backend_pid()")));
	snprintf(name, sizeof(name), "127.0.0.1:%d", test_cluster_port(served.cluster, 0));
	assert_string_equal(info.host, name);
	weir_checkin(&conn);
	served_close();
}

/* ---- what a session was left as ---- */

static const char *const leftovers[][2] = {
	/* what a user does, and what the next one must get when asking about it */
	{"create temp table mine (x int)", "select count(*) from pg_class where relname = 'mine'"},
	{"set search_path = pg_catalog",
         "select count(*) from regexp_matches(current_setting('search_path'), '^pg_c')"},
	{"prepare p as select 1", "select count(*) from pg_prepared_statements"},
	{"listen somewhere", "select count(*) from pg_listening_channels()"},
	{"select pg_advisory_lock(42)",
         "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"},
	{"declare c cursor with hold for select 1", "select count(*) from pg_cursors"},
	{"set role pg_read_all_stats",
         "select count(*) from (select 1 where current_user <> session_user) s"},
	{"create temp sequence seq", "select count(*) from pg_class where relname = 'seq'"},
};
#define LEFTOVERS (sizeof(leftovers) / sizeof(leftovers[0]))

static void always_leaves_nothing_of_a_session(void **state)
{
	weir_conn *conn;
	int pid;

	(void)state;
	served.o.pool_max = 1;
	assert_int_equal(weir_options_set(&served.o, "reset", "always", NULL), WEIR_OK);
	served_open();
	conn = served_checkout();
	pid = atoi(served_ask(weir_pg(conn), "select pg_backend_pid()"));
	for (size_t i = 0; i < LEFTOVERS; i++)
		served_ask(weir_pg(conn), leftovers[i][0]);
	assert_string_equal(served_ask(weir_pg(conn), leftovers[0][1]), "1");
	assert_string_equal(served_ask(weir_pg(conn), leftovers[4][1]), "1");
	weir_checkin(&conn);
	conn = served_checkout();
	assert_int_equal(atoi(served_ask(weir_pg(conn), "select pg_backend_pid()")), pid);
	for (size_t i = 0; i < LEFTOVERS; i++)
		if (strcmp(served_ask(weir_pg(conn), leftovers[i][1]), "0") != 0)
			fail_msg("after \"%s\" the next user sees it", leftovers[i][0]);
	weir_checkin(&conn);
	served_close();
}

static void a_reported_setting_that_changed_is_put_right(void **state)
{
	weir_conn *conn;
	char before[64];

	(void)state;
	served.o.pool_max = 1;
	served_open(); /* reset=tracked */
	conn = served_checkout();
	snprintf(before, sizeof(before), "%s", served_ask(weir_pg(conn), "show timezone"));
	served_ask(weir_pg(conn), "set timezone = 'Pacific/Chatham'");
	weir_checkin(&conn);
	conn = served_checkout();
	assert_string_equal(served_ask(weir_pg(conn), "show timezone"), before);
	weir_checkin(&conn);
	assert_int_equal(served_stats().opened, 1);
	served_close();
}

static void transactions_are_rolled_back(void **state)
{
	static const char *const ways[] = {
		"begin; create table left_behind (x int)",
		"begin; create table left_behind (x int); select 1/0",
		"begin; savepoint s; create table left_behind (x int)",
	};
	weir_conn *conn;

	(void)state;
	served.o.pool_max = 1;
	served_open();
	for (size_t i = 0; i < 3; i++) {
		conn = served_checkout();
		served_ask(weir_pg(conn), ways[i]);
		assert_true(PQtransactionStatus(weir_pg(conn)) >= PQTRANS_INTRANS);
		weir_checkin(&conn);
		conn = served_checkout();
		assert_int_equal(PQtransactionStatus(weir_pg(conn)), PQTRANS_IDLE);
		assert_string_equal(
			served_ask(weir_pg(conn), "select to_regclass('left_behind') is null"),
			"t");
		weir_checkin(&conn);
	}
	assert_int_equal(served_stats().opened, 1);
	served_close();
}

static void leave_copying(PGconn *pg)
{
	PQclear(PQexec(pg, "copy (select generate_series(1, 1000000)) to stdout"));
}

static void leave_asking(PGconn *pg)
{
	assert_true(PQsendQuery(pg, "select pg_sleep(60)"));
}

static void leave_rows_unread(PGconn *pg)
{
	assert_true(PQsendQuery(pg, "select generate_series(1, 100000)"));
	PQsetSingleRowMode(pg);
	PQclear(PQgetResult(pg));
}

static void leave_piping(PGconn *pg)
{
	assert_true(PQenterPipelineMode(pg));
	assert_true(PQsendQueryParams(pg, "select 1", 0, NULL, NULL, NULL, NULL, 0));
}

static void what_is_still_busy_is_stopped_or_closed(void **state)
{
	const struct {
		void (*leave)(PGconn *);
		bool kept;
	} ways[] = {
		{leave_copying, true},
		{leave_asking, true},
		{leave_rows_unread, true},
		{leave_piping, false},
	};
	weir_conn *conn;
	int pid;

	(void)state;
	served.o.pool_max = 1;
	served.o.cancel_timeout_ms = PATIENCE_MS;
	served_open();
	for (size_t i = 0; i < 4; i++) {
		conn = served_checkout();
		pid = PQbackendPID(weir_pg(conn));
		ways[i].leave(weir_pg(conn));
		weir_checkin(&conn);
		conn = served_checkout();
		assert_int_equal(PQbackendPID(weir_pg(conn)) == pid, ways[i].kept);
		assert_string_equal(served_ask(weir_pg(conn), "select 'clean'"), "clean");
		weir_checkin(&conn);
	}
	assert_int_equal(served_stats().closed[WEIR_CLOSE_BUSY], 1);
	served_close();
}

/* ---- fork ---- */

static void in_child(void (*body)(void))
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static weir_conn *held;

static void refuse_and_close(void)
{
	weir_conn *conn = NULL;

	if (weir_pool_checkout(served.pool, 1000, &conn, NULL) != WEIR_FORKED || weir_pg(held))
		_exit(1);
	weir_checkin(&held);
	if (weir_pool_close(&served.pool, 1000) != WEIR_OK)
		_exit(2);
}

static void reopen_and_use(void)
{
	weir_conn *conn[3];

	for (int i = 0; i < 3; i++)
		if (weir_pool_checkout(served.pool, PATIENCE_MS, &conn[i], NULL) != WEIR_OK ||
		    strcmp(served_ask(weir_pg(conn[i]), "select 1"), "1") != 0)
			_exit(1);
	for (int i = 0; i < 3; i++)
		weir_checkin(&conn[i]);
	if (weir_pool_close(&served.pool, PATIENCE_MS) != WEIR_OK)
		_exit(2);
}

/* The thread sanitizer ends a forked child that starts a thread, which reopening does. */
#ifdef WI_TSAN
#define FORKS 1
#else
#define FORKS 2
#endif

static void a_fork_says_nothing_on_the_parents_sockets(void **state)
{
	char pids[2][256];
	static const char *const query =
		"select string_agg(pid::text, ' ' order by pid) from pg_stat_activity "
		"where usename = 'app'";

	(void)state;
	for (int i = 0; i < FORKS; i++) {
		served_set_up(state);
		served.o.pool_min = served.o.pool_max = 3;
		served.o.fork = i ? WEIR_FORK_REOPEN : WEIR_FORK_REFUSE;
		served_open();
		held = served_checkout();
		while (served_stats().idle < 2)
			served_pause_ms(1);
		snprintf(pids[0], sizeof(pids[0]), "%s", served_ask(served.admin, query));
		in_child(i ? reopen_and_use : refuse_and_close);
		snprintf(pids[1], sizeof(pids[1]), "%s", served_ask(served.admin, query));
		assert_string_equal(pids[0], pids[1]);
		assert_string_equal(served_ask(weir_pg(held), "select 1"), "1");
		weir_checkin(&held);
		served_close();
	}
}

#define TEST(name) cmocka_unit_test_setup(name, served_set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(timeouts_are_in_force_and_survive_discard_all),
		TEST(a_statement_that_takes_too_long_is_ended),
		TEST(the_users_own_startup_options_win),
		TEST(the_hook_runs_and_its_settings_last),
		TEST(info_names_the_backend),
		TEST(always_leaves_nothing_of_a_session),
		TEST(a_reported_setting_that_changed_is_put_right),
		TEST(transactions_are_rolled_back),
		TEST(what_is_still_busy_is_stopped_or_closed),
		TEST(a_fork_says_nothing_on_the_parents_sockets),
	};

	test_watchdog(280, "pg.pool_session");
	return cmocka_run_group_tests(tests, served_start, served_finish);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cluster that other tests stand on: it is what it says, and its orders have the effect they
 * promise. The oracle is plain libpq. What is left of it is fixture_end_test.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/cluster.h"
#include "support/watchdog.h"

#define PATH_ROOM 4096

static struct test_cluster *shared;

static void check(struct test_cluster *cluster, bool done)
{
	if (!done)
		fail_msg("%s", test_cluster_error(cluster));
}

/* One value by the superuser. */
static void expect(struct test_cluster *cluster, int i, const char *sql, const char *wanted)
{
	char *text = test_cluster_sql(cluster, i, sql);

	check(cluster, text != NULL);
	assert_string_equal(text, wanted);
	free(text);
}

static void run(struct test_cluster *cluster, int i, const char *sql)
{
	char *text = test_cluster_sql(cluster, i, sql);

	check(cluster, text != NULL);
	free(text);
}

static char *password_of_app(const struct test_cluster *cluster)
{
	const char *from = strchr(test_cluster_url(cluster) + strlen("postgresql://"), ':') + 1;

	return strndup(from, strcspn(from, "@"));
}

/* A connection of app to one server; more is conninfo. Never NULL, not always open. */
static PGconn *log_in(const struct test_cluster *cluster, int i, const char *database,
                      const char *more)
{
	char *password = password_of_app(cluster), conninfo[2 * PATH_ROOM];

	snprintf(conninfo, sizeof(conninfo),
	         "host=127.0.0.1 port=%d user=app password=%s dbname=%s connect_timeout=20 %s",
	         test_cluster_port(cluster, i), password, database, more);
	free(password);
	return PQconnectdb(conninfo);
}

static bool can_log_in(const struct test_cluster *cluster, int i, const char *database,
                       const char *more)
{
	PGconn *conn = log_in(cluster, i, database, more);
	bool open = PQstatus(conn) == CONNECTION_OK;

	PQfinish(conn);
	return open;
}

/* Polls something that has no event to wait for; the watchdog bounds it as well. */
static bool becomes_true(bool (*holds)(const void *), const void *arg)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

	for (int i = 0; i < 3000; i++) {
		if (holds(arg))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* ---- it is what it says ---- */

static void the_standbys_stream_and_have_everything(void **state)
{
	(void)state;
	assert_int_equal(test_cluster_hosts(shared), 3);
	expect(shared, 0, "select pg_is_in_recovery()", "f");
	expect(shared, 1, "select pg_is_in_recovery()", "t");
	expect(shared, 2, "select pg_is_in_recovery()", "t");
	expect(shared, 0, "select count(*) from pg_stat_replication where state = 'streaming'",
	       "2");
	for (int i = 0; i < 3; i++)
		expect(shared, i, "select count(*) from items", "1000");
}

static void app_logs_in_with_its_password_only(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(can_log_in(shared, i, "shop", ""));
		assert_false(can_log_in(shared, i, "shop", "password=wrong"));
		assert_false(can_log_in(shared, i, "shop", "user=postgres password=''"));
	}
}

static void the_url_names_every_host(void **state)
{
	PGconn *conn = PQconnectdb(test_cluster_url(shared));
	char hosts[128];

	(void)state;
	assert_int_equal(PQstatus(conn), CONNECTION_OK);
	PQfinish(conn);
	snprintf(hosts, sizeof(hosts), "@127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d/shop",
	         test_cluster_port(shared, 0), test_cluster_port(shared, 1),
	         test_cluster_port(shared, 2));
	assert_non_null(strstr(test_cluster_url(shared), hosts));
	conn = PQconnectdb(test_cluster_superuser_url(shared));
	assert_int_equal(PQstatus(conn), CONNECTION_OK);
	assert_string_equal(PQparameterStatus(conn, "is_superuser"), "on");
	PQfinish(conn);
}

static void a_standby_refuses_to_write(void **state)
{
	PGconn *conn = log_in(shared, 1, "shop", "");
	PGresult *result = PQexec(conn, "insert into items values (0, 'x', 1)");

	(void)state;
	assert_string_equal(PQresultErrorField(result, PG_DIAG_SQLSTATE), "25006");
	PQclear(result);
	PQfinish(conn);
}

static void settings_and_limits_arrive(void **state)
{
	(void)state;
	expect(shared, 2, "show work_mem", "5MB");
	expect(shared, 1, "show max_connections", "50");
	expect(shared, 0, "select pg_has_role('app', 'pg_monitor', 'member')", "t");
}

static void sql_may_have_lines_and_quotes(void **state)
{
	(void)state;
	expect(shared, 0, "select 'a\"b\\c';\nselect '\xc3\xa9' || chr(10) || chr(9) || 'z'",
	       "a\"b\\c\n\xc3\xa9\n\tz");
}

static void a_failed_order_says_why_and_harms_nothing(void **state)
{
	(void)state;
	assert_null(test_cluster_sql(shared, 0, "select nonsense"));
	assert_non_null(strstr(test_cluster_error(shared), "nonsense"));
	assert_false(test_cluster_kill(shared, 7));
	assert_non_null(strstr(test_cluster_error(shared), "no server 7"));
	assert_false(test_cluster_resume(shared, 1));
	assert_false(test_cluster_certificate(shared, 1, "expired"));
	assert_false(test_cluster_follow(shared, 0));
	assert_false(test_cluster_rejoin(shared, 0));
	expect(shared, 0, "select 1", "1");
	assert_string_equal(test_cluster_error(shared), "");
}

/* ---- orders have their effect ---- */

static void sync_waits_for_every_standby(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		run(shared, 0, "update items set stock = stock + 1 where id = 1");
		check(shared, test_cluster_sync(shared));
		for (int i = 1; i < 3; i++) {
			char *on_primary =
				test_cluster_sql(shared, 0, "select stock from items where id = 1");

			check(shared, on_primary != NULL);
			expect(shared, i, "select stock from items where id = 1", on_primary);
			free(on_primary);
		}
	}
}

static bool one_has_the_row(const void *arg)
{
	char *text = test_cluster_sql(shared, 1, "select count(*) from items where id = 2001");
	bool has = text && strcmp(text, "1") == 0;

	(void)arg;
	free(text);
	return has;
}

static void paused_replay_holds_news_back(void **state)
{
	(void)state;
	check(shared, test_cluster_pause_replay(shared, 1));
	run(shared, 0, "insert into items values (2001, 'news', 1)");
	for (int i = 0; i < 5; i++)
		assert_false(one_has_the_row(NULL));
	check(shared, test_cluster_resume_replay(shared, 1));
	assert_true(becomes_true(one_has_the_row, NULL));
	run(shared, 0, "delete from items where id = 2001");
}

static void a_stopped_server_refuses_and_comes_back_on_its_port(void **state)
{
	(void)state;
	for (int immediate = 0; immediate < 2; immediate++) {
		check(shared, test_cluster_shut_down(shared, 2, immediate));
		assert_int_equal(test_cluster_pid(shared, 2), 0);
		assert_false(can_log_in(shared, 2, "shop", ""));
		check(shared, test_cluster_boot(shared, 2));
		assert_true(can_log_in(shared, 2, "shop", ""));
	}
	check(shared, test_cluster_sync(shared));
}

static void a_restart_cuts_connections(void **state)
{
	PGconn *conn = log_in(shared, 1, "shop", "");

	(void)state;
	assert_int_equal(PQstatus(conn), CONNECTION_OK);
	check(shared, test_cluster_restart(shared, 1));
	PQclear(PQexec(conn, "select 1"));
	assert_int_equal(PQstatus(conn), CONNECTION_BAD);
	PQfinish(conn);
	assert_true(can_log_in(shared, 1, "shop", ""));
	check(shared, test_cluster_sync(shared));
}

static void a_killed_server_is_gone_with_its_backends(void **state)
{
	PGconn *conn = log_in(shared, 2, "shop", "");
	int backend = PQbackendPID(conn);

	(void)state;
	check(shared, test_cluster_kill(shared, 2));
	assert_int_equal(kill(backend, 0), -1);
	assert_int_equal(errno, ESRCH);
	assert_false(can_log_in(shared, 2, "shop", ""));
	check(shared, test_cluster_boot(shared, 2));
	check(shared, test_cluster_sync(shared));
	PQfinish(conn);
}

/* Sends a query and says whether an answer comes within so many ms. */
static bool answers_within(PGconn *conn, int ms)
{
	struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};

	return poll(&fd, 1, ms) == 1;
}

static void a_paused_server_neither_answers_nor_breaks(void **state)
{
	PGconn *conn = log_in(shared, 1, "shop", "");
	PGresult *result;

	(void)state;
	check(shared, test_cluster_pause(shared, 1));
	assert_int_equal(PQsendQuery(conn, "select 7"), 1);
	assert_false(answers_within(conn, 300));
	assert_null(test_cluster_sql(shared, 1, "select 1"));
	check(shared, test_cluster_resume(shared, 1));
	result = PQgetResult(conn);
	assert_string_equal(PQgetvalue(result, 0, 0), "7");
	PQclear(result);
	PQfinish(conn);
	check(shared, test_cluster_sync(shared));
}

/* The last two: the cluster is another after them. */
static void a_failover_goes_round(void **state)
{
	struct test_cluster *cluster = shared;

	(void)state;
	check(cluster, test_cluster_kill(cluster, 0));
	check(cluster, test_cluster_promote(cluster, 1));
	run(cluster, 1, "insert into items values (3001, 'after', 1)");
	check(cluster, test_cluster_follow(cluster, 2));
	check(cluster, test_cluster_sync(cluster));
	expect(cluster, 2, "select name from items where id = 3001", "after");
	check(cluster, test_cluster_rejoin(cluster, 0));
	check(cluster, test_cluster_sync(cluster));
	expect(cluster, 0, "select name from items where id = 3001", "after");
	expect(cluster, 0, "select pg_is_in_recovery()", "t");
	expect(cluster, 1, "select count(*) from pg_stat_replication", "2");
}

static void two_may_be_primary_at_once(void **state)
{
	struct test_cluster *cluster = shared;

	(void)state;
	check(cluster, test_cluster_shut_down(cluster, 0, false));
	check(cluster, test_cluster_promote(cluster, 2));
	run(cluster, 1, "insert into items values (3002, 'old', 1)");
	run(cluster, 2, "insert into items values (3002, 'new', 1)");
	check(cluster, test_cluster_rejoin(cluster, 1));
	check(cluster, test_cluster_sync(cluster));
	expect(cluster, 1, "select name from items where id = 3002", "new");
}

/* ---- TLS ---- */

static bool verified(struct test_cluster *cluster, const char *mode, const char *root,
                     const char *more)
{
	char conninfo[PATH_ROOM];

	snprintf(conninfo, sizeof(conninfo), "sslmode=%s sslrootcert=%s %s", mode,
	         test_cluster_fact(cluster, root), more);
	return can_log_in(cluster, 0, "shop", conninfo);
}

static void a_careful_client_accepts_only_what_is_right(struct test_cluster *cluster)
{
	char crl[PATH_ROOM];

	assert_true(verified(cluster, "verify-full", "ca", ""));
	assert_false(verified(cluster, "verify-ca", "wrong_ca", ""));
	check(cluster, test_cluster_certificate(cluster, 0, "expired"));
	assert_false(verified(cluster, "verify-ca", "ca", ""));
	check(cluster, test_cluster_certificate(cluster, 0, "misnamed"));
	assert_true(verified(cluster, "verify-ca", "ca", ""));
	assert_false(verified(cluster, "verify-full", "ca", ""));
	check(cluster, test_cluster_certificate(cluster, 0, "server"));
	snprintf(crl, sizeof(crl), "sslcrl=%s", test_cluster_fact(cluster, "empty_crl"));
	assert_true(verified(cluster, "verify-full", "ca", crl));
	snprintf(crl, sizeof(crl), "sslcrl=%s", test_cluster_fact(cluster, "revoking_crl"));
	assert_false(verified(cluster, "verify-full", "ca", crl));
}

static void a_client_certificate_opens_the_vault(struct test_cluster *cluster)
{
	char with[PATH_ROOM];

	snprintf(with, sizeof(with), "sslmode=require sslcert=%s sslkey=%s",
	         test_cluster_fact(cluster, "client_cert"),
	         test_cluster_fact(cluster, "client_key"));
	assert_true(can_log_in(cluster, 1, "vault", with));
	assert_false(can_log_in(cluster, 1, "vault", "sslmode=require sslcert=none"));
	assert_false(can_log_in(cluster, 1, "vault", "sslmode=disable"));
}

static void tls_is_real(void **state)
{
	struct test_cluster_options options = {.standbys = 1, .tls = true};
	struct test_cluster *cluster = test_cluster_start_or_exit(&options);

	(void)state;
	a_careful_client_accepts_only_what_is_right(cluster);
	a_client_certificate_opens_the_vault(cluster);
	assert_true(can_log_in(cluster, 0, "shop", "sslmode=disable"));
	assert_true(test_cluster_stop(&cluster));
}

static void without_tls_there_is_none(void **state)
{
	(void)state;
	assert_false(can_log_in(shared, 0, "shop", "sslmode=require"));
	assert_null(test_cluster_fact(shared, "ca"));
}

/* Standbys apply late, so that a sync that does not wait is found out. */
static int start_shared(void **state)
{
	const char *const settings[] = {"work_mem=5MB", "recovery_min_apply_delay=200ms", NULL};
	struct test_cluster_options options = {
		.max_connections = 50, .monitor = true, .settings = settings};

	(void)state;
	shared = test_cluster_start_or_exit(&options);
	return 0;
}

static int stop_shared(void **state)
{
	(void)state;
	return test_cluster_stop(&shared) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest with_shared[] = {
		cmocka_unit_test(the_standbys_stream_and_have_everything),
		cmocka_unit_test(app_logs_in_with_its_password_only),
		cmocka_unit_test(the_url_names_every_host),
		cmocka_unit_test(a_standby_refuses_to_write),
		cmocka_unit_test(settings_and_limits_arrive),
		cmocka_unit_test(sql_may_have_lines_and_quotes),
		cmocka_unit_test(a_failed_order_says_why_and_harms_nothing),
		cmocka_unit_test(without_tls_there_is_none),
		cmocka_unit_test(sync_waits_for_every_standby),
		cmocka_unit_test(paused_replay_holds_news_back),
		cmocka_unit_test(a_stopped_server_refuses_and_comes_back_on_its_port),
		cmocka_unit_test(a_restart_cuts_connections),
		cmocka_unit_test(a_killed_server_is_gone_with_its_backends),
		cmocka_unit_test(a_paused_server_neither_answers_nor_breaks),
		cmocka_unit_test(a_failover_goes_round),
		cmocka_unit_test(two_may_be_primary_at_once),
	};
	const struct CMUnitTest with_its_own[] = {
		cmocka_unit_test(tls_is_real),
	};
	int failed;

	test_watchdog(280, "the tests of the fixture");
	failed = cmocka_run_group_tests(with_shared, start_shared, stop_shared);
	return failed + cmocka_run_group_tests(with_its_own, NULL, NULL);
}

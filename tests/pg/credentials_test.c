/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Passwords that change while a pool works, on a real server with SCRAM: from a callback, and from
 * a password file that libpq reads at each connect. What is open goes on; what is new uses the new
 * one; nothing is restarted.
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
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "support/cluster.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000

static struct test_cluster *cluster;
static weir_options o;
static weir_pool *pool;
static weir_error error;
static char conninfo[256];
static char passfile[256];

static _Atomic(const char *) password; /* what the callback says */
static _Atomic int asked;

static bool credentials(void *arg, const char *host, weir_login *login)
{
	(void)arg;
	(void)host;
	wi_add_rlx(&asked, 1);
	snprintf(login->user, sizeof(login->user), "rotating");
	snprintf(login->password, sizeof(login->password), "%s", wi_load_acq(&password));
	login->good_for_ms = PATIENCE_MS; /* a refusal ends that */
	return true;
}

static void sql(const char *text)
{
	char *rows = test_cluster_sql(cluster, 0, text);

	if (!rows)
		fail_msg("%s", test_cluster_error(cluster));
	free(rows);
}

static void write_passfile(const char *secret)
{
	FILE *f;

	snprintf(passfile, sizeof(passfile), "%s/rotating.pass", test_cluster_fact(cluster, "dir"));
	f = fopen(passfile, "w");
	assert_non_null(f);
	fchmod(fileno(f), 0600);
	fprintf(f, "*:*:*:rotating:%s\n", secret);
	fclose(f);
}

static int set_up(void **state)
{
	(void)state;
	sql("ALTER ROLE rotating PASSWORD 'first'");
	snprintf(conninfo, sizeof(conninfo), "host=127.0.0.1 port=%d dbname=shop user=rotating",
	         test_cluster_port(cluster, 0));
	weir_options_init(&o);
	o.pool_min = 0;
	wi_store_rlx(&asked, 0);
	return 0;
}

static weir_conn *checkout(void)
{
	weir_conn *conn = NULL;

	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return conn;
}

static void works(weir_conn *conn)
{
	PGresult *r = PQexec(weir_pg(conn), "SELECT current_user");

	assert_string_equal(PQgetvalue(r, 0, 0), "rotating");
	PQclear(r);
}

/* Until the server has read the line that lets this role in; the watchdog bounds it. */
static void await_entry(void)
{
	char with_password[320];

	for (bool in = false; !in;) {
		PGconn *pg;

		snprintf(with_password, sizeof(with_password),
		         "host=127.0.0.1 port=%d dbname=shop user=rotating password=first",
		         test_cluster_port(cluster, 0));
		pg = PQconnectdb(with_password);
		in = PQstatus(pg) == CONNECTION_OK;
		PQfinish(pg);
	}
}

/* Begins with the first password; `change` makes the second known to whoever connects. */
static void rotate(void (*change)(void))
{
	weir_conn *old, *new;
	weir_pool_stats s;

	assert_int_equal(weir_pool_open(conninfo, &o, &pool, &error), WEIR_OK);
	old = checkout();
	works(old);
	sql("ALTER ROLE rotating PASSWORD 'second'");
	change();
	new = checkout();
	works(new);
	works(old);
	weir_checkin(&old);
	weir_checkin(&new);
	weir_pool_stats_get(pool, &s);
	assert_int_equal(s.opened, 2);
	assert_int_equal(s.connect_failures, 0);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

static void callback_changes(void)
{
	wi_store_rel(&password, "second");
}

static void a_callback_knows_the_new_one(void **state)
{
	(void)state;
	wi_store_rel(&password, "first");
	o.on_credentials = credentials;
	rotate(callback_changes);
	assert_int_equal(wi_load_rlx(&asked), 2);
}

static void file_changes(void)
{
	write_passfile("second");
}

static void a_password_file_is_read_at_each_connect(void **state)
{
	size_t length = strlen(conninfo);

	(void)state;
	write_passfile("first");
	snprintf(conninfo + length, sizeof(conninfo) - length, " passfile='%s'", passfile);
	rotate(file_changes);
	unlink(passfile);
}

/* The server has it before the callback does: told as what it is, and mended without a restart. */
static void one_that_is_late_is_told_and_mended(void **state)
{
	weir_conn *conn = NULL, *old;

	(void)state;
	wi_store_rel(&password, "first");
	o.on_credentials = credentials;
	o.breaker_open_ms = 100;
	assert_int_equal(weir_pool_open(conninfo, &o, &pool, &error), WEIR_OK);
	old = checkout();
	sql("ALTER ROLE rotating PASSWORD 'second'");
	do /* the first may end before the server has said no */
		assert_int_equal(weir_pool_checkout(pool, 300, &conn, &error), WEIR_TIMEOUT);
	while (!strstr(error.text, "auth while connecting: "));
	assert_null(strstr(error.text, "first"));
	wi_store_rel(&password, "second");
	conn = checkout();
	works(conn);
	works(old);
	weir_checkin(&conn);
	weir_checkin(&old);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_callback_knows_the_new_one, set_up),
		cmocka_unit_test_setup(a_password_file_is_read_at_each_connect, set_up),
		cmocka_unit_test_setup(one_that_is_late_is_told_and_mended, set_up),
	};
	int failed;

	cluster = test_cluster_start_or_exit(&(struct test_cluster_options){.standbys = -1});
	test_watchdog(120, "pg.credentials");
	sql("CREATE ROLE rotating LOGIN PASSWORD 'first'");
	/* pg_hba.conf lets app in, and nobody else: a line for this role. */
	sql("COPY (SELECT 'host all rotating 127.0.0.1/32 scram-sha-256') "
	    "TO PROGRAM 'cat >> pg_hba.conf'");
	sql("SELECT pg_reload_conf()");
	await_entry();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	test_cluster_stop(&cluster);
	return failed;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pool in front of a real PostgreSQL: the server's own word for what is in force, how many
 * connections there are, and what a session was left as; and what users see when the server is
 * stopped, killed, paused or full.
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
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "support/cluster.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define SLACK_MS 2000 /* of a machine that runs other tests beside this one */

static struct test_cluster *cluster;
static PGconn *admin; /* superuser, in the database shop */
static weir_options o;
static weir_pool *pool;
static weir_error error;

/* ---- small words ---- */

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void check(bool done)
{
	if (!done)
		fail_msg("%s", test_cluster_error(cluster));
}

/* One value, or the error's SQLSTATE, or "" for no row. Good until the next call. */
static const char *ask(PGconn *pg, const char *sql)
{
	static char value[512];
	PGresult *r = PQexec(pg, sql);
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) > 0)
		snprintf(value, sizeof(value), "%s", PQgetvalue(r, 0, 0));
	else
		snprintf(value, sizeof(value), "%s",
		         state                                    ? state
		         : PQresultStatus(r) == PGRES_FATAL_ERROR ? "lost"
		                                                  : "");
	PQclear(r);
	return value;
}

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&o);
	o.pool_min = 0;
	memset(&error, 0, sizeof(error));
	return 0;
}

static void open_at(const char *url)
{
	if (weir_pool_open(url, &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

static void open_pool(void)
{
	open_at(test_cluster_url(cluster));
}

static void close_pool(void)
{
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
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

/* The url with parameters added. */
static const char *with(const char *parameters)
{
	static char url[2048];

	snprintf(url, sizeof(url), "%s%s%s", test_cluster_url(cluster),
	         strchr(test_cluster_url(cluster), '?') ? "&" : "?", parameters);
	return url;
}

static int backends(void)
{
	return atoi(
		ask(admin,
	            "select count(*) from pg_stat_activity where backend_type = 'client backend' "
	            "and pid <> pg_backend_pid()"));
}

/* ---- settings ---- */

static void timeouts_are_in_force_and_survive_discard_all(void **state)
{
	weir_conn *conn;

	(void)state;
	o.statement_timeout_ms = 12345;
	o.lock_timeout_ms = 2345;
	o.idle_in_transaction_timeout_ms = 34567;
	o.idle_session_timeout_ms = 4567890;
	assert_int_equal(weir_options_set(&o, "application_name", "weir pool test", NULL), WEIR_OK);
	open_pool();
	conn = checkout();
	for (int i = 0; i < 2; i++) {
		assert_string_equal(ask(weir_pg(conn), "show statement_timeout"), "12345ms");
		assert_string_equal(ask(weir_pg(conn), "show lock_timeout"), "2345ms");
		assert_string_equal(ask(weir_pg(conn), "show idle_in_transaction_session_timeout"),
		                    "34567ms");
		assert_string_equal(ask(weir_pg(conn), "show idle_session_timeout"), "4567890ms");
		assert_string_equal(ask(weir_pg(conn), "show application_name"), "weir pool test");
		assert_string_equal(ask(weir_pg(conn), "set statement_timeout = 1"), "");
		assert_string_equal(ask(weir_pg(conn), "discard all"), "");
	}
	weir_checkin(&conn);
	close_pool();
}

static void a_statement_that_takes_too_long_is_ended(void **state)
{
	weir_conn *conn;

	(void)state;
	o.statement_timeout_ms = 500;
	open_pool();
	conn = checkout();
	assert_string_equal(ask(weir_pg(conn), "select pg_sleep(30)"), "57014");
	assert_string_equal(ask(weir_pg(conn), "select 1"), "1");
	weir_checkin(&conn);
	assert_int_equal(stats().opened, 1);
	close_pool();
}

static void the_users_own_startup_options_win(void **state)
{
	weir_conn *conn;

	(void)state;
	open_at(with("options=-c%20statement_timeout%3D7s%20-c%20work_mem%3D3MB&pool_max=3"));
	conn = checkout();
	assert_string_equal(ask(weir_pg(conn), "show statement_timeout"), "7s");
	assert_string_equal(ask(weir_pg(conn), "show work_mem"), "3MB");
	assert_string_equal(ask(weir_pg(conn), "show idle_in_transaction_session_timeout"), "1min");
	assert_int_equal(stats().max, 3);
	weir_checkin(&conn);
	close_pool();
}

static void the_hook_runs_and_its_settings_last(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pool_max = 1;
	assert_int_equal(weir_options_set(&o, "on_connect_sql", "set work_mem = '7MB'", NULL),
	                 WEIR_OK);
	assert_int_equal(weir_options_set(&o, "reset", "always", NULL), WEIR_OK);
	open_pool();
	for (int i = 0; i < 3; i++) {
		conn = checkout();
		assert_string_equal(ask(weir_pg(conn), "show work_mem"), "7MB");
		ask(weir_pg(conn), "set work_mem = '9MB'");
		weir_checkin(&conn);
	}
	assert_int_equal(stats().opened, 1);
	close_pool();
}

static void info_names_the_backend(void **state)
{
	weir_conn *conn;
	weir_conn_info info;
	char name[64];

	(void)state;
	open_pool();
	conn = checkout();
	assert_int_equal(weir_conn_info_get(conn, &info), WEIR_OK);
	assert_int_equal(info.backend_pid, atoi(ask(weir_pg(conn), "select pg_backend_pid()")));
	snprintf(name, sizeof(name), "127.0.0.1:%d", test_cluster_port(cluster, 0));
	assert_string_equal(info.host, name);
	weir_checkin(&conn);
	close_pool();
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
	o.pool_max = 1;
	assert_int_equal(weir_options_set(&o, "reset", "always", NULL), WEIR_OK);
	open_pool();
	conn = checkout();
	pid = atoi(ask(weir_pg(conn), "select pg_backend_pid()"));
	for (size_t i = 0; i < LEFTOVERS; i++)
		ask(weir_pg(conn), leftovers[i][0]);
	assert_string_equal(ask(weir_pg(conn), leftovers[0][1]), "1");
	assert_string_equal(ask(weir_pg(conn), leftovers[4][1]), "1");
	weir_checkin(&conn);
	conn = checkout();
	assert_int_equal(atoi(ask(weir_pg(conn), "select pg_backend_pid()")), pid);
	for (size_t i = 0; i < LEFTOVERS; i++)
		if (strcmp(ask(weir_pg(conn), leftovers[i][1]), "0") != 0)
			fail_msg("after \"%s\" the next user sees it", leftovers[i][0]);
	weir_checkin(&conn);
	close_pool();
}

static void a_reported_setting_that_changed_is_put_right(void **state)
{
	weir_conn *conn;
	char before[64];

	(void)state;
	o.pool_max = 1;
	open_pool(); /* reset=tracked */
	conn = checkout();
	snprintf(before, sizeof(before), "%s", ask(weir_pg(conn), "show timezone"));
	ask(weir_pg(conn), "set timezone = 'Pacific/Chatham'");
	weir_checkin(&conn);
	conn = checkout();
	assert_string_equal(ask(weir_pg(conn), "show timezone"), before);
	weir_checkin(&conn);
	assert_int_equal(stats().opened, 1);
	close_pool();
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
	o.pool_max = 1;
	open_pool();
	for (size_t i = 0; i < 3; i++) {
		conn = checkout();
		ask(weir_pg(conn), ways[i]);
		assert_true(PQtransactionStatus(weir_pg(conn)) >= PQTRANS_INTRANS);
		weir_checkin(&conn);
		conn = checkout();
		assert_int_equal(PQtransactionStatus(weir_pg(conn)), PQTRANS_IDLE);
		assert_string_equal(ask(weir_pg(conn), "select to_regclass('left_behind') is null"),
		                    "t");
		weir_checkin(&conn);
	}
	assert_int_equal(stats().opened, 1);
	close_pool();
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
	o.pool_max = 1;
	o.cancel_timeout_ms = PATIENCE_MS;
	open_pool();
	for (size_t i = 0; i < 4; i++) {
		conn = checkout();
		pid = PQbackendPID(weir_pg(conn));
		ways[i].leave(weir_pg(conn));
		weir_checkin(&conn);
		conn = checkout();
		assert_int_equal(PQbackendPID(weir_pg(conn)) == pid, ways[i].kept);
		assert_string_equal(ask(weir_pg(conn), "select 'clean'"), "clean");
		weir_checkin(&conn);
	}
	assert_int_equal(stats().closed[WEIR_CLOSE_BUSY], 1);
	close_pool();
}

/* ---- how many ---- */

static _Atomic int most_backends;

/* As ask, from any thread. */
static bool answers(PGconn *pg)
{
	PGresult *r = PQexec(pg, "select 1");
	bool right = PQresultStatus(r) == PGRES_TUPLES_OK;

	PQclear(r);
	return right;
}

static void hammer(struct test_thread *self)
{
	while (!wi_load_rlx(self->stop)) {
		weir_conn *conn = NULL;
		weir_error e;
		int64_t begun = wi_now_ns(), late;
		int64_t ms = wi_rng_below(&self->rng, 4) ? PATIENCE_MS : 2;
		weir_status st = weir_pool_checkout(pool, ms, &conn, &e);

		late = wi_now_ns() - begun - ms * WI_MS;
		if (st != WEIR_OK && (st != WEIR_TIMEOUT || ms == PATIENCE_MS))
			test_wrong(self, "%s: %s", weir_status_name(st), e.text);
		if (late > SLACK_MS * WI_MS)
			test_wrong(self, "%lld ms after the deadline", (long long)(late / WI_MS));
		if (st != WEIR_OK)
			continue;
		self->count[0]++;
		if (!answers(weir_pg(conn)))
			test_wrong(self, "a query failed");
		if (wi_rng_below(&self->rng, 20) == 0)
			weir_discard(&conn);
		else
			weir_checkin(&conn);
	}
}

static void sample(struct test_thread *self)
{
	PGconn *pg = PQconnectdb(test_cluster_superuser_url(cluster));

	while (!wi_load_rlx(self->stop)) {
		PGresult *r = PQexec(
			pg,
			"select count(*) from pg_stat_activity where backend_type = 'client backend' "
			"and usename = 'app'");
		int n = PQntuples(r) ? atoi(PQgetvalue(r, 0, 0)) : -1;

		PQclear(r);
		if (n < 0)
			test_wrong(self, "cannot ask the server: %s", PQerrorMessage(pg));
		if (n > wi_load_rlx(&most_backends))
			wi_store_rlx(&most_backends, n);
		self->count[1]++;
	}
	PQfinish(pg);
}

static void hammer_or_sample(struct test_thread *self)
{
	if (self->number < 64)
		hammer(self);
	else
		sample(self);
}

static void the_server_never_sees_more_than_the_maximum(void **state)
{
	static struct test_thread reports[65];

	(void)state;
	/*
	 * Sampling sees what it sees; with this the server itself refuses a ninth, whenever it may
	 * come.
	 */
	assert_string_equal(ask(admin, "alter role app connection limit 8"), "");
	o.pool_max = 8;
	open_pool();
	wi_store_rlx(&most_backends, 0);
	test_threads_run(65, hammer_or_sample, NULL, test_seconds(5), reports);
	ask(admin, "alter role app connection limit -1");
	assert_null(test_first_wrong(reports, 65));
	printf("%llu checkouts, %llu samples, at most %d backends, %llu discarded\n",
	       (unsigned long long)test_sum(reports, 64, 0),
	       (unsigned long long)reports[64].count[1], wi_load_rlx(&most_backends),
	       (unsigned long long)stats().closed[WEIR_CLOSE_DISCARDED]);
	assert_true(wi_load_rlx(&most_backends) <= 8);
	assert_true(wi_load_rlx(&most_backends) > 1);
	if (stats().connect_failures)
		fail_msg("%s", stats().last_connect_error);
	assert_true(stats().closed[WEIR_CLOSE_DISCARDED] > 0);
	assert_int_equal(stats().checkouts, test_sum(reports, 64, 0));
	assert_int_equal(stats().checkins, stats().checkouts);
	close_pool();
	assert_int_equal(backends(), 0); /* close waited for the goodbyes */
}

static void use_for_50_ms(struct test_thread *self)
{
	weir_conn *conn = NULL;
	weir_error e;
	weir_status st = weir_pool_checkout(pool, PATIENCE_MS, &conn, &e);

	if (st != WEIR_OK)
		test_wrong(self, "%s: %s", weir_status_name(st), e.text);
	pause_ms(50);
	weir_checkin(&conn);
}

static void a_server_with_no_more_room_is_lived_with(void **state)
{
	struct test_thread reports[6];

	(void)state;
	assert_string_equal(ask(admin, "alter role app connection limit 2"), "");
	o.pool_max = 6;
	open_pool();
	test_threads_run(6, use_for_50_ms, NULL, -1, reports);
	ask(admin, "alter role app connection limit -1");
	assert_null(test_first_wrong(reports, 6));
	assert_true(stats().opened <= 2);
	close_pool();
}

/* ---- faults ---- */

static void await_lost(uint64_t n)
{
	while (stats().closed[WEIR_CLOSE_BROKEN] < n)
		pause_ms(1);
}

static void killed_while_idle_is_seen_by_nobody(void **state)
{
	weir_conn *conn[4];

	(void)state;
	o.pool_min = o.pool_max = 4;
	open_pool();
	for (int i = 0; i < 4; i++)
		conn[i] = checkout();
	for (int i = 0; i < 4; i++)
		weir_checkin(&conn[i]);
	for (uint64_t round = 1; round <= 10; round++) {
		ask(admin,
		    "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'app'");
		await_lost(4 * round);
		for (int i = 0; i < 4; i++) {
			conn[i] = checkout();
			assert_string_equal(ask(weir_pg(conn[i]), "select 1"), "1");
		}
		for (int i = 0; i < 4; i++)
			weir_checkin(&conn[i]);
		while (stats().idle < 4)
			pause_ms(1);
	}
	close_pool();
}

static void killed_in_use_is_the_holders_and_nobody_elses(void **state)
{
	weir_conn *conn;

	(void)state;
	o.pool_max = 1;
	open_pool();
	conn = checkout();
	ask(weir_pg(conn), "select pg_terminate_backend(pg_backend_pid())");
	assert_int_equal(PQstatus(weir_pg(conn)), CONNECTION_BAD);
	weir_checkin(&conn);
	conn = checkout();
	assert_string_equal(ask(weir_pg(conn), "select 1"), "1");
	weir_checkin(&conn);
	assert_int_equal(stats().closed[WEIR_CLOSE_BROKEN], 1);
	close_pool();
}

static const char *password(void)
{
	static char copy[256];
	const char *from = strchr(test_cluster_url(cluster) + strlen("postgresql://"), ':') + 1;

	snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(from, "@"), from);
	return copy;
}

/* A checkout that must fail so, soon, and without telling the secret. */
static void refused(const char *conninfo, weir_status expected, const char *sqlstate,
                    const char *words)
{
	weir_conn *conn = NULL;
	int64_t begun = wi_now_ns();

	open_at(conninfo);
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), expected);
	assert_null(conn);
	assert_true(wi_now_ns() - begun < PATIENCE_MS / 2 * WI_MS);
	assert_string_equal(error.sqlstate, sqlstate);
	if (!strstr(error.text, words))
		fail_msg("\"%s\" does not say \"%s\"", error.text, words);
	assert_null(strstr(error.text, "wr0ng"));
	assert_null(strstr(error.text, password()));
	assert_null(strstr(stats().last_connect_error, "wr0ng"));
	close_pool();
}

static const char *conninfo(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *conninfo(const char *format, ...)
{
	static char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return text;
}

static void what_the_server_refuses_is_told_at_once(void **state)
{
	int port = test_cluster_port(cluster, 0);

	(void)state;
	refused(conninfo("postgresql://app:wr0ng@127.0.0.1:%d/shop", port), WEIR_AUTH, "28P01",
	        "password authentication failed for user \"app\"");
	refused(conninfo("postgresql://nobody:wr0ng@127.0.0.1:%d/shop", port), WEIR_AUTH, "28000",
	        "nobody");
	refused(conninfo("postgresql://app:%s@127.0.0.1:%d/nowhere", password(), port),
	        WEIR_CONNECT, "3D000", "database \"nowhere\" does not exist");
	refused(conninfo("postgresql://app:%s@127.0.0.1:%d/shop?on_connect_sql=select%%20nonsense",
	                 password(), port),
	        WEIR_CONNECT, "42703", "on_connect_sql failed");
}

static void who_is_not_there_is_told(void **state)
{
	(void)state;
	refused("postgresql://app:wr0ng@127.0.0.1:1/shop", WEIR_CONNECT, "", "refused");
	refused("postgresql://app:wr0ng@does-not-exist.invalid/shop", WEIR_CONNECT, "",
	        "cannot look up \"does-not-exist.invalid\"");
}

static void a_name_is_looked_up(void **state)
{
	weir_conn *conn;

	(void)state;
	open_at(conninfo("postgresql://app:%s@localhost:%d/shop", password(),
	                 test_cluster_port(cluster, 0)));
	conn = checkout();
	assert_string_equal(ask(weir_pg(conn), "select 1"), "1");
	weir_checkin(&conn);
	close_pool();
}

static void log_in_as_admin(void)
{
	PQfinish(admin);
	admin = PQconnectdb(test_cluster_superuser_url(cluster));
	assert_int_equal(PQstatus(admin), CONNECTION_OK);
}

/* Checks out until it works again; the statuses in between are those of an outage. */
static void await_recovery(void)
{
	weir_status st;
	weir_conn *conn = NULL;

	while ((st = weir_pool_checkout(pool, 2000, &conn, &error)) != WEIR_OK) {
		if (st != WEIR_CONNECT && st != WEIR_TIMEOUT)
			fail_msg("%s: %s", weir_status_name(st), error.text);
		pause_ms(10);
	}
	assert_string_equal(ask(weir_pg(conn), "select 1"), "1");
	weir_checkin(&conn);
}

static void outage(bool (*down)(struct test_cluster *, int))
{
	weir_conn *conn = NULL;

	o.pool_min = 2;
	open_pool();
	conn = checkout();
	weir_checkin(&conn);
	check(down(cluster, 0));
	await_lost(1);
	while (weir_pool_checkout(pool, 1000, &conn, &error) == WEIR_OK)
		weir_discard(&conn); /* one that died without the keeper's having heard of it yet */
	assert_true(error.status == WEIR_CONNECT || error.status == WEIR_TIMEOUT);
	check(test_cluster_boot(cluster, 0));
	await_recovery();
	assert_false(stats().breaker_open);
	close_pool();
	log_in_as_admin();
}

static bool stop(struct test_cluster *c, int i)
{
	return test_cluster_shut_down(c, i, false);
}

static void a_pool_outlives_its_server(void **state)
{
	(void)state;
	outage(stop);
	set_up(state);
	outage(test_cluster_kill);
}

/* A stopped server accepts connections and answers nothing; nothing but a deadline helps. */
static void a_paused_server_costs_no_more_than_the_deadline(void **state)
{
	weir_conn *conn = NULL;
	int64_t begun;

	(void)state;
	o.pool_min = 1;
	o.pool_max = 2;
	o.validate_after_ms = 10;
	o.keepalive_ms = 0;
	o.connect_timeout_ms = 1000;
	open_pool();
	conn = checkout();
	weir_checkin(&conn);
	pause_ms(100); /* idle for long enough to be checked before use */
	check(test_cluster_pause(cluster, 0));
	for (int i = 0; i < 3; i++) {
		weir_status st;

		begun = wi_now_ns();
		st = weir_pool_checkout(pool, 300, &conn, &error);
		if (st != WEIR_TIMEOUT && st != WEIR_CONNECT)
			fail_msg("%s", weir_status_name(st));
		assert_true(wi_now_ns() - begun < (300 + SLACK_MS) * WI_MS);
	}
	check(test_cluster_resume(cluster, 0));
	await_recovery();
	close_pool();
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

	if (weir_pool_checkout(pool, 1000, &conn, NULL) != WEIR_FORKED || weir_pg(held))
		_exit(1);
	weir_checkin(&held);
	if (weir_pool_close(&pool, 1000) != WEIR_OK)
		_exit(2);
}

static void reopen_and_use(void)
{
	weir_conn *conn[3];

	for (int i = 0; i < 3; i++)
		if (weir_pool_checkout(pool, PATIENCE_MS, &conn[i], NULL) != WEIR_OK ||
		    strcmp(ask(weir_pg(conn[i]), "select 1"), "1") != 0)
			_exit(1);
	for (int i = 0; i < 3; i++)
		weir_checkin(&conn[i]);
	if (weir_pool_close(&pool, PATIENCE_MS) != WEIR_OK)
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
		set_up(state);
		o.pool_min = o.pool_max = 3;
		o.fork = i ? WEIR_FORK_REOPEN : WEIR_FORK_REFUSE;
		open_pool();
		held = checkout();
		while (stats().idle < 2)
			pause_ms(1);
		snprintf(pids[0], sizeof(pids[0]), "%s", ask(admin, query));
		in_child(i ? reopen_and_use : refuse_and_close);
		snprintf(pids[1], sizeof(pids[1]), "%s", ask(admin, query));
		assert_string_equal(pids[0], pids[1]);
		assert_string_equal(ask(weir_pg(held), "select 1"), "1");
		weir_checkin(&held);
		close_pool();
	}
}

/* ---- */

static int start(void **state)
{
	struct test_cluster_options options = {.standbys = -1, .max_connections = 40};

	(void)state;
	cluster = test_cluster_start_or_exit(&options);
	log_in_as_admin();
	return 0;
}

static int finish(void **state)
{
	(void)state;
	PQfinish(admin);
	return test_cluster_stop(&cluster) ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

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
		TEST(the_server_never_sees_more_than_the_maximum),
		TEST(a_server_with_no_more_room_is_lived_with),
		TEST(killed_while_idle_is_seen_by_nobody),
		TEST(killed_in_use_is_the_holders_and_nobody_elses),
		TEST(what_the_server_refuses_is_told_at_once),
		TEST(who_is_not_there_is_told),
		TEST(a_name_is_looked_up),
		TEST(a_pool_outlives_its_server),
		TEST(a_paused_server_costs_no_more_than_the_deadline),
		TEST(a_fork_says_nothing_on_the_parents_sockets),
	};

	test_watchdog(280, "pg.pool");
	return cmocka_run_group_tests(tests, start, finish);
}

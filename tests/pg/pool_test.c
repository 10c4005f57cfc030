/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pool in front of a real PostgreSQL: how many connections there are by the server's own word,
 * and what users see when the server is stopped, killed, paused or full.
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

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/cluster.h"
#include "support/process.h"
#include "support/served.h"
#include "support/threads.h"
#include "support/watchdog.h"

/* Of a machine that runs other tests, besides what a thread waits for a processor. */
#define SLACK_MS 2000

static void check(bool done)
{
	if (!done)
		fail_msg("%s", test_cluster_error(served.cluster));
}

static int backends(void)
{
	return atoi(served_ask(
		served.admin,
		"select count(*) from pg_stat_activity where backend_type = 'client backend' "
		"and pid <> pg_backend_pid()"));
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
		int64_t begun = wi_now_ns(), ready = test_ready_ns(), late;
		int64_t ms = wi_rng_below(&self->rng, 4) ? PATIENCE_MS : 2;
		weir_status st = weir_pool_checkout(served.pool, ms, &conn, &e);

		late = wi_now_ns() - begun - ms * WI_MS - (test_ready_ns() - ready);
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
	PGconn *pg = PQconnectdb(test_cluster_superuser_url(served.cluster));

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
	uint64_t checkouts = 0, samples = 0;

	(void)state;
	/*
	 * Sampling sees what it sees; with this the server itself refuses a ninth, whenever it may
	 * come.
	 */
	assert_string_equal(served_ask(served.admin, "alter role app connection limit 8"), "");
	served.o.pool_max = 8;
	served_open();
	wi_store_rlx(&most_backends, 0);
	/* On a slow machine once more, until there was something to see. */
	do {
		test_threads_run(65, hammer_or_sample, NULL, test_seconds(3), reports);
		checkouts += test_sum(reports, 64, 0);
		samples += reports[64].count[1];
	} while (!test_first_wrong(reports, 65) &&
	         (wi_load_rlx(&most_backends) < 2 || !served_stats().closed[WEIR_CLOSE_DISCARDED]));
	served_ask(served.admin, "alter role app connection limit -1");
	assert_null(test_first_wrong(reports, 65));
	printf("%llu checkouts, %llu samples, at most %d backends, %llu discarded\n",
	       (unsigned long long)checkouts, (unsigned long long)samples,
	       wi_load_rlx(&most_backends),
	       (unsigned long long)served_stats().closed[WEIR_CLOSE_DISCARDED]);
	assert_true(wi_load_rlx(&most_backends) <= 8);
	if (served_stats().connect_failures)
		fail_msg("%s", served_stats().last_connect_error);
	assert_int_equal(served_stats().checkouts, checkouts);
	assert_int_equal(served_stats().checkins, served_stats().checkouts);
	served_close();
	assert_int_equal(backends(), 0); /* close waited for the goodbyes */
}

static void use_for_50_ms(struct test_thread *self)
{
	weir_conn *conn = NULL;
	weir_error e;
	weir_status st = weir_pool_checkout(served.pool, PATIENCE_MS, &conn, &e);

	if (st != WEIR_OK)
		test_wrong(self, "%s: %s", weir_status_name(st), e.text);
	served_pause_ms(50);
	weir_checkin(&conn);
}

static void a_server_with_no_more_room_is_lived_with(void **state)
{
	struct test_thread reports[6];

	(void)state;
	assert_string_equal(served_ask(served.admin, "alter role app connection limit 2"), "");
	served.o.pool_max = 6;
	served_open();
	test_threads_run(6, use_for_50_ms, NULL, -1, reports);
	served_ask(served.admin, "alter role app connection limit -1");
	assert_null(test_first_wrong(reports, 6));
	assert_true(served_stats().opened <= 2);
	served_close();
}

/* ---- faults ---- */

static void await_lost(uint64_t n)
{
	while (served_stats().closed[WEIR_CLOSE_BROKEN] < n)
		served_pause_ms(1);
}

static void killed_while_idle_is_seen_by_nobody(void **state)
{
	weir_conn *conn[4];

	(void)state;
	served.o.pool_min = served.o.pool_max = 4;
	served_open();
	for (int i = 0; i < 4; i++)
		conn[i] = served_checkout();
	for (int i = 0; i < 4; i++)
		weir_checkin(&conn[i]);
	for (uint64_t round = 1; round <= 10; round++) {
		served_ask(
			served.admin,
			"select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'app'");
		await_lost(4 * round);
		for (int i = 0; i < 4; i++) {
			conn[i] = served_checkout();
			assert_string_equal(served_ask(weir_pg(conn[i]), "select 1"), "1");
		}
		for (int i = 0; i < 4; i++)
			weir_checkin(&conn[i]);
		while (served_stats().idle < 4)
			served_pause_ms(1);
	}
	served_close();
}

static void killed_in_use_is_the_holders_and_nobody_elses(void **state)
{
	weir_conn *conn;

	(void)state;
	served.o.pool_max = 1;
	served_open();
	conn = served_checkout();
	served_ask(weir_pg(conn), "select pg_terminate_backend(pg_backend_pid())");
	assert_int_equal(PQstatus(weir_pg(conn)), CONNECTION_BAD);
	weir_checkin(&conn);
	conn = served_checkout();
	assert_string_equal(served_ask(weir_pg(conn), "select 1"), "1");
	weir_checkin(&conn);
	assert_int_equal(served_stats().closed[WEIR_CLOSE_BROKEN], 1);
	served_close();
}

static const char *password(void)
{
	static char copy[256];
	const char *from =
		strchr(test_cluster_url(served.cluster) + strlen("postgresql://"), ':') + 1;

	snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(from, "@"), from);
	return copy;
}

/* A checkout that must fail so, soon, and without telling the secret. */
static void refused(const char *conninfo, weir_status expected, const char *sqlstate,
                    const char *words)
{
	weir_conn *conn = NULL;
	int64_t begun = wi_now_ns();

	served_open_at(conninfo);
	assert_int_equal(weir_pool_checkout(served.pool, PATIENCE_MS, &conn, &served.error),
	                 expected);
	assert_null(conn);
	assert_true(wi_now_ns() - begun < PATIENCE_MS / 2 * WI_MS);
	assert_string_equal(served.error.sqlstate, sqlstate);
	if (!strstr(served.error.text, words))
		fail_msg("\"%s\" does not say \"%s\"", served.error.text, words);
	assert_null(strstr(served.error.text, "wr0ng"));
	assert_null(strstr(served.error.text, password()));
	assert_null(strstr(served_stats().last_connect_error, "wr0ng"));
	served_close();
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
	int port = test_cluster_port(served.cluster, 0);

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
	served_open_at(conninfo("postgresql://app:%s@localhost:%d/shop", password(),
	                        test_cluster_port(served.cluster, 0)));
	conn = served_checkout();
	assert_string_equal(served_ask(weir_pg(conn), "select 1"), "1");
	weir_checkin(&conn);
	served_close();
}

/* Checks out until it works again; the statuses in between are those of an outage. */
static void await_recovery(void)
{
	weir_status st;
	weir_conn *conn = NULL;

	while ((st = weir_pool_checkout(served.pool, 2000, &conn, &served.error)) != WEIR_OK) {
		if (st != WEIR_CONNECT && st != WEIR_TIMEOUT)
			fail_msg("%s: %s", weir_status_name(st), served.error.text);
		served_pause_ms(10);
	}
	assert_string_equal(served_ask(weir_pg(conn), "select 1"), "1");
	weir_checkin(&conn);
}

static void outage(bool (*down)(struct test_cluster *, int))
{
	weir_conn *conn = NULL;

	served.o.pool_min = 2;
	served_open();
	conn = served_checkout();
	weir_checkin(&conn);
	check(down(served.cluster, 0));
	await_lost(1);
	while (weir_pool_checkout(served.pool, 1000, &conn, &served.error) == WEIR_OK)
		weir_discard(&conn); /* one that died without the keeper's having heard of it yet */
	assert_true(served.error.status == WEIR_CONNECT || served.error.status == WEIR_TIMEOUT);
	check(test_cluster_boot(served.cluster, 0));
	await_recovery();
	assert_false(served_stats().breaker_open);
	served_close();
	served_log_in();
}

static bool stop(struct test_cluster *c, int i)
{
	return test_cluster_shut_down(c, i, false);
}

static void a_pool_outlives_its_server(void **state)
{
	(void)state;
	outage(stop);
	served_set_up(state);
	outage(test_cluster_kill);
}

/* A stopped server accepts connections and answers nothing; nothing but a deadline helps. */
static void a_paused_server_costs_no_more_than_the_deadline(void **state)
{
	weir_conn *conn = NULL;
	int64_t begun;

	(void)state;
	served.o.pool_min = 1;
	served.o.pool_max = 2;
	served.o.validate_after_ms = 10;
	served.o.keepalive_ms = 0;
	served.o.connect_timeout_ms = 1000;
	served_open();
	conn = served_checkout();
	weir_checkin(&conn);
	served_pause_ms(100); /* idle for long enough to be checked before use */
	check(test_cluster_pause(served.cluster, 0));
	for (int i = 0; i < 3; i++) {
		weir_status st;

		begun = wi_now_ns() + test_ready_ns();
		st = weir_pool_checkout(served.pool, 300, &conn, &served.error);
		if (st != WEIR_TIMEOUT && st != WEIR_CONNECT)
			fail_msg("%s", weir_status_name(st));
		assert_true(wi_now_ns() - test_ready_ns() - begun < (300 + SLACK_MS) * WI_MS);
	}
	check(test_cluster_resume(served.cluster, 0));
	await_recovery();
	served_close();
}

#define TEST(name) cmocka_unit_test_setup(name, served_set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_server_never_sees_more_than_the_maximum),
		TEST(a_server_with_no_more_room_is_lived_with),
		TEST(killed_while_idle_is_seen_by_nobody),
		TEST(killed_in_use_is_the_holders_and_nobody_elses),
		TEST(what_the_server_refuses_is_told_at_once),
		TEST(who_is_not_there_is_told),
		TEST(a_name_is_looked_up),
		TEST(a_pool_outlives_its_server),
		TEST(a_paused_server_costs_no_more_than_the_deadline),
	};

	test_watchdog(280, "pg.pool");
	return cmocka_run_group_tests(tests, served_start, served_finish);
}

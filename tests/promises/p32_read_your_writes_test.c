/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 32: a read by the token of one's own write is served by a standby only when that has
 * replayed so far; else it waits, no longer than its deadline, or goes to the primary. On real
 * servers: one standby's replay is paused; commits end wherever in the log they like, at the end of
 * a page, too, are asynchronous or not, and every standby that is idle and has everything reaches
 * every one of their tokens.
 *
 * TEST_ROUNDS: how many commits: 400, or 200 under a sanitizer or valgrind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "support/cluster.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define PAGE 8192

static struct test_cluster *cluster;
static weir_router *router;
static weir_error error;
static int rounds = 400;

static void must(bool ok)
{
	if (!ok)
		fail_msg("%s", test_cluster_error(cluster));
}

static int set_up(void **state)
{
	weir_options options;

	(void)state;
	weir_options_init(&options);
	options.probe_interval_ms = 1000;
	assert_int_equal(weir_router_open(test_cluster_url(cluster), &options, &router, &error),
	                 WEIR_OK);
	assert_int_equal(weir_router_probe(router, 30000), WEIR_OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_router_close(&router, 20000), WEIR_OK);
	return 0;
}

/* The one value of a query, in `value`; fails the test with the server's words. */
static void ask(weir_conn *c, const char *sql, char value[64])
{
	PGresult *result = PQexec(weir_pg(c), sql);

	if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(weir_pg(c)));
	snprintf(value, 64, "%s", PQntuples(result) ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
}

static weir_conn *take(const weir_request *request)
{
	weir_conn *c = NULL;

	if (weir_checkout_with(router, request, &c, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return c;
}

/* Which server it leads to. */
static int host_of(weir_conn *c)
{
	weir_conn_info info;

	assert_int_equal(weir_conn_info_get(c, &info), WEIR_OK);
	for (int i = 0; i < test_cluster_hosts(cluster); i++)
		if (atoi(strrchr(info.host, ':') + 1) == test_cluster_port(cluster, i))
			return i;
	return -1;
}

/* Writes n as the last number there is. With a token: commits with it. */
static void write_number(int n, bool asynchronous, weir_session *session, weir_token *token)
{
	weir_request request = WEIR_REQUEST(.session = session);
	weir_conn *c = take(&request);
	char sql[64], value[64];

	ask(c, "BEGIN", value);
	if (asynchronous)
		ask(c, "SET LOCAL synchronous_commit = off", value);
	snprintf(sql, sizeof(sql), "INSERT INTO written VALUES (%d)", n);
	ask(c, sql, value);
	if (!token)
		ask(c, "COMMIT", value);
	else if (weir_token_commit(c, 20000, token, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	weir_checkin(&c);
}

/* What the read sees is n; from which host. */
static int read_number(int n, const weir_request *request)
{
	weir_conn *c = take(request);
	char value[64], want[16];
	int host = host_of(c);

	ask(c, "SELECT max(n) FROM written", value);
	snprintf(want, sizeof(want), "%d", n);
	assert_string_equal(value, want);
	weir_checkin(&c);
	return host;
}

static void make_table(void)
{
	char *made = test_cluster_sql(cluster, 0,
	                              "DROP TABLE IF EXISTS written; CREATE TABLE written (n int);"
	                              "GRANT ALL ON written TO app");

	assert_non_null(made);
	free(made);
	must(test_cluster_sync(cluster));
}

/* ---- a paused standby ---- */

static void only_who_has_replayed_it_reads_it(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
	int from[3] = {0};

	(void)state;
	make_table();
	must(test_cluster_pause_replay(cluster, 1));
	for (int n = 1; n <= rounds / 4; n++) {
		write_number(n, n % 2, NULL, &mine.at_least);
		from[read_number(n, &mine)]++;
	}
	printf("with one standby paused: %d reads by the primary, %d by the other standby\n",
	       from[0], from[2]);
	assert_int_equal(from[1], 0);
	assert_true(from[2] > 0);
	must(test_cluster_resume_replay(cluster, 1));
}

/* The same without a token in anybody's hands, and never back in time. */
static void a_session_sees_what_it_wrote_and_never_less(void **state)
{
	weir_session session = WEIR_SESSION();
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ, .session = &session);
	int from[3] = {0};

	(void)state;
	make_table();
	must(test_cluster_pause_replay(cluster, 1));
	for (int n = 1; n <= rounds / 10; n++) {
		write_number(n, n % 2, &session, NULL);
		for (int i = 0; i < 3; i++)
			from[read_number(n, &mine)]++;
	}
	printf("of a session: %d reads by the primary, %d by the other standby\n", from[0],
	       from[2]);
	assert_int_equal(from[1], 0);
	assert_true(from[2] > 0);
	must(test_cluster_resume_replay(cluster, 1));
}

static void a_read_waits_no_longer_than_it_may(void **state)
{
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ, .fallback = WEIR_FALLBACK_WAIT,
	                                 .timeout_ms = 300);
	weir_conn *c = NULL;
	int64_t began_ns;

	(void)state;
	make_table();
	must(test_cluster_pause_replay(cluster, 1));
	must(test_cluster_pause_replay(cluster, 2));
	write_number(1, false, NULL, &mine.at_least);
	began_ns = wi_now_ns();
	assert_int_equal(weir_checkout_with(router, &mine, &c, &error), WEIR_UNAVAILABLE);
	assert_true(wi_now_ns() - began_ns >= 300 * WI_MS);
	assert_true(wi_now_ns() - began_ns < 30 * WI_SEC);
	mine.fallback = WEIR_FALLBACK_DEFAULT;
	mine.timeout_ms = 20000;
	assert_int_equal(read_number(1, &mine), 0);
	must(test_cluster_resume_replay(cluster, 2));
	mine.fallback = WEIR_FALLBACK_WAIT;
	assert_int_equal(read_number(1, &mine), 2);
	must(test_cluster_resume_replay(cluster, 1));
}

/* ---- wherever a commit ends ---- */

static int64_t position(weir_conn *c)
{
	char value[64];

	ask(c, "SELECT pg_current_wal_insert_lsn() - '0/0'", value);
	return atoll(value);
}

/*
 * Fills the page so that what is committed next ends where it does; after a few tries, each less
 * wrong than the last, that is its very end. *wrong is by how much the last one missed it.
 */
static void fill_page(weir_conn *c, int64_t wrong, int64_t *sum)
{
	char sql[128], value[64];
	int64_t n;

	*sum += wrong;
	n = PAGE - position(c) % PAGE - *sum;
	while (n <= 0)
		n += PAGE;
	snprintf(sql, sizeof(sql), "SELECT pg_logical_emit_message(false, '', repeat('x', %d))",
	         (int)(n % (2 * PAGE)));
	ask(c, sql, value);
}

static void an_idle_standby_reaches_every_token(void **state)
{
	/*
	 * Less than the 15 s after which a server writes something by itself, and frees who is
	 * stuck.
	 */
	weir_request mine = WEIR_REQUEST(.intent = WEIR_READ, .fallback = WEIR_FALLBACK_WAIT,
	                                 .timeout_ms = 10000);
	weir_request other = WEIR_REQUEST(.intent = WEIR_WRITE);
	weir_conn *c;
	int64_t wrong = 0, sum = 400;
	int at_the_end = 0, switched = 0;

	(void)state;
	make_table();
	c = take(&other);
	for (int n = 1; n <= rounds; n++) {
		bool steered = n % 10 == 0;

		if (n % 100 == 0) {
			free(test_cluster_admin(cluster, 0, "SELECT pg_switch_wal()"));
			switched++;
		} else if (steered) {
			fill_page(c, wrong, &sum);
		}
		write_number(n, n % 3 == 0, NULL, &mine.at_least);
		if (steered && n % 100) {
			int64_t past = position(c) % PAGE;

			at_the_end += past == 24;
			wrong = past == 24 ? 0 : past > PAGE / 2 ? past - PAGE : past - 24;
		}
		assert_int_not_equal(read_number(n, &mine), 0);
	}
	weir_checkin(&c);
	printf("%d commits, %d of them at the very end of a page, %d after a switch of segments\n",
	       rounds, at_the_end, switched);
	if (rounds >= 200)
		assert_true(at_the_end > 0);
}

/* ---- what becomes of a commit ---- */

static void a_commit_tells_what_became_of_it(void **state)
{
	weir_request write = WEIR_REQUEST(.intent = WEIR_WRITE);
	weir_token token = {.lsn = 7};
	weir_conn *c = take(&write);
	char value[64];

	(void)state;
	ask(c, "CREATE TEMP TABLE once (n int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)", value);
	ask(c, "BEGIN", value);
	ask(c, "INSERT INTO once VALUES (1), (1)", value);
	assert_int_equal(weir_token_commit(c, 20000, &token, &error), WEIR_QUERY);
	assert_string_equal(error.sqlstate, "23505");
	assert_int_equal(token.lsn, 7);

	ask(c, "BEGIN", value);
	ask(c, "INSERT INTO once VALUES (1)", value);
	PQclear(PQexec(weir_pg(c), "SELECT 1/0"));
	assert_int_equal(weir_token_commit(c, 20000, &token, &error), WEIR_QUERY);
	assert_string_equal(error.sqlstate, "25P02");
	ask(c, "SELECT count(*) FROM once", value);
	assert_string_equal(value, "0");

	ask(c, "BEGIN", value);
	ask(c, "INSERT INTO once VALUES (1)", value);
	assert_int_equal(weir_token_commit(c, 20000, &token, &error), WEIR_OK);
	ask(c, "SELECT count(*) FROM once", value);
	assert_string_equal(value, "1");
	weir_discard(&c);
}

/* The question is refused, and the commit stands: that is what is told. */
static void committed_is_told_even_where_the_position_is_not(void **state)
{
	const weir_token behind_all = WEIR_TOKEN_PRIMARY;
	weir_request write = WEIR_REQUEST(.intent = WEIR_WRITE);
	weir_token token = {0};
	weir_conn *c = take(&write);
	char value[64];

	(void)state;
	ask(c, "CREATE TEMP TABLE kept (n int)", value);
	ask(c, "BEGIN", value);
	ask(c, "INSERT INTO kept VALUES (1)", value);
	free(test_cluster_sql(cluster, 0,
	                      "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC"));
	assert_int_equal(weir_token_commit(c, 20000, &token, &error), WEIR_OK);
	free(test_cluster_sql(cluster, 0,
	                      "GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC"));
	assert_memory_equal(&token, &behind_all, sizeof(token));
	assert_non_null(strstr(error.text, "committed"));
	ask(c, "SELECT count(*) FROM kept", value);
	assert_string_equal(value, "1");
	weir_discard(&c);
}

static void a_session_that_ended_before_has_not_committed(void **state)
{
	weir_request write = WEIR_REQUEST(.intent = WEIR_WRITE);
	weir_token token = {0};
	weir_conn *c = take(&write);
	char value[64], sql[64], *gone;

	(void)state;
	ask(c, "BEGIN", value);
	snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 10000)",
	         PQbackendPID(weir_pg(c)));
	gone = test_cluster_admin(cluster, 0, sql);
	assert_string_equal(gone, "t");
	free(gone);
	assert_int_equal(weir_token_commit(c, 20000, &token, &error), WEIR_CONNECT);
	assert_string_equal(error.sqlstate, "57P01");
	weir_checkin(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_who_has_replayed_it_reads_it),
		TEST(a_session_sees_what_it_wrote_and_never_less),
		TEST(a_read_waits_no_longer_than_it_may),
		TEST(an_idle_standby_reaches_every_token),
		TEST(a_commit_tells_what_became_of_it),
		TEST(committed_is_told_even_where_the_position_is_not),
		TEST(a_session_that_ended_before_has_not_committed),
	};
	static const char *const settings[] = {"wal_writer_delay=1ms", NULL};
	const struct test_cluster_options with = {.settings = settings, .monitor = true};
	const char *wanted = getenv("TEST_ROUNDS");
	int failed;

	if (test_slowness() > 1)
		rounds = 200;
	if (wanted && atoi(wanted) > 0)
		rounds = atoi(wanted);
	test_watchdog(280, "promise 32");
	cluster = test_cluster_start_or_exit(&with);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return test_cluster_stop(&cluster) ? failed : 1;
}

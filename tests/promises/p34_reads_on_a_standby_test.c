/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 34: what weir calls a read is never refused by a standby as a write, and changes nothing
 * on a primary.
 *
 * Statements of a table, made by a grammar, and damaged ones: each that weir_classify calls a read
 * runs on a standby, and on the primary in a transaction that may write. The standby may say no
 * only where the primary says the same. After it the transaction has no number, the session holds
 * no advisory lock, and no sequence has moved. TEST_ROUNDS (1500) and TEST_SEED set how many and
 * which. Both sessions are a superuser's, to whom nothing is forbidden.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libpq-fe.h>

#include <weir/weir.h>

#include "support/cluster.h"
#include "support/sql_maker.h"
#include "support/statements.h"
#include "support/watchdog.h"

static struct test_cluster *cluster;
static PGconn *primary, *standby;

/* ---- small words ---- */

static PGconn *connect_to(int i)
{
	const char *url = test_cluster_superuser_url(cluster);
	char port[16], host[] = "127.0.0.1";
	const char *const names[] = {"dbname", "host", "hostaddr", "port", "dbname", NULL};
	const char *values[] = {url, host, host, port, "shop", NULL};
	PGconn *pg;

	snprintf(port, sizeof(port), "%d", test_cluster_port(cluster, i));
	pg = PQconnectdbParams(names, values, 1);
	if (PQstatus(pg) != CONNECTION_OK)
		fail_msg("%s", PQerrorMessage(pg));
	return pg;
}

static void must(PGconn *pg, const char *sql)
{
	PGresult *r = PQexec(pg, sql);

	if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(pg));
	PQclear(r);
}

static void forget_notice(void *arg, const PGresult *notice)
{
	(void)arg;
	(void)notice;
}

/* Runs one text; its SQLSTATE, "" if there was no error. */
static void run(PGconn *pg, const char *sql, char sqlstate[6])
{
	PGresult *r = PQexec(pg, sql);
	const char *said = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	snprintf(sqlstate, 6, "%s", said ? said : "");
	PQclear(r);
	if (PQstatus(pg) != CONNECTION_OK)
		fail_msg("the session ended: %s\n%s", PQerrorMessage(pg), sql);
}

static bool is_refusal(const char *sqlstate)
{
	return !strcmp(sqlstate, "25006") || !strcmp(sqlstate, "0A000") ||
	       !strcmp(sqlstate, "55000") || !strcmp(sqlstate, "XX000");
}

/* What the primary's session has done that no read does; "" if nothing. */
static void traces(char text[256])
{
	PGresult *r = PQexec(
		primary,
		"SELECT concat_ws(' ', txid_current_if_assigned()::text,"
		" (SELECT 'moved ' || last_value FROM public.s WHERE is_called),"
		" (SELECT 'locked ' || count(*) FROM pg_locks WHERE locktype = 'advisory' AND"
		" pid = pg_backend_pid() HAVING count(*) > 0),"
		" (SELECT 'listens' FROM pg_listening_channels() LIMIT 1))");

	if (PQresultStatus(r) == PGRES_TUPLES_OK)
		snprintf(text, 256, "%s", PQgetvalue(r, 0, 0));
	else
		snprintf(text, 256, "%s", PQerrorMessage(primary));
	PQclear(r);
}

static void put_right(void)
{
	must(primary, "ROLLBACK");
	must(primary, "SELECT pg_advisory_unlock_all(), setval('public.s', 1, false)");
}

/* ---- the comparison ---- */

/* In a transaction that may write; what it has done so far is in trace. */
static void on_primary(const char *sql, char sqlstate[6], char trace[256])
{
	must(primary, "BEGIN READ WRITE");
	run(primary, sql, sqlstate);
	if (sqlstate[0])
		must(primary, "ROLLBACK"); /* sequences and session locks stay as they are */
	traces(trace);
	if (!sqlstate[0])
		must(primary, "ROLLBACK");
}

/* Compares one read; "" or what is wrong. *ran: the standby has run it. */
static void compare(const char *sql, bool *ran, char wrong[512])
{
	char there[6], here[6], trace[256];

	wrong[0] = '\0';
	run(standby, sql, there);
	*ran = !there[0];
	on_primary(sql, here, trace);
	if (is_refusal(there) && strcmp(here, there) != 0)
		snprintf(wrong, 512, "the standby refused it with %s, the primary said '%s'", there,
		         here);
	else if (trace[0])
		snprintf(wrong, 512, "it left something on the primary: %s", trace);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void no_read_is_refused_or_changes_anything(void **state)
{
	size_t rounds = number_of("TEST_ROUNDS", 1500), reads = 0, n_ran = 0;
	uint64_t seed = number_of("TEST_SEED", 1);
	char wrong[512];

	(void)state;
	for (size_t i = 0; i < rounds; i++) {
		struct wi_rng rng;
		struct sql sql;
		bool whole, ran;

		wi_rng_seed(&rng, seed + i * UINT64_C(0x9e3779b97f4a7c15));
		sql_nth(&rng, i, &sql, &whole);
		if (sql.length == SQL_ROOM ||
		    weir_classify(sql.text, sql.length, NULL) != WEIR_READ)
			continue;
		sql.text[sql.length] = '\0';
		compare(sql.text, &ran, wrong);
		if (wrong[0])
			fail_msg("%s\n%s", wrong, sql.text);
		if (i < n_statements && !ran)
			fail_msg("a read of the table does not run: %s", sql.text);
		reads++;
		n_ran += ran;
	}
	print_message("%zu statements, %zu reads, %zu of them ran\n", rounds, reads, n_ran);
	assert_true(reads > rounds / 5 && n_ran > reads / 3);
}

/* Else the test above would be blind: of these each must be noticed. */
static void writes_would_be_noticed(void **state)
{
	static const char *const writes[] = {
		"SELECT nextval('s')",
		"SELECT ('s'::regclass).nextval",
		"SELECT pg_catalog.pg_advisory_lock FROM unnest(ARRAY[1::bigint]) pg_catalog",
		"SELECT DISTINCT ON (a) over(1) FROM t",
		"SELECT * FROM t LIMIT 1 FOR UPDATE",
		"SELECT txid_current()",
		"WITH x AS (DELETE FROM t WHERE false RETURNING a) TABLE x",
		"SELECT 1 INTO x",
		"SELECT pg_walfile_name('0/0')",
		"SELECT 1/(nextval('s') - nextval('s') + 1)"};
	char wrong[512];
	bool ran;

	(void)state;
	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		assert_int_equal(weir_classify(writes[i], strlen(writes[i]), NULL), WEIR_WRITE);
		compare(writes[i], &ran, wrong);
		if (!wrong[0])
			fail_msg("not noticed: %s", writes[i]);
		if (PQtransactionStatus(primary) == PQTRANS_IDLE)
			must(primary, "BEGIN");
		put_right();
	}
}

/* How a caller uses it: the verdict is the intent of a checkout, and a replica serves it. */
static void a_verdict_is_an_intent(void **state)
{
	static const char *const texts[] = {"SELECT count(*) FROM t", "UPDATE t SET a = a"};
	weir_router *router = NULL;
	weir_options options;
	weir_error error;

	(void)state;
	weir_options_init(&options);
	options.checkout_timeout_ms = 30000;
	options.read_fallback = WEIR_READ_FALLBACK_WAIT; /* a slow standby is waited for */
	if (weir_router_open(test_cluster_url(cluster), &options, &router, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	assert_int_equal(weir_router_probe(router, 30000), WEIR_OK);
	for (int i = 0; i < 2; i++) {
		weir_intent intent = weir_classify(texts[i], strlen(texts[i]), NULL);
		weir_conn_info info;
		weir_conn *conn = NULL;

		if (weir_checkout(router, intent, &conn, &error) != WEIR_OK)
			fail_msg("%s", error.text);
		assert_int_equal(weir_conn_info_get(conn, &info), WEIR_OK);
		assert_int_equal(info.role, i == 0 ? WEIR_ROLE_REPLICA : WEIR_ROLE_PRIMARY);
		if (weir_exec(conn, texts[i], 10000, &error) != WEIR_OK)
			fail_msg("%s", error.text);
		weir_checkin(&conn);
	}
	(void)weir_router_close(&router, 5000);
}

static int start(void **state)
{
	static const char hush[] = "SET statement_timeout = '10s'; SET lock_timeout = '5s';"
				   "SET search_path = public; SET client_min_messages = error";

	(void)state;
	primary = connect_to(0);
	standby = connect_to(1);
	PQsetNoticeReceiver(primary, forget_notice, NULL);
	PQsetNoticeReceiver(standby, forget_notice, NULL);
	must(primary, statements_schema);
	must(primary, "GRANT USAGE ON SCHEMA public TO PUBLIC");
	assert_true(test_cluster_sync(cluster));
	must(primary, hush);
	must(standby, hush);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	PQfinish(primary);
	PQfinish(standby);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_read_is_refused_or_changes_anything),
		cmocka_unit_test(writes_would_be_noticed),
		cmocka_unit_test(a_verdict_is_an_intent),
	};
	int failed;

	test_watchdog(240, "statements on a primary and a standby");
	cluster = test_cluster_start_or_exit(&(struct test_cluster_options){.standbys = 1});
	failed = cmocka_run_group_tests(tests, start, stop);
	test_cluster_stop(&cluster);
	return failed;
}

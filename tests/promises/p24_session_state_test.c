/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 24: what a session changed is gone for the next holder, to the level that was asked for.
 *
 * Row by row: what a holder leaves, in every way it can be left, and whether the next holder of the
 * same session sees it, for each level of `reset`. The expectations stand in the table below, and
 * the same table in docs/session-state.md, which this test compares.
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

#include "base/line.h"
#include "promises/p24_client.h"
#include "support/cluster.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000
#define OWN_SQL "RESET ALL"

static struct test_cluster *cluster;
static weir_pool *pool;

/* ---- small words ---- */

/* Whether the answer is a single true. An error is none: lastval() of a session without one. */
static bool is_true(PGconn *pg, const char *sql)
{
	PGresult *r = PQexec(pg, sql);
	bool yes = PQntuples(r) == 1 && strcmp(PQgetvalue(r, 0, 0), "t") == 0;

	PQclear(r);
	return yes;
}

static weir_conn *checkout(void)
{
	weir_conn *conn = NULL;
	weir_error error;

	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return conn;
}

/* ---- the table ---- */

enum { TRACKED, ALWAYS, NONE, OWN, LEVELS };
static const char *const levels[LEVELS] = {"tracked", "always", "none", OWN_SQL};

/* What becomes of it at each level, in their order. */
#define GONE 'g'
#define LEFT 'l'

/* What a rollback does to it. */
#define UNDONE false
#define STAYS true

#define ROW(name_, expected_, stays_, ...)                                                         \
	{                                                                                          \
		.name = (name_), .expected = (expected_), .stays = (stays_), __VA_ARGS__           \
	}
#define SQL(done, seen_) .sql = (done), .seen = (seen_)
#define CLIENT(left, seen_) .leave = p24_leave_##left, .sees = p24_sees_##seen_

#define WANDERED "SELECT current_setting('search_path') = 'pg_catalog'"
#define HAS_MINE "SELECT to_regclass('pg_temp.mine') IS NOT NULL"
#define HAS_PREPARED "SELECT count(*) > 0 FROM pg_prepared_statements"

static const struct row {
	const char *name;     /* as the document has it */
	const char *sql;      /* what is done; or leave, below */
	const char *seen;     /* true where the next holder sees it; or sees */
	bool stays;           /* a rollback does not take it back */
	const char *expected; /* a letter a level */
	bool superuser;
	void (*leave)(PGconn *);
	bool (*sees)(PGconn *);
	bool alone; /* not inside a transaction */
} rows[] = {
	ROW("`SET` of a setting that the server reports", "gglg", UNDONE,
            SQL("SET TimeZone = 'Pacific/Chatham'",
                "SELECT current_setting('TimeZone') = 'Pacific/Chatham'")),
	ROW("`SET` of any other", "gglg", UNDONE, SQL("SET search_path = pg_catalog", WANDERED)),
	ROW("`SET SESSION CHARACTERISTICS`", "gglg", UNDONE,
            SQL("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                "SELECT current_setting('default_transaction_isolation') = 'serializable'")),
	ROW("`SET` of a setting of one's own (`app.tenant`)", "gglg", UNDONE,
            SQL("SET app.tenant = '7'", "SELECT current_setting('app.tenant', true) = '7'")),
	ROW("`SET client_encoding`", "gglg", UNDONE,
            SQL("SET client_encoding = 'LATIN1'",
                "SELECT current_setting('client_encoding') = 'LATIN1'")),
	ROW("`set_config()` of a setting that the server reports", "gglg", UNDONE,
            SQL("SELECT set_config('TimeZone', 'Pacific/Chatham', false)",
                "SELECT current_setting('TimeZone') = 'Pacific/Chatham'")),
	ROW("`set_config()` of any other", "lglg", UNDONE,
            SQL("SELECT set_config('search_path', 'pg_catalog', false)", WANDERED)),
	ROW("`set_config()` in a `DO` block", "gglg", UNDONE,
            SQL("DO $$BEGIN PERFORM set_config('search_path', 'pg_catalog', false); END$$",
                WANDERED)),
	ROW("`set_config()` in a function or procedure", "lglg", UNDONE,
            SQL("CALL wander()", WANDERED)),
	ROW("`SET LOCAL`, `set_config(..., true)`", "gggg", UNDONE,
            SQL("SET LOCAL app.tenant = '7'; SELECT set_config('app.other', '7', true)",
                "SELECT '7' IN (current_setting('app.tenant', true), "
                "current_setting('app.other', true))")),
	ROW("`SET ROLE`", "ggll", UNDONE,
            SQL("SET ROLE clerk", "SELECT current_user <> session_user")),
	ROW("`set_config('role', ...)`", "lgll", UNDONE,
            SQL("SELECT set_config('role', 'clerk', false)",
                "SELECT current_user <> session_user")),
	ROW("`SET SESSION AUTHORIZATION`", "ggll", UNDONE,
            SQL("SET SESSION AUTHORIZATION app", "SELECT session_user = 'app'"), .superuser = true),
	ROW("temporary table", "ggll", UNDONE, SQL("CREATE TEMP TABLE mine (x int)", HAS_MINE)),
	ROW("`CREATE TEMP TABLE AS`, `SELECT INTO TEMP`", "ggll", UNDONE,
            SQL("SELECT 1 AS x INTO TEMP mine", HAS_MINE)),
	ROW("temporary view, sequence, function", "ggll", UNDONE,
            SQL("CREATE TEMP VIEW seen AS SELECT 1; CREATE TEMP SEQUENCE counted; "
                "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                "SELECT to_regclass('pg_temp.seen') IS NOT NULL OR "
                "to_regclass('pg_temp.counted') IS NOT NULL OR to_regproc('pg_temp.f') IS NOT "
                "NULL")),
	ROW("temporary table made by a function", "lgll", UNDONE,
            SQL("SELECT make_temp()", HAS_MINE)),
	ROW("`PREPARE`", "ggll", STAYS, SQL("PREPARE one AS SELECT 1", HAS_PREPARED)),
	ROW("statement prepared by protocol (`PQprepare`)", "ggll", STAYS,
            .leave = p24_leave_prepared, .seen = HAS_PREPARED),
	ROW("cursor `WITH HOLD`", "ggll", UNDONE,
            SQL("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SELECT count(*) > 0 FROM pg_cursors")),
	ROW("session advisory lock", "lgll", STAYS,
            SQL("SELECT pg_advisory_lock(42)",
                "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND "
                "pid = pg_backend_pid()")),
	ROW("`LISTEN`", "ggll", UNDONE,
            SQL("LISTEN shop", "SELECT count(*) > 0 FROM pg_listening_channels()")),
	ROW("`lastval()`, `currval()`", "lgll", STAYS,
            SQL("SELECT nextval('numbers')", "SELECT lastval() IS NOT NULL")),
	ROW("`setseed()`", "llll", STAYS,
            SQL("SELECT setseed(0.5)", "SELECT random() = after_seed FROM seeded")),
	ROW("`LOAD`", "llll", STAYS,
            SQL("LOAD 'auto_explain'",
                "SELECT current_setting('auto_explain.log_min_duration', true) IS NOT NULL"),
            .superuser = true),
	ROW("libpq: notice receiver", "gggg", STAYS, CLIENT(receiver, notice)),
	ROW("libpq: notice processor", "gggg", STAYS, CLIENT(processor, notice)),
	ROW("libpq: error verbosity", "gggg", STAYS, CLIENT(verbosity, verbosity)),
	ROW("libpq: context visibility", "gggg", STAYS, CLIENT(context, context)),
	ROW("libpq: trace", "gggg", STAYS, CLIENT(trace, trace)),
	ROW("libpq: non-blocking", "gggg", STAYS, CLIENT(nonblocking, nonblocking)),
	ROW("libpq: pipeline mode", "gggg", STAYS, CLIENT(pipeline, pipeline), .alone = true),
	ROW("libpq: single-row mode", "gggg", STAYS, CLIENT(single_rows, single_rows)),
	ROW("libpq: notifications unread", "gggg", STAYS, CLIENT(notifications, notifications),
            .alone = true),
	ROW("libpq: `PQsetClientEncoding`", "gglg", UNDONE, CLIENT(encoding, encoding)),
	ROW("libpq: event procedures, instance data", "llll", STAYS, CLIENT(events, events)),
};
#define ROWS WI_ARRAY_LEN(rows)

/* Ways to leave it: what is run before and after, and whether it is rolled back in the end. */
static const struct way {
	const char *name, *before[2], *after[2];
	bool rolled_back;
} ways[] = {
	{"outside a transaction", {NULL, NULL}, {NULL, NULL}, false},
	{"committed", {"BEGIN", NULL}, {"COMMIT", NULL}, false},
	{"rolled back by its holder", {"BEGIN", NULL}, {"ROLLBACK", NULL}, true},
	{"in an open transaction", {"BEGIN", NULL}, {NULL, NULL}, true},
	{"in a failed transaction", {"BEGIN", NULL}, {"SELECT 1/0", NULL}, true},
	{"rolled back to a savepoint", {"BEGIN", "SAVEPOINT s"}, {"ROLLBACK TO s", "COMMIT"}, true},
	{"behind a savepoint, open", {"BEGIN", "SAVEPOINT s"}, {NULL, NULL}, true},
};
#define WAYS WI_ARRAY_LEN(ways)

/* ---- one cell ---- */

static void leave(PGconn *pg, const struct row *row, const struct way *way)
{
	for (int i = 0; i < 2 && way->before[i]; i++)
		p24_run(pg, way->before[i]);
	if (row->leave)
		row->leave(pg);
	else
		p24_run(pg, row->sql);
	for (int i = 0; i < 2 && way->after[i]; i++)
		PQclear(PQexec(pg, way->after[i]));
}

static bool sees(PGconn *pg, const struct row *row)
{
	return row->sees ? row->sees(pg) : is_true(pg, row->seen);
}

/* What the next holder of the same session sees. */
static bool is_left(const struct row *row, const struct way *way)
{
	weir_conn *conn = checkout();
	int pid = PQbackendPID(weir_pg(conn));
	bool left;

	leave(weir_pg(conn), row, way);
	weir_checkin(&conn);
	conn = checkout();
	if (PQbackendPID(weir_pg(conn)) != pid)
		fail_msg("%s, %s: another session, which shows nothing", row->name, way->name);
	if (PQtransactionStatus(weir_pg(conn)) != PQTRANS_IDLE)
		fail_msg("%s, %s: the session is not idle", row->name, way->name);
	left = sees(weir_pg(conn), row);
	/* Each row has sessions of its own, and so has each way after one that left something. */
	if (left || way == &ways[WAYS - 1] || row->alone)
		weir_discard(&conn);
	else
		weir_checkin(&conn);
	return left;
}

static int check_row(const struct row *row, int level)
{
	int wrong = 0;

	for (size_t i = 0; i < WAYS; i++) {
		bool expected =
			row->expected[level] == LEFT && (!ways[i].rolled_back || row->stays);
		bool left;

		if (row->alone && ways[i].before[0])
			continue;
		left = is_left(row, &ways[i]);
		if (left == expected)
			continue;
		print_error("reset=%s: %s, %s: %s\n", levels[level], row->name, ways[i].name,
		            left ? "seen by the next holder" : "gone, against the table");
		wrong++;
	}
	return wrong;
}

static void open_pool(int level, bool superuser)
{
	weir_options o;
	weir_error error;

	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = 1;
	assert_int_equal(weir_options_set(&o, "reset", levels[level], NULL), WEIR_OK);
	if (weir_pool_open(superuser ? test_cluster_superuser_url(cluster)
	                             : test_cluster_url(cluster),
	                   &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

static void check_level(int level)
{
	int wrong = 0;

	for (int superuser = 0; superuser < 2; superuser++) {
		open_pool(level, superuser);
		for (size_t i = 0; i < ROWS; i++)
			if (rows[i].superuser == superuser)
				wrong += check_row(&rows[i], level);
		assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	}
	assert_int_equal(wrong, 0);
}

static void tracked_takes_away_what_can_be_seen(void **state)
{
	(void)state;
	check_level(TRACKED);
}

static void always_takes_away_what_a_server_can_forget(void **state)
{
	(void)state;
	check_level(ALWAYS);
}

static void none_takes_away_transactions_and_the_clients_side(void **state)
{
	(void)state;
	check_level(NONE);
}

static void own_sql_takes_away_what_it_says(void **state)
{
	(void)state;
	check_level(OWN);
}

/* ---- the document ---- */

static void write_table(char *to, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < ROWS; i++) {
		n += (size_t)snprintf(to + n, room - n, "| %s | %s |", rows[i].name,
		                      rows[i].stays ? "stays" : "undone");
		for (int level = 0; level < LEVELS; level++)
			n += (size_t)snprintf(to + n, room - n, " %s |",
			                      rows[i].expected[level] == LEFT ? "**left**"
			                                                      : "gone");
		n += (size_t)snprintf(to + n, room - n, "\n");
		assert_true(n < room);
	}
}

static void the_document_says_the_same(void **state)
{
	static char wanted[16384], document[65536];
	char path[1024];
	FILE *file;

	(void)state;
	write_table(wanted, sizeof(wanted));
	snprintf(path, sizeof(path), "%s/docs/session-state.md",
	         getenv("TEST_SOURCE_DIR") ? getenv("TEST_SOURCE_DIR") : ".");
	file = fopen(path, "r");
	assert_non_null(file);
	document[fread(document, 1, sizeof(document) - 1, file)] = '\0';
	fclose(file);
	if (!strstr(document, wanted)) {
		printf("%s", wanted);
		fail_msg("docs/session-state.md has not the rows above, in this order");
	}
}

/* ---- */

static int start(void **state)
{
	static const char *const things[] = {
		"CREATE ROLE clerk",
		"GRANT clerk TO app",
		"CREATE SEQUENCE public.numbers",
		"GRANT ALL ON public.numbers TO app",
		"CREATE PROCEDURE public.wander() LANGUAGE plpgsql AS "
		"$$BEGIN PERFORM set_config('search_path', 'pg_catalog', false); END$$",
		"CREATE FUNCTION public.make_temp() RETURNS void LANGUAGE plpgsql AS "
		"$$BEGIN CREATE TEMP TABLE mine (x int); END$$",
		"CREATE TABLE public.seeded AS SELECT random() AS after_seed FROM setseed(0.5)",
		"GRANT SELECT ON public.seeded TO app",
	};
	struct test_cluster_options options = {.standbys = -1, .max_connections = 40};

	(void)state;
	cluster = test_cluster_start_or_exit(&options);
	for (size_t i = 0; i < WI_ARRAY_LEN(things); i++) {
		char *rows_of = test_cluster_sql(cluster, 0, things[i]);

		if (!rows_of)
			fail_msg("%s: %s", things[i], test_cluster_error(cluster));
		free(rows_of);
	}
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
		cmocka_unit_test(the_document_says_the_same),
		cmocka_unit_test(tracked_takes_away_what_can_be_seen),
		cmocka_unit_test(always_takes_away_what_a_server_can_forget),
		cmocka_unit_test(none_takes_away_transactions_and_the_clients_side),
		cmocka_unit_test(own_sql_takes_away_what_it_says),
	};

	test_watchdog(280, "promise 24");
	return cmocka_run_group_tests(tests, start, finish);
}

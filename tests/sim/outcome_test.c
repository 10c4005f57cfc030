/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each way of running SQL tells of each way in which a server can end it: a table of the two,
 * over a server in this process that speaks the protocol.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/line.h"
#include "pool/pool.h"
#include "support/mock_server.h"
#include "support/watchdog.h"

#define LONG_MS 60000
#define SHORT_MS 50 /* for what is never answered */

static struct test_mock *mock;
static weir_pool *pool;
static weir_conn *conn;
static weir_error e;

static int start(void **state)
{
	weir_options o;

	(void)state;
	mock = test_mock_start(NULL);
	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = 1;
	o.query_timeout_ms = LONG_MS;
	o.checkout_timeout_ms = LONG_MS;
	o.breaker_failures = 0;
	if (weir_pool_open(test_mock_conninfo(mock), &o, &pool, &e) != WEIR_OK)
		fail_msg("%s", e.text);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	assert_int_equal(weir_pool_close(&pool, LONG_MS), WEIR_OK);
	test_mock_stop(&mock);
	return 0;
}

/* ---- ways to run something ---- */

static void must(weir_status st)
{
	if (st != WEIR_OK)
		fail_msg("%s: %s", weir_status_name(st), e.text);
}

static weir_status by_exec(int64_t ms)
{
	return weir_exec(conn, "INSERT", ms, &e);
}

static weir_status by_query(int64_t ms)
{
	const weir_statement s = WEIR_STATEMENT(.sql = "INSERT", .timeout_ms = ms);
	PGresult *result = NULL;
	weir_status st = weir_conn_query(conn, &s, &result, &e);

	PQclear(result);
	return st;
}

static weir_status by_batch(int64_t ms)
{
	const weir_statement s = WEIR_STATEMENT(.sql = "INSERT");
	PGresult *result = NULL;
	weir_status st = weir_batch(conn, &s, 1, &result, ms, &e);

	PQclear(result);
	return st;
}

static weir_status commit_by_exec(int64_t ms)
{
	return weir_exec(conn, "COMMIT", ms, &e);
}

static weir_status commit_by_token(int64_t ms)
{
	weir_token token;

	return weir_token_commit(conn, ms, &token, &e);
}

static weir_status commit_of(bool read_only, weir_token *token, int64_t ms)
{
	const weir_tx_settings s = WEIR_TX_SETTINGS(.read_only = read_only, .token = token);
	weir_tx tx = WEIR_TX();
	weir_status st;

	must(weir_tx_begin(conn, &s, &tx, &e));
	/* The time of one round trip, of a transaction that has no other. */
	wi_word_store(&pool->options.query_timeout_ms, ms);
	st = weir_tx_commit(&tx, &e);
	wi_word_store(&pool->options.query_timeout_ms, LONG_MS);
	return st;
}

static weir_status commit_of_tx(int64_t ms)
{
	return commit_of(false, NULL, ms);
}

static weir_status commit_of_tx_with_token(int64_t ms)
{
	weir_token token;

	return commit_of(false, &token, ms);
}

static weir_status commit_of_reads(int64_t ms)
{
	return commit_of(true, NULL, ms);
}

/* What it means to lose it: work may be done, or is in a transaction; it is COMMIT, or has none. */
enum kind { WORK, PART, COMMIT, READ_ONLY_COMMIT, KINDS };

static const struct way {
	const char *name;
	enum kind kind;
	bool begin; /* in a transaction of the holder's */
	const char *target;
	weir_status (*run)(int64_t ms);
} ways[] = {
	{"weir_exec", WORK, false, "INSERT", by_exec},
	{"weir_conn_query", WORK, false, "INSERT", by_query},
	{"weir_exec in a transaction", PART, true, "INSERT", by_exec},
	{"weir_conn_query in a transaction", PART, true, "INSERT", by_query},
	{"weir_batch in a transaction", PART, true, "INSERT", by_batch},
	{"weir_batch", COMMIT, false, "COMMIT", by_batch},
	{"COMMIT by weir_exec", COMMIT, true, "COMMIT", commit_by_exec},
	{"weir_token_commit", COMMIT, true, "COMMIT", commit_by_token},
	{"weir_tx_commit", COMMIT, false, "COMMIT", commit_of_tx},
	{"weir_tx_commit with token", COMMIT, false, "COMMIT", commit_of_tx_with_token},
	{"weir_tx_commit of reads", READ_ONLY_COMMIT, false, "COMMIT", commit_of_reads},
};

/* ---- ends ---- */

static weir_status run_one(const struct way *way, const struct test_mock_reply *reply)
{
	bool silent = reply->act == TEST_MOCK_SILENCE;
	weir_status st;

	must(weir_pool_checkout(pool, LONG_MS, &conn, &e));
	if (way->begin)
		must(weir_exec(conn, "BEGIN", LONG_MS, &e));
	test_mock_on(mock, way->target, reply);
	memset(&e, 0, sizeof(e));
	st = way->run(silent ? SHORT_MS : LONG_MS);
	test_mock_unscript(mock);
	weir_checkin(&conn);
	return st;
}

static void expect(const struct way *way, const struct test_mock_reply *reply, const char *end,
                   const weir_status expected[KINDS])
{
	weir_status st;

	do /* a slow machine may have used the short time up before */
		st = run_one(way, reply);
	while (st == WEIR_TIMEOUT && strstr(e.text, "before the query was sent"));
	if (st != expected[way->kind])
		fail_msg("%s, %s: %s (%s), not %s", way->name, end, weir_status_name(st), e.text,
		         weir_status_name(expected[way->kind]));
}

#define FOR_ALL(status)                                                                            \
	{                                                                                          \
		status, status, status, status                                                     \
	}
#define LOST                                                                                       \
	{                                                                                          \
		WEIR_OUTCOME_UNKNOWN, WEIR_CONNECT, WEIR_OUTCOME_UNKNOWN, WEIR_CONNECT             \
	}
#define UNRESOLVED                                                                                 \
	{                                                                                          \
		WEIR_OUTCOME_UNKNOWN, WEIR_QUERY, WEIR_OUTCOME_UNKNOWN, WEIR_QUERY                 \
	}

static const struct {
	const char *name;
	struct test_mock_reply reply;
	weir_status expected[KINDS];
} ends[] = {
	{"an error", {.act = TEST_MOCK_ERROR, .sqlstate = "23505"}, FOR_ALL(WEIR_QUERY)},
	{"no SQLSTATE",
         {.act = TEST_MOCK_ERROR, .severity = "ERROR", .sqlstate = ""},
         FOR_ALL(WEIR_QUERY)},
	{"a serialization failure",
         {.act = TEST_MOCK_ERROR, .sqlstate = "40001"},
         FOR_ALL(WEIR_RETRY)},
	{"a deadlock", {.act = TEST_MOCK_ERROR, .sqlstate = "40P01"}, FOR_ALL(WEIR_RETRY)},
	{"an end that the server does not know",
         {.act = TEST_MOCK_ERROR, .sqlstate = "40003"},
         UNRESOLVED},
	{"an end that nobody knows", {.act = TEST_MOCK_ERROR, .sqlstate = "08007"}, UNRESOLVED},
	/* Passed on by a function; and what a pooler says that has lost its server, and lives. */
	{"another's death", {.act = TEST_MOCK_ERROR, .sqlstate = "57P01"}, FOR_ALL(WEIR_QUERY)},
	{"a death that goes on",
         {.act = TEST_MOCK_ERROR, .severity = "FATAL", .sqlstate = "58000"},
         LOST},
	{"a death", {.act = TEST_MOCK_FATAL, .sqlstate = "57P01"}, LOST},
	{"half an answer", {.act = TEST_MOCK_CUT}, LOST},
	{"the end of the connection", {.act = TEST_MOCK_FIN}, LOST},
	{"a reset", {.act = TEST_MOCK_RST}, LOST},
	{"silence",
         {.act = TEST_MOCK_SILENCE},
         {WEIR_OUTCOME_UNKNOWN, WEIR_TIMEOUT, WEIR_OUTCOME_UNKNOWN, WEIR_TIMEOUT}},
};

static void every_end_means_the_same_by_every_way(void **state)
{
	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(ends); i++)
		for (size_t j = 0; j < WI_ARRAY_LEN(ways); j++)
			expect(&ways[j], &ends[i].reply, ends[i].name, ends[i].expected);
}

/* One of each class of appendix A, and codes that look like those that mean something. */
static void of_all_other_errors_nothing_is_known_but_that_they_are_errors(void **state)
{
	static const char *const codes[] = {
		"03000", "08000", "08003", "08006", "08P01", "09000", "0A000", "0B000", "0F000",
		"0L000", "0P000", "0Z000", "20000", "21000", "22000", "23000", "24000", "25000",
		"25006", "25P02", "26000", "27000", "28000", "2B000", "2D000", "2F000", "34000",
		"38000", "39000", "3B000", "3D000", "3F000", "40000", "40002", "40004", "42000",
		"44000", "53000", "54000", "55000", "55P03", "57000", "57014", "58000", "72000",
		"F0000", "HV000", "P0000", "XX000", "ZZZZZ"};
	static const weir_status expected[KINDS] = FOR_ALL(WEIR_QUERY);

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(codes); i++) {
		struct test_mock_reply reply = {.act = TEST_MOCK_ERROR, .sqlstate = codes[i]};

		for (size_t j = i % 3; j < WI_ARRAY_LEN(ways); j += 3)
			expect(&ways[j], &reply, codes[i], expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_end_means_the_same_by_every_way),
		cmocka_unit_test(of_all_other_errors_nothing_is_known_but_that_they_are_errors),
	};

	test_watchdog(100, "outcomes");
	return cmocka_run_group_tests_name("outcome", tests, start, stop);
}

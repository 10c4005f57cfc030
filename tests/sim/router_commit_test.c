/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COMMIT and the position after it in one round trip: what becomes of the transaction, what is told
 * about it, and what reads by the token then see.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/fake_router.h"
#include "support/watchdog.h"

static int set_up(void **state)
{
	(void)state;
	fake_router_begin(2);
	options.probe_interval_ms = 50;
	assert_int_equal(fake_cluster_open(&cluster, &options, &router, &said), WEIR_OK);
	return 0;
}

/* A connection for writing, inside a transaction that has written something. */
static weir_conn *begun(void)
{
	weir_conn *c = take(WEIR_WRITE);

	assert_int_equal(weir_exec(c, "BEGIN", 5000, &said), WEIR_OK);
	assert_int_equal(weir_exec(c, "INSERT", 5000, &said), WEIR_OK);
	fake_cluster_write(&cluster, 0, 100);
	memset(&said, 0, sizeof(said));
	return c;
}

static bool is_open(weir_conn *c)
{
	weir_token token;

	return weir_token_take(c, 5000, &token, NULL) == WEIR_OK;
}

static void a_commit_brings_its_position(void **state)
{
	weir_conn *c = begun();
	weir_token token = {0};

	(void)state;
	assert_int_equal(weir_token_commit(c, 5000, &token, &said), WEIR_OK);
	assert_int_equal(token.lsn, FAKE_LSN + 100);
	assert_int_equal(token.timeline, 1);
	assert_true(is_open(c));
	weir_checkin(&c);
}

static void what_commit_refuses_is_rolled_back(void **state)
{
	static const struct {
		const char *sqlstate;
		weir_status status;
	} rows[] = {{"23505", WEIR_QUERY}, {"40001", WEIR_RETRY}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		weir_token token = {.lsn = 7};
		weir_conn *c = begun();

		wi_store_rlx(&cluster.host[0].commit_fails, rows[i].sqlstate);
		assert_int_equal(weir_token_commit(c, 5000, &token, &said), rows[i].status);
		assert_string_equal(said.sqlstate, rows[i].sqlstate);
		assert_non_null(strstr(said.text, "rolled back"));
		assert_int_equal(token.lsn, 7);
		wi_store_rlx(&cluster.host[0].commit_fails, NULL);
		assert_true(is_open(c));
		weir_checkin(&c);
	}
}

/* COMMIT of a failed transaction succeeds, in a way: with the tag ROLLBACK. */
static void a_failed_transaction_is_not_committed(void **state)
{
	weir_token token = {.lsn = 7};
	weir_conn *c = begun();

	(void)state;
	wi_store_rlx(&cluster.host[0].basic_only, true); /* whatever asks for this is refused */
	assert_int_equal(weir_exec(c, "SELECT pg_control_system()", 5000, &said), WEIR_QUERY);
	wi_store_rlx(&cluster.host[0].basic_only, false);
	assert_int_equal(weir_token_commit(c, 5000, &token, &said), WEIR_QUERY);
	assert_string_equal(said.sqlstate, "25P02");
	assert_int_equal(token.lsn, 7);
	assert_true(is_open(c));
	weir_checkin(&c);
}

static void a_connection_lost_in_commit_leaves_it_unknown(void **state)
{
	weir_token token = {.lsn = 7};
	weir_conn *c = begun();

	(void)state;
	wi_store_rlx(&cluster.host[0].commit_fails, "");
	assert_int_equal(weir_token_commit(c, 5000, &token, &said), WEIR_OUTCOME_UNKNOWN);
	assert_int_equal(token.lsn, 7);
	wi_store_rlx(&cluster.host[0].commit_fails, NULL);
	assert_false(is_open(c));
	weir_checkin(&c);
}

/* The server itself says that it cannot tell: nothing of that is rolled back for sure. */
static void a_server_that_cannot_tell_leaves_it_unknown(void **state)
{
	static const char *const sqlstates[] = {"08007", "40003"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		weir_token token = {.lsn = 7};
		weir_conn *c = begun();

		wi_store_rlx(&cluster.host[0].commit_fails, sqlstates[i]);
		assert_int_equal(weir_token_commit(c, 5000, &token, &said), WEIR_OUTCOME_UNKNOWN);
		assert_string_equal(said.sqlstate, sqlstates[i]);
		assert_int_equal(token.lsn, 7);
		wi_store_rlx(&cluster.host[0].commit_fails, NULL);
		weir_discard(&c);
	}
}

static void no_answer_in_time_leaves_it_unknown(void **state)
{
	weir_token token = {.lsn = 7};
	weir_conn *c = begun();

	(void)state;
	wi_store_rlx(&cluster.host[0].server.silent, true);
	assert_int_equal(weir_token_commit(c, 20, &token, &said), WEIR_OUTCOME_UNKNOWN);
	assert_int_equal(token.lsn, 7);
	assert_non_null(strstr(said.text, " ms after it was sent"));
	wi_store_rlx(&cluster.host[0].server.silent, false);
	weir_checkin(&c);
}

/* That is no unknown outcome: the server had ended the session before anything was sent. */
static void a_connection_lost_before_commit_has_not_committed(void **state)
{
	weir_token token = {.lsn = 7};
	weir_conn *c = begun();

	(void)state;
	wi_fake_kill(&cluster.host[0].server);
	assert_int_equal(weir_token_commit(c, 5000, &token, &said), WEIR_CONNECT);
	assert_int_equal(token.lsn, 7);
	weir_checkin(&c);
}

/* The commit is what the caller must hear of; and by the token it is read where it is for sure. */
static void committed_is_told_even_where_the_position_is_not(void **state)
{
	_Atomic bool *reasons[] = {&cluster.host[0].basic_only, &cluster.host[0].lose_position};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		weir_request mine = WEIR_REQUEST(.intent = WEIR_READ);
		const weir_token behind_all = WEIR_TOKEN_PRIMARY;
		weir_conn *c = begun();
		char text[WEIR_TOKEN_TEXT];

		wi_store_rlx(reasons[i], true);
		assert_int_equal(weir_token_commit(c, 5000, &mine.at_least, &said), WEIR_OK);
		assert_non_null(strstr(said.text, "committed"));
		wi_store_rlx(reasons[i], false);
		assert_memory_equal(&mine.at_least, &behind_all, sizeof(behind_all));
		weir_checkin(&c);
		fake_cluster_catch_up(&cluster, 0, 1);
		/* It rides in a cookie like any other. */
		weir_token_print(&mine.at_least, text);
		assert_int_equal(weir_token_parse(text, &mine.at_least), WEIR_OK);
		while (weir_router_probe(router, 20000) != WEIR_OK)
			continue;
		for (int k = 0; k < 10; k++) {
			assert_int_equal(weir_checkout_with(router, &mine, &c, &said), WEIR_OK);
			assert_int_equal(fake_host_of(c), 0);
			weir_checkin(&c);
		}
	}
}

static void only_an_open_transaction_is_committed(void **state)
{
	weir_token token;
	weir_conn *c = take(WEIR_WRITE), *stale = c;

	(void)state;
	assert_int_equal(weir_token_commit(c, 5000, &token, &said), WEIR_INVALID);
	assert_non_null(strstr(said.text, "no transaction is open"));
	assert_int_equal(weir_token_commit(c, 5000, NULL, &said), WEIR_INVALID);
	assert_int_equal(weir_token_commit(NULL, 5000, &token, &said), WEIR_INVALID);
	weir_checkin(&c);
	assert_int_equal(weir_token_commit(stale, 5000, &token, &said), WEIR_STALE);
}

/* Nor has a cluster whose leader is a standby of another one any token to give. */
static void a_standby_has_no_token(void **state)
{
	weir_token token;
	weir_conn *c = take(WEIR_READ);

	(void)state;
	assert_int_equal(fake_host_of(c), 1);
	assert_int_equal(weir_exec(c, "BEGIN", 5000, &said), WEIR_OK);
	assert_int_equal(weir_token_commit(c, 5000, &token, &said), WEIR_INVALID);
	assert_non_null(strstr(said.text, "standby"));
	assert_int_equal(weir_exec(c, "COMMIT", 5000, &said), WEIR_OK); /* nothing was sent */
	assert_int_equal(weir_token_take(c, 5000, &token, &said), WEIR_INVALID);
	assert_non_null(strstr(said.text, "standby"));
	weir_checkin(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_router_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_commit_brings_its_position),
		TEST(what_commit_refuses_is_rolled_back),
		TEST(a_failed_transaction_is_not_committed),
		TEST(a_connection_lost_in_commit_leaves_it_unknown),
		TEST(a_server_that_cannot_tell_leaves_it_unknown),
		TEST(no_answer_in_time_leaves_it_unknown),
		TEST(a_connection_lost_before_commit_has_not_committed),
		TEST(committed_is_told_even_where_the_position_is_not),
		TEST(only_an_open_transaction_is_committed),
		TEST(a_standby_has_no_token),
	};

	test_watchdog(100, "the tests of commits");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

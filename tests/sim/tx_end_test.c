/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a transaction ends, over the fake driver: refused, lost before COMMIT and in it, in silence,
 * out of time; what its caller is told, and whether the outcome is known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "pool/pool.h"
#include "support/scripted.h"
#include "support/watchdog.h"

/* Nobody waits for long for a server that is silent. */
static int set_up(void **state)
{
	weir_options o;

	weir_options_init(&o);
	o.check_timeout_ms = 30;
	o.query_timeout_ms = 500;
	return scripted_begin_with(state, &o);
}

static weir_tx begun(struct scripted *f)
{
	weir_tx tx = WEIR_TX();

	assert_int_equal(weir_tx_begin(f->conn, NULL, &tx, NULL), WEIR_OK);
	return tx;
}

static void say(struct scripted *f, const char *sql, weir_status st)
{
	assert_int_equal(weir_exec(f->conn, sql, 10000, NULL), st);
}

static bool is_lost(const struct scripted *f)
{
	return f->pool->driver->look(wi_conn_of(f->conn)->link) == WI_LOOK_DEAD;
}

static bool is_clean(const struct scripted *f)
{
	return f->pool->driver->look(wi_conn_of(f->conn)->link) == WI_LOOK_CLEAN;
}

static void refused_commit_was_rolled_back(void **state)
{
	struct scripted *f = *state;
	weir_error e;
	weir_tx tx = begun(f);

	f->commit_fails = "23505";
	assert_int_equal(weir_tx_commit(&tx, &e), WEIR_QUERY);
	assert_string_equal(e.sqlstate, "23505");
	assert_string_equal(e.host, "127.0.0.1:5432");
	tx = begun(f);
	f->commit_fails = "40001";
	assert_int_equal(weir_tx_commit(&tx, &e), WEIR_RETRY);
	assert_true(is_clean(f));
	assert_int_equal(weir_tx_commit(&tx, &e), WEIR_INVALID);
}

/* The server would answer COMMIT with ROLLBACK, and that is no error to libpq. */
static void commit_of_a_failed_one_is_not_ok(void **state)
{
	struct scripted *f = *state;
	weir_error e;
	weir_tx tx = begun(f);

	say(f, "FAIL 23505", WEIR_QUERY);
	assert_int_equal(weir_tx_commit(&tx, &e), WEIR_QUERY);
	assert_string_equal(e.sqlstate, "25P02");
	tx = begun(f);
	say(f, "FAIL 40P01", WEIR_RETRY);
	assert_int_equal(weir_tx_commit(&tx, &e), WEIR_RETRY);
	assert_string_equal(e.sqlstate, "40P01");
	assert_null(strstr(f->asked, "COMMIT"));
	assert_true(is_clean(f));
}

static void loss_before_commit_is_no_unknown_outcome(void **state)
{
	struct scripted *f = *state;
	weir_error e;
	weir_tx tx = begun(f);

	say(f, "INSERT", WEIR_OK);
	wi_fake_kill(&f->server);
	assert_int_equal(weir_tx_commit(&tx, &e), WEIR_CONNECT);
	assert_string_equal(e.sqlstate, "57P01");
	assert_null(strstr(f->asked, "COMMIT"));
	assert_int_equal(weir_tx_rollback(&tx, &e), WEIR_INVALID);
}

static void loss_in_commit_is_one(void **state)
{
	struct scripted *f = *state;
	weir_error e;
	weir_tx tx = begun(f);

	f->commit_fails = "";
	assert_int_equal(weir_tx_commit(&tx, &e), WEIR_OUTCOME_UNKNOWN);
	assert_true(is_lost(f));
}

static void loss_in_commit_of_a_read_only_one_is_a_loss(void **state)
{
	const weir_tx_settings s = WEIR_TX_SETTINGS(.read_only = true);
	struct scripted *f = *state;
	weir_tx tx = WEIR_TX();

	assert_int_equal(weir_tx_begin(f->conn, &s, &tx, NULL), WEIR_OK);
	f->commit_fails = "";
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_CONNECT);
}

/* But not where it may have been made one that writes. */
static void loss_in_commit_of_what_was_read_only_is_an_unknown_outcome(void **state)
{
	static const char *const turns[] = {"SET TRANSACTION READ WRITE", "BEGIN READ WRITE"};
	const weir_tx_settings s = WEIR_TX_SETTINGS(.read_only = true, .lock_timeout_ms = 5);
	struct scripted *f = *state;
	weir_tx tx = WEIR_TX();

	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
		f->commit_fails = NULL;
		assert_int_equal(weir_tx_begin(f->conn, &s, &tx, NULL), WEIR_OK);
		say(f, turns[i], WEIR_OK);
		say(f, "INSERT", WEIR_OK);
		f->commit_fails = "";
		assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_OUTCOME_UNKNOWN);
		weir_checkin(&f->conn);
		assert_int_equal(weir_pool_checkout(f->pool, 10000, &f->conn, NULL), WEIR_OK);
	}
	/* Which a standby does not allow. */
	assert_int_equal(weir_tx_begin(f->conn, &s, &tx, NULL), WEIR_OK);
	wi_store_rlx(&f->server.in_recovery, true);
	say(f, "SET work_mem = 1", WEIR_OK);
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_CONNECT);
}

static void silence_in_commit_is_an_unknown_outcome(void **state)
{
	const weir_tx_settings s = WEIR_TX_SETTINGS(.timeout_ms = 400);
	struct scripted *f = *state;
	weir_tx tx = WEIR_TX();

	/* A slow machine may use the time up before: then nothing was sent. */
	assert_int_equal(weir_tx_begin(f->conn, &s, &tx, NULL), WEIR_OK);
	wi_store_rlx(&f->server.silent, true);
	switch (weir_tx_commit(&tx, NULL)) {
	case WEIR_OUTCOME_UNKNOWN:
		assert_non_null(strstr(f->asked, "BEGIN"));
		break;
	case WEIR_TIMEOUT:
		break;
	default:
		fail_msg("neither");
	}
}

/* Without a time of its own: options.query_timeout_ms. */
static void silent_server_holds_nobody_for_ever(void **state)
{
	struct scripted *f = *state;
	weir_tx tx = begun(f);

	wi_store_rlx(&f->server.silent, true);
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_OUTCOME_UNKNOWN);
}

static void nothing_is_sent_when_its_time_is_over(void **state)
{
	const weir_tx_settings s = WEIR_TX_SETTINGS(.timeout_ms = 400);
	struct scripted *f = *state;
	weir_tx tx = WEIR_TX();

	assert_int_equal(weir_tx_begin(f->conn, &s, &tx, NULL), WEIR_OK);
	while (weir_tx_left_ms(&tx))
		usleep(1000);
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_TIMEOUT);
	assert_null(strstr(f->asked, "COMMIT"));
	assert_true(is_clean(f));
}

static void begin_that_fails_leaves_nothing_open(void **state)
{
	const weir_tx_settings s = WEIR_TX_SETTINGS(.timeout_ms = 20);
	struct scripted *f = *state;
	weir_tx tx = WEIR_TX();

	wi_store_rlx(&f->server.silent, true);
	assert_int_equal(weir_tx_begin(f->conn, &s, &tx, NULL), WEIR_TIMEOUT);
	assert_null(weir_tx_conn(&tx));
	assert_int_equal(weir_tx_commit(&tx, NULL), WEIR_INVALID);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, scripted_end)
	const struct CMUnitTest tests[] = {
		TEST(refused_commit_was_rolled_back),
		TEST(commit_of_a_failed_one_is_not_ok),
		TEST(loss_before_commit_is_no_unknown_outcome),
		TEST(loss_in_commit_is_one),
		TEST(loss_in_commit_of_a_read_only_one_is_a_loss),
		TEST(loss_in_commit_of_what_was_read_only_is_an_unknown_outcome),
		TEST(silence_in_commit_is_an_unknown_outcome),
		TEST(silent_server_holds_nobody_for_ever),
		TEST(nothing_is_sent_when_its_time_is_over),
		TEST(begin_that_fails_leaves_nothing_open),
	};

	test_watchdog(100, "the ends of transactions");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A transaction of which one step gets no answer in time, over the fake driver: what is told, and
 * that its connection goes on to the next holder only when all of it is over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/fake_pool.h"
#include "support/watchdog.h"

static struct wi_fake_server server;
static weir_pool *pool;
static weir_conn *conn;
static weir_error e;
static char asked[512]; /* by holder or keeper, of which one at a time has the connection */

static bool answer(struct wi_fake_server *s, const char *sql, struct wi_answer *row,
                   struct wi_failure *failure)
{
	(void)s;
	(void)row;
	(void)failure;
	if (strlen(asked) + strlen(sql) + 2 < sizeof(asked))
		strcat(strcat(asked, sql), "|");
	return true;
}

/* The server's own clock, which stands still unless a test moves it. */
static _Atomic int64_t clock_ns = 1;

static int64_t server_now(void)
{
	return wi_load_rlx(&clock_ns);
}

static int open_pool(int64_t cancel_timeout_ms)
{
	weir_options o;

	wi_fake_server_init(&server);
	server.answer = answer;
	server.now = server_now;
	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = 1;
	o.cancel_timeout_ms = cancel_timeout_ms;
	/* For each of weir's own statements, from when it is sent. */
	o.query_timeout_ms = 20;
	pool = fake_pool_open(&server, &o);
	assert_int_equal(weir_pool_checkout(pool, 10000, &conn, &e), WEIR_OK);
	wi_store_rlx(&server.obeys_cancel, true);
	asked[0] = '\0';
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	return open_pool(60000);
}

static int set_up_impatient(void **state)
{
	(void)state;
	return open_pool(100);
}

static int tear_down(void **state)
{
	(void)state;
	wi_store_rlx(&server.mute, 0);
	wi_store_rlx(&server.holds_cancel, false);
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, 10000), WEIR_OK);
	wi_fake_server_fini(&server);
	return 0;
}

/* From now on the session is silent, but it obeys a cancel request. */
static void fall_silent(void)
{
	wi_store_rlx(&server.mute, 1);
	wi_word_store(&pool->options.check_timeout_ms, 20); /* of a rollback */
	asked[0] = '\0';
}

static uint64_t opened(void)
{
	weir_pool_stats s;

	weir_pool_stats_get(pool, &s);
	return s.opened;
}

/* It goes back and comes again: the same session, on which nothing is open. */
static void assert_kept(void)
{
	wi_store_rlx(&server.mute, 0);
	wi_word_store(&pool->options.check_timeout_ms, 60000); /* of what the keeper asks */
	weir_checkin(&conn);
	assert_int_equal(weir_pool_checkout(pool, 10000, &conn, &e), WEIR_OK);
	assert_int_equal(wi_driver_fake.look(wi_conn_of(conn)->link), WI_LOOK_CLEAN);
	assert_int_equal(opened(), 1);
	assert_true(wi_load_rlx(&server.cancels) >= 1);
}

/* ---- */

enum step { BEGIN, SAVEPOINT, RELEASE, ROLLBACK_TO, ROLLBACK, COMMIT, COMMIT_AND_ASK };

/* All of a transaction up to the one step that gets no answer. */
static weir_status late_in(enum step step, weir_tx *tx, weir_tx *inner)
{
	static weir_token token;
	const weir_tx_settings s =
		WEIR_TX_SETTINGS(.token = step == COMMIT_AND_ASK ? &token : NULL);

	if (step == BEGIN)
		fall_silent();
	if (weir_tx_begin(conn, &s, tx, &e) != WEIR_OK)
		return e.status;
	if (step == SAVEPOINT)
		fall_silent();
	if (step <= ROLLBACK_TO && weir_tx_nest(tx, inner, &e) != WEIR_OK)
		return e.status;
	fall_silent();
	switch (step) {
	case BEGIN:
	case SAVEPOINT:
		break;
	case RELEASE:
		return weir_tx_commit(inner, &e);
	case ROLLBACK_TO:
		return weir_tx_rollback(inner, &e);
	case ROLLBACK:
		return weir_tx_rollback(tx, &e);
	case COMMIT:
	case COMMIT_AND_ASK:
		return weir_tx_commit(tx, &e);
	}
	return WEIR_OK;
}

static void whichever_step_is_late_the_connection_is_kept(void **state)
{
	static const struct {
		weir_status st;
		const char *then; /* what the keeper has to say before anybody else gets it */
	} ends[] = {
		[BEGIN] = {WEIR_TIMEOUT, "|"},
		[SAVEPOINT] = {WEIR_TIMEOUT, "ROLLBACK|"},
		[RELEASE] = {WEIR_TIMEOUT, "ROLLBACK|"},
		[ROLLBACK_TO] = {WEIR_TIMEOUT, "ROLLBACK|"},
		[ROLLBACK] = {WEIR_TIMEOUT, "ROLLBACK|"},
		[COMMIT] = {WEIR_OUTCOME_UNKNOWN, "ROLLBACK|"},
		[COMMIT_AND_ASK] = {WEIR_OUTCOME_UNKNOWN, "ROLLBACK|"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		weir_tx tx = WEIR_TX(), inner = WEIR_TX(), other = WEIR_TX();

		assert_int_equal(late_in((enum step)i, &tx, &inner), ends[i].st);
		/* What is under way is nobody's any more, and nothing goes on top of it. */
		assert_int_equal(weir_exec(conn, "INSERT", 10, &e), WEIR_INVALID);
		assert_int_equal(weir_tx_begin(conn, NULL, &other, &e), WEIR_INVALID);
		assert_int_equal(weir_tx_commit(&tx, &e), WEIR_INVALID);
		weir_tx_end(&inner);
		weir_tx_end(&tx);
		assert_string_equal(asked, "");
		assert_kept();
		assert_string_equal(asked, ends[i].then);
	}
}

/*
 * The request is on its way when the answer to COMMIT comes after all, and the holder, who has read
 * it by himself, gives an idle connection back: nobody gets it before that has been dealt with.
 */
static void a_late_cancel_of_a_commit_hits_nobody(void **state)
{
	struct weir_conn *c = wi_conn_of(conn);
	weir_tx tx = WEIR_TX();
	struct wi_failure f;

	(void)state;
	assert_int_equal(weir_tx_begin(conn, NULL, &tx, &e), WEIR_OK);
	wi_store_rlx(&server.holds_cancel, true);
	wi_store_rlx(&server.answer_ns, 1);
	assert_int_equal(weir_tx_commit(&tx, &e), WEIR_OUTCOME_UNKNOWN);
	wi_store_rlx(&server.answer_ns, 0);
	wi_add_rlx(&clock_ns, 1);
	assert_int_equal(wi_conn_await(c, NULL, INT64_MAX, &f), WI_STEP_DONE);
	assert_int_equal(wi_driver_fake.look(c->link), WI_LOOK_CLEAN);
	asked[0] = '\0';
	weir_checkin(&conn);
	assert_int_equal(weir_pool_checkout(pool, 100, &conn, &e), WEIR_TIMEOUT);
	assert_string_equal(asked, ""); /* nor is anything sent on it */
	wi_store_rlx(&server.holds_cancel, false);
	assert_int_equal(weir_pool_checkout(pool, 10000, &conn, &e), WEIR_OK);
	assert_int_equal(wi_load_rlx(&server.cancels), 1);
	assert_int_equal(opened(), 1);
	assert_int_equal(weir_exec(conn, "SELECT 1", 10000, &e), WEIR_OK);
}

/* Neither its end nor that of the request is seen in time. */
static void a_commit_whose_end_nobody_sees_costs_the_connection(void **state)
{
	weir_pool_stats s;
	weir_tx tx = WEIR_TX();

	(void)state;
	assert_int_equal(weir_tx_begin(conn, NULL, &tx, &e), WEIR_OK);
	wi_store_rlx(&server.lose_cancels, 1000000);
	fall_silent();
	assert_int_equal(weir_tx_commit(&tx, &e), WEIR_OUTCOME_UNKNOWN);
	weir_checkin(&conn);
	assert_int_equal(weir_pool_checkout(pool, 30000, &conn, &e), WEIR_OK);
	weir_pool_stats_get(pool, &s);
	assert_int_equal(s.closed[WEIR_CLOSE_BUSY], 1);
	assert_int_equal(s.opened, 2);
}

/* Its time is over before a step was sent: nothing is, and what is open can be rolled back. */
static void nothing_is_sent_when_the_time_is_over(void **state)
{
	const weir_tx_settings s = WEIR_TX_SETTINGS(.timeout_ms = 200);
	weir_tx tx = WEIR_TX(), inner = WEIR_TX(), other = WEIR_TX();

	(void)state;
	do { /* a slow machine may use it up before */
		weir_tx_end(&tx);
		assert_int_equal(weir_tx_begin(conn, &s, &tx, &e), WEIR_OK);
	} while (weir_tx_nest(&tx, &inner, &e) != WEIR_OK);
	while (weir_tx_left_ms(&tx))
		usleep(1000);
	asked[0] = '\0';
	assert_int_equal(weir_exec(conn, "INSERT", weir_tx_left_ms(&tx), &e), WEIR_TIMEOUT);
	assert_int_equal(weir_tx_nest(&inner, &other, &e), WEIR_TIMEOUT);
	assert_string_equal(asked, "");
	assert_int_equal(weir_tx_commit(&inner, &e), WEIR_TIMEOUT);
	assert_string_equal(asked, "ROLLBACK TO SAVEPOINT weir_savepoint_1; "
	                           "RELEASE SAVEPOINT weir_savepoint_1|");
	assert_int_equal(weir_tx_commit(&inner, &e), WEIR_INVALID);
	assert_int_equal(weir_tx_commit(&tx, &e), WEIR_TIMEOUT);
	assert_int_equal(wi_load_rlx(&server.cancels), 0);
	assert_int_equal(wi_driver_fake.look(wi_conn_of(conn)->link), WI_LOOK_CLEAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whichever_step_is_late_the_connection_is_kept,
	                                        set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_sent_when_the_time_is_over, set_up,
	                                        tear_down),
		cmocka_unit_test_setup_teardown(a_late_cancel_of_a_commit_hits_nobody, set_up,
	                                        tear_down),
		cmocka_unit_test_setup_teardown(a_commit_whose_end_nobody_sees_costs_the_connection,
	                                        set_up_impatient, tear_down),
	};

	test_watchdog(100, "late transactions");
	return cmocka_run_group_tests_name("tx_late", tests, NULL, NULL);
}

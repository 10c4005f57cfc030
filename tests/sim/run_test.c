/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weir_pool_run in simulated time: what is run again, what is not, and how long that may go on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/sim.h"

/* What the callback does, and what the server makes of it: a new one for each test. */
static struct script {
	int times;             /* so many attempts fail as said; then all goes well */
	const char *insert;    /* the SQLSTATE of the INSERT; "": lost in it; NULL: it succeeds */
	const char *commit;    /* the same of COMMIT */
	bool reads;            /* the callback reads only */
	bool hides;            /* the callback returns OK though its INSERT has failed */
	bool says_query;       /* it returns QUERY, as who uses libpq by himself would */
	weir_status wishes;    /* it returns this after an INSERT that went well */
	bool rolls_back;       /* and has rolled back before */
	bool is_killed;        /* the session is ended before the callback returns */
	bool refuses_connects; /* and no other one to be had for two seconds */
	int64_t sleeps_ms;     /* how long the callback takes */
	const char *sql;       /* what it says beside */
	bool commits, nests, gives_back;
	/* seen */
	int bodies, inserts, commits_asked;
	int64_t at_ns[64]; /* when each attempt began */
	weir_status inner; /* what weir_tx_commit or the like came to in it */
} script;

static weir_run_result result;
static weir_error error;

static bool is_failing(void)
{
	return script.bodies <= script.times;
}

static bool fails(const char *state, struct wi_failure *failure)
{
	if (!state || !is_failing())
		return false;
	*failure = (struct wi_failure){.fault = state[0] ? WI_FAULT_SQL : WI_FAULT_LOST,
	                               .text = "as scripted"};
	if (state[0])
		memcpy(failure->sqlstate, state, 5);
	return true;
}

static bool answer(struct wi_fake_server *server, const char *sql, struct wi_answer *row,
                   struct wi_failure *failure)
{
	(void)server;
	(void)row;
	if (strncmp(sql, "INSERT", 6) == 0) {
		script.inserts++;
		return !fails(script.insert, failure);
	}
	if (strcmp(sql, "COMMIT") == 0) {
		script.commits_asked++;
		return !fails(script.commit, failure);
	}
	return true;
}

static void accept_again(void *arg)
{
	(void)arg;
	sim_sleep(2000);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_NONE);
}

static void be_killed(void)
{
	if (script.refuses_connects) {
		wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_REFUSED);
		sim_spawn(accept_again, NULL);
	}
	wi_fake_kill(sim_server());
}

static weir_status misuse(weir_tx *tx)
{
	static weir_tx inner;
	weir_conn *conn = weir_tx_conn(tx);

	if (script.commits)
		script.inner = weir_tx_commit(tx, NULL);
	if (script.nests) {
		inner = WEIR_TX();
		script.inner = weir_tx_nest(tx, &inner, NULL);
	}
	if (script.gives_back)
		weir_checkin(&conn);
	return WEIR_OK;
}

static weir_status body(weir_tx *tx, void *arg, weir_error *e)
{
	weir_status st;

	assert_ptr_equal(arg, &script);
	script.at_ns[script.bodies++ % 64] = sim_now();
	st = weir_exec(weir_tx_conn(tx), script.reads ? "SELECT 1" : "INSERT", weir_tx_left_ms(tx),
	               e);
	if (st != WEIR_OK)
		return script.hides ? WEIR_OK : script.says_query ? WEIR_QUERY : st;
	if (script.sql)
		assert_int_equal(weir_exec(weir_tx_conn(tx), script.sql, -1, e), WEIR_OK);
	if (script.sleeps_ms)
		sim_sleep(script.sleeps_ms);
	if (script.is_killed && is_failing())
		be_killed();
	if (script.rolls_back)
		script.inner = weir_tx_rollback(tx, e);
	if (script.wishes && is_failing())
		return script.wishes;
	return misuse(tx);
}

static weir_status run_with(struct script what, weir_run_settings settings)
{
	weir_status st;

	script = what;
	memset(&result, 0, sizeof(result));
	memset(&error, 0, sizeof(error));
	settings.result = &result;
	st = weir_pool_run(sim_pool(), &settings, body, &script, &error);
	if (st != WEIR_OK)
		assert_int_equal(error.status, st);
	/* Nothing is left open or out. */
	sim_settle();
	assert_int_equal(sim_stats()->busy, 0);
	return st;
}

static weir_status run(struct script what)
{
	return run_with(what, (weir_run_settings){0});
}

static int set_up(void **state)
{
	weir_options o;

	(void)state;
	sim_options(&o);
	o.pool_max = 1;
	assert_int_equal(sim_open(&o), WEIR_OK);
	sim_server()->answer = answer;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(sim_close(), 0);
	return 0;
}

/* ---- what is run again ---- */

static void it_is_committed_once(void **state)
{
	(void)state;
	assert_int_equal(run((struct script){0}), WEIR_OK);
	assert_int_equal(result.attempts, 1);
	assert_int_equal(result.why, WEIR_AGAIN_NEVER);
	assert_true(result.committed);
	assert_int_equal(script.commits_asked, 1);
	assert_int_equal(weir_pool_run(sim_pool(), NULL, body, &script, NULL), WEIR_OK);
}

static void what_could_not_be_committed_is_run_again(void **state)
{
	static const struct {
		struct script script;
		weir_again why;
	} rows[] = {
		{{.times = 2, .insert = "40001"}, WEIR_AGAIN_SERIALIZATION},
		{{.times = 2, .insert = "40P01"}, WEIR_AGAIN_DEADLOCK},
		{{.times = 2, .insert = "40001", .hides = true}, WEIR_AGAIN_SERIALIZATION},
		{{.times = 2, .insert = "40001", .says_query = true}, WEIR_AGAIN_SERIALIZATION},
		{{.times = 2, .insert = ""}, WEIR_AGAIN_LOST},
		{{.times = 2, .insert = "", .says_query = true}, WEIR_AGAIN_LOST},
		{{.times = 2, .insert = "", .hides = true}, WEIR_AGAIN_LOST},
		{{.times = 2, .commit = "40001"}, WEIR_AGAIN_SERIALIZATION},
		{{.times = 2, .is_killed = true}, WEIR_AGAIN_LOST},
		{{.times = 2, .wishes = WEIR_RETRY}, WEIR_AGAIN_ASKED},
		{{.times = 2, .wishes = WEIR_RETRY, .rolls_back = true}, WEIR_AGAIN_ASKED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		weir_status st = run(rows[i].script);

		if (st != WEIR_OK)
			fail_msg("row %zu: %s: %s", i, weir_status_name(st), error.text);
		assert_int_equal(result.attempts, 3);
		assert_int_equal(result.why, rows[i].why);
		assert_int_equal(script.inserts, 3);
		assert_int_equal(result.committed, !rows[i].script.rolls_back);
	}
}

static void what_cannot_help_is_told_at_once(void **state)
{
	static const struct {
		struct script script;
		weir_status st;
		const char *sqlstate;
	} rows[] = {
		{{.times = 9, .insert = "23505"}, WEIR_QUERY, "23505"},
		{{.times = 9, .insert = "23505", .hides = true}, WEIR_QUERY, "25P02"},
		{{.times = 9, .commit = "23505"}, WEIR_QUERY, "23505"},
		{{.times = 9, .wishes = WEIR_INVALID}, WEIR_INVALID, ""},
		{{.times = 9, .wishes = WEIR_OUTCOME_UNKNOWN}, WEIR_OUTCOME_UNKNOWN, ""},
		{{.times = 9, .wishes = (weir_status)1000}, (weir_status)1000, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(run(rows[i].script), rows[i].st);
		assert_string_equal(error.sqlstate, rows[i].sqlstate);
		assert_int_equal(result.attempts, 1);
		assert_int_equal(result.why, WEIR_AGAIN_NEVER);
		assert_false(result.committed);
	}
	assert_string_equal(error.text, "the callback returned 1000"); /* a number of its own */
}

static void unknown_outcome_ends_it(void **state)
{
	(void)state;
	assert_int_equal(run((struct script){.times = 9, .commit = ""}), WEIR_OUTCOME_UNKNOWN);
	assert_int_equal(script.inserts, 1);
	assert_int_equal(result.attempts, 1);
	assert_false(result.committed);
}

/* It has none, so it may be done once more. */
static void read_only_one_has_no_unknown_outcome(void **state)
{
	const weir_tx_settings reads = WEIR_TX_SETTINGS(.read_only = true);

	(void)state;
	assert_int_equal(run_with((struct script){.times = 1, .reads = true, .commit = ""},
	                          WEIR_RUN_SETTINGS(.tx = &reads)),
	                 WEIR_OK);
	assert_int_equal(result.attempts, 2);
	assert_int_equal(result.why, WEIR_AGAIN_LOST);
	/* Unless it was read-only no more. */
	assert_int_equal(run_with((struct script){.times = 1,
	                                          .reads = true,
	                                          .sql = "SET TRANSACTION READ WRITE",
	                                          .commit = ""},
	                          WEIR_RUN_SETTINGS(.tx = &reads)),
	                 WEIR_OUTCOME_UNKNOWN);
	assert_int_equal(script.commits_asked, 1);
}

/* A pool has one host, and who asked to be read-only is told so. */
static void refused_write_of_a_pool_is_told_at_once(void **state)
{
	const weir_tx_settings reads = WEIR_TX_SETTINGS(.read_only = true);

	(void)state;
	assert_int_equal(run_with((struct script){0}, WEIR_RUN_SETTINGS(.tx = &reads)), WEIR_QUERY);
	assert_string_equal(error.sqlstate, "25006");
	assert_int_equal(result.attempts, 1);
	wi_store_rlx(&sim_server()->in_recovery, true);
	assert_int_equal(run((struct script){0}), WEIR_QUERY);
	assert_string_equal(error.sqlstate, "25006");
	assert_int_equal(result.attempts, 1);
}

static void rollback_without_a_failure_is_ok(void **state)
{
	(void)state;
	assert_int_equal(run((struct script){.rolls_back = true}), WEIR_OK);
	assert_int_equal(script.inner, WEIR_OK);
	assert_false(result.committed);
	/* Also where the connection was lost before. */
	assert_int_equal(run((struct script){.rolls_back = true, .is_killed = true, .times = 1}),
	                 WEIR_OK);
	assert_int_equal(script.inner, WEIR_CONNECT);
	assert_false(result.committed);
	assert_int_equal(script.commits_asked, 0);
	assert_int_equal(result.attempts, 1);
}

static void server_that_is_away_is_waited_for_after_a_loss(void **state)
{
	(void)state;
	assert_int_equal(
		run((struct script){.times = 1, .is_killed = true, .refuses_connects = true}),
		WEIR_OK);
	assert_int_equal(script.bodies, 2);
	assert_true(script.at_ns[1] - script.at_ns[0] >= 2000 * WI_MS);
	sim_join();
	/* Whoever comes when it is away hears that at once, as from a checkout. */
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_REFUSED);
	wi_fake_kill(sim_server());
	sim_run(5000);
	assert_int_equal(run((struct script){0}), WEIR_CONNECT);
	assert_int_equal(result.attempts, 1);
	wi_store_rlx(&sim_server()->connect_fault, WI_FAULT_NONE);
}

/* ---- how long ---- */

static void pauses_grow_within_the_deadline(void **state)
{
	const struct script always = {.times = 1 << 20, .insert = "40001"};
	int64_t begun_ns;

	(void)state;
	begun_ns = sim_now();
	assert_int_equal(run_with(always, WEIR_RUN_SETTINGS(.timeout_ms = 20000)), WEIR_RETRY);
	assert_string_equal(error.sqlstate, "40001");
	assert_true(sim_now() - begun_ns <= 20000 * WI_MS);
	/* It gives up where the next pause would go beyond that: a second at most. */
	assert_true(sim_now() - begun_ns >= 19000 * WI_MS);
	/* The first eight take no more than 5 + 10 + ... + 640 ms; and then each up to a second. */
	assert_true(script.at_ns[8] - script.at_ns[0] <= 1275 * WI_MS);
	assert_in_range(result.attempts, 8 + 18, 8 + 63);
	for (uint32_t i = 1; i < result.attempts && i < 64; i++) {
		assert_true(script.at_ns[i] > script.at_ns[i - 1]);
		assert_true(script.at_ns[i] - script.at_ns[i - 1] <= 1000 * WI_MS);
	}
}

static void attempts_are_counted(void **state)
{
	const struct script always = {.times = 1 << 20, .wishes = WEIR_RETRY};

	(void)state;
	assert_int_equal(run_with(always, WEIR_RUN_SETTINGS(.max_attempts = 3)), WEIR_RETRY);
	assert_int_equal(result.attempts, 3);
	assert_int_equal(run_with(always, WEIR_RUN_SETTINGS(.max_attempts = 1)), WEIR_RETRY);
	assert_int_equal(result.attempts, 1);
	assert_int_equal(result.why, WEIR_AGAIN_NEVER);
}

/* By its own fault: COMMIT is not sent when the time is over. */
static void nothing_is_committed_after_the_deadline(void **state)
{
	const weir_tx_settings second = WEIR_TX_SETTINGS(.timeout_ms = 1000);

	(void)state;
	assert_int_equal(
		run_with((struct script){.sleeps_ms = 3000}, WEIR_RUN_SETTINGS(.timeout_ms = 2000)),
		WEIR_TIMEOUT);
	assert_int_equal(script.commits_asked, 0);
	assert_int_equal(run_with((struct script){.sleeps_ms = 1500},
	                          WEIR_RUN_SETTINGS(.timeout_ms = 2000, .tx = &second)),
	                 WEIR_TIMEOUT);
	assert_int_equal(script.commits_asked, 0);
	assert_int_equal(
		run_with((struct script){.sleeps_ms = 100000}, WEIR_RUN_SETTINGS(.timeout_ms = -1)),
		WEIR_OK);
}

static int64_t other_ns;

static void want_the_same(void *arg)
{
	weir_conn *c;

	(void)arg;
	sim_sleep(1);
	c = sim_checkout(60000);
	other_ns = sim_now();
	weir_checkin(&c);
}

static void nothing_is_held_in_a_pause(void **state)
{
	(void)state;
	sim_spawn(want_the_same, NULL);
	assert_int_equal(
		run_with((struct script){.times = 1, .wishes = WEIR_RETRY, .sleeps_ms = 10},
	                 WEIR_RUN_SETTINGS(.pause_ms = 10000, .max_pause_ms = 10000)),
		WEIR_OK);
	sim_join();
	assert_true(other_ns < script.at_ns[1]);
}

/* ---- misuse ---- */

static void callback_cannot_commit(void **state)
{
	(void)state;
	assert_int_equal(run((struct script){.commits = true}), WEIR_OK);
	assert_int_equal(script.inner, WEIR_INVALID);
	assert_int_equal(script.commits_asked, 1);
}

static void callback_must_end_what_it_nests(void **state)
{
	(void)state;
	assert_int_equal(run((struct script){.nests = true}), WEIR_INVALID);
	assert_int_equal(script.inner, WEIR_OK);
	assert_int_equal(script.commits_asked, 0);
}

static void callback_must_keep_its_connection(void **state)
{
	(void)state;
	assert_int_equal(run((struct script){.gives_back = true}), WEIR_STALE);
	assert_int_equal(sim_stats()->misuse, 0);
}

/* STALE may be of something else of the callback's: the connection is still ours to give back. */
static void status_of_the_callbacks_own_keeps_no_connection(void **state)
{
	(void)state;
	assert_int_equal(run((struct script){.times = 1, .wishes = WEIR_STALE}), WEIR_STALE);
	assert_int_equal(sim_stats()->misuse, 0);
}

/* What it did is not known to be undone, so it is not done again. */
static void callback_that_ends_the_transaction_is_found(void **state)
{
	(void)state;
	assert_int_equal(run((struct script){.sql = "COMMIT"}), WEIR_INVALID);
	assert_int_equal(result.attempts, 1);
	assert_int_equal(run((struct script){.sql = "ROLLBACK"}), WEIR_INVALID);
	assert_int_equal(result.attempts, 1);
	/* Also where it asks for another attempt: the first one is committed. */
	assert_int_equal(run((struct script){.times = 1, .sql = "COMMIT", .wishes = WEIR_RETRY}),
	                 WEIR_INVALID);
	assert_int_equal(result.attempts, 1);
	assert_int_equal(script.inserts, 1);
	assert_int_equal(
		run((struct script){.times = 1, .sql = "COMMIT; BEGIN", .wishes = WEIR_RETRY}),
		WEIR_INVALID);
	assert_int_equal(script.inserts, 1);
}

static void bad_settings_are_refused(void **state)
{
	const weir_tx_settings deferrable = WEIR_TX_SETTINGS(.deferrable = true);
	const weir_request request = WEIR_REQUEST(0);
	struct {
		weir_run_settings s;
		int more;
	} newer = {{.size = sizeof(newer)}, 1};
	weir_run_result small = {.size = 8};

	(void)state;
	assert_int_equal(weir_pool_run(NULL, NULL, body, NULL, &error), WEIR_INVALID);
	assert_int_equal(weir_pool_run(sim_pool(), NULL, NULL, NULL, &error), WEIR_INVALID);
	assert_int_equal(weir_run(NULL, NULL, body, NULL, &error), WEIR_INVALID);
	assert_int_equal(weir_pool_run(sim_pool(), &newer.s, body, NULL, &error), WEIR_INVALID);
	assert_int_equal(run_with((struct script){0}, WEIR_RUN_SETTINGS(.tx = &deferrable)),
	                 WEIR_INVALID);
	assert_int_equal(run_with((struct script){0}, WEIR_RUN_SETTINGS(.request = &request)),
	                 WEIR_INVALID);
	assert_int_equal(run_with((struct script){0}, WEIR_RUN_SETTINGS(.pause_ms = -1)),
	                 WEIR_INVALID);
	assert_int_equal(
		weir_pool_run(sim_pool(), &WEIR_RUN_SETTINGS(.result = &small), body, NULL, &error),
		WEIR_INVALID);
	assert_string_equal(weir_again_text((weir_again)99), "unknown");
	for (int i = 0; i < WEIR_AGAINS; i++)
		assert_true(strlen(weir_again_text((weir_again)i)) > 4);
}

int main(void)
{
#define A_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		A_TEST(it_is_committed_once),
		A_TEST(what_could_not_be_committed_is_run_again),
		A_TEST(what_cannot_help_is_told_at_once),
		A_TEST(unknown_outcome_ends_it),
		A_TEST(read_only_one_has_no_unknown_outcome),
		A_TEST(refused_write_of_a_pool_is_told_at_once),
		A_TEST(rollback_without_a_failure_is_ok),
		A_TEST(server_that_is_away_is_waited_for_after_a_loss),
		A_TEST(pauses_grow_within_the_deadline),
		A_TEST(attempts_are_counted),
		A_TEST(nothing_is_committed_after_the_deadline),
		A_TEST(nothing_is_held_in_a_pause),
		A_TEST(callback_cannot_commit),
		A_TEST(callback_must_end_what_it_nests),
		A_TEST(callback_must_keep_its_connection),
		A_TEST(status_of_the_callbacks_own_keeps_no_connection),
		A_TEST(callback_that_ends_the_transaction_is_found),
		A_TEST(bad_settings_are_refused),
	};

	return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens to the program in the middle of weir_pool_run: its thread is cancelled, in weir's
 * part of it or in the callback, or it forks there.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "driver/fake.h"
#include "support/fake_pool.h"
#include "support/watchdog.h"

static struct wi_fake_server server;
static weir_pool *pool;
static weir_error error;
static int calls; /* of the callback */

static int set_up(void **state)
{
	weir_options o;

	(void)state;
	test_watchdog(60, "a cancelled run");
	wi_fake_server_init(&server);
	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = 1;
	o.fork = WEIR_FORK_REOPEN;
	calls = 0;
	pool = fake_pool_open(&server, &o);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_pool_close(&pool, 10000), WEIR_OK);
	wi_fake_server_fini(&server);
	test_watchdog(0, NULL);
	return 0;
}

static weir_status body(weir_tx *tx, void *arg, weir_error *e)
{
	(void)tx;
	(void)e;
	calls++;
	if (arg)
		pthread_cancel(pthread_self());
	pthread_testcancel();
	return WEIR_OK;
}

static void *run(void *arg)
{
	/* Before or in the callback. */
	if (!arg)
		pthread_cancel(pthread_self());
	return (void *)(uintptr_t)(1 + (unsigned)weir_pool_run(pool, NULL, body, arg, &error));
}

/* In whichever part it is, the connection comes back, and the next one has it. */
static void ends_without_its_connection(void *arg)
{
	pthread_t thread;
	weir_conn *conn = NULL;
	void *ended;

	assert_int_equal(pthread_create(&thread, NULL, run, arg), 0);
	assert_int_equal(pthread_join(thread, &ended), 0);
	assert_ptr_equal(ended, PTHREAD_CANCELED);
	assert_int_equal(calls, 1);
	assert_int_equal(weir_pool_checkout(pool, 10000, &conn, &error), WEIR_OK);
	weir_checkin(&conn);
}

static void cancelled_in_the_callback(void **state)
{
	(void)state;
	ends_without_its_connection(&calls);
}

static void cancelled_before_the_callback(void **state)
{
	(void)state;
	wi_store_rlx(&server.answer_ns, 1000000); /* so that BEGIN is waited for */
	ends_without_its_connection(NULL);
}

/* The child has nothing to try again: the work is its parent's. */
static weir_status fork_body(weir_tx *tx, void *arg, weir_error *e)
{
	pid_t *child = arg;

	(void)tx;
	(void)e;
	calls++;
	*child = wi_fake_fork(&server);
	assert_true(*child >= 0);
	return *child ? WEIR_OK : WEIR_RETRY;
}

static void forked_in_the_callback(void **state)
{
	weir_run_result result = {0};
	const weir_run_settings s =
		WEIR_RUN_SETTINGS(.timeout_ms = 30000, .max_attempts = 2, .result = &result);
	weir_status st;
	pid_t child;
	int status;

	(void)state;
	st = weir_pool_run(pool, &s, fork_body, &child, &error);
	if (child == 0)
		_exit(st == WEIR_FORKED && calls == 1 && result.attempts == 1 ? 0 : 1);
	assert_int_equal(st, WEIR_OK);
	assert_true(result.committed);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(cancelled_in_the_callback, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cancelled_before_the_callback, set_up, tear_down),
		cmocka_unit_test_setup_teardown(forked_in_the_callback, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("run_cancelled", tests, NULL, NULL);
}

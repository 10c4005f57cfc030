/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A batch that libpq could not send to its end, though the server got as far as its COMMIT: send(2)
 * and recv(2) of this program stand in for a network that ends in the middle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "support/mock_server.h"
#include "support/watchdog.h"

#define SYNC_BYTES 5 /* the message at the end of a pipeline: chapter 55.7 */

static struct test_mock *mock;
static weir_pool *pool;
static weir_conn *conn;
static weir_error e;
static _Atomic int cut = -1; /* the socket that loses its end */
static _Atomic bool ended;   /* and nothing more comes by it */
static const char *seen;     /* until this has been executed */

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
	ssize_t sent;

	if (fd != wi_load_rlx(&cut) || wi_load_rlx(&ended))
		return sendto(fd, bytes, n, flags, NULL, 0);
	sent = sendto(fd, bytes, n - SYNC_BYTES, flags, NULL, 0);
	if (sent != (ssize_t)(n - SYNC_BYTES) || !test_mock_await_queries(mock, seen, 1, 30000))
		abort();
	wi_store_rlx(&ended, true);
	shutdown(fd, SHUT_RDWR);
	return sent;
}

ssize_t recv(int fd, void *bytes, size_t n, int flags)
{
	return fd == wi_load_rlx(&cut) && wi_load_rlx(&ended)
	               ? 0
	               : recvfrom(fd, bytes, n, flags, NULL, NULL);
}

static int set_up(void **state)
{
	weir_options o;

	(void)state;
	test_watchdog(60, "a batch that could not be sent");
	mock = test_mock_start(NULL);
	weir_options_init(&o);
	o.pool_min = 0;
	o.pool_max = 1;
	wi_store_rlx(&ended, false);
	if (weir_pool_open(test_mock_conninfo(mock), &o, &pool, &e) != WEIR_OK ||
	    weir_pool_checkout(pool, 30000, &conn, &e) != WEIR_OK)
		fail_msg("%s", e.text);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wi_store_rlx(&cut, -1);
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, 10000), WEIR_OK);
	test_mock_stop(&mock);
	test_watchdog(0, NULL);
	return 0;
}

static weir_status batch_until(const char *sql, const char *executed)
{
	const weir_statement s = WEIR_STATEMENT(.sql = sql, .prepare = WEIR_PREPARE_NEVER);
	PGresult *result = NULL;
	weir_status st;

	seen = executed;
	wi_store_rlx(&cut, PQsocket(weir_pg(conn)));
	st = weir_batch(conn, &s, 1, &result, 60000, &e);
	PQclear(result);
	assert_true(wi_load_rlx(&ended));
	return st;
}

static void what_the_server_may_have_committed_is_unknown(void **state)
{
	(void)state;
	assert_int_equal(batch_until("INSERT", "COMMIT"), WEIR_OUTCOME_UNKNOWN);
}

static void what_is_known_to_be_lost_is_no_question(void **state)
{
	(void)state;
	assert_int_equal(weir_exec(conn, "BEGIN", 30000, &e), WEIR_OK);
	assert_int_equal(batch_until("INSERT", "INSERT"), WEIR_CONNECT);
	assert_int_equal(weir_exec(conn, "COMMIT", 30000, &e), WEIR_CONNECT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_the_server_may_have_committed_is_unknown,
	                                        set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_known_to_be_lost_is_no_question, set_up,
	                                        tear_down),
	};

	return cmocka_run_group_tests_name("query_unsent", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Networks of the test's own: what is sent through them arrives, or is lost as ordered. */
#include "support/netns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <libpq-fe.h>
#include <netdb.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/mock_server.h"
#include "support/watchdog.h"

static struct test_mock *mock;

static PGconn *connected_to(const char *host, int timeout_s)
{
	char conninfo[256];

	snprintf(conninfo, sizeof(conninfo),
	         "host=%s port=%d user=app sslmode=disable gssencmode=disable connect_timeout=%d",
	         host, test_mock_port(mock), timeout_s);
	return PQconnectdb(conninfo);
}

static void assert_says(const char *host, const char *words)
{
	/* Who waits in vain does so briefly; who is answered has time for it. */
	PGconn *pg = connected_to(host, strstr(words, "timeout") ? 2 : 30);

	if (!strstr(PQerrorMessage(pg), words))
		fail_msg("%s: \"%s\" does not say \"%s\"", host, PQerrorMessage(pg), words);
	assert_int_equal(PQstatus(pg), *words ? CONNECTION_BAD : CONNECTION_OK);
	PQfinish(pg);
}

static void the_cable_carries(void **state)
{
	(void)state;
	assert_says(TEST_NETNS_DB_ADDRESS, "");
	assert_says(TEST_NETNS_DB_OTHER, "");
	assert_says("127.0.0.1", "Connection refused"); /* the server is on the other side */
}

static void packets_are_lost_and_turned_back(void **state)
{
	static const enum test_netns_fault silent[] = {TEST_NETNS_BLACK_HOLE, TEST_NETNS_TO_DB,
	                                               TEST_NETNS_FROM_DB};

	(void)state;
	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
		test_netns_fault(silent[i], test_mock_port(mock));
		assert_says(TEST_NETNS_DB_ADDRESS, "timeout expired");
	}
	test_netns_fault(TEST_NETNS_RESET, test_mock_port(mock));
	assert_says(TEST_NETNS_DB_ADDRESS, "Connection refused");
	test_netns_fault(TEST_NETNS_BLACK_HOLE, 1);
	assert_says(TEST_NETNS_DB_ADDRESS, "");
	test_netns_fault(TEST_NETNS_BLACK_HOLE, 0);
	assert_says(TEST_NETNS_DB_ADDRESS, "timeout expired");
	test_netns_heal();
	assert_says(TEST_NETNS_DB_ADDRESS, "");
}

static void *look_up(void *arg)
{
	struct addrinfo *found = NULL;

	(void)arg;
	(void)getaddrinfo("not-in-hosts.test", NULL, NULL, &found);
	return NULL;
}

static void names_are_the_tests(void **state)
{
	struct addrinfo *found = NULL;
	struct timespec soon;
	pthread_t thread;

	(void)state;
	test_netns_hosts(TEST_NETNS_DB_ADDRESS " db.test\n");
	assert_says("db.test", "");
	test_netns_hosts("10.77.0.9 db.test\n");
	assert_int_equal(getaddrinfo("db.test", NULL, NULL, &found), 0);
	freeaddrinfo(found);
	assert_int_not_equal(getaddrinfo("not-in-hosts.test", NULL, NULL, &found), 0);
	test_netns_dead_resolver(true);
	assert_int_equal(getaddrinfo("db.test", NULL, NULL, &found), 0);
	freeaddrinfo(found);
	assert_int_equal(pthread_create(&thread, NULL, look_up, NULL), 0);
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_sec += 1;
	assert_int_not_equal(pthread_timedjoin_np(thread, NULL, &soon), 0);
	test_netns_dead_resolver(false);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cable_carries),
		cmocka_unit_test(packets_are_lost_and_turned_back),
		cmocka_unit_test(names_are_the_tests),
	};
	int failed;

	test_netns_make_or_exit();
	test_watchdog(100, "unit.support.netns");
	test_netns_enter(TEST_NETNS_DB);
	mock = test_mock_start(&(struct test_mock_options){.address = "0.0.0.0"});
	test_netns_enter(TEST_NETNS_APP);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	test_mock_stop(&mock);
	return failed;
}

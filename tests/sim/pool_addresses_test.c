/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host name with several addresses: all are tried within one deadline before the host counts as
 * failed, each has its share of the time, a burst shares one lookup, and a changed answer is used.
 * The resolver is this program's own getaddrinfo, the servers are mocks on loopback addresses.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/mock_server.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000

static struct test_mock *mock;
static weir_options o;
static weir_pool *pool;
static weir_error error;

/* The resolver: addresses 127.0.0.N, by N; 0 ends them. */
static _Atomic uint64_t answer;
static _Atomic int lookups;

static struct addrinfo *entry(int n, struct addrinfo *next)
{
	struct {
		struct addrinfo info;
		struct sockaddr_in at;
	} *e = calloc(1, sizeof(*e));

	e->at.sin_family = AF_INET;
	e->at.sin_addr.s_addr = htonl(0x7f000000u + (uint32_t)n);
	e->info = (struct addrinfo){.ai_family = AF_INET,
	                            .ai_socktype = SOCK_STREAM,
	                            .ai_addr = (struct sockaddr *)&e->at,
	                            .ai_addrlen = sizeof(e->at),
	                            .ai_next = next};
	return &e->info;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
	struct in_addr literal;

	*found = NULL;
	if (inet_pton(AF_INET, host, &literal) == 1) { /* libpq asks for what it was given */
		struct addrinfo *e = entry((int)(ntohl(literal.s_addr) & 0xff), NULL);

		((struct sockaddr_in *)(void *)e->ai_addr)->sin_port =
			htons((uint16_t)atoi(service ? service : "0"));
		(void)hints;
		*found = e;
		return 0;
	}
	wi_add_seq(&lookups, 1);
	for (uint64_t a = wi_load_seq(&answer); a; a >>= 8)
		*found = entry((int)(a & 0xff), *found);
	return *found ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list);
		list = next;
	}
}

static int set_up(void **state)
{
	(void)state;
	mock = test_mock_start(NULL); /* on 127.0.0.1 */
	weir_options_init(&o);
	o.pool_min = 0;
	wi_store_seq(&lookups, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	test_mock_stop(&mock);
	return 0;
}

static void open_pool(void)
{
	char conninfo[256];

	snprintf(conninfo, sizeof(conninfo),
	         "host=db.test port=%d user=app dbname=shop sslmode=disable gssencmode=disable",
	         test_mock_port(mock));
	assert_int_equal(weir_pool_open(conninfo, &o, &pool, &error), WEIR_OK);
}

static weir_conn *checkout(void)
{
	weir_conn *conn = NULL;

	if (weir_pool_checkout(pool, PATIENCE_MS, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return conn;
}

static weir_pool_stats stats(void)
{
	weir_pool_stats s;

	weir_pool_stats_get(pool, &s);
	return s;
}

/* Twenty connects: one of the three dead addresses comes first in nearly all of them. */
static void dead_addresses_are_no_failure_of_the_host(void **state)
{
	(void)state;
	wi_store_seq(&answer, 0x01020304);
	open_pool();
	for (int i = 0; i < 20; i++) {
		weir_conn *conn = checkout();

		weir_discard(&conn);
	}
	assert_int_equal(stats().opened, 20);
	assert_int_equal(stats().connect_failures, 0);
}

static void when_all_are_dead_that_is_one_failure(void **state)
{
	weir_conn *conn = NULL;

	(void)state;
	wi_store_seq(&answer, 0x020304);
	o.breaker_failures = 1;
	o.breaker_open_ms = 60000;
	open_pool();
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_CONNECT);
	assert_non_null(strstr(error.text, "refused while connecting: none of 3 addresses "
	                                   "answered; the last: "));
	assert_int_equal(stats().connect_failures, 1);
}

/* One address accepts and says nothing: it has half of the time, and the other the rest. */
static void a_silent_address_leaves_time_for_the_others(void **state)
{
	struct test_mock *silent = test_mock_start(
		&(struct test_mock_options){.address = "127.0.0.2", .port = test_mock_port(mock)});

	(void)state;
	test_mock_door(silent, TEST_MOCK_SILENT);
	wi_store_seq(&answer, 0x0102);
	o.connect_timeout_ms = 1000;
	open_pool();
	for (int i = 0; i < 8; i++) {
		weir_conn *conn = checkout();

		weir_discard(&conn);
	}
	assert_int_equal(stats().connect_failures, 0);
	assert_true(stats().connect.max_ns < 1000 * WI_MS);
	test_mock_stop(&silent);
}

static void an_answer_of_the_server_is_the_hosts(void **state)
{
	weir_conn *conn = NULL;
	struct test_mock_counts counts;

	(void)state;
	test_mock_refuse(mock, -1, "3D000", "no such database");
	wi_store_seq(&answer, 0x01);
	o.breaker_open_ms = 60000;
	open_pool();
	assert_int_not_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_OK);
	assert_non_null(strstr(error.text, "config while connecting: "));
	test_mock_counts(mock, &counts);
	assert_int_equal(counts.connects, 1);
	assert_int_equal(stats().connect_failed_of[WEIR_CONNECT_CONFIG], 1);
}

static void who_connects_alone_looks_up_anew(void **state)
{
	weir_conn *conn[3];

	(void)state;
	wi_store_seq(&answer, 0x01);
	open_pool();
	for (int i = 0; i < 3; i++)
		conn[i] = checkout();
	assert_int_equal(wi_load_seq(&lookups), 3);
	for (int i = 0; i < 3; i++)
		weir_checkin(&conn[i]);
}

static void a_name_without_an_address_is_told(void **state)
{
	weir_conn *conn = NULL;

	(void)state;
	wi_store_seq(&answer, 0);
	o.breaker_failures = 1;
	open_pool();
	assert_int_equal(weir_pool_checkout(pool, PATIENCE_MS, &conn, &error), WEIR_CONNECT);
	assert_non_null(strstr(error.text, "resolve while looking up the host name: "));
	assert_true(stats().connect_failed_of[WEIR_CONNECT_RESOLVE] >= 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(dead_addresses_are_no_failure_of_the_host),
		TEST(when_all_are_dead_that_is_one_failure),
		TEST(a_silent_address_leaves_time_for_the_others),
		TEST(an_answer_of_the_server_is_the_hosts),
		TEST(who_connects_alone_looks_up_anew),
		TEST(a_name_without_an_address_is_told),
	};

	test_watchdog(90, "sim.pool_addresses");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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

/* Chance, or no chance: then the second of two addresses comes first. */
static _Atomic bool certain;

ssize_t getrandom(void *to, size_t n, unsigned flags)
{
	if (!wi_load_seq(&certain))
		return syscall(SYS_getrandom, to, n, flags);
	memset(to, 0, n);
	return (ssize_t)n;
}

static int set_up(void **state)
{
	(void)state;
	mock = test_mock_start(NULL); /* on 127.0.0.1 */
	weir_options_init(&o);
	o.pool_min = 0;
	wi_store_seq(&lookups, 0);
	wi_store_seq(&certain, false);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (pool)
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

/* The first address accepts and says nothing: it has half of the time, and the other the rest. */
static void a_silent_address_leaves_time_for_the_others(void **state)
{
	struct test_mock *silent = test_mock_start(
		&(struct test_mock_options){.address = "127.0.0.2", .port = test_mock_port(mock)});
	weir_conn *conn;

	(void)state;
	test_mock_door(silent, TEST_MOCK_SILENT);
	wi_store_seq(&answer, 0x0102);
	wi_store_seq(&certain, true);
	o.connect_timeout_ms = 4000;
	open_pool();
	conn = checkout();
	weir_checkin(&conn);
	assert_int_equal(stats().connect_failures, 0);
	assert_in_range(stats().connect.max_ns, 2000 * WI_MS, 4000 * WI_MS);
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

/* ---- a router's probe ---- */

static _Atomic int role_changes;

static void hear(void *arg, const weir_event *event)
{
	(void)arg;
	if (event->kind == WEIR_EVENT_ROLE_CHANGED)
		wi_add_seq(&role_changes, 1);
}

static weir_router *open_router(void)
{
	weir_router *router = NULL;
	char conninfo[256];

	snprintf(conninfo, sizeof(conninfo),
	         "host=db.test port=%d user=app dbname=shop sslmode=disable gssencmode=disable",
	         test_mock_port(mock));
	if (weir_router_open(conninfo, &o, &router, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	return router;
}

static void write_through(weir_router *router)
{
	const weir_request q = WEIR_REQUEST(.intent = WEIR_WRITE, .timeout_ms = 20000);
	weir_conn *conn = NULL;

	if (weir_checkout_with(router, &q, &conn, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	weir_checkin(&conn);
}

/* Its session ends again and again: each of its connects meets a dead address first, mostly. */
static void a_probe_tries_all_addresses(void **state)
{
	weir_router *router;
	weir_host_stats h;

	(void)state;
	wi_store_seq(&answer, 0x01020304);
	wi_store_seq(&role_changes, 0);
	o.on_event = hear;
	o.probe_interval_ms = o.connect_timeout_ms = PATIENCE_MS; /* so that none is late */
	router = open_router();
	for (int i = 0; i < 10; i++) {
		write_through(router);
		test_mock_end(mock, 0, false, TEST_MOCK_END_FATAL, "57P01");
		assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	}
	assert_int_equal(weir_router_stats_get(router, &h, 1), 1);
	assert_int_equal(h.role, WEIR_ROLE_PRIMARY);
	assert_int_equal(wi_load_seq(&role_changes), 1);
	wi_store_seq(&answer, 0x020304);
	test_mock_end(mock, 0, false, TEST_MOCK_END_FATAL, "57P01");
	do /* the watchdog bounds it */
		assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
	while (weir_router_stats_get(router, &h, 1) == 1 && h.reachable);
	assert_non_null(strstr(h.last_error, "none of 3 addresses answered; the last: "));
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
}

/* One that says nothing has its share of a question's time, and not all of a connect's. */
static void a_silent_address_keeps_no_probe(void **state)
{
	struct test_mock *silent = test_mock_start(
		&(struct test_mock_options){.address = "127.0.0.2", .port = test_mock_port(mock)});
	int64_t until_ns = wi_now_ns() + 20 * WI_SEC;
	weir_router *router;
	weir_host_stats h;

	(void)state;
	test_mock_door(silent, TEST_MOCK_SILENT);
	wi_store_seq(&answer, 0x0102);
	wi_store_seq(&certain, true);
	o.connect_timeout_ms = PATIENCE_MS;
	router = open_router();
	do {
		assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
		assert_int_equal(weir_router_stats_get(router, &h, 1), 1);
	} while (!h.reachable && wi_now_ns() < until_ns);
	assert_int_equal(h.role, WEIR_ROLE_PRIMARY);
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
	test_mock_stop(&silent);
}

/*
 * Both say nothing as long as a question may take, and then the first of them does: it is tried
 * again within the same connect.
 */
static void a_slow_address_has_another_turn(void **state)
{
	struct test_mock *silent = test_mock_start(
		&(struct test_mock_options){.address = "127.0.0.2", .port = test_mock_port(mock)});
	weir_router *router;
	weir_host_stats h;

	(void)state;
	test_mock_door(mock, TEST_MOCK_SILENT);
	test_mock_door(silent, TEST_MOCK_SILENT);
	wi_store_seq(&answer, 0x0201);
	wi_store_seq(&certain, true);
	o.connect_timeout_ms = 6000;
	router = open_router();
	do { /* the watchdog bounds it */
		assert_int_equal(weir_router_probe(router, PATIENCE_MS), WEIR_OK);
		assert_int_equal(weir_router_stats_get(router, &h, 1), 1);
	} while (!h.last_error[0]);
	test_mock_door(mock, TEST_MOCK_OPEN);
	while (!h.reachable) {
		if (strstr(h.last_error, "6000 ms"))
			fail_msg("the connect has failed: %s", h.last_error);
		nanosleep(&(struct timespec){.tv_nsec = WI_MS}, NULL);
		assert_int_equal(weir_router_stats_get(router, &h, 1), 1);
	}
	assert_int_equal(weir_router_close(&router, PATIENCE_MS), WEIR_OK);
	test_mock_stop(&silent);
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
		TEST(a_probe_tries_all_addresses),
		TEST(a_silent_address_keeps_no_probe),
		TEST(a_slow_address_has_another_turn),
	};

	test_watchdog(90, "sim.pool_addresses");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

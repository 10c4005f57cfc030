/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A router whose resolver is dead: lookups that never end are few, however often hosts are asked.
 * The resolver is this program's own getaddrinfo.
 */
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "support/watchdog.h"

static _Atomic int lookups, ended, released;

static void a_moment(void)
{
	const struct timespec some = {.tv_nsec = 1000000};

	nanosleep(&some, NULL);
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
	(void)host;
	(void)service;
	(void)hints;
	(void)found;
	wi_add_seq(&lookups, 1);
	while (!wi_load_seq(&released))
		a_moment();
	wi_add_seq(&ended, 1);
	return EAI_AGAIN;
}

static void a_dead_resolver_costs_one_thread_a_host(void **state)
{
	weir_host_stats stats[2];
	weir_router *router;
	weir_options options;
	weir_error error;

	(void)state;
	weir_options_init(&options);
	options.pool_min = 0;
	options.probe_interval_ms = 10;
	options.connect_timeout_ms = 50;
	assert_int_equal(weir_router_open("postgresql://app@a.invalid,b.invalid/shop", &options,
	                                  &router, &error),
	                 WEIR_OK);
	for (int i = 0; i < 5; i++)
		assert_int_equal(weir_router_probe(router, 20000), WEIR_OK);
	assert_int_equal(wi_load_seq(&lookups), 2);
	assert_int_equal(weir_router_stats_get(router, stats, 2), 2);
	assert_non_null(strstr(stats[0].last_error, "while looking up the host name"));
	/* Its answer is heard by the attempt that is under way when it comes, or the next. */
	wi_store_seq(&released, 1);
	while (!strstr(stats[0].last_error, "a.invalid")) {
		assert_int_equal(weir_router_probe(router, 20000), WEIR_OK);
		weir_router_stats_get(router, stats, 2);
	}
	assert_int_equal(weir_router_close(&router, 10000), WEIR_OK);
	while (wi_load_seq(&ended) < wi_load_seq(&lookups))
		a_moment();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dead_resolver_costs_one_thread_a_host),
	};

	test_watchdog(60, "the router's simulation of a dead resolver");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

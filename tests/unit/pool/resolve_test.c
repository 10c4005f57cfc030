/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Name lookups: what needs none, what has an address, what has none; dropped ones leave nothing
 * behind.
 */
#include "pool/resolve.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sched.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "support/process.h"
#include "support/threads.h"
#include "support/watchdog.h"

static void what_needs_no_lookup_is_known(void **state)
{
	static const char *const literal[] = {"",    "/run/postgresql", "@abstract", "127.0.0.1",
	                                      "::1", "fe80::1"};
	static const char *const names[] = {"localhost", "db",         "127.0.0",
	                                    "1.2.3.4.5", "db.example", "fe80::1::2"};

	(void)state;
	for (size_t i = 0; i < sizeof(literal) / sizeof(literal[0]); i++)
		assert_true(wi_host_is_literal(literal[i]));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_false(wi_host_is_literal(names[i]));
}

static int look_up(const char *name, struct wi_addresses *found, struct wi_failure *failure)
{
	void *lookup = wi_resolve_start(name, NULL);
	int r;

	assert_non_null(lookup);
	while ((r = wi_resolve_poll(lookup, found, failure)) == 0)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	return r;
}

static void localhost_has_an_address(void **state)
{
	size_t before = wi_alloc_bytes();
	struct wi_addresses found;
	struct wi_failure failure;

	(void)state;
	assert_int_equal(look_up("localhost", &found, &failure), 1);
	assert_true(strcmp(found.address[0], "127.0.0.1") == 0 ||
	            strcmp(found.address[0], "::1") == 0);
	assert_int_equal(wi_alloc_bytes(), before);
}

static void a_name_without_an_address_is_told(void **state)
{
	size_t before = wi_alloc_bytes();
	struct wi_addresses found;
	struct wi_failure failure;

	(void)state;
	assert_int_equal(look_up("does-not-exist.invalid", &found, &failure), -1);
	assert_int_equal(failure.fault, WI_FAULT_RESOLVE);
	assert_non_null(strstr(failure.text, "cannot look up \"does-not-exist.invalid\": "));
	assert_string_equal(failure.sqlstate, "");
	assert_int_equal(wi_alloc_bytes(), before);
}

/* Starting and polling take no time, whatever the resolver does. */
static void nobody_waits_for_a_resolver(void **state)
{
	struct wi_addresses found;
	struct wi_failure failure;
	bool waited = true;

	(void)state;
	/* What the machine takes away, it does not take away every time. */
	for (int n = 0; n < 5 && waited; n++) {
		int64_t begun = wi_now_ns();
		void *lookup = wi_resolve_start("does-not-exist.invalid", NULL);

		for (int i = 0; lookup && i < 10; i++)
			if (wi_resolve_poll(lookup, &found, &failure))
				lookup = NULL;
		waited = wi_now_ns() - begun >= WI_SEC;
		wi_resolve_drop(lookup);
	}
	assert_false(waited);
	wi_resolve_drop(NULL);
}

/*
 * Keepers of many pools ask for one name at the same moment: each is answered, and nothing is freed
 * early.
 */
static void ask_with_others(struct test_thread *self)
{
	for (int i = 0; i < 300 / test_slowness(); i++) {
		void *lookup = wi_resolve_start("localhost", NULL);
		struct wi_addresses found;
		struct wi_failure failure;
		int r = 0;

		if (wi_rng_below(&self->rng, 4) == 0) {
			wi_resolve_drop(lookup);
			continue;
		}
		while (lookup && (r = wi_resolve_poll(lookup, &found, &failure)) == 0)
			sched_yield();
		if (r != 1)
			test_wrong(self, "no address: %s", failure.text);
	}
}

static void many_ask_for_one_name_at_once(void **state)
{
	struct test_thread reports[8];

	(void)state;
	test_threads_run(8, ask_with_others, NULL, -1, reports);
	assert_null(test_first_wrong(reports, 8));
}

/* The tests before this one dropped some, too: in the end nothing at all is left. */
static void dropped_ones_are_freed_when_they_end(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		wi_resolve_drop(
			wi_resolve_start(i % 2 ? "localhost" : "does-not-exist.invalid", NULL));
	for (int i = 0; i < 3000 && wi_alloc_bytes() != 0; i++)
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	assert_int_equal(wi_alloc_bytes(), 0);
}

static void want_of_memory_is_told(void **state)
{
	(void)state;
	wi_alloc_fail_at(1);
	assert_null(wi_resolve_start("localhost", NULL));
}

/* How many threads there are but this one; with that of a sanitizer, which the first one brings. */
static void *count_others(void *n)
{
	*(int *)n = test_thread_count() - 1;
	return NULL;
}

/*
 * What the C library keeps for a thread is freed as it ends: a leak check before that finds some of
 * it.
 */
static void await_the_threads_end(int before)
{
	for (int i = 0; i < 3000; i++) {
		if (test_thread_count() <= before)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_needs_no_lookup_is_known),
		cmocka_unit_test(localhost_has_an_address),
		cmocka_unit_test(a_name_without_an_address_is_told),
		cmocka_unit_test(nobody_waits_for_a_resolver),
		cmocka_unit_test(many_ask_for_one_name_at_once),
		cmocka_unit_test(dropped_ones_are_freed_when_they_end),
		cmocka_unit_test(want_of_memory_is_told),
	};

	int failed, threads = 1;
	pthread_t first;

	test_watchdog(90, "unit.pool.resolve");
	if (pthread_create(&first, NULL, count_others, &threads) == 0)
		pthread_join(first, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	await_the_threads_end(threads);
	return failed;
}
